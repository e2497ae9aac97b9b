/* SPDX-License-Identifier: MIT
 *
 * lsm_dump.c: `anykv lsm dump`.
 */
#include "tools/commands.h"

#include <anykv/lsm.h>

#ifdef AKVI_ENGINE_LSM

typedef struct dump_run {
    cli       *c;
    bool       keys; /* no values */
    akv_buffer out;
    uint64_t   faults;
} dump_run;

static const char *const dump_kinds[] = {"file",  "record",  "entry",     "edit",
                                         "added", "removed", "properties"};
static const char *const dump_ops[]   = {"?", "put", "delete", "delete_range"};

static const char *dump_kind(const akv_lsm_dump_item *i)
{
    return i->kind == AKV_LSM_DUMP_ENTRY ? dump_ops[i->op < 4 ? i->op : 0] : dump_kinds[i->kind];
}

/* What stands for the two slices, by what the item is of. */
static const char *dump_key_name(const akv_lsm_dump_item *i)
{
    return i->kind == AKV_LSM_DUMP_ENTRY ? "key" : "smallest";
}

static const char *dump_value_name(const akv_lsm_dump_item *i)
{
    return i->kind != AKV_LSM_DUMP_ENTRY ? "largest" : i->op == 3 ? "end" : "value";
}

/* ---------------------------------------------------------------------- JSON */

