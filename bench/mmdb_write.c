/* SPDX-License-Identifier: MIT
 *
 * mmdb_write.c: the MaxMind DB format, version 2.0: a binary tree over the bits
 * of addresses, 16 zero bytes, the records, and a map about all that.
 */
#include "bench/mmdb_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MMDB_STRING  = 2,
    MMDB_DOUBLE  = 3,
    MMDB_BYTES   = 4,
    MMDB_UINT16  = 5,
    MMDB_UINT32  = 6,
    MMDB_MAP     = 7,
    MMDB_INT32   = 8,
    MMDB_UINT64  = 9,
    MMDB_UINT128 = 10,
    MMDB_ARRAY   = 11,
    MMDB_BOOL    = 14,
    MMDB_FLOAT   = 15
};

static void *mmdb_grow(void *at, size_t n)
{
    void *grown = realloc(at, n);

    if (!grown)
        abort();
    return grown;
}

static void mmdb_append(mmdb_bytes *to, const void *data, size_t n)
{
    if (n > to->cap - to->n) {
        to->cap = 2 * to->cap + n + 64;
        to->at  = mmdb_grow(to->at, to->cap);
    }
    if (n > 0)
        memcpy(to->at + to->n, data, n);
    to->n += n;
}

/* The low `n` bytes of a number, upper first. */
static void mmdb_number(mmdb_bytes *to, uint64_t value, unsigned n)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> 8 * (n - 1 - i));
    mmdb_append(to, bytes, n);
}

/* ------------------------------------------------------------------- records */

static void mmdb_head(mmdb_bytes *to, unsigned type, size_t size)
{
    unsigned low = size < 29 ? (unsigned)size : size < 285 ? 29 : size < 65821 ? 30 : 31;

    mmdb_number(to, (type <= 7 ? type << 5 : 0) | low, 1);
    if (type > 7)
        mmdb_number(to, type - 7, 1);
    if (low == 29)
        mmdb_number(to, size - 29, 1);
    else if (low == 30)
        mmdb_number(to, size - 285, 2);
    else if (low == 31)
        mmdb_number(to, size - 65821, 3);
}

/* Unsigned numbers leave out their leading zero bytes. */
static void mmdb_put_unsigned(mmdb_bytes *to, unsigned type, uint64_t value)
{
    unsigned n = 0;

    while (n < 8 && value >> 8 * n)
        n++;
    mmdb_head(to, type, n);
    mmdb_number(to, value, n);
}

uint32_t mmdb_here(const mmdb_writer *w)
{
    return (uint32_t)w->data.n;
}

void mmdb_put_map(mmdb_bytes *to, size_t pairs)
{
    mmdb_head(to, MMDB_MAP, pairs);
}

void mmdb_put_array(mmdb_bytes *to, size_t n)
{
    mmdb_head(to, MMDB_ARRAY, n);
}

void mmdb_put_string(mmdb_bytes *to, const char *text)
{
    mmdb_head(to, MMDB_STRING, strlen(text));
    mmdb_append(to, text, strlen(text));
}

void mmdb_put_bytes(mmdb_bytes *to, const void *data, size_t n)
{
    mmdb_head(to, MMDB_BYTES, n);
    mmdb_append(to, data, n);
}

void mmdb_put_double(mmdb_bytes *to, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    mmdb_head(to, MMDB_DOUBLE, 8);
    mmdb_number(to, bits, 8);
}

void mmdb_put_float(mmdb_bytes *to, float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    mmdb_head(to, MMDB_FLOAT, 4);
    mmdb_number(to, bits, 4);
}

void mmdb_put_bool(mmdb_bytes *to, bool value)
{
    mmdb_head(to, MMDB_BOOL, value);
}

void mmdb_put_uint16(mmdb_bytes *to, uint16_t value)
{
    mmdb_put_unsigned(to, MMDB_UINT16, value);
}

void mmdb_put_uint32(mmdb_bytes *to, uint32_t value)
{
    mmdb_put_unsigned(to, MMDB_UINT32, value);
}

void mmdb_put_int32(mmdb_bytes *to, int32_t value)
{
    mmdb_head(to, MMDB_INT32, 4);
    mmdb_number(to, (uint32_t)value, 4);
}

void mmdb_put_uint64(mmdb_bytes *to, uint64_t value)
{
    mmdb_put_unsigned(to, MMDB_UINT64, value);
}

void mmdb_put_uint128(mmdb_bytes *to, uint64_t high, uint64_t low)
{
    mmdb_head(to, MMDB_UINT128, 16);
    mmdb_number(to, high, 8);
    mmdb_number(to, low, 8);
}

/* In its longest form, which holds any offset. */
void mmdb_put_pointer(mmdb_bytes *to, uint32_t offset)
{
    mmdb_number(to, 0x38, 1);
    mmdb_number(to, offset, 4);
}

/* ---------------------------------------------------------------------- tree */

static uint32_t mmdb_node(mmdb_writer *w, uint32_t both)
{
    if (w->nodes_n == w->nodes_cap) {
        w->nodes_cap = 2 * w->nodes_cap + 64;
        w->nodes     = mmdb_grow(w->nodes, w->nodes_cap * sizeof *w->nodes);
    }
    w->nodes[w->nodes_n][0] = w->nodes[w->nodes_n][1] = both;
    return w->nodes_n++;
}

