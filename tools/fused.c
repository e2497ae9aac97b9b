/* SPDX-License-Identifier: MIT
 *
 * fused.c: `anykv fused build`, `fused info`, `fused lookup` and `fused objects`.
 * They go through the shared interface, so they need no more of a build than any
 * other command, but for the look-up and the list themselves.
 */
#include "tools/transfer.h"

#include <anykv/fused.h>

/* Not there in a build without the engine, in which no store of it opens. */
#pragma weak akv_fused_of
#pragma weak akv_fused_lookup_ip
#pragma weak akv_fused_ip_index
#pragma weak akv_fused_objects

static int fused_build_run(cli *c)
{
    cli_store        store     = CLI_STORE_INIT;
    cli_source_args  source    = {.file = NULL};
    cli_sink         sink      = {.c = c};
    const cli_option options[] = {
        {CLI_TEXT, 'i', "input", "FILE", &source.file, "the records, also given as IN"},
        CLI_SOURCE_ROWS(&source),
        CLI_VALUES_ROWS(&sink),
        {CLI_PAIRS, 'o', "option", "NAME=VALUE", &store.pairs,
         "an option of the engine (see anykv options fused)"},
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int code = cli_parse(c, options, 1, 2);

    if (code != CLI_GO)
        return code;
    if (c->argc > 1 && source.file)
        return cli_usage(c, "the input is given twice");
    if (c->argc > 1)
        source.file = c->argv[1];
    store.engine     = "fused";
    sink.drop_expiry = true;
    return transfer_import(c, &source, &store, c->argv[0], AKV_OPEN_CREATE | AKV_OPEN_TRUNCATE,
                           &sink);
}

const cli_command cli_fused_build_command = {
    "fused build", "OUT.fsdb [IN]", "build a .fsdb file from records",
    "Build a .fsdb file from the records of a file, else of standard input, as anykv\n"
    "import reads them: ndjson, json, csv, tsv, or a MaxMind database (mmdb).\n"
    "Values become MessagePack documents, which is what FuseDB readers expect, and\n"
    "equal ones are stored once. The file appears, or replaces the one that is\n"
    "there, in one step at the end; a failure leaves it as it was.\n\n"
    "Examples:\n"
    "  anykv fused build names.fsdb --input names.ndjson\n"
    "  anykv fused build oui.fsdb --input oui.csv --key Assignment\n"
    "  anykv fused build countries.fsdb countries.mmdb\n"
    "  anykv fused build raw.fsdb --values raw -o dedupe=false < data.tsv --format tsv",
    fused_build_run};

/* --------------------------------------------------------------------- info */

/* The original's figures, in its order, then ours. */
static const char *const fused_figures[] = {
    "path",         "version",    "num_keys", "num_objects", "index_offset",  "data_offset",
    "file_size",    "file_crc32", "flags",    "keys",        "index_size",    "trailing_bytes",
    "table_memory", "access",     "order",    "section",     "section_bytes", "ip_v4_keys",
    "ip_v6_keys",   "ip_others", /* with --addresses */
};

static void fused_figure(cli *c, akv_buffer *out, const akv_stat *stat)
{
    if (c->json)
        cli_printf(out, "%s\"%s\":", out->len ? "," : "{", stat->name);
    else
        cli_printf(out, "%-15s", stat->name);
    if (stat->kind == AKV_STAT_TEXT && c->json)
        cli_json_text(out, akv_str(stat->text));
    else if (stat->kind == AKV_STAT_TEXT)
        cli_escape(out, akv_str(stat->text));
    else
        cli_printf(out, "%llu", (unsigned long long)stat->u64);
    if (!c->json)
        cli_append_text(out, "\n");
    if (c->json && !strcmp(stat->name, "file_size"))
        cli_printf(out, ",\"file_size_kb\":%.17g", (double)stat->u64 / 1024);
}

static int fused_info_print(cli *c, akv *db)
{
    akv_buffer out   = AKV_BUFFER_INIT;
    akv_stats *stats = NULL;

    if (akv_stats_get(db, &stats) != AKV_OK)
        return cli_failed(c);
    for (size_t i = 0; i < sizeof fused_figures / sizeof *fused_figures; i++) {
        const akv_stat *stat = akv_stats_find(stats, fused_figures[i]);

        if (stat)
            fused_figure(c, &out, stat);
    }
    if (c->json)
        cli_append_text(&out, "}\n");
    cli_print(&out);
    akv_buffer_free(&out);
    akv_stats_free(stats);
    return CLI_FINE;
}

static int fused_info_run(cli *c)
{
    cli_store        store     = CLI_STORE_INIT;
    bool             addresses = false;
    const cli_option options[] = {
        {CLI_FLAG, 'a', "addresses", NULL, &addresses, "count the keys that are IP addresses"},
        {CLI_PAIRS, 'o', "option", "NAME=VALUE", &store.pairs,
         "an option of the engine (see anykv options fused)"},
        {CLI_FLAG, 0, "salvage", NULL, &store.salvage, "open what can be read of a damaged file"},
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int  code = cli_parse(c, options, 1, 1);
    akv *db;

    if (code != CLI_GO)
        return code;
    store.engine = "fused";
    code         = cli_open(c, &store, c->argv[0], AKV_OPEN_READ_ONLY, 0, &db);
    if (code != CLI_GO)
        return code;
    code = addresses ? cli_answer(c, akv_fused_ip_index(akv_fused_of(db))) : CLI_FINE;
    if (code == CLI_FINE)
        code = cli_flush(c, fused_info_print(c, db));
    return cli_close(c, &store, db, code);
}

const cli_command cli_fused_info_command = {
    "fused info", "FILE.fsdb", "print the figures of a .fsdb file",
    "Print the figures of a .fsdb file: those of its header, and what reading it\n"
    "told. The file's CRC is checked first if it has no hash section, or with\n"
    "-o verify_on_open=true. With --addresses the index that anykv fused lookup\n"
    "uses is made as well, and the keys are counted that are blocks of IPv4 or\n"
    "IPv6 addresses, and the others.\n\n"
    "Examples:\n"
    "  anykv fused info data.fsdb\n"
    "  anykv fused info countries.fsdb --addresses\n"
    "  anykv fused info data.fsdb --json\n"
    "  anykv fused info damaged.fsdb --salvage",
    fused_info_run};

/* ------------------------------------------------------------------- lookup */

typedef struct fused_lookup {
    cli_store store;
    uint32_t  show;
} fused_lookup;

static void fused_lookup_print(const cli *c, const fused_lookup *a, akv *db, const char *address,
                               akv_slice key, akv_slice object)
{
    akv_value  value = AKV_VALUE_INIT;
    akv_buffer out   = AKV_BUFFER_INIT;
    cli_record r;

    value.data = object.data;
    value.len  = object.len;
    r          = cli_record_of(db, key, &value);
    if (c->json) {
        cli_record_json(&out, &r, false, false);
        out.len -= 2; /* reopen the object: "}\n" */
        cli_append_text(&out, ",\"address\":");
        cli_json_text(&out, akv_str(address));
        cli_append_text(&out, "}\n");
    } else {
        cli_printf(&out, "%s\t", address);
        cli_escape(&out, key);
        cli_append_text(&out, "\t");
        cli_show_value(&out, &r, (cli_show)a->show, true);
        cli_append_text(&out, "\n");
    }
    cli_print(&out);
    akv_buffer_free(&out);
}

static void fused_lookup_absent(const cli *c, const char *address)
{
    akv_buffer out = AKV_BUFFER_INIT;

    if (c->json) {
        cli_append_text(&out, "{\"address\":");
        cli_json_text(&out, akv_str(address));
        cli_append_text(&out, ",\"absent\":true}\n");
        cli_print(&out);
    } else if (!c->quiet) {
        fprintf(stderr, "anykv: no block holds '%s'\n", address);
    }
    akv_buffer_free(&out);
}

static int fused_lookup_all(cli *c, const fused_lookup *a, akv *db)
{
    const akv_fused *f    = akv_fused_of(db);
    int              code = CLI_FINE;

    for (int i = 1; i < c->argc && code < CLI_USAGE; i++) {
        akv_slice object, key;
        int answer = cli_answer(c, akv_fused_lookup_ip(f, akv_str(c->argv[i]), &object, &key));

        if (answer == CLI_FINE)
            fused_lookup_print(c, a, db, c->argv[i], key, object);
        else if (answer == CLI_ABSENT)
            fused_lookup_absent(c, c->argv[i]);
        if (answer > code)
            code = answer;
    }
    return code;
}

static int fused_lookup_run(cli *c)
{
    fused_lookup     a         = {.store = CLI_STORE_INIT};
    const cli_option options[] = {
        CLI_SHOW_ROW(&a.show),
        {CLI_PAIRS, 'o', "option", "NAME=VALUE", &a.store.pairs,
         "an option of the engine (see anykv options fused)"},
        {CLI_FLAG, 0, "salvage", NULL, &a.store.salvage, "open what can be read of a damaged file"},
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int  code = cli_parse(c, options, 2, -1);
    akv *db;

    if (code != CLI_GO)
        return code;
    a.store.engine = "fused";
    code           = cli_open(c, &a.store, c->argv[0], AKV_OPEN_READ_ONLY, AKV_CAP_READ, &db);
    if (code != CLI_GO)
        return code;
    return cli_close(c, &a.store, db, cli_flush(c, fused_lookup_all(c, &a, db)));
}

const cli_command cli_fused_lookup_command = {
    "fused lookup", "FILE.fsdb ADDRESS...", "find IP addresses among blocks of them",
    "Keys that are blocks of IP addresses, such as 192.0.2.0/24, 2001:db8::/32 or a\n"
    "bare address, are looked up by address: prints the longest block that holds\n"
    "it. A line each: address, tab, block, tab, value. Exits with 1 when no block\n"
    "holds an address.\n\n"
    "Examples:\n"
    "  anykv fused lookup countries.fsdb 9.9.9.9\n"
    "  anykv fused lookup countries.fsdb 2001:db8::1 ::ffff:192.0.2.1 --json\n"
    "  anykv fused lookup countries.fsdb -o verify_on_open=false 192.0.2.1",
    fused_lookup_run};

/* ------------------------------------------------------------------ objects */

typedef struct fused_list {
    cli       *c;
    akv       *db;
    cli_store  store;
    uint32_t   show;
    akv_buffer out;
} fused_list;

static int fused_object_print(void *user, akv_slice object, uint64_t offset)
{
    static const char head[] = "{\"key\":\"\",";
    fused_list       *a      = user;
    akv_value         value  = AKV_VALUE_INIT;
    size_t            at;
    cli_record        r;

    value.data = object.data;
    value.len  = object.len;
    r          = cli_record_of(a->db, akv_bytes(NULL, 0), &value);
    a->out.len = 0;
    if (a->c->json) {
        cli_record_json(&a->out, &r, false, false);
        at = sizeof head - 1; /* an object has no key: its offset stands there */
        printf("{\"offset\":%llu,", (unsigned long long)offset);
        fwrite((const char *)a->out.data + at, 1, a->out.len - at, stdout);
    } else {
        cli_printf(&a->out, "%llu\t", (unsigned long long)offset);
        cli_show_value(&a->out, &r, (cli_show)a->show, true);
        cli_append_text(&a->out, "\n");
        cli_print(&a->out);
    }
    return ferror(stdout);
}

static int fused_objects_run(cli *c)
{
    fused_list       a         = {.c = c, .store = CLI_STORE_INIT, .out = AKV_BUFFER_INIT};
    const cli_option options[] = {
        CLI_SHOW_ROW(&a.show),
        {CLI_PAIRS, 'o', "option", "NAME=VALUE", &a.store.pairs,
         "an option of the engine (see anykv options fused)"},
        {CLI_FLAG, 0, "salvage", NULL, &a.store.salvage, "open what can be read of a damaged file"},
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int code = cli_parse(c, options, 1, 1);

    if (code != CLI_GO)
        return code;
    a.store.engine = "fused";
    code           = cli_open(c, &a.store, c->argv[0], AKV_OPEN_READ_ONLY, AKV_CAP_READ, &a.db);
    if (code != CLI_GO)
        return code;
    code = CLI_FINE;
    if (akv_fused_objects(akv_fused_of(a.db), fused_object_print, &a) != AKV_OK)
        code = cli_failed(c);
    akv_buffer_free(&a.out);
    return cli_close(c, &a.store, a.db, cli_flush(c, code));
}

const cli_command cli_fused_objects_command = {
    "fused objects", "FILE.fsdb", "print each object of a .fsdb file once",
    "Print the objects that keys lead to, each once, in the order in which the\n"
    "sorted keys first lead there. A line each: where it lies in the file, tab,\n"
    "value. For the keys and their values, see anykv scan.\n\n"
    "Examples:\n"
    "  anykv fused objects data.fsdb\n"
    "  anykv fused objects data.fsdb --json",
    fused_objects_run};
