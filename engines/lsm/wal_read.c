/* SPDX-License-Identifier: MIT
 *
 * wal_read.c: reading a log back; see wal.h for where one ends and what is
 * damage.
 *
 * Fragments don't cross blocks, so the reader looks at one block at a time, in
 * a window of many, and puts records of several fragments together in a buffer,
 * which therefore never holds more than was found whole.
 */
#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/codec/crc.h"
#include "common/env/file.h"
#include "engines/lsm/format.h"
#include "engines/lsm/log.h"

#define READ_WINDOW (16u * LSM_LOG_BLOCK)
#define READ_TRIES  (32u * LSM_LOG_BLOCK) /* bytes checked in vain in one block */

typedef enum read_found {
    READ_WHOLE, /* a fragment, its checksum right */
    READ_END,   /* an end mark, or the file ends */
    READ_BAD
} read_found;

typedef struct read_fragment {
    uint64_t       off, next; /* next: where another would begin, if the length is right */
    const uint8_t *contents;
    uint32_t       crc, synced, len;
    uint8_t        type, flags;
    bool           has_next;
} read_fragment;

typedef struct log_reader {
    const char     *path;
    akv_file       *file;
    uint64_t        number;
    uint32_t        seed;
    lsm_recovery    mode;
    uint8_t        *window;
    uint64_t        window_off;
    size_t          window_len;
    akv_buffer      record;
    lsm_wal_report *report;
    akv_status (*each)(void *user, akv_slice record, uint64_t offset);
    void *user;
} log_reader;

const char *akvi_lsm_log_magic(lsm_log_content content)
{
    return content == LSM_LOG_MANIFEST ? "AKVLSMMF" : "AKVLSMWL";
}

/* --------------------------------------------------------------- fragments */

/* The bytes from `off` to the end of its block, or of the file. */
static akv_status read_block(log_reader *r, uint64_t off, const uint8_t **at_out, size_t *left_out)
{
    uint64_t   block = off - off % LSM_LOG_BLOCK;
    akv_status rc    = AKV_OK;
    size_t     end;

    if (block < r->window_off || block >= r->window_off + READ_WINDOW || r->window_len == 0) {
        r->window_off = block;
        rc = r->file->ops->read_at(r->file, r->window, READ_WINDOW, block, &r->window_len);
    }
    end = (size_t)(block - r->window_off) + LSM_LOG_BLOCK;
    if (rc != AKV_OK || end > r->window_len)
        end = rc == AKV_OK ? r->window_len : 0;
    *at_out   = r->window + (off - r->window_off);
    *left_out = off - r->window_off < end ? end - (size_t)(off - r->window_off) : 0;
    return rc;
}

static bool read_is_zero(const uint8_t *at, size_t len)
{
    uint8_t any = 0;

    for (size_t i = 0; i < len; i++)
        any |= at[i];
    return any == 0;
}

static bool read_is_known(const read_fragment *f)
{
    return f->flags == 0 && f->type >= LSM_FRAGMENT_FULL && f->type <= LSM_FRAGMENT_SYNCED;
}

static bool read_is_continuation(const read_fragment *f)
{
    return f->type == LSM_FRAGMENT_MIDDLE || f->type == LSM_FRAGMENT_LAST;
}

