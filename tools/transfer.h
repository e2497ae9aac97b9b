/* SPDX-License-Identifier: MIT
 *
 * transfer.h: records from a file into a store, for import and fused build.
 */
#ifndef ANYKV_TOOLS_TRANSFER_H
#define ANYKV_TOOLS_TRANSFER_H

#include "tools/cli_record.h"
#include "tools/commands.h"

/* Open both, copy all, close both. `sink` brings how values are stored. Returns
 * the exit code, everything told. */
int transfer_import(cli *c, const cli_source_args *source, cli_store *store, const char *path,
                    uint32_t flags, cli_sink *sink);

/* A folder of FastKV's into an lsm store (lsm.c). Faults are told, and CLI_FAILED
 * though the rest is imported. */
int lsm_import_fastkv(cli *c, cli_store *store, const char *folder, const char *path,
                      uint32_t flags);

#endif
