/* SPDX-License-Identifier: MIT
 *
 * hot_reload.c: a .fsdb file replaced again and again while threads read it,
 * with a watch that swaps it in. No read may fail, wait, or see two files at
 * once; it ends with failure if one does.
 *
 *     hot_reload [--threads N] [--reloads N] [--keys N] [FILE]
 *
 * FILE is made and left there; without it, one in TMPDIR is made and removed.
 */
#include <anykv/fused.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HOT_THREADS_MAX 64

typedef struct hot_run {
    akv_fused_reloader *reloader;
    const char         *path;
    uint64_t            threads, reloads, keys;
    _Atomic bool        stop;
    _Atomic uint64_t    reads, dropped, mixed; /* look-ups; failed ones; pins that saw two files */
    _Atomic uint64_t    swaps, errors;
} hot_run;

static int hot_failed(const char *what)
{
    fprintf(stderr, "hot_reload: %s: %s\n", what, akv_last_error()->text);
    return 1;
}

/* --------------------------------------------------------------------- writing */

/* Every key leads to the release's number. */
static akv_status hot_fill(akv_fused_writer *w, uint64_t keys, uint64_t release)
{
    akv_status st = AKV_OK;
    char       text[48];
    uint32_t   id;

    snprintf(text, sizeof text, "release %" PRIu64, release);
    st = akv_fused_add_object(w, akv_str(text), &id);
    for (uint64_t i = 0; i < keys && st == AKV_OK; i++) {
        snprintf(text, sizeof text, "host-%" PRIu64 ".example", i);
        st = akv_fused_add_key(w, akv_str(text), id);
    }
    return st;
}

/* The file appears, or replaces the one that is there, in one step. */
static akv_status hot_build(const hot_run *run, uint64_t release)
{
    akv_fused_writer *w;
    akv_status        st = akv_fused_writer_new(NULL, &w);

    if (st == AKV_OK)
        st = hot_fill(w, run->keys, release);
    if (st == AKV_OK)
        st = akv_fused_build(w, run->path, NULL);
    akv_fused_writer_free(w);
    return st;
}

/* What a release that went wrong looks like. */
static int hot_spoil(const hot_run *run)
{
    char  next[4200];
    FILE *f;
    int   rc = 1;

    snprintf(next, sizeof next, "%s.next", run->path);
    f = fopen(next, "wb");
    if (f && fputs("FSDB, but cut short", f) >= 0)
        rc = 0;
    if (f && fclose(f) != 0)
        rc = 1;
    if (rc == 0)
        rc = rename(next, run->path);
    if (rc != 0)
        perror("hot_reload: can't write a bad file");
    return rc;
}

/* --------------------------------------------------------------------- reading */

/* One request: several look-ups that must agree, so one pin for them all. */
static void hot_request(hot_run *run, uint64_t *seed)
{
    akv_fused_pin pin;
    akv_slice     object, first = {NULL, 0};
    char          key[48];

    if (akv_fused_reloader_pin(run->reloader, &pin) != AKV_OK) {
        atomic_fetch_add(&run->dropped, 1);
        return;
    }
    for (unsigned i = 0; i < 8; i++) {
        *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        snprintf(key, sizeof key, "host-%" PRIu64 ".example", (*seed >> 33) % run->keys);
        if (akv_fused_get(pin.fused, akv_str(key), &object) != AKV_OK)
            atomic_fetch_add(&run->dropped, 1);
        else if (first.data &&
                 (object.len != first.len || memcmp(object.data, first.data, first.len) != 0))
            atomic_fetch_add(&run->mixed, 1);
        else
            first = object;
    }
    akv_fused_pin_release(&pin);
    atomic_fetch_add_explicit(&run->reads, 8, memory_order_relaxed);
}

static void *hot_reader(void *user)
{
    hot_run *run  = user;
    uint64_t seed = (uintptr_t)&seed;

    while (!atomic_load_explicit(&run->stop, memory_order_relaxed))
        hot_request(run, &seed);
    return NULL;
}

/* ------------------------------------------------------------------- the watch */

static void hot_on_reload(void *user, akv_fused_reloader *reloader)
{
    hot_run *run = user;

    (void)reloader;
    atomic_fetch_add(&run->swaps, 1);
}

static void hot_on_error(void *user, const akv_error *error)
{
    hot_run *run = user;

    if (atomic_fetch_add(&run->errors, 1) == 0)
        printf("refused    %s\n", error->text);
}

