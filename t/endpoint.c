/* endpoint.c - tests of links, calls, credit and relaying, over the in-memory transport. */
#include "t/node.h"

static void tell(node_t *node, xo_link_t *link, int64_t value, size_t padding)
{
    xo_msg_t *msg = node_make(XO_TELL, 0, value, padding);
    assert_int_equal(xo_endpoint_tell(node->endpoint, link, &msg, XO_SEND_QUEUE, NULL, NULL, NULL),
                     0);
}

static void test_handshake_tells_who_is_there(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = link_ab(f, NULL);
    const xo_identity_t *peer = xo_link_peer(link);
    assert_int_equal(peer->role, XO_ROLE_POOL);
    assert_true(peer->id == xo_endpoint_self(f->b->endpoint)->id);
    assert_ptr_equal(xo_endpoint_link_by_id(f->a->endpoint, peer->id), link);
    assert_ptr_equal(xo_endpoint_link(f->a->endpoint, "mem://b", NULL), link);
    assert_string_equal(xo_link_scheme(link), "mem");
}

static void test_call_sent_before_the_handshake_is_answered(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    f->b->echo = true;
    node_call(f->a, xo_endpoint_link(f->a->endpoint, "mem://b", NULL), 42, 0, 0, &outcome);
    UNTIL(outcome.answers);
    assert_int_equal(outcome.kind, XO_RESULT);
    assert_int_equal(outcome.value, 42);
}

static void test_order_holds_over_calls_and_tells(void **state)
{
    fixture_t *f = *state;
    enum { N = 3000 };
    static outcome_t outcomes[N];
    memset(outcomes, 0, sizeof outcomes);
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.window_messages = 100});
    for (int i = 0; i < N; i++) {
        node_call(f->a, link, 2 * i, XO_SEND_QUEUE, 0, &outcomes[i]);
        tell(f->a, link, 2 * i + 1, 0);
    }
    for (int i = 0; i < 2 * N; i++) {
        UNTIL(f->b->first < f->b->count);
        assert_int_equal(node_argument(f->b->inbox[f->b->first].msg), i);
        node_answer(f->b);
    }
    UNTIL(outcomes[N - 1].answers);
    for (int i = 0; i < N; i++)
        assert_int_equal(outcomes[i].answers, 1);
}

static void test_refused_by_admission(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    f->b->refuse = true;
    node_call(f->a, xo_endpoint_link(f->a->endpoint, "mem://b", NULL), 1, 0, 0, &outcome);
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(outcome.executed, "no");
    assert_non_null(strstr(outcome.text, "not today"));
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_REFUSED], 1);
}

static void test_nobody_there(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    xo_link_t *link = xo_endpoint_link(f->a->endpoint, "mem://nobody", NULL);
    assert_non_null(link);
    node_call(f->a, link, 1, 0, 0, &outcome);
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(outcome.executed, "no");
    assert_int_equal(f->a->unlinked, 1);
}

static void test_peer_that_ends_leaves_one_answer_each(void **state)
{
    fixture_t *f = *state;
    outcome_t outcomes[5] = {0};
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.window_messages = 3});
    for (int i = 0; i < 5; i++)
        assert_non_null(node_call(f->a, link, i, XO_SEND_QUEUE, 0, &outcomes[i]));
    UNTIL(f->b->count == 3);
    node_answer(f->b);
    UNTIL(outcomes[0].answers && f->b->count == 4);
    node_destroy(f->b);
    f->b = NULL;
    UNTIL(outcomes[4].answers);
    for (int i = 0; i < 5; i++)
        assert_int_equal(outcomes[i].answers, 1);
    assert_int_equal(outcomes[0].kind, XO_RESULT);
    assert_string_equal(outcomes[1].executed, "maybe");
    assert_string_equal(outcomes[4].executed, "no");
    assert_string_equal(outcomes[4].code, XO_CODE_SERVER_CLOSED);
}

