/* SPDX-License-Identifier: MIT
 *
 * format.c: images, read and written byte by byte. See format.h.
 */
#include "engines/memory/format.h"

#include "common/base/bytes.h"
#include "common/codec/crc.h"

void akvi_memory_header_put(uint8_t out[MEMORY_HEADER_LEN], uint64_t epoch, uint64_t seq)
{
    memset(out, 0, MEMORY_HEADER_LEN);
    memcpy(out, MEMORY_MAGIC, MEMORY_MAGIC_LEN);
    akvi_put_le32(out + 8, MEMORY_VERSION);
    akvi_put_le64(out + 24, epoch);
    akvi_put_le64(out + 32, seq);
    akvi_put_le32(out + 40, akvi_crc32c(0, out, 40));
}

static uint32_t format_body_crc(akv_slice key, akv_slice value)
{
    return akvi_crc32c(akvi_crc32c(0, key.data, key.len), value.data, value.len);
}

void akvi_memory_record_put(uint8_t out[MEMORY_RECORD_LEN], const memory_record *record)
{
    memset(out, 0, MEMORY_RECORD_LEN);
    akvi_put_le32(out + 4, format_body_crc(record->key, record->value));
    out[8] = (uint8_t)record->kind;
    out[9] = record->encoding;
    akvi_put_le16(out + 10, (uint16_t)record->key.len);
    akvi_put_le32(out + 12, (uint32_t)record->value.len);
    akvi_put_le32(out + 16, record->space);
    akvi_put_le64(out + 24, record->number);
    akvi_put_le64(out + 32, record->expiry_ms);
    akvi_put_le32(out, akvi_crc32c(0, out + 4, MEMORY_RECORD_LEN - 4));
}

/* ----------------------------------------------------------------- reading */

static akv_status format_corrupt(const memory_image *image, const char *what)
{
    return AKV_FAIL_AT(AKV_CORRUPT, image->path, image->off,
                       "damaged image of a memory store: %s; repair keeps what is whole", what);
}

akv_status akvi_memory_image_begin(memory_image *image, const char *path, const void *data,
                                   size_t len)
{
    const uint8_t *p = data;

    *image = (memory_image){.path = path};
    if (len < MEMORY_MAGIC_LEN || memcmp(p, MEMORY_MAGIC, MEMORY_MAGIC_LEN) != 0)
        return AKV_FAIL_AT(AKV_CORRUPT, path, 0, "not an image of a memory store");
    if (len < MEMORY_HEADER_LEN)
        return format_corrupt(image, "it ends within its header");
    image->data = data;
    image->len  = len;
    image->skip = MEMORY_HEADER_LEN;
    image->seq  = MEMORY_SEQ_MAX;
    if (akvi_get_le32(p + 40) != akvi_crc32c(0, p, 40))
        return format_corrupt(image, "the header's checksum does not match");
    if (akvi_get_le32(p + 8) != MEMORY_VERSION)
        return AKV_FAIL_AT(AKV_VERSION, path, 8, "image version %u; this library reads %u",
                           akvi_get_le32(p + 8), MEMORY_VERSION);
    if (akvi_get_le32(p + 12) & ~MEMORY_INCOMPATIBLE)
        return AKV_FAIL_AT(AKV_VERSION, path, 12,
                           "the image uses features unknown to this library (bits 0x%x)",
                           akvi_get_le32(p + 12));
    if (akvi_get_le32(p + 20) != 0 || akvi_get_le64(p + 32) > MEMORY_SEQ_MAX)
        return format_corrupt(image, "a field of the header is out of its range");
    image->epoch = akvi_get_le64(p + 24);
    image->seq   = akvi_get_le64(p + 32);
    image->off   = MEMORY_HEADER_LEN;
    return AKV_OK;
}

/* The head of a record whose checksum holds. */
static void format_record_get(const uint8_t *p, memory_record *out)
{
    *out = (memory_record){
        .kind      = (memory_kind)p[8],
        .encoding  = p[9],
        .key       = akv_bytes(p + MEMORY_RECORD_LEN, akvi_get_le16(p + 10)),
        .value     = akv_bytes(NULL, akvi_get_le32(p + 12)),
        .space     = akvi_get_le32(p + 16),
        .number    = akvi_get_le64(p + 24),
        .expiry_ms = akvi_get_le64(p + 32),
    };
}

