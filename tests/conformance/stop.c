/* SPDX-License-Identifier: MIT
 *
 * stop.c: cases of deadlines and cancel tokens: whatever carries one stops by
 * it, having done nothing.
 */
#include "tests/conformance/suite.h"

#include <pthread.h>
#include <stdio.h>

/* What stops the calls of one round. */
typedef struct stop_by {
    akv_status  status;
    uint64_t    deadline_ns;
    akv_cancel *cancel;
} stop_by;

static void stop_reads(akvc_run *r, akv *db, const stop_by *by)
{
    akv_read_options opt   = AKV_READ_OPTIONS_INIT;
    akv_scan_options scan  = AKV_SCAN_OPTIONS_INIT;
    akv_slice        key   = akv_str("a");
    akv_value        value = AKV_VALUE_INIT;
    akv_buffer       copy  = AKV_BUFFER_INIT;
    akv_status       status;
    akv_stream      *stream;
    akv_iter        *iter;
    uint64_t         count;
    size_t           len;
    char             byte;

    opt.deadline_ns = by->deadline_ns;
    opt.cancel      = by->cancel;
    scan.read       = opt;
    WANT(r, by->status, akv_get(db, key, &opt, &value));
    CHECK(r, value.len == 0);
    WANT(r, by->status, akv_get_into(db, key, &opt, &byte, 1, &len));
    WANT(r, by->status, akv_get_copy(db, key, &opt, &copy));
    WANT(r, by->status, akv_get_many(db, 1, &key, &opt, &value, &status));
    CHECK(r, status == by->status && value.len == 0);
    WANT(r, by->status, akv_exists(db, key, &opt));
    WANT(r, by->status, akv_count(db, &opt, &count));
    WANT(r, by->status, akv_scan(db, &scan, &iter));
    CHECK(r, iter == NULL);
    WANT(r, by->status, akv_stream_open(db, key, &opt, &stream));
    akv_buffer_free(&copy);
}

static void stop_writes(akvc_run *r, akv *db, const stop_by *by)
{
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    akv_slice         key = akv_str("a"), value = akv_str("9");
    akv_batch        *batch;
    akv_txn          *txn;
    akv_stream       *stream;

    opt.deadline_ns = by->deadline_ns;
    opt.cancel      = by->cancel;
    WANT(r, by->status, akv_put(db, key, value, &opt));
    WANT(r, by->status, akv_delete(db, key, &opt));
    if (r->caps & AKV_CAP_DELETE_RANGE)
        WANT(r, by->status, akv_delete_range(db, key, akv_str(""), &opt));
    if (r->caps & AKV_CAP_MERGE)
        WANT(r, by->status, akv_merge(db, key, value, &opt));
    if (r->caps & AKV_CAP_TTL) {
        WANT(r, by->status, akv_expire(db, key, 1, &opt));
        WANT(r, by->status, akv_persist(db, key, &opt));
    }
    if (r->caps & AKV_CAP_BATCH) {
        OK(r, akv_batch_new(db, &batch));
        OK(r, akv_batch_put(batch, key, value, NULL));
        WANT(r, by->status, akv_write(db, batch, &opt));
        akv_batch_free(batch);
    }
    if (r->caps & AKV_CAP_TXN) {
        OK(r, akv_txn_begin(db, &txn));
        OK(r, akv_txn_put(txn, key, value, NULL));
        WANT(r, by->status, akv_txn_commit(txn, &opt));
    }
    if (r->caps & AKV_CAP_STREAM_WRITE)
        WANT(r, by->status, akv_stream_create(db, key, false, &opt, &stream));
}

static void stop_jobs(akvc_run *r, akv *db, const stop_by *by)
{
    akv_job_options job = AKV_JOB_OPTIONS_INIT;
    akv_file_info   info;

    job.deadline_ns = by->deadline_ns;
    job.cancel      = by->cancel;
    WANT(r, by->status, akv_verify(db, &job));
    if (r->caps & AKV_CAP_WRITE)
        WANT(r, by->status, akv_compact(db, &job));
    if ((r->caps & AKV_CAP_CHECKPOINT) && !(r->opt.flags & AKV_CONFORMANCE_NO_PATH)) {
        WANT(r, by->status, akv_checkpoint(db, akvc_new_path(r), &job));
        CHECK(r, r->env->ops->info(r->env, r->path, &info) != AKV_OK);
    }
}

static void stop_round(akvc_run *r, const stop_by *by)
{
    akv *db = akvc_filled(r, "a=1 b=2");

    stop_reads(r, db, by);
    if (r->caps & AKV_CAP_WRITE)
        stop_writes(r, db, by);
    stop_jobs(r, db, by);
    HOLDS(r, db, NULL, "a=1 b=2");
    akvc_close(r, db);
}

