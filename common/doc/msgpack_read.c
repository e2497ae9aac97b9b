/* SPDX-License-Identifier: MIT
 *
 * msgpack_read.c: one step of reading MessagePack.
 *
 * A value begins with one byte that tells its type and a length, a number, or
 * how many bytes of those follow; all of them big-endian:
 *
 *   00..7f fixint     80..8f fixmap     90..9f fixarray   a0..bf fixstr
 *   c0 nil  c1 never used  c2 false  c3 true
 *   c4 c5 c6 bin      c7 c8 c9 ext      ca cb float       cc cd ce cf uint
 *   d0 d1 d2 d3 int   d4 d5 d6 d7 d8 fixext of 1 2 4 8 16
 *   d9 da db str      dc dd array       de df map         e0..ff negative fixint
 *
 * A frame counts the items that its container has still to come.
 */
#include "common/doc/reader.h"

#include "common/base/bytes.h"
#include "common/base/printable.h"

enum {
    MSGPACK_DOCUMENT = 0,
    MSGPACK_INSIDE, /* a document has begun */
    MSGPACK_DONE
};

static akv_status msgpack_after_value(akv_doc_reader *r, const uint8_t *p)
{
    r->at     = p;
    r->expect = r->depth == 0 ? MSGPACK_DONE : MSGPACK_INSIDE;
    return AKV_OK;
}

static akv_status msgpack_fail_cut(akv_doc_reader *r, const akv_doc_event *ev, uint64_t need)
{
    const uint8_t *at = r->text + ev->offset;

    return akvi_doc_fail(r, AKV_CORRUPT, at,
                         "value 0x%02x needs %llu bytes after its header, %zu are left", *at,
                         (unsigned long long)need, (size_t)(r->end - r->at));
}

/* Take the next 1, 2, 4 or 8 bytes as a number. */
static akv_status msgpack_take(akv_doc_reader *r, const akv_doc_event *ev, size_t width,
                               uint64_t *value_out)
{
    if ((size_t)(r->end - r->at) < width)
        return msgpack_fail_cut(r, ev, width);
    switch (width) {
    case 1: *value_out = *r->at; break;
    case 2: *value_out = akvi_get_be16(r->at); break;
    case 4: *value_out = akvi_get_be32(r->at); break;
    default: *value_out = akvi_get_be64(r->at); break;
    }
    r->at += width;
    return AKV_OK;
}

/* The bytes of a str, bin or ext, whose header ends at r->at. */
static akv_status msgpack_bytes(akv_doc_reader *r, akv_doc_event *ev, akv_doc_type type,
                                uint64_t len)
{
    const uint8_t *p = r->at;
    size_t         bad;

    if (len > (size_t)(r->end - p))
        return msgpack_fail_cut(r, ev, len);
    ev->type  = type;
    ev->bytes = akv_bytes(p, (size_t)len);
    if (type == AKV_DOC_STRING && (r->opt.flags & AKV_DOC_RAW_TEXT) == 0) {
        bad = akvi_utf8_check(p, (size_t)len);
        if (bad != len)
            return akvi_doc_fail(r, AKV_CORRUPT, p + bad, "byte 0x%02x of a str is not valid UTF-8",
                                 p[bad]);
    }
    return msgpack_after_value(r, p + len);
}

static akv_status msgpack_ext(akv_doc_reader *r, akv_doc_event *ev, uint64_t len)
{
    if (r->at == r->end)
        return msgpack_fail_cut(r, ev, 1);
    ev->ext_type = (int8_t)*r->at++;
    return msgpack_bytes(r, ev, AKV_DOC_EXT, len);
}

/* Every item takes a byte at least, so a count can be told from a lie. */
static akv_status msgpack_open(akv_doc_reader *r, akv_doc_event *ev, akv_doc_type type,
                               uint64_t count)
{
    uint64_t   items = type == AKV_DOC_MAP ? count * 2 : count;
    akv_status rc;

    if (items > (size_t)(r->end - r->at))
        return msgpack_fail_cut(r, ev, items);
    ev->type  = type;
    ev->count = count;
    r->expect = MSGPACK_INSIDE;
    rc        = akvi_doc_open(r, ev);
    if (rc == AKV_OK)
        r->frames[r->depth - 1].left = items;
    return rc;
}

static akv_status msgpack_integer(akv_doc_reader *r, akv_doc_event *ev, int64_t value)
{
    ev->type = AKV_DOC_INT;
    ev->i64  = value;
    return msgpack_after_value(r, r->at);
}

static akv_status msgpack_unsigned(akv_doc_reader *r, akv_doc_event *ev, uint64_t value)
{
    if (value <= INT64_MAX)
        return msgpack_integer(r, ev, (int64_t)value);
    ev->type = AKV_DOC_UINT;
    ev->u64  = value;
    return msgpack_after_value(r, r->at);
}

