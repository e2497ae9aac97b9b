/* SPDX-License-Identifier: MIT
 *
 * test_fused_reload.c: what a reloader promises: which files are another one,
 * that what can't be read leaves the old one serving, how long pins last, the
 * watch, and all of it from many threads.
 */
#include "tests/testing.h"

#include "common/base/clock.h"
#include "common/env/fault.h"
#include "common/env/file.h"

#include <anykv/fused.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS 40u
#define HOUR 3600000u

/* Keys 0..KEYS-1, each to `text`. */
static void make(akv_env *env, const char *path, const char *text)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w;
    uint32_t                 id;

    opt.env = env;
    assert_ok(akv_fused_writer_new(&opt, &w));
    assert_ok(akv_fused_add_object(w, akv_str(text), &id));
    for (uint8_t i = 0; i < KEYS; i++)
        assert_ok(akv_fused_add_key(w, akv_bytes(&i, 1), id));
    assert_ok(akv_fused_build(w, path, NULL));
    akv_fused_writer_free(w);
}

static akv_fused_reloader *open_in(akv_env *env, const char *path)
{
    akv_fused_options   opt = AKV_FUSED_OPTIONS_INIT;
    akv_fused_reloader *r;

    opt.env = env;
    assert_ok(akv_fused_reloader_open(path, &opt, &r));
    return r;
}

static void serves(akv_fused_reloader *r, const char *text)
{
    akv_fused_pin pin;
    akv_slice     object;

    assert_ok(akv_fused_reloader_get(r, akv_bytes("\7", 1), &object, &pin));
    assert_slice(object, text);
    akv_fused_pin_release(&pin);
    assert_null(pin.fused);
}

static void reloads(akv_fused_reloader *r, bool want)
{
    bool changed = !want;

    assert_ok(akv_fused_reloader_reload(r, false, &changed));
    assert_int_equal(changed, want);
}

static const char *fresh_path(void)
{
    static unsigned n;
    char            name[32];

    snprintf(name, sizeof name, "%u.fsdb", n++);
    return akvt_path(akvt_folder(), name);
}

/* ------------------------------------------------------------ another file? */

static void test_reload_swaps_when_the_file_was_replaced(void **state)
{
    const char         *path = fresh_path();
    akv_fused_reloader *r;

    (void)state;
    make(NULL, path, "one");
    r = open_in(NULL, path);
    reloads(r, false);
    assert_int_equal(akv_fused_reloader_generation(r), 1);
    make(NULL, path, "two");
    serves(r, "one");
    reloads(r, true);
    serves(r, "two");
    assert_int_equal(akv_fused_reloader_generation(r), 2);
    reloads(r, false);
    assert_ok(akv_fused_reloader_close(r));
}

