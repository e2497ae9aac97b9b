/* SPDX-License-Identifier: MIT
 *
 * recover.c: what the logs hold that is in no table yet, read back when a store
 * is opened.
 *
 * Sequence numbers go on from record to record and from log to log without a
 * gap. So when power took the end of a log but not the next one, that is seen,
 * and what follows the gap is left out: what comes back is always a prefix of
 * what was written. A log behind a gap of which some was synced says that the
 * gap is damage instead.
 */
#include "engines/lsm/output.h"

#include "common/base/mem.h"
#include "engines/lsm/format.h"

#include <stdlib.h>

typedef struct recover_run {
    lsm_db       *db;
    lsm_output   *o; /* NULL: a reader keeps all in the memtable */
    lsm_memtable *memtable;
    akv_job      *job; /* repair's, or NULL */
    uint64_t      log; /* being read */
    uint64_t      next_seq;
    uint64_t      records, bytes;
    bool          gap;
} recover_run;

static akv_status recover_flush(recover_run *r)
{
    lsm_generation mem = {.memtable = r->memtable};
    lsm_memtable  *fresh;
    akv_status     st;

    if (akvi_lsm_memtable_entries(r->memtable) == 0)
        return AKV_OK;
    st = akvi_lsm_memtable_new(r->db->allocator, &fresh);
    if (st != AKV_OK)
        return st;
    st = akvi_lsm_write_tables(r->db, &mem, 1, r->o);
    akvi_lsm_memtable_unref(r->memtable);
    r->memtable = fresh;
    return st;
}

/* The next record does not follow on the one before. */
static akv_status recover_gap(recover_run *r, uint64_t seq, uint64_t offset)
{
    char       *path = akvi_lsm_path(r->db, LSM_FILE_WAL, r->log);
    akv_status  st   = AKV_OK;
    const char *name = path ? path : "a log";

    if (r->db->options.recovery == AKV_LSM_RECOVER_STRICT)
        st = AKV_FAIL_AT(AKV_CORRUPT, name, offset,
                         "the record here has number %llu, but %llu follows: some are lost; open "
                         "with recovery=tail to go on with those before",
                         (unsigned long long)seq, (unsigned long long)r->next_seq);
    else
        akv_engine_log(r->db->logger, AKV_LOG_WARN, "lsm",
                       "%s: the record at %llu has number %llu, but %llu follows: what was "
                       "written from there on did not reach the device",
                       name, (unsigned long long)offset, (unsigned long long)seq,
                       (unsigned long long)r->next_seq);
    akvi_strfree(r->db->allocator, path);
    r->gap = true;
    return st;
}

static akv_status recover_record(void *user, akv_slice record, uint64_t offset)
{
    recover_run      *r  = user;
    lsm_db           *db = r->db;
    lsm_record_reader head;
    uint64_t          last = 0;
    akv_status        st   = akvi_lsm_record_begin(record, &head);

    if (st != AKV_OK)
        return st;
    if (r->gap)
        return AKV_OK;                    /* only to see up to where the log was synced */
    if (head.seq + head.n <= r->next_seq) /* all of it is in tables */
        return AKV_OK;
    if (head.seq != r->next_seq && db->options.recovery != AKV_LSM_RECOVER_SALVAGE)
        return recover_gap(r, head.seq, offset);
    if (r->o && akvi_lsm_memtable_bytes(r->memtable) >= db->options.write_buffer &&
        (st = recover_flush(r)) != AKV_OK)
        return st;
    st = akvi_lsm_memtable_reserve(r->memtable, head.n, record.len);
    if (st == AKV_OK)
        st = akvi_lsm_record_apply(record, r->memtable, &last);
    if (st != AKV_OK)
        return st;
    r->next_seq = last + 1;
    r->records++;
    r->bytes += record.len;
    return AKV_OK;
}

