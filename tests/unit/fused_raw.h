/* SPDX-License-Identifier: MIT
 *
 * fused_raw.h: .fsdb files put together by hand, also such as no writer makes.
 */
#ifndef AKVT_FUSED_RAW_H
#define AKVT_FUSED_RAW_H

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/codec/crc.h"
#include "tests/testing.h"

#include <anykv/fused.h>
#include <string.h>

static inline uint8_t *raw_extend(akv_buffer *b, size_t len)
{
    uint8_t *at = akvi_buffer_extend(b, len);

    assert_non_null(at);
    memset(at, 0, len);
    return at;
}

static inline uint8_t *raw_bytes(const akv_buffer *b)
{
    return b->data;
}

static inline void raw_header(akv_buffer *b)
{
    uint8_t *h = raw_extend(b, 40);

    memcpy(h, "FSDB\2", 5);
    akvi_put_be64(h + 24, 40);
}

/* Returns the object's offset. */
static inline uint64_t raw_object(akv_buffer *b, const char *text)
{
    size_t   len = strlen(text);
    uint64_t off = b->len;
    uint8_t *at  = raw_extend(b, 8 + len);

    akvi_put_be32(at, (uint32_t)len);
    akvi_put_be32(at + 4, akvi_crc32(0, text, len));
    memcpy(at + 8, text, len);
    akvi_put_be32(raw_bytes(b) + 12, akvi_get_be32(raw_bytes(b) + 12) + 1);
    return off;
}

/* The first one says where the index begins. */
static inline void raw_entry(akv_buffer *b, akv_slice key, uint64_t object)
{
    uint32_t n  = akvi_get_be32(raw_bytes(b) + 8);
    uint64_t at = b->len;
    uint8_t *e  = raw_extend(b, 10 + key.len);

    if (n == 0)
        akvi_put_be64(raw_bytes(b) + 16, at);
    akvi_put_be32(raw_bytes(b) + 8, n + 1);
    akvi_put_be16(e, (uint16_t)key.len);
    if (key.len > 0)
        memcpy(e + 2, key.data, key.len);
    akvi_put_be64(e + 2 + key.len, object);
}

/* Set the file's CRC and write it. */
static inline void raw_write(akv_buffer *b, const char *path)
{
    akvi_put_be32(raw_bytes(b) + 32, akvi_crc32(0, raw_bytes(b) + 40, b->len - 40));
    akvt_write_file(path, b->data, b->len);
}

/* Three keys, two objects: 97 bytes. */
static inline void raw_small(akv_buffer *b)
{
    uint64_t one, two;

    akvi_buffer_clear(b);
    raw_header(b);
    one = raw_object(b, "ones");
    two = raw_object(b, "twos");
    raw_entry(b, akv_str("a"), one);
    raw_entry(b, akv_str("b"), two);
    raw_entry(b, akv_str("c"), one);
}

#endif
