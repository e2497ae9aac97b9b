/* SPDX-License-Identifier: MIT
 *
 * hash.h: a fast 64-bit hash of bytes, for tables.
 *
 * Each step multiplies two 64-bit words into 128 bits and folds the halves
 * together; the seed is in one factor of each, so that nobody without it can
 * make one zero, after which the rest of a key would not matter. It is the same
 * on every machine and in every release: .fsdb files hold tables by it. Give a
 * random seed where keys come from strangers.
 */
#ifndef AKVI_MAP_HASH_H
#define AKVI_MAP_HASH_H

#include "common/base/bytes.h"

/* The high and the low half of a * b, one over the other. */
static inline uint64_t akvi_hash_fold(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;
    wide                                    p = (wide)a * b;

    return (uint64_t)p ^ (uint64_t)(p >> 64);
#else
    uint64_t ll = (a & UINT32_MAX) * (b & UINT32_MAX), lh = (a & UINT32_MAX) * (b >> 32);
    uint64_t hl = (a >> 32) * (b & UINT32_MAX), hh = (a >> 32) * (b >> 32);
    uint64_t mid = (ll >> 32) + (lh & UINT32_MAX) + (hl & UINT32_MAX);

    return ((ll & UINT32_MAX) | mid << 32) ^ (hh + (lh >> 32) + (hl >> 32) + (mid >> 32));
#endif
}

static inline uint64_t akvi_hash(const void *data, size_t len, uint64_t seed)
{
    static const uint64_t odd[4] = {UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xbf58476d1ce4e5b9),
                                    UINT64_C(0x94d049bb133111eb), UINT64_C(0xd6e8feb86659fd93)};
    const uint8_t        *p      = data;
    size_t                left   = len;
    uint64_t              h = seed ^ odd[0], side = seed ^ odd[3], a, b;
    const uint64_t        first = seed ^ odd[1], second = seed ^ odd[2];

    for (; left > 32; left -= 32, p += 32) {
        h    = akvi_hash_fold(akvi_get_le64(p) ^ first, akvi_get_le64(p + 8) ^ h);
        side = akvi_hash_fold(akvi_get_le64(p + 16) ^ second, akvi_get_le64(p + 24) ^ side);
    }
    if (left > 16) {
        h = akvi_hash_fold(akvi_get_le64(p) ^ first, akvi_get_le64(p + 8) ^ h);
        p += left - 16;
        left = 16;
    }
    if (left >= 8) { /* two words that may overlap hold what is left */
        a = akvi_get_le64(p);
        b = akvi_get_le64(p + left - 8);
    } else if (left >= 4) {
        a = akvi_get_le32(p);
        b = akvi_get_le32(p + left - 4);
    } else {
        a = left ? (uint64_t)p[0] << 16 | (uint64_t)p[left / 2] << 8 | p[left - 1] : 0;
        b = 0;
    }
    h = akvi_hash_fold(a ^ side, b ^ h);
    return akvi_hash_fold(h ^ odd[3], (uint64_t)len ^ odd[1]);
}

#endif
