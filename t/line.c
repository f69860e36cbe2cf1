/* line.c - calls of an actor with a name that is not where it was: they reach it in their order. */
#include "t/node.h"

#include "libxo/endpoint_impl.h"
#include "libxo/failure.h"

/* How often a call in a line was looked at. */
static size_t looks;

bool __real_xoi_again_seeks(const xoi_again_t *again);
bool __wrap_xoi_again_seeks(const xoi_again_t *again);

bool __wrap_xoi_again_seeks(const xoi_again_t *again)
{
    looks++;
    return __real_xoi_again_seeks(again);
}

static void begin_broker(fixture_t *f)
{
    xo_error_t err;
    f->c = node_create(f, XO_ROLE_BROKER, "mem://c", NULL);
    xo_link_t *broker = xo_endpoint_link(f->a->endpoint, "mem://c", &err);
    assert_non_null(broker);
    UNTIL(xo_link_up(broker));
    xo_endpoint_set_broker(f->a->endpoint, broker);
}

static xo_link_t *setup_link(fixture_t *f)
{
    xo_link_t *link = link_ab(f, NULL);
    begin_broker(f);
    return link;
}

static void be_at(node_t *node, xo_role_t role, const char *address)
{
    xo_identity_t self = {.role = role, .index = -1};
    snprintf(self.address, sizeof self.address, "%s", address);
    xo_endpoint_set_self(node->endpoint, &self);
}

static void request_name(fixture_t *f, xo_link_t *link, xo_kind_t kind, unsigned flags,
                         int64_t value, outcome_t *outcome)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {
        .kind = kind, .target_uid = xo_slice_str("xo:name"), .method = xo_slice_str("method")};
    xo_pack_format(&body, "[[I]{}]", value);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    assert_non_null(xo_endpoint_call(f->a->endpoint, link, &msg, XO_SEND_QUEUE | flags, 0,
                                     outcome_answer, outcome, NULL));
}

static void call_name(fixture_t *f, xo_link_t *link, int64_t value, outcome_t *outcome)
{
    request_name(f, link, XO_CALL, 0, value, outcome);
}

/* The oldest request that b has. */
static void refuse(node_t *b)
{
    xo_return_t to = xo_return_of(b->inbox[b->first].from, b->inbox[b->first].msg);
    xo_msg_t *msg = xo_failure_msg(0, XO_CODE_ACTOR_NOT_EXIST, "no", NULL, "not yet");
    xo_endpoint_answer(b->endpoint, &to, &msg);
    node_swallow(b);
}

/* The actor is not at b any more. */
static void call_in_vain(fixture_t *f, xo_link_t *link, outcome_t *outcome)
{
    call_name(f, link, 1, outcome);
    UNTIL(f->b->count == 1);
    refuse(f->b);
}

/* To who asks this node. */
static void answer_record(fixture_t *f, node_t *broker, const char *address, const char *state,
                          const char *placement)
{
    xo_buf_t body = XO_BUF_INIT;
    UNTIL(broker->first < broker->count);
    xo_return_t to =
        xo_return_of(broker->inbox[broker->first].from, broker->inbox[broker->first].msg);
    xo_pack_format(&body, "[{s s s s s s}]", "address", address, "state", state, "placement",
                   placement);
    xo_msg_t *msg = xo_msg_create(&(xo_header_t){.kind = XO_RESULT}, xo_buf_slice(&body));
    xo_buf_free(&body);
    xo_endpoint_answer(broker->endpoint, &to, &msg);
    node_swallow(broker);
}

static void tell_record(fixture_t *f, const char *address, const char *state, const char *placement)
{
    answer_record(f, f->c, address, state, placement);
}

static void tell_place(fixture_t *f, const char *address, const char *state)
{
    tell_record(f, address, state, "any");
}

static void tell_where(fixture_t *f, const char *state)
{
    tell_place(f, "mem://b", state);
}

static void expect_next(node_t *b, int64_t value, bool behind)
{
    const xo_msg_t *msg = b->inbox[b->first].msg;
    assert_int_equal(node_argument(msg), value);
    assert_int_equal(xo_msg_header(msg)->flags & XO_F_BEHIND, behind ? XO_F_BEHIND : 0);
}

