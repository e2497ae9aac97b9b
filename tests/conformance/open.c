/* SPDX-License-Identifier: MIT
 *
 * open.c: cases of opening, closing, and what a store brings over from one to
 * the other.
 */
#include "tests/conformance/suite.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Opening must be refused with a failure, which is returned. */
static akv_status open_refused(akvc_run *r, const char *path, const akv_open_options *opt)
{
    akv       *db     = (akv *)(uintptr_t)1;
    akv_status status = akv_open(r->engine, path, opt, &db);

    CHECK(r, status < 0);
    CHECK(r, db == NULL);
    WANT(r, status, status); /* with its error record */
    return status;
}

/* ------------------------------------------------------------- being asked */

static void open_tells(akvc_run *r)
{
    akv     *db      = akvc_filled(r, "a=1");
    uint64_t max_key = 0, max_value = 0, caps = akv_capabilities(db);

    CHECK(r, strcmp(akv_engine_name(db), r->engine) == 0);
    akv_limits(db, &max_key, &max_value);
    CHECK(r, max_key == r->max_key && max_value == r->max_value);
    akv_limits(db, NULL, NULL);
    CHECK(r, caps == r->caps && (caps & ~AKV_CAP_ALL) == 0);
    CHECK(r, (akv_capabilities_emulated(db) & ~caps) == 0);
    akvc_close(r, db);
    OK(r, akv_close(NULL));
}

static void open_describes(akvc_run *r)
{
    akv_engine_info info = AKV_ENGINE_INFO_INIT;

    OK(r, akv_engine_describe(r->engine, &info));
    CHECK(r, strcmp(info.name, r->engine) == 0 && info.description && info.description[0]);
    CHECK(r, ((r->caps | r->caps_new) & ~info.caps) == 0);
    CHECK(r, (info.caps_emulated & ~info.caps) == 0);
    CHECK(r, info.max_key == r->max_key && info.max_value == r->max_value);
    WANT(r, AKV_UNSUPPORTED, akv_engine_describe("nosuchengine", &info));
    WANT(r, AKV_MISUSE, akv_engine_describe(NULL, &info));
    WANT(r, AKV_MISUSE, akv_engine_describe(r->engine, NULL));
}

static void open_required(akvc_run *r)
{
    akv_open_options opt = akvc_options(r);
    uint64_t         emulated;
    akv             *db;

    opt.required = r->caps | r->caps_new;
    OK(r, akv_open(r->engine, akvc_new_path(r), &opt, &db));
    emulated = akv_capabilities_emulated(db);
    akvc_fill(r, db, NULL, 0);
    akvc_close(r, db);
    for (uint64_t bit = 1; bit <= AKV_CAP_ALL; bit <<= 1) {
        opt.required = bit;
        if ((r->caps | r->caps_new) & bit)
            continue;
        CHECK(r, open_refused(r, akvc_new_path(r), &opt) == AKV_UNSUPPORTED);
        SAYS(r, akv_capability_name(bit));
    }
    opt.required        = 0;
    opt.required_native = emulated;
    if (emulated)
        CHECK(r, open_refused(r, akvc_new_path(r), &opt) == AKV_UNSUPPORTED);
    opt.required_native = r->caps_new & ~emulated;
    OK(r, akv_open(r->engine, akvc_new_path(r), &opt, &db));
    akvc_fill(r, db, NULL, 0);
    akvc_close(r, db);
}

