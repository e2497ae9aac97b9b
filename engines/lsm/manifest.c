/* SPDX-License-Identifier: MIT
 *
 * manifest.c: see manifest.h.
 *
 * A manifest is a log (wal.h) whose records are edits, each synced before it
 * counts. The first holds a whole state. A new manifest is made and synced
 * before CURRENT names it, so at any moment CURRENT names one that is whole.
 */
#include "engines/lsm/manifest.h"

#include "common/base/arena.h"
#include "common/base/buffer.h"
#include "common/base/mem.h"
#include "common/codec/crc.h"
#include "common/env/file.h"
#include "common/env/probe.h"
#include "common/map/hashmap.h"
#include "engines/lsm/edit.h"
#include "engines/lsm/format.h"
#include "engines/lsm/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define MANIFEST_COMPARATOR "bytewise"
#define MANIFEST_RESERVE    (64u * 1024u)
#define MANIFEST_CURRENT    64u /* bytes of CURRENT at most */
#define MANIFEST_TRIES      10  /* CURRENT read anew when its manifest goes away */

struct lsm_manifest {
    const akv_allocator *allocator;
    lsm_wal             *log;
    uint64_t             number;
    akv_buffer           edit;
    bool                 failed;
};

static uint64_t manifest_higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static char *manifest_path(const akv_allocator *allocator, const char *folder, lsm_file_type type,
                           uint64_t number)
{
    char name[LSM_NAME_MAX];

    akvi_lsm_file_name(type, number, name);
    return akvi_path_join(allocator, folder, name);
}

/* ------------------------------------------------------------------- CURRENT */

/* "MANIFEST-000009 1a2b3c4d\n": the checksum is that of the name. */
static void manifest_current_text(uint64_t number, char out[MANIFEST_CURRENT])
{
    char name[LSM_NAME_MAX];

    akvi_lsm_file_name(LSM_FILE_MANIFEST, number, name);
    snprintf(out, MANIFEST_CURRENT, "%s %08" PRIx32 "\n", name, akvi_crc32c(0, name, strlen(name)));
}

static akv_status manifest_set_current(const akv_allocator *allocator, akv_env *env,
                                       const char *folder, uint64_t number)
{
    char      *path = manifest_path(allocator, folder, LSM_FILE_CURRENT, 0);
    char       text[MANIFEST_CURRENT];
    akv_status rc;

    manifest_current_text(number, text);
    rc = path ? akvi_write_file(env, path, text, strlen(text)) : AKV_NOMEM;
    akvi_strfree(allocator, path);
    return rc;
}

/* The number in CURRENT's text. */
static bool manifest_parse_current(const akv_buffer *text, uint64_t *number_out)
{
    char   name[LSM_NAME_MAX], again[MANIFEST_CURRENT];
    size_t len = 0;

    while (len < text->len && len + 1 < sizeof name && ((const char *)text->data)[len] != ' ')
        len++;
    if (len > 0)
        memcpy(name, text->data, len);
    name[len] = '\0';
    if (akvi_lsm_file_parse(name, number_out) != LSM_FILE_MANIFEST)
        return false;
    manifest_current_text(*number_out, again);
    return akvi_equal(text->data, text->len, again, strlen(again));
}

/* AKV_ABSENT when there is none. */
static akv_status manifest_get_current(const akv_allocator *allocator, akv_env *env,
                                       const char *folder, uint64_t *number_out)
{
    char      *path = manifest_path(allocator, folder, LSM_FILE_CURRENT, 0);
    akv_buffer text = {NULL, 0, 0, allocator};
    akv_status rc   = path ? akvi_path_exists(env, path) : AKV_NOMEM;

    if (rc == AKV_OK)
        rc = akvi_read_file(env, path, MANIFEST_CURRENT, &text);
    if (rc == AKV_TOO_BIG || (rc == AKV_OK && !manifest_parse_current(&text, number_out))) {
        akv_engine_recovered();
        rc = AKV_FAIL_AT(AKV_CORRUPT, path, 0,
                         "it does not name a manifest; `anykv lsm repair` rebuilds it");
    }
    akv_buffer_free(&text);
    akvi_strfree(allocator, path);
    return rc;
}

