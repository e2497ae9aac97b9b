/* SPDX-License-Identifier: MIT
 *
 * number.h: doubles from decimal text and back, whatever the locale.
 *
 * The C library does the hard rounding, but is only ever given and asked for
 * digits and exponents: the decimal point, which a locale may change, is never
 * part of it.
 */
#ifndef AKVI_DOC_NUMBER_H
#define AKVI_DOC_NUMBER_H

#include "common/base/fail.h"

/* The length of the JSON number that `at` begins with, 0 when it is none; the
 * byte after it is not looked at. *is_integer_out: no fraction, no exponent. */
size_t akvi_number_len(const uint8_t *at, const uint8_t *end, bool *is_integer_out);

/* The double nearest to a JSON number's text; an infinity past the largest.
 * *exact_out, when given: printed as akvi_number_print does, it is the same
 * decimal number. */
double akvi_number_parse(akv_slice text, bool *exact_out);

/* Print a finite double as the shortest decimal that reads back as it, always
 * with a fraction or an exponent. Returns the length; no NUL. */
#define AKVI_NUMBER_MAX 32
size_t akvi_number_print(double value, char text[AKVI_NUMBER_MAX]);

/* Print an integer; returns the length; no NUL. */
size_t akvi_number_print_u64(uint64_t value, bool negative, char text[AKVI_NUMBER_MAX]);

#endif
