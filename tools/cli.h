/* SPDX-License-Identifier: MIT
 *
 * cli.h: what the subcommands of `anykv` share: options, output, errors, the
 * progress bar, and text forms of keys and values.
 *
 * A subcommand is a cli_command and one function. The function declares its
 * options as a table that points at its own variables and hands it to
 * cli_parse, which also answers --help and the words that completion asks for,
 * so help, parsing and completion can't disagree. The whole command is one
 * thread. Running out of memory ends it (cli_append), as nothing better could
 * be done; every engine is safe against that.
 */
#ifndef ANYKV_TOOLS_CLI_H
#define ANYKV_TOOLS_CLI_H

#include <stdio.h>

#include <anykv/anykv.h>

/* What the command exits with. CLI_GO is none: cli_parse says go on. */
enum { CLI_GO = -1, CLI_FINE = 0, CLI_ABSENT = 1, CLI_USAGE = 2, CLI_FAILED = 3 };

struct cli;

typedef struct cli_command {
    const char *name;     /* "get", or two words: "fused build" */
    const char *operands; /* "STORE KEY..." */
    const char *summary;  /* one line, for the list of commands */
    const char *text;     /* what it does; then examples */
    int (*run)(struct cli *cli);
} cli_command;

/* The running command: what is left of its arguments once options are taken,
 * and the options that every command has. */
typedef struct cli {
    const cli_command *command;
    int                argc;
    char             **argv;
    bool               json;
    bool               quiet;
    bool               words; /* print option words for completion, do nothing */
} cli;

/* ------------------------------------------------------------------ options */

typedef enum cli_kind {
    CLI_END = 0,
    CLI_FLAG,   /* bool */
    CLI_TEXT,   /* const char * */
    CLI_NUMBER, /* uint64_t */
    CLI_MS,     /* uint64_t: "500ms", "30s", "5m", "2h", "7d"; plain: seconds */
    CLI_CHOICE, /* uint32_t: the place of the word in `arg`, split at | */
    CLI_PAIRS   /* akv_buffer: name=value texts joined as akv_open wants them */
} cli_kind;

typedef struct cli_option {
    cli_kind    kind;
    char        letter; /* 0: none */
    const char *name;
    const char *arg; /* what stands for the value in help; NULL for flags */
    void       *target;
    const char *help;
} cli_option;

/* Take the options out of cli->argv and check that min..max operands are left
 * (max < 0: any number). CLI_GO, or what to exit with; pairs are freed then. */
int cli_parse(cli *c, const cli_option *options, int min, int max);

/* ------------------------------------------------------------------- stores */

/* How a store is opened: the options of every command that opens one. */
typedef struct cli_store {
    const char *engine;
    const char *key_file;
    akv_buffer  pairs; /* text options */
    uint32_t    sync;  /* akv_sync_mode */
    bool        salvage;
    bool        silent; /* no warnings of the engine on stderr */
} cli_store;
#define CLI_STORE_INIT                                              \
    {                                                               \
        NULL, NULL, AKV_BUFFER_INIT, AKV_SYNC_DEFAULT, false, false \
    }
#define CLI_STORE_ROWS(s)                                                                          \
    {CLI_TEXT, 'e', "engine", "NAME", &(s)->engine, "the engine; else the files or the URI tell"}, \
        {CLI_PAIRS,    'o',         "option",                                                      \
         "NAME=VALUE", &(s)->pairs, "an option of the engine or of open (see anykv options)"},     \
    {                                                                                              \
        CLI_TEXT, 0, "key-file", "FILE", &(s)->key_file,                                           \
            "encryption key: 32 raw bytes or 64 hex digits"                                        \
    }
#define CLI_STORE_READ_ROWS(s)                                                                  \
    CLI_STORE_ROWS(s),                                                                          \
    {                                                                                           \
        CLI_FLAG, 0, "salvage", NULL, &(s)->salvage, "open what can be read of a damaged store" \
    }
#define CLI_STORE_WRITE_ROWS(s)                                             \
    CLI_STORE_ROWS(s),                                                      \
    {                                                                       \
        CLI_CHOICE, 0, "sync", "default|always|periodic|never", &(s)->sync, \
            "what survives a loss of power"                                 \
    }

/* The library's answer, its error record filled. */
akv_status cli_try_open(cli *c, const cli_store *s, const char *path, uint32_t flags,
                        uint64_t required, akv **db_out);
