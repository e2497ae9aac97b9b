/* SPDX-License-Identifier: MIT
 *
 * engine.h: what a storage engine is, for authors of one.
 *
 * An engine is a constant table of functions. The front layer owns the handle
 * (akv) and everything a caller can hold; the engine owns `impl`, opaque to the
 * front layer. Register a table with akv_register and it is opened by name like
 * the built-in ones. examples/own_engine.c is a whole engine in one file, and
 * anykv/conformance.h proves one.
 *
 * WHAT THE FRONT LAYER DOES, so engines don't:
 *  - checks arguments: handles, NULLs, struct sizes, unknown flags, key and
 *    value limits, capabilities the handle lacks; option pointers that reach a
 *    slot are never NULL and always full size;
 *  - turns a prefix and bounds into one half-open range, ttl into an expiry,
 *    limits and AKV_SCAN_REVERSE into plain moves;
 *  - supplies what is missing: exists, get_many, count, stream reads,
 *    delete_range and merge (those two marked emulated), transactions for an
 *    engine that has SNAPSHOT, BATCH, CONDITION and VERSION;
 *  - counts operations, times a sample of them, keeps the error record, counts
 *    live objects and refuses close while there are any.
 *
 * WHAT AN ENGINE PROMISES
 *  - Contract 1 to 7 of anykv.h. Key order is memcmp.
 *  - A failing slot calls akv_engine_fail before it returns; AKV_ABSENT,
 *    AKV_END and AKV_CONFLICT are answers and call nothing.
 *  - Slots may be called from any number of threads at once; the moves of one
 *    iterator, stream or feed from one thread at a time.
 *  - A slot for each capability bit it claims (see the slots); akv_register
 *    refuses a table whose bits and slots disagree.
 *  - Memory comes from args->allocator, which counts against the store's
 *    budget; a NULL from it is AKV_NOMEM.
 */
#ifndef ANYKV_ENGINE_H
#define ANYKV_ENGINE_H

#include <anykv/anykv.h>
#include <anykv/env.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AKV_ENGINE_ABI 1u

/* What open is given. All of it is valid until close but for `path`, `key` and
 * `engine_options`' texts, which last for the call. */
typedef struct akv_open_args {
    size_t                    size;
    const char               *path;  /* NULL when the caller gave none */
    uint32_t                  flags; /* AKV_OPEN_* */
    uint32_t                  sync;  /* akv_sync_mode, never DEFAULT */
    uint32_t                  sync_period_ms;
    int32_t                   threads;
    uint64_t                  memory_budget; /* for sizing caches; 0: no bound */
    const akv_allocator      *allocator;
    akv_env                  *env;
    const uint8_t            *key;    /* 32 bytes, or NULL */
    const akv_merge_operator *merge;  /* NULL: none */
    const void       *engine_options; /* the engine's struct, full size, NULL if it has none */
    const akv_logger *logger;         /* never NULL; log through akv_engine_log */
} akv_open_args;

typedef enum akv_op_kind {
    AKV_OP_PUT          = 1,
    AKV_OP_DELETE       = 2,
    AKV_OP_DELETE_RANGE = 3, /* [key, value); empty value: to the end */
    AKV_OP_MERGE        = 4, /* value is the operand */
    AKV_OP_EXPIRE       = 5, /* set expiry_ms; fails the write with AKV_ABSENT if not there */
    AKV_OP_CHECK        = 6  /* judge the condition only */
} akv_op_kind;

/* One operation of a write. */
typedef struct akv_op {
    akv_op_kind         kind;
    akv_condition       condition;
    akv_slice           key;
    akv_slice           value;
    akv_slice           expected;  /* AKV_IF_VALUE */
    akv_version_tag     version;   /* AKV_IF_VERSION */
    uint64_t            expiry_ms; /* Unix time; 0 never */
    uint32_t            encoding;
    const akv_keyspace *keyspace; /* NULL: default; see akv_keyspace_impl */
} akv_op;

/* Where an iterator is asked to go. Bounds hold for all moves. */
typedef enum akv_move {
    AKV_MOVE_FIRST         = 0,
    AKV_MOVE_LAST          = 1,
    AKV_MOVE_NEXT          = 2, /* only from an entry */
    AKV_MOVE_PREV          = 3, /* only from an entry */
    AKV_MOVE_SEEK          = 4, /* least key >= key */
    AKV_MOVE_SEEK_FOR_PREV = 5  /* greatest key <= key */
} akv_move;

/* What an iterator is on, borrowed until its next move. */
typedef struct akv_entry {
    akv_slice key;
    akv_value value; /* pin stays NULL: the iterator holds the bytes */
} akv_entry;