static void open_bad_options(akvc_run *r)
{
    static const akv_engine_options foreign = {sizeof(akv_engine_options), "nosuchengine"};
    akv_open_options                opt     = akvc_options(r);
    akv                            *db;

    opt.flags |= 0x800;
    CHECK(r, open_refused(r, akvc_new_path(r), &opt) == AKV_MISUSE);
    opt      = akvc_options(r);
    opt.sync = 77;
    CHECK(r, open_refused(r, akvc_new_path(r), &opt) < 0);
    opt       = akvc_options(r);
    opt.flags = AKV_OPEN_CREATE | AKV_OPEN_READ_ONLY;
    CHECK(r, open_refused(r, akvc_new_path(r), &opt) == AKV_MISUSE);
    opt      = akvc_options(r);
    opt.text = "no_such_option=1";
    CHECK(r, open_refused(r, akvc_new_path(r), &opt) == AKV_MISUSE);
    SAYS(r, "no_such_option");
    opt                = akvc_options(r);
    opt.engine_options = &foreign;
    CHECK(r, open_refused(r, akvc_new_path(r), &opt) == AKV_MISUSE);
    opt      = akvc_options(r);
    opt.size = 3;
    CHECK(r, open_refused(r, akvc_new_path(r), &opt) == AKV_MISUSE);
    opt = akvc_options(r);
    WANT(r, AKV_UNSUPPORTED, akv_open("nosuchengine", akvc_new_path(r), &opt, &db));
    CHECK(r, db == NULL);
    WANT(r, AKV_MISUSE, akv_open(r->engine, akvc_new_path(r), &opt, NULL));
    WANT(r, AKV_MISUSE, akv_open(NULL, NULL, &opt, &db));
}

/* Each option of the engine reads back what it prints. */
static void open_option_table(akvc_run *r)
{
    const akv_option *table = NULL;
    akv_buffer        text  = AKV_BUFFER_INIT;
    size_t            n     = 0;
    akv_open_options  opt = akvc_options(r), again = opt;

    OK(r, akv_options_table(r->engine, &table, &n));
    for (size_t i = 0; i < n; i++)
        CHECK(r, table[i].name && table[i].help && table[i].help[0]);
    OK(r, akv_options_table(NULL, &table, &n));
    CHECK(r, n > 0);
    for (size_t i = 0; i < n; i++) {
        OK(r, akv_options_print(&table[i], &opt, &text));
        OK(r, akv_buffer_append(&text, "", 1));
        if (table[i].type != AKV_OPTION_TEXT)
            OK(r, akv_options_set(table, n, &again, table[i].name, text.data));
    }
    CHECK(r, memcmp(&opt, &again, sizeof opt) == 0);
    WANT(r, AKV_MISUSE, akv_options_set(table, n, &again, "no_such_option", "1"));
    WANT(r, AKV_UNSUPPORTED, akv_options_table("nosuchengine", &table, &n));
    akv_buffer_free(&text);
}

/* ---------------------------------------------------------------- lifetimes */

static void open_busy(akvc_run *r)
{
    akv         *db    = akvc_filled(r, "a=1");
    akv_value    value = AKV_VALUE_INIT;
    akv_iter    *iter;
    akv_stream  *stream;
    akv_txn     *txn;
    akv_batch   *batch;
    akv_changes *changes;

    OK(r, akv_get(db, akv_str("a"), NULL, &value));
    WANT(r, AKV_BUSY, akv_close(db));
    SAYS(r, "1 value");
    akv_value_release(&value);
    OK(r, akv_scan(db, NULL, &iter));
    WANT(r, AKV_BUSY, akv_close(db));
    SAYS(r, "1 iterator");
    HAS(r, db, NULL, "a", "1"); /* it stays usable */
    akv_iter_free(iter);
    OK(r, akv_stream_open(db, akv_str("a"), NULL, &stream));
    WANT(r, AKV_BUSY, akv_close(db));
    SAYS(r, "1 stream");
    akv_stream_close(stream);
    if (r->caps & AKV_CAP_BATCH) {
        OK(r, akv_batch_new(db, &batch));
        WANT(r, AKV_BUSY, akv_close(db));
        SAYS(r, "1 batch");
        akv_batch_free(batch);
    }
    if (r->caps & AKV_CAP_TXN) {
        OK(r, akv_txn_begin(db, &txn));
        WANT(r, AKV_BUSY, akv_close(db));
        SAYS(r, "1 transaction");
        akv_txn_abort(txn);
    }
    if (r->caps & AKV_CAP_CHANGES) {
        OK(r, akv_changes_open(db, akv_str(""), &changes));
        WANT(r, AKV_BUSY, akv_close(db));
        SAYS(r, "1 change feed");
        akv_changes_close(changes);
    }
    akvc_close(r, db);
}

