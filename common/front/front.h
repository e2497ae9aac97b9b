/* SPDX-License-Identifier: MIT
 *
 * front.h: what the files of the front layer share: the handle behind `akv`
 * and what every public call does around its work.
 *
 * A call begins with akvi_enter, which refuses what is no open handle of this
 * process, and returns through akvi_leave, which turns a failure into the
 * thread's last error and counts it. In between a failure is only recorded.
 *
 * Invariants:
 *  1. A handle is live when its tag equals akvi_live_tag. Closing sets another
 *     tag and fork's child a new live tag, so one compare covers both.
 *  2. The shell of a closed handle is not used again until AKVI_QUARANTINE
 *     more were closed, so that a stale pointer is told, not followed.
 *  3. All memory but the shell comes from the handle's budget.
 *  4. Counters live in cells: each thread adds to those of its own slot, with
 *     the ones of akv_get on one cache line.
 */
#ifndef AKVI_FRONT_FRONT_H
#define AKVI_FRONT_FRONT_H

#include "common/base/mem.h"
#include "common/base/metrics.h"
#include "common/base/mutex.h"

#include <anykv/engine.h>

#define AKVI_LIKELY(x)   __builtin_expect(!!(x), 1)
#define AKVI_UNLIKELY(x) __builtin_expect(!!(x), 0)
/* Off the straight path: kept out of line, and its stack with it. */
#define AKVI_COLD __attribute__((noinline, cold))

#define AKVI_QUARANTINE 1024u
#define AKVI_TAG_CLOSED UINT64_C(0x64657a6f6c6328)

/* Moves or keys between two looks at a call's deadline and cancel token. */
#define AKVI_CHECK_EVERY 64u

/* ------------------------------------------------------------------ figures */

typedef enum akvi_cell {
    /* all that reads touch */
    AKVI_CELL_GETS,
    AKVI_CELL_GETS_NEXT, /* the count of gets at which one is timed */
    AKVI_CELL_GETS_NONE, /* gets that gave no value: misses and failures */
    AKVI_CELL_MISSES,
    AKVI_CELL_RELEASED, /* values that were given and are released */
    AKVI_CELL_READ_BYTES,
    AKVI_CELL_ERRORS,
    AKVI_CELL_SPARE,
    /* the rest */
    AKVI_CELL_WRITES,
    AKVI_CELL_WRITES_NEXT,
    AKVI_CELL_SEEKS,
    AKVI_CELL_SEEKS_NEXT,
    AKVI_CELL_BATCHES,
    AKVI_CELL_OPS,
    AKVI_CELL_PUTS,
    AKVI_CELL_DELETES,
    AKVI_CELL_MERGES,
    AKVI_CELL_CONFLICTS,
    AKVI_CELL_WRITE_BYTES,
    AKVI_CELL_SCANS,
    AKVI_CELL_MOVES,
    AKVI_CELLS = 32 /* whole cache lines */
} akvi_cell;

typedef struct akvi_cells {
    _Atomic uint64_t at[AKVI_CELLS];
} akvi_cells;

typedef enum akvi_latency {
    AKVI_LATENCY_GET,
    AKVI_LATENCY_WRITE,
    AKVI_LATENCY_SEEK,
    AKVI_LATENCY_SYNC,
    AKVI_LATENCIES
} akvi_latency;

/* ----------------------------------------------------------------- a handle */

/* What a caller can hold of a handle, besides values. */
typedef enum akvi_kind {
    AKVI_KIND_ITER,
    AKVI_KIND_SNAPSHOT,
    AKVI_KIND_BATCH,
    AKVI_KIND_TXN,
    AKVI_KIND_STREAM,
    AKVI_KIND_CHANGES,
    AKVI_KIND_KEYSPACE,
    AKVI_KINDS
} akvi_kind;

/* What keeps old values, listed with its age and holder. */
typedef enum akvi_pin_kind { AKVI_PIN_SNAPSHOT, AKVI_PIN_ITER, AKVI_PINS } akvi_pin_kind;

