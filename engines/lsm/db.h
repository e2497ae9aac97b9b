/* SPDX-License-Identifier: MIT
 *
 * db.h: an open store, as this engine's files share it.
 *
 * What readers look at is a view: the memtable that takes writes, those that
 * wait to be flushed, and a version, which is the list of tables of each level.
 * All of these are counted by reference and never change once they are in a
 * view, but that the first memtable grows; a change makes a new view. Get takes
 * a view without a lock or a shared counter: it notes it in its thread's slot,
 * and whoever replaces a view waits with freeing it for the slots.
 *
 * Always true:
 *  1. entries are in the memtable, the older memtables, level 0 from its newest
 *     file on, and the levels below, and for one key in that order by falling
 *     sequence number;
 *  2. files of one level below 0 share no key;
 *  3. all entries up to last_seq can be read; those above are being written;
 *  4. a log is there as long as an entry of it is only in a memtable;
 *  5. what is in the manifest was synced before.
 *
 * Locks, in the order they are taken: one of manifest_mu (one
 * change of the manifest at a time), sync_mu (one sync at a time) and queue_mu
 * (the queue of writers), then mu (the rest). What belongs to the writer at the
 * head of the queue needs no lock.
 */
#ifndef AKVI_LSM_DB_H
#define AKVI_LSM_DB_H

#include "common/base/metrics.h"
#include "common/base/mutex.h"
#include "common/run/pool.h"
#include "common/run/rate.h"
#include "engines/lsm/manifest.h"
#include "engines/lsm/memtable.h"
#include "engines/lsm/table.h"
#include "engines/lsm/wal.h"

#include <anykv/lsm.h>
#include <stdatomic.h>

#define LSM_MEMTABLES      16u                 /* at most in a view, the growing one too */
#define LSM_LOG_FULL       (UINT64_C(2) << 30) /* bytes of a log; one batch more fits always */
#define LSM_MANIFEST_LIMIT (UINT64_C(4) << 20) /* bytes after which another begins */

typedef struct lsm_db lsm_db;

/* ------------------------------------------------------- tables and versions */

/* One table's file. It is removed when the last reference goes after `obsolete`
 * was set. */
typedef struct lsm_file {
    lsm_table_meta   meta; /* keys lie behind this struct; `level` is where it was made */
    lsm_table       *table;
    lsm_db          *db;
    _Atomic uint32_t refs;
    _Atomic bool     obsolete;
    bool compacting  AKVI_GUARDED_BY(mu);
} lsm_file;

typedef struct lsm_level {
    lsm_file **files; /* 0: newest first; below: by key */
    size_t     n, cap;
    uint64_t   bytes;
} lsm_level;

typedef struct lsm_version {
    const akv_allocator *allocator;
    _Atomic uint32_t     refs;
    lsm_level            levels[LSM_LEVELS];
    bool                 ranges; /* some table has a DELETE_RANGE */
} lsm_version;

/* A memtable, and the oldest log that its entries are in. */
typedef struct lsm_generation {
    lsm_memtable *memtable;
    uint64_t      log;
    uint64_t      last_seq; /* its last entry's, once it takes no more */
} lsm_generation;

typedef struct lsm_view {
    const akv_allocator *allocator;
    _Atomic uint32_t     refs;
    unsigned             n;                  /* memtables */
    lsm_generation       mem[LSM_MEMTABLES]; /* newest first */
    lsm_version         *version;
    struct lsm_view     *retired; /* a list */
} lsm_view;

/* Hold the current view, for this thread and a short time: `mine` on the stack. */
typedef struct lsm_hold {
    lsm_view *view;
    int       slot; /* -1: by reference */
} lsm_hold;

typedef struct lsm_slot {
    _Atomic(lsm_view *) view;
    uint8_t             line[64 - sizeof(void *)];
} lsm_slot;

/* ---------------------------------------------------------------- snapshots */

typedef struct lsm_snapshot {
    uint64_t             seq;
    lsm_view            *view; /* of a reader, whose writer knows nothing of it; else NULL */
    struct lsm_snapshot *older, *newer;
} lsm_snapshot;

/* ------------------------------------------------------------------- writers */

typedef struct lsm_write {
    const akv_op            *ops;
    size_t                   n;
    const akv_write_options *opt;
    akv_write_result        *result;
    struct lsm_write        *next;
    akvi_cond               *wake; /* NULL: nobody sleeps on it */
    bool                     done;
    bool                     alone;      /* judged or expanded: takes no company */
    uint64_t                 bytes;      /* about, in the record */
    uint64_t                 entries;    /* made of its operations */
    uint64_t                 version_at; /* which of them, from 1, the result's version is of */
    akv_status               status;
    akv_error               *error; /* told to a follower whose status is a failure */
} lsm_write;

