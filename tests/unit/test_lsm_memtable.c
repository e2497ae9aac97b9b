/* SPDX-License-Identifier: MIT
 *
 * test_lsm_memtable.c: the memtable against a sorted array, over kinds of keys
 * that take its heads to their edges; and readers beside the adder.
 */
#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "engines/lsm/memtable.h"
#include "tests/testing.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_MAX 48u

/* Kinds of keys; each makes few different ones, so that many have versions. */
static size_t key_make(unsigned kind, uint64_t i, char bytes[KEY_MAX])
{
    size_t len;

    switch (kind) {
    case 0: /* numbers behind a prefix longer than any head */
        return (size_t)snprintf(bytes, KEY_MAX, "a/common/prefix/%012llu", (unsigned long long)i);
    case 1: /* every key a prefix of the next, zeroes at heads' ends, and the empty key */
        len = i % KEY_MAX;
        memset(bytes, 0, KEY_MAX);
        if (len > 0)
            bytes[len - 1] = (char)(i / KEY_MAX % 3);
        return len;
    case 2: /* spread evenly */ akvi_put_be64(bytes, i * UINT64_C(0x9e3779b97f4a7c15)); return 8;
    case 3: /* few letters: many equal heads, then one far behind */
        memset(bytes, 'x', 40);
        for (len = 8; i > 0; i /= 3, len += 4)
            bytes[len] = (char)('a' + i % 3);
        return len < 40 ? len + 1 : 40;
    case 4: /* one key */ memset(bytes, 'k', 9); return 9;
    default: /* bytes over 0x7f, one or two of them */
        bytes[0] = (char)(i >> 8);
        bytes[1] = (char)i;
        return 1 + i % 2;
    }
}
#define KINDS 6u

typedef struct model {
    lsm_entry *entries; /* in order */
    size_t     n;
} model;

static int entry_compare(const void *a, const void *b)
{
    const lsm_entry *x = a, *y = b;

    return lsm_order(x->key, x->seq, y->key, y->seq);
}

