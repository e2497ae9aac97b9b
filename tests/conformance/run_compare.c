/* SPDX-License-Identifier: MIT
 *
 * run_compare.c: the same random run on two stores each: engines with each
 * other, and an engine with itself on other files.
 */
#include "tests/conformance/run.h"

static void run_compare(run_tap *tap, const char *label, const akv_conformance_options *a,
                        const akv_conformance_options *b)
{
    tap->label = label;
    tap->failed += (unsigned)akv_conformance_compare(a, b);
}

int main(void)
{
    run_tap                 tap    = {.only = NULL};
    const char             *folder = run_folder(&tap);
    akv_conformance_options plain  = run_options(&tap, "memory", AKV_CONFORMANCE_NO_PATH, NULL);
    akv_conformance_options image  = run_options(&tap, "memory", AKV_CONFORMANCE_KEEPS, NULL);
    akv_conformance_options files  = run_options(&tap, "memory", AKV_CONFORMANCE_KEEPS, folder);
    akv_conformance_options fused  = run_options(&tap, "fused", 0, NULL);
    akv_conformance_options mapped = run_options(&tap, "fused", 0, folder);

    run_compare(&tap, "memory without a path and with one:", &plain, &image);
    run_compare(&tap, "memory on two kinds of files:", &image, &files);
    run_compare(&tap, "memory and fused:", &plain, &mapped);
    run_compare(&tap, "fused on two kinds of files:", &fused, &mapped);
    return run_end(&tap);
}
