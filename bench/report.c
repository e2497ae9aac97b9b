/* SPDX-License-Identifier: MIT
 *
 * report.c: what was measured, as a table, as JSON, and as a chart.
 */
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static bench_figure report_figures[512];
static size_t       report_n;

void bench_add(bench_figure figure)
{
    if (report_n == sizeof report_figures / sizeof report_figures[0])
        bench_die("report", "too many figures");
    report_figures[report_n++] = figure;
}

/* The figure of the suite's first peer for the same workload. */
static const bench_figure *report_base(const bench_figure *f)
{
    for (size_t i = 0; i < report_n; i++)
        if (strcmp(report_figures[i].suite, f->suite) == 0 &&
            strcmp(report_figures[i].workload, f->workload) == 0)
            return &report_figures[i];
    return f;
}

static const char *report_time(char *to, size_t cap, double ns)
{
    if (ns < 1e4)
        snprintf(to, cap, "%.*f ns", ns < 100 ? 1 : 0, ns);
    else if (ns < 1e7)
        snprintf(to, cap, "%.1f us", ns / 1e3);
    else
        snprintf(to, cap, "%.1f ms", ns / 1e6);
    return to;
}

/* What an operation costs: its time or its bytes. */
static const char *report_each(char *to, size_t cap, const bench_figure *f)
{
    if (f->bytes == 0)
        return report_time(to, cap, f->ns);
    if (f->bytes < 1e5)
        snprintf(to, cap, "%.*f B", f->bytes < 100 ? 1 : 0, f->bytes);
    else
        snprintf(to, cap, "%.1f MB", f->bytes / 1e6);
    return to;
}

/* How many times the first peer's cost this peer's is. */
static double report_ratio(const bench_figure *f)
{
    const bench_figure *base = report_base(f);

    return f->bytes > 0 ? f->bytes / base->bytes : f->ns / base->ns;
}

static void report_row(const bench_figure *f)
{
    char each[32], p50[32] = "", p99[32] = "", p999[32] = "", rate[32] = "";

    report_each(each, sizeof each, f);
    if (f->bytes == 0)
        snprintf(rate, sizeof rate, "%.0f", f->per_s);
    if (f->p50_ns > 0) {
        report_time(p50, sizeof p50, f->p50_ns);
        report_time(p99, sizeof p99, f->p99_ns);
    }
    if (f->p999_ns > 0)
        report_time(p999, sizeof p999, f->p999_ns);
    printf("| %-20s | %-22s | %10s | %10s | %9s | %9s | %9s | %6.2f |\n", f->workload, f->peer,
           each, rate, p50, p99, p999, report_ratio(f));
}

static void report_table(const bench_options *opt)
{
    struct utsname u;
    const char    *suite = "", *workload = "";

    uname(&u);
    printf("%zu keys, %zu objects, values of %zu bytes in `memory`; median of %u rounds; "
           "%ld cores, %s %s\n",
           opt->n, opt->objects_n, opt->value_len, opt->rounds, sysconf(_SC_NPROCESSORS_ONLN),
           u.sysname, u.machine);
    for (size_t i = 0; i < report_n; i++) {
        const bench_figure *f = &report_figures[i];

        if (strcmp(suite, f->suite) != 0) {
            printf("\n### %s\n\n| %-20s | %-22s | %10s | %10s | %9s | %9s | %9s | %6s |\n",
                   f->suite, "workload", "store", "each", "per second", "p50", "p99", "p99.9",
                   "times");
            printf("|---|---|--:|--:|--:|--:|--:|--:|\n");
        } else if (strcmp(workload, f->workload) != 0) {
            printf("| | | | | | | | |\n");
        }
        suite    = f->suite;
        workload = f->workload;
        report_row(f);
    }
}

static void report_json(const bench_options *opt, const char *path)
{
    FILE *out = fopen(path, "w");

    if (!out)
        bench_die(path, "can't write");
    fprintf(out,
            "{\"keys\":%zu,\"objects\":%zu,\"value_len\":%zu,\"rounds\":%u,\"cores\":%ld,"
            "\"figures\":[",
            opt->n, opt->objects_n, opt->value_len, opt->rounds, sysconf(_SC_NPROCESSORS_ONLN));
    for (size_t i = 0; i < report_n; i++) {
        const bench_figure *f = &report_figures[i];

        fprintf(out, "%s\n{\"suite\":\"%s\",\"workload\":\"%s\",\"store\":\"%s\",", i ? "," : "",
                f->suite, f->workload, f->peer);
        if (f->bytes > 0)
            fprintf(out, "\"bytes\":%.0f,", f->bytes);
        else
            fprintf(out, "\"ns\":%.2f,\"per_s\":%.1f,", f->ns, f->per_s);
        if (f->p50_ns > 0)
            fprintf(out, "\"p50_ns\":%.0f,\"p99_ns\":%.0f,", f->p50_ns, f->p99_ns);
        if (f->p999_ns > 0)
            fprintf(out, "\"p999_ns\":%.0f,", f->p999_ns);
        fprintf(out, "\"times\":%.3f}", report_ratio(f));
    }
    fprintf(out, "\n]}\n");
    fclose(out);
}

/* ---------------------------------------------------------------- markdown
 *
 * A table a suite: a row a workload, a column a store; in brackets how many
 * times the first store's cost. */

