/* SPDX-License-Identifier: MIT
 *
 * The fault env: what every env promises (env_body.h, with its
 * pthread_create), failures on demand, and that a loss of power leaves just
 * what unsynced.h allows. Power is lost over files in memory and of the system.
 */
#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/env/fault.h"
#include "tests/unit/env_body.h"

#define FAULT_SECTOR 512
#define FAULT_SEEDS  400

/* ------------------------------------------------------------------- set-up */

/* The tests below use body_env and body_root as set here; `state` says which
 * base: "memory" or "posix". */
static akv_env *fault_base;
static bool     fault_is_posix;

static int fault_begin(void **state)
{
    fault_is_posix = *state && strcmp(*state, "posix") == 0;
    akvi_call_begin();
    if (fault_is_posix)
        fault_base = akv_env_posix();
    else if (akv_env_memory_new(NULL, &fault_base) != AKV_OK)
        return -1;
    snprintf(body_root, sizeof body_root, "%s", fault_is_posix ? akvt_folder() : "root");
    if (!fault_is_posix && fault_base->ops->make_folder(fault_base, body_root) != AKV_OK)
        return -1;
    return akvi_fault_new(fault_base, NULL, &body_env);
}

static int fault_end(void **state)
{
    (void)state;
    akvi_fault_free(body_env);
    if (!fault_is_posix)
        akv_env_memory_free(fault_base);
    return 0;
}

static void fault_plan(uint32_t kinds, uint64_t nth, uint64_t times, int err, akvi_fault_how how)
{
    akvi_fault_plan plan = {kinds, nth, times, err, how};

    akvi_fault_plan_set(body_env, &plan);
}

static void fault_lose_power(uint64_t seed)
{
    assert_ok(akvi_fault_power_loss(body_env, seed));
}

static void fault_sync_folder(const char *name)
{
    assert_ok(body_env->ops->sync_folder(body_env, name ? body_path(name) : body_root));
}

/* A file with contents, and on demand these and its name on the device. */
static void fault_put(const char *name, const char *text, bool contents, bool names)
{
    akv_file *file = body_open(name, AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_TRUNCATE);

    assert_ok(file->ops->append(file, text, strlen(text)));
    if (contents)
        assert_ok(file->ops->sync(file, false));
    body_close(file);
    if (names)
        fault_sync_folder(NULL);
}

/* ----------------------------------------------------------- planned failures */

static void test_fault_fails_the_nth_call_of_its_kinds(void **state)
{
    akv_file *file = body_open("a", AKV_FILE_WRITE | AKV_FILE_CREATE);
    char      buf[4];
    size_t    got;

    (void)state;
    fault_plan(AKVI_FAULT_WRITE | AKVI_FAULT_SYNC, 2, 2, ENOSPC, AKVI_FAULT_FAIL);
    assert_ok(file->ops->append(file, "1", 1));
    assert_ok(file->ops->read_at(file, buf, 4, 0, &got));
    assert_status(AKV_NOSPACE, file->ops->append(file, "2", 1));
    assert_error_has("made to fail");
    assert_status(AKV_NOSPACE, file->ops->sync(file, true));
    assert_ok(file->ops->append(file, "3", 1));
    body_expect_file(file, "13", 2);
    assert_int_equal(akvi_fault_calls(body_env), 4);
    assert_int_equal(akvi_fault_hits(body_env), 2);
    fault_plan(AKVI_FAULT_WRITE, 1, 0, EIO, AKVI_FAULT_FAIL);
    for (int i = 0; i < 3; i++)
        assert_errno(EIO, file->ops->truncate(file, 0));
    fault_plan(AKVI_FAULT_ALL, 0, 0, 0, AKVI_FAULT_FAIL);
    assert_ok(file->ops->truncate(file, 0));
    assert_int_equal(akvi_fault_calls(body_env), 1);
    body_close(file);
}