typedef struct akvi_pin {
    uint64_t         made_ns;
    uint64_t         thread;      /* that made it, by the system's number */
    struct akvi_pin *next, *prev; /* guarded by db->pins_mu */
} akvi_pin;

typedef struct akvi_scrub akvi_scrub;

struct akv {
    /* a get reads this line; fixed after open but for the first two */
    _Atomic uint64_t read_tag; /* the tag while AKV_CAP_READ is among caps, else 0 */
    _Atomic uint64_t tag;
    void            *impl;
    akv_status (*get)(void *impl, akv_slice key, const akv_read_options *opt, akv_value *value_out);
    akvi_cells       *cells; /* AKVI_SLOTS of them */
    uint64_t          max_key, max_value;
    const akv_engine *engine;

    _Atomic uint64_t caps; /* what the handle can do now */
    _Atomic uint64_t caps_emulated;

    /* fixed after open */
    uint64_t            caps_open; /* what the engine said of the handle */
    uint32_t            flags;     /* AKV_OPEN_* */
    uint32_t            latency_sample;
    akv_env            *env;
    akvi_histogram     *latency; /* AKVI_LATENCIES of them */
    void               *cells_block;
    akv_engine_options *engine_options;
    akv_allocator       allocator; /* the caller's, under the budget */
    akv_logger          logger;
    akv_merge_operator  merge;      /* as engines get it: akvi_merge_guarded, of */
    akv_merge_operator  merge_own;  /* the caller's */
    char               *merge_name; /* merge.name's bytes */
    akv_open_args       args;
    akvi_budget         budget;

    _Atomic uint64_t  live[AKVI_KINDS];
    akvi_mutex        pins_mu;
    akvi_pin         *pins[AKVI_PINS] AKVI_GUARDED_BY(pins_mu);
    akvi_mutex        scrub_mu;
    akvi_scrub *scrub AKVI_GUARDED_BY(scrub_mu);
    _Atomic uint64_t  scrub_rounds, scrub_faults;

    struct akv *next_closed; /* guarded by the quarantine's lock */
};

static inline const akv_allocator *akvi_mem(const akv *db)
{
    return &db->budget.allocator;
}

static inline uint64_t akvi_caps(const akv *db)
{
    return atomic_load_explicit(&db->caps, memory_order_relaxed);
}

static inline void akvi_live_add(akv *db, akvi_kind kind)
{
    atomic_fetch_add_explicit(&db->live[kind], 1, memory_order_relaxed);
}

static inline void akvi_live_drop(akv *db, akvi_kind kind)
{
    atomic_fetch_sub_explicit(&db->live[kind], 1, memory_order_release);
}

/* ------------------------------------------------------- begin and end a call */

extern _Atomic uint64_t akvi_live_tag;

static inline bool akvi_is_live(const akv *db)
{
    return db && atomic_load_explicit(&db->tag, memory_order_relaxed) ==
                     atomic_load_explicit(&akvi_live_tag, memory_order_relaxed);
}

/* As akvi_is_live, and AKV_CAP_READ is there. */
static inline bool akvi_is_readable(const akv *db)
{
    return db && atomic_load_explicit(&db->read_tag, memory_order_relaxed) ==
                     atomic_load_explicit(&akvi_live_tag, memory_order_relaxed);
}

/* End a call that was given no live handle, or whose record is all there is. */
akv_status               akvi_refuse_handle(const akv *db, const char *call);
akv_status               akvi_refuse_what(const char *call, const char *what);
static inline akv_status akvi_refuse_null(const char *call, const char *what)
{
    return akvi_failed(AKV_MISUSE, akvi_refuse_what(call, what));
}
/* End a failed call on a live handle. */
akv_status akvi_fail_end(akv *db, akv_status status);

static inline AKVI_MUST_USE akv_status akvi_enter(const akv *db, const char *call)
{
    akvi_call_begin();
    if (AKVI_LIKELY(akvi_is_live(db)))
        return AKV_OK;
    return akvi_failed(AKV_MISUSE, akvi_refuse_handle(db, call));
}

