/* loop_zmq.c - ZeroMQ sockets in the loop.
 *
 * ZMQ_FD says that commands wait for the socket, not that messages do, and says it once: any use of
 * the socket may eat it (zmq_getsockopt(3), ZMQ_FD). So ZMQ_EVENTS is asked when the descriptor is
 * readable, after each callback, and after the uses that xo_zmq_touch reports, once at the end of
 * the pass: before the loop sleeps.
 */
#include <errno.h>

#include <zmq.h>

#include "libxo/loop_internal.h"

/* Asking also takes in the waiting commands, which makes the descriptor unreadable. */
static int ready_events(const xo_zmq_t *zmq)
{
    int events = 0;
    size_t size = sizeof events;
    int rc;

    do
        rc = zmq_getsockopt(zmq->socket, ZMQ_EVENTS, &events, &size);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return 0; /* ETERM: the context is going away, and nothing arrives any more */
    return zmq->events &
           ((events & ZMQ_POLLIN ? XO_READ : 0) | (events & ZMQ_POLLOUT ? XO_WRITE : 0));
}

static void look(xo_zmq_t *zmq)
{
    int ready = ready_events(zmq);

    if (!ready)
        return;
    xo_defer_start(&zmq->again);
    zmq->callback(zmq, ready, zmq->arg); /* zmq may be gone after it */
}

/* A reader is called without asking first: a receive asks by itself when it finds nothing, and what
 * most often makes the descriptor readable is a message. */
static void on_fd(xo_io_t *io, int revents, void *arg)
{
    xo_zmq_t *zmq = arg;

    (void)io;
    (void)revents;
    if (zmq->events == XO_READ) {
        xo_defer_start(&zmq->again);
        zmq->callback(zmq, XO_READ, zmq->arg);
    } else {
        look(zmq);
    }
}

static void on_again(xo_defer_t *defer, void *arg)
{
    (void)defer;
    look(arg);
}

static void on_check(xo_defer_t *defer, void *arg)
{
    xo_zmq_t *zmq = arg;

    (void)defer;
    if (ready_events(zmq))
        xo_defer_start(&zmq->again);
}

void xo_zmq_init(xo_zmq_t *zmq, xo_loop_t *loop, void *socket, int events, xo_zmq_f callback,
                 void *arg)
{
    *zmq = (xo_zmq_t){
        .loop = loop, .callback = callback, .arg = arg, .socket = socket, .events = events};
    xo_defer_init(&zmq->again, loop, on_again, zmq);
    xo_defer_init(&zmq->check, loop, on_check, zmq);
}

int xo_zmq_start(xo_zmq_t *zmq)
{
    int fd;
    size_t size = sizeof fd;

    if (zmq->active)
        return 0;
    if (zmq_getsockopt(zmq->socket, ZMQ_FD, &fd, &size) < 0)
        return -1;
    xo_io_init(&zmq->io, zmq->loop, fd, XO_READ, on_fd, zmq);
    if (xo_io_start(&zmq->io) < 0)
        return -1;
    zmq->active = true;
    xo_defer_start(&zmq->again);
    return 0;
}

void xo_zmq_stop(xo_zmq_t *zmq)
{
    if (!zmq->active)
        return;
    xo_io_stop(&zmq->io);
    xo_zmq_drained(zmq);
    zmq->active = false;
}

void xo_zmq_set_events(xo_zmq_t *zmq, int events)
{
    zmq->events = events;
    xo_zmq_touch(zmq);
}

void xo_zmq_touch(xo_zmq_t *zmq)
{
    if (!zmq->active || zmq->again.active)
        return;
    if (xo_defer_to_end(&zmq->check) == 0)
        return;
    /* Driven from outside, deferring costs two system calls and a wake-up; looking costs one. */
    if (zmq->loop->drive.epoll_fd >= 0 && !ready_events(zmq))
        return;
    xo_defer_start(&zmq->again);
}

void xo_zmq_drained(xo_zmq_t *zmq)
{
    xo_defer_stop(&zmq->again);
    xo_defer_stop(&zmq->check);
}