/* ----------------------------------------------------------------- reading */

/* What reads a manifest: edit by edit, and the state so far. */
typedef struct manifest_reader {
    const akv_allocator *allocator;
    const char          *path;
    lsm_edit_reader      edit;
    uint64_t             edits;
    lsm_manifest_state  *state; /* NULL: for walk */
    akvi_hashmap         index; /* numbers of tables, to their place in state->tables */
    akv_status (*each)(void *user, uint64_t offset, const lsm_edit *edit);
    void *user;
} manifest_reader;

static akv_status manifest_damaged(const manifest_reader *r, uint64_t off, const char *why)
{
    return AKV_FAIL_AT(AKV_CORRUPT, r->path, off,
                       "damaged manifest: %s; `anykv lsm repair` rebuilds it", why);
}

static akv_status manifest_check_first(const manifest_reader *r, uint64_t off)
{
    const lsm_edit_first *first = &r->edit.first;
    char                  text[65];

    if (!first->is_there)
        return r->edits > 0 ? AKV_OK : manifest_damaged(r, off, "its first edit is missing");
    if (r->edits > 0)
        return manifest_damaged(r, off, "a second first edit");
    if (!akvi_equal(first->comparator.data, first->comparator.len, MANIFEST_COMPARATOR,
                    strlen(MANIFEST_COMPARATOR))) {
        snprintf(text, sizeof text, "%.*s",
                 (int)(first->comparator.len < 64 ? first->comparator.len : 64),
                 (const char *)first->comparator.data);
        return AKV_FAIL_AT(AKV_VERSION, r->path, off,
                           "keys are ordered by '%s'; this library orders by '%s'", text,
                           MANIFEST_COMPARATOR);
    }
    if (first->incompatible != 0)
        return AKV_FAIL_AT(AKV_VERSION, r->path, off,
                           "the store uses features unknown to this library (bits 0x%llx)",
                           (unsigned long long)first->incompatible);
    return AKV_OK;
}

static akv_status manifest_remove(manifest_reader *r, const lsm_table_ref *t, uint64_t off)
{
    lsm_manifest_state *s = r->state;
    akvi_map_value      at, *moved;

    if (!akvi_hashmap_remove(&r->index, akv_bytes(&t->number, sizeof t->number), &at) ||
        s->tables[at.u64].level != t->level)
        return manifest_damaged(r, off, "an edit removes a table that is not there");
    s->tables_n--;
    if (at.u64 == s->tables_n)
        return AKV_OK;
    s->tables[at.u64] = s->tables[s->tables_n];
    moved = akvi_hashmap_find(&r->index, akv_bytes(&s->tables[at.u64].number, sizeof(uint64_t)));
    if (moved)
        moved->u64 = at.u64;
    return AKV_OK;
}

static akv_status manifest_reserve(manifest_reader *r)
{
    lsm_manifest_state *s   = r->state;
    size_t              cap = s->tables_cap ? s->tables_cap * 2 : 64, old_size, size;
    lsm_table_meta     *grown;

    if (s->tables_n < s->tables_cap)
        return AKV_OK;
    old_size = s->tables_cap * sizeof *grown;
    if (!akvi_mul_size(cap, sizeof *grown, &size))
        return AKV_FAIL_NOMEM(SIZE_MAX);
    grown = akvi_resize(r->allocator, s->tables, old_size, size);
    if (!grown)
        return AKV_NOMEM;
    s->tables     = grown;
    s->tables_cap = cap;
    return AKV_OK;
}

