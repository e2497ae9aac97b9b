/* SPDX-License-Identifier: MIT
 *
 * The helpers of file.h, and above all that a file is written durably: old or
 * new and never anything else, whatever fails and whenever power is lost.
 */
#include "common/env/file.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/env/fault.h"
#include "tests/testing.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_OLD_LEN 3000
#define FILE_NEW_LEN 5000
#define FILE_SEEDS   12

/* ------------------------------------------------------------------- helpers */

static akv_env *file_memory(void)
{
    akv_env *env;

    assert_ok(akv_env_memory_new(NULL, &env));
    return env;
}

static void file_expect(akv_env *env, const char *path, const void *want, size_t len)
{
    akv_buffer got = AKV_BUFFER_INIT;

    assert_ok(akvi_read_file(env, path, 16 << 20, &got));
    assert_int_equal(got.len, len);
    if (len > 0)
        assert_memory_equal(got.data, want, len);
    akv_buffer_free(&got);
}

static int file_count_one(void *user, const char *name)
{
    (void)name;
    ++*(size_t *)user;
    return 0;
}

static size_t file_count(akv_env *env, const char *folder)
{
    size_t n = 0;

    assert_ok(env->ops->list(env, folder, file_count_one, &n));
    return n;
}

static akvi_writer *file_begin(akv_env *env, const char *path)
{
    akvi_writer *w;

    assert_ok(akvi_writer_begin(env, NULL, path, &w));
    return w;
}

/* --------------------------------------------------------------------- paths */

static void file_expect_folder(const char *path, const char *want)
{
    char *got = akvi_path_folder(NULL, path);

    assert_string_equal(got, want);
    akvi_strfree(NULL, got);
}

static void file_expect_join(const char *folder, const char *name, const char *want)
{
    char *got = akvi_path_join(NULL, folder, name);

    assert_string_equal(got, want);
    akvi_strfree(NULL, got);
}

static void test_file_paths_come_apart_and_together(void **state)
{
    (void)state;
    file_expect_folder("a", ".");
    file_expect_folder("a/b", "a");
    file_expect_folder("/a", "/");
    file_expect_folder("/", "/");
    file_expect_folder("//a", "/");
    file_expect_folder("a//b", "a");
    file_expect_folder("/x/y/z", "/x/y");
    file_expect_folder("", ".");
    file_expect_join("a", "b", "a/b");
    file_expect_join("a/", "b", "a/b");
    file_expect_join("/", "b", "/b");
    file_expect_join("", "b", "b");
    assert_string_equal(akvi_path_name("/x/y/z"), "z");
    assert_string_equal(akvi_path_name("z"), "z");
    assert_string_equal(akvi_path_name("x/"), "");
}

/* ----------------------------------------------------------- reading, loading */

static void test_file_read_file_keeps_to_its_limit(void **state)
{
    akv_env   *env = file_memory();
    akv_buffer got = AKV_BUFFER_INIT;
    char       data[10000];

    (void)state;
    memset(data, 'x', sizeof data);
    assert_ok(akvi_write_file(env, "a", data, sizeof data));
    assert_ok(akvi_read_file(env, "a", sizeof data, &got));
    assert_int_equal(got.len, sizeof data);
    assert_status(AKV_TOO_BIG, akvi_read_file(env, "a", sizeof data - 1, &got));
    assert_int_equal(got.len, 0);
    assert_error_has("9999 bytes allowed");
    assert_status(AKV_IO, akvi_read_file(env, "b", 10, &got));
    assert_ok(akvi_write_file(env, "a", "", 0));
    assert_ok(akvi_read_file(env, "a", 0, &got));
    assert_int_equal(got.len, 0);
    akv_buffer_free(&got);
    akv_env_memory_free(env);
}

static void test_file_exists_records_nothing(void **state)
{
    akv_env *env = file_memory();

    (void)state;
    assert_ok(akvi_write_file(env, "a", "1", 1));
    akvi_call_begin();
    AKV_FAIL(AKV_MISUSE, "the first cause");
    assert_int_equal(akvi_path_exists(env, "no/where"), AKV_ABSENT);
    assert_int_equal(akvi_path_exists(env, "b"), AKV_ABSENT);
    assert_int_equal(akvi_path_exists(env, "a"), AKV_OK);
    assert_string_equal(akvi_pending_error()->text, "the first cause");
    akvi_call_begin();
    assert_int_equal(akvi_path_exists(env, "b"), AKV_ABSENT);
    assert_int_equal(akvi_call_end(AKV_IO, ""), AKV_IO);
    assert_string_equal(akv_last_error()->text, "failed with AKV_IO");
    akv_env_memory_free(env);
}

