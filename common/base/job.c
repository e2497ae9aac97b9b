/* SPDX-License-Identifier: MIT
 *
 * job.c: what stops a call before its end (deadlines, cancel tokens), and the
 * steps of long work.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/mutex.h"

#include <errno.h>

#define JOB_NS_PER_S UINT64_C(1000000000)
#define JOB_NAP_NS   (JOB_NS_PER_S / 20) /* how long an interruption may go unseen */

struct akv_cancel {
    _Atomic bool triggered;
};

/* ------------------------------------------------------------ interruption */

akv_status akv_cancel_new(akv_cancel **cancel_out)
{
    akv_status rc = AKV_OK;

    akvi_call_begin();
    if (!cancel_out)
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "akv_cancel_new needs a place for the token"),
                             "");
    *cancel_out = akvi_alloc(NULL, sizeof **cancel_out);
    if (*cancel_out)
        atomic_init(&(*cancel_out)->triggered, false);
    else
        rc = AKV_NOMEM;
    return akvi_call_end(rc, "");
}

void akv_cancel_trigger(akv_cancel *cancel)
{
    if (cancel)
        atomic_store_explicit(&cancel->triggered, true, memory_order_release);
}

bool akv_cancel_triggered(const akv_cancel *cancel)
{
    return cancel && atomic_load_explicit(&cancel->triggered, memory_order_acquire);
}

void akv_cancel_free(akv_cancel *cancel)
{
    akvi_free(NULL, cancel, sizeof *cancel);
}

uint64_t akv_deadline_in_ms(uint64_t ms)
{
    uint64_t now = akvi_monotonic_ns();

    return ms > (UINT64_MAX - now) / 1000000u ? UINT64_MAX : now + ms * 1000000u;
}

akv_status akv_interrupted(uint64_t deadline_ns, const akv_cancel *cancel)
{
    if (akv_cancel_triggered(cancel))
        return AKV_FAIL(AKV_CANCELLED, "cancelled by the caller's token");
    if (deadline_ns != 0 && akvi_monotonic_ns() >= deadline_ns)
        return AKV_FAIL(AKV_TIMEOUT, "the call's deadline has passed: give it more time");
    return AKV_OK;
}

/* -------------------------------------------------------------------- jobs */

static uint64_t job_now(const akv_job *job)
{
    return job->env ? job->env->ops->monotonic_ns(job->env) : akvi_monotonic_ns();
}

static void job_sleep(const akv_job *job, uint64_t ns)
{
    struct timespec left;

    if (job->env) {
        job->env->ops->sleep_ns(job->env, ns);
        return;
    }
    left.tv_sec  = (time_t)(ns / JOB_NS_PER_S);
    left.tv_nsec = (long)(ns % JOB_NS_PER_S);
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

void akv_job_begin(akv_job *job, const akv_job_options *opt, akv_env *env, uint64_t total,
                   const char *unit)
{
    static const akv_job_options defaults = AKV_JOB_OPTIONS_INIT;

    job->opt   = opt ? opt : &defaults;
    job->env   = env;
    job->unit  = unit;
    job->done  = 0;
    job->total = total;
    job->bytes = 0;
    /* Only a rate asks for the time. */
    job->begin_ns = job->opt->bytes_per_s ? job_now(job) : 0;
}

/* Sleep until job->bytes are due, waking to look for interruptions. */
static akv_status job_keep_rate(const akv_job *job)
{
    double   due     = (double)job->bytes / (double)job->opt->bytes_per_s * (double)JOB_NS_PER_S;
    uint64_t elapsed = job_now(job) - job->begin_ns;
    uint64_t due_ns  = due < (double)INT64_MAX ? (uint64_t)due : (uint64_t)INT64_MAX;
    uint64_t wait    = due_ns > elapsed ? due_ns - elapsed : 0;

    while (wait > 0) {
        uint64_t   nap = wait < JOB_NAP_NS ? wait : JOB_NAP_NS;
        akv_status rc;

        job_sleep(job, nap);
        wait -= nap;
        rc = akv_interrupted(job->opt->deadline_ns, job->opt->cancel);
        if (rc != AKV_OK)
            return rc;
    }
    return AKV_OK;
}

akv_status akv_job_step(akv_job *job, uint64_t units, uint64_t bytes)
{
    const akv_job_options *opt = job->opt;
    akv_status             rc  = akv_interrupted(opt->deadline_ns, opt->cancel);

    job->done += units;
    job->bytes += bytes;
    if (rc == AKV_OK && opt->progress) {
        akvi_call_state call;
        int             stop;

        akvi_held_assert_none();
        akvi_call_save(&call);
        stop = opt->progress(opt->user, job->done, job->total, job->unit);
        akvi_call_restore(&call);
        if (stop)
            rc = AKV_FAIL(AKV_CANCELLED, "cancelled by the progress callback");
    }
    if (rc == AKV_OK && opt->bytes_per_s != 0)
        rc = job_keep_rate(job);
    return rc;
}

akv_status akv_job_fault(akv_job *job)
{
    akvi_call_state call;

    AKV_FAIL(AKV_CORRUPT, "a fault that its finder did not describe"); /* if none is pending */
    akvi_call_save(&call);
    if (job->opt->fault) {
        akvi_held_assert_none();
        job->opt->fault(job->opt->user, &call.pending);
        akvi_call_restore(&call);
    }
    return akvi_fail_keep();
}
