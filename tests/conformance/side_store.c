/* SPDX-License-Identifier: MIT
 *
 * side_store.c: steps carried out on a store, through the public interface.
 * What an answer's text leaves out (versions, the time of expiry) is what two
 * right stores may differ in.
 */
#include "tests/conformance/model.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct store_side {
    akvc_side       base;
    akv            *db;
    uint64_t        caps;
    char            path[600];
    akv_keyspace   *spaces[AKVC_SPACES]; /* NULL: the default one */
    akv_iter       *iters[AKVC_SLOTS];
    bool            keys_only[AKVC_SLOTS];
    akv_snapshot   *moments[AKVC_SLOTS];
    akv_version_tag noted[AKVC_SLOTS];
    akv_changes    *feed;
    akvc_map        replica[AKVC_SPACES]; /* what the feed told */
} store_side;

static const char *const store_space_names[AKVC_SPACES] = {NULL, "one", "two"};

static void store_say_status(store_side *s, akv_status status)
{
    akvc_say(&s->base, "%s ", akv_status_name(status));
    if (status < 0)
        akvc_say(&s->base, "(%.150s) ", akv_last_error()->text);
}

static unsigned store_spaces_n(const store_side *s)
{
    return s->caps & AKV_CAP_KEYSPACES ? AKVC_SPACES : 1;
}

static akv_read_options store_reading(const store_side *s, const akvc_step *step)
{
    akv_read_options opt = AKV_READ_OPTIONS_INIT;

    opt.keyspace = s->spaces[step->space];
    if (step->snapshot >= 0)
        opt.snapshot = s->moments[step->snapshot];
    return opt;
}

static akv_write_options store_writing(const store_side *s, unsigned space, const akvc_sub *op)
{
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;

    opt.keyspace  = s->spaces[space];
    opt.condition = op->condition;
    opt.expected  = op->expected;
    opt.encoding  = op->encoding;
    if (op->condition == AKV_IF_VERSION)
        opt.version = s->noted[op->version];
    if (op->kind != AKVC_EXPIRE)
        opt.ttl_ms = op->ttl_ms;
    return opt;
}

/* ----------------------------------------------------------------- opening */

static void store_open_spaces(store_side *s)
{
    for (unsigned i = 1; i < store_spaces_n(s); i++)
        OK(s->base.r,
           akv_keyspace_open(s->db, store_space_names[i], AKV_KEYSPACE_CREATE, &s->spaces[i]));
}

static void store_open_feed(store_side *s)
{
    if (s->caps & AKV_CAP_CHANGES)
        OK(s->base.r, akv_changes_open(s->db, akv_str(""), &s->feed));
}

static void store_drop_views(store_side *s)
{
    for (unsigned i = 0; i < AKVC_SLOTS; i++) {
        akv_iter_free(s->iters[i]);
        akv_snapshot_free(s->moments[i]);
        s->iters[i]   = NULL;
        s->moments[i] = NULL;
    }
}

static void store_let_go(store_side *s)
{
    store_drop_views(s);
    akv_changes_close(s->feed);
    s->feed = NULL;
    for (unsigned i = 0; i < AKVC_SPACES; i++) {
        akv_keyspace_close(s->spaces[i]);
        s->spaces[i] = NULL;
    }
}

/* ----------------------------------------------------------------- writing */

static akv_status store_op(store_side *s, unsigned space, const akvc_sub *op)
{
    akv_write_options opt = store_writing(s, space, op);

    switch (op->kind) {
    case AKVC_PUT: return akv_put(s->db, op->key, op->value, &opt);
    case AKVC_DELETE: return akv_delete(s->db, op->key, &opt);
    case AKVC_DELETE_RANGE: return akv_delete_range(s->db, op->key, op->upper, &opt);
    case AKVC_MERGE: return akv_merge(s->db, op->key, op->value, &opt);
    case AKVC_EXPIRE: return akv_expire(s->db, op->key, op->ttl_ms, &opt);
    default: return akv_persist(s->db, op->key, &opt);
    }
}

