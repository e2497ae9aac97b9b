/* SPDX-License-Identifier: MIT
 *
 * build.c: writing all that a writer has as one file, in one pass: objects,
 * index, hash section; then the header, with the CRC. What was spilled is read
 * from the start to the end: the objects as they are, the entries merged.
 */
#include "engines/fused/build.h"

#include "common/base/mem.h"
#include "common/codec/crc.h"

/* ---------------------------------------------------------- through a chunk */

static akv_status build_raw(fused_build *b, const void *data, size_t len)
{
    akv_status st;

    b->crc = akvi_crc32(b->crc, data, len);
    st     = akvi_writer_append(b->file, data, len);
    return st == AKV_OK ? akv_job_step(b->job, len, len) : st;
}

akv_status akvi_fused_build_flush(fused_build *b)
{
    size_t used = b->used;

    b->used = 0;
    return used > 0 ? build_raw(b, b->chunk, used) : AKV_OK;
}

akv_status akvi_fused_build_put(fused_build *b, const void *data, size_t len)
{
    const uint8_t *from = data;
    akv_status     st   = AKV_OK;

    if (len > BUILD_CHUNK - b->used)
        st = akvi_fused_build_flush(b);
    for (; st == AKV_OK && len > BUILD_CHUNK; from += BUILD_CHUNK, len -= BUILD_CHUNK)
        st = build_raw(b, from, BUILD_CHUNK);
    if (st == AKV_OK) {
        memcpy(b->chunk + b->used, from, len);
        b->used += len;
    }
    return st;
}

/* ---------------------------------------------------------------- the index */

akv_status akvi_fused_index_begin(fused_build *b, fused_index *index)
{
    akv_fused_writer *w = b->writer;
    akv_file         *file;
    akv_status        st;

    *index = (fused_index){.entries = (const uint8_t *const *)w->entries.data,
                           .n       = fused_writer_entries_n(w)};
    if (!fused_spill_used(&w->spill))
        return AKV_OK;
    *index = (fused_index){.n = (size_t)b->keys};
    st     = akvi_writer_flush(b->file, &file);
    return st == AKV_OK ? akvi_fused_in_begin(&index->in, w->allocator, file, w->end, b->index_size,
                                              BUILD_CHUNK)
                        : st;
}

akv_status akvi_fused_index_next(fused_index *index, const uint8_t **entry_out)
{
    const size_t ahead = 16;

    if (!index->entries)
        return akvi_fused_in_next(&index->in, entry_out);
    if (index->at == index->n)
        return AKV_END;
    if (index->n - index->at > ahead)
        __builtin_prefetch(index->entries[index->at + ahead]);
    *entry_out = index->entries[index->at++];
    return AKV_OK;
}

void akvi_fused_index_end(fused_index *index)
{
    akvi_fused_in_end(&index->in);
}

/* ----------------------------------------------------------------- contents */

static akv_status build_spilled_objects(fused_build *b)
{
    const fused_spill *s  = &b->writer->spill;
    akv_status         st = AKV_OK;

    for (uint64_t at = 0, n; at < s->objects_len && st == AKV_OK; at += n) {
        n  = s->objects_len - at < BUILD_CHUNK ? s->objects_len - at : BUILD_CHUNK;
        st = akvi_read_full(s->objects, s->path, b->chunk, (size_t)n, at);
        if (st == AKV_OK)
            st = build_raw(b, b->chunk, (size_t)n);
    }
    return st;
}

static akv_status build_objects(fused_build *b)
{
    const uint8_t *const *stored = fused_writer_stored(b->writer);
    akv_status            st     = build_spilled_objects(b);

    for (size_t i = 0; i < fused_writer_stored_n(b->writer) && st == AKV_OK; i++)
        st = akvi_fused_build_put(b, stored[i],
                                  FUSED_OBJECT_HEADER + (size_t)akvi_get_be32(stored[i]));
    return st;
}

static akv_status build_entry(fused_build *b, const uint8_t *entry)
{
    size_t len = fused_entry_len(entry);

    b->keys++;
    b->index_size += len;
    return akvi_fused_build_put(b, entry, len);
}

