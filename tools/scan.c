/* SPDX-License-Identifier: MIT
 *
 * scan.c: `anykv scan` and `count`.
 */
#include "tools/cli_record.h"
#include "tools/commands.h"

/* Bounds as they were typed. */
typedef struct scan_bounds {
    const char *prefix, *lower, *upper;
    akv_buffer  prefix_bytes, lower_bytes, upper_bytes;
} scan_bounds;

typedef struct scan_args {
    cli_store    store;
    cli_key_form form;
    scan_bounds  bounds;
    uint32_t     show;
    uint64_t     limit;
    bool         reverse, keys_only, zero;
} scan_args;

#define SCAN_BOUND_ROWS(b)                                                               \
    {CLI_TEXT, 'p', "prefix", "KEY", &(b)->prefix, "only keys that begin so"},           \
        {CLI_TEXT, 0, "lower", "KEY", &(b)->lower, "from this key on, itself included"}, \
    {                                                                                    \
        CLI_TEXT, 0, "upper", "KEY", &(b)->upper, "up to this key, itself left out"      \
    }

/* The bounds in bytes, into a scan's options. */
static int scan_bounds_take(cli *c, const cli_key_form *f, scan_bounds *b, akv_scan_options *opt)
{
    int code = CLI_GO;

    if (b->prefix)
        code = cli_key(c, f, b->prefix, &b->prefix_bytes);
    if (code == CLI_GO && b->lower)
        code = cli_key(c, f, b->lower, &b->lower_bytes);
    if (code == CLI_GO && b->upper)
        code = cli_key(c, f, b->upper, &b->upper_bytes);
    opt->prefix = cli_slice(&b->prefix_bytes);
    opt->lower  = cli_slice(&b->lower_bytes);
    opt->upper  = cli_slice(&b->upper_bytes);
    opt->flags |= b->upper ? AKV_SCAN_UPPER : 0;
    return code;
}

static void scan_bounds_free(scan_bounds *b)
{
    akv_buffer_free(&b->prefix_bytes);
    akv_buffer_free(&b->lower_bytes);
    akv_buffer_free(&b->upper_bytes);
}

static void scan_print(const cli *c, const scan_args *a, akv *db, akv_iter *it, akv_buffer *out)
{
    cli_record r = cli_record_of(db, akv_iter_key(it), akv_iter_item(it));

    out->len = 0;
    if (a->zero) {
        cli_append(out, r.key.data, r.key.len);
        cli_append(out, "", 1);
        if (!a->keys_only) {
            cli_show_value(out, &r, a->show ? (cli_show)a->show : CLI_SHOW_RAW, false);
            cli_append(out, "", 1);
        }
    } else if (c->json) {
        cli_record_json(out, &r, false, a->keys_only);
    } else {
        cli_escape(out, r.key);
        if (!a->keys_only) {
            cli_append_text(out, "\t");
            cli_show_value(out, &r, (cli_show)a->show, true);
        }
        cli_append_text(out, "\n");
    }
    cli_print(out);
}

static int scan_entries(cli *c, const scan_args *a, akv *db, const akv_scan_options *opt)
{
    akv_buffer out = AKV_BUFFER_INIT;
    akv_iter  *it;
    akv_status rc = akv_scan(db, opt, &it);

    if (rc != AKV_OK)
        return cli_failed(c);
    while ((rc = akv_iter_next(it)) == AKV_OK && !ferror(stdout))
        scan_print(c, a, db, it, &out);
    akv_iter_free(it);
    akv_buffer_free(&out);
    return rc == AKV_END || rc == AKV_OK ? CLI_FINE : cli_failed(c);
}