static akv_status manifest_add(manifest_reader *r, const lsm_table_meta *t, uint64_t off)
{
    lsm_manifest_state *s      = r->state;
    uint64_t           *number = akvi_arena_alloc(s->arena, sizeof *number);
    akvi_map_value     *at;
    lsm_table_meta     *to;
    bool                is_new;

    if (!number || manifest_reserve(r) != AKV_OK)
        return AKV_NOMEM;
    *number = t->number;
    at      = akvi_hashmap_add(&r->index, akv_bytes(number, sizeof *number), &is_new);
    if (!at)
        return AKV_NOMEM;
    if (!is_new)
        return manifest_damaged(r, off, "an edit adds a table that is there");
    at->u64           = s->tables_n;
    to                = &s->tables[s->tables_n];
    *to               = *t;
    to->smallest.data = akvi_arena_copy(s->arena, t->smallest.data, t->smallest.len);
    to->largest.data  = akvi_arena_copy(s->arena, t->largest.data, t->largest.len);
    if (!to->smallest.data || !to->largest.data)
        return AKV_NOMEM;
    s->tables_n++;
    s->next_file = manifest_higher(s->next_file, t->number + 1);
    s->last_seq  = manifest_higher(s->last_seq, t->largest_seq);
    return AKV_OK;
}

static akv_status manifest_apply(manifest_reader *r, uint64_t off)
{
    const lsm_edit     *e  = &r->edit.edit;
    lsm_manifest_state *s  = r->state;
    akv_status          rc = AKV_OK;

    if (r->edit.first.is_there)
        s->epoch = r->edit.first.epoch;
    s->log_number = manifest_higher(s->log_number, e->log_number);
    s->next_file  = manifest_higher(s->next_file, e->next_file);
    s->last_seq   = manifest_higher(s->last_seq, e->last_seq);
    for (size_t i = 0; rc == AKV_OK && i < e->removed_n; i++)
        rc = manifest_remove(r, &e->removed[i], off);
    for (size_t i = 0; rc == AKV_OK && i < e->added_n; i++)
        rc = manifest_add(r, &e->added[i], off);
    return rc;
}

static akv_status manifest_see(void *user, akv_slice record, uint64_t off)
{
    manifest_reader *r = user;
    const char      *why;
    akv_status       rc = akvi_lsm_edit_get(record, &r->edit, &why);

    if (rc == AKV_CORRUPT)
        return manifest_damaged(r, off, why);
    if (rc == AKV_VERSION)
        return AKV_FAIL_AT(rc, r->path, off, "%s", why);
    if (rc == AKV_OK)
        rc = manifest_check_first(r, off);
    if (rc == AKV_OK)
        rc = r->state ? manifest_apply(r, off) : r->each(r->user, off, &r->edit.edit);
    r->edits++;
    return rc;
}

static akv_status manifest_read_log(manifest_reader *r, akv_env *env, uint64_t number)
{
    lsm_wal_report report;
    akv_status     rc;

    r->edit.added.allocator = r->edit.removed.allocator = r->allocator;
    akvi_hashmap_init(&r->index, r->allocator, 0);
    rc = akvi_lsm_log_read(r->allocator, env, r->path, LSM_LOG_MANIFEST, number, LSM_RECOVERY_TAIL,
                           manifest_see, r, &report);
    if (rc == AKV_OK && r->edits == 0)
        rc = manifest_damaged(r, 0, "it holds no whole edit");
    akvi_lsm_edit_reader_free(&r->edit);
    akvi_hashmap_free(&r->index);
    return rc;
}

akv_status akvi_lsm_manifest_load(const akv_allocator *allocator, akv_env *env, const char *folder,
                                  uint64_t number, lsm_manifest_state *state_out)
{
    char           *path = manifest_path(allocator, folder, LSM_FILE_MANIFEST, number);
    manifest_reader r    = {.allocator = allocator, .path = path, .state = state_out};
    akv_status      rc   = path ? AKV_OK : AKV_NOMEM;

    *state_out       = (lsm_manifest_state){.manifest = number, .next_file = number + 1};
    state_out->arena = akvi_alloc(allocator, sizeof *state_out->arena);
    if (state_out->arena)
        akvi_arena_init(state_out->arena, allocator);
    else
        rc = AKV_NOMEM;
    if (rc == AKV_OK)
        rc = manifest_read_log(&r, env, number);
    akvi_strfree(allocator, path);
    if (rc != AKV_OK)
        akvi_lsm_manifest_state_free(allocator, state_out);
    return rc;
}

