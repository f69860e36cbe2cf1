/* again.c - idempotent calls whose link ends: sent again, within their deadline, answered once. */
#include "t/node.h"

#define GIVE_UP_MS 5000 /* after so long without a sign of the peer */

/* As node_call, but idempotent; with a buffer of `padding` bytes. */
static xo_call_t *call_again(node_t *node, xo_link_t *link, int64_t value, int64_t deadline_ns,
                             size_t padding, outcome_t *outcome)
{
    char *bytes = calloc(1, padding + 1);
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_CALL,
                          .flags = XO_F_IDEMPOTENT,
                          .incarnation = 7,
                          .deadline_ms = (uint64_t)(deadline_ns / XO_MS),
                          .target_uid = xo_slice_str("actor"),
                          .method = xo_slice_str("method")};
    xo_pack_format(&body, "[[I]{}]", value);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    if (padding)
        assert_int_equal(xo_msg_add_buffer_copy(msg, bytes, padding), 0);
    free(bytes);
    xo_call_t *call = xo_endpoint_call(node->endpoint, link, &msg, XO_SEND_QUEUE, deadline_ns,
                                       outcome_answer, outcome, NULL);
    assert_non_null(call);
    return call;
}

static void end_b(fixture_t *f)
{
    node_destroy(f->b);
    f->b = NULL;
    UNTIL(f->a->unlinked > 0);
}

static void begin_b(fixture_t *f)
{
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
}

/* Until b has got `count` requests and is gone. */
static void lose(fixture_t *f, size_t count)
{
    UNTIL(f->b->count == count);
    end_b(f);
}

static void test_sent_again_to_the_next_one(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = link_ab(f, NULL);
    uint64_t seq = xo_call_seq(call_again(f->a, link, 42, 60000 * XO_MS, 100000, &outcome));
    lose(f, 1);
    begin_b(f);
    UNTIL(f->b->count == 1);
    const xo_msg_t *msg = f->b->inbox[0].msg;
    const xo_header_t *header = xo_msg_header(msg);
    assert_true(header->seq == seq);
    assert_true(header->flags == XO_F_IDEMPOTENT);
    assert_true(header->incarnation == 0);
    assert_true(header->deadline_ms > 0 && header->deadline_ms <= 60000);
    assert_true(header->sender_id == xo_endpoint_self(f->a->endpoint)->id);
    assert_int_equal(xo_msg_buffer(msg, 0).size, 100000);
    node_answer(f->b);
    UNTIL(outcome.answers);
    assert_int_equal(outcome.kind, XO_RESULT);
    assert_int_equal(outcome.value, 42);
    xo_loop_once(f->loop, 0);
    assert_int_equal(outcome.answers, 1);
}

static void test_sent_again_as_often_as_needed(void **state)
{
    fixture_t *f = *state;
    outcome_t outcomes[3] = {0};
    /* The last two wait for credit. */
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.window_messages = 1});
    for (int i = 0; i < 3; i++)
        call_again(f->a, link, i, 0, 0, &outcomes[i]);
    lose(f, 1);
    begin_b(f);
    lose(f, 3);
    begin_b(f);
    f->b->echo = true;
    for (int i = 0; i < 3; i++) {
        UNTIL(outcomes[i].answers);
        assert_int_equal(outcomes[i].kind, XO_RESULT);
        assert_int_equal(outcomes[i].value, i);
    }
}

static void test_others_are_not(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    node_call(f->a, link_ab(f, NULL), 1, 0, 0, &outcome);
    lose(f, 1);
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(outcome.executed, "maybe");
}

static void test_the_deadline_is_that_of_all_attempts(void **state)
{
    fixture_t *f = *state;
    outcome_t sent = {0}, waiting = {0};
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.window_messages = 1});
    xo_loop_freeze(f->loop, xo_loop_now(f->loop));
    call_again(f->a, link, 1, 500 * XO_MS, 0, &sent);
    call_again(f->a, link, 2, 500 * XO_MS, 0, &waiting);
    lose(f, 1);
    xo_loop_advance(f->loop, 499 * XO_MS);
    xo_loop_once(f->loop, 0);
    assert_int_equal(sent.answers + waiting.answers, 0);
    xo_loop_advance(f->loop, 2 * XO_MS);
    UNTIL(sent.answers && waiting.answers);
    assert_string_equal(sent.code, XO_CODE_DEADLINE);
    assert_string_equal(sent.executed, "maybe");
    assert_string_equal(waiting.code, XO_CODE_DEADLINE);
    assert_string_equal(waiting.executed, "no");
}