static void open_busy_with_snapshots(akvc_run *r)
{
    akv          *db = akvc_filled(r, "a=1");
    akv_snapshot *one, *two;

    OK(r, akv_snapshot_new(db, &one));
    OK(r, akv_snapshot_new(db, &two));
    WANT(r, AKV_BUSY, akv_close(db));
    SAYS(r, "2 snapshots");
    akv_snapshot_free(one);
    WANT(r, AKV_BUSY, akv_close(db));
    SAYS(r, "1 snapshot");
    akv_snapshot_free(two);
    akvc_close(r, db);
}

static void open_closed_handle(akvc_run *r)
{
    akv      *db    = akvc_filled(r, "a=1");
    akv_value value = AKV_VALUE_INIT;

    akvc_close(r, db);
    WANT(r, AKV_MISUSE, akv_get(db, akv_str("a"), NULL, &value));
    WANT(r, AKV_MISUSE, akv_put(db, akv_str("a"), akv_str("1"), NULL));
    WANT(r, AKV_MISUSE, akv_close(db));
    CHECK(r, akv_capabilities(db) == 0);
}

static void open_two_stores(akvc_run *r)
{
    akv *one = akvc_filled(r, "a=1");
    akv *two = akvc_filled(r, "a=2 b=2");

    HOLDS(r, one, NULL, "a=1");
    HOLDS(r, two, NULL, "a=2 b=2");
    akvc_close(r, one);
    HOLDS(r, two, NULL, "a=2 b=2");
    akvc_close(r, two);
}

/* -------------------------------------------------------------------- memory */

/* Remembers each block's size in front of it. */
typedef struct open_memory {
    _Atomic int64_t  blocks;
    _Atomic uint64_t wrong; /* releases and resizes with another size */
} open_memory;

typedef union open_head {
    size_t      size;
    max_align_t align;
} open_head;

static void *open_alloc(void *user, size_t size)
{
    open_memory *memory = user;
    open_head   *head   = malloc(sizeof *head + size);

    if (!head)
        return NULL;
    head->size = size;
    atomic_fetch_add(&memory->blocks, 1);
    return head + 1;
}

static void *open_resize(void *user, void *block, size_t old_size, size_t new_size)
{
    open_memory *memory = user;
    open_head   *head   = block ? (open_head *)block - 1 : NULL;

    if (!head)
        return open_alloc(user, new_size);
    if (head->size != old_size)
        atomic_fetch_add(&memory->wrong, 1);
    head = realloc(head, sizeof *head + new_size);
    if (!head)
        return NULL;
    head->size = new_size;
    return head + 1;
}

static void open_release(void *user, void *block, size_t size)
{
    open_memory *memory = user;
    open_head   *head   = block ? (open_head *)block - 1 : NULL;

    if (!head)
        return;
    if (head->size != size)
        atomic_fetch_add(&memory->wrong, 1);
    atomic_fetch_sub(&memory->blocks, 1);
    free(head);
}

static void open_no_log(void *user, akv_log_level level, const char *engine, const char *text)
{
    (void)user;
    (void)level;
    (void)engine;
    (void)text;
}

static void open_use_a_little(akvc_run *r, akv *db)
{
    akv_buffer copy = AKV_BUFFER_INIT;
    char       key[32];
    akv_iter  *iter;

    for (unsigned i = 0; i < 500; i++) {
        snprintf(key, sizeof key, "key-%u", i % 300);
        OK(r, akv_put(db, akv_str(key), akv_str(key), NULL));
    }
    akvc_fill(r, db, NULL, 0);
    OK(r, akv_get_copy(db, akv_str("key-7"), NULL, &copy));
    OK(r, akv_scan(db, NULL, &iter));
    while (akv_iter_next(iter) == AKV_OK)
        continue;
    akv_iter_free(iter);
    for (unsigned i = 0; i < 300 && (r->caps & AKV_CAP_WRITE); i += 2) {
        snprintf(key, sizeof key, "key-%u", i);
        OK(r, akv_delete(db, akv_str(key), NULL));
    }
    akv_buffer_free(&copy);
}

static void open_allocator(akvc_run *r)
{
    open_memory      memory    = {0, 0};
    akv_allocator    allocator = {open_alloc, open_resize, open_release, &memory};
    akv_logger       logger    = {open_no_log, NULL, AKV_LOG_DEBUG};
    akv_open_options opt       = akvc_options(r);
    akv             *db;

    opt.allocator = &allocator;
    opt.logger    = &logger;
    OK(r, akv_open(r->engine, akvc_new_path(r), &opt, &db));
    CHECK(r, atomic_load(&memory.blocks) > 0);
    open_use_a_little(r, db);
    akvc_close(r, db);
    CHECK(r, atomic_load(&memory.wrong) == 0);
    CHECK(r, atomic_load(&memory.blocks) == 0);
}

