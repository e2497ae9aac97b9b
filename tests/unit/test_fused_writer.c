/* SPDX-License-Identifier: MIT
 *
 * test_fused_writer.c: what the writer of .fsdb files promises: ids, limits, the
 * same bytes for the same calls, and a build that happens whole or not at all.
 */
#include "tests/unit/fused_raw.h"

#include "common/env/fault.h"
#include "engines/fused/format.h"
#include "engines/fused/sort.h"

#include <anykv/doc.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t one_fsdb[] = {
    0x46, 0x53, 0x44, 0x42, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x34, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x28,
    0x1e, 0xcc, 0x24, 0xac, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0xa2, 0x79, 0xd7, 0xf3,
    0x81, 0xa1, 0x76, 0x01, 0x00, 0x01, 0x6b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x28};

static void writer_path(char path[4200], const char *name)
{
    snprintf(path, 4200, "%s/%s", akvt_folder(), name);
}

static void writer_file_is(const char *path, const void *want, size_t want_len)
{
    size_t len;
    char  *got = akvt_read_file(path, &len);

    assert_int_equal(len, want_len);
    assert_memory_equal(got, want, len);
    free(got);
}

/* ---------------------------------------------------------------------- bytes */

static void test_fused_writer_empty_store_is_40_bytes(void **state)
{
    static const uint8_t empty[40] = {'F', 'S', 'D', 'B', 2, [23] = 40, [31] = 40};
    akv_fused_writer    *w;
    akv_fused           *f;
    akv_fused_cursor     c;
    char                 path[4200];

    (void)state;
    writer_path(path, "empty.fsdb");
    assert_ok(akv_fused_writer_new(NULL, &w));
    assert_ok(akv_fused_build(w, path, NULL));
    akv_fused_writer_free(w);
    writer_file_is(path, empty, sizeof empty);
    assert_ok(akv_fused_open(path, NULL, &f));
    assert_status(AKV_ABSENT, akv_fused_exists(f, akv_str("")));
    assert_ok(akv_fused_cursor_prefix(f, akv_str(""), &c));
    assert_status(AKV_END, akv_fused_cursor_next(&c));
    assert_status(AKV_END, akv_fused_cursor_seek(&c, akv_str("")));
    assert_status(AKV_END, akv_fused_cursor_seek_for_prev(&c, akv_str("z")));
    assert_ok(akv_fused_verify(f, NULL, NULL));
    akv_fused_close(f);
}

static void test_fused_writer_document_is_the_originals_msgpack(void **state)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w;
    uint32_t                 id = 7;
    char                     path[4200];

    (void)state;
    writer_path(path, "one.fsdb");
    opt.flags = AKV_FUSED_PLAIN;
    assert_ok(akv_fused_writer_new(&opt, &w));
    assert_true(akv_fused_add_document(w, akv_str("{\"v\": 1,}"), &id) < 0);
    assert_int_equal(akv_fused_writer_objects(w), 0);
    assert_ok(akv_fused_add_document(w, akv_str("{\"v\": 1}"), &id));
    assert_int_equal(id, 0);
    assert_ok(akv_fused_add_key(w, akv_str("k"), id));
    assert_ok(akv_fused_build(w, path, NULL));
    akv_fused_writer_free(w);
    writer_file_is(path, one_fsdb, sizeof one_fsdb);
}

static void test_fused_writer_last_mapping_wins_and_objects_stay(void **state)
{
    akv_fused_writer *w;
    akv_fused        *f;
    akv_fused_info    info = AKV_FUSED_INFO_INIT;
    akv_slice         object;
    uint32_t          id;
    char              path[4200];

    (void)state;
    writer_path(path, "again.fsdb");
    assert_ok(akv_fused_writer_new(NULL, &w));
    assert_ok(akv_fused_add(w, akv_str("b"), akv_str("first"), NULL));
    assert_ok(akv_fused_add(w, akv_str("a"), akv_str("other"), NULL));
    assert_ok(akv_fused_add(w, akv_str("b"), akv_str("second"), &id));
    assert_int_equal(id, 2);
    assert_int_equal(akv_fused_writer_keys(w), 3);
    for (int build = 0; build < 2; build++) { /* a second build sees only new calls on top */
        assert_ok(akv_fused_build(w, path, NULL));
        assert_int_equal(akv_fused_writer_keys(w), 2);
        assert_ok(akv_fused_open(path, NULL, &f));
        assert_ok(akv_fused_info_get(f, &info));
        assert_int_equal(info.num_keys, 2);
        assert_int_equal(info.num_objects, 3);
        assert_ok(akv_fused_get(f, akv_str("b"), &object));
        assert_slice(object, build ? "first" : "second");
        assert_ok(akv_fused_verify(f, NULL, NULL));
        akv_fused_close(f);
        assert_ok(akv_fused_add_key(w, akv_str("b"), 0));
    }
    akv_fused_writer_free(w);
}

