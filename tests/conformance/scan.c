/* SPDX-License-Identifier: MIT
 *
 * scan.c: cases of iteration, against a sorted list of the keys that a scan
 * should meet: every combination of bounds, and random walks of moves.
 */
#include "tests/conformance/suite.h"

#include <stdio.h>

#define SCAN_ALL_FLAGS (AKV_SCAN_REVERSE | AKV_SCAN_KEYS_ONLY | AKV_SCAN_UPPER)

/* Sorted. The value of each is "<key>". */
static const char *const scan_keys[] = {
    "", "a", "aa", "ab", "b", "ba", "bb\xff", "bb\xff\xff", "c", "\xfe", "\xff", "\xff\xff",
};
#define SCAN_N (sizeof scan_keys / sizeof *scan_keys)

static const char *const scan_bounds[] = {
    "", "a", "aaa", "b", "bb", "bb\xff", "c", "d", "\xff", "\xff\xff", "\xff\xff\xff",
};
static const char *const scan_prefixes[] = {"", "a", "bb", "bb\xff", "q", "\xff", "\xff\xff"};
#define SCAN_PICK(list, random) (list)[akvc_below(random, sizeof(list) / sizeof *(list))]

static akv *scan_store(akvc_run *r)
{
    static char values[SCAN_N][8];
    akvc_pair   pairs[SCAN_N];
    akv        *db = akvc_new(r);

    for (size_t i = 0; i < SCAN_N; i++) {
        size_t at = (i * 7 + 3) % SCAN_N; /* not in order */

        snprintf(values[at], sizeof values[at], "<%s>", scan_keys[at]);
        pairs[i] = (akvc_pair){akv_str(scan_keys[at]), akv_str(values[at])};
    }
    akvc_fill(r, db, pairs, SCAN_N);
    return db;
}

/* The keys that a scan should meet, in the order of its next moves. */
typedef struct scan_model {
    const char *keys[SCAN_N];
    int         n;
    int         at; /* -1 before the first, n past the last */
    bool        reverse;
} scan_model;

static bool scan_meets(const akv_scan_options *opt, akv_slice key)
{
    bool upper = opt->upper.len != 0 || (opt->flags & AKV_SCAN_UPPER);

    if (akvc_compare(key, opt->lower) < 0 || (upper && akvc_compare(key, opt->upper) >= 0))
        return false;
    return key.len >= opt->prefix.len &&
           akvc_equal(akv_bytes(key.data, opt->prefix.len), opt->prefix);
}

static scan_model scan_expect(const akv_scan_options *opt)
{
    scan_model m = {{NULL}, 0, -1, (opt->flags & AKV_SCAN_REVERSE) != 0};

    for (size_t i = 0; i < SCAN_N; i++) {
        const char *key = scan_keys[m.reverse ? SCAN_N - 1 - i : i];

        if (scan_meets(opt, akv_str(key)))
            m.keys[m.n++] = key;
    }
    return m;
}

static const char *scan_describe(char text[300], const akv_scan_options *opt)
{
    snprintf(text, 300, "scan flags=%u lower=\"%.*s\" upper=\"%.*s\" prefix=\"%.*s\" limit=%u",
             opt->flags, (int)opt->lower.len, (const char *)opt->lower.data, (int)opt->upper.len,
             (const char *)opt->upper.data, (int)opt->prefix.len, (const char *)opt->prefix.data,
             (unsigned)opt->limit);
    return text;
}

/* The iterator must stand where the model says, having answered `status`. */
static void scan_check_at(akvc_run *r, const akv_scan_options *opt, const akv_iter *iter,
                          const scan_model *m, akv_status status, const char *move)
{
    bool        on    = m->at >= 0 && m->at < m->n;
    akv_slice   key   = akv_iter_key(iter);
    akv_slice   value = akv_iter_value(iter);
    char        text[300], want[16];
    const char *wrong = NULL;

    snprintf(want, sizeof want, "<%s>", on ? m->keys[m->at] : "");
    if (opt->flags & AKV_SCAN_KEYS_ONLY || !on)
        want[0] = '\0';
    if (status != (on ? AKV_OK : AKV_END))
        wrong = "its answer";
    else if (akv_iter_valid(iter) != on)
        wrong = "akv_iter_valid";
    else if (!akvc_equal(key, akv_str(on ? m->keys[m->at] : "")))
        wrong = "akv_iter_key";
    else if (!akvc_equal(value, akv_str(want)))
        wrong = "akv_iter_value";
    else if (on &&
             !akvc_equal(akv_bytes(akv_iter_item(iter)->data, akv_iter_item(iter)->len), value))
        wrong = "akv_iter_item";
    if (wrong)
        akvc_fail(r, __FILE__, __LINE__,
                  "%s, after %s: %s is wrong: %s, key \"%.*s\"; expected place %d of %d, \"%s\"",
                  scan_describe(text, opt), move, wrong, akv_status_name(status), (int)key.len,
                  (const char *)key.data, m->at, m->n, on ? m->keys[m->at] : "none");
}

