/* SPDX-License-Identifier: MIT
 *
 * format.h: a store's files. One folder:
 *
 *   CURRENT           the name of the manifest in use, and a newline
 *   MANIFEST-000009   a log of edits: which tables there are
 *   000007.wal        write-ahead logs
 *   000008.sst        tables
 *   LOCK              held by the process that writes
 *
 * Numbers are decimal, at least six digits, and never used twice in a store.
 * Names are relative, so a folder may be moved. All integers are little-endian;
 * checksums are CRC-32C; varints are those of common/base/bytes.h.
 */
#ifndef AKVI_LSM_FORMAT_H
#define AKVI_LSM_FORMAT_H

#include "common/base/bytes.h"

#define LSM_TABLE_MAGIC        UINT64_C(0x0a7473732e766b61) /* "akv.sst\n" */
#define LSM_TABLE_VERSION      1u
#define LSM_TABLE_FOOTER       84u
#define LSM_TABLE_COMPATIBLE   0u /* feature bits that this code knows */
#define LSM_TABLE_INCOMPATIBLE 0u

#define LSM_BLOCK_SEAL 5u  /* behind each block: codec, checksum */
#define LSM_BLOCK_RAW  4u  /* before the seal of a compressed one: its length as it was */
#define LSM_BLOCK_TAIL 24u /* of a block of entries */
#define LSM_RESTART    16u
#define LSM_BLOCK_MOST (UINT64_C(1) << 32) /* bytes of a block are fewer */
/* No codec gains more: what claims to be larger by it is damaged. */
#define LSM_BLOCK_GAIN 32768u

#define LSM_ENTRY_LEAST    4u    /* bytes of one */
#define LSM_ENTRY_KIND     0x07u /* bits of an entry's first byte */
#define LSM_ENTRY_EXPIRY   0x08u
#define LSM_ENTRY_ENCODING 0x10u
#define LSM_ENTRY_SPARE    0xe0u

#define LSM_INDEX_VALUE 12u /* bytes of a value in an index block */
#define LSM_TOP_VALUE   16u /* in the top index */

#define LSM_FILTER_TAIL       16u
#define LSM_FILTER_LINES_MOST ((UINT64_C(1) << 26) - 2)

#endif
