/* SPDX-License-Identifier: MIT
 *
 * The registry of locked files: which opens go together, and that threads
 * taking and releasing never let two exclusive holders in.
 */
#include "common/env/lock_registry.h"
#include "tests/testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REGISTRY_DEVICE  (UINT64_C(1) << 62)
#define REGISTRY_THREADS 4
#define REGISTRY_ROUNDS  2000

static akv_status registry_take(uint64_t inode, const char *owner, bool exclusive)
{
    return akvi_lock_take(REGISTRY_DEVICE, inode, owner, exclusive, "some/file");
}

static void registry_release(uint64_t inode, const char *owner)
{
    akvi_lock_release(REGISTRY_DEVICE, inode, owner, false);
}

static void test_lock_registry_exclusive_goes_with_nobody(void **state)
{
    const char *a = "a", *b = "b";
    char        text[64];

    (void)state;
    snprintf(text, sizeof text, "some/file: locked by this process, process %ld", (long)getpid());
    assert_ok(registry_take(1, a, true));
    assert_status(AKV_LOCKED, registry_take(1, b, true));
    assert_error_has(text);
    assert_status(AKV_LOCKED, registry_take(1, b, false));
    assert_ok(registry_take(2, b, true));
    assert_ok(akvi_lock_take(REGISTRY_DEVICE + 1, 1, b, true, "other device"));
    registry_release(1, a);
    assert_ok(registry_take(1, b, true));
    registry_release(1, b);
    registry_release(2, b);
    akvi_lock_release(REGISTRY_DEVICE + 1, 1, b, false);
}

static void test_lock_registry_shared_goes_with_shared(void **state)
{
    const char *a = "a", *b = "b", *c = "c";

    (void)state;
    assert_ok(registry_take(1, a, false));
    assert_ok(registry_take(1, b, false));
    assert_status(AKV_LOCKED, registry_take(1, c, true));
    registry_release(1, a);
    assert_status(AKV_LOCKED, registry_take(1, c, true));
    registry_release(1, b);
    assert_ok(registry_take(1, c, true));
    registry_release(1, c);
}

static void test_lock_registry_holders_change_kind(void **state)
{
    const char *a = "a", *b = "b";

    (void)state;
    assert_ok(registry_take(1, a, false));
    assert_ok(registry_take(1, a, true));
    assert_status(AKV_LOCKED, registry_take(1, b, false));
    assert_ok(registry_take(1, a, false));
    assert_ok(registry_take(1, b, false));
    assert_status(AKV_LOCKED, registry_take(1, a, true)); /* and keeps what it had */
    registry_release(1, b);
    assert_ok(registry_take(1, a, true));
    akvi_lock_release(REGISTRY_DEVICE, 1, a, true);
    assert_ok(registry_take(1, b, false));
    registry_release(1, a);
    registry_release(1, b);
}

static void test_lock_registry_release_of_nothing_is_nothing(void **state)
{
    const char *a = "a", *b = "b";

    (void)state;
    registry_release(1, a);
    assert_ok(registry_take(1, a, true));
    registry_release(1, b);
    assert_status(AKV_LOCKED, registry_take(1, b, true));
    registry_release(1, a);
    registry_release(1, a);
}

static _Atomic int registry_inside, registry_wrong, registry_got;

static void *registry_work(void *user)
{
    for (int i = 0; i < REGISTRY_ROUNDS; i++) {
        if (registry_take(7, user, true) != AKV_OK)
            continue;
        if (atomic_fetch_add(&registry_inside, 1) != 0)
            atomic_fetch_add(&registry_wrong, 1);
        atomic_fetch_add(&registry_got, 1);
        atomic_fetch_sub(&registry_inside, 1);
        registry_release(7, user);
    }
    return NULL;
}

static void test_lock_registry_threads_exclude_each_other(void **state)
{
    pthread_t threads[REGISTRY_THREADS];
    char      owners[REGISTRY_THREADS] = {0};

    (void)state;
    for (int i = 0; i < REGISTRY_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, registry_work, &owners[i]), 0);
    for (int i = 0; i < REGISTRY_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(registry_wrong, 0);
    assert_true(registry_got > 0);
    assert_ok(registry_take(7, "last", true));
    registry_release(7, "last");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lock_registry_exclusive_goes_with_nobody),
        cmocka_unit_test(test_lock_registry_shared_goes_with_shared),
        cmocka_unit_test(test_lock_registry_holders_change_kind),
        cmocka_unit_test(test_lock_registry_release_of_nothing_is_nothing),
        cmocka_unit_test(test_lock_registry_threads_exclude_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
