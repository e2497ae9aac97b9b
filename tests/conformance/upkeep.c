/* SPDX-License-Identifier: MIT
 *
 * upkeep.c: cases of looking after a store: checkpoint, verify, compact,
 * stats; and of files that were damaged.
 */
#include "tests/conformance/suite.h"

#include <anykv/doc.h>

#include <stdio.h>
#include <stdlib.h>

/* An engine may lack the slot, but then says so. */
static bool upkeep_has(akvc_run *r, akv_status status)
{
    if (status == AKV_UNSUPPORTED)
        return false;
    WANT(r, AKV_OK, status);
    return true;
}

/* --------------------------------------------------------------- checkpoint */

static void upkeep_checkpoint(akvc_run *r)
{
    akv             *db = akvc_filled(r, "a=1 b= =0 c=333"), *copy;
    char             path[600], there[600];
    akv_open_options opt = akvc_options(r);

    snprintf(there, sizeof there, "%s", r->path);
    snprintf(path, sizeof path, "%s", akvc_new_path(r));
    OK(r, akv_checkpoint(db, path, NULL));
    if (r->caps & AKV_CAP_WRITE)
        OK(r, akv_put(db, akv_str("a"), akv_str("later"), NULL));
    opt.flags = AKV_OPEN_READ_ONLY;
    OK(r, akv_open(r->engine, path, &opt, &copy));
    HOLDS(r, copy, NULL, "=0 a=1 b= c=333");
    akvc_close(r, copy);
    opt.flags = 0;
    OK(r, akv_open(r->engine, path, &opt, &copy));
    HOLDS(r, copy, NULL, "=0 a=1 b= c=333");
    if (r->caps & AKV_CAP_WRITE) {
        OK(r, akv_put(copy, akv_str("d"), akv_str("of the copy"), NULL));
        HOLDS(r, db, NULL, "=0 a=later b= c=333");
    }
    akvc_close(r, copy);
    WANT(r, AKV_MISUSE, akv_checkpoint(db, NULL, NULL));
    CHECK(r, akv_checkpoint(db, path, NULL) < 0); /* it is there already */
    OK(r, akv_open(r->engine, path, &opt, &copy));
    HAS(r, copy, NULL, "c", "333");
    akvc_close(r, copy);
    akvc_close(r, db);
}

static void upkeep_checkpoint_of_all(akvc_run *r)
{
    akv              *db    = akvc_filled(r, "a=1"), *copy;
    akv_open_options  opt   = akvc_options(r);
    akv_write_options write = AKV_WRITE_OPTIONS_INIT;
    akv_read_options  read  = AKV_READ_OPTIONS_INIT;
    akv_keyspace     *space;
    akv_value         one, two;

    if (r->caps & AKV_CAP_ENCODING)
        write.encoding = AKV_ENCODING_JSON;
    if (r->caps & AKV_CAP_TTL)
        write.ttl_ms = 10000000;
    OK(r, akv_put(db, akv_str("b"), akv_str("2"), &write));
    OK(r, akv_keyspace_open(db, "x", AKV_KEYSPACE_CREATE, &space));
    write.keyspace = space;
    OK(r, akv_put(db, akv_str("a"), akv_str("of x"), &write));
    akv_keyspace_close(space);
    OK(r, akv_checkpoint(db, akvc_new_path(r), NULL));
    opt.flags = 0;
    OK(r, akv_open(r->engine, r->path, &opt, &copy));
    HOLDS(r, copy, NULL, "a=1 b=2");
    OK(r, akv_get(db, akv_str("b"), NULL, &one));
    OK(r, akv_get(copy, akv_str("b"), NULL, &two));
    CHECK(r, one.expiry_ms == two.expiry_ms && one.encoding == two.encoding);
    akv_value_release(&one);
    akv_value_release(&two);
    OK(r, akv_keyspace_open(copy, "x", 0, &space));
    read.keyspace = space;
    HOLDS(r, copy, &read, "a=of x");
    akv_keyspace_close(space);
    akvc_close(r, copy);
    akvc_close(r, db);
}

/* --------------------------------------------------------------- long work */

typedef struct upkeep_progress {
    uint64_t calls, last, total;
    bool     backwards;
    int      answer;
} upkeep_progress;

static int upkeep_told(void *user, uint64_t done, uint64_t total, const char *unit)
{
    upkeep_progress *p = user;

    p->backwards |= done < p->last || !unit;
    p->last  = done;
    p->total = total;
    p->calls++;
    return p->answer;
}

static akv *upkeep_big(akvc_run *r)
{
    static char value[1000];
    akv        *db = akvc_new(r);
    char        key[16];

    memset(value, 'v', sizeof value);
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "%06u", i);
        OK(r, akv_put(db, akv_str(key), akv_bytes(value, sizeof value - i % 100), NULL));
    }
    akvc_fill(r, db, NULL, 0);
    return db;
}

