/* SPDX-License-Identifier: MIT
 *
 * model.h: the simplest ordered map there is, a sorted array, which the random
 * run takes for the truth; and the script that drives it and stores alike.
 *
 * A script makes steps from a seed, never looking at an answer. Sides carry
 * them out and write what they saw as text: one side is the model, another a
 * store through the public interface. Equal texts, step by step, are the proof.
 */
#ifndef AKVC_MODEL_H
#define AKVC_MODEL_H

#include "tests/conformance/suite.h"

/* ---------------------------------------------------------------------- map */

typedef struct akvc_record {
    akv_slice key, value; /* owned */
    uint64_t  expiry;     /* 0: never; in whose clock, the map's user knows */
    uint64_t  version;
    uint32_t  encoding;
} akvc_record;

typedef struct akvc_map {
    akvc_record *at; /* sorted by key */
    size_t       n, room;
} akvc_map;

akvc_record *akvc_map_find(const akvc_map *map, akv_slice key);  /* NULL: not there */
size_t       akvc_map_bound(const akvc_map *map, akv_slice key); /* first place not below */
void         akvc_map_put(akvc_run *r, akvc_map *map, const akvc_record *record); /* copies */
void         akvc_map_remove(akvc_map *map, akv_slice key);
void         akvc_map_remove_range(akvc_map *map, akv_slice lower, akv_slice upper);
void         akvc_map_purge(akvc_map *map, uint64_t now); /* what has expired */
akvc_map     akvc_map_copy(akvc_run *r, const akvc_map *map);
void         akvc_map_free(akvc_map *map);

/* -------------------------------------------------------------------- steps */

#define AKVC_SPACES   3 /* the default one and two named */
#define AKVC_KEYS     160
#define AKVC_VALUES   48
#define AKVC_SLOTS    4                 /* of iterators; of snapshots; of versions seen */
#define AKVC_SUBS     8                 /* operations of a batch or transaction */
#define AKVC_TTL_UNIT UINT64_C(1000000) /* the clock moves by whole units, lives end at halves */

typedef enum akvc_step_kind {
    AKVC_PUT,
    AKVC_DELETE,
    AKVC_DELETE_RANGE,
    AKVC_MERGE,
    AKVC_EXPIRE,
    AKVC_PERSIST,
    AKVC_BATCH,
    AKVC_TXN,
    AKVC_STREAM_WRITE,
    AKVC_NOTE_VERSION,
    AKVC_GET,
    AKVC_EXISTS,
    AKVC_GET_MANY,
    AKVC_COUNT,
    AKVC_SCAN,
    AKVC_STREAM_READ,
    AKVC_ITER_NEW,
    AKVC_ITER_MOVE,
    AKVC_ITER_FREE,
    AKVC_SNAPSHOT_NEW,
    AKVC_SNAPSHOT_FREE,
    AKVC_FOLLOW,
    AKVC_ADVANCE,
    AKVC_DROP_SPACE,
    AKVC_UPKEEP,
    AKVC_CHECKPOINT,
    AKVC_REOPEN,
    AKVC_FINISH,
    AKVC_DUMP,
    AKVC_STEP_KINDS
} akvc_step_kind;

/* One operation of a write, or a read of a transaction (kind AKVC_GET). */
typedef struct akvc_sub {
    akvc_step_kind kind; /* AKVC_EXISTS: only judge the condition */
    akv_slice      key, upper, value, expected;
    akv_condition  condition;
    unsigned       version; /* slot of the version that AKV_IF_VERSION names */
    uint64_t       ttl_ms;
    uint32_t       encoding;
} akvc_sub;

typedef struct akvc_step {
    akvc_step_kind kind;
    unsigned       space, slot;
    int            snapshot; /* slot, or -1: now */
    akvc_sub       op;
    akvc_sub       subs[AKVC_SUBS];
    unsigned       n;
    /* scans and iterators */
    akv_slice lower, upper, prefix;
    uint32_t  flags;
    uint64_t  limit;
    akv_move  move;
    /* streams */
    uint64_t offset;
    size_t   len;
    bool     append, commit;
} akvc_step;

typedef struct akvc_script {
    akvc_random random;
    uint64_t    caps;   /* of all sides */
    uint64_t    native; /* those that none emulates */
    bool        reopens, moves_clock, has_paths, building;
    unsigned    puts_left; /* while building */
    akv_slice   keys[AKVC_KEYS], values[AKVC_VALUES];
    uint8_t     bytes[AKVC_KEYS * 24 + AKVC_VALUES * 700];
    /* what was last put, right or not: makes conditions that often hold */
    uint8_t  last[AKVC_SPACES][AKVC_KEYS];
    int      noted[AKVC_SLOTS]; /* key whose version is in the slot, or -1 */
    unsigned noted_space[AKVC_SLOTS];
    uint64_t weights; /* sum over the kinds that are possible */
} akvc_script;

void akvc_script_begin(akvc_script *s, uint64_t seed);
void akvc_script_next(akvc_script *s, akvc_step *step_out);
/* The step as a line for people. */
void akvc_step_print(const akvc_step *step, akv_buffer *text_out);

/* -------------------------------------------------------------------- sides */

typedef struct akvc_side {
    akvc_run   *r; /* whose case is running */
    const char *name;
    akv_buffer  answer; /* to the last step */
    void (*step)(struct akvc_side *side, const akvc_step *step);
    void (*end)(struct akvc_side *side);
} akvc_side;

void akvc_say(akvc_side *side, const char *fmt, ...) AKV_PRINTF(2, 3);
void akvc_say_bytes(akvc_side *side, akv_slice bytes); /* printable, long ones cut and hashed */
void akvc_say_value(akvc_side *side, akv_slice value, uint32_t encoding, bool expires);

akvc_side *akvc_side_model(akvc_run *r, const akvc_script *s);
akvc_side *akvc_side_store(akvc_run *r, const akvc_script *s);

#endif
