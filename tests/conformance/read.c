/* SPDX-License-Identifier: MIT
 *
 * read.c: cases of reading by key, for stores that were put to and, where they
 * are ones to build, finished.
 */
#include "tests/conformance/suite.h"

#include <stdio.h>
#include <stdlib.h>

static void *read_alloc(akvc_run *r, size_t size)
{
    void *block = malloc(size);

    CHECK(r, block != NULL);
    return block;
}

static void read_put_pairs(akvc_run *r)
{
    akv *db = akvc_filled(r, "moon=Luna sun=Sol earth=Terra mond=Luna");

    HAS(r, db, NULL, "moon", "Luna");
    HAS(r, db, NULL, "mond", "Luna");
    HAS(r, db, NULL, "sun", "Sol");
    HAS(r, db, NULL, "earth", "Terra");
    LACKS(r, db, NULL, "mars");
    LACKS(r, db, NULL, "moo");
    LACKS(r, db, NULL, "moonx");
    LACKS(r, db, NULL, "");
    HOLDS(r, db, NULL, "earth=Terra mond=Luna moon=Luna sun=Sol");
    akvc_close(r, db);
}

static void read_empty_store(akvc_run *r)
{
    akv *db = akvc_filled(r, "");

    LACKS(r, db, NULL, "a");
    LACKS(r, db, NULL, "");
    HOLDS(r, db, NULL, "");
    akvc_close(r, db);
}

static void read_last_put_counts(akvc_run *r)
{
    akv *db = akvc_filled(r, "a=1 b=2 a=3 a=44 b=");

    HOLDS(r, db, NULL, "a=44 b=");
    HAS(r, db, NULL, "a", "44");
    akvc_close(r, db);
}

/* An answer must leave the record of the failure before it alone. */
static void read_miss_sets_no_message(akvc_run *r)
{
    akv      *db    = akvc_filled(r, "a=1");
    akv_value value = AKV_VALUE_INIT;
    akv_error before;
    size_t    len;
    char      byte;

    WANT(r, AKV_MISUSE, akv_get(db, akv_str("a"), NULL, NULL));
    before = *akv_last_error();
    WANT(r, AKV_ABSENT, akv_get(db, akv_str("b"), NULL, &value));
    WANT(r, AKV_ABSENT, akv_exists(db, akv_str("b"), NULL));
    WANT(r, AKV_ABSENT, akv_get_into(db, akv_str("b"), NULL, &byte, 1, &len));
    OK(r, akv_get(db, akv_str("a"), NULL, &value));
    akv_value_release(&value);
    akvc_close(r, db);
    CHECK(r, akv_last_error()->code == before.code);
    CHECK(r, strcmp(akv_last_error()->text, before.text) == 0);
}

static void read_miss_empties_outputs(akvc_run *r)
{
    akv       *db     = akvc_filled(r, "a=1");
    akv_value  value  = {"x", 1, {{1}}, 2, 3, 0, NULL, NULL};
    akv_value  many   = value;
    akv_slice  key    = akv_str("b");
    akv_buffer copy   = AKV_BUFFER_INIT;
    akv_status status = AKV_OK;
    size_t     len    = 77;
    uint64_t   n      = 77;

    OK(r, akv_buffer_append(&copy, "old", 3));
    WANT(r, AKV_ABSENT, akv_get(db, key, NULL, &value));
    CHECK(r, value.len == 0 && value.expiry_ms == 0 && value.encoding == 0 && !value.db);
    WANT(r, AKV_ABSENT, akv_get_into(db, key, NULL, NULL, 0, &len));
    CHECK(r, len == 0);
    WANT(r, AKV_ABSENT, akv_get_copy(db, key, NULL, &copy));
    CHECK(r, copy.len == 0);
    OK(r, akv_get_many(db, 1, &key, NULL, &many, &status));
    CHECK(r, status == AKV_ABSENT && many.len == 0 && !many.db);
    WANT(r, AKV_MISUSE, akv_count(NULL, NULL, &n));
    CHECK(r, n == 0);
    akv_buffer_free(&copy);
    akvc_close(r, db);
}

