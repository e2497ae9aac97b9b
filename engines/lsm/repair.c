/* SPDX-License-Identifier: MIT
 *
 * repair.c: a store that opens again, made of what is left of one.
 *
 * WHICH TABLES COUNT is told by the manifest that CURRENT names; else by the
 * newest manifest that can be read, which has no later edits only if it was not
 * yet the current one; else all that are there. In that last case nobody knows
 * their levels, and sequence numbers of whole tables do not tell which is newer:
 * tables whose keys overlap are merged into new ones, in which entries lie in
 * order, and all go to the last level. Tables that a compaction had replaced may
 * then bring back what was deleted.
 *
 * WHAT IS DAMAGED is set aside: it gets a second name, with REPAIR_SUFFIX, which
 * stays when the next opening removes what the store does not need. So a repair
 * that is killed can be run again. Of a damaged table the blocks that can be read
 * go into a new one on its level. Whatever is left out is told as a fault. Logs
 * are salvaged last, into tables of level 0.
 *
 * Nothing is the store's until the new manifest is written at the end, and no
 * number of a file is used again, those that were set aside included.
 */
#include "engines/lsm/output.h"

#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/env/file.h"
#include "common/run/epoch.h"

#include <errno.h>
#include <stdlib.h>

#define REPAIR_SUFFIX ".damaged"

typedef struct repair_run {
    lsm_db            *db;
    akv_job            job;
    lsm_manifest_state known; /* from a manifest; is_known */
    bool               is_known, is_lossy;
    uint64_t           highest;
    akv_buffer         tables, manifests; /* of uint64_t: numbers there are */
    akv_buffer         files;             /* of lsm_file *: kept, opened */
    akv_buffer         metas;             /* of lsm_table_meta: the new state */
    akvi_arena         arena;             /* their keys */
    bool               found;
    akv_status         listed;
} repair_run;

/* ---------------------------------------------------------------- the folder */

static int repair_list_each(void *user, const char *name)
{
    repair_run   *r   = user;
    size_t        len = strlen(name), suffix = strlen(REPAIR_SUFFIX);
    bool          aside = len > suffix && strcmp(name + len - suffix, REPAIR_SUFFIX) == 0;
    char          own[LSM_NAME_MAX];
    uint64_t      number;
    lsm_file_type type;
    akv_buffer   *numbers;

    if (aside)
        len -= suffix;
    if (len >= sizeof own)
        return 0;
    memcpy(own, name, len);
    own[len] = '\0';
    type     = akvi_lsm_file_parse(own, &number);
    if (type == LSM_FILE_OTHER || type == LSM_FILE_LOCK)
        return 0;
    if (number > r->highest)
        r->highest = number;
    r->found |= !aside;
    numbers = type == LSM_FILE_TABLE ? &r->tables : &r->manifests;
    if (!aside && (type == LSM_FILE_TABLE || type == LSM_FILE_MANIFEST))
        r->listed = akv_buffer_append(numbers, &number, sizeof number);
    return r->listed != AKV_OK;
}

static int repair_newest_first(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x > *y ? -1 : *x < *y;
}

static void repair_sort(akv_buffer *numbers)
{
    if (numbers->len > sizeof(uint64_t))
        qsort(numbers->data, numbers->len / sizeof(uint64_t), sizeof(uint64_t),
              repair_newest_first);
}

static akv_status repair_list(repair_run *r)
{
    lsm_db    *db = r->db;
    akv_status st = db->env->ops->list(db->env, db->folder, repair_list_each, r);

    if (st == AKV_OK)
        st = r->listed;
    if (st == AKV_OK && !r->found)
        st = AKV_FAIL_ERRNO(ENOENT, db->folder, AKV_NO_OFFSET, "no lsm store is there");
    repair_sort(&r->tables);
    repair_sort(&r->manifests);
    db->next_file = r->highest + 1;
    return st;
}

