/* SPDX-License-Identifier: MIT
 *
 * The write-ahead log: what is appended is read back; wherever the file is cut
 * or changed, what was before is kept, and damage is told from where a log just
 * ends, by the rule of wal.h; what was synced survives a loss of power, and the
 * rest is a prefix; a failed append leaves nothing behind.
 */
#include "common/base/buffer.h"
#include "common/codec/crc.h"
#include "common/env/fault.h"
#include "common/env/file.h"
#include "engines/lsm/format.h"
#include "engines/lsm/wal.h"
#include "tests/testing.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAL_SEEDS 100

static akv_env *wal_env;

static int wal_set_up(void **state)
{
    (void)state;
    akvi_call_begin();
    if (akv_env_memory_new(NULL, &wal_env) != AKV_OK)
        return -1;
    return wal_env->ops->make_folder(wal_env, "d") == AKV_OK ? 0 : -1;
}

static int wal_tear_down(void **state)
{
    (void)state;
    akv_env_memory_free(wal_env);
    return 0;
}

/* -------------------------------------------------------------- what was read */

/* The i-th record of a test: its length, and bytes that tell it from others. */
static void wal_make_record(uint64_t i, size_t len, uint8_t *out)
{
    for (size_t at = 0; at < len; at++)
        out[at] = (uint8_t)(i * 37 + at * (1 + i % 7) + (at >> 8) + 1);
}

typedef struct wal_seen {
    size_t         n;
    size_t         lens[4096];
    uint64_t       offs[4096];
    uint32_t       sums[4096];
    lsm_wal_report report;
} wal_seen;

static akv_status wal_see(void *user, akv_slice record, uint64_t offset)
{
    wal_seen *seen = user;

    assert_true(seen->n < 4096);
    seen->lens[seen->n]   = record.len;
    seen->offs[seen->n]   = offset;
    seen->sums[seen->n++] = akvi_crc32c(0, record.data, record.len);
    return AKV_OK;
}

static akv_status wal_read(akv_env *env, const char *path, uint64_t number, lsm_recovery mode,
                           wal_seen *seen)
{
    seen->n = 0;
    akvi_call_begin();
    return akvi_lsm_wal_read(NULL, env, path, number, mode, wal_see, seen, &seen->report);
}

static uint32_t wal_sum(uint64_t i, size_t len)
{
    uint8_t *bytes = malloc(len + 1);
    uint32_t sum;

    if (!bytes)
        abort();
    wal_make_record(i, len, bytes);
    sum = akvi_crc32c(0, bytes, len);
    free(bytes);
    return sum;
}

/* All that was seen are records first, first + 1, ... of these lengths. */
static void wal_expect(const wal_seen *seen, uint64_t first, const size_t *lens, size_t n)
{
    assert_int_equal(seen->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(seen->lens[i], lens[i]);
        assert_int_equal(seen->sums[i], wal_sum(first + i, lens[i]));
    }
}

/* ------------------------------------------------------------------ appending */

static lsm_wal *wal_new(akv_env *env, const char *path, uint64_t number, const char *recycle,
                        uint64_t size)
{
    lsm_wal *w = NULL;

    assert_ok(akvi_lsm_wal_create(NULL, env, path, number, recycle, size, &w));
    return w;
}

/* Append record i in parts. */
static akv_status wal_put(lsm_wal *w, uint64_t i, size_t len)
{
    uint8_t   *bytes = malloc(len + 1);
    akv_slice  parts[3];
    akv_status rc;

    if (!bytes)
        abort();
    wal_make_record(i, len, bytes);
    parts[0] = akv_bytes(bytes, len / 3);
    parts[1] = akv_bytes(NULL, 0);
    parts[2] = akv_bytes(bytes + len / 3, len - len / 3);
    akvi_call_begin();
    rc = akvi_lsm_wal_append(w, parts, 3);
    free(bytes);
    return rc;
}

static void wal_close(lsm_wal *w)
{
    assert_ok(akvi_lsm_wal_close(w));
}

/* A log of these records; `sync`: after each. */
static void wal_write(const char *path, uint64_t number, const size_t *lens, size_t n, bool sync)
{
    lsm_wal *w = wal_new(wal_env, path, number, NULL, 1 << 16);

    for (size_t i = 0; i < n; i++) {
        assert_ok(wal_put(w, i, lens[i]));
        if (sync)
            assert_ok(akvi_lsm_wal_sync(w));
    }
    wal_close(w);
}

