/* SPDX-License-Identifier: MIT
 *
 * writer.c: akvi_writer of file.h, "write a file durably".
 *
 * Order makes it safe: contents and permissions are on the device before the
 * name moves, and the name before commit answers. The lock on the temporary is
 * exclusive until commit and shared while the name moves, so that neither a
 * beginning writer takes it for a leftover nor a reader finds the new file
 * locked.
 */
#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/env/file.h"
#include "common/env/probe.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define WRITER_BUFFER ((size_t)1 << 20)
#define WRITER_MARK   ".tmp-"
#define WRITER_TRIES  10000 /* names taken before we give up on finding a free one */

struct akvi_writer {
    akv_env             *env;
    const akv_allocator *allocator;
    char                *path;   /* links followed */
    char                *folder; /* of path */
    char                *temp;   /* NULL once it is gone or has become the target */
    akv_file            *file;   /* open on temp */
    bool                 replaces;
    bool                 is_private; /* not for others to read while it is made */
    uint32_t             mode;       /* of the file it replaces */
    akv_buffer           pending;    /* not yet written, begins at `written` */
    uint64_t             written;
    akv_status           failed; /* the first failure; commit refuses then */
};

/* ---------------------------------------------------------------- leftovers */

typedef struct writer_sweep {
    const char *name;  /* of the target */
    akv_buffer  found; /* names, each with its NUL */
} writer_sweep;

static bool writer_digits(const char **at)
{
    const char *from = *at;

    while (**at >= '0' && **at <= '9')
        (*at)++;
    return *at > from;
}

static bool writer_is_temp_of(const char *name, const char *target)
{
    size_t len = strlen(target);

    if (strncmp(name, target, len) != 0 ||
        strncmp(name + len, WRITER_MARK, strlen(WRITER_MARK)) != 0)
        return false;
    name += len + strlen(WRITER_MARK);
    return writer_digits(&name) && *name++ == '-' && writer_digits(&name) && *name == '\0';
}

static int writer_sweep_see(void *user, const char *name)
{
    writer_sweep *sweep = user;

    if (!writer_is_temp_of(name, sweep->name))
        return 0;
    return akv_buffer_append(&sweep->found, name, strlen(name) + 1) != AKV_OK;
}

/* Remove a temporary that no writer has locked. */
static void writer_sweep_one(akvi_writer *w, const char *path)
{
    akv_env  *env  = w->env;
    akv_file *file = NULL;

    if (env->ops->open(env, path, AKV_FILE_WRITE, &file) == AKV_OK &&
        file->ops->lock(file, true) == AKV_OK)
        (void)env->ops->remove(env, path);
    akvi_file_drop(file);
}

/* What can't be removed now may be the next time, so nothing here fails. */
static void writer_sweep_all(akvi_writer *w)
{
    writer_sweep    sweep = {akvi_path_name(w->path), {NULL, 0, 0, w->allocator}};
    akvi_call_state held;

    akvi_probe_begin(&held);
    (void)w->env->ops->list(w->env, w->folder, writer_sweep_see, &sweep);
    for (size_t at = 0; at < sweep.found.len;) {
        const char *name = (const char *)sweep.found.data + at;
        char       *path = akvi_path_join(w->allocator, w->folder, name);

        if (path)
            writer_sweep_one(w, path);
        akvi_strfree(w->allocator, path);
        at += strlen(name) + 1;
    }
    akv_buffer_free(&sweep.found);
    akvi_probe_end(&held, false);
}

/* -------------------------------------------------------------------- begin */

static akv_status writer_follow(akvi_writer *w, const char *path)
{
    akv_buffer followed = {NULL, 0, 0, w->allocator};
    akv_status rc       = AKV_OK;

    if (w->env->ops->follow)
        rc = w->env->ops->follow(w->env, path, &followed);
    if (rc == AKV_OK)
        w->path = akvi_strdup(w->allocator, followed.data ? followed.data : path);
    akv_buffer_free(&followed);
    if (rc == AKV_OK)
        w->folder = w->path ? akvi_path_folder(w->allocator, w->path) : NULL;
    return rc != AKV_OK || w->folder ? rc : AKV_NOMEM;
}

