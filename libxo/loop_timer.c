/* loop_timer.c - the loop's timers, in a heap of its own: so that tests can stop the clock, and one
 * descriptor (loop_drive.c) can say when the earliest is due.
 *
 * It is a pairing heap (Fredman, Sedgewick, Sleator, Tarjan: The pairing heap, Algorithmica 1,
 * 1986), whose links are in the timers: starting one needs no memory, so it cannot fail.
 */
#include "libxo/loop_internal.h"

/* Equal times run in the order in which they were started. */
static bool before(const xo_timer_t *a, const xo_timer_t *b)
{
    return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->order < b->order);
}

/* Two heaps become one; each may be NULL. Neither has siblings. */
static xo_timer_t *meld(xo_timer_t *a, xo_timer_t *b)
{
    if (!a || !b)
        return a ? a : b;
    xo_timer_t *top = before(b, a) ? b : a;
    xo_timer_t *under = top == a ? b : a;
    under->prev = top;
    under->next = top->child;
    if (under->next)
        under->next->prev = under;
    top->child = under;
    return top;
}

/* Takes the first of some siblings out. */
static xo_timer_t *take(xo_timer_t **siblings)
{
    xo_timer_t *timer = *siblings;
    if (!timer)
        return NULL;
    *siblings = timer->next;
    timer->next = timer->prev = NULL;
    return timer;
}

/* Siblings become one heap: in pairs, then the pairs from the last to the first. */
static xo_timer_t *meld_all(xo_timer_t *siblings)
{
    xo_timer_t *pairs = NULL, *all = NULL;
    while (siblings) {
        xo_timer_t *one = take(&siblings);
        xo_timer_t *pair = meld(one, take(&siblings));
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs)
        all = meld(all, take(&pairs));
    return all;
}

/* `prev` is the sibling before it or, of the first one, what they lie below. */
static void cut(xo_timer_t *timer)
{
    if (timer->prev->child == timer)
        timer->prev->child = timer->next;
    else
        timer->prev->next = timer->next;
    if (timer->next)
        timer->next->prev = timer->prev;
    timer->next = timer->prev = NULL;
}

int64_t xoi_timers_next(const xo_loop_t *loop)
{
    return loop->timers.first ? loop->timers.first->due_ns : INT64_MAX;
}

void xoi_timers_run(xo_loop_t *loop)
{
    xoi_timers_t *timers = &loop->timers;
    uint64_t limit = timers->order; /* what a callback starts waits for the next pass */
    int64_t now_ns = loop->now_ns;

    while (timers->first && timers->first->due_ns <= now_ns && timers->first->order < limit) {
        xo_timer_t *timer = timers->first;
        xo_timer_stop(timer);
        timer->callback(timer, timer->arg);
    }
}

void xoi_timers_free(xo_loop_t *loop)
{
    while (loop->timers.first)
        xo_timer_stop(loop->timers.first);
}

void xo_timer_init(xo_timer_t *timer, xo_loop_t *loop, xo_timer_f callback, void *arg)
{
    *timer = (xo_timer_t){.loop = loop, .callback = callback, .arg = arg};
}

void xo_timer_start(xo_timer_t *timer, int64_t after_ns)
{
    xo_loop_t *loop = timer->loop;

    xo_timer_stop(timer);
    if (loop->depth == 0) /* the last pass may be long ago */
        xo_loop_update(loop);
    if (after_ns < 0)
        after_ns = 0;
    timer->due_ns =
        after_ns > INT64_MAX - 1 - loop->now_ns ? INT64_MAX - 1 : loop->now_ns + after_ns;
    timer->order = loop->timers.order++;
    timer->active = true;
    loop->timers.first = meld(loop->timers.first, timer);
    xoi_drive_sync(loop);
}

void xo_timer_stop(xo_timer_t *timer)
{
    if (!timer->active)
        return;
    xoi_timers_t *timers = &timer->loop->timers;
    xo_timer_t *under = timer->child;
    timer->active = false;
    timer->child = NULL;
    if (timer == timers->first) {
        timers->first = meld_all(under);
    } else {
        cut(timer);
        timers->first = meld(timers->first, meld_all(under));
    }
}

bool xo_timer_active(const xo_timer_t *timer)
{
    return timer->active;
}