/* What stands at `off`. `before`: the fragment that it should continue, or NULL. */
static akv_status read_look(log_reader *r, uint64_t off, const read_fragment *before,
                            read_fragment *f, read_found *found_out)
{
    uint32_t       seed         = before ? before->crc : lsm_log_place_seed(r->seed, off);
    bool           is_continued = before != NULL;
    const uint8_t *at;
    size_t         left;
    akv_status     rc = read_block(r, off, &at, &left);

    *f         = (read_fragment){.off = off};
    *found_out = READ_END;
    if (rc != AKV_OK || left == 0)
        return rc;
    *found_out = READ_BAD;
    if (left < LSM_LOG_FRAGMENT || read_is_zero(at, LSM_LOG_FRAGMENT)) {
        if (read_is_zero(at, left < LSM_LOG_FRAGMENT ? left : LSM_LOG_FRAGMENT))
            *found_out = READ_END;
        return AKV_OK;
    }
    f->synced = akvi_get_le32(at + 4);
    f->len    = akvi_get_le16(at + 8);
    f->type   = at[10];
    f->flags  = at[11];
    if (f->len > left - LSM_LOG_FRAGMENT)
        return AKV_OK;
    f->has_next = true;
    f->next     = lsm_log_place(off + LSM_LOG_FRAGMENT + f->len);
    f->contents = at + LSM_LOG_FRAGMENT;
    f->crc      = akvi_crc32c(seed, at + 4, LSM_LOG_FRAGMENT - 4 + f->len);
    if (f->crc == akvi_get_le32(at) &&
        (!read_is_known(f) || read_is_continuation(f) == is_continued))
        *found_out = READ_WHOLE;
    return AKV_OK;
}

/* Whether a fragment of this log that continues none may begin at `at`: a look
 * at its head, which nearly always says no. */
static bool read_may_begin(uint64_t off, const uint8_t *at, size_t left)
{
    return at[11] == 0 &&
           (at[10] == LSM_FRAGMENT_FULL || at[10] == LSM_FRAGMENT_FIRST ||
            at[10] == LSM_FRAGMENT_SYNCED) &&
           akvi_get_le32(at + 4) <= off && akvi_get_le16(at + 8) <= left - LSM_LOG_FRAGMENT;
}

/* The same from `off` to the end of its block, tried at every byte. Bytes made to
 * look like heads of fragments all over can't keep it long. */
static akv_status read_comb(log_reader *r, uint64_t off, read_fragment *f, bool *found_out)
{
    const uint8_t *at;
    size_t         left, tried = 0;
    read_found     found;
    akv_status     rc = read_block(r, off, &at, &left);

    for (; rc == AKV_OK && left >= LSM_LOG_FRAGMENT && tried < READ_TRIES; off++, at++, left--) {
        if (!read_may_begin(off, at, left))
            continue;
        rc         = read_look(r, off, NULL, f, &found);
        *found_out = rc == AKV_OK && found == READ_WHOLE;
        if (*found_out)
            return AKV_OK;
        tried += f->len;
    }
    return rc;
}

/* The first fragment at or after `off` that is whole by itself and of this log:
 * anywhere in the first block; in those after at its beginning, or where the end
 * of a record that it begins with says. */
static akv_status read_resync(log_reader *r, uint64_t off, read_fragment *f, bool *found_out)
{
    const uint8_t *at;
    size_t         left;
    read_found     found;
    akv_status     rc;

    *found_out = false;
    rc         = read_comb(r, off, f, found_out);
    off += LSM_LOG_BLOCK - off % LSM_LOG_BLOCK;
    while (rc == AKV_OK && !*found_out && (rc = read_block(r, off, &at, &left)) == AKV_OK &&
           left > 0) {
        rc         = read_look(r, off, NULL, f, &found);
        *found_out = rc == AKV_OK && found == READ_WHOLE;
        off        = f->has_next ? f->next : off + LSM_LOG_BLOCK - off % LSM_LOG_BLOCK;
    }
    return rc;
}

/* ------------------------------------------------------------ where it ends */

static akv_status read_damaged(const log_reader *r, uint64_t off, const char *why)
{
    return AKV_FAIL_AT(AKV_CORRUPT, r->path, off,
                       "damaged log: %s; `anykv lsm repair` keeps what is whole", why);
}

/* The record at `off` is not whole: `bad` stands there, or where it should go
 * on. Note how much of it is left out, as far as it tells itself. */
static uint64_t read_extent(uint64_t off, const read_fragment *bad, read_found found)
{
    return found == READ_BAD && bad->has_next ? bad->next : bad->off > off ? bad->off : off;
}

