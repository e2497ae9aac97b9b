/* SPDX-License-Identifier: MIT
 *
 * test_metrics.c: counter slots and histograms.
 */
#include "tests/testing.h"

#include "common/base/metrics.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------- histogram */

static int metrics_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void test_histogram_of_nothing_is_zero(void **state)
{
    static akvi_histogram h;
    akv_histogram_summary s;

    (void)state;
    akvi_histogram_summary(&h, &s);
    assert_int_equal(s.count | s.sum | s.min | s.max | s.p50 | s.p999, 0);
}

static void test_histogram_small_values_are_exact(void **state)
{
    static akvi_histogram h;
    akv_histogram_summary s;

    (void)state;
    for (uint64_t v = 0; v < 10; v++)
        akvi_histogram_record(&h, v);
    akvi_histogram_summary(&h, &s);
    assert_int_equal(s.count, 10);
    assert_int_equal(s.sum, 45);
    assert_int_equal(s.min, 0);
    assert_int_equal(s.max, 9);
    assert_int_equal(s.p50, 4);
    assert_int_equal(s.p90, 8);
    assert_int_equal(s.p99, 9);
}

static void test_histogram_percentile_is_at_most_a_sixteenth_above(void **state)
{
    static const double qs[] = {0.001, 0.5, 0.9, 0.99, 0.999, 1.0};
    akvt_random         r    = akvt_random_new(1);
    static uint64_t     values[5000];

    (void)state;
    for (int round = 0; round < 20; round++) {
        akvi_histogram *h = calloc(1, sizeof *h);

        assert_non_null(h);
        for (size_t i = 0; i < 5000; i++) {
            values[i] = akvt_next(&r) >> akvt_below(&r, 64);
            akvi_histogram_record(h, values[i]);
        }
        qsort(values, 5000, sizeof values[0], metrics_compare);
        for (size_t i = 0; i < 6; i++) {
            size_t   rank  = (size_t)(qs[i] * 5000);
            uint64_t truth = values[rank ? rank - 1 : 0];
            uint64_t got   = akvi_histogram_quantile(h, qs[i]);

            assert_true(got >= truth);
            assert_true(got - truth <= truth / 16);
        }
        free(h);
    }
}

static void test_histogram_takes_the_largest_number(void **state)
{
    static akvi_histogram h;

    (void)state;
    akvi_histogram_record(&h, UINT64_MAX);
    assert_true(akvi_histogram_quantile(&h, 1) == UINT64_MAX - 1);
    akvi_histogram_record(&h, UINT64_C(1) << 63);
    assert_true(akvi_histogram_quantile(&h, 0.5) >= UINT64_C(1) << 63);
}

static void test_histograms_add_up(void **state)
{
    static akvi_histogram a, b, sum, empty;
    akv_histogram_summary s;

    (void)state;
    akvi_histogram_record(&a, 5);
    akvi_histogram_record(&b, 1000);
    akvi_histogram_record(&b, 3);
    akvi_histogram_add(&sum, &a);
    akvi_histogram_add(&sum, &b);
    akvi_histogram_add(&sum, &empty);
    akvi_histogram_summary(&sum, &s);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.sum, 1008);
    assert_int_equal(s.min, 3);
    assert_int_equal(s.max, 1000);
    assert_int_equal(s.p50, 5);
}

/* ----------------------------------------------------------------- threads */

#define METRICS_THREADS 80 /* more than there are slots */
#define METRICS_ADDS    500

static _Atomic uint64_t metrics_cells[AKVI_SLOTS][8];
static akvi_histogram   metrics_histogram;
static _Atomic unsigned metrics_ready;

static uint64_t metrics_sum(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < AKVI_SLOTS; i++)
        sum += atomic_load(&metrics_cells[i][0]);
    return sum;
}

static void *metrics_thread(void *user)
{
    unsigned slot = akvi_slot();

    (void)user;
    atomic_fetch_add(&metrics_ready, 1);
    while (atomic_load(&metrics_ready) < METRICS_THREADS) /* until all have a slot */
        sched_yield();
    for (uint64_t i = 0; i < METRICS_ADDS; i++) {
        akvi_slot_add(&metrics_cells[akvi_slot()][0], slot, 1);
        akvi_histogram_record(&metrics_histogram, i);
    }
    return (void *)(uintptr_t)slot;
}

static void test_slots_count_exactly_with_more_threads_than_slots(void **state)
{
    pthread_t threads[METRICS_THREADS];
    unsigned  owners[AKVI_SLOTS] = {0};

    (void)state;
    for (int i = 0; i < METRICS_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, metrics_thread, NULL), 0);
    for (int i = 0; i < METRICS_THREADS; i++) {
        void *slot;

        pthread_join(threads[i], &slot);
        owners[(uintptr_t)slot]++;
    }
    for (unsigned i = 0; i < AKVI_SLOTS_OWN; i++)
        assert_in_range(owners[i], 0, 1);
    assert_in_range(owners[AKVI_SLOTS_OWN], METRICS_THREADS - AKVI_SLOTS_OWN, METRICS_THREADS);
    assert_int_equal(metrics_sum(), METRICS_THREADS * METRICS_ADDS);
    assert_int_equal(metrics_histogram.count, METRICS_THREADS * METRICS_ADDS);
    assert_int_equal(metrics_histogram.max, METRICS_ADDS - 1);
}

static void *metrics_short_thread(void *user)
{
    unsigned slot = akvi_slot();

    (void)user;
    akvi_slot_add(&metrics_cells[slot][1], slot, 1);
    return (void *)(uintptr_t)slot;
}

static void test_slots_of_ended_threads_are_used_again(void **state)
{
    uint64_t sum = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        void     *slot;

        assert_int_equal(pthread_create(&thread, NULL, metrics_short_thread, NULL), 0);
        pthread_join(thread, &slot);
        assert_in_range((uintptr_t)slot, 0, 1);
    }
    for (unsigned i = 0; i < AKVI_SLOTS; i++)
        sum += atomic_load(&metrics_cells[i][1]);
    assert_int_equal(sum, 200);
}

static void test_slot_is_the_same_for_a_thread(void **state)
{
    (void)state;
    assert_int_equal(akvi_slot(), akvi_slot());
    assert_in_range(akvi_slot(), 0, AKVI_SLOTS_OWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_of_nothing_is_zero),
        cmocka_unit_test(test_histogram_small_values_are_exact),
        cmocka_unit_test(test_histogram_percentile_is_at_most_a_sixteenth_above),
        cmocka_unit_test(test_histogram_takes_the_largest_number),
        cmocka_unit_test(test_histograms_add_up),
        cmocka_unit_test(test_slots_count_exactly_with_more_threads_than_slots),
        cmocka_unit_test(test_slots_of_ended_threads_are_used_again),
        cmocka_unit_test(test_slot_is_the_same_for_a_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
