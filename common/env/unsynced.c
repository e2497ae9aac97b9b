/* SPDX-License-Identifier: MIT
 *
 * unsynced.c: see unsynced.h.
 *
 * The base env always shows what the program sees. Beside it stand, per file,
 * the contents at its last sync and the changes since, and for all folders one
 * list of changes of names. A loss of power rewrites the files to the contents
 * chosen and undoes the changes of names that were not kept, newest first.
 *
 * Files and folders are known by device and inode. Each tracked file is held
 * open (its pin), so that its inode is not given to another and its contents
 * can be had after its name is gone.
 */
#include "common/env/unsynced.h"

#include "common/base/buffer.h"
#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/env/file.h"

#include <errno.h>

#define UNSYNCED_SECTOR ((uint64_t)512)

/* A change of a file's contents: bytes written at off, or the size set to it. */
typedef struct unsynced_change {
    struct unsynced_change *next;
    uint64_t                off;
    size_t                  len;
    bool                    is_size;
    bool                    is_cut; /* a size below the one before */
    bool                    lost;   /* by a failed sync */
    uint8_t                 data[];
} unsynced_change;

struct akvi_unsynced_file {
    akvi_unsynced_file *next;
    uint64_t            id; /* the same in each run of a program, as inodes are not */
    uint64_t            device, inode;
    size_t              refs; /* opens, and changes of names that need it */
    akv_file           *pin;
    bool                pin_writes;
    bool                captured; /* `durable` is set, as it is with any change */
    akv_buffer          durable;  /* contents at the last sync */
    uint64_t            size;     /* now */
    unsynced_change    *changes;  /* oldest first */
    unsynced_change   **end;      /* where the next one goes */
    bool                any_lost; /* some change may be `lost` */
};

typedef struct unsynced_folder {
    struct unsynced_folder *next;
    uint64_t                device, inode;
    bool                    gone;   /* removed: the inode may be another's now */
    struct unsynced_folder *parent; /* NULL: `name` is a path */
    char                   *name;
    bool                    marked; /* scratch of sync_folder and power_loss */
} unsynced_folder;

/* A change of names: made (`to` only), removed (`from` only) or renamed. */
typedef struct unsynced_op {
    struct unsynced_op *older;
    unsynced_folder    *from, *to;
    char               *from_name, *to_name;
    unsynced_folder    *child;       /* the folder that was made or renamed */
    akvi_unsynced_file *gone_file;   /* what was removed or replaced, */
    unsynced_folder    *gone_folder; /* be it a file or a folder */
    bool                dropped;
} unsynced_op;

struct akvi_unsynced {
    akv_env             *base;
    const akv_allocator *allocator;
    akvi_unsynced_file  *files;
    unsynced_folder     *folders;
    unsynced_op         *ops; /* newest first */
    uint64_t             ids; /* given out so far */
};

akvi_unsynced *akvi_unsynced_new(akv_env *base, const akv_allocator *allocator)
{
    akvi_unsynced *u = akvi_zalloc(allocator, sizeof *u);

    if (u) {
        u->base      = base;
        u->allocator = allocator;
    }
    return u;
}

/* ------------------------------------------------------------ tracked files */

static void unsynced_change_free(akvi_unsynced *u, unsynced_change *c)
{
    akvi_free(u->allocator, c, sizeof *c + (c->is_size ? 0 : c->len));
}

static void unsynced_forget_changes(akvi_unsynced *u, akvi_unsynced_file *t)
{
    for (unsynced_change *c = t->changes, *next; c; c = next) {
        next = c->next;
        unsynced_change_free(u, c);
    }
    t->changes = NULL;
    t->end     = &t->changes;
}

static void unsynced_file_free(akvi_unsynced *u, akvi_unsynced_file *t)
{
    akvi_unsynced_file **at = &u->files;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    unsynced_forget_changes(u, t);
    akvi_file_drop(t->pin);
    akv_buffer_free(&t->durable);
    akvi_free(u->allocator, t, sizeof *t);
}

void akvi_unsynced_leave(akvi_unsynced *u, akvi_unsynced_file *tracked)
{
    if (tracked && --tracked->refs == 0 && !tracked->changes)
        unsynced_file_free(u, tracked);
}

