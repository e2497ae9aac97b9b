/* SPDX-License-Identifier: MIT
 *
 * unsynced.h: what a loss of power may undo, over any env.
 *
 * Changes go through here to the base env and are listed until they are synced.
 * A loss of power then leaves a state that a real machine could be found in:
 *
 *  1. Synced contents are there. A file's sync says nothing of its name.
 *  2. A change of a name (make, link, rename, remove) is there once each folder
 *     that it touches was synced, or one of them, since a rename is atomic.
 *     A folder that was not synced into its parent takes along all it holds.
 *  3. Unsynced changes of names are kept up to some point in each folder, none
 *     after it. A rename between folders is kept or dropped as a whole.
 *  4. Each 512-byte sector of a file has its contents as of some moment since
 *     the last sync, or is torn: in part as of one moment, in part as of one
 *     just before. The moments of sectors do not depend on each other.
 *  5. The size is that of some moment, too; where no contents were kept there
 *     are zeroes. What a kept cut took away stays away.
 *  6. Contents are lost with a failed sync: that a later one succeeds does not
 *     say that they are there. Writing them anew and syncing does.
 *
 * The caller sees to it that one thread at a time is in here.
 */
#ifndef AKVI_ENV_UNSYNCED_H
#define AKVI_ENV_UNSYNCED_H

#include "common/base/fail.h"

#include <anykv/env.h>

typedef struct akvi_unsynced      akvi_unsynced;
typedef struct akvi_unsynced_file akvi_unsynced_file;

/* NULL without memory. */
AKVI_MUST_USE akvi_unsynced *akvi_unsynced_new(akv_env *base, const akv_allocator *allocator);
/* The base keeps everything as it is now. No tracked file may be left. Takes NULL. */
void akvi_unsynced_free(akvi_unsynced *u);

/* As the base's open; *tracked_out is for the calls below and goes with
 * akvi_unsynced_leave when the file is closed. */
AKVI_MUST_USE akv_status akvi_unsynced_open(akvi_unsynced *u, const char *path, uint32_t flags,
                                            akv_file **file_out, akvi_unsynced_file **tracked_out);
void akvi_unsynced_leave(akvi_unsynced *u, akvi_unsynced_file *tracked); /* takes NULL */

/* `file` is an open file of the base, on the tracked one. AKV_NO_OFFSET: append. */
AKVI_MUST_USE akv_status akvi_unsynced_write(akvi_unsynced *u, akvi_unsynced_file *tracked,
                                             akv_file *file, const void *data, size_t len,
                                             uint64_t off);
AKVI_MUST_USE akv_status akvi_unsynced_truncate(akvi_unsynced *u, akvi_unsynced_file *tracked,
                                                akv_file *file, uint64_t size);
AKVI_MUST_USE akv_status akvi_unsynced_sync(akvi_unsynced *u, akvi_unsynced_file *tracked,
                                            akv_file *file, bool metadata);
/* The sync failed before it got here. */
void akvi_unsynced_sync_failed(akvi_unsynced_file *tracked);

AKVI_MUST_USE akv_status akvi_unsynced_rename(akvi_unsynced *u, const char *from, const char *to);
AKVI_MUST_USE akv_status akvi_unsynced_link(akvi_unsynced *u, const char *from, const char *to);
AKVI_MUST_USE akv_status akvi_unsynced_remove(akvi_unsynced *u, const char *path);
AKVI_MUST_USE akv_status akvi_unsynced_make_folder(akvi_unsynced *u, const char *path);
AKVI_MUST_USE akv_status akvi_unsynced_remove_folder(akvi_unsynced *u, const char *path);
AKVI_MUST_USE akv_status akvi_unsynced_sync_folder(akvi_unsynced *u, const char *path);

/* Choose a state by `seed` (0: nothing unsynced is kept, UINT64_MAX: all is),
 * put the base into it and forget everything. No tracked file may be left. */
AKVI_MUST_USE akv_status akvi_unsynced_power_loss(akvi_unsynced *u, uint64_t seed);

#endif
