/* SPDX-License-Identifier: MIT
 *
 * reload.c: a reader whose file may be replaced under it.
 *
 * Pins cost one atomic addition to take and one to give back, each on a cache
 * line of the thread's own slot; neither loops nor waits.
 *
 *  1. A slot's `taken` word is the place of the current generation and, below
 *     it, the pins taken of it through this slot. Taking a pin adds one and so
 *     learns, in the same step, which generation it has pinned.
 *  2. A reload exchanges each slot's word for the new place and a count of 0.
 *     From then on nobody can pin the old generation, and the sum of the old
 *     counts is how many pins it ever had.
 *  3. Giving back adds one to the generation's `given` of the slot. The reload
 *     marks those cells RELOAD_OLD; who finds the mark takes one off `left`
 *     instead, to which the reload adds the pins not given back before it.
 *     Whoever brings `left` to 0, one of them or the reload, closes the file.
 *     Before the reload's addition `left` is below 0 or nobody has touched it.
 *  4. A generation's place in `files` is given to another only after it is
 *     closed, thus never while a slot or a pin names it.
 */
#include "engines/fused/reload.h"

#include "common/base/mem.h"
#include "common/base/options.h"
#include "common/env/file.h"

#define RELOAD_PLACE 56 /* bits below the place: the count */
#define RELOAD_COUNT ((UINT64_C(1) << RELOAD_PLACE) - 1)
#define RELOAD_OLD   (UINT64_C(1) << 63)

_Static_assert(RELOAD_FILES <= UINT64_C(1) << (64 - RELOAD_PLACE), "places fit a slot's word");

/* -------------------------------------------------------------- generations */

static void reload_drop(fused_generation *g)
{
    akv_fused_reloader *r     = g->owner;
    unsigned            place = g->place;

    akvi_fused_close(g->fused);
    akvi_free(r->allocator, g, sizeof *g);
    atomic_store_explicit(&r->files[place], NULL, memory_order_release);
}

static void reload_left(fused_generation *g, int64_t change)
{
    if (atomic_fetch_add_explicit(&g->left, change, memory_order_acq_rel) + change == 0)
        reload_drop(g);
}

static bool reload_same(const akv_file_info *a, const akv_file_info *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->mtime_ns == b->mtime_ns;
}

/* Whether the opened file is, still after opening, the one of `before`. If not,
 * it was replaced or written to meanwhile, and the next reload opens it anew. */
static bool reload_settled(const akv_fused_reloader *r, const akv_fused *f,
                           const akv_file_info *before)
{
    akv_file_info after;
    akv_status    st =
        f->file ? f->file->ops->info(f->file, &after) : r->env->ops->info(r->env, r->path, &after);

    if (st == AKV_OK)
        return reload_same(before, &after);
    akv_engine_recovered();
    return false;
}

static akv_status reload_load(akv_fused_reloader *r, unsigned place, fused_generation **g_out)
{
    fused_generation *g = akvi_zalloc(r->allocator, sizeof *g);

    *g_out = g;
    if (!g)
        return AKV_NOMEM;
    g->owner = r;
    g->place = place;
    if (akv_fused_open(r->path, &r->options, &g->fused) == AKV_OK)
        return AKV_OK;
    akvi_free(r->allocator, g, sizeof *g);
    return akvi_fail_again(akv_last_error());
}

/* Make `g` the current generation. */
static void reload_swap(akv_fused_reloader *r, fused_generation *g) AKVI_REQUIRES(r->mu)
{
    fused_generation *old  = r->current;
    uint64_t          word = (uint64_t)g->place << RELOAD_PLACE;
    uint64_t          pins = 0, given = 0;

    g->number = atomic_load_explicit(&r->number, memory_order_relaxed) + 1;
    atomic_store_explicit(&r->files[g->place], g, memory_order_release);
    for (unsigned i = 0; i < AKVI_SLOTS; i++)
        pins += atomic_exchange_explicit(&r->taken[i].n, word, memory_order_acq_rel) & RELOAD_COUNT;
    atomic_store_explicit(&r->number, g->number, memory_order_release);
    r->current = g;
    if (!old)
        return;
    for (unsigned i = 0; i < AKVI_SLOTS; i++)
        given += atomic_fetch_or_explicit(&old->given[i].n, RELOAD_OLD, memory_order_acq_rel);
    reload_left(old, (int64_t)(pins - given));
}

static akv_status reload_place(akv_fused_reloader *r, unsigned *place_out)
{
    for (unsigned i = 0; i < RELOAD_FILES; i++) {
        if (!atomic_load_explicit(&r->files[i], memory_order_acquire)) {
            *place_out = i;
            return AKV_OK;
        }
    }
    return AKV_FAIL_AT(AKV_BUSY, r->path, AKV_NO_OFFSET,
                       "%u replaced files are still pinned: give pins back", RELOAD_FILES - 1);
}

static akv_status reload_locked(akv_fused_reloader *r, bool force, bool *changed_out)
    AKVI_REQUIRES(r->mu)
{
    akv_file_info     before;
    fused_generation *g     = NULL;
    unsigned          place = 0;
    akv_status        st    = akvi_path_info(r->env, r->path, &before);

    if (st != AKV_OK || (!force && r->settled && reload_same(&r->seen, &before)))
        return st;
    st = reload_place(r, &place);
    if (st == AKV_OK)
        st = reload_load(r, place, &g);
    if (st != AKV_OK)
        return st;
    r->seen    = before;
    r->settled = reload_settled(r, g->fused, &before);
    reload_swap(r, g);
    *changed_out = true;
    return AKV_OK;
}

