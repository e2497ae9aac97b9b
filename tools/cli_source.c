/* SPDX-License-Identifier: MIT
 *
 * cli_source.c: records from a file or standard input, one at a time, in
 * memory bounded by the largest of them: NDJSON lines, the elements of a JSON
 * array or object, rows of CSV or TSV.
 *
 * JSON is cut into elements by counting brackets outside strings; each element
 * is then read by the strict reader, so nothing invalid gets through.
 */
#include "tools/cli_record.h"

#include <anykv/doc.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE_CHUNK   ((size_t)1 << 20)
#define SOURCE_LONGEST ((size_t)1 << 30) /* of one line, element or row */
#define SOURCE_NONE    SIZE_MAX

/* A cell of the current row, within `text`. */
typedef struct source_cell {
    size_t at, len;
} source_cell;

struct cli_source {
    cli                   *c;
    const cli_source_args *args;
    const char            *name; /* for messages */
    cli_format             format;
    int                    fd;
    uint64_t               total;
    unsigned char         *chunk;
    size_t                 at, end;
    uint64_t               base;   /* offset of chunk[0] in the input */
    uint64_t               number; /* of the line, element or row, from 1 */
    uint64_t               begin;  /* its offset */
    int                    failed; /* exit code after a failed read, told */
    bool                   opened; /* JSON: past the first bracket */
    bool                   object; /* JSON: {"key": value, ...} */
    akv_buffer             text;   /* the current line, element or row */
    akv_buffer             key, value;
    source_cell           *cells;
    size_t                 cells_n, cells_cap;
    akv_buffer            *columns; /* the header's names */
    size_t                 columns_n, key_column, value_column;
    bool                   key_is_hex, value_is_hex;
};

/* ------------------------------------------------------------------ reading */

static const char *source_unit(const cli_source *s)
{
    return s->format == CLI_FORMAT_NDJSON ? "line"
           : s->format == CLI_FORMAT_JSON ? "element"
                                          : "row";
}

/* A fault of the input: "names.csv: row 3: ...". */
static int source_fail(cli_source *s, const char *fmt, ...) AKV_PRINTF(2, 3);
static int source_fail(cli_source *s, const char *fmt, ...)
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
    if (cli_interrupted()) {
        s->failed = cli_fail(s->c, "AKV_CANCELLED", NULL, AKV_NO_OFFSET, "interrupted");
        return false;
    }
    s->base += s->end;
    s->at = s->end = 0;
    do
        n = read(s->fd, s->chunk, SOURCE_CHUNK);
    while (n < 0 && errno == EINTR && !cli_interrupted());
    if (n < 0) {
        s->failed = cli_fail(s->c, "AKV_IO", s->name, s->base, "can't read: %s", strerror(errno));
        return false;
    }
    s->end = (size_t)n;
    return n > 0;
}

/* The next byte, left where it is; -1 at the end. */
static int source_peek(cli_source *s)
{
    if (s->at == s->end && !source_fill(s))
        return -1;
    return s->chunk[s->at];
}

static void source_begin(cli_source *s)
{
    s->begin = s->base + s->at;
    s->number++;
    s->text.len = 0;
}

/* Take n bytes of the chunk into `text`. */
static int source_take(cli_source *s, size_t n)
{
    if (s->text.len + n > SOURCE_LONGEST)
        return source_fail(s, "longer than 1 GiB");
    cli_append(&s->text, s->chunk + s->at, n);
    s->at += n;
    return CLI_GO;
}

/* The next line without its end into `text`; CLI_FINE at the end of input. */
static int source_line(cli_source *s)
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

/* -------------------------------------------------------- one JSON document */

/* What a document in the input says of one entry. */
typedef struct source_fields {
    akv_slice raw_value; /* its JSON text; data NULL when there was none */
    bool      is_string; /* then `value` holds its content */
    bool      is_bytes;  /* value_hex, value_base64: `value` holds them */
    bool      has_key;
    int       encoding; /* -1: not told */
    uint64_t  expiry_ms;
} source_fields;