static void stop_by_deadline(akvc_run *r)
{
    const stop_by by = {AKV_TIMEOUT, 1, NULL};

    stop_round(r, &by);
}

static void stop_by_token(akvc_run *r)
{
    stop_by by = {AKV_CANCELLED, 0, NULL};

    OK(r, akv_cancel_new(&by.cancel));
    CHECK(r, !akv_cancel_triggered(by.cancel));
    akv_cancel_trigger(by.cancel);
    akv_cancel_trigger(by.cancel);
    CHECK(r, akv_cancel_triggered(by.cancel));
    stop_round(r, &by);
    akv_cancel_free(by.cancel);
    akv_cancel_free(NULL);
    WANT(r, AKV_MISUSE, akv_cancel_new(NULL));
}

static void stop_not_yet(akvc_run *r)
{
    akv             *db  = akvc_filled(r, "a=1 b=2");
    akv_read_options opt = AKV_READ_OPTIONS_INIT;
    uint64_t         now = akv_deadline_in_ms(0);
    akv_cancel      *cancel;

    OK(r, akv_cancel_new(&cancel));
    opt.cancel      = cancel;
    opt.deadline_ns = akv_deadline_in_ms(600000);
    CHECK(r, opt.deadline_ns >= now + UINT64_C(600000000000));
    CHECK(r, akv_deadline_in_ms(UINT64_MAX) > now); /* for ever, not past */
    HAS(r, db, &opt, "a", "1");
    HOLDS(r, db, &opt, "a=1 b=2");
    akv_cancel_free(cancel);
    akvc_close(r, db);
}

static akv *stop_many_keys(akvc_run *r)
{
    akv *db = akvc_new(r);
    char key[16];

    for (unsigned i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "%06u", i);
        OK(r, akv_put(db, akv_str(key), akv_str("v"), NULL));
    }
    akvc_fill(r, db, NULL, 0);
    return db;
}

/* A scan under way stops at its next check, and is on no entry then. */
static void stop_a_scan(akvc_run *r)
{
    akv             *db     = stop_many_keys(r);
    akv_scan_options scan   = AKV_SCAN_OPTIONS_INIT;
    unsigned         moves  = 0;
    akv_status       status = AKV_OK;
    akv_cancel      *cancel;
    akv_iter        *iter;

    OK(r, akv_cancel_new(&cancel));
    scan.read.cancel = cancel;
    OK(r, akv_scan(db, &scan, &iter));
    OK(r, akv_iter_next(iter));
    akv_cancel_trigger(cancel);
    while (moves < 2000 && (status = akv_iter_next(iter)) == AKV_OK)
        moves++;
    WANT(r, AKV_CANCELLED, status);
    CHECK(r, !akv_iter_valid(iter) && akv_iter_key(iter).len == 0);
    WANT(r, AKV_CANCELLED, akv_iter_next(iter));
    akv_iter_free(iter);
    akv_cancel_free(cancel);
    akvc_close(r, db);
}

static void *stop_soon(void *user)
{
    akv_env *env = akv_env_posix();

    env->ops->sleep_ns(env, 20000000);
    akv_cancel_trigger(user);
    return NULL;
}

static void stop_from_another_thread(akvc_run *r)
{
    akv             *db     = stop_many_keys(r);
    akv_read_options opt    = AKV_READ_OPTIONS_INIT;
    akv_status       status = AKV_OK;
    uint64_t         count;
    akv_cancel      *cancel;
    pthread_t        thread;

    OK(r, akv_cancel_new(&cancel));
    opt.cancel = cancel;
    CHECK(r, pthread_create(&thread, NULL, stop_soon, cancel) == 0);
    while (status == AKV_OK)
        status = akv_count(db, &opt, &count);
    pthread_join(thread, NULL);
    WANT(r, AKV_CANCELLED, status);
    akv_cancel_free(cancel);
    akvc_close(r, db);
}

const akvc_case akvc_stop_cases[] = {
    {"deadline: past ones are AKV_TIMEOUT in every call, and nothing is done", AKV_CAP_READ, 0,
     stop_by_deadline},
    {"cancel: triggered tokens are AKV_CANCELLED in every call, and nothing is done", AKV_CAP_READ,
     0, stop_by_token},
    {"deadline, cancel: what has not come about changes nothing", AKV_CAP_READ, 0, stop_not_yet},
    {"cancel: a scan under way stops, on no entry", AKV_CAP_READ, 0, stop_a_scan},
    {"cancel: from another thread", AKV_CAP_READ, 0, stop_from_another_thread},
    {NULL, 0, 0, NULL},
};
