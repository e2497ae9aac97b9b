/* SPDX-License-Identifier: MIT
 *
 * fail.h: how our own code reports a failure.
 *
 * A failure is recorded once, where it is found, with what is known there; the
 * callers above only pass the status on. AKV_FAIL is the one place to put a
 * breakpoint (akv_engine_fail). The record is pending until the front layer's
 * call returns: then it becomes the thread's last error, if the call failed.
 */
#ifndef AKVI_BASE_FAIL_H
#define AKVI_BASE_FAIL_H

#include <anykv/engine.h>

#define AKVI_MUST_USE __attribute__((warn_unused_result))

#define AKV_FAIL(code, ...) \
    akvi_failed((code), akv_engine_fail((code), 0, NULL, AKV_NO_OFFSET, __VA_ARGS__))
#define AKV_FAIL_AT(code, file, off, ...) \
    akvi_failed((code), akv_engine_fail((code), 0, (file), (off), __VA_ARGS__))
/* `err` is an errno; the status is AKV_NOSPACE, AKV_NOMEM or AKV_IO by it. */
#define AKV_FAIL_ERRNO(err, file, off, ...) \
    akv_engine_fail(akvi_status_of_errno(err), (err), (file), (off), __VA_ARGS__)
#define AKV_FAIL_NOMEM(size)                                                                    \
    AKV_FAIL(AKV_NOMEM, "no memory for %zu bytes: give the store more, or raise memory_budget", \
             (size_t)(size))

akv_status akvi_status_of_errno(int err);

/* `code`, which is what recording it answered: in sight of static analysis. */
static inline akv_status akvi_failed(akv_status code, akv_status recorded)
{
    (void)recorded;
    return code;
}

/* Around each public call: begin forgets what is pending, end makes it the last
 * error when the call failed (with a general text if nobody recorded why) and
 * returns the status. `engine` is its name or "". Begin only leaves a mark, for
 * whoever next looks at the record, so it costs one store. */
extern _Thread_local bool akvi_call_is_fresh __attribute__((tls_model("initial-exec")));
static inline void        akvi_call_begin(void)
{
    akvi_call_is_fresh = true;
}
akv_status akvi_call_end(akv_status status, const char *engine);

/* The pending record; when none is pending the kept one, or the last error. */
const akv_error *akvi_pending_error(void);
/* Record `error` as if it had been found in this call: for a failure parked by
 * a background thread. */
akv_status akvi_fail_again(const akv_error *error);
/* Keep the pending record for the end of the call, unless one is kept already,
 * and let further ones be recorded. One must be pending; returns its code. */
akv_status akvi_fail_keep(void);

/* What the running call has recorded. Callbacks of the user may call us again,
 * which begins another call: save and restore around them. */
typedef struct akvi_call_state {
    bool      is_pending, is_kept;
    akv_error pending, kept;
} akvi_call_state;

void akvi_call_save(akvi_call_state *state_out);
void akvi_call_restore(const akvi_call_state *state);

#endif
