/* SPDX-License-Identifier: MIT
 *
 * test_fused_address.c: look-ups by IP address against a linear search that
 * parses with inet_pton and compares bit by bit, and what counts as an address
 * or block at all.
 */
#include "tests/unit/fused_raw.h"

#include "engines/fused/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define REF_KEYS 600u
#define REF_TEXT 64u

/* ------------------------------------------------------ the linear reference */

typedef struct ref_ip {
    uint8_t  bytes[16];
    unsigned width; /* 32 or 128 */
} ref_ip;

typedef struct ref_key {
    char     text[REF_TEXT];
    ref_ip   ip;
    unsigned bits;
    bool     host_bits;
} ref_key;

typedef struct ref_set {
    ref_key    keys[REF_KEYS];
    size_t     n;
    akv_fused *f;
} ref_set;

static bool ref_bit(const ref_ip *ip, unsigned i)
{
    return ip->bytes[i / 8] >> (7 - i % 8) & 1;
}

/* IPv4-mapped becomes IPv4; bits shrink with it. */
static void ref_unmap(ref_ip *ip, unsigned *bits)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    if (ip->width != 128 || *bits < 96 || memcmp(ip->bytes, mapped, 12) != 0)
        return;
    memmove(ip->bytes, ip->bytes + 12, 4);
    ip->width = 32;
    *bits -= 96;
}

static bool ref_parse(const char *text, ref_ip *ip, unsigned *bits)
{
    memset(ip, 0, sizeof *ip);
    ip->width = inet_pton(AF_INET, text, ip->bytes) == 1    ? 32
                : inet_pton(AF_INET6, text, ip->bytes) == 1 ? 128
                                                            : 0;
    *bits     = *bits < ip->width ? *bits : ip->width;
    return ip->width > 0;
}

static bool ref_holds(const ref_key *k, const ref_ip *ip)
{
    if (k->ip.width != ip->width)
        return false;
    for (unsigned i = 0; i < k->bits; i++) {
        if (ref_bit(&k->ip, i) != ref_bit(ip, i))
            return false;
    }
    return true;
}

/* Whether `a` answers rather than `b`, both holding the address. */
static bool ref_better(const ref_key *a, const ref_key *b)
{
    if (a->bits != b->bits)
        return a->bits > b->bits;
    if (a->host_bits != b->host_bits)
        return b->host_bits;
    return strcmp(a->text, b->text) < 0;
}

static const ref_key *ref_find(const ref_set *s, const ref_ip *ip)
{
    const ref_key *best = NULL;

    for (size_t i = 0; i < s->n; i++) {
        if (ref_holds(&s->keys[i], ip) && (!best || ref_better(&s->keys[i], best)))
            best = &s->keys[i];
    }
    return best;
}

/* ------------------------------------------------------------ random blocks */

