/* SPDX-License-Identifier: MIT
 *
 * read.c: reading by key. akv_get is what everything here is measured by: on
 * its straight path it makes one call, the engine's, and takes no lock.
 */
#include "common/front/front.h"

#include "common/base/buffer.h"

#include <inttypes.h>

static const akv_value        read_empty    = AKV_VALUE_INIT;
static const akv_read_options read_defaults = AKV_READ_OPTIONS_INIT;

/* ------------------------------------------------- a get, checked and counted */

static akv_status read_timed(akv *db, akv_slice key, const akv_read_options *opt,
                             akv_value *value_out)
{
    uint64_t   begin_ns = akvi_clock(db);
    akv_status status   = db->get(db->impl, key, opt, value_out);

    akvi_timed(db, AKVI_LATENCY_GET, begin_ns);
    return status;
}

/* Count a get that returned no value, and leave none. */
static akv_status read_none(akv *db, akv_status status, akv_value *value_out)
{
    akvi_count(db, AKVI_CELL_GETS_NONE, 1);
    akvi_count(db, AKVI_CELL_MISSES, status == AKV_ABSENT);
    *value_out = read_empty;
    return status;
}

/* The engine's get with its counting, from checked arguments. */
static akv_status read_get(akv *db, akv_slice key, const akv_read_options *opt,
                           akv_value *value_out)
{
    unsigned    slot  = akvi_slot();
    akvi_cells *cells = &db->cells[slot];
    akv_status  status;

    memset(value_out, 0, sizeof *value_out);
    if (AKVI_UNLIKELY(akvi_count_call(db, cells, slot, AKVI_CELL_GETS)))
        status = read_timed(db, key, opt, value_out);
    else
        status = db->get(db->impl, key, opt, value_out);
    if (AKVI_UNLIKELY(status != AKV_OK))
        return read_none(db, status, value_out);
    value_out->db = db;
    return AKV_OK;
}

/* Give back a value that read_get filled. */
static void read_release(akv *db, akv_value *value)
{
    unsigned    slot  = akvi_slot();
    akvi_cells *cells = &db->cells[slot];

    akvi_slot_add(&cells->at[AKVI_CELL_RELEASED], slot, 1);
    akvi_slot_add(&cells->at[AKVI_CELL_READ_BYTES], slot, value->len);
    if (value->pin)
        db->engine->release(db->impl, value);
    memset(value, 0, sizeof *value);
}

void akvi_count_gets(akv *db, uint64_t n, uint64_t hits, uint64_t misses, uint64_t bytes)
{
    akvi_count(db, AKVI_CELL_GETS, n);
    akvi_count(db, AKVI_CELL_GETS_NONE, n - hits);
    akvi_count(db, AKVI_CELL_MISSES, misses);
    akvi_count(db, AKVI_CELL_RELEASED, hits);
    akvi_count(db, AKVI_CELL_READ_BYTES, bytes);
}

static akv_status read_check(const akv *db, akv_slice key, const akv_read_options *opt,
                             akv_read_options *copy, const akv_read_options **opt_out)
{
    akv_status status = akvi_need(db, AKV_CAP_READ);

    if (status == AKV_OK)
        status = akvi_check_key(db, key);
    if (status == AKV_OK)
        status = akvi_read_options(db, opt, copy, opt_out);
    return status;
}

/* ------------------------------------------------------------ straight path */

/* akv_get when there is something to check, to time, or to count with care. */
static AKVI_COLD akv_status read_careful(akv *db, akv_slice key, const akv_read_options *opt,
                                         akv_value *value_out)
{
    akv_read_options copy;
    akv_status       status;

    if (!value_out)
        return akvi_refuse_null("akv_get", "value_out");
    status = akvi_enter(db, "akv_get");
    if (status == AKV_OK) {
        status = read_check(db, key, opt, &copy, &opt);
        if (status == AKV_OK)
            return akvi_leave(db, read_get(db, key, opt, value_out));
        status = akvi_leave(db, status);
    }
    *value_out = read_empty;
    return status;
}