akv_status akvi_lsm_set_aside(lsm_db *db, lsm_file_type type, uint64_t number)
{
    char       name[LSM_NAME_MAX + sizeof REPAIR_SUFFIX];
    char      *from = akvi_lsm_path(db, type, number), *to;
    akv_status st;

    akvi_lsm_file_name(type, number, name);
    memcpy(name + strlen(name), REPAIR_SUFFIX, sizeof REPAIR_SUFFIX);
    to = akvi_path_join(db->allocator, db->folder, name);
    st = from && to ? akvi_path_exists(db->env, to) : AKV_NOMEM;
    if (st == AKV_ABSENT)
        st = db->env->ops->link(db->env, from, to);
    akvi_strfree(db->allocator, from);
    akvi_strfree(db->allocator, to);
    return st;
}

/* What was just recorded is told, and repair goes on. */
static void repair_tell(repair_run *r)
{
    (void)akv_job_fault(&r->job);
    akv_engine_recovered();
}

static bool repair_is_damage(akv_status st)
{
    return st == AKV_CORRUPT || (st == AKV_IO && akvi_pending_error()->os_errno == ENOENT);
}

/* ------------------------------------------------------------- the manifest */

/* The newest manifest that can be read, where CURRENT is of no use. */
static akv_status repair_any_manifest(repair_run *r)
{
    const uint64_t *numbers = r->manifests.data;
    akv_status      st      = AKV_OK;

    for (size_t i = 0; i < r->manifests.len / sizeof *numbers && !r->is_known; i++) {
        st = akvi_lsm_manifest_load(r->db->allocator, r->db->env, r->db->folder, numbers[i],
                                    &r->known);
        r->is_known = st == AKV_OK;
        if (st != AKV_OK && !repair_is_damage(st))
            return st;
        if (st != AKV_OK) {
            repair_tell(r);
            st = akvi_lsm_set_aside(r->db, LSM_FILE_MANIFEST, numbers[i]);
        }
        if (st != AKV_OK)
            return st;
    }
    return AKV_OK;
}

static akv_status repair_manifest(repair_run *r)
{
    lsm_db    *db = r->db;
    akv_status st = akvi_lsm_manifest_read(db->allocator, db->env, db->folder, &r->known);

    r->is_known = st == AKV_OK;
    if (st == AKV_OK)
        return AKV_OK;
    if (st == AKV_ABSENT)
        st = AKV_FAIL_AT(AKV_CORRUPT, db->folder, AKV_NO_OFFSET,
                         "there is no CURRENT file, which says what counts");
    if (!repair_is_damage(st))
        return st;
    repair_tell(r);
    st = repair_any_manifest(r);
    if (st == AKV_OK && !r->is_known) {
        AKV_FAIL_AT(AKV_CORRUPT, db->folder, AKV_NO_OFFSET,
                    "no manifest can be read: all tables that are there count, and what was "
                    "deleted may be back");
        repair_tell(r);
    }
    return st;
}

/* ---------------------------------------------------------------- the tables */

static akv_status repair_add(repair_run *r, const lsm_table_meta *meta)
{
    lsm_table_meta own = *meta;

    own.smallest.data = akvi_arena_copy(&r->arena, meta->smallest.data, meta->smallest.len);
    own.largest.data  = akvi_arena_copy(&r->arena, meta->largest.data, meta->largest.len);
    if (!own.smallest.data || !own.largest.data)
        return AKV_NOMEM;
    return akv_buffer_append(&r->metas, &own, sizeof own);
}

static akv_status repair_add_all(repair_run *r, const lsm_output *o)
{
    size_t                n;
    const lsm_table_meta *metas = lsm_output_metas(o, &n);
    akv_status            st    = AKV_OK;

    for (size_t i = 0; i < n && st == AKV_OK; i++)
        st = repair_add(r, &metas[i]);
    return st;
}

static akv_status repair_salvage_each(void *user, const lsm_entry *entry)
{
    return akvi_lsm_output_add(user, entry);
}