/* What is wrong with a record by itself; NULL: nothing. */
static const char *format_fault(const memory_image *image, const memory_record *r, uint32_t zero)
{
    if (zero != 0)
        return "bytes that should be zero are not";
    if (r->kind == MEMORY_PAIR)
        return r->number > image->seq ? "a version above the store's sequence number" : NULL;
    if (r->kind != MEMORY_SPACE && r->kind != MEMORY_END)
        return "a record of an unknown kind";
    if (r->encoding != 0 || r->expiry_ms != 0 || r->value.len != 0)
        return "fields that should be zero are not";
    if (r->kind == MEMORY_END)
        return r->key.len != 0 || r->space != 0 ? "an end record that says too much" : NULL;
    if (r->key.len == 0 || r->key.len > MEMORY_NAME_MAX || memchr(r->key.data, 0, r->key.len))
        return "a key space's name is not 1 to 255 bytes of text";
    return r->number != 0 ? "fields that should be zero are not" : NULL;
}

static bool format_rises(bool has_last, akv_slice last, akv_slice key)
{
    return !has_last || akvi_compare(last.data, last.len, key.data, key.len) < 0;
}

/* What is wrong with a record where it stands; NULL: nothing. */
static const char *format_misplaced(const memory_image *image, const memory_record *r)
{
    if (r->kind == MEMORY_END)
        return r->number == image->records || image->damaged
                   ? NULL
                   : "the end record's count is not that of records";
    if (r->kind == MEMORY_SPACE) {
        if (r->space <= image->spaces || (r->space != image->spaces + 1 && !image->damaged))
            return "key spaces out of order";
        return format_rises(image->named, image->name, r->key) ? NULL : "key spaces out of order";
    }
    if (r->space != image->spaces)
        return "a pair of a key space that is not there";
    return format_rises(image->keyed && image->key_space == r->space, image->key, r->key)
               ? NULL
               : "keys out of order";
}

/* Keep what the next records are checked against. */
static void format_advance(memory_image *image, const memory_record *r)
{
    image->off += image->skip;
    image->records++;
    if (r->kind == MEMORY_SPACE) {
        image->spaces = r->space;
        image->name   = r->key;
        image->named  = true;
    } else if (r->kind == MEMORY_PAIR) {
        image->key       = r->key;
        image->key_space = r->space;
        image->keyed     = true;
    }
}

akv_status akvi_memory_image_next(memory_image *image, memory_record *record_out)
{
    const uint8_t *p    = image->data + image->off;
    size_t         left = image->len - image->off;
    const char    *fault;

    image->skip = 1;
    if (left < MEMORY_RECORD_LEN)
        return format_corrupt(image, "it ends within a record, or before its end record");
    if (akvi_get_le32(p) != akvi_crc32c(0, p + 4, MEMORY_RECORD_LEN - 4))
        return format_corrupt(image, "the checksum of a record's head does not match");
    format_record_get(p, record_out);
    left -= MEMORY_RECORD_LEN;
    if (record_out->key.len > left || record_out->value.len > left - record_out->key.len)
        return format_corrupt(image, "a record's key and value pass its end");
    record_out->value.data = p + MEMORY_RECORD_LEN + record_out->key.len;
    left -= record_out->key.len + record_out->value.len;
    image->skip = image->len - image->off - left;
    if (akvi_get_le32(p + 4) != format_body_crc(record_out->key, record_out->value))
        return format_corrupt(image, "the checksum of a key and value does not match");
    fault = format_fault(image, record_out, akvi_get_le32(p + 20));
    if (!fault)
        fault = format_misplaced(image, record_out);
    if (!fault && record_out->kind == MEMORY_END && left > 0)
        fault = "bytes after the end record";
    if (fault)
        return format_corrupt(image, fault);
    format_advance(image, record_out);
    return AKV_OK;
}

bool akvi_memory_image_resync(memory_image *image)
{
    image->damaged = true;
    if (image->skip > image->len - image->off)
        return false;
    for (image->off += image->skip; image->len - image->off >= MEMORY_RECORD_LEN; image->off++) {
        const uint8_t *p = image->data + image->off;

        if (p[8] >= MEMORY_SPACE && p[8] <= MEMORY_END &&
            akvi_get_le32(p) == akvi_crc32c(0, p + 4, MEMORY_RECORD_LEN - 4))
            return true;
    }
    return false;
}