/* Tell why that failed: CLI_USAGE when the options are at fault, else CLI_FAILED. */
int cli_open_failed(cli *c, cli_store *s, const char *path, const akv_error *why);
/* Both in one: CLI_GO or the exit code. */
int cli_open(cli *c, cli_store *s, const char *path, uint32_t flags, uint64_t required,
             akv **db_out);
/* Close, telling a failure unless `code` already is one. Takes NULL. */
int cli_close(cli *c, cli_store *s, akv *db, int code);

/* ---------------------------------------------------------- errors, output */

/* An error record, as text or JSON on stderr. */
void cli_warn(const cli *c, const akv_error *e);
/* The library's last error; returns CLI_FAILED. */
int cli_failed(cli *c);
/* The command's own: CLI_USAGE adds where help is. */
int cli_usage(cli *c, const char *fmt, ...) AKV_PRINTF(2, 3);
/* A failure that the library has no part in; file may be NULL. */
int cli_fail(cli *c, const char *code, const char *file, uint64_t offset, const char *fmt, ...)
    AKV_PRINTF(5, 6);
/* Wrong use: the first of argv is no command. */
int cli_unknown(cli *c);
/* AKV_OK to CLI_FINE, AKV_ABSENT to CLI_ABSENT, else the failure told. */
int cli_answer(cli *c, akv_status status);
/* Bytes to stdout; cli_flush tells whether they got there. */
void cli_print(const akv_buffer *b);
/* Flush stdout: a full disk or closed pipe must not pass for success. */
int cli_flush(cli *c, int code);

/* Ctrl-C and SIGTERM from here on only raise a flag, so that what is half done
 * can be taken back; the second time they end the process. */
void cli_catch_interrupts(void);
bool cli_interrupted(void);

/* ----------------------------------------------------------------- progress */

/* A bar on stderr, when that is a terminal and neither --quiet nor --json. */
typedef struct cli_progress {
    const char *what;
    bool        on;
    uint64_t    begin_ns, shown_ns;
} cli_progress;

void cli_progress_begin(cli_progress *p, const cli *c, const char *what);
void cli_progress_show(cli_progress *p, uint64_t done, uint64_t total, const char *unit);
void cli_progress_end(cli_progress *p); /* clears the line */
/* For akv_job_options, `user` being the cli_progress; also stops at Ctrl-C. */
int cli_progress_job(void *user, uint64_t done, uint64_t total, const char *unit);

uint64_t cli_clock_ns(void); /* monotonic */

/* --------------------------------------------------------------------- text */

/* akv_buffer_append, or the end of the process. */
void cli_append(akv_buffer *b, const void *data, size_t len);
void cli_append_text(akv_buffer *b, const char *text);
void cli_printf(akv_buffer *b, const char *fmt, ...) AKV_PRINTF(2, 3);

/* Printable ASCII and UTF-8 as they are; \n \r \t \\ and \xHH for the rest. */
void cli_escape(akv_buffer *b, akv_slice bytes);
/* The reverse; the offset of a bad escape, or -1 when all is well. */
long cli_unescape(akv_buffer *b, const char *text);
void cli_hex(akv_buffer *b, akv_slice bytes);
/* Text of 2n hex digits to n bytes; false when it is none. */
bool cli_unhex(akv_buffer *b, akv_slice text);
void cli_base64(akv_buffer *b, akv_slice bytes);
bool cli_unbase64(akv_buffer *b, akv_slice text);
bool cli_is_utf8(akv_slice bytes);
/* UTF-8 without control characters but tab and line ends. */
bool cli_is_text(akv_slice bytes);

/* A JSON string; bytes that are no UTF-8 become U+FFFD. */
void cli_json_text(akv_buffer *b, akv_slice text);

/* A key as it was typed: plain text, escapes (-x: \xHH and the like) or hex. */
typedef struct cli_key_form {
    bool hex;
    bool escapes;
} cli_key_form;
#define CLI_KEY_ROWS(f)                                                                        \
    {CLI_FLAG, 0, "key-hex", NULL, &(f)->hex, "keys are given in hex"},                        \
    {                                                                                          \
        CLI_FLAG, 'x', "escapes", NULL, &(f)->escapes, "keys hold escapes: \\n \\t \\\\ \\xHH" \
    }
/* CLI_GO with the key in `out`, or the exit code after telling why not. */
int cli_key(cli *c, const cli_key_form *f, const char *text, akv_buffer *out);

static inline akv_slice cli_slice(const akv_buffer *b)
{
    return akv_bytes(b->data, b->len);
}

#endif
