/* SPDX-License-Identifier: MIT
 *
 * stream.c: cases of values read and written in pieces.
 */
#include "tests/conformance/suite.h"

#include <stdlib.h>

/* ------------------------------------------------------------------ reading */

static void stream_reads_pieces(akvc_run *r)
{
    akv        *db = akvc_filled(r, "k=0123456789 empty=");
    char        buf[16];
    size_t      len = 99;
    akv_stream *stream;

    OK(r, akv_stream_open(db, akv_str("k"), NULL, &stream));
    CHECK(r, akv_stream_len(stream) == 10);
    OK(r, akv_stream_read(stream, 0, buf, 4, &len));
    CHECK(r, len == 4 && memcmp(buf, "0123", 4) == 0);
    OK(r, akv_stream_read(stream, 7, buf, 3, &len));
    CHECK(r, len == 3 && memcmp(buf, "789", 3) == 0);
    OK(r, akv_stream_read(stream, 8, buf, sizeof buf, &len)); /* fewer only at the end */
    CHECK(r, len == 2 && memcmp(buf, "89", 2) == 0);
    OK(r, akv_stream_read(stream, 2, buf, 5, &len)); /* and back */
    CHECK(r, len == 5 && memcmp(buf, "23456", 5) == 0);
    OK(r, akv_stream_read(stream, 0, buf, sizeof buf, &len));
    CHECK(r, len == 10 && memcmp(buf, "0123456789", 10) == 0);
    WANT(r, AKV_END, akv_stream_read(stream, 10, buf, 4, &len));
    CHECK(r, len == 0);
    len = 99;
    WANT(r, AKV_END, akv_stream_read(stream, UINT64_MAX, buf, 4, &len));
    CHECK(r, len == 0);
    akv_stream_close(stream);
    akv_stream_close(NULL);
    OK(r, akv_stream_open(db, akv_str("empty"), NULL, &stream));
    CHECK(r, akv_stream_len(stream) == 0);
    WANT(r, AKV_END, akv_stream_read(stream, 0, buf, 4, &len));
    akv_stream_close(stream);
    WANT(r, AKV_ABSENT, akv_stream_open(db, akv_str("no"), NULL, &stream));
    CHECK(r, stream == NULL && akv_stream_len(NULL) == 0);
    akvc_close(r, db);
}

static void stream_reads_large(akvc_run *r)
{
    size_t      size  = r->max_value < (1u << 20) ? (size_t)r->max_value : (1u << 20) + 11;
    uint8_t    *bytes = malloc(size), *piece = malloc(70000);
    akv        *db   = akvc_new(r);
    akvc_pair   pair = {akv_str("big"), akv_bytes(bytes, size)};
    akv_stream *stream;

    CHECK(r, bytes && piece);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 ^ i >> 8);
    akvc_fill(r, db, &pair, 1);
    OK(r, akv_stream_open(db, akv_str("big"), NULL, &stream));
    CHECK(r, akv_stream_len(stream) == size);
    for (int i = 0; i < 200; i++) {
        size_t offset = akvc_below(&r->random, size), cap = akvc_below(&r->random, 70000) + 1;
        size_t want = size - offset < cap ? size - offset : cap, len;

        OK(r, akv_stream_read(stream, offset, piece, cap, &len));
        CHECK(r, len == want && memcmp(piece, bytes + offset, len) == 0);
    }
    akv_stream_close(stream);
    akvc_close(r, db);
    free(bytes);
    free(piece);
}

static void stream_sees_its_moment(akvc_run *r)
{
    akv        *db = akvc_filled(r, "k=before");
    char        buf[16];
    size_t      len;
    akv_stream *stream;

    OK(r, akv_stream_open(db, akv_str("k"), NULL, &stream));
    OK(r, akv_put(db, akv_str("k"), akv_str("after it was opened"), NULL));
    OK(r, akv_stream_read(stream, 0, buf, 3, &len));
    CHECK(r, len == 3 && memcmp(buf, "bef", 3) == 0);
    OK(r, akv_delete(db, akv_str("k"), NULL));
    OK(r, akv_compact(db, NULL));
    OK(r, akv_stream_read(stream, 3, buf, sizeof buf, &len));
    CHECK(r, len == 3 && memcmp(buf, "ore", 3) == 0);
    CHECK(r, akv_stream_len(stream) == 6);
    akv_stream_close(stream);
    akvc_close(r, db);
}

