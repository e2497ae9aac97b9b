/* SPDX-License-Identifier: MIT
 *
 * test_fused_reader.c: what a reader of .fsdb files promises: look-ups, batches,
 * cursors both ways, objects, verify, and that its bytes last until it closes.
 */
#include "tests/unit/fused_raw.h"

#include "engines/fused/table.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL_KEYS 5000u

typedef struct model_pair {
    uint8_t  key[40];
    size_t   len;
    uint32_t object;
} model_pair;

/* A store and the sorted array that says what is in it. */
typedef struct model {
    model_pair pairs[MODEL_KEYS];
    size_t     n;
    akv_fused *f;
    char       path[4200];
} model;

static int model_compare(const void *a, const void *b)
{
    const model_pair *x = a, *y = b;

    return akvi_compare(x->key, x->len, y->key, y->len);
}

static akv_slice model_key(const model *m, size_t i)
{
    return akv_bytes(m->pairs[i].key, m->pairs[i].len);
}

/* Few different bytes, so that keys begin each other and share prefixes. */
static void model_random_key(akvt_random *r, model_pair *p)
{
    static const uint8_t bytes[] = {0x00, 'a', 'b', 0xff};

    p->len = akvt_below(r, 4) ? akvt_below(r, 9) : akvt_below(r, sizeof p->key);
    for (size_t i = 0; i < p->len; i++)
        p->key[i] = bytes[akvt_below(r, sizeof bytes)];
}

static int model_setup(void **state)
{
    static model      m;
    akvt_random       r = akvt_random_new(1);
    akv_fused_writer *w;
    size_t            n = 0;

    snprintf(m.path, sizeof m.path, "%s/model.fsdb", akvt_folder());
    assert_ok(akv_fused_writer_new(NULL, &w));
    for (uint32_t i = 0, id; i < 64; i++)
        assert_ok(akv_fused_add_object(w, akv_bytes(&i, i % 5 ? sizeof i : 0), &id));
    for (size_t i = 0; i < MODEL_KEYS; i++)
        model_random_key(&r, &m.pairs[i]);
    qsort(m.pairs, MODEL_KEYS, sizeof *m.pairs, model_compare);
    for (size_t i = 0; i < MODEL_KEYS; i++) {
        if (n > 0 && model_compare(&m.pairs[n - 1], &m.pairs[i]) == 0)
            continue;
        m.pairs[n]          = m.pairs[i];
        m.pairs[n++].object = (uint32_t)akvt_below(&r, 64);
    }
    m.n = n;
    for (size_t i = 0; i < n; i++) /* backwards and wrong, then again and right */
        assert_ok(akv_fused_add_key(w, model_key(&m, n - 1 - i), (uint32_t)(i % 64)));
    for (size_t i = 0; i < n; i++)
        assert_ok(akv_fused_add_key(w, model_key(&m, i), m.pairs[i].object));
    assert_ok(akv_fused_build(w, m.path, NULL));
    akv_fused_writer_free(w);
    assert_ok(akv_fused_open(m.path, NULL, &m.f));
    *state = &m;
    return 0;
}

static int model_teardown(void **state)
{
    akv_fused_close(((model *)*state)->f);
    return 0;
}

static void model_same(const model *m, size_t i, akv_slice object)
{
    uint32_t id = m->pairs[i].object;

    assert_int_equal(object.len, id % 5 ? sizeof id : 0);
    assert_memory_equal(object.data, &id, object.len);
}

/* The number of keys below (or up to) a key. */
static size_t model_bound(const model *m, akv_slice key, bool with)
{
    size_t i = 0;

    while (i < m->n &&
           akvi_compare(m->pairs[i].key, m->pairs[i].len, key.data, key.len) < (with ? 1 : 0))
        i++;
    return i;
}

/* -------------------------------------------------------------------- lookups */

