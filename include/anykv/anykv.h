/* SPDX-License-Identifier: MIT
 *
 * anykv.h: one key-value interface over several storage engines.
 *
 * A store is a set of pairs: a key of 0 or more bytes and a value of 0 or
 * more bytes. Keys are ordered by memcmp, a shorter key before a longer one
 * that it begins; that order never changes. A program names the engine when
 * it opens a store, states what it needs of it, and then uses the calls below
 * whatever the engine is:
 *
 *     akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
 *     akv *db;
 *
 *     opt.flags = AKV_OPEN_CREATE;
 *     if (akv_open("memory", NULL, &opt, &db) != AKV_OK)
 *         return fail(akv_last_error()->text);
 *     akv_put(db, akv_str("moon"), akv_str("Luna"), NULL);
 *     ...
 *     akv_close(db);
 *
 * CONTRACT. What follows holds for every engine; what an engine adds is in its
 * own header (fused.h and so on).
 *
 *  1. Status. Calls that can fail return akv_status: 0 fine, positive an
 *     answer (AKV_ABSENT, AKV_END, AKV_CONFLICT), negative a failure.
 *     A miss is AKV_ABSENT: an answer, not an error; it sets no message.
 *     Corruption is always told from absence. On any status but AKV_OK,
 *     outputs are empty unless a call says otherwise.
 *  2. Errors. A failing call fills this thread's record, akv_last_error().
 *     Only a failing call replaces it, so it can still be read after the
 *     releases and closes that follow; within one call the first cause wins.
 *  3. Ownership. Arguments are borrowed for the call. A value that a read
 *     returns is borrowed until akv_value_release; a buffer is owned by the
 *     caller, who frees it with akv_buffer_free. Bytes of an iterator live
 *     until it moves or is freed.
 *  4. Threads. One handle may be used by any number of threads at once. What
 *     hangs on it (iterator, batch, transaction, stream, feed, value) belongs
 *     to one thread at a time. Reads do not wait for reads. A write is seen
 *     whole or not at all; once a write has returned, every read that begins
 *     after sees it. akv_close must be the last call on its handle.
 *  5. Iteration and snapshots see the store as it was when they were made,
 *     whatever is written meanwhile.
 *  6. Durability. An acknowledged write has reached the kernel: a killed
 *     process loses nothing, whatever the word. The words say what survives a
 *     loss of power: see akv_sync_mode. Engines without AKV_CAP_DURABLE
 *     (memory) do not promise either; demand the capability to be sure.
 *  7. Failed writes. A failed write leaves the store as it was, fails that
 *     call alone, and says why; AKV_NOSPACE heals when there is room. After a
 *     failed fsync nobody knows what is on disk, so the handle is poisoned:
 *     writes answer AKV_POISONED with the first cause, reads go on.
 *  8. Closing. akv_close with live iterators, snapshots, values, batches,
 *     streams, transactions, feeds, key spaces or an unfinished build answers
 *     AKV_BUSY, names how many of what, and leaves the handle usable.
 *  9. Fork. In a child, a handle of the parent answers AKV_MISUSE.
 * 10. The library installs no signal handler, never exits, prints nothing and
 *     changes no process-wide setting.
 */
#ifndef ANYKV_ANYKV_H
#define ANYKV_ANYKV_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define AKV_VERSION_MAJOR 0
#define AKV_VERSION_MINOR 1
#define AKV_VERSION_PATCH 0
#define AKV_VERSION_TEXT  "0.1.0"

#if defined(__GNUC__)
#define AKV_API               __attribute__((visibility("default")))
#define AKV_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define AKV_API
#define AKV_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------- basic types */

/* A borrowed run of bytes. data may be NULL when len is 0. */
typedef struct akv_slice {
    const void *data;
    size_t      len;
} akv_slice;

static inline akv_slice akv_bytes(const void *data, size_t len)
{
    akv_slice s;
    s.data = data;
    s.len  = len;
    return s;
}

static inline akv_slice akv_str(const char *text)
{
    return akv_bytes(text, text ? strlen(text) : 0);
}

/* Where the library's own memory comes from. All three are called from any
 * thread. `resize` keeps the first min(old, new) bytes and answers NULL with
 * the old block intact when it can't; `release` takes NULL. Sizes given back
 * are those asked for. Blocks are aligned as malloc's are. */
typedef struct akv_allocator {
    void *(*alloc)(void *user, size_t size);
    void *(*resize)(void *user, void *block, size_t old_size, size_t new_size);
    void (*release)(void *user, void *block, size_t size);
    void *user;
} akv_allocator;

/* Bytes that the holder owns. Begin with AKV_BUFFER_INIT (or zeroes); calls
 * that fill a buffer replace what it held and grow it as needed. `allocator`
 * NULL is malloc; whatever grew it frees it. */
typedef struct akv_buffer {
    void                *data;
    size_t               len; /* bytes in use */
    size_t               cap; /* bytes there is room for */
    const akv_allocator *allocator;
} akv_buffer;
#define AKV_BUFFER_INIT  \
    {                    \
        NULL, 0, 0, NULL \
    }

AKV_API void akv_buffer_free(akv_buffer *buffer); /* takes NULL; leaves it empty */

/* ------------------------------------------------------------------ status */

