/* SPDX-License-Identifier: MIT
 *
 * script.c: random steps from a seed.
 */
#include "tests/conformance/model.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct script_kind {
    const char *name;
    unsigned    weight;
    uint64_t    caps;
} script_kind;

/* By kind. FINISH and DUMP come when they are due. */
static const script_kind script_kinds[AKVC_STEP_KINDS] = {
    [AKVC_PUT]           = {"put", 220, AKV_CAP_WRITE},
    [AKVC_DELETE]        = {"delete", 80, AKV_CAP_WRITE},
    [AKVC_DELETE_RANGE]  = {"delete_range", 12, AKV_CAP_WRITE | AKV_CAP_DELETE_RANGE},
    [AKVC_MERGE]         = {"merge", 40, AKV_CAP_WRITE | AKV_CAP_MERGE},
    [AKVC_EXPIRE]        = {"expire", 20, AKV_CAP_WRITE | AKV_CAP_TTL},
    [AKVC_PERSIST]       = {"persist", 15, AKV_CAP_WRITE | AKV_CAP_TTL},
    [AKVC_BATCH]         = {"batch", 80, AKV_CAP_WRITE | AKV_CAP_BATCH},
    [AKVC_TXN]           = {"txn", 40, AKV_CAP_WRITE | AKV_CAP_TXN},
    [AKVC_STREAM_WRITE]  = {"stream_write", 20, AKV_CAP_WRITE | AKV_CAP_STREAM_WRITE},
    [AKVC_NOTE_VERSION]  = {"note_version", 40, AKV_CAP_VERSION | AKV_CAP_CONDITION},
    [AKVC_GET]           = {"get", 140, AKV_CAP_READ},
    [AKVC_EXISTS]        = {"exists", 40, AKV_CAP_READ},
    [AKVC_GET_MANY]      = {"get_many", 40, AKV_CAP_READ},
    [AKVC_COUNT]         = {"count", 20, AKV_CAP_READ},
    [AKVC_SCAN]          = {"scan", 40, AKV_CAP_READ},
    [AKVC_STREAM_READ]   = {"stream_read", 30, AKV_CAP_STREAM_READ},
    [AKVC_ITER_NEW]      = {"iter_new", 40, AKV_CAP_ORDERED},
    [AKVC_ITER_MOVE]     = {"iter_move", 200, AKV_CAP_ORDERED},
    [AKVC_ITER_FREE]     = {"iter_free", 20, AKV_CAP_ORDERED},
    [AKVC_SNAPSHOT_NEW]  = {"snapshot_new", 30, AKV_CAP_SNAPSHOT},
    [AKVC_SNAPSHOT_FREE] = {"snapshot_free", 15, AKV_CAP_SNAPSHOT},
    [AKVC_FOLLOW]        = {"follow", 10, AKV_CAP_CHANGES},
    [AKVC_ADVANCE]       = {"advance", 6, AKV_CAP_TTL},
    [AKVC_DROP_SPACE]    = {"drop_space", 2, AKV_CAP_WRITE | AKV_CAP_KEYSPACES},
    [AKVC_UPKEEP]        = {"upkeep", 4, 0},
    [AKVC_CHECKPOINT]    = {"checkpoint", 3, AKV_CAP_CHECKPOINT},
    [AKVC_REOPEN]        = {"reopen", 4, 0},
    [AKVC_FINISH]        = {"finish", 0, 0},
    [AKVC_DUMP]          = {"dump", 0, 0},
};

static uint64_t script_below(akvc_script *s, uint64_t n)
{
    return akvc_below(&s->random, n);
}

static bool script_one_in(akvc_script *s, uint64_t n)
{
    return script_below(s, n) == 0;
}

static unsigned script_weight(const akvc_script *s, unsigned kind)
{
    const script_kind *k = &script_kinds[kind];

    if ((k->caps & ~s->caps) || (kind == AKVC_REOPEN && !s->reopens) ||
        (kind == AKVC_ADVANCE && !s->moves_clock) || (kind == AKVC_CHECKPOINT && !s->has_paths))
        return 0;
    return k->weight;
}

/* ------------------------------------------------------------ keys and values */

