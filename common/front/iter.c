/* SPDX-License-Identifier: MIT
 *
 * iter.c: iterators. The caller's bounds become one range, reverse swaps the
 * moves, and past an end the iterator knows which end, so that the engine only
 * sees moves that make sense where it stands.
 *
 * Invariants:
 *  1. `place` says where the source stands, in key order: before its first
 *     entry, on one, or past its last. A failed move does not change it, so the
 *     same move may be tried again.
 *  2. `entry` is empty unless `valid`.
 *  3. `ready` entries may be returned before limit, deadline and cancel token
 *     must be looked at.
 */
#include "common/front/front.h"

#include "common/base/bytes.h"
#include "common/base/options.h"

typedef enum iter_place {
    ITER_LOW  = 0, /* before the first */
    ITER_ON   = 1,
    ITER_HIGH = 2 /* past the last */
} iter_place;

struct akv_iter {
    akv        *db;
    akvi_pin    pin;
    akvi_source source;
    uint64_t    ready;
    iter_place  place;
    bool        valid;
    bool        reverse;
    bool        ordered;
    akv_entry   entry;

    uint64_t         moves, bytes; /* counted when it is freed */
    uint64_t         limit_left;   /* UINT64_MAX: none */
    akv_range        range;
    akv_read_options read;
    uint8_t         *bounds; /* the range's bytes */
    size_t           bounds_size;
};

static const akv_entry iter_empty = {.key = {NULL, 0}};
static const akv_slice iter_no_key;

/* ------------------------------------------------------------------ opening */

static akv_status iter_options(const akv *db, const akv_scan_options *opt,
                               akv_scan_options *full_out)
{
    const akv_scan_options  defaults = AKV_SCAN_OPTIONS_INIT;
    const akv_read_options *read;
    akv_read_options        copy;
    akv_status              status = AKV_OK;

    *full_out = defaults;
    if (opt)
        status = akvi_options_copy(full_out, sizeof *full_out, opt, "akv_scan_options");
    if (status != AKV_OK)
        return status;
    full_out->size = sizeof *full_out;
    if ((full_out->flags & ~(AKV_SCAN_REVERSE | AKV_SCAN_KEYS_ONLY | AKV_SCAN_UPPER)) != 0 ||
        full_out->reserved != 0)
        return AKV_FAIL(AKV_MISUSE, "akv_scan_options: flags has unknown bits (0x%x)",
                        full_out->flags);
    if ((!full_out->lower.data && full_out->lower.len) ||
        (!full_out->upper.data && full_out->upper.len) ||
        (!full_out->prefix.data && full_out->prefix.len))
        return AKV_FAIL(AKV_MISUSE, "akv_scan_options: a bound is NULL with a length");
    /* `read` is last, so what a longer one adds was found zero just now */
    if (full_out->read.size > sizeof full_out->read) {
        size_t more = opt->size > sizeof *opt ? opt->size - sizeof *opt : 0;

        if (full_out->read.size - sizeof full_out->read > more)
            return AKV_FAIL(AKV_MISUSE,
                            "akv_scan_options: read is longer than the struct around it");
        full_out->read.size = sizeof full_out->read;
    }
    status = akvi_read_options(db, &full_out->read, &copy, &read);
    if (status == AKV_OK)
        full_out->read = *read;
    return status;
}

static int iter_compare(akv_slice a, akv_slice b)
{
    return akvi_compare(a.data, a.len, b.data, b.len);
}

/* Cut `prefix` down to the bytes whose last one can grow: with that one grown
 * they are the least key past all that begin with the prefix. 0: there is none. */
static size_t iter_prefix_len(akv_slice prefix)
{
    const uint8_t *p = prefix.data;
    size_t         n = prefix.len;

    while (n > 0 && p[n - 1] == 0xff)
        n--;
    return n;
}

