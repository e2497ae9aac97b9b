/* SPDX-License-Identifier: MIT
 *
 * test_fused_merge.c: files made one as the original makes them, or not at all.
 */
#include "tests/unit/fused_raw.h"

#include "common/env/fault.h"
#include "common/env/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PLAIN AKV_FUSED_PLAIN

static void merge_golden(char path[4200], const char *name)
{
    snprintf(path, 4200, "%s/tests/data/fused/%s", akvt_root(), name);
}

static akv_status merge(const char *a, const char *b, const char *output, uint32_t flags)
{
    const char              *sources[] = {a, b};
    akv_fused_writer_options opt       = AKV_FUSED_WRITER_OPTIONS_INIT;

    opt.flags = flags;
    return akv_fused_merge(sources, a == NULL ? 0 : b == NULL ? 1 : 2, output, &opt, NULL);
}

static void merge_same(const char *a, const char *b)
{
    size_t a_len, b_len;
    void  *a_bytes = akvt_read_file(a, &a_len), *b_bytes = akvt_read_file(b, &b_len);

    assert_int_equal(a_len, b_len);
    assert_memory_equal(a_bytes, b_bytes, a_len);
    free(a_bytes);
    free(b_bytes);
}

/* A file of text pairs: key, object, key, object, ..., NULL. */
static void merge_make(const char *path, uint32_t flags, const char *const *pairs)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w;

    opt.flags = flags;
    assert_ok(akv_fused_writer_new(&opt, &w));
    for (; *pairs; pairs += 2)
        assert_ok(akv_fused_add(w, akv_str(pairs[0]), akv_str(pairs[1]), NULL));
    assert_ok(akv_fused_build(w, path, NULL));
    akv_fused_writer_free(w);
}

static void merge_has(const char *path, akv_slice key, const char *want)
{
    akv_slice  object;
    akv_fused *f;

    assert_ok(akv_fused_open(path, NULL, &f));
    assert_ok(akv_fused_get(f, key, &object));
    assert_slice(object, want);
    assert_ok(akv_fused_verify(f, NULL, NULL));
    akv_fused_close(f);
}

/* --------------------------------------------------------------------- the same */

static void test_fused_merge_equals_the_originals(void **state)
{
    char a[4200], b[4200], want[4200], out[4200];

    (void)state;
    merge_golden(a, "merge_a.fsdb");
    merge_golden(b, "merge_b.fsdb");
    snprintf(out, sizeof out, "%s/out.fsdb", akvt_folder());
    merge_golden(want, "merge_ab.fsdb");
    assert_ok(merge(a, b, out, PLAIN));
    merge_same(out, want);
    merge_golden(want, "merge_ba.fsdb");
    assert_ok(merge(b, a, out, PLAIN));
    merge_same(out, want);
    merge_golden(want, "empty.fsdb");
    assert_ok(merge(NULL, NULL, out, PLAIN));
    merge_same(out, want);
    assert_ok(merge(NULL, NULL, out, 0));
    merge_same(out, want);
}

static void test_fused_merge_drops_what_no_key_leads_to(void **state)
{
    static const char *const pairs[] = {"moon", "Luna", "moon", "Mond", "sun", "Mond", NULL};
    const char              *folder  = akvt_folder();
    char                     source[4200], out[4200];
    akv_fused_info           info = AKV_FUSED_INFO_INIT;
    akv_fused               *f;

    (void)state;
    snprintf(source, sizeof source, "%s/source.fsdb", folder);
    snprintf(out, sizeof out, "%s/out.fsdb", folder);
    merge_make(source, 0, pairs);
    assert_ok(merge(source, NULL, out, 0));
    assert_ok(akv_fused_open(out, NULL, &f));
    assert_ok(akv_fused_info_get(f, &info));
    assert_int_equal(info.num_keys, 2);
    assert_int_equal(info.num_objects, 1);
    assert_int_equal(info.section, AKV_FUSED_SECTION_USED);
    akv_fused_close(f);
}

static void test_fused_merge_keeps_keys_that_are_no_text(void **state)
{
    static const uint8_t keys[][4] = {{0, 0, 0, 0}, {0xff, 0xfe, 0, 1}, {0xc3, 0x28, 0xa0, 0xa1}};
    const char          *folder    = akvt_folder();
    char                 a[4200], b[4200], out[4200];
    akv_fused_writer    *w;

    (void)state;
    snprintf(a, sizeof a, "%s/a.fsdb", folder);
    snprintf(b, sizeof b, "%s/b.fsdb", folder);
    snprintf(out, sizeof out, "%s/out.fsdb", folder);
    for (int file = 0; file < 2; file++) {
        assert_ok(akv_fused_writer_new(NULL, &w));
        for (size_t i = 0; i < 3; i++)
            assert_ok(akv_fused_add(w, akv_bytes(keys[i], 4 - (size_t)file), akv_str("raw"), NULL));
        assert_ok(akv_fused_add(w, akv_str(""), akv_str(file ? "late" : "early"), NULL));
        assert_ok(akv_fused_build(w, file ? b : a, NULL));
        akv_fused_writer_free(w);
    }
    assert_ok(merge(a, b, out, 0));
    for (size_t i = 0; i < 3; i++) {
        merge_has(out, akv_bytes(keys[i], 4), "raw");
        merge_has(out, akv_bytes(keys[i], 3), "raw");
    }
    merge_has(out, akv_str(""), "late");
}

