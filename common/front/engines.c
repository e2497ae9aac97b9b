/* SPDX-License-Identifier: MIT
 *
 * engines.c: the engines of this process, built in and registered, and the
 * checks that a table must pass.
 *
 * Entries are only added, so readers take no lock: the count is published
 * after the entry.
 */
#include "common/front/front.h"

#include "common/base/bytes.h"

#include <stdio.h>

#define ENGINES_MAX 64u

static akvi_mutex        engines_mu = AKVI_MUTEX_INIT(AKVI_RANK_ENGINES);
static const akv_engine *engines_added[ENGINES_MAX];
static _Atomic size_t    engines_added_n;

const akv_engine *akvi_engine_get(size_t i)
{
    size_t built_in = 0;

    while (akvi_builtin_engines[built_in])
        built_in++;
    if (i < built_in)
        return akvi_builtin_engines[i];
    i -= built_in;
    return i < atomic_load_explicit(&engines_added_n, memory_order_acquire) ? engines_added[i]
                                                                            : NULL;
}

const char *akv_engine_at(size_t i)
{
    const akv_engine *engine = akvi_engine_get(i);

    return engine ? engine->name : NULL;
}

const akv_engine *akvi_engine_find(const char *name, size_t len)
{
    const akv_engine *engine;

    for (size_t i = 0; (engine = akvi_engine_get(i)); i++)
        if (akvi_equal(engine->name, strlen(engine->name), name, len))
            return engine;
    return NULL;
}

const char *akvi_engines_text(char text[AKVI_ENGINES_TEXT])
{
    const akv_engine *engine;
    size_t            used = 0;

    text[0] = '\0';
    for (size_t i = 0; (engine = akvi_engine_get(i)) && used < AKVI_ENGINES_TEXT; i++)
        used += (size_t)snprintf(text + used, AKVI_ENGINES_TEXT - used, "%s%s", i ? ", " : "",
                                 engine->name);
    return text;
}

akv_status akvi_engine_unknown(const char *name)
{
    char text[AKVI_ENGINES_TEXT];

    return AKV_FAIL(AKV_UNSUPPORTED, "this build has no engine '%.40s'; it has: %s", name,
                    akvi_engines_text(text));
}

/* ------------------------------------------------------------------- checks */

/* A capability and what it asks of the table. */
typedef struct engines_rule {
    uint64_t    bit;
    uint64_t    with;               /* capabilities it builds upon */
    bool        has_slots, has_any; /* all of its own slots; at least one */
    const char *slots;
} engines_rule;

#define ENGINES_RULES 15

static void engines_rules(const akv_engine *e, engines_rule out[ENGINES_RULES])
{
    const uint64_t     txn = AKV_CAP_SNAPSHOT | AKV_CAP_BATCH | AKV_CAP_CONDITION | AKV_CAP_VERSION;
    const engines_rule rules[ENGINES_RULES] = {
        {AKV_CAP_READ, 0, e->get && e->iter_new && e->iter_move && e->iter_free,
         e->get || e->iter_new || e->iter_move || e->iter_free || e->exists || e->get_many ||
             e->count || e->approximate_size || e->release,
         "get, iter_new, iter_move, iter_free"},
        {AKV_CAP_BUILD, 0, e->finish && e->abort && e->building && e->write,
         e->finish || e->abort || e->building, "finish, abort, building, write"},
        {AKV_CAP_SNAPSHOT, AKV_CAP_READ, e->snapshot_new && e->snapshot_free,
         e->snapshot_new || e->snapshot_free, "snapshot_new, snapshot_free"},
        {AKV_CAP_CHECKPOINT, 0, e->checkpoint, e->checkpoint, "checkpoint"},
        {AKV_CAP_KEYSPACES, 0,
         e->keyspace_open && e->keyspace_close && e->keyspace_drop && e->keyspace_list,
         e->keyspace_open || e->keyspace_close || e->keyspace_drop || e->keyspace_list,
         "keyspace_open, keyspace_close, keyspace_drop, keyspace_list"},
        {AKV_CAP_STREAM_WRITE, AKV_CAP_WRITE,
         e->stream_create && e->stream_write && e->stream_commit && e->stream_abort,
         e->stream_create || e->stream_write || e->stream_commit || e->stream_abort,
         "stream_create, stream_write, stream_commit, stream_abort"},
        {AKV_CAP_CHANGES, 0,
         e->changes_open && e->changes_next && e->changes_token && e->changes_close,
         e->changes_open || e->changes_next || e->changes_token || e->changes_close,
         "changes_open, changes_next, changes_token, changes_close"},
        {AKV_CAP_STREAM_READ, AKV_CAP_READ,
         (e->stream_open && e->stream_read && e->stream_close) ||
             (!e->stream_open && !e->stream_read && !e->stream_close),
         e->stream_open || e->stream_read || e->stream_close,
         "stream_open, stream_read, stream_close (or none of them)"},
        {AKV_CAP_ORDERED, AKV_CAP_READ, true, false, ""},
        {AKV_CAP_BATCH, AKV_CAP_WRITE, true, false, ""},
        {AKV_CAP_CONDITION, AKV_CAP_WRITE, true, false, ""},
        {AKV_CAP_DELETE_RANGE, AKV_CAP_WRITE, true, false, ""},
        {AKV_CAP_MERGE, AKV_CAP_WRITE, true, false, ""},
        {AKV_CAP_TTL, AKV_CAP_WRITE, true, false, ""},
        {AKV_CAP_TXN, txn, true, false, ""},
    };

    memcpy(out, rules, sizeof rules);
}

