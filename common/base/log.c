/* SPDX-License-Identifier: MIT
 *
 * log.c: one line to the store's logger.
 */
#include "common/base/fail.h"
#include "common/base/mutex.h"

#include <stdio.h>

void akv_engine_log(const akv_logger *logger, akv_log_level level, const char *engine,
                    const char *fmt, ...)
{
    char            text[1024];
    akvi_call_state call;
    va_list         ap;

    if (!logger || !logger->log || level > logger->level)
        return;
    akvi_held_assert_none();
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    akvi_call_save(&call);
    logger->log(logger->user, level, engine ? engine : "", text);
    akvi_call_restore(&call);
}
