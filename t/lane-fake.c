/* t/lane-fake.c - what tests can do with lanes in memory (libxo/lane_fake.h). */
#include "libxo/lane_fake.h"
#include "t/lane-rig.h"

typedef struct fake {
    rig_t rig;
    end_t dialled;
    end_t *accepted;
} fake_t;

static int set_up(void **state)
{
    fake_t *f = calloc(1, sizeof *f);

    rig_open(&f->rig);
    f->accepted = rig_meet(&f->rig, &f->dialled, "mem://here");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    rig_close(&((fake_t *)*state)->rig);
    free(*state);
    return 0;
}

static void one_pass_delivers(void **state)
{
    fake_t *f = *state;
    end_t other;

    rig_dial(&f->rig, &other, "mem://here");
    send_seq(other.lane, 1);
    send_seq(f->dialled.lane, 2);
    assert_int_equal(f->rig.accepted_count, 1);
    assert_int_equal(f->accepted->received, 1);
    assert_int_equal(xo_loop_once(f->rig.loop, 0), 0);
    assert_int_equal(f->rig.accepted_count, 2);
    assert_int_equal(f->rig.accepted[1].received, 1);
    assert_int_equal(f->accepted->received, 2);
    end_destroy(&other);
}

static void room_is_bounded_and_offered_again(void **state)
{
    fake_t *f = *state;
    xo_msg_t *msg = make_msg(4, 0);

    xoi_fake_set_room(f->dialled.lane, 2);
    xo_lane_pause(f->accepted->lane, true);
    send_seq(f->dialled.lane, 2);
    send_seq(f->dialled.lane, 3);
    assert_errno(xo_lane_send(f->dialled.lane, &msg), EAGAIN);
    assert_non_null(msg);
    xo_loop_once(f->rig.loop, 0);
    assert_int_equal(f->dialled.writable, 0);
    xo_lane_pause(f->accepted->lane, false);
    RUN_UNTIL(&f->rig, f->dialled.writable == 1);
    assert_int_equal(xo_lane_send(f->dialled.lane, &msg), 0);
    RUN_UNTIL(&f->rig, f->accepted->received == 4);
    xo_loop_once(f->rig.loop, 0);
    assert_int_equal(f->dialled.writable, 1); /* nobody waited any more */
    assert_false(f->accepted->out_of_order);
}

static void more_room_is_offered_too(void **state)
{
    fake_t *f = *state;
    xo_msg_t *msg = make_msg(2, 0);

    xoi_fake_hold(f->dialled.lane, true);
    xoi_fake_set_room(f->dialled.lane, 1);
    assert_int_equal(xo_lane_send(f->dialled.lane, &msg), 0);
    msg = make_msg(3, 0);
    assert_errno(xo_lane_send(f->dialled.lane, &msg), EAGAIN);
    xoi_fake_set_room(f->dialled.lane, 0);
    RUN_UNTIL(&f->rig, f->dialled.writable == 1);
    assert_int_equal(xo_lane_send(f->dialled.lane, &msg), 0);
    xoi_fake_hold(f->dialled.lane, false);
    RUN_UNTIL(&f->rig, f->accepted->received == 3);
}

static void deliveries_are_held(void **state)
{
    fake_t *f = *state;

    xoi_fake_hold(f->dialled.lane, true);
    send_seq(f->dialled.lane, 2);
    send_seq(f->accepted->lane, 1); /* the other way goes on */
    RUN_UNTIL(&f->rig, f->dialled.received == 1);
    assert_int_equal(xo_loop_once(f->rig.loop, 0), 0);
    assert_int_equal(f->accepted->received, 1);
    xo_lane_pause(f->accepted->lane, true); /* the user's pause is another matter */
    xoi_fake_hold(f->dialled.lane, false);
    assert_int_equal(xo_loop_once(f->rig.loop, 0), 0);
    assert_int_equal(f->accepted->received, 1);
    xo_lane_pause(f->accepted->lane, false);
    RUN_UNTIL(&f->rig, f->accepted->received == 2);
}

static void lanes_are_cut(void **state)
{
    fake_t *f = *state;

    send_seq(f->dialled.lane, 2);
    xoi_fake_cut(f->dialled.lane, ETIMEDOUT);
    RUN_UNTIL(&f->rig, f->dialled.closed && f->accepted->closed);
    assert_int_equal(f->dialled.why, ETIMEDOUT);
    assert_int_equal(f->accepted->why, ETIMEDOUT);
    assert_int_equal(f->accepted->received, 1); /* the other one is lost */
}

static void garbage_closes_the_lane(void **state)
{
    fake_t *f = *state;
    end_t other;

    rig_dial(&f->rig, &other, "mem://here");
    send_seq(other.lane, 1);
    send_seq(f->dialled.lane, 2);
    xoi_fake_inject(f->dialled.lane, "garbage", 7);
    RUN_UNTIL(&f->rig, f->accepted->closed && f->dialled.closed);
    assert_int_equal(f->accepted->why, EBADMSG);
    assert_int_equal(f->accepted->received, 2);
    assert_int_equal(f->dialled.why, ECONNRESET);
    send_seq(other.lane, 2);
    RUN_UNTIL(&f->rig, f->rig.accepted[1].received == 2);
}

static void garbage_from_nobody_is_refused(void **state)
{
    fake_t *f = *state;
    end_t other;

    rig_dial(&f->rig, &other, "mem://here");
    xoi_fake_inject(other.lane, "", 0);
    RUN_UNTIL(&f->rig, other.closed);
    assert_int_equal(f->rig.refused, 1);
    assert_int_equal(f->rig.accepted_count, 1);
}

static void the_peer_is_known(void **state)
{
    fake_t *f = *state;

    assert_ptr_equal(xoi_fake_peer(f->dialled.lane), f->accepted->lane);
    assert_ptr_equal(xoi_fake_peer(f->accepted->lane), f->dialled.lane);
    end_destroy(f->accepted);
    assert_null(xoi_fake_peer(f->dialled.lane));
    xoi_fake_hold(f->dialled.lane, true); /* to nobody */
    xoi_fake_inject(f->dialled.lane, "x", 1);
    RUN_UNTIL(&f->rig, f->dialled.closed);
}

#define FAKE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKE_TEST(one_pass_delivers),
        FAKE_TEST(room_is_bounded_and_offered_again),
        FAKE_TEST(more_room_is_offered_too),
        FAKE_TEST(deliveries_are_held),
        FAKE_TEST(lanes_are_cut),
        FAKE_TEST(garbage_closes_the_lane),
        FAKE_TEST(garbage_from_nobody_is_refused),
        FAKE_TEST(the_peer_is_known),
    };
    scratch_t scratch;
    int rc;

    scratch_enter(&scratch);
    rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