/* Addresses near each other, and near the ends of the space. */
static void ref_random_ip(akvt_random *r, unsigned width, ref_ip *ip)
{
    uint64_t kind = akvt_below(r, 8);

    memset(ip, 0, sizeof *ip);
    ip->width = width;
    for (unsigned i = 0; i < width / 8; i++)
        ip->bytes[i] = (uint8_t)(akvt_below(r, 3) ? akvt_below(r, 2) * 0xff : akvt_below(r, 4));
    if (kind == 0)
        memset(ip->bytes, 0xff, width / 8);
    else if (kind == 1)
        memset(ip->bytes, 0, width / 8);
    else if (kind == 2)
        akvt_fill(r, ip->bytes, width / 8);
    else if (kind == 3 && width == 128)
        memcpy(ip->bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
}

static void ref_print_ip(akvt_random *r, const ref_ip *ip, char *out)
{
    if (ip->width == 32) {
        inet_ntop(AF_INET, ip->bytes, out, REF_TEXT);
    } else if (akvt_below(r, 2)) {
        inet_ntop(AF_INET6, ip->bytes, out, REF_TEXT);
    } else {
        for (int i = 0; i < 8; i++)
            out += sprintf(out, "%s%0*X", i ? ":" : "", akvt_below(r, 2) ? 4 : 1,
                           ip->bytes[2 * i] << 8 | ip->bytes[2 * i + 1]);
    }
}

static void ref_random_key(akvt_random *r, ref_key *k)
{
    unsigned width = akvt_below(r, 2) ? 32 : 128;
    bool     bare  = akvt_below(r, 8) == 0;

    ref_random_ip(r, width, &k->ip);
    k->bits = bare ? width : (unsigned)akvt_below(r, width + 1);
    for (unsigned i = k->bits; i < width && akvt_below(r, 4); i++)
        k->ip.bytes[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
    ref_print_ip(r, &k->ip, k->text);
    if (!bare)
        sprintf(k->text + strlen(k->text), "/%u", k->bits);
    ref_unmap(&k->ip, &k->bits);
    k->host_bits = false;
    for (unsigned i = k->bits; i < k->ip.width; i++)
        k->host_bits |= ref_bit(&k->ip, i);
}

/* Some to 600 keys, each leading to its own text, and others that are no block. */
static void ref_build(ref_set *s, akvt_random *r, size_t n, const akv_fused_options *opt)
{
    static const char *const others[] = {"moon",        "",           "1.2.3",  "10.0.0.0/33",
                                         "010.0.0.1",   "1.2.3.4/08", "::/129", "fe80::1%eth0",
                                         "10.0.0.0/8 ", "1:2"};
    const char              *path     = akvt_path(akvt_folder(), "set.fsdb");
    akv_fused_writer        *w;

    assert_ok(akv_fused_writer_new(NULL, &w));
    s->n = n;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && akvt_below(r, 10) == 0)
            s->keys[i] = s->keys[akvt_below(r, i)];
        else
            ref_random_key(r, &s->keys[i]);
        assert_ok(akv_fused_add(w, akv_str(s->keys[i].text), akv_str(s->keys[i].text), NULL));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_ok(akv_fused_add(w, akv_str(others[i]), akv_str("no block"), NULL));
    assert_ok(akv_fused_build(w, path, NULL));
    akv_fused_writer_free(w);
    assert_ok(akv_fused_open(path, opt, &s->f));
}

static void ref_check(const ref_set *s, akvt_random *r, ref_ip ip)
{
    char           text[REF_TEXT];
    akv_slice      object, key;
    unsigned       bits = ip.width, bytes_n = ip.width / 8;
    akv_slice      bytes;
    uint8_t        raw[16];
    const ref_key *want;

    memcpy(raw, ip.bytes, sizeof raw);
    bytes = akv_bytes(raw, bytes_n);
    ref_print_ip(r, &ip, text);
    ref_unmap(&ip, &bits);
    want = ref_find(s, &ip);
    assert_status(want ? AKV_OK : AKV_ABSENT,
                  akv_fused_lookup_ip(s->f, akv_str(text), &object, &key));
    assert_slice(key, want ? want->text : "");
    assert_slice(object, want ? want->text : "");
    assert_status(want ? AKV_OK : AKV_ABSENT,
                  akv_fused_lookup_ip_bytes(s->f, bytes, &object, NULL));
    assert_slice(object, want ? want->text : "");
}

/* The first and last address of a block, and those just outside. */
static void ref_check_edges(const ref_set *s, akvt_random *r, const ref_key *k)
{
    for (int side = 0; side < 2; side++) {
        ref_ip ip = k->ip;
        int    at = (int)ip.width / 8 - 1;

        for (unsigned i = k->bits; i < ip.width; i++) {
            ip.bytes[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
            ip.bytes[i / 8] |= (uint8_t)(side ? 0x80 >> i % 8 : 0);
        }
        ref_check(s, r, ip);
        for (; at >= 0; at--) {
            ip.bytes[at] = (uint8_t)(ip.bytes[at] + (side ? 1 : 255));
            if (ip.bytes[at] != (side ? 0 : 255))
                break;
        }
        ref_check(s, r, ip);
    }
}

static void test_fused_lookup_ip_answers_as_a_linear_search(void **state)
{
    akvt_random r = akvt_random_new(1);
    ref_set    *s = malloc(sizeof *s);

    (void)state;
    assert_non_null(s);
    for (unsigned round = 0; round < 24 * akvt_scale(); round++) {
        ref_build(s, &r, round < 8 ? round : 1 + akvt_below(&r, REF_KEYS), NULL);
        for (size_t i = 0; i < s->n; i++)
            ref_check_edges(s, &r, &s->keys[i]);
        for (int i = 0; i < 300; i++) {
            ref_ip ip;

            ref_random_ip(&r, i % 2 ? 32 : 128, &ip);
            ref_check(s, &r, ip);
        }
        akv_fused_close(s->f);
    }
    free(s);
}

/* ---------------------------------------------------------------- the promises */

static akv_fused *case_open(const char *const *keys)
{
    const char       *path = akvt_path(akvt_folder(), "case.fsdb");
    akv_fused_writer *w;
    akv_fused        *f;

    assert_ok(akv_fused_writer_new(NULL, &w));
    for (; *keys; keys++)
        assert_ok(akv_fused_add(w, akv_str(*keys), akv_str(*keys), NULL));
    assert_ok(akv_fused_build(w, path, NULL));
    akv_fused_writer_free(w);
    assert_ok(akv_fused_open(path, NULL, &f));
    return f;
}

#define case_finds(f, address, want)                                                    \
    do {                                                                                \
        akv_slice case_object, case_key;                                                \
        assert_ok(akv_fused_lookup_ip((f), akv_str(address), &case_object, &case_key)); \
        assert_slice(case_key, (want));                                                 \
        assert_slice(case_object, (want));                                              \
    } while (0)
#define case_absent(f, address)                                                             \
    do {                                                                                    \
        akv_slice case_object, case_key;                                                    \
        assert_status(AKV_ABSENT,                                                           \
                      akv_fused_lookup_ip((f), akv_str(address), &case_object, &case_key)); \
        assert_null(case_object.data);                                                      \
        assert_null(case_key.data);                                                         \
    } while (0)

static void test_fused_lookup_ip_prefers_the_longest_block(void **state)
{
    static const char *const keys[] = {"10.0.0.0/8",    "10.1.0.0/16",   "10.1.2.3",
                                       "10.1.2.4/32",   "2001:db8::/32", "2001:db8:1::/48",
                                       "2001:db8:1::1", "0.0.0.0/0",     NULL};
    akv_fused               *f      = case_open(keys);

    (void)state;
    case_finds(f, "10.2.0.0", "10.0.0.0/8");
    case_finds(f, "10.1.255.255", "10.1.0.0/16");
    case_finds(f, "10.1.2.3", "10.1.2.3");
    case_finds(f, "10.1.2.4", "10.1.2.4/32");
    case_finds(f, "10.1.2.5", "10.1.0.0/16");
    case_finds(f, "9.255.255.255", "0.0.0.0/0");
    case_finds(f, "255.255.255.255", "0.0.0.0/0");
    case_finds(f, "2001:DB8:1::1", "2001:db8:1::1");
    case_finds(f, "2001:db8:1::2", "2001:db8:1::/48");
    case_finds(f, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::/32");
    case_absent(f, "2001:db9::");
    case_absent(f, "::");
    akv_fused_close(f);
}

static void test_fused_lookup_ip_takes_mapped_addresses_for_ipv4(void **state)
{
    static const char *const keys[] = {"192.0.2.0/24", "::ffff:198.51.100.0/120",
                                       "::ffff:203.0.113.7", "::/0", NULL};
    akv_fused               *f      = case_open(keys);

    (void)state;
    case_finds(f, "::ffff:192.0.2.1", "192.0.2.0/24");
    case_finds(f, "::FFFF:c000:0201", "192.0.2.0/24");
    case_finds(f, "198.51.100.9", "::ffff:198.51.100.0/120");
    case_finds(f, "203.0.113.7", "::ffff:203.0.113.7");
    case_finds(f, "::192.0.2.1", "::/0");
    case_absent(f, "203.0.113.8");
    case_absent(f, "::ffff:203.0.113.8");
    akv_fused_close(f);
}

static void test_fused_lookup_ip_of_one_block_named_twice_is_defined(void **state)
{
    static const char *const keys[] = {"10.0.0.1/8",          "10.0.0.0/8",    "10.9.9.9/8",
                                       "10.0.0.5/32",         "10.0.0.5",      "11.0.0.9/8",
                                       "11.0.0.1/8",          "2001:DB8::/32", "2001:db8::/32",
                                       "::ffff:12.0.0.0/104", "12.0.0.0/8",    NULL};
    akv_fused               *f      = case_open(keys);

    (void)state;
    case_finds(f, "10.200.0.0", "10.0.0.0/8");
    case_finds(f, "10.0.0.5", "10.0.0.5");
    case_finds(f, "11.0.0.0", "11.0.0.1/8");
    case_finds(f, "2001:db8::", "2001:DB8::/32");
    case_finds(f, "12.1.1.1", "12.0.0.0/8");
    akv_fused_close(f);
}

static void test_fused_lookup_ip_refuses_what_is_no_address(void **state)
{
    static const char *const keys[] = {"0.0.0.0/0", "::/0", NULL};
    static const char *const bad[]  = {"",
                                       " ",
                                       ".",
                                       ":",
                                       "::1 ",
                                       " 1.2.3.4",
                                       "1.2.3.4\n",
                                       "1.2.3",
                                       "1.2.3.4.5",
                                       "1.2.3.4.",
                                       ".1.2.3.4",
                                       "1..2.3",
                                       "256.1.1.1",
                                       "1.2.3.4294967297",
                                       "01.2.3.4",
                                       "1.2.3.00",
                                       "0x1.2.3.4",
                                       "+1.2.3.4",
                                       "-1.2.3.4",
                                       "1.2.3.4/32",
                                       "::/0",
                                       "1",
                                       "16909060",
                                       "localhost",
                                       ":::",
                                       "::1::",
                                       "1:2:3:4:5:6:7",
                                       "1:2:3:4:5:6:7:8:9",
                                       "1:2:3:4:5:6:7:8::",
                                       "::1:2:3:4:5:6:7:8",
                                       "12345::",
                                       "00001::",
                                       "g::",
                                       ":1",
                                       "1:",
                                       "1:2:",
                                       "::1:",
                                       "[::1]",
                                       "fe80::1%lo",
                                       "::1.2.3",
                                       "::256.0.0.1",
                                       "::01.2.3.4",
                                       "1:2:3:4:5:6:7:1.2.3.4",
                                       "::1.2.3.4:5",
                                       "1.2.3.4::",
                                       "::ffff:1.2.3.4.5",
                                       "1.2.3.4:80",
                                       "\xff"};
    akv_fused               *f      = case_open(keys);
    akv_slice                object, key;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        akv_status st = akv_fused_lookup_ip(f, akv_str(bad[i]), &object, &key);

        if (st != AKV_MISUSE)
            fail_msg("'%s': %s", bad[i], akv_status_name(st));
        assert_non_null(strstr(akv_last_error()->text, "is no IP address such as"));
        assert_null(object.data);
        assert_null(key.data);
    }
    assert_status(AKV_MISUSE, akv_fused_lookup_ip(f, akv_bytes("1.2.3.4\0", 8), &object, &key));
    assert_status(AKV_MISUSE, akv_fused_lookup_ip(NULL, akv_str("::"), &object, &key));
    assert_status(AKV_MISUSE, akv_fused_lookup_ip(f, akv_bytes(NULL, 1), &object, &key));
    assert_status(AKV_MISUSE, akv_fused_lookup_ip(f, akv_str("::"), NULL, &key));
    assert_status(AKV_MISUSE, akv_fused_lookup_ip(f, akv_bytes(NULL, 0), &object, &key));
    for (size_t len = 0; len <= 17; len++) {
        akv_status want = len == 4 || len == 16 ? AKV_OK : AKV_MISUSE;

        assert_status(
            want, akv_fused_lookup_ip_bytes(f, akv_bytes("0123456789abcdefg", len), &object, NULL));
    }
    assert_error_has("17 bytes: IPv4 has 4, IPv6 has 16");
    assert_status(AKV_MISUSE, akv_fused_ip_index(NULL));
    akv_fused_close(f);
}

/* Made from pieces of addresses, so that many are nearly right. */
static void test_fused_addresses_parse_as_inet_pton_does(void **state)
{
    static const char *const parts[] = {
        "0", "1", "9", "25", "255", "256",  "00",    ".",       ".", ".",
        ":", ":", ":", "::", "f",   "FFff", "ffff0", "1.2.3.4", "g"};
    akvt_random r    = akvt_random_new(2);
    size_t      good = 0;

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        char        text[128] = "";
        unsigned    bits = 128, n = 1 + (unsigned)akvt_below(&r, 16);
        fused_block block;
        ref_ip      ip;
        bool        want;

        for (unsigned k = 0; k < n; k++) {
            strcat(text, parts[akvt_below(&r, sizeof parts / sizeof *parts)]);
            if (akvt_below(&r, 3) == 0)
                strcat(text, k % 2 ? ":1" : "::");
        }
        want = ref_parse(text, &ip, &bits);
        if (akvi_fused_address_parse(akv_str(text), &block) != want)
            fail_msg("'%s' should %sbe an address", text, want ? "" : "not ");
        if (!want)
            continue;
        good++;
        ref_unmap(&ip, &bits);
        assert_int_equal(block.is_v4, ip.width == 32);
        assert_int_equal(block.bits, ip.width);
        assert_false(block.had_host_bits);
        if (block.is_v4) {
            assert_int_equal(block.ip.lo, akvi_get_be32(ip.bytes));
        } else {
            assert_int_equal(block.ip.hi, akvi_get_be64(ip.bytes));
            assert_int_equal(block.ip.lo, akvi_get_be64(ip.bytes + 8));
        }
    }
    assert_true(good > 500);
}

static void test_fused_blocks_are_parsed_strictly(void **state)
{
    static const char *const bad[] = {
        "1.2.3.4/",      "1.2.3.4/33", "1.2.3.4/032", "1.2.3.4/00", "1.2.3.4/+8", "1.2.3.4/8 ",
        "1.2.3.4/8/8",   "1.2.3/8",    "/8",          "::/129",     "::/0128",    "::/-1",
        "::/4294967296", "::/1x",      "1.2.3.4//8",  "10/8"};
    fused_block b;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (akvi_fused_block_parse(akv_str(bad[i]), &b))
            fail_msg("'%s' is taken for a block", bad[i]);
    }
    assert_true(akvi_fused_block_parse(akv_str("10.255.0.1/9"), &b));
    assert_true(b.is_v4 && b.bits == 9 && b.had_host_bits && b.ip.lo == 0x0a800000);
    assert_true(akvi_fused_block_parse(akv_str("::ffff:1.2.3.4/96"), &b));
    assert_true(b.is_v4 && b.bits == 0 && b.had_host_bits && b.ip.lo == 0);
    assert_true(akvi_fused_block_parse(akv_str("::ffff:1.2.3.4/95"), &b));
    assert_true(!b.is_v4 && b.bits == 95 && b.had_host_bits && b.ip.lo == UINT64_C(0xfffe00000000));
    assert_true(akvi_fused_block_parse(akv_str("ffff::/0"), &b));
    assert_true(!b.is_v4 && b.bits == 0 && b.had_host_bits && b.ip.hi == 0);
    assert_true(akvi_fused_block_parse(akv_str("1:2:3:4:5:6:7:8/64"), &b));
    assert_true(b.had_host_bits && b.ip.hi == UINT64_C(0x0001000200030004) && b.ip.lo == 0);
    assert_true(akvi_fused_block_parse(akv_str("1:2:3:4:5:6:7:8/65"), &b));
    assert_true(b.had_host_bits && b.ip.lo == 0);
}

