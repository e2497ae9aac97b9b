/* SPDX-License-Identifier: MIT
 *
 * commands.h: the subcommands by name, for main.c and help.
 */
#ifndef ANYKV_TOOLS_COMMANDS_H
#define ANYKV_TOOLS_COMMANDS_H

#include "tools/cli.h"

extern const cli_command cli_get_command, cli_put_command, cli_del_command; /* get.c */
extern const cli_command cli_scan_command, cli_count_command;               /* scan.c */
extern const cli_command cli_stats_command;                                 /* stats.c */
extern const cli_command cli_verify_command, cli_compact_command;           /* maintain.c */
extern const cli_command cli_checkpoint_command;                            /* maintain.c */
extern const cli_command cli_import_command;                                /* import.c */
extern const cli_command cli_export_command;                                /* export.c */
extern const cli_command cli_convert_command;                               /* convert.c */
extern const cli_command cli_options_command, cli_engines_command;          /* options.c */
extern const cli_command cli_bench_command;                                 /* bench.c */
extern const cli_command cli_fused_build_command, cli_fused_info_command;   /* fused.c */
extern const cli_command cli_fused_lookup_command;                          /* fused.c */
extern const cli_command cli_fused_objects_command;                         /* fused.c */
#ifdef AKVI_ENGINE_FUSED
extern const cli_command cli_fused_watch_command; /* fused_watch.c */
extern const cli_command cli_fused_merge_command; /* fused_merge.c */
#endif
#ifdef AKVI_ENGINE_LSM
extern const cli_command cli_lsm_dump_command;   /* lsm_dump.c */
extern const cli_command cli_lsm_repair_command; /* lsm.c */
#endif
extern const cli_command cli_version_command, cli_help_command; /* help.c */

/* In order; NULL just past the last. */
const cli_command *cli_command_at(size_t i);
/* The command that the first one or two words name, or NULL; *used_out words. */
const cli_command *cli_command_find(int argc, char **argv, int *used_out);

#endif