static void test_fused_writer_a_key_taken_back_leaves_no_trace_but_its_object(void **state)
{
    akv_fused_writer *w;
    akv_fused        *f;
    akv_slice         object;
    char              path[4200];

    (void)state;
    writer_path(path, "back.fsdb");
    assert_ok(akv_fused_writer_new(NULL, &w));
    assert_ok(akv_fused_add(w, akv_str("a"), akv_str("1"), NULL));
    assert_ok(akv_fused_add(w, akv_str("b"), akv_str("2"), NULL));
    assert_ok(akv_fused_remove_key(w, akv_str("b"))); /* in order, so nothing else sorts it */
    assert_ok(akv_fused_remove_key(w, akv_str("never")));
    assert_status(AKV_MISUSE, akv_fused_remove_key(NULL, akv_str("a")));
    assert_ok(akv_fused_build(w, path, NULL));
    assert_int_equal(akv_fused_writer_keys(w), 1);
    assert_ok(akv_fused_open(path, NULL, &f));
    assert_int_equal(akv_fused_count(f), 1);
    assert_status(AKV_ABSENT, akv_fused_exists(f, akv_str("b")));
    assert_ok(akv_fused_verify(f, NULL, NULL));
    akv_fused_close(f);

    assert_ok(akv_fused_add_key(w, akv_str("b"), 0)); /* and it may come again */
    assert_ok(akv_fused_build(w, path, NULL));
    assert_ok(akv_fused_open(path, NULL, &f));
    assert_ok(akv_fused_get(f, akv_str("b"), &object));
    assert_slice(object, "1");
    akv_fused_close(f);
    akv_fused_writer_free(w);
}

static void test_fused_writer_dedupes_only_what_deduped_added(void **state)
{
    akv_fused_writer *w;
    uint32_t          id, again;

    (void)state;
    assert_ok(akv_fused_writer_new(NULL, &w));
    assert_ok(akv_fused_add_object(w, akv_str("x"), &id));
    assert_ok(akv_fused_add_object(w, akv_str("x"), &id));
    assert_int_equal(id, 1);
    assert_ok(akv_fused_add_deduped(w, akv_str("x"), &id));
    assert_int_equal(id, 2);
    assert_ok(akv_fused_add_deduped(w, akv_str("x"), &id));
    assert_int_equal(id, 2);
    assert_ok(akv_fused_add_deduped(w, akv_str(""), &id));
    assert_int_equal(id, 3);
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t content = i % 1000;

        assert_ok(akv_fused_add_deduped(w, akv_bytes(&content, sizeof content), &again));
        assert_int_equal(again, 4 + content);
    }
    assert_int_equal(akv_fused_writer_objects(w), 1004);
    akv_fused_writer_free(w);
}

