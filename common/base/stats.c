/* SPDX-License-Identifier: MIT
 *
 * stats.c: a list of figures and its three written forms.
 *
 * OpenMetrics wants base units, each named at the end of the metric's name:
 * times, which are nanoseconds or milliseconds here, become seconds there.
 */
#include "common/base/stats.h"

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/base/printable.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct akv_stats {
    const akv_allocator *allocator;
    akvi_arena           texts;
    akv_status           status; /* of the first add that failed */
    size_t               n, cap;
    akv_stat            *list;
};

/* ---------------------------------------------------------------- the list */

akv_status akvi_stats_new(const akv_allocator *allocator, akv_stats **stats_out)
{
    akv_stats *stats = akvi_zalloc(allocator, sizeof *stats);

    *stats_out = stats;
    if (!stats)
        return AKV_NOMEM;
    stats->allocator = allocator;
    akvi_arena_init(&stats->texts, allocator);
    return AKV_OK;
}

akv_status akvi_stats_status(const akv_stats *stats)
{
    return stats->status;
}

void akv_stats_free(akv_stats *stats)
{
    if (!stats)
        return;
    akvi_arena_free(&stats->texts);
    akvi_free(stats->allocator, stats->list, stats->cap * sizeof *stats->list);
    akvi_free(stats->allocator, stats, sizeof *stats);
}

size_t akv_stats_count(const akv_stats *stats)
{
    return stats ? stats->n : 0;
}

const akv_stat *akv_stats_at(const akv_stats *stats, size_t i)
{
    return i < akv_stats_count(stats) ? &stats->list[i] : NULL;
}

const akv_stat *akv_stats_find(const akv_stats *stats, const char *name)
{
    for (size_t i = 0; name && i < akv_stats_count(stats); i++) {
        if (strcmp(stats->list[i].name, name) == 0)
            return &stats->list[i];
    }
    return NULL;
}

/* A new, zeroed figure at the end of the list, or NULL. */
static akv_stat *stats_new(akv_stats *stats, akv_stat_kind kind, const char *name, const char *unit,
                           const char *help)
{
    akv_stat *s;

    if (stats->n == stats->cap) {
        size_t cap = stats->cap ? stats->cap * 2 : 32;

        s = akvi_resize(stats->allocator, stats->list, stats->cap * sizeof *s, cap * sizeof *s);
        if (!s) {
            stats->status = AKV_NOMEM;
            return NULL;
        }
        stats->list = s;
        stats->cap  = cap;
    }
    s = &stats->list[stats->n++];
    memset(s, 0, sizeof *s);
    s->kind = kind;
    s->name = name;
    s->unit = unit ? unit : "";
    s->help = help ? help : "";
    return s;
}

void akv_stats_add(akv_stats *stats, akv_stat_kind kind, const char *name, const char *unit,
                   uint64_t value, const char *help)
{
    akv_stat *s = stats_new(stats, kind, name, unit, help);

    if (s)
        s->u64 = value;
}

void akv_stats_add_ratio(akv_stats *stats, const char *name, double value, const char *help)
{
    akv_stat *s = stats_new(stats, AKV_STAT_RATIO, name, "", help);

    if (s)
        s->f64 = value;
}

void akv_stats_add_text(akv_stats *stats, const char *name, const char *text, const char *help)
{
    const char *copy = akvi_arena_copy(&stats->texts, text, strlen(text) + 1);
    akv_stat   *s    = copy ? stats_new(stats, AKV_STAT_TEXT, name, "", help) : NULL;

    if (s)
        s->text = copy;
    else
        stats->status = AKV_NOMEM;
}

void akv_stats_add_histogram(akv_stats *stats, const char *name, const char *unit,
                             const akv_histogram_summary *summary, const char *help)
{
    akv_stat *s = stats_new(stats, AKV_STAT_HISTOGRAM, name, unit, help);

    if (s)
        s->histogram = *summary;
}

