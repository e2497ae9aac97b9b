/* SPDX-License-Identifier: MIT
 *
 * memory.h: the memory engine: a store in this process's memory, with every
 * capability that does not need a disk.
 *
 * Without a path (NULL or "") it lives and dies with its handle. With one it is
 * loaded from that file when opened, and written back whole, atomically and
 * durably, by akv_sync and, when anything changed, by akv_close; what was
 * written since is lost with the process, so it does not claim
 * AKV_CAP_DURABLE. Beside the file lies PATH.lock, which keeps a second writer
 * out; readers (AKV_OPEN_READ_ONLY) need no lock and see the file as it was
 * last written.
 *
 * The engine starts no threads, and the words for durability change nothing
 * here: what lasts is what akv_sync has written. One that fails leaves the file
 * as it was and poisons nothing: the next writes it anew.
 *
 * Choose it for tests, caches and scratch data; as a sorted map that many
 * threads may read, scan and change at once, with snapshots.
 *
 * A snapshot costs nothing to make; what is overwritten while it lives is kept
 * for as long as some snapshot or iterator can see it. Expired keys are absent
 * at once, in snapshots too, and give their memory back when anything is
 * written, by akv_work or by akv_compact. Merge operators run with the store
 * locked, so must not call it.
 *
 * The history for change feeds begins when the handle's first feed is opened,
 * and the oldest goes when it would outgrow `change_log` or memory runs out.
 *
 * Limits: keys of 0 to 65,535 bytes, values of 0 to 1 GiB.
 */
#ifndef ANYKV_MEMORY_H
#define ANYKV_MEMORY_H

#include <anykv/anykv.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AKV_MEMORY_MAX_KEY   UINT64_C(65535)
#define AKV_MEMORY_MAX_VALUE (UINT64_C(1) << 30)

/* NULL means AKV_MEMORY_OPTIONS_INIT. */
typedef struct akv_memory_options {
    akv_engine_options head;
    uint64_t           change_log; /* bytes of history for change feeds; 0: no feeds */
} akv_memory_options;
#define AKV_MEMORY_OPTIONS_INIT                                    \
    {                                                              \
        {sizeof(akv_memory_options), "memory"}, UINT64_C(64) << 20 \
    }

#ifdef __cplusplus
}
#endif
#endif
