/* SPDX-License-Identifier: MIT
 *
 * fused_watch.c: `anykv fused watch`: tells when a .fsdb file is replaced, and
 * whether what replaced it can be read. The watch's thread prints; the
 * command's own waits for the count or Ctrl-C.
 */
#ifdef AKVI_ENGINE_FUSED
#include "tools/commands.h"

#include <anykv/fused.h>
#include <stdatomic.h>
#include <time.h>

#define WATCH_NAP_NS 20000000

typedef struct watch_run {
    cli             *c;
    uint64_t         count; /* 0: no end */
    _Atomic uint64_t told;
} watch_run;

static void watch_line(watch_run *run, akv_buffer *line)
{
    cli_append_text(line, "\n");
    cli_print(line);
    fflush(stdout);
    akv_buffer_free(line);
    atomic_fetch_add(&run->told, 1);
}

static bool watch_is_over(const watch_run *run)
{
    return cli_interrupted() || (run->count > 0 && atomic_load(&run->told) >= run->count);
}

static void watch_on_reload(void *user, akv_fused_reloader *reloader)
{
    watch_run     *run  = user;
    akv_fused_info info = AKV_FUSED_INFO_INIT;
    akv_buffer     line = AKV_BUFFER_INIT;
    akv_fused_pin  pin;

    if (watch_is_over(run) || akv_fused_reloader_pin(reloader, &pin) != AKV_OK)
        return;
    (void)akv_fused_info_get(pin.fused, &info);
    cli_printf(&line,
               run->c->json ? "{\"event\":\"reload\",\"generation\":%llu,\"keys\":%llu,"
                              "\"num_objects\":%llu,\"file_size\":%llu,\"file_crc32\":\"%s\"}"
                            : "reload  generation %llu, %llu keys, %llu objects, %llu bytes, "
                              "crc32 %s",
               (unsigned long long)pin.generation, (unsigned long long)info.keys,
               (unsigned long long)info.num_objects, (unsigned long long)info.file_size,
               info.file_crc32);
    akv_fused_pin_release(&pin);
    watch_line(run, &line);
}

static void watch_on_error(void *user, const akv_error *error)
{
    watch_run *run  = user;
    akv_buffer line = AKV_BUFFER_INIT;

    if (watch_is_over(run))
        return;
    if (run->c->json) {
        cli_printf(&line,
                   "{\"event\":\"error\",\"code\":\"%s\",\"text\":", akv_status_name(error->code));
        cli_json_text(&line, akv_str(error->text));
        cli_append_text(&line, "}");
    } else {
        cli_printf(&line, "error   ");
        cli_escape(&line, akv_str(error->text));
    }
    watch_line(run, &line);
}

static void watch_until_over(const watch_run *run)
{
    const struct timespec nap = {0, WATCH_NAP_NS};

    while (!watch_is_over(run))
        nanosleep(&nap, NULL);
}

static int watch_file(watch_run *run, const char *path, uint64_t interval_ms)
{
    akv_fused_watch_options opt = AKV_FUSED_WATCH_OPTIONS_INIT;
    akv_fused_reloader     *r;
    akv_fused_watch        *w;
    int                     code = CLI_FINE;

    opt.interval_ms = interval_ms < UINT32_MAX ? (uint32_t)interval_ms : UINT32_MAX;
    opt.on_reload   = watch_on_reload;
    opt.on_error    = watch_on_error;
    opt.user        = run;
    if (akv_fused_reloader_open(path, NULL, &r) != AKV_OK)
        return cli_failed(run->c);
    cli_catch_interrupts();
    if (akv_fused_watch_start(r, &opt, &w) == AKV_OK) {
        watch_until_over(run);
        (void)akv_fused_watch_stop(w);
    } else {
        code = cli_failed(run->c);
    }
    (void)akv_fused_reloader_close(r);
    return code;
}

static int watch_run_command(cli *c)
{
    watch_run        run         = {.c = c};
    uint64_t         interval_ms = 1000;
    const cli_option options[]   = {
          {CLI_MS, 'i', "interval", "TIME", &interval_ms,
           "look at the file at least as often: 500ms, 30s; default 1s"},
          {CLI_NUMBER, 'n', "count", "N", &run.count, "end after so many lines"},
          {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int code = cli_parse(c, options, 1, 1);

    if (code != CLI_GO)
        return code;
    return cli_flush(c, watch_file(&run, c->argv[0], interval_ms));
}

const cli_command cli_fused_watch_command = {
    "fused watch", "FILE.fsdb", "tell when a .fsdb file is replaced",
    "Watch a .fsdb file and print a line each time it is replaced by one that can be\n"
    "read, or by one that can't; until Ctrl-C.\n\n"
    "Examples:\n"
    "  anykv fused watch data.fsdb\n"
    "  anykv fused watch data.fsdb --interval 30s --json\n"
    "  anykv fused watch data.fsdb --count 1",
    watch_run_command};
#endif
