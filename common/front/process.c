/* SPDX-License-Identifier: MIT
 *
 * process.c: what outlives a handle: the live tag, the quarantine of closed
 * handles, and the refusal of what is no open handle.
 *
 * The locks here and in engines.c are held across fork, so that the child
 * finds them free and what they guard whole.
 */
#include "common/front/front.h"

#include "common/base/handle.h"

#include <stdlib.h>

#define PROCESS_TAG_STEP UINT64_C(2)

/* Odd, so never the tag of a closed handle, nor zero. */
_Atomic uint64_t akvi_live_tag = UINT64_C(0x6576696c766b61);

static akvi_mutex          process_mu = AKVI_MUTEX_INIT(AKVI_RANK_HANDLES);
static akv *process_oldest AKVI_GUARDED_BY(process_mu); /* closed first */
static akv *process_newest AKVI_GUARDED_BY(process_mu);
static unsigned process_n  AKVI_GUARDED_BY(process_mu);

/* -------------------------------------------------------------------- fork */

static void process_before_fork(void)
{
    akvi_engines_lock();
    akvi_mutex_lock(&process_mu);
}

static void process_after_fork(void)
{
    akvi_mutex_unlock(&process_mu);
    akvi_engines_unlock();
}

static void process_in_child(void)
{
    akvi_pin_forget_thread();
    atomic_fetch_add_explicit(&akvi_live_tag, PROCESS_TAG_STEP, memory_order_relaxed);
    process_after_fork();
}

static void process_watch(void)
{
    pthread_atfork(process_before_fork, process_after_fork, process_in_child);
}

void akvi_watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, process_watch);
}

/* -------------------------------------------------------------- quarantine */

void akvi_quarantine(akv *db)
{
    akv *out = NULL;

    db->next_closed = NULL;
    akvi_mutex_lock(&process_mu);
    if (process_newest)
        process_newest->next_closed = db;
    else
        process_oldest = db;
    process_newest = db;
    if (++process_n > AKVI_QUARANTINE) {
        out            = process_oldest;
        process_oldest = out->next_closed;
        process_n--;
    }
    akvi_mutex_unlock(&process_mu);
    akvi_free(NULL, out, sizeof *out);
}

/* ----------------------------------------------------------------- refusals */

akv_status akvi_refuse_handle(const akv *db, const char *call)
{
    uint64_t tag = db ? atomic_load_explicit(&db->tag, memory_order_relaxed) : 0;

    if (!db)
        AKV_FAIL(AKV_MISUSE, "%s: the handle is NULL", call);
    else if (tag == AKVI_TAG_CLOSED)
        AKV_FAIL(AKV_MISUSE, "%s: the handle was closed", call);
    else
        AKV_FAIL(AKV_MISUSE,
                 "%s: the handle is of the process that forked this one: open the store anew",
                 call);
    return akvi_call_end(AKV_MISUSE, "");
}

akv_status akvi_refuse_what(const char *call, const char *what)
{
    akvi_call_begin();
    return akvi_call_end(akvi_null(call, what), "");
}

akv_status akvi_fail_end(akv *db, akv_status status)
{
    akvi_count(db, AKVI_CELL_ERRORS, 1);
    return akvi_call_end(status, db->engine->name);
}

void *akvi_handle_impl(akv *db, const akv_engine *engine)
{
    if (akvi_is_live(db) && db->engine == engine)
        return db->impl;
    if (akvi_is_live(db))
        AKV_FAIL(AKV_MISUSE, "the handle is of the %s engine, not of %s", db->engine->name,
                 engine->name);
    else
        AKV_FAIL(AKV_MISUSE, "not an open handle of this process");
    return NULL;
}
