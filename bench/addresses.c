/* SPDX-License-Identifier: MIT
 *
 * addresses.c: look-up by IP address, in the blocks of libGeoIP's tables: the
 * same table as a .fsdb file, as a MaxMind database and as libGeoIP's own.
 *
 * Addresses of IPv4 are any; those of IPv6 lie in a block drawn at random,
 * since few others are in any. The IPv6 table holds IPv4 once more, as
 * ::a.b.c.d, and mapped; these blocks are left out, as a MaxMind database has
 * its IPv4 there. Before anything is measured all peers have agreed on every
 * address.
 */
#include "bench/bench.h"
#include "bench/mmdb_write.h"

#include <anykv/fused.h>

#include <GeoIP.h>
#include <arpa/inet.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ADDRESSES_FOLDER "/usr/share/GeoIP/"
#define ADDRESSES_IDS    256
#define ADDRESSES_PEERS  3
#define ADDRESSES_ROUNDS 31

typedef struct addresses_block {
    uint8_t  ip[16];
    unsigned bits;
    int      id;
} addresses_block;

/* One family. */
typedef struct addresses_table {
    GeoIP           *geoip;
    addresses_block *blocks;
    size_t           n, cap;
    unsigned         width;
    uint8_t (*ips)[16]; /* what is asked for */
    char (*texts)[INET6_ADDRSTRLEN];
    struct sockaddr_in6 *sockets;
} addresses_table;

typedef struct addresses_run {
    const bench_options *opt;
    addresses_table      tables[2];
    akv_fused           *fused;
    MMDB_s               mmdb;
    uint64_t             random;
} addresses_run;

static volatile uint64_t addresses_sink;

static uint64_t addresses_draw(addresses_run *run)
{
    run->random ^= run->random << 13;
    run->random ^= run->random >> 7;
    run->random ^= run->random << 17;
    return run->random;
}

/* ------------------------------------------------------------------ the table */

/* The country's number, 0 for none, and the length of its block. libGeoIP looks
 * nothing up for 0.0.0.0, for which its neighbour stands in. */
static int addresses_ask(const addresses_table *t, const uint8_t ip[16], unsigned *bits_out)
{
    GeoIPLookup     found = {0};
    struct in6_addr six;
    uint32_t        four;
    int             id;

    if (t->width == 32) {
        memcpy(&four, ip, sizeof four);
        id = GeoIP_id_by_ipnum_gl(t->geoip, four ? ntohl(four) : 1, &found);
    } else {
        memcpy(&six, ip, sizeof six);
        id = GeoIP_id_by_ipnum_v6_gl(t->geoip, six, &found);
    }
    *bits_out = (unsigned)found.netmask;
    return id;
}

/* The first address after a block; false when there is none. */
static bool addresses_next(uint8_t ip[16], unsigned bits)
{
    unsigned add = bits > 0 ? 1u << (7 - (bits - 1) % 8) : 256;

    for (unsigned at = bits > 0 ? (bits - 1) / 8 + 1 : 0; at-- > 0; add = 1) {
        unsigned sum = ip[at] + add;

        ip[at] = (uint8_t)sum;
        if (sum < 256)
            return true;
    }
    return false;
}

/* ::a.b.c.d and ::ffff:a.b.c.d */
static bool addresses_is_v4(const addresses_table *t, const uint8_t ip[16])
{
    static const uint8_t zero[10];

    return t->width == 128 && !memcmp(ip, zero, 10) &&
           ((ip[10] == 0 && ip[11] == 0) || (ip[10] == 0xff && ip[11] == 0xff));
}

