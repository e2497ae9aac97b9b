/* SPDX-License-Identifier: MIT
 *
 * fuzz_json.c: whatever the text, the JSON reader answers; what it accepts is
 * the same document after being written and read again, and after a way
 * through MessagePack.
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

/* Indenting and undoing it changes nothing; nor does formatting twice. */
static void check_json(const akv_buffer *json, akv_doc_options opt)
{
    akv_buffer indented = AKV_BUFFER_INIT, again = AKV_BUFFER_INIT;

    opt.duplicates = AKV_DOC_KEEP;
    opt.indent     = 2;
    must(akv_json_format(slice(json), &opt, &indented) == AKV_OK);
    opt.indent = 0;
    must(akv_json_format(slice(&indented), &opt, &again) == AKV_OK);
    must(same(json, &again));
    akv_buffer_free(&indented);
    akv_buffer_free(&again);
}

/* Once numbers have become doubles, the way through MessagePack is a circle. */
static void check_msgpack(const akv_buffer *json, akv_doc_options opt)
{
    akv_buffer packed = AKV_BUFFER_INIT, text = AKV_BUFFER_INIT, again = AKV_BUFFER_INIT;
    akv_status exact, rc;

    opt.flags &= ~AKV_DOC_LOSSY;
    exact = akv_json_to_msgpack(slice(json), &opt, &packed);
    must(exact == AKV_OK || exact == AKV_UNSUPPORTED);
    if (exact != AKV_OK) {
        opt.flags |= AKV_DOC_LOSSY;
        must(akv_json_to_msgpack(slice(json), &opt, &packed) == AKV_OK);
    }
    rc = akv_msgpack_to_json(slice(&packed), &opt, &text);
    must(rc == AKV_OK);
    rc = akv_json_to_msgpack(slice(&text), &opt, &again);
    must(rc == AKV_OK);
    must(exact != AKV_OK || same(&packed, &again));
    akv_buffer_free(&packed);
    akv_buffer_free(&text);
    akv_buffer_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t flags[] = {0, AKV_DOC_MANY | AKV_DOC_LONE_SURROGATES};

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        akv_doc_options opt  = AKV_DOC_OPTIONS_INIT;
        akv_buffer      json = AKV_BUFFER_INIT;

        opt.flags = flags[i];
        for (opt.duplicates = 0; opt.duplicates <= AKV_DOC_LAST; opt.duplicates++) {
            akv_status rc = akv_json_format(akv_bytes(data, size), &opt, &json);

            must(rc == akv_json_check(akv_bytes(data, size), &opt));
            must(rc == AKV_OK || akv_last_error()->offset <= size);
            if (rc == AKV_OK) {
                check_json(&json, opt);
                check_msgpack(&json, opt);
            }
        }
        akv_buffer_free(&json);
    }
    return 0;
}
