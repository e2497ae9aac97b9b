/* SPDX-License-Identifier: MIT
 *
 * json.h: what reading and writing JSON strings share.
 */
#ifndef AKVI_DOC_JSON_H
#define AKVI_DOC_JSON_H

#include "common/base/bytes.h"

/* The first byte from p on that is not printable ASCII or is a quote or a
 * backslash, or end. Eight bytes at a time: subtracting borrows only into bytes
 * above one that is found, so the lowest mark is right. */
static inline const uint8_t *akvi_json_plain(const uint8_t *p, const uint8_t *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;

    while (end - p >= 8) {
        uint64_t x     = akvi_get_le64(p);
        uint64_t quote = x ^ ones * '"', slash = x ^ ones * '\\';
        uint64_t found =
            (x | ((x - ones * 0x20) & ~x) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) &
            tops;

        if (found)
            return p + __builtin_ctzll(found) / 8;
        p += 8;
    }
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

#endif
