/* SPDX-License-Identifier: MIT
 *
 * test_fused_open.c: .fsdb files opened from a caller's buffer and from a
 * caller's descriptor: all that a reader does works there, and both stay the
 * caller's.
 */
#include "tests/unit/fused_raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEYS 300u

typedef struct from_file {
    char     path[4200];
    uint8_t *data;
    size_t   len;
} from_file;

static from_file with_section, plain;

static akv_slice from_key(char room[16], unsigned i)
{
    return akv_bytes(room, (size_t)snprintf(room, 16, "10.%u.0.0/16", i % 256 + i / 256 * 1000));
}

static bool from_same(akv_slice a, akv_slice b)
{
    return akvi_equal(a.data, a.len, b.data, b.len);
}

static void from_build(from_file *to, const char *name, uint32_t flags)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w;
    char                     room[16];

    opt.flags = flags;
    snprintf(to->path, sizeof to->path, "%s/%s", akvt_folder(), name);
    assert_ok(akv_fused_writer_new(&opt, &w));
    for (unsigned i = 0; i < KEYS; i++) {
        akv_slice key = from_key(room, i);

        assert_ok(akv_fused_add(w, key, key, NULL));
    }
    assert_ok(akv_fused_build(w, to->path, NULL));
    akv_fused_writer_free(w);
    to->data = akvt_read_file(to->path, &to->len);
}

static int from_setup(void **state)
{
    (void)state;
    from_build(&with_section, "section.fsdb", 0);
    from_build(&plain, "plain.fsdb", AKV_FUSED_PLAIN);
    return 0;
}

static int from_teardown(void **state)
{
    (void)state;
    free(with_section.data);
    free(plain.data);
    return 0;
}

static int from_each(void *user, akv_slice object, uint64_t offset)
{
    (void)object;
    (void)offset;
    ++*(unsigned *)user;
    return 0;
}

/* Every call there is answers as it does of a file by its path. */
static void from_has_all(const akv_fused *f, const char *path)
{
    akv_fused_info   info = AKV_FUSED_INFO_INIT;
    akv_slice        keys[KEYS], objects[KEYS], key, object;
    akv_status       statuses[KEYS];
    char             rooms[KEYS][16];
    akv_fused_cursor c;
    unsigned         n = 0;

    for (unsigned i = 0; i < KEYS; i++) {
        keys[i] = from_key(rooms[i], i);
        assert_ok(akv_fused_get(f, keys[i], &object));
        assert_true(from_same(object, keys[i]));
    }
    assert_ok(akv_fused_get_many(f, KEYS, keys, objects, statuses));
    assert_true(from_same(objects[KEYS - 1], keys[KEYS - 1]));
    assert_status(AKV_ABSENT, akv_fused_exists(f, akv_str("10.0.0.0")));
    assert_ok(akv_fused_cursor_prefix(f, akv_str("10.1"), &c));
    for (; akv_fused_cursor_next(&c) == AKV_OK; n++)
        assert_true(from_same(c.key, c.object));
    assert_true(n > 100 && n == akv_fused_cursor_count(&c));
    assert_ok(akv_fused_cursor_prefix(f, akv_str("10.1.0.0/16 and more than any key"), &c));
    assert_status(AKV_END, akv_fused_cursor_next(&c));
    n = 0;
    assert_ok(akv_fused_objects(f, from_each, &n));
    assert_int_equal(n, KEYS);
    assert_ok(akv_fused_lookup_ip(f, akv_str("10.7.1.2"), &object, &key));
    assert_slice(key, "10.7.0.0/16");
    assert_ok(akv_fused_verify(f, NULL, NULL));
    assert_ok(akv_fused_info_get(f, &info));
    assert_string_equal(info.path, path);
    assert_int_equal(info.keys, KEYS);
}

/* ---------------------------------------------------------------------- buffer */

