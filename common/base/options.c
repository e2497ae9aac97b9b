/* SPDX-License-Identifier: MIT
 *
 * options.c: see options.h. Fields are reached through memcpy at their offset,
 * so a struct may have any layout.
 */
#include "common/base/options.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"

#include <inttypes.h>
#include <stdio.h>

/* ------------------------------------------------------------------ fields */

static uint64_t options_get(const akv_option *o, const void *options)
{
    const uint8_t *field = (const uint8_t *)options + o->offset;
    uint32_t       u32;
    uint64_t       u64;

    switch (o->type) {
    case AKV_OPTION_BOOL: return *field != 0;
    case AKV_OPTION_I32:
    case AKV_OPTION_U32:
    case AKV_OPTION_MS:
    case AKV_OPTION_CHOICE: memcpy(&u32, field, sizeof u32); return u32;
    case AKV_OPTION_U64:
    case AKV_OPTION_BYTES: memcpy(&u64, field, sizeof u64); return u64;
    case AKV_OPTION_TEXT: break;
    }
    return 0;
}

static void options_put(const akv_option *o, void *options, uint64_t v)
{
    uint8_t *field = (uint8_t *)options + o->offset;
    bool     b     = v != 0;
    uint32_t u32   = (uint32_t)v;

    switch (o->type) {
    case AKV_OPTION_BOOL: memcpy(field, &b, sizeof b); break;
    case AKV_OPTION_I32:
    case AKV_OPTION_U32:
    case AKV_OPTION_MS:
    case AKV_OPTION_CHOICE: memcpy(field, &u32, sizeof u32); break;
    case AKV_OPTION_U64:
    case AKV_OPTION_BYTES: memcpy(field, &v, sizeof v); break;
    case AKV_OPTION_TEXT: break;
    }
}

static const char *options_get_text(const akv_option *o, const void *options)
{
    const char *text;

    memcpy(&text, (const uint8_t *)options + o->offset, sizeof text);
    return text;
}

static void options_put_text(const akv_option *o, void *options, const char *text)
{
    memcpy((uint8_t *)options + o->offset, &text, sizeof text);
}

static int32_t options_i32(uint64_t v)
{
    return (int32_t)(uint32_t)v;
}

static uint32_t options_choices_n(const akv_option *o)
{
    uint32_t n = 0;

    while (o->choices[n])
        n++;
    return n;
}

void akvi_options_defaults(const akv_option *table, size_t n, void *options)
{
    for (size_t i = 0; i < n; i++) {
        if (table[i].type == AKV_OPTION_TEXT)
            options_put_text(&table[i], options, table[i].initial_text);
        else
            options_put(&table[i], options, table[i].initial);
    }
}

static akv_status options_check_one(const akv_option *o, uint64_t v)
{
    switch (o->type) {
    case AKV_OPTION_BOOL:
    case AKV_OPTION_TEXT: return AKV_OK;
    case AKV_OPTION_CHOICE:
        if (v < options_choices_n(o))
            return AKV_OK;
        return AKV_FAIL(AKV_MISUSE, "option %s: there is no choice %" PRIu64, o->name, v);
    case AKV_OPTION_I32:
        if (options_i32(v) >= options_i32(o->min) && options_i32(v) <= options_i32(o->max))
            return AKV_OK;
        return AKV_FAIL(AKV_MISUSE, "option %s is %" PRId32 ", not within %" PRId32 "..%" PRId32,
                        o->name, options_i32(v), options_i32(o->min), options_i32(o->max));
    default: break;
    }
    if (v >= o->min && v <= o->max)
        return AKV_OK;
    return AKV_FAIL(AKV_MISUSE, "option %s is %" PRIu64 ", not within %" PRIu64 "..%" PRIu64 "%s",
                    o->name, v, o->min, o->max, o->type == AKV_OPTION_MS ? " ms" : "");
}