/* A log in use. Whoever syncs it holds a reference. */
typedef struct lsm_log {
    lsm_wal         *wal;
    uint64_t         number;
    _Atomic uint64_t synced; /* bytes surely on the device */
    unsigned users   AKVI_GUARDED_BY(mu);
    struct lsm_log  *newer;
} lsm_log;

/* ------------------------------------------------------------- background */

/* Figures for stats; monotonic. */
typedef struct lsm_counters {
    _Atomic uint64_t flushes, flush_bytes, flush_ns;
    _Atomic uint64_t compactions, moves, read_bytes[LSM_LEVELS], write_bytes[LSM_LEVELS];
    _Atomic uint64_t user_bytes, wal_bytes, wal_syncs, groups, writes;
    _Atomic uint64_t stall_ns, stops, delays;
    _Atomic uint64_t dropped; /* entries that compactions left out */
    _Atomic uint64_t filter_hits, filter_misses;
} lsm_counters;

struct lsm_db {
    /* hot, read by every get */
    _Atomic(lsm_view *)  view;
    _Atomic uint64_t     last_seq;
    const akv_allocator *allocator;
    akv_env             *env;
    lsm_slot            *slots; /* AKVI_SLOTS_OWN */
    lsm_cache           *cache;
    akv_lsm_options      options;
    lsm_table_options    tables[LSM_LEVELS];
    /* fixed after open */
    char             *folder;
    akv_file         *lock_file; /* NULL: read-only */
    const akv_logger *logger;
    akvi_pool        *pool; /* NULL: no threads */
    akvi_timer       *timer;
    uint32_t          sync; /* akv_sync_mode */
    bool              read_only;
    unsigned          threads; /* of the pool: compactions at the same time */
    uint64_t          epoch;
    uint64_t          sync_period_ns; /* without threads: PERIODIC is kept by writes; 0: no */
    akvi_rate         rate;           /* of background work */

    /* the queue of writers */
    akvi_mutex      queue_mu;
    lsm_write *head AKVI_GUARDED_BY(queue_mu), *tail AKVI_GUARDED_BY(queue_mu);
    /* the head's own */
    akv_buffer    record;
    lsm_memtable *memtable;      /* the one that grows; the view holds it */
    uint64_t      memtable_used; /* memory that its entries take, about */
    uint64_t      delay_ns;      /* owed, not yet slept */
    bool          delaying;
    /* what it looks at, set with each view */
    _Atomic uint32_t memtables, level0;
    _Atomic uint64_t debt; /* bytes over the levels' targets */

    akvi_mutex       sync_mu;
    _Atomic uint64_t synced_ns; /* when the logs were last synced whole */

    /* one change of the manifest at a time */
    akvi_mutex             manifest_mu;
    lsm_manifest *manifest AKVI_GUARDED_BY(manifest_mu);

    akvi_mutex             mu;
    akvi_cond              changed; /* background work ended, or begins to fail */
    lsm_log *logs          AKVI_GUARDED_BY(mu), *log AKVI_GUARDED_BY(mu); /* oldest; newest */
    uint64_t spare_log     AKVI_GUARDED_BY(mu); /* a file to be used again; 0: none */
    lsm_view *retired      AKVI_GUARDED_BY(mu);
    lsm_snapshot snapshots AKVI_GUARDED_BY(mu); /* ring; `newer` is the oldest */
    uint64_t next_file     AKVI_GUARDED_BY(mu);
    uint64_t log_number    AKVI_GUARDED_BY(mu); /* logs below are in tables */
    uint64_t table_seq     AKVI_GUARDED_BY(mu); /* all entries up to it are, too */
    unsigned flushing      AKVI_GUARDED_BY(mu), compacting AKVI_GUARDED_BY(mu);
    /* One compaction by hand, load or checkpoint at a time. No lock, since they
     * call the user's callbacks. */
    bool maintaining  AKVI_GUARDED_BY(mu);
    unsigned paused   AKVI_GUARDED_BY(mu); /* start no compaction */
    _Atomic bool      closing;             /* set with mu held */
    akv_status failed AKVI_GUARDED_BY(mu); /* of background work, until it succeeds */
    akv_error failure AKVI_GUARDED_BY(mu);
    _Atomic bool      poisoned;                 /* set with mu held */
    _Atomic int       flush_told, compact_told; /* the failure that was logged, until it succeeds */
    size_t            next_compact[LSM_LEVELS] AKVI_GUARDED_BY(mu);
    lsm_counters      counters;
};