static void test_fused_writer_limits(void **state)
{
    static uint8_t    key[65536];
    akv_fused_writer *w;
    akv_fused        *f;
    uint32_t          id;
    char              path[4200];

    (void)state;
    writer_path(path, "limits.fsdb");
    memset(key, 'k', sizeof key);
    assert_ok(akv_fused_writer_new(NULL, &w));
    assert_status(AKV_MISUSE, akv_fused_add_key(w, akv_str("k"), 0));
    assert_error_has("no object 0");
    assert_ok(akv_fused_add_object(w, akv_str(""), &id));
    assert_status(AKV_MISUSE, akv_fused_add_key(w, akv_str("k"), 1));
    assert_status(AKV_TOO_BIG, akv_fused_add_key(w, akv_bytes(key, 65536), 0));
    assert_error_has("65536");
    if (sizeof(size_t) > 4)
        assert_status(AKV_TOO_BIG, akv_fused_add_object(w, akv_bytes(key, (size_t)1 << 32), &id));
    assert_int_equal(akv_fused_writer_keys(w), 0);
    assert_ok(akv_fused_add_key(w, akv_bytes(key, 65535), 0));
    assert_ok(akv_fused_add_key(w, akv_bytes(NULL, 0), 0));
    assert_status(AKV_MISUSE, akv_fused_add_key(w, akv_bytes(NULL, 1), 0));
    assert_ok(akv_fused_build(w, path, NULL));
    akv_fused_writer_free(w);
    assert_ok(akv_fused_open(path, NULL, &f));
    assert_int_equal(akv_fused_count(f), 2);
    assert_ok(akv_fused_exists(f, akv_bytes(key, 65535)));
    assert_status(AKV_ABSENT, akv_fused_exists(f, akv_bytes(key, 65534)));
    assert_status(AKV_ABSENT, akv_fused_exists(f, akv_bytes(key, 65536)));
    assert_ok(akv_fused_exists(f, akv_str("")));
    akv_fused_close(f);
}

/* Objects around the size of the chunk that building goes through. */
static void test_fused_writer_objects_of_all_sizes_come_back(void **state)
{
    static const size_t sizes[] = {0,      1,      4087,   4088,   4096,   262135,
                                   262136, 262137, 262144, 524288, 1048576};
    akv_buffer          bytes   = AKV_BUFFER_INIT;
    akvt_random         r       = akvt_random_new(1);
    akv_fused_writer   *w;
    akv_fused          *f;
    akv_slice           object;
    uint32_t            id;
    char                path[4200];

    (void)state;
    writer_path(path, "sizes.fsdb");
    akvt_fill(&r, raw_extend(&bytes, 1048576), 1048576);
    assert_ok(akv_fused_writer_new(NULL, &w));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_ok(akv_fused_add(w, akv_bytes(&i, sizeof i), akv_bytes(bytes.data, sizes[i]), &id));
    assert_ok(akv_fused_build(w, path, NULL));
    akv_fused_writer_free(w);
    assert_ok(akv_fused_open(path, NULL, &f));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_ok(akv_fused_get(f, akv_bytes(&i, sizeof i), &object));
        assert_int_equal(object.len, sizes[i]);
        assert_memory_equal(object.data, bytes.data, sizes[i]);
    }
    assert_ok(akv_fused_verify(f, NULL, NULL));
    akv_fused_close(f);
    akv_buffer_free(&bytes);
}

/* ----------------------------------------------------------------------- sort */

#define SORT_N 3000u

static void test_fused_sort_is_stable_and_keeps_the_last(void **state)
{
    static uint8_t    entries[SORT_N][60];
    static fused_item items[SORT_N], scratch[SORT_N];
    akvt_random       r = akvt_random_new(2);

    (void)state;
    for (unsigned round = 0; round < 30; round++) {
        size_t n = round < 5 ? akvt_below(&r, 60) : 1 + akvt_below(&r, SORT_N), kept;
        /* keys that share 0, 1, ... long runs, of few or many bytes */
        size_t shared = akvt_below(&r, 4) * 7, bytes = 1 + akvt_below(&r, 3);

        for (size_t i = 0; i < n; i++) {
            size_t len = shared + akvt_below(&r, 20);

            akvi_put_be16(entries[i], (uint16_t)len);
            memset(entries[i] + 2, 'p', len);
            for (size_t k = shared; k < len; k++)
                entries[i][2 + k] = (uint8_t)akvt_below(&r, bytes == 3 ? 256 : bytes);
            akvi_put_be64(entries[i] + 2 + len, i);
            items[i].entry = entries[i];
        }
        akvi_fused_sort(items, scratch, n);
        for (size_t i = 1; i < n; i++) {
            int c = fused_entry_compare(items[i - 1].entry, items[i].entry);

            assert_true(c < 0 || (c == 0 && items[i - 1].entry < items[i].entry));
        }
        for (size_t i = 0; i < n; i++)
            scratch[i] = items[i];
        kept = akvi_fused_keep_last(items, n);
        for (size_t i = 0, k = 0; i < n; i++) {
            if (i + 1 < n && fused_entry_compare(scratch[i].entry, scratch[i + 1].entry) == 0)
                continue;
            assert_true(k < kept);
            assert_ptr_equal(items[k++].entry, scratch[i].entry);
        }
    }
}

