/* SPDX-License-Identifier: MIT
 *
 * stats.c: `anykv stats`.
 */
#include "tools/commands.h"

static int stats_print(cli *c, akv *db, bool openmetrics)
{
    akv_format format = openmetrics ? AKV_FORMAT_OPENMETRICS
                        : c->json   ? AKV_FORMAT_JSON
                                    : AKV_FORMAT_TEXT;
    akv_buffer out    = AKV_BUFFER_INIT;
    akv_stats *stats  = NULL;
    akv_status rc     = akv_stats_get(db, &stats);

    if (rc == AKV_OK)
        rc = akv_stats_format(stats, format, &out);
    if (rc == AKV_OK) {
        cli_print(&out);
        if (out.len && ((const char *)out.data)[out.len - 1] != '\n')
            putchar('\n');
    }
    akv_buffer_free(&out);
    akv_stats_free(stats);
    return cli_answer(c, rc);
}

static int stats_run(cli *c)
{
    cli_store        store       = CLI_STORE_INIT;
    bool             openmetrics = false;
    const cli_option options[]   = {
          {CLI_FLAG, 0, "openmetrics", NULL, &openmetrics, "in the OpenMetrics text format"},
          CLI_STORE_READ_ROWS(&store),
          {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int  code = cli_parse(c, options, 1, 1);
    akv *db;

    if (code != CLI_GO)
        return code;
    code = cli_open(c, &store, c->argv[0], AKV_OPEN_READ_ONLY, 0, &db);
    if (code != CLI_GO)
        return code;
    return cli_close(c, &store, db, cli_flush(c, stats_print(c, db, openmetrics)));
}

const cli_command cli_stats_command = {
    "stats", "STORE", "print a store's figures",
    "Print a store's figures, a line each: name, value, unit.\n\n"
    "Examples:\n"
    "  anykv stats data.fsdb\n"
    "  anykv stats data.fsdb --json\n"
    "  anykv stats data.fsdb --openmetrics",
    stats_run};