static AKVI_COLD akv_status read_miss(akv *db, akv_status status, akv_value *value_out)
{
    return akvi_leave(db, read_none(db, status, value_out));
}

/* Whether nothing stands between this get and the engine's. */
static inline bool read_is_plain(const akv *db, akv_slice key, const akv_read_options *opt,
                                 const akv_value *value_out, unsigned slot)
{
    return akvi_is_readable(db) && !opt && value_out && slot < AKVI_SLOTS_OWN && key.data &&
           key.len <= db->max_key;
}

akv_status akv_get(akv *db, akv_slice key, const akv_read_options *opt, akv_value *value_out)
{
    unsigned    slot = (unsigned)akvi_slot_tls;
    akvi_cells *cells;
    akv_status  status;
    uint64_t    n;

    if (AKVI_UNLIKELY(!read_is_plain(db, key, opt, value_out, slot)))
        return read_careful(db, key, opt, value_out);
    cells = &db->cells[slot];
    n     = atomic_load_explicit(&cells->at[AKVI_CELL_GETS], memory_order_relaxed);
    if (AKVI_UNLIKELY(n >=
                      atomic_load_explicit(&cells->at[AKVI_CELL_GETS_NEXT], memory_order_relaxed)))
        return read_careful(db, key, opt, value_out);
    atomic_store_explicit(&cells->at[AKVI_CELL_GETS], n + 1, memory_order_relaxed);
    akvi_call_begin();
    memset(value_out, 0, sizeof *value_out);
    status = db->get(db->impl, key, &read_defaults, value_out);
    if (AKVI_UNLIKELY(status != AKV_OK))
        return read_miss(db, status, value_out);
    value_out->db = db;
    return AKV_OK;
}

static AKVI_COLD void read_release_careful(akv_value *value)
{
    if (value && akvi_is_live(value->db))
        read_release(value->db, value);
    else if (value)
        *value = read_empty;
}

void akv_value_release(akv_value *value)
{
    unsigned    slot = (unsigned)akvi_slot_tls;
    akvi_cells *cells;

    if (AKVI_UNLIKELY(!value || !akvi_is_live(value->db) || value->pin || slot >= AKVI_SLOTS_OWN)) {
        read_release_careful(value);
        return;
    }
    cells = &value->db->cells[slot];
    akvi_slot_add(&cells->at[AKVI_CELL_RELEASED], slot, 1);
    akvi_slot_add(&cells->at[AKVI_CELL_READ_BYTES], slot, value->len);
    memset(value, 0, sizeof *value);
}

/* Those at the front that are one handle's; how many. */
static size_t read_release_run(akv_value *values, size_t n)
{
    akv     *db    = values[0].db;
    uint64_t bytes = 0;
    size_t   i;

    if (!akvi_is_live(db)) {
        values[0] = read_empty;
        return 1;
    }
    for (i = 0; i < n && values[i].db == db; i++) {
        bytes += values[i].len;
        if (values[i].pin)
            db->engine->release(db->impl, &values[i]);
        memset(&values[i], 0, sizeof values[i]);
    }
    akvi_count(db, AKVI_CELL_RELEASED, i);
    akvi_count(db, AKVI_CELL_READ_BYTES, bytes);
    return i;
}

void akv_values_release(akv_value *values, size_t n)
{
    for (size_t i = 0; values && i < n;)
        i += read_release_run(values + i, n - i);
}

/* ------------------------------------------------------------------- copying */

akv_status akv_get_into(akv *db, akv_slice key, const akv_read_options *opt, void *buf, size_t cap,
                        size_t *len_out)
{
    akv_status       status = akvi_enter(db, __func__);
    akv_read_options copy;
    akv_value        value = AKV_VALUE_INIT;

    if (len_out)
        *len_out = 0;
    if (status != AKV_OK)
        return status;
    if (!len_out || (!buf && cap != 0))
        return akvi_leave(db, akvi_null(__func__, len_out ? "buf" : "len_out"));
    status = read_check(db, key, opt, &copy, &opt);
    if (status == AKV_OK)
        status = read_get(db, key, opt, &value);
    if (status != AKV_OK)
        return akvi_leave(db, status);
    *len_out = value.len;
    if (value.len > cap)
        status = AKV_FAIL(AKV_TOO_BIG, "the value has %zu bytes, the caller's room is %zu",
                          value.len, cap);
    else if (value.len != 0)
        memcpy(buf, value.data, value.len);
    read_release(db, &value);
    return akvi_leave(db, status);
}

