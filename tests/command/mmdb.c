/* SPDX-License-Identifier: MIT
 *
 * mmdb.c: for test_fused_mmdb.sh: makes MaxMind databases, sound and hostile,
 * and compares one with the .fsdb file that the command made of it.
 *
 *     mmdb make KIND FILE.mmdb [RECORD_BITS [SEED]]
 *     mmdb compare FILE.mmdb FILE.fsdb
 */
#include "bench/mmdb_write.h"

#include <anykv/doc.h>
#include <anykv/fused.h>

#include <arpa/inet.h>
#include <inttypes.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MMDB_NETWORKS 3000u
#define MMDB_RECORDS  40u
#define MMDB_DRAWS    20000u

static uint64_t mmdb_state = 1;

static uint64_t mmdb_draw(void)
{
    mmdb_state ^= mmdb_state << 13;
    mmdb_state ^= mmdb_state >> 7;
    mmdb_state ^= mmdb_state << 17;
    return mmdb_state * UINT64_C(0x2545f4914f6cdd1d);
}

static int mmdb_failed(const char *what)
{
    fprintf(stderr, "mmdb: %s: %s\n", what, akv_last_error()->text);
    return 1;
}

/* --------------------------------------------------------------------- make */

/* A document with every type there is, of its own number. */
static uint32_t make_record(mmdb_writer *w, unsigned i, uint32_t shared)
{
    uint32_t    here = mmdb_here(w);
    char        text[400];
    mmdb_bytes *to = &w->data;

    memset(text, 'a' + i % 26, sizeof text);
    text[i * 9 % sizeof text] = '\0';
    mmdb_put_map(to, 13);
    mmdb_put_string(to, "number");
    mmdb_put_uint32(to, i);
    mmdb_put_string(to, "text");
    mmdb_put_string(to, text);
    mmdb_put_string(to, "bytes");
    mmdb_put_bytes(to, "\0\xff\x80", i % 4);
    mmdb_put_string(to, "double");
    mmdb_put_double(to, i / 7.0);
    mmdb_put_string(to, "float");
    mmdb_put_float(to, (float)i / 7.0f);
    mmdb_put_string(to, "yes");
    mmdb_put_bool(to, i % 2);
    mmdb_put_string(to, "u16");
    mmdb_put_uint16(to, (uint16_t)(i * 2111));
    mmdb_put_string(to, "i32");
    mmdb_put_int32(to, -(int32_t)i * 99999);
    mmdb_put_string(to, "u64");
    mmdb_put_uint64(to, UINT64_MAX - i);
    mmdb_put_string(to, "u128");
    mmdb_put_uint128(to, i % 3, i);
    mmdb_put_string(to, "list");
    mmdb_put_array(to, i % 50);
    for (unsigned k = 0; k < i % 50; k++)
        mmdb_put_uint16(to, (uint16_t)k);
    mmdb_put_string(to, "pointed");
    mmdb_put_pointer(to, shared);
    mmdb_put_string(to, "after");
    mmdb_put_array(to, 2);
    mmdb_put_map(to, 0);
    mmdb_put_pointer(to, shared);
    return here;
}

/* What all records point at; its key is pointed at as well. */
static uint32_t make_shared(mmdb_writer *w)
{
    uint32_t key = mmdb_here(w), here;

    mmdb_put_string(&w->data, "name");
    here = mmdb_here(w);
    mmdb_put_map(&w->data, 2);
    mmdb_put_pointer(&w->data, key);
    mmdb_put_array(&w->data, 1);
    mmdb_put_array(&w->data, 0);
    mmdb_put_string(&w->data, "code");
    mmdb_put_pointer(&w->data, key);
    return here;
}

typedef struct make_block {
    uint8_t  ip[16];
    unsigned bits;
} make_block;

/* Half of a tree of IPv6 is IPv4, and what nests is common. */
static make_block make_draw(bool is_v6, const make_block *blocks, unsigned n)
{
    unsigned   bytes = is_v6 ? 16 : 4, width = 8 * bytes;
    make_block b        = {.bits = 8 + (unsigned)(mmdb_draw() % (width - 7))};
    bool       v4_in_v6 = is_v6 && mmdb_draw() % 2;

    for (unsigned i = v4_in_v6 ? 12 : 0; i < bytes; i++)
        b.ip[i] = (uint8_t)mmdb_draw();
    if (v4_in_v6)
        b.bits = 104 + (unsigned)(mmdb_draw() % 25);
    else if (is_v6)
        b.ip[0] |= 0x30; /* beside ::/96, ::ffff:0:0/96 and 2002::/16 */
    if (n > 0 && mmdb_draw() % 2)
        memcpy(b.ip, blocks[mmdb_draw() % n].ip, mmdb_draw() % bytes);
    return b;
}