#define MARKDOWN_STORES_MAX 16u

/* The stores of a suite, in the order in which they come first. */
static size_t markdown_stores(const char *suite, const char *stores_out[MARKDOWN_STORES_MAX])
{
    size_t n = 0, s;

    for (size_t i = 0; i < report_n; i++) {
        if (strcmp(report_figures[i].suite, suite) != 0)
            continue;
        for (s = 0; s < n && strcmp(stores_out[s], report_figures[i].peer) != 0; s++)
            ;
        if (s == n && n < MARKDOWN_STORES_MAX)
            stores_out[n++] = report_figures[i].peer;
    }
    return n;
}

static const bench_figure *markdown_find(const bench_figure *like, const char *store)
{
    for (size_t i = 0; i < report_n; i++)
        if (strcmp(report_figures[i].suite, like->suite) == 0 &&
            strcmp(report_figures[i].workload, like->workload) == 0 &&
            strcmp(report_figures[i].peer, store) == 0)
            return &report_figures[i];
    return NULL;
}

static void markdown_row(FILE *out, const bench_figure *base, const char *const *stores, size_t n)
{
    char each[32];

    fprintf(out, "| %s |", base->workload);
    for (size_t s = 0; s < n; s++) {
        const bench_figure *f = markdown_find(base, stores[s]);

        if (!f)
            fprintf(out, " - |");
        else if (f == base)
            fprintf(out, " %s |", report_each(each, sizeof each, f));
        else
            fprintf(out, " %s (%.2f) |", report_each(each, sizeof each, f), report_ratio(f));
    }
    fprintf(out, "\n");
}

static void report_markdown(const char *path)
{
    FILE       *out   = fopen(path, "w");
    const char *suite = "", *stores[MARKDOWN_STORES_MAX];
    size_t      n     = 0;

    if (!out)
        bench_die(path, "can't write");
    for (size_t i = 0; i < report_n; i++) {
        const bench_figure *f = &report_figures[i];

        if (strcmp(suite, f->suite) != 0) {
            n = markdown_stores(f->suite, stores);
            fprintf(out, "%s| %s |", *suite ? "\n" : "", f->suite);
            for (size_t s = 0; s < n; s++)
                fprintf(out, " %s |", stores[s]);
            fprintf(out, "\n|---|");
            for (size_t s = 0; s < n; s++)
                fprintf(out, "--:|");
            fprintf(out, "\n");
        }
        suite = f->suite;
        if (report_base(f) == f)
            markdown_row(out, f, stores, n);
    }
    fclose(out);
}

/* ------------------------------------------------------------------- chart
 *
 * A bar a figure: how many times our cost a store's is, cut at 20, grouped by
 * workload, ours in colour. */

#define CHART_BAR   14
#define CHART_LEFT  260
#define CHART_WIDTH 520
#define CHART_CUT   20.0

static int chart_group_title(FILE *out, const bench_figure *f, int y)
{
    fprintf(out, "<text x=\"12\" y=\"%d\" font-weight=\"bold\">%s: %s</text>\n", y + 16, f->suite,
            f->workload);
    return y + 24;
}

static int chart_bar(FILE *out, const bench_figure *f, int y)
{
    double ratio = report_ratio(f), width = (ratio < CHART_CUT ? ratio : CHART_CUT) / CHART_CUT;
    bool   ours = strncmp(f->peer, "anykv", 5) == 0;
    char   each[32];

    report_each(each, sizeof each, f);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", CHART_LEFT - 8, y + 11,
            f->peer);
    fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>", CHART_LEFT,
            y, width * CHART_WIDTH, CHART_BAR - 2, ours ? "#0b7285" : "#adb5bd");
    fprintf(out, "<text x=\"%.1f\" y=\"%d\">%s, %.2f times%s</text>\n",
            CHART_LEFT + width * CHART_WIDTH + 6, y + 11, each, ratio,
            ratio > CHART_CUT ? " (bar cut)" : "");
    return y + CHART_BAR + 2;
}

static void report_svg(const char *path)
{
    FILE       *out      = fopen(path, "w");
    const char *workload = "";
    int         y = 40, height = 60;

    if (!out)
        bench_die(path, "can't write");
    for (size_t i = 0; i < report_n; i++) {
        height += CHART_BAR + 2;
        if (i == 0 || strcmp(report_figures[i].workload, report_figures[i - 1].workload) != 0)
            height += 24 + 8;
    }
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
            "<text x=\"12\" y=\"24\" font-size=\"16\">Cost, in multiples of anykv's: shorter is "
            "better</text>\n",
            CHART_LEFT + CHART_WIDTH + 200, height);
    for (size_t i = 0; i < report_n; i++) {
        if (strcmp(workload, report_figures[i].workload) != 0)
            y = chart_group_title(out, &report_figures[i], y + 8);
        workload = report_figures[i].workload;
        y        = chart_bar(out, &report_figures[i], y);
    }
    fprintf(out, "</svg>\n");
    fclose(out);
}

void bench_report(const bench_options *opt, const bench_report_paths *to)
{
    report_table(opt);
    if (to->json)
        report_json(opt, to->json);
    if (to->svg)
        report_svg(to->svg);
    if (to->markdown)
        report_markdown(to->markdown);
}
