/* SPDX-License-Identifier: MIT
 *
 * The manifest: a state is what its edits add up to, also when power is lost at
 * any step; what is cut or changed is refused, but for a torn last edit, which
 * was never acknowledged.
 */
#include "common/base/buffer.h"
#include "common/codec/crc.h"
#include "common/env/fault.h"
#include "common/env/file.h"
#include "engines/lsm/format.h"
#include "engines/lsm/manifest.h"
#include "engines/lsm/wal.h"
#include "tests/testing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "d"

static akv_env *man_env;

static int man_set_up(void **state)
{
    (void)state;
    akvi_call_begin();
    if (akv_env_memory_new(NULL, &man_env) != AKV_OK)
        return -1;
    return man_env->ops->make_folder(man_env, FOLDER) == AKV_OK ? 0 : -1;
}

static int man_tear_down(void **state)
{
    (void)state;
    akv_env_memory_free(man_env);
    return 0;
}

/* ------------------------------------------------------------------------ edits */

/* The table that this number always has here. */
static lsm_table_meta man_table(uint64_t number)
{
    static char keys[64][2][24];
    char(*k)[24] = keys[number % 64];

    snprintf(k[0], sizeof k[0], "%08llu", (unsigned long long)number);
    snprintf(k[1], sizeof k[1], "%08llu~", (unsigned long long)number);
    return (lsm_table_meta){.number       = number,
                            .size         = 1000 + number,
                            .entries      = 10 + number,
                            .deletes      = number % 3,
                            .ranges       = number % 2,
                            .raw_bytes    = 5000 * number,
                            .smallest_seq = number,
                            .largest_seq  = number + 5,
                            .smallest     = akv_str(k[0]),
                            .largest      = akv_str(k[1]),
                            .unbounded    = number % 5 == 0,
                            .level        = (uint8_t)(number % LSM_LEVELS)};
}

static void man_expect_table(const lsm_table_meta *got)
{
    lsm_table_meta want = man_table(got->number);

    assert_int_equal(got->size, want.size);
    assert_int_equal(got->entries, want.entries);
    assert_int_equal(got->deletes, want.deletes);
    assert_int_equal(got->ranges, want.ranges);
    assert_int_equal(got->raw_bytes, want.raw_bytes);
    assert_int_equal(got->smallest_seq, want.smallest_seq);
    assert_int_equal(got->largest_seq, want.largest_seq);
    assert_int_equal(got->level, want.level);
    assert_int_equal(got->unbounded, want.unbounded);
    assert_slice(got->smallest, (const char *)want.smallest.data);
    assert_slice(got->largest, (const char *)want.largest.data);
}

/* Tables there are, by their numbers' bits: below 64. */
static uint64_t man_tables(const lsm_manifest_state *s)
{
    uint64_t set = 0;

    for (size_t i = 0; i < s->tables_n; i++) {
        man_expect_table(&s->tables[i]);
        assert_true(s->tables[i].number < 64 && !(set >> s->tables[i].number & 1));
        assert_true(s->tables[i].number < s->next_file);
        set |= UINT64_C(1) << s->tables[i].number;
    }
    return set;
}

static akv_status man_append(lsm_manifest *m, uint64_t add, uint64_t remove, uint64_t next,
                             uint64_t log)
{
    lsm_table_meta added[64];
    lsm_table_ref  removed[64];
    lsm_edit edit = {.next_file = next, .log_number = log, .added = added, .removed = removed};

    for (uint64_t n = 0; n < 64; n++) {
        if (add >> n & 1)
            added[edit.added_n++] = man_table(n);
        if (remove >> n & 1)
            removed[edit.removed_n++] = (lsm_table_ref){n, (uint8_t)(n % LSM_LEVELS)};
    }
    akvi_call_begin();
    return akvi_lsm_manifest_append(m, &edit);
}

static akv_status man_read(akv_env *env, lsm_manifest_state *s)
{
    akvi_call_begin();
    return akvi_lsm_manifest_read(NULL, env, FOLDER, s);
}

static void man_free(lsm_manifest_state *s)
{
    akvi_lsm_manifest_state_free(NULL, s);
}

