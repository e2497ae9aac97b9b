/* SPDX-License-Identifier: MIT
 *
 * test_lsm_table.c: tables hold what was put into them, found every way, and
 * damage is told.
 */
#include "tests/unit/lsm_table_body.h"

#include "common/codec/crc.h"
#include "engines/lsm/filter.h"

#include <pthread.h>
#include <stdio.h>

#define TABLE "folder-less.sst"

static const lsm_read read_plain = {.fill_cache = true};

typedef struct table_case {
    lsm_table_options opt;
    uint64_t          cache; /* bytes */
    bool              mapped;
    lsm_read          read;
} table_case;

static const table_case cases[] = {
    {{4096, 16, 10, 0, AKVI_CODEC_NONE, 0, 0}, 1 << 20, true, {false, true, false}},
    {{4096, 16, 10, 0, AKVI_CODEC_NONE, 0, 0}, 1 << 20, false, {false, true, true}},
    {{300, 3, 10, 5, AKVI_CODEC_NONE, 0, 1}, 0, true, {true, false, true}},
    {{300, 1, 0, 0, AKVI_CODEC_NONE, 0, 1}, 0, false, {true, false, true}},
    {{1024, 4, 12, 2, AKVI_CODEC_ZLIB, 1, 99}, 1 << 20, true, {false, true, false}},
    {{1024, 255, 20, 0, AKVI_CODEC_ZLIB, 1, 99}, 4096, false, {false, true, true}},
    {{0, 0, 1, 0, AKVI_CODEC_ZLIB, 1, 99}, 1 << 20, false, {false, false, false}},
    {{64, 2, 10, 0, AKVI_CODEC_NONE, 0, 0}, 1 << 20, true, {false, true, false}},
};

typedef struct table_open {
    akv_env       *env;
    lsm_cache     *cache;
    lsm_table     *table;
    body_model     model;
    lsm_table_info info;
} table_open;

static void table_begin(table_open *o, const table_case *c, akvt_random *r, size_t n)
{
    assert_ok(akv_env_memory_new(NULL, &o->env));
    body_make(&o->model, r, n);
    body_write(o->env, TABLE, &o->model, &c->opt, &o->info);
    assert_ok(akvi_lsm_cache_new(NULL, c->cache, &o->cache));
    assert_ok(body_open(o->env, TABLE, c->mapped, o->cache, &o->table));
}

static void table_end(table_open *o)
{
    akvi_lsm_table_close(o->table);
    akvi_lsm_cache_free(o->cache);
    body_free(&o->model);
    akv_env_memory_free(o->env);
}

/* ---------------------------------------------------------------------- get */

static void table_check_get(const table_open *o, const lsm_read *read, akv_slice key, uint64_t seq)
{
    size_t     at    = body_seek(&o->model, key, seq);
    bool       is_in = at < o->model.n && akvi_equal(o->model.entries[at].key.data,
                                                     o->model.entries[at].key.len, key.data, key.len);
    lsm_block *block = NULL;
    lsm_entry  e;
    akv_status rc;

    akvi_lsm_table_prefetch(o->table, key, akvi_lsm_filter_hash(key));
    rc = akvi_lsm_table_get(o->table, key, akvi_lsm_filter_hash(key), seq, read, &e, &block);
    assert_int_equal(rc, is_in ? AKV_OK : AKV_ABSENT);
    if (is_in)
        assert_true(body_same(&e, &o->model.entries[at]));
    assert_int_equal(block != NULL, is_in);
    akvi_lsm_block_unref(block);
}

static void test_lsm_table_get_answers_as_of_a_number(void **state)
{
    akvt_random r = akvt_random_new(1);

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(cases); i++) {
        table_open o;

        table_begin(&o, &cases[i], &r, 2000);
        for (size_t k = 0; k < o.model.n; k++) {
            const lsm_entry *e = &o.model.entries[k];

            table_check_get(&o, &cases[i].read, e->key, LSM_SEQ_MAX);
            table_check_get(&o, &cases[i].read, e->key, e->seq);
            table_check_get(&o, &cases[i].read, e->key, e->seq - 1);
        }
        for (int k = 0; k < 2000; k++)
            table_check_get(&o, &cases[i].read, body_key(&o.model.arena, &r), akvt_below(&r, 6000));
        table_end(&o);
    }
}

