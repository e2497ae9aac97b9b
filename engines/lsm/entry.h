/* SPDX-License-Identifier: MIT
 *
 * entry.h: what a store is made of, wherever it lies: entries, their order, and
 * the cursor by which memtables, tables and merges of them are walked.
 *
 * An entry is what one operation did to a key. It has a sequence number, which
 * no other entry of the store has; of entries with one key the highest counts.
 * Entries are ordered by key (memcmp), then by falling sequence number: so the
 * first entry at or after (key, seq) is what a reader as of `seq` sees.
 */
#ifndef AKVI_LSM_ENTRY_H
#define AKVI_LSM_ENTRY_H

#include "common/base/bytes.h"
#include "common/base/fail.h"

#define LSM_MAX_KEY   UINT64_C(65535)
#define LSM_MAX_VALUE (UINT64_C(1) << 30)
/* Sequence numbers are 1..LSM_SEQ_MAX: seven bytes, an eighth for the kind. */
#define LSM_SEQ_MAX ((UINT64_C(1) << 56) - 1)

/* As in files. 4 (merge operand), 5 (reference into a value log) and 6 (key
 * space) are kept free for what may come. */
typedef enum lsm_kind {
    LSM_PUT          = 1,
    LSM_DELETE       = 2,
    LSM_DELETE_RANGE = 3 /* [key, value); an empty value: to the end */
} lsm_kind;

typedef struct lsm_entry {
    akv_slice key, value;
    uint64_t  seq;
    uint64_t  expiry_ms; /* Unix time; 0: never. PUT only */
    uint8_t   kind;      /* lsm_kind */
    uint8_t   encoding;  /* akv_encoding. PUT only */
} lsm_entry;

/* Of (a, a_seq) and (b, b_seq). */
static inline int lsm_order(akv_slice a, uint64_t a_seq, akv_slice b, uint64_t b_seq)
{
    int c = akvi_compare(a.data, a.len, b.data, b.len);

    return c != 0 ? c : a_seq > b_seq ? -1 : a_seq < b_seq;
}

/* ----------------------------------------------------------------- cursors
 *
 * SEEK goes to the least entry >= (key, seq) in the order above, SEEK_FOR_PREV
 * to the greatest <=. NEXT and PREV are only asked for on an entry. AKV_OK: on
 * an entry, which is in `entry`, borrowed until the next move. AKV_END: on none.
 * A failure leaves the cursor on none. One thread at a time. */

typedef enum lsm_move {
    LSM_FIRST,
    LSM_LAST,
    LSM_NEXT,
    LSM_PREV,
    LSM_SEEK,
    LSM_SEEK_FOR_PREV
} lsm_move;

typedef struct lsm_cursor lsm_cursor;
typedef struct lsm_cursor_ops {
    akv_status (*move)(lsm_cursor *c, lsm_move move, akv_slice key, uint64_t seq);
    void (*free)(lsm_cursor *c);
} lsm_cursor_ops;

struct lsm_cursor {
    const lsm_cursor_ops *ops;
    lsm_entry             entry;
};

static inline akv_status lsm_cursor_move(lsm_cursor *c, lsm_move move)
{
    return c->ops->move(c, move, akv_bytes(NULL, 0), 0);
}

static inline akv_status lsm_cursor_seek(lsm_cursor *c, akv_slice key, uint64_t seq)
{
    return c->ops->move(c, LSM_SEEK, key, seq);
}

static inline void lsm_cursor_free(lsm_cursor *c) /* takes NULL */
{
    if (c)
        c->ops->free(c);
}

#endif