/* The range of a scan: lower <= key, and key < upper when has_upper. The
 * bounds' bytes outlive the iterator. */
typedef struct akv_range {
    akv_slice lower;
    akv_slice upper;
    bool      has_upper;
    bool      keys_only;
} akv_range;

/* What the front layer's objects show to engines. */
struct akv_snapshot {
    void *impl;
};
struct akv_keyspace {
    void *impl;
};
static inline void *akv_snapshot_impl(const akv_snapshot *s)
{
    return s ? s->impl : NULL;
}
static inline void *akv_keyspace_impl(const akv_keyspace *k)
{
    return k ? k->impl : NULL;
}

struct akv_engine {
    uint32_t          abi;                /* AKV_ENGINE_ABI */
    uint32_t          size;               /* sizeof(akv_engine) */
    const char       *name;               /* lower-case letters, 1..15 */
    const char       *description;        /* one line */
    uint64_t          caps;               /* at most; open says what the handle has */
    uint64_t          caps_emulated;      /* of those, what the engine itself emulates */
    uint64_t          max_key, max_value; /* bytes */
    const akv_option *options; /* NULL: none; else the struct begins with akv_engine_options */
    size_t            options_n, options_size;

    /* AKV_OK when the files at `path` are this engine's, AKV_ABSENT when not.
     * Cheap: a name or a magic number. (optional) */
    akv_status (*detect)(akv_env *env, const char *path);
    /* *caps_out is preset to `caps` and may be cut. */
    akv_status (*open)(const akv_open_args *args, void **impl_out, uint64_t *caps_out);
    /* Nothing of the handle is live. Frees impl whatever it answers. */
    akv_status (*close)(void *impl);
    /* AKV_CAP_BUILD. After either nothing more is written; finish makes the
     * handle readable, abort leaves one that can only be closed. */
    akv_status (*finish)(void *impl, const akv_job_options *opt);
    akv_status (*abort)(void *impl);
    /* 1 while a build is neither finished nor aborted. (with finish) */
    bool (*building)(void *impl);

    /* AKV_CAP_READ: get and release when values are pinned. *value_out is
     * empty at entry; set data and len, and version, expiry, encoding, pin as
     * it applies. Expired keys are absent. */
    akv_status (*get)(void *impl, akv_slice key, const akv_read_options *opt, akv_value *value_out);
    void (*release)(void *impl, akv_value *value); /* only values with a pin */
    akv_status (*exists)(void *impl, akv_slice key, const akv_read_options *opt); /* (optional) */
    akv_status (*get_many)(void *impl, size_t n, const akv_slice *keys, const akv_read_options *opt,
                           akv_value *values_out, akv_status *statuses_out); /* (optional) */
    akv_status (*count)(void *impl, const akv_read_options *opt,
                        uint64_t *count_out); /* (optional) */
    akv_status (*approximate_size)(void *impl, const akv_range *range, const akv_read_options *opt,
                                   uint64_t *bytes_out); /* (optional) */

    /* AKV_CAP_READ. The iterator sees the store as of now, or of the snapshot.
     * It may keep `range`, not `opt`. `move` fills all of *entry_out on AKV_OK;
     * one that fails leaves the iterator where it was, for another try. An
     * unordered engine is only asked for FIRST and NEXT. */
    akv_status (*iter_new)(void *impl, const akv_range *range, const akv_read_options *opt,
                           void **iter_out);
    akv_status (*iter_move)(void *iter, akv_move move, akv_slice key, akv_entry *entry_out);
    void (*iter_free)(void *iter);

    /* AKV_CAP_WRITE or BUILD: apply n operations. Without AKV_CAP_BATCH n is 1.
     * With it: all or none, and conditions judge the store as it was before.
     * On AKV_CONFLICT set result_out->conflict_index. result_out is never
     * NULL here and zeroed. opt gives sync, deadline and cancel only. */
    akv_status (*write)(void *impl, const akv_op *ops, size_t n, const akv_write_options *opt,
                        akv_write_result *result_out);
    akv_status (*sync)(void *impl); /* with write */

    /* AKV_CAP_SNAPSHOT */
    akv_status (*snapshot_new)(void *impl, void **snapshot_out);
    void (*snapshot_free)(void *impl, void *snapshot);

    /* AKV_CAP_KEYSPACES */
    akv_status (*keyspace_open)(void *impl, const char *name, uint32_t flags, void **keyspace_out);
    void (*keyspace_close)(void *impl, void *keyspace);
    akv_status (*keyspace_drop)(void *impl, const char *name);
    akv_status (*keyspace_list)(void *impl, int (*each)(void *user, const char *name), void *user);

