/* SPDX-License-Identifier: MIT
 *
 * help.c: `anykv version` and `anykv help`, which also gives shells the words
 * to complete.
 */
#include "tools/commands.h"

static int version_run(cli *c)
{
    const cli_option options[] = {{CLI_END, 0, NULL, NULL, NULL, NULL}};
    int              code      = cli_parse(c, options, 0, 0);
    akv_buffer       out       = AKV_BUFFER_INIT;

    if (code != CLI_GO)
        return code;
    if (c->json) {
        cli_append_text(&out, "{\"version\":");
        cli_json_text(&out, akv_str(akv_version()));
        cli_append_text(&out, ",\"build\":");
        cli_json_text(&out, akv_str(akv_build_info()));
        cli_append_text(&out, "}\n");
    } else {
        cli_printf(&out, "anykv %s\n%s\n", akv_version(), akv_build_info());
    }
    cli_print(&out);
    akv_buffer_free(&out);
    return cli_flush(c, CLI_FINE);
}

const cli_command cli_version_command = {
    "version", "", "tell the version and how it was built",
    "Tell the version, the compiler and the engines of this build.\n\n"
    "Examples:\n"
    "  anykv version\n"
    "  anykv version --json",
    version_run};

/* Whether the command stands under `group`, as "fused build" under "fused". */
static bool help_is_of(const cli_command *command, const char *group)
{
    size_t len = strlen(group);

    return strncmp(command->name, group, len) == 0 && command->name[len] == ' ';
}

static bool help_is_group(const char *word)
{
    for (size_t i = 0; cli_command_at(i); i++)
        if (help_is_of(cli_command_at(i), word))
            return true;
    return false;
}

/* All commands, or those of a group. */
static void help_list(const char *group)
{
    printf("Usage: anykv %s%sCOMMAND [OPTION...] STORE ...\n\n"
           "One key-value interface over several storage engines. STORE is a path, whose\n"
           "files tell the engine, or ENGINE:PATH?option=value&...\n\nCommands:\n",
           group ? group : "", group ? " " : "");
    for (size_t i = 0; cli_command_at(i); i++)
        if (!group || help_is_of(cli_command_at(i), group))
            printf("  %-12s %s\n", cli_command_at(i)->name, cli_command_at(i)->summary);
    printf("\nExits with 0: fine, 1: no such key, 2: wrong use, 3: failure.\n"
           "'anykv COMMAND --help' tells more, with examples; so does man anykv.\n");
}

static void help_list_json(void)
{
    akv_buffer out = AKV_BUFFER_INIT;

    for (size_t i = 0; cli_command_at(i); i++) {
        cli_append_text(&out, i ? ",{\"name\":" : "[{\"name\":");
        cli_json_text(&out, akv_str(cli_command_at(i)->name));
        cli_append_text(&out, ",\"operands\":");
        cli_json_text(&out, akv_str(cli_command_at(i)->operands));
        cli_append_text(&out, ",\"summary\":");
        cli_json_text(&out, akv_str(cli_command_at(i)->summary));
        cli_append_text(&out, "}");
    }
    cli_append_text(&out, "]\n");
    cli_print(&out);
    akv_buffer_free(&out);
}

/* The words that may follow `argv`: commands, second words, or options. */
static int help_words(cli *c)
{
    int                used  = 0;
    const cli_command *found = cli_command_find(c->argc, c->argv, &used);

    if (found) {
        cli other = {.command = found, .words = true};

        return found->run(&other);
    }
    for (size_t i = 0; cli_command_at(i); i++) {
        const char *name     = cli_command_at(i)->name;
        size_t      first    = strcspn(name, " ");
        size_t      i_before = i;

        if (c->argc && used && name[first])
            printf("%s\n", name + first + 1);
        if (c->argc)
            continue;
        while (i_before > 0 && strncmp(cli_command_at(i_before - 1)->name, name, first) != 0)
            i_before--;
        if (!name[first] || i_before == 0)
            printf("%.*s\n", (int)first, name);
    }
    return cli_flush(c, CLI_FINE);
}

static int help_run(cli *c)
{
    bool             words     = false;
    const cli_option options[] = {
        {CLI_FLAG, 0, "words", NULL, &words, "the words that may follow, for shell completion"},
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int code = cli_parse(c, options, 0, 2);
    int used;

    if (code != CLI_GO)
        return code;
    if (words)
        return help_words(c);
    if (c->argc) {
        char               ask[]  = "--help";
        char              *argv[] = {ask};
        const cli_command *found  = cli_command_find(c->argc, c->argv, &used);
        cli                other  = {.command = found, .argc = 1, .argv = argv};

        if (!found && c->argc == 1 && help_is_group(c->argv[0])) {
            help_list(c->argv[0]);
            return cli_flush(c, CLI_FINE);
        }
        return found ? found->run(&other) : cli_unknown(c);
    }
    if (c->json)
        help_list_json();
    else
        help_list(NULL);
    return cli_flush(c, CLI_FINE);
}

const cli_command cli_help_command = {"help", "[COMMAND]", "list the commands, or tell about one",
                                      "List the commands, or tell what COMMAND does and takes.\n\n"
                                      "Examples:\n"
                                      "  anykv help\n"
                                      "  anykv help import\n"
                                      "  anykv help fused build",
                                      help_run};

/* The commands of a group as usage, to stderr. */
static void help_list_names(const char *group)
{
    for (size_t i = 0; cli_command_at(i); i++)
        if (help_is_of(cli_command_at(i), group))
            fprintf(stderr, "usage: anykv %s [OPTION...] %s\n", cli_command_at(i)->name,
                    cli_command_at(i)->operands);
}

int cli_unknown(cli *c)
{
    bool group = help_is_group(c->argv[0]), more = group && c->argc > 1;

    if (more && (!strcmp(c->argv[1], "--help") || !strcmp(c->argv[1], "-h"))) {
        help_list(c->argv[0]);
        return cli_flush(c, CLI_FINE);
    }
    c->json = false;
    for (int i = 0; i < c->argc; i++)
        c->json |= !strcmp(c->argv[i], "--json") || !strcmp(c->argv[i], "-j");
    if (group && (!more || c->argv[1][0] == '-')) {
        if (!c->json)
            help_list_names(c->argv[0]);
        return cli_usage(c, "'anykv %s' needs a command", c->argv[0]);
    }
    return cli_usage(c, "there is no command '%s%s%s'", c->argv[0], more ? " " : "",
                     more ? c->argv[1] : "");
}
