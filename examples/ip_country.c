/* SPDX-License-Identifier: MIT
 *
 * ip_country.c: which country is this address in? The tables of the Debian
 * package geoip-database are walked block by block through libGeoIP, and become
 * one store: each block of addresses is a key, all blocks of a country lead to
 * its one object. Random addresses are then looked up in both, and every answer
 * is compared.
 *
 *     ip_country [--folder FOLDER] [--output FILE] [--lookups N] [ADDRESS...]
 *
 * Built without libGeoIP (HAVE_GEOIP is not defined) it only says so.
 */
#include <stdio.h>

#ifndef HAVE_GEOIP

int main(void)
{
    fprintf(stderr, "ip_country: built without libGeoIP (Debian package libgeoip-dev)\n");
    return 77;
}

#else

#include <anykv/doc.h>
#include <anykv/fused.h>

#include <GeoIP.h>
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COUNTRY_FOLDER "/usr/share/GeoIP"
#define COUNTRY_IDS    256
#define COUNTRY_NONE   UINT32_MAX

/* One of the two tables. Addresses are 16 bytes; of IPv4 the first four count. */
typedef struct country_table {
    const char *file;
    int         family;
    unsigned    width; /* bits of an address */
    GeoIP      *geoip;
    uint8_t (*blocks)[16]; /* the first address of each, to draw addresses near */
    size_t n, cap;
} country_table;

typedef struct country_run {
    const char    *folder, *output;
    uint64_t       lookups;
    country_table  tables[2];
    uint32_t       objects[COUNTRY_IDS]; /* the writer's id of each country */
    akv_fused     *f;
    const uint8_t *seen[COUNTRY_IDS]; /* each country's object, once it was checked */
    uint64_t       random;
} country_run;

static int country_failed(const char *what)
{
    fprintf(stderr, "ip_country: %s: %s\n", what, akv_last_error()->text);
    return 1;
}

static double country_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* libGeoIP's own answer: a country's number or 0, and the block's length. It
 * looks nothing up for 0.0.0.0, for which its neighbour stands in. */
static int country_ask(const country_table *t, const uint8_t ip[16], unsigned *bits_out)
{
    GeoIPLookup     found = {0};
    struct in6_addr six;
    uint32_t        four;
    int             id;

    if (t->family == AF_INET) {
        memcpy(&four, ip, sizeof four);
        id = GeoIP_id_by_ipnum_gl(t->geoip, four ? ntohl(four) : 1, &found);
    } else {
        memcpy(&six, ip, sizeof six);
        id = GeoIP_id_by_ipnum_v6_gl(t->geoip, six, &found);
    }
    *bits_out = (unsigned)found.netmask;
    return id;
}

/* ------------------------------------------------------------------ building */

/* The country's object, made when it is first met. */
static akv_status country_object(country_run *run, akv_fused_writer *w, int id, uint32_t *id_out)
{
    char       json[256];
    akv_status st = AKV_OK;

    if (run->objects[id] == COUNTRY_NONE) {
        snprintf(json, sizeof json, "{\"code\":\"%s\",\"name\":\"%s\",\"continent\":\"%s\"}",
                 GeoIP_code_by_id(id), GeoIP_name_by_id(id), GeoIP_continent_by_id(id));
        st = akv_fused_add_document(w, akv_str(json), &run->objects[id]);
    }
    *id_out = run->objects[id];
    return st;
}

static akv_status country_add(country_run *run, akv_fused_writer *w, country_table *t,
                              const uint8_t ip[16], unsigned bits, int id)
{
    char       key[INET6_ADDRSTRLEN + 4];
    uint32_t   object;
    akv_status st = country_object(run, w, id, &object);

    if (t->n == t->cap) {
        size_t cap   = t->cap ? 2 * t->cap : 4096;
        void  *grown = realloc(t->blocks, cap * sizeof *t->blocks);

        if (!grown)
            return AKV_NOMEM;
        t->blocks = grown;
        t->cap    = cap;
    }
    memcpy(t->blocks[t->n++], ip, 16);
    inet_ntop(t->family, ip, key, INET6_ADDRSTRLEN);
    snprintf(key + strlen(key), 5, "/%u", bits);
    return st == AKV_OK ? akv_fused_add_key(w, akv_str(key), object) : st;
}

/* The first address after a block; false when there is none. */
static bool country_next(uint8_t ip[16], unsigned bits)
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