static akv_status store_batch_add(const store_side *s, akv_batch *batch, unsigned space,
                                  const akvc_sub *op)
{
    akv_write_options opt = store_writing(s, space, op);

    switch (op->kind) {
    case AKVC_PUT: return akv_batch_put(batch, op->key, op->value, &opt);
    case AKVC_DELETE: return akv_batch_delete(batch, op->key, &opt);
    case AKVC_DELETE_RANGE: return akv_batch_delete_range(batch, op->key, op->upper, &opt);
    case AKVC_MERGE: return akv_batch_merge(batch, op->key, op->value, &opt);
    default: return akv_batch_check(batch, op->key, &opt);
    }
}

static void store_batch(store_side *s, const akvc_step *step)
{
    akv_write_options opt    = AKV_WRITE_OPTIONS_INIT;
    akv_write_result  result = {{{0}}, AKV_REACHED_NOTHING, 0, 0};
    akv_status        status;
    akv_batch        *batch;

    OK(s->base.r, akv_batch_new(s->db, &batch));
    for (unsigned i = 0; i < step->n; i++)
        OK(s->base.r, store_batch_add(s, batch, step->space, &step->subs[i]));
    opt.result_out = &result;
    status         = akv_write(s->db, batch, &opt);
    akv_batch_free(batch);
    if (status == AKV_CONFLICT)
        akvc_say(&s->base, "AKV_CONFLICT at %u", (unsigned)result.conflict_index);
    else
        store_say_status(s, status);
}

static void store_txn_op(store_side *s, akv_txn *txn, unsigned space, const akvc_sub *op)
{
    akv_read_options  read  = AKV_READ_OPTIONS_INIT;
    akv_write_options write = store_writing(s, space, op);
    akv_buffer        got   = AKV_BUFFER_INIT;

    read.keyspace = s->spaces[space];
    if (op->kind == AKVC_PUT) {
        store_say_status(s, akv_txn_put(txn, op->key, op->value, &write));
    } else if (op->kind == AKVC_DELETE) {
        store_say_status(s, akv_txn_delete(txn, op->key, &write));
    } else {
        store_say_status(s, akv_txn_get(txn, op->key, &read, &got));
        akvc_say_bytes(&s->base, akv_bytes(got.data, got.len));
    }
    akv_buffer_free(&got);
}

static void store_txn(store_side *s, const akvc_step *step)
{
    akv_txn *txn;

    OK(s->base.r, akv_txn_begin(s->db, &txn));
    for (unsigned i = 0; i < step->n; i++)
        store_txn_op(s, txn, step->space, &step->subs[i]);
    OK(s->base.r, store_op(s, step->space, &step->op));
    if (step->commit)
        store_say_status(s, akv_txn_commit(txn, NULL));
    else
        akv_txn_abort(txn);
}

static void store_stream_write(store_side *s, const akvc_step *step)
{
    akv_write_options opt  = store_writing(s, step->space, &step->op);
    const char       *data = step->op.value.data;
    size_t            len = step->op.value.len, cut = step->len < len ? step->len : len;
    akv_stream       *stream;

    OK(s->base.r, akv_stream_create(s->db, step->op.key, step->append, &opt, &stream));
    OK(s->base.r, akv_stream_write(stream, data, cut));
    OK(s->base.r, akv_stream_write(stream, data + cut, len - cut));
    if (step->commit) {
        store_say_status(s, akv_stream_commit(stream));
    } else {
        akv_stream_abort(stream);
        store_say_status(s, AKV_OK);
    }
}

static void store_note_version(store_side *s, const akvc_step *step)
{
    akv_read_options opt   = AKV_READ_OPTIONS_INIT;
    akv_value        value = AKV_VALUE_INIT;
    akv_status       status;

    opt.keyspace         = s->spaces[step->space];
    status               = akv_get(s->db, step->op.key, &opt, &value);
    s->noted[step->slot] = value.version;
    akv_value_release(&value);
    store_say_status(s, status);
}

