/* SPDX-License-Identifier: MIT
 *
 * keyspace.c: cases of key spaces: separate sets of keys in one store.
 */
#include "tests/conformance/suite.h"

typedef struct keyspace_opened {
    akv_keyspace     *space;
    akv_read_options  read;
    akv_write_options write;
} keyspace_opened;

static keyspace_opened keyspace_make(akvc_run *r, akv *db, const char *name)
{
    keyspace_opened k = {NULL, AKV_READ_OPTIONS_INIT, AKV_WRITE_OPTIONS_INIT};

    OK(r, akv_keyspace_open(db, name, AKV_KEYSPACE_CREATE, &k.space));
    k.read.keyspace  = k.space;
    k.write.keyspace = k.space;
    return k;
}

static int keyspace_name(void *user, const char *name)
{
    akv_buffer *names = user;

    return akv_buffer_append(names, name, strlen(name)) != AKV_OK ||
           akv_buffer_append(names, ",", 1) != AKV_OK;
}

static int keyspace_stop(void *user, const char *name)
{
    return keyspace_name(user, name) || 1;
}

static void keyspace_lists(akvc_run *r, akv *db, const char *want)
{
    akv_buffer names = AKV_BUFFER_INIT;

    OK(r, akv_keyspace_list(db, keyspace_name, &names));
    if (!akvc_equal(akv_bytes(names.data, names.len), akv_str(want)))
        akvc_fail(r, __FILE__, __LINE__, "spaces are \"%.*s\", not \"%s\"", (int)names.len,
                  (const char *)names.data, want);
    akv_buffer_free(&names);
}

static void keyspace_isolated(akvc_run *r)
{
    akv            *db = akvc_filled(r, "a=default only=1");
    keyspace_opened x  = keyspace_make(r, db, "x");
    keyspace_opened y  = keyspace_make(r, db, "y");

    OK(r, akv_put(db, akv_str("a"), akv_str("of x"), &x.write));
    OK(r, akv_put(db, akv_str("b"), akv_str("of x"), &x.write));
    OK(r, akv_put(db, akv_str("a"), akv_str("of y"), &y.write));
    HOLDS(r, db, NULL, "a=default only=1");
    HOLDS(r, db, &x.read, "a=of x b=of x");
    HOLDS(r, db, &y.read, "a=of y");
    HAS(r, db, &x.read, "a", "of x");
    LACKS(r, db, &y.read, "b");
    LACKS(r, db, &x.read, "only");
    OK(r, akv_delete(db, akv_str("a"), &x.write));
    HOLDS(r, db, NULL, "a=default only=1");
    HOLDS(r, db, &y.read, "a=of y");
    HOLDS(r, db, &x.read, "b=of x");
    akv_keyspace_close(x.space);
    akv_keyspace_close(y.space);
    akv_keyspace_close(NULL);
    akvc_close(r, db);
}

static void keyspace_kept_when_closed(akvc_run *r)
{
    akv            *db = akvc_new(r);
    keyspace_opened x  = keyspace_make(r, db, "x");
    akv_keyspace   *again;

    OK(r, akv_put(db, akv_str("a"), akv_str("1"), &x.write));
    akv_keyspace_close(x.space);
    x = keyspace_make(r, db, "x"); /* CREATE of what is there opens it */
    HOLDS(r, db, &x.read, "a=1");
    OK(r, akv_keyspace_open(db, "x", 0, &again));
    x.read.keyspace = again;
    HOLDS(r, db, &x.read, "a=1");
    akv_keyspace_close(x.space);
    HOLDS(r, db, &x.read, "a=1");
    akv_keyspace_close(again);
    WANT(r, AKV_ABSENT, akv_keyspace_open(db, "nope", 0, &again));
    CHECK(r, again == NULL);
    keyspace_lists(r, db, "x,");
    akvc_close(r, db);
}

