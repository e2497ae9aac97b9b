/* SPDX-License-Identifier: MIT
 *
 * fastkv.c: see fastkv.h.
 */
#include "engines/lsm/fastkv.h"

#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/codec/crc.h"
#include "common/doc/reader.h"
#include "common/env/file.h"

#include <stdlib.h>

#define FASTKV_WAL_LEAST  33u /* bytes of a record without key and value */
#define FASTKV_ENTRY_HEAD 22u
#define FASTKV_NAME       128u /* bytes of a file's name, with its end; longer ones are not ours */

typedef struct fastkv_file {
    char     name[FASTKV_NAME];
    uint64_t id;
    unsigned level;
} fastkv_file;

typedef struct fastkv_run {
    const akv_allocator *allocator;
    akv_env             *env;
    const char          *folder;
    akv_job             *job;
    akv_status (*each)(void *user, const lsm_entry *entry);
    void              *user;
    lsm_fastkv_report *report;
    uint64_t           seq;
} fastkv_run;

/* Bytes of a file and how far they were read. */
typedef struct fastkv_bytes {
    const char    *path;
    const uint8_t *data;
    size_t         len, at;
} fastkv_bytes;

static void fastkv_fault(fastkv_run *run, const char *path, uint64_t off, const char *why)
{
    (void)AKV_FAIL_AT(AKV_CORRUPT, path, off, "damaged: %s", why);
    (void)akv_job_fault(run->job);
    run->report->faults++;
}

/* ------------------------------------------------------------------- entries */

/* AKV_OK: it is JSON, AKV_ABSENT: it is not. */
static akv_status fastkv_is_json(akv_slice value)
{
    akv_doc_reader *r;
    akv_doc_event   event;
    akv_status      rc = akvi_doc_reader_json(value, NULL, &r);

    if (rc != AKV_OK)
        return rc;
    do
        rc = akvi_doc_step(r, &event);
    while (rc == AKV_OK);
    akv_doc_reader_free(r);
    return rc == AKV_NOMEM ? rc : rc == AKV_END ? AKV_OK : AKV_ABSENT;
}

static akv_status fastkv_give(fastkv_run *run, akv_slice key, akv_slice value, bool is_delete)
{
    lsm_entry  e  = {.key = key, .value = value, .kind = is_delete ? LSM_DELETE : LSM_PUT};
    akv_status rc = AKV_ABSENT;

    if (!is_delete && value.len > 0)
        rc = fastkv_is_json(value);
    if (rc < 0)
        return rc;
    e.encoding = rc == AKV_OK ? AKV_ENCODING_JSON : AKV_ENCODING_RAW;
    e.seq      = ++run->seq;
    return run->each(run->user, &e);
}

/* ----------------------------------------------------------------------- logs */

/* The record at b->at, which goes past it. NULL, or what is wrong with it. */
static const char *fastkv_record(fastkv_bytes *b, akv_slice *key, akv_slice *value, uint8_t *op)
{
    const uint8_t *p    = b->data + b->at;
    size_t         left = b->len - b->at;
    uint32_t       len, key_len, value_len;

    *key = *value = akv_bytes(NULL, 0);
    if (left < 4 || (len = akvi_get_be32(p)) > left) {
        b->at = b->len;
        return "it ends within a record";
    }
    if (len < FASTKV_WAL_LEAST) {
        b->at = b->len;
        return "a record's length is below that of an empty one; the rest of the file is left out";
    }
    b->at += len;
    if (akvi_crc32(0, p + 4, len - 8) != akvi_get_be32(p + len - 4))
        return "a record's checksum does not match";
    key_len   = akvi_get_be32(p + 21);
    value_len = akvi_get_be32(p + 25);
    if ((uint64_t)key_len + value_len + FASTKV_WAL_LEAST != len)
        return "a record's lengths don't add up";
    if (key_len > LSM_MAX_KEY || value_len > LSM_MAX_VALUE)
        return "a key or value is larger than a store may hold";
    *op    = p[20];
    *key   = akv_bytes(p + 29, key_len);
    *value = akv_bytes(p + 29 + key_len, value_len);
    return NULL;
}

/* After a fault the next record may still be there: that far the length is
 * believed, but not twice. */
static akv_status fastkv_log(fastkv_run *run, fastkv_bytes *b)
{
    bool       was_bad = false;
    akv_status rc      = AKV_OK;

    run->report->logs++;
    while (rc == AKV_OK && b->at < b->len) {
        size_t      off = b->at;
        akv_slice   key, value;
        uint8_t     op  = 0;
        const char *why = fastkv_record(b, &key, &value, &op);

        if (why)
            fastkv_fault(run, b->path, off, why);
        if (why && was_bad)
            break;
        was_bad = why != NULL;
        if (why || op > 1)
            continue;
        run->report->log_records++;
        rc = fastkv_give(run, key, value, op == 1);
    }
    return rc;
}

