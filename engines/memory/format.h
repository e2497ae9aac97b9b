/* SPDX-License-Identifier: MIT
 *
 * format.h: the image, the file that a memory store with a path is kept in.
 * Written whole, never in place. All integers are little-endian.
 *
 *   header                                    record
 *   off  len  field                           off  len  field
 *     0    8  magic "AKVMEM\r\n"                0    4  crc32c of bytes [4, 40)
 *     8    4  version, 1                        4    4  crc32c of key and value
 *    12    4  incompatible feature bits         8    1  kind
 *    16    4  compatible feature bits           9    1  encoding (pair), else 0
 *    20    4  zero                             10    2  key length
 *    24    8  epoch                            12    4  value length
 *    32    8  sequence number                  16    4  key space
 *    40    4  crc32c of bytes [0, 40)          20    4  zero
 *    44    *  records                          24    8  number
 *                                              32    8  expiry, Unix ms (pair), else 0
 *                                              40    *  key, value
 *
 *   kind         key    value  key space               number
 *   1  space     name   empty  1, 2, ... in order      0
 *   2  pair      key    value  that of the space       its version
 *                              record before it;
 *                              0 if there was none
 *   3  end       empty  empty  0                       records before this one
 *
 * Valid iff: the header's crc holds and it has no unknown incompatible bit;
 * every record's crcs hold; keys rise strictly within a space, and spaces' names
 * (1..255 bytes) over the file; versions are not above the header's sequence
 * number, nor that above 2^62; fields that are said to be zero are; the file ends with the only end
 * record, and its number is right. A record says its space and its place is
 * known by its crc, so what is whole can be told after damage.
 *
 * Epoch and sequence number are those of the store when the image was written:
 * a token of a change feed from just then is good in the next opening too. No
 * feature bits are known yet.
 *
 * a -> hi, version 5, in the default space:
 *   41 4b 56 4d 45 4d 0d 0a  01 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00
 *   07 00 00 00 00 00 00 00  05 00 00 00 00 00 00 00  HEADER-CRC
 *   PAIR-CRCS 02 00 01 00  02 00 00 00  00 00 00 00  00 00 00 00
 *   05 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  61 68 69
 *   END-CRCS 03 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00
 *   01 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
 */
#ifndef AKVI_MEMORY_FORMAT_H
#define AKVI_MEMORY_FORMAT_H

#include "common/base/fail.h"

#define MEMORY_MAGIC        "AKVMEM\r\n"
#define MEMORY_MAGIC_LEN    8u
#define MEMORY_VERSION      1u
#define MEMORY_INCOMPATIBLE 0u /* the incompatible feature bits that are known */
#define MEMORY_HEADER_LEN   44u
#define MEMORY_RECORD_LEN   40u
#define MEMORY_NAME_MAX     255u
#define MEMORY_SEQ_MAX      (UINT64_C(1) << 62)

typedef enum memory_kind { MEMORY_SPACE = 1, MEMORY_PAIR = 2, MEMORY_END = 3 } memory_kind;

typedef struct memory_record {
    memory_kind kind;
    uint8_t     encoding;
    uint32_t    space;
    uint64_t    number;
    uint64_t    expiry_ms;
    akv_slice   key, value;
} memory_record;

/* An image being read; the bytes are borrowed. */
typedef struct memory_image {
    const char    *path; /* for messages */
    const uint8_t *data;
    size_t         len;
    size_t         off;  /* of the next record */
    size_t         skip; /* how far to go on after a fault at `off`, at least */
    uint64_t       epoch, seq;
    bool           damaged; /* something was left out */
    uint64_t       records; /* read so far */
    uint32_t       spaces;  /* the number of the last space record */
    bool           named;   /* there is a last name */
    bool           keyed;   /* there is a last key, of space `key_space` */
    uint32_t       key_space;
    akv_slice      name, key;
} memory_image;

void akvi_memory_header_put(uint8_t out[MEMORY_HEADER_LEN], uint64_t epoch, uint64_t seq);
/* Without key and value, which follow it. */
void akvi_memory_record_put(uint8_t out[MEMORY_RECORD_LEN], const memory_record *record);

/* Begin to read: check the header. AKV_CORRUPT with image->data NULL: this is
 * no image at all. */
AKVI_MUST_USE akv_status akvi_memory_image_begin(memory_image *image, const char *path,
                                                 const void *data, size_t len);
/* The next record, the end record being the last. AKV_CORRUPT: the fault is
 * recorded, and image->off is where it is. */
AKVI_MUST_USE akv_status akvi_memory_image_next(memory_image *image, memory_record *record_out);
/* After AKV_CORRUPT: go on at the next place that looks like a record; false
 * when there is none. */
bool akvi_memory_image_resync(memory_image *image);

#endif
