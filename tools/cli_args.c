/* SPDX-License-Identifier: MIT
 *
 * cli_args.c: options from a table: taken from the arguments, printed as help,
 * listed for completion.
 */
#include "tools/cli.h"

#include <errno.h>
#include <stdlib.h>

/* What every command has. */
#define CLI_COMMON_N 4
typedef struct args_common {
    bool       help;
    cli_option rows[CLI_COMMON_N];
} args_common;

static void args_common_fill(args_common *common, cli *c)
{
    const cli_option rows[CLI_COMMON_N] = {
        {CLI_FLAG, 'j', "json", NULL, &c->json, "answers and errors as JSON"},
        {CLI_FLAG, 'q', "quiet", NULL, &c->quiet, "no progress bar, no summary"},
        {CLI_FLAG, 'h', "help", NULL, &common->help, "this text"},
        {CLI_END, 0, NULL, NULL, NULL, NULL},
    };

    memcpy(common->rows, rows, sizeof rows);
}

static void args_print_rows(const cli_option *row)
{
    for (; row->kind != CLI_END; row++) {
        char left[80];

        snprintf(left, sizeof left, "%c%c%s--%s%s%s", row->letter ? '-' : ' ',
                 row->letter ? row->letter : ' ', row->letter ? ", " : "  ", row->name,
                 row->arg ? " " : "", row->arg ? row->arg : "");
        printf("  %-28s%s%s\n", left, strlen(left) < 28 ? "" : "\n                              ",
               row->help);
    }
}

static int args_help(cli *c, const cli_option *options, const cli_option *common)
{
    printf("Usage: anykv %s [OPTION...] %s\n\n%s\n\nOptions:\n", c->command->name,
           c->command->operands, c->command->text);
    args_print_rows(options);
    args_print_rows(common);
    return cli_flush(c, CLI_FINE);
}

static int args_words(cli *c, const cli_option *options, const cli_option *common)
{
    for (int part = 0; part < 2; part++)
        for (const cli_option *o = part ? common : options; o->kind != CLI_END; o++) {
            printf("--%s%s", o->name, o->arg ? "=" : "");
            if (o->kind == CLI_CHOICE)
                printf("%s", o->arg);
            putchar('\n');
        }
    return cli_flush(c, CLI_FINE);
}

static const cli_option *args_find(const cli_option *options, char letter, const char *name,
                                   size_t name_len)
{
    for (; options->kind != CLI_END; options++) {
        if (name ? strlen(options->name) == name_len && !memcmp(options->name, name, name_len)
                 : options->letter == letter)
            return options;
    }
    return NULL;
}

static bool args_number(const char *text, uint64_t *out, const char **end_out)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno    = 0;
    *out     = strtoull(text, &end, 10);
    *end_out = end;
    return errno == 0;
}

static bool args_ms(const char *text, uint64_t *out)
{
    static const struct {
        const char *unit;
        uint64_t    ms;
    } units[] = {{"", 1000},       {"ms", 1},      {"s", 1000},
                 {"m", 60 * 1000}, {"h", 3600000}, {"d", 86400000}};
    const char *end;

    if (!args_number(text, out, &end))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].unit) != 0)
            continue;
        if (*out > UINT64_MAX / units[i].ms)
            return false;
        *out *= units[i].ms;
        return true;
    }
    return false;
}

static bool args_choice(const char *choices, const char *text, uint32_t *out)
{
    size_t len = strlen(text);

    for (uint32_t i = 0;; i++) {
        size_t n = strcspn(choices, "|");

        if (n == len && !memcmp(choices, text, n)) {
            *out = i;
            return true;
        }
        if (!choices[n])
            return false;
        choices += n + 1;
    }
}

/* One more NAME=VALUE; what would end it early is written as %XX. */
static bool args_pair(akv_buffer *pairs, const char *text)
{
    const char *equals = strchr(text, '=');

    if (!equals || equals == text)
        return false;
    if (pairs->len)
        pairs->len--; /* the NUL */
    if (pairs->len)
        cli_append_text(pairs, ",");
    for (; *text; text++) {
        if (*text == ',' || *text == '%')
            cli_printf(pairs, "%%%02X", (unsigned)*text);
        else
            cli_append(pairs, text, 1);
    }
    cli_append(pairs, "", 1);
    return true;
}

