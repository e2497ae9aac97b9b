/* SPDX-License-Identifier: MIT
 *
 * check.c: the checks of arguments and options that calls have in common.
 * Nothing here touches an engine.
 */
#include "common/front/front.h"

#include "common/base/bytes.h"
#include "common/base/options.h"

#include <inttypes.h>

akv_status akvi_check_key(const akv *db, akv_slice key)
{
    if (AKVI_LIKELY(key.len <= db->max_key && (key.data || key.len == 0)))
        return AKV_OK;
    if (!key.data)
        return AKV_FAIL(AKV_MISUSE, "the key is NULL with a length of %zu", key.len);
    return AKV_FAIL(AKV_TOO_BIG, "the key has %zu bytes; the %s engine takes at most %" PRIu64,
                    key.len, db->engine->name, db->max_key);
}

akv_status akvi_check_value(const akv *db, akv_slice value)
{
    if (AKVI_LIKELY(value.len <= db->max_value && (value.data || value.len == 0)))
        return AKV_OK;
    if (!value.data)
        return AKV_FAIL(AKV_MISUSE, "the value is NULL with a length of %zu", value.len);
    return AKV_FAIL(AKV_TOO_BIG, "the value has %zu bytes; the %s engine takes at most %" PRIu64,
                    value.len, db->engine->name, db->max_value);
}

akv_status akvi_check_keyspace(const akv *db, const akv_keyspace *keyspace)
{
    if (!keyspace || akvi_keyspace_db(keyspace) == db)
        return AKV_OK;
    return AKV_FAIL(AKV_MISUSE, "the key space was opened on another handle");
}

/* ----------------------------------------------------------------- reading */

akv_status akvi_read_options(const akv *db, const akv_read_options *opt, akv_read_options *copy,
                             const akv_read_options **opt_out)
{
    static const akv_read_options defaults = AKV_READ_OPTIONS_INIT;
    akv_status                    status;

    if (!opt) {
        *opt_out = &defaults;
        return AKV_OK;
    }
    if (opt->size != sizeof *opt) {
        *copy  = defaults;
        status = akvi_options_copy(copy, sizeof *copy, opt, "akv_read_options");
        if (status != AKV_OK)
            return status;
        copy->size = sizeof *copy;
        opt        = copy;
    }
    *opt_out = opt;
    if ((opt->flags & ~(AKV_READ_VERIFY | AKV_READ_NO_FILL_CACHE)) != 0 || opt->reserved != 0)
        return AKV_FAIL(AKV_MISUSE, "akv_read_options: flags has unknown bits (0x%x)", opt->flags);
    if (opt->snapshot && akvi_snapshot_db(opt->snapshot) != db)
        return AKV_FAIL(AKV_MISUSE, "the snapshot was made on another handle");
    status = akvi_check_keyspace(db, opt->keyspace);
    if (status == AKV_OK && (opt->deadline_ns != 0 || opt->cancel))
        status = akv_interrupted(opt->deadline_ns, opt->cancel);
    return status;
}

akv_status akvi_job_options(const akv_job_options *opt, akv_job_options *full_out)
{
    const akv_job_options defaults = AKV_JOB_OPTIONS_INIT;
    akv_status            status;

    *full_out = defaults;
    if (!opt)
        return AKV_OK;
    status         = akvi_options_copy(full_out, sizeof *full_out, opt, "akv_job_options");
    full_out->size = sizeof *full_out;
    return status == AKV_OK ? akv_interrupted(full_out->deadline_ns, full_out->cancel) : status;
}

/* ----------------------------------------------------------------- writing */

static akv_status check_taken(const akv_write_options *opt, unsigned takes)
{
    static const akv_version_tag none;
    const char                  *what = NULL;

    if (!(takes & AKVI_TAKES_CONDITION) &&
        (opt->condition != AKV_IF_ANY || opt->expected.len != 0 ||
         memcmp(&opt->version, &none, sizeof none) != 0))
        what = "condition";
    if (!(takes & AKVI_TAKES_LIFETIME) && opt->ttl_ms != 0)
        what = "ttl_ms";
    if (!(takes & AKVI_TAKES_LIFETIME) && opt->encoding != AKV_ENCODING_RAW)
        what = "encoding";
    if (!(takes & AKVI_TAKES_KEYSPACE) && opt->keyspace)
        what = "keyspace";
    if (!(takes & AKVI_TAKES_WRITE) && opt->sync != AKV_SYNC_DEFAULT)
        what = "sync";
    if (!(takes & AKVI_TAKES_WRITE) && (opt->deadline_ns != 0 || opt->cancel))
        what = "deadline_ns or cancel";
    if (!(takes & AKVI_TAKES_WRITE) && opt->result_out)
        what = "result_out";
    if (what)
        return AKV_FAIL(AKV_MISUSE, "akv_write_options: this call takes no %s", what);
    return AKV_OK;
}

