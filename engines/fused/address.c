/* SPDX-License-Identifier: MIT
 *
 * address.c: look-up by IP address among keys that are CIDR blocks.
 *
 * Blocks nest but never cross, so those of one family cut its address space
 * into intervals, in each of which one block, or none, is the longest. The
 * index is the sorted starts of these intervals, at most two for each block and
 * one more, with the place of the block's entry and of its object: so an answer
 * without the key need not read the entry, which is far from all else. A look-up is one search for
 * the last start at or before the address. For IPv4 a table over the upper bits
 * of the address, of about as many slots as there are intervals (65,536 at
 * most), leaves a few starts to search. IPv6 addresses crowd too much for that:
 * there every 16th start stands once more in a level above, every 16th of those
 * above them, and so on, so a search touches few lines of memory.
 *
 * Always true of an index:
 *  1. of a family with any block, the first start is 0, so a search finds one;
 *  2. starts rise; a place is that of an entry, or ADDRESS_NONE. Where objects
 *     are is what entries say, and not checked before it is used.
 */
#include "engines/fused/address.h"

#include "common/base/mem.h"
#include "common/base/mutex.h"
#include "common/base/printable.h"
#include "engines/fused/reader.h"

#define ADDRESS_NONE      UINT64_MAX
#define ADDRESS_JUMP_BITS 16u
#define ADDRESS_DEPTH     129u /* prefix lengths of IPv6: how deep blocks nest at most */
#define ADDRESS_V4_MAX    UINT64_C(0xffffffff)
#define ADDRESS_FAN       16u /* starts of a level under one of the level above */
#define ADDRESS_FAR       2u  /* so many levels may not be in a cache */
#define ADDRESS_LEVELS    10u /* enough for twice as many starts as there can be keys */

/* What an interval leads to. */
typedef struct address_answer {
    uint64_t place; /* of the entry, or ADDRESS_NONE */
    uint64_t object;
} address_answer;

/* The halves of addresses apart: few starts differ in the lower one alone, so a
 * search mostly reads only the upper ones, which take half the lines. */
typedef struct address_level {
    uint64_t *his, *los; /* one allocation */
    size_t    n;
} address_level;

typedef struct address_index {
    uint32_t       *starts4;
    uint32_t       *jump; /* the interval of the first address with these upper bits */
    address_answer *answers4, *answers6;
    size_t          n4, n6, jump_n;
    unsigned        jump_shift, levels_n;
    uint64_t        keys4, keys6, others;   /* keys by kind */
    address_level   levels[ADDRESS_LEVELS]; /* the first holds all starts */
} address_index;

struct fused_addresses {
    akvi_mutex               making;
    _Atomic(address_index *) index; /* NULL until it is made; then constant */
};

/* ------------------------------------------------------------------- parsing */

typedef struct address_text {
    const uint8_t *at, *end;
} address_text;

static int address_digit(const address_text *t, unsigned base)
{
    unsigned c = t->at < t->end ? *t->at : 0u;

    if (c - '0' < 10)
        return (int)(c - '0');
    if (base == 16 && (c | 0x20u) - 'a' < 6)
        return (int)((c | 0x20u) - 'a' + 10);
    return -1;
}

static bool address_take(address_text *t, char c)
{
    if (t->at == t->end || *t->at != (uint8_t)c)
        return false;
    t->at++;
    return true;
}

/* Decimal up to `max`, without leading zeros. */
static bool address_decimal(address_text *t, unsigned max, unsigned *n_out)
{
    const uint8_t *begin = t->at;
    unsigned       n     = 0;

    for (int d; n <= max && (d = address_digit(t, 10)) >= 0; t->at++)
        n = 10 * n + (unsigned)d;
    *n_out = n;
    return n <= max && t->at > begin && (*begin != '0' || t->at == begin + 1);
}

static bool address_dotted(address_text *t, uint32_t *ip_out)
{
    unsigned part;

    *ip_out = 0;
    for (int i = 0; i < 4; i++) {
        if ((i > 0 && !address_take(t, '.')) || !address_decimal(t, 255, &part))
            return false;
        *ip_out = *ip_out << 8 | part;
    }
    return true;
}

