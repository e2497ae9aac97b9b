/* SPDX-License-Identifier: MIT
 *
 * cli_record.h: entries of a store on their way out (shown, exported) and in
 * (read from a file, written to a store).
 */
#ifndef ANYKV_TOOLS_CLI_RECORD_H
#define ANYKV_TOOLS_CLI_RECORD_H

#include "tools/cli.h"

/* One entry; all borrowed. */
typedef struct cli_record {
    akv_slice key;
    akv_slice value;
    uint32_t  encoding; /* akv_encoding */
    uint64_t  expiry_ms;
} cli_record;

/* ------------------------------------------------------------------ showing */

typedef enum cli_show {
    CLI_SHOW_AUTO = 0,
    CLI_SHOW_TEXT,
    CLI_SHOW_JSON,
    CLI_SHOW_HEX,
    CLI_SHOW_RAW,
    CLI_SHOW_BASE64
} cli_show;
#define CLI_SHOW_ROW(show)                                                  \
    {                                                                       \
        CLI_CHOICE, 'f', "format", "auto|text|json|hex|raw|base64", (show), \
            "how values print; auto: by what they hold"                     \
    }

/* What the value of a record is: its tag, or, from a store that keeps no tags
 * (see AKV_CAP_ENCODING), MessagePack when its bytes are just that. */
cli_record cli_record_of(akv *db, akv_slice key, const akv_value *value);
/* The value as `show` says. `one_line` escapes line ends in text. */
void cli_show_value(akv_buffer *out, const cli_record *r, cli_show show, bool one_line);
/* {"key":..., without the end; "key_hex" for what is not UTF-8. */
void cli_json_key(akv_buffer *out, akv_slice key);
/* {"key":...,"value":...} and a line end. What JSON can't hold goes as base64
 * when `exact`, so that reading it back gives the same bytes; else it becomes
 * the nearest document, marked "lossy". */
void cli_record_json(akv_buffer *out, const cli_record *r, bool exact, bool keys_only);

/* ------------------------------------------------------------------ reading */

typedef enum cli_format {
    CLI_FORMAT_AUTO = 0,
    CLI_FORMAT_NDJSON,
    CLI_FORMAT_JSON,
    CLI_FORMAT_CSV,
    CLI_FORMAT_TSV,
    CLI_FORMAT_MMDB
} cli_format;

/* Where records come from. */
typedef struct cli_source_args {
    const char *file; /* NULL or "-": standard input */
    uint32_t    format;
    const char *key;     /* column or field; NULL: "key", or the first column */
    const char *value;   /* column; NULL: "value", or an object of the others */
    const char *columns; /* "a,b": those that make the object; NULL: all others */
} cli_source_args;
#define CLI_SOURCE_ROWS(a)                                                                  \
    {CLI_CHOICE,   'f',                                                                     \
     "format",     "auto|ndjson|json|csv|tsv|mmdb",                                         \
     &(a)->format, "of the input; auto: by its name or first byte"},                        \
        {CLI_TEXT, 'k', "key", "COLUMN", &(a)->key, "the column or field that is the key"}, \
        {CLI_TEXT, 0, "value", "COLUMN", &(a)->value, "the column that is the value"},      \
    {                                                                                       \
        CLI_TEXT, 0, "columns", "A,B,...", &(a)->columns,                                   \
            "the columns or fields that make the object; else all but the key"              \
    }

typedef struct cli_source cli_source;

/* CLI_GO, or the exit code with the reason told. */
int cli_source_open(cli *c, const cli_source_args *args, cli_source **source_out);
/* The next record, valid until the next call: CLI_GO, CLI_FINE at the end, or
 * the exit code of a failure that has been told. */
int cli_source_next(cli_source *s, cli_record *record_out);
/* Tell the library's last error with the place in the input; CLI_FAILED. */
int cli_source_failed(cli_source *s);
/* Bytes taken, of how many (0: not known). */
uint64_t cli_source_done(const cli_source *s);
uint64_t cli_source_total(const cli_source *s);
void     cli_source_close(cli_source *s); /* takes NULL */

/* ------------------------------------------------------------------ writing */

typedef enum cli_values {
    CLI_VALUES_AUTO = 0, /* what the engine's own programs expect */
    CLI_VALUES_KEEP,
    CLI_VALUES_MSGPACK,
    CLI_VALUES_JSON,
    CLI_VALUES_RAW
} cli_values;
#define CLI_VALUES_ROWS(a)                                                             \
    {CLI_CHOICE,   0,                                                                  \
     "values",     "auto|keep|msgpack|json|raw",                                       \
     &(a)->values, "how values are stored; auto: msgpack in fused stores, else keep"}, \
    {                                                                                  \
        CLI_FLAG, 0, "lossy", NULL, &(a)->lossy,                                       \
            "store the nearest thing when the encoding can't hold a value"             \
    }

/* Writes records into a store: until finish, in batches, or one by one, as the
 * store can. */
typedef struct cli_sink {
    cli       *c;
    akv       *db;
    uint64_t   caps;
    uint32_t   values; /* cli_values */
    bool       lossy;
    bool       drop_expiry; /* let entries live for ever where there is no TTL */
    akv_batch *batch;
    akv_buffer scratch;
    uint64_t   written, expired, untagged;
} cli_sink;

/* Fill in c, db, values, lossy and drop_expiry first. CLI_GO, or the exit code
 * with the reason told. */
int cli_sink_begin(cli_sink *s);
/* The library's status, with its error record filled. */
akv_status cli_sink_put(cli_sink *s, const cli_record *r);
/* With `code` CLI_FINE, write what is pending and finish a build; with any
 * other, drop it. Returns `code`, or that of a failure here, told. */
int cli_sink_end(cli_sink *s, int code);
/* Records written, and how many lost an expiry or a tag, on stdout. */
void cli_sink_summary(const cli_sink *s, uint64_t begin_ns);

#endif