/* Read one whole value. */
static int source_value(cli_source *s, akv_doc_reader *r, source_fields *f)
{
    akv_doc_event event;

    if (akv_doc_next(r, &event) != AKV_OK)
        return cli_source_failed(s);
    if (event.type == AKV_DOC_ARRAY_END)
        return source_fail(s, "a pair is [key, value], this has less");
    f->is_string = event.type == AKV_DOC_STRING;
    if (f->is_string) {
        s->value.len = 0;
        cli_append(&s->value, event.bytes.data, event.bytes.len);
    }
    if (akv_doc_skip(r) != AKV_OK)
        return cli_source_failed(s);
    f->raw_value = akv_bytes((const char *)s->text.data + event.offset,
                             (size_t)(akv_doc_offset(r) - event.offset));
    return CLI_GO;
}

/* Read a key: a string, or an integer's text. CLI_GO or the exit code. */
static int source_key(cli_source *s, akv_doc_reader *r, source_fields *f)
{
    akv_doc_event event;

    if (akv_doc_next(r, &event) != AKV_OK)
        return cli_source_failed(s);
    if (event.type != AKV_DOC_STRING && event.type != AKV_DOC_INT && event.type != AKV_DOC_UINT)
        return source_fail(s, "the key must be a string or an integer");
    s->key.len = 0;
    cli_append(&s->key, event.bytes.data, event.bytes.len);
    f->has_key = true;
    return CLI_GO;
}

/* The text of a string field into `out`. */
static int source_text(cli_source *s, akv_doc_reader *r, const char *name, akv_buffer *out)
{
    akv_doc_event event;

    if (akv_doc_next(r, &event) != AKV_OK)
        return cli_source_failed(s);
    if (event.type != AKV_DOC_STRING)
        return source_fail(s, "\"%s\" must be a string", name);
    out->len = 0;
    cli_append(out, event.bytes.data, event.bytes.len);
    return CLI_GO;
}

/* A string field of coded bytes, decoded into `out`. */
static int source_coded(cli_source *s, akv_doc_reader *r, const char *name, akv_buffer *out)
{
    akv_buffer text = AKV_BUFFER_INIT;
    int        code = source_text(s, r, name, &text);

    out->len = 0;
    if (code == CLI_GO && !(strstr(name, "hex") ? cli_unhex(out, cli_slice(&text))
                                                : cli_unbase64(out, cli_slice(&text))))
        code = source_fail(s, "\"%s\" holds something else", name);
    akv_buffer_free(&text);
    return code;
}

static int source_encoding(cli_source *s, akv_doc_reader *r, source_fields *f)
{
    static const char *const names[] = {"raw", "json", "msgpack", "opaque"};
    akv_buffer               text    = AKV_BUFFER_INIT;
    int                      code    = source_text(s, r, "encoding", &text);

    for (int i = 0; code == CLI_GO && i < 4; i++)
        if (text.len == strlen(names[i]) && !memcmp(text.data, names[i], text.len))
            f->encoding = i;
    akv_buffer_free(&text);
    if (code == CLI_GO && f->encoding < 0)
        return source_fail(s, "\"encoding\" is none of raw, json, msgpack, opaque");
    return code;
}

static int source_expiry(cli_source *s, akv_doc_reader *r, source_fields *f)
{
    akv_doc_event event;

    if (akv_doc_next(r, &event) != AKV_OK)
        return cli_source_failed(s);
    if (event.type != AKV_DOC_INT || event.i64 < 0)
        return source_fail(s, "\"expiry_ms\" must be an integer from 0");
    f->expiry_ms = (uint64_t)event.i64;
    return CLI_GO;
}

static bool source_is(akv_slice name, const char *text)
{
    return name.len == strlen(text) && !memcmp(name.data, text, name.len);
}