/* ----------------------------------------------------------------- reading */

static void store_say_value(store_side *s, akv_status status, const akv_value *value)
{
    store_say_status(s, status);
    if (status == AKV_OK)
        akvc_say_value(&s->base, akv_bytes(value->data, value->len), value->encoding,
                       value->expiry_ms != 0);
}

static void store_get(store_side *s, const akvc_step *step)
{
    akv_read_options opt   = store_reading(s, step);
    akv_value        value = AKV_VALUE_INIT;

    store_say_value(s, akv_get(s->db, step->op.key, &opt, &value), &value);
    akv_value_release(&value);
}

static void store_get_many(store_side *s, const akvc_step *step)
{
    akv_read_options opt = store_reading(s, step);
    akv_slice        keys[AKVC_SUBS];
    akv_value        values[AKVC_SUBS];
    akv_status       statuses[AKVC_SUBS];

    for (unsigned i = 0; i < step->n; i++)
        keys[i] = step->subs[i].key;
    OK(s->base.r, akv_get_many(s->db, step->n, keys, &opt, values, statuses));
    for (unsigned i = 0; i < step->n; i++)
        store_say_value(s, statuses[i], &values[i]);
    akv_values_release(values, step->n);
}

static void store_count(store_side *s, const akvc_step *step)
{
    akv_read_options opt   = store_reading(s, step);
    uint64_t         count = 0;

    store_say_status(s, akv_count(s->db, &opt, &count));
    akvc_say(&s->base, "%u", (unsigned)count);
}

static void store_stream_read(store_side *s, const akvc_step *step)
{
    akv_read_options opt = store_reading(s, step);
    char             buf[64];
    size_t           len = 0;
    akv_stream      *stream;
    akv_status       status = akv_stream_open(s->db, step->op.key, &opt, &stream);

    store_say_status(s, status);
    if (status != AKV_OK)
        return;
    akvc_say(&s->base, "of %u: ", (unsigned)akv_stream_len(stream));
    store_say_status(s, akv_stream_read(stream, step->offset, buf, step->len, &len));
    akvc_say_bytes(&s->base, akv_bytes(buf, len));
    akv_stream_close(stream);
}

static void store_say_entry(store_side *s, const akv_iter *iter, bool keys_only)
{
    const akv_value *value = akv_iter_item(iter);

    akvc_say_bytes(&s->base, akv_iter_key(iter));
    if (!keys_only)
        akvc_say_value(&s->base, akv_iter_value(iter), value->encoding, value->expiry_ms != 0);
    else if (akv_iter_value(iter).len)
        akvc_say(&s->base, " has a value");
    akvc_say(&s->base, "\n");
}

static akv_scan_options store_scanning(const store_side *s, const akvc_step *step)
{
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;

    opt.flags  = step->flags;
    opt.lower  = step->lower;
    opt.upper  = step->upper;
    opt.prefix = step->prefix;
    opt.limit  = step->limit;
    opt.read   = store_reading(s, step);
    return opt;
}

/* What an unordered scan meets, told in key order all the same. */
static akv_status store_scan_sorted(store_side *s, akv_iter *iter, bool keys_only)
{
    akvc_map   map = {NULL, 0, 0};
    akv_status status;

    while ((status = akv_iter_next(iter)) == AKV_OK) {
        const akv_value *value  = akv_iter_item(iter);
        akvc_record      record = {akv_iter_key(iter), akv_iter_value(iter), value->expiry_ms, 0,
                                   value->encoding};

        akvc_map_put(s->base.r, &map, &record);
    }
    for (size_t i = 0; i < map.n; i++) {
        akvc_say_bytes(&s->base, map.at[i].key);
        if (!keys_only)
            akvc_say_value(&s->base, map.at[i].value, map.at[i].encoding, map.at[i].expiry != 0);
        akvc_say(&s->base, "\n");
    }
    akvc_map_free(&map);
    return status;
}