/* What does not fit the budget is AKV_NOMEM, and what did stays readable. */
static void open_budget(akvc_run *r)
{
    static char      value[4096];
    akv_open_options opt    = akvc_options(r);
    akv_status       status = AKV_OK;
    unsigned         n      = 0;
    uint64_t         count;
    char             key[16];
    akv             *db;

    opt.memory_budget = 2u << 20;
    OK(r, akv_open(r->engine, akvc_new_path(r), &opt, &db));
    for (; n < 1500 && status == AKV_OK; n++) {
        snprintf(key, sizeof key, "%06u", n);
        status = akv_put(db, akv_str(key), akv_bytes(value, sizeof value), NULL);
    }
    if (status != AKV_OK) {
        WANT(r, AKV_NOMEM, status);
        n--;
        if (r->caps & AKV_CAP_WRITE) { /* and there is room again once some is given back */
            for (unsigned i = 0; i < n / 2; i++) {
                snprintf(key, sizeof key, "%06u", i);
                OK(r, akv_delete(db, akv_str(key), NULL));
            }
            OK(r, akv_put(db, akv_str("000000"), akv_bytes(value, sizeof value), NULL));
            n -= n / 2 - 1;
        }
    }
    status = akv_capabilities(db) & AKV_CAP_BUILD ? akv_finish(db, NULL) : AKV_OK;
    if (status == AKV_NOMEM) {
        OK(r, akv_abort(db));
    } else {
        WANT(r, AKV_OK, status);
        OK(r, akv_count(db, NULL, &count));
        CHECK(r, count == n);
    }
    akvc_close(r, db);
}

/* -------------------------------------------------------------------- paths */

static void open_missing(akvc_run *r)
{
    akv_open_options opt  = akvc_options(r);
    const char      *path = akvc_new_path(r);
    akv_file_info    info;

    opt.flags = 0;
    open_refused(r, path, &opt);
    opt.flags = AKV_OPEN_READ_ONLY;
    open_refused(r, path, &opt);
    CHECK(r, r->env->ops->info(r->env, path, &info) != AKV_OK); /* and nothing was made */
}

static void open_again(akvc_run *r)
{
    akv *db = akvc_filled(r, "a=1 b= =empty");

    akvc_close(r, db);
    for (int i = 0; i < 3; i++) {
        db = akvc_open(r, i == 1 ? AKV_OPEN_CREATE : 0);
        HOLDS(r, db, NULL, "=empty a=1 b=");
        akvc_close(r, db);
    }
}

static void open_again_after_writes(akvc_run *r)
{
    akv *db = akvc_new(r);

    akvc_close(r, db); /* of an empty one */
    db = akvc_open(r, 0);
    HOLDS(r, db, NULL, "");
    OK(r, akv_put(db, akv_str("a"), akv_str("1"), NULL));
    OK(r, akv_put(db, akv_str("b"), akv_str("2"), NULL));
    akvc_close(r, db);
    db = akvc_open(r, 0);
    HOLDS(r, db, NULL, "a=1 b=2");
    OK(r, akv_delete(db, akv_str("a"), NULL));
    OK(r, akv_put(db, akv_str("b"), akv_str("3"), NULL));
    OK(r, akv_sync(db));
    OK(r, akv_put(db, akv_str("c"), akv_str("4"), NULL));
    akvc_close(r, db);
    db = akvc_open(r, AKV_OPEN_CREATE);
    HOLDS(r, db, NULL, "b=3 c=4");
    OK(r, akv_delete_range(db, akv_str(""), akv_str(""), NULL));
    akvc_close(r, db);
    db = akvc_open(r, 0);
    HOLDS(r, db, NULL, "");
    akvc_close(r, db);
}

