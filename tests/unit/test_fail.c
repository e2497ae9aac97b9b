/* SPDX-License-Identifier: MIT
 *
 * test_fail.c: the error record of a thread and of a call.
 */
#include "tests/testing.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static void test_first_cause_wins_within_a_call(void **state)
{
    (void)state;
    akvi_call_begin();
    assert_int_equal(AKV_FAIL_AT(AKV_CORRUPT, "a/b.db", 42, "bad %s", "magic"), AKV_CORRUPT);
    assert_int_equal(AKV_FAIL(AKV_IO, "cleanup failed"), AKV_IO);
    assert_int_equal(akvi_call_end(AKV_CORRUPT, "brine"), AKV_CORRUPT);
    assert_int_equal(akv_last_error()->code, AKV_CORRUPT);
    assert_string_equal(akv_last_error()->engine, "brine");
    assert_string_equal(akv_last_error()->file, "a/b.db");
    assert_true(akv_last_error()->offset == 42);
    assert_int_equal(akv_last_error()->os_errno, 0);
    assert_string_equal(akv_last_error()->text, "a/b.db: at offset 42: bad magic");
}

static void test_only_a_failing_call_replaces_the_last_error(void **state)
{
    (void)state;
    akvi_call_begin();
    AKV_FAIL(AKV_BUSY, "the one to keep");
    akvi_call_end(AKV_BUSY, "");
    akvi_call_begin();
    AKV_FAIL(AKV_IO, "recovered from");
    assert_int_equal(akvi_call_end(AKV_OK, ""), AKV_OK);
    akvi_call_begin();
    assert_int_equal(akvi_call_end(AKV_ABSENT, ""), AKV_ABSENT);
    assert_string_equal(akv_last_error()->text, "the one to keep");
    akvi_call_begin();
    AKV_FAIL(AKV_IO, "recovered from");
    akv_engine_recovered();
    AKV_FAIL(AKV_TOO_BIG, "the real cause");
    akvi_call_end(AKV_TOO_BIG, "");
    assert_string_equal(akv_last_error()->text, "the real cause");
}

static void test_failure_that_nobody_described_is_named(void **state)
{
    (void)state;
    akvi_call_begin();
    akvi_call_end(AKV_FENCED, "brine");
    assert_int_equal(akv_last_error()->code, AKV_FENCED);
    assert_non_null(strstr(akv_last_error()->text, "AKV_FENCED"));
}

static void test_errno_is_told_in_words(void **state)
{
    (void)state;
    akvi_call_begin();
    assert_int_equal(AKV_FAIL_ERRNO(EACCES, "x.db", AKV_NO_OFFSET, "can't open"), AKV_IO);
    assert_string_equal(akvi_pending_error()->text, "x.db: can't open: Permission denied");
    assert_int_equal(akvi_pending_error()->os_errno, EACCES);
    assert_int_equal(akvi_status_of_errno(ENOSPC), AKV_NOSPACE);
    assert_int_equal(akvi_status_of_errno(EDQUOT), AKV_NOSPACE);
    assert_int_equal(akvi_status_of_errno(ENOMEM), AKV_NOMEM);
    assert_int_equal(akvi_status_of_errno(EIO), AKV_IO);
}

static void test_long_texts_are_cut_and_long_paths_keep_their_end(void **state)
{
    char path[1000], text[2000];

    (void)state;
    memset(path, 'p', sizeof path);
    memset(text, 't', sizeof text);
    strcpy(path + sizeof path - 8, "/end.db");
    text[sizeof text - 1] = '\0';
    akvi_call_begin();
    akv_engine_fail(AKV_IO, EIO, path, 7, "%s", text);
    akvi_call_end(AKV_IO, "an engine name beyond the room");
    assert_int_equal(strlen(akv_last_error()->file), sizeof akv_last_error()->file - 1);
    assert_non_null(strstr(akv_last_error()->file, "/end.db"));
    assert_int_equal(strlen(akv_last_error()->text), sizeof akv_last_error()->text - 1);
    assert_int_equal(strlen(akv_last_error()->engine), sizeof akv_last_error()->engine - 1);
}

