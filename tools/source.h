/* SPDX-License-Identifier: MIT
 *
 * source.h: inside of a cli_source, for the files that read its formats:
 * source.c the bytes and lines, source_json.c NDJSON and JSON, source_rows.c
 * CSV and TSV, source_mmdb.c MaxMind databases.
 *
 * Functions return CLI_GO, CLI_FINE at the end of the input, or the exit code
 * of a failure that has been told.
 */
#ifndef ANYKV_TOOLS_SOURCE_H
#define ANYKV_TOOLS_SOURCE_H

#include "tools/cli_record.h"

#define SOURCE_NONE SIZE_MAX

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
    akv_buffer            *columns; /* the header's names; JSON: those of --columns */
    size_t                 columns_n, key_column, value_column;
    size_t                *members; /* the columns that make the object */
    size_t                 members_n;
    akv_slice             *fields; /* JSON with --columns: their texts in the current object */
    bool                   key_is_hex, value_is_hex;
    struct source_mmdb    *mmdb; /* of that format only */
};

/* A fault of the input, told with its place: "names.csv: row 3: ...". */
int source_fail(cli_source *s, const char *fmt, ...) AKV_PRINTF(2, 3);
/* The next byte, left where it is; -1 at the end or after a failure. */
int source_peek(cli_source *s);
/* A new line, element or row begins here: count it, empty `text`. */
void source_begin(cli_source *s);
/* Take n bytes of the chunk into `text`. */
int source_take(cli_source *s, size_t n);
/* The next line without its end into `text`. */
int  source_line(cli_source *s);
bool source_same(akv_slice a, akv_slice b);

/* What --columns names, of objects. */
int source_json_columns(cli_source *s);
int source_next_ndjson(cli_source *s, cli_record *out);
int source_next_json(cli_source *s, cli_record *out);
int source_next_row(cli_source *s, cli_record *out);

/* The library reads the file itself, by its name. */
int      source_mmdb_open(cli_source *s);
int      source_next_mmdb(cli_source *s, cli_record *out);
uint64_t source_mmdb_done(const cli_source *s);
void     source_mmdb_close(cli_source *s);

#endif
