/* SPDX-License-Identifier: MIT
 *
 * cli_progress.c: the progress bar, and interruption by signals.
 */
#include "tools/cli.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t progress_interrupted;

static void progress_on_signal(int number)
{
    (void)number;
    progress_interrupted = 1;
}

void cli_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = progress_on_signal, .sa_flags = (int)SA_RESETHAND};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool cli_interrupted(void)
{
    return progress_interrupted != 0;
}

uint64_t cli_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void cli_progress_begin(cli_progress *p, const cli *c, const char *what)
{
    p->what     = what;
    p->on       = !c->quiet && !c->json && isatty(STDERR_FILENO);
    p->begin_ns = cli_clock_ns();
    p->shown_ns = 0;
}

/* "12.3 MB" of bytes, "1234567" of anything else. */
static void progress_amount(char *text, size_t cap, double amount, const char *unit)
{
    static const char *const prefixes[] = {"B", "kB", "MB", "GB", "TB"};
    size_t                   i          = 0;

    if (strcmp(unit, "bytes") != 0) {
        snprintf(text, cap, "%.0f", amount);
        return;
    }
    for (; amount >= 1000 && i + 1 < sizeof prefixes / sizeof *prefixes; i++)
        amount /= 1000;
    snprintf(text, cap, i ? "%.1f %s" : "%.0f %s", amount, prefixes[i]);
}

static size_t progress_columns(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        return size.ws_col;
    return 80;
}

/* "1:05" or "2:03:04". */
static void progress_time(char *text, size_t cap, double seconds)
{
    unsigned long s = seconds < 1e7 ? (unsigned long)(seconds + 0.5) : 9999999;

    if (s >= 3600)
        snprintf(text, cap, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, cap, "%lu:%02lu", s / 60, s % 60);
}

static void progress_bar(char *text, size_t cells, double share)
{
    for (size_t i = 0; i < cells; i++)
        text[i] = (double)i < share * (double)cells ? '#' : '-';
    text[cells] = '\0';
}

void cli_progress_show(cli_progress *p, uint64_t done, uint64_t total, const char *unit)
{
    uint64_t now = cli_clock_ns();
    double   seconds;
    char     have[32], all[32], speed[32], left[32], line[512], bar[21];
    int      n;

    if (!p->on || (p->shown_ns && done != total && now - p->shown_ns < 100000000u))
        return;
    p->shown_ns = now;
    seconds     = (double)(now - p->begin_ns) / 1e9;
    progress_amount(have, sizeof have, (double)done, unit);
    progress_amount(all, sizeof all, (double)total, unit);
    progress_amount(speed, sizeof speed, seconds > 0 ? (double)done / seconds : 0, unit);
    if (total && done <= total) {
        progress_bar(bar, sizeof bar - 1, (double)done / (double)total);
        progress_time(left, sizeof left,
                      done ? seconds * (double)(total - done) / (double)done : 0);
        n = snprintf(line, sizeof line, "%s [%s] %3.0f%%  %s/%s%s%s  %s/s  ETA %s", p->what, bar,
                     100.0 * (double)done / (double)total, have, all,
                     strcmp(unit, "bytes") ? " " : "", strcmp(unit, "bytes") ? unit : "", speed,
                     left);
    } else {
        n = snprintf(line, sizeof line, "%s  %s%s%s  %s/s", p->what, have,
                     strcmp(unit, "bytes") ? " " : "", strcmp(unit, "bytes") ? unit : "", speed);
    }
    if (n > 0 && (size_t)n >= progress_columns())
        line[progress_columns() - 1] = '\0';
    fprintf(stderr, "\r\033[K%s", line);
    fflush(stderr);
}

void cli_progress_end(cli_progress *p)
{
    if (p->on && p->shown_ns)
        fputs("\r\033[K", stderr);
    p->on = false;
}

int cli_progress_job(void *user, uint64_t done, uint64_t total, const char *unit)
{
    cli_progress_show(user, done, total, unit);
    return cli_interrupted();
}