static int args_set(cli *c, const cli_option *o, const char *value)
{
    const char *end;
    bool        fine = true;

    if (!o->arg) {
        *(bool *)o->target = true;
        return CLI_GO;
    }
    switch (o->kind) {
    case CLI_TEXT: *(const char **)o->target = value; break;
    case CLI_NUMBER: fine = args_number(value, o->target, &end) && !*end; break;
    case CLI_MS: fine = args_ms(value, o->target); break;
    case CLI_CHOICE: fine = args_choice(o->arg, value, o->target); break;
    case CLI_PAIRS: fine = args_pair(o->target, value); break;
    case CLI_FLAG:
    case CLI_END: break;
    }
    if (fine)
        return CLI_GO;
    return cli_usage(c, "--%s wants %s, not '%s'", o->name,
                     o->kind == CLI_MS       ? "a time such as 500ms, 30s or 2h"
                     : o->kind == CLI_NUMBER ? "a number"
                                             : o->arg,
                     value);
}

/* The row of an option in either table. */
static const cli_option *args_look(const cli_option *options, const cli_option *common, char letter,
                                   const char *name, size_t len)
{
    const cli_option *o = args_find(options, letter, name, len);

    return o ? o : args_find(common, letter, name, len);
}

/* "--name", "--name=value", "--name value"; *i moves over what is used. */
static int args_long(cli *c, const cli_option *options, const cli_option *common, int *i)
{
    const char       *text   = c->argv[*i] + 2;
    const char       *equals = strchr(text, '=');
    size_t            len    = equals ? (size_t)(equals - text) : strlen(text);
    const cli_option *o      = args_look(options, common, 0, text, len);

    if (!o)
        return cli_usage(c, "unknown option --%.*s", (int)len, text);
    if (!o->arg && equals)
        return cli_usage(c, "--%s takes no value", o->name);
    if (!o->arg)
        return args_set(c, o, "");
    if (equals)
        return args_set(c, o, equals + 1);
    if (*i + 1 >= c->argc)
        return cli_usage(c, "--%s needs a value: %s", o->name, o->arg);
    return args_set(c, o, c->argv[++*i]);
}

/* "-a", "-abc", "-eVALUE", "-e VALUE". */
static int args_short(cli *c, const cli_option *options, const cli_option *common, int *i)
{
    for (const char *text = c->argv[*i] + 1; *text; text++) {
        const cli_option *o = args_look(options, common, *text, NULL, 0);
        int               code;

        if (!o)
            return cli_usage(c, "unknown option -%c", *text);
        if (o->arg && text[1])
            return args_set(c, o, text + 1);
        if (o->arg && *i + 1 >= c->argc)
            return cli_usage(c, "-%c needs a value: %s", o->letter, o->arg);
        code = args_set(c, o, o->arg ? c->argv[++*i] : "");
        if (code != CLI_GO || o->arg)
            return code;
    }
    return CLI_GO;
}

/* Errors are JSON wherever --json stands, also after the mistake. */
static void args_look_for_json(cli *c)
{
    for (int i = 0; i < c->argc && strcmp(c->argv[i], "--") != 0; i++)
        if (!strcmp(c->argv[i], "--json") || !strcmp(c->argv[i], "-j"))
            c->json = true;
}

/* As cli_parse, but for what a failure leaves. */
static int args_parse(cli *c, const cli_option *options, int min, int max)
{
    args_common common = {.help = false};
    int         kept   = 0;
    int         i, code;

    args_common_fill(&common, c);
    if (c->words)
        return args_words(c, options, common.rows);
    args_look_for_json(c);
    for (i = 0; i < c->argc; i++) {
        const char *arg = c->argv[i];

        if (arg[0] != '-' || !arg[1]) {
            c->argv[kept++] = c->argv[i];
            continue;
        }
        if (!strcmp(arg, "--"))
            break;
        code = arg[1] == '-' ? args_long(c, options, common.rows, &i)
                             : args_short(c, options, common.rows, &i);
        if (code != CLI_GO)
            return code;
    }
    for (i++; i < c->argc; i++)
        c->argv[kept++] = c->argv[i];
    c->argc = kept;
    if (common.help)
        return args_help(c, options, common.rows);
    if (kept < min || (max >= 0 && kept > max))
        return cli_usage(c, "too %s arguments: anykv %s wants %s", kept < min ? "few" : "many",
                         c->command->name, *c->command->operands ? c->command->operands : "none");
    return CLI_GO;
}

int cli_parse(cli *c, const cli_option *options, int min, int max)
{
    int code = args_parse(c, options, min, max);

    for (; code != CLI_GO && options->kind != CLI_END; options++)
        if (options->kind == CLI_PAIRS)
            akv_buffer_free(options->target);
    return code;
}