static void read_empty_keys_and_values(akvc_run *r)
{
    akv      *db    = akvc_filled(r, "=nothing empty= x=y");
    akv_value value = AKV_VALUE_INIT;
    size_t    len   = 9;

    HAS(r, db, NULL, "", "nothing");
    HAS(r, db, NULL, "empty", "");
    HOLDS(r, db, NULL, "=nothing empty= x=y");
    OK(r, akv_get(db, akv_bytes(NULL, 0), NULL, &value));
    CHECK(r, value.len == 7 && memcmp(value.data, "nothing", 7) == 0);
    akv_value_release(&value);
    OK(r, akv_get_into(db, akv_str("empty"), NULL, NULL, 0, &len));
    CHECK(r, len == 0);
    akvc_close(r, db);
}

/* Each byte alone, each pair with 00 and ff: none is special, none ends a key. */
static void read_any_bytes(akvc_run *r)
{
    static uint8_t bytes[256][3];
    akvc_pair      pairs[768];
    akv           *db = akvc_new(r);
    size_t         n  = 0;
    uint64_t       count;

    for (unsigned i = 0; i < 256; i++) {
        bytes[i][0] = (uint8_t)i;
        bytes[i][1] = i % 2 ? 0xff : 0;
        bytes[i][2] = (uint8_t)~i;
        for (size_t len = 1; len <= 3; len++)
            pairs[n++] = (akvc_pair){akv_bytes(bytes[i], len), akv_bytes(bytes[i], 4 - len)};
    }
    akvc_fill(r, db, pairs, n);
    for (size_t i = 0; i < n; i++)
        akvc_has(r, __FILE__, __LINE__, db, NULL, pairs[i].key, pairs[i].value);
    OK(r, akv_count(db, NULL, &count));
    CHECK(r, count == n);
    akvc_close(r, db);
}

static void read_longest_keys(akvc_run *r)
{
    size_t    len = r->max_key < (1u << 20) ? (size_t)r->max_key : 1u << 20;
    uint8_t  *a = read_alloc(r, len + 1), *b = read_alloc(r, len + 1);
    akv      *db = akvc_new(r);
    akvc_pair pairs[2];

    memset(a, 0xfe, len + 1);
    memset(b, 0xfe, len + 1);
    b[len - 1] = 0xff;
    pairs[0]   = (akvc_pair){akv_bytes(b, len), akv_str("b")};
    pairs[1]   = (akvc_pair){akv_bytes(a, len), akv_str("a")};
    akvc_fill(r, db, pairs, 2);
    akvc_has(r, __FILE__, __LINE__, db, NULL, pairs[0].key, pairs[0].value);
    akvc_has(r, __FILE__, __LINE__, db, NULL, pairs[1].key, pairs[1].value);
    akvc_lacks(r, __FILE__, __LINE__, db, NULL, akv_bytes(a, len - 1));
    akvc_close(r, db);
    free(a);
    free(b);
}

