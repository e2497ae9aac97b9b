/* SPDX-License-Identifier: MIT
 *
 * changes.c: cases of the change feed.
 */
#include "tests/conformance/suite.h"

#include <pthread.h>
#include <stdio.h>

static akv_changes *changes_follow(akvc_run *r, akv *db, const akv_buffer *token)
{
    akv_changes *changes;

    OK(r, akv_changes_open(db, token ? akv_bytes(token->data, token->len) : akv_str(""), &changes));
    return changes;
}

/* The next change must be this one; "" for a value means none. */
static akv_change changes_next(akvc_run *r, akv_changes *changes, akv_change_kind kind,
                               const char *key, const char *value, bool commit)
{
    akv_change c;

    OK(r, akv_changes_next(changes, 0, &c));
    if (c.kind != kind || !akvc_equal(c.key, akv_str(key)) ||
        !akvc_equal(c.value, akv_str(value)) || c.commit != commit)
        akvc_fail(r, __FILE__, __LINE__,
                  "the change is kind %d, \"%.*s\"=\"%.*s\"%s; expected kind %d, \"%s\"=\"%s\"%s",
                  (int)c.kind, (int)c.key.len, (const char *)c.key.data, (int)c.value.len,
                  (const char *)c.value.data, c.commit ? ", commit" : "", (int)kind, key, value,
                  commit ? ", commit" : "");
    return c;
}

static void changes_none(akvc_run *r, akv_changes *changes)
{
    akv_change c;

    WANT(r, AKV_END, akv_changes_next(changes, 0, &c));
    CHECK(r, c.key.len == 0 && c.value.len == 0);
}

static void changes_in_order(akvc_run *r)
{
    akv         *db      = akvc_filled(r, "before=1");
    akv_changes *changes = changes_follow(r, db, NULL);

    changes_none(r, changes);
    OK(r, akv_put(db, akv_str("a"), akv_str("1"), NULL));
    OK(r, akv_put(db, akv_str("b"), akv_str(""), NULL));
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), NULL));
    OK(r, akv_delete(db, akv_str("before"), NULL));
    changes_next(r, changes, AKV_CHANGE_PUT, "a", "1", true);
    changes_next(r, changes, AKV_CHANGE_PUT, "b", "", true);
    changes_next(r, changes, AKV_CHANGE_PUT, "a", "2", true);
    changes_next(r, changes, AKV_CHANGE_DELETE, "before", "", true);
    changes_none(r, changes);
    OK(r, akv_put(db, akv_str(""), akv_str("3"), NULL)); /* END was not for good */
    changes_next(r, changes, AKV_CHANGE_PUT, "", "3", true);
    changes_none(r, changes);
    akv_changes_close(changes);
    akv_changes_close(NULL);
    akvc_close(r, db);
}

static void changes_tell_values(akvc_run *r)
{
    akv              *db      = akvc_new(r);
    akv_changes      *changes = changes_follow(r, db, NULL);
    akv_write_options opt     = AKV_WRITE_OPTIONS_INIT;
    akv_write_result  result  = {{{0}}, AKV_REACHED_NOTHING, 0, 0};
    akv_change        c;

    opt.result_out = &result;
    if (r->caps & AKV_CAP_ENCODING)
        opt.encoding = AKV_ENCODING_MSGPACK;
    if (r->caps & AKV_CAP_TTL)
        opt.ttl_ms = 1000000;
    OK(r, akv_put(db, akv_str("a"), akv_str("1"), &opt));
    c = changes_next(r, changes, AKV_CHANGE_PUT, "a", "1", true);
    CHECK(r, c.keyspace == NULL && c.encoding == opt.encoding);
    CHECK(r, !c.expiry_ms == !opt.ttl_ms);
    CHECK(r, memcmp(&c.version, &result.version, sizeof c.version) == 0);
    if (r->caps & AKV_CAP_MERGE) {
        OK(r, akv_merge(db, akv_str("a"), akv_str("2"), NULL));
        changes_next(r, changes, AKV_CHANGE_PUT, "a", "12", true);
    }
    if (r->caps & AKV_CAP_TTL) {
        OK(r, akv_put(db, akv_str("b"), akv_str("1"), NULL));
        OK(r, akv_expire(db, akv_str("b"), 1000000, NULL));
        changes_next(r, changes, AKV_CHANGE_PUT, "b", "1", true);
        c = changes_next(r, changes, AKV_CHANGE_PUT, "b", "1", true);
        CHECK(r, c.expiry_ms != 0);
    }
    changes_none(r, changes);
    akv_changes_close(changes);
    akvc_close(r, db);
}

