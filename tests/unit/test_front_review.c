/* SPDX-License-Identifier: MIT
 *
 * What the front layer owes where its parts meet: transactions larger than a
 * tree's leaf, memory that runs out at every step, options of other sizes,
 * handles that can do less than their engine, and figures in written form.
 */
#include "tests/unit/toy.h"

#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------- memory that runs out at will */

static _Atomic uint64_t review_left; /* allocations until one fails; 0: none does */
static _Atomic int64_t  review_out;  /* bytes not given back */

static bool review_may_allocate(void)
{
    uint64_t left = atomic_load(&review_left);

    while (left > 0 && !atomic_compare_exchange_weak(&review_left, &left, left - 1))
        ;
    return left != 1;
}

static void *review_alloc(void *user, size_t size)
{
    void *block = review_may_allocate() ? malloc(size) : NULL;

    (void)user;
    if (block)
        atomic_fetch_add(&review_out, (int64_t)size);
    return block;
}

static void *review_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    void *grown = review_may_allocate() ? realloc(block, new_size) : NULL;

    (void)user;
    if (grown)
        atomic_fetch_add(&review_out, (int64_t)new_size - (int64_t)old_size);
    return grown;
}

static void review_release(void *user, void *block, size_t size)
{
    (void)user;
    if (block)
        atomic_fetch_sub(&review_out, (int64_t)size);
    free(block);
}

static const akv_allocator review_allocator = {review_alloc, review_resize, review_release, NULL};

/* ---------------------------------------------------------------- the stores */

static akv *review_open(const akv_engine *table, const akv_open_options *opt)
{
    akv *db;

    assert_ok(akv_register(table));
    assert_ok(akv_open(table->name, NULL, opt, &db));
    return db;
}

/* A build may lack the engine. */
static bool review_has_memory(void)
{
    akv_engine_info info = AKV_ENGINE_INFO_INIT;

    return akv_engine_describe("memory", &info) == AKV_OK;
}

static akv *review_memory(const akv_open_options *opt)
{
    akv *db;

    if (!review_has_memory())
        return toy_new(opt);
    assert_ok(akv_open("memory", NULL, opt, &db));
    return db;
}

/* ------------------------------------------------------------ transactions */

#define REVIEW_MANY 2000u

/* Many keys in no order: each is found again, shown once in order, written. */
static void test_txn_holds_more_keys_than_a_leaf(void **state)
{
    akvt_random r  = akvt_random_new(1);
    akv        *db = toy_new(NULL);
    akv_iter   *it;
    akv_txn    *txn;
    uint64_t    seen     = 0, count;
    char        last[32] = "";

    (void)state;
    assert_ok(akv_txn_begin(db, &txn));
    for (unsigned i = 0; i < REVIEW_MANY; i++) {
        char key[32];

        snprintf(key, sizeof key, "%08u", i * 7919 % REVIEW_MANY);
        assert_ok(akv_txn_put(txn, akv_str(key), akv_str("1"), NULL));
        snprintf(key, sizeof key, "%08u", (unsigned)akvt_below(&r, i + 1) * 7919 % REVIEW_MANY);
        assert_ok(akv_txn_put(txn, akv_str(key), akv_str("2"), NULL));
        assert_ok(akv_txn_exists(txn, akv_str(key), NULL));
    }
    assert_ok(akv_txn_scan(txn, NULL, &it));
    while (akv_iter_next(it) == AKV_OK) {
        assert_true(memcmp(last, akv_iter_key(it).data, 8) < 0);
        memcpy(last, akv_iter_key(it).data, 8);
        seen++;
    }
    akv_iter_free(it);
    assert_int_equal(seen, REVIEW_MANY);
    assert_ok(akv_txn_commit(txn, NULL));
    assert_ok(akv_count(db, NULL, &count));
    assert_int_equal(count, REVIEW_MANY);
    assert_ok(akv_close(db));
}

