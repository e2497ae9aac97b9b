/* SPDX-License-Identifier: MIT
 *
 * source_json.c: records from NDJSON lines and from the elements of a JSON
 * array or object.
 *
 * JSON is cut into elements by counting brackets outside strings; each element
 * is then read by the strict reader, so nothing invalid gets through.
 */
#include "tools/source.h"

#include <anykv/doc.h>

#include <inttypes.h>
#include <stdlib.h>

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

/* A key: a string, or an integer's text. CLI_GO or the exit code. */
static int source_take_key(cli_source *s, const akv_doc_event *event, source_fields *f)
{
    if (event->type != AKV_DOC_STRING && event->type != AKV_DOC_INT && event->type != AKV_DOC_UINT)
        return source_fail(s, "the key must be a string or an integer");
    s->key.len = 0;
    cli_append(&s->key, event->bytes.data, event->bytes.len);
    f->has_key = true;
    return CLI_GO;
}

static int source_key(cli_source *s, akv_doc_reader *r, source_fields *f)
{
    akv_doc_event event;

    if (akv_doc_next(r, &event) != AKV_OK)
        return cli_source_failed(s);
    return source_take_key(s, &event, f);
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

/* One field of {"key":...,"value":...}; `name` lasts for the call only. */
static int source_field(cli_source *s, akv_doc_reader *r, akv_slice name, source_fields *f)
{
    if (source_same(name, akv_str("key")))
        return source_key(s, r, f);
    if (source_same(name, akv_str("value")))
        return source_value(s, r, f);
    if (source_same(name, akv_str("key_hex"))) {
        f->has_key = true;
        return source_coded(s, r, "key_hex", &s->key);
    }
    if (source_same(name, akv_str("value_hex")) || source_same(name, akv_str("value_base64"))) {
        f->is_bytes = true;
        return source_coded(s, r,
                            source_same(name, akv_str("value_hex")) ? "value_hex" : "value_base64",
                            &s->value);
    }
    if (source_same(name, akv_str("encoding")))
        return source_encoding(s, r, f);
    if (source_same(name, akv_str("expiry_ms")))
        return source_expiry(s, r, f);
    return source_fail(s,
                       "unknown field \"%.*s\": key, value, encoding and expiry_ms are known; "
                       "--key FIELD takes whole objects as values",
                       (int)(name.len < 60 ? name.len : 60), (const char *)name.data);
}

/* The place of a name among those of --columns; columns_n when it is none. */
static size_t source_field_at(const cli_source *s, akv_slice name)
{
    size_t at = 0;

    while (at < s->columns_n && !source_same(cli_slice(&s->columns[at]), name))
        at++;
    return at;
}

int source_json_columns(cli_source *s)
{
    const char *list = s->args->columns;
    size_t      cap  = 1;

    for (const char *p = list; *p; p++)
        cap += *p == ',';
    s->columns = calloc(cap, sizeof *s->columns);
    s->fields  = calloc(cap, sizeof *s->fields);
    if (!s->columns || !s->fields)
        return source_fail(s, "out of memory");
    while (list) {
        size_t len = strcspn(list, ",");

        if (source_field_at(s, akv_bytes(list, len)) < s->columns_n)
            return cli_usage(s->c, "--columns names a column twice");
        cli_append(&s->columns[s->columns_n++], list, len);
        list = list[len] ? list + len + 1 : NULL;
    }
    return CLI_GO;
}

/* A field of an object that is the value: the key, and what --columns names. */
static int source_own_field(cli_source *s, akv_doc_reader *r, akv_slice name, source_fields *f)
{
    bool          is_key = source_same(name, akv_str(s->args->key));
    size_t        at     = source_field_at(s, name);
    int           code   = CLI_GO;
    akv_doc_event event;

    if (akv_doc_next(r, &event) != AKV_OK)
        return cli_source_failed(s);
    if (is_key)
        code = source_take_key(s, &event, f);
    if (code == CLI_GO && akv_doc_skip(r) != AKV_OK)
        return cli_source_failed(s);
    if (at < s->columns_n)
        s->fields[at] = akv_bytes((const char *)s->text.data + event.offset,
                                  (size_t)(akv_doc_offset(r) - event.offset));
    return code;
}

/* The object of the columns that were there, in the order of --columns. */
static akv_slice source_own_object(cli_source *s)
{
    s->value.len = 0;
    cli_append_text(&s->value, "{");
    for (size_t i = 0; i < s->columns_n; i++) {
        if (!s->fields[i].data)
            continue;
        cli_append_text(&s->value, s->value.len > 1 ? "," : "");
        cli_json_text(&s->value, cli_slice(&s->columns[i]));
        cli_append_text(&s->value, ":");
        cli_append(&s->value, s->fields[i].data, s->fields[i].len);
        s->fields[i] = akv_bytes(NULL, 0);
    }
    cli_append_text(&s->value, "}");
    return cli_slice(&s->value);
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
        f->raw_value = s->fields ? source_own_object(s) : cli_slice(&s->text);
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

int source_next_ndjson(cli_source *s, cli_record *out)
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

int source_next_json(cli_source *s, cli_record *out)
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
