/* SPDX-License-Identifier: MIT
 *
 * writer.c: collecting objects and keys (writer.h). What is added goes to
 * memory until the buffer is full; then all of it is spilled, the entries as a
 * sorted run. Memory that grows all the same is that of the objects' places and
 * of the table that finds equal objects, which holds part of each one's hash.
 */
#include "engines/fused/writer.h"

#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/base/options.h"
#include "common/codec/crc.h"
#include "common/env/file.h"
#include "common/map/hash.h"

#include <stdlib.h>

#define WRITER_ENTRY_COST  (sizeof(const uint8_t *) + 2 * sizeof(fused_item)) /* and its bytes */
#define WRITER_AHEAD       16u /* entries that are asked for before they are looked at */
#define WRITER_OBJECT_COST sizeof(const uint8_t *)

/* ------------------------------------------------------------- new and free */

/* What the temporaries of a build are named after. */
static char *writer_spill_path(const akv_fused_writer_options *opt, const char *target)
{
    const char *folder = opt->temp_dir;

    if (!folder && target)
        return akvi_strdup(opt->allocator, target);
    if (!folder && opt->env == akv_env_posix())
        folder = getenv("TMPDIR");
    return akvi_path_join(opt->allocator, folder && *folder ? folder : ".", "anykv-build");
}

akv_status akvi_fused_writer_new(const akv_fused_writer_options *opt, const char *target,
                                 akv_fused_writer **writer_out)
{
    akv_fused_writer *w    = akvi_zalloc(opt->allocator, sizeof *w);
    char             *path = w ? writer_spill_path(opt, target) : NULL;
    akv_status        st   = AKV_NOMEM;

    *writer_out = NULL;
    if (path)
        st = akvi_fused_spill_init(&w->spill, opt->allocator, opt->env, path);
    akvi_strfree(opt->allocator, path);
    if (st != AKV_OK) {
        akvi_free(opt->allocator, w, sizeof *w);
        return st;
    }
    w->allocator         = opt->allocator;
    w->env               = opt->env;
    w->plain             = (opt->flags & AKV_FUSED_PLAIN) != 0;
    w->buffer            = opt->buffer;
    w->offsets.allocator = w->allocator;
    w->stored.allocator  = w->allocator;
    w->entries.allocator = w->allocator;
    w->sorted            = true;
    w->end               = FUSED_HEADER;
    akvi_arena_init(&w->arena, w->allocator);
    *writer_out = w;
    return AKV_OK;
}

void akv_fused_writer_free(akv_fused_writer *writer)
{
    if (!writer)
        return;
    akvi_arena_free(&writer->arena);
    akv_buffer_free(&writer->offsets);
    akv_buffer_free(&writer->stored);
    akv_buffer_free(&writer->entries);
    akvi_free(writer->allocator, writer->dedupe.slots,
              (size_t)writer->dedupe.cap * sizeof *writer->dedupe.slots);
    akvi_fused_spill_free(&writer->spill);
    akvi_free(writer->allocator, writer, sizeof *writer);
}

static uint64_t writer_lasting_bytes(const akv_fused_writer *w)
{
    return w->offsets.cap + w->dedupe.cap * sizeof *w->dedupe.slots;
}

size_t akvi_fused_writer_bytes(const akv_fused_writer *w)
{
    return sizeof *w + w->arena.bytes + w->stored.cap + w->entries.cap +
           (size_t)writer_lasting_bytes(w);
}

/* ----------------------------------------------------------------- spilling */

akv_status akvi_fused_writer_spill(akv_fused_writer *w)
{
    akv_status st = akvi_fused_writer_sort(w);
    size_t     n  = fused_writer_entries_n(w);

    if (st == AKV_OK && w->stored.len > 0)
        st = akvi_fused_spill_objects(&w->spill, fused_writer_stored(w), fused_writer_stored_n(w));
    if (st != AKV_OK)
        return st;
    w->stored.len = 0; /* the entries may still have to stay */
    if (n > 0)
        st = akvi_fused_spill_run(&w->spill, (const uint8_t *const *)w->entries.data, n);
    if (st != AKV_OK)
        return st;
    w->entries.len = 0;
    w->index_size  = 0;
    w->held        = 0;
    akvi_arena_reset(&w->arena);
    return AKV_OK;
}

