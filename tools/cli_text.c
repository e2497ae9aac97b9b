/* SPDX-License-Identifier: MIT
 *
 * cli_text.c: bytes as text and back: escapes, hex, base64, UTF-8.
 */
#include "tools/cli.h"

#include <stdarg.h>
#include <stdlib.h>

void cli_append(akv_buffer *b, const void *data, size_t len)
{
    if (akv_buffer_append(b, data, len) == AKV_OK)
        return;
    fputs("anykv: out of memory\n", stderr);
    exit(CLI_FAILED);
}

void cli_append_text(akv_buffer *b, const char *text)
{
    cli_append(b, text, strlen(text));
}

void cli_printf(akv_buffer *b, const char *fmt, ...)
{
    char    text[512];
    va_list args;
    int     n;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n > 0)
        cli_append(b, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

/* The length of the valid UTF-8 sequence at p (1..4), or 0. */
static size_t text_utf8_len(const unsigned char *p, size_t left)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t        n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (n == 1)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n > left)
        return 0;
    switch (p[0]) { /* the second byte tells overlong forms, surrogates and too large */
    case 0xe0: low = 0xa0; break;
    case 0xed: high = 0x9f; break;
    case 0xf0: low = 0x90; break;
    case 0xf4: high = 0x8f; break;
    default: break;
    }
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool cli_is_utf8(akv_slice bytes)
{
    const unsigned char *p = bytes.data;

    for (size_t i = 0, n; i < bytes.len; i += n) {
        n = text_utf8_len(p + i, bytes.len - i);
        if (n == 0)
            return false;
    }
    return true;
}

bool cli_is_text(akv_slice bytes)
{
    const unsigned char *p = bytes.data;

    for (size_t i = 0; i < bytes.len; i++) {
        if ((p[i] < 0x20 && p[i] != '\n' && p[i] != '\t' && p[i] != '\r') || p[i] == 0x7f)
            return false;
        if (p[i] == 0xc2 && i + 1 < bytes.len && p[i + 1] < 0xa0)
            return false; /* U+0080..U+009F */
    }
    return cli_is_utf8(bytes);
}

static const char *text_short_escape(unsigned char c)
{
    switch (c) {
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    case '\\': return "\\\\";
    default: return NULL;
    }
}

void cli_escape(akv_buffer *b, akv_slice bytes)
{
    const unsigned char *p = bytes.data;

    for (size_t i = 0; i < bytes.len;) {
        size_t      n          = text_utf8_len(p + i, bytes.len - i);
        const char *short_form = text_short_escape(p[i]);

        if (short_form) {
            cli_append_text(b, short_form);
            i++;
        } else if (n && cli_is_text(akv_bytes(p + i, n))) {
            cli_append(b, p + i, n);
            i += n;
        } else {
            cli_printf(b, "\\x%02x", p[i]);
            i++;
        }
    }
}

static int text_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Two hex digits as a byte, or -1. */
static int text_hex_byte(const char *p)
{
    int high = text_hex_digit(p[0]);
    int low  = high < 0 ? -1 : text_hex_digit(p[1]);

    return low < 0 ? -1 : high * 16 + low;
}

long cli_unescape(akv_buffer *b, const char *text)
{
    static const char from[] = "nrt\\\"";
    static const char to[]   = "\n\r\t\\\"";

    for (const char *p = text; *p; p++) {
        const char *found;

        if (*p != '\\') {
            cli_append(b, p, 1);
            continue;
        }
        p++;
        found = *p ? strchr(from, *p) : NULL;
        if (found) {
            cli_append(b, &to[found - from], 1);
        } else if (*p == 'x' && text_hex_byte(p + 1) >= 0) {
            unsigned char byte = (unsigned char)text_hex_byte(p + 1);

            cli_append(b, &byte, 1);
            p += 2;
        } else {
            return (long)(p - 1 - text);
        }
    }
    return -1;
}

void cli_hex(akv_buffer *b, akv_slice bytes)
{
    static const char    digits[] = "0123456789abcdef";
    const unsigned char *p        = bytes.data;

    for (size_t i = 0; i < bytes.len; i++) {
        char pair[2] = {digits[p[i] >> 4], digits[p[i] & 15]};

        cli_append(b, pair, 2);
    }
}

bool cli_unhex(akv_buffer *b, akv_slice text)
{
    const char *p = text.data;

    if (text.len % 2)
        return false;
    for (size_t i = 0; i < text.len; i += 2) {
        int           byte = text_hex_byte(p + i);
        unsigned char c    = (unsigned char)byte;

        if (byte < 0)
            return false;
        cli_append(b, &c, 1);
    }
    return true;
}

static const char text_base64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void cli_base64(akv_buffer *b, akv_slice bytes)
{
    const unsigned char *p = bytes.data;

    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t   n     = bytes.len - i < 3 ? bytes.len - i : 3;
        unsigned group = (unsigned)p[i] << 16 | (n > 1 ? (unsigned)p[i + 1] << 8 : 0) |
                         (n > 2 ? (unsigned)p[i + 2] : 0);
        char four[4];

        four[0] = text_base64[group >> 18];
        four[1] = text_base64[group >> 12 & 63];
        four[2] = '=';
        four[3] = '=';
        if (n > 1)
            four[2] = text_base64[group >> 6 & 63];
        if (n > 2)
            four[3] = text_base64[group & 63];
        cli_append(b, four, 4);
    }
}

bool cli_unbase64(akv_buffer *b, akv_slice text)
{
    const char *p   = text.data;
    size_t      pad = 0;

    while (pad < 2 && pad < text.len && p[text.len - 1 - pad] == '=')
        pad++;
    if (text.len % 4)
        return false;
    for (size_t i = 0; i < text.len; i += 4) {
        size_t        n     = i + 4 == text.len ? 4 - pad : 4;
        unsigned      group = 0;
        unsigned char three[3];

        for (size_t k = 0; k < 4; k++) {
            const char *digit = k < n && p[i + k] ? strchr(text_base64, p[i + k]) : NULL;

            if (k < n && !digit)
                return false;
            group = group << 6 | (digit ? (unsigned)(digit - text_base64) : 0);
        }
        three[0] = (unsigned char)(group >> 16);
        three[1] = (unsigned char)(group >> 8);
        three[2] = (unsigned char)group;
        cli_append(b, three, n - 1);
    }
    return true;
}

int cli_key(cli *c, const cli_key_form *f, const char *text, akv_buffer *out)
{
    long bad;

    out->len = 0;
    if (f->hex) {
        if (!cli_unhex(out, akv_str(text)))
            return cli_usage(c, "'%s' is not an even number of hex digits", text);
        return CLI_GO;
    }
    if (!f->escapes) {
        cli_append_text(out, text);
        return CLI_GO;
    }
    bad = cli_unescape(out, text);
    if (bad >= 0)
        return cli_usage(c, "'%s' has a bad escape at %ld: \\n \\r \\t \\\\ \\\" \\xHH are known",
                         text, bad);
    return CLI_GO;
}
