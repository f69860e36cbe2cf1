/* fault-steps.c - see fault-steps.h. */
#include "t/fault-steps.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "libxo/endpoint_impl.h"
#include "t/fault-points.h"
#include "t/unit.h"

#define LARGE_BYTES (200 << 10)

/* ---- the actor ---- */

typedef struct actor {
    xo_timer_t timer;
    xo_request_t *held;
    int exits; /* of those that it was linked to */
} actor_t;

static void held_long(xo_timer_t *timer, void *arg)
{
    (void)timer;
    actor_t *actor = arg;
    if (xo_request_is_cancelled(actor->held))
        xo_request_fail(actor->held, XO_CODE_CANCELLED, "cancelled");
    else
        xo_request_reply(actor->held, "i", 1);
}

static int actor_create(xo_actor_t *self, xo_slice_t args, void **object, xo_error_t *err)
{
    (void)args;
    actor_t *actor = calloc(1, sizeof *actor);
    if (!actor)
        return xo_error_set(err, ENOMEM, "out of memory for the actor");
    xo_timer_init(&actor->timer, xo_endpoint_loop(xo_pool_endpoint(xo_actor_pool(self))), held_long,
                  actor);
    *object = actor;
    return 0;
}

static void actor_destroy(void *self)
{
    xo_timer_stop(&((actor_t *)self)->timer);
    free(self);
}

static void actor_echo(void *self, xo_request_t *request)
{
    int value;
    (void)self;
    if (xo_request_unpack(request, "i", &value) == 0)
        xo_request_reply(request, "i", value);
}

static void actor_size(void *self, xo_request_t *request)
{
    xo_slice_t value;
    xo_slice_t bytes;
    (void)self;
    if (xo_request_unpack(request, "V", &value) < 0)
        return;
    if (xo_request_bytes(request, value, &bytes) < 0)
        xo_request_fail(request, XO_CODE_REFUSED, "no bytes");
    else
        xo_request_reply(request, "U", (uint64_t)bytes.size);
}

/* Answers with a buffer. */
static void actor_large(void *self, xo_request_t *request)
{
    (void)self;
    xo_buf_t body = XO_BUF_INIT;
    zmq_msg_t buffer;
    xo_pack_ext(&body, XO_EXT_BUFFER, "", 1);
    xo_msg_t *answer = xo_msg_create(&(xo_header_t){.kind = XO_RESULT}, xo_buf_slice(&body));
    xo_buf_free(&body);
    bool ok = answer && xo_link_buffer(xo_request_link(request), LARGE_BYTES, &buffer) == 0;
    if (ok && xo_msg_add_buffer(answer, &buffer) < 0) {
        zmq_msg_close(&buffer);
        ok = false;
    }
    if (ok)
        xo_request_respond_msg(request, &answer);
    else
        xo_request_fail(request, XO_CODE_METHOD, "out of memory for the answer");
    xo_msg_destroy(&answer);
}

static void actor_fail(void *self, xo_request_t *request)
{
    (void)self;
    xo_request_fail(request, XO_CODE_METHOD, "it always fails");
}

static void passed_on(xo_future_t *future, void *arg)
{
    xo_request_reply_future(arg, future);
    xo_future_destroy(future);
}

/* Calls `echo` of this actor, which runs beside it. */
static void actor_pass(void *self, xo_request_t *request)
{
    xo_error_t err;
    (void)self;
    if (xo_request_call(request, &err, NULL, "actor", passed_on, request, "echo", "i", 5) < 0)
        xo_request_fail(request, XO_CODE_METHOD, "%s", err.text);
}

/* Takes a while. */
static void actor_hold(void *self, xo_request_t *request)
{
    actor_t *actor = self;
    actor->held = request;
    xo_timer_start(&actor->timer, 5 * XO_MS);
}

static void actor_exit(void *self, xo_request_t *request)
{
    ((actor_t *)self)->exits++;
    xo_request_reply(request, "n");
}

static void actor_exits(void *self, xo_request_t *request)
{
    xo_request_reply(request, "i", ((actor_t *)self)->exits);
}

static const xo_method_t methods[] = {{XO_METHOD_EXIT, actor_exit, 0, NULL},
                                      {"exits", actor_exits, 0, NULL},
                                      {"echo", actor_echo, XO_METHOD_NO_LOCK, NULL},
                                      {"size", actor_size, 0, NULL},
                                      {"large", actor_large, 0, NULL},
                                      {"fail", actor_fail, 0, NULL},
                                      {"pass", actor_pass, XO_METHOD_NO_LOCK, NULL},
                                      {"hold", actor_hold, 0, NULL},
                                      {0}};
