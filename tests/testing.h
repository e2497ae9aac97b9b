/* SPDX-License-Identifier: MIT
 *
 * testing.h: what the tests share on top of cmocka.
 *
 * Random tests draw from akvt_random, whose seed is printed at start and taken
 * from ANYKV_SEED when that is set, so a failure can be played again.
 * ANYKV_SCALE multiplies the length of long runs (default 1).
 */
#ifndef AKVT_TESTING_H
#define AKVT_TESTING_H

/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/fail.h"

/* Fail with the error record when a call does not answer as it should. */
#define assert_status(want, call)                                                        \
    do {                                                                                 \
        akv_status akvt_want = (want), akvt_got;                                         \
        akvi_call_begin();                                                               \
        akvt_got = (call);                                                               \
        if (akvt_got != akvt_want)                                                       \
            fail_msg("%s: %s, not %s; last error: %s", #call, akv_status_name(akvt_got), \
                     akv_status_name(akvt_want), akvi_pending_error()->text);            \
    } while (0)
#define assert_ok(call) assert_status(AKV_OK, call)
/* The last error's text must hold `part`. */
#define assert_error_has(part)                                                     \
    do {                                                                           \
        if (!strstr(akvi_pending_error()->text, (part)))                           \
            fail_msg("error '%s' lacks '%s'", akvi_pending_error()->text, (part)); \
    } while (0)
#define assert_slice(slice, text)                                                \
    do {                                                                         \
        akv_slice akvt_s = (slice);                                              \
        assert_int_equal(akvt_s.len, strlen(text));                              \
        assert_memory_equal(akvt_s.data ? akvt_s.data : "", (text), akvt_s.len); \
    } while (0)

/* A fresh empty folder, removed with all in it when the program ends. Static
 * text, valid until the end. */
const char *akvt_folder(void);
/* folder/name, one of 16 rotating static buffers. */
const char *akvt_path(const char *folder, const char *name);
/* The tree's root, for tests/data: ANYKV_ROOT or the current folder. */
const char *akvt_root(void);

typedef struct akvt_random {
    uint64_t state;
} akvt_random;

/* A generator from the program's seed and `stream`; prints the seed once. */
akvt_random akvt_random_new(uint64_t stream);
uint64_t    akvt_next(akvt_random *r);
uint64_t    akvt_below(akvt_random *r, uint64_t n); /* 0..n-1 */
void        akvt_fill(akvt_random *r, void *buf, size_t len);
unsigned    akvt_scale(void);

/* An allocator that fails its n-th allocation from now (0: never), counts what
 * is out and checks the sizes given back. One at a time. */
const akv_allocator *akvt_failing_allocator(uint64_t nth);
int64_t              akvt_allocator_out(void); /* blocks not yet released */

/* Read a whole file of the system into malloc'ed memory. */
void *akvt_read_file(const char *path, size_t *len_out);
void  akvt_write_file(const char *path, const void *data, size_t len);

#endif