/* One field of {"key":...,"value":...}; `name` lasts for the call only. */
static int source_field(cli_source *s, akv_doc_reader *r, akv_slice name, source_fields *f)
{
    if (source_is(name, "key"))
        return source_key(s, r, f);
    if (source_is(name, "value"))
        return source_value(s, r, f);
    if (source_is(name, "key_hex")) {
        f->has_key = true;
        return source_coded(s, r, "key_hex", &s->key);
    }
    if (source_is(name, "value_hex") || source_is(name, "value_base64")) {
        f->is_bytes = true;
        return source_coded(s, r, source_is(name, "value_hex") ? "value_hex" : "value_base64",
                            &s->value);
    }
    if (source_is(name, "encoding"))
        return source_encoding(s, r, f);
    if (source_is(name, "expiry_ms"))
        return source_expiry(s, r, f);
    return source_fail(s,
                       "unknown field \"%.*s\": key, value, encoding and expiry_ms are known; "
                       "--key FIELD takes whole objects as values",
                       (int)(name.len < 60 ? name.len : 60), (const char *)name.data);
}

/* A field of an object that is a value as a whole: only the key counts. */
static int source_own_field(cli_source *s, akv_doc_reader *r, akv_slice name, source_fields *f)
{
    akv_doc_event event;

    if (source_is(name, s->args->key))
        return source_key(s, r, f);
    if (akv_doc_next(r, &event) != AKV_OK || akv_doc_skip(r) != AKV_OK)
        return cli_source_failed(s);
    return CLI_GO;
}

/* The fields of an object, to its end. */
static int source_object(cli_source *s, akv_doc_reader *r, source_fields *f)
{
    akv_doc_event event;
    int           code = CLI_GO;

    while (code == CLI_GO) {
        if (akv_doc_next(r, &event) != AKV_OK)
            return cli_source_failed(s);
        if (event.type == AKV_DOC_MAP_END)
            break;
        code = s->args->key ? source_own_field(s, r, event.bytes, f)
                            : source_field(s, r, event.bytes, f);
    }
    if (code == CLI_GO && s->args->key)
        f->raw_value = cli_slice(&s->text);
    return code;
}

/* [key, value], to its end. */
static int source_pair(cli_source *s, akv_doc_reader *r, source_fields *f)
{
    akv_doc_event event;
    int           code = source_key(s, r, f);

    if (code == CLI_GO)
        code = source_value(s, r, f);
    if (code != CLI_GO)
        return code;
    if (akv_doc_next(r, &event) != AKV_OK)
        return cli_source_failed(s);
    if (event.type != AKV_DOC_ARRAY_END)
        return source_fail(s, "a pair is [key, value], this has more");
    return CLI_GO;
}

/* Fields to a record. */
static int source_finish(cli_source *s, const source_fields *f, cli_record *out)
{
    bool doc = !f->is_bytes && (!f->is_string || f->encoding == AKV_ENCODING_JSON ||
                                f->encoding == AKV_ENCODING_MSGPACK);

    if (!f->has_key)
        return source_fail(s, "has no \"%s\"", s->args->key ? s->args->key : "key");
    if (!f->is_bytes && !f->raw_value.data)
        return source_fail(s, "has no \"value\"");
    out->key       = cli_slice(&s->key);
    out->expiry_ms = f->expiry_ms;
    out->encoding  = f->encoding >= 0 ? (uint32_t)f->encoding : AKV_ENCODING_RAW;
    out->value     = cli_slice(&s->value);
    if (!doc)
        return CLI_GO;
    if (f->encoding == AKV_ENCODING_MSGPACK) {
        if (akv_json_to_msgpack(f->raw_value, NULL, &s->value) != AKV_OK)
            return cli_source_failed(s);
        out->value = cli_slice(&s->value);
        return CLI_GO;
    }
    if (f->encoding == AKV_ENCODING_RAW || f->encoding == AKV_ENCODING_OPAQUE)
        return source_fail(s, "a value with encoding raw or opaque must be a string");
    out->encoding = AKV_ENCODING_JSON;
    out->value    = f->raw_value;
    return CLI_GO;
}