static void test_fused_info_counts_blocks_once_they_are_indexed(void **state)
{
    static const char *const keys[] = {"10.0.0.0/8", "10.0.0.1", "::1",  "::ffff:1.2.3.4",
                                       "moon",       "1.2.3",    "12/8", NULL};
    akv_fused               *f      = case_open(keys);
    akv_fused_info           before = AKV_FUSED_INFO_INIT, after = AKV_FUSED_INFO_INIT;

    (void)state;
    assert_ok(akv_fused_info_get(f, &before));
    assert_false(before.ip_indexed);
    assert_int_equal(before.ip_v4_keys + before.ip_v6_keys + before.ip_others, 0);
    assert_ok(akv_fused_ip_index(f));
    assert_ok(akv_fused_ip_index(f));
    assert_ok(akv_fused_info_get(f, &after));
    assert_true(after.ip_indexed);
    assert_int_equal(after.ip_v4_keys, 3);
    assert_int_equal(after.ip_v6_keys, 1);
    assert_int_equal(after.ip_others, 3);
    assert_true(after.memory > before.memory);
    akv_fused_close(f);
}

static void test_fused_lookup_ip_without_any_block_is_absent(void **state)
{
    static const char *const none[] = {NULL}, *const words[] = {"moon", "sun", NULL},
                             *const six[] = {"::1", NULL};
    akv_fused                      *f;

    (void)state;
    for (int i = 0; i < 3; i++) {
        f = case_open(i == 0 ? none : i == 1 ? words : six);
        case_absent(f, "0.0.0.0");
        case_absent(f, "::");
        case_absent(f, "255.255.255.255");
        akv_fused_close(f);
    }
}

