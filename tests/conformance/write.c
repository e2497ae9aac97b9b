/* SPDX-License-Identifier: MIT
 *
 * write.c: cases of single writes: what they change, what they leave, how far
 * they get.
 */
#include "tests/conformance/suite.h"

#include <stdio.h>

static void write_put_replaces(akvc_run *r)
{
    akv *db = akvc_new(r);

    OK(r, akv_put(db, akv_str("a"), akv_str("one"), NULL));
    HAS(r, db, NULL, "a", "one");
    OK(r, akv_put(db, akv_str("a"), akv_str("a longer value than before"), NULL));
    HAS(r, db, NULL, "a", "a longer value than before");
    OK(r, akv_put(db, akv_str("a"), akv_str(""), NULL));
    HAS(r, db, NULL, "a", "");
    OK(r, akv_put(db, akv_str(""), akv_str("empty"), NULL));
    OK(r, akv_put(db, akv_bytes(NULL, 0), akv_bytes(NULL, 0), NULL));
    HAS(r, db, NULL, "", "");
    HOLDS(r, db, NULL, "= a=");
    akvc_close(r, db);
}

static void write_delete_removes(akvc_run *r)
{
    akv *db = akvc_filled(r, "a=1 b=2 c=3 =0");

    OK(r, akv_delete(db, akv_str("b"), NULL));
    LACKS(r, db, NULL, "b");
    HOLDS(r, db, NULL, "=0 a=1 c=3");
    OK(r, akv_delete(db, akv_str(""), NULL));
    LACKS(r, db, NULL, "");
    OK(r, akv_put(db, akv_str("b"), akv_str("back"), NULL));
    HOLDS(r, db, NULL, "a=1 b=back c=3");
    OK(r, akv_delete(db, akv_str("a"), NULL));
    OK(r, akv_delete(db, akv_str("b"), NULL));
    OK(r, akv_delete(db, akv_str("c"), NULL));
    HOLDS(r, db, NULL, "");
    akvc_close(r, db);
}

static void write_delete_absent(akvc_run *r)
{
    akv *db = akvc_filled(r, "a=1");

    OK(r, akv_delete(db, akv_str("x"), NULL));
    OK(r, akv_delete(db, akv_str(""), NULL));
    OK(r, akv_delete(db, akv_str("a"), NULL));
    OK(r, akv_delete(db, akv_str("a"), NULL));
    HOLDS(r, db, NULL, "");
    akvc_close(r, db);
}

static void write_arguments_are_borrowed(akvc_run *r)
{
    akv *db      = akvc_new(r);
    char key[]   = "key";
    char value[] = "value";

    OK(r, akv_put(db, akv_str(key), akv_str(value), NULL));
    memset(key, 'x', 3);
    memset(value, 'x', 5);
    HOLDS(r, db, NULL, "key=value");
    akvc_close(r, db);
}

/* What a read lent stays as it was until it is given back. */
static void write_leaves_borrowed_values(akvc_run *r)
{
    akv      *db = akvc_filled(r, "a=first b=second");
    akv_value a = AKV_VALUE_INIT, b = AKV_VALUE_INIT, again = AKV_VALUE_INIT;
    char      text[32];

    OK(r, akv_get(db, akv_str("a"), NULL, &a));
    OK(r, akv_get(db, akv_str("b"), NULL, &b));
    OK(r, akv_put(db, akv_str("a"), akv_str("other"), NULL));
    OK(r, akv_delete(db, akv_str("b"), NULL));
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "%d", i);
        OK(r, akv_put(db, akv_str(text), akv_str(text), NULL));
        OK(r, akv_put(db, akv_str("a"), akv_str(text), NULL));
    }
    OK(r, akv_compact(db, NULL));
    CHECK(r, a.len == 5 && memcmp(a.data, "first", 5) == 0);
    CHECK(r, b.len == 6 && memcmp(b.data, "second", 6) == 0);
    OK(r, akv_get(db, akv_str("a"), NULL, &again));
    CHECK(r, again.len == 3 && memcmp(again.data, "999", 3) == 0);
    akv_value_release(&a);
    akv_value_release(&again);
    akv_value_release(&b);
    akvc_close(r, db);
}