/* One to four hex digits. */
static bool address_group(address_text *t, uint16_t *group_out)
{
    unsigned n = 0, digits = 0;

    for (int d; digits < 5 && (d = address_digit(t, 16)) >= 0; t->at++, digits++)
        n = n << 4 | (unsigned)d;
    *group_out = (uint16_t)n;
    return digits >= 1 && digits <= 4;
}

/* The groups of an IPv6 address as written; *gap_out is where "::" stands among
 * them, or -1. Returns how many, or -1. */
static int address_groups(address_text *t, uint16_t groups[8], int *gap_out)
{
    int n = 0;

    *gap_out = -1;
    if (address_take(t, ':')) {
        if (!address_take(t, ':'))
            return -1;
        *gap_out = 0;
    }
    while (n < 8 && address_digit(t, 16) >= 0) {
        address_text group = *t;
        uint32_t     tail;

        if (!address_group(t, &groups[n++]))
            return -1;
        if (t->at < t->end && *t->at == '.') {
            if (n > 7 || !address_dotted(&group, &tail))
                return -1;
            groups[n - 1] = (uint16_t)(tail >> 16);
            groups[n++]   = (uint16_t)tail;
            t->at         = group.at;
            return n;
        }
        if (!address_take(t, ':'))
            return n;
        if (address_take(t, ':')) {
            if (*gap_out >= 0)
                return -1;
            *gap_out = n;
        } else if (address_digit(t, 16) < 0) {
            return -1;
        }
    }
    return n;
}

static bool address_colons(address_text *t, fused_ip *ip_out)
{
    uint16_t groups[8];
    uint64_t half[2] = {0, 0};
    int      gap, n = address_groups(t, groups, &gap);

    if (n < 0 || (gap < 0 ? n != 8 : n > 7))
        return false;
    for (int i = 0; i < n; i++) {
        int to = gap >= 0 && i >= gap ? 8 - n + i : i;

        half[to / 4] |= (uint64_t)groups[i] << (48 - 16 * (to % 4));
    }
    ip_out->hi = half[0];
    ip_out->lo = half[1];
    return true;
}

/* The bits of an address that a prefix leaves to hosts. */
static fused_ip address_host_mask(bool is_v4, unsigned bits)
{
    fused_ip mask = {0, 0};
    unsigned free = (is_v4 ? 32u : 128u) - bits;

    mask.lo = free >= 64 ? UINT64_MAX : (UINT64_C(1) << free) - 1;
    if (free > 64)
        mask.hi = free == 128 ? UINT64_MAX : (UINT64_C(1) << (free - 64)) - 1;
    return mask;
}

/* An IPv4-mapped address, or a block of them alone, is the IPv4 one. */
static void address_unmap(fused_block *b)
{
    if (b->is_v4 || b->bits < 96 || b->ip.hi != 0 || b->ip.lo >> 32 != 0xffff)
        return;
    b->is_v4 = true;
    b->bits  = (uint8_t)(b->bits - 96);
    b->ip.lo &= ADDRESS_V4_MAX;
}

static bool address_parse(akv_slice text, bool may_be_block, fused_block *b)
{
    const uint8_t *data = text.data;
    address_text   t    = {data, data ? data + text.len : data};
    address_text   v6   = t;
    uint32_t       ip   = 0;
    unsigned       bits;
    fused_ip       mask;

    b->is_v4 = address_dotted(&t, &ip);
    b->ip.hi = 0;
    b->ip.lo = ip;
    if (!b->is_v4) {
        t = v6;
        if (!address_colons(&t, &b->ip))
            return false;
    }
    bits = b->is_v4 ? 32 : 128;
    if (may_be_block && address_take(&t, '/') && !address_decimal(&t, bits, &bits))
        return false;
    if (t.at != t.end)
        return false;
    b->bits = (uint8_t)bits;
    address_unmap(b);
    mask             = address_host_mask(b->is_v4, b->bits);
    b->had_host_bits = ((b->ip.hi & mask.hi) | (b->ip.lo & mask.lo)) != 0;
    b->ip.hi &= ~mask.hi;
    b->ip.lo &= ~mask.lo;
    return true;
}

