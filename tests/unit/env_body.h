/* SPDX-License-Identifier: MIT
 *
 * env_body.h: what every env promises, tried on the env that the program
 * including this gives to body_run.
 */
#ifndef AKVT_ENV_BODY_H
#define AKVT_ENV_BODY_H

#include "common/base/bytes.h"
#include "common/env/file.h"
#include "tests/testing.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BODY_THREADS 4
#define BODY_ROUNDS  200

static akv_env *body_env;       /* under test */
static char     body_root[512]; /* an empty folder of it, new for each test */

/* AKV_IO with this errno. */
#define assert_errno(err, call)                                  \
    do {                                                         \
        assert_status(AKV_IO, call);                             \
        assert_int_equal(akvi_pending_error()->os_errno, (err)); \
    } while (0)

/* A path below the root; 16 rotating buffers. */
static const char *body_path(const char *name)
{
    return akvt_path(body_root, name);
}

static akv_file *body_open(const char *name, uint32_t flags)
{
    akv_file *file = NULL;

    assert_ok(body_env->ops->open(body_env, body_path(name), flags, &file));
    return file;
}

static akv_status body_try_open(const char *name, uint32_t flags)
{
    akv_file  *file = NULL;
    akv_status rc   = body_env->ops->open(body_env, body_path(name), flags, &file);

    assert_true((rc == AKV_OK) == (file != NULL));
    akvi_file_drop(file);
    return rc;
}

static void body_close(akv_file *file)
{
    assert_ok(file->ops->close(file));
}

static void body_put(const char *name, const char *text)
{
    akv_file *file = body_open(name, AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_TRUNCATE);

    assert_ok(file->ops->write_at(file, text, strlen(text), 0));
    body_close(file);
}

static void body_expect_file(akv_file *file, const void *want, size_t len)
{
    char   got[4096];
    size_t n;

    assert_true(len < sizeof got);
    assert_ok(file->ops->read_at(file, got, sizeof got, 0, &n));
    assert_int_equal(n, len);
    assert_memory_equal(got, want, len);
}

static void body_expect(const char *name, const char *want)
{
    akv_file *file = body_open(name, 0);

    body_expect_file(file, want, strlen(want));
    body_close(file);
}

static bool body_is_there(const char *name)
{
    akv_status rc = akvi_path_exists(body_env, body_path(name));

    assert_true(rc == AKV_OK || rc == AKV_ABSENT);
    return rc == AKV_OK;
}

