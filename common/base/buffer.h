/* SPDX-License-Identifier: MIT
 *
 * buffer.h: growing akv_buffer. Growth doubles, so appending is linear. A
 * failed call leaves the buffer as it was and has recorded AKV_NOMEM.
 */
#ifndef AKVI_BASE_BUFFER_H
#define AKVI_BASE_BUFFER_H

#include "common/base/fail.h"

/* Room for `more` bytes past len. */
AKVI_MUST_USE akv_status akvi_buffer_reserve(akv_buffer *b, size_t more);
/* Make len exactly `len`; new bytes are not set. */
AKVI_MUST_USE akv_status akvi_buffer_resize(akv_buffer *b, size_t len);
/* Grow by len and point at the new bytes, or NULL. */
AKVI_MUST_USE void      *akvi_buffer_extend(akv_buffer *b, size_t len);
AKVI_MUST_USE akv_status akvi_buffer_set(akv_buffer *b, const void *data, size_t len);
AKVI_MUST_USE akv_status akvi_buffer_text(akv_buffer *b, const char *text);
AKVI_MUST_USE akv_status akvi_buffer_byte(akv_buffer *b, uint8_t byte);
AKVI_MUST_USE akv_status akvi_buffer_printf(akv_buffer *b, const char *fmt, ...) AKV_PRINTF(2, 3);

static inline void akvi_buffer_clear(akv_buffer *b)
{
    b->len = 0;
}

static inline akv_slice akvi_buffer_slice(const akv_buffer *b)
{
    return akv_bytes(b->data, b->len);
}

#endif