static void test_fused_merge_takes_files_that_readers_take(void **state)
{
    static const char *const names[] = {"x_unsorted_index.fsdb", "x_dup_index_key.fsdb",
                                        "x_trailing_covered.fsdb", "x_gap_before_index.fsdb",
                                        "key_65535.fsdb"};
    char                     source[4200], out[4200];

    (void)state;
    snprintf(out, sizeof out, "%s/out.fsdb", akvt_folder());
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        akv_fused_cursor a, b;
        akv_fused       *from, *to;

        merge_golden(source, names[i]);
        assert_ok(merge(source, source, out, 0));
        assert_ok(akv_fused_open(source, NULL, &from));
        assert_ok(akv_fused_open(out, NULL, &to));
        assert_ok(akv_fused_verify(to, NULL, NULL));
        assert_int_equal(akv_fused_count(from), akv_fused_count(to));
        assert_ok(akv_fused_cursor_all(from, &a));
        assert_ok(akv_fused_cursor_all(to, &b));
        while (akv_fused_cursor_next(&a) == AKV_OK) {
            assert_ok(akv_fused_cursor_next(&b));
            assert_true(akvi_equal(a.key.data, a.key.len, b.key.data, b.key.len));
            assert_true(akvi_equal(a.object.data, a.object.len, b.object.data, b.object.len));
        }
        akv_fused_close(from);
        akv_fused_close(to);
    }
}

/* --------------------------------------------------------------------- in place */

static void test_fused_merge_into_a_source(void **state)
{
    static const char *const old[]   = {"moon", "Luna", "sun", "Sol", NULL};
    static const char *const young[] = {"moon", "Mond", "star", "Sol", NULL};
    const char              *folder  = akvt_folder();
    char                     a[4200], b[4200];
    akv_fused               *reader;
    akv_slice                object;

    (void)state;
    snprintf(a, sizeof a, "%s/a.fsdb", folder);
    snprintf(b, sizeof b, "%s/b.fsdb", folder);
    for (int into = 0; into < 2; into++) {
        merge_make(a, 0, old);
        merge_make(b, into ? PLAIN : 0, young);
        assert_ok(akv_fused_open(a, NULL, &reader));
        assert_ok(merge(a, b, into ? b : a, 0));
        merge_has(into ? b : a, akv_str("moon"), "Mond");
        merge_has(into ? b : a, akv_str("sun"), "Sol");
        merge_has(into ? b : a, akv_str("star"), "Sol");
        assert_ok(akv_fused_get(reader, akv_str("moon"), &object)); /* the old file, as it was */
        assert_slice(object, "Luna");
        akv_fused_close(reader);
    }
    merge_make(a, 0, old);
    assert_ok(merge(a, a, a, 0));
    merge_has(a, akv_str("moon"), "Luna");
}

/* ---------------------------------------------------------------------- damage */

static void test_fused_merge_names_a_damaged_source(void **state)
{
    static const struct {
        const char *name;
        uint64_t    offset;
    } bad[] = {
        {"x_corrupt_data_byte.fsdb", 32},
        {"x_truncated_tail.fsdb", 32},
        {"x_bad_magic.fsdb", 0},
        {"x_short39.fsdb", 39},
        {"x_object_crc_bad.fsdb", AKV_NO_OFFSET},
        {"x_offset_out_of_bounds.fsdb", AKV_NO_OFFSET},
    };
    const char *folder = akvt_folder();
    char        fine[4200], source[4200], out[4200];

    (void)state;
    merge_golden(fine, "geo.fsdb");
    snprintf(out, sizeof out, "%s/out.fsdb", folder);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        merge_golden(source, bad[i].name);
        assert_status(AKV_CORRUPT, merge(fine, source, out, 0));
        assert_non_null(strstr(akv_last_error()->file, bad[i].name));
        assert_true(akv_last_error()->offset != AKV_NO_OFFSET);
        if (bad[i].offset != AKV_NO_OFFSET)
            assert_int_equal(akv_last_error()->offset, bad[i].offset);
        assert_int_equal(access(out, F_OK), -1);
    }
    assert_status(AKV_IO, merge(fine, "/nowhere/at/all.fsdb", out, 0));
    assert_int_equal(akv_last_error()->os_errno, ENOENT);
    assert_int_equal(access(out, F_OK), -1);
    assert_status(AKV_MISUSE, akv_fused_merge(NULL, 1, out, NULL, NULL));
    assert_status(AKV_MISUSE, akv_fused_merge(NULL, 0, NULL, NULL, NULL));
}