akv_status akvi_lsm_manifest_read(const akv_allocator *allocator, akv_env *env, const char *folder,
                                  lsm_manifest_state *state_out)
{
    uint64_t        number = 0, before = 0;
    akvi_call_state held;
    akv_status      rc      = AKV_IO;
    bool            is_gone = true;

    *state_out = (lsm_manifest_state){0};
    /* A writer in another process may replace CURRENT and remove the manifest
     * that it named in the moment between. */
    for (int tries = 0; is_gone && tries < MANIFEST_TRIES; tries++) {
        before = number;
        rc     = manifest_get_current(allocator, env, folder, &number);
        if (rc != AKV_OK)
            return rc;
        akvi_probe_begin(&held);
        rc      = akvi_lsm_manifest_load(allocator, env, folder, number, state_out);
        is_gone = rc == AKV_IO && akvi_pending_error()->os_errno == ENOENT;
        akvi_probe_end(&held, rc != AKV_OK && !is_gone);
        if (is_gone && number == before)
            break;
    }
    if (is_gone)
        rc = AKV_FAIL_AT(AKV_CORRUPT, folder, AKV_NO_OFFSET,
                         "CURRENT names MANIFEST-%06llu, which is not there; `anykv lsm repair` "
                         "rebuilds it",
                         (unsigned long long)number);
    return rc;
}

void akvi_lsm_manifest_state_free(const akv_allocator *allocator, lsm_manifest_state *state)
{
    akvi_free(allocator, state->tables, state->tables_cap * sizeof *state->tables);
    if (state->arena) {
        akvi_arena_free(state->arena);
        akvi_free(allocator, state->arena, sizeof *state->arena);
    }
    *state = (lsm_manifest_state){0};
}

akv_status akvi_lsm_manifest_walk(const akv_allocator *allocator, akv_env *env, const char *path,
                                  akv_status (*each)(void *user, uint64_t offset,
                                                     const lsm_edit *edit),
                                  void *user)
{
    manifest_reader r = {.allocator = allocator, .path = path, .each = each, .user = user};
    uint64_t        number;

    if (akvi_lsm_file_parse(akvi_path_name(path), &number) != LSM_FILE_MANIFEST)
        return AKV_FAIL_AT(AKV_MISUSE, path, AKV_NO_OFFSET, "not the name of a manifest");
    return manifest_read_log(&r, env, number);
}

/* ----------------------------------------------------------------- writing */

static akv_status manifest_write(lsm_manifest *m, const lsm_edit_first *first, const lsm_edit *edit)
{
    akv_slice  record;
    akv_status rc;

    akvi_buffer_clear(&m->edit);
    rc     = akvi_lsm_edit_put(&m->edit, first, edit);
    record = akvi_buffer_slice(&m->edit);
    if (rc == AKV_OK)
        rc = akvi_lsm_wal_append(m->log, &record, 1);
    if (rc == AKV_OK)
        rc = akvi_lsm_wal_sync(m->log);
    if (rc == AKV_OK)
        akvi_lsm_wal_mark(m->log);
    m->failed = rc != AKV_OK;
    return rc;
}

/* The manifest's file with the state in it, not yet current. */
static akv_status manifest_make(lsm_manifest *m, akv_env *env, const char *path,
                                const lsm_manifest_state *state)
{
    const lsm_edit_first first = {.epoch      = state->epoch,
                                  .comparator = akv_str(MANIFEST_COMPARATOR)};
    const lsm_edit       whole = {.log_number = state->log_number,
                                  .next_file  = state->next_file,
                                  .last_seq   = state->last_seq,
                                  .added      = state->tables,
                                  .added_n    = state->tables_n};
    akv_status rc = akvi_lsm_log_create(m->allocator, env, path, LSM_LOG_MANIFEST, m->number, NULL,
                                        MANIFEST_RESERVE, &m->log);

    return rc == AKV_OK ? manifest_write(m, &first, &whole) : rc;
}

