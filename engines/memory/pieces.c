/* SPDX-License-Identifier: MIT
 *
 * pieces.c: streams. A reader holds the value; a writer gathers its bytes and
 * puts them at commit.
 */
#include "engines/memory/store.h"

#include "common/base/buffer.h"
#include "common/base/mem.h"

typedef struct pieces_reader {
    memory_store *store;
    akv_value     value;
} pieces_reader;

typedef struct pieces_writer {
    memory_store     *store;
    akv_op            op;
    akv_write_options opt;
    akv_buffer        bytes;
} pieces_writer;

akv_status akvi_memory_stream_open(void *impl, akv_slice key, const akv_read_options *opt,
                                   void **stream_out, uint64_t *len_out)
{
    memory_store  *s = impl;
    pieces_reader *r = akvi_zalloc(s->allocator, sizeof *r);
    akv_status     st;

    if (!r)
        return AKV_NOMEM;
    r->store = s;
    st       = akvi_memory_get(s, key, opt, &r->value);
    if (st != AKV_OK) {
        akvi_free(s->allocator, r, sizeof *r);
        return st;
    }
    *stream_out = r;
    *len_out    = r->value.len;
    return AKV_OK;
}

akv_status akvi_memory_stream_read(void *stream, uint64_t offset, void *buf, size_t cap,
                                   size_t *len_out)
{
    const pieces_reader *r = stream;

    *len_out = 0;
    if (offset >= r->value.len)
        return AKV_END;
    *len_out = r->value.len - (size_t)offset < cap ? r->value.len - (size_t)offset : cap;
    memcpy(buf, (const uint8_t *)r->value.data + offset, *len_out);
    return AKV_OK;
}

void akvi_memory_stream_close(void *stream)
{
    pieces_reader *r = stream;

    akvi_memory_release(r->store, &r->value);
    akvi_free(r->store->allocator, r, sizeof *r);
}

akv_status akvi_memory_stream_create(void *impl, const akv_op *op, bool append,
                                     const akv_write_options *opt, void **stream_out)
{
    memory_store    *s     = impl;
    akv_read_options read  = AKV_READ_OPTIONS_INIT;
    akv_value        value = AKV_VALUE_INIT;
    akv_status       st    = AKV_OK;
    pieces_writer   *w     = akvi_alloc(s->allocator, sizeof *w);

    if (!w)
        return AKV_NOMEM;
    *w            = (pieces_writer){s, *op, *opt, {NULL, 0, 0, s->allocator}};
    read.keyspace = op->keyspace;
    if (append && akvi_memory_get(s, op->key, &read, &value) == AKV_OK) {
        st = akvi_buffer_set(&w->bytes, value.data, value.len);
        akvi_memory_release(s, &value);
    }
    if (st != AKV_OK) {
        akvi_memory_stream_abort(w);
        return st;
    }
    *stream_out = w;
    return AKV_OK;
}

akv_status akvi_memory_stream_write(void *stream, const void *data, size_t len)
{
    pieces_writer *w = stream;

    if (len > AKV_MEMORY_MAX_VALUE - w->bytes.len)
        return AKV_FAIL(AKV_TOO_BIG,
                        "%zu more bytes after %zu would pass the limit of a value, 1 GiB", len,
                        w->bytes.len);
    return akv_buffer_append(&w->bytes, data, len);
}

akv_status akvi_memory_stream_commit(void *stream, akv_write_result *result_out)
{
    pieces_writer *w = stream;
    akv_status     st;

    w->op.value = akvi_buffer_slice(&w->bytes);
    st          = akvi_memory_write(w->store, &w->op, 1, &w->opt, result_out);
    akvi_memory_stream_abort(w);
    return st;
}

void akvi_memory_stream_abort(void *stream)
{
    pieces_writer *w = stream;

    akv_buffer_free(&w->bytes);
    akvi_free(w->store->allocator, w, sizeof *w);
}