/* A file without the optional slots, over one that has them. */
typedef struct file_plain {
    akv_file     base;
    akv_file    *below;
    akv_file_ops ops;
} file_plain;

static akv_status file_plain_info(akv_file *file, akv_file_info *info_out)
{
    akv_file *below = ((file_plain *)file)->below;

    return below->ops->info(below, info_out);
}

static akv_status file_plain_read_at(akv_file *file, void *buf, size_t len, uint64_t off,
                                     size_t *got_out)
{
    akv_file *below = ((file_plain *)file)->below;

    return below->ops->read_at(below, buf, len, off, got_out);
}

static void file_expect_load(akv_file *file, size_t want, bool want_mapped)
{
    const void *data;
    size_t      len;
    bool        mapped;

    assert_ok(akvi_load(file, "a", akvt_failing_allocator(0), &data, &len, &mapped));
    assert_int_equal(len, want);
    assert_int_equal(mapped, want_mapped);
    if (want > 0)
        assert_memory_equal(data, "12345", want);
    else
        assert_null(data);
    akvi_unload(file, akvt_failing_allocator(0), data, len, mapped);
}

static void test_file_load_maps_or_reads(void **state)
{
    akv_env   *env = file_memory();
    akv_file  *file;
    file_plain plain = {.ops = {.info = file_plain_info, .read_at = file_plain_read_at}};

    (void)state;
    plain.base.ops = &plain.ops;
    assert_ok(akvi_write_file(env, "a", "12345", 5));
    assert_ok(env->ops->open(env, "a", AKV_FILE_WRITE, &file));
    plain.below = file;
    file_expect_load(file, 5, true);
    file_expect_load(&plain.base, 5, false);
    assert_status(AKV_UNSUPPORTED, akvi_file_allocate(&plain.base, 1));
    assert_status(AKV_UNSUPPORTED, akvi_file_set_mode(&plain.base, 1));
    akvi_file_advise(&plain.base, NULL, 0, AKV_ADVICE_RANDOM);
    assert_ok(file->ops->truncate(file, 0));
    file_expect_load(file, 0, false);
    file_expect_load(&plain.base, 0, false);
    akvi_file_drop(file);
    akvi_file_drop(NULL);
    akv_env_memory_free(env);
}

/* -------------------------------------------------------------------- writer */

static void test_file_writer_shows_nothing_before_commit(void **state)
{
    akv_env     *env = file_memory();
    akvi_writer *w;

    (void)state;
    assert_ok(akvi_write_file(env, "a", "old", 3));
    w = file_begin(env, "a");
    assert_ok(akvi_writer_append(w, "ne", 2));
    assert_ok(akvi_writer_append(w, "w", 1));
    assert_int_equal(akvi_writer_size(w), 3);
    file_expect(env, "a", "old", 3);
    assert_ok(akvi_writer_commit(w, false));
    file_expect(env, "a", "new", 3);
    w = file_begin(env, "a");
    assert_ok(akvi_writer_append(w, "never", 5));
    akvi_writer_abort(w);
    akvi_writer_abort(NULL);
    file_expect(env, "a", "new", 3);
    assert_int_equal(file_count(env, "/"), 1);
    akv_env_memory_free(env);
}