/* The file up to its end mark, without the zeroes that were written ahead. */
static void wal_load(const char *path, uint64_t number, akv_buffer *out)
{
    wal_seen *seen = malloc(sizeof *seen);

    assert_ok(akvi_read_file(wal_env, path, UINT64_MAX / 2, out));
    assert_ok(wal_read(wal_env, path, number, LSM_RECOVERY_TAIL, seen));
    assert_true(out->len >= seen->report.end + LSM_LOG_FRAGMENT);
    out->len = (size_t)seen->report.end + LSM_LOG_FRAGMENT;
    free(seen);
}

static void wal_save(const char *path, const void *data, size_t len)
{
    assert_ok(akvi_write_file(wal_env, path, data, len));
}

/* ------------------------------------------------------------- format, records */

static void test_wal_is_as_drawn(void **state)
{
    lsm_wal   *w   = wal_new(wal_env, "d/1", 7, NULL, 4096);
    akv_slice  one = akv_str("hi");
    akv_buffer got = AKV_BUFFER_INIT;
    uint8_t    want[32 + 14 + 12 + 12];

    (void)state;
    memset(want, 0, sizeof want);
    memcpy(want, "AKVLSMWL\x01", 9);
    want[20] = 7;
    akvi_put_le32(want + 28, akvi_crc32c(0, want, 28));
    want[36] = 32; /* synced: the head */
    want[40] = 2;
    want[42] = LSM_FRAGMENT_FULL;
    memcpy(want + 44, "hi", 2);
    akvi_put_le32(want + 32,
                  akvi_crc32c(akvi_crc32c(0, "\x07\0\0\0\0\0\0\0", 8) ^ 32, want + 36, 10));
    assert_ok(akvi_lsm_wal_append(w, &one, 1));
    wal_load("d/1", 7, &got);
    assert_int_equal(got.len, 58);
    assert_memory_equal(got.data, want, 58);
    assert_ok(akvi_lsm_wal_sync(w));
    wal_close(w);
    want[46 + 4]  = 46; /* closed, all synced */
    want[46 + 10] = LSM_FRAGMENT_SYNCED;
    akvi_put_le32(want + 46,
                  akvi_crc32c(akvi_crc32c(0, "\x07\0\0\0\0\0\0\0", 8) ^ 46, want + 50, 8));
    wal_load("d/1", 7, &got);
    assert_int_equal(got.len, 58);
    assert_memory_equal(got.data, want, 58);
    akv_buffer_free(&got);
}

static void test_wal_gives_back_records_of_any_size(void **state)
{
    static const size_t around[] = {0,     1,     2,     11,    12,    13,    100,
                                    32711, 32712, 32723, 32724, 32725, 32735, 32736,
                                    32737, 32756, 32757, 65535, 65536, 98304, 3000000};
    akvt_random         random   = akvt_random_new(1);
    wal_seen           *seen     = malloc(sizeof *seen);
    size_t              lens[200];

    (void)state;
    for (int round = 0; round < 8; round++) {
        size_t n = round == 0 ? AKVI_ARRAY_N(around) : 60;

        for (size_t i = 0; i < n; i++) {
            lens[i] = around[round == 0 ? i : akvt_below(&random, AKVI_ARRAY_N(around) - 1)];
            if (round > 0 && akvt_below(&random, 2))
                lens[i] = akvt_below(&random, 200);
        }
        wal_write("d/1", 1 + (uint64_t)round, lens, n, round % 2);
        for (int mode = 0; mode < 3; mode++) {
            assert_ok(wal_read(wal_env, "d/1", 1 + (uint64_t)round, (lsm_recovery)mode, seen));
            wal_expect(seen, 0, lens, n);
            assert_false(seen->report.torn);
            assert_int_equal(seen->report.dropped, 0);
            assert_int_equal(seen->report.records, n);
            if (round % 2)
                assert_int_equal(seen->report.synced, seen->report.end);
        }
        assert_ok(wal_env->ops->remove(wal_env, "d/1"));
    }
    free(seen);
}

static void test_wal_records_end_anywhere_about_a_block_end(void **state)
{
    wal_seen *seen = malloc(sizeof *seen);

    (void)state;
    for (size_t gap = 0; gap < 40; gap++) {
        size_t lens[] = {LSM_LOG_BLOCK - LSM_LOG_HEAD - LSM_LOG_FRAGMENT - gap, 5, 40, 1};

        wal_write("d/1", 3, lens, 4, false);
        assert_ok(wal_read(wal_env, "d/1", 3, LSM_RECOVERY_STRICT, seen));
        wal_expect(seen, 0, lens, 4);
        assert_ok(wal_env->ops->remove(wal_env, "d/1"));
    }
    free(seen);
}

