/* SPDX-License-Identifier: MIT
 *
 * sort.c: a stable radix sort of keys, seven bytes at a time.
 *
 * Each round loads the next seven bytes of every key into one integer, padded
 * with zeroes, whose lowest byte says how many of them the key still had, or 8
 * when there are more. So the integers order as the keys do, a key that ends
 * comes before one that goes on, and only integers are compared, whatever
 * prefix the keys share. Runs of equal integers whose keys go on are sorted by
 * the next seven bytes; those that end are equal keys.
 *
 * The largest run is looped over, the others recursed into, each at most half
 * as long: the depth stays under 33 whatever the keys are.
 */
#include "engines/fused/sort.h"

#include "engines/fused/format.h"

#define SORT_CHUNK 7u
#define SORT_MORE  8u
#define SORT_SMALL 48u /* below this, comparing beats counting */

static uint64_t sort_chunk(const uint8_t *entry, uint32_t depth)
{
    uint32_t       left = fused_entry_key_len(entry) - depth;
    const uint8_t *at   = fused_entry_key(entry) + depth;
    uint64_t       v    = 0;

    /* Eight bytes may be read: an offset follows the key. */
    if (left > SORT_CHUNK)
        return (akvi_get_be64(at) & ~UINT64_C(0xff)) | SORT_MORE;
    if (left > 0)
        v = akvi_get_be64(at) >> (64 - 8 * left) << (64 - 8 * left);
    return v | left;
}

/* All keys are equal in their first `depth` bytes. */
static void sort_insertion(fused_item *items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        fused_item item = items[i];
        size_t     at   = i;

        for (; at > 0; at--) {
            const fused_item *before = &items[at - 1];

            if (before->chunk < item.chunk ||
                (before->chunk == item.chunk &&
                 ((item.chunk & 0xff) != SORT_MORE ||
                  fused_entry_compare(before->entry, item.entry) <= 0)))
                break;
            items[at] = *before;
        }
        items[at] = item;
    }
}

/* By the chunks alone, one byte a pass from the lowest; a byte that all share
 * needs no pass. Not inlined: its counts would add to every level's frame. */
__attribute__((noinline)) static void sort_radix(fused_item *items, fused_item *scratch, size_t n)
{
    size_t      counts[8][256] = {{0}};
    fused_item *from = items, *to = scratch;

    for (size_t i = 0; i < n; i++) {
        for (unsigned b = 0; b < 8; b++)
            counts[b][items[i].chunk >> (8 * b) & 0xff]++;
    }
    for (unsigned b = 0; b < 8; b++) {
        size_t     *count = counts[b], at = 0;
        fused_item *swap = to;

        if (count[from[0].chunk >> (8 * b) & 0xff] == n)
            continue;
        for (unsigned v = 0; v < 256; v++) {
            size_t here = count[v];

            count[v] = at;
            at += here;
        }
        for (size_t i = 0; i < n; i++)
            to[count[from[i].chunk >> (8 * b) & 0xff]++] = from[i];
        to   = from;
        from = swap;
    }
    if (from != items)
        memcpy(items, from, n * sizeof *items);
}

static void sort_from(fused_item *items, fused_item *scratch, size_t n, uint32_t depth)
{
    while (n > 1) {
        size_t big = 0, big_n = 0;

        for (size_t i = 0; i < n; i++)
            items[i].chunk = sort_chunk(items[i].entry, depth);
        if (n < SORT_SMALL) {
            sort_insertion(items, n);
            return;
        }
        sort_radix(items, scratch, n);
        depth += SORT_CHUNK;
        for (size_t i = 0, end; i < n; i = end) {
            for (end = i + 1; end < n && items[end].chunk == items[i].chunk; end++)
                ;
            if (end - i < 2 || (items[i].chunk & 0xff) != SORT_MORE)
                continue;
            if (end - i > big_n) {
                size_t run = big, run_n = big_n;

                big   = i;
                big_n = end - i;
                sort_from(items + run, scratch, run_n, depth);
            } else {
                sort_from(items + i, scratch, end - i, depth);
            }
        }
        items += big;
        n = big_n;
    }
}

void akvi_fused_sort(fused_item *items, fused_item *scratch, size_t n)
{
    sort_from(items, scratch, n, 0);
}

size_t akvi_fused_keep_last(fused_item *items, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        /* Equal keys were in equal runs to the last. */
        if (i + 1 == n || items[i].chunk != items[i + 1].chunk ||
            fused_entry_compare(items[i].entry, items[i + 1].entry) != 0)
            items[kept++] = items[i];
    }
    return kept;
}
