/* SPDX-License-Identifier: MIT
 *
 * txn.c: cases of optimistic transactions.
 */
#include "tests/conformance/suite.h"

static akv_txn *txn_begin(akvc_run *r, akv *db)
{
    akv_txn *txn;

    OK(r, akv_txn_begin(db, &txn));
    return txn;
}

static void txn_sees(akvc_run *r, akv_txn *txn, const char *key, const char *value)
{
    akv_buffer got = AKV_BUFFER_INIT;

    OK(r, akv_txn_get(txn, akv_str(key), NULL, &got));
    if (!akvc_equal(akv_bytes(got.data, got.len), akv_str(value)))
        akvc_fail(r, __FILE__, __LINE__, "the transaction sees \"%s\"=\"%.*s\", not \"%s\"", key,
                  (int)got.len, (const char *)got.data, value);
    OK(r, akv_txn_exists(txn, akv_str(key), NULL));
    akv_buffer_free(&got);
}

static void txn_misses(akvc_run *r, akv_txn *txn, const char *key)
{
    akv_buffer got = AKV_BUFFER_INIT;

    OK(r, akv_buffer_append(&got, "old", 3));
    WANT(r, AKV_ABSENT, akv_txn_get(txn, akv_str(key), NULL, &got));
    CHECK(r, got.len == 0);
    WANT(r, AKV_ABSENT, akv_txn_exists(txn, akv_str(key), NULL));
    akv_buffer_free(&got);
}

static void txn_put(akvc_run *r, akv_txn *txn, const char *key, const char *value)
{
    OK(r, akv_txn_put(txn, akv_str(key), akv_str(value), NULL));
}

static void txn_commits(akvc_run *r)
{
    akv     *db  = akvc_filled(r, "a=1 b=2");
    akv_txn *txn = txn_begin(r, db);

    txn_sees(r, txn, "a", "1");
    txn_misses(r, txn, "c");
    txn_put(r, txn, "a", "9");
    txn_put(r, txn, "c", "3");
    OK(r, akv_txn_delete(txn, akv_str("b"), NULL));
    txn_sees(r, txn, "a", "9"); /* its own writes */
    txn_sees(r, txn, "c", "3");
    txn_misses(r, txn, "b");
    HOLDS(r, db, NULL, "a=1 b=2"); /* which nobody else sees */
    OK(r, akv_txn_commit(txn, NULL));
    HOLDS(r, db, NULL, "a=9 c=3");
    OK(r, akv_txn_commit(txn_begin(r, db), NULL)); /* of nothing */
    akvc_close(r, db);
}

static void txn_aborts(akvc_run *r)
{
    akv     *db  = akvc_filled(r, "a=1");
    akv_txn *txn = txn_begin(r, db);

    txn_put(r, txn, "a", "2");
    txn_put(r, txn, "b", "2");
    akv_txn_abort(txn);
    akv_txn_abort(NULL);
    HOLDS(r, db, NULL, "a=1");
    akvc_close(r, db);
}

static void txn_reads_a_snapshot(akvc_run *r)
{
    akv     *db  = akvc_filled(r, "a=1 b=2");
    akv_txn *txn = txn_begin(r, db);

    OK(r, akv_put(db, akv_str("a"), akv_str("9"), NULL));
    OK(r, akv_put(db, akv_str("c"), akv_str("9"), NULL));
    txn_sees(r, txn, "a", "1");
    txn_misses(r, txn, "c");
    akv_txn_abort(txn);
    HOLDS(r, db, NULL, "a=9 b=2 c=9");
    akvc_close(r, db);
}

/* What the transaction looked at, what another write then did, and whether the
 * commit may still succeed. */
static void txn_race(akvc_run *r, const char *looks, const char *other, bool wins)
{
    akv       *db     = akvc_filled(r, "a=1 b=2");
    akv_txn   *txn    = txn_begin(r, db);
    akv_buffer got    = AKV_BUFFER_INIT;
    char       key[2] = {other[1], '\0'};

    CHECK(r, akv_txn_get(txn, akv_str(looks), NULL, &got) >= 0);
    txn_put(r, txn, "mine", "x");
    if (other[0] == '+')
        OK(r, akv_put(db, akv_str(key), akv_str("other"), NULL));
    else
        OK(r, akv_delete(db, akv_str(key), NULL));
    WANT(r, wins ? AKV_OK : AKV_CONFLICT, akv_txn_commit(txn, NULL));
    WANT(r, wins ? AKV_OK : AKV_ABSENT, akv_exists(db, akv_str("mine"), NULL));
    akv_buffer_free(&got);
    akvc_close(r, db);
}

