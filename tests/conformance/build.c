/* SPDX-License-Identifier: MIT
 *
 * build.c: cases of stores that are built: put to until akv_finish, then read.
 */
#include "tests/conformance/suite.h"

static void build_takes_puts_and_deletes(akvc_run *r)
{
    akv      *db    = akvc_new(r);
    akv_value value = AKV_VALUE_INIT;
    akv_iter *iter;
    uint64_t  count;

    CHECK(r, akv_capabilities(db) & AKV_CAP_BUILD);
    CHECK(r, !(akv_capabilities(db) & (AKV_CAP_READ | AKV_CAP_WRITE)));
    OK(r, akv_put(db, akv_str("a"), akv_str("1"), NULL));
    WANT(r, AKV_UNSUPPORTED, akv_get(db, akv_str("a"), NULL, &value));
    WANT(r, AKV_UNSUPPORTED, akv_exists(db, akv_str("a"), NULL));
    WANT(r, AKV_UNSUPPORTED, akv_count(db, NULL, &count));
    WANT(r, AKV_UNSUPPORTED, akv_scan(db, NULL, &iter));
    WANT(r, AKV_UNSUPPORTED, akv_delete_range(db, akv_str("a"), akv_str("b"), NULL));
    OK(r, akv_put(db, akv_str("b"), akv_str("2"), NULL));
    OK(r, akv_put(db, akv_str("c"), akv_str("3"), NULL));
    OK(r, akv_delete(db, akv_str("b"), NULL));
    OK(r, akv_delete(db, akv_str("c"), NULL));
    OK(r, akv_delete(db, akv_str("nothing"), NULL));
    OK(r, akv_put(db, akv_str("c"), akv_str("4"), NULL));
    OK(r, akv_finish(db, NULL));
    HOLDS(r, db, NULL, "a=1 c=4");
    akvc_close(r, db);
}

static void build_is_immutable(akvc_run *r)
{
    akv *db = akvc_filled(r, "a=1 b=2");

    CHECK(r, !(akv_capabilities(db) & (AKV_CAP_BUILD | AKV_CAP_WRITE)));
    CHECK(r, akv_capabilities(db) & AKV_CAP_READ);
    WANT(r, AKV_UNSUPPORTED, akv_put(db, akv_str("a"), akv_str("9"), NULL));
    WANT(r, AKV_UNSUPPORTED, akv_delete(db, akv_str("a"), NULL));
    WANT(r, AKV_UNSUPPORTED, akv_abort(db));
    OK(r, akv_finish(db, NULL)); /* now only a sync */
    OK(r, akv_sync(db));
    HOLDS(r, db, NULL, "a=1 b=2");
    akvc_close(r, db);
}

static int build_count_names(void *user, const char *name)
{
    (void)name;
    ++*(unsigned *)user;
    return 0;
}

static unsigned build_files(akvc_run *r)
{
    unsigned n = 0;

    OK(r, r->env->ops->list(r->env, r->folder, build_count_names, &n));
    return n;
}

static void build_abort(akvc_run *r)
{
    unsigned         before = build_files(r);
    akv             *db     = akvc_new(r);
    akv_open_options opt    = akvc_options(r);
    akv_value        value  = AKV_VALUE_INIT;

    OK(r, akv_put(db, akv_str("a"), akv_str("1"), NULL));
    OK(r, akv_abort(db));
    WANT(r, AKV_UNSUPPORTED, akv_put(db, akv_str("b"), akv_str("2"), NULL));
    WANT(r, AKV_UNSUPPORTED, akv_get(db, akv_str("a"), NULL, &value));
    WANT(r, AKV_UNSUPPORTED, akv_abort(db));
    akvc_close(r, db);
    CHECK(r, build_files(r) == before);
    opt.flags = 0;
    CHECK(r, akv_open(r->engine, r->path, &opt, &db) < 0);
}

static void build_leaves_no_other_file(akvc_run *r)
{
    unsigned before = build_files(r);
    akv     *db     = akvc_filled(r, "a=1");

    CHECK(r, build_files(r) == before + 1);
    akvc_close(r, db);
    CHECK(r, build_files(r) == before + 1);
}