/* --------------------------------------------------------------------- tables */

static bool fastkv_skip(fastkv_bytes *b, uint64_t n)
{
    if (n > b->len - b->at)
        return false;
    b->at += (size_t)n;
    return true;
}

static bool fastkv_u32(fastkv_bytes *b, uint32_t *v_out)
{
    if (!fastkv_skip(b, 4))
        return false;
    *v_out = akvi_get_be32(b->data + b->at - 4);
    return true;
}

static bool fastkv_skip_counted(fastkv_bytes *b)
{
    uint32_t n;

    return fastkv_u32(b, &n) && fastkv_skip(b, n);
}

/* Up to the first block; how many there are. */
static bool fastkv_table_head(fastkv_bytes *b, uint32_t *blocks_out)
{
    return b->len >= 18 && memcmp(b->data, "FASTKVSST\x01", 10) == 0 && fastkv_skip(b, 18) &&
           fastkv_skip_counted(b) && fastkv_skip_counted(b) && fastkv_skip(b, 1) &&
           fastkv_skip_counted(b) && fastkv_skip(b, 1) && fastkv_u32(b, blocks_out) &&
           *blocks_out <= (b->len - b->at) / 4;
}

static akv_status fastkv_block(fastkv_run *run, const fastkv_bytes *b, size_t off, size_t end)
{
    const uint8_t *block = b->data + off;
    size_t         len   = end - off;
    uint32_t       first = len >= 4 + FASTKV_ENTRY_HEAD ? akvi_get_be32(block + 4) : 0, n;
    akv_status     rc    = AKV_OK;

    if (first < 4 + FASTKV_ENTRY_HEAD || first > len || (first - 4) % FASTKV_ENTRY_HEAD != 0 ||
        akvi_get_be32(block) != len) {
        fastkv_fault(run, b->path, off, "a block's size or first entry is out of range");
        return AKV_OK;
    }
    n = (first - 4) / FASTKV_ENTRY_HEAD;
    for (uint32_t i = 0; rc == AKV_OK && i < n; i++) {
        const uint8_t *head    = block + 4 + (size_t)i * FASTKV_ENTRY_HEAD;
        uint32_t       key_off = akvi_get_be32(head), value_off = akvi_get_be32(head + 6);
        uint16_t       key_len   = akvi_get_be16(head + 4);
        uint32_t       value_len = akvi_get_be32(head + 10);

        if (!akvi_range_ok(key_off, key_len, len) || !akvi_range_ok(value_off, value_len, len) ||
            value_len > LSM_MAX_VALUE) {
            fastkv_fault(run, b->path, (uint64_t)(head - b->data),
                         "an entry's key or value is outside of its block");
            continue;
        }
        run->report->table_entries++;
        rc = fastkv_give(run, akv_bytes(block + key_off, key_len),
                         akv_bytes(block + value_off, value_len), value_len == 0 && value_off == 0);
    }
    return rc;
}

static akv_status fastkv_table(fastkv_run *run, fastkv_bytes *b)
{
    uint32_t       blocks;
    const uint8_t *offs;
    size_t         tail;
    akv_status     rc = AKV_OK;

    run->report->tables++;
    if (!fastkv_table_head(b, &blocks)) {
        fastkv_fault(run, b->path, b->at, "its head is cut, or not that of a version-1 table");
        return AKV_OK;
    }
    tail = b->len - (size_t)blocks * 4;
    offs = b->data + tail;
    for (uint32_t i = 0; rc == AKV_OK && i < blocks; i++) {
        size_t off = akvi_get_be32(offs + (size_t)i * 4);
        size_t end = i + 1 < blocks ? akvi_get_be32(offs + (size_t)i * 4 + 4) : tail;

        if (off < b->at || off > end || end > tail)
            fastkv_fault(run, b->path, (uint64_t)tail + (uint64_t)i * 4,
                         "a block's offset is out of range");
        else
            rc = fastkv_block(run, b, off, end);
    }
    return rc;
}

/* ---------------------------------------------------------------------- files */

typedef akv_status (*fastkv_reader)(fastkv_run *run, fastkv_bytes *bytes);