/* Two thousand keys that differ only in their last byte or length: as deep as
 * sorting can go, and it must not use the stack for that. */
static void test_fused_sort_goes_deep_on_a_small_stack(void **state)
{
    static fused_item items[200], scratch[200];
    const size_t      len = 65500;

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        uint8_t *entry = malloc(2 + len + i + 8);

        assert_non_null(entry);
        akvi_put_be16(entry, (uint16_t)(len + i % 30));
        memset(entry + 2, 'x', len + i);
        entry[2 + len - 1] = (uint8_t)(i * 37);
        items[i].entry     = entry;
    }
    akvi_fused_sort(items, scratch, 200);
    for (size_t i = 1; i < 200; i++)
        assert_true(fused_entry_compare(items[i - 1].entry, items[i].entry) < 0);
    for (size_t i = 0; i < 200; i++)
        free((void *)(uintptr_t)items[i].entry);
}

/* --------------------------------------------------------------------- faults */

typedef struct folder_count {
    const char *keep;
    size_t      others;
} folder_count;

static void writer_only_holds(const char *folder, const char *name)
{
    DIR           *dir = opendir(folder);
    struct dirent *e;
    size_t         n = 0;

    assert_non_null(dir);
    while ((e = readdir(dir))) {
        if (e->d_name[0] == '.')
            continue;
        assert_string_equal(e->d_name, name);
        n++;
    }
    closedir(dir);
    assert_int_equal(n, 1);
}

static akv_fused_writer *writer_with_pairs(akv_env *env, const akv_allocator *allocator, size_t n,
                                           char tag)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w;
    char                     text[64];

    opt.env       = env;
    opt.allocator = allocator;
    assert_ok(akv_fused_writer_new(&opt, &w));
    for (size_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%zu-%c", i * 7919 % n, tag);
        assert_ok(akv_fused_add(w, akv_str(text), akv_str(text), NULL));
    }
    return w;
}

/* Each call of the env fails in turn, in each way: the old file stays as it
 * was, nothing lies beside it, and the same writer then builds. */
static void test_fused_build_fails_whole_at_every_call(void **state)
{
    static const akvi_fault_plan plans[] = {
        {AKVI_FAULT_ALL, 0, 1, EIO, AKVI_FAULT_FAIL},
        {AKVI_FAULT_ALL, 0, 1, ENOSPC, AKVI_FAULT_FAIL},
        {AKVI_FAULT_WRITE, 0, 0, ENOSPC, AKVI_FAULT_SHORT},
    };
    const char       *folder = akvt_folder();
    akv_env          *env;
    akv_fused_writer *old, *w;
    uint8_t          *before;
    size_t            before_len;
    char              path[4200];

    (void)state;
    snprintf(path, sizeof path, "%s/db.fsdb", folder);
    old = writer_with_pairs(NULL, NULL, 50, 'o');
    assert_ok(akv_fused_build(old, path, NULL));
    before = akvt_read_file(path, &before_len);
    assert_ok(akvi_fault_new(akv_env_posix(), NULL, &env));
    w = writer_with_pairs(env, NULL, 100, 'n');
    for (size_t p = 0; p < sizeof plans / sizeof *plans; p++) {
        for (uint64_t nth = 1; nth < 60; nth++) {
            akvi_fault_plan plan = plans[p];
            akv_status      st;
            struct stat     info;

            plan.nth = nth;
            akvi_fault_plan_set(env, &plan);
            st = akv_fused_build(w, path, NULL);
            if (akvi_fault_hits(env) == 0) {
                assert_int_equal(st, AKV_OK);
                break;
            }
            if (st == AKV_OK || stat(path, &info) != 0 || (size_t)info.st_size != before_len) {
                /* Only the folder's sync may fail once the new name stands. */
                assert_true(st == AKV_OK || nth > 3);
                assert_ok(akv_fused_build(old, path, NULL));
                continue;
            }
            assert_true(st < 0);
            assert_int_equal(akv_last_error()->os_errno, plan.err);
            writer_file_is(path, before, before_len);
            writer_only_holds(folder, "db.fsdb");
            assert_true(nth < 59);
        }
        akvi_fault_plan_set(env, &(akvi_fault_plan){0});
        assert_ok(akv_fused_build(w, path, NULL));
        writer_only_holds(folder, "db.fsdb");
        assert_ok(akv_fused_build(old, path, NULL));
    }
    akv_fused_writer_free(w);
    akv_fused_writer_free(old);
    akvi_fault_free(env);
    free(before);
}

