/* SPDX-License-Identifier: MIT
 *
 * source.c: records from a file or standard input, one at a time, in memory
 * bounded by the largest of them.
 */
#include "tools/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE_CHUNK   ((size_t)1 << 20)
#define SOURCE_LONGEST ((size_t)1 << 30) /* of one line, element or row */

/* ------------------------------------------------------------------ reading */

static const char *source_unit(const cli_source *s)
{
    return s->format == CLI_FORMAT_NDJSON ? "line"
           : s->format == CLI_FORMAT_JSON ? "element"
           : s->format == CLI_FORMAT_MMDB ? "network"
                                          : "row";
}

int source_fail(cli_source *s, const char *fmt, ...)
{
    char    text[400];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return cli_fail(s->c, "INPUT", s->name, s->begin, "%s %" PRIu64 ": %s", source_unit(s),
                    s->number, text);
}

int cli_source_failed(cli_source *s)
{
    const akv_error *e = akv_last_error();

    return cli_fail(s->c, akv_status_name(e->code), s->name, s->begin, "%s %" PRIu64 ": %s",
                    source_unit(s), s->number, e->text);
}

/* Fill the chunk again; false at the end or after a failure. */
static bool source_fill(cli_source *s)
{
    ssize_t n;

    if (s->failed)
        return false;
    s->base += s->end;
    s->at = s->end = 0;
    do
        n = read(s->fd, s->chunk, SOURCE_CHUNK);
    while (n < 0 && errno == EINTR && !cli_interrupted());
    if (cli_interrupted()) {
        s->failed = cli_fail(s->c, "AKV_CANCELLED", NULL, AKV_NO_OFFSET, "interrupted");
        return false;
    }
    if (n < 0) {
        s->failed = cli_fail(s->c, "AKV_IO", s->name, s->base, "can't read: %s", strerror(errno));
        return false;
    }
    s->end = (size_t)n;
    return n > 0;
}

int source_peek(cli_source *s)
{
    if (s->at == s->end && !source_fill(s))
        return -1;
    return s->chunk[s->at];
}

void source_begin(cli_source *s)
{
    s->begin = s->base + s->at;
    s->number++;
    s->text.len = 0;
}

int source_take(cli_source *s, size_t n)
{
    if (s->text.len + n > SOURCE_LONGEST)
        return source_fail(s, "longer than 1 GiB");
    cli_append(&s->text, s->chunk + s->at, n);
    s->at += n;
    return CLI_GO;
}

int source_line(cli_source *s)
{
    int code = CLI_GO;

    source_begin(s);
    if (source_peek(s) < 0)
        return s->failed ? s->failed : CLI_FINE;
    while (code == CLI_GO && source_peek(s) >= 0) {
        const unsigned char *from = s->chunk + s->at;
        const unsigned char *stop = memchr(from, '\n', s->end - s->at);

        code = source_take(s, stop ? (size_t)(stop - from) : s->end - s->at);
        if (stop) {
            s->at++;
            break;
        }
    }
    return s->failed ? s->failed : code;
}

bool source_same(akv_slice a, akv_slice b)
{
    return a.len == b.len && (!a.len || !memcmp(a.data, b.data, a.len));
}

/* ------------------------------------------------------------- open to close */

static cli_format source_format_of_name(const char *name)
{
    static const struct {
        const char *end;
        cli_format  format;
    } ends[] = {{".ndjson", CLI_FORMAT_NDJSON}, {".jsonl", CLI_FORMAT_NDJSON},
                {".json", CLI_FORMAT_JSON},     {".csv", CLI_FORMAT_CSV},
                {".tsv", CLI_FORMAT_TSV},       {".mmdb", CLI_FORMAT_MMDB}};

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(ends[i].end), len = strlen(name);

        if (len > n && !strcmp(name + len - n, ends[i].end))
            return ends[i].format;
    }
    return CLI_FORMAT_AUTO;
}