/* The file that is there stays, and stays readable, until finish replaces it. */
static void build_replaces_whole(akvc_run *r)
{
    akv *db = akvc_filled(r, "old=1");
    akv *reader;

    akvc_close(r, db);
    reader = akvc_open(r, AKV_OPEN_READ_ONLY);
    db     = akvc_open(r, AKV_OPEN_TRUNCATE);
    OK(r, akv_put(db, akv_str("dropped"), akv_str("x"), NULL));
    HOLDS(r, reader, NULL, "old=1");
    OK(r, akv_abort(db));
    akvc_close(r, db);
    db = akvc_open(r, 0);
    HOLDS(r, db, NULL, "old=1");
    akvc_close(r, db);
    db = akvc_open(r, AKV_OPEN_TRUNCATE);
    OK(r, akv_put(db, akv_str("new"), akv_str("2"), NULL));
    OK(r, akv_finish(db, NULL));
    HOLDS(r, db, NULL, "new=2");
    HOLDS(r, reader, NULL, "old=1"); /* what it opened */
    akvc_close(r, reader);
    akvc_close(r, db);
    db = akvc_open(r, 0);
    HOLDS(r, db, NULL, "new=2");
    akvc_close(r, db);
}

static void build_busy(akvc_run *r)
{
    akv *db = akvc_new(r);

    OK(r, akv_put(db, akv_str("a"), akv_str("1"), NULL));
    WANT(r, AKV_BUSY, akv_close(db));
    SAYS(r, "build");
    OK(r, akv_put(db, akv_str("b"), akv_str("2"), NULL)); /* it stays usable */
    OK(r, akv_finish(db, NULL));
    HOLDS(r, db, NULL, "a=1 b=2");
    akvc_close(r, db);
}

static int build_refuse(void *user, uint64_t done, uint64_t total, const char *unit)
{
    (void)done;
    (void)total;
    (void)unit;
    ++*(unsigned *)user;
    return 1;
}

/* A finish that was stopped has done nothing, and may be tried again. */
static void build_stopped(akvc_run *r)
{
    static char     value[1 << 20];
    unsigned        before = build_files(r), told = 0;
    akv            *db  = akvc_new(r);
    akv_job_options job = AKV_JOB_OPTIONS_INIT;

    OK(r, akv_put(db, akv_str("a"), akv_str("1"), NULL));
    OK(r, akv_put(db, akv_str("b"), akv_bytes(value, sizeof value), NULL));
    job.deadline_ns = 1;
    WANT(r, AKV_TIMEOUT, akv_finish(db, &job));
    job          = (akv_job_options)AKV_JOB_OPTIONS_INIT;
    job.progress = build_refuse;
    job.user     = &told;
    WANT(r, AKV_CANCELLED, akv_finish(db, &job));
    CHECK(r, told > 0 && build_files(r) == before);
    OK(r, akv_put(db, akv_str("c"), akv_str("3"), NULL));
    OK(r, akv_delete(db, akv_str("b"), NULL));
    OK(r, akv_finish(db, NULL));
    HOLDS(r, db, NULL, "a=1 c=3");
    akvc_close(r, db);
}

static void build_exclusive(akvc_run *r)
{
    akv             *db  = akvc_filled(r, "a=1");
    akv_open_options opt = akvc_options(r);
    char             path[600];

    akvc_close(r, db);
    memcpy(path, r->path, sizeof path);
    opt.flags = AKV_OPEN_CREATE | AKV_OPEN_EXCLUSIVE;
    CHECK(r, akv_open(r->engine, path, &opt, &db) < 0);
    OK(r, akv_open(r->engine, akvc_new_path(r), &opt, &db));
    OK(r, akv_put(db, akv_str("b"), akv_str("2"), NULL));
    OK(r, akv_finish(db, NULL));
    HOLDS(r, db, NULL, "b=2");
    akvc_close(r, db);
}

const akvc_case akvc_build_cases[] = {
    {"build: takes puts and deletes, reads nothing before akv_finish", AKV_CAP_BUILD, 0,
     build_takes_puts_and_deletes},
    {"build: takes no writes after akv_finish", AKV_CAP_BUILD, 0, build_is_immutable},
    {"build: abort leaves nothing", AKV_CAP_BUILD, AKVC_NEEDS_PATH, build_abort},
    {"build: leaves the store's file and no other", AKV_CAP_BUILD, AKVC_NEEDS_REOPEN,
     build_leaves_no_other_file},
    {"build: an old store stays until the new one is whole", AKV_CAP_BUILD, AKVC_NEEDS_REOPEN,
     build_replaces_whole},
    {"build: closing an unfinished one is AKV_BUSY", AKV_CAP_BUILD, 0, build_busy},
    {"build: a finish that was stopped may be tried again", AKV_CAP_BUILD, AKVC_NEEDS_REOPEN,
     build_stopped},
    {"build: EXCLUSIVE refuses what is there", AKV_CAP_BUILD, AKVC_NEEDS_REOPEN, build_exclusive},
    {NULL, 0, 0, NULL},
};
