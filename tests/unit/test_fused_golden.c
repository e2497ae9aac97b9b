/* SPDX-License-Identifier: MIT
 *
 * test_fused_golden.c: the golden files of tests/data/fused, each opened, read,
 * verified and, where the original wrote it, built again. expected.json there
 * says what the original did.
 */
#include "tests/testing.h"

#include "common/base/bytes.h"

#include <anykv/doc.h>
#include <anykv/fused.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASES_MAX 64u
#define ITEMS_MAX 300u
#define SCANS_MAX 8u
#define NAME_SIZE 64u

typedef struct golden_bytes {
    uint8_t *data; /* NULL: only the length is known */
    size_t   len;
} golden_bytes;

/* The keys that a prefix finds. */
typedef struct golden_scan {
    golden_bytes prefix;
    golden_bytes keys[ITEMS_MAX];
    size_t       n;
} golden_scan;

typedef struct golden_case {
    char         name[NAME_SIZE], made_by[96];
    char         open_verified[160], open_unverified[160], read_all[160], verify[160];
    char         crc[16];
    uint64_t     file_size, num_keys, num_objects, index_offset;
    bool         has_items;
    golden_bytes keys[ITEMS_MAX], values[ITEMS_MAX];
    size_t       n;
    golden_scan *scans;
    size_t       scans_n;
} golden_case;

static golden_case golden_cases[CASES_MAX];
static size_t      golden_cases_n;

/* ------------------------------------------------------- reading expected.json */

static akv_doc_reader *golden_reader;

static akv_doc_event golden_next(void)
{
    akv_doc_event e;

    assert_ok(akv_doc_next(golden_reader, &e));
    return e;
}

static void golden_text(const akv_doc_event *e, char *to, size_t cap)
{
    assert_int_equal(e->type, AKV_DOC_STRING);
    snprintf(to, cap, "%.*s", (int)e->bytes.len, (const char *)e->bytes.data);
}

static golden_bytes golden_copy(akv_slice bytes)
{
    golden_bytes b = {malloc(bytes.len + 1), bytes.len};

    assert_non_null(b.data);
    memcpy(b.data, bytes.data, bytes.len);
    return b;
}

static golden_bytes golden_hex(akv_slice hex)
{
    golden_bytes b = {malloc(hex.len / 2 + 1), hex.len / 2};

    assert_non_null(b.data);
    for (size_t i = 0; i < b.len; i++) {
        char  pair[3] = {((const char *)hex.data)[2 * i], ((const char *)hex.data)[2 * i + 1], 0};
        char *end;
        unsigned v = (unsigned)strtoul(pair, &end, 16);

        assert_true(*end == '\0');
        b.data[i] = (uint8_t)v;
    }
    return b;
}

/* Hex, {"repeat_hex", "count"} or {"len", "sha256"}. */
static golden_bytes golden_value(akv_doc_event e)
{
    golden_bytes one   = {NULL, 0}, all;
    size_t       count = 0, len = 0;

    if (e.type == AKV_DOC_STRING)
        return golden_hex(e.bytes);
    assert_int_equal(e.type, AKV_DOC_MAP);
    for (e = golden_next(); e.type != AKV_DOC_MAP_END; e = golden_next()) {
        char key[16];

        golden_text(&e, key, sizeof key);
        e = golden_next();
        if (strcmp(key, "repeat_hex") == 0)
            one = golden_hex(e.bytes);
        else if (strcmp(key, "count") == 0)
            count = (size_t)e.i64;
        else if (strcmp(key, "len") == 0)
            len = (size_t)e.i64;
    }
    if (!one.data)
        return (golden_bytes){NULL, len};
    assert_int_equal(one.len, 1);
    all = (golden_bytes){malloc(count + 1), count};
    assert_non_null(all.data);
    memset(all.data, one.data[0], count);
    free(one.data);
    return all;
}