static void test_wal_refuses_what_is_too_large_for_a_log(void **state)
{
    lsm_wal  *w      = wal_new(wal_env, "d/1", 3, NULL, 4096);
    akv_slice huge[] = {{"", (size_t)UINT32_MAX}, {"", SIZE_MAX}};
    wal_seen *seen   = malloc(sizeof *seen);
    size_t    len    = 10;

    (void)state;
    assert_status(AKV_TOO_BIG, akvi_lsm_wal_append(w, huge, 1));
    assert_status(AKV_TOO_BIG, akvi_lsm_wal_append(w, huge, 2));
    assert_ok(wal_put(w, 0, len));
    wal_close(w);
    assert_ok(wal_read(wal_env, "d/1", 3, LSM_RECOVERY_STRICT, seen));
    wal_expect(seen, 0, &len, 1);
    free(seen);
}

/* -------------------------------------------------------------- recycled files */

static void test_wal_recycled_holds_nothing_of_its_earlier_life(void **state)
{
    static const size_t old[]  = {100, 32724 - 100 - 24, 40000, 70000, 12, 0, 9000};
    wal_seen           *seen   = malloc(sizeof *seen);
    akvt_random         random = akvt_random_new(2);

    (void)state;
    for (int round = 0; round < 40; round++) {
        size_t   lens[8], n = akvt_below(&random, 8);
        lsm_wal *w;

        wal_write("d/old", 5, old, AKVI_ARRAY_N(old), true);
        w = wal_new(wal_env, "d/new", 9, "d/old", 1 << 16);
        for (size_t i = 0; i < n; i++) {
            lens[i] = round % 2 ? old[i % AKVI_ARRAY_N(old)] : akvt_below(&random, 30000);
            assert_ok(wal_put(w, i, lens[i]));
            for (int mode = 0; mode < 3; mode++) {
                assert_ok(wal_read(wal_env, "d/new", 9, (lsm_recovery)mode, seen));
                wal_expect(seen, 0, lens, i + 1);
                assert_int_equal(seen->report.dropped, 0);
                assert_false(seen->report.torn);
            }
        }
        wal_close(w);
        assert_int_equal(akvi_path_exists(wal_env, "d/old"), AKV_ABSENT);
        assert_ok(wal_env->ops->remove(wal_env, "d/new"));
    }
    free(seen);
}

static void test_wal_renamed_but_not_begun_is_empty(void **state)
{
    static const size_t old[] = {100, 200, 40000};
    wal_seen           *seen  = malloc(sizeof *seen);

    (void)state;
    wal_write("d/9", 5, old, 3, true);
    for (int mode = 0; mode < 3; mode++) {
        assert_ok(wal_read(wal_env, "d/9", 9, (lsm_recovery)mode, seen));
        assert_int_equal(seen->n, 0);
        assert_int_equal(seen->report.dropped, 0);
    }
    /* But a log does not become an earlier one by a rename. */
    assert_ok(wal_read(wal_env, "d/9", 4, LSM_RECOVERY_TAIL, seen));
    assert_true(seen->report.torn);
    assert_status(AKV_CORRUPT, wal_read(wal_env, "d/9", 4, LSM_RECOVERY_STRICT, seen));
    free(seen);
}

/* ------------------------------------------------------------------------- cuts */

static void test_wal_cut_anywhere_keeps_what_is_before(void **state)
{
    static const size_t lens[] = {30, 0, 7, 100, 3};
    const size_t        n      = AKVI_ARRAY_N(lens);
    wal_seen           *all = malloc(sizeof *all), *seen = malloc(sizeof *seen);
    akv_buffer          file = AKV_BUFFER_INIT;

    (void)state;
    for (int sync = 0; sync < 2; sync++) {
        wal_write("d/1", 4, lens, n, sync);
        wal_load("d/1", 4, &file);
        assert_ok(wal_read(wal_env, "d/1", 4, LSM_RECOVERY_TAIL, all));
        for (size_t cut = 0; cut <= file.len; cut++) {
            size_t kept = 0;

            while (kept < n && (kept + 1 < n ? all->offs[kept + 1] : all->report.end) <= cut)
                kept++;
            wal_save("d/2", file.data, cut);
            assert_ok(wal_read(wal_env, "d/2", 4, LSM_RECOVERY_TAIL, seen));
            wal_expect(seen, 0, lens, kept);
            assert_ok(wal_read(wal_env, "d/2", 4, LSM_RECOVERY_SALVAGE, seen));
            wal_expect(seen, 0, lens, kept);
        }
        assert_ok(wal_env->ops->remove(wal_env, "d/1"));
    }
    akv_buffer_free(&file);
    free(all);
    free(seen);
}

