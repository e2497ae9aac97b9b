/* SPDX-License-Identifier: MIT
 *
 * write.c: the write path. Writers queue up; the one at the head writes for
 * itself and for those behind it: one record of the log, one sync, then the
 * memtable. What needs a look at the store first (conditions, expire) goes
 * alone.
 *
 * A write is decided before anything of it is done: conditions judged, room
 * made, memory for the memtable reserved. The log's append is the last step
 * that may fail; after it the entries go in and are shown by last_seq.
 */
#include "engines/lsm/db.h"

#include "common/base/buffer.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

#define WRITE_GROUP (UINT64_C(1) << 20) /* bytes that one record takes together */
#define WRITE_ENTRY 32u                 /* of a record, beside key and value, at most */
/* One batch's: 1 GiB of value with the longest key. */
#define WRITE_BATCH_MOST ((UINT64_C(1) << 30) + LSM_MAX_KEY + WRITE_ENTRY)
#define WRITE_ITEM       48u                  /* of a memtable, beside key and value, about */
#define WRITE_RATE       (UINT64_C(64) << 20) /* bytes a second at which delays begin */
#define WRITE_RATE_MIN   (UINT64_C(1) << 20)
#define WRITE_IDLE       2u
#define WRITE_NAP_NS     UINT64_C(1000000)
#define WRITE_DEBT       (UINT64_C(64) << 30) /* bytes to compact at which writes stop */

/* ---------------------------------------------------------------- the queue */

void akvi_lsm_write_begin(lsm_db *db, lsm_write *w)
{
    akvi_cond wake;

    akvi_mutex_lock(&db->queue_mu);
    if (db->tail)
        db->tail->next = w;
    else
        db->head = w;
    db->tail = w;
    if (db->head != w) {
        akvi_cond_init(&wake);
        w->wake = &wake;
        while (!w->done && db->head != w)
            akvi_cond_wait(&wake, &db->queue_mu);
        w->wake = NULL;
        akvi_cond_destroy(&wake);
    }
    akvi_mutex_unlock(&db->queue_mu);
}

/* Take the group up to `last` off the queue and wake who waits. */
static void write_leave(lsm_db *db, lsm_write *leader, lsm_write *last)
{
    lsm_write *w = leader;

    akvi_mutex_lock(&db->queue_mu);
    db->head = last->next;
    if (!db->head)
        db->tail = NULL;
    while (w != last) {
        w       = w->next; /* still there: it waits for us */
        w->done = true;
        if (w->wake)
            akvi_cond_signal(w->wake);
    }
    if (db->head && db->head->wake)
        akvi_cond_signal(db->head->wake);
    akvi_mutex_unlock(&db->queue_mu);
}

void akvi_lsm_write_end(lsm_db *db, lsm_write *w)
{
    write_leave(db, w, w);
}

/* The last of those that go with the head. */
static lsm_write *write_group(lsm_db *db, lsm_write *leader)
{
    uint64_t   bytes = leader->bytes;
    lsm_write *last  = leader;

    if (leader->alone)
        return last;
    akvi_mutex_lock(&db->queue_mu);
    while (last->next && !last->next->alone && bytes + last->next->bytes <= WRITE_GROUP) {
        last = last->next;
        bytes += last->bytes;
    }
    akvi_mutex_unlock(&db->queue_mu);
    return last;
}

/* ------------------------------------------------------------ holding back */

static akv_status write_poisoned(lsm_db *db)
{
    akv_error cause;

    if (!atomic_load_explicit(&db->poisoned, memory_order_acquire))
        return AKV_OK;
    akvi_mutex_lock(&db->mu);
    cause = db->failure;
    akvi_mutex_unlock(&db->mu);
    return AKV_FAIL_AT(AKV_POISONED, cause.file, cause.offset,
                       "an earlier write could not be made durable (%s); close the store and open "
                       "it again to write",
                       cause.text);
}

static void write_tell(lsm_db *db, akv_lsm_stall_cause cause, bool begins, bool stopped)
{
    if (db->options.stall)
        db->options.stall(db->options.stall_user, cause, begins, stopped);
}

/* Whether no write may go on, and why. */
static bool write_stopped(const lsm_db *db, bool full, akv_lsm_stall_cause *cause_out)
{
    if (full &&
        atomic_load_explicit(&db->memtables, memory_order_relaxed) >= db->options.write_buffers)
        *cause_out = AKV_LSM_STALL_MEMTABLES;
    else if (atomic_load_explicit(&db->level0, memory_order_relaxed) >= db->options.level0_stop)
        *cause_out = AKV_LSM_STALL_LEVEL0;
    else if (atomic_load_explicit(&db->debt, memory_order_relaxed) >= WRITE_DEBT)
        *cause_out = AKV_LSM_STALL_DEBT;
    else
        return false;
    return true;
}

