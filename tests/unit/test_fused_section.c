/* SPDX-License-Identifier: MIT
 *
 * test_fused_section.c: the hash section of .fsdb files: what it answers, that
 * nothing about it is trusted, and that a file outlives its damage.
 */
#include "common/map/hash.h"
#include "engines/fused/section.h"
#include "tests/unit/fused_raw.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KEYS 1000u

typedef struct section_state {
    akv_env *env;
    uint8_t *file; /* KEYS keys, with a section */
    size_t   len;
    uint8_t *bad;
} section_state;

static akv_slice section_key(char room[32], unsigned i)
{
    return akv_bytes(room, (size_t)snprintf(room, 32, "%u.key.%u", i * 7919u % KEYS, i));
}

static void section_build(section_state *s, const char *path, unsigned keys, uint32_t flags)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w;
    uint32_t                 id;
    char                     room[32];

    opt.env   = s->env;
    opt.flags = flags;
    assert_ok(akv_fused_writer_new(&opt, &w));
    for (unsigned i = 0; i < keys; i++) {
        char object[32];

        snprintf(object, sizeof object, "object %u", i % 50);
        assert_ok(akv_fused_add_deduped(w, akv_str(object), &id));
        assert_ok(akv_fused_add_key(w, section_key(room, i), id));
    }
    assert_ok(akv_fused_build(w, path, NULL));
    akv_fused_writer_free(w);
}

static uint8_t *section_load(section_state *s, const char *path, size_t *len_out)
{
    akv_file     *file;
    akv_file_info info;
    uint8_t      *data;
    size_t        got = 0;

    assert_ok(s->env->ops->open(s->env, path, 0, &file));
    assert_ok(file->ops->info(file, &info));
    *len_out = (size_t)info.size;
    data     = malloc(*len_out);
    assert_non_null(data);
    assert_ok(file->ops->read_at(file, data, *len_out, 0, &got));
    assert_int_equal(got, *len_out);
    assert_ok(file->ops->close(file));
    return data;
}

static int section_setup(void **state)
{
    static section_state s;

    assert_ok(akv_env_memory_new(NULL, &s.env));
    section_build(&s, "good.fsdb", KEYS, 0);
    s.file = section_load(&s, "good.fsdb", &s.len);
    s.bad  = malloc(s.len);
    assert_non_null(s.bad);
    *state = &s;
    return 0;
}

static int section_teardown(void **state)
{
    section_state *s = *state;

    free(s->file);
    free(s->bad);
    akv_env_memory_free(s->env);
    return 0;
}

static void section_put(section_state *s, const void *data, size_t len)
{
    akv_file *file;

    assert_ok(s->env->ops->open(s->env, "bad.fsdb",
                                AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_TRUNCATE, &file));
    if (len > 0)
        assert_ok(file->ops->append(file, data, len));
    assert_ok(file->ops->close(file));
}

static akv_status section_open(section_state *s, const char *path, uint32_t check,
                               akv_fused **f_out)
{
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;

    opt.verify_on_open = check;
    opt.env            = s->env;
    opt.mode           = AKV_FUSED_READ; /* a heap block: reading past it is noticed */
    return akv_fused_open(path, &opt, f_out);
}

static uint32_t section_of(const akv_fused *f)
{
    akv_fused_info info = AKV_FUSED_INFO_INIT;

    assert_ok(akv_fused_info_get(f, &info));
    return info.section;
}

/* That all keys and none but those are there, in each way to ask. */
static void section_has_all(const akv_fused *f, unsigned keys)
{
    akv_slice        ask[64], got[64], object, before = {NULL, 0};
    akv_status       statuses[64];
    char             rooms[64][32], want[32];
    akv_fused_cursor c;
    unsigned         n = 0;

    assert_int_equal(akv_fused_count(f), keys);
    for (unsigned i = 0; i < keys; i++) {
        akv_slice key = section_key(rooms[0], i);

        snprintf(want, sizeof want, "object %u", i % 50);
        assert_ok(akv_fused_get(f, key, &object));
        assert_slice(object, want);
        key.len--;
        assert_status(AKV_ABSENT, akv_fused_exists(f, akv_bytes(key.data, 0)));
    }
    for (unsigned i = 0; i < 64; i++)
        ask[i] = section_key(rooms[i], i % 2 ? i : i + KEYS);
    assert_ok(akv_fused_get_many(f, 64, ask, got, statuses));
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(statuses[i], i % 2 && i < keys ? AKV_OK : AKV_ABSENT);
    assert_ok(akv_fused_cursor_all(f, &c));
    for (; akv_fused_cursor_next(&c) == AKV_OK; n++) {
        assert_true(n == 0 || akvi_compare(before.data, before.len, c.key.data, c.key.len) < 0);
        before = c.key;
    }
    assert_int_equal(n, keys);
    for (n = 0; akv_fused_cursor_prev(&c) == AKV_OK; n++)
        ;
    assert_int_equal(n, keys);
}