static void test_wal_cut_within_a_large_record(void **state)
{
    static const size_t lens[] = {1000, 200000, 50};
    wal_seen           *seen   = malloc(sizeof *seen);
    akv_buffer          file   = AKV_BUFFER_INIT;

    (void)state;
    wal_write("d/1", 4, lens, 3, false);
    wal_load("d/1", 4, &file);
    for (size_t cut = 1100; cut < file.len; cut += 977) {
        wal_save("d/2", file.data, cut);
        assert_ok(wal_read(wal_env, "d/2", 4, LSM_RECOVERY_TAIL, seen));
        if (cut < 200000)
            wal_expect(seen, 0, lens, 1);
        assert_true(seen->n >= 1 && (seen->report.torn || cut >= 200000));
    }
    akv_buffer_free(&file);
    free(seen);
}

/* ------------------------------------------------------------------------ damage */

/* Every bit of a log. What was synced, as its records or its end tell, must not
 * be lost without a word; nothing that was not written may ever be seen. */
static void wal_flip_all(bool sync)
{
    static const size_t lens[] = {30, 0, 7, 100, 3};
    const size_t        n      = AKVI_ARRAY_N(lens);
    wal_seen           *seen   = malloc(sizeof *seen);
    akv_buffer          file   = AKV_BUFFER_INIT;
    uint64_t            offs[5];

    wal_write("d/1", 4, lens, n, sync);
    wal_load("d/1", 4, &file);
    assert_ok(wal_read(wal_env, "d/1", 4, LSM_RECOVERY_TAIL, seen));
    memcpy(offs, seen->offs, sizeof offs);
    for (size_t bit = 0; bit < file.len * 8; bit++) {
        uint8_t   *byte = (uint8_t *)file.data + bit / 8;
        size_t     hit  = 0;
        akv_status rc;

        while (hit < n && (hit + 1 < n ? offs[hit + 1] : file.len - LSM_LOG_FRAGMENT) <= bit / 8)
            hit++;
        *byte ^= (uint8_t)(1u << bit % 8);
        wal_save("d/2", file.data, file.len);
        *byte ^= (uint8_t)(1u << bit % 8);
        rc = wal_read(wal_env, "d/2", 4, LSM_RECOVERY_TAIL, seen);
        if (bit / 8 >= LSM_LOG_HEAD) {
            wal_expect(seen, 0, lens, hit);
            assert_int_equal(rc, sync && hit < n ? AKV_CORRUPT : AKV_OK);
            assert_status(AKV_CORRUPT, wal_read(wal_env, "d/2", 4, LSM_RECOVERY_STRICT, seen));
            if (hit < n)
                assert_int_equal(akvi_pending_error()->offset, offs[hit]);
            assert_ok(wal_read(wal_env, "d/2", 4, LSM_RECOVERY_SALVAGE, seen));
            assert_true(seen->n >= hit && seen->n < n + (hit == n));
            for (size_t i = 0; i < seen->n; i++) {
                size_t was = seen->n == n - 1 && i >= hit ? i + 1 : i;

                if (seen->n >= n - 1)
                    assert_int_equal(seen->sums[i], wal_sum(was, lens[was]));
            }
        } else if (bit / 8 < 16 || bit / 8 >= 20) {
            assert_true(rc == AKV_CORRUPT || rc == AKV_VERSION);
        }
    }
    assert_ok(wal_env->ops->remove(wal_env, "d/1"));
    akv_buffer_free(&file);
    free(seen);
}

static void test_wal_flipped_bit_in_what_was_synced_is_damage(void **state)
{
    (void)state;
    wal_flip_all(true);
}

static void test_wal_flipped_bit_in_what_was_not_synced_ends_it(void **state)
{
    (void)state;
    wal_flip_all(false);
}

static void test_wal_length_fields_out_of_range(void **state)
{
    static const size_t   lens[]  = {50, 60, 70};
    static const uint16_t wrong[] = {0, 3, 59, 61, 32767, 32768, 65535};
    wal_seen             *seen    = malloc(sizeof *seen);
    akv_buffer            file    = AKV_BUFFER_INIT;
    uint8_t              *fragment;

    (void)state;
    wal_write("d/1", 4, lens, 3, true);
    wal_load("d/1", 4, &file);
    fragment = (uint8_t *)file.data + LSM_LOG_HEAD + LSM_LOG_FRAGMENT + 50;
    for (size_t i = 0; i < AKVI_ARRAY_N(wrong); i++) {
        akvi_put_le16(fragment + 8, wrong[i]);
        wal_save("d/2", file.data, file.len);
        assert_status(AKV_CORRUPT, wal_read(wal_env, "d/2", 4, LSM_RECOVERY_TAIL, seen));
        assert_error_has("d/2: at offset 94: damaged log");
        wal_expect(seen, 0, lens, 1);
        assert_ok(wal_read(wal_env, "d/2", 4, LSM_RECOVERY_SALVAGE, seen));
        assert_true(seen->n >= 1);
    }
    akv_buffer_free(&file);
    free(seen);
}

