/* SPDX-License-Identifier: MIT
 *
 * maintain.c: syncing, ending a build, and long work on a whole store.
 */
#include "common/front/front.h"

/* ------------------------------------------------------------ sync, finish */

static akv_status maintain_sync(akv *db)
{
    uint64_t   begin_ns = akvi_clock(db);
    akv_status status;

    if (!(akvi_caps(db) & (AKV_CAP_WRITE | AKV_CAP_BUILD)))
        return AKV_OK; /* nothing was written through this handle that is not there */
    status = db->engine->sync(db->impl);
    akvi_timed(db, AKVI_LATENCY_SYNC, begin_ns);
    return status;
}

akv_status akv_sync(akv *db)
{
    akv_status status = akvi_enter(db, __func__);

    return status == AKV_OK ? akvi_leave(db, maintain_sync(db)) : status;
}

static bool maintain_building(const akv *db)
{
    return (akvi_caps(db) & AKV_CAP_BUILD) && db->engine->building(db->impl);
}

akv_status akv_finish(akv *db, const akv_job_options *opt)
{
    akv_job_options full;
    akv_status      status = akvi_enter(db, __func__);

    if (status != AKV_OK)
        return status;
    status = akvi_job_options(opt, &full);
    if (status != AKV_OK)
        return akvi_leave(db, status);
    if (!maintain_building(db))
        return akvi_leave(db, maintain_sync(db));
    status = db->engine->finish(db->impl, &full);
    akvi_caps_refresh(db);
    return akvi_leave(db, status);
}

akv_status akv_abort(akv *db)
{
    akv_status status = akvi_enter(db, __func__);

    if (status != AKV_OK)
        return status;
    if (!maintain_building(db))
        return akvi_leave(db, AKV_FAIL(AKV_UNSUPPORTED,
                                       "akv_abort drops an unfinished build, and there is none"));
    status = db->engine->abort(db->impl);
    if (status == AKV_OK)
        akvi_caps_set(db, 0, 0); /* nothing is left but to close */
    return akvi_leave(db, status);
}

/* --------------------------------------------------------------- long work */

akv_status akv_compact(akv *db, const akv_job_options *opt)
{
    akv_job_options full;
    akv_status      status = akvi_enter(db, __func__);

    if (status != AKV_OK)
        return status;
    status = akvi_job_options(opt, &full);
    if (status == AKV_OK && db->flags & AKV_OPEN_READ_ONLY)
        status = AKV_FAIL(AKV_UNSUPPORTED, "the store is open for reading only");
    if (status == AKV_OK && db->engine->compact)
        status = db->engine->compact(db->impl, &full);
    return akvi_leave(db, status);
}

akv_status akv_verify(akv *db, const akv_job_options *opt)
{
    akv_job_options full;
    akv_status      status = akvi_enter(db, __func__);

    if (status != AKV_OK)
        return status;
    status = akvi_job_options(opt, &full);
    if (status == AKV_OK && !db->engine->verify)
        status =
            AKV_FAIL(AKV_UNSUPPORTED, "the %s engine has nothing to verify by", db->engine->name);
    if (status == AKV_OK)
        status = db->engine->verify(db->impl, &full);
    return akvi_leave(db, status);
}

akv_status akv_checkpoint(akv *db, const char *path, const akv_job_options *opt)
{
    akv_job_options full;
    akv_status      status = akvi_enter(db, __func__);

    if (status != AKV_OK)
        return status;
    status = path ? akvi_need(db, AKV_CAP_CHECKPOINT) : akvi_null(__func__, "path");
    if (status == AKV_OK)
        status = akvi_job_options(opt, &full);
    if (status == AKV_OK)
        status = db->engine->checkpoint(db->impl, path, &full);
    return akvi_leave(db, status);
}

akv_status akv_work(akv *db)
{
    akv_status status = akvi_enter(db, __func__);
    akv_status scrubbed;

    if (status != AKV_OK)
        return status;
    scrubbed = akvi_scrub_work(db);
    status   = db->engine->work ? db->engine->work(db->impl) : AKV_END;
    return akvi_leave(db, status == AKV_END ? scrubbed : status);
}