/* One round of waiting for background work; AKV_END: there is none. */
static akv_status write_wait(lsm_db *db, const akv_write_options *opt)
{
    akv_status st = AKV_OK;
    uint64_t   until;

    if (!db->pool) {
        st = akvi_lsm_work_or_wait(db);
        return st == AKV_OK ? akv_interrupted(opt->deadline_ns, opt->cancel) : st;
    }
    akvi_mutex_lock(&db->mu);
    db->failed = AKV_OK; /* try again what failed */
    akvi_lsm_schedule(db);
    until = akvi_monotonic_ns() + UINT64_C(100000000);
    akvi_cond_wait_until(&db->changed, &db->mu, until);
    if (db->failed != AKV_OK)
        st = akvi_fail_again(&db->failure);
    akvi_mutex_unlock(&db->mu);
    return st == AKV_OK ? akv_interrupted(opt->deadline_ns, opt->cancel) : st;
}

static akv_status write_stall(lsm_db *db, bool full, const akv_write_options *opt)
{
    akv_lsm_stall_cause cause = AKV_LSM_STALL_MEMTABLES, now;
    uint64_t            begin;
    unsigned            idle = 0; /* another thread may just have done the work */
    akv_status          st   = AKV_OK;

    if (!write_stopped(db, full, &cause))
        return AKV_OK;
    begin = akvi_monotonic_ns();
    atomic_fetch_add_explicit(&db->counters.stops, 1, memory_order_relaxed);
    write_tell(db, cause, true, true);
    while (st == AKV_OK && write_stopped(db, full, &now)) {
        st = write_poisoned(db);
        if (st == AKV_OK)
            st = write_wait(db, opt);
        idle = st == AKV_END ? idle + 1 : 0;
        if (st == AKV_END)
            st = idle <= WRITE_IDLE
                     ? AKV_OK
                     : AKV_FAIL(AKV_BUSY, "writes are stopped, and there is no work to do");
    }
    write_tell(db, cause, false, true);
    atomic_fetch_add_explicit(&db->counters.stall_ns, akvi_monotonic_ns() - begin,
                              memory_order_relaxed);
    return st;
}

/* How far from the first slowdown (0) to the stop (1) things are. */
static double write_pressure(const lsm_db *db, akv_lsm_stall_cause *cause_out)
{
    double level0 = (double)atomic_load_explicit(&db->level0, memory_order_relaxed);
    double debt   = (double)atomic_load_explicit(&db->debt, memory_order_relaxed);
    double by_files, by_debt;

    by_files = (level0 - db->options.level0_slowdown) /
               ((double)db->options.level0_stop - db->options.level0_slowdown + 1);
    by_debt    = 2 * debt / (double)WRITE_DEBT - 1;
    *cause_out = by_files >= by_debt ? AKV_LSM_STALL_LEVEL0 : AKV_LSM_STALL_DEBT;
    return by_files >= by_debt ? by_files : by_debt;
}

/* Slow down in proportion to how far behind the background is, so that writes
 * never come to a stop all at once. */
static void write_delay(lsm_db *db, uint64_t bytes)
{
    akv_lsm_stall_cause cause;
    double              pressure = write_pressure(db, &cause), rate;

    if (pressure < 0) {
        if (db->delaying)
            write_tell(db, cause, false, false);
        db->delaying = false;
        return;
    }
    if (!db->delaying)
        write_tell(db, cause, true, false);
    db->delaying = true;
    rate         = (double)WRITE_RATE * (1 - pressure);
    if (rate < (double)WRITE_RATE_MIN)
        rate = (double)WRITE_RATE_MIN;
    db->delay_ns += (uint64_t)((double)bytes * 1e9 / rate);
    if (db->delay_ns < WRITE_NAP_NS)
        return;
    atomic_fetch_add_explicit(&db->counters.delays, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&db->counters.stall_ns, db->delay_ns, memory_order_relaxed);
    db->env->ops->sleep_ns(db->env, db->delay_ns);
    db->delay_ns = 0;
}

/* --------------------------------------------------------- memtables, room */