static void test_own_end_answers_what_is_under_way(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = link_ab(f, NULL);
    node_call(f->a, link, 1, 0, 0, &outcome);
    node_destroy(f->a);
    f->a = NULL;
    assert_int_equal(outcome.answers, 1);
    assert_string_equal(outcome.code, XO_CODE_SERVER_CLOSED);
}

static void test_deadline(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = link_ab(f, NULL);
    xo_loop_freeze(f->loop, xo_loop_now(f->loop));
    node_call(f->a, link, 1, 0, 500 * XO_MS, &outcome);
    UNTIL(f->b->count == 1);
    xo_loop_advance(f->loop, 499 * XO_MS);
    xo_loop_once(f->loop, 0);
    assert_int_equal(outcome.answers, 0);
    xo_loop_advance(f->loop, 2 * XO_MS);
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_DEADLINE);
    assert_string_equal(outcome.executed, "maybe");
    UNTIL(f->b->count == 2);
    assert_int_equal(xo_msg_header(f->b->inbox[1].msg)->kind, XO_CANCEL);
    assert_int_equal(xo_msg_header(f->b->inbox[1].msg)->seq,
                     xo_msg_header(f->b->inbox[0].msg)->seq);
    node_answer(f->b); /* too late: a dead letter */
    UNTIL(xo_endpoint_drops(f->a->endpoint)[XO_DROP_NO_CALLER] == 1);
    assert_int_equal(outcome.answers, 1);
}

static void test_cancel_what_waits_and_what_left(void **state)
{
    fixture_t *f = *state;
    outcome_t sent = {0};
    outcome_t waiting = {0};
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.window_messages = 1});
    xo_call_t *first = node_call(f->a, link, 1, 0, 0, &sent);
    xo_call_t *second = node_call(f->a, link, 2, XO_SEND_QUEUE, 0, &waiting);
    xo_call_cancel(second);
    xo_call_cancel(first);
    UNTIL(waiting.answers && f->b->count == 2);
    assert_string_equal(waiting.code, XO_CODE_CANCELLED);
    assert_string_equal(waiting.executed, "no");
    assert_int_equal(sent.answers, 0);
    assert_int_equal(xo_msg_header(f->b->inbox[1].msg)->kind, XO_CANCEL);
    node_answer(f->b);
    UNTIL(sent.answers);
    assert_int_equal(sent.kind, XO_RESULT);
}

static void test_abandoned_call_calls_nobody_back(void **state)
{
    fixture_t *f = *state;
    outcome_t abandoned = {0};
    outcome_t next = {0};
    xo_link_t *link = link_ab(f, NULL);
    xo_call_abandon(node_call(f->a, link, 1, 0, 0, &abandoned));
    UNTIL(f->b->count == 2);
    node_answer(f->b);
    f->b->echo = true;
    node_call(f->a, link, 2, 0, 0, &next);
    UNTIL(next.answers);
    assert_int_equal(abandoned.answers, 0);
}

static void on_room(xo_link_t *link, void *arg)
{
    (void)link;
    ++*(int *)arg;
}

static void test_no_credit_pushes_back(void **state)
{
    fixture_t *f = *state;
    outcome_t outcomes[6] = {0};
    int rooms = 0;
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.window_messages = 4});
    for (int i = 0; i < 4; i++)
        assert_non_null(node_call(f->a, link, i, 0, 0, &outcomes[i]));
    assert_null(node_call(f->a, link, 4, 0, 0, &outcomes[4]));
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(xo_link_on_room(link, on_room, &rooms), 0);
    UNTIL(f->b->count == 4);
    assert_int_equal(rooms, 0);
    node_answer(f->b);
    UNTIL(rooms == 1);
    assert_non_null(node_call(f->a, link, 5, 0, 0, &outcomes[5]));
    f->b->echo = true;
    UNTIL(outcomes[5].answers);
    while (f->b->first < f->b->count)
        node_answer(f->b);
    UNTIL(outcomes[3].answers);
    assert_int_equal(outcomes[4].answers, 0);
}

