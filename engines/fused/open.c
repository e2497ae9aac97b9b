/* SPDX-License-Identifier: MIT
 *
 * open.c: opening a .fsdb file: header, CRC, a walk over the index, and the
 * table and places made from it. Nothing is allocated by a number of the file
 * before the bytes that it speaks of are known to be there.
 */
#include "engines/fused/reader.h"

#include "common/base/mem.h"
#include "common/base/options.h"
#include "common/codec/crc.h"
#include "common/env/file.h"
#include "common/map/hash.h"
#include "engines/fused/address.h"
#include "engines/fused/sort.h"

#include <stdio.h>

#define OPEN_AHEAD 32u /* entries whose slots are asked for before they are filled */

static const char *const open_modes[] = {"map", "read", NULL};
/* akv_fused_check; a boolean's words mean always and never. */
static const char *const open_checks[] = {"false", "true", "auto", NULL};

const akv_option akvi_fused_options[AKVI_FUSED_OPTIONS_N] = {
    {"verify_on_open", AKV_OPTION_CHOICE, offsetof(akv_fused_options, verify_on_open), 0, 2,
     AKV_FUSED_CHECK_AUTO, NULL, open_checks,
     "check the whole file's CRC-32 when opening; auto: unless it has a hash section"},
    {"check_objects", AKV_OPTION_BOOL, offsetof(akv_fused_options, check_objects), 0, 1, 0, NULL,
     NULL, "check an object's CRC-32 at each read"},
    {"dedupe", AKV_OPTION_BOOL, offsetof(akv_fused_options, dedupe), 0, 1, 1, NULL, NULL,
     "building: store equal values once"},
    {"hash_section", AKV_OPTION_BOOL, offsetof(akv_fused_options, hash_section), 0, 1, 1, NULL,
     NULL, "building: add the section that makes opening instant"},
    {"mode", AKV_OPTION_CHOICE, offsetof(akv_fused_options, mode), 0, 1, AKV_FUSED_MAP, NULL,
     open_modes, "map the file, or read it into memory, safe from changes in place"},
    {"build_buffer", AKV_OPTION_BYTES, offsetof(akv_fused_options, build_buffer),
     AKV_FUSED_LEAST_BUFFER, UINT64_C(1) << 40, AKV_FUSED_DEFAULT_BUFFER, NULL, NULL,
     "building: memory to use before keys and values go to temporary files"},
    {"temp_dir", AKV_OPTION_TEXT, offsetof(akv_fused_options, temp_dir), 0, 0, 0, NULL, NULL,
     "building: the folder for those; else that of the store"},
};

/* ----------------------------------------------------------------- the file */

static akv_status open_read(akv_fused *f, const void **data_out, size_t *len_out)
{
    akv_file_info info;
    void         *copy;
    akv_status    st = f->file->ops->info(f->file, &info);

    if (st != AKV_OK || info.size == 0)
        return st;
    if (info.size > SIZE_MAX)
        return AKV_FAIL_AT(AKV_TOO_BIG, f->path, AKV_NO_OFFSET, "the file does not fit in memory");
    copy = akvi_alloc(f->allocator, (size_t)info.size);
    if (!copy)
        return AKV_NOMEM;
    *data_out = copy;
    *len_out  = (size_t)info.size;
    return akvi_read_full(f->file, f->path, copy, *len_out, 0);
}

/* The file's bytes; what was read of it needs the file no more. */
static akv_status open_load(akv_fused *f)
{
    const void *data = NULL;
    size_t      len  = 0;
    akv_status  st;

    if (f->options.mode == AKV_FUSED_MAP)
        st = akvi_load(f->file, f->path, f->allocator, &data, &len, &f->mapped);
    else
        st = open_read(f, &data, &len);
    f->data = data;
    f->size = len;
    if (!f->mapped) {
        akvi_file_drop(f->file);
        f->file = NULL;
    }
    return st;
}

static void open_unload(akv_fused *f)
{
    if (f->data && !f->borrowed)
        akvi_unload(f->file, f->allocator, f->data, (size_t)f->size, f->mapped);
    akvi_file_drop(f->file);
}