akv_status akvi_lsm_switch(lsm_db *db)
{
    uint64_t      number = akvi_lsm_new_file_number(db);
    lsm_memtable *m      = NULL;
    lsm_view     *v      = NULL;
    akv_status    st     = AKV_OK;

    /* A view has room for so many, also when flushes fail one after the other. */
    if (atomic_load_explicit(&db->memtables, memory_order_relaxed) >= LSM_MEMTABLES)
        st = akvi_lsm_flush_wait(db);
    if (st == AKV_OK)
        st = akvi_lsm_memtable_new(db->allocator, &m);
    if (st == AKV_OK)
        st = akvi_lsm_log_begin(db, number);
    if (st != AKV_OK) {
        akvi_lsm_memtable_unref(m);
        return st;
    }
    akvi_mutex_lock(&db->mu);
    v = akvi_lsm_view_copy(db);
    if (v) {
        v->mem[0].last_seq = atomic_load_explicit(&db->last_seq, memory_order_relaxed);
        memmove(v->mem + 1, v->mem, v->n * sizeof v->mem[0]);
        v->mem[0] = (lsm_generation){.memtable = m, .log = number};
        v->n++;
        db->memtable      = m;
        db->memtable_used = 0;
        akvi_lsm_view_set(db, v);
        akvi_lsm_schedule(db);
    }
    akvi_mutex_unlock(&db->mu);
    if (!v) {
        /* Nothing is lost: the old memtable goes on, in the new log. */
        akvi_lsm_memtable_unref(m);
        return AKV_NOMEM;
    }
    akvi_lsm_views_reap(db);
    return AKV_OK;
}

static akv_status write_room(lsm_db *db, uint64_t bytes, const akv_write_options *opt)
{
    bool full = db->memtable_used > 0 && (db->memtable_used + bytes > db->options.write_buffer ||
                                          akvi_lsm_wal_size(db->log->wal) + bytes > LSM_LOG_FULL);
    akv_status st = write_stall(db, full, opt);

    if (st != AKV_OK)
        return st;
    write_delay(db, bytes);
    st = full ? akvi_lsm_switch(db) : AKV_OK;
    /* Without threads nobody else keeps level 0 short. */
    while (st == AKV_OK && full && !db->pool &&
           atomic_load_explicit(&db->level0, memory_order_relaxed) >= db->options.level0_compact)
        st = akvi_lsm_work(db);
    return st == AKV_END ? AKV_OK : st;
}

/* ----------------------------------------------------- conditions, expiry */

typedef struct write_current {
    lsm_entry entry;
    void     *pin;
} write_current;

/* The live entry of a key, as of now. By the head: nothing changes meanwhile. */
static akv_status write_find(lsm_db *db, akv_slice key, write_current *c)
{
    lsm_read   read = {.fill_cache = true};
    lsm_hold   hold;
    akv_status st;

    akvi_lsm_hold(db, &hold);
    st = akvi_lsm_find(db, hold.view, key, atomic_load(&db->last_seq), &read, &c->entry, &c->pin);
    akvi_lsm_let_go(db, &hold);
    return st;
}

static akv_status write_judge(lsm_db *db, const akv_op *op)
{
    write_current   c = {.pin = NULL};
    akv_version_tag tag;
    bool            holds;
    akv_status      st;

    if (op->condition == AKV_IF_ANY)
        return AKV_OK;
    st = write_find(db, op->key, &c);
    if (st < 0)
        return st;
    switch (op->condition) {
    case AKV_IF_ABSENT: holds = st == AKV_ABSENT; break;
    case AKV_IF_PRESENT: holds = st == AKV_OK; break;
    case AKV_IF_VALUE:
        holds = st == AKV_OK && akvi_equal(c.entry.value.data, c.entry.value.len, op->expected.data,
                                           op->expected.len);
        break;
    default:
        tag   = akvi_lsm_tag(db, st == AKV_OK ? c.entry.seq : 0);
        holds = st == AKV_OK && memcmp(&tag, &op->version, sizeof tag) == 0;
    }
    akvi_lsm_unpin(c.pin);
    return holds ? AKV_OK : AKV_CONFLICT;
}

/* Add what an EXPIRE comes to: the value that is there, or that an earlier
 * operation of the batch has put, with another expiry. */