/* ------------------------------------------------------------------ cursors */

static void table_check_at(const body_model *m, const lsm_cursor *c, akv_status rc, size_t at)
{
    if (at >= m->n) {
        assert_int_equal(rc, AKV_END);
        return;
    }
    assert_int_equal(rc, AKV_OK);
    assert_true(body_same(&c->entry, &m->entries[at]));
}

static size_t table_move(const table_open *o, lsm_cursor *c, akvt_random *r, size_t at)
{
    const body_model *m    = &o->model;
    lsm_move          move = (lsm_move)akvt_below(r, 6);
    akv_slice key = akvt_below(r, 2) ? body_key(&((table_open *)(uintptr_t)o)->model.arena, r)
                                     : m->entries[akvt_below(r, m->n)].key;
    uint64_t  seq = akvt_below(r, 3) ? akvt_below(r, 6000) : LSM_SEQ_MAX;

    if (at >= m->n && (move == LSM_NEXT || move == LSM_PREV))
        move = LSM_FIRST;
    else if (at < m->n && akvt_below(r, 4) == 0)
        key = c->entry.key; /* the cursor's own bytes */
    switch (move) {
    case LSM_FIRST: at = 0; break;
    case LSM_LAST: at = m->n - 1; break;
    case LSM_NEXT: at++; break;
    case LSM_PREV: at = at ? at - 1 : m->n; break;
    case LSM_SEEK: at = body_seek(m, key, seq); break;
    case LSM_SEEK_FOR_PREV:
        at = body_seek(m, key, seq);
        if (at == m->n || lsm_order(m->entries[at].key, m->entries[at].seq, key, seq) != 0)
            at = at ? at - 1 : m->n;
        break;
    }
    table_check_at(m, c, c->ops->move(c, move, key, seq), at);
    return at;
}

static void table_walk(const table_open *o, const lsm_read *read, akvt_random *r)
{
    const body_model *m = &o->model;
    lsm_cursor       *c;
    size_t            at = 0;
    akv_status        rc;

    assert_ok(akvi_lsm_table_cursor(o->table, read, &c));
    for (rc = lsm_cursor_move(c, LSM_FIRST); rc == AKV_OK; rc = lsm_cursor_move(c, LSM_NEXT))
        table_check_at(m, c, rc, at++);
    assert_int_equal(at, m->n);
    for (rc = lsm_cursor_move(c, LSM_LAST); rc == AKV_OK; rc = lsm_cursor_move(c, LSM_PREV))
        table_check_at(m, c, rc, --at);
    assert_int_equal(at, 0);
    assert_int_equal(rc, AKV_END);
    at = m->n;
    for (int i = 0; i < 4000; i++)
        at = table_move(o, c, r, at);
    /* Back and forth without seeks. */
    at = m->n / 2;
    table_check_at(m, c, lsm_cursor_seek(c, m->entries[at].key, m->entries[at].seq), at);
    for (int i = 0; i < 4000; i++) {
        bool back = at + 1 == m->n || (at > 0 && akvt_below(r, 2));

        at = back ? at - 1 : at + 1;
        table_check_at(m, c, lsm_cursor_move(c, back ? LSM_PREV : LSM_NEXT), at);
    }
    lsm_cursor_free(c);
}

static void test_lsm_table_cursor_moves_as_the_model_does(void **state)
{
    akvt_random r = akvt_random_new(2);

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(cases); i++) {
        table_open o;

        table_begin(&o, &cases[i], &r, i % 2 ? 1500 : 40);
        table_walk(&o, &cases[i].read, &r);
        table_end(&o);
    }
}

/* --------------------------------------------------------------- properties */

