/* SPDX-License-Identifier: MIT
 *
 * edit.c: see edit.h.
 */
#include "engines/lsm/edit.h"

#include "common/base/buffer.h"
#include "common/base/take.h"
#include "engines/lsm/format.h"

/* ------------------------------------------------------------------ writing */

static akv_status edit_field(akv_buffer *out, lsm_edit_tag tag, akv_slice value)
{
    uint8_t    head[2 * AKVI_VARINT_MAX];
    size_t     n = akvi_put_varint(head, tag);
    akv_status rc;

    n += akvi_put_varint(head + n, value.len);
    rc = akv_buffer_append(out, head, n);
    return rc == AKV_OK ? akv_buffer_append(out, value.data, value.len) : rc;
}

static akv_status edit_number(akv_buffer *out, lsm_edit_tag tag, uint64_t number)
{
    uint8_t bytes[AKVI_VARINT_MAX];

    return number == 0 ? AKV_OK
                       : edit_field(out, tag, akv_bytes(bytes, akvi_put_varint(bytes, number)));
}

static akv_status edit_added(akv_buffer *out, const lsm_table_meta *t)
{
    const uint64_t numbers[] = {t->number,       t->size,        t->entries,
                                t->deletes,      t->ranges,      t->raw_bytes,
                                t->smallest_seq, t->largest_seq, t->smallest.len};
    uint8_t        bytes[2 + AKVI_VARINT_MAX * AKVI_ARRAY_N(numbers)];
    uint8_t        head[2 * AKVI_VARINT_MAX];
    size_t         n = 0, h;
    akv_status     rc;

    bytes[n++] = t->level;
    bytes[n++] = t->unbounded;
    for (size_t i = 0; i < AKVI_ARRAY_N(numbers); i++)
        n += akvi_put_varint(bytes + n, numbers[i]);
    h = akvi_put_varint(head, LSM_EDIT_ADDED);
    h += akvi_put_varint(head + h, n + t->smallest.len + t->largest.len);
    rc = akv_buffer_append(out, head, h);
    if (rc == AKV_OK)
        rc = akv_buffer_append(out, bytes, n);
    if (rc == AKV_OK)
        rc = akv_buffer_append(out, t->smallest.data, t->smallest.len);
    return rc == AKV_OK ? akv_buffer_append(out, t->largest.data, t->largest.len) : rc;
}

static akv_status edit_removed(akv_buffer *out, const lsm_table_ref *t)
{
    uint8_t bytes[1 + AKVI_VARINT_MAX];

    bytes[0] = t->level;
    return edit_field(out, LSM_EDIT_REMOVED,
                      akv_bytes(bytes, 1 + akvi_put_varint(bytes + 1, t->number)));
}

akv_status akvi_lsm_edit_put(akv_buffer *out, const lsm_edit_first *first, const lsm_edit *edit)
{
    akv_status rc = AKV_OK;
    uint8_t    epoch[8];

    if (first) {
        akvi_put_le64(epoch, first->epoch);
        rc = edit_field(out, LSM_EDIT_COMPARATOR, first->comparator);
        if (rc == AKV_OK)
            rc = edit_field(out, LSM_EDIT_EPOCH, akv_bytes(epoch, sizeof epoch));
        if (rc == AKV_OK)
            rc = edit_number(out, LSM_EDIT_INCOMPATIBLE, first->incompatible);
    }
    if (rc == AKV_OK)
        rc = edit_number(out, LSM_EDIT_LOG, edit->log_number);
    if (rc == AKV_OK)
        rc = edit_number(out, LSM_EDIT_NEXT, edit->next_file);
    if (rc == AKV_OK)
        rc = edit_number(out, LSM_EDIT_SEQ, edit->last_seq);
    for (size_t i = 0; rc == AKV_OK && i < edit->removed_n; i++)
        rc = edit_removed(out, &edit->removed[i]);
    for (size_t i = 0; rc == AKV_OK && i < edit->added_n; i++)
        rc = edit_added(out, &edit->added[i]);
    return rc;
}

/* ------------------------------------------------------------------ reading */

static bool edit_level(akv_slice *left, uint8_t *level_out)
{
    akv_slice byte;

    if (!akvi_take_bytes(left, 1, &byte))
        return false;
    *level_out = *(const uint8_t *)byte.data;
    return *level_out < LSM_LEVELS;
}