static akv_status engines_check_slots(const akv_engine *e)
{
    engines_rule rules[ENGINES_RULES];
    char         text[AKVI_CAPS_TEXT];
    bool         writes = (e->caps & (AKV_CAP_WRITE | AKV_CAP_BUILD)) != 0;

    if (!e->open || !e->close)
        return AKV_FAIL(AKV_MISUSE, "engine %s lacks the slot open or close", e->name);
    if (writes != (e->write != NULL) || writes != (e->sync != NULL))
        return AKV_FAIL(AKV_MISUSE,
                        "engine %s: write and sync go with the capabilities write or build",
                        e->name);
    engines_rules(e, rules);
    for (size_t i = 0; i < ENGINES_RULES; i++) {
        const engines_rule *r    = &rules[i];
        const char         *name = akv_capability_name(r->bit);

        if (!(e->caps & r->bit)) {
            if (r->has_any)
                return AKV_FAIL(AKV_MISUSE, "engine %s has slots of '%s' but does not claim it",
                                e->name, name);
            continue;
        }
        if (!r->has_slots)
            return AKV_FAIL(AKV_MISUSE, "engine %s claims '%s' but lacks one of its slots: %s",
                            e->name, name, r->slots);
        if ((e->caps & r->with) != r->with)
            return AKV_FAIL(AKV_MISUSE, "engine %s claims '%s' without what it builds upon: %s",
                            e->name, name, akvi_caps_text(text, r->with & ~e->caps));
    }
    return AKV_OK;
}

static akv_status engines_check_form(const akv_engine *e)
{
    const uint8_t *bytes = (const uint8_t *)e;

    if (e->abi != AKV_ENGINE_ABI || e->size < sizeof *e)
        return AKV_FAIL(AKV_VERSION,
                        "the engine was built for ABI %u with a table of %u bytes; this library "
                        "has ABI %u and %zu bytes: build it with this library's engine.h",
                        e->abi, e->size, AKV_ENGINE_ABI, sizeof *e);
    for (size_t i = sizeof *e; i < e->size; i++)
        if (bytes[i] != 0)
            return AKV_FAIL(AKV_VERSION, "the engine uses slots that this library does not know");
    return AKV_OK;
}

