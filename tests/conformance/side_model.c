/* SPDX-License-Identifier: MIT
 *
 * side_model.c: steps carried out on sorted arrays. Written for being right at
 * a glance: views are copies, and time drops what it ends.
 */
#include "tests/conformance/model.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct model_iter {
    bool     open, keys_only;
    akvc_map map; /* what it meets, in key order */
    size_t   at;  /* 1 + place; 0 before the first, n + 1 past the last; in its direction */
    bool     reverse;
} model_iter;

typedef struct model_moment {
    bool     open;
    akvc_map spaces[AKVC_SPACES];
} model_moment;

typedef struct model_side {
    akvc_side    base;
    uint64_t     caps;
    akvc_map     spaces[AKVC_SPACES];
    uint64_t     now, versions;
    uint64_t     noted[AKVC_SLOTS];
    model_iter   iters[AKVC_SLOTS];
    model_moment moments[AKVC_SLOTS];
} model_side;

/* ---------------------------------------------------------------------- saying */

void akvc_say(akvc_side *side, const char *fmt, ...)
{
    char    piece[200];
    va_list args;

    va_start(args, fmt);
    vsnprintf(piece, sizeof piece, fmt, args);
    va_end(args);
    akv_buffer_append(&side->answer, piece, strlen(piece));
}

void akvc_say_bytes(akvc_side *side, akv_slice bytes)
{
    const uint8_t *p = bytes.data;
    uint64_t       h = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < bytes.len; i++) {
        h = (h ^ p[i]) * UINT64_C(1099511628211);
        if (i < 24)
            akvc_say(side, p[i] > 0x20 && p[i] < 0x7f ? "%c" : "\\x%02x", p[i]);
    }
    if (bytes.len > 24)
        akvc_say(side, "...%zu#%08x", bytes.len, (unsigned)(h ^ h >> 32));
}

void akvc_say_value(akvc_side *side, akv_slice value, uint32_t encoding, bool expires)
{
    akvc_say(side, "=");
    akvc_say_bytes(side, value);
    if (encoding)
        akvc_say(side, " encoding=%u", encoding);
    if (expires)
        akvc_say(side, " expires");
}

static void model_say_record(model_side *m, const akvc_record *record, bool keys_only)
{
    akvc_say_bytes(&m->base, record->key);
    if (!keys_only)
        akvc_say_value(&m->base, record->value, record->encoding, record->expiry != 0);
    akvc_say(&m->base, "\n");
}

static void model_say_status(model_side *m, akv_status status)
{
    akvc_say(&m->base, "%s ", akv_status_name(status));
}

/* --------------------------------------------------------------------- writing */

static bool model_judge(const model_side *m, unsigned space, const akvc_sub *op)
{
    const akvc_record *record = akvc_map_find(&m->spaces[space], op->key);

    switch (op->condition) {
    case AKV_IF_ANY: return true;
    case AKV_IF_ABSENT: return !record;
    case AKV_IF_PRESENT: return record != NULL;
    case AKV_IF_VALUE: return record && akvc_equal(record->value, op->expected);
    case AKV_IF_VERSION: return record && record->version == m->noted[op->version];
    }
    return false;
}

static void model_put(model_side *m, unsigned space, akv_slice key, akv_slice value,
                      uint64_t expiry, uint32_t encoding)
{
    akvc_record record = {key, value, expiry, ++m->versions, encoding};

    akvc_map_put(m->base.r, &m->spaces[space], &record);
}

/* Put what is there, if anything, and `more` after it. */
static void model_append(model_side *m, unsigned space, akv_slice key, akv_slice more,
                         uint64_t expiry, uint32_t encoding)
{
    const akvc_record *record = akvc_map_find(&m->spaces[space], key);
    akv_buffer         joined = AKV_BUFFER_INIT;

    if (record)
        OK(m->base.r, akv_buffer_append(&joined, record->value.data, record->value.len));
    OK(m->base.r, akv_buffer_append(&joined, more.data, more.len));
    model_put(m, space, key, akv_bytes(joined.data, joined.len), expiry, encoding);
    akv_buffer_free(&joined);
}