static void read_over_limit(akvc_run *r)
{
    akv       *db      = akvc_new(r);
    akv_value  value   = AKV_VALUE_INIT;
    uint64_t   max_key = 0, max_value = 0;
    akv_status status = AKV_OK;
    akv_slice  key, big;
    void      *block;

    akv_limits(db, &max_key, &max_value);
    CHECK(r, max_key > 0 && max_value > 0);
    if (max_key < 16u << 20) {
        block = calloc(1, (size_t)max_key + 1);
        CHECK(r, block != NULL);
        key = akv_bytes(block, (size_t)max_key + 1);
        WANT(r, AKV_TOO_BIG, akv_put(db, key, akv_str("v"), NULL));
        OK(r, akv_put(db, akv_str("a"), akv_str("1"), NULL));
        akvc_fill(r, db, NULL, 0);
        WANT(r, AKV_TOO_BIG, akv_get(db, key, NULL, &value));
        WANT(r, AKV_TOO_BIG, akv_exists(db, key, NULL));
        WANT(r, AKV_TOO_BIG, akv_get_many(db, 1, &key, NULL, &value, &status));
        CHECK(r, status == AKV_TOO_BIG);
        HOLDS(r, db, NULL, "a=1");
        free(block);
    }
    akvc_close(r, db);
    if (max_value >= SIZE_MAX)
        return;
    /* The length alone decides, so there need be no such value. */
    db  = akvc_new(r);
    big = akv_bytes("", (size_t)max_value + 1);
    WANT(r, AKV_TOO_BIG, akv_put(db, akv_str("v"), big, NULL));
    akvc_fill(r, db, NULL, 0);
    LACKS(r, db, NULL, "v");
    akvc_close(r, db);
}

static void read_large_values(akvc_run *r)
{
    size_t    len   = r->max_value < (3u << 20) ? (size_t)r->max_value : (3u << 20) + 7;
    uint8_t  *bytes = read_alloc(r, len);
    akv      *db    = akvc_new(r);
    akvc_pair pairs[3];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(akvc_next(&r->random) >> 13);
    pairs[0] = (akvc_pair){akv_str("all"), akv_bytes(bytes, len)};
    pairs[1] = (akvc_pair){akv_str("half"), akv_bytes(bytes + len / 2, len / 2)};
    pairs[2] = (akvc_pair){akv_str("small"), akv_bytes(bytes, 100)};
    akvc_fill(r, db, pairs, 3);
    for (size_t i = 0; i < 3; i++)
        akvc_has(r, __FILE__, __LINE__, db, NULL, pairs[i].key, pairs[i].value);
    akvc_close(r, db);
    free(bytes);
}

static void read_into(akvc_run *r)
{
    akv   *db     = akvc_filled(r, "k=12345");
    char   buf[8] = "-------";
    size_t len    = 0;

    WANT(r, AKV_TOO_BIG, akv_get_into(db, akv_str("k"), NULL, buf, 4, &len));
    CHECK(r, len == 5);
    CHECK(r, memcmp(buf, "-------", 7) == 0);
    len = 0;
    WANT(r, AKV_TOO_BIG, akv_get_into(db, akv_str("k"), NULL, NULL, 0, &len));
    CHECK(r, len == 5);
    OK(r, akv_get_into(db, akv_str("k"), NULL, buf, 5, &len));
    CHECK(r, len == 5 && memcmp(buf, "12345--", 7) == 0);
    OK(r, akv_get_into(db, akv_str("k"), NULL, buf, sizeof buf, &len));
    CHECK(r, len == 5 && memcmp(buf, "12345--", 7) == 0);
    akvc_close(r, db);
}

static void read_copy(akvc_run *r)
{
    akv       *db   = akvc_filled(r, "long=1234567890 short=x none=");
    akv_buffer copy = AKV_BUFFER_INIT;

    OK(r, akv_get_copy(db, akv_str("long"), NULL, &copy));
    CHECK(r, copy.len == 10 && copy.cap >= 10 && memcmp(copy.data, "1234567890", 10) == 0);
    OK(r, akv_get_copy(db, akv_str("short"), NULL, &copy));
    CHECK(r, copy.len == 1 && memcmp(copy.data, "x", 1) == 0);
    OK(r, akv_get_copy(db, akv_str("none"), NULL, &copy));
    CHECK(r, copy.len == 0);
    akvc_close(r, db);
    /* owned: it outlives the handle */
    akv_buffer_free(&copy);
    CHECK(r, copy.data == NULL && copy.len == 0 && copy.cap == 0);
    akv_buffer_free(NULL);
}

#define READ_MANY 2000

