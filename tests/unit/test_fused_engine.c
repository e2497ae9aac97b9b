/* SPDX-License-Identifier: MIT
 *
 * test_fused_engine.c: the fused engine's own side of the shared interface, by
 * its table: when it builds and when it reads, and what becomes of the files.
 * What all engines promise is the conformance suite's.
 */
#include "tests/unit/fused_raw.h"

#include "common/base/mem.h"
#include "common/env/fault.h"
#include "common/env/file.h"
#include "engines/fused/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct engine_log {
    akv_logger logger;
    char       text[256];
    unsigned   n;
} engine_log;

static void engine_log_keep(void *user, akv_log_level level, const char *engine, const char *text)
{
    engine_log *log = user;

    assert_int_equal(level, AKV_LOG_WARN);
    assert_string_equal(engine, "fused");
    snprintf(log->text, sizeof log->text, "%s", text);
    log->n++;
}

/* One store at "db.fsdb" of an env in memory, with faults on demand. */
typedef struct engine_test {
    akv_env          *base, *env;
    akv_fused_options options;
    engine_log        log;
    akv_open_args     args;
    void             *impl;
    uint64_t          caps;
    unsigned          asked; /* times a progress callback saw the end */
} engine_test;

static const akv_read_options  engine_read  = AKV_READ_OPTIONS_INIT;
static const akv_write_options engine_write = AKV_WRITE_OPTIONS_INIT;
static const akv_job_options   engine_job   = AKV_JOB_OPTIONS_INIT;

static int engine_setup(void **state)
{
    static engine_test t;

    memset(&t, 0, sizeof t);
    assert_ok(akv_env_memory_new(NULL, &t.base));
    assert_ok(akvi_fault_new(t.base, NULL, &t.env));
    t.options          = (akv_fused_options)AKV_FUSED_OPTIONS_INIT;
    t.log.logger.log   = engine_log_keep;
    t.log.logger.user  = &t.log;
    t.log.logger.level = AKV_LOG_WARN;
    t.args             = (akv_open_args){.size           = sizeof t.args,
                                         .path           = "db.fsdb",
                                         .allocator      = akvt_failing_allocator(0),
                                         .env            = t.env,
                                         .engine_options = &t.options,
                                         .logger         = &t.log.logger};
    *state             = &t;
    return 0;
}

static int engine_teardown(void **state)
{
    engine_test *t = *state;

    assert_int_equal(akvt_allocator_out(), 0);
    akvi_fault_free(t->env);
    akv_env_memory_free(t->base);
    return 0;
}

static akv_status engine_open(engine_test *t, uint32_t flags)
{
    t->args.flags = flags;
    t->caps       = akvi_fused.caps;
    t->impl       = NULL;
    return akvi_fused.open(&t->args, &t->impl, &t->caps);
}

static void engine_close(engine_test *t)
{
    assert_ok(akvi_fused.close(t->impl));
}

static akv_status engine_put(engine_test *t, akv_slice key, akv_slice value)
{
    akv_op           op     = {.kind = AKV_OP_PUT, .key = key, .value = value};
    akv_write_result result = {.durability = AKV_REACHED_DEVICE};
    akv_status       st     = akvi_fused.write(t->impl, &op, 1, &engine_write, &result);

    assert_int_equal(result.durability, AKV_REACHED_NOTHING);
    return st;
}

static void engine_make(engine_test *t, size_t n, const char *value)
{
    char key[32];

    assert_ok(engine_open(t, AKV_OPEN_CREATE | AKV_OPEN_TRUNCATE));
    for (size_t i = 0; i < n; i++) {
        snprintf(key, sizeof key, "key-%03zu", i);
        assert_ok(engine_put(t, akv_str(key), akv_str(value)));
    }
    assert_ok(akvi_fused.finish(t->impl, &engine_job));
}

static akv_status engine_get(engine_test *t, const char *key, uint32_t flags, akv_value *value_out)
{
    akv_read_options opt = AKV_READ_OPTIONS_INIT;

    opt.flags  = flags;
    *value_out = (akv_value)AKV_VALUE_INIT;
    return akvi_fused.get(t->impl, akv_str(key), &opt, value_out);
}