static void test_message_larger_than_the_window_passes_alone(void **state)
{
    fixture_t *f = *state;
    const size_t sizes[] = {100, 6000, 50000, 100, 9000, 9000, 50000};
    const size_t n = sizeof sizes / sizeof *sizes;
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.window_bytes = 10000});
    for (size_t i = 0; i < n; i++)
        tell(f->a, link, (int64_t)i, sizes[i]);
    for (size_t i = 0; i < n; i++) {
        size_t held = 0;
        UNTIL(f->b->first < f->b->count);
        for (size_t k = f->b->first; k < f->b->count; k++)
            held += xo_msg_bytes(f->b->inbox[k].msg);
        assert_true(f->b->count - f->b->first == 1 || held <= 10000);
        assert_int_equal(node_argument(f->b->inbox[f->b->first].msg), (int64_t)i);
        node_swallow(f->b);
    }
    assert_int_equal(f->a->unlinked, 0);
}

/* How many tells of so many bytes are taken before EAGAIN, by one who grants as `options` say. */
static int told_before_the_handshake(fixture_t *f, const xo_endpoint_options_t *options,
                                     const size_t *sizes, int count)
{
    int told = 0;
    int rooms = 0;
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, options);
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    xo_link_t *link = xo_endpoint_link(f->a->endpoint, "mem://b", NULL);
    for (; told < count; told++) {
        xo_msg_t *msg = node_make(XO_TELL, 0, told, sizes[told]);
        int rc = xo_endpoint_tell(f->a->endpoint, link, &msg, 0, NULL, NULL, NULL);
        int saved = errno;
        xo_msg_destroy(&msg);
        errno = saved;
        if (rc < 0)
            break;
    }
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(xo_link_on_room(link, on_room, &rooms), 0);
    UNTIL(rooms == 1 && f->b->count == (size_t)told);
    return told;
}

/* What the peer grants is not known then: it is as much as this end itself would grant. */
static void test_what_waits_for_the_handshake_is_bounded(void **state)
{
    const size_t sizes[] = {100, 100, 100, 100, 100};
    const xo_endpoint_options_t options = {.window_messages = 4};
    assert_int_equal(told_before_the_handshake(*state, &options, sizes, 5), 4);
}

static void test_bytes_that_wait_for_the_handshake_are_bounded(void **state)
{
    const size_t sizes[] = {4000, 4000, 4000};
    const xo_endpoint_options_t options = {.window_bytes = 10000};
    assert_int_equal(told_before_the_handshake(*state, &options, sizes, 3), 2);
}

static void test_one_that_is_too_large_waits_for_the_handshake_alone(void **state)
{
    const size_t sizes[] = {20000, 100};
    const xo_endpoint_options_t options = {.window_bytes = 10000};
    assert_int_equal(told_before_the_handshake(*state, &options, sizes, 2), 1);
}

static int accepted[8];

static void on_accepted(const xo_failure_t *why, void *arg)
{
    if (why) {
        assert_true(xo_slice_eq_str(why->code, XO_CODE_SERVER_CLOSED));
        assert_true(xo_slice_eq_str(why->executed, "no"));
        assert_true(why->message.size > 0 && why->reason.size > 0);
    }
    accepted[(intptr_t)arg] = why ? EPIPE : -1;
}

static void test_tell_is_accepted_or_a_dead_letter(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = link_ab(f, &(xo_endpoint_options_t){.window_messages = 1});
    memset(accepted, 0, sizeof accepted);
    for (intptr_t i = 0; i < 3; i++) {
        xo_msg_t *msg = node_make(XO_TELL, 0, i, 0);
        assert_int_equal(xo_endpoint_tell(f->a->endpoint, link, &msg, XO_SEND_QUEUE, on_accepted,
                                          (void *)i, NULL),
                         0);
    }
    UNTIL(f->b->count == 1 && accepted[0]);
    assert_int_equal(accepted[1], 0);
    node_swallow(f->b);
    UNTIL(accepted[1] == -1);
    node_destroy(f->b);
    f->b = NULL;
    UNTIL(accepted[2]);
    assert_int_equal(accepted[2], EPIPE);
    assert_int_equal(xo_endpoint_drops(f->a->endpoint)[XO_DROP_CLOSED], 1);
}