static int body_count_one(void *user, const char *name)
{
    assert_true(name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    ++*(size_t *)user;
    return 0;
}

static size_t body_count(const char *folder)
{
    size_t n = 0;

    assert_ok(body_env->ops->list(body_env, folder, body_count_one, &n));
    return n;
}

/* ------------------------------------------------------------- opening files */

static void test_env_a_missing_file_is_enoent(void **state)
{
    akv_file_info info;

    (void)state;
    assert_errno(ENOENT, body_try_open("a", 0));
    assert_errno(ENOENT, body_try_open("a", AKV_FILE_WRITE));
    assert_errno(ENOENT, body_try_open("no/a", AKV_FILE_WRITE | AKV_FILE_CREATE));
    assert_errno(ENOENT, body_env->ops->info(body_env, body_path("a"), &info));
    assert_errno(ENOENT, body_env->ops->remove(body_env, body_path("a")));
    assert_errno(ENOENT, body_env->ops->rename(body_env, body_path("a"), body_path("b")));
    assert_errno(ENOENT, body_env->ops->link(body_env, body_path("a"), body_path("b")));
    assert_errno(ENOENT, body_env->ops->sync_folder(body_env, body_path("a")));
    assert_error_has("/a: ");
    body_put("file", "");
    assert_errno(ENOTDIR, body_try_open("file/x", 0));
    assert_status(AKV_ABSENT, akvi_path_exists(body_env, body_path("file/x")));
}

static void test_env_open_flags_do_what_they_say(void **state)
{
    const uint32_t make = AKV_FILE_WRITE | AKV_FILE_CREATE;

    (void)state;
    body_close(body_open("a", make | AKV_FILE_EXCLUDE));
    assert_errno(EEXIST, body_try_open("a", make | AKV_FILE_EXCLUDE));
    body_put("a", "text");
    body_close(body_open("a", make));
    body_expect("a", "text");
    body_close(body_open("a", AKV_FILE_WRITE | AKV_FILE_TRUNCATE));
    body_expect("a", "");
    assert_status(AKV_MISUSE, body_try_open("a", AKV_FILE_CREATE));
    assert_status(AKV_MISUSE, body_try_open("a", AKV_FILE_TRUNCATE));
    assert_status(AKV_MISUSE, body_try_open("a", AKV_FILE_WRITE | AKV_FILE_EXCLUDE));
    assert_status(AKV_MISUSE, body_try_open("a", 1u << 20));
    assert_errno(EISDIR, body_try_open("", 0));
}

static void test_env_private_files_are_for_their_owner(void **state)
{
    const uint32_t make = AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_PRIVATE;
    akv_file      *file = body_open("a", make);
    akv_file_info  info;

    (void)state;
    assert_ok(file->ops->info(file, &info));
    assert_int_equal(info.mode & 077, 0);
    assert_ok(akvi_file_set_mode(file, 0640));
    assert_ok(file->ops->info(file, &info));
    assert_int_equal(info.mode, 0640);
    body_close(file);
}

/* ------------------------------------------------------------- read and write */

static void test_env_reads_what_was_written(void **state)
{
    akv_file *file = body_open("a", AKV_FILE_WRITE | AKV_FILE_CREATE);
    char      buf[64];
    size_t    got;

    (void)state;
    assert_ok(file->ops->write_at(file, "hello world", 11, 0));
    assert_ok(file->ops->write_at(file, "W", 1, 6));
    assert_ok(file->ops->write_at(file, NULL, 0, 100));
    body_expect_file(file, "hello World", 11);
    assert_ok(file->ops->read_at(file, buf, 5, 6, &got));
    assert_int_equal(got, 5);
    assert_memory_equal(buf, "World", 5);
    assert_ok(file->ops->read_at(file, buf, 5, 9, &got));
    assert_int_equal(got, 2);
    assert_ok(file->ops->read_at(file, buf, 5, 11, &got));
    assert_int_equal(got, 0);
    assert_ok(file->ops->read_at(file, buf, 5, UINT64_MAX - 2, &got));
    assert_int_equal(got, 0);
    assert_status(AKV_CORRUPT, akvi_read_full(file, "a", buf, 5, 9));
    assert_error_has("at offset 11: file cut");
    body_close(file);
}

static void test_env_a_hole_reads_as_zeroes(void **state)
{
    akv_file *file = body_open("a", AKV_FILE_WRITE | AKV_FILE_CREATE);

    (void)state;
    assert_ok(file->ops->write_at(file, "ab", 2, 0));
    assert_ok(file->ops->write_at(file, "z", 1, 5));
    body_expect_file(file, "ab\0\0\0z", 6);
    assert_ok(file->ops->truncate(file, 1));
    assert_ok(file->ops->truncate(file, 4));
    body_expect_file(file, "a\0\0\0", 4);
    assert_ok(file->ops->truncate(file, 2));
    assert_ok(file->ops->write_at(file, "!", 1, 3));
    body_expect_file(file, "a\0\0!", 4);
    assert_status(AKV_NOSPACE, file->ops->write_at(file, "!", 1, UINT64_MAX));
    body_close(file);
}

static void test_env_append_goes_to_the_end(void **state)
{
    akv_file *a = body_open("a", AKV_FILE_WRITE | AKV_FILE_CREATE);
    akv_file *b = body_open("a", AKV_FILE_WRITE);

    (void)state;
    assert_ok(a->ops->append(a, "one", 3));
    assert_ok(b->ops->append(b, "two", 3));
    assert_ok(a->ops->write_at(a, "O", 1, 0));
    assert_ok(a->ops->append(a, "three", 5));
    body_expect_file(b, "Onetwothree", 11);
    assert_ok(a->ops->truncate(a, 3));
    assert_ok(b->ops->append(b, "!", 1));
    body_expect_file(a, "One!", 4);
    assert_ok(a->ops->sync(a, false));
    assert_ok(a->ops->sync(a, true));
    body_close(a);
    body_close(b);
}

static void test_env_a_file_open_to_read_refuses_writes(void **state)
{
    akv_file *file;

    (void)state;
    body_put("a", "text");
    file = body_open("a", 0);
    assert_int_not_equal(file->ops->write_at(file, "x", 1, 0), AKV_OK);
    assert_int_not_equal(file->ops->append(file, "x", 1), AKV_OK);
    assert_int_not_equal(file->ops->truncate(file, 0), AKV_OK);
    body_expect_file(file, "text", 4);
    body_close(file);
}

static void test_env_allocate_keeps_the_size(void **state)
{
    akv_file     *file = body_open("a", AKV_FILE_WRITE | AKV_FILE_CREATE);
    akv_file_info info;
    akv_status    rc;

    (void)state;
    assert_ok(file->ops->append(file, "text", 4));
    rc = akvi_file_allocate(file, 100000);
    assert_true(rc == AKV_OK || rc == AKV_UNSUPPORTED);
    assert_ok(file->ops->info(file, &info));
    assert_int_equal(info.size, 4);
    assert_ok(file->ops->append(file, "more", 4));
    body_expect_file(file, "textmore", 8);
    body_close(file);
}

static void test_env_info_tells_kind_size_and_identity(void **state)
{
    akv_file_info a, b, folder;
    akv_file     *file;

    (void)state;
    body_put("a", "12345");
    assert_ok(body_env->ops->link(body_env, body_path("a"), body_path("b")));
    body_put("c", "");
    assert_ok(body_env->ops->info(body_env, body_path("a"), &a));
    file = body_open("b", 0);
    assert_ok(file->ops->info(file, &b));
    body_close(file);
    assert_int_equal(a.kind, AKV_KIND_FILE);
    assert_int_equal(a.size, 5);
    assert_true(a.device == b.device && a.inode == b.inode && a.mtime_ns == b.mtime_ns);
    assert_true(a.mtime_ns / 1000000000 + 60 > body_env->ops->unix_ms(body_env) / 1000);
    assert_ok(body_env->ops->info(body_env, body_path("c"), &b));
    assert_true(a.inode != b.inode);
    assert_ok(body_env->ops->info(body_env, body_root, &folder));
    assert_int_equal(folder.kind, AKV_KIND_FOLDER);
}

/* -------------------------------------------------------------------- names */

static void test_env_rename_replaces_and_open_files_live_on(void **state)
{
    akv_file *old;

    (void)state;
    body_put("a", "new");
    body_put("b", "old");
    old = body_open("b", AKV_FILE_WRITE);
    assert_ok(body_env->ops->rename(body_env, body_path("a"), body_path("b")));
    assert_false(body_is_there("a"));
    body_expect("b", "new");
    assert_ok(old->ops->append(old, "er", 2));
    body_expect_file(old, "older", 5);
    body_expect("b", "new");
    body_close(old);
    assert_ok(body_env->ops->rename(body_env, body_path("b"), body_path("b")));
    body_expect("b", "new");
    assert_int_equal(body_count(body_root), 1);
}

static void test_env_rename_of_folders_moves_what_is_inside(void **state)
{
    (void)state;
    assert_ok(body_env->ops->make_folder(body_env, body_path("x")));
    assert_ok(body_env->ops->make_folder(body_env, body_path("x/y")));
    assert_ok(body_env->ops->make_folder(body_env, body_path("empty")));
    assert_ok(body_env->ops->make_folder(body_env, body_path("full")));
    body_put("x/y/f", "deep");
    body_put("full/f", "");
    body_put("file", "");
    assert_errno(EINVAL, body_env->ops->rename(body_env, body_path("x"), body_path("x/y/z")));
    assert_errno(ENOTDIR, body_env->ops->rename(body_env, body_path("x"), body_path("file")));
    assert_errno(EISDIR, body_env->ops->rename(body_env, body_path("file"), body_path("x")));
    assert_int_not_equal(body_env->ops->rename(body_env, body_path("x"), body_path("full")),
                         AKV_OK);
    assert_ok(body_env->ops->rename(body_env, body_path("x"), body_path("empty")));
    assert_false(body_is_there("x"));
    body_expect("empty/y/f", "deep");
    assert_ok(body_env->ops->rename(body_env, body_path("empty/y"), body_path("full/y")));
    body_expect("full/y/f", "deep");
    body_expect("full/y/.././y//f", "deep");
    assert_int_equal(body_count(body_path("empty")), 0);
}

static void test_env_link_is_a_second_name(void **state)
{
    (void)state;
    body_put("a", "1");
    body_put("taken", "2");
    assert_ok(body_env->ops->link(body_env, body_path("a"), body_path("b")));
    assert_errno(EEXIST, body_env->ops->link(body_env, body_path("a"), body_path("taken")));
    assert_errno(EEXIST, body_env->ops->link(body_env, body_path("a"), body_path("b")));
    body_put("b", "through b");
    body_expect("a", "through b");
    assert_ok(body_env->ops->remove(body_env, body_path("a")));
    body_expect("b", "through b");
    assert_errno(EPERM, body_env->ops->link(body_env, body_root, body_path("c")));
}

static void test_env_a_removed_file_lives_while_open(void **state)
{
    akv_file *file;

    (void)state;
    body_put("a", "text");
    file = body_open("a", AKV_FILE_WRITE);
    assert_ok(body_env->ops->remove(body_env, body_path("a")));
    assert_false(body_is_there("a"));
    body_put("a", "another");
    assert_ok(file->ops->append(file, "!", 1));
    body_expect_file(file, "text!", 5);
    body_expect("a", "another");
    body_close(file);
}

static void test_env_folders_go_only_when_empty(void **state)
{
    akv_status rc;

    (void)state;
    assert_ok(body_env->ops->make_folder(body_env, body_path("x")));
    assert_errno(EEXIST, body_env->ops->make_folder(body_env, body_path("x")));
    assert_errno(ENOENT, body_env->ops->make_folder(body_env, body_path("no/x")));
    body_put("x/f", "");
    assert_int_not_equal(body_env->ops->remove_folder(body_env, body_path("x")), AKV_OK);
    rc = body_env->ops->remove(body_env, body_path("x"));
    assert_int_equal(rc, AKV_IO);
    assert_errno(ENOTDIR, body_env->ops->remove_folder(body_env, body_path("x/f")));
    assert_ok(body_env->ops->remove(body_env, body_path("x/f")));
    assert_ok(body_env->ops->sync_folder(body_env, body_path("x")));
    assert_ok(body_env->ops->remove_folder(body_env, body_path("x")));
    assert_false(body_is_there("x"));
}

static int body_stop_at_third(void *user, const char *name)
{
    (void)name;
    return ++*(int *)user == 3;
}

static int body_remove_each(void *user, const char *name)
{
    (void)user;
    assert_ok(body_env->ops->remove(body_env, body_path(name)));
    return 0;
}

static void test_env_list_names_everything_once(void **state)
{
    int  seen = 0;
    char name[16];

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "f%d", i * 37 % 100);
        body_put(name, "");
    }
    assert_int_equal(body_count(body_root), 100);
    assert_ok(body_env->ops->list(body_env, body_root, body_stop_at_third, &seen));
    assert_int_equal(seen, 3);
    assert_errno(ENOENT, body_env->ops->list(body_env, body_path("x"), body_stop_at_third, &seen));
    assert_errno(ENOTDIR,
                 body_env->ops->list(body_env, body_path("f1"), body_stop_at_third, &seen));
    assert_ok(body_env->ops->list(body_env, body_root, body_remove_each, NULL));
    assert_int_equal(body_count(body_root), 0);
}

