/* SPDX-License-Identifier: MIT
 *
 * export.c: `anykv export`: every entry to a file that import reads back.
 */
#include "tools/cli_record.h"
#include "tools/commands.h"

#include <errno.h>
#include <unistd.h>

typedef struct export_args {
    cli_store   store;
    uint32_t    format; /* export_format */
    const char *prefix;
    bool        hex;
} export_args;

typedef enum export_format { EXPORT_NDJSON, EXPORT_JSON, EXPORT_CSV, EXPORT_TSV } export_format;

/* Quoted where it must be (RFC 4180). */
static void export_csv_cell(akv_buffer *out, akv_slice text)
{
    const char *p      = text.data;
    bool        quoted = text.len == 0;

    for (size_t i = 0; i < text.len && !quoted; i++)
        quoted = p[i] == ',' || p[i] == '"' || p[i] == '\n' || p[i] == '\r';
    if (!quoted) {
        cli_append(out, text.data, text.len);
        return;
    }
    cli_append_text(out, "\"");
    for (size_t i = 0; i < text.len; i++) {
        cli_append(out, p + i, 1);
        if (p[i] == '"')
            cli_append(out, "\"", 1);
    }
    cli_append_text(out, "\"");
}

static void export_tsv_cell(akv_buffer *out, akv_slice text)
{
    const char *p = text.data;

    for (size_t i = 0; i < text.len; i++) {
        switch (p[i]) {
        case '\t': cli_append_text(out, "\\t"); break;
        case '\n': cli_append_text(out, "\\n"); break;
        case '\r': cli_append_text(out, "\\r"); break;
        case '\\': cli_append_text(out, "\\\\"); break;
        default: cli_append(out, p + i, 1); break;
        }
    }
}

static void export_cell(const export_args *a, akv_buffer *out, akv_slice bytes)
{
    if (a->hex)
        cli_hex(out, bytes);
    else if (a->format == EXPORT_CSV)
        export_csv_cell(out, bytes);
    else
        export_tsv_cell(out, bytes);
}

/* A row of key and value. Cells are text: documents as JSON, and bytes that are
 * no text only in hex. */
static int export_row(cli *c, const export_args *a, const cli_record *r, akv_buffer *out)
{
    akv_buffer shown = AKV_BUFFER_INIT, key = AKV_BUFFER_INIT;
    akv_slice  value = r->value;

    if (!a->hex && r->encoding == AKV_ENCODING_MSGPACK) {
        cli_show_value(&shown, r, CLI_SHOW_JSON, false);
        value = cli_slice(&shown);
    }
    if (!a->hex && (!cli_is_utf8(r->key) || !cli_is_utf8(value))) {
        int code;

        cli_escape(&key, r->key);
        cli_append(&key, "", 1);
        code = cli_fail(c, "AKV_UNSUPPORTED", NULL, AKV_NO_OFFSET,
                        "key or value of '%s' is not UTF-8: give --hex, or --format ndjson",
                        (char *)key.data);
        akv_buffer_free(&key);
        akv_buffer_free(&shown);
        return code;
    }
    export_cell(a, out, r->key);
    cli_append_text(out, a->format == EXPORT_CSV ? "," : "\t");
    export_cell(a, out, value);
    cli_append_text(out, "\n");
    akv_buffer_free(&shown);
    return CLI_FINE;
}

static void export_head(const export_args *a)
{
    const char *x = a->hex ? "_hex" : "";

    if (a->format == EXPORT_JSON)
        fputs("[", stdout);
    else if (a->format != EXPORT_NDJSON)
        printf("key%s%cvalue%s\n", x, a->format == EXPORT_CSV ? ',' : '\t', x);
}