/* Wait until a counter passes what it was, for half a minute at most. */
static int hot_wait(const _Atomic uint64_t *count, uint64_t was, const char *what)
{
    for (int i = 0; i < 30000 && atomic_load(count) <= was; i++)
        usleep(1000);
    if (atomic_load(count) > was)
        return 0;
    fprintf(stderr, "hot_reload: %s did not come\n", what);
    return 1;
}

/* Releases one after the other; halfway a bad one, which must change nothing. */
static int hot_releases(hot_run *run)
{
    for (uint64_t i = 1; i <= run->reloads; i++) {
        uint64_t swaps = atomic_load(&run->swaps), errors = atomic_load(&run->errors);

        if (i == run->reloads / 2 + 1 &&
            (hot_spoil(run) != 0 || hot_wait(&run->errors, errors, "the error") != 0))
            return 1;
        if (hot_build(run, i) != AKV_OK)
            return hot_failed("can't build");
        if (hot_wait(&run->swaps, swaps, "the reload") != 0)
            return 1;
    }
    return 0;
}

static int hot_serve(hot_run *run)
{
    pthread_t threads[HOT_THREADS_MAX];
    uint64_t  n  = 0;
    int       rc = 0;

    while (n < run->threads && rc == 0) {
        rc = pthread_create(&threads[n], NULL, hot_reader, run);
        n += rc == 0;
    }
    if (rc == 0)
        rc = hot_releases(run);
    atomic_store(&run->stop, true);
    while (n > 0)
        pthread_join(threads[--n], NULL);
    return rc != 0;
}

static int hot_report(const hot_run *run)
{
    uint64_t dropped = atomic_load(&run->dropped), mixed = atomic_load(&run->mixed);

    printf("reads      %" PRIu64 " by %" PRIu64 " threads\n", atomic_load(&run->reads),
           run->threads);
    printf("reloads    %" PRIu64 ", the file is now generation %" PRIu64 "\n",
           atomic_load(&run->swaps), akv_fused_reloader_generation(run->reloader));
    printf("dropped    %" PRIu64 "\n", dropped);
    printf("mixed      %" PRIu64 "\n", mixed);
    return dropped > 0 || mixed > 0;
}

/* ------------------------------------------------------------------------ main */

static int hot_all(hot_run *run)
{
    akv_fused_watch_options opt = AKV_FUSED_WATCH_OPTIONS_INIT;
    akv_fused_watch        *watch;
    int                     rc;

    if (hot_build(run, 0) != AKV_OK)
        return hot_failed("can't build");
    if (akv_fused_reloader_open(run->path, NULL, &run->reloader) != AKV_OK)
        return hot_failed("can't open");
    opt.interval_ms = 100;
    opt.on_reload   = hot_on_reload;
    opt.on_error    = hot_on_error;
    opt.user        = run;
    if (akv_fused_watch_start(run->reloader, &opt, &watch) != AKV_OK) {
        rc = hot_failed("can't watch");
    } else {
        rc = hot_serve(run);
        if (akv_fused_watch_stop(watch) != AKV_OK)
            rc = hot_failed("can't stop the watch");
        rc |= hot_report(run);
    }
    if (akv_fused_reloader_close(run->reloader) != AKV_OK)
        rc = hot_failed("can't close");
    return rc;
}

static int hot_usage(void)
{
    fprintf(stderr, "usage: hot_reload [--threads 1..64] [--reloads N] [--keys N] [FILE]\n");
    return 2;
}

int main(int argc, char **argv)
{
    hot_run     run = {.threads = 4, .reloads = 20, .keys = 1000};
    const char *tmp = getenv("TMPDIR");
    char        scratch[4096], path[4096 + 16];
    int         i, rc;

    for (i = 1; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        uint64_t n = strtoull(argv[i + 1], NULL, 10);

        if (strcmp(argv[i], "--threads") == 0)
            run.threads = n;
        else if (strcmp(argv[i], "--reloads") == 0)
            run.reloads = n;
        else if (strcmp(argv[i], "--keys") == 0)
            run.keys = n;
        else
            return hot_usage();
    }
    if (i + 1 < argc || (i < argc && argv[i][0] == '-') || run.threads == 0 ||
        run.threads > HOT_THREADS_MAX || run.keys == 0)
        return hot_usage();
    run.path = i < argc ? argv[i] : path;
    if (i < argc)
        return hot_all(&run);

    snprintf(scratch, sizeof scratch, "%s/hot_reload-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(scratch)) {
        fprintf(stderr, "hot_reload: can't make a folder in %s\n", tmp ? tmp : "/tmp");
        return 1;
    }
    snprintf(path, sizeof path, "%s/hot.fsdb", scratch);
    rc = hot_all(&run);
    unlink(path);
    rmdir(scratch);
    return rc;
}
