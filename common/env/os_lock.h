/* SPDX-License-Identifier: MIT
 *
 * os_lock.h: the system's lock on an open file of the POSIX env.
 *
 * Open-file-description locks where the system has them, flock elsewhere: both
 * belong to the open file and not to the process, so closing another open of
 * the same file drops nothing. Neither tells the holder's process id, so the
 * holder of an exclusive lock writes it into a file whose name ends in ".lock",
 * and who fails to lock reads it from there. Such a file is cleared on release.
 *
 * A child after fork shares the lock of its parent: release there only forgets.
 */
#ifndef AKVI_ENV_OS_LOCK_H
#define AKVI_ENV_OS_LOCK_H

#include "common/base/fail.h"

#include <sys/types.h>

/* Zero-filled holds nothing. One thread at a time. */
typedef struct akvi_os_lock {
    bool     held, exclusive;
    bool     named; /* our process id is in the file */
    pid_t    pid;   /* that took it */
    uint64_t device, inode;
} akvi_os_lock;

AKVI_MUST_USE akv_status akvi_os_lock_take(akvi_os_lock *lock, int fd, const char *path,
                                           bool exclusive);
void                     akvi_os_lock_release(akvi_os_lock *lock, int fd);

#endif
