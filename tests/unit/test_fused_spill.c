/* SPDX-License-Identifier: MIT
 *
 * test_fused_spill.c: builds that do not fit their memory promise the very file
 * of those that do, and leave nothing behind whatever fails.
 */
#include "tests/unit/fused_raw.h"

#include "common/base/mem.h"
#include "common/env/fault.h"
#include "common/env/file.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define SPILL_LEAST ((uint64_t)1 << 20)

static void spill_folder_holds(const char *folder, const char *name)
{
    DIR           *dir = opendir(folder);
    struct dirent *e;
    size_t         n = 0;

    assert_non_null(dir);
    while ((e = readdir(dir))) {
        if (e->d_name[0] == '.')
            continue;
        if (!name || strcmp(e->d_name, name) != 0)
            fail_msg("left behind: %s", e->d_name);
        n++;
    }
    closedir(dir);
    assert_int_equal(n, name ? 1 : 0);
}

static akv_fused_writer *spill_writer(uint64_t buffer, uint32_t flags, const char *temp_dir)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w;

    opt.buffer   = buffer;
    opt.flags    = flags;
    opt.temp_dir = temp_dir;
    assert_ok(akv_fused_writer_new(&opt, &w));
    return w;
}

#define SPILL_NO_ID UINT32_MAX

/* The i-th of a long row of calls: keys new, again and taken back, objects new,
 * deduped, empty, and a few that are large. The same for each writer.
 * `id` keeps the object's when the key fails, for the next try. */
static akv_status spill_call(akv_fused_writer *w, unsigned i, uint32_t *id)
{
    uint64_t   h = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    char       key[80], object[128];
    int        key_len, object_len;
    akv_status st = AKV_OK;

    h ^= h >> 29;
    key_len = snprintf(key, sizeof key, "%s%llu", h % 5 == 0 ? "a/very/long/common/prefix/" : "",
                       (unsigned long long)(h >> 8) % 200000);
    object_len =
        snprintf(object, sizeof object, "{\"object\": %llu}", (unsigned long long)(h >> 20) % 3000);
    if (h % 11 == 0)
        return akv_fused_remove_key(w, akv_bytes(key, (size_t)key_len));
    if (*id != SPILL_NO_ID) {
        st = AKV_OK; /* the object was added, but not the key */
    } else if (i % 20000 == 19999) {
        akv_buffer big = AKV_BUFFER_INIT;

        memset(raw_extend(&big, 2 * SPILL_LEAST), (int)(i & 0xff), 2 * SPILL_LEAST);
        st = akv_fused_add_deduped(w, akvi_buffer_slice(&big), id);
        akv_buffer_free(&big);
    } else if (h % 3 == 0) {
        st = akv_fused_add_object(w, akv_bytes(object, h % 7 ? (size_t)object_len : 0), id);
    } else {
        st = akv_fused_add_deduped(w, akv_bytes(object, (size_t)object_len), id);
    }
    return st == AKV_OK ? akv_fused_add_key(w, akv_bytes(key, (size_t)key_len), *id) : st;
}

static void spill_calls(akv_fused_writer *w, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        uint32_t id = SPILL_NO_ID;

        assert_ok(spill_call(w, i, &id));
    }
}

static void spill_same_files(const char *a, const char *b)
{
    size_t a_len, b_len;
    void  *a_bytes = akvt_read_file(a, &a_len), *b_bytes = akvt_read_file(b, &b_len);

    assert_int_equal(a_len, b_len);
    assert_memory_equal(a_bytes, b_bytes, a_len);
    free(a_bytes);
    free(b_bytes);
}

/* ---------------------------------------------------------------------- bytes */

