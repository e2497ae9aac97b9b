/* SPDX-License-Identifier: MIT
 *
 * fault.c: see fault.h.
 *
 * Every call passes fault_gate, which counts it and says whether it fails.
 * What changes files goes on to unsynced.h. One mutex guards the plan and the
 * changes; reads, listings and mappings of the base run without it.
 */
#include "common/env/fault.h"

#include "common/base/mem.h"
#include "common/base/mutex.h"
#include "common/env/file.h"
#include "common/env/unsynced.h"

#include <errno.h>

typedef struct fault_file fault_file;

typedef struct fault_env {
    akv_env base;
    /* fixed */
    akv_env             *below;
    const akv_allocator *allocator;
    /* guarded by mu */
    akvi_mutex      mu;
    akvi_unsynced  *unsynced;
    akvi_fault_plan plan;
    uint64_t        calls, hits;
    bool            crashed; /* until akvi_fault_power_loss */
    fault_file     *files;   /* all that are open */
} fault_env;

struct fault_file {
    akv_file base;
    /* fixed after open */
    fault_env *env;
    akv_file  *below;
    char      *path;
    /* guarded by env->mu */
    fault_file         *next;
    akvi_unsynced_file *tracked; /* NULL: power was lost since the open */
};

static fault_env *fault_env_of(akv_env *env)
{
    return (fault_env *)env;
}

static fault_file *fault_of(akv_file *file)
{
    return (fault_file *)file;
}

/* Count a call and fail it if it is its turn. With *short_out the call is to
 * do a part of its work. mu is held. */
static akv_status fault_gate(fault_env *env, uint32_t kind, const char *path, bool *short_out)
{
    const akvi_fault_plan *plan = &env->plan;
    int                    err  = plan->err ? plan->err : EIO;

    *short_out = false;
    if (env->crashed)
        return AKV_FAIL_ERRNO(EIO, path, AKV_NO_OFFSET, "power is lost");
    if (!(plan->kinds & kind))
        return AKV_OK;
    env->calls++;
    if (plan->nth == 0 || env->calls < plan->nth ||
        (plan->times != 0 && env->calls - plan->nth >= plan->times))
        return AKV_OK;
    env->hits++;
    if (plan->how == AKVI_FAULT_CRASH) {
        env->crashed = true;
        return AKV_FAIL_ERRNO(EIO, path, AKV_NO_OFFSET, "power is lost");
    }
    if (plan->how == AKVI_FAULT_SHORT && (kind & (AKVI_FAULT_READ | AKVI_FAULT_WRITE))) {
        *short_out = true;
        return AKV_OK;
    }
    return AKV_FAIL_ERRNO(err, path, AKV_NO_OFFSET, "made to fail");
}

/* The gate of a path, for calls that don't need mu further. */
static akv_status fault_pass(fault_env *env, uint32_t kind, const char *path)
{
    bool       in_part;
    akv_status rc;

    akvi_mutex_lock(&env->mu);
    rc = fault_gate(env, kind, path, &in_part);
    akvi_mutex_unlock(&env->mu);
    return rc;
}

/* The gate of an open file. mu is held. */
static akv_status fault_gate_file(fault_file *f, uint32_t kind, bool *short_out)
{
    *short_out = false;
    if (!f->tracked)
        return AKV_FAIL_ERRNO(EIO, f->path, AKV_NO_OFFSET,
                              "power was lost since it was opened: open it anew");
    return fault_gate(f->env, kind, f->path, short_out);
}

static akv_status fault_pass_file(fault_file *f, uint32_t kind, bool *short_out)
{
    akv_status rc;

    akvi_mutex_lock(&f->env->mu);
    rc = fault_gate_file(f, kind, short_out);
    akvi_mutex_unlock(&f->env->mu);
    return rc;
}

/* ------------------------------------------------------------- read and write */

static akv_status fault_read_at(akv_file *file, void *buf, size_t len, uint64_t off,
                                size_t *got_out)
{
    fault_file *f     = fault_of(file);
    size_t      first = len, more;
    bool        in_pieces;
    akv_status  rc = fault_pass_file(f, AKVI_FAULT_READ, &in_pieces);

    *got_out = 0;
    if (rc != AKV_OK)
        return rc;
    if (in_pieces)
        first = len / 2;
    rc = f->below->ops->read_at(f->below, buf, first, off, got_out);
    if (rc != AKV_OK || *got_out < first || first == len)
        return rc;
    rc = f->below->ops->read_at(f->below, (uint8_t *)buf + first, len - first, off + first, &more);
    *got_out += more;
    return rc;
}

