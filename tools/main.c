/* SPDX-License-Identifier: MIT
 *
 * main.c: the `anykv` command: finds the subcommand and runs it.
 */
#include "tools/commands.h"

#include <signal.h>

static const cli_command *const main_commands[] = {
    &cli_get_command,         &cli_put_command,           &cli_del_command,
    &cli_scan_command,        &cli_count_command,         &cli_stats_command,
    &cli_verify_command,      &cli_compact_command,       &cli_import_command,
    &cli_export_command,      &cli_convert_command,       &cli_checkpoint_command,
    &cli_options_command,     &cli_engines_command,       &cli_bench_command,
    &cli_fused_build_command, &cli_fused_info_command,    &cli_fused_lookup_command,
#ifdef AKVI_ENGINE_FUSED
    &cli_fused_watch_command, &cli_fused_objects_command, &cli_fused_merge_command,
#endif
#ifdef AKVI_ENGINE_LSM
    &cli_lsm_dump_command,    &cli_lsm_repair_command,
#endif
    &cli_version_command,     &cli_help_command,          NULL,
};

const cli_command *cli_command_at(size_t i)
{
    return main_commands[i];
}

const cli_command *cli_command_find(int argc, char **argv, int *used_out)
{
    for (size_t i = 0; argc > 0 && main_commands[i]; i++) {
        const char *name  = main_commands[i]->name;
        size_t      first = strcspn(name, " ");

        if (strlen(argv[0]) != first || memcmp(argv[0], name, first) != 0)
            continue;
        *used_out = name[first] ? 2 : 1;
        if (!name[first] || (argc > 1 && !strcmp(argv[1], name + first + 1)))
            return main_commands[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    cli c    = {.command = &cli_help_command, .argc = argc - 1, .argv = argv + 1};
    int used = 1;

    /* a file too large is then a failure like any other, and is cleared away */
    signal(SIGXFSZ, SIG_IGN);
    if (argc > 1 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))) {
        c.command = &cli_version_command;
    } else if (argc > 1 && strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0) {
        const cli_command *found = cli_command_find(argc - 1, argv + 1, &used);

        if (!found)
            return cli_unknown(&c);
        c.command = found;
    }
    used = used < c.argc ? used : c.argc;
    c.argc -= used;
    c.argv += used;
    if (argc == 1)
        return cli_usage(&c, "no command given");
    return c.command->run(&c);
}