static void test_wal_salvage_goes_on_behind_damage(void **state)
{
    size_t      lens[400];
    wal_seen   *seen   = malloc(sizeof *seen);
    akv_buffer  file   = AKV_BUFFER_INIT;
    akvt_random random = akvt_random_new(3);

    (void)state;
    for (size_t i = 0; i < 400; i++)
        lens[i] = i % 50 == 20 ? 70000 : 900;
    wal_write("d/1", 4, lens, 400, true);
    wal_load("d/1", 4, &file);
    for (int round = 0; round < 40; round++) {
        size_t   at   = 40 + akvt_below(&random, file.len - 60);
        uint8_t *byte = (uint8_t *)file.data + at, was = *byte;
        uint32_t last = wal_sum(399, lens[399]);

        *byte = (uint8_t)~was;
        wal_save("d/2", file.data, file.len);
        *byte = was;
        assert_ok(wal_read(wal_env, "d/2", 4, LSM_RECOVERY_SALVAGE, seen));
        assert_in_range(seen->n, 400 - 2 * (LSM_LOG_BLOCK / 900) - 2, 400);
        if (at < file.len - 2 * LSM_LOG_BLOCK)
            assert_int_equal(seen->sums[seen->n - 1], last);
    }
    akv_buffer_free(&file);
    free(seen);
}

static void test_wal_hole_before_unsynced_records_is_no_damage(void **state)
{
    static const size_t lens[] = {500, 600, 700, 40000, 800};
    lsm_wal            *w      = wal_new(wal_env, "d/1", 4, NULL, 1 << 16);
    wal_seen           *seen   = malloc(sizeof *seen);
    akv_buffer          file   = AKV_BUFFER_INIT;

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        assert_ok(wal_put(w, i, lens[i]));
        if (i == 1)
            assert_ok(akvi_lsm_wal_sync(w));
    }
    wal_close(w);
    wal_load("d/1", 4, &file);
    memset((uint8_t *)file.data + 1024 + 200, 0, 512); /* within record 2 */
    wal_save("d/1", file.data, file.len);
    assert_ok(wal_read(wal_env, "d/1", 4, LSM_RECOVERY_TAIL, seen));
    wal_expect(seen, 0, lens, 2);
    assert_true(seen->report.torn);
    assert_in_range(seen->report.dropped, 41000, 42000);
    assert_int_equal(seen->report.synced, seen->report.end);
    memset((uint8_t *)file.data + 512, 0, 512); /* within record 0 */
    wal_save("d/1", file.data, file.len);
    assert_status(AKV_CORRUPT, wal_read(wal_env, "d/1", 4, LSM_RECOVERY_TAIL, seen));
    akv_buffer_free(&file);
    free(seen);
}

static void test_wal_of_another_version_is_refused_as_such(void **state)
{
    static const size_t lens[] = {5};
    wal_seen           *seen   = malloc(sizeof *seen);
    akv_buffer          file   = AKV_BUFFER_INIT;
    uint8_t            *head;

    (void)state;
    wal_write("d/1", 4, lens, 1, true);
    wal_load("d/1", 4, &file);
    head     = file.data;
    head[12] = 1; /* an incompatible feature */
    akvi_put_le32(head + 28, akvi_crc32c(0, head, 28));
    wal_save("d/2", head, file.len);
    assert_status(AKV_VERSION, wal_read(wal_env, "d/2", 4, LSM_RECOVERY_SALVAGE, seen));
    head[12] = 0;
    head[16] = 1; /* a compatible one */
    akvi_put_le32(head + 28, akvi_crc32c(0, head, 28));
    wal_save("d/2", head, file.len);
    assert_ok(wal_read(wal_env, "d/2", 4, LSM_RECOVERY_STRICT, seen));
    assert_int_equal(seen->n, 1);
    memcpy(head, "AKVLSMMF", 8);
    akvi_put_le32(head + 28, akvi_crc32c(0, head, 28));
    wal_save("d/2", head, file.len);
    assert_status(AKV_CORRUPT, wal_read(wal_env, "d/2", 4, LSM_RECOVERY_TAIL, seen));
    akv_buffer_free(&file);
    free(seen);
}

/* --------------------------------------------------------------- failed appends */

static void wal_plan(akv_env *env, uint32_t kinds, uint64_t nth, uint64_t times, int err,
                     akvi_fault_how how)
{
    akvi_fault_plan plan = {kinds, nth, times, err, how};

    akvi_fault_plan_set(env, &plan);
}

