/* t/lane-threads.c - loops on several threads of one process, talking over inproc as pools do. Run
 * under ThreadSanitizer too.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "t/lane-rig.h"

#define THREADS 3
#define MESSAGES 3000
#define WINDOW 100 /* messages under way at a time */

/* A thread that dials and exchanges messages with the listener until all have come back. */
typedef struct caller {
    pthread_t thread;
    xo_ctx_t *ctx;
    const char *endpoint;
    xo_loop_t *loop;
    xo_lane_t *lane;
    uint64_t sent;
    uint64_t received;
    int closed; /* errno */
    bool out_of_order;
    bool wait_for_close;
} caller_t;

static void send_some(caller_t *caller)
{
    while (caller->sent < MESSAGES && caller->sent - caller->received < WINDOW) {
        xo_msg_t *msg = make_msg(caller->sent + 1, caller->sent % 300);
        if (caller->sent % 10 == 0)
            xo_msg_add_buffer_copy(msg, "some bytes that travel apart", 28);
        if (xo_lane_send(caller->lane, &msg) < 0) {
            xo_msg_destroy(&msg);
            return;
        }
        caller->sent++;
    }
}

static void on_message(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    caller_t *caller = arg;

    (void)lane;
    if (xo_msg_header(*msg)->seq != ++caller->received)
        caller->out_of_order = true;
    xo_msg_destroy(msg);
    send_some(caller);
    if (caller->received == MESSAGES && !caller->wait_for_close)
        xo_loop_stop(caller->loop);
}

static void on_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    caller_t *caller = arg;

    (void)lane;
    caller->closed = why->errnum;
    xo_loop_stop(caller->loop);
}

static const xo_lane_events_t events = {.message = on_message, .closed = on_closed};

static void *call(void *arg)
{
    caller_t *caller = arg;

    caller->loop = xo_loop_create(NULL);
    caller->lane = xo_dial(caller->ctx, caller->loop, caller->endpoint, &events, caller, NULL);
    send_some(caller);
    xo_loop_run(caller->loop);
    xo_lane_destroy(caller->lane);
    xo_loop_destroy(caller->loop);
    return NULL;
}

static void start(caller_t *caller, rig_t *rig, const char *endpoint, bool wait_for_close)
{
    *caller = (caller_t){.ctx = rig->ctx, .endpoint = endpoint, .wait_for_close = wait_for_close};
    assert_int_equal(pthread_create(&caller->thread, NULL, call, caller), 0);
}

static size_t closed_count(const rig_t *rig)
{
    size_t count = 0;

    for (size_t i = 0; i < rig->accepted_count; i++)
        count += rig->accepted[i].closed > 0;
    return count;
}

static void threads_exchange(void **state)
{
    caller_t callers[THREADS];
    rig_t rig;

    rig_open(&rig);
    rig.echo = true;
    rig_listen(&rig, *state);
    for (int i = 0; i < THREADS; i++)
        start(&callers[i], &rig, *state, false);
    RUN_UNTIL(&rig, closed_count(&rig) == THREADS);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].received, MESSAGES);
        assert_int_equal(callers[i].closed, 0);
        assert_false(callers[i].out_of_order);
        assert_false(rig.accepted[i].out_of_order);
        assert_int_equal(rig.accepted[i].received_at_close, MESSAGES);
    }
    rig_close(&rig);
}

/* The listener goes while threads still dial: each is either refused or closed, and none waits
 * forever. */
static void nobody_is_left_waiting(void **state)
{
    for (int round = 0; round < 20; round++) {
        caller_t callers[THREADS];
        rig_t rig;
        rig_open(&rig);
        rig.echo = true;
        rig_listen(&rig, *state);
        for (int i = 0; i < THREADS; i++) {
            start(&callers[i], &rig, *state, true);
            if (i < round % (THREADS + 1))
                RUN_UNTIL(&rig, rig.accepted_count > (size_t)i);
        }
        xo_listener_destroy(rig.listener);
        rig.listener = NULL;
        for (int i = 0; i < THREADS; i++) {
            pthread_join(callers[i].thread, NULL);
            assert_true(callers[i].closed == ECONNRESET || callers[i].closed == ECONNREFUSED);
        }
        rig_close(&rig);
    }
}

/* One address set, many threads. */
static void *claim(void *arg)
{
    caller_t *caller = arg;

    for (int i = 0; i < MESSAGES; i++) {
        if (xo_ctx_add_local(caller->ctx, "one:1", NULL) == 0) {
            caller->received++;
            xo_ctx_remove_local(caller->ctx, "one:1");
        }
        xo_ctx_has_local(caller->ctx, "one:1");
        xo_ctx_start_zap(caller->ctx, NULL);
    }
    return NULL;
}

static void the_context_is_shared(void **state)
{
    caller_t callers[THREADS] = {0};
    rig_t rig;

    (void)state;
    rig_open(&rig);
    for (int i = 0; i < THREADS; i++) {
        callers[i].ctx = rig.ctx;
        assert_int_equal(pthread_create(&callers[i].thread, NULL, claim, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(callers[i].thread, NULL);
    assert_int_equal(xo_ctx_has_local(rig.ctx, "one:1"), 0);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"threads exchange", threads_exchange, NULL, NULL, "inproc://pools"},
        {"nobody is left waiting", nobody_is_left_waiting, NULL, NULL, "inproc://pools"},
        {"the context is shared", the_context_is_shared, NULL, NULL, NULL},
    };
    scratch_t scratch;
    int rc;

    scratch_enter(&scratch);
    rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