/* Whatever the answers. */
static void section_use(const akv_fused *f)
{
    akv_slice        ask[64], got[64], object;
    akv_status       statuses[64];
    char             rooms[64][32];
    akv_fused_cursor c;

    for (unsigned i = 0; i < KEYS; i += 97)
        (void)akv_fused_get(f, section_key(rooms[0], i), &object);
    for (unsigned i = 0; i < 64; i++)
        ask[i] = section_key(rooms[i], i * 3);
    (void)akv_fused_get_many(f, 64, ask, got, statuses);
    assert_ok(akv_fused_cursor_prefix(f, akv_str("4"), &c));
    for (unsigned i = 0; i < 40; i++)
        (void)akv_fused_cursor_next(&c);
    assert_ok(akv_fused_cursor_all(f, &c));
    (void)akv_fused_cursor_last(&c);
    (void)akv_fused_cursor_prev(&c);
    (void)akv_fused_cursor_seek(&c, akv_str("7"));
}

/* --------------------------------------------------------------- the section */

static void test_fused_section_answers_as_the_index_does(void **state)
{
    static const unsigned counts[] = {1, 2, 15, 16, 17, 64, KEYS};
    section_state        *s        = *state;

    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (uint32_t flags = 0; flags <= AKV_FUSED_PLAIN; flags++) {
            akv_fused_report report = AKV_FUSED_REPORT_INIT;
            akv_fused       *f;

            section_build(s, "n.fsdb", counts[i], flags);
            assert_ok(section_open(s, "n.fsdb", AKV_FUSED_CHECK_AUTO, &f));
            assert_int_equal(section_of(f),
                             flags ? AKV_FUSED_SECTION_NONE : AKV_FUSED_SECTION_USED);
            section_has_all(f, counts[i]);
            assert_ok(akv_fused_verify(f, NULL, &report));
            assert_int_equal(report.keys, counts[i]);
            akv_fused_close(f);
            assert_ok(section_open(s, "n.fsdb", AKV_FUSED_CHECK_ALWAYS, &f));
            akv_fused_close(f);
        }
    }
}

static void test_fused_section_leaves_the_rest_as_the_original_writes_it(void **state)
{
    section_state *s = *state;
    size_t         len;
    uint8_t       *plain;

    section_build(s, "plain.fsdb", KEYS, AKV_FUSED_PLAIN);
    plain = section_load(s, "plain.fsdb", &len);
    assert_true(len < s->len);
    assert_memory_equal(plain, s->file, 5);
    assert_int_equal(s->file[5], FUSED_FLAG_SECTION);
    assert_memory_equal(plain + 6, s->file + 6, 26);
    assert_memory_equal(plain + 40, s->file + 40, len - 40);
    assert_int_equal(akvi_get_be32(s->file + 32), akvi_crc32(0, s->file + 40, s->len - 40));
    assert_true(s->len - len <= KEYS * 12 + 256);
    free(plain);
}

static void test_fused_section_is_the_same_bytes_on_every_machine(void **state)
{
    section_state *s = *state;
    size_t         len;
    uint8_t       *file;

    assert_true(akvi_hash("anykv", 5, 7) == UINT64_C(0x21ba969002064de8));
    assert_true(akvi_hash("a key of more than thirty-two bytes", 35, 7) ==
                UINT64_C(0x9fb006a6252cf85c));
    section_build(s, "n.fsdb", 20, 0);
    file = section_load(s, "n.fsdb", &len);
    assert_int_equal(akvi_crc32(0, file, len), 0xc3983279);
    free(file);
}