/* ----------------------------------------------------------------- mappings */

static void test_env_a_mapping_outlives_rename_and_remove(void **state)
{
    const void *data, *again;
    akv_file   *file;

    (void)state;
    body_put("a", "mapped bytes");
    file = body_open("a", 0);
    assert_ok(akvi_file_map(file, 12, &data));
    akvi_file_advise(file, data, 12, AKV_ADVICE_RANDOM);
    akvi_file_advise(file, (const char *)data + 5, 3, AKV_ADVICE_WILL_NEED);
    akvi_file_advise(file, NULL, 0, AKV_ADVICE_SEQUENTIAL);
    assert_memory_equal(data, "mapped bytes", 12);
    body_put("b", "other");
    assert_ok(body_env->ops->rename(body_env, body_path("b"), body_path("a")));
    assert_memory_equal(data, "mapped bytes", 12);
    assert_ok(body_env->ops->remove(body_env, body_path("a")));
    assert_ok(akvi_file_map(file, 6, &again));
    akvi_file_unmap(file, data, 12);
    assert_memory_equal(again, "mapped", 6);
    body_close(file); /* which ends the second */
}

static void test_env_a_mapping_lies_within_the_file(void **state)
{
    const void *data;
    akv_file   *file;

    (void)state;
    body_put("a", "12345");
    file = body_open("a", AKV_FILE_WRITE);
    assert_status(AKV_MISUSE, akvi_file_map(file, 6, &data));
    assert_null(data);
    assert_ok(akvi_file_map(file, 0, &data));
    assert_null(data);
    assert_ok(akvi_file_map(file, 5, &data));
    assert_ok(file->ops->append(file, "6789", 4)); /* past the mapping: allowed */
    assert_memory_equal(data, "12345", 5);
    body_expect_file(file, "123456789", 9);
    akvi_file_unmap(file, data, 5);
    body_close(file);
}

