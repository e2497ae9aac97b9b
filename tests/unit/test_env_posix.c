/* SPDX-License-Identifier: MIT
 *
 * The POSIX env: what every env promises (env_body.h, with its
 * pthread_create), then what only real files can show: locks between
 * processes, interrupted and short system calls, full devices, links.
 */
#include "common/env/fault.h"
#include "tests/unit/env_body.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static akv_env *posix_test_env;

static akv_file *posix_test_open(const char *path, uint32_t flags)
{
    akv_file *file;

    assert_ok(posix_test_env->ops->open(posix_test_env, path, flags, &file));
    return file;
}

/* A child process that takes a lock and holds it until it is killed. Returns
 * its id once it holds the lock. */
static pid_t posix_test_holder(const char *path, bool exclusive)
{
    int   ready[2];
    char  byte = 0;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        akv_file *file;

        if (posix_test_env->ops->open(posix_test_env, path, AKV_FILE_WRITE, &file) != AKV_OK ||
            file->ops->lock(file, exclusive) != AKV_OK)
            byte = 1;
        if (write(ready[1], &byte, 1) == 1)
            sleep(60);
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 0);
    close(ready[0]);
    return pid;
}

static void posix_test_kill(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_posix_lock_of_another_process_is_named_and_dies_with_it(void **state)
{
    const char *path = akvt_path(akvt_folder(), "store.lock");
    akv_file   *file;
    char        text[64];
    pid_t       pid;

    (void)state;
    akvt_write_file(path, "", 0);
    pid  = posix_test_holder(path, true);
    file = posix_test_open(path, AKV_FILE_WRITE);
    snprintf(text, sizeof text, "locked by process %ld:", (long)pid);
    assert_status(AKV_LOCKED, file->ops->lock(file, true));
    assert_error_has(text);
    assert_status(AKV_LOCKED, file->ops->lock(file, false));
    assert_error_has(text);
    posix_test_kill(pid);
    assert_ok(file->ops->lock(file, false)); /* what the killed one left says nothing */
    assert_ok(file->ops->close(file));

    pid  = posix_test_holder(path, false);
    file = posix_test_open(path, AKV_FILE_WRITE);
    assert_ok(file->ops->lock(file, false));
    assert_status(AKV_LOCKED, file->ops->lock(file, true));
    assert_error_has("another process");
    posix_test_kill(pid);
    assert_ok(file->ops->lock(file, true));
    assert_ok(file->ops->close(file));
}

static void test_posix_stores_through_a_shared_mapping_are_the_files(void **state)
{
    const char *path = akvt_path(akvt_folder(), "shared");
    akv_file   *file = posix_test_open(path, AKV_FILE_WRITE | AKV_FILE_CREATE);
    char        back[8];
    void       *data;
    size_t      got;
    akv_status  rc = akvi_file_map_shared(file, 65536, &data);

    (void)state;
    if (rc == AKV_OK) { /* else the file system does not overwrite in place */
        assert_ok(file->ops->write_at(file, "abcdefgh", 8, 0));
        memcpy((char *)data + 2, "XY", 2);
        assert_ok(file->ops->read_at(file, back, 8, 0, &got));
        assert_memory_equal(back, "abXYefgh", 8);
        assert_ok(file->ops->sync(file, false));
        akvi_file_unmap(file, data, 65536);
    } else {
        assert_int_equal(rc, AKV_UNSUPPORTED);
    }
    assert_ok(file->ops->close(file));
}

static void test_posix_lock_of_a_plain_file_leaves_its_bytes(void **state)
{
    const char *path = akvt_path(akvt_folder(), "data");
    akv_file   *file;
    pid_t       pid;

    (void)state;
    akvt_write_file(path, "data", 4);
    pid  = posix_test_holder(path, true);
    file = posix_test_open(path, 0);
    assert_status(AKV_LOCKED, file->ops->lock(file, false));
    assert_error_has("another process");
    posix_test_kill(pid);
    assert_ok(file->ops->lock(file, false));
    body_expect_file(file, "data", 4);
    assert_ok(file->ops->close(file));
}

/* A child may drop what its parent had open, and the parent's lock stays. */
static void test_posix_lock_survives_a_childs_close(void **state)
{
    const char *path = akvt_path(akvt_folder(), "x.lock");
    akv_file   *file, *other;
    pid_t       pid;
    int         how;

    (void)state;
    akvt_write_file(path, "", 0);
    file = posix_test_open(path, AKV_FILE_WRITE);
    assert_ok(file->ops->lock(file, true));
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        akv_status rc;

        akvi_call_begin();
        rc = posix_test_env->ops->open(posix_test_env, path, AKV_FILE_WRITE, &other);
        if (rc != AKV_OK || other->ops->lock(other, true) != AKV_LOCKED ||
            !strstr(akvi_pending_error()->text, "parent"))
            _exit(1);
        file->ops->close(file);
        _exit(other->ops->lock(other, true) == AKV_LOCKED ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        file->ops->unlock(file);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &how, 0), pid);
    other = posix_test_open(path, AKV_FILE_WRITE);
    pid   = fork();
    if (pid == 0) { /* the registry's entry is gone here, the system's lock is not */
        file->ops->unlock(file);
        _exit(other->ops->lock(other, true) == AKV_LOCKED ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_int_equal(WEXITSTATUS(how), 0);
    assert_ok(other->ops->close(other));
    assert_ok(file->ops->close(file));
}

static void test_posix_short_and_interrupted_calls_stay_inside(void **state)
{
    const char *path = akvt_path(akvt_folder(), "a");
    akvt_random r    = akvt_random_new(1);
    uint8_t     data[10000], back[10000];
    akv_file   *file = posix_test_open(path, AKV_FILE_WRITE | AKV_FILE_CREATE);
    size_t      got;

    (void)state;
    akvt_fill(&r, data, sizeof data);
    akvi_posix_set_short_io(true);
    assert_ok(file->ops->write_at(file, data, 7000, 0));
    assert_ok(file->ops->append(file, data + 7000, 3000));
    assert_ok(file->ops->read_at(file, back, sizeof back, 0, &got));
    akvi_posix_set_short_io(false);
    assert_int_equal(got, sizeof back);
    assert_memory_equal(back, data, sizeof data);
    akvi_posix_set_short_io(true);
    assert_ok(file->ops->read_at(file, back, sizeof back, 9000, &got));
    akvi_posix_set_short_io(false);
    assert_int_equal(got, 1000);
    assert_ok(file->ops->close(file));
}

static void test_posix_full_device_is_nospace(void **state)
{
    akv_file *file;

    (void)state;
    if (access("/dev/full", W_OK) != 0)
        skip();
    file = posix_test_open("/dev/full", AKV_FILE_WRITE);
    assert_status(AKV_NOSPACE, file->ops->write_at(file, "x", 1, 0));
    assert_error_has("/dev/full: at offset 0: can't write 1 bytes");
    assert_ok(file->ops->close(file));
}

/* Files may grow to `limit` in a child, where job runs; returns what it does. */
static int posix_test_limited(rlim_t limit, int (*job)(const char *path), const char *path)
{
    struct rlimit l;
    int           how;
    pid_t         pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGXFSZ, SIG_IGN);
        l.rlim_cur = l.rlim_max = limit;
        if (setrlimit(RLIMIT_FSIZE, &l) != 0)
            _exit(100);
        akvi_call_begin();
        _exit(job(path));
    }
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how));
    return WEXITSTATUS(how);
}

