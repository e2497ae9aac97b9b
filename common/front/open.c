/* SPDX-License-Identifier: MIT
 *
 * open.c: from a caller's options to a handle, and its end.
 */
#include "common/front/front.h"

#include "common/base/buffer.h"
#include "common/base/options.h"

#include <inttypes.h>
#include <stdio.h>

#define OPEN_LINE 64u
#define OPEN_FLAGS                                                                   \
    (AKV_OPEN_READ_ONLY | AKV_OPEN_CREATE | AKV_OPEN_EXCLUSIVE | AKV_OPEN_TRUNCATE | \
     AKV_OPEN_SALVAGE)

/* What one call of akv_open works with. */
typedef struct open_request {
    akv_open_options  opt;
    const akv_engine *engine;
    const char       *path, *query;
    akv_buffer        place;    /* path's bytes when they are a URI's */
    akv_buffer        texts[2]; /* of options from URI and text */
    uint8_t           key[32];
    akv              *db;
} open_request;

/* --------------------------------------------------------------- the handle */

static void open_no_log(void *user, akv_log_level level, const char *engine, const char *text)
{
    (void)user;
    (void)level;
    (void)engine;
    (void)text;
}

/* Free what the handle holds, but not its shell. */
static void open_drop(akv *db)
{
    const akv_allocator *mem = akvi_mem(db);

    akvi_free(mem, db->cells_block, AKVI_SLOTS * sizeof(akvi_cells) + OPEN_LINE);
    akvi_free(mem, db->latency, AKVI_LATENCIES * sizeof *db->latency);
    if (db->engine_options)
        akvi_free(mem, db->engine_options, db->engine->options_size);
    akvi_strfree(mem, db->merge_name);
    akvi_mutex_destroy(&db->pins_mu);
    akvi_mutex_destroy(&db->scrub_mu);
}

static akv_status open_figures(akv *db)
{
    size_t size = AKVI_SLOTS * sizeof(akvi_cells) + OPEN_LINE;

    db->cells_block = akvi_zalloc(akvi_mem(db), size);
    db->latency     = akvi_zalloc(akvi_mem(db), AKVI_LATENCIES * sizeof *db->latency);
    if (!db->cells_block || !db->latency)
        return AKV_NOMEM;
    db->cells =
        (akvi_cells *)(((uintptr_t)db->cells_block + OPEN_LINE - 1) & ~(uintptr_t)(OPEN_LINE - 1));
    /* 0 times nothing: a count that is never reached */
    for (unsigned i = 0; db->latency_sample == 0 && i < AKVI_SLOTS; i++) {
        atomic_init(&db->cells[i].at[AKVI_CELL_GETS_NEXT], UINT64_MAX);
        atomic_init(&db->cells[i].at[AKVI_CELL_WRITES_NEXT], UINT64_MAX);
        atomic_init(&db->cells[i].at[AKVI_CELL_SEEKS_NEXT], UINT64_MAX);
    }
    return AKV_OK;
}

static akv *open_shell(const open_request *r)
{
    const akv_open_options *opt = &r->opt;
    akv                    *db  = akvi_zalloc(NULL, sizeof *db);

    if (!db)
        return NULL;
    db->engine    = r->engine;
    db->get       = r->engine->get;
    db->max_key   = r->engine->max_key;
    db->max_value = r->engine->max_value;
    db->flags     = opt->flags;
    db->env       = opt->env;
    db->allocator = *akvi_allocator(opt->allocator);
    db->logger    = (akv_logger){open_no_log, NULL, AKV_LOG_ERROR};
    if (opt->logger && opt->logger->log)
        db->logger = *opt->logger;
    if (opt->merge)
        db->merge_own = *opt->merge;
    db->merge = (akv_merge_operator){NULL, akvi_merge_guarded, &db->merge_own};
    akvi_budget_init(&db->budget, &db->allocator, opt->memory_budget);
    akvi_mutex_init(&db->pins_mu, AKVI_RANK_PIN);
    akvi_mutex_init(&db->scrub_mu, AKVI_RANK_SCRUB);
    return db;
}

/* The operator outlives the call, so its name has to. */
static akv_status open_merge(open_request *r)
{
    akv *db = r->db;

    if (!r->opt.merge)
        return AKV_OK;
    db->merge_name = akvi_strdup(akvi_mem(db), r->opt.merge->name);
    db->merge.name = db->merge_own.name = db->merge_name;
    return db->merge_name ? AKV_OK : AKV_NOMEM;
}

