/* endpoint.c - tests of links, calls, credit and relaying, over the in-memory transport. */
#include "t/node.h"

static xo_call_t *call(node_t *node, xo_link_t *link, int64_t value, unsigned flags,
                       int64_t deadline_ns, outcome_t *outcome)
{
    xo_error_t err;
    xo_msg_t *msg = node_make(XO_CALL, 0, value, 0);
    xo_call_t *made = xo_endpoint_call(node->endpoint, link, &msg, flags, deadline_ns,
                                       outcome_answer, outcome, &err);
    assert_int_equal(outcome->answers, 0);
    xo_msg_destroy(&msg);
    return made;
}

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
    call(f->a, xo_endpoint_link(f->a->endpoint, "mem://b", NULL), 42, 0, 0, &outcome);
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
        call(f->a, link, 2 * i, XO_SEND_QUEUE, 0, &outcomes[i]);
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
    call(f->a, xo_endpoint_link(f->a->endpoint, "mem://b", NULL), 1, 0, 0, &outcome);
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
    call(f->a, link, 1, 0, 0, &outcome);
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
        assert_non_null(call(f->a, link, i, XO_SEND_QUEUE, 0, &outcomes[i]));
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
    call(f->a, link, 1, 0, 0, &outcome);
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
    call(f->a, link, 1, 0, 500 * XO_MS, &outcome);
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
    xo_call_t *first = call(f->a, link, 1, 0, 0, &sent);
    xo_call_t *second = call(f->a, link, 2, XO_SEND_QUEUE, 0, &waiting);
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
    xo_call_abandon(call(f->a, link, 1, 0, 0, &abandoned));
    UNTIL(f->b->count == 2);
    node_answer(f->b);
    f->b->echo = true;
    call(f->a, link, 2, 0, 0, &next);
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
        assert_non_null(call(f->a, link, i, 0, 0, &outcomes[i]));
    assert_null(call(f->a, link, 4, 0, 0, &outcomes[4]));
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(xo_link_on_room(link, on_room, &rooms), 0);
    UNTIL(f->b->count == 4);
    assert_int_equal(rooms, 0);
    node_answer(f->b);
    UNTIL(rooms == 1);
    assert_non_null(call(f->a, link, 5, 0, 0, &outcomes[5]));
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

static int accepted[8];

static void on_accepted(int errnum, void *arg)
{
    accepted[(intptr_t)arg] = errnum ? errnum : -1;
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
    call(f->a, NULL, 7, 0, 0, &outcome);
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
    call(f->a, NULL, 7, 0, 10 * XO_MS, &outcome);
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
    xo_call_cancel(call(f->a, NULL, 7, 0, 0, &outcome));
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

/* ---- real lanes, chosen by address ---- */

static void listening_pool(fixture_t *f)
{
    xo_error_t err;
    f->b = node_create(f, XO_ROLE_POOL, NULL, NULL);
    f->b->echo = true;
    if (xo_endpoint_listen(f->b->endpoint, "127.0.0.1", NULL, &err) < 0)
        fail_msg("%s", err.text);
}

static void call_over(fixture_t *f, const char *address, const char *scheme)
{
    outcome_t outcome = {0};
    xo_link_t *link = xo_endpoint_link(f->a->endpoint, address, NULL);
    assert_non_null(link);
    call(f->a, link, 8, 0, 0, &outcome);
    UNTIL(outcome.answers);
    assert_string_equal(outcome.text, "");
    assert_int_equal(outcome.value, 8);
    assert_string_equal(xo_link_scheme(link), scheme);
}

static void test_address_of_this_process_goes_by_inproc(void **state)
{
    fixture_t *f = *state;
    listening_pool(f);
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    call_over(f, xo_endpoint_self(f->b->endpoint)->address, "inproc");
}

static void test_address_of_this_machine_goes_by_ipc_others_by_tcp(void **state)
{
    fixture_t *f = *state;
    char lane[XO_ADDRESS_BYTES + 8];
    xo_ctx_t *first = f->ctx;
    listening_pool(f);
    f->ctx = xo_ctx_create("test", NULL); /* as another process would have */
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    call_over(f, xo_endpoint_self(f->b->endpoint)->address, "ipc");
    snprintf(lane, sizeof lane, "tcp://%s", xo_endpoint_self(f->b->endpoint)->address);
    call_over(f, lane, "tcp");
    node_destroy(f->a);
    f->a = NULL;
    UNTIL(f->b->unlinked == 2);
    xo_ctx_destroy(f->ctx);
    f->ctx = first;
}

static void test_stale_socket_file_falls_back_to_tcp(void **state)
{
    fixture_t *f = *state;
    char path[600];
    xo_ctx_t *first = f->ctx;
    listening_pool(f);
    const char *address = xo_endpoint_self(f->b->endpoint)->address;
    snprintf(path, sizeof path, "%s/%s", xo_ctx_run_dir(f->ctx), address);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mknod(path, S_IFSOCK | 0600, 0), 0);
    f->ctx = xo_ctx_create("test", NULL);
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    call_over(f, address, "tcp");
    node_destroy(f->a);
    f->a = NULL;
    xo_ctx_destroy(f->ctx);
    f->ctx = first;
    unlink(path);
}