bool akvi_fused_block_parse(akv_slice text, fused_block *block_out)
{
    return address_parse(text, true, block_out);
}

bool akvi_fused_address_parse(akv_slice text, fused_block *block_out)
{
    return address_parse(text, false, block_out);
}

/* ------------------------------------------------------------------- the keys */

typedef struct address_key {
    fused_block    block;
    address_answer answer;
} address_key;

static inline int address_compare_ip(fused_ip a, fused_ip b)
{
    int hi = (a.hi > b.hi) - (a.hi < b.hi);

    return hi != 0 ? hi : (a.lo > b.lo) - (a.lo < b.lo);
}

static bool address_same(const address_key *a, const address_key *b)
{
    return address_compare_ip(a->block.ip, b->block.ip) == 0 && a->block.bits == b->block.bits;
}

/* A block before those in it; of equal ones first the key that counts. */
static bool address_in_order(const address_key *a, const address_key *b)
{
    int c = address_compare_ip(a->block.ip, b->block.ip);

    if (c != 0)
        return c < 0;
    if (a->block.bits != b->block.bits)
        return a->block.bits < b->block.bits;
    return a->block.had_host_bits <= b->block.had_host_bits;
}

/* Go over all keys and count the blocks; also store them, if given room for as
 * many as were counted before: a file that is written to under its mapping could
 * have more now. */
static void address_collect(const akv_fused *f, address_index *ix, address_key *v4, address_key *v6)
{
    uint64_t room4 = ix->keys4, room6 = ix->keys6;
    uint64_t places[FUSED_BLOCK];

    ix->keys4 = ix->keys6 = 0;
    for (uint64_t i = 0; i < f->keys; i += FUSED_BLOCK) {
        unsigned n = akvi_fused_block(f, i / FUSED_BLOCK, places);

        for (unsigned k = 0; k < n; k++) {
            address_key    key = {.answer.place = places[k]};
            const uint8_t *entry;
            akv_slice      text;
            uint64_t      *count;

            if (places[k] == FUSED_NO_PLACE)
                continue;
            entry = f->index + places[k];
            text  = akv_bytes(fused_entry_key(entry), fused_entry_key_len(entry));
            if (!akvi_fused_block_parse(text, &key.block))
                continue;
            count = key.block.is_v4 ? &ix->keys4 : &ix->keys6;
            if (v4 && *count == (key.block.is_v4 ? room4 : room6))
                continue;
            key.answer.object = fused_entry_object(entry);
            if (v4)
                (key.block.is_v4 ? v4 : v6)[*count] = key;
            ++*count;
        }
    }
    ix->others = f->keys - ix->keys4 - ix->keys6;
}

/* Merge sort, stable: equal keys stay in the order of their text. */
static void address_sort(address_key *keys, address_key *spare, size_t n)
{
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t at = 0; at + run < n; at += 2 * run) {
            size_t left = run, right = n - at - run < run ? n - at - run : run;
            size_t a = 0, b = left, out = at;

            memcpy(spare, keys + at, (left + right) * sizeof *spare);
            while (a < left && b < left + right)
                keys[out++] = address_in_order(spare + a, spare + b) ? spare[a++] : spare[b++];
            memcpy(keys + out, a < left ? spare + a : spare + b,
                   (a < left ? left - a : left + right - b) * sizeof *keys);
        }
    }
}

/* -------------------------------------------------------------- the intervals */

static inline fused_ip address_level_get(const address_level *level, size_t i)
{
    fused_ip ip = {level->his[i], level->los[i]};

    return ip;
}

static void address_level_set(address_level *level, size_t i, fused_ip ip)
{
    level->his[i] = ip.hi;
    level->los[i] = ip.lo;
}

