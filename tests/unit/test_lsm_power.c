/* SPDX-License-Identifier: MIT
 *
 * An lsm store after a loss of power, or a failed call, at any moment: what was
 * acknowledged as durable is there, the rest is a prefix of what was written,
 * batches are whole, and the store opens.
 */
#include "tests/testing.h"

#include "common/env/fault.h"

#include <anykv/lsm.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define POWER_KEYS  23u
#define POWER_STORE "/store"
#define POWER_SMALL                                                                        \
    "write_buffer=64KiB,table_size=64KiB,level_base=64KiB,level_ratio=2,level0_compact=2," \
    "threads=0,block_size=1KiB"

typedef struct power_case {
    akv_env *memory, *fault;
    uint32_t sync;
    uint64_t batches; /* to be written */
    size_t   value;   /* bytes */
    /* what came of it */
    uint64_t acked, durable; /* the last batch acknowledged; acknowledged as on the device */
} power_case;

static akv_slice power_value(uint64_t batch, uint64_t key, size_t len, char *buf)
{
    memset(buf, (int)('a' + (batch * 7 + key) % 26), len);
    snprintf(buf, len, "%llu/%llu", (unsigned long long)batch, (unsigned long long)key);
    return akv_bytes(buf, len);
}

static akv_slice power_key(uint64_t key, char buf[8])
{
    snprintf(buf, 8, "k%05llu", (unsigned long long)key);
    return akv_str(buf);
}

/* Which batch put a key last, of those up to `last`; 0: it is not there. */
static uint64_t power_model(uint64_t last, uint64_t key)
{
    for (uint64_t b = last; b > 0; b--) {
        if (b % POWER_KEYS == key || (b * 3 + 1) % POWER_KEYS == key)
            return b;
        if ((b * 5 + 2) % POWER_KEYS == key)
            return 0;
    }
    return 0;
}

static akv_status power_open(akv_env *env, uint32_t sync, akv **db_out)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;

    opt.flags = AKV_OPEN_CREATE;
    opt.env   = env;
    opt.sync  = sync;
    opt.text  = POWER_SMALL;
    return akv_open("lsm", POWER_STORE, &opt, db_out);
}

static akv_status power_write(const power_case *c, akv *db, uint64_t b)
{
    static char       one[8192], two[8192];
    char              key[8];
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    akv_batch        *batch;

    assert_ok(akv_batch_new(db, &batch));
    assert_ok(akv_batch_delete(batch, power_key((b * 5 + 2) % POWER_KEYS, key), NULL));
    assert_ok(akv_batch_put(batch, power_key((b * 3 + 1) % POWER_KEYS, key),
                            power_value(b, (b * 3 + 1) % POWER_KEYS, c->value, one), NULL));
    assert_ok(akv_batch_put(batch, power_key(b % POWER_KEYS, key),
                            power_value(b, b % POWER_KEYS, c->value, two), NULL));
    assert_ok(akv_batch_put(batch, akv_str("#"), akv_bytes(&b, sizeof b), NULL));
    if (b % 5 == 0)
        opt.sync = AKV_SYNC_ALWAYS;
    akvi_call_begin();
    {
        akv_status st = akv_write(db, batch, &opt);

        akv_batch_free(batch);
        return st;
    }
}

/* Write until something fails, or all is written. */
static void power_history(power_case *c)
{
    akv *db = NULL;

    c->acked = c->durable = 0;
    if (power_open(c->fault, c->sync, &db) != AKV_OK)
        return;
    for (uint64_t b = 1; b <= c->batches; b++) {
        if (power_write(c, db, b) != AKV_OK)
            break;
        c->acked = b;
        if (c->sync == AKV_SYNC_ALWAYS || b % 5 == 0)
            c->durable = b;
        if (b % 40 == 0 && akv_compact(db, NULL) != AKV_OK)
            break;
    }
    if (akv_close(db) == AKV_OK && c->acked == c->batches && c->sync != AKV_SYNC_NEVER)
        c->durable = c->acked;
}