static void dump_json_number(akv_buffer *b, const char *name, uint64_t value, bool always)
{
    if (value || always)
        cli_printf(b, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void dump_json_bytes(akv_buffer *b, const char *name, akv_slice bytes)
{
    if (cli_is_utf8(bytes)) {
        cli_printf(b, ",\"%s\":", name);
        cli_json_text(b, bytes);
    } else {
        cli_printf(b, ",\"%s_hex\":\"", name);
        cli_hex(b, bytes);
        cli_append_text(b, "\"");
    }
}

static void dump_json(dump_run *r, const akv_lsm_dump_item *i)
{
    akv_buffer *b      = &r->out;
    bool        has_kv = i->kind == AKV_LSM_DUMP_ENTRY || i->kind == AKV_LSM_DUMP_ADDED ||
                  i->kind == AKV_LSM_DUMP_PROPERTIES;

    cli_printf(b, "{\"kind\":\"%s\"", dump_kind(i));
    if (i->kind == AKV_LSM_DUMP_FILE) {
        cli_append_text(b, ",\"file\":");
        cli_json_text(b, akv_str(i->file));
    }
    dump_json_number(b, "offset", i->offset,
                     i->kind != AKV_LSM_DUMP_FILE && i->offset != AKV_NO_OFFSET);
    dump_json_number(b, i->kind == AKV_LSM_DUMP_EDIT ? "log_number" : "number", i->number, false);
    dump_json_number(b, "level", i->level,
                     i->kind == AKV_LSM_DUMP_ADDED || i->kind == AKV_LSM_DUMP_REMOVED);
    dump_json_number(b, "bytes", i->bytes, i->kind == AKV_LSM_DUMP_FILE);
    dump_json_number(b, "entries", i->entries, false);
    dump_json_number(b, "deletes", i->deletes, false);
    dump_json_number(b, "ranges", i->ranges, false);
    dump_json_number(b, "smallest_sequence", i->smallest_sequence, false);
    dump_json_number(b, "sequence", i->sequence, false);
    dump_json_number(b, "next_file", i->next_file, false);
    dump_json_number(b, "expiry_ms", i->expiry_ms, false);
    dump_json_number(b, "encoding", i->encoding, false);
    if (has_kv)
        dump_json_bytes(b, dump_key_name(i), i->key);
    if (has_kv && !(i->kind == AKV_LSM_DUMP_ENTRY && (i->op == 2 || (r->keys && i->op == 1))))
        dump_json_bytes(b, dump_value_name(i), i->value);
    if (i->unbounded)
        cli_append_text(b, ",\"unbounded\":true");
    cli_append_text(b, "}\n");
}

/* ---------------------------------------------------------------------- text */

static void dump_number(akv_buffer *b, const char *name, uint64_t value)
{
    if (value)
        cli_printf(b, " %s=%llu", name, (unsigned long long)value);
}

static void dump_text(dump_run *r, const akv_lsm_dump_item *i)
{
    akv_buffer *b = &r->out;

    if (i->kind == AKV_LSM_DUMP_FILE) {
        cli_printf(b, "%s: %llu bytes\n", i->file, (unsigned long long)i->bytes);
        return;
    }
    cli_printf(b, "  %s%s", i->kind == AKV_LSM_DUMP_ENTRY ? "  " : "", dump_kind(i));
    if (i->kind != AKV_LSM_DUMP_ENTRY && i->offset != AKV_NO_OFFSET)
        cli_printf(b, " at=%llu", (unsigned long long)i->offset);
    dump_number(b, i->kind == AKV_LSM_DUMP_EDIT ? "log_number" : "number", i->number);
    if (i->kind == AKV_LSM_DUMP_ADDED || i->kind == AKV_LSM_DUMP_REMOVED)
        cli_printf(b, " level=%u", i->level);
    dump_number(b, "bytes", i->bytes);
    dump_number(b, "entries", i->entries);
    dump_number(b, "deletes", i->deletes);
    dump_number(b, "ranges", i->ranges);
    dump_number(b, "smallest_sequence", i->smallest_sequence);
    dump_number(b, "sequence", i->sequence);
    dump_number(b, "next_file", i->next_file);
    dump_number(b, "expiry_ms", i->expiry_ms);
    dump_number(b, "encoding", i->encoding);
    if (i->unbounded)
        cli_append_text(b, " unbounded");
    if (i->kind == AKV_LSM_DUMP_ENTRY || i->kind == AKV_LSM_DUMP_ADDED ||
        i->kind == AKV_LSM_DUMP_PROPERTIES) {
        cli_append_text(b, "\t");
        cli_escape(b, i->key);
        if (!(i->kind == AKV_LSM_DUMP_ENTRY && (i->op == 2 || (r->keys && i->op == 1)))) {
            cli_append_text(b, "\t");
            cli_escape(b, i->value);
        }
    }
    cli_append_text(b, "\n");
}

/* ------------------------------------------------------------------- command */

static int dump_each(void *user, const akv_lsm_dump_item *item)
{
    dump_run *r = user;

    r->out.len = 0;
    if (r->c->json)
        dump_json(r, item);
    else
        dump_text(r, item);
    cli_print(&r->out);
    return ferror(stdout) || cli_interrupted();
}

static void dump_fault(void *user, const akv_error *fault)
{
    dump_run *r = user;

    r->faults++;
    cli_warn(r->c, fault);
}

static int dump_run_command(cli *c)
{
    dump_run         r         = {.c = c, .out = AKV_BUFFER_INIT};
    const cli_option options[] = {
        {CLI_FLAG, 0, "no-values", NULL, &r.keys, "leave the values of puts out"},
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int             code = cli_parse(c, options, 1, 1);
    akv_job_options opt  = AKV_JOB_OPTIONS_INIT;
    akv_status      st;

    if (code != CLI_GO)
        return code;
    opt.fault = dump_fault;
    opt.user  = &r;
    cli_catch_interrupts();
    st = akv_lsm_dump(c->argv[0], NULL, &opt, dump_each, &r);
    akv_buffer_free(&r.out);
    if (st != AKV_OK && !(st == AKV_CORRUPT && r.faults) && !ferror(stdout))
        cli_failed(c);
    return cli_flush(c, st == AKV_OK ? CLI_FINE : CLI_FAILED);
}

const cli_command cli_lsm_dump_command = {
    "lsm dump", "STORE|FILE", "print what the files of an lsm store hold",
    "Print manifests, tables and logs as they are, or one of them: edits, the tables\n"
    "they add and remove, records, and every entry with its sequence number, old\n"
    "versions and tombstones too. Nothing is locked or changed. A line each: with\n"
    "tabs before key and value; or JSON documents. Damage is told on standard\n"
    "error and ends with 3, but what can be read is printed.\n\n"
    "Examples:\n"
    "  anykv lsm dump store\n"
    "  anykv lsm dump store/000007.wal --json\n"
    "  anykv lsm dump store/000008.sst --no-values",
    dump_run_command};

#endif