static void open_args_fill(const open_request *r, const uint8_t *key)
{
    const akv_open_options *opt = &r->opt;
    akv                    *db  = r->db;

    db->args = (akv_open_args){
        .size           = sizeof db->args,
        .path           = r->path,
        .flags          = opt->flags,
        .sync           = opt->sync == AKV_SYNC_DEFAULT ? AKV_SYNC_PERIODIC : opt->sync,
        .sync_period_ms = opt->sync_period_ms,
        .threads        = opt->threads,
        .memory_budget  = opt->memory_budget,
        .allocator      = akvi_mem(db),
        .env            = db->env,
        .key            = key,
        .merge          = opt->merge ? &db->merge : NULL,
        .engine_options = db->engine_options,
        .logger         = &db->logger,
    };
}

/* ---------------------------------------------------------------- its options */

static akv_status open_copy_options(open_request *r, const akv_open_options *opt)
{
    const akv_open_options defaults = AKV_OPEN_OPTIONS_INIT;
    akv_status             status   = AKV_OK;

    r->opt = defaults;
    if (opt)
        status = akvi_options_copy(&r->opt, sizeof r->opt, opt, "akv_open_options");
    r->opt.env = r->opt.env ? r->opt.env : akv_env_posix();
    return status;
}

static akv_status open_check(const open_request *r)
{
    const akv_open_options *opt    = &r->opt;
    uint32_t                flags  = opt->flags;
    akv_status              status = akvi_options_check(akvi_open_table, akvi_open_table_n, opt);

    if (status != AKV_OK)
        return status;
    if (flags & ~OPEN_FLAGS || opt->reserved != 0)
        return AKV_FAIL(AKV_MISUSE, "akv_open_options: flags has unknown bits (0x%x)", flags);
    if (flags & AKV_OPEN_EXCLUSIVE && !(flags & AKV_OPEN_CREATE))
        return AKV_FAIL(AKV_MISUSE, "AKV_OPEN_EXCLUSIVE goes with AKV_OPEN_CREATE");
    if (flags & AKV_OPEN_READ_ONLY && flags & (AKV_OPEN_CREATE | AKV_OPEN_TRUNCATE))
        return AKV_FAIL(AKV_MISUSE,
                        "AKV_OPEN_READ_ONLY excludes AKV_OPEN_CREATE and AKV_OPEN_TRUNCATE");
    if ((opt->required | opt->required_native) & ~AKV_CAP_ALL)
        return AKV_FAIL(AKV_MISUSE, "akv_open_options: unknown capabilities are required");
    if (opt->merge && (!opt->merge->merge || !opt->merge->name))
        return AKV_FAIL(AKV_MISUSE, "the merge operator has no name or no function");
    if (opt->key && !(r->engine->caps & AKV_CAP_ENCRYPTION))
        return AKV_FAIL(AKV_UNSUPPORTED, "a key was given, but the %s engine can't encrypt",
                        r->engine->name);
    return AKV_OK;
}

/* One "name=value": the engine's options first, then the common ones. */
static akv_status open_set_option(void *user, const char *name, const char *value)
{
    open_request     *r = user;
    const akv_engine *e = r->engine;

    if (akvi_options_find(e->options, e->options_n, name))
        return akvi_options_set(e->options, e->options_n, r->db->engine_options, name, value);
    if (akvi_options_find(akvi_open_table, akvi_open_table_n, name))
        return akvi_options_set(akvi_open_table, akvi_open_table_n, &r->opt, name, value);
    return AKV_FAIL(AKV_MISUSE,
                    "neither the %s engine nor the library has an option '%.60s': see "
                    "akv_options_table or 'anykv options %s'",
                    e->name, name, e->name);
}

static akv_status open_text_options(open_request *r)
{
    akv_status status = AKV_OK;

    if (r->query)
        status = akvi_options_split(r->query, '&', &r->texts[0], open_set_option, r);
    if (status == AKV_OK && r->opt.text)
        status = akvi_options_split(r->opt.text, ',', &r->texts[1], open_set_option, r);
    return status;
}

