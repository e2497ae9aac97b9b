/* SPDX-License-Identifier: MIT
 *
 * writer.c: collecting objects and keys, and writing them as one file.
 *
 * Both are kept as the bytes of the file from the moment they are added: an
 * object's place in the file is known by then, since objects stand in order of
 * adding from byte 40 on, and so is the index entry of a key that leads to it.
 * Building sorts the entries and writes everything in one pass; the header,
 * with the CRC, comes last.
 */
#include "engines/fused/writer.h"

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/base/options.h"
#include "common/codec/crc.h"
#include "common/env/file.h"
#include "common/map/hash.h"
#include "engines/fused/section.h"
#include "engines/fused/sort.h"

#define WRITER_CHUNK ((size_t)256 << 10)
#define WRITER_AHEAD 32u /* keys whose slots are asked for before they are filled */

typedef struct writer_object {
    const uint8_t *stored; /* length, CRC, bytes */
    uint64_t       offset; /* in the file */
} writer_object;

/* Objects by content, for those added through add_deduped. */
typedef struct writer_dedupe {
    uint64_t *slots; /* high half: of the hash; low half: id + 1; 0: empty */
    size_t    cap;   /* a power of two, or 0 */
    size_t    n;
} writer_dedupe;

struct akv_fused_writer {
    const akv_allocator *allocator;
    akv_env             *env;
    akvi_arena           arena;
    akv_buffer           objects; /* of writer_object */
    akv_buffer           entries; /* of const uint8_t *: index entries as stored */
    bool                 sorted;  /* the entries are, without repeats */
    bool                 plain;   /* no hash section */
    uint64_t             end;     /* where the next object goes in the file */
    uint64_t             index_size;
    writer_dedupe        dedupe;
};

static size_t writer_objects_n(const akv_fused_writer *w)
{
    return w->objects.len / sizeof(writer_object);
}

static size_t writer_entries_n(const akv_fused_writer *w)
{
    return w->entries.len / sizeof(const uint8_t *);
}

static const writer_object *writer_object_at(const akv_fused_writer *w, size_t id)
{
    return (const writer_object *)w->objects.data + id;
}

static const uint8_t **writer_entries(const akv_fused_writer *w)
{
    return w->entries.data;
}

akv_status akvi_fused_writer_new(const akv_allocator *allocator, akv_env *env, bool plain,
                                 akv_fused_writer **writer_out)
{
    akv_fused_writer *w = akvi_zalloc(allocator, sizeof *w);

    *writer_out = w;
    if (!w)
        return AKV_NOMEM;
    w->allocator         = allocator;
    w->env               = env;
    w->objects.allocator = allocator;
    w->entries.allocator = allocator;
    w->sorted            = true;
    w->plain             = plain;
    w->end               = FUSED_HEADER;
    akvi_arena_init(&w->arena, allocator);
    return AKV_OK;
}

size_t akvi_fused_writer_bytes(const akv_fused_writer *w)
{
    return sizeof *w + w->arena.bytes + w->objects.cap + w->entries.cap +
           w->dedupe.cap * sizeof *w->dedupe.slots;
}

/* ----------------------------------------------------------------- objects */

static akv_status writer_append_object(akv_fused_writer *w, akv_slice object, uint32_t *id_out)
{
    size_t         n = writer_objects_n(w);
    writer_object *slot;
    uint8_t       *stored;

    if (object.len > AKV_FUSED_MAX_OBJECT)
        return AKV_FAIL(AKV_TOO_BIG, "an object of %zu bytes: the format holds 4294967295 at most",
                        object.len);
    if (n >= UINT32_MAX)
        return AKV_FAIL(AKV_TOO_BIG, "the format holds 4294967295 objects at most");
    if (akvi_buffer_reserve(&w->objects, sizeof *slot) != AKV_OK)
        return AKV_NOMEM;
    stored = akvi_arena_alloc(&w->arena, FUSED_OBJECT_HEADER + object.len);
    if (!stored)
        return AKV_NOMEM;
    akvi_put_be32(stored, (uint32_t)object.len);
    akvi_put_be32(stored + 4, akvi_crc32(0, object.data, object.len));
    if (object.len > 0)
        memcpy(stored + FUSED_OBJECT_HEADER, object.data, object.len);
    slot         = akvi_buffer_extend(&w->objects, sizeof *slot);
    slot->stored = stored;
    slot->offset = w->end;
    w->end += FUSED_OBJECT_HEADER + object.len;
    *id_out = (uint32_t)n;
    return AKV_OK;
}

