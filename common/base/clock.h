/* SPDX-License-Identifier: MIT
 *
 * clock.h: the system's monotonic clock, by which deadlines are told. What an
 * engine stores or compares with stored times comes from its env instead.
 */
#ifndef AKVI_BASE_CLOCK_H
#define AKVI_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t akvi_monotonic_ns(void)
{
    struct timespec now = {0, 0};

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

#endif
