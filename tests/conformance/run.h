/* SPDX-License-Identifier: MIT
 *
 * run.h: what the programs beside it have in common: several runs of the suite
 * become one TAP stream. ANYKV_SEED plays a seed again, ANYKV_SCALE multiplies
 * the random steps, and an argument runs just the cases whose names hold it.
 */
#ifndef AKVC_RUN_H
#define AKVC_RUN_H

#include <anykv/conformance.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct run_tap {
    const char *label;
    const char *only;
    unsigned    n, failed;
    char        folder[256];
} run_tap;

/* Number the tests through, and keep plans for the end. */
static void run_line(void *user, const char *line)
{
    run_tap    *tap  = user;
    const char *dash = strstr(line, " - ");
    bool        test = strncmp(line, "ok ", 3) == 0 || strncmp(line, "not ok ", 7) == 0;

    if (test && dash)
        printf("%sok %u - %s%s\n", line[0] == 'n' ? "not " : "", ++tap->n, tap->label, dash + 2);
    else if (line[0] == '#' || strncmp(line, "Bail out!", 9) == 0)
        printf("%s\n", line);
    fflush(stdout);
}

static unsigned run_number(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text && *text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* A fresh folder of the system; run_end removes it. */
static inline const char *run_folder(run_tap *tap)
{
    const char *base = getenv("TMPDIR");

    snprintf(tap->folder, sizeof tap->folder, "%s/anykv-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(tap->folder)) {
        printf("Bail out! can't make a folder like %s\n", tap->folder);
        exit(1);
    }
    return tap->folder;
}

static akv_conformance_options run_options(run_tap *tap, const char *engine, uint32_t flags,
                                           const char *folder)
{
    akv_conformance_options opt = AKV_CONFORMANCE_OPTIONS_INIT;

    opt.engine = engine;
    opt.flags  = flags;
    opt.folder = folder;
    opt.seed   = run_number("ANYKV_SEED", 0);
    opt.steps  = 20000 * run_number("ANYKV_SCALE", 1);
    opt.only   = tap->only;
    opt.line   = run_line;
    opt.user   = tap;
    return opt;
}

static int run_end(run_tap *tap)
{
    if (tap->folder[0])
        rmdir(tap->folder);
    printf("1..%u\n", tap->n);
    return tap->failed ? 1 : 0;
}

#endif
