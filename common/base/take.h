/* SPDX-License-Identifier: MIT
 *
 * take.h: reading a run of bytes from its front, field by field. Each call
 * answers false when the bytes end too early; what is left is then no matter.
 */
#ifndef AKVI_BASE_TAKE_H
#define AKVI_BASE_TAKE_H

#include "common/base/bytes.h"

#include <anykv/anykv.h>

static inline bool akvi_take_varint(akv_slice *left, uint64_t *v_out)
{
    size_t n = akvi_get_varint(left->data, left->len, v_out);

    *left = akv_bytes((const uint8_t *)left->data + n, left->len - n);
    return n > 0;
}

/* Borrowed from the run. */
static inline bool akvi_take_bytes(akv_slice *left, uint64_t len, akv_slice *bytes_out)
{
    if (len > left->len)
        return false;
    *bytes_out = akv_bytes(left->data, (size_t)len);
    *left      = akv_bytes((const uint8_t *)left->data + len, left->len - (size_t)len);
    return true;
}

#endif
