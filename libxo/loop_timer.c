/* loop_timer.c - the loop's timers, in a binary heap of its own: so that tests can stop the clock,
 * and one descriptor (loop_drive.c) can say when the earliest is due.
 */
#include <errno.h>
#include <stdlib.h>

#include "libxo/loop_internal.h"

#define FIRST_CAPACITY 16

static bool before(const xoi_due_t *a, const xoi_due_t *b)
{
    return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->order < b->order);
}

static void put(xoi_timers_t *timers, size_t slot, xoi_due_t due)
{
    timers->heap[slot] = due;
    due.timer->slot = slot;
}

static void sift_up(xoi_timers_t *timers, size_t slot, xoi_due_t due)
{
    while (slot > 1 && before(&due, &timers->heap[slot / 2])) {
        put(timers, slot, timers->heap[slot / 2]);
        slot /= 2;
    }
    put(timers, slot, due);
}

static void sift_down(xoi_timers_t *timers, size_t slot, xoi_due_t due)
{
    for (size_t child = slot * 2; child <= timers->count; child = slot * 2) {
        if (child < timers->count && before(&timers->heap[child + 1], &timers->heap[child]))
            child++;
        if (!before(&timers->heap[child], &due))
            break;
        put(timers, slot, timers->heap[child]);
        slot = child;
    }
    put(timers, slot, due);
}

/* Puts `due` where the heap's order wants it, starting from a free slot. */
static void settle(xoi_timers_t *timers, size_t slot, xoi_due_t due)
{
    if (slot > 1 && before(&due, &timers->heap[slot / 2]))
        sift_up(timers, slot, due);
    else
        sift_down(timers, slot, due);
}

static int reserve(xoi_timers_t *timers)
{
    size_t capacity = timers->capacity ? timers->capacity * 2 : FIRST_CAPACITY;
    xoi_due_t *heap;

    if (timers->count + 1 < timers->capacity)
        return 0;
    heap = realloc(timers->heap, capacity * sizeof *heap);
    if (!heap)
        return -1;
    timers->heap = heap;
    timers->capacity = capacity;
    return 0;
}

int64_t xoi_timers_next(const xo_loop_t *loop)
{
    return loop->timers.count > 0 ? loop->timers.heap[1].due_ns : INT64_MAX;
}

void xoi_timers_run(xo_loop_t *loop)
{
    xoi_timers_t *timers = &loop->timers;
    uint64_t limit = timers->order; /* what a callback starts waits for the next pass */
    int64_t now_ns = loop->now_ns;

    while (timers->count > 0 && timers->heap[1].due_ns <= now_ns && timers->heap[1].order < limit) {
        xo_timer_t *timer = timers->heap[1].timer;
        xo_timer_stop(timer);
        timer->callback(timer, timer->arg);
    }
}

void xoi_timers_free(xo_loop_t *loop)
{
    while (loop->timers.count > 0)
        xo_timer_stop(loop->timers.heap[loop->timers.count].timer);
    free(loop->timers.heap);
}

void xo_timer_init(xo_timer_t *timer, xo_loop_t *loop, xo_timer_f callback, void *arg)
{
    *timer = (xo_timer_t){.loop = loop, .callback = callback, .arg = arg};
}

int xo_timer_start(xo_timer_t *timer, int64_t after_ns)
{
    xo_loop_t *loop = timer->loop;
    xoi_timers_t *timers = &loop->timers;

    if (timer->slot == 0) {
        if (reserve(timers) < 0)
            return -1;
        timer->slot = ++timers->count;
    }
    if (loop->depth == 0) /* the last pass may be long ago */
        xo_loop_update(loop);
    if (after_ns < 0)
        after_ns = 0;
    timer->due_ns =
        after_ns > INT64_MAX - 1 - loop->now_ns ? INT64_MAX - 1 : loop->now_ns + after_ns;
    settle(timers, timer->slot, (xoi_due_t){timer->due_ns, timers->order++, timer});
    xoi_drive_sync(loop);
    return 0;
}

void xo_timer_stop(xo_timer_t *timer)
{
    xoi_timers_t *timers = &timer->loop->timers;
    size_t slot = timer->slot;
    xoi_due_t last;

    if (slot == 0)
        return;
    timer->slot = 0;
    last = timers->heap[timers->count--];
    if (last.timer != timer)
        settle(timers, slot, last);
}

bool xo_timer_active(const xo_timer_t *timer)
{
    return timer->slot != 0;
}
