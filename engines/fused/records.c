/* SPDX-License-Identifier: MIT
 *
 * records.c: see records.h.
 */
#include "engines/fused/records.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/env/file.h"

#define RECORD_SIZE       24u
#define RECORDS_HEAD      8u
#define RECORDS_MOST_SIZE ((uint64_t)256 << 10)
#define RECORDS_LEAST     ((uint64_t)4 << 10)

akv_status akvi_fused_records_begin(fused_records *r, const akv_allocator *allocator, akv_env *env,
                                    const char *path, uint32_t n, uint64_t memory)
{
    uint64_t size = memory / n;

    if (size > RECORDS_MOST_SIZE)
        size = RECORDS_MOST_SIZE;
    if (size < RECORDS_LEAST)
        size = RECORDS_LEAST;
    *r             = (fused_records){.allocator = allocator, .chains_n = n, .blocks = n};
    r->block_n     = (size - RECORDS_HEAD) / RECORD_SIZE;
    r->block_size  = (size_t)(RECORDS_HEAD + r->block_n * RECORD_SIZE);
    r->memory_size = r->block_size * n;
    r->memory      = akvi_alloc(allocator, r->memory_size);
    r->chains      = akvi_zalloc(allocator, n * sizeof *r->chains);
    if (!r->memory || !r->chains)
        return AKV_NOMEM;
    for (uint32_t i = 0; i < n; i++)
        r->chains[i].first = r->chains[i].current = i;
    return akvi_temp_open(env, allocator, path, &r->file);
}

static uint8_t *records_block(const fused_records *r, uint32_t chain)
{
    return r->memory + chain * r->block_size;
}

/* Write a chain's block, which is followed by block number `next`. */
static akv_status records_write(fused_records *r, uint32_t chain, uint64_t next)
{
    fused_chain *c     = &r->chains[chain];
    uint8_t     *block = records_block(r, chain);
    akv_status   st;

    akvi_put_le64(block, next);
    st = r->file->ops->write_at(r->file, block, r->block_size, c->current * r->block_size);
    if (st == AKV_OK)
        c->current = next;
    return st;
}

akv_status akvi_fused_records_put(fused_records *r, uint32_t chain, const fused_record *record)
{
    fused_chain *c  = &r->chains[chain];
    uint64_t     at = c->n % r->block_n;
    uint8_t     *to;

    if (at == 0 && c->n > 0) {
        akv_status st = records_write(r, chain, r->blocks);

        if (st != AKV_OK)
            return st;
        r->blocks++;
    }
    to = records_block(r, chain) + RECORDS_HEAD + at * RECORD_SIZE;
    akvi_put_le64(to, record->hash);
    akvi_put_le64(to + 8, record->place);
    akvi_put_le64(to + 16, record->object);
    c->n++;
    return AKV_OK;
}

akv_status akvi_fused_records_flush(fused_records *r)
{
    akv_status st = AKV_OK;

    for (uint32_t i = 0; i < r->chains_n && st == AKV_OK; i++) {
        uint64_t used = r->chains[i].n % r->block_n;

        if (used > 0) /* or the rest would be told from nothing by a checker of memory */
            memset(records_block(r, i) + RECORDS_HEAD + used * RECORD_SIZE, 0,
                   (size_t)(r->block_n - used) * RECORD_SIZE);
        if (r->chains[i].n > 0)
            st = records_write(r, i, 0);
    }
    return st;
}

void akvi_fused_records_read(fused_records *r, uint32_t chain)
{
    r->reading = &r->chains[chain];
    r->at      = 0;
}

akv_status akvi_fused_records_next(fused_records *r, fused_record *record_out)
{
    const uint8_t *from;

    if (r->at == r->reading->n)
        return AKV_END;
    if (r->at % r->block_n == 0) {
        uint64_t   block = r->at == 0 ? r->reading->first : akvi_get_le64(r->memory);
        akv_status st =
            akvi_read_full(r->file, NULL, r->memory, r->block_size, block * r->block_size);

        if (st != AKV_OK)
            return st;
    }
    from               = r->memory + RECORDS_HEAD + r->at++ % r->block_n * RECORD_SIZE;
    record_out->hash   = akvi_get_le64(from);
    record_out->place  = akvi_get_le64(from + 8);
    record_out->object = akvi_get_le64(from + 16);
    return AKV_OK;
}

bool akvi_fused_records_ahead(const fused_records *r, uint64_t ahead, uint64_t *hash_out)
{
    uint64_t at = (r->at - 1) % r->block_n + ahead;

    if (at >= r->block_n || r->at - 1 + ahead >= r->reading->n)
        return false;
    *hash_out = akvi_get_le64(r->memory + RECORDS_HEAD + at * RECORD_SIZE);
    return true;
}

void akvi_fused_records_end(fused_records *r)
{
    akvi_file_drop(r->file);
    akvi_free(r->allocator, r->memory, r->memory_size);
    akvi_free(r->allocator, r->chains, r->chains_n * sizeof *r->chains);
    *r = (fused_records){.file = NULL};
}