/* The slot that holds these bytes, or the empty one where they belong. */
static uint64_t *writer_dedupe_find(const akv_fused_writer *w, akv_slice object, uint64_t hash)
{
    size_t at = (size_t)hash & (w->dedupe.cap - 1);

    for (; w->dedupe.slots[at] != 0; at = (at + 1) & (w->dedupe.cap - 1)) {
        uint64_t       slot   = w->dedupe.slots[at];
        const uint8_t *stored = writer_object_at(w, (uint32_t)slot - 1u)->stored;

        if (slot >> 32 == hash >> 32 && akvi_equal(stored + FUSED_OBJECT_HEADER,
                                                   akvi_get_be32(stored), object.data, object.len))
            break;
    }
    return &w->dedupe.slots[at];
}

static akv_status writer_dedupe_grow(akv_fused_writer *w)
{
    writer_dedupe *d   = &w->dedupe;
    size_t         cap = d->cap ? d->cap * 2 : 256, size;
    uint64_t      *slots;

    if (!akvi_mul_size(cap, sizeof *slots, &size))
        return AKV_FAIL_NOMEM(SIZE_MAX);
    slots = akvi_zalloc(w->allocator, size);
    if (!slots)
        return AKV_NOMEM;
    for (size_t i = 0; i < d->cap; i++) {
        const uint8_t *stored;
        size_t         at;

        if (d->slots[i] == 0)
            continue;
        stored = writer_object_at(w, (uint32_t)d->slots[i] - 1u)->stored;
        at     = (size_t)akvi_hash(stored + FUSED_OBJECT_HEADER, akvi_get_be32(stored), 0);
        for (at &= cap - 1; slots[at] != 0; at = (at + 1) & (cap - 1))
            ;
        slots[at] = d->slots[i];
    }
    akvi_free(w->allocator, d->slots, d->cap * sizeof *d->slots);
    d->slots = slots;
    d->cap   = cap;
    return AKV_OK;
}

akv_status akvi_fused_add_object(akv_fused_writer *w, akv_slice object, bool dedupe,
                                 uint32_t *id_out)
{
    uint64_t   hash, *slot;
    akv_status st;

    if (!dedupe)
        return writer_append_object(w, object, id_out);
    if (w->dedupe.n >= w->dedupe.cap / 2 && writer_dedupe_grow(w) != AKV_OK)
        return AKV_NOMEM;
    hash = akvi_hash(object.data, object.len, 0);
    slot = writer_dedupe_find(w, object, hash);
    if (*slot != 0) {
        *id_out = (uint32_t)*slot - 1u;
        return AKV_OK;
    }
    st = writer_append_object(w, object, id_out);
    if (st == AKV_OK) {
        *slot = (hash >> 32 << 32) | (*id_out + UINT64_C(1));
        w->dedupe.n++;
    }
    return st;
}

/* -------------------------------------------------------------------- keys */

/* Add an index entry: `offset` 0 is that of no object, and marks a key that was
 * taken back. Sorting drops those. */
