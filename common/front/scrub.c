/* SPDX-License-Identifier: MIT
 *
 * scrub.c: verify again and again in the background, on one thread of a pool
 * of one, or without threads (threads=0) a round at a time in akv_work. Stopping
 * cancels a verify that runs and waits for its end.
 */
#include "common/front/front.h"

#include "common/base/clock.h"
#include "common/run/pool.h"

struct akvi_scrub {
    akv            *db;
    uint64_t        period_ns;
    akv_job_options user; /* the caller's */
    akv_job_options job;  /* what verify gets */
    akv_cancel     *stop;
    akvi_pool      *pool; /* NULL: by akv_work */

    akvi_mutex       mu;
    akvi_cond        changed; /* stopping or working */
    bool stopping    AKVI_GUARDED_BY(mu);
    bool working     AKVI_GUARDED_BY(mu); /* in akv_work */
    uint64_t next_ns AKVI_GUARDED_BY(mu); /* when akv_work's next round is due */
};

/* Whose scrub this thread runs: it can't wait for its own end. */
static _Thread_local const akv *scrub_here;

static int scrub_progress(void *user, uint64_t done, uint64_t total, const char *unit)
{
    const akvi_scrub *scrub = user;

    if (akv_cancel_triggered(scrub->user.cancel))
        return 1;
    return scrub->user.progress ? scrub->user.progress(scrub->user.user, done, total, unit) : 0;
}

static void scrub_fault(void *user, const akv_error *fault)
{
    const akvi_scrub *scrub = user;

    atomic_fetch_add_explicit(&scrub->db->scrub_faults, 1, memory_order_relaxed);
    akv_engine_log(&scrub->db->logger, AKV_LOG_ERROR, scrub->db->engine->name, "scrub: %s",
                   fault->text);
    if (scrub->user.fault)
        scrub->user.fault(scrub->user.user, fault);
}

/* Wait for the period to pass; false when it is time to stop. */
static bool scrub_wait(akvi_scrub *scrub)
{
    uint64_t until = akvi_monotonic_ns() + scrub->period_ns;
    bool     go_on;

    akvi_mutex_lock(&scrub->mu);
    while (!scrub->stopping && akvi_cond_wait_until(&scrub->changed, &scrub->mu, until))
        ;
    go_on = !scrub->stopping;
    akvi_mutex_unlock(&scrub->mu);
    return go_on;
}

/* False when there shall be no other. */
static bool scrub_round(akvi_scrub *scrub)
{
    akv       *db = scrub->db;
    akv_status status;

    akvi_call_begin();
    scrub_here = db;
    status     = db->engine->verify(db->impl, &scrub->job);
    scrub_here = NULL;
    if (status == AKV_CANCELLED || status == AKV_TIMEOUT)
        return false;
    if (status < 0 && status != AKV_CORRUPT)
        akv_engine_log(&db->logger, AKV_LOG_ERROR, db->engine->name, "scrub could not finish: %s",
                       akvi_pending_error()->text);
    atomic_fetch_add_explicit(&db->scrub_rounds, 1, memory_order_relaxed);
    return true;
}

static void scrub_run(void *user)
{
    while (scrub_round(user) && scrub_wait(user))
        ;
}

/* The handle's scrub, if a round of it is due here; none other begins one. */
static akvi_scrub *scrub_take(akv *db)
{
    akvi_scrub *scrub;
    bool        due = false;

    akvi_mutex_lock(&db->scrub_mu);
    scrub = db->scrub;
    if (scrub && !scrub->pool) {
        akvi_mutex_lock(&scrub->mu);
        due = !scrub->working && akvi_monotonic_ns() >= scrub->next_ns;
        if (due)
            scrub->working = true;
        akvi_mutex_unlock(&scrub->mu);
    }
    akvi_mutex_unlock(&db->scrub_mu);
    return due ? scrub : NULL;
}

akv_status akvi_scrub_work(akv *db)
{
    akvi_scrub *scrub = scrub_take(db);
    bool        go_on;

    if (!scrub)
        return AKV_END;
    go_on = scrub_round(scrub);
    akvi_call_begin();
    akvi_mutex_lock(&scrub->mu);
    scrub->working = false;
    scrub->next_ns = go_on ? akvi_monotonic_ns() + scrub->period_ns : UINT64_MAX;
    akvi_cond_signal(&scrub->changed);
    akvi_mutex_unlock(&scrub->mu);
    return AKV_OK;
}