static void make_random(mmdb_writer *w)
{
    static const uint8_t mapped[16]   = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t six_to_4[16] = {0x20, 0x02};
    static make_block    blocks[MMDB_NETWORKS];
    uint32_t             records[MMDB_RECORDS], shared = make_shared(w);
    unsigned             width = w->ip_version == 6 ? 128 : 32;

    for (unsigned i = 0; i < MMDB_RECORDS; i++)
        records[i] = make_record(w, i, shared);
    for (unsigned i = 0; i < MMDB_NETWORKS; i++)
        blocks[i] = make_draw(width == 128, blocks, i);
    for (unsigned bits = 1; bits <= width; bits++)
        for (unsigned i = 0; i < MMDB_NETWORKS; i++)
            if (blocks[i].bits == bits)
                mmdb_insert(w, blocks[i].ip, bits, records[mmdb_draw() % MMDB_RECORDS]);
    if (w->ip_version == 6) {
        mmdb_alias(w, mapped, 96);
        mmdb_alias(w, six_to_4, 16);
    }
}

/* Trees and records that no honest writer makes. */
static int make_hostile(mmdb_writer *w, const char *kind)
{
    static const uint8_t ip[16] = {0x30};
    uint32_t             record = 0;

    mmdb_insert(w, ip, 8, 0);
    if (!strcmp(kind, "loop")) {
        w->nodes[7][0] = 1;
        mmdb_put_string(&w->data, "leaf");
    } else if (!strcmp(kind, "meet")) {
        mmdb_put_string(&w->data, "leaf");
        for (unsigned i = 0; i + 1 < 100; i++)
            mmdb_insert(w, ip, i + 2, 0);
        for (uint32_t i = 0; i + 1 < w->nodes_n; i++)
            w->nodes[i][0] = w->nodes[i][1] = i + 1;
    } else if (!strcmp(kind, "outside")) {
        w->nodes[7][0] = MMDB_LEAF | 4000;
    } else if (!strcmp(kind, "grow")) { /* arrays of pointers to the array before */
        mmdb_put_string(&w->data, "laugh");
        for (unsigned i = 0; i < 40; i++) {
            uint32_t before = record;

            record = mmdb_here(w);
            mmdb_put_array(&w->data, 10);
            for (unsigned k = 0; k < 10; k++)
                mmdb_put_pointer(&w->data, before);
        }
        mmdb_insert(w, ip, 8, record);
    } else if (!strcmp(kind, "deep")) {
        for (unsigned i = 0; i < 1000; i++)
            mmdb_put_array(&w->data, 1);
    } else if (!strcmp(kind, "self")) {
        mmdb_put_array(&w->data, 1);
        mmdb_put_pointer(&w->data, 0);
    } else if (!strcmp(kind, "key")) {
        mmdb_put_map(&w->data, 1);
        mmdb_put_uint16(&w->data, 1);
        mmdb_put_uint16(&w->data, 1);
    } else if (!strcmp(kind, "utf8")) {
        mmdb_put_string(&w->data, "\xff");
    } else if (!strcmp(kind, "cut")) {
        mmdb_put_array(&w->data, 70000);
    } else {
        return 2;
    }
    return 0;
}

/* All IPv6 addresses have one record, and all IPv4 so too; one beside it. */
static void make_whole(mmdb_writer *w)
{
    static const uint8_t zero[16], other[16] = {0x30};

    mmdb_put_string(&w->data, "rest");
    mmdb_insert(w, zero, 1, 0);
    mmdb_insert(w, other, 8, 0);
}

static int make_main(int argc, char **argv)
{
    const char  *kind = argv[2];
    unsigned     bits = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 0;
    mmdb_writer *w    = mmdb_new(strcmp(kind, "v4") ? 6 : 4, bits);
    int          rc   = 0;

    if (argc > 5)
        mmdb_state = strtoull(argv[5], NULL, 10);
    if (!strcmp(kind, "v4") || !strcmp(kind, "v6"))
        make_random(w);
    else if (!strcmp(kind, "whole"))
        make_whole(w);
    else if (strcmp(kind, "empty") != 0)
        rc = make_hostile(w, kind);
    if (rc == 0 && mmdb_write(w, argv[3]) != 0) {
        perror(argv[3]);
        rc = 1;
    }
    mmdb_free(w);
    return rc;
}

/* ------------------------------------------------------------------ compare */

typedef struct compare {
    MMDB_s     db;
    akv_fused *f;
    uint64_t   keys, draws, found;
} compare;

