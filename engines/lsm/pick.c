/* SPDX-License-Identifier: MIT
 *
 * pick.c: what to compact next.
 *
 * Level sizes are dynamic: the last level is as large as it is, each one above
 * may have a `level_ratio`-th of the one below it, and the first whose share
 * would fall under level_base is the level that level 0 is merged into. So most
 * data is on the last level, whatever the store's size, and space
 * amplification stays near 1 + 1/ratio. (Dong et al., "Optimizing Space
 * Amplification in RocksDB", 2017.)
 */
#include "engines/lsm/db.h"

#include "common/base/mem.h"

#define PICK_TRIES 8u /* files of a level looked at for the cheapest */

unsigned akvi_lsm_targets(const lsm_db *db, const lsm_version *v, uint64_t targets[LSM_LEVELS])
{
    uint64_t largest = 0, size;
    unsigned base    = LSM_LEVELS - 1;

    memset(targets, 0, LSM_LEVELS * sizeof *targets);
    for (unsigned l = 1; l < LSM_LEVELS; l++)
        if (v->levels[l].bytes > largest)
            largest = v->levels[l].bytes;
    size = largest > db->options.level_base ? largest : db->options.level_base;
    for (unsigned l = LSM_LEVELS - 1; l > 0; l--) {
        targets[l] = l == LSM_LEVELS - 1 ? UINT64_MAX : size;
        base       = l;
        size /= db->options.level_ratio;
        if (size < db->options.level_base / db->options.level_ratio)
            break;
    }
    return base;
}

static bool pick_is_free(const lsm_level *level)
{
    for (size_t i = 0; i < level->n; i++)
        if (level->files[i]->compacting)
            return false;
    return true;
}

/* By how much a level is over its target; level 0 also by its files. */
static double pick_score(const lsm_db *db, const lsm_version *v, unsigned l,
                         const uint64_t targets[LSM_LEVELS])
{
    if (l == 0)
        return pick_is_free(&v->levels[0])
                   ? (double)v->levels[0].n / (double)db->options.level0_compact
                   : 0;
    if (targets[l] == 0) /* above the base: left from when the store was larger */
        return v->levels[l].n > 0 ? 2 : 0;
    return (double)v->levels[l].bytes / (double)targets[l];
}

bool akvi_lsm_wants_compaction(const lsm_db *db)
{
    const lsm_version *v = atomic_load_explicit(&db->view, memory_order_relaxed)->version;
    uint64_t           targets[LSM_LEVELS];

    akvi_lsm_targets(db, v, targets);
    for (unsigned l = 0; l + 1 < LSM_LEVELS; l++)
        if (pick_score(db, v, l, targets) >= 1)
            return true;
    return false;
}

/* -------------------------------------------------------------- the inputs */

static void pick_widen(const lsm_file *f, lsm_compaction *c, bool first)
{
    const lsm_table_meta *m = &f->meta;

    if (first || akvi_compare(m->smallest.data, m->smallest.len, c->lower.data, c->lower.len) < 0)
        c->lower = m->smallest;
    if (first || akvi_compare(m->largest.data, m->largest.len, c->upper.data, c->upper.len) > 0)
        c->upper = m->largest;
    c->unbounded |= m->unbounded;
}

static bool pick_overlaps(const lsm_file *f, const lsm_compaction *c)
{
    const lsm_table_meta *m = &f->meta;

    if (c->unbounded)
        return m->unbounded ||
               akvi_compare(m->largest.data, m->largest.len, c->lower.data, c->lower.len) >= 0;
    return akvi_lsm_file_overlaps(f, c->lower, c->upper);
}

/* Those of a level that overlap what was picked so far. False when one of them
 * is being compacted. */
static bool pick_below(const lsm_level *level, lsm_compaction *c)
{
    for (size_t i = 0; i < level->n; i++) {
        if (!pick_overlaps(level->files[i], c))
            continue;
        if (level->files[i]->compacting)
            return false;
        c->inputs[1][c->n[1]++] = level->files[i];
    }
    return true;
}