/* Forward to the end and, without a limit, back. */
static void scan_through(akvc_run *r, akv *db, const akv_scan_options *opt)
{
    scan_model m = scan_expect(opt);
    akv_iter  *iter;
    akv_status status;

    if (opt->limit != 0 && opt->limit < (uint64_t)m.n)
        m.n = (int)opt->limit;
    OK(r, akv_scan(db, opt, &iter));
    CHECK(r, !akv_iter_valid(iter) && akv_iter_key(iter).len == 0);
    do {
        status = akv_iter_next(iter);
        m.at++;
        scan_check_at(r, opt, iter, &m, status, "next");
    } while (status == AKV_OK);
    scan_check_at(r, opt, iter, &m, akv_iter_next(iter), "next at the end");
    while (opt->limit == 0 && m.at >= 0) {
        m.at--;
        scan_check_at(r, opt, iter, &m, akv_iter_prev(iter), "prev");
    }
    akv_iter_free(iter);
}

static void scan_combinations(akvc_run *r)
{
    static const uint64_t limits[] = {0, 1, 3, 1000};
    const size_t          bounds   = sizeof scan_bounds / sizeof *scan_bounds;
    akv                  *db       = scan_store(r);
    akv_scan_options      opt      = AKV_SCAN_OPTIONS_INIT;

    for (size_t lower = 0; lower < bounds; lower++)
        for (size_t upper = 0; upper < bounds; upper++)
            for (size_t p = 0; p < sizeof scan_prefixes / sizeof *scan_prefixes; p++)
                for (uint32_t i = 0; i < 4 * (SCAN_ALL_FLAGS + 1); i++) {
                    opt.lower  = akv_str(scan_bounds[lower]);
                    opt.upper  = akv_str(scan_bounds[upper]);
                    opt.prefix = akv_str(scan_prefixes[p]);
                    opt.flags  = i / 4;
                    opt.limit  = limits[i % 4];
                    scan_through(r, db, &opt);
                }
    akvc_close(r, db);
}

static void scan_everything_by_default(akvc_run *r)
{
    akv             *db  = scan_store(r);
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
    akv_iter        *iter;
    scan_model       m = scan_expect(&opt);

    OK(r, akv_scan(db, NULL, &iter));
    for (m.at = 0; m.at <= m.n; m.at++)
        scan_check_at(r, &opt, iter, &m, akv_iter_next(iter), "next");
    akv_iter_free(iter);
    akv_iter_free(NULL);
    akvc_close(r, db);
}

/* --------------------------------------------------------------------- moves */

/* Where the model's cursor goes on a seek to the least key >= `key`, or to the
 * greatest <= `key`. Off an end: that end, as next and prev see it. */
static int scan_seek_place(const scan_model *m, akv_slice key, bool for_prev)
{
    int best = -1;

    for (int i = 0; i < m->n; i++) {
        int  cmp    = akvc_compare(akv_str(m->keys[i]), key);
        bool fits   = for_prev ? cmp <= 0 : cmp >= 0;
        bool closer = m->reverse != for_prev; /* later places lie closer to `key` */

        if (fits && (best < 0 || closer))
            best = i;
    }
    if (best >= 0)
        return best;
    return for_prev == m->reverse ? m->n : -1;
}