/* What can be read of a damaged table, as a new one in *file, on its level. */
static akv_status repair_salvage(repair_run *r, lsm_file **file)
{
    size_t           n;
    unsigned         level  = (*file)->meta.level;
    uint64_t         number = (*file)->meta.number;
    const lsm_entry *ranges = akvi_lsm_table_ranges((*file)->table, &n);
    lsm_output       o;
    akv_status       st = AKV_OK;

    r->is_lossy = true;
    akvi_lsm_output_init(&o, r->db, level, 0);
    for (size_t i = 0; i < n && st == AKV_OK; i++)
        st = akvi_lsm_output_range(&o, &ranges[i]);
    if (st == AKV_OK)
        st = akvi_lsm_table_salvage((*file)->table, repair_salvage_each, &o);
    if (st == AKV_OK)
        st = akvi_lsm_output_finish(&o);
    akvi_lsm_file_unref(*file);
    *file = NULL;
    if (st == AKV_OK && o.metas.len > 0)
        st = akvi_lsm_file_open(r->db, lsm_output_metas(&o, &n), file);
    if (st == AKV_OK)
        st = akvi_lsm_set_aside(r->db, LSM_FILE_TABLE, number);
    akvi_lsm_output_free(&o, false);
    return st;
}

/* What the table says of itself, where no manifest does. */
static void repair_describe(lsm_table_meta *meta, const lsm_table *t)
{
    lsm_table_info info;

    akvi_lsm_table_info(t, &info);
    *meta = (lsm_table_meta){.number       = meta->number,
                             .size         = info.size,
                             .entries      = info.entries,
                             .deletes      = info.deletes,
                             .ranges       = info.ranges,
                             .raw_bytes    = info.raw_bytes,
                             .smallest_seq = info.smallest_seq,
                             .largest_seq  = info.largest_seq,
                             .smallest     = info.smallest,
                             .largest      = info.largest,
                             .unbounded    = info.unbounded,
                             .level        = LSM_LEVELS - 1};
}

/* One table, if it can be read at all, into r->files. */
static akv_status repair_table(repair_run *r, const lsm_table_meta *meta)
{
    lsm_file  *f  = NULL;
    akv_status st = akvi_lsm_file_open(r->db, meta, &f);

    if (st != AKV_OK && repair_is_damage(st)) {
        r->is_lossy = true;
        repair_tell(r);
        return st == AKV_CORRUPT ? akvi_lsm_set_aside(r->db, LSM_FILE_TABLE, meta->number) : AKV_OK;
    }
    if (st != AKV_OK)
        return st;
    if (!r->is_known)
        repair_describe(&f->meta, f->table);
    st = akvi_lsm_table_verify(f->table, &r->job);
    if (st == AKV_CORRUPT) {
        akv_engine_recovered();
        st = repair_salvage(r, &f);
    }
    if (st == AKV_OK && f)
        st = akv_buffer_append(&r->files, &f, sizeof(lsm_file *));
    if (st != AKV_OK && f)
        akvi_lsm_file_unref(f);
    return st;
}

static akv_status repair_tables(repair_run *r)
{
    const uint64_t *numbers = r->tables.data;
    akv_status      st      = AKV_OK;

    for (size_t i = 0; r->is_known && i < r->known.tables_n && st == AKV_OK; i++)
        st = repair_table(r, &r->known.tables[i]);
    for (size_t i = 0; !r->is_known && i < r->tables.len / sizeof *numbers && st == AKV_OK; i++) {
        const lsm_table_meta meta = {.number = numbers[i]};

        st = repair_table(r, &meta);
    }
    return st;
}

/* ------------------------------------------------------- tables without levels */

static int repair_by_key(const void *a, const void *b)
{
    const lsm_table_meta *x = &(*(lsm_file *const *)a)->meta, *y = &(*(lsm_file *const *)b)->meta;

    return akvi_compare(x->smallest.data, x->smallest.len, y->smallest.data, y->smallest.len);
}

