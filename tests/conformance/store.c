/* SPDX-License-Identifier: MIT
 *
 * store.c: what cases are written with: stores, and checks of what they hold.
 */
#include "tests/conformance/suite.h"

#include <stdio.h>
#include <stdlib.h>

/* ------------------------------------------------------------------- checks */

static const char *store_file(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

_Noreturn void akvc_fail(akvc_run *r, const char *file, int line, const char *fmt, ...)
{
    va_list args;
    int     n = snprintf(r->why, sizeof r->why, "%s:%d: ", store_file(file), line);

    va_start(args, fmt);
    vsnprintf(r->why + n, sizeof r->why - (size_t)n, fmt, args);
    va_end(args);
    longjmp(r->escape, 1);
}

void akvc_want(akvc_run *r, const char *file, int line, const char *call, akv_status want,
               akv_status got)
{
    const akv_error *error = akv_last_error();

    if (got != want)
        akvc_fail(r, file, line, "%s\n  answered %s, not %s%s%s", call, akv_status_name(got),
                  akv_status_name(want), got < 0 ? "\n  " : "", got < 0 ? error->text : "");
    if (got < 0 && (error->code != got || error->text[0] == '\0'))
        akvc_fail(r, file, line, "%s\n  answered %s, but the error record says %s: \"%s\"", call,
                  akv_status_name(got), akv_status_name(error->code), error->text);
}

void akvc_says(akvc_run *r, const char *file, int line, const char *part)
{
    if (!strstr(akv_last_error()->text, part))
        akvc_fail(r, file, line, "the error \"%s\" does not say \"%s\"", akv_last_error()->text,
                  part);
}

int akvc_compare(akv_slice a, akv_slice b)
{
    size_t n   = a.len < b.len ? a.len : b.len;
    int    cmp = n ? memcmp(a.data, b.data, n) : 0;

    return cmp ? cmp : (a.len > b.len) - (a.len < b.len);
}

/* One way of reading after the other must answer `status` and `value`. */
static const char *store_read_all_ways(akv *db, const akv_read_options *opt, akv_slice key,
                                       akv_status status, akv_slice value)
{
    akv_value   borrowed = AKV_VALUE_INIT, many = AKV_VALUE_INIT;
    akv_buffer  copy   = AKV_BUFFER_INIT;
    akv_status  one    = AKV_OK;
    size_t      len    = 99;
    char       *into   = malloc(value.len + 1);
    const char *failed = NULL;

    if (!into)
        return "malloc";
    if (akv_exists(db, key, opt) != status)
        failed = "exists";
    else if (akv_get(db, key, opt, &borrowed) != status ||
             !akvc_equal(akv_bytes(borrowed.data, borrowed.len), value))
        failed = "get";
    else if (akv_get_into(db, key, opt, into, value.len, &len) != status || len != value.len ||
             memcmp(into, value.data ? value.data : "", len) != 0)
        failed = "get_into";
    else if (akv_get_copy(db, key, opt, &copy) != status ||
             !akvc_equal(akv_bytes(copy.data, copy.len), value))
        failed = "get_copy";
    else if (akv_get_many(db, 1, &key, opt, &many, &one) != AKV_OK || one != status ||
             !akvc_equal(akv_bytes(many.data, many.len), value))
        failed = "get_many";
    akv_value_release(&borrowed);
    akv_value_release(&many);
    akv_buffer_free(&copy);
    free(into);
    return failed;
}

void akvc_has(akvc_run *r, const char *file, int line, akv *db, const akv_read_options *opt,
              akv_slice key, akv_slice value)
{
    const char *failed = store_read_all_ways(db, opt, key, AKV_OK, value);

    if (failed)
        akvc_fail(r, file, line, "by %s, key \"%.*s\" has not the value \"%.*s\"", failed,
                  (int)key.len, (const char *)key.data, value.len < 200 ? (int)value.len : 200,
                  (const char *)value.data);
}

void akvc_lacks(akvc_run *r, const char *file, int line, akv *db, const akv_read_options *opt,
                akv_slice key)
{
    const char *failed = store_read_all_ways(db, opt, key, AKV_ABSENT, akv_bytes(NULL, 0));

    if (failed)
        akvc_fail(r, file, line, "by %s, key \"%.*s\" is not AKV_ABSENT with an empty value",
                  failed, (int)key.len, (const char *)key.data);
}

/* ------------------------------------------------------------------ contents */

typedef struct store_list {
    akvc_pair *pairs;
    size_t     n, room;
} store_list;

static akv_slice store_copy(akvc_run *r, akv_slice from)
{
    void *data = malloc(from.len + 1);

    if (!data)
        akvc_fail(r, __FILE__, __LINE__, "malloc of %zu bytes", from.len);
    memcpy(data, from.data ? from.data : "", from.len);
    return akv_bytes(data, from.len);
}

static void store_list_add(akvc_run *r, store_list *list, akv_slice key, akv_slice value)
{
    if (list->n == list->room) {
        size_t     room  = list->room ? list->room * 2 : 64;
        akvc_pair *pairs = realloc(list->pairs, room * sizeof *pairs);

        if (!pairs)
            akvc_fail(r, __FILE__, __LINE__, "realloc");
        list->pairs = pairs;
        list->room  = room;
    }
    list->pairs[list->n].key     = store_copy(r, key);
    list->pairs[list->n++].value = store_copy(r, value);
}

static int store_by_key(const void *a, const void *b)
{
    return akvc_compare(((const akvc_pair *)a)->key, ((const akvc_pair *)b)->key);
}

const char *akvc_contents(akvc_run *r, akv *db, const akv_read_options *opt)
{
    akv_scan_options scan = AKV_SCAN_OPTIONS_INIT;
    store_list       list = {NULL, 0, 0};
    uint64_t         count;
    akv_status       status;
    akv_iter        *iter;

    if (opt)
        scan.read = *opt;
    OK(r, akv_scan(db, &scan, &iter));
    while ((status = akv_iter_next(iter)) == AKV_OK)
        store_list_add(r, &list, akv_iter_key(iter), akv_iter_value(iter));
    WANT(r, AKV_END, status);
    akv_iter_free(iter);
    if (!(r->caps & AKV_CAP_ORDERED) && list.n)
        qsort(list.pairs, list.n, sizeof *list.pairs, store_by_key);
    r->text.len = 0;
    for (size_t i = 0; i < list.n; i++) {
        akvc_pair *p = &list.pairs[i];

        OK(r, akv_buffer_append(&r->text, " ", i > 0));
        OK(r, akv_buffer_append(&r->text, p->key.data, p->key.len));
        OK(r, akv_buffer_append(&r->text, "=", 1));
        OK(r, akv_buffer_append(&r->text, p->value.data, p->value.len));
        free((void *)(uintptr_t)p->key.data);
        free((void *)(uintptr_t)p->value.data);
    }
    free(list.pairs);
    OK(r, akv_buffer_append(&r->text, "", 1));
    OK(r, akv_count(db, opt, &count));
    CHECK(r, count == list.n);
    return r->text.data;
}

void akvc_holds(akvc_run *r, const char *file, int line, akv *db, const akv_read_options *opt,
                const char *pairs)
{
    const char *got = akvc_contents(r, db, opt);

    if (strcmp(got, pairs) != 0)
        akvc_fail(r, file, line, "the store holds \"%s\"\n  not \"%s\"", got, pairs);
}

/* ------------------------------------------------------------------- stores */

static akv_status store_append(void *user, akv_slice key, const akv_slice *existing,
                               akv_slice operand, akv_buffer *result_out)
{
    akv_status status = AKV_OK;

    (void)user;
    (void)key;
    if (akvc_equal(operand, akv_str("!")))
        return AKV_CORRUPT; /* a user's operator leaves no record */
    if (existing)
        status = akv_buffer_append(result_out, existing->data, existing->len);
    return status == AKV_OK ? akv_buffer_append(result_out, operand.data, operand.len) : status;
}

const akv_merge_operator akvc_append = {"conformance_append", store_append, NULL};

akv_open_options akvc_options(const akvc_run *r)
{
    akv_open_options opt = AKV_OPEN_OPTIONS_INIT;

    opt.flags = AKV_OPEN_CREATE;
    opt.env   = r->env;
    opt.text  = r->opt.text;
    if (r->caps & AKV_CAP_MERGE)
        opt.merge = &akvc_append;
    return opt;
}

const char *akvc_new_path(akvc_run *r)
{
    snprintf(r->path, sizeof r->path, "%s/store-%u", r->folder, r->paths++);
    return r->opt.flags & AKV_CONFORMANCE_NO_PATH ? NULL : r->path;
}

akv *akvc_new(akvc_run *r)
{
    akv_open_options opt = akvc_options(r);
    akv             *db;

    OK(r, akv_open(r->engine, akvc_new_path(r), &opt, &db));
    return db;
}

void akvc_fill(akvc_run *r, akv *db, const akvc_pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        OK(r, akv_put(db, pairs[i].key, pairs[i].value, NULL));
    if (akv_capabilities(db) & AKV_CAP_BUILD)
        OK(r, akv_finish(db, NULL));
}

akv *akvc_filled(akvc_run *r, const char *pairs)
{
    akv *db = akvc_new(r);

    for (const char *at = pairs; *at;) {
        const char *equals = strchr(at, '=');
        size_t      len    = strcspn(equals, " ");

        OK(r,
           akv_put(db, akv_bytes(at, (size_t)(equals - at)), akv_bytes(equals + 1, len - 1), NULL));
        at = equals + len + strspn(equals + len, " ");
    }
    akvc_fill(r, db, NULL, 0);
    return db;
}

void akvc_close(akvc_run *r, akv *db)
{
    OK(r, akv_close(db));
}

akv *akvc_open(akvc_run *r, uint32_t flags)
{
    akv_open_options opt = akvc_options(r);
    akv             *db;

    opt.flags = flags;
    OK(r, akv_open(r->engine, r->path, &opt, &db));
    return db;
}

void akvc_pass(const akvc_run *r, uint64_t ms)
{
    if (r->moves_clock)
        akv_env_memory_advance(r->env, ms);
    else
        r->env->ops->sleep_ns(r->env, ms * 1000000);
}

/* ------------------------------------------------------------------ cleaning */

static int store_collect_name(void *user, const char *name)
{
    return akv_buffer_append(user, name, strlen(name) + 1) != AKV_OK;
}

void akvc_remove_all(akv_env *env, const char *folder)
{
    akv_buffer    names = AKV_BUFFER_INIT;
    akv_file_info info;
    char          path[1200];
    const char   *end;

    env->ops->list(env, folder, store_collect_name, &names);
    end = (const char *)names.data + names.len;
    for (const char *name = names.data; name && name < end; name += strlen(name) + 1) {
        snprintf(path, sizeof path, "%s/%s", folder, name);
        if (env->ops->info(env, path, &info) == AKV_OK && info.kind == AKV_KIND_FOLDER)
            akvc_remove_all(env, path);
        else
            env->ops->remove(env, path);
    }
    akv_buffer_free(&names);
    env->ops->remove_folder(env, folder);
}