/* No more can be read from `off` on, which is 0 for want of a head. What follows
 * tells whether that is the end. */
static akv_status read_stop(log_reader *r, uint64_t off, const read_fragment *bad, read_found found)
{
    lsm_wal_report *report = r->report;
    uint64_t        last   = read_extent(off, bad, found);
    read_fragment   f;
    bool            is_there;
    akv_status      rc = read_resync(r, bad->off, &f, &is_there);

    report->torn = found == READ_BAD || (off < bad->off && off > 0);
    while (rc == AKV_OK && is_there) {
        report->torn = true;
        last         = f.next > last ? f.next : last;
        if (f.synced > report->synced)
            report->synced = f.synced;
        rc = read_resync(r, f.next, &f, &is_there);
    }
    if (report->torn)
        report->dropped += last - off;
    if (rc != AKV_OK)
        return rc;
    if (report->synced > off)
        return read_damaged(r, off, "a record that had been synced is not whole");
    if (r->mode == LSM_RECOVERY_STRICT && report->torn)
        return read_damaged(r, off, "it does not end behind a whole record");
    return AKV_OK;
}

/* Salvage: go on with the next fragment that is whole, or end. */
static akv_status read_skip(log_reader *r, uint64_t off, const read_fragment *bad, read_found found,
                            uint64_t *next_out, bool *more_out)
{
    read_fragment f;
    akv_status    rc = read_resync(r, bad->off, &f, more_out);

    if (found == READ_BAD || off < bad->off || *more_out)
        r->report->torn = true;
    r->report->dropped += (*more_out ? f.off : read_extent(off, bad, found)) - off;
    *next_out = f.off;
    return rc;
}

/* ------------------------------------------------------------------ records */

static akv_status read_give(log_reader *r, akv_slice record, uint64_t off, uint64_t next)
{
    akv_status rc = r->each(r->user, record, off);

    if (rc == AKV_OK) {
        r->report->records++;
        r->report->bytes += record.len;
        r->report->end = next;
    }
    return rc;
}

static akv_status read_unknown(const log_reader *r, const read_fragment *f)
{
    return AKV_FAIL_AT(AKV_VERSION, r->path, f->off,
                       "a fragment of a type unknown to this library (%u, flags 0x%02x)", f->type,
                       f->flags);
}

/* The fragments after a FIRST, into r->record. On READ_WHOLE, f is the LAST. */
static akv_status read_rest(log_reader *r, read_fragment *f, read_found *found)
{
    akv_status rc = akv_buffer_append(&r->record, f->contents, f->len);

    while (rc == AKV_OK && *found == READ_WHOLE && f->type != LSM_FRAGMENT_LAST) {
        read_fragment before = *f;

        rc = read_look(r, before.next, &before, f, found);
        if (rc == AKV_OK && *found == READ_WHOLE)
            rc = read_is_known(f) ? akv_buffer_append(&r->record, f->contents, f->len)
                                  : read_unknown(r, f);
    }
    return rc;
}

/* One record or what stands in its place at *off, which goes on. */
static akv_status read_one(log_reader *r, uint64_t *off, bool *more_out)
{
    uint64_t      begin = *off;
    read_fragment f;
    read_found    found;
    akv_status    rc = read_look(r, begin, NULL, &f, &found);

    akvi_buffer_clear(&r->record);
    if (rc == AKV_OK && found == READ_WHOLE && !read_is_known(&f))
        rc = read_unknown(r, &f);
    if (rc == AKV_OK && found == READ_WHOLE && f.synced > r->report->synced)
        r->report->synced = f.synced;
    if (rc == AKV_OK && found == READ_WHOLE && f.type == LSM_FRAGMENT_FIRST)
        rc = read_rest(r, &f, &found);
    if (rc != AKV_OK)
        return rc;
    if (found == READ_WHOLE && f.type == LSM_FRAGMENT_SYNCED) {
        found = READ_END;
        f.off = begin = f.next;
    }
    *more_out = found == READ_WHOLE;
    if (found != READ_WHOLE && r->mode == LSM_RECOVERY_SALVAGE)
        return read_skip(r, begin, &f, found, off, more_out);
    if (found != READ_WHOLE)
        return read_stop(r, begin, &f, found);
    *off = f.next;
    return read_give(r,
                     f.type == LSM_FRAGMENT_FULL ? akv_bytes(f.contents, f.len)
                                                 : akvi_buffer_slice(&r->record),
                     begin, f.next);
}