static akvi_unsynced_file *unsynced_file_new(akvi_unsynced *u, const akv_file_info *info)
{
    akvi_unsynced_file *t = akvi_zalloc(u->allocator, sizeof *t);

    if (!t)
        return NULL;
    t->id                = ++u->ids;
    t->device            = info->device;
    t->inode             = info->inode;
    t->durable.allocator = u->allocator;
    t->end               = &t->changes;
    t->next              = u->files;
    u->files             = t;
    return t;
}

/* Track the file at a path, with a pin that can write if `writes`. */
static akv_status unsynced_track(akvi_unsynced *u, const char *path, bool writes,
                                 akvi_unsynced_file **tracked_out)
{
    akvi_unsynced_file *t;
    akv_file_info       info;
    akv_file           *pin = NULL;
    akv_status          rc  = u->base->ops->info(u->base, path, &info);

    if (rc != AKV_OK)
        return rc;
    for (t = u->files; t && (t->device != info.device || t->inode != info.inode); t = t->next)
        ;
    if (!t || (writes && !t->pin_writes)) {
        rc = u->base->ops->open(u->base, path, writes ? AKV_FILE_WRITE : 0, &pin);
        if (rc != AKV_OK)
            return rc;
    }
    if (!t)
        t = unsynced_file_new(u, &info);
    if (!t) {
        akvi_file_drop(pin);
        return AKV_NOMEM;
    }
    if (pin) {
        akvi_file_drop(t->pin);
        t->pin        = pin;
        t->pin_writes = writes;
    }
    t->refs++;
    *tracked_out = t;
    return AKV_OK;
}

/* ----------------------------------------------------------------- contents */

static akv_status unsynced_resize(akv_buffer *b, uint64_t size)
{
    size_t     old = b->len;
    akv_status rc;

    if (size > SIZE_MAX / 2)
        return AKV_FAIL_NOMEM(SIZE_MAX);
    rc = akvi_buffer_resize(b, (size_t)size);
    if (rc == AKV_OK && size > old)
        memset((uint8_t *)b->data + old, 0, (size_t)size - old);
    return rc;
}

/* Before the first change: keep what is durable. */
static akv_status unsynced_capture(akvi_unsynced_file *t)
{
    akv_file_info info;
    akv_status    rc;

    if (t->captured)
        return AKV_OK;
    rc = t->pin->ops->info(t->pin, &info);
    if (rc == AKV_OK)
        rc = unsynced_resize(&t->durable, info.size);
    if (rc == AKV_OK)
        rc = akvi_read_full(t->pin, NULL, t->durable.data, t->durable.len, 0);
    t->size     = info.size;
    t->captured = rc == AKV_OK;
    return rc;
}

static void unsynced_add_change(akvi_unsynced_file *t, unsynced_change *c)
{
    *t->end   = c;
    t->end    = &c->next;
    c->is_cut = c->is_size && c->off < t->size;
    if (c->is_size)
        t->size = c->off;
    else if (c->off + c->len > t->size)
        t->size = c->off + c->len;
}

/* A write failed in the base: note what is there now instead. */
static bool unsynced_reread(akv_file *file, unsynced_change *c, size_t *got_out)
{
    return file->ops->read_at(file, c->data, c->len, c->off, got_out) == AKV_OK && *got_out > 0;
}

akv_status akvi_unsynced_write(akvi_unsynced *u, akvi_unsynced_file *tracked, akv_file *file,
                               const void *data, size_t len, uint64_t off)
{
    bool             append = off == AKV_NO_OFFSET;
    unsynced_change *c, *cut;
    size_t           got;
    akv_status       rc = unsynced_capture(tracked);

    if (rc != AKV_OK || len == 0)
        return rc;
    c = akvi_zalloc(u->allocator, sizeof *c + len);
    if (!c)
        return AKV_NOMEM;
    memcpy(c->data, data, len);
    c->len = len;
    c->off = append ? tracked->size : off;
    rc = append ? file->ops->append(file, data, len) : file->ops->write_at(file, data, len, off);
    if (rc == AKV_OK) {
        unsynced_add_change(tracked, c);
        return AKV_OK;
    }
    if (unsynced_reread(file, c, &got)) {
        cut = akvi_resize(u->allocator, c, sizeof *c + len, sizeof *c + got);
        if (cut) {
            cut->len = got;
            unsynced_add_change(tracked, cut);
            return rc;
        }
    }
    unsynced_change_free(u, c);
    return rc;
}

