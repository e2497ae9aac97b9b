/* SPDX-License-Identifier: MIT
 *
 * stress_lsm.c: an lsm store whose writer is killed again and again holds all
 * that was acknowledged, and of the batch under way all or nothing.
 *
 * A child writes one batch after the other into a store with tiny memtables
 * and levels, so that flushes, compactions, new logs and new manifests run all
 * the time; every batch also puts its own number. The parent kills it with
 * SIGKILL at a random moment, opens what is there, and compares every key with
 * what the batches up to that number come to. Batches follow from the seed and
 * their number alone, so both sides know them.
 *
 * ANYKV_SEED plays the batches and moments again; ANYKV_SCALE multiplies the
 * rounds (40 by default, a few seconds): 1000 runs for hours.
 */
#include <anykv/lsm.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STRESS_KEYS   600u
#define STRESS_ROUNDS 40u
#define STRESS_OPS    8u
#define STRESS_VALUE  1500u
#define STRESS_SYNCS  3u

static const char *const stress_options[] = {
    "write_buffer=64KiB,table_size=64KiB,level_base=128KiB,level_ratio=4,block_size=1KiB",
    "write_buffer=64KiB,table_size=64KiB,level_base=64KiB,level_ratio=2,threads=0",
    "write_buffer=256KiB,table_size=128KiB,level_base=256KiB,mapped=true",
};

typedef struct stress_run {
    char               folder[512], path[600];
    uint64_t           seed, random;
    uint64_t           done;               /* the last batch known to be in the store */
    uint64_t           model[STRESS_KEYS]; /* the batch that put the key; 0: not there */
    volatile uint64_t *acked;              /* shared with the child */
    unsigned           tests, failed;
} stress_run;

static uint64_t stress_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t stress_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* ------------------------------------------------------------------- batches */

typedef enum stress_kind { STRESS_PUT, STRESS_DELETE, STRESS_RANGE } stress_kind;

typedef struct stress_op {
    stress_kind kind;
    unsigned    key, end;
} stress_op;

/* The operations of batch `number`. */
static unsigned stress_batch(const stress_run *run, uint64_t number, stress_op ops[STRESS_OPS])
{
    uint64_t state = run->seed ^ (number * UINT64_C(0xd6e8feb86659fd93));
    unsigned n     = 1 + (unsigned)(stress_next(&state) % STRESS_OPS);

    for (unsigned i = 0; i < n; i++) {
        uint64_t dice = stress_next(&state) % 100;

        ops[i].kind = dice < 80 ? STRESS_PUT : dice < 98 ? STRESS_DELETE : STRESS_RANGE;
        ops[i].key  = (unsigned)(stress_next(&state) % STRESS_KEYS);
        ops[i].end  = ops[i].key + (unsigned)(stress_next(&state) % 30);
        if (ops[i].end > STRESS_KEYS)
            ops[i].end = STRESS_KEYS;
    }
    return n;
}

static akv_slice stress_key(unsigned key, char text[16])
{
    return akv_bytes(text, (size_t)snprintf(text, 16, "key%05u", key));
}

static akv_slice stress_value(uint64_t number, unsigned key, char *buf)
{
    uint64_t state = number * 1000003 + key;
    size_t   len   = (size_t)(stress_next(&state) % STRESS_VALUE);

    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = stress_next(&state);

        memcpy(buf + i, &word, 8);
    }
    return akv_bytes(buf, len);
}

static void stress_apply(stress_run *run, uint64_t number)
{
    stress_op ops[STRESS_OPS];
    unsigned  n = stress_batch(run, number, ops);

    for (unsigned i = 0; i < n; i++) {
        if (ops[i].kind == STRESS_RANGE)
            for (unsigned k = ops[i].key; k < ops[i].end; k++)
                run->model[k] = 0;
        else
            run->model[ops[i].key] = ops[i].kind == STRESS_PUT ? number : 0;
    }
}

