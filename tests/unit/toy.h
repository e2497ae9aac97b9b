/* SPDX-License-Identifier: MIT
 *
 * toy.h: a small engine for tests of the front layer: a sorted array of shared
 * items behind a lock, copied by every write. It has versions, conditions,
 * snapshots and batches, and none of what the front layer can do in its place.
 * Tests copy toy_table, take slots and capabilities away, and register it.
 */
#ifndef AKVT_TOY_H
#define AKVT_TOY_H

#include "tests/testing.h"

#include "common/base/bytes.h"

#include <anykv/engine.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOY_CAPS                                                                          \
    (AKV_CAP_READ | AKV_CAP_WRITE | AKV_CAP_ORDERED | AKV_CAP_BATCH | AKV_CAP_CONDITION | \
     AKV_CAP_VERSION | AKV_CAP_SNAPSHOT | AKV_CAP_TTL | AKV_CAP_ENCODING | AKV_CAP_TXN)

typedef struct toy_item {
    _Atomic unsigned refs;
    uint8_t         *key, *value;
    size_t           key_len, value_len;
    uint64_t         version, expiry_ms;
    uint32_t         encoding;
} toy_item;

typedef struct toy_state {
    unsigned  refs; /* guarded by toy_mu */
    size_t    n;
    toy_item *items[];
} toy_state;

typedef struct toy {
    akv_env   *env;
    toy_state *state;
    uint64_t   version;
    bool       building;
} toy;

typedef struct toy_options {
    akv_engine_options base;
    bool               fast;
    uint32_t           level;
    const char        *label;
} toy_options;

/* What tests look at and steer by. */
static struct toy_seen {
    akv_open_args     args;
    toy_options       options;
    char              label[32], path[200];
    uint8_t           key[32];
    uint64_t          caps; /* of the next opens; 0: all of the table */
    akv_write_options write_opt;
    _Atomic uint64_t  writes, gets, verifies;
    uint64_t          conflicts_to_play; /* writes that lose, whatever they ask */
    akv_status        fail_moves;        /* next move fails so, once */
    akv_status        fail_open, fail_close;
} toy_seen;

static pthread_mutex_t toy_mu = PTHREAD_MUTEX_INITIALIZER;

static inline void toy_unref(toy_item *item)
{
    if (atomic_fetch_sub(&item->refs, 1) == 1) {
        free(item->key);
        free(item->value);
        free(item);
    }
}

static inline toy_item *toy_ref(toy_item *item)
{
    atomic_fetch_add(&item->refs, 1);
    return item;
}

static inline toy_state *toy_hold(toy *t)
{
    toy_state *s;

    pthread_mutex_lock(&toy_mu);
    s = t->state;
    s->refs++;
    pthread_mutex_unlock(&toy_mu);
    return s;
}

static inline void toy_drop(toy_state *s)
{
    unsigned left;

    pthread_mutex_lock(&toy_mu);
    left = --s->refs;
    pthread_mutex_unlock(&toy_mu);
    if (left > 0)
        return;
    for (size_t i = 0; i < s->n; i++)
        toy_unref(s->items[i]);
    free(s);
}

static inline toy_state *toy_state_new(size_t room)
{
    toy_state *s = calloc(1, sizeof *s + (room + 1) * sizeof(toy_item *));

    s->refs = 1;
    return s;
}

/* The place of the first key >= `key`; true when it is equal. */
static inline bool toy_find(const toy_state *s, akv_slice key, size_t *at_out)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t          mid = (low + high) / 2;
        const toy_item *i   = s->items[mid];

        if (akvi_compare(i->key, i->key_len, key.data, key.len) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *at_out = low;
    return low < s->n && akvi_equal(s->items[low]->key, s->items[low]->key_len, key.data, key.len);
}

static inline bool toy_alive(const toy *t, const toy_item *i)
{
    return i->expiry_ms == 0 || t->env->ops->unix_ms(t->env) < i->expiry_ms;
}

static inline void toy_fill(const toy_item *i, akv_value *value)
{
    value->data      = i->value;
    value->len       = i->value_len;
    value->expiry_ms = i->expiry_ms;
    value->encoding  = i->encoding;
    akvi_put_le64(value->version.bytes, i->version);
}

