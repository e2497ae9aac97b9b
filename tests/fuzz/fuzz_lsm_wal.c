/* SPDX-License-Identifier: MIT
 *
 * fuzz_lsm_wal.c: any bytes as a log: as a write-ahead log, whose records are
 * taken apart, and as a manifest. They are tried as they are and, so that what
 * lies behind the checksums is reached, with the checksums put right. Nothing
 * may crash, nor take memory out of proportion; and what is read in one mode
 * begins what a more lenient one reads.
 */
#include "common/base/mem.h"
#include "common/codec/crc.h"
#include "common/env/file.h"
#include "engines/lsm/format.h"
#include "engines/lsm/log.h"
#include "engines/lsm/manifest.h"

#include <stdio.h>
#include <stdlib.h>

#define NUMBER 1u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static akv_status see_record(void *user, akv_slice record, uint64_t offset)
{
    lsm_record_reader r;
    lsm_entry         e;
    akv_status        rc = akvi_lsm_record_begin(record, &r);

    (void)offset;
    while (rc == AKV_OK) {
        rc = akvi_lsm_record_next(&r, &e);
        must(rc != AKV_OK || (e.key.len <= LSM_MAX_KEY && e.value.len <= LSM_MAX_VALUE));
    }
    must(rc == AKV_END || rc == AKV_CORRUPT || rc == AKV_VERSION);
    *(uint64_t *)user += record.len;
    return AKV_OK;
}

static void try_wal(akv_env *env, const akv_allocator *allocator, size_t len)
{
    uint64_t before = 0;

    for (int mode = LSM_RECOVERY_STRICT; mode >= 0; mode--) {
        lsm_wal_report report;
        uint64_t       bytes = 0;
        akv_status     rc    = akvi_lsm_wal_read(allocator, env, "log", NUMBER, (lsm_recovery)mode,
                                                 see_record, &bytes, &report);

        must(rc == AKV_OK || rc == AKV_CORRUPT || rc == AKV_VERSION);
        must(bytes == report.bytes && bytes <= len && report.end <= len + LSM_LOG_BLOCK);
        must(bytes >= before);
        before = bytes;
    }
    {
        lsm_wal_report report;
        uint64_t       bytes = 0;
        akv_status     rc = akvi_lsm_wal_read(allocator, env, "log", NUMBER, LSM_RECOVERY_SALVAGE,
                                              see_record, &bytes, &report);

        must(rc == AKV_OK || rc == AKV_CORRUPT || rc == AKV_VERSION);
        must(bytes >= before && bytes <= len);
    }
}

static void try_manifest(akv_env *env, const akv_allocator *allocator)
{
    lsm_manifest_state s;
    akv_status         rc = akvi_lsm_manifest_read(allocator, env, "d", &s);

    must(rc == AKV_OK || rc == AKV_CORRUPT || rc == AKV_VERSION);
    for (size_t i = 0; rc == AKV_OK && i < s.tables_n; i++)
        must(s.tables[i].number < s.next_file && s.tables[i].level < LSM_LEVELS &&
             s.tables[i].largest_seq <= s.last_seq);
    akvi_lsm_manifest_state_free(allocator, &s);
}

static void try_bytes(akv_env *env, const uint8_t *data, size_t len)
{
    akvi_budget budget;

    akvi_call_begin();
    akvi_budget_init(&budget, NULL, (1 << 20) + 200 * (uint64_t)len);
    must(akvi_write_file(env, "log", data, len) == AKV_OK);
    must(akvi_write_file(env, "d/MANIFEST-000001", data, len) == AKV_OK);
    try_wal(env, &budget.allocator, len);
    try_manifest(env, &budget.allocator);
    must(atomic_load(&budget.used) == 0);
}

/* Make the checksums of the head and of all fragments that can be followed right. */
static void put_right(uint8_t *data, size_t len)
{
    uint32_t seed = akvi_lsm_log_seed(NUMBER), before = 0;
    uint64_t off = LSM_LOG_HEAD;

    if (len < LSM_LOG_HEAD)
        return;
    akvi_put_le32(data + 28, akvi_crc32c(0, data, 28));
    while (off <= len && len - off >= LSM_LOG_FRAGMENT) {
        uint8_t *p    = data + off;
        size_t   n    = akvi_get_le16(p + 8);
        bool     more = p[10] == LSM_FRAGMENT_MIDDLE || p[10] == LSM_FRAGMENT_LAST;

        if (n > len - off - LSM_LOG_FRAGMENT)
            return;
        before = akvi_crc32c(more ? before : lsm_log_place_seed(seed, off), p + 4,
                             LSM_LOG_FRAGMENT - 4 + n);
        akvi_put_le32(p, before);
        off = lsm_log_place(off + LSM_LOG_FRAGMENT + n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char current[] = "MANIFEST-000001 ";
    char              text[32];
    akv_env          *env  = NULL;
    uint8_t          *copy = malloc(len + 1);

    must(copy && akv_env_memory_new(NULL, &env) == AKV_OK);
    must(env->ops->make_folder(env, "d") == AKV_OK);
    snprintf(text, sizeof text, "%s%08x\n", current, akvi_crc32c(0, current, 15));
    must(akvi_write_file(env, "d/CURRENT", text, strlen(text)) == AKV_OK);
    if (len > 0)
        memcpy(copy, data, len);
    try_bytes(env, copy, len);
    put_right(copy, len);
    try_bytes(env, copy, len);
    free(copy);
    akv_env_memory_free(env);
    return 0;
}
