/* SPDX-License-Identifier: MIT
 *
 * Repairing an lsm store: for each kind of damage, what is left of it, what is
 * told, and that nothing but copies of what can be read is made.
 */
#include "tests/testing.h"

#include "common/env/fault.h"

#include <anykv/env.h>
#include <anykv/lsm.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPAIR_SMALL                                                                       \
    "write_buffer=64KiB,table_size=64KiB,level_base=128KiB,level_ratio=4,block_size=1KiB," \
    "block_cache=256KiB,threads=0"
#define REPAIR_KEYS   3000u
#define REPAIR_LOGGED 50u /* keys that only the log has */

static int         repair_model[REPAIR_KEYS]; /* round, -1: deleted */
static const char *repair_image;              /* of a store whose process was killed */

static const char *repair_path(void)
{
    static char     paths[128][256];
    static unsigned n;
    char            name[32];
    char           *path = paths[n % 128];

    snprintf(name, sizeof name, "repair%u", n++);
    snprintf(path, sizeof paths[0], "%s", akvt_path(akvt_folder(), name));
    return path;
}

static akv *repair_open(const char *path, uint32_t flags)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db  = NULL;

    opt.flags = flags;
    opt.text  = REPAIR_SMALL;
    assert_ok(akv_open("lsm", path, &opt, &db));
    return db;
}

typedef struct repair_copy {
    const char *from, *to;
} repair_copy;

static int repair_copy_each(void *user, const char *name)
{
    const repair_copy *c = user;
    size_t             len;
    void              *data = akvt_read_file(akvt_path(c->from, name), &len);

    akvt_write_file(akvt_path(c->to, name), data, len);
    free(data);
    return 0;
}

static const char *repair_copy_of(const char *from)
{
    repair_copy c = {from, repair_path()};

    assert_int_equal(mkdir(c.to, 0700), 0);
    assert_ok(akv_env_posix()->ops->list(akv_env_posix(), from, repair_copy_each, &c));
    return c.to;
}

static akv_slice repair_key(uint64_t i, char buf[24])
{
    snprintf(buf, 24, "key%08llu", (unsigned long long)i);
    return akv_str(buf);
}

static void repair_put(akv *db, uint64_t i, int round)
{
    char key[24], value[100];

    memset(value, 'a' + round, sizeof value);
    assert_ok(akv_put(db, repair_key(i, key), akv_bytes(value, sizeof value), NULL));
    repair_model[i] = round;
}

/* Rounds of writes and deletes over several levels, the last of them logged. */
static int repair_set_up(void **state)
{
    const char *path = repair_path();
    akv        *db   = repair_open(path, AKV_OPEN_CREATE);
    char        key[24];

    (void)state;
    for (int round = 0; round < 6; round++) {
        for (uint64_t i = (uint64_t)round; i < REPAIR_KEYS; i += 1 + (uint64_t)round)
            repair_put(db, i * 7919 % REPAIR_KEYS, round);
        for (uint64_t i = (uint64_t)round; i < REPAIR_KEYS; i += 31) {
            assert_ok(akv_delete(db, repair_key(i, key), NULL));
            repair_model[i] = -1;
        }
    }
    assert_ok(akv_lsm_flush(akv_lsm_of(db)));
    for (uint64_t i = 0; i < REPAIR_LOGGED; i++)
        repair_put(db, i * 60, 9);
    assert_ok(akv_sync(db));
    repair_image = repair_copy_of(path);
    assert_ok(akv_close(db));
    return 0;
}

typedef struct repair_faults {
    unsigned  n;
    akv_error first;
} repair_faults;

static void repair_fault(void *user, const akv_error *fault)
{
    repair_faults *f = user;

    if (f->n++ == 0)
        f->first = *fault;
}

static repair_faults repair_it(const char *path)
{
    repair_faults   faults = {.n = 0};
    akv_job_options opt    = AKV_JOB_OPTIONS_INIT;

    opt.fault = repair_fault;
    opt.user  = &faults;
    assert_ok(akv_repair("lsm", path, NULL, &opt));
    return faults;
}

static int repair_round(akv *db, uint64_t i)
{
    char       key[24];
    akv_buffer got   = AKV_BUFFER_INIT;
    akv_status st    = akv_get_copy(db, repair_key(i, key), NULL, &got);
    int        round = st == AKV_OK ? *(const char *)got.data - 'a' : -1;

    assert_true(st == AKV_OK || st == AKV_ABSENT);
    akv_buffer_free(&got);
    return round;
}

/* How many keys are not as they were. The store can be written to and verified. */
static unsigned repair_check(const char *path)
{
    akv     *db  = repair_open(path, 0);
    unsigned bad = 0;

    for (uint64_t i = 0; i < REPAIR_KEYS; i++)
        bad += repair_round(db, i) != repair_model[i];
    assert_ok(akv_verify(db, NULL));
    assert_ok(akv_compact(db, NULL));
    assert_ok(akv_put(db, akv_str("after"), akv_str("repair"), NULL));
    assert_ok(akv_close(db));
    return bad;
}

