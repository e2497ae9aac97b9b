/* SPDX-License-Identifier: MIT
 *
 * memory.c: files in memory, with folders, links, locks and mappings.
 *
 * Names and files are as POSIX has them: an open file outlives its name. Paths
 * begin at the root whether or not they begin with '/'. Permissions are kept
 * and not enforced; sync does nothing.
 *
 * Contents lie in one counted block (memory_chunk) per file, so that mapping is
 * free. A mapping shows the contents at the time of the map, for good: whoever
 * then writes or cuts within its range moves the file to a block of its own.
 *
 * One mutex guards everything; bytes that a mapping shows are never written.
 */
#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/base/mutex.h"
#include "common/env/file.h"
#include "common/env/lock_registry.h"

#include <errno.h>
#include <stdatomic.h>

typedef struct memory_chunk {
    size_t refs;   /* the file's and one for each mapping */
    size_t cap;    /* bytes at `at` */
    size_t mapped; /* no mapping shows bytes from here on */
    _Alignas(max_align_t) uint8_t at[];
} memory_chunk;

typedef struct memory_node memory_node;

typedef struct memory_entry {
    char        *name;
    memory_node *node;
} memory_entry;

struct memory_node {
    akv_file_kind kind;
    uint32_t      mode;
    size_t        refs; /* names and opens */
    uint64_t      inode, mtime_ns;
    /* a file's */
    memory_chunk *chunk; /* NULL while nothing was written */
    size_t        size;
    /* a folder's */
    memory_node  *parent;  /* NULL: the root */
    memory_entry *entries; /* sorted by name */
    size_t        n, cap;
};

typedef struct memory_env {
    akv_env base;
    /* fixed */
    const akv_allocator *allocator;
    uint64_t             device;
    _Atomic uint64_t     ahead_ms; /* of the system's clock */
    /* guarded by mu */
    akvi_mutex   mu;
    memory_node *root;
    uint64_t     inodes; /* given out so far */
} memory_env;

typedef struct memory_map {
    struct memory_map *next;
    memory_chunk      *chunk;
} memory_map;

typedef struct memory_file {
    akv_file base;
    /* fixed after open */
    memory_env  *env;
    memory_node *node;
    char        *path;
    uint32_t     flags;
    /* guarded by env->mu */
    memory_map *maps;
} memory_file;

static memory_env *memory_env_of(akv_env *env)
{
    return (memory_env *)env;
}

static memory_file *memory_of(akv_file *file)
{
    return (memory_file *)file;
}

static uint64_t memory_unix_ms(akv_env *env)
{
    akv_env *os = akv_env_posix();

    return os->ops->unix_ms(os) + atomic_load(&memory_env_of(env)->ahead_ms);
}

/* -------------------------------------------------------------------- nodes */

static memory_node *memory_node_new(memory_env *env, akv_file_kind kind, uint32_t mode)
{
    memory_node *node = akvi_zalloc(env->allocator, sizeof *node);

    if (!node)
        return NULL;
    node->kind     = kind;
    node->mode     = mode;
    node->inode    = ++env->inodes;
    node->mtime_ns = memory_unix_ms(&env->base) * 1000000u;
    return node;
}

static void memory_chunk_drop(memory_env *env, memory_chunk *chunk)
{
    if (chunk && --chunk->refs == 0)
        akvi_free(env->allocator, chunk, sizeof *chunk + chunk->cap);
}

/* One name or open fewer. A folder is emptied first. */
static void memory_node_drop(memory_env *env, memory_node *node)
{
    if (--node->refs > 0)
        return;
    memory_chunk_drop(env, node->chunk);
    akvi_free(env->allocator, node->entries, node->cap * sizeof *node->entries);
    akvi_free(env->allocator, node, sizeof *node);
}