static void txn_conflicts(akvc_run *r)
{
    txn_race(r, "a", "+a", false); /* changed */
    txn_race(r, "a", "-a", false); /* deleted */
    txn_race(r, "n", "+n", false); /* found absent, and added */
    txn_race(r, "a", "+b", true);  /* another key */
    txn_race(r, "n", "-n", true);  /* absent still */
}

static void txn_aba(akvc_run *r)
{
    akv     *db  = akvc_filled(r, "a=1");
    akv_txn *txn = txn_begin(r, db);

    txn_sees(r, txn, "a", "1");
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), NULL));
    OK(r, akv_put(db, akv_str("a"), akv_str("1"), NULL)); /* the same value is not the same */
    txn_put(r, txn, "b", "x");
    WANT(r, AKV_CONFLICT, akv_txn_commit(txn, NULL));
    HOLDS(r, db, NULL, "a=1");
    akvc_close(r, db);
}

static void txn_blind_writes_win(akvc_run *r)
{
    akv     *db  = akvc_filled(r, "a=1");
    akv_txn *txn = txn_begin(r, db);

    txn_put(r, txn, "a", "mine");
    txn_sees(r, txn, "a", "mine"); /* its own write is no read of the store */
    OK(r, akv_put(db, akv_str("a"), akv_str("other"), NULL));
    OK(r, akv_txn_commit(txn, NULL));
    HOLDS(r, db, NULL, "a=mine");
    akvc_close(r, db);
}

static void txn_two_increments(akvc_run *r)
{
    akv     *db  = akvc_filled(r, "n=1");
    akv_txn *one = txn_begin(r, db), *two = txn_begin(r, db);

    txn_sees(r, one, "n", "1");
    txn_sees(r, two, "n", "1");
    txn_put(r, one, "n", "2");
    txn_put(r, two, "n", "2");
    OK(r, akv_txn_commit(two, NULL));
    WANT(r, AKV_CONFLICT, akv_txn_commit(one, NULL));
    HOLDS(r, db, NULL, "n=2");
    akvc_close(r, db);
}

/* ------------------------------------------------------------------ scanning */

static void txn_expect_scan(akvc_run *r, akv_txn *txn, const akv_scan_options *opt,
                            const char *want)
{
    char       got[200];
    size_t     n = 0;
    akv_iter  *iter;
    akv_status status;

    OK(r, akv_txn_scan(txn, opt, &iter));
    while ((status = akv_iter_next(iter)) == AKV_OK && n + 40 < sizeof got) {
        akv_slice key = akv_iter_key(iter), value = akv_iter_value(iter);

        memcpy(got + n, key.data, key.len);
        n += key.len;
        got[n++] = '=';
        memcpy(got + n, value.data ? value.data : "", value.len);
        n += value.len;
        got[n++] = ' ';
    }
    WANT(r, AKV_END, status);
    akv_iter_free(iter);
    got[n ? n - 1 : 0] = '\0';
    if (strcmp(got, want) != 0)
        akvc_fail(r, __FILE__, __LINE__, "the transaction's scan gives \"%s\", not \"%s\"", got,
                  want);
}

