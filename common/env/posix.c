/* SPDX-License-Identifier: MIT
 *
 * posix.c: the env of the system's files.
 *
 * Every transfer is a loop, so EINTR and short counts stay in here. Any thread;
 * a file's own mutex guards its mappings and its lock, and keeps two appends
 * from one place.
 */
#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/mutex.h"
#include "common/env/fault.h"
#include "common/env/file.h"
#include "common/env/os_lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif
#include <time.h>
#include <unistd.h>

#define POSIX_IO_MAX    ((size_t)1 << 30) /* a call may refuse or cut longer transfers */
#define POSIX_PATH_MAX  4096
#define POSIX_LINKS_MAX 40 /* as many symbolic links in a row as Linux follows */

_Static_assert(sizeof(off_t) == 8, "build with 64-bit file offsets");

typedef struct posix_map {
    struct posix_map *next;
    void             *data;
    size_t            len;
} posix_map;

typedef struct posix_file {
    akv_file base;
    /* fixed after open */
    int   fd;
    char *path;
    /* guarded by mu */
    akvi_mutex   mu;
    posix_map   *maps;
    akvi_os_lock lock;
} posix_file;

static _Atomic bool posix_short_io;

void akvi_posix_set_short_io(bool on)
{
    atomic_store(&posix_short_io, on);
}

static posix_file *posix_of(akv_file *file)
{
    return (posix_file *)file;
}

static akv_status posix_failed(const char *path, const char *what)
{
    return AKV_FAIL_ERRNO(errno, path, AKV_NO_OFFSET, "can't %s", what);
}

/* -------------------------------------------------------------- read, write */

/* Before a transfer of *len: limit it. With short I/O on, every other try is
 * interrupted and the rest are cut to half. */
static bool posix_interrupted(size_t *len, unsigned *tries)
{
    if (*len > POSIX_IO_MAX)
        *len = POSIX_IO_MAX;
    if (!atomic_load_explicit(&posix_short_io, memory_order_relaxed))
        return false;
    if ((*tries)++ % 2 == 0) {
        errno = EINTR;
        return true;
    }
    *len = (*len + 1) / 2;
    return false;
}