/* ---------------------------------------------------------------- the damage */

typedef struct repair_find {
    const char *part;
    char        name[64];
    size_t      size; /* the largest one's; of logs the newest one's */
    const char *folder;
    uint64_t    highest;
    unsigned    n;
} repair_find;

static int repair_find_each(void *user, const char *name)
{
    repair_find *f = user;
    struct stat  st;
    const char  *digits = strncmp(name, "MANIFEST-", 9) == 0 ? name + 9 : name;
    uint64_t     number = strtoull(digits, NULL, 10);

    if (number > f->highest)
        f->highest = number;
    if (!strstr(name, f->part) || stat(akvt_path(f->folder, name), &st) != 0)
        return 0;
    f->n++;
    if (f->name[0] == '\0' ||
        (strcmp(f->part, ".wal") == 0 ? strcmp(name, f->name) > 0 : (size_t)st.st_size > f->size)) {
        snprintf(f->name, sizeof f->name, "%s", name);
        f->size = (size_t)st.st_size;
    }
    return 0;
}

/* The largest file with `part` in its name; n: how many there are. */
static repair_find repair_look(const char *folder, const char *part)
{
    repair_find f = {.part = part, .folder = folder};

    assert_ok(akv_env_posix()->ops->list(akv_env_posix(), folder, repair_find_each, &f));
    return f;
}

/* Flip a byte, or cut there. */
static void repair_damage(const char *folder, const char *name, size_t at, bool cut)
{
    size_t   len;
    uint8_t *data = akvt_read_file(akvt_path(folder, name), &len);

    assert_true(at < len);
    data[at] ^= 0x10;
    akvt_write_file(akvt_path(folder, name), data, cut ? at : len);
    free(data);
}

static void repair_remove(const char *folder, const char *name)
{
    assert_int_equal(unlink(akvt_path(folder, name)), 0);
}

static void test_lsm_repair_of_a_whole_store_tells_and_changes_nothing(void **state)
{
    const char *path = repair_copy_of(repair_image);

    (void)state;
    assert_int_equal(repair_it(path).n, 0);
    assert_int_equal(repair_check(path), 0);
}

static void test_lsm_repair_without_current_goes_by_the_manifest(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        const char *path = repair_copy_of(repair_image);

        if (how == 0)
            repair_remove(path, "CURRENT");
        else
            repair_damage(path, "CURRENT", 12, how == 1);
        assert_int_equal(repair_it(path).n, 1);
        assert_int_equal(repair_check(path), 0);
    }
}

static void test_lsm_repair_without_a_manifest_goes_by_the_tables_and_logs(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        const char   *path = repair_copy_of(repair_image);
        repair_find   m    = repair_look(path, "MANIFEST-");
        repair_faults faults;

        if (how == 0)
            repair_remove(path, m.name);
        else if (how == 1)
            repair_damage(path, m.name, 40, true);
        else
            repair_damage(path, m.name, how == 2 ? 60 : 3, false);
        faults = repair_it(path);
        assert_true(faults.n >= 2); /* what is wrong, and what follows of it */
        assert_int_equal(repair_check(path), 0);
    }
}

static void test_lsm_repair_without_a_table_keeps_the_others(void **state)
{
    const char   *path = repair_copy_of(repair_image);
    repair_find   t    = repair_look(path, ".sst");
    repair_faults faults;
    unsigned      bad;

    (void)state;
    repair_remove(path, t.name);
    faults = repair_it(path);
    assert_int_equal(faults.n, 1);
    assert_non_null(strstr(faults.first.file, t.name));
    bad = repair_check(path);
    assert_true(bad > 0 && bad < REPAIR_KEYS / 2);
}

static void test_lsm_repair_keeps_the_whole_blocks_of_a_damaged_table(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        const char   *path = repair_copy_of(repair_image);
        repair_find   t    = repair_look(path, ".sst"), aside;
        repair_faults faults;
        unsigned      bad;

        repair_damage(path, t.name, 1500, false);
        if (!known) {
            repair_remove(path, repair_look(path, "MANIFEST-").name);
            repair_remove(path, "CURRENT");
        }
        faults = repair_it(path);
        assert_true(faults.n >= 1);
        aside = repair_look(path, ".damaged");
        assert_int_equal(aside.n, 1);
        assert_memory_equal(aside.name, t.name, strlen(t.name));
        assert_int_equal(aside.size, t.size);
        bad = repair_check(path);
        assert_true(bad > 0 && bad < 40);
        assert_int_equal(repair_look(path, ".damaged").n, 1);
    }
}