static inline void toy_see(const akv_open_args *args)
{
    toy_seen.args = *args;
    if (args->engine_options) {
        toy_seen.options = *(const toy_options *)args->engine_options;
        snprintf(toy_seen.label, sizeof toy_seen.label, "%s",
                 toy_seen.options.label ? toy_seen.options.label : "");
    }
    snprintf(toy_seen.path, sizeof toy_seen.path, "%s", args->path ? args->path : "(none)");
    if (args->key)
        memcpy(toy_seen.key, args->key, 32);
}

static inline akv_status toy_open(const akv_open_args *args, void **impl_out, uint64_t *caps_out)
{
    toy *t;

    pthread_mutex_lock(&toy_mu);
    toy_see(args);
    pthread_mutex_unlock(&toy_mu);
    if (toy_seen.fail_open)
        return akv_engine_fail(toy_seen.fail_open, 0, NULL, AKV_NO_OFFSET, "toy: told to fail");
    t        = calloc(1, sizeof *t);
    t->env   = args->env;
    t->state = toy_state_new(0);
    if (toy_seen.caps)
        *caps_out &= toy_seen.caps;
    t->building = (*caps_out & AKV_CAP_BUILD) != 0;
    *impl_out   = t;
    return AKV_OK;
}

static inline akv_status toy_close(void *impl)
{
    toy *t = impl;

    toy_drop(t->state);
    free(t);
    if (toy_seen.fail_close)
        return akv_engine_fail(toy_seen.fail_close, 0, NULL, AKV_NO_OFFSET, "toy: told to fail");
    return AKV_OK;
}

static inline akv_status toy_get(void *impl, akv_slice key, const akv_read_options *opt,
                                 akv_value *value_out)
{
    toy       *t      = impl;
    toy_state *s      = opt->snapshot ? akv_snapshot_impl(opt->snapshot) : NULL;
    toy_state *held   = s ? NULL : toy_hold(t);
    akv_status status = AKV_ABSENT;
    size_t     at;

    atomic_fetch_add(&toy_seen.gets, 1);
    s = s ? s : held;
    if (toy_find(s, key, &at) && toy_alive(t, s->items[at])) {
        toy_fill(s->items[at], value_out);
        value_out->pin = toy_ref(s->items[at]);
        status         = AKV_OK;
    }
    if (held)
        toy_drop(held);
    return status;
}

static inline void toy_release(void *impl, akv_value *value)
{
    (void)impl;
    toy_unref(value->pin);
}

/* ---------------------------------------------------------------- iterators */

typedef struct toy_iter {
    toy             *t;
    toy_state       *s;
    const akv_range *range;
    size_t           at;
} toy_iter;

static inline akv_status toy_iter_new(void *impl, const akv_range *range,
                                      const akv_read_options *opt, void **iter_out)
{
    toy_iter *it = calloc(1, sizeof *it);

    it->t     = impl;
    it->range = range;
    it->s     = akv_snapshot_impl(opt->snapshot);
    if (it->s) {
        pthread_mutex_lock(&toy_mu);
        it->s->refs++;
        pthread_mutex_unlock(&toy_mu);
    } else {
        it->s = toy_hold(impl);
    }
    *iter_out = it;
    return AKV_OK;
}

static inline bool toy_in_range(const akv_range *r, const toy_item *i)
{
    return akvi_compare(i->key, i->key_len, r->lower.data, r->lower.len) >= 0 &&
           (!r->has_upper || akvi_compare(i->key, i->key_len, r->upper.data, r->upper.len) < 0);
}

