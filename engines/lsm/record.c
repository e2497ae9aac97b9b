/* SPDX-License-Identifier: MIT
 *
 * record.c: atomic writes as the records of a write-ahead log; layout in
 * format.h.
 */
#include "common/base/buffer.h"
#include "common/base/take.h"
#include "engines/lsm/format.h"
#include "engines/lsm/wal.h"

#include <assert.h>

/* ------------------------------------------------------------------ writing */

static akv_status record_count_one(akv_buffer *record)
{
    uint8_t *head = record->data;
    uint32_t n    = akvi_get_le32(head + 8);

    if (n == UINT32_MAX)
        return AKV_FAIL(AKV_TOO_BIG, "a batch of over %u operations: write it in parts", n);
    akvi_put_le32(head + 8, n + 1);
    return AKV_OK;
}

akv_status akvi_lsm_record_add_head(akv_buffer *record, const lsm_entry *e)
{
    akv_status rc;
    uint8_t   *at;

    assert(e->key.len <= LSM_MAX_KEY && e->value.len <= LSM_MAX_VALUE);
    rc = akvi_buffer_reserve(record, LSM_RECORD_HEAD + LSM_RECORD_ENTRY_MAX + e->key.len);
    if (rc != AKV_OK)
        return rc;
    if (record->len == 0) {
        memset(record->data, 0, LSM_RECORD_HEAD);
        record->len = LSM_RECORD_HEAD;
    }
    rc = record_count_one(record);
    if (rc != AKV_OK)
        return rc;
    at    = (uint8_t *)record->data + record->len;
    *at++ = (uint8_t)(e->kind | (e->expiry_ms ? LSM_RECORD_EXPIRY : 0) |
                      (e->encoding ? LSM_RECORD_ENCODING : 0));
    if (e->expiry_ms)
        at += akvi_put_varint(at, e->expiry_ms);
    if (e->encoding)
        *at++ = e->encoding;
    at += akvi_put_varint(at, e->key.len);
    if (e->kind != LSM_DELETE)
        at += akvi_put_varint(at, e->value.len);
    if (e->key.len > 0)
        memcpy(at, e->key.data, e->key.len);
    record->len = (size_t)(at + e->key.len - (uint8_t *)record->data);
    return AKV_OK;
}

akv_status akvi_lsm_record_add(akv_buffer *record, const lsm_entry *entry)
{
    akv_status rc = akvi_buffer_reserve(record, LSM_RECORD_HEAD + LSM_RECORD_ENTRY_MAX +
                                                    entry->key.len + entry->value.len);

    if (rc == AKV_OK)
        rc = akvi_lsm_record_add_head(record, entry);
    if (rc == AKV_OK && entry->kind != LSM_DELETE)
        rc = akv_buffer_append(record, entry->value.data, entry->value.len);
    return rc;
}

void akvi_lsm_record_number(akv_buffer *record, uint64_t first_seq)
{
    assert(record->len >= LSM_RECORD_HEAD && first_seq > 0 && first_seq <= LSM_SEQ_MAX);
    akvi_put_le64(record->data, first_seq);
}

/* ------------------------------------------------------------------ reading */

akv_status akvi_lsm_record_begin(akv_slice record, lsm_record_reader *reader_out)
{
    const uint8_t *p = record.data;

    *reader_out = (lsm_record_reader){0};
    if (record.len < LSM_RECORD_HEAD)
        return AKV_FAIL(AKV_CORRUPT, "a record of %zu bytes is too short for its head", record.len);
    reader_out->left = akv_bytes(p + LSM_RECORD_HEAD, record.len - LSM_RECORD_HEAD);
    reader_out->seq  = akvi_get_le64(p);
    reader_out->n    = akvi_get_le32(p + 8);
    if (reader_out->seq == 0 || reader_out->seq > LSM_SEQ_MAX ||
        reader_out->n > LSM_SEQ_MAX - reader_out->seq + 1)
        return AKV_FAIL(AKV_CORRUPT, "a record with the sequence number %llu",
                        (unsigned long long)reader_out->seq);
    if (reader_out->n == 0 || reader_out->n > reader_out->left.len / LSM_RECORD_ENTRY_MIN)
        return AKV_FAIL(AKV_CORRUPT, "a record of %zu bytes can't hold %u operations", record.len,
                        reader_out->n);
    return AKV_OK;
}

/* What follows the first byte; false: it is cut, or a number is out of range. */
static bool record_parse(akv_slice *left, uint8_t flags, lsm_entry *e)
{
    uint64_t  key_len, value_len = 0;
    akv_slice encoding;

    if (flags & LSM_RECORD_EXPIRY && (!akvi_take_varint(left, &e->expiry_ms) || e->expiry_ms == 0))
        return false;
    if (flags & LSM_RECORD_ENCODING) {
        if (!akvi_take_bytes(left, 1, &encoding))
            return false;
        e->encoding = *(const uint8_t *)encoding.data;
        if (e->encoding == 0)
            return false;
    }
    if (!akvi_take_varint(left, &key_len) || key_len > LSM_MAX_KEY)
        return false;
    if (e->kind != LSM_DELETE && (!akvi_take_varint(left, &value_len) || value_len > LSM_MAX_VALUE))
        return false;
    return akvi_take_bytes(left, key_len, &e->key) && akvi_take_bytes(left, value_len, &e->value);
}

akv_status akvi_lsm_record_next(lsm_record_reader *r, lsm_entry *entry_out)
{
    uint8_t first;

    *entry_out = (lsm_entry){.seq = r->seq};
    if (r->n == 0)
        return r->left.len == 0
                   ? AKV_END
                   : AKV_FAIL(AKV_CORRUPT, "%zu bytes behind a record's operations", r->left.len);
    if (r->left.len == 0)
        return AKV_FAIL(AKV_CORRUPT, "a record lacks %u of its operations", r->n);
    first           = *(const uint8_t *)r->left.data;
    entry_out->kind = first & LSM_RECORD_KIND;
    if (entry_out->kind < LSM_PUT || entry_out->kind > LSM_DELETE_RANGE ||
        (first & ~LSM_RECORD_KNOWN) != 0)
        return AKV_FAIL(AKV_VERSION, "an operation of a kind unknown to this library (0x%02x)",
                        first);
    if (entry_out->kind != LSM_PUT && (first & ~LSM_RECORD_KIND) != 0)
        return AKV_FAIL(AKV_CORRUPT, "a delete with what only values have (0x%02x)", first);
    r->left = akv_bytes((const uint8_t *)r->left.data + 1, r->left.len - 1);
    if (!record_parse(&r->left, first, entry_out))
        return AKV_FAIL(AKV_CORRUPT, "an operation is cut, or a size in it is out of range");
    r->n--;
    r->seq++;
    return AKV_OK;
}
