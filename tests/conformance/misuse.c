/* SPDX-License-Identifier: MIT
 *
 * misuse.c: cases of calls that break a rule: they are told so, and nothing
 * happens.
 */
#include "tests/conformance/suite.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static void misuse_null_handles(akvc_run *r)
{
    akv_slice     key    = akv_str("k");
    akv_buffer    buffer = AKV_BUFFER_INIT;
    akv_value     value  = {"x", 1, {{1}}, 2, 3, 0, NULL, NULL};
    akv_status    status = AKV_OK;
    akv_iter     *iter   = (akv_iter *)(uintptr_t)1;
    akv_batch    *batch;
    akv_snapshot *snapshot;
    akv_stats    *stats;
    size_t        len;

    WANT(r, AKV_MISUSE, akv_get(NULL, key, NULL, &value));
    CHECK(r, value.len == 0 && value.data == NULL);
    WANT(r, AKV_MISUSE, akv_get_into(NULL, key, NULL, NULL, 0, &len));
    WANT(r, AKV_MISUSE, akv_get_copy(NULL, key, NULL, &buffer));
    WANT(r, AKV_MISUSE, akv_get_many(NULL, 1, &key, NULL, &value, &status));
    CHECK(r, status == AKV_MISUSE);
    WANT(r, AKV_MISUSE, akv_exists(NULL, key, NULL));
    WANT(r, AKV_MISUSE, akv_scan(NULL, NULL, &iter));
    CHECK(r, iter == NULL);
    WANT(r, AKV_MISUSE, akv_put(NULL, key, key, NULL));
    WANT(r, AKV_MISUSE, akv_delete(NULL, key, NULL));
    WANT(r, AKV_MISUSE, akv_delete_range(NULL, key, key, NULL));
    WANT(r, AKV_MISUSE, akv_merge(NULL, key, key, NULL));
    WANT(r, AKV_MISUSE, akv_expire(NULL, key, 1, NULL));
    WANT(r, AKV_MISUSE, akv_persist(NULL, key, NULL));
    WANT(r, AKV_MISUSE, akv_batch_new(NULL, &batch));
    WANT(r, AKV_MISUSE, akv_write(NULL, NULL, NULL));
    WANT(r, AKV_MISUSE, akv_snapshot_new(NULL, &snapshot));
    WANT(r, AKV_MISUSE, akv_sync(NULL));
    WANT(r, AKV_MISUSE, akv_finish(NULL, NULL));
    WANT(r, AKV_MISUSE, akv_verify(NULL, NULL));
    WANT(r, AKV_MISUSE, akv_stats_get(NULL, &stats));
    WANT(r, AKV_MISUSE, akv_iter_next(NULL));
    WANT(r, AKV_MISUSE, akv_batch_put(NULL, key, key, NULL));
    WANT(r, AKV_MISUSE, akv_txn_commit(NULL, NULL));
    WANT(r, AKV_MISUSE, akv_stream_commit(NULL));
    CHECK(r, akv_capabilities(NULL) == 0 && !akv_iter_valid(NULL));
    CHECK(r, akv_iter_key(NULL).len == 0 && akv_batch_count(NULL) == 0);
    akv_buffer_free(&buffer);
}