typedef enum akv_status {
    AKV_OK       = 0,
    AKV_ABSENT   = 1, /* no such key */
    AKV_END      = 2, /* nothing further in that direction */
    AKV_CONFLICT = 3, /* a condition or a transaction lost to another write */

    AKV_MISUSE      = -1,  /* the caller broke a rule of this header */
    AKV_UNSUPPORTED = -2,  /* this engine, handle or build can't do that */
    AKV_TOO_BIG     = -3,  /* key, value, batch or number over a limit */
    AKV_CORRUPT     = -4,  /* stored bytes are not what was written */
    AKV_VERSION     = -5,  /* written by a version or feature not known here */
    AKV_IO          = -6,  /* the system refused: os_errno says what */
    AKV_NOSPACE     = -7,  /* no room on the device, or over quota */
    AKV_NOMEM       = -8,  /* no memory, or over the memory budget */
    AKV_BUSY        = -9,  /* still in use: finish that first */
    AKV_LOCKED      = -10, /* another process or handle holds the store */
    AKV_AUTH        = -11, /* wrong or missing key or credentials */
    AKV_FENCED      = -12, /* a newer writer has taken over */
    AKV_TIMEOUT     = -13, /* the call's deadline has passed */
    AKV_CANCELLED   = -14, /* the call's cancel token was triggered */
    AKV_POISONED    = -15  /* an earlier failed sync: reopen to write again */
} akv_status;

/* "AKV_ABSENT" and the like; "AKV_?" for a number that is none. Static. */
AKV_API const char *akv_status_name(akv_status status);

/* What a failing call left behind. `text` is one line for people: what was
 * tried, on what, why it failed and what to do. */
#define AKV_NO_OFFSET UINT64_MAX
typedef struct akv_error {
    akv_status code;
    int        os_errno;   /* 0 when the system had no part in it */
    char       engine[16]; /* "" when none was involved */
    char       file[256];  /* the file's end of the path; "" when none */
    uint64_t   offset;     /* byte in that file, or AKV_NO_OFFSET */
    char       text[512];
} akv_error;

/* This thread's record of its last failing call; code AKV_OK before any.
 * Valid until this thread's next failing call. */
AKV_API const akv_error *akv_last_error(void);

/* ------------------------------------------------------------ capabilities */

/* What a handle can do. AKV_CAP_READ is get, exists, get_many, count and
 * iteration over keys. Others are named after their calls. */
#define AKV_CAP_READ         (UINT64_C(1) << 0)
#define AKV_CAP_WRITE        (UINT64_C(1) << 1) /* put, delete */
#define AKV_CAP_BUILD        (UINT64_C(1) << 2) /* put and delete until akv_finish */
#define AKV_CAP_ORDERED      (UINT64_C(1) << 3) /* scans both ways, bounds */
#define AKV_CAP_BATCH        (UINT64_C(1) << 4) /* atomic akv_write */
#define AKV_CAP_CONDITION    (UINT64_C(1) << 5) /* IF_ABSENT, IF_PRESENT, IF_VALUE */
#define AKV_CAP_VERSION      (UINT64_C(1) << 6) /* versions on values, IF_VERSION */
#define AKV_CAP_SNAPSHOT     (UINT64_C(1) << 7)
#define AKV_CAP_CHECKPOINT   (UINT64_C(1) << 8)
#define AKV_CAP_TTL          (UINT64_C(1) << 9)  /* expiry, akv_expire, akv_persist */
#define AKV_CAP_TXN          (UINT64_C(1) << 10) /* optimistic transactions */
#define AKV_CAP_DELETE_RANGE (UINT64_C(1) << 11)
#define AKV_CAP_MERGE        (UINT64_C(1) << 12)
#define AKV_CAP_KEYSPACES    (UINT64_C(1) << 13)
#define AKV_CAP_STREAM_READ  (UINT64_C(1) << 14)
#define AKV_CAP_STREAM_WRITE (UINT64_C(1) << 15)
#define AKV_CAP_CHANGES      (UINT64_C(1) << 16) /* change feed */
#define AKV_CAP_DOCUMENTS    (UINT64_C(1) << 17) /* by the engine's own header */
#define AKV_CAP_ENCRYPTION   (UINT64_C(1) << 18)
#define AKV_CAP_SHARED_READ  (UINT64_C(1) << 19) /* readers in other processes */
#define AKV_CAP_REMOTE       (UINT64_C(1) << 20)
#define AKV_CAP_DURABLE      (UINT64_C(1) << 21) /* contract 6 */
#define AKV_CAP_ENCODING     (UINT64_C(1) << 22) /* keeps akv_encoding tags */
#define AKV_CAP_ALL          ((UINT64_C(1) << 23) - 1)

/* "ordered" and the like for one bit; NULL for none or several. Static. */
AKV_API const char *akv_capability_name(uint64_t bit);

/* ------------------------------------------------------------ small tokens */

typedef struct akv          akv;          /* an open store */
typedef struct akv_iter     akv_iter;     /* a position in a scan */
typedef struct akv_batch    akv_batch;    /* operations to apply as one */
typedef struct akv_snapshot akv_snapshot; /* the store at one moment */
typedef struct akv_keyspace akv_keyspace; /* a named space of keys */
typedef struct akv_txn      akv_txn;      /* an optimistic transaction */
typedef struct akv_stream   akv_stream;   /* one value, piece by piece */
typedef struct akv_changes  akv_changes;  /* a change feed */
typedef struct akv_cancel   akv_cancel;   /* cancels calls from outside */
typedef struct akv_stats    akv_stats;    /* a list of figures */
typedef struct akv_env      akv_env;      /* files and clock: env.h */
typedef struct akv_engine   akv_engine;   /* an engine's table: engine.h */

