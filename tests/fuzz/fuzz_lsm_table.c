/* SPDX-License-Identifier: MIT
 *
 * fuzz_lsm_table.c: any bytes as a table. Checksums would turn away whatever was
 * changed, so it is tried again with all of them put right. What opens is walked
 * both ways, every entry that it lists is sought, and it is verified; a table that
 * was found sound must find what it lists.
 */
#include "common/codec/crc.h"
#include "engines/lsm/format.h"
#include "engines/lsm/table_file.h"

#include <stdlib.h>

#define FUZZ_TABLE "in.sst"
#define FUZZ_STEPS 20000u

static const lsm_read fuzz_read = {.fill_cache = true};

static void fuzz_must(bool truth)
{
    if (!truth)
        abort();
}

static akv_env *fuzz_env(void)
{
    static akv_env *env;

    if (!env)
        fuzz_must(akv_env_memory_new(NULL, &env) == AKV_OK);
    return env;
}

/* ---------------------------------------------------------- right checksums */

static bool fuzz_seal(uint8_t *file, size_t len, uint64_t off, uint64_t size)
{
    if (size <= LSM_BLOCK_SEAL || !akvi_range_ok(off, size, len))
        return false;
    akvi_lsm_seal(file + off, (size_t)size - LSM_BLOCK_SEAL, file[off + size - LSM_BLOCK_SEAL],
                  off);
    return true;
}

/* Seal what the values of an index block point at; of the top index, also what
 * those do. */
static void fuzz_seal_index(uint8_t *file, size_t len, uint64_t off, uint64_t size, bool top)
{
    uint32_t width = top ? LSM_TOP_VALUE : LSM_INDEX_VALUE;
    lsm_view v;

    if (size <= LSM_BLOCK_SEAL || !akvi_range_ok(off, size, len) ||
        !akvi_lsm_view_init(&v, file + off, (size_t)size - LSM_BLOCK_SEAL, LSM_KINDS_INDEX))
        return;
    for (uint32_t i = 0; i < v.values_len / width && i < FUZZ_STEPS; i++) {
        uint64_t at  = akvi_get_le64(v.data + (size_t)i * width);
        uint32_t has = akvi_get_le32(v.data + (size_t)i * width + 8);

        if (top)
            fuzz_seal_index(file, len, at, has, false);
        fuzz_seal(file, len, at, has);
    }
}

static void fuzz_repair(uint8_t *file, size_t len)
{
    uint8_t *footer = file + len - LSM_TABLE_FOOTER;

    if (len < LSM_TABLE_FOOTER)
        return;
    akvi_put_le64(footer, LSM_TABLE_MAGIC);
    akvi_put_le32(footer + 8, LSM_TABLE_VERSION);
    akvi_put_le64(footer + 24, len);
    fuzz_seal_index(file, len, akvi_get_le64(footer + 32), akvi_get_le32(footer + 40), true);
    for (size_t i = 32; i < 80; i += 12)
        fuzz_seal(file, len, akvi_get_le64(footer + i), akvi_get_le32(footer + i + 8));
    akvi_put_le32(footer + 80, akvi_crc32c(0, footer, 80));
}

static void fuzz_put(const uint8_t *data, size_t len)
{
    akv_env  *env = fuzz_env();
    akv_file *file;

    fuzz_must(env->ops->open(env, FUZZ_TABLE, AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_TRUNCATE,
                             &file) == AKV_OK);
    fuzz_must(len == 0 || file->ops->append(file, data, len) == AKV_OK);
    fuzz_must(file->ops->close(file) == AKV_OK);
}

/* -------------------------------------------------------------------- reads */

/* One entry by get and by seek. */
static void fuzz_find(lsm_table *t, lsm_cursor *c, const lsm_entry *e, bool sound)
{
    uint64_t   hash = akvi_lsm_filter_hash(e->key);
    lsm_block *block;
    lsm_entry  got;
    akv_status rc = akvi_lsm_table_get(t, e->key, hash, e->seq, &fuzz_read, &got, &block);

    fuzz_must(!sound || (rc == AKV_OK && got.seq == e->seq &&
                         akvi_equal(got.value.data, got.value.len, e->value.data, e->value.len)));
    akvi_lsm_block_unref(block);
    rc = lsm_cursor_seek(c, e->key, e->seq);
    fuzz_must(!sound || (rc == AKV_OK && c->entry.seq == e->seq));
    akvi_lsm_table_prefetch(t, e->key, hash);
    (void)akvi_lsm_table_may_have_prefix(t, e->key);
    (void)akvi_lsm_table_offset_of(t, e->key);
}

static void fuzz_walk(lsm_table *t, bool sound)
{
    lsm_cursor *c, *other;
    uint64_t    forwards = 0, backwards = 0;
    akv_status  rc;

    fuzz_must(akvi_lsm_table_cursor(t, &fuzz_read, &c) == AKV_OK);
    fuzz_must(akvi_lsm_table_cursor(t, &fuzz_read, &other) == AKV_OK);
    for (rc = lsm_cursor_move(c, LSM_FIRST); rc == AKV_OK && forwards < FUZZ_STEPS; forwards++) {
        fuzz_find(t, other, &c->entry, sound);
        rc = lsm_cursor_move(c, LSM_NEXT);
    }
    for (rc = lsm_cursor_move(c, LSM_LAST); rc == AKV_OK && backwards < FUZZ_STEPS; backwards++)
        rc = lsm_cursor_move(c, LSM_PREV);
    fuzz_must(!sound || forwards == backwards);
    (void)c->ops->move(c, LSM_SEEK_FOR_PREV, akv_str("m"), 3);
    lsm_cursor_free(c);
    lsm_cursor_free(other);
}

static void fuzz_open(bool mapped)
{
    akv_job_options opt = AKV_JOB_OPTIONS_INIT;
    akv_env        *env = fuzz_env();
    lsm_cache      *cache;
    lsm_table      *t;
    akv_file       *file;
    akv_job         job;

    fuzz_must(akvi_lsm_cache_new(NULL, 1 << 20, &cache) == AKV_OK);
    fuzz_must(env->ops->open(env, FUZZ_TABLE, 0, &file) == AKV_OK);
    if (akvi_lsm_table_open(NULL, file, FUZZ_TABLE, 1, mapped, cache, &t) == AKV_OK) {
        akv_job_begin(&job, &opt, env, 1, "bytes");
        fuzz_walk(t, akvi_lsm_table_verify(t, &job) == AKV_OK);
        akvi_lsm_table_close(t);
    }
    akvi_lsm_cache_free(cache);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *file = malloc(len + 1);

    fuzz_must(file != NULL);
    fuzz_put(data, len);
    fuzz_open(true);
    if (len)
        memcpy(file, data, len);
    fuzz_repair(file, len);
    fuzz_put(file, len);
    fuzz_open(true);
    fuzz_open(false);
    free(file);
    return 0;
}
