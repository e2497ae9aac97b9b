/* SPDX-License-Identifier: MIT
 *
 * lsm_table_body.h: entries in order, made at random, and tables of them.
 */
#ifndef AKVT_LSM_TABLE_BODY_H
#define AKVT_LSM_TABLE_BODY_H

#include "tests/testing.h"

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/env/file.h"
#include "engines/lsm/table.h"

#include <anykv/env.h>
#include <stdlib.h>
#include <string.h>

typedef struct body_model {
    lsm_entry *entries; /* in order */
    size_t     n;
    lsm_entry  ranges[8];
    size_t     ranges_n;
    akvi_arena arena;
} body_model;

static inline int body_compare(const void *a, const void *b)
{
    const lsm_entry *x = a, *y = b;

    return lsm_order(x->key, x->seq, y->key, y->seq);
}

/* A key that has a prefix with many others, and may be empty or long. */
static inline akv_slice body_key(akvi_arena *arena, akvt_random *r)
{
    static const char *const begins[] = {"", "user/", "user/0000", "the same beginning of all/",
                                         "z"};
    char                     text[400];
    const char              *begin = begins[akvt_below(r, AKVI_ARRAY_N(begins))];
    size_t len = strlen(begin), tail = akvt_below(r, 40) ? akvt_below(r, 12) : akvt_below(r, 300);
    void  *copy;

    memcpy(text, begin, len);
    for (size_t i = 0; i < tail; i++)
        text[len++] = (char)(akvt_below(r, 8) ? '0' + akvt_below(r, 4) : akvt_below(r, 256));
    copy = akvi_arena_copy(arena, text, len);
    assert_non_null(copy);
    return akv_bytes(copy, len);
}

static inline akv_slice body_value(akvi_arena *arena, akvt_random *r, size_t most)
{
    size_t   len   = akvt_below(r, 60) ? akvt_below(r, 90) : akvt_below(r, most);
    uint8_t *bytes = akvi_arena_alloc(arena, len + 1);

    assert_non_null(bytes);
    memset(bytes, (int)akvt_below(r, 256), len);
    akvt_fill(r, bytes, len / 3);
    return akv_bytes(bytes, len);
}

/* Some `n` entries of fewer keys, with versions, deletes, expiries, encodings. */
static inline void body_make(body_model *m, akvt_random *r, size_t n)
{
    akv_slice key = {NULL, 0};

    akvi_arena_init(&m->arena, NULL);
    m->entries  = calloc(n + 1, sizeof *m->entries);
    m->n        = n;
    m->ranges_n = 0;
    assert_non_null(m->entries);
    for (size_t i = 0; i < n; i++) {
        lsm_entry *e = &m->entries[i];

        if (i == 0 || akvt_below(r, 3))
            key = body_key(&m->arena, r);
        *e = (lsm_entry){.key = key, .seq = i * 3 + 1, .kind = LSM_PUT};
        if (akvt_below(r, 6) == 0) {
            e->kind = LSM_DELETE;
            continue;
        }
        e->value = body_value(&m->arena, r, 20000);
        if (akvt_below(r, 5) == 0)
            e->expiry_ms = akvt_next(r) >> akvt_below(r, 60);
        if (akvt_below(r, 5) == 0)
            e->encoding = (uint8_t)akvt_below(r, 5);
    }
    if (n)
        qsort(m->entries, n, sizeof *m->entries, body_compare);
}

static inline void body_free(body_model *m)
{
    free(m->entries);
    akvi_arena_free(&m->arena);
}

/* Write the model's table to `path`. */
static inline void body_write(akv_env *env, const char *path, const body_model *m,
                              const lsm_table_options *opt, lsm_table_info *info_out)
{
    lsm_builder  *b;
    akv_file     *file;
    uint64_t      size;
    akv_file_info info;

    assert_ok(
        env->ops->open(env, path, AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_TRUNCATE, &file));
    assert_ok(akvi_lsm_builder_new(NULL, file, path, opt, &b));
    for (size_t i = 0; i < m->ranges_n; i++)
        assert_ok(akvi_lsm_builder_add_range(b, &m->ranges[i]));
    for (size_t i = 0; i < m->n; i++)
        assert_ok(akvi_lsm_builder_add(b, &m->entries[i]));
    assert_ok(akvi_lsm_builder_finish(b, info_out));
    size = info_out->size;
    assert_ok(file->ops->info(file, &info));
    assert_int_equal(info.size, size);
    assert_int_equal(akvi_lsm_builder_size(b), size);
    akvi_lsm_builder_free(b);
    assert_ok(file->ops->close(file));
}

static inline akv_status body_open(akv_env *env, const char *path, bool mapped, lsm_cache *cache,
                                   lsm_table **table_out)
{
    static uint64_t number; /* never one twice, as in a store */
    akv_file       *file;

    assert_ok(env->ops->open(env, path, 0, &file));
    return akvi_lsm_table_open(NULL, file, path, ++number, mapped, cache, table_out);
}

static inline bool body_same(const lsm_entry *a, const lsm_entry *b)
{
    return akvi_equal(a->key.data, a->key.len, b->key.data, b->key.len) &&
           akvi_equal(a->value.data, a->value.len, b->value.data, b->value.len) &&
           a->seq == b->seq && a->expiry_ms == b->expiry_ms && a->kind == b->kind &&
           a->encoding == b->encoding;
}

/* The index of the model's first entry at or after (key, seq). */
static inline size_t body_seek(const body_model *m, akv_slice key, uint64_t seq)
{
    size_t low = 0, high = m->n;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (lsm_order(m->entries[mid].key, m->entries[mid].seq, key, seq) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

#endif
