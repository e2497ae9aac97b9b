/* SPDX-License-Identifier: MIT
 *
 * peer_cdb.c: tinycdb, with the object stored with every key, and with each
 * object once, under its number, which a get then looks up.
 */
#include "bench/bench.h"

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct cdb_store {
    struct cdb cdb;
    int        fd;
    bool       shared;
} cdb_store;

static const char *cdb_path(const char *folder)
{
    static char path[4096];

    snprintf(path, sizeof path, "%s/store.cdb", folder);
    return path;
}

static void cdb_check(int rc, const char *what)
{
    if (rc < 0)
        bench_die(what, strerror(errno));
}

/* The key of an object: no key of the data is that short. */
static unsigned cdb_object_key(uint32_t id, char to[5])
{
    to[0] = 'o';
    memcpy(to + 1, &id, sizeof id);
    return 5;
}

static int cdb_build(const char *folder, const bench_data *data, bool shared)
{
    struct cdb_make make;
    int             fd = open(cdb_path(folder), O_RDWR | O_CREAT | O_TRUNC, 0644);
    char            name[5];

    cdb_check(fd, "open");
    cdb_check(cdb_make_start(&make, fd), "cdb_make_start");
    for (uint32_t i = 0; shared && i < data->objects_n; i++)
        cdb_check(cdb_make_add(&make, name, cdb_object_key(i, name), data->objects[i].data,
                               (unsigned)data->objects[i].len),
                  "cdb_make_add");
    for (size_t i = 0; i < data->n; i++) {
        uint32_t           id     = data->object_of[i];
        const bench_bytes *object = &data->objects[id];
        unsigned           name_n = cdb_object_key(id, name);

        cdb_check(cdb_make_add(&make, data->keys[i].data, (unsigned)data->keys[i].len,
                               shared ? (const void *)name : object->data,
                               shared ? name_n : (unsigned)object->len),
                  "cdb_make_add");
    }
    cdb_check(cdb_make_finish(&make), "cdb_make_finish");
    cdb_check(fsync(fd), "fsync");
    close(fd);
    return 0;
}

static int cdb_build_inline(const char *folder, const bench_data *data)
{
    return cdb_build(folder, data, false);
}

static int cdb_build_shared(const char *folder, const bench_data *data)
{
    return cdb_build(folder, data, true);
}

static int cdb_open(const char *folder, bool shared, void **store_out)
{
    cdb_store *s = calloc(1, sizeof *s);

    if (!s)
        bench_die("cdb", "no memory");
    s->shared = shared;
    s->fd     = open(cdb_path(folder), O_RDONLY);
    cdb_check(s->fd, "open");
    cdb_check(cdb_init(&s->cdb, s->fd), "cdb_init");
    *store_out = s;
    return 0;
}

static int cdb_open_inline(const char *folder, void **store_out)
{
    return cdb_open(folder, false, store_out);
}

static int cdb_open_shared(const char *folder, void **store_out)
{
    return cdb_open(folder, true, store_out);
}

static void cdb_close(void *store)
{
    cdb_store *s = store;

    cdb_free(&s->cdb);
    close(s->fd);
    free(s);
}

static int cdb_value(cdb_store *s, const void *key, size_t len, bench_bytes *value_out)
{
    int rc = cdb_find(&s->cdb, key, (unsigned)len);

    cdb_check(rc, "cdb_find");
    if (rc == 0)
        return 1;
    value_out->data = cdb_getdata(&s->cdb);
    value_out->len  = cdb_datalen(&s->cdb);
    return 0;
}

static int cdb_lookup(void *store, bench_bytes key, bench_bytes *value_out)
{
    cdb_store *s  = store;
    int        rc = cdb_value(s, key.data, key.len, value_out);

    if (rc == 0 && s->shared)
        rc = cdb_value(s, value_out->data, value_out->len, value_out);
    return rc;
}

const bench_peer bench_cdb_inline = {
    .name  = "tinycdb, inline",
    .what  = "the object with every key",
    .build = cdb_build_inline,
    .open  = cdb_open_inline,
    .close = cdb_close,
    .get   = cdb_lookup,
};

const bench_peer bench_cdb_shared = {
    .name  = "tinycdb, objects once",
    .what  = "key to the object's key, a second lookup",
    .build = cdb_build_shared,
    .open  = cdb_open_shared,
    .close = cdb_close,
    .get   = cdb_lookup,
};