static akv_status writer_append_entry(akv_fused_writer *w, akv_slice key, uint64_t offset)
{
    size_t   n = writer_entries_n(w);
    uint8_t *entry;

    if (key.len > AKV_FUSED_MAX_KEY)
        return AKV_FAIL(AKV_TOO_BIG, "a key of %zu bytes: the format holds 65535 at most", key.len);
    if (akvi_buffer_reserve(&w->entries, sizeof entry) != AKV_OK)
        return AKV_NOMEM;
    entry = akvi_arena_alloc(&w->arena, FUSED_ENTRY_LEAST + key.len);
    if (!entry)
        return AKV_NOMEM;
    akvi_put_be16(entry, (uint16_t)key.len);
    if (key.len > 0)
        memcpy(entry + 2, key.data, key.len);
    akvi_put_be64(entry + 2 + key.len, offset);
    if (offset == 0 ||
        (w->sorted && n > 0 && fused_entry_compare(writer_entries(w)[n - 1], entry) >= 0))
        w->sorted = false;
    *(const uint8_t **)akvi_buffer_extend(&w->entries, sizeof entry) = entry;
    w->index_size += FUSED_ENTRY_LEAST + key.len;
    return AKV_OK;
}

akv_status akvi_fused_add_key(akv_fused_writer *w, akv_slice key, uint32_t id)
{
    if (id >= writer_objects_n(w))
        return AKV_FAIL(AKV_MISUSE, "no object %u: there are %zu; add the object first", id,
                        writer_objects_n(w));
    return writer_append_entry(w, key, writer_object_at(w, id)->offset);
}

akv_status akvi_fused_remove_key(akv_fused_writer *w, akv_slice key)
{
    return writer_append_entry(w, key, 0);
}

/* Sort the entries and drop, for good, all but the last of equal keys, and
 * that too when it took the key back. */
static akv_status writer_sort(akv_fused_writer *w)
{
    const uint8_t **entries = writer_entries(w);
    size_t          n       = writer_entries_n(w);
    size_t          kept, left = 0;
    fused_item     *items;

    if (w->sorted)
        return AKV_OK;
    items = akvi_alloc_n(w->allocator, n, 2 * sizeof *items);
    if (!items)
        return AKV_NOMEM;
    for (size_t i = 0; i < n; i++)
        items[i].entry = entries[i];
    akvi_fused_sort(items, items + n, n);
    kept          = akvi_fused_keep_last(items, n);
    w->index_size = 0;
    for (size_t i = 0; i < kept; i++) {
        if (fused_entry_object(items[i].entry) == 0)
            continue;
        entries[left++] = items[i].entry;
        w->index_size += fused_entry_len(items[i].entry);
    }
    w->entries.len = left * sizeof *entries;
    w->sorted      = true;
    akvi_free(w->allocator, items, n * 2 * sizeof *items);
    return AKV_OK;
}

/* ---------------------------------------------------------------- building */

/* Bytes on their way into the file, through one chunk. */
typedef struct writer_sink {
    akvi_writer *file;
    akv_job      job;
    uint8_t     *chunk;
    size_t       used;
    uint32_t     crc;
} writer_sink;

static akv_status writer_sink_raw(writer_sink *o, const void *data, size_t len)
{
    akv_status st;

    o->crc = akvi_crc32(o->crc, data, len);
    st     = akvi_writer_append(o->file, data, len);
    return st == AKV_OK ? akv_job_step(&o->job, len, len) : st;
}

static akv_status writer_sink_flush(writer_sink *o)
{
    size_t used = o->used;

    o->used = 0;
    return used > 0 ? writer_sink_raw(o, o->chunk, used) : AKV_OK;
}

static akv_status writer_sink_put(writer_sink *o, const uint8_t *data, size_t len)
{
    akv_status st = AKV_OK;

    if (len > WRITER_CHUNK - o->used)
        st = writer_sink_flush(o);
    for (; st == AKV_OK && len > WRITER_CHUNK; data += WRITER_CHUNK, len -= WRITER_CHUNK)
        st = writer_sink_raw(o, data, WRITER_CHUNK);
    if (st == AKV_OK) {
        memcpy(o->chunk + o->used, data, len);
        o->used += len;
    }
    return st;
}

static bool writer_has_section(const akv_fused_writer *w)
{
    return !w->plain && writer_entries_n(w) > 0;
}

