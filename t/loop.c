/* t/loop.c - the event loop (libxo/loop.h): timers, descriptors, deferred work, and the one
 * descriptor that drives it from outside.
 */
#include "t/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "libxo/loop.h"

static int set_up(void **state)
{
    *state = xo_loop_create(NULL);
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    xo_loop_destroy(*state);
    return 0;
}

static bool readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) == 1;
}

/* ---- timers ---- */

#define LOG_SIZE 1024

typedef struct ring_log {
    int count;
    int ids[LOG_SIZE];
    int64_t at[LOG_SIZE];
} ring_log_t;

typedef struct alarm {
    xo_timer_t timer;
    ring_log_t *log;
    int id;
    int repeats;
    int64_t every;
    struct alarm *stops; /* another one, when it rings */
} alarm_t;

static void on_alarm(xo_timer_t *timer, void *arg)
{
    alarm_t *alarm = arg;

    assert_ptr_equal(timer, &alarm->timer);
    assert_false(xo_timer_active(timer));
    alarm->log->at[alarm->log->count] = xo_loop_now(timer->loop);
    alarm->log->ids[alarm->log->count++] = alarm->id;
    if (alarm->repeats-- > 0)
        xo_timer_start(timer, alarm->every);
    if (alarm->stops)
        xo_timer_stop(&alarm->stops->timer);
}

static void start_alarm(xo_loop_t *loop, alarm_t *alarm, ring_log_t *log, int id, int64_t after)
{
    *alarm = (alarm_t){.log = log, .id = id};
    xo_timer_init(&alarm->timer, loop, on_alarm, alarm);
    xo_timer_start(&alarm->timer, after);
}

static void timers_ring_in_order(void **state)
{
    xo_loop_t *loop = *state;
    ring_log_t log = {0};
    alarm_t alarms[LOG_SIZE];
    unsigned seed = 7;
    int64_t last = 0;

    xo_loop_freeze(loop, 1000);
    for (int i = 0; i < LOG_SIZE; i++)
        start_alarm(loop, &alarms[i], &log, i, rand_r(&seed) % 100);
    for (int i = 0; i < LOG_SIZE; i += 3)
        xo_timer_stop(&alarms[i].timer);
    for (int i = 1; i < LOG_SIZE; i += 6) /* starting again moves it */
        xo_timer_start(&alarms[i].timer, 100 + i);
    xo_loop_advance(loop, 5000);
    assert_int_equal(log.count, LOG_SIZE - (LOG_SIZE + 2) / 3);
    for (int i = 0; i < log.count; i++) {
        assert_true(log.at[i] >= last);
        assert_int_equal(log.at[i], alarms[log.ids[i]].timer.due_ns);
        if (i > 0 && log.at[i] == log.at[i - 1] && log.at[i] < 1100)
            assert_true(log.ids[i] > log.ids[i - 1]); /* as they were started */
        last = log.at[i];
    }
    assert_int_equal(xo_loop_now(loop), 6000);
}

typedef struct many {
    xo_timer_t timers[100];
    int64_t last_ns;
    uint64_t last_order;
} many_t;

static void on_one_of_many(xo_timer_t *timer, void *arg)
{
    many_t *many = arg;
    assert_true(timer->due_ns > many->last_ns ||
                (timer->due_ns == many->last_ns && timer->order > many->last_order));
    assert_true(timer->due_ns <= xo_loop_now(timer->loop));
    many->last_ns = timer->due_ns;
    many->last_order = timer->order;
}