static void upkeep_verify(akvc_run *r)
{
    akv            *db  = upkeep_big(r);
    upkeep_progress p   = {0, 0, 0, false, 0};
    akv_job_options job = AKV_JOB_OPTIONS_INIT;

    job.progress = upkeep_told;
    job.user     = &p;
    if (upkeep_has(r, akv_verify(db, NULL))) {
        OK(r, akv_verify(db, &job));
        CHECK(r, !p.backwards);
        CHECK(r, p.total == 0 || p.last <= p.total);
        if (p.calls) {
            p = (upkeep_progress){0, 0, 0, false, 1};
            WANT(r, AKV_CANCELLED, akv_verify(db, &job));
        }
        OK(r, akv_verify(db, NULL));
    }
    akvc_close(r, db);
}

static void upkeep_compact(akvc_run *r)
{
    akv     *db = upkeep_big(r);
    uint64_t before, after;
    char     key[16];

    for (unsigned i = 0; i < 2000; i += 3) {
        snprintf(key, sizeof key, "%06u", i);
        OK(r, akv_delete(db, akv_str(key), NULL));
    }
    OK(r, akv_count(db, NULL, &before));
    OK(r, akv_compact(db, NULL));
    OK(r, akv_count(db, NULL, &after));
    CHECK(r, before == 1333 && after == 1333);
    LACKS(r, db, NULL, "000003");
    OK(r, akv_exists(db, akv_str("000004"), NULL));
    akvc_close(r, db);
}

static void upkeep_work(akvc_run *r)
{
    akv_open_options opt = akvc_options(r);
    akv_status       status;
    akv             *db;
    unsigned         rounds = 0;

    opt.threads = 0;
    OK(r, akv_open(r->engine, akvc_new_path(r), &opt, &db));
    OK(r, akv_put(db, akv_str("a"), akv_str("1"), NULL));
    akvc_fill(r, db, NULL, 0);
    while ((status = akv_work(db)) == AKV_OK && rounds < 1000)
        rounds++;
    WANT(r, AKV_END, status);
    HOLDS(r, db, NULL, "a=1");
    akvc_close(r, db);
}

static void upkeep_scrub(akvc_run *r)
{
    akv       *db     = akvc_filled(r, "a=1");
    akv_status status = akv_scrub_start(db, 1, NULL);

    if (upkeep_has(r, status)) {
        HAS(r, db, NULL, "a", "1");
        OK(r, akv_scrub_stop(db));
        OK(r, akv_scrub_start(db, 3600, NULL)); /* closing stops it too */
    }
    akvc_close(r, db);
}

/* -------------------------------------------------------------------- stats */

static uint64_t upkeep_figure(akvc_run *r, akv *db, const char *name)
{
    akv_stats      *stats;
    const akv_stat *stat;
    uint64_t        value;

    OK(r, akv_stats_get(db, &stats));
    stat = akv_stats_find(stats, name);
    if (!stat)
        akvc_fail(r, __FILE__, __LINE__, "there is no figure '%s'", name);
    value = stat->kind == AKV_STAT_HISTOGRAM ? stat->histogram.count : stat->u64;
    akv_stats_free(stats);
    return value;
}

static void upkeep_stats_count(akvc_run *r)
{
    akv      *db    = akvc_filled(r, "a=1 b=2");
    uint64_t  gets  = upkeep_figure(r, db, "gets");
    uint64_t  hits  = upkeep_figure(r, db, "get_hits");
    akv_value value = AKV_VALUE_INIT;
    akv_iter *iter;

    CHECK(r, upkeep_figure(r, db, "puts") == 2);
    CHECK(r, upkeep_figure(r, db, "writes") == 2);
    OK(r, akv_get(db, akv_str("a"), NULL, &value));
    CHECK(r, upkeep_figure(r, db, "live_values") == 1);
    akv_value_release(&value);
    WANT(r, AKV_ABSENT, akv_get(db, akv_str("x"), NULL, &value));
    CHECK(r, upkeep_figure(r, db, "gets") == gets + 2);
    CHECK(r, upkeep_figure(r, db, "get_hits") == hits + 1);
    CHECK(r, upkeep_figure(r, db, "live_values") == 0);
    OK(r, akv_scan(db, NULL, &iter));
    CHECK(r, upkeep_figure(r, db, "live_iterators") == 1);
    akv_iter_free(iter);
    CHECK(r, upkeep_figure(r, db, "live_iterators") == 0);
    CHECK(r, upkeep_figure(r, db, "scans") == 1);
    CHECK(r, upkeep_figure(r, db, "memory_peak") >= upkeep_figure(r, db, "memory_used"));
    upkeep_figure(r, db, "get_latency");
    upkeep_figure(r, db, "write_latency");
    akvc_close(r, db);
}