akv_status akvi_unsynced_truncate(akvi_unsynced *u, akvi_unsynced_file *tracked, akv_file *file,
                                  uint64_t size)
{
    unsynced_change *c;
    akv_status       rc = unsynced_capture(tracked);

    if (rc != AKV_OK)
        return rc;
    c = akvi_zalloc(u->allocator, sizeof *c);
    if (!c)
        return AKV_NOMEM;
    c->off     = size;
    c->is_size = true;
    rc         = file->ops->truncate(file, size);
    if (rc == AKV_OK)
        unsynced_add_change(tracked, c);
    else
        unsynced_change_free(u, c);
    return rc;
}

static akv_status unsynced_apply(akv_buffer *contents, const unsynced_change *c)
{
    akv_status rc = AKV_OK;

    if (c->is_size)
        return unsynced_resize(contents, c->off);
    if (c->off + c->len > contents->len)
        rc = unsynced_resize(contents, c->off + c->len);
    if (rc == AKV_OK)
        memcpy((uint8_t *)contents->data + c->off, c->data, c->len);
    return rc;
}

void akvi_unsynced_sync_failed(akvi_unsynced_file *tracked)
{
    for (unsynced_change *c = tracked->changes; c; c = c->next)
        c->lost = true;
    tracked->any_lost = tracked->changes != NULL;
}

/* What a failed sync lost is safe with a later change of the same sectors, and
 * sizes with any. */
static void unsynced_find_lost(akvi_unsynced_file *t, const unsynced_change *by)
{
    uint64_t from = by->off / UNSYNCED_SECTOR * UNSYNCED_SECTOR;
    uint64_t end  = by->off + by->len + UNSYNCED_SECTOR - 1;

    for (unsynced_change *c = t->changes; c != by; c = c->next)
        if (by->is_size || c->is_size || (c->off < end && c->off + c->len > from))
            c->lost = false;
}

akv_status akvi_unsynced_sync(akvi_unsynced *u, akvi_unsynced_file *tracked, akv_file *file,
                              bool metadata)
{
    unsynced_change **at = &tracked->changes, *c;
    akv_status        rc = file->ops->sync(file, metadata);

    if (rc != AKV_OK) {
        akvi_unsynced_sync_failed(tracked);
        return rc;
    }
    for (c = tracked->any_lost ? tracked->changes : NULL; c; c = c->next)
        if (!c->lost)
            unsynced_find_lost(tracked, c);
    while (rc == AKV_OK && (c = *at)) {
        if (c->lost) {
            at = &c->next;
            continue;
        }
        rc = unsynced_apply(&tracked->durable, c);
        if (rc == AKV_OK) {
            *at = c->next;
            unsynced_change_free(u, c);
        }
    }
    if (rc != AKV_OK)
        return rc;
    tracked->end      = at;
    tracked->any_lost = tracked->changes != NULL;
    return tracked->captured ? unsynced_resize(&tracked->durable, tracked->size) : AKV_OK;
}

/* ------------------------------------------------------------------ folders */

/* The path of a name in a folder, or with NULL of the folder. */
static char *unsynced_path(akvi_unsynced *u, const unsynced_folder *folder, const char *name)
{
    char *path = folder->parent ? unsynced_path(u, folder->parent, folder->name)
                                : akvi_strdup(u->allocator, folder->name);
    char *joined;

    if (!path || !name)
        return path;
    joined = akvi_path_join(u->allocator, path, name);
    akvi_strfree(u->allocator, path);
    return joined;
}

static akv_status unsynced_split(akvi_unsynced *u, const char *path, unsynced_folder **folder_out,
                                 char **name_out);

