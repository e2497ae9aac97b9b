/* SPDX-License-Identifier: MIT
 *
 * fuzz_memory_image.c: any bytes as the image of a memory store. They are tried
 * as they are and, so that what lies behind the checksums is reached, with the
 * checksums put right. Opening, salvaging and scanning must not crash, nor take
 * memory out of proportion; what a salvage keeps must be a good image again.
 */
#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/codec/crc.h"
#include "common/env/file.h"
#include "engines/memory/format.h"
#include "engines/memory/store.h"

#include <stdlib.h>

#define IMAGE "image"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static akv_status image_open(akv_env *env, uint32_t flags, const akv_allocator *allocator,
                             void **impl_out)
{
    static const akv_memory_options options = AKV_MEMORY_OPTIONS_INIT;
    static const akv_logger         quiet   = {NULL, NULL, AKV_LOG_ERROR};
    uint64_t                        caps    = akvi_memory.caps;
    const akv_open_args             args    = {.size           = sizeof args,
                                               .path           = IMAGE,
                                               .flags          = flags,
                                               .sync           = AKV_SYNC_PERIODIC,
                                               .allocator      = allocator,
                                               .env            = env,
                                               .engine_options = &options,
                                               .logger         = &quiet};

    return akvi_memory.open(&args, impl_out, &caps);
}

static uint64_t walk(void *impl)
{
    const akv_read_options now  = AKV_READ_OPTIONS_INIT;
    const akv_range        all  = {.has_upper = false};
    akv_move               move = AKV_MOVE_LAST;
    uint64_t               n    = 0;
    akv_entry              e;
    void                  *it;

    must(akvi_memory.iter_new(impl, &all, &now, &it) == AKV_OK);
    for (; akvi_memory.iter_move(it, move, akv_bytes(NULL, 0), &e) == AKV_OK; n++)
        move = AKV_MOVE_PREV;
    akvi_memory.iter_free(it);
    return n;
}

static void try_image(akv_env *env, const uint8_t *data, size_t len)
{
    const akv_job_options job = AKV_JOB_OPTIONS_INIT;
    akvi_budget           budget;
    akv_status            strict, salvaged;
    uint64_t              keys = 0;
    void                 *impl;

    akvi_call_begin();
    akvi_budget_init(&budget, NULL, (1 << 20) + 40 * (uint64_t)len);
    must(akvi_write_file(env, IMAGE, data, len) == AKV_OK);
    strict = image_open(env, AKV_OPEN_READ_ONLY, &budget.allocator, &impl);
    must(strict == AKV_OK || strict == AKV_CORRUPT || strict == AKV_VERSION);
    if (strict == AKV_OK) {
        keys = walk(impl);
        must(akvi_memory.verify(impl, &job) == AKV_OK);
        must(akvi_memory.close(impl) == AKV_OK);
    }
    salvaged = image_open(env, AKV_OPEN_SALVAGE, &budget.allocator, &impl);
    must(salvaged == AKV_OK || (strict != AKV_OK && salvaged == strict));
    if (salvaged == AKV_OK) {
        must(walk(impl) >= keys);
        keys = walk(impl);
        must(akvi_memory.close(impl) == AKV_OK);
        must(akvi_memory.repair(env, IMAGE, &job) == AKV_OK);
        must(image_open(env, 0, &budget.allocator, &impl) == AKV_OK);
        must(walk(impl) == keys);
        must(akvi_memory.close(impl) == AKV_OK);
    }
    must(atomic_load(&budget.used) == 0);
}

/* Make the checksums of the header and of all records that can be followed right. */
static void put_right(uint8_t *data, size_t len)
{
    size_t at = MEMORY_HEADER_LEN;

    if (len < MEMORY_HEADER_LEN)
        return;
    akvi_put_le32(data + 40, akvi_crc32c(0, data, 40));
    while (len - at >= MEMORY_RECORD_LEN) {
        uint8_t *p    = data + at;
        uint64_t body = (uint64_t)akvi_get_le16(p + 10) + akvi_get_le32(p + 12);

        if (body > len - at - MEMORY_RECORD_LEN)
            return;
        akvi_put_le32(p + 4, akvi_crc32c(0, p + MEMORY_RECORD_LEN, (size_t)body));
        akvi_put_le32(p, akvi_crc32c(0, p + 4, MEMORY_RECORD_LEN - 4));
        at += MEMORY_RECORD_LEN + (size_t)body;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    akv_env *env  = NULL;
    uint8_t *copy = malloc(len + 1);

    must(copy && akv_env_memory_new(NULL, &env) == AKV_OK);
    try_image(env, data, len);
    if (len > 0)
        memcpy(copy, data, len);
    put_right(copy, len);
    try_image(env, copy, len);
    free(copy);
    akv_env_memory_free(env);
    return 0;
}
