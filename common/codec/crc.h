/* SPDX-License-Identifier: MIT
 *
 * crc.h: the two checksums of our formats.
 *
 * Both continue from the `crc` of the bytes before; begin with 0. The check
 * value is that of "123456789".
 *
 *   crc32   ISO-HDLC, reflected 0xEDB88320, as zlib's;  check 0xCBF43926
 *   crc32c  Castagnoli, reflected 0x82F63B78 (RFC 3720); check 0xE3069283
 */
#ifndef AKVI_CODEC_CRC_H
#define AKVI_CODEC_CRC_H

#include <stddef.h>
#include <stdint.h>

/* libdeflate when built with it, else zlib. */
uint32_t akvi_crc32(uint32_t crc, const void *data, size_t len);
/* SSE4.2 or ARMv8 CRC instructions when this machine has them, else tables. */
uint32_t akvi_crc32c(uint32_t crc, const void *data, size_t len);
/* The crc of A followed by B, from those of A and B and B's length. */
uint32_t akvi_crc32_combine(uint32_t crc_a, uint32_t crc_b, uint64_t len_b);
/* "sse4.2", "armv8" or "tables"; "libdeflate" or "zlib". For build_info and tests. */
const char *akvi_crc32c_name(void);
const char *akvi_crc32_name(void);
/* The portable form, for tests. */
uint32_t akvi_crc32c_portable(uint32_t crc, const void *data, size_t len);

#endif