static int posix_test_fill(const char *path)
{
    static uint8_t data[1500];
    akv_file      *file;

    if (posix_test_env->ops->open(posix_test_env, path, AKV_FILE_WRITE | AKV_FILE_CREATE, &file) !=
        AKV_OK)
        return 1;
    if (file->ops->append(file, data, 1000) != AKV_OK)
        return 2;
    /* 48 of these bytes fit, and stay: who appends cuts them off. */
    if (file->ops->append(file, data, 1000) != AKV_NOSPACE)
        return 3;
    if (akvi_pending_error()->offset != 1024)
        return 4;
    if (file->ops->truncate(file, 1000) != AKV_OK || file->ops->append(file, data, 24) != AKV_OK)
        return 5;
    return file->ops->close(file) == AKV_OK ? 0 : 6;
}

static int posix_test_replace(const char *path)
{
    static uint8_t data[5000];

    return akvi_write_file(posix_test_env, path, data, sizeof data) == AKV_NOSPACE ? 0 : 1;
}

static void test_posix_no_room_fails_the_write_and_heals(void **state)
{
    const char *folder = akvt_folder();
    const char *path   = akvt_path(folder, "a");

    (void)state;
    assert_int_equal(posix_test_limited(1024, posix_test_fill, path), 0);
    akvt_write_file(path, "old", 3);
    assert_int_equal(posix_test_limited(1024, posix_test_replace, path), 0);
    snprintf(body_root, sizeof body_root, "%s", folder);
    body_expect("a", "old");
    assert_int_equal(body_count(folder), 1);
}

