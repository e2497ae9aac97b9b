/* SPDX-License-Identifier: MIT
 *
 * oui_lookup.c: who made this network card? IEEE's registry of address prefixes
 * becomes one store, in which every spelling of a prefix leads to its
 * organisation's one object, and is then looked up by the million.
 *
 *     oui_lookup [--engine NAME] [--output FILE] [--lookups N] [FOLDER] [MAC...]
 *
 * FOLDER holds IEEE's CSV files as the Debian package ieee-data installs them.
 * The same program runs on any engine: only the name that goes to akv_open
 * changes. What the fused engine can do beyond that is asked of its own
 * interface, when it is the one.
 */
#include <anykv/anykv.h>
#include <anykv/doc.h>
#include <anykv/fused.h>

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OUI_FOLDER "/usr/share/ieee-data"
#define OUI_BATCH  64u
#define OUI_ASKED  (1u << 20) /* different keys to ask for in turn */
#define OUI_KEY    16u        /* room for the longest spelling, "00:50:c2:00:0" */
#define OUI_FIELDS 4u         /* registry, assignment, name, address */

typedef struct oui_run {
    const char *engine, *folder, *output;
    uint64_t    lookups;
    akv        *db;
    uint64_t    rows, keys;
    char (*spelled)[OUI_KEY]; /* every key put, for asking again */
    size_t spelled_cap;
} oui_run;

static int oui_failed(const char *what)
{
    fprintf(stderr, "oui_lookup: %s: %s\n", what, akv_last_error()->text);
    return 1;
}

static double oui_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --------------------------------------------------------------- reading CSV */

/* Split the next row in place: commas, quotes, doubled quotes. *at moves past
 * it. Returns the number of fields, 0 at the end. */
static unsigned oui_row(char **at, char *fields[OUI_FIELDS])
{
    unsigned n  = 0;
    char    *in = *at, *out = *at;
    bool     quoted = false, more = *in != '\0';

    while (more) {
        if (n < OUI_FIELDS)
            fields[n] = out;
        n++;
        for (;; in++) {
            if (*in == '"' && quoted && in[1] == '"')
                *out++ = *in++;
            else if (*in == '"')
                quoted = !quoted;
            else if (*in == '\0' || (!quoted && (*in == ',' || *in == '\n')))
                break;
            else if (*in != '\r')
                *out++ = *in;
        }
        more = *in == ',';
        in += *in != '\0';
        while (n <= OUI_FIELDS && out > fields[n - 1] && out[-1] == ' ')
            out--;
        *out++ = '\0';
    }
    *at = in;
    return n;
}

/* "70B3D5E" as "70b3d5e", "70:b3:d5:e" or "70-b3-d5-e". */
static void oui_spell(const char *digits, char between, char out[OUI_KEY])
{
    size_t n = 0;

    for (size_t i = 0; digits[i] && n + 2 < OUI_KEY; i++) {
        if (between && i > 0 && i % 2 == 0)
            out[n++] = between;
        out[n++] = (char)tolower((unsigned char)digits[i]);
    }
    out[n] = '\0';
}

/* The organisation as a MessagePack document. */
static akv_status oui_document(const char *name, const char *address, akv_buffer *out)
{
    akv_doc_writer *w;
    akv_status      st;

    out->len = 0;
    st       = akv_doc_writer_msgpack(out, NULL, &w);
    if (st != AKV_OK)
        return st;
    (void)akv_doc_put_map(w, 2); /* a failure stays: finish tells it */
    (void)akv_doc_put_text(w, "organization");
    (void)akv_doc_put_text(w, name);
    (void)akv_doc_put_text(w, "address");
    (void)akv_doc_put_text(w, address);
    (void)akv_doc_put_end(w);
    st = akv_doc_finish(w);
    akv_doc_writer_free(w);
    return st;
}