static akv_status writer_see_target(akvi_writer *w)
{
    akv_file_info info;
    akv_status    rc = akvi_path_info(w->env, w->path, &info);

    if (rc == AKV_ABSENT)
        return AKV_OK;
    if (rc != AKV_OK)
        return rc;
    if (info.kind == AKV_KIND_FOLDER)
        return AKV_FAIL_ERRNO(EISDIR, w->path, AKV_NO_OFFSET, "can't write");
    if (info.kind != AKV_KIND_FILE)
        return AKV_FAIL_AT(AKV_MISUSE, w->path, AKV_NO_OFFSET,
                           "not a plain file, so it can't be replaced");
    w->replaces = true;
    w->mode     = info.mode;
    return AKV_OK;
}

/* AKV_OK with the temporary open and locked, AKV_ABSENT when another got that
 * name first. */
static akv_status writer_try_temp(akvi_writer *w)
{
    uint32_t      flags = AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_EXCLUDE;
    akv_file_info ours, there;
    akv_status    rc;

    /* Who may not read the old file may not read the new one in the making. */
    if (w->replaces || w->is_private)
        flags |= AKV_FILE_PRIVATE;
    rc = w->env->ops->open(w->env, w->temp, flags, &w->file);
    if (rc != AKV_OK)
        return rc == AKV_IO && akvi_pending_error()->os_errno == EEXIST ? AKV_ABSENT : rc;
    /* Between open and lock, another's sweep may have locked or removed it. A
     * file system without locks has no sweeps that remove. */
    rc = w->file->ops->lock(w->file, true);
    if (rc == AKV_LOCKED)
        return AKV_ABSENT;
    akv_engine_recovered();
    rc = w->file->ops->info(w->file, &ours);
    if (rc == AKV_OK)
        rc = akvi_path_info(w->env, w->temp, &there);
    if (rc == AKV_OK && (ours.device != there.device || ours.inode != there.inode))
        rc = AKV_ABSENT;
    if (rc < 0)
        (void)w->env->ops->remove(w->env, w->temp);
    return rc;
}

static akv_status writer_open_temp(akvi_writer *w)
{
    static _Atomic unsigned counter;
    akvi_call_state         held;
    akv_status              rc = AKV_ABSENT;

    akvi_probe_begin(&held);
    for (int tries = 0; rc == AKV_ABSENT && tries < WRITER_TRIES; tries++) {
        akv_buffer name = {NULL, 0, 0, w->allocator};

        akv_engine_recovered();
        rc = akvi_buffer_printf(&name, "%s" WRITER_MARK "%ld-%u", w->path, (long)getpid(),
                                atomic_fetch_add(&counter, 1));
        if (rc == AKV_OK)
            w->temp = akvi_strdup(w->allocator, name.data);
        akv_buffer_free(&name);
        if (rc == AKV_OK)
            rc = w->temp ? writer_try_temp(w) : AKV_NOMEM;
        if (rc == AKV_OK)
            break;
        akvi_file_drop(w->file);
        w->file = NULL;
        akvi_strfree(w->allocator, w->temp);
        w->temp = NULL;
    }
    akvi_probe_end(&held, rc < 0);
    if (rc == AKV_ABSENT)
        rc = AKV_FAIL_ERRNO(EEXIST, w->path, AKV_NO_OFFSET, "can't find a name for a temporary");
    return rc;
}

akv_status akvi_writer_begin(akv_env *env, const akv_allocator *allocator, const char *path,
                             akvi_writer **writer_out)
{
    akvi_writer *w = akvi_zalloc(allocator, sizeof *w);
    akv_status   rc;

    *writer_out = NULL;
    if (!w)
        return AKV_NOMEM;
    w->env               = env;
    w->allocator         = allocator;
    w->pending.allocator = allocator;
    rc                   = writer_follow(w, path);
    if (rc == AKV_OK)
        rc = writer_see_target(w);
    if (rc == AKV_OK) {
        writer_sweep_all(w);
        rc = writer_open_temp(w);
    }
    if (rc != AKV_OK) {
        akvi_writer_abort(w);
        return rc;
    }
    *writer_out = w;
    return AKV_OK;
}