static akv_status iter_set_range(akv_iter *it, const akv_scan_options *opt)
{
    akv_slice lower = iter_compare(opt->lower, opt->prefix) < 0 ? opt->prefix : opt->lower;
    size_t    grown = iter_prefix_len(opt->prefix);
    size_t    room  = grown > opt->upper.len ? grown : opt->upper.len;
    akv_slice upper;
    uint8_t  *at;

    if (!akvi_add_size(lower.len, room, &it->bounds_size))
        return AKV_FAIL(AKV_TOO_BIG, "the bounds are longer than memory");
    it->bounds = akvi_alloc(akvi_mem(it->db), it->bounds_size);
    if (!it->bounds)
        return AKV_NOMEM;
    at = it->bounds + lower.len;
    if (lower.len)
        memcpy(it->bounds, lower.data, lower.len);
    it->range.keys_only = (opt->flags & AKV_SCAN_KEYS_ONLY) != 0;
    it->range.lower     = akv_bytes(it->bounds, lower.len);
    it->range.has_upper = opt->upper.len != 0 || (opt->flags & AKV_SCAN_UPPER);
    upper               = opt->upper;
    if (grown) {
        memcpy(at, opt->prefix.data, grown);
        at[grown - 1]++;
        if (!it->range.has_upper || iter_compare(akv_bytes(at, grown), upper) < 0)
            upper = akv_bytes(at, grown);
        it->range.has_upper = true;
    }
    if (upper.len && upper.data != at)
        memcpy(at, upper.data, upper.len);
    it->range.upper = akv_bytes(at, upper.len);
    /* an empty range, put so that no engine needs to care */
    if (it->range.has_upper && iter_compare(it->range.lower, it->range.upper) > 0)
        it->range.lower = it->range.upper;
    return AKV_OK;
}

akv_status akvi_iter_new(akv *db, const akv_scan_options *opt, akv_iter **iter_out)
{
    akv_scan_options full;
    akv_iter        *it;
    akv_status       status = akvi_need(db, AKV_CAP_READ);

    if (status == AKV_OK)
        status = iter_options(db, opt, &full);
    if (status == AKV_OK && (full.flags & (AKV_SCAN_REVERSE | AKV_SCAN_UPPER) || full.lower.len ||
                             full.upper.len || full.prefix.len))
        status = akvi_need(db, AKV_CAP_ORDERED);
    if (status != AKV_OK)
        return status;
    it = akvi_zalloc(akvi_mem(db), sizeof *it);
    if (!it)
        return AKV_NOMEM;
    it->db         = db;
    it->reverse    = (full.flags & AKV_SCAN_REVERSE) != 0;
    it->ordered    = (akvi_caps(db) & AKV_CAP_ORDERED) != 0;
    it->place      = it->reverse ? ITER_HIGH : ITER_LOW;
    it->limit_left = full.limit ? full.limit : UINT64_MAX;
    it->read       = full.read;
    akvi_live_add(db, AKVI_KIND_ITER);
    akvi_pin_add(db, AKVI_PIN_ITER, &it->pin);
    status = iter_set_range(it, &full);
    if (status == AKV_OK)
        *iter_out = it;
    else
        akvi_iter_free(it);
    return status;
}

const akv_range *akvi_iter_range(const akv_iter *it)
{
    return &it->range;
}

const akv_read_options *akvi_iter_read(const akv_iter *it)
{
    return &it->read;
}

void akvi_iter_start(akv_iter *it, akvi_source source)
{
    it->source = source;
    akvi_count(it->db, AKVI_CELL_SCANS, 1);
}

void akvi_iter_free(akv_iter *it)
{
    akv *db = it->db;

    akvi_pin_drop(db, AKVI_PIN_ITER, &it->pin);
    if (it->source.free)
        it->source.free(it->source.impl);
    akvi_count(db, AKVI_CELL_MOVES, it->moves);
    akvi_count(db, AKVI_CELL_READ_BYTES, it->bytes);
    akvi_free(akvi_mem(db), it->bounds, it->bounds_size);
    akvi_free(akvi_mem(db), it, sizeof *it);
    akvi_live_drop(db, AKVI_KIND_ITER);
}

