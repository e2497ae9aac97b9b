/* SPDX-License-Identifier: MIT
 *
 * stream.c: values in pieces. For an engine without streams a reader borrows
 * the whole value and reads from there.
 */
#include "common/front/front.h"

#include "common/base/bytes.h"

#include <inttypes.h>

struct akv_stream {
    akv      *db;
    void     *impl; /* the engine's; NULL: read from `value` */
    akv_value value;
    uint64_t  len;
    bool      writer;

    uint64_t          deadline_ns;
    const akv_cancel *cancel;
    /* a writer's */
    akvi_write write;
    akv_op     op;
    uint8_t   *bytes; /* of op's key and expected value */
    size_t     bytes_size;
};

static void stream_free(akv_stream *stream)
{
    akv *db = stream->db;

    akvi_free(akvi_mem(db), stream->bytes, stream->bytes_size);
    akvi_free(akvi_mem(db), stream, sizeof *stream);
    akvi_live_drop(db, AKVI_KIND_STREAM);
}

static akv_status stream_new(akv *db, akv_stream **stream_out)
{
    akv_stream *stream = akvi_zalloc(akvi_mem(db), sizeof *stream);

    if (!stream)
        return AKV_NOMEM;
    stream->db = db;
    akvi_live_add(db, AKVI_KIND_STREAM);
    *stream_out = stream;
    return AKV_OK;
}

static akv_status stream_enter(const akv_stream *stream, bool writer, const char *call)
{
    akv_status status = stream ? akvi_enter(stream->db, call) : akvi_refuse_null(call, "stream");

    if (status == AKV_OK && stream->writer != writer)
        return akvi_leave(stream->db, AKV_FAIL(AKV_MISUSE, "%s: the stream is open for %s", call,
                                               writer ? "reading" : "writing"));
    return status;
}

/* ------------------------------------------------------------------- reading */

static akv_status stream_open(akv *db, akv_slice key, const akv_read_options *opt,
                              akv_stream **stream_out)
{
    akv_read_options copy;
    akv_stream      *stream;
    akv_status       status = akvi_need(db, AKV_CAP_STREAM_READ);

    if (status == AKV_OK)
        status = akvi_check_key(db, key);
    if (status == AKV_OK)
        status = akvi_read_options(db, opt, &copy, &opt);
    if (status == AKV_OK)
        status = stream_new(db, &stream);
    if (status != AKV_OK)
        return status;
    stream->deadline_ns = opt->deadline_ns;
    stream->cancel      = opt->cancel;
    if (db->engine->stream_open) {
        status = db->engine->stream_open(db->impl, key, opt, &stream->impl, &stream->len);
    } else {
        status      = db->get(db->impl, key, opt, &stream->value);
        stream->len = stream->value.len;
    }
    if (status != AKV_OK) {
        stream_free(stream);
        return status;
    }
    *stream_out = stream;
    return AKV_OK;
}

akv_status akv_stream_open(akv *db, akv_slice key, const akv_read_options *opt,
                           akv_stream **stream_out)
{
    akv_status status = akvi_enter(db, __func__);

    if (stream_out)
        *stream_out = NULL;
    if (status != AKV_OK)
        return status;
    if (!stream_out)
        return akvi_leave(db, akvi_null(__func__, "stream_out"));
    status = stream_open(db, key, opt, stream_out);
    /* a stream is counted as one, not as a live value */
    akvi_count_gets(db, 1, status == AKV_OK, status == AKV_ABSENT, 0);
    return akvi_leave(db, status);
}

uint64_t akv_stream_len(const akv_stream *stream)
{
    return stream ? stream->len : 0;
}

static akv_status stream_read(akv_stream *stream, uint64_t offset, void *buf, size_t cap,
                              size_t *len_out)
{
    uint64_t left;

    if (offset >= stream->len)
        return AKV_END;
    if (stream->impl)
        return stream->db->engine->stream_read(stream->impl, offset, buf, cap, len_out);
    left     = stream->len - offset;
    *len_out = left < cap ? (size_t)left : cap;
    if (*len_out)
        memcpy(buf, (const uint8_t *)stream->value.data + offset, *len_out);
    return AKV_OK;
}

akv_status akv_stream_read(akv_stream *stream, uint64_t offset, void *buf, size_t cap,
                           size_t *len_out)
{
    akv_status status = stream_enter(stream, false, __func__);

    if (len_out)
        *len_out = 0;
    if (status != AKV_OK)
        return status;
    if (!len_out || (!buf && cap != 0))
        status = akvi_null(__func__, len_out ? "buf" : "len_out");
    if (status == AKV_OK)
        status = akv_interrupted(stream->deadline_ns, stream->cancel);
    if (status == AKV_OK)
        status = stream_read(stream, offset, buf, cap, len_out);
    if (status == AKV_OK)
        akvi_count(stream->db, AKVI_CELL_READ_BYTES, *len_out);
    else if (len_out)
        *len_out = 0;
    return akvi_leave(stream->db, status);
}