/* Carry out an operation whose condition holds. */
static akv_status model_apply(model_side *m, unsigned space, const akvc_sub *op)
{
    akvc_map    *map    = &m->spaces[space];
    akvc_record *record = akvc_map_find(map, op->key);
    uint64_t     expiry = op->ttl_ms ? m->now + op->ttl_ms : 0;

    switch (op->kind) {
    case AKVC_PUT: model_put(m, space, op->key, op->value, expiry, op->encoding); break;
    case AKVC_DELETE: akvc_map_remove(map, op->key); break;
    case AKVC_DELETE_RANGE: akvc_map_remove_range(map, op->key, op->upper); break;
    case AKVC_MERGE: /* expiry and tag stay */
        model_append(m, space, op->key, op->value, record ? record->expiry : 0,
                     record ? record->encoding : 0);
        break;
    case AKVC_EXPIRE:
    case AKVC_PERSIST:
        if (!record)
            return AKV_ABSENT;
        record->expiry = expiry;
        break;
    default: break;
    }
    return AKV_OK;
}

static void model_write(model_side *m, const akvc_step *step)
{
    bool holds = model_judge(m, step->space, &step->op);

    model_say_status(m, holds ? model_apply(m, step->space, &step->op) : AKV_CONFLICT);
}

static void model_batch(model_side *m, const akvc_step *step)
{
    for (unsigned i = 0; i < step->n; i++)
        if (!model_judge(m, step->space, &step->subs[i])) {
            akvc_say(&m->base, "AKV_CONFLICT at %u", i);
            return;
        }
    for (unsigned i = 0; i < step->n; i++)
        model_apply(m, step->space, &step->subs[i]);
    model_say_status(m, AKV_OK);
}

/* The transaction's own last write of the key before operation `before`. */
static const akvc_sub *model_own_write(const akvc_step *step, akv_slice key, unsigned before)
{
    for (unsigned i = before; i-- > 0;)
        if (step->subs[i].kind != AKVC_GET && akvc_equal(step->subs[i].key, key))
            return &step->subs[i];
    return NULL;
}

static void model_txn(model_side *m, const akvc_step *step)
{
    const akvc_map *map              = &m->spaces[step->space];
    uint64_t        read[AKVC_SUBS]  = {0};
    bool            reads[AKVC_SUBS] = {false};
    bool            wins             = true;

    for (unsigned i = 0; i < step->n; i++) {
        const akvc_sub    *op     = &step->subs[i];
        const akvc_sub    *own    = model_own_write(step, op->key, i);
        const akvc_record *record = akvc_map_find(map, op->key);

        if (op->kind != AKVC_GET) {
            model_say_status(m, AKV_OK);
            continue;
        }
        reads[i] = !own;
        read[i]  = record ? record->version : 0;
        if (own ? own->kind == AKVC_PUT : record != NULL) {
            model_say_status(m, AKV_OK);
            akvc_say_bytes(&m->base, own ? own->value : record->value);
        } else {
            model_say_status(m, AKV_ABSENT);
        }
    }
    model_apply(m, step->space, &step->op);
    for (unsigned i = 0; i < step->n; i++) {
        const akvc_record *record = akvc_map_find(map, step->subs[i].key);

        wins = wins && (!reads[i] || read[i] == (record ? record->version : 0));
    }
    for (unsigned i = 0; i < step->n && wins && step->commit; i++)
        model_apply(m, step->space, &step->subs[i]);
    if (step->commit)
        model_say_status(m, wins ? AKV_OK : AKV_CONFLICT);
}

static void model_stream_write(model_side *m, const akvc_step *step)
{
    uint64_t expiry = step->op.ttl_ms ? m->now + step->op.ttl_ms : 0;

    if (step->commit && step->append)
        model_append(m, step->space, step->op.key, step->op.value, expiry, step->op.encoding);
    else if (step->commit)
        model_put(m, step->space, step->op.key, step->op.value, expiry, step->op.encoding);
    model_say_status(m, AKV_OK);
}

static void model_note_version(model_side *m, const akvc_step *step)
{
    const akvc_record *record = akvc_map_find(&m->spaces[step->space], step->op.key);

    m->noted[step->slot] = record ? record->version : 0;
    model_say_status(m, record ? AKV_OK : AKV_ABSENT);
}

/* --------------------------------------------------------------------- reading */

static const akvc_map *model_view(const model_side *m, const akvc_step *step)
{
    if (step->snapshot >= 0 && m->moments[step->snapshot].open)
        return &m->moments[step->snapshot].spaces[step->space];
    return &m->spaces[step->space];
}

static void model_get(model_side *m, const akvc_map *map, akv_slice key)
{
    const akvc_record *record = akvc_map_find(map, key);

    model_say_status(m, record ? AKV_OK : AKV_ABSENT);
    if (record)
        akvc_say_value(&m->base, record->value, record->encoding, record->expiry != 0);
}

