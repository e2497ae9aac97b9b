/* SPDX-License-Identifier: MIT
 *
 * number.c: see number.h.
 *
 * A decimal is `n` digits and a power of ten: digits * 10^exp. It is kept
 * without zeroes at either end, so two of them are the same number when they
 * are the same text.
 */
#include "common/doc/number.h"

#include "common/base/bytes.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A double next to a border between two of them is told by at most 767 digits;
 * of longer texts one more digit says that something followed. */
#define NUMBER_DIGITS   800
#define NUMBER_SHORTEST 17
#define NUMBER_EXP_MAX  INT64_C(1000000000000000)

typedef struct number_decimal {
    char    digits[NUMBER_DIGITS + 1];
    size_t  n;
    int64_t exp;
} number_decimal;

static const double number_pow10[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                      1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                      1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
#define NUMBER_POW10_MAX 22

static bool number_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static const uint8_t *number_skip_digits(const uint8_t *p, const uint8_t *end)
{
    while (p < end && number_is_digit(*p))
        p++;
    return p;
}

size_t akvi_number_len(const uint8_t *at, const uint8_t *end, bool *is_integer_out)
{
    const uint8_t *p = at, *from;

    *is_integer_out = true;
    if (p < end && *p == '-')
        p++;
    if (p == end || !number_is_digit(*p))
        return 0;
    p = *p == '0' ? p + 1 : number_skip_digits(p, end);
    if (p < end && *p == '.') {
        *is_integer_out = false;
        from            = ++p;
        p               = number_skip_digits(p, end);
        if (p == from)
            return 0;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        *is_integer_out = false;
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        from = p;
        p    = number_skip_digits(p, end);
        if (p == from)
            return 0;
    }
    return (size_t)(p - at);
}

/* Take a JSON number without its sign apart. */
static void number_split(const uint8_t *p, const uint8_t *end, number_decimal *d)
{
    size_t  seen = 0, used = 0; /* digits since the first that is not 0; to the last */
    bool    in_fraction = false, negative = false;
    int64_t e = 0;

    d->exp = 0;
    for (; p < end && *p != 'e' && *p != 'E'; p++) {
        if (*p == '.') {
            in_fraction = true;
            continue;
        }
        d->exp -= in_fraction;
        if (*p == '0' && seen == 0)
            continue;
        if (seen < NUMBER_DIGITS)
            d->digits[seen] = (char)*p;
        seen++;
        if (*p != '0')
            used = seen;
    }
    if (p < end)
        p++;
    if (p < end && (*p == '+' || *p == '-'))
        negative = *p++ == '-';
    for (; p < end; p++)
        e = e < NUMBER_EXP_MAX ? e * 10 + (*p - '0') : e;
    d->exp += (int64_t)(seen - used) + (negative ? -e : e);
    d->n = used;
    if (used > NUMBER_DIGITS) {
        d->n                     = NUMBER_DIGITS + 1;
        d->digits[NUMBER_DIGITS] = '1';
        d->exp += (int64_t)(used - d->n);
    }
}

/* The double nearest to the decimal. */
static double number_round(const number_decimal *d)
{
    char    text[NUMBER_DIGITS + 32];
    int64_t magnitude = (int64_t)d->n + d->exp;

    if (magnitude > 310)
        return HUGE_VAL;
    if (magnitude < -330)
        return 0;
    memcpy(text, d->digits, d->n);
    snprintf(text + d->n, sizeof text - d->n, "e%" PRId64, d->exp);
    return strtod(text, NULL);
}

static void number_strip_zeroes(number_decimal *d)
{
    while (d->n > 1 && d->digits[d->n - 1] == '0') {
        d->n--;
        d->exp++;
    }
}

/* Most doubles that people write have at most 15 digits and a small exponent:
 * then digits and power of ten are both exact, and dividing them rounds once. */
static bool number_shortest_fast(double v, number_decimal *d)
{
    int exp2, power;

    frexp(v, &exp2);
    power = 14 - (int)floor((exp2 - 1) * 0.30103);
    for (int k = power; k >= power - 1; k--) {
        double   scaled;
        uint64_t digits;

        if (k < 0 || k > NUMBER_POW10_MAX)
            continue;
        scaled = v * number_pow10[k];
        if (scaled >= 1e15)
            continue;
        digits = (uint64_t)(scaled + 0.5);
        if (digits >= UINT64_C(1000000000000000) || (double)digits / number_pow10[k] != v)
            continue;
        d->n   = akvi_number_print_u64(digits, false, d->digits);
        d->exp = -k;
        number_strip_zeroes(d);
        return true;
    }
    return false;
}

/* v to `n` digits, correctly rounded. */
static void number_digits(double v, int n, number_decimal *d)
{
    char  text[64];
    char *p = text;

    snprintf(text, sizeof text, "%.*e", n - 1, v);
    d->n = 0;
    for (; *p != 'e'; p++) {
        if (number_is_digit((uint8_t)*p))
            d->digits[d->n++] = *p;
    }
    d->exp = strtol(p + 1, NULL, 10) - (n - 1);
}

/* The decimal one above in the last digit. */
static void number_next_up(number_decimal *d)
{
    size_t i = d->n;

    while (i > 0 && d->digits[i - 1] == '9')
        d->digits[--i] = '0';
    if (i > 0) {
        d->digits[i - 1]++;
    } else {
        d->digits[0] = '1';
        d->exp++;
    }
}

/* The shortest decimal that rounds to v, which is positive and finite. */
static void number_shortest(double v, number_decimal *d)
{
    int exp2;
    /* Below the normal range doubles have fewer digits than 15. */
    int n = v < 0x1p-1022 ? 1 : 15;

    if (number_shortest_fast(v, d))
        return;
    for (; n < NUMBER_SHORTEST; n++) {
        number_digits(v, n, d);
        if (number_round(d) == v)
            break;
        /* Doubles lie twice as dense below a power of two as above it: the
         * nearest decimal may fail below where the next one above fits. */
        if (frexp(v, &exp2) == 0.5) {
            number_next_up(d);
            if (number_round(d) == v)
                break;
        }
    }
    if (n == NUMBER_SHORTEST)
        number_digits(v, n, d);
    number_strip_zeroes(d);
}

double akvi_number_parse(akv_slice text, bool *exact_out)
{
    const uint8_t *p = text.data, *end = p + text.len;
    bool           negative = p < end && *p == '-', exact = true;
    number_decimal d, again;
    double         v;

    number_split(p + negative, end, &d);
    if (d.n == 0) {
        v = 0;
    } else if (d.n <= 15 && d.exp >= -NUMBER_POW10_MAX && d.exp <= NUMBER_POW10_MAX) {
        v = 0;
        for (size_t i = 0; i < d.n; i++)
            v = v * 10 + (d.digits[i] - '0');
        v = d.exp < 0 ? v / number_pow10[-d.exp] : v * number_pow10[d.exp];
    } else {
        v     = number_round(&d);
        exact = false;
        if (exact_out && v != 0 && isfinite(v) && d.n <= NUMBER_SHORTEST) {
            number_shortest(v, &again);
            exact =
                again.n == d.n && again.exp == d.exp && memcmp(again.digits, d.digits, d.n) == 0;
        }
    }
    if (exact_out)
        *exact_out = exact;
    return negative ? -v : v;
}

/* ---------------------------------------------------------------- printing */

static size_t number_copy(char *to, const char *from, size_t n)
{
    memcpy(to, from, n);
    return n;
}

static size_t number_zeroes(char *to, size_t n)
{
    memset(to, '0', n);
    return n;
}

size_t akvi_number_print(double value, char text[AKVI_NUMBER_MAX])
{
    number_decimal d = {.n = 1, .exp = 0, .digits = "0"};
    int            point; /* digits before the decimal point */
    size_t         len = 0;

    if (signbit(value))
        text[len++] = '-';
    if (value != 0)
        number_shortest(fabs(value), &d);
    point = (int)d.exp + (int)d.n;
    if (point > 16 || point < -4) {
        text[len++] = d.digits[0];
        if (d.n > 1) {
            text[len++] = '.';
            len += number_copy(text + len, d.digits + 1, d.n - 1);
        }
        return len + (size_t)snprintf(text + len, AKVI_NUMBER_MAX - len, "e%d", point - 1);
    }
    if (point <= 0) {
        len += number_copy(text + len, "0.", 2);
        len += number_zeroes(text + len, (size_t)-point);
        return len + number_copy(text + len, d.digits, d.n);
    }
    if ((size_t)point >= d.n) {
        len += number_copy(text + len, d.digits, d.n);
        len += number_zeroes(text + len, (size_t)point - d.n);
        return len + number_copy(text + len, ".0", 2);
    }
    len += number_copy(text + len, d.digits, (size_t)point);
    text[len++] = '.';
    return len + number_copy(text + len, d.digits + point, d.n - (size_t)point);
}

size_t akvi_number_print_u64(uint64_t value, bool negative, char text[AKVI_NUMBER_MAX])
{
    char   digits[20];
    size_t at = sizeof digits, len = 0;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    if (negative)
        text[len++] = '-';
    return len + number_copy(text + len, digits + at, sizeof digits - at);
}