/* A cancel token stops the calls that carry it, on whatever thread they run;
 * each answers AKV_CANCELLED at its next check and has then done nothing, or
 * says in its own comment what it had done. Any thread may trigger it, once
 * and for all; free it when no call carries it. */
AKV_API akv_status akv_cancel_new(akv_cancel **cancel_out);
AKV_API void       akv_cancel_trigger(akv_cancel *cancel);
AKV_API bool       akv_cancel_triggered(const akv_cancel *cancel);
AKV_API void       akv_cancel_free(akv_cancel *cancel);

/* The deadline that many milliseconds from now, for the deadline_ns fields:
 * nanoseconds of the system's monotonic clock. 0 in such a field means none. */
AKV_API uint64_t akv_deadline_in_ms(uint64_t ms);

/* ----------------------------------------------------------------- reading */

#define AKV_READ_VERIFY        1u /* check the checksums of what is read */
#define AKV_READ_NO_FILL_CACHE 2u /* keep what is read out of caches */

/* NULL means AKV_READ_OPTIONS_INIT. */
typedef struct akv_read_options {
    size_t              size;  /* sizeof(akv_read_options) */
    uint32_t            flags; /* AKV_READ_*; unknown bits: AKV_MISUSE */
    uint32_t            reserved;
    const akv_snapshot *snapshot; /* NULL: the store as it is */
    const akv_keyspace *keyspace; /* NULL: the default one */
    uint64_t            deadline_ns;
    const akv_cancel   *cancel;
} akv_read_options;
#define AKV_READ_OPTIONS_INIT                               \
    {                                                       \
        sizeof(akv_read_options), 0, 0, NULL, NULL, 0, NULL \
    }

/* What a value's bytes are. The library keeps the tag, nothing more. */
typedef enum akv_encoding {
    AKV_ENCODING_RAW     = 0,
    AKV_ENCODING_JSON    = 1,
    AKV_ENCODING_MSGPACK = 2,
    AKV_ENCODING_OPAQUE  = 3 /* for what only its writer understands */
} akv_encoding;

/* Compared with memcmp; all zero means none. */
typedef struct akv_version_tag {
    uint8_t bytes[16];
} akv_version_tag;

/* A value as read, borrowed until akv_value_release. Where the bytes lie in
 * memory as stored (a mapping, a cache) reading copies and allocates nothing. */
typedef struct akv_value {
    const void     *data;
    size_t          len;
    akv_version_tag version;   /* AKV_CAP_VERSION; else all zero */
    uint64_t        expiry_ms; /* Unix time at which it is gone; 0 never */
    uint32_t        encoding;  /* akv_encoding */
    uint32_t        reserved;
    void           *pin; /* the engine's; NULL when nothing is pinned */
    akv            *db;  /* NULL when nothing needs releasing */
} akv_value;
#define AKV_VALUE_INIT                      \
    {                                       \
        NULL, 0, {{0}}, 0, 0, 0, NULL, NULL \
    }

/* Borrow the value of `key`. AKV_OK or AKV_ABSENT. */
AKV_API akv_status akv_get(akv *db, akv_slice key, const akv_read_options *opt,
                           akv_value *value_out);

/* Give a value back and empty it. An empty value and NULL are fine. */
AKV_API void akv_value_release(akv_value *value);
AKV_API void akv_values_release(akv_value *values, size_t n);

/* Copy the value into the caller's `cap` bytes. *len_out is the value's whole
 * length, also when it does not fit: then AKV_TOO_BIG, and nothing is copied. */
AKV_API akv_status akv_get_into(akv *db, akv_slice key, const akv_read_options *opt, void *buf,
                                size_t cap, size_t *len_out);

/* Copy the value into a buffer that grows as needed. */
AKV_API akv_status akv_get_copy(akv *db, akv_slice key, const akv_read_options *opt,
                                akv_buffer *value_out);

/* Borrow n values at once; keys may repeat and come in any order. The engine
 * overlaps the cache misses or round trips of the whole batch, so this is the
 * fast way to read many keys. statuses_out[i] is what akv_get would have
 * answered. Returns AKV_OK when each is AKV_OK or AKV_ABSENT, else the first
 * failure; values are valid, and to be released, in either case. */
AKV_API akv_status akv_get_many(akv *db, size_t n, const akv_slice *keys,
                                const akv_read_options *opt, akv_value *values_out,
                                akv_status *statuses_out);

/* AKV_OK when the key is there, AKV_ABSENT when not. */
AKV_API akv_status akv_exists(akv *db, akv_slice key, const akv_read_options *opt);

/* The number of live keys, exact. Engines without a counter walk the keys. */
AKV_API akv_status akv_count(akv *db, const akv_read_options *opt, uint64_t *count_out);

/* About how many stored bytes lie in [lower, upper); an empty upper means to
 * the end. An estimate, for planning. */
AKV_API akv_status akv_approximate_size(akv *db, akv_slice lower, akv_slice upper,
                                        const akv_read_options *opt, uint64_t *bytes_out);

/* --------------------------------------------------------------- iterating */

#define AKV_SCAN_REVERSE   1u /* "first" and "next" run from the largest key down */
#define AKV_SCAN_KEYS_ONLY 2u /* values stay empty and are not read */
#define AKV_SCAN_UPPER     4u /* `upper` holds, even when it is empty */

