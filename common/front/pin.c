/* SPDX-License-Identifier: MIT
 *
 * pin.c: what pins old values: snapshots, those of transactions too, and
 * iterators, listed by handle so that stats can tell how old the oldest is and
 * which thread made it.
 */
#include "common/front/front.h"

#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local uint64_t pin_thread; /* 0: not asked for yet */

/* The thread as the system's tools show it, where it has such a number. */
static uint64_t pin_this_thread(void)
{
    if (pin_thread == 0)
#ifdef SYS_gettid
        pin_thread = (uint64_t)syscall(SYS_gettid);
#else
        pin_thread = (uint64_t)(uintptr_t)pthread_self();
#endif
    return pin_thread;
}

void akvi_pin_forget_thread(void)
{
    pin_thread = 0;
}

void akvi_pin_add(akv *db, akvi_pin_kind kind, akvi_pin *pin)
{
    pin->made_ns = akvi_clock(db);
    pin->thread  = pin_this_thread();
    pin->prev    = NULL;
    akvi_mutex_lock(&db->pins_mu);
    pin->next = db->pins[kind];
    if (pin->next)
        pin->next->prev = pin;
    db->pins[kind] = pin;
    akvi_mutex_unlock(&db->pins_mu);
}

void akvi_pin_drop(akv *db, akvi_pin_kind kind, akvi_pin *pin)
{
    akvi_mutex_lock(&db->pins_mu);
    if (pin->next)
        pin->next->prev = pin->prev;
    if (pin->prev)
        pin->prev->next = pin->next;
    else
        db->pins[kind] = pin->next;
    akvi_mutex_unlock(&db->pins_mu);
}

uint64_t akvi_pin_oldest(akv *db, akvi_pin_kind kind, uint64_t *thread_out)
{
    uint64_t now    = akvi_clock(db);
    uint64_t oldest = now;

    *thread_out = 0;
    akvi_mutex_lock(&db->pins_mu);
    for (const akvi_pin *p = db->pins[kind]; p; p = p->next)
        if (*thread_out == 0 || p->made_ns < oldest) {
            *thread_out = p->thread;
            oldest      = p->made_ns < now ? p->made_ns : now;
        }
    akvi_mutex_unlock(&db->pins_mu);
    return now - oldest;
}
