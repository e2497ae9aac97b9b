/* SPDX-License-Identifier: MIT
 *
 * probe.h: around an inner call whose failure may be an answer.
 *
 * begin sets aside what the running call has recorded, so that
 * akvi_pending_error tells of the inner call alone; end puts it back. When
 * nothing was recorded before, `keep` leaves the inner call's record.
 */
#ifndef AKVI_ENV_PROBE_H
#define AKVI_ENV_PROBE_H

#include "common/base/fail.h"

static inline void akvi_probe_begin(akvi_call_state *held)
{
    akvi_call_save(held);
    akv_engine_recovered();
}

static inline void akvi_probe_end(const akvi_call_state *held, bool keep)
{
    if (!keep || held->is_pending)
        akvi_call_restore(held);
}

#endif