static void test_fault_every_kind_can_fail(void **state)
{
    akv_file_info info;
    const void   *data;
    akv_file     *file, *other;
    char          buf[4];
    size_t        n = 0;

    (void)state;
    body_put("a", "text");
    assert_ok(body_env->ops->make_folder(body_env, body_path("x")));
    file = body_open("a", AKV_FILE_WRITE);
    fault_plan(AKVI_FAULT_ALL, 1, 0, EMFILE, AKVI_FAULT_FAIL);
    assert_errno(EMFILE, body_env->ops->open(body_env, body_path("a"), 0, &other));
    assert_errno(EMFILE, file->ops->read_at(file, buf, 4, 0, &n));
    assert_errno(EMFILE, file->ops->write_at(file, "x", 1, 0));
    assert_errno(EMFILE, file->ops->append(file, "x", 1));
    assert_errno(EMFILE, file->ops->sync(file, false));
    assert_errno(EMFILE, file->ops->truncate(file, 0));
    assert_errno(EMFILE, akvi_file_allocate(file, 10));
    assert_errno(EMFILE, akvi_file_map(file, 4, &data));
    assert_errno(EMFILE, akvi_file_set_mode(file, 0600));
    assert_errno(EMFILE, file->ops->lock(file, false));
    assert_errno(EMFILE, file->ops->info(file, &info));
    assert_errno(EMFILE, body_env->ops->info(body_env, body_path("a"), &info));
    assert_errno(EMFILE, body_env->ops->list(body_env, body_root, body_count_one, &n));
    assert_errno(EMFILE, body_env->ops->rename(body_env, body_path("a"), body_path("b")));
    assert_errno(EMFILE, body_env->ops->link(body_env, body_path("a"), body_path("b")));
    assert_errno(EMFILE, body_env->ops->remove(body_env, body_path("a")));
    assert_errno(EMFILE, body_env->ops->make_folder(body_env, body_path("y")));
    assert_errno(EMFILE, body_env->ops->remove_folder(body_env, body_path("x")));
    assert_errno(EMFILE, body_env->ops->sync_folder(body_env, body_root));
    assert_int_equal(akvi_fault_hits(body_env), akvi_fault_calls(body_env));
    fault_plan(0, 0, 0, 0, AKVI_FAULT_FAIL);
    body_expect_file(file, "text", 4);
    body_close(file);
}

static void test_fault_short_writes_land_in_part(void **state)
{
    akv_file *file = body_open("a", AKV_FILE_WRITE | AKV_FILE_CREATE);

    (void)state;
    fault_plan(AKVI_FAULT_WRITE, 1, 1, ENOSPC, AKVI_FAULT_SHORT);
    assert_status(AKV_NOSPACE, file->ops->append(file, "12345678", 8));
    body_expect_file(file, "1234", 4);
    fault_plan(AKVI_FAULT_READ, 1, 0, EIO, AKVI_FAULT_SHORT);
    assert_ok(file->ops->append(file, "56", 2));
    body_expect_file(file, "123456", 6); /* in pieces, but whole */
    assert_int_equal(akvi_fault_hits(body_env), 1);
    body_close(file);
}

static void test_fault_crash_fails_all_that_follows(void **state)
{
    akv_file *file;

    (void)state;
    fault_put("a", "safe", true, true);
    file = body_open("a", AKV_FILE_WRITE);
    assert_ok(file->ops->lock(file, true));
    fault_plan(AKVI_FAULT_WRITE, 2, 1, 0, AKVI_FAULT_CRASH);
    assert_ok(file->ops->append(file, "+", 1));
    assert_errno(EIO, file->ops->append(file, "++", 2));
    assert_errno(EIO, file->ops->sync(file, false));
    assert_errno(EIO, body_try_open("a", 0));
    fault_lose_power(0);
    body_expect("a", "safe");
    assert_errno(EIO, file->ops->append(file, "x", 1));
    assert_error_has("open it anew");
    {
        akv_file *again = body_open("a", AKV_FILE_WRITE);

        assert_ok(again->ops->lock(again, true)); /* a dead process holds nothing */
        body_close(again);
    }
    assert_errno(EIO, file->ops->close(file));
    assert_int_equal(body_count(body_root), 1);
}

/* ------------------------------------------------- power loss: what is durable */

static void test_fault_synced_contents_and_names_survive(void **state)
{
    (void)state;
    fault_put("a", "safe", true, true);
    fault_put("no-name", "synced", true, false);
    fault_lose_power(0);
    body_expect("a", "safe");
    assert_false(body_is_there("no-name"));

    fault_put("no-contents", "unsynced", false, true);
    fault_put("a", "new, unsynced", false, true);
    fault_lose_power(0);
    body_expect("no-contents", "");
    body_expect("a", "safe");
}

