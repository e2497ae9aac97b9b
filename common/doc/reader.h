/* SPDX-License-Identifier: MIT
 *
 * reader.h: what the readers of all document formats share.
 *
 * A format gives a step: the next event from r->at on. The rest is the same for
 * all: the stack of open containers, failures that stay, duplicates, skipping.
 *
 * Always, between steps:
 *  1. text <= at <= end, and at is just past the last event.
 *  2. frames[0..depth) are the open containers, depth <= opt.max_depth.
 *  3. failed is not AKV_OK: no step is taken any more.
 *
 * Code of ours that runs inside a public call uses the akvi_ forms: they record
 * a failure and leave it to that call to end.
 */
#ifndef AKVI_DOC_READER_H
#define AKVI_DOC_READER_H

#include "common/doc/keys.h"

typedef struct akvi_doc_frame {
    uint64_t           left; /* MessagePack: items to come; keys and values both count */
    akvi_doc_keys_mark mark;
    bool               is_map;
    bool               is_key; /* the container itself is one */
} akvi_doc_frame;

struct akv_doc_reader {
    const uint8_t *text, *at, *end;
    akv_status (*step)(akv_doc_reader *r, akv_doc_event *ev);
    const char     *format; /* "JSON" or "MessagePack", for messages */
    akv_doc_options opt;
    uint32_t        depth, frames_cap;
    akvi_doc_frame *frames;
    uint32_t        expect;    /* the format's; 0 before the first document */
    akv_doc_type    last_type; /* of the last event */
    bool            scanned;   /* AKV_DOC_LAST: duplicates are known */
    akvi_doc_keys   keys;
    akv_buffer      scratch; /* JSON: the last string with escapes */
    akv_status      failed;
    uint64_t        failed_off;
    char            failed_text[160];
};

/* Fill `to` from a caller's options, NULL for the defaults, and check them. */
AKVI_MUST_USE akv_status akvi_doc_options_load(const akv_doc_options *opt, akv_doc_options *to);

AKVI_MUST_USE akv_status akvi_doc_reader_json(akv_slice text, const akv_doc_options *opt,
                                              akv_doc_reader **reader_out);
AKVI_MUST_USE akv_status akvi_doc_reader_msgpack(akv_slice bytes, const akv_doc_options *opt,
                                                 akv_doc_reader **reader_out);

/* As akv_doc_next and akv_doc_skip, but a failure is only kept in the reader:
 * akvi_doc_report records it. */
AKVI_MUST_USE akv_status akvi_doc_step(akv_doc_reader *r, akv_doc_event *ev);
AKVI_MUST_USE akv_status akvi_doc_step_over(akv_doc_reader *r);
akv_status               akvi_doc_report(const akv_doc_reader *r);

AKVI_MUST_USE static inline akv_status akvi_doc_next(akv_doc_reader *r, akv_doc_event *ev)
{
    akv_status rc = akvi_doc_step(r, ev);

    return rc < 0 ? akvi_doc_report(r) : rc;
}

/* ------------------------------------------------------------- for formats */

/* The steps. */
akv_status akvi_json_step(akv_doc_reader *r, akv_doc_event *ev);
akv_status akvi_msgpack_step(akv_doc_reader *r, akv_doc_event *ev);

/* Note a failure at `at`; returns `code`. */
akv_status akvi_doc_fail(akv_doc_reader *r, akv_status code, const uint8_t *at, const char *fmt,
                         ...) AKV_PRINTF(4, 5);
/* Open a container that begins at ev->offset; the frame is zero but for is_map
 * and is_key, which are the event's. */
AKVI_MUST_USE akv_status akvi_doc_open(akv_doc_reader *r, const akv_doc_event *ev);

#endif
