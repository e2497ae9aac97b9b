/* SPDX-License-Identifier: MIT
 *
 * filter.c: see filter.h.
 */
#include "engines/lsm/filter.h"

#include "engines/lsm/table.h"

/* Prefixes lie in one filter with keys, and are no keys. */
#define FILTER_SEED_KEY    UINT64_C(0x6c736d2e6b6579)
#define FILTER_SEED_PREFIX UINT64_C(0x6c736d2e707265)

/* How many keys ahead of the one that is set its line is asked for. */
#define FILTER_AHEAD 8u

uint64_t akvi_lsm_filter_hash(akv_slice key)
{
    return akvi_hash(key.data, key.len, FILTER_SEED_KEY);
}

uint64_t akvi_lsm_filter_hash_prefix(const void *prefix, size_t len)
{
    return akvi_hash(prefix, len, FILTER_SEED_PREFIX);
}

uint64_t akvi_lsm_filter_lines(uint64_t n, uint32_t bits, uint32_t *probes_out)
{
    uint32_t probes = bits * 6 / 10;
    uint64_t most   = LSM_FILTER_LINES_MOST;
    uint64_t lines = n > most ? most : (n * bits + LSM_FILTER_LINE * 8 - 1) / (LSM_FILTER_LINE * 8);

    *probes_out = probes < 1 ? 1 : probes > LSM_FILTER_MOST ? LSM_FILTER_MOST : probes;
    return lines > most ? most : lines;
}

static void filter_set(uint8_t *line, uint64_t hash, uint32_t probes)
{
    for (uint32_t word = 0, left = probes; left > 0; word++) {
        uint64_t bits = akvi_lsm_filter_bits(hash, word);

        for (uint32_t i = left < 7 ? left : 7; i > 0; i--, left--, bits >>= 9)
            line[bits >> 3 & 63] |= (uint8_t)(1u << (bits & 7));
    }
}

void akvi_lsm_filter_fill(uint8_t *lines, uint64_t lines_n, uint32_t probes, const uint64_t *hashes,
                          size_t n)
{
    lsm_filter f = {lines, lines_n, probes};

    for (size_t i = 0; i < n; i++) {
        if (n - i > FILTER_AHEAD)
            __builtin_prefetch(akvi_lsm_filter_line(&f, hashes[i + FILTER_AHEAD]), 1);
        filter_set(lines + (akvi_lsm_filter_line(&f, hashes[i]) - lines), hashes[i], probes);
    }
}
