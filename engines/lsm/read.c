/* SPDX-License-Identifier: MIT
 *
 * read.c: point reads, and snapshots.
 *
 * A key is looked for from the newest entries to the oldest, and the first that
 * is found counts; on the way the highest DELETE_RANGE that holds the key is
 * kept in mind. The view is taken before the sequence number is read, so that
 * everything up to the number is in it.
 */
#include "engines/lsm/db.h"

#include "common/base/mem.h"

/* What a value's pin is: a memtable or a block, told apart by the lowest bit. */
#define READ_PIN_BLOCK ((uintptr_t)1)

static void *read_pin_memtable(lsm_memtable *m)
{
    akvi_lsm_memtable_ref(m);
    return m;
}

static void *read_pin_block(lsm_block *b)
{
    return (void *)((uintptr_t)b | READ_PIN_BLOCK);
}

void akvi_lsm_unpin(void *pin)
{
    if (!pin)
        return;
    if ((uintptr_t)pin & READ_PIN_BLOCK)
        akvi_lsm_block_unref((lsm_block *)((uintptr_t)pin & ~READ_PIN_BLOCK));
    else
        akvi_lsm_memtable_unref(pin);
}

void akvi_lsm_release(void *impl, akv_value *value)
{
    (void)impl;
    akvi_lsm_unpin(value->pin);
}

akv_version_tag akvi_lsm_tag(const lsm_db *db, uint64_t seq)
{
    akv_version_tag tag;

    akvi_put_le64(tag.bytes, seq);
    akvi_put_le64(tag.bytes + 8, db->epoch);
    return tag;
}

/* One key's way down. */
typedef struct read_search {
    akv_slice       key;
    uint64_t        hash, seq, covered;
    const lsm_read *read;
    lsm_entry      *entry;
    void          **pin;
} read_search;

static akv_status read_memtables(const lsm_view *v, read_search *s)
{
    for (unsigned i = 0; i < v->n; i++) {
        lsm_memtable *m       = v->mem[i].memtable;
        uint64_t      covered = akvi_lsm_memtable_covered(m, s->key, s->seq);

        if (covered > s->covered)
            s->covered = covered;
        if (akvi_lsm_memtable_get(m, s->key, s->seq, s->entry) == AKV_OK) {
            *s->pin = read_pin_memtable(m);
            return AKV_OK;
        }
        if (s->covered > 0)
            return AKV_ABSENT; /* what lies deeper is older */
    }
    return AKV_ABSENT;
}

static void read_ranges(const lsm_file *f, read_search *s)
{
    size_t           n;
    const lsm_entry *ranges = akvi_lsm_table_ranges(f->table, &n);

    for (size_t i = 0; i < n; i++) {
        const lsm_entry *r = &ranges[i];

        if (r->seq > s->covered && r->seq <= s->seq &&
            akvi_compare(r->key.data, r->key.len, s->key.data, s->key.len) <= 0 &&
            (r->value.len == 0 ||
             akvi_compare(s->key.data, s->key.len, r->value.data, r->value.len) < 0))
            s->covered = r->seq;
    }
}

static akv_status read_file(const lsm_file *f, read_search *s)
{
    lsm_block *block = NULL;
    akv_status st;

    if (f->meta.ranges > 0)
        read_ranges(f, s);
    st = akvi_lsm_table_get(f->table, s->key, s->hash, s->seq, s->read, s->entry, &block);
    if (st == AKV_OK)
        *s->pin = read_pin_block(block);
    return st == AKV_ABSENT && s->covered > 0 ? AKV_END : st;
}

/* AKV_END: no use in looking further down. */
static akv_status read_tables(const lsm_version *v, read_search *s)
{
    const lsm_level *top = &v->levels[0];
    akv_status       st  = AKV_ABSENT;

    s->hash = akvi_lsm_filter_hash(s->key);
    for (size_t i = 0; i < top->n && st == AKV_ABSENT; i++)
        if (akvi_lsm_file_overlaps(top->files[i], s->key, s->key))
            st = read_file(top->files[i], s);
    for (unsigned l = 1; l < LSM_LEVELS && st == AKV_ABSENT; l++) {
        const lsm_level *level = &v->levels[l];
        size_t           at    = level->n > 0 ? akvi_lsm_level_find(level, s->key) : 0;

        if (at < level->n && akvi_lsm_file_overlaps(level->files[at], s->key, s->key))
            st = read_file(level->files[at], s);
    }
    return st == AKV_END ? AKV_ABSENT : st;
}

akv_status akvi_lsm_find(lsm_db *db, lsm_view *v, akv_slice key, uint64_t seq, const lsm_read *read,
                         lsm_entry *entry_out, void **pin_out)
{
    read_search s = {.key = key, .seq = seq, .read = read, .entry = entry_out, .pin = pin_out};
    akv_status  st;

    *pin_out = NULL;
    st       = read_memtables(v, &s);
    if (st == AKV_ABSENT && s.covered == 0)
        st = read_tables(v->version, &s);
    if (st != AKV_OK)
        return st;
    if (s.covered > entry_out->seq || entry_out->kind != LSM_PUT ||
        (entry_out->expiry_ms != 0 && entry_out->expiry_ms <= lsm_unix_ms(db))) {
        akvi_lsm_unpin(*pin_out);
        *pin_out = NULL;
        return AKV_ABSENT;
    }
    return AKV_OK;
}