static akv_status open_header(akv_fused *f)
{
    const uint8_t *d = f->data;

    if (!d || f->size < FUSED_HEADER)
        return AKV_FAIL_AT(AKV_CORRUPT, f->path, f->size,
                           "the file ends within its header of %u bytes", FUSED_HEADER);
    if (memcmp(d, FUSED_MAGIC, 4) != 0)
        return AKV_FAIL_AT(AKV_CORRUPT, f->path, 0,
                           "not a .fsdb file: begins with %02x%02x%02x%02x, not 46534442", d[0],
                           d[1], d[2], d[3]);
    if (d[FUSED_AT_VERSION] != FUSED_VERSION)
        return AKV_FAIL_AT(AKV_VERSION, f->path, FUSED_AT_VERSION,
                           "format version %u, but this library reads version %u",
                           d[FUSED_AT_VERSION], FUSED_VERSION);
    fused_header_read(&f->header, d);
    return AKV_OK;
}

static akv_status open_crc(const akv_fused *f)
{
    uint32_t crc = akvi_crc32(0, f->data + FUSED_HEADER, (size_t)f->size - FUSED_HEADER);

    if (crc == f->header.crc)
        return AKV_OK;
    return AKV_FAIL_AT(AKV_CORRUPT, f->path, FUSED_AT_CRC,
                       "the file's CRC32 is 0x%08x, but its header says 0x%08x: damaged or cut; "
                       "restore it or build it anew",
                       crc, f->header.crc);
}

/* ---------------------------------------------------------------- the index */

/* That num_keys entries can be there at all. */
static akv_status open_room(const akv_fused *f)
{
    uint64_t room;

    if (f->header.num_keys == 0)
        return AKV_OK;
    if (f->header.index_offset > f->size)
        return AKV_FAIL_AT(AKV_CORRUPT, f->path, FUSED_AT_INDEX,
                           "the index is said to begin at %llu, but the file ends at %llu",
                           (unsigned long long)f->header.index_offset, (unsigned long long)f->size);
    room = (f->size - f->header.index_offset) / FUSED_ENTRY_LEAST;
    if (f->header.num_keys > room)
        return AKV_FAIL_AT(AKV_CORRUPT, f->path, FUSED_AT_NUM_KEYS,
                           "%u keys are said to be in the index, but from %llu to the file's end "
                           "there is room for %llu at most",
                           f->header.num_keys, (unsigned long long)f->header.index_offset,
                           (unsigned long long)room);
    return AKV_OK;
}

/* Step over the entry at `at`; its offset in the file is named if it is cut. */
static akv_status open_step(const akv_fused *f, uint32_t i, uint64_t *at)
{
    uint64_t left = f->size - f->header.index_offset - *at;
    uint64_t off  = f->header.index_offset + *at;

    if (left < 2)
        return AKV_FAIL_AT(AKV_CORRUPT, f->path, off,
                           "the index is cut: entry %u of %u begins where the file ends", i,
                           f->header.num_keys);
    if (fused_entry_len(f->index + *at) > left)
        return AKV_FAIL_AT(AKV_CORRUPT, f->path, off,
                           "the index is cut: entry %u of %u, with a key of %u bytes, reaches past "
                           "the end of the file at %llu",
                           i, f->header.num_keys, fused_entry_key_len(f->index + *at),
                           (unsigned long long)f->size);
    *at += fused_entry_len(f->index + *at);
    return AKV_OK;
}