/* -------------------------------------------------------------------- bytes */

static akv_status writer_put(akvi_writer *w, const void *data, size_t len)
{
    akv_status rc = w->file->ops->write_at(w->file, data, len, w->written);

    if (rc == AKV_OK)
        w->written += len;
    else
        w->failed = rc;
    return rc;
}

static akv_status writer_flush(akvi_writer *w)
{
    akv_status rc = AKV_OK;

    if (w->pending.len > 0)
        rc = writer_put(w, w->pending.data, w->pending.len);
    if (rc == AKV_OK)
        akvi_buffer_clear(&w->pending);
    return rc;
}

/* Keep the bytes for later, if there is memory: a store that has used up its
 * budget must still be able to save itself. */
static bool writer_hold(akvi_writer *w, const void *data, size_t len)
{
    akvi_call_state held;
    akv_status      rc;

    akvi_probe_begin(&held);
    rc = akv_buffer_append(&w->pending, data, len);
    akvi_probe_end(&held, false);
    return rc == AKV_OK;
}

akv_status akvi_writer_append(akvi_writer *writer, const void *data, size_t len)
{
    akv_status rc = AKV_OK;

    if (len > WRITER_BUFFER - writer->pending.len)
        rc = writer_flush(writer);
    if (rc != AKV_OK)
        return rc;
    if (len < WRITER_BUFFER && writer_hold(writer, data, len))
        return AKV_OK;
    rc = writer_flush(writer);
    return rc == AKV_OK ? writer_put(writer, data, len) : rc;
}

akv_status akvi_writer_patch(akvi_writer *writer, uint64_t off, const void *data, size_t len)
{
    const uint8_t *from  = data;
    size_t         there = 0; /* bytes of it already in the file */
    akv_status     rc    = AKV_OK;

    if (!akvi_range_ok(off, len, akvi_writer_size(writer)))
        return AKV_FAIL_AT(AKV_MISUSE, writer->path, off,
                           "can't overwrite %zu bytes: only %llu are written", len,
                           (unsigned long long)akvi_writer_size(writer));
    if (off < writer->written)
        there = len < writer->written - off ? len : (size_t)(writer->written - off);
    if (there > 0)
        rc = writer->file->ops->write_at(writer->file, from, there, off);
    if (rc != AKV_OK)
        writer->failed = rc;
    else if (there < len)
        memcpy((uint8_t *)writer->pending.data + (off + there - writer->written), from + there,
               len - there);
    return rc;
}

akv_status akvi_writer_flush(akvi_writer *writer, akv_file **file_out)
{
    *file_out = writer->file;
    return writer_flush(writer);
}

uint64_t akvi_writer_size(const akvi_writer *writer)
{
    return writer->written + writer->pending.len;
}

/* --------------------------------------------------------- without a name */

akv_status akvi_temp_open(akv_env *env, const akv_allocator *allocator, const char *path,
                          akv_file **file_out)
{
    akvi_writer *w = akvi_zalloc(allocator, sizeof *w);
    akv_status   rc;

    *file_out = NULL;
    if (!w)
        return AKV_NOMEM;
    w->env               = env;
    w->allocator         = allocator;
    w->pending.allocator = allocator;
    w->is_private        = true;
    rc                   = writer_follow(w, path);
    if (rc == AKV_OK) {
        writer_sweep_all(w);
        rc = writer_open_temp(w);
    }
    if (rc == AKV_OK)
        rc = env->ops->remove(env, w->temp);
    if (rc == AKV_OK) {
        *file_out = w->file;
        w->file   = NULL;
        akvi_strfree(allocator, w->temp);
        w->temp = NULL;
    }
    akvi_writer_abort(w);
    return rc;
}

/* ------------------------------------------------------------ commit, abort */

