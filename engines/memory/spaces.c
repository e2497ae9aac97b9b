/* SPDX-License-Identifier: MIT
 *
 * spaces.c: key spaces. One that is dropped stays, unlisted, until no view sees
 * anything in it; made again meanwhile, it is the same one, now empty.
 */
#include "engines/memory/store.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"

memory_space *akvi_memory_space_new(memory_store *s, const char *name, size_t len)
{
    memory_space *space = akvi_zalloc(s->allocator, sizeof *space + len + 1);

    if (!space)
        return NULL;
    memcpy(space->text, name, len);
    space->name = akv_bytes(space->text, len);
    akvi_btree_init(&space->keys, s->allocator);
    return space;
}

void akvi_memory_space_free(memory_store *s, memory_space *space)
{
    akvi_btree_cursor c;

    for (akvi_btree_first(&space->keys, &c); c.leaf; akvi_btree_next(&c)) {
        for (memory_version *v = (memory_version *)akvi_btree_at(&c), *older; v; v = older) {
            older = v->older;
            akvi_memory_unref(s, v);
        }
    }
    akvi_btree_free(&space->keys);
    akvi_free(s->allocator, space, sizeof *space + space->name.len + 1);
}

void akvi_memory_spaces_settle(memory_store *s)
{
    akvi_btree_cursor c;

    if (s->dropped == 0)
        return;
    akvi_btree_first(&s->spaces, &c);
    while (c.leaf) {
        memory_space *space = (memory_space *)akvi_btree_at(&c);

        if (!space->dropped || space->opens > 0 || space->walks > 0 || space->keys.n > 0) {
            akvi_btree_next(&c);
            continue;
        }
        akvi_btree_remove(&s->spaces, space->name);
        akvi_btree_lower_bound(&s->spaces, space->name, &c);
        s->dropped--;
        akvi_memory_space_free(s, space);
    }
}

/* ---------------------------------------------------------------- stepping */

memory_space *akvi_memory_space_next(memory_store *s, memory_space *space)
{
    memory_space     *next = s->main;
    akvi_btree_cursor c;

    akvi_rwlock_read(&s->lock);
    akvi_mutex_lock(&s->views_mu);
    if (space) {
        if (akvi_btree_lower_bound(&s->spaces, space->name, &c))
            akvi_btree_next(&c);
        next = (memory_space *)akvi_btree_at(&c);
    }
    if (next)
        next->walks++;
    akvi_mutex_unlock(&s->views_mu);
    akvi_rwlock_unlock(&s->lock);
    akvi_memory_space_unhold(s, space);
    return next;
}

void akvi_memory_space_unhold(memory_store *s, memory_space *space)
{
    if (!space)
        return;
    akvi_rwlock_write(&s->lock);
    space->walks--;
    akvi_memory_spaces_settle(s);
    akvi_rwlock_unlock(&s->lock);
}

static const char *spaces_fault(const memory_space *space, const memory_version *v)
{
    if (v->newer)
        return "the newest version of a key";
    for (; v; v = v->older) {
        if (v->space != space || (v->older && v->older->newer != v))
            return "the chain of a key's versions";
        if (v->begin >= v->end || (v->older && v->older->end > v->begin))
            return "the versions of a key";
        if ((v->heap_at != 0) != (v->end == MEMORY_LIVE && v->expiry_ms != 0))
            return "the keys that expire";
    }
    return NULL;
}

akv_status akvi_memory_space_check(memory_store *s, const memory_space *space)
{
    uint64_t          live  = 0;
    const char       *fault = NULL;
    akvi_btree_cursor c;
    akv_status        st;

    akvi_rwlock_read(&s->lock);
    st = akvi_btree_check(&space->keys);
    for (akvi_btree_first(&space->keys, &c); c.leaf && !fault; akvi_btree_next(&c)) {
        const memory_version *newest = (const memory_version *)akvi_btree_at(&c);

        fault = spaces_fault(space, newest);
        live += newest->end == MEMORY_LIVE;
    }
    if (!fault && live != space->live)
        fault = "the number of its keys";
    akvi_rwlock_unlock(&s->lock);
    if (fault)
        return AKV_FAIL(AKV_CORRUPT, "a store in memory is damaged: %s", fault);
    return st;
}

