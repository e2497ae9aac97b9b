/* SPDX-License-Identifier: MIT
 *
 * printable.h: bytes as text that a person can read and paste back.
 *
 * Printable ASCII and valid UTF-8 stand for themselves; \n, \r, \t, \\, \" and
 * \xHH for the rest, also for characters that don't show. Different bytes
 * never look the same. Both directions append to `out`, nothing on failure.
 */
#ifndef AKVI_BASE_PRINTABLE_H
#define AKVI_BASE_PRINTABLE_H

#include "common/base/fail.h"

AKVI_MUST_USE akv_status akvi_print_bytes(akv_buffer *out, const void *data, size_t len);
/* The reverse; AKV_MISUSE with the position of a bad escape. */
AKVI_MUST_USE akv_status akvi_parse_printable(akv_buffer *out, const char *text, size_t len);
/* At most 60 bytes of a key, cut with "...", for messages: fits any key into
 * `text`, which it returns. */
#define AKVI_KEY_TEXT 260
const char *akvi_key_text(char text[AKVI_KEY_TEXT], akv_slice key);

/* The length of the valid UTF-8 sequence at p (1..4), or 0. Refuses overlong
 * forms, surrogates and anything past U+10FFFF. */
size_t akvi_utf8_len(const uint8_t *p, size_t left);
/* The offset of the first byte that is not valid UTF-8, or len. */
size_t akvi_utf8_check(const void *data, size_t len);

#endif
