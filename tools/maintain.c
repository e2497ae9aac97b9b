/* SPDX-License-Identifier: MIT
 *
 * maintain.c: `anykv verify`, `compact` and `checkpoint`: long jobs on a store.
 */
#include "tools/commands.h"

/* A job's bar, and what verify found. */
typedef struct maintain_job {
    cli_progress bar; /* first: cli_progress_job gets this struct */
    cli         *c;
    uint64_t     faults;
} maintain_job;

static void maintain_fault(void *user, const akv_error *fault)
{
    maintain_job *job = user;
    bool          on  = job->bar.on;

    job->faults++;
    cli_progress_end(&job->bar);
    job->bar.on = on;
    cli_warn(job->c, fault);
}

static akv_job_options maintain_begin(maintain_job *job, cli *c)
{
    akv_job_options opt = AKV_JOB_OPTIONS_INIT;

    job->c      = c;
    job->faults = 0;
    cli_progress_begin(&job->bar, c, c->command->name);
    cli_catch_interrupts();
    opt.progress = cli_progress_job;
    opt.fault    = maintain_fault;
    opt.user     = job;
    return opt;
}

/* ------------------------------------------------------------------- verify */

static int verify_store(cli *c, akv *db, uint64_t bytes_per_s, const akv_error *damage)
{
    maintain_job    job;
    akv_job_options opt   = maintain_begin(&job, c);
    uint64_t        since = cli_clock_ns();
    double          seconds;
    akv_status      rc;

    opt.bytes_per_s = bytes_per_s;
    rc              = akv_verify(db, &opt);
    cli_progress_end(&job.bar);
    seconds = (double)(cli_clock_ns() - since) / 1e9;
    if (rc == AKV_OK && damage->code != AKV_OK) {
        maintain_fault(&job, damage);
        rc = damage->code;
    }
    if (rc != AKV_OK && !(rc == AKV_CORRUPT && job.faults))
        cli_failed(c);
    else if (c->json)
        printf("{\"ok\":%s,\"faults\":%llu,\"seconds\":%.3f}\n", rc == AKV_OK ? "true" : "false",
               (unsigned long long)job.faults, seconds);
    else if (!c->quiet)
        printf("%llu fault%s in %.2f s\n", (unsigned long long)job.faults,
               job.faults == 1 ? "" : "s", seconds);
    return rc == AKV_OK ? CLI_FINE : CLI_FAILED;
}

/* A store too damaged to open is opened as far as it can be, to tell all of its
 * faults. `damage_out` is what open said, code AKV_OK when nothing. */
static int verify_open(cli *c, cli_store *store, akv **db_out, akv_error *damage_out)
{
    akv_status rc = cli_try_open(c, store, c->argv[0], AKV_OPEN_READ_ONLY, 0, db_out);

    *damage_out = (akv_error){.code = AKV_OK};
    if (rc == AKV_OK)
        return CLI_GO;
    *damage_out = *akv_last_error();
    if (rc == AKV_CORRUPT && !store->salvage) {
        store->salvage = true;
        store->silent  = true; /* verify tells the same */
        rc             = cli_try_open(c, store, c->argv[0], AKV_OPEN_READ_ONLY, 0, db_out);
    }
    if (rc == AKV_OK)
        return CLI_GO;
    return cli_open_failed(c, store, c->argv[0], damage_out);
}

static int verify_run(cli *c)
{
    cli_store        store     = CLI_STORE_INIT;
    uint64_t         rate      = 0;
    const cli_option options[] = {
        {CLI_NUMBER, 0, "rate", "BYTES", &rate, "read at most so many bytes a second"},
        CLI_STORE_READ_ROWS(&store),
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int       code = cli_parse(c, options, 1, 1);
    akv_error damage;
    akv      *db;

    if (code != CLI_GO)
        return code;
    code = verify_open(c, &store, &db, &damage);
    if (code != CLI_GO)
        return code;
    return cli_close(c, &store, db, cli_flush(c, verify_store(c, db, rate, &damage)));
}

const cli_command cli_verify_command = {
    "verify", "STORE", "check every checksum of a store",
    "Read the whole store and check every checksum and invariant. Each fault is told\n"
    "on standard error with its file and offset; any is a failure (3).\n\n"
    "Examples:\n"
    "  anykv verify data.fsdb\n"
    "  anykv verify data.fsdb --json --rate 50000000\n"
    "  anykv verify damaged.fsdb -o verify_on_open=false",
    verify_run};

/* ------------------------------------------------------------------ compact */

static int compact_store(cli *c, akv *db)
{
    maintain_job    job;
    akv_job_options opt = maintain_begin(&job, c);
    akv_status      rc  = akv_compact(db, &opt);

    cli_progress_end(&job.bar);
    if (rc == AKV_OK && c->json)
        printf("{\"ok\":true}\n");
    return cli_answer(c, rc);
}

static int compact_run(cli *c)
{
    cli_store        store     = CLI_STORE_INIT;
    const cli_option options[] = {CLI_STORE_WRITE_ROWS(&store),
                                  {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int              code      = cli_parse(c, options, 1, 1);
    akv             *db;

    if (code != CLI_GO)
        return code;
    code = cli_open(c, &store, c->argv[0], 0, 0, &db);
    if (code != CLI_GO)
        return code;
    return cli_close(c, &store, db, cli_flush(c, compact_store(c, db)));
}

const cli_command cli_compact_command = {
    "compact", "STORE", "give back the space of what was deleted",
    "Give back the space of what was overwritten, deleted or has expired. In engines\n"
    "that have nothing to give back this does nothing.\n\n"
    "Examples:\n"
    "  anykv compact store.db\n"
    "  anykv compact store.db --json",
    compact_run};

/* --------------------------------------------------------------- checkpoint */

static int checkpoint_store(cli *c, akv *db, const char *path)
{
    maintain_job    job;
    akv_job_options opt = maintain_begin(&job, c);
    akv_status      rc  = akv_checkpoint(db, path, &opt);

    cli_progress_end(&job.bar);
    if (rc == AKV_OK && c->json)
        printf("{\"ok\":true}\n");
    return cli_answer(c, rc);
}

static int checkpoint_run(cli *c)
{
    cli_store        store     = CLI_STORE_INIT;
    const cli_option options[] = {CLI_STORE_READ_ROWS(&store),
                                  {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int              code      = cli_parse(c, options, 2, 2);
    akv             *db;

    if (code != CLI_GO)
        return code;
    code = cli_open(c, &store, c->argv[0], AKV_OPEN_READ_ONLY, AKV_CAP_CHECKPOINT, &db);
    if (code != CLI_GO)
        return code;
    return cli_close(c, &store, db, cli_flush(c, checkpoint_store(c, db, c->argv[1])));
}

const cli_command cli_checkpoint_command = {
    "checkpoint", "STORE PATH", "make a durable copy of a store",
    "Make a complete, durable copy of the store as it is now at PATH, which must not\n"
    "exist. A failure leaves nothing there.\n\n"
    "Examples:\n"
    "  anykv checkpoint data.fsdb backup.fsdb\n"
    "  anykv checkpoint store.db /mnt/backup/store.db --json",
    checkpoint_run};
