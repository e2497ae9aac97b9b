/* SPDX-License-Identifier: MIT
 *
 * verify.c: everything that can be checked of a .fsdb file.
 *
 * The header has no checksum, so its fields are held against the contents: the
 * lengths of num_objects objects must chain from byte 40 up to the index, each
 * offset of a key must be a link of that chain, and what follows the last entry
 * must not look like one more.
 */
#include "engines/fused/reader.h"

#include "common/base/options.h"
#include "common/codec/crc.h"
#include "common/map/hash.h"
#include "engines/fused/offsets.h"

#define VERIFY_STEP  ((size_t)1 << 20)
#define VERIFY_AHEAD 32u /* keys whose slots are asked for before they are read */

typedef struct verify_run {
    const akv_fused *f;
    akv_job          job;
    akv_fused_report report;
    fused_offsets    seen;    /* objects looked at */
    uint64_t         since;   /* bytes since the job's last step */
    bool             chained; /* the chain of objects is whole */
    uint64_t         bytes;   /* of the objects looked at */
} verify_run;

static void verify_tell(verify_run *v, uint64_t *count)
{
    ++*count;
    (void)akv_job_fault(&v->job); /* the status is that of the whole run */
}

static akv_status verify_step(verify_run *v, uint64_t bytes)
{
    akv_status st = AKV_OK;

    v->since += bytes;
    if (v->since >= VERIFY_STEP) {
        st       = akv_job_step(&v->job, v->since, v->since);
        v->since = 0;
    }
    return st;
}

static akv_status verify_file_crc(verify_run *v)
{
    const akv_fused *f   = v->f;
    uint32_t         crc = 0;

    for (uint64_t at = FUSED_HEADER, n; at < f->size; at += n) {
        akv_status st;

        n   = f->size - at < VERIFY_STEP ? f->size - at : VERIFY_STEP;
        crc = akvi_crc32(crc, f->data + at, (size_t)n);
        st  = verify_step(v, n);
        if (st != AKV_OK)
            return st;
    }
    if (crc != f->header.crc) {
        AKV_FAIL_AT(AKV_CORRUPT, f->path, FUSED_AT_CRC,
                    "the file's CRC32 is 0x%08x, but its header says 0x%08x", crc, f->header.crc);
        verify_tell(v, &v->report.file_crc_faults);
    }
    return AKV_OK;
}

/* Order and repeats; an index in order has neither. */
static akv_status verify_order(verify_run *v)
{
    const akv_fused  *f      = v->f;
    const uint8_t    *before = NULL;
    uint64_t          at     = 0;
    akv_fused_report *r      = &v->report;

    for (uint32_t i = 0; i < f->entries && !f->ordered; i++) {
        const uint8_t *entry = f->index + at;
        uint64_t       off   = f->header.index_offset + at;
        akv_slice      key   = akv_bytes(fused_entry_key(entry), fused_entry_key_len(entry));
        akv_status     st    = verify_step(v, fused_entry_len(entry));

        if (st != AKV_OK)
            return st;
        if (before && fused_entry_compare(before, entry) > 0) {
            AKV_FAIL_AT(AKV_CORRUPT, f->path, off, "key %u of the index is below the one before",
                        i);
            verify_tell(v, &r->order_faults);
        }
        if (akvi_fused_entry(f, key) != entry) {
            AKV_FAIL_AT(AKV_CORRUPT, f->path, off, "key %u of the index is there again further on",
                        i);
            verify_tell(v, &r->duplicate_faults);
        }
        before = entry;
        at += fused_entry_len(entry);
    }
    return AKV_OK;
}

/* The object at `off`, whose eight bytes of header lie in the file. */
static akv_status verify_object(verify_run *v, uint64_t off)
{
    const akv_fused *f   = v->f;
    uint64_t         len = akvi_get_be32(f->data + off);
    akv_slice        object;

    v->report.objects++;
    if (len > f->size - FUSED_OBJECT_HEADER - off) {
        AKV_FAIL_AT(AKV_CORRUPT, f->path, off,
                    "an object of %llu bytes reaches past the end of the file at %llu",
                    (unsigned long long)len, (unsigned long long)f->size);
        verify_tell(v, &v->report.offset_faults);
        return AKV_OK;
    }
    if (v->bytes > f->size)
        return AKV_OK; /* told */
    v->bytes += FUSED_OBJECT_HEADER + len;
    if (v->bytes > f->size) {
        AKV_FAIL_AT(AKV_CORRUPT, f->path, off,
                    "objects lie over each other: with the one here they are longer than the file, "
                    "so no more of them are looked at");
        verify_tell(v, &v->report.count_faults);
        return AKV_OK;
    }
    object = akv_bytes(f->data + off + FUSED_OBJECT_HEADER, (size_t)len);
    if (akvi_fused_check_object(f, off, object) != AKV_OK)
        verify_tell(v, &v->report.object_crc_faults);
    return verify_step(v, FUSED_OBJECT_HEADER + len);
}

