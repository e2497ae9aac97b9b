/* SPDX-License-Identifier: MIT
 *
 * filter.h: which keys a table surely lacks (format.h, "the filter"): a Bloom
 * filter in lines of 64 bytes, all bits of one key in one line, so that a look
 * costs one cache miss. At 10 bits a key it is wrong about 0.96% of the keys
 * that are not there, never about one that is.
 */
#ifndef AKVI_LSM_FILTER_H
#define AKVI_LSM_FILTER_H

#include "common/map/hash.h"
#include "engines/lsm/format.h"

#define LSM_FILTER_LINE 64u
#define LSM_FILTER_MOST 14u /* bits that a key sets */

typedef struct lsm_filter {
    const uint8_t *lines;
    uint64_t       lines_n;
    uint32_t       probes;
} lsm_filter;

uint64_t akvi_lsm_filter_hash_prefix(const void *prefix, size_t len);

/* How large a filter of `n` hashes gets, and how many bits each sets. */
uint64_t akvi_lsm_filter_lines(uint64_t n, uint32_t bits, uint32_t *probes_out);
/* `lines` are lines_n zeroed ones. */
void akvi_lsm_filter_fill(uint8_t *lines, uint64_t lines_n, uint32_t probes, const uint64_t *hashes,
                          size_t n);

static inline const uint8_t *akvi_lsm_filter_line(const lsm_filter *f, uint64_t hash)
{
    return f->lines + (hash >> 32) * f->lines_n / (UINT64_C(1) << 32) * LSM_FILTER_LINE;
}

/* The places within the line: nine bits each, seven from every word. */
static inline uint64_t akvi_lsm_filter_bits(uint64_t hash, uint32_t word)
{
    return akvi_hash_fold(hash ^ word, UINT64_C(0x9fb21c651e98df25));
}

static inline bool akvi_lsm_filter_may_have(const lsm_filter *f, uint64_t hash)
{
    const uint8_t *line = akvi_lsm_filter_line(f, hash);
    uint32_t       all  = 1;

    for (uint32_t word = 0, left = f->probes; left > 0; word++) {
        uint64_t bits = akvi_lsm_filter_bits(hash, word);

        for (uint32_t i = left < 7 ? left : 7; i > 0; i--, left--, bits >>= 9)
            all &= (uint32_t)line[bits >> 3 & 63] >> (bits & 7);
    }
    return all & 1;
}

#endif