/* -------------------------------------------------------------------- locks */

static void test_env_locks_tell_opens_apart_and_name_the_holder(void **state)
{
    akv_file *a, *b;
    char      pid[32];

    (void)state;
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    body_put("x.lock", "");
    a = body_open("x.lock", AKV_FILE_WRITE);
    b = body_open("x.lock", AKV_FILE_WRITE);
    assert_ok(a->ops->lock(a, true));
    assert_status(AKV_LOCKED, b->ops->lock(b, true));
    assert_error_has(pid);
    assert_status(AKV_LOCKED, b->ops->lock(b, false));
    assert_ok(a->ops->unlock(a));
    assert_ok(b->ops->lock(b, false));
    assert_ok(a->ops->lock(a, false));
    assert_status(AKV_LOCKED, a->ops->lock(a, true));
    assert_status(AKV_LOCKED, b->ops->lock(b, true));
    body_close(a);
    assert_ok(b->ops->lock(b, true));
    a = body_open("x.lock", 0);
    assert_status(AKV_LOCKED, a->ops->lock(a, false));
    assert_ok(b->ops->lock(b, false));
    assert_ok(a->ops->lock(a, false));
    body_close(b);
    assert_errno(EBADF, a->ops->lock(a, true));
    body_close(a);
}

static void test_env_a_lock_is_the_files_not_the_names(void **state)
{
    akv_file *a, *b;

    (void)state;
    body_put("a", "");
    a = body_open("a", AKV_FILE_WRITE);
    assert_ok(a->ops->lock(a, true));
    assert_ok(a->ops->lock(a, true));
    assert_ok(body_env->ops->link(body_env, body_path("a"), body_path("other")));
    b = body_open("other", AKV_FILE_WRITE);
    assert_status(AKV_LOCKED, b->ops->lock(b, true));
    body_close(b); /* drops nothing of a's */
    assert_ok(body_env->ops->rename(body_env, body_path("a"), body_path("moved")));
    b = body_open("moved", AKV_FILE_WRITE);
    assert_status(AKV_LOCKED, b->ops->lock(b, false));
    body_close(b);
    body_put("a", "");
    b = body_open("a", AKV_FILE_WRITE);
    assert_ok(b->ops->lock(b, true));
    body_close(b);
    body_close(a);
}