/* -------------------------------------------------------------------- files */

/* The head is not this log's. Either this life of the file was never begun, or
 * the head is bad: it was on the device before any record. */
static akv_status read_headless(log_reader *r, bool is_bad, bool *more_out)
{
    const read_fragment after = {.off = LSM_LOG_HEAD};
    read_fragment       first;

    r->report->end = 0;
    *more_out      = false;
    if (r->mode == LSM_RECOVERY_SALVAGE)
        return read_resync(r, LSM_LOG_HEAD, &first, more_out);
    return read_stop(r, 0, &after, is_bad ? READ_BAD : READ_END);
}

static akv_status read_head(log_reader *r, lsm_log_content content, bool *more_out)
{
    const uint8_t *at;
    size_t         left;
    uint64_t       number;
    akv_status     rc = read_block(r, 0, &at, &left);

    if (rc != AKV_OK)
        return rc;
    if (left < LSM_LOG_HEAD || akvi_get_le32(at + 28) != akvi_crc32c(0, at, 28))
        return read_headless(r, !read_is_zero(at, left < LSM_LOG_HEAD ? left : LSM_LOG_HEAD),
                             more_out);
    if (memcmp(at, akvi_lsm_log_magic(content), 8) != 0)
        return read_damaged(r, 0, "its head is that of another kind of file");
    if (akvi_get_le32(at + 8) != LSM_LOG_VERSION || akvi_get_le32(at + 12) != 0)
        return AKV_FAIL_AT(AKV_VERSION, r->path, 8,
                           "log version %u with features 0x%x; this library reads version %u",
                           akvi_get_le32(at + 8), akvi_get_le32(at + 12), LSM_LOG_VERSION);
    number = akvi_get_le64(at + 20);
    return number == r->number ? AKV_OK : read_headless(r, number > r->number, more_out);
}

static akv_status read_all(log_reader *r, lsm_log_content content)
{
    uint64_t   off  = LSM_LOG_HEAD;
    bool       more = true;
    akv_status rc   = read_head(r, content, &more);

    while (rc == AKV_OK && more)
        rc = read_one(r, &off, &more);
    return rc;
}

akv_status akvi_lsm_log_read(const akv_allocator *allocator, akv_env *env, const char *path,
                             lsm_log_content content, uint64_t number, lsm_recovery mode,
                             akv_status (*each)(void *user, akv_slice record, uint64_t offset),
                             void *user, lsm_wal_report *report_out)
{
    log_reader r  = {.path   = path,
                     .number = number,
                     .seed   = akvi_lsm_log_seed(number),
                     .mode   = mode,
                     .record = {NULL, 0, 0, allocator},
                     .report = report_out,
                     .each   = each,
                     .user   = user};
    akv_status rc = env->ops->open(env, path, 0, &r.file);

    *report_out = (lsm_wal_report){.end = LSM_LOG_HEAD};
    if (rc == AKV_OK)
        r.window = akvi_alloc(allocator, READ_WINDOW);
    if (rc == AKV_OK)
        rc = r.window ? read_all(&r, content) : AKV_NOMEM;
    akvi_free(allocator, r.window, READ_WINDOW);
    akvi_file_drop(r.file);
    akv_buffer_free(&r.record);
    return rc;
}