/* A move that ran out of memory, tried again, lands where it would have. */
static void test_txn_scan_goes_on_after_running_out_of_memory(void **state)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;

    (void)state;
    opt.allocator = &review_allocator;
    for (uint64_t nth = 1; nth < 30; nth++) {
        akv        *db = toy_new(&opt);
        akv_iter   *it;
        akv_txn    *txn;
        akv_status  status;
        char        keys[16] = "";
        static char pad[5000];

        toy_put(db, "a", "1");
        toy_put(db, "c", "1");
        toy_put(db, "e", "1");
        assert_ok(akv_txn_begin(db, &txn));
        memset(pad, 'x', sizeof pad);
        assert_ok(akv_txn_put(txn, akv_str("b"), akv_bytes(pad, sizeof pad), NULL));
        assert_ok(akv_txn_put(txn, akv_str("d"), akv_bytes(pad, sizeof pad), NULL));
        assert_ok(akv_txn_scan(txn, NULL, &it));
        atomic_store(&review_left, nth);
        while ((status = akv_iter_next(it)) != AKV_END) {
            if (status == AKV_OK)
                strncat(keys, akv_iter_key(it).data, akv_iter_key(it).len);
            else
                assert_int_equal(status, AKV_NOMEM);
        }
        atomic_store(&review_left, 0);
        assert_string_equal(keys, "abcde");
        akv_iter_free(it);
        akv_txn_abort(txn);
        assert_ok(akv_close(db));
        assert_int_equal(atomic_load(&review_out), 0);
    }
}

static void test_txn_scan_needs_an_ordered_engine(void **state)
{
    static akv_engine table;
    akv_iter         *it;
    akv_txn          *txn;
    akv              *db;

    (void)state;
    table      = toy_table;
    table.name = "toyunordered";
    table.caps &= ~AKV_CAP_ORDERED;
    db = review_open(&table, NULL);
    assert_ok(akv_txn_begin(db, &txn));
    assert_status(AKV_UNSUPPORTED, akv_txn_scan(txn, NULL, &it));
    akv_txn_abort(txn);
    assert_ok(akv_close(db));
}

/* ------------------------------------------- iterators beside their model */

/* Keys are single bytes; what a scan shows is a list of them and a place. */
typedef struct review_model {
    uint8_t keys[64];
    int     n, at; /* at -1: before the first; n: past the last */
} review_model;

static int review_model_at_least(const review_model *m, int key)
{
    int i = 0;

    while (i < m->n && m->keys[i] < key)
        i++;
    return i;
}

/* Moves 0..5 in key order: first, last, up, down, seek, seek_for_prev. */
static void review_model_move(review_model *m, int move, int key)
{
    switch (move) {
    case 0: m->at = 0; break;
    case 1: m->at = m->n - 1; break;
    case 2: m->at += m->at < m->n; break;
    case 3: m->at -= m->at >= 0; break;
    case 4: m->at = review_model_at_least(m, key); break;
    default: m->at = review_model_at_least(m, key + 1) - 1; break;
    }
}

static akv_status review_iter_move(akv_iter *it, bool reverse, int move, uint8_t key)
{
    switch (reverse && move < 4 ? move ^ 1 : move) {
    case 0: return akv_iter_first(it);
    case 1: return akv_iter_last(it);
    case 2: return akv_iter_next(it);
    case 3: return akv_iter_prev(it);
    case 4: return akv_iter_seek(it, akv_bytes(&key, 1));
    default: return akv_iter_seek_for_prev(it, akv_bytes(&key, 1));
    }
}

