/* SPDX-License-Identifier: MIT
 *
 * cli_sink.c: records into a store, the fast way that the store has.
 *
 * A store being built takes puts and is finished; one with batches gets them a
 * thousand at a time; any other, put by put.
 */
#include "tools/cli_record.h"

#include <anykv/doc.h>

#include <time.h>

#define SINK_BATCH       ((size_t)1000)
#define SINK_BATCH_BYTES ((size_t)4 << 20)

static uint64_t sink_unix_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int cli_sink_begin(cli_sink *s)
{
    s->caps = akv_capabilities(s->db);
    if (s->values == CLI_VALUES_AUTO)
        s->values = strcmp(akv_engine_name(s->db), "fused") ? CLI_VALUES_KEEP : CLI_VALUES_MSGPACK;
    if (!(s->caps & (AKV_CAP_WRITE | AKV_CAP_BUILD)))
        return cli_fail(s->c, "AKV_UNSUPPORTED", NULL, AKV_NO_OFFSET,
                        "this %s store is there already and can't be added to: "
                        "--replace writes it anew",
                        akv_engine_name(s->db));
    if ((s->caps & AKV_CAP_BATCH) && akv_batch_new(s->db, &s->batch) != AKV_OK)
        return cli_failed(s->c);
    return CLI_GO;
}

/* Raw bytes as a document: a string, or binary when they are no text. */
static akv_status sink_wrap(akv_slice bytes, akv_doc_writer *w)
{
    akv_status rc =
        cli_is_utf8(bytes) ? akv_doc_put_string(w, bytes) : akv_doc_put_binary(w, bytes);

    if (rc == AKV_OK)
        rc = akv_doc_finish(w);
    akv_doc_writer_free(w);
    return rc;
}

/* The value in the encoding that is wanted. */
static akv_status sink_encode(cli_sink *s, cli_record *r)
{
    akv_doc_options opt = AKV_DOC_OPTIONS_INIT;
    akv_doc_writer *w;
    akv_status      rc         = AKV_OK;
    bool            to_msgpack = s->values == CLI_VALUES_MSGPACK;

    opt.flags      = s->lossy ? AKV_DOC_LOSSY : 0;
    s->scratch.len = 0;
    if (s->values == CLI_VALUES_RAW)
        r->encoding = AKV_ENCODING_RAW;
    if (!to_msgpack && s->values != CLI_VALUES_JSON)
        return AKV_OK;
    if (r->encoding == (to_msgpack ? AKV_ENCODING_MSGPACK : AKV_ENCODING_JSON))
        return AKV_OK;
    if (r->encoding == AKV_ENCODING_JSON) {
        rc = akv_json_to_msgpack(r->value, &opt, &s->scratch);
    } else if (r->encoding == AKV_ENCODING_MSGPACK) {
        rc = akv_msgpack_to_json(r->value, &opt, &s->scratch);
    } else {
        rc = to_msgpack ? akv_doc_writer_msgpack(&s->scratch, &opt, &w)
                        : akv_doc_writer_json(&s->scratch, &opt, &w);
        if (rc == AKV_OK)
            rc = sink_wrap(r->value, w);
    }
    r->encoding = to_msgpack ? AKV_ENCODING_MSGPACK : AKV_ENCODING_JSON;
    r->value    = cli_slice(&s->scratch);
    return rc;
}

static akv_status sink_flush(cli_sink *s)
{
    akv_status rc = akv_write(s->db, s->batch, NULL);

    if (rc == AKV_OK)
        akv_batch_clear(s->batch);
    return rc;
}

akv_status cli_sink_put(cli_sink *s, const cli_record *record)
{
    akv_write_options opt = AKV_WRITE_OPTIONS_INIT;
    cli_record        r   = *record;
    akv_status        rc;

    if (r.expiry_ms) {
        uint64_t now = sink_unix_ms();

        if (r.expiry_ms <= now) {
            s->expired++;
            return AKV_OK;
        }
        /* Without the capability the put answers so, and names it. */
        if ((s->caps & AKV_CAP_TTL) || !s->drop_expiry)
            opt.ttl_ms = r.expiry_ms - now;
    }
    rc = sink_encode(s, &r);
    if (rc != AKV_OK)
        return rc;
    if (s->caps & AKV_CAP_ENCODING)
        opt.encoding = r.encoding;
    else
        s->untagged += r.encoding != AKV_ENCODING_RAW;
    s->written++;
    if (!s->batch)
        return akv_put(s->db, r.key, r.value, &opt);
    rc = akv_batch_put(s->batch, r.key, r.value, &opt);
    if (rc == AKV_OK &&
        (akv_batch_count(s->batch) >= SINK_BATCH || akv_batch_bytes(s->batch) >= SINK_BATCH_BYTES))
        rc = sink_flush(s);
    return rc;
}

/* A build writes its file here, which takes as long as reading did. */
static akv_status sink_finish(cli_sink *s)
{
    akv_job_options opt = AKV_JOB_OPTIONS_INIT;
    cli_progress    bar;
    akv_status      rc;

    cli_progress_begin(&bar, s->c, "writing");
    opt.progress = cli_progress_job;
    opt.user     = &bar;
    rc           = akv_finish(s->db, &opt);
    cli_progress_end(&bar);
    return rc;
}

int cli_sink_end(cli_sink *s, int code)
{
    bool building = (s->caps & AKV_CAP_BUILD) != 0;

    if (code == CLI_FINE && s->batch && akv_batch_count(s->batch) && sink_flush(s) != AKV_OK)
        code = cli_failed(s->c);
    akv_batch_free(s->batch);
    s->batch = NULL;
    if (code == CLI_FINE && sink_finish(s) != AKV_OK)
        code = cli_failed(s->c);
    if (code != CLI_FINE && building)
        akv_abort(s->db);
    akv_buffer_free(&s->scratch);
    return code;
}

void cli_sink_summary(const cli_sink *s, uint64_t begin_ns)
{
    double seconds = (double)(cli_clock_ns() - begin_ns) / 1e9;

    if (s->c->json) {
        printf("{\"written\":%llu,\"expired\":%llu,\"untagged\":%llu,\"seconds\":%.3f}\n",
               (unsigned long long)s->written, (unsigned long long)s->expired,
               (unsigned long long)s->untagged, seconds);
    } else if (!s->c->quiet) {
        printf("%llu records in %.2f s\n", (unsigned long long)s->written, seconds);
        if (s->expired)
            printf("%llu left out: expired\n", (unsigned long long)s->expired);
    }
}
