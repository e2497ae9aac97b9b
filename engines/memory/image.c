/* SPDX-License-Identifier: MIT
 *
 * image.c: a store's file: loading, saving, checking it.
 */
#include "engines/memory/store.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/env/file.h"
#include "engines/memory/format.h"

#include <errno.h>

#define IMAGE_STEP (UINT64_C(64) << 10) /* bytes between two steps of a job */

/* A file's bytes. */
typedef struct image_file {
    akv_file   *file;
    const void *data;
    size_t      len;
    bool        mapped;
} image_file;

static akv_status image_open(const memory_store *s, image_file *f)
{
    akv_status st = s->env->ops->open(s->env, s->path, 0, &f->file);

    if (st != AKV_OK)
        return st;
    st = akvi_load(f->file, s->path, s->allocator, &f->data, &f->len, &f->mapped);
    if (st != AKV_OK)
        akvi_file_drop(f->file);
    return st;
}

static void image_close(const memory_store *s, image_file *f)
{
    akvi_unload(f->file, s->allocator, f->data, f->len, f->mapped);
    akvi_file_drop(f->file);
}

akv_status akvi_memory_detect(akv_env *env, const char *path)
{
    char          magic[MEMORY_MAGIC_LEN];
    akv_file_info info;
    akv_file     *file;
    size_t        got;
    akv_status    st = akvi_path_info(env, path, &info);

    if (st != AKV_OK)
        return st;
    if (info.kind != AKV_KIND_FILE || info.size < sizeof magic)
        return AKV_ABSENT;
    st = env->ops->open(env, path, 0, &file);
    if (st != AKV_OK)
        return st;
    st = file->ops->read_at(file, magic, sizeof magic, 0, &got);
    if (st == AKV_OK && (got < sizeof magic || memcmp(magic, MEMORY_MAGIC, sizeof magic) != 0))
        st = AKV_ABSENT;
    akvi_file_drop(file);
    return st;
}

/* ----------------------------------------------------------------- reading */

typedef struct image_reading {
    memory_store *store;
    memory_image  image;
    bool          keep;     /* put what is read into the store */
    bool          tolerant; /* go on after a fault */
    akv_job      *job;      /* told of faults and progress; NULL: the log is told of faults */
    uint64_t      faults;
    memory_space *space; /* the one that pairs go into */
} image_reading;

static akv_status image_add_pair(memory_store *s, memory_space *space, const memory_record *r)
{
    memory_version *v;

    if (r->value.len > AKV_MEMORY_MAX_VALUE)
        return AKV_FAIL(AKV_TOO_BIG, "the image holds a value of %zu bytes, over 1 GiB",
                        r->value.len);
    if (r->expiry_ms != 0 && akvi_memory_heap_reserve(s, 1) != AKV_OK)
        return AKV_NOMEM;
    v = akvi_memory_version_new(s, r->key, r->value);
    if (!v)
        return AKV_NOMEM;
    v->begin     = r->number;
    v->expiry_ms = r->expiry_ms;
    v->encoding  = r->encoding;
    if (akvi_memory_push(v, space) != AKV_OK) {
        akvi_memory_unref(s, v);
        return AKV_NOMEM;
    }
    akvi_memory_begin(s, v);
    return AKV_OK;
}

static akv_status image_add_space(memory_store *s, const memory_record *r, memory_space **space_out)
{
    memory_space *space = akvi_memory_space_new(s, r->key.data, r->key.len);

    if (!space)
        return AKV_NOMEM;
    if (akvi_btree_insert(&s->spaces, &space->name, NULL) != AKV_OK) {
        akvi_memory_space_free(s, space);
        return AKV_NOMEM;
    }
    *space_out = space;
    return AKV_OK;
}

static akv_status image_add(image_reading *rd, const memory_record *r)
{
    memory_store *s = rd->store;

    if (!rd->keep || r->kind == MEMORY_END)
        return AKV_OK;
    if (r->kind == MEMORY_SPACE)
        return image_add_space(s, r, &rd->space);
    s->seq = r->number > s->seq ? r->number : s->seq;
    return image_add_pair(s, rd->space, r);
}

/* After a fault: AKV_OK to go on, AKV_END if there is nothing more to find. */
static akv_status image_tolerate(image_reading *rd)
{
    if (!rd->tolerant || !rd->image.data)
        return AKV_CORRUPT;
    rd->faults++;
    if (rd->job) {
        (void)akv_job_fault(rd->job);
    } else {
        akv_engine_log(rd->store->logger, AKV_LOG_WARN, akvi_memory.name, "left out: %s",
                       akvi_pending_error()->text);
        akv_engine_recovered();
    }
    return akvi_memory_image_resync(&rd->image) ? AKV_OK : AKV_END;
}