static void txn_scans(akvc_run *r)
{
    akv             *db  = akvc_filled(r, "a=1 b=2 c=3 d=4");
    akv_txn         *txn = txn_begin(r, db);
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;

    OK(r, akv_put(db, akv_str("bb"), akv_str("other"), NULL));
    txn_put(r, txn, "aa", "new");
    txn_put(r, txn, "c", "mine");
    txn_put(r, txn, "e", "end");
    txn_put(r, txn, "gone", "x");
    OK(r, akv_txn_delete(txn, akv_str("gone"), NULL));
    OK(r, akv_txn_delete(txn, akv_str("b"), NULL));
    txn_expect_scan(r, txn, NULL, "a=1 aa=new c=mine d=4 e=end");
    opt.flags = AKV_SCAN_REVERSE;
    txn_expect_scan(r, txn, &opt, "e=end d=4 c=mine aa=new a=1");
    opt.lower = akv_str("aa");
    opt.upper = akv_str("d");
    txn_expect_scan(r, txn, &opt, "c=mine aa=new");
    opt.flags = 0;
    opt.limit = 1;
    txn_expect_scan(r, txn, &opt, "aa=new");
    opt       = (akv_scan_options)AKV_SCAN_OPTIONS_INIT;
    opt.flags = AKV_SCAN_KEYS_ONLY;
    txn_expect_scan(r, txn, &opt, "a= aa= c= d= e=");
    OK(r, akv_txn_commit(txn, NULL));
    HOLDS(r, db, NULL, "a=1 aa=new bb=other c=mine d=4 e=end");
    akvc_close(r, db);
}

/* Turning round anywhere, over own writes and the snapshot's. */
static void txn_scans_both_ways(akvc_run *r)
{
    static const char *const keys[] = {"a", "aa", "c", "d", "e"};
    akv                     *db     = akvc_filled(r, "a=1 b=2 c=3 d=4");
    akv_txn                 *txn    = txn_begin(r, db);
    int                      at     = -1;
    akv_iter                *iter;

    txn_put(r, txn, "aa", "new");
    txn_put(r, txn, "c", "mine");
    txn_put(r, txn, "e", "end");
    OK(r, akv_txn_delete(txn, akv_str("b"), NULL));
    OK(r, akv_txn_scan(txn, NULL, &iter));
    for (int i = 0; i < 500; i++) {
        bool       forward = akvc_below(&r->random, 2);
        akv_status status  = forward ? akv_iter_next(iter) : akv_iter_prev(iter);

        at += forward ? at < 5 : -(at >= 0);
        WANT(r, at >= 0 && at < 5 ? AKV_OK : AKV_END, status);
        if (at >= 0 && at < 5)
            CHECK(r, akvc_equal(akv_iter_key(iter), akv_str(keys[at])));
    }
    OK(r, akv_iter_seek(iter, akv_str("b")));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("c")));
    CHECK(r, akvc_equal(akv_iter_value(iter), akv_str("mine")));
    OK(r, akv_iter_seek_for_prev(iter, akv_str("b")));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("aa")));
    OK(r, akv_iter_last(iter));
    CHECK(r, akvc_equal(akv_iter_key(iter), akv_str("e")));
    akv_iter_free(iter);
    akv_txn_abort(txn);
    akvc_close(r, db);
}

static void txn_scan_is_a_read(akvc_run *r)
{
    akv     *db  = akvc_filled(r, "a=1 c=3");
    akv_txn *txn = txn_begin(r, db);

    txn_expect_scan(r, txn, NULL, "a=1 c=3");
    OK(r, akv_put(db, akv_str("c"), akv_str("9"), NULL));
    txn_put(r, txn, "x", "1");
    WANT(r, AKV_CONFLICT, akv_txn_commit(txn, NULL));
    /* but keys that others add inside the range go unnoticed */
    txn = txn_begin(r, db);
    txn_expect_scan(r, txn, NULL, "a=1 c=9");
    OK(r, akv_put(db, akv_str("b"), akv_str("2"), NULL));
    txn_put(r, txn, "x", "1");
    OK(r, akv_txn_commit(txn, NULL));
    HOLDS(r, db, NULL, "a=1 b=2 c=9 x=1");
    akvc_close(r, db);
}

