/* SPDX-License-Identifier: MIT
 *
 * run_compare_lsm.c: the same random run on memory and on lsm, whose memtables
 * are so small that it flushes and compacts all the time.
 */
#include "tests/conformance/run.h"

static void run_compare(run_tap *tap, const char *label, const char *folder, const char *text)
{
    akv_conformance_options memory = run_options(tap, "memory", AKV_CONFORMANCE_NO_PATH, NULL);
    akv_conformance_options lsm    = run_options(tap, "lsm", 0, folder);

    lsm.text   = text;
    tap->label = label;
    tap->failed += (unsigned)akv_conformance_compare(&memory, &lsm);
}

int main(void)
{
    run_tap     tap    = {.only = NULL};
    const char *folder = run_folder(&tap);

    run_compare(&tap, "memory and lsm:", NULL, NULL);
    run_compare(&tap, "memory and lsm with small memtables:", folder,
                "write_buffer=64KiB,table_size=64KiB,level_base=64KiB,level_ratio=2,"
                "level0_compact=2,block_size=512,block_cache=64KiB,restart_interval=4");
    return run_end(&tap);
}
