/* SPDX-License-Identifier: MIT
 *
 * batch.c: cases of batches: one step, in order, all or none.
 */
#include "tests/conformance/suite.h"

#include <stdio.h>

static akv_batch *batch_new(akvc_run *r, akv *db)
{
    akv_batch *batch;

    OK(r, akv_batch_new(db, &batch));
    CHECK(r, akv_batch_count(batch) == 0);
    return batch;
}

static akv_write_options batch_if(akv_condition condition, const char *expected)
{
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;

    opt.condition = condition;
    opt.expected  = akv_str(expected);
    return opt;
}

static void batch_put(akvc_run *r, akv_batch *batch, const char *key, const char *value)
{
    OK(r, akv_batch_put(batch, akv_str(key), akv_str(value), NULL));
}

static void batch_applies_all(akvc_run *r)
{
    akv       *db    = akvc_filled(r, "a=1 b=2 c=3");
    akv_batch *batch = batch_new(r, db);
    char       key[] = "d", value[] = "4";

    OK(r, akv_batch_put(batch, akv_str(key), akv_str(value), NULL));
    key[0] = value[0] = 'x'; /* its bytes were copied */
    batch_put(r, batch, "a", "9");
    OK(r, akv_batch_delete(batch, akv_str("b"), NULL));
    OK(r, akv_batch_delete(batch, akv_str("not there"), NULL));
    batch_put(r, batch, "", "empty");
    CHECK(r, akv_batch_count(batch) == 5);
    CHECK(r, akv_batch_bytes(batch) > 0);
    HOLDS(r, db, NULL, "a=1 b=2 c=3");
    OK(r, akv_write(db, batch, NULL));
    HOLDS(r, db, NULL, "=empty a=9 c=3 d=4");
    akv_batch_free(batch);
    akv_batch_free(NULL);
    akvc_close(r, db);
}

static void batch_later_see_earlier(akvc_run *r)
{
    akv       *db    = akvc_filled(r, "a=1");
    akv_batch *batch = batch_new(r, db);

    batch_put(r, batch, "x", "1");
    batch_put(r, batch, "x", "2");
    batch_put(r, batch, "y", "1");
    OK(r, akv_batch_delete(batch, akv_str("y"), NULL));
    OK(r, akv_batch_delete(batch, akv_str("a"), NULL));
    batch_put(r, batch, "a", "again");
    OK(r, akv_write(db, batch, NULL));
    HOLDS(r, db, NULL, "a=again x=2");
    akv_batch_free(batch);
    akvc_close(r, db);
}

static void batch_is_used_again(akvc_run *r)
{
    akv       *db    = akvc_new(r);
    akv_batch *batch = batch_new(r, db);

    OK(r, akv_write(db, batch, NULL)); /* of nothing */
    batch_put(r, batch, "a", "1");
    OK(r, akv_write(db, batch, NULL));
    CHECK(r, akv_batch_count(batch) == 1);
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), NULL));
    OK(r, akv_write(db, batch, NULL));
    HOLDS(r, db, NULL, "a=1");
    batch_put(r, batch, "b", "1");
    OK(r, akv_write(db, batch, NULL));
    HOLDS(r, db, NULL, "a=1 b=1");
    akv_batch_clear(batch);
    CHECK(r, akv_batch_count(batch) == 0);
    OK(r, akv_write(db, batch, NULL));
    batch_put(r, batch, "c", "1");
    OK(r, akv_write(db, batch, NULL));
    HOLDS(r, db, NULL, "a=1 b=1 c=1");
    akv_batch_free(batch);
    akvc_close(r, db);
}

static void batch_of_thousands(akvc_run *r)
{
    akv       *db    = akvc_new(r);
    akv_batch *batch = batch_new(r, db);
    uint64_t   count;
    char       key[16];

    for (unsigned i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "%08u", i * 7919 % 20000);
        batch_put(r, batch, key, key + 4);
    }
    CHECK(r, akv_batch_count(batch) == 20000);
    OK(r, akv_write(db, batch, NULL));
    OK(r, akv_count(db, NULL, &count));
    CHECK(r, count == 20000);
    HAS(r, db, NULL, "00012345", "2345");
    akv_batch_clear(batch);
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "%08u", i);
        OK(r, akv_batch_delete(batch, akv_str(key), NULL));
    }
    OK(r, akv_write(db, batch, NULL));
    HOLDS(r, db, NULL, "");
    akv_batch_free(batch);
    akvc_close(r, db);
}

