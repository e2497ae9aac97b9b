/* SPDX-License-Identifier: MIT
 *
 * log.h: what the two sides of a log share with each other and with the
 * manifest; see wal.h.
 */
#ifndef AKVI_LSM_LOG_H
#define AKVI_LSM_LOG_H

#include "engines/lsm/wal.h"

/* What the checksums of log `number` continue from. */
uint32_t akvi_lsm_log_seed(uint64_t number);
/* Eight bytes. */
const char *akvi_lsm_log_magic(lsm_log_content content);
/* Say in the log that all of it was synced, if it was. Must not be beside an
 * append. A mark that is missing does no harm, so it can't fail. */
void akvi_lsm_wal_mark(lsm_wal *wal);

#endif