/* Where intervals go; with no arrays they are counted. */
typedef struct address_out {
    uint32_t       *starts4;
    address_level  *starts6;
    address_answer *answers;
    size_t          n;
    fused_ip        last;
} address_out;

static const address_answer address_nothing = {ADDRESS_NONE, 0};

/* An interval begins, or takes the place of one that began just there. */
static void address_emit(address_out *out, fused_ip start, address_answer answer)
{
    if (out->n == 0 || address_compare_ip(out->last, start) != 0)
        out->n++;
    out->last = start;
    if (!out->answers)
        return;
    out->answers[out->n - 1] = answer;
    if (out->starts4)
        out->starts4[out->n - 1] = (uint32_t)start.lo;
    else
        address_level_set(out->starts6, out->n - 1, start);
}

static fused_ip address_block_end(const fused_block *b)
{
    fused_ip end = address_host_mask(b->is_v4, b->bits);

    end.hi |= b->ip.hi;
    end.lo |= b->ip.lo;
    return end;
}

/* Leave the blocks that end before `next` (NULL: all); returns those still open. */
static unsigned address_leave(address_out *out, const address_key **open, unsigned depth,
                              const address_key *next)
{
    while (depth > 0) {
        const fused_block *b   = &open[depth - 1]->block;
        fused_ip           end = address_block_end(b), max = address_host_mask(b->is_v4, 0);

        if (next && address_compare_ip(end, next->block.ip) >= 0)
            break;
        depth--;
        if (address_compare_ip(end, max) == 0)
            continue;
        end.lo++;
        end.hi += end.lo == 0;
        address_emit(out, end, depth > 0 ? open[depth - 1]->answer : address_nothing);
    }
    return depth;
}

static void address_flatten(const address_key *keys, size_t n, address_out *out)
{
    const address_key *open[ADDRESS_DEPTH];
    fused_ip           zero  = {0, 0};
    unsigned           depth = 0;

    out->n = 0;
    if (n == 0)
        return;
    address_emit(out, zero, address_nothing);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && address_same(&keys[i - 1], &keys[i]))
            continue;
        depth         = address_leave(out, open, depth, &keys[i]);
        open[depth++] = &keys[i];
        address_emit(out, keys[i].block.ip, keys[i].answer);
    }
    address_leave(out, open, depth, NULL);
}

/* ------------------------------------------------------------------ the index */

static void address_index_free(const akv_allocator *a, address_index *ix)
{
    if (!ix)
        return;
    akvi_free(a, ix->starts4, ix->n4 * sizeof *ix->starts4);
    akvi_free(a, ix->answers4, ix->n4 * sizeof *ix->answers4);
    akvi_free(a, ix->answers6, ix->n6 * sizeof *ix->answers6);
    for (unsigned i = 0; i < ix->levels_n; i++)
        akvi_free(a, ix->levels[i].his, 2 * ix->levels[i].n * sizeof *ix->levels[i].his);
    akvi_free(a, ix->jump, ix->jump_n * sizeof *ix->jump);
    akvi_free(a, ix, sizeof *ix);
}

static akv_status address_fill4(const akv_allocator *a, address_index *ix, const address_key *keys)
{
    address_out out = {.n = 0};

    address_flatten(keys, (size_t)ix->keys4, &out);
    ix->n4 = out.n;
    if (ix->n4 == 0)
        return AKV_OK;
    ix->starts4  = akvi_alloc_n(a, ix->n4, sizeof *ix->starts4);
    ix->answers4 = ix->starts4 ? akvi_alloc_n(a, ix->n4, sizeof *ix->answers4) : NULL;
    if (!ix->answers4)
        return AKV_NOMEM;
    out.starts4 = ix->starts4;
    out.answers = ix->answers4;
    address_flatten(keys, (size_t)ix->keys4, &out);
    return AKV_OK;
}