static akv_status oui_put(oui_run *run, const char *digits, akv_slice document)
{
    static const char between[] = {'\0', ':', '-'};
    akv_status        st        = AKV_OK;

    for (size_t i = 0; i < sizeof between && st == AKV_OK; i++) {
        if (run->keys == run->spelled_cap) {
            size_t cap   = run->spelled_cap ? 2 * run->spelled_cap : 4096;
            void  *grown = realloc(run->spelled, cap * OUI_KEY);

            if (!grown)
                return AKV_NOMEM;
            run->spelled     = grown;
            run->spelled_cap = cap;
        }
        oui_spell(digits, between[i], run->spelled[run->keys]);
        st = akv_put(run->db, akv_str(run->spelled[run->keys]), document, NULL);
        run->keys += st == AKV_OK;
    }
    return st;
}

/* Put all rows of one file; its text is taken apart. */
static int oui_load_text(oui_run *run, const char *path, char *text)
{
    akv_buffer document = AKV_BUFFER_INIT;
    char      *fields[OUI_FIELDS];
    uint64_t   row = 0;
    unsigned   n;
    int        rc = 0;

    while (rc == 0 && (n = oui_row(&text, fields)) > 0) {
        if (row++ == 0)
            continue; /* names of the columns */
        if (n != OUI_FIELDS) {
            fprintf(stderr, "oui_lookup: %s, row %" PRIu64 ": %u fields, not %u\n", path, row, n,
                    OUI_FIELDS);
            rc = 1;
        } else if (oui_document(fields[2], fields[3], &document) != AKV_OK ||
                   oui_put(run, fields[1], akv_bytes(document.data, document.len)) != AKV_OK) {
            rc = oui_failed(path);
        } else {
            run->rows++;
        }
    }
    akv_buffer_free(&document);
    return rc;
}

static int oui_load_file(oui_run *run, const char *name)
{
    char   path[4096];
    char  *text;
    FILE  *f;
    size_t len;
    int    rc = 1;
    long   size;

    snprintf(path, sizeof path, "%s/%s", run->folder, name);
    f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr,
                "oui_lookup: there is no %s: install the Debian package ieee-data, or name a "
                "folder that has oui.csv, mam.csv, oui36.csv and iab.csv\n",
                path);
        return 1;
    }
    size = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    text = size >= 0 ? malloc((size_t)size + 1) : NULL;
    rewind(f);
    len = text ? fread(text, 1, (size_t)size, f) : 0;
    if (text && len == (size_t)size) {
        text[len] = '\0';
        rc        = oui_load_text(run, path, text);
    } else {
        fprintf(stderr, "oui_lookup: can't read %s\n", path);
    }
    free(text);
    fclose(f);
    return rc;
}

/* ------------------------------------------------------------------- building */

static int oui_build(oui_run *run)
{
    static const char *const names[] = {"iab.csv", "oui36.csv", "mam.csv", "oui.csv"};
    akv_open_options         opt     = AKV_OPEN_OPTIONS_INIT;
    bool                     fused   = strcmp(run->engine, "fused") == 0;
    double                   begin   = oui_now();
    akv_stats               *stats;
    uint64_t                 count = 0;

    opt.flags = AKV_OPEN_CREATE | AKV_OPEN_TRUNCATE;
    if (akv_open(run->engine, run->output, &opt, &run->db) != AKV_OK)
        return oui_failed("can't open the store");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (oui_load_file(run, names[i]) != 0)
            return 1;
    }
    if (akv_finish(run->db, NULL) != AKV_OK)
        return oui_failed("can't finish the store");
    begin = oui_now() - begin;
    if (akv_count(run->db, NULL, &count) != AKV_OK || akv_stats_get(run->db, &stats) != AKV_OK)
        return oui_failed("can't count");
    printf("engine      %s\n", run->engine);
    printf("assignments %" PRIu64 " from %s\n", run->rows, run->folder);
    printf("keys        %" PRIu64 ", three spellings of each prefix\n", count);
    if (fused) {
        printf("objects     %" PRIu64 ", one for each organisation and address\n",
               akv_stats_find(stats, "num_objects")->u64);
        printf("file        %.1f MB, %s\n", (double)akv_stats_find(stats, "file_size")->u64 / 1e6,
               run->output);
    }
    printf("built in    %.2f s, reading the CSV files included\n\n", begin);
    akv_stats_free(stats);
    return 0;
}