static void set_time(const char *path, const struct timespec *mtime)
{
    struct timespec times[2] = {*mtime, *mtime};

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_reload_notices_same_time_and_same_length(void **state)
{
    const struct timespec then = {1000000000, 5};
    const char           *path = fresh_path();
    akv_fused_reloader   *r;

    (void)state;
    make(NULL, path, "one");
    set_time(path, &then);
    r = open_in(NULL, path);
    make(NULL, path, "two"); /* another inode is all that differs */
    set_time(path, &then);
    reloads(r, true);
    serves(r, "two");
    assert_ok(akv_fused_reloader_close(r));
}

static void test_reload_notices_an_older_time_and_another_length(void **state)
{
    const struct timespec now = {1000000000, 5}, before = {1000000000, 4};
    const char           *path = fresh_path();
    akv_fused_options     opt  = AKV_FUSED_OPTIONS_INIT;
    akv_fused_reloader   *r;
    FILE                 *f;

    (void)state;
    opt.mode           = AKV_FUSED_READ;
    opt.verify_on_open = false; /* the byte added below is under the CRC */
    make(NULL, path, "one");
    set_time(path, &now);
    assert_ok(akv_fused_reloader_open(path, &opt, &r));
    set_time(path, &before);
    reloads(r, true);
    f = fopen(path, "ab");
    assert_non_null(f);
    assert_int_equal(fputc(0, f), 0);
    assert_int_equal(fclose(f), 0);
    set_time(path, &before);
    reloads(r, true);
    reloads(r, false);
    assert_ok(akv_fused_reloader_close(r));
}

static void test_reload_by_force_swaps_in_any_case(void **state)
{
    const char         *path = fresh_path();
    akv_fused_reloader *r;
    bool                changed;

    (void)state;
    make(NULL, path, "one");
    r = open_in(NULL, path);
    assert_ok(akv_fused_reloader_reload(r, true, &changed));
    assert_true(changed);
    assert_ok(akv_fused_reloader_reload(r, true, NULL));
    assert_int_equal(akv_fused_reloader_generation(r), 3);
    serves(r, "one");
    assert_ok(akv_fused_reloader_close(r));
}

/* An env that replaces the file just before or after it is opened. */
typedef struct racing_env {
    akv_env     base;
    akv_env_ops ops;
    akv_env    *inner;
    const char *before, *after; /* what the file becomes; NULL: nothing */
} racing_env;

static void racing_replace(racing_env *env, const char *path, const char **text)
{
    const char *now = *text;

    *text = NULL;
    if (now)
        make(env->inner, path, now);
}

static akv_status racing_open(akv_env *base, const char *path, uint32_t flags, akv_file **file_out)
{
    racing_env *env = (racing_env *)base;
    akv_status  st;

    racing_replace(env, path, &env->before);
    akvi_call_begin();
    st = env->inner->ops->open(env->inner, path, flags, file_out);
    racing_replace(env, path, &env->after);
    return st;
}

static akv_status racing_info(akv_env *base, const char *path, akv_file_info *info_out)
{
    akv_env *inner = ((racing_env *)base)->inner;

    return inner->ops->info(inner, path, info_out);
}

static uint64_t racing_clock(akv_env *base)
{
    (void)base;
    return 1;
}

static void test_reload_notices_a_replacement_while_opening(void **state)
{
    racing_env          env = {0};
    akv_fused_reloader *r;

    (void)state;
    env.ops      = (akv_env_ops){.abi          = AKV_ENV_ABI,
                                 .size         = sizeof env.ops,
                                 .open         = racing_open,
                                 .info         = racing_info,
                                 .monotonic_ns = racing_clock};
    env.base.ops = &env.ops;
    assert_ok(akv_env_memory_new(NULL, &env.inner));
    make(env.inner, "f", "one");
    env.after = "two"; /* the file opened is "one", and no longer there */
    r         = open_in(&env.base, "f");
    serves(r, "one");
    reloads(r, true);
    serves(r, "two");
    make(env.inner, "f", "three");
    env.before = "four"; /* the one looked at is not the one opened */
    env.after  = "five";
    reloads(r, true);
    serves(r, "four");
    reloads(r, true);
    serves(r, "five");
    reloads(r, false);
    assert_ok(akv_fused_reloader_close(r));
    akv_env_memory_free(env.inner);
}

/* ------------------------------------------------------- the old one serves */

static void spoil(akv_env *env, const char *path)
{
    assert_ok(akvi_write_file(env, path, "FSDB\2 but then something else, and more of it", 45));
}

static void test_reload_of_a_missing_file_keeps_the_old(void **state)
{
    akv_fused_reloader *r;
    akv_env            *env;
    bool                changed = true;

    (void)state;
    assert_ok(akv_env_memory_new(NULL, &env));
    assert_status(
        AKV_IO,
        akv_fused_reloader_open(
            "f", &(akv_fused_options){.head = {sizeof(akv_fused_options), "fused"}, .env = env},
            &r));
    assert_null(r);
    make(env, "f", "one");
    r = open_in(env, "f");
    assert_ok(env->ops->remove(env, "f"));
    assert_status(AKV_ABSENT, akv_fused_reloader_reload(r, false, &changed));
    assert_false(changed);
    assert_status(AKV_ABSENT, akv_fused_reloader_reload(r, true, NULL));
    serves(r, "one");
    make(env, "f", "two");
    reloads(r, true);
    serves(r, "two");
    assert_ok(akv_fused_reloader_close(r));
    akv_env_memory_free(env);
}

/* A new file with a byte of its objects flipped, or cut. */
static void test_reload_checks_the_whole_file_unless_told_never_to(void **state)
{
    akv_env   *env;
    akv_buffer b = AKV_BUFFER_INIT;

    (void)state;
    assert_ok(akv_env_memory_new(NULL, &env));
    for (uint32_t check = 0; check <= AKV_FUSED_CHECK_AUTO; check++) {
        akv_fused_options   opt     = AKV_FUSED_OPTIONS_INIT;
        bool                changed = true, never = check == AKV_FUSED_CHECK_NEVER;
        akv_fused_reloader *r;

        make(env, "f", "one");
        opt.env            = env;
        opt.verify_on_open = check;
        assert_ok(akv_fused_reloader_open("f", &opt, &r));
        make(env, "f", "two");
        assert_ok(akvi_read_file(env, "f", 1 << 20, &b));
        assert_ok(akvi_write_file(env, "f", b.data, never ? 39 : b.len - 1));
        assert_status(AKV_CORRUPT, akv_fused_reloader_reload(r, false, &changed));
        assert_false(changed);
        serves(r, "one");
        ((uint8_t *)b.data)[48] ^= 1; /* the object's first */
        assert_ok(akvi_write_file(env, "f", b.data, b.len));
        assert_status(never ? AKV_OK : AKV_CORRUPT, akv_fused_reloader_reload(r, false, &changed));
        assert_int_equal(changed, never);
        serves(r, never ? "uwo" : "one");
        assert_ok(akv_fused_reloader_close(r));
    }
    akv_buffer_free(&b);
    akv_env_memory_free(env);
}

static void test_reload_of_a_corrupt_file_keeps_the_old_until_repaired(void **state)
{
    akv_fused_reloader *r;
    akv_env            *env;
    bool                changed = true;

    (void)state;
    assert_ok(akv_env_memory_new(NULL, &env));
    make(env, "f", "one");
    r = open_in(env, "f");
    spoil(env, "f");
    for (int i = 0; i < 3; i++) { /* it is tried again */
        assert_status(AKV_CORRUPT, akv_fused_reloader_reload(r, i == 2, &changed));
        assert_false(changed);
        assert_int_equal(akv_last_error()->offset, 32);
        assert_string_equal(akv_last_error()->file, "f");
        serves(r, "one");
    }
    assert_int_equal(akv_fused_reloader_generation(r), 1);
    make(env, "f", "two");
    reloads(r, true);
    serves(r, "two");
    assert_ok(akv_fused_reloader_close(r));
    akv_env_memory_free(env);
}

static void test_reload_survives_every_fault(void **state)
{
    akvi_fault_plan     plan = {AKVI_FAULT_ALL, 0, 1, EIO, AKVI_FAULT_FAIL};
    akv_fused_reloader *r;
    akv_env            *base, *env;
    akv_status          st;

    (void)state;
    assert_ok(akv_env_memory_new(NULL, &base));
    assert_ok(akvi_fault_new(base, NULL, &env));
    make(env, "f", "one");
    r = open_in(env, "f");
    make(env, "f", "two");
    do {
        plan.nth++;
        akvi_fault_plan_set(env, &plan);
        st = akv_fused_reloader_reload(r, false, NULL);
        if (st != AKV_OK) {
            assert_int_equal(st, AKV_IO);
            serves(r, "one");
        }
    } while (st != AKV_OK);
    assert_true(plan.nth > 2);
    serves(r, "two");
    assert_ok(akv_fused_reloader_close(r));
    akvi_fault_free(env);
    akv_env_memory_free(base);
}

static void test_reload_survives_running_out_of_memory(void **state)
{
    akv_fused_options   opt = AKV_FUSED_OPTIONS_INIT;
    akv_fused_reloader *r;
    akv_status          st;
    uint64_t            nth = 0;

    (void)state;
    opt.allocator = akvt_failing_allocator(0);
    assert_ok(akv_env_memory_new(NULL, &opt.env));
    make(opt.env, "f", "one");
    do {
        akvt_failing_allocator(++nth);
        st = akv_fused_reloader_open("f", &opt, &r);
        assert_true(st == AKV_OK || (st == AKV_NOMEM && akvt_allocator_out() == 0));
    } while (st != AKV_OK);
    nth = 0;
    do {
        akvt_failing_allocator(++nth);
        st = akv_fused_reloader_reload(r, true, NULL);
        assert_true(st == AKV_OK || st == AKV_NOMEM);
        assert_int_equal(akvt_allocator_out(), 0); /* since before the call */
        serves(r, "one");
    } while (st != AKV_OK);
    assert_true(nth > 2);
    assert_ok(akv_fused_reloader_close(r));
    akv_env_memory_free(opt.env);
}

/* --------------------------------------------------------------------- pins */

static void test_pin_keeps_its_file_and_the_last_one_closes_it(void **state)
{
    akv_fused_options   opt = AKV_FUSED_OPTIONS_INIT;
    akv_fused_reloader *r;
    akv_fused_pin       a, b, c = AKV_FUSED_PIN_INIT;
    akv_slice           object;
    int64_t             one_open, two_open;

    (void)state;
    opt.allocator = akvt_failing_allocator(0);
    assert_ok(akv_env_memory_new(NULL, &opt.env));
    make(opt.env, "f", "one");
    assert_ok(akv_fused_reloader_open("f", &opt, &r));
    one_open = akvt_allocator_out();
    assert_ok(akv_fused_reloader_pin(r, &a));
    assert_ok(akv_fused_reloader_get(r, akv_bytes("\1", 1), &object, &b));
    akv_fused_pin_release(&c);
    akv_fused_pin_release(NULL);
    make(opt.env, "f", "two");
    reloads(r, true);
    two_open = akvt_allocator_out();
    assert_true(two_open > one_open);
    assert_int_equal(a.generation, 1);
    assert_int_equal(akv_fused_count(a.fused), KEYS);
    akv_fused_pin_release(&a);
    assert_int_equal(akvt_allocator_out(), two_open);
    assert_slice(object, "one");
    assert_ok(akv_fused_reloader_pin(r, &c));
    assert_int_equal(c.generation, 2);
    akv_fused_pin_release(&b);
    assert_int_equal(akvt_allocator_out(), one_open);
    akv_fused_pin_release(&b);
    akv_fused_pin_release(&c);
    assert_ok(akv_fused_reloader_reload(r, true, NULL)); /* nobody had it pinned */
    assert_int_equal(akvt_allocator_out(), one_open);
    assert_ok(akv_fused_reloader_close(r));
    assert_int_equal(akvt_allocator_out(), 0);
    akv_env_memory_free(opt.env);
}

static void test_get_leaves_no_pin_unless_it_found_the_key(void **state)
{
    const char         *path = fresh_path();
    akv_fused_reloader *r;
    akv_fused_pin       pin;
    akv_slice           object;

    (void)state;
    make(NULL, path, "one");
    r = open_in(NULL, path);
    assert_status(AKV_ABSENT, akv_fused_reloader_get(r, akv_str("no"), &object, &pin));
    assert_null(pin.pinned);
    assert_status(AKV_MISUSE, akv_fused_reloader_get(r, akv_bytes(NULL, 1), &object, &pin));
    assert_null(pin.pinned);
    assert_status(AKV_MISUSE, akv_fused_reloader_get(NULL, akv_str("no"), &object, &pin));
    assert_status(AKV_MISUSE, akv_fused_reloader_pin(r, NULL));
    assert_status(AKV_MISUSE, akv_fused_reloader_reload(NULL, false, NULL));
    assert_ok(akv_fused_reloader_close(r));
    assert_ok(akv_fused_reloader_close(NULL));
}

static void test_close_with_pins_or_watches_is_busy(void **state)
{
    const char         *path = fresh_path();
    akv_fused_reloader *r;
    akv_fused_watch    *w;
    akv_fused_pin       pin;

    (void)state;
    make(NULL, path, "one");
    r = open_in(NULL, path);
    assert_ok(akv_fused_reloader_pin(r, &pin));
    assert_status(AKV_BUSY, akv_fused_reloader_close(r));
    assert_error_has("1 pins");
    assert_ok(akv_fused_reloader_reload(r, true, NULL));
    assert_status(AKV_BUSY, akv_fused_reloader_close(r));
    assert_error_has("1 pinned files");
    akv_fused_pin_release(&pin);
    assert_ok(akv_fused_watch_start(r, NULL, &w));
    assert_status(AKV_BUSY, akv_fused_reloader_close(r));
    assert_error_has("1 watches");
    serves(r, "one");
    assert_ok(akv_fused_watch_stop(w));
    assert_ok(akv_fused_reloader_close(r));
}

static void test_reload_is_busy_when_too_many_files_are_pinned(void **state)
{
    akv_fused_pin       pins[256];
    akv_fused_reloader *r;
    akv_env            *env;
    unsigned            n = 0;

    (void)state;
    assert_ok(akv_env_memory_new(NULL, &env));
    make(env, "f", "one");
    r = open_in(env, "f");
    for (; n < 255; n++) {
        assert_ok(akv_fused_reloader_pin(r, &pins[n]));
        assert_ok(akv_fused_reloader_reload(r, true, NULL));
    }
    assert_status(AKV_BUSY, akv_fused_reloader_reload(r, true, NULL));
    serves(r, "one");
    akv_fused_pin_release(&pins[100]);
    assert_ok(akv_fused_reloader_reload(r, true, NULL));
    for (unsigned i = 0; i < n; i++)
        akv_fused_pin_release(&pins[i]);
    assert_ok(akv_fused_reloader_close(r));
    akv_env_memory_free(env);
}

/* -------------------------------------------------------------------- watch */

typedef struct watched {
    _Atomic unsigned           reloads, errors;
    _Atomic akv_status         error, stopped;
    _Atomic(akv_fused_watch *) watch;
} watched;

static void on_reload(void *user, akv_fused_reloader *reloader)
{
    watched         *seen  = user;
    akv_fused_watch *watch = atomic_load(&seen->watch);
    akv_fused_pin    pin;

    if (watch)
        atomic_store(&seen->stopped, akv_fused_watch_stop(watch));
    assert_int_equal(akv_fused_reloader_pin(reloader, &pin), AKV_OK);
    akv_fused_pin_release(&pin);
    atomic_fetch_add(&seen->reloads, 1);
}

static void on_error(void *user, const akv_error *error)
{
    watched *seen = user;

    atomic_store(&seen->error, error->code);
    atomic_fetch_add(&seen->errors, 1);
}

static akv_fused_watch *watch_every(akv_fused_reloader *r, uint32_t ms, watched *seen)
{
    akv_fused_watch_options opt = AKV_FUSED_WATCH_OPTIONS_INIT;
    akv_fused_watch        *w;

    opt.interval_ms = ms;
    opt.on_reload   = on_reload;
    opt.on_error    = on_error;
    opt.user        = seen;
    assert_ok(akv_fused_watch_start(r, &opt, &w));
    return w;
}

/* Wait until a counter has reached n, for 20 s at most. */
static void reaches(const _Atomic unsigned *count, unsigned n)
{
    for (int i = 0; i < 20000 && atomic_load(count) < n; i++)
        usleep(1000);
    assert_true(atomic_load(count) >= n);
}

static void test_watch_polls_reports_and_recovers(void **state)
{
    watched             seen = {0};
    akv_fused_reloader *r;
    akv_fused_watch    *w;
    akv_env            *env;

    (void)state;
    assert_ok(akv_env_memory_new(NULL, &env));
    make(env, "f", "one");
    r = open_in(env, "f");
    w = watch_every(r, 2, &seen);
    make(env, "f", "two");
    reaches(&seen.reloads, 1);
    serves(r, "two");
    assert_ok(env->ops->remove(env, "f")); /* it is waited for */
    usleep(10000);
    assert_int_equal(atomic_load(&seen.errors), 0);
    spoil(env, "f");
    reaches(&seen.errors, 2);
    assert_int_equal(atomic_load(&seen.error), AKV_CORRUPT);
    serves(r, "two");
    make(env, "f", "three");
    reaches(&seen.reloads, 2);
    serves(r, "three");
    assert_ok(akv_fused_watch_stop(w));
    make(env, "f", "four");
    usleep(10000);
    serves(r, "three");
    assert_int_equal(atomic_load(&seen.reloads), 2);
    assert_ok(akv_fused_reloader_close(r));
    akv_env_memory_free(env);
}

static void test_watch_polls_where_events_are_not_to_be_had(void **state)
{
    const char         *path = fresh_path();
    watched             seen = {0};
    akv_fused_reloader *r;
    akv_fused_watch    *w;
    akv_env            *env;

    (void)state;
    assert_ok(akvi_fault_new(akv_env_posix(), NULL, &env));
    make(NULL, path, "one");
    r = open_in(env, path);
    w = watch_every(r, 2, &seen);
    make(NULL, path, "two");
    reaches(&seen.reloads, 1);
    serves(r, "two");
    assert_ok(akv_fused_watch_stop(w));
    assert_ok(akv_fused_reloader_close(r));
    akvi_fault_free(env);
}

static void test_watch_begins_by_looking(void **state)
{
    const char         *path = fresh_path();
    watched             seen = {0};
    akv_fused_reloader *r;
    akv_fused_watch    *w;

    (void)state;
    make(NULL, path, "one");
    r = open_in(NULL, path);
    make(NULL, path, "two");
    w = watch_every(r, HOUR, &seen);
    reaches(&seen.reloads, 1);
    assert_ok(akv_fused_watch_stop(w));
    assert_ok(akv_fused_reloader_close(r));
}

static void test_watch_stop_is_prompt_and_not_its_callbacks_to_do(void **state)
{
    const char         *path = fresh_path();
    watched             seen = {0};
    akv_fused_reloader *r;
    akv_fused_watch    *w;
    uint64_t            begin;

    (void)state;
    make(NULL, path, "one");
    r = open_in(NULL, path);
    w = watch_every(r, 2, &seen);
    atomic_store(&seen.watch, w);
    make(NULL, path, "two");
    reaches(&seen.reloads, 1);
    assert_int_equal(atomic_load(&seen.stopped), AKV_MISUSE);
    assert_ok(akv_fused_watch_stop(w));
    w     = watch_every(r, HOUR, &seen);
    begin = akvi_monotonic_ns();
    assert_ok(akv_fused_watch_stop(w));
    assert_true(akvi_monotonic_ns() - begin < UINT64_C(10000000000));
    assert_ok(akv_fused_watch_stop(NULL));
    assert_ok(akv_fused_reloader_close(r));
}

static void test_watch_refuses_misuse(void **state)
{
    akv_fused_watch_options opt  = AKV_FUSED_WATCH_OPTIONS_INIT;
    const char             *path = fresh_path();
    akv_fused_reloader     *r;
    akv_fused_watch        *w;

    (void)state;
    make(NULL, path, "one");
    r               = open_in(NULL, path);
    opt.interval_ms = 0;
    assert_status(AKV_MISUSE, akv_fused_watch_start(r, &opt, &w));
    assert_null(w);
    assert_status(AKV_MISUSE, akv_fused_watch_start(NULL, NULL, &w));
    assert_status(AKV_MISUSE, akv_fused_watch_start(r, NULL, NULL));
    assert_ok(akv_fused_reloader_close(r));
}

#ifdef __linux__
static void test_watch_is_told_of_changes_without_polling(void **state)
{
    const char         *folder = akvt_path(akvt_folder(), "live");
    const char         *link   = akvt_path(folder, "current.fsdb");
    const char         *next   = akvt_path(folder, "next");
    const char         *first  = akvt_path(folder, "1.fsdb");
    const char         *second = akvt_path(folder, "2.fsdb");
    watched             seen   = {0};
    akv_fused_reloader *r;
    akv_fused_watch    *w;

    (void)state;
    assert_int_equal(mkdir(folder, 0700), 0);
    make(NULL, first, "one");
    make(NULL, second, "three");
    assert_int_equal(symlink("1.fsdb", link), 0);
    r = open_in(NULL, link);
    w = watch_every(r, HOUR, &seen);
    make(NULL, link, "two"); /* replaces 1.fsdb */
    reaches(&seen.reloads, 1);
    serves(r, "two");
    assert_int_equal(symlink("2.fsdb", next), 0);
    assert_int_equal(rename(next, link), 0);
    reaches(&seen.reloads, 2);
    serves(r, "three");
    akvt_write_file(second, "FSDB", 4); /* in place, which a mapping shows */
    reaches(&seen.errors, 1);
    assert_int_equal(atomic_load(&seen.error), AKV_CORRUPT);
    make(NULL, second, "four");
    reaches(&seen.reloads, 3);
    serves(r, "four");
    assert_ok(akv_fused_watch_stop(w));
    assert_ok(akv_fused_reloader_close(r));
}

/* The folder itself is swapped for another, as deployments do. */
static void test_watch_follows_its_folder(void **state)
{
    const char         *now  = akvt_path(akvt_folder(), "now");
    const char         *old  = akvt_path(akvt_folder(), "old");
    const char         *path = akvt_path(now, "f.fsdb");
    watched             seen = {0};
    akv_fused_reloader *r;
    akv_fused_watch    *w;

    (void)state;
    assert_int_equal(mkdir(now, 0700), 0);
    make(NULL, path, "one");
    r = open_in(NULL, path);
    w = watch_every(r, 20, &seen);
    assert_int_equal(rename(now, old), 0);
    assert_int_equal(mkdir(now, 0700), 0);
    make(NULL, path, "two");
    reaches(&seen.reloads, 1);
    serves(r, "two");
    assert_ok(akv_fused_watch_stop(w));
    assert_ok(akv_fused_reloader_close(r));
}
#endif

/* ------------------------------------------------------------------ threads */

typedef struct crowd {
    akv_fused_reloader *r;
    _Atomic bool        stop;
    _Atomic unsigned    reads, faults;
} crowd;

/* All that one pin shows is of one file, and files are never older than before. */
static void crowd_look(crowd *c, uint64_t *least)
{
    akv_fused_pin pin;
    akv_slice     object, first;

    if (akv_fused_reloader_get(c->r, akv_bytes("", 1), &first, &pin) != AKV_OK) {
        atomic_fetch_add(&c->faults, 1);
        return;
    }
    if (pin.generation < *least)
        atomic_fetch_add(&c->faults, 1);
    *least = pin.generation;
    for (uint8_t i = 1; i < KEYS; i++) {
        if (akv_fused_get(pin.fused, akv_bytes(&i, 1), &object) != AKV_OK ||
            object.len != first.len || memcmp(object.data, first.data, first.len) != 0)
            atomic_fetch_add(&c->faults, 1);
    }
    akv_fused_pin_release(&pin);
    atomic_fetch_add(&c->reads, 1);
}

static void *crowd_reader(void *user)
{
    crowd   *c     = user;
    uint64_t least = 1;

    while (!atomic_load(&c->stop))
        crowd_look(c, &least);
    return NULL;
}

static void crowd_run(akv_env *env, const char *path, unsigned threads, unsigned swaps)
{
    watched          seen = {0};
    crowd            c    = {0};
    pthread_t        tids[80];
    akv_fused_watch *w;
    char             text[32];

    make(env, path, "0");
    c.r = open_in(env, path);
    w   = watch_every(c.r, 1, &seen);
    for (unsigned i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&tids[i], NULL, crowd_reader, &c), 0);
    for (unsigned i = 1; i <= swaps; i++) {
        snprintf(text, sizeof text, "%u", i);
        make(env, path, text);
        assert_ok(akv_fused_reloader_reload(c.r, i % 3 == 0, NULL));
        serves(c.r, text);
    }
    reaches(&c.reads, threads);
    atomic_store(&c.stop, true);
    for (unsigned i = 0; i < threads; i++)
        assert_int_equal(pthread_join(tids[i], NULL), 0);
    assert_ok(akv_fused_watch_stop(w));
    assert_int_equal(atomic_load(&c.faults), 0);
    assert_int_equal(atomic_load(&seen.errors), 0);
    assert_true(akv_fused_reloader_generation(c.r) > swaps);
    assert_ok(akv_fused_reloader_close(c.r));
}

