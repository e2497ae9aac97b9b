/* SPDX-License-Identifier: MIT
 *
 * run_fused.c: the suite on the fused engine: files in memory and of the
 * system, mapped and copied.
 */
#include "tests/conformance/run.h"

static void run_fused(run_tap *tap, const char *label, const char *folder, const char *text)
{
    akv_conformance_options opt = run_options(tap, "fused", 0, folder);

    opt.text     = text;
    opt.required = AKV_CAP_READ | AKV_CAP_BUILD | AKV_CAP_ORDERED | AKV_CAP_SNAPSHOT |
                   AKV_CAP_CHECKPOINT | AKV_CAP_STREAM_READ | AKV_CAP_DURABLE | AKV_CAP_SHARED_READ;
    tap->label = label;
    tap->failed += (unsigned)akv_conformance_run(&opt);
}

int main(int argc, char **argv)
{
    run_tap tap = {.only = argc > 1 ? argv[1] : NULL};

    run_fused(&tap, "in memory:", NULL, NULL);
    run_fused(&tap, "files:", run_folder(&tap), NULL);
    run_fused(&tap, "copied:", tap.folder, "mode=read,check_objects=true,dedupe=false");
    return run_end(&tap);
}