static void test_file_writer_patches_written_and_buffered_bytes(void **state)
{
    akv_env     *env = file_memory();
    akvt_random  r   = akvt_random_new(1);
    akvi_writer *w   = file_begin(env, "a");
    size_t       len = 0, cap = 5 << 20;
    uint8_t     *want = akvi_alloc(NULL, cap), patch[3000];

    (void)state;
    assert_non_null(want);
    while (len < cap) {
        size_t part =
            (size_t)(akvt_below(&r, 20) ? akvt_below(&r, 60000) : akvt_below(&r, 2 << 20));

        if (part > cap - len)
            part = cap - len;
        memset(want + len, (int)akvt_next(&r), part);
        assert_ok(akvi_writer_append(w, want + len, part));
        len += part;
        assert_int_equal(akvi_writer_size(w), len);
        for (int i = 0; i < 3; i++) {
            size_t   n   = (size_t)akvt_below(&r, sizeof patch);
            uint64_t off = akvt_below(&r, len + 1);

            if (i == 0) /* near the end of what is written so far */
                off = len & ~(((uint64_t)1 << 20) - 1);
            if (n > len - off)
                n = (size_t)(len - off);
            akvt_fill(&r, patch, n);
            assert_ok(akvi_writer_patch(w, off, patch, n));
            memcpy(want + off, patch, n);
        }
    }
    assert_status(AKV_MISUSE, akvi_writer_patch(w, len - 1, patch, 2));
    assert_status(AKV_MISUSE, akvi_writer_patch(w, UINT64_MAX, patch, 2));
    assert_ok(akvi_writer_commit(w, true));
    file_expect(env, "a", want, len);
    akvi_free(NULL, want, cap);
    akv_env_memory_free(env);
}

static void test_file_writer_exclusive_never_replaces(void **state)
{
    akv_env     *env = file_memory();
    akvi_writer *a = file_begin(env, "a"), *b = file_begin(env, "a");

    (void)state;
    assert_ok(akvi_writer_append(a, "first", 5));
    assert_ok(akvi_writer_append(b, "second", 6));
    assert_ok(akvi_writer_commit(a, true));
    assert_status(AKV_IO, akvi_writer_commit(b, true));
    assert_int_equal(akvi_pending_error()->os_errno, EEXIST);
    file_expect(env, "a", "first", 5);
    assert_int_equal(file_count(env, "/"), 1);
    akv_env_memory_free(env);
}

static akv_status file_no_link(akv_env *env, const char *from, const char *to)
{
    (void)env;
    (void)from;
    return AKV_FAIL_ERRNO(EPERM, to, AKV_NO_OFFSET, "can't link");
}

/* A file system without links. */
static void test_file_writer_exclusive_does_without_links(void **state)
{
    akv_env           *env  = file_memory();
    const akv_env_ops *with = env->ops;
    akv_env_ops        ops  = *with;
    akvi_writer       *w;

    (void)state;
    ops.link = file_no_link;
    env->ops = &ops;
    w        = file_begin(env, "a");
    assert_ok(akvi_writer_append(w, "first", 5));
    assert_ok(akvi_writer_commit(w, true));
    assert_status(AKV_IO, akvi_writer_commit(file_begin(env, "a"), true));
    assert_int_equal(akvi_pending_error()->os_errno, EEXIST);
    file_expect(env, "a", "first", 5);
    assert_int_equal(file_count(env, "/"), 1);
    env->ops = with;
    akv_env_memory_free(env);
}

static void test_file_writer_refuses_what_is_no_file(void **state)
{
    akv_env     *env = file_memory();
    akvi_writer *w;

    (void)state;
    assert_ok(env->ops->make_folder(env, "x"));
    assert_status(AKV_IO, akvi_writer_begin(env, NULL, "x", &w));
    assert_null(w);
    assert_int_equal(akvi_pending_error()->os_errno, EISDIR);
    assert_status(AKV_IO, akvi_writer_begin(env, NULL, "no/a", &w));
    assert_int_equal(file_count(env, "/"), 1);
    akv_env_memory_free(env);
}

/* ------------------------------------------------- writer on the system's files */