static void stream_from_snapshot(akvc_run *r)
{
    akv             *db  = akvc_filled(r, "k=before");
    akv_read_options opt = AKV_READ_OPTIONS_INIT;
    akv_snapshot    *snapshot;
    akv_stream      *stream;

    OK(r, akv_snapshot_new(db, &snapshot));
    OK(r, akv_put(db, akv_str("k"), akv_str("later on"), NULL));
    opt.snapshot = snapshot;
    OK(r, akv_stream_open(db, akv_str("k"), &opt, &stream));
    CHECK(r, akv_stream_len(stream) == 6);
    akv_stream_close(stream);
    akv_snapshot_free(snapshot);
    akvc_close(r, db);
}

/* ------------------------------------------------------------------ writing */

static akv_stream *stream_begin(akvc_run *r, akv *db, const char *key, bool append,
                                const akv_write_options *opt)
{
    akv_stream *stream;

    OK(r, akv_stream_create(db, akv_str(key), append, opt, &stream));
    return stream;
}

static void stream_commits_whole(akvc_run *r)
{
    akv        *db     = akvc_filled(r, "a=old");
    akv_stream *stream = stream_begin(r, db, "k", false, NULL);
    char        part[] = "one";

    OK(r, akv_stream_write(stream, part, 3));
    part[0] = 'x'; /* it was copied */
    OK(r, akv_stream_write(stream, "", 0));
    OK(r, akv_stream_write(stream, "two", 3));
    LACKS(r, db, NULL, "k");
    OK(r, akv_stream_commit(stream));
    HOLDS(r, db, NULL, "a=old k=onetwo");
    stream = stream_begin(r, db, "a", false, NULL);
    OK(r, akv_stream_write(stream, "new", 3));
    HAS(r, db, NULL, "a", "old");
    OK(r, akv_stream_commit(stream));
    OK(r, akv_stream_commit(stream_begin(r, db, "empty", false, NULL)));
    HOLDS(r, db, NULL, "a=new empty= k=onetwo");
    akvc_close(r, db);
}

static void stream_aborts(akvc_run *r)
{
    akv        *db     = akvc_filled(r, "a=old");
    akv_stream *stream = stream_begin(r, db, "a", false, NULL);

    OK(r, akv_stream_write(stream, "x", 1));
    akv_stream_abort(stream);
    akv_stream_abort(NULL);
    stream = stream_begin(r, db, "b", true, NULL);
    OK(r, akv_stream_write(stream, "x", 1));
    akv_stream_close(stream); /* closing a writer aborts it */
    HOLDS(r, db, NULL, "a=old");
    akvc_close(r, db);
}

static void stream_appends(akvc_run *r)
{
    akv        *db     = akvc_filled(r, "a=one");
    akv_stream *stream = stream_begin(r, db, "a", true, NULL);

    OK(r, akv_stream_write(stream, "two", 3));
    HAS(r, db, NULL, "a", "one");
    OK(r, akv_stream_commit(stream));
    stream = stream_begin(r, db, "new", true, NULL);
    OK(r, akv_stream_write(stream, "x", 1));
    OK(r, akv_stream_commit(stream));
    OK(r, akv_stream_commit(stream_begin(r, db, "a", true, NULL)));
    HOLDS(r, db, NULL, "a=onetwo new=x");
    akvc_close(r, db);
}

static void stream_large(akvc_run *r)
{
    enum { PIECE = 65537, PIECES = 40 };
    size_t      room = (size_t)PIECE * PIECES;
    uint8_t    *all  = malloc(room);
    akv        *db   = akvc_new(r);
    akv_stream *stream;

    CHECK(r, all);
    for (size_t i = 0; i < room; i++)
        all[i] = (uint8_t)(i * 7 ^ i >> 11);
    stream = stream_begin(r, db, "k", false, NULL);
    for (size_t i = 0; i < PIECES; i++)
        OK(r, akv_stream_write(stream, all + i * PIECE, PIECE));
    OK(r, akv_stream_commit(stream));
    akvc_has(r, __FILE__, __LINE__, db, NULL, akv_str("k"), akv_bytes(all, room));
    akvc_close(r, db);
    free(all);
}

