/* SPDX-License-Identifier: MIT
 *
 * reader.c: see reader.h.
 */
#include "common/doc/reader.h"

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/base/options.h"

#include <stdio.h>

#define DOC_FLAGS     (AKV_DOC_MANY | AKV_DOC_LOSSY | AKV_DOC_RAW_TEXT | AKV_DOC_LONE_SURROGATES)
#define DOC_DEPTH_MAX (1u << 24)

akv_status akvi_doc_options_load(const akv_doc_options *opt, akv_doc_options *to)
{
    akv_status rc;

    *to = (akv_doc_options)AKV_DOC_OPTIONS_INIT;
    if (!opt)
        return AKV_OK;
    rc = akvi_options_copy(to, sizeof *to, opt, "akv_doc_options");
    if (rc != AKV_OK)
        return rc;
    if ((to->flags & ~DOC_FLAGS) != 0)
        return AKV_FAIL(AKV_MISUSE, "akv_doc_options: unknown flags 0x%x", to->flags & ~DOC_FLAGS);
    if (to->duplicates > AKV_DOC_LAST)
        return AKV_FAIL(AKV_MISUSE, "akv_doc_options: duplicates is %u, not an akv_doc_duplicates",
                        to->duplicates);
    if (to->max_depth > DOC_DEPTH_MAX)
        return AKV_FAIL(AKV_MISUSE, "akv_doc_options: max_depth %u is over %u", to->max_depth,
                        DOC_DEPTH_MAX);
    if (to->indent > 16)
        return AKV_FAIL(AKV_MISUSE, "akv_doc_options: indent %u is over 16", to->indent);
    return AKV_OK;
}

/* ---------------------------------------------------------------- lifetime */

static akv_status doc_reader_new(akv_slice text, const akv_doc_options *opt,
                                 akv_doc_reader **reader_out)
{
    akv_doc_options full;
    akv_doc_reader *r;
    akv_status      rc = akvi_doc_options_load(opt, &full);

    *reader_out = NULL;
    if (rc != AKV_OK)
        return rc;
    r = akvi_zalloc(full.allocator, sizeof *r);
    if (!r)
        return AKV_NOMEM;
    /* An empty slice may have no address, and steps compare addresses. */
    r->text    = text.len ? text.data : (const uint8_t *)"";
    r->at      = r->text;
    r->end     = r->text + text.len;
    r->opt     = full;
    r->scratch = (akv_buffer){NULL, 0, 0, full.allocator};
    akvi_doc_keys_init(&r->keys, full.allocator);
    *reader_out = r;
    return AKV_OK;
}

akv_status akvi_doc_reader_json(akv_slice text, const akv_doc_options *opt,
                                akv_doc_reader **reader_out)
{
    akv_status rc = doc_reader_new(text, opt, reader_out);

    if (rc == AKV_OK) {
        (*reader_out)->step   = akvi_json_step;
        (*reader_out)->format = "JSON";
    }
    return rc;
}

akv_status akvi_doc_reader_msgpack(akv_slice bytes, const akv_doc_options *opt,
                                   akv_doc_reader **reader_out)
{
    akv_status rc = doc_reader_new(bytes, opt, reader_out);

    if (rc == AKV_OK) {
        (*reader_out)->step   = akvi_msgpack_step;
        (*reader_out)->format = "MessagePack";
    }
    return rc;
}

void akv_doc_reader_free(akv_doc_reader *r)
{
    if (!r)
        return;
    akvi_doc_keys_free(&r->keys);
    akv_buffer_free(&r->scratch);
    akvi_free(r->opt.allocator, r->frames, r->frames_cap * sizeof *r->frames);
    akvi_free(r->opt.allocator, r, sizeof *r);
}

/* ---------------------------------------------------------------- failures */

akv_status akvi_doc_fail(akv_doc_reader *r, akv_status code, const uint8_t *at, const char *fmt,
                         ...)
{
    va_list ap;

    r->failed     = code;
    r->failed_off = (uint64_t)(at - r->text);
    va_start(ap, fmt);
    vsnprintf(r->failed_text, sizeof r->failed_text, fmt, ap);
    va_end(ap);
    return code;
}

static akv_status doc_fail_nomem(akv_doc_reader *r)
{
    return akvi_doc_fail(r, AKV_NOMEM, r->at, "no memory to read on");
}

akv_status akvi_doc_report(const akv_doc_reader *r)
{
    unsigned long long line = 1, column = 1;

    if (r->step != akvi_json_step)
        return AKV_FAIL_AT(r->failed, NULL, r->failed_off, "%s: %s", r->format, r->failed_text);
    for (const uint8_t *p = r->text; p < r->text + r->failed_off; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if ((*p & 0xc0) != 0x80) {
            column++;
        }
    }
    return AKV_FAIL_AT(r->failed, NULL, r->failed_off, "%s, line %llu, column %llu: %s", r->format,
                       line, column, r->failed_text);
}

/* --------------------------------------------------------------- containers */

static akv_status doc_grow_frames(akv_doc_reader *r)
{
    uint32_t        cap = r->frames_cap ? r->frames_cap * 2 : 16;
    akvi_doc_frame *grown;

    grown = akvi_resize(r->opt.allocator, r->frames, r->frames_cap * sizeof *grown,
                        cap * sizeof *grown);
    if (!grown)
        return doc_fail_nomem(r);
    r->frames     = grown;
    r->frames_cap = cap;
    return AKV_OK;
}