static inline akv_status toy_iter_move(void *impl, akv_move move, akv_slice key,
                                       akv_entry *entry_out)
{
    const akv_entry empty = {.key = {NULL, 0}};
    toy_iter       *it    = impl;
    ptrdiff_t       step = 1, at = (ptrdiff_t)it->at;
    size_t          place;

    if (toy_seen.fail_moves) {
        akv_status status   = toy_seen.fail_moves;
        toy_seen.fail_moves = AKV_OK;
        return akv_engine_fail(status, 0, NULL, AKV_NO_OFFSET, "toy: told to fail");
    }
    switch (move) {
    case AKV_MOVE_FIRST:
        toy_find(it->s, it->range->lower, &place);
        at = (ptrdiff_t)place;
        break;
    case AKV_MOVE_NEXT: at++; break;
    case AKV_MOVE_SEEK:
        toy_find(it->s, key, &place);
        at = (ptrdiff_t)place;
        break;
    case AKV_MOVE_LAST:
        place = it->s->n;
        if (it->range->has_upper)
            toy_find(it->s, it->range->upper, &place);
        at   = (ptrdiff_t)place - 1;
        step = -1;
        break;
    case AKV_MOVE_PREV:
        at--;
        step = -1;
        break;
    case AKV_MOVE_SEEK_FOR_PREV:
        at   = toy_find(it->s, key, &place) ? (ptrdiff_t)place : (ptrdiff_t)place - 1;
        step = -1;
        break;
    }
    for (; at >= 0 && at < (ptrdiff_t)it->s->n; at += step) {
        const toy_item *i = it->s->items[at];

        if (!toy_in_range(it->range, i))
            return AKV_END;
        if (!toy_alive(it->t, i))
            continue;
        it->at         = (size_t)at;
        *entry_out     = empty;
        entry_out->key = akv_bytes(i->key, i->key_len);
        toy_fill(i, &entry_out->value);
        if (it->range->keys_only) {
            entry_out->value.data = NULL;
            entry_out->value.len  = 0;
        }
        return AKV_OK;
    }
    return AKV_END;
}

static inline void toy_iter_free(void *impl)
{
    toy_iter *it = impl;

    toy_drop(it->s);
    free(it);
}

/* ------------------------------------------------------------------ writing */

static inline bool toy_holds(const toy *t, const toy_state *s, const akv_op *op)
{
    size_t          at;
    bool            found = toy_find(s, op->key, &at) && toy_alive(t, s->items[at]);
    const toy_item *i     = found ? s->items[at] : NULL;

    switch (op->condition) {
    case AKV_IF_ANY: return true;
    case AKV_IF_ABSENT: return !found;
    case AKV_IF_PRESENT: return found;
    case AKV_IF_VALUE:
        return i && akvi_equal(i->value, i->value_len, op->expected.data, op->expected.len);
    case AKV_IF_VERSION: return i && akvi_get_le64(op->version.bytes) == i->version;
    }
    return false;
}

static inline toy_item *toy_item_new(akv_slice key, akv_slice value)
{
    toy_item *i = calloc(1, sizeof *i);

    i->refs      = 1;
    i->key       = malloc(key.len + 1);
    i->value     = malloc(value.len + 1);
    i->key_len   = key.len;
    i->value_len = value.len;
    if (key.len)
        memcpy(i->key, key.data, key.len);
    if (value.len)
        memcpy(i->value, value.data, value.len);
    return i;
}

/* Open or close a gap at `at`. */
static inline void toy_shift(toy_state *s, size_t at, bool open)
{
    if (open)
        for (size_t i = s->n++; i > at; i--)
            s->items[i] = s->items[i - 1];
    else
        for (s->n--; at < s->n; at++)
            s->items[at] = s->items[at + 1];
}

static inline akv_status toy_apply(toy *t, toy_state *s, const akv_op *op)
{
    akv_slice value = op->value;
    size_t    at;
    bool      found = toy_find(s, op->key, &at);
    toy_item *old   = found ? s->items[at] : NULL;

    if (op->kind == AKV_OP_CHECK)
        return AKV_OK;
    if (op->kind == AKV_OP_DELETE_RANGE || op->kind == AKV_OP_MERGE)
        return akv_engine_fail(AKV_UNSUPPORTED, 0, NULL, AKV_NO_OFFSET, "toy: no such operation");
    if (op->kind == AKV_OP_DELETE) {
        if (old) {
            toy_unref(old);
            toy_shift(s, at, false);
        }
        return AKV_OK;
    }
    if (op->kind == AKV_OP_EXPIRE) {
        if (!old || !toy_alive(t, old))
            return AKV_ABSENT;
        value = akv_bytes(old->value, old->value_len);
    }
    if (!old)
        toy_shift(s, at, true);
    s->items[at]            = toy_item_new(op->key, value);
    s->items[at]->version   = ++t->version;
    s->items[at]->expiry_ms = op->expiry_ms;
    s->items[at]->encoding  = op->encoding;
    if (old)
        toy_unref(old);
    return AKV_OK;
}