static void answer_both(node_t *b)
{
    expect_next(b, 1, false);
    node_answer(b);
    expect_next(b, 2, true);
    node_answer(b);
}

static void test_what_is_made_after_one_that_waits_waits_too(void **state)
{
    fixture_t *f = *state;
    outcome_t first = {0}, second = {0};
    xo_link_t *link = setup_link(f);
    call_in_vain(f, link, &first);
    UNTIL(f->c->count == 1); /* it is looked for */
    call_name(f, link, 2, &second);
    tell_where(f, "waiting");
    tell_where(f, "running");
    UNTIL(f->b->count == 3);
    answer_both(f->b);
    UNTIL(first.answers && second.answers);
    assert_int_equal(first.value, 1);
    assert_int_equal(second.value, 2);
    assert_int_equal(f->c->count, 2); /* once for both */
}

static void test_what_had_left_behind_it_is_waited_for(void **state)
{
    fixture_t *f = *state;
    outcome_t first = {0}, second = {0};
    xo_link_t *link = setup_link(f);
    call_name(f, link, 1, &first);
    call_name(f, link, 2, &second);
    UNTIL(f->b->count == 2);
    expect_next(f->b, 1, false);
    refuse(f->b);
    expect_next(f->b, 2, true);
    tell_where(f, "running");
    UNTIL(f->c->count == 2); /* looked for once more */
    assert_int_equal(f->b->count, 2);
    refuse(f->b);
    tell_where(f, "running");
    UNTIL(f->b->count == 4);
    answer_both(f->b);
    UNTIL(first.answers && second.answers);
}

/* Who cannot be sent any more does not hold up the others. */
static void test_one_that_is_cancelled_leaves(void **state)
{
    fixture_t *f = *state;
    outcome_t first = {0}, second = {0};
    xo_link_t *link = setup_link(f);
    call_in_vain(f, link, &first);
    UNTIL(f->c->count == 1);
    xo_header_t header = {.kind = XO_CALL, .target_uid = xo_slice_str("xo:name")};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice("\x92\x90\x80", 3));
    xo_call_t *call = xo_endpoint_call(f->a->endpoint, link, &msg, XO_SEND_QUEUE, 0, outcome_answer,
                                       &second, NULL);
    xo_call_cancel(call);
    UNTIL(second.answers);
    assert_string_equal(second.code, XO_CODE_CANCELLED);
    assert_string_equal(second.executed, "no");
    tell_where(f, "running");
    UNTIL(f->b->count == 2);
    node_answer(f->b);
    UNTIL(first.answers);
}

/* It has come to the caller's own pool, or is about to. */
static void test_one_that_is_refused_at_once_is_looked_for_again(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = setup_link(f);
    be_at(f->a, XO_ROLE_CLIENT, "here:1");
    call_in_vain(f, link, &outcome);
    f->a->absent = true;
    tell_place(f, "here:1", "recovering");
    UNTIL(f->c->count == 2);
    f->a->absent = false;
    f->a->echo = true;
    tell_place(f, "here:1", "running");
    UNTIL(outcome.answers);
    assert_int_equal(outcome.value, 1);
}

/* It has left the caller's own pool. */
static void test_one_that_was_here_is_looked_for(void **state)
{
    fixture_t *f = *state;
    outcome_t first = {0}, second = {0};
    setup_link(f);
    be_at(f->a, XO_ROLE_CLIENT, "here:1");
    f->a->absent = true;
    call_name(f, NULL, 1, &first);
    call_name(f, NULL, 2, &second);
    tell_where(f, "running");
    UNTIL(f->b->count == 2);
    answer_both(f->b);
    UNTIL(first.answers && second.answers);
    assert_int_equal(first.value, 1);
}

/* As a pool's is, that joins the next one. */
static void test_a_broker_that_is_away_is_waited_for(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = setup_link(f);
    be_at(f->a, XO_ROLE_POOL, "here:1");
    call_name(f, link, 1, &outcome);
    UNTIL(f->b->count == 1);
    node_destroy(f->c);
    f->c = NULL;
    UNTIL(f->a->unlinked == 1);
    refuse(f->b);
    begin_broker(f);
    tell_where(f, "running");
    UNTIL(f->b->count == 2);
    node_answer(f->b);
    UNTIL(outcome.answers);
    assert_int_equal(outcome.value, 1);
}