/* ------------------------------------------------------------------ view.c */

AKVI_MUST_USE akv_status akvi_lsm_file_open(lsm_db *db, const lsm_table_meta *meta,
                                            lsm_file **file_out);
void                     akvi_lsm_file_unref(lsm_file *f);
void                     akvi_lsm_version_unref(lsm_version *v);
/* `from` with an edit applied; `opened` are the files of edit->added. Takes
 * over the references of `opened` when it succeeds. */
AKVI_MUST_USE akv_status akvi_lsm_version_edit(const lsm_version *from, lsm_db *db,
                                               const lsm_edit *edit, lsm_file **opened,
                                               lsm_version **version_out);
/* The first file of a level below 0 whose last key is not below `key`; n if none. */
size_t akvi_lsm_level_find(const lsm_level *level, akv_slice key);
/* Whether the file can hold a key of [lower, upper]. */
bool akvi_lsm_file_overlaps(const lsm_file *f, akv_slice lower, akv_slice upper);

void      akvi_lsm_hold(lsm_db *db, lsm_hold *hold_out);
void      akvi_lsm_let_go(lsm_db *db, lsm_hold *hold);
lsm_view *akvi_lsm_view_ref(lsm_db *db);
void      akvi_lsm_view_unref(lsm_view *v); /* takes NULL */
/* Make a view current; takes the reference. With mu held. */
void akvi_lsm_view_set(lsm_db *db, lsm_view *v);
/* A copy of the current view to change; NULL: AKV_NOMEM. With mu held. */
AKVI_MUST_USE lsm_view *akvi_lsm_view_copy(lsm_db *db);
/* Free replaced views that nobody looks at any more. Without mu. */
void akvi_lsm_views_reap(lsm_db *db);

/* Begin another manifest that holds a version whole. With manifest_mu held. */
AKVI_MUST_USE akv_status akvi_lsm_manifest_renew(lsm_db *db, const lsm_version *v);
/* Write an edit to the manifest, then make it visible: tables added and removed;
 * the `flushed` oldest memtables, which are tables now, leave the view. After a
 * failure the new files stay where they are: the manifest may name them. */
AKVI_MUST_USE akv_status akvi_lsm_apply(lsm_db *db, lsm_edit *edit, unsigned flushed);
uint64_t                 akvi_lsm_new_file_number(lsm_db *db);
/* A file's path, to be freed by akvi_strfree; NULL: AKV_NOMEM. */
AKVI_MUST_USE char *akvi_lsm_path(const lsm_db *db, lsm_file_type type, uint64_t number);

/* ------------------------------------------------------------------ open.c */

AKVI_MUST_USE akv_status akvi_lsm_detect(akv_env *env, const char *path);
AKVI_MUST_USE akv_status akvi_lsm_open(const akv_open_args *args, void **impl_out,
                                       uint64_t *caps_out);
akv_status               akvi_lsm_close(void *impl);
AKVI_MUST_USE akv_status akvi_lsm_catch_up(lsm_db *db);
AKVI_MUST_USE akv_status akvi_lsm_destroy(akv_env *env, const char *path);
/* Sync the folder that `folder` is in, so that its name is durable. */
AKVI_MUST_USE akv_status akvi_lsm_sync_parent(lsm_db *db, const char *folder);
/* A store's struct for repair: nothing is read or made. akvi_lsm_lock may follow. */
AKVI_MUST_USE akv_status akvi_lsm_open_bare(akv_env *env, const char *path, lsm_db **db_out);
void                     akvi_lsm_close_bare(lsm_db *db);
AKVI_MUST_USE akv_status akvi_lsm_lock(lsm_db *db);
/* Remove files of the folder that the store does not need. */
void akvi_lsm_clean(lsm_db *db);

/* --------------------------------------------------------------- recover.c */

/* Replay the logs from db->log_number on: into new tables of level 0, or in a
 * reader into db->memtable. Raises last_seq. In repair `job` is told what was left
 * out, and logs where that is so are set aside; else it is NULL. */
struct lsm_output;
AKVI_MUST_USE akv_status akvi_lsm_recover(lsm_db *db, struct lsm_output *o, akv_job *job);

/* ---------------------------------------------------------------- repair.c */

AKVI_MUST_USE akv_status akvi_lsm_repair(akv_env *env, const char *path,
                                         const akv_job_options *opt);