static void test_fused_get_finds_every_key_and_no_other(void **state)
{
    const model *m    = *state;
    akvt_random  r    = akvt_random_new(2);
    size_t       gone = 0;
    akv_slice    object;

    assert_int_equal(akv_fused_count(m->f), m->n);
    for (size_t i = 0; i < m->n; i++) {
        assert_ok(akv_fused_get(m->f, model_key(m, i), &object));
        model_same(m, i, object);
        assert_ok(akv_fused_exists(m->f, model_key(m, i)));
    }
    for (size_t i = 0; i < 5000; i++) {
        model_pair p = {{0}, 0, 0};
        akv_status want;

        model_random_key(&r, &p);
        want = bsearch(&p, m->pairs, m->n, sizeof p, model_compare) ? AKV_OK : AKV_ABSENT;
        assert_status(want, akv_fused_exists(m->f, akv_bytes(p.key, p.len)));
        assert_status(want, akv_fused_get(m->f, akv_bytes(p.key, p.len), &object));
        if (want == AKV_ABSENT) {
            assert_null(object.data);
            assert_int_equal(object.len, 0);
            gone++;
        }
    }
    assert_true(gone > 100);
}

static void test_fused_get_many_answers_as_get(void **state)
{
    const model *m    = *state;
    akvt_random  r    = akvt_random_new(3);
    size_t       n    = 1000;
    model_pair  *keys = calloc(n, sizeof *keys);
    akv_slice   *ask = calloc(n, sizeof *ask), *got = calloc(n, sizeof *got);
    akv_status  *statuses = calloc(n, sizeof *statuses);

    assert_true(keys && ask && got && statuses);
    for (size_t i = 0; i < n; i++) {
        model_random_key(&r, &keys[i]);
        ask[i] = akvt_below(&r, 2) ? model_key(m, akvt_below(&r, m->n))
                                   : akv_bytes(keys[i].key, keys[i].len);
    }
    for (size_t part = 0; part <= n; part += part < 130 ? 1 : 290) {
        assert_ok(akv_fused_get_many(m->f, part, ask, got, statuses));
        for (size_t i = 0; i < part; i++) {
            akv_slice  object;
            akv_status st = akv_fused_get(m->f, ask[i], &object);

            assert_int_equal(statuses[i], st);
            assert_ptr_equal(got[i].data, object.data);
            assert_int_equal(got[i].len, object.len);
        }
    }
    free(keys);
    free(ask);
    free(got);
    free(statuses);
}

static void test_fused_get_hands_out_the_files_own_bytes(void **state)
{
    const model *m = *state;
    akv_slice    a, b;
    size_t       i = 0, k;

    for (k = 1; m->pairs[k].object != m->pairs[i].object; k++)
        ;
    assert_ok(akv_fused_get(m->f, model_key(m, i), &a));
    assert_ok(akv_fused_get(m->f, model_key(m, k), &b));
    assert_ptr_equal(a.data, b.data);
}

static void table_has(const fused_table *t, uint64_t hash, uint64_t place, uint64_t object)
{
    fused_probe probe;
    uint64_t    value;
    bool        found = false;

    fused_probe_begin(t, hash, &probe);
    while (!found && fused_probe_next(t, &probe, &value))
        found = fused_table_place(&t->shape, value) == place &&
                fused_table_object(&t->shape, value) == object;
    assert_true(found);
}

static void test_fused_table_holds_numbers_of_any_size(void **state)
{
    static const struct table_case {
        uint64_t index_size, objects_end;
        unsigned slot_size, drop;
    } cases[] = {
        {1000, 50, 7, 0},
        {(UINT64_C(1) << 27) - 1, (UINT64_C(1) << 28) - 1, 7, 0},
        {(UINT64_C(1) << 27), (UINT64_C(1) << 28) - 1, 8, 0},
        {(UINT64_C(1) << 32), (UINT64_C(1) << 30) - 1, 8, 0},
        {(UINT64_C(1) << 36), (UINT64_C(1) << 33) - 1, 8, 7},
        {(UINT64_C(1) << 62), (UINT64_C(1) << 62) - 1, 8, 62},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct table_case *c    = &cases[i];
        fused_table_shape        s    = akvi_fused_table_shape(c->index_size, c->objects_end);
        uint64_t                 base = c->index_size - 1000, object = c->objects_end - 50;
        fused_table              table;

        assert_int_equal(s.slot_size, c->slot_size);
        assert_int_equal(s.object_drop, c->drop);
        assert_ok(akvi_fused_table_new(NULL, 1000, s, 0, &table));
        for (uint64_t k = 0; k < 1000; k++)
            akvi_fused_table_add(&table, k * UINT64_C(0x9e3779b97f4a7c15), base + k,
                                 object + k % 50);
        for (uint64_t k = 0; k < 1000; k++)
            table_has(&table, k * UINT64_C(0x9e3779b97f4a7c15), base + k,
                      (object + k % 50) >> c->drop << c->drop);
        akvi_fused_table_free(NULL, &table);
    }
}