static const xo_class_t class_ = {
    .name = "Actor", .create = actor_create, .destroy = actor_destroy, .methods = methods};
static const xo_class_t *const classes[] = {&class_, &fault_tied, NULL};
static const xo_module_t module = {XO_MODULE_ABI, "faults", classes};

/* ---- the broker ---- */

static void broker_request(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    world_t *world = arg;
    xo_return_t to = xo_return_of(from, *msg);
    xo_buf_t body = XO_BUF_INIT;
    xo_msg_t *answer = NULL;
    bool is_request = xo_kind_is_request(xo_msg_header(*msg)->kind);
    if (is_request) {
        xo_endpoint_consumed(endpoint, from, xo_msg_bytes(*msg));
        xo_pack_format(&body, "[{s s}]", "address", xo_pool_address(world->pool));
    }
    if (is_request && xo_buf_ok(&body) == 0)
        answer = xo_msg_create(&(xo_header_t){.kind = XO_RESULT}, xo_buf_slice(&body));
    if (is_request)
        xo_endpoint_answer(endpoint, &to, &answer);
    xo_msg_destroy(msg);
    xo_buf_free(&body);
}

static const xo_endpoint_ops_t broker_ops = {.request = broker_request};

/* ---- steps ---- */

int fault_open_pool(world_t *world, xo_ctx_t *ctx, const char *broker, xo_host_c_t **host,
                    xo_pool_t **pool, xo_error_t *err)
{
    xo_pool_options_t options = {.self = {.index = -1, .address = "127.0.0.1:0"},
                                 .broker = broker,
                                 .mailbox_messages = FAULT_MAILBOX,
                                 .keep_specs = broker != NULL};
    if (!*host)
        *host = xo_host_c_create(NULL, NULL, err);
    if (!*host ||
        (xo_host_c_add(*host, &module, "here", err) < 0 && errno != EEXIST)) /* from before */
        return -1;
    *pool = xo_pool_create(ctx, world->loop, &options, xo_host_c_ops(), *host, err);
    return *pool ? 0 : -1;
}

static int open_pool(world_t *world, xo_error_t *err)
{
    if (!world->ctx)
        world->ctx = xo_ctx_create(NULL, err);
    if (world->ctx && !world->loop)
        world->loop = xo_loop_create(err);
    if (!world->loop)
        return -1;
    return fault_open_pool(world, world->ctx, NULL, &world->host, &world->pool, err);
}

void fault_door(const world_t *world, char *door, size_t size)
{
    snprintf(door, size, "ipc://%s/n-1/broker.sock", xo_ctx_run_dir(world->ctx));
}

static int open_broker(world_t *world, xo_error_t *err)
{
    char door[XO_PATH_BYTES * 2];
    xo_identity_t self = {.role = XO_ROLE_BROKER, .index = -1};
    snprintf(door, sizeof door, "%s/n-1", xo_ctx_run_dir(world->ctx));
    if (mkdir(door, 0700) < 0 && errno != EEXIST)
        return xo_error_set(err, errno, "cannot make %s", door);
    fault_door(world, door, sizeof door);
    if (!world->broker)
        world->broker =
            xo_endpoint_create(world->ctx, world->loop, &self, &broker_ops, world, NULL, err);
    return world->broker ? xo_endpoint_listen_on(world->broker, door, err) : -1;
}

static int connect_client(world_t *world, xo_error_t *err)
{
    world->client = xo_connect(NULL, world->loop, err);
    if (!world->client)
        return -1;
    world->endpoint = xo_client_endpoint(world->client);
    world->endpoint->post_mortem_ms = 20; /* nobody dies here, and nobody says so */
    return 0;
}

/* In the pool's own process, for inproc. */
static int open_neighbour(world_t *world, xo_error_t *err)
{
    static const xo_endpoint_ops_t no_ops = {.request = broker_request};
    xo_identity_t self = {.role = XO_ROLE_CLIENT, .index = -1};
    world->own = world->endpoint =
        xo_endpoint_create(world->ctx, world->loop, &self, &no_ops, world, NULL, err);
    return world->own ? 0 : -1;
}

static int look_up(world_t *world, xo_error_t *err)
{
    if (world->client)
        world->ref = xo_ref_lookup(world->client, "actor", err);
    else
        world->ref = xo_ref_create(world->endpoint, xo_pool_address(world->pool), "actor", err);
    return world->ref ? 0 : -1;
}