/* Open for writing what is there. */
static lsm_manifest *man_begin(akv_env *env)
{
    lsm_manifest_state s;
    lsm_manifest      *m;

    assert_ok(man_read(env, &s));
    assert_ok(akvi_lsm_manifest_begin(NULL, env, FOLDER, &s, &m));
    assert_int_equal(akvi_lsm_manifest_number(m), s.manifest);
    assert_true(s.next_file > s.manifest);
    man_free(&s);
    return m;
}

/* ------------------------------------------------------------------------ tests */

static void test_manifest_of_a_new_store(void **state)
{
    lsm_manifest_state s;

    (void)state;
    assert_int_equal(man_read(man_env, &s), AKV_ABSENT);
    assert_ok(akvi_lsm_manifest_create(NULL, man_env, FOLDER, 77));
    assert_ok(man_read(man_env, &s));
    assert_int_equal(s.epoch, 77);
    assert_int_equal(s.tables_n, 0);
    assert_int_equal(s.manifest, 1);
    assert_int_equal(s.next_file, 2);
    assert_int_equal(s.log_number, 0);
    man_free(&s);
}

static void test_manifest_current_is_as_drawn(void **state)
{
    akv_buffer got = AKV_BUFFER_INIT;
    char       want[64];

    (void)state;
    assert_ok(akvi_lsm_manifest_create(NULL, man_env, FOLDER, 77));
    assert_ok(akvi_read_file(man_env, FOLDER "/CURRENT", 64, &got));
    snprintf(want, sizeof want, "MANIFEST-000001 %08x\n", akvi_crc32c(0, "MANIFEST-000001", 15));
    assert_slice(akvi_buffer_slice(&got), want);
    akv_buffer_free(&got);
}

typedef struct man_bytes {
    akv_buffer bytes;
    size_t     n;
} man_bytes;

static akv_status man_keep(void *user, akv_slice record, uint64_t offset)
{
    man_bytes *b = user;

    (void)offset;
    b->n++;
    return akvi_buffer_set(&b->bytes, record.data, record.len);
}

static void test_manifest_edits_are_as_drawn(void **state)
{
    static const uint8_t golden[] = {16, 2, 1,    8, 14, 15, 2, 0,   9,   0xf1, 0x07, 19,
                                     0,  0, 0xc8, 1, 9,  14, 1, 'a', 'z', 10,   1,    10};
    lsm_table_meta       t        = man_table(9);
    lsm_table_ref        gone     = {8, 1};
    lsm_edit edit = {.next_file = 10, .added = &t, .added_n = 1, .removed = &gone, .removed_n = 1};
    lsm_manifest  *m;
    man_bytes      got = {AKV_BUFFER_INIT, 0};
    lsm_wal_report report;
    uint8_t        want[sizeof golden];

    (void)state;
    t.ranges    = 0;
    t.raw_bytes = 200;
    t.smallest  = akv_str("a");
    t.largest   = akv_str("z");
    assert_ok(akvi_lsm_manifest_create(NULL, man_env, FOLDER, 77));
    m = man_begin(man_env);
    assert_ok(akvi_lsm_manifest_append(m, &edit));
    assert_ok(akvi_lsm_manifest_close(m));
    assert_ok(akvi_lsm_log_read(NULL, man_env, FOLDER "/MANIFEST-000002", LSM_LOG_MANIFEST, 2,
                                LSM_RECOVERY_STRICT, man_keep, &got, &report));
    assert_int_equal(got.n, 2);
    memcpy(want, golden + 21, 3); /* the numbers go first */
    memcpy(want + 3, golden, 21);
    assert_int_equal(got.bytes.len, sizeof want);
    assert_memory_equal(got.bytes.data, want, sizeof want);
    akv_buffer_free(&got.bytes);
}