/* -------------------------------------------------------------------- clock */

static void test_env_clocks_go_forward(void **state)
{
    uint64_t ns = body_env->ops->monotonic_ns(body_env), ms = body_env->ops->unix_ms(body_env);

    (void)state;
    body_env->ops->sleep_ns(body_env, 2000000);
    assert_true(body_env->ops->monotonic_ns(body_env) >= ns + 2000000);
    assert_true(ms > UINT64_C(1600000000000) && ms < UINT64_C(100000000000000));
}

/* ------------------------------------------------------------------ threads */

typedef struct body_worker {
    pthread_t thread;
    akv_file *shared;
    int       id;
    int       failed; /* cmocka's asserts are for the main thread */
} body_worker;

static int body_see(void *user, const char *name)
{
    (void)user;
    return name[0] == '\0';
}

static void *body_work(void *user)
{
    body_worker *w   = user;
    akv_env     *env = body_env;
    char         path[600], other[600], record[16], back[16];
    akv_file    *file;
    size_t       got;

    snprintf(path, sizeof path, "%s/own%d", body_root, w->id);
    snprintf(other, sizeof other, "%s/renamed", body_root);
    for (int i = 0; i < BODY_ROUNDS; i++) {
        memset(record, 'a' + w->id, sizeof record);
        if (w->shared->ops->append(w->shared, record, sizeof record) != AKV_OK ||
            w->shared->ops->read_at(w->shared, back, sizeof back, 0, &got) != AKV_OK ||
            env->ops->open(env, path, AKV_FILE_WRITE | AKV_FILE_CREATE, &file) != AKV_OK)
            w->failed++;
        else if (file->ops->write_at(file, record, sizeof record, 0) != AKV_OK ||
                 file->ops->sync(file, false) != AKV_OK || file->ops->close(file) != AKV_OK ||
                 env->ops->rename(env, path, other) != AKV_OK ||
                 env->ops->list(env, body_root, body_see, NULL) != AKV_OK)
            w->failed++;
    }
    return NULL;
}

