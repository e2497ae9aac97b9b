/* SPDX-License-Identifier: MIT
 *
 * dump.c: what the files of a store hold, as they are: akv_lsm_dump.
 *
 * Nothing is locked, changed or recovered. Damage is told as a fault, and what
 * can be read goes on.
 */
#include "engines/lsm/manifest.h"
#include "engines/lsm/table.h"
#include "engines/lsm/wal.h"

#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/base/options.h"
#include "common/env/file.h"

#include <anykv/lsm.h>
#include <errno.h>
#include <stdlib.h>

typedef struct dump_run {
    akv_env    *env;
    akv_job     job;
    const char *path; /* of the file */
    uint64_t    number;
    int (*each)(void *user, const akv_lsm_dump_item *item);
    void *user;
    bool  damaged;
} dump_run;

static akv_status dump_give(dump_run *r, akv_lsm_dump_item *item)
{
    akvi_call_state held;
    int             stop;

    item->size = sizeof *item;
    item->file = r->path;
    akvi_call_save(&held);
    stop = r->each(r->user, item);
    akvi_call_restore(&held);
    return stop ? AKV_FAIL(AKV_CANCELLED, "cancelled by the callback") : AKV_OK;
}

/* Damage that has been recorded is told; other failures stay. */
static akv_status dump_fault(dump_run *r, akv_status st)
{
    if (st != AKV_CORRUPT && st != AKV_VERSION)
        return st;
    r->damaged = true;
    (void)akv_job_fault(&r->job);
    return AKV_OK;
}

static akv_status dump_entry(dump_run *r, const lsm_entry *e, uint64_t offset)
{
    akv_lsm_dump_item item = {.kind      = AKV_LSM_DUMP_ENTRY,
                              .offset    = offset,
                              .op        = e->kind,
                              .sequence  = e->seq,
                              .expiry_ms = e->expiry_ms,
                              .encoding  = e->encoding,
                              .key       = e->key,
                              .value     = e->value};

    return dump_give(r, &item);
}

/* ---------------------------------------------------------------------- logs */

static akv_status dump_record(void *user, akv_slice record, uint64_t offset)
{
    dump_run         *r    = user;
    akv_lsm_dump_item item = {.kind = AKV_LSM_DUMP_RECORD, .offset = offset, .bytes = record.len};
    lsm_record_reader reader;
    lsm_entry         e;
    akv_status        st = akvi_lsm_record_begin(record, &reader);

    if (st != AKV_OK)
        return dump_fault(r, st);
    item.sequence = reader.seq;
    item.entries  = reader.n;
    st            = dump_give(r, &item);
    while (st == AKV_OK && (st = akvi_lsm_record_next(&reader, &e)) == AKV_OK)
        st = dump_entry(r, &e, offset);
    return st == AKV_END ? akv_job_step(&r->job, record.len, record.len) : dump_fault(r, st);
}

static akv_status dump_log(dump_run *r)
{
    lsm_wal_report report;
    akv_status     st = akvi_lsm_wal_read(NULL, r->env, r->path, r->number, LSM_RECOVERY_SALVAGE,
                                          dump_record, r, &report);

    if (st == AKV_OK && report.dropped > 0)
        st = AKV_FAIL_AT(AKV_CORRUPT, r->path, report.end, "%llu bytes of the log can't be read",
                         (unsigned long long)report.dropped);
    return st;
}

/* ------------------------------------------------------------------ manifests */

static void dump_table_item(akv_lsm_dump_item *item, const lsm_table_meta *t)
{
    item->kind              = AKV_LSM_DUMP_ADDED;
    item->number            = t->number;
    item->level             = t->level;
    item->bytes             = t->size;
    item->entries           = t->entries;
    item->deletes           = t->deletes;
    item->ranges            = t->ranges;
    item->smallest_sequence = t->smallest_seq;
    item->sequence          = t->largest_seq;
    item->key               = t->smallest;
    item->value             = t->largest;
    item->unbounded         = t->unbounded;
}