akv_status akv_get_copy(akv *db, akv_slice key, const akv_read_options *opt, akv_buffer *value_out)
{
    akv_status       status = akvi_enter(db, __func__);
    akv_read_options copy;
    akv_value        value = AKV_VALUE_INIT;

    if (value_out)
        akvi_buffer_clear(value_out);
    if (status != AKV_OK)
        return status;
    if (!value_out)
        return akvi_leave(db, akvi_null(__func__, "value_out"));
    status = read_check(db, key, opt, &copy, &opt);
    if (status == AKV_OK)
        status = read_get(db, key, opt, &value);
    if (status == AKV_OK) {
        status = akvi_buffer_set(value_out, value.data, value.len);
        read_release(db, &value);
    }
    return akvi_leave(db, status);
}

/* ---------------------------------------------------------------- many, exists */

/* One by one: an engine without get_many, or a batch with a key that is refused. */
static akv_status read_each(akv *db, size_t n, const akv_slice *keys, const akv_read_options *opt,
                            akv_value *values_out, akv_status *statuses_out)
{
    akv_status first = AKV_OK, stop = AKV_OK;

    for (size_t i = 0; i < n; i++) {
        if (stop == AKV_OK && i % AKVI_CHECK_EVERY == AKVI_CHECK_EVERY - 1)
            stop = akv_interrupted(opt->deadline_ns, opt->cancel);
        statuses_out[i] = stop == AKV_OK ? akvi_check_key(db, keys[i]) : stop;
        if (statuses_out[i] == AKV_OK)
            statuses_out[i] = read_get(db, keys[i], opt, &values_out[i]);
        if (first == AKV_OK && statuses_out[i] < 0)
            first = statuses_out[i];
    }
    return first;
}

static akv_status read_many(akv *db, size_t n, const akv_slice *keys, const akv_read_options *opt,
                            akv_value *values_out, akv_status *statuses_out)
{
    akv_status status = db->engine->get_many(db->impl, n, keys, opt, values_out, statuses_out);
    uint64_t   none = 0, misses = 0;

    for (size_t i = 0; i < n; i++) {
        if (statuses_out[i] == AKV_OK) {
            values_out[i].db = db;
        } else {
            none++;
            misses += statuses_out[i] == AKV_ABSENT;
            values_out[i] = read_empty;
            if (status == AKV_OK && statuses_out[i] < 0)
                status = statuses_out[i];
        }
    }
    akvi_count(db, AKVI_CELL_GETS, n);
    akvi_count(db, AKVI_CELL_GETS_NONE, none);
    akvi_count(db, AKVI_CELL_MISSES, misses);
    return status;
}

static bool read_keys_fit(const akv *db, size_t n, const akv_slice *keys)
{
    for (size_t i = 0; i < n; i++)
        if (keys[i].len > db->max_key || (!keys[i].data && keys[i].len != 0))
            return false;
    return true;
}

akv_status akv_get_many(akv *db, size_t n, const akv_slice *keys, const akv_read_options *opt,
                        akv_value *values_out, akv_status *statuses_out)
{
    akv_status       status = akvi_enter(db, __func__);
    bool             given  = keys && values_out && statuses_out;
    akv_read_options copy;

    if (status == AKV_OK && n != 0 && !given)
        status = akvi_leave(db, akvi_null(__func__, "keys, values_out or statuses_out"));
    else if (status == AKV_OK)
        status = akvi_leave(db, read_check(db, akv_bytes(NULL, 0), opt, &copy, &opt));
    for (size_t i = 0; given && i < n; i++) {
        values_out[i]   = read_empty;
        statuses_out[i] = status == AKV_OK ? AKV_ABSENT : status;
    }
    if (status != AKV_OK || n == 0)
        return status;
    if (db->engine->get_many && read_keys_fit(db, n, keys))
        return akvi_leave(db, read_many(db, n, keys, opt, values_out, statuses_out));
    return akvi_leave(db, read_each(db, n, keys, opt, values_out, statuses_out));
}