/* Check every entry, note where each block begins and whether all is in order. */
static akv_status open_entries(akv_fused *f)
{
    const uint8_t *before = NULL;
    uint64_t       at     = 0, most;
    akv_status     st     = AKV_OK;

    most        = (f->size - (uint64_t)(f->index - f->data)) / FUSED_ENTRY_LEAST;
    most        = f->header.num_keys < most ? f->header.num_keys : most;
    f->ordered  = true;
    f->entries  = 0;
    f->places_n = (size_t)((most + FUSED_BLOCK - 1) / FUSED_BLOCK);
    f->places   = akvi_alloc_n(f->allocator, f->places_n, sizeof *f->places);
    if (!f->places)
        return AKV_NOMEM;
    for (uint32_t i = 0; i < f->header.num_keys; i++) {
        uint64_t place = at;

        st = open_step(f, i, &at);
        if (st != AKV_OK)
            break;
        if (i % FUSED_BLOCK == 0)
            f->places[i / FUSED_BLOCK] = place;
        if (before && fused_entry_compare(before, f->index + place) >= 0)
            f->ordered = false;
        before = f->index + place;
        f->entries++;
    }
    f->keys       = f->entries;
    f->index_size = at;
    return st;
}

/* An index out of order: the place of each different key's last entry, sorted. */
static akv_status open_permute(akv_fused *f)
{
    size_t      n     = f->entries, size, kept;
    fused_item *items = akvi_alloc_n(f->allocator, n, 2 * sizeof *items);
    uint64_t   *places;
    uint64_t    at = 0;

    if (!items)
        return AKV_NOMEM;
    size = n * 2 * sizeof *items;
    for (size_t i = 0; i < n; i++) {
        items[i].entry = f->index + at;
        at += fused_entry_len(f->index + at);
    }
    akvi_fused_sort(items, items + n, n);
    kept   = akvi_fused_keep_last(items, n);
    places = akvi_alloc_n(f->allocator, kept, sizeof *places);
    if (places) {
        for (size_t i = 0; i < kept; i++)
            places[i] = (uint64_t)(items[i].entry - f->index);
        akvi_free(f->allocator, f->places, f->places_n * sizeof *f->places);
        f->places   = places;
        f->places_n = kept;
        f->keys     = kept;
    }
    akvi_free(f->allocator, items, size);
    return places ? AKV_OK : AKV_NOMEM;
}

/* Put every key into the table, a batch's slots asked for at once. */
static akv_status open_table(akv_fused *f)
{
    uint64_t   hashes[OPEN_AHEAD], places[OPEN_AHEAD], objects[OPEN_AHEAD];
    uint64_t   at   = 0;
    uint64_t   seed = f->env->ops->monotonic_ns(f->env) ^ (uintptr_t)f;
    akv_status st   = akvi_fused_table_new(
          f->allocator, f->keys, akvi_fused_table_shape(f->index_size, f->header.index_offset), seed,
          &f->table);

    for (uint64_t i = 0, n; st == AKV_OK && i < f->keys; i += n) {
        for (n = 0; n < OPEN_AHEAD && i + n < f->keys; n++) {
            const uint8_t *entry;

            places[n]  = f->ordered ? at : f->places[i + n];
            entry      = f->index + places[n];
            objects[n] = fused_entry_object(entry);
            hashes[n]  = akvi_hash(fused_entry_key(entry), fused_entry_key_len(entry), seed);
            fused_table_prefetch(&f->table, hashes[n]);
            at += fused_entry_len(entry);
        }
        for (uint64_t k = 0; k < n; k++)
            akvi_fused_table_add(&f->table, hashes[k], places[k], objects[k]);
    }
    return st;
}

akv_status akvi_fused_walk(akv_fused *f, bool salvage)
{
    akv_status st = open_entries(f);

    if (st == AKV_CORRUPT && salvage) {
        f->salvaged = true;
        st          = AKV_OK;
    }
    if (st == AKV_OK && !f->ordered)
        st = open_permute(f);
    return st == AKV_OK && !f->index_only ? open_table(f) : st;
}

void akvi_fused_unwalk(akv_fused *f)
{
    akvi_fused_table_free(f->allocator, &f->table);
    akvi_free(f->allocator, f->places, f->places_n * sizeof *f->places);
    f->places   = NULL;
    f->places_n = 0;
}

/* ------------------------------------------------------------- hash section */

/* The index's end, or the file's when the index is cut. */
static uint64_t open_index_end(const akv_fused *f)
{
    uint64_t at = f->header.index_offset, len;

    if (at > f->size)
        return f->size;
    for (uint32_t i = 0; i < f->header.num_keys; i++) {
        if (f->size - at < FUSED_ENTRY_LEAST)
            return f->size;
        len = fused_entry_len(f->data + at);
        if (len > f->size - at)
            return f->size;
        at += len;
    }
    return at;
}