/* ------------------------------------------------------------------- cursors */

static void test_fused_cursor_walks_both_ways(void **state)
{
    const model     *m = *state;
    akvt_random      r = akvt_random_new(4);
    akv_fused_cursor c;
    int64_t          at = -1;

    assert_ok(akv_fused_cursor_all(m->f, &c));
    for (size_t step = 0; step < 20000; step++) {
        bool       next = akvt_below(&r, 100) < (step / 2000 % 2 ? 30 : 70);
        akv_status st   = next ? akv_fused_cursor_next(&c) : akv_fused_cursor_prev(&c);

        at += next ? at < (int64_t)m->n : at > -1 ? -1 : 0;
        if (at < 0 || at == (int64_t)m->n) {
            assert_int_equal(st, AKV_END);
            assert_null(c.key.data);
            continue;
        }
        assert_int_equal(st, AKV_OK);
        assert_int_equal(c.key.len, m->pairs[at].len);
        assert_memory_equal(c.key.data, m->pairs[at].key, c.key.len);
        model_same(m, (size_t)at, c.object);
    }
}

static void test_fused_cursor_seeks_within_its_range(void **state)
{
    const model *m = *state;
    akvt_random  r = akvt_random_new(5);

    for (size_t round = 0; round < 300; round++) {
        model_pair       p[3] = {{{0}, 0, 0}, {{0}, 0, 0}, {{0}, 0, 0}};
        akv_slice        lower, upper, key;
        akv_fused_cursor c;
        size_t           first, end, want;
        bool             has_upper = akvt_below(&r, 4) > 0;

        for (int i = 0; i < 3; i++)
            model_random_key(&r, &p[i]);
        lower = akv_bytes(p[0].key, p[0].len);
        upper = akv_bytes(p[1].key, p[1].len);
        first = model_bound(m, lower, false);
        end   = has_upper ? model_bound(m, upper, false) : m->n;
        end   = end < first ? first : end;
        assert_ok(akv_fused_cursor_range(m->f, lower, has_upper ? &upper : NULL, &c));
        assert_int_equal(akv_fused_cursor_count(&c), end - first);
        for (int i = 0; i < 5; i++) {
            model_random_key(&r, &p[2]);
            key  = akv_bytes(p[2].key, p[2].len);
            want = model_bound(m, key, false);
            want = want < first ? first : want;
            assert_status(want < end ? AKV_OK : AKV_END, akv_fused_cursor_seek(&c, key));
            if (want < end)
                assert_memory_equal(c.key.data, m->pairs[want].key, c.key.len);
            want = model_bound(m, key, true);
            want = want > end ? end : want;
            assert_status(want > first ? AKV_OK : AKV_END, akv_fused_cursor_seek_for_prev(&c, key));
            if (want > first)
                assert_memory_equal(c.key.data, m->pairs[want - 1].key, c.key.len);
        }
        assert_status(end > first ? AKV_OK : AKV_END, akv_fused_cursor_last(&c));
        if (end > first)
            assert_int_equal(c.key.len, m->pairs[end - 1].len);
        assert_status(end > first ? AKV_OK : AKV_END, akv_fused_cursor_first(&c));
        if (end > first)
            assert_int_equal(c.key.len, m->pairs[first].len);
    }
}