static void model_stream_read(model_side *m, const akvc_step *step)
{
    const akvc_record *record = akvc_map_find(model_view(m, step), step->op.key);
    size_t             offset = (size_t)step->offset, left;

    model_say_status(m, record ? AKV_OK : AKV_ABSENT);
    if (!record)
        return;
    akvc_say(&m->base, "of %zu: ", record->value.len);
    model_say_status(m, offset < record->value.len ? AKV_OK : AKV_END);
    left = offset < record->value.len ? record->value.len - offset : 0;
    if (left)
        akvc_say_bytes(&m->base, akv_bytes((const char *)record->value.data + offset,
                                           left < step->len ? left : step->len));
}

static bool model_meets(const akvc_step *step, akv_slice key)
{
    bool upper = step->upper.len != 0 || (step->flags & AKV_SCAN_UPPER);

    return akvc_compare(key, step->lower) >= 0 && (!upper || akvc_compare(key, step->upper) < 0) &&
           key.len >= step->prefix.len &&
           akvc_equal(akv_bytes(key.data, step->prefix.len), step->prefix);
}

static void model_scan(model_side *m, const akvc_step *step)
{
    const akvc_map *map = model_view(m, step);
    uint64_t        n   = 0;

    for (size_t i = 0; i < map->n && (step->limit == 0 || n < step->limit); i++) {
        size_t at = step->flags & AKV_SCAN_REVERSE ? map->n - 1 - i : i;

        if (!model_meets(step, map->at[at].key))
            continue;
        model_say_record(m, &map->at[at], step->flags & AKV_SCAN_KEYS_ONLY);
        n++;
    }
    model_say_status(m, AKV_END);
}

/* ------------------------------------------------------------------- iterators */

static void model_iter_free(model_iter *iter)
{
    akvc_map_free(&iter->map);
    iter->open = false;
}

static void model_iter_new(model_side *m, const akvc_step *step)
{
    const akvc_map *map  = model_view(m, step);
    model_iter     *iter = &m->iters[step->slot];

    model_iter_free(iter);
    *iter = (model_iter){.open      = true,
                         .reverse   = (step->flags & AKV_SCAN_REVERSE) != 0,
                         .keys_only = (step->flags & AKV_SCAN_KEYS_ONLY) != 0};
    for (size_t i = 0; i < map->n; i++)
        if (model_meets(step, map->at[i].key))
            akvc_map_put(m->base.r, &iter->map, &map->at[i]);
    model_say_status(m, AKV_OK);
}

/* Where the seeks go, in the iterator's direction. */
static size_t model_seek(const model_iter *iter, akv_slice key, bool for_prev)
{
    size_t n     = iter->map.n;
    size_t place = akvc_map_bound(&iter->map, key) + 1; /* 1..n + 1, in key order */

    if (for_prev && !(place <= n && akvc_equal(iter->map.at[place - 1].key, key)))
        place--;
    return iter->reverse ? n + 1 - place : place;
}

static void model_iter_move(model_side *m, const akvc_step *step)
{
    model_iter *iter = &m->iters[step->slot];
    size_t      n    = iter->map.n;

    if (!iter->open) {
        akvc_say(&m->base, "no iterator");
        return;
    }
    switch (step->move) {
    case AKV_MOVE_FIRST: iter->at = n ? 1 : iter->at; break;
    case AKV_MOVE_LAST: iter->at = n ? n : iter->at; break;
    case AKV_MOVE_NEXT: iter->at += iter->at <= n; break;
    case AKV_MOVE_PREV: iter->at -= iter->at > 0; break;
    case AKV_MOVE_SEEK: iter->at = model_seek(iter, step->op.key, false); break;
    case AKV_MOVE_SEEK_FOR_PREV: iter->at = model_seek(iter, step->op.key, true); break;
    }
    model_say_status(m, iter->at >= 1 && iter->at <= n ? AKV_OK : AKV_END);
    if (iter->at >= 1 && iter->at <= n)
        model_say_record(m, &iter->map.at[iter->reverse ? n - iter->at : iter->at - 1],
                         iter->keys_only);
}

/* ----------------------------------------------------------- moments, all of it */

static void model_moment_free(model_moment *moment)
{
    for (unsigned i = 0; i < AKVC_SPACES; i++)
        akvc_map_free(&moment->spaces[i]);
    moment->open = false;
}