static inline akv_status akvi_leave(akv *db, akv_status status)
{
    return AKVI_LIKELY(status >= 0) ? status : akvi_failed(status, akvi_fail_end(db, status));
}

/* Record that a pointer the call needs is NULL. */
static inline akv_status akvi_null(const char *call, const char *what)
{
    return AKV_FAIL(AKV_MISUSE, "%s: %s is NULL", call, what);
}

/* process.c: fork's child gets a new live tag from here on. */
void akvi_watch_forks(void);
void akvi_quarantine(akv *db);

/* ------------------------------------------------------------- counting time */

static inline void akvi_count(akv *db, akvi_cell cell, uint64_t n)
{
    unsigned slot = akvi_slot();

    akvi_slot_add(&db->cells[slot].at[cell], slot, n);
}

/* Values that were borrowed and not released. */
uint64_t akvi_live_values(const akv *db);

/* Count gets that went another way than akv_get and keep no value. */
void akvi_count_gets(akv *db, uint64_t n, uint64_t hits, uint64_t misses, uint64_t bytes);

/* Count a call, and say whether it is one of those to be timed: the cell after
 * the counter's holds the count at which that is so. */
static inline bool akvi_count_call(const akv *db, akvi_cells *cells, unsigned slot,
                                   akvi_cell counter)
{
    _Atomic uint64_t *next = &cells->at[counter + 1];
    uint64_t          n    = atomic_load_explicit(&cells->at[counter], memory_order_relaxed);

    akvi_slot_add(&cells->at[counter], slot, 1);
    if (AKVI_LIKELY(n < atomic_load_explicit(next, memory_order_relaxed)))
        return false;
    atomic_store_explicit(next, n + db->latency_sample, memory_order_relaxed);
    return true;
}

static inline uint64_t akvi_clock(const akv *db)
{
    return db->env->ops->monotonic_ns(db->env);
}

static inline void akvi_timed(akv *db, akvi_latency which, uint64_t begin_ns)
{
    akvi_histogram_record(&db->latency[which], akvi_clock(db) - begin_ns);
}

/* -------------------------------------------------------------- capabilities */

#define AKVI_CAPS_MUTATE                                                               \
    (AKV_CAP_WRITE | AKV_CAP_BUILD | AKV_CAP_BATCH | AKV_CAP_CONDITION | AKV_CAP_TXN | \
     AKV_CAP_DELETE_RANGE | AKV_CAP_MERGE | AKV_CAP_STREAM_WRITE)
/* What a store under construction can't do before akv_finish. */
#define AKVI_CAPS_FINISHED                                                    \
    (AKV_CAP_READ | AKV_CAP_ORDERED | AKV_CAP_SNAPSHOT | AKV_CAP_CHECKPOINT | \
     AKV_CAP_STREAM_READ | AKV_CAP_SHARED_READ)

/* What the front layer adds to `native` by emulation. */
uint64_t akvi_caps_emulable(uint64_t native);
/* Set what the handle can do, and what of it by emulation. */
void akvi_caps_set(akv *db, uint64_t caps, uint64_t emulated);
/* The same from what the engine's handle can do and its state. */
void akvi_caps_refresh(akv *db);
/* Names of `caps`, joined by ", ", cut to fit `text`. */
#define AKVI_CAPS_TEXT 400
const char *akvi_caps_text(char text[AKVI_CAPS_TEXT], uint64_t caps);
akv_status  akvi_lacks(const akv *db, uint64_t missing);

/* AKV_UNSUPPORTED, naming what the handle lacks of `caps`. */
static inline AKVI_MUST_USE akv_status akvi_need(const akv *db, uint64_t caps)
{
    uint64_t missing = caps & ~akvi_caps(db);

    if (AKVI_LIKELY(missing == 0))
        return AKV_OK;
    return akvi_failed(AKV_UNSUPPORTED, akvi_lacks(db, missing));
}