static void store_scan(store_side *s, const akvc_step *step)
{
    akv_scan_options opt       = store_scanning(s, step);
    bool             keys_only = (opt.flags & AKV_SCAN_KEYS_ONLY) != 0;
    akv_status       status;
    akv_iter        *iter;

    OK(s->base.r, akv_scan(s->db, &opt, &iter));
    if (s->caps & AKV_CAP_ORDERED) {
        while ((status = akv_iter_next(iter)) == AKV_OK)
            store_say_entry(s, iter, keys_only);
    } else {
        status = store_scan_sorted(s, iter, keys_only);
    }
    akv_iter_free(iter);
    store_say_status(s, status);
}

static void store_iter_new(store_side *s, const akvc_step *step)
{
    akv_scan_options opt = store_scanning(s, step);

    akv_iter_free(s->iters[step->slot]);
    s->keys_only[step->slot] = (step->flags & AKV_SCAN_KEYS_ONLY) != 0;
    store_say_status(s, akv_scan(s->db, &opt, &s->iters[step->slot]));
}

static void store_iter_move(store_side *s, const akvc_step *step)
{
    akv_iter  *iter   = s->iters[step->slot];
    akv_slice  key    = step->op.key;
    akv_status status = AKV_MISUSE;

    if (!iter) {
        akvc_say(&s->base, "no iterator");
        return;
    }
    switch (step->move) {
    case AKV_MOVE_FIRST: status = akv_iter_first(iter); break;
    case AKV_MOVE_LAST: status = akv_iter_last(iter); break;
    case AKV_MOVE_NEXT: status = akv_iter_next(iter); break;
    case AKV_MOVE_PREV: status = akv_iter_prev(iter); break;
    case AKV_MOVE_SEEK: status = akv_iter_seek(iter, key); break;
    case AKV_MOVE_SEEK_FOR_PREV: status = akv_iter_seek_for_prev(iter, key); break;
    }
    store_say_status(s, status);
    if (status == AKV_OK)
        store_say_entry(s, iter, s->keys_only[step->slot]);
}

/* --------------------------------------------------------------- whole store */

static void store_dump_of(store_side *s, akv *db, akv_keyspace *const spaces[AKVC_SPACES])
{
    for (unsigned i = 0; i < store_spaces_n(s); i++) {
        akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
        uint64_t         count;
        akv_iter        *iter;
        akv_status       status;

        opt.read.keyspace = spaces[i];
        OK(s->base.r, akv_count(db, &opt.read, &count));
        akvc_say(&s->base, "space %u: %u keys\n", i, (unsigned)count);
        OK(s->base.r, akv_scan(db, &opt, &iter));
        if (s->caps & AKV_CAP_ORDERED) {
            while ((status = akv_iter_next(iter)) == AKV_OK)
                store_say_entry(s, iter, false);
        } else {
            status = store_scan_sorted(s, iter, false);
        }
        WANT(s->base.r, AKV_END, status);
        akv_iter_free(iter);
    }
}

static void store_checkpoint(store_side *s)
{
    akvc_run        *r                   = s->base.r;
    akv_open_options opt                 = akvc_options(r);
    akv_keyspace    *spaces[AKVC_SPACES] = {NULL};
    akv             *copy;

    OK(r, akv_checkpoint(s->db, akvc_new_path(r), NULL));
    opt.flags = AKV_OPEN_READ_ONLY;
    OK(r, akv_open(r->engine, r->path, &opt, &copy));
    for (unsigned i = 1; i < store_spaces_n(s); i++)
        OK(r, akv_keyspace_open(copy, store_space_names[i], 0, &spaces[i]));
    store_dump_of(s, copy, spaces);
    for (unsigned i = 1; i < store_spaces_n(s); i++)
        akv_keyspace_close(spaces[i]);
    akvc_close(r, copy);
}

static void store_reopen(store_side *s)
{
    store_let_go(s);
    akvc_close(s->base.r, s->db);
    memcpy(s->base.r->path, s->path, sizeof s->path);
    s->db = akvc_open(s->base.r, 0);
    memset(s->noted, 0, sizeof s->noted);
    store_open_spaces(s);
    store_open_feed(s);
    store_dump_of(s, s->db, s->spaces);
}