static void engine_value_is(engine_test *t, const char *key, const char *want)
{
    akv_value value;

    assert_ok(engine_get(t, key, 0, &value));
    assert_slice(akv_bytes(value.data, value.len), want);
    assert_null(value.pin);
}

static int engine_see_name(void *user, const char *name)
{
    (void)user;
    assert_string_equal(name, "db.fsdb");
    return 0;
}

static void engine_only_file(engine_test *t)
{
    assert_ok(t->base->ops->list(t->base, ".", engine_see_name, NULL));
}

/* -------------------------------------------------------------------- building */

static void test_fused_engine_builds_then_reads_on_one_handle(void **state)
{
    engine_test     *t = *state;
    akv_value        value;
    akv_op           del = {.kind = AKV_OP_DELETE, .key = akv_str("gone")};
    akv_write_result result;
    void            *iter;
    akv_range        all = {.has_upper = false};
    uint64_t         n   = 0;

    assert_ok(engine_open(t, AKV_OPEN_CREATE));
    assert_true(t->caps & AKV_CAP_BUILD);
    assert_true(akvi_fused.building(t->impl));
    assert_ok(engine_put(t, akv_str("k"), akv_str("one")));
    assert_ok(engine_put(t, akv_str("k"), akv_str("two")));
    assert_ok(engine_put(t, akv_str("j"), akv_str("one")));
    assert_ok(engine_put(t, akv_str("gone"), akv_str("three")));
    assert_ok(akvi_fused.write(t->impl, &del, 1, &engine_write, &result));
    del.kind = AKV_OP_DELETE_RANGE;
    assert_status(AKV_UNSUPPORTED, akvi_fused.write(t->impl, &del, 1, &engine_write, &result));
    assert_error_has("puts and deletes only");
    assert_status(AKV_UNSUPPORTED, engine_get(t, "k", 0, &value));
    assert_error_has("reads begin after akv_finish");
    assert_status(AKV_UNSUPPORTED, akvi_fused.iter_new(t->impl, &all, &engine_read, &iter));
    assert_status(AKV_UNSUPPORTED, akvi_fused.count(t->impl, &engine_read, &n));
    assert_status(AKV_UNSUPPORTED, akvi_fused.verify(t->impl, &engine_job));
    assert_status(AKV_UNSUPPORTED, akvi_fused.sync(t->impl));
    assert_status(AKV_ABSENT, akvi_fused.detect(t->env, "db.fsdb"));
    assert_ok(akvi_fused.finish(t->impl, &engine_job));
    assert_false(akvi_fused.building(t->impl));
    engine_value_is(t, "k", "two");
    engine_value_is(t, "j", "one");
    assert_ok(akvi_fused.count(t->impl, &engine_read, &n));
    assert_int_equal(n, 2);
    assert_ok(akvi_fused.sync(t->impl));
    assert_ok(akvi_fused.verify(t->impl, &engine_job));
    assert_status(AKV_UNSUPPORTED, engine_put(t, akv_str("k"), akv_str("three")));
    assert_error_has("immutable");
    assert_status(AKV_MISUSE, akvi_fused.finish(t->impl, &engine_job));
    engine_close(t);
    assert_ok(akvi_fused.detect(t->env, "db.fsdb"));
    assert_ok(engine_open(t, 0));
    assert_false(t->caps & AKV_CAP_BUILD);
    engine_value_is(t, "k", "two");
    engine_close(t);
}

static uint32_t engine_objects(engine_test *t)
{
    akv_fused_info info = AKV_FUSED_INFO_INIT;

    assert_ok(akv_fused_info_get(((fused_store *)t->impl)->reader, &info));
    return info.num_objects;
}

static int engine_ask_while_finishing(void *user, uint64_t done, uint64_t total, const char *unit)
{
    engine_test     *t   = user;
    akv_op           put = {.kind = AKV_OP_PUT, .key = akv_str("late"), .value = akv_str("v")};
    akv_write_result result;

    (void)unit;
    assert_true(done <= total);
    assert_true(akvi_fused.building(t->impl));
    assert_status(AKV_BUSY, akvi_fused.write(t->impl, &put, 1, &engine_write, &result));
    assert_status(AKV_BUSY, akvi_fused.finish(t->impl, &engine_job));
    assert_status(AKV_BUSY, akvi_fused.abort(t->impl));
    akvi_call_begin();
    return done == total && ++t->asked < 3;
}