/* Give a damaged file a second name, that the store takes no notice of. */
AKVI_MUST_USE akv_status akvi_lsm_set_aside(lsm_db *db, lsm_file_type type, uint64_t number);

/* ----------------------------------------------------------------- write.c */

AKVI_MUST_USE akv_status akvi_lsm_write(void *impl, const akv_op *ops, size_t n,
                                        const akv_write_options *opt, akv_write_result *result_out);
AKVI_MUST_USE akv_status akvi_lsm_sync(void *impl);
/* Add a record's entries to a memtable that has room for them; the number of the last. */
AKVI_MUST_USE akv_status akvi_lsm_record_apply(akv_slice record, lsm_memtable *m,
                                               uint64_t *last_seq_out);
/* Retire the memtable, and begin another with a log of its own. From the head of
 * the queue, or when nobody writes. */
AKVI_MUST_USE akv_status akvi_lsm_switch(lsm_db *db);
/* Wait for one's turn as the only writer; end with akvi_lsm_write_end. */
void akvi_lsm_write_begin(lsm_db *db, lsm_write *w);
void akvi_lsm_write_end(lsm_db *db, lsm_write *w);

/* ------------------------------------------------------------------ logs.c */

/* Make a new log, and the current one an older one. By the head writer. */
AKVI_MUST_USE akv_status akvi_lsm_log_begin(lsm_db *db, uint64_t number);
/* Sync all logs, oldest first. A failure poisons the store. */
AKVI_MUST_USE akv_status akvi_lsm_logs_sync(lsm_db *db);
/* Whether nobody but writes and akv_work keep PERIODIC, and it is time. */
bool akvi_lsm_sync_is_due(const lsm_db *db);
/* Close logs whose entries are all in tables, and remove their files but one. */
void                     akvi_lsm_logs_trim(lsm_db *db);
AKVI_MUST_USE akv_status akvi_lsm_logs_close(lsm_db *db);
/* No write is taken any more, because of what the running call has recorded. */
void akvi_lsm_poison(lsm_db *db);

/* ----------------------------------------------------------------- flush.c */

/* Start what background work there is to do. With mu held. */
void akvi_lsm_schedule(lsm_db *db);
/* Do one piece of it here: AKV_OK, AKV_END when there is none, or a failure. */
AKVI_MUST_USE akv_status akvi_lsm_work(void *impl);
/* The same; and while others are at it, wait for them for a while: AKV_OK. */
AKVI_MUST_USE akv_status akvi_lsm_work_or_wait(lsm_db *db);
/* Write memtables, newest first, to one new table of level 0. */
struct lsm_output;
AKVI_MUST_USE akv_status akvi_lsm_write_tables(lsm_db *db, const lsm_generation *mem, unsigned n,
                                               struct lsm_output *o);
/* Until all memtables but the growing one are tables, or something failed. */
AKVI_MUST_USE akv_status akvi_lsm_flush_wait(lsm_db *db);
AKVI_MUST_USE akv_status akvi_lsm_flush_all(lsm_db *db);

/* --------------------------------------------------------------- compact.c */

typedef struct lsm_compaction {
    unsigned   level, output;
    lsm_file **inputs[2]; /* of level, and of output */
    size_t     n[2], cap[2];
    bool       move;         /* nothing to merge: the files only change level */
    akv_slice  lower, upper; /* all keys lie in [lower, upper] */
    bool       unbounded;    /* or above */
} lsm_compaction;

/* What to compact next, its files marked; AKV_END when nothing needs it. With mu held. */
AKVI_MUST_USE akv_status akvi_lsm_pick(lsm_db *db, lsm_compaction *c);
/* The files of a level that hold keys of [lower, *upper), down to `output`; from the
 * last level to itself those with tombstones. AKV_END: there are none. With mu held. */
AKVI_MUST_USE akv_status akvi_lsm_pick_range(lsm_db *db, unsigned level, unsigned output,
                                             akv_slice lower, const akv_slice *upper,
                                             lsm_compaction *c);
void                     akvi_lsm_unpick(lsm_db *db, lsm_compaction *c); /* without mu */
bool                     akvi_lsm_wants_compaction(const lsm_db *db);    /* with mu */
AKVI_MUST_USE akv_status akvi_lsm_compact(lsm_db *db, lsm_compaction *c, akv_job *job);
AKVI_MUST_USE akv_status akvi_lsm_compact_all(lsm_db *db, akv_slice lower, const akv_slice *upper,
                                              const akv_job_options *opt);
