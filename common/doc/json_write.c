/* SPDX-License-Identifier: MIT
 *
 * json_write.c: events as JSON text, compact or indented.
 *
 * A container as a key (AKV_DOC_LOSSY) is first written as itself, compact,
 * where the key belongs, and when it ends its text is made a string. Only one
 * may be open at a time: quoting what is quoted doubles backslashes, so text
 * would grow with two to the power of its depth.
 */
#include "common/doc/json.h"

#include "common/base/printable.h"
#include "common/doc/number.h"
#include "common/doc/writer.h"

#include <math.h>

static bool json_is_lossy(const akv_doc_writer *w)
{
    return (w->opt.flags & AKV_DOC_LOSSY) != 0;
}

/* ----------------------------------------------------------------- strings */

static akv_status json_put_escaped(akv_buffer *out, uint8_t c)
{
    static const char hex[]     = "0123456789abcdef";
    static const char letters[] = "\"\\bfnrt", meanings[] = "\"\\\b\f\n\r\t";
    const char       *meaning = memchr(meanings, c, sizeof meanings - 1);
    char              text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    if (!meaning)
        return akv_buffer_append(out, text, sizeof text);
    text[1] = letters[meaning - meanings];
    return akv_buffer_append(out, text, 2);
}

/* One character that does not stand for itself, or is not ASCII, at p. */
static akv_status json_put_character(akv_doc_writer *w, const uint8_t *p, const uint8_t *end,
                                     uint64_t offset, size_t *len_out)
{
    *len_out = 1;
    if (*p < 0x80)
        return json_put_escaped(w->out, *p);
    *len_out = akvi_utf8_len(p, (size_t)(end - p));
    if (*len_out > 0)
        return akv_buffer_append(w->out, p, *len_out);
    if (!json_is_lossy(w))
        return akvi_doc_writer_fail(w, AKV_UNSUPPORTED, offset,
                                    "a string that is not UTF-8 (AKV_DOC_LOSSY replaces its byte "
                                    "0x%02x)",
                                    *p);
    *len_out = 1;
    return akvi_buffer_text(w->out, "\xef\xbf\xbd");
}

static akv_status json_put_string(akv_doc_writer *w, akv_slice text, uint64_t offset)
{
    const uint8_t *p  = text.data, *end, *plain;
    akv_status     rc = akvi_buffer_byte(w->out, '"');
    size_t         len;

    for (end = text.len ? p + text.len : p; rc == AKV_OK && p < end; p += len) {
        plain = akvi_json_plain(p, end);
        len   = (size_t)(plain - p);
        if (len > 0)
            rc = akv_buffer_append(w->out, p, len);
        else
            rc = json_put_character(w, p, end, offset, &len);
    }
    return rc == AKV_OK ? akvi_buffer_byte(w->out, '"') : rc;
}

/* RFC 4648 section 4, in quotes. */
static akv_status json_put_base64(akv_doc_writer *w, akv_slice bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t    *p        = bytes.data;
    size_t            groups   = bytes.len / 3 + (bytes.len % 3 != 0);
    char             *to;

    if (bytes.len > SIZE_MAX / 2)
        return akvi_doc_writer_fail(w, AKV_TOO_BIG, AKV_NO_OFFSET, "%zu bytes", bytes.len);
    to = akvi_buffer_extend(w->out, groups * 4 + 2);
    if (!to)
        return AKV_NOMEM;
    *to++ = '"';
    for (size_t at = 0; at < bytes.len; at += 3, to += 4) {
        size_t   left = bytes.len - at;
        uint32_t v    = (uint32_t)p[at] << 16;

        v |= left > 1 ? (uint32_t)p[at + 1] << 8 : 0;
        v |= left > 2 ? (uint32_t)p[at + 2] : 0;
        to[0] = digits[v >> 18];
        to[1] = digits[v >> 12 & 63];
        to[2] = left > 1 ? digits[v >> 6 & 63] : '=';
        to[3] = left > 2 ? digits[v & 63] : '=';
    }
    *to = '"';
    return AKV_OK;
}

/* ----------------------------------------------------------- other scalars */

static akv_status json_put_number(akv_doc_writer *w, const akv_doc_event *ev)
{
    const uint8_t *text = ev->bytes.data;
    char           printed[AKVI_NUMBER_MAX];
    bool           is_integer;

    if (ev->bytes.len > 0) {
        if (akvi_number_len(text, text + ev->bytes.len, &is_integer) != ev->bytes.len)
            return akvi_doc_writer_fail(w, AKV_MISUSE, ev->offset,
                                        "the text of a NUMBER is no JSON number");
        return akv_buffer_append(w->out, text, ev->bytes.len);
    }
    if (isfinite(ev->f64))
        return akv_buffer_append(w->out, printed, akvi_number_print(ev->f64, printed));
    if (!json_is_lossy(w))
        return akvi_doc_writer_fail(w, AKV_UNSUPPORTED, ev->offset,
                                    "%s is no JSON number (AKV_DOC_LOSSY writes null)",
                                    isnan(ev->f64) ? "NaN" : "an infinity");
    return akvi_buffer_text(w->out, "null");
}