static void test_fused_buffer_is_read_where_it_lies_at_any_address(void **state)
{
    static const uint32_t checks[] = {AKV_FUSED_CHECK_AUTO, AKV_FUSED_CHECK_ALWAYS};
    from_file            *files[]  = {&with_section, &plain};

    (void)state;
    for (size_t i = 0; i < 2 * 67; i++) {
        akv_fused_options opt  = AKV_FUSED_OPTIONS_INIT;
        const from_file  *file = files[i % 2];
        size_t            past = i / 2;
        uint8_t          *room = malloc(past + file->len); /* ends where the file does */
        akv_slice         object;
        akv_fused        *f;

        assert_non_null(room);
        memcpy(room + past, file->data, file->len);
        opt.verify_on_open = checks[i / 2 % 2];
        opt.mode           = i % 3 ? AKV_FUSED_MAP : AKV_FUSED_READ;
        assert_ok(akv_fused_open_buffer(room + past, file->len, &opt, &f));
        from_has_all(f, "(buffer)");
        assert_ok(akv_fused_get(f, akv_str("10.0.0.0/16"), &object));
        assert_true((const uint8_t *)object.data > room &&
                    (const uint8_t *)object.data < room + past + file->len);
        akv_fused_close(f);
        assert_memory_equal(room + past, file->data, file->len);
        free(room);
    }
}

/* Pages that can't be touched right before the file and right after it. */
static void test_fused_buffer_is_not_read_beyond_its_ends(void **state)
{
    size_t     page    = (size_t)sysconf(_SC_PAGESIZE);
    from_file *files[] = {&with_section, &plain};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        const from_file *file = files[i / 2];
        size_t           room = (file->len + page - 1) / page * page;
        uint8_t         *map =
            mmap(NULL, room + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        uint8_t   *at = i % 2 ? map + page : map + page + room - file->len;
        akv_fused *f;

        assert_ptr_not_equal(map, MAP_FAILED);
        memcpy(at, file->data, file->len);
        assert_int_equal(mprotect(map, page, PROT_NONE), 0);
        assert_int_equal(mprotect(map + page + room, page, PROT_NONE), 0);
        assert_ok(akv_fused_open_buffer(at, file->len, NULL, &f));
        from_has_all(f, "(buffer)");
        akv_fused_close(f);
        assert_int_equal(munmap(map, room + 2 * page), 0);
    }
}

static void test_fused_buffer_costs_no_memory_by_its_size(void **state)
{
    akv_fused_info info = AKV_FUSED_INFO_INIT;
    akv_fused     *f;

    (void)state;
    assert_ok(akv_fused_open_buffer(with_section.data, with_section.len, NULL, &f));
    assert_ok(akv_fused_info_get(f, &info));
    assert_int_equal(info.section, AKV_FUSED_SECTION_USED);
    assert_false(info.mapped);
    assert_int_equal(info.file_size, with_section.len);
    assert_true(info.memory < 1000);
    akv_fused_close(f);
}

static void test_fused_buffer_cut_anywhere_is_told(void **state)
{
    (void)state;
    for (size_t len = 0; len < plain.len; len += len < 100 ? 1 : 17) {
        akv_fused *f;
        uint8_t   *cut = malloc(len + 1);

        assert_non_null(cut);
        memcpy(cut + 1, plain.data, len);
        assert_status(AKV_CORRUPT, akv_fused_open_buffer(cut + 1, len, NULL, &f));
        assert_null(f);
        assert_error_has("(buffer)");
        free(cut);
    }
}

static void test_fused_buffer_refuses_misuse(void **state)
{
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;
    akv_fused        *f;

    (void)state;
    assert_status(AKV_MISUSE, akv_fused_open_buffer(NULL, 40, NULL, &f));
    assert_null(f);
    assert_status(AKV_CORRUPT, akv_fused_open_buffer(NULL, 0, NULL, &f));
    assert_status(AKV_MISUSE, akv_fused_open_buffer(plain.data, plain.len, NULL, NULL));
    opt.head.engine = "memory";
    assert_status(AKV_MISUSE, akv_fused_open_buffer(plain.data, plain.len, &opt, &f));
    opt      = (akv_fused_options)AKV_FUSED_OPTIONS_INIT;
    opt.mode = 7;
    assert_status(AKV_MISUSE, akv_fused_open_buffer(plain.data, plain.len, &opt, &f));
}

