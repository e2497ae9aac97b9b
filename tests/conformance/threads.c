/* SPDX-License-Identifier: MIT
 *
 * threads.c: cases of one handle used by several threads at once. Each states
 * something that must hold at every moment; run them under a thread sanitizer
 * for what can't be seen from outside.
 *
 * Threads record the first thing that is wrong; only the case's own thread
 * fails, after all have ended.
 */
#include "tests/conformance/suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS_MAX  6
#define THREADS_STEP 300 /* writes of each writer */

typedef struct threads_team {
    akv             *db;
    uint64_t         caps;
    _Atomic unsigned writing; /* writers still at it */
    _Atomic uint64_t published;
    pthread_mutex_t  mu;
    char             wrong[700]; /* guarded by mu */
} threads_team;

typedef struct threads_member {
    threads_team *team;
    unsigned      id;
    akvc_random   random;
    pthread_t     thread;
    void (*work)(struct threads_member *m);
} threads_member;

static void threads_wrong(threads_member *m, const char *what, akv_status status)
{
    threads_team *team = m->team;

    pthread_mutex_lock(&team->mu);
    if (!team->wrong[0])
        snprintf(team->wrong, sizeof team->wrong, "thread %u: %s (%s, %s)", m->id, what,
                 akv_status_name(status), status < 0 ? akv_last_error()->text : "");
    pthread_mutex_unlock(&team->mu);
}

static bool threads_ok(threads_member *m, const char *what, akv_status status)
{
    if (status != AKV_OK)
        threads_wrong(m, what, status);
    return status == AKV_OK;
}

static void *threads_main(void *user)
{
    threads_member *m = user;

    m->work(m);
    return NULL;
}

typedef void threads_work(threads_member *m);

/* Run `writers` of one kind and `readers` of the other until all are done. */
static void threads_run(akvc_run *r, akv *db, threads_work *write, unsigned writers,
                        threads_work *read, unsigned readers)
{
    threads_team   team = {.db = db, .caps = r->caps, .mu = PTHREAD_MUTEX_INITIALIZER};
    threads_member members[THREADS_MAX];

    atomic_store(&team.writing, writers);
    for (unsigned i = 0; i < writers + readers; i++) {
        members[i] = (threads_member){.team   = &team,
                                      .id     = i,
                                      .random = {akvc_next(&r->random)},
                                      .work   = i < writers ? write : read};
        if (pthread_create(&members[i].thread, NULL, threads_main, &members[i]) != 0)
            abort();
    }
    for (unsigned i = 0; i < writers + readers; i++)
        pthread_join(members[i].thread, NULL);
    pthread_mutex_destroy(&team.mu);
    if (team.wrong[0])
        akvc_fail(r, __FILE__, __LINE__, "%s", team.wrong);
}

static bool threads_go_on(const threads_member *m)
{
    return atomic_load(&m->team->writing) > 0;
}

static void threads_done_writing(threads_member *m)
{
    atomic_fetch_sub(&m->team->writing, 1);
}

/* ------------------------------------------------------------ whole batches */

/* A writer sets three keys of its own to the same number, again and again. */
static void threads_write_batches(threads_member *m)
{
    akv       *db = m->team->db;
    akv_batch *batch;
    char       key[8], value[16];

    for (unsigned i = 0; i < THREADS_STEP; i++) {
        if (!threads_ok(m, "batch_new", akv_batch_new(db, &batch)))
            break;
        snprintf(value, sizeof value, "%u", i);
        for (const char *c = "abc"; *c; c++) {
            snprintf(key, sizeof key, "%u%c", m->id, *c);
            threads_ok(m, "batch_put", akv_batch_put(batch, akv_str(key), akv_str(value), NULL));
        }
        threads_ok(m, "write", akv_write(db, batch, NULL));
        akv_batch_free(batch);
    }
    threads_done_writing(m);
}

/* All keys of a writer must have the same value, and all or none be there. */
static void threads_check_scan(threads_member *m, const akv_read_options *opt)
{
    akv_scan_options scan     = AKV_SCAN_OPTIONS_INIT;
    char             last[16] = "";
    unsigned         n        = 0;
    akv_iter        *iter;
    akv_status       status;

    if (opt)
        scan.read = *opt;
    if (!threads_ok(m, "scan", akv_scan(m->team->db, &scan, &iter)))
        return;
    while ((status = akv_iter_next(iter)) == AKV_OK) {
        akv_slice value = akv_iter_value(iter);
        char      text[16];

        snprintf(text, sizeof text, "%.*s", (int)value.len, (const char *)value.data);
        if (n++ % 3 != 0 && strcmp(text, last) != 0)
            threads_wrong(m, "a scan sees half a batch", AKV_OK);
        memcpy(last, text, sizeof last);
    }
    if (status != AKV_END || n % 3 != 0)
        threads_wrong(m, "a scan ends within a batch", status);
    akv_iter_free(iter);
}