/* Around a compaction by hand, a load's end or a checkpoint: one at a time. */
void akvi_lsm_maintain_begin(lsm_db *db);
void akvi_lsm_maintain_end(lsm_db *db);
/* Let no compaction begin, and wait for those that run. */
void akvi_lsm_compact_pause(lsm_db *db);
void akvi_lsm_compact_resume(lsm_db *db);
/* How full the levels are: targets in bytes, and the level that level 0 goes to. */
unsigned akvi_lsm_targets(const lsm_db *db, const lsm_version *v, uint64_t targets[LSM_LEVELS]);

/* ------------------------------------------------------------------ read.c */

AKVI_MUST_USE akv_status akvi_lsm_snapshot_new(void *impl, void **snapshot_out);
void                     akvi_lsm_snapshot_free(void *impl, void *snapshot);
AKVI_MUST_USE akv_status akvi_lsm_get(void *impl, akv_slice key, const akv_read_options *opt,
                                      akv_value *value_out);
AKVI_MUST_USE akv_status akvi_lsm_exists(void *impl, akv_slice key, const akv_read_options *opt);
AKVI_MUST_USE akv_status akvi_lsm_get_many(void *impl, size_t n, const akv_slice *keys,
                                           const akv_read_options *opt, akv_value *values_out,
                                           akv_status *statuses_out);
void                     akvi_lsm_release(void *impl, akv_value *value);
/* The newest entry of a key as of `seq`, whatever it is, unless a range or its
 * expiry hides it: AKV_OK, AKV_ABSENT. The view is held; *pin_out holds the bytes. */
AKVI_MUST_USE akv_status akvi_lsm_find(lsm_db *db, lsm_view *v, akv_slice key, uint64_t seq,
                                       const lsm_read *read, lsm_entry *entry_out, void **pin_out);
void                     akvi_lsm_unpin(void *pin);
akv_version_tag          akvi_lsm_tag(const lsm_db *db, uint64_t seq);

/* ------------------------------------------------------------------ iter.c */

AKVI_MUST_USE akv_status akvi_lsm_iter_new(void *impl, const akv_range *range,
                                           const akv_read_options *opt, void **iter_out);
AKVI_MUST_USE akv_status akvi_lsm_iter_move(void *iter, akv_move move, akv_slice key,
                                            akv_entry *entry_out);
void                     akvi_lsm_iter_free(void *iter);

/* ----------------------------------------------------------------- merge.c */

/* Over several cursors as one; takes them over, also on failure. */
AKVI_MUST_USE akv_status akvi_lsm_merge_cursor(const akv_allocator *allocator,
                                               lsm_cursor **children, size_t n,
                                               lsm_cursor **cursor_out);
/* Over files that share no key, one after the other. Files are borrowed. */
AKVI_MUST_USE akv_status akvi_lsm_level_cursor(const akv_allocator *allocator,
                                               lsm_file *const *files, size_t n,
                                               const lsm_read *read, lsm_cursor **cursor_out);

/* ---------------------------------------------------------------- ranges.c */

/* What DELETE_RANGEs hide, flattened: spans of keys by order, each with the
 * highest sequence number that holds there. */
typedef struct lsm_span {
    akv_slice lower, upper; /* upper empty in the last: to the end */
    uint64_t  seq;
} lsm_span;

typedef struct lsm_spans {
    const akv_allocator *allocator;
    akv_buffer           ranges; /* of lsm_entry, borrowed bytes */
    lsm_span            *spans;
    size_t               n, cap;
} lsm_spans;

void                     akvi_lsm_spans_init(lsm_spans *s, const akv_allocator *allocator);
void                     akvi_lsm_spans_free(lsm_spans *s);
AKVI_MUST_USE akv_status akvi_lsm_spans_add(lsm_spans *s, const lsm_entry *ranges, size_t n,
                                            uint64_t seq);
AKVI_MUST_USE akv_status akvi_lsm_spans_make(lsm_spans *s);
/* The span that holds key, or NULL. */
const lsm_span *akvi_lsm_spans_find(const lsm_spans *s, akv_slice key);

static inline uint64_t lsm_unix_ms(const lsm_db *db)
{
    return db->env->ops->unix_ms(db->env);
}

/* Whether an entry is nothing that a reader may see. */
static inline bool lsm_is_gone(const lsm_entry *e, uint64_t now_ms)
{
    return e->kind != LSM_PUT || (e->expiry_ms != 0 && e->expiry_ms <= now_ms);
}

#endif