typedef struct akv_scan_options {
    size_t           size;  /* sizeof(akv_scan_options) */
    uint32_t         flags; /* AKV_SCAN_* */
    uint32_t         reserved;
    akv_slice        lower;  /* inclusive; empty: from the start */
    akv_slice        upper;  /* exclusive; empty without AKV_SCAN_UPPER: to the end */
    akv_slice        prefix; /* only keys that begin with it */
    uint64_t         limit;  /* 0: none. Counts the entries that moves return */
    akv_read_options read;
} akv_scan_options;
#define AKV_SCAN_OPTIONS_INIT                                                                     \
    {                                                                                             \
        sizeof(akv_scan_options), 0, 0, {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, AKV_READ_OPTIONS_INIT \
    }

/* Open an iterator over the keys that meet all of the bounds, in key order
 * (engines without AKV_CAP_ORDERED: in an order of their own, forward only,
 * no bounds, seek unsupported). Bounds are copied. It starts before its first
 * entry: akv_iter_next goes there. NULL options: everything. */
AKV_API akv_status akv_scan(akv *db, const akv_scan_options *opt, akv_iter **iter_out);

/* Moves answer AKV_OK (on an entry), AKV_END (on none: off that end) or a
 * failure (on none; the same move may be tried again). From past an end the
 * move back lands on the last entry there. Under AKV_SCAN_REVERSE first, last,
 * next and prev change places; the seeks do not: seek finds the least key >=
 * `key`, seek_for_prev the greatest <= `key`, within the bounds. */
AKV_API akv_status akv_iter_first(akv_iter *iter);
AKV_API akv_status akv_iter_last(akv_iter *iter);
AKV_API akv_status akv_iter_next(akv_iter *iter);
AKV_API akv_status akv_iter_prev(akv_iter *iter);
AKV_API akv_status akv_iter_seek(akv_iter *iter, akv_slice key);
AKV_API akv_status akv_iter_seek_for_prev(akv_iter *iter, akv_slice key);

/* The entry the iterator is on; empty when on none. Borrowed until it moves. */
AKV_API bool             akv_iter_valid(const akv_iter *iter);
AKV_API akv_slice        akv_iter_key(const akv_iter *iter);
AKV_API akv_slice        akv_iter_value(const akv_iter *iter);
AKV_API const akv_value *akv_iter_item(const akv_iter *iter); /* with version, expiry, encoding */
AKV_API void             akv_iter_free(akv_iter *iter);       /* takes NULL */

/* The store as it is now, for reads through akv_read_options.snapshot. It pins
 * space until freed; stats show how many there are, and of the oldest its age
 * and the thread that made it; of iterators too. */
AKV_API akv_status akv_snapshot_new(akv *db, akv_snapshot **snapshot_out);
AKV_API void       akv_snapshot_free(akv_snapshot *snapshot); /* takes NULL */

/* ----------------------------------------------------------------- writing */

/* What survives a loss of power. */
typedef enum akv_sync_mode {
    AKV_SYNC_DEFAULT  = 0, /* for one write: the store's word; for a store: PERIODIC */
    AKV_SYNC_ALWAYS   = 1, /* the write, and every earlier one */
    AKV_SYNC_PERIODIC = 2, /* a prefix of what was acknowledged, short by at most the period */
    AKV_SYNC_NEVER    = 3  /* a prefix, without a bound */
} akv_sync_mode;

/* A condition is judged and its write applied as one step. When it does not
 * hold: AKV_CONFLICT, and nothing is written. Expired keys count as absent. */
typedef enum akv_condition {
    AKV_IF_ANY     = 0,
    AKV_IF_ABSENT  = 1,
    AKV_IF_PRESENT = 2,
    AKV_IF_VALUE   = 3, /* present with exactly the bytes in `expected` */
    AKV_IF_VERSION = 4  /* present with `version`; AKV_CAP_VERSION */
} akv_condition;

/* How far a write got by the time its call returned. */
typedef enum akv_durability {
    AKV_REACHED_NOTHING = 0, /* this process's memory */
    AKV_REACHED_KERNEL  = 1, /* survives the process */
    AKV_REACHED_DEVICE  = 2  /* survives loss of power */
} akv_durability;

typedef struct akv_write_result {
    akv_version_tag version; /* of the last key written; AKV_CAP_VERSION */
    akv_durability  durability;
    uint32_t        reserved;
    uint64_t        conflict_index; /* on AKV_CONFLICT: which operation of the batch lost */
} akv_write_result;

/* NULL means AKV_WRITE_OPTIONS_INIT. In a batch's own operations only
 * condition, expected, version, ttl_ms, encoding and keyspace may be set. */
typedef struct akv_write_options {
    size_t              size;      /* sizeof(akv_write_options) */
    uint32_t            sync;      /* akv_sync_mode: for this write, never less than the store's */
    uint32_t            condition; /* akv_condition */
    akv_slice           expected;  /* AKV_IF_VALUE */
    akv_version_tag     version;   /* AKV_IF_VERSION */
    uint64_t            ttl_ms;    /* lives this long; 0 for ever. AKV_CAP_TTL */
    uint32_t            encoding;  /* akv_encoding; AKV_CAP_ENCODING for any but RAW */
    uint32_t            reserved;
    const akv_keyspace *keyspace; /* NULL: the default one */
    uint64_t            deadline_ns;
    const akv_cancel   *cancel;
    akv_write_result   *result_out; /* NULL: not wanted */
} akv_write_options;
#define AKV_WRITE_OPTIONS_INIT                                                          \
    {                                                                                   \
        sizeof(akv_write_options), 0, 0, {NULL, 0}, {{0}}, 0, 0, 0, NULL, 0, NULL, NULL \
    }

/* Store `value` under `key`, replacing value, expiry and tag. */
AKV_API akv_status akv_put(akv *db, akv_slice key, akv_slice value, const akv_write_options *opt);

/* Remove `key`. Removing what is not there is AKV_OK: no engine has to look.
 * With AKV_IF_PRESENT an absent key is AKV_CONFLICT. */
AKV_API akv_status akv_delete(akv *db, akv_slice key, const akv_write_options *opt);

/* Remove all keys in [lower, upper); an empty upper means to the end. Native:
 * one atomic step. Emulated: a scan and atomic batches of up to 1,000 keys. */
AKV_API akv_status akv_delete_range(akv *db, akv_slice lower, akv_slice upper,
                                    const akv_write_options *opt);

/* Combine `operand` into the value with the store's merge operator. Emulated:
 * a read and a conditional write, again when another write came between. */
AKV_API akv_status akv_merge(akv *db, akv_slice key, akv_slice operand,
                             const akv_write_options *opt);

/* Let a key live ttl_ms more from now, or for ever. AKV_ABSENT when it is not
 * there. A key is gone once the clock says its expiry or later. */
AKV_API akv_status akv_expire(akv *db, akv_slice key, uint64_t ttl_ms,
                              const akv_write_options *opt);
AKV_API akv_status akv_persist(akv *db, akv_slice key, const akv_write_options *opt);

/* A batch collects operations, copying their bytes, and akv_write applies them
 * in order, all or none; later operations see earlier ones, conditions judge
 * the store as it was before the batch. After akv_write the batch still holds
 * them: clear it, write it again or free it. At most 2^32 - 1 operations. A
 * ttl runs from when its operation was added. delete_range and merge can be
 * part of a batch only where they are native: emulated, neither is one step. */
AKV_API akv_status akv_batch_new(akv *db, akv_batch **batch_out);
AKV_API akv_status akv_batch_put(akv_batch *batch, akv_slice key, akv_slice value,
                                 const akv_write_options *opt);
AKV_API akv_status akv_batch_delete(akv_batch *batch, akv_slice key, const akv_write_options *opt);
AKV_API akv_status akv_batch_delete_range(akv_batch *batch, akv_slice lower, akv_slice upper,
                                          const akv_write_options *opt);
AKV_API akv_status akv_batch_merge(akv_batch *batch, akv_slice key, akv_slice operand,
                                   const akv_write_options *opt);
/* Only judge the condition in `opt`; nothing is written for this key. */
AKV_API akv_status akv_batch_check(akv_batch *batch, akv_slice key, const akv_write_options *opt);
AKV_API size_t     akv_batch_count(const akv_batch *batch);
AKV_API size_t     akv_batch_bytes(const akv_batch *batch); /* memory it holds */
AKV_API void       akv_batch_clear(akv_batch *batch);
AKV_API void       akv_batch_free(akv_batch *batch); /* takes NULL */
AKV_API akv_status akv_write(akv *db, const akv_batch *batch, const akv_write_options *opt);

/* How two values become one. `existing` is NULL when the key is absent or
 * expired. Fill `result_out` (empty at entry); any status but AKV_OK fails the
 * write with it. Must be pure: it may run again later, on any thread. Stores
 * that keep operands keep `name` too and refuse to open with another. */
typedef struct akv_merge_operator {
    const char *name;
    akv_status (*merge)(void *user, akv_slice key, const akv_slice *existing, akv_slice operand,
                        akv_buffer *result_out);
    void *user;
} akv_merge_operator;

/* Append bytes to a buffer, for merge operators and the like. */
AKV_API akv_status akv_buffer_append(akv_buffer *buffer, const void *data, size_t len);

/* ------------------------------------------------------------ transactions */

/* An optimistic transaction reads a snapshot overlaid with its own writes,
 * takes no locks, and commits as one atomic batch on condition that no key it
 * read has changed since. AKV_CONFLICT from commit means that nothing was
 * written: begin again. Every key that get, exists or an iterator returned is
 * checked, and every key found absent by get or exists; keys that others add
 * inside a scanned range are not noticed. Commit and abort always free it. */
AKV_API akv_status akv_txn_begin(akv *db, akv_txn **txn_out);
AKV_API akv_status akv_txn_get(akv_txn *txn, akv_slice key, const akv_read_options *opt,
                               akv_buffer *value_out);
AKV_API akv_status akv_txn_exists(akv_txn *txn, akv_slice key, const akv_read_options *opt);
AKV_API akv_status akv_txn_put(akv_txn *txn, akv_slice key, akv_slice value,
                               const akv_write_options *opt);
AKV_API akv_status akv_txn_delete(akv_txn *txn, akv_slice key, const akv_write_options *opt);
/* Forward and back over snapshot and own writes; the iterator must be freed
 * before the transaction ends. Own writes made later may or may not show. */
AKV_API akv_status akv_txn_scan(akv_txn *txn, const akv_scan_options *opt, akv_iter **iter_out);
AKV_API akv_status akv_txn_commit(akv_txn *txn, const akv_write_options *opt);
AKV_API void       akv_txn_abort(akv_txn *txn); /* takes NULL */

/* -------------------------------------------------------------- key spaces */

#define AKV_KEYSPACE_CREATE 1u

/* Key spaces are separate sets of keys in one store, sharing its log and its
 * batches. Names are 1..255 bytes of UTF-8. The pointer is valid until
 * akv_keyspace_close, which frees it and drops no data: only after the batches,
 * transactions, streams and iterators that were given it have ended. */
AKV_API akv_status akv_keyspace_open(akv *db, const char *name, uint32_t flags,
                                     akv_keyspace **keyspace_out);
AKV_API void       akv_keyspace_close(akv_keyspace *keyspace); /* takes NULL */
/* Remove a space and all in it. AKV_BUSY while it is open anywhere. */
AKV_API akv_status akv_keyspace_drop(akv *db, const char *name);
/* Call back with each name, sorted; stops when the callback answers non-zero. */
AKV_API akv_status akv_keyspace_list(akv  *db, int (*each)(void *user, const char *name),
                                     void *user);

/* ----------------------------------------------------------------- streams */

/* A stream reads or writes one value in pieces, for values that need not fit
 * in memory. A reader sees the value as it was when the stream was opened. */
AKV_API akv_status akv_stream_open(akv *db, akv_slice key, const akv_read_options *opt,
                                   akv_stream **stream_out);
AKV_API uint64_t   akv_stream_len(const akv_stream *stream);
/* Read up to cap bytes at `offset`; fewer only at the value's end, AKV_END
 * with *len_out 0 at or past it. */
AKV_API akv_status akv_stream_read(akv_stream *stream, uint64_t offset, void *buf, size_t cap,
                                   size_t *len_out);
AKV_API void       akv_stream_close(akv_stream *stream); /* takes NULL; a writer is aborted */

/* Write a value in pieces. Nothing shows before commit, which puts the whole
 * value in one step under the options given here. `append` begins with a copy
 * of what is stored now, if anything. Commit and abort always free it. */
AKV_API akv_status akv_stream_create(akv *db, akv_slice key, bool append,
                                     const akv_write_options *opt, akv_stream **stream_out);
AKV_API akv_status akv_stream_write(akv_stream *stream, const void *data, size_t len);
AKV_API akv_status akv_stream_commit(akv_stream *stream);
AKV_API void       akv_stream_abort(akv_stream *stream); /* takes NULL */

/* ------------------------------------------------------------- change feed */

typedef enum akv_change_kind {
    AKV_CHANGE_PUT          = 1, /* value, expiry and tag as stored, also after a merge */
    AKV_CHANGE_DELETE       = 2,
    AKV_CHANGE_DELETE_RANGE = 3, /* [key, upper) */
    AKV_CHANGE_DROP         = 4  /* a whole key space */
} akv_change_kind;

typedef struct akv_change {
    akv_change_kind kind;
    uint32_t        encoding;
    const char     *keyspace; /* NULL: the default one */
    akv_slice       key;
    akv_slice       upper; /* DELETE_RANGE; empty: to the end */
    akv_slice       value; /* PUT */
    uint64_t        expiry_ms;
    akv_version_tag version;
    bool            commit; /* the last change of its atomic write */
} akv_change;

/* Follow the store's changes in the order they were applied, from just after
 * `token` (one that akv_changes_token gave, of this store), or from now on if
 * it is empty. AKV_ABSENT: the store no longer holds history that old; scan it
 * and begin anew. */
AKV_API akv_status akv_changes_open(akv *db, akv_slice token, akv_changes **changes_out);
/* The next change, borrowed until the next call; AKV_END when there is none
 * yet. Waits up to wait_ms for one to come. */
AKV_API akv_status akv_changes_next(akv_changes *changes, uint64_t wait_ms, akv_change *change_out);
/* A token for the place just after the last change returned. */
AKV_API akv_status akv_changes_token(akv_changes *changes, akv_buffer *token_out);
AKV_API void       akv_changes_close(akv_changes *changes); /* takes NULL */

/* ----------------------------------------------------------------- opening */

#define AKV_OPEN_READ_ONLY 1u  /* change nothing, not even the files' times */
#define AKV_OPEN_CREATE    2u  /* make the store if it is not there */
#define AKV_OPEN_EXCLUSIVE 4u  /* with CREATE: fail if it is there */
#define AKV_OPEN_TRUNCATE  8u  /* begin empty, dropping what is there */
#define AKV_OPEN_SALVAGE   16u /* open what can be read of a damaged store */

typedef enum akv_log_level {
    AKV_LOG_ERROR = 0,
    AKV_LOG_WARN  = 1,
    AKV_LOG_INFO  = 2,
    AKV_LOG_DEBUG = 3
} akv_log_level;

/* Told of what no return value can say: recovery, background failures. Called
 * from any thread, never with a lock held that a call of the store needs. */
typedef struct akv_logger {
    void (*log)(void *user, akv_log_level level, const char *engine, const char *text);
    void         *user;
    akv_log_level level; /* the most talkative level wanted */
} akv_logger;

/* Where a 32-byte encryption key comes from; set just one. Keys never travel
 * in URIs or arguments. The library wipes its copy. */
typedef struct akv_key_source {
    size_t      size; /* sizeof(akv_key_source) */
    const char *file; /* 32 raw bytes or 64 hex digits */
    int         fd;   /* the same, read to its end; -1 when unused */
    int (*callback)(void *user, uint8_t key_out[32]); /* non-zero: refused */
    void *user;
} akv_key_source;
#define AKV_KEY_SOURCE_INIT                          \
    {                                                \
        sizeof(akv_key_source), NULL, -1, NULL, NULL \
    }

/* What every engine's own option struct begins with. */
typedef struct akv_engine_options {
    size_t      size;   /* of the engine's whole struct */
    const char *engine; /* its name; another engine refuses the struct */
} akv_engine_options;

/* Options common to all engines. NULL means AKV_OPEN_OPTIONS_INIT. */
typedef struct akv_open_options {
    size_t   size;  /* sizeof(akv_open_options) */
    uint32_t flags; /* AKV_OPEN_* */
    uint32_t sync;  /* akv_sync_mode */
    /* AKV_CAP_* that the handle must have, or open answers AKV_UNSUPPORTED;
     * and those that it must have natively, not emulated. */
    uint64_t required;
    uint64_t required_native;
    uint32_t sync_period_ms; /* AKV_SYNC_PERIODIC: 1..3600000 */
    int32_t  threads;        /* background threads at most; 0: none, call akv_work */
    uint64_t memory_budget;  /* bytes the store may hold at once; 0: no bound */
    /* One call in this many is timed for the latency histograms; 1 times all,
     * 0 none. Counters always run. */
    uint32_t latency_sample;
    uint32_t reserved;
    /* Components; NULL: malloc, no log, POSIX files, no encryption, no merge. */
    const akv_allocator      *allocator;
    const akv_logger         *logger;
    akv_env                  *env;
    const akv_key_source     *key;
    const akv_merge_operator *merge;
    const akv_engine_options *engine_options;
    /* "name=value,name=value": options of the engine or of this struct by
     * name, applied last; %XX stands for a byte. See `anykv options`. */
    const char *text;
} akv_open_options;
#define AKV_OPEN_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(akv_open_options), 0, AKV_SYNC_PERIODIC, 0, 0, 100, 1, 0, 256, 0, NULL, NULL, NULL, \
            NULL, NULL, NULL, NULL                                                                 \
    }

