/* SPDX-License-Identifier: MIT
 *
 * writer.c: see writer.h.
 */
#include "common/doc/writer.h"

#include "common/base/mem.h"
#include "common/doc/reader.h"

#include <stdio.h>

/* ---------------------------------------------------------------- lifetime */

static akv_status doc_writer_new(akv_buffer *out, const akv_doc_options *opt, bool is_json,
                                 akv_doc_writer **writer_out)
{
    akv_doc_options full;
    akv_doc_writer *w;
    akv_status      rc = akvi_doc_options_load(opt, &full);

    *writer_out = NULL;
    if (rc != AKV_OK)
        return rc;
    w = akvi_zalloc(full.allocator, sizeof *w);
    if (!w)
        return AKV_NOMEM;
    w->out      = out;
    w->is_json  = is_json;
    w->opt      = full;
    w->slots    = (akv_buffer){NULL, 0, 0, full.allocator};
    *writer_out = w;
    return AKV_OK;
}

akv_status akvi_doc_writer_json(akv_buffer *out, const akv_doc_options *opt,
                                akv_doc_writer **writer_out)
{
    return doc_writer_new(out, opt, true, writer_out);
}

akv_status akvi_doc_writer_msgpack(akv_buffer *out, const akv_doc_options *opt,
                                   akv_doc_writer **writer_out)
{
    return doc_writer_new(out, opt, false, writer_out);
}

void akv_doc_writer_free(akv_doc_writer *w)
{
    if (!w)
        return;
    akv_buffer_free(&w->slots);
    akvi_free(w->opt.allocator, w->levels, w->levels_cap * sizeof *w->levels);
    akvi_free(w->opt.allocator, w, sizeof *w);
}

/* ---------------------------------------------------------------- failures */

akv_status akvi_doc_writer_fail(akv_doc_writer *w, akv_status code, uint64_t offset,
                                const char *fmt, ...)
{
    va_list ap;

    w->failed     = code;
    w->failed_off = offset;
    va_start(ap, fmt);
    vsnprintf(w->failed_text, sizeof w->failed_text, fmt, ap);
    va_end(ap);
    return code;
}

akv_status akvi_doc_writer_report(const akv_doc_writer *w)
{
    return AKV_FAIL_AT(w->failed, NULL, w->failed_off, "writing %s: %s",
                       w->is_json ? "JSON" : "MessagePack", w->failed_text);
}

/* ------------------------------------------------------------------- events */

static akv_status writer_push(akv_doc_writer *w, const akv_doc_event *ev, bool is_key, size_t slot)
{
    bool     is_map = ev->type == AKV_DOC_MAP;
    uint64_t want   = ev->count;

    if (w->depth == w->levels_cap) {
        uint32_t        cap   = w->levels_cap ? w->levels_cap * 2 : 16;
        akvi_doc_level *grown = akvi_resize(w->opt.allocator, w->levels,
                                            w->levels_cap * sizeof *grown, cap * sizeof *grown);

        if (!grown)
            return AKV_NOMEM;
        w->levels     = grown;
        w->levels_cap = cap;
    }
    if (is_map && want != AKV_DOC_COUNT_UNKNOWN)
        want *= 2;
    w->levels[w->depth++] =
        (akvi_doc_level){.want = want, .slot = slot, .is_map = is_map, .is_key = is_key};
    return AKV_OK;
}

/* An item is complete. */
static akv_status writer_item_done(akv_doc_writer *w)
{
    if (w->depth > 0) {
        w->levels[w->depth - 1].items++;
        return AKV_OK;
    }
    w->any = true;
    if (!w->is_json)
        return akvi_msgpack_settle(w);
    return (w->opt.flags & AKV_DOC_MANY) != 0 ? akvi_buffer_byte(w->out, '\n') : AKV_OK;
}