static void write_iterator_stays(akvc_run *r)
{
    akv      *db = akvc_filled(r, "a=1 b=2 c=3 d=4");
    akv_iter *iter;
    unsigned  n = 0, sum = 0;

    OK(r, akv_scan(db, NULL, &iter));
    OK(r, akv_iter_next(iter));
    OK(r, akv_put(db, akv_str("b"), akv_str("9"), NULL));
    OK(r, akv_delete(db, akv_str("c"), NULL));
    OK(r, akv_put(db, akv_str("bb"), akv_str("9"), NULL));
    OK(r, akv_put(db, akv_str("z"), akv_str("9"), NULL));
    OK(r, akv_delete(db, akv_str("a"), NULL));
    do {
        n++;
        CHECK(r, akv_iter_key(iter).len == 1 && akv_iter_value(iter).len == 1);
        sum += (unsigned)*(const char *)akv_iter_value(iter).data - '0';
    } while (akv_iter_next(iter) == AKV_OK);
    CHECK(r, n == 4 && sum == 10);
    akv_iter_free(iter);
    HOLDS(r, db, NULL, "b=9 bb=9 d=4 z=9");
    akvc_close(r, db);
}

/* Also backwards, by seeks, and though it was made and not yet moved. */
static void write_ordered_iterator_stays(akvc_run *r)
{
    akv      *db = akvc_filled(r, "a=1 c=3 e=5");
    akv_iter *iter;

    OK(r, akv_scan(db, NULL, &iter));
    OK(r, akv_put(db, akv_str("b"), akv_str("2"), NULL));
    OK(r, akv_put(db, akv_str("c"), akv_str("x"), NULL));
    OK(r, akv_delete(db, akv_str("e"), NULL));
    OK(r, akv_put(db, akv_str("f"), akv_str("6"), NULL));
    OK(r, akv_iter_last(iter));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("e")));
    CHECK(r, akvc_equal(akv_iter_value(iter), akv_str("5")));
    OK(r, akv_iter_seek(iter, akv_str("b")));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("c")));
    CHECK(r, akvc_equal(akv_iter_value(iter), akv_str("3")));
    OK(r, akv_iter_seek_for_prev(iter, akv_str("b")));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("a")));
    OK(r, akv_compact(db, NULL));
    OK(r, akv_iter_next(iter));
    CHECK(r, akvc_equal(akv_iter_value(iter), akv_str("3")));
    akv_iter_free(iter);
    HOLDS(r, db, NULL, "a=1 b=2 c=x f=6");
    akvc_close(r, db);
}

static void write_failed_leaves_all(akvc_run *r)
{
    akv              *db  = akvc_filled(r, "a=1");
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;

    if (r->max_value < SIZE_MAX)
        WANT(r, AKV_TOO_BIG,
             akv_put(db, akv_str("a"), akv_bytes("", (size_t)r->max_value + 1), NULL));
    opt.deadline_ns = 1;
    WANT(r, AKV_TIMEOUT, akv_put(db, akv_str("a"), akv_str("2"), &opt));
    WANT(r, AKV_TIMEOUT, akv_delete(db, akv_str("a"), &opt));
    HOLDS(r, db, NULL, "a=1");
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), NULL));
    HOLDS(r, db, NULL, "a=2");
    akvc_close(r, db);
}

static void write_many_overwrites(akvc_run *r)
{
    akv     *db = akvc_new(r);
    uint64_t count;
    char     key[8], value[300];

    memset(value, 'v', sizeof value);
    for (unsigned i = 0; i < 6000; i++) {
        snprintf(key, sizeof key, "%03u", i % 500);
        snprintf(value, sizeof value, "%u", i);
        value[strlen(value)] = 'v';
        OK(r, akv_put(db, akv_bytes(key, 3), akv_bytes(value, i % 300), NULL));
    }
    OK(r, akv_count(db, NULL, &count));
    CHECK(r, count == 500);
    for (unsigned i = 5500; i < 6000; i++) {
        akv_value got = AKV_VALUE_INIT;

        snprintf(key, sizeof key, "%03u", i % 500);
        OK(r, akv_get(db, akv_bytes(key, 3), NULL, &got));
        CHECK(r, got.len == i % 300);
        akv_value_release(&got);
    }
    akvc_close(r, db);
}

/* ---------------------------------------------------------------- durability */

static akv_durability write_reached(akvc_run *r, akv *db, uint32_t sync)
{
    akv_write_options opt    = AKV_WRITE_OPTIONS_INIT;
    akv_write_result  result = {{{0}}, (akv_durability)77, 0, 0};

    opt.sync       = sync;
    opt.result_out = &result;
    OK(r, akv_put(db, akv_str("a"), akv_str("1"), &opt));
    CHECK(r, result.durability <= AKV_REACHED_DEVICE);
    return result.durability;
}