static void test_fused_cursor_prefix_is_exact(void **state)
{
    const model *m = *state;
    akvt_random  r = akvt_random_new(6);

    for (size_t round = 0; round < 300; round++) {
        model_pair       p = {{0}, 0, 0};
        akv_fused_cursor c;
        size_t           want = 0;

        model_random_key(&r, &p);
        for (size_t i = 0; i < m->n; i++)
            want += m->pairs[i].len >= p.len && memcmp(m->pairs[i].key, p.key, p.len) == 0;
        assert_ok(akv_fused_cursor_prefix(m->f, akv_bytes(p.key, p.len), &c));
        c.keys_only = round % 2;
        for (size_t i = 0; i < want; i++) {
            assert_ok(akv_fused_cursor_next(&c));
            assert_true(c.key.len >= p.len);
            assert_memory_equal(c.key.data, p.key, p.len);
            assert_true(!c.keys_only || !c.object.data);
        }
        assert_status(AKV_END, akv_fused_cursor_next(&c));
    }
}

static void test_fused_cursor_goes_on_past_a_bad_object(void **state)
{
    akv_buffer       b = AKV_BUFFER_INIT;
    akv_fused       *f;
    akv_fused_cursor c;
    char             path[4200];

    (void)state;
    snprintf(path, sizeof path, "%s/bad.fsdb", akvt_folder());
    raw_small(&b);
    akvi_put_be64(raw_bytes(&b) + 64 + 11 + 3, 5000); /* b's object */
    raw_write(&b, path);
    assert_ok(akv_fused_open(path, NULL, &f));
    assert_ok(akv_fused_cursor_all(f, &c));
    assert_ok(akv_fused_cursor_next(&c));
    assert_status(AKV_CORRUPT, akv_fused_cursor_next(&c));
    assert_int_equal(akv_last_error()->offset, 64 + 11 + 3);
    assert_error_has("5000");
    assert_slice(c.key, "b");
    assert_null(c.object.data);
    assert_ok(akv_fused_cursor_next(&c));
    assert_slice(c.object, "ones");
    akv_fused_close(f);
    akv_buffer_free(&b);
}

/* ------------------------------------------------------------ odd index order */

/* Many keys, shuffled, each there up to three times. */
static void test_fused_unsorted_index_scans_in_order(void **state)
{
    const model     *m = *state;
    akvt_random      r = akvt_random_new(7);
    akv_buffer       b = AKV_BUFFER_INIT;
    uint64_t         offsets[65];
    size_t           n = 3 * m->n, *order = calloc(n, sizeof *order);
    uint32_t        *last = calloc(m->n, sizeof *last);
    akv_fused       *f;
    akv_fused_cursor c;
    akv_slice        object;
    akv_fused_report report = AKV_FUSED_REPORT_INIT;
    char             path[4200], text[16];

    assert_true(order && last);
    snprintf(path, sizeof path, "%s/unsorted.fsdb", akvt_folder());
    raw_header(&b);
    for (unsigned i = 0; i < 65; i++) {
        snprintf(text, sizeof text, "%u", i);
        offsets[i] = raw_object(&b, text);
    }
    for (size_t i = 0; i < n; i++) {
        size_t k = akvt_below(&r, i + 1);

        order[i] = order[k];
        order[k] = i % m->n;
    }
    for (size_t i = 0; i < n; i++) {
        last[order[i]] = (uint32_t)akvt_below(&r, 65);
        raw_entry(&b, model_key(m, order[i]), offsets[last[order[i]]]);
    }
    raw_write(&b, path);
    assert_ok(akv_fused_open(path, NULL, &f));
    assert_int_equal(akv_fused_count(f), m->n);
    assert_ok(akv_fused_cursor_all(f, &c));
    for (size_t i = 0; i < m->n; i++) {
        snprintf(text, sizeof text, "%u", last[i]);
        assert_ok(akv_fused_cursor_next(&c));
        assert_int_equal(c.key.len, m->pairs[i].len);
        assert_memory_equal(c.key.data, m->pairs[i].key, c.key.len);
        assert_slice(c.object, text);
        assert_ok(akv_fused_get(f, model_key(m, i), &object));
        assert_slice(object, text);
        assert_ok(akv_fused_cursor_seek(&c, model_key(m, i)));
        assert_slice(c.object, text);
    }
    assert_status(AKV_END, akv_fused_cursor_next(&c));
    assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, &report));
    assert_int_equal(report.duplicate_faults, n - m->n);
    assert_true(report.order_faults > 0);
    akv_fused_close(f);
    akv_buffer_free(&b);
    free(order);
    free(last);
}

