/* node.c - see node.h. */
#include "t/node.h"

#include "libxo/failure.h"

static void answer_with(node_t *node, xo_link_t *from, const xo_msg_t *msg, int64_t value)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_return_t to = xo_return_of(from, msg);
    xo_pack_int(&body, value);
    xo_msg_t *answer = xo_msg_create(&(xo_header_t){.kind = XO_RESULT}, xo_buf_slice(&body));
    xo_endpoint_answer(node->endpoint, &to, &answer);
    xo_buf_free(&body);
}

int64_t node_argument(const xo_msg_t *msg)
{
    int64_t value = -1;
    xo_unpack(xo_msg_body(msg), NULL, "[[I*]*]", &value);
    return value;
}

static void on_request(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    node_t *node = arg;
    if (node->echo && xo_msg_header(*msg)->kind == XO_CALL) {
        xo_endpoint_consumed(endpoint, from, xo_msg_bytes(*msg));
        answer_with(node, from, *msg, node_argument(*msg));
        xo_msg_destroy(msg);
        return;
    }
    if (node->absent && xo_msg_header(*msg)->kind == XO_CALL) {
        xo_return_t to = xo_return_of(from, *msg);
        xo_msg_t *answer = xo_failure_msg(0, XO_CODE_ACTOR_NOT_EXIST, "no", NULL, "not yet");
        xo_endpoint_consumed(endpoint, from, xo_msg_bytes(*msg));
        xo_endpoint_answer(endpoint, &to, &answer);
        xo_msg_destroy(msg);
        return;
    }
    if (node->yield && xo_msg_header(*msg)->kind == XO_CANCEL) {
        node_answer(node);
        xo_msg_destroy(msg);
        return;
    }
    assert_true(node->count < NODE_INBOX_MAX);
    node->inbox[node->count].from = from ? xo_link_incref(from) : NULL;
    node->inbox[node->count++].msg = *msg;
    *msg = NULL;
}

static int on_admit(xo_endpoint_t *endpoint, const xo_identity_t *peer, xo_error_t *why, void *arg)
{
    (void)endpoint;
    (void)peer;
    node_t *node = arg;
    return node->refuse ? xo_error_set(why, EACCES, "not today") : 0;
}

static void on_linked(xo_endpoint_t *endpoint, xo_link_t *link, void *arg)
{
    (void)endpoint;
    (void)link;
    ((node_t *)arg)->linked++;
}

static void on_unlinked(xo_endpoint_t *endpoint, xo_link_t *link, const xo_error_t *why, void *arg)
{
    (void)endpoint;
    (void)link;
    node_t *node = arg;
    node->unlinked++;
    node->why = *why;
}

static void on_event(xo_endpoint_t *endpoint, xo_link_t *link, const xo_msg_t *msg, void *arg)
{
    (void)endpoint;
    (void)link;
    node_t *node = arg;
    xo_slice_t name = xo_msg_header(msg)->method;
    node->events++;
    snprintf(node->event, sizeof node->event, "%.*s", (int)name.size, name.data);
}

static void on_refused(xo_endpoint_t *endpoint, const char *text, void *arg)
{
    (void)endpoint;
    node_t *node = arg;
    node->refusals++;
    snprintf(node->refusal, sizeof node->refusal, "%s", text);
}

static const xo_endpoint_ops_t ops = {
    .request = on_request,
    .admit = on_admit,
    .linked = on_linked,
    .unlinked = on_unlinked,
    .event = on_event,
    .refused = on_refused,
};

node_t *node_create(fixture_t *f, xo_role_t role, const char *door,
                    const xo_endpoint_options_t *options)
{
    xo_error_t err;
    node_t *node = calloc(1, sizeof *node);
    xo_identity_t self = {.role = role, .index = -1};
    node->endpoint = xo_endpoint_create(f->ctx, f->loop, &self, &ops, node, options, &err);
    assert_non_null(node->endpoint);
    if (door && xo_endpoint_listen_on(node->endpoint, door, &err) < 0)
        fail_msg("%s", err.text);
    return node;
}

static xo_msg_t *take(node_t *node, xo_link_t **from)
{
    assert_true(node->first < node->count);
    *from = node->inbox[node->first].from;
    xo_msg_t *msg = node->inbox[node->first++].msg;
    if (xo_kind_is_request(xo_msg_header(msg)->kind))
        xo_endpoint_consumed(node->endpoint, *from, xo_msg_bytes(msg));
    return msg;
}