/* Every third key is there; asked for in random order, many times over. */
static void read_many(akvc_run *r)
{
    char(*keys)[16]      = read_alloc(r, READ_MANY * sizeof *keys);
    akvc_pair  *pairs    = read_alloc(r, READ_MANY * sizeof *pairs);
    akv_slice  *asked    = read_alloc(r, READ_MANY * sizeof *asked);
    akv_value  *values   = read_alloc(r, READ_MANY * sizeof *values);
    akv_status *statuses = read_alloc(r, READ_MANY * sizeof *statuses);
    akv        *db       = akvc_new(r);
    size_t      n        = 0;

    for (size_t i = 0; i < READ_MANY; i++)
        snprintf(keys[i], sizeof keys[i], "key-%zu", i);
    for (size_t i = 0; i < READ_MANY; i += 3)
        pairs[n++] = (akvc_pair){akv_str(keys[i]), akv_str(keys[i] + 3)};
    akvc_fill(r, db, pairs, n);
    for (size_t i = 0; i < READ_MANY; i++)
        asked[i] = akv_str(keys[akvc_below(&r->random, READ_MANY)]);
    OK(r, akv_get_many(db, READ_MANY, asked, NULL, values, statuses));
    for (size_t i = 0; i < READ_MANY; i++) {
        const char *key   = asked[i].data;
        bool        there = atoi(key + 4) % 3 == 0;

        CHECK(r, statuses[i] == (there ? AKV_OK : AKV_ABSENT));
        CHECK(r, akvc_equal(akv_bytes(values[i].data, values[i].len),
                            there ? akv_str(key + 3) : akv_str("")));
    }
    akv_values_release(values, READ_MANY);
    OK(r, akv_get_many(db, 0, NULL, NULL, NULL, NULL));
    akvc_close(r, db);
    free(keys);
    free(pairs);
    free(asked);
    free(values);
    free(statuses);
}

static void read_many_small(akvc_run *r)
{
    akv       *db      = akvc_filled(r, "a=1 b=2 =empty none=");
    akv_slice  asked[] = {akv_str("b"), akv_str("x"),    akv_str("b"),
                          akv_str(""),  akv_str("none"), akv_str("a")};
    akv_value  values[6];
    akv_status statuses[6];

    OK(r, akv_get_many(db, 6, asked, NULL, values, statuses));
    CHECK(r, statuses[0] == AKV_OK && values[0].len == 1 && memcmp(values[0].data, "2", 1) == 0);
    CHECK(r, statuses[1] == AKV_ABSENT && values[1].len == 0);
    CHECK(r, statuses[2] == AKV_OK && values[2].len == 1 && memcmp(values[2].data, "2", 1) == 0);
    CHECK(r,
          statuses[3] == AKV_OK && values[3].len == 5 && memcmp(values[3].data, "empty", 5) == 0);
    CHECK(r, statuses[4] == AKV_OK && values[4].len == 0);
    CHECK(r, statuses[5] == AKV_OK && values[5].len == 1 && memcmp(values[5].data, "1", 1) == 0);
    /* one by one in any order, as other values stay borrowed */
    akv_value_release(&values[2]);
    CHECK(r, memcmp(values[0].data, "2", 1) == 0);
    akv_values_release(values, 6);
    akvc_close(r, db);
}

static void read_release(akvc_run *r)
{
    akv      *db    = akvc_filled(r, "a=1");
    akv_value value = AKV_VALUE_INIT;

    akv_value_release(NULL);
    akv_value_release(&value);
    akv_values_release(NULL, 0);
    OK(r, akv_get(db, akv_str("a"), NULL, &value));
    akv_value_release(&value);
    CHECK(r, value.data == NULL && value.len == 0 && value.pin == NULL && value.db == NULL);
    akv_value_release(&value);
    akvc_close(r, db);
}

