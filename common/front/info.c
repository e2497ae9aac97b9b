/* SPDX-License-Identifier: MIT
 *
 * info.c: what the library and a handle say about themselves.
 */
#include "common/front/front.h"

#include "common/base/stats.h"

#include <inttypes.h>
#include <stdio.h>

/* ---------------------------------------------------------------- the library */

const char *akv_version(void)
{
    return AKV_VERSION_TEXT;
}

static char info_build[256];

static void info_make_build(void)
{
    size_t used;

    used = (size_t)snprintf(info_build, sizeof info_build,
                            "anykv %s, "
#if defined(__clang__)
                            "clang %d.%d, "
#else
                            "gcc %d.%d, "
#endif
                            "engines:",
                            AKV_VERSION_TEXT,
#if defined(__clang__)
                            __clang_major__, __clang_minor__
#else
                            __GNUC__, __GNUC_MINOR__
#endif
    );
    for (size_t i = 0; akvi_builtin_engines[i] && used < sizeof info_build; i++)
        used += (size_t)snprintf(info_build + used, sizeof info_build - used, " %s",
                                 akvi_builtin_engines[i]->name);
    if (used < sizeof info_build)
        snprintf(info_build + used, sizeof info_build - used, ", features:%s%s%s",
#ifdef AKVI_HAVE_LIBDEFLATE
                 " libdeflate",
#else
                 "",
#endif
#ifdef NDEBUG
                 "", " release"
#else
                 " assertions", ""
#endif
        );
}

const char *akv_build_info(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, info_make_build);
    return info_build;
}

/* ------------------------------------------------------------------ a handle */

const char *akv_engine_name(const akv *db)
{
    return akvi_enter(db, __func__) == AKV_OK ? db->engine->name : "";
}

void akv_limits(const akv *db, uint64_t *max_key_out, uint64_t *max_value_out)
{
    bool live = akvi_enter(db, __func__) == AKV_OK;

    if (max_key_out)
        *max_key_out = live ? db->max_key : 0;
    if (max_value_out)
        *max_value_out = live ? db->max_value : 0;
}

/* ---------------------------------------------------------------------- stats */

static uint64_t info_sum(const akv *db, akvi_cell cell)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < AKVI_SLOTS; i++)
        sum += atomic_load_explicit(&db->cells[i].at[cell], memory_order_relaxed);
    return sum;
}

static uint64_t info_hits(const akv *db)
{
    uint64_t none = info_sum(db, AKVI_CELL_GETS_NONE);
    uint64_t gets = info_sum(db, AKVI_CELL_GETS);

    return gets > none ? gets - none : 0; /* one may be seen before the other */
}

uint64_t akvi_live_values(const akv *db)
{
    /* releases first: of a value given meanwhile both or only the get is seen */
    uint64_t released = info_sum(db, AKVI_CELL_RELEASED);
    uint64_t hits     = info_hits(db);

    return hits > released ? hits - released : 0;
}

typedef struct info_counter {
    const char *name, *unit, *help;
    akvi_cell   cell;
} info_counter;

static void info_counters(const akv *db, akv_stats *stats)
{
    static const info_counter counters[] = {
        {"gets", "keys", "reads by key", AKVI_CELL_GETS},
        {"get_misses", "keys", "reads by key that found none", AKVI_CELL_MISSES},
        {"scans", "iterators", "iterators opened", AKVI_CELL_SCANS},
        {"moves", "entries", "entries that freed iterators returned", AKVI_CELL_MOVES},
        {"read_bytes", "bytes", "bytes of values released and of iterators' entries",
         AKVI_CELL_READ_BYTES},
        {"writes", "calls", "writes, a batch being one", AKVI_CELL_WRITES},
        {"batches", "calls", "batches written", AKVI_CELL_BATCHES},
        {"ops", "operations", "operations written", AKVI_CELL_OPS},
        {"puts", "operations", "puts written", AKVI_CELL_PUTS},
        {"deletes", "operations", "deletes written, a range being one", AKVI_CELL_DELETES},
        {"merges", "operations", "merges written", AKVI_CELL_MERGES},
        {"conflicts", "calls", "writes that lost to another", AKVI_CELL_CONFLICTS},
        {"write_bytes", "bytes", "bytes of keys and values written", AKVI_CELL_WRITE_BYTES},
        {"errors", "calls", "calls that failed", AKVI_CELL_ERRORS},
    };

    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        akv_stats_add(stats, AKV_STAT_COUNTER, counters[i].name, counters[i].unit,
                      info_sum(db, counters[i].cell), counters[i].help);
    akv_stats_add(stats, AKV_STAT_COUNTER, "get_hits", "keys", info_hits(db),
                  "reads by key that found one");
}