static void test_fused_spill_changes_no_byte(void **state)
{
    const char       *folder = akvt_folder();
    char              spilled[4200], whole[4200], temp[4200];
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;

    (void)state;
    snprintf(spilled, sizeof spilled, "%s/spilled.fsdb", folder);
    snprintf(whole, sizeof whole, "%s/whole.fsdb", folder);
    snprintf(temp, sizeof temp, "%s", akvt_folder());
    opt.verify_on_open = true;
    for (uint32_t flags = 0; flags <= AKV_FUSED_PLAIN; flags++) {
        akv_fused_writer     *a       = spill_writer(SPILL_LEAST, flags, temp);
        akv_fused_writer     *b       = spill_writer(AKV_FUSED_DEFAULT_BUFFER, flags, temp);
        static const unsigned stops[] = {0, 1, 3000, 70000, 70000, 120000};

        for (size_t i = 1; i < sizeof stops / sizeof *stops; i++) {
            akv_fused *f;

            spill_calls(a, stops[i - 1], stops[i]);
            spill_calls(b, stops[i - 1], stops[i]);
            assert_int_equal(akv_fused_writer_objects(a), akv_fused_writer_objects(b));
            assert_ok(akv_fused_build(a, spilled, NULL));
            assert_ok(akv_fused_build(b, whole, NULL));
            spill_same_files(spilled, whole);
            assert_int_equal(akv_fused_writer_keys(a), akv_fused_writer_keys(b));
            assert_ok(akv_fused_open(spilled, &opt, &f));
            assert_int_equal(akv_fused_count(f), akv_fused_writer_keys(a));
            assert_ok(akv_fused_verify(f, NULL, NULL));
            akv_fused_close(f);
        }
        spill_folder_holds(temp, NULL);
        akv_fused_writer_free(a);
        akv_fused_writer_free(b);
        spill_folder_holds(temp, NULL);
    }
}

/* Long keys: an entry is nearly as large as what a run is read through. */
static void test_fused_spill_takes_keys_of_all_lengths(void **state)
{
    static uint8_t    key[65535];
    const char       *folder = akvt_folder();
    char              spilled[4200], whole[4200];
    akv_fused_writer *a = spill_writer(SPILL_LEAST, 0, folder);
    akv_fused_writer *b = spill_writer(AKV_FUSED_DEFAULT_BUFFER, 0, folder);
    akvt_random       r = akvt_random_new(3);
    uint32_t          id;

    (void)state;
    snprintf(spilled, sizeof spilled, "%s/spilled.fsdb", folder);
    snprintf(whole, sizeof whole, "%s/whole.fsdb", folder);
    assert_ok(akv_fused_add_object(a, akv_str("one"), &id));
    assert_ok(akv_fused_add_object(b, akv_str("one"), &id));
    memset(key, 'k', sizeof key);
    for (unsigned i = 0; i < 200; i++) {
        size_t len = i % 4 == 0 ? sizeof key : (size_t)akvt_below(&r, sizeof key);

        key[akvt_below(&r, sizeof key)] = (uint8_t)akvt_below(&r, 256);
        assert_ok(akv_fused_add_key(a, akv_bytes(key, len), 0));
        assert_ok(akv_fused_add_key(b, akv_bytes(key, len), 0));
    }
    assert_ok(akv_fused_build(a, spilled, NULL));
    assert_ok(akv_fused_build(b, whole, NULL));
    spill_same_files(spilled, whole);
    akv_fused_writer_free(a);
    akv_fused_writer_free(b);
}

/* ------------------------------------------------------------------- its bound */

static void test_fused_spill_keeps_to_its_buffer(void **state)
{
    const char              *folder = akvt_folder();
    akv_fused_writer_options opt    = AKV_FUSED_WRITER_OPTIONS_INIT;
    akvi_budget              meter;
    akv_fused_writer        *w;
    akv_fused_options        reading = AKV_FUSED_OPTIONS_INIT;
    akv_fused               *f;
    char                     path[4200], key[64], object[300] = {0};
    uint32_t                 id;

    (void)state;
    snprintf(path, sizeof path, "%s/bounded.fsdb", folder);
    akvi_budget_init(&meter, akvi_allocator(NULL), 0);
    opt.allocator = &meter.allocator;
    opt.buffer    = 4 * SPILL_LEAST;
    opt.temp_dir  = folder;
    assert_ok(akv_fused_writer_new(&opt, &w));
    for (unsigned i = 0; i < 400000; i++) {
        snprintf(key, sizeof key, "key-of-some-length-%u", i * 2654435761u);
        if (i % 10 == 0) {
            memcpy(object, &i, sizeof i);
            assert_ok(akv_fused_add_deduped(w, akv_bytes(object, sizeof object), &id));
        }
        assert_ok(akv_fused_add_key(w, akv_str(key), id));
    }
    assert_ok(akv_fused_build(w, path, NULL));
    akv_fused_writer_free(w);
    assert_int_equal(atomic_load(&meter.used), 0);
    /* 33 MB of keys and objects */
    if (atomic_load(&meter.peak) > opt.buffer + 4 * SPILL_LEAST)
        fail_msg("%llu bytes of memory at most", (unsigned long long)atomic_load(&meter.peak));
    reading.verify_on_open = true;
    assert_ok(akv_fused_open(path, &reading, &f));
    assert_int_equal(akv_fused_count(f), 400000);
    assert_ok(akv_fused_verify(f, NULL, NULL));
    akv_fused_close(f);
}