static void keyspace_names(akvc_run *r)
{
    akv          *db = akvc_new(r);
    char          name[300];
    akv_buffer    names = AKV_BUFFER_INIT;
    akv_keyspace *space;

    memset(name, 'n', sizeof name);
    name[256] = '\0';
    WANT(r, AKV_MISUSE, akv_keyspace_open(db, name, AKV_KEYSPACE_CREATE, &space));
    WANT(r, AKV_MISUSE, akv_keyspace_open(db, "", AKV_KEYSPACE_CREATE, &space));
    WANT(r, AKV_MISUSE, akv_keyspace_open(db, NULL, AKV_KEYSPACE_CREATE, &space));
    WANT(r, AKV_MISUSE, akv_keyspace_open(db, "\xff\xfe", AKV_KEYSPACE_CREATE, &space));
    WANT(r, AKV_MISUSE, akv_keyspace_open(db, "x", 0x80, &space));
    keyspace_lists(r, db, "");
    name[255] = '\0';
    akv_keyspace_close(keyspace_make(r, db, name).space);
    akv_keyspace_close(keyspace_make(r, db, "\xc3\xa9t\xc3\xa9").space);
    akv_keyspace_close(keyspace_make(r, db, "b").space);
    akv_keyspace_close(keyspace_make(r, db, "a").space);
    OK(r, akv_keyspace_list(db, keyspace_stop, &names));
    CHECK(r, akvc_equal(akv_bytes(names.data, names.len), akv_str("a,")));
    akv_buffer_free(&names);
    OK(r, akv_keyspace_drop(db, name));
    keyspace_lists(r, db, "a,b,\xc3\xa9t\xc3\xa9,");
    akvc_close(r, db);
}

static void keyspace_drop(akvc_run *r)
{
    akv            *db = akvc_filled(r, "a=default");
    keyspace_opened x  = keyspace_make(r, db, "x");
    keyspace_opened y  = keyspace_make(r, db, "y");

    OK(r, akv_put(db, akv_str("a"), akv_str("of x"), &x.write));
    OK(r, akv_put(db, akv_str("a"), akv_str("of y"), &y.write));
    WANT(r, AKV_BUSY, akv_keyspace_drop(db, "x"));
    HOLDS(r, db, &x.read, "a=of x");
    akv_keyspace_close(x.space);
    OK(r, akv_keyspace_drop(db, "x"));
    keyspace_lists(r, db, "y,");
    WANT(r, AKV_ABSENT, akv_keyspace_open(db, "x", 0, &x.space));
    WANT(r, AKV_ABSENT, akv_keyspace_drop(db, "x"));
    HOLDS(r, db, NULL, "a=default");
    HOLDS(r, db, &y.read, "a=of y");
    x = keyspace_make(r, db, "x");
    HOLDS(r, db, &x.read, "");
    akv_keyspace_close(x.space);
    akv_keyspace_close(y.space);
    akvc_close(r, db);
}

static void keyspace_in_batches(akvc_run *r)
{
    akv              *db     = akvc_filled(r, "a=1");
    keyspace_opened   x      = keyspace_make(r, db, "x");
    akv_write_options absent = x.write;
    akv_batch        *batch;

    OK(r, akv_batch_new(db, &batch));
    OK(r, akv_batch_put(batch, akv_str("a"), akv_str("2"), NULL));
    OK(r, akv_batch_put(batch, akv_str("a"), akv_str("x"), &x.write));
    OK(r, akv_batch_put(batch, akv_str("b"), akv_str("x"), &x.write));
    OK(r, akv_write(db, batch, NULL));
    HOLDS(r, db, NULL, "a=2");
    HOLDS(r, db, &x.read, "a=x b=x");
    if (r->caps & AKV_CAP_CONDITION) { /* judged in their own space */
        absent.condition = AKV_IF_ABSENT;
        akv_batch_clear(batch);
        OK(r, akv_batch_put(batch, akv_str("c"), akv_str("3"), NULL));
        OK(r, akv_batch_put(batch, akv_str("a"), akv_str("y"), &absent));
        WANT(r, AKV_CONFLICT, akv_write(db, batch, NULL));
        HOLDS(r, db, NULL, "a=2");
        HOLDS(r, db, &x.read, "a=x b=x");
    }
    akv_batch_free(batch);
    akv_keyspace_close(x.space);
    akvc_close(r, db);
}