static void golden_read_items(golden_case *c)
{
    akv_doc_event e = golden_next();

    c->has_items = e.type == AKV_DOC_ARRAY;
    if (!c->has_items)
        return;
    for (e = golden_next(); e.type != AKV_DOC_ARRAY_END; e = golden_next()) {
        assert_true(c->n < ITEMS_MAX);
        c->keys[c->n]   = golden_value(golden_next());
        c->values[c->n] = golden_value(golden_next());
        c->n++;
        assert_int_equal(golden_next().type, AKV_DOC_ARRAY_END);
    }
}

static void golden_read_scans(golden_case *c, bool hex)
{
    akv_doc_event e;

    assert_int_equal(golden_next().type, AKV_DOC_MAP);
    c->scans = calloc(SCANS_MAX, sizeof *c->scans);
    assert_non_null(c->scans);
    for (e = golden_next(); e.type != AKV_DOC_MAP_END; e = golden_next()) {
        golden_scan *scan = &c->scans[c->scans_n++];

        assert_true(c->scans_n <= SCANS_MAX);
        scan->prefix = hex ? golden_hex(e.bytes) : golden_copy(e.bytes);
        assert_int_equal(golden_next().type, AKV_DOC_ARRAY);
        for (e = golden_next(); e.type != AKV_DOC_ARRAY_END; e = golden_next())
            scan->keys[scan->n++] = hex ? golden_hex(e.bytes) : golden_copy(e.bytes);
    }
}

static void golden_read_header(golden_case *c)
{
    akv_doc_event e;

    assert_int_equal(golden_next().type, AKV_DOC_MAP);
    for (e = golden_next(); e.type != AKV_DOC_MAP_END; e = golden_next()) {
        char key[16];

        golden_text(&e, key, sizeof key);
        e = golden_next();
        if (strcmp(key, "num_keys") == 0)
            c->num_keys = (uint64_t)e.i64;
        else if (strcmp(key, "num_objects") == 0)
            c->num_objects = (uint64_t)e.i64;
        else if (strcmp(key, "index_offset") == 0)
            c->index_offset = (uint64_t)e.i64;
        else if (strcmp(key, "file_crc32") == 0)
            golden_text(&e, c->crc, sizeof c->crc);
    }
}

static void golden_read_field(golden_case *c, const char *field)
{
    akv_doc_event e;

    if (strcmp(field, "items") == 0) {
        golden_read_items(c);
        return;
    }
    if (strcmp(field, "prefix") == 0 || strcmp(field, "prefix_hex") == 0) {
        golden_read_scans(c, field[6] != '\0');
        return;
    }
    if (strcmp(field, "header") == 0) {
        golden_read_header(c);
        return;
    }
    e = golden_next();
    if (strcmp(field, "made_by") == 0)
        golden_text(&e, c->made_by, sizeof c->made_by);
    else if (strcmp(field, "file_size") == 0)
        c->file_size = (uint64_t)e.i64;
    else if (strcmp(field, "original_open_verified") == 0)
        golden_text(&e, c->open_verified, sizeof c->open_verified);
    else if (strcmp(field, "original_open_unverified") == 0)
        golden_text(&e, c->open_unverified, sizeof c->open_unverified);
    else if (strcmp(field, "original_read_all_unverified") == 0)
        golden_text(&e, c->read_all, sizeof c->read_all);
    else if (strcmp(field, "original_verify") == 0)
        golden_text(&e, c->verify, sizeof c->verify);
    else
        assert_ok(akv_doc_skip(golden_reader));
}

static void golden_read_case(golden_case *c)
{
    akv_doc_event e;

    assert_int_equal(golden_next().type, AKV_DOC_MAP);
    for (e = golden_next(); e.type != AKV_DOC_MAP_END; e = golden_next()) {
        char field[64];

        golden_text(&e, field, sizeof field);
        golden_read_field(c, field);
    }
}

static const char *golden_path(const char *name)
{
    static char folder[4000];

    snprintf(folder, sizeof folder, "%s/tests/data/fused", akvt_root());
    return akvt_path(folder, name);
}