static void test_fused_spill_options_are_checked(void **state)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w;

    (void)state;
    opt.buffer = SPILL_LEAST - 1;
    assert_status(AKV_MISUSE, akv_fused_writer_new(&opt, &w));
    assert_error_has("1048575");
    assert_null(w);
}

/* --------------------------------------------------------------------- faults */

#define SPILL_FAULT_CALLS 60000u /* their hash table has two windows */

typedef struct spill_place {
    unsigned at;
    uint32_t id;
} spill_place;

static bool spill_all(akv_fused_writer *w, spill_place *place, akv_status *st_out)
{
    for (*st_out = AKV_OK; place->at < SPILL_FAULT_CALLS && *st_out == AKV_OK;) {
        *st_out = spill_call(w, place->at, &place->id);
        if (*st_out == AKV_OK)
            *place = (spill_place){place->at + 1, SPILL_NO_ID};
    }
    return *st_out == AKV_OK;
}

static int spill_count_name(void *user, const char *name)
{
    (void)name;
    ++*(size_t *)user;
    return 0;
}

/* What files there are in an env. */
static size_t spill_files(akv_env *env)
{
    size_t n = 0;

    assert_ok(env->ops->list(env, ".", spill_count_name, &n));
    return n;
}

static uint32_t spill_crc(akv_env *env, const char *path)
{
    akv_buffer bytes = AKV_BUFFER_INIT;
    uint32_t   crc;

    assert_ok(akvi_read_file(env, path, UINT32_MAX, &bytes));
    crc = akvi_crc32(0, bytes.data, bytes.len);
    akv_buffer_free(&bytes);
    return crc;
}

/* One writer through a plan: a failed add adds nothing, a failed build leaves
 * the old file alone, and the same writer then goes on to the same bytes. */
static bool spill_through(akv_env *env, akv_env *base, const akvi_fault_plan *plan, uint32_t crc)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    spill_place              at  = {0, SPILL_NO_ID};
    akv_fused_writer        *w;
    akv_status               st;
    bool                     hit;

    opt.env    = env;
    opt.buffer = SPILL_LEAST;
    assert_ok(akv_fused_writer_new(&opt, &w));
    akvi_fault_plan_set(env, plan);
    while (!spill_all(w, &at, &st))
        assert_int_equal(akv_last_error()->os_errno, plan->err);
    while ((st = akv_fused_build(w, "db.fsdb", NULL)) != AKV_OK) {
        assert_int_equal(akv_last_error()->os_errno, plan->err);
        assert_int_equal(spill_files(base), 1);
    }
    hit = akvi_fault_hits(env) > 0;
    assert_int_equal(spill_files(base), 1);
    assert_int_equal(spill_crc(base, "db.fsdb"), crc);
    akv_fused_writer_free(w);
    assert_int_equal(spill_files(base), 1);
    return hit;
}

static void test_fused_spill_fails_whole_at_every_call(void **state)
{
    static const akvi_fault_plan plans[] = {
        {AKVI_FAULT_ALL & ~AKVI_FAULT_READ, 0, 1, EIO, AKVI_FAULT_FAIL},
        {AKVI_FAULT_READ, 0, 1, EIO, AKVI_FAULT_FAIL},
        {AKVI_FAULT_WRITE, 0, 3, ENOSPC, AKVI_FAULT_SHORT},
    };
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    spill_place              at  = {0, SPILL_NO_ID};
    akv_fused_writer        *w;
    akv_env                 *base, *env;
    uint32_t                 crc;
    akv_status               st;

    (void)state;
    assert_ok(akv_env_memory_new(NULL, &base));
    opt.env = base;
    assert_ok(akv_fused_writer_new(&opt, &w));
    assert_true(spill_all(w, &at, &st));
    assert_ok(akv_fused_build(w, "db.fsdb", NULL));
    akv_fused_writer_free(w);
    crc = spill_crc(base, "db.fsdb");
    for (size_t p = 0; p < sizeof plans / sizeof *plans; p++) {
        bool hit = true;

        for (uint64_t nth = 1; hit; nth += nth < 12 ? 1 : nth / 3) {
            akvi_fault_plan plan = plans[p];

            plan.nth = nth;
            assert_ok(akvi_fault_new(base, NULL, &env)); /* forgets what was before */
            hit = spill_through(env, base, &plan, crc);
            akvi_fault_free(env);
            assert_true(nth < 1000000);
        }
    }
    akv_env_memory_free(base);
}

