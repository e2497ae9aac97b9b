/* SPDX-License-Identifier: MIT
 *
 * fail.c: status names and the error record of each thread.
 *
 * A thread has three records: `pending` collects the first cause in the running
 * call, `kept` is the first of the faults that a job told of and went on from,
 * `last` is what akv_last_error shows. A call that succeeds after recovering
 * from something therefore never disturbs `last`.
 *
 * The records are two kilobytes, made when a thread first needs them and freed
 * when it ends. They are not thread-local themselves: a library that is loaded
 * by dlopen finds room there for some words only.
 */
#include "common/base/fail.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAIL_SPARES 16u

typedef struct fail_state {
    akvi_call_state call;
    akv_error       last;
} fail_state;

static _Thread_local fail_state *fail_mine;
_Thread_local bool               akvi_call_is_fresh;

/* For threads that first fail when there is no memory. Those beyond share the
 * last one: they may then be told each other's text. */
static fail_state    fail_spares[FAIL_SPARES];
static atomic_uint   fail_spares_used;
static pthread_key_t fail_key;
static bool          fail_has_key; /* without one, records of ended threads stay */

static void fail_free(void *state)
{
    fail_mine = NULL;
    free(state);
}

static void fail_key_make(void)
{
    fail_has_key = pthread_key_create(&fail_key, fail_free) == 0;
}

static fail_state *fail_make(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    unsigned              spare;

    fail_mine = calloc(1, sizeof *fail_mine);
    if (!fail_mine) {
        spare     = atomic_fetch_add_explicit(&fail_spares_used, 1, memory_order_relaxed);
        fail_mine = &fail_spares[spare < FAIL_SPARES ? spare : FAIL_SPARES - 1];
        return fail_mine;
    }
    pthread_once(&once, fail_key_make);
    if (fail_has_key)
        pthread_setspecific(fail_key, fail_mine);
    return fail_mine;
}

static fail_state *fail_state_get(void)
{
    return fail_mine ? fail_mine : fail_make();
}

/* The running call's records, forgotten first if it has only begun. */
static akvi_call_state *fail_call(void)
{
    fail_state *s = fail_state_get();

    if (akvi_call_is_fresh) {
        akvi_call_is_fresh = false;
        s->call.is_pending = false;
        s->call.is_kept    = false;
    }
    return &s->call;
}

const char *akv_status_name(akv_status status)
{
    switch (status) {
    case AKV_OK: return "AKV_OK";
    case AKV_ABSENT: return "AKV_ABSENT";
    case AKV_END: return "AKV_END";
    case AKV_CONFLICT: return "AKV_CONFLICT";
    case AKV_MISUSE: return "AKV_MISUSE";
    case AKV_UNSUPPORTED: return "AKV_UNSUPPORTED";
    case AKV_TOO_BIG: return "AKV_TOO_BIG";
    case AKV_CORRUPT: return "AKV_CORRUPT";
    case AKV_VERSION: return "AKV_VERSION";
    case AKV_IO: return "AKV_IO";
    case AKV_NOSPACE: return "AKV_NOSPACE";
    case AKV_NOMEM: return "AKV_NOMEM";
    case AKV_BUSY: return "AKV_BUSY";
    case AKV_LOCKED: return "AKV_LOCKED";
    case AKV_AUTH: return "AKV_AUTH";
    case AKV_FENCED: return "AKV_FENCED";
    case AKV_TIMEOUT: return "AKV_TIMEOUT";
    case AKV_CANCELLED: return "AKV_CANCELLED";
    case AKV_POISONED: return "AKV_POISONED";
    }
    return "AKV_?";
}

akv_status akvi_status_of_errno(int err)
{
    if (err == ENOSPC || err == EDQUOT || err == EFBIG)
        return AKV_NOSPACE;
    return err == ENOMEM ? AKV_NOMEM : AKV_IO;
}

/* Copy text into a fixed array; of a longer one keep the end, which for a path
 * is the part that tells files apart. */