/* The objects that the header counts, one after the other from byte 40. */
static akv_status verify_chain(verify_run *v)
{
    const akv_fused *f     = v->f;
    uint64_t         end   = f->header.index_offset < f->size ? f->header.index_offset : f->size;
    uint64_t         at    = FUSED_HEADER;
    akv_status       st    = AKV_OK;
    bool             fresh = false;

    for (uint32_t i = 0; i < f->header.num_objects && st == AKV_OK; i++) {
        if (end < FUSED_HEADER || end - at < FUSED_OBJECT_HEADER) {
            AKV_FAIL_AT(AKV_CORRUPT, f->path, FUSED_AT_NUM_OBJECTS,
                        "the header counts %u objects, but the data before the index holds %u",
                        f->header.num_objects, i);
            verify_tell(v, &v->report.count_faults);
            return AKV_OK;
        }
        st = akvi_fused_offsets_add(&v->seen, at, &fresh);
        if (st == AKV_OK)
            st = verify_object(v, at);
        if (st == AKV_OK && akvi_get_be32(f->data + at) > end - at - FUSED_OBJECT_HEADER) {
            if (akvi_get_be32(f->data + at) <= f->size - at - FUSED_OBJECT_HEADER) {
                AKV_FAIL_AT(AKV_CORRUPT, f->path, at,
                            "object %u of %u reaches into the index at %llu", i,
                            f->header.num_objects, (unsigned long long)end);
                verify_tell(v, &v->report.count_faults);
            }
            return AKV_OK; /* verify_object has told of one past the file's end */
        }
        at += FUSED_OBJECT_HEADER + akvi_get_be32(f->data + at);
    }
    v->chained = true;
    return st;
}

/* Where the keys lead. */
static akv_status verify_offsets(verify_run *v)
{
    const akv_fused *f  = v->f;
    akv_status       st = AKV_OK;
    uint64_t         at = 0;

    for (uint32_t i = 0; i < f->entries && st == AKV_OK; i++) {
        const uint8_t *entry = f->index + at;
        uint64_t       off   = fused_entry_object(entry);
        uint64_t       place = f->header.index_offset + at + fused_entry_len(entry) - 8;
        bool           fresh = false;

        at += fused_entry_len(entry);
        v->report.keys++;
        if (off > f->size - FUSED_OBJECT_HEADER) {
            AKV_FAIL_AT(AKV_CORRUPT, f->path, place,
                        "key %u's object is said to be at %llu, but the file ends at %llu", i,
                        (unsigned long long)off, (unsigned long long)f->size);
            verify_tell(v, &v->report.offset_faults);
            continue;
        }
        st = akvi_fused_offsets_add(&v->seen, off, &fresh);
        if (st != AKV_OK || !fresh)
            continue;
        st = verify_object(v, off);
        if (st == AKV_OK && v->chained) {
            AKV_FAIL_AT(AKV_CORRUPT, f->path, place,
                        "key %u's object at %llu is not among the %u that the header counts", i,
                        (unsigned long long)off, f->header.num_objects);
            verify_tell(v, &v->report.count_faults);
        }
    }
    return st;
}

/* What follows the index, when it would pass for another entry: then num_keys
 * is too low, and hides it. */
static akv_status verify_hidden(verify_run *v)
{
    const akv_fused *f     = v->f;
    const uint8_t   *entry = f->index + f->index_size;
    uint64_t         left, off;
    bool             fresh = true;
    akv_status       st;

    if (f->entries == 0 || f->salvaged || f->section.offset > 0)
        return AKV_OK;
    left = f->size - f->header.index_offset - f->index_size;
    if (left < 2 || fused_entry_len(entry) > left)
        return AKV_OK;
    off = fused_entry_object(entry);
    if (off > f->size - FUSED_OBJECT_HEADER)
        return AKV_OK;
    st = akvi_fused_offsets_add(&v->seen, off, &fresh);
    if (st == AKV_OK && !fresh) {
        AKV_FAIL_AT(AKV_CORRUPT, f->path, FUSED_AT_NUM_KEYS,
                    "the header counts %u keys, but the bytes at %llu are one more",
                    f->header.num_keys,
                    (unsigned long long)(f->header.index_offset + f->index_size));
        verify_tell(v, &v->report.count_faults);
    }
    return st;
}