/* off AKV_NO_OFFSET: append. */
static akv_status fault_write(fault_file *f, const void *buf, size_t len, uint64_t off)
{
    fault_env *env = f->env;
    bool       in_part;
    akv_status rc;

    akvi_mutex_lock(&env->mu);
    rc = fault_gate_file(f, AKVI_FAULT_WRITE, &in_part);
    if (rc == AKV_OK)
        rc = akvi_unsynced_write(env->unsynced, f->tracked, f->below, buf, in_part ? len / 2 : len,
                                 off);
    if (rc == AKV_OK && in_part)
        rc = AKV_FAIL_ERRNO(env->plan.err ? env->plan.err : EIO, f->path, off,
                            "made to fail after %zu of %zu bytes", len / 2, len);
    akvi_mutex_unlock(&env->mu);
    return rc;
}

static akv_status fault_write_at(akv_file *file, const void *buf, size_t len, uint64_t off)
{
    fault_file *f = fault_of(file);

    if (off == AKV_NO_OFFSET)
        return AKV_FAIL_ERRNO(EFBIG, f->path, off, "can't write %zu bytes", len);
    return fault_write(f, buf, len, off);
}

static akv_status fault_append(akv_file *file, const void *buf, size_t len)
{
    return fault_write(fault_of(file), buf, len, AKV_NO_OFFSET);
}

static akv_status fault_sync(akv_file *file, bool metadata)
{
    fault_file *f = fault_of(file);
    bool        in_part;
    akv_status  rc;

    akvi_mutex_lock(&f->env->mu);
    rc = fault_gate_file(f, AKVI_FAULT_SYNC, &in_part);
    if (rc == AKV_OK)
        rc = akvi_unsynced_sync(f->env->unsynced, f->tracked, f->below, metadata);
    else if (f->tracked && !f->env->crashed)
        akvi_unsynced_sync_failed(f->tracked);
    akvi_mutex_unlock(&f->env->mu);
    return rc;
}

static akv_status fault_truncate(akv_file *file, uint64_t size)
{
    fault_file *f = fault_of(file);
    bool        in_part;
    akv_status  rc;

    akvi_mutex_lock(&f->env->mu);
    rc = fault_gate_file(f, AKVI_FAULT_WRITE, &in_part);
    if (rc == AKV_OK && in_part)
        rc = AKV_FAIL_ERRNO(f->env->plan.err ? f->env->plan.err : EIO, f->path, size,
                            "made to fail");
    if (rc == AKV_OK)
        rc = akvi_unsynced_truncate(f->env->unsynced, f->tracked, f->below, size);
    akvi_mutex_unlock(&f->env->mu);
    return rc;
}

static akv_status fault_allocate(akv_file *file, uint64_t size)
{
    fault_file *f = fault_of(file);
    bool        in_part;
    akv_status  rc = fault_pass_file(f, AKVI_FAULT_WRITE, &in_part);

    return rc == AKV_OK ? akvi_file_allocate(f->below, size) : rc;
}

static akv_status fault_set_mode(akv_file *file, uint32_t mode)
{
    fault_file *f = fault_of(file);
    bool        in_part;
    akv_status  rc = fault_pass_file(f, AKVI_FAULT_WRITE, &in_part);

    return rc == AKV_OK ? akvi_file_set_mode(f->below, mode) : rc;
}

/* --------------------------------------------------- the rest of an open file */

static akv_status fault_info(akv_file *file, akv_file_info *info_out)
{
    fault_file *f = fault_of(file);
    bool        in_part;
    akv_status  rc = fault_pass_file(f, AKVI_FAULT_INFO, &in_part);

    return rc == AKV_OK ? f->below->ops->info(f->below, info_out) : rc;
}

static akv_status fault_map(akv_file *file, size_t len, const void **data_out)
{
    fault_file *f = fault_of(file);
    bool        in_part;
    akv_status  rc = fault_pass_file(f, AKVI_FAULT_MAP, &in_part);

    *data_out = NULL;
    return rc == AKV_OK ? akvi_file_map(f->below, len, data_out) : rc;
}

static void fault_unmap(akv_file *file, const void *data, size_t len)
{
    akvi_file_unmap(fault_of(file)->below, data, len);
}

static void fault_advise(akv_file *file, const void *data, size_t len, akv_advice advice)
{
    akvi_file_advise(fault_of(file)->below, data, len, advice);
}

static akv_status fault_lock(akv_file *file, bool exclusive)
{
    fault_file *f = fault_of(file);
    bool        in_part;
    akv_status  rc = fault_pass_file(f, AKVI_FAULT_LOCK, &in_part);

    return rc == AKV_OK ? f->below->ops->lock(f->below, exclusive) : rc;
}

static akv_status fault_unlock(akv_file *file)
{
    fault_file *f = fault_of(file);
    bool        in_part;
    akv_status  rc = fault_pass_file(f, 0, &in_part);

    return rc == AKV_OK ? f->below->ops->unlock(f->below) : rc;
}