akv_status akv_exists(akv *db, akv_slice key, const akv_read_options *opt)
{
    akv_status       status = akvi_enter(db, __func__);
    akv_read_options copy;
    akv_value        value = AKV_VALUE_INIT;

    if (status != AKV_OK)
        return status;
    status = read_check(db, key, opt, &copy, &opt);
    if (status == AKV_OK && db->engine->exists) {
        status = db->engine->exists(db->impl, key, opt);
        akvi_count_gets(db, 1, status == AKV_OK, status == AKV_ABSENT, 0);
    } else if (status == AKV_OK) {
        status = read_get(db, key, opt, &value);
        if (status == AKV_OK)
            read_release(db, &value);
    }
    return akvi_leave(db, status);
}

/* -------------------------------------------------------------- count, size */

static akv_status read_count_keys(akv *db, const akv_read_options *opt, uint64_t *count_out)
{
    const akv_range range = {.keys_only = true};
    const akv_slice none  = {NULL, 0};
    akv_entry       entry = {.key = none};
    void           *iter;
    uint64_t        n      = 0;
    akv_status      status = db->engine->iter_new(db->impl, &range, opt, &iter);

    if (status != AKV_OK)
        return status;
    status = db->engine->iter_move(iter, AKV_MOVE_FIRST, none, &entry);
    while (status == AKV_OK) {
        if (++n % AKVI_CHECK_EVERY == 0)
            status = akv_interrupted(opt->deadline_ns, opt->cancel);
        if (status == AKV_OK)
            status = db->engine->iter_move(iter, AKV_MOVE_NEXT, none, &entry);
    }
    db->engine->iter_free(iter);
    if (status != AKV_END)
        return status;
    *count_out = n;
    return AKV_OK;
}

akv_status akv_count(akv *db, const akv_read_options *opt, uint64_t *count_out)
{
    akv_status       status = akvi_enter(db, __func__);
    akv_read_options copy;

    if (count_out)
        *count_out = 0;
    if (status != AKV_OK)
        return status;
    if (!count_out)
        return akvi_leave(db, akvi_null(__func__, "count_out"));
    status = read_check(db, akv_bytes(NULL, 0), opt, &copy, &opt);
    if (status == AKV_OK && db->engine->count)
        status = db->engine->count(db->impl, opt, count_out);
    else if (status == AKV_OK)
        status = read_count_keys(db, opt, count_out);
    if (status != AKV_OK)
        *count_out = 0;
    return akvi_leave(db, status);
}

akv_status akv_approximate_size(akv *db, akv_slice lower, akv_slice upper,
                                const akv_read_options *opt, uint64_t *bytes_out)
{
    const akv_range  range  = {lower, upper, upper.len != 0, false};
    akv_status       status = akvi_enter(db, __func__);
    akv_read_options copy;

    if (bytes_out)
        *bytes_out = 0;
    if (status != AKV_OK)
        return status;
    if (!bytes_out)
        return akvi_leave(db, akvi_null(__func__, "bytes_out"));
    status = read_check(db, lower, opt, &copy, &opt);
    if (status == AKV_OK)
        status = akvi_check_key(db, upper);
    if (status == AKV_OK && !db->engine->approximate_size)
        status =
            AKV_FAIL(AKV_UNSUPPORTED, "the %s engine gives no approximate sizes", db->engine->name);
    if (status == AKV_OK)
        status = db->engine->approximate_size(db->impl, &range, opt, bytes_out);
    if (status != AKV_OK)
        *bytes_out = 0;
    return akvi_leave(db, status);
}