static akv_status open_engine_options(open_request *r)
{
    const akv_engine         *e     = r->engine;
    const akv_engine_options *given = r->opt.engine_options;
    akv_engine_options       *own;
    akv_status                status = AKV_OK;

    if (given && (!given->engine || strcmp(given->engine, e->name) != 0))
        return AKV_FAIL(AKV_MISUSE, "engine_options are those of '%.40s', not of the %s engine",
                        given->engine ? given->engine : "no engine", e->name);
    if (given && !e->options)
        return AKV_FAIL(AKV_MISUSE, "the %s engine has no options of its own", e->name);
    if (!e->options)
        return AKV_OK;
    own = r->db->engine_options = akvi_zalloc(akvi_mem(r->db), e->options_size);
    if (!own)
        return AKV_NOMEM;
    akvi_options_defaults(e->options, e->options_n, own);
    if (given)
        status = akvi_options_copy(own, e->options_size, given, "engine_options");
    own->size   = e->options_size;
    own->engine = e->name;
    return status;
}

/* ------------------------------------------------------- required capabilities */

static akv_status open_require(const open_request *r, uint64_t native, const char *what)
{
    uint64_t emulated = akvi_caps_emulable(native);
    uint64_t lacking  = r->opt.required & ~(native | emulated);
    uint64_t plain    = native & ~r->engine->caps_emulated;
    char     text[AKVI_CAPS_TEXT];

    lacking |= r->opt.required_native & ~(native | emulated);
    if (lacking)
        return AKV_FAIL(AKV_UNSUPPORTED, "%s lacks what the caller requires: %s", what,
                        akvi_caps_text(text, lacking));
    if (r->opt.required_native & ~plain)
        return AKV_FAIL(AKV_UNSUPPORTED,
                        "%s has by emulation only what the caller requires natively: %s", what,
                        akvi_caps_text(text, r->opt.required_native & ~plain));
    return AKV_OK;
}

/* What a handle with these capabilities can natively do in its life. */
static uint64_t open_reach(const open_request *r, uint64_t caps)
{
    if (caps & AKV_CAP_BUILD)
        caps |= r->engine->caps & AKVI_CAPS_FINISHED;
    if (r->opt.flags & AKV_OPEN_READ_ONLY)
        caps &= ~AKVI_CAPS_MUTATE;
    return caps;
}

/* Before the engine is asked, so that nothing is made that would not do. */
static akv_status open_require_engine(const open_request *r)
{
    char what[64];

    snprintf(what, sizeof what, "the %s engine%s", r->engine->name,
             r->opt.flags & AKV_OPEN_READ_ONLY ? ", opened for reading only," : "");
    return open_require(r, open_reach(r, r->engine->caps), what);
}

static akv_status open_require_handle(const open_request *r)
{
    char what[64];

    snprintf(what, sizeof what, "this %s store, as it was opened,", r->engine->name);
    return open_require(r, open_reach(r, r->db->caps_open), what);
}

/* --------------------------------------------------------------------- opening */

static akv_status open_engine(open_request *r)
{
    akv       *db     = r->db;
    uint64_t   caps   = r->engine->caps;
    akv_status status = AKV_OK;

    if (r->opt.key)
        status = akvi_key_read(r->opt.key, r->key);
    if (status != AKV_OK)
        return status;
    open_args_fill(r, r->opt.key ? r->key : NULL);
    status = r->engine->open(&db->args, &db->impl, &caps);
    /* these last for the call only */
    db->args.path = NULL;
    db->args.key  = NULL;
    if (status != AKV_OK)
        return status;
    db->caps_open = caps & r->engine->caps;
    status        = open_require_handle(r);
    if (status != AKV_OK) {
        if ((db->caps_open & AKV_CAP_BUILD) && r->engine->building(db->impl))
            (void)r->engine->abort(db->impl);
        (void)r->engine->close(db->impl);
        return status;
    }
    atomic_store_explicit(&db->tag, atomic_load(&akvi_live_tag), memory_order_relaxed);
    akvi_caps_refresh(db);
    return AKV_OK;
}