/* The place of the first entry not before (key, seq). */
static size_t model_lower(const model *m, akv_slice key, uint64_t seq)
{
    size_t low = 0, high = m->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (lsm_order(m->entries[mid].key, m->entries[mid].seq, key, seq) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void assert_entry(const lsm_entry *got, const lsm_entry *want)
{
    assert_int_equal(got->seq, want->seq);
    assert_int_equal(got->kind, want->kind);
    assert_int_equal(got->encoding, want->encoding);
    assert_int_equal(got->expiry_ms, want->expiry_ms);
    assert_true(akvi_equal(got->key.data, got->key.len, want->key.data, want->key.len));
    assert_true(akvi_equal(got->value.data, got->value.len, want->value.data, want->value.len));
}

typedef enum key_order { SPREAD, RISING, FALLING } key_order;

static lsm_entry entry_make(akvt_random *r, unsigned kind, key_order order, uint64_t i, uint64_t n)
{
    char      bytes[KEY_MAX];
    uint64_t  which     = order == SPREAD ? akvt_below(r, n) : order == RISING ? i : n - i;
    size_t    len       = key_make(kind, which, bytes);
    size_t    value_len = akvt_below(r, 40);
    char     *copy      = malloc(len + value_len + 1);
    lsm_entry e         = {.seq = i + 1};

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    memset(copy + len, (int)('a' + i % 26), value_len);
    e.key       = akv_bytes(copy, len);
    e.value     = akv_bytes(copy + len, value_len);
    e.kind      = akvt_below(r, 4) == 0 ? LSM_DELETE : LSM_PUT;
    e.encoding  = (uint8_t)akvt_below(r, 4);
    e.expiry_ms = akvt_below(r, 3) == 0 ? i + 7 : 0;
    return e;
}

static void add(lsm_memtable *m, const lsm_entry *e)
{
    assert_ok(akvi_lsm_memtable_reserve(m, 1, e->key.len + e->value.len));
    akvi_lsm_memtable_add(m, e);
}

static void check_walks(lsm_memtable *m, const model *want)
{
    lsm_cursor *c;
    size_t      i = 0;
    akv_status  rc;

    assert_ok(akvi_lsm_memtable_cursor(m, &c));
    for (rc = lsm_cursor_move(c, LSM_FIRST); rc == AKV_OK; rc = lsm_cursor_move(c, LSM_NEXT)) {
        assert_true(i < want->n);
        assert_entry(&c->entry, &want->entries[i++]);
    }
    assert_int_equal(rc, AKV_END);
    assert_int_equal(i, want->n);
    for (rc = lsm_cursor_move(c, LSM_LAST); rc == AKV_OK; rc = lsm_cursor_move(c, LSM_PREV)) {
        assert_true(i > 0);
        assert_entry(&c->entry, &want->entries[--i]);
    }
    assert_int_equal(rc, AKV_END);
    assert_int_equal(i, 0);
    lsm_cursor_free(c);
}

/* A get, a seek each way and a step from there, all for one (key, seq). */
static void check_one(lsm_memtable *m, lsm_cursor *c, const model *want, akv_slice key,
                      uint64_t seq)
{
    size_t at = model_lower(want, key, seq);
    bool   is = at < want->n &&
              akvi_equal(want->entries[at].key.data, want->entries[at].key.len, key.data, key.len);
    lsm_entry e;

    assert_status(is ? AKV_OK : AKV_ABSENT, akvi_lsm_memtable_get(m, key, seq, &e));
    if (is)
        assert_entry(&e, &want->entries[at]);
    assert_status(at < want->n ? AKV_OK : AKV_END, c->ops->move(c, LSM_SEEK, key, seq));
    if (at < want->n) {
        assert_entry(&c->entry, &want->entries[at]);
        assert_status(at > 0 ? AKV_OK : AKV_END, lsm_cursor_move(c, LSM_PREV));
        if (at > 0)
            assert_entry(&c->entry, &want->entries[at - 1]);
    }
    if (at == want->n || lsm_order(want->entries[at].key, want->entries[at].seq, key, seq) > 0)
        at--; /* SIZE_MAX: none */
    assert_status(at < want->n ? AKV_OK : AKV_END, c->ops->move(c, LSM_SEEK_FOR_PREV, key, seq));
    if (at < want->n) {
        assert_entry(&c->entry, &want->entries[at]);
        assert_status(at + 1 < want->n ? AKV_OK : AKV_END, lsm_cursor_move(c, LSM_NEXT));
        if (at + 1 < want->n)
            assert_entry(&c->entry, &want->entries[at + 1]);
    }
}

static void check_kind(unsigned kind, key_order order, size_t n)
{
    akvt_random   r    = akvt_random_new(kind * 3 + (unsigned)order);
    model         want = {malloc((n + 1) * sizeof *want.entries), n};
    char          bytes[KEY_MAX];
    lsm_memtable *m;
    lsm_cursor   *c;

    assert_ok(akvi_lsm_memtable_new(NULL, &m));
    for (size_t i = 0; i < n; i++) {
        want.entries[i] = entry_make(&r, kind, order, i, n);
        add(m, &want.entries[i]);
    }
    qsort(want.entries, n, sizeof *want.entries, entry_compare);
    assert_int_equal(akvi_lsm_memtable_entries(m), n);
    check_walks(m, &want);
    assert_ok(akvi_lsm_memtable_cursor(m, &c));
    for (size_t i = 0; i < n / 2; i++) {
        size_t   len  = key_make(kind, akvt_below(&r, n + n / 4), bytes);
        uint64_t pick = akvt_below(&r, 4);

        check_one(m, c, &want, akv_bytes(bytes, len),
                  pick == 0   ? 0
                  : pick == 1 ? LSM_SEQ_MAX
                              : akvt_below(&r, n + 2));
    }
    lsm_cursor_free(c);
    akvi_lsm_memtable_unref(m);
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)want.entries[i].key.data);
    free(want.entries);
}