static akv_status address_fill6(const akv_allocator *a, address_index *ix, const address_key *keys)
{
    address_out out = {.n = 0};

    address_flatten(keys, (size_t)ix->keys6, &out);
    ix->n6 = out.n;
    if (ix->n6 == 0)
        return AKV_OK;
    ix->answers6 = akvi_alloc_n(a, ix->n6, sizeof *ix->answers6);
    for (size_t n = ix->n6; ix->answers6; n = (n + ADDRESS_FAN - 1) / ADDRESS_FAN) {
        address_level *level = &ix->levels[ix->levels_n];

        level->his = akvi_alloc_n(a, n, 2 * sizeof *level->his);
        if (!level->his)
            break;
        level->los = level->his + n;
        level->n   = n;
        ix->levels_n++;
        if (n <= ADDRESS_FAN)
            break;
    }
    if (ix->levels_n == 0 || ix->levels[ix->levels_n - 1].n > ADDRESS_FAN)
        return AKV_NOMEM;
    out.starts6 = &ix->levels[0];
    out.answers = ix->answers6;
    address_flatten(keys, (size_t)ix->keys6, &out);
    for (unsigned i = 1; i < ix->levels_n; i++) {
        for (size_t k = 0; k < ix->levels[i].n; k++)
            address_level_set(&ix->levels[i], k,
                              address_level_get(&ix->levels[i - 1], k * ADDRESS_FAN));
    }
    return AKV_OK;
}

static akv_status address_fill_jump(const akv_allocator *a, address_index *ix)
{
    unsigned bits = 1;
    size_t   at   = 0;

    if (ix->n4 == 0)
        return AKV_OK;
    while (bits < ADDRESS_JUMP_BITS && ix->n4 >> bits > 0)
        bits++;
    ix->jump_shift = 32 - bits;
    ix->jump_n     = (size_t)1 << bits;
    ix->jump       = akvi_alloc_n(a, ix->jump_n, sizeof *ix->jump);
    if (!ix->jump)
        return AKV_NOMEM;
    for (size_t i = 0; i < ix->jump_n; i++) {
        while (at + 1 < ix->n4 && ix->starts4[at + 1] <= i << ix->jump_shift)
            at++;
        ix->jump[i] = (uint32_t)at;
    }
    return AKV_OK;
}

static akv_status address_index_fill(const akv_fused *f, address_index *ix)
{
    const akv_allocator *a = f->allocator;
    address_key         *keys, *keys6, *spare;
    uint64_t             n;
    akv_status           st = AKV_NOMEM;

    address_collect(f, ix, NULL, NULL);
    n = ix->keys4 + ix->keys6;
    if (n == 0)
        return AKV_OK;
    keys  = akvi_alloc_n(a, (size_t)n, sizeof *keys);
    spare = keys ? akvi_alloc_n(a, (size_t)n, sizeof *spare) : NULL;
    keys6 = keys ? keys + ix->keys4 : NULL;
    if (spare) {
        address_collect(f, ix, keys, keys6);
        address_sort(keys, spare, (size_t)ix->keys4);
        address_sort(keys6, spare, (size_t)ix->keys6);
        st = AKV_OK;
    }
    akvi_free(a, spare, (size_t)n * sizeof *spare);
    if (st == AKV_OK)
        st = address_fill4(a, ix, keys);
    if (st == AKV_OK)
        st = address_fill6(a, ix, keys6);
    if (st == AKV_OK)
        st = address_fill_jump(a, ix);
    akvi_free(a, keys, (size_t)n * sizeof *keys);
    return st;
}

static akv_status address_index_new(const akv_fused *f, address_index **index_out)
{
    address_index *ix = akvi_zalloc(f->allocator, sizeof *ix);
    akv_status     st;

    *index_out = NULL;
    if (!ix)
        return AKV_NOMEM;
    st = address_index_fill(f, ix);
    if (st == AKV_OK)
        *index_out = ix;
    else
        address_index_free(f->allocator, ix);
    return st;
}