static void review_walk(akvt_random *r, akv_iter *it, review_model *m, bool reverse, bool fails)
{
    uint64_t limit = akvt_below(r, 2) ? 40 : 1000;

    m->at = reverse ? m->n : -1;
    for (uint64_t i = 0; i < limit; i++) {
        /* mostly onward, so that the same way is gone more than once */
        int        move = akvt_below(r, 3) ? 2 + (int)(i / 8 & 1) : (int)akvt_below(r, 6);
        uint8_t    key  = (uint8_t)akvt_below(r, 66);
        akv_status status;

        if (fails && akvt_below(r, 4) == 0)
            toy_seen.fail_moves = AKV_IO;
        status = review_iter_move(it, reverse, move, key);
        if (status == AKV_IO) {
            assert_false(akv_iter_valid(it));
            status = review_iter_move(it, reverse, move, key);
        }
        toy_seen.fail_moves = AKV_OK;
        review_model_move(m, move, key);
        if (m->at >= 0 && m->at < m->n) {
            assert_int_equal(status, AKV_OK);
            assert_int_equal(akv_iter_key(it).len, 1);
            assert_int_equal(*(const uint8_t *)akv_iter_key(it).data, m->keys[m->at]);
        } else {
            assert_int_equal(status, AKV_END);
            assert_false(akv_iter_valid(it));
        }
    }
}

/* One store, perhaps some own writes of a transaction, one range. */
static void review_walk_one(akvt_random *r, bool toy_engine)
{
    akv_scan_options opt       = AKV_SCAN_OPTIONS_INIT;
    akv             *db        = toy_engine ? toy_new(NULL) : review_memory(NULL);
    bool             there[64] = {false};
    bool             reverse = akvt_below(r, 2), in_txn = akvt_below(r, 2);
    uint8_t          lower = (uint8_t)akvt_below(r, 20), upper = (uint8_t)akvt_below(r, 66);
    review_model     m = {.n = 0};
    akv_iter        *it;
    akv_txn         *txn;

    for (uint64_t i = akvt_below(r, 60); i > 0; i--) {
        uint8_t key = (uint8_t)akvt_below(r, 64);

        assert_ok(akv_put(db, akv_bytes(&key, 1), akv_str("v"), NULL));
        there[key] = true;
    }
    assert_ok(akv_txn_begin(db, &txn));
    for (uint64_t i = in_txn ? akvt_below(r, 60) : 0; i > 0; i--) {
        uint8_t key = (uint8_t)akvt_below(r, 64);
        bool    put = akvt_below(r, 2);

        assert_ok(put ? akv_txn_put(txn, akv_bytes(&key, 1), akv_str("own"), NULL)
                      : akv_txn_delete(txn, akv_bytes(&key, 1), NULL));
        there[key] = put;
    }
    opt.flags = reverse ? AKV_SCAN_REVERSE : 0;
    if (akvt_below(r, 2))
        opt.lower = akv_bytes(&lower, 1);
    if (akvt_below(r, 2))
        opt.upper = akv_bytes(&upper, 1);
    for (int key = 0; key < 64; key++)
        if (there[key] && (opt.lower.len == 0 || key >= lower) &&
            (opt.upper.len == 0 || key < upper))
            m.keys[m.n++] = (uint8_t)key;
    assert_ok(in_txn ? akv_txn_scan(txn, &opt, &it) : akv_scan(db, &opt, &it));
    review_walk(r, it, &m, reverse, toy_engine);
    akv_iter_free(it);
    akv_txn_abort(txn);
    assert_ok(akv_close(db));
}

static void test_iterators_move_as_their_model(void **state)
{
    akvt_random r = akvt_random_new(2);

    (void)state;
    for (unsigned i = 0; i < 300 * akvt_scale(); i++) {
        review_walk_one(&r, true);
        if (review_has_memory())
            review_walk_one(&r, false);
    }
}

/* ----------------------------------------------------------------- options */

static void test_scan_refuses_read_options_longer_than_their_struct(void **state)
{
    struct {
        akv_scan_options scan;
        uint64_t         more[2];
    } longer              = {AKV_SCAN_OPTIONS_INIT, {0, 0}};
    akv_scan_options scan = AKV_SCAN_OPTIONS_INIT;
    akv             *db   = toy_new(NULL);
    akv_iter        *it;

    (void)state;
    scan.read.size = sizeof scan.read + 1000;
    assert_status(AKV_MISUSE, akv_scan(db, &scan, &it));
    scan.read.size = SIZE_MAX;
    assert_status(AKV_MISUSE, akv_scan(db, &scan, &it));
    /* what a program built with a later header would hand in */
    longer.scan.size      = sizeof longer;
    longer.scan.read.size = sizeof longer.scan.read + sizeof longer.more;
    assert_ok(akv_scan(db, &longer.scan, &it));
    akv_iter_free(it);
    longer.more[1] = 1;
    assert_status(AKV_MISUSE, akv_scan(db, &longer.scan, &it));
    assert_ok(akv_close(db));
}

