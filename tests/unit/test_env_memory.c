/* SPDX-License-Identifier: MIT
 *
 * The in-memory env: what every env promises (env_body.h, with its
 * pthread_create), and what this one adds.
 */
#include "tests/unit/env_body.h"

static akv_env *memory_test_env(void)
{
    akv_env *env;

    assert_ok(akv_env_memory_new(NULL, &env));
    return env;
}

static void test_memory_clock_is_the_systems_plus_an_offset(void **state)
{
    akv_env *env = memory_test_env(), *os = akv_env_posix();
    uint64_t ns = env->ops->monotonic_ns(env), ms = env->ops->unix_ms(env);

    (void)state;
    assert_true(ms <= os->ops->unix_ms(os) && ms + 60000 > os->ops->unix_ms(os));
    akv_env_memory_advance(env, 3600000);
    assert_true(env->ops->unix_ms(env) >= ms + 3600000);
    assert_true(env->ops->monotonic_ns(env) >= ns + UINT64_C(3600000000000));
    akv_env_memory_free(env);
    akv_env_memory_free(NULL);
}

static void test_memory_mapping_never_changes(void **state)
{
    akv_env    *env = memory_test_env();
    akv_file   *f;
    const void *old, *fresh;
    char        buf[16];
    size_t      got;

    (void)state;
    assert_ok(env->ops->open(env, "a", AKV_FILE_WRITE | AKV_FILE_CREATE, &f));
    assert_ok(f->ops->append(f, "0123456789", 10));
    assert_ok(akvi_file_map(f, 8, &old));
    assert_ok(f->ops->write_at(f, "XX", 2, 8)); /* past it */
    assert_ok(akvi_file_map(f, 10, &fresh));
    assert_ptr_equal(old, fresh);
    assert_ok(f->ops->truncate(f, 2));
    assert_ok(f->ops->write_at(f, "Y", 1, 4));
    assert_memory_equal(old, "01234567", 8);
    assert_memory_equal(fresh, "01234567XX", 10);
    assert_ok(f->ops->read_at(f, buf, sizeof buf, 0, &got));
    assert_int_equal(got, 5);
    assert_memory_equal(buf, "01\0\0Y", 5);
    f->ops->unmap(f, old, 8);
    assert_ok(f->ops->close(f)); /* and the other mapping with it */
    akv_env_memory_free(env);
}

static void test_memory_paths_begin_at_the_root(void **state)
{
    akv_env      *env = memory_test_env();
    akv_file_info info;

    (void)state;
    assert_ok(akvi_write_file(env, "/a", "1", 1));
    assert_ok(akvi_write_file(env, "b", "22", 2));
    assert_ok(env->ops->info(env, "../a", &info));
    assert_ok(env->ops->info(env, "./b", &info));
    assert_ok(env->ops->info(env, "/", &info));
    assert_int_equal(info.kind, AKV_KIND_FOLDER);
    assert_errno(ENOENT, env->ops->info(env, "", &info));
    assert_errno(EBUSY, env->ops->remove_folder(env, "."));
    assert_errno(EBUSY, env->ops->rename(env, "/", "c"));
    akv_env_memory_free(env);
}

/* Envs do not see each other's files or locks. */
static void test_memory_envs_are_apart(void **state)
{
    akv_env  *a = memory_test_env(), *b = memory_test_env();
    akv_file *fa, *fb;

    (void)state;
    assert_ok(a->ops->open(a, "x", AKV_FILE_WRITE | AKV_FILE_CREATE, &fa));
    assert_ok(b->ops->open(b, "x", AKV_FILE_WRITE | AKV_FILE_CREATE, &fb));
    assert_ok(fa->ops->lock(fa, true));
    assert_ok(fb->ops->lock(fb, true));
    assert_ok(fa->ops->close(fa));
    assert_ok(fb->ops->close(fb));
    akv_env_memory_free(a);
    akv_env_memory_free(b);
}

static akv_status memory_test_use(const akv_allocator *allocator)
{
    akv_env    *env;
    akv_file   *f = NULL;
    const void *data;
    int         n  = 0;
    akv_status  rc = akv_env_memory_new(allocator, &env);

    if (rc != AKV_OK)
        return rc;
    rc = env->ops->make_folder(env, "x");
    if (rc == AKV_OK)
        rc = env->ops->open(env, "x/a", AKV_FILE_WRITE | AKV_FILE_CREATE, &f);
    if (rc == AKV_OK)
        rc = f->ops->append(f, "text", 4);
    if (rc == AKV_OK)
        rc = f->ops->map(f, 4, &data);
    if (rc == AKV_OK)
        rc = f->ops->write_at(f, "T", 1, 0);
    if (rc == AKV_OK)
        rc = f->ops->allocate(f, 1000);
    if (rc == AKV_OK)
        rc = env->ops->link(env, "x/a", "b");
    if (rc == AKV_OK)
        rc = env->ops->rename(env, "x/a", "c");
    if (rc == AKV_OK)
        rc = env->ops->list(env, "/", body_stop_at_third, &n);
    akvi_file_drop(f);
    akv_env_memory_free(env);
    return rc;
}

static void test_memory_every_allocation_may_fail(void **state)
{
    akv_status rc = AKV_NOMEM;

    (void)state;
    for (uint64_t nth = 1; rc != AKV_OK; nth++) {
        assert_true(nth < 1000);
        akvi_call_begin();
        rc = memory_test_use(akvt_failing_allocator(nth));
        assert_true(rc == AKV_OK || rc == AKV_NOMEM);
        assert_int_equal(akvt_allocator_out(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_clock_is_the_systems_plus_an_offset),
        cmocka_unit_test(test_memory_mapping_never_changes),
        cmocka_unit_test(test_memory_paths_begin_at_the_root),
        cmocka_unit_test(test_memory_envs_are_apart),
        cmocka_unit_test(test_memory_every_allocation_may_fail),
    };
    akv_env *env;
    int      failed;

    if (akv_env_memory_new(NULL, &env) != AKV_OK)
        return 1;
    failed = body_run("env_memory", env, "", tests, AKVI_ARRAY_N(tests));
    akv_env_memory_free(env);
    return failed;
}