/* One random move of both; returns the iterator's answer. */
static akv_status scan_step(akvc_run *r, akv_iter *iter, scan_model *m, char move[64])
{
    akv_slice key = akv_str(akvc_below(&r->random, 2) ? SCAN_PICK(scan_keys, &r->random)
                                                      : SCAN_PICK(scan_bounds, &r->random));

    switch (akvc_below(&r->random, 10)) {
    case 0:
        snprintf(move, 64, "first");
        m->at = m->n ? 0 : m->at;
        return akv_iter_first(iter);
    case 1:
        snprintf(move, 64, "last");
        m->at = m->n ? m->n - 1 : m->at;
        return akv_iter_last(iter);
    case 2:
        snprintf(move, 64, "seek \"%s\"", (const char *)key.data);
        m->at = scan_seek_place(m, key, false);
        return akv_iter_seek(iter, key);
    case 3:
        snprintf(move, 64, "seek_for_prev \"%s\"", (const char *)key.data);
        m->at = scan_seek_place(m, key, true);
        return akv_iter_seek_for_prev(iter, key);
    case 4:
    case 5:
    case 6:
        snprintf(move, 64, "next from place %d", m->at);
        m->at += m->at < m->n;
        return akv_iter_next(iter);
    default:
        snprintf(move, 64, "prev from place %d", m->at);
        m->at -= m->at >= 0;
        return akv_iter_prev(iter);
    }
}

static void scan_walk(akvc_run *r)
{
    akv             *db  = scan_store(r);
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;

    for (int round = 0; round < 400; round++) {
        scan_model m;
        akv_iter  *iter;
        char       move[64];

        opt.flags = (uint32_t)akvc_below(&r->random, SCAN_ALL_FLAGS + 1) &
                    (akvc_below(&r->random, 4) ? ~AKV_SCAN_UPPER : ~0u);
        opt.lower  = akv_str(akvc_below(&r->random, 2) ? SCAN_PICK(scan_bounds, &r->random) : "");
        opt.upper  = akv_str(akvc_below(&r->random, 2) ? SCAN_PICK(scan_bounds, &r->random) : "");
        opt.prefix = akv_str(akvc_below(&r->random, 3) ? "" : SCAN_PICK(scan_prefixes, &r->random));
        m          = scan_expect(&opt);
        OK(r, akv_scan(db, &opt, &iter));
        for (int i = 0; i < 60; i++) {
            akv_status status = scan_step(r, iter, &m, move);

            scan_check_at(r, &opt, iter, &m, status, move);
        }
        akv_iter_free(iter);
    }
    akvc_close(r, db);
}

/* Each key, each bound and what lies between them, within each lower bound. */
static void scan_seeks(akvc_run *r)
{
    akv             *db  = scan_store(r);
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
    const size_t     n   = sizeof scan_bounds / sizeof *scan_bounds;

    for (size_t b = 0; b < 2 * n; b++) {
        scan_model m;
        akv_iter  *iter;

        opt.lower = akv_str(scan_bounds[b / 2]);
        opt.upper = akv_str(scan_bounds[(b / 2 + 4) % n]);
        opt.flags = b % 2 ? AKV_SCAN_REVERSE : 0;
        m         = scan_expect(&opt);
        OK(r, akv_scan(db, &opt, &iter));
        for (size_t i = 0; i < SCAN_N + n; i++) {
            const char *key = i < SCAN_N ? scan_keys[i] : scan_bounds[i - SCAN_N];

            m.at = scan_seek_place(&m, akv_str(key), false);
            scan_check_at(r, &opt, iter, &m, akv_iter_seek(iter, akv_str(key)), "seek");
            m.at = scan_seek_place(&m, akv_str(key), true);
            scan_check_at(r, &opt, iter, &m, akv_iter_seek_for_prev(iter, akv_str(key)),
                          "seek_for_prev");
        }
        akv_iter_free(iter);
    }
    akvc_close(r, db);
}

static void scan_past_ends(akvc_run *r)
{
    akv      *db = akvc_filled(r, "a=1 b=2 c=3");
    akv_iter *iter;

    OK(r, akv_scan(db, NULL, &iter));
    WANT(r, AKV_END, akv_iter_prev(iter)); /* it begins before its first entry */
    OK(r, akv_iter_next(iter));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("a")));
    WANT(r, AKV_END, akv_iter_prev(iter));
    WANT(r, AKV_END, akv_iter_prev(iter));
    OK(r, akv_iter_next(iter));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("a")));
    WANT(r, AKV_END, akv_iter_seek(iter, akv_str("d")));
    CHECK(r, !akv_iter_valid(iter));
    WANT(r, AKV_END, akv_iter_next(iter));
    OK(r, akv_iter_prev(iter));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("c")));
    WANT(r, AKV_END, akv_iter_seek_for_prev(iter, akv_str("A")));
    CHECK(r, akv_iter_item(iter) == NULL || akv_iter_item(iter)->len == 0);
    OK(r, akv_iter_next(iter));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("a")));
    akv_iter_free(iter);
    akvc_close(r, db);
}

