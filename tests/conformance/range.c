/* SPDX-License-Identifier: MIT
 *
 * range.c: cases of delete_range and of merge, native or emulated.
 */
#include "tests/conformance/suite.h"

#include <stdio.h>

/* ------------------------------------------------------------- delete_range */

static const char range_pairs[] = "=0 a=1 aa=2 b=3 c=4 cc=5 d=6";

static void range_delete(akvc_run *r, const char *lower, const char *upper, const char *left)
{
    akv *db = akvc_filled(r, range_pairs);

    OK(r, akv_delete_range(db, akv_str(lower), akv_str(upper), NULL));
    HOLDS(r, db, NULL, left);
    OK(r, akv_delete_range(db, akv_str(lower), akv_str(upper), NULL));
    HOLDS(r, db, NULL, left);
    akvc_close(r, db);
}

static void range_bounds(akvc_run *r)
{
    range_delete(r, "a", "c", "=0 c=4 cc=5 d=6");
    range_delete(r, "aa", "cc", "=0 a=1 cc=5 d=6");
    range_delete(r, "ab", "bz", "=0 a=1 aa=2 c=4 cc=5 d=6");
    range_delete(r, "", "a", "a=1 aa=2 b=3 c=4 cc=5 d=6");
    range_delete(r, "cc", "", "=0 a=1 aa=2 b=3 c=4");
    range_delete(r, "", "", "");
    range_delete(r, "b", "b", range_pairs);
    range_delete(r, "c", "b", range_pairs);
    range_delete(r, "x", "z", range_pairs);
    range_delete(r, "a", "a\x01", "=0 aa=2 b=3 c=4 cc=5 d=6");
}

/* More keys than one emulated batch takes; what was there is no more, what
 * comes after is. */
static void range_of_thousands(akvc_run *r)
{
    akv     *db = akvc_new(r);
    uint64_t count;
    char     key[16];

    for (unsigned i = 0; i < 4000; i++) {
        snprintf(key, sizeof key, "%06u", i);
        OK(r, akv_put(db, akv_str(key), akv_str("v"), NULL));
    }
    OK(r, akv_delete_range(db, akv_str("000500"), akv_str("003600"), NULL));
    OK(r, akv_count(db, NULL, &count));
    CHECK(r, count == 900);
    LACKS(r, db, NULL, "000500");
    LACKS(r, db, NULL, "003599");
    HAS(r, db, NULL, "000499", "v");
    HAS(r, db, NULL, "003600", "v");
    OK(r, akv_put(db, akv_str("001000"), akv_str("after"), NULL));
    HAS(r, db, NULL, "001000", "after");
    OK(r, akv_count(db, NULL, &count));
    CHECK(r, count == 901);
    akvc_close(r, db);
}

static void range_leaves_views(akvc_run *r)
{
    akv      *db = akvc_filled(r, range_pairs);
    unsigned  n  = 0;
    akv_iter *iter;

    OK(r, akv_scan(db, NULL, &iter));
    OK(r, akv_delete_range(db, akv_str("a"), akv_str(""), NULL));
    HOLDS(r, db, NULL, "=0");
    while (akv_iter_next(iter) == AKV_OK)
        n++;
    CHECK(r, n == 7);
    akv_iter_free(iter);
    akvc_close(r, db);
}

static void range_in_batches(akvc_run *r)
{
    akv       *db = akvc_filled(r, range_pairs);
    akv_batch *batch;

    OK(r, akv_batch_new(db, &batch));
    if (akv_capabilities_emulated(db) & AKV_CAP_DELETE_RANGE) {
        WANT(r, AKV_UNSUPPORTED, akv_batch_delete_range(batch, akv_str("a"), akv_str("c"), NULL));
    } else {
        OK(r, akv_batch_put(batch, akv_str("bb"), akv_str("new"), NULL));
        OK(r, akv_batch_delete_range(batch, akv_str("aa"), akv_str("cc"), NULL));
        OK(r, akv_batch_put(batch, akv_str("b"), akv_str("after"), NULL));
        OK(r, akv_batch_delete_range(batch, akv_str("d"), akv_str(""), NULL));
        OK(r, akv_write(db, batch, NULL));
        HOLDS(r, db, NULL, "=0 a=1 b=after cc=5");
    }
    akv_batch_free(batch);
    akvc_close(r, db);
}

#define RANGE_CAPS (AKV_CAP_WRITE | AKV_CAP_DELETE_RANGE)

const akvc_case akvc_range_cases[] = {
    {"delete_range: removes the keys from lower up to but not upper", RANGE_CAPS, 0, range_bounds},
    {"delete_range: of thousands of keys", RANGE_CAPS, 0, range_of_thousands},
    {"delete_range: iterators keep what they saw", RANGE_CAPS, 0, range_leaves_views},
    {"delete_range: in a batch, in its place", RANGE_CAPS | AKV_CAP_BATCH, 0, range_in_batches},
    {NULL, 0, 0, NULL},
};

/* -------------------------------------------------------------------- merge */

