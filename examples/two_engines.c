/* SPDX-License-Identifier: MIT
 *
 * two_engines.c: the same code on two engines. Only the name that goes to
 * akv_open differs, and that only one of them needs a path.
 *
 *     two_engines [FILE]
 *
 * A store is filled, finished and asked; what it answers is printed, and must
 * be the same for both, to the byte. FILE is where fused builds its file;
 * without it, one is made beside other temporary files and removed again.
 */
#define _POSIX_C_SOURCE 200809L

#include <anykv/anykv.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const planets[][2] = {
    {"planet/earth", "149.6 Mkm, 1 moon"},
    {"planet/jupiter", "778.5 Mkm, 95 moons"},
    {"planet/mars", "227.9 Mkm, 2 moons"},
    {"planet/mercury", "57.9 Mkm, no moon"},
    {"planet/neptune", "4498 Mkm, 16 moons"},
    {"planet/saturn", "1433 Mkm, 146 moons"},
    {"planet/uranus", "2872 Mkm, 28 moons"},
    {"planet/venus", "108.2 Mkm, no moon"},
    {"star/sun", "0 km"},
    {"star/proxima", "4.2465 light years"},
};

/* What a store answered, as text. */
typedef struct answers {
    char   text[4096];
    size_t len;
} answers;

static void say(answers *a, const char *what, akv_slice key, akv_slice value)
{
    int n = snprintf(a->text + a->len, sizeof a->text - a->len, "%-8s %.*s%s%.*s\n", what,
                     (int)key.len, (const char *)key.data, value.len ? ": " : "", (int)value.len,
                     (const char *)value.data);

    if (n > 0 && (size_t)n < sizeof a->text - a->len)
        a->len += (size_t)n;
}

/* Put everything. On a store to build (fused) akv_finish makes the file, durable
 * and whole; on others (memory) it is akv_sync. */
static akv_status fill(akv *db)
{
    akv_status status = AKV_OK;

    for (size_t i = 0; i < sizeof planets / sizeof *planets && status == AKV_OK; i++)
        status = akv_put(db, akv_str(planets[i][0]), akv_str(planets[i][1]), NULL);
    return status == AKV_OK ? akv_finish(db, NULL) : status;
}

/* One key: borrowed, so nothing is copied; given back when done with. */
static akv_status ask_one(akv *db, const char *key, answers *a)
{
    akv_value  value  = AKV_VALUE_INIT;
    akv_status status = akv_get(db, akv_str(key), NULL, &value);

    if (status == AKV_OK)
        say(a, "get", akv_str(key), akv_bytes(value.data, value.len));
    else if (status == AKV_ABSENT) /* an answer, not a failure */
        say(a, "absent", akv_str(key), akv_str(""));
    akv_value_release(&value);
    return status < 0 ? status : AKV_OK;
}

/* Many keys in one call, which is the fast way: present, absent and repeated. */
static akv_status ask_many(akv *db, answers *a)
{
    const akv_slice keys[] = {akv_str("planet/venus"), akv_str("planet/pluto"), akv_str("star/sun"),
                              akv_str("planet/venus")};
    akv_value       values[4];
    akv_status      statuses[4];
    akv_status      status = akv_get_many(db, 4, keys, NULL, values, statuses);

    for (size_t i = 0; i < 4; i++)
        say(a, statuses[i] == AKV_OK ? "many" : "absent", keys[i],
            akv_bytes(values[i].data, values[i].len));
    akv_values_release(values, 4);
    return status;
}

static akv_status scan(akv *db, const char *what, const akv_scan_options *opt, answers *a)
{
    akv_iter  *iter;
    akv_status status = akv_scan(db, opt, &iter);

    if (status != AKV_OK)
        return status;
    while ((status = akv_iter_next(iter)) == AKV_OK)
        say(a, what, akv_iter_key(iter), akv_iter_value(iter));
    akv_iter_free(iter);
    return status == AKV_END ? AKV_OK : status;
}

/* Two planets from the last on down, then all keys from "planet/n" up to "star/q". */
static akv_status ask_ranges(akv *db, answers *a)
{
    akv_scan_options opt = AKV_SCAN_OPTIONS_INIT;
    akv_status       status;

    opt.prefix = akv_str("planet/");
    opt.flags  = AKV_SCAN_REVERSE;
    opt.limit  = 2;
    status     = scan(db, "reverse", &opt, a);
    if (status != AKV_OK)
        return status;
    opt       = (akv_scan_options)AKV_SCAN_OPTIONS_INIT;
    opt.lower = akv_str("planet/n");
    opt.upper = akv_str("star/q");
    opt.flags = AKV_SCAN_KEYS_ONLY;
    return scan(db, "range", &opt, a);
}

static akv_status ask(akv *db, answers *a)
{
    uint64_t   count;
    akv_status status = akv_count(db, NULL, &count);

    if (status == AKV_OK)
        a->len += (size_t)snprintf(a->text + a->len, sizeof a->text - a->len, "count    %u keys\n",
                                   (unsigned)count);
    if (status == AKV_OK)
        status = ask_one(db, "planet/earth", a);
    if (status == AKV_OK)
        status = ask_one(db, "planet/pluto", a);
    if (status == AKV_OK)
        status = ask_many(db, a);
    return status == AKV_OK ? ask_ranges(db, a) : status;
}

/* All that is said of an engine here is its name. */
static int use(const char *engine, const char *path, answers *a)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;
    akv             *db;
    akv_status       status;

    opt.flags = AKV_OPEN_CREATE | AKV_OPEN_TRUNCATE;
    /* what this program needs is asked for here, not found missing later */
    opt.required = AKV_CAP_READ | AKV_CAP_ORDERED;
    if (akv_open(engine, path, &opt, &db) != AKV_OK) {
        fprintf(stderr, "two_engines: %s\n", akv_last_error()->text);
        return 1;
    }
    status = fill(db);
    if (status == AKV_OK)
        status = ask(db, a);
    if (status != AKV_OK) {
        fprintf(stderr, "two_engines: %s: %s\n", engine, akv_last_error()->text);
        (void)akv_abort(db); /* an unfinished build would keep the store open */
    }
    if (akv_close(db) != AKV_OK) {
        fprintf(stderr, "two_engines: %s\n", akv_last_error()->text);
        return 1;
    }
    return status == AKV_OK ? 0 : 1;
}

static int compare(const char *path)
{
    static answers memory, fused;

    if (use("memory", NULL, &memory) != 0 || use("fused", path, &fused) != 0)
        return 1;
    printf("%s", fused.text);
    if (memory.len != fused.len || memcmp(memory.text, fused.text, fused.len) != 0) {
        fprintf(stderr, "two_engines: memory answers otherwise:\n%s", memory.text);
        return 1;
    }
    printf("memory and fused gave the same %zu bytes of answers\n", fused.len);
    return 0;
}

int main(int argc, char **argv)
{
    const char *base = getenv("TMPDIR");
    char        folder[1000], path[1020];
    int         failed;

    if (argc > 1)
        return compare(argv[1]);
    snprintf(folder, sizeof folder, "%s/two_engines-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        return 1;
    }
    snprintf(path, sizeof path, "%s/planets.fsdb", folder);
    failed = compare(path);
    (void)akv_destroy(NULL, path, NULL); /* the engine is told from the file */
    rmdir(folder);
    return failed;
}