/* Open a store. `engine` NULL: `path` is a URI, "NAME:PATH?option=value&...",
 * or a plain path whose files tell the engine. `path` NULL is for engines that
 * need none. On failure *db_out is NULL and akv_last_error() says why. */
AKV_API akv_status akv_open(const char *engine, const char *path, const akv_open_options *opt,
                            akv **db_out);

/* Close the handle and free it. Every acknowledged write is in the kernel by
 * then; call akv_sync first to have it on the device, since a failure here
 * can only be told, not mended. AKV_BUSY: see contract 8. Takes NULL. */
AKV_API akv_status akv_close(akv *db);

/* What this handle can do, and the part of that which is emulated. */
AKV_API uint64_t    akv_capabilities(const akv *db);
AKV_API uint64_t    akv_capabilities_emulated(const akv *db);
AKV_API const char *akv_engine_name(const akv *db); /* static */
AKV_API void        akv_limits(const akv *db, uint64_t *max_key_out, uint64_t *max_value_out);

/* ------------------------------------------------------------- maintenance */

/* For work that may take long. `progress` is told what is done of `total`
 * (0: not known), both in `unit`; a non-zero answer cancels. `fault` is told
 * every fault that verify or repair finds. */
typedef struct akv_job_options {
    size_t            size; /* sizeof(akv_job_options) */
    uint64_t          deadline_ns;
    const akv_cancel *cancel;
    uint64_t          bytes_per_s; /* read and write no faster; 0: no bound */
    int (*progress)(void *user, uint64_t done, uint64_t total, const char *unit);
    void (*fault)(void *user, const akv_error *fault);
    void *user;
} akv_job_options;
#define AKV_JOB_OPTIONS_INIT                                  \
    {                                                         \
        sizeof(akv_job_options), 0, NULL, 0, NULL, NULL, NULL \
    }