/* Not what it was refused with where it was before. */
static void test_the_answer_is_why_it_cannot_be_reached_where_it_is_now(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    call_in_vain(f, setup_link(f), &outcome);
    tell_record(f, "mem://nobody", "running", "node");
    tell_record(f, "mem://nobody", "running", "node");
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(outcome.executed, "no");
    assert_string_equal(outcome.reason, "nobody there");
    assert_non_null(strstr(outcome.text, "mem://nobody"));
}

/* It was given up there, as who is there can say. */
static void test_one_that_has_failed_elsewhere_is_asked_there_why(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    call_in_vain(f, setup_link(f), &outcome);
    tell_record(f, "mem://nobody", "failed", "any");
    tell_record(f, "mem://nobody", "failed", "any");
    UNTIL(outcome.answers);
    assert_non_null(strstr(outcome.text, "mem://nobody"));
}

/* Unlike a call, which may have run. */
static void test_who_asks_only_whether_it_is_there_may_ask_again(void **state)
{
    fixture_t *f = *state;
    outcome_t call = {0}, ask = {0};
    xo_error_t why = {ECONNRESET, "gone"};
    xo_link_t *link = setup_link(f);
    call_name(f, link, 1, &call);
    request_name(f, link, XO_REF, 0, 2, &ask);
    UNTIL(f->b->count == 2);
    xo_link_close(link, &why);
    UNTIL(call.answers);
    assert_string_equal(call.executed, "maybe");
    tell_where(f, "waiting");
    tell_where(f, "running");
    UNTIL(f->b->count == 3);
    node_swallow(f->b);
    node_swallow(f->b);
    node_answer(f->b);
    UNTIL(ask.answers);
    assert_int_equal(ask.value, 2);
}

static void test_a_broker_asks_itself(void **state)
{
    fixture_t *f = *state;
    outcome_t there = {0}, outcome = {0};
    xo_link_t *link = link_ab(f, NULL);
    be_at(f->a, XO_ROLE_BROKER, "");
    request_name(f, link, XO_CALL, XO_SEND_THERE, 1, &there);
    UNTIL(f->b->count == 1);
    refuse(f->b);
    UNTIL(there.answers);
    assert_string_equal(there.code, XO_CODE_ACTOR_NOT_EXIST);
    call_name(f, link, 2, &outcome);
    UNTIL(f->b->count == 2);
    refuse(f->b);
    answer_record(f, f->a, "mem://b", "running", "any");
    UNTIL(f->b->count == 3);
    node_answer(f->b);
    UNTIL(outcome.answers);
    assert_int_equal(outcome.value, 2);
    assert_int_equal(f->a->count, 1);
}

/* Those sent before are not searched for each that follows them. */
static void test_many_that_wait_are_each_looked_at_a_few_times(void **state)
{
    enum { MANY = 5000 };
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = setup_link(f);
    call_in_vain(f, link, &outcome);
    UNTIL(f->c->count == 1);
    f->b->echo = true;
    looks = 0;
    for (int64_t i = 2; i <= MANY; i++)
        call_name(f, link, i, &outcome);
    tell_where(f, "running");
    UNTIL(outcome.answers == MANY);
    assert_int_equal(outcome.value, MANY);
    assert_in_range(looks, MANY, 8 * MANY);
}

static void test_the_callers_own_end(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    call_in_vain(f, setup_link(f), &outcome);
    UNTIL(f->c->count == 1);
    node_destroy(f->a);
    f->a = NULL;
    assert_int_equal(outcome.answers, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_made_after_one_that_waits_waits_too),
        TEST(test_what_had_left_behind_it_is_waited_for),
        TEST(test_one_that_is_cancelled_leaves),
        TEST(test_one_that_is_refused_at_once_is_looked_for_again),
        TEST(test_one_that_was_here_is_looked_for),
        TEST(test_a_broker_that_is_away_is_waited_for),
        TEST(test_the_answer_is_why_it_cannot_be_reached_where_it_is_now),
        TEST(test_one_that_has_failed_elsewhere_is_asked_there_why),
        TEST(test_who_asks_only_whether_it_is_there_may_ask_again),
        TEST(test_a_broker_asks_itself),
        TEST(test_many_that_wait_are_each_looked_at_a_few_times),
        TEST(test_the_callers_own_end),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