static akv_status dump_edit(void *user, uint64_t offset, const lsm_edit *edit)
{
    dump_run         *r    = user;
    akv_lsm_dump_item item = {.kind      = AKV_LSM_DUMP_EDIT,
                              .offset    = offset,
                              .number    = edit->log_number,
                              .next_file = edit->next_file,
                              .sequence  = edit->last_seq};
    akv_status        st   = dump_give(r, &item);

    for (size_t i = 0; i < edit->added_n && st == AKV_OK; i++) {
        item = (akv_lsm_dump_item){.offset = offset};
        dump_table_item(&item, &edit->added[i]);
        st = dump_give(r, &item);
    }
    for (size_t i = 0; i < edit->removed_n && st == AKV_OK; i++) {
        item = (akv_lsm_dump_item){.kind   = AKV_LSM_DUMP_REMOVED,
                                   .offset = offset,
                                   .number = edit->removed[i].number,
                                   .level  = edit->removed[i].level};
        st   = dump_give(r, &item);
    }
    return st;
}

/* -------------------------------------------------------------------- tables */

static akv_status dump_table_entry(void *user, const lsm_entry *entry)
{
    return dump_entry(user, entry, AKV_NO_OFFSET);
}

static akv_status dump_table_all(dump_run *r, lsm_table *t)
{
    akv_lsm_dump_item item = {.kind = AKV_LSM_DUMP_PROPERTIES, .offset = AKV_NO_OFFSET};
    lsm_table_info    info;
    size_t            n;
    const lsm_entry  *ranges = akvi_lsm_table_ranges(t, &n);
    akv_status        st;

    akvi_lsm_table_info(t, &info);
    item.number            = r->number;
    item.bytes             = info.size;
    item.entries           = info.entries;
    item.deletes           = info.deletes;
    item.ranges            = info.ranges;
    item.smallest_sequence = info.smallest_seq;
    item.sequence          = info.largest_seq;
    item.key               = info.smallest;
    item.value             = info.largest;
    item.unbounded         = info.unbounded;
    st                     = dump_give(r, &item);
    for (size_t i = 0; i < n && st == AKV_OK; i++)
        st = dump_entry(r, &ranges[i], AKV_NO_OFFSET);
    if (st == AKV_OK)
        st = akvi_lsm_table_salvage(t, dump_table_entry, r);
    if (st != AKV_OK)
        return st;
    st = akvi_lsm_table_verify(t, &r->job); /* which tells faults itself */
    r->damaged |= st == AKV_CORRUPT;
    return st == AKV_CORRUPT ? AKV_OK : st;
}

static akv_status dump_table(dump_run *r)
{
    lsm_cache *cache = NULL;
    lsm_table *t     = NULL;
    akv_file  *file  = NULL;
    akv_status st    = akvi_lsm_cache_new(NULL, 0, &cache);

    if (st == AKV_OK)
        st = r->env->ops->open(r->env, r->path, 0, &file);
    if (st == AKV_OK)
        st = akvi_lsm_table_open(NULL, file, r->path, r->number, false, cache, &t);
    if (st == AKV_OK)
        st = dump_table_all(r, t);
    akvi_lsm_table_close(t);
    akvi_lsm_cache_free(cache);
    return st;
}

/* --------------------------------------------------------------------- files */