static void test_fault_all_is_kept_by_the_greatest_seed(void **state)
{
    (void)state;
    fault_put("a", "old", true, true);
    fault_put("a", "newer", false, false);
    fault_put("b", "made", false, false);
    assert_ok(body_env->ops->rename(body_env, body_path("b"), body_path("c")));
    fault_lose_power(UINT64_MAX);
    body_expect("a", "newer");
    body_expect("c", "made");
    fault_lose_power(0); /* what a loss of power left is durable */
    body_expect("a", "newer");
    body_expect("c", "made");
}

static void test_fault_unsynced_names_come_back(void **state)
{
    (void)state;
    fault_put("a", "a", true, false);
    fault_put("b", "b", true, false);
    fault_put("c", "c", true, true);
    assert_ok(body_env->ops->rename(body_env, body_path("a"), body_path("b")));
    assert_ok(body_env->ops->remove(body_env, body_path("c")));
    fault_put("c", "another", true, false);
    assert_ok(body_env->ops->link(body_env, body_path("b"), body_path("d")));
    fault_lose_power(0);
    body_expect("a", "a");
    body_expect("b", "b");
    body_expect("c", "c");
    assert_int_equal(body_count(body_root), 3);
    assert_ok(body_env->ops->rename(body_env, body_path("a"), body_path("b")));
    assert_ok(body_env->ops->remove(body_env, body_path("c")));
    fault_sync_folder(NULL);
    fault_lose_power(0);
    body_expect("b", "a");
    assert_int_equal(body_count(body_root), 1);
}

static void test_fault_a_folder_takes_along_what_it_holds(void **state)
{
    (void)state;
    assert_ok(body_env->ops->make_folder(body_env, body_path("x")));
    fault_put("x/f", "synced", true, false);
    fault_sync_folder("x");
    fault_lose_power(0);
    assert_false(body_is_there("x"));

    assert_ok(body_env->ops->make_folder(body_env, body_path("x")));
    fault_put("x/f", "synced", true, true);
    fault_lose_power(0);
    assert_int_equal(body_count(body_path("x")), 0);
    fault_put("x/f", "synced", true, false);
    fault_sync_folder("x");
    assert_ok(body_env->ops->rename(body_env, body_path("x"), body_path("y")));
    fault_put("y/f", "rewritten", false, false);
    fault_put("y/g", "new", true, false);
    fault_lose_power(0);
    body_expect("x/f", "synced");
    assert_int_equal(body_count(body_path("x")), 1);
    assert_int_equal(body_count(body_root), 1);
    assert_ok(body_env->ops->remove(body_env, body_path("x/f")));
    assert_ok(body_env->ops->remove_folder(body_env, body_path("x")));
    fault_lose_power(0);
    body_expect("x/f", "synced");
}

static void test_fault_a_failed_sync_is_not_mended_by_another(void **state)
{
    akv_file *file;

    (void)state;
    fault_put("a", "old", true, true);
    file = body_open("a", AKV_FILE_WRITE);
    assert_ok(file->ops->write_at(file, "new", 3, 0));
    fault_plan(AKVI_FAULT_SYNC, 1, 1, EIO, AKVI_FAULT_FAIL);
    assert_errno(EIO, file->ops->sync(file, true));
    assert_ok(file->ops->sync(file, true));
    body_close(file);
    fault_lose_power(0);
    body_expect("a", "old");

    file = body_open("a", AKV_FILE_WRITE);
    assert_ok(file->ops->write_at(file, "new", 3, 0));
    fault_plan(AKVI_FAULT_SYNC, 1, 1, EIO, AKVI_FAULT_FAIL);
    assert_errno(EIO, file->ops->sync(file, true));
    assert_ok(file->ops->write_at(file, "new", 3, 0));
    assert_ok(file->ops->append(file, "er", 2));
    assert_ok(file->ops->sync(file, true));
    body_close(file);
    fault_lose_power(0);
    body_expect("a", "newer");
}

