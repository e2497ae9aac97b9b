/* SPDX-License-Identifier: MIT
 *
 * format.h: a store's files. One folder:
 *
 *   CURRENT           the name of the manifest in use, a space, the name's
 *                     checksum as eight hexadecimal digits, and a newline
 *   MANIFEST-000009   a log of edits: which tables there are
 *   000007.wal        write-ahead logs
 *   000008.sst        tables
 *   LOCK              held by the process that writes
 *
 * Numbers are decimal, at least six digits, and never used twice in a store.
 * Names are relative, so a folder may be moved. All integers are little-endian;
 * checksums are CRC-32C; varints are those of common/base/bytes.h.
 *
 * LOG: a file of records, for write-ahead logs and manifests
 *
 *   off  len  head
 *     0    8  "AKVLSMWL" (write-ahead log) or "AKVLSMMF" (manifest)
 *     8    4  version, 1
 *    12    4  incompatible features: an unknown bit is AKV_VERSION; none yet
 *    16    4  compatible features: unknown bits are ignored; none yet
 *    20    8  the log's number, that of its name
 *    28    4  checksum of bytes 0..27
 *    32    *  fragments
 *
 * The file is divided into blocks of 32768 bytes, the first with the head in
 * it. A record is one FULL fragment, or one FIRST, any number of MIDDLE and one
 * LAST, none of which crosses a block. Where less than 12 bytes are left of a
 * block they are zero, and the next fragment begins with the next block.
 *
 *   off  len  fragment
 *     0    4  checksum of bytes 4..11+n, continued from a seed: for FULL, FIRST
 *             and SYNCED the checksum of the log's number as eight bytes, with
 *             the fragment's offset (its low 32 bits) xor'ed in; for MIDDLE and
 *             LAST the checksum of the fragment before
 *     4    4  the log was synced up to this offset; 0: not known
 *     8    2  n, bytes of contents
 *    10    1  1 FULL, 2 FIRST, 3 MIDDLE, 4 LAST, 5 SYNCED (no contents)
 *    11    1  zero
 *    12    n  contents
 *
 * Twelve zero bytes in a fragment's place are the end of the log; behind them
 * there may be what the file held before. SYNCED is written in their place when
 * the log is closed and says, as the others do, up to where it was synced; the
 * log ends behind it. So the checksums tie a fragment to its log and to its place
 * or what it continues: nothing else can be taken for it.
 *
 * Log 7, a write-ahead log, with one record "hi", synced and closed:
 *   414b564c534d574c 01000000 00000000 00000000 0700000000000000 d52a4e1a
 *   9e670fe7 20000000 0200 01 00 6869
 *   59afa4ca 2e000000 0000 05 00
 *
 * RECORD of a write-ahead log: the operations of one atomic write
 *
 *   off  len
 *     0    8  sequence number of the first; the others follow it
 *     8    4  how many operations
 *    12    *  operations, each:
 *               1  bits 0..3 kind: 1 put, 2 delete, 3 delete range (4 merge, 5
 *                  value-log reference and 6 key space are to come), bit 4 has an
 *                  expiry, bit 5 has an encoding, bit 6 (to come) a key space,
 *                  bit 7 zero
 *               *  varint expiry, Unix time in ms, if bit 4
 *               1  encoding, if bit 5
 *               *  varint length of the key
 *               *  varint length of the value; not for a delete
 *               *  key, value (of a range: its end, empty for none)
 *
 * Number 7, put k -> hi as JSON that expires at 1000, then delete x:
 *   0700000000000000 02000000 31 e807 01 01 02 6b 6869 02 01 78
 *
 * RECORD of a manifest: an edit, fields one after the other
 *
 *   varint tag, varint length, value. Unknown tags are left out when odd, and
 *   AKV_VERSION when even.
 *
 *    2  the order of keys, "bytewise"        first edit only
 *    4  epoch, 8 bytes                       first edit only
 *    6  varint incompatible features         first edit only; none yet
 *    8  varint: logs below it are in tables
 *   10  varint: no file has this number or a higher one
 *   12  varint: the highest sequence number in any table
 *   14  a table added: level, 1 if a range in it has no end (else 0), each one
 *       byte; varints number, size, entries, deletes, ranges, raw bytes, lowest
 *       and highest sequence number, length of the smallest key; that key; and
 *       the largest key, to the value's end
 *   16  a table removed: level, one byte; varint number
 *
 * Numbers that are 0 are left out. The first edit adds all tables there are.
 * The next file is 10, table 8 of level 1 goes:  0a010a 10020108
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

/* --------------------------------------------------------------------- logs */

#define LSM_LOG_HEAD     32u
#define LSM_LOG_VERSION  1u
#define LSM_LOG_BLOCK    32768u
#define LSM_LOG_FRAGMENT 12u /* a fragment's head */
#define LSM_LOG_MAX      UINT64_C(0xffffffff)

typedef enum lsm_fragment_type {
    LSM_FRAGMENT_FULL   = 1,
    LSM_FRAGMENT_FIRST  = 2,
    LSM_FRAGMENT_MIDDLE = 3,
    LSM_FRAGMENT_LAST   = 4,
    LSM_FRAGMENT_SYNCED = 5
} lsm_fragment_type;

/* Where the next fragment begins that does so at or after `off`. */
static inline uint64_t lsm_log_place(uint64_t off)
{
    uint64_t left = LSM_LOG_BLOCK - off % LSM_LOG_BLOCK;

    return left < LSM_LOG_FRAGMENT ? off + left : off;
}

/* The seed of a fragment at `off` that continues none. */
static inline uint32_t lsm_log_place_seed(uint32_t log_seed, uint64_t off)
{
    return log_seed ^ (uint32_t)off;
}

/* ------------------------------------------------------------------ records */

#define LSM_RECORD_HEAD      12u
#define LSM_RECORD_KIND      0x0fu
#define LSM_RECORD_EXPIRY    0x10u
#define LSM_RECORD_ENCODING  0x20u
#define LSM_RECORD_KNOWN     0x3fu
#define LSM_RECORD_ENTRY_MIN 2u  /* bytes of the shortest operation */
#define LSM_RECORD_ENTRY_MAX 32u /* bytes of the longest less its key and value */

/* -------------------------------------------------------------------- edits */

typedef enum lsm_edit_tag {
    LSM_EDIT_COMPARATOR   = 2,
    LSM_EDIT_EPOCH        = 4,
    LSM_EDIT_INCOMPATIBLE = 6,
    LSM_EDIT_LOG          = 8,
    LSM_EDIT_NEXT         = 10,
    LSM_EDIT_SEQ          = 12,
    LSM_EDIT_ADDED        = 14,
    LSM_EDIT_REMOVED      = 16
} lsm_edit_tag;

#endif
