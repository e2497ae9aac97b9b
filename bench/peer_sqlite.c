/* SPDX-License-Identifier: MIT
 *
 * peer_sqlite.c: SQLite with one table of keys and one of objects.
 */
#include "bench/bench.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

typedef struct sqlite_store {
    sqlite3      *db;
    sqlite3_stmt *get, *scan, *range;
} sqlite_store;

static void sqlite_check(sqlite3 *db, int rc, const char *what)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
        bench_die(what, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

static const char *sqlite_path(const char *folder)
{
    static char path[4096];

    snprintf(path, sizeof path, "%s/store.sqlite", folder);
    return path;
}

static void sqlite_exec(sqlite3 *db, const char *sql)
{
    sqlite_check(db, sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
}

static int sqlite_build(const char *folder, const bench_data *data)
{
    sqlite3      *db;
    sqlite3_stmt *object, *key;

    sqlite_check(NULL, sqlite3_open(sqlite_path(folder), &db), "sqlite3_open");
    sqlite_exec(db, "CREATE TABLE objects(id INTEGER PRIMARY KEY, value BLOB)");
    sqlite_exec(db, "CREATE TABLE keys(key BLOB PRIMARY KEY, id INTEGER) WITHOUT ROWID");
    sqlite_exec(db, "BEGIN");
    sqlite3_prepare_v2(db, "INSERT INTO objects VALUES(?, ?)", -1, &object, NULL);
    sqlite3_prepare_v2(db, "INSERT INTO keys VALUES(?, ?)", -1, &key, NULL);
    for (size_t i = 0; i < data->objects_n; i++) {
        sqlite3_bind_int64(object, 1, (sqlite3_int64)i);
        sqlite3_bind_blob(object, 2, data->objects[i].data, (int)data->objects[i].len, NULL);
        sqlite_check(db, sqlite3_step(object), "insert");
        sqlite3_reset(object);
    }
    for (size_t i = 0; i < data->n; i++) {
        sqlite3_bind_blob(key, 1, data->keys[i].data, (int)data->keys[i].len, NULL);
        sqlite3_bind_int64(key, 2, data->object_of[i]);
        sqlite_check(db, sqlite3_step(key), "insert");
        sqlite3_reset(key);
    }
    sqlite3_finalize(object);
    sqlite3_finalize(key);
    sqlite_exec(db, "COMMIT");
    sqlite_check(db, sqlite3_close(db), "sqlite3_close");
    return 0;
}

static int sqlite_open(const char *folder, void **store_out)
{
    sqlite_store *s = calloc(1, sizeof *s);

    if (!s)
        bench_die("sqlite", "no memory");
    sqlite_check(NULL, sqlite3_open_v2(sqlite_path(folder), &s->db, SQLITE_OPEN_READONLY, NULL),
                 "sqlite3_open");
    sqlite_exec(s->db, "PRAGMA mmap_size=17179869184");
    sqlite_exec(s->db, "PRAGMA cache_size=-262144");
    sqlite_exec(s->db, "BEGIN");
    sqlite3_prepare_v2(s->db,
                       "SELECT o.value FROM keys k JOIN objects o ON o.id = k.id WHERE k.key = ?",
                       -1, &s->get, NULL);
    sqlite3_prepare_v2(
        s->db, "SELECT k.key, o.value FROM keys k JOIN objects o ON o.id = k.id ORDER BY k.key", -1,
        &s->scan, NULL);
    sqlite3_prepare_v2(s->db,
                       "SELECT k.key, o.value FROM keys k JOIN objects o ON o.id = k.id "
                       "WHERE k.key >= ? AND k.key < ? ORDER BY k.key",
                       -1, &s->range, NULL);
    *store_out = s;
    return 0;
}

static void sqlite_close(void *store)
{
    sqlite_store *s = store;

    sqlite3_finalize(s->get);
    sqlite3_finalize(s->scan);
    sqlite3_finalize(s->range);
    sqlite3_close(s->db);
    free(s);
}

static int sqlite_get(void *store, bench_bytes key, bench_bytes *value_out)
{
    sqlite_store *s = store;
    int           rc;

    sqlite3_reset(s->get);
    sqlite3_bind_blob(s->get, 1, key.data, (int)key.len, NULL);
    rc = sqlite3_step(s->get);
    if (rc == SQLITE_DONE)
        return 1;
    sqlite_check(s->db, rc, "get");
    value_out->data = sqlite3_column_blob(s->get, 0);
    value_out->len  = (size_t)sqlite3_column_bytes(s->get, 0);
    return 0;
}

static int sqlite_rows(sqlite_store *s, sqlite3_stmt *rows, uint64_t *entries_out, uint64_t *sum_io)
{
    int rc;

    *entries_out = 0;
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        for (int i = 0; i < 2; i++)
            *sum_io +=
                bench_touch(sqlite3_column_blob(rows, i), (size_t)sqlite3_column_bytes(rows, i));
        ++*entries_out;
    }
    sqlite_check(s->db, rc, "scan");
    sqlite3_reset(rows);
    return 0;
}

static int sqlite_scan(void *store, uint64_t *entries_out, uint64_t *sum_io)
{
    return sqlite_rows(store, ((sqlite_store *)store)->scan, entries_out, sum_io);
}

static int sqlite_prefix(void *store, bench_bytes prefix, uint64_t *entries_out, uint64_t *sum_io)
{
    sqlite_store *s = store;
    uint8_t       upper[64];

    if (prefix.len == 0 || prefix.len > sizeof upper)
        bench_die("sqlite", "a prefix is too long");
    memcpy(upper, prefix.data, prefix.len);
    upper[prefix.len - 1]++; /* keys are text: never 0xff */
    sqlite3_bind_blob(s->range, 1, prefix.data, (int)prefix.len, NULL);
    sqlite3_bind_blob(s->range, 2, upper, (int)prefix.len, SQLITE_TRANSIENT);
    return sqlite_rows(s, s->range, entries_out, sum_io);
}

const bench_peer bench_sqlite = {
    .name   = "SQLite, objects once",
    .what   = "WITHOUT ROWID keys joined with objects; mmap; one transaction",
    .build  = sqlite_build,
    .open   = sqlite_open,
    .close  = sqlite_close,
    .get    = sqlite_get,
    .scan   = sqlite_scan,
    .prefix = sqlite_prefix,
};
