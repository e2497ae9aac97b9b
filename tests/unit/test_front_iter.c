/* SPDX-License-Identifier: MIT
 *
 * Iterators: bounds, ends, reverse, limits, failures; compared at random with
 * a plain model.
 */
#include "tests/unit/toy.h"

#include <stdio.h>

/* The key an iterator is on, "-" on none. */
static const char *iter_at(const akv_iter *it)
{
    static char text[100];
    akv_slice   key = akv_iter_key(it);

    if (!akv_iter_valid(it)) {
        assert_int_equal(key.len, 0);
        assert_int_equal(akv_iter_value(it).len, 0);
        return "-";
    }
    snprintf(text, sizeof text, "%.*s", (int)key.len, (const char *)key.data);
    return text;
}

#define assert_on(it, status, key)               \
    do {                                         \
        assert_int_equal((status), AKV_OK);      \
        assert_string_equal(iter_at(it), (key)); \
    } while (0)
#define assert_end(it, status)                 \
    do {                                       \
        assert_int_equal((status), AKV_END);   \
        assert_string_equal(iter_at(it), "-"); \
    } while (0)

static akv *iter_store(const char *keys)
{
    akv *db = toy_new(NULL);

    for (; *keys; keys++)
        assert_ok(akv_put(db, akv_bytes(keys, 1), akv_bytes(keys, 1), NULL));
    return db;
}

static akv_iter *iter_scan(akv *db, uint32_t flags, const char *lower, const char *upper,
                           const char *prefix, uint64_t limit)
{
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
    akv_iter        *it;

    opt.flags  = flags;
    opt.lower  = akv_str(lower);
    opt.upper  = akv_str(upper);
    opt.prefix = akv_str(prefix);
    opt.limit  = limit;
    assert_ok(akv_scan(db, &opt, &it));
    assert_false(akv_iter_valid(it));
    return it;
}

static void test_iter_past_an_end_the_move_back_lands_on_the_last_entry(void **state)
{
    akv      *db = iter_store("abc");
    akv_iter *it = iter_scan(db, 0, NULL, NULL, NULL, 0);

    (void)state;
    assert_end(it, akv_iter_prev(it)); /* before the first already */
    assert_on(it, akv_iter_next(it), "a");
    assert_on(it, akv_iter_next(it), "b");
    assert_on(it, akv_iter_next(it), "c");
    assert_slice(akv_iter_value(it), "c");
    assert_end(it, akv_iter_next(it));
    assert_end(it, akv_iter_next(it));
    assert_on(it, akv_iter_prev(it), "c");
    assert_on(it, akv_iter_prev(it), "b");
    assert_on(it, akv_iter_first(it), "a");
    assert_end(it, akv_iter_prev(it));
    assert_end(it, akv_iter_prev(it));
    assert_on(it, akv_iter_next(it), "a");
    assert_on(it, akv_iter_last(it), "c");
    akv_iter_free(it);
    assert_ok(akv_close(db));
}

static void test_iter_reverse_swaps_the_moves_but_not_the_seeks(void **state)
{
    akv      *db = iter_store("aceg");
    akv_iter *it = iter_scan(db, AKV_SCAN_REVERSE, NULL, NULL, NULL, 0);

    (void)state;
    assert_end(it, akv_iter_prev(it));
    assert_on(it, akv_iter_next(it), "g");
    assert_on(it, akv_iter_next(it), "e");
    assert_on(it, akv_iter_prev(it), "g");
    assert_on(it, akv_iter_last(it), "a");
    assert_end(it, akv_iter_next(it));
    assert_on(it, akv_iter_prev(it), "a");
    assert_on(it, akv_iter_first(it), "g");
    assert_on(it, akv_iter_seek(it, akv_str("d")), "e");
    assert_on(it, akv_iter_next(it), "c");
    assert_on(it, akv_iter_seek_for_prev(it, akv_str("d")), "c");
    assert_end(it, akv_iter_seek(it, akv_str("h")));
    assert_on(it, akv_iter_next(it), "g");
    assert_end(it, akv_iter_seek_for_prev(it, akv_str("A")));
    assert_on(it, akv_iter_prev(it), "a");
    akv_iter_free(it);
    assert_ok(akv_close(db));
}