akv_status akv_scan(akv *db, const akv_scan_options *opt, akv_iter **iter_out)
{
    akv_status  status = akvi_enter(db, __func__);
    akvi_source source = {NULL, NULL, NULL};
    akv_iter   *it;

    if (iter_out)
        *iter_out = NULL;
    if (status != AKV_OK)
        return status;
    if (!iter_out)
        return akvi_leave(db, akvi_null(__func__, "iter_out"));
    status = akvi_iter_new(db, opt, &it);
    if (status != AKV_OK)
        return akvi_leave(db, status);
    status = db->engine->iter_new(db->impl, &it->range, &it->read, &source.impl);
    if (status != AKV_OK) {
        akvi_iter_free(it);
        return akvi_leave(db, status);
    }
    source.move = db->engine->iter_move;
    source.free = db->engine->iter_free;
    akvi_iter_start(it, source);
    *iter_out = it;
    return AKV_OK;
}

void akv_iter_free(akv_iter *it)
{
    if (it && akvi_is_live(it->db))
        akvi_iter_free(it);
}

/* ------------------------------------------------------------------- moving */

/* On no entry, for the reason that `status` is. */
static akv_status iter_stop(akv_iter *it, akv_status status)
{
    it->valid = false;
    it->entry = iter_empty;
    return status;
}

static akv_status iter_off(akv_iter *it, iter_place end)
{
    it->place = end;
    return iter_stop(it, AKV_END);
}

/* Look at limit, deadline and token; let some more entries pass. */
static akv_status iter_look(akv_iter *it)
{
    bool       watched = it->read.deadline_ns != 0 || it->read.cancel;
    akv_status status  = AKV_OK;

    if (it->limit_left == 0)
        return AKV_END;
    if (watched)
        status = akv_interrupted(it->read.deadline_ns, it->read.cancel);
    if (status != AKV_OK)
        return status;
    it->ready = watched ? AKVI_CHECK_EVERY : UINT64_MAX - 1;
    if (it->ready > it->limit_left)
        it->ready = it->limit_left;
    if (it->limit_left != UINT64_MAX)
        it->limit_left -= it->ready;
    return AKV_OK;
}

static inline akv_status iter_move(akv_iter *it, akv_move move, akv_slice key, iter_place end)
{
    akv_status status;

    if (AKVI_UNLIKELY(it->ready == 0)) {
        status = iter_look(it);
        if (status != AKV_OK)
            return iter_stop(it, status);
    }
    status = it->source.move(it->source.impl, move, key, &it->entry);
    if (AKVI_UNLIKELY(status != AKV_OK))
        return status == AKV_END ? iter_off(it, end) : iter_stop(it, status);
    it->place = ITER_ON;
    it->valid = true;
    it->ready--;
    it->moves++;
    it->bytes += it->entry.key.len + it->entry.value.len;
    return AKV_OK;
}

/* A move to a place that has to be looked for. */
static akv_status iter_jump(akv_iter *it, akv_move move, akv_slice key, iter_place end)
{
    akv        *db    = it->db;
    unsigned    slot  = akvi_slot();
    akvi_cells *cells = &db->cells[slot];
    uint64_t    begin_ns;
    akv_status  status;

    if (!akvi_count_call(db, cells, slot, AKVI_CELL_SEEKS))
        return iter_move(it, move, key, end);
    begin_ns = akvi_clock(db);
    status   = iter_move(it, move, key, end);
    akvi_timed(db, AKVI_LATENCY_SEEK, begin_ns);
    return status;
}

static akv_status iter_smallest(akv_iter *it)
{
    return iter_jump(it, AKV_MOVE_FIRST, iter_no_key, ITER_HIGH);
}

static akv_status iter_largest(akv_iter *it)
{
    akv_status status = it->ordered ? AKV_OK : akvi_need(it->db, AKV_CAP_ORDERED);

    if (status != AKV_OK)
        return iter_stop(it, status);
    return iter_jump(it, AKV_MOVE_LAST, iter_no_key, ITER_LOW);
}

static inline akv_status iter_up(akv_iter *it)
{
    if (AKVI_LIKELY(it->place == ITER_ON))
        return iter_move(it, AKV_MOVE_NEXT, iter_no_key, ITER_HIGH);
    return it->place == ITER_LOW ? iter_smallest(it) : iter_off(it, ITER_HIGH);
}

