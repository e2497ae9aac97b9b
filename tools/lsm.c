/* SPDX-License-Identifier: MIT
 *
 * lsm.c: `anykv lsm repair`, and `anykv import --from fastkv`, which is refused in a
 * build without the engine.
 */
#include "tools/transfer.h"

#include <anykv/lsm.h>

#ifdef AKVI_ENGINE_LSM

/* A job's bar, and the faults that it found. */
typedef struct lsm_job {
    cli_progress bar; /* first: cli_progress_job gets this struct */
    cli         *c;
    uint64_t     faults;
} lsm_job;

static void lsm_fault(void *user, const akv_error *fault)
{
    lsm_job *job = user;
    bool     on  = job->bar.on;

    job->faults++;
    cli_progress_end(&job->bar);
    job->bar.on = on;
    cli_warn(job->c, fault);
}

static akv_job_options lsm_job_begin(lsm_job *job, cli *c)
{
    akv_job_options opt = AKV_JOB_OPTIONS_INIT;

    job->c      = c;
    job->faults = 0;
    cli_progress_begin(&job->bar, c, c->command->name);
    cli_catch_interrupts();
    opt.progress = cli_progress_job;
    opt.fault    = lsm_fault;
    opt.user     = job;
    return opt;
}

/* ------------------------------------------------------------------- import */

static int lsm_import_tell(cli *c, const akv_lsm_imported *in)
{
    if (c->json)
        printf("{\"tables\":%llu,\"table_entries\":%llu,\"logs\":%llu,\"log_records\":%llu,"
               "\"faults\":%llu}\n",
               (unsigned long long)in->tables, (unsigned long long)in->table_entries,
               (unsigned long long)in->logs, (unsigned long long)in->log_records,
               (unsigned long long)in->faults);
    else if (!c->quiet)
        printf("%llu entries of %llu tables, %llu records of %llu logs, %llu faults\n",
               (unsigned long long)in->table_entries, (unsigned long long)in->tables,
               (unsigned long long)in->log_records, (unsigned long long)in->logs,
               (unsigned long long)in->faults);
    return in->faults ? CLI_FAILED : CLI_FINE;
}

int lsm_import_fastkv(cli *c, cli_store *store, const char *folder, const char *path,
                      uint32_t flags)
{
    akv_lsm_imported in = {.faults = 0};
    lsm_job          job;
    akv_job_options  opt;
    akv             *db;
    akv_status       st;
    int              code;

    if (!store->engine)
        store->engine = "lsm";
    if (strcmp(store->engine, "lsm") != 0)
        return cli_usage(c, "--from fastkv is for lsm stores; convert copies from there");
    code = cli_open(c, store, path, flags, 0, &db);
    if (code != CLI_GO)
        return code;
    opt = lsm_job_begin(&job, c);
    st  = akv_lsm_import_fastkv(akv_lsm_of(db), folder, &opt, &in);
    cli_progress_end(&job.bar);
    code = st == AKV_OK ? lsm_import_tell(c, &in) : cli_failed(c);
    return cli_close(c, store, db, cli_flush(c, code));
}

/* ------------------------------------------------------------------- repair */

static int lsm_repair_run(cli *c)
{
    const cli_option options[] = {{CLI_END, 0, NULL, NULL, NULL, NULL}};
    int              code      = cli_parse(c, options, 1, 1);
    lsm_job          job;
    akv_job_options  opt;
    akv_status       st;

    if (code != CLI_GO)
        return code;
    opt = lsm_job_begin(&job, c);
    st  = akv_repair("lsm", c->argv[0], NULL, &opt);
    cli_progress_end(&job.bar);
    if (st != AKV_OK)
        return cli_failed(c);
    if (c->json)
        printf("{\"ok\":true,\"faults\":%llu}\n", (unsigned long long)job.faults);
    else if (!c->quiet)
        printf("repaired; %llu faults\n", (unsigned long long)job.faults);
    return cli_flush(c, CLI_FINE);
}

const cli_command cli_lsm_repair_command = {
    "lsm repair", "STORE", "make a damaged lsm store openable",
    "Rebuild a store from its tables and logs: when CURRENT or the manifest is\n"
    "missing or damaged, tables are, or a log is more than torn. What was wrong and\n"
    "what is left out is told on standard error. Damaged files stay in the folder\n"
    "under their names with .damaged behind; whole blocks of damaged tables are kept.\n"
    "Without any manifest all tables count, and what was deleted may be back.\n"
    "Make a copy of the folder first if it has none.\n\n"
    "Examples:\n"
    "  anykv lsm repair store\n"
    "  anykv lsm repair store --json",
    lsm_repair_run};

#else

int lsm_import_fastkv(cli *c, cli_store *store, const char *folder, const char *path,
                      uint32_t flags)
{
    (void)store;
    (void)folder;
    (void)path;
    (void)flags;
    return cli_usage(c, "--from fastkv needs the lsm engine, which this build lacks");
}

#endif
