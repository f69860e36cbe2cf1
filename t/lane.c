/* t/lane.c - the conformance suite of all transports (libxo/lane.h). */
#include "t/lane-rig.h"

/* Both ends have had a message. */
static end_t *connect_pair(fixture_t *f, end_t *dialled)
{
    end_t *accepted = rig_meet(&f->rig, dialled, f->endpoint);

    send_seq(accepted->lane, 1);
    RUN_UNTIL(&f->rig, dialled->received == 1);
    return accepted;
}

static void exchanges_both_ways(void **state)
{
    fixture_t *f = *state;
    end_t dialled;
    end_t *accepted = connect_pair(f, &dialled);

    assert_int_equal(accepted->last_bytes, 12);
    assert_string_equal(xo_lane_scheme(dialled.lane), f->scheme);
    assert_string_equal(xo_lane_scheme(accepted->lane), f->scheme);
    assert_null(xo_lane_from(dialled.lane));
    if (strcmp(f->scheme, "tcp") == 0 || strcmp(f->scheme, "port") == 0)
        assert_string_equal(xo_lane_from(accepted->lane), "127.0.0.1");
    else
        assert_null(xo_lane_from(accepted->lane));
    assert_int_equal(xo_lane_stats(dialled.lane)->messages_out, 1);
    assert_int_equal(xo_lane_stats(dialled.lane)->messages_in, 1);
    assert_int_equal(xo_lane_stats(accepted->lane)->messages_in, 1);
    assert_true(xo_lane_stats(accepted->lane)->bytes_in > 12);
    assert_int_equal(xo_lane_stats(accepted->lane)->bytes_in,
                     xo_lane_stats(dialled.lane)->bytes_out);
    end_destroy(&dialled);
}

#define MANY 10000

static void keeps_order(void **state)
{
    fixture_t *f = *state;
    end_t dialled;
    end_t *accepted = connect_pair(f, &dialled);

    for (uint64_t seq = 2; seq <= MANY; seq++) {
        send_seq(dialled.lane, seq);
        send_seq(accepted->lane, seq);
    }
    RUN_UNTIL(&f->rig, accepted->received == MANY && dialled.received == MANY);
    assert_false(accepted->out_of_order);
    assert_false(dialled.out_of_order);
    end_destroy(&dialled);
}

#define BUFFERS 40
#define BUFFER_BYTES 100000

static void carries_many_buffers(void **state)
{
    fixture_t *f = *state;
    end_t dialled;
    end_t *accepted = connect_pair(f, &dialled);
    xo_msg_t *msg = make_msg(2, 0);
    unsigned char *bytes = malloc(BUFFER_BYTES);
    unsigned sum = 0;

    for (unsigned i = 0; i < BUFFERS; i++) {
        for (unsigned k = 0; k < BUFFER_BYTES; k++) {
            bytes[k] = (unsigned char)(i * 7 + k * 13);
            sum = sum * 31 + bytes[k];
        }
        assert_int_equal(xo_msg_add_buffer_copy(msg, bytes, BUFFER_BYTES), 0);
    }
    free(bytes);
    assert_int_equal(xo_lane_send(dialled.lane, &msg), 0);
    RUN_UNTIL(&f->rig, accepted->received == 2);
    assert_int_equal(accepted->last_bytes, BUFFERS * BUFFER_BYTES + 2);
    assert_int_equal(accepted->last_sum, sum);
    send_seq(dialled.lane, 3);
    RUN_UNTIL(&f->rig, accepted->received == 3);
    end_destroy(&dialled);
}

