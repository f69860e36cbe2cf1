/* loop.h - the one event loop type: libev underneath, plus ZeroMQ sockets, a clock that tests can
 * set, and one file descriptor through which another loop (asyncio) can drive it.
 *
 * A loop and everything attached to it belong to the thread that runs it. Watchers are embedded in
 * the objects that use them: init once, start and stop at will, stop before the memory goes away.
 * All callbacks may start, stop and destroy any watcher, their own included.
 */
#ifndef XO_LOOP_H
#define XO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "libxo/error.h"

struct ev_loop;
typedef struct xo_loop xo_loop_t;

xo_loop_t *xo_loop_create(xo_error_t *err);
void xo_loop_destroy(xo_loop_t *loop); /* takes NULL */

/* Runs until xo_loop_stop. Returns 0. */
int xo_loop_run(xo_loop_t *loop);
/* Makes xo_loop_run return after the callbacks under way. Same thread only. */
void xo_loop_stop(xo_loop_t *loop);
/* One pass that waits at most `timeout_ms` (-1: until something happens; 0: not at all). Returns 1
 * when work is left that needs another pass at once, else 0; or XO_LOOKING_ON, see below. */
int xo_loop_once(xo_loop_t *loop, int timeout_ms);

/* A descriptor that polls readable whenever xo_loop_once(loop, 0) has something to do. Made on
 * the first call, owned by the loop. -1 with errno. After each xo_loop_once that returned something
 * else than 0 the driver calls again without waiting for it: of XO_LOOKING_ON, which is returned
 * for microseconds on end while an answer may come so soon that sleeping would cost more, once it
 * has done what else there is to do, without sleeping. */
#define XO_LOOKING_ON 2
int xo_loop_fd(xo_loop_t *loop, xo_error_t *err);

/* Nanoseconds of a monotonic clock, as of the beginning of the current pass; xo_loop_update reads
 * the clock anew. */
int64_t xo_loop_now(const xo_loop_t *loop);
void xo_loop_update(xo_loop_t *loop);
/* The wall clock, in milliseconds since 1970: for what other processes and people read. */
int64_t xo_unix_ms(void);
/* Nanoseconds since the machine began, also those in which it or this process stood still: for what
 * has to end in time, whatever else does. The same for all processes of a machine. */
int64_t xo_boot_ns(void);
/* For tests: time stands still from now on and moves by xo_loop_advance only, which runs the timers
 * that come due, in order. */
void xo_loop_freeze(xo_loop_t *loop, int64_t now_ns);
void xo_loop_advance(xo_loop_t *loop, int64_t by_ns);

/* For libraries that bring a libev adapter. Not reflected in xo_loop_fd. */
struct ev_loop *xo_loop_ev(xo_loop_t *loop);

#define XO_MS ((int64_t)1000000) /* nanoseconds in a millisecond */

/* ---- timers: one shot; start again in the callback to repeat ---- */
typedef struct xo_timer xo_timer_t;
typedef void (*xo_timer_f)(xo_timer_t *timer, void *arg);
struct xo_timer {
    xo_loop_t *loop;
    xo_timer_f callback;
    void *arg;
    int64_t due_ns;
    uint64_t order; /* of those that are due at the same time */
    bool active;
    xo_timer_t *child, *next, *prev; /* in the loop's heap */
};
void xo_timer_init(xo_timer_t *timer, xo_loop_t *loop, xo_timer_f callback, void *arg);
void xo_timer_start(xo_timer_t *timer, int64_t after_ns); /* from now; restarts */
void xo_timer_stop(xo_timer_t *timer);
bool xo_timer_active(const xo_timer_t *timer);

/* ---- file descriptors (pidfds too) ---- */
enum { XO_READ = 1, XO_WRITE = 2 };
typedef struct xo_io xo_io_t;
typedef void (*xo_io_f)(xo_io_t *io, int revents, void *arg);
struct xo_io {
    xo_loop_t *loop;
    xo_io_f callback;
    void *arg;
    int fd;
    int events;
    bool active;
    void *impl; /* libev's watcher, owned by the loop while active */
};
void xo_io_init(xo_io_t *io, xo_loop_t *loop, int fd, int events, xo_io_f callback, void *arg);
int xo_io_start(xo_io_t *io);
void xo_io_stop(xo_io_t *io);

/* ---- signals (only in programs of ours that own the process; uses signalfd or libev) ---- */
typedef struct xo_signal xo_signal_t;
typedef void (*xo_signal_f)(xo_signal_t *signal, int signum, void *arg);
struct xo_signal {
    xo_loop_t *loop;
    xo_signal_f callback;
    void *arg;
    int signum;
    bool active;
    void *impl;
};
void xo_signal_init(xo_signal_t *signal, xo_loop_t *loop, int signum, xo_signal_f callback,
                    void *arg);
int xo_signal_start(xo_signal_t *signal);
void xo_signal_stop(xo_signal_t *signal);

