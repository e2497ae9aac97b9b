/* SPDX-License-Identifier: MIT
 *
 * os_lock.c: see os_lock.h.
 */
#include "common/env/os_lock.h"

#include "common/env/lock_registry.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define OS_LOCK_PID_MAX 32 /* room for the text of a process id */

/* `kind` is F_RDLCK, F_WRLCK or F_UNLCK. Returns 0 or an errno. */
static int os_lock_set(int fd, short kind)
{
    int how = kind == F_UNLCK ? LOCK_UN : kind == F_WRLCK ? LOCK_EX : LOCK_SH;

#ifdef F_OFD_SETLK
    struct flock l = {.l_type = kind, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &l) == 0)
        return 0;
    if (errno != EINVAL) /* which a kernel without them says */
        return errno;
#endif
    while (flock(fd, how | LOCK_NB) != 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

/* Whether an exclusive lock is what stands against us, as far as can be told. */
static bool os_lock_is_exclusive(int fd)
{
#ifdef F_OFD_GETLK
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_GETLK, &l) == 0)
        return l.l_type == F_WRLCK;
#else
    (void)fd;
#endif
    return true;
}

static bool os_lock_is_named(const char *path)
{
    size_t len = strlen(path);

    return len >= 5 && strcmp(path + len - 5, ".lock") == 0;
}

/* The live process that wrote itself into the file, or 0. */
static long os_lock_holder(int fd)
{
    char    text[OS_LOCK_PID_MAX];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    char   *end;
    long    pid;

    if (n <= 0)
        return 0;
    text[n] = '\0';
    pid     = strtol(text, &end, 10);
    if (*end != '\n' || pid <= 0 || (kill((pid_t)pid, 0) != 0 && errno == ESRCH))
        return 0;
    return pid;
}

static akv_status os_lock_refused(int fd, const char *path)
{
    long pid = os_lock_is_named(path) && os_lock_is_exclusive(fd) ? os_lock_holder(fd) : 0;

    if (pid != 0)
        return AKV_FAIL_AT(AKV_LOCKED, path, AKV_NO_OFFSET,
                           "locked by process %ld: wait until it closes it", pid);
    return AKV_FAIL_AT(AKV_LOCKED, path, AKV_NO_OFFSET,
                       "locked by another process: wait until it closes it");
}

/* Best effort: without it the loser is told less, and nothing else. */
static bool os_lock_name(int fd)
{
    char text[OS_LOCK_PID_MAX];
    int  n = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) == n;
}

static void os_lock_unname(akvi_os_lock *lock, int fd)
{
    if (lock->named && ftruncate(fd, 0) != 0)
        return; /* an old id of a process that no longer holds it: harmless */
    lock->named = false;
}

akv_status akvi_os_lock_take(akvi_os_lock *lock, int fd, const char *path, bool exclusive)
{
    struct stat st;
    akv_status  rc;
    int         err;

    if (!lock->held) {
        if (fstat(fd, &st) != 0)
            return AKV_FAIL_ERRNO(errno, path, AKV_NO_OFFSET, "can't tell which file it is");
        lock->device = (uint64_t)st.st_dev;
        lock->inode  = (uint64_t)st.st_ino;
    }
    rc = akvi_lock_take(lock->device, lock->inode, lock, exclusive, path);
    if (rc != AKV_OK)
        return rc;
    if (!exclusive)
        os_lock_unname(lock, fd);
    err = os_lock_set(fd, exclusive ? F_WRLCK : F_RDLCK);
    if (err != 0) {
        akvi_lock_release(lock->device, lock->inode, lock, lock->held);
        if (err == EAGAIN || err == EACCES || err == EWOULDBLOCK)
            return os_lock_refused(fd, path);
        return AKV_FAIL_ERRNO(err, path, AKV_NO_OFFSET, "can't lock");
    }
    lock->held      = true;
    lock->exclusive = exclusive;
    lock->pid       = getpid();
    if (exclusive && os_lock_is_named(path))
        lock->named = os_lock_name(fd);
    return AKV_OK;
}

void akvi_os_lock_release(akvi_os_lock *lock, int fd)
{
    if (!lock->held)
        return;
    if (lock->pid == getpid()) {
        os_lock_unname(lock, fd);
        os_lock_set(fd, F_UNLCK);
    }
    akvi_lock_release(lock->device, lock->inode, lock, false);
    lock->held = false;
}