/* Takes one that was made only in part. */
static void scrub_free(akvi_scrub *scrub)
{
    if (!scrub)
        return;
    if (scrub->stop)
        akv_cancel_trigger(scrub->stop);
    akvi_mutex_lock(&scrub->mu);
    scrub->stopping = true;
    akvi_cond_signal(&scrub->changed);
    while (scrub->working)
        akvi_cond_wait(&scrub->changed, &scrub->mu);
    akvi_mutex_unlock(&scrub->mu);
    if (scrub->pool)
        akvi_pool_free(scrub->pool);
    akv_cancel_free(scrub->stop);
    akvi_cond_destroy(&scrub->changed);
    akvi_mutex_destroy(&scrub->mu);
    akvi_free(akvi_mem(scrub->db), scrub, sizeof *scrub);
}

static akv_status scrub_new(akv *db, uint32_t period_s, const akv_job_options *user,
                            akvi_scrub **scrub_out)
{
    akvi_scrub *scrub = akvi_zalloc(akvi_mem(db), sizeof *scrub);
    akv_status  status;

    if (!scrub)
        return AKV_NOMEM;
    scrub->db           = db;
    scrub->period_ns    = (uint64_t)period_s * UINT64_C(1000000000);
    scrub->user         = *user;
    scrub->job          = *user;
    scrub->job.progress = scrub_progress;
    scrub->job.fault    = scrub_fault;
    scrub->job.user     = scrub;
    akvi_mutex_init(&scrub->mu, AKVI_RANK_LEAF);
    akvi_cond_init(&scrub->changed);
    status            = akv_cancel_new(&scrub->stop);
    scrub->job.cancel = scrub->stop;
    if (status == AKV_OK && db->args.threads > 0)
        status = akvi_pool_new(akvi_mem(db), 1, "akv-scrub", &scrub->pool);
    if (status == AKV_OK && scrub->pool)
        status = akvi_pool_submit(scrub->pool, scrub_run, scrub);
    if (status == AKV_OK)
        *scrub_out = scrub;
    else
        scrub_free(scrub);
    return status;
}

akv_status akv_scrub_start(akv *db, uint32_t period_s, const akv_job_options *opt)
{
    akv_job_options full;
    akvi_scrub     *scrub  = NULL;
    akv_status      status = akvi_enter(db, __func__);

    if (status != AKV_OK)
        return status;
    status = akvi_job_options(opt, &full);
    if (status == AKV_OK && !db->engine->verify)
        status =
            AKV_FAIL(AKV_UNSUPPORTED, "the %s engine has nothing to verify by", db->engine->name);
    if (status == AKV_OK) {
        akvi_mutex_lock(&db->scrub_mu);
        if (db->scrub)
            status = AKV_FAIL(AKV_BUSY, "a scrub runs already: call akv_scrub_stop first");
        else
            status = scrub_new(db, period_s, &full, &scrub);
        if (status == AKV_OK)
            db->scrub = scrub;
        akvi_mutex_unlock(&db->scrub_mu);
    }
    return akvi_leave(db, status);
}

akv_status akvi_scrub_elsewhere(const akv *db)
{
    if (scrub_here != db)
        return AKV_OK;
    return AKV_FAIL(AKV_BUSY, "a scrub can't be ended from its own callbacks; a progress callback "
                              "ends it by what it answers");
}

void akvi_scrub_stop(akv *db)
{
    akvi_scrub *scrub;

    akvi_mutex_lock(&db->scrub_mu);
    scrub     = db->scrub;
    db->scrub = NULL;
    akvi_mutex_unlock(&db->scrub_mu);
    scrub_free(scrub);
}

akv_status akv_scrub_stop(akv *db)
{
    akv_status status = akvi_enter(db, __func__);

    if (status != AKV_OK)
        return status;
    status = akvi_scrub_elsewhere(db);
    if (status == AKV_OK)
        akvi_scrub_stop(db);
    return akvi_leave(db, status);
}