static void test_fused_section_open_allocates_nothing_by_the_keys(void **state)
{
    section_state    *s   = *state;
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;
    akv_fused_info    few = AKV_FUSED_INFO_INIT, many = AKV_FUSED_INFO_INIT;
    char              path[4200];
    akv_fused        *f;

    snprintf(path, sizeof path, "%s/few.fsdb", akvt_folder());
    for (unsigned keys = 10; keys <= KEYS; keys += KEYS - 10) {
        section_state posix = *s;

        posix.env = akv_env_posix();
        section_build(&posix, path, keys, 0);
        assert_ok(akv_fused_open(path, &opt, &f));
        assert_ok(akv_fused_info_get(f, keys == 10 ? &few : &many));
        section_has_all(f, keys);
        akv_fused_close(f);
    }
    assert_true(few.mapped && many.mapped);
    assert_int_equal(few.memory, many.memory);
}

/* A file of 5 GiB, nearly all of it a hole, whose section lies past 4 GiB and is
 * of the kind for such files. It is made by hand: its CRC is not looked at. */
static void test_fused_section_reaches_past_4_gib(void **state)
{
    const uint64_t      at   = UINT64_C(5) << 30;
    akv_buffer          head = AKV_BUFFER_INIT, tail = AKV_BUFFER_INIT;
    fused_section       s = {.seed = 7, .reach = 1};
    fused_section_parts parts;
    fused_table         table;
    akv_slice           object;
    akv_fused          *f;
    char                path[4200], name[8];
    int                 fd;

    (void)state;
    if (sizeof(size_t) < 8)
        skip();
    raw_header(&head);
    raw_bytes(&head)[FUSED_AT_FLAGS] = FUSED_FLAG_SECTION;
    akvi_put_be32(raw_bytes(&head) + FUSED_AT_NUM_KEYS, 40);
    raw_header(&tail);
    raw_object(&tail, "far");
    akvi_put_be64(raw_bytes(&head) + FUSED_AT_INDEX, at + tail.len);
    s.groups = (uint32_t)akvi_fused_table_groups(40);
    assert_ok(akvi_fused_table_new(NULL, 40, akvi_fused_table_shape(40 * 13, at + tail.len), s.seed,
                                   &table));
    s.offset = at + tail.len + 40 * 13;
    akvi_fused_section_parts(s.offset, s.groups, 40, &parts);
    assert_true(parts.sample_size == 8);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "k%02u", i);
        raw_entry(&tail, akv_str(name), at + 40);
        akvi_fused_table_add(&table, akvi_hash(name, 3, s.seed), i * 13, at + 40);
    }
    s.reach  = table.reach;
    s.length = parts.end - s.offset;
    (void)raw_extend(&tail, (size_t)s.length);
    memcpy(raw_bytes(&tail) + (parts.table - at), table.groups, table.groups_n * TABLE_GROUP);
    for (unsigned i = 0; i < 3; i++)
        akvi_put_be64(raw_bytes(&tail) + (parts.samples - at) + i * 8, i * 16 * 13);
    akvi_fused_section_write(&s, head.data, raw_bytes(&tail) + (s.offset - at));
    akvi_fused_section_write(&s, head.data, raw_bytes(&tail) + (parts.trailer - at));
    akvi_fused_table_free(NULL, &table);

    snprintf(path, sizeof path, "%s/sparse.fsdb", akvt_folder());
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, head.data, 40, 0), 40);
    assert_int_equal(pwrite(fd, raw_bytes(&tail) + 40, tail.len - 40, (off_t)at + 40),
                     tail.len - 40);
    close(fd);
    assert_ok(akv_fused_open(path, NULL, &f));
    assert_int_equal(section_of(f), AKV_FUSED_SECTION_USED);
    for (unsigned i = 0; i < 40; i++) {
        akv_fused_cursor c;

        snprintf(name, sizeof name, "k%02u", i);
        assert_ok(akv_fused_get(f, akv_str(name), &object));
        assert_slice(object, "far");
        assert_ok(akv_fused_cursor_all(f, &c));
        assert_ok(akv_fused_cursor_seek(&c, akv_str(name)));
        assert_slice(c.key, name);
    }
    assert_status(AKV_ABSENT, akv_fused_exists(f, akv_str("k40")));
    akv_fused_close(f);
    akv_buffer_free(&head);
    akv_buffer_free(&tail);
    unlink(path);
}

/* -------------------------------------------------------------------- damage */

