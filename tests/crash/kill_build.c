/* SPDX-License-Identifier: MIT
 *
 * kill_build.c: a build that is killed leaves the old file or the new one,
 * never a torn one, and the next build clears away what it left.
 *
 * A child builds one generation of a store after the other at one path, as
 * fast as it can; the parent kills it with SIGKILL at a random moment, again
 * and again, and looks at what is there. Each generation has keys, values and
 * a count of its own, so that a mixture can't pass for either; every third one
 * spills to temporary files as it is built, and every fifth is a merge of two
 * hidden files, with a part of its keys each.
 * The child tells through a pipe which generation is finished: from then on it
 * must be there.
 *
 * ANYKV_SEED plays the moments again, as far as a machine repeats itself;
 * ANYKV_SCALE multiplies the rounds.
 */
#include <anykv/fused.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILL_ENGINE "fused"
#define KILL_ROUNDS 40

typedef struct kill_run {
    char     folder[512], path[600];
    uint64_t random;
    unsigned last; /* generation that was last told to be finished */
    unsigned tests, failed;
} kill_run;

static unsigned kill_number(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text && *text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static uint64_t kill_random(kill_run *run)
{
    run->random ^= run->random << 13;
    run->random ^= run->random >> 7;
    run->random ^= run->random << 17;
    return run->random;
}

/* --------------------------------------------------------------- generations */

/* Whether a generation is built through a buffer that it does not fit. */
static bool kill_spills(unsigned generation)
{
    return generation % 3 == 0;
}

static bool kill_merges(unsigned generation)
{
    return generation % 5 == 0;
}

/* Sizes differ, so that files of neighbours end at different places. */
static unsigned kill_keys_n(unsigned generation)
{
    return (kill_spills(generation) ? 9000 : 300) + generation % 7 * 211;
}

static akv_slice kill_value(unsigned generation, unsigned i, char text[64])
{
    int n = snprintf(text, 64, "value %u of generation %u", i, generation);

    return akv_bytes(text, (size_t)n);
}

/* A file with every step-th key, from the first on. */
static akv_status kill_build_part(const char *path, unsigned generation, unsigned first,
                                  unsigned step)
{
    akv_open_options opt    = AKV_OPEN_OPTIONS_INIT;
    akv_status       status = AKV_OK;
    char             key[32], text[64];
    akv             *db;

    opt.flags = AKV_OPEN_CREATE | AKV_OPEN_TRUNCATE;
    opt.text  = kill_spills(generation) ? "build_buffer=1MiB" : NULL;
    status    = akv_open(KILL_ENGINE, path, &opt, &db);
    if (status != AKV_OK)
        return status;
    for (unsigned i = first; i < kill_keys_n(generation) && status == AKV_OK; i += step) {
        snprintf(key, sizeof key, "key-%u", i);
        status = akv_put(db, akv_str(key), kill_value(generation, i, text), NULL);
    }
    snprintf(key, sizeof key, "%u", generation);
    if (status == AKV_OK)
        status = akv_put(db, akv_str("generation"), akv_str(key), NULL);
    if (status == AKV_OK)
        status = akv_finish(db, NULL);
    if (status != AKV_OK)
        (void)akv_abort(db);
    (void)akv_close(db);
    return status;
}

static akv_status kill_build(const char *path, unsigned generation)
{
    akv_fused_writer_options opt    = AKV_FUSED_WRITER_OPTIONS_INIT;
    int                      folder = (int)(strrchr(path, '/') - path);
    char                     even[700], odd[700];
    const char              *sources[] = {even, odd};
    akv_status               status;

    if (!kill_merges(generation))
        return kill_build_part(path, generation, 0, 1);
    snprintf(even, sizeof even, "%.*s/.even.fsdb", folder, path);
    snprintf(odd, sizeof odd, "%.*s/.odd.fsdb", folder, path);
    opt.buffer = AKV_FUSED_LEAST_BUFFER;
    status     = kill_build_part(even, generation, 0, 2);
    if (status == AKV_OK)
        status = kill_build_part(odd, generation, 1, 2);
    if (status == AKV_OK)
        status = akv_fused_merge(sources, 2, path, &opt, NULL);
    return status;
}

/* The whole store must be of the one generation that it names. */
static bool kill_is_whole(akv *db, unsigned *generation_out, const char **wrong_out)
{
    char       key[32], text[64];
    akv_buffer got = AKV_BUFFER_INIT;
    uint64_t   count;
    bool       whole = false;

    *wrong_out = "its generation";
    if (akv_get_copy(db, akv_str("generation"), NULL, &got) != AKV_OK ||
        akv_buffer_append(&got, "", 1) != AKV_OK)
        goto done;
    *generation_out = (unsigned)strtoul(got.data, NULL, 10);
    *wrong_out      = "the number of its keys";
    if (akv_count(db, NULL, &count) != AKV_OK || count != kill_keys_n(*generation_out) + 1)
        goto done;
    *wrong_out = "a value";
    for (unsigned i = 0; i < kill_keys_n(*generation_out); i++) {
        akv_slice want = kill_value(*generation_out, i, text);

        snprintf(key, sizeof key, "key-%u", i);
        if (akv_get_copy(db, akv_str(key), NULL, &got) != AKV_OK || got.len != want.len ||
            memcmp(got.data, want.data, want.len) != 0)
            goto done;
    }
    *wrong_out = "its checksums";
    whole      = akv_verify(db, NULL) == AKV_OK;
done:
    akv_buffer_free(&got);
    return whole;
}

/* ------------------------------------------------------------------- rounds */

/* The child: never returns. */
static void kill_build_on(const char *path, unsigned generation, int tell)
{
    for (;; generation++) {
        if (kill_build(path, generation) != AKV_OK) {
            fprintf(stderr, "# child: %s\n", akv_last_error()->text);
            _exit(2);
        }
        if (write(tell, &generation, sizeof generation) != sizeof generation)
            _exit(3);
    }
}

/* Kill the child after a while; false when it had ended by itself. */
static bool kill_after(kill_run *run, pid_t child)
{
    uint64_t        ns    = kill_random(run) % 40000000;
    struct timespec pause = {0, (long)ns};
    int             state;

    while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
        continue;
    kill(child, SIGKILL);
    return waitpid(child, &state, 0) == child && WIFSIGNALED(state);
}

static bool kill_round(kill_run *run)
{
    unsigned told;
    int      tell[2];
    pid_t    child;
    bool     killed;

    if (pipe(tell) != 0)
        return false;
    child = fork();
    if (child < 0)
        return false;
    if (child == 0) {
        close(tell[0]);
        kill_build_on(run->path, run->last + 1, tell[1]);
    }
    close(tell[1]);
    killed = kill_after(run, child);
    while (read(tell[0], &told, sizeof told) == sizeof told)
        run->last = told;
    close(tell[0]);
    return killed;
}

static void kill_report(kill_run *run, bool fine, const char *what, const char *why)
{
    run->failed += !fine;
    printf("%sok %u - %s\n", fine ? "" : "not ", ++run->tests, what);
    if (!fine)
        printf("# %s\n", why);
}

/* What a killed build left: the last generation that was told, or the next. */
static bool kill_look(kill_run *run, const char **why_out)
{
    akv_open_options opt        = AKV_OPEN_OPTIONS_INIT;
    unsigned         generation = 0;
    bool             fine;
    akv             *db;

    opt.flags = AKV_OPEN_READ_ONLY;
    if (akv_open(KILL_ENGINE, run->path, &opt, &db) != AKV_OK) {
        *why_out = akv_last_error()->text;
        return run->last == 0 && akv_last_error()->os_errno == ENOENT; /* none was finished yet */
    }
    fine = kill_is_whole(db, &generation, why_out);
    (void)akv_close(db);
    if (fine && generation != run->last && generation != run->last + 1) {
        *why_out = "a generation that was told to be finished is gone";
        fine     = false;
    }
    if (fine)
        run->last = generation; /* it may have been finished but not yet told */
    return fine;
}

static unsigned kill_files(const kill_run *run)
{
    DIR           *folder = opendir(run->folder);
    struct dirent *entry;
    unsigned       n = 0;

    while (folder && (entry = readdir(folder)))
        n += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return n;
}

static void kill_clear(const kill_run *run)
{
    DIR           *folder = opendir(run->folder);
    struct dirent *entry;
    char           path[900];

    while (folder && (entry = readdir(folder))) {
        snprintf(path, sizeof path, "%s/%s", run->folder, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlink(path);
    }
    if (folder)
        closedir(folder);
    rmdir(run->folder);
}

static void kill_rounds(kill_run *run)
{
    unsigned    rounds = KILL_ROUNDS * kill_number("ANYKV_SCALE", 1), most = 0;
    const char *why  = "the child could not be started, or failed by itself";
    bool        fine = true;

    for (unsigned i = 0; i < rounds && fine; i++) {
        unsigned files;

        fine  = kill_round(run) && kill_look(run, &why);
        files = kill_files(run);
        most  = files > most ? files : most;
    }
    kill_report(run, fine, "a killed build leaves the old file or the new one, whole", why);
    printf("# %u kills, %u generations built, at most %u files lay there\n", rounds, run->last,
           most);
    kill_report(run, most <= 2, "each build clears away what a killed one left",
                "leftovers have piled up");
    fine = kill_build(run->path, run->last + 1) == AKV_OK;
    kill_report(run, fine, "building goes on after the last kill", akv_last_error()->text);
    kill_report(run, kill_files(run) == 1, "and only the store's file is there",
                "a temporary file is left");
    fine = kill_look(run, &why);
    kill_report(run, fine, "whole", why);
}

int main(void)
{
    kill_run    run  = {.random = kill_number("ANYKV_SEED", (unsigned)time(NULL))};
    const char *base = getenv("TMPDIR");

    printf("# seed %u\n", (unsigned)run.random);
    run.random = run.random * UINT64_C(0x9e3779b97f4a7c15) | 1;
    snprintf(run.folder, sizeof run.folder, "%s/kill_build-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(run.folder)) {
        printf("Bail out! can't make a folder like %s\n", run.folder);
        return 1;
    }
    snprintf(run.path, sizeof run.path, "%s/store.fsdb", run.folder);
    fflush(stdout);
    kill_rounds(&run);
    kill_clear(&run);
    printf("1..%u\n", run.tests);
    return run.failed ? 1 : 0;
}