static void test_agrees_with_a_sorted_array_for_all_kinds_of_keys(void **state)
{
    static const size_t sizes[] = {0, 1, 14, 15, 29, 300, 6000};

    (void)state;
    for (unsigned kind = 0; kind < KINDS; kind++)
        for (unsigned order = SPREAD; order <= FALLING; order++)
            for (size_t i = 0; i < AKVI_ARRAY_N(sizes); i++)
                check_kind(kind, (key_order)order, sizes[i]);
}

static void test_ranges_are_apart_and_stay_where_readers_have_them(void **state)
{
    lsm_memtable    *m;
    const lsm_entry *before, *after;
    size_t           n;
    char             from[8], to[8];
    lsm_entry        e;
    lsm_cursor      *c;

    (void)state;
    assert_ok(akvi_lsm_memtable_new(NULL, &m));
    assert_int_equal(akvi_lsm_memtable_covered(m, akv_str("x"), LSM_SEQ_MAX), 0);
    for (uint64_t i = 0; i < 100; i++) {
        akvi_put_be64(from, 10 * i);
        akvi_put_be64(to, 10 * i + 15);
        e       = (lsm_entry){.kind = LSM_DELETE_RANGE, .seq = i + 1};
        e.key   = akv_bytes(from, 8);
        e.value = i < 99 ? akv_bytes(to, 8) : akv_bytes(NULL, 0);
        add(m, &e);
        if (i == 0)
            before = akvi_lsm_memtable_ranges(m, &n);
    }
    assert_int_equal(n, 1);
    assert_int_equal(before[0].seq, 1);
    after = akvi_lsm_memtable_ranges(m, &n);
    assert_int_equal(n, 100);
    assert_int_equal(after[7].seq, 8);
    assert_int_equal(akvi_get_be64(after[7].key.data), 70);
    assert_int_equal(akvi_lsm_memtable_entries(m), 100);

    akvi_put_be64(from, 52); /* in [40, 55) as of 5 and [50, 65) as of 6 */
    assert_int_equal(akvi_lsm_memtable_covered(m, akv_bytes(from, 8), LSM_SEQ_MAX), 6);
    assert_int_equal(akvi_lsm_memtable_covered(m, akv_bytes(from, 8), 5), 5);
    assert_int_equal(akvi_lsm_memtable_covered(m, akv_bytes(from, 8), 4), 0);
    akvi_put_be64(from, 55); /* upper bounds are not in */
    assert_int_equal(akvi_lsm_memtable_covered(m, akv_bytes(from, 8), LSM_SEQ_MAX), 6);
    assert_int_equal(akvi_lsm_memtable_covered(m, akv_str("zzz"), LSM_SEQ_MAX), 100);

    assert_status(AKV_ABSENT, akvi_lsm_memtable_get(m, akv_bytes(to, 8), LSM_SEQ_MAX, &e));
    assert_ok(akvi_lsm_memtable_cursor(m, &c));
    assert_status(AKV_END, lsm_cursor_move(c, LSM_FIRST));
    lsm_cursor_free(c);
    akvi_lsm_memtable_unref(m);
}

/* All of it in one reserve, so a single add that took memory would be seen. */
static void fill_reserved(const akv_allocator *allocator, lsm_memtable *m, size_t first, size_t n,
                          unsigned how)
{
    char      key[16], value[64] = "v";
    lsm_entry e = {.kind = LSM_PUT};
    int64_t   out;

    if (akvi_lsm_memtable_reserve(m, n, n * (sizeof key + sizeof value)) != AKV_OK)
        return;
    (void)allocator;
    out = akvt_allocator_out();
    for (size_t i = first; i < first + n; i++) {
        uint64_t which = how == 0   ? i
                         : how == 1 ? UINT64_MAX - i
                                    : i * UINT64_C(0x9e3779b97f4a7c15);

        snprintf(key, sizeof key, "%015llx", (unsigned long long)(which >> 4));
        e.key       = akv_bytes(key, sizeof key);
        e.value     = akv_bytes(value, sizeof value);
        e.expiry_ms = i;
        e.seq       = i + 1;
        e.kind      = how == 3 ? LSM_DELETE_RANGE : LSM_PUT;
        akvi_lsm_memtable_add(m, &e);
    }
    assert_int_equal(akvt_allocator_out(), out);
}