static void test_lsm_table_info_is_that_of_its_entries(void **state)
{
    akvt_random r = akvt_random_new(3);

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(cases); i++) {
        lsm_table_info info;
        table_open     o;
        uint64_t       deletes = 0, raw = 0;

        table_begin(&o, &cases[i], &r, 700);
        for (size_t k = 0; k < o.model.n; k++) {
            deletes += o.model.entries[k].kind == LSM_DELETE;
            raw += o.model.entries[k].key.len + o.model.entries[k].value.len;
        }
        akvi_lsm_table_info(o.table, &info);
        assert_int_equal(info.entries, o.model.n);
        assert_int_equal(info.deletes, deletes);
        assert_int_equal(info.raw_bytes, raw);
        assert_int_equal(info.size, o.info.size);
        assert_int_equal(info.smallest_seq, 1);
        assert_int_equal(info.largest_seq, (o.model.n - 1) * 3 + 1);
        assert_false(info.unbounded);
        assert_true(akvi_equal(info.smallest.data, info.smallest.len, o.model.entries[0].key.data,
                               o.model.entries[0].key.len));
        assert_true(akvi_equal(info.largest.data, info.largest.len,
                               o.model.entries[o.model.n - 1].key.data,
                               o.model.entries[o.model.n - 1].key.len));
        table_end(&o);
    }
}

static void test_lsm_table_ranges_come_back_in_order_and_widen_the_bounds(void **state)
{
    const table_case *c = &cases[0];
    lsm_table_info    info;
    const lsm_entry  *ranges;
    table_open        o;
    size_t            n;

    (void)state;
    memset(&o, 0, sizeof o);
    assert_ok(akv_env_memory_new(NULL, &o.env));
    akvi_arena_init(&o.model.arena, NULL);
    o.model.ranges_n = 3;
    o.model.ranges[0] =
        (lsm_entry){.key = akv_str("m"), .value = akv_str("p"), .seq = 9, .kind = LSM_DELETE_RANGE};
    o.model.ranges[1] =
        (lsm_entry){.key = akv_str("b"), .value = akv_str("c"), .seq = 5, .kind = LSM_DELETE_RANGE};
    o.model.ranges[2] = (lsm_entry){
        .key = akv_str("b"), .value = akv_str("zz"), .seq = 7, .kind = LSM_DELETE_RANGE};
    body_write(o.env, TABLE, &o.model, &c->opt, &o.info);
    assert_ok(akvi_lsm_cache_new(NULL, c->cache, &o.cache));
    assert_ok(body_open(o.env, TABLE, c->mapped, o.cache, &o.table));
    ranges = akvi_lsm_table_ranges(o.table, &n);
    assert_int_equal(n, 3);
    assert_true(body_same(&ranges[0], &o.model.ranges[2]));
    assert_true(body_same(&ranges[1], &o.model.ranges[1]));
    assert_true(body_same(&ranges[2], &o.model.ranges[0]));
    akvi_lsm_table_info(o.table, &info);
    assert_slice(info.smallest, "b");
    assert_slice(info.largest, "zz");
    assert_int_equal(info.entries, 0);
    assert_int_equal(info.ranges, 3);
    table_check_get(&o, &read_plain, akv_str("b"), LSM_SEQ_MAX);
    table_end(&o);
}

static void test_lsm_table_prefixes_that_are_there_are_not_denied(void **state)
{
    akvt_random r = akvt_random_new(4);
    table_open  o;
    unsigned    denied = 0;

    (void)state;
    table_begin(&o, &cases[2], &r, 1000);
    for (size_t i = 0; i < o.model.n; i++)
        for (size_t len = 0; len <= o.model.entries[i].key.len; len++)
            assert_true(akvi_lsm_table_may_have_prefix(
                o.table, akv_bytes(o.model.entries[i].key.data, len)));
    for (int i = 0; i < 1000; i++) {
        char prefix[8];

        snprintf(prefix, sizeof prefix, "%04dab", i); /* of which the filter sees five */
        denied += !akvi_lsm_table_may_have_prefix(o.table, akv_bytes(prefix, 6));
    }
    assert_true(denied > 950);
    table_end(&o);
}