/* Sizes are safe with any later sync that succeeds. */
static void test_fault_a_cut_lost_by_a_failed_sync_comes_with_the_next(void **state)
{
    akv_file *file;

    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        fault_put("a", "old contents", true, true);
        file = body_open("a", AKV_FILE_WRITE);
        assert_ok(file->ops->truncate(file, 0));
        fault_plan(AKVI_FAULT_SYNC, 1, 1, EIO, AKVI_FAULT_FAIL);
        assert_errno(EIO, file->ops->sync(file, true));
        assert_ok(file->ops->append(file, "new", 3));
        assert_ok(file->ops->sync(file, true));
        body_close(file);
        fault_lose_power(seed);
        body_expect("a", "new");
    }
}

/* File systems give the inode of what was removed to what is made next. */
static void test_fault_tells_new_files_and_folders_from_those_removed(void **state)
{
    (void)state;
    assert_ok(body_env->ops->make_folder(body_env, body_path("x")));
    fault_sync_folder(NULL);
    assert_ok(body_env->ops->remove_folder(body_env, body_path("x")));
    assert_ok(body_env->ops->make_folder(body_env, body_path("y")));
    fault_put("y/f", "1", true, false);
    assert_ok(body_env->ops->remove(body_env, body_path("y/f")));
    fault_put("y/g", "2", true, false);
    fault_lose_power(0);
    assert_int_equal(body_count(body_path("x")), 0);
    assert_int_equal(body_count(body_root), 1);

    body_put("x/f", "a file, not a folder");
    assert_int_not_equal(body_try_open("x/f/g", AKV_FILE_WRITE | AKV_FILE_CREATE), AKV_OK);
    assert_ok(body_env->ops->remove(body_env, body_path("x/f")));
    fault_sync_folder("x");
    assert_ok(body_env->ops->make_folder(body_env, body_path("z")));
    fault_put("z/f", "3", true, false);
    fault_lose_power(0);
    assert_int_equal(body_count(body_root), 1);
}

/* ------------------------------------------------ power loss: what may be left */

/* Sectors of the first and the second write, and bytes of a file. */
static void fault_fill(uint8_t *buf, size_t len, uint8_t byte)
{
    memset(buf, byte, len);
}

/* How often each state of a sector was seen. */
typedef struct fault_seen {
    unsigned dropped, first, second, torn, reordered, sizes[3];
} fault_seen;

/* A sector may hold 'o', then 'a', then 'b', or border on one of the changes. */
static char fault_sector_state(const uint8_t *sector, size_t len)
{
    size_t same = 1;

    for (size_t i = 0; i < len; i++)
        assert_true(sector[i] == 'o' || sector[i] == 'a' || sector[i] == 'b');
    while (same < len && sector[same] == sector[0])
        same++;
    if (same == len)
        return (char)sector[0];
    for (size_t i = same; i < len; i++)
        assert_int_equal(sector[i], sector[same]);
    assert_int_not_equal(sector[0] + sector[same], 'o' + 'b'); /* moments just apart */
    return 't';
}

static void fault_look(fault_seen *seen, const uint8_t *data)
{
    char before = 0;

    for (size_t s = 0; s < 4; s++) {
        char now = fault_sector_state(data + s * FAULT_SECTOR, FAULT_SECTOR);

        seen->dropped += now == 'o';
        seen->first += now == 'a';
        seen->second += now == 'b';
        seen->torn += now == 't';
        seen->reordered += before == 'o' && now == 'b';
        before = now;
    }
}

static void test_fault_sectors_are_kept_dropped_torn_and_reordered(void **state)
{
    uint8_t    data[4 * FAULT_SECTOR];
    fault_seen seen = {0};
    akv_file  *file;
    size_t     got;

    (void)state;
    for (uint64_t seed = 1; seed <= FAULT_SEEDS; seed++) {
        file = body_open("a", AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_TRUNCATE);
        fault_fill(data, sizeof data, 'o');
        assert_ok(file->ops->write_at(file, data, sizeof data, 0));
        assert_ok(file->ops->sync(file, true));
        fault_sync_folder(NULL);
        fault_fill(data, sizeof data, 'a');
        assert_ok(file->ops->write_at(file, data, sizeof data, 0));
        fault_fill(data, sizeof data, 'b');
        assert_ok(file->ops->write_at(file, data, sizeof data, 0));
        body_close(file);
        fault_lose_power(seed);
        file = body_open("a", 0);
        assert_ok(file->ops->read_at(file, data, sizeof data, 0, &got));
        assert_int_equal(got, sizeof data);
        fault_look(&seen, data);
        body_close(file);
    }
    assert_true(seen.dropped && seen.first && seen.second && seen.torn && seen.reordered);
}