/* Power is lost in the middle: nothing of a build but perhaps temporaries that
 * the next one removes. */
static void test_fused_spill_survives_loss_of_power(void **state)
{
    static const uint64_t seeds[] = {0, 1, UINT64_MAX};
    bool                  done    = false;

    (void)state;
    for (uint64_t nth = 1; !done; nth += 1 + nth / 6) {
        akvi_fault_plan          plan = {AKVI_FAULT_ALL, nth, 0, EIO, AKVI_FAULT_CRASH};
        akv_fused_writer_options opt  = AKV_FUSED_WRITER_OPTIONS_INIT;
        akv_fused_options        read = AKV_FUSED_OPTIONS_INIT;
        akv_env                 *base, *env;
        akv_fused_writer        *w;
        akv_fused               *f;
        spill_place              at = {0, SPILL_NO_ID};
        akv_status               st;

        assert_ok(akv_env_memory_new(NULL, &base));
        assert_ok(akvi_fault_new(base, NULL, &env));
        opt.env    = env;
        opt.buffer = SPILL_LEAST;
        assert_ok(akv_fused_writer_new(&opt, &w));
        assert_ok(akv_fused_add(w, akv_str("old"), akv_str("old"), NULL));
        assert_ok(akv_fused_build(w, "db.fsdb", NULL));
        akvi_fault_plan_set(env, &plan);
        if (spill_all(w, &at, &st))
            st = akv_fused_build(w, "db.fsdb", NULL);
        done = akvi_fault_hits(env) == 0;
        akv_fused_writer_free(w);
        assert_ok(akvi_fault_power_loss(env, seeds[nth % 3]));
        read.env = env;
        assert_ok(akv_fused_open("db.fsdb", &read, &f));
        assert_ok(akv_fused_verify(f, NULL, NULL));
        assert_true(akv_fused_count(f) > 1 || (st != AKV_OK && akv_fused_count(f) == 1));
        akv_fused_close(f);
        akvi_fault_free(env);
        akv_env_memory_free(base);
    }
}

static void test_fused_spill_gives_memory_back_when_it_runs_out(void **state)
{
    const char *folder = akvt_folder();
    akv_status  st     = AKV_NOMEM;
    char        path[4200];

    (void)state;
    snprintf(path, sizeof path, "%s/nomem.fsdb", folder);
    for (uint64_t nth = 1; st != AKV_OK; nth += 1 + nth / 8) {
        akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
        akv_fused_writer        *w;
        spill_place              at = {0, SPILL_NO_ID};

        opt.allocator = akvt_failing_allocator(nth);
        opt.buffer    = SPILL_LEAST;
        opt.temp_dir  = folder;
        st            = akv_fused_writer_new(&opt, &w);
        if (st == AKV_OK && spill_all(w, &at, &st))
            st = akv_fused_build(w, path, NULL);
        akv_fused_writer_free(w);
        assert_true(st == AKV_OK || st == AKV_NOMEM);
        spill_folder_holds(folder, st == AKV_OK ? "nomem.fsdb" : NULL);
        assert_int_equal(akvt_allocator_out(), 0);
        assert_true(nth < 100000);
    }
}

/* ------------------------------------------------------------------- progress */

typedef struct spill_watch {
    uint64_t stop_at, done, total, steps;
} spill_watch;

static int spill_progress(void *user, uint64_t done, uint64_t total, const char *unit)
{
    spill_watch *s = user;

    assert_string_equal(unit, "bytes");
    assert_true(done >= s->done && done <= total);
    s->done  = done;
    s->total = total;
    return ++s->steps == s->stop_at;
}

static void test_fused_spill_can_be_cancelled_at_every_step(void **state)
{
    const char       *folder = akvt_folder();
    akv_fused_writer *w      = spill_writer(SPILL_LEAST, 0, folder);
    char              path[4200];
    akv_status        st = AKV_CANCELLED;

    (void)state;
    snprintf(path, sizeof path, "%s/slow.fsdb", folder);
    spill_calls(w, 0, SPILL_FAULT_CALLS);
    for (uint64_t stop_at = 1; st != AKV_OK; stop_at++) {
        akv_job_options job   = AKV_JOB_OPTIONS_INIT;
        spill_watch     watch = {.stop_at = stop_at};

        job.progress = spill_progress;
        job.user     = &watch;
        st           = akv_fused_build(w, path, &job);
        if (st == AKV_OK) {
            assert_int_equal(watch.done, watch.total);
            assert_true(watch.steps > 10);
        } else {
            assert_int_equal(st, AKV_CANCELLED);
            spill_folder_holds(folder, NULL);
        }
    }
    akv_fused_writer_free(w);
}