static void test_parked_failure_is_recorded_again(void **state)
{
    akv_error parked;

    (void)state;
    akvi_call_begin();
    AKV_FAIL_AT(AKV_POISONED, "log", 9, "sync failed");
    parked = *akvi_pending_error();
    akvi_call_begin();
    assert_int_equal(akvi_fail_again(&parked), AKV_POISONED);
    akvi_call_end(AKV_POISONED, "brine");
    assert_string_equal(akv_last_error()->text, "log: at offset 9: sync failed");
}

static void test_kept_fault_is_the_error_of_a_call_that_ends_with_it(void **state)
{
    (void)state;
    akvi_call_begin();
    AKV_FAIL(AKV_CORRUPT, "first fault");
    assert_int_equal(akvi_fail_keep(), AKV_CORRUPT);
    AKV_FAIL(AKV_CORRUPT, "second fault");
    assert_string_equal(akvi_pending_error()->text, "second fault");
    assert_int_equal(akvi_fail_keep(), AKV_CORRUPT);
    assert_string_equal(akvi_pending_error()->text, "first fault");
    akvi_call_end(AKV_CORRUPT, "");
    assert_string_equal(akv_last_error()->text, "first fault");

    akvi_call_begin(); /* cut short: the reason for that is told */
    AKV_FAIL(AKV_CORRUPT, "a fault");
    akvi_fail_keep();
    AKV_FAIL(AKV_CANCELLED, "cancelled");
    akvi_call_end(AKV_CANCELLED, "");
    assert_string_equal(akv_last_error()->text, "cancelled");
}

static void test_callback_that_calls_again_does_not_disturb_the_call(void **state)
{
    akvi_call_state saved;

    (void)state;
    akvi_call_begin();
    AKV_FAIL(AKV_IO, "outer");
    akvi_call_save(&saved);
    akvi_call_begin();
    AKV_FAIL(AKV_BUSY, "inner");
    akvi_call_end(AKV_BUSY, "");
    assert_string_equal(akv_last_error()->text, "inner");
    akvi_call_restore(&saved);
    akvi_call_end(AKV_IO, "");
    assert_string_equal(akv_last_error()->text, "outer");
}

static void *fail_in_thread(void *user)
{
    *(akv_status *)user = akv_last_error()->code;
    akvi_call_begin();
    AKV_FAIL(AKV_LOCKED, "in the thread");
    akvi_call_end(AKV_LOCKED, "");
    return NULL;
}

static void test_threads_have_records_of_their_own(void **state)
{
    akv_status before = AKV_IO;
    pthread_t  thread;

    (void)state;
    akvi_call_begin();
    AKV_FAIL(AKV_TIMEOUT, "here");
    akvi_call_end(AKV_TIMEOUT, "");
    assert_int_equal(pthread_create(&thread, NULL, fail_in_thread, &before), 0);
    pthread_join(thread, NULL);
    assert_int_equal(before, AKV_OK);
    assert_string_equal(akv_last_error()->text, "here");
}

static void test_every_status_has_its_name(void **state)
{
    (void)state;
    assert_string_equal(akv_status_name(AKV_OK), "AKV_OK");
    assert_string_equal(akv_status_name(AKV_CONFLICT), "AKV_CONFLICT");
    for (int s = AKV_POISONED; s <= AKV_CONFLICT; s++)
        assert_string_not_equal(akv_status_name((akv_status)s), "AKV_?");
    assert_string_equal(akv_status_name((akv_status)(AKV_POISONED - 1)), "AKV_?");
    assert_string_equal(akv_status_name((akv_status)(AKV_CONFLICT + 1)), "AKV_?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_cause_wins_within_a_call),
        cmocka_unit_test(test_only_a_failing_call_replaces_the_last_error),
        cmocka_unit_test(test_failure_that_nobody_described_is_named),
        cmocka_unit_test(test_errno_is_told_in_words),
        cmocka_unit_test(test_long_texts_are_cut_and_long_paths_keep_their_end),
        cmocka_unit_test(test_parked_failure_is_recorded_again),
        cmocka_unit_test(test_kept_fault_is_the_error_of_a_call_that_ends_with_it),
        cmocka_unit_test(test_callback_that_calls_again_does_not_disturb_the_call),
        cmocka_unit_test(test_threads_have_records_of_their_own),
        cmocka_unit_test(test_every_status_has_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