/* The section that these contents get, but for its checksums, seed and reach. */
static void writer_section_parts(const akv_fused_writer *w, fused_section *s,
                                 fused_section_parts *parts_out)
{
    uint32_t keys = (uint32_t)writer_entries_n(w);

    *s        = (fused_section){.offset = w->end + w->index_size};
    s->groups = (uint32_t)akvi_fused_table_groups(keys);
    akvi_fused_section_parts(s->offset, s->groups, keys, parts_out);
    s->length = parts_out->end - s->offset;
}

/* Put every key into the table, a batch's slots asked for at once. */
static void writer_table_fill(const akv_fused_writer *w, fused_table *table)
{
    const uint8_t **entries = writer_entries(w);
    size_t          n       = writer_entries_n(w), part;
    uint64_t        hashes[WRITER_AHEAD], at = 0;

    for (size_t i = 0; i < n; i += part) {
        part = n - i < WRITER_AHEAD ? n - i : WRITER_AHEAD;
        for (size_t k = 0; k < part; k++) {
            const uint8_t *entry = entries[i + k];

            hashes[k] = akvi_hash(fused_entry_key(entry), fused_entry_key_len(entry), table->seed);
            fused_table_prefetch(table, hashes[k]);
        }
        for (size_t k = 0; k < part; k++) {
            akvi_fused_table_add(table, hashes[k], at, fused_entry_object(entries[i + k]));
            at += fused_entry_len(entries[i + k]);
        }
    }
}

static akv_status writer_sink_pad(writer_sink *o, uint64_t from, uint64_t to)
{
    static const uint8_t zeroes[64];

    return writer_sink_put(o, zeroes, (size_t)(to - from));
}

static akv_status writer_sink_samples(const akv_fused_writer *w, writer_sink *o, unsigned size)
{
    akv_status st = AKV_OK;
    uint64_t   at = 0;
    uint8_t    sample[8];

    for (size_t i = 0; i < writer_entries_n(w) && st == AKV_OK; i++) {
        akvi_put_be64(sample, at);
        if (i % FUSED_BLOCK == 0)
            st = writer_sink_put(o, sample + 8 - size, size);
        at += fused_entry_len(writer_entries(w)[i]);
    }
    return st;
}

/* Everything of the section between its descriptors. */
static akv_status writer_sink_table(const akv_fused_writer *w, writer_sink *o,
                                    const fused_section_parts *parts, const fused_table *t)
{
    akv_status st = writer_sink_put(o, t->groups, (size_t)t->groups_n * TABLE_GROUP);

    if (st == AKV_OK)
        st = writer_sink_samples(w, o, parts->sample_size);
    return st == AKV_OK ? writer_sink_flush(o) : st;
}

/* The section, after all else has been flushed. Its first descriptor is written
 * when the rest is known. */
static akv_status writer_sink_section(const akv_fused_writer *w, writer_sink *o,
                                      const uint8_t header[FUSED_HEADER])
{
    uint8_t             descriptor[FUSED_DESCRIPTOR] = {0};
    fused_section       s;
    fused_section_parts parts;
    fused_table         table;
    uint32_t            contents = o->crc;
    akv_status          st;

    writer_section_parts(w, &s, &parts);
    s.contents_crc = contents;
    s.seed         = contents;
    st             = akvi_fused_table_new(w->allocator, writer_entries_n(w),
                                          akvi_fused_table_shape(w->index_size, w->end), s.seed, &table);
    if (st != AKV_OK)
        return st;
    writer_table_fill(w, &table);
    s.reach = table.reach;
    st      = akvi_writer_append(o->file, descriptor, sizeof descriptor);
    o->crc  = 0;
    if (st == AKV_OK)
        st = writer_sink_pad(o, s.offset + FUSED_DESCRIPTOR, parts.table);
    if (st == AKV_OK)
        st = writer_sink_table(w, o, &parts, &table);
    akvi_fused_table_free(w->allocator, &table);
    if (st != AKV_OK)
        return st;
    s.table_crc = o->crc;
    akvi_fused_section_write(&s, header, descriptor);
    o->crc = akvi_crc32(contents, descriptor, sizeof descriptor);
    o->crc = akvi_crc32_combine(o->crc, s.table_crc, parts.trailer - s.offset - FUSED_DESCRIPTOR);
    o->crc = akvi_crc32(o->crc, descriptor, sizeof descriptor);
    st     = akvi_writer_append(o->file, descriptor, sizeof descriptor);
    return st == AKV_OK ? akvi_writer_patch(o->file, s.offset, descriptor, sizeof descriptor) : st;
}