/* A number that no manifest has: one that a crash left may have the next. */
static akv_status manifest_number(const akv_allocator *allocator, akv_env *env, const char *folder,
                                  uint64_t *number, char **path_out)
{
    for (;; ++*number) {
        akv_status rc;

        *path_out = manifest_path(allocator, folder, LSM_FILE_MANIFEST, *number);
        rc        = *path_out ? akvi_path_exists(env, *path_out) : AKV_NOMEM;
        if (rc == AKV_ABSENT)
            return AKV_OK;
        akvi_strfree(allocator, *path_out);
        *path_out = NULL;
        if (rc != AKV_OK)
            return rc;
    }
}

/* Make it the current one. Should CURRENT name it though that failed, nobody
 * knows which one a loss of power would leave. */
static akv_status manifest_switch(const akv_allocator *allocator, akv_env *env, const char *folder,
                                  uint64_t number)
{
    akv_status      rc = manifest_set_current(allocator, env, folder, number);
    akvi_call_state held;
    uint64_t        named = 0;

    if (rc == AKV_OK)
        return rc;
    akvi_probe_begin(&held);
    if (manifest_get_current(allocator, env, folder, &named) < 0 || named == number)
        rc = AKV_POISONED;
    akvi_probe_end(&held, false);
    return rc;
}

akv_status akvi_lsm_manifest_begin(const akv_allocator *allocator, akv_env *env, const char *folder,
                                   lsm_manifest_state *state, lsm_manifest **manifest_out)
{
    lsm_manifest *m    = akvi_zalloc(allocator, sizeof *m);
    char         *path = NULL;
    akv_status    rc;

    *manifest_out = NULL;
    if (!m)
        return AKV_NOMEM;
    m->allocator      = allocator;
    m->edit.allocator = allocator;
    m->number         = manifest_higher(state->next_file, 1);
    rc                = manifest_number(allocator, env, folder, &m->number, &path);
    if (rc == AKV_OK) {
        state->next_file = m->number + 1;
        rc               = manifest_make(m, env, path, state);
    }
    if (rc == AKV_OK)
        rc = manifest_switch(allocator, env, folder, m->number);
    if (rc == AKV_OK) {
        state->manifest = m->number;
        *manifest_out   = m;
    } else {
        (void)akvi_lsm_manifest_close(m);
        if (path && rc != AKV_POISONED)
            (void)env->ops->remove(env, path);
    }
    akvi_strfree(allocator, path);
    return rc;
}

akv_status akvi_lsm_manifest_create(const akv_allocator *allocator, akv_env *env,
                                    const char *folder, uint64_t epoch)
{
    lsm_manifest_state state = {.epoch = epoch, .next_file = 1};
    lsm_manifest      *m;
    akv_status         rc = akvi_lsm_manifest_begin(allocator, env, folder, &state, &m);

    return rc == AKV_OK ? akvi_lsm_manifest_close(m) : rc;
}

akv_status akvi_lsm_manifest_append(lsm_manifest *m, const lsm_edit *edit)
{
    if (m->failed)
        return AKV_FAIL(AKV_POISONED, "an earlier edit of this manifest failed: begin another");
    return manifest_write(m, NULL, edit);
}

uint64_t akvi_lsm_manifest_size(const lsm_manifest *m)
{
    return akvi_lsm_wal_size(m->log);
}

uint64_t akvi_lsm_manifest_number(const lsm_manifest *m)
{
    return m->number;
}

akv_status akvi_lsm_manifest_close(lsm_manifest *m)
{
    akv_status rc;

    if (!m)
        return AKV_OK;
    rc = akvi_lsm_wal_close(m->log);
    akv_buffer_free(&m->edit);
    akvi_free(m->allocator, m, sizeof *m);
    return rc;
}