static void test_iter_bounds_hold_for_every_move(void **state)
{
    akv      *db = iter_store("abcdefg");
    akv_iter *it = iter_scan(db, 0, "c", "f", NULL, 0);

    (void)state;
    assert_on(it, akv_iter_last(it), "e");
    assert_on(it, akv_iter_first(it), "c");
    assert_on(it, akv_iter_seek(it, akv_str("a")), "c");
    assert_on(it, akv_iter_seek(it, akv_str("d")), "d");
    assert_end(it, akv_iter_seek(it, akv_str("f")));
    assert_on(it, akv_iter_prev(it), "e");
    assert_on(it, akv_iter_seek_for_prev(it, akv_str("z")), "e");
    assert_end(it, akv_iter_seek_for_prev(it, akv_str("b")));
    assert_on(it, akv_iter_next(it), "c");
    akv_iter_free(it);

    it = iter_scan(db, 0, "f", "c", NULL, 0); /* nothing */
    assert_end(it, akv_iter_next(it));
    assert_end(it, akv_iter_prev(it));
    assert_end(it, akv_iter_seek(it, akv_str("d")));
    assert_end(it, akv_iter_seek_for_prev(it, akv_str("d")));
    assert_end(it, akv_iter_last(it));
    akv_iter_free(it);

    it = iter_scan(db, AKV_SCAN_UPPER, NULL, "", NULL, 0); /* below the empty key */
    assert_end(it, akv_iter_first(it));
    akv_iter_free(it);
    assert_ok(akv_close(db));
}

static void test_iter_prefix_joins_the_bounds(void **state)
{
    akv             *db  = toy_new(NULL);
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
    akv_iter        *it;

    (void)state;
    toy_put(db, "", "");
    toy_put(db, "a", "");
    toy_put(db, "ab", "");
    toy_put(db, "abc", "");
    toy_put(db, "ac", "");
    toy_put(db, "\xff", "");
    toy_put(db, "\xff\xff", "");
    it = iter_scan(db, 0, NULL, NULL, "ab", 0);
    assert_on(it, akv_iter_next(it), "ab");
    assert_on(it, akv_iter_next(it), "abc");
    assert_end(it, akv_iter_next(it));
    akv_iter_free(it);
    it = iter_scan(db, 0, "abb", NULL, "a", 0);
    assert_on(it, akv_iter_next(it), "abc");
    assert_on(it, akv_iter_next(it), "ac");
    assert_end(it, akv_iter_next(it));
    akv_iter_free(it);
    it = iter_scan(db, 0, NULL, "abc", "a", 0);
    assert_on(it, akv_iter_last(it), "ab");
    akv_iter_free(it);
    it = iter_scan(db, 0, NULL, NULL, "\xff", 0); /* no key is past all of these */
    assert_on(it, akv_iter_first(it), "\xff");
    assert_on(it, akv_iter_next(it), "\xff\xff");
    assert_end(it, akv_iter_next(it));
    akv_iter_free(it);
    /* the bounds are copied */
    {
        char bound[] = "ab";

        opt.prefix = akv_str(bound);
        assert_ok(akv_scan(db, &opt, &it));
        memset(bound, 'z', sizeof bound);
    }
    assert_on(it, akv_iter_next(it), "ab");
    akv_iter_free(it);
    assert_ok(akv_close(db));
}

static void test_iter_limit_counts_what_moves_return(void **state)
{
    akv      *db = iter_store("abcdef");
    akv_iter *it = iter_scan(db, 0, NULL, NULL, NULL, 3);

    (void)state;
    assert_on(it, akv_iter_next(it), "a");
    assert_on(it, akv_iter_last(it), "f");
    assert_on(it, akv_iter_seek(it, akv_str("c")), "c");
    assert_end(it, akv_iter_next(it));
    assert_end(it, akv_iter_first(it));
    akv_iter_free(it);
    assert_ok(akv_close(db));
}

