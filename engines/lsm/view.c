/* SPDX-License-Identifier: MIT
 *
 * view.c: tables, versions and views: counting their references, making
 * changed copies, and letting readers hold the current one.
 */
#include "engines/lsm/db.h"

#include "common/base/mem.h"
#include "common/env/file.h"
#include "common/env/probe.h"

#include <assert.h>

/* ------------------------------------------------------------------- files */

char *akvi_lsm_path(const lsm_db *db, lsm_file_type type, uint64_t number)
{
    char name[LSM_NAME_MAX];

    akvi_lsm_file_name(type, number, name);
    return akvi_path_join(db->allocator, db->folder, name);
}

akv_status akvi_lsm_file_open(lsm_db *db, const lsm_table_meta *meta, lsm_file **file_out)
{
    size_t     keys = meta->smallest.len + meta->largest.len;
    lsm_file  *f    = akvi_zalloc(db->allocator, sizeof *f + keys);
    char      *path = akvi_lsm_path(db, LSM_FILE_TABLE, meta->number), *at;
    akv_file  *file = NULL;
    akv_status st   = f && path ? AKV_OK : AKV_NOMEM;

    if (st == AKV_OK)
        st = db->env->ops->open(db->env, path, 0, &file);
    if (st == AKV_OK)
        st = akvi_lsm_table_open(db->allocator, file, path, meta->number, db->options.mapped,
                                 db->cache, &f->table);
    akvi_strfree(db->allocator, path);
    if (st != AKV_OK) {
        if (f)
            akvi_free(db->allocator, f, sizeof *f + keys);
        return st;
    }
    at      = (char *)(f + 1);
    f->meta = *meta;
    f->db   = db;
    if (meta->smallest.len > 0)
        memcpy(at, meta->smallest.data, meta->smallest.len);
    if (meta->largest.len > 0)
        memcpy(at + meta->smallest.len, meta->largest.data, meta->largest.len);
    f->meta.smallest.data = at;
    f->meta.largest.data  = at + meta->smallest.len;
    atomic_store_explicit(&f->refs, 1, memory_order_relaxed);
    *file_out = f;
    return AKV_OK;
}

static void view_file_remove(lsm_file *f)
{
    lsm_db *db   = f->db;
    char   *path = akvi_lsm_path(db, LSM_FILE_TABLE, f->meta.number);

    akvi_lsm_cache_drop_file(db->cache, f->meta.number);
    if (!path || db->env->ops->remove(db->env, path) != AKV_OK) {
        akv_engine_log(db->logger, AKV_LOG_WARN, "lsm",
                       "table %llu could not be removed; the next opening tries again: %s",
                       (unsigned long long)f->meta.number, akvi_pending_error()->text);
        akv_engine_recovered();
    }
    akvi_strfree(db->allocator, path);
}

void akvi_lsm_file_unref(lsm_file *f)
{
    size_t size = sizeof *f + f->meta.smallest.len + f->meta.largest.len;

    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    akvi_lsm_table_close(f->table);
    if (atomic_load_explicit(&f->obsolete, memory_order_relaxed))
        view_file_remove(f);
    akvi_free(f->db->allocator, f, size);
}

bool akvi_lsm_file_overlaps(const lsm_file *f, akv_slice lower, akv_slice upper)
{
    const lsm_table_meta *m = &f->meta;

    return akvi_compare(m->smallest.data, m->smallest.len, upper.data, upper.len) <= 0 &&
           (m->unbounded ||
            akvi_compare(m->largest.data, m->largest.len, lower.data, lower.len) >= 0);
}

/* ---------------------------------------------------------------- versions */

void akvi_lsm_version_unref(lsm_version *v)
{
    if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned l = 0; l < LSM_LEVELS; l++) {
        lsm_level *level = &v->levels[l];

        for (size_t i = 0; i < level->n; i++)
            akvi_lsm_file_unref(level->files[i]);
        akvi_free(v->allocator, level->files, level->cap * sizeof(lsm_file *));
    }
    akvi_free(v->allocator, v, sizeof *v);
}

