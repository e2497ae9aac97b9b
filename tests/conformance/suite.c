/* SPDX-License-Identifier: MIT
 *
 * suite.c: the run: which cases, in which order, and what is printed of them.
 */
#include "tests/conformance/suite.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const akvc_case *const suite_groups[] = {
    akvc_open_cases,    akvc_read_cases,     akvc_scan_cases,
    akvc_build_cases,   akvc_write_cases,    akvc_condition_cases,
    akvc_batch_cases,   akvc_snapshot_cases, akvc_expiry_cases,
    akvc_range_cases,   akvc_merge_cases,    akvc_keyspace_cases,
    akvc_stream_cases,  akvc_changes_cases,  akvc_txn_cases,
    akvc_upkeep_cases,  akvc_misuse_cases,   akvc_stop_cases,
    akvc_threads_cases, akvc_random_cases,   NULL,
};

/* splitmix64 */
uint64_t akvc_next(akvc_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t akvc_below(akvc_random *random, uint64_t n)
{
    return akvc_next(random) % n;
}

/* ------------------------------------------------------------------- output */

void akvc_print(const akvc_run *r, const char *fmt, ...)
{
    char    line[2600];
    va_list args;

    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (r->opt.line) {
        r->opt.line(r->opt.user, line);
    } else {
        printf("%s\n", line);
        fflush(stdout);
    }
}

/* Each line of what a case left in r->why, as a comment; keys may be any bytes. */
void akvc_print_why(const akvc_run *r)
{
    for (const char *at = r->why; *at;) {
        size_t len = strcspn(at, "\n"), n = 0;
        char   line[2400];

        for (size_t i = 0; i < len && n + 5 < sizeof line; i++) {
            uint8_t byte = (uint8_t)at[i];

            n += (size_t)snprintf(line + n, 5, byte < 0x20 || byte > 0x7e ? "\\x%02x" : "%c", byte);
        }
        line[n] = '\0';
        akvc_print(r, "# %s", line);
        at += len + (at[len] == '\n');
    }
}

/* ---------------------------------------------------------------- begin, end */

static bool suite_begin_failed(const akvc_run *r, const char *what)
{
    akvc_print(r, "Bail out! conformance: %s: %s", what, akv_last_error()->text);
    return false;
}

static bool suite_find_engine(akvc_run *r)
{
    const char *name;

    r->engine = r->opt.table ? r->opt.table->name : r->opt.engine;
    for (size_t i = 0; r->engine && (name = akv_engine_at(i)) != NULL; i++)
        if (strcmp(name, r->engine) == 0)
            return true;
    if (r->opt.table)
        return akv_register(r->opt.table) == AKV_OK || suite_begin_failed(r, "akv_register");
    akvc_print(r, "Bail out! conformance: there is no engine '%s'",
               r->engine ? r->engine : "(no name given)");
    return false;
}

static bool suite_make_folder(akvc_run *r)
{
    const char *base = r->opt.folder ? r->opt.folder : "";
    akv_status  status;

    r->moves_clock = !r->opt.folder;
    if (r->opt.folder)
        r->env = akv_env_posix();
    else if (akv_env_memory_new(NULL, &r->env) != AKV_OK)
        return suite_begin_failed(r, "akv_env_memory_new");
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(r->folder, sizeof r->folder, "%s/conformance-%ld-%u", base, (long)getpid(), i);
        status = r->env->ops->make_folder(r->env, r->folder);
        if (status == AKV_OK)
            return true;
        if (i > 0 && !r->opt.folder)
            break;
    }
    r->folder[0] = '\0';
    return suite_begin_failed(r, "making a folder");
}

/* Open a first store to see what the engine's handles can do. */
static bool suite_learn(akvc_run *r)
{
    akv_open_options opt = akvc_options(r);
    akv_status       status;
    akv             *db;

    if (akv_open(r->engine, akvc_new_path(r), &opt, &db) != AKV_OK)
        return suite_begin_failed(r, "akv_open");
    akv_limits(db, &r->max_key, &r->max_value);
    r->caps_new = akv_capabilities(db);
    status      = r->caps_new & AKV_CAP_BUILD ? akv_finish(db, NULL) : AKV_OK;
    r->caps     = akv_capabilities(db);
    if (status == AKV_OK)
        status = akv_close(db);
    if (status != AKV_OK)
        return suite_begin_failed(r, "akv_finish or akv_close");
    if ((r->caps_new & (AKV_CAP_WRITE | AKV_CAP_BUILD)) == 0) {
        akvc_print(r, "Bail out! conformance: the engine can neither write nor build");
        return false;
    }
    return true;
}

