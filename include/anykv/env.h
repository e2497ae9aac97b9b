/* SPDX-License-Identifier: MIT
 *
 * env.h: the files and the clock that engines use, behind a table.
 *
 * Every file access of every engine goes through an akv_env, so that the same
 * engine code runs on POSIX files, in memory, and under injected faults. A
 * program may give a store an env of its own in akv_open_options.env.
 *
 * Paths are the env's own, with '/' between names. Functions return akv_status
 * and fill the error record (akv_engine_fail) with file, offset and cause: a
 * caller need not wrap them. A missing file is AKV_IO with os_errno ENOENT.
 * EINTR and short transfers never reach the caller. Envs and files may be used
 * by many threads at once; write_at and truncate of one file are the caller's
 * to order.
 */
#ifndef ANYKV_ENV_H
#define ANYKV_ENV_H

#include <anykv/anykv.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AKV_ENV_ABI 1u

typedef struct akv_file akv_file;

#define AKV_FILE_WRITE    1u  /* else read-only */
#define AKV_FILE_CREATE   2u  /* with WRITE: make it, mode 0666 less umask */
#define AKV_FILE_EXCLUDE  4u  /* with CREATE: fail with EEXIST if it is there */
#define AKV_FILE_TRUNCATE 8u  /* with WRITE: begin empty */
#define AKV_FILE_PRIVATE  16u /* with CREATE: mode 0600 less umask */

typedef enum akv_file_kind {
    AKV_KIND_FILE   = 0,
    AKV_KIND_FOLDER = 1,
    AKV_KIND_OTHER  = 2
} akv_file_kind;

typedef struct akv_file_info {
    akv_file_kind kind;
    uint32_t      mode; /* permission bits */
    uint64_t      size;
    uint64_t      mtime_ns; /* Unix time */
    uint64_t      device, inode;
} akv_file_info;

typedef enum akv_advice {
    AKV_ADVICE_NORMAL     = 0,
    AKV_ADVICE_RANDOM     = 1,
    AKV_ADVICE_SEQUENTIAL = 2,
    AKV_ADVICE_WILL_NEED  = 3,
    AKV_ADVICE_DONT_NEED  = 4
} akv_advice;

/* Operations on an open file. Slots marked (optional) may be NULL: callers go
 * through the akvi_file_ helpers, which then answer AKV_UNSUPPORTED. */
typedef struct akv_file_ops {
    uint32_t abi, size;
    /* Read up to len bytes; *got_out is less only at the end of the file. */
    akv_status (*read_at)(akv_file *file, void *buf, size_t len, uint64_t off, size_t *got_out);
    /* Write all of it, or fail having written some of it. */
    akv_status (*write_at)(akv_file *file, const void *buf, size_t len, uint64_t off);
    /* Write all of it at the file's end. */
    akv_status (*append)(akv_file *file, const void *buf, size_t len);
    /* Contents, and with `metadata` also size and times, are on the device. A
     * failure says nothing about what is; never try again. */
    akv_status (*sync)(akv_file *file, bool metadata);
    akv_status (*truncate)(akv_file *file, uint64_t size);
    /* Reserve room so that writes below `size` need no more of it; the file's
     * size stays. (optional) */
    akv_status (*allocate)(akv_file *file, uint64_t size);
    akv_status (*info)(akv_file *file, akv_file_info *info_out);
    /* Map [0, len), which must lie within the file, read-only until unmap or
     * close; len 0 gives NULL. Renaming over the file or removing it leaves the
     * mapping as it was. Whether it shows what is written into its range after
     * is not said: don't write or cut where a mapping is in use. (optional) */
    akv_status (*map)(akv_file *file, size_t len, const void **data_out);
    void (*unmap)(akv_file *file, const void *data, size_t len);
    /* How [data, data + len) of a mapping, or for NULL the file, will be used. */
    void (*advise)(akv_file *file, const void *data, size_t len, akv_advice advice);
    /* An advisory lock on the whole file, shared or exclusive, gone when the
     * file is closed or its process dies. Held elsewhere, be it another
     * process or another open in this one: AKV_LOCKED, naming the holder's
     * process id where that can be known. Never waits. A file that holds a
     * lock may change its kind. Exclusive needs a writable file; if its name
     * ends in ".lock", it may get the holder's process id as its contents. */
    akv_status (*lock)(akv_file *file, bool exclusive);
    akv_status (*unlock)(akv_file *file);
    /* Frees the file whatever it answers. */
    akv_status (*close)(akv_file *file);
    akv_status (*set_mode)(akv_file *file, uint32_t mode); /* permission bits (optional) */
    /* Map [0, len) for reading and writing until unmap or close; len may be more
     * than the file has. What is stored there is the file's content at once, as
     * after write_at, and sync covers it. Store only into what write_at wrote
     * before: there, a store never lacks room. An env that can't promise this
     * answers AKV_UNSUPPORTED. Don't cut the file meanwhile. (optional) */
    akv_status (*map_shared)(akv_file *file, size_t len, void **data_out);
} akv_file_ops;

/* Files embed this first. */
struct akv_file {
    const akv_file_ops *ops;
};

typedef struct akv_env_ops {
    uint32_t abi, size;
    akv_status (*open)(akv_env *env, const char *path, uint32_t flags, akv_file **file_out);
    akv_status (*info)(akv_env *env, const char *path, akv_file_info *info_out);
    /* Atomic; replaces a file at `to`. Durable after sync_folder of its folder. */
    akv_status (*rename)(akv_env *env, const char *from, const char *to);
    /* A second name for the same file, which must not exist. */
    akv_status (*link)(akv_env *env, const char *from, const char *to);
    akv_status (*remove)(akv_env *env, const char *path);
    akv_status (*make_folder)(akv_env *env, const char *path);
    akv_status (*remove_folder)(akv_env *env, const char *path); /* an empty one */
    /* Call back with the name of each entry but . and .., unsorted, until the
     * callback answers non-zero. */
    akv_status (*list)(akv_env *env, const char *path, int (*each)(void *user, const char *name),
                       void *user);
    /* What was made, renamed and removed in the folder is on the device. */
    akv_status (*sync_folder)(akv_env *env, const char *path);
    uint64_t (*unix_ms)(akv_env *env);      /* wall clock, may jump */
    uint64_t (*monotonic_ns)(akv_env *env); /* never goes back */
    void (*sleep_ns)(akv_env *env, uint64_t ns);
    /* Where `path` leads when symbolic links at its end are followed, be there
     * something or not; NULL: the env has no links. (optional) */
    akv_status (*follow)(akv_env *env, const char *path, akv_buffer *path_out);
} akv_env_ops;

/* Envs embed this first. */
struct akv_env {
    const akv_env_ops *ops;
};

/* The system's files. Static. */
AKV_API akv_env *akv_env_posix(void);

/* Files in memory, with folders, locks and mappings; gone with the env. Its
 * clock is the system's plus an offset that a test may move. */
AKV_API akv_status akv_env_memory_new(const akv_allocator *allocator, akv_env **env_out);
AKV_API void       akv_env_memory_advance(akv_env *env, uint64_t ms);
AKV_API void       akv_env_memory_free(akv_env *env); /* all its files closed; takes NULL */

#ifdef __cplusplus
}
#endif
#endif