static void scan_limit_counts_moves(akvc_run *r)
{
    akv             *db  = akvc_filled(r, "a=1 b=2 c=3 d=4");
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
    akv_iter        *iter;

    opt.limit = 4;
    OK(r, akv_scan(db, &opt, &iter));
    OK(r, akv_iter_last(iter));
    OK(r, akv_iter_prev(iter));
    WANT(r, AKV_END, akv_iter_seek(iter, akv_str("e"))); /* returns none, counts as none */
    OK(r, akv_iter_first(iter));
    OK(r, akv_iter_seek(iter, akv_str("b")));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("b")));
    WANT(r, AKV_END, akv_iter_next(iter));
    CHECK(r, !akv_iter_valid(iter));
    akv_iter_free(iter);
    akvc_close(r, db);
}

static void scan_copies_bounds(akvc_run *r)
{
    akv             *db      = akvc_filled(r, "a=1 ba=2 bb=3 c=4");
    akv_scan_options opt     = AKV_SCAN_OPTIONS_INIT;
    char             lower[] = "b", upper[] = "c", prefix[] = "bb";
    akv_iter        *iter;

    opt.lower  = akv_str(lower);
    opt.upper  = akv_str(upper);
    opt.prefix = akv_str(prefix);
    OK(r, akv_scan(db, &opt, &iter));
    memset(lower, 'x', 1);
    memset(upper, 'x', 1);
    memset(prefix, 'x', 2);
    memset(&opt, 0xff, sizeof opt);
    OK(r, akv_iter_next(iter));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("bb")));
    WANT(r, AKV_END, akv_iter_next(iter));
    akv_iter_free(iter);
    akvc_close(r, db);
}

static void scan_several_at_once(akvc_run *r)
{
    akv      *db = akvc_filled(r, "a=1 b=2 c=3");
    akv_iter *one, *two;

    OK(r, akv_scan(db, NULL, &one));
    OK(r, akv_scan(db, NULL, &two));
    OK(r, akv_iter_last(one));
    OK(r, akv_iter_first(two));
    CHECK(r, akvc_equal(akv_iter_key(one), akv_str("c")));
    CHECK(r, akvc_equal(akv_iter_value(one), akv_str("3")));
    CHECK(r, akvc_equal(akv_iter_key(two), akv_str("a")));
    akv_iter_free(one);
    OK(r, akv_iter_next(two));
    CHECK(r, akvc_equal(akv_iter_value(two), akv_str("2")));
    akv_iter_free(two);
    akvc_close(r, db);
}

/* 5,000 keys: trees split, blocks fill. */
static void scan_many(akvc_run *r)
{
    static char      keys[5000][8];
    static akvc_pair pairs[5000];
    akv             *db = akvc_new(r);
    akv_iter        *iter;
    uint64_t         count;

    for (unsigned i = 0; i < 5000; i++) {
        unsigned at = i * 1999 % 5000;

        snprintf(keys[at], sizeof keys[at], "%05u", at);
        pairs[i] = (akvc_pair){akv_bytes(keys[at], 5), akv_bytes(keys[at] + 2, 3)};
    }
    akvc_fill(r, db, pairs, 5000);
    OK(r, akv_count(db, NULL, &count));
    CHECK(r, count == 5000);
    OK(r, akv_scan(db, NULL, &iter));
    for (unsigned i = 0; i < 5000; i++) {
        OK(r, akv_iter_next(iter));
        CHECK(r, akvc_equal(akv_iter_key(iter), akv_bytes(keys[i], 5)));
        CHECK(r, akvc_equal(akv_iter_value(iter), akv_bytes(keys[i] + 2, 3)));
    }
    WANT(r, AKV_END, akv_iter_next(iter));
    for (unsigned i = 5000; i-- > 0;) {
        OK(r, akv_iter_prev(iter));
        CHECK(r, akvc_equal(akv_iter_key(iter), akv_bytes(keys[i], 5)));
    }
    WANT(r, AKV_END, akv_iter_prev(iter));
    akv_iter_free(iter);
    akvc_close(r, db);
}