static void stream_options(akvc_run *r)
{
    akv              *db       = akvc_filled(r, "a=1");
    akv_write_options opt      = AKV_WRITE_OPTIONS_INIT;
    akv_write_result  result   = {{{0}}, AKV_REACHED_NOTHING, 0, 99};
    char              value[2] = "1";
    akv_stream       *stream;
    akv_value         got;

    opt.result_out = &result;
    if (r->caps & AKV_CAP_ENCODING)
        opt.encoding = AKV_ENCODING_JSON;
    if (r->caps & AKV_CAP_TTL)
        opt.ttl_ms = 1000000;
    if (r->caps & AKV_CAP_CONDITION) {
        opt.condition = AKV_IF_VALUE;
        opt.expected  = akv_str(value);
    }
    stream = stream_begin(r, db, "a", false, &opt);
    OK(r, akv_stream_write(stream, "22", 2));
    value[0] = 'x'; /* options were copied */
    OK(r, akv_stream_commit(stream));
    OK(r, akv_get(db, akv_str("a"), NULL, &got));
    CHECK(r, got.len == 2 && got.encoding == opt.encoding && !got.expiry_ms == !opt.ttl_ms);
    CHECK(r, memcmp(&got.version, &result.version, sizeof got.version) == 0);
    akv_value_release(&got);
    if (r->caps & AKV_CAP_CONDITION) { /* it is judged at the commit */
        value[0] = '1';
        stream   = stream_begin(r, db, "a", false, &opt);
        OK(r, akv_stream_write(stream, "33", 2));
        WANT(r, AKV_CONFLICT, akv_stream_commit(stream));
        HOLDS(r, db, NULL, "a=22");
    }
    akvc_close(r, db);
}

static void stream_of_the_other_kind(akvc_run *r)
{
    akv        *db = akvc_filled(r, "a=1");
    char        byte;
    size_t      len;
    akv_stream *reader, *writer = stream_begin(r, db, "a", false, NULL);

    OK(r, akv_stream_open(db, akv_str("a"), NULL, &reader));
    WANT(r, AKV_MISUSE, akv_stream_write(reader, "x", 1));
    WANT(r, AKV_MISUSE, akv_stream_read(writer, 0, &byte, 1, &len));
    WANT(r, AKV_MISUSE, akv_stream_write(writer, NULL, 1));
    OK(r, akv_stream_write(writer, "2", 1));
    OK(r, akv_stream_commit(writer));
    akv_stream_close(reader);
    HOLDS(r, db, NULL, "a=2");
    akvc_close(r, db);
}

#define STREAM_CAPS (AKV_CAP_WRITE | AKV_CAP_STREAM_WRITE)

const akvc_case akvc_stream_cases[] = {
    {"stream: reads pieces at any offset, fewer only at the end", AKV_CAP_STREAM_READ, 0,
     stream_reads_pieces},
    {"stream: reads large values in any order", AKV_CAP_STREAM_READ, 0, stream_reads_large},
    {"stream: a reader sees the value as it was when it was opened",
     AKV_CAP_STREAM_READ | AKV_CAP_WRITE, 0, stream_sees_its_moment},
    {"stream: reads from a snapshot", AKV_CAP_STREAM_READ | AKV_CAP_WRITE | AKV_CAP_SNAPSHOT, 0,
     stream_from_snapshot},
    {"stream: nothing of a writer shows before its commit", STREAM_CAPS, 0, stream_commits_whole},
    {"stream: an aborted writer leaves nothing", STREAM_CAPS, 0, stream_aborts},
    {"stream: append begins with what is stored", STREAM_CAPS, 0, stream_appends},
    {"stream: writes large values in pieces", STREAM_CAPS, 0, stream_large},
    {"stream: a writer's options hold at its commit", STREAM_CAPS, 0, stream_options},
    {"stream: readers do not write, writers do not read", STREAM_CAPS, 0, stream_of_the_other_kind},
    {NULL, 0, 0, NULL},
};
