/* SPDX-License-Identifier: MIT
 *
 * spill.c: see spill.h. Bytes beyond the lengths that are known here are those
 * of a call that failed; the next one overwrites them.
 */
#include "engines/fused/spill.h"

#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/codec/crc.h"
#include "common/env/file.h"

#define SPILL_CHUNK ((size_t)256 << 10)
#define SPILL_STEP  ((uint64_t)4 << 20) /* merged between two steps of the job */

akv_status akvi_fused_spill_init(fused_spill *s, const akv_allocator *allocator, akv_env *env,
                                 const char *path)
{
    *s      = (fused_spill){.env = env, .allocator = allocator, .runs = {.allocator = allocator}};
    s->path = akvi_strdup(allocator, path);
    return s->path ? AKV_OK : AKV_NOMEM;
}

void akvi_fused_spill_free(fused_spill *s)
{
    akvi_file_drop(s->objects);
    akvi_file_drop(s->entries);
    akvi_strfree(s->allocator, s->path);
    akv_buffer_free(&s->runs);
}

static akv_status spill_open(fused_spill *s, akv_file **file)
{
    return *file ? AKV_OK : akvi_temp_open(s->env, s->allocator, s->path, file);
}

/* ------------------------------------------------------------------ objects */

akv_status akvi_fused_spill_objects(fused_spill *s, const uint8_t *const *stored, size_t n)
{
    fused_out  out;
    akv_status st = spill_open(s, &s->objects);

    if (st == AKV_OK)
        st = akvi_fused_out_begin(&out, s->allocator, s->objects, s->objects_len, SPILL_CHUNK);
    if (st != AKV_OK)
        return st;
    for (size_t i = 0; i < n && st == AKV_OK; i++)
        st = akvi_fused_out_put(&out, stored[i],
                                FUSED_OBJECT_HEADER + (size_t)akvi_get_be32(stored[i]));
    if (st == AKV_OK)
        st = akvi_fused_out_flush(&out);
    if (st == AKV_OK)
        s->objects_len = out.at;
    akvi_fused_out_end(&out);
    return st;
}

akv_status akvi_fused_spill_object(fused_spill *s, akv_slice object)
{
    uint8_t    header[FUSED_OBJECT_HEADER];
    akv_status st = spill_open(s, &s->objects);

    akvi_put_be32(header, (uint32_t)object.len);
    akvi_put_be32(header + 4, akvi_crc32(0, object.data, object.len));
    if (st == AKV_OK)
        st = s->objects->ops->write_at(s->objects, header, sizeof header, s->objects_len);
    if (st == AKV_OK)
        st = s->objects->ops->write_at(s->objects, object.data, object.len,
                                       s->objects_len + sizeof header);
    if (st == AKV_OK)
        s->objects_len += sizeof header + object.len;
    return st;
}

akv_status akvi_fused_spill_equals(const fused_spill *s, uint64_t at, akv_slice object,
                                   bool *equal_out)
{
    const uint8_t *want = object.data;
    uint8_t        part[4096];
    akv_status     st = AKV_OK;

    *equal_out = true;
    at += FUSED_OBJECT_HEADER;
    for (size_t left = object.len, n; left > 0 && *equal_out && st == AKV_OK; left -= n) {
        n  = left < sizeof part ? left : sizeof part;
        st = akvi_read_full(s->objects, s->path, part, n, at);
        if (st == AKV_OK)
            *equal_out = memcmp(part, want, n) == 0;
        at += n;
        want += n;
    }
    return st;
}

/* --------------------------------------------------------------------- runs */

akv_status akvi_fused_spill_run(fused_spill *s, const uint8_t *const *entries, size_t n)
{
    fused_run  run = {s->entries_len, 0};
    fused_out  out;
    akv_status st = spill_open(s, &s->entries);

    if (st == AKV_OK)
        st = akvi_buffer_reserve(&s->runs, sizeof run);
    if (st == AKV_OK)
        st = akvi_fused_out_begin(&out, s->allocator, s->entries, run.at, SPILL_CHUNK);
    if (st != AKV_OK)
        return st;
    for (size_t i = 0; i < n && st == AKV_OK; i++)
        st = akvi_fused_out_put(&out, entries[i], fused_entry_len(entries[i]));
    if (st == AKV_OK)
        st = akvi_fused_out_flush(&out);
    if (st == AKV_OK) {
        run.len        = out.at - run.at;
        s->entries_len = out.at;
        memcpy(akvi_buffer_extend(&s->runs, sizeof run), &run, sizeof run);
    }
    akvi_fused_out_end(&out);
    return st;
}

/* Merge n runs into one at the end of `out`. */
static akv_status spill_merge(const fused_spill *s, const fused_run *runs, uint32_t n,
                              uint64_t memory, fused_out *out, akv_job *job)
{
    uint64_t       bytes = 0, stepped = 0, done = 0;
    const uint8_t *entry;
    fused_merge    m;
    akv_status     st = akvi_fused_merge_begin(&m, s->allocator, s->entries, runs, n, memory);

    if (st != AKV_OK)
        return st;
    for (uint32_t i = 0; i < n; i++)
        bytes += runs[i].len;
    while ((st = akvi_fused_merge_next(&m, &entry)) == AKV_OK) {
        st = akvi_fused_out_put(out, entry, fused_entry_len(entry));
        done += fused_entry_len(entry);
        if (st == AKV_OK && done - stepped >= SPILL_STEP) {
            st      = akv_job_step(job, done - stepped, done - stepped);
            stepped = done;
        }
        if (st != AKV_OK)
            break;
    }
    akvi_fused_merge_end(&m);
    return st == AKV_END ? akv_job_step(job, bytes - stepped, bytes - stepped) : st;
}

/* Merge all runs, `width` at a time, into another file, which takes the place
 * of this one. */
static akv_status spill_pass(fused_spill *s, uint32_t width, uint64_t memory, akv_job *job)
{
    const fused_run *runs  = fused_spill_runs(s);
    uint32_t         n     = fused_spill_runs_n(s);
    fused_out        out   = {.file = NULL};
    akv_buffer       fewer = {.allocator = s->allocator};
    akv_file        *file  = NULL;
    akv_status       st    = akvi_temp_open(s->env, s->allocator, s->path, &file);

    if (st == AKV_OK)
        st = akvi_fused_out_begin(&out, s->allocator, file, 0, SPILL_CHUNK);
    for (uint32_t i = 0; i < n && st == AKV_OK; i += width) {
        fused_run run = {out.at + out.used, 0};

        st      = spill_merge(s, runs + i, n - i < width ? n - i : width, memory, &out, job);
        run.len = out.at + out.used - run.at;
        if (st == AKV_OK)
            st = akv_buffer_append(&fewer, &run, sizeof run);
    }
    if (st == AKV_OK)
        st = akvi_fused_out_flush(&out);
    if (st == AKV_OK) {
        akv_file  *old_file = s->entries;
        akv_buffer old_runs = s->runs;

        s->entries     = file;
        s->entries_len = out.at;
        s->runs        = fewer;
        file           = old_file;
        fewer          = old_runs;
    }
    akvi_fused_out_end(&out);
    akv_buffer_free(&fewer);
    akvi_file_drop(file);
    return st;
}

akv_status akvi_fused_spill_reduce(fused_spill *s, uint32_t width, uint64_t memory, akv_job *job)
{
    akv_status st = AKV_OK;

    while (fused_spill_runs_n(s) > width && st == AKV_OK) {
        job->total += s->entries_len;
        st = spill_pass(s, width, memory, job);
    }
    return st;
}
