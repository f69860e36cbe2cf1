/* bulk.c - large buffers between two endpoints, over the in-memory transport and over tcp. */
#include "t/bulk-rig.h"

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)

static const char *door = "mem://b";

static int setup_tcp(void **state)
{
    door = "tcp://127.0.0.1:0";
    fixture_setup(state);
    /* Each end has one, as two processes have. */
    return xo_ctx_set_io_threads(((fixture_t *)*state)->ctx, 2, NULL);
}

static int setup_mem(void **state)
{
    door = "mem://b";
    return fixture_setup(state);
}

static void test_buffers_arrive_whole(void **state)
{
    fixture_t *f = *state;
    const size_t sizes[] = {100, 3 * MIB + 5, 64 * KIB, 64 * KIB - 1, 300 * KIB, 0};
    outcome_t outcome = {0};
    xo_link_t *link = bulk_link(f, door, NULL);
    xo_msg_t *msg = bulk_make(XO_CALL, "actor", 7, sizes);
    size_t bytes = xo_msg_bytes(msg);
    assert_non_null(
        xo_endpoint_call(f->a->endpoint, link, &msg, 0, 0, outcome_answer, &outcome, NULL));
    UNTIL(f->b->count == 1);
    bulk_check(f->b->inbox[0].msg, sizes);
    assert_int_equal(xo_msg_bytes(f->b->inbox[0].msg), bytes);
    assert_non_null(xoi_bulk_lane(link));
    assert_true(xo_lane_stats(xoi_bulk_lane(link))->bytes_out > 3 * MIB);
    node_answer(f->b);
    UNTIL(outcome.answers);
    assert_int_equal(outcome.value, 7);
}

static xo_msg_t *answer_kept;

static void keep_answer(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    (void)arg;
    answer_kept = *answer;
    *answer = NULL;
}

/* Who did not dial has something to send first. */
static void test_answers_arrive_whole(void **state)
{
    fixture_t *f = *state;
    const size_t sizes[] = {2 * MIB + 1, 10, 80 * KIB, 0};
    xo_link_t *link = bulk_link(f, door, NULL);
    xo_msg_t *msg = node_make(XO_CALL, 0, 1, 0);
    xo_endpoint_call(f->a->endpoint, link, &msg, 0, 0, keep_answer, NULL, NULL);
    UNTIL(f->b->count == 1);
    xo_return_t to = xo_return_of(f->b->inbox[0].from, f->b->inbox[0].msg);
    msg = bulk_make(XO_RESULT, "", 1, sizes);
    xo_endpoint_answer(f->b->endpoint, &to, &msg);
    UNTIL(answer_kept);
    bulk_check(answer_kept, sizes);
    xo_msg_destroy(&answer_kept);
    assert_true(xo_lane_stats(xoi_bulk_lane(link))->bytes_in > 2 * MIB);
}

static void test_order_holds_for_a_pair(void **state)
{
    fixture_t *f = *state;
    enum { N = 60 };
    int64_t next[2] = {0, 0};
    xo_link_t *link = bulk_link(f, door, &(xo_endpoint_options_t){.window_bytes = 2 * MIB});
    for (int i = 0; i < N; i++) {
        bulk_tell(f, link, "one", i, i % 7 == 0 ? 700 * KIB : i % 3 == 0 ? 70 * KIB : 0);
        bulk_tell(f, link, "two", i, i % 5 == 0 ? 100 * KIB : 0);
    }
    for (int i = 0; i < 2 * N; i++) {
        UNTIL(f->b->first < f->b->count);
        const xo_msg_t *msg = f->b->inbox[f->b->first].msg;
        bool is_two = xo_slice_eq_str(xo_msg_header(msg)->target_uid, "two");
        assert_int_equal(node_argument(msg), next[is_two]++);
        node_swallow(f->b);
    }
    assert_null(bulk_far_link(f)->bulk->pairs);
    assert_null(bulk_far_link(f)->bulk->in);
    assert_int_equal(f->a->unlinked, 0);
}

/* Buffers come as far as there is credit for them, or alone; small messages pass those that wait.
 */