static void verify_header(verify_run *v)
{
    const akv_fused *f = v->f;

    if (f->header.data_offset != FUSED_HEADER) {
        AKV_FAIL_AT(AKV_CORRUPT, f->path, FUSED_AT_DATA,
                    "the data is said to begin at %llu, not %u",
                    (unsigned long long)f->header.data_offset, FUSED_HEADER);
        verify_tell(v, &v->report.count_faults);
    }
    if (f->header.index_offset < FUSED_HEADER || f->header.index_offset > f->size) {
        AKV_FAIL_AT(AKV_CORRUPT, f->path, FUSED_AT_INDEX,
                    "the index is said to begin at %llu, outside of the contents",
                    (unsigned long long)f->header.index_offset);
        verify_tell(v, &v->report.count_faults);
    }
    if (f->salvaged) {
        AKV_FAIL_AT(AKV_CORRUPT, f->path, f->header.index_offset + f->index_size,
                    "the index is cut here: %u of %u keys can be read", f->entries,
                    f->header.num_keys);
        verify_tell(v, &v->report.offset_faults);
    }
}

/* ------------------------------------------------------------- hash section */

static void verify_section_fault(verify_run *v, uint64_t at, const char *what)
{
    AKV_FAIL_AT(AKV_CORRUPT, v->f->path, at,
                "the hash section is damaged: %s; the index is whole if nothing else is told, and "
                "building the file anew mends it",
                what);
    verify_tell(v, &v->report.section_faults);
}

/* Whether the section's table leads to the entry at `place`. */
static bool verify_in_table(const fused_table *t, const uint8_t *entry, uint64_t hash,
                            uint64_t place)
{
    uint64_t    want = fused_table_value(&t->shape, place, fused_entry_object(entry)), value;
    fused_probe probe;

    fused_probe_begin(t, hash, &probe);
    while (fused_probe_next(t, &probe, &value))
        if (value == want)
            return true;
    return false;
}

static uint64_t verify_table_used(const fused_table *t)
{
    uint64_t used = 0;

    for (uint64_t i = 0; i < t->groups_n; i++)
        for (unsigned slot = 0; slot < TABLE_TAGS; slot++)
            used += t->groups[i * TABLE_GROUP + slot] != 0;
    return used;
}

/* The section against the index, whose entries v->f has walked over. */
static akv_status verify_table(verify_run *v, const akv_fused *by_section)
{
    const akv_fused   *f  = v->f;
    const fused_table *t  = &by_section->table;
    uint64_t           at = 0, hash[VERIFY_AHEAD], place[VERIFY_AHEAD], n;
    akv_status         st = AKV_OK;

    for (uint64_t i = 0; i < f->entries && st == AKV_OK; i += n) {
        uint64_t from = at;

        for (n = 0; n < VERIFY_AHEAD && i + n < f->entries; n++) {
            const uint8_t *entry = f->index + at;

            if ((i + n) % FUSED_BLOCK == 0 &&
                fused_block_place(by_section, (i + n) / FUSED_BLOCK) != at) {
                verify_section_fault(v, f->section.offset,
                                     "a sampled place is not that of its key");
                return AKV_OK;
            }
            place[n] = at;
            hash[n]  = akvi_hash(fused_entry_key(entry), fused_entry_key_len(entry), t->seed);
            fused_table_prefetch(t, hash[n]);
            at += fused_entry_len(entry);
        }
        for (uint64_t k = 0; k < n; k++) {
            if (!verify_in_table(t, f->index + place[k], hash[k], place[k])) {
                verify_section_fault(v, f->header.index_offset + place[k],
                                     "its table does not lead to the key here");
                return AKV_OK;
            }
        }
        st = verify_step(v, at - from);
    }
    if (st == AKV_OK && verify_table_used(t) != f->entries)
        verify_section_fault(v, f->section.offset, "its table holds more than the keys");
    return st;
}