static akv_status build_merged_index(fused_build *b)
{
    const fused_spill *s = &b->writer->spill;
    const uint8_t     *entry;
    fused_merge        m;
    akv_status st = akvi_fused_merge_begin(&m, s->allocator, s->entries, fused_spill_runs(s),
                                           fused_spill_runs_n(s), b->writer->buffer / 4);

    if (st != AKV_OK)
        return st;
    while ((st = akvi_fused_merge_next(&m, &entry)) == AKV_OK) {
        if (fused_entry_object(entry) != 0)
            st = build_entry(b, entry);
        if (st != AKV_OK)
            break;
    }
    akvi_fused_merge_end(&m);
    return st == AKV_END ? AKV_OK : st;
}

static akv_status build_index(fused_build *b)
{
    const uint8_t *entry;
    fused_index    index;
    akv_status     st;

    if (fused_spill_used(&b->writer->spill))
        return build_merged_index(b);
    st = akvi_fused_index_begin(b, &index);
    while (st == AKV_OK && (st = akvi_fused_index_next(&index, &entry)) == AKV_OK)
        st = build_entry(b, entry);
    akvi_fused_index_end(&index);
    return st == AKV_END ? AKV_OK : st;
}

static akv_status build_contents(fused_build *b)
{
    uint8_t    header[FUSED_HEADER] = {0};
    akv_status st                   = akvi_writer_append(b->file, header, sizeof header);

    if (st == AKV_OK)
        st = build_objects(b);
    if (st == AKV_OK)
        st = build_index(b);
    if (st != AKV_OK)
        return st;
    if (b->keys > UINT32_MAX)
        return AKV_FAIL(AKV_TOO_BIG, "the format holds 4294967295 keys at most");
    b->job->total = b->job->done + b->used;
    if (!b->writer->plain && b->keys > 0)
        b->job->total += akvi_fused_section_work(b);
    return akvi_fused_build_flush(b);
}

static akv_status build_all(fused_build *b)
{
    const akv_fused_writer *w = b->writer;
    fused_header            h = {.data_offset = FUSED_HEADER};
    uint8_t                 header[FUSED_HEADER];
    akv_status              st = build_contents(b);

    if (st != AKV_OK)
        return st;
    h.flags        = !w->plain && b->keys > 0 ? FUSED_FLAG_SECTION : 0;
    h.num_keys     = (uint32_t)b->keys;
    h.num_objects  = (uint32_t)fused_writer_objects(w);
    h.index_offset = w->end;
    fused_header_write(&h, header);
    if (h.flags != 0)
        st = akvi_fused_build_section(b, header);
    if (st != AKV_OK)
        return st;
    h.crc = b->crc;
    fused_header_write(&h, header);
    return akvi_writer_patch(b->file, 0, header, sizeof header);
}

/* Either everything is in memory, or everything is spilled in few runs. */
static akv_status build_prepare(fused_build *b)
{
    akv_fused_writer *w     = b->writer;
    uint32_t          width = akvi_fused_merge_width(w->buffer / 4);
    akv_status        st;

    if (!fused_spill_used(&w->spill)) {
        st = akvi_fused_writer_sort(w);
        b->job->total += w->index_size;
    } else {
        st = w->held > 0 ? akvi_fused_writer_spill(w) : AKV_OK;
        if (st == AKV_OK)
            st = akvi_fused_spill_reduce(&w->spill, width, w->buffer / 4, b->job);
        b->job->total += w->spill.entries_len;
    }
    if (st == AKV_OK && !w->plain && w->keys > 0) { /* as far as it is known by now */
        fused_build whole = {.writer = w, .keys = w->keys};

        whole.index_size = fused_spill_used(&w->spill) ? w->spill.entries_len : w->index_size;
        b->job->total += akvi_fused_section_work(&whole);
    }
    return st;
}

akv_status akvi_fused_build(akv_fused_writer *w, const char *path, bool exclusive, akv_job *job)
{
    fused_build b = {.writer = w, .job = job};
    akv_status  st;

    job->total = job->done + w->end - FUSED_HEADER;
    st         = build_prepare(&b);
    if (st != AKV_OK)
        return st;
    b.chunk = akvi_alloc(w->allocator, BUILD_CHUNK);
    if (!b.chunk)
        return AKV_NOMEM;
    st = akvi_writer_begin(w->env, w->allocator, path, &b.file);
    if (st == AKV_OK) {
        st = build_all(&b);
        if (st == AKV_OK)
            st = akvi_writer_commit(b.file, exclusive);
        else
            akvi_writer_abort(b.file);
    }
    akvi_free(w->allocator, b.chunk, BUILD_CHUNK);
    if (st == AKV_OK)
        w->keys = b.keys;
    return st;
}
