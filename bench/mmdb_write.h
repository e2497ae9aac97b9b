/* SPDX-License-Identifier: MIT
 *
 * mmdb_write.h: writes MaxMind databases, for benchmarks and tests that compare
 * with libmaxminddb. All of a file is held in memory; running out of that ends
 * the program.
 *
 *     mmdb_writer *w = mmdb_new(6, 0);
 *     uint32_t     record = mmdb_here(w);
 *
 *     mmdb_put_map(&w->data, 1);
 *     mmdb_put_string(&w->data, "country");
 *     mmdb_put_string(&w->data, "NL");
 *     mmdb_insert(w, ip, 32, record);
 *     mmdb_write(w, "countries.mmdb");
 *     mmdb_free(w);
 */
#ifndef BENCH_MMDB_WRITE_H
#define BENCH_MMDB_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mmdb_bytes {
    uint8_t *at;
    size_t   n, cap;
} mmdb_bytes;

/* What a branch leads to: 0 nothing, MMDB_LEAF and an offset a record, else a
 * node. Tests that need a broken tree write here themselves. */
#define MMDB_LEAF UINT32_C(0x80000000)

typedef struct mmdb_writer {
    unsigned   ip_version, record_bits;
    mmdb_bytes data;
    uint32_t (*nodes)[2];
    uint32_t nodes_n, nodes_cap;
} mmdb_writer;

/* Records of the tree have 24, 28 or 32 bits; 0: the fewest that do. */
mmdb_writer *mmdb_new(unsigned ip_version, unsigned record_bits);
void         mmdb_free(mmdb_writer *w);

/* The offset of what is put into `data` next. */
uint32_t mmdb_here(const mmdb_writer *w);
void     mmdb_put_map(mmdb_bytes *to, size_t pairs);
void     mmdb_put_array(mmdb_bytes *to, size_t n);
void     mmdb_put_string(mmdb_bytes *to, const char *text);
void     mmdb_put_bytes(mmdb_bytes *to, const void *data, size_t n);
void     mmdb_put_double(mmdb_bytes *to, double value);
void     mmdb_put_float(mmdb_bytes *to, float value);
void     mmdb_put_bool(mmdb_bytes *to, bool value);
void     mmdb_put_uint16(mmdb_bytes *to, uint16_t value);
void     mmdb_put_uint32(mmdb_bytes *to, uint32_t value);
void     mmdb_put_int32(mmdb_bytes *to, int32_t value);
void     mmdb_put_uint64(mmdb_bytes *to, uint64_t value);
void     mmdb_put_uint128(mmdb_bytes *to, uint64_t high, uint64_t low);
void     mmdb_put_pointer(mmdb_bytes *to, uint32_t offset);

/* Lead a block to a record: 4 or 16 bytes of address, as the version says, IPv4
 * in a tree of IPv6 being ::a.b.c.d. A block comes after those around it. */
void mmdb_insert(mmdb_writer *w, const uint8_t *ip, unsigned bits, uint32_t record);
/* Lead a block of IPv6 to the IPv4 networks, once one of them is there. */
void mmdb_alias(mmdb_writer *w, const uint8_t *ip, unsigned bits);

/* 0, or -1 with errno. */
int mmdb_write(const mmdb_writer *w, const char *path);

#endif