static void open_exclusive(akvc_run *r)
{
    akv_open_options opt = akvc_options(r);
    akv             *db;

    opt.flags = AKV_OPEN_CREATE | AKV_OPEN_EXCLUSIVE;
    OK(r, akv_open(r->engine, akvc_new_path(r), &opt, &db));
    OK(r, akv_put(db, akv_str("a"), akv_str("1"), NULL));
    akvc_fill(r, db, NULL, 0);
    akvc_close(r, db);
    open_refused(r, r->path, &opt);
    opt.flags = AKV_OPEN_EXCLUSIVE;
    CHECK(r, open_refused(r, r->path, &opt) == AKV_MISUSE);
    db = akvc_open(r, 0);
    HOLDS(r, db, NULL, "a=1");
    akvc_close(r, db);
}

static void open_truncate(akvc_run *r)
{
    akv *db = akvc_filled(r, "a=1 b=2");

    akvc_close(r, db);
    db = akvc_open(r, AKV_OPEN_TRUNCATE);
    OK(r, akv_put(db, akv_str("c"), akv_str("3"), NULL));
    akvc_fill(r, db, NULL, 0);
    HOLDS(r, db, NULL, "c=3");
    akvc_close(r, db);
    db = akvc_open(r, 0);
    HOLDS(r, db, NULL, "c=3");
    akvc_close(r, db);
    db = akvc_open(r, AKV_OPEN_TRUNCATE | AKV_OPEN_CREATE);
    akvc_fill(r, db, NULL, 0);
    HOLDS(r, db, NULL, "");
    akvc_close(r, db);
}

static void open_read_only(akvc_run *r)
{
    const uint64_t mutate = AKV_CAP_WRITE | AKV_CAP_BUILD | AKV_CAP_BATCH | AKV_CAP_DELETE_RANGE |
                            AKV_CAP_MERGE | AKV_CAP_STREAM_WRITE | AKV_CAP_TXN;
    akv          *db = akvc_filled(r, "a=1 b=2");
    akv_file_info before, after;
    bool          there;

    akvc_close(r, db);
    there = r->env->ops->info(r->env, r->path, &before) == AKV_OK;
    db    = akvc_open(r, AKV_OPEN_READ_ONLY);
    CHECK(r, (akv_capabilities(db) & mutate) == 0);
    CHECK(r, akv_capabilities(db) & AKV_CAP_READ);
    HOLDS(r, db, NULL, "a=1 b=2");
    HAS(r, db, NULL, "a", "1");
    WANT(r, AKV_UNSUPPORTED, akv_put(db, akv_str("a"), akv_str("9"), NULL));
    WANT(r, AKV_UNSUPPORTED, akv_delete(db, akv_str("a"), NULL));
    WANT(r, AKV_UNSUPPORTED, akv_delete_range(db, akv_str("a"), akv_str("b"), NULL));
    WANT(r, AKV_UNSUPPORTED, akv_compact(db, NULL));
    OK(r, akv_sync(db));
    HOLDS(r, db, NULL, "a=1 b=2");
    akvc_close(r, db);
    if (there) {
        OK(r, r->env->ops->info(r->env, r->path, &after));
        CHECK(r, before.mtime_ns == after.mtime_ns && before.size == after.size &&
                     before.inode == after.inode);
    }
}

static void open_locked(akvc_run *r)
{
    akv             *db  = akvc_filled(r, "a=1");
    akv_open_options opt = akvc_options(r);

    CHECK(r, open_refused(r, r->path, &opt) == AKV_LOCKED);
    HOLDS(r, db, NULL, "a=1");
    OK(r, akv_put(db, akv_str("b"), akv_str("2"), NULL));
    akvc_close(r, db);
    db = akvc_open(r, 0);
    HOLDS(r, db, NULL, "a=1 b=2");
    akvc_close(r, db);
}

static void open_shared(akvc_run *r)
{
    akv *db  = akvc_filled(r, "a=1 b=2");
    akv *one = akvc_open(r, AKV_OPEN_READ_ONLY), *two = akvc_open(r, AKV_OPEN_READ_ONLY);

    HOLDS(r, one, NULL, "a=1 b=2");
    akvc_close(r, db);
    HOLDS(r, two, NULL, "a=1 b=2");
    akvc_close(r, one);
    akvc_close(r, two);
}

