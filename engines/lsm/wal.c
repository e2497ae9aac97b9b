/* SPDX-License-Identifier: MIT
 *
 * wal.c: appending to a log; see wal.h.
 *
 * Always: the twelve bytes at `end` in the file are zero, or the file ends
 * before them. So there is an end mark behind the last record, whatever an
 * earlier life of the file left, and a failed append need only restore it.
 *
 * Room is made ready ahead, by zeroes. In a recycled file that saves the system
 * from reading pages which are about to be overwritten. In a growing one that is
 * being synced it keeps most syncs from having to write a size. The zeroes are
 * written in small pieces: the page cache would keep a large one as one large
 * folio, in which small writes are slow.
 *
 * Small records are stored into those zeroes through a mapping where the env can:
 * that reaches the kernel as a write does, without the call. What does not end
 * in them is written.
 */
#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/codec/crc.h"
#include "common/env/file.h"
#include "common/env/probe.h"
#include "engines/lsm/format.h"
#include "engines/lsm/log.h"

#include <stdatomic.h>

#define WAL_ZEROES     16384u
#define WAL_STEP       (64u * 1024u)   /* zeroes ahead where the file already is */
#define WAL_GROW       (1024u * 1024u) /* zeroes by which a synced log grows */
#define WAL_STORE      8192u           /* longer records are written, not stored */
#define WAL_FRAME_KEEP (1024u * 1024u) /* a larger buffer is not kept */

struct lsm_wal {
    /* fixed after create */
    const akv_allocator *allocator;
    akv_file            *file;
    uint32_t             seed;
    uint8_t             *map; /* of [0, map_len), shared; NULL: none */
    uint64_t             map_len;
    /* the appender's */
    uint64_t   end;    /* where the next fragment goes */
    uint64_t   ready;  /* zeroes up to here */
    uint64_t   extent; /* the file's size */
    akv_buffer frame;  /* a record in fragments */
    bool       is_stuck;
    /* both sides' */
    _Atomic uint64_t appended; /* = end, once it is written */
    _Atomic uint64_t synced;
};

static const uint8_t wal_zeroes[WAL_ZEROES];

/* ------------------------------------------------------------------- create */

uint32_t akvi_lsm_log_seed(uint64_t number)
{
    uint8_t bytes[8];

    akvi_put_le64(bytes, number);
    return akvi_crc32c(0, bytes, sizeof bytes);
}

/* The head and the first end mark, on the device. */
static akv_status wal_begin(lsm_wal *w, lsm_log_content content, uint64_t number, uint64_t size)
{
    uint8_t       head[LSM_LOG_HEAD + LSM_LOG_FRAGMENT] = {0};
    akv_file_info info;
    akv_status    rc = w->file->ops->info(w->file, &info);

    if (rc == AKV_OK && info.size / 2 > size)
        rc = w->file->ops->truncate(w->file, info.size = size);
    if (rc != AKV_OK)
        return rc;
    w->extent = info.size;
    w->end    = LSM_LOG_HEAD;
    w->ready  = sizeof head;
    if (akvi_file_allocate(w->file, size) != AKV_OK)
        akv_engine_recovered(); /* a help, no need */
    memcpy(head, akvi_lsm_log_magic(content), 8);
    akvi_put_le32(head + 8, LSM_LOG_VERSION);
    akvi_put_le64(head + 20, number);
    akvi_put_le32(head + 28, akvi_crc32c(0, head, 28));
    rc = w->file->ops->write_at(w->file, head, sizeof head, 0);
    return rc == AKV_OK ? w->file->ops->sync(w->file, true) : rc;
}

static akv_status wal_open(lsm_wal *w, akv_env *env, const char *path, const char *recycle)
{
    uint32_t   flags = AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_EXCLUDE;
    akv_status rc    = AKV_OK;

    if (recycle) {
        flags = AKV_FILE_WRITE;
        rc    = env->ops->rename(env, recycle, path);
    }
    return rc == AKV_OK ? env->ops->open(env, path, flags, &w->file) : rc;
}

static akv_status wal_sync_name(const akv_allocator *allocator, akv_env *env, const char *path)
{
    char      *folder = akvi_path_folder(allocator, path);
    akv_status rc     = folder ? env->ops->sync_folder(env, folder) : AKV_NOMEM;

    akvi_strfree(allocator, folder);
    return rc;
}

/* No failure: without a mapping, all is written. */
static void wal_map(lsm_wal *w, uint64_t size)
{
    akvi_call_state held;
    void           *data = NULL;

    akvi_probe_begin(&held);
    if (size <= SIZE_MAX && akvi_file_map_shared(w->file, (size_t)size, &data) == AKV_OK) {
        w->map     = data;
        w->map_len = data ? size : 0;
    }
    akvi_probe_end(&held, false);
}