/* Whether the front layer does this, since the engine can't on this handle. */
static inline bool akvi_emulates(const akv *db, uint64_t cap)
{
    return (atomic_load_explicit(&db->caps_emulated, memory_order_relaxed) & cap &
            ~db->caps_open) != 0;
}

/* --------------------------------------------------------- arguments, options */

AKVI_MUST_USE akv_status akvi_check_key(const akv *db, akv_slice key);
AKVI_MUST_USE akv_status akvi_check_value(const akv *db, akv_slice value);
AKVI_MUST_USE akv_status akvi_check_keyspace(const akv *db, const akv_keyspace *keyspace);

/* Full-size, checked options; `copy` is where they go when the caller's can't
 * be used in place. A passed deadline or a triggered token fails here. */
AKVI_MUST_USE akv_status akvi_read_options(const akv *db, const akv_read_options *opt,
                                           akv_read_options        *copy,
                                           const akv_read_options **opt_out);
AKVI_MUST_USE akv_status akvi_job_options(const akv_job_options *opt, akv_job_options *full_out);

/* A write on its way: options as the engine gets them, and what comes back. */
typedef struct akvi_write {
    akv_write_options opt;
    akv_write_result  result;
    akv_write_result *result_out; /* the caller's */
} akvi_write;

/* Which fields of the options a kind of operation may set. */
enum {
    AKVI_TAKES_CONDITION = 1,
    AKVI_TAKES_LIFETIME  = 2, /* ttl_ms and encoding */
    AKVI_TAKES_KEYSPACE  = 4,
    AKVI_TAKES_WRITE     = 8, /* sync, deadline, cancel, result */
    AKVI_TAKES_PUT       = 15
};

/* Copy and check the options; *opt_out has the caller's fields at full size. */
AKVI_MUST_USE akv_status akvi_write_options(const akv *db, const akv_write_options *opt,
                                            unsigned takes, akv_write_options *opt_out);
/* Begin a write from checked options: raises sync to the store's word. */
void akvi_write_begin(const akv *db, const akv_write_options *opt, akvi_write *write);
/* Make the operation that `opt` describes, checking it against the handle. */
AKVI_MUST_USE akv_status akvi_op_make(akv *db, akv_op_kind kind, akv_slice key, akv_slice value,
                                      const akv_write_options *opt, akv_op *op_out);
/* Hand operations to the engine, timed and counted. */
AKVI_MUST_USE akv_status akvi_apply(akv *db, const akv_op *ops, size_t n, akvi_write *write);
/* Give the caller the result that is due for `status`. */
void akvi_write_end(akvi_write *write, akv_status status);

/* When what lives ttl_ms from now is gone. */
uint64_t akvi_expiry(const akv *db, uint64_t ttl_ms);

/* Whether the operation's condition holds for what is stored, NULL: nothing. */
bool akvi_condition_holds(const akv_op *op, const akv_value *value);

/* emulate.c */
AKVI_MUST_USE akv_status akvi_emulate_delete_range(akv *db, const akv_op *op, akvi_write *write);
AKVI_MUST_USE akv_status akvi_emulate_merge(akv *db, const akv_op *op, akvi_write *write);
/* The function of an operator whose `user` is another operator: calls that one
 * as code of the caller, who may use the library in it, and records a failure. */
akv_status akvi_merge_guarded(void *user, akv_slice key, const akv_slice *existing,
                              akv_slice operand, akv_buffer *result_out);

/* ------------------------------------------------------------ what is borrowed */

typedef struct akvi_snapshot {
    akv_snapshot base;
    akv         *db;
    akvi_pin     pin;
} akvi_snapshot;

/* snapshot.c: without counting it as something the caller holds. */
AKVI_MUST_USE akv_status akvi_snapshot_open(akv *db, akvi_snapshot **snapshot_out);
void                     akvi_snapshot_close(akvi_snapshot *snapshot);