static void model_moment_new(model_side *m, unsigned slot)
{
    model_moment_free(&m->moments[slot]);
    m->moments[slot].open = true;
    for (unsigned i = 0; i < AKVC_SPACES; i++)
        m->moments[slot].spaces[i] = akvc_map_copy(m->base.r, &m->spaces[i]);
    model_say_status(m, AKV_OK);
}

static void model_drop_views(model_side *m)
{
    for (unsigned i = 0; i < AKVC_SLOTS; i++) {
        model_iter_free(&m->iters[i]);
        model_moment_free(&m->moments[i]);
    }
}

static void model_advance(model_side *m)
{
    model_drop_views(m);
    m->now += AKVC_TTL_UNIT;
    for (unsigned i = 0; i < AKVC_SPACES; i++)
        akvc_map_purge(&m->spaces[i], m->now);
}

static void model_reopen(model_side *m)
{
    model_drop_views(m);
    memset(m->noted, 0, sizeof m->noted);
}

static void model_dump(model_side *m)
{
    for (unsigned i = 0; i < (m->caps & AKV_CAP_KEYSPACES ? AKVC_SPACES : 1); i++) {
        akvc_say(&m->base, "space %u: %zu keys\n", i, m->spaces[i].n);
        for (size_t k = 0; k < m->spaces[i].n; k++)
            model_say_record(m, &m->spaces[i].at[k], false);
    }
}

static void model_read_step(model_side *m, const akvc_step *step)
{
    const akvc_map *map = model_view(m, step);

    switch (step->kind) {
    case AKVC_GET: model_get(m, map, step->op.key); break;
    case AKVC_EXISTS:
        model_say_status(m, akvc_map_find(map, step->op.key) ? AKV_OK : AKV_ABSENT);
        break;
    case AKVC_GET_MANY:
        for (unsigned i = 0; i < step->n; i++)
            model_get(m, map, step->subs[i].key);
        break;
    case AKVC_COUNT: akvc_say(&m->base, "AKV_OK %zu", map->n); break;
    case AKVC_SCAN: model_scan(m, step); break;
    case AKVC_STREAM_READ: model_stream_read(m, step); break;
    case AKVC_ITER_NEW: model_iter_new(m, step); break;
    case AKVC_ITER_MOVE: model_iter_move(m, step); break;
    case AKVC_ITER_FREE: model_iter_free(&m->iters[step->slot]); break;
    case AKVC_SNAPSHOT_NEW: model_moment_new(m, step->slot); break;
    case AKVC_SNAPSHOT_FREE: model_moment_free(&m->moments[step->slot]); break;
    default: break;
    }
}

static void model_step(akvc_side *side, const akvc_step *step)
{
    model_side *m = (model_side *)side;

    switch (step->kind) {
    case AKVC_PUT:
    case AKVC_DELETE:
    case AKVC_DELETE_RANGE:
    case AKVC_MERGE:
    case AKVC_EXPIRE:
    case AKVC_PERSIST: model_write(m, step); break;
    case AKVC_BATCH: model_batch(m, step); break;
    case AKVC_TXN: model_txn(m, step); break;
    case AKVC_STREAM_WRITE: model_stream_write(m, step); break;
    case AKVC_NOTE_VERSION: model_note_version(m, step); break;
    case AKVC_ADVANCE: model_advance(m); break;
    case AKVC_DROP_SPACE:
        model_drop_views(m);
        akvc_map_free(&m->spaces[step->space]);
        break;
    case AKVC_REOPEN:
        model_reopen(m);
        model_dump(m);
        break;
    case AKVC_CHECKPOINT:
    case AKVC_FINISH:
    case AKVC_DUMP: model_dump(m); break;
    default: model_read_step(m, step); break;
    }
}

static void model_end(akvc_side *side)
{
    model_side *m = (model_side *)side;

    model_drop_views(m);
    for (unsigned i = 0; i < AKVC_SPACES; i++)
        akvc_map_free(&m->spaces[i]);
    akv_buffer_free(&side->answer);
    free(m);
}

akvc_side *akvc_side_model(akvc_run *r, const akvc_script *s)
{
    model_side *m = calloc(1, sizeof *m);

    CHECK(r, m != NULL);
    m->base = (akvc_side){.r = r, .name = "the model", .step = model_step, .end = model_end};
    m->caps = s->caps;
    return &m->base;
}
