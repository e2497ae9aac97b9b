/* SPDX-License-Identifier: MIT
 *
 * test_job.c: deadlines, cancelling, the steps and faults of long work, logs.
 */
#include "tests/testing.h"

#include "common/base/bytes.h"
#include "common/base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* An env that is only a clock, which moves when it is slept on. */
typedef struct job_clock {
    akv_env  env;
    uint64_t now_ns, slept_ns, naps;
} job_clock;

static uint64_t job_clock_now(akv_env *env)
{
    return ((job_clock *)env)->now_ns;
}

static void job_clock_sleep(akv_env *env, uint64_t ns)
{
    job_clock *clock = (job_clock *)env;

    clock->now_ns += ns;
    clock->slept_ns += ns;
    clock->naps++;
}

static const akv_env_ops job_clock_ops = {
    .abi          = AKV_ENV_ABI,
    .size         = sizeof(akv_env_ops),
    .monotonic_ns = job_clock_now,
    .sleep_ns     = job_clock_sleep,
};

static job_clock job_clock_new(void)
{
    return (job_clock){.env = {&job_clock_ops}, .now_ns = 1000};
}

static void test_deadline_lies_ahead_and_never_wraps(void **state)
{
    uint64_t before = akvi_monotonic_ns(), deadline = akv_deadline_in_ms(5);

    (void)state;
    assert_in_range(deadline, before + 5000000, akvi_monotonic_ns() + 5000000);
    assert_true(akv_deadline_in_ms(UINT64_MAX) == UINT64_MAX);
    assert_true(akv_deadline_in_ms(UINT64_MAX / 1000000) == UINT64_MAX);
}

static void test_interrupted_by_deadline_or_token(void **state)
{
    akv_cancel *cancel;

    (void)state;
    assert_ok(akv_cancel_new(&cancel));
    assert_ok(akv_interrupted(0, NULL));
    assert_ok(akv_interrupted(akv_deadline_in_ms(1000000), cancel));
    assert_status(AKV_TIMEOUT, akv_interrupted(1, cancel));
    assert_status(AKV_TIMEOUT, akv_interrupted(akv_deadline_in_ms(0), NULL));
    assert_false(akv_cancel_triggered(cancel));
    akv_cancel_trigger(cancel);
    assert_true(akv_cancel_triggered(cancel));
    assert_status(AKV_CANCELLED, akv_interrupted(0, cancel));
    assert_status(AKV_CANCELLED, akv_interrupted(1, cancel));
    akv_cancel_free(cancel);
    akv_cancel_free(NULL);
    akv_cancel_trigger(NULL);
    assert_false(akv_cancel_triggered(NULL));
    assert_status(AKV_MISUSE, akv_cancel_new(NULL));
}

static void *job_trigger(void *user)
{
    akv_cancel_trigger(user);
    return NULL;
}

static void test_cancel_reaches_another_thread(void **state)
{
    akv_cancel *cancel;
    pthread_t   thread;

    (void)state;
    assert_ok(akv_cancel_new(&cancel));
    assert_int_equal(pthread_create(&thread, NULL, job_trigger, cancel), 0);
    while (akv_interrupted(akv_deadline_in_ms(10000), cancel) == AKV_OK)
        ;
    pthread_join(thread, NULL);
    assert_true(akv_cancel_triggered(cancel));
    akv_cancel_free(cancel);
}

/* --------------------------------------------------------------- callbacks */

typedef struct job_seen {
    uint64_t done, total, calls, stop_at;
    char     unit[16];
    char     faults[200];
} job_seen;

/* A user may call the library again from a callback. */
static void job_calls_again(void)
{
    akv_cancel_new(NULL);
}

static int job_progress(void *user, uint64_t done, uint64_t total, const char *unit)
{
    job_seen *seen = user;

    seen->done  = done;
    seen->total = total;
    snprintf(seen->unit, sizeof seen->unit, "%s", unit);
    job_calls_again();
    return ++seen->calls == seen->stop_at;
}