static void test_credit_bounds_what_comes(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = bulk_link(f, door, &(xo_endpoint_options_t){.window_bytes = 200 * KIB});
    bulk_open(f, link);
    bulk_tell(f, link, "actor", 0, 150 * KIB);
    bulk_tell(f, link, "actor", 1, 150 * KIB + MIB);
    bulk_tell(f, link, "other", 100, 0);
    for (int i = 2; i < 6; i++)
        bulk_tell(f, link, "actor", i, 150 * KIB + (size_t)i % 2 * MIB);
    UNTIL(f->b->count == 2);
    assert_int_equal(bulk_argument(f, 0) + bulk_argument(f, 1), 100);
    node_swallow(f->b);
    node_swallow(f->b);
    for (size_t i = 1; i < 6; i++) {
        UNTIL(f->b->first < f->b->count);
        assert_int_equal(f->b->count, i + 2);
        assert_int_equal(bulk_argument(f, i + 1), i);
        node_swallow(f->b);
    }
    UNTIL(link->credit.large == link->window.large);
}

/* A huge one does not keep a smaller one, for another actor, waiting. */
static void test_transfers_take_turns(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = bulk_link(f, door, NULL);
    bulk_tell(f, link, "one", 1, 20 * MIB);
    bulk_tell(f, link, "two", 2, 200 * KIB);
    bulk_tell(f, link, "two", 3, 0);
    UNTIL(f->b->count == 3);
    assert_int_equal(bulk_argument(f, 0), 2);
    assert_int_equal(bulk_argument(f, 1), 3);
    assert_int_equal(bulk_argument(f, 2), 1);
}

static void test_cancelled_before_it_has_left(void **state)
{
    fixture_t *f = *state;
    outcome_t cancelled = {0};
    outcome_t late = {0};
    outcome_t next = {0};
    xo_link_t *link = bulk_link(f, door, NULL);
    f->b->echo = true;
    xo_call_t *call = bulk_call(f, link, "actor", 1, 30 * MIB, 0, &cancelled);
    bulk_call(f, link, "actor", 2, 30 * MIB, 1, &late);
    bulk_call(f, link, "actor", 3, 100 * KIB, 0, &next);
    xo_call_cancel(call);
    UNTIL(next.answers);
    assert_int_equal(next.value, 3);
    assert_int_equal(cancelled.answers, 1);
    assert_string_equal(cancelled.code, XO_CODE_CANCELLED);
    assert_string_equal(cancelled.executed, "no");
    assert_int_equal(late.answers, 1);
    assert_string_equal(late.code, XO_CODE_DEADLINE);
    assert_string_equal(late.executed, "no");
    assert_null(bulk_far_link(f)->bulk->in);
    assert_int_equal(bulk_far_link(f)->held.messages, bulk_far_link(f)->handled.messages);
}

/* What was accepted leaves before the endpoint does. */
static void test_who_leaves_sends_the_rest(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = bulk_link(f, door, NULL);
    bulk_open(f, link);
    bulk_tell(f, link, "actor", 1, 2 * MIB);
    bulk_tell(f, link, "actor", 2, 0);
    node_destroy(f->a);
    f->a = NULL;
    UNTIL(f->b->count == 2);
    assert_int_equal(bulk_argument(f, 1), 2);
    bulk_check(f->b->inbox[0].msg, (size_t[]){2 * MIB, 0});
    UNTIL(f->b->unlinked == 1);
    assert_int_equal(f->b->why.errnum, ESHUTDOWN);
}

static void test_who_leaves_at_once_sends_the_rest(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = bulk_link(f, door, NULL);
    bulk_tell(f, link, "actor", 1, 2 * MIB);
    node_destroy(f->a);
    f->a = NULL;
    UNTIL(f->b->count == 1);
    bulk_check(f->b->inbox[0].msg, (size_t[]){2 * MIB, 0});
    UNTIL(f->b->unlinked); /* the second lane may have been too late to be one */
}

