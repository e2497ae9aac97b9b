/* SPDX-License-Identifier: MIT
 *
 * buffer.c: see buffer.h.
 */
#include "common/base/buffer.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"

#include <stdio.h>

akv_status akvi_buffer_reserve(akv_buffer *b, size_t more)
{
    size_t need, cap;
    void  *grown;

    if (b->cap - b->len >= more)
        return AKV_OK;
    if (!akvi_add_size(b->len, more, &need))
        return AKV_FAIL(AKV_NOMEM, "a buffer of %zu bytes can't grow by %zu", b->len, more);
    cap = b->cap > SIZE_MAX / 2 ? need : b->cap * 2;
    if (cap < need)
        cap = need;
    if (cap < 64)
        cap = 64;
    grown = akvi_resize(b->allocator, b->data, b->cap, cap);
    if (!grown)
        return AKV_NOMEM;
    b->data = grown;
    b->cap  = cap;
    return AKV_OK;
}

akv_status akvi_buffer_resize(akv_buffer *b, size_t len)
{
    akv_status rc = len > b->len ? akvi_buffer_reserve(b, len - b->len) : AKV_OK;

    if (rc == AKV_OK)
        b->len = len;
    return rc;
}

void *akvi_buffer_extend(akv_buffer *b, size_t len)
{
    if (akvi_buffer_reserve(b, len ? len : 1) != AKV_OK)
        return NULL;
    b->len += len;
    return (uint8_t *)b->data + b->len - len;
}

akv_status akv_buffer_append(akv_buffer *b, const void *data, size_t len)
{
    void *to;

    if (!b || (!data && len != 0))
        return AKV_FAIL(AKV_MISUSE, "akv_buffer_append: %s is NULL", b ? "data" : "the buffer");
    if (len == 0)
        return AKV_OK;
    to = akvi_buffer_extend(b, len);
    if (!to)
        return AKV_NOMEM;
    memcpy(to, data, len);
    return AKV_OK;
}

akv_status akvi_buffer_set(akv_buffer *b, const void *data, size_t len)
{
    akv_status rc = akvi_buffer_resize(b, len);

    if (rc == AKV_OK && len > 0)
        memmove(b->data, data, len);
    return rc;
}

akv_status akvi_buffer_text(akv_buffer *b, const char *text)
{
    return akv_buffer_append(b, text, strlen(text));
}

akv_status akvi_buffer_byte(akv_buffer *b, uint8_t byte)
{
    return akv_buffer_append(b, &byte, 1);
}

akv_status akvi_buffer_printf(akv_buffer *b, const char *fmt, ...)
{
    va_list    ap;
    int        n;
    akv_status rc;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return AKV_FAIL(AKV_MISUSE, "bad format '%s'", fmt);
    rc = akvi_buffer_reserve(b, (size_t)n + 1);
    if (rc != AKV_OK)
        return rc;
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return AKV_OK;
}

void akv_buffer_free(akv_buffer *b)
{
    if (!b)
        return;
    akvi_free(b->allocator, b->data, b->cap);
    b->data = NULL;
    b->len = b->cap = 0;
}
