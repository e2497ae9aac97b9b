/* SPDX-License-Identifier: MIT
 *
 * condition.c: cases of conditional writes and versions.
 */
#include "tests/conformance/suite.h"

static akv_write_options condition_if(akv_condition condition, const char *expected)
{
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;

    opt.condition = condition;
    opt.expected  = akv_str(expected);
    return opt;
}

static void condition_absent(akvc_run *r)
{
    akv              *db  = akvc_filled(r, "a=1 empty=");
    akv_write_options opt = condition_if(AKV_IF_ABSENT, "");

    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("2"), &opt));
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("empty"), akv_str("2"), &opt));
    OK(r, akv_put(db, akv_str("b"), akv_str("2"), &opt));
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("b"), akv_str("3"), &opt));
    WANT(r, AKV_CONFLICT, akv_delete(db, akv_str("a"), &opt));
    OK(r, akv_delete(db, akv_str("c"), &opt));
    OK(r, akv_delete(db, akv_str("a"), NULL));
    OK(r, akv_put(db, akv_str("a"), akv_str("new"), &opt));
    HOLDS(r, db, NULL, "a=new b=2 empty=");
    akvc_close(r, db);
}

static void condition_present(akvc_run *r)
{
    akv              *db  = akvc_filled(r, "a=1 empty=");
    akv_write_options opt = condition_if(AKV_IF_PRESENT, "");

    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("b"), akv_str("2"), &opt));
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), &opt));
    OK(r, akv_put(db, akv_str("empty"), akv_str("no more"), &opt));
    WANT(r, AKV_CONFLICT, akv_delete(db, akv_str("b"), &opt));
    OK(r, akv_delete(db, akv_str("a"), &opt));
    WANT(r, AKV_CONFLICT, akv_delete(db, akv_str("a"), &opt));
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("3"), &opt));
    HOLDS(r, db, NULL, "empty=no more");
    akvc_close(r, db);
}

static void condition_value(akvc_run *r)
{
    akv              *db   = akvc_filled(r, "a=1 empty=");
    akv_write_options one  = condition_if(AKV_IF_VALUE, "1");
    akv_write_options two  = condition_if(AKV_IF_VALUE, "2");
    akv_write_options none = condition_if(AKV_IF_VALUE, "");

    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("x"), &two));
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("x"), &none));
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("b"), akv_str("x"), &one));
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("b"), akv_str("x"), &none));
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), &one));
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("3"), &one));
    OK(r, akv_put(db, akv_str("empty"), akv_str("1"), &none));
    HOLDS(r, db, NULL, "a=2 empty=1");
    WANT(r, AKV_CONFLICT, akv_delete(db, akv_str("a"), &one));
    OK(r, akv_delete(db, akv_str("a"), &two));
    HOLDS(r, db, NULL, "empty=1");
    akvc_close(r, db);
}

static void condition_conflict_is_an_answer(akvc_run *r)
{
    akv              *db     = akvc_filled(r, "a=1");
    akv_write_options opt    = condition_if(AKV_IF_ABSENT, "");
    akv_write_result  result = {{{1}}, AKV_REACHED_DEVICE, 0, 99};
    akv_error         before;

    WANT(r, AKV_MISUSE, akv_put(NULL, akv_str("a"), akv_str("2"), NULL));
    before         = *akv_last_error();
    opt.result_out = &result;
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("2"), &opt));
    CHECK(r, strcmp(akv_last_error()->text, before.text) == 0);
    CHECK(r, result.conflict_index == 0);
    HOLDS(r, db, NULL, "a=1");
    akvc_close(r, db);
}

/* ----------------------------------------------------------------- versions */

static akv_version_tag condition_version(akvc_run *r, akv *db, const char *key)
{
    static const akv_version_tag none;
    akv_value                    value = AKV_VALUE_INIT;
    akv_version_tag              version;

    OK(r, akv_get(db, akv_str(key), NULL, &value));
    version = value.version;
    akv_value_release(&value);
    CHECK(r, memcmp(&version, &none, sizeof none) != 0);
    return version;
}

