/* SPDX-License-Identifier: MIT
 *
 * fill.c: the hash section of a file that is being built.
 *
 * Its table may be larger than the memory to build it in. It is then filled
 * window by window, a range of groups at a time, from records that were sorted
 * into the windows on disk. What it holds does not depend on the windows: keys
 * take slots in the order of the index, and a window that is full passes a key
 * on to the next, which takes it in its turn in that order. Only keys that are
 * passed on by the last group begin anew at the first one, after all others.
 */
#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/codec/crc.h"
#include "common/map/hash.h"
#include "engines/fused/build.h"
#include "engines/fused/records.h"
#include "engines/fused/section.h"

#define FILL_AHEAD   32u /* keys whose slots are asked for before they are filled */
#define FILL_WINDOWS 256u
#define FILL_STEP    ((size_t)1 << 20) /* bytes between two steps of the job */

typedef struct fused_fill {
    fused_build        *b;
    fused_section       section;
    fused_section_parts parts;
    fused_table         table; /* but for its bytes, which are the window's */
    fused_window        window;
    uint64_t            window_groups; /* of each but the last */
    uint32_t            windows_n;
    uint8_t            *memory; /* a window's */
    size_t              memory_size;
    uint32_t           *crcs; /* of each window */
    fused_records       records;
    akv_buffer          carry, passed; /* fused_record, passed on to this window and by it */
    size_t              carried;       /* of carry, taken */
} fused_fill;

/* The section that these contents get, but for its checksums, seed and reach. */
static void fill_parts(const fused_build *b, fused_section *s, fused_section_parts *parts_out)
{
    *s        = (fused_section){.offset = b->writer->end + b->index_size};
    s->groups = (uint32_t)akvi_fused_table_groups(b->keys);
    akvi_fused_section_parts(s->offset, s->groups, (uint32_t)b->keys, parts_out);
    s->length = parts_out->end - s->offset;
}

uint64_t akvi_fused_section_work(const fused_build *b)
{
    fused_section       s;
    fused_section_parts parts;

    fill_parts(b, &s, &parts);
    return b->index_size + parts.trailer - parts.table;
}

/* ------------------------------------------------------------------ windows */

static void fill_open_window(fused_fill *f, uint32_t i)
{
    uint64_t first = i * f->window_groups, end = first + f->window_groups;

    f->window.first  = first;
    f->window.end    = end < f->section.groups ? end : f->section.groups;
    f->window.groups = f->memory + (TABLE_GROUP - (uintptr_t)f->memory % TABLE_GROUP) % TABLE_GROUP;
}

/* Its place in the file, and its bytes. */
static uint64_t fill_window_at(const fused_fill *f)
{
    return f->parts.table + f->window.first * TABLE_GROUP;
}

static size_t fill_window_size(const fused_fill *f)
{
    return (size_t)(f->window.end - f->window.first) * TABLE_GROUP;
}

/* A hash's slots are soon looked at. */
static void fill_prefetch(const fused_fill *f, uint64_t hash)
{
    uint64_t group = fused_table_group(&f->table, hash) - f->window.first;

    __builtin_prefetch(f->window.groups + group * TABLE_GROUP);
}

/* Put a key into the window from a group on, or pass it on. */
static akv_status fill_put(fused_fill *f, uint64_t group, const fused_record *r)
{
    if (akvi_fused_table_put(&f->table, &f->window, group, r->hash, r->place, r->object))
        return AKV_OK;
    return akv_buffer_append(&f->passed, r, sizeof *r);
}

static akv_status fill_put_home(fused_fill *f, const fused_record *r)
{
    return fill_put(f, fused_table_group(&f->table, r->hash), r);
}

/* What was passed on is carried to the next window. */
static void fill_carry(fused_fill *f)
{
    akv_buffer taken = f->carry;

    f->carry      = f->passed;
    f->passed     = taken;
    f->passed.len = 0;
    f->carried    = 0;
}

/* Put the keys carried here that come before a place in the index. */
static akv_status fill_put_carried(fused_fill *f, uint64_t before)
{
    const fused_record *carry = f->carry.data;
    size_t              n     = f->carry.len / sizeof *carry;
    akv_status          st    = AKV_OK;

    for (; f->carried < n && st == AKV_OK && carry[f->carried].place < before; f->carried++)
        st = fill_put(f, f->window.first, &carry[f->carried]);
    return st;
}

static akv_status fill_from_records(fused_fill *f, uint32_t i)
{
    fused_record r;
    uint64_t     hash;
    akv_status   st;

    memset(f->memory, 0, f->memory_size);
    fill_open_window(f, i);
    akvi_fused_records_read(&f->records, i);
    while ((st = akvi_fused_records_next(&f->records, &r)) == AKV_OK) {
        if (akvi_fused_records_ahead(&f->records, FILL_AHEAD, &hash))
            fill_prefetch(f, hash);
        st = fill_put_carried(f, r.place);
        if (st == AKV_OK)
            st = fill_put_home(f, &r);
        if (st != AKV_OK)
            return st;
    }
    return st == AKV_END ? fill_put_carried(f, UINT64_MAX) : st;
}