/* A section whose flag the header has lost. */
static bool open_section_unflagged(akv_fused *f, const uint8_t *trailer)
{
    uint8_t header[FUSED_HEADER];

    memcpy(header, f->data, sizeof header);
    header[FUSED_AT_FLAGS] |= FUSED_FLAG_SECTION;
    if (!akvi_fused_section_read(trailer, header, f->size, &f->section))
        return false;
    f->section_state = AKV_FUSED_SECTION_DAMAGED;
    return true;
}

/* Find the section by its trailer or, if that is damaged, by its first
 * descriptor, which tells that it is there and what the contents' CRC is. */
static void open_section(akv_fused *f)
{
    const uint8_t *trailer, *first;
    uint64_t       end;

    if (f->size < FUSED_HEADER + FUSED_DESCRIPTOR)
        return;
    trailer = f->data + f->size - FUSED_DESCRIPTOR;
    if (!(f->header.flags & FUSED_FLAG_SECTION)) {
        if (!open_section_unflagged(f, trailer))
            f->section = (fused_section){.offset = 0};
        return;
    }
    if (akvi_fused_section_read(trailer, f->data, f->size, &f->section)) {
        f->section_state = AKV_FUSED_SECTION_USED;
        return;
    }
    if (fused_section_magic(trailer))
        f->section_state = AKV_FUSED_SECTION_DAMAGED;
    f->section = (fused_section){.offset = 0};
    end        = open_index_end(f);
    if (f->size - end < FUSED_DESCRIPTOR)
        return;
    first = f->data + end;
    if (fused_section_magic(first))
        f->section_state = AKV_FUSED_SECTION_DAMAGED;
    if (!akvi_fused_section_read(first, f->data, f->size, &f->section))
        f->section = (fused_section){.offset = 0};
}

/* Use the section as it is, looking at none of it. */
static void open_by_section(akv_fused *f)
{
    fused_section_parts parts;

    akvi_fused_section_parts(f->section.offset, f->section.groups, f->header.num_keys, &parts);
    f->index_size = f->section.offset - f->header.index_offset;
    f->table      = (fused_table){
             .groups   = f->data + parts.table,
             .groups_n = f->section.groups,
             .seed     = f->section.seed,
             .reach    = f->section.reach,
             .shape    = akvi_fused_table_shape(f->index_size, f->header.index_offset),
    };
    f->samples     = f->data + parts.samples;
    f->sample_size = parts.sample_size;
    f->entries     = f->header.num_keys;
    f->keys        = f->header.num_keys;
    f->ordered     = true;
}

/* What the file's CRC does not cover, if a section does: with that CRC right, a
 * descriptor whose own is wrong tells of another header than this one. */
static akv_status open_header_crc(const akv_fused *f)
{
    const uint8_t *trailer;

    if (f->section_state != AKV_FUSED_SECTION_DAMAGED || !(f->header.flags & FUSED_FLAG_SECTION))
        return AKV_OK;
    trailer = f->data + f->size - FUSED_DESCRIPTOR;
    if (!fused_section_magic(trailer) || akvi_fused_section_sound(trailer, f->data))
        return AKV_OK;
    return AKV_FAIL_AT(AKV_CORRUPT, f->path, 0,
                       "the header is damaged: it does not fit its CRC32 at the file's end; "
                       "restore the file or build it anew");
}

/* Check the file's CRC. When only the section is damaged, that is noted. */
static akv_status open_check(akv_fused *f, const akv_logger *salvage)
{
    akv_status st = open_crc(f);

    if (st == AKV_OK)
        st = open_header_crc(f);
    else if (f->section.offset > 0 &&
             akvi_crc32(0, f->data + FUSED_HEADER, (size_t)(f->section.offset - FUSED_HEADER)) ==
                 f->section.contents_crc) {
        f->section_state = AKV_FUSED_SECTION_DAMAGED;
        akv_engine_recovered();
        st = AKV_OK;
    }
    if (st != AKV_OK && salvage) {
        akv_engine_log(salvage, AKV_LOG_WARN, "fused", "%s", akvi_pending_error()->text);
        akv_engine_recovered();
        st = AKV_OK;
    }
    return st;
}