static void misuse_null_arguments(akvc_run *r)
{
    akv       *db  = akvc_filled(r, "a=1");
    akv_slice  bad = akv_bytes(NULL, 3), key = akv_str("a");
    akv_value  value = AKV_VALUE_INIT;
    akv_status status;
    size_t     len;
    akv_iter  *iter;

    WANT(r, AKV_MISUSE, akv_get(db, key, NULL, NULL));
    WANT(r, AKV_MISUSE, akv_get(db, bad, NULL, &value));
    WANT(r, AKV_MISUSE, akv_exists(db, bad, NULL));
    WANT(r, AKV_MISUSE, akv_get_into(db, key, NULL, NULL, 4, &len));
    WANT(r, AKV_MISUSE, akv_get_into(db, key, NULL, &len, 1, NULL));
    WANT(r, AKV_MISUSE, akv_get_copy(db, key, NULL, NULL));
    WANT(r, AKV_MISUSE, akv_get_many(db, 1, NULL, NULL, &value, &status));
    WANT(r, AKV_MISUSE, akv_get_many(db, 1, &key, NULL, NULL, &status));
    WANT(r, AKV_MISUSE, akv_get_many(db, 1, &key, NULL, &value, NULL));
    WANT(r, AKV_MISUSE, akv_get_many(db, 1, &bad, NULL, &value, &status));
    CHECK(r, status == AKV_MISUSE);
    WANT(r, AKV_MISUSE, akv_count(db, NULL, NULL));
    WANT(r, AKV_MISUSE, akv_scan(db, NULL, NULL));
    WANT(r, AKV_MISUSE, akv_stats_get(db, NULL));
    OK(r, akv_scan(db, NULL, &iter));
    if (r->caps & AKV_CAP_ORDERED)
        WANT(r, AKV_MISUSE, akv_iter_seek(iter, bad));
    akv_iter_free(iter);
    if (r->caps & AKV_CAP_WRITE) {
        WANT(r, AKV_MISUSE, akv_put(db, bad, key, NULL));
        WANT(r, AKV_MISUSE, akv_put(db, key, bad, NULL));
        WANT(r, AKV_MISUSE, akv_delete(db, bad, NULL));
    }
    if (r->caps & AKV_CAP_BATCH)
        WANT(r, AKV_MISUSE, akv_write(db, NULL, NULL));
    HOLDS(r, db, NULL, "a=1");
    akvc_close(r, db);
}

static void misuse_read_options(akvc_run *r)
{
    akv             *db    = akvc_filled(r, "a=1");
    akv_read_options opt   = AKV_READ_OPTIONS_INIT;
    akv_scan_options scan  = AKV_SCAN_OPTIONS_INIT;
    akv_value        value = AKV_VALUE_INIT;
    akv_iter        *iter;

    opt.flags = 0x80;
    WANT(r, AKV_MISUSE, akv_get(db, akv_str("a"), &opt, &value));
    opt      = (akv_read_options)AKV_READ_OPTIONS_INIT;
    opt.size = 0;
    WANT(r, AKV_MISUSE, akv_get(db, akv_str("a"), &opt, &value));
    scan.flags = 0x80;
    WANT(r, AKV_MISUSE, akv_scan(db, &scan, &iter));
    CHECK(r, iter == NULL);
    scan            = (akv_scan_options)AKV_SCAN_OPTIONS_INIT;
    scan.read.flags = 0x80;
    WANT(r, AKV_MISUSE, akv_scan(db, &scan, &iter));
    scan      = (akv_scan_options)AKV_SCAN_OPTIONS_INIT;
    scan.size = 2;
    WANT(r, AKV_MISUSE, akv_scan(db, &scan, &iter));
    HAS(r, db, NULL, "a", "1");
    akvc_close(r, db);
}

static void misuse_write_options(akvc_run *r)
{
    const akv_write_options plain = AKV_WRITE_OPTIONS_INIT;
    akv                    *db    = akvc_filled(r, "a=1");
    akv_write_options       opt   = plain;

    opt.sync = 77;
    WANT(r, AKV_MISUSE, akv_put(db, akv_str("a"), akv_str("2"), &opt));
    opt           = plain;
    opt.condition = 77;
    WANT(r, AKV_MISUSE, akv_put(db, akv_str("a"), akv_str("2"), &opt));
    opt          = plain;
    opt.encoding = 77;
    WANT(r, AKV_MISUSE, akv_put(db, akv_str("a"), akv_str("2"), &opt));
    opt      = plain;
    opt.size = 1;
    WANT(r, AKV_MISUSE, akv_put(db, akv_str("a"), akv_str("2"), &opt));
    opt        = plain;
    opt.ttl_ms = 1000;
    WANT(r, AKV_MISUSE, akv_delete(db, akv_str("a"), &opt));
    if (r->caps & AKV_CAP_CONDITION) {
        opt           = plain;
        opt.condition = AKV_IF_VALUE;
        opt.expected  = akv_bytes(NULL, 5);
        WANT(r, AKV_MISUSE, akv_put(db, akv_str("a"), akv_str("2"), &opt));
    }
    HOLDS(r, db, NULL, "a=1");
    akvc_close(r, db);
}

