#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_impl.h"

/* What does not fit into nanoseconds is none: nobody waits for 292 years. */
#define DEADLINE_MAX_MS ((uint64_t)(INT64_MAX / XO_MS))

/* A call passed on for somebody who can reach only this broker. */
typedef struct xo_passed {
    xo_ask_t *ask;
    xo_call_t *call;
} xo_passed_t;

static void on_answer(xo_call_t *call, xo_msg_t **reply, void *arg)
{
    xo_passed_t *passed = arg;
    xo_ask_t *ask = passed->ask;
    (void)call;
    free(passed);
    xo_ask_reply_msg(ask, reply);
}

static void abandon(xo_ask_t *ask, void *arg)
{
    xo_passed_t *passed = arg;
    (void)ask;
    xo_call_abandon(passed->call);
    free(passed);
}

static bool may_be_relayed(int64_t kind)
{
    return kind == XO_CALL || kind == XO_TELL || kind == XO_BATCH || kind == XO_CREATE ||
           kind == XO_DESTROY || kind == XO_REF || kind == XO_HAS;
}

static int share_buffers(xo_msg_t *from, xo_msg_t *to)
{
    for (size_t i = 0; i < xo_msg_buffer_count(from); i++) {
        zmq_msg_t buffer;
        zmq_msg_init(&buffer);
        if (xo_msg_copy_buffer(from, i, &buffer) < 0 || xo_msg_add_buffer(to, &buffer) < 0) {
            zmq_msg_close(&buffer);
            return -1;
        }
    }
    return 0;
}

/* What is asked for, as a message of ours. */
static xo_msg_t *make_request(xo_ask_t *ask, int64_t kind, xo_slice_t uid, xo_slice_t method,
                              xo_slice_t body)
{
    const xo_header_t *original = xo_msg_header(xo_ask_msg(ask));
    xo_header_t header = {
        .kind = (xo_kind_t)kind,
        .flags = original->flags & XO_F_IDEMPOTENT,
        .target_uid = uid,
        .sender_uid = original->sender_uid,
        .method = method,
        .deadline_ms = original->deadline_ms,
        .trace = original->trace,
    };
    xo_msg_t *msg = xo_msg_create(&header, body);
    if (msg != NULL && share_buffers(xo_ask_msg_mut(ask), msg) < 0)
        xo_msg_destroy(&msg);
    return msg;
}

static void pass_on(xo_broker_t *broker, xo_ask_t *ask, xo_link_t *link, xo_msg_t **msg,
                    bool follow)
{
    xo_error_t err;
    uint64_t deadline_ms = xo_msg_header(*msg)->deadline_ms;
    int64_t deadline_ns = deadline_ms > DEADLINE_MAX_MS ? 0 : (int64_t)deadline_ms * XO_MS;
    xo_passed_t *passed = calloc(1, sizeof(*passed));
    if (passed == NULL) {
        xo_broker_refuse(ask, "out of memory");
        return;
    }
    passed->ask = ask;
    passed->call =
        xo_endpoint_call(broker->endpoint, link, msg, XO_SEND_QUEUE | (follow ? 0 : XO_SEND_THERE),
                         deadline_ns, on_answer, passed, &err);
    if (passed->call == NULL) {
        free(passed);
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    xo_ask_on_stop(ask, abandon, passed);
}

/* ---- a tell ---- */

static void on_accepted(const xo_failure_t *why, void *arg)
{
    xo_passed_t *passed = arg;
    xo_ask_t *ask = passed->ask;
    free(passed);
    if (ask == NULL)
        return;
    if (why == NULL)
        xo_ask_reply(ask, "n");
    else
        xo_ask_fail(ask, XO_CODE_SERVER_CLOSED, "relay: the tell became a dead letter: %.*s (%.*s)",
                    (int)why->message.size, why->message.data, (int)why->reason.size,
                    why->reason.data);
}

static void let_go(xo_ask_t *ask, void *arg)
{
    xo_passed_t *passed = arg;
    (void)ask;
    passed->ask = NULL;
}

static void pass_on_tell(xo_broker_t *broker, xo_ask_t *ask, xo_link_t *link, xo_msg_t **msg)
{
    xo_error_t err;
    xo_passed_t *passed = calloc(1, sizeof(*passed));
    if (passed == NULL) {
        xo_broker_refuse(ask, "out of memory");
        return;
    }
    passed->ask = ask;
    xo_ask_on_stop(ask, let_go, passed);
    if (xo_endpoint_tell(broker->endpoint, link, msg, XO_SEND_QUEUE, on_accepted, passed, &err) <
        0) {
        free(passed);
        xo_broker_refuse(ask, "%s", err.text);
    }
}

/* One with a name, which has left this node, if it ever was there. */
static bool may_be_elsewhere(const xo_broker_t *broker, xo_slice_t uid)
{
    return xo_uid_is_name(uid) && xo_directory_find(&broker->directory, uid) == NULL;
}

/* One of ours that is not there: nobody needs to dial it to know why. */
static bool is_absent(const xo_broker_t *broker, xo_ask_t *ask, xo_slice_t address)
{
    char text[XO_ERROR_TEXT_BYTES];
    const xo_member_t *member = xo_pools_by_name(&broker->pools, address);
    const char *absence = member ? xo_member_absence(member) : NULL;
    if (absence == NULL)
        return false;
    snprintf(text, sizeof(text), "the pool at %s %s", member->address, absence);
    xo_failure_t failure = {.code = xo_slice_str(XO_CODE_SERVER_CLOSED),
                            .message = xo_slice_str(text),
                            .executed = xo_slice_str("no"),
                            .reason = xo_slice_str(member->reason),
                            .address = xo_slice_str(member->address)};
    xo_msg_t *answer = xo_failure_answer(0, &failure);
    xo_ask_reply_msg(ask, &answer);
    return true;
}

void xo_broker_relay(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_error_t err;
    xo_slice_t address, uid, method, body;
    int64_t kind;
    bool follow = false;
    char text[XO_ADDRESS_BYTES];
    if (xo_unpack(args, &err, "[s I s s V *]", &address, &kind, &uid, &method, &body) < 0) {
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    xo_unpack(args, NULL, "[_ _ _ _ _ ?]", &follow);
    if (!may_be_relayed(kind) || address.size >= sizeof(text)) {
        xo_broker_refuse(ask, "kind must be a request's, and address a host:port");
        return;
    }
    if (!(follow && may_be_elsewhere(broker, uid)) && is_absent(broker, ask, address))
        return;
    xo_reader_t reader = xo_reader(body);
    if (xo_read_type(&reader) == XO_T_NIL) /* ref, has and destroy have none */
        body.size = 0;
    snprintf(text, sizeof(text), "%.*s", (int)address.size, address.data);
    xo_link_t *link = xo_endpoint_link(broker->endpoint, text, &err);
    xo_msg_t *msg = link ? make_request(ask, kind, uid, method, body) : NULL;
    if (msg != NULL && kind == XO_TELL)
        pass_on_tell(broker, ask, link, &msg);
    else if (msg != NULL)
        pass_on(broker, ask, link, &msg, follow);
    else
        xo_broker_refuse(ask, "%s", link ? "a request that cannot be encoded" : err.text);
    xo_msg_destroy(&msg);
}