/* ------------------------------------------------------------------ descriptor */

/* The number that the next descriptor gets: the same when none was left open. */
static int from_next_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static void test_fused_fd_is_duplicated_and_left_where_it_was(void **state)
{
    static const uint32_t modes[] = {AKV_FUSED_MAP, AKV_FUSED_READ};
    from_file            *files[] = {&with_section, &plain};
    int                   next    = from_next_fd();

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;
        int               fd  = open(files[i / 2]->path, O_RDONLY | O_CLOEXEC);
        akv_fused        *f;
        char              name[32];

        opt.mode = modes[i % 2];
        assert_true(fd >= 0);
        assert_int_equal(lseek(fd, 11, SEEK_SET), 11);
        assert_ok(akv_fused_open_fd(fd, &opt, &f));
        assert_int_equal(lseek(fd, 0, SEEK_CUR), 11);
        close(fd);
        snprintf(name, sizeof name, "(descriptor %d)", fd);
        from_has_all(f, name);
        akv_fused_close(f);
        assert_int_equal(from_next_fd(), next);
    }
}

static void test_fused_fd_of_a_removed_file_reads_on(void **state)
{
    char       path[4200];
    akv_fused *f;
    int        fd;

    (void)state;
    snprintf(path, sizeof path, "%s/gone.fsdb", akvt_folder());
    akvt_write_file(path, plain.data, plain.len);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_ok(akv_fused_open_fd(fd, NULL, &f));
    close(fd);
    assert_ok(akv_fused_verify(f, NULL, NULL));
    akv_fused_close(f);
}

