/* SPDX-License-Identifier: MIT
 *
 * expiry.c: cases of keys that live for a time. With an env in memory the
 * clock is moved, else lives are short and the case sleeps.
 */
#include "tests/conformance/suite.h"

#include <stdio.h>

/* A life that outlasts the checks made during it. */
static uint64_t expiry_life(const akvc_run *r)
{
    return r->moves_clock ? 100000 : 600;
}

static void expiry_put(akvc_run *r, akv *db, const char *key, const char *value, uint64_t ttl_ms)
{
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;

    opt.ttl_ms = ttl_ms;
    OK(r, akv_put(db, akv_str(key), akv_str(value), &opt));
}

static uint64_t expiry_of(akvc_run *r, akv *db, const char *key)
{
    akv_value value = AKV_VALUE_INIT;
    uint64_t  expiry_ms;

    OK(r, akv_get(db, akv_str(key), NULL, &value));
    expiry_ms = value.expiry_ms;
    akv_value_release(&value);
    return expiry_ms;
}

static void expiry_gone_in_every_way(akvc_run *r)
{
    uint64_t life = expiry_life(r);
    akv     *db   = akvc_filled(r, "stays=1");

    expiry_put(r, db, "a", "1", life);
    expiry_put(r, db, "b", "2", life * 100);
    expiry_put(r, db, "z", "3", life);
    HAS(r, db, NULL, "a", "1");
    HOLDS(r, db, NULL, "a=1 b=2 stays=1 z=3");
    akvc_pass(r, life + 1);
    LACKS(r, db, NULL, "a");
    LACKS(r, db, NULL, "z");
    HAS(r, db, NULL, "b", "2");
    HOLDS(r, db, NULL, "b=2 stays=1");
    OK(r, akv_compact(db, NULL));
    HOLDS(r, db, NULL, "b=2 stays=1");
    OK(r, akv_delete(db, akv_str("a"), NULL));
    OK(r, akv_put(db, akv_str("z"), akv_str("new"), NULL));
    HOLDS(r, db, NULL, "b=2 stays=1 z=new");
    akvc_close(r, db);
}

static void expiry_is_told(akvc_run *r)
{
    akv      *db     = akvc_new(r);
    uint64_t  before = r->env->ops->unix_ms(r->env), after, expiry;
    akv_iter *iter;

    expiry_put(r, db, "a", "1", 1000000);
    after  = r->env->ops->unix_ms(r->env);
    expiry = expiry_of(r, db, "a");
    CHECK(r, expiry >= before + 1000000 && expiry <= after + 1000000);
    OK(r, akv_scan(db, NULL, &iter));
    OK(r, akv_iter_next(iter));
    CHECK(r, akv_iter_item(iter)->expiry_ms == expiry);
    akv_iter_free(iter);
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), NULL)); /* replaces the expiry too */
    CHECK(r, expiry_of(r, db, "a") == 0);
    expiry_put(r, db, "a", "3", UINT64_MAX); /* longer than clocks go */
    HAS(r, db, NULL, "a", "3");
    akvc_close(r, db);
}

static void expiry_expire(akvc_run *r)
{
    uint64_t life = expiry_life(r);
    akv     *db   = akvc_filled(r, "a=1 b=2 c=3");

    WANT(r, AKV_ABSENT, akv_expire(db, akv_str("x"), 1000, NULL));
    LACKS(r, db, NULL, "x");
    OK(r, akv_expire(db, akv_str("a"), life, NULL));
    OK(r, akv_expire(db, akv_str("b"), life, NULL));
    OK(r, akv_expire(db, akv_str("b"), life * 100, NULL)); /* longer */
    OK(r, akv_expire(db, akv_str("c"), life * 100, NULL));
    OK(r, akv_expire(db, akv_str("c"), life, NULL)); /* shorter */
    HOLDS(r, db, NULL, "a=1 b=2 c=3");
    CHECK(r, expiry_of(r, db, "a") != 0);
    akvc_pass(r, life + 1);
    HOLDS(r, db, NULL, "b=2");
    WANT(r, AKV_ABSENT, akv_expire(db, akv_str("a"), life, NULL));
    akvc_close(r, db);
}