/* Memory that the lane itself gives; a second message has the same. */
static void takes_buffers_of_its_own(void **state)
{
    fixture_t *f = *state;
    end_t dialled;
    end_t *accepted = connect_pair(f, &dialled);

    for (uint64_t seq = 2; seq < 10; seq += 2) {
        zmq_msg_t buffer, same;
        size_t size = seq * seq * 4000;
        assert_int_equal(xo_lane_buffer(dialled.lane, size, &buffer), 0);
        memset(zmq_msg_data(&buffer), 1, size);
        zmq_msg_init(&same);
        zmq_msg_copy(&same, &buffer);
        xo_msg_t *first = make_msg(seq, 0);
        xo_msg_t *second = make_msg(seq + 1, 0);
        xo_msg_add_buffer(first, &buffer);
        xo_msg_add_buffer(second, &same);
        assert_int_equal(xo_lane_send(dialled.lane, &first), 0);
        RUN_UNTIL(&f->rig, accepted->received == seq);
        unsigned sum = accepted->last_sum;
        assert_int_equal(accepted->last_bytes, size + 2);
        assert_int_equal(xo_lane_send(dialled.lane, &second), 0);
        RUN_UNTIL(&f->rig, accepted->received == seq + 1);
        assert_int_equal(accepted->last_sum, sum);
    }
    end_destroy(&dialled);
}

static void says_that_nobody_is_there(void **state)
{
    fixture_t *f = *state;
    end_t dialled;

    rig_listen(&f->rig, f->endpoint); /* for tcp: finds a port that is free */
    strcpy(f->endpoint, xo_listener_endpoint(f->rig.listener));
    xo_listener_destroy(f->rig.listener);
    f->rig.listener = NULL;
    do {
        rig_dial(&f->rig, &dialled, f->endpoint);
        send_seq(dialled.lane, 1);           /* it may be sent at once */
        assert_int_equal(dialled.closed, 0); /* never from within */
        RUN_UNTIL(&f->rig, dialled.closed);
        end_destroy(&dialled); /* tcp: the listening socket may close a moment later */
    } while (strcmp(f->scheme, "tcp") == 0 && dialled.why != ECONNREFUSED);
    assert_int_equal(dialled.why, ECONNREFUSED);
}

static void closes_after_the_last_message(void **state)
{
    fixture_t *f = *state;
    end_t dialled;
    end_t *accepted = connect_pair(f, &dialled);

    for (uint64_t seq = 2; seq <= 1000; seq++)
        send_seq(dialled.lane, seq);
    end_destroy(&dialled);
    RUN_UNTIL(&f->rig, accepted->closed);
    assert_int_equal(accepted->received_at_close, 1000);
    assert_int_equal(accepted->why, ECONNRESET);
}

static void closes_the_dialled_end_too(void **state)
{
    fixture_t *f = *state;
    end_t dialled;
    end_t *accepted = connect_pair(f, &dialled);

    for (uint64_t seq = 2; seq <= 1000; seq++)
        send_seq(accepted->lane, seq);
    end_destroy(accepted);
    RUN_UNTIL(&f->rig, dialled.closed);
    assert_int_equal(dialled.received_at_close, 1000);
    assert_int_equal(dialled.why, ECONNRESET);
    end_destroy(&dialled);
    connect_pair(f, &dialled); /* the listener goes on */
    end_destroy(&dialled);
}

static void closes_with_its_listener(void **state)
{
    fixture_t *f = *state;
    end_t dialled, late;
    end_t *accepted = connect_pair(f, &dialled);

    rig_dial(&f->rig, &late, xo_listener_endpoint(f->rig.listener)); /* not heard of yet */
    xo_listener_destroy(f->rig.listener);
    f->rig.listener = NULL;
    assert_int_equal(accepted->closed, 0);
    RUN_UNTIL(&f->rig, accepted->closed && dialled.closed && late.closed);
    end_destroy(&dialled);
    end_destroy(&late);
}

static void pauses(void **state)
{
    fixture_t *f = *state;
    end_t dialled;
    end_t *accepted = connect_pair(f, &dialled);

    xo_lane_pause(accepted->lane, true);
    xo_lane_pause(dialled.lane, true);
    for (uint64_t seq = 2; seq <= 1000; seq++) {
        send_seq(dialled.lane, seq);
        send_seq(accepted->lane, seq);
    }
    end_t other;
    end_t *other_accepted = connect_pair(f, &other); /* the others go on */
    assert_int_equal(accepted->received, 1);
    assert_int_equal(dialled.received, 1);
    end_destroy(&dialled); /* what it has sent is still delivered */
    RUN_UNTIL(&f->rig, xo_lane_stats(accepted->lane)->messages_in == 1000);
    assert_int_equal(accepted->closed, 0);
    xo_lane_pause(accepted->lane, false);
    RUN_UNTIL(&f->rig, accepted->closed);
    assert_int_equal(accepted->received_at_close, 1000);
    assert_false(accepted->out_of_order);
    assert_int_equal(other_accepted->closed, 0);
    end_destroy(&other);
}