static void test_lsm_table_offsets_rise_with_keys(void **state)
{
    akvt_random r    = akvt_random_new(5);
    uint64_t    last = 0, off;
    table_open  o;

    (void)state;
    table_begin(&o, &cases[1], &r, 3000);
    for (size_t i = 0; i < o.model.n; i++) {
        off = akvi_lsm_table_offset_of(o.table, o.model.entries[i].key);
        assert_true(off >= last);
        last = off;
    }
    assert_true(last > o.info.size / 2 && last < o.info.size);
    assert_int_equal(akvi_lsm_table_offset_of(o.table, akv_str("")), 0);
    table_end(&o);
}

/* ----------------------------------------------------------------- lifetime */

static void test_lsm_table_bytes_outlive_the_table(void **state)
{
    akvt_random r = akvt_random_new(6);

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(cases); i++) {
        table_open       o;
        const lsm_entry *want;
        lsm_block       *block;
        lsm_entry        e;

        table_begin(&o, &cases[i], &r, 200);
        want = &o.model.entries[100];
        assert_ok(akvi_lsm_table_get(o.table, want->key, akvi_lsm_filter_hash(want->key), want->seq,
                                     &cases[i].read, &e, &block));
        akvi_lsm_table_close(o.table);
        o.table = NULL;
        assert_true(body_same(&e, want));
        akvi_lsm_block_unref(block);
        table_end(&o);
    }
}

static void test_lsm_table_huge_values_have_blocks_of_their_own(void **state)
{
    static const size_t sizes[] = {10, 5u << 20, 0, 300000, 20};
    body_model          m       = {.n = AKVI_ARRAY_N(sizes)};
    lsm_entry           entries[AKVI_ARRAY_N(sizes)];
    akvt_random         r     = akvt_random_new(7);
    uint8_t            *bytes = malloc(6u << 20);

    (void)state;
    assert_non_null(bytes);
    akvt_fill(&r, bytes, 6u << 20);
    m.entries = entries;
    for (size_t i = 0; i < m.n; i++)
        entries[i] = (lsm_entry){.key   = akv_bytes(&"abcde"[i], 1),
                                 .value = akv_bytes(bytes + i, sizes[i]),
                                 .seq   = 3,
                                 .kind  = LSM_PUT};
    for (size_t i = 0; i < AKVI_ARRAY_N(cases); i++) {
        table_open o = {.model = m};

        assert_ok(akv_env_memory_new(NULL, &o.env));
        body_write(o.env, TABLE, &o.model, &cases[i].opt, &o.info);
        assert_ok(akvi_lsm_cache_new(NULL, cases[i].cache, &o.cache));
        assert_ok(body_open(o.env, TABLE, cases[i].mapped, o.cache, &o.table));
        for (size_t k = 0; k < m.n; k++)
            table_check_get(&o, &cases[i].read, entries[k].key, 3);
        akvi_lsm_table_close(o.table);
        akvi_lsm_cache_free(o.cache);
        akv_env_memory_free(o.env);
    }
    free(bytes);
}

/* ------------------------------------------------------------------- faults */

static void test_lsm_table_builder_refuses_what_is_out_of_order(void **state)
{
    static const lsm_table_options opt = {.filter_bits = 10};
    static const struct {
        const char *a, *b;
        uint64_t    a_seq, b_seq;
    } wrong[] = {{"b", "a", 1, 2}, {"bb", "b", 1, 2}, {"b", "b", 1, 1}, {"b", "b", 1, 2}};
    akv_env     *env;
    lsm_builder *b;
    akv_file    *file;

    (void)state;
    assert_ok(akv_env_memory_new(NULL, &env));
    for (size_t i = 0; i < AKVI_ARRAY_N(wrong); i++) {
        lsm_entry      e = {.key = akv_str(wrong[i].a), .seq = wrong[i].a_seq, .kind = LSM_PUT};
        lsm_table_info info;

        assert_ok(env->ops->open(env, TABLE, AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_TRUNCATE,
                                 &file));
        assert_ok(akvi_lsm_builder_new(NULL, file, TABLE, &opt, &b));
        assert_ok(akvi_lsm_builder_add(b, &e));
        e.key = akv_str(wrong[i].b);
        e.seq = wrong[i].b_seq;
        assert_status(AKV_CORRUPT, akvi_lsm_builder_add(b, &e));
        assert_status(AKV_CORRUPT, akvi_lsm_builder_finish(b, &info));
        akvi_lsm_builder_free(b);
        assert_ok(file->ops->close(file));
    }
    akv_env_memory_free(env);
}