/* ------------------------------------------------------------------- objects */

typedef struct seen_objects {
    akv_slice objects[8];
    uint64_t  offsets[8];
    size_t    n, stop;
} seen_objects;

static int seen_object(void *user, akv_slice object, uint64_t offset)
{
    seen_objects *seen = user;

    seen->objects[seen->n]   = object;
    seen->offsets[seen->n++] = offset;
    return seen->n == seen->stop;
}

static void test_fused_objects_come_by_first_key_once(void **state)
{
    akv_buffer   b    = AKV_BUFFER_INIT;
    seen_objects seen = {.n = 0}, one = {.stop = 1};
    uint64_t     first, second, third;
    akv_fused   *f;
    char         path[4200];

    (void)state;
    snprintf(path, sizeof path, "%s/objects.fsdb", akvt_folder());
    raw_header(&b);
    first = raw_object(&b, "first in the file");
    raw_object(&b, "no key leads here");
    second = raw_object(&b, "same");
    third  = raw_object(&b, "same");
    raw_entry(&b, akv_str("a"), third);
    raw_entry(&b, akv_str("b"), first);
    raw_entry(&b, akv_str("c"), third);
    raw_entry(&b, akv_str("d"), second);
    raw_write(&b, path);
    assert_ok(akv_fused_open(path, NULL, &f));
    assert_ok(akv_fused_objects(f, seen_object, &seen));
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.offsets[0], third);
    assert_int_equal(seen.offsets[1], first);
    assert_int_equal(seen.offsets[2], second);
    assert_slice(seen.objects[1], "first in the file");
    assert_ok(akv_fused_objects(f, seen_object, &one));
    assert_int_equal(one.n, 1);
    akv_fused_close(f);
    akv_buffer_free(&b);
}

static void test_fused_check_objects_refuses_a_rotten_one(void **state)
{
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;
    akv_buffer        b   = AKV_BUFFER_INIT;
    akv_slice         object, keys[2] = {akv_str("a"), akv_str("b")}, objects[2];
    akv_status        statuses[2];
    akv_fused        *f;
    char              path[4200];

    (void)state;
    snprintf(path, sizeof path, "%s/rot.fsdb", akvt_folder());
    raw_small(&b);
    raw_bytes(&b)[40 + 8] ^= 1; /* the first object, under a good file CRC */
    raw_write(&b, path);
    assert_ok(akv_fused_open(path, &opt, &f));
    assert_ok(akv_fused_get(f, keys[0], &object));
    akv_fused_close(f);
    opt.check_objects = true;
    assert_ok(akv_fused_open(path, &opt, &f));
    assert_status(AKV_CORRUPT, akv_fused_get(f, keys[0], &object));
    assert_int_equal(akv_last_error()->offset, 40);
    assert_null(object.data);
    assert_ok(akv_fused_get(f, keys[1], &object));
    assert_status(AKV_CORRUPT, akv_fused_get_many(f, 2, keys, objects, statuses));
    assert_int_equal(statuses[0], AKV_CORRUPT);
    assert_int_equal(statuses[1], AKV_OK);
    assert_slice(objects[1], "twos");
    assert_ok(akv_fused_exists(f, keys[0]));
    akv_fused_close(f);
    akv_buffer_free(&b);
}

/* ------------------------------------------------------------------ lifetimes */