static akv_status fault_close(akv_file *file)
{
    fault_file  *f   = fault_of(file);
    fault_env   *env = f->env;
    fault_file **at;
    bool         in_part;
    akv_status   rc, closed;

    akvi_mutex_lock(&env->mu);
    rc = fault_gate_file(f, 0, &in_part);
    for (at = &env->files; *at != f; at = &(*at)->next)
        ;
    *at = f->next;
    akvi_unsynced_leave(env->unsynced, f->tracked);
    closed = f->below->ops->close(f->below);
    akvi_mutex_unlock(&env->mu);
    akvi_strfree(env->allocator, f->path);
    akvi_free(env->allocator, f, sizeof *f);
    return rc == AKV_OK ? closed : rc;
}

static const akv_file_ops fault_file_ops = {
    .abi      = AKV_ENV_ABI,
    .size     = sizeof(akv_file_ops),
    .read_at  = fault_read_at,
    .write_at = fault_write_at,
    .append   = fault_append,
    .sync     = fault_sync,
    .truncate = fault_truncate,
    .allocate = fault_allocate,
    .info     = fault_info,
    .map      = fault_map,
    .unmap    = fault_unmap,
    .advise   = fault_advise,
    .lock     = fault_lock,
    .unlock   = fault_unlock,
    .close    = fault_close,
    .set_mode = fault_set_mode,
};

/* ---------------------------------------------------------------------- names */

static akv_status fault_open(akv_env *base, const char *path, uint32_t flags, akv_file **file_out)
{
    fault_env  *env = fault_env_of(base);
    fault_file *f;
    bool        in_part;
    akv_status  rc = akvi_open_flags_check(path, flags);

    *file_out = NULL;
    if (rc != AKV_OK)
        return rc;
    f = akvi_zalloc(env->allocator, sizeof *f);
    if (!f)
        return AKV_NOMEM;
    f->base.ops = &fault_file_ops;
    f->env      = env;
    f->path     = akvi_strdup(env->allocator, path);
    rc          = AKV_NOMEM;
    if (f->path) {
        akvi_mutex_lock(&env->mu);
        rc = fault_gate(env, AKVI_FAULT_OPEN, path, &in_part);
        if (rc == AKV_OK)
            rc = akvi_unsynced_open(env->unsynced, path, flags, &f->below, &f->tracked);
        if (rc == AKV_OK) {
            f->next    = env->files;
            env->files = f;
        }
        akvi_mutex_unlock(&env->mu);
    }
    if (rc != AKV_OK) {
        akvi_strfree(env->allocator, f->path);
        akvi_free(env->allocator, f, sizeof *f);
        return rc;
    }
    *file_out = &f->base;
    return AKV_OK;
}

static akv_status fault_path_info(akv_env *base, const char *path, akv_file_info *info_out)
{
    fault_env *env = fault_env_of(base);
    akv_status rc  = fault_pass(env, AKVI_FAULT_INFO, path);

    return rc == AKV_OK ? env->below->ops->info(env->below, path, info_out) : rc;
}

static akv_status fault_list(akv_env *base, const char *path, int (*each)(void *, const char *),
                             void *user)
{
    fault_env *env = fault_env_of(base);
    akv_status rc  = fault_pass(env, AKVI_FAULT_INFO, path);

    return rc == AKV_OK ? env->below->ops->list(env->below, path, each, user) : rc;
}

static akv_status fault_follow(akv_env *base, const char *path, akv_buffer *path_out)
{
    fault_env *env = fault_env_of(base);
    akv_status rc  = fault_pass(env, AKVI_FAULT_INFO, path);

    if (rc != AKV_OK)
        return rc;
    if (env->below->ops->follow)
        return env->below->ops->follow(env->below, path, path_out);
    path_out->len = 0;
    return akv_buffer_append(path_out, path, strlen(path) + 1);
}

/* Calls on one or two paths that change names. */
typedef akv_status (*fault_one)(akvi_unsynced *u, const char *path);
typedef akv_status (*fault_two)(akvi_unsynced *u, const char *from, const char *to);

static akv_status fault_name(akv_env *base, uint32_t kind, const char *from, const char *to,
                             fault_one one, fault_two two)
{
    fault_env *env = fault_env_of(base);
    bool       in_part;
    akv_status rc;

    akvi_mutex_lock(&env->mu);
    rc = fault_gate(env, kind, to ? to : from, &in_part);
    if (rc == AKV_OK)
        rc = two ? two(env->unsynced, from, to) : one(env->unsynced, from);
    akvi_mutex_unlock(&env->mu);
    return rc;
}

static akv_status fault_rename(akv_env *env, const char *from, const char *to)
{
    return fault_name(env, AKVI_FAULT_RENAME, from, to, NULL, akvi_unsynced_rename);
}