static void store_drop_space(store_side *s, unsigned space)
{
    store_drop_views(s);
    akv_keyspace_close(s->spaces[space]);
    OK(s->base.r, akv_keyspace_drop(s->db, store_space_names[space]));
    OK(s->base.r,
       akv_keyspace_open(s->db, store_space_names[space], AKV_KEYSPACE_CREATE, &s->spaces[space]));
}

static void store_upkeep(store_side *s)
{
    akv_status status = akv_verify(s->db, NULL);

    if (status != AKV_OK && status != AKV_UNSUPPORTED)
        store_say_status(s, status);
    if (s->caps & AKV_CAP_WRITE)
        OK(s->base.r, akv_compact(s->db, NULL));
    status = akv_work(s->db);
    if (status != AKV_OK && status != AKV_END)
        store_say_status(s, status);
    OK(s->base.r, akv_sync(s->db));
}

/* -------------------------------------------------------------- the replica */

static void store_replay(store_side *s, const akv_change *c)
{
    akvc_record record = {c->key, c->value, c->expiry_ms, 0, c->encoding};
    unsigned    space  = 0;

    while (c->keyspace && strcmp(c->keyspace, space ? store_space_names[space] : "") != 0)
        CHECK(s->base.r, ++space < AKVC_SPACES);
    switch (c->kind) {
    case AKV_CHANGE_PUT: akvc_map_put(s->base.r, &s->replica[space], &record); break;
    case AKV_CHANGE_DELETE: akvc_map_remove(&s->replica[space], c->key); break;
    case AKV_CHANGE_DELETE_RANGE:
        akvc_map_remove_range(&s->replica[space], c->key, c->upper);
        break;
    case AKV_CHANGE_DROP: akvc_map_free(&s->replica[space]); break;
    }
}

/* A map that is kept by the feed alone must equal the store. */
static void store_follow(store_side *s)
{
    akv_env   *env = s->base.r->env;
    akv_change c;
    akv_status status;
    bool       whole = true;

    if (!s->feed)
        return;
    while ((status = akv_changes_next(s->feed, 0, &c)) == AKV_OK) {
        store_replay(s, &c);
        whole = c.commit;
    }
    WANT(s->base.r, AKV_END, status);
    CHECK(s->base.r, whole);
    for (unsigned i = 0; i < store_spaces_n(s); i++) {
        akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
        akv_iter        *iter;
        size_t           n = 0;

        akvc_map_purge(&s->replica[i], env->ops->unix_ms(env));
        opt.read.keyspace = s->spaces[i];
        OK(s->base.r, akv_scan(s->db, &opt, &iter));
        for (; akv_iter_next(iter) == AKV_OK; n++) {
            const akvc_record *record = akvc_map_find(&s->replica[i], akv_iter_key(iter));

            if (!record || !akvc_equal(record->value, akv_iter_value(iter)) ||
                record->encoding != akv_iter_item(iter)->encoding ||
                record->expiry != akv_iter_item(iter)->expiry_ms)
                akvc_say(&s->base, "the feed did not tell of the last write of a key");
        }
        akv_iter_free(iter);
        if (n != s->replica[i].n)
            akvc_say(&s->base, "the feed tells of %zu keys, not %zu", s->replica[i].n, n);
    }
}

/* Begin anew from what is there. */
static void store_load_replica(store_side *s)
{
    for (unsigned i = 0; s->feed && i < store_spaces_n(s); i++) {
        akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
        akv_iter        *iter;

        akvc_map_free(&s->replica[i]);
        opt.read.keyspace = s->spaces[i];
        OK(s->base.r, akv_scan(s->db, &opt, &iter));
        while (akv_iter_next(iter) == AKV_OK) {
            const akv_value *value = akv_iter_item(iter);
            akvc_record record     = {akv_iter_key(iter), akv_iter_value(iter), value->expiry_ms, 0,
                                      value->encoding};

            akvc_map_put(s->base.r, &s->replica[i], &record);
        }
        akv_iter_free(iter);
    }
}