static void test_what_is_left_of_the_deadline_goes_along(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = link_ab(f, NULL);
    xo_loop_freeze(f->loop, xo_loop_now(f->loop));
    call_again(f->a, link, 1, 1000 * XO_MS, 0, &outcome);
    lose(f, 1);
    begin_b(f);
    xo_loop_advance(f->loop, 10 * XO_MS); /* when it tries for the first time */
    UNTIL(f->b->count == 1);
    assert_int_equal(xo_msg_header(f->b->inbox[0].msg)->deadline_ms, 990);
    node_answer(f->b);
    UNTIL(outcome.answers);
}

static void test_cancelled_while_nobody_is_there(void **state)
{
    fixture_t *f = *state;
    outcome_t cancelled = {0}, abandoned = {0}, next = {0};
    xo_link_t *link = link_ab(f, NULL);
    xo_call_t *first = call_again(f->a, link, 1, 0, 0, &cancelled);
    xo_call_t *second = call_again(f->a, link, 2, 0, 0, &abandoned);
    lose(f, 2);
    xo_call_cancel(first);
    xo_call_abandon(second);
    UNTIL(cancelled.answers);
    assert_string_equal(cancelled.code, XO_CODE_CANCELLED);
    assert_string_equal(cancelled.executed, "maybe");
    begin_b(f);
    node_call(f->a, xo_endpoint_link(f->a->endpoint, "mem://b", NULL), 3, 0, 0, &next);
    UNTIL(f->b->count == 1);
    assert_int_equal(node_argument(f->b->inbox[0].msg), 3);
    node_answer(f->b);
    UNTIL(next.answers);
    assert_int_equal(abandoned.answers, 0);
}

/* Its cancel went to the one that is gone. */
static void test_cancelled_before_the_link_ends(void **state)
{
    fixture_t *f = *state;
    outcome_t cancelled = {0}, next = {0};
    xo_link_t *link = link_ab(f, NULL);
    xo_call_t *call = call_again(f->a, link, 1, 60000 * XO_MS, 0, &cancelled);
    UNTIL(f->b->count == 1);
    xo_call_cancel(call);
    assert_int_equal(cancelled.answers, 0);
    end_b(f);
    begin_b(f);
    UNTIL(cancelled.answers);
    assert_string_equal(cancelled.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(cancelled.executed, "maybe");
    node_call(f->a, xo_endpoint_link(f->a->endpoint, "mem://b", NULL), 2, 0, 0, &next);
    UNTIL(f->b->count == 1);
    assert_int_equal(node_argument(f->b->inbox[0].msg), 2);
    node_answer(f->b);
    UNTIL(next.answers);
}

static void test_given_up_when_nobody_comes(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = link_ab(f, NULL);
    xo_loop_freeze(f->loop, xo_loop_now(f->loop));
    call_again(f->a, link, 1, 0, 0, &outcome);
    lose(f, 1);
    for (int ms = 0; ms < GIVE_UP_MS - 1000; ms += 100) {
        xo_loop_advance(f->loop, 100 * XO_MS);
        while (xo_loop_once(f->loop, 0))
            ;
        assert_int_equal(outcome.answers, 0);
    }
    xo_loop_advance(f->loop, 1000 * XO_MS);
    while (!outcome.answers) {
        xo_loop_advance(f->loop, 100 * XO_MS);
        xo_loop_once(f->loop, 0);
    }
    assert_string_equal(outcome.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(outcome.executed, "maybe");
}

/* Accepts, and says nothing. */
static void mute_message(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    (void)lane;
    ++*(int *)arg;
    xo_msg_destroy(msg);
}

static void mute_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    (void)why;
    (void)arg;
    xo_lane_destroy(lane);
}

static const xo_lane_events_t mute_lane = {mute_message, NULL, mute_closed};

static void mute_accepted(xo_listener_t *listener, xo_lane_t *lane, void *arg)
{
    (void)listener;
    xo_lane_set_events(lane, &mute_lane, arg);
}

static const xo_listener_events_t mute_listener = {mute_accepted, NULL};

/* A process that has only begun may take longer than a handshake should. */
static void test_one_that_is_slow_to_begin_is_waited_for(void **state)
{
    fixture_t *f = *state;
    int heard = 0;
    outcome_t outcome = {0};
    xo_link_t *link = link_ab(f, NULL);
    xo_loop_freeze(f->loop, xo_loop_now(f->loop));
    call_again(f->a, link, 5, 0, 0, &outcome);
    lose(f, 1);
    xo_listener_t *mute = xo_listen(f->ctx, f->loop, "mem://b", &mute_listener, &heard, NULL);
    assert_non_null(mute);
    for (int i = 0; i < 3 * GIVE_UP_MS && !outcome.answers; i += 100) {
        xo_loop_advance(f->loop, 100 * XO_MS);
        while (xo_loop_once(f->loop, 0))
            ;
    }
    assert_int_equal(outcome.answers, 0);
    assert_true(heard > 1);
    xo_listener_destroy(mute);
    begin_b(f);
    f->b->echo = true;
    while (!outcome.answers) {
        xo_loop_advance(f->loop, 100 * XO_MS);
        xo_loop_once(f->loop, 0);
    }
    assert_int_equal(outcome.value, 5);
}

static void test_a_refusal_is_final(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    call_again(f->a, link_ab(f, NULL), 1, 0, 0, &outcome);
    lose(f, 1);
    begin_b(f);
    f->b->refuse = true;
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_SERVER_CLOSED);
    assert_non_null(strstr(outcome.text, "not today"));
}