static void write_tells_durability(akvc_run *r)
{
    akv *db = akvc_new(r);

    for (uint32_t sync = AKV_SYNC_DEFAULT; sync <= AKV_SYNC_NEVER; sync++) {
        akv_durability got = write_reached(r, db, sync);

        if (r->caps & AKV_CAP_DURABLE)
            CHECK(r, got >= (sync == AKV_SYNC_ALWAYS ? AKV_REACHED_DEVICE : AKV_REACHED_KERNEL));
    }
    OK(r, akv_sync(db));
    akvc_close(r, db);
}

static void write_sync_of_the_store(akvc_run *r)
{
    akv_open_options opt = akvc_options(r);
    akv             *db;

    for (uint32_t sync = AKV_SYNC_DEFAULT; sync <= AKV_SYNC_NEVER; sync++) {
        opt.sync = sync;
        OK(r, akv_open(r->engine, akvc_new_path(r), &opt, &db));
        for (uint32_t word = AKV_SYNC_DEFAULT; word <= AKV_SYNC_NEVER; word++) {
            akv_durability got = write_reached(r, db, word);

            if ((r->caps & AKV_CAP_DURABLE) && sync == AKV_SYNC_ALWAYS)
                CHECK(r, got == AKV_REACHED_DEVICE); /* never less than the store's */
        }
        OK(r, akv_sync(db));
        HOLDS(r, db, NULL, "a=1");
        akvc_close(r, db);
    }
}

static void write_finish_is_sync(akvc_run *r)
{
    akv *db = akvc_filled(r, "a=1");

    OK(r, akv_finish(db, NULL));
    OK(r, akv_put(db, akv_str("b"), akv_str("2"), NULL));
    WANT(r, AKV_UNSUPPORTED, akv_abort(db));
    HOLDS(r, db, NULL, "a=1 b=2");
    akvc_close(r, db);
}

static void write_encoding_kept(akvc_run *r)
{
    akv              *db  = akvc_new(r);
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    akv_value         value;
    akv_iter         *iter;
    char              key[2] = "0";

    for (opt.encoding = AKV_ENCODING_RAW; opt.encoding <= AKV_ENCODING_OPAQUE; opt.encoding++) {
        key[0] = (char)('0' + opt.encoding);
        OK(r, akv_put(db, akv_str(key), akv_str("v"), &opt));
        OK(r, akv_get(db, akv_str(key), NULL, &value));
        CHECK(r, value.encoding == opt.encoding);
        akv_value_release(&value);
    }
    OK(r, akv_scan(db, NULL, &iter));
    while (akv_iter_next(iter) == AKV_OK)
        CHECK(r, akv_iter_item(iter)->encoding ==
                     (uint32_t)(*(const char *)akv_iter_key(iter).data - '0'));
    akv_iter_free(iter);
    OK(r, akv_put(db, akv_str("1"), akv_str("w"), NULL));
    OK(r, akv_get(db, akv_str("1"), NULL, &value));
    CHECK(r, value.encoding == AKV_ENCODING_RAW);
    akv_value_release(&value);
    akvc_close(r, db);
}

const akvc_case akvc_write_cases[] = {
    {"put: replaces what was there", AKV_CAP_WRITE, 0, write_put_replaces},
    {"delete: removes just that key", AKV_CAP_WRITE, 0, write_delete_removes},
    {"delete: of what is not there is AKV_OK", AKV_CAP_WRITE, 0, write_delete_absent},
    {"put: arguments are borrowed for the call", AKV_CAP_WRITE, 0, write_arguments_are_borrowed},
    {"put: thousands of overwrites", AKV_CAP_WRITE, 0, write_many_overwrites},
    {"get: a borrowed value stays while its key is written", AKV_CAP_WRITE, 0,
     write_leaves_borrowed_values},
    {"scan: an iterator sees the store as it was when it was made", AKV_CAP_WRITE, 0,
     write_iterator_stays},
    {"scan: so do seeks and the way back", AKV_CAP_WRITE | AKV_CAP_ORDERED, 0,
     write_ordered_iterator_stays},
    {"put: a failed write leaves the store as it was", AKV_CAP_WRITE, 0, write_failed_leaves_all},
    {"sync: the result tells how far a write got", AKV_CAP_WRITE, 0, write_tells_durability},
    {"sync: a write is never synced less than the store", AKV_CAP_WRITE, 0,
     write_sync_of_the_store},
    {"finish: on a store not built it is sync, and abort unsupported", AKV_CAP_WRITE, 0,
     write_finish_is_sync},
    {"encoding: tags are kept until the next put", AKV_CAP_WRITE | AKV_CAP_ENCODING, 0,
     write_encoding_kept},
    {NULL, 0, 0, NULL},
};