static akv_status writer_sink_all(akv_fused_writer *w, writer_sink *o)
{
    fused_header h                    = {0};
    uint8_t      header[FUSED_HEADER] = {0};
    akv_status   st                   = akvi_writer_append(o->file, header, sizeof header);

    h.flags        = writer_has_section(w) ? FUSED_FLAG_SECTION : 0;
    h.num_keys     = (uint32_t)writer_entries_n(w);
    h.num_objects  = (uint32_t)writer_objects_n(w);
    h.index_offset = w->end;
    h.data_offset  = FUSED_HEADER;
    fused_header_write(&h, header);
    for (size_t i = 0; i < h.num_objects && st == AKV_OK; i++) {
        const uint8_t *stored = writer_object_at(w, i)->stored;

        st = writer_sink_put(o, stored, FUSED_OBJECT_HEADER + (size_t)akvi_get_be32(stored));
    }
    for (size_t i = 0; i < h.num_keys && st == AKV_OK; i++) {
        const uint8_t *entry = writer_entries(w)[i];

        st = writer_sink_put(o, entry, fused_entry_len(entry));
    }
    if (st == AKV_OK)
        st = writer_sink_flush(o);
    if (st == AKV_OK && writer_has_section(w))
        st = writer_sink_section(w, o, header);
    if (st != AKV_OK)
        return st;
    h.crc = o->crc;
    fused_header_write(&h, header);
    return akvi_writer_patch(o->file, 0, header, sizeof header);
}

akv_status akvi_fused_build(akv_fused_writer *w, const char *path, bool exclusive,
                            const akv_job_options *opt)
{
    writer_sink         o = {.file = NULL};
    fused_section       section;
    fused_section_parts parts = {.end = 0};
    akv_status          st    = writer_sort(w);

    if (st != AKV_OK)
        return st;
    if (writer_entries_n(w) > UINT32_MAX)
        return AKV_FAIL(AKV_TOO_BIG, "the format holds 4294967295 keys at most");
    o.chunk = akvi_alloc(w->allocator, WRITER_CHUNK);
    if (!o.chunk)
        return AKV_NOMEM;
    parts.end = w->end + w->index_size;
    if (writer_has_section(w)) {
        writer_section_parts(w, &section, &parts);
        parts.end -= 2 * FUSED_DESCRIPTOR;
    }
    akv_job_begin(&o.job, opt, w->env, parts.end - FUSED_HEADER, "bytes");
    st = akvi_writer_begin(w->env, w->allocator, path, &o.file);
    if (st == AKV_OK) {
        st = writer_sink_all(w, &o);
        if (st == AKV_OK)
            st = akvi_writer_commit(o.file, exclusive);
        else
            akvi_writer_abort(o.file);
    }
    akvi_free(w->allocator, o.chunk, WRITER_CHUNK);
    return st;
}

/* ------------------------------------------------------------- public calls */