/* The folder at a path, with those above it. */
static akv_status unsynced_folder_at(akvi_unsynced *u, const char *path,
                                     unsynced_folder **folder_out)
{
    unsynced_folder *f, *parent = NULL;
    akv_file_info    info;
    char            *name = NULL;
    akv_status       rc   = u->base->ops->info(u->base, path, &info);

    if (rc != AKV_OK)
        return rc;
    if (info.kind != AKV_KIND_FOLDER) {
        AKV_FAIL_ERRNO(ENOTDIR, path, AKV_NO_OFFSET, "can't find what is in it");
        return AKV_IO;
    }
    for (f = u->folders; f; f = f->next)
        if (!f->gone && f->device == info.device && f->inode == info.inode)
            break;
    *folder_out = f;
    if (f)
        return AKV_OK;
    if (strcmp(path, ".") != 0 && strspn(path, "/") != strlen(path))
        rc = unsynced_split(u, path, &parent, &name);
    else if (!(name = akvi_strdup(u->allocator, path)))
        rc = AKV_NOMEM;
    if (rc != AKV_OK)
        return rc;
    f = akvi_zalloc(u->allocator, sizeof *f);
    if (!f) {
        akvi_strfree(u->allocator, name);
        return AKV_NOMEM;
    }
    f->device   = info.device;
    f->inode    = info.inode;
    f->parent   = parent;
    f->name     = name;
    f->next     = u->folders;
    u->folders  = f;
    *folder_out = f;
    return AKV_OK;
}

/* A path's folder and last name (owned). */
static akv_status unsynced_split(akvi_unsynced *u, const char *path, unsynced_folder **folder_out,
                                 char **name_out)
{
    char      *copy = akvi_strdup(u->allocator, path), *folder = NULL, *name = NULL;
    size_t     len = strlen(path), size = len + 1;
    akv_status rc = AKV_NOMEM;

    if (copy) {
        while (len > 1 && copy[len - 1] == '/')
            copy[--len] = '\0';
        folder = akvi_path_folder(u->allocator, copy);
        name   = akvi_strdup(u->allocator, akvi_path_name(copy));
        akvi_free(u->allocator, copy, size);
    }
    if (folder && name)
        rc = unsynced_folder_at(u, folder, folder_out);
    akvi_strfree(u->allocator, folder);
    if (rc == AKV_OK)
        *name_out = name;
    else
        akvi_strfree(u->allocator, name);
    return rc;
}

/* --------------------------------------------------------- changes of names */

static void unsynced_op_free(akvi_unsynced *u, unsynced_op *op)
{
    if (!op)
        return;
    akvi_unsynced_leave(u, op->gone_file);
    akvi_strfree(u->allocator, op->from_name);
    akvi_strfree(u->allocator, op->to_name);
    akvi_free(u->allocator, op, sizeof *op);
}

static akv_status unsynced_op_new(akvi_unsynced *u, const char *from, const char *to,
                                  unsynced_op **op_out)
{
    unsynced_op *op = akvi_zalloc(u->allocator, sizeof *op);
    akv_status   rc = AKV_OK;

    *op_out = NULL;
    if (!op)
        return AKV_NOMEM;
    if (from)
        rc = unsynced_split(u, from, &op->from, &op->from_name);
    if (rc == AKV_OK && to)
        rc = unsynced_split(u, to, &op->to, &op->to_name);
    if (rc == AKV_OK)
        *op_out = op;
    else
        unsynced_op_free(u, op);
    return rc;
}

static void unsynced_op_add(akvi_unsynced *u, unsynced_op *op)
{
    op->older = u->ops;
    u->ops    = op;
    if (op->gone_folder)
        op->gone_folder->gone = true;
}

/* Note what is at `path`, which the op is about to take away. */
static akv_status unsynced_see_gone(akvi_unsynced *u, unsynced_op *op, const char *path)
{
    akv_file_info info;
    akv_status    rc = akvi_path_info(u->base, path, &info);

    if (rc != AKV_OK)
        return rc == AKV_ABSENT ? AKV_OK : rc;
    if (info.kind == AKV_KIND_FOLDER)
        return unsynced_folder_at(u, path, &op->gone_folder);
    return unsynced_track(u, path, false, &op->gone_file);
}

