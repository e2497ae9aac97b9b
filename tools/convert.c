/* SPDX-License-Identifier: MIT
 *
 * convert.c: `anykv convert`: one store's entries into another, as they are.
 */
#include "tools/cli_record.h"
#include "tools/commands.h"

/* A copy on its way. */
typedef struct convert {
    cli     *c;
    akv     *from;
    cli_sink sink;
    bool     salvage;    /* leave out what can't be read */
    uint64_t unreadable; /* so many */
} convert;

/* The entry that the scan is on, into the sink. Under salvage the scan gives
 * keys only, since one that fails on a value can't go past it. */
static akv_status convert_entry(convert *v, const akv_iter *it)
{
    akv_read_options opt   = AKV_READ_OPTIONS_INIT;
    akv_value        value = *akv_iter_item(it);
    cli_record       record;
    akv_status       rc = AKV_OK;

    if (v->salvage) {
        opt.flags = AKV_READ_VERIFY;
        rc        = akv_get(v->from, akv_iter_key(it), &opt, &value);
    }
    if (rc == AKV_CORRUPT) {
        cli_warn(v->c, akv_last_error());
        v->unreadable++;
        return AKV_OK;
    }
    if (rc != AKV_OK) /* absent: it has expired meanwhile */
        return rc == AKV_ABSENT ? AKV_OK : rc;
    record =
        (cli_record){akv_iter_key(it), {value.data, value.len}, value.encoding, value.expiry_ms};
    rc = cli_sink_put(&v->sink, &record);
    if (v->salvage)
        akv_value_release(&value);
    return rc;
}

/* Entries of `from`, through a scan, into the sink. */
static int convert_records(convert *v)
{
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
    cli_progress     bar;
    akv_iter        *it;
    uint64_t         total = 0, done = 0;
    akv_status       rc;

    opt.flags = v->salvage ? AKV_SCAN_KEYS_ONLY : 0;
    if (akv_count(v->from, NULL, &total) != AKV_OK || akv_scan(v->from, &opt, &it) != AKV_OK)
        return cli_failed(v->c);
    cli_progress_begin(&bar, v->c, v->c->command->name);
    while ((rc = akv_iter_next(it)) == AKV_OK && !cli_interrupted()) {
        rc = convert_entry(v, it);
        if (rc != AKV_OK)
            break;
        if (++done % 256 == 1)
            cli_progress_show(&bar, done, total, "keys");
    }
    cli_progress_end(&bar);
    akv_iter_free(it);
    if (rc < 0)
        return cli_failed(v->c);
    if (cli_interrupted())
        return cli_fail(v->c, "AKV_CANCELLED", NULL, AKV_NO_OFFSET, "interrupted");
    return CLI_FINE;
}

static int convert_stores(convert *v)
{
    uint64_t since = cli_clock_ns();
    int      code  = cli_sink_begin(&v->sink);

    if (code == CLI_GO)
        code = convert_records(v);
    code = cli_sink_end(&v->sink, code);
    if (code == CLI_FINE)
        cli_sink_summary(&v->sink, since);
    if (code == CLI_FINE && v->unreadable && !v->c->json)
        printf("%llu left out: unreadable\n", (unsigned long long)v->unreadable);
    return cli_flush(v->c, code);
}

static int convert_run(cli *c)
{
    cli_store        to        = CLI_STORE_INIT;
    cli_store        from      = CLI_STORE_INIT;
    convert          v         = {.c = c, .sink = {.c = c, .values = CLI_VALUES_KEEP}};
    bool             replace   = false;
    const cli_option options[] = {
        {CLI_TEXT, 0, "from-engine", "NAME", &from.engine, "the engine of FROM"},
        {CLI_PAIRS, 0, "from-option", "NAME=VALUE", &from.pairs, "an option for FROM"},
        {CLI_TEXT, 0, "from-key-file", "FILE", &from.key_file, "the encryption key of FROM"},
        {CLI_FLAG, 0, "salvage", NULL, &from.salvage, "copy what can be read of a damaged FROM"},
        {CLI_FLAG, 0, "replace", NULL, &replace, "begin empty, dropping what TO holds"},
        {CLI_FLAG, 0, "drop-expiry", NULL, &v.sink.drop_expiry,
         "let entries live for ever in a store without expiry"},
        CLI_STORE_WRITE_ROWS(&to),
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int code = cli_parse(c, options, 2, 2);

    if (code != CLI_GO)
        return code;
    cli_catch_interrupts();
    v.salvage = from.salvage;
    code      = cli_open(c, &from, c->argv[0], AKV_OPEN_READ_ONLY, AKV_CAP_READ, &v.from);
    if (code == CLI_GO)
        code = cli_open(c, &to, c->argv[1], AKV_OPEN_CREATE | (replace ? AKV_OPEN_TRUNCATE : 0), 0,
                        &v.sink.db);
    if (code == CLI_GO)
        code = convert_stores(&v);
    code = cli_close(c, &to, v.sink.db, code);
    return cli_close(c, &from, v.from, code);
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