static void test_file_writer_keeps_permissions_and_links(void **state)
{
    akv_env    *env    = akv_env_posix();
    const char *folder = akvt_folder();
    const char *real = akvt_path(folder, "real"), *name = akvt_path(folder, "link");
    struct stat st;

    (void)state;
    akvt_write_file(real, "old", 3);
    assert_int_equal(chmod(real, 0604), 0);
    assert_int_equal(symlink("real", name), 0);
    assert_ok(akvi_write_file(env, name, "new", 3));
    assert_int_equal(lstat(name, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(real, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0604);
    file_expect(env, real, "new", 3);
    assert_int_equal(unlink(real), 0); /* a link to nothing: what it names is made */
    assert_ok(akvi_write_file(env, name, "anew", 4));
    file_expect(env, real, "anew", 4);
    assert_int_equal(stat(real, &st), 0);
    assert_int_equal(st.st_mode & 0600, 0600);
    assert_int_equal(file_count(env, folder), 2);
}

/* Leave a temporary behind as a killed process does. */
static void file_die_writing(akv_env *env, const char *path)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        akvi_writer *w;

        if (akvi_writer_begin(env, NULL, path, &w) == AKV_OK &&
            akvi_writer_append(w, "half", 4) == AKV_OK)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_file_writer_sweeps_what_dead_processes_left(void **state)
{
    akv_env     *env    = akv_env_posix();
    const char  *folder = akvt_folder();
    const char  *path   = akvt_path(folder, "a");
    akvi_writer *live;

    (void)state;
    akvt_write_file(path, "old", 3);
    akvt_write_file(akvt_path(folder, "a.tmp-notes"), "", 0);
    akvt_write_file(akvt_path(folder, "a.tmp-1-2.txt"), "", 0);
    akvt_write_file(akvt_path(folder, "b.tmp-1-2"), "", 0);
    file_die_writing(env, path);
    akvt_write_file(akvt_path(folder, "a.tmp-1-2"), "", 0); /* of a writer long gone */
    assert_int_equal(file_count(env, folder), 6);
    live = file_begin(env, path);
    assert_int_equal(file_count(env, folder), 5);
    assert_ok(akvi_write_file(env, path, "new", 3)); /* leaves the live one alone */
    assert_int_equal(file_count(env, folder), 5);
    assert_ok(akvi_writer_append(live, "newest", 6));
    assert_ok(akvi_writer_commit(live, false));
    file_expect(env, path, "newest", 6);
    assert_int_equal(file_count(env, folder), 4);
}

typedef struct file_worker {
    pthread_t   thread;
    akv_env    *env;
    const char *path;
    int         failed;
} file_worker;

/* Each writes the target whole with one byte; no reader may see a mixture. */
static void *file_work(void *user)
{
    file_worker *w    = user;
    akv_buffer   seen = AKV_BUFFER_INIT;
    char         data[2000];

    for (int i = 0; i < 40; i++) {
        memset(data, 'a' + i % 26, sizeof data);
        if (akvi_write_file(w->env, w->path, data, sizeof data) != AKV_OK ||
            akvi_read_file(w->env, w->path, 1 << 20, &seen) != AKV_OK || seen.len != sizeof data ||
            memcmp(seen.data, (char *)seen.data + 1, 1999) != 0)
            w->failed++;
        akvi_call_begin();
    }
    akv_buffer_free(&seen);
    return NULL;
}

static void file_race(akv_env *env, const char *folder)
{
    file_worker workers[4];
    char        path[600];

    snprintf(path, sizeof path, "%s/target", folder);
    for (size_t i = 0; i < AKVI_ARRAY_N(workers); i++) {
        workers[i] = (file_worker){.env = env, .path = path};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, file_work, &workers[i]), 0);
    }
    for (size_t i = 0; i < AKVI_ARRAY_N(workers); i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].failed, 0);
    }
    assert_int_equal(file_count(env, folder), 1);
}

static void test_file_writers_of_one_target_do_not_disturb_each_other(void **state)
{
    akv_env *env = file_memory();

    (void)state;
    assert_ok(env->ops->make_folder(env, "x"));
    file_race(env, "x");
    akv_env_memory_free(env);
    file_race(akv_env_posix(), akvt_folder());
}

/* ------------------------------------------------------------ failures, power */

static uint8_t file_old[FILE_OLD_LEN], file_new[FILE_NEW_LEN];

/* How a commit is tried: over an old file or none. */
typedef struct file_case {
    bool replaces, exclusive;
} file_case;

static const file_case file_cases[] = {{true, false}, {false, false}, {false, true}};

/* A fresh fault env whose folder "x" is durable, with the old file if any. */
static akv_env *file_faulty(const file_case *c, akv_env **memory_out)
{
    akv_env *env;

    *memory_out = file_memory();
    assert_ok(akvi_fault_new(*memory_out, NULL, &env));
    assert_ok(env->ops->make_folder(env, "x"));
    assert_ok(env->ops->sync_folder(env, "/"));
    memset(file_old, 'o', sizeof file_old);
    memset(file_new, 'n', sizeof file_new);
    if (c->replaces)
        assert_ok(akvi_write_file(env, "x/a", file_old, sizeof file_old));
    return env;
}