static akv_status json_put_integer(akv_doc_writer *w, uint64_t magnitude, bool negative)
{
    char text[AKVI_NUMBER_MAX];

    return akv_buffer_append(w->out, text, akvi_number_print_u64(magnitude, negative, text));
}

static akv_status json_put_bytes(akv_doc_writer *w, const akv_doc_event *ev)
{
    if (!json_is_lossy(w))
        return akvi_doc_writer_fail(w, AKV_UNSUPPORTED, ev->offset,
                                    "JSON has no %s (AKV_DOC_LOSSY writes base64 text)",
                                    ev->type == AKV_DOC_BINARY ? "bin" : "ext");
    return json_put_base64(w, ev->bytes);
}

/* Everything but strings and bytes, which bring their own quotes. */
static akv_status json_put_bare(akv_doc_writer *w, const akv_doc_event *ev)
{
    switch (ev->type) {
    case AKV_DOC_NULL: return akvi_buffer_text(w->out, "null");
    case AKV_DOC_BOOL: return akvi_buffer_text(w->out, ev->boolean ? "true" : "false");
    case AKV_DOC_INT:
        return json_put_integer(w, ev->i64 < 0 ? 0 - (uint64_t)ev->i64 : (uint64_t)ev->i64,
                                ev->i64 < 0);
    case AKV_DOC_UINT: return json_put_integer(w, ev->u64, false);
    case AKV_DOC_NUMBER: return json_put_number(w, ev);
    default:
        return akvi_doc_writer_fail(w, AKV_MISUSE, ev->offset, "%d is no type of an event",
                                    (int)ev->type);
    }
}

static akv_status json_check_key(akv_doc_writer *w, const akv_doc_event *ev)
{
    if (ev->type == AKV_DOC_STRING || json_is_lossy(w))
        return AKV_OK;
    return akvi_doc_writer_fail(w, AKV_UNSUPPORTED, ev->offset,
                                "a key that is no string (AKV_DOC_LOSSY writes its text)");
}

akv_status akvi_json_scalar(akv_doc_writer *w, const akv_doc_event *ev, bool is_key)
{
    akv_status rc = is_key ? json_check_key(w, ev) : AKV_OK;

    if (rc != AKV_OK)
        return rc;
    if (ev->type == AKV_DOC_STRING)
        return json_put_string(w, ev->bytes, ev->offset);
    if (ev->type == AKV_DOC_BINARY || ev->type == AKV_DOC_EXT)
        return json_put_bytes(w, ev);
    if (is_key)
        rc = akvi_buffer_byte(w->out, '"');
    if (rc == AKV_OK)
        rc = json_put_bare(w, ev);
    return is_key && rc == AKV_OK ? akvi_buffer_byte(w->out, '"') : rc;
}

/* -------------------------------------------------------------- containers */

static akv_status json_new_line(akv_doc_writer *w)
{
    size_t spaces = (size_t)w->depth * w->opt.indent;
    char  *to;

    if (w->opt.indent == 0 || w->in_key)
        return AKV_OK;
    to = akvi_buffer_extend(w->out, spaces + 1);
    if (!to)
        return AKV_NOMEM;
    *to = '\n';
    memset(to + 1, ' ', spaces);
    return AKV_OK;
}

akv_status akvi_json_separate(akv_doc_writer *w, const akvi_doc_level *level)
{
    akv_status rc = AKV_OK;

    if (level->is_map && level->items % 2 != 0)
        return akvi_buffer_text(w->out, w->opt.indent > 0 && !w->in_key ? ": " : ":");
    if (level->items > 0)
        rc = akvi_buffer_byte(w->out, ',');
    return rc == AKV_OK ? json_new_line(w) : rc;
}

akv_status akvi_json_begin(akv_doc_writer *w, const akv_doc_event *ev, bool is_key)
{
    akv_status rc = is_key ? json_check_key(w, ev) : AKV_OK;

    if (rc != AKV_OK)
        return rc;
    if (is_key && w->in_key)
        return akvi_doc_writer_fail(w, AKV_UNSUPPORTED, ev->offset,
                                    "a key that is a container, within such a key");
    if (is_key) {
        w->in_key = true;
        w->key_at = w->out->len;
    }
    return akvi_buffer_byte(w->out, ev->type == AKV_DOC_MAP ? '{' : '[');
}

/* Make the text since key_at a string. */
static akv_status json_quote_key(akv_doc_writer *w, uint64_t offset)
{
    akv_buffer text = {NULL, 0, 0, w->opt.allocator};
    akv_status rc;

    rc = akvi_buffer_set(&text, (const uint8_t *)w->out->data + w->key_at, w->out->len - w->key_at);
    if (rc == AKV_OK) {
        w->out->len = w->key_at;
        rc          = json_put_string(w, akvi_buffer_slice(&text), offset);
    }
    akv_buffer_free(&text);
    return rc;
}

akv_status akvi_json_end(akv_doc_writer *w, const akvi_doc_level *level, uint64_t offset)
{
    akv_status rc = level->items > 0 ? json_new_line(w) : AKV_OK;

    if (rc == AKV_OK)
        rc = akvi_buffer_byte(w->out, level->is_map ? '}' : ']');
    if (rc != AKV_OK || !level->is_key)
        return rc;
    w->in_key = false;
    return json_quote_key(w, offset);
}