static akv_status address_make(const akv_fused *f)
{
    fused_addresses *as = f->addresses;
    address_index   *ix;
    akv_status       st = AKV_OK;

    akvi_mutex_lock(&as->making);
    if (!atomic_load_explicit(&as->index, memory_order_relaxed)) {
        st = address_index_new(f, &ix);
        atomic_store_explicit(&as->index, ix, memory_order_release);
    }
    akvi_mutex_unlock(&as->making);
    return st;
}

akv_status akvi_fused_addresses_new(const akv_allocator *allocator, fused_addresses **addresses_out)
{
    fused_addresses *as = akvi_zalloc(allocator, sizeof *as);

    *addresses_out = as;
    if (!as)
        return AKV_NOMEM;
    akvi_mutex_init(&as->making, AKVI_RANK_STORE_CACHE);
    atomic_init(&as->index, NULL);
    return AKV_OK;
}

void akvi_fused_addresses_free(const akv_allocator *allocator, fused_addresses *addresses)
{
    if (!addresses)
        return;
    address_index_free(allocator, atomic_load_explicit(&addresses->index, memory_order_acquire));
    akvi_mutex_destroy(&addresses->making);
    akvi_free(allocator, addresses, sizeof *addresses);
}

void akvi_fused_addresses_info(const fused_addresses *addresses, akv_fused_info *info)
{
    const address_index *ix = atomic_load_explicit(&addresses->index, memory_order_acquire);

    info->memory += sizeof *addresses;
    if (!ix)
        return;
    info->ip_indexed = true;
    info->ip_v4_keys = ix->keys4;
    info->ip_v6_keys = ix->keys6;
    info->ip_others  = ix->others;
    info->memory += sizeof *ix + ix->n4 * (sizeof *ix->starts4 + sizeof *ix->answers4) +
                    ix->n6 * sizeof *ix->answers6 + ix->jump_n * sizeof *ix->jump;
    for (unsigned i = 0; i < ix->levels_n; i++)
        info->memory += 2 * ix->levels[i].n * sizeof *ix->levels[i].his;
}

/* ------------------------------------------------------------------- look-ups */

static const address_answer *address_find4(const address_index *ix, uint32_t ip)
{
    size_t slot = ip >> ix->jump_shift;
    size_t at   = ix->jump[slot];
    size_t n    = (slot + 1 < ix->jump_n ? ix->jump[slot + 1] + (size_t)1 : ix->n4) - at;

    for (size_t i = 0; i < n && i < ADDRESS_FAN; i += 4)
        __builtin_prefetch(ix->answers4 + at + i);
    while (n > 1) {
        at += ix->starts4[at + n / 2] <= ip ? n / 2 : 0;
        n -= n / 2;
    }
    return &ix->answers4[at];
}

/* Without a branch that could be predicted wrongly. */
static inline bool address_at_or_before(fused_ip a, fused_ip b)
{
    return (a.hi < b.hi) | ((a.hi == b.hi) & (a.lo <= b.lo));
}

/* The last of n starts from `at` on that is at or before the address; the first
 * one is. */
static inline size_t address_search6(const address_level *l, size_t at, size_t n, fused_ip ip)
{
    size_t from = at, left = n;

    for (; left > 1; left -= left / 2)
        at += l->his[at + left / 2] <= ip.hi ? left / 2 : 0;
    if (l->his[at] != ip.hi)
        return at;
    for (at = from, left = n; left > 1; left -= left / 2)
        at += address_at_or_before(address_level_get(l, at + left / 2), ip) ? left / 2 : 0;
    return at;
}

static const address_answer *address_find6(const address_index *ix, fused_ip ip)
{
    size_t at = 0;

    for (unsigned level = ix->levels_n; level-- > 0;) {
        const address_level *l = &ix->levels[level];
        size_t               left, n;

        at *= ADDRESS_FAN;
        left = l->n - at;
        n    = left < ADDRESS_FAN ? left : ADDRESS_FAN;
        for (size_t i = 0; level < ADDRESS_FAR && i < n; i += 8)
            __builtin_prefetch(l->his + at + i);
        for (size_t i = 0; level == 0 && i < n; i += 4)
            __builtin_prefetch(ix->answers6 + at + i);
        at = address_search6(l, at, n, ip);
    }
    return &ix->answers6[at];
}