static void test_adds_within_what_is_reserved_take_no_memory(void **state)
{
    static const size_t batches[] = {1, 2, 13, 100, 1000, 10000};

    (void)state;
    for (unsigned how = 0; how < 4; how++) {
        const akv_allocator *allocator = akvt_failing_allocator(0);
        lsm_memtable        *m;
        size_t               at = 0;

        assert_ok(akvi_lsm_memtable_new(allocator, &m));
        for (unsigned round = 0; round < 3; round++)
            for (size_t i = 0; i < AKVI_ARRAY_N(batches); at += batches[i++])
                fill_reserved(allocator, m, at, batches[i], how);
        for (size_t i = 0; i < 3000; i++, at++)
            fill_reserved(allocator, m, at, 1, how);
        assert_int_equal(akvi_lsm_memtable_entries(m), at);
        akvi_lsm_memtable_unref(m);
        assert_int_equal(akvt_allocator_out(), 0);
    }
}

static void test_without_memory_nothing_is_lost(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        const akv_allocator *allocator = akvt_failing_allocator(nth);
        lsm_memtable        *m;
        lsm_cursor          *c;
        uint64_t             n, failed = 0;
        akv_status           rc;

        if (akvi_lsm_memtable_new(allocator, &m) != AKV_OK) {
            assert_null(m);
            continue;
        }
        for (size_t i = 0; i < 2000; i++) {
            uint64_t was = akvi_lsm_memtable_entries(m);

            fill_reserved(allocator, m, i, 1, 2);
            failed += was == akvi_lsm_memtable_entries(m);
        }
        assert_int_equal(akvi_lsm_memtable_entries(m), 2000 - failed);
        rc = akvi_lsm_memtable_cursor(m, &c);
        if (rc == AKV_OK) {
            for (n = 0, rc = lsm_cursor_move(c, LSM_FIRST); rc == AKV_OK; n++)
                rc = lsm_cursor_move(c, LSM_NEXT);
            assert_int_equal(n, 2000 - failed);
            lsm_cursor_free(c);
        } else {
            failed++;
        }
        akvi_lsm_memtable_unref(m);
        assert_int_equal(akvt_allocator_out(), 0);
        if (failed == 0)
            return;
    }
}

static void test_memory_is_told_and_little_beside_the_data(void **state)
{
    lsm_memtable *m;
    size_t        empty;

    (void)state;
    assert_ok(akvi_lsm_memtable_new(NULL, &m));
    empty = akvi_lsm_memtable_bytes(m);
    assert_true(empty < 64u * 1024u);
    for (size_t i = 0; i < 50000; i++)
        fill_reserved(NULL, m, i, 1, 2);
    assert_true(akvi_lsm_memtable_bytes(m) > 50000 * 80);
    assert_true(akvi_lsm_memtable_bytes(m) < 50000 * (80 + 24 + 48) + 1024u * 1024u);
    akvi_lsm_memtable_unref(m);
}

/* ------------------------------------------------------------------ threads */

typedef struct shared {
    lsm_memtable    *m;
    _Atomic uint64_t added; /* all entries with seq <= this are in */
    _Atomic bool     done;
    uint64_t         n;
    unsigned         kind;
} shared;

/* Key number i and what its n-th write holds can be told from each other. */
static uint64_t spread(uint64_t i)
{
    return i * UINT64_C(0x9e3779b97f4a7c15);
}

static size_t shared_key(const shared *s, uint64_t i, char key[24])
{
    uint64_t which = s->kind == 0 ? spread(i) : s->kind == 1 ? i : UINT64_MAX - i;

    akvi_put_be64(key, which);
    akvi_put_be64(key + 8, i);
    return 16;
}

