/* SPDX-License-Identifier: MIT
 *
 * edit.h: edits of the manifest as bytes; layout in format.h.
 */
#ifndef AKVI_LSM_EDIT_H
#define AKVI_LSM_EDIT_H

#include "engines/lsm/manifest.h"

/* What only a manifest's first edit has. */
typedef struct lsm_edit_first {
    uint64_t  epoch;
    uint64_t  incompatible; /* feature bits */
    akv_slice comparator;
    bool      is_there; /* epoch and comparator */
} lsm_edit_first;

/* Append to `out`; `first` NULL: not the first. */
AKVI_MUST_USE akv_status akvi_lsm_edit_put(akv_buffer *out, const lsm_edit_first *first,
                                           const lsm_edit *edit);

/* An edit taken apart. Zeroed before its first use; used again for the next
 * edit, whose arrays take the place of this one's. */
typedef struct lsm_edit_reader {
    lsm_edit       edit; /* keys borrowed from the bytes */
    lsm_edit_first first;
    akv_buffer     added, removed; /* of lsm_table_meta, of lsm_table_ref */
} lsm_edit_reader;

/* AKV_OK, AKV_CORRUPT, AKV_VERSION; *why_out says what is wrong, nothing is
 * recorded. AKV_NOMEM is recorded. */
AKVI_MUST_USE akv_status akvi_lsm_edit_get(akv_slice bytes, lsm_edit_reader *r,
                                           const char **why_out);
void                     akvi_lsm_edit_reader_free(lsm_edit_reader *r);

#endif