static int golden_setup(void **state)
{
    size_t        len;
    char         *text = akvt_read_file(golden_path("expected.json"), &len);
    akv_doc_event e;

    (void)state;
    assert_ok(akv_doc_reader_json(akv_bytes(text, len), NULL, &golden_reader));
    assert_int_equal(golden_next().type, AKV_DOC_MAP);
    for (e = golden_next(); e.type != AKV_DOC_MAP_END; e = golden_next()) {
        char key[16];

        golden_text(&e, key, sizeof key);
        e = golden_next();
        if (strcmp(key, "cases") != 0)
            continue;
        for (e = golden_next(); e.type != AKV_DOC_MAP_END; e = golden_next()) {
            assert_true(golden_cases_n < CASES_MAX);
            golden_text(&e, golden_cases[golden_cases_n].name, NAME_SIZE);
            golden_read_case(&golden_cases[golden_cases_n++]);
        }
    }
    assert_status(AKV_END, akv_doc_next(golden_reader, &e));
    akv_doc_reader_free(golden_reader);
    free(text);
    return 0;
}

static int golden_teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < golden_cases_n; i++) {
        golden_case *c = &golden_cases[i];

        for (size_t k = 0; k < c->n; k++) {
            free(c->keys[k].data);
            free(c->values[k].data);
        }
        for (size_t s = 0; s < c->scans_n; s++) {
            free(c->scans[s].prefix.data);
            for (size_t k = 0; k < c->scans[s].n; k++)
                free(c->scans[s].keys[k].data);
        }
        free(c->scans);
    }
    return 0;
}

/* -------------------------------------------------------------------- helpers */

/* The status that stands for what the original answered. */
static akv_status golden_status(const char *answer)
{
    if (strcmp(answer, "ok") == 0 || strcmp(answer, "true") == 0)
        return AKV_OK;
    return strncmp(answer, "ERR FuseVersionError", 20) == 0 ? AKV_VERSION : AKV_CORRUPT;
}

static bool golden_originals(const golden_case *c)
{
    return strncmp(c->made_by, "original", 8) == 0;
}

static void golden_same(const char *name, golden_bytes want, akv_slice got)
{
    if (!akvi_equal(want.data ? want.data : got.data, want.len, got.data, got.len))
        fail_msg("%s: bytes differ", name);
}

static void golden_open(const char *name, bool verify, akv_fused **f_out)
{
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;

    opt.verify_on_open = verify;
    assert_ok(akv_fused_open(golden_path(name), &opt, f_out));
}

/* The items of a case as we are to answer them: sorted, the last of equal keys. */
static size_t golden_live(const golden_case *c, size_t order_out[ITEMS_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < c->n; i++) {
        size_t at  = n;
        int    cmp = -1;

        while (at > 0) {
            golden_bytes a = c->keys[order_out[at - 1]], b = c->keys[i];

            /* A key of which only the length is known stands where it belongs. */
            cmp = a.data && b.data ? akvi_compare(a.data, a.len, b.data, b.len) : -1;
            if (cmp <= 0)
                break;
            at--;
        }
        if (at > 0 && cmp == 0) {
            order_out[at - 1] = i;
            continue;
        }
        memmove(order_out + at + 1, order_out + at, (n - at) * sizeof *order_out);
        order_out[at] = i;
        n++;
    }
    return n;
}

/* --------------------------------------------------------------------- tests */

static void test_golden_all_files_are_listed(void **state)
{
    (void)state;
    assert_int_equal(golden_cases_n, 38);
    for (size_t i = 0; i < golden_cases_n; i++) {
        size_t len;

        free(akvt_read_file(golden_path(golden_cases[i].name), &len));
        assert_int_equal(len, golden_cases[i].file_size);
    }
}

static void test_golden_opens_as_the_original_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < golden_cases_n; i++) {
        const golden_case *c = &golden_cases[i];
        akv_status want[]    = {golden_status(c->open_unverified), golden_status(c->open_verified)};

        for (int mode = 0; mode < 4; mode++) {
            akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;
            akv_fused        *f;
            akv_status        st;

            opt.verify_on_open = mode & 1;
            opt.mode           = mode & 2 ? AKV_FUSED_READ : AKV_FUSED_MAP;
            st                 = akv_fused_open(golden_path(c->name), &opt, &f);
            if (st != want[mode & 1])
                fail_msg("%s: %s, not %s", c->name, akv_status_name(st),
                         akv_status_name(want[mode & 1]));
            if (st != AKV_OK) {
                assert_null(f);
                assert_true(akv_last_error()->offset != AKV_NO_OFFSET);
                assert_non_null(strstr(akv_last_error()->file, c->name));
                assert_string_equal(akv_last_error()->engine, "fused");
            }
            akv_fused_close(f);
        }
    }
}