static akv_status fill_write_window(fused_fill *f, uint32_t i)
{
    size_t     left = fill_window_size(f), n;
    akv_status st   = AKV_OK;

    f->crcs[i] = akvi_crc32(0, f->window.groups, left);
    for (const uint8_t *from = f->window.groups; left > 0 && st == AKV_OK; from += n, left -= n) {
        n  = left < FILL_STEP ? left : FILL_STEP;
        st = akvi_writer_append(f->b->file, from, n);
        if (st == AKV_OK)
            st = akv_job_step(f->b->job, n, n);
    }
    return st;
}

/* A window that was written before, to take what the last one passed on. */
static akv_status fill_refill_window(fused_fill *f, uint32_t i)
{
    akv_file  *file;
    size_t     n;
    akv_status st = akvi_writer_flush(f->b->file, &file);

    fill_open_window(f, i);
    n = fill_window_size(f);
    if (st == AKV_OK)
        st = akvi_read_full(file, NULL, f->window.groups, n, fill_window_at(f));
    if (st == AKV_OK)
        st = fill_put_carried(f, UINT64_MAX);
    if (st != AKV_OK)
        return st;
    f->crcs[i] = akvi_crc32(0, f->window.groups, n);
    return akvi_writer_patch(f->b->file, fill_window_at(f), f->window.groups, n);
}

/* ------------------------------------------------------------------- hashing */

static akv_status fill_batch(fused_fill *f, const fused_record *batch, unsigned n)
{
    akv_status st = AKV_OK;

    for (unsigned k = 0; k < n && st == AKV_OK; k++) {
        uint64_t group = fused_table_group(&f->table, batch[k].hash);

        if (f->windows_n == 1)
            st = fill_put(f, group, &batch[k]);
        else
            st = akvi_fused_records_put(&f->records, (uint32_t)(group / f->window_groups),
                                        &batch[k]);
    }
    return st;
}

/* Hash a batch of keys. */
static akv_status fill_hash(fused_fill *f, fused_index *index, uint64_t *place,
                            fused_record batch[FILL_AHEAD], unsigned *n_out)
{
    const uint8_t *entry;
    akv_status     st = AKV_OK;

    for (*n_out = 0; *n_out < FILL_AHEAD; ++*n_out) {
        fused_record *r = &batch[*n_out];

        st = akvi_fused_index_next(index, &entry);
        if (st != AKV_OK)
            break;
        r->hash   = akvi_hash(fused_entry_key(entry), fused_entry_key_len(entry), f->section.seed);
        r->place  = *place;
        r->object = fused_entry_object(entry);
        if (f->windows_n == 1)
            fill_prefetch(f, r->hash);
        *place += fused_entry_len(entry);
    }
    return st;
}

/* Bring all keys into the one window, or into records. */
static akv_status fill_from_index(fused_fill *f)
{
    fused_record batch[FILL_AHEAD];
    fused_index  index;
    uint64_t     place = 0, stepped = 0;
    unsigned     n;
    akv_status   st = akvi_fused_index_begin(f->b, &index), end = st;

    while (st == AKV_OK && end == AKV_OK) {
        end = fill_hash(f, &index, &place, batch, &n);
        st  = fill_batch(f, batch, n);
        if (st == AKV_OK && (place - stepped >= FILL_STEP || end == AKV_END)) {
            st      = akv_job_step(f->b->job, place - stepped, index.entries ? 0 : place - stepped);
            stepped = place;
        }
    }
    akvi_fused_index_end(&index);
    return st == AKV_OK && end != AKV_END ? end : st;
}

/* ------------------------------------------------------------------ the parts */

/* All groups, in the file. */
static akv_status fill_table(fused_fill *f)
{
    akv_status st = AKV_OK;

    if (f->windows_n == 1)
        fill_open_window(f, 0);
    st = fill_from_index(f);
    if (f->windows_n > 1 && st == AKV_OK)
        st = akvi_fused_records_flush(&f->records);
    if (f->windows_n == 1 && st == AKV_OK) {
        fill_carry(f);
        st = fill_put_carried(f, UINT64_MAX);
        if (st == AKV_OK)
            st = fill_write_window(f, 0);
        return st;
    }
    for (uint32_t i = 0; i < f->windows_n && st == AKV_OK; i++) {
        st = fill_from_records(f, i);
        if (st == AKV_OK)
            st = fill_write_window(f, i);
        fill_carry(f);
    }
    for (uint32_t i = 0; i < f->windows_n && st == AKV_OK && f->carry.len > 0; i++) {
        st = fill_refill_window(f, i);
        fill_carry(f);
    }
    return st;
}

static akv_status fill_samples(fused_fill *f)
{
    unsigned       size = f->parts.sample_size;
    uint64_t       at   = 0;
    uint8_t        sample[8];
    const uint8_t *entry;
    fused_index    index;
    akv_status     st = akvi_fused_index_begin(f->b, &index);

    for (uint64_t i = 0; st == AKV_OK && (st = akvi_fused_index_next(&index, &entry)) == AKV_OK;
         i++) {
        akvi_put_be64(sample, at);
        if (i % FUSED_BLOCK == 0)
            st = akvi_fused_build_put(f->b, sample + 8 - size, size);
        at += fused_entry_len(entry);
    }
    akvi_fused_index_end(&index);
    return st == AKV_END ? akvi_fused_build_flush(f->b) : st;
}