/* Progress is the caller's code: no lock is held, and other calls answer. */
static void test_fused_engine_answers_while_it_finishes(void **state)
{
    engine_test    *t   = *state;
    akv_job_options job = AKV_JOB_OPTIONS_INIT;

    job.progress = engine_ask_while_finishing;
    job.user     = t;
    assert_ok(engine_open(t, AKV_OPEN_CREATE));
    assert_ok(engine_put(t, akv_str("k"), akv_str("v")));
    assert_status(AKV_CANCELLED, akvi_fused.finish(t->impl, &job));
    assert_true(akvi_fused.building(t->impl));
    assert_status(AKV_CANCELLED, akvi_fused.finish(t->impl, &job));
    assert_ok(akvi_fused.finish(t->impl, &job));
    assert_int_equal(t->asked, 3);
    engine_value_is(t, "k", "v");
    engine_close(t);
}

static void test_fused_engine_shares_equal_values_unless_told_not_to(void **state)
{
    engine_test *t = *state;

    engine_make(t, 20, "same");
    assert_int_equal(engine_objects(t), 1);
    engine_close(t);
    t->options.dedupe = false;
    engine_make(t, 20, "same");
    assert_int_equal(engine_objects(t), 20);
    engine_close(t);
}

static void test_fused_engine_open_follows_its_flags(void **state)
{
    engine_test *t = *state;

    assert_status(AKV_IO, engine_open(t, 0));
    assert_int_equal(akvi_pending_error()->os_errno, ENOENT);
    assert_status(AKV_IO, engine_open(t, AKV_OPEN_READ_ONLY | AKV_OPEN_CREATE));
    assert_status(AKV_IO, engine_open(t, AKV_OPEN_TRUNCATE));
    engine_make(t, 1, "old");
    engine_close(t);
    assert_status(AKV_IO, engine_open(t, AKV_OPEN_CREATE | AKV_OPEN_EXCLUSIVE));
    assert_int_equal(akvi_pending_error()->os_errno, EEXIST);
    assert_ok(engine_open(t, AKV_OPEN_CREATE));
    assert_status(AKV_UNSUPPORTED, engine_put(t, akv_str("k"), akv_str("v")));
    engine_value_is(t, "key-000", "old");
    engine_close(t);
    t->args.path = "none/db.fsdb";
    assert_status(AKV_IO, engine_open(t, AKV_OPEN_CREATE));
    assert_int_equal(akvi_pending_error()->os_errno, ENOENT);
    t->args.path = "db.fsdb/db.fsdb";
    assert_status(AKV_IO, engine_open(t, AKV_OPEN_CREATE));
    t->args.path = ".";
    assert_status(AKV_IO, engine_open(t, AKV_OPEN_CREATE | AKV_OPEN_TRUNCATE));
    t->args.path = NULL;
    assert_status(AKV_MISUSE, engine_open(t, AKV_OPEN_CREATE));
}

static void test_fused_engine_exclusive_holds_until_finish(void **state)
{
    engine_test *t = *state;
    void        *mine;

    assert_ok(engine_open(t, AKV_OPEN_CREATE | AKV_OPEN_EXCLUSIVE));
    assert_ok(engine_put(t, akv_str("k"), akv_str("mine")));
    mine = t->impl;
    engine_make(t, 1, "theirs");
    engine_close(t);
    t->impl = mine;
    assert_status(AKV_IO, akvi_fused.finish(t->impl, &engine_job));
    assert_int_equal(akvi_pending_error()->os_errno, EEXIST);
    assert_true(akvi_fused.building(t->impl));
    assert_ok(akvi_fused.abort(t->impl));
    engine_close(t);
    assert_ok(engine_open(t, 0));
    engine_value_is(t, "key-000", "theirs");
    engine_close(t);
}

