/* SPDX-License-Identifier: MIT
 *
 * convert.c: whole documents in one call: a reader into a writer.
 *
 * The public forms end their call; the akvi_ form is for use within one.
 */
#include "common/doc/convert.h"

#include "common/doc/reader.h"
#include "common/doc/writer.h"

static akv_status convert_run(akv_doc_reader *r, akv_doc_writer *w)
{
    akv_doc_event ev;
    akv_status    rc;

    for (;;) {
        rc = akvi_doc_next(r, &ev);
        if (rc == AKV_END)
            return AKV_OK;
        if (rc != AKV_OK)
            return rc;
        if (w && akvi_doc_write(w, &ev) != AKV_OK)
            return akvi_doc_writer_report(w);
    }
}

akv_status akvi_doc_convert(akvi_doc_format from, akv_slice text, const akv_doc_options *opt,
                            akvi_doc_format to, akv_buffer *out)
{
    akv_doc_options full;
    akv_doc_reader *r = NULL;
    akv_doc_writer *w = NULL;
    akv_status      rc;

    if (out)
        akvi_buffer_clear(out);
    rc = akvi_doc_options_load(opt, &full);
    if (rc != AKV_OK)
        return rc;
    /* The writer replaces what the reader then must let pass. */
    if (from == AKVI_DOC_MSGPACK && to == AKVI_DOC_JSON && (full.flags & AKV_DOC_LOSSY) != 0)
        full.flags |= AKV_DOC_RAW_TEXT;
    if (from == AKVI_DOC_JSON)
        rc = akvi_doc_reader_json(text, &full, &r);
    else
        rc = akvi_doc_reader_msgpack(text, &full, &r);
    if (rc == AKV_OK && to == AKVI_DOC_JSON)
        rc = akvi_doc_writer_json(out, &full, &w);
    if (rc == AKV_OK && to == AKVI_DOC_MSGPACK)
        rc = akvi_doc_writer_msgpack(out, &full, &w);
    if (rc == AKV_OK)
        rc = convert_run(r, w);
    akv_doc_writer_free(w);
    akv_doc_reader_free(r);
    if (rc != AKV_OK && out)
        akvi_buffer_clear(out);
    return rc;
}

static akv_status convert_public(akvi_doc_format from, akv_slice text, const akv_doc_options *opt,
                                 akvi_doc_format to, akv_buffer *out)
{
    akv_status rc;

    akvi_call_begin();
    if ((!text.data && text.len > 0) || (!out && to != AKVI_DOC_NOTHING))
        rc = AKV_FAIL(AKV_MISUSE, "converting a document needs a text and a buffer");
    else
        rc = akvi_doc_convert(from, text, opt, to, out);
    return akvi_call_end(rc, "");
}

akv_status akv_json_check(akv_slice json, const akv_doc_options *opt)
{
    return convert_public(AKVI_DOC_JSON, json, opt, AKVI_DOC_NOTHING, NULL);
}

akv_status akv_msgpack_check(akv_slice msgpack, const akv_doc_options *opt)
{
    return convert_public(AKVI_DOC_MSGPACK, msgpack, opt, AKVI_DOC_NOTHING, NULL);
}

akv_status akv_json_format(akv_slice json, const akv_doc_options *opt, akv_buffer *json_out)
{
    return convert_public(AKVI_DOC_JSON, json, opt, AKVI_DOC_JSON, json_out);
}

akv_status akv_json_to_msgpack(akv_slice json, const akv_doc_options *opt, akv_buffer *msgpack_out)
{
    return convert_public(AKVI_DOC_JSON, json, opt, AKVI_DOC_MSGPACK, msgpack_out);
}

akv_status akv_msgpack_to_json(akv_slice msgpack, const akv_doc_options *opt, akv_buffer *json_out)
{
    return convert_public(AKVI_DOC_MSGPACK, msgpack, opt, AKVI_DOC_JSON, json_out);
}