static bool edit_parse_added(akv_slice left, lsm_table_meta *t)
{
    uint64_t *const numbers[] = {&t->number, &t->size,      &t->entries,      &t->deletes,
                                 &t->ranges, &t->raw_bytes, &t->smallest_seq, &t->largest_seq};
    uint64_t        len;
    akv_slice       flag;

    *t = (lsm_table_meta){0};
    if (!edit_level(&left, &t->level) || !akvi_take_bytes(&left, 1, &flag))
        return false;
    t->unbounded = *(const uint8_t *)flag.data == 1;
    if (*(const uint8_t *)flag.data > 1)
        return false;
    for (size_t i = 0; i < AKVI_ARRAY_N(numbers); i++)
        if (!akvi_take_varint(&left, numbers[i]))
            return false;
    if (!akvi_take_varint(&left, &len) || !akvi_take_bytes(&left, len, &t->smallest))
        return false;
    t->largest = left;
    return t->number != 0 && t->number < UINT64_MAX && t->smallest.len <= LSM_MAX_KEY &&
           t->largest.len <= LSM_MAX_KEY &&
           (t->unbounded || akvi_compare(t->smallest.data, t->smallest.len, t->largest.data,
                                         t->largest.len) <= 0) &&
           t->smallest_seq <= t->largest_seq && t->largest_seq <= LSM_SEQ_MAX;
}

static bool edit_parse_removed(akv_slice left, lsm_table_ref *t)
{
    *t = (lsm_table_ref){0};
    return edit_level(&left, &t->level) && akvi_take_varint(&left, &t->number) && left.len == 0;
}

static bool edit_one_number(akv_slice left, uint64_t *number_out)
{
    return akvi_take_varint(&left, number_out) && left.len == 0;
}

/* One field. False: its value is not what its tag asks for, or no memory (*rc). */
static bool edit_take(lsm_edit_reader *r, uint64_t tag, akv_slice value, akv_status *rc)
{
    lsm_table_meta added;
    lsm_table_ref  removed;

    switch (tag) {
    case LSM_EDIT_COMPARATOR: r->first.comparator = value; return value.len > 0;
    case LSM_EDIT_EPOCH:
        if (value.len != 8)
            return false;
        r->first.epoch    = akvi_get_le64(value.data);
        r->first.is_there = true;
        return true;
    case LSM_EDIT_INCOMPATIBLE: return edit_one_number(value, &r->first.incompatible);
    case LSM_EDIT_LOG: return edit_one_number(value, &r->edit.log_number);
    case LSM_EDIT_NEXT: return edit_one_number(value, &r->edit.next_file);
    case LSM_EDIT_SEQ:
        return edit_one_number(value, &r->edit.last_seq) && r->edit.last_seq <= LSM_SEQ_MAX;
    case LSM_EDIT_ADDED:
        if (!edit_parse_added(value, &added))
            return false;
        *rc = akv_buffer_append(&r->added, &added, sizeof added);
        return *rc == AKV_OK;
    case LSM_EDIT_REMOVED:
        if (!edit_parse_removed(value, &removed))
            return false;
        *rc = akv_buffer_append(&r->removed, &removed, sizeof removed);
        return *rc == AKV_OK;
    default:
        *rc = tag & 1 ? AKV_OK : AKV_VERSION; /* odd: may be left out */
        return *rc == AKV_OK;
    }
}

akv_status akvi_lsm_edit_get(akv_slice bytes, lsm_edit_reader *r, const char **why_out)
{
    akv_status rc = AKV_OK;

    akvi_buffer_clear(&r->added);
    akvi_buffer_clear(&r->removed);
    r->edit  = (lsm_edit){0};
    r->first = (lsm_edit_first){0};
    *why_out = "a field of an edit is cut or out of range";
    while (bytes.len > 0) {
        uint64_t  tag, len;
        akv_slice value;

        if (!akvi_take_varint(&bytes, &tag) || !akvi_take_varint(&bytes, &len) ||
            !akvi_take_bytes(&bytes, len, &value))
            return AKV_CORRUPT;
        if (!edit_take(r, tag, value, &rc)) {
            if (rc == AKV_VERSION)
                *why_out = "an edit has a field unknown to this library";
            return rc == AKV_OK ? AKV_CORRUPT : rc;
        }
    }
    if (r->first.is_there != (r->first.comparator.len > 0))
        return AKV_CORRUPT;
    r->edit.added     = r->added.data;
    r->edit.added_n   = r->added.len / sizeof(lsm_table_meta);
    r->edit.removed   = r->removed.data;
    r->edit.removed_n = r->removed.len / sizeof(lsm_table_ref);
    return AKV_OK;
}

void akvi_lsm_edit_reader_free(lsm_edit_reader *r)
{
    akv_buffer_free(&r->added);
    akv_buffer_free(&r->removed);
}
