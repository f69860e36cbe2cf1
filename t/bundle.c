/* t/bundle.c - bundles: the codec, and what a lane makes of messages that are sent in one go.
 * t/vectors.txt has what is well formed and what is not; t/lane.c runs all its tests with bundles
 * too. */
#include <zmq.h>

#include "libxo/bundle.h"
#include "libxo/lane_zmq.h"
#include "t/lane-rig.h"

static void push(xo_msgq_t *queue, uint64_t seq, size_t body_bytes)
{
    xo_msg_t *msg = make_msg(seq, body_bytes);

    xo_msgq_push(queue, &msg);
}

/* ---- the codec ---- */

static void what_goes_in_comes_out(void **state)
{
    static const size_t sizes[] = {0, 10, 600, 10, 1900};
    const size_t count = sizeof sizes / sizeof *sizes;
    xo_msgq_t queue = {0};
    xo_error_t err;

    (void)state;
    for (size_t i = 0; i < count; i++)
        push(&queue, i + 1, sizes[i]);
    size_t bytes = queue.bytes;
    xo_msg_t *bundle = xoi_bundle_make(&queue);
    assert_non_null(bundle);
    assert_int_equal(queue.count, 0);
    assert_int_equal(xo_msg_bytes(bundle), bytes);

    zmq_msg_t frame;
    assert_int_equal(xo_msg_frame_count(bundle), 1);
    assert_int_equal(xo_msg_to_frames(&bundle, &frame), 0);
    xo_slice_t text = xo_slice(zmq_msg_data(&frame), zmq_msg_size(&frame));
    assert_true(xoi_is_bundle(text));
    assert_int_equal(xoi_bundle_read(text, &queue, &err), 0);
    zmq_msg_close(&frame);
    assert_int_equal(queue.count, count);
    assert_int_equal(queue.bytes, bytes);
    for (size_t i = 0; i < count; i++) {
        xo_msg_t *msg = xo_msgq_pop(&queue), *same = make_msg(i + 1, sizes[i]);
        assert_int_equal(xo_msg_header(msg)->seq, i + 1);
        assert_true(xo_slice_eq(xo_msg_body(msg), xo_msg_body(same)));
        xo_msg_destroy(&msg);
        xo_msg_destroy(&same);
    }
}

static void large_ones_and_buffers_stay_apart(void **state)
{
    xo_msg_t *small = make_msg(1, 10);
    xo_msg_t *large = make_msg(1, XOI_BUNDLED_BYTES_MAX);

    (void)state;
    assert_true(xoi_bundle_takes(small));
    assert_false(xoi_bundle_takes(large));
    assert_int_equal(xo_msg_add_buffer_copy(small, "x", 1), 0);
    assert_false(xoi_bundle_takes(small));
    xo_msg_destroy(&small);
    xo_msg_destroy(&large);
}

static void more_than_the_most_is_refused(void **state)
{
    xo_msgq_t queue = {0};
    xo_error_t err = {0};
    char *bytes = calloc(1, XOI_BUNDLE_BYTES_MAX + 1);

    (void)state;
    bytes[0] = (char)XOI_BUNDLE_MARK;
    assert_int_equal(xoi_bundle_read(xo_slice(bytes, XOI_BUNDLE_BYTES_MAX + 1), &queue, &err), -1);
    assert_int_equal(errno, EBADMSG);
    assert_string_equal(err.text, "a bundle of 65537 bytes");
    free(bytes);
}

/* ---- what a lane sends, seen by a bare socket ---- */

/* The frames of the next message that says something, without the sender's id. */
static size_t next_frames(fixture_t *f, xo_msgq_t *msgs)
{
    xoi_frames_t frames;
    xo_error_t err;
    size_t count = 0;

    xoi_frames_init(&frames);
    while (msgs->count == 0) {
        zmq_msg_t id;
        zmq_msg_init(&id);
        assert_true(zmq_msg_recv(&id, f->raw, 0) > 0);
        zmq_msg_close(&id);
        assert_int_equal(xoi_frames_recv(&frames, f->raw), 0);
        count = frames.count;
        assert_int_equal(xoi_frames_read(&frames, msgs, &err), 0);
    }
    xoi_frames_free(&frames);
    return count;
}

/* A message of the socket holds these, from `seq` on. */
static void assert_next(fixture_t *f, uint64_t seq, size_t messages, size_t frames)
{
    xo_msgq_t msgs = {0};
    xo_msg_t *msg;

    assert_int_equal(next_frames(f, &msgs), frames);
    assert_int_equal(msgs.count, messages);
    while ((msg = xo_msgq_pop(&msgs))) {
        assert_int_equal(xo_msg_header(msg)->seq, seq++);
        xo_msg_destroy(&msg);
    }
}

static void dial_raw(fixture_t *f, end_t *end)
{
    open_raw(f, ZMQ_ROUTER, f->rig.ctx);
    assert_int_equal(zmq_bind(f->raw, f->endpoint), 0);
    assert_int_equal(xo_ctx_add_local(f->rig.ctx, f->endpoint, NULL), 0);
    rig_dial(&f->rig, end, f->endpoint);
}