akv_status akv_fused_writer_new(const akv_fused_writer_options *opt, akv_fused_writer **writer_out)
{
    akv_fused_writer_options own = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_status               st  = AKV_OK;

    akvi_call_begin();
    if (!writer_out)
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "writer_out is NULL"), "fused");
    *writer_out = NULL;
    if (opt)
        st = akvi_options_copy(&own, sizeof own, opt, "akv_fused_writer_options");
    if (st == AKV_OK && (own.flags & ~AKV_FUSED_PLAIN) != 0)
        st = AKV_FAIL(AKV_MISUSE, "unknown flags 0x%x in akv_fused_writer_options", own.flags);
    if (st == AKV_OK)
        st = akvi_fused_writer_new(akvi_allocator(own.allocator),
                                   own.env ? own.env : akv_env_posix(), own.flags & AKV_FUSED_PLAIN,
                                   writer_out);
    return akvi_call_end(st, "fused");
}

void akv_fused_writer_free(akv_fused_writer *writer)
{
    if (!writer)
        return;
    akvi_arena_free(&writer->arena);
    akv_buffer_free(&writer->objects);
    akv_buffer_free(&writer->entries);
    akvi_free(writer->allocator, writer->dedupe.slots,
              writer->dedupe.cap * sizeof *writer->dedupe.slots);
    akvi_free(writer->allocator, writer, sizeof *writer);
}

static akv_status writer_check(const akv_fused_writer *w, akv_slice bytes, const void *out)
{
    akvi_call_begin();
    if (w && out && (bytes.data || bytes.len == 0))
        return AKV_OK;
    return AKV_FAIL(AKV_MISUSE, "a writer, key, object or output is NULL");
}

akv_status akv_fused_add_object(akv_fused_writer *writer, akv_slice object, uint32_t *id_out)
{
    akv_status st = writer_check(writer, object, id_out);

    if (st == AKV_OK)
        st = akvi_fused_add_object(writer, object, false, id_out);
    return akvi_call_end(st, "fused");
}

akv_status akv_fused_add_deduped(akv_fused_writer *writer, akv_slice object, uint32_t *id_out)
{
    akv_status st = writer_check(writer, object, id_out);

    if (st == AKV_OK)
        st = akvi_fused_add_object(writer, object, true, id_out);
    return akvi_call_end(st, "fused");
}

akv_status akv_fused_add_key(akv_fused_writer *writer, akv_slice key, uint32_t id)
{
    akv_status st = writer_check(writer, key, &id);

    if (st == AKV_OK)
        st = akvi_fused_add_key(writer, key, id);
    return akvi_call_end(st, "fused");
}

akv_status akv_fused_remove_key(akv_fused_writer *writer, akv_slice key)
{
    akv_status st = writer_check(writer, key, writer);

    if (st == AKV_OK)
        st = akvi_fused_remove_key(writer, key);
    return akvi_call_end(st, "fused");
}

akv_status akv_fused_add(akv_fused_writer *writer, akv_slice key, akv_slice object,
                         uint32_t *id_out)
{
    uint32_t   id = 0;
    akv_status st = writer_check(writer, object, &id);

    if (st == AKV_OK)
        st = writer_check(writer, key, &id);
    if (st == AKV_OK)
        st = akvi_fused_add_object(writer, object, false, &id);
    if (st == AKV_OK && id_out)
        *id_out = id;
    if (st == AKV_OK)
        st = akvi_fused_add_key(writer, key, id);
    return akvi_call_end(st, "fused");
}

uint64_t akv_fused_writer_objects(const akv_fused_writer *writer)
{
    return writer ? writer_objects_n(writer) : 0;
}

uint64_t akv_fused_writer_keys(const akv_fused_writer *writer)
{
    return writer ? writer_entries_n(writer) : 0;
}

akv_status akv_fused_build(akv_fused_writer *writer, const char *path, const akv_job_options *opt)
{
    akv_job_options own = AKV_JOB_OPTIONS_INIT;
    akv_status      st  = writer_check(writer, akv_bytes(NULL, 0), path);

    if (st == AKV_OK && opt)
        st = akvi_options_copy(&own, sizeof own, opt, "akv_job_options");
    if (st == AKV_OK)
        st = akvi_fused_build(writer, path, false, &own);
    return akvi_call_end(st, "fused");
}