static void fail_copy_end(char *to, size_t cap, const char *from)
{
    size_t len = strlen(from);

    if (len >= cap)
        from += len - cap + 1;
    snprintf(to, cap, "%s", from);
}

static void fail_append(akv_error *e, size_t *used, const char *fmt, ...) AKV_PRINTF(3, 4);
static void fail_append(akv_error *e, size_t *used, const char *fmt, ...)
{
    va_list ap;
    int     n;

    if (*used >= sizeof e->text - 1)
        return;
    va_start(ap, fmt);
    n = vsnprintf(e->text + *used, sizeof e->text - *used, fmt, ap);
    va_end(ap);
    *used += n > 0 ? (size_t)n : 0;
}

/* strerror_r comes in two shapes. */
static const char *fail_reason(int err, char *buf, size_t cap)
{
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
    return strerror_r(err, buf, cap);
#else
    if (strerror_r(err, buf, cap) != 0)
        snprintf(buf, cap, "error %d", err);
    return buf;
#endif
}

akv_status akv_engine_fail(akv_status code, int os_errno, const char *file, uint64_t offset,
                           const char *fmt, ...)
{
    akvi_call_state *call = fail_call();
    akv_error       *e    = &call->pending;
    va_list          ap;
    size_t           used = 0;
    char             reason[128];
    int              n;

    if (call->is_pending)
        return code;
    call->is_pending = true;
    e->code          = code;
    e->os_errno      = os_errno;
    e->offset        = offset;
    e->engine[0]     = '\0';
    e->file[0]       = '\0';
    if (file) {
        fail_copy_end(e->file, sizeof e->file, file);
        fail_append(e, &used, "%s: ", e->file);
    }
    if (offset != AKV_NO_OFFSET)
        fail_append(e, &used, "at offset %llu: ", (unsigned long long)offset);
    if (used < sizeof e->text) {
        va_start(ap, fmt);
        n = vsnprintf(e->text + used, sizeof e->text - used, fmt, ap);
        va_end(ap);
        used += n > 0 ? (size_t)n : 0;
    }
    if (os_errno != 0)
        fail_append(e, &used, ": %s", fail_reason(os_errno, reason, sizeof reason));
    return code;
}

void akv_engine_recovered(void)
{
    fail_call()->is_pending = false;
}

akv_status akvi_call_end(akv_status status, const char *engine)
{
    akvi_call_state *call;
    akv_error       *last;

    if (status >= 0)
        return status;
    call = fail_call();
    last = &fail_mine->last;
    if (!call->is_pending && !call->is_kept)
        akv_engine_fail(status, 0, NULL, AKV_NO_OFFSET, "failed with %s", akv_status_name(status));
    /* A job that was cut short after finding faults says why it was cut. */
    if (call->is_kept && (!call->is_pending || call->kept.code == status))
        *last = call->kept;
    else
        *last = call->pending;
    last->code = status;
    if (engine && engine[0] != '\0')
        fail_copy_end(last->engine, sizeof last->engine, engine);
    akvi_call_begin();
    return status;
}

const akv_error *akvi_pending_error(void)
{
    const akvi_call_state *call = fail_call();

    if (call->is_pending)
        return &call->pending;
    return call->is_kept ? &call->kept : &fail_mine->last;
}

akv_status akvi_fail_keep(void)
{
    akvi_call_state *call = fail_call();
    akv_status       code = call->pending.code;

    if (!call->is_kept)
        call->kept = call->pending;
    call->is_kept    = true;
    call->is_pending = false;
    return code;
}

void akvi_call_save(akvi_call_state *state_out)
{
    *state_out = *fail_call();
}

void akvi_call_restore(const akvi_call_state *state)
{
    akvi_call_is_fresh     = false;
    fail_state_get()->call = *state;
}

akv_status akvi_fail_again(const akv_error *error)
{
    akvi_call_state *call = fail_call();

    if (!call->is_pending) {
        call->pending    = *error;
        call->is_pending = true;
    }
    return error->code;
}

const akv_error *akv_last_error(void)
{
    return &fail_state_get()->last;
}
