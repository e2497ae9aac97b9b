/* SPDX-License-Identifier: MIT
 *
 * import.c: `anykv import`.
 */
#include "tools/transfer.h"

static int import_run(cli *c)
{
    cli_store        store     = CLI_STORE_INIT;
    cli_source_args  source    = {.file = NULL};
    cli_sink         sink      = {.c = c};
    bool             replace   = false;
    uint32_t         from      = 0;
    const cli_option options[] = {
        CLI_SOURCE_ROWS(&source),
        {CLI_CHOICE, 0, "from", "records|fastkv", &from,
         "records of a file, or a folder of FastKV's: anykv import --from fastkv DIR STORE"},
        CLI_VALUES_ROWS(&sink),
        {CLI_FLAG, 0, "replace", NULL, &replace, "begin empty, dropping what the store holds"},
        {CLI_FLAG, 0, "drop-expiry", NULL, &sink.drop_expiry,
         "let entries live for ever in a store without expiry"},
        CLI_STORE_WRITE_ROWS(&store),
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int code = cli_parse(c, options, 1, 2);

    if (code != CLI_GO)
        return code;
    if (from && c->argc < 2)
        return cli_usage(c, "--from fastkv needs the folder and the store");
    if (from)
        return lsm_import_fastkv(c, &store, c->argv[0], c->argv[1],
                                 AKV_OPEN_CREATE | (replace ? AKV_OPEN_TRUNCATE : 0));
    source.file = c->argc > 1 ? c->argv[1] : NULL;
    return transfer_import(c, &source, &store, c->argv[0],
                           AKV_OPEN_CREATE | (replace ? AKV_OPEN_TRUNCATE : 0), &sink);
}

const cli_command cli_import_command = {
    "import", "STORE [FILE]", "load records from a file or standard input",
    "Load records into a store, making it if it is not there (then --engine says of\n"
    "what kind). Records are read one at a time, whatever the size of the input:\n\n"
    "  ndjson  a line each: {\"key\":\"k\",\"value\":...}; also \"key_hex\", \"value_hex\",\n"
    "          \"value_base64\", \"encoding\", \"expiry_ms\"\n"
    "  json    [[key, value], ...], [{\"key\":...,\"value\":...}, ...] or {key: value, ...}\n"
    "  csv     a header with column names, then rows; the key is the column --key,\n"
    "          else 'key', else the first; the value is the column --value, else\n"
    "          'value' in files of two columns, else an object of the other columns\n"
    "          or of --columns\n"
    "  tsv     the same, cells split by tabs, with \\t \\n \\r \\\\ in cells\n"
    "  mmdb    a MaxMind database: each network is a key such as 192.0.2.0/24, its\n"
    "          record the value; see anykv fused lookup\n\n"
    "With --from fastkv DIR STORE a folder of FastKV's becomes (part of) an lsm store:\n"
    "its tables and its log, JSON values as JSON, the rest raw. Faults are told and\n"
    "end with 3, but what is whole is imported.\n\n"
    "With --key FIELD, ndjson and json objects are values as a whole.\n"
    "Text is stored as it is, anything else as JSON, unless --values says otherwise.\n\n"
    "Examples:\n"
    "  anykv import -e fused names.fsdb names.ndjson\n"
    "  anykv import --from fastkv old_folder store\n"
    "  anykv import store.db people.csv --key email\n"
    "  curl -s https://example.org/data.json | anykv import store.db --format json\n"
    "  anykv import -e fused data.fsdb records.ndjson --key id --values msgpack",
    import_run};