static void txn_options(akvc_run *r)
{
    akv              *db     = akvc_filled(r, "a=1");
    akv_txn          *txn    = txn_begin(r, db);
    akv_write_options opt    = AKV_WRITE_OPTIONS_INIT;
    akv_write_result  result = {{{0}}, (akv_durability)77, 0, 0};
    akv_value         value;

    opt.condition = AKV_IF_ABSENT;
    WANT(r, AKV_CONFLICT, akv_txn_put(txn, akv_str("a"), akv_str("2"), &opt));
    OK(r, akv_txn_put(txn, akv_str("b"), akv_str("2"), &opt));
    WANT(r, AKV_CONFLICT, akv_txn_put(txn, akv_str("b"), akv_str("3"), &opt));
    opt = (akv_write_options)AKV_WRITE_OPTIONS_INIT;
    if (r->caps & AKV_CAP_ENCODING)
        opt.encoding = AKV_ENCODING_JSON;
    OK(r, akv_txn_put(txn, akv_str("c"), akv_str("3"), &opt));
    opt            = (akv_write_options)AKV_WRITE_OPTIONS_INIT;
    opt.sync       = AKV_SYNC_ALWAYS;
    opt.result_out = &result;
    OK(r, akv_txn_commit(txn, &opt));
    CHECK(r, result.durability <= AKV_REACHED_DEVICE);
    HOLDS(r, db, NULL, "a=1 b=2 c=3");
    OK(r, akv_get(db, akv_str("c"), NULL, &value));
    CHECK(r, value.encoding == (r->caps & AKV_CAP_ENCODING ? AKV_ENCODING_JSON : AKV_ENCODING_RAW));
    akv_value_release(&value);
    akvc_close(r, db);
}

static void txn_over_keyspaces(akvc_run *r)
{
    akv              *db    = akvc_filled(r, "a=1");
    akv_write_options write = AKV_WRITE_OPTIONS_INIT;
    akv_read_options  read  = AKV_READ_OPTIONS_INIT;
    akv_buffer        got   = AKV_BUFFER_INIT;
    akv_keyspace     *space;
    akv_txn          *txn;

    OK(r, akv_keyspace_open(db, "x", AKV_KEYSPACE_CREATE, &space));
    write.keyspace = read.keyspace = space;
    txn                            = txn_begin(r, db);
    WANT(r, AKV_ABSENT, akv_txn_get(txn, akv_str("a"), &read, &got));
    OK(r, akv_txn_put(txn, akv_str("a"), akv_str("of x"), &write));
    txn_sees(r, txn, "a", "1");
    txn_put(r, txn, "b", "2");
    OK(r, akv_txn_commit(txn, NULL));
    HOLDS(r, db, NULL, "a=1 b=2");
    HOLDS(r, db, &read, "a=of x");
    txn = txn_begin(r, db);
    OK(r, akv_txn_get(txn, akv_str("a"), &read, &got));
    txn_put(r, txn, "b", "3");
    OK(r, akv_put(db, akv_str("a"), akv_str("other"), &write));
    WANT(r, AKV_CONFLICT, akv_txn_commit(txn, NULL));
    akv_buffer_free(&got);
    akv_keyspace_close(space);
    akvc_close(r, db);
}

#define TXN_CAPS (AKV_CAP_WRITE | AKV_CAP_TXN)

const akvc_case akvc_txn_cases[] = {
    {"txn: reads its own writes and commits them as one", TXN_CAPS, 0, txn_commits},
    {"txn: abort leaves the store as it was", TXN_CAPS, 0, txn_aborts},
    {"txn: reads the store as it was at its begin", TXN_CAPS, 0, txn_reads_a_snapshot},
    {"txn: conflicts when a key that it read, or missed, has changed", TXN_CAPS, 0, txn_conflicts},
    {"txn: conflicts though the value is the same again", TXN_CAPS, 0, txn_aba},
    {"txn: a write without a read conflicts with nothing", TXN_CAPS, 0, txn_blind_writes_win},
    {"txn: of two increments one is told", TXN_CAPS, 0, txn_two_increments},
    {"txn: scans show own writes over the snapshot", TXN_CAPS | AKV_CAP_ORDERED, 0, txn_scans},
    {"txn: scans turn round anywhere, and seek", TXN_CAPS | AKV_CAP_ORDERED, 0,
     txn_scans_both_ways},
    {"txn: what a scan returned is checked, what others add is not", TXN_CAPS | AKV_CAP_ORDERED, 0,
     txn_scan_is_a_read},
    {"txn: conditions, tags and results", TXN_CAPS | AKV_CAP_CONDITION, 0, txn_options},
    {"txn: over several key spaces", TXN_CAPS | AKV_CAP_KEYSPACES, 0, txn_over_keyspaces},
    {NULL, 0, 0, NULL},
};