static void test_manifest_state_is_what_its_edits_add_up_to(void **state)
{
    akvt_random   random = akvt_random_new(1);
    uint64_t      there = 0, log = 0;
    lsm_manifest *m;

    (void)state;
    assert_ok(akvi_lsm_manifest_create(NULL, man_env, FOLDER, 77));
    m = man_begin(man_env);
    for (int round = 0; round < 200; round++) {
        uint64_t           half   = akvt_next(&random);
        uint64_t           add    = half & akvt_next(&random) & ~there & ~UINT64_C(1);
        uint64_t           remove = ~half & akvt_next(&random) & there;
        lsm_manifest_state s;

        log += akvt_below(&random, 3);
        assert_ok(man_append(m, add, remove, 64 + (uint64_t)round, log));
        there = (there & ~remove) | add;
        if (akvt_below(&random, 10) == 0) {
            assert_ok(akvi_lsm_manifest_close(m));
            m = man_begin(man_env);
        }
        assert_ok(man_read(man_env, &s));
        assert_int_equal(man_tables(&s), there);
        assert_int_equal(s.log_number, log);
        assert_true(s.next_file >= 64 + (uint64_t)round);
        assert_int_equal(s.epoch, 77);
        man_free(&s);
    }
    assert_ok(akvi_lsm_manifest_close(m));
}

static void test_manifest_of_thousands_of_tables(void **state)
{
    const size_t       n = 20000;
    lsm_manifest_state s = {.epoch = 5, .next_file = n + 10};
    lsm_manifest      *m;

    (void)state;
    s.tables = calloc(n, sizeof *s.tables);
    for (size_t i = 0; i < n; i++) {
        s.tables[i]          = man_table(7);
        s.tables[i].number   = i + 1;
        s.tables[i].smallest = s.tables[i].largest = akv_str("key");
    }
    s.tables_n = s.tables_cap = n;
    assert_ok(akvi_lsm_manifest_begin(NULL, man_env, FOLDER, &s, &m));
    assert_ok(akvi_lsm_manifest_close(m));
    free(s.tables);
    assert_ok(man_read(man_env, &s));
    assert_int_equal(s.tables_n, n);
    assert_int_equal(s.manifest, n + 10);
    man_free(&s);
}

static void test_manifest_refuses_edits_that_do_not_fit(void **state)
{
    static const struct {
        uint64_t add, remove;
    } wrong[] = {{2, 0}, {0, 8}, {0, 16}};

    (void)state;
    for (size_t i = 0; i < AKVI_ARRAY_N(wrong); i++) {
        lsm_manifest_state s;
        lsm_manifest      *m;

        (void)man_env->ops->remove(man_env, FOLDER "/CURRENT");
        (void)man_env->ops->remove(man_env, FOLDER "/MANIFEST-000001");
        assert_ok(akvi_lsm_manifest_create(NULL, man_env, FOLDER, 77));
        m = man_begin(man_env);
        assert_ok(man_append(m, 6, 0, 64, 0));
        assert_ok(man_append(m, wrong[i].add, wrong[i].remove, 64, 0));
        assert_ok(akvi_lsm_manifest_close(m));
        assert_status(AKV_CORRUPT, man_read(man_env, &s));
        assert_error_has("damaged manifest: an edit");
        assert_error_has("anykv lsm repair");
        assert_ok(man_env->ops->remove(man_env, FOLDER "/MANIFEST-000002"));
    }
}

/* A store with two edits after the first; its file's bytes, and offset of the last. */
static akv_status man_last_offset(void *user, uint64_t offset, const lsm_edit *edit)
{
    (void)edit;
    *(uint64_t *)user = offset;
    return AKV_OK;
}

static uint64_t man_store(akv_buffer *file)
{
    lsm_manifest *m;
    uint64_t      last = 0;

    assert_ok(akvi_lsm_manifest_create(NULL, man_env, FOLDER, 77));
    m = man_begin(man_env);
    assert_ok(man_append(m, 0x32, 0, 10, 3));
    assert_ok(man_append(m, 0x40, 2, 11, 4));
    file->len = (size_t)akvi_lsm_manifest_size(m) + LSM_LOG_FRAGMENT;
    last      = file->len;
    assert_ok(akvi_lsm_manifest_close(m));
    assert_ok(akvi_read_file(man_env, FOLDER "/MANIFEST-000002", 1 << 22, file));
    file->len = (size_t)last;
    assert_ok(
        akvi_lsm_manifest_walk(NULL, man_env, FOLDER "/MANIFEST-000002", man_last_offset, &last));
    return last;
}