/* -------------------------------------------------------------------- calls */

/* With its bytes there, all else. */
static akv_status open_contents(akv_fused *f, const akv_logger *salvage)
{
    uint32_t   check = f->options.verify_on_open;
    akv_status st    = open_header(f);

    if (st != AKV_OK)
        return st;
    open_section(f);
    if (check == AKV_FUSED_CHECK_ALWAYS ||
        (check == AKV_FUSED_CHECK_AUTO && f->section_state != AKV_FUSED_SECTION_USED))
        st = open_check(f, salvage);
    if (st == AKV_OK && !(salvage && f->header.index_offset <= f->size))
        st = open_room(f);
    if (st != AKV_OK)
        return st;
    f->index = f->header.num_keys > 0 ? f->data + f->header.index_offset : f->data;
    if (f->section_state == AKV_FUSED_SECTION_USED && !f->index_only) {
        open_by_section(f);
        return AKV_OK;
    }
    st = akvi_fused_walk(f, salvage != NULL);
    if (st == AKV_OK && f->salvaged) {
        akv_engine_log(salvage, AKV_LOG_WARN, "fused", "%s", akvi_pending_error()->text);
        akv_engine_recovered();
    }
    return st;
}

/* One without bytes; NULL without memory. */
static akv_fused *open_new(const char *path, const akv_fused_options *opt,
                           const akv_allocator *allocator, akv_env *env)
{
    akv_fused *f = akvi_zalloc(allocator, sizeof *f);

    if (!f)
        return NULL;
    f->allocator     = allocator;
    f->env           = env;
    f->options       = *opt;
    f->check_objects = opt->check_objects;
    f->path          = akvi_strdup(allocator, path);
    if (f->path && akvi_fused_addresses_new(allocator, &f->addresses) == AKV_OK)
        return f;
    akvi_fused_close(f);
    return NULL;
}

/* It has its bytes, or `st` says why not. */
static akv_status open_finish(akv_fused *f, akv_status st, const akv_logger *salvage,
                              akv_fused **fused_out)
{
    if (st == AKV_OK)
        st = open_contents(f, salvage);
    if (st == AKV_OK)
        *fused_out = f;
    else
        akvi_fused_close(f);
    return st;
}

akv_status akvi_fused_open(const char *path, const akv_fused_options *opt,
                           const akv_allocator *allocator, akv_env *env, const akv_logger *salvage,
                           akv_fused **fused_out)
{
    akv_fused *f = open_new(path, opt, allocator, env);
    akv_status st;

    *fused_out = NULL;
    if (!f)
        return AKV_NOMEM;
    st = env->ops->open(env, path, 0, &f->file);
    if (st == AKV_OK)
        st = open_load(f);
    return open_finish(f, st, salvage, fused_out);
}

akv_status akvi_fused_open_index(const char *path, const akv_allocator *allocator, akv_env *env,
                                 akv_fused **fused_out)
{
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;
    akv_fused        *f;
    akv_status        st;

    opt.verify_on_open = AKV_FUSED_CHECK_ALWAYS;
    *fused_out         = NULL;
    f                  = open_new(path, &opt, allocator, env);
    if (!f)
        return AKV_NOMEM;
    f->index_only = true;
    st            = env->ops->open(env, path, 0, &f->file);
    if (st == AKV_OK)
        st = open_load(f);
    return open_finish(f, st, NULL, fused_out);
}

void akvi_fused_close(akv_fused *f)
{
    if (!f)
        return;
    akvi_fused_unwalk(f);
    akvi_fused_addresses_free(f->allocator, f->addresses);
    open_unload(f);
    akvi_strfree(f->allocator, f->path);
    akvi_free(f->allocator, f, sizeof *f);
}

/* ------------------------------------------------------------- public calls */

