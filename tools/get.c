/* SPDX-License-Identifier: MIT
 *
 * get.c: `anykv get`, `put` and `del`.
 */
#include "tools/cli_record.h"
#include "tools/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---------------------------------------------------------------------- get */

typedef struct get_args {
    cli_store    store;
    cli_key_form form;
    uint32_t     show;
    bool         verify;
} get_args;

static void get_print_version(akv_buffer *out, const akv_version_tag *version)
{
    static const akv_version_tag none = {{0}};

    if (!memcmp(version, &none, sizeof none))
        return;
    out->len -= 2; /* reopen the object: "}\n" */
    cli_append_text(out, ",\"version\":\"");
    cli_hex(out, akv_bytes(version->bytes, sizeof version->bytes));
    cli_append_text(out, "\"}\n");
}

static void get_print(const cli *c, const get_args *a, akv *db, akv_slice key,
                      const akv_value *value, bool many)
{
    cli_record r   = cli_record_of(db, key, value);
    akv_buffer out = AKV_BUFFER_INIT;

    if (c->json) {
        cli_record_json(&out, &r, false, false);
        get_print_version(&out, &value->version);
    } else {
        if (many) {
            cli_escape(&out, key);
            cli_append_text(&out, "\t");
        }
        cli_show_value(&out, &r, (cli_show)a->show, many);
        if (a->show != CLI_SHOW_RAW || many)
            cli_append_text(&out, "\n");
    }
    cli_print(&out);
    akv_buffer_free(&out);
}

static void get_print_absent(const cli *c, akv_slice key)
{
    akv_buffer out = AKV_BUFFER_INIT;

    if (c->json) {
        cli_json_key(&out, key);
        cli_append_text(&out, ",\"absent\":true}\n");
        cli_print(&out);
    } else if (!c->quiet) {
        cli_escape(&out, key);
        fprintf(stderr, "anykv: no key '%.*s'\n", (int)out.len, (const char *)out.data);
    }
    akv_buffer_free(&out);
}

/* Keys one by one: a value may be large, and nothing is held back. */
static int get_keys(cli *c, const get_args *a, akv *db)
{
    akv_read_options opt  = AKV_READ_OPTIONS_INIT;
    akv_buffer       key  = AKV_BUFFER_INIT;
    int              code = CLI_FINE;

    opt.flags = a->verify ? AKV_READ_VERIFY : 0;
    for (int i = 1; i < c->argc && code < CLI_USAGE; i++) {
        akv_value value  = AKV_VALUE_INIT;
        int       parsed = cli_key(c, &a->form, c->argv[i], &key);
        int       answer =
            parsed == CLI_GO ? cli_answer(c, akv_get(db, cli_slice(&key), &opt, &value)) : parsed;

        if (answer == CLI_FINE)
            get_print(c, a, db, cli_slice(&key), &value, c->argc > 2);
        else if (answer == CLI_ABSENT)
            get_print_absent(c, cli_slice(&key));
        akv_value_release(&value);
        if (answer > code)
            code = answer;
    }
    akv_buffer_free(&key);
    return code;
}