static void test_manifest_cut_loses_no_more_than_a_torn_last_edit(void **state)
{
    akv_buffer file = AKV_BUFFER_INIT;
    uint64_t   last = man_store(&file);

    (void)state;
    for (size_t cut = 0; cut <= file.len; cut++) {
        lsm_manifest_state s;
        akv_status         rc;

        assert_ok(akvi_write_file(man_env, FOLDER "/MANIFEST-000002", file.data, cut));
        rc = man_read(man_env, &s);
        if (cut >= file.len - LSM_LOG_FRAGMENT) {
            assert_int_equal(rc, AKV_OK);
            assert_int_equal(man_tables(&s), 0x70);
        } else if (cut >= last) {
            assert_int_equal(rc, AKV_OK);
            assert_int_equal(man_tables(&s), 0x32);
        } else if (rc != AKV_OK) {
            assert_int_equal(rc, AKV_CORRUPT);
        }
        man_free(&s);
    }
    akv_buffer_free(&file);
}

static void test_manifest_flipped_bit_is_refused(void **state)
{
    akv_buffer file = AKV_BUFFER_INIT;

    (void)state;
    (void)man_store(&file);
    for (size_t bit = 0; bit < file.len * 8; bit++) {
        uint8_t           *byte = (uint8_t *)file.data + bit / 8;
        lsm_manifest_state s;
        akv_status         rc;

        *byte ^= (uint8_t)(1u << bit % 8);
        assert_ok(akvi_write_file(man_env, FOLDER "/MANIFEST-000002", file.data, file.len));
        *byte ^= (uint8_t)(1u << bit % 8);
        rc = man_read(man_env, &s);
        if (bit / 8 >= file.len - LSM_LOG_FRAGMENT) { /* the mark behind the last edit */
            assert_int_equal(rc, AKV_OK);
            assert_int_equal(man_tables(&s), 0x70);
        } else {
            assert_true(rc == AKV_CORRUPT || rc == AKV_VERSION);
            assert_string_equal(akvi_pending_error()->file, FOLDER "/MANIFEST-000002");
        }
        man_free(&s);
    }
    akv_buffer_free(&file);
}

static void test_manifest_current_cut_or_flipped_is_refused(void **state)
{
    akv_buffer text = AKV_BUFFER_INIT, file = AKV_BUFFER_INIT;

    (void)state;
    (void)man_store(&file);
    assert_ok(akvi_read_file(man_env, FOLDER "/CURRENT", 64, &text));
    for (size_t i = 0; i < text.len * 9; i++) {
        uint8_t           *byte = (uint8_t *)text.data + i / 9;
        lsm_manifest_state s;

        if (i % 9 < 8)
            *byte ^= (uint8_t)(1u << i % 9);
        assert_ok(
            akvi_write_file(man_env, FOLDER "/CURRENT", text.data, i % 9 < 8 ? text.len : i / 9));
        assert_status(AKV_CORRUPT, man_read(man_env, &s));
        if (i % 9 < 8)
            *byte ^= (uint8_t)(1u << i % 9);
    }
    assert_ok(akvi_write_file(man_env, FOLDER "/CURRENT", text.data, text.len));
    assert_ok(man_env->ops->remove(man_env, FOLDER "/MANIFEST-000002"));
    {
        lsm_manifest_state s;

        assert_status(AKV_CORRUPT, man_read(man_env, &s));
        assert_error_has("CURRENT names MANIFEST-000002");
    }
    akv_buffer_free(&text);
    akv_buffer_free(&file);
}