/* The document in `text` to a record. */
static int source_document(cli_source *s, cli_record *out)
{
    source_fields   f = {.encoding = -1};
    akv_doc_reader *r = NULL;
    akv_doc_event   event;
    akv_status      rc   = akv_doc_reader_json(cli_slice(&s->text), NULL, &r);
    int             code = CLI_GO;

    if (rc == AKV_OK)
        rc = akv_doc_next(r, &event);
    if (rc != AKV_OK)
        code = cli_source_failed(s);
    else if (event.type == AKV_DOC_MAP)
        code = source_object(s, r, &f);
    else if (event.type == AKV_DOC_ARRAY && !s->args->key)
        code = source_pair(s, r, &f);
    else
        code = source_fail(s, s->args->key ? "is no object"
                                           : "is neither {\"key\":...,\"value\":...} nor a pair");
    if (code == CLI_GO && akv_doc_next(r, &event) != AKV_END)
        code = cli_source_failed(s);
    akv_doc_reader_free(r);
    return code == CLI_GO ? source_finish(s, &f, out) : code;
}

static bool source_is_blank(const akv_buffer *text)
{
    const char *p = text->data;

    for (size_t i = 0; i < text->len; i++)
        if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
            return false;
    return true;
}

static int source_next_ndjson(cli_source *s, cli_record *out)
{
    int code;

    do
        code = source_line(s);
    while (code == CLI_GO && source_is_blank(&s->text));
    return code == CLI_GO ? source_document(s, out) : code;
}

/* --------------------------------------------------------------------- JSON */

/* Past white space to the next byte, left where it is; -1 at the end. */
static int source_peek_solid(cli_source *s)
{
    int c = source_peek(s);

    while (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        s->at++;
        c = source_peek(s);
    }
    return c;
}

/* Where the element that is being cut stands. */
typedef struct source_cut {
    size_t depth;
    bool   in_string, escaped, done;
} source_cut;

/* How many bytes of the chunk still belong to the element. */
static size_t source_cut_chunk(const cli_source *s, source_cut *cut)
{
    size_t at = s->at;

    while (at < s->end && !cut->done) {
        unsigned char c = s->chunk[at];

        if (cut->in_string) {
            bool quote = c == '"' && !cut->escaped;

            cut->escaped   = c == '\\' && !cut->escaped;
            cut->in_string = !quote;
            cut->done      = quote && cut->depth == 0;
        } else if (c == '"') {
            cut->in_string = true;
        } else if (c == '[' || c == '{') {
            cut->depth++;
        } else if (cut->depth == 0 && strchr("]},: \t\r\n", c) && c) {
            cut->done = true;
            break;
        } else if (c == ']' || c == '}') {
            cut->done = --cut->depth == 0;
        }
        at++;
    }
    return at - s->at;
}

/* Append the next JSON value's text. */
static int source_cut_value(cli_source *s)
{
    source_cut cut  = {0};
    int        code = CLI_GO;

    while (code == CLI_GO && !cut.done && source_peek(s) >= 0)
        code = source_take(s, source_cut_chunk(s, &cut));
    return s->failed ? s->failed : code;
}

static int source_expected(cli_source *s, const char *what)
{
    if (s->failed)
        return s->failed;
    s->begin = s->base + s->at;
    return source_fail(s, "%s expected at byte %" PRIu64 "%s", what, s->begin,
                       source_peek(s) < 0 ? ", but the input ends" : "");
}

/* Nothing but white space may follow the last bracket. */
static int source_json_end(cli_source *s)
{
    s->at++;
    if (source_peek_solid(s) >= 0)
        return source_expected(s, "the end of the input");
    return s->failed ? s->failed : CLI_FINE;
}

/* "key": value as the pair ["key",value], so that one reader does for both. */
static int source_member(cli_source *s)
{
    int code;

    if (source_peek(s) != '"')
        return source_expected(s, "a key in quotes");
    cli_append_text(&s->text, "[");
    code = source_cut_value(s);
    if (code == CLI_GO && source_peek_solid(s) != ':')
        return source_expected(s, "':'");
    if (code != CLI_GO)
        return code;
    s->at++;
    cli_append_text(&s->text, ",");
    source_peek_solid(s);
    code = source_cut_value(s);
    cli_append_text(&s->text, "]");
    return code;
}