static akv_status file_write_new(akv_env *env, const file_case *c)
{
    akvi_writer *w;
    akv_status   rc = akvi_writer_begin(env, NULL, "x/a", &w);

    if (rc != AKV_OK)
        return rc;
    rc = akvi_writer_append(w, file_new, sizeof file_new);
    if (rc == AKV_OK)
        rc = akvi_writer_patch(w, 0, "n", 1);
    if (rc == AKV_OK)
        return akvi_writer_commit(w, c->exclusive);
    akvi_writer_abort(w);
    return rc;
}

/* 'o', 'n', or '-' when there is no file; anything else fails. */
static char file_which(akv_env *env)
{
    akv_buffer got = AKV_BUFFER_INIT;
    char       which;

    akvi_call_begin();
    if (akvi_path_exists(env, "x/a") == AKV_ABSENT)
        return '-';
    assert_ok(akvi_read_file(env, "x/a", 1 << 20, &got));
    assert_true(got.len == FILE_OLD_LEN || got.len == FILE_NEW_LEN);
    which = *(char *)got.data;
    if (which == 'o')
        assert_memory_equal(got.data, file_old, FILE_OLD_LEN);
    else
        assert_memory_equal(got.data, file_new, FILE_NEW_LEN);
    assert_int_equal(got.len, which == 'o' ? FILE_OLD_LEN : FILE_NEW_LEN);
    akv_buffer_free(&got);
    return which;
}

static void file_fail_at(const file_case *c, const akvi_fault_plan *plan, bool *reached_out)
{
    akv_env   *memory, *env = file_faulty(c, &memory);
    char       which;
    akv_status rc;

    akvi_fault_plan_set(env, plan);
    akvi_call_begin();
    rc           = file_write_new(env, c);
    *reached_out = akvi_fault_hits(env) > 0;
    akvi_fault_plan_set(env, &(akvi_fault_plan){0});
    which = file_which(env);
    if (rc == AKV_OK)
        assert_int_equal(which, 'n');
    else if (c->exclusive)
        assert_int_equal(which, '-');
    else
        assert_true(which == 'n' || which == (c->replaces ? 'o' : '-'));
    if (rc != AKV_OK && plan->how == AKVI_FAULT_FAIL)
        assert_int_equal(rc, plan->err == EIO ? AKV_IO : AKV_NOSPACE);
    assert_int_equal(file_count(env, "x"), which != '-');
    akvi_fault_free(env);
    akv_env_memory_free(memory);
}

static void test_file_writer_survives_any_failing_call(void **state)
{
    static const struct {
        int            err;
        akvi_fault_how how;
    } ways[] = {{EIO, AKVI_FAULT_FAIL}, {ENOSPC, AKVI_FAULT_FAIL}, {ENOSPC, AKVI_FAULT_SHORT}};

    (void)state;
    for (size_t c = 0; c < AKVI_ARRAY_N(file_cases); c++)
        for (size_t way = 0; way < AKVI_ARRAY_N(ways); way++) {
            bool     reached = true;
            uint64_t nth;

            for (nth = 1; reached; nth++)
                file_fail_at(
                    &file_cases[c],
                    &(akvi_fault_plan){AKVI_FAULT_ALL, nth, 1, ways[way].err, ways[way].how},
                    &reached);
            assert_true(nth > 8); /* there were that many calls to fail */
        }
}

/* Failures that last: only what needs a call to go away may stay. */
static void test_file_writer_keeps_the_old_file_when_all_fails(void **state)
{
    const file_case *c       = &file_cases[0];
    bool             reached = true;

    (void)state;
    for (uint64_t nth = 1; reached; nth++) {
        akv_env        *memory, *env = file_faulty(c, &memory);
        akvi_fault_plan plan = {AKVI_FAULT_ALL, nth, 0, EIO, AKVI_FAULT_FAIL};
        akv_status      rc;

        akvi_fault_plan_set(env, &plan);
        akvi_call_begin();
        rc      = file_write_new(env, c);
        reached = akvi_fault_hits(env) > 0;
        assert_true(rc != AKV_OK || file_which(memory) == 'n');
        file_which(memory);
        akvi_fault_plan_set(env, &(akvi_fault_plan){0});
        assert_ok(file_write_new(env, c)); /* heals, and sweeps */
        assert_int_equal(file_count(env, "x"), 1);
        akvi_fault_free(env);
        akv_env_memory_free(memory);
    }
}

