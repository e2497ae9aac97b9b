/* SPDX-License-Identifier: MIT
 *
 * format.h: the .fsdb file, FuseDB's format version 2. All integers big-endian.
 *
 * header
 *  off len  field         written                          read
 *    0   4  magic         46 53 44 42 ("FSDB")             must match
 *    4   1  version       2                                must be 2
 *    5   1  flags         0                                shown
 *    6   2  pad           0                                not read
 *    8   4  num_keys      distinct keys                    entries in the index
 *   12   4  num_objects   objects, referenced or not       checked by verify
 *   16   8  index_offset  40 + length of the data          where the index begins
 *   24   8  data_offset   40                               checked by verify
 *   32   4  file_crc32    CRC-32 of bytes [40, file end)   on opening, by verify
 *   36   4  reserved      0                                not read
 *
 * data: per object, in order of adding, not aligned
 *    0   4  length n
 *    4   4  CRC-32 of the n bytes
 *    8   n  bytes
 *
 * index: per key, ascending by memcmp, a shorter key before a longer one that
 * it begins
 *    0   2  length n
 *    2   n  key
 *  2+n   8  offset in the file of the object's length
 *
 * The file's CRC covers all that follows the header to the very end; nothing
 * covers the header. Readers ignore bytes after the index as long as the CRC
 * covers them, and flags, pad and reserved: room for additions that every
 * reader of version 2 lets pass. One is known here, when flag bit 0 is set:
 *
 * hash section: from the index's end to the file's end. A cache of the index,
 * for opening at once; merging and rebuilding by others drops it.
 *   descriptor
 *   zeroes, to a multiple of 64 in the file
 *   table     groups of 64 bytes, below
 *   samples   place in the index of every 16th entry, 4 bytes each; 8 when the
 *             section begins at 4 GiB or beyond
 *   descriptor, the same again: the trailer by which the section is found
 *
 * descriptor
 *    0   8  where the section begins: the index's end
 *    8   8  length of the section
 *   16   8  seed of the hash
 *   24   4  groups
 *   28   4  reach: groups to look into before a key is known to be absent, 1 to
 *           256, or a file could make each look-up search all of it; random keys
 *           need 30 to 60 when they are 10,000,000
 *   32   4  CRC-32 of the file's bytes [40, section)
 *   36   4  CRC-32 of the section between its two descriptors
 *   40  12  0
 *   52   4  CRC-32 of the header's bytes [0, 32) and the 52 bytes before
 *   56   8  magic "\xf5" "hashix1"
 *
 * A plain file ends in an offset below 2^63, and one without keys has no
 * section, so the magic with the flag can't be met by chance.
 *
 * group of the table
 *    0   8  tags: a byte of the hash of each slot's key; 0: the slot is empty
 *    8  56  slots: 8 of 7 bytes or 7 of 8, and then the last tag is always 0
 *
 * slot: one number, from the top
 *    1 bit   in the last slot, keys were passed on; in others 0
 *    p bits  entry's place in the index
 *    o bits  object's offset in the file; its lower bits are left out when it
 *            has more than o
 *
 * Let i be the bits that the index's length takes, and d those of index_offset.
 * Slots are of 7 bytes if i + d <= 55, else of 8; o is d, or 63 - i if that is
 * less. A key's group is (hash >> 32) * groups >> 32, its tag the hash's low
 * byte, 1 for 0; the hash is akvi_hash. A key that finds its group full goes to
 * the next, the first after the last, and leaves the mark there.
 *
 * Valid iff: length >= 40, magic and version match, file_crc32 matches, the
 * num_keys entries lie in the file, and each offset leads to an object that
 * lies in the file and whose CRC matches.
 *
 * "k" -> 81 a1 76 01:
 *   46534442 02000000 00000001 00000001 0000000000000034 0000000000000028
 *   1ecc24ac 00000000 | 00000004 a279d7f3 81a17601 | 0001 6b 0000000000000028
 */
#ifndef AKVI_FUSED_FORMAT_H
#define AKVI_FUSED_FORMAT_H

#include "common/base/bytes.h"

#define FUSED_MAGIC          "FSDB"
#define FUSED_VERSION        2u
#define FUSED_HEADER         40u
#define FUSED_AT_VERSION     4u
#define FUSED_AT_FLAGS       5u
#define FUSED_AT_NUM_KEYS    8u
#define FUSED_AT_NUM_OBJECTS 12u
#define FUSED_AT_INDEX       16u
#define FUSED_AT_DATA        24u
#define FUSED_AT_CRC         32u
#define FUSED_OBJECT_HEADER  8u
#define FUSED_ENTRY_LEAST    10u /* an index entry with an empty key */
#define FUSED_FLAG_SECTION   0x01u
#define FUSED_SECTION_MAGIC \
    "\xf5"                  \
    "hashix1"
#define FUSED_DESCRIPTOR     64u
#define FUSED_DESCRIPTOR_CRC 52u
#define FUSED_REACH_MOST     256u
/* Entries per block: of each block the place of its first entry is known, and
 * a cursor finds the others. */
#define FUSED_BLOCK 16u

typedef struct fused_header {
    uint8_t  flags;
    uint32_t num_keys, num_objects;
    uint64_t index_offset, data_offset;
    uint32_t crc;
} fused_header;

static inline void fused_header_write(const fused_header *h, uint8_t out[FUSED_HEADER])
{
    memset(out, 0, FUSED_HEADER);
    memcpy(out, FUSED_MAGIC, 4);
    out[FUSED_AT_VERSION] = FUSED_VERSION;
    out[FUSED_AT_FLAGS]   = h->flags;
    akvi_put_be32(out + FUSED_AT_NUM_KEYS, h->num_keys);
    akvi_put_be32(out + FUSED_AT_NUM_OBJECTS, h->num_objects);
    akvi_put_be64(out + FUSED_AT_INDEX, h->index_offset);
    akvi_put_be64(out + FUSED_AT_DATA, h->data_offset);
    akvi_put_be32(out + FUSED_AT_CRC, h->crc);
}

/* Magic and version are the caller's to check. */
static inline void fused_header_read(fused_header *h, const uint8_t *in)
{
    h->flags        = in[FUSED_AT_FLAGS];
    h->num_keys     = akvi_get_be32(in + FUSED_AT_NUM_KEYS);
    h->num_objects  = akvi_get_be32(in + FUSED_AT_NUM_OBJECTS);
    h->index_offset = akvi_get_be64(in + FUSED_AT_INDEX);
    h->data_offset  = akvi_get_be64(in + FUSED_AT_DATA);
    h->crc          = akvi_get_be32(in + FUSED_AT_CRC);
}

/* An index entry, which is known to lie in the file. */
static inline uint32_t fused_entry_key_len(const uint8_t *entry)
{
    return akvi_get_be16(entry);
}

static inline const uint8_t *fused_entry_key(const uint8_t *entry)
{
    return entry + 2;
}

static inline uint32_t fused_entry_len(const uint8_t *entry)
{
    return fused_entry_key_len(entry) + FUSED_ENTRY_LEAST;
}

static inline uint64_t fused_entry_object(const uint8_t *entry)
{
    return akvi_get_be64(entry + 2 + fused_entry_key_len(entry));
}

static inline int fused_entry_compare(const uint8_t *a, const uint8_t *b)
{
    return akvi_compare(fused_entry_key(a), fused_entry_key_len(a), fused_entry_key(b),
                        fused_entry_key_len(b));
}

#endif