static akv_env *wal_fault_env(void)
{
    akv_env *env = NULL;

    assert_ok(akvi_fault_new(wal_env, NULL, &env));
    return env;
}

static void test_wal_failed_append_leaves_nothing(void **state)
{
    static const size_t failing[] = {10, 300, 40000, 200000};
    static const size_t lens[]    = {100, 50, 9};
    akv_env            *env       = wal_fault_env();
    wal_seen           *seen      = malloc(sizeof *seen);
    static const struct {
        akvi_fault_how how;
        int            err;
        akv_status     want;
    } faults[] = {{AKVI_FAULT_FAIL, EIO, AKV_IO},
                  {AKVI_FAULT_SHORT, ENOSPC, AKV_NOSPACE},
                  {AKVI_FAULT_SHORT, EIO, AKV_IO}};

    (void)state;
    for (size_t f = 0; f < AKVI_ARRAY_N(faults); f++) {
        for (size_t s = 0; s < AKVI_ARRAY_N(failing); s++) {
            lsm_wal *w = wal_new(env, "d/1", 4, NULL, 1 << 16);

            assert_ok(wal_put(w, 0, lens[0]));
            wal_plan(env, AKVI_FAULT_WRITE, 1, 1, faults[f].err, faults[f].how);
            assert_int_equal(wal_put(w, 77, failing[s]), faults[f].want);
            assert_ok(wal_read(env, "d/1", 4, LSM_RECOVERY_STRICT, seen));
            wal_expect(seen, 0, lens, 1);
            assert_ok(wal_put(w, 1, lens[1]));
            assert_ok(wal_put(w, 2, lens[2]));
            wal_close(w);
            assert_ok(wal_read(env, "d/1", 4, LSM_RECOVERY_TAIL, seen));
            wal_expect(seen, 0, lens, 3);
            assert_ok(env->ops->remove(env, "d/1"));
        }
    }
    akvi_fault_free(env);
    free(seen);
}

/* An env's write that lands whole and still answers a failure. */
static void test_wal_append_that_landed_though_it_failed_does_not_come_back(void **state)
{
    static const size_t lens[] = {100, 5};
    akv_env            *env    = wal_fault_env();
    wal_seen           *seen   = malloc(sizeof *seen);
    lsm_wal            *w      = wal_new(env, "d/1", 4, NULL, 1 << 16);

    (void)state;
    /* A short write lands half its bytes: of a record with as much behind it,
     * that is all that matters. Here the head of the record. */
    assert_ok(wal_put(w, 0, lens[0]));
    wal_plan(env, AKVI_FAULT_WRITE, 1, 1, EIO, AKVI_FAULT_SHORT);
    assert_int_equal(wal_put(w, 1, 0), AKV_IO); /* 12 bytes and 12 of end mark */
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_ok(wal_read(env, "d/1", 4, LSM_RECOVERY_TAIL, seen));
        wal_expect(seen, 0, lens, 1);
    }
    (void)akvi_lsm_wal_close(w);
    assert_ok(akvi_fault_power_loss(env, UINT64_MAX));
    assert_ok(wal_read(env, "d/1", 4, LSM_RECOVERY_STRICT, seen));
    wal_expect(seen, 0, lens, 1);
    akvi_fault_free(env);
    free(seen);
}

static void test_wal_append_that_can_not_be_undone_poisons(void **state)
{
    akv_env *env = wal_fault_env();
    lsm_wal *w   = wal_new(env, "d/1", 4, NULL, 1 << 16);

    (void)state;
    assert_ok(wal_put(w, 0, 100));
    wal_plan(env, AKVI_FAULT_WRITE, 1, 0, EIO, AKVI_FAULT_SHORT);
    assert_int_equal(wal_put(w, 1, 100), AKV_POISONED);
    wal_plan(env, 0, 0, 0, 0, AKVI_FAULT_FAIL);
    assert_int_equal(wal_put(w, 1, 100), AKV_POISONED);
    wal_close(w);
    akvi_fault_free(env);
}

