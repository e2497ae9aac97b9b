/* SPDX-License-Identifier: MIT
 *
 * writer.h: what the writers of all document formats share.
 *
 * writer.c knows where in the document an event falls (key, value, element,
 * how deep) and refuses what does not fit; a format only turns one event into
 * bytes. As in reader.h, failures stay and the akvi_ forms leave recording to
 * akvi_doc_writer_report.
 */
#ifndef AKVI_DOC_WRITER_H
#define AKVI_DOC_WRITER_H

#include "common/base/buffer.h"

#include <anykv/doc.h>

/* A container being written. */
typedef struct akvi_doc_level {
    uint64_t items; /* written so far; keys and values both count */
    uint64_t want;  /* items announced, or AKV_DOC_COUNT_UNKNOWN */
    size_t   slot;  /* MessagePack: its header's place in `slots`, if unknown */
    bool     is_map;
    bool     is_key;
} akvi_doc_level;

struct akv_doc_writer {
    akv_buffer     *out;
    bool            is_json;
    bool            any; /* a document has been written */
    akv_doc_options opt;
    uint32_t        depth, levels_cap;
    akvi_doc_level *levels;
    /* JSON: a container that is a key is written where its text begins, then
     * turned into a string. */
    bool       in_key;
    size_t     key_at;
    akv_buffer slots; /* MessagePack: headers to be patched; see msgpack_write.c */
    akv_status failed;
    uint64_t   failed_off;
    char       failed_text[160];
};

AKVI_MUST_USE akv_status akvi_doc_writer_json(akv_buffer *out, const akv_doc_options *opt,
                                              akv_doc_writer **writer_out);
AKVI_MUST_USE akv_status akvi_doc_writer_msgpack(akv_buffer *out, const akv_doc_options *opt,
                                                 akv_doc_writer **writer_out);

/* As akv_doc_put and akv_doc_finish, but a failure is only kept. */
AKVI_MUST_USE akv_status akvi_doc_write(akv_doc_writer *w, const akv_doc_event *ev);
AKVI_MUST_USE akv_status akvi_doc_write_done(akv_doc_writer *w);
akv_status               akvi_doc_writer_report(const akv_doc_writer *w);

/* ------------------------------------------------------------- for formats */

akv_status akvi_doc_writer_fail(akv_doc_writer *w, akv_status code, uint64_t offset,
                                const char *fmt, ...) AKV_PRINTF(4, 5);

/* What precedes an item (separators) and a closing bracket; `level` is NULL
 * outside containers. */
AKVI_MUST_USE akv_status akvi_json_separate(akv_doc_writer *w, const akvi_doc_level *level);
AKVI_MUST_USE akv_status akvi_json_scalar(akv_doc_writer *w, const akv_doc_event *ev, bool is_key);
AKVI_MUST_USE akv_status akvi_json_begin(akv_doc_writer *w, const akv_doc_event *ev, bool is_key);
AKVI_MUST_USE akv_status akvi_json_end(akv_doc_writer *w, const akvi_doc_level *level,
                                       uint64_t offset);

AKVI_MUST_USE akv_status akvi_msgpack_scalar(akv_doc_writer *w, const akv_doc_event *ev);
AKVI_MUST_USE akv_status akvi_msgpack_begin(akv_doc_writer *w, const akv_doc_event *ev,
                                            size_t *slot_out);
AKVI_MUST_USE akv_status akvi_msgpack_end(akv_doc_writer *w, const akvi_doc_level *level,
                                          uint64_t offset);
/* A document is complete: put the headers right. */
AKVI_MUST_USE akv_status akvi_msgpack_settle(akv_doc_writer *w);

#endif