/* Open what is there and see that it is a legal outcome. */
static void power_check(const power_case *c, akv_env *env, uint64_t nth, uint64_t seed)
{
    static char buf[8192];
    char        key[8];
    akv_buffer  got  = AKV_BUFFER_INIT;
    uint64_t    last = 0;
    akv        *db   = NULL;

    if (power_open(env, c->sync, &db) != AKV_OK)
        fail_msg("call %llu, seed %llu: the store does not open: %s", (unsigned long long)nth,
                 (unsigned long long)seed, akv_last_error()->text);
    if (akv_get_copy(db, akv_str("#"), NULL, &got) == AKV_OK)
        memcpy(&last, got.data, sizeof last);
    if (last < c->durable || last > c->acked + 1)
        fail_msg("call %llu, seed %llu: %llu batches are there, but %llu were durable and %llu "
                 "acknowledged",
                 (unsigned long long)nth, (unsigned long long)seed, (unsigned long long)last,
                 (unsigned long long)c->durable, (unsigned long long)c->acked);
    for (uint64_t k = 0; k < POWER_KEYS; k++) {
        uint64_t   b  = power_model(last, k);
        akv_status st = akv_get_copy(db, power_key(k, key), NULL, &got);

        if (st != (b ? AKV_OK : AKV_ABSENT) ||
            (b && (got.len != c->value ||
                   memcmp(got.data, power_value(b, k, c->value, buf).data, got.len) != 0)))
            fail_msg("call %llu, seed %llu: key %llu is not that of batch %llu (%s)",
                     (unsigned long long)nth, (unsigned long long)seed, (unsigned long long)k,
                     (unsigned long long)b, akv_status_name(st));
    }
    assert_ok(akv_verify(db, NULL));
    /* and it can be written to */
    assert_ok(akv_put(db, akv_str("after"), akv_str("all"), NULL));
    assert_ok(akv_close(db));
    akv_buffer_free(&got);
}

static void power_case_begin(power_case *c)
{
    assert_ok(akv_env_memory_new(NULL, &c->memory));
    assert_ok(akvi_fault_new(c->memory, NULL, &c->fault));
}

static void power_case_end(power_case *c)
{
    akvi_fault_free(c->fault);
    akv_env_memory_free(c->memory);
}

/* How many calls of these kinds a whole history makes. */
static uint64_t power_calls(power_case *c, uint32_t kinds)
{
    akvi_fault_plan plan = {.kinds = kinds};
    uint64_t        calls;

    power_case_begin(c);
    akvi_fault_plan_set(c->fault, &plan);
    power_history(c);
    calls = akvi_fault_calls(c->fault);
    assert_int_equal(c->acked, c->batches);
    power_case_end(c);
    return calls;
}

static void power_lose(power_case *c, uint64_t nth, uint64_t seed)
{
    akvi_fault_plan plan = {.kinds = AKVI_FAULT_WRITE | AKVI_FAULT_SYNC | AKVI_FAULT_RENAME,
                            .nth   = nth,
                            .err   = EIO,
                            .how   = AKVI_FAULT_CRASH};

    power_case_begin(c);
    akvi_fault_plan_set(c->fault, &plan);
    power_history(c);
    assert_ok(akvi_fault_power_loss(c->fault, seed));
    power_check(c, c->fault, nth, seed);
    power_case_end(c);
}

static void power_lose_anywhere(uint32_t sync, uint64_t batches, size_t value, uint64_t points)
{
    static const uint64_t seeds[] = {0, UINT64_MAX, 1, 2};
    power_case            c       = {.sync = sync, .batches = batches, .value = value};
    akvt_random           r       = akvt_random_new(sync);
    uint64_t calls = power_calls(&c, AKVI_FAULT_WRITE | AKVI_FAULT_SYNC | AKVI_FAULT_RENAME);
    uint64_t step  = calls > points ? calls / points : 1;

    for (uint64_t nth = 1 + akvt_next(&r) % step; nth <= calls; nth += step)
        for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++)
            power_lose(&c, nth, s < 2 ? seeds[s] : akvt_next(&r) | 1);
}

static void test_lsm_power_lost_at_each_call_of_a_short_history(void **state)
{
    (void)state;
    power_lose_anywhere(AKV_SYNC_ALWAYS, 12, 100, 1000);
    power_lose_anywhere(AKV_SYNC_NEVER, 12, 100, 1000);
}

static void test_lsm_power_lost_during_flushes_and_compactions(void **state)
{
    (void)state;
    power_lose_anywhere(AKV_SYNC_ALWAYS, 150, 3000, 120);
    power_lose_anywhere(AKV_SYNC_NEVER, 150, 3000, 120);
}