static void test_lsm_repair_sets_an_unreadable_table_aside(void **state)
{
    (void)state;
    for (int cut = 0; cut < 2; cut++) {
        const char *path = repair_copy_of(repair_image);
        repair_find t    = repair_look(path, ".sst");

        repair_damage(path, t.name, t.size - 20, cut);
        assert_int_equal(repair_it(path).n, 1);
        assert_int_equal(repair_look(path, ".damaged").n, 1);
        assert_true(repair_check(path) > 0);
    }
}

static void test_lsm_repair_leaves_out_the_damaged_record_of_a_log(void **state)
{
    const char   *path = repair_copy_of(repair_image);
    repair_find   log  = repair_look(path, ".wal");
    repair_faults faults;

    (void)state;
    repair_damage(path, log.name, 2000, false);
    faults = repair_it(path);
    assert_int_equal(faults.n, 1);
    assert_non_null(strstr(faults.first.file, log.name));
    assert_int_equal(repair_look(path, ".damaged").n, 1);
    assert_int_equal(repair_check(path), 1);
}

static void test_lsm_repair_uses_no_number_again(void **state)
{
    const char *path   = repair_copy_of(repair_image);
    repair_find before = repair_look(path, ".sst"), after;
    char        high[32];

    (void)state;
    repair_remove(path, "CURRENT");
    repair_remove(path, repair_look(path, "MANIFEST-").name);
    snprintf(high, sizeof high, "%06u.sst.damaged", 5000);
    akvt_write_file(akvt_path(path, high), "x", 1);
    repair_it(path);
    after = repair_look(path, "MANIFEST-");
    assert_true(before.highest < 5000 && after.highest > 5000);
    assert_true(strtoull(after.name + 9, NULL, 10) > 5000);
    assert_int_equal(repair_check(path), 0);
}

static void test_lsm_repair_that_failed_can_be_run_again(void **state)
{
    akv_env    *fault = NULL;
    uint64_t    calls = 1;
    akvt_random r     = akvt_random_new(1);

    (void)state;
    assert_ok(akvi_fault_new(akv_env_posix(), NULL, &fault));
    for (uint64_t nth = 0; nth <= calls; nth += 1 + akvt_next(&r) % (calls / 8)) {
        akvi_fault_plan plan = {.kinds = AKVI_FAULT_WRITE | AKVI_FAULT_SYNC | AKVI_FAULT_RENAME,
                                .nth   = nth,
                                .err   = EIO};
        const char     *path = repair_copy_of(repair_image);

        repair_damage(path, repair_look(path, ".sst").name, 1500, false);
        if (akvt_next(&r) % 2)
            repair_damage(path, repair_look(path, "MANIFEST-").name, 60, false);
        akvi_fault_plan_set(fault, &plan);
        if (nth == 0) {
            assert_ok(akv_repair("lsm", path, fault, NULL));
            calls = akvi_fault_calls(fault);
        } else {
            (void)akv_repair("lsm", path, fault, NULL);
        }
        (void)repair_it(path);
        assert_int_equal(repair_look(path, ".damaged").n > 0, true);
        assert_in_range(repair_check(path), 1, 40);
    }
    akvi_fault_free(fault);
}

static void test_lsm_repair_of_what_is_no_store_is_refused(void **state)
{
    const char *path = repair_path();

    (void)state;
    assert_status(AKV_IO, akv_repair("lsm", path, NULL, NULL));
    assert_int_equal(mkdir(path, 0700), 0);
    assert_status(AKV_IO, akv_repair("lsm", path, NULL, NULL));
    assert_int_equal(repair_look(path, "LOCK").n, 0);
}

static void test_lsm_repair_of_a_store_in_use_is_refused(void **state)
{
    const char *path = repair_copy_of(repair_image);
    akv        *db   = repair_open(path, 0);

    (void)state;
    assert_status(AKV_LOCKED, akv_repair("lsm", path, NULL, NULL));
    assert_ok(akv_close(db));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lsm_repair_of_a_whole_store_tells_and_changes_nothing),
        cmocka_unit_test(test_lsm_repair_without_current_goes_by_the_manifest),
        cmocka_unit_test(test_lsm_repair_without_a_manifest_goes_by_the_tables_and_logs),
        cmocka_unit_test(test_lsm_repair_without_a_table_keeps_the_others),
        cmocka_unit_test(test_lsm_repair_keeps_the_whole_blocks_of_a_damaged_table),
        cmocka_unit_test(test_lsm_repair_sets_an_unreadable_table_aside),
        cmocka_unit_test(test_lsm_repair_leaves_out_the_damaged_record_of_a_log),
        cmocka_unit_test(test_lsm_repair_uses_no_number_again),
        cmocka_unit_test(test_lsm_repair_that_failed_can_be_run_again),
        cmocka_unit_test(test_lsm_repair_of_what_is_no_store_is_refused),
        cmocka_unit_test(test_lsm_repair_of_a_store_in_use_is_refused),
    };

    return cmocka_run_group_tests(tests, repair_set_up, NULL);
}