static int get_run(cli *c)
{
    get_args         a         = {.store = CLI_STORE_INIT};
    const cli_option options[] = {
        CLI_SHOW_ROW(&a.show),
        CLI_KEY_ROWS(&a.form),
        {CLI_FLAG, 0, "verify", NULL, &a.verify, "check the value's checksum"},
        CLI_STORE_READ_ROWS(&a.store),
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int  code = cli_parse(c, options, 2, -1);
    akv *db;

    if (code != CLI_GO)
        return code;
    code = cli_open(c, &a.store, c->argv[0], AKV_OPEN_READ_ONLY, AKV_CAP_READ, &db);
    if (code != CLI_GO)
        return code;
    return cli_close(c, &a.store, db, cli_flush(c, get_keys(c, &a, db)));
}

const cli_command cli_get_command = {
    "get", "STORE KEY...", "print the value of keys",
    "Print the value of a key; of several keys, a line each: key, tab, value.\n"
    "Exits with 1 when a key is not there.\n\n"
    "Examples:\n"
    "  anykv get oui.fsdb 00000C\n"
    "  anykv get data.fsdb moon sun --json\n"
    "  anykv get data.fsdb -x 'a\\x00b' --format raw > value.bin",
    get_run};

/* ---------------------------------------------------------------------- put */

typedef struct put_args {
    cli_store    store;
    cli_key_form form;
    const char  *file;
    uint64_t     ttl_ms;
    uint32_t     encoding;
    const char  *if_value;
    bool         create, if_absent, if_present;
} put_args;

/* All of a file or standard input. */
static int put_read(cli *c, const char *file, akv_buffer *out)
{
    bool        is_stdin = !strcmp(file, "-");
    const char *name     = is_stdin ? "standard input" : file;
    int         fd       = is_stdin ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    int         code     = CLI_GO;
    char        chunk[65536];
    ssize_t     n = 0;

    if (fd < 0)
        return cli_fail(c, "AKV_IO", name, AKV_NO_OFFSET, "can't open: %s", strerror(errno));
    while ((n = read(fd, chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            cli_append(out, chunk, (size_t)n);
    if (n < 0)
        code = cli_fail(c, "AKV_IO", name, out->len, "can't read: %s", strerror(errno));
    if (!is_stdin)
        close(fd);
    return code;
}

static int put_options(cli *c, const put_args *a, akv_write_options *opt)
{
    opt->ttl_ms   = a->ttl_ms;
    opt->encoding = a->encoding;
    if (a->if_absent + a->if_present + (a->if_value != NULL) > 1)
        return cli_usage(c, "give one of --if-absent, --if-present and --if-value");
    if (a->if_absent)
        opt->condition = AKV_IF_ABSENT;
    if (a->if_present)
        opt->condition = AKV_IF_PRESENT;
    if (a->if_value) {
        opt->condition = AKV_IF_VALUE;
        opt->expected  = akv_str(a->if_value);
    }
    return CLI_GO;
}

/* What a write came to. A lost condition is a failure without a record. */
static int put_told(cli *c, akv_status status, const akv_write_result *result)
{
    static const char *const reached[] = {"memory", "kernel", "device"};

    if (status == AKV_CONFLICT)
        return cli_fail(c, "AKV_CONFLICT", NULL, AKV_NO_OFFSET,
                        "the condition does not hold; nothing was written");
    if (status == AKV_OK && c->json)
        printf("{\"ok\":true,\"durability\":\"%s\"}\n",
               reached[result->durability <= AKV_REACHED_DEVICE ? result->durability : 0]);
    return cli_answer(c, status);
}

static int put_value(cli *c, akv *db, akv_slice key, akv_slice value, akv_write_options *opt)
{
    akv_write_result result = {.durability = AKV_REACHED_NOTHING};
    akv_status       rc;
    int              code;

    opt->result_out = &result;
    rc              = akv_put(db, key, value, opt);
    opt->result_out = NULL;
    code            = put_told(c, rc, &result);
    if (!(akv_capabilities(db) & AKV_CAP_WRITE) && (akv_capabilities(db) & AKV_CAP_BUILD)) {
        if (rc == AKV_OK && akv_finish(db, NULL) != AKV_OK)
            code = cli_failed(c);
        if (code != CLI_FINE)
            akv_abort(db);
    }
    return code;
}

static int put_run(cli *c)
{
    put_args         a         = {.store = CLI_STORE_INIT};
    const cli_option options[] = {
        {CLI_FLAG, 'c', "create", NULL, &a.create, "make the store if it is not there"},
        {CLI_TEXT, 'F', "file", "FILE", &a.file, "the value is what FILE holds; -: standard input"},
        {CLI_MS, 0, "ttl", "TIME", &a.ttl_ms, "live so long: 500ms, 30s, 5m, 2h, 7d"},
        {CLI_CHOICE, 0, "encoding", "raw|json|msgpack|opaque", &a.encoding, "what the value is"},
        {CLI_FLAG, 0, "if-absent", NULL, &a.if_absent, "only if the key is not there"},
        {CLI_FLAG, 0, "if-present", NULL, &a.if_present, "only if the key is there"},
        {CLI_TEXT, 0, "if-value", "TEXT", &a.if_value, "only if its value is TEXT"},
        CLI_KEY_ROWS(&a.form),
        CLI_STORE_WRITE_ROWS(&a.store),
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int               code = cli_parse(c, options, 2, 3);
    akv_buffer        key = AKV_BUFFER_INIT, value = AKV_BUFFER_INIT;
    akv              *db  = NULL;
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;

    if (code != CLI_GO)
        return code;
    if ((c->argc == 3) == (a.file != NULL))
        return cli_close(c, &a.store, NULL,
                         cli_usage(c, "give the value as an argument or by --file"));
    code = put_options(c, &a, &opt);
    if (code == CLI_GO)
        code = cli_key(c, &a.form, c->argv[1], &key);
    if (code == CLI_GO && a.file)
        code = put_read(c, a.file, &value);
    else if (code == CLI_GO)
        cli_append_text(&value, c->argv[2]);
    if (code == CLI_GO)
        code = cli_open(c, &a.store, c->argv[0], a.create ? AKV_OPEN_CREATE : 0, 0, &db);
    if (code == CLI_GO)
        code = put_value(c, db, cli_slice(&key), cli_slice(&value), &opt);
    akv_buffer_free(&key);
    akv_buffer_free(&value);
    return cli_close(c, &a.store, db, cli_flush(c, code));
}

const cli_command cli_put_command = {
    "put", "STORE KEY [VALUE]", "store a value under a key",
    "Store VALUE, or what --file holds, under KEY, replacing what was there.\n"
    "A condition that does not hold is a failure (3), and nothing is written.\n\n"
    "Examples:\n"
    "  anykv put -c memory:store.db moon Luna\n"
    "  anykv put store.db moon Luna --if-absent --ttl 7d\n"
    "  tar c . | anykv put store.db backup --file - --sync always",
    put_run};

/* ---------------------------------------------------------------------- del */

typedef struct del_args {
    cli_store    store;
    cli_key_form form;
    bool         if_present;
} del_args;

static int del_keys(cli *c, const del_args *a, akv *db)
{
    akv_write_options opt  = AKV_WRITE_OPTIONS_INIT;
    akv_buffer        key  = AKV_BUFFER_INIT;
    int               code = CLI_FINE;
    unsigned long     n    = 0;

    opt.condition = a->if_present ? AKV_IF_PRESENT : AKV_IF_ANY;
    for (int i = 1; i < c->argc && code < CLI_USAGE; i++) {
        int parsed = cli_key(c, &a->form, c->argv[i], &key);
        int answer = parsed;

        if (parsed == CLI_GO) {
            akv_status rc = akv_delete(db, cli_slice(&key), &opt);

            answer = cli_answer(c, rc == AKV_CONFLICT ? AKV_ABSENT : rc);
            n += answer == CLI_FINE;
        }
        if (answer == CLI_ABSENT && !c->quiet && !c->json)
            fprintf(stderr, "anykv: no key '%s'\n", c->argv[i]);
        if (answer > code)
            code = answer;
    }
    if (code < CLI_USAGE && c->json)
        printf("{\"ok\":%s,\"deleted\":%lu}\n", code == CLI_FINE ? "true" : "false", n);
    akv_buffer_free(&key);
    return code;
}

static int del_run(cli *c)
{
    del_args         a         = {.store = CLI_STORE_INIT};
    const cli_option options[] = {
        {CLI_FLAG, 0, "if-present", NULL, &a.if_present, "exit with 1 when a key is not there"},
        CLI_KEY_ROWS(&a.form),
        CLI_STORE_WRITE_ROWS(&a.store),
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int  code = cli_parse(c, options, 2, -1);
    akv *db;

    if (code != CLI_GO)
        return code;
    code = cli_open(c, &a.store, c->argv[0], 0, AKV_CAP_WRITE, &db);
    if (code != CLI_GO)
        return code;
    return cli_close(c, &a.store, db, cli_flush(c, del_keys(c, &a, db)));
}

const cli_command cli_del_command = {
    "del", "STORE KEY...", "remove keys",
    "Remove keys. One that is not there is fine, unless --if-present.\n\n"
    "Examples:\n"
    "  anykv del store.db moon\n"
    "  anykv del store.db --if-present moon sun\n"
    "  anykv del store.db --key-hex 00ff",
    del_run};
