/* SPDX-License-Identifier: MIT
 *
 * conformance.h: proof that an engine keeps the contract of anykv.h.
 *
 * One suite for every engine, built in or from outside. It uses the public
 * headers only and comes as an archive of its own: link with
 * -lanykv-conformance -lanykv, or what pkg-config says of anykv-conformance. An
 * engine's author needs one call:
 *
 *     akv_conformance_options opt = AKV_CONFORMANCE_OPTIONS_INIT;
 *
 *     opt.table = &my_engine;
 *     return akv_conformance_run(&opt) ? 1 : 0;
 *
 * Each case states a promise and prints one TAP line, "ok 3 - get: a miss is
 * absent"; cases for capabilities that the engine lacks are skipped and say
 * so. Random runs print their seed and how to play them again.
 *
 * The suite starts threads and, for the rule about fork, a child process. What
 * a failed case held open stays open. One run at a time in a process.
 */
#ifndef ANYKV_CONFORMANCE_H
#define ANYKV_CONFORMANCE_H

#include <anykv/anykv.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Open every store with a NULL path: nothing is kept, nothing is reopened. */
#define AKV_CONFORMANCE_NO_PATH 1u
/* What akv_close leaves at the path is there when it is opened again, though
 * the engine has no AKV_CAP_DURABLE to promise more. */
#define AKV_CONFORMANCE_KEEPS 2u

typedef struct akv_conformance_options {
    size_t      size;   /* sizeof(akv_conformance_options) */
    uint32_t    flags;  /* AKV_CONFORMANCE_* */
    uint32_t    steps;  /* of the random run; 0: 20000 */
    const char *engine; /* its name; NULL with `table` */
    /* The engine of one's own: registered when that has not been done. */
    const akv_engine *table;
    /* An existing folder of the system, in which the suite makes one of its own
     * and removes it at the end. NULL: files in memory, whose clock the suite
     * moves, so that expiry is tested at length. */
    const char *folder;
    const char *text;     /* options for every open, "name=value,..." */
    uint64_t    required; /* AKV_CAP_*: lacking one is a failure, not a skip */
    uint64_t    seed;     /* of all that is random; 0: from the clock */
    const char *only;     /* run just the cases whose names hold this */
    /* Told each line of the output, without its end; NULL: standard output. */
    void (*line)(void *user, const char *line);
    void *user;
} akv_conformance_options;
#define AKV_CONFORMANCE_OPTIONS_INIT                                                          \
    {                                                                                         \
        sizeof(akv_conformance_options), 0, 0, NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL \
    }

/* Run the suite. Returns the number of cases that failed; a suite that can't
 * begin counts as one. */
AKV_API int akv_conformance_run(const akv_conformance_options *opt);

/* The same random run on two stores, their answers compared step by step,
 * restricted to what both can do; where one is a store to build, both are
 * filled first and then only read. seed, steps and line are those of `a`.
 * Returns the number of failures. */
AKV_API int akv_conformance_compare(const akv_conformance_options *a,
                                    const akv_conformance_options *b);

#ifdef __cplusplus
}
#endif
#endif