static akv_status image_read_records(image_reading *rd, const image_file *f)
{
    memory_record r;
    akv_status    st = akvi_memory_image_begin(&rd->image, rd->store->path, f->data, f->len);

    if (st == AKV_CORRUPT)
        st = image_tolerate(rd);
    while (st == AKV_OK) {
        size_t off = rd->image.off;

        st = akvi_memory_image_next(&rd->image, &r);
        if (st == AKV_OK && (st = image_add(rd, &r)) == AKV_OK && r.kind == MEMORY_END)
            st = AKV_END;
        if (st == AKV_CORRUPT)
            st = image_tolerate(rd);
        off = rd->image.off - off;
        if (st >= 0 && rd->job && akv_job_step(rd->job, off, off) != AKV_OK)
            return akvi_pending_error()->code;
    }
    return st == AKV_END ? AKV_OK : st;
}

static akv_status image_read(image_reading *rd)
{
    image_file f;
    akv_status st = image_open(rd->store, &f);

    if (st != AKV_OK)
        return st;
    if (rd->job)
        rd->job->total = f.len;
    st = image_read_records(rd, &f);
    image_close(rd->store, &f);
    return st;
}

akv_status akvi_memory_load(memory_store *s, bool salvage, akv_job *job, uint64_t *faults_out)
{
    image_reading rd = {
        .store = s, .keep = true, .tolerant = salvage, .job = job, .space = s->main};
    akv_status st = image_read(&rd);

    if (st == AKV_OK && rd.image.seq < MEMORY_SEQ_MAX)
        s->seq = rd.image.seq;
    s->image_epoch = rd.image.epoch;
    s->image_seq   = s->seq;
    *faults_out    = rd.faults;
    return st;
}

/* Every index, then the file. */
akv_status akvi_memory_verify(void *impl, const akv_job_options *opt)
{
    memory_store *s     = impl;
    memory_space *space = NULL;
    image_reading rd    = {.store = s, .tolerant = true};
    akv_status    st    = AKV_OK;
    akv_job       job;

    akv_job_begin(&job, opt, s->env, 0, "bytes");
    rd.job = &job;
    while (st == AKV_OK && (space = akvi_memory_space_next(s, space)) != NULL) {
        if (akvi_memory_space_check(s, space) != AKV_OK) {
            (void)akv_job_fault(&job);
            rd.faults++;
        }
        st = akv_job_step(&job, 0, 0);
    }
    akvi_memory_space_unhold(s, space);
    if (st == AKV_OK && s->path)
        st = image_read(&rd);
    return st == AKV_OK && rd.faults > 0 ? AKV_CORRUPT : st;
}

/* ------------------------------------------------------------------ saving */

typedef struct image_save {
    memory_store *store;
    akvi_writer  *writer;
    akv_snapshot  snapshot;
    akv_job      *job; /* NULL: none */
    uint64_t      keys, stepped;
    uint64_t      records;
    uint32_t      spaces;
} image_save;

static akv_status image_put(image_save *w, const memory_record *r)
{
    uint8_t    head[MEMORY_RECORD_LEN];
    akv_status st;

    akvi_memory_record_put(head, r);
    w->records++;
    st = akvi_writer_append(w->writer, head, sizeof head);
    if (st == AKV_OK)
        st = akvi_writer_append(w->writer, r->key.data, r->key.len);
    if (st == AKV_OK)
        st = akvi_writer_append(w->writer, r->value.data, r->value.len);
    return st;
}

/* Tell the job about each IMAGE_STEP bytes, or of what is left. */
static akv_status image_step(image_save *w, bool rest)
{
    uint64_t bytes = akvi_writer_size(w->writer) - w->stepped, keys = w->keys;

    if (!w->job || (bytes < IMAGE_STEP && !rest))
        return AKV_OK;
    w->stepped += bytes;
    w->keys = 0;
    return akv_job_step(w->job, keys, bytes);
}

static akv_status image_put_space(image_save *w, const memory_space *space)
{
    return image_put(
        w, &(memory_record){.kind = MEMORY_SPACE, .space = ++w->spaces, .key = space->name});
}