static akv_status posix_read_at(akv_file *file, void *buf, size_t len, uint64_t off,
                                size_t *got_out)
{
    posix_file *f     = posix_of(file);
    unsigned    tries = 0;
    size_t      done  = 0;

    *got_out = 0;
    if (off > INT64_MAX || len > INT64_MAX - off)
        len = off > INT64_MAX ? 0 : (size_t)(INT64_MAX - off);
    while (done < len) {
        size_t  part = len - done;
        ssize_t n    = -1;

        if (!posix_interrupted(&part, &tries))
            n = pread(f->fd, (uint8_t *)buf + done, part, (off_t)(off + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return AKV_FAIL_ERRNO(errno, f->path, off + done, "can't read %zu bytes", len - done);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *got_out = done;
    return AKV_OK;
}

static akv_status posix_write_at(akv_file *file, const void *buf, size_t len, uint64_t off)
{
    posix_file *f     = posix_of(file);
    unsigned    tries = 0;
    size_t      done  = 0;

    if (off > INT64_MAX || len > INT64_MAX - off)
        return AKV_FAIL_ERRNO(EFBIG, f->path, off, "can't write %zu bytes", len);
    while (done < len) {
        size_t  part = len - done;
        ssize_t n    = -1;

        if (!posix_interrupted(&part, &tries))
            n = pwrite(f->fd, (const uint8_t *)buf + done, part, (off_t)(off + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return AKV_FAIL_ERRNO(n < 0 ? errno : EIO, f->path, off + done, "can't write %zu bytes",
                                  len - done);
        done += (size_t)n;
    }
    return AKV_OK;
}

static akv_status posix_append(akv_file *file, const void *buf, size_t len)
{
    posix_file *f = posix_of(file);
    akv_status  rc;
    off_t       end;

    /* Not O_APPEND: with it Linux lets write_at append as well. */
    akvi_mutex_lock(&f->mu);
    end = lseek(f->fd, 0, SEEK_END);
    rc  = end < 0 ? posix_failed(f->path, "find the end")
                  : posix_write_at(file, buf, len, (uint64_t)end);
    akvi_mutex_unlock(&f->mu);
    return rc;
}

static int posix_sync_once(int fd, bool metadata)
{
#if defined F_FULLFSYNC
    (void)metadata;
    if (fcntl(fd, F_FULLFSYNC) == 0)
        return 0;
    return errno == EINTR ? -1 : fsync(fd); /* not every file system has it */
#elif defined _POSIX_SYNCHRONIZED_IO && _POSIX_SYNCHRONIZED_IO > 0
    return metadata ? fsync(fd) : fdatasync(fd);
#else
    (void)metadata;
    return fsync(fd);
#endif
}

static int posix_sync_fd(int fd, bool metadata)
{
    int rc;

    do
        rc = posix_sync_once(fd, metadata);
    while (rc != 0 && errno == EINTR);
    return rc;
}

static akv_status posix_sync(akv_file *file, bool metadata)
{
    posix_file *f = posix_of(file);

    return posix_sync_fd(f->fd, metadata) == 0 ? AKV_OK : posix_failed(f->path, "sync");
}

static akv_status posix_truncate(akv_file *file, uint64_t size)
{
    posix_file *f = posix_of(file);

    if (size > INT64_MAX)
        return AKV_FAIL_ERRNO(EFBIG, f->path, size, "can't set the size");
    while (ftruncate(f->fd, (off_t)size) != 0)
        if (errno != EINTR)
            return AKV_FAIL_ERRNO(errno, f->path, size, "can't set the size");
    return AKV_OK;
}

/* Returns 0 or an errno. posix_fallocate won't do: it moves the file's end. */
static int posix_reserve(int fd, off_t size)
{
#if defined FALLOC_FL_KEEP_SIZE
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size) == 0 ? 0 : errno;
#elif defined F_PREALLOCATE
    struct stat st;
    fstore_t    room = {.fst_flags = F_ALLOCATEALL, .fst_posmode = F_PEOFPOSMODE};

    if (fstat(fd, &st) != 0)
        return errno;
    if (size <= st.st_size)
        return 0;
    room.fst_length = size - st.st_size;
    return fcntl(fd, F_PREALLOCATE, &room) == 0 ? 0 : errno;
#else
    (void)fd;
    (void)size;
    return EOPNOTSUPP;
#endif
}

static akv_status posix_allocate(akv_file *file, uint64_t size)
{
    posix_file *f = posix_of(file);
    int         err;

    if (size == 0)
        return AKV_OK;
    if (size > INT64_MAX)
        return AKV_FAIL_ERRNO(EFBIG, f->path, size, "can't reserve room");
    do
        err = posix_reserve(f->fd, (off_t)size);
    while (err == EINTR);
    if (err == EOPNOTSUPP || err == ENOSYS || err == EINVAL)
        return AKV_FAIL_AT(AKV_UNSUPPORTED, f->path, AKV_NO_OFFSET,
                           "this file system can't reserve room");
    return err == 0 ? AKV_OK : AKV_FAIL_ERRNO(err, f->path, size, "can't reserve room");
}

/* --------------------------------------------------------------------- info */

static void posix_fill_info(const struct stat *st, akv_file_info *info)
{
#ifdef __APPLE__
    const struct timespec *mtime = &st->st_mtimespec;
#else
    const struct timespec *mtime = &st->st_mtim;
#endif

    info->kind     = S_ISREG(st->st_mode)   ? AKV_KIND_FILE
                     : S_ISDIR(st->st_mode) ? AKV_KIND_FOLDER
                                            : AKV_KIND_OTHER;
    info->mode     = (uint32_t)st->st_mode & 07777;
    info->size     = (uint64_t)st->st_size;
    info->mtime_ns = (uint64_t)mtime->tv_sec * UINT64_C(1000000000) + (uint64_t)mtime->tv_nsec;
    info->device   = (uint64_t)st->st_dev;
    info->inode    = (uint64_t)st->st_ino;
}

static akv_status posix_info(akv_file *file, akv_file_info *info_out)
{
    posix_file *f = posix_of(file);
    struct stat st;

    if (fstat(f->fd, &st) != 0)
        return posix_failed(f->path, "tell the size");
    posix_fill_info(&st, info_out);
    return AKV_OK;
}

static akv_status posix_set_mode(akv_file *file, uint32_t mode)
{
    posix_file *f = posix_of(file);

    return fchmod(f->fd, (mode_t)(mode & 07777)) == 0 ? AKV_OK
                                                      : posix_failed(f->path, "set permissions");
}

/* ----------------------------------------------------------------- mappings */

static akv_status posix_map_new(posix_file *f, size_t len, int how, void **data_out)
{
    posix_map *map = akvi_alloc(NULL, sizeof *map);
    void      *data;
    int        err;

    if (!map)
        return AKV_NOMEM;
    data = mmap(NULL, len, how, MAP_SHARED, f->fd, 0);
    if (data == MAP_FAILED) {
        err = errno;
        akvi_free(NULL, map, sizeof *map);
        if (err == ENODEV)
            return AKV_FAIL_AT(AKV_UNSUPPORTED, f->path, AKV_NO_OFFSET,
                               "this file system can't map files");
        return AKV_FAIL_ERRNO(err, f->path, AKV_NO_OFFSET, "can't map %zu bytes", len);
    }
    akvi_mutex_lock(&f->mu);
    *map    = (posix_map){f->maps, data, len};
    f->maps = map;
    akvi_mutex_unlock(&f->mu);
    *data_out = data;
    return AKV_OK;
}

static akv_status posix_map_file(akv_file *file, size_t len, const void **data_out)
{
    posix_file *f = posix_of(file);
    struct stat st;
    void       *data = NULL;
    akv_status  rc;

    *data_out = NULL;
    if (len == 0)
        return AKV_OK;
    if (fstat(f->fd, &st) != 0)
        return posix_failed(f->path, "tell the size");
    if (len > (uint64_t)st.st_size)
        return AKV_FAIL_AT(AKV_MISUSE, f->path, (uint64_t)st.st_size,
                           "can't map %zu bytes: the file ends here", len);
    rc        = posix_map_new(f, len, PROT_READ, &data);
    *data_out = data;
    return rc;
}

/* Whether the file system overwrites in place, so that a store into what was
 * written needs no room: else it may end in a signal. */
static bool posix_stays_in_place(int fd)
{
#ifdef __linux__
    static const uint32_t known[] = {0xef53 /* ext2, ext3, ext4 */, 0x58465342 /* XFS */,
                                     0x01021994 /* tmpfs */};
    struct statfs         fs;

    if (fstatfs(fd, &fs) != 0)
        return false;
    for (size_t i = 0; i < AKVI_ARRAY_N(known); i++)
        if ((uint32_t)fs.f_type == known[i])
            return true;
#else
    (void)fd;
#endif
    return false;
}

static akv_status posix_map_shared(akv_file *file, size_t len, void **data_out)
{
    posix_file *f = posix_of(file);

    *data_out = NULL;
    if (len == 0)
        return AKV_OK;
    if (!posix_stays_in_place(f->fd))
        return AKV_FAIL_AT(AKV_UNSUPPORTED, f->path, AKV_NO_OFFSET,
                           "this file system may need room to overwrite");
    return posix_map_new(f, len, PROT_READ | PROT_WRITE, data_out);
}

static void posix_map_drop(posix_map *map)
{
    munmap(map->data, map->len);
    akvi_free(NULL, map, sizeof *map);
}

static void posix_unmap(akv_file *file, const void *data, size_t len)
{
    posix_file *f   = posix_of(file);
    posix_map  *map = NULL, **at;

    (void)len;
    akvi_mutex_lock(&f->mu);
    for (at = &f->maps; *at && (*at)->data != data; at = &(*at)->next)
        ;
    map = *at;
    if (map)
        *at = map->next;
    akvi_mutex_unlock(&f->mu);
    if (map)
        posix_map_drop(map);
}

static void posix_advise(akv_file *file, const void *data, size_t len, akv_advice advice)
{
    static const int of_map[] = {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED,
                                 MADV_DONTNEED};

    if ((size_t)advice >= AKVI_ARRAY_N(of_map))
        return;
    if (data) {
        size_t past = (uintptr_t)data % (uintptr_t)sysconf(_SC_PAGESIZE);

        /* A hint that the system refuses changes nothing. */
        (void)madvise((uint8_t *)(uintptr_t)data - past, len + past, of_map[advice]);
        return;
    }
#ifdef POSIX_FADV_NORMAL
    static const int of_file[] = {POSIX_FADV_NORMAL, POSIX_FADV_RANDOM, POSIX_FADV_SEQUENTIAL,
                                  POSIX_FADV_WILLNEED, POSIX_FADV_DONTNEED};

    (void)posix_fadvise(posix_of(file)->fd, 0, 0, of_file[advice]);
#else
    (void)file;
#endif
}

/* -------------------------------------------------------------------- locks */

static akv_status posix_lock(akv_file *file, bool exclusive)
{
    posix_file *f = posix_of(file);
    akv_status  rc;

    akvi_mutex_lock(&f->mu);
    rc = akvi_os_lock_take(&f->lock, f->fd, f->path, exclusive);
    akvi_mutex_unlock(&f->mu);
    return rc;
}

static akv_status posix_unlock(akv_file *file)
{
    posix_file *f = posix_of(file);

    akvi_mutex_lock(&f->mu);
    akvi_os_lock_release(&f->lock, f->fd);
    akvi_mutex_unlock(&f->mu);
    return AKV_OK;
}

/* -------------------------------------------------------------- open, close */

static akv_status posix_close_file(akv_file *file)
{
    posix_file *f  = posix_of(file);
    akv_status  rc = AKV_OK;

    for (posix_map *map = f->maps, *next; map; map = next) {
        next = map->next;
        posix_map_drop(map);
    }
    akvi_os_lock_release(&f->lock, f->fd);
    /* After EINTR Linux has closed it, and another thread may have the number. */
    if (close(f->fd) != 0 && errno != EINTR)
        rc = posix_failed(f->path, "close");
    akvi_mutex_destroy(&f->mu);
    akvi_strfree(NULL, f->path);
    akvi_free(NULL, f, sizeof *f);
    return rc;
}

static const akv_file_ops posix_file_ops = {
    .abi        = AKV_ENV_ABI,
    .size       = sizeof(akv_file_ops),
    .read_at    = posix_read_at,
    .write_at   = posix_write_at,
    .append     = posix_append,
    .sync       = posix_sync,
    .truncate   = posix_truncate,
    .allocate   = posix_allocate,
    .info       = posix_info,
    .map        = posix_map_file,
    .unmap      = posix_unmap,
    .advise     = posix_advise,
    .lock       = posix_lock,
    .unlock     = posix_unlock,
    .close      = posix_close_file,
    .set_mode   = posix_set_mode,
    .map_shared = posix_map_shared,
};

/* What bytes can be read of at any place; else errno says what it is. */
static bool posix_is_file(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return false;
    if (!S_ISDIR(st.st_mode) && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
        return true;
    errno = S_ISDIR(st.st_mode) ? EISDIR : ESPIPE;
    return false;
}

/* The descriptor, or -1 with the failure in *rc_out. */
static int posix_open_fd(const char *path, uint32_t flags, akv_status *rc_out)
{
    /* O_NONBLOCK: a pipe must not make open wait; files don't mind. */
    int how = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd;

    how |= flags & AKV_FILE_WRITE ? O_RDWR : O_RDONLY;
    how |= flags & AKV_FILE_CREATE ? O_CREAT : 0;
    how |= flags & AKV_FILE_EXCLUDE ? O_EXCL : 0;
    how |= flags & AKV_FILE_TRUNCATE ? O_TRUNC : 0;
    do
        fd = open(path, how, flags & AKV_FILE_PRIVATE ? 0600 : 0666);
    while (fd < 0 && errno == EINTR);
    if (fd >= 0 && posix_is_file(fd))
        return fd;
    *rc_out = posix_failed(path, flags & AKV_FILE_WRITE ? "open for writing" : "open");
    if (fd >= 0)
        close(fd);
    return -1;
}

/* One over no descriptor yet; NULL without memory. */
static posix_file *posix_file_new(const char *path)
{
    posix_file *f = akvi_zalloc(NULL, sizeof *f);

    if (!f)
        return NULL;
    f->base.ops = &posix_file_ops;
    f->path     = akvi_strdup(NULL, path);
    if (f->path)
        return f;
    akvi_free(NULL, f, sizeof *f);
    return NULL;
}

/* It has its descriptor, or failed to get one with `rc`. */
static akv_status posix_file_ready(posix_file *f, akv_status rc, akv_file **file_out)
{
    if (f->fd < 0) {
        akvi_strfree(NULL, f->path);
        akvi_free(NULL, f, sizeof *f);
        return rc;
    }
    akvi_mutex_init(&f->mu, AKVI_RANK_ENV_POSIX);
    *file_out = &f->base;
    return AKV_OK;
}

static akv_status posix_open(akv_env *env, const char *path, uint32_t flags, akv_file **file_out)
{
    akv_status  rc;
    posix_file *f;

    (void)env;
    *file_out = NULL;
    rc        = akvi_open_flags_check(path, flags);
    if (rc != AKV_OK)
        return rc;
    f = posix_file_new(path);
    if (!f)
        return AKV_NOMEM;
    f->fd = posix_open_fd(path, flags, &rc);
    return posix_file_ready(f, rc, file_out);
}

akv_status akvi_posix_adopt(int fd, const char *name, akv_file **file_out)
{
    akv_status  rc = AKV_OK;
    posix_file *f;

    *file_out = NULL;
    f         = posix_file_new(name);
    if (!f)
        return AKV_NOMEM;
    f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (f->fd < 0 || !posix_is_file(f->fd)) {
        rc = posix_failed(name, "use as a file");
        if (f->fd >= 0)
            close(f->fd);
        f->fd = -1;
    }
    return posix_file_ready(f, rc, file_out);
}

/* -------------------------------------------------------------------- names */

static akv_status posix_path_info(akv_env *env, const char *path, akv_file_info *info_out)
{
    struct stat st;

    (void)env;
    if (stat(path, &st) != 0)
        return posix_failed(path, "look up");
    posix_fill_info(&st, info_out);
    return AKV_OK;
}

static akv_status posix_rename(akv_env *env, const char *from, const char *to)
{
    (void)env;
    if (rename(from, to) != 0)
        return AKV_FAIL_ERRNO(errno, to, AKV_NO_OFFSET, "can't rename '%s' to it", from);
    return AKV_OK;
}

static akv_status posix_link(akv_env *env, const char *from, const char *to)
{
    (void)env;
    if (link(from, to) != 0)
        return AKV_FAIL_ERRNO(errno, to, AKV_NO_OFFSET, "can't link '%s' to it", from);
    return AKV_OK;
}

static akv_status posix_remove(akv_env *env, const char *path)
{
    (void)env;
    return unlink(path) == 0 ? AKV_OK : posix_failed(path, "remove");
}

static akv_status posix_make_folder(akv_env *env, const char *path)
{
    (void)env;
    return mkdir(path, 0777) == 0 ? AKV_OK : posix_failed(path, "make the folder");
}

static akv_status posix_remove_folder(akv_env *env, const char *path)
{
    (void)env;
    return rmdir(path) == 0 ? AKV_OK : posix_failed(path, "remove the folder");
}

static akv_status posix_list(akv_env *env, const char *path, int (*each)(void *, const char *),
                             void *user)
{
    akv_status rc  = AKV_OK;
    DIR       *dir = opendir(path);

    (void)env;
    if (!dir)
        return posix_failed(path, "list the folder");
    for (;;) {
        const struct dirent *e;

        errno = 0;
        e     = readdir(dir);
        if (!e && errno != 0)
            rc = posix_failed(path, "list the folder");
        if (!e)
            break;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (each(user, e->d_name) != 0)
            break;
    }
    closedir(dir);
    return rc;
}

static akv_status posix_sync_folder(akv_env *env, const char *path)
{
    akv_status rc = AKV_OK;
    int        fd;

    (void)env;
    do
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return posix_failed(path, "open the folder");
    /* EINVAL: this file system keeps names safe without being asked. */
    if (posix_sync_fd(fd, true) != 0 && errno != EINVAL)
        rc = posix_failed(path, "sync the folder");
    close(fd);
    return rc;
}

/* The path that the symbolic link at `path` holds into `out`, with its NUL;
 * AKV_ABSENT when there is no link. */
static akv_status posix_read_link(const char *path, akv_buffer *out)
{
    char       target[POSIX_PATH_MAX];
    ssize_t    n      = readlink(path, target, sizeof target - 1);
    char      *folder = NULL;
    akv_status rc     = AKV_OK;

    if (n < 0)
        return errno == EINVAL || errno == ENOENT ? AKV_ABSENT : posix_failed(path, "follow");
    if ((size_t)n == sizeof target - 1)
        return AKV_FAIL_ERRNO(ENAMETOOLONG, path, AKV_NO_OFFSET, "can't follow");
    target[n] = '\0';
    akvi_buffer_clear(out);
    if (target[0] != '/') {
        folder = akvi_path_folder(NULL, path);
        rc     = folder ? akvi_buffer_printf(out, "%s/", folder) : AKV_NOMEM;
        akvi_strfree(NULL, folder);
    }
    if (rc == AKV_OK)
        rc = akv_buffer_append(out, target, (size_t)n + 1);
    return rc;
}

static akv_status posix_follow(akv_env *env, const char *path, akv_buffer *path_out)
{
    akv_buffer next = AKV_BUFFER_INIT;
    akv_status rc   = akvi_buffer_set(path_out, path, strlen(path) + 1);

    (void)env;
    for (int links = 0; rc == AKV_OK; links++) {
        rc = posix_read_link(path_out->data, &next);
        if (rc == AKV_OK && links == POSIX_LINKS_MAX)
            rc = AKV_FAIL_ERRNO(ELOOP, path, AKV_NO_OFFSET, "can't follow");
        if (rc == AKV_OK)
            rc = akvi_buffer_set(path_out, next.data, next.len);
    }
    akv_buffer_free(&next);
    return rc == AKV_ABSENT ? AKV_OK : rc;
}

/* -------------------------------------------------------------------- clock */

static uint64_t posix_unix_ms(akv_env *env)
{
    struct timespec now = {0, 0};

    (void)env;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static uint64_t posix_monotonic_ns(akv_env *env)
{
    (void)env;
    return akvi_monotonic_ns();
}

static void posix_sleep_ns(akv_env *env, uint64_t ns)
{
    struct timespec left;

    (void)env;
    left.tv_sec  = (time_t)(ns / 1000000000u);
    left.tv_nsec = (long)(ns % 1000000000u);
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static const akv_env_ops posix_env_ops = {
    .abi           = AKV_ENV_ABI,
    .size          = sizeof(akv_env_ops),
    .open          = posix_open,
    .info          = posix_path_info,
    .rename        = posix_rename,
    .link          = posix_link,
    .remove        = posix_remove,
    .make_folder   = posix_make_folder,
    .remove_folder = posix_remove_folder,
    .list          = posix_list,
    .sync_folder   = posix_sync_folder,
    .unix_ms       = posix_unix_ms,
    .monotonic_ns  = posix_monotonic_ns,
    .sleep_ns      = posix_sleep_ns,
    .follow        = posix_follow,
};

static akv_env posix_env = {&posix_env_ops};

akv_env *akv_env_posix(void)
{
    return &posix_env;
}