/* Out of order and twice: the last of equal keys is the one that answers. */
static void test_fused_lookup_ip_in_an_unsorted_index(void **state)
{
    const char *path = akvt_path(akvt_folder(), "unsorted.fsdb");
    akv_buffer  b    = AKV_BUFFER_INIT;
    akv_slice   object, key;
    uint64_t    one, two;
    akv_fused  *f;

    (void)state;
    raw_header(&b);
    one = raw_object(&b, "one");
    two = raw_object(&b, "two");
    raw_entry(&b, akv_str("9.0.0.0/8"), one);
    raw_entry(&b, akv_str("10.0.0.0/8"), one);
    raw_entry(&b, akv_str("9.0.0.0/8"), two);
    raw_entry(&b, akv_str("11.0.0.0/8"), UINT64_MAX);
    raw_write(&b, path);
    assert_ok(akv_fused_open(path, NULL, &f));
    assert_ok(akv_fused_lookup_ip(f, akv_str("9.1.1.1"), &object, NULL));
    assert_slice(object, "two");
    assert_ok(akv_fused_lookup_ip(f, akv_str("10.1.1.1"), &object, NULL));
    assert_slice(object, "one");
    assert_status(AKV_CORRUPT, akv_fused_lookup_ip(f, akv_str("11.1.1.1"), &object, &key));
    assert_null(object.data);
    assert_slice(key, "11.0.0.0/8");
    akv_fused_close(f);
    akv_buffer_free(&b);
}