static void changes_of_batches(akvc_run *r)
{
    akv         *db      = akvc_filled(r, "x=1");
    akv_changes *changes = changes_follow(r, db, NULL);
    akv_batch   *batch;

    OK(r, akv_batch_new(db, &batch));
    OK(r, akv_batch_put(batch, akv_str("a"), akv_str("1"), NULL));
    OK(r, akv_batch_delete(batch, akv_str("x"), NULL));
    OK(r, akv_batch_put(batch, akv_str("b"), akv_str("2"), NULL));
    OK(r, akv_write(db, batch, NULL));
    OK(r, akv_put(db, akv_str("c"), akv_str("3"), NULL));
    changes_next(r, changes, AKV_CHANGE_PUT, "a", "1", false);
    changes_next(r, changes, AKV_CHANGE_DELETE, "x", "", false);
    changes_next(r, changes, AKV_CHANGE_PUT, "b", "2", true);
    changes_next(r, changes, AKV_CHANGE_PUT, "c", "3", true);
    changes_none(r, changes);
    akv_batch_free(batch);
    akv_changes_close(changes);
    akvc_close(r, db);
}

static void changes_resume(akvc_run *r)
{
    akv         *db      = akvc_new(r);
    akv_changes *changes = changes_follow(r, db, NULL), *again;
    akv_buffer   begin = AKV_BUFFER_INIT, middle = AKV_BUFFER_INIT;

    OK(r, akv_changes_token(changes, &begin));
    CHECK(r, begin.len > 0);
    OK(r, akv_put(db, akv_str("a"), akv_str("1"), NULL));
    OK(r, akv_put(db, akv_str("b"), akv_str("2"), NULL));
    OK(r, akv_put(db, akv_str("c"), akv_str("3"), NULL));
    changes_next(r, changes, AKV_CHANGE_PUT, "a", "1", true);
    OK(r, akv_changes_token(changes, &middle));
    changes_next(r, changes, AKV_CHANGE_PUT, "b", "2", true);
    akv_changes_close(changes);
    again = changes_follow(r, db, &middle);
    changes_next(r, again, AKV_CHANGE_PUT, "b", "2", true);
    changes_next(r, again, AKV_CHANGE_PUT, "c", "3", true);
    changes_none(r, again);
    akv_changes_close(again);
    again = changes_follow(r, db, &begin);
    changes_next(r, again, AKV_CHANGE_PUT, "a", "1", true);
    akv_changes_close(again);
    again = changes_follow(r, db, NULL); /* from now on */
    changes_none(r, again);
    akv_changes_close(again);
    akv_buffer_free(&begin);
    akv_buffer_free(&middle);
    akvc_close(r, db);
}

static void changes_two_feeds(akvc_run *r)
{
    akv         *db  = akvc_new(r);
    akv_changes *one = changes_follow(r, db, NULL), *two = changes_follow(r, db, NULL);

    OK(r, akv_put(db, akv_str("a"), akv_str("1"), NULL));
    changes_next(r, one, AKV_CHANGE_PUT, "a", "1", true);
    OK(r, akv_put(db, akv_str("b"), akv_str("2"), NULL));
    changes_next(r, two, AKV_CHANGE_PUT, "a", "1", true);
    changes_next(r, two, AKV_CHANGE_PUT, "b", "2", true);
    akv_changes_close(two);
    changes_next(r, one, AKV_CHANGE_PUT, "b", "2", true);
    akv_changes_close(one);
    akvc_close(r, db);
}

/* Write until history is dropped; a token from its beginning then either still
 * leads to every change, or is told to be too old. */
static void changes_too_old(akvc_run *r)
{
    akv         *db      = akvc_new(r);
    akv_changes *changes = changes_follow(r, db, NULL);
    akv_buffer   token   = AKV_BUFFER_INIT;
    char         key[16], value[2000];
    akv_status   status = AKV_OK;
    akv_change   c;
    unsigned     written = 0;

    memset(value, 'v', sizeof value);
    OK(r, akv_changes_token(changes, &token));
    akv_changes_close(changes);
    while (status == AKV_OK && written < 60000) {
        for (unsigned i = 0; i < 2000; i++, written++) {
            snprintf(key, sizeof key, "%u", written % 100);
            OK(r, akv_put(db, akv_str(key), akv_bytes(value, sizeof value), NULL));
        }
        status = akv_changes_open(db, akv_bytes(token.data, token.len), &changes);
        if (status == AKV_OK && written < 60000)
            akv_changes_close(changes);
    }
    if (status == AKV_OK) {
        for (unsigned i = 0; i < written; i++)
            OK(r, akv_changes_next(changes, 0, &c));
        changes_none(r, changes);
        akv_changes_close(changes);
    } else {
        WANT(r, AKV_ABSENT, status);
        CHECK(r, changes == NULL);
        changes = changes_follow(r, db, NULL); /* begin anew */
        OK(r, akv_put(db, akv_str("a"), akv_str("1"), NULL));
        changes_next(r, changes, AKV_CHANGE_PUT, "a", "1", true);
        akv_changes_close(changes);
    }
    akv_buffer_free(&token);
    akvc_close(r, db);
}

static void changes_foreign_token(akvc_run *r)
{
    akv         *db = akvc_new(r);
    akv_changes *changes;
    akv_status   status = akv_changes_open(db, akv_str("no token of any store"), &changes);

    CHECK(r, status < 0 || status == AKV_ABSENT);
    CHECK(r, changes == NULL);
    akvc_close(r, db);
}