static void info_latencies(const akv *db, akv_stats *stats)
{
    static const char *const names[AKVI_LATENCIES][2] = {
        [AKVI_LATENCY_GET]   = {"get_latency", "time of a get, of a sample"},
        [AKVI_LATENCY_WRITE] = {"write_latency", "time of a write, of a sample"},
        [AKVI_LATENCY_SEEK]  = {"seek_latency", "time of an iterator's jump, of a sample"},
        [AKVI_LATENCY_SYNC]  = {"sync_latency", "time of an akv_sync"},
    };

    for (int i = 0; i < AKVI_LATENCIES; i++) {
        akv_histogram_summary summary;

        akvi_histogram_summary(&db->latency[i], &summary);
        akv_stats_add_histogram(stats, names[i][0], "ns", &summary, names[i][1]);
    }
}

static void info_live(const akv *db, akv_stats *stats)
{
    static const char *const names[AKVI_KINDS][2] = {
        [AKVI_KIND_ITER]     = {"live_iterators", "iterators not yet freed"},
        [AKVI_KIND_SNAPSHOT] = {"live_snapshots", "snapshots not yet freed"},
        [AKVI_KIND_BATCH]    = {"live_batches", "batches not yet freed"},
        [AKVI_KIND_TXN]      = {"live_transactions", "transactions not yet ended"},
        [AKVI_KIND_STREAM]   = {"live_streams", "streams not yet closed"},
        [AKVI_KIND_CHANGES]  = {"live_feeds", "change feeds not yet closed"},
        [AKVI_KIND_KEYSPACE] = {"live_keyspaces", "key spaces not yet closed"},
    };

    akv_stats_add(stats, AKV_STAT_GAUGE, "live_values", "", akvi_live_values(db),
                  "values not yet released");
    for (int i = 0; i < AKVI_KINDS; i++)
        akv_stats_add(stats, AKV_STAT_GAUGE, names[i][0], "",
                      atomic_load_explicit(&db->live[i], memory_order_relaxed), names[i][1]);
}

static void info_pins(akv *db, akv_stats *stats)
{
    static const char *const names[AKVI_PINS][4] = {
        [AKVI_PIN_SNAPSHOT] = {"oldest_snapshot",
                               "age of the oldest snapshot, a transaction's too; it pins space",
                               "oldest_snapshot_holder", "the thread that made it"},
        [AKVI_PIN_ITER]     = {"oldest_iterator", "age of the oldest iterator; it pins space",
                               "oldest_iterator_holder", "the thread that made it"},
    };

    for (int i = 0; i < AKVI_PINS; i++) {
        uint64_t thread;
        uint64_t age        = akvi_pin_oldest(db, (akvi_pin_kind)i, &thread);
        char     holder[40] = "";

        if (thread)
            snprintf(holder, sizeof holder, "thread %" PRIu64, thread);
        akv_stats_add(stats, AKV_STAT_GAUGE, names[i][0], "ms", age / 1000000u, names[i][1]);
        akv_stats_add_text(stats, names[i][2], holder, names[i][3]);
    }
}

static void info_memory(const akv *db, akv_stats *stats)
{
    const akvi_budget *b = &db->budget;

    akv_stats_add(stats, AKV_STAT_GAUGE, "memory_used", "bytes",
                  atomic_load_explicit(&b->used, memory_order_relaxed), "memory held now");
    akv_stats_add(stats, AKV_STAT_GAUGE, "memory_peak", "bytes",
                  atomic_load_explicit(&b->peak, memory_order_relaxed), "the most held at once");
    akv_stats_add(stats, AKV_STAT_GAUGE, "memory_budget", "bytes", b->limit,
                  "the most that may be held; 0: no bound");
    akv_stats_add(stats, AKV_STAT_COUNTER, "scrub_rounds", "",
                  atomic_load_explicit(&db->scrub_rounds, memory_order_relaxed),
                  "times that a background scrub has read everything");
    akv_stats_add(stats, AKV_STAT_COUNTER, "scrub_faults", "",
                  atomic_load_explicit(&db->scrub_faults, memory_order_relaxed),
                  "faults that scrubs found");
}

akv_status akv_stats_get(akv *db, akv_stats **stats_out)
{
    akv_status status = akvi_enter(db, __func__);
    akv_stats *stats  = NULL;

    if (stats_out)
        *stats_out = NULL;
    if (status != AKV_OK)
        return status;
    if (!stats_out)
        return akvi_leave(db, akvi_null(__func__, "stats_out"));
    /* the caller's memory: a list may outlive its handle */
    status = akvi_stats_new(NULL, &stats);
    if (status != AKV_OK)
        return akvi_leave(db, status);
    akv_stats_add_text(stats, "engine", db->engine->name, "the store's engine");
    info_counters(db, stats);
    info_latencies(db, stats);
    info_live(db, stats);
    info_pins(db, stats);
    info_memory(db, stats);
    if (db->engine->stats)
        db->engine->stats(db->impl, stats);
    status = akvi_stats_status(stats);
    if (status == AKV_OK)
        *stats_out = stats;
    else
        akv_stats_free(stats);
    return akvi_leave(db, status);
}