static void test_expected_counts_only_where_it_is_judged(void **state)
{
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    akv              *db  = toy_new(NULL);
    akv_batch        *batch;

    (void)state;
    opt.condition = AKV_IF_ABSENT;
    opt.expected  = akv_bytes(NULL, 5);
    assert_ok(akv_put(db, akv_str("a"), akv_str("1"), &opt));
    assert_ok(akv_batch_new(db, &batch));
    assert_ok(akv_batch_put(batch, akv_str("b"), akv_str("1"), &opt));
    assert_ok(akv_write(db, batch, NULL));
    opt.condition = AKV_IF_VALUE;
    assert_status(AKV_MISUSE, akv_batch_put(batch, akv_str("b"), akv_str("1"), &opt));
    akv_batch_free(batch);
    assert_ok(akv_close(db));
}

static void test_append_refuses_what_is_null(void **state)
{
    akv_buffer buffer = AKV_BUFFER_INIT;

    (void)state;
    assert_int_equal(akv_buffer_append(NULL, "x", 1), AKV_MISUSE);
    assert_int_equal(akv_buffer_append(&buffer, NULL, 1), AKV_MISUSE);
    assert_int_equal(akv_buffer_append(&buffer, NULL, 0), AKV_OK);
    assert_int_equal(buffer.len, 0);
}

static akv_status review_refuse_merge(void *user, akv_slice key, const akv_slice *existing,
                                      akv_slice operand, akv_buffer *result_out)
{
    (void)user;
    (void)key;
    (void)existing;
    (void)operand;
    (void)result_out;
    return AKV_TOO_BIG;
}

/* Arguments are borrowed for the call, the operator's name too. */
static void test_merge_name_is_copied_at_open(void **state)
{
    akv_open_options   opt      = AKV_OPEN_OPTIONS_INIT;
    char               name[16] = "refuser";
    akv_merge_operator merge    = {name, review_refuse_merge, NULL};
    akv               *db;

    (void)state;
    opt.merge = &merge;
    db        = toy_new(&opt);
    memset(name, '!', sizeof name - 1);
    assert_status(AKV_TOO_BIG, akv_merge(db, akv_str("a"), akv_str("1"), NULL));
    assert_non_null(strstr(akv_last_error()->text, "refuser"));
    assert_string_equal(toy_seen.args.merge->name, "refuser");
    assert_ok(akv_close(db));
}

/* -------------------------------------------------- what a handle can't do */

static void test_what_a_handle_lacks_of_its_engine_is_emulated(void **state)
{
    static akv_engine table;
    akv_batch        *batch;
    akv              *db;

    (void)state;
    table      = toy_table;
    table.name = "toycut";
    table.caps |= AKV_CAP_DELETE_RANGE;
    toy_seen.caps = TOY_CAPS;
    db            = review_open(&table, NULL);
    toy_seen.caps = 0;
    assert_true(akv_capabilities_emulated(db) & AKV_CAP_DELETE_RANGE);
    toy_put(db, "a", "1");
    toy_put(db, "b", "1");
    assert_ok(akv_delete_range(db, akv_str("a"), akv_str("b"), NULL));
    assert_null(toy_text(db, "a"));
    assert_non_null(toy_text(db, "b"));
    assert_ok(akv_batch_new(db, &batch));
    assert_status(AKV_UNSUPPORTED, akv_batch_delete_range(batch, akv_str("a"), akv_str("b"), NULL));
    akv_batch_free(batch);
    assert_ok(akv_close(db));
}

static akv_cancel *review_token;