static void addresses_walk(addresses_table *t, const char *file)
{
    uint8_t  ip[16] = {0};
    unsigned bits;

    t->geoip = GeoIP_open(file, GEOIP_MEMORY_CACHE);
    if (!t->geoip)
        bench_die(file, "can't open it (Debian package geoip-database)");
    GeoIP_enable_teredo(t->geoip, 0); /* which answers for another address */
    do {
        int id = addresses_ask(t, ip, &bits);

        if (id <= 0 || addresses_is_v4(t, ip))
            continue;
        if (t->n == t->cap) {
            t->cap    = t->cap ? 2 * t->cap : 4096;
            t->blocks = realloc(t->blocks, t->cap * sizeof *t->blocks);
            if (!t->blocks)
                bench_die(file, "no memory");
        }
        memcpy(t->blocks[t->n].ip, ip, 16);
        t->blocks[t->n].bits = bits;
        t->blocks[t->n++].id = id;
    } while (addresses_next(ip, bits));
}

static void addresses_check(akv_status st, const char *what)
{
    if (st < 0)
        bench_die(what, akv_last_error()->text);
}

static void addresses_build_fused(addresses_run *run, const char *path)
{
    uint32_t          objects[ADDRESSES_IDS];
    akv_fused_writer *w;
    char              text[256];

    addresses_check(akv_fused_writer_new(NULL, &w), "akv_fused_writer_new");
    for (int id = 0; id < ADDRESSES_IDS; id++) {
        const char *code = GeoIP_code_by_id(id), *name = GeoIP_name_by_id(id);

        snprintf(text, sizeof text, "{\"code\":\"%s\",\"name\":\"%s\"}", code ? code : "",
                 name ? name : "");
        addresses_check(akv_fused_add_document(w, akv_str(text), &objects[id]), "add_document");
    }
    for (int k = 0; k < 2; k++) {
        const addresses_table *t = &run->tables[k];

        for (size_t i = 0; i < t->n; i++) {
            inet_ntop(k ? AF_INET6 : AF_INET, t->blocks[i].ip, text, INET6_ADDRSTRLEN);
            snprintf(text + strlen(text), 8, "/%u", t->blocks[i].bits);
            addresses_check(akv_fused_add_key(w, akv_str(text), objects[t->blocks[i].id]),
                            "akv_fused_add_key");
        }
    }
    addresses_check(akv_fused_build(w, path, NULL), path);
    akv_fused_writer_free(w);
    addresses_check(akv_fused_open(path, NULL, &run->fused), path);
    addresses_check(akv_fused_ip_index(run->fused), path);
}

static void addresses_build_mmdb(addresses_run *run, const char *path)
{
    mmdb_writer *w = mmdb_new(6, 0);
    uint32_t     records[ADDRESSES_IDS];

    for (int id = 0; id < ADDRESSES_IDS; id++) {
        const char *code = GeoIP_code_by_id(id), *name = GeoIP_name_by_id(id);

        records[id] = mmdb_here(w);
        mmdb_put_map(&w->data, 2);
        mmdb_put_string(&w->data, "code");
        mmdb_put_string(&w->data, code ? code : "");
        mmdb_put_string(&w->data, "name");
        mmdb_put_string(&w->data, name ? name : "");
    }
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < run->tables[k].n; i++) {
            const addresses_block *b      = &run->tables[k].blocks[i];
            uint8_t                ip[16] = {0};

            memcpy(ip + (k ? 0 : 12), b->ip, k ? 16 : 4);
            mmdb_insert(w, ip, b->bits + (k ? 0 : 96), records[b->id]);
        }
    }
    if (mmdb_write(w, path) != 0 || MMDB_open(path, MMDB_MODE_MMAP, &run->mmdb) != MMDB_SUCCESS)
        bench_die(path, "can't make the MaxMind database");
    mmdb_free(w);
}