/* By the name, else by the first byte: '[' an array, '{' lines. */
static int source_find_format(cli_source *s)
{
    int c;

    s->format = (cli_format)s->args->format;
    if (s->format == CLI_FORMAT_AUTO && s->args->file)
        s->format = source_format_of_name(s->args->file);
    if (s->format != CLI_FORMAT_AUTO)
        return CLI_GO;
    c = source_peek(s);
    if (s->failed)
        return s->failed;
    if (c >= 0 && c != '[' && c != '{')
        return cli_usage(
            s->c, "can't tell the format of %s: give --format ndjson, json, csv or tsv", s->name);
    s->format = c == '[' ? CLI_FORMAT_JSON : CLI_FORMAT_NDJSON;
    return CLI_GO;
}

static int source_check_columns(cli_source *s)
{
    const cli_source_args *a    = s->args;
    bool                   rows = s->format == CLI_FORMAT_CSV || s->format == CLI_FORMAT_TSV;

    if (a->value && !rows)
        return cli_usage(s->c, "--value is for csv and tsv");
    if (a->value && a->columns)
        return cli_usage(s->c, "--value and --columns exclude each other");
    if (!a->columns || rows)
        return CLI_GO;
    if (s->format == CLI_FORMAT_MMDB)
        return cli_usage(s->c, "--columns is not for mmdb");
    if (!a->key)
        return cli_usage(s->c, "--columns of ndjson and json goes with --key");
    return source_json_columns(s);
}

int cli_source_open(cli *c, const cli_source_args *args, cli_source **source_out)
{
    bool        is_stdin = !args->file || !strcmp(args->file, "-");
    cli_source *s        = calloc(1, sizeof *s);
    struct stat st;
    int         code;

    *source_out = s;
    if (!s || !(s->chunk = malloc(SOURCE_CHUNK)))
        return cli_fail(c, "AKV_NOMEM", NULL, AKV_NO_OFFSET, "out of memory");
    s->c    = c;
    s->args = args;
    s->name = is_stdin ? "standard input" : args->file;
    s->fd   = is_stdin ? STDIN_FILENO : open(args->file, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0)
        return cli_fail(c, "AKV_IO", s->name, AKV_NO_OFFSET, "can't open: %s", strerror(errno));
    if (fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode))
        s->total = (uint64_t)st.st_size;
    code = source_find_format(s);
    if (code != CLI_GO)
        return code;
    code = source_check_columns(s);
    if (code != CLI_GO || s->format != CLI_FORMAT_MMDB)
        return code;
    if (args->key || is_stdin)
        return cli_usage(c, is_stdin ? "mmdb is read from a file, not from standard input"
                                     : "--key is not for mmdb: its networks are the keys");
    return source_mmdb_open(s);
}

int cli_source_next(cli_source *s, cli_record *record_out)
{
    *record_out = (cli_record){.encoding = AKV_ENCODING_RAW};
    switch (s->format) {
    case CLI_FORMAT_JSON: return source_next_json(s, record_out);
    case CLI_FORMAT_CSV:
    case CLI_FORMAT_TSV: return source_next_row(s, record_out);
    case CLI_FORMAT_MMDB: return source_next_mmdb(s, record_out);
    case CLI_FORMAT_NDJSON:
    case CLI_FORMAT_AUTO: break;
    }
    return source_next_ndjson(s, record_out);
}

uint64_t cli_source_done(const cli_source *s)
{
    return s->mmdb ? source_mmdb_done(s) : s->base + s->at;
}

uint64_t cli_source_total(const cli_source *s)
{
    return s->total;
}

void cli_source_close(cli_source *s)
{
    if (!s)
        return;
    if (s->fd > STDERR_FILENO)
        close(s->fd);
    for (size_t i = 0; i < s->columns_n; i++)
        akv_buffer_free(&s->columns[i]);
    source_mmdb_close(s);
    free(s->columns);
    free(s->members);
    free(s->fields);
    free(s->cells);
    free(s->chunk);
    akv_buffer_free(&s->text);
    akv_buffer_free(&s->key);
    akv_buffer_free(&s->value);
    free(s);
}
