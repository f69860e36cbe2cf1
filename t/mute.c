/* mute.c - actors that have enough: what is for them waits at its sender, and nothing else does. */
#include "t/node.h"

static xo_msg_t *make(xo_kind_t kind, const char *uid, const char *method, int value)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, "[[i] {}]", value);
    xo_header_t header = {
        .kind = kind, .target_uid = xo_slice_str(uid), .method = xo_slice_str(method)};
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    assert_non_null(msg);
    return msg;
}

static int tell(fixture_t *f, xo_link_t *link, const char *uid, int value, unsigned flags)
{
    xo_msg_t *msg = make(XO_TELL, uid, "m", value);
    int rc = xo_endpoint_tell(f->a->endpoint, link, &msg, flags, NULL, NULL, NULL);
    int saved = errno;
    xo_msg_destroy(&msg);
    errno = saved;
    return rc;
}

static xo_call_t *call_x(fixture_t *f, xo_link_t *link, xo_kind_t kind, const char *method,
                         int value, outcome_t *outcome)
{
    xo_msg_t *msg = make(kind, "x", method, value);
    return xo_endpoint_call(f->a->endpoint, link, &msg, XO_SEND_QUEUE, 0, outcome_answer, outcome,
                            NULL);
}

/* b asks for x's messages to be kept, or for them again, and a has heard of it. */
static void mute(fixture_t *f, bool muted)
{
    xo_link_t *back = xo_endpoint_link_by_id(f->b->endpoint, xo_endpoint_self(f->a->endpoint)->id);
    assert_true(xo_link_can_mute(back));
    xo_link_mute(back, xo_slice_str("x"), muted);
    xo_msg_t *event = xo_msg_create(&(xo_header_t){.kind = XO_EVENT}, xo_slice(NULL, 0));
    int before = f->a->events;
    assert_int_equal(xo_endpoint_tell(f->b->endpoint, back, &event, 0, NULL, NULL, NULL), 0);
    UNTIL(f->a->events > before);
}

/* What has come to b so far, in order: "x1 y2 ". */
static const char *came(const fixture_t *f)
{
    static char text[256];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = f->b->first; i < f->b->count; i++) {
        xo_slice_t uid = xo_msg_header(f->b->inbox[i].msg)->target_uid;
        used += (size_t)snprintf(text + used, sizeof text - used, "%.*s%d ", (int)uid.size,
                                 uid.data, (int)node_argument(f->b->inbox[i].msg));
    }
    return text;
}

static void on_room(xo_link_t *link, void *arg)
{
    (void)link;
    ++*(int *)arg;
}

static void test_only_what_is_for_it_waits(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    int rooms[2] = {0, 0};
    xo_link_t *link = link_ab(f, NULL);
    mute(f, true);
    assert_int_equal(tell(f, link, "x", 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(tell(f, link, "x", 2, XO_SEND_QUEUE), 0);
    call_x(f, link, XO_CALL, "m", 3, &outcome);
    assert_int_equal(tell(f, link, "y", 4, 0), 0);
    assert_int_equal(xo_link_on_room_for(link, xo_slice_str("x"), on_room, &rooms[0]), 0);
    assert_int_equal(xo_link_on_room_for(link, xo_slice_str("y"), on_room, &rooms[1]), 0);
    assert_int_equal(tell(f, link, "y", 5, 0), 0);
    UNTIL(f->b->count == 2);
    mute(f, true); /* again, which says nothing new */
    assert_string_equal(came(f), "y4 y5 ");
    assert_int_equal(rooms[0], 0);
    mute(f, false);
    UNTIL(f->b->count == 4 && rooms[0] == 1);
    assert_string_equal(came(f), "y4 y5 x2 x3 ");
    assert_int_equal(tell(f, link, "x", 6, 0), 0);
    mute(f, false);
    for (int i = 0; i < 4; i++)
        node_answer(f->b);
    UNTIL(outcome.answers == 1);
    assert_int_equal(f->a->unlinked + f->b->unlinked, 0);
}

/* What waits for credit already waits for the actor from then on, and lets others pass. */
static void test_what_waits_for_credit(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.window_messages = 1});
    assert_int_equal(tell(f, link, "x", 1, 0), 0);
    assert_int_equal(tell(f, link, "x", 2, XO_SEND_QUEUE), 0);
    assert_int_equal(tell(f, link, "y", 3, XO_SEND_QUEUE), 0);
    assert_int_equal(tell(f, link, "x", 4, XO_SEND_QUEUE), 0);
    mute(f, true);
    UNTIL(f->b->count == 1);
    node_swallow(f->b);
    UNTIL(f->b->count == 2);
    assert_string_equal(came(f), "y3 ");
    mute(f, false);
    node_swallow(f->b);
    UNTIL(f->b->count == 3);
    assert_string_equal(came(f), "x2 ");
    node_swallow(f->b);
    UNTIL(f->b->count == 4);
    assert_string_equal(came(f), "x4 ");
}