static void read_options_change_nothing(akvc_run *r)
{
    akv             *db  = akvc_filled(r, "a=1 b=2");
    akv_read_options opt = AKV_READ_OPTIONS_INIT;

    for (opt.flags = 0; opt.flags <= (AKV_READ_VERIFY | AKV_READ_NO_FILL_CACHE); opt.flags++) {
        HAS(r, db, &opt, "a", "1");
        LACKS(r, db, &opt, "c");
        HOLDS(r, db, &opt, "a=1 b=2");
    }
    akvc_close(r, db);
}

static void read_plain_value(akvc_run *r)
{
    static const akv_version_tag none;
    akv                         *db    = akvc_filled(r, "a=1");
    akv_value                    value = AKV_VALUE_INIT;

    OK(r, akv_get(db, akv_str("a"), NULL, &value));
    CHECK(r, value.expiry_ms == 0);
    CHECK(r, value.encoding == AKV_ENCODING_RAW);
    if (r->caps & AKV_CAP_VERSION)
        CHECK(r, memcmp(&value.version, &none, sizeof none) != 0);
    else
        CHECK(r, memcmp(&value.version, &none, sizeof none) == 0);
    akv_value_release(&value);
    akvc_close(r, db);
}

static void read_approximate_size(akvc_run *r)
{
    akv       *db  = akvc_filled(r, "a=1111111111 b=2222222222 c=3333333333");
    uint64_t   all = 0, part = 0;
    akv_status status = akv_approximate_size(db, akv_str(""), akv_str(""), NULL, &all);

    if (status == AKV_UNSUPPORTED) {
        CHECK(r, all == 0);
    } else {
        WANT(r, AKV_OK, status);
        CHECK(r, all > 0);
        OK(r, akv_approximate_size(db, akv_str("x"), akv_str("y"), NULL, &part));
        CHECK(r, part <= all);
    }
    akvc_close(r, db);
}

const akvc_case akvc_read_cases[] = {
    {"get: a key that was put is read back in every way", AKV_CAP_READ, 0, read_put_pairs},
    {"get: an empty store has no keys", AKV_CAP_READ, 0, read_empty_store},
    {"get: of several puts of a key the last counts", AKV_CAP_READ, 0, read_last_put_counts},
    {"get: a miss is AKV_ABSENT and sets no message", AKV_CAP_READ, 0, read_miss_sets_no_message},
    {"get: outputs are empty on a miss", AKV_CAP_READ, 0, read_miss_empties_outputs},
    {"get: empty keys and empty values are kept", AKV_CAP_READ, 0, read_empty_keys_and_values},
    {"get: keys and values are any bytes", AKV_CAP_READ, 0, read_any_bytes},
    {"get: keys as long as the limit are kept", AKV_CAP_READ, 0, read_longest_keys},
    {"get, put: over a limit is AKV_TOO_BIG and changes nothing", AKV_CAP_READ, 0, read_over_limit},
    {"get: values of megabytes are kept", AKV_CAP_READ, 0, read_large_values},
    {"get_into: copies what fits, else tells the length and copies nothing", AKV_CAP_READ, 0,
     read_into},
    {"get_copy: replaces what the buffer held and outlives the handle", AKV_CAP_READ, 0, read_copy},
    {"get_many: answers as get does, with repeats and misses", AKV_CAP_READ, 0, read_many_small},
    {"get_many: takes thousands of keys in any order", AKV_CAP_READ, 0, read_many},
    {"get: a released value is empty; releasing again is fine", AKV_CAP_READ, 0, read_release},
    {"get: flags of a read change no answer", AKV_CAP_READ, 0, read_options_change_nothing},
    {"get: a plain value has no expiry and the raw tag", AKV_CAP_READ, 0, read_plain_value},
    {"approximate_size: an estimate, or AKV_UNSUPPORTED", AKV_CAP_READ, 0, read_approximate_size},
    {NULL, 0, 0, NULL},
};