typedef struct recover_logs {
    const lsm_db *db;
    akv_buffer    numbers; /* of uint64_t */
    akv_status    st;
} recover_logs;

static int recover_each(void *user, const char *name)
{
    recover_logs *l = user;
    uint64_t      number;

    if (akvi_lsm_file_parse(name, &number) == LSM_FILE_WAL && number >= l->db->log_number)
        l->st = akv_buffer_append(&l->numbers, &number, sizeof number);
    return l->st != AKV_OK;
}

static int recover_compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* A log that is not whole: what was left out is told, the rest counts. */
static akv_status recover_repair(recover_run *r, const char *path, akv_status st,
                                 const lsm_wal_report *report)
{
    if (st == AKV_OK && report->dropped > 0)
        st = AKV_FAIL_AT(AKV_CORRUPT, path, report->end,
                         "%llu bytes of the log can't be read and are left out",
                         (unsigned long long)report->dropped);
    if (st != AKV_CORRUPT)
        return st;
    (void)akv_job_fault(r->job);
    akv_engine_recovered();
    return akvi_lsm_set_aside(r->db, LSM_FILE_WAL, r->log);
}

static akv_status recover_log(recover_run *r, uint64_t number)
{
    lsm_db        *db   = r->db;
    char          *path = akvi_lsm_path(db, LSM_FILE_WAL, number);
    lsm_wal_report report;
    akv_status     st;

    if (!path)
        return AKV_NOMEM;
    r->log = number;
    st = akvi_lsm_wal_read(db->allocator, db->env, path, number, (lsm_recovery)db->options.recovery,
                           recover_record, r, &report);
    if (r->job)
        st = recover_repair(r, path, st, &report);
    else if (st == AKV_OK && report.dropped > 0)
        akv_engine_log(db->logger, AKV_LOG_WARN, "lsm", "%s: %llu bytes after %llu were cut off",
                       path, (unsigned long long)report.dropped, (unsigned long long)report.end);
    /* Logs are synced in order: before this one all of those before it were. */
    if (st == AKV_OK && r->gap && report.synced > LSM_LOG_HEAD)
        st = AKV_FAIL_AT(AKV_CORRUPT, path, LSM_LOG_HEAD,
                         "what follows on number %llu had been synced, and is missing before this "
                         "log; `anykv lsm repair` keeps what is there",
                         (unsigned long long)(r->next_seq - 1));
    akvi_strfree(db->allocator, path);
    return st;
}

akv_status akvi_lsm_recover(lsm_db *db, lsm_output *o, akv_job *job)
{
    recover_logs logs = {.db = db, .numbers = {NULL, 0, 0, db->allocator}};
    recover_run  r    = {.db = db, .o = o, .job = job, .next_seq = db->table_seq + 1};
    uint64_t    *numbers;
    size_t       n;
    akv_status   st = db->env->ops->list(db->env, db->folder, recover_each, &logs);

    if (st == AKV_OK)
        st = logs.st;
    if (st == AKV_OK)
        st = akvi_lsm_memtable_new(db->allocator, &r.memtable);
    numbers = logs.numbers.data;
    n       = logs.numbers.len / sizeof *numbers;
    if (n > 1)
        qsort(numbers, n, sizeof *numbers, recover_compare);
    for (size_t i = 0; i < n && st == AKV_OK; i++)
        st = recover_log(&r, numbers[i]);
    if (st == AKV_OK && o)
        st = recover_flush(&r);
    if (r.records > 0)
        akv_engine_log(db->logger, AKV_LOG_INFO, "lsm", "replayed %llu writes, %llu bytes",
                       (unsigned long long)r.records, (unsigned long long)r.bytes);
    atomic_store_explicit(&db->last_seq, r.next_seq - 1, memory_order_release);
    akv_buffer_free(&logs.numbers);
    if (st == AKV_OK && !o)
        db->memtable = r.memtable;
    else
        akvi_lsm_memtable_unref(r.memtable);
    return st;
}