akv_status akvi_write_options(const akv *db, const akv_write_options *opt, unsigned takes,
                              akv_write_options *opt_out)
{
    const akv_write_options defaults = AKV_WRITE_OPTIONS_INIT;
    const akv_write_result  none     = {0};
    akv_status              status   = AKV_OK;

    *opt_out = defaults;
    if (!opt)
        return AKV_OK;
    if (opt->size == sizeof *opt)
        *opt_out = *opt;
    else
        status = akvi_options_copy(opt_out, sizeof *opt_out, opt, "akv_write_options");
    opt_out->size = sizeof *opt_out;
    if (status != AKV_OK)
        return status;
    if (opt_out->result_out)
        *opt_out->result_out = none;
    if (opt_out->sync > AKV_SYNC_NEVER || opt_out->condition > AKV_IF_VERSION ||
        opt_out->encoding > AKV_ENCODING_OPAQUE || opt_out->reserved != 0)
        return AKV_FAIL(AKV_MISUSE,
                        "akv_write_options: sync %u, condition %u or encoding %u is unknown",
                        opt_out->sync, opt_out->condition, opt_out->encoding);
    status = check_taken(opt_out, takes);
    if (status == AKV_OK)
        status = akvi_check_keyspace(db, opt_out->keyspace);
    if (status == AKV_OK && (opt_out->deadline_ns != 0 || opt_out->cancel))
        status = akv_interrupted(opt_out->deadline_ns, opt_out->cancel);
    return status;
}

uint64_t akvi_expiry(const akv *db, uint64_t ttl_ms)
{
    uint64_t now = db->env->ops->unix_ms(db->env);

    return ttl_ms > UINT64_MAX - now ? UINT64_MAX : now + ttl_ms;
}

static akv_status check_condition(const akv *db, const akv_write_options *opt)
{
    if (opt->condition == AKV_IF_ANY)
        return AKV_OK;
    if (opt->condition == AKV_IF_VALUE && !opt->expected.data && opt->expected.len != 0)
        return AKV_FAIL(AKV_MISUSE, "the expected value is NULL with a length of %zu",
                        opt->expected.len);
    return akvi_need(db,
                     AKV_CAP_CONDITION | (opt->condition == AKV_IF_VERSION ? AKV_CAP_VERSION : 0));
}

static uint64_t check_op_needs(const akv *db, akv_op_kind kind, const akv_write_options *opt)
{
    bool building =
        (akvi_caps(db) & AKV_CAP_BUILD) != 0 && (kind == AKV_OP_PUT || kind == AKV_OP_DELETE);
    uint64_t caps = building ? 0 : AKV_CAP_WRITE;

    if (kind == AKV_OP_DELETE_RANGE)
        caps |= AKV_CAP_DELETE_RANGE;
    if (kind == AKV_OP_MERGE)
        caps |= AKV_CAP_MERGE;
    if (kind == AKV_OP_EXPIRE || opt->ttl_ms != 0)
        caps |= AKV_CAP_TTL;
    if (opt->encoding != AKV_ENCODING_RAW)
        caps |= AKV_CAP_ENCODING;
    return caps;
}

akv_status akvi_op_make(akv *db, akv_op_kind kind, akv_slice key, akv_slice value,
                        const akv_write_options *opt, akv_op *op_out)
{
    akv_status status = akvi_need(db, check_op_needs(db, kind, opt));

    if (status == AKV_OK)
        status = check_condition(db, opt);
    if (status == AKV_OK)
        status = akvi_check_key(db, key);
    if (status == AKV_OK)
        status =
            kind == AKV_OP_DELETE_RANGE ? akvi_check_key(db, value) : akvi_check_value(db, value);
    if (status == AKV_OK && kind == AKV_OP_MERGE && !db->args.merge)
        status = AKV_FAIL(AKV_MISUSE, "the store was opened without a merge operator");
    if (status != AKV_OK)
        return status;
    *op_out = (akv_op){
        .kind      = kind,
        .condition = (akv_condition)opt->condition,
        .key       = key,
        .value     = value,
        .expected  = opt->condition == AKV_IF_VALUE ? opt->expected : akv_bytes(NULL, 0),
        .version   = opt->version,
        .expiry_ms = opt->ttl_ms != 0 ? akvi_expiry(db, opt->ttl_ms) : 0,
        .encoding  = opt->encoding,
        .keyspace  = opt->keyspace,
    };
    return AKV_OK;
}

bool akvi_condition_holds(const akv_op *op, const akv_value *value)
{
    switch (op->condition) {
    case AKV_IF_ANY: return true;
    case AKV_IF_ABSENT: return !value;
    case AKV_IF_PRESENT: return value != NULL;
    case AKV_IF_VALUE:
        return value && akvi_equal(value->data, value->len, op->expected.data, op->expected.len);
    case AKV_IF_VERSION:
        return value && memcmp(&value->version, &op->version, sizeof op->version) == 0;
    }
    return false;
}