/* A caller's options, checked and with every component there. */
static akv_status open_options(const akv_fused_options *opt, akv_fused_options *own_out)
{
    akv_fused_options own = AKV_FUSED_OPTIONS_INIT;
    akv_status        st  = AKV_OK;

    if (opt && opt->head.engine && strcmp(opt->head.engine, "fused") != 0)
        return AKV_FAIL(AKV_MISUSE, "options of engine '%s' given to fused", opt->head.engine);
    if (opt)
        st = akvi_options_copy(&own, sizeof own, opt, "akv_fused_options");
    if (st == AKV_OK)
        st = akvi_options_check(akvi_fused_options, AKVI_FUSED_OPTIONS_N, &own);
    own.allocator = akvi_allocator(own.allocator);
    own.env       = own.env ? own.env : akv_env_posix();
    *own_out      = own;
    return st;
}

static akv_status open_path(const char *path, const akv_fused_options *opt, akv_fused **fused_out)
{
    akv_fused_options own;
    akv_status        st = open_options(opt, &own);

    if (st == AKV_OK && !path)
        st = AKV_FAIL(AKV_MISUSE, "path is NULL");
    return st == AKV_OK ? akvi_fused_open(path, &own, own.allocator, own.env, NULL, fused_out) : st;
}

static akv_status open_buffer(akv_slice bytes, const akv_fused_options *opt, akv_fused **fused_out)
{
    akv_fused_options own;
    akv_fused        *f;
    akv_status        st = open_options(opt, &own);

    if (st == AKV_OK && !bytes.data && bytes.len > 0)
        st = AKV_FAIL(AKV_MISUSE, "the buffer is NULL");
    if (st != AKV_OK)
        return st;
    f = open_new("(buffer)", &own, own.allocator, own.env);
    if (!f)
        return AKV_NOMEM;
    f->data     = bytes.data;
    f->size     = bytes.len;
    f->borrowed = true;
    return open_finish(f, AKV_OK, NULL, fused_out);
}

static akv_status open_descriptor(int fd, const akv_fused_options *opt, akv_fused **fused_out)
{
    akv_fused_options own;
    akv_fused        *f;
    char              name[32];
    akv_status        st = open_options(opt, &own);

    if (st == AKV_OK && own.env != akv_env_posix())
        st = AKV_FAIL(AKV_MISUSE, "a descriptor is the system's: no other env can read it");
    if (st != AKV_OK)
        return st;
    snprintf(name, sizeof name, "(descriptor %d)", fd);
    f = open_new(name, &own, own.allocator, own.env);
    if (!f)
        return AKV_NOMEM;
    st = akvi_posix_adopt(fd, name, &f->file);
    if (st == AKV_OK)
        st = open_load(f);
    return open_finish(f, st, NULL, fused_out);
}

/* Begin a call that gives a reader; false ends it. */
static bool open_begin(akv_fused **fused_out)
{
    akvi_call_begin();
    if (fused_out)
        *fused_out = NULL;
    else
        (void)akvi_call_end(AKV_FAIL(AKV_MISUSE, "fused_out is NULL"), "fused");
    return fused_out != NULL;
}

akv_status akv_fused_open(const char *path, const akv_fused_options *opt, akv_fused **fused_out)
{
    if (!open_begin(fused_out))
        return AKV_MISUSE;
    return akvi_call_end(open_path(path, opt, fused_out), "fused");
}

akv_status akv_fused_open_buffer(const void *data, size_t len, const akv_fused_options *opt,
                                 akv_fused **fused_out)
{
    if (!open_begin(fused_out))
        return AKV_MISUSE;
    return akvi_call_end(open_buffer(akv_bytes(data, len), opt, fused_out), "fused");
}

akv_status akv_fused_open_fd(int fd, const akv_fused_options *opt, akv_fused **fused_out)
{
    if (!open_begin(fused_out))
        return AKV_MISUSE;
    return akvi_call_end(open_descriptor(fd, opt, fused_out), "fused");
}

void akv_fused_close(akv_fused *fused)
{
    akvi_fused_close(fused);
}