/* Every bad file's error names the byte where it is bad. */
static void test_golden_errors_name_the_offset(void **state)
{
    static const struct {
        const char *name;
        bool        verify;
        uint64_t    offset;
        const char *text;
    } bad[] = {
        {"x_bad_magic.fsdb", true, 0, "46534458"},
        {"x_version1.fsdb", true, 4, "version 1"},
        {"x_version3.fsdb", true, 4, "version 3"},
        {"x_short39.fsdb", true, 39, "header"},
        {"x_zero.fsdb", true, 0, "header"},
        {"x_truncated_tail.fsdb", true, 32, "CRC32"},
        {"x_truncated_tail.fsdb", false, 258, "entry 6 of 7"},
        {"x_corrupt_data_byte.fsdb", true, 32, "CRC32"},
        {"x_corrupt_index_byte.fsdb", true, 32, "CRC32"},
        {"x_trailing_uncovered.fsdb", true, 32, "CRC32"},
        {"x_num_keys_high.fsdb", true, 8, "room for 3"},
        {"x_index_offset_past_end.fsdb", true, 16, "1000000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;
        akv_fused        *f;

        opt.verify_on_open = bad[i].verify;
        assert_true(akv_fused_open(golden_path(bad[i].name), &opt, &f) < 0);
        if (akv_last_error()->offset != bad[i].offset)
            fail_msg("%s: %s", bad[i].name, akv_last_error()->text);
        assert_error_has(bad[i].text);
    }
}

static void test_golden_items_come_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < golden_cases_n; i++) {
        const golden_case *c = &golden_cases[i];
        size_t             order[ITEMS_MAX], n = golden_live(c, order);
        akv_fused         *f;
        akv_fused_cursor   cursor;
        akv_slice          object;

        if (!c->has_items)
            continue;
        golden_open(c->name, false, &f);
        assert_int_equal(akv_fused_count(f), n);
        assert_ok(akv_fused_cursor_all(f, &cursor));
        assert_int_equal(akv_fused_cursor_count(&cursor), n);
        for (size_t k = 0; k < n; k++) {
            golden_bytes key = c->keys[order[k]], value = c->values[order[k]];

            assert_ok(akv_fused_cursor_next(&cursor));
            golden_same(c->name, key, cursor.key);
            golden_same(c->name, value, cursor.object);
            assert_ok(akv_fused_get(f, cursor.key, &object));
            golden_same(c->name, value, object);
            assert_ok(akv_fused_exists(f, cursor.key));
        }
        assert_status(AKV_END, akv_fused_cursor_next(&cursor));
        for (size_t k = n; k-- > 0;) {
            assert_ok(akv_fused_cursor_prev(&cursor));
            golden_same(c->name, c->keys[order[k]], cursor.key);
        }
        assert_status(AKV_END, akv_fused_cursor_prev(&cursor));
        akv_fused_close(f);
    }
}

static void test_golden_prefixes_find_what_the_original_finds(void **state)
{
    size_t scans = 0;

    (void)state;
    for (size_t i = 0; i < golden_cases_n; i++) {
        const golden_case *c = &golden_cases[i];

        for (size_t s = 0; s < c->scans_n; s++, scans++) {
            const golden_scan *scan = &c->scans[s];
            akv_fused         *f;
            akv_fused_cursor   cursor;

            golden_open(c->name, true, &f);
            assert_ok(akv_fused_cursor_prefix(f, akv_bytes(scan->prefix.data, scan->prefix.len),
                                              &cursor));
            assert_int_equal(akv_fused_cursor_count(&cursor), scan->n);
            for (size_t k = 0; k < scan->n; k++) {
                assert_ok(akv_fused_cursor_next(&cursor));
                golden_same(c->name, scan->keys[k], cursor.key);
            }
            assert_status(AKV_END, akv_fused_cursor_next(&cursor));
            akv_fused_close(f);
        }
    }
    assert_int_equal(scans, 8);
}

