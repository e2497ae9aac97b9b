/* SPDX-License-Identifier: MIT
 *
 * json_read.c: one step of reading JSON (RFC 8259).
 *
 * What may come next is one word, r->expect; which container it is in is the
 * innermost frame. White space is passed at the beginning of a step, so r->at
 * stays just past the last event.
 */
#include "common/doc/json.h"

#include "common/base/printable.h"
#include "common/doc/number.h"
#include "common/doc/reader.h"

enum {
    JSON_DOCUMENT = 0,
    JSON_DONE, /* a document has ended */
    JSON_FIRST_VALUE,
    JSON_FIRST_KEY,
    JSON_COLON,
    JSON_COMMA
};

static const uint8_t *json_skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* A value has ended just before p. */
static akv_status json_after_value(akv_doc_reader *r, const uint8_t *p)
{
    r->at     = p;
    r->expect = r->depth == 0 ? JSON_DONE : JSON_COMMA;
    return AKV_OK;
}

/* ----------------------------------------------------------------- strings */

static akv_status json_fail_in_string(akv_doc_reader *r, const uint8_t *p)
{
    if (p == r->end)
        return akvi_doc_fail(r, AKV_CORRUPT, p, "the text ends within a string");
    if (*p < 0x20)
        return akvi_doc_fail(r, AKV_CORRUPT, p, "control character 0x%02x in a string: escape it",
                             *p);
    return akvi_doc_fail(r, AKV_CORRUPT, p, "byte 0x%02x is not valid UTF-8", *p);
}

/* The first quote or backslash from p on; a failure is at *p_out. */
static bool json_scan_string(const uint8_t *p, const uint8_t *end, const uint8_t **p_out)
{
    for (;;) {
        size_t n;

        p      = akvi_json_plain(p, end);
        *p_out = p;
        if (p == end)
            return false;
        if (*p < 0x80)
            return *p == '"' || *p == '\\';
        n = akvi_utf8_len(p, (size_t)(end - p));
        if (n == 0)
            return false;
        p += n;
    }
}

static bool json_hex4(const uint8_t *p, const uint8_t *end, uint32_t *value_out)
{
    uint32_t value = 0;

    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        uint8_t c = p[i], lower = c | 0x20;

        if (c >= '0' && c <= '9')
            value = value << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return false;
    }
    *value_out = value;
    return true;
}

static size_t json_encode_utf8(uint32_t c, uint8_t out[4])
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    if (n == 1) {
        out[0] = (uint8_t)c;
        return 1;
    }
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(0xf00 >> n | c);
    return n;
}

/* The escape \uXXXX at p, and the low half that follows a high one. Returns the
 * byte after, or NULL after a failure. */
static const uint8_t *json_unicode_escape(akv_doc_reader *r, const uint8_t *p, uint8_t utf8[4],
                                          size_t *len_out)
{
    uint32_t c, low;

    if (!json_hex4(p + 2, r->end, &c)) {
        akvi_doc_fail(r, AKV_CORRUPT, p, "\\u without four hexadecimal digits");
        return NULL;
    }
    p += 6;
    if (c >= 0xd800 && c < 0xdc00 && r->end - p >= 2 && p[0] == '\\' && p[1] == 'u' &&
        json_hex4(p + 2, r->end, &low) && low >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    }
    if (c >= 0xd800 && c < 0xe000) {
        if ((r->opt.flags & AKV_DOC_LONE_SURROGATES) == 0) {
            akvi_doc_fail(r, AKV_CORRUPT, p - 6, "\\u%04x is half a surrogate pair", c);
            return NULL;
        }
        c = 0xfffd;
    }
    *len_out = json_encode_utf8(c, utf8);
    return p;
}

/* The escape at p; its meaning goes to the scratch buffer. Returns the byte
 * after, or NULL after a failure. */
static const uint8_t *json_escape(akv_doc_reader *r, const uint8_t *p)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char       *letter;
    uint8_t           utf8[4];
    size_t            len = 1;

    if (r->end - p < 2) {
        json_fail_in_string(r, r->end);
        return NULL;
    }
    if (p[1] == 'u') {
        p = json_unicode_escape(r, p, utf8, &len);
        if (!p)
            return NULL;
    } else {
        letter = memchr(letters, p[1], sizeof letters - 1);
        if (!letter) {
            akvi_doc_fail(r, AKV_CORRUPT, p, "unknown escape in a string");
            return NULL;
        }
        utf8[0] = (uint8_t)meanings[letter - letters];
        p += 2;
    }
    if (akv_buffer_append(&r->scratch, utf8, len) == AKV_OK)
        return p;
    akvi_doc_fail(r, AKV_NOMEM, p, "no memory for a string");
    return NULL;
}