/* A struct of a caller built against a later header: bigger, its rest zero. */
static void misuse_other_sizes(akvc_run *r)
{
    struct {
        akv_read_options opt;
        uint64_t         more;
    } later = {AKV_READ_OPTIONS_INIT, 0};
    akv *db = akvc_filled(r, "a=1");

    later.opt.size = sizeof later;
    OK(r, akv_exists(db, akv_str("a"), &later.opt));
    later.more = 1;
    WANT(r, AKV_MISUSE, akv_exists(db, akv_str("a"), &later.opt));
    akvc_close(r, db);
}

static void misuse_lacking(akvc_run *r)
{
    akv              *db  = akvc_filled(r, "a=1");
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    akv_slice         key = akv_str("a");
    akv_batch        *batch;
    akv_snapshot     *snapshot;
    akv_txn          *txn;
    akv_keyspace     *space;
    akv_stream       *stream;
    akv_changes      *changes;

    if (!(r->caps & AKV_CAP_BATCH))
        WANT(r, AKV_UNSUPPORTED, akv_batch_new(db, &batch));
    if (!(r->caps & AKV_CAP_SNAPSHOT))
        WANT(r, AKV_UNSUPPORTED, akv_snapshot_new(db, &snapshot));
    if (!(r->caps & AKV_CAP_TXN))
        WANT(r, AKV_UNSUPPORTED, akv_txn_begin(db, &txn));
    if (!(r->caps & AKV_CAP_KEYSPACES))
        WANT(r, AKV_UNSUPPORTED, akv_keyspace_open(db, "x", AKV_KEYSPACE_CREATE, &space));
    if (!(r->caps & AKV_CAP_STREAM_WRITE))
        WANT(r, AKV_UNSUPPORTED, akv_stream_create(db, key, false, NULL, &stream));
    if (!(r->caps & AKV_CAP_CHANGES))
        WANT(r, AKV_UNSUPPORTED, akv_changes_open(db, akv_str(""), &changes));
    if (!(r->caps & AKV_CAP_DELETE_RANGE))
        WANT(r, AKV_UNSUPPORTED, akv_delete_range(db, key, key, NULL));
    if (!(r->caps & AKV_CAP_MERGE))
        WANT(r, AKV_UNSUPPORTED, akv_merge(db, key, key, NULL));
    if (!(r->caps & AKV_CAP_CHECKPOINT))
        WANT(r, AKV_UNSUPPORTED, akv_checkpoint(db, "/no/such/place", NULL));
    if (!(r->caps & AKV_CAP_TTL)) {
        WANT(r, AKV_UNSUPPORTED, akv_expire(db, key, 1, NULL));
        WANT(r, AKV_UNSUPPORTED, akv_persist(db, key, NULL));
        opt.ttl_ms = 1;
        WANT(r, AKV_UNSUPPORTED, akv_put(db, key, key, &opt));
    }
    opt = (akv_write_options)AKV_WRITE_OPTIONS_INIT;
    if (!(r->caps & AKV_CAP_ENCODING)) {
        opt.encoding = AKV_ENCODING_JSON;
        WANT(r, AKV_UNSUPPORTED, akv_put(db, key, key, &opt));
    }
    opt           = (akv_write_options)AKV_WRITE_OPTIONS_INIT;
    opt.condition = AKV_IF_ABSENT;
    if (!(r->caps & AKV_CAP_CONDITION))
        WANT(r, AKV_UNSUPPORTED, akv_put(db, key, key, &opt));
    opt.condition = AKV_IF_VERSION;
    if (!(r->caps & AKV_CAP_VERSION))
        WANT(r, AKV_UNSUPPORTED, akv_put(db, key, key, &opt));
    HOLDS(r, db, NULL, "a=1");
    akvc_close(r, db);
}

/* -------------------------------------------------------------- error record */

static void *misuse_on_a_thread(void *user)
{
    bool *clean = user;

    *clean = akv_last_error()->code == AKV_OK;
    akv_sync(NULL);
    *clean = *clean && akv_last_error()->code == AKV_MISUSE;
    return NULL;
}

static void misuse_error_record(akvc_run *r)
{
    akv      *db    = akvc_filled(r, "a=1");
    bool      clean = false;
    akv_error before;
    pthread_t thread;

    WANT(r, AKV_UNSUPPORTED, akv_abort(db));
    before = *akv_last_error();
    CHECK(r, before.code == AKV_UNSUPPORTED && strcmp(before.engine, r->engine) == 0);
    CHECK(r, strchr(before.text, '\n') == NULL && strlen(before.text) > 10);
    CHECK(r, pthread_create(&thread, NULL, misuse_on_a_thread, &clean) == 0);
    pthread_join(thread, NULL);
    CHECK(r, clean); /* each thread has its own */
    HAS(r, db, NULL, "a", "1");
    akvc_close(r, db);
    CHECK(r, akv_last_error()->code == before.code);
    CHECK(r, strcmp(akv_last_error()->text, before.text) == 0);
}

