/* SPDX-License-Identifier: MIT
 *
 * store.h: what a memory store is made of.
 *
 * Each key space is a B+tree whose items are versions: of each key the newest,
 * which leads to the older ones. A version is one block with key and value.
 * Every change has a sequence number; a version is what
 * the key was from the change that made it (begin) to the one that ended it
 * (end), so a delete only sets a number. Views are the sequence numbers that
 * snapshots and iterators look at. Invariants:
 *
 *  1. Along a chain, begin and end fall, and a version's end is not above the
 *     begin of the one before it. Only the newest can be live.
 *  2. A version that is not live is in its chain as long as some view is in
 *     [begin, end), and hangs on the list of the oldest such view. When that
 *     view goes, the version moves on to the next that sees it, or goes too.
 *  3. When a key's last version goes, the key leaves the tree.
 *  4. So what a view sees stays where it is while the view lives: iterators
 *     read it without a lock. Values given out hold a reference instead.
 *  5. Live versions with an expiry are in the heap `expiring`, others are not.
 *
 * Locks: `lock` is held for reading to find and for writing to change anything
 * of the tables; views come and go under it for reading, with views_mu.
 */
#ifndef AKVI_MEMORY_STORE_H
#define AKVI_MEMORY_STORE_H

#include "common/base/mutex.h"
#include "common/map/btree.h"

#include <anykv/memory.h>
#include <stdatomic.h>

#define MEMORY_LIVE UINT64_MAX       /* the end of a version that has none */
#define MEMORY_NOW  (UINT64_MAX - 1) /* a sequence number that sees what is live */

typedef struct memory_space   memory_space;
typedef struct memory_version memory_version;

struct memory_version {
    akv_slice        key;  /* first: how the tree knows it */
    _Atomic uint32_t refs; /* the chain's, and one for each value or version that uses the bytes */
    uint32_t         len;  /* of the value */
    uint32_t         encoding;
    uint32_t         heap_at; /* 1 + its place in the heap; 0: not there */
    uint64_t         begin, end;
    uint64_t         expiry_ms;
    memory_version  *older, *newer;
    memory_version  *link; /* the next of a list of ended versions */
    memory_space    *space;
    memory_version  *base;    /* holds key and value; NULL: they are here */
    uint8_t          bytes[]; /* key, value */
};

struct memory_space {
    akv_slice  name; /* first: how the tree of spaces knows it; empty: the default space */
    akvi_btree keys;
    uint64_t   live;    /* keys with a live version, expired ones among them */
    uint64_t   bytes;   /* of those keys and values */
    uint32_t   opens;   /* handles */
    uint32_t   walks;   /* iterators; guarded like the views */
    bool       dropped; /* to be freed once empty and unused */
    char       text[];  /* the name, with a NUL */
};

/* A moment that must stay readable. */
typedef struct memory_view {
    struct memory_view *older, *newer; /* by sequence number; equal ones in any order */
    uint64_t            seq;
    uint64_t            born_ns;
    bool                is_iterator;
    memory_version     *ended; /* invariant 2 */
} memory_view;

/* Live versions with an expiry, soonest first. */
typedef struct memory_heap {
    memory_version **at;
    uint32_t         n, cap;
} memory_heap;

/* One change of the history. */
typedef struct memory_change {
    struct memory_change *next;
    _Atomic uint32_t      refs; /* the history's and the feeds' that stand on it */
    akv_change_kind       kind;
    bool                  commit;
    uint64_t              seq;
    memory_version       *version; /* PUT */
    uint32_t              name_len, key_len, upper_len;
    char                  bytes[]; /* name and NUL, key, upper */
} memory_change;

typedef struct memory_feed {
    akvi_mutex mu;
    akvi_cond  cond; /* signalled when something was added */
    uint64_t   limit;
    bool       on; /* changed with the store's lock held for writing */
    /* guarded by mu */
    memory_change *first, *last;
    uint64_t       bytes, n;
    uint64_t       floor; /* changes up to here are not, or no longer, there */
    uint32_t       waiting;
} memory_feed;