static void changes_of_ranges(akvc_run *r)
{
    akv         *db       = akvc_filled(r, "a=1 b=2 c=3");
    bool         emulated = (akv_capabilities_emulated(db) & AKV_CAP_DELETE_RANGE) != 0;
    akv_changes *changes  = changes_follow(r, db, NULL);
    akv_change   c;

    OK(r, akv_delete_range(db, akv_str("a"), akv_str("c"), NULL));
    if (emulated) {
        changes_next(r, changes, AKV_CHANGE_DELETE, "a", "", false);
        changes_next(r, changes, AKV_CHANGE_DELETE, "b", "", true);
    } else {
        c = changes_next(r, changes, AKV_CHANGE_DELETE_RANGE, "a", "", true);
        CHECK(r, akvc_equal(c.upper, akv_str("c")));
        OK(r, akv_delete_range(db, akv_str("c"), akv_str(""), NULL));
        c = changes_next(r, changes, AKV_CHANGE_DELETE_RANGE, "c", "", true);
        CHECK(r, c.upper.len == 0);
    }
    changes_none(r, changes);
    akv_changes_close(changes);
    akvc_close(r, db);
}

static void changes_of_keyspaces(akvc_run *r)
{
    akv              *db      = akvc_new(r);
    akv_changes      *changes = changes_follow(r, db, NULL);
    akv_write_options opt     = AKV_WRITE_OPTIONS_INIT;
    akv_keyspace     *space;
    akv_change        c;

    OK(r, akv_keyspace_open(db, "x", AKV_KEYSPACE_CREATE, &space));
    opt.keyspace = space;
    OK(r, akv_put(db, akv_str("a"), akv_str("1"), &opt));
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), NULL));
    c = changes_next(r, changes, AKV_CHANGE_PUT, "a", "1", true);
    CHECK(r, c.keyspace && strcmp(c.keyspace, "x") == 0);
    c = changes_next(r, changes, AKV_CHANGE_PUT, "a", "2", true);
    CHECK(r, c.keyspace == NULL);
    akv_keyspace_close(space);
    OK(r, akv_keyspace_drop(db, "x"));
    c = changes_next(r, changes, AKV_CHANGE_DROP, "", "", true);
    CHECK(r, c.keyspace && strcmp(c.keyspace, "x") == 0);
    changes_none(r, changes);
    akv_changes_close(changes);
    akvc_close(r, db);
}

static void *changes_write_soon(void *user)
{
    akv_env *env = akv_env_posix();

    env->ops->sleep_ns(env, 30000000);
    akv_put(user, akv_str("a"), akv_str("1"), NULL);
    return NULL;
}

static void changes_wait(akvc_run *r)
{
    akv         *db      = akvc_new(r);
    akv_changes *changes = changes_follow(r, db, NULL);
    akv_env     *clock   = akv_env_posix();
    uint64_t     before  = clock->ops->monotonic_ns(clock), waited;
    akv_change   c;
    pthread_t    thread;

    WANT(r, AKV_END, akv_changes_next(changes, 40, &c));
    waited = clock->ops->monotonic_ns(clock) - before;
    CHECK(r, waited >= 35000000);
    CHECK(r, pthread_create(&thread, NULL, changes_write_soon, db) == 0);
    before = clock->ops->monotonic_ns(clock);
    OK(r, akv_changes_next(changes, 60000, &c));
    CHECK(r, akvc_equal(c.key, akv_str("a")) && akvc_equal(c.value, akv_str("1")));
    waited = clock->ops->monotonic_ns(clock) - before;
    pthread_join(thread, NULL);
    CHECK(r, waited < UINT64_C(30000000000)); /* woken, not timed out */
    akv_changes_close(changes);
    akvc_close(r, db);
}

#define CHANGES_CAPS (AKV_CAP_WRITE | AKV_CAP_CHANGES)

const akvc_case akvc_changes_cases[] = {
    {"changes: come in the order they were applied, from now on", CHANGES_CAPS, 0,
     changes_in_order},
    {"changes: tell value, expiry, tag and version as stored", CHANGES_CAPS, 0,
     changes_tell_values},
    {"changes: the last of an atomic write says so", CHANGES_CAPS | AKV_CAP_BATCH, 0,
     changes_of_batches},
    {"changes: go on from a token", CHANGES_CAPS, 0, changes_resume},
    {"changes: feeds do not disturb each other", CHANGES_CAPS, 0, changes_two_feeds},
    {"changes: a token too old is AKV_ABSENT", CHANGES_CAPS, 0, changes_too_old},
    {"changes: what is no token is refused", CHANGES_CAPS, 0, changes_foreign_token},
    {"changes: of a deleted range", CHANGES_CAPS | AKV_CAP_DELETE_RANGE, 0, changes_of_ranges},
    {"changes: name the key space, also one that was dropped", CHANGES_CAPS | AKV_CAP_KEYSPACES, 0,
     changes_of_keyspaces},
    {"changes: wait for one to come", CHANGES_CAPS, 0, changes_wait},
    {NULL, 0, 0, NULL},
};