akv_status akvi_unsynced_open(akvi_unsynced *u, const char *path, uint32_t flags,
                              akv_file **file_out, akvi_unsynced_file **tracked_out)
{
    bool                writes = (flags & AKV_FILE_WRITE) != 0;
    akvi_unsynced_file *t      = NULL;
    unsynced_op        *op     = NULL;
    akv_file           *file   = NULL;
    akv_file_info       info;
    akv_status          rc = AKV_OK;

    *file_out = NULL;
    if ((flags & AKV_FILE_CREATE) && akvi_path_exists(u->base, path) == AKV_ABSENT)
        rc = unsynced_op_new(u, NULL, path, &op);
    if (rc == AKV_OK)
        rc = u->base->ops->open(u->base, path, flags & ~AKV_FILE_TRUNCATE, &file);
    if (rc != AKV_OK) {
        unsynced_op_free(u, op);
        return rc;
    }
    if (op)
        unsynced_op_add(u, op);
    rc = unsynced_track(u, path, writes, &t);
    if (rc == AKV_OK && (flags & AKV_FILE_TRUNCATE)) {
        rc = file->ops->info(file, &info);
        if (rc == AKV_OK && info.size > 0)
            rc = akvi_unsynced_truncate(u, t, file, 0);
    }
    if (rc != AKV_OK) {
        akvi_unsynced_leave(u, t);
        akvi_file_drop(file);
        return rc;
    }
    *file_out    = file;
    *tracked_out = t;
    return AKV_OK;
}

/* What a rename needs to know beforehand; *same_out: both are one file. */
static akv_status unsynced_see_rename(akvi_unsynced *u, unsynced_op *op, const char *from,
                                      const char *to, bool *same_out)
{
    akv_file_info a, b;
    akv_status    rc = u->base->ops->info(u->base, from, &a);

    *same_out = false;
    if (rc != AKV_OK)
        return rc;
    if (a.kind == AKV_KIND_FOLDER)
        rc = unsynced_folder_at(u, from, &op->child);
    if (rc == AKV_OK)
        rc = akvi_path_info(u->base, to, &b);
    if (rc == AKV_ABSENT)
        return AKV_OK;
    if (rc != AKV_OK)
        return rc;
    *same_out = a.device == b.device && a.inode == b.inode;
    return *same_out ? AKV_OK : unsynced_see_gone(u, op, to);
}

akv_status akvi_unsynced_rename(akvi_unsynced *u, const char *from, const char *to)
{
    unsynced_op *op;
    char        *name = NULL;
    bool         same = false;
    akv_status   rc   = unsynced_op_new(u, from, to, &op);

    if (rc != AKV_OK)
        return rc;
    rc = unsynced_see_rename(u, op, from, to, &same);
    if (rc == AKV_OK && op->child && !(name = akvi_strdup(u->allocator, op->to_name)))
        rc = AKV_NOMEM;
    if (rc == AKV_OK)
        rc = u->base->ops->rename(u->base, from, to);
    if (rc != AKV_OK || same) {
        akvi_strfree(u->allocator, name);
        unsynced_op_free(u, op);
        return rc;
    }
    if (op->child) {
        akvi_strfree(u->allocator, op->child->name);
        op->child->name   = name;
        op->child->parent = op->to;
    }
    unsynced_op_add(u, op);
    return AKV_OK;
}

akv_status akvi_unsynced_link(akvi_unsynced *u, const char *from, const char *to)
{
    unsynced_op *op;
    akv_status   rc = unsynced_op_new(u, NULL, to, &op);

    if (rc != AKV_OK)
        return rc;
    rc = u->base->ops->link(u->base, from, to);
    if (rc == AKV_OK)
        unsynced_op_add(u, op);
    else
        unsynced_op_free(u, op);
    return rc;
}

static akv_status unsynced_unname(akvi_unsynced *u, const char *path, bool folder)
{
    unsynced_op *op;
    akv_status   rc = unsynced_op_new(u, path, NULL, &op);

    if (rc != AKV_OK)
        return rc;
    rc = unsynced_see_gone(u, op, path);
    if (rc == AKV_OK)
        rc = folder ? u->base->ops->remove_folder(u->base, path)
                    : u->base->ops->remove(u->base, path);
    if (rc == AKV_OK)
        unsynced_op_add(u, op);
    else
        unsynced_op_free(u, op);
    return rc;
}

akv_status akvi_unsynced_remove(akvi_unsynced *u, const char *path)
{
    return unsynced_unname(u, path, false);
}