/* Few different bytes and shared beginnings, so that keys lie close together. */
static void script_make_keys(akvc_script *s)
{
    static const uint8_t alphabet[] = {0x00, 0x01, 'a', 'b', 'c', 0x7f, 0xfe, 0xff};
    uint8_t             *at         = s->bytes;

    for (size_t i = 0; i < AKVC_KEYS; i++, at += 24) {
        akv_slice base  = i && !script_one_in(s, 3) ? s->keys[script_below(s, i)] : akv_str("");
        size_t    begin = base.len ? script_below(s, base.len + 1) : 0;
        size_t    len   = begin;

        if (begin)
            memcpy(at, base.data, begin);
        for (size_t more = i ? 1 + script_below(s, 4) : 0; more > 0 && len < 24; more--)
            at[len++] = alphabet[script_below(s, sizeof alphabet)];
        s->keys[i] = akv_bytes(at, len);
    }
}

static void script_make_values(akvc_script *s)
{
    uint8_t *at = s->bytes + AKVC_KEYS * 24;

    for (size_t i = 0; i < AKVC_VALUES; i++, at += 700) {
        size_t len = i == 0 ? 0 : script_one_in(s, 8) ? script_below(s, 700) : script_below(s, 24);

        for (size_t k = 0; k < len; k++)
            at[k] = (uint8_t)('a' + script_below(s, 26));
        s->values[i] = akv_bytes(at, len);
    }
}

void akvc_script_begin(akvc_script *s, uint64_t seed)
{
    s->random.state = seed;
    script_make_keys(s);
    script_make_values(s);
    memset(s->last, 0, sizeof s->last);
    s->weights = 0;
    for (unsigned kind = 0; kind < AKVC_STEP_KINDS; kind++)
        s->weights += script_weight(s, kind);
    for (unsigned i = 0; i < AKVC_SLOTS; i++)
        s->noted[i] = -1;
    s->puts_left = s->building ? 400 : 0;
}

/* ------------------------------------------------------------------ operations */

static unsigned script_key(akvc_script *s)
{
    return (unsigned)script_below(s, script_one_in(s, 3) ? 20 : AKVC_KEYS);
}

static void script_set_condition(akvc_script *s, akvc_sub *op, unsigned space, unsigned *key)
{
    unsigned slot = (unsigned)script_below(s, AKVC_SLOTS);

    if (!(s->caps & AKV_CAP_CONDITION) || !script_one_in(s, 3))
        return;
    op->condition = (akv_condition)(1 + script_below(s, 4));
    if (op->condition == AKV_IF_VALUE)
        op->expected = s->values[s->last[space][*key]];
    if (op->condition == AKV_IF_VERSION &&
        (!(s->caps & AKV_CAP_VERSION) || s->noted[slot] < 0 || s->noted_space[slot] != space)) {
        op->condition = AKV_IF_PRESENT;
    } else if (op->condition == AKV_IF_VERSION) {
        op->version = slot;
        if (!script_one_in(s, 5))
            *key = (unsigned)s->noted[slot];
    }
}

static uint64_t script_ttl(akvc_script *s)
{
    return AKVC_TTL_UNIT * script_below(s, 4) + AKVC_TTL_UNIT / 2;
}

static void script_set_value(akvc_script *s, akvc_sub *op, unsigned space, unsigned key)
{
    unsigned value = (unsigned)script_below(s, AKVC_VALUES);

    op->value           = s->values[value];
    s->last[space][key] = (uint8_t)value;
    if ((s->caps & AKV_CAP_TTL) && script_one_in(s, 6))
        op->ttl_ms = script_ttl(s);
    if ((s->caps & AKV_CAP_ENCODING) && script_one_in(s, 6))
        op->encoding = (uint32_t)script_below(s, AKV_ENCODING_OPAQUE + 1);
}

static akv_slice script_upper(akvc_script *s)
{
    return script_one_in(s, 6) ? akv_str("") : s->keys[script_key(s)];
}

/* A range over a few neighbours most times, since long ones leave nothing. */
static void script_set_range(akvc_script *s, akvc_sub *op)
{
    static const uint8_t high[] = {0xff, 0xff, 0xff, 0xff};

    op->upper = script_upper(s);
    if (akvc_compare(op->key, op->upper) < 0 && op->key.len && !script_one_in(s, 10))
        op->upper = op->key; /* of nothing */
    if (script_one_in(s, 12))
        op->upper = akv_bytes(high, sizeof high);
}