static void test_iter_keys_only_leaves_values_empty(void **state)
{
    akv      *db = iter_store("ab");
    akv_iter *it = iter_scan(db, AKV_SCAN_KEYS_ONLY, NULL, NULL, NULL, 0);

    (void)state;
    assert_on(it, akv_iter_next(it), "a");
    assert_int_equal(akv_iter_value(it).len, 0);
    akv_iter_free(it);
    it = iter_scan(db, 0, NULL, NULL, NULL, 0);
    assert_on(it, akv_iter_next(it), "a");
    assert_int_equal(akv_iter_item(it)->len, 1);
    assert_int_equal(akv_iter_item(it)->version.bytes[0], 1);
    assert_null(akv_iter_item(it)->db);
    akv_iter_free(it);
    assert_ok(akv_close(db));
}

static void test_iter_sees_the_store_as_it_was(void **state)
{
    akv      *db = iter_store("abc");
    akv_iter *it = iter_scan(db, 0, NULL, NULL, NULL, 0);

    (void)state;
    assert_on(it, akv_iter_next(it), "a");
    assert_ok(akv_delete(db, akv_str("b"), NULL));
    toy_put(db, "bb", "x");
    assert_on(it, akv_iter_next(it), "b");
    assert_on(it, akv_iter_next(it), "c");
    akv_iter_free(it);
    assert_ok(akv_close(db));
}

static void test_iter_failed_move_may_be_tried_again(void **state)
{
    akv      *db = iter_store("abc");
    akv_iter *it = iter_scan(db, 0, NULL, NULL, NULL, 0);

    (void)state;
    assert_on(it, akv_iter_next(it), "a");
    toy_seen.fail_moves = AKV_IO;
    assert_status(AKV_IO, akv_iter_next(it));
    assert_string_equal(iter_at(it), "-");
    assert_on(it, akv_iter_next(it), "b");
    akv_iter_free(it);
    assert_ok(akv_close(db));
}

static void test_iter_looks_at_token_and_deadline_as_it_goes(void **state)
{
    akv             *db  = toy_new(NULL);
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
    akv_cancel      *cancel;
    akv_iter        *it;
    unsigned         n = 0;
    akv_status       status;

    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        char key[8];

        snprintf(key, sizeof key, "%03u", i);
        toy_put(db, key, "x");
    }
    assert_ok(akv_cancel_new(&cancel));
    opt.read.cancel = cancel;
    assert_ok(akv_scan(db, &opt, &it));
    assert_ok(akv_iter_next(it));
    akv_cancel_trigger(cancel);
    while ((status = akv_iter_next(it)) == AKV_OK)
        n++;
    assert_int_equal(status, AKV_CANCELLED);
    assert_true(n < 64);
    akv_iter_free(it);
    akv_cancel_free(cancel);
    opt.read.cancel      = NULL;
    opt.read.deadline_ns = akv_deadline_in_ms(60000);
    opt.limit            = 200;
    assert_ok(akv_scan(db, &opt, &it));
    for (n = 0; akv_iter_next(it) == AKV_OK; n++)
        ;
    assert_int_equal(n, 200);
    akv_iter_free(it);
    assert_ok(akv_close(db));
}

/* ------------------------------------------------------------------- at random */

/* The model: sorted keys, and a place from -1 (before) to n (after). */
typedef struct iter_model {
    int  n, at;
    char keys[40][4];
} iter_model;

static akv_status iter_model_to(iter_model *m, int at)
{
    m->at = at < 0 ? -1 : at > m->n ? m->n : at;
    return m->at < 0 || m->at >= m->n ? AKV_END : AKV_OK;
}

static akv_status iter_model_seek(iter_model *m, const char *key, bool back)
{
    int at = 0;

    while (at < m->n && strcmp(m->keys[at], key) < 0)
        at++;
    if (back && (at == m->n || strcmp(m->keys[at], key) != 0))
        at--;
    return iter_model_to(m, at);
}

