/* SPDX-License-Identifier: MIT
 *
 * cli_record.c: entries as text and JSON for people and for files.
 */
#include "tools/cli_record.h"

#include <anykv/doc.h>

void cli_json_text(akv_buffer *b, akv_slice text)
{
    akv_doc_options opt    = AKV_DOC_OPTIONS_INIT;
    akv_buffer      quoted = AKV_BUFFER_INIT;
    akv_doc_writer *w      = NULL;

    opt.flags = AKV_DOC_LOSSY;
    if (akv_doc_writer_json(&quoted, &opt, &w) == AKV_OK)
        akv_doc_put_string(w, text);
    akv_doc_writer_free(w);
    cli_append(b, quoted.data, quoted.len);
    akv_buffer_free(&quoted);
}

cli_record cli_record_of(akv *db, akv_slice key, const akv_value *value)
{
    cli_record r = {key, {value->data, value->len}, value->encoding, value->expiry_ms};

    if (r.encoding != AKV_ENCODING_RAW || (akv_capabilities(db) & AKV_CAP_ENCODING))
        return r;
    if ((!strcmp(akv_engine_name(db), "fused") || !cli_is_text(r.value)) &&
        akv_msgpack_check(r.value, NULL) == AKV_OK)
        r.encoding = AKV_ENCODING_MSGPACK;
    return r;
}

/* The value as a compact JSON document; false when it is none. */
static bool record_document(const cli_record *r, uint32_t flags, akv_buffer *json)
{
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;

    opt.flags = flags;
    if (r->encoding == AKV_ENCODING_JSON)
        return akv_json_format(r->value, &opt, json) == AKV_OK;
    if (r->encoding == AKV_ENCODING_MSGPACK)
        return akv_msgpack_to_json(r->value, &opt, json) == AKV_OK;
    return false;
}

/* The document, when reading it back gives the very same bytes. */
static bool record_exact_document(const cli_record *r, akv_buffer *json)
{
    akv_buffer back = AKV_BUFFER_INIT;
    bool       same = false;

    if (!record_document(r, 0, json))
        return false;
    if (r->encoding == AKV_ENCODING_JSON)
        return json->len == r->value.len && !memcmp(json->data, r->value.data, json->len);
    if (akv_json_to_msgpack(cli_slice(json), NULL, &back) == AKV_OK)
        same = back.len == r->value.len && !memcmp(back.data, r->value.data, back.len);
    akv_buffer_free(&back);
    return same;
}

static void record_show_json(akv_buffer *out, const cli_record *r)
{
    akv_buffer text = AKV_BUFFER_INIT;

    if (record_document(r, AKV_DOC_LOSSY, &text)) {
        cli_append(out, text.data, text.len);
    } else if (cli_is_utf8(r->value)) {
        cli_json_text(out, r->value);
    } else {
        cli_append_text(out, "\"");
        cli_base64(out, r->value);
        cli_append_text(out, "\"");
    }
    akv_buffer_free(&text);
}

/* The text of a document that is a string, else the document. */
static bool record_show_string(akv_buffer *out, const cli_record *r)
{
    akv_doc_reader *reader = NULL;
    akv_doc_event   event;
    akv_status      rc;
    bool            is_string;

    rc = r->encoding == AKV_ENCODING_JSON ? akv_doc_reader_json(r->value, NULL, &reader)
                                          : akv_doc_reader_msgpack(r->value, NULL, &reader);
    is_string =
        rc == AKV_OK && akv_doc_next(reader, &event) == AKV_OK && event.type == AKV_DOC_STRING;
    if (is_string)
        cli_append(out, event.bytes.data, event.bytes.len);
    akv_doc_reader_free(reader);
    return is_string || record_document(r, AKV_DOC_LOSSY, out);
}

static void record_show_text(akv_buffer *out, const cli_record *r, bool one_line)
{
    akv_buffer shown = AKV_BUFFER_INIT;
    akv_slice  text  = r->value;

    if ((r->encoding == AKV_ENCODING_JSON || r->encoding == AKV_ENCODING_MSGPACK) &&
        record_show_string(&shown, r))
        text = cli_slice(&shown);
    if (one_line || !cli_is_text(text))
        cli_escape(out, text);
    else
        cli_append(out, text.data, text.len);
    akv_buffer_free(&shown);
}

/* A document as such, if it is one whatever its tag says; else text or hex. */
static cli_show record_show_auto(akv_buffer *out, const cli_record *r)
{
    akv_buffer json = AKV_BUFFER_INIT;
    bool       doc  = record_document(r, AKV_DOC_LOSSY, &json);

    if (doc)
        cli_append(out, json.data, json.len);
    akv_buffer_free(&json);
    if (doc)
        return CLI_SHOW_AUTO;
    return cli_is_text(r->value) ? CLI_SHOW_TEXT : CLI_SHOW_HEX;
}

void cli_show_value(akv_buffer *out, const cli_record *r, cli_show show, bool one_line)
{
    if (show == CLI_SHOW_AUTO)
        show = record_show_auto(out, r);
    switch (show) {
    case CLI_SHOW_JSON: record_show_json(out, r); break;
    case CLI_SHOW_HEX: cli_hex(out, r->value); break;
    case CLI_SHOW_BASE64: cli_base64(out, r->value); break;
    case CLI_SHOW_TEXT: record_show_text(out, r, one_line); break;
    case CLI_SHOW_RAW: cli_append(out, r->value.data, r->value.len); break;
    case CLI_SHOW_AUTO: break; /* done */
    }
}

void cli_json_key(akv_buffer *out, akv_slice key)
{
    if (cli_is_utf8(key)) {
        cli_append_text(out, "{\"key\":");
        cli_json_text(out, key);
    } else {
        cli_append_text(out, "{\"key_hex\":\"");
        cli_hex(out, key);
        cli_append_text(out, "\"");
    }
}

static void record_json_value(akv_buffer *out, const cli_record *r, bool exact)
{
    static const char *const names[] = {NULL, "json", "msgpack", "opaque"};
    akv_buffer               json    = AKV_BUFFER_INIT;
    uint32_t                 tag     = r->encoding <= AKV_ENCODING_OPAQUE ? r->encoding : 0;
    bool                     is_doc  = record_exact_document(r, &json);
    bool                     lossy = !is_doc && !exact && record_document(r, AKV_DOC_LOSSY, &json);

    if (is_doc || lossy) {
        cli_append_text(out, ",\"value\":");
        cli_append(out, json.data, json.len);
    } else if (tag != AKV_ENCODING_MSGPACK && tag != AKV_ENCODING_JSON && cli_is_utf8(r->value)) {
        cli_append_text(out, ",\"value\":");
        cli_json_text(out, r->value);
    } else {
        cli_append_text(out, ",\"value_base64\":\"");
        cli_base64(out, r->value);
        cli_append_text(out, "\"");
    }
    if (names[tag])
        cli_printf(out, ",\"encoding\":\"%s\"", names[tag]);
    if (lossy)
        cli_append_text(out, ",\"lossy\":true");
    if (r->expiry_ms)
        cli_printf(out, ",\"expiry_ms\":%llu", (unsigned long long)r->expiry_ms);
    akv_buffer_free(&json);
}

void cli_record_json(akv_buffer *out, const cli_record *r, bool exact, bool keys_only)
{
    cli_json_key(out, r->key);
    if (!keys_only)
        record_json_value(out, r, exact);
    cli_append_text(out, "}\n");
}