/* -------------------------------------------------------------------- steps */

static void store_view_step(store_side *s, const akvc_step *step)
{
    switch (step->kind) {
    case AKVC_ITER_NEW: store_iter_new(s, step); break;
    case AKVC_ITER_MOVE: store_iter_move(s, step); break;
    case AKVC_ITER_FREE:
        akv_iter_free(s->iters[step->slot]);
        s->iters[step->slot] = NULL;
        break;
    case AKVC_SNAPSHOT_NEW:
        akv_snapshot_free(s->moments[step->slot]);
        store_say_status(s, akv_snapshot_new(s->db, &s->moments[step->slot]));
        break;
    case AKVC_SNAPSHOT_FREE:
        akv_snapshot_free(s->moments[step->slot]);
        s->moments[step->slot] = NULL;
        break;
    default: break;
    }
}

static void store_read_step(store_side *s, const akvc_step *step)
{
    akv_read_options opt = store_reading(s, step);

    switch (step->kind) {
    case AKVC_GET: store_get(s, step); break;
    case AKVC_EXISTS: store_say_status(s, akv_exists(s->db, step->op.key, &opt)); break;
    case AKVC_GET_MANY: store_get_many(s, step); break;
    case AKVC_COUNT: store_count(s, step); break;
    case AKVC_SCAN: store_scan(s, step); break;
    case AKVC_STREAM_READ: store_stream_read(s, step); break;
    case AKVC_FOLLOW: store_follow(s); break;
    default: store_view_step(s, step); break;
    }
}

static void store_step(akvc_side *side, const akvc_step *step)
{
    store_side *s = (store_side *)side;

    switch (step->kind) {
    case AKVC_PUT:
    case AKVC_DELETE:
    case AKVC_DELETE_RANGE:
    case AKVC_MERGE:
    case AKVC_EXPIRE:
    case AKVC_PERSIST: store_say_status(s, store_op(s, step->space, &step->op)); break;
    case AKVC_BATCH: store_batch(s, step); break;
    case AKVC_TXN: store_txn(s, step); break;
    case AKVC_STREAM_WRITE: store_stream_write(s, step); break;
    case AKVC_NOTE_VERSION: store_note_version(s, step); break;
    case AKVC_ADVANCE:
        store_drop_views(s);
        akvc_pass(side->r, AKVC_TTL_UNIT);
        break;
    case AKVC_DROP_SPACE: store_drop_space(s, step->space); break;
    case AKVC_UPKEEP: store_upkeep(s); break;
    case AKVC_CHECKPOINT: store_checkpoint(s); break;
    case AKVC_REOPEN:
        store_reopen(s);
        store_load_replica(s);
        break;
    case AKVC_FINISH:
        OK(side->r, akv_finish(s->db, NULL));
        store_dump_of(s, s->db, s->spaces);
        break;
    case AKVC_DUMP: store_dump_of(s, s->db, s->spaces); break;
    default: store_read_step(s, step); break;
    }
}

static void store_end(akvc_side *side)
{
    store_side *s = (store_side *)side;

    store_let_go(s);
    akvc_close(side->r, s->db);
    for (unsigned i = 0; i < AKVC_SPACES; i++)
        akvc_map_free(&s->replica[i]);
    akv_buffer_free(&side->answer);
    free(s);
}

akvc_side *akvc_side_store(akvc_run *r, const akvc_script *script)
{
    store_side *s = calloc(1, sizeof *s);

    CHECK(r, s != NULL);
    s->base = (akvc_side){.r = r, .name = r->engine, .step = store_step, .end = store_end};
    s->caps = script->caps;
    s->db   = akvc_new(r);
    memcpy(s->path, r->path, sizeof s->path);
    if (!script->building) {
        store_open_spaces(s);
        store_open_feed(s);
    }
    return &s->base;
}