static akv_status write_expire(lsm_db *db, const lsm_write *w, size_t i)
{
    const akv_op *op  = &w->ops[i];
    write_current c   = {.pin = NULL};
    lsm_entry     e   = {0};
    akv_status    st  = AKV_OK;
    size_t        at  = i;
    const akv_op *old = NULL;

    while (at-- > 0 && !old) {
        const akv_op *o = &w->ops[at];

        if (o->kind == AKV_OP_DELETE_RANGE
                ? akvi_compare(o->key.data, o->key.len, op->key.data, op->key.len) <= 0 &&
                      (o->value.len == 0 ||
                       akvi_compare(op->key.data, op->key.len, o->value.data, o->value.len) < 0)
                : (o->kind == AKV_OP_PUT || o->kind == AKV_OP_DELETE) &&
                      akvi_equal(o->key.data, o->key.len, op->key.data, op->key.len))
            old = o;
    }
    if (old && old->kind != AKV_OP_PUT)
        return AKV_ABSENT;
    if (!old && (st = write_find(db, op->key, &c)) != AKV_OK)
        return st;
    e          = (lsm_entry){.kind = LSM_PUT, .key = op->key, .expiry_ms = op->expiry_ms};
    e.value    = old ? old->value : c.entry.value;
    e.encoding = old ? (uint8_t)old->encoding : c.entry.encoding;
    st         = akvi_lsm_record_add(&db->record, &e);
    akvi_lsm_unpin(c.pin);
    return st;
}

/* ------------------------------------------------------------- the record */

static akv_status write_too_big(uint64_t bytes)
{
    return AKV_FAIL(AKV_TOO_BIG, "a batch of %llu bytes: 1 GiB is the most",
                    (unsigned long long)bytes);
}

static akv_status write_record_op(lsm_db *db, lsm_write *w, size_t i)
{
    const akv_op *op = &w->ops[i];
    lsm_entry     e  = {.key = op->key, .value = op->value};
    akv_status    st;

    switch (op->kind) {
    case AKV_OP_PUT:
        e.kind      = LSM_PUT;
        e.expiry_ms = op->expiry_ms;
        e.encoding  = (uint8_t)op->encoding;
        st          = akvi_lsm_record_add(&db->record, &e);
        break;
    case AKV_OP_EXPIRE: st = write_expire(db, w, i); break;
    case AKV_OP_DELETE:
        e.kind  = LSM_DELETE;
        e.value = akv_bytes(NULL, 0);
        w->entries++;
        return akvi_lsm_record_add(&db->record, &e);
    case AKV_OP_DELETE_RANGE:
        if (op->value.len > 0 &&
            akvi_compare(op->key.data, op->key.len, op->value.data, op->value.len) >= 0)
            return AKV_OK; /* it holds no key */
        e.kind = LSM_DELETE_RANGE;
        w->entries++;
        return akvi_lsm_record_add(&db->record, &e);
    default: return AKV_OK; /* CHECK */
    }
    if (st == AKV_OK)
        w->version_at = ++w->entries;
    return st;
}

/* Add a writer's operations to the record. */
static akv_status write_record(lsm_db *db, lsm_write *w)
{
    akv_status st = AKV_OK;

    for (size_t i = 0; i < w->n && st == AKV_OK && w->alone; i++) {
        st = write_judge(db, &w->ops[i]);
        if (st == AKV_CONFLICT)
            w->result->conflict_index = i;
    }
    for (size_t i = 0; i < w->n && st == AKV_OK; i++) {
        st = write_record_op(db, w, i);
        if (st == AKV_OK && db->record.len > WRITE_BATCH_MOST) /* an EXPIRE brings its value */
            st = write_too_big(db->record.len);
    }
    return st;
}

akv_status akvi_lsm_record_apply(akv_slice record, lsm_memtable *m, uint64_t *last_seq_out)
{
    lsm_record_reader r;
    lsm_entry         e;
    akv_status        st = akvi_lsm_record_begin(record, &r);

    while (st == AKV_OK && (st = akvi_lsm_record_next(&r, &e)) == AKV_OK) {
        akvi_lsm_memtable_add(m, &e);
        *last_seq_out = e.seq;
    }
    return st == AKV_END ? AKV_OK : st;
}

/* -------------------------------------------------------------- committing */

static bool write_wants_sync(const lsm_db *db, const lsm_write *leader, const lsm_write *last)
{
    if (db->sync == AKV_SYNC_ALWAYS || akvi_lsm_sync_is_due(db))
        return true;
    for (const lsm_write *w = leader;; w = w->next) {
        if (w->opt->sync == AKV_SYNC_ALWAYS)
            return true;
        if (w == last)
            return false;
    }
}

