/* SPDX-License-Identifier: MIT
 *
 * own_engine.c: a storage engine of one's own, in one file, from outside the
 * tree. It is registered by one call, opened by name like the built-in ones,
 * and proved by another call: the conformance suite that they pass too.
 *
 *     cc own_engine.c -lanykv-conformance -lanykv -lpthread
 *
 * "shelf" is a sorted array in memory. A write makes a new array and puts it in
 * the place of the old one, so an array never changes once it can be seen: an
 * iterator or a snapshot just holds on to one. That makes a write cost as much
 * as the store has keys; what it gives is an engine that is easily seen to be
 * right. The front layer adds what it can from this: exists, get_many, count,
 * streams, and (by emulation) delete_range and merge.
 *
 * All that is shared is guarded by one mutex: `now`, and every count of refs.
 */
#include <anykv/conformance.h>
#include <anykv/engine.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

/* A key and its value; never changed after it is made. */
typedef struct shelf_pair {
    unsigned refs; /* arrays and values that hold it */
    size_t   key_len, value_len;
    uint8_t  bytes[]; /* key, then value */
} shelf_pair;

/* The store at one moment. */
typedef struct shelf_array {
    unsigned    refs; /* the store's, and each iterator's and snapshot's */
    size_t      n, room;
    shelf_pair *at[]; /* by key */
} shelf_array;

typedef struct shelf {
    const akv_allocator *mem;
    pthread_mutex_t      mu;
    shelf_array         *now; /* guarded by mu */
} shelf;

/* ------------------------------------------------------------------- memory */

static void *shelf_alloc(const shelf *s, size_t size)
{
    void *block = s->mem->alloc(s->mem->user, size);

    if (!block)
        akv_engine_fail(AKV_NOMEM, 0, NULL, AKV_NO_OFFSET, "shelf: no memory for %zu bytes", size);
    return block;
}

static void shelf_free(const shelf *s, void *block, size_t size)
{
    s->mem->release(s->mem->user, block, size);
}

static shelf_pair *shelf_pair_new(const shelf *s, akv_slice key, akv_slice value)
{
    shelf_pair *pair = shelf_alloc(s, sizeof *pair + key.len + value.len);

    if (!pair)
        return NULL;
    *pair = (shelf_pair){.refs = 1, .key_len = key.len, .value_len = value.len};
    if (key.len)
        memcpy(pair->bytes, key.data, key.len);
    if (value.len)
        memcpy(pair->bytes + key.len, value.data, value.len);
    return pair;
}

static void shelf_pair_drop(const shelf *s, shelf_pair *pair)
{
    if (--pair->refs == 0)
        shelf_free(s, pair, sizeof *pair + pair->key_len + pair->value_len);
}

static akv_slice shelf_key(const shelf_pair *pair)
{
    return akv_bytes(pair->bytes, pair->key_len);
}

static akv_slice shelf_value(const shelf_pair *pair)
{
    return akv_bytes(pair->bytes + pair->key_len, pair->value_len);
}

/* A copy of `from` (NULL: of nothing) with room for `more` pairs. */
static shelf_array *shelf_array_new(const shelf *s, const shelf_array *from, size_t more)
{
    size_t       n     = from ? from->n : 0;
    size_t       room  = n + more; /* pairs that exist, and an array of operations */
    shelf_array *array = shelf_alloc(s, sizeof *array + room * sizeof(shelf_pair *));

    if (!array)
        return NULL;
    array->refs = 1;
    array->n    = n;
    array->room = room;
    for (size_t i = 0; i < n; i++) {
        array->at[i] = from->at[i];
        array->at[i]->refs++;
    }
    return array;
}

static void shelf_array_drop(const shelf *s, shelf_array *array)
{
    if (--array->refs > 0)
        return;
    for (size_t i = 0; i < array->n; i++)
        shelf_pair_drop(s, array->at[i]);
    shelf_free(s, array, sizeof *array + array->room * sizeof(shelf_pair *));
}

/* ------------------------------------------------------------------- finding */