/* ---------------------------------------------------------- threads and memory */

/* Ask for the address that a key is written with; true when the answer is right. */
static bool key_is_found(const ref_set *s, const ref_key *k, akv_status *status_out)
{
    ref_ip         ip   = k->ip;
    unsigned       bits = ip.width;
    akv_slice      object, key;
    const ref_key *want;

    ref_unmap(&ip, &bits);
    want = ref_find(s, &ip);
    *status_out =
        akv_fused_lookup_ip_bytes(s->f, akv_bytes(k->ip.bytes, k->ip.width / 8), &object, &key);
    if (!want)
        return *status_out == AKV_ABSENT;
    return *status_out == AKV_OK && key.len == strlen(want->text) &&
           memcmp(key.data, want->text, key.len) == 0;
}

static void *threads_look_up(void *user)
{
    const ref_set *s    = user;
    size_t         good = 0;
    akv_status     st;

    for (size_t i = 0; i < s->n; i++)
        good += key_is_found(s, &s->keys[i], &st);
    return good == s->n ? user : NULL;
}

static void test_fused_lookup_ip_by_threads_makes_one_index(void **state)
{
    akvt_random r = akvt_random_new(3);
    ref_set    *s = malloc(sizeof *s);

    (void)state;
    assert_non_null(s);
    for (int round = 0; round < 3; round++) {
        pthread_t threads[6];

        ref_build(s, &r, 300, NULL);
        for (size_t i = 0; i < 6; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, threads_look_up, s), 0);
        for (size_t i = 0; i < 6; i++) {
            void *fine = NULL;

            pthread_join(threads[i], &fine);
            assert_ptr_equal(fine, s);
        }
        akv_fused_close(s->f);
    }
    free(s);
}