static void test_fused_reader_keeps_a_replaced_file(void **state)
{
    akv_fused_writer *w;
    akv_fused        *f, *g;
    akv_slice         old_object, new_object;
    uint32_t          id;
    char              path[4200];

    (void)state;
    snprintf(path, sizeof path, "%s/swap.fsdb", akvt_folder());
    assert_ok(akv_fused_writer_new(NULL, &w));
    assert_ok(akv_fused_add(w, akv_str("k"), akv_str("old"), &id));
    assert_ok(akv_fused_build(w, path, NULL));
    assert_ok(akv_fused_open(path, NULL, &f));
    assert_ok(akv_fused_get(f, akv_str("k"), &old_object));
    assert_ok(akv_fused_add(w, akv_str("k"), akv_str("new"), &id));
    assert_ok(akv_fused_build(w, path, NULL));
    assert_ok(akv_fused_open(path, NULL, &g));
    assert_ok(akv_fused_get(g, akv_str("k"), &new_object));
    assert_slice(old_object, "old");
    assert_slice(new_object, "new");
    akv_fused_close(f);
    akv_fused_close(g);
    akv_fused_writer_free(w);
}

static void test_fused_read_mode_survives_truncation(void **state)
{
    akv_fused_options opt  = AKV_FUSED_OPTIONS_INIT;
    akv_fused_info    info = AKV_FUSED_INFO_INIT;
    akv_buffer        b    = AKV_BUFFER_INIT;
    akv_slice         object;
    akv_fused        *f;
    char              path[4200];

    (void)state;
    snprintf(path, sizeof path, "%s/cut.fsdb", akvt_folder());
    raw_small(&b);
    raw_write(&b, path);
    opt.mode = AKV_FUSED_READ;
    assert_ok(akv_fused_open(path, &opt, &f));
    assert_int_equal(truncate(path, 0), 0);
    assert_ok(akv_fused_get(f, akv_str("b"), &object));
    assert_slice(object, "twos");
    assert_ok(akv_fused_info_get(f, &info));
    assert_false(info.mapped);
    akv_fused_close(f);
    akv_buffer_free(&b);
}

/* A file of 5 GiB, nearly all of it a hole, whose last object begins past 4 GiB. */
static void test_fused_offsets_reach_past_4_gib(void **state)
{
    const uint64_t    off  = UINT64_C(5) << 30;
    akv_fused_options opt  = AKV_FUSED_OPTIONS_INIT;
    akv_buffer        head = AKV_BUFFER_INIT, tail = AKV_BUFFER_INIT;
    akv_slice         object;
    akv_fused        *f;
    char              path[4200];
    int               fd;

    (void)state;
    if (sizeof(size_t) < 8)
        skip();
    snprintf(path, sizeof path, "%s/sparse.fsdb", akvt_folder());
    raw_header(&head);
    raw_header(&tail);
    raw_object(&tail, "far");
    raw_entry(&tail, akv_str("k"), off);
    akvi_put_be32(raw_bytes(&head) + 8, 1);
    akvi_put_be64(raw_bytes(&head) + 16, off + 11);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, head.data, 40, 0), 40);
    assert_int_equal(pwrite(fd, raw_bytes(&tail) + 40, tail.len - 40, (off_t)off), tail.len - 40);
    close(fd);
    opt.verify_on_open = false;
    assert_ok(akv_fused_open(path, &opt, &f));
    assert_ok(akv_fused_get(f, akv_str("k"), &object));
    assert_slice(object, "far");
    akv_fused_close(f);
    akv_buffer_free(&head);
    akv_buffer_free(&tail);
    unlink(path);
}

typedef struct reading_thread {
    const model *m;
    unsigned     seed;
    bool         ok;
} reading_thread;

static void *reading_thread_run(void *user)
{
    reading_thread  *t = user;
    akv_fused_cursor c;

    t->ok = akv_fused_cursor_all(t->m->f, &c) == AKV_OK;
    for (size_t i = t->seed; i < 20000 && t->ok; i++) {
        size_t    at = i * 7919 % t->m->n;
        akv_slice a, b;

        t->ok = akv_fused_get(t->m->f, model_key(t->m, at), &a) == AKV_OK &&
                akv_fused_cursor_seek(&c, model_key(t->m, at)) == AKV_OK &&
                a.data == c.object.data && akv_fused_exists(t->m->f, akv_str("nope")) == AKV_ABSENT;
        b     = c.key;
        t->ok = t->ok && b.len == t->m->pairs[at].len;
    }
    return NULL;
}