/* Power is lost just before each call: what is there afterwards is the old file
 * or the new one, whole. */
static void test_fused_build_survives_loss_of_power(void **state)
{
    static const uint64_t seeds[] = {0, 1, 2, UINT64_MAX};
    bool                  done    = false;

    (void)state;
    for (uint64_t nth = 1; !done; nth++) {
        for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++) {
            akvi_fault_plan   plan = {AKVI_FAULT_ALL, nth, 0, EIO, AKVI_FAULT_CRASH};
            akv_fused_options opt  = AKV_FUSED_OPTIONS_INIT;
            akv_env          *base, *env;
            akv_fused_writer *old, *w;
            akv_fused        *f;
            akv_status        st;

            assert_ok(akv_env_memory_new(NULL, &base));
            assert_ok(akvi_fault_new(base, NULL, &env));
            old = writer_with_pairs(env, NULL, 50, 'o');
            w   = writer_with_pairs(env, NULL, 200, 'n');
            assert_ok(akv_fused_build(old, "db.fsdb", NULL));
            akvi_fault_plan_set(env, &plan);
            st   = akv_fused_build(w, "db.fsdb", NULL);
            done = akvi_fault_hits(env) == 0;
            assert_true(st == AKV_OK || !done);
            assert_ok(akvi_fault_power_loss(env, seeds[s]));
            opt.env = env;
            assert_ok(akv_fused_open("db.fsdb", &opt, &f));
            assert_ok(akv_fused_verify(f, NULL, NULL));
            assert_true(akv_fused_count(f) == 200 || (st != AKV_OK && akv_fused_count(f) == 50));
            akv_fused_close(f);
            akv_fused_writer_free(old);
            akv_fused_writer_free(w);
            akvi_fault_free(env);
            akv_env_memory_free(base);
        }
        assert_true(nth < 100);
    }
}

static akv_status writer_all(const akv_allocator *allocator, const char *path)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w;
    akv_status               st;
    uint32_t                 id;
    char                     text[32];

    opt.allocator = allocator;
    st            = akv_fused_writer_new(&opt, &w);
    for (int i = 0; i < 600 && st == AKV_OK; i++) {
        snprintf(text, sizeof text, "%d", i * 7919 % 600);
        st = akv_fused_add_deduped(w, akv_str(text), &id);
        if (st == AKV_OK)
            st = akv_fused_add_key(w, akv_str(text), id);
    }
    if (st == AKV_OK)
        st = akv_fused_build(w, path, NULL);
    akv_fused_writer_free(w);
    return st;
}

static void test_fused_writer_gives_all_memory_back_when_it_runs_out(void **state)
{
    akv_status st = AKV_NOMEM;
    char       path[4200];

    (void)state;
    writer_path(path, "nomem.fsdb");
    for (uint64_t nth = 1; st != AKV_OK; nth++) {
        st = writer_all(akvt_failing_allocator(nth), path);
        assert_true(st == AKV_OK || (st == AKV_NOMEM && access(path, F_OK) != 0));
        assert_int_equal(akvt_allocator_out(), 0);
        assert_true(nth < 500);
    }
}

static int writer_progress(void *user, uint64_t done, uint64_t total, const char *unit)
{
    (void)unit;
    assert_true(done <= total);
    return done >= *(uint64_t *)user;
}