static void scan_meets_each_once(akvc_run *r)
{
    akv             *db      = akvc_filled(r, "d=4 a=1 c=3 b=2 =0");
    akv_scan_options opt     = AKV_SCAN_OPTIONS_INIT;
    unsigned         seen[5] = {0};
    akv_iter        *iter;

    HOLDS(r, db, NULL, "=0 a=1 b=2 c=3 d=4");
    opt.flags = AKV_SCAN_KEYS_ONLY;
    OK(r, akv_scan(db, &opt, &iter));
    for (int i = 0; i < 5; i++) {
        akv_slice key;

        OK(r, akv_iter_next(iter));
        key = akv_iter_key(iter);
        CHECK(r, akv_iter_value(iter).len == 0);
        seen[key.len ? *(const char *)key.data - 'a' + 1 : 0]++;
    }
    WANT(r, AKV_END, akv_iter_next(iter));
    akv_iter_free(iter);
    for (int i = 0; i < 5; i++)
        CHECK(r, seen[i] == 1);
    opt.limit = 2;
    OK(r, akv_scan(db, &opt, &iter));
    OK(r, akv_iter_next(iter));
    OK(r, akv_iter_next(iter));
    WANT(r, AKV_END, akv_iter_next(iter));
    akv_iter_free(iter);
    akvc_close(r, db);
}

static void scan_unordered_refuses(akvc_run *r)
{
    akv             *db  = akvc_filled(r, "a=1 b=2");
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
    akv_iter        *iter;

    opt.flags = AKV_SCAN_REVERSE;
    WANT(r, AKV_UNSUPPORTED, akv_scan(db, &opt, &iter));
    CHECK(r, iter == NULL);
    opt.flags = 0;
    opt.lower = akv_str("b");
    WANT(r, AKV_UNSUPPORTED, akv_scan(db, &opt, &iter));
    opt.lower  = akv_str("");
    opt.prefix = akv_str("b");
    WANT(r, AKV_UNSUPPORTED, akv_scan(db, &opt, &iter));
    OK(r, akv_scan(db, NULL, &iter));
    WANT(r, AKV_UNSUPPORTED, akv_iter_seek(iter, akv_str("a")));
    WANT(r, AKV_UNSUPPORTED, akv_iter_seek_for_prev(iter, akv_str("a")));
    WANT(r, AKV_UNSUPPORTED, akv_iter_last(iter));
    OK(r, akv_iter_next(iter));
    WANT(r, AKV_UNSUPPORTED, akv_iter_prev(iter));
    akv_iter_free(iter);
    akvc_close(r, db);
}

const akvc_case akvc_scan_cases[] = {
    {"scan: meets every key once, with or without values", AKV_CAP_READ, 0, scan_meets_each_once},
    {"scan: NULL options mean everything, in the order of memcmp", AKV_CAP_ORDERED, 0,
     scan_everything_by_default},
    {"scan: thousands of keys, forward and back", AKV_CAP_ORDERED, 0, scan_many},
    {"scan: all combinations of bounds, prefix, limit, direction and keys-only", AKV_CAP_ORDERED, 0,
     scan_combinations},
    {"scan: seek finds the least key not below, seek_for_prev the greatest not above",
     AKV_CAP_ORDERED, 0, scan_seeks},
    {"scan: from past an end the move back lands on the last entry there", AKV_CAP_ORDERED, 0,
     scan_past_ends},
    {"scan: random moves within random bounds", AKV_CAP_ORDERED, 0, scan_walk},
    {"scan: the limit counts the entries that moves return", AKV_CAP_ORDERED, 0,
     scan_limit_counts_moves},
    {"scan: bounds are copied", AKV_CAP_ORDERED, 0, scan_copies_bounds},
    {"scan: iterators do not disturb each other", AKV_CAP_ORDERED, 0, scan_several_at_once},
    {"scan: unordered engines refuse bounds, seeks and the way back", AKV_CAP_READ,
     AKVC_NEEDS_CHAOS, scan_unordered_refuses},
    {NULL, 0, 0, NULL},
};