static void job_fault(void *user, const akv_error *fault)
{
    job_seen *seen = user;

    job_calls_again();
    strcat(seen->faults, fault->text);
    strcat(seen->faults, ";");
}

static void test_job_tells_progress_and_stops_when_told(void **state)
{
    job_seen        seen = {.stop_at = 3};
    akv_job_options opt  = AKV_JOB_OPTIONS_INIT;
    akv_job         job;

    (void)state;
    opt.progress = job_progress;
    opt.user     = &seen;
    akv_job_begin(&job, &opt, NULL, 30, "keys");
    assert_ok(akv_job_step(&job, 10, 100));
    assert_int_equal(seen.done, 10);
    assert_int_equal(seen.total, 30);
    assert_string_equal(seen.unit, "keys");
    assert_ok(akv_job_step(&job, 5, 0));
    assert_int_equal(seen.done, 15);
    assert_status(AKV_CANCELLED, akv_job_step(&job, 1, 0));
}

static void test_job_without_options_only_counts(void **state)
{
    akv_job job;

    (void)state;
    akv_job_begin(&job, NULL, NULL, 0, "");
    assert_ok(akv_job_step(&job, 1, UINT64_MAX));
    assert_int_equal(job.done, 1);
}

static void test_job_stops_at_deadline_and_token(void **state)
{
    akv_job_options opt = AKV_JOB_OPTIONS_INIT;
    akv_cancel     *cancel;
    akv_job         job;

    (void)state;
    opt.deadline_ns = 1;
    akv_job_begin(&job, &opt, NULL, 0, "");
    assert_status(AKV_TIMEOUT, akv_job_step(&job, 1, 1));
    assert_ok(akv_cancel_new(&cancel));
    opt.deadline_ns = 0;
    opt.cancel      = cancel;
    akv_job_begin(&job, &opt, NULL, 0, "");
    assert_ok(akv_job_step(&job, 1, 1));
    akv_cancel_trigger(cancel);
    assert_status(AKV_CANCELLED, akv_job_step(&job, 1, 1));
    akv_cancel_free(cancel);
}

static void test_job_keeps_its_rate(void **state)
{
    job_clock       clock = job_clock_new();
    akv_job_options opt   = AKV_JOB_OPTIONS_INIT;
    akv_job         job;

    (void)state;
    opt.bytes_per_s = 1000000;
    akv_job_begin(&job, &opt, &clock.env, 0, "");
    for (int i = 0; i < 10; i++)
        assert_ok(akv_job_step(&job, 1, 50000));
    assert_in_range(clock.slept_ns, 499999000, 500001000);
    clock.now_ns += 10000000000; /* work that is slower than its rate never waits */
    clock.slept_ns = 0;
    assert_ok(akv_job_step(&job, 1, 50000));
    assert_int_equal(clock.slept_ns, 0);
}

static void test_job_sleeping_for_its_rate_can_be_stopped(void **state)
{
    job_clock       clock = job_clock_new();
    akv_job_options opt   = AKV_JOB_OPTIONS_INIT;
    akv_job         job;

    (void)state;
    opt.bytes_per_s = 1;
    opt.deadline_ns = akv_deadline_in_ms(1);
    akv_job_begin(&job, &opt, &clock.env, 0, "");
    while (akv_job_step(&job, 1, 1) == AKV_OK)
        ; /* the system's clock goes on by itself */
    opt.deadline_ns = 0;
    akv_job_begin(&job, &opt, &clock.env, 0, "");
    clock.naps = 0;
    assert_ok(akv_job_step(&job, 1, 10));
    assert_true(clock.naps >= 10); /* many looks, not one long sleep */
    opt.bytes_per_s = 1000000;
    akv_job_begin(&job, &opt, NULL, 0, ""); /* the system's own sleep */
    assert_ok(akv_job_step(&job, 1, 1000));
}