/* Make room for `size` more bytes. What lasts takes from the buffer as well, but
 * leaves a quarter of it. */
static akv_status writer_room(akv_fused_writer *w, uint64_t size)
{
    uint64_t least = w->buffer / 4, lasting = writer_lasting_bytes(w);
    uint64_t room = lasting < w->buffer - least ? w->buffer - lasting : least;

    if (w->held == 0 || (w->held <= room && size <= room - w->held))
        return AKV_OK;
    return akvi_fused_writer_spill(w);
}

/* ----------------------------------------------------------------- objects */

static akv_status writer_store_object(akv_fused_writer *w, akv_slice object)
{
    uint64_t size   = FUSED_OBJECT_HEADER + (uint64_t)object.len;
    uint8_t *stored = akvi_arena_alloc(&w->arena, (size_t)size);

    if (!stored)
        return AKV_NOMEM;
    akvi_put_be32(stored, (uint32_t)object.len);
    akvi_put_be32(stored + 4, akvi_crc32(0, object.data, object.len));
    if (object.len > 0)
        memcpy(stored + FUSED_OBJECT_HEADER, object.data, object.len);
    *(const uint8_t **)akvi_buffer_extend(&w->stored, sizeof stored) = stored;
    w->held += size + WRITER_OBJECT_COST;
    return AKV_OK;
}

static akv_status writer_append_object(akv_fused_writer *w, akv_slice object, uint32_t *id_out)
{
    size_t     n    = fused_writer_objects(w);
    uint64_t   size = FUSED_OBJECT_HEADER + (uint64_t)object.len;
    akv_status st;

    if (object.len > AKV_FUSED_MAX_OBJECT)
        return AKV_FAIL(AKV_TOO_BIG, "an object of %zu bytes: the format holds 4294967295 at most",
                        object.len);
    if (n >= UINT32_MAX)
        return AKV_FAIL(AKV_TOO_BIG, "the format holds 4294967295 objects at most");
    st = writer_room(w, size + WRITER_OBJECT_COST);
    if (st == AKV_OK)
        st = akvi_buffer_reserve(&w->offsets, sizeof w->end);
    if (st == AKV_OK)
        st = akvi_buffer_reserve(&w->stored, sizeof(const uint8_t *));
    if (st == AKV_OK && w->stored.len == 0 && size > w->buffer)
        st = akvi_fused_spill_object(&w->spill, object);
    else if (st == AKV_OK)
        st = writer_store_object(w, object);
    if (st != AKV_OK)
        return st;
    memcpy(akvi_buffer_extend(&w->offsets, sizeof w->end), &w->end, sizeof w->end);
    w->end += size;
    *id_out = (uint32_t)n;
    return AKV_OK;
}

static uint64_t writer_offset(const akv_fused_writer *w, size_t id)
{
    return ((const uint64_t *)w->offsets.data)[id];
}

static akv_status writer_object_equals(const akv_fused_writer *w, size_t id, akv_slice object,
                                       bool *equal_out)
{
    size_t   n = fused_writer_objects(w), spilled = n - fused_writer_stored_n(w);
    uint64_t offset = writer_offset(w, id);
    uint64_t end    = id + 1 < n ? writer_offset(w, id + 1) : w->end;

    *equal_out = false;
    if (end - offset - FUSED_OBJECT_HEADER != object.len)
        return AKV_OK;
    if (id < spilled)
        return akvi_fused_spill_equals(&w->spill, offset - FUSED_HEADER, object, equal_out);
    *equal_out =
        object.len == 0 || memcmp(fused_writer_stored(w)[id - spilled] + FUSED_OBJECT_HEADER,
                                  object.data, object.len) == 0;
    return AKV_OK;
}