static void threads_check_snapshot(threads_member *m)
{
    akv_read_options opt = AKV_READ_OPTIONS_INIT;
    akv_buffer       a = AKV_BUFFER_INIT, b = AKV_BUFFER_INIT;
    akv_snapshot    *snapshot;
    akv             *db = m->team->db;
    akv_status       one, two;

    if (!threads_ok(m, "snapshot_new", akv_snapshot_new(db, &snapshot)))
        return;
    opt.snapshot = snapshot;
    one          = akv_get_copy(db, akv_str("0a"), &opt, &a);
    two          = akv_get_copy(db, akv_str("0c"), &opt, &b);
    if (one != two || !akvc_equal(akv_bytes(a.data, a.len), akv_bytes(b.data, b.len)))
        threads_wrong(m, "a snapshot sees half a batch", two);
    threads_check_scan(m, &opt);
    akv_snapshot_free(snapshot);
    akv_buffer_free(&a);
    akv_buffer_free(&b);
}

static void threads_read_batches(threads_member *m)
{
    do {
        threads_check_scan(m, NULL);
        if (m->team->caps & AKV_CAP_SNAPSHOT)
            threads_check_snapshot(m);
    } while (threads_go_on(m));
}

static void threads_whole_batches(akvc_run *r)
{
    akv *db = akvc_new(r);

    threads_run(r, db, threads_write_batches, 2, threads_read_batches, 2);
    HOLDS(r, db, NULL, "0a=299 0b=299 0c=299 1a=299 1b=299 1c=299");
    akvc_close(r, db);
}

/* --------------------------------------------------------- returned writes */

static void threads_write_counter(threads_member *m)
{
    char value[16];

    for (unsigned i = 1; i <= 2 * THREADS_STEP; i++) {
        snprintf(value, sizeof value, "%u", i);
        if (!threads_ok(m, "put", akv_put(m->team->db, akv_str("n"), akv_str(value), NULL)))
            break;
        atomic_store(&m->team->published, i);
    }
    threads_done_writing(m);
}

static void threads_read_counter(threads_member *m)
{
    do {
        uint64_t   least    = atomic_load(&m->team->published);
        char       text[17] = "";
        size_t     len      = 0;
        akv_status status =
            akv_get_into(m->team->db, akv_str("n"), NULL, text, sizeof text - 1, &len);

        if (least > 0 && threads_ok(m, "get_into", status) && strtoull(text, NULL, 10) < least)
            threads_wrong(m, "a write that had returned is not seen", status);
    } while (threads_go_on(m));
}

static void threads_returned_writes(akvc_run *r)
{
    akv *db = akvc_new(r);

    threads_run(r, db, threads_write_counter, 1, threads_read_counter, 3);
    HOLDS(r, db, NULL, "n=600");
    akvc_close(r, db);
}

/* ------------------------------------------------------------ nothing is lost */

static akv_status threads_increment_if_value(akv *db)
{
    akv_write_options opt      = AKV_WRITE_OPTIONS_INIT;
    char              text[17] = "", next[16];
    size_t            len      = 0;
    akv_status        status   = akv_get_into(db, akv_str("n"), NULL, text, 16, &len);

    if (status != AKV_OK)
        return status;
    snprintf(next, sizeof next, "%llu", strtoull(text, NULL, 10) + 1);
    opt.condition = AKV_IF_VALUE;
    opt.expected  = akv_bytes(text, len);
    return akv_put(db, akv_str("n"), akv_str(next), &opt);
}

static void threads_increment(threads_member *m)
{
    for (unsigned i = 0; i < THREADS_STEP;) {
        akv_status status = threads_increment_if_value(m->team->db);

        if (status == AKV_OK)
            i++;
        else if (status != AKV_CONFLICT && !threads_ok(m, "conditional put", status))
            break;
    }
    threads_done_writing(m);
}

static void threads_increments(akvc_run *r)
{
    akv *db = akvc_filled(r, "n=0");

    threads_run(r, db, threads_increment, 3, NULL, 0);
    HOLDS(r, db, NULL, "n=900");
    akvc_close(r, db);
}

static akv_status threads_increment_by_txn(akv *db)
{
    akv_buffer got = AKV_BUFFER_INIT;
    char       next[16];
    akv_txn   *txn;
    akv_status status = akv_txn_begin(db, &txn);

    if (status != AKV_OK)
        return status;
    status = akv_txn_get(txn, akv_str("n"), NULL, &got);
    if (status == AKV_OK)
        status = akv_buffer_append(&got, "", 1);
    if (status == AKV_OK) {
        snprintf(next, sizeof next, "%llu", strtoull(got.data, NULL, 10) + 1);
        status = akv_txn_put(txn, akv_str("n"), akv_str(next), NULL);
    }
    akv_buffer_free(&got);
    if (status == AKV_OK)
        return akv_txn_commit(txn, NULL);
    akv_txn_abort(txn);
    return status;
}