static akv_status table_verify(const table_open *o)
{
    akv_job_options opt = AKV_JOB_OPTIONS_INIT;
    akv_job         job;

    akvi_call_begin();
    akv_job_begin(&job, &opt, o->env, o->info.size, "bytes");
    return akvi_lsm_table_verify(o->table, &job);
}

static void test_lsm_table_verify_finds_whole_tables_sound(void **state)
{
    akvt_random r = akvt_random_new(8);

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(cases); i++) {
        table_open o;

        table_begin(&o, &cases[i], &r, 1000);
        assert_int_equal(table_verify(&o), AKV_OK);
        table_end(&o);
    }
}

/* Every read of a damaged table: an error that names the file, or what it was. */
static unsigned table_read_damaged(table_open *o, const lsm_read *read)
{
    unsigned    errors = 0;
    lsm_cursor *c;
    size_t      at = 0;
    akv_status  rc;

    for (size_t i = 0; i < o->model.n; i++) {
        const lsm_entry *want  = &o->model.entries[i];
        lsm_block       *block = NULL;
        lsm_entry        e;

        akvi_call_begin();
        rc = akvi_lsm_table_get(o->table, want->key, akvi_lsm_filter_hash(want->key), want->seq,
                                read, &e, &block);
        if (rc == AKV_OK) {
            assert_true(body_same(&e, want));
        } else {
            assert_int_equal(rc, AKV_CORRUPT);
            assert_error_has(TABLE);
            errors++;
        }
        akvi_lsm_block_unref(block);
    }
    assert_ok(akvi_lsm_table_cursor(o->table, read, &c));
    akvi_call_begin();
    for (rc = lsm_cursor_move(c, LSM_FIRST); rc == AKV_OK; rc = lsm_cursor_move(c, LSM_NEXT))
        assert_true(body_same(&c->entry, &o->model.entries[at++]));
    assert_true(rc == AKV_CORRUPT || (rc == AKV_END && at == o->model.n));
    errors += rc == AKV_CORRUPT;
    lsm_cursor_free(c);
    return errors;
}

static void table_overwrite(akv_env *env, const uint8_t *bytes, size_t len)
{
    akv_file *file;

    assert_ok(
        env->ops->open(env, TABLE, AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_TRUNCATE, &file));
    assert_ok(file->ops->append(file, bytes, len));
    assert_ok(file->ops->close(file));
}

/* Damage `byte` by `mask`; whether something noticed. */
static bool table_try_damaged(table_open *o, const table_case *c, akv_buffer *bytes, size_t byte,
                              uint8_t mask)
{
    unsigned   errors = 1;
    akv_status rc, verified;

    ((uint8_t *)bytes->data)[byte] ^= mask;
    table_overwrite(o->env, bytes->data, bytes->len);
    ((uint8_t *)bytes->data)[byte] ^= mask;
    akvi_call_begin();
    rc = body_open(o->env, TABLE, c->mapped, o->cache, &o->table);
    if (rc == AKV_OK) {
        errors   = table_read_damaged(o, &c->read);
        verified = table_verify(o);
        assert_int_equal(verified == AKV_OK, errors == 0);
        akvi_lsm_table_close(o->table);
    } else {
        assert_true(rc == AKV_CORRUPT || rc == AKV_VERSION);
        assert_error_has(TABLE);
    }
    o->table = NULL;
    return errors != 0;
}