akv_status akv_fused_reloader_reload(akv_fused_reloader *reloader, bool force, bool *changed_out)
{
    bool       changed = false;
    akv_status st;

    akvi_call_begin();
    if (!reloader)
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "the reloader is NULL"), "fused");
    akvi_mutex_lock(&reloader->mu);
    st = reload_locked(reloader, force, &changed);
    akvi_mutex_unlock(&reloader->mu);
    if (changed_out)
        *changed_out = changed;
    return akvi_call_end(st, "fused");
}

uint64_t akv_fused_reloader_generation(const akv_fused_reloader *reloader)
{
    return reloader ? atomic_load_explicit(&reloader->number, memory_order_acquire) : 0;
}

/* --------------------------------------------------------------------- pins */

akv_status akv_fused_reloader_pin(akv_fused_reloader *reloader, akv_fused_pin *pin_out)
{
    fused_generation *g;
    uint64_t          word;

    if (!reloader || !pin_out) {
        if (pin_out)
            *pin_out = (akv_fused_pin)AKV_FUSED_PIN_INIT;
        akvi_call_begin();
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "a reloader or pin is NULL"), "fused");
    }
    word = atomic_fetch_add_explicit(&reloader->taken[akvi_slot()].n, 1, memory_order_acq_rel);
    g    = atomic_load_explicit(&reloader->files[word >> RELOAD_PLACE], memory_order_acquire);
    pin_out->fused      = g->fused;
    pin_out->generation = g->number;
    pin_out->pinned     = g;
    return AKV_OK;
}

void akv_fused_pin_release(akv_fused_pin *pin)
{
    fused_generation *g = pin ? pin->pinned : NULL;

    if (!g)
        return;
    *pin = (akv_fused_pin)AKV_FUSED_PIN_INIT;
    if (atomic_fetch_add_explicit(&g->given[akvi_slot()].n, 1, memory_order_acq_rel) & RELOAD_OLD)
        reload_left(g, -1);
}

akv_status akv_fused_reloader_get(akv_fused_reloader *reloader, akv_slice key,
                                  akv_slice *object_out, akv_fused_pin *pin_out)
{
    akv_status st = akv_fused_reloader_pin(reloader, pin_out);

    if (st == AKV_OK) {
        st = akv_fused_get(pin_out->fused, key, object_out);
        if (st != AKV_OK)
            akv_fused_pin_release(pin_out);
    }
    return st;
}

/* ------------------------------------------------------------ open and close */

static void reload_free(akv_fused_reloader *r)
{
    akvi_mutex_destroy(&r->mu);
    akvi_strfree(r->allocator, r->path);
    akvi_free(r->allocator, r, sizeof *r);
}

static akv_status reload_first(akv_fused_reloader *r)
{
    fused_generation *g;
    akv_status        st = r->env->ops->info(r->env, r->path, &r->seen);

    if (st == AKV_OK)
        st = reload_load(r, 0, &g);
    if (st != AKV_OK)
        return st;
    r->settled = reload_settled(r, g->fused, &r->seen);
    /* Whatever is opened from now on would take the place of a good file. */
    if (r->options.verify_on_open == AKV_FUSED_CHECK_AUTO)
        r->options.verify_on_open = AKV_FUSED_CHECK_ALWAYS;
    akvi_mutex_lock(&r->mu);
    reload_swap(r, g);
    akvi_mutex_unlock(&r->mu);
    return AKV_OK;
}

akv_status akv_fused_reloader_open(const char *path, const akv_fused_options *opt,
                                   akv_fused_reloader **reloader_out)
{
    akv_fused_options   own = AKV_FUSED_OPTIONS_INIT;
    akv_fused_reloader *r   = NULL;
    akv_status          st  = AKV_OK;

    akvi_call_begin();
    if (!path || !reloader_out)
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "path or reloader_out is NULL"), "fused");
    *reloader_out = NULL;
    if (opt)
        st = akvi_options_copy(&own, sizeof own, opt, "akv_fused_options");
    if (st == AKV_OK)
        r = akvi_zalloc(own.allocator, sizeof *r);
    if (!r)
        return akvi_call_end(st == AKV_OK ? AKV_NOMEM : st, "fused");
    akvi_mutex_init(&r->mu, AKVI_RANK_MAINTAIN);
    r->allocator = akvi_allocator(own.allocator);
    r->env       = own.env ? own.env : akv_env_posix();
    r->options   = own;
    r->path      = akvi_strdup(r->allocator, path);
    st           = r->path ? reload_first(r) : AKV_NOMEM;
    if (st == AKV_OK)
        *reloader_out = r;
    else
        reload_free(r);
    return akvi_call_end(st, "fused");
}

/* Pins of the current generation that are out. */
static uint64_t reload_pins(const akv_fused_reloader *r)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < AKVI_SLOTS; i++)
        n += (atomic_load(&r->taken[i].n) & RELOAD_COUNT) - atomic_load(&r->current->given[i].n);
    return n;
}

akv_status akv_fused_reloader_close(akv_fused_reloader *reloader)
{
    unsigned old = 0, watches;
    uint64_t pins;

    akvi_call_begin();
    if (!reloader)
        return AKV_OK;
    for (unsigned i = 0; i < RELOAD_FILES; i++)
        old += atomic_load(&reloader->files[i]) != NULL;
    old--;
    pins    = reload_pins(reloader);
    watches = atomic_load(&reloader->watches);
    if (pins > 0 || old > 0 || watches > 0)
        return akvi_call_end(AKV_FAIL_AT(AKV_BUSY, reloader->path, AKV_NO_OFFSET,
                                         "can't close: %llu pins, %u pinned files since replaced "
                                         "and %u watches are live",
                                         (unsigned long long)pins, old, watches),
                             "fused");
    reload_drop(reloader->current);
    reload_free(reloader);
    return AKV_OK;
}