/* Started, stopped and run in any order, the right ones ring, the earliest first. */
static void many_timers_keep_their_order(void **state)
{
    xo_loop_t *loop = *state;
    many_t many = {.last_ns = 0};
    int count = sizeof many.timers / sizeof *many.timers;
    unsigned seed = 11;

    xo_loop_freeze(loop, 1000);
    for (int i = 0; i < count; i++)
        xo_timer_init(&many.timers[i], loop, on_one_of_many, &many);
    for (int step = 0; step < 20000; step++) {
        xo_timer_t *timer = &many.timers[rand_r(&seed) % count];
        int what = rand_r(&seed) % 8;
        if (what < 5)
            xo_timer_start(timer, 1 + rand_r(&seed) % 50);
        else if (what < 7)
            xo_timer_stop(timer);
        else
            xo_loop_advance(loop, rand_r(&seed) % 8);
        assert_true(what == 7 || xo_timer_active(timer) == (what < 5));
        for (int i = 0; what == 7 && i < count; i++)
            assert_true(!xo_timer_active(&many.timers[i]) ||
                        many.timers[i].due_ns > xo_loop_now(loop));
    }
    xo_loop_advance(loop, 100);
    for (int i = 0; i < count; i++)
        assert_false(xo_timer_active(&many.timers[i]));
}

static void timers_may_repeat_and_stop_others(void **state)
{
    xo_loop_t *loop = *state;
    ring_log_t log = {0};
    alarm_t repeating, stopped, stopping;

    xo_loop_freeze(loop, 0);
    start_alarm(loop, &repeating, &log, 1, 10);
    repeating.repeats = 3;
    repeating.every = 10;
    start_alarm(loop, &stopping, &log, 2, 15);
    start_alarm(loop, &stopped, &log, 3, 15);
    stopping.stops = &stopped;
    xo_loop_advance(loop, 1000);
    assert_int_equal(log.count, 5);
    assert_int_equal(log.ids[1], 2);
    assert_int_equal(log.at[4], 40);
    assert_false(xo_timer_active(&stopped.timer));
    assert_false(xo_timer_active(&repeating.timer));
}

static void a_timer_of_zero_waits_for_the_next_pass(void **state)
{
    xo_loop_t *loop = *state;
    ring_log_t log = {0};
    alarm_t alarm;

    start_alarm(loop, &alarm, &log, 1, 0);
    alarm.repeats = 1;
    xo_loop_once(loop, -1);
    assert_int_equal(log.count, 1);
    xo_loop_once(loop, -1);
    assert_int_equal(log.count, 2);
}

static void frozen_time_stands_still(void **state)
{
    xo_loop_t *loop = *state;
    ring_log_t log = {0};
    alarm_t alarm;

    xo_loop_freeze(loop, 5);
    start_alarm(loop, &alarm, &log, 1, 1);
    xo_loop_once(loop, 0);
    xo_loop_update(loop);
    assert_int_equal(xo_loop_now(loop), 5);
    assert_int_equal(log.count, 0);
    xo_loop_advance(loop, 1);
    assert_int_equal(log.count, 1);
}

static void a_pass_waits_for_the_earliest_timer(void **state)
{
    xo_loop_t *loop = *state;
    ring_log_t log = {0};
    alarm_t early, late;

    start_alarm(loop, &late, &log, 2, 3600000 * XO_MS);
    start_alarm(loop, &early, &log, 1, 2 * XO_MS);
    while (log.count == 0)
        xo_loop_once(loop, -1);
    assert_int_equal(log.ids[0], 1);
    assert_true(log.at[0] >= early.timer.due_ns);
    xo_loop_once(loop, 1); /* comes back without anything */
    assert_int_equal(log.count, 1);
    xo_timer_stop(&late.timer);
}

static void far_timers_do_not_overflow(void **state)
{
    xo_loop_t *loop = *state;
    ring_log_t log = {0};
    alarm_t alarm, past;

    start_alarm(loop, &alarm, &log, 1, INT64_MAX);
    start_alarm(loop, &past, &log, 2, INT64_MIN);
    xo_loop_once(loop, 0);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.ids[0], 2);
    assert_true(xo_timer_active(&alarm.timer));
    xo_timer_stop(&alarm.timer);
}

/* ---- descriptors ---- */

typedef struct pipe_end {
    xo_io_t io;
    int calls;
    int revents;
    bool free_self;
    xo_io_t *stops;
} pipe_end_t;

