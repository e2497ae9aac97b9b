/* SPDX-License-Identifier: MIT
 *
 * fuzz_msgpack.c: whatever the bytes, the MessagePack reader answers; what it
 * accepts is written in shortest forms that no rewriting changes, and becomes
 * valid JSON when asked for the nearest thing.
 */
#include <anykv/doc.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool same(const akv_buffer *a, const akv_buffer *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static akv_slice slice(const akv_buffer *b)
{
    return akv_bytes(b->data, b->len);
}

static akv_status rewrite(akv_slice bytes, const akv_doc_options *opt, bool forget_counts,
                          akv_buffer *out)
{
    akv_doc_reader *r;
    akv_doc_writer *w;
    akv_doc_event   ev;
    akv_status      rc;

    must(akv_doc_reader_msgpack(bytes, opt, &r) == AKV_OK);
    must(akv_doc_writer_msgpack(out, opt, &w) == AKV_OK);
    while ((rc = akv_doc_next(r, &ev)) == AKV_OK) {
        if (forget_counts)
            ev.count = AKV_DOC_COUNT_UNKNOWN;
        must(akv_doc_put(w, &ev) == AKV_OK);
    }
    if (rc == AKV_END)
        must(akv_doc_finish(w) == AKV_OK);
    akv_doc_reader_free(r);
    akv_doc_writer_free(w);
    return rc;
}

static void check_json(const akv_buffer *packed, akv_doc_options opt)
{
    akv_buffer json = AKV_BUFFER_INIT, again = AKV_BUFFER_INIT;
    akv_status rc;

    opt.flags |= AKV_DOC_LOSSY;
    rc = akv_msgpack_to_json(slice(packed), &opt, &json);
    must(rc == AKV_OK || rc == AKV_UNSUPPORTED);
    if (rc == AKV_OK) {
        must(akv_json_format(slice(&json), &opt, &again) == AKV_OK);
        must(same(&json, &again));
    }
    akv_buffer_free(&json);
    akv_buffer_free(&again);
}

/* Containers that are keys are compared by their bytes, so different ones may
 * have become duplicates by now. */
static void check_rewritten(const akv_buffer *packed, akv_doc_options opt)
{
    akv_buffer again = AKV_BUFFER_INIT;

    opt.duplicates = AKV_DOC_KEEP;
    must(rewrite(slice(packed), &opt, true, &again) == AKV_END);
    must(same(packed, &again));
    check_json(packed, opt);
    akv_buffer_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t flags[] = {0, AKV_DOC_MANY | AKV_DOC_RAW_TEXT};

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        akv_doc_options opt = AKV_DOC_OPTIONS_INIT;

        opt.flags = flags[i];
        for (opt.duplicates = 0; opt.duplicates <= AKV_DOC_LAST; opt.duplicates++) {
            akv_buffer packed = AKV_BUFFER_INIT;
            akv_status rc     = rewrite(akv_bytes(data, size), &opt, false, &packed);

            must(rc == AKV_END || akv_last_error()->offset <= size);
            if (rc == AKV_END)
                check_rewritten(&packed, opt);
            akv_buffer_free(&packed);
        }
    }
    return 0;
}