akv_status akvi_options_check(const akv_option *table, size_t n, const void *options)
{
    akv_status rc = AKV_OK;

    for (size_t i = 0; i < n && rc == AKV_OK; i++)
        rc = options_check_one(&table[i], options_get(&table[i], options));
    return rc;
}

akv_status akvi_options_copy(void *to, size_t to_size, const void *from, const char *what)
{
    const uint8_t *bytes = from;
    size_t         size;

    memcpy(&size, from, sizeof size);
    if (size < sizeof size)
        return AKV_FAIL(AKV_MISUSE, "%s has size %zu: begin with its _INIT", what, size);
    for (size_t i = to_size; i < size; i++) {
        if (bytes[i] != 0)
            return AKV_FAIL(AKV_MISUSE, "%s has fields that this library does not know", what);
    }
    memcpy(to, from, size < to_size ? size : to_size);
    memcpy(to, &to_size, sizeof to_size);
    return AKV_OK;
}

/* ----------------------------------------------------------------- numbers */

typedef struct options_unit {
    const char *name;
    uint64_t    times;
} options_unit;

/* In lower case. One letter is what it is to the shell's tools: binary. */
static const options_unit options_bytes_units[] = {
    {"", 1},
    {"b", 1},
    {"k", UINT64_C(1) << 10},
    {"kib", UINT64_C(1) << 10},
    {"kb", 1000},
    {"m", UINT64_C(1) << 20},
    {"mib", UINT64_C(1) << 20},
    {"mb", 1000000},
    {"g", UINT64_C(1) << 30},
    {"gib", UINT64_C(1) << 30},
    {"gb", 1000000000},
    {"t", UINT64_C(1) << 40},
    {"tib", UINT64_C(1) << 40},
    {"tb", UINT64_C(1000000000000)},
    {NULL, 0},
};

static const options_unit options_ms_units[] = {
    {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {NULL, 0},
};

/* Decimal digits at *at; false when there are none or too many. */
static bool options_digits(const char **at, uint64_t *out)
{
    const char *begin = *at;
    uint64_t    v     = 0;

    for (; **at >= '0' && **at <= '9'; ++*at) {
        if (!akvi_mul_u64(v, 10, &v) || !akvi_add_u64(v, (uint64_t)(**at - '0'), &v))
            return false;
    }
    *out = v;
    return *at > begin;
}

static const options_unit *options_find_unit(const char *text, const options_unit *units)
{
    for (; units->name; units++) {
        const char *a = text, *b = units->name;

        while (*b && (*a | 0x20) == *b) {
            a++;
            b++;
        }
        if (*a == '\0' && *b == '\0')
            return units;
    }
    return NULL;
}

/* "12", "1.5 GiB": a number in one of `units`. A part of the least unit is
 * refused where the number has none bigger. */
static bool options_scaled(const char *text, const options_unit *units, uint64_t *out)
{
    uint64_t            whole, part = 0, ten = 1;
    const options_unit *unit;

    if (!options_digits(&text, &whole))
        return false;
    if (*text == '.') {
        const char *digits = ++text;

        if (!options_digits(&text, &part) || text - digits > 9)
            return false;
        for (; digits < text; digits++)
            ten *= 10;
    }
    while (*text == ' ')
        text++;
    unit = options_find_unit(text, units);
    if (!unit || (part != 0 && unit->times == 1))
        return false;
    part = unit->times / ten * part + unit->times % ten * part / ten;
    return akvi_mul_u64(whole, unit->times, &whole) && akvi_add_u64(whole, part, out);
}

akv_status akvi_parse_bytes(const char *text, uint64_t *out)
{
    if (options_scaled(text, options_bytes_units, out))
        return AKV_OK;
    return AKV_FAIL(AKV_MISUSE, "'%.60s' is no size: 4096, 64KiB, 1.5 MiB, 2GB would be", text);
}

/* ----------------------------------------------------------------- setting */

const akv_option *akvi_options_find(const akv_option *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    }
    return NULL;
}