/* -------------------------------------------------------------------- looking up */

/* The longest prefix of the address that is assigned: 36, 28 or 24 bits. */
static akv_status oui_find(akv *db, const char *mac, char key_out[OUI_KEY], akv_value *value_out)
{
    static const int lengths[] = {9, 7, 6};
    char             digits[OUI_KEY];
    int              n = 0;

    for (; *mac && n < 12; mac++) {
        if (isxdigit((unsigned char)*mac))
            digits[n++] = (char)tolower((unsigned char)*mac);
    }
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        akv_status st;

        if (lengths[i] > n)
            continue;
        snprintf(key_out, OUI_KEY, "%.*s", lengths[i], digits);
        st = akv_get(db, akv_str(key_out), NULL, value_out);
        if (st != AKV_ABSENT)
            return st;
    }
    return AKV_ABSENT;
}

static int oui_show(akv *db, const char *mac)
{
    akv_value  value = AKV_VALUE_INIT;
    akv_buffer json  = AKV_BUFFER_INIT;
    char       key[OUI_KEY];
    akv_status st = oui_find(db, mac, key, &value);

    if (st == AKV_OK)
        st = akv_msgpack_to_json(akv_bytes(value.data, value.len), NULL, &json);
    if (st == AKV_OK)
        printf("%-18s %-10s %.*s\n", mac, key, (int)json.len, (const char *)json.data);
    else if (st == AKV_ABSENT)
        printf("%-18s not assigned\n", mac);
    akv_value_release(&value);
    akv_buffer_free(&json);
    return st < 0 ? oui_failed(mac) : 0;
}

static void oui_figure(const char *what, uint64_t n, double seconds)
{
    printf("%-34s %6.2f million/s  %5.0f ns each\n", what, (double)n / seconds / 1e6,
           seconds / (double)n * 1e9);
}

/* Keys in random order, their bytes side by side as a program would have them. */
static akv_slice *oui_questions(const oui_run *run, char (**bytes_out)[OUI_KEY])
{
    akv_slice *asked      = malloc(OUI_ASKED * sizeof *asked);
    char(*bytes)[OUI_KEY] = malloc((size_t)OUI_ASKED * OUI_KEY);
    uint64_t seed         = 1;

    for (size_t i = 0; i < OUI_ASKED && asked && bytes; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        memcpy(bytes[i], run->spelled[(seed >> 33) % run->keys], OUI_KEY);
        asked[i] = akv_str(bytes[i]);
    }
    *bytes_out = bytes;
    return asked;
}

/* Through the shared interface, on whatever engine. */
static int oui_measure(akv *db, const akv_slice *asked, uint64_t lookups)
{
    akv_value  values[OUI_BATCH];
    akv_status statuses[OUI_BATCH];
    uint64_t   bytes = 0;
    double     begin = oui_now();

    for (uint64_t i = 0; i < lookups; i++) {
        if (akv_get(db, asked[i % OUI_ASKED], NULL, &values[0]) != AKV_OK)
            return oui_failed("akv_get");
        bytes += values[0].len;
        akv_value_release(&values[0]);
    }
    oui_figure("akv_get", lookups, oui_now() - begin);
    begin = oui_now();
    for (uint64_t i = 0; i < lookups; i += OUI_BATCH) {
        if (akv_get_many(db, OUI_BATCH, asked + i % OUI_ASKED, NULL, values, statuses) != AKV_OK)
            return oui_failed("akv_get_many");
        bytes += values[OUI_BATCH - 1].len;
        akv_values_release(values, OUI_BATCH);
    }
    oui_figure("akv_get_many, 64 at a time", lookups, oui_now() - begin);
    return bytes > 0 ? 0 : 1;
}