static akv_status msgpack_float(akv_doc_reader *r, akv_doc_event *ev, bool is_32, uint64_t bits)
{
    uint32_t bits32 = (uint32_t)bits;
    float    narrow;

    ev->type       = AKV_DOC_NUMBER;
    ev->is_float32 = is_32;
    if (is_32) {
        memcpy(&narrow, &bits32, sizeof narrow);
        ev->f64 = (double)narrow;
    } else {
        memcpy(&ev->f64, &bits, sizeof ev->f64);
    }
    return msgpack_after_value(r, r->at);
}

static int64_t msgpack_sign_extend(uint64_t value, size_t width)
{
    switch (width) {
    case 1: return (int8_t)value;
    case 2: return (int16_t)value;
    case 4: return (int32_t)value;
    default: return (int64_t)value;
    }
}

/* A value whose first byte is c4..df: a number of `width` bytes follows, which
 * is the value itself, a length or a count. */
static akv_status msgpack_wide(akv_doc_reader *r, akv_doc_event *ev, uint8_t first)
{
    static const uint8_t widths[] = {1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8, 1, 2,
                                     4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4};
    size_t               width    = widths[first - 0xc4];
    uint64_t             v        = 0;
    akv_status           rc       = width ? msgpack_take(r, ev, width, &v) : AKV_OK;

    if (rc != AKV_OK)
        return rc;
    if (first <= 0xc6)
        return msgpack_bytes(r, ev, AKV_DOC_BINARY, v);
    if (first <= 0xc9)
        return msgpack_ext(r, ev, v);
    if (first <= 0xcb)
        return msgpack_float(r, ev, first == 0xca, v);
    if (first <= 0xcf)
        return msgpack_unsigned(r, ev, v);
    if (first <= 0xd3)
        return msgpack_integer(r, ev, msgpack_sign_extend(v, width));
    if (first <= 0xd8)
        return msgpack_ext(r, ev, UINT64_C(1) << (first - 0xd4));
    if (first <= 0xdb)
        return msgpack_bytes(r, ev, AKV_DOC_STRING, v);
    return msgpack_open(r, ev, first <= 0xdd ? AKV_DOC_ARRAY : AKV_DOC_MAP, v);
}

static akv_status msgpack_value(akv_doc_reader *r, akv_doc_event *ev)
{
    uint8_t first;

    if (r->at == r->end)
        return akvi_doc_fail(r, AKV_CORRUPT, r->at, "the bytes end where a value should be");
    first = *r->at++;
    if (first < 0x80)
        return msgpack_integer(r, ev, first);
    if (first < 0x90)
        return msgpack_open(r, ev, AKV_DOC_MAP, first & 0x0f);
    if (first < 0xa0)
        return msgpack_open(r, ev, AKV_DOC_ARRAY, first & 0x0f);
    if (first < 0xc0)
        return msgpack_bytes(r, ev, AKV_DOC_STRING, first & 0x1f);
    if (first >= 0xe0)
        return msgpack_integer(r, ev, (int8_t)first);
    if (first >= 0xc4)
        return msgpack_wide(r, ev, first);
    if (first == 0xc1)
        return akvi_doc_fail(r, AKV_CORRUPT, r->at - 1, "byte c1 begins no value");
    ev->type    = first == 0xc0 ? AKV_DOC_NULL : AKV_DOC_BOOL;
    ev->boolean = first == 0xc3;
    return msgpack_after_value(r, r->at);
}

static akv_status msgpack_close(akv_doc_reader *r, akv_doc_event *ev)
{
    const akvi_doc_frame *frame = &r->frames[--r->depth];

    ev->type   = frame->is_map ? AKV_DOC_MAP_END : AKV_DOC_ARRAY_END;
    ev->is_key = frame->is_key;
    return msgpack_after_value(r, r->at);
}

akv_status akvi_msgpack_step(akv_doc_reader *r, akv_doc_event *ev)
{
    akvi_doc_frame *frame;
    bool            many = (r->opt.flags & AKV_DOC_MANY) != 0;

    *ev        = (akv_doc_event){0};
    ev->offset = (uint64_t)(r->at - r->text);
    if (r->expect == MSGPACK_INSIDE) {
        frame = &r->frames[r->depth - 1];
        if (frame->left == 0)
            return msgpack_close(r, ev);
        ev->is_key = frame->is_map && frame->left % 2 == 0;
        frame->left--;
    } else if (r->at == r->end && (r->expect == MSGPACK_DONE || many)) {
        return AKV_END;
    } else if (r->expect == MSGPACK_DONE && !many) {
        return akvi_doc_fail(r, AKV_CORRUPT, r->at, "the document has ended, but bytes follow");
    }
    return msgpack_value(r, ev);
}