#define LANES 200
#define WAVE 20

static void has_many_lanes(void **state)
{
    fixture_t *f = *state;
    end_t *dialled = calloc(LANES, sizeof *dialled);
    size_t closed = 0;

    rig_listen(&f->rig, f->endpoint);
    for (size_t i = 0; i < LANES; i++) {
        rig_dial(&f->rig, &dialled[i], xo_listener_endpoint(f->rig.listener));
        send_seq(dialled[i].lane, 1);
        if ((i + 1) % WAVE == 0) /* so many handshakes are done in time under valgrind too */
            RUN_UNTIL(&f->rig, f->rig.accepted_count == i + 1);
    }
    for (size_t i = 0; i < LANES; i++)
        send_seq(f->rig.accepted[i].lane, 1);
    for (size_t i = 0; i < LANES; i++)
        RUN_UNTIL(&f->rig, dialled[i].received == 1);
    for (size_t i = 0; i < LANES; i += 2)
        end_destroy(&dialled[i]);
    for (size_t i = 0; i < LANES; i++)
        RUN_UNTIL(&f->rig, f->rig.accepted[i].received == 1);
    while (closed < LANES / 2) {
        closed = 0;
        assert_false(f->rig.expired);
        xo_loop_once(f->rig.loop, -1);
        for (size_t i = 0; i < LANES; i++)
            closed += (size_t)f->rig.accepted[i].closed;
    }
    for (size_t i = 1; i < LANES; i += 2) {
        assert_int_equal(dialled[i].closed, 0);
        end_destroy(&dialled[i]);
    }
    free(dialled);
}

static void may_be_destroyed_in_its_handlers(void **state)
{
    fixture_t *f = *state;
    end_t dialled, second;
    end_t *accepted;

    f->rig.destroy_at = 3;
    accepted = connect_pair(f, &dialled);
    dialled.destroy_when_closed = true;
    for (uint64_t seq = 2; seq <= 100; seq++)
        send_seq(dialled.lane, seq);
    RUN_UNTIL(&f->rig, dialled.closed);
    assert_null(dialled.lane);
    assert_int_equal(accepted->received, 3);
    assert_int_equal(accepted->closed, 0);

    f->rig.destroy_at = 0;
    accepted = connect_pair(f, &second);
    second.destroy_at = 2;
    send_seq(accepted->lane, 2);
    send_seq(accepted->lane, 3);
    accepted->destroy_when_closed = true;
    RUN_UNTIL(&f->rig, accepted->closed);
    assert_null(accepted->lane);
    assert_int_equal(second.received, 2);
}

static void may_be_rejected(void **state)
{
    fixture_t *f = *state;
    end_t dialled;

    f->rig.reject = true;
    rig_listen(&f->rig, f->endpoint);
    rig_dial(&f->rig, &dialled, xo_listener_endpoint(f->rig.listener));
    send_seq(dialled.lane, 1);
    send_seq(dialled.lane, 2);
    RUN_UNTIL(&f->rig, dialled.closed);
    assert_int_equal(dialled.why, ECONNRESET);
    assert_int_equal(f->rig.accepted_count, 1);
    end_destroy(&dialled);
}

static void listener_may_be_destroyed_when_accepting(void **state)
{
    fixture_t *f = *state;
    end_t dialled;

    f->rig.destroy_listener = true;
    rig_listen(&f->rig, f->endpoint);
    rig_dial(&f->rig, &dialled, xo_listener_endpoint(f->rig.listener));
    send_seq(dialled.lane, 1);
    RUN_UNTIL(&f->rig, dialled.closed && f->rig.accepted[0].closed);
    assert_null(f->rig.listener);
    end_destroy(&dialled);
}