static void test_fault_an_unsynced_end_is_lost_or_zero_or_there(void **state)
{
    unsigned  none = 0, whole = 0, zero = 0, part = 0;
    uint8_t   data[3000];
    akv_file *file;
    size_t    got;

    (void)state;
    for (uint64_t seed = 1; seed <= FAULT_SEEDS; seed++) {
        fault_put("a", "0123456789", true, true);
        file = body_open("a", AKV_FILE_WRITE);
        fault_fill(data, sizeof data, 'x');
        assert_ok(file->ops->append(file, data, 1000));
        assert_ok(file->ops->append(file, data, 1000));
        body_close(file);
        fault_lose_power(seed);
        file = body_open("a", 0);
        assert_ok(file->ops->read_at(file, data, sizeof data, 0, &got));
        body_close(file);
        assert_true(got == 10 || got == 1010 || got == 2010);
        assert_memory_equal(data, "0123456789", 10);
        none += got == 10;
        part += got == 1010;
        whole += got == 2010 && !memchr(data, 0, got);
        zero += got == 2010 && memchr(data, 0, got);
        for (size_t i = 10; i < got; i++)
            assert_true(data[i] == 'x' || data[i] == 0);
    }
    assert_true(none && whole && zero && part);
}

/* Written anew after a cut, a file never shows the bytes from before the cut
 * together with those from after. */
static void test_fault_a_cut_separates_old_from_new(void **state)
{
    unsigned  old = 0, cut = 0, fresh = 0;
    uint8_t   data[2000];
    akv_file *file;
    size_t    got;

    (void)state;
    for (uint64_t seed = 1; seed <= FAULT_SEEDS; seed++) {
        fault_fill(data, sizeof data, 'o');
        assert_ok(akvi_write_file(body_env, body_path("a"), data, sizeof data));
        file = body_open("a", AKV_FILE_WRITE | AKV_FILE_TRUNCATE);
        fault_fill(data, sizeof data, 'n');
        assert_ok(file->ops->append(file, data, sizeof data));
        body_close(file);
        fault_lose_power(seed);
        file = body_open("a", 0);
        assert_ok(file->ops->read_at(file, data, sizeof data, 0, &got));
        body_close(file);
        if (memchr(data, 'o', got)) {
            assert_int_equal(got, sizeof data);
            for (size_t i = 0; i < got; i++)
                assert_int_equal(data[i], 'o');
            old++;
        }
        cut += got == 0;
        fresh += got > 0 && memchr(data, 'n', got);
    }
    assert_true(old && cut && fresh);
}

static void test_fault_names_of_a_folder_are_kept_in_order(void **state)
{
    unsigned lengths[11] = {0}, kinds = 0;
    char     name[16];

    (void)state;
    for (uint64_t seed = 1; seed <= FAULT_SEEDS / 4; seed++) {
        int there = 0;

        for (int i = 0; i < 10; i++) {
            snprintf(name, sizeof name, "f%d", i);
            fault_put(name, "", true, false);
        }
        fault_lose_power(seed);
        while (there < 10) {
            snprintf(name, sizeof name, "f%d", there);
            if (!body_is_there(name))
                break;
            there++;
        }
        assert_int_equal(body_count(body_root), there);
        lengths[there]++;
        assert_ok(body_env->ops->list(body_env, body_root, body_remove_each, NULL));
        fault_sync_folder(NULL);
    }
    for (int i = 0; i <= 10; i++)
        kinds += lengths[i] > 0;
    assert_true(lengths[0] && lengths[10] && kinds > 5);
}