static bool view_is_removed(const lsm_edit *edit, const lsm_file *f)
{
    for (size_t i = 0; i < edit->removed_n; i++)
        if (edit->removed[i].number == f->meta.number)
            return true;
    return false;
}

static bool view_is_added(const lsm_edit *edit, const lsm_file *f)
{
    for (size_t i = 0; i < edit->added_n; i++)
        if (edit->added[i].number == f->meta.number)
            return true;
    return false;
}

/* Whether a stands before b on their level. */
static bool view_before(const lsm_file *a, const lsm_file *b, unsigned level)
{
    if (level > 0)
        return akvi_compare(a->meta.smallest.data, a->meta.smallest.len, b->meta.smallest.data,
                            b->meta.smallest.len) < 0;
    if (a->meta.largest_seq != b->meta.largest_seq)
        return a->meta.largest_seq > b->meta.largest_seq;
    return a->meta.number > b->meta.number;
}

static void view_insert(lsm_level *level, lsm_file *f, unsigned number)
{
    size_t at = level->n++;

    for (; at > 0 && view_before(f, level->files[at - 1], number); at--)
        level->files[at] = level->files[at - 1];
    level->files[at] = f;
    level->bytes += f->meta.size;
}

static akv_status view_edit_level(const lsm_version *from, lsm_version *to, unsigned l,
                                  const lsm_edit *edit, lsm_file **opened)
{
    lsm_level *level = &to->levels[l];
    size_t     n     = (from ? from->levels[l].n : 0);

    for (size_t i = 0; i < edit->added_n; i++)
        n += edit->added[i].level == l;
    if (n == 0)
        return AKV_OK;
    level->files = akvi_alloc_n(to->allocator, n, sizeof(lsm_file *));
    if (!level->files)
        return AKV_NOMEM;
    level->cap = n;
    for (size_t i = 0; from && i < from->levels[l].n; i++) {
        lsm_file *f = from->levels[l].files[i];

        if (view_is_removed(edit, f))
            continue;
        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
        level->files[level->n++] = f;
        level->bytes += f->meta.size;
    }
    for (size_t i = 0; i < edit->added_n; i++) {
        if (edit->added[i].level != l)
            continue;
        atomic_fetch_add_explicit(&opened[i]->refs, 1, memory_order_relaxed);
        view_insert(level, opened[i], l);
    }
    return AKV_OK;
}

akv_status akvi_lsm_version_edit(const lsm_version *from, lsm_db *db, const lsm_edit *edit,
                                 lsm_file **opened, lsm_version **version_out)
{
    lsm_version *v  = akvi_zalloc(db->allocator, sizeof *v);
    akv_status   st = v ? AKV_OK : AKV_NOMEM;

    if (!v)
        return st;
    v->allocator = db->allocator;
    atomic_store_explicit(&v->refs, 1, memory_order_relaxed);
    for (unsigned l = 0; l < LSM_LEVELS && st == AKV_OK; l++) {
        st = view_edit_level(from, v, l, edit, opened);
        for (size_t i = 0; i < v->levels[l].n; i++)
            v->ranges |= v->levels[l].files[i]->meta.ranges > 0;
    }
    if (st == AKV_OK)
        *version_out = v;
    else
        akvi_lsm_version_unref(v);
    return st;
}