static void test_fused_build_can_be_cancelled(void **state)
{
    const char       *folder  = akvt_folder();
    akv_job_options   job     = AKV_JOB_OPTIONS_INIT;
    akv_buffer        big     = AKV_BUFFER_INIT;
    uint64_t          stop_at = 1u << 20;
    akv_fused_writer *w;
    char              path[4200];
    DIR              *dir;
    struct dirent    *e;

    (void)state;
    snprintf(path, sizeof path, "%s/x.fsdb", folder);
    raw_extend(&big, 4 << 20);
    assert_ok(akv_fused_writer_new(NULL, &w));
    assert_ok(akv_fused_add(w, akv_str("k"), akvi_buffer_slice(&big), NULL));
    job.progress = writer_progress;
    job.user     = &stop_at;
    assert_status(AKV_CANCELLED, akv_fused_build(w, path, &job));
    dir = opendir(folder);
    assert_non_null(dir);
    while ((e = readdir(dir)))
        assert_true(e->d_name[0] == '.');
    closedir(dir);
    stop_at = UINT64_MAX;
    assert_ok(akv_fused_build(w, path, &job));
    akv_fused_writer_free(w);
    akv_buffer_free(&big);
}

static void test_fused_build_refuses_a_missing_folder(void **state)
{
    akv_fused_writer *w;
    char              path[4200];

    (void)state;
    writer_path(path, "none/x.fsdb");
    assert_ok(akv_fused_writer_new(NULL, &w));
    assert_status(AKV_IO, akv_fused_build(w, path, NULL));
    assert_int_equal(akv_last_error()->os_errno, ENOENT);
    assert_status(AKV_MISUSE, akv_fused_build(w, NULL, NULL));
    assert_status(AKV_MISUSE, akv_fused_build(NULL, path, NULL));
    akv_fused_writer_free(w);
    akv_fused_writer_free(NULL);
}

typedef struct rival {
    const char *path;
    char        value[8];
    unsigned    faults;
} rival;

static void *rival_run(void *user)
{
    rival            *r = user;
    akv_fused_writer *w;

    r->faults += akv_fused_writer_new(NULL, &w) != AKV_OK;
    r->faults += akv_fused_add(w, akv_str("k"), akv_str(r->value), NULL) != AKV_OK;
    for (int i = 0; i < 20; i++)
        r->faults += akv_fused_build(w, r->path, NULL) != AKV_OK;
    akv_fused_writer_free(w);
    return NULL;
}

/* Two to one path and one to a name that differs in its ending alone. */
static void test_fused_builds_at_once_stay_apart(void **state)
{
    const char *folder = akvt_folder();
    const char *one = akvt_path(folder, "x.v1"), *two = akvt_path(folder, "x.v2");
    rival       rivals[] = {{one, "1", 0}, {two, "2", 0}, {two, "3", 0}};
    pthread_t   threads[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, rival_run, &rivals[i]), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(rivals[i].faults, 0);
    }
    for (int i = 0; i < 2; i++) {
        akv_slice  object;
        akv_fused *f;

        assert_ok(akv_fused_open(i ? two : one, NULL, &f));
        assert_ok(akv_fused_verify(f, NULL, NULL));
        assert_ok(akv_fused_get(f, akv_str("k"), &object));
        assert_true(object.len == 1 && (*(const char *)object.data == '1') == (i == 0));
        akv_fused_close(f);
    }
    assert_int_equal(unlink(one), 0);
    writer_only_holds(folder, "x.v2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused_writer_empty_store_is_40_bytes),
        cmocka_unit_test(test_fused_writer_document_is_the_originals_msgpack),
        cmocka_unit_test(test_fused_writer_last_mapping_wins_and_objects_stay),
        cmocka_unit_test(test_fused_writer_a_key_taken_back_leaves_no_trace_but_its_object),
        cmocka_unit_test(test_fused_writer_dedupes_only_what_deduped_added),
        cmocka_unit_test(test_fused_writer_limits),
        cmocka_unit_test(test_fused_writer_objects_of_all_sizes_come_back),
        cmocka_unit_test(test_fused_sort_is_stable_and_keeps_the_last),
        cmocka_unit_test(test_fused_sort_goes_deep_on_a_small_stack),
        cmocka_unit_test(test_fused_build_fails_whole_at_every_call),
        cmocka_unit_test(test_fused_build_survives_loss_of_power),
        cmocka_unit_test(test_fused_writer_gives_all_memory_back_when_it_runs_out),
        cmocka_unit_test(test_fused_build_can_be_cancelled),
        cmocka_unit_test(test_fused_builds_at_once_stay_apart),
        cmocka_unit_test(test_fused_build_refuses_a_missing_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
