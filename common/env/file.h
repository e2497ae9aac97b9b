/* SPDX-License-Identifier: MIT
 *
 * file.h: what all our code does with files, over any akv_env.
 *
 * An akvi_writer makes or replaces one file durably: it fills a temporary file
 * beside the target, in buffered appends, and commit syncs it, renames it over
 * the target and syncs the folder. Until then the target is untouched; after a
 * failure, abort or crash the old file stays. (If the folder's sync fails, the
 * new file is there and a loss of power may bring back the old one.) A crash
 * may leave the temporary behind: its name is the target's, then ".tmp-", the
 * process id, "-" and a counter. Its writer holds a lock on it, so begin knows
 * those that nobody holds any more, and removes them.
 */
#ifndef AKVI_ENV_FILE_H
#define AKVI_ENV_FILE_H

#include "common/base/fail.h"

#include <anykv/env.h>

/* Flags of open that contradict each other: AKV_MISUSE. For envs. */
AKVI_MUST_USE akv_status akvi_open_flags_check(const char *path, uint32_t flags);

/* A file of the POSIX env over a descriptor that someone has opened: it works on
 * a duplicate, so `fd` stays its owner's, to close whenever they like. `name`
 * stands for it in errors. */
AKVI_MUST_USE akv_status akvi_posix_adopt(int fd, const char *name, akv_file **file_out);

/* The optional slots: AKV_UNSUPPORTED where the env lacks them. */
AKVI_MUST_USE akv_status akvi_file_allocate(akv_file *file, uint64_t size);
AKVI_MUST_USE akv_status akvi_file_map(akv_file *file, size_t len, const void **data_out);
AKVI_MUST_USE akv_status akvi_file_set_mode(akv_file *file, uint32_t mode);
AKVI_MUST_USE akv_status akvi_file_map_shared(akv_file *file, size_t len, void **data_out);
void                     akvi_file_unmap(akv_file *file, const void *data, size_t len);
void akvi_file_advise(akv_file *file, const void *data, size_t len, akv_advice advice);
/* Closes; takes NULL. For files that were only read, where close has no say. */
void akvi_file_drop(akv_file *file);

/* len bytes, or AKV_CORRUPT "file cut" at the place where it ends. */
AKVI_MUST_USE akv_status akvi_read_full(akv_file *file, const char *path, void *buf, size_t len,
                                        uint64_t off);
/* The whole file into `out`; AKV_TOO_BIG over `limit`. */
AKVI_MUST_USE akv_status akvi_read_file(akv_env *env, const char *path, uint64_t limit,
                                        akv_buffer *out);
/* As the env's info, but nothing there is AKV_ABSENT and records nothing. */
AKVI_MUST_USE akv_status akvi_path_info(akv_env *env, const char *path, akv_file_info *info_out);
/* Whether something is there; AKV_OK or AKV_ABSENT (records nothing). */
AKVI_MUST_USE akv_status akvi_path_exists(akv_env *env, const char *path);
/* Map the file or, where the env can't, read it; *mapped_out says which. Give
 * both back with akvi_unload. An empty file gives NULL and 0. */
AKVI_MUST_USE akv_status akvi_load(akv_file *file, const char *path, const akv_allocator *allocator,
                                   const void **data_out, size_t *len_out, bool *mapped_out);
void akvi_unload(akv_file *file, const akv_allocator *allocator, const void *data, size_t len,
                 bool mapped);

/* Whether a failed link says that there are no links here, or not between these
 * two, rather than that the name is taken. */
bool akvi_no_links(akv_status rc, int err);

/* The folder part of a path, "." when it has none, "/" kept. Freed with akvi_strfree. */
AKVI_MUST_USE char *akvi_path_folder(const akv_allocator *allocator, const char *path);
AKVI_MUST_USE char *akvi_path_join(const akv_allocator *allocator, const char *folder,
                                   const char *name);
/* The last name of a path, inside it. */
const char *akvi_path_name(const char *path);

typedef struct akvi_writer akvi_writer;

/* The file gets the permissions of the one it replaces. A symbolic link at
 * `path` is followed, so that the link stays. */
AKVI_MUST_USE akv_status akvi_writer_begin(akv_env *env, const akv_allocator *allocator,
                                           const char *path, akvi_writer **writer_out);
AKVI_MUST_USE akv_status akvi_writer_append(akvi_writer *writer, const void *data, size_t len);
/* Overwrite bytes already appended. */
AKVI_MUST_USE akv_status akvi_writer_patch(akvi_writer *writer, uint64_t off, const void *data,
                                           size_t len);
uint64_t                 akvi_writer_size(const akvi_writer *writer);
/* Write what is pending, so that all bytes so far can be read from *file_out. It
 * is borrowed, and only for reading. */
AKVI_MUST_USE akv_status akvi_writer_flush(akvi_writer *writer, akv_file **file_out);
/* `exclusive`: AKV_IO with EEXIST when something is at `path` by now. Frees the
 * writer whatever it answers; a failure leaves no temporary. */
AKVI_MUST_USE akv_status akvi_writer_commit(akvi_writer *writer, bool exclusive);
void                     akvi_writer_abort(akvi_writer *writer); /* takes NULL */

/* A file without a name, readable and writable, gone when it is closed. For a
 * moment it has the name of a temporary of `path`; if a crash leaves it then,
 * the next writer or temporary of that path removes it. */
AKVI_MUST_USE akv_status akvi_temp_open(akv_env *env, const akv_allocator *allocator,
                                        const char *path, akv_file **file_out);

/* All of it in one call. */
AKVI_MUST_USE akv_status akvi_write_file(akv_env *env, const char *path, const void *data,
                                         size_t len);

#endif
