/* SPDX-License-Identifier: MIT
 *
 * fuzz_fused_address.c: each line of the input is a key, and its address is
 * looked up. What is an address or block is what inet_pton says, and what a
 * look-up answers is what a linear search finds.
 */
#include "engines/fused/address.h"

#include <anykv/env.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_LINES 64u

typedef struct fuzz_line {
    akv_slice   text;
    bool        is_block;
    fused_block block;
} fuzz_line;

static void fuzz_must(bool holds)
{
    if (!holds)
        abort();
}

static akv_env *fuzz_env(void)
{
    static akv_env *env;

    if (!env)
        fuzz_must(akv_env_memory_new(NULL, &env) == AKV_OK);
    return env;
}

/* What inet_pton reads, IPv4-mapped as IPv4; the width in bits, 0 for none. */
static unsigned fuzz_address(const char *text, uint8_t ip[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    memset(ip, 0, 16);
    if (inet_pton(AF_INET, text, ip) == 1)
        return 32;
    if (inet_pton(AF_INET6, text, ip) != 1)
        return 0;
    return memcmp(ip, mapped, sizeof mapped) == 0 ? 96 : 128;
}

/* The address of a block is where it should be, its host bits cleared. */
static void fuzz_check_block(const fuzz_line *l)
{
    char     text[128], *slash;
    uint8_t  ip[16], got[16] = {0};
    unsigned width, bits, shift;

    if (l->text.len >= sizeof text || memchr(l->text.data, '\0', l->text.len))
        return;
    memcpy(text, l->text.data, l->text.len);
    text[l->text.len] = '\0';
    slash             = strchr(text, '/');
    if (slash)
        *slash = '\0';
    width = fuzz_address(text, ip);
    fuzz_must(!l->is_block || width > 0);
    if (!slash)
        fuzz_must(l->is_block == (width > 0));
    if (!l->is_block)
        return;
    bits  = slash ? (unsigned)strtoul(slash + 1, NULL, 10) : width == 32 ? 32 : 128;
    shift = width == 96 && bits >= 96 ? 96 : 0;
    fuzz_must(l->block.is_v4 == (width == 32 || shift > 0));
    fuzz_must(l->block.bits == bits - shift);
    for (unsigned i = 0; i < 8; i++) {
        got[i]     = (uint8_t)(l->block.ip.hi >> (56 - 8 * i));
        got[8 + i] = (uint8_t)(l->block.ip.lo >> (56 - 8 * i));
    }
    for (unsigned i = 0; i < bits; i++) {
        unsigned to = l->block.is_v4 ? 96 + i - shift : i;

        if (i >= shift)
            fuzz_must((ip[i / 8] >> (7 - i % 8) & 1) == (got[to / 8] >> (7 - to % 8) & 1));
    }
    for (unsigned i = l->block.bits + (l->block.is_v4 ? 96 : 0); i < 128; i++)
        fuzz_must((got[i / 8] >> (7 - i % 8) & 1) == 0);
}

static uint64_t fuzz_mask(unsigned bits)
{
    return bits == 0 ? 0 : bits >= 64 ? UINT64_MAX : ~(UINT64_MAX >> bits);
}

static bool fuzz_holds(const fused_block *b, const fused_block *ip)
{
    unsigned bits = b->bits + (b->is_v4 ? 96u : 0u);

    return b->is_v4 == ip->is_v4 && ((b->ip.hi ^ ip->ip.hi) & fuzz_mask(bits)) == 0 &&
           ((b->ip.lo ^ ip->ip.lo) & fuzz_mask(bits > 64 ? bits - 64 : 0)) == 0;
}

static int fuzz_compare(akv_slice a, akv_slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int    c = n ? memcmp(a.data, b.data, n) : 0;

    return c ? c : (a.len > b.len) - (a.len < b.len);
}

static bool fuzz_better(const fuzz_line *a, const fuzz_line *b)
{
    if (a->block.bits != b->block.bits)
        return a->block.bits > b->block.bits;
    if (a->block.had_host_bits != b->block.had_host_bits)
        return b->block.had_host_bits;
    return fuzz_compare(a->text, b->text) < 0;
}

static void fuzz_lookup(const akv_fused *f, const fuzz_line *lines, size_t n, akv_slice text)
{
    const fuzz_line *best = NULL;
    fused_block      ip;
    akv_slice        object, key;
    akv_status       st = akv_fused_lookup_ip(f, text, &object, &key);

    if (!akvi_fused_address_parse(text, &ip)) {
        fuzz_must(st == AKV_MISUSE);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (lines[i].is_block && fuzz_holds(&lines[i].block, &ip) &&
            (!best || fuzz_better(&lines[i], best)))
            best = &lines[i];
    fuzz_must(st == (best ? AKV_OK : AKV_ABSENT));
    fuzz_must(!best || (fuzz_compare(key, best->text) == 0 && fuzz_compare(object, key) == 0));
}

/* The address of a block, and the last one in it, as text. */
static void fuzz_lookup_near(const akv_fused *f, const fuzz_line *lines, size_t n,
                             const fused_block *b)
{
    uint64_t hi = b->ip.hi, lo = b->ip.lo;
    char     text[64];

    for (int i = 0; i < 2; i++) {
        if (b->is_v4)
            snprintf(text, sizeof text, "%u.%u.%u.%u", (unsigned)(lo >> 24 & 255),
                     (unsigned)(lo >> 16 & 255), (unsigned)(lo >> 8 & 255), (unsigned)(lo & 255));
        else
            snprintf(text, sizeof text, "%x:%x:%x:%x:%x:%x:%x:%x", (unsigned)(hi >> 48),
                     (unsigned)(hi >> 32 & 0xffff), (unsigned)(hi >> 16 & 0xffff),
                     (unsigned)(hi & 0xffff), (unsigned)(lo >> 48), (unsigned)(lo >> 32 & 0xffff),
                     (unsigned)(lo >> 16 & 0xffff), (unsigned)(lo & 0xffff));
        fuzz_lookup(f, lines, n, akv_str(text));
        hi |= b->is_v4 ? 0 : ~fuzz_mask(b->bits);
        lo |= ~fuzz_mask(b->is_v4 ? 32u + b->bits : b->bits > 64 ? b->bits - 64u : 0u);
        lo &= b->is_v4 ? 0xffffffff : UINT64_MAX;
    }
}

static akv_fused *fuzz_build(const fuzz_line *lines, size_t n)
{
    akv_fused_writer_options writing = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_options        reading = AKV_FUSED_OPTIONS_INIT;
    akv_fused_writer        *w;
    akv_fused               *f;

    writing.env = reading.env = fuzz_env();
    reading.mode              = AKV_FUSED_READ;
    fuzz_must(akv_fused_writer_new(&writing, &w) == AKV_OK);
    for (size_t i = 0; i < n; i++)
        fuzz_must(akv_fused_add(w, lines[i].text, lines[i].text, NULL) == AKV_OK);
    fuzz_must(akv_fused_build(w, "in.fsdb", NULL) == AKV_OK);
    akv_fused_writer_free(w);
    fuzz_must(akv_fused_open("in.fsdb", &reading, &f) == AKV_OK);
    return f;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_line  lines[FUZZ_LINES];
    size_t     n = 0;
    akv_fused *f;

    while (len > 0 && n < FUZZ_LINES) {
        const uint8_t *end  = memchr(data, '\n', len);
        size_t         used = end ? (size_t)(end - data) : len;
        fuzz_line     *l    = &lines[n++];

        l->text     = akv_bytes(data, used);
        l->is_block = used <= 65535 && akvi_fused_block_parse(l->text, &l->block);
        if (used > 65535)
            return 0;
        fuzz_check_block(l);
        used += end != NULL;
        data += used;
        len -= used;
    }
    f = fuzz_build(lines, n);
    for (size_t i = 0; i < n; i++) {
        fuzz_lookup(f, lines, n, lines[i].text);
        if (lines[i].is_block)
            fuzz_lookup_near(f, lines, n, &lines[i].block);
    }
    akv_fused_close(f);
    return 0;
}