/* All acknowledged writes are on the device when this returns AKV_OK. */
AKV_API akv_status akv_sync(akv *db);
/* A store opened for building (AKV_CAP_BUILD) takes puts and deletes and becomes
 * readable, durable and immutable here, or is dropped by abort. A failed finish
 * leaves the build as it was, to be finished again or dropped. On other stores
 * finish is akv_sync and abort is AKV_UNSUPPORTED. */
AKV_API akv_status akv_finish(akv *db, const akv_job_options *opt);
AKV_API akv_status akv_abort(akv *db);
/* Give back the space of what was overwritten, deleted or expired. */
AKV_API akv_status akv_compact(akv *db, const akv_job_options *opt);
/* Read everything and check every checksum and invariant. AKV_CORRUPT when
 * anything is wrong, after telling all of it to `fault`; the first is the
 * error record. Reads and writes go on meanwhile. */
AKV_API akv_status akv_verify(akv *db, const akv_job_options *opt);
/* A complete, durable copy of the store as of now at `path`, which must not
 * exist; opens like any store of its engine. A failure leaves nothing there. */
AKV_API akv_status akv_checkpoint(akv *db, const char *path, const akv_job_options *opt);
/* Do background work on this thread until there is none left: AKV_OK when
 * something was done, AKV_END when there was nothing. */