static akv_status review_write_then_cancel(void *impl, const akv_op *ops, size_t n,
                                           const akv_write_options *opt,
                                           akv_write_result        *result_out)
{
    akv_status status = toy_write(impl, ops, n, opt, result_out);

    if (ops[0].kind == AKV_OP_DELETE)
        akv_cancel_trigger(review_token);
    return status;
}

/* A token that comes too late stops nothing. */
static void test_emulated_delete_range_that_is_done_is_not_cancelled(void **state)
{
    static akv_engine table;
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    akv              *db;

    (void)state;
    table       = toy_table;
    table.name  = "toycancel";
    table.write = review_write_then_cancel;
    db          = review_open(&table, NULL);
    toy_put(db, "a", "1");
    assert_ok(akv_cancel_new(&review_token));
    opt.cancel = review_token;
    assert_ok(akv_delete_range(db, akv_str("a"), akv_str("b"), &opt));
    assert_null(toy_text(db, "a"));
    akv_cancel_free(review_token);
    assert_ok(akv_close(db));
}

static void test_a_refused_move_leaves_the_iterator_on_none(void **state)
{
    static akv_engine table;
    akv              *db;
    akv_iter         *it;

    (void)state;
    table      = toy_table;
    table.name = "toyforward";
    table.caps &= ~(AKV_CAP_ORDERED | AKV_CAP_TXN);
    db = review_open(&table, NULL);
    toy_put(db, "a", "1");
    toy_put(db, "b", "1");
    assert_ok(akv_scan(db, NULL, &it));
    assert_ok(akv_iter_next(it));
    assert_status(AKV_UNSUPPORTED, akv_iter_prev(it));
    assert_false(akv_iter_valid(it));
    assert_int_equal(akv_iter_key(it).len, 0);
    assert_ok(akv_iter_next(it));
    assert_slice(akv_iter_key(it), "b");
    assert_status(AKV_UNSUPPORTED, akv_iter_seek(it, akv_str("a")));
    assert_false(akv_iter_valid(it));
    akv_iter_free(it);
    assert_ok(akv_close(db));
}

/* --------------------------------------------------- memory that runs out */

static akv_status review_concat(void *user, akv_slice key, const akv_slice *existing,
                                akv_slice operand, akv_buffer *result_out)
{
    akv_status status = AKV_OK;

    (void)user;
    (void)key;
    if (existing)
        status = akv_buffer_append(result_out, existing->data, existing->len);
    if (status == AKV_OK)
        status = akv_buffer_append(result_out, operand.data, operand.len);
    return status;
}

/* Every status is fine or AKV_NOMEM, and then with a record that says so. */
static bool review_ran(akv_status status)
{
    if (status >= 0)
        return true;
    assert_int_equal(status, AKV_NOMEM);
    assert_int_equal(akv_last_error()->code, AKV_NOMEM);
    assert_true(akv_last_error()->text[0] != '\0');
    return false;
}

static void review_use_batch(akv *db)
{
    akv_batch *batch;

    if (!review_ran(akv_batch_new(db, &batch)))
        return;
    for (int i = 0; i < 40; i++) {
        char key[8];

        snprintf(key, sizeof key, "k%d", i);
        review_ran(akv_batch_put(batch, akv_str(key), akv_str("value"), NULL));
    }
    review_ran(akv_batch_delete(batch, akv_str("k3"), NULL));
    review_ran(akv_write(db, batch, NULL));
    akv_batch_free(batch);
}

static void review_use_txn(akv *db)
{
    akv_iter *it;
    akv_txn  *txn;

    if (!review_ran(akv_txn_begin(db, &txn)))
        return;
    review_ran(akv_txn_exists(txn, akv_str("k1"), NULL));
    review_ran(akv_txn_put(txn, akv_str("t"), akv_str("1"), NULL));
    review_ran(akv_txn_delete(txn, akv_str("k2"), NULL));
    if (review_ran(akv_txn_scan(txn, NULL, &it))) {
        for (int i = 0; i < 60; i++)
            review_ran(akv_iter_next(it));
        akv_iter_free(it);
    }
    review_ran(akv_txn_commit(txn, NULL));
}