static akv_status address_lookup(const akv_fused *f, const fused_block *ip, akv_slice *object_out,
                                 akv_slice *key_out)
{
    const address_index  *ix     = atomic_load_explicit(&f->addresses->index, memory_order_acquire);
    const address_answer *answer = &address_nothing;
    const uint8_t        *entry;

    if (!ix) {
        akv_status st = address_make(f);

        if (st != AKV_OK)
            return st;
        ix = atomic_load_explicit(&f->addresses->index, memory_order_acquire);
    }
    if (ip->is_v4 && ix->n4 > 0)
        answer = address_find4(ix, (uint32_t)ip->ip.lo);
    else if (!ip->is_v4 && ix->n6 > 0)
        answer = address_find6(ix, ip->ip);
    if (answer->place == ADDRESS_NONE)
        return AKV_ABSENT;
    entry = f->index + answer->place;
    if (key_out)
        *key_out = akv_bytes(fused_entry_key(entry), fused_entry_key_len(entry));
    return akvi_fused_object_at(f, entry, answer->object, f->check_objects, object_out);
}

static akv_status address_bad(akv_slice text)
{
    char shown[AKVI_KEY_TEXT];

    return AKV_FAIL(AKV_MISUSE, "'%s' is no IP address such as 192.0.2.1 or 2001:db8::1",
                    akvi_key_text(shown, text));
}

static akv_status address_text_lookup(const akv_fused *f, akv_slice text, akv_slice *object_out,
                                      akv_slice *key_out)
{
    fused_block ip;

    if (!akvi_fused_address_parse(text, &ip))
        return address_bad(text);
    return address_lookup(f, &ip, object_out, key_out);
}

static akv_status address_bytes_lookup(const akv_fused *f, akv_slice bytes, akv_slice *object_out,
                                       akv_slice *key_out)
{
    fused_block ip = {.bits = 128};

    if (bytes.len == 4) {
        ip.is_v4 = true;
        ip.ip.lo = akvi_get_be32(bytes.data);
    } else if (bytes.len == 16) {
        ip.ip.hi = akvi_get_be64(bytes.data);
        ip.ip.lo = akvi_get_be64((const uint8_t *)bytes.data + 8);
        address_unmap(&ip);
    } else {
        return AKV_FAIL(AKV_MISUSE, "an address of %zu bytes: IPv4 has 4, IPv6 has 16", bytes.len);
    }
    return address_lookup(f, &ip, object_out, key_out);
}

/* ------------------------------------------------------------- public calls */

typedef akv_status address_call(const akv_fused *f, akv_slice address, akv_slice *object_out,
                                akv_slice *key_out);

static inline akv_status address_public(address_call *call, const akv_fused *f, akv_slice address,
                                        akv_slice *object_out, akv_slice *key_out)
{
    akv_status st;

    akvi_call_begin();
    if (object_out)
        *object_out = akv_bytes(NULL, 0);
    if (key_out)
        *key_out = akv_bytes(NULL, 0);
    if (!f || !object_out || (!address.data && address.len > 0))
        st = AKV_FAIL(AKV_MISUSE, "a reader, address or output is NULL");
    else
        st = call(f, address, object_out, key_out);
    return st >= 0 ? st : akvi_call_end(st, "fused");
}

akv_status akv_fused_lookup_ip(const akv_fused *fused, akv_slice address, akv_slice *object_out,
                               akv_slice *key_out)
{
    return address_public(address_text_lookup, fused, address, object_out, key_out);
}

akv_status akv_fused_lookup_ip_bytes(const akv_fused *fused, akv_slice address,
                                     akv_slice *object_out, akv_slice *key_out)
{
    return address_public(address_bytes_lookup, fused, address, object_out, key_out);
}

akv_status akv_fused_ip_index(const akv_fused *fused)
{
    akvi_call_begin();
    if (!fused)
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "a reader is NULL"), "fused");
    return akvi_call_end(address_make(fused), "fused");
}