static akv_status fault_link(akv_env *env, const char *from, const char *to)
{
    return fault_name(env, AKVI_FAULT_RENAME, from, to, NULL, akvi_unsynced_link);
}

static akv_status fault_remove(akv_env *env, const char *path)
{
    return fault_name(env, AKVI_FAULT_RENAME, path, NULL, akvi_unsynced_remove, NULL);
}

static akv_status fault_make_folder(akv_env *env, const char *path)
{
    return fault_name(env, AKVI_FAULT_RENAME, path, NULL, akvi_unsynced_make_folder, NULL);
}

static akv_status fault_remove_folder(akv_env *env, const char *path)
{
    return fault_name(env, AKVI_FAULT_RENAME, path, NULL, akvi_unsynced_remove_folder, NULL);
}

static akv_status fault_sync_folder(akv_env *env, const char *path)
{
    return fault_name(env, AKVI_FAULT_SYNC, path, NULL, akvi_unsynced_sync_folder, NULL);
}

/* ---------------------------------------------------------------------- clock */

static uint64_t fault_unix_ms(akv_env *env)
{
    akv_env *below = fault_env_of(env)->below;

    return below->ops->unix_ms(below);
}

static uint64_t fault_monotonic_ns(akv_env *env)
{
    akv_env *below = fault_env_of(env)->below;

    return below->ops->monotonic_ns(below);
}

static void fault_sleep_ns(akv_env *env, uint64_t ns)
{
    akv_env *below = fault_env_of(env)->below;

    below->ops->sleep_ns(below, ns);
}

/* ------------------------------------------------------------------ env, plan */

static const akv_env_ops fault_env_ops = {
    .abi           = AKV_ENV_ABI,
    .size          = sizeof(akv_env_ops),
    .open          = fault_open,
    .info          = fault_path_info,
    .rename        = fault_rename,
    .link          = fault_link,
    .remove        = fault_remove,
    .make_folder   = fault_make_folder,
    .remove_folder = fault_remove_folder,
    .list          = fault_list,
    .sync_folder   = fault_sync_folder,
    .unix_ms       = fault_unix_ms,
    .monotonic_ns  = fault_monotonic_ns,
    .sleep_ns      = fault_sleep_ns,
    .follow        = fault_follow,
};

akv_status akvi_fault_new(akv_env *base, const akv_allocator *allocator, akv_env **env_out)
{
    fault_env *env = akvi_zalloc(allocator, sizeof *env);

    *env_out = NULL;
    if (!env)
        return AKV_NOMEM;
    env->base.ops  = &fault_env_ops;
    env->below     = base;
    env->allocator = allocator;
    env->unsynced  = akvi_unsynced_new(base, allocator);
    if (!env->unsynced) {
        akvi_free(allocator, env, sizeof *env);
        return AKV_NOMEM;
    }
    akvi_mutex_init(&env->mu, AKVI_RANK_ENV_FAULT);
    *env_out = &env->base;
    return AKV_OK;
}

void akvi_fault_free(akv_env *base)
{
    fault_env *env = fault_env_of(base);

    if (!env)
        return;
    akvi_unsynced_free(env->unsynced);
    akvi_mutex_destroy(&env->mu);
    akvi_free(env->allocator, env, sizeof *env);
}

void akvi_fault_plan_set(akv_env *base, const akvi_fault_plan *plan)
{
    fault_env *env = fault_env_of(base);

    akvi_mutex_lock(&env->mu);
    env->plan  = *plan;
    env->calls = 0;
    env->hits  = 0;
    akvi_mutex_unlock(&env->mu);
}

uint64_t akvi_fault_calls(akv_env *base)
{
    fault_env *env = fault_env_of(base);
    uint64_t   calls;

    akvi_mutex_lock(&env->mu);
    calls = env->calls;
    akvi_mutex_unlock(&env->mu);
    return calls;
}

uint64_t akvi_fault_hits(akv_env *base)
{
    fault_env *env = fault_env_of(base);
    uint64_t   hits;

    akvi_mutex_lock(&env->mu);
    hits = env->hits;
    akvi_mutex_unlock(&env->mu);
    return hits;
}

akv_status akvi_fault_power_loss(akv_env *base, uint64_t seed)
{
    fault_env *env = fault_env_of(base);
    akv_status rc;

    akvi_mutex_lock(&env->mu);
    for (fault_file *f = env->files; f; f = f->next) {
        (void)f->below->ops->unlock(f->below); /* its process is dead */
        akvi_unsynced_leave(env->unsynced, f->tracked);
        f->tracked = NULL;
    }
    rc           = akvi_unsynced_power_loss(env->unsynced, seed);
    env->plan    = (akvi_fault_plan){0};
    env->crashed = false;
    akvi_mutex_unlock(&env->mu);
    return rc;
}