static bool country_is_mapped(const country_table *t, const uint8_t ip[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    return t->family == AF_INET6 && memcmp(ip, mapped, sizeof mapped) == 0;
}

/* From the first address to the last, a block at a time. The IPv6 table holds
 * IPv4-mapped blocks too, older ones; those of the other table count. */
static int country_walk(country_run *run, akv_fused_writer *w, country_table *t)
{
    uint8_t  ip[16] = {0};
    unsigned bits;
    char     path[4096];

    snprintf(path, sizeof path, "%s/%s", run->folder, t->file);
    t->geoip = GeoIP_open(path, GEOIP_MEMORY_CACHE);
    if (!t->geoip) {
        fprintf(stderr, "ip_country: can't open %s (Debian package geoip-database)\n", path);
        return 1;
    }
    GeoIP_enable_teredo(t->geoip, 0); /* which answers for another address */
    do {
        int id = country_ask(t, ip, &bits);

        if (id < 0 || id >= COUNTRY_IDS || bits > t->width) {
            fprintf(stderr, "ip_country: %s: country %d in a block of %u bits\n", path, id, bits);
            return 1;
        }
        if (id > 0 && !country_is_mapped(t, ip) && country_add(run, w, t, ip, bits, id) != AKV_OK)
            return country_failed("can't add a block");
    } while (country_next(ip, bits));
    return 0;
}

static int country_build(country_run *run)
{
    akv_fused_writer *w;
    double            begin = country_now();
    int               rc    = 0;

    if (akv_fused_writer_new(NULL, &w) != AKV_OK)
        return country_failed("can't make a writer");
    memset(run->objects, 0xff, sizeof run->objects);
    for (size_t i = 0; i < 2 && rc == 0; i++)
        rc = country_walk(run, w, &run->tables[i]);
    if (rc == 0 && akv_fused_build(w, run->output, NULL) != AKV_OK)
        rc = country_failed("can't build the store");
    if (rc == 0)
        printf("keys       %zu blocks of IPv4, %zu of IPv6\nobjects    %" PRIu64 " countries\n"
               "built in   %.2f s, walking the tables included\n",
               run->tables[0].n, run->tables[1].n, akv_fused_writer_objects(w),
               country_now() - begin);
    akv_fused_writer_free(w);
    return rc;
}

/* ---------------------------------------------------------------- looking up */

static uint64_t country_draw(country_run *run)
{
    run->random ^= run->random << 13;
    run->random ^= run->random >> 7;
    run->random ^= run->random << 17;
    return run->random;
}

/* Any address, or one in or near a block: most of IPv6 is in none. */
static void country_draw_ip(country_run *run, const country_table *t, uint8_t ip[16])
{
    uint64_t half[2] = {country_draw(run), country_draw(run)};
    uint64_t keep    = country_draw(run) % (t->width / 8 + 1);

    memcpy(ip, half, 16);
    if (t->n > 0 && (t->family == AF_INET6 || keep % 2))
        memcpy(ip, t->blocks[country_draw(run) % t->n], (size_t)keep);
}

/* Whether the object is that of the country: read it once, know it again. */
static bool country_is(country_run *run, int id, akv_slice object)
{
    akv_buffer json = AKV_BUFFER_INIT;
    char       want[16];

    if (run->seen[id])
        return run->seen[id] == object.data;
    snprintf(want, sizeof want, "{\"code\":\"%s\",", GeoIP_code_by_id(id));
    if (akv_msgpack_to_json(object, NULL, &json) == AKV_OK && json.len > strlen(want) &&
        memcmp(json.data, want, strlen(want)) == 0)
        run->seen[id] = object.data;
    akv_buffer_free(&json);
    return run->seen[id] != NULL;
}

static int country_compare(country_run *run, const country_table *t, const uint8_t ip[16],
                           uint64_t *found)
{
    char       text[INET6_ADDRSTRLEN];
    akv_slice  object, key;
    unsigned   bits;
    int        id = country_ask(t, ip, &bits);
    akv_status st = akv_fused_lookup_ip_bytes(run->f, akv_bytes(ip, t->width / 8), &object, &key);

    if (st < 0)
        return country_failed("akv_fused_lookup_ip_bytes");
    *found += st == AKV_OK;
    if (st == AKV_OK ? id > 0 && country_is(run, id, object) : id == 0)
        return 0;
    fprintf(stderr, "ip_country: %s is in '%.*s', but libGeoIP says %s\n",
            inet_ntop(t->family, ip, text, sizeof text), (int)key.len, (const char *)key.data,
            GeoIP_code_by_id(id));
    return 1;
}

/* The same addresses again, for the time alone. */
static void country_measure(country_run *run, const country_table *t, uint8_t (*ips)[16])
{
    akv_slice object;
    unsigned  bits;
    uint64_t  sum   = 0;
    double    begin = country_now(), middle, end;

    for (uint64_t i = 0; i < run->lookups; i++)
        sum += akv_fused_lookup_ip_bytes(run->f, akv_bytes(ips[i], t->width / 8), &object, NULL) ==
               AKV_OK;
    middle = country_now();
    for (uint64_t i = 0; i < run->lookups; i++)
        sum -= country_ask(t, ips[i], &bits) > 0;
    end = country_now();
    printf("%s       %.0f ns a look-up; libGeoIP %.0f ns%s\n", t->width == 32 ? "IPv4" : "IPv6",
           (middle - begin) / (double)run->lookups * 1e9,
           (end - middle) / (double)run->lookups * 1e9, sum == 0 ? "" : ", and other answers");
}

static int country_check(country_run *run, const country_table *t)
{
    uint8_t(*ips)[16] = malloc((size_t)run->lookups * sizeof *ips);
    uint64_t found    = 0;
    int      rc       = ips ? 0 : 1;

    for (uint64_t i = 0; i < run->lookups && rc == 0; i++) {
        country_draw_ip(run, t, ips[i]);
        rc = country_compare(run, t, ips[i], &found);
    }
    if (rc == 0) {
        printf("%s       %" PRIu64 " random addresses, %" PRIu64
               " in a country: libGeoIP says the same of all\n",
               t->width == 32 ? "IPv4" : "IPv6", run->lookups, found);
        country_measure(run, t, ips);
    }
    free(ips);
    return rc;
}

static int country_show(const country_run *run, const char *address)
{
    akv_buffer json = AKV_BUFFER_INIT;
    akv_slice  object, key;
    akv_status st = akv_fused_lookup_ip(run->f, akv_str(address), &object, &key);

    if (st == AKV_OK)
        st = akv_msgpack_to_json(object, NULL, &json);
    if (st == AKV_OK)
        printf("%-22s %-18.*s %.*s\n", address, (int)key.len, (const char *)key.data, (int)json.len,
               (const char *)json.data);
    else if (st == AKV_ABSENT)
        printf("%-22s in no country\n", address);
    akv_buffer_free(&json);
    return st < 0 ? country_failed(address) : 0;
}

static int country_look_up(country_run *run, char **addresses, int n)
{
    static const char *const samples[] = {"9.9.9.9", "193.0.6.139", "2001:67c:2e8:22::c100:68b",
                                          "::ffff:8.8.8.8", "192.168.0.1"};
    double                   begin     = country_now();
    int                      rc        = 0;

    if (akv_fused_open(run->output, NULL, &run->f) != AKV_OK ||
        akv_fused_ip_index(run->f) != AKV_OK)
        return country_failed("can't open the store");
    printf("ready in   %.2f s: file checked, index of addresses made\n", country_now() - begin);
    for (size_t i = 0; i < 2 && rc == 0 && run->lookups > 0; i++)
        rc = country_check(run, &run->tables[i]);
    printf("\n");
    for (size_t i = 0; n == 0 && i < sizeof samples / sizeof *samples && rc == 0; i++)
        rc = country_show(run, samples[i]);
    for (int i = 0; i < n && rc == 0; i++)
        rc = country_show(run, addresses[i]);
    return rc;
}

int main(int argc, char **argv)
{
    country_run run = {.folder  = COUNTRY_FOLDER,
                       .lookups = 1000000,
                       .random  = UINT64_C(0x9e3779b97f4a7c15),
                       .tables  = {{.file = "GeoIP.dat", .family = AF_INET, .width = 32},
                                   {.file = "GeoIPv6.dat", .family = AF_INET6, .width = 128}}};
    const char *tmp = getenv("TMPDIR");
    char        scratch[4096];
    int         i, rc, fd = -1;

    for (i = 1; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--folder") == 0)
            run.folder = argv[i + 1];
        else if (strcmp(argv[i], "--output") == 0)
            run.output = argv[i + 1];
        else if (strcmp(argv[i], "--lookups") == 0)
            run.lookups = strtoull(argv[i + 1], NULL, 10);
        else
            break;
    }
    if (i < argc && argv[i][0] == '-') {
        fprintf(stderr, "usage: ip_country [--folder FOLDER] [--output FILE] [--lookups N] "
                        "[ADDRESS...]\n");
        return 2;
    }
    if (!run.output) {
        snprintf(scratch, sizeof scratch, "%s/ip_country-XXXXXX", tmp ? tmp : "/tmp");
        fd = mkstemp(scratch);
        if (fd < 0) {
            perror(scratch);
            return 1;
        }
        run.output = scratch;
    }
    rc = country_build(&run);
    if (rc == 0)
        rc = country_look_up(&run, argv + i, argc - i);
    akv_fused_close(run.f);
    for (i = 0; i < 2; i++) {
        GeoIP_delete(run.tables[i].geoip);
        free(run.tables[i].blocks);
    }
    if (fd >= 0) {
        close(fd);
        unlink(scratch);
    }
    return rc;
}

#endif