static void upkeep_stats_snapshots(akvc_run *r)
{
    akv          *db = akvc_filled(r, "a=1");
    akv_snapshot *snapshot;

    CHECK(r, upkeep_figure(r, db, "live_snapshots") == 0);
    OK(r, akv_snapshot_new(db, &snapshot));
    CHECK(r, upkeep_figure(r, db, "live_snapshots") == 1);
    akvc_pass(r, r->moves_clock ? 5000 : 30);
    CHECK(r, upkeep_figure(r, db, "oldest_snapshot") >= (r->moves_clock ? 5000 : 25));
    akv_snapshot_free(snapshot);
    CHECK(r, upkeep_figure(r, db, "oldest_snapshot") == 0);
    akvc_close(r, db);
}

static void upkeep_stats_formats(akvc_run *r)
{
    akv            *db  = akvc_filled(r, "a=1");
    akv_buffer      out = AKV_BUFFER_INIT;
    akv_stats      *stats;
    const akv_stat *stat;
    size_t          n;

    OK(r, akv_stats_get(db, &stats));
    akvc_close(r, db); /* a list outlives its handle */
    n = akv_stats_count(stats);
    CHECK(r, n > 0 && akv_stats_at(stats, n) == NULL);
    CHECK(r, akv_stats_find(stats, "no such figure") == NULL);
    for (size_t i = 0; i < n; i++) {
        stat = akv_stats_at(stats, i);
        CHECK(r, stat->name && stat->unit && stat->help && stat->help[0]);
        CHECK(r, strspn(stat->name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(stat->name));
        CHECK(r, akv_stats_find(stats, stat->name) == stat); /* names are unique */
    }
    stat = akv_stats_find(stats, "engine");
    CHECK(r, stat && stat->kind == AKV_STAT_TEXT && strcmp(stat->text, r->engine) == 0);
    OK(r, akv_stats_format(stats, AKV_FORMAT_JSON, &out));
    OK(r, akv_json_check(akv_bytes(out.data, out.len), NULL));
    OK(r, akv_stats_format(stats, AKV_FORMAT_OPENMETRICS, &out));
    CHECK(r, out.len > 6 && memcmp((char *)out.data + out.len - 6, "# EOF\n", 6) == 0);
    OK(r, akv_stats_format(stats, AKV_FORMAT_TEXT, &out));
    CHECK(r, out.len > 0);
    akv_buffer_free(&out);
    akv_stats_free(stats);
    akv_stats_free(NULL);
}

/* ------------------------------------------------------------------- damage */

typedef struct upkeep_file {
    uint8_t *bytes;
    size_t   len;
} upkeep_file;

/* The store's file, or no bytes when the store is a folder. */
static upkeep_file upkeep_read_file(akvc_run *r, const char *path)
{
    upkeep_file   f = {NULL, 0};
    akv_file_info info;
    akv_file     *file;
    size_t        got;

    OK(r, r->env->ops->info(r->env, path, &info));
    if (info.kind != AKV_KIND_FILE)
        return f;
    f.len   = (size_t)info.size;
    f.bytes = malloc(f.len + 1);
    CHECK(r, f.bytes);
    OK(r, r->env->ops->open(r->env, path, 0, &file));
    OK(r, file->ops->read_at(file, f.bytes, f.len, 0, &got));
    OK(r, file->ops->close(file));
    CHECK(r, got == f.len);
    return f;
}

static void upkeep_write_file(akvc_run *r, const char *path, const uint8_t *bytes, size_t len)
{
    akv_file *file;

    OK(r, r->env->ops->open(r->env, path, AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_TRUNCATE,
                            &file));
    OK(r, file->ops->append(file, bytes, len));
    OK(r, file->ops->close(file));
}

/* A damaged copy is refused when opened or by verify, or it reads as before. */
static void upkeep_open_damaged(akvc_run *r, const char *path, const char *pairs,
                                const char *damage, size_t at)
{
    akv_open_options opt = akvc_options(r);
    akv             *db;
    akv_status       status;

    opt.flags = AKV_OPEN_READ_ONLY;
    status    = akv_open(r->engine, path, &opt, &db);
    if (status != AKV_OK) {
        CHECK(r, status < 0);
        return;
    }
    status = akv_verify(db, NULL);
    if (status == AKV_OK && strcmp(akvc_contents(r, db, NULL), pairs) != 0)
        akvc_fail(r, __FILE__, __LINE__, "%s %zu: it opens, verifies, and holds \"%.200s\"", damage,
                  at, (const char *)r->text.data);
    CHECK(r, status == AKV_OK || status == AKV_CORRUPT || status == AKV_VERSION ||
                 status == AKV_UNSUPPORTED);
    akvc_close(r, db);
}

static void upkeep_damage(akvc_run *r)
{
    static const char pairs[] = "=0 a=1 alpha=a longer value than that bc=3 d= eee=555555555";
    akv              *db      = akvc_new(r);
    upkeep_file       f;
    char              path[600];

    for (const char *at = pairs; *at;) { /* values have blanks here */
        const char *equals = strchr(at, '='), *next = strchr(equals + 1, '=');
        const char *end = equals + strlen(equals);

        if (next)
            for (end = next; end[-1] != ' '; end--)
                continue;
        OK(r, akv_put(db, akv_bytes(at, (size_t)(equals - at)),
                      akv_bytes(equals + 1, (size_t)(end - equals) - (next ? 2 : 1)), NULL));
        at = end;
    }
    akvc_fill(r, db, NULL, 0);
    HOLDS(r, db, NULL, pairs);
    akvc_close(r, db);
    f = upkeep_read_file(r, r->path);
    snprintf(path, sizeof path, "%s/damaged", r->folder);
    for (size_t i = 0; i < f.len && i < 4000; i++) {
        uint8_t flip = (uint8_t)(1u << akvc_below(&r->random, 8));

        f.bytes[i] ^= flip;
        upkeep_write_file(r, path, f.bytes, f.len);
        upkeep_open_damaged(r, path, pairs, "a bit flipped in byte", i);
        f.bytes[i] ^= flip;
    }
    for (size_t len = 0; len < f.len && len < 2000; len++) {
        upkeep_write_file(r, path, f.bytes, len);
        upkeep_open_damaged(r, path, pairs, "cut to byte", len);
    }
    free(f.bytes);
}

/* What is there after a repair was there before, and what is whole stays all. */
static void upkeep_repair(akvc_run *r)
{
    akv        *db = akvc_filled(r, "a=1 b=2 c=3");
    upkeep_file f;
    akv_status  status;
    const char *left;

    akvc_close(r, db);
    if (!upkeep_has(r, akv_repair(r->engine, r->path, r->env, NULL)))
        return;
    db = akvc_open(r, 0);
    HOLDS(r, db, NULL, "a=1 b=2 c=3");
    akvc_close(r, db);
    f = upkeep_read_file(r, r->path);
    for (size_t i = 0; i < f.len; i++) {
        f.bytes[i] ^= 0x10;
        upkeep_write_file(r, r->path, f.bytes, f.len);
        f.bytes[i] ^= 0x10;
        status = akv_repair(r->engine, r->path, r->env, NULL);
        if (status < 0) /* nothing can be kept, as it is no such store any more */
            continue;
        db = akvc_open(r, 0);
        OK(r, akv_verify(db, NULL));
        left = akvc_contents(r, db, NULL);
        for (const char *at = left; *at; at += strcspn(at, " ") + (strchr(at, ' ') != NULL))
            CHECK(r, strncmp(at, "a=1", 3) == 0 || strncmp(at, "b=2", 3) == 0 ||
                         strncmp(at, "c=3", 3) == 0);
        akvc_close(r, db);
    }
    free(f.bytes);
}

const akvc_case akvc_upkeep_cases[] = {
    {"checkpoint: a complete copy at a new path", AKV_CAP_CHECKPOINT, AKVC_NEEDS_PATH,
     upkeep_checkpoint},
    {"checkpoint: with key spaces, tags and expiry",
     AKV_CAP_CHECKPOINT | AKV_CAP_WRITE | AKV_CAP_KEYSPACES, AKVC_NEEDS_PATH,
     upkeep_checkpoint_of_all},
    {"verify: a healthy store is AKV_OK; progress may cancel", AKV_CAP_READ, 0, upkeep_verify},
    {"verify: damage is told from health, everywhere in the file", AKV_CAP_READ, AKVC_NEEDS_REOPEN,
     upkeep_damage},
    {"repair: keeps what is whole, invents nothing", AKV_CAP_READ, AKVC_NEEDS_REOPEN,
     upkeep_repair},
    {"compact: changes no answer", AKV_CAP_WRITE, 0, upkeep_compact},
    {"work: without threads, ends with AKV_END", AKV_CAP_READ, 0, upkeep_work},
    {"scrub: starts, stops, and ends with the handle", AKV_CAP_READ, 0, upkeep_scrub},
    {"stats: count what was done and what is live", AKV_CAP_READ, 0, upkeep_stats_count},
    {"stats: tell how many snapshots there are and the oldest's age", AKV_CAP_SNAPSHOT, 0,
     upkeep_stats_snapshots},
    {"stats: as valid JSON, OpenMetrics and text", AKV_CAP_READ, 0, upkeep_stats_formats},
    {NULL, 0, 0, NULL},
};