mmdb_writer *mmdb_new(unsigned ip_version, unsigned record_bits)
{
    mmdb_writer *w = mmdb_grow(NULL, sizeof *w);

    *w = (mmdb_writer){.ip_version = ip_version, .record_bits = record_bits};
    mmdb_node(w, 0);
    return w;
}

void mmdb_free(mmdb_writer *w)
{
    free(w->data.at);
    free(w->nodes);
    free(w);
}

/* Lead a block to `to`, making the nodes on the way; what stood in a place
 * that gets a node goes into both of its branches. */
static void mmdb_lead(mmdb_writer *w, const uint8_t *ip, unsigned bits, uint32_t to)
{
    uint32_t node = 0;

    for (unsigned i = 0; i < bits; i++) {
        unsigned side = ip[i / 8] >> (7 - i % 8) & 1;
        uint32_t next = w->nodes[node][side];

        if (i + 1 == bits) {
            w->nodes[node][side] = to;
            return;
        }
        if (next == 0 || next & MMDB_LEAF) {
            next                 = mmdb_node(w, next);
            w->nodes[node][side] = next;
        }
        node = next;
    }
    w->nodes[0][0] = w->nodes[0][1] = to; /* the block of all addresses */
}

void mmdb_insert(mmdb_writer *w, const uint8_t *ip, unsigned bits, uint32_t record)
{
    mmdb_lead(w, ip, bits, MMDB_LEAF | record);
}

void mmdb_alias(mmdb_writer *w, const uint8_t *ip, unsigned bits)
{
    uint32_t node = 0;

    for (unsigned i = 0; i < 96; i++) {
        node = w->nodes[node][0];
        if (node == 0 || node & MMDB_LEAF)
            return;
    }
    mmdb_lead(w, ip, bits, node);
}

/* ---------------------------------------------------------------------- file */

static void mmdb_tree(const mmdb_writer *w, unsigned record_bits, mmdb_bytes *to)
{
    for (uint32_t i = 0; i < w->nodes_n; i++) {
        uint64_t side[2];

        for (int k = 0; k < 2; k++) {
            uint32_t next = w->nodes[i][k];

            side[k] = next == 0          ? w->nodes_n
                      : next & MMDB_LEAF ? (uint64_t)w->nodes_n + 16 + (next & ~MMDB_LEAF)
                                         : next;
        }
        if (record_bits == 28) {
            mmdb_number(to, side[0], 3);
            mmdb_number(to, side[0] >> 20 & 0xf0, 1);
            to->at[to->n - 1] |= (uint8_t)(side[1] >> 24 & 0x0f);
            mmdb_number(to, side[1], 3);
        } else {
            mmdb_number(to, side[0], record_bits / 8);
            mmdb_number(to, side[1], record_bits / 8);
        }
    }
}

static void mmdb_about(const mmdb_writer *w, unsigned record_bits, mmdb_bytes *to)
{
    mmdb_append(to, "\xab\xcd\xefMaxMind.com", 14);
    mmdb_put_map(to, 9);
    mmdb_put_string(to, "binary_format_major_version");
    mmdb_put_uint16(to, 2);
    mmdb_put_string(to, "binary_format_minor_version");
    mmdb_put_uint16(to, 0);
    mmdb_put_string(to, "build_epoch");
    mmdb_put_uint64(to, 1700000000);
    mmdb_put_string(to, "database_type");
    mmdb_put_string(to, "anykv test");
    mmdb_put_string(to, "description");
    mmdb_put_map(to, 1);
    mmdb_put_string(to, "en");
    mmdb_put_string(to, "made for a test");
    mmdb_put_string(to, "ip_version");
    mmdb_put_uint16(to, (uint16_t)w->ip_version);
    mmdb_put_string(to, "languages");
    mmdb_put_array(to, 1);
    mmdb_put_string(to, "en");
    mmdb_put_string(to, "node_count");
    mmdb_put_uint32(to, w->nodes_n);
    mmdb_put_string(to, "record_size");
    mmdb_put_uint16(to, (uint16_t)record_bits);
}

int mmdb_write(const mmdb_writer *w, const char *path)
{
    static const uint8_t gap[16];
    uint64_t             most = (uint64_t)w->nodes_n + 16 + w->data.n;
    unsigned             bits = w->record_bits;
    mmdb_bytes           all  = {NULL, 0, 0};
    FILE                *file = fopen(path, "wb");
    int                  rc   = file ? 0 : -1;

    if (bits == 0)
        bits = most >> 24 == 0 ? 24 : most >> 28 == 0 ? 28 : 32;
    mmdb_tree(w, bits, &all);
    mmdb_append(&all, gap, sizeof gap);
    mmdb_append(&all, w->data.at, w->data.n);
    mmdb_about(w, bits, &all);
    if (file && fwrite(all.at, 1, all.n, file) != all.n)
        rc = -1;
    if (file && fclose(file) != 0)
        rc = -1;
    free(all.at);
    return rc;
}