static void *run_adder(void *arg)
{
    shared *s = arg;
    char    key[24];

    for (uint64_t i = 1; i <= s->n; i++) {
        uint64_t  number = i % 2 == 0 ? i / 2 : i; /* every odd one is written again later */
        lsm_entry e      = {.seq = i, .kind = i % 100 == 0 ? LSM_DELETE_RANGE : LSM_PUT};

        e.key   = akv_bytes(key, shared_key(s, number, key));
        e.value = e.key;
        if (akvi_lsm_memtable_reserve(s->m, 1, e.key.len + e.value.len) != AKV_OK)
            abort();
        akvi_lsm_memtable_add(s->m, &e);
        atomic_store_explicit(&s->added, i, memory_order_release);
    }
    atomic_store(&s->done, true);
    return NULL;
}

/* What was written as of `seq` under key number i; 0: nothing. */
static uint64_t shared_newest(uint64_t i, uint64_t seq)
{
    uint64_t again = 2 * i;

    if (again <= seq && again % 100 != 0)
        return again;
    return i % 2 == 1 && i <= seq ? i : 0;
}

static void check_gets(shared *s, akvt_random *r)
{
    uint64_t  seq = atomic_load_explicit(&s->added, memory_order_acquire);
    lsm_entry e;
    char      key[24];

    for (unsigned n = 0; n < 50 && seq > 0; n++) {
        uint64_t i = 1 + akvt_below(r, seq), want = shared_newest(i, seq);
        size_t   len = shared_key(s, i, key);

        if (akvi_lsm_memtable_get(s->m, akv_bytes(key, len), seq, &e) == AKV_OK ? e.seq != want
                                                                                : want != 0)
            abort();
        if (want && !akvi_equal(e.value.data, e.value.len, key, len))
            abort();
    }
}

/* Both ways through all of it: in order, and nothing that was in is missing. */
static void check_cursor(shared *s, lsm_move from, lsm_move step)
{
    uint64_t    seq = atomic_load_explicit(&s->added, memory_order_acquire), seen = 0;
    lsm_cursor *c;
    lsm_entry   last = {0};

    if (akvi_lsm_memtable_cursor(s->m, &c) != AKV_OK)
        abort();
    for (akv_status rc = lsm_cursor_move(c, from); rc == AKV_OK; rc = lsm_cursor_move(c, step)) {
        int order = last.seq ? lsm_order(last.key, last.seq, c->entry.key, c->entry.seq) : 0;

        if (last.seq && (step == LSM_NEXT ? order >= 0 : order <= 0))
            abort();
        last = c->entry;
        seen += c->entry.seq <= seq;
    }
    if (seen != seq - seq / 100)
        abort();
    lsm_cursor_free(c);
}

static void *run_reader(void *arg)
{
    shared     *s = arg;
    akvt_random r = {.state = (uint64_t)(uintptr_t)&r};

    for (unsigned turn = 0; turn < 5 || !atomic_load(&s->done); turn++) {
        size_t n;

        check_gets(s, &r);
        if (turn % 8 == 0)
            check_cursor(s, LSM_FIRST, LSM_NEXT);
        if (turn % 8 == 4)
            check_cursor(s, LSM_LAST, LSM_PREV);
        if (akvi_lsm_memtable_covered(s->m, akv_str(""), LSM_SEQ_MAX) != 0)
            abort();
        (void)akvi_lsm_memtable_ranges(s->m, &n);
    }
    return NULL;
}

static void test_readers_beside_the_adder_see_all_that_was_in(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) {
        shared    s = {.n = 30000 * akvt_scale(), .kind = kind};
        pthread_t threads[4];

        assert_ok(akvi_lsm_memtable_new(NULL, &s.m));
        for (unsigned i = 1; i < 4; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, run_reader, &s), 0);
        assert_int_equal(pthread_create(&threads[0], NULL, run_adder, &s), 0);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        akvi_lsm_memtable_unref(s.m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_a_sorted_array_for_all_kinds_of_keys),
        cmocka_unit_test(test_ranges_are_apart_and_stay_where_readers_have_them),
        cmocka_unit_test(test_adds_within_what_is_reserved_take_no_memory),
        cmocka_unit_test(test_without_memory_nothing_is_lost),
        cmocka_unit_test(test_memory_is_told_and_little_beside_the_data),
        cmocka_unit_test(test_readers_beside_the_adder_see_all_that_was_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