/* An operation that its own call refuses is not in the batch. */
static void batch_refuses(akvc_run *r)
{
    akv              *db     = akvc_filled(r, "a=1");
    akv_batch        *batch  = batch_new(r, db);
    akv_write_result  result = {{{0}}, AKV_REACHED_NOTHING, 0, 0};
    akv_write_options sync = AKV_WRITE_OPTIONS_INIT, late = sync, told = sync;

    sync.sync        = AKV_SYNC_ALWAYS;
    late.deadline_ns = akv_deadline_in_ms(60000);
    told.result_out  = &result;
    WANT(r, AKV_MISUSE, akv_batch_put(batch, akv_str("k"), akv_str("v"), &sync));
    WANT(r, AKV_MISUSE, akv_batch_put(batch, akv_str("k"), akv_str("v"), &late));
    WANT(r, AKV_MISUSE, akv_batch_delete(batch, akv_str("k"), &told));
    WANT(r, AKV_MISUSE, akv_batch_put(batch, akv_bytes(NULL, 3), akv_str("v"), NULL));
    if (r->max_value < SIZE_MAX)
        WANT(r, AKV_TOO_BIG,
             akv_batch_put(batch, akv_str("k"), akv_bytes("", (size_t)r->max_value + 1), NULL));
    CHECK(r, akv_batch_count(batch) == 0);
    OK(r, akv_write(db, batch, &told));
    HOLDS(r, db, NULL, "a=1");
    akv_batch_free(batch);
    akvc_close(r, db);
}

static void batch_of_another_handle(akvc_run *r)
{
    akv       *db    = akvc_filled(r, "a=1");
    akv       *other = akvc_filled(r, "b=1");
    akv_batch *batch = batch_new(r, other);

    batch_put(r, batch, "c", "1");
    WANT(r, AKV_MISUSE, akv_write(db, batch, NULL));
    HOLDS(r, db, NULL, "a=1");
    akv_batch_free(batch);
    akvc_close(r, db);
    akvc_close(r, other);
}

static void batch_tells_result(akvc_run *r)
{
    akv              *db     = akvc_new(r);
    akv_batch        *batch  = batch_new(r, db);
    akv_write_result  result = {{{0}}, (akv_durability)77, 0, 0};
    akv_write_options opt    = AKV_WRITE_OPTIONS_INIT;
    akv_value         value  = AKV_VALUE_INIT;

    opt.sync       = AKV_SYNC_ALWAYS;
    opt.result_out = &result;
    batch_put(r, batch, "a", "1");
    batch_put(r, batch, "b", "1");
    OK(r, akv_write(db, batch, &opt));
    CHECK(r, result.durability <= AKV_REACHED_DEVICE);
    CHECK(r, result.durability == AKV_REACHED_DEVICE || !(r->caps & AKV_CAP_DURABLE));
    OK(r, akv_get(db, akv_str("b"), NULL, &value));
    if (r->caps & AKV_CAP_VERSION)
        CHECK(r, memcmp(&value.version, &result.version, sizeof value.version) == 0);
    akv_value_release(&value);
    akv_batch_free(batch);
    akvc_close(r, db);
}

/* ---------------------------------------------------------------- conditions */

static void batch_conditions_hold(akvc_run *r)
{
    akv              *db      = akvc_filled(r, "a=1 b=2 c=3");
    akv_batch        *batch   = batch_new(r, db);
    akv_write_options absent  = batch_if(AKV_IF_ABSENT, "");
    akv_write_options present = batch_if(AKV_IF_PRESENT, "");
    akv_write_options one     = batch_if(AKV_IF_VALUE, "1");

    OK(r, akv_batch_put(batch, akv_str("a"), akv_str("x"), &one));
    OK(r, akv_batch_put(batch, akv_str("n"), akv_str("new"), &absent));
    OK(r, akv_batch_delete(batch, akv_str("b"), &present));
    OK(r, akv_batch_check(batch, akv_str("c"), &present));
    OK(r, akv_batch_check(batch, akv_str("nope"), &absent));
    OK(r, akv_write(db, batch, NULL));
    HOLDS(r, db, NULL, "a=x c=3 n=new");
    akv_batch_free(batch);
    akvc_close(r, db);
}

static void batch_conflict_writes_nothing(akvc_run *r)
{
    akv              *db      = akvc_filled(r, "a=1 b=2");
    akv_write_options absent  = batch_if(AKV_IF_ABSENT, "");
    akv_write_options present = batch_if(AKV_IF_PRESENT, "");
    akv_write_options two     = batch_if(AKV_IF_VALUE, "2");
    akv_write_result  result;
    akv_write_options told = AKV_WRITE_OPTIONS_INIT;

    told.result_out = &result;
    for (uint64_t bad = 0; bad < 5; bad++) {
        akv_batch *batch = batch_new(r, db);

        result.conflict_index = 99;
        OK(r, akv_batch_put(batch, akv_str(bad == 0 ? "a" : "n"), akv_str("x"), &absent));
        OK(r, akv_batch_put(batch, akv_str(bad == 1 ? "no" : "a"), akv_str("x"), &present));
        OK(r, akv_batch_put(batch, akv_str(bad == 2 ? "a" : "b"), akv_str("x"), &two));
        OK(r, akv_batch_delete(batch, akv_str(bad == 3 ? "no" : "b"), &present));
        OK(r, akv_batch_check(batch, akv_str(bad == 4 ? "a" : "m"), &absent));
        OK(r, akv_batch_put(batch, akv_str("after"), akv_str("x"), NULL));
        WANT(r, AKV_CONFLICT, akv_write(db, batch, &told));
        CHECK(r, result.conflict_index == bad);
        HOLDS(r, db, NULL, "a=1 b=2");
        akv_batch_free(batch);
    }
    akvc_close(r, db);
}

