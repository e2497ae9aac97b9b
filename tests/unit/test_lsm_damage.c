/* SPDX-License-Identifier: MIT
 *
 * A flipped bit anywhere in a closed lsm store is an error that names a file, or
 * changes nothing that is read: never another value.
 */
#include "tests/testing.h"

#include <anykv/lsm.h>
#include <stdio.h>
#include <string.h>

#define DAMAGE_KEYS  60u
#define DAMAGE_FILES 16u
#define DAMAGE_FILE  (128u << 10) /* of a log what has records is far less */

typedef struct damage_store {
    akv_env *env;
    char     names[DAMAGE_FILES][48];
    size_t   n;
    unsigned opened, refused;
} damage_store;

static akv_slice damage_key(unsigned i, char buf[16])
{
    return akv_bytes(buf, (size_t)snprintf(buf, 16, "key%03u", i));
}

static akv_slice damage_value(unsigned i, char buf[128])
{
    int n = snprintf(buf, 128, "%u:", i);

    memset(buf + n, 'a' + (int)(i % 26), 60);
    return akv_bytes(buf, (size_t)n + 60);
}

static int damage_each(void *user, const char *name)
{
    damage_store *s = user;

    if (strcmp(name, "LOCK") != 0 && s->n < DAMAGE_FILES)
        snprintf(s->names[s->n++], sizeof s->names[0], "/s/%.40s", name);
    return 0;
}

/* A table merged, one of level 0, and a log that was never flushed. */
static void damage_make(damage_store *s)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    char             key[16], value[128];
    akv             *db;

    memset(s, 0, sizeof *s);
    assert_ok(akv_env_memory_new(NULL, &s->env));
    opt.env   = s->env;
    opt.flags = AKV_OPEN_CREATE;
    opt.text  = "threads=0,write_buffer=64KiB,block_size=512,compression=none";
    assert_ok(akv_open("lsm", "/s", &opt, &db));
    for (unsigned i = 0; i < DAMAGE_KEYS; i++) {
        assert_ok(akv_put(db, damage_key(i, key), damage_value(i, value), NULL));
        if (i == DAMAGE_KEYS / 2)
            assert_ok(akv_compact(db, NULL));
    }
    assert_ok(akv_delete(db, akv_str("zzz"), NULL));
    assert_ok(akv_close(db));
    assert_ok(s->env->ops->list(s->env, "/s", damage_each, s));
}

static void damage_flip(damage_store *s, const char *name, uint64_t off, uint8_t bits)
{
    akv_file *f;
    uint8_t   byte;
    size_t    got;

    assert_ok(s->env->ops->open(s->env, name, AKV_FILE_WRITE, &f));
    assert_ok(f->ops->read_at(f, &byte, 1, off, &got));
    byte ^= bits;
    assert_ok(f->ops->write_at(f, &byte, 1, off));
    assert_ok(f->ops->close(f));
}

/* One read: right, or an error that names a file. */
static bool damage_get(akv *db, unsigned i, const char *name, uint64_t off)
{
    char       key[16], want[128];
    akv_slice  value = damage_value(i, want);
    akv_value  got   = AKV_VALUE_INIT;
    akv_status st    = akv_get(db, damage_key(i, key), NULL, &got);

    if (st == AKV_OK && (got.len != value.len || memcmp(got.data, value.data, got.len) != 0))
        fail_msg("%s at %llu: key %u has another value", name, (unsigned long long)off, i);
    if (st >= 0 && st != AKV_OK)
        fail_msg("%s at %llu: key %u is not found", name, (unsigned long long)off, i);
    if (st < 0 && (st != AKV_CORRUPT || akv_last_error()->file[0] == '\0'))
        fail_msg("%s at %llu: key %u answers %s: %s", name, (unsigned long long)off, i,
                 akv_status_name(st), akv_last_error()->text);
    akv_value_release(&got);
    return st == AKV_OK;
}

static void damage_look(damage_store *s, const char *name, uint64_t off)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db;
    unsigned         right = 0;
    akv_status       st;

    opt.env   = s->env;
    opt.flags = AKV_OPEN_READ_ONLY;
    opt.text  = "threads=0";
    st        = akv_open("lsm", "/s", &opt, &db);
    if (st != AKV_OK) {
        s->refused++;
        return;
    }
    s->opened++;
    for (unsigned i = 0; i < DAMAGE_KEYS; i++)
        right += damage_get(db, i, name, off);
    if (right == 0)
        fail_msg("%s at %llu: nothing can be read any more", name, (unsigned long long)off);
    assert_ok(akv_close(db));
}

static void test_a_flipped_bit_is_an_error_or_changes_nothing(void **state)
{
    damage_store s;
    akvt_random  r = akvt_random_new(1);

    (void)state;
    damage_make(&s);
    assert_true(s.n >= 4);
    for (size_t i = 0; i < s.n; i++) {
        akv_file_info info;
        uint64_t      size, step;

        assert_ok(s.env->ops->info(s.env, s.names[i], &info));
        size = info.size < DAMAGE_FILE ? info.size : DAMAGE_FILE;
        step = strstr(s.names[i], ".sst") ? 3 : 1 + size / 600;
        for (uint64_t off = 0; off < size; off += 1 + akvt_next(&r) % step) {
            uint8_t bits = (uint8_t)(1u << akvt_next(&r) % 8);

            damage_flip(&s, s.names[i], off, bits);
            damage_look(&s, s.names[i], off);
            damage_flip(&s, s.names[i], off, bits);
        }
    }
    assert_true(s.opened > 0 && s.refused > 0);
    damage_look(&s, "whole", 0);
    akv_env_memory_free(s.env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_flipped_bit_is_an_error_or_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
