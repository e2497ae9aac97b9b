/* SPDX-License-Identifier: MIT
 *
 * snapshot.c: cases of snapshots: the store at one moment, however it is read.
 */
#include "tests/conformance/suite.h"

#include <stdio.h>

static akv_read_options snapshot_take(akvc_run *r, akv *db, akv_snapshot **snapshot_out)
{
    akv_read_options opt = AKV_READ_OPTIONS_INIT;

    OK(r, akv_snapshot_new(db, snapshot_out));
    opt.snapshot = *snapshot_out;
    return opt;
}

static void snapshot_reads_like_the_store(akvc_run *r)
{
    akv             *db = akvc_filled(r, "a=1 b=2 =0");
    akv_snapshot    *snapshot;
    akv_read_options opt = snapshot_take(r, db, &snapshot);

    HOLDS(r, db, &opt, "=0 a=1 b=2");
    HAS(r, db, &opt, "a", "1");
    LACKS(r, db, &opt, "c");
    akv_snapshot_free(snapshot);
    akv_snapshot_free(NULL);
    HOLDS(r, db, NULL, "=0 a=1 b=2");
    akvc_close(r, db);
}

static void snapshot_stays(akvc_run *r)
{
    akv             *db = akvc_filled(r, "a=1 b=2 c=3");
    akv_snapshot    *snapshot;
    akv_read_options opt = snapshot_take(r, db, &snapshot);

    OK(r, akv_put(db, akv_str("a"), akv_str("9"), NULL));
    OK(r, akv_delete(db, akv_str("b"), NULL));
    OK(r, akv_put(db, akv_str("d"), akv_str("9"), NULL));
    OK(r, akv_compact(db, NULL));
    HOLDS(r, db, &opt, "a=1 b=2 c=3");
    HAS(r, db, &opt, "a", "1");
    HAS(r, db, &opt, "b", "2");
    LACKS(r, db, &opt, "d");
    HOLDS(r, db, NULL, "a=9 c=3 d=9");
    OK(r, akv_put(db, akv_str("b"), akv_str("back"), NULL));
    OK(r, akv_delete(db, akv_str("c"), NULL));
    HOLDS(r, db, &opt, "a=1 b=2 c=3");
    akv_snapshot_free(snapshot);
    HOLDS(r, db, NULL, "a=9 b=back d=9");
    akvc_close(r, db);
}

/* 40 moments, freed in another order than they were made. */
static void snapshot_many(akvc_run *r)
{
    akv          *db = akvc_new(r);
    akv_snapshot *snapshots[40];
    char          want[64], value[16];

    for (unsigned i = 0; i < 40; i++) {
        snprintf(value, sizeof value, "%u", i);
        OK(r, akv_put(db, akv_str("k"), akv_str(value), NULL));
        OK(r, akv_put(db, akv_str(i % 2 ? "odd" : "even"), akv_str(value), NULL));
        OK(r, akv_delete(db, akv_str(i % 2 ? "even" : "odd"), NULL));
        OK(r, akv_snapshot_new(db, &snapshots[i]));
    }
    OK(r, akv_put(db, akv_str("k"), akv_str("last"), NULL));
    for (unsigned i = 0; i < 40; i++) {
        unsigned         at  = i * 7 % 40;
        akv_read_options opt = AKV_READ_OPTIONS_INIT;

        opt.snapshot = snapshots[at];
        if (at % 2)
            snprintf(want, sizeof want, "k=%u odd=%u", at, at);
        else
            snprintf(want, sizeof want, "even=%u k=%u", at, at);
        HOLDS(r, db, &opt, want);
        akv_snapshot_free(snapshots[at]);
    }
    HOLDS(r, db, NULL, "k=last odd=39");
    akvc_close(r, db);
}

static void snapshot_borrowed_values_outlive_it(akvc_run *r)
{
    akv             *db = akvc_filled(r, "a=one b=two");
    akv_value        value;
    akv_snapshot    *snapshot;
    akv_iter        *iter;
    akv_scan_options scan = AKV_SCAN_OPTIONS_INIT;

    scan.read = snapshot_take(r, db, &snapshot);
    OK(r, akv_put(db, akv_str("a"), akv_str("new"), NULL));
    OK(r, akv_get(db, akv_str("a"), &scan.read, &value));
    OK(r, akv_scan(db, &scan, &iter));
    akv_snapshot_free(snapshot);
    OK(r, akv_put(db, akv_str("a"), akv_str("newer"), NULL));
    OK(r, akv_compact(db, NULL));
    CHECK(r, akvc_equal(akv_bytes(value.data, value.len), akv_str("one")));
    /* "the store as it was when it was made": a snapshot's is the snapshot's */
    OK(r, akv_iter_next(iter));
    CHECK(r, akvc_equal(akv_iter_value(iter), akv_str("one")));
    akv_iter_free(iter);
    akv_value_release(&value);
    akvc_close(r, db);
}

static void snapshot_of_another_handle(akvc_run *r)
{
    akv             *db    = akvc_filled(r, "a=1");
    akv             *other = akvc_filled(r, "b=1");
    akv_value        value = AKV_VALUE_INIT;
    akv_snapshot    *snapshot;
    akv_read_options opt = snapshot_take(r, other, &snapshot);

    WANT(r, AKV_MISUSE, akv_get(db, akv_str("a"), &opt, &value));
    WANT(r, AKV_MISUSE, akv_exists(db, akv_str("a"), &opt));
    akv_snapshot_free(snapshot);
    akvc_close(r, db);
    akvc_close(r, other);
}

static void snapshot_scans_backwards(akvc_run *r)
{
    akv             *db   = akvc_filled(r, "a=1 b=2 c=3");
    akv_scan_options scan = AKV_SCAN_OPTIONS_INIT;
    akv_snapshot    *snapshot;
    akv_iter        *iter;

    scan.read  = snapshot_take(r, db, &snapshot);
    scan.flags = AKV_SCAN_REVERSE;
    scan.upper = akv_str("c");
    OK(r, akv_delete(db, akv_str("b"), NULL));
    OK(r, akv_put(db, akv_str("ab"), akv_str("9"), NULL));
    OK(r, akv_scan(db, &scan, &iter));
    OK(r, akv_iter_next(iter));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("b")));
    OK(r, akv_iter_next(iter));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("a")));
    WANT(r, AKV_END, akv_iter_next(iter));
    akv_iter_free(iter);
    akv_snapshot_free(snapshot);
    akvc_close(r, db);
}

const akvc_case akvc_snapshot_cases[] = {
    {"snapshot: reads what the store held", AKV_CAP_SNAPSHOT, 0, snapshot_reads_like_the_store},
    {"snapshot: stays as it is under writes", AKV_CAP_SNAPSHOT | AKV_CAP_WRITE, 0, snapshot_stays},
    {"snapshot: each of many is its own moment", AKV_CAP_SNAPSHOT | AKV_CAP_WRITE, 0,
     snapshot_many},
    {"snapshot: scans from it run both ways", AKV_CAP_SNAPSHOT | AKV_CAP_WRITE | AKV_CAP_ORDERED, 0,
     snapshot_scans_backwards},
    {"snapshot: values and iterators from it outlive it", AKV_CAP_SNAPSHOT | AKV_CAP_WRITE, 0,
     snapshot_borrowed_values_outlive_it},
    {"snapshot: another handle refuses it", AKV_CAP_SNAPSHOT, 0, snapshot_of_another_handle},
    {NULL, 0, 0, NULL},
};