static void on_io(xo_io_t *io, int revents, void *arg)
{
    pipe_end_t *end = arg;
    char byte;

    end->calls++;
    end->revents = revents;
    if (end->stops)
        xo_io_stop(end->stops);
    if (revents & XO_READ)
        assert_int_equal(read(io->fd, &byte, 1), 1);
    else
        xo_io_stop(io);
    if (end->free_self) {
        xo_io_stop(io);
        free(end);
    }
}

static pipe_end_t *watch(xo_loop_t *loop, int fd, int events)
{
    pipe_end_t *end = calloc(1, sizeof *end);

    xo_io_init(&end->io, loop, fd, events, on_io, end);
    assert_int_equal(xo_io_start(&end->io), 0);
    assert_int_equal(xo_io_start(&end->io), 0); /* again: nothing */
    return end;
}

static void descriptors_call_back(void **state)
{
    xo_loop_t *loop = *state;
    int fds[2];
    pipe_end_t *in, *out;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    in = watch(loop, fds[0], XO_READ);
    out = watch(loop, fds[1], XO_WRITE);
    xo_loop_once(loop, -1);
    assert_int_equal(out->calls, 1);
    assert_int_equal(out->revents, XO_WRITE);
    assert_false(out->io.active);
    assert_int_equal(in->calls, 0);
    assert_int_equal(write(fds[1], "ab", 2), 2);
    xo_loop_once(loop, -1);
    in->free_self = true; /* in its own callback */
    xo_loop_once(loop, -1);
    xo_loop_once(loop, 0);
    free(out);
    close(fds[0]);
    close(fds[1]);
}

static void a_callback_may_stop_another_that_is_ready(void **state)
{
    xo_loop_t *loop = *state;
    int a[2], b[2];
    pipe_end_t *first, *second;

    assert_int_equal(pipe2(a, O_CLOEXEC), 0);
    assert_int_equal(pipe2(b, O_CLOEXEC), 0);
    first = watch(loop, a[0], XO_READ);
    second = watch(loop, b[0], XO_READ);
    first->stops = &second->io;
    second->stops = &first->io;
    assert_int_equal(write(a[1], "a", 1), 1);
    assert_int_equal(write(b[1], "b", 1), 1);
    xo_loop_once(loop, -1);
    xo_loop_once(loop, 0);
    assert_int_equal(first->calls + second->calls, 1);
    xo_io_stop(&first->io);
    xo_io_stop(&second->io);
    free(first);
    free(second);
    for (int i = 0; i < 2; i++) {
        close(a[i]);
        close(b[i]);
    }
}

static void on_signal(xo_signal_t *sig, int signum, void *arg)
{
    *(int *)arg = signum;
    xo_loop_stop(sig->loop);
}

static void signals_call_back(void **state)
{
    xo_loop_t *loop = *state;
    int seen = 0;
    xo_signal_t sig;

    xo_signal_init(&sig, loop, SIGUSR1, on_signal, &seen);
    assert_int_equal(xo_signal_start(&sig), 0);
    raise(SIGUSR1);
    assert_int_equal(xo_loop_run(loop), 0);
    assert_int_equal(seen, SIGUSR1);
    xo_signal_stop(&sig);
}

/* ---- deferred work ---- */

typedef struct work {
    xo_defer_t defer;
    int *order;
    int ran_as;
    int again;
    xo_defer_t *stops;
} work_t;

static void on_defer(xo_defer_t *defer, void *arg)
{
    work_t *work = arg;

    work->ran_as = ++*work->order;
    if (work->stops)
        xo_defer_stop(work->stops);
    if (work->again-- > 0)
        xo_defer_start(defer);
}

static void deferred_work_runs_once_in_order(void **state)
{
    xo_loop_t *loop = *state;
    int order = 0;
    work_t work[4] = {{.order = &order}, {.order = &order}, {.order = &order}, {.order = &order}};

    for (int i = 0; i < 4; i++) {
        xo_defer_init(&work[i].defer, loop, on_defer, &work[i]);
        xo_defer_start(&work[i].defer);
        xo_defer_start(&work[i].defer); /* idempotent */
    }
    work[0].stops = &work[2].defer; /* in the same pass */
    work[1].again = 1;
    assert_int_equal(xo_loop_once(loop, -1), 1); /* work[1] is left for the next pass */
    assert_int_equal(order, 3);
    assert_int_equal(work[2].ran_as, 0);
    assert_int_equal(work[3].ran_as, 3);
    assert_int_equal(xo_loop_once(loop, -1), 0);
    assert_int_equal(work[1].ran_as, 4);
    assert_int_equal(xo_loop_once(loop, 0), 0);
    assert_int_equal(order, 4);
}