/* Whether files of level 0 share no key with each other. */
static bool pick_disjoint(const lsm_compaction *c)
{
    for (size_t i = 0; i < c->n[0]; i++)
        for (size_t k = 0; k < i; k++)
            if (c->inputs[0][i]->meta.unbounded || c->inputs[0][k]->meta.unbounded ||
                akvi_lsm_file_overlaps(c->inputs[0][i], c->inputs[0][k]->meta.smallest,
                                       c->inputs[0][k]->meta.largest))
                return false;
    return true;
}

static akv_status pick_room(lsm_db *db, lsm_compaction *c, size_t upper, size_t lower)
{
    c->cap[0]    = upper;
    c->cap[1]    = lower;
    c->inputs[0] = akvi_alloc_n(db->allocator, upper, sizeof(lsm_file *));
    c->inputs[1] = akvi_alloc_n(db->allocator, lower, sizeof(lsm_file *));
    return c->inputs[0] && c->inputs[1] ? AKV_OK : AKV_NOMEM;
}

static void pick_free(lsm_db *db, lsm_compaction *c)
{
    for (unsigned i = 0; i < 2; i++)
        if (c->inputs[i])
            akvi_free(db->allocator, c->inputs[i], c->cap[i] * sizeof(lsm_file *));
}

/* All of level 0. */
static bool pick_level0(const lsm_version *v, lsm_compaction *c)
{
    const lsm_level *level = &v->levels[0];

    for (size_t i = 0; i < level->n; i++) {
        if (level->files[i]->compacting)
            return false;
        pick_widen(level->files[i], c, c->n[0] == 0);
        c->inputs[0][c->n[0]++] = level->files[i];
    }
    return c->n[0] > 0 && pick_below(&v->levels[c->output], c);
}

static uint64_t pick_bytes(lsm_file *const *files, size_t n)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += files[i]->meta.size;
    return bytes;
}

/* One file of a level: of the next few in turn the one that moves most for what
 * it makes us rewrite; tombstones count twice, since they free space. */
static bool pick_file(lsm_db *db, const lsm_version *v, lsm_compaction *c)
{
    const lsm_level *level = &v->levels[c->level];
    double           best  = -1;
    size_t           at = db->next_compact[c->level], chosen = 0;

    for (size_t tries = 0; tries < level->n && tries < PICK_TRIES; tries++, at++) {
        lsm_file      *f     = level->files[at % level->n];
        lsm_compaction trial = {.inputs = {NULL, c->inputs[1]}};
        double         worth;

        if (f->compacting)
            continue;
        pick_widen(f, &trial, true);
        if (!pick_below(&v->levels[c->output], &trial))
            continue;
        worth = (double)f->meta.size *
                (1 + (double)f->meta.deletes / (double)(f->meta.entries + 1)) /
                (double)(pick_bytes(trial.inputs[1], trial.n[1]) + f->meta.size);
        if (worth > best) {
            best   = worth;
            chosen = at % level->n;
        }
    }
    if (best < 0)
        return false;
    db->next_compact[c->level] = chosen + 1;
    c->inputs[0][c->n[0]++]    = level->files[chosen];
    pick_widen(level->files[chosen], c, true);
    return pick_below(&v->levels[c->output], c);
}

static void pick_mark(lsm_compaction *c)
{
    for (unsigned i = 0; i < 2; i++)
        for (size_t k = 0; k < c->n[i]; k++) {
            c->inputs[i][k]->compacting = true;
            atomic_fetch_add_explicit(&c->inputs[i][k]->refs, 1, memory_order_relaxed);
        }
}

static akv_status pick_from(lsm_db *db, const lsm_version *v, unsigned level, unsigned output,
                            lsm_compaction *c)
{
    akv_status st;
    bool       found;

    *c = (lsm_compaction){.level = level, .output = output};
    st = pick_room(db, c, v->levels[level].n, v->levels[output].n);
    if (st != AKV_OK) {
        pick_free(db, c);
        return st;
    }
    found = level == 0 ? pick_level0(v, c) : pick_file(db, v, c);
    if (!found) {
        pick_free(db, c);
        return AKV_END;
    }
    c->move = c->n[1] == 0 && (level > 0 || pick_disjoint(c));
    pick_mark(c);
    return AKV_OK;
}