static void keyspace_in_snapshots(akvc_run *r)
{
    akv            *db = akvc_filled(r, "a=1");
    keyspace_opened x  = keyspace_make(r, db, "x");
    akv_snapshot   *snapshot;

    OK(r, akv_put(db, akv_str("b"), akv_str("2"), &x.write));
    OK(r, akv_snapshot_new(db, &snapshot));
    OK(r, akv_put(db, akv_str("b"), akv_str("9"), &x.write));
    OK(r, akv_put(db, akv_str("c"), akv_str("9"), &x.write));
    x.read.snapshot = snapshot;
    HOLDS(r, db, &x.read, "b=2");
    akv_snapshot_free(snapshot);
    x.read.snapshot = NULL;
    HOLDS(r, db, &x.read, "b=9 c=9");
    akv_keyspace_close(x.space);
    akvc_close(r, db);
}

static void keyspace_range_stays_inside(akvc_run *r)
{
    akv            *db = akvc_filled(r, "a=1 b=2");
    keyspace_opened x  = keyspace_make(r, db, "x");

    OK(r, akv_put(db, akv_str("a"), akv_str("x"), &x.write));
    OK(r, akv_put(db, akv_str("b"), akv_str("x"), &x.write));
    OK(r, akv_delete_range(db, akv_str("b"), akv_str(""), &x.write));
    HOLDS(r, db, NULL, "a=1 b=2");
    HOLDS(r, db, &x.read, "a=x");
    OK(r, akv_delete_range(db, akv_str(""), akv_str(""), NULL));
    HOLDS(r, db, NULL, "");
    HOLDS(r, db, &x.read, "a=x");
    akv_keyspace_close(x.space);
    akvc_close(r, db);
}

static void keyspace_of_another_handle(akvc_run *r)
{
    akv            *db    = akvc_filled(r, "a=1");
    akv            *other = akvc_new(r);
    keyspace_opened x     = keyspace_make(r, other, "x");

    WANT(r, AKV_MISUSE, akv_put(db, akv_str("a"), akv_str("2"), &x.write));
    WANT(r, AKV_MISUSE, akv_exists(db, akv_str("a"), &x.read));
    HOLDS(r, db, NULL, "a=1");
    akv_keyspace_close(x.space);
    akvc_close(r, db);
    akvc_close(r, other);
}

static void keyspace_survives_reopen(akvc_run *r)
{
    akv            *db = akvc_filled(r, "a=1");
    keyspace_opened x  = keyspace_make(r, db, "x");

    OK(r, akv_put(db, akv_str("a"), akv_str("of x"), &x.write));
    akv_keyspace_close(x.space);
    akv_keyspace_close(keyspace_make(r, db, "empty").space);
    akvc_close(r, db);
    db = akvc_open(r, 0);
    keyspace_lists(r, db, "empty,x,");
    OK(r, akv_keyspace_open(db, "x", 0, &x.space));
    x.read.keyspace = x.space;
    HOLDS(r, db, &x.read, "a=of x");
    HOLDS(r, db, NULL, "a=1");
    akv_keyspace_close(x.space);
    akvc_close(r, db);
}

#define KEYSPACE_CAPS (AKV_CAP_WRITE | AKV_CAP_KEYSPACES)

const akvc_case akvc_keyspace_cases[] = {
    {"keyspace: keys of one are not keys of another", KEYSPACE_CAPS, 0, keyspace_isolated},
    {"keyspace: closing drops nothing; AKV_ABSENT when there is none", KEYSPACE_CAPS, 0,
     keyspace_kept_when_closed},
    {"keyspace: names are 1 to 255 bytes of UTF-8, listed in order", KEYSPACE_CAPS, 0,
     keyspace_names},
    {"keyspace: drop removes all in it, but not while it is open", KEYSPACE_CAPS, 0, keyspace_drop},
    {"keyspace: one batch writes to several", KEYSPACE_CAPS | AKV_CAP_BATCH, 0,
     keyspace_in_batches},
    {"keyspace: one snapshot shows all", KEYSPACE_CAPS | AKV_CAP_SNAPSHOT, 0,
     keyspace_in_snapshots},
    {"keyspace: delete_range stays inside", KEYSPACE_CAPS | AKV_CAP_DELETE_RANGE, 0,
     keyspace_range_stays_inside},
    {"keyspace: another handle refuses it", KEYSPACE_CAPS, 0, keyspace_of_another_handle},
    {"keyspace: lives on over close and open", KEYSPACE_CAPS, AKVC_NEEDS_REOPEN,
     keyspace_survives_reopen},
    {NULL, 0, 0, NULL},
};