/* How many of the files, which are in order of their first keys, overlap with
 * the first or with one that does. */
static size_t repair_cluster(lsm_file *const *files, size_t n)
{
    akv_slice upper     = files[0]->meta.largest;
    bool      unbounded = files[0]->meta.unbounded;
    size_t    i         = 1;

    for (; i < n; i++) {
        const lsm_table_meta *m = &files[i]->meta;

        if (!unbounded &&
            akvi_compare(m->smallest.data, m->smallest.len, upper.data, upper.len) > 0)
            break;
        if (akvi_compare(m->largest.data, m->largest.len, upper.data, upper.len) > 0)
            upper = m->largest;
        unbounded |= m->unbounded;
    }
    return i;
}

static akv_status repair_merge_cursor(const lsm_db *db, lsm_file *const *files, size_t n,
                                      lsm_cursor **cursor_out)
{
    static const lsm_read read     = {.verify = true, .sequential = true};
    lsm_cursor          **children = akvi_alloc_n(db->allocator, n, sizeof(lsm_cursor *));
    size_t                made     = 0;
    akv_status            st       = children ? AKV_OK : AKV_NOMEM;

    while (made < n && st == AKV_OK) {
        st = akvi_lsm_table_cursor(files[made]->table, &read, &children[made]);
        made += st == AKV_OK;
    }
    if (st == AKV_OK) {
        st   = akvi_lsm_merge_cursor(db->allocator, children, made, cursor_out);
        made = 0;
    }
    while (made > 0)
        lsm_cursor_free(children[--made]);
    if (children)
        akvi_free(db->allocator, children, n * sizeof(lsm_cursor *));
    return st;
}

/* An entry may be in a compaction's input and in its output: then once. */
static akv_status repair_merge_entries(lsm_cursor *c, lsm_output *o)
{
    akv_buffer key      = {NULL, 0, 0, o->db->allocator};
    uint64_t   last_seq = 0; /* no entry's */
    akv_status st;

    for (st = lsm_cursor_move(c, LSM_FIRST); st == AKV_OK; st = lsm_cursor_move(c, LSM_NEXT)) {
        if (c->entry.seq == last_seq &&
            akvi_equal(key.data, key.len, c->entry.key.data, c->entry.key.len))
            continue;
        last_seq = c->entry.seq;
        st       = akvi_buffer_set(&key, c->entry.key.data, c->entry.key.len);
        if (st == AKV_OK)
            st = akvi_lsm_output_add(o, &c->entry);
        if (st != AKV_OK)
            break;
    }
    akv_buffer_free(&key);
    return st == AKV_END ? AKV_OK : st;
}

static akv_status repair_merge(repair_run *r, lsm_file *const *files, size_t n)
{
    lsm_cursor *c = NULL;
    lsm_output  o;
    akv_status  st = AKV_OK;

    akvi_lsm_output_init(&o, r->db, LSM_LEVELS - 1, r->db->options.table_size);
    for (size_t i = 0; i < n; i++) {
        size_t           ranges_n;
        const lsm_entry *ranges = akvi_lsm_table_ranges(files[i]->table, &ranges_n);

        for (size_t k = 0; k < ranges_n && st == AKV_OK; k++)
            st = akvi_lsm_output_range(&o, &ranges[k]);
    }
    if (st == AKV_OK)
        st = repair_merge_cursor(r->db, files, n, &c);
    if (st == AKV_OK)
        st = repair_merge_entries(c, &o);
    lsm_cursor_free(c);
    if (st == AKV_OK)
        st = akvi_lsm_output_finish(&o);
    if (st == AKV_OK)
        st = repair_add_all(r, &o);
    akvi_lsm_output_free(&o, st != AKV_OK);
    return st;
}