/* Contents and permissions on the device. */
static akv_status writer_settle(akvi_writer *w)
{
    akvi_call_state held;
    akv_status      rc;

    if (w->failed != AKV_OK)
        return AKV_FAIL_AT(w->failed, w->path, AKV_NO_OFFSET,
                           "an earlier write to it failed, so it can't be committed");
    rc = writer_flush(w);
    if (rc == AKV_OK && w->replaces) {
        akvi_probe_begin(&held);
        rc = akvi_file_set_mode(w->file, w->mode);
        if (rc == AKV_UNSUPPORTED)
            rc = AKV_OK;
        akvi_probe_end(&held, rc != AKV_OK);
    }
    return rc == AKV_OK ? w->file->ops->sync(w->file, true) : rc;
}

static akv_status writer_move(akvi_writer *w)
{
    akv_status rc = w->env->ops->rename(w->env, w->temp, w->path);

    if (rc == AKV_OK) {
        akvi_strfree(w->allocator, w->temp);
        w->temp = NULL;
    }
    return rc;
}

bool akvi_no_links(akv_status rc, int err)
{
    static const int none[] = {EPERM, ENOSYS, EOPNOTSUPP, ENOTSUP, EMLINK, EXDEV};

    for (size_t i = 0; i < AKVI_ARRAY_N(none); i++)
        if (rc == AKV_IO && err == none[i])
            return true;
    return rc == AKV_UNSUPPORTED;
}

/* Give the file its name unless something has it. *made_out: it has the name. */
static akv_status writer_place(akvi_writer *w, bool *made_out)
{
    akv_env        *env = w->env;
    akvi_call_state held;
    akv_status      rc;
    bool            no_links;

    akvi_probe_begin(&held);
    rc       = env->ops->link(env, w->temp, w->path);
    no_links = akvi_no_links(rc, akvi_pending_error()->os_errno);
    akvi_probe_end(&held, !no_links);
    if (no_links) {
        rc = akvi_path_exists(env, w->path);
        if (rc == AKV_OK)
            return AKV_FAIL_ERRNO(EEXIST, w->path, AKV_NO_OFFSET, "can't make");
        if (rc == AKV_ABSENT)
            rc = writer_move(w);
        *made_out = rc == AKV_OK;
        return rc;
    }
    if (rc != AKV_OK)
        return rc;
    *made_out = true;
    rc        = env->ops->remove(env, w->temp);
    if (rc == AKV_OK) {
        akvi_strfree(w->allocator, w->temp);
        w->temp = NULL;
    }
    return rc;
}

akv_status akvi_writer_commit(akvi_writer *writer, bool exclusive)
{
    akvi_writer    *w    = writer;
    bool            made = false;
    akvi_call_state held;
    akv_status      rc = writer_settle(w);

    if (rc == AKV_OK) {
        akvi_probe_begin(&held);
        (void)w->file->ops->lock(w->file, false);
        akvi_probe_end(&held, false);
        rc = exclusive ? writer_place(w, &made) : writer_move(w);
    }
    akvi_file_drop(w->file); /* its sync has told what close could */
    w->file = NULL;
    if (rc == AKV_OK)
        rc = w->env->ops->sync_folder(w->env, w->folder);
    if (rc != AKV_OK && made)
        (void)w->env->ops->remove(w->env, w->path);
    akvi_writer_abort(w);
    return rc;
}

void akvi_writer_abort(akvi_writer *writer)
{
    akvi_writer *w = writer;

    if (!w)
        return;
    if (w->temp)
        (void)w->env->ops->remove(w->env, w->temp);
    akvi_file_drop(w->file);
    akvi_strfree(w->allocator, w->temp);
    akvi_strfree(w->allocator, w->folder);
    akvi_strfree(w->allocator, w->path);
    akv_buffer_free(&w->pending);
    akvi_free(w->allocator, w, sizeof *w);
}

akv_status akvi_write_file(akv_env *env, const char *path, const void *data, size_t len)
{
    akvi_writer *w;
    akv_status   rc = akvi_writer_begin(env, NULL, path, &w);

    if (rc != AKV_OK)
        return rc;
    rc = akvi_writer_append(w, data, len);
    if (rc != AKV_OK) {
        akvi_writer_abort(w);
        return rc;
    }
    return akvi_writer_commit(w, false);
}