akv_status akvi_doc_open(akv_doc_reader *r, const akv_doc_event *ev)
{
    if (r->depth >= r->opt.max_depth)
        return akvi_doc_fail(r, AKV_TOO_BIG, r->text + ev->offset, "nested deeper than %u levels",
                             r->opt.max_depth);
    if (r->depth == r->frames_cap && doc_grow_frames(r) != AKV_OK)
        return AKV_NOMEM;
    r->frames[r->depth++] =
        (akvi_doc_frame){.is_map = ev->type == AKV_DOC_MAP, .is_key = ev->is_key};
    return AKV_OK;
}

/* -------------------------------------------------------------- duplicates */

static bool doc_begins(akv_doc_type type)
{
    return type == AKV_DOC_ARRAY || type == AKV_DOC_MAP;
}

static bool doc_ends(akv_doc_type type)
{
    return type == AKV_DOC_ARRAY_END || type == AKV_DOC_MAP_END;
}

/* Follow the keys through one event; its container is open or just ended. */
static akv_status doc_track(akv_doc_reader *r, const akv_doc_event *ev)
{
    bool       drop = r->opt.duplicates == AKV_DOC_LAST;
    uint64_t   second;
    akv_status rc = AKV_OK;

    if (ev->is_key && !doc_ends(ev->type))
        rc = akvi_doc_keys_add(&r->keys, ev, ev->bytes.data != r->scratch.data);
    if (rc == AKV_OK && ev->type == AKV_DOC_MAP)
        r->frames[r->depth - 1].mark = akvi_doc_keys_begin(&r->keys);
    if (rc == AKV_OK && ev->type == AKV_DOC_MAP_END) {
        rc = akvi_doc_keys_end(&r->keys, r->frames[r->depth].mark, drop, &second);
        if (rc == AKV_OK && !drop && second != AKV_NO_OFFSET)
            return akvi_doc_fail(r, AKV_CORRUPT, r->text + second, "the map has this key already");
    }
    if (rc == AKV_OK && ev->is_key && doc_ends(ev->type))
        akvi_doc_keys_set(&r->keys, r->text, r->at);
    return rc == AKV_OK ? AKV_OK : doc_fail_nomem(r);
}

/* AKV_DOC_LAST: read all once to learn which keys are replaced further on. */
static akv_status doc_scan(akv_doc_reader *r)
{
    akv_doc_event ev;
    akv_status    rc;

    r->scanned = true;
    do {
        rc = r->step(r, &ev);
        if (rc == AKV_OK)
            rc = doc_track(r, &ev);
    } while (rc == AKV_OK);
    if (rc != AKV_END)
        return rc;
    akvi_doc_keys_sort_dropped(&r->keys);
    r->at     = r->text;
    r->expect = 0;
    return AKV_OK;
}

/* Having got `ev` from the format's step, go to the end of what it begins. */
static akv_status doc_pass(akv_doc_reader *r, akv_doc_event *ev)
{
    uint32_t   outside = r->depth - 1;
    akv_status rc      = AKV_OK;

    if (!doc_begins(ev->type))
        return AKV_OK;
    while (rc == AKV_OK && r->depth > outside)
        rc = r->step(r, ev);
    return rc;
}

static akv_status doc_step_last(akv_doc_reader *r, akv_doc_event *ev)
{
    akv_status rc = r->scanned ? AKV_OK : doc_scan(r);

    while (rc == AKV_OK) {
        rc = r->step(r, ev);
        if (rc != AKV_OK || !ev->is_key || doc_ends(ev->type) ||
            !akvi_doc_keys_is_dropped(&r->keys, ev->offset))
            break;
        rc = doc_pass(r, ev);
        if (rc == AKV_OK)
            rc = r->step(r, ev);
        if (rc == AKV_OK)
            rc = doc_pass(r, ev);
    }
    if (rc == AKV_OK && doc_begins(ev->type))
        ev->count = AKV_DOC_COUNT_UNKNOWN;
    return rc;
}

/* ------------------------------------------------------------------- steps */

akv_status akvi_doc_step(akv_doc_reader *r, akv_doc_event *ev)
{
    akv_status rc;

    if (r->failed != AKV_OK)
        return r->failed;
    if (r->opt.duplicates == AKV_DOC_LAST) {
        rc = doc_step_last(r, ev);
    } else {
        rc = r->step(r, ev);
        if (rc == AKV_OK && r->opt.duplicates == AKV_DOC_REFUSE)
            rc = doc_track(r, ev);
    }
    if (rc == AKV_OK)
        r->last_type = ev->type;
    return rc;
}

akv_status akvi_doc_step_over(akv_doc_reader *r)
{
    akv_doc_event ev;
    uint32_t      outside = r->depth - 1;
    akv_status    rc      = r->failed;

    if (rc != AKV_OK || !doc_begins(r->last_type))
        return rc;
    while (rc == AKV_OK && r->depth > outside)
        rc = akvi_doc_step(r, &ev);
    return rc;
}