static void open_by_uri_and_files(akvc_run *r)
{
    akv             *db   = akvc_filled(r, "a=1");
    akv_open_options opt  = akvc_options(r);
    const char      *name = NULL;
    char             uri[700];
    akv_status       status;

    akvc_close(r, db);
    opt.flags = 0;
    snprintf(uri, sizeof uri, "%s:%s?latency_sample=1", r->engine, r->path);
    OK(r, akv_open(NULL, uri, &opt, &db));
    HOLDS(r, db, NULL, "a=1");
    akvc_close(r, db);
    status = akv_detect(r->path, r->env, &name);
    if (status == AKV_ABSENT) /* an engine need not know its files */
        return;
    WANT(r, AKV_OK, status);
    CHECK(r, strcmp(name, r->engine) == 0);
    OK(r, akv_open(NULL, r->path, &opt, &db));
    CHECK(r, strcmp(akv_engine_name(db), r->engine) == 0);
    akvc_close(r, db);
}

static void open_destroy(akvc_run *r)
{
    akv             *db  = akvc_filled(r, "a=1");
    akv_open_options opt = akvc_options(r);
    akv_status       status;
    akv_file_info    info;
    char             path[600];

    akvc_close(r, db);
    snprintf(path, sizeof path, "%s", r->path);
    db     = akvc_filled(r, "other=1");
    status = akv_destroy(r->engine, path, r->env);
    if (status != AKV_UNSUPPORTED) {
        WANT(r, AKV_OK, status);
        CHECK(r, r->env->ops->info(r->env, path, &info) != AKV_OK);
        opt.flags = 0;
        open_refused(r, path, &opt);
    }
    HOLDS(r, db, NULL, "other=1"); /* and nothing else is gone */
    akvc_close(r, db);
}

const akvc_case akvc_open_cases[] = {
    {"open: a handle tells its engine, limits and capabilities", AKV_CAP_READ, 0, open_tells},
    {"describe: tells the same without a handle", 0, 0, open_describes},
    {"open: fails for what is required and lacking, and names it", 0, 0, open_required},
    {"open: refuses unknown engines, options and flags", 0, 0, open_bad_options},
    {"options: each row of the tables is complete and reads back", 0, 0, open_option_table},
    {"open: stores do not disturb each other", AKV_CAP_READ, 0, open_two_stores},
    {"close: AKV_BUSY names what is live, and leaves the handle usable", AKV_CAP_READ, 0,
     open_busy},
    {"close: AKV_BUSY counts snapshots", AKV_CAP_SNAPSHOT, 0, open_busy_with_snapshots},
    {"close: a closed handle is misuse", AKV_CAP_READ, 0, open_closed_handle},
    {"open: all memory is given back, with the sizes that were asked for", AKV_CAP_READ, 0,
     open_allocator},
    {"open: a memory budget is AKV_NOMEM when spent, and loses nothing", AKV_CAP_READ, 0,
     open_budget},
    {"open: without CREATE a store must be there", 0, AKVC_NEEDS_REOPEN, open_missing},
    {"open: finds again what close left", AKV_CAP_READ, AKVC_NEEDS_REOPEN, open_again},
    {"open: finds again what was written over several rounds", AKV_CAP_WRITE | AKV_CAP_DELETE_RANGE,
     AKVC_NEEDS_REOPEN, open_again_after_writes},
    {"open: EXCLUSIVE refuses what is there", AKV_CAP_READ, AKVC_NEEDS_REOPEN, open_exclusive},
    {"open: TRUNCATE begins empty", AKV_CAP_READ, AKVC_NEEDS_REOPEN, open_truncate},
    {"open: READ_ONLY reads, refuses writes and changes no file", AKV_CAP_READ, AKVC_NEEDS_REOPEN,
     open_read_only},
    {"open: a second writer is AKV_LOCKED out", AKV_CAP_WRITE, AKVC_NEEDS_REOPEN, open_locked},
    {"open: readers share a store", AKV_CAP_SHARED_READ, AKVC_NEEDS_REOPEN, open_shared},
    {"open: by URI, and by the files alone", AKV_CAP_READ, AKVC_NEEDS_REOPEN,
     open_by_uri_and_files},
    {"destroy: removes the store and nothing else", AKV_CAP_READ, AKVC_NEEDS_REOPEN, open_destroy},
    {NULL, 0, 0, NULL},
};