static bool file_lose_power_at(const file_case *c, uint64_t nth, uint64_t seed)
{
    akv_env        *memory, *env = file_faulty(c, &memory);
    akvi_fault_plan plan = {AKVI_FAULT_ALL, nth, 1, EIO, AKVI_FAULT_CRASH};
    bool            crashed;
    char            which;
    akv_status      rc;

    akvi_fault_plan_set(env, &plan);
    akvi_call_begin();
    rc      = file_write_new(env, c);
    crashed = akvi_fault_hits(env) > 0;
    assert_ok(akvi_fault_power_loss(env, seed));
    which = file_which(env);
    if (rc == AKV_OK)
        assert_int_equal(which, 'n');
    else
        assert_true(which == 'n' || which == (c->replaces ? 'o' : '-'));
    assert_ok(file_write_new(env, &file_cases[0])); /* and all works again */
    assert_int_equal(file_which(env), 'n');
    assert_int_equal(file_count(env, "x"), 1);
    akvi_fault_free(env);
    akv_env_memory_free(memory);
    return crashed;
}

static void test_file_writer_is_old_or_new_after_power_loss(void **state)
{
    akvt_random r = akvt_random_new(7);

    (void)state;
    for (size_t c = 0; c < AKVI_ARRAY_N(file_cases); c++) {
        bool     crashed = true;
        uint64_t nth;

        for (nth = 1; crashed; nth++) {
            crashed = file_lose_power_at(&file_cases[c], nth, 0);
            (void)file_lose_power_at(&file_cases[c], nth, UINT64_MAX);
            for (unsigned s = 0; s < FILE_SEEDS * akvt_scale(); s++)
                (void)file_lose_power_at(&file_cases[c], nth, akvt_next(&r));
        }
        assert_true(nth > 8);
    }
}

static void test_file_writer_every_allocation_may_fail(void **state)
{
    akv_env     *env = file_memory();
    akv_status   rc  = AKV_NOMEM;
    akvi_writer *w;

    (void)state;
    for (uint64_t nth = 1; rc != AKV_OK; nth++) {
        assert_true(nth < 100);
        akvi_call_begin();
        rc = akvi_writer_begin(env, akvt_failing_allocator(nth), "a", &w);
        if (rc == AKV_OK) {
            rc = akvi_writer_append(w, "x", 1);
            if (rc == AKV_OK) {
                rc = akvi_writer_commit(w, false);
            } else {
                assert_status(AKV_NOMEM, akvi_writer_commit(w, false));
            }
        }
        assert_true(rc == AKV_OK || rc == AKV_NOMEM);
        assert_int_equal(akvt_allocator_out(), 0);
        assert_int_equal(file_count(env, "/"), rc == AKV_OK);
    }
    akv_env_memory_free(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_paths_come_apart_and_together),
        cmocka_unit_test(test_file_read_file_keeps_to_its_limit),
        cmocka_unit_test(test_file_exists_records_nothing),
        cmocka_unit_test(test_file_load_maps_or_reads),
        cmocka_unit_test(test_file_writer_shows_nothing_before_commit),
        cmocka_unit_test(test_file_writer_patches_written_and_buffered_bytes),
        cmocka_unit_test(test_file_writer_exclusive_never_replaces),
        cmocka_unit_test(test_file_writer_exclusive_does_without_links),
        cmocka_unit_test(test_file_writer_refuses_what_is_no_file),
        cmocka_unit_test(test_file_writer_keeps_permissions_and_links),
        cmocka_unit_test(test_file_writer_sweeps_what_dead_processes_left),
        cmocka_unit_test(test_file_writers_of_one_target_do_not_disturb_each_other),
        cmocka_unit_test(test_file_writer_survives_any_failing_call),
        cmocka_unit_test(test_file_writer_keeps_the_old_file_when_all_fails),
        cmocka_unit_test(test_file_writer_is_old_or_new_after_power_loss),
        cmocka_unit_test(test_file_writer_every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
