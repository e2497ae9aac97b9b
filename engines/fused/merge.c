/* SPDX-License-Identifier: MIT
 *
 * merge.c: several .fsdb files made one. It is a build: for each source, for
 * each of its keys in order, the object is added deduped, and the key.
 */
#include "common/base/mem.h"
#include "common/base/options.h"
#include "engines/fused/reader.h"
#include "engines/fused/writer.h"

#define MERGE_STEP ((uint64_t)1 << 20) /* bytes of an index between two steps of the job */
#define MERGE_SEEN 32768u              /* a power of two */

/* An object of the source that was added: many keys may lead there. */
typedef struct merge_object {
    uint64_t offset; /* 0: none */
    uint32_t id;
} merge_object;

typedef struct merge_run {
    akv_fused_writer *writer;
    akv_job           job;
    merge_object     *seen; /* the last object for each hash of its offset */
} merge_run;

static akv_status merge_entry(merge_run *m, const akv_fused *f, const uint8_t *entry)
{
    uint64_t      offset = fused_entry_object(entry);
    merge_object *seen   = &m->seen[(offset ^ offset >> 15) % MERGE_SEEN];
    akv_slice     object;
    akv_status    st = AKV_OK;

    if (seen->offset != offset || offset == 0) {
        uint32_t id;

        st = akvi_fused_object(f, entry, true, &object);
        if (st == AKV_OK)
            st = akvi_fused_add_object(m->writer, object, true, &id);
        if (st != AKV_OK)
            return st;
        *seen = (merge_object){offset, id};
    }
    return akvi_fused_add_key(
        m->writer, akv_bytes(fused_entry_key(entry), fused_entry_key_len(entry)), seen->id);
}

static akv_status merge_entries(merge_run *m, const akv_fused *f, uint64_t *stepped)
{
    uint64_t   at = 0, done = 0;
    akv_status st = AKV_OK;

    for (uint64_t i = 0; i < f->keys && st == AKV_OK; i++) {
        const uint8_t *entry = f->index + (f->ordered ? at : f->places[i]);

        st = merge_entry(m, f, entry);
        at += fused_entry_len(entry);
        done += fused_entry_len(entry);
        if (st == AKV_OK && done - *stepped >= MERGE_STEP) {
            st       = akv_job_step(&m->job, done - *stepped, done - *stepped);
            *stepped = done;
        }
    }
    return st;
}

static akv_status merge_source(merge_run *m, const char *path)
{
    akv_fused *f;
    uint64_t   stepped = 0;
    akv_status st      = akvi_fused_open_index(path, m->writer->allocator, m->writer->env, &f);

    if (st != AKV_OK)
        return st;
    memset(m->seen, 0, MERGE_SEEN * sizeof *m->seen);
    st = merge_entries(m, f, &stepped);
    if (st == AKV_OK)
        st = akv_job_step(&m->job, f->size - stepped, f->size - stepped);
    akvi_fused_close(f);
    return st;
}

/* What the sources hold, and as much to write, as far as can be told. */
static akv_status merge_total(merge_run *m, const char *const *sources, size_t n)
{
    akv_env   *env = m->writer->env;
    akv_status st  = AKV_OK;

    for (size_t i = 0; i < n && st == AKV_OK; i++) {
        akv_file_info info;

        st = env->ops->info(env, sources[i], &info);
        if (st == AKV_OK)
            m->job.total += 2 * info.size;
    }
    return st;
}

static akv_status merge_all(const char *const *sources, size_t n, const char *output,
                            const akv_fused_writer_options *opt, const akv_job_options *job)
{
    merge_run  m  = {.writer = NULL};
    akv_status st = akvi_fused_writer_new(opt, output, &m.writer);

    if (st != AKV_OK)
        return st;
    akv_job_begin(&m.job, job, opt->env, 0, "bytes");
    m.seen = akvi_alloc_n(opt->allocator, MERGE_SEEN, sizeof *m.seen);
    st     = m.seen ? merge_total(&m, sources, n) : AKV_NOMEM;
    for (size_t i = 0; i < n && st == AKV_OK; i++)
        st = merge_source(&m, sources[i]);
    if (st == AKV_OK)
        st = akvi_fused_build(m.writer, output, false, &m.job);
    akvi_free(opt->allocator, m.seen, MERGE_SEEN * sizeof *m.seen);
    akv_fused_writer_free(m.writer);
    return st;
}

akv_status akv_fused_merge(const char *const *sources, size_t n, const char *output,
                           const akv_fused_writer_options *opt, const akv_job_options *job)
{
    akv_fused_writer_options own     = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_job_options          own_job = AKV_JOB_OPTIONS_INIT;
    akv_status               st      = AKV_OK;

    akvi_call_begin();
    if (!output || (!sources && n > 0))
        st = AKV_FAIL(AKV_MISUSE, "the sources or the output are NULL");
    for (size_t i = 0; i < n && st == AKV_OK; i++)
        if (!sources[i])
            st = AKV_FAIL(AKV_MISUSE, "source %zu is NULL", i);
    if (st == AKV_OK)
        st = akvi_fused_writer_options(opt, &own);
    if (st == AKV_OK && job)
        st = akvi_options_copy(&own_job, sizeof own_job, job, "akv_job_options");
    if (st == AKV_OK)
        st = merge_all(sources, n, output, &own, &own_job);
    return akvi_call_end(st, "fused");
}