static akv_status iter_model_move(iter_model *m, uint64_t move, const char *key, bool reverse)
{
    if (reverse && move < 4)
        move ^= 1;
    switch (move) {
    case 0: return iter_model_to(m, m->at + 1);
    case 1: return iter_model_to(m, m->at - 1);
    case 2: return iter_model_to(m, 0);
    case 3: return iter_model_to(m, m->n ? m->n - 1 : -1);
    case 4: return iter_model_seek(m, key, false);
    default: return iter_model_seek(m, key, true);
    }
}

static akv_status iter_real_move(akv_iter *it, uint64_t move, const char *key)
{
    switch (move) {
    case 0: return akv_iter_next(it);
    case 1: return akv_iter_prev(it);
    case 2: return akv_iter_first(it);
    case 3: return akv_iter_last(it);
    case 4: return akv_iter_seek(it, akv_str(key));
    default: return akv_iter_seek_for_prev(it, akv_str(key));
    }
}

static void iter_random_key(akvt_random *r, char key[4])
{
    size_t len = 1 + akvt_below(r, 3);

    for (size_t i = 0; i < len; i++)
        key[i] = (char)('a' + akvt_below(r, 3));
    key[len] = '\0';
}

static void iter_random_round(akvt_random *r)
{
    akv       *db = toy_new(NULL);
    iter_model m  = {0, -1, {{0}}};
    char       lower[4], upper[4], prefix[4] = "", key[4];
    bool       reverse = akvt_below(r, 2) != 0;
    akv_iter  *it, *all;

    for (int i = 0; i < 25; i++) {
        iter_random_key(r, key);
        toy_put(db, key, key);
    }
    iter_random_key(r, lower);
    iter_random_key(r, upper);
    if (akvt_below(r, 2))
        snprintf(prefix, sizeof prefix, "%c", (char)('a' + akvt_below(r, 3)));
    all = iter_scan(db, 0, NULL, NULL, NULL, 0);
    while (akv_iter_next(all) == AKV_OK) {
        const char *k = iter_at(all);

        if (strcmp(k, lower) >= 0 && strcmp(k, upper) < 0 &&
            strncmp(k, prefix, strlen(prefix)) == 0)
            snprintf(m.keys[m.n++], sizeof m.keys[0], "%s", k);
    }
    akv_iter_free(all);
    it   = iter_scan(db, reverse ? AKV_SCAN_REVERSE : 0, lower, upper, prefix, 0);
    m.at = reverse ? m.n : -1;
    for (int i = 0; i < 60; i++) {
        uint64_t   move = akvt_below(r, 6);
        akv_status want;

        iter_random_key(r, key);
        want = iter_model_move(&m, move, key, reverse);
        assert_int_equal(iter_real_move(it, move, key), want);
        assert_string_equal(iter_at(it), want == AKV_OK ? m.keys[m.at] : "-");
    }
    akv_iter_free(it);
    assert_ok(akv_close(db));
}

static void test_iter_moves_at_random_as_a_model_does(void **state)
{
    akvt_random r = akvt_random_new(1);

    (void)state;
    for (unsigned i = 0; i < 200 * akvt_scale(); i++)
        iter_random_round(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_iter_past_an_end_the_move_back_lands_on_the_last_entry),
        cmocka_unit_test(test_iter_reverse_swaps_the_moves_but_not_the_seeks),
        cmocka_unit_test(test_iter_bounds_hold_for_every_move),
        cmocka_unit_test(test_iter_prefix_joins_the_bounds),
        cmocka_unit_test(test_iter_limit_counts_what_moves_return),
        cmocka_unit_test(test_iter_keys_only_leaves_values_empty),
        cmocka_unit_test(test_iter_sees_the_store_as_it_was),
        cmocka_unit_test(test_iter_failed_move_may_be_tried_again),
        cmocka_unit_test(test_iter_looks_at_token_and_deadline_as_it_goes),
        cmocka_unit_test(test_iter_moves_at_random_as_a_model_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