static akv_status image_put_pair(image_save *w, const akv_entry *e)
{
    w->keys++;
    return image_put(w, &(memory_record){
                            .kind      = MEMORY_PAIR,
                            .encoding  = (uint8_t)e->value.encoding,
                            .space     = w->spaces,
                            .number    = akvi_get_be64(e->value.version.bytes + 8),
                            .expiry_ms = e->value.expiry_ms,
                            .key       = e->key,
                            .value     = akv_bytes(e->value.data, e->value.len),
                        });
}

/* A space that was dropped is only there if the snapshot sees something in it. */
static akv_status image_save_space(image_save *w, memory_space *space)
{
    akv_keyspace     keyspace = {space};
    akv_read_options opt      = AKV_READ_OPTIONS_INIT;
    const akv_range  all      = {.has_upper = false};
    bool             named    = space == w->store->main;
    akv_move         move     = AKV_MOVE_FIRST;
    akv_status       st       = AKV_OK;
    akv_entry        e;
    void            *iter;

    opt.snapshot = &w->snapshot;
    opt.keyspace = &keyspace;
    if (!named && !space->dropped) {
        st    = image_put_space(w, space);
        named = true;
    }
    if (st != AKV_OK || (st = akvi_memory_iter_new(w->store, &all, &opt, &iter)) != AKV_OK)
        return st;
    while (st == AKV_OK &&
           (st = akvi_memory_iter_move(iter, move, akv_bytes(NULL, 0), &e)) == AKV_OK) {
        move = AKV_MOVE_NEXT;
        if (!named)
            st = image_put_space(w, space);
        named = true;
        if (st == AKV_OK)
            st = image_put_pair(w, &e);
        if (st == AKV_OK)
            st = image_step(w, false);
    }
    akvi_memory_iter_free(iter);
    return st == AKV_END ? AKV_OK : st;
}

static akv_status image_save_all(image_save *w, uint64_t seq)
{
    uint8_t       head[MEMORY_HEADER_LEN];
    memory_space *space = NULL;
    akv_status    st;

    akvi_memory_header_put(head, w->store->epoch, seq);
    st = akvi_writer_append(w->writer, head, sizeof head);
    while (st == AKV_OK && (space = akvi_memory_space_next(w->store, space)) != NULL)
        st = image_save_space(w, space);
    akvi_memory_space_unhold(w->store, space);
    if (st == AKV_OK)
        st = image_put(w, &(memory_record){.kind = MEMORY_END, .number = w->records});
    return st == AKV_OK ? image_step(w, true) : st;
}

/* Write what the view sees to `path`. */
static akv_status image_write(memory_store *s, const char *path, bool exclusive, akv_job *job,
                              memory_view *view)
{
    image_save w = {.store = s, .snapshot = {view}, .job = job};
    akv_status st;

    st = akvi_writer_begin(s->env, s->allocator, path, &w.writer);
    if (st != AKV_OK)
        return st;
    st = image_save_all(&w, view->seq);
    if (st == AKV_OK)
        return akvi_writer_commit(w.writer, exclusive);
    akvi_writer_abort(w.writer);
    return st;
}

static akv_status image_save_locked(memory_store *s)
{
    uint64_t    changes;
    memory_view view;
    akv_status  st;

    akvi_rwlock_read(&s->lock);
    changes = s->changes;
    akvi_rwlock_unlock(&s->lock);
    if (changes == s->saved)
        return AKV_OK;
    akvi_memory_view_add(s, &view, NULL, NULL);
    st = image_write(s, s->path, false, NULL, &view);
    akvi_memory_view_drop(s, &view, NULL);
    if (st == AKV_OK)
        s->saved = changes;
    return st;
}

akv_status akvi_memory_save(memory_store *s)
{
    akv_status st;

    akvi_mutex_lock(&s->save_mu);
    st = image_save_locked(s);
    akvi_mutex_unlock(&s->save_mu);
    return st;
}

akv_status akvi_memory_checkpoint(void *impl, const char *path, const akv_job_options *opt)
{
    memory_store *s = impl;
    memory_view   view;
    akv_job       job;
    akv_status    st = akvi_path_exists(s->env, path);

    if (st == AKV_OK)
        return AKV_FAIL_ERRNO(EEXIST, path, AKV_NO_OFFSET, "can't put a checkpoint there");
    if (st < 0)
        return st;
    akv_job_begin(&job, opt, s->env, akvi_memory_live(s), "keys");
    akvi_memory_view_add(s, &view, NULL, NULL);
    st = image_write(s, path, true, &job, &view);
    akvi_memory_view_drop(s, &view, NULL);
    return st;
}
