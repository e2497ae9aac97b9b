/* SPDX-License-Identifier: MIT
 *
 * peer_fusedb.c: FuseDB's own package as a peer. It is measured by a Python
 * program (peer_fusedb.py), since that is how its users call it: what a call of
 * Python costs is in its figures, and in get the decoding of MessagePack.
 */
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void fusedb_write_keys(const char *path, const bench_data *d, const bench_bytes *keys)
{
    FILE *out = fopen(path, "w");

    if (!out)
        bench_die(path, "can't write");
    for (size_t i = 0; i < d->n; i++) {
        bench_bytes key = keys[d->order[i]];

        fprintf(out, "%s%.*s", i > 0 ? "\n" : "", (int)key.len, (const char *)key.data);
    }
    if (fclose(out) != 0)
        bench_die(path, "can't write");
}

/* A line of peer_fusedb.py: "fusedb", nanoseconds, workload. */
static bool fusedb_figure(char *line, bench_figure *figure_out)
{
    char  *rest;
    double ns;

    if (strncmp(line, "fusedb ", 7) != 0)
        return false;
    ns = strtod(line + 7, &rest);
    if (ns <= 0 || *rest != ' ')
        return false;
    rest[strcspn(rest, "\n")] = '\0';
    *figure_out               = (bench_figure){.suite    = "lookup",
                                               .workload = strdup(rest + 1), /* for the report */
                                               .peer     = "FuseDB, in Python",
                                               .ns       = ns,
                                               .per_s    = 1e9 / ns};
    return figure_out->workload != NULL;
}

size_t bench_fusedb(const bench_options *opt, const bench_data *data, bench_figure *figures_out,
                    size_t cap)
{
    char   folder[4096], path[4096 + 16], command[3 * 4096], line[256];
    FILE  *python;
    size_t n = 0;

    if (!opt->fusedb)
        return 0;
    snprintf(folder, sizeof folder, "%s/fusedb", opt->folder);
    mkdir(folder, 0755);
    snprintf(path, sizeof path, "%s/keys", folder);
    fusedb_write_keys(path, data, data->keys);
    snprintf(path, sizeof path, "%s/missing", folder);
    fusedb_write_keys(path, data, data->missing);
    snprintf(command, sizeof command, "%s '%s' %zu", opt->fusedb, folder, opt->objects_n);
    python = popen(command, "r");
    if (!python)
        bench_die(command, "can't be started");
    while (n < cap && fgets(line, sizeof line, python))
        n += fusedb_figure(line, &figures_out[n]);
    if (pclose(python) != 0)
        bench_die(command, "failed");
    bench_remove_folder(folder);
    fprintf(stderr, "bench: lookup FuseDB in Python done\n");
    return n;
}