/* A string whose first escape is at p, the text before it beginning at `from`. */
static akv_status json_string_escaped(akv_doc_reader *r, akv_doc_event *ev, const uint8_t *from,
                                      const uint8_t *p)
{
    akvi_buffer_clear(&r->scratch);
    for (;;) {
        if (akv_buffer_append(&r->scratch, from, (size_t)(p - from)) != AKV_OK)
            return akvi_doc_fail(r, AKV_NOMEM, p, "no memory for a string");
        if (*p == '"')
            break;
        from = json_escape(r, p);
        if (!from)
            return r->failed;
        if (!json_scan_string(from, r->end, &p))
            return json_fail_in_string(r, p);
    }
    ev->bytes = akvi_buffer_slice(&r->scratch);
    r->at     = p + 1;
    return AKV_OK;
}

/* The string whose opening quote is at p; leaves r->at past it. */
static akv_status json_string(akv_doc_reader *r, akv_doc_event *ev, const uint8_t *p)
{
    const uint8_t *from = p + 1;

    ev->type = AKV_DOC_STRING;
    if (!json_scan_string(from, r->end, &p))
        return json_fail_in_string(r, p);
    if (*p == '\\')
        return json_string_escaped(r, ev, from, p);
    ev->bytes = akv_bytes(from, (size_t)(p - from));
    r->at     = p + 1;
    return AKV_OK;
}

static akv_status json_string_value(akv_doc_reader *r, akv_doc_event *ev, const uint8_t *p)
{
    akv_status rc = json_string(r, ev, p);

    return rc == AKV_OK ? json_after_value(r, r->at) : rc;
}

/* ----------------------------------------------------------- other scalars */

/* The digits as an integer, if it fits. */
static bool json_integer(const uint8_t *p, const uint8_t *end, uint64_t *value_out)
{
    uint64_t value = 0;

    if (end - p > 20)
        return false;
    for (; p < end; p++) {
        if (!akvi_mul_u64(value, 10, &value) || !akvi_add_u64(value, (uint64_t)(*p - '0'), &value))
            return false;
    }
    *value_out = value;
    return true;
}

static akv_status json_number(akv_doc_reader *r, akv_doc_event *ev, const uint8_t *p)
{
    bool     is_integer, negative = *p == '-';
    size_t   len = akvi_number_len(p, r->end, &is_integer);
    uint64_t value;

    if (len == 0)
        return akvi_doc_fail(r, AKV_CORRUPT, p, "a number that lacks digits");
    ev->type  = AKV_DOC_NUMBER;
    ev->bytes = akv_bytes(p, len);
    if (is_integer && json_integer(p + negative, p + len, &value)) {
        if (negative && value != 0 && value <= (uint64_t)INT64_MAX + 1) {
            ev->type = AKV_DOC_INT;
            ev->i64  = (int64_t)(0 - value);
        } else if (!negative && value <= INT64_MAX) {
            ev->type = AKV_DOC_INT;
            ev->i64  = (int64_t)value;
        } else if (!negative) {
            ev->type = AKV_DOC_UINT;
            ev->u64  = value;
        }
    }
    p += len;
    if (p < r->end && p[-1] == '0' && len == 1u + negative && *p >= '0' && *p <= '9')
        return akvi_doc_fail(r, AKV_CORRUPT, p, "a number that begins with 0");
    return json_after_value(r, p);
}

static akv_status json_word(akv_doc_reader *r, const uint8_t *p, const char *word)
{
    size_t len = strlen(word);

    if ((size_t)(r->end - p) < len || memcmp(p, word, len) != 0)
        return akvi_doc_fail(r, AKV_CORRUPT, p, "expected %s", word);
    return json_after_value(r, p + len);
}

/* -------------------------------------------------------------- containers */

static akv_status json_open(akv_doc_reader *r, akv_doc_event *ev, const uint8_t *p)
{
    bool is_map = *p == '{';

    ev->type  = is_map ? AKV_DOC_MAP : AKV_DOC_ARRAY;
    ev->count = AKV_DOC_COUNT_UNKNOWN;
    r->at     = p + 1;
    r->expect = is_map ? JSON_FIRST_KEY : JSON_FIRST_VALUE;
    return akvi_doc_open(r, ev);
}