static akv_status writer_begin(akv_doc_writer *w, const akv_doc_event *ev, bool is_key)
{
    akv_status rc;
    size_t     slot = 0;

    if (w->depth >= w->opt.max_depth)
        return akvi_doc_writer_fail(w, AKV_TOO_BIG, ev->offset, "nested deeper than %u levels",
                                    w->opt.max_depth);
    if (ev->count != AKV_DOC_COUNT_UNKNOWN && ev->count > UINT32_MAX)
        return akvi_doc_writer_fail(w, AKV_TOO_BIG, ev->offset,
                                    "a container of %llu, over the limit of %u",
                                    (unsigned long long)ev->count, UINT32_MAX);
    rc = w->is_json ? akvi_json_begin(w, ev, is_key) : akvi_msgpack_begin(w, ev, &slot);
    return rc == AKV_OK ? writer_push(w, ev, is_key, slot) : rc;
}

static akv_status writer_end(akv_doc_writer *w, const akv_doc_event *ev)
{
    akvi_doc_level level;
    akv_status     rc;

    if (w->depth == 0)
        return akvi_doc_writer_fail(w, AKV_MISUSE, ev->offset, "an end, but no container is open");
    level = w->levels[w->depth - 1];
    if (level.is_map != (ev->type == AKV_DOC_MAP_END))
        return akvi_doc_writer_fail(w, AKV_MISUSE, ev->offset, "the end of %s, but %s is open",
                                    level.is_map ? "an array" : "a map",
                                    level.is_map ? "a map" : "an array");
    if (level.is_map && level.items % 2 != 0)
        return akvi_doc_writer_fail(w, AKV_MISUSE, ev->offset, "a key without its value");
    if (level.want != AKV_DOC_COUNT_UNKNOWN && level.want != level.items)
        return akvi_doc_writer_fail(
            w, AKV_MISUSE, ev->offset, "a container of %llu items was announced for %llu",
            (unsigned long long)level.items, (unsigned long long)level.want);
    w->depth--;
    rc =
        w->is_json ? akvi_json_end(w, &level, ev->offset) : akvi_msgpack_end(w, &level, ev->offset);
    return rc == AKV_OK ? writer_item_done(w) : rc;
}

static akv_status writer_item(akv_doc_writer *w, const akv_doc_event *ev)
{
    const akvi_doc_level *level  = w->depth ? &w->levels[w->depth - 1] : NULL;
    bool                  is_key = level && level->is_map && level->items % 2 == 0;
    akv_status            rc     = AKV_OK;

    if (!level && w->any && (w->opt.flags & AKV_DOC_MANY) == 0)
        return akvi_doc_writer_fail(w, AKV_MISUSE, ev->offset,
                                    "a second document: ask for AKV_DOC_MANY");
    if (w->is_json && level)
        rc = akvi_json_separate(w, level);
    if (rc != AKV_OK)
        return rc;
    if (ev->type == AKV_DOC_ARRAY || ev->type == AKV_DOC_MAP)
        return writer_begin(w, ev, is_key);
    rc = w->is_json ? akvi_json_scalar(w, ev, is_key) : akvi_msgpack_scalar(w, ev);
    return rc == AKV_OK ? writer_item_done(w) : rc;
}

akv_status akvi_doc_write(akv_doc_writer *w, const akv_doc_event *ev)
{
    akv_status rc;

    if (w->failed != AKV_OK)
        return w->failed;
    if (ev->type == AKV_DOC_ARRAY_END || ev->type == AKV_DOC_MAP_END)
        rc = writer_end(w, ev);
    else
        rc = writer_item(w, ev);
    /* Only the buffer fails without a word of its own. */
    if (rc < 0 && w->failed == AKV_OK)
        akvi_doc_writer_fail(w, rc, ev->offset, "no memory beyond the %zu bytes written",
                             w->out->len);
    return rc;
}

akv_status akvi_doc_write_done(akv_doc_writer *w)
{
    if (w->failed != AKV_OK)
        return w->failed;
    if (w->depth > 0)
        return akvi_doc_writer_fail(w, AKV_MISUSE, AKV_NO_OFFSET, "%u containers are still open",
                                    w->depth);
    if (!w->any && (w->opt.flags & AKV_DOC_MANY) == 0)
        return akvi_doc_writer_fail(w, AKV_MISUSE, AKV_NO_OFFSET, "no document was written");
    return AKV_OK;
}