/* Where `name` is in the folder, or would go. */
static bool memory_find(const memory_node *folder, akv_slice name, size_t *at_out)
{
    size_t lo = 0, hi = folder->n;

    while (lo < hi) {
        size_t      mid   = lo + (hi - lo) / 2;
        const char *there = folder->entries[mid].name;
        int         c     = akvi_compare(there, strlen(there), name.data, name.len);

        if (c == 0) {
            *at_out = mid;
            return true;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *at_out = lo;
    return false;
}

/* Give `node` a name; it isn't taken. Returns 0 or an errno. */
static int memory_enter(memory_env *env, memory_node *folder, akv_slice name, memory_node *node)
{
    memory_entry *grown;
    char         *copy;
    size_t        at, cap;

    if (folder->n == folder->cap) {
        cap   = folder->cap ? folder->cap * 2 : 8;
        grown = akvi_resize(env->allocator, folder->entries, folder->cap * sizeof *grown,
                            cap * sizeof *grown);
        if (!grown)
            return ENOMEM;
        folder->entries = grown;
        folder->cap     = cap;
    }
    copy = akvi_alloc(env->allocator, name.len + 1);
    if (!copy)
        return ENOMEM;
    memcpy(copy, name.data, name.len);
    copy[name.len] = '\0';
    memory_find(folder, name, &at);
    memmove(folder->entries + at + 1, folder->entries + at,
            (folder->n - at) * sizeof *folder->entries);
    folder->entries[at] = (memory_entry){copy, node};
    folder->n++;
    node->refs++;
    if (node->kind == AKV_KIND_FOLDER)
        node->parent = folder;
    return 0;
}

static void memory_leave(memory_env *env, memory_node *folder, size_t at)
{
    memory_entry gone = folder->entries[at];

    folder->n--;
    memmove(folder->entries + at, folder->entries + at + 1,
            (folder->n - at) * sizeof *folder->entries);
    akvi_strfree(env->allocator, gone.name);
    memory_node_drop(env, gone.node);
}

/* -------------------------------------------------------------------- paths */

/* What a path leads to. */
typedef struct memory_place {
    memory_node *folder; /* NULL for a path without a last name: the root, ., .. */
    akv_slice    name;   /* its last name, inside the path */
    size_t       at;     /* in the folder, or where it would go */
    memory_node *node;   /* NULL: nothing there */
} memory_place;

static bool memory_next_name(const char **path, akv_slice *name_out)
{
    *path += strspn(*path, "/");
    *name_out = akv_bytes(*path, strcspn(*path, "/"));
    *path += name_out->len;
    return name_out->len > 0;
}

/* AKV_OK also when nothing is at the path, but its folder is there. */
static akv_status memory_walk(memory_env *env, const char *path, memory_place *place)
{
    const char *rest = path;
    akv_slice   name;

    *place = (memory_place){.node = env->root};
    if (path[0] == '\0')
        return AKV_FAIL_ERRNO(ENOENT, path, AKV_NO_OFFSET, "can't find a file without a name");
    while (memory_next_name(&rest, &name)) {
        memory_node *folder = place->node;

        if (!folder)
            return AKV_FAIL_ERRNO(ENOENT, path, AKV_NO_OFFSET, "can't find its folder");
        if (folder->kind != AKV_KIND_FOLDER)
            return AKV_FAIL_ERRNO(ENOTDIR, path, AKV_NO_OFFSET, "can't find");
        if (akvi_equal(name.data, name.len, ".", 1)) {
            *place = (memory_place){.node = folder};
            continue;
        }
        if (akvi_equal(name.data, name.len, "..", 2)) {
            *place = (memory_place){.node = folder->parent ? folder->parent : folder};
            continue;
        }
        place->folder = folder;
        place->name   = name;
        place->node =
            memory_find(folder, name, &place->at) ? folder->entries[place->at].node : NULL;
    }
    return AKV_OK;
}

static akv_status memory_failed(int err, const char *path, const char *what)
{
    return err ? AKV_FAIL_ERRNO(err, path, AKV_NO_OFFSET, "can't %s", what) : AKV_OK;
}

/* ----------------------------------------------------------------- contents */

/* Make bytes from `from` on writable, with room for `need` in all. */
static akv_status memory_own(memory_file *f, size_t from, uint64_t need)
{
    memory_env   *env  = f->env;
    memory_node  *node = f->node;
    memory_chunk *c    = node->chunk, *fresh;
    size_t        cap  = c ? c->cap : 0;

    if (c && need <= cap && (c->refs == 1 || from >= c->mapped))
        return AKV_OK;
    if (need > SIZE_MAX / 4) {
        AKV_FAIL_ERRNO(EFBIG, f->path, AKV_NO_OFFSET, "can't hold %llu bytes",
                       (unsigned long long)need);
        return AKV_NOSPACE;
    }
    if (need > cap)
        cap = need > cap * 2 ? (size_t)need : cap * 2;
    if (c && c->refs == 1) {
        fresh = akvi_resize(env->allocator, c, sizeof *c + c->cap, sizeof *c + cap);
    } else {
        fresh = akvi_alloc(env->allocator, sizeof *fresh + cap);
        if (fresh && c)
            memcpy(fresh->at, c->at, node->size);
        if (fresh && c)
            memory_chunk_drop(env, c);
    }
    if (!fresh)
        return AKV_NOMEM;
    fresh->refs   = 1;
    fresh->cap    = cap;
    fresh->mapped = 0;
    node->chunk   = fresh;
    return AKV_OK;
}

static void memory_touch(memory_file *f)
{
    f->node->mtime_ns = memory_unix_ms(&f->env->base) * 1000000u;
}

static akv_status memory_write_locked(memory_file *f, const void *buf, size_t len, uint64_t off)
{
    memory_node *node = f->node;
    uint64_t     end;
    akv_status   rc;

    if (!(f->flags & AKV_FILE_WRITE))
        return memory_failed(EBADF, f->path, "write");
    if (len == 0)
        return AKV_OK;
    if (!akvi_add_u64(off, len, &end))
        return memory_failed(EFBIG, f->path, "write");
    rc = memory_own(f, off < node->size ? (size_t)off : node->size, end);
    if (rc != AKV_OK)
        return rc;
    if (off > node->size)
        memset(node->chunk->at + node->size, 0, (size_t)off - node->size);
    memcpy(node->chunk->at + off, buf, len);
    if (end > node->size)
        node->size = (size_t)end;
    memory_touch(f);
    return AKV_OK;
}

static akv_status memory_write_at(akv_file *file, const void *buf, size_t len, uint64_t off)
{
    memory_file *f = memory_of(file);
    akv_status   rc;

    akvi_mutex_lock(&f->env->mu);
    rc = memory_write_locked(f, buf, len, off);
    akvi_mutex_unlock(&f->env->mu);
    return rc;
}

static akv_status memory_append(akv_file *file, const void *buf, size_t len)
{
    memory_file *f = memory_of(file);
    akv_status   rc;

    akvi_mutex_lock(&f->env->mu);
    rc = memory_write_locked(f, buf, len, f->node->size);
    akvi_mutex_unlock(&f->env->mu);
    return rc;
}

static akv_status memory_read_at(akv_file *file, void *buf, size_t len, uint64_t off,
                                 size_t *got_out)
{
    memory_file *f    = memory_of(file);
    memory_node *node = f->node;
    size_t       n    = 0;

    akvi_mutex_lock(&f->env->mu);
    if (off < node->size)
        n = len < node->size - off ? len : node->size - (size_t)off;
    if (n > 0)
        memcpy(buf, node->chunk->at + off, n);
    akvi_mutex_unlock(&f->env->mu);
    *got_out = n;
    return AKV_OK;
}

static akv_status memory_truncate_locked(memory_file *f, uint64_t size)
{
    memory_node *node = f->node;
    akv_status   rc   = AKV_OK;

    if (!(f->flags & AKV_FILE_WRITE))
        return memory_failed(EBADF, f->path, "set the size");
    if (size > node->size) {
        rc = memory_own(f, node->size, size);
        if (rc == AKV_OK)
            memset(node->chunk->at + node->size, 0, (size_t)size - node->size);
    }
    if (rc != AKV_OK)
        return rc;
    node->size = (size_t)size;
    memory_touch(f);
    return AKV_OK;
}

static akv_status memory_truncate(akv_file *file, uint64_t size)
{
    memory_file *f = memory_of(file);
    akv_status   rc;

    akvi_mutex_lock(&f->env->mu);
    rc = memory_truncate_locked(f, size);
    akvi_mutex_unlock(&f->env->mu);
    return rc;
}

static akv_status memory_allocate(akv_file *file, uint64_t size)
{
    memory_file *f  = memory_of(file);
    akv_status   rc = AKV_OK;

    akvi_mutex_lock(&f->env->mu);
    if (!(f->flags & AKV_FILE_WRITE))
        rc = memory_failed(EBADF, f->path, "reserve room");
    else if (size > f->node->size)
        rc = memory_own(f, f->node->size, size);
    akvi_mutex_unlock(&f->env->mu);
    return rc;
}

static akv_status memory_sync(akv_file *file, bool metadata)
{
    (void)file;
    (void)metadata;
    return AKV_OK;
}

/* ----------------------------------------------------------------- mappings */

static akv_status memory_map_file(akv_file *file, size_t len, const void **data_out)
{
    memory_file  *f = memory_of(file);
    memory_map   *map;
    memory_chunk *c;

    *data_out = NULL;
    if (len == 0)
        return AKV_OK;
    map = akvi_alloc(f->env->allocator, sizeof *map);
    if (!map)
        return AKV_NOMEM;
    akvi_mutex_lock(&f->env->mu);
    c = len <= f->node->size ? f->node->chunk : NULL;
    if (c) {
        c->refs++;
        c->mapped = c->mapped > len ? c->mapped : len;
        *map      = (memory_map){f->maps, c};
        f->maps   = map;
        *data_out = c->at;
    }
    akvi_mutex_unlock(&f->env->mu);
    if (c)
        return AKV_OK;
    akvi_free(f->env->allocator, map, sizeof *map);
    return AKV_FAIL_AT(AKV_MISUSE, f->path, AKV_NO_OFFSET,
                       "can't map %zu bytes: the file is shorter", len);
}

static void memory_map_drop(memory_file *f, memory_map *map)
{
    memory_chunk_drop(f->env, map->chunk);
    akvi_free(f->env->allocator, map, sizeof *map);
}

static void memory_unmap(akv_file *file, const void *data, size_t len)
{
    memory_file *f = memory_of(file);
    memory_map **at, *map;

    (void)len;
    akvi_mutex_lock(&f->env->mu);
    for (at = &f->maps; *at && (*at)->chunk->at != data; at = &(*at)->next)
        ;
    map = *at;
    if (map) {
        *at = map->next;
        memory_map_drop(f, map);
    }
    akvi_mutex_unlock(&f->env->mu);
}

/* --------------------------------------------------------- locks, info, close */

static akv_status memory_lock(akv_file *file, bool exclusive)
{
    memory_file *f = memory_of(file);

    if (exclusive && !(f->flags & AKV_FILE_WRITE))
        return memory_failed(EBADF, f->path, "lock");
    return akvi_lock_take(f->env->device, f->node->inode, f, exclusive, f->path);
}

static akv_status memory_unlock(akv_file *file)
{
    memory_file *f = memory_of(file);

    akvi_lock_release(f->env->device, f->node->inode, f, false);
    return AKV_OK;
}

static void memory_fill_info(const memory_env *env, const memory_node *node, akv_file_info *info)
{
    info->kind     = node->kind;
    info->mode     = node->mode;
    info->size     = node->size;
    info->mtime_ns = node->mtime_ns;
    info->device   = env->device;
    info->inode    = node->inode;
}

static akv_status memory_info(akv_file *file, akv_file_info *info_out)
{
    memory_file *f = memory_of(file);

    akvi_mutex_lock(&f->env->mu);
    memory_fill_info(f->env, f->node, info_out);
    akvi_mutex_unlock(&f->env->mu);
    return AKV_OK;
}

static akv_status memory_set_mode(akv_file *file, uint32_t mode)
{
    memory_file *f = memory_of(file);

    akvi_mutex_lock(&f->env->mu);
    f->node->mode = mode & 07777;
    akvi_mutex_unlock(&f->env->mu);
    return AKV_OK;
}

static akv_status memory_close(akv_file *file)
{
    memory_file *f   = memory_of(file);
    memory_env  *env = f->env;

    akvi_lock_release(env->device, f->node->inode, f, false);
    akvi_mutex_lock(&env->mu);
    for (memory_map *map = f->maps, *next; map; map = next) {
        next = map->next;
        memory_map_drop(f, map);
    }
    memory_node_drop(env, f->node);
    akvi_mutex_unlock(&env->mu);
    akvi_strfree(env->allocator, f->path);
    akvi_free(env->allocator, f, sizeof *f);
    return AKV_OK;
}

static const akv_file_ops memory_file_ops = {
    .abi      = AKV_ENV_ABI,
    .size     = sizeof(akv_file_ops),
    .read_at  = memory_read_at,
    .write_at = memory_write_at,
    .append   = memory_append,
    .sync     = memory_sync,
    .truncate = memory_truncate,
    .allocate = memory_allocate,
    .info     = memory_info,
    .map      = memory_map_file,
    .unmap    = memory_unmap,
    .lock     = memory_lock,
    .unlock   = memory_unlock,
    .close    = memory_close,
    .set_mode = memory_set_mode,
};

/* --------------------------------------------------------------------- open */

/* The node that `path` opens, made when that is asked for. */
static akv_status memory_open_node(memory_env *env, const char *path, uint32_t flags,
                                   memory_node **node_out)
{
    memory_place place;
    memory_node *node;
    akv_status   rc = memory_walk(env, path, &place);

    if (rc != AKV_OK)
        return rc;
    *node_out = place.node;
    if (place.node && (flags & AKV_FILE_EXCLUDE))
        return memory_failed(EEXIST, path, "make");
    if (place.node)
        return place.node->kind == AKV_KIND_FOLDER ? memory_failed(EISDIR, path, "open") : AKV_OK;
    if (!(flags & AKV_FILE_CREATE))
        return memory_failed(ENOENT, path, "open");
    node = memory_node_new(env, AKV_KIND_FILE, flags & AKV_FILE_PRIVATE ? 0600 : 0644);
    if (!node)
        return AKV_NOMEM;
    if (memory_enter(env, place.folder, place.name, node) != 0) {
        node->refs = 1;
        memory_node_drop(env, node);
        return AKV_NOMEM;
    }
    *node_out = node;
    return AKV_OK;
}

static akv_status memory_open(akv_env *base, const char *path, uint32_t flags, akv_file **file_out)
{
    memory_env  *env = memory_env_of(base);
    memory_file *f;
    akv_status   rc = akvi_open_flags_check(path, flags);

    *file_out = NULL;
    if (rc != AKV_OK)
        return rc;
    f = akvi_zalloc(env->allocator, sizeof *f);
    if (!f)
        return AKV_NOMEM;
    f->base.ops = &memory_file_ops;
    f->env      = env;
    f->flags    = flags;
    f->path     = akvi_strdup(env->allocator, path);
    rc          = AKV_NOMEM;
    if (f->path) {
        akvi_mutex_lock(&env->mu);
        rc = memory_open_node(env, path, flags, &f->node);
        if (rc == AKV_OK)
            f->node->refs++;
        if (rc == AKV_OK && (flags & AKV_FILE_TRUNCATE))
            (void)memory_truncate_locked(f, 0); /* cutting can't fail */
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

/* -------------------------------------------------------------------- names */

static akv_status memory_path_info(akv_env *base, const char *path, akv_file_info *info_out)
{
    memory_env  *env = memory_env_of(base);
    memory_place place;
    akv_status   rc;

    akvi_mutex_lock(&env->mu);
    rc = memory_walk(env, path, &place);
    if (rc == AKV_OK && place.node)
        memory_fill_info(env, place.node, info_out);
    else if (rc == AKV_OK)
        rc = memory_failed(ENOENT, path, "look up");
    akvi_mutex_unlock(&env->mu);
    return rc;
}

/* Why `from` may not be renamed to `to`; 0: it may. */
static int memory_rename_refused(const memory_place *from, const memory_place *to)
{
    bool folder = from->node && from->node->kind == AKV_KIND_FOLDER;

    if (!from->node)
        return ENOENT;
    if (!from->folder || !to->folder)
        return EBUSY;
    for (memory_node *up = to->folder; folder && up; up = up->parent)
        if (up == from->node)
            return EINVAL;
    if (!to->node)
        return 0;
    if (folder && to->node->kind != AKV_KIND_FOLDER)
        return ENOTDIR;
    if (!folder && to->node->kind == AKV_KIND_FOLDER)
        return EISDIR;
    return to->node->n > 0 ? ENOTEMPTY : 0;
}

static int memory_rename_locked(memory_env *env, memory_place *from, memory_place *to)
{
    int    err = memory_rename_refused(from, to);
    size_t at;

    if (err || from->node == to->node)
        return err;
    if (to->node) {
        memory_node *replaced = to->node;

        to->folder->entries[to->at].node = from->node;
        from->node->refs++;
        if (from->node->kind == AKV_KIND_FOLDER)
            from->node->parent = to->folder;
        memory_node_drop(env, replaced);
    } else {
        err = memory_enter(env, to->folder, to->name, from->node);
    }
    if (!err && memory_find(from->folder, from->name, &at))
        memory_leave(env, from->folder, at);
    return err;
}

static akv_status memory_rename(akv_env *base, const char *from, const char *to)
{
    memory_env  *env = memory_env_of(base);
    memory_place a, b;
    akv_status   rc;
    int          err;

    akvi_mutex_lock(&env->mu);
    rc = memory_walk(env, from, &a);
    if (rc == AKV_OK)
        rc = memory_walk(env, to, &b);
    if (rc == AKV_OK) {
        err = memory_rename_locked(env, &a, &b);
        if (err)
            rc = AKV_FAIL_ERRNO(err, to, AKV_NO_OFFSET, "can't rename '%s' to it", from);
    }
    akvi_mutex_unlock(&env->mu);
    return rc;
}

static akv_status memory_link(akv_env *base, const char *from, const char *to)
{
    memory_env  *env = memory_env_of(base);
    memory_place a, b;
    akv_status   rc;
    int          err = 0;

    akvi_mutex_lock(&env->mu);
    rc = memory_walk(env, from, &a);
    if (rc == AKV_OK)
        rc = memory_walk(env, to, &b);
    if (rc == AKV_OK) {
        if (!a.node)
            err = ENOENT;
        else if (b.node)
            err = EEXIST;
        else if (a.node->kind == AKV_KIND_FOLDER)
            err = EPERM;
        else
            err = memory_enter(env, b.folder, b.name, a.node);
        if (err)
            rc = AKV_FAIL_ERRNO(err, to, AKV_NO_OFFSET, "can't link '%s' to it", from);
    }
    akvi_mutex_unlock(&env->mu);
    return rc;
}

static akv_status memory_unname(akv_env *base, const char *path, akv_file_kind kind)
{
    memory_env  *env = memory_env_of(base);
    memory_place place;
    akv_status   rc;
    int          err = 0;

    akvi_mutex_lock(&env->mu);
    rc = memory_walk(env, path, &place);
    if (rc == AKV_OK) {
        if (!place.node)
            err = ENOENT;
        else if (place.node->kind != kind)
            err = kind == AKV_KIND_FOLDER ? ENOTDIR : EISDIR;
        else if (!place.folder)
            err = EBUSY;
        else if (place.node->n > 0)
            err = ENOTEMPTY;
        else
            memory_leave(env, place.folder, place.at);
        rc = memory_failed(err, path, "remove");
    }
    akvi_mutex_unlock(&env->mu);
    return rc;
}

static akv_status memory_remove(akv_env *env, const char *path)
{
    return memory_unname(env, path, AKV_KIND_FILE);
}

static akv_status memory_remove_folder(akv_env *env, const char *path)
{
    return memory_unname(env, path, AKV_KIND_FOLDER);
}

static akv_status memory_make_folder(akv_env *base, const char *path)
{
    memory_env  *env = memory_env_of(base);
    memory_node *node;
    memory_place place;
    akv_status   rc;

    akvi_mutex_lock(&env->mu);
    rc = memory_walk(env, path, &place);
    if (rc == AKV_OK && place.node)
        rc = memory_failed(EEXIST, path, "make the folder");
    if (rc == AKV_OK) {
        node = memory_node_new(env, AKV_KIND_FOLDER, 0755);
        if (!node || memory_enter(env, place.folder, place.name, node) != 0) {
            akvi_free(env->allocator, node, sizeof *node);
            rc = AKV_NOMEM;
        }
    }
    akvi_mutex_unlock(&env->mu);
    return rc;
}

/* The folder's names, each with its NUL. */
static akv_status memory_names(memory_env *env, const char *path, akv_buffer *names)
{
    memory_place place;
    akv_status   rc;

    akvi_mutex_lock(&env->mu);
    rc = memory_walk(env, path, &place);
    if (rc == AKV_OK && (!place.node || place.node->kind != AKV_KIND_FOLDER))
        rc = memory_failed(place.node ? ENOTDIR : ENOENT, path, "list the folder");
    for (size_t i = 0; rc == AKV_OK && place.node && i < place.node->n; i++) {
        const char *name = place.node->entries[i].name;

        rc = akv_buffer_append(names, name, strlen(name) + 1);
    }
    akvi_mutex_unlock(&env->mu);
    return rc;
}

static akv_status memory_list(akv_env *base, const char *path, int (*each)(void *, const char *),
                              void *user)
{
    memory_env *env   = memory_env_of(base);
    akv_buffer  names = {NULL, 0, 0, env->allocator};
    akv_status  rc    = memory_names(env, path, &names);

    /* Called back without the mutex, so that the callback may use the env. */
    for (size_t at = 0; rc == AKV_OK && at < names.len;) {
        const char *name = (const char *)names.data + at;

        if (each(user, name) != 0)
            break;
        at += strlen(name) + 1;
    }
    akv_buffer_free(&names);
    return rc;
}

static akv_status memory_sync_folder(akv_env *base, const char *path)
{
    akv_file_info info = {0};
    akv_status    rc   = memory_path_info(base, path, &info);

    if (rc == AKV_OK && info.kind != AKV_KIND_FOLDER)
        rc = memory_failed(ENOTDIR, path, "sync the folder");
    return rc;
}

/* -------------------------------------------------------------- clock, env */

static uint64_t memory_monotonic_ns(akv_env *env)
{
    akv_env *os = akv_env_posix();

    return os->ops->monotonic_ns(os) + atomic_load(&memory_env_of(env)->ahead_ms) * 1000000u;
}

static void memory_sleep_ns(akv_env *env, uint64_t ns)
{
    akv_env *os = akv_env_posix();

    (void)env;
    os->ops->sleep_ns(os, ns);
}

static const akv_env_ops memory_env_ops = {
    .abi           = AKV_ENV_ABI,
    .size          = sizeof(akv_env_ops),
    .open          = memory_open,
    .info          = memory_path_info,
    .rename        = memory_rename,
    .link          = memory_link,
    .remove        = memory_remove,
    .make_folder   = memory_make_folder,
    .remove_folder = memory_remove_folder,
    .list          = memory_list,
    .sync_folder   = memory_sync_folder,
    .unix_ms       = memory_unix_ms,
    .monotonic_ns  = memory_monotonic_ns,
    .sleep_ns      = memory_sleep_ns,
};

akv_status akv_env_memory_new(const akv_allocator *allocator, akv_env **env_out)
{
    static _Atomic uint64_t envs;
    memory_env             *env = akvi_zalloc(allocator, sizeof *env);

    *env_out = NULL;
    if (!env)
        return AKV_NOMEM;
    env->base.ops  = &memory_env_ops;
    env->allocator = allocator;
    /* A number that no device of the system has, for the registry of locks. */
    env->device = UINT64_C(1) << 63 | atomic_fetch_add(&envs, 1);
    atomic_init(&env->ahead_ms, 0);
    env->root = memory_node_new(env, AKV_KIND_FOLDER, 0755);
    if (!env->root) {
        akvi_free(allocator, env, sizeof *env);
        return AKV_NOMEM;
    }
    env->root->refs = 1;
    akvi_mutex_init(&env->mu, AKVI_RANK_ENV_MEMORY);
    *env_out = &env->base;
    return AKV_OK;
}

void akv_env_memory_advance(akv_env *env, uint64_t ms)
{
    atomic_fetch_add(&memory_env_of(env)->ahead_ms, ms);
}

void akv_env_memory_free(akv_env *base)
{
    memory_env  *env = memory_env_of(base);
    memory_node *at, *last;

    if (!env)
        return;
    /* Down while a folder's last entry is a folder that holds something, and
     * up from an empty one. */
    at = env->root;
    while (at->n > 0 || at->parent) {
        last = at->n > 0 ? at->entries[at->n - 1].node : NULL;
        if (!last)
            at = at->parent;
        else if (last->n > 0)
            at = last;
        else
            memory_leave(env, at, at->n - 1);
    }
    memory_node_drop(env, env->root);
    akvi_mutex_destroy(&env->mu);
    akvi_free(env->allocator, env, sizeof *env);
}