static void batch_conditions_judge_before(akvc_run *r)
{
    akv              *db      = akvc_filled(r, "a=1");
    akv_batch        *batch   = batch_new(r, db);
    akv_write_options absent  = batch_if(AKV_IF_ABSENT, "");
    akv_write_options present = batch_if(AKV_IF_PRESENT, "");
    akv_write_options one     = batch_if(AKV_IF_VALUE, "1");
    akv_write_result  result  = {{{0}}, AKV_REACHED_NOTHING, 0, 99};
    akv_write_options told    = AKV_WRITE_OPTIONS_INIT;

    /* each operation changes what the next one's condition speaks of */
    OK(r, akv_batch_put(batch, akv_str("n"), akv_str("1"), &absent));
    OK(r, akv_batch_put(batch, akv_str("n"), akv_str("2"), &absent));
    OK(r, akv_batch_put(batch, akv_str("a"), akv_str("2"), &one));
    OK(r, akv_batch_put(batch, akv_str("a"), akv_str("3"), &one));
    OK(r, akv_batch_delete(batch, akv_str("a"), &present));
    OK(r, akv_batch_check(batch, akv_str("a"), &one));
    OK(r, akv_write(db, batch, NULL));
    HOLDS(r, db, NULL, "n=2");
    akv_batch_clear(batch);
    told.result_out = &result;
    batch_put(r, batch, "m", "1");
    OK(r, akv_batch_put(batch, akv_str("m"), akv_str("2"), &present));
    WANT(r, AKV_CONFLICT, akv_write(db, batch, &told));
    CHECK(r, result.conflict_index == 1);
    HOLDS(r, db, NULL, "n=2");
    akv_batch_free(batch);
    akvc_close(r, db);
}

static void batch_check_needs_condition(akvc_run *r)
{
    akv       *db    = akvc_new(r);
    akv_batch *batch = batch_new(r, db);

    WANT(r, AKV_MISUSE, akv_batch_check(batch, akv_str("a"), NULL));
    CHECK(r, akv_batch_count(batch) == 0);
    akv_batch_free(batch);
    akvc_close(r, db);
}

/* Two batches of opposite meaning: a scan must never see half of one. */
static void batch_iterators_see_whole(akvc_run *r)
{
    akv       *db    = akvc_filled(r, "a=0 b=0");
    akv_batch *batch = batch_new(r, db);
    akv_iter  *iter;

    OK(r, akv_scan(db, NULL, &iter));
    OK(r, akv_iter_next(iter));
    batch_put(r, batch, "a", "1");
    batch_put(r, batch, "b", "1");
    OK(r, akv_write(db, batch, NULL));
    CHECK(r, akvc_equal(akv_iter_value(iter), akv_str("0")));
    OK(r, akv_iter_next(iter));
    CHECK(r, akvc_equal(akv_iter_value(iter), akv_str("0")));
    akv_iter_free(iter);
    HOLDS(r, db, NULL, "a=1 b=1");
    akv_batch_free(batch);
    akvc_close(r, db);
}

#define BATCH_CAPS (AKV_CAP_WRITE | AKV_CAP_BATCH)

const akvc_case akvc_batch_cases[] = {
    {"batch: all operations are applied, with the bytes they had", BATCH_CAPS, 0,
     batch_applies_all},
    {"batch: later operations see earlier ones", BATCH_CAPS, 0, batch_later_see_earlier},
    {"batch: may be written again, added to and cleared", BATCH_CAPS, 0, batch_is_used_again},
    {"batch: of twenty thousand operations", BATCH_CAPS, 0, batch_of_thousands},
    {"batch: a refused operation is not in it", BATCH_CAPS, 0, batch_refuses},
    {"batch: another handle refuses it", BATCH_CAPS, 0, batch_of_another_handle},
    {"batch: the result has the last key's version", BATCH_CAPS, 0, batch_tells_result},
    {"batch: iterators see none of a later one", BATCH_CAPS, 0, batch_iterators_see_whole},
    {"batch: conditions that hold let all through", BATCH_CAPS | AKV_CAP_CONDITION, 0,
     batch_conditions_hold},
    {"batch: a conflict writes nothing and names the operation", BATCH_CAPS | AKV_CAP_CONDITION, 0,
     batch_conflict_writes_nothing},
    {"batch: conditions judge the store as it was before", BATCH_CAPS | AKV_CAP_CONDITION, 0,
     batch_conditions_judge_before},
    {"batch: a check needs a condition", BATCH_CAPS | AKV_CAP_CONDITION, 0,
     batch_check_needs_condition},
    {NULL, 0, 0, NULL},
};
