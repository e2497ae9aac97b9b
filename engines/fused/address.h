/* SPDX-License-Identifier: MIT
 *
 * address.h: keys that are blocks of IP addresses (CIDR), and the index that
 * finds the longest one around an address.
 *
 * The index is made when it is first asked for, once, by whichever thread comes
 * first; others that come meanwhile wait for it. From then on it does not
 * change until the reader is closed, and look-ups take no lock.
 */
#ifndef AKVI_FUSED_ADDRESS_H
#define AKVI_FUSED_ADDRESS_H

#include "common/base/fail.h"

#include <anykv/fused.h>

/* An IPv4 address is a number below 2^32 in `lo`. */
typedef struct fused_ip {
    uint64_t hi, lo;
} fused_ip;

typedef struct fused_block {
    fused_ip ip; /* its first address: host bits are cleared */
    uint8_t  bits;
    bool     is_v4;
    bool     had_host_bits;
} fused_block;

/* Text as <anykv/fused.h> describes it; false when it is none. An address
 * becomes a block of one. */
bool akvi_fused_block_parse(akv_slice text, fused_block *block_out);
bool akvi_fused_address_parse(akv_slice text, fused_block *block_out);

/* What a reader holds for addresses: empty, until an index is made. */
typedef struct fused_addresses fused_addresses;

AKVI_MUST_USE akv_status akvi_fused_addresses_new(const akv_allocator *allocator,
                                                  fused_addresses    **addresses_out);
void akvi_fused_addresses_free(const akv_allocator *allocator, fused_addresses *addresses);
/* Its part of a reader's figures. */
void akvi_fused_addresses_info(const fused_addresses *addresses, akv_fused_info *info);

#endif
