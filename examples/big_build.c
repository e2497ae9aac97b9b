/* SPDX-License-Identifier: MIT
 *
 * big_build.c: a store of many keys, built in little memory.
 *
 *     big_build [--keys N] [--objects N] [--buffer MIB] [--limit MIB] [--plain] [FILE]
 *
 * By default 20,000,000 keys such as addresses and names have, onto 1,000,000
 * objects, through a buffer of 256 MiB: what does not fit is spilled to the
 * disk, sorted, and merged by the build. A thread of its own watches how much
 * memory the process has to itself, pages of files aside, and the run fails if
 * that was ever more than --limit (300 MiB). Then the file is opened, and every
 * 97th key is looked up and its object compared.
 *
 * Without FILE it goes to the current folder, and is removed at the end.
 */
#include <anykv/fused.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)

typedef struct big {
    uint64_t    keys, objects, buffer, limit; /* the last two in MiB */
    bool        plain;
    const char *path;
} big;

static int failed(const char *what)
{
    fprintf(stderr, "big_build: %s: %s\n", what, akv_last_error()->text);
    return 1;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ------------------------------------------------------------ memory in use */

typedef struct meter {
    pthread_t        thread;
    _Atomic bool     stop;
    _Atomic uint64_t peak; /* KiB; 0 where the system does not tell */
} meter;

static uint64_t meter_read(void)
{
    FILE    *status = fopen("/proc/self/status", "re");
    char     line[128];
    uint64_t kib = 0;

    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "RssAnon:", 8) == 0)
            kib = strtoull(line + 8, NULL, 10);
    if (status)
        fclose(status);
    return kib;
}