/* ---- driven from outside ---- */

static void one_descriptor_tells_of_timers(void **state)
{
    xo_loop_t *loop = *state;
    int fd = xo_loop_fd(loop, NULL);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    ring_log_t log = {0};
    alarm_t alarm, never;

    assert_true(fd >= 0);
    assert_int_equal(xo_loop_fd(loop, NULL), fd);
    assert_false(readable(fd));
    start_alarm(loop, &never, &log, 2, 3600000 * XO_MS);
    start_alarm(loop, &alarm, &log, 1, XO_MS);
    while (log.count == 0) {
        assert_int_equal(poll(&poll_fd, 1, -1), 1);
        xo_loop_once(loop, 0);
    }
    assert_false(readable(fd)); /* the one that is left is far */
    xo_timer_stop(&never.timer);
    start_alarm(loop, &alarm, &log, 1, 0);
    assert_int_equal(poll(&poll_fd, 1, -1), 1);
    xo_loop_once(loop, 0);
    assert_int_equal(log.count, 2);
    assert_false(readable(fd));
}

static void one_descriptor_tells_of_deferred_work(void **state)
{
    xo_loop_t *loop = *state;
    int fd = xo_loop_fd(loop, NULL);
    int order = 0;
    work_t work = {.order = &order, .again = 1};

    xo_defer_init(&work.defer, loop, on_defer, &work);
    xo_defer_start(&work.defer);
    assert_true(readable(fd));
    assert_int_equal(xo_loop_once(loop, 0), 1);
    assert_true(readable(fd));
    assert_int_equal(xo_loop_once(loop, 0), 0);
    assert_false(readable(fd));
}

static void one_descriptor_tells_of_descriptors(void **state)
{
    xo_loop_t *loop = *state;
    int fds[2];
    int fd;
    pipe_end_t *in, *twin;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    in = watch(loop, fds[0], XO_READ); /* before it exists */
    fd = xo_loop_fd(loop, NULL);
    twin = watch(loop, fds[0], XO_READ); /* the same one twice */
    assert_false(readable(fd));
    assert_int_equal(write(fds[1], "ab", 2), 2);
    assert_true(readable(fd));
    xo_loop_once(loop, 0);
    assert_int_equal(in->calls + twin->calls, 2);
    assert_false(readable(fd));
    xo_io_stop(&in->io);
    assert_int_equal(write(fds[1], "c", 1), 1);
    assert_true(readable(fd));
    xo_io_stop(&twin->io);
    assert_false(readable(fd));
    free(in);
    free(twin);
    close(fds[0]);
    close(fds[1]);
}

#define LOOP_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(timers_ring_in_order),
        LOOP_TEST(many_timers_keep_their_order),
        LOOP_TEST(timers_may_repeat_and_stop_others),
        LOOP_TEST(a_timer_of_zero_waits_for_the_next_pass),
        LOOP_TEST(frozen_time_stands_still),
        LOOP_TEST(a_pass_waits_for_the_earliest_timer),
        LOOP_TEST(far_timers_do_not_overflow),
        LOOP_TEST(descriptors_call_back),
        LOOP_TEST(a_callback_may_stop_another_that_is_ready),
        LOOP_TEST(signals_call_back),
        LOOP_TEST(deferred_work_runs_once_in_order),
        LOOP_TEST(one_descriptor_tells_of_timers),
        LOOP_TEST(one_descriptor_tells_of_deferred_work),
        LOOP_TEST(one_descriptor_tells_of_descriptors),
    };

    return run_tap(tests);
}