static inline akv_status iter_down(akv_iter *it)
{
    if (AKVI_UNLIKELY(!it->ordered))
        return iter_stop(it, akvi_need(it->db, AKV_CAP_ORDERED));
    if (AKVI_LIKELY(it->place == ITER_ON))
        return iter_move(it, AKV_MOVE_PREV, iter_no_key, ITER_LOW);
    return it->place == ITER_HIGH ? iter_largest(it) : iter_off(it, ITER_LOW);
}

akv_status akv_iter_next(akv_iter *it)
{
    akv_status status = it ? akvi_enter(it->db, __func__) : akvi_refuse_null(__func__, "iter");

    if (AKVI_UNLIKELY(status != AKV_OK))
        return status;
    return akvi_leave(it->db, it->reverse ? iter_down(it) : iter_up(it));
}

akv_status akv_iter_prev(akv_iter *it)
{
    akv_status status = it ? akvi_enter(it->db, __func__) : akvi_refuse_null(__func__, "iter");

    if (AKVI_UNLIKELY(status != AKV_OK))
        return status;
    return akvi_leave(it->db, it->reverse ? iter_up(it) : iter_down(it));
}

akv_status akv_iter_first(akv_iter *it)
{
    akv_status status = it ? akvi_enter(it->db, __func__) : akvi_refuse_null(__func__, "iter");

    if (status != AKV_OK)
        return status;
    return akvi_leave(it->db, it->reverse ? iter_largest(it) : iter_smallest(it));
}

akv_status akv_iter_last(akv_iter *it)
{
    akv_status status = it ? akvi_enter(it->db, __func__) : akvi_refuse_null(__func__, "iter");

    if (status != AKV_OK)
        return status;
    return akvi_leave(it->db, it->reverse ? iter_smallest(it) : iter_largest(it));
}

/* ------------------------------------------------------------------- seeking */

static akv_status iter_check_seek(const akv_iter *it, akv_slice key)
{
    if (!key.data && key.len != 0)
        return AKV_FAIL(AKV_MISUSE, "the key is NULL with a length of %zu", key.len);
    return akvi_need(it->db, AKV_CAP_ORDERED);
}

static akv_status iter_seek(akv_iter *it, akv_slice key)
{
    if (iter_compare(key, it->range.lower) < 0)
        key = it->range.lower;
    if (it->range.has_upper && iter_compare(key, it->range.upper) >= 0)
        return iter_off(it, ITER_HIGH);
    return iter_jump(it, AKV_MOVE_SEEK, key, ITER_HIGH);
}

static akv_status iter_seek_for_prev(akv_iter *it, akv_slice key)
{
    if (iter_compare(key, it->range.lower) < 0)
        return iter_off(it, ITER_LOW);
    if (it->range.has_upper && iter_compare(key, it->range.upper) >= 0)
        return iter_largest(it);
    return iter_jump(it, AKV_MOVE_SEEK_FOR_PREV, key, ITER_LOW);
}

akv_status akv_iter_seek(akv_iter *it, akv_slice key)
{
    akv_status status = it ? akvi_enter(it->db, __func__) : akvi_refuse_null(__func__, "iter");

    if (status != AKV_OK)
        return status;
    status = iter_check_seek(it, key);
    return akvi_leave(it->db, status == AKV_OK ? iter_seek(it, key) : iter_stop(it, status));
}

akv_status akv_iter_seek_for_prev(akv_iter *it, akv_slice key)
{
    akv_status status = it ? akvi_enter(it->db, __func__) : akvi_refuse_null(__func__, "iter");

    if (status != AKV_OK)
        return status;
    status = iter_check_seek(it, key);
    return akvi_leave(it->db,
                      status == AKV_OK ? iter_seek_for_prev(it, key) : iter_stop(it, status));
}

/* ------------------------------------------------------------------ the entry */

bool akv_iter_valid(const akv_iter *it)
{
    return it && it->valid;
}

akv_slice akv_iter_key(const akv_iter *it)
{
    return it ? it->entry.key : iter_no_key;
}

akv_slice akv_iter_value(const akv_iter *it)
{
    return it ? akv_bytes(it->entry.value.data, it->entry.value.len) : iter_no_key;
}

const akv_value *akv_iter_item(const akv_iter *it)
{
    return it ? &it->entry.value : &iter_empty.value;
}