static akv_status options_unknown(const akv_option *table, size_t n, const char *name)
{
    char   names[384] = "";
    size_t used       = 0;

    for (size_t i = 0; i < n && used < sizeof names; i++) {
        int len = snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", table[i].name);

        used += len > 0 ? (size_t)len : 0;
    }
    return AKV_FAIL(AKV_MISUSE, "there is no option '%.60s'; there are: %s", name,
                    n ? names : "none");
}

static bool options_parse_bool(const char *text, uint64_t *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

    for (size_t i = 0; i < AKVI_ARRAY_N(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i & 1;
            return true;
        }
    }
    return false;
}

static bool options_parse_int(const akv_option *o, const char *text, uint64_t *out)
{
    uint64_t bound = o->type == AKV_OPTION_U64   ? UINT64_MAX
                     : o->type == AKV_OPTION_I32 ? (uint64_t)INT32_MAX
                                                 : UINT32_MAX;
    bool     minus = o->type == AKV_OPTION_I32 && *text == '-';

    text += minus;
    if (!options_digits(&text, out) || *text != '\0' || *out > bound + minus)
        return false;
    if (minus)
        *out = ~*out + 1;
    return true;
}

static akv_status options_parse_choice(const akv_option *o, const char *text, uint64_t *out)
{
    char   names[384] = "";
    size_t used       = 0;

    for (uint32_t i = 0; o->choices[i]; i++) {
        int len;

        if (strcmp(text, o->choices[i]) == 0) {
            *out = i;
            return AKV_OK;
        }
        len = used < sizeof names ? snprintf(names + used, sizeof names - used, "%s%s",
                                             i ? ", " : "", o->choices[i])
                                  : 0;
        used += len > 0 ? (size_t)len : 0;
    }
    return AKV_FAIL(AKV_MISUSE, "option %s: '%.60s' is none of %s", o->name, text, names);
}

static akv_status options_parse(const akv_option *o, const char *text, uint64_t *out)
{
    const char *want = "a whole number";
    bool        ok   = false;

    switch (o->type) {
    case AKV_OPTION_CHOICE: return options_parse_choice(o, text, out);
    case AKV_OPTION_BYTES: return akvi_parse_bytes(text, out);
    case AKV_OPTION_BOOL:
        want = "true or false";
        ok   = options_parse_bool(text, out);
        break;
    case AKV_OPTION_MS:
        want = "a time such as 100ms or 2s";
        ok   = options_scaled(text, options_ms_units, out);
        break;
    default: ok = options_parse_int(o, text, out); break;
    }
    if (ok)
        return AKV_OK;
    return AKV_FAIL(AKV_MISUSE, "option %s: '%.60s' is not %s", o->name, text, want);
}

akv_status akvi_options_set(const akv_option *table, size_t n, void *options, const char *name,
                            const char *value)
{
    const akv_option *o = akvi_options_find(table, n, name);
    uint64_t          v = 0;
    akv_status        rc;

    if (!o)
        return options_unknown(table, n, name);
    if (o->type == AKV_OPTION_TEXT) {
        options_put_text(o, options, value);
        return AKV_OK;
    }
    rc = options_parse(o, value, &v);
    if (rc == AKV_OK)
        rc = options_check_one(o, v);
    if (rc == AKV_OK)
        options_put(o, options, v);
    return rc;
}

akv_status akv_options_set(const akv_option *table, size_t n, void *options, const char *name,
                           const char *value)
{
    akv_status rc;

    akvi_call_begin();
    if ((!table && n > 0) || !options || !name || !value)
        rc = AKV_FAIL(AKV_MISUSE, "akv_options_set needs a table, a struct, a name and a value");
    else
        rc = akvi_options_set(table, n, options, name, value);
    return akvi_call_end(rc, "");
}

/* ---------------------------------------------------------------- printing */