static void addresses_pick(addresses_run *run, addresses_table *t)
{
    size_t n = run->opt->n;

    t->ips     = calloc(n, sizeof *t->ips);
    t->texts   = calloc(n, sizeof *t->texts);
    t->sockets = calloc(n, sizeof *t->sockets);
    if (!t->ips || !t->texts || !t->sockets)
        bench_die("addresses", "no memory");
    for (size_t i = 0; i < n; i++) {
        const addresses_block *b       = &t->blocks[addresses_draw(run) % t->n];
        uint64_t               half[2] = {addresses_draw(run), addresses_draw(run)};

        memcpy(t->ips[i], half, 16);
        for (unsigned bit = 0; t->width == 128 && bit < b->bits; bit++) {
            uint8_t mask = (uint8_t)(0x80 >> bit % 8);

            t->ips[i][bit / 8] = (uint8_t)((t->ips[i][bit / 8] & ~mask) | (b->ip[bit / 8] & mask));
        }
        inet_ntop(t->width == 32 ? AF_INET : AF_INET6, t->ips[i], t->texts[i], INET6_ADDRSTRLEN);
        if (t->width == 32) {
            struct sockaddr_in four = {.sin_family = AF_INET};

            memcpy(&four.sin_addr, t->ips[i], 4);
            memcpy(&t->sockets[i], &four, sizeof four);
        } else {
            t->sockets[i].sin6_family = AF_INET6;
            memcpy(&t->sockets[i].sin6_addr, t->ips[i], 16);
        }
    }
}

/* --------------------------------------------------------------------- peers */

/* One look-up, the answer's bytes touched; 0 for none. */
typedef uint64_t addresses_peer(addresses_run *run, const addresses_table *t, size_t i);

static uint64_t addresses_fused(addresses_run *run, const addresses_table *t, size_t i)
{
    akv_slice object;

    if (akv_fused_lookup_ip_bytes(run->fused, akv_bytes(t->ips[i], t->width / 8), &object, NULL))
        return 0;
    return bench_touch(object.data, object.len) | 1;
}

static uint64_t addresses_fused_text(addresses_run *run, const addresses_table *t, size_t i)
{
    akv_slice object;

    if (akv_fused_lookup_ip(run->fused, akv_str(t->texts[i]), &object, NULL) != AKV_OK)
        return 0;
    return bench_touch(object.data, object.len) | 1;
}

/* Reading the record by its path would cost it as much again, so its bytes are
 * touched where they lie. */
static uint64_t addresses_touch_mmdb(const MMDB_lookup_result_s *found)
{
    if (!found->found_entry)
        return 0;
    return bench_touch(found->entry.mmdb->data_section + found->entry.offset, 24) | 1;
}

static uint64_t addresses_mmdb(addresses_run *run, const addresses_table *t, size_t i)
{
    int                  rc;
    MMDB_lookup_result_s found =
        MMDB_lookup_sockaddr(&run->mmdb, (const struct sockaddr *)&t->sockets[i], &rc);

    return addresses_touch_mmdb(&found);
}

static uint64_t addresses_mmdb_text(addresses_run *run, const addresses_table *t, size_t i)
{
    int                  gai, rc;
    MMDB_lookup_result_s found = MMDB_lookup_string(&run->mmdb, t->texts[i], &gai, &rc);

    return addresses_touch_mmdb(&found);
}

static uint64_t addresses_geoip(addresses_run *run, const addresses_table *t, size_t i)
{
    unsigned bits;
    int      id = addresses_ask(t, t->ips[i], &bits);

    (void)run;
    return id > 0 ? bench_touch(GeoIP_code_by_id(id), 2) | 1 : 0;
}

static uint64_t addresses_geoip_text(addresses_run *run, const addresses_table *t, size_t i)
{
    int id = t->width == 32 ? GeoIP_id_by_addr(t->geoip, t->texts[i])
                            : GeoIP_id_by_addr_v6(t->geoip, t->texts[i]);

    (void)run;
    return id > 0 ? bench_touch(GeoIP_code_by_id(id), 2) | 1 : 0;
}

