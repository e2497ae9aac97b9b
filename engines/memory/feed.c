/* SPDX-License-Identifier: MIT
 *
 * feed.c: the history of changes and the feeds that follow it.
 *
 * The history is a list, oldest first, and `floor` the last change that it no
 * longer (or never) held: a feed that stands below it has lost the thread. A
 * change in it holds its value by reference. Where a feed stands is a sequence
 * number; a token is that and the epoch, which tells one opening of the store
 * from another, so that a token never meets a history that it is not of.
 */
#include "engines/memory/store.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/mem.h"

#define FEED_TOKEN 16u /* epoch and sequence number, big-endian */

typedef struct feed_reader {
    memory_store  *store;
    uint64_t       seq;     /* stands just after this change */
    memory_change *current; /* the last one returned, held; NULL at first */
} feed_reader;

void akvi_memory_feed_init(memory_feed *feed, uint64_t limit)
{
    *feed = (memory_feed){.limit = limit};
    akvi_mutex_init(&feed->mu, AKVI_RANK_CHANGES);
    akvi_cond_init(&feed->cond);
}

static size_t feed_size(const memory_change *c)
{
    return sizeof *c + c->name_len + 1u + c->key_len + c->upper_len;
}

static void feed_unref(memory_store *s, memory_change *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    akvi_memory_unref(s, c->version);
    akvi_free(s->allocator, c, feed_size(c));
}

/* What a change keeps from being freed. */
static uint64_t feed_weight(const memory_change *c)
{
    return feed_size(c) + (c->version ? sizeof *c->version + c->version->len : 0);
}

/* Forget the oldest changes until `most` bytes or less are held. */
static void feed_trim(memory_store *s, uint64_t most)
{
    memory_feed *f = &s->feed;

    while (f->bytes > most) {
        memory_change *c = f->first;

        f->first = c->next;
        f->floor = c->seq;
        f->bytes -= feed_weight(c);
        f->n--;
        feed_unref(s, c);
    }
    if (!f->first)
        f->last = NULL;
}

void akvi_memory_feed_free(memory_store *s)
{
    feed_trim(s, 0);
    akvi_cond_destroy(&s->feed.cond);
    akvi_mutex_destroy(&s->feed.mu);
}

/* ------------------------------------------------------------------ adding */

/* NULL when there is no memory, which is no failure of anything. */
static memory_change *feed_new(memory_store *s, const memory_space *space, akv_slice key,
                               akv_slice upper)
{
    const akv_allocator *a    = akvi_allocator(s->allocator);
    size_t               name = space->name.len + 1;
    memory_change       *c    = a->alloc(a->user, sizeof *c + name + key.len + upper.len);

    if (!c)
        return NULL;
    *c = (memory_change){.name_len  = (uint32_t)space->name.len,
                         .key_len   = (uint32_t)key.len,
                         .upper_len = (uint32_t)upper.len};
    atomic_init(&c->refs, 1);
    memcpy(c->bytes, space->text, name);
    if (key.len > 0)
        memcpy(c->bytes + name, key.data, key.len);
    if (upper.len > 0)
        memcpy(c->bytes + name + key.len, upper.data, upper.len);
    return c;
}

void akvi_memory_feed_add(memory_store *s, akv_change_kind kind, const memory_space *space,
                          akv_slice key, akv_slice upper, memory_version *version, uint64_t seq)
{
    memory_feed   *f = &s->feed;
    memory_change *c;

    if (!f->on)
        return;
    c = feed_new(s, space, key, upper);
    if (!c) {
        feed_trim(s, 0);
        f->floor = seq;
        return;
    }
    c->kind    = kind;
    c->seq     = seq;
    c->version = version;
    if (version)
        memory_ref(version);
    if (f->last)
        f->last->next = c;
    else
        f->first = c;
    f->last = c;
    f->n++;
    f->bytes += feed_weight(c);
}

void akvi_memory_feed_commit(memory_store *s)
{
    memory_feed *f = &s->feed;

    if (f->last)
        f->last->commit = true;
    feed_trim(s, f->limit);
    if (f->waiting > 0)
        akvi_cond_broadcast(&f->cond);
}

/* ----------------------------------------------------------------- reading */

/* Whether a token is of a place that this history still holds. */
static bool feed_knows(const memory_store *s, uint64_t epoch, uint64_t seq)
{
    bool same = epoch == s->epoch || (epoch == s->image_epoch && seq == s->image_seq);

    return same && seq >= s->feed.floor && seq <= s->seq;
}