static uint8_t *section_copy(section_state *s)
{
    memcpy(s->bad, s->file, s->len);
    return s->bad;
}

static void section_fix_crc(uint8_t *file, size_t len)
{
    akvi_put_be32(file + 32, akvi_crc32(0, file + 40, len - 40));
}

static void test_fused_section_damage_of_any_byte_is_survived_and_told(void **state)
{
    section_state *s     = *state;
    uint64_t       begin = akvi_get_be64(s->file + s->len - FUSED_DESCRIPTOR);

    for (uint64_t at = begin; at < s->len; at += at < begin + 300 || at > s->len - 100 ? 1 : 13) {
        bool             trailer = at >= s->len - FUSED_DESCRIPTOR;
        akv_fused_report report  = AKV_FUSED_REPORT_INIT;
        akv_fused       *f;

        section_copy(s)[at] ^= 0x10;
        section_put(s, s->bad, s->len);
        assert_ok(section_open(s, "bad.fsdb", AKV_FUSED_CHECK_ALWAYS, &f));
        assert_int_equal(section_of(f), AKV_FUSED_SECTION_DAMAGED);
        section_use(f);
        if (at % 16 == 0)
            section_has_all(f, KEYS);
        assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, &report));
        assert_int_equal(report.section_faults, 1);
        assert_int_equal(report.file_crc_faults, 1);
        assert_int_equal(report.count_faults + report.offset_faults + report.order_faults, 0);
        akv_fused_close(f);

        assert_ok(section_open(s, "bad.fsdb", AKV_FUSED_CHECK_AUTO, &f));
        assert_int_equal(section_of(f),
                         trailer ? AKV_FUSED_SECTION_DAMAGED : AKV_FUSED_SECTION_USED);
        section_use(f);
        report = (akv_fused_report)AKV_FUSED_REPORT_INIT;
        assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, &report));
        assert_true(report.section_faults > 0);
        akv_fused_close(f);
    }
}

/* The checksums are right, and only the section's meaning is not. */
static void test_fused_section_that_lies_does_no_harm_and_is_told(void **state)
{
    section_state      *s = *state;
    fused_section       section;
    fused_section_parts parts;
    akvt_random         r = akvt_random_new(1);

    assert_true(
        akvi_fused_section_read(s->file + s->len - FUSED_DESCRIPTOR, s->file, s->len, &section));
    akvi_fused_section_parts(section.offset, section.groups, KEYS, &parts);
    for (unsigned round = 0; round < 300; round++) {
        static const uint64_t values[] = {UINT64_MAX, UINT32_MAX, 0, 1, UINT64_C(1) << 63};
        fused_section         lie      = section;
        akv_fused_report      report   = AKV_FUSED_REPORT_INIT;
        uint8_t              *file     = section_copy(s);
        akv_fused            *f;

        switch (round % 4) {
        case 0: /* all groups full and passing on: a look-up must end */
            memset(file + parts.table, 0xc0, section.groups * TABLE_GROUP);
            lie.reach = section.groups;
            break;
        case 1:
            for (uint64_t i = 0; i < section.groups * TABLE_GROUP; i += 8)
                if (i % TABLE_GROUP != 0)
                    akvi_put_be64(file + parts.table + i, values[akvt_below(&r, 5)]);
            break;
        case 2: akvt_fill(&r, file + parts.samples, (size_t)(parts.trailer - parts.samples)); break;
        default: akvt_fill(&r, file + parts.table, section.groups * TABLE_GROUP);
        }
        lie.table_crc = akvi_crc32(0, file + section.offset + FUSED_DESCRIPTOR,
                                   (size_t)(parts.trailer - section.offset) - FUSED_DESCRIPTOR);
        akvi_fused_section_write(&lie, file, file + section.offset);
        akvi_fused_section_write(&lie, file, file + parts.trailer);
        section_fix_crc(file, s->len);
        section_put(s, file, s->len);
        assert_ok(section_open(s, "bad.fsdb", AKV_FUSED_CHECK_ALWAYS, &f));
        assert_int_equal(section_of(f), AKV_FUSED_SECTION_USED);
        section_use(f);
        assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, &report));
        assert_true(report.section_faults > 0);
        assert_int_equal(report.file_crc_faults, 0);
        akv_fused_close(f);
    }
}

