/* SPDX-License-Identifier: MIT
 *
 * options.c: `anykv options` and `engines`: what there is to choose from.
 */
#include "tools/commands.h"

/* ------------------------------------------------------------------ options */

static const char *options_type(const akv_option *o)
{
    static const char *const names[] = {"bool",  "number", "number", "number",
                                        "bytes", "time",   "choice", "text"};

    return o->type <= AKV_OPTION_TEXT ? names[o->type] : "?";
}

/* A number of the option's type as akv_options_set reads it. */
static void options_value(akv_buffer *out, const akv_option *o, uint64_t value)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t                   unit    = 0;

    switch (o->type) {
    case AKV_OPTION_BOOL: cli_append_text(out, value ? "true" : "false"); break;
    case AKV_OPTION_I32: cli_printf(out, "%d", (int)(int32_t)(uint32_t)value); break;
    case AKV_OPTION_MS: cli_printf(out, "%llums", (unsigned long long)value); break;
    case AKV_OPTION_CHOICE: cli_append_text(out, o->choices[value]); break;
    case AKV_OPTION_TEXT: cli_append_text(out, o->initial_text ? o->initial_text : ""); break;
    case AKV_OPTION_BYTES:
        for (; value && value % 1024 == 0 && unit + 1 < sizeof units / sizeof *units; unit++)
            value /= 1024;
        cli_printf(out, "%llu%s", (unsigned long long)value, units[unit]);
        break;
    case AKV_OPTION_U32:
    case AKV_OPTION_U64: cli_printf(out, "%llu", (unsigned long long)value); break;
    }
}

/* "1..3600000", "map|read", or nothing. */
static void options_range(akv_buffer *out, const akv_option *o)
{
    if (o->type == AKV_OPTION_CHOICE) {
        for (size_t i = 0; o->choices[i]; i++) {
            cli_append_text(out, i ? "|" : "");
            cli_append_text(out, o->choices[i]);
        }
    } else if (o->type != AKV_OPTION_BOOL && o->type != AKV_OPTION_TEXT) {
        if (o->min == 0 && o->max == UINT64_MAX)
            return; /* any number */
        options_value(out, o, o->min);
        cli_append_text(out, "..");
        if (o->max != UINT64_MAX)
            options_value(out, o, o->max);
    }
}

typedef enum options_style { OPTIONS_TEXT, OPTIONS_JSON, OPTIONS_MAN, OPTIONS_NAMES } options_style;

static void options_row(akv_buffer *out, const akv_option *o, options_style style, bool first)
{
    akv_buffer initial = AKV_BUFFER_INIT, range = AKV_BUFFER_INIT;

    options_value(&initial, o, o->initial);
    options_range(&range, o);
    cli_append(&initial, "", 1);
    cli_append(&range, "", 1);
    if (style == OPTIONS_JSON) {
        cli_append_text(out, first ? "{\"name\":" : ",{\"name\":");
        cli_json_text(out, akv_str(o->name));
        cli_printf(out, ",\"type\":\"%s\",\"default\":", options_type(o));
        cli_json_text(out, akv_str(initial.data));
        cli_append_text(out, ",\"range\":");
        cli_json_text(out, akv_str(range.data));
        cli_append_text(out, ",\"help\":");
        cli_json_text(out, akv_str(o->help));
        cli_append_text(out, "}");
    } else if (style == OPTIONS_MAN) {
        cli_printf(out, ".It Cm %s Ns = Ns Ar %s\n%s", o->name, options_type(o), o->help);
        cli_printf(out, ".\nDefault: %s", *(char *)initial.data ? (char *)initial.data : "none");
        cli_printf(out, *(char *)range.data ? "; %s.\n" : ".%s\n", (char *)range.data);
    } else if (style == OPTIONS_NAMES) {
        cli_printf(out, "%s\n", o->name);
    } else {
        cli_printf(out, "%-15s %-7s %-9s %-29s %s\n", o->name, options_type(o),
                   (char *)initial.data, (char *)range.data, o->help);
    }
    akv_buffer_free(&initial);
    akv_buffer_free(&range);
}

static int options_print(cli *c, const char *engine, options_style style)
{
    akv_buffer        out = AKV_BUFFER_INIT;
    const akv_option *table;
    size_t            n;

    if (akv_options_table(engine, &table, &n) != AKV_OK) {
        cli_failed(c);
        return CLI_USAGE;
    }
    if (style == OPTIONS_TEXT)
        cli_printf(&out, "%-15s %-7s %-9s %-29s %s\n", "NAME", "TYPE", "DEFAULT", "RANGE", "");
    if (style == OPTIONS_JSON)
        cli_append_text(&out, "[");
    if (style == OPTIONS_MAN)
        cli_append_text(&out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < n; i++)
        options_row(&out, &table[i], style, i == 0);
    if (style == OPTIONS_JSON)
        cli_append_text(&out, "]\n");
    if (style == OPTIONS_MAN)
        cli_append_text(&out, ".El\n");
    cli_print(&out);
    akv_buffer_free(&out);
    return CLI_FINE;
}