static akv_status feed_place(memory_store *s, akv_slice token, uint64_t *seq_out)
{
    const uint8_t *p     = token.data;
    bool           known = true;

    *seq_out = s->seq;
    akvi_mutex_lock(&s->feed.mu);
    if (!s->feed.on) {
        s->feed.on    = true;
        s->feed.floor = s->seq;
    }
    if (token.len > 0) {
        *seq_out = akvi_get_be64(p + 8);
        known    = feed_knows(s, akvi_get_be64(p), *seq_out);
    }
    akvi_mutex_unlock(&s->feed.mu);
    return known ? AKV_OK : AKV_ABSENT;
}

akv_status akvi_memory_changes_open(void *impl, akv_slice token, void **changes_out)
{
    memory_store *s = impl;
    feed_reader  *r;
    akv_status    st;

    if (token.len != 0 && token.len != FEED_TOKEN)
        return AKV_FAIL(AKV_MISUSE, "a token of %zu bytes: one of a memory store has %u", token.len,
                        FEED_TOKEN);
    r = akvi_alloc(s->allocator, sizeof *r);
    if (!r)
        return AKV_NOMEM;
    *r = (feed_reader){s, 0, NULL};
    akvi_rwlock_write(&s->lock);
    st = feed_place(s, token, &r->seq);
    akvi_rwlock_unlock(&s->lock);
    if (st == AKV_OK)
        *changes_out = r;
    else
        akvi_free(s->allocator, r, sizeof *r);
    return st;
}

void akvi_memory_changes_close(void *changes)
{
    feed_reader *r = changes;

    feed_unref(r->store, r->current);
    akvi_free(r->store->allocator, r, sizeof *r);
}

/* The change after where the reader stands, NULL when there is none yet. */
static memory_change *feed_next(const memory_feed *f, const feed_reader *r)
{
    memory_change *c = f->first;

    if (r->current && r->current->seq > f->floor)
        return r->current->next;
    while (c && c->seq <= r->seq)
        c = c->next;
    return c;
}

static void feed_show(const memory_change *c, akv_change *out)
{
    const char *key = c->bytes + c->name_len + 1;

    *out = (akv_change){.kind     = c->kind,
                        .keyspace = c->name_len > 0 ? c->bytes : NULL,
                        .key      = akv_bytes(key, c->key_len),
                        .upper    = akv_bytes(key + c->key_len, c->upper_len),
                        .version  = memory_tag(c->seq),
                        .commit   = c->commit};
    if (c->version) {
        out->value     = memory_value(c->version);
        out->expiry_ms = c->version->expiry_ms;
        out->encoding  = c->version->encoding;
    }
}

/* Wait for a change that the reader has not seen. */
static memory_change *feed_wait(memory_feed *f, const feed_reader *r, uint64_t wait_ms)
    AKVI_REQUIRES(f->mu);

static memory_change *feed_wait(memory_feed *f, const feed_reader *r, uint64_t wait_ms)
{
    memory_change *c        = feed_next(f, r);
    uint64_t       deadline = c || wait_ms == 0 ? 0 : akv_deadline_in_ms(wait_ms);
    bool           timely   = deadline != 0;

    while (!c && timely) {
        f->waiting++;
        timely = akvi_cond_wait_until(&f->cond, &f->mu, deadline);
        f->waiting--;
        if (r->seq < f->floor)
            return NULL;
        c = feed_next(f, r);
    }
    return c;
}

akv_status akvi_memory_changes_next(void *changes, uint64_t wait_ms, akv_change *change_out)
{
    feed_reader   *r    = changes;
    memory_feed   *f    = &r->store->feed;
    memory_change *last = r->current, *c = NULL;
    akv_status     st;

    akvi_mutex_lock(&f->mu);
    if (r->seq >= f->floor)
        c = feed_wait(f, r, wait_ms);
    st = c ? AKV_OK : r->seq < f->floor ? AKV_ABSENT : AKV_END;
    if (c) {
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
        r->current = c;
        r->seq     = c->seq;
        feed_show(c, change_out);
    }
    akvi_mutex_unlock(&f->mu);
    if (c)
        feed_unref(r->store, last);
    return st;
}

akv_status akvi_memory_changes_token(void *changes, akv_buffer *token_out)
{
    const feed_reader *r = changes;
    uint8_t            token[FEED_TOKEN];

    akvi_put_be64(token, r->store->epoch);
    akvi_put_be64(token + 8, r->seq);
    return akvi_buffer_set(token_out, token, sizeof token);
}
