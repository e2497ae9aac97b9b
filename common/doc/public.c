/* SPDX-License-Identifier: MIT
 *
 * public.c: doc.h's calls.
 *
 * Each is one call in the sense of the error record. The ones that run once per
 * event touch the record only when they fail: readers and writers keep their
 * own failure till then.
 */
#include "common/doc/number.h"
#include "common/doc/reader.h"
#include "common/doc/writer.h"

static akv_status public_reader_status(const akv_doc_reader *r, akv_status rc)
{
    if (rc >= 0)
        return rc;
    akvi_call_begin();
    return akvi_call_end(akvi_doc_report(r), "");
}

static akv_status public_writer_status(const akv_doc_writer *w, akv_status rc)
{
    if (rc >= 0)
        return rc;
    akvi_call_begin();
    return akvi_call_end(akvi_doc_writer_report(w), "");
}

static akv_status public_misuse(const char *what)
{
    akvi_call_begin();
    return akvi_call_end(AKV_FAIL(AKV_MISUSE, "%s", what), "");
}

/* ----------------------------------------------------------------- reading */

typedef akv_status public_reader_new(akv_slice text, const akv_doc_options *opt,
                                     akv_doc_reader **reader_out);

static akv_status public_reader(public_reader_new *new_reader, akv_slice text,
                                const akv_doc_options *opt, akv_doc_reader **reader_out)
{
    if (!reader_out || (!text.data && text.len > 0))
        return public_misuse("a document reader needs a text and a place for itself");
    akvi_call_begin();
    return akvi_call_end(new_reader(text, opt, reader_out), "");
}

akv_status akv_doc_reader_json(akv_slice text, const akv_doc_options *opt,
                               akv_doc_reader **reader_out)
{
    return public_reader(akvi_doc_reader_json, text, opt, reader_out);
}

akv_status akv_doc_reader_msgpack(akv_slice bytes, const akv_doc_options *opt,
                                  akv_doc_reader **reader_out)
{
    return public_reader(akvi_doc_reader_msgpack, bytes, opt, reader_out);
}

akv_status akv_doc_next(akv_doc_reader *r, akv_doc_event *event_out)
{
    if (!r || !event_out)
        return public_misuse("akv_doc_next needs a reader and an event");
    return public_reader_status(r, akvi_doc_step(r, event_out));
}

akv_status akv_doc_skip(akv_doc_reader *r)
{
    if (!r)
        return public_misuse("akv_doc_skip needs a reader");
    return public_reader_status(r, akvi_doc_step_over(r));
}

uint64_t akv_doc_offset(const akv_doc_reader *r)
{
    return r ? (uint64_t)(r->at - r->text) : 0;
}

uint32_t akv_doc_depth(const akv_doc_reader *r)
{
    return r ? r->depth : 0;
}

double akv_doc_double(const akv_doc_event *event, bool *exact_out)
{
    double v     = 0;
    bool   exact = true;

    switch (event->type) {
    case AKV_DOC_INT:
        v     = (double)event->i64;
        exact = v < 0x1p63 && (int64_t)v == event->i64;
        break;
    case AKV_DOC_UINT:
        v     = (double)event->u64;
        exact = v < 0x1p64 && (uint64_t)v == event->u64;
        break;
    case AKV_DOC_NUMBER:
        v = event->bytes.len ? akvi_number_parse(event->bytes, exact_out ? &exact : NULL)
                             : event->f64;
        break;
    default: exact = false;
    }
    if (exact_out)
        *exact_out = exact;
    return v;
}

/* ----------------------------------------------------------------- writing */

typedef akv_status public_writer_new(akv_buffer *out, const akv_doc_options *opt,
                                     akv_doc_writer **writer_out);

static akv_status public_writer(public_writer_new *new_writer, akv_buffer *out,
                                const akv_doc_options *opt, akv_doc_writer **writer_out)
{
    if (!writer_out || !out)
        return public_misuse("a document writer needs a buffer and a place for itself");
    akvi_call_begin();
    return akvi_call_end(new_writer(out, opt, writer_out), "");
}

akv_status akv_doc_writer_json(akv_buffer *out, const akv_doc_options *opt,
                               akv_doc_writer **writer_out)
{
    return public_writer(akvi_doc_writer_json, out, opt, writer_out);
}

akv_status akv_doc_writer_msgpack(akv_buffer *out, const akv_doc_options *opt,
                                  akv_doc_writer **writer_out)
{
    return public_writer(akvi_doc_writer_msgpack, out, opt, writer_out);
}