/* What can't be opened or read is a fault too, and the rest goes on. */
static akv_status fastkv_file_read(fastkv_run *run, const char *folder, const char *name,
                                   fastkv_reader reader)
{
    char        *path   = akvi_path_join(run->allocator, folder, name);
    akv_file    *file   = NULL;
    const void  *data   = NULL;
    size_t       len    = 0;
    bool         mapped = false;
    fastkv_bytes bytes;
    akv_status   rc = path ? AKV_OK : AKV_NOMEM;

    if (rc == AKV_OK) {
        rc = run->env->ops->open(run->env, path, 0, &file);
        if (rc == AKV_OK)
            rc = akvi_load(file, path, run->allocator, &data, &len, &mapped);
        if (rc == AKV_IO) {
            (void)akv_job_fault(run->job);
            run->report->faults++;
            rc = AKV_OK;
        } else if (rc == AKV_OK) {
            bytes = (fastkv_bytes){path, data, len, 0};
            rc    = reader(run, &bytes);
            akvi_unload(file, run->allocator, data, len, mapped);
        }
        if (rc == AKV_OK)
            rc = akv_job_step(run->job, len, len);
    }
    akvi_file_drop(file);
    akvi_strfree(run->allocator, path);
    return rc;
}

typedef struct fastkv_list {
    akv_buffer files; /* of fastkv_file */
    bool (*is_ours)(const char *name, fastkv_file *file);
    akv_status status;
} fastkv_list;

/* The digits at *at as a number; *at goes past them. */
static bool fastkv_digits(const char **at, uint64_t *n_out)
{
    const char *from = *at;

    for (*n_out = 0; **at >= '0' && **at <= '9'; (*at)++)
        if (!akvi_mul_u64(*n_out, 10, n_out) ||
            !akvi_add_u64(*n_out, (uint64_t)(**at - '0'), n_out))
            return false;
    return *at > from;
}

static bool fastkv_is_table(const char *name, fastkv_file *file)
{
    const char *at = name;
    uint64_t    level;

    if (strncmp(at, "sstable_", 8) == 0)
        at += 8;
    else if (strncmp(at, "bulk_", 5) == 0)
        at += 5;
    else
        return false;
    if (!fastkv_digits(&at, &file->id) || strncmp(at, "_L", 2) != 0)
        return false;
    at += 2;
    if (!fastkv_digits(&at, &level) || level > UINT8_MAX || strcmp(at, ".dat") != 0)
        return false;
    file->level = (unsigned)level;
    return true;
}

static bool fastkv_is_log(const char *name, fastkv_file *file)
{
    size_t len = strlen(name);

    (void)file;
    return len > 8 && strncmp(name, "wal_", 4) == 0 && strcmp(name + len - 4, ".log") == 0;
}

static int fastkv_list_one(void *user, const char *name)
{
    fastkv_list *list = user;
    fastkv_file  file = {0};

    if (strlen(name) >= sizeof file.name || !list->is_ours(name, &file))
        return 0;
    memcpy(file.name, name, strlen(name) + 1);
    list->status = akv_buffer_append(&list->files, &file, sizeof file);
    return list->status != AKV_OK;
}