static void review_use_borrowed(akv *db)
{
    akv_scan_options opt   = AKV_SCAN_OPTIONS_INIT;
    akv_value        value = AKV_VALUE_INIT;
    akv_snapshot    *snapshot;
    akv_stream      *stream;
    akv_iter        *it;
    akv_changes     *changes;

    review_ran(akv_get(db, akv_str("k1"), NULL, &value));
    akv_value_release(&value);
    if (review_ran(akv_snapshot_new(db, &snapshot))) {
        opt.read.snapshot = snapshot;
        opt.prefix        = akv_str("k");
        if (review_ran(akv_scan(db, &opt, &it))) {
            for (int i = 0; i < 60; i++)
                review_ran(akv_iter_next(it));
            akv_iter_free(it);
        }
        akv_snapshot_free(snapshot);
    }
    if (akv_stream_create(db, akv_str("s"), false, NULL, &stream) == AKV_OK) {
        review_ran(akv_stream_write(stream, "bytes", 5));
        review_ran(akv_stream_commit(stream));
    }
    if (akv_stream_open(db, akv_str("s"), NULL, &stream) == AKV_OK)
        akv_stream_close(stream);
    if (akv_changes_open(db, akv_bytes(NULL, 0), &changes) == AKV_OK)
        akv_changes_close(changes);
}

static void review_use_spaces(akv *db)
{
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    akv_keyspace     *space;

    if (akv_keyspace_open(db, "a space", AKV_KEYSPACE_CREATE, &space) != AKV_OK)
        return;
    opt.keyspace = space;
    review_ran(akv_put(db, akv_str("a"), akv_str("1"), &opt));
    akv_keyspace_close(space);
}

static void review_use(akv *db)
{
    akv_stats *stats;

    review_use_batch(db);
    review_use_txn(db);
    review_use_borrowed(db);
    review_use_spaces(db);
    review_ran(akv_merge(db, akv_str("m"), akv_str("1"), NULL));
    review_ran(akv_merge(db, akv_str("m"), akv_str("2"), NULL));
    review_ran(akv_delete_range(db, akv_str("k1"), akv_str("k2"), NULL));
    review_ran(akv_scrub_start(db, 1000, NULL));
    review_ran(akv_scrub_stop(db));
    if (review_ran(akv_stats_get(db, &stats)))
        akv_stats_free(stats);
}

/* Fail the n-th allocation for every n, from open to close: nothing crashes,
 * nothing is left, and a check of the store finds it whole. */
static void review_run_out(const char *engine, const char *text)
{
    akv_open_options   opt   = AKV_OPEN_OPTIONS_INIT;
    akv_merge_operator merge = {"concat", review_concat, NULL};
    unsigned           last  = 0;

    opt.merge     = &merge;
    opt.text      = text;
    opt.allocator = &review_allocator;
    for (uint64_t nth = 1; nth < 2000 && last < 3; nth++) {
        akv *db = NULL;

        atomic_store(&review_left, nth);
        if (review_ran(akv_open(engine, NULL, &opt, &db))) {
            review_use(db);
            last = atomic_load(&review_left) > 0 ? last + 1 : 0;
            atomic_store(&review_left, 0);
            assert_ok(akv_verify(db, NULL));
            assert_ok(akv_close(db));
        } else {
            assert_null(db);
        }
        assert_int_equal(atomic_load(&review_out), 0);
    }
    assert_int_equal(last, 3);
}

static void test_no_allocation_that_fails_breaks_the_toy(void **state)
{
    (void)state;
    toy_register();
    review_run_out("toy", "level=5,label=some");
}

static void test_no_allocation_that_fails_breaks_the_memory_engine(void **state)
{
    (void)state;
    if (!review_has_memory())
        skip();
    review_run_out("memory", NULL);
}

/* ---------------------------------------------------------------- open, URI */