/* ------------------------------------------------------------------ pieces */

static bool stats_is_finite(double v)
{
    return v - v == 0;
}

/* The shortest text that reads back as v, whatever the locale's point. */
static akv_status stats_double(akv_buffer *out, double v)
{
    char   text[40], *to = text;
    size_t n;

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    for (const char *from = text; *from; from++) {
        if (strchr("+-0123456789e", *from))
            *to++ = *from;
        else if (to == text || to[-1] != '.')
            *to++ = '.';
    }
    n = (size_t)(to - text);
    return akv_buffer_append(out, text, n);
}

/* Text within quotes. JSON escapes all controls; OpenMetrics knows only three
 * escapes and takes the rest as it is. Bytes that are no UTF-8 become U+FFFD. */
static akv_status stats_quoted(akv_buffer *out, const char *text, bool json)
{
    akv_status rc = akvi_buffer_byte(out, '"');
    size_t     n;

    for (; rc == AKV_OK && *text; text += n ? n : 1) {
        n = akvi_utf8_len((const uint8_t *)text, strlen(text));
        if (n == 0)
            rc = akvi_buffer_text(out, "\xef\xbf\xbd");
        else if (*text == '"' || *text == '\\')
            rc = akvi_buffer_printf(out, "\\%c", *text);
        else if (*text == '\n')
            rc = akvi_buffer_text(out, "\\n");
        else if (json && (uint8_t)*text < 0x20)
            rc = akvi_buffer_printf(out, "\\u%04x", (unsigned)*text);
        else
            rc = akv_buffer_append(out, text, n);
    }
    return rc == AKV_OK ? akvi_buffer_byte(out, '"') : rc;
}

/* -------------------------------------------------------------------- text */

static akv_status stats_text_one(akv_buffer *out, const akv_stat *s)
{
    const akv_histogram_summary *h  = &s->histogram;
    akv_status                   rc = akvi_buffer_printf(out, "%s ", s->name);

    if (rc != AKV_OK)
        return rc;
    switch (s->kind) {
    case AKV_STAT_COUNTER:
    case AKV_STAT_GAUGE: rc = akvi_buffer_printf(out, "%" PRIu64, s->u64); break;
    case AKV_STAT_RATIO: rc = stats_double(out, s->f64); break;
    case AKV_STAT_TEXT: rc = akvi_print_bytes(out, s->text, strlen(s->text)); break;
    case AKV_STAT_HISTOGRAM:
        rc = akvi_buffer_printf(out,
                                "count=%" PRIu64 " sum=%" PRIu64 " min=%" PRIu64 " p50=%" PRIu64
                                " p90=%" PRIu64 " p99=%" PRIu64 " p999=%" PRIu64 " max=%" PRIu64,
                                h->count, h->sum, h->min, h->p50, h->p90, h->p99, h->p999, h->max);
        break;
    }
    if (rc == AKV_OK)
        rc = akvi_buffer_printf(out, "%s%s\n", s->unit[0] ? " " : "", s->unit);
    return rc;
}

static akv_status stats_text(const akv_stats *stats, akv_buffer *out)
{
    akv_status rc = AKV_OK;

    for (size_t i = 0; i < stats->n && rc == AKV_OK; i++)
        rc = stats_text_one(out, &stats->list[i]);
    return rc;
}

/* -------------------------------------------------------------------- JSON */

static akv_status stats_json_value(akv_buffer *out, const akv_stat *s)
{
    const akv_histogram_summary *h = &s->histogram;

    switch (s->kind) {
    case AKV_STAT_RATIO:
        if (!stats_is_finite(s->f64))
            return akvi_buffer_text(out, "null");
        return stats_double(out, s->f64);
    case AKV_STAT_TEXT: return stats_quoted(out, s->text, true);
    case AKV_STAT_HISTOGRAM:
        return akvi_buffer_printf(
            out,
            "{\"count\":%" PRIu64 ",\"sum\":%" PRIu64 ",\"min\":%" PRIu64 ",\"p50\":%" PRIu64
            ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64 "}",
            h->count, h->sum, h->min, h->p50, h->p90, h->p99, h->p999, h->max);
    default: return akvi_buffer_printf(out, "%" PRIu64, s->u64);
    }
}