static void test_lsm_table_any_flipped_bit_is_told_or_harmless(void **state)
{
    static const size_t which[] = {0, 2, 5};
    akvt_random         r       = akvt_random_new(9);

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(which); i++) {
        const table_case *c     = &cases[which[i]];
        akv_buffer        bytes = AKV_BUFFER_INIT;
        table_open        o;
        size_t            unnoticed = 0;

        table_begin(&o, c, &r, 0);
        akvi_lsm_table_close(o.table);
        body_free(&o.model);
        body_make(&o.model, &r, 24);
        for (size_t k = 0; k < o.model.n; k++)
            if (o.model.entries[k].value.len > 40)
                o.model.entries[k].value.len = 40;
        body_write(o.env, TABLE, &o.model, &c->opt, &o.info);
        assert_ok(akvi_read_file(o.env, TABLE, 1 << 20, &bytes));
        for (size_t k = 0; k < bytes.len; k++) {
            if (bytes.len > 4000 && akvt_below(&r, 4)) /* with codec or long keys */
                continue;
            for (unsigned bit = 0; bit < 8; bit++)
                unnoticed += !table_try_damaged(&o, c, &bytes, k, (uint8_t)(1u << bit));
        }
        assert_true(unnoticed <= LSM_FILTER_LINE * 8); /* what fills up to the filter's place */
        akv_buffer_free(&bytes);
        table_end(&o);
    }
}

static void test_lsm_table_cut_anywhere_is_told(void **state)
{
    const table_case *c     = &cases[0];
    akvt_random       r     = akvt_random_new(10);
    akv_buffer        bytes = AKV_BUFFER_INIT;
    table_open        o;

    (void)state;
    table_begin(&o, c, &r, 30);
    akvi_lsm_table_close(o.table);
    assert_ok(akvi_read_file(o.env, TABLE, 1 << 20, &bytes));
    for (size_t len = 0; len < bytes.len; len++) {
        table_overwrite(o.env, bytes.data, len);
        akvi_call_begin();
        assert_int_equal(body_open(o.env, TABLE, c->mapped, o.cache, &o.table), AKV_CORRUPT);
        assert_error_has(TABLE);
    }
    akv_buffer_free(&bytes);
    table_end(&o);
}

/* ------------------------------------------------------------------- golden */

/* The example of format.h and a range, whole: bytes that every build writes. */
static void test_lsm_table_golden_bytes_are_written_and_read(void **state)
{
    static const char golden[] =
        "726564677265656e0100010303651901000500ac02010200010002796170706c650000000000"
        "00000000000000000000080000001400000003000000040010010200000000000000002799c7"
        "a063030000016200000000000000000000000000000000010000000400000001000000010010"
        "00060000000000000000d69db1b0000001000000000000000000000000000008000000100400"
        "0000000000000000000000000000210200000000400000000400000000000000c00020000000"
        "0000010000000000000006000000000000000045bc415300000000000000004d000000010000"
        "0c6170706c79000000000000000000000000000000000c000000040000000100000005000100"
        "0000000000000000009dd02cc9d5000000000000004200000000000000010000106170706c79"
        "0000000000000000000000000000000010000000040000000100000005000100000000000000"
        "000000f0c2ba0001066d656d636d7002010303010104010105011906056170706c6507016309"
        "01020a01060b01010c01010d02d5010e0280200f011010010a140680d095ffbc31000a4da5e3"
        "616b762e7373740a01000000000000000000000000000000f601000000000000170100000000"
        "0000460000008000000000000000550000004d00000000000000330000005d01000000000000"
        "4500000077b9f927";
    static const lsm_table_options opt = {.filter_bits = 10, .created_ms = 1700000000000};
    lsm_entry                      entries[3];
    akv_buffer                     bytes = AKV_BUFFER_INIT;
    table_open                     o     = {.model = {.entries = entries, .n = 3, .ranges_n = 1}};
    size_t                         n;

    (void)state;
    entries[0]        = (lsm_entry){akv_str("apple"), akv_str("red"), 5, 0, LSM_PUT, 0};
    entries[1]        = (lsm_entry){akv_str("apple"), akv_str("green"), 2, 300, LSM_PUT, 1};
    entries[2]        = (lsm_entry){akv_str("apply"), akv_str(""), 4, 0, LSM_DELETE, 0};
    o.model.ranges[0] = (lsm_entry){akv_str("b"), akv_str("c"), 6, 0, LSM_DELETE_RANGE, 0};
    assert_ok(akv_env_memory_new(NULL, &o.env));
    body_write(o.env, TABLE, &o.model, &opt, &o.info);
    assert_ok(akvi_read_file(o.env, TABLE, 1 << 20, &bytes));
    assert_int_equal(bytes.len, (sizeof golden - 1) / 2);
    for (size_t i = 0; i < bytes.len; i++) {
        char hex[3];

        snprintf(hex, sizeof hex, "%02x", ((const uint8_t *)bytes.data)[i]);
        assert_memory_equal(hex, golden + 2 * i, 2);
    }
    assert_ok(akvi_lsm_cache_new(NULL, 0, &o.cache));
    assert_ok(body_open(o.env, TABLE, false, o.cache, &o.table));
    assert_int_equal(table_verify(&o), AKV_OK);
    for (size_t i = 0; i < 3; i++)
        table_check_get(&o, &read_plain, entries[i].key, entries[i].seq);
    assert_true(body_same(akvi_lsm_table_ranges(o.table, &n), &o.model.ranges[0]));
    akv_buffer_free(&bytes);
    akvi_lsm_table_close(o.table);
    akvi_lsm_cache_free(o.cache);
    akv_env_memory_free(o.env);
}