/* --------------------------------------------------------------- the child */

static akv_status stress_write(const stress_run *run, akv *db, uint64_t number)
{
    static char       values[STRESS_OPS][STRESS_VALUE + 8];
    char              key[16], end[16];
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    stress_op         ops[STRESS_OPS];
    unsigned          n = stress_batch(run, number, ops);
    akv_batch        *batch;
    akv_status        st = akv_batch_new(db, &batch);

    for (unsigned i = 0; i < n && st == AKV_OK; i++) {
        akv_slice at = stress_key(ops[i].key, key);

        if (ops[i].kind == STRESS_PUT)
            st = akv_batch_put(batch, at, stress_value(number, ops[i].key, values[i]), NULL);
        else if (ops[i].kind == STRESS_DELETE)
            st = akv_batch_delete(batch, at, NULL);
        else if (ops[i].end > ops[i].key)
            st = akv_batch_delete_range(batch, at, stress_key(ops[i].end, end), NULL);
    }
    if (st == AKV_OK)
        st = akv_batch_put(batch, akv_str("#"), akv_bytes(&number, sizeof number), NULL);
    opt.sync = number % 50 == 0 ? AKV_SYNC_ALWAYS : AKV_SYNC_DEFAULT;
    if (st == AKV_OK)
        st = akv_write(db, batch, &opt);
    akv_batch_free(batch);
    return st;
}

/* Never returns. */
static void stress_child(const stress_run *run, unsigned round)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db;
    akv_status       st;

    opt.flags = AKV_OPEN_CREATE;
    opt.sync  = 1 + round % STRESS_SYNCS;
    opt.text  = stress_options[round % (sizeof stress_options / sizeof *stress_options)];
    st        = akv_open("lsm", run->path, &opt, &db);
    for (uint64_t number = run->done + 1; st == AKV_OK; number++) {
        st = stress_write(run, db, number);
        if (st == AKV_OK)
            *run->acked = number;
        if (st == AKV_OK && number % 701 == 0)
            st = akv_compact(db, NULL);
        if (st == AKV_OK && number % 1500 == 0 && (st = akv_close(db)) == AKV_OK)
            st = akv_open("lsm", run->path, &opt, &db);
    }
    fprintf(stderr, "# child: %s\n", akv_last_error()->text);
    _exit(2);
}

/* -------------------------------------------------------------- the parent */

static void stress_kill(stress_run *run, pid_t child)
{
    struct timespec pause = {0, (long)(stress_next(&run->random) % 60000000)};
    struct timespec nap   = {0, 1000000};

    /* Mostly after it has begun to write: opening takes its time. */
    for (int i = 0; i < 2000 && stress_next(&run->random) % 8 && *run->acked == run->done; i++)
        nanosleep(&nap, NULL);
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
        continue;
    kill(child, SIGKILL);
}

static bool stress_same(akv_slice got, uint64_t number, unsigned key)
{
    char      buf[STRESS_VALUE + 8];
    akv_slice want = stress_value(number, key, buf);

    return got.len == want.len && memcmp(got.data, want.data, want.len) == 0;
}