static void test_fused_engine_old_file_serves_until_finish(void **state)
{
    engine_test *t = *state;
    void        *old, *building;

    engine_make(t, 3, "old");
    old = t->impl;
    assert_ok(engine_open(t, AKV_OPEN_TRUNCATE));
    assert_ok(engine_put(t, akv_str("key-000"), akv_str("new")));
    building = t->impl;
    assert_ok(engine_open(t, 0));
    engine_value_is(t, "key-000", "old");
    engine_close(t);
    t->impl = building;
    assert_ok(akvi_fused.finish(t->impl, &engine_job));
    engine_value_is(t, "key-000", "new");
    engine_close(t);
    t->impl = old; /* its file has no name any more */
    engine_value_is(t, "key-000", "old");
    assert_ok(akvi_fused.verify(t->impl, &engine_job));
    engine_close(t);
    engine_only_file(t);
}

static void test_fused_engine_abort_leaves_nothing(void **state)
{
    engine_test  *t = *state;
    akv_value     value;
    akv_file_info info;

    assert_ok(engine_open(t, AKV_OPEN_CREATE));
    assert_ok(engine_put(t, akv_str("k"), akv_str("v")));
    assert_ok(akvi_fused.abort(t->impl));
    assert_false(akvi_fused.building(t->impl));
    assert_status(AKV_UNSUPPORTED, engine_get(t, "k", 0, &value));
    assert_status(AKV_UNSUPPORTED, engine_put(t, akv_str("k"), akv_str("v")));
    assert_status(AKV_MISUSE, akvi_fused.finish(t->impl, &engine_job));
    engine_close(t);
    assert_status(AKV_IO, t->base->ops->info(t->base, "db.fsdb", &info));
}

/* A full disk while finishing: the old file stays, and the build can be
 * finished once there is room. */
static void test_fused_engine_finish_heals_from_a_full_disk(void **state)
{
    engine_test    *t    = *state;
    akvi_fault_plan full = {AKVI_FAULT_WRITE, 1, 0, ENOSPC, AKVI_FAULT_SHORT};
    void           *building;

    engine_make(t, 3, "old");
    engine_close(t);
    assert_ok(engine_open(t, AKV_OPEN_TRUNCATE));
    assert_ok(engine_put(t, akv_str("key-000"), akv_str("new")));
    building = t->impl;
    akvi_fault_plan_set(t->env, &full);
    assert_status(AKV_NOSPACE, akvi_fused.finish(t->impl, &engine_job));
    akvi_fault_plan_set(t->env, &(akvi_fault_plan){0});
    assert_true(akvi_fused.building(t->impl));
    engine_only_file(t);
    assert_ok(engine_open(t, 0));
    engine_value_is(t, "key-000", "old");
    engine_close(t);
    t->impl = building;
    assert_ok(engine_put(t, akv_str("key-001"), akv_str("later")));
    assert_ok(akvi_fused.finish(t->impl, &engine_job));
    engine_value_is(t, "key-000", "new");
    engine_value_is(t, "key-001", "later");
    engine_close(t);
    engine_only_file(t);
}

static void test_fused_engine_finish_can_be_retried_when_its_reader_fails(void **state)
{
    engine_test    *t    = *state;
    akvi_fault_plan once = {AKVI_FAULT_MAP | AKVI_FAULT_READ, 1, 0, EIO, AKVI_FAULT_FAIL};

    assert_ok(engine_open(t, AKV_OPEN_CREATE | AKV_OPEN_EXCLUSIVE));
    assert_ok(engine_put(t, akv_str("k"), akv_str("v")));
    akvi_fault_plan_set(t->env, &once);
    assert_status(AKV_IO, akvi_fused.finish(t->impl, &engine_job));
    assert_true(akvi_fused.building(t->impl));
    akvi_fault_plan_set(t->env, &(akvi_fault_plan){0});
    assert_ok(akvi_fused.finish(t->impl, &engine_job));
    engine_value_is(t, "k", "v");
    engine_close(t);
}

/* --------------------------------------------------------------------- reading */