akv_status akvi_lsm_log_create(const akv_allocator *allocator, akv_env *env, const char *path,
                               lsm_log_content content, uint64_t number, const char *recycle,
                               uint64_t size, lsm_wal **wal_out)
{
    lsm_wal   *w = akvi_zalloc(allocator, sizeof *w);
    akv_status rc;

    *wal_out = NULL;
    if (!w)
        return AKV_NOMEM;
    w->allocator       = allocator;
    w->frame.allocator = allocator;
    w->seed            = akvi_lsm_log_seed(number);
    rc                 = wal_open(w, env, path, recycle);
    if (rc == AKV_OK) /* first: until the old name is gone, the old log is whole */
        rc = wal_sync_name(allocator, env, path);
    if (rc == AKV_OK)
        rc = wal_begin(w, content, number, size);
    if (rc != AKV_OK) {
        akvi_file_drop(w->file);
        akvi_free(allocator, w, sizeof *w);
        return rc;
    }
    if (content == LSM_LOG_WAL)
        wal_map(w, size);
    atomic_init(&w->appended, w->end);
    atomic_init(&w->synced, w->end);
    *wal_out = w;
    return AKV_OK;
}

/* ------------------------------------------------------------------- append */

/* Have zeroes before `end` and beyond, where that is worth it. What fails here
 * does not matter: the append itself will tell. */
static void wal_make_ready(lsm_wal *w, uint64_t end)
{
    bool     is_inside = end <= w->extent;
    uint64_t from      = w->ready > w->end ? w->ready : w->end;
    bool     is_synced = atomic_load_explicit(&w->synced, memory_order_relaxed) > LSM_LOG_HEAD;
    bool     is_stored = w->map && end + WAL_STEP <= w->map_len && end - w->end <= WAL_STORE;
    uint64_t to        = end + (is_synced && !is_inside ? WAL_GROW : WAL_STEP);
    akvi_call_state held;
    akv_status      rc = AKV_OK;

    if (!is_inside && !is_synced && !is_stored)
        return;
    to -= to % WAL_ZEROES;
    if (from < end - end % WAL_ZEROES) /* the record itself fills what is before */
        from = end - end % WAL_ZEROES;
    if (is_inside && to > w->extent)
        to = w->extent;
    akvi_probe_begin(&held);
    while (rc == AKV_OK && from < to) {
        size_t n = (size_t)(WAL_ZEROES - from % WAL_ZEROES);

        if (n > to - from)
            n = (size_t)(to - from);
        rc = w->file->ops->write_at(w->file, wal_zeroes, n, from);
        if (rc == AKV_OK)
            w->ready = from += n;
    }
    akvi_probe_end(&held, false);
    if (w->ready > w->extent)
        w->extent = w->ready;
}

typedef struct wal_source {
    const akv_slice *parts;
    size_t           done; /* bytes of the first */
} wal_source;

static void wal_take(wal_source *from, uint8_t *to, size_t len)
{
    while (len > 0) {
        size_t n = from->parts->len - from->done;

        if (n > len)
            n = len;
        if (n > 0)
            memcpy(to, (const uint8_t *)from->parts->data + from->done, n);
        to += n;
        len -= n;
        from->done += n;
        if (from->done == from->parts->len) {
            from->parts++;
            from->done = 0;
        }
    }
}

static uint32_t wal_put_fragment(uint8_t *at, uint32_t seed, uint64_t synced, size_t len,
                                 lsm_fragment_type type)
{
    uint32_t crc;

    akvi_put_le32(at + 4, (uint32_t)synced);
    akvi_put_le16(at + 8, (uint16_t)len);
    at[10] = (uint8_t)type;
    at[11] = 0;
    crc    = akvi_crc32c(seed, at + 4, LSM_LOG_FRAGMENT - 4 + len);
    akvi_put_le32(at, crc);
    return crc;
}

/* The bytes of all parts, and about how many they take in the log: at most. */
static akv_status wal_measure(const lsm_wal *w, const akv_slice *parts, size_t n, size_t *total_out,
                              size_t *most_out)
{
    size_t total = 0, most = 0;
    bool   fits = true;

    for (size_t i = 0; i < n && fits; i++)
        fits = akvi_add_size(total, parts[i].len, &total);
    /* A first fragment, a last, an end mark and the padding before it. */
    fits = fits &&
           akvi_add_size(total, (total / (LSM_LOG_BLOCK - LSM_LOG_FRAGMENT) + 4) * LSM_LOG_FRAGMENT,
                         &most) &&
           most <= LSM_LOG_MAX - w->end;
    *total_out = total;
    *most_out  = most;
    if (!fits)
        return AKV_FAIL(AKV_TOO_BIG, "a record of %zu bytes is more than a log can hold", total);
    return AKV_OK;
}

/* Lay the record out in w->frame as it will stand at w->end, up to where the
 * next fragment goes, and the end mark behind it. */
