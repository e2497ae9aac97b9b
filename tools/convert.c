/* SPDX-License-Identifier: MIT
 *
 * convert.c: `anykv convert`: one store's entries into another, as they are.
 */
#include "tools/cli_record.h"
#include "tools/commands.h"

/* Entries of `from`, through a scan, into the sink. */
static int convert_records(cli *c, akv *from, cli_sink *sink)
{
    cli_progress bar;
    akv_iter    *it;
    uint64_t     total = 0, done = 0;
    akv_status   rc;
    int          code = CLI_FINE;

    if (akv_count(from, NULL, &total) != AKV_OK || akv_scan(from, NULL, &it) != AKV_OK)
        return cli_failed(c);
    cli_progress_begin(&bar, c, c->command->name);
    while (code == CLI_FINE && (rc = akv_iter_next(it)) != AKV_END) {
        const akv_value *item = akv_iter_item(it);
        cli_record record = {akv_iter_key(it), akv_iter_value(it), item->encoding, item->expiry_ms};

        if (rc == AKV_OK)
            rc = cli_sink_put(sink, &record);
        if (rc != AKV_OK) {
            cli_progress_end(&bar);
            code = cli_failed(c);
        } else if (cli_interrupted()) {
            cli_progress_end(&bar);
            code = cli_fail(c, "AKV_CANCELLED", NULL, AKV_NO_OFFSET, "interrupted");
        } else if (++done % 256 == 1) {
            cli_progress_show(&bar, done, total, "keys");
        }
    }
    cli_progress_end(&bar);
    akv_iter_free(it);
    return code;
}

static int convert_stores(cli *c, akv *from, cli_sink *sink)
{
    uint64_t since = cli_clock_ns();
    int      code  = cli_sink_begin(sink);

    if (code == CLI_GO)
        code = convert_records(c, from, sink);
    code = cli_sink_end(sink, code);
    if (code == CLI_FINE)
        cli_sink_summary(sink, since);
    return cli_flush(c, code);
}

static int convert_run(cli *c)
{
    cli_store        to        = CLI_STORE_INIT;
    cli_store        from      = CLI_STORE_INIT;
    cli_sink         sink      = {.c = c, .values = CLI_VALUES_KEEP};
    bool             replace   = false;
    const cli_option options[] = {
        {CLI_TEXT, 0, "from-engine", "NAME", &from.engine, "the engine of FROM"},
        {CLI_PAIRS, 0, "from-option", "NAME=VALUE", &from.pairs, "an option for FROM"},
        {CLI_TEXT, 0, "from-key-file", "FILE", &from.key_file, "the encryption key of FROM"},
        {CLI_FLAG, 0, "salvage", NULL, &from.salvage, "copy what can be read of a damaged FROM"},
        {CLI_FLAG, 0, "replace", NULL, &replace, "begin empty, dropping what TO holds"},
        {CLI_FLAG, 0, "drop-expiry", NULL, &sink.drop_expiry,
         "let entries live for ever in a store without expiry"},
        CLI_STORE_WRITE_ROWS(&to),
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int  code = cli_parse(c, options, 2, 2);
    akv *db   = NULL;

    if (code != CLI_GO)
        return code;
    cli_catch_interrupts();
    code = cli_open(c, &from, c->argv[0], AKV_OPEN_READ_ONLY, AKV_CAP_READ, &db);
    if (code == CLI_GO)
        code = cli_open(c, &to, c->argv[1], AKV_OPEN_CREATE | (replace ? AKV_OPEN_TRUNCATE : 0), 0,
                        &sink.db);
    if (code == CLI_GO)
        code = convert_stores(c, db, &sink);
    code = cli_close(c, &to, sink.db, code);
    return cli_close(c, &from, db, code);
}

const cli_command cli_convert_command = {
    "convert", "FROM TO", "copy a store into one of another engine",
    "Copy every entry of FROM into TO, which --engine makes if it is not there.\n"
    "Values are copied byte by byte, in key order, with their expiry and tag where\n"
    "TO keeps such.\n\n"
    "Examples:\n"
    "  anykv convert -e fused store.db snapshot.fsdb\n"
    "  anykv convert data.fsdb fused:copy.fsdb?dedupe=false\n"
    "  anykv convert --salvage damaged.db -e fused rescued.fsdb",
    convert_run};