static akv_status stats_json(const akv_stats *stats, akv_buffer *out)
{
    akv_status rc = akvi_buffer_byte(out, '{');

    for (size_t i = 0; i < stats->n && rc == AKV_OK; i++) {
        const akv_stat *s = &stats->list[i];

        if (i > 0)
            rc = akvi_buffer_byte(out, ',');
        if (rc == AKV_OK)
            rc = stats_quoted(out, s->name, true);
        if (rc == AKV_OK)
            rc = akvi_buffer_byte(out, ':');
        if (rc == AKV_OK)
            rc = stats_json_value(out, s);
    }
    return rc == AKV_OK ? akvi_buffer_text(out, "}\n") : rc;
}

/* ------------------------------------------------------------- OpenMetrics */

/* A figure as a metric family. */
typedef struct stats_family {
    char        name[160];
    const char *unit;
    unsigned    decimals; /* how far the point moves left to get to the unit */
} stats_family;

/* Drop "_end" from the end of a name. */
static void stats_cut(char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);

    if (end_len > 0 && len > end_len + 1 && name[len - end_len - 1] == '_' &&
        strcmp(name + len - end_len, end) == 0)
        name[len - end_len - 1] = '\0';
}

static void stats_family_of(const akv_stat *s, stats_family *out)
{
    size_t len;

    out->unit     = s->kind == AKV_STAT_RATIO ? "ratio" : s->unit;
    out->decimals = 0;
    snprintf(out->name, sizeof out->name - 32, "anykv_%s", s->name);
    if (s->kind == AKV_STAT_COUNTER)
        stats_cut(out->name, "total");
    stats_cut(out->name, out->unit);
    if (strcmp(out->unit, "ns") == 0 || strcmp(out->unit, "ms") == 0) {
        out->decimals = out->unit[0] == 'n' ? 9 : 3;
        out->unit     = "seconds";
    }
    len = strlen(out->name);
    if (out->unit[0] != '\0')
        snprintf(out->name + len, sizeof out->name - len, "_%s", out->unit);
}

static akv_status stats_family_head(akv_buffer *out, const stats_family *f, const akv_stat *s)
{
    static const char *const types[] = {"counter", "gauge", "gauge", "info", "summary"};
    akv_status rc = akvi_buffer_printf(out, "# TYPE %s %s\n", f->name, types[s->kind]);
    size_t     at;

    if (rc == AKV_OK && f->unit[0] != '\0')
        rc = akvi_buffer_printf(out, "# UNIT %s %s\n", f->name, f->unit);
    if (rc == AKV_OK && s->help[0] != '\0')
        rc = akvi_buffer_printf(out, "# HELP %s ", f->name);
    if (rc != AKV_OK || s->help[0] == '\0')
        return rc;
    at = out->len;
    rc = stats_quoted(out, s->help, false);
    if (rc == AKV_OK) { /* the quotes are not wanted */
        memmove((char *)out->data + at, (char *)out->data + at + 1, out->len - at - 2);
        out->len -= 2;
        rc = akvi_buffer_byte(out, '\n');
    }
    return rc;
}

/* A number in the family's unit, exact, and the end of the line. */
static akv_status stats_sample_end(akv_buffer *out, const stats_family *f, uint64_t v)
{
    uint64_t ten = 1;

    for (unsigned i = 0; i < f->decimals; i++)
        ten *= 10;
    if (ten == 1)
        return akvi_buffer_printf(out, " %" PRIu64 "\n", v);
    return akvi_buffer_printf(out, " %" PRIu64 ".%0*" PRIu64 "\n", v / ten, (int)f->decimals,
                              v % ten);
}