/* Whether the country's code is in what fused and libmaxminddb answer. */
static bool addresses_agree(addresses_run *run, const addresses_table *t, size_t i)
{
    int                  rc;
    unsigned             bits;
    int                  id   = addresses_ask(t, t->ips[i], &bits);
    const char          *code = GeoIP_code_by_id(id);
    MMDB_lookup_result_s found =
        MMDB_lookup_sockaddr(&run->mmdb, (const struct sockaddr *)&t->sockets[i], &rc);
    MMDB_entry_data_s data;
    akv_slice         object, key;
    akv_status        st =
        akv_fused_lookup_ip_bytes(run->fused, akv_bytes(t->ips[i], t->width / 8), &object, &key);

    if (id <= 0)
        return st == AKV_ABSENT && !found.found_entry;
    return st == AKV_OK && found.found_entry && memmem(object.data, object.len, code, 2) &&
           MMDB_get_value(&found.entry, &data, "code", NULL) == MMDB_SUCCESS &&
           data.data_size == 2 && !memcmp(data.utf8_string, code, 2);
}

/* ---------------------------------------------------------------------- runs */

typedef struct addresses_way {
    const char     *name;
    addresses_peer *peers[ADDRESSES_PEERS];
} addresses_way;

static void addresses_measure(addresses_run *run, const addresses_table *t,
                              const addresses_way *way)
{
    static const char *const names[] = {"anykv fused", "libmaxminddb", "libGeoIP"};
    double                   ns[ADDRESSES_PEERS][ADDRESSES_ROUNDS];
    size_t                   n = run->opt->n;
    unsigned rounds = run->opt->rounds < ADDRESSES_ROUNDS ? run->opt->rounds : ADDRESSES_ROUNDS;

    for (unsigned r = 0; r < rounds; r++) {
        for (size_t p = 0; p < ADDRESSES_PEERS; p++) {
            uint64_t sum = 0, begin = bench_now_ns();

            for (size_t i = 0; i < n; i++)
                sum += way->peers[p](run, t, i);
            ns[p][r] = (double)(bench_now_ns() - begin) / (double)n;
            addresses_sink += sum;
        }
    }
    for (size_t p = 0; p < ADDRESSES_PEERS; p++) {
        bench_figure f = {.suite = "addresses", .workload = way->name, .peer = names[p]};

        f.ns    = bench_median(ns[p], rounds);
        f.per_s = 1e9 / f.ns;
        bench_add(f);
    }
    fprintf(stderr, "bench: addresses %s done\n", way->name);
}

void bench_suite_addresses(const bench_options *opt)
{
    static const addresses_way ways[2][2] = {
        {{"IPv4", {addresses_fused, addresses_mmdb, addresses_geoip}},
         {"IPv4, as text", {addresses_fused_text, addresses_mmdb_text, addresses_geoip_text}}},
        {{"IPv6", {addresses_fused, addresses_mmdb, addresses_geoip}},
         {"IPv6, as text", {addresses_fused_text, addresses_mmdb_text, addresses_geoip_text}}}};
    addresses_run run = {.opt    = opt,
                         .tables = {{.width = 32}, {.width = 128}},
                         .random = UINT64_C(0x9e3779b97f4a7c15)};
    char          folder[4096], path[4096 + 32];

    snprintf(folder, sizeof folder, "%s/addresses", opt->folder);
    mkdir(folder, 0755);
    addresses_walk(&run.tables[0], ADDRESSES_FOLDER "GeoIP.dat");
    addresses_walk(&run.tables[1], ADDRESSES_FOLDER "GeoIPv6.dat");
    snprintf(path, sizeof path, "%s/table.fsdb", folder);
    addresses_build_fused(&run, path);
    snprintf(path, sizeof path, "%s/table.mmdb", folder);
    addresses_build_mmdb(&run, path);
    for (int k = 0; k < 2; k++) {
        addresses_table *t = &run.tables[k];

        addresses_pick(&run, t);
        for (size_t i = 0; i < opt->n; i++)
            if (!addresses_agree(&run, t, i))
                bench_die(t->texts[i], "peers answer differently");
        for (int i = 0; i < 2; i++)
            addresses_measure(&run, t, &ways[k][i]);
        GeoIP_delete(t->geoip);
        free(t->blocks);
        free(t->ips);
        free(t->texts);
        free(t->sockets);
    }
    MMDB_close(&run.mmdb);
    akv_fused_close(run.fused);
    bench_remove_folder(folder);
}
