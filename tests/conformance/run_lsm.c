/* SPDX-License-Identifier: MIT
 *
 * run_lsm.c: the suite on the lsm engine: as it is opened by default, with
 * memtables so small that flushes and compactions run all the time, and
 * without threads.
 */
#include "tests/conformance/run.h"

#define RUN_SMALL                                                                         \
    "write_buffer=64KiB,table_size=64KiB,level_base=128KiB,level_ratio=4,block_size=512," \
    "block_cache=128KiB,restart_interval=4"

static void run_lsm(run_tap *tap, const char *label, const char *folder, const char *text)
{
    akv_conformance_options opt = run_options(tap, "lsm", 0, folder);

    opt.text     = text;
    opt.required = AKV_CAP_READ | AKV_CAP_WRITE | AKV_CAP_ORDERED | AKV_CAP_BATCH |
                   AKV_CAP_CONDITION | AKV_CAP_VERSION | AKV_CAP_SNAPSHOT | AKV_CAP_CHECKPOINT |
                   AKV_CAP_TTL | AKV_CAP_DELETE_RANGE | AKV_CAP_STREAM_READ | AKV_CAP_DURABLE |
                   AKV_CAP_ENCODING;
    tap->label = label;
    tap->failed += (unsigned)akv_conformance_run(&opt);
}

int main(int argc, char **argv)
{
    run_tap tap = {.only = argc > 1 ? argv[1] : NULL};

    run_lsm(&tap, "files in memory:", NULL, NULL);
    run_lsm(&tap, "files:", run_folder(&tap), NULL);
    run_lsm(&tap, "small memtables:", NULL, RUN_SMALL);
    run_lsm(&tap, "no threads:", NULL, RUN_SMALL ",threads=0");
    return run_end(&tap);
}