static int export_entry(cli *c, const export_args *a, const cli_record *r, bool first,
                        akv_buffer *out)
{
    int code = CLI_FINE;

    out->len = 0;
    if (a->format == EXPORT_CSV || a->format == EXPORT_TSV) {
        code = export_row(c, a, r, out);
    } else {
        if (a->format == EXPORT_JSON && !first)
            cli_append_text(out, ",\n ");
        cli_record_json(out, r, true, false);
        if (a->format == EXPORT_JSON)
            out->len--; /* the line end */
    }
    if (code == CLI_FINE)
        cli_print(out);
    return code;
}

static int export_entries(cli *c, const export_args *a, akv *db)
{
    akv_scan_options opt   = AKV_SCAN_OPTIONS_INIT;
    akv_buffer       out   = AKV_BUFFER_INIT;
    int              code  = CLI_FINE;
    bool             first = true;
    akv_iter        *it;
    akv_status       rc = AKV_OK;

    opt.prefix = akv_str(a->prefix);
    if (akv_scan(db, &opt, &it) != AKV_OK)
        return cli_failed(c);
    export_head(a);
    while (code == CLI_FINE && (rc = akv_iter_next(it)) == AKV_OK && !ferror(stdout)) {
        cli_record r = cli_record_of(db, akv_iter_key(it), akv_iter_item(it));

        code  = export_entry(c, a, &r, first, &out);
        first = false;
    }
    if (code == CLI_FINE && rc < 0)
        code = cli_failed(c);
    if (a->format == EXPORT_JSON && code == CLI_FINE)
        fputs("]\n", stdout);
    akv_iter_free(it);
    akv_buffer_free(&out);
    return code;
}

static int export_run(cli *c)
{
    export_args      a         = {.store = CLI_STORE_INIT};
    const cli_option options[] = {
        {CLI_CHOICE, 'f', "format", "ndjson|json|csv|tsv", &a.format, "of the output"},
        {CLI_TEXT, 'p', "prefix", "KEY", &a.prefix, "only keys that begin so"},
        {CLI_FLAG, 0, "hex", NULL, &a.hex, "csv, tsv: keys and values in hex"},
        CLI_STORE_READ_ROWS(&a.store),
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int  code = cli_parse(c, options, 1, 2);
    akv *db   = NULL;

    if (code != CLI_GO)
        return code;
    if (a.hex && (a.format == EXPORT_NDJSON || a.format == EXPORT_JSON))
        return cli_close(c, &a.store, NULL, cli_usage(c, "--hex is for csv and tsv"));
    code = cli_open(c, &a.store, c->argv[0], AKV_OPEN_READ_ONLY, AKV_CAP_READ, &db);
    if (code == CLI_GO && c->argc > 1 && strcmp(c->argv[1], "-") != 0 &&
        !freopen(c->argv[1], "w", stdout))
        code =
            cli_fail(c, "AKV_IO", c->argv[1], AKV_NO_OFFSET, "can't create: %s", strerror(errno));
    if (code == CLI_GO)
        code = cli_flush(c, export_entries(c, &a, db));
    if (code == CLI_FINE && c->argc > 1 && strcmp(c->argv[1], "-") != 0 &&
        fsync(STDOUT_FILENO) != 0 && errno != EINVAL && errno != EROFS)
        code = cli_fail(c, "AKV_IO", c->argv[1], AKV_NO_OFFSET, "can't sync: %s", strerror(errno));
    return cli_close(c, &a.store, db, code);
}

const cli_command cli_export_command = {
    "export", "STORE [FILE]", "write all entries as NDJSON, JSON, CSV or TSV",
    "Write every entry, in key order, to FILE or standard output. NDJSON and JSON\n"
    "hold everything, and import gives the same bytes back; CSV and TSV hold text\n"
    "and documents, or any bytes with --hex.\n\n"
    "Examples:\n"
    "  anykv export data.fsdb > data.ndjson\n"
    "  anykv export data.fsdb data.csv --format csv\n"
    "  anykv export data.fsdb --prefix 8.8. --format json",
    export_run};
