/* SPDX-License-Identifier: MIT
 *
 * bulk.h: loading many entries at once, without the log; see lsm.h.
 */
#ifndef AKVI_LSM_BULK_H
#define AKVI_LSM_BULK_H

#include "engines/lsm/db.h"

AKVI_MUST_USE akv_status akvi_lsm_bulk_begin(lsm_db *db, akv_lsm_bulk **bulk_out);
/* The entry's sequence number is the load's own affair. No ranges. */
AKVI_MUST_USE akv_status akvi_lsm_bulk_add(akv_lsm_bulk *b, const lsm_entry *entry);
/* Frees the load when it succeeds. */
AKVI_MUST_USE akv_status akvi_lsm_bulk_finish(akv_lsm_bulk *b, const akv_job_options *opt);
void                     akvi_lsm_bulk_abort(akv_lsm_bulk *b);

#endif
