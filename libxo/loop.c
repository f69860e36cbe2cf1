/* loop.c - the event loop: passes, file descriptors, signals and deferred work. */
#include "libxo/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <utlist.h>

#include "libxo/loop_internal.h"

#define NS_PER_S 1000000000

int64_t xoi_clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t xo_unix_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / XO_MS;
}

int64_t xo_boot_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* libev calls this when it has slept and before the callbacks run, so they see the time of now. */
static void invoke_pending(struct ev_loop *ev)
{
    xo_loop_t *loop = ev_userdata(ev);

    if (ev_pending_count(ev) > 0)
        xo_loop_update(loop);
    ev_invoke_pending(ev);
}

/* ---- its sleep ---- */

void xo_loop_tell_sleep(xo_loop_t *loop, xo_sleep_state_t state)
{
    xo_sleep_t *sleep, *next;

    DL_FOREACH_SAFE(loop->sleeps, sleep, next)
    sleep->callback(sleep, state, sleep->arg);
}

/* libev calls these right before and after its system call. */
static void before_poll(struct ev_loop *ev)
{
    xo_loop_t *loop = ev_userdata(ev);

    if (loop->waits)
        xo_loop_tell_sleep(loop, XO_ASLEEP);
}

static void after_poll(struct ev_loop *ev)
{
    xo_loop_tell_sleep(ev_userdata(ev), XO_AWAKE);
}

void xo_sleep_init(xo_sleep_t *sleep, xo_loop_t *loop, xo_sleep_f callback, void *arg)
{
    *sleep = (xo_sleep_t){.loop = loop, .callback = callback, .arg = arg};
}

void xo_sleep_start(xo_sleep_t *sleep)
{
    if (sleep->active)
        return;
    sleep->active = true;
    DL_APPEND(sleep->loop->sleeps, sleep);
}

void xo_sleep_stop(xo_sleep_t *sleep)
{
    if (!sleep->active)
        return;
    sleep->active = false;
    DL_DELETE(sleep->loop->sleeps, sleep);
}

/* ---- the loop ---- */

static void wake(struct ev_loop *ev, struct ev_timer *timer, int revents)
{
    (void)ev;
    (void)timer;
    (void)revents;
}

static void ring_init(xo_defer_t *ring)
{
    ring->next = ring->prev = ring;
}

static bool ring_empty(const xo_defer_t *ring)
{
    return ring->next == ring;
}

xo_loop_t *xo_loop_create(xo_error_t *err)
{
    xo_loop_t *loop = calloc(1, sizeof *loop);

    if (!loop)
        return xo_error_null(err, ENOMEM, "no memory for an event loop");
    loop->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    if (!loop->ev) {
        int saved = errno ? errno : ENOMEM;
        free(loop);
        return xo_error_null(err, saved, "cannot make an event loop (too many open files?)");
    }
    ev_ref(loop->ev); /* sleep also while there is no watcher */
    ev_set_userdata(loop->ev, loop);
    ev_set_invoke_pending_cb(loop->ev, invoke_pending);
    ev_set_loop_release_cb(loop->ev, before_poll, after_poll);
    ev_timer_init(&loop->sleeper, wake, 0., 0.);
    ring_init(&loop->deferred);
    ring_init(&loop->ending);
    xoi_drive_init(&loop->drive);
    xoi_peeks_init();
    xo_loop_update(loop);
    return loop;
}

void xo_loop_destroy(xo_loop_t *loop)
{
    int saved = errno;

    if (!loop)
        return;
    while (loop->ios)
        xo_io_stop(loop->ios->io);
    while (!ring_empty(&loop->deferred))
        xo_defer_stop(loop->deferred.next);
    while (!ring_empty(&loop->ending))
        xo_defer_stop(loop->ending.next);
    xoi_timers_free(loop);
    xoi_drive_free(&loop->drive);
    ev_loop_destroy(loop->ev);
    free(loop);
    errno = saved;
}

/* Runs what was deferred before this call; what is deferred meanwhile waits for the next pass. */
static void run_deferred(xo_loop_t *loop)
{
    xo_defer_t ring;

    if (ring_empty(&loop->deferred))
        return;
    ring = loop->deferred;
    ring.next->prev = ring.prev->next = &ring;
    ring_init(&loop->deferred);
    while (!ring_empty(&ring)) {
        xo_defer_t *defer = ring.next;
        xo_defer_stop(defer);
        defer->callback(defer, defer->arg);
    }
}

