/* SPDX-License-Identifier: MIT
 *
 * runs.c: see runs.h.
 */
#include "engines/fused/runs.h"

#include "common/base/mem.h"
#include "common/env/file.h"

#define RUNS_WIDEST     256u
#define RUNS_MOST_SPACE ((uint64_t)1 << 20) /* of a reader: more would not make it faster */

/* ------------------------------------------------------------------ reading */

akv_status akvi_fused_in_begin(fused_in *in, const akv_allocator *allocator, akv_file *file,
                               uint64_t at, uint64_t len, size_t memory)
{
    *in        = (fused_in){.file = file, .allocator = allocator, .at = at, .end = at + len};
    in->buffer = akvi_alloc(allocator, memory);
    if (!in->buffer)
        return AKV_NOMEM;
    in->cap = memory;
    return AKV_OK;
}

static akv_status runs_fill(fused_in *in)
{
    size_t     left = in->len - in->from, more;
    akv_status st;

    memmove(in->buffer, in->buffer + in->from, left);
    more = in->cap - left;
    if (more > in->end - in->at)
        more = (size_t)(in->end - in->at);
    in->from = 0;
    in->len  = left;
    st       = akvi_read_full(in->file, NULL, in->buffer + left, more, in->at);
    if (st != AKV_OK)
        return st;
    in->at += more;
    in->len += more;
    return AKV_OK;
}

akv_status akvi_fused_in_next(fused_in *in, const uint8_t **entry_out)
{
    size_t left = in->len - in->from;

    if (left < FUSED_ENTRY_LEAST || left < fused_entry_len(in->buffer + in->from)) {
        akv_status st;

        if (left == 0 && in->at == in->end)
            return AKV_END;
        st = runs_fill(in);
        if (st != AKV_OK)
            return st;
        if (in->len < FUSED_ENTRY_LEAST || in->len < fused_entry_len(in->buffer))
            return AKV_FAIL(AKV_CORRUPT, "a temporary file of a build was changed by others");
    }
    *entry_out = in->buffer + in->from;
    in->from += fused_entry_len(*entry_out);
    return AKV_OK;
}

void akvi_fused_in_end(fused_in *in)
{
    akvi_free(in->allocator, in->buffer, in->cap);
    *in = (fused_in){.file = NULL};
}

/* ------------------------------------------------------------------ writing */

akv_status akvi_fused_out_begin(fused_out *out, const akv_allocator *allocator, akv_file *file,
                                uint64_t at, size_t memory)
{
    *out       = (fused_out){.file = file, .allocator = allocator, .at = at};
    out->chunk = akvi_alloc(allocator, memory);
    if (!out->chunk)
        return AKV_NOMEM;
    out->cap = memory;
    return AKV_OK;
}

akv_status akvi_fused_out_flush(fused_out *out)
{
    akv_status st = AKV_OK;

    if (out->used > 0)
        st = out->file->ops->write_at(out->file, out->chunk, out->used, out->at);
    if (st == AKV_OK) {
        out->at += out->used;
        out->used = 0;
    }
    return st;
}

akv_status akvi_fused_out_put(fused_out *out, const void *data, size_t len)
{
    akv_status st = AKV_OK;

    if (len > out->cap - out->used)
        st = akvi_fused_out_flush(out);
    if (st != AKV_OK)
        return st;
    if (len > out->cap) {
        st = out->file->ops->write_at(out->file, data, len, out->at);
        out->at += st == AKV_OK ? len : 0;
        return st;
    }
    memcpy(out->chunk + out->used, data, len);
    out->used += len;
    return AKV_OK;
}

void akvi_fused_out_end(fused_out *out)
{
    akvi_free(out->allocator, out->chunk, out->cap);
    *out = (fused_out){.file = NULL};
}

/* ------------------------------------------------------------------ merging */

uint32_t akvi_fused_merge_width(uint64_t memory)
{
    uint64_t width = memory / FUSED_IN_LEAST;

    if (width < 2)
        return 2;
    return width < RUNS_WIDEST ? (uint32_t)width : RUNS_WIDEST;
}

static uint64_t runs_head(const uint8_t *entry)
{
    uint32_t len  = fused_entry_key_len(entry);
    uint64_t head = akvi_get_be64(fused_entry_key(entry)); /* an offset follows the key */

    if (len == 0)
        return 0;
    return len < 8 ? head >> (64 - 8 * len) << (64 - 8 * len) : head;
}

