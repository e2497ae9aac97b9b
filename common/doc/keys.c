/* SPDX-License-Identifier: MIT
 *
 * keys.c: see keys.h.
 */
#include "common/doc/keys.h"

#include "common/base/bytes.h"

#include <stdlib.h>

typedef struct key_entry {
    const uint8_t *data; /* NULL: in `copies`, from copy_off */
    size_t         copy_off, len;
    uint64_t       offset;
    uint8_t        type, ext_type;
} key_entry;

void akvi_doc_keys_init(akvi_doc_keys *keys, const akv_allocator *allocator)
{
    keys->entries    = (akv_buffer){NULL, 0, 0, allocator};
    keys->copies     = (akv_buffer){NULL, 0, 0, allocator};
    keys->dropped    = (akv_buffer){NULL, 0, 0, allocator};
    keys->dropped_at = 0;
}

void akvi_doc_keys_free(akvi_doc_keys *keys)
{
    akv_buffer_free(&keys->entries);
    akv_buffer_free(&keys->copies);
    akv_buffer_free(&keys->dropped);
}

akvi_doc_keys_mark akvi_doc_keys_begin(const akvi_doc_keys *keys)
{
    return (akvi_doc_keys_mark){keys->entries.len, keys->copies.len};
}

/* The value of a key that is no run of bytes, as eight of them. */
static uint64_t keys_scalar(const akv_doc_event *ev)
{
    uint64_t bits;

    switch (ev->type) {
    case AKV_DOC_BOOL: return ev->boolean;
    case AKV_DOC_INT: return (uint64_t)ev->i64;
    case AKV_DOC_UINT: return ev->u64;
    case AKV_DOC_NUMBER: memcpy(&bits, &ev->f64, sizeof bits); return bits;
    default: return 0;
    }
}

akv_status akvi_doc_keys_add(akvi_doc_keys *keys, const akv_doc_event *ev, bool borrowed)
{
    key_entry      e     = {.offset = ev->offset, .type = (uint8_t)ev->type};
    const uint8_t *bytes = ev->bytes.data;
    akv_status     rc    = AKV_OK;
    uint64_t       scalar;

    if (ev->type != AKV_DOC_STRING && ev->type != AKV_DOC_BINARY && ev->type != AKV_DOC_EXT) {
        scalar   = keys_scalar(ev);
        bytes    = (const uint8_t *)&scalar;
        borrowed = false;
        e.len    = sizeof scalar;
    } else {
        e.len      = ev->bytes.len;
        e.ext_type = (uint8_t)ev->ext_type;
    }
    if (borrowed) {
        e.data = bytes;
    } else {
        e.copy_off = keys->copies.len;
        rc         = akv_buffer_append(&keys->copies, bytes, e.len);
    }
    if (rc != AKV_OK)
        return rc;
    return akv_buffer_append(&keys->entries, &e, sizeof e);
}

void akvi_doc_keys_set(akvi_doc_keys *keys, const uint8_t *text, const uint8_t *end)
{
    key_entry *e = (key_entry *)keys->entries.data + keys->entries.len / sizeof *e - 1;

    e->data = text + e->offset;
    e->len  = (size_t)(end - e->data);
}

static int keys_compare_bytes(const key_entry *a, const key_entry *b)
{
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    if (a->ext_type != b->ext_type)
        return a->ext_type < b->ext_type ? -1 : 1;
    return akvi_compare(a->data, a->len, b->data, b->len);
}

static int keys_compare(const void *a_in, const void *b_in)
{
    const key_entry *a = a_in, *b = b_in;
    int              c = keys_compare_bytes(a, b);

    return c != 0 ? c : a->offset < b->offset ? -1 : a->offset > b->offset;
}

akv_status akvi_doc_keys_end(akvi_doc_keys *keys, akvi_doc_keys_mark mark, bool drop,
                             uint64_t *second_out)
{
    key_entry *e;
    size_t     n  = (keys->entries.len - mark.entries) / sizeof *e;
    akv_status rc = AKV_OK;

    *second_out = AKV_NO_OFFSET;
    if (n < 2)
        goto done;
    e = (key_entry *)keys->entries.data + mark.entries / sizeof *e;
    for (size_t i = 0; i < n; i++) {
        if (!e[i].data)
            e[i].data = (const uint8_t *)keys->copies.data + e[i].copy_off;
    }
    qsort(e, n, sizeof *e, keys_compare);
    for (size_t i = 1; i < n && rc == AKV_OK; i++) {
        if (keys_compare_bytes(&e[i - 1], &e[i]) != 0)
            continue;
        if (e[i].offset < *second_out)
            *second_out = e[i].offset;
        if (drop)
            rc = akv_buffer_append(&keys->dropped, &e[i - 1].offset, sizeof e[i].offset);
    }
done:
    keys->entries.len = mark.entries;
    keys->copies.len  = mark.copies;
    return rc;
}

static int keys_compare_offsets(const void *a_in, const void *b_in)
{
    uint64_t a = *(const uint64_t *)a_in, b = *(const uint64_t *)b_in;

    return a < b ? -1 : a > b;
}

void akvi_doc_keys_sort_dropped(akvi_doc_keys *keys)
{
    size_t n = keys->dropped.len / sizeof(uint64_t);

    if (n > 1)
        qsort(keys->dropped.data, n, sizeof(uint64_t), keys_compare_offsets);
}

bool akvi_doc_keys_is_dropped(akvi_doc_keys *keys, uint64_t offset)
{
    const uint64_t *dropped = keys->dropped.data;
    size_t          n       = keys->dropped.len / sizeof *dropped;

    while (keys->dropped_at < n && dropped[keys->dropped_at] < offset)
        keys->dropped_at++;
    return keys->dropped_at < n && dropped[keys->dropped_at] == offset;
}
