/* SPDX-License-Identifier: MIT
 *
 * msgpack_write.c: events as MessagePack, in the shortest forms.
 *
 * msgpack-c packs the values. Of a container whose count is not known yet only
 * a one-byte header is written, and a slot remembers where. Counts over 15 need
 * two or four bytes more: they are made room for in one pass over the document
 * when it is complete, from its end to its beginning, so that the work stays
 * linear however containers nest.
 */
#include "common/doc/writer.h"

#include "common/base/bytes.h"
#include "common/base/printable.h"
#include "common/doc/number.h"

#include <msgpack/pack.h>

/* A one-byte header at `at`; in order of `at`. */
typedef struct msgpack_slot {
    size_t   at;
    uint32_t count;
    bool     is_map;
} msgpack_slot;

#define MSGPACK_NO_SLOT SIZE_MAX
#define MSGPACK_FIX_MAX 15

static int msgpack_append(void *out, const char *data, size_t len)
{
    return akv_buffer_append(out, data, len) == AKV_OK ? 0 : -1;
}

static msgpack_packer msgpack_to(akv_buffer *out)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, msgpack_append);
    return pk;
}

/* Packers answer what msgpack_append did. */
static akv_status msgpack_status(int packed)
{
    return packed == 0 ? AKV_OK : AKV_NOMEM;
}

/* ----------------------------------------------------------------- scalars */

static akv_status msgpack_number(akv_doc_writer *w, msgpack_packer *pk, const akv_doc_event *ev)
{
    bool   exact = true;
    double v     = akv_doc_double(ev, &exact);
    int    shown = ev->bytes.len > 40 ? 40 : (int)ev->bytes.len;

    if (!exact && (w->opt.flags & AKV_DOC_LOSSY) == 0)
        return akvi_doc_writer_fail(w, AKV_UNSUPPORTED, ev->offset,
                                    "no 64-bit float is the number %.*s%s (AKV_DOC_LOSSY takes the "
                                    "nearest)",
                                    shown, (const char *)ev->bytes.data,
                                    (size_t)shown < ev->bytes.len ? "..." : "");
    return msgpack_status(ev->is_float32 ? msgpack_pack_float(pk, (float)v)
                                         : msgpack_pack_double(pk, v));
}

static akv_status msgpack_run(akv_doc_writer *w, msgpack_packer *pk, const akv_doc_event *ev)
{
    size_t len = ev->bytes.len;
    int    packed;

    if (len > UINT32_MAX)
        return akvi_doc_writer_fail(w, AKV_TOO_BIG, ev->offset,
                                    "a value of %zu bytes, over the limit of %u", len, UINT32_MAX);
    if (ev->type == AKV_DOC_STRING && (w->opt.flags & AKV_DOC_RAW_TEXT) == 0 &&
        akvi_utf8_check(ev->bytes.data, len) != len)
        return akvi_doc_writer_fail(w, AKV_UNSUPPORTED, ev->offset,
                                    "a string that is not UTF-8 (AKV_DOC_RAW_TEXT lets it be)");
    if (ev->type == AKV_DOC_STRING)
        packed = msgpack_pack_str(pk, len);
    else if (ev->type == AKV_DOC_BINARY)
        packed = msgpack_pack_bin(pk, len);
    else
        packed = msgpack_pack_ext(pk, len, ev->ext_type);
    return packed == 0 ? akv_buffer_append(w->out, ev->bytes.data, len) : AKV_NOMEM;
}

akv_status akvi_msgpack_scalar(akv_doc_writer *w, const akv_doc_event *ev)
{
    msgpack_packer pk = msgpack_to(w->out);

    switch (ev->type) {
    case AKV_DOC_NULL: return msgpack_status(msgpack_pack_nil(&pk));
    case AKV_DOC_BOOL:
        return msgpack_status(ev->boolean ? msgpack_pack_true(&pk) : msgpack_pack_false(&pk));
    case AKV_DOC_INT: return msgpack_status(msgpack_pack_int64(&pk, ev->i64));
    case AKV_DOC_UINT: return msgpack_status(msgpack_pack_uint64(&pk, ev->u64));
    case AKV_DOC_NUMBER: return msgpack_number(w, &pk, ev);
    case AKV_DOC_STRING:
    case AKV_DOC_BINARY:
    case AKV_DOC_EXT: return msgpack_run(w, &pk, ev);
    default:
        return akvi_doc_writer_fail(w, AKV_MISUSE, ev->offset, "%d is no type of an event",
                                    (int)ev->type);
    }
}

