/* SPDX-License-Identifier: MIT
 *
 * fuzz_fused.c: any bytes as a .fsdb file. What opens must scan in order, find
 * every key it lists, be verified to the end, and, when all of it can be read,
 * be built again into a file that holds the same. A hash section is tried as it
 * is, and once more with its descriptor's checksum mended, which mutations
 * hardly ever meet.
 */
#include "common/codec/crc.h"
#include "engines/fused/format.h"

#include <anykv/env.h>
#include <anykv/fused.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_KEYS 64u /* looked up in one batch */

static akv_env *fuzz_env(void)
{
    static akv_env *env;

    if (!env && akv_env_memory_new(NULL, &env) != AKV_OK)
        abort();
    return env;
}

static void fuzz_must(bool truth)
{
    if (!truth)
        abort();
}

static void fuzz_put(const uint8_t *data, size_t len)
{
    akv_env  *env = fuzz_env();
    akv_file *file;

    fuzz_must(env->ops->open(env, "in.fsdb", AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_TRUNCATE,
                             &file) == AKV_OK);
    fuzz_must(len == 0 || file->ops->append(file, data, len) == AKV_OK);
    fuzz_must(file->ops->close(file) == AKV_OK);
}

static akv_status fuzz_open(const char *path, bool verify, akv_fused **f_out)
{
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;

    opt.verify_on_open = verify;
    opt.mode           = AKV_FUSED_READ;
    opt.env            = fuzz_env();
    return akv_fused_open(path, &opt, f_out);
}

static int fuzz_compare(akv_slice a, akv_slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int    c = n ? memcmp(a.data, b.data, n) : 0;

    return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* Every call on a file whose hash section is not that of its index: answers may
 * be wrong, and moves off the index are told. */
static void fuzz_unsound(const akv_fused *f)
{
    akv_fused_cursor c;
    akv_slice        object;

    fuzz_must(akv_fused_cursor_all(f, &c) == AKV_OK);
    while (akv_fused_cursor_next(&c) != AKV_END)
        (void)akv_fused_get(f, c.key, &object);
    for (uint64_t i = 0; i < akv_fused_count(f) + 1; i++)
        (void)akv_fused_cursor_prev(&c);
    (void)akv_fused_exists(f, akv_str("k"));
    (void)akv_fused_cursor_prefix(f, akv_str("6"), &c);
    (void)akv_fused_cursor_last(&c);
}

/* Forwards and back; returns whether every object could be read. */
static bool fuzz_scan(const akv_fused *f)
{
    akv_slice        keys[FUZZ_KEYS], objects[FUZZ_KEYS], before = {NULL, 0}, object;
    akv_status       statuses[FUZZ_KEYS], st;
    akv_fused_cursor c;
    uint64_t         n   = 0;
    bool             all = true;

    fuzz_must(akv_fused_cursor_all(f, &c) == AKV_OK);
    while ((st = akv_fused_cursor_next(&c)) != AKV_END) {
        fuzz_must(n == 0 || fuzz_compare(before, c.key) < 0);
        fuzz_must(akv_fused_get(f, c.key, &object) == st && object.data == c.object.data);
        all &= st == AKV_OK;
        before = c.key;
        if (n < FUZZ_KEYS)
            keys[n] = c.key;
        n++;
    }
    fuzz_must(n == akv_fused_count(f));
    for (uint64_t i = 0; i < n; i++)
        fuzz_must(akv_fused_cursor_prev(&c) != AKV_END);
    fuzz_must(akv_fused_cursor_prev(&c) == AKV_END);
    n = n < FUZZ_KEYS ? n : FUZZ_KEYS;
    (void)akv_fused_get_many(f, (size_t)n, keys, objects, statuses);
    for (uint64_t i = 0; i < n; i++) {
        fuzz_must(akv_fused_cursor_seek(&c, keys[i]) == statuses[i]);
        fuzz_must(fuzz_compare(c.key, keys[i]) == 0 && c.object.data == objects[i].data);
        fuzz_must(akv_fused_cursor_seek_for_prev(&c, keys[i]) == statuses[i]);
        fuzz_must(fuzz_compare(c.key, keys[i]) == 0);
    }
    return all;
}

static int fuzz_object(void *user, akv_slice object, uint64_t offset)
{
    (void)offset;
    *(size_t *)user += object.len;
    return 0;
}

static void fuzz_rebuild(const akv_fused *f)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *w;
    akv_fused               *again;
    akv_fused_cursor         c, d;
    uint32_t                 id;

    opt.env = fuzz_env();
    fuzz_must(akv_fused_writer_new(&opt, &w) == AKV_OK);
    fuzz_must(akv_fused_cursor_all(f, &c) == AKV_OK);
    /* Backwards, so that there is something to sort. */
    for (akv_status st = akv_fused_cursor_last(&c); st == AKV_OK; st = akv_fused_cursor_prev(&c)) {
        fuzz_must(akv_fused_add_deduped(w, c.object, &id) == AKV_OK);
        fuzz_must(akv_fused_add_key(w, c.key, id) == AKV_OK);
    }
    fuzz_must(akv_fused_build(w, "out.fsdb", NULL) == AKV_OK);
    akv_fused_writer_free(w);
    fuzz_must(fuzz_open("out.fsdb", true, &again) == AKV_OK);
    fuzz_must(akv_fused_verify(again, NULL, NULL) == AKV_OK);
    fuzz_must(akv_fused_cursor_all(f, &c) == AKV_OK && akv_fused_cursor_all(again, &d) == AKV_OK);
    while (akv_fused_cursor_next(&c) == AKV_OK) {
        fuzz_must(akv_fused_cursor_next(&d) == AKV_OK);
        fuzz_must(fuzz_compare(c.key, d.key) == 0 && fuzz_compare(c.object, d.object) == 0);
    }
    fuzz_must(akv_fused_cursor_next(&d) == AKV_END);
    akv_fused_close(again);
}