static void test_fused_fd_that_is_no_file_is_refused_and_left_open(void **state)
{
    akv_fused_options opt    = AKV_FUSED_OPTIONS_INIT;
    int               no[4]  = {-1, -1, -1, -1}, pair[2], next;
    int               want[] = {ESPIPE, ESPIPE, EISDIR, EBADF};
    akv_fused        *f;

    (void)state;
    assert_int_equal(pipe(no), 0);
    close(no[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    close(pair[1]);
    no[1] = pair[0];
    no[2] = open(akvt_folder(), O_RDONLY | O_CLOEXEC);
    next  = from_next_fd();
    for (int i = 0; i < 4; i++) {
        assert_status(AKV_IO, akv_fused_open_fd(no[i], NULL, &f));
        assert_null(f);
        assert_int_equal(akv_last_error()->os_errno, want[i]);
        assert_error_has("descriptor");
        assert_int_equal(from_next_fd(), next);
        assert_true(no[i] < 0 || fcntl(no[i], F_GETFD) >= 0);
        if (no[i] >= 0)
            close(no[i]);
        next = from_next_fd();
    }
    no[0] = open(plain.path, O_WRONLY | O_CLOEXEC); /* can't be read */
    for (opt.mode = AKV_FUSED_MAP; opt.mode <= AKV_FUSED_READ; opt.mode++)
        assert_status(AKV_IO, akv_fused_open_fd(no[0], &opt, &f));
    close(no[0]);
}

static void test_fused_fd_goes_with_the_systems_files_only(void **state)
{
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;
    int               fd  = open(plain.path, O_RDONLY | O_CLOEXEC);
    akv_fused        *f;

    (void)state;
    assert_true(fd >= 0);
    assert_status(AKV_MISUSE, akv_fused_open_fd(fd, NULL, NULL));
    assert_ok(akv_env_memory_new(NULL, &opt.env));
    assert_status(AKV_MISUSE, akv_fused_open_fd(fd, &opt, &f));
    assert_null(f);
    akv_env_memory_free(opt.env);
    opt.env = akv_env_posix();
    assert_ok(akv_fused_open_fd(fd, &opt, &f));
    akv_fused_close(f);
    close(fd);
}

/* ------------------------------------------------------------------ cut meanwhile */

/* An env whose files lose their last byte once their size was asked for. */
typedef struct cutting_env {
    akv_env      base;
    akv_env_ops  ops;
    akv_file_ops file_ops;
    akv_status (*info)(akv_file *file, akv_file_info *info_out);
    const char *path;
} cutting_env;

static cutting_env cutting;

static akv_status cutting_info(akv_file *file, akv_file_info *info_out)
{
    akv_status st = cutting.info(file, info_out);

    assert_int_equal(truncate(cutting.path, (off_t)info_out->size - 1), 0);
    return st;
}

static akv_status cutting_open(akv_env *env, const char *path, uint32_t flags, akv_file **file_out)
{
    akv_status st = akv_env_posix()->ops->open(akv_env_posix(), path, flags, file_out);

    (void)env;
    if (st == AKV_OK) {
        cutting.file_ops      = *(*file_out)->ops;
        cutting.info          = cutting.file_ops.info;
        cutting.file_ops.info = cutting_info;
        (*file_out)->ops      = &cutting.file_ops;
    }
    return st;
}

static void test_fused_read_mode_tells_of_a_file_cut_while_it_is_read(void **state)
{
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;
    akv_fused        *f;

    (void)state;
    cutting.path = akvt_path(akvt_folder(), "cut.fsdb");
    akvt_write_file(cutting.path, plain.data, plain.len);
    cutting.ops      = *akv_env_posix()->ops;
    cutting.ops.open = cutting_open;
    cutting.base.ops = &cutting.ops;
    opt.env          = &cutting.base;
    opt.mode         = AKV_FUSED_READ;
    assert_status(AKV_CORRUPT, akv_fused_open(cutting.path, &opt, &f));
    assert_null(f);
    assert_error_has("file cut");
    assert_int_equal(akv_last_error()->offset, plain.len - 1);
    unlink(cutting.path);
}

/* ---------------------------------------------------------------------- memory */

static void test_fused_open_of_either_gives_all_memory_back_when_it_runs_out(void **state)
{
    int fd = open(plain.path, O_RDONLY | O_CLOEXEC), next = from_next_fd();

    (void)state;
    for (int way = 0; way < 2; way++) {
        akv_status st = AKV_NOMEM;

        for (uint64_t n = 1; st != AKV_OK; n++) {
            akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;
            akv_fused        *f;

            assert_true(n < 100);
            opt.allocator = akvt_failing_allocator(n);
            st            = way ? akv_fused_open_fd(fd, &opt, &f)
                                : akv_fused_open_buffer(plain.data, plain.len, &opt, &f);
            assert_true(st == AKV_OK || st == AKV_NOMEM);
            akv_fused_close(f);
            assert_int_equal(akvt_allocator_out(), 0);
            assert_int_equal(from_next_fd(), next);
        }
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused_buffer_is_read_where_it_lies_at_any_address),
        cmocka_unit_test(test_fused_buffer_is_not_read_beyond_its_ends),
        cmocka_unit_test(test_fused_buffer_costs_no_memory_by_its_size),
        cmocka_unit_test(test_fused_buffer_cut_anywhere_is_told),
        cmocka_unit_test(test_fused_buffer_refuses_misuse),
        cmocka_unit_test(test_fused_fd_is_duplicated_and_left_where_it_was),
        cmocka_unit_test(test_fused_fd_of_a_removed_file_reads_on),
        cmocka_unit_test(test_fused_fd_that_is_no_file_is_refused_and_left_open),
        cmocka_unit_test(test_fused_fd_goes_with_the_systems_files_only),
        cmocka_unit_test(test_fused_read_mode_tells_of_a_file_cut_while_it_is_read),
        cmocka_unit_test(test_fused_open_of_either_gives_all_memory_back_when_it_runs_out),
    };
    return cmocka_run_group_tests(tests, from_setup, from_teardown);
}