/* -------------------------------------------------------------- containers */

static akv_status msgpack_known(akv_doc_writer *w, const akv_doc_event *ev)
{
    msgpack_packer pk = msgpack_to(w->out);

    return msgpack_status(ev->type == AKV_DOC_MAP ? msgpack_pack_map(&pk, (size_t)ev->count)
                                                  : msgpack_pack_array(&pk, (size_t)ev->count));
}

akv_status akvi_msgpack_begin(akv_doc_writer *w, const akv_doc_event *ev, size_t *slot_out)
{
    msgpack_slot slot = {.at = w->out->len, .is_map = ev->type == AKV_DOC_MAP};
    akv_status   rc;

    *slot_out = MSGPACK_NO_SLOT;
    if (ev->count != AKV_DOC_COUNT_UNKNOWN)
        return msgpack_known(w, ev);
    *slot_out = w->slots.len / sizeof slot;
    rc        = akv_buffer_append(&w->slots, &slot, sizeof slot);
    return rc == AKV_OK ? akvi_buffer_byte(w->out, 0) : rc;
}

akv_status akvi_msgpack_end(akv_doc_writer *w, const akvi_doc_level *level, uint64_t offset)
{
    uint64_t      count = level->is_map ? level->items / 2 : level->items;
    msgpack_slot *slot;

    if (level->slot == MSGPACK_NO_SLOT)
        return AKV_OK;
    if (count > UINT32_MAX)
        return akvi_doc_writer_fail(w, AKV_TOO_BIG, offset,
                                    "a container of %llu, over the limit of %u",
                                    (unsigned long long)count, UINT32_MAX);
    slot        = (msgpack_slot *)w->slots.data + level->slot;
    slot->count = (uint32_t)count;
    if (count > MSGPACK_FIX_MAX)
        return AKV_OK;
    ((uint8_t *)w->out->data)[slot->at] = (uint8_t)((level->is_map ? 0x80 : 0x90) | count);
    if (level->slot == w->slots.len / sizeof *slot - 1)
        w->slots.len -= sizeof *slot;
    return AKV_OK;
}

/* How many bytes more than one the header of a container takes. */
static size_t msgpack_extra(uint32_t count)
{
    return count <= MSGPACK_FIX_MAX ? 0 : count <= UINT16_MAX ? 2 : 4;
}

static void msgpack_wide_header(uint8_t *at, const msgpack_slot *slot)
{
    if (slot->count <= UINT16_MAX) {
        at[0] = slot->is_map ? 0xde : 0xdc;
        akvi_put_be16(at + 1, (uint16_t)slot->count);
    } else {
        at[0] = slot->is_map ? 0xdf : 0xdd;
        akvi_put_be32(at + 1, slot->count);
    }
}

akv_status akvi_msgpack_settle(akv_doc_writer *w)
{
    const msgpack_slot *slots = w->slots.data;
    size_t              n = w->slots.len / sizeof *slots, extra = 0, from = w->out->len, to;
    uint8_t            *data;
    akv_status          rc;

    for (size_t i = 0; i < n; i++)
        extra += msgpack_extra(slots[i].count);
    rc = akvi_buffer_resize(w->out, from + extra);
    if (rc != AKV_OK)
        return rc;
    data = w->out->data;
    for (to = from + extra; n-- > 0 && to != from;) {
        size_t header = 1 + msgpack_extra(slots[n].count);
        size_t body   = from - slots[n].at - 1;

        if (header == 1)
            continue;
        memmove(data + to - body, data + from - body, body);
        from = slots[n].at;
        to -= body + header;
        msgpack_wide_header(data + to, &slots[n]);
    }
    akvi_buffer_clear(&w->slots);
    return AKV_OK;
}