static bool condition_same(akv_version_tag a, akv_version_tag b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void version_changes(akvc_run *r)
{
    akv            *db = akvc_filled(r, "a=1 b=1");
    akv_version_tag seen[6];

    seen[0] = condition_version(r, db, "a");
    CHECK(r, condition_same(seen[0], condition_version(r, db, "a")));
    OK(r, akv_put(db, akv_str("b"), akv_str("2"), NULL));
    CHECK(r, condition_same(seen[0], condition_version(r, db, "a")));
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), NULL));
    seen[1] = condition_version(r, db, "a");
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), NULL)); /* the same value again */
    seen[2] = condition_version(r, db, "a");
    OK(r, akv_delete(db, akv_str("a"), NULL));
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), NULL)); /* and after a delete */
    seen[3] = condition_version(r, db, "a");
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < i; j++)
            CHECK(r, !condition_same(seen[i], seen[j]));
    akvc_close(r, db);
}

static void version_of_result(akvc_run *r)
{
    akv              *db     = akvc_new(r);
    akv_write_options opt    = AKV_WRITE_OPTIONS_INIT;
    akv_write_result  result = {{{0}}, AKV_REACHED_NOTHING, 0, 0};
    akv_slice         key    = akv_str("a");
    akv_value         value  = AKV_VALUE_INIT;
    akv_status        status;
    akv_iter         *iter;

    opt.result_out = &result;
    for (int i = 0; i < 3; i++) {
        OK(r, akv_put(db, key, akv_str("1"), &opt));
        CHECK(r, condition_same(result.version, condition_version(r, db, "a")));
    }
    OK(r, akv_get_many(db, 1, &key, NULL, &value, &status));
    CHECK(r, status == AKV_OK && condition_same(result.version, value.version));
    akv_value_release(&value);
    OK(r, akv_scan(db, NULL, &iter));
    OK(r, akv_iter_next(iter));
    CHECK(r, condition_same(result.version, akv_iter_item(iter)->version));
    akv_iter_free(iter);
    akvc_close(r, db);
}

static void version_condition(akvc_run *r)
{
    akv              *db  = akvc_filled(r, "a=1 b=1");
    akv_write_options opt = condition_if(AKV_IF_VERSION, "");

    opt.version = condition_version(r, db, "a");
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("x"), akv_str("9"), &opt));
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), &opt));
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("3"), &opt));
    WANT(r, AKV_CONFLICT, akv_delete(db, akv_str("a"), &opt));
    opt.version = condition_version(r, db, "a");
    OK(r, akv_delete(db, akv_str("a"), &opt));
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("4"), &opt));
    OK(r, akv_put(db, akv_str("a"), akv_str("2"), NULL));
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("a"), akv_str("4"), &opt));
    memset(&opt.version, 0, sizeof opt.version);
    WANT(r, AKV_CONFLICT, akv_put(db, akv_str("b"), akv_str("4"), &opt));
    HOLDS(r, db, NULL, "a=2 b=1");
    akvc_close(r, db);
}

#define CONDITION_CAPS (AKV_CAP_WRITE | AKV_CAP_CONDITION)

const akvc_case akvc_condition_cases[] = {
    {"condition: IF_ABSENT", CONDITION_CAPS, 0, condition_absent},
    {"condition: IF_PRESENT", CONDITION_CAPS, 0, condition_present},
    {"condition: IF_VALUE compares all bytes", CONDITION_CAPS, 0, condition_value},
    {"condition: AKV_CONFLICT is an answer and writes nothing", CONDITION_CAPS, 0,
     condition_conflict_is_an_answer},
    {"version: every write of a key gives it a new one", AKV_CAP_WRITE | AKV_CAP_VERSION, 0,
     version_changes},
    {"version: the result's is the one that reads tell", AKV_CAP_WRITE | AKV_CAP_VERSION, 0,
     version_of_result},
    {"version: IF_VERSION holds until the next write", CONDITION_CAPS | AKV_CAP_VERSION, 0,
     version_condition},
    {NULL, 0, 0, NULL},
};