akv_status akvi_unsynced_remove_folder(akvi_unsynced *u, const char *path)
{
    return unsynced_unname(u, path, true);
}

akv_status akvi_unsynced_make_folder(akvi_unsynced *u, const char *path)
{
    unsynced_op *op;
    akv_status   rc = unsynced_op_new(u, NULL, path, &op);

    if (rc != AKV_OK)
        return rc;
    rc = u->base->ops->make_folder(u->base, path);
    if (rc != AKV_OK) {
        unsynced_op_free(u, op);
        return rc;
    }
    rc = unsynced_folder_at(u, path, &op->child);
    unsynced_op_add(u, op);
    return rc;
}

/* Whether the op touches a marked folder; then all that it touches get marked. */
static bool unsynced_mark(unsynced_op *op)
{
    unsynced_folder *touched[] = {op->from, op->to, op->gone_folder};
    bool             any       = false;

    for (size_t i = 0; i < AKVI_ARRAY_N(touched); i++)
        any = any || (touched[i] && touched[i]->marked);
    for (size_t i = 0; any && i < AKVI_ARRAY_N(touched); i++)
        if (touched[i])
            touched[i]->marked = true;
    return any;
}

static void unsynced_unmark_all(akvi_unsynced *u)
{
    for (unsynced_folder *f = u->folders; f; f = f->next)
        f->marked = false;
}

akv_status akvi_unsynced_sync_folder(akvi_unsynced *u, const char *path)
{
    unsynced_folder *folder;
    unsynced_op    **at = &u->ops, *op;
    akv_status       rc = unsynced_folder_at(u, path, &folder);

    if (rc == AKV_OK)
        rc = u->base->ops->sync_folder(u->base, path);
    if (rc != AKV_OK)
        return rc;
    /* Newest first, so what came before a durable change of the same folder is
     * found to be durable too. */
    folder->marked = true;
    while ((op = *at)) {
        if (unsynced_mark(op)) {
            *at = op->older;
            unsynced_op_free(u, op);
        } else {
            at = &op->older;
        }
    }
    unsynced_unmark_all(u);
    return AKV_OK;
}

/* --------------------------------------------------- power loss: the contents */

