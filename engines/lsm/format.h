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
 *
 * TABLE: entries in order, never changed
 *
 *   data blocks     one after the other from offset 0
 *   ranges          a block of entries, if there are any
 *   filter          on an offset that 64 divides, zeroes before it; if there is one
 *   index blocks    one after the other
 *   top index
 *   properties
 *   footer          the last 84 bytes
 *
 *   off  len  footer
 *     0    8  "akv.sst", newline
 *     8    4  version, 1
 *    12    4  incompatible features: an unknown bit is AKV_VERSION; none yet
 *    16    4  compatible features: unknown bits are ignored; none yet
 *    20    4  zero
 *    24    8  length of the file
 *    32   12  top index: offset (8), length with its seal (4); length 0: none
 *    44   12  filter, likewise
 *    56   12  ranges
 *    68   12  properties
 *    80    4  checksum of bytes 0..79
 *
 * Each of the others is sealed:
 *
 *     n  contents
 *     4  if compressed: their length before that
 *     1  codec: 0 none, 1 snappy, 2 zlib, 3 lz4, 4 zstd; only data blocks have one
 *     4  checksum of all before it, then of the block's offset as eight bytes: a
 *        block that lies in the wrong place is noticed
 *
 * BLOCK OF ENTRIES. Values lie first and apart, so that a search for a key only
 * touches the end. Keys have what all of them begin with taken off: the prefix.
 * Every interval-th entry begins a run; in a run keys lack what they share with
 * the one before. The head of a run is the first eight bytes of its first key,
 * with zeroes behind a shorter one: big-endian numbers in the order of the keys.
 *
 *     v  values
 *     e  entries
 *     p  prefix
 *   8*r  heads; r = entries / interval, rounded up
 *   8*r  offsets of the runs: the first entry's within the entries (4), its value's
 *        within the values (4)
 *     4  v
 *     4  e
 *     4  number of entries, at least 1
 *     2  p
 *     1  interval, 1..255
 *     1  w, bytes of a sequence number, 0..7
 *     8  lowest sequence number
 *
 *   an entry
 *     1  bits 0..2 kind: 1 put, 2 delete, 3 delete range (4 merge, 5 value-log
 *        reference and 6 key space are to come), bit 3 has an expiry, bit 4 has an
 *        encoding, bits 5..7 zero
 *     *  varint: bytes shared with the key before; 0 in a run's first
 *     *  varint: bytes of the key that follow
 *     *  varint: bytes of the value
 *     w  sequence number less the block's lowest
 *     *  varint expiry, Unix time in ms, if bit 3
 *     1  encoding, if bit 4
 *     *  the rest of the key
 *
 * A block of ranges holds kind 3 alone, an end key as the value, and may be of any
 * size; keys may repeat with their number.
 *
 * An index block is a block of entries with interval 1, one entry for a data block.
 * Its key and sequence number, the separator, are at or after the data block's last
 * entry and before the next one's first. The value has 12 bytes: offset (8), length
 * with the seal (4). The top index is the same over index blocks; its values have
 * 16 bytes: these 12, then how many data blocks the index blocks before tell of (4).
 *
 * THE FILTER: lines of 64 bytes, then their number n (8), the bits k that a key
 * sets, 1..14 (4), and zero (4). A key with hash h, akvi_lsm_filter_hash's, has line
 * (h >> 32) * n >> 32 and in it the bits that are each 9 bits of a word, lowest first:
 * seven of fold(h, c), and if k is over 7, others of fold(h ^ 1, c), where fold is
 * akvi_hash_fold and c 0x9fb21c651e98df25. Bit b is bit b % 8 of byte b / 8. Prefixes
 * of a fixed length, if the options ask for them, are in it with another seed.
 *
 * PROPERTIES: varint tag, varint length, value: a varint, unless said otherwise.
 * Those that are 0 are left out, unknown tags passed over.
 *
 *    1  order of keys, the text "memcmp"    11  data blocks
 *    2  entries without ranges              12  index blocks
 *    3  deletes among them                  13  offset of the first index block
 *    4  ranges                              14  options: block size
 *    5  bytes of keys and values            15  restart interval
 *    6  smallest key, bytes                 16  filter bits a key
 *    7  largest key, bytes                  17  prefix filter bytes
 *    8  1: a range has no end               18  codec
 *    9  lowest sequence number              19  its level, as zigzag
 *   10  highest sequence number             20  made when, Unix time in ms
 *
 * A data block of three entries, sealed, at offset 0: "apple" put to "red" with
 * number 5; "apple" put to "green" with number 2, expiry 300 and encoding 1;
 * "apply" deleted with number 4. The prefix is "appl".
 *
 *   726564 677265656e                       "red", "green"
 *   01 00 01 03 03 65                       put, shares 0, 1 more, 3 of value, 2+3, "e"
 *   19 01 00 05 00 ac02 01                  put with both, shares 1, 2+0, 300, 1
 *   02 00 01 00 02 79                       delete, shares 0, 1 more, 2+2, "y"
 *   6170706c                                "appl"
 *   6500000000000000                        head
 *   00000000 00000000                       run: entries at 0, values at 0
 *   08000000 14000000 03000000 0400 10 01   v, e, entries, p, interval, w
 *   0200000000000000                        lowest sequence number
 *   00 2799c7a0                             codec, checksum
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
