/* SPDX-License-Identifier: MIT
 *
 * suite.h: what the files of the conformance suite share: a run, its cases,
 * and the checks that a case is written in.
 *
 * A case is a function that makes stores by akvc_new or akvc_filled and checks
 * answers by CHECK, WANT, OK and the like. The first check that fails ends the
 * case by longjmp, so nothing of a case may run on another thread, or inside a
 * callback of the library, but what records its findings for later.
 *
 * Public headers only: authors of engines get this as an archive.
 */
#ifndef AKVC_SUITE_H
#define AKVC_SUITE_H

#include <anykv/conformance.h>
#include <anykv/engine.h>

#include <setjmp.h>

/* ------------------------------------------------------------------- random */

typedef struct akvc_random {
    uint64_t state;
} akvc_random;

uint64_t akvc_next(akvc_random *random);
uint64_t akvc_below(akvc_random *random, uint64_t n); /* 0..n-1 */

/* --------------------------------------------------------------------- a run */

typedef struct akvc_run {
    akv_conformance_options opt;
    const char             *engine;
    uint64_t                seed;

    /* files */
    akv_env *env;
    bool     moves_clock; /* an env in memory */
    char     folder[512]; /* the run's own */
    char     path[600];   /* of the store made last */
    unsigned paths;       /* made so far */

    /* what the engine's stores can do once filled, and what akvc_new's can */
    uint64_t caps, caps_new;
    uint64_t max_key, max_value;

    /* the running case */
    akvc_random random;
    jmp_buf     escape;
    char        why[2048];
    akv_buffer  text; /* akvc_contents */

    unsigned cases, failed;
} akvc_run;

#define AKVC_NEEDS_PATH   1u /* stores with a path */
#define AKVC_NEEDS_REOPEN 2u /* stores that close and open keep */
#define AKVC_NEEDS_CLOCK  4u /* a clock that can be moved */
#define AKVC_NEEDS_CHAOS  8u /* an engine without AKV_CAP_ORDERED */

typedef struct akvc_case {
    const char *name;
    uint64_t    caps;  /* all of these */
    unsigned    needs; /* AKVC_NEEDS_* */
    void (*run)(akvc_run *r);
} akvc_case;

/* Each list ends with an empty one. */
extern const akvc_case akvc_read_cases[], akvc_scan_cases[], akvc_write_cases[],
    akvc_condition_cases[], akvc_batch_cases[], akvc_snapshot_cases[], akvc_expiry_cases[],
    akvc_range_cases[], akvc_merge_cases[], akvc_keyspace_cases[], akvc_stream_cases[],
    akvc_changes_cases[], akvc_txn_cases[], akvc_open_cases[], akvc_upkeep_cases[],
    akvc_build_cases[], akvc_misuse_cases[], akvc_stop_cases[], akvc_threads_cases[],
    akvc_random_cases[];

/* Begin and end without cases, for akv_conformance_compare. False: said why. */
bool akvc_begin(akvc_run *r, const akv_conformance_options *opt);
void akvc_end(akvc_run *r);
void akvc_print(const akvc_run *r, const char *fmt, ...) AKV_PRINTF(2, 3);
void akvc_print_why(const akvc_run *r);

/* ------------------------------------------------------------------- checks */

#define CHECK(r, condition) \
    ((condition) ? (void)0 : akvc_fail(r, __FILE__, __LINE__, "not so: %s", #condition))
/* The call must answer `want`; a negative one must leave its error record. */
#define WANT(r, want, call) akvc_want(r, __FILE__, __LINE__, #call, want, call)
#define OK(r, call)         WANT(r, AKV_OK, call)
/* The error record must hold `part`. */
#define SAYS(r, part) akvc_says(r, __FILE__, __LINE__, part)
/* `key` must have `value`, or be absent, however it is read. */
#define HAS(r, db, opt, key, value) \
    akvc_has(r, __FILE__, __LINE__, db, opt, akv_str(key), akv_str(value))
#define LACKS(r, db, opt, key) akvc_lacks(r, __FILE__, __LINE__, db, opt, akv_str(key))
/* The store's pairs, in key order, must be "key=value key=value". */
#define HOLDS(r, db, opt, pairs) akvc_holds(r, __FILE__, __LINE__, db, opt, pairs)

_Noreturn void akvc_fail(akvc_run *r, const char *file, int line, const char *fmt, ...)
    AKV_PRINTF(4, 5);
void akvc_want(akvc_run *r, const char *file, int line, const char *call, akv_status want,
               akv_status got);
void akvc_says(akvc_run *r, const char *file, int line, const char *part);
void akvc_has(akvc_run *r, const char *file, int line, akv *db, const akv_read_options *opt,
              akv_slice key, akv_slice value);
void akvc_lacks(akvc_run *r, const char *file, int line, akv *db, const akv_read_options *opt,
                akv_slice key);
void akvc_holds(akvc_run *r, const char *file, int line, akv *db, const akv_read_options *opt,
                const char *pairs);

/* ------------------------------------------------------------------- stores */

static inline bool akvc_equal(akv_slice a, akv_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
int akvc_compare(akv_slice a, akv_slice b); /* memcmp, shorter first */

/* Options as every store of the run is opened with, and CREATE. */
akv_open_options akvc_options(const akvc_run *r);
/* A path where nothing is yet; NULL under AKV_CONFORMANCE_NO_PATH. */
const char *akvc_new_path(akvc_run *r);
/* An empty store at a new path. */
akv *akvc_new(akvc_run *r);
/* One with "key=value key=value ..." in it, ready to be read; `pairs` may be
 * in any order and repeat keys. Works for stores to build too. */
akv *akvc_filled(akvc_run *r, const char *pairs);
/* Put every pair, then akv_finish if the store is one to build. */
typedef struct akvc_pair {
    akv_slice key, value;
} akvc_pair;
void akvc_fill(akvc_run *r, akv *db, const akvc_pair *pairs, size_t n);
/* Close, which must work. */
void akvc_close(akvc_run *r, akv *db);
/* Open the run's last path again with `flags`. */
akv *akvc_open(akvc_run *r, uint32_t flags);
/* The store's pairs as text, sorted by key; valid until the next call. */
const char *akvc_contents(akvc_run *r, akv *db, const akv_read_options *opt);
/* Remove a folder and all in it. */
void akvc_remove_all(akv_env *env, const char *folder);
/* Let time pass: the clock of an env in memory is moved, else it sleeps. */
void akvc_pass(const akvc_run *r, uint64_t ms);
/* The merge operator of the suite's stores: appends; refuses the operand "!"
 * with AKV_CORRUPT. */
extern const akv_merge_operator akvc_append;

#endif