/* By scanning and by looking up. NULL: all is as it should be. */
static const char *stress_compare(const stress_run *run, akv *db)
{
    static char      why[200];
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
    akv_iter        *it;
    unsigned         at  = 0;
    const char      *bad = NULL;
    char             key[16];

    opt.prefix = akv_str("key");
    if (akv_scan(db, &opt, &it) != AKV_OK)
        return akv_last_error()->text;
    for (; !bad && akv_iter_next(it) == AKV_OK; at++) {
        while (at < STRESS_KEYS && run->model[at] == 0)
            at++;
        if (at == STRESS_KEYS || strncmp(akv_iter_key(it).data, stress_key(at, key).data, 8) != 0)
            bad = "a scan shows a key that is not there, or misses one";
        else if (!stress_same(akv_iter_value(it), run->model[at], at))
            bad = "a scan shows another value";
    }
    while (at < STRESS_KEYS && run->model[at] == 0)
        at++;
    if (!bad && at < STRESS_KEYS)
        bad = "a scan ends too early";
    akv_iter_free(it);
    for (unsigned k = 0; !bad && k < STRESS_KEYS; k++) {
        akv_value  value = AKV_VALUE_INIT;
        akv_status st    = akv_get(db, stress_key(k, key), NULL, &value);

        if (st != (run->model[k] ? AKV_OK : AKV_ABSENT) ||
            (st == AKV_OK && !stress_same(akv_bytes(value.data, value.len), run->model[k], k)))
            bad = "a get answers something else";
        akv_value_release(&value);
        if (bad)
            at = k;
    }
    if (!bad)
        return NULL;
    snprintf(why, sizeof why, "%s (key %u, batch %llu)", bad, at, (unsigned long long)run->done);
    return why;
}

/* Open what the kill left, and see that it is what it must be. */
static const char *stress_look(stress_run *run)
{
    akv_open_options opt    = AKV_OPEN_OPTIONS_INIT;
    akv_buffer       number = AKV_BUFFER_INIT;
    uint64_t         last   = 0;
    const char      *bad    = NULL;
    akv             *db;

    opt.flags = AKV_OPEN_CREATE;
    if (akv_open("lsm", run->path, &opt, &db) != AKV_OK)
        return akv_last_error()->text;
    if (akv_get_copy(db, akv_str("#"), NULL, &number) == AKV_OK && number.len == sizeof last)
        memcpy(&last, number.data, sizeof last);
    akv_buffer_free(&number);
    if (last < *run->acked || last > *run->acked + 1)
        bad = "an acknowledged batch is missing, or one is there that was never written";
    while (run->done < last)
        stress_apply(run, ++run->done);
    if (!bad)
        bad = stress_compare(run, db);
    if (!bad && akv_verify(db, NULL) != AKV_OK)
        bad = akv_last_error()->text;
    if (akv_close(db) != AKV_OK && !bad)
        bad = akv_last_error()->text;
    *run->acked = run->done;
    return bad;
}

static void stress_round(stress_run *run, unsigned round)
{
    const char *bad;
    int         state;
    pid_t       child = fork();

    if (child == 0)
        stress_child(run, round);
    stress_kill(run, child);
    bad = waitpid(child, &state, 0) == child && WIFSIGNALED(state) ? stress_look(run)
                                                                   : "the child ended by itself";
    run->tests++;
    run->failed += bad != NULL;
    printf("%sok %u - what a kill left after %llu batches%s%s\n", bad ? "not " : "", run->tests,
           (unsigned long long)run->done, bad ? ": " : "", bad ? bad : "");
    fflush(stdout);
}

int main(void)
{
    stress_run  run    = {.seed = stress_number("ANYKV_SEED", (uint64_t)time(NULL))};
    const char *base   = getenv("TMPDIR");
    unsigned    rounds = STRESS_ROUNDS * (unsigned)stress_number("ANYKV_SCALE", 1);
    void *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    snprintf(run.folder, sizeof run.folder, "%s/anykv-XXXXXX", base && *base ? base : "/tmp");
    if (shared == MAP_FAILED || !mkdtemp(run.folder)) {
        printf("Bail out! no memory or no folder to work in\n");
        return 1;
    }
    printf("# ANYKV_SEED=%llu\n", (unsigned long long)run.seed);
    snprintf(run.path, sizeof run.path, "%s/store", run.folder);
    run.random = run.seed;
    run.acked  = shared;
    for (unsigned round = 0; round < rounds && run.failed == 0; round++)
        stress_round(&run, round);
    printf("1..%u\n", run.tests);
    if (run.failed == 0) {
        akv_destroy("lsm", run.path, NULL);
        rmdir(run.folder);
    }
    return run.failed ? 1 : 0;
}
