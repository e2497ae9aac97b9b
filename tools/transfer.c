/* SPDX-License-Identifier: MIT
 *
 * transfer.c: the loop that loads a file into a store.
 */
#include "tools/transfer.h"

/* All records; CLI_FINE, or the exit code of what went wrong. */
static int transfer_records(cli *c, cli_source *source, cli_sink *sink)
{
    cli_progress bar;
    cli_record   record;
    int          code;

    cli_progress_begin(&bar, c, c->command->name);
    while ((code = cli_source_next(source, &record)) == CLI_GO) {
        if (cli_sink_put(sink, &record) != AKV_OK) {
            cli_progress_end(&bar);
            return cli_source_failed(source);
        }
        if (sink->written % 256 == 1)
            cli_progress_show(&bar, cli_source_done(source), cli_source_total(source), "bytes");
    }
    cli_progress_end(&bar);
    return code;
}

int transfer_import(cli *c, const cli_source_args *source_args, cli_store *store, const char *path,
                    uint32_t flags, cli_sink *sink)
{
    uint64_t    since  = cli_clock_ns();
    cli_source *source = NULL;
    int         code;

    cli_catch_interrupts();
    code = cli_source_open(c, source_args, &source);
    if (code == CLI_GO)
        code = cli_open(c, store, path, flags, 0, &sink->db);
    if (code == CLI_GO)
        code = cli_sink_begin(sink);
    if (code == CLI_GO)
        code = transfer_records(c, source, sink);
    if (sink->db)
        code = cli_sink_end(sink, code);
    cli_source_close(source);
    if (code == CLI_FINE)
        cli_sink_summary(sink, since);
    return cli_close(c, store, sink->db, cli_flush(c, code));
}