static void run_ending(xo_loop_t *loop)
{
    while (!ring_empty(&loop->ending)) {
        xo_defer_t *defer = loop->ending.next;
        xo_defer_stop(defer);
        defer->callback(defer, defer->arg);
    }
}

/* How long this pass may sleep: 0 not at all, -1 without a limit, else nanoseconds. */
static int64_t sleep_ns(xo_loop_t *loop, int timeout_ms)
{
    int64_t limit = timeout_ms < 0 ? -1 : timeout_ms * XO_MS;
    int64_t next = xoi_timers_next(loop);
    int64_t left;

    if (limit == 0 || !ring_empty(&loop->deferred))
        return 0;
    if (next == INT64_MAX || (loop->frozen && next > loop->now_ns))
        return limit;
    xo_loop_update(loop);
    left = next > loop->now_ns ? next - loop->now_ns : 0;
    return limit >= 0 && limit < left ? limit : left;
}

static void poll_events(xo_loop_t *loop, int64_t wait_ns)
{
    loop->waits = wait_ns != 0 && loop->depth == 1;
    if (wait_ns == 0) {
        ev_run(loop->ev, EVRUN_NOWAIT);
        return;
    }
    if (wait_ns > 0) {
        ev_now_update(loop->ev);
        ev_timer_set(&loop->sleeper, (double)wait_ns / NS_PER_S, 0.);
        ev_timer_start(loop->ev, &loop->sleeper);
    }
    ev_run(loop->ev, EVRUN_ONCE);
    ev_timer_stop(loop->ev, &loop->sleeper);
}

/* Who drives this loop sleeps on its descriptor, right after the pass, unless told not to. */
static int leave(xo_loop_t *loop)
{
    static const int said[] = {[XOI_AWAKE] = 1, [XOI_LOOKING_ON] = XO_LOOKING_ON, [XOI_ASLEEP] = 0};

    if (!ring_empty(&loop->deferred))
        return 1;
    if (loop->drive.epoll_fd < 0 || loop->depth > 0)
        return 0;
    return said[xoi_peeks_leave(loop)];
}

int xo_loop_once(xo_loop_t *loop, int timeout_ms)
{
    int64_t wait_ns;
    int more;

    run_ending(loop);
    wait_ns = sleep_ns(loop, timeout_ms);
    loop->depth++;
    loop->span++;
    poll_events(loop, wait_ns != 0 && xoi_peeks_sleep(loop, wait_ns) ? wait_ns : 0);
    xo_loop_update(loop);
    xoi_timers_run(loop);
    xoi_peeks_run(loop);
    run_deferred(loop);
    run_ending(loop);
    loop->depth--;
    loop->span++;
    more = leave(loop);
    xoi_drive_sync(loop);
    return more;
}

int xo_loop_run(xo_loop_t *loop)
{
    while (!loop->stopped)
        xo_loop_once(loop, -1);
    loop->stopped = false;
    return 0;
}

void xo_loop_stop(xo_loop_t *loop)
{
    loop->stopped = true;
}

uint64_t xo_loop_span(const xo_loop_t *loop)
{
    return loop->span;
}

int64_t xo_loop_now(const xo_loop_t *loop)
{
    return loop->now_ns;
}

void xo_loop_update(xo_loop_t *loop)
{
    if (!loop->frozen)
        loop->now_ns = xoi_clock_ns();
}

void xo_loop_freeze(xo_loop_t *loop, int64_t now_ns)
{
    loop->frozen = true;
    loop->now_ns = now_ns;
}

void xo_loop_advance(xo_loop_t *loop, int64_t by_ns)
{
    int64_t target = loop->now_ns + by_ns;

    loop->depth++;
    while (xoi_timers_next(loop) <= target) {
        if (xoi_timers_next(loop) > loop->now_ns)
            loop->now_ns = xoi_timers_next(loop);
        xoi_timers_run(loop);
    }
    loop->now_ns = target;
    run_ending(loop);
    loop->depth--;
    xoi_drive_sync(loop);
}