size_t akvi_lsm_level_find(const lsm_level *level, akv_slice key)
{
    size_t low = 0, n = level->n;

    while (n > 0) {
        size_t                half = n / 2;
        const lsm_table_meta *m    = &level->files[low + half]->meta;

        if (!m->unbounded && akvi_compare(m->largest.data, m->largest.len, key.data, key.len) < 0) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

/* ------------------------------------------------------------------- views */

void akvi_lsm_view_unref(lsm_view *v)
{
    if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < v->n; i++)
        akvi_lsm_memtable_unref(v->mem[i].memtable);
    akvi_lsm_version_unref(v->version);
    akvi_free(v->allocator, v, sizeof *v);
}

lsm_view *akvi_lsm_view_copy(lsm_db *db)
{
    const lsm_view *from = atomic_load_explicit(&db->view, memory_order_relaxed);
    lsm_view       *v    = akvi_alloc(db->allocator, sizeof *v);

    if (!v)
        return NULL;
    /* Its count of references changes meanwhile. */
    *v = (lsm_view){.allocator = from->allocator, .n = from->n, .version = from->version};
    memcpy(v->mem, from->mem, sizeof v->mem);
    atomic_store_explicit(&v->refs, 1, memory_order_relaxed);
    for (unsigned i = 0; i < v->n; i++)
        akvi_lsm_memtable_ref(v->mem[i].memtable);
    atomic_fetch_add_explicit(&v->version->refs, 1, memory_order_relaxed);
    return v;
}

/* What writers look at to see whether background work keeps up. */
static void view_measure(lsm_db *db, const lsm_view *v)
{
    uint64_t targets[LSM_LEVELS], debt = 0;

    akvi_lsm_targets(db, v->version, targets);
    for (unsigned l = 1; l < LSM_LEVELS; l++)
        if (targets[l] > 0 && v->version->levels[l].bytes > targets[l])
            debt += v->version->levels[l].bytes - targets[l];
    atomic_store_explicit(&db->memtables, v->n, memory_order_relaxed);
    atomic_store_explicit(&db->level0, (uint32_t)v->version->levels[0].n, memory_order_relaxed);
    atomic_store_explicit(&db->debt, debt, memory_order_relaxed);
}

void akvi_lsm_view_set(lsm_db *db, lsm_view *v)
{
    lsm_view *old;

    akvi_mutex_assert_held(&db->mu);
    view_measure(db, v);
    old = atomic_exchange_explicit(&db->view, v, memory_order_seq_cst);
    if (!old)
        return;
    old->retired = db->retired;
    db->retired  = old;
}

static bool view_is_held(const lsm_db *db, const lsm_view *v)
{
    for (unsigned i = 0; i < AKVI_SLOTS_OWN; i++)
        if (atomic_load_explicit(&db->slots[i].view, memory_order_seq_cst) == v)
            return true;
    return false;
}

void akvi_lsm_views_reap(lsm_db *db)
{
    lsm_view *list, *held = NULL, *next;

    akvi_mutex_lock(&db->mu);
    list        = db->retired;
    db->retired = NULL;
    akvi_mutex_unlock(&db->mu);
    for (; list; list = next) {
        next = list->retired;
        if (view_is_held(db, list)) {
            list->retired = held;
            held          = list;
        } else {
            akvi_lsm_view_unref(list);
        }
    }
    if (!held)
        return;
    akvi_mutex_lock(&db->mu);
    for (; held; held = next) {
        next          = held->retired;
        held->retired = db->retired;
        db->retired   = held;
    }
    akvi_mutex_unlock(&db->mu);
}

lsm_view *akvi_lsm_view_ref(lsm_db *db)
{
    lsm_view *v;

    akvi_mutex_lock(&db->mu);
    v = atomic_load_explicit(&db->view, memory_order_relaxed);
    atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
    akvi_mutex_unlock(&db->mu);
    return v;
}

/* The slot is written before the view is looked at again, and whoever replaces
 * a view does it before looking at the slots: one of the two sees the other. */
void akvi_lsm_hold(lsm_db *db, lsm_hold *hold_out)
{
    unsigned  slot = akvi_slot();
    lsm_view *v;

    if (slot >= AKVI_SLOTS_OWN ||
        atomic_load_explicit(&db->slots[slot].view, memory_order_relaxed) != NULL) {
        hold_out->view = akvi_lsm_view_ref(db);
        hold_out->slot = -1;
        return;
    }
    do {
        v = atomic_load_explicit(&db->view, memory_order_relaxed);
        atomic_store_explicit(&db->slots[slot].view, v, memory_order_seq_cst);
    } while (v != atomic_load_explicit(&db->view, memory_order_seq_cst));
    hold_out->view = v;
    hold_out->slot = (int)slot;
}

void akvi_lsm_let_go(lsm_db *db, lsm_hold *hold)
{
    if (hold->slot < 0)
        akvi_lsm_view_unref(hold->view);
    else
        atomic_store_explicit(&db->slots[hold->slot].view, NULL, memory_order_release);
    hold->view = NULL;
}

/* ------------------------------------------------------------- the manifest */

uint64_t akvi_lsm_new_file_number(lsm_db *db)
{
    uint64_t number;

    akvi_mutex_lock(&db->mu);
    number = db->next_file++;
    akvi_mutex_unlock(&db->mu);
    return number;
}

/* The manifest counts no more. */
static void view_manifest_drop(lsm_db *db)
{
    char           *path;
    akvi_call_state held;

    if (!db->manifest)
        return;
    akvi_probe_begin(&held);
    path = akvi_lsm_path(db, LSM_FILE_MANIFEST, akvi_lsm_manifest_number(db->manifest));
    (void)akvi_lsm_manifest_close(db->manifest); /* all that counts was synced */
    if (path)
        (void)db->env->ops->remove(db->env, path); /* else the next opening does it */
    akvi_strfree(db->allocator, path);
    akvi_probe_end(&held, false);
    db->manifest = NULL;
}

akv_status akvi_lsm_manifest_renew(lsm_db *db, const lsm_version *v)
{
    lsm_manifest_state state = {.epoch = db->epoch};
    lsm_manifest      *fresh = NULL;
    size_t             n     = 0;
    akv_status         st;

    for (unsigned l = 0; l < LSM_LEVELS; l++)
        n += v->levels[l].n;
    state.tables = akvi_alloc_n(db->allocator, n, sizeof *state.tables);
    if (!state.tables)
        return AKV_NOMEM;
    state.tables_cap = n;
    for (unsigned l = 0; l < LSM_LEVELS; l++)
        for (size_t i = 0; i < v->levels[l].n; i++) {
            state.tables[state.tables_n]         = v->levels[l].files[i]->meta;
            state.tables[state.tables_n++].level = (uint8_t)l;
        }
    akvi_mutex_lock(&db->mu);
    state.log_number = db->log_number;
    state.next_file  = db->next_file++; /* the manifest's own */
    state.last_seq   = db->table_seq;
    akvi_mutex_unlock(&db->mu);
    st = akvi_lsm_manifest_begin(db->allocator, db->env, db->folder, &state, &fresh);
    akvi_free(db->allocator, state.tables, n * sizeof *state.tables);
    akvi_mutex_lock(&db->mu);
    if (db->next_file < state.next_file)
        db->next_file = state.next_file;
    akvi_mutex_unlock(&db->mu);
    if (st == AKV_POISONED) /* either may be the one that counts */
        akvi_lsm_poison(db);
    if (st != AKV_OK)
        return st;
    view_manifest_drop(db);
    db->manifest = fresh;
    return AKV_OK;
}

static akv_status view_manifest_append(lsm_db *db, const lsm_version *before, lsm_edit *edit)
{
    akv_status st = AKV_OK;

    akvi_mutex_lock(&db->mu);
    if (db->poisoned)
        st = akvi_fail_again(&db->failure);
    akvi_mutex_unlock(&db->mu);
    if (st == AKV_OK && !db->manifest)
        st = akvi_lsm_manifest_renew(db, before);
    if (st != AKV_OK)
        return st;
    akvi_mutex_lock(&db->mu);
    edit->next_file = db->next_file;
    akvi_mutex_unlock(&db->mu);
    st = akvi_lsm_manifest_append(db->manifest, edit);
    if (st == AKV_OK)
        return AKV_OK;
    akvi_fail_keep();
    if (akvi_lsm_manifest_close(db->manifest) != AKV_OK)
        akv_engine_recovered();
    db->manifest = NULL;
    return st;
}

/* Put a version in the place of the current one. With mu held. */
static void view_install(lsm_db *db, lsm_view *v, lsm_version *version, const lsm_edit *edit,
                         unsigned flushed)
{
    const lsm_view *now = atomic_load_explicit(&db->view, memory_order_relaxed);

    akvi_mutex_assert_held(&db->mu);
    *v = (lsm_view){.n = now->n - flushed, .version = version, .allocator = db->allocator};
    atomic_store_explicit(&v->refs, 1, memory_order_relaxed);
    memcpy(v->mem, now->mem, v->n * sizeof v->mem[0]);
    for (unsigned i = 0; i < v->n; i++)
        akvi_lsm_memtable_ref(v->mem[i].memtable);
    for (unsigned l = 0; l < LSM_LEVELS && edit->removed_n > 0; l++)
        for (size_t i = 0; i < now->version->levels[l].n; i++) {
            lsm_file *f = now->version->levels[l].files[i];

            if (view_is_removed(edit, f) && !view_is_added(edit, f))
                atomic_store_explicit(&f->obsolete, true, memory_order_relaxed);
        }
    if (edit->log_number > db->log_number)
        db->log_number = edit->log_number;
    if (edit->last_seq > db->table_seq)
        db->table_seq = edit->last_seq;
    akvi_lsm_view_set(db, v);
}

/* With manifest_mu held. */
static akv_status view_apply(lsm_db *db, lsm_edit *edit, lsm_file **opened, unsigned flushed)
{
    const lsm_view *now;
    lsm_version    *before, *version = NULL;
    lsm_view       *v = akvi_alloc(db->allocator, sizeof *v);
    akv_status      st;

    if (!v)
        return AKV_NOMEM;
    /* Only here do versions change, so this one stays while we hold manifest_mu. */
    akvi_mutex_lock(&db->mu);
    now    = atomic_load_explicit(&db->view, memory_order_relaxed);
    before = now->version;
    akvi_mutex_unlock(&db->mu);
    st = akvi_lsm_version_edit(before, db, edit, opened, &version);
    if (st == AKV_OK)
        st = view_manifest_append(db, before, edit);
    if (st != AKV_OK) {
        akvi_lsm_version_unref(version);
        akvi_free(db->allocator, v, sizeof *v);
        return st;
    }
    akvi_mutex_lock(&db->mu);
    view_install(db, v, version, edit, flushed);
    akvi_mutex_unlock(&db->mu);
    if (akvi_lsm_manifest_size(db->manifest) > LSM_MANIFEST_LIMIT &&
        akvi_lsm_manifest_renew(db, version) != AKV_OK)
        akv_engine_recovered(); /* the long one serves as well */
    return AKV_OK;
}

static bool view_is_moved(const lsm_edit *edit, const lsm_table_meta *meta)
{
    for (size_t i = 0; i < edit->removed_n; i++)
        if (edit->removed[i].number == meta->number)
            return true;
    return false;
}

/* A table of the current version, referenced. One that only changes its level
 * goes on as it is, so that its file stays as long as somebody holds it. */
static lsm_file *view_known(lsm_db *db, uint64_t number)
{
    lsm_view *v     = akvi_lsm_view_ref(db);
    lsm_file *found = NULL;

    for (unsigned l = 0; l < LSM_LEVELS; l++)
        for (size_t i = 0; i < v->version->levels[l].n && !found; i++)
            if (v->version->levels[l].files[i]->meta.number == number)
                found = v->version->levels[l].files[i];
    assert(found); /* it was picked, and nobody else removes it */
    atomic_fetch_add_explicit(&found->refs, 1, memory_order_relaxed);
    akvi_lsm_view_unref(v);
    return found;
}

akv_status akvi_lsm_apply(lsm_db *db, lsm_edit *edit, unsigned flushed)
{
    lsm_file **opened = NULL;
    size_t     n      = 0;
    akv_status st     = AKV_OK;

    opened = akvi_alloc_n(db->allocator, edit->added_n, sizeof(lsm_file *));
    if (!opened)
        return AKV_NOMEM;
    for (; n < edit->added_n && st == AKV_OK; n++) {
        if (view_is_moved(edit, &edit->added[n]))
            opened[n] = view_known(db, edit->added[n].number);
        else if ((st = akvi_lsm_file_open(db, &edit->added[n], &opened[n])) != AKV_OK)
            break;
    }
    if (st == AKV_OK) {
        akvi_mutex_lock(&db->manifest_mu);
        st = view_apply(db, edit, opened, flushed);
        akvi_mutex_unlock(&db->manifest_mu);
    }
    while (n-- > 0)
        akvi_lsm_file_unref(opened[n]);
    akvi_free(db->allocator, opened, edit->added_n * sizeof(lsm_file *));
    akvi_lsm_views_reap(db);
    return st;
}