static void test_fused_engine_get_many_spans_batches(void **state)
{
    engine_test *t = *state;
    akv_slice    keys[150];
    akv_value    values[150];
    akv_status   statuses[150];
    char         names[150][16];

    engine_make(t, 100, "v");
    for (size_t i = 0; i < 150; i++) {
        snprintf(names[i], sizeof names[i], "key-%03zu", i);
        keys[i]   = akv_str(names[i]);
        values[i] = (akv_value)AKV_VALUE_INIT;
    }
    assert_ok(akvi_fused.get_many(t->impl, 150, keys, &engine_read, values, statuses));
    for (size_t i = 0; i < 150; i++) {
        assert_int_equal(statuses[i], i < 100 ? AKV_OK : AKV_ABSENT);
        assert_slice(akv_bytes(values[i].data, values[i].len), i < 100 ? "v" : "");
    }
    engine_close(t);
}

static void test_fused_engine_iterates_within_bounds(void **state)
{
    engine_test *t  = *state;
    akv_range range = {.lower = akv_str("key-010"), .upper = akv_str("key-020"), .has_upper = true};
    akv_entry entry = {.key = {NULL, 0}};
    void     *iter;
    uint64_t  bytes = 0, all_bytes = 0;
    size_t    n   = 1;
    akv_range all = {.has_upper = false};

    engine_make(t, 100, "v");
    assert_ok(akvi_fused.iter_new(t->impl, &range, &engine_read, &iter));
    assert_ok(akvi_fused.iter_move(iter, AKV_MOVE_FIRST, akv_str(""), &entry));
    assert_slice(entry.key, "key-010");
    assert_slice(akv_bytes(entry.value.data, entry.value.len), "v");
    while (akvi_fused.iter_move(iter, AKV_MOVE_NEXT, akv_str(""), &entry) == AKV_OK)
        n++;
    assert_int_equal(n, 10);
    assert_ok(akvi_fused.iter_move(iter, AKV_MOVE_LAST, akv_str(""), &entry));
    assert_slice(entry.key, "key-019");
    assert_ok(akvi_fused.iter_move(iter, AKV_MOVE_SEEK, akv_str("a"), &entry));
    assert_slice(entry.key, "key-010");
    assert_ok(akvi_fused.iter_move(iter, AKV_MOVE_SEEK_FOR_PREV, akv_str("z"), &entry));
    assert_slice(entry.key, "key-019");
    assert_status(AKV_END, akvi_fused.iter_move(iter, AKV_MOVE_SEEK, akv_str("key-02"), &entry));
    akvi_fused.iter_free(iter);
    assert_ok(akvi_fused.approximate_size(t->impl, &range, &engine_read, &bytes));
    assert_ok(akvi_fused.approximate_size(t->impl, &all, &engine_read, &all_bytes));
    assert_true(bytes > all_bytes / 20 && bytes < all_bytes / 5);
    engine_close(t);
}

static void engine_write_raw(engine_test *t, akv_buffer *b)
{
    akv_file *file;

    akvi_put_be32(raw_bytes(b) + 32, akvi_crc32(0, raw_bytes(b) + 40, b->len - 40));
    assert_ok(t->env->ops->open(t->env, "db.fsdb",
                                AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_TRUNCATE, &file));
    assert_ok(file->ops->append(file, b->data, b->len));
    assert_ok(file->ops->close(file));
}

/* The same move may be tried again: it does not skip what it could not read. */
static void test_fused_engine_failed_move_can_be_tried_again(void **state)
{
    engine_test *t     = *state;
    akv_buffer   b     = AKV_BUFFER_INIT;
    akv_range    all   = {.has_upper = false};
    akv_entry    entry = {.key = {NULL, 0}};
    akv_value    value;
    void        *iter;

    raw_small(&b);
    raw_bytes(&b)[52 + 8] ^= 1; /* b's object, under a good file CRC */
    engine_write_raw(t, &b);
    assert_ok(engine_open(t, 0));
    assert_ok(engine_get(t, "b", 0, &value));
    assert_status(AKV_CORRUPT, engine_get(t, "b", AKV_READ_VERIFY, &value));
    assert_null(value.data);
    t->options.check_objects = true;
    engine_close(t);
    assert_ok(engine_open(t, 0));
    assert_ok(akvi_fused.iter_new(t->impl, &all, &engine_read, &iter));
    assert_ok(akvi_fused.iter_move(iter, AKV_MOVE_FIRST, akv_str(""), &entry));
    for (int again = 0; again < 3; again++)
        assert_status(AKV_CORRUPT, akvi_fused.iter_move(iter, AKV_MOVE_NEXT, akv_str(""), &entry));
    assert_ok(akvi_fused.iter_move(iter, AKV_MOVE_LAST, akv_str(""), &entry));
    assert_slice(entry.key, "c");
    akvi_fused.iter_free(iter);
    engine_close(t);
    akv_buffer_free(&b);
}