static void misuse_names(akvc_run *r)
{
    CHECK(r, strcmp(akv_status_name(AKV_OK), "AKV_OK") == 0);
    for (int s = AKV_POISONED; s <= AKV_CONFLICT; s++)
        CHECK(r, strncmp(akv_status_name((akv_status)s), "AKV_", 4) == 0 &&
                     strcmp(akv_status_name((akv_status)s), "AKV_?") != 0);
    CHECK(r, strcmp(akv_status_name((akv_status)99), "AKV_?") == 0);
    for (uint64_t bit = 1; bit <= AKV_CAP_ALL; bit <<= 1)
        CHECK(r, akv_capability_name(bit) != NULL);
    CHECK(r, akv_capability_name(0) == NULL && akv_capability_name(3) == NULL);
    CHECK(r, akv_capability_name(AKV_CAP_ALL + 1) == NULL);
    CHECK(r, strcmp(akv_version(), AKV_VERSION_TEXT) == 0);
    CHECK(r, strstr(akv_build_info(), AKV_VERSION_TEXT) != NULL);
}

static void misuse_registering(akvc_run *r)
{
    static akv_engine table = {.abi         = AKV_ENGINE_ABI,
                               .size        = sizeof(akv_engine),
                               .name        = "conformancehalf",
                               .description = "an engine that claims what it has no slots for",
                               .caps        = AKV_CAP_READ,
                               .max_key     = 100,
                               .max_value   = 100};

    table.abi = AKV_ENGINE_ABI;
    WANT(r, AKV_MISUSE, akv_register(NULL));
    WANT(r, AKV_MISUSE, akv_register(&table));
    table.abi = AKV_ENGINE_ABI + 1000;
    CHECK(r, akv_register(&table) < 0);
    for (size_t i = 0; akv_engine_at(i); i++)
        CHECK(r, strcmp(akv_engine_at(i), table.name) != 0);
}

/* --------------------------------------------------------------------- fork */

static void misuse_after_fork(akvc_run *r)
{
    akv      *db    = akvc_filled(r, "a=1");
    akv_value value = AKV_VALUE_INIT;
    int       state = 0;
    pid_t     child = fork();

    CHECK(r, child >= 0);
    if (child == 0) {
        bool told = akv_get(db, akv_str("a"), NULL, &value) == AKV_MISUSE &&
                    akv_put(db, akv_str("a"), akv_str("2"), NULL) == AKV_MISUSE &&
                    akv_close(db) == AKV_MISUSE;

        _exit(told ? 0 : 1);
    }
    CHECK(r, waitpid(child, &state, 0) == child);
    CHECK(r, WIFEXITED(state) && WEXITSTATUS(state) == 0);
    HOLDS(r, db, NULL, "a=1");
    akvc_close(r, db);
}

const akvc_case akvc_misuse_cases[] = {
    {"misuse: a NULL handle is told, outputs are empty", 0, 0, misuse_null_handles},
    {"misuse: NULL outputs and NULL data with a length are told", AKV_CAP_READ, 0,
     misuse_null_arguments},
    {"misuse: unknown bits and sizes of a read's options", AKV_CAP_READ, 0, misuse_read_options},
    {"misuse: unknown words and sizes of a write's options", AKV_CAP_WRITE, 0,
     misuse_write_options},
    {"options: a later header's are taken while what they add is zero", AKV_CAP_READ, 0,
     misuse_other_sizes},
    {"lacking: what a handle can't do is AKV_UNSUPPORTED", AKV_CAP_READ, 0, misuse_lacking},
    {"errors: the record is the thread's, and stays until the next failure", AKV_CAP_READ, 0,
     misuse_error_record},
    {"names: of statuses and capabilities", 0, 0, misuse_names},
    {"register: refuses tables whose bits and slots disagree", 0, 0, misuse_registering},
    {"fork: the parent's handle is misuse in the child", AKV_CAP_READ, 0, misuse_after_fork},
    {NULL, 0, 0, NULL},
};