static akv_status options_print_bytes(uint64_t v, akv_buffer *out)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    unsigned                 i       = 0;

    while (v != 0 && v % 1024 == 0 && i + 1 < AKVI_ARRAY_N(units)) {
        v /= 1024;
        i++;
    }
    return akvi_buffer_printf(out, "%" PRIu64 "%s", v, units[i]);
}

akv_status akvi_options_print(const akv_option *o, const void *options, akv_buffer *out)
{
    uint64_t    v = options_get(o, options);
    const char *text;

    akvi_buffer_clear(out);
    switch (o->type) {
    case AKV_OPTION_BOOL: return akvi_buffer_text(out, v ? "true" : "false");
    case AKV_OPTION_I32: return akvi_buffer_printf(out, "%" PRId32, options_i32(v));
    case AKV_OPTION_BYTES: return options_print_bytes(v, out);
    case AKV_OPTION_MS:
        if (v % 1000 == 0)
            return akvi_buffer_printf(out, "%" PRIu64 "s", v / 1000);
        return akvi_buffer_printf(out, "%" PRIu64 "ms", v);
    case AKV_OPTION_CHOICE:
        if (v < options_choices_n(o))
            return akvi_buffer_text(out, o->choices[v]);
        return options_check_one(o, v);
    case AKV_OPTION_TEXT:
        text = options_get_text(o, options);
        return akvi_buffer_text(out, text ? text : "");
    default: return akvi_buffer_printf(out, "%" PRIu64, v);
    }
}

akv_status akv_options_print(const akv_option *option, const void *options, akv_buffer *text_out)
{
    akv_status rc;

    akvi_call_begin();
    if (!option || !options || !text_out)
        rc = AKV_FAIL(AKV_MISUSE, "akv_options_print needs an option, a struct and a buffer");
    else
        rc = akvi_options_print(option, options, text_out);
    return akvi_call_end(rc, "");
}

/* --------------------------------------------------------------- splitting */

static int options_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undo %XX in text[0..len) into `to`, which has room for len + 1, and end it
 * with NUL. False at a bad escape or one for NUL. */
static bool options_undo(const char *text, size_t len, char *to)
{
    for (size_t i = 0; i < len; i++) {
        int high, low;

        if (text[i] != '%') {
            *to++ = text[i];
            continue;
        }
        if (len - i < 3)
            return false;
        high = options_hex(text[i + 1]);
        low  = options_hex(text[i + 2]);
        if (high < 0 || low < 0 || (high == 0 && low == 0))
            return false;
        *to++ = (char)(high << 4 | low);
        i += 2;
    }
    *to = '\0';
    return true;
}

akv_status akvi_options_split(const char *text, char sep, akv_buffer *scratch,
                              akv_status (*each)(void *user, const char *name, const char *value),
                              void *user)
{
    /* Each pair gets its own length and a NUL for each half: no more than the
     * text with its separators. Reserved at once, so that nothing moves. */
    akv_status rc   = akvi_buffer_resize(scratch, strlen(text) + 2);
    char      *room = scratch->data;

    while (rc == AKV_OK && *text) {
        size_t      len    = strcspn(text, (char[]){sep, '\0'});
        const char *equals = memchr(text, '=', len);
        size_t      name   = equals ? (size_t)(equals - text) : len;
        char       *value  = room + name + 1;

        if (len > 0 && (!equals || name == 0))
            return AKV_FAIL(AKV_MISUSE, "'%.*s' is not name=value", (int)(len < 60 ? len : 60),
                            text);
        if (len > 0) {
            if (!options_undo(text, name, room) || !options_undo(equals + 1, len - name - 1, value))
                return AKV_FAIL(AKV_MISUSE, "bad %%XX in '%.*s'", (int)(len < 60 ? len : 60), text);
            rc = each(user, room, value);
        }
        text += len;
        room += len + 1;
        text += *text == sep;
    }
    return rc;
}
