/* SPDX-License-Identifier: MIT
 *
 * printable.c: see printable.h.
 *
 * Text is worked on in units: an escape, a character, or a byte that belongs
 * to none. Characters that don't show (controls, blanks other than the space,
 * joiners, direction marks, tags) are written by their bytes.
 */
#include "common/base/printable.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"

#define PRINTABLE_UNIT_MAX 16 /* four bytes as \xHH each */

static const char printable_hex[] = "0123456789abcdef";

/* ------------------------------------------------------------------- UTF-8 */

size_t akvi_utf8_len(const uint8_t *p, size_t left)
{
    uint8_t low = 0x80, high = 0xbf; /* what the second byte may be */
    size_t  n;

    if (left == 0 || p[0] < 0x80)
        return left != 0;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (left < n || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return n;
}

size_t akvi_utf8_check(const void *data, size_t len)
{
    const uint8_t *p  = data;
    size_t         at = 0, n;

    while (at < len) {
        if (len - at >= 8 && (akvi_get_le64(p + at) & UINT64_C(0x8080808080808080)) == 0) {
            at += 8;
            continue;
        }
        n = akvi_utf8_len(p + at, len - at);
        if (n == 0)
            break;
        at += n;
    }
    return at;
}

/* A valid sequence as its code point. */
static uint32_t printable_code(const uint8_t *p, size_t n)
{
    uint32_t code = n == 2 ? p[0] & 0x1fu : n == 3 ? p[0] & 0x0fu : p[0] & 0x07u;

    for (size_t i = 1; i < n; i++)
        code = code << 6 | (p[i] & 0x3fu);
    return code;
}

/* Characters past ASCII that leave no mark of their own, or only a blank. */
static bool printable_hidden(uint32_t code)
{
    static const uint32_t ranges[][2] = {
        {0x80, 0xa0},     {0xad, 0xad},       {0x34f, 0x34f},     {0x61c, 0x61c},
        {0x115f, 0x1160}, {0x1680, 0x1680},   {0x17b4, 0x17b5},   {0x180b, 0x180f},
        {0x2000, 0x200f}, {0x2028, 0x202f},   {0x205f, 0x206f},   {0x2800, 0x2800},
        {0x3000, 0x3000}, {0x3164, 0x3164},   {0xe000, 0xf8ff},   {0xfdd0, 0xfdef},
        {0xfe00, 0xfe0f}, {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},
        {0xfffe, 0xffff}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0x10ffff},
    };

    for (size_t i = 0; i < AKVI_ARRAY_N(ranges); i++) {
        if (code >= ranges[i][0] && code <= ranges[i][1])
            return true;
    }
    return false;
}

/* ---------------------------------------------------------------- printing */

static bool printable_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '\\' && c != '"';
}

static size_t printable_escape(uint8_t c, char *out)
{
    static const char special[][2] = {
        {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}, {'\\', '\\'}, {'"', '"'}};

    out[0] = '\\';
    for (size_t i = 0; i < AKVI_ARRAY_N(special); i++) {
        if (c == (uint8_t)special[i][0]) {
            out[1] = special[i][1];
            return 2;
        }
    }
    out[1] = 'x';
    out[2] = printable_hex[c >> 4];
    out[3] = printable_hex[c & 15];
    return 4;
}

/* Write the unit at p; returns its length there, *n_out in `out`. */
static size_t printable_unit(const uint8_t *p, size_t left, char out[PRINTABLE_UNIT_MAX],
                             size_t *n_out)
{
    size_t len = akvi_utf8_len(p, left);
    bool   as_is =
        len == 1 ? printable_plain(p[0]) : len > 1 && !printable_hidden(printable_code(p, len));
    size_t n = 0;

    if (len == 0)
        len = 1;
    if (as_is) {
        memcpy(out, p, len);
        n = len;
    } else {
        for (size_t i = 0; i < len; i++)
            n += printable_escape(p[i], out + n);
    }
    *n_out = n;
    return len;
}

akv_status akvi_print_bytes(akv_buffer *out, const void *data, size_t len)
{
    const uint8_t *p     = data;
    size_t         begin = out->len, at = 0;
    akv_status     rc = AKV_OK;

    while (at < len && rc == AKV_OK) {
        char   unit[PRINTABLE_UNIT_MAX];
        size_t n, plain = at;

        while (plain < len && printable_plain(p[plain]))
            plain++;
        if (plain > at) {
            rc = akv_buffer_append(out, p + at, plain - at);
            at = plain;
            continue;
        }
        at += printable_unit(p + at, len - at, unit, &n);
        rc = akv_buffer_append(out, unit, n);
    }
    if (rc != AKV_OK)
        out->len = begin;
    return rc;
}

const char *akvi_key_text(char text[AKVI_KEY_TEXT], akv_slice key)
{
    const uint8_t *p    = key.data;
    size_t         room = 60, used = 0, at = 0;

    while (at < key.len) {
        size_t n, len = printable_unit(p + at, key.len - at, text + used, &n);

        if (len > room) {
            memcpy(text + used, "...", 3);
            used += 3;
            break;
        }
        room -= len;
        used += n;
        at += len;
    }
    text[used] = '\0';
    return text;
}

/* ----------------------------------------------------------------- parsing */

static int printable_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that the escape at p (a backslash) stands for; returns its length,
 * or 0 when it is none. */
static size_t printable_unescape(const char *p, size_t left, uint8_t *byte_out)
{
    int high, low;

    if (left < 2)
        return 0;
    switch (p[1]) {
    case 'n': *byte_out = '\n'; return 2;
    case 'r': *byte_out = '\r'; return 2;
    case 't': *byte_out = '\t'; return 2;
    case '\\':
    case '"': *byte_out = (uint8_t)p[1]; return 2;
    case 'x': break;
    default: return 0;
    }
    if (left < 4)
        return 0;
    high = printable_digit(p[2]);
    low  = printable_digit(p[3]);
    if (high < 0 || low < 0)
        return 0;
    *byte_out = (uint8_t)(high << 4 | low);
    return 4;
}

akv_status akvi_parse_printable(akv_buffer *out, const char *text, size_t len)
{
    size_t     begin = out->len, at = 0;
    akv_status rc = AKV_OK;

    while (at < len && rc == AKV_OK) {
        const char *slash = memchr(text + at, '\\', len - at);
        size_t      plain = slash ? (size_t)(slash - text) - at : len - at;
        uint8_t     byte  = 0;
        size_t      n;

        rc = akv_buffer_append(out, text + at, plain);
        at += plain;
        if (rc != AKV_OK || !slash)
            break;
        n = printable_unescape(slash, len - at, &byte);
        if (n == 0)
            rc = AKV_FAIL(AKV_MISUSE,
                          "bad escape at position %zu: \\n \\r \\t \\\\ \\\" and \\xHH are known",
                          at);
        else
            rc = akvi_buffer_byte(out, byte);
        at += n;
    }
    if (rc != AKV_OK)
        out->len = begin;
    return rc;
}