static void test_job_tells_every_fault_and_fails_with_the_first(void **state)
{
    job_seen        seen = {0};
    akv_job_options opt  = AKV_JOB_OPTIONS_INIT;
    akv_job         job;

    (void)state;
    opt.fault    = job_fault;
    opt.progress = job_progress;
    opt.user     = &seen;
    akvi_call_begin();
    akv_job_begin(&job, &opt, NULL, 0, "");
    AKV_FAIL_AT(AKV_CORRUPT, "f", 1, "one");
    assert_int_equal(akv_job_fault(&job), AKV_CORRUPT);
    assert_int_equal(akv_job_step(&job, 1, 1), AKV_OK);
    AKV_FAIL_AT(AKV_CORRUPT, "f", 2, "two");
    assert_int_equal(akv_job_fault(&job), AKV_CORRUPT);
    AKV_FAIL(AKV_IO, "not a fault");
    akv_engine_recovered();
    akvi_call_end(AKV_CORRUPT, "brine");
    assert_string_equal(seen.faults, "f: at offset 1: one;f: at offset 2: two;");
    assert_string_equal(akv_last_error()->text, "f: at offset 1: one");
    assert_true(akv_last_error()->offset == 1);
}

static void test_job_fault_without_callback_or_record_still_fails(void **state)
{
    akv_job job;

    (void)state;
    akvi_call_begin();
    akv_job_begin(&job, NULL, NULL, 0, "");
    assert_int_equal(akv_job_fault(&job), AKV_CORRUPT);
    AKV_FAIL(AKV_VERSION, "later");
    assert_int_equal(akv_job_fault(&job), AKV_VERSION);
}

/* --------------------------------------------------------------------- log */

typedef struct job_logged {
    int  lines;
    char text[2000];
} job_logged;

static void job_log(void *user, akv_log_level level, const char *engine, const char *text)
{
    job_logged *logged = user;

    job_calls_again();
    logged->lines++;
    snprintf(logged->text, sizeof logged->text, "%d %s %s", (int)level, engine, text);
}

static void test_log_passes_the_levels_wanted(void **state)
{
    job_logged logged = {0};
    akv_logger logger = {job_log, &logged, AKV_LOG_WARN};
    akv_logger silent = {NULL, NULL, AKV_LOG_DEBUG};

    (void)state;
    akvi_call_begin();
    AKV_FAIL(AKV_IO, "of the call");
    akv_engine_log(&logger, AKV_LOG_WARN, "brine", "cut %d bytes", 7);
    assert_string_equal(logged.text, "1 brine cut 7 bytes");
    assert_string_equal(akvi_pending_error()->text, "of the call");
    akv_engine_log(&logger, AKV_LOG_INFO, "brine", "chatter");
    assert_int_equal(logged.lines, 1);
    akv_engine_log(&logger, AKV_LOG_ERROR, NULL, "%1500d", 1);
    assert_int_equal(strlen(logged.text), 3 + 1023);
    akv_engine_log(NULL, AKV_LOG_ERROR, "brine", "nobody");
    akv_engine_log(&silent, AKV_LOG_ERROR, "brine", "nobody");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadline_lies_ahead_and_never_wraps),
        cmocka_unit_test(test_interrupted_by_deadline_or_token),
        cmocka_unit_test(test_cancel_reaches_another_thread),
        cmocka_unit_test(test_job_tells_progress_and_stops_when_told),
        cmocka_unit_test(test_job_without_options_only_counts),
        cmocka_unit_test(test_job_stops_at_deadline_and_token),
        cmocka_unit_test(test_job_keeps_its_rate),
        cmocka_unit_test(test_job_sleeping_for_its_rate_can_be_stopped),
        cmocka_unit_test(test_job_tells_every_fault_and_fails_with_the_first),
        cmocka_unit_test(test_job_fault_without_callback_or_record_still_fails),
        cmocka_unit_test(test_log_passes_the_levels_wanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
