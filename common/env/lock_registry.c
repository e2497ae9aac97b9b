/* SPDX-License-Identifier: MIT
 *
 * lock_registry.c: see lock_registry.h.
 *
 * A list, since a process locks few files. An entry keeps the process that
 * took the lock: in a child after fork that is still the parent, who holds it
 * through the same open file.
 */
#include "common/env/lock_registry.h"

#include "common/base/mem.h"
#include "common/base/mutex.h"

#include <unistd.h>

typedef struct lock_entry {
    struct lock_entry *next;
    uint64_t           device, inode;
    const void        *owner;
    pid_t              pid;
    bool               exclusive;
} lock_entry;

static akvi_mutex  lock_registry_mutex = AKVI_MUTEX_INIT(AKVI_RANK_FILE_LOCKS);
static lock_entry *lock_registry_entries; /* guarded by lock_registry_mutex */

/* The link to the owner's entry, or to the end; *against_out is an entry of
 * another owner that a lock of this kind can't go with. */
static lock_entry **lock_registry_find(uint64_t device, uint64_t inode, const void *owner,
                                       bool exclusive, lock_entry **against_out)
{
    lock_entry **mine = NULL, **at;

    *against_out = NULL;
    for (at = &lock_registry_entries; *at; at = &(*at)->next) {
        if ((*at)->device != device || (*at)->inode != inode)
            continue;
        if ((*at)->owner == owner)
            mine = at;
        else if (exclusive || (*at)->exclusive)
            *against_out = *at;
    }
    return mine ? mine : at;
}

akv_status akvi_lock_take(uint64_t device, uint64_t inode, const void *owner, bool exclusive,
                          const char *path)
{
    akv_status   rc = AKV_OK;
    lock_entry  *against, *e;
    lock_entry **at;

    akvi_mutex_lock(&lock_registry_mutex);
    at = lock_registry_find(device, inode, owner, exclusive, &against);
    if (against) {
        rc = AKV_FAIL_AT(AKV_LOCKED, path, AKV_NO_OFFSET,
                         "locked by %s, process %ld, through another open: close that first",
                         against->pid == getpid() ? "this process" : "the parent of this process",
                         (long)against->pid);
        goto done;
    }
    e = *at;
    if (!e) {
        e = akvi_alloc(NULL, sizeof *e);
        if (!e) {
            rc = AKV_NOMEM;
            goto done;
        }
        *e  = (lock_entry){NULL, device, inode, owner, getpid(), exclusive};
        *at = e;
    }
    e->exclusive = exclusive;
done:
    akvi_mutex_unlock(&lock_registry_mutex);
    return rc;
}

void akvi_lock_release(uint64_t device, uint64_t inode, const void *owner, bool keep_shared)
{
    lock_entry *against, *e, **at;

    akvi_mutex_lock(&lock_registry_mutex);
    at = lock_registry_find(device, inode, owner, false, &against);
    e  = *at;
    if (e && keep_shared) {
        e->exclusive = false;
    } else if (e) {
        *at = e->next;
        akvi_free(NULL, e, sizeof *e);
    }
    akvi_mutex_unlock(&lock_registry_mutex);
}
