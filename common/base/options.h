/* SPDX-License-Identifier: MIT
 *
 * options.h: option structs through their field tables (akv_option). The calls
 * that users have too are in anykv.h.
 */
#ifndef AKVI_BASE_OPTIONS_H
#define AKVI_BASE_OPTIONS_H

#include "common/base/fail.h"

/* Write every field's default. */
void akvi_options_defaults(const akv_option *table, size_t n, void *options);
/* Check every field against its range; AKV_MISUSE names the first that fails. */
AKVI_MUST_USE akv_status akvi_options_check(const akv_option *table, size_t n, const void *options);
/* Copy a caller's struct of `from_size` bytes (its first field says so) over
 * `to`, which holds defaults and is `to_size` long: a shorter one leaves the
 * rest, a longer one must be zero beyond `to_size`, else AKV_MISUSE. */
AKVI_MUST_USE akv_status akvi_options_copy(void *to, size_t to_size, const void *from,
                                           const char *what);
/* Split "name=value<sep>name=value", undoing %XX in both, and call back with
 * each pair; stops at the first status but AKV_OK and returns it. `scratch`
 * holds the texts of this one call and must outlive what points at them. */
AKVI_MUST_USE akv_status akvi_options_split(const char *text, char sep, akv_buffer *scratch,
                                            akv_status (*each)(void *user, const char *name,
                                                               const char *value),
                                            void *user);
/* The row called `name`, or NULL. */
const akv_option *akvi_options_find(const akv_option *table, size_t n, const char *name);
/* akv_options_set and akv_options_print for use within a call: they leave the
 * record of a failure pending. */
AKVI_MUST_USE akv_status akvi_options_set(const akv_option *table, size_t n, void *options,
                                          const char *name, const char *value);
AKVI_MUST_USE akv_status akvi_options_print(const akv_option *option, const void *options,
                                            akv_buffer *text_out);
/* "64MiB", "1.5 GB", "4096": AKV_MISUSE tells what would be understood. */
AKVI_MUST_USE akv_status akvi_parse_bytes(const char *text, uint64_t *out);

#endif