akv_status akvi_engine_check(const akv_engine *e)
{
    akv_status status = engines_check_form(e);
    size_t     len    = 0;

    if (status != AKV_OK)
        return status;
    while (e->name && e->name[len] >= 'a' && e->name[len] <= 'z')
        len++;
    if (len == 0 || len > 15 || e->name[len] != '\0')
        return AKV_FAIL(AKV_MISUSE, "an engine's name is 1 to 15 lower-case letters, not '%.40s'",
                        e->name ? e->name : "");
    if (!e->description)
        return AKV_FAIL(AKV_MISUSE, "engine %s has no description", e->name);
    if (e->caps & ~AKV_CAP_ALL)
        return AKV_FAIL(AKV_MISUSE, "engine %s claims capabilities that this library does not know",
                        e->name);
    if (e->caps_emulated & ~e->caps)
        return AKV_FAIL(AKV_MISUSE, "engine %s emulates capabilities that it does not claim",
                        e->name);
    if ((e->options != NULL) != (e->options_n != 0) ||
        (e->options && e->options_size < sizeof(akv_engine_options)))
        return AKV_FAIL(AKV_MISUSE,
                        "engine %s: options, options_n and options_size go together, and the "
                        "struct begins with akv_engine_options",
                        e->name);
    return engines_check_slots(e);
}

static akv_status engines_add(const akv_engine *engine)
{
    size_t n = atomic_load_explicit(&engines_added_n, memory_order_relaxed);

    if (akvi_engine_find(engine->name, strlen(engine->name)))
        return AKV_FAIL(AKV_MISUSE, "there is an engine '%s' already", engine->name);
    if (n == ENGINES_MAX)
        return AKV_FAIL(AKV_TOO_BIG, "%u engines are registered, the most there can be",
                        ENGINES_MAX);
    engines_added[n] = engine;
    atomic_store_explicit(&engines_added_n, n + 1, memory_order_release);
    return AKV_OK;
}

void akvi_engines_lock(void)
{
    akvi_mutex_lock(&engines_mu);
}

void akvi_engines_unlock(void)
{
    akvi_mutex_unlock(&engines_mu);
}

akv_status akv_register(const akv_engine *engine)
{
    akv_status status;

    akvi_call_begin();
    akvi_watch_forks();
    status = engine ? akvi_engine_check(engine) : akvi_null(__func__, "engine");
    if (status == AKV_OK) {
        akvi_mutex_lock(&engines_mu);
        status = engines_add(engine);
        akvi_mutex_unlock(&engines_mu);
    }
    return akvi_call_end(status, "");
}

/* ------------------------------------------------------------------ options */

static const char *const engines_sync_words[] = {"default", "always", "periodic", "never", NULL};

const akv_option akvi_open_table[] = {
    {"sync", AKV_OPTION_CHOICE, offsetof(akv_open_options, sync), 0, 0, AKV_SYNC_PERIODIC, NULL,
     engines_sync_words, "what survives a loss of power"},
    {"sync_period", AKV_OPTION_MS, offsetof(akv_open_options, sync_period_ms), 1, 3600000, 100,
     NULL, NULL, "with sync=periodic: the most that a loss of power may take"},
    {"threads", AKV_OPTION_I32, offsetof(akv_open_options, threads), 0, 1024, 1, NULL, NULL,
     "background threads at most; 0: none, the program calls akv_work"},
    {"memory_budget", AKV_OPTION_BYTES, offsetof(akv_open_options, memory_budget), 0, UINT64_MAX, 0,
     NULL, NULL, "memory that the store may hold at once; 0: no bound"},
    {"latency_sample", AKV_OPTION_U32, offsetof(akv_open_options, latency_sample), 0, UINT32_MAX,
     256, NULL, NULL, "one call in this many is timed; 0: none"},
};
const size_t akvi_open_table_n = AKVI_ARRAY_N(akvi_open_table);

akv_status akv_options_table(const char *engine, const akv_option **table_out, size_t *n_out)
{
    const akv_engine *found;

    akvi_call_begin();
    if (!table_out || !n_out)
        return akvi_call_end(akvi_null(__func__, table_out ? "n_out" : "table_out"), "");
    *table_out = akvi_open_table;
    *n_out     = akvi_open_table_n;
    if (!engine)
        return AKV_OK;
    found      = akvi_engine_find(engine, strlen(engine));
    *table_out = found ? found->options : NULL;
    *n_out     = found ? found->options_n : 0;
    return akvi_call_end(found ? AKV_OK : akvi_engine_unknown(engine), "");
}