void node_answer(node_t *node)
{
    xo_link_t *from;
    xo_msg_t *msg = take(node, &from);
    if (xo_msg_header(msg)->kind == XO_CALL || xo_msg_header(msg)->kind == XO_REF)
        answer_with(node, from, msg, node_argument(msg));
    xo_msg_destroy(&msg);
    xo_link_decref(from);
}

void node_swallow(node_t *node)
{
    xo_link_t *from;
    xo_msg_t *msg = take(node, &from);
    xo_msg_destroy(&msg);
    xo_link_decref(from);
}

node_t *node_pool(fixture_t *f, const char *door, uint64_t pool_id, uint32_t generation)
{
    node_t *pool = node_create(f, XO_ROLE_POOL, NULL, NULL);
    xo_identity_t self = *xo_endpoint_self(pool->endpoint);
    self.pool_id = pool_id;
    self.generation = generation;
    snprintf(self.address, sizeof self.address, "127.0.0.1:%d", (int)pool_id);
    xo_endpoint_set_self(pool->endpoint, &self);
    xo_endpoint_set_broker(pool->endpoint, xo_endpoint_link(pool->endpoint, door, NULL));
    UNTIL(pool->linked + pool->unlinked > 0);
    return pool;
}

void node_beat(node_t *pool)
{
    xo_header_t header = {.kind = XO_HEARTBEAT};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice("\x81\xa8language\xa1x", 12));
    xo_endpoint_tell(pool->endpoint, xo_endpoint_broker(pool->endpoint), &msg, 0, NULL, NULL, NULL);
}

void node_destroy(node_t *node)
{
    if (!node)
        return;
    for (; node->first < node->count; node->first++) {
        xo_msg_destroy(&node->inbox[node->first].msg);
        xo_link_decref(node->inbox[node->first].from);
    }
    xo_endpoint_destroy(node->endpoint);
    free(node);
}

xo_msg_t *node_make(xo_kind_t kind, uint64_t target, int64_t value, size_t padding)
{
    xo_buf_t body = XO_BUF_INIT;
    char *zeros = calloc(1, padding + 1);
    xo_header_t header = {.kind = kind,
                          .target_id = target,
                          .target_uid = xo_slice_str("actor"),
                          .method = xo_slice_str("method")};
    xo_pack_format(&body, "[[I B]{}]", value, xo_slice(zeros, padding));
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    free(zeros);
    assert_non_null(msg);
    return msg;
}

int fixture_setup(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    xo_error_t err;
    scratch_enter(&f->scratch);
    f->ctx = xo_ctx_create("test", &err);
    if (!f->ctx)
        fail_msg("%s", err.text);
    f->loop = xo_loop_create(&err);
    assert_non_null(f->loop);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    fixture_t *f = *state;
    node_destroy(f->c);
    node_destroy(f->b);
    node_destroy(f->a);
    xo_loop_destroy(f->loop);
    xo_ctx_destroy(f->ctx);
    scratch_leave(&f->scratch);
    free(f);
    return 0;
}

static void copy(char *text, size_t size, xo_slice_t from)
{
    snprintf(text, size, "%.*s", (int)from.size, from.data ? from.data : "");
}

void outcome_answer(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    outcome_t *outcome = arg;
    xo_failure_t failure;
    outcome->answers++;
    assert_non_null(*answer);
    outcome->kind = xo_msg_header(*answer)->kind;
    if (outcome->kind == XO_RESULT) {
        xo_unpack(xo_msg_body(*answer), NULL, "I", &outcome->value);
        return;
    }
    assert_int_equal(xo_failure_read(xo_msg_body(*answer), &failure), 0);
    copy(outcome->code, sizeof outcome->code, failure.code);
    copy(outcome->executed, sizeof outcome->executed, failure.executed);
    copy(outcome->reason, sizeof outcome->reason, failure.reason);
    copy(outcome->text, sizeof outcome->text, failure.message);
}

xo_link_t *link_ab(fixture_t *f, const xo_endpoint_options_t *options_b)
{
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", options_b);
    xo_link_t *link = xo_endpoint_link(f->a->endpoint, "mem://b", NULL);
    assert_non_null(link);
    UNTIL(f->a->linked && f->b->linked);
    return link;
}

xo_call_t *node_call(node_t *node, xo_link_t *link, int64_t value, unsigned flags,
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