static void test_posix_descriptors_do_not_pass_to_programs(void **state)
{
    const char *path = akvt_path(akvt_folder(), "a");
    struct stat want, st;
    akv_file   *file = posix_test_open(path, AKV_FILE_WRITE | AKV_FILE_CREATE);
    bool        seen = false;

    (void)state;
    assert_int_equal(stat(path, &want), 0);
    for (int fd = 0; fd < 256; fd++)
        if (fstat(fd, &st) == 0 && st.st_ino == want.st_ino && st.st_dev == want.st_dev) {
            assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
            seen = true;
        }
    assert_true(seen);
    assert_ok(file->ops->close(file));
}

static void test_posix_a_pipe_is_no_file_and_nobody_waits(void **state)
{
    const char *path = akvt_path(akvt_folder(), "pipe");
    akv_file   *file;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_errno(ESPIPE, posix_test_env->ops->open(posix_test_env, path, 0, &file));
    assert_errno(ESPIPE, posix_test_env->ops->open(posix_test_env, path, AKV_FILE_WRITE, &file));
    assert_status(AKV_MISUSE, akvi_write_file(posix_test_env, path, "x", 1));
}

static void posix_test_follow(const char *path, const char *want)
{
    akv_buffer out = AKV_BUFFER_INIT;

    assert_ok(posix_test_env->ops->follow(posix_test_env, path, &out));
    assert_string_equal(out.data, want);
    assert_int_equal(out.len, strlen(want) + 1);
    akv_buffer_free(&out);
}

static void test_posix_follow_finds_where_links_lead(void **state)
{
    const char *folder = akvt_folder();
    const char *target = akvt_path(folder, "target"), *one = akvt_path(folder, "one");
    const char *two = akvt_path(folder, "two"), *loop = akvt_path(folder, "loop");
    akv_buffer  out = AKV_BUFFER_INIT;

    (void)state;
    assert_int_equal(symlink("target", one), 0);
    assert_int_equal(symlink(one, two), 0);
    assert_int_equal(symlink("loop", loop), 0);
    posix_test_follow(two, target); /* which need not be there */
    akvt_write_file(target, "", 0);
    posix_test_follow(two, target);
    posix_test_follow(target, target);
    assert_errno(ELOOP, posix_test_env->ops->follow(posix_test_env, loop, &out));
    akv_buffer_free(&out);
}

static void test_posix_refused_folders_say_why(void **state)
{
    const char *folder = akvt_folder();
    const char *path   = akvt_path(folder, "a");
    pid_t       pid;
    int         how;

    (void)state;
    assert_int_equal(chmod(folder, 0500), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        akvi_call_begin();
        if (geteuid() == 0 && setuid(65534) != 0) /* root is refused nothing */
            _exit(1);
        if (akvi_write_file(posix_test_env, path, "x", 1) != AKV_IO ||
            akvi_pending_error()->os_errno != EACCES || !strstr(akvi_pending_error()->text, path))
            _exit(2);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posix_lock_of_another_process_is_named_and_dies_with_it),
        cmocka_unit_test(test_posix_lock_of_a_plain_file_leaves_its_bytes),
        cmocka_unit_test(test_posix_lock_survives_a_childs_close),
        cmocka_unit_test(test_posix_short_and_interrupted_calls_stay_inside),
        cmocka_unit_test(test_posix_full_device_is_nospace),
        cmocka_unit_test(test_posix_no_room_fails_the_write_and_heals),
        cmocka_unit_test(test_posix_descriptors_do_not_pass_to_programs),
        cmocka_unit_test(test_posix_a_pipe_is_no_file_and_nobody_waits),
        cmocka_unit_test(test_posix_stores_through_a_shared_mapping_are_the_files),
        cmocka_unit_test(test_posix_follow_finds_where_links_lead),
        cmocka_unit_test(test_posix_refused_folders_say_why),
    };

    posix_test_env = akv_env_posix();
    return body_run("env_posix", posix_test_env, akvt_folder(), tests, AKVI_ARRAY_N(tests));
}