struct ev_loop *xo_loop_ev(xo_loop_t *loop)
{
    return loop->ev;
}

/* ---- file descriptors ---- */

static void io_ready(struct ev_loop *ev, struct ev_io *watcher, int revents)
{
    xo_io_t *io = ((xoi_io_t *)watcher)->io;
    int ready = (revents & EV_READ ? XO_READ : 0) | (revents & EV_WRITE ? XO_WRITE : 0);

    (void)ev;
    io->callback(io, ready, io->arg);
}

void xo_io_init(xo_io_t *io, xo_loop_t *loop, int fd, int events, xo_io_f callback, void *arg)
{
    *io = (xo_io_t){.loop = loop, .callback = callback, .arg = arg, .fd = fd, .events = events};
}

int xo_io_start(xo_io_t *io)
{
    xoi_io_t *impl;

    if (io->active)
        return 0;
    impl = calloc(1, sizeof *impl);
    if (!impl)
        return -1;
    if (xoi_drive_want(io->loop, io->fd, io->events) < 0) {
        free(impl);
        return -1;
    }
    impl->io = io;
    ev_io_init(&impl->ev, io_ready, io->fd,
               (io->events & XO_READ ? EV_READ : 0) | (io->events & XO_WRITE ? EV_WRITE : 0));
    ev_io_start(io->loop->ev, &impl->ev);
    DL_APPEND(io->loop->ios, impl);
    io->impl = impl;
    io->active = true;
    return 0;
}

void xo_io_stop(xo_io_t *io)
{
    xoi_io_t *impl = io->impl;

    if (!io->active)
        return;
    ev_io_stop(io->loop->ev, &impl->ev);
    xoi_drive_unwant(io->loop, io->fd, io->events);
    DL_DELETE(io->loop->ios, impl);
    free(impl);
    io->impl = NULL;
    io->active = false;
}

/* ---- signals ---- */

static void signal_ready(struct ev_loop *ev, struct ev_signal *watcher, int revents)
{
    xo_signal_t *signal = watcher->data;

    (void)ev;
    (void)revents;
    signal->callback(signal, signal->signum, signal->arg);
}

void xo_signal_init(xo_signal_t *signal, xo_loop_t *loop, int signum, xo_signal_f callback,
                    void *arg)
{
    *signal = (xo_signal_t){.loop = loop, .callback = callback, .arg = arg, .signum = signum};
}

int xo_signal_start(xo_signal_t *signal)
{
    struct ev_signal *watcher;

    if (signal->active)
        return 0;
    watcher = calloc(1, sizeof *watcher);
    if (!watcher)
        return -1;
    ev_signal_init(watcher, signal_ready, signal->signum);
    watcher->data = signal;
    ev_signal_start(signal->loop->ev, watcher);
    signal->impl = watcher;
    signal->active = true;
    return 0;
}

void xo_signal_stop(xo_signal_t *signal)
{
    if (!signal->active)
        return;
    ev_signal_stop(signal->loop->ev, signal->impl);
    free(signal->impl);
    signal->impl = NULL;
    signal->active = false;
}

/* ---- deferred work ---- */

void xo_defer_init(xo_defer_t *defer, xo_loop_t *loop, xo_defer_f callback, void *arg)
{
    *defer = (xo_defer_t){.loop = loop, .callback = callback, .arg = arg};
}

static void ring_add(xo_defer_t *ring, xo_defer_t *defer)
{
    defer->active = true;
    defer->next = ring;
    defer->prev = ring->prev;
    ring->prev->next = defer;
    ring->prev = defer;
}

void xo_defer_start(xo_defer_t *defer)
{
    if (defer->active)
        return;
    ring_add(&defer->loop->deferred, defer);
    xoi_drive_sync(defer->loop);
}

int xo_defer_to_end(xo_defer_t *defer)
{
    if (defer->loop->depth == 0)
        return -1;
    if (!defer->active)
        ring_add(&defer->loop->ending, defer);
    return 0;
}

void xo_defer_stop(xo_defer_t *defer)
{
    if (!defer->active)
        return;
    defer->active = false;
    defer->next->prev = defer->prev;
    defer->prev->next = defer->next;
    defer->next = defer->prev = NULL;
}