static akv_status json_close(akv_doc_reader *r, akv_doc_event *ev, const uint8_t *p)
{
    ev->type = *p == '}' ? AKV_DOC_MAP_END : AKV_DOC_ARRAY_END;
    r->depth--;
    return json_after_value(r, p + 1);
}

/* ------------------------------------------------------------------- steps */

static akv_status json_fail_expected(akv_doc_reader *r, const uint8_t *p, const char *what)
{
    if (p == r->end)
        return akvi_doc_fail(r, AKV_CORRUPT, p, "the text ends where %s should be", what);
    return akvi_doc_fail(r, AKV_CORRUPT, p, "expected %s", what);
}

static akv_status json_value(akv_doc_reader *r, akv_doc_event *ev, const uint8_t *p)
{
    if (p == r->end)
        return json_fail_expected(r, p, "a value");
    ev->offset = (uint64_t)(p - r->text);
    switch (*p) {
    case '"': return json_string_value(r, ev, p);
    case '{':
    case '[': return json_open(r, ev, p);
    case 't':
        ev->type    = AKV_DOC_BOOL;
        ev->boolean = true;
        return json_word(r, p, "true");
    case 'f': ev->type = AKV_DOC_BOOL; return json_word(r, p, "false");
    case 'n': return json_word(r, p, "null");
    default:
        if (*p == '-' || (*p >= '0' && *p <= '9'))
            return json_number(r, ev, p);
        return json_fail_expected(r, p, "a value");
    }
}

static akv_status json_key(akv_doc_reader *r, akv_doc_event *ev, const uint8_t *p)
{
    if (p == r->end || *p != '"')
        return json_fail_expected(r, p, "a key in quotes");
    ev->offset = (uint64_t)(p - r->text);
    ev->is_key = true;
    r->expect  = JSON_COLON;
    return json_string(r, ev, p);
}

static akv_status json_first_document(akv_doc_reader *r, akv_doc_event *ev, const uint8_t *p)
{
    if (p == r->end && (r->opt.flags & AKV_DOC_MANY) != 0)
        return AKV_END;
    if (r->end - p >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        return akvi_doc_fail(r, AKV_CORRUPT, p, "a byte order mark: remove it");
    return json_value(r, ev, p);
}

static akv_status json_next_document(akv_doc_reader *r, akv_doc_event *ev, const uint8_t *p)
{
    if (p == r->end)
        return AKV_END;
    if ((r->opt.flags & AKV_DOC_MANY) == 0)
        return akvi_doc_fail(r, AKV_CORRUPT, p, "the document has ended, but the text goes on");
    /* Words and numbers have no mark at their end, nor at their beginning. */
    if (p == r->at && !memchr("}]\"", p[-1], 3) && !memchr("{[\"", *p, 3))
        return json_fail_expected(r, p, "white space before the next document");
    return json_value(r, ev, p);
}

static akv_status json_next_item(akv_doc_reader *r, akv_doc_event *ev, const uint8_t *p)
{
    bool is_map = r->frames[r->depth - 1].is_map;

    if (p < r->end && *p == ',') {
        p = json_skip_space(p + 1, r->end);
        return is_map ? json_key(r, ev, p) : json_value(r, ev, p);
    }
    if (p < r->end && *p == (is_map ? '}' : ']'))
        return json_close(r, ev, p);
    return json_fail_expected(r, p, is_map ? "',' or '}'" : "',' or ']'");
}

akv_status akvi_json_step(akv_doc_reader *r, akv_doc_event *ev)
{
    const uint8_t *p = json_skip_space(r->at, r->end);

    *ev        = (akv_doc_event){0};
    ev->offset = (uint64_t)(p - r->text);
    switch (r->expect) {
    case JSON_DOCUMENT: return json_first_document(r, ev, p);
    case JSON_DONE: return json_next_document(r, ev, p);
    case JSON_FIRST_VALUE:
        return p < r->end && *p == ']' ? json_close(r, ev, p) : json_value(r, ev, p);
    case JSON_FIRST_KEY: return p < r->end && *p == '}' ? json_close(r, ev, p) : json_key(r, ev, p);
    case JSON_COLON:
        if (p == r->end || *p != ':')
            return json_fail_expected(r, p, "':' after the key");
        return json_value(r, ev, json_skip_space(p + 1, r->end));
    default: return json_next_item(r, ev, p);
    }
}