static void test_peer_that_dies_in_the_middle(void **state)
{
    fixture_t *f = *state;
    outcome_t sent = {0};
    outcome_t unsent = {0};
    xo_link_t *link = bulk_link(f, door, NULL);
    node_call(f->a, link, 1, 0, 0, &sent);
    UNTIL(f->b->count == 1);
    bulk_call(f, link, "actor", 2, 60 * MIB, 0, &unsent);
    UNTIL(bulk_far_link(f)->bulk && bulk_far_link(f)->bulk->in);
    node_destroy(f->b);
    f->b = NULL;
    UNTIL(sent.answers && unsent.answers);
    assert_string_equal(sent.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(sent.executed, "maybe");
    assert_string_equal(unsent.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(unsent.executed, "no");
    assert_int_equal(f->a->unlinked, 1);
}

/* A peer of an earlier version says nothing of chunks. */
static void test_who_knows_no_chunks_gets_none(void **state)
{
    fixture_t *f = *state;
    xo_link_t *link = bulk_link(f, door, NULL);
    link->bulk_window = 0;
    bulk_tell(f, link, "actor", 1, MIB);
    UNTIL(f->b->count == 1);
    bulk_check(f->b->inbox[0].msg, (size_t[]){MIB, 0});
    assert_null(link->bulk);
}

#define STRAY_LANE "a lane for chunks that belongs to no link"

/* Nobody else can attach a lane to the link; then chunks go over its own. */
static void test_a_wrong_token_is_refused(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = bulk_link(f, door, NULL);
    link->bulk_token++;
    f->b->echo = true;
    bulk_call(f, link, "actor", 5, 3 * MIB, 0, &outcome);
    UNTIL(outcome.answers);
    assert_int_equal(outcome.value, 5);
    assert_int_equal(xo_endpoint_drops(f->b->endpoint)[XO_DROP_REFUSED], 1);
    assert_string_equal(f->b->refusal, strcmp(xo_link_scheme(link), "tcp") == 0
                                           ? "refused 127.0.0.1, who came by tcp: " STRAY_LANE
                                           : "refused somebody who came by mem: " STRAY_LANE);
    assert_int_equal(link->bulk->state, XOI_BULK_MAIN);
    assert_int_equal(bulk_far_link(f)->bulk->state, XOI_BULK_MAIN);
    assert_int_equal(f->a->unlinked, 0);
}

static void test_relays_pass_them_on(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = bulk_link(f, door, &(xo_endpoint_options_t){.relay = true});
    f->c = node_create(f, XO_ROLE_POOL, NULL, NULL);
    xo_endpoint_link(f->c->endpoint, xo_listener_endpoint(f->b->endpoint->doors->listener), NULL);
    UNTIL(f->c->linked);
    xo_msg_t *msg = bulk_make(XO_CALL, "actor", 5, (size_t[]){3 * MIB, 0});
    xo_msg_set_target_id(msg, xo_endpoint_self(f->c->endpoint)->id);
    xo_endpoint_call(f->a->endpoint, link, &msg, 0, 0, outcome_answer, &outcome, NULL);
    UNTIL(f->c->count == 1);
    bulk_check(f->c->inbox[0].msg, (size_t[]){3 * MIB, 0});
    node_answer(f->c);
    UNTIL(outcome.answers);
    assert_int_equal(outcome.value, 5);
}

#define ON(lane, name)                                                                             \
    {                                                                                              \
#lane " " #name, test_##name, setup_##lane, fixture_teardown, NULL                         \
    }
#define BOTH(name) ON(mem, name), ON(tcp, name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(buffers_arrive_whole),         BOTH(answers_arrive_whole),
        BOTH(order_holds_for_a_pair),       BOTH(credit_bounds_what_comes),
        BOTH(transfers_take_turns),         BOTH(cancelled_before_it_has_left),
        BOTH(who_leaves_sends_the_rest),    BOTH(who_leaves_at_once_sends_the_rest),
        BOTH(peer_that_dies_in_the_middle), BOTH(who_knows_no_chunks_gets_none),
        BOTH(a_wrong_token_is_refused),     BOTH(relays_pass_them_on),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("bulk", tests, NULL, NULL);
}