bool akvc_begin(akvc_run *r, const akv_conformance_options *opt)
{
    *r = (akvc_run){.opt = AKV_CONFORMANCE_OPTIONS_INIT};
    if (!opt || opt->size != sizeof *opt) {
        akvc_print(r, "Bail out! conformance: the options' size is not that of this version");
        return false;
    }
    r->opt = *opt;
    if (!suite_find_engine(r) || !suite_make_folder(r))
        return false;
    r->seed = opt->seed;
    while (r->seed == 0)
        r->seed = r->env->ops->monotonic_ns(r->env) % 1000000007;
    if (r->opt.steps == 0)
        r->opt.steps = 20000;
    if (suite_learn(r))
        return true;
    akvc_end(r);
    return false;
}

void akvc_end(akvc_run *r)
{
    akv_buffer_free(&r->text);
    if (r->folder[0])
        akvc_remove_all(r->env, r->folder);
    /* what failed cases hold may still have files of an env in memory open */
    if (r->moves_clock && r->failed == 0)
        akv_env_memory_free(r->env);
}

/* -------------------------------------------------------------------- cases */

/* Why the case can't run here, or NULL. */
static const char *suite_skip_reason(const akvc_run *r, const akvc_case *c)
{
    uint64_t missing = c->caps & ~(r->caps | r->caps_new);
    bool     keeps   = (r->caps & AKV_CAP_DURABLE) || (r->opt.flags & AKV_CONFORMANCE_KEEPS);

    if (missing)
        return akv_capability_name(missing & (0 - missing));
    if ((c->needs & (AKVC_NEEDS_PATH | AKVC_NEEDS_REOPEN)) &&
        (r->opt.flags & AKV_CONFORMANCE_NO_PATH))
        return "a path";
    if ((c->needs & AKVC_NEEDS_REOPEN) && !keeps)
        return "contents that outlive the handle";
    if ((c->needs & AKVC_NEEDS_CLOCK) && !r->moves_clock)
        return "a clock that can be moved";
    if ((c->needs & AKVC_NEEDS_CHAOS) && (r->caps & AKV_CAP_ORDERED))
        return "unordered keys";
    return NULL;
}

static uint64_t suite_hash(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * UINT64_C(1099511628211);
    return h;
}

static void suite_run_case(akvc_run *r, const akvc_case *c)
{
    const char *lacks = suite_skip_reason(r, c);

    r->cases++;
    if (lacks) {
        akvc_print(r, "ok %u - %s # SKIP lacks %s", r->cases, c->name, lacks);
        return;
    }
    r->random.state = r->seed ^ suite_hash(c->name);
    r->why[0]       = '\0';
    if (setjmp(r->escape) == 0) {
        c->run(r);
        akvc_print(r, "ok %u - %s", r->cases, c->name);
        return;
    }
    r->failed++;
    akvc_print(r, "not ok %u - %s", r->cases, c->name);
    akvc_print_why(r);
    akvc_print(r, "# play again: engine %s, seed %" PRIu64 ", only \"%s\"", r->engine, r->seed,
               c->name);
}

/* The capabilities that the caller insists on are a case of their own. */
static void suite_run_required(akvc_run *r)
{
    uint64_t missing = r->opt.required & ~(r->caps | r->caps_new);

    r->cases++;
    r->failed += missing != 0;
    akvc_print(r, "%sok %u - has the capabilities that are insisted on", missing ? "not " : "",
               r->cases);
    for (uint64_t bit = 1; bit <= AKV_CAP_ALL; bit <<= 1)
        if (missing & bit)
            akvc_print(r, "# lacks %s", akv_capability_name(bit));
}

int akv_conformance_run(const akv_conformance_options *opt)
{
    akvc_run *r = malloc(sizeof *r);
    int       failed;

    if (!r)
        return 1;
    if (!akvc_begin(r, opt)) {
        free(r);
        return 1;
    }
    akvc_print(r, "TAP version 13");
    akvc_print(r, "# engine %s, files %s, seed %" PRIu64 ", %u steps", r->engine,
               r->opt.flags & AKV_CONFORMANCE_NO_PATH ? "none"
               : r->opt.folder                        ? r->folder
                                                      : "in memory",
               r->seed, r->opt.steps);
    suite_run_required(r);
    for (size_t i = 0; suite_groups[i]; i++)
        for (const akvc_case *c = suite_groups[i]; c->name; c++)
            if (!r->opt.only || strstr(c->name, r->opt.only))
                suite_run_case(r, c);
    akvc_print(r, "1..%u", r->cases);
    akvc_end(r);
    failed = (int)r->failed;
    free(r);
    return failed;
}