int finish_call(xo_future_t *future, xo_error_t *err, const char *format, void *value)
{
    if (!future)
        return -1;
    int rc = xo_future_wait(future, FAULT_WAIT_MS, err);
    if (fault_check(rc == 0, "a call gets no answer"))
        rc = xo_future_get(future, err, format, value);
    xo_future_destroy(future);
    return rc;
}

int fault_create(world_t *world, const char *address, const char *class_name, const char *uid,
                 xo_error_t *err)
{
    int rc = finish_call(xo_create_actor(world->endpoint, err, address, class_name, uid, ""), err,
                         NULL, NULL);
    return rc < 0 && errno == EEXIST ? 0 : rc; /* the first try did it, but its answer was lost */
}

int fault_end(world_t *world, const char *address, const char *uid, xo_error_t *err)
{
    xo_ref_t *ref = xo_ref_create(world->endpoint, address, uid, err);
    int rc = ref ? finish_call(xo_ref_destroy_actor(ref, err), err, NULL, NULL) : -1;
    int saved = errno;
    xo_ref_destroy(ref);
    errno = saved;
    return rc < 0 && errno == ENOENT ? 0 : rc;
}

static int create(world_t *world, xo_error_t *err)
{
    return fault_create(world, xo_pool_address(world->pool), "Actor", "actor", err);
}

static int call(world_t *world, xo_error_t *err)
{
    int value = 0;
    if (finish_call(xo_ref_call(world->ref, err, "echo", "i", 7), err, "i", &value) < 0)
        return -1;
    assert_int_equal(value, 7);
    return 0;
}

static int tell(world_t *world, xo_error_t *err)
{
    return xo_ref_tell(world->ref, err, "echo", "i", 7) < 0 ? -1 : call(world, err);
}

static int batch(world_t *world, xo_error_t *err)
{
    int values[3] = {0};
    const xo_slice_t lists[] = {xo_slice("\x91\x01", 2), xo_slice("\x91\x02", 2),
                                xo_slice("\x91\x03", 2)};
    xo_future_t *future = xo_ref_batch(world->ref, err, "echo", lists, 3);
    if (!future)
        return -1;
    int rc = -1;
    if (fault_check(xo_future_wait(future, FAULT_WAIT_MS, err) == 0, "a batch gets no answer"))
        rc = xo_future_get(future, err, "[i i i]", &values[0], &values[1], &values[2]);
    xo_future_destroy(future);
    assert_true(rc < 0 || values[0] + 10 * values[1] + 100 * values[2] == 321);
    return rc;
}

static void on_answer(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    xo_msg_t **got = arg;
    *got = *answer;
    *answer = NULL;
}

/* A call of `size` with a buffer. */
static xo_msg_t *large_request(xo_link_t *link, xo_error_t *err)
{
    zmq_msg_t buffer;
    xo_header_t header = {
        .kind = XO_CALL, .target_uid = xo_slice_str("actor"), .method = xo_slice_str("size")};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice("\x92\x91\xd4\x08\x00\x80", 6));
    if (msg && xo_link_buffer(link, LARGE_BYTES, &buffer) == 0) {
        if (xo_msg_add_buffer(msg, &buffer) == 0)
            return msg;
        zmq_msg_close(&buffer);
    }
    xo_msg_destroy(&msg);
    return xo_error_null(err, errno, "no memory for a large message");
}

static int send_large(world_t *world, xo_error_t *err)
{
    uint64_t size = 0;
    xo_msg_t *answer = NULL;
    xo_link_t *link = xo_endpoint_link(world->endpoint, xo_pool_address(world->pool), err);
    xo_msg_t *msg = link ? large_request(link, err) : NULL;
    if (!msg)
        return -1;
    xo_call_t *made = xo_endpoint_call(world->endpoint, link, &msg, 0, FAULT_WAIT_MS * XO_MS,
                                       on_answer, &answer, err);
    xo_msg_destroy(&msg);
    while (made && !answer)
        xo_loop_once(world->loop, 1000);
    if (!made)
        return -1;
    xo_failure_t failure;
    int rc = 0;
    if (xo_msg_header(answer)->kind == XO_RESULT)
        assert_int_equal(xo_unpack(xo_msg_body(answer), NULL, "U", &size), 0);
    else if (xo_failure_read(xo_msg_body(answer), &failure) == 0)
        rc = xo_failure_set_error(&failure, err);
    assert_true(rc < 0 || size == LARGE_BYTES);
    xo_msg_destroy(&answer);
    return rc;
}

static int get_large(world_t *world, xo_error_t *err)
{
    return finish_call(xo_ref_call(world->ref, err, "large", ""), err, NULL, NULL);
}