static void test_manifest_of_another_order_or_feature_is_refused_as_such(void **state)
{
    static const uint8_t order[]   = {2, 3, 'a', 'b', 'c', 4, 8, 0, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t feature[] = {2, 8, 'b', 'y', 't', 'e', 'w', 'i', 's', 'e', 4, 8,
                                      0, 0, 0,   0,   0,   0,   0,   0,   6,   1,   1};
    static const uint8_t tag[]     = {2, 8, 'b', 'y', 't', 'e', 'w', 'i', 's', 'e', 4,
                                      8, 0, 0,   0,   0,   0,   0,   0,   0,   18,  0};
    static const uint8_t skipped[] = {2, 8, 'b', 'y', 't', 'e', 'w', 'i', 's', 'e', 4,
                                      8, 0, 0,   0,   0,   0,   0,   0,   0,   19,  0};
    static const uint8_t none[]    = {10, 1, 5};
    static const struct {
        akv_slice  edit;
        akv_status want;
    } cases[] = {{{order, sizeof order}, AKV_VERSION},
                 {{feature, sizeof feature}, AKV_VERSION},
                 {{tag, sizeof tag}, AKV_VERSION},
                 {{skipped, sizeof skipped}, AKV_OK},
                 {{none, sizeof none}, AKV_CORRUPT}};

    (void)state;
    assert_ok(akvi_lsm_manifest_create(NULL, man_env, FOLDER, 77));
    for (size_t i = 0; i < AKVI_ARRAY_N(cases); i++) {
        lsm_manifest_state s;
        lsm_wal           *log;

        assert_ok(man_env->ops->remove(man_env, FOLDER "/MANIFEST-000001"));
        assert_ok(akvi_lsm_log_create(NULL, man_env, FOLDER "/MANIFEST-000001", LSM_LOG_MANIFEST, 1,
                                      NULL, 4096, &log));
        assert_ok(akvi_lsm_wal_append(log, &cases[i].edit, 1));
        assert_ok(akvi_lsm_wal_close(log));
        assert_status(cases[i].want, man_read(man_env, &s));
        man_free(&s);
    }
}

/* --------------------------------------------------------------------- failures */

/* One life of a store: begin, two edits, begin again, an edit. Tells which state
 * was acknowledged, and which might be there beside it. */
typedef struct man_life {
    uint64_t acknowledged, tried;
} man_life;

static akv_status man_live(akv_env *env, man_life *life)
{
    static const struct {
        uint64_t add, remove, then;
    } edits[]        = {{0x32, 0, 0x32}, {0x40, 2, 0x70}, {0x100, 0x20, 0x150}};
    lsm_manifest *m  = NULL;
    akv_status    rc = AKV_OK;

    *life = (man_life){0, 0};
    for (size_t i = 0; rc == AKV_OK && i < 3; i++) {
        lsm_manifest_state s;

        if (i != 1) {
            (void)akvi_lsm_manifest_close(m);
            m  = NULL;
            rc = man_read(env, &s);
            if (rc == AKV_OK)
                rc = akvi_lsm_manifest_begin(NULL, env, FOLDER, &s, &m);
            man_free(&s);
        }
        life->tried = rc == AKV_OK ? edits[i].then : life->acknowledged;
        if (rc == AKV_OK)
            rc = man_append(m, edits[i].add, edits[i].remove, 60, 0);
        if (rc == AKV_OK)
            life->acknowledged = life->tried;
    }
    (void)akvi_lsm_manifest_close(m);
    return rc;
}

static void test_manifest_survives_power_loss_at_each_step(void **state)
{
    bool more = true;

    (void)state;
    for (uint64_t nth = 1; more; nth++) {
        for (uint64_t seed = 0; seed < 12; seed++) {
            akvi_fault_plan    plan = {AKVI_FAULT_ALL, nth, 1, EIO, AKVI_FAULT_CRASH};
            akv_env           *env;
            lsm_manifest_state s;
            man_life           life;
            uint64_t           got;

            assert_int_equal(man_tear_down(NULL), 0);
            assert_int_equal(man_set_up(NULL), 0);
            assert_ok(akvi_fault_new(man_env, NULL, &env));
            assert_ok(akvi_lsm_manifest_create(NULL, env, FOLDER, 77));
            akvi_fault_plan_set(env, &plan);
            more = man_live(env, &life) != AKV_OK;
            assert_ok(akvi_fault_power_loss(env, seed == 11 ? UINT64_MAX : seed));
            assert_ok(man_read(env, &s));
            got = man_tables(&s);
            assert_true(got == life.acknowledged || got == life.tried);
            assert_true(s.next_file > s.manifest);
            man_free(&s);
            assert_ok(akvi_lsm_manifest_close(man_begin(env)));
            assert_ok(man_read(env, &s));
            assert_int_equal(man_tables(&s), got);
            man_free(&s);
            akvi_fault_free(env);
        }
    }
}

static void test_manifest_survives_a_failure_at_each_step(void **state)
{
    bool more = true;

    (void)state;
    for (uint64_t nth = 1; more; nth++) {
        akvi_fault_plan    plan = {AKVI_FAULT_ALL, nth, 1, EIO, AKVI_FAULT_FAIL};
        akvi_fault_plan    none = {0, 0, 0, 0, AKVI_FAULT_FAIL};
        akv_env           *env;
        lsm_manifest_state s;
        man_life           life;

        assert_int_equal(man_tear_down(NULL), 0);
        assert_int_equal(man_set_up(NULL), 0);
        assert_ok(akvi_fault_new(man_env, NULL, &env));
        assert_ok(akvi_lsm_manifest_create(NULL, env, FOLDER, 77));
        akvi_fault_plan_set(env, &plan);
        (void)man_live(env, &life);
        more = akvi_fault_hits(env) > 0;
        akvi_fault_plan_set(env, &none);
        assert_ok(man_read(env, &s));
        assert_true(man_tables(&s) == life.acknowledged || man_tables(&s) == life.tried);
        man_free(&s);
        akvi_fault_free(env);
    }
}

static void test_manifest_takes_no_edit_after_a_failed_one(void **state)
{
    akvi_fault_plan plan = {AKVI_FAULT_SYNC, 1, 1, EIO, AKVI_FAULT_FAIL};
    lsm_manifest   *m;
    akv_env        *env;

    (void)state;
    assert_ok(akvi_fault_new(man_env, NULL, &env));
    assert_ok(akvi_lsm_manifest_create(NULL, env, FOLDER, 77));
    m = man_begin(env);
    akvi_fault_plan_set(env, &plan);
    assert_int_equal(man_append(m, 2, 0, 10, 0), AKV_IO);
    assert_int_equal(man_append(m, 4, 0, 10, 0), AKV_POISONED);
    assert_ok(akvi_lsm_manifest_close(m));
    akvi_fault_free(env);
}

static void test_manifest_survives_want_of_memory(void **state)
{
    akv_status rc = AKV_NOMEM;

    (void)state;
    assert_ok(akvi_lsm_manifest_create(NULL, man_env, FOLDER, 77));
    assert_ok(akvi_lsm_manifest_close(man_begin(man_env)));
    for (uint64_t nth = 1; rc != AKV_OK; nth++) {
        const akv_allocator *allocator = akvt_failing_allocator(nth);
        lsm_manifest_state   s;
        lsm_manifest        *m = NULL;

        akvi_call_begin();
        rc = akvi_lsm_manifest_read(allocator, man_env, FOLDER, &s);
        if (rc == AKV_OK)
            rc = akvi_lsm_manifest_begin(allocator, man_env, FOLDER, &s, &m);
        if (rc == AKV_OK)
            rc = man_append(m, s.tables_n == 0 ? 2 : 0, s.tables_n == 0 ? 0 : 2, 64, 0);
        assert_true(rc == AKV_OK || rc == AKV_NOMEM);
        (void)akvi_lsm_manifest_close(m);
        akvi_lsm_manifest_state_free(allocator, &s);
        assert_int_equal(akvt_allocator_out(), 0);
    }
}

int main(void)
{
#define MAN_TEST(f) cmocka_unit_test_setup_teardown(f, man_set_up, man_tear_down)
    const struct CMUnitTest tests[] = {
        MAN_TEST(test_manifest_of_a_new_store),
        MAN_TEST(test_manifest_current_is_as_drawn),
        MAN_TEST(test_manifest_edits_are_as_drawn),
        MAN_TEST(test_manifest_state_is_what_its_edits_add_up_to),
        MAN_TEST(test_manifest_of_thousands_of_tables),
        MAN_TEST(test_manifest_refuses_edits_that_do_not_fit),
        MAN_TEST(test_manifest_cut_loses_no_more_than_a_torn_last_edit),
        MAN_TEST(test_manifest_flipped_bit_is_refused),
        MAN_TEST(test_manifest_current_cut_or_flipped_is_refused),
        MAN_TEST(test_manifest_of_another_order_or_feature_is_refused_as_such),
        MAN_TEST(test_manifest_survives_power_loss_at_each_step),
        MAN_TEST(test_manifest_survives_a_failure_at_each_step),
        MAN_TEST(test_manifest_takes_no_edit_after_a_failed_one),
        MAN_TEST(test_manifest_survives_want_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