static void test_env_threads_append_whole_records(void **state)
{
    akv_file   *file = body_open("shared", AKV_FILE_WRITE | AKV_FILE_CREATE);
    body_worker workers[BODY_THREADS];
    char        record[16];
    int         counts[BODY_THREADS] = {0};

    (void)state;
    for (int i = 0; i < BODY_THREADS; i++) {
        workers[i] = (body_worker){.id = i, .shared = file};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, body_work, &workers[i]), 0);
    }
    for (int i = 0; i < BODY_THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].failed, 0);
    }
    for (int i = 0; i < BODY_THREADS * BODY_ROUNDS; i++) {
        assert_ok(akvi_read_full(file, "shared", record, sizeof record, (uint64_t)i * 16));
        for (int b = 1; b < 16; b++)
            assert_int_equal(record[b], record[0]);
        counts[record[0] - 'a']++;
    }
    for (int i = 0; i < BODY_THREADS; i++)
        assert_int_equal(counts[i], BODY_ROUNDS);
    body_close(file);
}

static const struct CMUnitTest body_tests[] = {
    cmocka_unit_test(test_env_a_missing_file_is_enoent),
    cmocka_unit_test(test_env_open_flags_do_what_they_say),
    cmocka_unit_test(test_env_private_files_are_for_their_owner),
    cmocka_unit_test(test_env_reads_what_was_written),
    cmocka_unit_test(test_env_a_hole_reads_as_zeroes),
    cmocka_unit_test(test_env_append_goes_to_the_end),
    cmocka_unit_test(test_env_a_file_open_to_read_refuses_writes),
    cmocka_unit_test(test_env_allocate_keeps_the_size),
    cmocka_unit_test(test_env_info_tells_kind_size_and_identity),
    cmocka_unit_test(test_env_rename_replaces_and_open_files_live_on),
    cmocka_unit_test(test_env_rename_of_folders_moves_what_is_inside),
    cmocka_unit_test(test_env_link_is_a_second_name),
    cmocka_unit_test(test_env_a_removed_file_lives_while_open),
    cmocka_unit_test(test_env_folders_go_only_when_empty),
    cmocka_unit_test(test_env_list_names_everything_once),
    cmocka_unit_test(test_env_a_mapping_outlives_rename_and_remove),
    cmocka_unit_test(test_env_a_mapping_lies_within_the_file),
    cmocka_unit_test(test_env_locks_tell_opens_apart_and_name_the_holder),
    cmocka_unit_test(test_env_a_lock_is_the_files_not_the_names),
    cmocka_unit_test(test_env_clocks_go_forward),
    cmocka_unit_test(test_env_threads_append_whole_records),
};

/* Give each test a folder of its own. */
static int body_setup(void **state)
{
    static unsigned n;
    static char     top[sizeof body_root];

    (void)state;
    if (n == 0)
        memcpy(top, body_root, sizeof top);
    snprintf(body_root, sizeof body_root, "%.400s/%u", top, n++);
    akvi_call_begin();
    return body_env->ops->make_folder(body_env, body_root);
}

/* Run them on `env`, in the empty folder `root` of it, and then `more`. */
static int body_run(const char *name, akv_env *env, const char *root, const struct CMUnitTest *more,
                    size_t more_n)
{
    const size_t      body_n = AKVI_ARRAY_N(body_tests);
    struct CMUnitTest all[64];

    if (body_n + more_n > AKVI_ARRAY_N(all))
        return 1;
    body_env = env;
    snprintf(body_root, sizeof body_root, "%s", root);
    memcpy(all, body_tests, sizeof body_tests);
    memcpy(all + body_n, more, more_n * sizeof *more);
    for (size_t i = 0; i < body_n; i++)
        all[i].setup_func = body_setup;
    return _cmocka_run_group_tests(name, all, body_n + more_n, NULL, NULL);
}

#endif