typedef struct memory_store {
    /* fixed after open */
    const akv_allocator      *allocator;
    akv_env                  *env;
    const akv_merge_operator *merge;
    const akv_logger         *logger;
    char                     *path; /* NULL: none */
    akv_file                 *lock_file;
    bool                      read_only;
    uint64_t                  epoch;                  /* tells this opening from others */
    uint64_t                  image_epoch, image_seq; /* those of the image that was loaded */
    /* guarded by lock */
    akvi_rwlock   lock;
    memory_space *main;
    akvi_btree    spaces; /* all but `main` */
    uint32_t      dropped;
    uint64_t      seq;     /* of the last change */
    uint64_t      changes; /* counts what makes the image out of date */
    uint64_t      versions, version_bytes;
    memory_heap   expiring;
    /* guarded by views_mu, or lock held for writing */
    akvi_mutex   views_mu;
    memory_view *oldest, *newest;
    uint32_t     snapshots, iterators;
    /* held while the image is written */
    akvi_mutex save_mu;
    uint64_t   saved; /* `changes` when it was last written */

    memory_feed feed;
} memory_store;

static inline memory_space *memory_space_of(memory_store *s, const akv_keyspace *keyspace)
{
    memory_space *space = akv_keyspace_impl(keyspace);

    return space ? space : s->main;
}

static inline akv_slice memory_value(const memory_version *v)
{
    return akv_bytes((const uint8_t *)v->key.data + v->key.len, v->len);
}

static inline uint64_t memory_unix_ms(const memory_store *s)
{
    return s->env->ops->unix_ms(s->env);
}

static inline akv_version_tag memory_tag(uint64_t seq)
{
    akv_version_tag tag = {{0}};

    for (unsigned i = 0; i < 8; i++)
        tag.bytes[15 - i] = (uint8_t)(seq >> 8 * i);
    return tag;
}

/* What a view at `seq` sees of a key, given its newest version, be it expired
 * or not. */
static inline memory_version *memory_visible(memory_version *v, uint64_t seq)
{
    while (v && v->begin > seq)
        v = v->older;
    return v && seq < v->end ? v : NULL;
}

/* Only keys that have an expiry ask for the time. */
static inline bool memory_expired(const memory_store *s, const memory_version *v)
{
    return v->expiry_ms != 0 && v->expiry_ms <= memory_unix_ms(s);
}

static inline void memory_ref(memory_version *v)
{
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
}

/* Everything of *value_out but the pin. */
static inline void memory_fill(const memory_version *v, akv_value *value_out)
{
    value_out->data      = memory_value(v).data;
    value_out->len       = v->len;
    value_out->version   = memory_tag(v->begin);
    value_out->expiry_ms = v->expiry_ms;
    value_out->encoding  = v->encoding;
}

/* versions.c: a version's life */
AKVI_MUST_USE memory_version *akvi_memory_version_new(memory_store *s, akv_slice key,
                                                      akv_slice value);
/* Another version with the bytes of `base`. */
AKVI_MUST_USE memory_version *akvi_memory_version_alike(memory_store *s, memory_version *base);
void                          akvi_memory_unref(memory_store *s, memory_version *v);
/* Make v the newest of its key, before the one that is it by now. */
AKVI_MUST_USE akv_status akvi_memory_push(memory_version *v, memory_space *space);
/* Take it out of its chain. `lock` held for writing. */
void akvi_memory_unlink(memory_version *v);
/* Count in a version that was made live, and put it into the heap, which has
 * room; count out and let go of one that was ended. `lock` held for writing. */
void akvi_memory_begin(memory_store *s, memory_version *v);
void akvi_memory_retire(memory_store *s, memory_version *v);
/* Let go of up to `most` versions that expired; returns how many did. */
uint32_t                 akvi_memory_purge(memory_store *s, uint64_t now_ms, uint32_t most);
AKVI_MUST_USE akv_status akvi_memory_heap_reserve(memory_store *s, size_t more);
void                     akvi_memory_heap_free(memory_store *s);
/* A view of now or, if `at` is not NULL, of where that stands. */
void       akvi_memory_view_add(memory_store *s, memory_view *view, const memory_view *at,
                                memory_space *walked);
void       akvi_memory_view_drop(memory_store *s, memory_view *view, memory_space *walked);
akv_status akvi_memory_snapshot_new(void *impl, void **snapshot_out);
void       akvi_memory_snapshot_free(void *impl, void *snapshot);

/* lookup.c */
akv_status akvi_memory_get(void *impl, akv_slice key, const akv_read_options *opt,
                           akv_value *value_out);
void       akvi_memory_release(void *impl, akv_value *value);
akv_status akvi_memory_exists(void *impl, akv_slice key, const akv_read_options *opt);
akv_status akvi_memory_get_many(void *impl, size_t n, const akv_slice *keys,
                                const akv_read_options *opt, akv_value *values_out,
                                akv_status *statuses_out);