static int source_next_json(cli_source *s, cli_record *out)
{
    int  close, code;
    int  c     = source_peek_solid(s);
    bool first = !s->opened;

    if (first) {
        if (c != '[' && c != '{')
            return source_expected(s, "'[' or '{'");
        s->object = c == '{';
        s->opened = true;
        s->at++;
        c = source_peek_solid(s);
    }
    close = s->object ? '}' : ']';
    if (c == close)
        return source_json_end(s);
    if (!first) {
        if (c != ',')
            return source_expected(s, s->object ? "',' or '}'" : "',' or ']'");
        s->at++;
        source_peek_solid(s);
    }
    source_begin(s);
    code = s->object ? source_member(s) : source_cut_value(s);
    if (code != CLI_GO)
        return code;
    if (!s->text.len)
        return source_expected(s, "a value");
    return source_document(s, out);
}

/* --------------------------------------------------------------- CSV and TSV */

static int source_cell_end(cli_source *s, size_t begin)
{
    if (s->cells_n == s->cells_cap) {
        size_t       cap   = s->cells_cap ? s->cells_cap * 2 : 16;
        source_cell *cells = realloc(s->cells, cap * sizeof *cells);

        if (!cells)
            return source_fail(s, "out of memory");
        s->cells     = cells;
        s->cells_cap = cap;
    }
    s->cells[s->cells_n++] = (source_cell){begin, s->text.len - begin};
    return CLI_GO;
}

/* The rest of a cell that began with a quote. */
static int source_quoted(cli_source *s)
{
    int code = CLI_GO;

    s->at++;
    while (code == CLI_GO) {
        const unsigned char *from, *stop;

        if (source_peek(s) < 0)
            return s->failed ? s->failed : source_fail(s, "a quoted cell is never closed");
        from = s->chunk + s->at;
        stop = memchr(from, '"', s->end - s->at);
        code = source_take(s, stop ? (size_t)(stop - from) : s->end - s->at);
        if (!stop || code != CLI_GO)
            continue;
        s->at++;
        if (source_peek(s) != '"')
            break;
        code = source_take(s, 1); /* a doubled quote stands for one */
    }
    return code;
}

/* A row of CSV into cells; CLI_FINE at the end of input. */
static int source_csv_row(cli_source *s)
{
    int code = CLI_GO, c;

    source_begin(s);
    s->cells_n = 0;
    if (source_peek(s) < 0)
        return s->failed ? s->failed : CLI_FINE;
    do {
        size_t begin = s->text.len;

        if (source_peek(s) == '"') {
            code = source_quoted(s);
            c    = source_peek(s);
            if (code == CLI_GO && c >= 0 && c != ',' && c != '\r' && c != '\n')
                code = source_fail(s, "text after a closing quote");
        } else {
            while (code == CLI_GO && (c = source_peek(s)) >= 0 && c != ',' && c != '\n')
                code = source_take(s, 1);
        }
        c = source_peek(s);
        if (c == '\r') { /* after a quote; else it was taken into the cell */
            s->at++;
            c = source_peek(s);
        } else if (c != ',' && s->text.len > begin &&
                   ((const char *)s->text.data)[s->text.len - 1] == '\r') {
            s->text.len--;
        }
        if (code == CLI_GO)
            code = source_cell_end(s, begin);
        if (c >= 0)
            s->at++;
    } while (code == CLI_GO && c == ',');
    return s->failed ? s->failed : code;
}

/* Undo \t \n \r \\ in place. */
static void source_tsv_unescape(cli_source *s, source_cell *cell)
{
    char  *p = (char *)s->text.data + cell->at;
    size_t n = 0;

    for (size_t i = 0; i < cell->len; i++) {
        const char *from = "tnr\\", *found = NULL;

        if (p[i] == '\\' && i + 1 < cell->len && p[i + 1])
            found = strchr(from, p[i + 1]);
        p[n++] = found ? "\t\n\r\\"[found - from] : p[i];
        i += found != NULL;
    }
    cell->len = n;
}