static void test_fused_section_with_lying_numbers_is_not_used(void **state)
{
    section_state *s = *state;
    fused_section  good;

    assert_true(
        akvi_fused_section_read(s->file + s->len - FUSED_DESCRIPTOR, s->file, s->len, &good));
    for (unsigned i = 0; i < 9; i++) {
        fused_section lie  = good;
        uint8_t      *file = section_copy(s);
        akv_fused    *f;

        switch (i) {
        case 0: lie.groups = 0; break;
        case 1: lie.groups = UINT32_MAX; break;
        case 2: lie.groups = KEYS / 8 - 1; break;
        case 3: lie.reach = 0; break;
        case 4: lie.reach = good.groups + 1; break;
        case 5: lie.offset = UINT64_MAX; break;
        case 6: lie.offset -= 64; break;
        case 7: lie.length = 0; break;
        default: lie.offset = 0; break;
        }
        akvi_fused_section_write(&lie, file, file + good.offset);
        akvi_fused_section_write(&lie, file, file + s->len - FUSED_DESCRIPTOR);
        section_fix_crc(file, s->len);
        section_put(s, file, s->len);
        assert_ok(section_open(s, "bad.fsdb", AKV_FUSED_CHECK_AUTO, &f));
        assert_int_equal(section_of(f), AKV_FUSED_SECTION_DAMAGED);
        section_has_all(f, KEYS);
        assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, NULL));
        akv_fused_close(f);
    }
}

/* Of a file of three keys, everything: a flip is told by verify, wherever it is
 * but in the four reserved bytes of the header, and until then answers nothing
 * but what is there, a failure, or nothing. */
static void test_fused_section_every_bit_flip_of_a_small_file_is_told(void **state)
{
    static const uint32_t checks[] = {AKV_FUSED_CHECK_NEVER, AKV_FUSED_CHECK_AUTO,
                                      AKV_FUSED_CHECK_ALWAYS};
    section_state        *s        = *state;
    size_t                len;
    uint8_t              *file;

    section_build(s, "small.fsdb", 3, 0);
    file = section_load(s, "small.fsdb", &len);
    for (size_t bit = 0; bit < 8 * len * 3; bit++) {
        size_t     at   = bit / 3 / 8;
        uint8_t    mask = (uint8_t)(1u << bit / 3 % 8);
        akv_fused *f;

        file[at] ^= mask;
        section_put(s, file, len);
        file[at] ^= mask;
        if (section_open(s, "bad.fsdb", checks[bit % 3], &f) != AKV_OK) {
            assert_true(akv_last_error()->offset != AKV_NO_OFFSET);
            continue;
        }
        section_use(f);
        if (bit % 3 == 2)
            section_has_all(f, 3); /* no check lets a wrong answer pass */
        if (akv_fused_verify(f, NULL, NULL) == AKV_OK && !(at >= 36 && at < 40))
            fail_msg("verify missed a flip of mask %#x in byte %zu", mask, at);
        akv_fused_close(f);
    }
    free(file);
}

static void test_fused_section_every_cut_of_a_small_file_is_told(void **state)
{
    section_state *s = *state;
    size_t         len;
    uint8_t       *file;

    section_build(s, "small.fsdb", 3, 0);
    file = section_load(s, "small.fsdb", &len);
    for (size_t cut = 0; cut < len; cut++) {
        akv_fused *f;

        section_put(s, file, cut);
        assert_status(AKV_CORRUPT, section_open(s, "bad.fsdb", AKV_FUSED_CHECK_AUTO, &f));
        if (section_open(s, "bad.fsdb", AKV_FUSED_CHECK_NEVER, &f) != AKV_OK)
            continue;
        section_has_all(f, 3);
        assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, NULL));
        akv_fused_close(f);
    }
    free(file);
}