static void test_calls_to_itself(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    f->a = node_create(f, XO_ROLE_POOL, NULL, NULL);
    f->a->echo = true;
    node_call(f->a, NULL, 7, 0, 0, &outcome);
    UNTIL(outcome.answers);
    assert_int_equal(outcome.value, 7);
}

static void test_own_request_that_ends_as_its_deadline_passes(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    f->a = node_create(f, XO_ROLE_POOL, NULL, NULL);
    f->a->yield = true;
    xo_loop_freeze(f->loop, xo_loop_now(f->loop));
    node_call(f->a, NULL, 7, 0, 10 * XO_MS, &outcome);
    xo_loop_advance(f->loop, 11 * XO_MS);
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_DEADLINE);
    assert_int_equal(xo_endpoint_drops(f->a->endpoint)[XO_DROP_NO_CALLER], 1);
}

static void test_own_request_that_ends_as_it_is_cancelled(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    f->a = node_create(f, XO_ROLE_POOL, NULL, NULL);
    f->a->yield = true;
    xo_call_cancel(node_call(f->a, NULL, 7, 0, 0, &outcome));
    assert_int_equal(outcome.answers, 0);
    UNTIL(outcome.answers);
    assert_int_equal(outcome.value, 7);
}

/* Answers one request of its own with each answer that it gets. */
typedef struct chain {
    node_t *node;
    int depth, deepest, answered;
} chain_t;

static void chain_answer(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    (void)answer;
    chain_t *chain = arg;
    chain->answered++;
    chain->depth++;
    if (chain->depth > chain->deepest)
        chain->deepest = chain->depth;
    if (chain->node->first < chain->node->count)
        node_answer(chain->node);
    chain->depth--;
}

static void test_long_chain_of_answers_does_not_nest(void **state)
{
    fixture_t *f = *state;
    enum { N = 10000 };
    f->a = node_create(f, XO_ROLE_POOL, NULL, NULL);
    chain_t chain = {.node = f->a};
    for (int i = 0; i < N; i++) {
        xo_msg_t *msg = node_make(XO_CALL, 0, i, 0);
        assert_non_null(
            xo_endpoint_call(f->a->endpoint, NULL, &msg, 0, 0, chain_answer, &chain, NULL));
    }
    node_answer(f->a);
    UNTIL(chain.answered == N);
    assert_true(chain.deepest < 100);
}

static void test_reason_of_a_death_reaches_the_callers(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = link_ab(f, NULL);
    node_call(f->a, link, 1, 0, 0, &outcome);
    UNTIL(f->b->count == 1);
    xo_endpoint_peer_down(f->a->endpoint, xo_endpoint_self(f->b->endpoint)->id,
                          "signal 9 (Killed)");
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(outcome.executed, "maybe");
    assert_string_equal(outcome.reason, "signal 9 (Killed)");
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(handshake_tells_who_is_there),
        T(call_sent_before_the_handshake_is_answered),
        T(order_holds_over_calls_and_tells),
        T(refused_by_admission),
        T(nobody_there),
        T(peer_that_ends_leaves_one_answer_each),
        T(own_end_answers_what_is_under_way),
        T(deadline),
        T(cancel_what_waits_and_what_left),
        T(abandoned_call_calls_nobody_back),
        T(no_credit_pushes_back),
        T(what_waits_for_the_handshake_is_bounded),
        T(bytes_that_wait_for_the_handshake_are_bounded),
        T(one_that_is_too_large_waits_for_the_handshake_alone),
        T(message_larger_than_the_window_passes_alone),
        T(tell_is_accepted_or_a_dead_letter),
        T(calls_to_itself),
        T(own_request_that_ends_as_its_deadline_passes),
        T(own_request_that_ends_as_it_is_cancelled),
        T(long_chain_of_answers_does_not_nest),
        T(reason_of_a_death_reaches_the_callers),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