static void test_fused_ip_index_without_memory_fails_and_can_be_made_later(void **state)
{
    akvt_random       r   = akvt_random_new(4);
    akv_fused_options opt = AKV_FUSED_OPTIONS_INIT;
    ref_set          *s   = malloc(sizeof *s);
    int64_t           out;
    akv_status        st = AKV_NOMEM;

    (void)state;
    assert_non_null(s);
    opt.allocator = akvt_failing_allocator(0);
    ref_build(s, &r, 100, &opt);
    out = akvt_allocator_out();
    for (uint64_t nth = 1; st == AKV_NOMEM; nth++) {
        bool found;

        akvt_failing_allocator(nth);
        found = key_is_found(s, &s->keys[0], &st);
        if (st == AKV_NOMEM) {
            assert_int_equal(akv_last_error()->code, AKV_NOMEM);
            assert_int_equal(akvt_allocator_out(), 0);
        } else {
            assert_true(found);
            assert_true(nth > 5);
        }
        assert_true(nth < 20);
    }
    akv_fused_close(s->f);
    assert_int_equal(akvt_allocator_out(), -out); /* counted anew since */
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused_lookup_ip_answers_as_a_linear_search),
        cmocka_unit_test(test_fused_lookup_ip_prefers_the_longest_block),
        cmocka_unit_test(test_fused_lookup_ip_takes_mapped_addresses_for_ipv4),
        cmocka_unit_test(test_fused_lookup_ip_of_one_block_named_twice_is_defined),
        cmocka_unit_test(test_fused_lookup_ip_refuses_what_is_no_address),
        cmocka_unit_test(test_fused_addresses_parse_as_inet_pton_does),
        cmocka_unit_test(test_fused_blocks_are_parsed_strictly),
        cmocka_unit_test(test_fused_info_counts_blocks_once_they_are_indexed),
        cmocka_unit_test(test_fused_lookup_ip_without_any_block_is_absent),
        cmocka_unit_test(test_fused_lookup_ip_in_an_unsorted_index),
        cmocka_unit_test(test_fused_lookup_ip_by_threads_makes_one_index),
        cmocka_unit_test(test_fused_ip_index_without_memory_fails_and_can_be_made_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