static inline akv_status toy_write(void *impl, const akv_op *ops, size_t n,
                                   const akv_write_options *opt, akv_write_result *result_out)
{
    toy       *t      = impl;
    akv_status status = AKV_OK;
    toy_state *old, *s;

    atomic_fetch_add(&toy_seen.writes, 1);
    pthread_mutex_lock(&toy_mu);
    toy_seen.write_opt = *opt;
    old                = t->state;
    if (toy_seen.conflicts_to_play > 0) {
        toy_seen.conflicts_to_play--;
        status = AKV_CONFLICT;
    }
    for (size_t i = 0; i < n && status == AKV_OK; i++) {
        result_out->conflict_index = i;
        status                     = toy_holds(t, old, &ops[i]) ? AKV_OK : AKV_CONFLICT;
    }
    s = toy_state_new(old->n + n);
    for (; s->n < old->n; s->n++)
        s->items[s->n] = toy_ref(old->items[s->n]);
    for (size_t i = 0; i < n && status == AKV_OK; i++)
        status = toy_apply(t, s, &ops[i]);
    if (status == AKV_OK) {
        t->state = s;
        s        = old;
        akvi_put_le64(result_out->version.bytes, t->version);
        result_out->conflict_index = 0;
    }
    pthread_mutex_unlock(&toy_mu);
    toy_drop(s);
    return status;
}

static inline akv_status toy_sync(void *impl)
{
    (void)impl;
    return AKV_OK;
}

static inline akv_status toy_snapshot_new(void *impl, void **snapshot_out)
{
    *snapshot_out = toy_hold(impl);
    return AKV_OK;
}

static inline void toy_snapshot_free(void *impl, void *snapshot)
{
    (void)impl;
    toy_drop(snapshot);
}

static inline akv_status toy_verify(void *impl, const akv_job_options *opt)
{
    akv_job job;

    (void)impl;
    atomic_fetch_add(&toy_seen.verifies, 1);
    akv_job_begin(&job, opt, NULL, 1, "keys");
    return akv_job_step(&job, 1, 1);
}

/* -------------------------------------------------------------------- builds */

static inline akv_status toy_finish(void *impl, const akv_job_options *opt)
{
    (void)opt;
    ((toy *)impl)->building = false;
    return AKV_OK;
}

static inline akv_status toy_abort(void *impl)
{
    ((toy *)impl)->building = false;
    return AKV_OK;
}

static inline bool toy_building(void *impl)
{
    return ((toy *)impl)->building;
}

/* ------------------------------------------------------------------ the table */

static const akv_option toy_option_table[] = {
    {"fast", AKV_OPTION_BOOL, offsetof(toy_options, fast), 0, 1, 1, NULL, NULL, "be fast"},
    {"level", AKV_OPTION_U32, offsetof(toy_options, level), 1, 9, 3, NULL, NULL, "how much"},
    {"label", AKV_OPTION_TEXT, offsetof(toy_options, label), 0, 0, 0, "none", NULL, "a name"},
};

static const akv_engine toy_table = {
    .abi           = AKV_ENGINE_ABI,
    .size          = sizeof(akv_engine),
    .name          = "toy",
    .description   = "for tests",
    .caps          = TOY_CAPS,
    .max_key       = 1000,
    .max_value     = 100000,
    .options       = toy_option_table,
    .options_n     = 3,
    .options_size  = sizeof(toy_options),
    .open          = toy_open,
    .close         = toy_close,
    .get           = toy_get,
    .release       = toy_release,
    .iter_new      = toy_iter_new,
    .iter_move     = toy_iter_move,
    .iter_free     = toy_iter_free,
    .write         = toy_write,
    .sync          = toy_sync,
    .snapshot_new  = toy_snapshot_new,
    .snapshot_free = toy_snapshot_free,
    .verify        = toy_verify,
};

/* Register the toy itself, once per program. */
static inline void toy_register(void)
{
    static bool done;

    if (!done)
        assert_ok(akv_register(&toy_table));
    done = true;
}

static inline akv *toy_new(const akv_open_options *opt)
{
    akv *db;

    toy_register();
    assert_ok(akv_open("toy", NULL, opt, &db));
    return db;
}

static inline void toy_put(akv *db, const char *key, const char *value)
{
    assert_ok(akv_put(db, akv_str(key), akv_str(value), NULL));
}

/* What `key` holds, in a static buffer; NULL when absent. */
static inline const char *toy_text(akv *db, const char *key)
{
    static char text[1000];
    size_t      len;
    akv_status  status = akv_get_into(db, akv_str(key), NULL, text, sizeof text - 1, &len);

    if (status == AKV_ABSENT)
        return NULL;
    assert_ok(status);
    text[len] = '\0';
    return text;
}

#endif