static uint64_t unsynced_random(uint64_t seed, uint64_t what)
{
    uint64_t z = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ what * UINT64_C(0xd6e8feb86659fd93);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* One of from..to; often the first or the last. */
static uint64_t unsynced_pick(uint64_t random, uint64_t from, uint64_t to)
{
    if (random % 3 < 2)
        return random % 3 == 0 ? from : to;
    return from + (random >> 2) % (to - from + 1);
}

/* Moments of a file: as of moment i the first i changes had been made. */
typedef struct unsynced_moments {
    uint64_t seed;
    uint64_t first, last; /* from just after the last kept cut, to before the next */
    uint64_t size;        /* when the size is that of the file */
} unsynced_moments;

static unsynced_moments unsynced_choose(const akvi_unsynced_file *t, uint64_t seed)
{
    unsynced_moments m    = {.seed = unsynced_random(seed, t->id)};
    uint64_t         cuts = 0, kept, i = 0;

    for (const unsynced_change *c = t->changes; c; c = c->next)
        cuts += c->is_cut;
    kept = unsynced_pick(unsynced_random(m.seed, 1), 0, cuts);
    cuts = 0;
    for (const unsynced_change *c = t->changes; c && !(c->is_cut && cuts == kept); c = c->next) {
        i++;
        cuts += c->is_cut;
        if (c->is_cut)
            m.first = i;
    }
    m.last = i;
    m.size = unsynced_pick(unsynced_random(m.seed, 2), m.first, m.last);
    return m;
}

/* Copy what is kept of change number i in the sector that begins at `sector`. */
static void unsynced_apply_sector(const unsynced_moments *m, uint64_t i, uint64_t sector,
                                  const unsynced_change *c, uint8_t *contents)
{
    uint64_t random = unsynced_random(m->seed, 3 + sector);
    uint64_t moment = unsynced_pick(random, 0, m->last);
    uint64_t from   = sector > c->off ? sector : c->off;
    uint64_t end    = sector + UNSYNCED_SECTOR;
    uint64_t middle;

    if (end > c->off + c->len)
        end = c->off + c->len;
    random = unsynced_random(random, i);
    if (i > moment || (i == moment && random % 2 == 0))
        return;
    if (i == moment) { /* torn: one side of it */
        middle = from + (random >> 8) % (end - from + 1);
        if (random & 2)
            from = middle;
        else
            end = middle;
    }
    memcpy(contents + from, c->data + (from - c->off), (size_t)(end - from));
}

static akv_status unsynced_outcome(const akvi_unsynced_file *t, uint64_t seed, akv_buffer *out)
{
    unsynced_moments       m    = unsynced_choose(t, seed);
    uint64_t               size = t->durable.len, i = 0;
    const unsynced_change *c;
    akv_status             rc = akvi_buffer_set(out, t->durable.data, t->durable.len);

    for (c = t->changes; rc == AKV_OK && i < m.last; c = c->next, i++) {
        uint64_t end = c->off + (c->is_size ? 0 : c->len);

        if (c->is_cut && c->off < out->len)
            rc = unsynced_resize(out, c->off);
        else if (end > out->len)
            rc = unsynced_resize(out, end);
        if (rc == AKV_OK && !c->is_size)
            for (uint64_t s = c->off / UNSYNCED_SECTOR * UNSYNCED_SECTOR; s < end;
                 s += UNSYNCED_SECTOR)
                unsynced_apply_sector(&m, i, s, c, out->data);
        if (i < m.size && (c->is_size || end > size))
            size = end;
    }
    return rc == AKV_OK ? unsynced_resize(out, size) : rc;
}

/* Put the file into the state chosen. The base's contents are durable then. */
static akv_status unsynced_settle(akvi_unsynced *u, akvi_unsynced_file *t, uint64_t seed)
{
    akv_buffer chosen = {NULL, 0, 0, u->allocator};
    akv_status rc     = AKV_OK;

    if (t->changes && seed != UINT64_MAX) {
        rc = seed == 0 ? akvi_buffer_set(&chosen, t->durable.data, t->durable.len)
                       : unsynced_outcome(t, seed, &chosen);
        if (rc == AKV_OK && chosen.len > 0)
            rc = t->pin->ops->write_at(t->pin, chosen.data, chosen.len, 0);
        if (rc == AKV_OK)
            rc = t->pin->ops->truncate(t->pin, chosen.len);
    }
    akv_buffer_free(&chosen);
    unsynced_forget_changes(u, t);
    t->captured = false;
    return rc;
}

/* ------------------------------------------------------ power loss: the names */

static void unsynced_reverse(akvi_unsynced *u)
{
    unsynced_op *reversed = NULL;

    for (unsynced_op *op = u->ops, *next; op; op = next) {
        next      = op->older;
        op->older = reversed;
        reversed  = op;
    }
    u->ops = reversed;
}

static void unsynced_choose_names(akvi_unsynced *u, uint64_t seed)
{
    uint64_t one_in = 2 + unsynced_random(seed, 1) % 7, i = 0;

    unsynced_reverse(u);
    for (unsynced_op *op = u->ops; op; op = op->older) {
        bool drop = seed == 0 || unsynced_random(seed, 2 + i++) % one_in == 0;

        if (seed == UINT64_MAX)
            drop = false;
        /* After the first that is dropped in a folder, all are. */
        if (drop && op->from)
            op->from->marked = true;
        if (drop && op->to)
            op->to->marked = true;
        op->dropped = unsynced_mark(op);
        if (op->dropped && op->child && !op->from)
            op->child->marked = true;
    }
    unsynced_unmark_all(u);
    unsynced_reverse(u);
}

static int unsynced_note_name(void *user, const char *name)
{
    return akv_buffer_append(user, name, strlen(name) + 1) != AKV_OK;
}

static akv_status unsynced_remove_tree(akvi_unsynced *u, const char *path)
{
    akv_buffer    names = {NULL, 0, 0, u->allocator};
    akv_file_info info;
    akv_status    rc = u->base->ops->info(u->base, path, &info);

    if (rc != AKV_OK || info.kind != AKV_KIND_FOLDER)
        return rc == AKV_OK ? u->base->ops->remove(u->base, path) : rc;
    rc = u->base->ops->list(u->base, path, unsynced_note_name, &names);
    for (size_t at = 0; rc == AKV_OK && at < names.len;) {
        const char *name = (const char *)names.data + at;
        char       *sub  = akvi_path_join(u->allocator, path, name);

        rc = sub ? unsynced_remove_tree(u, sub) : AKV_NOMEM;
        akvi_strfree(u->allocator, sub);
        at += strlen(name) + 1;
    }
    akv_buffer_free(&names);
    return rc == AKV_OK ? u->base->ops->remove_folder(u->base, path) : rc;
}

/* A new file of the base at `path` with the contents of a settled one. */
static akv_status unsynced_restore(akvi_unsynced *u, akvi_unsynced_file *t, const char *path)
{
    uint32_t      flags = AKV_FILE_WRITE | AKV_FILE_CREATE | AKV_FILE_EXCLUDE;
    akv_file     *file  = NULL;
    akv_file_info info;
    akv_status    rc = unsynced_capture(t);

    if (rc == AKV_OK)
        rc = t->pin->ops->info(t->pin, &info);
    if (rc == AKV_OK)
        rc = u->base->ops->open(u->base, path, flags, &file);
    if (rc == AKV_OK && t->durable.len > 0)
        rc = file->ops->write_at(file, t->durable.data, t->durable.len, 0);
    if (rc == AKV_OK && file->ops->set_mode)
        rc = akvi_file_set_mode(file, info.mode);
    akvi_file_drop(file);
    return rc;
}

static akv_status unsynced_undo_at(akvi_unsynced *u, unsynced_op *op, const char *from,
                                   const char *to)
{
    akv_status rc;

    if (from && to) {
        rc = u->base->ops->rename(u->base, to, from);
        if (rc == AKV_OK && op->child) {
            akvi_strfree(u->allocator, op->child->name);
            op->child->name   = op->from_name;
            op->child->parent = op->from;
            op->from_name     = NULL;
        }
    } else {
        rc = to ? unsynced_remove_tree(u, to) : AKV_OK;
    }
    if (rc == AKV_OK && op->gone_file)
        rc = unsynced_restore(u, op->gone_file, to ? to : from);
    if (rc == AKV_OK && op->gone_folder)
        rc = u->base->ops->make_folder(u->base, to ? to : from);
    return rc;
}

static akv_status unsynced_undo(akvi_unsynced *u, unsynced_op *op)
{
    char      *from = op->from ? unsynced_path(u, op->from, op->from_name) : NULL;
    char      *to   = op->to ? unsynced_path(u, op->to, op->to_name) : NULL;
    akv_status rc   = AKV_NOMEM;

    if ((from || !op->from) && (to || !op->to))
        rc = unsynced_undo_at(u, op, from, to);
    akvi_strfree(u->allocator, from);
    akvi_strfree(u->allocator, to);
    return rc;
}

/* ---------------------------------------------------------------- power loss */

static void unsynced_forget(akvi_unsynced *u)
{
    for (unsynced_op *op = u->ops, *older; op; op = older) {
        older = op->older;
        unsynced_op_free(u, op);
    }
    u->ops = NULL;
    while (u->files)
        unsynced_file_free(u, u->files);
    for (unsynced_folder *f = u->folders, *next; f; f = next) {
        next = f->next;
        akvi_strfree(u->allocator, f->name);
        akvi_free(u->allocator, f, sizeof *f);
    }
    u->folders = NULL;
}

akv_status akvi_unsynced_power_loss(akvi_unsynced *u, uint64_t seed)
{
    akv_status rc = AKV_OK;

    for (akvi_unsynced_file *t = u->files; rc == AKV_OK && t; t = t->next)
        rc = unsynced_settle(u, t, seed);
    unsynced_choose_names(u, seed);
    for (unsynced_op *op = u->ops; rc == AKV_OK && op; op = op->older)
        if (op->dropped)
            rc = unsynced_undo(u, op);
    unsynced_forget(u);
    return rc;
}

void akvi_unsynced_free(akvi_unsynced *u)
{
    if (!u)
        return;
    unsynced_forget(u);
    akvi_free(u->allocator, u, sizeof *u);
}