static void test_golden_reading_all_fails_where_the_original_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < golden_cases_n; i++) {
        const golden_case *c  = &golden_cases[i];
        akv_status         st = AKV_OK;
        akv_fused         *f;
        akv_fused_cursor   cursor;

        if (golden_status(c->open_unverified) != AKV_OK)
            continue;
        golden_open(c->name, false, &f);
        assert_ok(akv_fused_cursor_all(f, &cursor));
        while (st == AKV_OK)
            st = akv_fused_cursor_next(&cursor);
        if ((st == AKV_END) != (golden_status(c->read_all) == AKV_OK))
            fail_msg("%s: %s", c->name, akv_status_name(st));
        if (st != AKV_END)
            assert_true(akv_last_error()->offset != AKV_NO_OFFSET);
        akv_fused_close(f);
    }
}

typedef struct golden_faults {
    size_t   n;
    uint64_t first;
    char     text[512];
} golden_faults;

static void golden_fault(void *user, const akv_error *fault)
{
    golden_faults *faults = user;

    assert_int_equal(fault->code, AKV_CORRUPT);
    assert_true(fault->offset != AKV_NO_OFFSET);
    if (faults->n++ == 0) {
        faults->first = fault->offset;
        snprintf(faults->text, sizeof faults->text, "%s", fault->text);
    }
}

/* Damage is what the original's verify refuses; the rest it lets pass. */
static void test_golden_verify_tells_damage_and_more(void **state)
{
    static const struct {
        const char *name;
        uint64_t    order, duplicates, counts, offset;
    } odd[] = {
        {"x_dup_index_key.fsdb", 0, 1, 0, 64},       {"x_unsorted_index.fsdb", 1, 0, 0, 75},
        {"x_num_objects_wrong.fsdb", 0, 0, 1, 12},   {"x_num_keys_low.fsdb", 0, 0, 1, 8},
        {"x_data_offset_ignored.fsdb", 0, 0, 1, 24},
    };

    (void)state;
    for (size_t i = 0; i < golden_cases_n; i++) {
        const golden_case *c      = &golden_cases[i];
        akv_fused_report   r      = AKV_FUSED_REPORT_INIT;
        akv_job_options    job    = AKV_JOB_OPTIONS_INIT;
        golden_faults      faults = {0};
        akv_fused         *f;
        akv_status         st;
        uint64_t           damage, all;

        if (golden_status(c->open_unverified) != AKV_OK)
            continue;
        golden_open(c->name, false, &f);
        job.fault = golden_fault;
        job.user  = &faults;
        st        = akv_fused_verify(f, &job, &r);
        damage    = r.file_crc_faults + r.object_crc_faults + r.offset_faults;
        all       = damage + r.order_faults + r.duplicate_faults + r.count_faults;
        if ((damage == 0) != (golden_status(c->verify) == AKV_OK))
            fail_msg("%s: %llu damaged: %s", c->name, (unsigned long long)damage, faults.text);
        assert_int_equal(st, all ? AKV_CORRUPT : AKV_OK);
        assert_int_equal(faults.n, all);
        if (st == AKV_CORRUPT)
            assert_string_equal(akv_last_error()->text, faults.text);
        if (golden_originals(c))
            assert_int_equal(all, 0);
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
            if (strcmp(odd[k].name, c->name) != 0)
                continue;
            assert_int_equal(damage, 0);
            assert_int_equal(r.order_faults, odd[k].order);
            assert_int_equal(r.duplicate_faults, odd[k].duplicates);
            assert_int_equal(r.count_faults, odd[k].counts);
            assert_int_equal(faults.first, odd[k].offset);
        }
        akv_fused_close(f);
    }
}