static int source_tsv_row(cli_source *s)
{
    int    code  = source_line(s);
    size_t begin = 0, len;
    char  *p;

    s->cells_n = 0;
    if (code != CLI_GO)
        return code;
    len = s->text.len;
    p   = s->text.data;
    if (len && p[len - 1] == '\r')
        len--;
    for (size_t i = 0; i <= len && code == CLI_GO; i++) {
        if (i < len && p[i] != '\t')
            continue;
        s->text.len = i;
        code        = source_cell_end(s, begin);
        begin       = i + 1;
    }
    for (size_t i = 0; i < s->cells_n; i++)
        source_tsv_unescape(s, &s->cells[i]);
    return code;
}

static akv_slice source_cell_text(const cli_source *s, size_t i)
{
    return akv_bytes((const char *)s->text.data + s->cells[i].at, s->cells[i].len);
}

/* The next row that is no empty line, all of it UTF-8. */
static int source_row(cli_source *s)
{
    int code;

    do
        code = s->format == CLI_FORMAT_CSV ? source_csv_row(s) : source_tsv_row(s);
    while (code == CLI_GO && s->cells_n == 1 && s->cells[0].len == 0);
    for (size_t i = 0; code == CLI_GO && i < s->cells_n; i++)
        if (!cli_is_utf8(source_cell_text(s, i)))
            code = source_fail(s, "column %zu is not valid UTF-8", i + 1);
    return code;
}

static size_t source_column(const cli_source *s, const char *name)
{
    for (size_t i = 0; i < s->columns_n; i++)
        if (source_is(cli_slice(&s->columns[i]), name))
            return i;
    return SOURCE_NONE;
}

static int source_no_column(cli_source *s, const char *name)
{
    akv_buffer list = AKV_BUFFER_INIT;
    int        code;

    for (size_t i = 0; i < s->columns_n; i++) {
        cli_append_text(&list, i ? ", " : "");
        cli_append(&list, s->columns[i].data, s->columns[i].len);
    }
    cli_append(&list, "", 1);
    code = source_fail(s, "there is no column '%s'; there are: %s", name, (char *)list.data);
    akv_buffer_free(&list);
    return code;
}

/* Which columns are key and value. */
static int source_pick_columns(cli_source *s)
{
    const cli_source_args *a = s->args;

    s->key_column   = source_column(s, a->key ? a->key : "key");
    s->value_column = source_column(s, a->value ? a->value : "value");
    if (a->key && s->key_column == SOURCE_NONE)
        return source_no_column(s, a->key);
    if (a->value && s->value_column == SOURCE_NONE)
        return source_no_column(s, a->value);
    if (s->key_column == SOURCE_NONE) {
        s->key_column = source_column(s, "key_hex");
        s->key_is_hex = s->key_column != SOURCE_NONE;
    }
    if (s->value_column == SOURCE_NONE) {
        s->value_column = source_column(s, "value_hex");
        s->value_is_hex = s->value_column != SOURCE_NONE;
    }
    if (s->key_column == SOURCE_NONE)
        s->key_column = 0;
    if (!a->value && s->columns_n != 2) {
        s->value_column = SOURCE_NONE;
        s->value_is_hex = false;
    }
    return CLI_GO;
}

