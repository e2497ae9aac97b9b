/* SPDX-License-Identifier: MIT
 *
 * manifest.h: which tables make up the store (format.h): a log of edits, and
 * the state that they add up to. CURRENT names the manifest in use.
 */
#ifndef AKVI_LSM_MANIFEST_H
#define AKVI_LSM_MANIFEST_H

#include "engines/lsm/entry.h"

#define LSM_LEVELS 7u

/* A table as the manifest describes it. */
typedef struct lsm_table_meta {
    uint64_t  number, size;
    uint64_t  entries, deletes, ranges, raw_bytes;
    uint64_t  smallest_seq, largest_seq;
    akv_slice smallest, largest; /* keys */
    bool      unbounded;         /* a range in it goes to the end of all keys */
    uint8_t   level;
} lsm_table_meta;

typedef struct lsm_table_ref {
    uint64_t number;
    uint8_t  level;
} lsm_table_ref;

/* What changes in one step. Zero is "as it was" for the three numbers. */
typedef struct lsm_edit {
    uint64_t              log_number; /* logs below it are in tables */
    uint64_t              next_file;  /* no file has this number or a higher one */
    uint64_t              last_seq;   /* the highest in any table */
    const lsm_table_meta *added;
    size_t                added_n;
    const lsm_table_ref  *removed;
    size_t                removed_n;
} lsm_edit;

/* What all edits add up to. */
typedef struct lsm_manifest_state {
    uint64_t        manifest; /* number of the manifest file */
    uint64_t        log_number, next_file, last_seq;
    uint64_t        epoch;  /* random, for life: whose store this is */
    lsm_table_meta *tables; /* in no order */
    size_t          tables_n, tables_cap;
    /* keys' bytes */
    struct akvi_arena *arena;
} lsm_manifest_state;

typedef struct lsm_manifest lsm_manifest;

/* Make the first manifest of a new store in `folder`, durably. */
AKVI_MUST_USE akv_status akvi_lsm_manifest_create(const akv_allocator *allocator, akv_env *env,
                                                  const char *folder, uint64_t epoch);
/* Read the store's state: AKV_ABSENT when there is no CURRENT, AKV_CORRUPT with
 * file and offset, AKV_VERSION. A torn last edit is left out: it was never
 * acknowledged. */
AKVI_MUST_USE akv_status akvi_lsm_manifest_read(const akv_allocator *allocator, akv_env *env,
                                                const char *folder, lsm_manifest_state *state_out);
/* The same of the manifest with a number, whatever CURRENT names. */
AKVI_MUST_USE akv_status akvi_lsm_manifest_load(const akv_allocator *allocator, akv_env *env,
                                                const char *folder, uint64_t number,
                                                lsm_manifest_state *state_out);
void akvi_lsm_manifest_state_free(const akv_allocator *allocator, lsm_manifest_state *state);
/* Begin a new manifest that holds `state` whole, and make it the current one,
 * durably: at every open for writing, and when the old one has grown. Its
 * number is state->next_file, or a higher one, and state->next_file is raised
 * above it. After a failure the manifest before is still the current one, unless
 * it is AKV_POISONED: then nobody knows, and no edit may go to either. */
AKVI_MUST_USE akv_status akvi_lsm_manifest_begin(const akv_allocator *allocator, akv_env *env,
                                                 const char *folder, lsm_manifest_state *state,
                                                 lsm_manifest **manifest_out);
/* Append an edit and sync. After a failure the manifest takes no more: begin
 * another. */
AKVI_MUST_USE akv_status akvi_lsm_manifest_append(lsm_manifest *m, const lsm_edit *edit);
uint64_t                 akvi_lsm_manifest_size(const lsm_manifest *m);
uint64_t                 akvi_lsm_manifest_number(const lsm_manifest *m);
akv_status               akvi_lsm_manifest_close(lsm_manifest *m); /* frees; takes NULL */

/* Raw, for dump: each edit with its offset. */
AKVI_MUST_USE akv_status akvi_lsm_manifest_walk(
    const akv_allocator *allocator, akv_env *env, const char *path,
    akv_status (*each)(void *user, uint64_t offset, const lsm_edit *edit), void *user);

/* Names inside the store's folder. `out` has LSM_NAME_MAX bytes. */
#define LSM_NAME_MAX 32u
typedef enum lsm_file_type {
    LSM_FILE_OTHER,
    LSM_FILE_WAL,      /* 000007.wal */
    LSM_FILE_TABLE,    /* 000008.sst */
    LSM_FILE_MANIFEST, /* MANIFEST-000009 */
    LSM_FILE_CURRENT,
    LSM_FILE_LOCK
} lsm_file_type;
void          akvi_lsm_file_name(lsm_file_type type, uint64_t number, char *out);
lsm_file_type akvi_lsm_file_parse(const char *name, uint64_t *number_out);

#endif