uint64_t akvi_memory_live(memory_store *s)
{
    akvi_btree_cursor c;
    uint64_t          live;

    akvi_rwlock_read(&s->lock);
    live = s->main->live;
    for (akvi_btree_first(&s->spaces, &c); c.leaf; akvi_btree_next(&c))
        live += ((const memory_space *)akvi_btree_at(&c))->live;
    akvi_rwlock_unlock(&s->lock);
    return live;
}

/* ------------------------------------------------------------------- slots */

/* Find the space, or make it if the flags say so. Lock held for writing. */
static akv_status spaces_open(memory_store *s, const char *name, uint32_t flags,
                              memory_space **space_out)
{
    akv_slice     key   = akv_str(name);
    memory_space *space = (memory_space *)akvi_btree_find(&s->spaces, key);

    *space_out = space;
    if (space && !space->dropped)
        return AKV_OK;
    if (!(flags & AKV_KEYSPACE_CREATE))
        return AKV_ABSENT;
    if (space) {
        space->dropped = false;
        s->dropped--;
    } else {
        space = akvi_memory_space_new(s, name, key.len);
        if (!space)
            return AKV_NOMEM;
        if (akvi_btree_insert(&s->spaces, &space->name, NULL) != AKV_OK) {
            akvi_memory_space_free(s, space);
            return AKV_NOMEM;
        }
        *space_out = space;
    }
    s->changes++;
    return AKV_OK;
}

akv_status akvi_memory_space_open(void *impl, const char *name, uint32_t flags, void **space_out)
{
    memory_store *s = impl;
    memory_space *space;
    akv_status    st;

    akvi_rwlock_write(&s->lock);
    st = spaces_open(s, name, flags, &space);
    if (st == AKV_OK) {
        space->opens++;
        *space_out = space;
    }
    akvi_rwlock_unlock(&s->lock);
    return st;
}

void akvi_memory_space_close(void *impl, void *space)
{
    memory_store *s = impl;

    akvi_rwlock_write(&s->lock);
    ((memory_space *)space)->opens--;
    akvi_rwlock_unlock(&s->lock);
}

/* Lock held for writing. */
static akv_status spaces_drop(memory_store *s, const char *name)
{
    memory_space     *space = (memory_space *)akvi_btree_find(&s->spaces, akv_str(name));
    memory_version   *ended = NULL;
    akvi_btree_cursor c;

    if (!space || space->dropped)
        return AKV_ABSENT;
    if (space->opens > 0)
        return AKV_FAIL(AKV_BUSY, "key space '%s' is open %u times: close it before dropping it",
                        name, space->opens);
    s->seq++;
    s->changes++;
    akvi_mutex_lock(&s->feed.mu);
    akvi_memory_feed_add(s, AKV_CHANGE_DROP, space, akv_bytes(NULL, 0), akv_bytes(NULL, 0), NULL,
                         s->seq);
    akvi_memory_feed_commit(s);
    akvi_mutex_unlock(&s->feed.mu);
    for (akvi_btree_first(&space->keys, &c); c.leaf; akvi_btree_next(&c)) {
        memory_version *v = (memory_version *)akvi_btree_at(&c);

        if (v->end == MEMORY_LIVE) {
            v->end  = s->seq;
            v->link = ended;
            ended   = v;
        }
    }
    for (memory_version *next; ended; ended = next) {
        next = ended->link;
        akvi_memory_retire(s, ended);
    }
    space->dropped = true;
    s->dropped++;
    akvi_memory_spaces_settle(s);
    return AKV_OK;
}

akv_status akvi_memory_space_drop(void *impl, const char *name)
{
    memory_store *s = impl;
    akv_status    st;

    akvi_rwlock_write(&s->lock);
    st = spaces_drop(s, name);
    akvi_rwlock_unlock(&s->lock);
    return st;
}

akv_status akvi_memory_space_list(void *impl, int (*each)(void *user, const char *name), void *user)
{
    memory_store *s     = impl;
    memory_space *space = akvi_memory_space_next(s, NULL);
    int           stop  = 0;

    while (!stop && (space = akvi_memory_space_next(s, space)) != NULL) {
        akvi_call_state call;

        if (space->dropped)
            continue;
        akvi_held_assert_none();
        akvi_call_save(&call);
        stop = each(user, space->text);
        akvi_call_restore(&call);
    }
    akvi_memory_space_unhold(s, space);
    return AKV_OK;
}