static void one_address_has_one_listener(void **state)
{
    fixture_t *f = *state;
    xo_error_t err = {0};
    const xo_listener_events_t events = {NULL, NULL};
    end_t dialled;

    rig_listen(&f->rig, f->endpoint);
    assert_null(xo_listen(f->rig.ctx, f->rig.loop, xo_listener_endpoint(f->rig.listener), &events,
                          NULL, &err));
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(err.errnum, EADDRINUSE);
    assert_non_null(strstr(err.text, strstr(xo_listener_endpoint(f->rig.listener), "://") + 3));
    connect_pair(f, &dialled); /* the first one goes on */
    end_destroy(&dialled);
}

static void listens_again(void **state)
{
    fixture_t *f = *state;
    end_t dialled;

    if (strcmp(f->scheme, "tcp") == 0) /* closes the port a moment later */
        return;
    for (int i = 0; i < 3; i++) {
        connect_pair(f, &dialled);
        xo_listener_destroy(f->rig.listener);
        f->rig.listener = NULL;
        RUN_UNTIL(&f->rig, dialled.closed);
        end_destroy(&dialled);
    }
}

static void echoes_at_once(void **state)
{
    fixture_t *f = *state;
    end_t dialled;
    end_t *accepted = connect_pair(f, &dialled);

    accepted->echo = true;
    for (uint64_t seq = 2; seq <= 500; seq++) { /* one at a time: no wake-up may be lost */
        send_seq(dialled.lane, seq);
        RUN_UNTIL(&f->rig, dialled.received == seq);
    }
    end_destroy(&dialled);
}

#define RUN_ALL(scheme_)                                                                           \
    {"exchanges both ways (" scheme_ ")", exchanges_both_ways, fixture_open, fixture_close,        \
     scheme_},                                                                                     \
        {"keeps order (" scheme_ ")", keeps_order, fixture_open, fixture_close, scheme_},          \
        {"carries many buffers (" scheme_ ")", carries_many_buffers, fixture_open, fixture_close,  \
         scheme_},                                                                                 \
        {"takes buffers of its own (" scheme_ ")", takes_buffers_of_its_own, fixture_open,         \
         fixture_close, scheme_},                                                                  \
        {"says that nobody is there (" scheme_ ")", says_that_nobody_is_there, fixture_open,       \
         fixture_close, scheme_},                                                                  \
        {"closes after the last message (" scheme_ ")", closes_after_the_last_message,             \
         fixture_open, fixture_close, scheme_},                                                    \
        {"closes the dialled end too (" scheme_ ")", closes_the_dialled_end_too, fixture_open,     \
         fixture_close, scheme_},                                                                  \
        {"closes with its listener (" scheme_ ")", closes_with_its_listener, fixture_open,         \
         fixture_close, scheme_},                                                                  \
        {"pauses (" scheme_ ")", pauses, fixture_open, fixture_close, scheme_},                    \
        {"has many lanes (" scheme_ ")", has_many_lanes, fixture_open, fixture_close, scheme_},    \
        {"may be destroyed in its handlers (" scheme_ ")", may_be_destroyed_in_its_handlers,       \
         fixture_open, fixture_close, scheme_},                                                    \
        {"may be rejected (" scheme_ ")", may_be_rejected, fixture_open, fixture_close, scheme_},  \
        {"listener may be destroyed when accepting (" scheme_ ")",                                 \
         listener_may_be_destroyed_when_accepting, fixture_open, fixture_close, scheme_},          \
        {"one address has one listener (" scheme_ ")", one_address_has_one_listener, fixture_open, \
         fixture_close, scheme_},                                                                  \
        {"listens again (" scheme_ ")", listens_again, fixture_open, fixture_close, scheme_},      \
    {                                                                                              \
        "echoes at once (" scheme_ ")", echoes_at_once, fixture_open, fixture_close, scheme_       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN_ALL("inproc"),  RUN_ALL("ipc"),  RUN_ALL("shm"),  RUN_ALL("tcp"),  RUN_ALL("mem"),
        RUN_ALL("+inproc"), RUN_ALL("+ipc"), RUN_ALL("+tcp"), RUN_ALL("port"), RUN_ALL("+port"),
    };
    scratch_t scratch;
    int rc;

    scratch_enter(&scratch);
    rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