akv_status akvi_memory_count(void *impl, const akv_read_options *opt, uint64_t *count_out);
akv_status akvi_memory_approximate_size(void *impl, const akv_range *range,
                                        const akv_read_options *opt, uint64_t *bytes_out);

/* walk.c */
akv_status akvi_memory_iter_new(void *impl, const akv_range *range, const akv_read_options *opt,
                                void **iter_out);
akv_status akvi_memory_iter_move(void *iter, akv_move move, akv_slice key, akv_entry *entry_out);
void       akvi_memory_iter_free(void *iter);

/* apply.c */
akv_status akvi_memory_write(void *impl, const akv_op *ops, size_t n, const akv_write_options *opt,
                             akv_write_result *result_out);

/* spaces.c */
akv_status akvi_memory_space_open(void *impl, const char *name, uint32_t flags, void **space_out);
void       akvi_memory_space_close(void *impl, void *space);
akv_status akvi_memory_space_drop(void *impl, const char *name);
akv_status akvi_memory_space_list(void *impl, int (*each)(void *user, const char *name),
                                  void *user);
/* Free the dropped spaces that nothing needs any more. `lock` held for writing. */
void akvi_memory_spaces_settle(memory_store *s);
/* A new space that nothing knows yet; NULL: no memory. */
AKVI_MUST_USE memory_space *akvi_memory_space_new(memory_store *s, const char *name, size_t len);
/* Free a space and everything in it. */
void akvi_memory_space_free(memory_store *s, memory_space *space);
/* Step through the spaces by name, dropped ones among them, beginning with the
 * default one (NULL). What is returned is held, as by an iterator, and what was
 * given is not any more. Stop early by giving the last to unhold. */
memory_space *akvi_memory_space_next(memory_store *s, memory_space *space);
void          akvi_memory_space_unhold(memory_store *s, memory_space *space);

/* Check a space's invariants; AKV_CORRUPT says which is broken. */
AKVI_MUST_USE akv_status akvi_memory_space_check(memory_store *s, const memory_space *space);
uint64_t                 akvi_memory_live(memory_store *s); /* live keys of all spaces */

/* pieces.c: streams */
akv_status akvi_memory_stream_open(void *impl, akv_slice key, const akv_read_options *opt,
                                   void **stream_out, uint64_t *len_out);
akv_status akvi_memory_stream_read(void *stream, uint64_t offset, void *buf, size_t cap,
                                   size_t *len_out);
void       akvi_memory_stream_close(void *stream);
akv_status akvi_memory_stream_create(void *impl, const akv_op *op, bool append,
                                     const akv_write_options *opt, void **stream_out);
akv_status akvi_memory_stream_write(void *stream, const void *data, size_t len);
akv_status akvi_memory_stream_commit(void *stream, akv_write_result *result_out);
void       akvi_memory_stream_abort(void *stream);

/* feed.c */
void akvi_memory_feed_init(memory_feed *feed, uint64_t limit);
void akvi_memory_feed_free(memory_store *s);
/* Add a change, with feed.mu held and `lock` held for writing; may lose history,
 * but never fails. Commit ends the changes of one write. */
void akvi_memory_feed_add(memory_store *s, akv_change_kind kind, const memory_space *space,
                          akv_slice key, akv_slice upper, memory_version *version, uint64_t seq)
    AKVI_REQUIRES(s->feed.mu);
void       akvi_memory_feed_commit(memory_store *s) AKVI_REQUIRES(s->feed.mu);
akv_status akvi_memory_changes_open(void *impl, akv_slice token, void **changes_out);
akv_status akvi_memory_changes_next(void *changes, uint64_t wait_ms, akv_change *change_out);
akv_status akvi_memory_changes_token(void *changes, akv_buffer *token_out);
void       akvi_memory_changes_close(void *changes);

/* image.c */
akv_status akvi_memory_detect(akv_env *env, const char *path);
/* Fill an empty store from its file. With `salvage` what is damaged is left
 * out, counted, and told to `job`, if there is one, else to the log. */
AKVI_MUST_USE akv_status akvi_memory_load(memory_store *s, bool salvage, akv_job *job,
                                          uint64_t *faults_out);
/* Write the store's file if anything has changed since it was last written. */
AKVI_MUST_USE akv_status akvi_memory_save(memory_store *s);
akv_status akvi_memory_checkpoint(void *impl, const char *path, const akv_job_options *opt);
akv_status akvi_memory_verify(void *impl, const akv_job_options *opt);

extern const akv_engine akvi_memory;

#endif