static int options_run(cli *c)
{
    bool             man = false, names = false;
    const cli_option options[] = {
        {CLI_FLAG, 0, "man", NULL, &man, "as a piece of a manual page (mdoc)"},
        {CLI_FLAG, 0, "names", NULL, &names, "names only, one a line"},
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int code = cli_parse(c, options, 0, 1);

    if (code != CLI_GO)
        return code;
    code = options_print(c, c->argc ? c->argv[0] : NULL,
                         names     ? OPTIONS_NAMES
                         : man     ? OPTIONS_MAN
                         : c->json ? OPTIONS_JSON
                                   : OPTIONS_TEXT);
    return cli_flush(c, code);
}

const cli_command cli_options_command = {
    "options", "[ENGINE]", "list the options of opening, or of an engine",
    "List the options that --option NAME=VALUE and URIs take: those of every engine,\n"
    "or with ENGINE its own.\n\n"
    "Examples:\n"
    "  anykv options\n"
    "  anykv options fused\n"
    "  anykv options fused --json",
    options_run};

/* ------------------------------------------------------------------ engines */

#define ENGINES_MAX 64u

static void engines_caps_json(akv_buffer *out, const char *name, uint64_t caps)
{
    const char *sep = "";

    cli_printf(out, ",\"%s\":[", name);
    for (uint64_t bit = 1; bit <= AKV_CAP_ALL; bit <<= 1)
        if (caps & bit) {
            cli_printf(out, "%s\"%s\"", sep, akv_capability_name(bit));
            sep = ",";
        }
    cli_append_text(out, "]");
}

static void engines_json(akv_buffer *out, const akv_engine_info *infos, size_t n)
{
    cli_append_text(out, "[");
    for (size_t i = 0; i < n; i++) {
        cli_append_text(out, i ? ",{\"name\":" : "{\"name\":");
        cli_json_text(out, akv_str(infos[i].name));
        cli_append_text(out, ",\"description\":");
        cli_json_text(out, akv_str(infos[i].description));
        cli_printf(out, ",\"max_key\":%llu,\"max_value\":%llu",
                   (unsigned long long)infos[i].max_key, (unsigned long long)infos[i].max_value);
        engines_caps_json(out, "native", infos[i].caps & ~infos[i].caps_emulated);
        engines_caps_json(out, "emulated", infos[i].caps_emulated);
        cli_append_text(out, "}");
    }
    cli_append_text(out, "]\n");
}

static void engines_table(akv_buffer *out, const akv_engine_info *infos, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cli_printf(out, "%-10s %s\n", infos[i].name, infos[i].description);
    cli_printf(out, "\n%-14s", "");
    for (size_t i = 0; i < n; i++)
        cli_printf(out, " %11s", infos[i].name);
    cli_printf(out, "\n%-14s", "largest key");
    for (size_t i = 0; i < n; i++)
        cli_printf(out, " %11llu", (unsigned long long)infos[i].max_key);
    cli_printf(out, "\n%-14s", "largest value");
    for (size_t i = 0; i < n; i++)
        cli_printf(out, " %11llu", (unsigned long long)infos[i].max_value);
    for (uint64_t bit = 1; bit <= AKV_CAP_ALL; bit <<= 1) {
        cli_printf(out, "\n%-14s", akv_capability_name(bit));
        for (size_t i = 0; i < n; i++)
            cli_printf(out, " %11s",
                       infos[i].caps_emulated & bit ? "E"
                       : infos[i].caps & bit        ? "N"
                                                    : "-");
    }
    cli_append_text(out, "\n\nN: native, E: emulated, -: not there\n");
}

static int engines_run(cli *c)
{
    bool             names     = false;
    const cli_option options[] = {{CLI_FLAG, 0, "names", NULL, &names, "names only, one a line"},
                                  {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int              code      = cli_parse(c, options, 0, 0);
    akv_engine_info  infos[ENGINES_MAX];
    akv_buffer       out = AKV_BUFFER_INIT;
    size_t           n   = 0;

    if (code != CLI_GO)
        return code;
    for (; n < ENGINES_MAX && akv_engine_at(n); n++) {
        infos[n] = (akv_engine_info)AKV_ENGINE_INFO_INIT;
        if (akv_engine_describe(akv_engine_at(n), &infos[n]) != AKV_OK)
            return cli_failed(c);
        if (names)
            cli_printf(&out, "%s\n", infos[n].name);
    }
    if (!names && c->json)
        engines_json(&out, infos, n);
    else if (!names)
        engines_table(&out, infos, n);
    cli_print(&out);
    akv_buffer_free(&out);
    return cli_flush(c, CLI_FINE);
}

const cli_command cli_engines_command = {
    "engines", "", "list the engines, what they can do and their limits",
    "List the engines of this build, their limits in bytes, and their capabilities.\n\n"
    "Examples:\n"
    "  anykv engines\n"
    "  anykv engines --json",
    engines_run};