/* The files become the new state. */
static akv_status repair_arrange(repair_run *r)
{
    lsm_file **files = r->files.data;
    size_t     n     = r->files.len / sizeof(lsm_file *);
    akv_status st    = AKV_OK;

    if (!r->is_known && n > 1)
        qsort(files, n, sizeof(lsm_file *), repair_by_key);
    for (size_t i = 0, k; i < n && st == AKV_OK; i += k) {
        k  = r->is_known ? 1 : repair_cluster(files + i, n - i);
        st = k == 1 ? repair_add(r, &files[i]->meta) : repair_merge(r, files + i, k);
    }
    return st;
}

/* ------------------------------------------------------------------- the end */

/* Logs whose entries are in tables don't count, as far as that is known. */
static akv_status repair_logs(repair_run *r)
{
    lsm_db               *db    = r->db;
    const lsm_table_meta *metas = r->metas.data;
    lsm_output            o;
    akv_status            st;

    for (size_t i = 0; i < r->metas.len / sizeof *metas; i++)
        if (metas[i].largest_seq > db->table_seq)
            db->table_seq = metas[i].largest_seq;
    if (r->is_known && !r->is_lossy) {
        db->table_seq  = r->known.last_seq;
        db->log_number = r->known.log_number;
    }
    akvi_lsm_output_init(&o, db, 0, 0);
    st = akvi_lsm_recover(db, &o, &r->job);
    if (st == AKV_OK)
        st = repair_add_all(r, &o);
    akvi_lsm_output_free(&o, st != AKV_OK);
    return st;
}

static akv_status repair_write(repair_run *r)
{
    lsm_db            *db       = r->db;
    uint64_t           last_seq = atomic_load(&db->last_seq);
    lsm_manifest      *m        = NULL;
    lsm_manifest_state state    = {.epoch    = r->is_known ? r->known.epoch : akvi_epoch(db->env),
                                   .tables   = r->metas.data,
                                   .tables_n = r->metas.len / sizeof(lsm_table_meta)};
    akv_status         st;

    state.last_seq   = last_seq > r->known.last_seq ? last_seq : r->known.last_seq;
    state.log_number = akvi_lsm_new_file_number(db);
    state.next_file  = akvi_lsm_new_file_number(db);
    if (r->known.next_file > state.next_file)
        state.next_file = r->known.next_file;
    st = db->env->ops->sync_folder(db->env, db->folder);
    if (st == AKV_OK)
        st = akvi_lsm_manifest_begin(db->allocator, db->env, db->folder, &state, &m);
    return st == AKV_OK ? akvi_lsm_manifest_close(m) : st;
}

static void repair_free(repair_run *r)
{
    lsm_file **files = r->files.data;

    for (size_t i = 0; i < r->files.len / sizeof(lsm_file *); i++)
        akvi_lsm_file_unref(files[i]);
    akvi_lsm_manifest_state_free(r->db->allocator, &r->known);
    akv_buffer_free(&r->tables);
    akv_buffer_free(&r->manifests);
    akv_buffer_free(&r->files);
    akv_buffer_free(&r->metas);
    akvi_arena_free(&r->arena);
    akvi_lsm_close_bare(r->db);
}

akv_status akvi_lsm_repair(akv_env *env, const char *path, const akv_job_options *opt)
{
    repair_run r = {.listed = AKV_OK};
    akv_status st;

    st = akvi_lsm_open_bare(env, path, &r.db);
    if (st != AKV_OK)
        return st;
    akv_job_begin(&r.job, opt, env, 0, "bytes");
    r.tables.allocator = r.manifests.allocator = r.files.allocator = r.metas.allocator =
        r.db->allocator;
    akvi_arena_init(&r.arena, r.db->allocator);
    st = repair_list(&r);
    if (st == AKV_OK)
        st = akvi_lsm_lock(r.db);
    if (st == AKV_OK)
        st = repair_manifest(&r);
    if (st == AKV_OK)
        st = repair_tables(&r);
    if (st == AKV_OK)
        st = repair_arrange(&r);
    if (st == AKV_OK)
        st = repair_logs(&r);
    if (st == AKV_OK)
        st = repair_write(&r);
    repair_free(&r);
    return st;
}
