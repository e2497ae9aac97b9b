/* SPDX-License-Identifier: MIT
 *
 * file.c: see file.h.
 */
#include "common/env/file.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/env/probe.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

/* ------------------------------------------------------------ optional slots */

akv_status akvi_open_flags_check(const char *path, uint32_t flags)
{
    const uint32_t all   = AKV_FILE_PRIVATE * 2 - 1;
    const uint32_t write = AKV_FILE_CREATE | AKV_FILE_TRUNCATE;
    const uint32_t make  = AKV_FILE_EXCLUDE | AKV_FILE_PRIVATE;

    if ((flags & ~all) != 0 || ((flags & write) != 0 && (flags & AKV_FILE_WRITE) == 0) ||
        ((flags & make) != 0 && (flags & AKV_FILE_CREATE) == 0))
        return AKV_FAIL_AT(AKV_MISUSE, path, AKV_NO_OFFSET, "can't open with flags %#x",
                           (unsigned)flags);
    return AKV_OK;
}

akv_status akvi_file_allocate(akv_file *file, uint64_t size)
{
    if (!file->ops->allocate)
        return AKV_FAIL(AKV_UNSUPPORTED, "these files can't reserve room");
    return file->ops->allocate(file, size);
}

akv_status akvi_file_map(akv_file *file, size_t len, const void **data_out)
{
    *data_out = NULL;
    if (!file->ops->map)
        return AKV_FAIL(AKV_UNSUPPORTED, "these files can't be mapped");
    return file->ops->map(file, len, data_out);
}

akv_status akvi_file_map_shared(akv_file *file, size_t len, void **data_out)
{
    const akv_file_ops *ops  = file->ops;
    const size_t        need = offsetof(akv_file_ops, map_shared) + sizeof ops->map_shared;

    *data_out = NULL;
    if (ops->size < need || !ops->map_shared)
        return AKV_FAIL(AKV_UNSUPPORTED, "these files can't be mapped for writing");
    return ops->map_shared(file, len, data_out);
}

akv_status akvi_file_set_mode(akv_file *file, uint32_t mode)
{
    if (!file->ops->set_mode)
        return AKV_FAIL(AKV_UNSUPPORTED, "these files have no permissions");
    return file->ops->set_mode(file, mode);
}

void akvi_file_unmap(akv_file *file, const void *data, size_t len)
{
    if (data && file->ops->unmap)
        file->ops->unmap(file, data, len);
}

void akvi_file_advise(akv_file *file, const void *data, size_t len, akv_advice advice)
{
    if (file->ops->advise)
        file->ops->advise(file, data, len, advice);
}

void akvi_file_drop(akv_file *file)
{
    if (file)
        (void)file->ops->close(file);
}

/* --------------------------------------------------------------- whole files */

akv_status akvi_read_full(akv_file *file, const char *path, void *buf, size_t len, uint64_t off)
{
    size_t     got;
    akv_status rc = file->ops->read_at(file, buf, len, off, &got);

    if (rc == AKV_OK && got < len)
        return AKV_FAIL_AT(AKV_CORRUPT, path, off + got,
                           "file cut: %zu bytes are missing of %zu at offset %llu", len - got, len,
                           (unsigned long long)off);
    return rc;
}

/* Read on until the file ends or `out` holds more than `limit`. */
static akv_status file_read_rest(akv_file *file, uint64_t limit, akv_buffer *out)
{
    akv_file_info info;
    akv_status    rc   = file->ops->info(file, &info);
    size_t        want = rc == AKV_OK && info.size < limit ? (size_t)info.size + 1 : 4096;
    size_t        got  = want;

    while (rc == AKV_OK && got == want && out->len <= limit) {
        size_t at = out->len;

        rc = akvi_buffer_resize(out, at + want);
        if (rc == AKV_OK)
            rc = file->ops->read_at(file, (uint8_t *)out->data + at, want, at, &got);
        out->len = at + (rc == AKV_OK ? got : 0);
    }
    return rc;
}

