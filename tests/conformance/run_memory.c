/* SPDX-License-Identifier: MIT
 *
 * run_memory.c: the suite on the memory engine: without a path, and with one,
 * where it keeps an image, in memory and of the system.
 */
#include "tests/conformance/run.h"

static void run_memory(run_tap *tap, const char *label, uint32_t flags, const char *folder)
{
    akv_conformance_options opt = run_options(tap, "memory", flags, folder);

    opt.required = AKV_CAP_READ | AKV_CAP_WRITE | AKV_CAP_ORDERED | AKV_CAP_BATCH |
                   AKV_CAP_CONDITION | AKV_CAP_VERSION | AKV_CAP_SNAPSHOT | AKV_CAP_CHECKPOINT |
                   AKV_CAP_TTL | AKV_CAP_TXN | AKV_CAP_DELETE_RANGE | AKV_CAP_MERGE |
                   AKV_CAP_KEYSPACES | AKV_CAP_STREAM_READ | AKV_CAP_STREAM_WRITE |
                   AKV_CAP_CHANGES | AKV_CAP_ENCODING;
    tap->label = label;
    tap->failed += (unsigned)akv_conformance_run(&opt);
}

int main(int argc, char **argv)
{
    run_tap tap = {.only = argc > 1 ? argv[1] : NULL};

    run_memory(&tap, "no path:", AKV_CONFORMANCE_NO_PATH, NULL);
    run_memory(&tap, "image in memory:", AKV_CONFORMANCE_KEEPS, NULL);
    run_memory(&tap, "image file:", AKV_CONFORMANCE_KEEPS, run_folder(&tap));
    return run_end(&tap);
}