static void fuzz_file(const uint8_t *data, size_t len)
{
    akv_fused_info info  = AKV_FUSED_INFO_INIT;
    size_t         bytes = 0;
    akv_fused     *f;

    fuzz_put(data, len);
    if (fuzz_open("in.fsdb", true, &f) == AKV_OK)
        akv_fused_close(f);
    if (fuzz_open("in.fsdb", false, &f) != AKV_OK)
        return;
    fuzz_must(akv_fused_info_get(f, &info) == AKV_OK);
    (void)akv_fused_objects(f, fuzz_object, &bytes);
    (void)akv_fused_ip_index(f);
    if (akv_fused_verify(f, NULL, NULL) != AKV_OK && info.section == AKV_FUSED_SECTION_USED)
        fuzz_unsound(f);
    else if (fuzz_scan(f) && bytes < 1 << 20)
        fuzz_rebuild(f);
    akv_fused_close(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *mended, *trailer;
    uint32_t crc;

    fuzz_file(data, len);
    if (len < FUSED_HEADER + FUSED_DESCRIPTOR ||
        memcmp(data + len - 8, FUSED_SECTION_MAGIC, 8) != 0)
        return 0;
    fuzz_must((mended = malloc(len)) != NULL);
    memcpy(mended, data, len);
    mended[FUSED_AT_FLAGS] |= FUSED_FLAG_SECTION;
    trailer = mended + len - FUSED_DESCRIPTOR;
    akvi_put_be64(trailer + 8, len - akvi_get_be64(trailer));
    crc = akvi_crc32(akvi_crc32(0, mended, FUSED_AT_CRC), trailer, FUSED_DESCRIPTOR_CRC);
    akvi_put_be32(trailer + FUSED_DESCRIPTOR_CRC, crc);
    fuzz_file(mended, len);
    free(mended);
    return 0;
}