static void test_failed_opens_leave_no_descriptor(void **state)
{
    const char *folder = akvt_folder();
    const char *path   = akvt_path(folder, "nothing");
    int         before, after;
    akv        *db;

    (void)state;
    before = dup(0);
    close(before);
    for (int i = 0; i < 3; i++) {
        assert_int_not_equal(akv_open(NULL, path, NULL, &db), AKV_OK);
        assert_int_not_equal(akv_open("memory", path, NULL, &db), AKV_OK);
        assert_int_not_equal(akv_open("memory", folder, NULL, &db), AKV_OK);
        assert_int_not_equal(akv_open(NULL, "memory:%", NULL, &db), AKV_OK);
        assert_int_not_equal(akv_open(NULL, "memory:a%0", NULL, &db), AKV_OK);
        assert_int_not_equal(akv_open(NULL, "memory:a%00b", NULL, &db), AKV_OK);
        assert_int_not_equal(akv_open(NULL, "memory:?threads=%00", NULL, &db), AKV_OK);
        assert_int_not_equal(akv_open(NULL, "memory:?threads", NULL, &db), AKV_OK);
        assert_int_not_equal(akv_open(NULL, "memory:?=1", NULL, &db), AKV_OK);
        assert_int_not_equal(akv_open(NULL, "memory:?threads=1&&nothing=1", NULL, &db), AKV_OK);
        assert_null(db);
    }
    after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

/* -------------------------------------------------------------------- scrub */

static _Atomic int review_stopped, review_closed; /* what the callback was told */

static int review_stop_scrub(void *user, uint64_t done, uint64_t total, const char *unit)
{
    (void)done;
    (void)total;
    (void)unit;
    atomic_store(&review_stopped, akv_scrub_stop(user));
    atomic_store(&review_closed, akv_close(user));
    return 0;
}

/* A scrub's own thread can't wait for its own end. */
static void test_scrub_is_not_ended_from_its_own_callbacks(void **state)
{
    akv_job_options opt = AKV_JOB_OPTIONS_INIT;
    akv            *db  = toy_new(NULL);

    (void)state;
    opt.progress = review_stop_scrub;
    opt.user     = db;
    assert_ok(akv_scrub_start(db, 1000, &opt));
    for (int i = 0; i < 1000 && atomic_load(&review_closed) == 0; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&review_stopped), AKV_BUSY);
    assert_int_equal(atomic_load(&review_closed), AKV_BUSY);
    assert_ok(akv_scrub_stop(db));
    assert_ok(akv_close(db));
}

/* -------------------------------------------------------------------- stats */

static void review_check_families(const char *text)
{
    const char *families[400];
    size_t      n = 0;

    for (const char *at = text; (at = strstr(at, "# TYPE ")); at++) {
        size_t len = strcspn(at + 7, " ");

        for (size_t i = 0; i < n; i++)
            assert_false(strcspn(families[i], " ") == len &&
                         strncmp(families[i], at + 7, len) == 0);
        assert_true(n < 400);
        families[n++] = at + 7;
    }
    assert_true(n > 20);
    assert_string_equal(text + strlen(text) - 6, "# EOF\n");
}

/* No two figures share a name, in no written form. */
static void review_check_stats(akv *db)
{
    akv_buffer out = AKV_BUFFER_INIT;
    akv_stats *stats;

    assert_ok(akv_stats_get(db, &stats));
    for (size_t i = 0; i < akv_stats_count(stats); i++)
        assert_ptr_equal(akv_stats_find(stats, akv_stats_at(stats, i)->name),
                         akv_stats_at(stats, i));
    assert_ok(akv_stats_format(stats, AKV_FORMAT_OPENMETRICS, &out));
    assert_ok(akv_buffer_append(&out, "", 1));
    review_check_families(out.data);
    akv_buffer_free(&out);
    akv_stats_free(stats);
}

static void test_stats_names_are_unique(void **state)
{
    akv *db = review_memory(NULL);

    (void)state;
    toy_put(db, "a", "1");
    review_check_stats(db);
    assert_ok(akv_close(db));
    db = toy_new(NULL);
    review_check_stats(db);
    assert_ok(akv_close(db));
}

