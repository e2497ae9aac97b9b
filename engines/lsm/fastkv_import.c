/* SPDX-License-Identifier: MIT
 *
 * fastkv_import.c: a folder of FastKV's into a store, as one load.
 */
#include "common/base/options.h"
#include "engines/lsm/bulk.h"
#include "engines/lsm/fastkv.h"

static akv_status import_each(void *user, const lsm_entry *entry)
{
    return akvi_lsm_bulk_add(user, entry);
}

static akv_status import_folder(lsm_db *db, const char *folder, const akv_job_options *opt,
                                lsm_fastkv_report *report)
{
    akv_lsm_bulk *load;
    akv_job       job;
    akv_status    st = akvi_lsm_bulk_begin(db, &load);

    if (st != AKV_OK)
        return st;
    akv_job_begin(&job, opt, db->env, 0, "bytes");
    st = akvi_lsm_fastkv_read(db->allocator, db->env, folder, &job, import_each, load, report);
    if (st == AKV_OK)
        st = akvi_lsm_bulk_finish(load, opt);
    if (st != AKV_OK)
        akvi_lsm_bulk_abort(load);
    return st;
}

akv_status akv_lsm_import_fastkv(akv_lsm *lsm, const char *folder, const akv_job_options *opt,
                                 akv_lsm_imported *imported_out)
{
    akv_job_options   own    = AKV_JOB_OPTIONS_INIT;
    lsm_fastkv_report report = {0};
    akv_status        st     = AKV_OK;

    akvi_call_begin();
    if (!lsm || !folder)
        st = AKV_FAIL(AKV_MISUSE, "the store or the folder is NULL");
    if (st == AKV_OK && ((lsm_db *)lsm)->read_only)
        st = AKV_FAIL(AKV_UNSUPPORTED, "the store is open for reading only");
    if (st == AKV_OK && opt)
        st = akvi_options_copy(&own, sizeof own, opt, "akv_job_options");
    if (st == AKV_OK)
        st = import_folder((lsm_db *)lsm, folder, &own, &report);
    if (st == AKV_ABSENT)
        st = AKV_FAIL_AT(AKV_UNSUPPORTED, folder, AKV_NO_OFFSET,
                         "no manifest.dat, sstables or wal of FastKV's is there");
    if (imported_out)
        *imported_out = (akv_lsm_imported){.tables        = report.tables,
                                           .table_entries = report.table_entries,
                                           .logs          = report.logs,
                                           .log_records   = report.log_records,
                                           .faults        = report.faults};
    return akvi_call_end(st, "lsm");
}