akv_status akv_doc_finish(akv_doc_writer *w)
{
    return w ? public_writer_status(w, akvi_doc_write_done(w))
             : public_misuse("akv_doc_finish needs a writer");
}

akv_status akv_doc_put(akv_doc_writer *w, const akv_doc_event *event)
{
    if (!w || !event || (!event->bytes.data && event->bytes.len > 0))
        return public_misuse("writing a document needs a writer, an event and its bytes");
    return public_writer_status(w, akvi_doc_write(w, event));
}

akv_status akv_doc_copy(akv_doc_reader *r, akv_doc_writer *w)
{
    akv_doc_event ev;
    akv_status    rc, written = AKV_OK;

    if (!r || !w)
        return public_misuse("akv_doc_copy needs a reader and a writer");
    do {
        rc = akvi_doc_step(r, &ev);
        if (rc == AKV_OK)
            written = akvi_doc_write(w, &ev);
    } while (rc == AKV_OK && written == AKV_OK);
    if (written != AKV_OK)
        return public_writer_status(w, written);
    return rc == AKV_END ? AKV_OK : public_reader_status(r, rc);
}

#define PUBLIC_EVENT(kind)                      \
    {                                           \
        .type = (kind), .offset = AKV_NO_OFFSET \
    }

akv_status akv_doc_put_null(akv_doc_writer *w)
{
    akv_doc_event ev = PUBLIC_EVENT(AKV_DOC_NULL);

    return akv_doc_put(w, &ev);
}

akv_status akv_doc_put_bool(akv_doc_writer *w, bool value)
{
    akv_doc_event ev = PUBLIC_EVENT(AKV_DOC_BOOL);

    ev.boolean = value;
    return akv_doc_put(w, &ev);
}

akv_status akv_doc_put_int(akv_doc_writer *w, int64_t value)
{
    akv_doc_event ev = PUBLIC_EVENT(AKV_DOC_INT);

    ev.i64 = value;
    return akv_doc_put(w, &ev);
}

akv_status akv_doc_put_uint(akv_doc_writer *w, uint64_t value)
{
    akv_doc_event ev = PUBLIC_EVENT(AKV_DOC_UINT);

    ev.u64 = value;
    return akv_doc_put(w, &ev);
}

akv_status akv_doc_put_double(akv_doc_writer *w, double value)
{
    akv_doc_event ev = PUBLIC_EVENT(AKV_DOC_NUMBER);

    ev.f64 = value;
    return akv_doc_put(w, &ev);
}

static akv_status public_put_bytes(akv_doc_writer *w, akv_doc_type type, int8_t ext_type,
                                   akv_slice bytes)
{
    akv_doc_event ev = PUBLIC_EVENT(type);

    ev.ext_type = ext_type;
    ev.bytes    = bytes;
    return akv_doc_put(w, &ev);
}

akv_status akv_doc_put_string(akv_doc_writer *w, akv_slice utf8)
{
    return public_put_bytes(w, AKV_DOC_STRING, 0, utf8);
}

akv_status akv_doc_put_text(akv_doc_writer *w, const char *utf8)
{
    return public_put_bytes(w, AKV_DOC_STRING, 0, akv_str(utf8));
}

akv_status akv_doc_put_binary(akv_doc_writer *w, akv_slice bytes)
{
    return public_put_bytes(w, AKV_DOC_BINARY, 0, bytes);
}

akv_status akv_doc_put_ext(akv_doc_writer *w, int8_t ext_type, akv_slice bytes)
{
    return public_put_bytes(w, AKV_DOC_EXT, ext_type, bytes);
}

static akv_status public_put_container(akv_doc_writer *w, akv_doc_type type, uint64_t count)
{
    akv_doc_event ev = PUBLIC_EVENT(type);

    ev.count = count;
    return akv_doc_put(w, &ev);
}

akv_status akv_doc_put_array(akv_doc_writer *w, uint64_t count)
{
    return public_put_container(w, AKV_DOC_ARRAY, count);
}

akv_status akv_doc_put_map(akv_doc_writer *w, uint64_t count)
{
    return public_put_container(w, AKV_DOC_MAP, count);
}

akv_status akv_doc_put_end(akv_doc_writer *w)
{
    bool in_map = w && w->depth > 0 && w->levels[w->depth - 1].is_map;

    return public_put_container(w, in_map ? AKV_DOC_MAP_END : AKV_DOC_ARRAY_END, 0);
}