static int scan_run(cli *c)
{
    scan_args        a         = {.store = CLI_STORE_INIT};
    akv_scan_options opt       = AKV_SCAN_OPTIONS_INIT;
    const cli_option options[] = {
        SCAN_BOUND_ROWS(&a.bounds),
        {CLI_FLAG, 'r', "reverse", NULL, &a.reverse, "from the largest key down"},
        {CLI_NUMBER, 'n', "limit", "N", &a.limit, "at most N entries"},
        {CLI_FLAG, 'k', "keys-only", NULL, &a.keys_only, "no values"},
        {CLI_FLAG, '0', "null", NULL, &a.zero, "raw keys and values, each ended by a NUL"},
        CLI_SHOW_ROW(&a.show),
        CLI_KEY_ROWS(&a.form),
        CLI_STORE_READ_ROWS(&a.store),
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int  code = cli_parse(c, options, 1, 1);
    akv *db   = NULL;

    if (code != CLI_GO)
        return code;
    code = scan_bounds_take(c, &a.form, &a.bounds, &opt);
    opt.flags |= (a.reverse ? AKV_SCAN_REVERSE : 0) | (a.keys_only ? AKV_SCAN_KEYS_ONLY : 0);
    opt.limit = a.limit;
    if (code == CLI_GO)
        code = cli_open(c, &a.store, c->argv[0], AKV_OPEN_READ_ONLY, AKV_CAP_READ, &db);
    if (code == CLI_GO)
        code = cli_flush(c, scan_entries(c, &a, db, &opt));
    scan_bounds_free(&a.bounds);
    return cli_close(c, &a.store, db, code);
}

const cli_command cli_scan_command = {
    "scan", "STORE", "print keys and values in order",
    "Print entries in key order, a line each: key, tab, value. Bytes that would\n"
    "not print are escaped. With --json, an object a line.\n\n"
    "Examples:\n"
    "  anykv scan data.fsdb --prefix user: --limit 10\n"
    "  anykv scan data.fsdb --lower a --upper b --reverse --json\n"
    "  anykv scan data.fsdb --keys-only -0 | xargs -0 -n 1 echo",
    scan_run};

/* -------------------------------------------------------------------- count */

/* Keys within bounds have to be walked. */
static akv_status count_walk(akv *db, akv_scan_options *opt, uint64_t *n_out)
{
    akv_iter  *it;
    akv_status rc;

    opt->flags |= AKV_SCAN_KEYS_ONLY;
    rc = akv_scan(db, opt, &it);
    if (rc != AKV_OK)
        return rc;
    for (*n_out = 0; (rc = akv_iter_next(it)) == AKV_OK; ++*n_out) {
    }
    akv_iter_free(it);
    return rc == AKV_END ? AKV_OK : rc;
}

static int count_run(cli *c)
{
    cli_store        store  = CLI_STORE_INIT;
    cli_key_form     form   = {false, false};
    scan_bounds      bounds = {NULL, NULL, NULL, AKV_BUFFER_INIT, AKV_BUFFER_INIT, AKV_BUFFER_INIT};
    akv_scan_options opt    = AKV_SCAN_OPTIONS_INIT;
    const cli_option options[] = {SCAN_BOUND_ROWS(&bounds),
                                  CLI_KEY_ROWS(&form),
                                  CLI_STORE_READ_ROWS(&store),
                                  {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int              code      = cli_parse(c, options, 1, 1);
    akv             *db        = NULL;
    uint64_t         n         = 0;

    if (code != CLI_GO)
        return code;
    code = scan_bounds_take(c, &form, &bounds, &opt);
    if (code == CLI_GO)
        code = cli_open(c, &store, c->argv[0], AKV_OPEN_READ_ONLY, AKV_CAP_READ, &db);
    if (code == CLI_GO) {
        bool some = bounds.prefix || bounds.lower || bounds.upper;

        code = cli_answer(c, some ? count_walk(db, &opt, &n) : akv_count(db, NULL, &n));
        if (code == CLI_FINE)
            printf(c->json ? "{\"count\":%llu}\n" : "%llu\n", (unsigned long long)n);
        code = cli_flush(c, code);
    }
    scan_bounds_free(&bounds);
    return cli_close(c, &store, db, code);
}

const cli_command cli_count_command = {
    "count", "STORE", "print the number of keys",
    "Print the number of keys, all of them or those within bounds.\n\n"
    "Examples:\n"
    "  anykv count data.fsdb\n"
    "  anykv count data.fsdb --prefix user: --json",
    count_run};