/* Hold what a read looks at. */
static void read_hold(lsm_db *db, const akv_read_options *opt, lsm_hold *hold_out)
{
    const lsm_snapshot *snapshot = akv_snapshot_impl(opt->snapshot);

    if (!snapshot || !snapshot->view) {
        akvi_lsm_hold(db, hold_out);
        return;
    }
    atomic_fetch_add_explicit(&snapshot->view->refs, 1, memory_order_relaxed);
    *hold_out = (lsm_hold){snapshot->view, -1};
}

/* The sequence number that a read goes by; after the view was taken. */
static uint64_t read_seq(const lsm_db *db, const akv_read_options *opt)
{
    const lsm_snapshot *snapshot = akv_snapshot_impl(opt->snapshot);

    return snapshot ? snapshot->seq : atomic_load_explicit(&db->last_seq, memory_order_acquire);
}

static lsm_read read_how(const akv_read_options *opt)
{
    return (lsm_read){.verify     = (opt->flags & AKV_READ_VERIFY) != 0,
                      .fill_cache = (opt->flags & AKV_READ_NO_FILL_CACHE) == 0};
}

static void read_value(const lsm_db *db, const lsm_entry *e, void *pin, akv_value *value_out)
{
    value_out->data      = e->value.data;
    value_out->len       = e->value.len;
    value_out->version   = akvi_lsm_tag(db, e->seq);
    value_out->expiry_ms = e->expiry_ms;
    value_out->encoding  = e->encoding;
    value_out->pin       = pin;
}

akv_status akvi_lsm_get(void *impl, akv_slice key, const akv_read_options *opt,
                        akv_value *value_out)
{
    lsm_db    *db   = impl;
    lsm_read   read = read_how(opt);
    lsm_entry  e;
    void      *pin;
    lsm_hold   hold;
    akv_status st;

    read_hold(db, opt, &hold);
    st = akvi_lsm_find(db, hold.view, key, read_seq(db, opt), &read, &e, &pin);
    akvi_lsm_let_go(db, &hold);
    if (st == AKV_OK)
        read_value(db, &e, pin, value_out);
    return st;
}

akv_status akvi_lsm_exists(void *impl, akv_slice key, const akv_read_options *opt)
{
    akv_value  value = AKV_VALUE_INIT;
    akv_status st    = akvi_lsm_get(impl, key, opt, &value);

    if (st == AKV_OK)
        akvi_lsm_unpin(value.pin);
    return st;
}

akv_status akvi_lsm_get_many(void *impl, size_t n, const akv_slice *keys,
                             const akv_read_options *opt, akv_value *values_out,
                             akv_status *statuses_out)
{
    lsm_db    *db    = impl;
    lsm_read   read  = read_how(opt);
    akv_status first = AKV_OK;
    lsm_hold   hold;
    uint64_t   seq;

    read_hold(db, opt, &hold);
    seq = read_seq(db, opt);
    for (size_t i = 0; i < n; i++) {
        lsm_entry e;
        void     *pin;

        statuses_out[i] = akvi_lsm_find(db, hold.view, keys[i], seq, &read, &e, &pin);
        if (statuses_out[i] == AKV_OK)
            read_value(db, &e, pin, &values_out[i]);
        else if (statuses_out[i] < 0 && first == AKV_OK)
            first = statuses_out[i];
    }
    akvi_lsm_let_go(db, &hold);
    return first;
}

/* --------------------------------------------------------------- snapshots */

akv_status akvi_lsm_snapshot_new(void *impl, void **snapshot_out)
{
    lsm_db       *db = impl;
    lsm_snapshot *s  = akvi_alloc(db->allocator, sizeof *s);

    if (!s)
        return AKV_NOMEM;
    akvi_mutex_lock(&db->mu);
    s->view = NULL;
    if (db->read_only) {
        s->view = atomic_load_explicit(&db->view, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->view->refs, 1, memory_order_relaxed);
    }
    s->seq              = atomic_load_explicit(&db->last_seq, memory_order_acquire);
    s->newer            = &db->snapshots;
    s->older            = db->snapshots.older;
    s->older->newer     = s;
    db->snapshots.older = s;
    akvi_mutex_unlock(&db->mu);
    *snapshot_out = s;
    return AKV_OK;
}

void akvi_lsm_snapshot_free(void *impl, void *snapshot)
{
    lsm_db       *db = impl;
    lsm_snapshot *s  = snapshot;

    akvi_mutex_lock(&db->mu);
    s->older->newer = s->newer;
    s->newer->older = s->older;
    akvi_mutex_unlock(&db->mu);
    akvi_lsm_view_unref(s->view);
    akvi_free(db->allocator, s, sizeof *s);
}