/* Bits of features that are to come, under a right checksum. */
static void test_lsm_table_of_a_later_version_is_refused(void **state)
{
    static const size_t places[] = {8, 12}; /* version, incompatible features */
    akvt_random         r        = akvt_random_new(12);
    akv_buffer          bytes    = AKV_BUFFER_INIT;
    table_open          o;

    (void)state;
    table_begin(&o, &cases[0], &r, 30);
    akvi_lsm_table_close(o.table);
    assert_ok(akvi_read_file(o.env, TABLE, 1 << 20, &bytes));
    for (size_t i = 0; i < AKVI_ARRAY_N(places); i++) {
        uint8_t *footer = (uint8_t *)bytes.data + bytes.len - LSM_TABLE_FOOTER;

        footer[places[i]] ^= 2;
        akvi_put_le32(footer + 80, akvi_crc32c(0, footer, 80));
        table_overwrite(o.env, bytes.data, bytes.len);
        akvi_call_begin();
        assert_int_equal(body_open(o.env, TABLE, true, o.cache, &o.table), AKV_VERSION);
        footer[places[i]] ^= 2;
    }
    akv_buffer_free(&bytes);
    table_end(&o);
}

/* ------------------------------------------------------------------- memory */

static akv_status table_use(const akv_allocator *a, const body_model *m, akv_env *env)
{
    static const lsm_table_options opt   = {.block_size = 256, .filter_bits = 10, .compression = 2};
    lsm_builder                   *b     = NULL;
    lsm_cache                     *cache = NULL;
    lsm_table                     *t     = NULL;
    lsm_cursor                    *c     = NULL;
    lsm_table_info                 info;
    akv_file                      *file;
    akv_status                     rc;

    assert_ok(
        env->ops->open(env, TABLE, AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_TRUNCATE, &file));
    rc = akvi_lsm_builder_new(a, file, TABLE, &opt, &b);
    if (rc == AKV_OK)
        rc = akvi_lsm_builder_add_range(b, &m->ranges[0]);
    for (size_t i = 0; rc == AKV_OK && i < m->n; i++)
        rc = akvi_lsm_builder_add(b, &m->entries[i]);
    if (rc == AKV_OK)
        rc = akvi_lsm_builder_finish(b, &info);
    akvi_lsm_builder_free(b);
    assert_ok(file->ops->close(file));
    if (rc == AKV_OK)
        rc = akvi_lsm_cache_new(a, 1 << 20, &cache);
    if (rc != AKV_OK)
        return rc;
    assert_ok(env->ops->open(env, TABLE, 0, &file));
    rc = akvi_lsm_table_open(a, file, TABLE, 1, false, cache, &t);
    if (rc == AKV_OK)
        rc = akvi_lsm_table_cursor(t, &read_plain, &c);
    if (rc == AKV_OK)
        for (rc = lsm_cursor_move(c, LSM_LAST); rc == AKV_OK;)
            rc = lsm_cursor_move(c, LSM_PREV);
    lsm_cursor_free(c);
    akvi_lsm_table_close(t);
    akvi_lsm_cache_free(cache);
    return rc;
}