/* Where a hash belongs, by its high half alone: that is what a slot knows. */
static uint64_t writer_dedupe_home(const fused_dedupe *d, uint64_t hash)
{
    return (hash >> 32) * d->cap >> 32;
}

/* The slot that holds these bytes, or the empty one where they belong. */
static akv_status writer_dedupe_find(const akv_fused_writer *w, akv_slice object, uint64_t hash,
                                     uint64_t **slot_out)
{
    const fused_dedupe *d     = &w->dedupe;
    uint64_t            at    = writer_dedupe_home(d, hash);
    bool                equal = false;
    akv_status          st    = AKV_OK;

    for (; d->slots[at] != 0; at = (at + 1) & (d->cap - 1)) {
        if (d->slots[at] >> 32 == hash >> 32)
            st = writer_object_equals(w, (uint32_t)d->slots[at] - 1u, object, &equal);
        if (st != AKV_OK || equal)
            break;
    }
    *slot_out = &d->slots[at];
    return st;
}

/* Three quarters full at most, as long as there are slots to be had. */
static akv_status writer_dedupe_grow(akv_fused_writer *w)
{
    fused_dedupe *d = &w->dedupe, grown = {.cap = d->cap ? d->cap * 2 : 256, .n = d->n};

    if (d->n < d->cap / 4 * 3 || d->cap > UINT32_MAX)
        return AKV_OK;
    if (grown.cap > SIZE_MAX / sizeof *grown.slots)
        return AKV_FAIL_NOMEM(SIZE_MAX);
    grown.slots = akvi_zalloc(w->allocator, (size_t)grown.cap * sizeof *grown.slots);
    if (!grown.slots)
        return AKV_NOMEM;
    for (uint64_t i = 0; i < d->cap; i++) {
        uint64_t at = writer_dedupe_home(&grown, d->slots[i]);

        if (d->slots[i] == 0)
            continue;
        while (grown.slots[at] != 0)
            at = (at + 1) & (grown.cap - 1);
        grown.slots[at] = d->slots[i];
    }
    akvi_free(w->allocator, d->slots, (size_t)d->cap * sizeof *d->slots);
    *d = grown;
    return AKV_OK;
}