/* The pool answers these, not the actor. */
static void test_who_asks_for_it_passes(void **state)
{
    fixture_t *f = *state;
    outcome_t outcomes[4] = {{0}};
    xo_link_t *link = link_ab(f, NULL);
    mute(f, true);
    call_x(f, link, XO_CALL, "__xo", 1, &outcomes[0]); /* no method of xo's own */
    call_x(f, link, XO_REF, "", 2, &outcomes[1]);
    call_x(f, link, XO_HAS, "", 3, &outcomes[2]);
    call_x(f, link, XO_CALL, "__xo_watch", 4, &outcomes[3]);
    UNTIL(f->b->count == 3);
    assert_string_equal(came(f), "x2 x3 x4 ");
    node_destroy(f->b);
    f->b = NULL;
    UNTIL(outcomes[0].answers && outcomes[3].answers);
}

static void test_what_waits_is_cancelled(void **state)
{
    fixture_t *f = *state;
    outcome_t cancelled = {0};
    outcome_t other = {0};
    xo_link_t *link = link_ab(f, NULL);
    mute(f, true);
    xo_call_t *first = call_x(f, link, XO_CALL, "m", 1, &cancelled);
    call_x(f, link, XO_CALL, "m", 2, &other);
    xo_call_cancel(first);
    UNTIL(cancelled.answers);
    assert_string_equal(cancelled.executed, "no");
    mute(f, false);
    UNTIL(f->b->count == 1);
    assert_string_equal(came(f), "x2 ");
    node_answer(f->b);
    UNTIL(other.answers);
}

static void test_what_waits_has_a_deadline(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = link_ab(f, NULL);
    mute(f, true);
    xo_msg_t *msg = make(XO_CALL, "x", "m", 1);
    assert_non_null(xo_endpoint_call(f->a->endpoint, link, &msg, XO_SEND_QUEUE, XO_MS,
                                     outcome_answer, &outcome, NULL));
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_DEADLINE);
    assert_string_equal(outcome.executed, "no");
    mute(f, false);
    assert_int_equal(tell(f, link, "x", 2, 0), 0);
    UNTIL(f->b->count == 1);
    assert_string_equal(came(f), "x2 ");
}

static void test_what_is_neither_true_nor_false(void **state)
{
    fixture_t *f = *state;
    link_ab(f, NULL);
    xo_link_t *back = xo_endpoint_link_by_id(f->b->endpoint, xo_endpoint_self(f->a->endpoint)->id);
    xo_msg_t *msg = make(XO_CREDIT, "x", "", 1);
    assert_int_equal(xo_endpoint_tell(f->b->endpoint, back, &msg, 0, NULL, NULL, NULL), 0);
    UNTIL(f->a->unlinked == 1);
    assert_int_equal(xo_endpoint_drops(f->a->endpoint)[XO_DROP_MALFORMED], 1);
}

static void test_the_link_closes(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    int rooms = 0;
    xo_link_t *link = link_ab(f, NULL);
    mute(f, true);
    call_x(f, link, XO_CALL, "m", 1, &outcome);
    assert_int_equal(tell(f, link, "x", 2, XO_SEND_QUEUE), 0);
    assert_int_equal(xo_link_on_room_for(link, xo_slice_str("x"), on_room, &rooms), 0);
    node_destroy(f->b);
    f->b = NULL;
    UNTIL(outcome.answers && rooms == 1);
    assert_string_equal(outcome.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(outcome.executed, "no");
    assert_int_equal(xo_endpoint_drops(f->a->endpoint)[XO_DROP_CLOSED], 1);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(only_what_is_for_it_waits), T(what_waits_for_credit),
        T(who_asks_for_it_passes),    T(what_waits_is_cancelled),
        T(what_waits_has_a_deadline), T(what_is_neither_true_nor_false),
        T(the_link_closes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("mute", tests, NULL, NULL);
}