/* Oldest first: deeper levels, then lower ids, then names; logs have neither. */
static int fastkv_older(const void *a, const void *b)
{
    const fastkv_file *x = a, *y = b;

    if (x->level != y->level)
        return x->level > y->level ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The files of one subfolder; AKV_ABSENT when it is not there. */
static akv_status fastkv_list_folder(fastkv_run *run, const char *folder, fastkv_list *list)
{
    akv_status rc = akvi_path_exists(run->env, folder);

    if (rc == AKV_OK)
        rc = run->env->ops->list(run->env, folder, fastkv_list_one, list);
    if (rc == AKV_OK)
        rc = list->status;
    if (rc == AKV_OK && list->files.len > 0)
        qsort(list->files.data, list->files.len / sizeof(fastkv_file), sizeof(fastkv_file),
              fastkv_older);
    return rc;
}

/* ------------------------------------------------------------------- manifest */

/* Which tables count, by the last names of their paths: the paths are absolute,
 * and the folder may have moved. */
static bool fastkv_parse_manifest(fastkv_bytes *b, akv_buffer *names)
{
    uint32_t count, n;

    if (b->len < 14 || memcmp(b->data, "FASTKVMAN\x01", 10) != 0 || !fastkv_skip(b, 10) ||
        !fastkv_u32(b, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const char *path, *name;

        if (!fastkv_skip(b, 11))
            return false;
        n    = akvi_get_be16(b->data + b->at - 2);
        path = name = (const char *)b->data + b->at;
        if (!fastkv_skip(b, n))
            return false;
        for (uint32_t c = 0; c < n; c++)
            if (path[c] == '/' || path[c] == '\\')
                name = path + c + 1;
        if (akv_buffer_append(names, name, (size_t)(path + n - name)) != AKV_OK ||
            akvi_buffer_byte(names, 0) != AKV_OK || !fastkv_skip_counted(b) ||
            !fastkv_skip_counted(b) || !fastkv_skip(b, 16))
            return false;
    }
    return b->at == b->len;
}

static bool fastkv_is_listed(const akv_buffer *names, const char *name)
{
    for (size_t at = 0; at < names->len; at += strlen((const char *)names->data + at) + 1)
        if (strcmp((const char *)names->data + at, name) == 0)
            return true;
    return false;
}

/* The names that the manifest lists, each with its NUL. AKV_ABSENT: there is no
 * manifest, or it says nothing that can be trusted; all tables count then. */
static akv_status fastkv_manifest(fastkv_run *run, akv_buffer *names)
{
    char        *path = akvi_path_join(run->allocator, run->folder, "manifest.dat");
    akv_buffer   file = {NULL, 0, 0, run->allocator};
    fastkv_bytes bytes;
    akv_status   rc = path ? akvi_path_exists(run->env, path) : AKV_NOMEM;

    if (rc == AKV_OK)
        rc = akvi_read_file(run->env, path, UINT32_MAX, &file);
    if (rc == AKV_OK) {
        bytes = (fastkv_bytes){path, file.data, file.len, 0};
        if (!fastkv_parse_manifest(&bytes, names)) {
            fastkv_fault(run, path, bytes.at,
                         "it can't be read as a list of tables; all that are there are read");
            rc = AKV_ABSENT;
        }
    }
    akv_buffer_free(&file);
    akvi_strfree(run->allocator, path);
    return rc;
}

/* A table that is listed must be there. */
static void fastkv_check_listed(fastkv_run *run, const akv_buffer *names, const fastkv_list *list)
{
    const fastkv_file *files = list->files.data;
    size_t             n     = list->files.len / sizeof *files;

    for (size_t at = 0; at < names->len;) {
        const char *name  = (const char *)names->data + at;
        bool        found = false;

        for (size_t i = 0; i < n && !found; i++)
            found = strcmp(files[i].name, name) == 0;
        if (!found)
            fastkv_fault(run, name, AKV_NO_OFFSET, "listed in the manifest, but not there");
        at += strlen(name) + 1;
    }
}

/* ------------------------------------------------------------------------ all */

static akv_status fastkv_part(fastkv_run *run, const char *sub, fastkv_list *list,
                              const akv_buffer *only, fastkv_reader reader)
{
    char              *folder = akvi_path_join(run->allocator, run->folder, sub);
    const fastkv_file *files;
    akv_status         rc = folder ? fastkv_list_folder(run, folder, list) : AKV_NOMEM;

    if (rc == AKV_OK && only)
        fastkv_check_listed(run, only, list);
    files = list->files.data;
    for (size_t i = 0; rc == AKV_OK && i < list->files.len / sizeof *files; i++)
        if (!only || fastkv_is_listed(only, files[i].name))
            rc = fastkv_file_read(run, folder, files[i].name, reader);
    akvi_strfree(run->allocator, folder);
    return rc;
}

akv_status akvi_lsm_fastkv_read(const akv_allocator *allocator, akv_env *env, const char *folder,
                                akv_job *job,
                                akv_status (*each)(void *user, const lsm_entry *entry), void *user,
                                lsm_fastkv_report *report_out)
{
    fastkv_run  run    = {allocator, env, folder, job, each, user, report_out, 0};
    fastkv_list tables = {{NULL, 0, 0, allocator}, fastkv_is_table, AKV_OK};
    fastkv_list logs   = {{NULL, 0, 0, allocator}, fastkv_is_log, AKV_OK};
    akv_buffer  names  = {NULL, 0, 0, allocator};
    akv_status  listed, rc;
    bool        has_tables, has_logs;

    *report_out = (lsm_fastkv_report){0};
    listed      = fastkv_manifest(&run, &names);
    rc          = listed;
    if (listed >= 0)
        rc = fastkv_part(&run, "sstables", &tables, listed == AKV_OK ? &names : NULL, fastkv_table);
    has_tables = rc == AKV_OK;
    if (rc == AKV_OK || rc == AKV_ABSENT)
        rc = fastkv_part(&run, "wal", &logs, NULL, fastkv_log);
    has_logs = rc == AKV_OK;
    if (rc == AKV_ABSENT && (has_tables || has_logs || listed == AKV_OK))
        rc = AKV_OK;
    akv_buffer_free(&names);
    akv_buffer_free(&tables.files);
    akv_buffer_free(&logs.files);
    return rc;
}