/* A call that fails fails its write, or a later one, and nothing is lost. */
static void power_fail(power_case *c, uint64_t nth, uint64_t times, int err, akvi_fault_how how)
{
    akvi_fault_plan plan = {.kinds = AKVI_FAULT_ALL & ~(uint32_t)AKVI_FAULT_SYNC,
                            .nth   = nth,
                            .times = times,
                            .err   = err,
                            .how   = how};
    akvi_fault_plan none = {.kinds = 0};

    power_case_begin(c);
    akvi_fault_plan_set(c->fault, &plan);
    power_history(c);
    akvi_fault_plan_set(c->fault, &none);
    power_check(c, c->fault, nth, 0);
    power_case_end(c);
}

static void test_lsm_a_call_that_fails_loses_nothing(void **state)
{
    power_case  c     = {.sync = AKV_SYNC_NEVER, .batches = 120, .value = 3000};
    uint64_t    calls = power_calls(&c, AKVI_FAULT_ALL & ~(uint32_t)AKVI_FAULT_SYNC);
    akvt_random r     = akvt_random_new(3);

    (void)state;
    for (uint64_t nth = 1; nth <= calls; nth += 1 + akvt_next(&r) % 12) {
        power_fail(&c, nth, 1, EIO, AKVI_FAULT_FAIL);
        power_fail(&c, nth, 3, ENOSPC, AKVI_FAULT_SHORT);
    }
}

static void test_lsm_a_full_disk_refuses_writes_and_heals(void **state)
{
    akvi_fault_plan full = {.kinds = AKVI_FAULT_WRITE, .nth = 1, .err = ENOSPC};
    akvi_fault_plan none = {.kinds = 0};
    power_case      c    = {.sync = AKV_SYNC_NEVER, .batches = 1, .value = 3000};
    akv            *db;
    akv_buffer      got = AKV_BUFFER_INIT;
    uint64_t        b = 1, last = 0;

    (void)state;
    power_case_begin(&c);
    assert_ok(power_open(c.fault, c.sync, &db));
    for (; b <= 60; b++)
        assert_ok(power_write(&c, db, b));
    akvi_fault_plan_set(c.fault, &full);
    for (int i = 0; i < 20; i++)
        assert_status(AKV_NOSPACE, power_write(&c, db, b));
    assert_ok(akv_get_copy(db, akv_str("#"), NULL, &got));
    akvi_fault_plan_set(c.fault, &none);
    for (; b <= 120; b++)
        assert_ok(power_write(&c, db, b));
    assert_ok(akv_get_copy(db, akv_str("#"), NULL, &got));
    memcpy(&last, got.data, sizeof last);
    assert_int_equal(last, 120);
    akv_buffer_free(&got);
    assert_ok(akv_close(db));
    power_case_end(&c);
}

static void test_lsm_a_failed_sync_poisons_and_reads_go_on(void **state)
{
    akvi_fault_plan plan = {.kinds = AKVI_FAULT_SYNC, .nth = 1, .times = 1, .err = EIO};
    power_case      c    = {.sync = AKV_SYNC_ALWAYS, .batches = 1, .value = 100};
    akv            *db;
    akv_buffer      got = AKV_BUFFER_INIT;

    (void)state;
    power_case_begin(&c);
    assert_ok(power_open(c.fault, c.sync, &db));
    assert_ok(power_write(&c, db, 1));
    akvi_fault_plan_set(c.fault, &plan);
    assert_status(AKV_IO, power_write(&c, db, 2));
    assert_status(AKV_POISONED, power_write(&c, db, 3));
    assert_status(AKV_POISONED, akv_sync(db));
    assert_ok(akv_get_copy(db, akv_str("#"), NULL, &got));
    akv_buffer_free(&got);
    (void)akv_close(db);
    assert_ok(power_open(c.fault, c.sync, &db));
    assert_ok(power_write(&c, db, 3));
    assert_ok(akv_close(db));
    power_case_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lsm_power_lost_at_each_call_of_a_short_history),
        cmocka_unit_test(test_lsm_power_lost_during_flushes_and_compactions),
        cmocka_unit_test(test_lsm_a_call_that_fails_loses_nothing),
        cmocka_unit_test(test_lsm_a_full_disk_refuses_writes_and_heals),
        cmocka_unit_test(test_lsm_a_failed_sync_poisons_and_reads_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