static bool compare_number(const akv_doc_event *event, uint64_t want)
{
    return (event->type == AKV_DOC_INT && event->i64 >= 0 && (uint64_t)event->i64 == want) ||
           (event->type == AKV_DOC_UINT && event->u64 == want);
}

static bool compare_uint128(const akv_doc_event *event, const MMDB_entry_data_s *e)
{
    mmdb_uint128_t value = e->uint128;
    char           text[2 + 32 + 1];

    if (value >> 64 == 0)
        return compare_number(event, (uint64_t)value);
    snprintf(text, sizeof text, "0x%016" PRIx64 "%016" PRIx64, (uint64_t)(value >> 64),
             (uint64_t)value);
    return event->type == AKV_DOC_STRING && event->bytes.len == strlen(text) &&
           !memcmp(event->bytes.data, text, event->bytes.len);
}

static bool compare_bytes(const akv_doc_event *event, akv_doc_type type, const void *data, size_t n)
{
    return event->type == type && event->bytes.len == n &&
           (n == 0 || !memcmp(event->bytes.data, data, n));
}

static bool compare_value(const akv_doc_event *event, const MMDB_entry_data_s *e)
{
    switch (e->type) {
    case MMDB_DATA_TYPE_MAP: return event->type == AKV_DOC_MAP && event->count == e->data_size;
    case MMDB_DATA_TYPE_ARRAY: return event->type == AKV_DOC_ARRAY && event->count == e->data_size;
    case MMDB_DATA_TYPE_UTF8_STRING:
        return compare_bytes(event, AKV_DOC_STRING, e->utf8_string, e->data_size);
    case MMDB_DATA_TYPE_BYTES: return compare_bytes(event, AKV_DOC_BINARY, e->bytes, e->data_size);
    case MMDB_DATA_TYPE_DOUBLE:
        return event->type == AKV_DOC_NUMBER && !event->is_float32 && event->f64 == e->double_value;
    case MMDB_DATA_TYPE_FLOAT:
        return event->type == AKV_DOC_NUMBER && event->is_float32 &&
               event->f64 == (double)e->float_value;
    case MMDB_DATA_TYPE_UINT16: return compare_number(event, e->uint16);
    case MMDB_DATA_TYPE_UINT32: return compare_number(event, e->uint32);
    case MMDB_DATA_TYPE_UINT64: return compare_number(event, e->uint64);
    case MMDB_DATA_TYPE_UINT128: return compare_uint128(event, e);
    case MMDB_DATA_TYPE_INT32: return event->type == AKV_DOC_INT && event->i64 == e->int32;
    case MMDB_DATA_TYPE_BOOLEAN: return event->type == AKV_DOC_BOOL && event->boolean == e->boolean;
    default: return false;
    }
}

/* The record and the object, piece by piece. */
static bool compare_record(MMDB_entry_s *entry, akv_slice object)
{
    MMDB_entry_data_list_s *list = NULL, *at;
    akv_doc_reader         *reader;
    akv_doc_event           event;
    bool                    same = true;

    if (MMDB_get_entry_data_list(entry, &list) != MMDB_SUCCESS ||
        akv_doc_reader_msgpack(object, NULL, &reader) != AKV_OK)
        return false;
    at = list;
    while (same && akv_doc_next(reader, &event) == AKV_OK) {
        if (event.type == AKV_DOC_ARRAY_END || event.type == AKV_DOC_MAP_END)
            continue;
        same = at && compare_value(&event, &at->entry_data);
        at   = at ? at->next : NULL;
    }
    same = same && !at && akv_doc_next(reader, &event) == AKV_END;
    akv_doc_reader_free(reader);
    MMDB_free_entry_data_list(list);
    return same;
}

static MMDB_lookup_result_s compare_ask(const compare *c, const uint8_t *ip, bool is_v4)
{
    struct sockaddr_in6 six  = {.sin6_family = AF_INET6};
    struct sockaddr_in  four = {.sin_family = AF_INET};
    int                 rc   = 0;

    memcpy(&six.sin6_addr, ip, 16);
    memcpy(&four.sin_addr, ip, 4);
    return MMDB_lookup_sockaddr(
        &c->db, is_v4 ? (const struct sockaddr *)&four : (const struct sockaddr *)&six, &rc);
}

