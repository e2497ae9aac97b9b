/* SPDX-License-Identifier: MIT
 *
 * cli_out.c: errors as text or JSON on stderr, the last flush of stdout, and
 * the opening and closing of stores with their errors told.
 */
#include "tools/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

/* {"error":{"code":...,"text":...,"file":...,"offset":...}} */
static void out_error_json(const char *code, const char *file, uint64_t offset, const char *text)
{
    akv_buffer line = AKV_BUFFER_INIT;

    cli_append_text(&line, "{\"error\":{\"code\":");
    cli_json_text(&line, akv_str(code));
    cli_append_text(&line, ",\"text\":");
    cli_json_text(&line, akv_str(text));
    if (file && *file) {
        cli_append_text(&line, ",\"file\":");
        cli_json_text(&line, akv_str(file));
    }
    if (offset != AKV_NO_OFFSET)
        cli_printf(&line, ",\"offset\":%llu", (unsigned long long)offset);
    cli_append_text(&line, "}}\n");
    fwrite(line.data, 1, line.len, stderr);
    akv_buffer_free(&line);
}

/* The library's text, with the flags of open as they are called here. */
static void out_error_text(akv_buffer *out, const char *text)
{
    static const char *const names[][2] = {{"AKV_OPEN_CREATE", "'put --create'"},
                                           {"AKV_OPEN_TRUNCATE", "'import --replace'"}};

    while (*text) {
        size_t i = 0, n = sizeof names / sizeof *names;

        while (i < n && strncmp(text, names[i][0], strlen(names[i][0])) != 0)
            i++;
        if (i < n)
            cli_append_text(out, names[i][1]);
        else
            cli_append(out, text, 1);
        text += i < n ? strlen(names[i][0]) : 1;
    }
    cli_append(out, "", 1);
}

void cli_warn(const cli *c, const akv_error *e)
{
    akv_buffer text = AKV_BUFFER_INIT;

    out_error_text(&text, e->text);
    if (c->json)
        out_error_json(akv_status_name(e->code), e->file, e->offset, text.data);
    else
        fprintf(stderr, "anykv: %s\n", (const char *)text.data);
    akv_buffer_free(&text);
}

int cli_failed(cli *c)
{
    cli_warn(c, akv_last_error());
    return CLI_FAILED;
}

int cli_usage(cli *c, const char *fmt, ...)
{
    char    text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (c->json)
        out_error_json("USAGE", NULL, AKV_NO_OFFSET, text);
    else if (c->command->run)
        fprintf(stderr, "anykv: %s\nTry 'anykv %s%s'.\n", text, c->command->name,
                strcmp(c->command->name, "help") ? " --help" : "");
    return CLI_USAGE;
}

int cli_fail(cli *c, const char *code, const char *file, uint64_t offset, const char *fmt, ...)
{
    char    text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (c->json)
        out_error_json(code, file, offset, text);
    else
        fprintf(stderr, "anykv: %s%s%s\n", file ? file : "", file ? ": " : "", text);
    return CLI_FAILED;
}

int cli_answer(cli *c, akv_status status)
{
    if (status == AKV_OK)
        return CLI_FINE;
    if (status == AKV_ABSENT)
        return CLI_ABSENT;
    return cli_failed(c);
}

void cli_print(const akv_buffer *b)
{
    if (b->len)
        fwrite(b->data, 1, b->len, stdout);
}

int cli_flush(cli *c, int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    return cli_fail(c, "AKV_IO", NULL, AKV_NO_OFFSET, "can't write standard output: %s",
                    errno ? strerror(errno) : "an earlier write failed");
}

/* What no return value says: recovery, salvage, background failures. */
static void out_log(void *user, akv_log_level level, const char *engine, const char *text)
{
    const cli *c    = user;
    akv_buffer line = AKV_BUFFER_INIT;

    if (c->json) {
        cli_append_text(&line, "{\"warning\":{\"engine\":");
        cli_json_text(&line, akv_str(engine));
        cli_append_text(&line, ",\"text\":");
        cli_json_text(&line, akv_str(text));
        cli_append_text(&line, "}}\n");
    } else {
        cli_printf(&line, "anykv: %s: %s: ", level == AKV_LOG_ERROR ? "error" : "warning", engine);
        cli_append_text(&line, text);
        cli_append_text(&line, "\n");
    }
    fwrite(line.data, 1, line.len, stderr);
    akv_buffer_free(&line);
}

akv_status cli_try_open(cli *c, const cli_store *s, const char *path, uint32_t flags,
                        uint64_t required, akv **db_out)
{
    akv_open_options opt    = AKV_OPEN_OPTIONS_INIT;
    akv_key_source   key    = AKV_KEY_SOURCE_INIT;
    akv_logger       logger = {out_log, c, AKV_LOG_WARN};

    opt.flags    = flags | (s->salvage ? AKV_OPEN_SALVAGE : 0);
    opt.required = required;
    if (!s->silent)
        opt.logger = &logger;
    if (s->sync != AKV_SYNC_DEFAULT)
        opt.sync = s->sync;
    if (s->key_file) {
        key.file = s->key_file;
        opt.key  = &key;
    }
    if (s->pairs.len)
        opt.text = s->pairs.data;
    return akv_open(s->engine, path, &opt, db_out);
}

/* Whether an engine is named, by option or by URI, that this build does not have. */
static bool out_engine_unknown(const cli_store *s, const char *path)
{
    akv_engine_info info = AKV_ENGINE_INFO_INIT;
    size_t          len  = strspn(path, "abcdefghijklmnopqrstuvwxyz");
    char            name[32];

    if (s->engine)
        return akv_engine_describe(s->engine, &info) != AKV_OK;
    if (len == 0 || len >= sizeof name || path[len] != ':' || access(path, F_OK) == 0)
        return false;
    memcpy(name, path, len);
    name[len] = '\0';
    return akv_engine_describe(name, &info) != AKV_OK;
}

int cli_open_failed(cli *c, cli_store *s, const char *path, const akv_error *why)
{
    bool wrong = why->code == AKV_MISUSE;

    cli_warn(c, why);
    akv_buffer_free(&s->pairs);
    return wrong || out_engine_unknown(s, path) ? CLI_USAGE : CLI_FAILED;
}

int cli_open(cli *c, cli_store *s, const char *path, uint32_t flags, uint64_t required,
             akv **db_out)
{
    if (cli_try_open(c, s, path, flags, required, db_out) == AKV_OK)
        return CLI_GO;
    return cli_open_failed(c, s, path, akv_last_error());
}

int cli_close(cli *c, cli_store *s, akv *db, int code)
{
    akv_status status = akv_close(db);

    akv_buffer_free(&s->pairs);
    if (status != AKV_OK && code < CLI_USAGE)
        return cli_failed(c);
    return code;
}