akv_status akvi_read_file(akv_env *env, const char *path, uint64_t limit, akv_buffer *out)
{
    akv_file  *file = NULL;
    akv_status rc   = env->ops->open(env, path, 0, &file);

    akvi_buffer_clear(out);
    if (rc == AKV_OK)
        rc = file_read_rest(file, limit, out);
    if (rc == AKV_OK && out->len > limit)
        rc = AKV_FAIL_AT(AKV_TOO_BIG, path, limit, "the file is longer than the %llu bytes allowed",
                         (unsigned long long)limit);
    akvi_file_drop(file);
    if (rc != AKV_OK)
        akvi_buffer_clear(out);
    return rc;
}

akv_status akvi_path_info(akv_env *env, const char *path, akv_file_info *info_out)
{
    akvi_call_state held;
    akv_status      rc;
    int             err;

    akvi_probe_begin(&held);
    rc  = env->ops->info(env, path, info_out);
    err = akvi_pending_error()->os_errno;
    if (rc == AKV_IO && (err == ENOENT || err == ENOTDIR))
        rc = AKV_ABSENT;
    akvi_probe_end(&held, rc < 0);
    return rc;
}

akv_status akvi_path_exists(akv_env *env, const char *path)
{
    akv_file_info info;

    return akvi_path_info(env, path, &info);
}

/* --------------------------------------------------------------------- load */

static akv_status file_read_whole(akv_file *file, const char *path, const akv_allocator *allocator,
                                  size_t len, const void **data_out)
{
    void      *data = akvi_alloc(allocator, len);
    akv_status rc   = data ? akvi_read_full(file, path, data, len, 0) : AKV_NOMEM;

    if (rc != AKV_OK)
        akvi_free(allocator, data, len);
    else
        *data_out = data;
    return rc;
}

akv_status akvi_load(akv_file *file, const char *path, const akv_allocator *allocator,
                     const void **data_out, size_t *len_out, bool *mapped_out)
{
    akvi_call_state held;
    akv_file_info   info;
    akv_status      rc;

    *data_out   = NULL;
    *len_out    = 0;
    *mapped_out = false;
    rc          = file->ops->info(file, &info);
    if (rc != AKV_OK || info.size == 0)
        return rc;
    if (info.size > SIZE_MAX)
        return AKV_FAIL_AT(AKV_TOO_BIG, path, AKV_NO_OFFSET,
                           "%llu bytes are more than this machine can address",
                           (unsigned long long)info.size);
    akvi_probe_begin(&held);
    rc = akvi_file_map(file, (size_t)info.size, data_out);
    akvi_probe_end(&held, rc != AKV_UNSUPPORTED);
    *mapped_out = rc == AKV_OK;
    if (rc == AKV_UNSUPPORTED)
        rc = file_read_whole(file, path, allocator, (size_t)info.size, data_out);
    if (rc == AKV_OK)
        *len_out = (size_t)info.size;
    return rc;
}

void akvi_unload(akv_file *file, const akv_allocator *allocator, const void *data, size_t len,
                 bool mapped)
{
    if (mapped)
        akvi_file_unmap(file, data, len);
    else
        akvi_free(allocator, (void *)(uintptr_t)data, len);
}

/* -------------------------------------------------------------------- paths */

const char *akvi_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

char *akvi_path_folder(const akv_allocator *allocator, const char *path)
{
    size_t len = (size_t)(akvi_path_name(path) - path);
    char  *folder;

    if (len == 0)
        return akvi_strdup(allocator, ".");
    while (len > 1 && path[len - 1] == '/')
        len--;
    folder = akvi_alloc(allocator, len + 1);
    if (folder) {
        memcpy(folder, path, len);
        folder[len] = '\0';
    }
    return folder;
}

char *akvi_path_join(const akv_allocator *allocator, const char *folder, const char *name)
{
    size_t      len  = strlen(folder);
    const char *mid  = len > 0 && folder[len - 1] != '/' ? "/" : "";
    size_t      size = len + strlen(mid) + strlen(name) + 1;
    char       *path = akvi_alloc(allocator, size);

    if (path)
        snprintf(path, size, "%s%s%s", folder, mid, name);
    return path;
}