static void test_wal_create_fails_cleanly(void **state)
{
    static const size_t old[] = {100};
    akv_env            *env   = wal_fault_env();
    uint64_t            calls;

    (void)state;
    for (int recycle = 0; recycle < 2; recycle++) {
        for (uint64_t nth = 1;; nth++) {
            lsm_wal   *w = NULL;
            akv_status rc;

            if (recycle)
                wal_write("d/old", 3, old, 1, true);
            wal_plan(env, AKVI_FAULT_ALL, nth, 1, EIO, AKVI_FAULT_FAIL);
            akvi_call_begin();
            rc    = akvi_lsm_wal_create(NULL, env, "d/1", 4, recycle ? "d/old" : NULL, 4096, &w);
            calls = akvi_fault_calls(env);
            wal_plan(env, 0, 0, 0, 0, AKVI_FAULT_FAIL);
            if (w)
                wal_close(w);
            assert_true(rc == AKV_IO || w);
            (void)env->ops->remove(env, "d/1");
            (void)env->ops->remove(env, "d/old");
            if (calls < nth)
                break;
        }
    }
    for (uint64_t nth = 1; nth < 10; nth++) {
        const akv_allocator *allocator = akvt_failing_allocator(nth);
        lsm_wal             *w;
        akv_slice            one = akv_str("one");

        akvi_call_begin();
        if (akvi_lsm_wal_create(allocator, wal_env, "d/1", 4, NULL, 4096, &w) == AKV_OK) {
            (void)!akvi_lsm_wal_append(w, &one, 1);
            wal_close(w);
        }
        assert_int_equal(akvt_allocator_out(), 0);
        (void)wal_env->ops->remove(wal_env, "d/1");
    }
    akvi_fault_free(env);
}

/* ------------------------------------------------------------------ power loss */

/* Random appends and syncs, some of them in recycled files, some failing, then
 * a loss of power: what was synced is there, the rest is a prefix. */
static void wal_power_loss_once(uint64_t seed)
{
    akvt_random random  = akvt_random_new(1000 + seed);
    akv_env    *env     = wal_fault_env();
    wal_seen   *seen    = malloc(sizeof *seen);
    bool        recycle = akvt_below(&random, 2);
    size_t      lens[30], n = 0, synced = 0, old[] = {3000, 100, 40000, 8, 5000};
    lsm_wal    *w;
    akv_status  rc;

    if (recycle)
        wal_write("d/old", 3, old, 5, true);
    w = wal_new(env, "d/1", 4, recycle ? "d/old" : NULL, 1 << 16);
    for (size_t step = akvt_below(&random, 30); step > 0; step--) {
        bool fails = akvt_below(&random, 8) == 0;

        lens[n] = akvt_below(&random, akvt_below(&random, 4) ? 700 : 50000);
        if (fails)
            wal_plan(env, AKVI_FAULT_WRITE, 1, 1, EIO, AKVI_FAULT_SHORT);
        rc = wal_put(w, fails ? 99 : n, lens[n]);
        wal_plan(env, 0, 0, 0, 0, AKVI_FAULT_FAIL);
        n += rc == AKV_OK;
        if (fails && rc == AKV_OK) { /* it was the zeroes ahead that failed */
            n--;
            break;
        }
        if (akvt_below(&random, 4) == 0) {
            assert_ok(akvi_lsm_wal_sync(w));
            synced = n;
        }
    }
    wal_close(w);
    assert_ok(akvi_fault_power_loss(env, seed));
    rc = wal_read(env, "d/1", 4, LSM_RECOVERY_TAIL, seen);
    if (rc != AKV_OK)
        fail_msg("seed %llu: %s", (unsigned long long)seed, akvi_pending_error()->text);
    assert_in_range(seen->n, synced, n + 1);
    if (seen->n <= n)
        wal_expect(seen, 0, lens, seen->n);
    assert_ok(env->ops->remove(env, "d/1"));
    akvi_fault_free(env);
    free(seen);
}

static void test_wal_synced_survives_power_loss_and_the_rest_is_a_prefix(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < WAL_SEEDS * akvt_scale(); seed++)
        wal_power_loss_once(seed);
    wal_power_loss_once(UINT64_MAX);
}

/* Power is lost at each step of making a log: the old one or an empty new one. */
static void test_wal_power_loss_while_it_is_made(void **state)
{
    static const size_t old[] = {3000, 100, 40000};
    wal_seen           *seen  = malloc(sizeof *seen);

    (void)state;
    for (uint64_t nth = 1; nth < 12; nth++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            akv_env *env = wal_fault_env();
            lsm_wal *w   = NULL;

            wal_write("d/old", 3, old, 3, true);
            wal_plan(env, AKVI_FAULT_ALL, nth, 1, EIO, AKVI_FAULT_CRASH);
            akvi_call_begin();
            (void)!akvi_lsm_wal_create(NULL, env, "d/1", 4, "d/old", 4096, &w);
            (void)akvi_lsm_wal_close(w);
            assert_ok(akvi_fault_power_loss(env, seed));
            if (akvi_path_exists(env, "d/1") == AKV_OK) {
                assert_ok(wal_read(env, "d/1", 4, LSM_RECOVERY_TAIL, seen));
                assert_int_equal(seen->n, 0);
                assert_ok(env->ops->remove(env, "d/1"));
            } else {
                assert_ok(wal_read(env, "d/old", 3, LSM_RECOVERY_STRICT, seen));
                wal_expect(seen, 0, old, 3);
                assert_ok(env->ops->remove(env, "d/old"));
            }
            akvi_fault_free(env);
        }
    }
    free(seen);
}