/* The record is made: log it, sync it, show it. */
static akv_status write_commit(lsm_db *db, lsm_write *leader, lsm_write *last, uint64_t entries,
                               bool sync)
{
    uint64_t   seq    = atomic_load_explicit(&db->last_seq, memory_order_relaxed);
    uint64_t   at     = seq;
    akv_slice  record = akvi_buffer_slice(&db->record);
    akv_status st;

    if (entries > LSM_SEQ_MAX - seq)
        return AKV_FAIL(AKV_TOO_BIG, "the store has used up its sequence numbers");
    akvi_lsm_record_number(&db->record, seq + 1);
    st = akvi_lsm_memtable_reserve(db->memtable, (size_t)entries, record.len);
    if (st == AKV_OK)
        st = akvi_lsm_wal_append(db->log->wal, &record, 1);
    if (st == AKV_POISONED)
        akvi_lsm_poison(db);
    if (st == AKV_OK && sync)
        st = akvi_lsm_logs_sync(db);
    if (st == AKV_OK)
        st = akvi_lsm_record_apply(record, db->memtable, &seq);
    if (st != AKV_OK)
        return st;
    atomic_store_explicit(&db->last_seq, seq, memory_order_release);
    db->memtable_used += record.len + entries * WRITE_ITEM;
    atomic_fetch_add_explicit(&db->counters.wal_bytes, record.len, memory_order_relaxed);
    for (lsm_write *w = leader;; w = w->next) {
        if (w->version_at > 0)
            w->result->version = akvi_lsm_tag(db, at + w->version_at);
        w->result->durability = sync ? AKV_REACHED_DEVICE : AKV_REACHED_KERNEL;
        at += w->entries;
        if (w == last)
            return AKV_OK;
    }
}

/* *last: of those that share the answer. */
static akv_status write_lead(lsm_db *db, lsm_write *leader, lsm_write **last_io)
{
    lsm_write *last  = *last_io;
    uint64_t   bytes = 0, entries = 0;
    akv_status st = write_poisoned(db);

    for (lsm_write *w = leader; st == AKV_OK; w = w->next) {
        bytes += w->bytes;
        if (w == last)
            break;
    }
    if (st == AKV_OK)
        st = write_room(db, bytes, leader->opt);
    if (st == AKV_TIMEOUT || st == AKV_CANCELLED)
        *last_io = leader; /* its own deadline, not the others' */
    akvi_buffer_clear(&db->record);
    for (lsm_write *w = leader; st == AKV_OK; w = w->next) {
        st = write_record(db, w);
        entries += w->entries;
        if (w == last)
            break;
    }
    if (st == AKV_OK && entries > 0)
        st = write_commit(db, leader, last, entries, write_wants_sync(db, leader, last));
    return st;
}

static bool write_is_alone(const akv_op *op)
{
    return op->condition != AKV_IF_ANY || op->kind == AKV_OP_EXPIRE || op->kind == AKV_OP_CHECK;
}

/* What the leader has met is what the others are told. */
static void write_share(lsm_write *leader, const lsm_write *last, akv_status st)
{
    for (lsm_write *w = leader; w != last;) {
        w         = w->next;
        w->status = st;
        if (st < 0)
            *w->error = *akvi_pending_error();
    }
}

akv_status akvi_lsm_write(void *impl, const akv_op *ops, size_t n, const akv_write_options *opt,
                          akv_write_result *result_out)
{
    lsm_db    *db = impl;
    akv_error  error; /* set for us by another writer, if at all */
    lsm_write  w = {.ops = ops, .n = n, .opt = opt, .result = result_out, .error = &error};
    lsm_write *last;

    for (size_t i = 0; i < n; i++) {
        w.bytes += WRITE_ENTRY + ops[i].key.len + ops[i].value.len;
        w.alone |= write_is_alone(&ops[i]);
    }
    if (w.bytes > WRITE_BATCH_MOST)
        return write_too_big(w.bytes);
    akvi_lsm_write_begin(db, &w);
    if (w.done)
        return w.status < 0 ? akvi_fail_again(&error) : w.status;
    last     = write_group(db, &w);
    w.status = write_lead(db, &w, &last);
    write_share(&w, last, w.status);
    write_leave(db, &w, last);
    return w.status;
}

akv_status akvi_lsm_sync(void *impl)
{
    lsm_db    *db = impl;
    akv_status st = db->read_only ? AKV_OK : write_poisoned(db);

    return st == AKV_OK && !db->read_only ? akvi_lsm_logs_sync(db) : st;
}