static void script_make_op(akvc_script *s, akvc_sub *op, akvc_step_kind kind, unsigned space)
{
    unsigned key = script_key(s);

    *op = (akvc_sub){.kind = kind};
    if (kind == AKVC_PUT || kind == AKVC_DELETE || kind == AKVC_EXISTS)
        script_set_condition(s, op, space, &key);
    op->key = s->keys[key];
    if (kind == AKVC_PUT)
        script_set_value(s, op, space, key);
    if (kind == AKVC_MERGE)
        op->value = s->values[script_below(s, AKVC_VALUES)];
    if (kind == AKVC_DELETE_RANGE)
        script_set_range(s, op);
    if (kind == AKVC_EXPIRE)
        op->ttl_ms = script_ttl(s);
    if (kind == AKVC_EXISTS && op->condition == AKV_IF_ANY)
        op->condition = AKV_IF_ABSENT;
    /* whether a new expiry is a new version is not said */
    for (unsigned i = 0; (kind == AKVC_EXPIRE || kind == AKVC_PERSIST) && i < AKVC_SLOTS; i++)
        if (s->noted[i] >= 0 && akvc_equal(s->keys[s->noted[i]], op->key))
            s->noted[i] = -1;
}

static akvc_step_kind script_batch_kind(akvc_script *s)
{
    const uint64_t range = AKV_CAP_DELETE_RANGE, merge = AKV_CAP_MERGE;

    switch (script_below(s, 12)) {
    case 0: return s->native & range && script_one_in(s, 4) ? AKVC_DELETE_RANGE : AKVC_PUT;
    case 1: return s->native & merge ? AKVC_MERGE : AKVC_PUT;
    case 2: return s->caps & AKV_CAP_CONDITION ? AKVC_EXISTS : AKVC_PUT;
    case 3:
    case 4:
    case 5: return AKVC_DELETE;
    default: return AKVC_PUT;
    }
}

static void script_make_subs(akvc_script *s, akvc_step *step)
{
    step->n = 1 + (unsigned)script_below(s, AKVC_SUBS);
    for (unsigned i = 0; i < step->n; i++) {
        akvc_step_kind kind = script_batch_kind(s);

        if (step->kind == AKVC_TXN && (kind > AKVC_DELETE || script_one_in(s, 2)))
            kind = AKVC_GET;
        script_make_op(s, &step->subs[i], kind, step->space);
        if (step->kind == AKVC_TXN)
            step->subs[i].condition = AKV_IF_ANY;
    }
}

/* ----------------------------------------------------------------------- reads */

static void script_set_scan(akvc_script *s, akvc_step *step)
{
    if (!(s->caps & AKV_CAP_ORDERED)) {
        step->flags = script_one_in(s, 4) ? AKV_SCAN_KEYS_ONLY : 0;
        return;
    }
    step->flags = (uint32_t)script_below(s, 4); /* REVERSE, KEYS_ONLY */
    if (script_one_in(s, 2))
        step->lower = s->keys[script_key(s)];
    if (script_one_in(s, 2))
        step->upper = s->keys[script_key(s)];
    if (script_one_in(s, 3)) {
        step->prefix     = s->keys[script_key(s)];
        step->prefix.len = step->prefix.len > 1 ? 1 : step->prefix.len;
    }
    if (script_one_in(s, 8))
        step->flags |= AKV_SCAN_UPPER;
    if (step->kind == AKVC_SCAN && script_one_in(s, 4))
        step->limit = 1 + script_below(s, 20);
}

static akv_move script_move(akvc_script *s)
{
    switch (script_below(s, 12)) {
    case 0: return AKV_MOVE_FIRST;
    case 1: return AKV_MOVE_LAST;
    case 2: return AKV_MOVE_SEEK;
    case 3: return AKV_MOVE_SEEK_FOR_PREV;
    case 4:
    case 5:
    case 6:
    case 7: return AKV_MOVE_PREV;
    default: return AKV_MOVE_NEXT;
    }
}

static akvc_step_kind script_pick(akvc_script *s)
{
    uint64_t at = script_below(s, s->weights);

    for (unsigned kind = 0;; kind++) {
        unsigned weight = script_weight(s, kind);

        if (at < weight)
            return (akvc_step_kind)kind;
        at -= weight;
    }
}