static akv_status runs_advance(fused_source *s)
{
    akv_status st = akvi_fused_in_next(&s->in, &s->entry);

    if (st == AKV_OK)
        s->head = runs_head(s->entry);
    else
        s->entry = NULL;
    return st == AKV_END ? AKV_OK : st;
}

/* Whether run a is to be handed out before run b: its key is less or, the keys
 * being equal, it is the later run. */
static bool runs_before(const fused_merge *m, uint32_t a, uint32_t b)
{
    const fused_source *x = &m->sources[a], *y = &m->sources[b];
    int                 c;

    if (!x->entry || !y->entry)
        return x->entry != NULL;
    if (x->head != y->head)
        return x->head < y->head;
    c = fused_entry_compare(x->entry, y->entry);
    return c < 0 || (c == 0 && a > b);
}

/* Play the matches of node and below; returns the winner. */
static uint32_t runs_play(fused_merge *m, uint32_t node)
{
    uint32_t left, right;

    if (node >= m->n)
        return node - m->n;
    left          = runs_play(m, 2 * node);
    right         = runs_play(m, 2 * node + 1);
    m->tree[node] = runs_before(m, left, right) ? right : left;
    return left + right - m->tree[node];
}

/* The winner has a new entry: play its matches again. */
static void runs_replay(fused_merge *m)
{
    uint32_t winner = m->tree[0];

    for (uint32_t node = (winner + m->n) / 2; node > 0; node /= 2) {
        if (runs_before(m, m->tree[node], winner)) {
            uint32_t loser = winner;

            winner        = m->tree[node];
            m->tree[node] = loser;
        }
    }
    m->tree[0] = winner;
}

akv_status akvi_fused_merge_begin(fused_merge *m, const akv_allocator *allocator, akv_file *file,
                                  const fused_run *runs, uint32_t n, uint64_t memory)
{
    uint64_t   each = n > 0 ? memory / n : 0;
    akv_status st   = AKV_OK;

    if (each < FUSED_IN_LEAST)
        each = FUSED_IN_LEAST;
    if (each > RUNS_MOST_SPACE)
        each = RUNS_MOST_SPACE;
    *m         = (fused_merge){.allocator = allocator, .n = n};
    m->sources = akvi_zalloc(allocator, (n + (size_t)1) * sizeof *m->sources);
    m->tree    = akvi_zalloc(allocator, (n + (size_t)1) * sizeof *m->tree);
    m->last    = akvi_alloc(allocator, FUSED_ENTRY_MOST);
    if (!m->sources || !m->tree || !m->last)
        st = AKV_NOMEM;
    for (uint32_t i = 0; i < n && st == AKV_OK; i++) {
        st = akvi_fused_in_begin(&m->sources[i].in, allocator, file, runs[i].at, runs[i].len,
                                 (size_t)each);
        if (st == AKV_OK)
            st = runs_advance(&m->sources[i]);
    }
    if (st == AKV_OK && n > 0)
        m->tree[0] = runs_play(m, 1);
    if (st != AKV_OK)
        akvi_fused_merge_end(m);
    return st;
}

akv_status akvi_fused_merge_next(fused_merge *m, const uint8_t **entry_out)
{
    fused_source *winner = &m->sources[m->tree[0]];

    while (m->begun && m->n > 0) {
        akv_status st = runs_advance(winner);

        if (st != AKV_OK)
            return st;
        runs_replay(m);
        winner = &m->sources[m->tree[0]];
        if (!winner->entry || fused_entry_compare(winner->entry, m->last) != 0)
            break;
    }
    if (m->n == 0 || !winner->entry)
        return AKV_END;
    m->begun = true;
    memcpy(m->last, winner->entry, fused_entry_len(winner->entry));
    *entry_out = m->last;
    return AKV_OK;
}

void akvi_fused_merge_end(fused_merge *m)
{
    for (uint32_t i = 0; m->sources && i < m->n; i++)
        akvi_fused_in_end(&m->sources[i].in);
    akvi_free(m->allocator, m->sources, (m->n + (size_t)1) * sizeof *m->sources);
    akvi_free(m->allocator, m->tree, (m->n + (size_t)1) * sizeof *m->tree);
    akvi_free(m->allocator, m->last, FUSED_ENTRY_MOST);
    *m = (fused_merge){.n = 0};
}
