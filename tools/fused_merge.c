/* SPDX-License-Identifier: MIT
 *
 * fused_merge.c: `anykv fused merge`.
 */
#include "tools/cli.h"
#include "tools/commands.h"

#include <anykv/fused.h>

#ifdef AKVI_ENGINE_FUSED

typedef struct merge_args {
    const char *output, *temp_dir;
    uint64_t    buffer_mib;
    bool        plain;
} merge_args;

static void merge_tell(const cli *c, const merge_args *a)
{
    akv_buffer     out  = AKV_BUFFER_INIT;
    akv_fused_info info = AKV_FUSED_INFO_INIT;
    akv_fused     *f    = NULL;

    if (c->quiet || akv_fused_open(a->output, NULL, &f) != AKV_OK)
        return;
    (void)akv_fused_info_get(f, &info);
    if (c->json)
        cli_printf(&out, "{\"keys\":%u,\"objects\":%u,\"bytes\":%llu}\n", info.num_keys,
                   info.num_objects, (unsigned long long)info.file_size);
    else
        cli_printf(&out, "%u keys, %u objects, %llu bytes\n", info.num_keys, info.num_objects,
                   (unsigned long long)info.file_size);
    cli_print(&out);
    akv_buffer_free(&out);
    akv_fused_close(f);
}

static int merge_files(cli *c, const merge_args *a)
{
    akv_fused_writer_options opt = AKV_FUSED_WRITER_OPTIONS_INIT;
    akv_job_options          job = AKV_JOB_OPTIONS_INIT;
    cli_progress             progress;
    akv_status               st;

    opt.flags    = a->plain ? AKV_FUSED_PLAIN : 0;
    opt.temp_dir = a->temp_dir;
    opt.buffer   = a->buffer_mib < UINT32_MAX ? a->buffer_mib << 20 : UINT64_MAX;
    job.progress = cli_progress_job;
    job.user     = &progress;
    cli_catch_interrupts();
    cli_progress_begin(&progress, c, "merging");
    st = akv_fused_merge((const char *const *)c->argv, (size_t)c->argc, a->output, &opt, &job);
    cli_progress_end(&progress);
    if (st != AKV_OK)
        return cli_failed(c);
    merge_tell(c, a);
    return CLI_FINE;
}

static int merge_run_command(cli *c)
{
    merge_args       a         = {.buffer_mib = AKV_FUSED_DEFAULT_BUFFER >> 20};
    const cli_option options[] = {
        {CLI_TEXT, 'o', "output", "OUT.fsdb", &a.output, "the file to make; may be a source"},
        {CLI_FLAG, 0, "plain", NULL, &a.plain,
         "no hash section: the bytes of the original's merge"},
        {CLI_NUMBER, 0, "buffer", "MIB", &a.buffer_mib,
         "MiB of memory to use before temporary files are; default 256"},
        {CLI_TEXT, 0, "temp-dir", "FOLDER", &a.temp_dir, "where those are; else beside OUT"},
        {CLI_END, 0, NULL, NULL, NULL, NULL}};
    int code = cli_parse(c, options, 0, -1);

    if (code != CLI_GO)
        return code;
    if (!a.output)
        return cli_usage(c, "name the file to make with --output");
    if (a.buffer_mib == 0)
        return cli_usage(c, "--buffer is at least 1 MiB");
    return cli_flush(c, merge_files(c, &a));
}

const cli_command cli_fused_merge_command = {
    "fused merge", "-o OUT.fsdb FILE.fsdb...", "make one .fsdb file of several",
    "Make one .fsdb file of any number of them. Equal objects become one, and of a\n"
    "key that several files have, the one in the last of them counts. Every file is\n"
    "checked first: a damaged one ends it, with nothing written. OUT may be one of\n"
    "them; it is replaced in one step at the end.\n\n"
    "Examples:\n"
    "  anykv fused merge -o all.fsdb monday.fsdb tuesday.fsdb\n"
    "  anykv fused merge -o base.fsdb base.fsdb update.fsdb\n"
    "  anykv fused merge -o all.fsdb --plain --buffer 64 part-*.fsdb",
    merge_run_command};
#endif