/* ------------------------------------------------------------------ threads */

/* More threads than have counters of their own. */
static void *review_reader(void *user)
{
    akv *db = user;

    for (int i = 0; i < 200; i++) {
        akv_value value;

        if (akv_get(db, akv_str("a"), NULL, &value) != AKV_OK)
            return db;
        akv_value_release(&value);
    }
    return NULL;
}

static void test_values_are_counted_over_many_threads(void **state)
{
    akv      *db = review_memory(NULL);
    pthread_t threads[80];

    (void)state;
    toy_put(db, "a", "1");
    for (size_t i = 0; i < 80; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, review_reader, db), 0);
    for (size_t i = 0; i < 80; i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_ok(akv_close(db));
}

/* --------------------------------------------------------------------- fork */

static void test_child_uses_stores_of_its_own_only(void **state)
{
    akv  *db = review_memory(NULL);
    akv  *own;
    pid_t child;
    int   how;

    (void)state;
    toy_register();
    toy_put(db, "a", "1");
    child = fork();
    if (child == 0) {
        bool fine = akv_put(db, akv_str("a"), akv_str("2"), NULL) == AKV_MISUSE &&
                    akv_close(db) == AKV_MISUSE && akv_capabilities(db) == 0 &&
                    akv_open("toy", NULL, NULL, &own) == AKV_OK &&
                    akv_put(own, akv_str("a"), akv_str("2"), NULL) == AKV_OK &&
                    akv_close(own) == AKV_OK && akv_close(own) == AKV_MISUSE;

        _exit(fine ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    assert_string_equal(toy_text(db, "a"), "1");
    assert_ok(akv_close(db));
}

static _Atomic bool review_stop;

/* Holds the lock of the list of engines most of the time. */
static void *review_register(void *user)
{
    while (!atomic_load(&review_stop))
        (void)akv_register(&toy_table);
    return user;
}

static void test_child_can_register_whatever_the_parent_was_doing(void **state)
{
    pthread_t thread;

    (void)state;
    toy_register();
    atomic_store(&review_stop, false);
    assert_int_equal(pthread_create(&thread, NULL, review_register, NULL), 0);
    for (int i = 0; i < 40; i++) {
        pid_t child = fork();
        int   how;

        if (child == 0) {
            alarm(5);
            _exit(akv_register(&toy_table) == AKV_MISUSE ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_int_equal(how, 0);
    }
    atomic_store(&review_stop, true);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_txn_holds_more_keys_than_a_leaf),
        cmocka_unit_test(test_txn_scan_goes_on_after_running_out_of_memory),
        cmocka_unit_test(test_txn_scan_needs_an_ordered_engine),
        cmocka_unit_test(test_iterators_move_as_their_model),
        cmocka_unit_test(test_scan_refuses_read_options_longer_than_their_struct),
        cmocka_unit_test(test_expected_counts_only_where_it_is_judged),
        cmocka_unit_test(test_append_refuses_what_is_null),
        cmocka_unit_test(test_merge_name_is_copied_at_open),
        cmocka_unit_test(test_what_a_handle_lacks_of_its_engine_is_emulated),
        cmocka_unit_test(test_emulated_delete_range_that_is_done_is_not_cancelled),
        cmocka_unit_test(test_a_refused_move_leaves_the_iterator_on_none),
        cmocka_unit_test(test_no_allocation_that_fails_breaks_the_toy),
        cmocka_unit_test(test_no_allocation_that_fails_breaks_the_memory_engine),
        cmocka_unit_test(test_failed_opens_leave_no_descriptor),
        cmocka_unit_test(test_scrub_is_not_ended_from_its_own_callbacks),
        cmocka_unit_test(test_stats_names_are_unique),
        cmocka_unit_test(test_values_are_counted_over_many_threads),
        cmocka_unit_test(test_child_uses_stores_of_its_own_only),
        cmocka_unit_test(test_child_can_register_whatever_the_parent_was_doing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