/* While its pool ends in order, the link lives. */
static void test_what_an_ending_pool_refuses_is_for_the_next_one(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0}, other = {0};
    xo_link_t *link = link_ab(f, NULL);
    call_again(f->a, link, 42, 60000 * XO_MS, 0, &outcome);
    node_call(f->a, link, 43, 0, 0, &other);
    for (int i = 0; i < 3; i++) {
        UNTIL(f->b->first < f->b->count);
        xo_return_t to = xo_return_of(f->b->inbox[f->b->first].from, f->b->inbox[f->b->first].msg);
        xo_msg_t *msg =
            xo_failure_msg(0, XO_CODE_SERVER_CLOSED, "no", XO_WHY_POOL_STOPPING, "it ends");
        xo_endpoint_answer(f->b->endpoint, &to, &msg);
        node_swallow(f->b);
    }
    UNTIL(other.answers); /* which is not idempotent */
    assert_string_equal(other.reason, XO_WHY_POOL_STOPPING);
    assert_int_equal(outcome.answers, 0);
    end_b(f);
    begin_b(f);
    f->b->echo = true;
    UNTIL(outcome.answers);
    assert_int_equal(outcome.value, 42);
}

static void test_the_callers_own_end(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    call_again(f->a, link_ab(f, NULL), 1, 0, 0, &outcome);
    lose(f, 1);
    node_destroy(f->a);
    f->a = NULL;
    assert_int_equal(outcome.answers, 1);
    assert_string_equal(outcome.executed, "maybe");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sent_again_to_the_next_one),
        TEST(test_sent_again_as_often_as_needed),
        TEST(test_others_are_not),
        TEST(test_the_deadline_is_that_of_all_attempts),
        TEST(test_what_is_left_of_the_deadline_goes_along),
        TEST(test_cancelled_while_nobody_is_there),
        TEST(test_cancelled_before_the_link_ends),
        TEST(test_given_up_when_nobody_comes),
        TEST(test_one_that_is_slow_to_begin_is_waited_for),
        TEST(test_a_refusal_is_final),
        TEST(test_what_an_ending_pool_refuses_is_for_the_next_one),
        TEST(test_the_callers_own_end),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