/* A source that is damaged only in its hash section is whole. */
static void test_fused_merge_needs_no_hash_section(void **state)
{
    static const char *const pairs[] = {"moon", "Luna", "sun", "Sol", NULL};
    const char              *folder  = akvt_folder();
    char                     a[4200], b[4200], out[4200], want[4200];
    uint8_t                 *bytes;
    size_t                   len;

    (void)state;
    snprintf(a, sizeof a, "%s/a.fsdb", folder);
    snprintf(b, sizeof b, "%s/b.fsdb", folder);
    snprintf(out, sizeof out, "%s/out.fsdb", folder);
    snprintf(want, sizeof want, "%s/want.fsdb", folder);
    merge_make(a, 0, pairs);
    bytes = akvt_read_file(a, &len);
    bytes[len - 80] ^= 0xff;
    akvt_write_file(b, bytes, len);
    free(bytes);
    assert_ok(merge(a, NULL, want, 0));
    assert_ok(merge(b, NULL, out, 0));
    merge_same(out, want);
}

/* ------------------------------------------------------------- bounded, faults */

static void merge_many(akv_env *env, const char *path, unsigned from, unsigned n)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w;
    char                     key[32], object[64];
    uint32_t                 id;

    opt.env = env;
    assert_ok(akv_fused_writer_new(&opt, &w));
    for (unsigned i = from; i < from + n; i++) {
        snprintf(key, sizeof key, "%u", i * 2654435761u);
        snprintf(object, sizeof object, "the object number %u", i % 5000);
        assert_ok(akv_fused_add_deduped(w, akv_str(object), &id));
        assert_ok(akv_fused_add_key(w, akv_str(key), id));
    }
    assert_ok(akv_fused_build(w, path, NULL));
    akv_fused_writer_free(w);
}

static int merge_progress(void *user, uint64_t done, uint64_t total, const char *unit)
{
    uint64_t *last = user;

    (void)unit;
    assert_true(done >= last[0] && done <= total);
    last[0] = done;
    last[1] = total;
    return 0;
}

static int merge_count_name(void *user, const char *name)
{
    (void)name;
    ++*(size_t *)user;
    return 0;
}

/* Sources larger than the buffer, under every fault: the output is whole and the
 * same as in memory, or is not there. */
static void test_fused_merge_streams_and_fails_whole(void **state)
{
    const char              *sources[] = {"a.fsdb", "b.fsdb"};
    akv_fused_writer_options opt       = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_job_options          job       = AKV_JOB_OPTIONS_INIT;
    akv_buffer               want = AKV_BUFFER_INIT, got = AKV_BUFFER_INIT;
    akv_env                 *base, *env;
    uint64_t                 last[2] = {0, 0};
    bool                     hit     = true;

    (void)state;
    assert_ok(akv_env_memory_new(NULL, &base));
    merge_many(base, "a.fsdb", 0, 30000);
    merge_many(base, "b.fsdb", 20000, 30000);
    opt.env = base;
    assert_ok(akv_fused_merge(sources, 2, "want.fsdb", &opt, NULL));
    assert_ok(akvi_read_file(base, "want.fsdb", UINT32_MAX, &want));
    opt.buffer = AKV_FUSED_LEAST_BUFFER;
    for (uint64_t nth = 1; hit; nth += nth < 12 ? 1 : nth / 4) {
        akvi_fault_plan plan = {AKVI_FAULT_ALL, nth, 1, ENOSPC, AKVI_FAULT_FAIL};
        size_t          n    = 0;
        akv_status      st;

        assert_ok(akvi_fault_new(base, NULL, &env));
        opt.env = env;
        akvi_fault_plan_set(env, &plan);
        st  = akv_fused_merge(sources, 2, "out.fsdb", &opt, NULL);
        hit = akvi_fault_hits(env) > 0;
        akvi_fault_free(env);
        if (st != AKV_OK)
            assert_int_equal(akv_last_error()->os_errno, ENOSPC);
        if (akvi_path_exists(base, "out.fsdb") == AKV_OK)
            assert_ok(base->ops->remove(base, "out.fsdb"));
        assert_ok(base->ops->list(base, ".", merge_count_name, &n));
        assert_int_equal(n, 3);
    }
    opt.env      = base;
    job.progress = merge_progress;
    job.user     = last;
    assert_ok(akv_fused_merge(sources, 2, "a.fsdb", &opt, &job));
    assert_int_equal(last[0], last[1]);
    assert_ok(akvi_read_file(base, "a.fsdb", UINT32_MAX, &got));
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.data, want.data, want.len);
    akv_buffer_free(&want);
    akv_buffer_free(&got);
    akv_env_memory_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused_merge_equals_the_originals),
        cmocka_unit_test(test_fused_merge_drops_what_no_key_leads_to),
        cmocka_unit_test(test_fused_merge_keeps_keys_that_are_no_text),
        cmocka_unit_test(test_fused_merge_takes_files_that_readers_take),
        cmocka_unit_test(test_fused_merge_into_a_source),
        cmocka_unit_test(test_fused_merge_names_a_damaged_source),
        cmocka_unit_test(test_fused_merge_needs_no_hash_section),
        cmocka_unit_test(test_fused_merge_streams_and_fails_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