static void test_readers_watch_and_swaps_together(void **state)
{
    (void)state;
    crowd_run(akv_env_posix(), fresh_path(), 4, 60 * akvt_scale());
}

static void test_more_readers_than_there_are_slots(void **state)
{
    akv_env *env;

    (void)state;
    assert_ok(akv_env_memory_new(NULL, &env));
    crowd_run(env, "f", 80, 30 * akvt_scale());
    akv_env_memory_free(env);
}

/* A pin that one thread takes may be given back by another. */
static void *release_elsewhere(void *user)
{
    akv_fused_pin_release(user);
    return NULL;
}

static void test_pin_may_change_threads(void **state)
{
    const char         *path = fresh_path();
    akv_fused_reloader *r;
    akv_fused_pin       before, after;
    pthread_t           tid;

    (void)state;
    make(NULL, path, "one");
    r = open_in(NULL, path);
    assert_ok(akv_fused_reloader_pin(r, &before));
    assert_ok(akv_fused_reloader_pin(r, &after));
    assert_int_equal(pthread_create(&tid, NULL, release_elsewhere, &before), 0);
    assert_int_equal(pthread_join(tid, NULL), 0);
    assert_ok(akv_fused_reloader_reload(r, true, NULL));
    assert_int_equal(pthread_create(&tid, NULL, release_elsewhere, &after), 0);
    assert_int_equal(pthread_join(tid, NULL), 0);
    assert_ok(akv_fused_reloader_close(r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reload_swaps_when_the_file_was_replaced),
        cmocka_unit_test(test_reload_notices_same_time_and_same_length),
        cmocka_unit_test(test_reload_notices_an_older_time_and_another_length),
        cmocka_unit_test(test_reload_by_force_swaps_in_any_case),
        cmocka_unit_test(test_reload_notices_a_replacement_while_opening),
        cmocka_unit_test(test_reload_of_a_missing_file_keeps_the_old),
        cmocka_unit_test(test_reload_checks_the_whole_file_unless_told_never_to),
        cmocka_unit_test(test_reload_of_a_corrupt_file_keeps_the_old_until_repaired),
        cmocka_unit_test(test_reload_survives_every_fault),
        cmocka_unit_test(test_reload_survives_running_out_of_memory),
        cmocka_unit_test(test_pin_keeps_its_file_and_the_last_one_closes_it),
        cmocka_unit_test(test_get_leaves_no_pin_unless_it_found_the_key),
        cmocka_unit_test(test_close_with_pins_or_watches_is_busy),
        cmocka_unit_test(test_reload_is_busy_when_too_many_files_are_pinned),
        cmocka_unit_test(test_watch_polls_reports_and_recovers),
        cmocka_unit_test(test_watch_polls_where_events_are_not_to_be_had),
        cmocka_unit_test(test_watch_begins_by_looking),
        cmocka_unit_test(test_watch_stop_is_prompt_and_not_its_callbacks_to_do),
        cmocka_unit_test(test_watch_refuses_misuse),
#ifdef __linux__
        cmocka_unit_test(test_watch_is_told_of_changes_without_polling),
        cmocka_unit_test(test_watch_follows_its_folder),
#endif
        cmocka_unit_test(test_readers_watch_and_swaps_together),
        cmocka_unit_test(test_more_readers_than_there_are_slots),
        cmocka_unit_test(test_pin_may_change_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