/* Each look-up of a key that is not there would wait for all of the table. */
static void test_fused_section_that_makes_look_ups_long_is_not_used(void **state)
{
    section_state *s = *state;
    fused_section  section;
    uint8_t       *file;
    size_t         len;

    section_build(s, "long.fsdb", 3000, 0);
    file = section_load(s, "long.fsdb", &len);
    assert_true(akvi_fused_section_read(file + len - FUSED_DESCRIPTOR, file, len, &section));
    assert_true(section.groups > FUSED_REACH_MOST);
    for (uint32_t more = 0; more < 2; more++) {
        akv_fused *f;

        section.reach = FUSED_REACH_MOST + more;
        akvi_fused_section_write(&section, file, file + section.offset);
        akvi_fused_section_write(&section, file, file + len - FUSED_DESCRIPTOR);
        section_fix_crc(file, len);
        section_put(s, file, len);
        assert_ok(section_open(s, "bad.fsdb", AKV_FUSED_CHECK_AUTO, &f));
        assert_int_equal(section_of(f), more ? AKV_FUSED_SECTION_DAMAGED : AKV_FUSED_SECTION_USED);
        assert_int_equal(akv_fused_count(f), 3000);
        akv_fused_close(f);
    }
    free(file);
}

/* The header has no checksum of its own; the section's covers it. */
static void test_fused_section_tells_a_flipped_header(void **state)
{
    section_state *s = *state;

    for (unsigned bit = 0; bit < 32 * 8; bit++) {
        akv_fused *f;

        section_copy(s)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        section_put(s, s->bad, s->len);
        if (section_open(s, "bad.fsdb", AKV_FUSED_CHECK_AUTO, &f) != AKV_OK)
            continue;
        assert_int_not_equal(section_of(f), AKV_FUSED_SECTION_USED);
        section_use(f);
        assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, NULL));
        akv_fused_close(f);
    }
}

static void test_fused_section_does_not_excuse_damaged_contents(void **state)
{
    section_state *s   = *state;
    uint64_t       end = akvi_get_be64(s->file + s->len - FUSED_DESCRIPTOR);

    for (uint64_t at = 40; at < end; at += 37) {
        akv_fused_report report = AKV_FUSED_REPORT_INIT;
        akv_fused       *f;

        section_copy(s)[at] ^= 0x80;
        section_put(s, s->bad, s->len);
        assert_status(AKV_CORRUPT, section_open(s, "bad.fsdb", AKV_FUSED_CHECK_ALWAYS, &f));
        assert_ok(section_open(s, "bad.fsdb", AKV_FUSED_CHECK_AUTO, &f));
        section_use(f);
        assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, &report));
        assert_int_equal(report.file_crc_faults, 1);
        akv_fused_close(f);
    }
}

static void test_fused_section_cut_anywhere_is_told(void **state)
{
    section_state *s   = *state;
    uint64_t       end = akvi_get_be64(s->file + s->len - FUSED_DESCRIPTOR);

    for (uint64_t len = end - 20; len < s->len; len += len < end + 200 ? 1 : 101) {
        akv_fused *f;
        akv_status st;

        memcpy(s->bad, s->file, len);
        section_put(s, s->bad, len);
        st = section_open(s, "bad.fsdb", AKV_FUSED_CHECK_AUTO, &f);
        assert_true(st == AKV_CORRUPT);
        if (section_open(s, "bad.fsdb", AKV_FUSED_CHECK_NEVER, &f) != AKV_OK)
            continue;
        section_has_all(f, KEYS);
        assert_status(AKV_CORRUPT, akv_fused_verify(f, NULL, NULL));
        akv_fused_close(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused_section_answers_as_the_index_does),
        cmocka_unit_test(test_fused_section_leaves_the_rest_as_the_original_writes_it),
        cmocka_unit_test(test_fused_section_is_the_same_bytes_on_every_machine),
        cmocka_unit_test(test_fused_section_open_allocates_nothing_by_the_keys),
        cmocka_unit_test(test_fused_section_reaches_past_4_gib),
        cmocka_unit_test(test_fused_section_damage_of_any_byte_is_survived_and_told),
        cmocka_unit_test(test_fused_section_that_lies_does_no_harm_and_is_told),
        cmocka_unit_test(test_fused_section_with_lying_numbers_is_not_used),
        cmocka_unit_test(test_fused_section_every_bit_flip_of_a_small_file_is_told),
        cmocka_unit_test(test_fused_section_every_cut_of_a_small_file_is_told),
        cmocka_unit_test(test_fused_section_that_makes_look_ups_long_is_not_used),
        cmocka_unit_test(test_fused_section_tells_a_flipped_header),
        cmocka_unit_test(test_fused_section_does_not_excuse_damaged_contents),
        cmocka_unit_test(test_fused_section_cut_anywhere_is_told),
    };
    return cmocka_run_group_tests(tests, section_setup, section_teardown);
}
