/* SPDX-License-Identifier: MIT
 *
 * bytes.h: all byte order, overflow checks and varints.
 *
 * The byte-wise forms are those that compilers fold into one load or store.
 * Sums and products of untrusted sizes go through the checked forms.
 */
#ifndef AKVI_BASE_BYTES_H
#define AKVI_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define AKVI_ARRAY_N(a) (sizeof(a) / sizeof((a)[0]))

/* -------------------------------------------------------------- arithmetic */

static inline bool akvi_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool akvi_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool akvi_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool akvi_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* Whether [off, off + len) lies within [0, end). */
static inline bool akvi_range_ok(uint64_t off, uint64_t len, uint64_t end)
{
    return off <= end && len <= end - off;
}

/* ----------------------------------------------------------- little-endian */

static inline uint16_t akvi_get_le16(const void *at)
{
    const uint8_t *p = at;
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t akvi_get_le32(const void *at)
{
    const uint8_t *p = at;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t akvi_get_le64(const void *at)
{
    const uint8_t *p = at;
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

static inline void akvi_put_le16(void *at, uint16_t v)
{
    uint8_t *p = at;
    p[0]       = (uint8_t)v;
    p[1]       = (uint8_t)(v >> 8);
}

static inline void akvi_put_le32(void *at, uint32_t v)
{
    uint8_t *p = at;
    p[0]       = (uint8_t)v;
    p[1]       = (uint8_t)(v >> 8);
    p[2]       = (uint8_t)(v >> 16);
    p[3]       = (uint8_t)(v >> 24);
}

static inline void akvi_put_le64(void *at, uint64_t v)
{
    akvi_put_le32(at, (uint32_t)v);
    akvi_put_le32((uint8_t *)at + 4, (uint32_t)(v >> 32));
}

/* -------------------------------------------------------------- big-endian */

static inline uint16_t akvi_get_be16(const void *at)
{
    const uint8_t *p = at;
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t akvi_get_be32(const void *at)
{
    const uint8_t *p = at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static inline uint64_t akvi_get_be64(const void *at)
{
    const uint8_t *p = at;
    return (uint64_t)p[0] << 56 | (uint64_t)p[1] << 48 | (uint64_t)p[2] << 40 |
           (uint64_t)p[3] << 32 | (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16 |
           (uint64_t)p[6] << 8 | (uint64_t)p[7];
}

static inline void akvi_put_be16(void *at, uint16_t v)
{
    uint8_t *p = at;
    p[0]       = (uint8_t)(v >> 8);
    p[1]       = (uint8_t)v;
}

static inline void akvi_put_be32(void *at, uint32_t v)
{
    uint8_t *p = at;
    p[0]       = (uint8_t)(v >> 24);
    p[1]       = (uint8_t)(v >> 16);
    p[2]       = (uint8_t)(v >> 8);
    p[3]       = (uint8_t)v;
}

static inline void akvi_put_be64(void *at, uint64_t v)
{
    akvi_put_be32(at, (uint32_t)(v >> 32));
    akvi_put_be32((uint8_t *)at + 4, (uint32_t)v);
}

/* ----------------------------------------------------------------- varints
 *
 * LEB128: seven bits a byte, lowest first, the top bit set on all but the
 * last. 300 is ac 02. Readers refuse what is cut, longer than it need be, or
 * over 64 bits, so a number has one spelling. */

#define AKVI_VARINT_MAX 10

static inline size_t akvi_varint_len(uint64_t v)
{
    size_t n = 1;

    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

/* Returns the bytes written, at most AKVI_VARINT_MAX. */
static inline size_t akvi_put_varint(void *at, uint64_t v)
{
    uint8_t *p = at;
    size_t   n = 0;

    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    return n;
}

/* Returns the bytes read, or 0 when there is no valid varint in the `left`
 * bytes at `at`. */
static inline size_t akvi_get_varint(const void *at, size_t left, uint64_t *v_out)
{
    const uint8_t *p     = at;
    uint64_t       v     = 0;
    unsigned       shift = 0;

    for (size_t n = 0; n < left && n < AKVI_VARINT_MAX; n++, shift += 7) {
        if (shift == 63 && p[n] > 1)
            return 0;
        v |= (uint64_t)(p[n] & 0x7f) << shift;
        if (p[n] < 0x80) {
            if (p[n] == 0 && n > 0)
                return 0;
            *v_out = v;
            return n + 1;
        }
    }
    return 0;
}

/* Signed numbers with small magnitude as small varints: 0, -1, 1, -2, ... */
static inline uint64_t akvi_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v < 0 ? -1 : 0);
}

static inline int64_t akvi_unzigzag(uint64_t v)
{
    return (int64_t)((v >> 1) ^ (~(v & 1) + 1));
}

/* ------------------------------------------------------------------ slices */

/* memcmp order, a shorter key before a longer one that it begins. */
static inline int akvi_compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
    size_t n = a_len < b_len ? a_len : b_len;
    int    c = n ? memcmp(a, b, n) : 0;

    if (c != 0)
        return c;
    return a_len < b_len ? -1 : a_len > b_len;
}

static inline bool akvi_equal(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

#endif