static void test_fault_a_rename_between_folders_is_whole_or_nothing(void **state)
{
    unsigned moved = 0, stayed = 0;

    (void)state;
    assert_ok(body_env->ops->make_folder(body_env, body_path("x")));
    assert_ok(body_env->ops->make_folder(body_env, body_path("y")));
    fault_sync_folder(NULL);
    for (uint64_t seed = 0; seed < FAULT_SEEDS / 4; seed++) {
        bool in_y;

        fault_put("x/f", "moved", true, false);
        fault_put("y/f", "replaced", true, false);
        fault_sync_folder("x");
        fault_sync_folder("y");
        fault_put("y/g", "before", true, false);
        assert_ok(body_env->ops->rename(body_env, body_path("x/f"), body_path("y/f")));
        fault_put("x/g", "after", true, false);
        if (seed % 3 == 2)
            fault_sync_folder(seed % 2 ? "x" : "y");
        fault_lose_power(seed);
        in_y = !body_is_there("x/f");
        body_expect("y/f", in_y ? "moved" : "replaced");
        assert_true(in_y || seed % 3 != 2);
        assert_true(!in_y || body_is_there("y/g")); /* it came before */
        assert_true(in_y || !body_is_there("x/g")); /* it came after */
        moved += in_y;
        stayed += !in_y;
        if (body_is_there("y/g"))
            assert_ok(body_env->ops->remove(body_env, body_path("y/g")));
        if (body_is_there("x/g"))
            assert_ok(body_env->ops->remove(body_env, body_path("x/g")));
    }
    assert_true(moved && stayed);
}

/* -------------------------------------------------- power loss: random changes */

typedef struct fault_tree {
    akv_buffer text;    /* one line for each file and folder */
    bool       sync;    /* also sync everything on the way */
    char       at[400]; /* where we are */
} fault_tree;

static int fault_tree_entry(void *user, const char *name)
{
    fault_tree   *tree = user;
    size_t        len  = strlen(tree->at);
    akv_buffer    data = AKV_BUFFER_INIT;
    akv_file_info info;
    akv_file     *file;

    snprintf(tree->at + len, sizeof tree->at - len, "/%s", name);
    assert_ok(body_env->ops->info(body_env, tree->at, &info));
    if (info.kind == AKV_KIND_FOLDER) {
        assert_ok(akvi_buffer_printf(&tree->text, "%s\n", tree->at));
        assert_ok(body_env->ops->list(body_env, tree->at, fault_tree_entry, tree));
        if (tree->sync)
            assert_ok(body_env->ops->sync_folder(body_env, tree->at));
    } else {
        assert_ok(akvi_read_file(body_env, tree->at, 1 << 20, &data));
        assert_ok(akvi_buffer_printf(&tree->text, "%s = ", tree->at));
        assert_ok(akv_buffer_append(&tree->text, data.data, data.len));
        assert_ok(akvi_buffer_byte(&tree->text, '\n'));
        akv_buffer_free(&data);
        if (tree->sync) {
            assert_ok(body_env->ops->open(body_env, tree->at, AKV_FILE_WRITE, &file));
            assert_ok(file->ops->sync(file, true));
            body_close(file);
        }
    }
    tree->at[len] = '\0';
    return 0;
}

static int fault_compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All there is, as sorted lines in *out; on demand it is on the device then. */
static void fault_snapshot(bool sync, akv_buffer *out)
{
    fault_tree tree = {.sync = sync};
    char      *lines[256], *rest = NULL;
    size_t     n = 0;

    snprintf(tree.at, sizeof tree.at, "%.300s", body_root);
    assert_ok(body_env->ops->list(body_env, body_root, fault_tree_entry, &tree));
    if (sync)
        fault_sync_folder(NULL);
    assert_ok(akvi_buffer_byte(&tree.text, '\0'));
    akvi_buffer_clear(out);
    for (char *line = strtok_r(tree.text.data, "\n", &rest); line;
         line       = strtok_r(NULL, "\n", &rest)) {
        assert_true(n < AKVI_ARRAY_N(lines));
        lines[n++] = line;
    }
    qsort(lines, n, sizeof lines[0], fault_compare_lines);
    for (size_t i = 0; i < n; i++)
        assert_ok(akvi_buffer_printf(out, "%s\n", lines[i]));
    assert_ok(akvi_buffer_byte(out, '\0'));
    akv_buffer_free(&tree.text);
}