void akvc_script_next(akvc_script *s, akvc_step *step)
{
    memset(step, 0, sizeof *step);
    step->kind = !s->building ? script_pick(s) : script_one_in(s, 5) ? AKVC_DELETE : AKVC_PUT;
    if (s->building && s->puts_left-- == 0) {
        step->kind  = AKVC_FINISH;
        s->building = false;
    }
    step->space = s->caps & AKV_CAP_KEYSPACES ? (unsigned)script_below(s, AKVC_SPACES) : 0;
    step->slot  = (unsigned)script_below(s, AKVC_SLOTS);
    if (step->kind == AKVC_DROP_SPACE)
        step->space = 1 + (unsigned)script_below(s, AKVC_SPACES - 1);
    step->snapshot = script_one_in(s, 3) ? (int)script_below(s, AKVC_SLOTS) : -1;
    script_make_op(s, &step->op, step->kind, step->space);
    if (step->kind == AKVC_BATCH || step->kind == AKVC_TXN || step->kind == AKVC_GET_MANY)
        script_make_subs(s, step);
    if (step->kind == AKVC_TXN) /* what another writes meanwhile */
        script_make_op(s, &step->op, script_one_in(s, 3) ? AKVC_DELETE : AKVC_PUT, step->space);
    if (step->kind == AKVC_TXN)
        step->op.condition = AKV_IF_ANY;
    if (step->kind == AKVC_STREAM_WRITE)
        script_set_value(s, &step->op, step->space, 0);
    if (step->kind == AKVC_SCAN || step->kind == AKVC_ITER_NEW)
        script_set_scan(s, step);
    if (step->kind == AKVC_NOTE_VERSION) {
        unsigned key = script_key(s);

        step->op.key               = s->keys[key];
        s->noted[step->slot]       = (int)key;
        s->noted_space[step->slot] = step->space;
    }
    if (step->kind == AKVC_REOPEN || step->kind == AKVC_DROP_SPACE)
        for (unsigned i = 0; i < AKVC_SLOTS; i++)
            s->noted[i] = -1;
    step->move   = script_move(s);
    step->offset = script_below(s, script_one_in(s, 4) ? 900 : 24);
    step->len    = script_below(s, 40);
    step->append = script_one_in(s, 2);
    step->commit = !script_one_in(s, 4);
}

/* -------------------------------------------------------------------- printing */

static void script_print(akv_buffer *text, const char *fmt, ...) AKV_PRINTF(2, 3);
static void script_print(akv_buffer *text, const char *fmt, ...)
{
    char    piece[256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(piece, sizeof piece, fmt, args);
    va_end(args);
    akv_buffer_append(text, piece, strlen(piece));
}

static void script_print_bytes(akv_buffer *text, const char *name, akv_slice bytes)
{
    const uint8_t *p = bytes.data;

    script_print(text, " %s=\"", name);
    for (size_t i = 0; i < bytes.len && i < 30; i++)
        script_print(text, p[i] >= 0x20 && p[i] < 0x7f ? "%c" : "\\x%02x", p[i]);
    script_print(text, bytes.len > 30 ? "\"...%zu" : "\"", bytes.len);
}

static void script_print_op(akv_buffer *text, const akvc_sub *op)
{
    script_print(text, "%s", script_kinds[op->kind].name);
    script_print_bytes(text, "key", op->key);
    if (op->kind == AKVC_DELETE_RANGE)
        script_print_bytes(text, "upper", op->upper);
    if (op->kind == AKVC_PUT || op->kind == AKVC_MERGE || op->kind == AKVC_STREAM_WRITE)
        script_print_bytes(text, "value", op->value);
    if (op->condition)
        script_print(text, " condition=%d", (int)op->condition);
    if (op->condition == AKV_IF_VALUE)
        script_print_bytes(text, "expected", op->expected);
    if (op->ttl_ms)
        script_print(text, " ttl_ms=%" PRIu64, op->ttl_ms);
    if (op->encoding)
        script_print(text, " encoding=%u", op->encoding);
}

void akvc_step_print(const akvc_step *step, akv_buffer *text)
{
    text->len = 0;
    script_print(text, "%s space=%u slot=%u snapshot=%d", script_kinds[step->kind].name,
                 step->space, step->slot, step->snapshot);
    if (step->kind == AKVC_SCAN || step->kind == AKVC_ITER_NEW) {
        script_print(text, " flags=%u limit=%" PRIu64, step->flags, step->limit);
        script_print_bytes(text, "lower", step->lower);
        script_print_bytes(text, "upper", step->upper);
        script_print_bytes(text, "prefix", step->prefix);
    }
    if (step->kind == AKVC_ITER_MOVE)
        script_print(text, " move=%d", (int)step->move);
    if (step->kind == AKVC_STREAM_READ || step->kind == AKVC_STREAM_WRITE)
        script_print(text, " offset=%" PRIu64 " len=%zu append=%d commit=%d", step->offset,
                     step->len, step->append, step->commit);
    script_print(text, ": ");
    script_print_op(text, &step->op);
    for (unsigned i = 0; i < step->n; i++) {
        script_print(text, "; ");
        script_print_op(text, &step->subs[i]);
    }
    akv_buffer_append(text, "", 1);
}