/* One address in both: found or not, the same network, the same record. */
static int compare_address(compare *c, const uint8_t *ip, bool is_v4)
{
    MMDB_lookup_result_s want = compare_ask(c, ip, is_v4);
    akv_slice            object, key;
    char                 shown[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 4] = "";
    unsigned             bits = want.netmask, got = 0;
    akv_status st = akv_fused_lookup_ip_bytes(c->f, akv_bytes(ip, is_v4 ? 4 : 16), &object, &key);

    c->draws++;
    c->found += st == AKV_OK;
    if (is_v4 && c->db.metadata.ip_version == 6)
        bits = bits < 96 ? 0 : bits - 96; /* one shorter than ::/96 holds all of IPv4 */
    snprintf(text, sizeof text, "%.*s", (int)(key.len < 48 ? key.len : 48), (const char *)key.data);
    if (strchr(text, '/'))
        got = (unsigned)strtoul(strchr(text, '/') + 1, NULL, 10);
    if (st == AKV_ABSENT ? !want.found_entry
                         : st == AKV_OK && want.found_entry && got == bits &&
                               compare_record(&want.entry, object))
        return 0;
    inet_ntop(is_v4 ? AF_INET : AF_INET6, ip, shown, sizeof shown);
    fprintf(stderr, "mmdb: %s: libmaxminddb %s /%u, here %s in '%s'\n", shown,
            want.found_entry ? "finds" : "lacks", bits, akv_status_name(st), text);
    return 1;
}

/* Addresses that a file of ours answers otherwise, and says so: aliases, and
 * IPv4 written as ::a.b.c.d. */
static bool compare_is_alias(const uint8_t *ip)
{
    static const uint8_t zero[12];

    return !memcmp(ip, zero, 12) || (ip[0] == 0x20 && ip[1] == 0x02);
}

static int compare_some(compare *c, const uint8_t *near, unsigned bytes, bool is_v4)
{
    uint8_t  ip[16];
    unsigned keep = near ? (unsigned)(mmdb_draw() % (bytes + 1)) : 0;

    for (unsigned i = 0; i < 16; i++)
        ip[i] = (uint8_t)mmdb_draw();
    if (near)
        memcpy(ip, near, keep);
    if (!is_v4 && (compare_is_alias(ip) || c->db.metadata.ip_version == 4))
        return 0;
    return compare_address(c, ip, is_v4);
}

/* A key's own addresses: the first, the last, and some near. */
static int compare_key(compare *c, akv_slice key)
{
    char     text[INET6_ADDRSTRLEN + 8], *slash;
    uint8_t  ip[16] = {0};
    unsigned bits;
    bool     is_v4;
    int      rc;

    c->keys++;
    snprintf(text, sizeof text, "%.*s", (int)(key.len < 50 ? key.len : 50), (const char *)key.data);
    slash = strchr(text, '/');
    if (!slash)
        return mmdb_failed("a key that is no block");
    bits   = (unsigned)strtoul(slash + 1, NULL, 10);
    *slash = '\0';
    is_v4  = inet_pton(AF_INET, text, ip) == 1;
    if (!is_v4 && inet_pton(AF_INET6, text, ip) != 1)
        return mmdb_failed("a key that is no block");
    rc = !is_v4 && compare_is_alias(ip) ? 0 : compare_address(c, ip, is_v4);
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = compare_some(c, ip, is_v4 ? 4 : 16, is_v4);
    for (unsigned i = bits; i < (is_v4 ? 32 : 128); i++)
        ip[i / 8] |= (uint8_t)(0x80 >> i % 8);
    return rc ? rc : !is_v4 && compare_is_alias(ip) ? 0 : compare_address(c, ip, is_v4);
}

static int compare_main(char **argv)
{
    compare          c = {.keys = 0};
    akv_fused_cursor cursor;
    int              rc = 0;

    if (MMDB_open(argv[2], MMDB_MODE_MMAP, &c.db) != MMDB_SUCCESS) {
        fprintf(stderr, "mmdb: can't open %s\n", argv[2]);
        return 1;
    }
    if (akv_fused_open(argv[3], NULL, &c.f) != AKV_OK ||
        akv_fused_cursor_all(c.f, &cursor) != AKV_OK)
        return mmdb_failed(argv[3]);
    while (rc == 0 && akv_fused_cursor_next(&cursor) == AKV_OK)
        rc = compare_key(&c, cursor.key);
    for (unsigned i = 0; i < MMDB_DRAWS && rc == 0; i++)
        rc = compare_some(&c, NULL, 0, i % 2);
    printf("%" PRIu64 " networks, %" PRIu64 " of %" PRIu64 " addresses found: %s\n", c.keys,
           c.found, c.draws, rc == 0 ? "the same" : "different");
    akv_fused_close(c.f);
    MMDB_close(&c.db);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc >= 4 && !strcmp(argv[1], "make"))
        return make_main(argc, argv);
    if (argc == 4 && !strcmp(argv[1], "compare"))
        return compare_main(argv);
    fprintf(stderr, "usage: mmdb make KIND FILE.mmdb [RECORD_BITS [SEED]]\n"
                    "       mmdb compare FILE.mmdb FILE.fsdb\n");
    return 2;
}