static void test_fused_engine_salvages_what_can_be_read(void **state)
{
    engine_test *t = *state;
    akv_buffer   b = AKV_BUFFER_INIT;
    uint64_t     n = 0;

    raw_small(&b);
    b.len -= 3; /* cuts the last entry */
    engine_write_raw(t, &b);
    assert_status(AKV_CORRUPT, engine_open(t, 0));
    assert_ok(engine_open(t, AKV_OPEN_SALVAGE));
    assert_int_equal(t->log.n, 1);
    assert_non_null(strstr(t->log.text, "entry 2 of 3"));
    assert_ok(akvi_fused.count(t->impl, &engine_read, &n));
    assert_int_equal(n, 2);
    engine_value_is(t, "a", "ones");
    engine_value_is(t, "b", "twos");
    assert_status(AKV_CORRUPT, akvi_fused.verify(t->impl, &engine_job));
    engine_close(t);
    raw_small(&b);
    akvi_put_be32(raw_bytes(&b) + 8, UINT32_MAX); /* more keys than there are */
    engine_write_raw(t, &b);
    assert_status(AKV_CORRUPT, engine_open(t, 0));
    assert_ok(engine_open(t, AKV_OPEN_SALVAGE));
    assert_int_equal(t->log.n, 2);
    assert_ok(akvi_fused.count(t->impl, &engine_read, &n));
    assert_int_equal(n, 3);
    engine_value_is(t, "c", "ones");
    engine_close(t);
    akv_buffer_free(&b);
}

static void test_fused_engine_logs_that_a_section_is_damaged(void **state)
{
    engine_test *t = *state;
    akv_buffer   b = AKV_BUFFER_INIT;

    engine_make(t, 100, "v");
    engine_close(t);
    assert_int_equal(t->log.n, 0);
    assert_ok(akvi_read_file(t->env, "db.fsdb", 1 << 20, &b));
    raw_bytes(&b)[b.len - 30] ^= 1;
    assert_ok(akvi_write_file(t->env, "db.fsdb", b.data, b.len));
    assert_ok(engine_open(t, 0));
    assert_int_equal(t->log.n, 1);
    assert_non_null(strstr(t->log.text, "db.fsdb: the hash section is damaged"));
    engine_value_is(t, "key-042", "v");
    assert_status(AKV_CORRUPT, akvi_fused.verify(t->impl, &engine_job));
    engine_close(t);
    akv_buffer_free(&b);
}

/* ------------------------------------------------------------------ maintenance */

static void test_fused_engine_checkpoint_is_the_same_file(void **state)
{
    engine_test    *t = *state;
    akv_buffer      a = AKV_BUFFER_INIT, b = AKV_BUFFER_INIT;
    akvi_fault_plan full = {AKVI_FAULT_WRITE, 1, 0, ENOSPC, AKVI_FAULT_FAIL};
    akv_file_info   info;

    engine_make(t, 100, "v");
    akvi_fault_plan_set(t->env, &full);
    assert_status(AKV_NOSPACE, akvi_fused.checkpoint(t->impl, "copy.fsdb", &engine_job));
    akvi_fault_plan_set(t->env, &(akvi_fault_plan){0});
    assert_status(AKV_IO, t->env->ops->info(t->env, "copy.fsdb", &info));
    assert_ok(akvi_fused.checkpoint(t->impl, "copy.fsdb", &engine_job));
    assert_status(AKV_IO, akvi_fused.checkpoint(t->impl, "copy.fsdb", &engine_job));
    assert_int_equal(akvi_pending_error()->os_errno, EEXIST);
    assert_ok(akvi_read_file(t->env, "db.fsdb", 1 << 20, &a));
    assert_ok(akvi_read_file(t->env, "copy.fsdb", 1 << 20, &b));
    assert_true(akvi_equal(a.data, a.len, b.data, b.len));
    engine_close(t);
    akv_buffer_free(&a);
    akv_buffer_free(&b);
}