static akv_status wal_frame(lsm_wal *w, const akv_slice *parts, size_t total, size_t most)
{
    uint64_t   off = w->end, synced = atomic_load_explicit(&w->synced, memory_order_relaxed);
    wal_source from     = {parts, 0};
    uint32_t   seed     = lsm_log_place_seed(w->seed, off);
    bool       is_first = true;
    uint8_t   *at;
    size_t     pad;

    akvi_buffer_clear(&w->frame);
    if (akvi_buffer_reserve(&w->frame, most) != AKV_OK)
        return AKV_NOMEM;
    at = w->frame.data;
    do {
        size_t room    = LSM_LOG_BLOCK - (size_t)(off % LSM_LOG_BLOCK) - LSM_LOG_FRAGMENT;
        bool   is_last = total <= room;
        size_t len     = is_last ? total : room;

        wal_take(&from, at + LSM_LOG_FRAGMENT, len);
        seed = wal_put_fragment(at, seed, synced, len,
                                is_first ? (is_last ? LSM_FRAGMENT_FULL : LSM_FRAGMENT_FIRST)
                                         : (is_last ? LSM_FRAGMENT_LAST : LSM_FRAGMENT_MIDDLE));
        at += LSM_LOG_FRAGMENT + len;
        off += LSM_LOG_FRAGMENT + len;
        total -= len;
        is_first = false;
    } while (total > 0);
    pad = (size_t)(lsm_log_place(off) - off);
    memset(at, 0, pad + LSM_LOG_FRAGMENT);
    w->frame.len = (size_t)(at - (uint8_t *)w->frame.data) + pad + LSM_LOG_FRAGMENT;
    return AKV_OK;
}

/* A write at w->end failed: see to it that no reader finds a record there. That
 * it was not begun can be seen; else its head has to go, also from the device,
 * where a later sync might find it. */
static akv_status wal_undo(lsm_wal *w, akv_status failed)
{
    uint8_t    head[LSM_LOG_FRAGMENT] = {0};
    size_t     got;
    akv_status rc = w->file->ops->read_at(w->file, head, sizeof head, w->end, &got);

    w->ready = w->end; /* what lies behind may have a hole before it */
    if (rc == AKV_OK && memcmp(head, wal_zeroes, got) == 0)
        return failed;
    rc = w->file->ops->write_at(w->file, wal_zeroes, LSM_LOG_FRAGMENT, w->end);
    if (rc != AKV_OK) {
        rc        = w->file->ops->truncate(w->file, w->end);
        w->extent = w->ready = w->end;
    }
    if (rc == AKV_OK)
        rc = w->file->ops->sync(w->file, false);
    w->is_stuck = rc != AKV_OK;
    return w->is_stuck ? AKV_POISONED : failed;
}

akv_status akvi_lsm_wal_append(lsm_wal *wal, const akv_slice *parts, size_t n)
{
    lsm_wal   *w = wal;
    size_t     total, most;
    uint64_t   end;
    akv_status rc;

    if (w->is_stuck)
        return AKV_FAIL(AKV_POISONED, "a failed append to this log could not be undone");
    rc = wal_measure(w, parts, n, &total, &most);
    if (rc == AKV_OK)
        rc = wal_frame(w, parts, total, most);
    if (rc != AKV_OK)
        return rc;
    end = w->end + w->frame.len;
    if (end <= w->ready && end <= w->map_len && w->frame.len <= WAL_STORE) {
        memcpy(w->map + w->end, w->frame.data, w->frame.len);
    } else {
        if (end > w->ready)
            wal_make_ready(w, end);
        rc = w->file->ops->write_at(w->file, w->frame.data, w->frame.len, w->end);
        if (rc != AKV_OK)
            return wal_undo(w, rc);
    }
    if (w->frame.cap > WAL_FRAME_KEEP)
        akv_buffer_free(&w->frame);
    if (end > w->extent)
        w->extent = end;
    w->end = end - LSM_LOG_FRAGMENT;
    atomic_store_explicit(&w->appended, w->end, memory_order_release);
    return AKV_OK;
}

/* -------------------------------------------------------------- sync, close */

akv_status akvi_lsm_wal_sync(lsm_wal *wal)
{
    uint64_t   upto = atomic_load_explicit(&wal->appended, memory_order_acquire);
    akv_status rc   = wal->file->ops->sync(wal->file, false);

    if (rc == AKV_OK && upto > atomic_load_explicit(&wal->synced, memory_order_relaxed))
        atomic_store_explicit(&wal->synced, upto, memory_order_relaxed);
    return rc;
}

uint64_t akvi_lsm_wal_size(const lsm_wal *wal)
{
    return atomic_load_explicit(&wal->appended, memory_order_relaxed);
}

void akvi_lsm_wal_mark(lsm_wal *wal)
{
    uint8_t         mark[LSM_LOG_FRAGMENT];
    akvi_call_state held;

    if (wal->is_stuck || atomic_load_explicit(&wal->synced, memory_order_relaxed) != wal->end)
        return;
    wal_put_fragment(mark, lsm_log_place_seed(wal->seed, wal->end), wal->end, 0,
                     LSM_FRAGMENT_SYNCED);
    akvi_probe_begin(&held);
    (void)wal->file->ops->write_at(wal->file, mark, sizeof mark, wal->end);
    akvi_probe_end(&held, false);
}

akv_status akvi_lsm_wal_close(lsm_wal *wal)
{
    akv_status rc;

    if (!wal)
        return AKV_OK;
    akvi_lsm_wal_mark(wal);
    rc = wal->file->ops->close(wal->file);
    akv_buffer_free(&wal->frame);
    akvi_free(wal->allocator, wal, sizeof *wal);
    return rc;
}