/* ---- deferred work: runs once, in this pass or the next, before the loop sleeps ---- */
typedef struct xo_defer xo_defer_t;
typedef void (*xo_defer_f)(xo_defer_t *defer, void *arg);
struct xo_defer {
    xo_loop_t *loop;
    xo_defer_f callback;
    void *arg;
    xo_defer_t *next;
    xo_defer_t *prev;
    bool active;
};
void xo_defer_init(xo_defer_t *defer, xo_loop_t *loop, xo_defer_f callback, void *arg);
/* Idempotent. Work that a deferred callback starts runs in the next pass. */
void xo_defer_start(xo_defer_t *defer);
void xo_defer_stop(xo_defer_t *defer);
/* The same, at the end of the pass under way, or before a pass that begins within it sleeps.
 * Outside of a pass there is nothing to wait for: -1, and nothing is started. For what gathers what
 * a pass produces; the callback starts no such work itself. */
int xo_defer_to_end(xo_defer_t *defer);
/* A number that grows when a pass begins and when one ends: what happens at the same number happens
 * in one go. */
uint64_t xo_loop_span(const xo_loop_t *loop);

/* ---- memory that another process writes to ----
 * While the loop is awake it looks at such memory in each pass; before it sleeps it has the other
 * side told to use a descriptor, whose callback starts the peek again. So what is active only costs
 * a look, and what sleeps costs nothing. Where another core is free for who will answer, the loop
 * goes on looking for a moment before it sleeps, as long as that pays (loop_peek.c). */
typedef struct xo_peek_ops {
    bool (*ready)(void *arg);  /* looks: is there something? */
    void (*handle)(void *arg); /* a bounded amount of it */
    /* The loop is about to sleep: from now on the descriptor is to tell. False: there is something
     * after all. After true the peek is no longer active. */
    bool (*sleep)(void *arg);
} xo_peek_ops_t;
typedef struct xo_peek xo_peek_t;
struct xo_peek {
    xo_loop_t *loop;
    const xo_peek_ops_t *ops;
    void *arg;
    xo_peek_t *next;
    xo_peek_t *prev;
    bool active;
};
void xo_peek_init(xo_peek_t *peek, xo_loop_t *loop, const xo_peek_ops_t *ops, void *arg);
void xo_peek_start(xo_peek_t *peek);
void xo_peek_stop(xo_peek_t *peek);

/* ---- its sleep ----
 * The callback is told XO_ASLEEP when the loop is about to wait until something happens, and
 * XO_AWAKE when it has waited, or has looked without waiting, before anything else runs. XO_ASLEEP
 * comes last before the wait, whose length is known by then: starting something has to wait for
 * XO_AWAKE. A pass within a callback tells nobody that it waits.
 * Who drives the loop and gets a lock back after the wait tells XO_WAKING in between: other threads
 * may use the loop, so there is nothing to be done but to note it. */
typedef enum { XO_AWAKE, XO_ASLEEP, XO_WAKING } xo_sleep_state_t;
typedef struct xo_sleep xo_sleep_t;
typedef void (*xo_sleep_f)(xo_sleep_t *sleep, xo_sleep_state_t state, void *arg);
struct xo_sleep {
    xo_loop_t *loop;
    xo_sleep_f callback;
    void *arg;
    xo_sleep_t *next;
    xo_sleep_t *prev;
    bool active;
};
void xo_sleep_init(xo_sleep_t *sleep, xo_loop_t *loop, xo_sleep_f callback, void *arg);
void xo_sleep_start(xo_sleep_t *sleep);
void xo_sleep_stop(xo_sleep_t *sleep);
/* For who drives the loop (xo_loop_fd): only it knows when it sleeps. Outside of passes. */
void xo_loop_tell_sleep(xo_loop_t *loop, xo_sleep_state_t state);

/* ---- ZeroMQ sockets ----
 * The socket's descriptor is edge-triggered, so ZMQ_EVENTS is read again before each sleep and
 * whenever xo_zmq_touch says that the socket was used outside of the callback. The callback is
 * called while the socket is ready for any of `events`, now and then once too often (a receive then
 * gives EAGAIN), and is expected to do a bounded amount of work. */
typedef struct xo_zmq xo_zmq_t;
typedef void (*xo_zmq_f)(xo_zmq_t *zmq, int revents, void *arg);
struct xo_zmq {
    xo_loop_t *loop;
    xo_zmq_f callback;
    void *arg;
    void *socket;
    int events; /* XO_READ | XO_WRITE */
    bool active;
    xo_io_t io;
    xo_defer_t again;
    xo_defer_t check; /* was used: is it ready again? */
};
void xo_zmq_init(xo_zmq_t *zmq, xo_loop_t *loop, void *socket, int events, xo_zmq_f callback,
                 void *arg);
int xo_zmq_start(xo_zmq_t *zmq);
void xo_zmq_stop(xo_zmq_t *zmq);
void xo_zmq_set_events(xo_zmq_t *zmq, int events);
void xo_zmq_touch(xo_zmq_t *zmq);
/* For the end of a callback whose last use of the socket was a receive that gave EAGAIN: saves
 * looking again. */
void xo_zmq_drained(xo_zmq_t *zmq);

#endif