static void merge_combines(akvc_run *r)
{
    akv *db = akvc_filled(r, "a=1 empty=");

    OK(r, akv_merge(db, akv_str("a"), akv_str("2"), NULL));
    OK(r, akv_merge(db, akv_str("a"), akv_str("3"), NULL));
    OK(r, akv_merge(db, akv_str("new"), akv_str("x"), NULL));
    OK(r, akv_merge(db, akv_str("empty"), akv_str("y"), NULL));
    OK(r, akv_merge(db, akv_str("none"), akv_str(""), NULL));
    HAS(r, db, NULL, "a", "123");
    HOLDS(r, db, NULL, "a=123 empty=y new=x none=");
    OK(r, akv_delete(db, akv_str("a"), NULL));
    OK(r, akv_merge(db, akv_str("a"), akv_str("4"), NULL));
    OK(r, akv_put(db, akv_str("new"), akv_str("z"), NULL));
    OK(r, akv_merge(db, akv_str("new"), akv_str("z"), NULL));
    HOLDS(r, db, NULL, "a=4 empty=y new=zz none=");
    akvc_close(r, db);
}

static void merge_refused_by_operator(akvc_run *r)
{
    akv *db = akvc_filled(r, "a=1");

    WANT(r, AKV_CORRUPT, akv_merge(db, akv_str("a"), akv_str("!"), NULL));
    SAYS(r, "operator");
    WANT(r, AKV_CORRUPT, akv_merge(db, akv_str("b"), akv_str("!"), NULL));
    HOLDS(r, db, NULL, "a=1");
    akvc_close(r, db);
}

static void merge_without_operator(akvc_run *r)
{
    akv_open_options opt = akvc_options(r);
    akv             *db;

    opt.merge = NULL;
    OK(r, akv_open(r->engine, akvc_new_path(r), &opt, &db));
    WANT(r, AKV_MISUSE, akv_merge(db, akv_str("a"), akv_str("1"), NULL));
    HOLDS(r, db, NULL, "");
    akvc_close(r, db);
}

static void merge_in_batches(akvc_run *r)
{
    akv       *db = akvc_filled(r, "a=1 b=2");
    akv_batch *batch;

    OK(r, akv_batch_new(db, &batch));
    if (akv_capabilities_emulated(db) & AKV_CAP_MERGE) {
        WANT(r, AKV_UNSUPPORTED, akv_batch_merge(batch, akv_str("a"), akv_str("c"), NULL));
    } else {
        OK(r, akv_batch_merge(batch, akv_str("a"), akv_str("2"), NULL));
        OK(r, akv_batch_merge(batch, akv_str("a"), akv_str("3"), NULL));
        OK(r, akv_batch_put(batch, akv_str("b"), akv_str("x"), NULL));
        OK(r, akv_batch_merge(batch, akv_str("b"), akv_str("y"), NULL));
        OK(r, akv_batch_delete(batch, akv_str("c"), NULL));
        OK(r, akv_batch_merge(batch, akv_str("c"), akv_str("z"), NULL));
        OK(r, akv_write(db, batch, NULL));
        HOLDS(r, db, NULL, "a=123 b=xy c=z");
        akv_batch_clear(batch);
        OK(r, akv_batch_put(batch, akv_str("n"), akv_str("x"), NULL));
        OK(r, akv_batch_merge(batch, akv_str("a"), akv_str("!"), NULL));
        WANT(r, AKV_CORRUPT, akv_write(db, batch, NULL));
        HOLDS(r, db, NULL, "a=123 b=xy c=z");
    }
    akv_batch_free(batch);
    akvc_close(r, db);
}

static void merge_conditions(akvc_run *r)
{
    akv              *db  = akvc_filled(r, "a=1");
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;

    opt.condition = AKV_IF_ABSENT;
    WANT(r, AKV_CONFLICT, akv_merge(db, akv_str("a"), akv_str("2"), &opt));
    OK(r, akv_merge(db, akv_str("b"), akv_str("2"), &opt));
    opt.condition = AKV_IF_PRESENT;
    WANT(r, AKV_CONFLICT, akv_merge(db, akv_str("c"), akv_str("2"), &opt));
    OK(r, akv_merge(db, akv_str("a"), akv_str("2"), &opt));
    opt.condition = AKV_IF_VALUE;
    opt.expected  = akv_str("1");
    WANT(r, AKV_CONFLICT, akv_merge(db, akv_str("a"), akv_str("3"), &opt));
    opt.expected = akv_str("12");
    OK(r, akv_merge(db, akv_str("a"), akv_str("3"), &opt));
    HOLDS(r, db, NULL, "a=123 b=2");
    akvc_close(r, db);
}

static void merge_of_the_expired(akvc_run *r)
{
    uint64_t          life = r->moves_clock ? 100000 : 600;
    akv              *db   = akvc_new(r);
    akv_write_options opt  = AKV_WRITE_OPTIONS_INIT;

    opt.ttl_ms = life;
    OK(r, akv_put(db, akv_str("a"), akv_str("old"), &opt));
    akvc_pass(r, life + 1);
    OK(r, akv_merge(db, akv_str("a"), akv_str("new"), NULL));
    HOLDS(r, db, NULL, "a=new");
    akvc_close(r, db);
}

#define MERGE_CAPS (AKV_CAP_WRITE | AKV_CAP_MERGE)

const akvc_case akvc_merge_cases[] = {
    {"merge: combines with what is there, or with nothing", MERGE_CAPS, 0, merge_combines},
    {"merge: the operator's failure fails the write", MERGE_CAPS, 0, merge_refused_by_operator},
    {"merge: a store without an operator refuses", MERGE_CAPS, 0, merge_without_operator},
    {"merge: in a batch, in its place", MERGE_CAPS | AKV_CAP_BATCH, 0, merge_in_batches},
    {"merge: conditions", MERGE_CAPS | AKV_CAP_CONDITION, 0, merge_conditions},
    {"merge: the expired counts as absent", MERGE_CAPS | AKV_CAP_TTL, 0, merge_of_the_expired},
    {NULL, 0, 0, NULL},
};
