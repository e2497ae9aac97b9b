/* SPDX-License-Identifier: MIT
 *
 * locate.c: which engine, and where: by name, by URI, by the files themselves;
 * and the calls that need no more than that.
 */
#include "common/front/front.h"

#include "common/base/buffer.h"
#include "common/env/file.h"

#include <errno.h>

/* ----------------------------------------------------------------- detection */

akv_status akvi_detect(const char *path, akv_env *env, const akv_engine **engine_out)
{
    const akv_engine *engine;
    akv_status        failure = AKV_OK;
    akv_status        status  = akvi_path_exists(env, path);

    for (size_t i = 0; status == AKV_OK && (engine = akvi_engine_get(i)); i++) {
        akv_status answer = engine->detect ? engine->detect(env, path) : AKV_ABSENT;

        if (answer == AKV_OK) {
            akv_engine_recovered();
            *engine_out = engine;
            return AKV_OK;
        }
        if (answer < 0 && failure == AKV_OK)
            failure = answer; /* another engine may still know the files */
    }
    if (status != AKV_OK)
        return status;
    return failure == AKV_OK ? AKV_ABSENT : failure;
}

/* "NAME:PATH" with a name as engines have it, as far as the colon; else 0. */
static size_t locate_name(const char *path)
{
    size_t len = strspn(path, "abcdefghijklmnopqrstuvwxyz");

    return len && len < sizeof(((akv_error *)NULL)->engine) && path[len] == ':' ? len : 0;
}

static akv_status locate_unknown(const char *path, akv_env *env)
{
    char       engines[AKVI_ENGINES_TEXT];
    akv_status there = akvi_path_exists(env, path);

    akvi_engines_text(engines);
    if (there < 0)
        return there;
    if (there == AKV_ABSENT && locate_name(path))
        return AKV_FAIL(AKV_UNSUPPORTED, "%.100s: this build has no engine '%.*s'; it has: %s",
                        path, (int)locate_name(path), path, engines);
    if (there == AKV_ABSENT)
        return akvi_failed(
            AKV_IO,
            AKV_FAIL_ERRNO(ENOENT, path, AKV_NO_OFFSET,
                           "no store to tell the engine by; to make one, name the engine (%s)",
                           engines));
    return AKV_FAIL_AT(AKV_UNSUPPORTED, path, AKV_NO_OFFSET,
                       "not a store of an engine that this build has (%s)", engines);
}

/* ---------------------------------------------------------------------- URIs */

static int locate_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static akv_status locate_decode(const char *text, size_t len, akv_buffer *out)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t    byte = (uint8_t)text[i];
        akv_status status;

        if (byte == '%') {
            int high = i + 2 < len ? locate_digit(text[i + 1]) : -1;
            int low  = high >= 0 ? locate_digit(text[i + 2]) : -1;

            byte = (uint8_t)(low < 0 ? 0 : high << 4 | low);
            i += 2;
        }
        if (byte == 0)
            return AKV_FAIL(AKV_MISUSE, "the URI's path needs two hex digits, not 00, after '%%'");
        status = akvi_buffer_byte(out, byte);
        if (status != AKV_OK)
            return status;
    }
    return akvi_buffer_byte(out, '\0');
}

/* "PATH?query" after the engine's name. */
static akv_status locate_uri(const char *rest, akv_buffer *scratch, const char **path_out,
                             const char **query_out)
{
    const char *mark = strchr(rest, '?');
    size_t      len  = mark ? (size_t)(mark - rest) : strlen(rest);
    akv_status  status;

    akvi_buffer_clear(scratch);
    status = locate_decode(rest, len, scratch);
    if (status != AKV_OK)
        return status;
    *path_out  = len ? scratch->data : NULL;
    *query_out = mark ? mark + 1 : NULL;
    return AKV_OK;
}

akv_status akvi_locate(const char *engine, const char *path, akv_env *env, akv_buffer *scratch,
                       const akv_engine **engine_out, const char **path_out, const char **query_out)
{
    const char *colon = path ? strchr(path, ':') : NULL;
    akv_status  status;

    *path_out  = path;
    *query_out = NULL;
    if (engine) {
        *engine_out = akvi_engine_find(engine, strlen(engine));
        if (*engine_out)
            return AKV_OK;
        return akvi_failed(AKV_UNSUPPORTED, akvi_engine_unknown(engine));
    }
    if (!path)
        return AKV_FAIL(AKV_MISUSE, "neither an engine nor a path was named");
    *engine_out = colon ? akvi_engine_find(path, (size_t)(colon - path)) : NULL;
    if (*engine_out)
        return locate_uri(colon + 1, scratch, path_out, query_out);
    status = akvi_detect(path, env, engine_out);
    return status == AKV_ABSENT ? locate_unknown(path, env) : status;
}

/* ------------------------------------------------------------ without a handle */

akv_status akv_detect(const char *path, akv_env *env, const char **engine_out)
{
    const akv_engine *engine;
    akv_status        status;

    akvi_call_begin();
    if (engine_out)
        *engine_out = NULL;
    if (!path || !engine_out)
        return akvi_call_end(akvi_null(__func__, path ? "engine_out" : "path"), "");
    status = akvi_detect(path, env ? env : akv_env_posix(), &engine);
    if (status == AKV_OK)
        *engine_out = engine->name;
    return akvi_call_end(status, "");
}

/* The engine and path for a call that takes no options. */
static akv_status locate_plain(const char *engine, const char *path, akv_env *env,
                               akv_buffer *scratch, const akv_engine **engine_out,
                               const char **path_out)
{
    const char *query;
    akv_status  status = akvi_locate(engine, path, env, scratch, engine_out, path_out, &query);

    if (status == AKV_OK && query)
        status = AKV_FAIL(AKV_MISUSE, "this call takes no options in a URI");
    if (status == AKV_OK && !*path_out)
        status = AKV_FAIL(AKV_MISUSE, "no path was named");
    return status;
}

akv_status akv_destroy(const char *engine, const char *path, akv_env *env)
{
    const akv_engine *found   = NULL;
    akv_buffer        scratch = AKV_BUFFER_INIT;
    akv_status        status;

    akvi_call_begin();
    env    = env ? env : akv_env_posix();
    status = locate_plain(engine, path, env, &scratch, &found, &path);
    if (status == AKV_OK && !found->destroy)
        status = AKV_FAIL(AKV_UNSUPPORTED, "the %s engine leaves no files to remove", found->name);
    if (status == AKV_OK)
        status = found->destroy(env, path);
    akv_buffer_free(&scratch);
    return akvi_call_end(status, found ? found->name : "");
}

akv_status akv_repair(const char *engine, const char *path, akv_env *env,
                      const akv_job_options *opt)
{
    const akv_engine *found   = NULL;
    akv_buffer        scratch = AKV_BUFFER_INIT;
    akv_job_options   full;
    akv_status        status;

    akvi_call_begin();
    env    = env ? env : akv_env_posix();
    status = locate_plain(engine, path, env, &scratch, &found, &path);
    if (status == AKV_OK && !found->repair)
        status = AKV_FAIL(AKV_UNSUPPORTED, "the %s engine can't repair its stores", found->name);
    if (status == AKV_OK)
        status = akvi_job_options(opt, &full);
    if (status == AKV_OK)
        status = found->repair(env, path, &full);
    akv_buffer_free(&scratch);
    return akvi_call_end(status, found ? found->name : "");
}