static const char *fault_random_name(akvt_random *r)
{
    static const char *names[] = {"a",   "b",   "c",   "x",     "y",     "x/a",
                                  "x/b", "x/y", "y/a", "x/y/a", "x/y/b", "y/b"};

    return names[akvt_below(r, AKVI_ARRAY_N(names))];
}

/* One change, which may well be refused. */
static void fault_change_something(akvt_random *r)
{
    const char *from = body_path(fault_random_name(r)), *to = body_path(fault_random_name(r));
    const akv_env_ops *ops  = body_env->ops;
    akv_file          *file = NULL;
    char               text[200];
    uint32_t           flags = AKV_FILE_WRITE | AKV_FILE_CREATE;

    akvi_call_begin();
    memset(text, (int)('A' + akvt_below(r, 26)), sizeof text);
    switch (akvt_below(r, 8)) {
    case 0: (void)ops->rename(body_env, from, to); return;
    case 1: (void)ops->link(body_env, from, to); return;
    case 2: (void)ops->remove(body_env, from); return;
    case 3: (void)ops->make_folder(body_env, from); return;
    case 4: (void)ops->remove_folder(body_env, from); return;
    default: break;
    }
    if (akvt_below(r, 3) == 0)
        flags |= AKV_FILE_TRUNCATE;
    if (ops->open(body_env, from, flags, &file) != AKV_OK)
        return;
    if (akvt_below(r, 3) == 0)
        assert_ok(file->ops->truncate(file, akvt_below(r, 900)));
    if (akvt_below(r, 3) == 0)
        assert_ok(file->ops->append(file, text, akvt_below(r, sizeof text)));
    else
        assert_ok(file->ops->write_at(file, text, 50, akvt_below(r, 900)));
    body_close(file);
}

/* Files linked twice come back as copies, which no snapshot can tell. */
static void test_fault_undoes_any_changes_exactly(void **state)
{
    akvt_random r      = akvt_random_new(2);
    akv_buffer  before = AKV_BUFFER_INIT, after = AKV_BUFFER_INIT;
    unsigned    rounds = (fault_is_posix ? 40 : 400) * akvt_scale();

    (void)state;
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t seed = akvt_next(&r);

        for (uint64_t n = akvt_below(&r, 20); n > 0; n--)
            fault_change_something(&r);
        fault_snapshot(true, &before);
        for (uint64_t n = akvt_below(&r, 30); n > 0; n--)
            fault_change_something(&r);
        if (round % 3 == 1)
            fault_snapshot(false, &before);
        fault_lose_power(round % 3 == 0 ? 0 : round % 3 == 1 ? UINT64_MAX : seed);
        fault_snapshot(false, &after);
        if (round % 3 < 2)
            assert_string_equal(after.data, before.data);
    }
    akv_buffer_free(&before);
    akv_buffer_free(&after);
}

static void test_fault_the_same_seed_has_the_same_outcome(void **state)
{
    akv_buffer  first = AKV_BUFFER_INIT, second = AKV_BUFFER_INIT;
    akvt_random r;

    for (uint64_t seed = 1; seed < 20; seed++) {
        for (int run = 0; run < 2; run++) {
            assert_int_equal(fault_end(NULL), 0);
            assert_int_equal(fault_begin(state), 0);
            r = akvt_random_new(3 + seed);
            for (int n = 0; n < 40; n++)
                fault_change_something(&r);
            fault_lose_power(seed);
            fault_snapshot(false, run ? &second : &first);
        }
        assert_string_equal(first.data, second.data);
    }
    akv_buffer_free(&first);
    akv_buffer_free(&second);
}

/* -------------------------------------------------------------------- memory */