/* The engine's own calls, without the shared interface between. */
static int oui_measure_fused(const akv_fused *f, const akv_slice *asked, uint64_t lookups)
{
    akv_slice  objects[OUI_BATCH];
    akv_status statuses[OUI_BATCH];
    uint64_t   bytes = 0;
    double     begin = oui_now();

    for (uint64_t i = 0; i < lookups; i++) {
        if (akv_fused_get(f, asked[i % OUI_ASKED], &objects[0]) != AKV_OK)
            return oui_failed("akv_fused_get");
        bytes += objects[0].len;
    }
    oui_figure("akv_fused_get", lookups, oui_now() - begin);
    begin = oui_now();
    for (uint64_t i = 0; i < lookups; i += OUI_BATCH) {
        if (akv_fused_get_many(f, OUI_BATCH, asked + i % OUI_ASKED, objects, statuses) != AKV_OK)
            return oui_failed("akv_fused_get_many");
        bytes += objects[OUI_BATCH - 1].len;
    }
    oui_figure("akv_fused_get_many, 64 at a time", lookups, oui_now() - begin);
    return bytes > 0 ? 0 : 1;
}

static int oui_look_up(oui_run *run, char **macs, int n)
{
    static const char *const samples[] = {"00:00:0c:12:34:56", "b8-27-eb-00-00-01", "70b3d5e00001",
                                          "00:50:c2:00:0f:ff", "02:00:00:00:00:01"};
    char(*bytes)[OUI_KEY]              = NULL;
    akv_slice *asked                   = NULL;
    int        rc                      = 0;

    for (size_t i = 0; n == 0 && i < sizeof samples / sizeof *samples && rc == 0; i++)
        rc = oui_show(run->db, samples[i]);
    for (int i = 0; i < n && rc == 0; i++)
        rc = oui_show(run->db, macs[i]);
    if (rc != 0 || run->lookups == 0)
        return rc;
    printf("\n");
    asked = oui_questions(run, &bytes);
    rc    = asked && bytes ? oui_measure(run->db, asked, run->lookups) : 1;
    if (rc == 0 && akv_fused_of(run->db))
        rc = oui_measure_fused(akv_fused_of(run->db), asked, run->lookups);
    free(asked);
    free(bytes);
    return rc;
}

/* ------------------------------------------------------------------------- main */

static int oui_usage(void)
{
    fprintf(stderr, "usage: oui_lookup [--engine NAME] [--output FILE] [--lookups N] [FOLDER] "
                    "[MAC...]\n");
    return 2;
}

static int oui_all(oui_run *run, char **macs, int n)
{
    int rc = oui_build(run);

    if (rc == 0)
        rc = oui_look_up(run, macs, n);
    if (rc != 0 && run->db)
        (void)akv_abort(run->db); /* of a build that did not end well */
    if (akv_close(run->db) != AKV_OK)
        rc = oui_failed("can't close the store");
    free(run->spelled);
    return rc;
}

int main(int argc, char **argv)
{
    oui_run     run = {.engine = "fused", .folder = OUI_FOLDER, .lookups = 2000000};
    const char *tmp = getenv("TMPDIR");
    char        scratch[4096], output[4096 + 16];
    struct stat info;
    int         i, rc;

    for (i = 1; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--engine") == 0)
            run.engine = argv[i + 1];
        else if (strcmp(argv[i], "--output") == 0)
            run.output = argv[i + 1];
        else if (strcmp(argv[i], "--lookups") == 0)
            run.lookups = strtoull(argv[i + 1], NULL, 10);
        else
            return oui_usage();
    }
    if (i < argc && argv[i][0] == '-')
        return oui_usage();
    if (i < argc && (strchr(argv[i], '/') || stat(argv[i], &info) == 0))
        run.folder = argv[i++];
    if (run.output || strcmp(run.engine, "memory") == 0)
        return oui_all(&run, argv + i, argc - i);

    snprintf(scratch, sizeof scratch, "%s/oui_lookup-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(scratch)) {
        fprintf(stderr, "oui_lookup: can't make a folder in %s\n", tmp ? tmp : "/tmp");
        return 1;
    }
    snprintf(output, sizeof output, "%s/oui.fsdb", scratch);
    run.output = output;
    rc         = oui_all(&run, argv + i, argc - i);
    unlink(output);
    rmdir(scratch);
    return rc;
}