static void threads_transact(threads_member *m)
{
    for (unsigned i = 0; i < THREADS_STEP;) {
        akv_status status = threads_increment_by_txn(m->team->db);

        if (status == AKV_OK)
            i++;
        else if (status != AKV_CONFLICT && !threads_ok(m, "transaction", status))
            break;
    }
    threads_done_writing(m);
}

static void threads_transactions(akvc_run *r)
{
    akv *db = akvc_filled(r, "n=0");

    threads_run(r, db, threads_transact, 3, NULL, 0);
    HOLDS(r, db, NULL, "n=900");
    akvc_close(r, db);
}

static void threads_merge(threads_member *m)
{
    for (unsigned i = 0; i < THREADS_STEP; i++)
        if (!threads_ok(m, "merge", akv_merge(m->team->db, akv_str("n"), akv_str("x"), NULL)))
            break;
    threads_done_writing(m);
}

static void threads_merges(akvc_run *r)
{
    akv   *db  = akvc_new(r);
    size_t len = 0;

    threads_run(r, db, threads_merge, 3, NULL, 0);
    WANT(r, AKV_TOO_BIG, akv_get_into(db, akv_str("n"), NULL, NULL, 0, &len));
    CHECK(r, len == 900);
    akvc_close(r, db);
}

/* -------------------------------------------------------------- only reading */

static void threads_read_all(threads_member *m)
{
    akv       *db = m->team->db;
    akv_slice  asked[8];
    akv_value  values[8];
    akv_status statuses[8];
    char       keys[8][8];
    akv_iter  *iter;

    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 8; i++) {
            snprintf(keys[i], sizeof keys[i], "%04u", (unsigned)akvc_below(&m->random, 1000));
            asked[i] = akv_str(keys[i]);
        }
        threads_ok(m, "get_many", akv_get_many(db, 8, asked, NULL, values, statuses));
        for (unsigned i = 0; i < 8; i++) {
            bool there = keys[i][3] % 2 == 0;

            if (statuses[i] != (there ? AKV_OK : AKV_ABSENT) ||
                (there && !akvc_equal(akv_bytes(values[i].data, values[i].len), asked[i])))
                threads_wrong(m, "get_many is wrong", statuses[i]);
        }
        akv_values_release(values, 8);
        if (!threads_ok(m, "scan", akv_scan(db, NULL, &iter)))
            return;
        for (unsigned i = 0; i < 20 && akv_iter_next(iter) == AKV_OK; i++)
            if (!akvc_equal(akv_iter_key(iter), akv_iter_value(iter)))
                threads_wrong(m, "a scan is wrong", AKV_OK);
        akv_iter_free(iter);
    }
}

static void threads_readers(akvc_run *r)
{
    akv *db = akvc_new(r);
    char key[8];

    for (unsigned i = 0; i < 1000; i += 2) {
        snprintf(key, sizeof key, "%04u", i);
        OK(r, akv_put(db, akv_str(key), akv_str(key), NULL));
    }
    akvc_fill(r, db, NULL, 0);
    threads_run(r, db, NULL, 0, threads_read_all, 4);
    akvc_close(r, db);
}

/* ---------------------------------------------------------- everything at once */

static void threads_write_anything(threads_member *m)
{
    akv              *db  = m->team->db;
    akv_write_options ttl = AKV_WRITE_OPTIONS_INIT;
    char              key[8];

    ttl.ttl_ms = 1 + akvc_below(&m->random, 20);
    for (unsigned i = 0; i < 2 * THREADS_STEP; i++) {
        bool lives = (m->team->caps & AKV_CAP_TTL) && i % 5 == 0;

        snprintf(key, sizeof key, "%02u", (unsigned)akvc_below(&m->random, 60));
        switch (akvc_below(&m->random, 5)) {
        case 0: threads_ok(m, "delete", akv_delete(db, akv_str(key), NULL)); break;
        case 1:
            if (m->team->caps & AKV_CAP_DELETE_RANGE && i % 40 == 0)
                threads_ok(m, "delete_range",
                           akv_delete_range(db, akv_str(key), akv_str("30"), NULL));
            break;
        case 2:
            if (i % 50 == 0)
                threads_ok(m, "compact", akv_compact(db, NULL));
            break;
        default: threads_ok(m, "put", akv_put(db, akv_str(key), akv_str(key), lives ? &ttl : NULL));
        }
    }
    threads_done_writing(m);
}