AKV_API akv_status akv_work(akv *db);
/* Verify again and again in the background, `period_s` between two ends and
 * beginnings, at options' bytes_per_s, telling faults from its own thread,
 * where stop and akv_close answer AKV_BUSY: end it by progress' answer. A store
 * opened with threads=0 does a round in akv_work whenever one is due. */
AKV_API akv_status akv_scrub_start(akv *db, uint32_t period_s, const akv_job_options *opt);
AKV_API akv_status akv_scrub_stop(akv *db);

/* Without a handle. `env` NULL: POSIX. */
/* The engine whose store lies at `path`; AKV_ABSENT when none knows it. */
AKV_API akv_status akv_detect(const char *path, akv_env *env, const char **engine_out);
/* Remove the store's files, and nothing else. `engine` NULL: detect. */
AKV_API akv_status akv_destroy(const char *engine, const char *path, akv_env *env);
/* Make a damaged store openable, keeping what can be kept; what was left out
 * goes to `fault`. */
AKV_API akv_status  akv_repair(const char *engine, const char *path, akv_env *env,
                               const akv_job_options *opt);
AKV_API const char *akv_version(void);    /* "0.1.0" */
AKV_API const char *akv_build_info(void); /* compiler, engines, features; one line */

/* ------------------------------------------------------------------- stats */