static int fail_method(world_t *world, xo_error_t *err)
{
    int rc = finish_call(xo_ref_call(world->ref, err, "fail", ""), err, NULL, NULL);
    return rc < 0 && errno == EREMOTEIO && strstr(err->text, "it always fails") ? 0 : rc;
}

static int pass(world_t *world, xo_error_t *err)
{
    int value = 0;
    if (finish_call(xo_ref_call(world->ref, err, "pass", ""), err, "i", &value) < 0)
        return -1;
    assert_int_equal(value, 5);
    return 0;
}

static int deadline(world_t *world, xo_error_t *err)
{
    xo_ref_set_deadline(world->ref, 1);
    int rc = finish_call(xo_ref_call(world->ref, err, "hold", ""), err, NULL, NULL);
    xo_ref_set_deadline(world->ref, 0);
    return rc == 0 || errno == ETIMEDOUT ? 0 : -1; /* where nobody ran for long, it is over */
}

static int cancel(world_t *world, xo_error_t *err)
{
    xo_future_t *future = xo_ref_call(world->ref, err, "hold", "");
    if (!future)
        return -1;
    xo_future_cancel(future);
    int rc = finish_call(future, err, NULL, NULL);
    return rc == 0 || errno == ECANCELED ? 0 : -1; /* without memory for the cancel, it runs on */
}

static void on_done(xo_future_t *future, void *arg)
{
    (void)future;
    ++*(int *)arg;
}

/* The loop is driven from outside, through its descriptor. */
static int drive(world_t *world, xo_error_t *err)
{
    int done = 0;
    struct pollfd events = {.fd = xo_loop_fd(world->loop, err), .events = POLLIN};
    xo_future_t *future = events.fd < 0 ? NULL : xo_ref_call(world->ref, err, "echo", "i", 1);
    if (!future)
        return -1;
    xo_future_then(future, on_done, &done);
    while (!done)
        if (xo_loop_once(world->loop, 0) == 0 && !done && poll(&events, 1, FAULT_WAIT_MS) == 0)
            fail_msg("the loop's descriptor says nothing");
    return finish_call(future, err, NULL, NULL);
}

/* Links it to another one, whose end it is told of, sooner or later. */
static int link_other(world_t *world, xo_error_t *err)
{
    int before, exits = 0;
    const char *address = xo_pool_address(world->pool);
    if (finish_call(xo_ref_call(world->ref, err, "exits", ""), err, "i", &before) < 0 ||
        fault_create(world, address, "Actor", "other", err) < 0 ||
        finish_call(xo_ref_call(world->ref, err, XO_METHOD_LINK, "s s", address, "other"), err,
                    NULL, NULL) < 0 ||
        fault_end(world, address, "other", err) < 0)
        return -1;
    for (int i = 0; i < FAULT_WAIT_MS / 10; i++) {
        if (finish_call(xo_ref_call(world->ref, err, "exits", ""), err, "i", &exits) < 0)
            return -1;
        if (exits > before)
            return 0;
        xo_loop_once(world->loop, 10);
    }
    fault_check(false, "nobody is told that the other has ended");
    return -1;
}

static int destroy(world_t *world, xo_error_t *err)
{
    return fault_end(world, xo_pool_address(world->pool), "actor", err);
}

const step_t steps_to_others[] = {{"open the pool", open_pool},
                                  {"open the broker", open_broker},
                                  {"connect", connect_client},
                                  {NULL, NULL}};
const step_t steps_to_neighbours[] = {
    {"open the pool", open_pool}, {"open", open_neighbour}, {NULL, NULL}};
const step_t steps_of_all[] = {
    {"create", create},       {"look up", look_up},   {"call", call},
    {"tell", tell},           {"batch", batch},       {"send large", send_large},
    {"get large", get_large}, {"fail", fail_method},  {"pass", pass},
    {"link", link_other},     {"deadline", deadline}, {"cancel", cancel},
    {"drive", drive},         {"destroy", destroy},   {NULL, NULL}};

void close_world(world_t *world)
{
    xo_ref_destroy(world->ref);
    xo_client_destroy(world->client);
    xo_endpoint_destroy(world->own);
    xo_endpoint_destroy(world->broker);
    xo_pool_destroy(world->pool);
    xo_pool_destroy(world->other);
    xo_host_c_destroy(world->host);
    xo_host_c_destroy(world->other_host);
    xo_loop_destroy(world->loop);
    xo_ctx_destroy(world->ctx);
    xo_ctx_destroy(world->other_ctx);
}