/* That of all between the descriptors, from those of its parts. */
static uint32_t fill_crc(fused_fill *f, uint32_t padding, uint32_t samples)
{
    uint32_t crc = padding;

    for (uint32_t i = 0; i < f->windows_n; i++) {
        fill_open_window(f, i);
        crc = akvi_crc32_combine(crc, f->crcs[i], fill_window_size(f));
    }
    return akvi_crc32_combine(crc, samples, f->parts.trailer - f->parts.samples);
}

static akv_status fill_section(fused_fill *f, const uint8_t header[FUSED_HEADER])
{
    uint8_t      descriptor[FUSED_DESCRIPTOR] = {0}; /* zeroes at first, as the padding is */
    fused_build *b                            = f->b;
    uint64_t     between                      = f->parts.trailer - f->section.offset;
    size_t       padding = (size_t)(f->parts.table - f->section.offset) - sizeof descriptor;
    uint32_t     crc     = akvi_crc32(0, descriptor, padding);
    akv_status   st      = akvi_writer_append(b->file, descriptor, sizeof descriptor);

    b->crc = 0;
    if (st == AKV_OK)
        st = akvi_writer_append(b->file, descriptor, padding);
    if (st == AKV_OK)
        st = fill_table(f);
    if (st == AKV_OK)
        st = fill_samples(f);
    if (st != AKV_OK)
        return st;
    f->section.table_crc = fill_crc(f, crc, b->crc);
    f->section.reach     = f->table.reach;
    akvi_fused_section_write(&f->section, header, descriptor);
    b->crc = akvi_crc32(f->section.contents_crc, descriptor, sizeof descriptor);
    b->crc = akvi_crc32_combine(b->crc, f->section.table_crc, between - sizeof descriptor);
    b->crc = akvi_crc32(b->crc, descriptor, sizeof descriptor);
    st     = akvi_writer_append(b->file, descriptor, sizeof descriptor);
    return st == AKV_OK
               ? akvi_writer_patch(b->file, f->section.offset, descriptor, sizeof descriptor)
               : st;
}

/* --------------------------------------------------------------------- begin */

/* One window when the index is in memory, whose sorting took more than that, or
 * when half the buffer holds it. */
static void fill_split(fused_fill *f)
{
    const akv_fused_writer *w     = f->b->writer;
    uint64_t                bytes = (uint64_t)f->section.groups * TABLE_GROUP;
    uint64_t                n     = 1;

    if (fused_spill_used(&w->spill))
        n = (bytes + w->buffer / 2 - 1) / (w->buffer / 2);
    if (n > FILL_WINDOWS)
        n = FILL_WINDOWS;
    f->window_groups = (f->section.groups + n - 1) / n;
    f->windows_n     = (uint32_t)((f->section.groups + f->window_groups - 1) / f->window_groups);
}

static akv_status fill_begin(fused_fill *f)
{
    const akv_fused_writer *w = f->b->writer;
    uint64_t                bytes;

    fill_parts(f->b, &f->section, &f->parts);
    fill_split(f);
    f->section.contents_crc = f->b->crc;
    f->section.seed         = f->b->crc;
    f->table                = (fused_table){
                       .groups_n = f->section.groups,
                       .reach    = 1,
                       .shape    = akvi_fused_table_shape(f->b->index_size, w->end),
    };
    bytes = (f->window_groups + 1) * TABLE_GROUP;
    if (bytes > SIZE_MAX / 2)
        return AKV_FAIL_NOMEM(SIZE_MAX);
    f->memory_size = (size_t)bytes;
    f->memory      = akvi_zalloc(w->allocator, f->memory_size);
    f->crcs        = akvi_alloc_n(w->allocator, f->windows_n, sizeof *f->crcs);
    if (!f->memory || !f->crcs)
        return AKV_NOMEM;
    if (f->windows_n == 1)
        return AKV_OK;
    return akvi_fused_records_begin(&f->records, w->allocator, w->env, w->spill.path, f->windows_n,
                                    w->buffer / 4);
}

akv_status akvi_fused_build_section(fused_build *b, const uint8_t header[FUSED_HEADER])
{
    const akv_allocator *allocator = b->writer->allocator;
    fused_fill f  = {.b = b, .carry = {.allocator = allocator}, .passed = {.allocator = allocator}};
    akv_status st = fill_begin(&f);

    if (st == AKV_OK)
        st = fill_section(&f, header);
    akvi_fused_records_end(&f.records);
    akv_buffer_free(&f.carry);
    akv_buffer_free(&f.passed);
    akvi_free(allocator, f.memory, f.memory_size);
    akvi_free(allocator, f.crcs, f.windows_n * sizeof *f.crcs);
    return st;
}