/* Whatever happens, a key's value is the key, and a view does not change. */
static void threads_read_anything(threads_member *m)
{
    akv      *db    = m->team->db;
    akv_value value = AKV_VALUE_INIT;
    char      key[8];

    do {
        akv_status status;
        akv_iter  *iter;

        snprintf(key, sizeof key, "%02u", (unsigned)akvc_below(&m->random, 60));
        status = akv_get(db, akv_str(key), NULL, &value);
        if (status != AKV_OK && status != AKV_ABSENT)
            threads_wrong(m, "get", status);
        if (!threads_ok(m, "scan", akv_scan(db, NULL, &iter)))
            return;
        while ((status = akv_iter_next(iter)) == AKV_OK)
            if (!akvc_equal(akv_iter_key(iter), akv_iter_value(iter)))
                threads_wrong(m, "a scan sees another key's value", AKV_OK);
        if (status != AKV_END)
            threads_wrong(m, "next", status);
        akv_iter_free(iter);
        /* borrowed all the while */
        if (value.db && !akvc_equal(akv_bytes(value.data, value.len), akv_str(key)))
            threads_wrong(m, "a borrowed value has changed", AKV_OK);
        akv_value_release(&value);
    } while (threads_go_on(m));
}

static void threads_anything(akvc_run *r)
{
    akv       *db = akvc_new(r);
    akv_status status;

    threads_run(r, db, threads_write_anything, 3, threads_read_anything, 2);
    if (r->caps & AKV_CAP_TTL)
        akvc_pass(r, 50);
    akvc_contents(r, db, NULL); /* agrees with the count */
    status = akv_verify(db, NULL);
    CHECK(r, status == AKV_OK || status == AKV_UNSUPPORTED);
    akvc_close(r, db);
}

/* ---------------------------------------------------------------- change feed */

static void threads_write_numbers(threads_member *m)
{
    char key[8], value[16];

    snprintf(key, sizeof key, "%u", m->id);
    for (unsigned i = 0; i < THREADS_STEP; i++) {
        snprintf(value, sizeof value, "%u", i);
        threads_ok(m, "put", akv_put(m->team->db, akv_str(key), akv_str(value), NULL));
    }
    threads_done_writing(m);
}

/* Each writer's numbers come one after the other, none missing. */
static void threads_follow(threads_member *m)
{
    unsigned     next[2] = {0, 0}, seen = 0;
    akv_changes *changes;
    bool open = threads_ok(m, "changes_open", akv_changes_open(m->team->db, akv_str(""), &changes));

    atomic_store(&m->team->published, 1);
    if (!open)
        return;
    while (seen < 2 * THREADS_STEP) {
        akv_change c;
        char       text[16];
        unsigned   who;
        akv_status status = akv_changes_next(changes, 20000, &c);

        if (!threads_ok(m, "changes_next", status))
            break;
        who = (unsigned)(*(const char *)c.key.data - '0');
        snprintf(text, sizeof text, "%u", who < 2 ? next[who]++ : 0);
        if (who >= 2 || !akvc_equal(c.value, akv_str(text)))
            threads_wrong(m, "the feed left something out", AKV_OK);
        seen++;
    }
    akv_changes_close(changes);
}

/* Writers wait until the feed is there, so that it misses nothing. */
static void threads_write_when_followed(threads_member *m)
{
    akv_env *env = akv_env_posix();

    while (atomic_load(&m->team->published) == 0)
        env->ops->sleep_ns(env, 1000000);
    threads_write_numbers(m);
}

static void threads_feed(akvc_run *r)
{
    akv *db = akvc_new(r);

    threads_run(r, db, threads_write_when_followed, 2, threads_follow, 1);
    HOLDS(r, db, NULL, "0=299 1=299");
    akvc_close(r, db);
}

const akvc_case akvc_threads_cases[] = {
    {"threads: readers share a handle", AKV_CAP_READ, 0, threads_readers},
    {"threads: batches are seen whole or not at all",
     AKV_CAP_WRITE | AKV_CAP_BATCH | AKV_CAP_ORDERED, 0, threads_whole_batches},
    {"threads: once a write has returned, every read sees it", AKV_CAP_WRITE, 0,
     threads_returned_writes},
    {"threads: conditional writes lose no increment", AKV_CAP_WRITE | AKV_CAP_CONDITION, 0,
     threads_increments},
    {"threads: transactions lose no increment", AKV_CAP_WRITE | AKV_CAP_TXN, 0,
     threads_transactions},
    {"threads: merges lose no operand", AKV_CAP_WRITE | AKV_CAP_MERGE, 0, threads_merges},
    {"threads: writers, readers, iterators and long work at once", AKV_CAP_WRITE, 0,
     threads_anything},
    {"threads: a change feed misses nothing", AKV_CAP_WRITE | AKV_CAP_CHANGES, 0, threads_feed},
    {NULL, 0, 0, NULL},
};