/* pin.c */
void akvi_pin_add(akv *db, akvi_pin_kind kind, akvi_pin *pin);
void akvi_pin_drop(akv *db, akvi_pin_kind kind, akvi_pin *pin);
/* The age of the oldest, in ns, and its thread; 0 and 0 when there is none. */
uint64_t akvi_pin_oldest(akv *db, akvi_pin_kind kind, uint64_t *thread_out);
void     akvi_pin_forget_thread(void); /* in fork's child: it has another number */

typedef struct akvi_keyspace {
    akv_keyspace base;
    akv         *db;
    char        *name;
} akvi_keyspace;

static inline akv *akvi_snapshot_db(const akv_snapshot *snapshot)
{
    return ((const akvi_snapshot *)snapshot)->db;
}

/* NULL for the default one. */
static inline const char *akvi_keyspace_name(const akv_keyspace *keyspace)
{
    return keyspace ? ((const akvi_keyspace *)keyspace)->name : NULL;
}

static inline akv *akvi_keyspace_db(const akv_keyspace *keyspace)
{
    return ((const akvi_keyspace *)keyspace)->db;
}

/* Where an iterator's entries come from: an engine's slots, or a merge of one
 * with a transaction's own writes. Rules are those of the slots. */
typedef struct akvi_source {
    void *impl;
    akv_status (*move)(void *impl, akv_move move, akv_slice key, akv_entry *entry_out);
    void (*free)(void *impl);
} akvi_source;

/* An iterator that has its range but no source yet; give it one by
 * akvi_iter_start, or free it. The range and what `opt_out` holds live as long
 * as the iterator. */
AKVI_MUST_USE akv_status akvi_iter_new(akv *db, const akv_scan_options *opt, akv_iter **iter_out);
const akv_range         *akvi_iter_range(const akv_iter *iter);
const akv_read_options  *akvi_iter_read(const akv_iter *iter);
void                     akvi_iter_start(akv_iter *iter, akvi_source source);
void                     akvi_iter_free(akv_iter *iter);

/* scrub.c: returns when no scrub runs. */
void akvi_scrub_stop(akv *db);
/* A round on this thread, if the handle has no others and one is due; or AKV_END. */
AKVI_MUST_USE akv_status akvi_scrub_work(akv *db);
/* AKV_BUSY on the thread of this handle's scrub. */
AKVI_MUST_USE akv_status akvi_scrub_elsewhere(const akv *db);

/* ------------------------------------------------------------------- engines */

/* Those of this build, NULL at the end; engines/registry.c defines it. */
extern const akv_engine *const akvi_builtin_engines[];

/* Around a fork, so that the child finds the list whole and its lock free. */
void akvi_engines_lock(void);
void akvi_engines_unlock(void);
/* The engine called so, or NULL. */
const akv_engine *akvi_engine_find(const char *name, size_t len);
const akv_engine *akvi_engine_get(size_t i); /* NULL past the last */
/* "fused, memory", cut to fit. */
#define AKVI_ENGINES_TEXT 200
const char *akvi_engines_text(char text[AKVI_ENGINES_TEXT]);
/* Whether the table is whole; AKV_MISUSE or AKV_VERSION names what is wrong. */
AKVI_MUST_USE akv_status akvi_engine_check(const akv_engine *engine);
/* AKV_UNSUPPORTED, naming those there are. */
akv_status akvi_engine_unknown(const char *name);

/* locate.c: the engine and the path that `engine` and `path` name. *path_out
 * and *query_out (what follows '?', or NULL) lie in `scratch`. */
AKVI_MUST_USE akv_status akvi_locate(const char *engine, const char *path, akv_env *env,
                                     akv_buffer *scratch, const akv_engine **engine_out,
                                     const char **path_out, const char **query_out);
/* AKV_OK or AKV_ABSENT. */
AKVI_MUST_USE akv_status akvi_detect(const char *path, akv_env *env, const akv_engine **engine_out);

/* key.c: read the 32-byte key. The caller wipes it. */
AKVI_MUST_USE akv_status akvi_key_read(const akv_key_source *source, uint8_t key_out[32]);

/* The field table of akv_open_options. */
extern const akv_option akvi_open_table[];
extern const size_t     akvi_open_table_n;

#endif