static int shelf_compare(akv_slice a, akv_slice b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    int    order = least ? memcmp(a.data, b.data, least) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* The first place whose key is not below `key`, up to n. */
static size_t shelf_place(const shelf_array *array, akv_slice key)
{
    size_t low = 0, high = array->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (shelf_compare(shelf_key(array->at[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool shelf_is_at(const shelf_array *array, size_t place, akv_slice key)
{
    return place < array->n && shelf_compare(shelf_key(array->at[place]), key) == 0;
}

/* ------------------------------------------------------------- open and close */

static akv_status shelf_open(const akv_open_args *args, void **impl_out, uint64_t *caps_out)
{
    shelf  head = {.mem = args->allocator};
    shelf *s;

    (void)caps_out; /* every handle has all that the table says */
    if (!(args->flags & AKV_OPEN_CREATE))
        return akv_engine_fail(AKV_IO, ENOENT, args->path, AKV_NO_OFFSET,
                               "a shelf is kept in memory only: open it with AKV_OPEN_CREATE");
    s = shelf_alloc(&head, sizeof *s);
    if (!s)
        return AKV_NOMEM;
    *s     = head;
    s->now = shelf_array_new(s, NULL, 0);
    if (!s->now) {
        shelf_free(s, s, sizeof *s);
        return AKV_NOMEM;
    }
    pthread_mutex_init(&s->mu, NULL);
    *impl_out = s;
    return AKV_OK;
}

static akv_status shelf_close(void *impl)
{
    shelf *s = impl;

    shelf_array_drop(s, s->now);
    pthread_mutex_destroy(&s->mu);
    s->mem->release(s->mem->user, s, sizeof *s);
    return AKV_OK;
}

/* -------------------------------------------------------------------- reading */

/* The value is lent, not copied: the pair stays until release. */
static akv_status shelf_get(void *impl, akv_slice key, const akv_read_options *opt,
                            akv_value *value_out)
{
    shelf             *s      = impl;
    akv_status         status = AKV_ABSENT;
    const shelf_array *array;
    size_t             place;

    pthread_mutex_lock(&s->mu);
    array = opt->snapshot ? akv_snapshot_impl(opt->snapshot) : s->now;
    place = shelf_place(array, key);
    if (shelf_is_at(array, place, key)) {
        shelf_pair *pair = array->at[place];

        pair->refs++;
        value_out->data = shelf_value(pair).data;
        value_out->len  = pair->value_len;
        value_out->pin  = pair;
        status          = AKV_OK;
    }
    pthread_mutex_unlock(&s->mu);
    return status;
}

static void shelf_release(void *impl, akv_value *value)
{
    shelf *s = impl;

    pthread_mutex_lock(&s->mu);
    shelf_pair_drop(s, value->pin);
    pthread_mutex_unlock(&s->mu);
}

static shelf_array *shelf_hold(shelf *s, const akv_snapshot *snapshot)
{
    shelf_array *array;

    pthread_mutex_lock(&s->mu);
    array = snapshot ? akv_snapshot_impl(snapshot) : s->now;
    array->refs++;
    pthread_mutex_unlock(&s->mu);
    return array;
}

static void shelf_let_go(shelf *s, shelf_array *array)
{
    pthread_mutex_lock(&s->mu);
    shelf_array_drop(s, array);
    pthread_mutex_unlock(&s->mu);
}

static akv_status shelf_snapshot_new(void *impl, void **snapshot_out)
{
    *snapshot_out = shelf_hold(impl, NULL);
    return AKV_OK;
}

static void shelf_snapshot_free(void *impl, void *snapshot)
{
    shelf_let_go(impl, snapshot);
}

/* ------------------------------------------------------------------ iterating */

/* The range is places [first, end) of an array that does not change. */
typedef struct shelf_iter {
    shelf       *s;
    shelf_array *array;
    size_t       first, end;
    size_t       at; /* 1 + the place it is on */
    bool         keys_only;
} shelf_iter;

static akv_status shelf_iter_new(void *impl, const akv_range *range, const akv_read_options *opt,
                                 void **iter_out)
{
    shelf      *s    = impl;
    shelf_iter *iter = shelf_alloc(s, sizeof *iter);

    if (!iter)
        return AKV_NOMEM;
    *iter           = (shelf_iter){.s = s, .array = shelf_hold(s, opt->snapshot)};
    iter->first     = shelf_place(iter->array, range->lower);
    iter->end       = range->has_upper ? shelf_place(iter->array, range->upper) : iter->array->n;
    iter->keys_only = range->keys_only;
    *iter_out       = iter;
    return AKV_OK;
}

static void shelf_iter_free(void *impl)
{
    shelf_iter *iter = impl;
    shelf      *s    = iter->s;

    shelf_let_go(s, iter->array);
    shelf_free(s, iter, sizeof *iter);
}

static akv_status shelf_iter_move(void *impl, akv_move move, akv_slice key, akv_entry *entry_out)
{
    shelf_iter *iter = impl;
    size_t      at   = iter->at; /* counted from 1, so that 0 is before the first */

    switch (move) {
    case AKV_MOVE_FIRST: at = iter->first + 1; break;
    case AKV_MOVE_LAST: at = iter->end; break;
    case AKV_MOVE_NEXT: at++; break;
    case AKV_MOVE_PREV: at--; break;
    case AKV_MOVE_SEEK: at = shelf_place(iter->array, key) + 1; break;
    case AKV_MOVE_SEEK_FOR_PREV:
        at = shelf_place(iter->array, key);
        at += shelf_is_at(iter->array, at, key);
        break;
    }
    if (at <= iter->first || at > iter->end)
        return AKV_END;
    iter->at       = at;
    entry_out->key = shelf_key(iter->array->at[at - 1]);
    if (!iter->keys_only) {
        entry_out->value.data = shelf_value(iter->array->at[at - 1]).data;
        entry_out->value.len  = iter->array->at[at - 1]->value_len;
    }
    return AKV_OK;
}

/* -------------------------------------------------------------------- writing */

static bool shelf_holds(const shelf_array *array, const akv_op *op)
{
    size_t place = shelf_place(array, op->key);
    bool   there = shelf_is_at(array, place, op->key);

    switch (op->condition) {
    case AKV_IF_ABSENT: return !there;
    case AKV_IF_PRESENT: return there;
    case AKV_IF_VALUE:
        return there && shelf_compare(shelf_value(array->at[place]), op->expected) == 0;
    default: return true;
    }
}

/* Apply one operation to an array that nobody else sees yet and that has room. */
static akv_status shelf_apply(const shelf *s, shelf_array *array, const akv_op *op)
{
    size_t       place = shelf_place(array, op->key);
    bool         there = shelf_is_at(array, place, op->key);
    shelf_pair **at    = &array->at[place];
    size_t       after = (array->n - place) * sizeof(shelf_pair *); /* bytes from here on */
    shelf_pair  *pair;

    if (op->kind == AKV_OP_PUT) {
        pair = shelf_pair_new(s, op->key, op->value);
        if (!pair)
            return AKV_NOMEM;
        if (there) {
            shelf_pair_drop(s, *at);
        } else {
            memmove(at + 1, at, after);
            array->n++;
        }
        *at = pair;
    } else if (op->kind == AKV_OP_DELETE && there) {
        shelf_pair_drop(s, *at);
        memmove(at, at + 1, after - sizeof(shelf_pair *));
        array->n--;
    }
    return AKV_OK;
}

/* With the mutex held: all operations or none. */
static akv_status shelf_write_locked(shelf *s, const akv_op *ops, size_t n,
                                     akv_write_result *result_out)
{
    akv_status   status = AKV_OK;
    shelf_array *next;

    for (size_t i = 0; i < n; i++)
        if (!shelf_holds(s->now, &ops[i])) {
            result_out->conflict_index = i;
            return AKV_CONFLICT;
        }
    next = shelf_array_new(s, s->now, n);
    if (!next)
        return AKV_NOMEM;
    for (size_t i = 0; i < n && status == AKV_OK; i++)
        status = shelf_apply(s, next, &ops[i]);
    if (status == AKV_OK) {
        shelf_array *last = s->now;

        s->now = next;
        next   = last;
    }
    shelf_array_drop(s, next);
    return status;
}

static akv_status shelf_write(void *impl, const akv_op *ops, size_t n, const akv_write_options *opt,
                              akv_write_result *result_out)
{
    shelf     *s = impl;
    akv_status status;

    (void)opt; /* there is nothing to sync, and nothing that takes long */
    pthread_mutex_lock(&s->mu);
    status = shelf_write_locked(s, ops, n, result_out);
    pthread_mutex_unlock(&s->mu);
    result_out->durability = AKV_REACHED_NOTHING;
    return status;
}

static akv_status shelf_sync(void *impl)
{
    (void)impl;
    return AKV_OK;
}

static void shelf_stats(void *impl, akv_stats *stats)
{
    shelf *s = impl;
    size_t n;

    pthread_mutex_lock(&s->mu);
    n = s->now->n;
    pthread_mutex_unlock(&s->mu);
    akv_stats_add(stats, AKV_STAT_GAUGE, "keys", "keys", n, "keys on the shelf");
}

/* --------------------------------------------------------------------- the table */

static const akv_engine shelf_engine = {
    .abi         = AKV_ENGINE_ABI,
    .size        = sizeof(akv_engine),
    .name        = "shelf",
    .description = "A sorted array in memory, for showing how an engine is made",
    .caps = AKV_CAP_READ | AKV_CAP_WRITE | AKV_CAP_ORDERED | AKV_CAP_BATCH | AKV_CAP_CONDITION |
            AKV_CAP_SNAPSHOT,
    .max_key       = 65535,
    .max_value     = UINT64_C(1) << 30,
    .open          = shelf_open,
    .close         = shelf_close,
    .get           = shelf_get,
    .release       = shelf_release,
    .iter_new      = shelf_iter_new,
    .iter_move     = shelf_iter_move,
    .iter_free     = shelf_iter_free,
    .write         = shelf_write,
    .sync          = shelf_sync,
    .snapshot_new  = shelf_snapshot_new,
    .snapshot_free = shelf_snapshot_free,
    .stats         = shelf_stats,
};

static int shelf_failed(const char *what)
{
    fprintf(stderr, "own_engine: %s: %s\n", what, akv_last_error()->text);
    return 1;
}

/* From here on it is an engine like any other. */
static int shelf_use(void)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv_iter        *iter;
    akv             *db;

    opt.flags    = AKV_OPEN_CREATE;
    opt.required = AKV_CAP_WRITE | AKV_CAP_ORDERED | AKV_CAP_DELETE_RANGE;
    if (akv_open("shelf", NULL, &opt, &db) != AKV_OK)
        return shelf_failed("akv_open");
    if (akv_put(db, akv_str("pear"), akv_str("green"), NULL) != AKV_OK ||
        akv_put(db, akv_str("apple"), akv_str("red"), NULL) != AKV_OK ||
        akv_put(db, akv_str("plum"), akv_str("blue"), NULL) != AKV_OK ||
        akv_delete_range(db, akv_str("pl"), akv_str("pm"), NULL) != AKV_OK)
        return shelf_failed("writing");
    if (akv_scan(db, NULL, &iter) != AKV_OK)
        return shelf_failed("akv_scan");
    while (akv_iter_next(iter) == AKV_OK) {
        akv_slice key = akv_iter_key(iter), value = akv_iter_value(iter);

        printf("# %.*s is %.*s\n", (int)key.len, (const char *)key.data, (int)value.len,
               (const char *)value.data);
    }
    akv_iter_free(iter);
    return akv_close(db) == AKV_OK ? 0 : shelf_failed("akv_close");
}

int main(void)
{
    akv_conformance_options opt = AKV_CONFORMANCE_OPTIONS_INIT;

    if (akv_register(&shelf_engine) != AKV_OK)
        return shelf_failed("akv_register");
    if (shelf_use() != 0)
        return 1;
    opt.table = &shelf_engine;
    opt.flags = AKV_CONFORMANCE_NO_PATH;
    return akv_conformance_run(&opt) == 0 ? 0 : 1;
}