akv_status akvi_fused_add_object(akv_fused_writer *w, akv_slice object, bool dedupe,
                                 uint32_t *id_out)
{
    uint64_t   hash, *slot;
    akv_status st;

    if (!dedupe)
        return writer_append_object(w, object, id_out);
    /* Seeded with what nobody who gives objects knows, so that they can't be made
     * to crowd; ids don't depend on it. */
    hash = akvi_hash(object.data, object.len, (uintptr_t)w);
    st   = writer_dedupe_grow(w);
    if (st == AKV_OK)
        st = writer_dedupe_find(w, object, hash, &slot);
    if (st != AKV_OK)
        return st;
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

/* Add an index entry; `offset` 0 takes the key back. */
static akv_status writer_append_entry(akv_fused_writer *w, akv_slice key, uint64_t offset)
{
    uint64_t   size = FUSED_ENTRY_LEAST + (uint64_t)key.len;
    size_t     n;
    uint8_t   *entry;
    akv_status st;

    if (key.len > AKV_FUSED_MAX_KEY)
        return AKV_FAIL(AKV_TOO_BIG, "a key of %zu bytes: the format holds 65535 at most", key.len);
    st = writer_room(w, size + WRITER_ENTRY_COST);
    if (st == AKV_OK)
        st = akvi_buffer_reserve(&w->entries, sizeof entry);
    if (st != AKV_OK)
        return st;
    entry = akvi_arena_alloc(&w->arena, (size_t)size);
    if (!entry)
        return AKV_NOMEM;
    akvi_put_be16(entry, (uint16_t)key.len);
    if (key.len > 0)
        memcpy(entry + 2, key.data, key.len);
    akvi_put_be64(entry + 2 + key.len, offset);
    n = fused_writer_entries_n(w);
    if (offset == 0 ||
        (w->sorted && n > 0 && fused_entry_compare(fused_writer_entries(w)[n - 1], entry) >= 0))
        w->sorted = false;
    *(const uint8_t **)akvi_buffer_extend(&w->entries, sizeof entry) = entry;
    w->index_size += size;
    w->held += size + WRITER_ENTRY_COST;
    w->keys++;
    return AKV_OK;
}

akv_status akvi_fused_add_key(akv_fused_writer *w, akv_slice key, uint32_t id)
{
    if (id >= fused_writer_objects(w))
        return AKV_FAIL(AKV_MISUSE, "no object %u: there are %zu; add the object first", id,
                        fused_writer_objects(w));
    return writer_append_entry(w, key, writer_offset(w, id));
}

akv_status akvi_fused_remove_key(akv_fused_writer *w, akv_slice key)
{
    return writer_append_entry(w, key, 0);
}

/* Drop, for good, all but the last of equal keys, and that too when it took the
 * key back and no run can have it. */
akv_status akvi_fused_writer_sort(akv_fused_writer *w)
{
    const uint8_t **entries = fused_writer_entries(w);
    size_t          n       = fused_writer_entries_n(w);
    bool            spilled = w->spill.entries_len > 0;
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
        if (i + WRITER_AHEAD < kept)
            __builtin_prefetch(items[i + WRITER_AHEAD].entry);
        if (fused_entry_object(items[i].entry) == 0 && !spilled)
            continue;
        entries[left++] = items[i].entry;
        w->index_size += fused_entry_len(items[i].entry);
    }
    akvi_free(w->allocator, items, n * 2 * sizeof *items);
    w->entries.len = left * sizeof *entries;
    w->keys -= n - left;
    w->sorted = true;
    return AKV_OK;
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
    st          = akvi_fused_writer_options(opt, &own);
    if (st == AKV_OK)
        st = akvi_fused_writer_new(&own, NULL, writer_out);
    return akvi_call_end(st, "fused");
}

akv_status akvi_fused_writer_options(const akv_fused_writer_options *opt,
                                     akv_fused_writer_options       *own)
{
    akv_status st = AKV_OK;

    if (opt)
        st = akvi_options_copy(own, sizeof *own, opt, "akv_fused_writer_options");
    if (st == AKV_OK && (own->flags & ~AKV_FUSED_PLAIN) != 0)
        st = AKV_FAIL(AKV_MISUSE, "unknown flags 0x%x in akv_fused_writer_options", own->flags);
    if (st == AKV_OK && own->buffer < AKV_FUSED_LEAST_BUFFER)
        st = AKV_FAIL(AKV_MISUSE, "a buffer of %llu bytes: it takes 1048576 at least",
                      (unsigned long long)own->buffer);
    own->allocator = akvi_allocator(own->allocator);
    own->env       = own->env ? own->env : akv_env_posix();
    return st;
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
    return writer ? fused_writer_objects(writer) : 0;
}

uint64_t akv_fused_writer_keys(const akv_fused_writer *writer)
{
    return writer ? writer->keys : 0;
}

akv_status akv_fused_build(akv_fused_writer *writer, const char *path, const akv_job_options *opt)
{
    akv_job_options own = AKV_JOB_OPTIONS_INIT;
    akv_job         job;
    akv_status      st = writer_check(writer, akv_bytes(NULL, 0), path);

    if (st == AKV_OK && opt)
        st = akvi_options_copy(&own, sizeof own, opt, "akv_job_options");
    if (st == AKV_OK) {
        akv_job_begin(&job, &own, writer->env, 0, "bytes");
        st = akvi_fused_build(writer, path, false, &job);
    }
    return akvi_call_end(st, "fused");
}