/* Where a level is merged into. Nothing may fall below what is older. */
static unsigned pick_output(const lsm_version *v, unsigned level, unsigned base)
{
    unsigned output = level + 1;

    while (output < base && v->levels[output].n == 0)
        output++;
    return output;
}

akv_status akvi_lsm_pick(lsm_db *db, lsm_compaction *c)
{
    const lsm_version *v = atomic_load_explicit(&db->view, memory_order_relaxed)->version;
    uint64_t           targets[LSM_LEVELS];
    unsigned           base              = akvi_lsm_targets(db, v, targets);
    bool               tried[LSM_LEVELS] = {false};

    akvi_mutex_assert_held(&db->mu);
    for (;;) {
        unsigned   best  = LSM_LEVELS;
        double     score = 1;
        akv_status st;

        for (unsigned l = 0; l + 1 < LSM_LEVELS; l++) {
            double s = tried[l] ? 0 : pick_score(db, v, l, targets);

            if (s >= score) {
                score = s;
                best  = l;
            }
        }
        if (best == LSM_LEVELS)
            return AKV_END;
        tried[best] = true;
        st          = pick_from(db, v, best, pick_output(v, best, base), c);
        if (st != AKV_END)
            return st;
    }
}

void akvi_lsm_unpick(lsm_db *db, lsm_compaction *c)
{
    akvi_mutex_lock(&db->mu);
    for (unsigned i = 0; i < 2; i++)
        for (size_t k = 0; k < c->n[i]; k++)
            c->inputs[i][k]->compacting = false;
    akvi_mutex_unlock(&db->mu);
    for (unsigned i = 0; i < 2; i++)
        for (size_t k = 0; k < c->n[i]; k++)
            akvi_lsm_file_unref(c->inputs[i][k]);
    pick_free(db, c);
}

akv_status akvi_lsm_pick_range(lsm_db *db, unsigned level, unsigned output, akv_slice lower,
                               const akv_slice *upper, lsm_compaction *c)
{
    const lsm_version *v    = atomic_load_explicit(&db->view, memory_order_relaxed)->version;
    const lsm_level   *from = &v->levels[level];
    akv_status         st;

    akvi_mutex_assert_held(&db->mu);
    *c = (lsm_compaction){.level = level, .output = output};
    st = pick_room(db, c, from->n, v->levels[output].n);
    for (size_t i = 0; i < from->n && st == AKV_OK; i++) {
        const lsm_table_meta *m = &from->files[i]->meta;

        if (level > 0 && ((upper && akvi_compare(m->smallest.data, m->smallest.len, upper->data,
                                                 upper->len) >= 0) ||
                          (!m->unbounded && akvi_compare(m->largest.data, m->largest.len,
                                                         lower.data, lower.len) < 0)))
            continue;
        /* Within a level no file between two that are merged may be left out: the
         * first and the last of them have tombstones, those between as they are. */
        if (level == output && c->n[0] == 0 && m->deletes + m->ranges == 0)
            continue;
        c->inputs[0][c->n[0]++] = from->files[i];
    }
    while (level == output && c->n[0] > 0 &&
           c->inputs[0][c->n[0] - 1]->meta.deletes + c->inputs[0][c->n[0] - 1]->meta.ranges == 0)
        c->n[0]--;
    for (size_t i = 0; i < c->n[0]; i++)
        pick_widen(c->inputs[0][i], c, i == 0);
    if (st == AKV_OK && c->n[0] == 0)
        st = AKV_END;
    if (st == AKV_OK && level != output && !pick_below(&v->levels[output], c))
        st = AKV_FAIL(AKV_BUSY, "a compaction is running there"); /* they are paused */
    c->move = level != output && c->n[1] == 0 && (level > 0 || pick_disjoint(c));
    if (st == AKV_OK)
        pick_mark(c);
    else
        pick_free(db, c);
    return st;
}