/* ------------------------------------------------------------------ at once */

typedef struct spill_builder {
    pthread_t   thread;
    const char *folder, *path;
    bool        fine;
} spill_builder;

static void *spill_build(void *user)
{
    spill_builder           *b   = user;
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w   = NULL;
    spill_place              at  = {0, SPILL_NO_ID};
    akv_status               st;

    opt.buffer   = SPILL_LEAST;
    opt.temp_dir = b->folder;
    st           = akv_fused_writer_new(&opt, &w);
    b->fine      = st == AKV_OK && spill_all(w, &at, &st);
    for (int i = 0; i < 3; i++)
        b->fine = b->fine && akv_fused_build(w, b->path, NULL) == AKV_OK;
    akv_fused_writer_free(w);
    return NULL;
}

/* Names that differ in their last part alone, and the same name. */
static void test_fused_spill_builds_side_by_side(void **state)
{
    static const char *const names[] = {"x.v1", "x.v2", "x.v2"};
    const char              *folder  = akvt_folder();
    char                     paths[3][4200];
    spill_builder            builders[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", folder, names[i]);
        builders[i] = (spill_builder){.folder = folder, .path = paths[i]};
        assert_int_equal(pthread_create(&builders[i].thread, NULL, spill_build, &builders[i]), 0);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(builders[i].thread, NULL);
    for (int i = 0; i < 3; i++)
        assert_true(builders[i].fine);
    spill_same_files(paths[0], paths[1]);
    assert_int_equal(remove(paths[1]), 0);
    spill_folder_holds(folder, "x.v1");
}

/* ----------------------------------------------- through the shared interface */

static void test_fused_spill_of_a_store_lies_beside_it(void **state)
{
    const char       *folder = akvt_folder();
    akv_open_options  opt    = AKV_OPEN_OPTIONS_INIT;
    akv_fused_options own    = AKV_FUSED_OPTIONS_INIT;
    char              path[4200], key[32];
    uint64_t          count;
    akv              *db;

    (void)state;
    snprintf(path, sizeof path, "%s/store.fsdb", folder);
    opt.flags          = AKV_OPEN_CREATE;
    opt.engine_options = &own.head;
    own.build_buffer   = SPILL_LEAST;
    assert_ok(akv_open("fused", path, &opt, &db));
    for (unsigned i = 0; i < 40000; i++) {
        snprintf(key, sizeof key, "%u", i * 7919 % 40000);
        assert_ok(akv_put(db, akv_str(key), akv_str(key), NULL));
    }
    spill_folder_holds(folder, NULL);
    assert_ok(akv_finish(db, NULL));
    assert_ok(akv_count(db, NULL, &count));
    assert_int_equal(count, 40000);
    assert_ok(akv_verify(db, NULL));
    assert_ok(akv_close(db));
    spill_folder_holds(folder, "store.fsdb");

    /* a folder that is not there is told when it is needed */
    opt.flags    = AKV_OPEN_TRUNCATE;
    own.temp_dir = "/nowhere/at/all";
    assert_ok(akv_open("fused", path, &opt, &db));
    for (unsigned i = 0; i < 40000; i++) {
        snprintf(key, sizeof key, "%u", i);
        if (akv_put(db, akv_str(key), akv_str(key), NULL) != AKV_OK)
            break;
    }
    assert_int_equal(akv_last_error()->os_errno, ENOENT);
    assert_ok(akv_abort(db));
    assert_ok(akv_close(db));
    spill_folder_holds(folder, "store.fsdb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused_spill_changes_no_byte),
        cmocka_unit_test(test_fused_spill_takes_keys_of_all_lengths),
        cmocka_unit_test(test_fused_spill_keeps_to_its_buffer),
        cmocka_unit_test(test_fused_spill_options_are_checked),
        cmocka_unit_test(test_fused_spill_fails_whole_at_every_call),
        cmocka_unit_test(test_fused_spill_survives_loss_of_power),
        cmocka_unit_test(test_fused_spill_gives_memory_back_when_it_runs_out),
        cmocka_unit_test(test_fused_spill_can_be_cancelled_at_every_step),
        cmocka_unit_test(test_fused_spill_builds_side_by_side),
        cmocka_unit_test(test_fused_spill_of_a_store_lies_beside_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