static void send_with_buffer(xo_lane_t *lane, uint64_t seq)
{
    xo_msg_t *msg = make_msg(seq, 10);

    assert_int_equal(xo_msg_add_buffer_copy(msg, "x", 1), 0);
    assert_int_equal(xo_lane_send(lane, &msg), 0);
}

/* Those that leave at once: the loop has not run. */
static uint64_t send_alone(fixture_t *f, end_t *end, uint64_t seq)
{
    for (int i = 0; i < XOI_ALONE; i++, seq++) {
        send_seq(end->lane, seq);
        assert_next(f, seq, 1, 1);
    }
    return seq;
}

static void the_first_leave_at_once_and_the_rest_together(void **state)
{
    fixture_t *f = *state;
    end_t end;

    dial_raw(f, &end);
    uint64_t seq = send_alone(f, &end, 1);
    for (uint64_t i = 0; i < 4; i++)
        send_seq(end.lane, seq + i);
    send_with_buffer(end.lane, seq + 4);
    assert_next(f, seq, 4, 1);
    assert_next(f, seq + 4, 1, 2);
    send_seq(end.lane, seq + 5);
    send_seq(end.lane, seq + 6);
    xo_loop_once(f->rig.loop, 0);
    assert_next(f, seq + 5, 2, 1);
    seq = send_alone(f, &end, seq + 7);
    assert_int_equal(xo_lane_stats(end.lane)->messages_out, seq - 1);
    end_destroy(&end);
}

static void a_bundle_is_bounded(void **state)
{
    const uint64_t count = 1000;
    fixture_t *f = *state;
    xo_msgq_t msgs = {0};
    end_t end;

    dial_raw(f, &end);
    uint64_t seq = send_alone(f, &end, 1);
    for (uint64_t i = seq; i <= count; i++)
        send_seq(end.lane, i);
    end_destroy(&end); /* the rest leaves with the goodbye */
    while (seq <= count) {
        xo_msg_t *msg;
        next_frames(f, &msgs);
        assert_true(msgs.bytes <= XOI_BUNDLE_BYTES);
        while ((msg = xo_msgq_pop(&msgs))) {
            assert_int_equal(xo_msg_header(msg)->seq, seq++);
            xo_msg_destroy(&msg);
        }
    }
}

static void who_understands_none_gets_none(void **state)
{
    const uint64_t count = XOI_ALONE + 3;
    fixture_t *f = *state;
    end_t end;

    dial_raw(f, &end);
    for (uint64_t seq = 1; seq <= count; seq++)
        send_seq(end.lane, seq);
    for (uint64_t seq = 1; seq <= count; seq++)
        assert_next(f, seq, 1, 1);
    end_destroy(&end);
}

/* ---- what a lane takes ---- */

#define HELD (XOI_ALONE + 5)

typedef struct nested {
    fixture_t *f;
    uint64_t seqs[HELD];
    size_t count;
} nested_t;

/* The first of the bundle runs the loop until the others are there. */
static void run_within(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    nested_t *nested = arg;

    (void)lane;
    nested->seqs[nested->count++] = xo_msg_header(*msg)->seq;
    xo_msg_destroy(msg);
    if (nested->count == XOI_ALONE + 1)
        RUN_UNTIL(&nested->f->rig, nested->count == HELD);
}

static void a_handler_that_runs_the_loop_gets_the_rest(void **state)
{
    static const xo_lane_events_t events = {.message = run_within};
    fixture_t *f = *state;
    end_t dialled;
    nested_t nested = {.f = f};

    rig_listen(&f->rig, f->endpoint);
    rig_dial(&f->rig, &dialled, f->endpoint);
    send_seq(dialled.lane, 1);
    RUN_UNTIL(&f->rig, f->rig.accepted[0].received == 1);
    xo_lane_set_events(f->rig.accepted[0].lane, &events, &nested);
    for (uint64_t seq = 1; seq <= HELD; seq++)
        send_seq(dialled.lane, seq);
    RUN_UNTIL(&f->rig, nested.count == HELD);
    for (uint64_t seq = 1; seq <= HELD; seq++)
        assert_int_equal(nested.seqs[seq - 1], seq);
    end_destroy(&dialled);
}

#define LANE_TEST(test, scheme)                                                                    \
    {                                                                                              \
#test, test, fixture_open, fixture_close, scheme                                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(large_ones_and_buffers_stay_apart),
        cmocka_unit_test(more_than_the_most_is_refused),
        LANE_TEST(the_first_leave_at_once_and_the_rest_together, "+inproc"),
        LANE_TEST(a_bundle_is_bounded, "+inproc"),
        LANE_TEST(who_understands_none_gets_none, "inproc"),
        LANE_TEST(a_handler_that_runs_the_loop_gets_the_rest, "+inproc"),
    };
    scratch_t scratch;
    int rc;

    scratch_enter(&scratch);
    rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