void akv_stream_close(akv_stream *stream)
{
    akv *db = stream ? stream->db : NULL;

    if (!akvi_is_live(db))
        return;
    if (stream->writer) {
        db->engine->stream_abort(stream->impl);
    } else if (stream->impl) {
        db->engine->stream_close(stream->impl);
    } else if (stream->value.pin) {
        db->engine->release(db->impl, &stream->value);
    }
    stream_free(stream);
}

/* ------------------------------------------------------------------- writing */

/* Options may be gone by the time of the commit: keep their bytes. */
static akv_status stream_keep_bytes(akv_stream *stream)
{
    akv_op *op = &stream->op;

    if (!akvi_add_size(op->key.len, op->expected.len, &stream->bytes_size))
        return AKV_FAIL(AKV_TOO_BIG, "key and expected value are longer than memory");
    stream->bytes = akvi_alloc(akvi_mem(stream->db), stream->bytes_size);
    if (!stream->bytes)
        return AKV_NOMEM;
    if (op->key.len)
        memcpy(stream->bytes, op->key.data, op->key.len);
    if (op->expected.len)
        memcpy(stream->bytes + op->key.len, op->expected.data, op->expected.len);
    op->key.data      = stream->bytes;
    op->expected.data = stream->bytes + op->key.len;
    return AKV_OK;
}

static akv_status stream_create(akv *db, akv_slice key, bool append, const akv_write_options *opt,
                                akv_stream **stream_out)
{
    akv_write_options full;
    akv_op            op;
    akv_stream       *stream;
    akv_status        status = akvi_need(db, AKV_CAP_STREAM_WRITE);

    if (status == AKV_OK)
        status = akvi_write_options(db, opt, AKVI_TAKES_PUT, &full);
    if (status == AKV_OK)
        status = akvi_op_make(db, AKV_OP_PUT, key, akv_bytes(NULL, 0), &full, &op);
    if (status == AKV_OK)
        status = stream_new(db, &stream);
    if (status != AKV_OK)
        return status;
    stream->writer      = true;
    stream->op          = op;
    stream->deadline_ns = full.deadline_ns;
    stream->cancel      = full.cancel;
    akvi_write_begin(db, &full, &stream->write);
    status = stream_keep_bytes(stream);
    if (status == AKV_OK)
        status = db->engine->stream_create(db->impl, &stream->op, append, &stream->write.opt,
                                           &stream->impl);
    if (status != AKV_OK) {
        stream_free(stream);
        return status;
    }
    *stream_out = stream;
    return AKV_OK;
}

akv_status akv_stream_create(akv *db, akv_slice key, bool append, const akv_write_options *opt,
                             akv_stream **stream_out)
{
    akv_status status = akvi_enter(db, __func__);

    if (stream_out)
        *stream_out = NULL;
    if (status != AKV_OK)
        return status;
    if (!stream_out)
        return akvi_leave(db, akvi_null(__func__, "stream_out"));
    return akvi_leave(db, stream_create(db, key, append, opt, stream_out));
}

akv_status akv_stream_write(akv_stream *stream, const void *data, size_t len)
{
    akv_status status = stream_enter(stream, true, __func__);
    akv       *db;

    if (status != AKV_OK)
        return status;
    db = stream->db;
    if (!data && len != 0)
        status = akvi_null(__func__, "data");
    /* what an append begins with, only the engine knows */
    else if (!akvi_range_ok(stream->len, len, db->max_value))
        status = AKV_FAIL(AKV_TOO_BIG,
                          "the value would have %" PRIu64 " + %zu bytes; the %s engine takes at "
                          "most %" PRIu64,
                          stream->len, len, db->engine->name, db->max_value);
    else
        status = akv_interrupted(stream->deadline_ns, stream->cancel);
    if (status == AKV_OK && len != 0)
        status = db->engine->stream_write(stream->impl, data, len);
    if (status == AKV_OK)
        stream->len += len;
    return akvi_leave(db, status);
}

akv_status akv_stream_commit(akv_stream *stream)
{
    akv_status status = stream_enter(stream, true, __func__);
    akv       *db;

    if (status != AKV_OK)
        return status;
    db     = stream->db;
    status = akv_interrupted(stream->deadline_ns, stream->cancel);
    if (status == AKV_OK)
        status = db->engine->stream_commit(stream->impl, &stream->write.result);
    else
        db->engine->stream_abort(stream->impl);
    akvi_write_end(&stream->write, status);
    akvi_count(db, AKVI_CELL_WRITES, 1);
    if (status == AKV_OK) {
        akvi_count(db, AKVI_CELL_PUTS, 1);
        akvi_count(db, AKVI_CELL_OPS, 1);
        akvi_count(db, AKVI_CELL_WRITE_BYTES, stream->op.key.len + stream->len);
    } else if (status == AKV_CONFLICT) {
        akvi_count(db, AKVI_CELL_CONFLICTS, 1);
    }
    stream_free(stream);
    return akvi_leave(db, status);
}

void akv_stream_abort(akv_stream *stream)
{
    akv_stream_close(stream);
}
