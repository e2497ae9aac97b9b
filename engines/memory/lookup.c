/* SPDX-License-Identifier: MIT
 *
 * lookup.c: reading by key, and the figures that need no scan.
 */
#include "engines/memory/store.h"

#define LOOKUP_GROUP 32u

static uint64_t lookup_seq(const akv_read_options *opt)
{
    const memory_view *view = akv_snapshot_impl(opt->snapshot);

    return view ? view->seq : MEMORY_NOW;
}

/* What a read finds, or NULL, given what the tree had. */
static memory_version *lookup_version(const memory_store *s, akv_slice *newest, uint64_t seq)
{
    memory_version *v = memory_visible((memory_version *)newest, seq);

    return v && !memory_expired(s, v) ? v : NULL;
}

akv_status akvi_memory_get(void *impl, akv_slice key, const akv_read_options *opt,
                           akv_value *value_out)
{
    memory_store   *s = impl;
    memory_version *v;

    akvi_rwlock_read(&s->lock);
    v = lookup_version(s, akvi_btree_find(&memory_space_of(s, opt->keyspace)->keys, key),
                       lookup_seq(opt));
    if (v) {
        __builtin_prefetch(memory_value(v).data);
        memory_ref(v);
    }
    akvi_rwlock_unlock(&s->lock);
    if (!v)
        return AKV_ABSENT;
    memory_fill(v, value_out);
    value_out->pin = v;
    return AKV_OK;
}

void akvi_memory_release(void *impl, akv_value *value)
{
    akvi_memory_unref(impl, value->pin);
}

akv_status akvi_memory_exists(void *impl, akv_slice key, const akv_read_options *opt)
{
    memory_store *s = impl;
    bool          there;

    akvi_rwlock_read(&s->lock);
    there = lookup_version(s, akvi_btree_find(&memory_space_of(s, opt->keyspace)->keys, key),
                           lookup_seq(opt)) != NULL;
    akvi_rwlock_unlock(&s->lock);
    return there ? AKV_OK : AKV_ABSENT;
}

akv_status akvi_memory_get_many(void *impl, size_t n, const akv_slice *keys,
                                const akv_read_options *opt, akv_value *values_out,
                                akv_status *statuses_out)
{
    memory_store *s   = impl;
    uint64_t      seq = lookup_seq(opt);
    akv_slice    *items[LOOKUP_GROUP];

    akvi_rwlock_read(&s->lock);
    for (size_t i = 0; i < n; i += LOOKUP_GROUP) {
        size_t group = n - i < LOOKUP_GROUP ? n - i : LOOKUP_GROUP;

        akvi_btree_find_many(&memory_space_of(s, opt->keyspace)->keys, group, keys + i, items);
        for (size_t j = 0; j < group; j++) {
            memory_version *v = lookup_version(s, items[j], seq);

            statuses_out[i + j] = v ? AKV_OK : AKV_ABSENT;
            if (v) {
                memory_ref(v);
                memory_fill(v, &values_out[i + j]);
                values_out[i + j].pin = v;
            }
        }
    }
    akvi_rwlock_unlock(&s->lock);
    return AKV_OK;
}

/* A snapshot's keys have to be walked. */
static akv_status lookup_count_walk(memory_store *s, const akv_read_options *opt,
                                    uint64_t *count_out)
{
    const akv_range all  = {.keys_only = true};
    akv_move        move = AKV_MOVE_FIRST;
    uint64_t        n    = 0;
    void           *iter;
    akv_entry       entry;
    akv_status      st = akvi_memory_iter_new(s, &all, opt, &iter);

    if (st != AKV_OK)
        return st;
    while ((st = akvi_memory_iter_move(iter, move, akv_bytes(NULL, 0), &entry)) == AKV_OK) {
        move = AKV_MOVE_NEXT;
        if (++n % 4096 == 0 && (st = akv_interrupted(opt->deadline_ns, opt->cancel)) != AKV_OK)
            break;
    }
    akvi_memory_iter_free(iter);
    *count_out = st == AKV_END ? n : 0;
    return st == AKV_END ? AKV_OK : st;
}

akv_status akvi_memory_count(void *impl, const akv_read_options *opt, uint64_t *count_out)
{
    memory_store       *s     = impl;
    const memory_space *space = memory_space_of(s, opt->keyspace);
    uint64_t            now;
    bool                exact;

    if (opt->snapshot)
        return lookup_count_walk(s, opt, count_out);
    now = memory_unix_ms(s);
    akvi_rwlock_read(&s->lock);
    exact      = s->expiring.n == 0 || s->expiring.at[0]->expiry_ms > now;
    *count_out = space->live;
    akvi_rwlock_unlock(&s->lock);
    if (exact)
        return AKV_OK;
    akvi_rwlock_write(&s->lock);
    akvi_memory_purge(s, now, UINT32_MAX);
    *count_out = space->live;
    akvi_rwlock_unlock(&s->lock);
    return AKV_OK;
}

akv_status akvi_memory_approximate_size(void *impl, const akv_range *range,
                                        const akv_read_options *opt, uint64_t *bytes_out)
{
    memory_store       *s     = impl;
    const memory_space *space = memory_space_of(s, opt->keyspace);
    double              from, to;

    akvi_rwlock_read(&s->lock);
    from       = akvi_btree_rank(&space->keys, range->lower);
    to         = range->has_upper ? akvi_btree_rank(&space->keys, range->upper) : 1;
    *bytes_out = to > from ? (uint64_t)((to - from) * (double)space->bytes) : 0;
    akvi_rwlock_unlock(&s->lock);
    return AKV_OK;
}