    /* AKV_CAP_STREAM_READ; without these slots the front layer reads the value
     * by get. (optional) */
    akv_status (*stream_open)(void *impl, akv_slice key, const akv_read_options *opt,
                              void **stream_out, uint64_t *len_out);
    akv_status (*stream_read)(void *stream, uint64_t offset, void *buf, size_t cap,
                              size_t *len_out);
    void (*stream_close)(void *stream);
    /* AKV_CAP_STREAM_WRITE. `op` is a PUT whose value is empty; its bytes last
     * until commit or abort, each of which frees the stream. */
    akv_status (*stream_create)(void *impl, const akv_op *op, bool append,
                                const akv_write_options *opt, void **stream_out);
    akv_status (*stream_write)(void *stream, const void *data, size_t len);
    akv_status (*stream_commit)(void *stream, akv_write_result *result_out);
    void (*stream_abort)(void *stream);

    /* AKV_CAP_CHANGES */
    akv_status (*changes_open)(void *impl, akv_slice token, void **changes_out);
    akv_status (*changes_next)(void *changes, uint64_t wait_ms, akv_change *change_out);
    akv_status (*changes_token)(void *changes, akv_buffer *token_out);
    void (*changes_close)(void *changes);

    /* Maintenance; missing ones answer AKV_UNSUPPORTED, but for compact and
     * work, where there is then nothing to do. Long ones call akv_job_step. */
    akv_status (*compact)(void *impl, const akv_job_options *opt);
    akv_status (*verify)(void *impl, const akv_job_options *opt);
    akv_status (*checkpoint)(void *impl, const char *path, const akv_job_options *opt);
    akv_status (*work)(void *impl);
    void (*stats)(void *impl, akv_stats *stats); /* by the akv_stats_add_ calls */
    akv_status (*destroy)(akv_env *env, const char *path);
    akv_status (*repair)(akv_env *env, const char *path, const akv_job_options *opt);
    /* Requests that only this engine knows; AKV_UNSUPPORTED for the rest. */
    akv_status (*control)(void *impl, const char *op, const void *in, void *out);
    /* ABI 1 ends here; new slots go below this line. */
};

/* Fill the error record of the running call and return `code`; the first cause
 * in a call wins. `file` may be NULL; `os_errno` 0 and AKV_NO_OFFSET when they
 * do not apply. The text says what was tried, why it failed, what to do; file,
 * offset and the system's reason are added to it. */
AKV_API akv_status akv_engine_fail(akv_status code, int os_errno, const char *file, uint64_t offset,
                                   const char *fmt, ...) AKV_PRINTF(5, 6);

/* Forget what the running call has recorded so far, after recovering from it. */
AKV_API void akv_engine_recovered(void);

/* Log a line if the logger wants that level. */
AKV_API void akv_engine_log(const akv_logger *logger, akv_log_level level, const char *engine,
                            const char *fmt, ...) AKV_PRINTF(4, 5);

/* AKV_OK to go on, or AKV_TIMEOUT or AKV_CANCELLED with the record filled.
 * Costs a clock call when there is a deadline. */
AKV_API akv_status akv_interrupted(uint64_t deadline_ns, const akv_cancel *cancel);

/* A step of long work on `bytes` more bytes: checks for interruption, tells
 * progress, and sleeps to keep the rate. Begin with akv_job_begin. */
typedef struct akv_job {
    const akv_job_options *opt;
    akv_env               *env;
    const char            *unit;
    uint64_t               done, total, begin_ns, bytes;
} akv_job;
AKV_API void akv_job_begin(akv_job *job, const akv_job_options *opt, akv_env *env, uint64_t total,
                           const char *unit);
AKV_API akv_status akv_job_step(akv_job *job, uint64_t units, uint64_t bytes);
/* Tell the job's fault callback what the running call last recorded, keep the
 * first such record for the call, and return its code. */
AKV_API akv_status akv_job_fault(akv_job *job);

/* Add a figure. Names, units, help and texts must be static. */
AKV_API void akv_stats_add(akv_stats *stats, akv_stat_kind kind, const char *name, const char *unit,
                           uint64_t value, const char *help);
AKV_API void akv_stats_add_ratio(akv_stats *stats, const char *name, double value,
                                 const char *help);
AKV_API void akv_stats_add_text(akv_stats *stats, const char *name, const char *text,
                                const char *help); /* text is copied */
AKV_API void akv_stats_add_histogram(akv_stats *stats, const char *name, const char *unit,
                                     const akv_histogram_summary *summary, const char *help);

#ifdef __cplusplus
}
#endif
#endif
