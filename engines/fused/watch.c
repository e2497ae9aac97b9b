/* SPDX-License-Identifier: MIT
 *
 * watch.c: a thread that reloads a reloader when its file changes.
 *
 * On Linux inotify wakes it at what happens in the file's folder: any name,
 * since the path may lead through links whose own names change. It then looks
 * at the file itself, and does so each interval in any case: events may be
 * missing (other envs and systems, network file systems, links to elsewhere,
 * no inotify instance left), or the folder be another by now. A byte in a pipe
 * ends it at once.
 */
#include "engines/fused/reload.h"

#include "common/base/mem.h"
#include "common/base/options.h"
#include "common/env/file.h"
#include "common/run/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/inotify.h>
#endif

struct akv_fused_watch {
    /* fixed after start */
    akv_fused_reloader     *reloader;
    akv_fused_watch_options options;
    char                   *folder;
    akvi_pool              *pool;    /* its one thread */
    int                     stop[2]; /* a pipe */
    /* the thread's own */
    int inotify; /* -1: none */
    int wd;      /* the folder in it, -1: none */
};

/* Whose thread this is. */
static _Thread_local const akv_fused_watch *watch_mine;

/* ------------------------------------------------------------------- events */

#ifdef __linux__
#define WATCH_EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)

/* Watch the folder that the path names now. A failure leaves the interval. */
static void watch_listen(akv_fused_watch *w)
{
    int wd = w->wd;

    if (w->reloader->env != akv_env_posix())
        return;
    if (w->inotify < 0)
        w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (w->inotify >= 0)
        w->wd = inotify_add_watch(w->inotify, w->folder, WATCH_EVENTS);
    if (wd >= 0 && wd != w->wd)
        (void)inotify_rm_watch(w->inotify, wd); /* the system may have done so */
}

/* What happened does not matter, just that something did. */
static void watch_drain(const akv_fused_watch *w)
{
    char events[4096];

    while (read(w->inotify, events, sizeof events) > 0)
        ;
}
#else
static void watch_listen(akv_fused_watch *w)
{
    (void)w;
}

static void watch_drain(const akv_fused_watch *w)
{
    (void)w;
}
#endif

/* ------------------------------------------------------------------- thread */

/* Until an event, the interval's end, or the stop: then false. */
static bool watch_wait(const akv_fused_watch *w)
{
    struct pollfd on[]  = {{w->stop[0], POLLIN, 0}, {w->inotify, POLLIN, 0}}; /* -1: left out */
    uint32_t      most  = w->options.interval_ms;
    int           ready = poll(on, 2, most < INT_MAX ? (int)most : INT_MAX);

    if (ready > 0 && on[1].revents)
        watch_drain(w);
    return !(ready > 0 && on[0].revents);
}

static void watch_look(const akv_fused_watch *w)
{
    bool       changed = false;
    akv_status st      = akv_fused_reloader_reload(w->reloader, false, &changed);

    if (changed && w->options.on_reload)
        w->options.on_reload(w->options.user, w->reloader);
    if (st < 0 && w->options.on_error) {
        akv_error error = *akv_last_error(); /* the callback may fail calls of its own */

        w->options.on_error(w->options.user, &error);
    }
}

static void watch_run(void *user)
{
    akv_fused_watch *w = user;

    watch_mine = w;
    do {
        watch_listen(w);
        watch_look(w);
    } while (watch_wait(w));
    watch_mine = NULL;
}

/* ----------------------------------------------------------- start and stop */

static akv_status watch_pipe(int fds[2])
{
#ifdef __APPLE__
    int rc = pipe(fds);

    for (int i = 0; rc == 0 && i < 2; i++)
        (void)fcntl(fds[i], F_SETFD, FD_CLOEXEC);
#else
    int rc = pipe2(fds, O_CLOEXEC);
#endif
    if (rc == 0)
        return AKV_OK;
    fds[0] = fds[1] = -1;
    return AKV_FAIL_ERRNO(errno, NULL, AKV_NO_OFFSET, "can't make a pipe for a watch");
}

static void watch_close(int fd)
{
    if (fd >= 0)
        (void)close(fd);
}

/* The thread is gone, or never was. */
static void watch_free(akv_fused_watch *w)
{
    const akv_allocator *allocator = w->reloader->allocator;

    watch_close(w->inotify);
    watch_close(w->stop[0]);
    watch_close(w->stop[1]);
    akvi_strfree(allocator, w->folder);
    akvi_free(allocator, w, sizeof *w);
}

static akv_status watch_begin(akv_fused_watch *w)
{
    const akv_allocator *allocator = w->reloader->allocator;
    akv_status           st        = watch_pipe(w->stop);

    if (st == AKV_OK) {
        w->folder = akvi_path_folder(allocator, w->reloader->path);
        st        = w->folder ? AKV_OK : AKV_NOMEM;
    }
    if (st == AKV_OK)
        st = akvi_pool_new(allocator, 1, "akv-watch", &w->pool);
    if (st != AKV_OK)
        return st;
    st = akvi_pool_submit(w->pool, watch_run, w);
    if (st != AKV_OK)
        akvi_pool_free(w->pool);
    return st;
}

akv_status akv_fused_watch_start(akv_fused_reloader *reloader, const akv_fused_watch_options *opt,
                                 akv_fused_watch **watch_out)
{
    akv_fused_watch_options own = AKV_FUSED_WATCH_OPTIONS_INIT;
    akv_fused_watch        *w;
    akv_status              st = AKV_OK;

    akvi_call_begin();
    if (!reloader || !watch_out)
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "a reloader or watch_out is NULL"), "fused");
    *watch_out = NULL;
    if (opt)
        st = akvi_options_copy(&own, sizeof own, opt, "akv_fused_watch_options");
    if (st == AKV_OK && (own.interval_ms == 0 || own.reserved != 0))
        st = AKV_FAIL(AKV_MISUSE, "interval_ms is 0, or a reserved field is not");
    if (st != AKV_OK)
        return akvi_call_end(st, "fused");
    w = akvi_zalloc(reloader->allocator, sizeof *w);
    if (!w)
        return akvi_call_end(AKV_NOMEM, "fused");
    w->reloader = reloader;
    w->options  = own;
    w->inotify  = -1;
    w->wd       = -1;
    st          = watch_begin(w);
    if (st != AKV_OK) {
        watch_free(w);
        return akvi_call_end(st, "fused");
    }
    atomic_fetch_add(&reloader->watches, 1);
    *watch_out = w;
    return AKV_OK;
}

akv_status akv_fused_watch_stop(akv_fused_watch *watch)
{
    static const char   stop = 0;
    akv_fused_reloader *r;

    akvi_call_begin();
    if (!watch)
        return AKV_OK;
    if (watch == watch_mine)
        return akvi_call_end(AKV_FAIL(AKV_MISUSE, "a watch can't be stopped by its own callback"),
                             "fused");
    while (write(watch->stop[1], &stop, 1) < 0 && errno == EINTR)
        ;
    akvi_pool_free(watch->pool);
    r = watch->reloader;
    watch_free(watch);
    atomic_fetch_sub(&r->watches, 1);
    return AKV_OK;
}