static void test_fused_engine_detects_and_destroys_only_its_own(void **state)
{
    engine_test  *t = *state;
    akv_buffer    b = AKV_BUFFER_INIT;
    akv_file_info info;

    assert_status(AKV_ABSENT, akvi_fused.detect(t->env, "db.fsdb"));
    assert_status(AKV_ABSENT, akvi_fused.detect(t->env, "."));
    raw_small(&b);
    raw_bytes(&b)[4] = 3; /* another version: ours, to be refused with a reason */
    engine_write_raw(t, &b);
    assert_ok(akvi_fused.detect(t->env, "db.fsdb"));
    assert_status(AKV_VERSION, engine_open(t, 0));
    raw_bytes(&b)[0] = 'X';
    engine_write_raw(t, &b);
    assert_status(AKV_ABSENT, akvi_fused.detect(t->env, "db.fsdb"));
    assert_status(AKV_MISUSE, akvi_fused.destroy(t->env, "db.fsdb"));
    assert_ok(t->env->ops->info(t->env, "db.fsdb", &info));
    raw_bytes(&b)[0] = 'F';
    engine_write_raw(t, &b);
    assert_ok(akvi_fused.destroy(t->env, "db.fsdb"));
    assert_status(AKV_ABSENT, akvi_fused.detect(t->env, "db.fsdb"));
    assert_status(AKV_MISUSE, akvi_fused.destroy(t->env, "db.fsdb"));
    akv_buffer_free(&b);
}

static void test_fused_engine_open_gives_all_memory_back_when_it_runs_out(void **state)
{
    engine_test *t  = *state;
    akv_status   st = AKV_NOMEM;

    engine_make(t, 100, "v");
    engine_close(t);
    for (uint64_t nth = 1; st != AKV_OK; nth++) {
        t->args.allocator = akvt_failing_allocator(nth);
        st                = engine_open(t, nth % 2 ? 0 : AKV_OPEN_TRUNCATE);
        if (st == AKV_OK) {
            engine_close(t);
            st = nth > 30 ? AKV_OK : AKV_NOMEM;
        }
        assert_int_equal(akvt_allocator_out(), 0);
    }
}

int main(void)
{
#define ENGINE_TEST(name) cmocka_unit_test_setup_teardown(name, engine_setup, engine_teardown)
    const struct CMUnitTest tests[] = {
        ENGINE_TEST(test_fused_engine_builds_then_reads_on_one_handle),
        ENGINE_TEST(test_fused_engine_answers_while_it_finishes),
        ENGINE_TEST(test_fused_engine_shares_equal_values_unless_told_not_to),
        ENGINE_TEST(test_fused_engine_open_follows_its_flags),
        ENGINE_TEST(test_fused_engine_exclusive_holds_until_finish),
        ENGINE_TEST(test_fused_engine_old_file_serves_until_finish),
        ENGINE_TEST(test_fused_engine_abort_leaves_nothing),
        ENGINE_TEST(test_fused_engine_finish_heals_from_a_full_disk),
        ENGINE_TEST(test_fused_engine_finish_can_be_retried_when_its_reader_fails),
        ENGINE_TEST(test_fused_engine_get_many_spans_batches),
        ENGINE_TEST(test_fused_engine_iterates_within_bounds),
        ENGINE_TEST(test_fused_engine_failed_move_can_be_tried_again),
        ENGINE_TEST(test_fused_engine_salvages_what_can_be_read),
        ENGINE_TEST(test_fused_engine_logs_that_a_section_is_damaged),
        ENGINE_TEST(test_fused_engine_checkpoint_is_the_same_file),
        ENGINE_TEST(test_fused_engine_detects_and_destroys_only_its_own),
        ENGINE_TEST(test_fused_engine_open_gives_all_memory_back_when_it_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