static akv_status verify_section(verify_run *v, const akv_fused *by_section)
{
    const akv_fused *f = v->f;
    const uint8_t   *first;
    uint64_t         between = f->section.length - 2 * FUSED_DESCRIPTOR;

    if (by_section->section_state == AKV_FUSED_SECTION_DAMAGED)
        verify_section_fault(v, f->section.offset, "its descriptor or its CRC32 is wrong");
    if (by_section->section_state != AKV_FUSED_SECTION_USED)
        return AKV_OK;
    first = f->data + f->section.offset;
    if (memcmp(first, f->data + f->size - FUSED_DESCRIPTOR, FUSED_DESCRIPTOR) != 0)
        verify_section_fault(v, f->section.offset, "its two descriptors differ");
    if (akvi_crc32(0, first + FUSED_DESCRIPTOR, (size_t)between) != f->section.table_crc) {
        verify_section_fault(v, f->section.offset, "its CRC32 is wrong");
        return AKV_OK;
    }
    if (!f->ordered || f->salvaged || f->index_size != by_section->index_size) {
        verify_section_fault(v, f->section.offset, "it is not of this index");
        return AKV_OK;
    }
    return verify_table(v, by_section);
}

/* -------------------------------------------------------------------- calls */

static akv_status verify_all(verify_run *v, const akv_fused *opened)
{
    akv_status st = verify_file_crc(v);

    if (st == AKV_OK) {
        verify_header(v);
        st = verify_order(v);
    }
    if (st == AKV_OK)
        st = verify_chain(v);
    if (st == AKV_OK)
        st = verify_offsets(v);
    if (st == AKV_OK)
        st = verify_hidden(v);
    if (st == AKV_OK)
        st = verify_section(v, opened);
    return st == AKV_OK ? akv_job_step(&v->job, v->since, v->since) : st;
}

/* A reader by its hash section knows the index by hearsay: look at it through
 * another over the same bytes, which has walked over it. */
static akv_status verify_walk(const akv_fused *f, akv_fused *walked_out)
{
    *walked_out         = *f;
    walked_out->samples = NULL;
    walked_out->table   = (fused_table){.memory = NULL};
    return akvi_fused_walk(walked_out, true);
}

akv_status akvi_fused_verify(const akv_fused *f, const akv_job_options *opt,
                             akv_fused_report *report_out)
{
    verify_run              v    = {.f = f, .report = AKV_FUSED_REPORT_INIT};
    const akv_fused_report *r    = &v.report;
    uint64_t                data = f->header.index_offset < f->size ? f->header.index_offset : 0;
    akv_fused               walked;
    akv_status              st = AKV_OK;

    if (f->samples) {
        st  = verify_walk(f, &walked);
        v.f = &walked;
        data += f->index_size;
    }
    akv_job_begin(&v.job, opt, f->env, f->size + data, "bytes");
    akvi_fused_offsets_init(&v.seen, f->allocator);
    if (st == AKV_OK)
        st = verify_all(&v, f);
    akvi_fused_offsets_free(&v.seen);
    if (f->samples)
        akvi_fused_unwalk(&walked);
    *report_out = v.report;
    if (st == AKV_OK && r->file_crc_faults + r->object_crc_faults + r->offset_faults +
                                r->order_faults + r->duplicate_faults + r->count_faults +
                                r->section_faults >
                            0)
        st = AKV_CORRUPT;
    return st;
}

akv_status akv_fused_verify(const akv_fused *fused, const akv_job_options *opt,
                            akv_fused_report *report_out)
{
    akv_job_options  own    = AKV_JOB_OPTIONS_INIT;
    akv_fused_report report = AKV_FUSED_REPORT_INIT;
    akv_status       st     = AKV_OK;

    akvi_call_begin();
    if (!fused)
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "the reader is NULL"), "fused");
    if (report_out && !akvi_fused_give(report_out, &report, sizeof report))
        st = AKV_FAIL(AKV_MISUSE, "the size of akv_fused_report is not set");
    else if (opt)
        st = akvi_options_copy(&own, sizeof own, opt, "akv_job_options");
    if (st != AKV_OK)
        return akvi_call_end(st, "fused");
    st = akvi_fused_verify(fused, &own, &report);
    if (report_out)
        (void)akvi_fused_give(report_out, &report, sizeof report);
    return akvi_call_end(st, "fused");
}
