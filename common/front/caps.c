/* SPDX-License-Identifier: MIT
 *
 * caps.c: capabilities: their names, what emulation adds, and what a handle
 * can do at this moment of its life.
 */
#include "common/front/front.h"

#include "common/base/bytes.h"

#include <stdio.h>

/* By bit. */
static const char *const caps_names[] = {
    "read",       "write",       "build",       "ordered",      "batch",    "condition",
    "version",    "snapshot",    "checkpoint",  "ttl",          "txn",      "delete_range",
    "merge",      "keyspaces",   "stream_read", "stream_write", "changes",  "documents",
    "encryption", "shared_read", "remote",      "durable",      "encoding",
};

const char *akv_capability_name(uint64_t bit)
{
    if (bit == 0 || (bit & (bit - 1)) != 0 || bit > AKV_CAP_ALL)
        return NULL;
    return caps_names[__builtin_ctzll(bit)];
}

const char *akvi_caps_text(char text[AKVI_CAPS_TEXT], uint64_t caps)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < AKVI_ARRAY_N(caps_names) && used < AKVI_CAPS_TEXT; i++)
        if (caps & (UINT64_C(1) << i))
            used += (size_t)snprintf(text + used, AKVI_CAPS_TEXT - used, "%s%s", used ? ", " : "",
                                     caps_names[i]);
    return text;
}

uint64_t akvi_caps_emulable(uint64_t native)
{
    const uint64_t range = AKV_CAP_ORDERED | AKV_CAP_BATCH | AKV_CAP_WRITE;
    const uint64_t merge = AKV_CAP_READ | AKV_CAP_CONDITION | AKV_CAP_WRITE;
    uint64_t       caps  = 0;

    if ((native & range) == range)
        caps |= AKV_CAP_DELETE_RANGE;
    if ((native & merge) == merge)
        caps |= AKV_CAP_MERGE;
    if (native & AKV_CAP_READ)
        caps |= AKV_CAP_STREAM_READ;
    return caps & ~native;
}

void akvi_caps_set(akv *db, uint64_t caps, uint64_t emulated)
{
    uint64_t tag = atomic_load_explicit(&db->tag, memory_order_relaxed);

    atomic_store_explicit(&db->caps, caps, memory_order_relaxed);
    atomic_store_explicit(&db->caps_emulated, emulated, memory_order_relaxed);
    atomic_store_explicit(&db->read_tag, caps & AKV_CAP_READ ? tag : 0, memory_order_relaxed);
}

void akvi_caps_refresh(akv *db)
{
    uint64_t native = db->caps_open;
    uint64_t emulated;

    if (native & AKV_CAP_BUILD) {
        if (db->engine->building(db->impl))
            native &= ~AKVI_CAPS_FINISHED;
        else
            native = (native | (db->engine->caps & AKVI_CAPS_FINISHED)) & ~AKVI_CAPS_MUTATE;
    }
    if (db->flags & AKV_OPEN_READ_ONLY)
        native &= ~AKVI_CAPS_MUTATE;
    emulated = akvi_caps_emulable(native);
    akvi_caps_set(db, native | emulated, emulated | (native & db->engine->caps_emulated));
}

akv_status akvi_lacks(const akv *db, uint64_t missing)
{
    char     text[AKVI_CAPS_TEXT];
    uint64_t could = db->engine->caps | akvi_caps_emulable(db->engine->caps);

    akvi_caps_text(text, missing);
    if (missing & ~could)
        return AKV_FAIL(AKV_UNSUPPORTED, "the %s engine lacks: %s", db->engine->name, text);
    if (db->flags & AKV_OPEN_READ_ONLY && missing & AKVI_CAPS_MUTATE)
        return AKV_FAIL(AKV_UNSUPPORTED, "the store is open for reading only, which leaves out: %s",
                        text);
    if (akvi_caps(db) & AKV_CAP_BUILD)
        return AKV_FAIL(AKV_UNSUPPORTED,
                        "the %s store is being built: call akv_finish first, which brings: %s",
                        db->engine->name, text);
    return AKV_FAIL(AKV_UNSUPPORTED, "this %s store, as it was opened, lacks: %s", db->engine->name,
                    text);
}

uint64_t akv_capabilities(const akv *db)
{
    return akvi_enter(db, __func__) == AKV_OK ? akvi_caps(db) : 0;
}

uint64_t akv_capabilities_emulated(const akv *db)
{
    if (akvi_enter(db, __func__) != AKV_OK)
        return 0;
    return atomic_load_explicit(&db->caps_emulated, memory_order_relaxed);
}
