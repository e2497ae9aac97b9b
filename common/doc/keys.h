/* SPDX-License-Identifier: MIT
 *
 * keys.h: finds keys that a map has twice.
 *
 * A stack of the keys of all open maps. When a map ends its keys are sorted
 * and equal neighbours found, so neither hashing nor recursion is needed and
 * hostile keys cost no more than others.
 */
#ifndef AKVI_DOC_KEYS_H
#define AKVI_DOC_KEYS_H

#include "common/base/buffer.h"

#include <anykv/doc.h>

typedef struct akvi_doc_keys {
    akv_buffer entries; /* of key_entry */
    akv_buffer copies;  /* bytes of keys that don't stand in the text as they are */
    akv_buffer dropped; /* of uint64_t: offsets of keys that a later one replaces */
    size_t     dropped_at;
} akvi_doc_keys;

void akvi_doc_keys_init(akvi_doc_keys *keys, const akv_allocator *allocator);
void akvi_doc_keys_free(akvi_doc_keys *keys);

/* Where a map's keys begin. */
typedef struct akvi_doc_keys_mark {
    size_t entries, copies;
} akvi_doc_keys_mark;

akvi_doc_keys_mark akvi_doc_keys_begin(const akvi_doc_keys *keys);
/* Add a key; for a container its bytes are set when it ends, by
 * akvi_doc_keys_set. `borrowed`: its bytes stay; else they are copied. */
AKVI_MUST_USE akv_status akvi_doc_keys_add(akvi_doc_keys *keys, const akv_doc_event *ev,
                                           bool borrowed);
/* The last key added, a container, ends at `end`. */
void akvi_doc_keys_set(akvi_doc_keys *keys, const uint8_t *text, const uint8_t *end);
/* Forget the keys since `mark`. *second_out is the offset of the first key that
 * repeats another, or AKV_NO_OFFSET; with `drop` note those replaced. */
AKVI_MUST_USE akv_status akvi_doc_keys_end(akvi_doc_keys *keys, akvi_doc_keys_mark mark, bool drop,
                                           uint64_t *second_out);
/* Once all maps have ended: make ready to ask. */
void akvi_doc_keys_sort_dropped(akvi_doc_keys *keys);
/* Whether the key at `offset` is replaced; ask in rising order. */
bool akvi_doc_keys_is_dropped(akvi_doc_keys *keys, uint64_t offset);

#endif