static void test_fused_reader_serves_many_threads(void **state)
{
    pthread_t      threads[4];
    reading_thread t[4];

    for (unsigned i = 0; i < 4; i++) {
        t[i] = (reading_thread){*state, i * 1000, false};
        assert_int_equal(pthread_create(&threads[i], NULL, reading_thread_run, &t[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(t[i].ok);
    }
}

/* ----------------------------------------------------------------- bad calls */

static void test_fused_open_says_what_is_wrong(void **state)
{
    akv_fused_options opt    = AKV_FUSED_OPTIONS_INIT;
    const char       *folder = akvt_folder();
    akv_fused        *f;
    char              path[4200];

    (void)state;
    snprintf(path, sizeof path, "%s/none.fsdb", folder);
    assert_status(AKV_IO, akv_fused_open(path, NULL, &f));
    assert_int_equal(akv_last_error()->os_errno, ENOENT);
    assert_error_has("none.fsdb");
    assert_status(AKV_IO, akv_fused_open(folder, NULL, &f));
    assert_int_equal(akv_last_error()->os_errno, EISDIR);
    assert_status(AKV_MISUSE, akv_fused_open(NULL, NULL, &f));
    assert_status(AKV_MISUSE, akv_fused_open(path, NULL, NULL));
    opt.mode = 7;
    assert_status(AKV_MISUSE, akv_fused_open(path, &opt, &f));
    assert_error_has("mode");
    opt             = (akv_fused_options)AKV_FUSED_OPTIONS_INIT;
    opt.head.engine = "memory";
    assert_status(AKV_MISUSE, akv_fused_open(path, &opt, &f));
    assert_null(f);
    akv_fused_close(NULL);
}

static void test_fused_calls_refuse_null(void **state)
{
    const model     *m   = *state;
    akv_slice        bad = {NULL, 3}, out;
    akv_status       st;
    akv_fused_cursor c    = {.fused = NULL};
    akv_fused_info   info = {0};

    assert_status(AKV_MISUSE, akv_fused_get(NULL, akv_str("k"), &out));
    assert_status(AKV_MISUSE, akv_fused_get(m->f, bad, &out));
    assert_status(AKV_MISUSE, akv_fused_get(m->f, akv_str("k"), NULL));
    assert_status(AKV_MISUSE, akv_fused_exists(m->f, bad));
    assert_status(AKV_MISUSE, akv_fused_get_many(m->f, 1, &bad, &out, &st));
    assert_status(AKV_MISUSE, akv_fused_get_many(m->f, 1, NULL, &out, &st));
    assert_ok(akv_fused_get_many(m->f, 0, NULL, NULL, NULL));
    assert_status(AKV_MISUSE, akv_fused_cursor_all(NULL, &c));
    assert_status(AKV_MISUSE, akv_fused_cursor_prefix(m->f, bad, &c));
    assert_status(AKV_MISUSE, akv_fused_cursor_next(&c));
    assert_status(AKV_MISUSE, akv_fused_objects(m->f, NULL, NULL));
    assert_status(AKV_MISUSE, akv_fused_info_get(m->f, &info));
    assert_status(AKV_MISUSE, akv_fused_verify(NULL, NULL, NULL));
    assert_int_equal(akv_fused_count(NULL), 0);
}

/* A program built against an older header knows fewer fields. */
static void test_fused_info_fits_older_and_newer_callers(void **state)
{
    const model *m = *state;
    struct {
        akv_fused_info info;
        uint64_t       more;
    } newer              = {AKV_FUSED_INFO_INIT, 7};
    akv_fused_info older = AKV_FUSED_INFO_INIT;

    older.size  = offsetof(akv_fused_info, num_objects);
    older.flags = 77;
    assert_ok(akv_fused_info_get(m->f, &older));
    assert_int_equal(older.num_keys, m->n);
    assert_int_equal(older.flags, 77);
    assert_int_equal(older.size, offsetof(akv_fused_info, num_objects));
    newer.info.size = sizeof newer;
    assert_ok(akv_fused_info_get(m->f, &newer.info));
    assert_int_equal(newer.info.keys, m->n);
    assert_int_equal(newer.more, 0);
}

static int progress_stops(void *user, uint64_t done, uint64_t total, const char *unit)
{
    assert_true(done <= total);
    assert_string_equal(unit, "bytes");
    return ++*(int *)user == 2;
}

static void test_fused_verify_can_be_cancelled(void **state)
{
    const model      *m     = *state;
    int               calls = 0;
    akv_job_options   job   = AKV_JOB_OPTIONS_INIT;
    akv_buffer        big   = AKV_BUFFER_INIT;
    akv_fused_writer *w;
    akv_fused        *f;
    uint32_t          id;
    char              path[4200];

    snprintf(path, sizeof path, "%s/big.fsdb", akvt_folder());
    raw_extend(&big, 3 << 20);
    assert_ok(akv_fused_writer_new(NULL, &w));
    assert_ok(akv_fused_add(w, akv_str("k"), akvi_buffer_slice(&big), &id));
    assert_ok(akv_fused_build(w, path, NULL));
    akv_fused_writer_free(w);
    assert_ok(akv_fused_open(path, NULL, &f));
    job.progress = progress_stops;
    job.user     = &calls;
    assert_status(AKV_CANCELLED, akv_fused_verify(f, &job, NULL));
    assert_int_equal(calls, 2);
    assert_ok(akv_fused_verify(f, NULL, NULL));
    assert_ok(akv_fused_verify(m->f, NULL, NULL));
    akv_fused_close(f);
    akv_buffer_free(&big);
}

static void test_fused_open_gives_all_memory_back_when_it_runs_out(void **state)
{
    const model      *m   = *state;
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;
    akv_fused        *f   = NULL;

    for (uint64_t nth = 1; !f; nth++) {
        opt.allocator = akvt_failing_allocator(nth);
        opt.mode      = nth % 2 ? AKV_FUSED_READ : AKV_FUSED_MAP;
        if (akv_fused_open(m->path, &opt, &f) != AKV_OK) {
            assert_int_equal(akv_last_error()->code, AKV_NOMEM);
            assert_int_equal(akvt_allocator_out(), 0);
        }
        assert_true(nth < 100);
    }
    akv_fused_close(f);
    assert_int_equal(akvt_allocator_out(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused_get_finds_every_key_and_no_other),
        cmocka_unit_test(test_fused_get_many_answers_as_get),
        cmocka_unit_test(test_fused_get_hands_out_the_files_own_bytes),
        cmocka_unit_test(test_fused_table_holds_numbers_of_any_size),
        cmocka_unit_test(test_fused_cursor_walks_both_ways),
        cmocka_unit_test(test_fused_cursor_seeks_within_its_range),
        cmocka_unit_test(test_fused_cursor_prefix_is_exact),
        cmocka_unit_test(test_fused_cursor_goes_on_past_a_bad_object),
        cmocka_unit_test(test_fused_unsorted_index_scans_in_order),
        cmocka_unit_test(test_fused_objects_come_by_first_key_once),
        cmocka_unit_test(test_fused_check_objects_refuses_a_rotten_one),
        cmocka_unit_test(test_fused_reader_keeps_a_replaced_file),
        cmocka_unit_test(test_fused_read_mode_survives_truncation),
        cmocka_unit_test(test_fused_offsets_reach_past_4_gib),
        cmocka_unit_test(test_fused_reader_serves_many_threads),
        cmocka_unit_test(test_fused_open_says_what_is_wrong),
        cmocka_unit_test(test_fused_calls_refuse_null),
        cmocka_unit_test(test_fused_info_fits_older_and_newer_callers),
        cmocka_unit_test(test_fused_verify_can_be_cancelled),
        cmocka_unit_test(test_fused_open_gives_all_memory_back_when_it_runs_out),
    };
    return cmocka_run_group_tests(tests, model_setup, model_teardown);
}