static akv_status dump_file(dump_run *r, const char *path)
{
    lsm_file_type     type = akvi_lsm_file_parse(akvi_path_name(path), &r->number);
    akv_lsm_dump_item item = {.kind = AKV_LSM_DUMP_FILE, .number = r->number};
    akv_file_info     info;
    akv_status        st = akvi_path_info(r->env, path, &info);

    r->path = path;
    if (st == AKV_ABSENT)
        return AKV_FAIL_ERRNO(ENOENT, path, AKV_NO_OFFSET, "nothing is there");
    if (st != AKV_OK)
        return st;
    if (type != LSM_FILE_WAL && type != LSM_FILE_TABLE && type != LSM_FILE_MANIFEST)
        return AKV_FAIL_AT(AKV_UNSUPPORTED, path, AKV_NO_OFFSET,
                           "not the name of a log (000007.wal), a table (000008.sst) or a manifest "
                           "(MANIFEST-000009)");
    item.bytes = info.size;
    st         = dump_give(r, &item);
    if (st != AKV_OK)
        return st;
    if (type == LSM_FILE_WAL)
        st = dump_log(r);
    else if (type == LSM_FILE_TABLE)
        st = dump_table(r);
    else
        st = akvi_lsm_manifest_walk(NULL, r->env, path, dump_edit, r);
    return dump_fault(r, st);
}

typedef struct dump_name {
    uint64_t      number;
    lsm_file_type type;
} dump_name;

typedef struct dump_list {
    akv_buffer names; /* of dump_name */
    akv_status st;
} dump_list;

static int dump_list_each(void *user, const char *name)
{
    dump_list *l = user;
    dump_name  own;

    own.type = akvi_lsm_file_parse(name, &own.number);
    if (own.type == LSM_FILE_WAL || own.type == LSM_FILE_TABLE || own.type == LSM_FILE_MANIFEST)
        l->st = akv_buffer_append(&l->names, &own, sizeof own);
    return l->st != AKV_OK;
}

/* Manifests, tables, logs, each by number: what is older first. */
static int dump_order(const void *a, const void *b)
{
    const dump_name *x = a, *y = b;

    if (x->type != y->type)
        return x->type > y->type ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

static akv_status dump_folder(dump_run *r, const char *folder)
{
    dump_list        list = {AKV_BUFFER_INIT, AKV_OK};
    akv_status       st   = r->env->ops->list(r->env, folder, dump_list_each, &list);
    size_t           n    = list.names.len / sizeof(dump_name);
    const dump_name *names;

    if (st == AKV_OK)
        st = list.st;
    if (n > 1)
        qsort(list.names.data, n, sizeof(dump_name), dump_order);
    names = list.names.data;
    if (st == AKV_OK && n == 0)
        st = AKV_FAIL_ERRNO(ENOENT, folder, AKV_NO_OFFSET, "no lsm store is there");
    for (size_t i = 0; i < n && st == AKV_OK; i++) {
        char  name[LSM_NAME_MAX];
        char *path;

        akvi_lsm_file_name(names[i].type, names[i].number, name);
        path = akvi_path_join(NULL, folder, name);
        st   = path ? dump_file(r, path) : AKV_NOMEM;
        akvi_strfree(NULL, path);
    }
    akv_buffer_free(&list.names);
    return st;
}

akv_status akv_lsm_dump(const char *path, akv_env *env, const akv_job_options *opt,
                        int (*each)(void *user, const akv_lsm_dump_item *item), void *user)
{
    akv_job_options own = AKV_JOB_OPTIONS_INIT;
    dump_run        r   = {.env = env ? env : akv_env_posix(), .each = each, .user = user};
    akv_file_info   info;
    akv_status      st = AKV_OK;

    akvi_call_begin();
    if (!path || !each)
        st = AKV_FAIL(AKV_MISUSE, "the path or the callback is NULL");
    if (st == AKV_OK && opt)
        st = akvi_options_copy(&own, sizeof own, opt, "akv_job_options");
    if (st == AKV_OK) {
        akv_job_begin(&r.job, &own, r.env, 0, "bytes");
        st = akvi_path_info(r.env, path, &info);
    }
    if (st == AKV_OK && info.kind == AKV_KIND_FOLDER)
        st = dump_folder(&r, path);
    else if (st == AKV_OK || st == AKV_ABSENT)
        st = dump_file(&r, path);
    return akvi_call_end(st == AKV_OK && r.damaged ? AKV_CORRUPT : st, "lsm");
}
