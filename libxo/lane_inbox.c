/* lane_inbox.c - the receiving half of every lane. */
#include "libxo/lane_inbox.h"

#include <errno.h>
#include <stdio.h>

/* Runs the user's handler. False: the lane is gone. */
static bool deliver(xoi_inbox_t *inbox, xo_msg_t **msg)
{
    bool *outer = inbox->gone; /* a handler may run the loop */
    bool gone = false;
    xo_lane_t *lane = inbox->lane;

    inbox->gone = &gone;
    if (lane->events.message)
        lane->events.message(lane, msg, lane->arg);
    xo_msg_destroy(msg);
    if (gone) {
        if (outer)
            *outer = true;
        return false;
    }
    inbox->gone = outer;
    return true;
}

static bool deliver_next(xoi_inbox_t *inbox)
{
    xo_msg_t *msg = xo_msgq_pop(&inbox->queue);

    if (inbox->taken)
        inbox->taken(inbox->lane);
    return deliver(inbox, &msg);
}

static void say_closed(xoi_inbox_t *inbox)
{
    xo_lane_t *lane = inbox->lane;
    xo_error_t why = inbox->why; /* the handler may destroy the lane */

    inbox->closed = true;
    if (lane->events.closed)
        lane->events.closed(lane, &why, lane->arg);
}

static void run(xo_defer_t *defer, void *arg)
{
    xoi_inbox_t *inbox = arg;

    for (int n = 0; n < XOI_LANE_BATCH && inbox->queue.count > 0 && !inbox->paused; n++)
        if (!deliver_next(inbox))
            return;
    if (inbox->queue.count == 0 && inbox->closing && !inbox->closed)
        say_closed(inbox);
    else if (inbox->queue.count > 0 && !inbox->paused)
        xo_defer_start(defer);
}

void xoi_inbox_init(xoi_inbox_t *inbox, xo_lane_t *lane)
{
    inbox->lane = lane;
    xo_defer_init(&inbox->defer, lane->loop, run, inbox);
}

void xoi_inbox_stop(xoi_inbox_t *inbox)
{
    inbox->closing = inbox->closed = true;
    xo_defer_stop(&inbox->defer);
    xo_msgq_clear(&inbox->queue);
    if (inbox->gone)
        *inbox->gone = true;
    inbox->gone = NULL;
}

static void count(xoi_inbox_t *inbox, const xo_msg_t *msg)
{
    inbox->lane->stats.messages_in++;
    inbox->lane->stats.bytes_in += xo_msg_bytes(msg);
}

bool xoi_inbox_push(xoi_inbox_t *inbox, xo_msg_t **msg)
{
    if (inbox->closing) {
        xo_msg_destroy(msg);
        return true;
    }
    if (inbox->paused || inbox->queue.count > 0) {
        xoi_inbox_queue(inbox, msg);
        return true;
    }
    count(inbox, *msg);
    return deliver(inbox, msg);
}

void xoi_inbox_queue(xoi_inbox_t *inbox, xo_msg_t **msg)
{
    if (inbox->closing) {
        xo_msg_destroy(msg);
        return;
    }
    count(inbox, *msg);
    xo_msgq_push(&inbox->queue, msg);
    if (!inbox->paused)
        xo_defer_start(&inbox->defer);
}

/* A handler may run the loop, which goes on with the rest and may bring more behind it. */
bool xoi_inbox_push_all(xoi_inbox_t *inbox, xo_msgq_t *msgs)
{
    bool waits = inbox->queue.count > 0;
    xo_msg_t *msg;

    while ((msg = xo_msgq_pop(msgs)))
        xoi_inbox_queue(inbox, &msg);
    while (!waits && inbox->queue.count > 0 && !inbox->paused)
        if (!deliver_next(inbox))
            return false;
    if (inbox->queue.count == 0 && !inbox->closing)
        xo_defer_stop(&inbox->defer);
    return true;
}

void xoi_inbox_pause(xoi_inbox_t *inbox, bool paused)
{
    inbox->paused = paused;
    if (!paused && inbox->queue.count > 0)
        xo_defer_start(&inbox->defer);
}

void xoi_inbox_close(xoi_inbox_t *inbox, int errnum, const char *format, ...)
{
    va_list args;

    if (inbox->closing)
        return;
    inbox->closing = true;
    inbox->why.errnum = errnum;
    va_start(args, format);
    vsnprintf(inbox->why.text, sizeof inbox->why.text, format, args);
    va_end(args);
    xo_defer_start(&inbox->defer);
}