static void test_nobody_at_a_tcp_address(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    call(f->a, xo_endpoint_link(f->a->endpoint, "127.0.0.1:1", NULL), 1, 0, 0, &outcome);
    UNTIL(outcome.answers);
    assert_string_equal(outcome.code, XO_CODE_SERVER_CLOSED);
    assert_string_equal(outcome.executed, "no");
    assert_non_null(strstr(outcome.text, "127.0.0.1:1"));
}

static void call_by_name(fixture_t *f, const char *name, outcome_t *outcome)
{
    char path[600];
    xo_ctx_t *first = f->ctx;
    snprintf(path, sizeof path, "%s/%s", xo_ctx_run_dir(first), name);
    assert_int_equal(symlink(xo_endpoint_self(f->b->endpoint)->address, path), 0);
    f->ctx = xo_ctx_create("test", NULL);
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    call(f->a, xo_endpoint_link(f->a->endpoint, name, NULL), 1, 0, 0, outcome);
    UNTIL(outcome->answers);
    node_destroy(f->a);
    f->a = NULL;
    xo_ctx_destroy(f->ctx);
    f->ctx = first;
    unlink(path);
}

static void test_only_the_port_says_who_was_meant(void **state)
{
    fixture_t *f = *state;
    outcome_t wrong = {0}, named = {0};
    char name[XO_ADDRESS_BYTES + 32];
    listening_pool(f);
    const char *address = xo_endpoint_self(f->b->endpoint)->address;
    snprintf(name, sizeof name, "localhost:%s", strchr(address, ':') + 1);
    call_by_name(f, name, &named);
    assert_int_equal(named.kind, XO_RESULT);
    call_by_name(f, "127.0.0.1:1", &wrong);
    assert_non_null(strstr(wrong.text, address));
}

static void test_reason_of_a_death_reaches_the_callers(void **state)
{
    fixture_t *f = *state;
    outcome_t outcome = {0};
    xo_link_t *link = link_ab(f, NULL);
    call(f->a, link, 1, 0, 0, &outcome);
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
        T(message_larger_than_the_window_passes_alone),
        T(tell_is_accepted_or_a_dead_letter),
        T(calls_to_itself),
        T(own_request_that_ends_as_its_deadline_passes),
        T(own_request_that_ends_as_it_is_cancelled),
        T(long_chain_of_answers_does_not_nest),
        T(address_of_this_process_goes_by_inproc),
        T(address_of_this_machine_goes_by_ipc_others_by_tcp),
        T(stale_socket_file_falls_back_to_tcp),
        T(nobody_at_a_tcp_address),
        T(only_the_port_says_who_was_meant),
        T(reason_of_a_death_reaches_the_callers),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("endpoint", tests, NULL, NULL);
}