static void *meter_run(void *user)
{
    meter *m = user;

    while (!atomic_load(&m->stop)) {
        struct timespec pause = {0, 2000000};
        uint64_t        now   = meter_read();

        if (now > atomic_load(&m->peak))
            atomic_store(&m->peak, now);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* --------------------------------------------------------------- what is built */

static uint64_t mix(uint64_t v)
{
    v = (v ^ v >> 31) * UINT64_C(0x7fb5d329728ea185);
    v = (v ^ v >> 27) * UINT64_C(0x81dadef4bc2dd44d);
    return v ^ v >> 33;
}

static uint64_t object_of(const big *b, uint64_t key)
{
    return mix(key ^ 0x5bd1e995) % b->objects;
}

/* Keys of 17 to 31 bytes, each another, in no order. */
static akv_slice key_at(uint64_t i, char text[48])
{
    static const char *const ends[] = {"ab.org", "mail.net", "example.com", "cdn.example.com"};
    uint64_t                 r      = mix(i + 1);
    int n = snprintf(text, 48, "%08x%x.%s", (unsigned)(r >> 32), (unsigned)(i & 0xffffffff),
                     ends[r & 3]);

    while (n < 17)
        text[n++] = '.';
    return akv_bytes(text, (size_t)n);
}

static akv_slice object_at(uint64_t i, char text[160])
{
    int n = snprintf(text, 160,
                     "{\"id\":%" PRIu64 ",\"country\":\"%c%c\",\"network\":\"as%" PRIu64
                     "\",\"score\":%" PRIu64 ",\"note\":\"an object of some length, as in use, "
                     "of %" PRIu64 "\"}",
                     i, (char)('A' + i % 26), (char)('A' + i / 26 % 26), mix(i) % 100000,
                     mix(i) % 100, mix(i));

    return akv_bytes(text, (size_t)n);
}

static akv_status add_all(const big *b, akv_fused_writer *w)
{
    akv_status status = AKV_OK;
    char       text[160];
    uint32_t   id;

    for (uint64_t i = 0; i < b->objects && status == AKV_OK; i++)
        status = akv_fused_add_object(w, object_at(i, text), &id);
    for (uint64_t i = 0; i < b->keys && status == AKV_OK; i++)
        status = akv_fused_add_key(w, key_at(i, text), (uint32_t)object_of(b, i));
    return status;
}

static int build(const big *b)
{
    akv_fused_writer_options opt    = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_fused_writer        *writer = NULL;
    double                   begin  = seconds(), added, built;
    akv_status               status;

    opt.buffer = b->buffer * MIB;
    opt.flags  = b->plain ? AKV_FUSED_PLAIN : 0;
    status     = akv_fused_writer_new(&opt, &writer);
    if (status == AKV_OK)
        status = add_all(b, writer);
    added = seconds();
    if (status == AKV_OK)
        status = akv_fused_build(writer, b->path, NULL);
    built = seconds();
    akv_fused_writer_free(writer);
    if (status != AKV_OK)
        return failed(b->path);
    printf("added       %.2f s\n", added - begin);
    printf("built       %.2f s, %.2f million keys/s in all\n", built - added,
           (double)b->keys / (built - begin) / 1e6);
    return 0;
}

/* Every 97th key, and some that are not there. */
static int look(const big *b)
{
    akv_fused_info info   = AKV_FUSED_INFO_INIT;
    akv_fused     *f      = NULL;
    uint64_t       looked = 0;
    char           key[48], want[160];
    akv_slice      object;

    if (akv_fused_open(b->path, NULL, &f) != AKV_OK || akv_fused_info_get(f, &info) != AKV_OK)
        return failed(b->path);
    for (uint64_t i = 0; i < b->keys; i += 97, looked++) {
        akv_slice expected = object_at(object_of(b, i), want);

        if (akv_fused_get(f, key_at(i, key), &object) != AKV_OK || object.len != expected.len ||
            memcmp(object.data, expected.data, object.len) != 0) {
            fprintf(stderr, "big_build: key %" PRIu64 " has not its object\n", i);
            akv_fused_close(f);
            return 1;
        }
        if (akv_fused_exists(f, key_at(i + b->keys, key)) != AKV_ABSENT) {
            fprintf(stderr, "big_build: a key is there that was not added\n");
            akv_fused_close(f);
            return 1;
        }
    }
    printf("keys        %" PRIu64 ", %" PRIu64 " of them looked up\n", akv_fused_count(f), looked);
    printf("file        %" PRIu64 " MiB, %.2f bytes a key of it the hash section\n",
           info.file_size / MIB, b->keys ? (double)info.section_bytes / (double)b->keys : 0.0);
    akv_fused_close(f);
    return 0;
}

/* ----------------------------------------------------------------------- main */

static int run(const big *b)
{
    meter m = {.peak = 0};
    int   code;

    if (pthread_create(&m.thread, NULL, meter_run, &m) != 0) {
        fprintf(stderr, "big_build: can't start a thread\n");
        return 1;
    }
    code = build(b);
    atomic_store(&m.stop, true);
    pthread_join(m.thread, NULL);
    if (code == 0)
        code = look(b);
    if (code != 0)
        return code;
    if (m.peak > 0)
        printf("memory      %.0f MiB at most, of %" PRIu64 " allowed\n", (double)m.peak / 1024,
               b->limit);
    if (m.peak > b->limit * 1024) {
        fprintf(stderr, "big_build: that is too much\n");
        return 1;
    }
    return 0;
}

static bool number(int argc, char **argv, int *at, const char *name, uint64_t *out)
{
    char *end;

    if (strcmp(argv[*at], name) != 0 || *at + 1 >= argc)
        return false;
    *out = strtoull(argv[++*at], &end, 10);
    return *end == '\0' && *out > 0;
}

int main(int argc, char **argv)
{
    big  b = {.keys = 20000000, .objects = 1000000, .buffer = 256, .limit = 300};
    int  code;
    char own[64];

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--plain") == 0)
            b.plain = true;
        else if (argv[i][0] != '-' && !b.path)
            b.path = argv[i];
        else if (!number(argc, argv, &i, "--keys", &b.keys) &&
                 !number(argc, argv, &i, "--objects", &b.objects) &&
                 !number(argc, argv, &i, "--buffer", &b.buffer) &&
                 !number(argc, argv, &i, "--limit", &b.limit)) {
            fprintf(stderr, "usage: big_build [--keys N] [--objects N] [--buffer MIB] "
                            "[--limit MIB] [--plain] [FILE]\n");
            return 2;
        }
    }
    if (b.path)
        return run(&b);
    snprintf(own, sizeof own, "big_build-%ld.fsdb", (long)getpid());
    b.path = own;
    code   = run(&b);
    (void)remove(own);
    return code;
}