static akv_status stats_summary(akv_buffer *out, const stats_family *f,
                                const akv_histogram_summary *h)
{
    static const char *const names[]  = {"0", "0.5", "0.9", "0.99", "0.999", "1"};
    const uint64_t           values[] = {h->min, h->p50, h->p90, h->p99, h->p999, h->max};
    akv_status               rc       = AKV_OK;

    for (size_t i = 0; i < AKVI_ARRAY_N(names) && rc == AKV_OK && h->count > 0; i++) {
        rc = akvi_buffer_printf(out, "%s{quantile=\"%s\"}", f->name, names[i]);
        if (rc == AKV_OK)
            rc = stats_sample_end(out, f, values[i]);
    }
    if (rc == AKV_OK)
        rc = akvi_buffer_printf(out, "%s_count %" PRIu64 "\n%s_sum", f->name, h->count, f->name);
    return rc == AKV_OK ? stats_sample_end(out, f, h->sum) : rc;
}

static akv_status stats_ratio(akv_buffer *out, const stats_family *f, double v)
{
    akv_status rc = akvi_buffer_printf(out, "%s ", f->name);

    if (rc == AKV_OK && stats_is_finite(v))
        rc = stats_double(out, v);
    else if (rc == AKV_OK)
        rc = akvi_buffer_text(out, v > 0 ? "+Inf" : v < 0 ? "-Inf" : "NaN");
    return rc == AKV_OK ? akvi_buffer_byte(out, '\n') : rc;
}

static akv_status stats_family_one(akv_buffer *out, const akv_stat *s)
{
    stats_family f;
    akv_status   rc;

    stats_family_of(s, &f);
    rc = stats_family_head(out, &f, s);
    if (rc != AKV_OK)
        return rc;
    switch (s->kind) {
    case AKV_STAT_RATIO: return stats_ratio(out, &f, s->f64);
    case AKV_STAT_HISTOGRAM: return stats_summary(out, &f, &s->histogram);
    case AKV_STAT_TEXT:
        rc = akvi_buffer_printf(out, "%s_info{%s=", f.name, s->name);
        if (rc == AKV_OK)
            rc = stats_quoted(out, s->text, false);
        return rc == AKV_OK ? akvi_buffer_text(out, "} 1\n") : rc;
    default:
        rc = akvi_buffer_printf(out, "%s%s", f.name, s->kind == AKV_STAT_COUNTER ? "_total" : "");
        return rc == AKV_OK ? stats_sample_end(out, &f, s->u64) : rc;
    }
}

static akv_status stats_openmetrics(const akv_stats *stats, akv_buffer *out)
{
    akv_status rc = AKV_OK;

    for (size_t i = 0; i < stats->n && rc == AKV_OK; i++)
        rc = stats_family_one(out, &stats->list[i]);
    return rc == AKV_OK ? akvi_buffer_text(out, "# EOF\n") : rc;
}

/* ------------------------------------------------------------------ public */

akv_status akv_stats_format(const akv_stats *stats, akv_format format, akv_buffer *out)
{
    akv_status rc;

    akvi_call_begin();
    if (!stats || !out)
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "akv_stats_format needs stats and a buffer"), "");
    akvi_buffer_clear(out);
    switch (format) {
    case AKV_FORMAT_TEXT: rc = stats_text(stats, out); break;
    case AKV_FORMAT_JSON: rc = stats_json(stats, out); break;
    case AKV_FORMAT_OPENMETRICS: rc = stats_openmetrics(stats, out); break;
    default: rc = AKV_FAIL(AKV_MISUSE, "there is no stats format %d", (int)format);
    }
    if (rc != AKV_OK)
        akvi_buffer_clear(out);
    return akvi_call_end(rc, "");
}