typedef enum akv_stat_kind {
    AKV_STAT_COUNTER   = 0, /* u64, only grows */
    AKV_STAT_GAUGE     = 1, /* u64 */
    AKV_STAT_RATIO     = 2, /* f64 */
    AKV_STAT_TEXT      = 3,
    AKV_STAT_HISTOGRAM = 4
} akv_stat_kind;

/* Percentiles are upper bounds of buckets at most 1/16 wide. */
typedef struct akv_histogram_summary {
    uint64_t count, sum, min, max, p50, p90, p99, p999;
} akv_histogram_summary;

typedef struct akv_stat {
    const char           *name; /* lower case, words joined by _ */
    const char           *unit; /* "bytes", "ns", "keys", "" and the like */
    const char           *help;
    akv_stat_kind         kind;
    uint64_t              u64;
    double                f64;
    const char           *text;
    akv_histogram_summary histogram;
} akv_stat;

typedef enum akv_format {
    AKV_FORMAT_TEXT        = 0, /* "name value unit" lines */
    AKV_FORMAT_JSON        = 1, /* one object */
    AKV_FORMAT_OPENMETRICS = 2
} akv_format;

/* A consistent enough picture of the store's figures, in a fixed order: the
 * front layer's (operations, latencies, open handles, memory), the engine's. */
AKV_API akv_status      akv_stats_get(akv *db, akv_stats **stats_out);
AKV_API size_t          akv_stats_count(const akv_stats *stats);
AKV_API const akv_stat *akv_stats_at(const akv_stats *stats, size_t i); /* NULL past the end */
AKV_API const akv_stat *akv_stats_find(const akv_stats *stats, const char *name); /* NULL: none */
AKV_API akv_status akv_stats_format(const akv_stats *stats, akv_format format, akv_buffer *out);
AKV_API void       akv_stats_free(akv_stats *stats); /* takes NULL */

/* ----------------------------------------------------------------- options */

typedef enum akv_option_type {
    AKV_OPTION_BOOL   = 0, /* bool */
    AKV_OPTION_U32    = 1, /* uint32_t */
    AKV_OPTION_I32    = 2, /* int32_t */
    AKV_OPTION_U64    = 3, /* uint64_t */
    AKV_OPTION_BYTES  = 4, /* uint64_t, "64MiB" */
    AKV_OPTION_MS     = 5, /* uint32_t, "100ms", "2s" */
    AKV_OPTION_CHOICE = 6, /* uint32_t, one of `choices` by its place */
    AKV_OPTION_TEXT   = 7  /* const char * */
} akv_option_type;

/* One row of the table that drives parsing, help and the man page. */
typedef struct akv_option {
    const char        *name;
    akv_option_type    type;
    size_t             offset;       /* of the field in its struct */
    uint64_t           min, max;     /* numbers; I32 as two's complement */
    uint64_t           initial;      /* default; CHOICE: its place */
    const char        *initial_text; /* TEXT: default, may be NULL */
    const char *const *choices;      /* CHOICE: NULL at the end */
    const char        *help;         /* one line */
} akv_option;

/* The options of an engine, or of akv_open_options for `engine` NULL.
 * AKV_UNSUPPORTED when this build has no such engine. */
AKV_API akv_status akv_options_table(const char *engine, const akv_option **table_out,
                                     size_t *n_out);
/* Set one field of `options`, a struct that `table` describes, from text.
 * TEXT fields point at `value`, which must outlive the struct. */
AKV_API akv_status akv_options_set(const akv_option *table, size_t n, void *options,
                                   const char *name, const char *value);
/* The field as text that akv_options_set reads back. */
AKV_API akv_status akv_options_print(const akv_option *option, const void *options,
                                     akv_buffer *text_out);

/* ----------------------------------------------------------------- engines */

/* Names of the engines in this process, built in and registered, NULL when i
 * is past the last. */
AKV_API const char *akv_engine_at(size_t i);
/* Add an engine from outside; see engine.h. It stays for good. */
AKV_API akv_status akv_register(const akv_engine *engine);

/* What an engine can do at most; a handle may do less (akv_capabilities). */
typedef struct akv_engine_info {
    size_t      size; /* sizeof(akv_engine_info), set by the caller */
    const char *name;
    const char *description;        /* one line */
    uint64_t    caps;               /* AKV_CAP_* */
    uint64_t    caps_emulated;      /* of those */
    uint64_t    max_key, max_value; /* bytes */
} akv_engine_info;
#define AKV_ENGINE_INFO_INIT                            \
    {                                                   \
        sizeof(akv_engine_info), NULL, NULL, 0, 0, 0, 0 \
    }

/* AKV_UNSUPPORTED when this process has no such engine. */
AKV_API akv_status akv_engine_describe(const char *engine, akv_engine_info *info_out);

#ifdef __cplusplus
}
#endif
#endif