static void expiry_persist(akvc_run *r)
{
    uint64_t life = expiry_life(r);
    akv     *db   = akvc_new(r);

    WANT(r, AKV_ABSENT, akv_persist(db, akv_str("x"), NULL));
    expiry_put(r, db, "a", "1", life);
    expiry_put(r, db, "b", "2", life);
    OK(r, akv_persist(db, akv_str("a"), NULL));
    OK(r, akv_persist(db, akv_str("a"), NULL)); /* again */
    CHECK(r, expiry_of(r, db, "a") == 0);
    akvc_pass(r, life + 1);
    HOLDS(r, db, NULL, "a=1");
    WANT(r, AKV_ABSENT, akv_persist(db, akv_str("b"), NULL));
    akvc_close(r, db);
}

static void expiry_counts_as_absent(akvc_run *r)
{
    akv              *db      = akvc_new(r);
    akv_write_options absent  = AKV_WRITE_OPTIONS_INIT;
    akv_write_options present = AKV_WRITE_OPTIONS_INIT;
    akv_write_options value   = AKV_WRITE_OPTIONS_INIT;

    absent.condition  = AKV_IF_ABSENT;
    present.condition = AKV_IF_PRESENT;
    value.condition   = AKV_IF_VALUE;
    value.expected    = akv_str("1");
    for (unsigned i = 0; i < 100; i++) { /* more than are cleared away on the side */
        char key[16];

        snprintf(key, sizeof key, "%u", i);
        expiry_put(r, db, key, "1", expiry_life(r) / 2);
    }
    expiry_put(r, db, "a", "1", expiry_life(r));
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("2"), &absent));
    akvc_pass(r, expiry_life(r) + 1);
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("2"), &present));
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("2"), &value));
    WANT(r, AKV_CONFLICT, akv_delete(db, akv_str("a"), &present));
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), &absent));
    HOLDS(r, db, NULL, "a=2");
    akvc_close(r, db);
}

static void expiry_in_batches(akvc_run *r)
{
    uint64_t          life = expiry_life(r);
    akv              *db   = akvc_new(r);
    akv_write_options opt  = AKV_WRITE_OPTIONS_INIT;
    akv_batch        *batch;

    opt.ttl_ms = life;
    OK(r, akv_batch_new(db, &batch));
    OK(r, akv_batch_put(batch, akv_str("a"), akv_str("1"), &opt));
    OK(r, akv_batch_put(batch, akv_str("b"), akv_str("2"), NULL));
    OK(r, akv_write(db, batch, NULL));
    akv_batch_free(batch);
    HOLDS(r, db, NULL, "a=1 b=2");
    akvc_pass(r, life + 1);
    HOLDS(r, db, NULL, "b=2");
    akvc_close(r, db);
}

static void expiry_survives_reopen(akvc_run *r)
{
    uint64_t life = expiry_life(r);
    akv     *db   = akvc_new(r);
    uint64_t expiry;

    expiry_put(r, db, "a", "1", life * 100);
    expiry_put(r, db, "b", "2", life);
    expiry_put(r, db, "c", "3", 0);
    expiry = expiry_of(r, db, "a");
    akvc_close(r, db);
    akvc_pass(r, life + 1);
    db = akvc_open(r, 0);
    HOLDS(r, db, NULL, "a=1 c=3");
    CHECK(r, expiry_of(r, db, "a") == expiry);
    CHECK(r, expiry_of(r, db, "c") == 0);
    akvc_close(r, db);
}

#define EXPIRY_CAPS (AKV_CAP_WRITE | AKV_CAP_TTL)

const akvc_case akvc_expiry_cases[] = {
    {"expiry: what has expired is gone, however it is read", EXPIRY_CAPS, 0,
     expiry_gone_in_every_way},
    {"expiry: a value tells when it will be gone; a put replaces that", EXPIRY_CAPS, 0,
     expiry_is_told},
    {"expire: prolongs and shortens a life; AKV_ABSENT without one", EXPIRY_CAPS, 0, expiry_expire},
    {"persist: makes a key stay for ever", EXPIRY_CAPS, 0, expiry_persist},
    {"expiry: conditions take the expired for absent", EXPIRY_CAPS | AKV_CAP_CONDITION, 0,
     expiry_counts_as_absent},
    {"expiry: in batches, each operation its own", EXPIRY_CAPS | AKV_CAP_BATCH, 0,
     expiry_in_batches},
    {"expiry: lives on over close and open", EXPIRY_CAPS, AKVC_NEEDS_REOPEN,
     expiry_survives_reopen},
    {NULL, 0, 0, NULL},
};