static int source_header(cli_source *s)
{
    static const char mark[] = "\xef\xbb\xbf";
    int               code   = source_row(s);

    if (code == CLI_FINE)
        return source_fail(s, "a header with the columns' names is missing");
    if (code != CLI_GO)
        return code;
    if (s->cells[0].len >= 3 && !memcmp(source_cell_text(s, 0).data, mark, 3)) {
        s->cells[0].at += 3;
        s->cells[0].len -= 3;
    }
    s->columns = calloc(s->cells_n, sizeof *s->columns);
    if (!s->columns)
        return source_fail(s, "out of memory");
    for (size_t i = 0; i < s->cells_n; i++) {
        akv_slice name = source_cell_text(s, i);

        cli_append(&s->columns[i], name.data, name.len);
        s->columns_n++;
        for (size_t k = 0; k < i; k++)
            if (s->columns[k].len == name.len && !memcmp(s->columns[k].data, name.data, name.len))
                return source_fail(s, "column '%.*s' is there twice", (int)name.len,
                                   (const char *)name.data);
    }
    return source_pick_columns(s);
}

/* {"column":"cell",...} of all but the key. */
static void source_row_object(cli_source *s)
{
    bool first = true;

    s->value.len = 0;
    for (size_t i = 0; i < s->columns_n; i++) {
        if (i == s->key_column)
            continue;
        cli_append_text(&s->value, first ? "{" : ",");
        cli_json_text(&s->value, cli_slice(&s->columns[i]));
        cli_append_text(&s->value, ":");
        cli_json_text(&s->value, source_cell_text(s, i));
        first = false;
    }
    cli_append_text(&s->value, first ? "{}" : "}");
}

/* A cell as it is or from hex, by way of `buffer`. */
static int source_cell_value(cli_source *s, size_t column, bool hex, akv_buffer *buffer,
                             akv_slice *out)
{
    *out = source_cell_text(s, column);
    if (!hex)
        return CLI_GO;
    buffer->len = 0;
    if (!cli_unhex(buffer, *out))
        return source_fail(s, "column %zu is not hex", column + 1);
    *out = cli_slice(buffer);
    return CLI_GO;
}

static int source_next_row(cli_source *s, cli_record *out)
{
    int code = s->columns ? CLI_GO : source_header(s);

    if (code == CLI_GO)
        code = source_row(s);
    if (code != CLI_GO)
        return code;
    if (s->cells_n != s->columns_n)
        return source_fail(s, "has %zu cells, the header has %zu", s->cells_n, s->columns_n);
    code = source_cell_value(s, s->key_column, s->key_is_hex, &s->key, &out->key);
    if (code != CLI_GO)
        return code;
    if (s->value_column != SOURCE_NONE)
        return source_cell_value(s, s->value_column, s->value_is_hex, &s->value, &out->value);
    source_row_object(s);
    out->value    = cli_slice(&s->value);
    out->encoding = AKV_ENCODING_JSON;
    return CLI_GO;
}

/* ------------------------------------------------------------- open to close */

static cli_format source_format_of_name(const char *name)
{
    static const struct {
        const char *end;
        cli_format  format;
    } ends[] = {{".ndjson", CLI_FORMAT_NDJSON},
                {".jsonl", CLI_FORMAT_NDJSON},
                {".json", CLI_FORMAT_JSON},
                {".csv", CLI_FORMAT_CSV},
                {".tsv", CLI_FORMAT_TSV}};

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
    if (args->value && s->format != CLI_FORMAT_CSV && s->format != CLI_FORMAT_TSV)
        return cli_usage(c, "--value is for csv and tsv");
    return CLI_GO;
}

int cli_source_next(cli_source *s, cli_record *record_out)
{
    *record_out = (cli_record){.encoding = AKV_ENCODING_RAW};
    switch (s->format) {
    case CLI_FORMAT_JSON: return source_next_json(s, record_out);
    case CLI_FORMAT_CSV:
    case CLI_FORMAT_TSV: return source_next_row(s, record_out);
    case CLI_FORMAT_NDJSON:
    case CLI_FORMAT_AUTO: break;
    }
    return source_next_ndjson(s, record_out);
}

uint64_t cli_source_done(const cli_source *s)
{
    return s->base + s->at;
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
    free(s->columns);
    free(s->cells);
    free(s->chunk);
    akv_buffer_free(&s->text);
    akv_buffer_free(&s->key);
    akv_buffer_free(&s->value);
    free(s);
}