static void test_golden_info_has_the_originals_stats(void **state)
{
    (void)state;
    for (size_t i = 0; i < golden_cases_n; i++) {
        const golden_case *c    = &golden_cases[i];
        akv_fused_info     info = AKV_FUSED_INFO_INIT;
        akv_fused         *f;

        if (golden_status(c->open_unverified) != AKV_OK)
            continue;
        golden_open(c->name, false, &f);
        assert_ok(akv_fused_info_get(f, &info));
        assert_string_equal(info.path, golden_path(c->name));
        assert_int_equal(info.version, 2);
        assert_int_equal(info.num_keys, c->num_keys);
        assert_int_equal(info.num_objects, c->num_objects);
        assert_int_equal(info.index_offset, c->index_offset);
        assert_int_equal(info.data_offset, 40);
        assert_int_equal(info.file_size, c->file_size);
        assert_true(info.file_size_kb * 1024 == (double)c->file_size);
        assert_string_equal(info.file_crc32, c->crc);
        akv_fused_close(f);
    }
}

/* The calls that made a file, from the bytes it holds: its objects in their
 * order, then its keys, forwards or backwards. */
static void golden_rebuild(const golden_case *c, const char *path, bool backwards)
{
    size_t                   len, objects = 0, keys = 0;
    uint8_t                 *file = akvt_read_file(golden_path(c->name), &len);
    uint64_t                 offsets[ITEMS_MAX], entries[ITEMS_MAX];
    akv_fused_writer        *w;
    uint32_t                 id;
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;

    opt.flags = AKV_FUSED_PLAIN;
    assert_ok(akv_fused_writer_new(&opt, &w));
    for (uint64_t at = 40; at < c->index_offset; at += 8 + akvi_get_be32(file + at)) {
        assert_true(objects < ITEMS_MAX);
        offsets[objects] = at;
        assert_ok(akv_fused_add_object(w, akv_bytes(file + at + 8, akvi_get_be32(file + at)), &id));
        assert_int_equal(id, objects++);
    }
    for (uint64_t at = c->index_offset; at < len; at += 10u + akvi_get_be16(file + at)) {
        assert_true(keys < ITEMS_MAX);
        entries[keys++] = at;
    }
    for (size_t i = 0; i < keys; i++) {
        const uint8_t *entry = file + entries[backwards ? keys - 1 - i : i];
        size_t         key   = akvi_get_be16(entry);

        for (id = 0; id < objects && offsets[id] != akvi_get_be64(entry + 2 + key); id++)
            ;
        assert_ok(akv_fused_add_key(w, akv_bytes(entry + 2, key), id));
    }
    assert_ok(akv_fused_build(w, path, NULL));
    akv_fused_writer_free(w);
    free(file);
}

static void test_golden_files_of_the_original_are_built_byte_for_byte(void **state)
{
    char   path[4200];
    size_t built = 0;

    (void)state;
    snprintf(path, sizeof path, "%s/again.fsdb", akvt_folder());
    for (size_t i = 0; i < golden_cases_n; i++) {
        for (int backwards = 0; backwards < 2 && golden_originals(&golden_cases[i]); backwards++) {
            size_t   want_len, got_len;
            uint8_t *want, *got;

            golden_rebuild(&golden_cases[i], path, backwards);
            want = akvt_read_file(golden_path(golden_cases[i].name), &want_len);
            got  = akvt_read_file(path, &got_len);
            if (got_len != want_len || memcmp(got, want, got_len) != 0)
                fail_msg("%s: built again, it differs", golden_cases[i].name);
            free(want);
            free(got);
            built++;
        }
    }
    assert_int_equal(built, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_all_files_are_listed),
        cmocka_unit_test(test_golden_opens_as_the_original_does),
        cmocka_unit_test(test_golden_errors_name_the_offset),
        cmocka_unit_test(test_golden_items_come_in_order),
        cmocka_unit_test(test_golden_prefixes_find_what_the_original_finds),
        cmocka_unit_test(test_golden_reading_all_fails_where_the_original_does),
        cmocka_unit_test(test_golden_verify_tells_damage_and_more),
        cmocka_unit_test(test_golden_info_has_the_originals_stats),
        cmocka_unit_test(test_golden_files_of_the_original_are_built_byte_for_byte),
    };
    return cmocka_run_group_tests(tests, golden_setup, golden_teardown);
}
