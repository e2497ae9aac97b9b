/* SPDX-License-Identifier: MIT
 *
 * data.c: the data sets, the same in every run.
 */
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>

static uint64_t data_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void *data_alloc(size_t n, size_t each)
{
    void *p = calloc(n ? n : 1, each);

    if (!p)
        bench_die("data", "no memory");
    return p;
}

uint32_t *bench_data_order(size_t n, uint64_t seed)
{
    uint32_t *order = data_alloc(n, sizeof *order);

    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        size_t   j = data_random(&seed) % i;
        uint32_t t = order[i - 1];

        order[i - 1] = order[j];
        order[j]     = t;
    }
    return order;
}

static bench_data *data_new(size_t n, size_t objects_n, size_t pool_size)
{
    bench_data *d = data_alloc(1, sizeof *d);

    d->n         = n;
    d->objects_n = objects_n;
    d->keys      = data_alloc(n, sizeof *d->keys);
    d->missing   = data_alloc(n, sizeof *d->missing);
    d->objects   = data_alloc(objects_n, sizeof *d->objects);
    d->object_of = data_alloc(n, sizeof *d->object_of);
    d->order     = bench_data_order(n, 42);
    d->pool      = data_alloc(pool_size, 1);
    return d;
}

/* Spell number `v`, made distinct by `tag`, as one of three shapes of key. */
static size_t data_lookup_key(char *to, uint64_t v, char tag)
{
    static const char *const zones[] = {"net", "com", "org", "example"};
    uint64_t                 state   = v * 2654435761u;
    unsigned                 r       = (unsigned)data_random(&state);
    int                      n;

    if (v % 3 == 0)
        n = sprintf(to, "2001:db8:%x:%c:%llx", r & 0xffff, tag, (unsigned long long)v + 0x100000);
    else if (v % 3 == 1)
        n = sprintf(to, "host%c%llu.%s", tag, (unsigned long long)v + 1000000, zones[r & 3]);
    else
        n = sprintf(to, "%c%llu.customer-%u.%s", tag, (unsigned long long)v, r % 10000,
                    zones[r & 3]);
    while (n < 17)
        to[n++] = '.';
    return (size_t)n > 31 ? 31 : (size_t)n;
}

/* The first part of a key, so long that some hundred of a million share it. */
static bench_bytes data_prefix(bench_bytes key)
{
    size_t len = key.data[0] == '2' ? 12 : key.data[0] == 'h' ? 9 : 4;

    return (bench_bytes){key.data, len};
}

bench_data *bench_data_lookup(size_t n, size_t objects_n)
{
    bench_data *d     = data_new(n, objects_n, n * 2 * 64 + objects_n * 192);
    uint64_t    state = 7;
    uint8_t    *at    = d->pool;

    if (objects_n == 0)
        bench_die("data", "keys without objects");
    for (size_t i = 0; i < 2 * n; i++) {
        bench_bytes *key = i < n ? &d->keys[i] : &d->missing[i - n];

        key->data = at;
        key->len  = data_lookup_key((char *)at, i < n ? i : i - n, i < n ? 'a' : 'z');
        at += key->len;
    }
    for (size_t i = 0; i < objects_n; i++) {
        size_t len = 118 + data_random(&state) % 31;

        d->objects[i] = (bench_bytes){at, len};
        for (size_t j = 0; j < len; j++)
            at[j] = (uint8_t)('a' + data_random(&state) % 26);
        memcpy(at, &i, sizeof i);
        at += len;
    }
    for (size_t i = 0; i < n; i++)
        d->object_of[i] = (uint32_t)(data_random(&state) % objects_n);
    d->prefixes_n = n / 256 + 1;
    d->prefixes   = data_alloc(d->prefixes_n, sizeof *d->prefixes);
    for (size_t i = 0; i < d->prefixes_n; i++)
        d->prefixes[i] = data_prefix(d->keys[d->order[i]]);
    return d;
}

bench_data *bench_data_records(size_t n, size_t value_len)
{
    bench_data *d     = data_new(n, n, n * (33 + value_len) + 1);
    uint64_t    state = 11;
    uint8_t    *at    = d->pool;

    for (size_t i = 0; i < n; i++) {
        d->keys[i]    = (bench_bytes){at, 16};
        d->missing[i] = (bench_bytes){at + 16, 16};
        sprintf((char *)at, "%016llu", (unsigned long long)i * 10);
        sprintf((char *)at + 16, "%016llu", (unsigned long long)i * 10 + 5);
        at += 32;
    }
    for (size_t i = 0; i < n; i++) {
        d->objects[i]   = (bench_bytes){at, value_len};
        d->object_of[i] = (uint32_t)i;
        for (size_t j = 0; j < value_len; j++)
            at[j] = (uint8_t)(j & 1 ? data_random(&state) : 'x');
        at += value_len;
    }
    return d;
}

void bench_data_free(bench_data *d)
{
    free(d->keys);
    free(d->missing);
    free(d->objects);
    free(d->object_of);
    free(d->order);
    free(d->prefixes);
    free(d->pool);
    free(d);
}

uint64_t bench_touch(const void *data, size_t len)
{
    const uint8_t *p   = data;
    uint64_t       sum = 0, word;

    for (; len >= sizeof word; p += sizeof word, len -= sizeof word) {
        memcpy(&word, p, sizeof word);
        sum += word;
    }
    while (len-- > 0)
        sum += *p++;
    return sum;
}