static void test_lsm_table_without_memory_fails_and_leaks_nothing(void **state)
{
    akvt_random r = akvt_random_new(13);
    body_model  m;
    akv_env    *env;
    akv_status  rc;

    (void)state;
    assert_ok(akv_env_memory_new(NULL, &env));
    body_make(&m, &r, 60);
    m.ranges[0] = (lsm_entry){akv_str("b"), akv_str("c"), 6, 0, LSM_DELETE_RANGE, 0};
    for (uint64_t nth = 1;; nth++) {
        const akv_allocator *a = akvt_failing_allocator(nth);

        akvi_call_begin();
        rc = table_use(a, &m, env);
        assert_int_equal(akvt_allocator_out(), 0);
        if (rc == AKV_END)
            break;
        assert_int_equal(rc, AKV_NOMEM);
    }
    body_free(&m);
    akv_env_memory_free(env);
}

/* ------------------------------------------------------------------ threads */

typedef struct table_thread {
    const table_open *o;
    const table_case *c;
    uint64_t          stream;
} table_thread;

static void *table_thread_run(void *user)
{
    table_thread *t   = user;
    uint64_t      x   = t->stream * 77 + 1;
    uintptr_t     bad = 0;

    for (int i = 0; i < 3000; i++) {
        const lsm_entry *want;
        lsm_block       *block = NULL;
        lsm_entry        e;

        x    = x * UINT64_C(6364136223846793005) + 1;
        want = &t->o->model.entries[(x >> 33) % t->o->model.n];
        bad += akvi_lsm_table_get(t->o->table, want->key, akvi_lsm_filter_hash(want->key),
                                  want->seq, &t->c->read, &e, &block) != AKV_OK ||
               !body_same(&e, want);
        akvi_lsm_block_unref(block);
    }
    return (void *)bad;
}

static void test_lsm_table_threads_get_side_by_side(void **state)
{
    akvt_random r = akvt_random_new(11);

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(cases); i++) {
        table_open   o;
        table_thread threads[4];
        pthread_t    ids[4];

        table_begin(&o, &cases[i], &r, 1000);
        for (size_t k = 0; k < AKVI_ARRAY_N(ids); k++) {
            threads[k] = (table_thread){&o, &cases[i], k};
            assert_int_equal(pthread_create(&ids[k], NULL, table_thread_run, &threads[k]), 0);
        }
        for (size_t k = 0; k < AKVI_ARRAY_N(ids); k++) {
            void *bad;

            assert_int_equal(pthread_join(ids[k], &bad), 0);
            assert_null(bad);
        }
        table_end(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lsm_table_get_answers_as_of_a_number),
        cmocka_unit_test(test_lsm_table_cursor_moves_as_the_model_does),
        cmocka_unit_test(test_lsm_table_info_is_that_of_its_entries),
        cmocka_unit_test(test_lsm_table_ranges_come_back_in_order_and_widen_the_bounds),
        cmocka_unit_test(test_lsm_table_prefixes_that_are_there_are_not_denied),
        cmocka_unit_test(test_lsm_table_offsets_rise_with_keys),
        cmocka_unit_test(test_lsm_table_bytes_outlive_the_table),
        cmocka_unit_test(test_lsm_table_huge_values_have_blocks_of_their_own),
        cmocka_unit_test(test_lsm_table_builder_refuses_what_is_out_of_order),
        cmocka_unit_test(test_lsm_table_verify_finds_whole_tables_sound),
        cmocka_unit_test(test_lsm_table_any_flipped_bit_is_told_or_harmless),
        cmocka_unit_test(test_lsm_table_cut_anywhere_is_told),
        cmocka_unit_test(test_lsm_table_golden_bytes_are_written_and_read),
        cmocka_unit_test(test_lsm_table_of_a_later_version_is_refused),
        cmocka_unit_test(test_lsm_table_without_memory_fails_and_leaks_nothing),
        cmocka_unit_test(test_lsm_table_threads_get_side_by_side),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