static akv_status open_handle(open_request *r)
{
    akv_status status;

    r->db = open_shell(r);
    if (!r->db)
        return AKV_NOMEM;
    status = open_engine_options(r);
    if (status == AKV_OK)
        status = open_text_options(r);
    if (status == AKV_OK && r->engine->options)
        status =
            akvi_options_check(r->engine->options, r->engine->options_n, r->db->engine_options);
    if (status == AKV_OK)
        status = open_check(r);
    if (status == AKV_OK)
        status = open_require_engine(r);
    if (status == AKV_OK) {
        r->db->latency_sample = r->opt.latency_sample;
        r->db->budget.limit   = r->opt.memory_budget;
        status                = open_figures(r->db);
    }
    if (status == AKV_OK)
        status = open_merge(r);
    if (status == AKV_OK)
        status = open_engine(r);
    if (status == AKV_OK)
        return AKV_OK;
    open_drop(r->db);
    akvi_free(NULL, r->db, sizeof *r->db);
    return status;
}

akv_status akv_open(const char *engine, const char *path, const akv_open_options *opt, akv **db_out)
{
    open_request r = {.engine = NULL};
    akv_status   status;

    akvi_call_begin();
    if (!db_out)
        return akvi_call_end(akvi_null(__func__, "db_out"), "");
    *db_out = NULL;
    akvi_watch_forks();
    status = open_copy_options(&r, opt);
    if (status == AKV_OK)
        status = akvi_locate(engine, path, r.opt.env, &r.place, &r.engine, &r.path, &r.query);
    if (status == AKV_OK)
        status = open_handle(&r);
    akvi_wipe(r.key, sizeof r.key);
    akv_buffer_free(&r.place);
    akv_buffer_free(&r.texts[0]);
    akv_buffer_free(&r.texts[1]);
    if (status != AKV_OK)
        return akvi_call_end(status, r.engine ? r.engine->name : "");
    *db_out = r.db;
    return AKV_OK;
}

/* --------------------------------------------------------------------- closing */

static size_t close_list(char *text, size_t cap, size_t used, uint64_t n, const char *one,
                         const char *many)
{
    int len;

    if (n == 0 || used >= cap)
        return used;
    len = snprintf(text + used, cap - used, "%s%" PRIu64 " %s", used ? ", " : "", n,
                   n == 1 ? one : many);
    return used + (len > 0 ? (size_t)len : 0);
}

static akv_status close_check(akv *db)
{
    static const char *const names[AKVI_KINDS][2] = {
        [AKVI_KIND_ITER]     = {"iterator", "iterators"},
        [AKVI_KIND_SNAPSHOT] = {"snapshot", "snapshots"},
        [AKVI_KIND_BATCH]    = {"batch", "batches"},
        [AKVI_KIND_TXN]      = {"transaction", "transactions"},
        [AKVI_KIND_STREAM]   = {"stream", "streams"},
        [AKVI_KIND_CHANGES]  = {"change feed", "change feeds"},
        [AKVI_KIND_KEYSPACE] = {"key space", "key spaces"},
    };
    char   text[300];
    size_t used = 0;

    used = close_list(text, sizeof text, used, akvi_live_values(db), "value", "values");
    for (int kind = 0; kind < AKVI_KINDS; kind++)
        used = close_list(text, sizeof text, used,
                          atomic_load_explicit(&db->live[kind], memory_order_acquire),
                          names[kind][0], names[kind][1]);
    if ((akvi_caps(db) & AKV_CAP_BUILD) && db->engine->building(db->impl))
        used = close_list(text, sizeof text, used, 1, "unfinished build (akv_finish or akv_abort)",
                          "");
    return used ? AKV_FAIL(AKV_BUSY, "still in use: %s", text) : AKV_OK;
}

akv_status akv_close(akv *db)
{
    akv_status status;

    if (!db)
        return AKV_OK;
    status = akvi_enter(db, __func__);
    if (status != AKV_OK)
        return status;
    status = akvi_scrub_elsewhere(db);
    if (status == AKV_OK)
        status = close_check(db);
    if (status != AKV_OK)
        return akvi_leave(db, status);
    akvi_scrub_stop(db);
    atomic_store_explicit(&db->tag, AKVI_TAG_CLOSED, memory_order_relaxed);
    atomic_store_explicit(&db->read_tag, AKVI_TAG_CLOSED, memory_order_relaxed);
    status = db->engine->close(db->impl);
    status = akvi_call_end(status, db->engine->name);
    open_drop(db);
    akvi_quarantine(db);
    return status;
}
