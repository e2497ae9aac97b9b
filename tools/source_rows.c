/* SPDX-License-Identifier: MIT
 *
 * source_rows.c: records from rows of CSV (RFC 4180) and TSV.
 */
#include "tools/source.h"

#include <stdlib.h>

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
        if (source_same(cli_slice(&s->columns[i]), akv_str(name)))
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

/* Which columns make the object: those named, in that order, or all but the key. */
static int source_pick_members(cli_source *s)
{
    const char *list = s->args->columns;
    size_t      cap  = s->columns_n;

    for (const char *p = list; p && *p; p++)
        cap += *p == ',';
    s->members = calloc(cap + 1, sizeof *s->members);
    if (!s->members)
        return source_fail(s, "out of memory");
    for (size_t i = 0; !list && i < s->columns_n; i++)
        if (i != s->key_column)
            s->members[s->members_n++] = i;
    while (list) {
        size_t     len  = strcspn(list, ",");
        akv_buffer name = AKV_BUFFER_INIT;
        size_t     at;
        int        code = CLI_GO;

        cli_append(&name, list, len);
        cli_append(&name, "", 1);
        at = source_column(s, name.data);
        if (at == SOURCE_NONE)
            code = source_no_column(s, name.data);
        akv_buffer_free(&name);
        if (code != CLI_GO)
            return code;
        for (size_t i = 0; i < s->members_n; i++)
            if (s->members[i] == at)
                return source_fail(s, "--columns names a column twice");
        s->members[s->members_n++] = at;
        list                       = list[len] ? list + len + 1 : NULL;
    }
    return CLI_GO;
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
    if (!a->value && (a->columns || s->columns_n != 2)) {
        s->value_column = SOURCE_NONE;
        s->value_is_hex = false;
    }
    return s->value_column == SOURCE_NONE ? source_pick_members(s) : CLI_GO;
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

/* {"column":"cell",...} */
static void source_row_object(cli_source *s)
{
    s->value.len = 0;
    cli_append_text(&s->value, "{");
    for (size_t i = 0; i < s->members_n; i++) {
        cli_append_text(&s->value, i ? "," : "");
        cli_json_text(&s->value, cli_slice(&s->columns[s->members[i]]));
        cli_append_text(&s->value, ":");
        cli_json_text(&s->value, source_cell_text(s, s->members[i]));
    }
    cli_append_text(&s->value, "}");
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

int source_next_row(cli_source *s, cli_record *out)
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