static akv_status fault_use(akv_env *env)
{
    akv_file  *file = NULL;
    akv_status rc   = env->ops->make_folder(env, "x");

    if (rc == AKV_OK)
        rc = env->ops->open(env, "x/a", AKV_FILE_WRITE | AKV_FILE_CREATE, &file);
    if (rc == AKV_OK)
        rc = file->ops->append(file, "text", 4);
    if (rc == AKV_OK)
        rc = file->ops->sync(file, true);
    if (rc == AKV_OK)
        rc = file->ops->truncate(file, 2);
    if (rc == AKV_OK)
        rc = env->ops->link(env, "x/a", "b");
    if (rc == AKV_OK)
        rc = env->ops->rename(env, "x", "y");
    if (rc == AKV_OK)
        rc = env->ops->remove(env, "y/a");
    if (rc == AKV_OK)
        rc = env->ops->sync_folder(env, "y");
    akvi_file_drop(file);
    return rc == AKV_OK ? akvi_fault_power_loss(env, 5) : rc;
}

static void test_fault_every_allocation_may_fail(void **state)
{
    akv_status rc = AKV_NOMEM;

    (void)state;
    for (uint64_t nth = 1; rc != AKV_OK; nth++) {
        akv_env *memory, *env;

        assert_true(nth < 1000);
        assert_ok(akv_env_memory_new(NULL, &memory));
        akvi_call_begin();
        rc = akvi_fault_new(memory, akvt_failing_allocator(nth), &env);
        if (rc == AKV_OK) {
            rc = fault_use(env);
            akvi_fault_free(env);
        }
        assert_true(rc == AKV_OK || rc == AKV_NOMEM);
        assert_int_equal(akvt_allocator_out(), 0);
        akv_env_memory_free(memory);
    }
    akvi_fault_free(NULL);
}

/* clang-format off */
#define ON_MEMORY(test) {#test " over memory", test, fault_begin, fault_end, NULL}
#define ON_POSIX(test) {#test " over posix", test, fault_begin, fault_end, fault_posix}
/* clang-format on */

int main(void)
{
    static char             fault_posix[] = "posix";
    const struct CMUnitTest tests[]       = {
              ON_MEMORY(test_fault_fails_the_nth_call_of_its_kinds),
              ON_MEMORY(test_fault_every_kind_can_fail),
              ON_MEMORY(test_fault_short_writes_land_in_part),
              ON_MEMORY(test_fault_crash_fails_all_that_follows),
              ON_POSIX(test_fault_crash_fails_all_that_follows),
              ON_MEMORY(test_fault_synced_contents_and_names_survive),
              ON_POSIX(test_fault_synced_contents_and_names_survive),
              ON_MEMORY(test_fault_all_is_kept_by_the_greatest_seed),
              ON_POSIX(test_fault_all_is_kept_by_the_greatest_seed),
              ON_MEMORY(test_fault_unsynced_names_come_back),
              ON_POSIX(test_fault_unsynced_names_come_back),
              ON_MEMORY(test_fault_a_folder_takes_along_what_it_holds),
              ON_POSIX(test_fault_a_folder_takes_along_what_it_holds),
              ON_MEMORY(test_fault_a_failed_sync_is_not_mended_by_another),
              ON_MEMORY(test_fault_a_cut_lost_by_a_failed_sync_comes_with_the_next),
              ON_MEMORY(test_fault_tells_new_files_and_folders_from_those_removed),
              ON_POSIX(test_fault_tells_new_files_and_folders_from_those_removed),
              ON_MEMORY(test_fault_sectors_are_kept_dropped_torn_and_reordered),
              ON_MEMORY(test_fault_an_unsynced_end_is_lost_or_zero_or_there),
              ON_MEMORY(test_fault_a_cut_separates_old_from_new),
              ON_MEMORY(test_fault_names_of_a_folder_are_kept_in_order),
              ON_MEMORY(test_fault_a_rename_between_folders_is_whole_or_nothing),
              ON_MEMORY(test_fault_undoes_any_changes_exactly),
              ON_POSIX(test_fault_undoes_any_changes_exactly),
              ON_MEMORY(test_fault_the_same_seed_has_the_same_outcome),
              ON_MEMORY(test_fault_every_allocation_may_fail),
    };
    akv_env *memory, *env;
    int      failed;

    if (akv_env_memory_new(NULL, &memory) != AKV_OK || akvi_fault_new(memory, NULL, &env) != AKV_OK)
        return 1;
    failed = body_run("env_fault", env, "", tests, AKVI_ARRAY_N(tests));
    akvi_fault_free(env);
    akv_env_memory_free(memory);
    return failed;
}