/* --------------------------------------------------------------------- threads */

typedef struct wal_syncer {
    lsm_wal     *wal;
    _Atomic bool stop;
} wal_syncer;

static void *wal_sync_on(void *user)
{
    wal_syncer *s = user;

    while (!atomic_load(&s->stop))
        assert_int_equal(akvi_lsm_wal_sync(s->wal), AKV_OK);
    return NULL;
}

static void test_wal_sync_runs_beside_appends(void **state)
{
    const char *path = akvt_path(akvt_folder(), "000001.wal");
    wal_seen   *seen = malloc(sizeof *seen);
    size_t      lens[2000];
    wal_syncer  s;
    pthread_t   thread;

    (void)state;
    s.wal = wal_new(akv_env_posix(), path, 1, NULL, 1 << 20);
    atomic_init(&s.stop, false);
    assert_int_equal(pthread_create(&thread, NULL, wal_sync_on, &s), 0);
    for (size_t i = 0; i < 2000; i++) {
        lens[i] = i % 300;
        assert_ok(wal_put(s.wal, i, lens[i]));
        assert_true(akvi_lsm_wal_size(s.wal) > 0);
    }
    atomic_store(&s.stop, true);
    pthread_join(thread, NULL);
    wal_close(s.wal);
    assert_ok(wal_read(akv_env_posix(), path, 1, LSM_RECOVERY_STRICT, seen));
    wal_expect(seen, 0, lens, 2000);
    free(seen);
}

/* As after a kill: the log is neither synced nor closed. Records of all lengths on
 * both sides of what is stored through a mapping where there is one. */
static void test_wal_not_closed_holds_all_that_was_appended(void **state)
{
    const char *path = akvt_path(akvt_folder(), "000002.wal");
    wal_seen   *seen = malloc(sizeof *seen);
    size_t      lens[1000];
    lsm_wal    *w = wal_new(akv_env_posix(), path, 2, NULL, 1 << 20);

    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        lens[i] = i % 100 == 99 ? 20000 + i : i * 7 % 3000;
        assert_ok(wal_put(w, i, lens[i]));
    }
    assert_ok(wal_read(akv_env_posix(), path, 2, LSM_RECOVERY_STRICT, seen));
    wal_expect(seen, 0, lens, 1000);
    assert_ok(akvi_lsm_wal_close(w));
    free(seen);
}

int main(void)
{
#define WAL_TEST(f) cmocka_unit_test_setup_teardown(f, wal_set_up, wal_tear_down)
    const struct CMUnitTest tests[] = {
        WAL_TEST(test_wal_is_as_drawn),
        WAL_TEST(test_wal_gives_back_records_of_any_size),
        WAL_TEST(test_wal_records_end_anywhere_about_a_block_end),
        WAL_TEST(test_wal_refuses_what_is_too_large_for_a_log),
        WAL_TEST(test_wal_recycled_holds_nothing_of_its_earlier_life),
        WAL_TEST(test_wal_renamed_but_not_begun_is_empty),
        WAL_TEST(test_wal_cut_anywhere_keeps_what_is_before),
        WAL_TEST(test_wal_cut_within_a_large_record),
        WAL_TEST(test_wal_flipped_bit_in_what_was_synced_is_damage),
        WAL_TEST(test_wal_flipped_bit_in_what_was_not_synced_ends_it),
        WAL_TEST(test_wal_length_fields_out_of_range),
        WAL_TEST(test_wal_salvage_goes_on_behind_damage),
        WAL_TEST(test_wal_hole_before_unsynced_records_is_no_damage),
        WAL_TEST(test_wal_of_another_version_is_refused_as_such),
        WAL_TEST(test_wal_failed_append_leaves_nothing),
        WAL_TEST(test_wal_append_that_landed_though_it_failed_does_not_come_back),
        WAL_TEST(test_wal_append_that_can_not_be_undone_poisons),
        WAL_TEST(test_wal_create_fails_cleanly),
        WAL_TEST(test_wal_synced_survives_power_loss_and_the_rest_is_a_prefix),
        WAL_TEST(test_wal_power_loss_while_it_is_made),
        WAL_TEST(test_wal_sync_runs_beside_appends),
        WAL_TEST(test_wal_not_closed_holds_all_that_was_appended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
