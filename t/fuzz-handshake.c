/* fuzz-handshake.c - a peer that sends anything: hello, welcome and what follows must never do more
 * than close its lane.
 *
 * The input is a list of messages, each two bytes of length (big-endian) and that many bytes of a
 * frame. If the first byte of the input is odd, a good hello goes ahead, so that what
 * comes behind the handshake is reached too.
 */
#include <stdlib.h>
#include <string.h>

#include "libxo/endpoint.h"
#include "t/scratch.h"

typedef struct target {
    scratch_t scratch;
    xo_ctx_t *ctx;
    xo_loop_t *loop;
} target_t;

static void ignore_message(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    (void)lane;
    (void)arg;
    xo_msg_destroy(msg);
}

static void ignore_writable(xo_lane_t *lane, void *arg)
{
    (void)lane;
    (void)arg;
}

static void note_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    (void)lane;
    (void)why;
    *(bool *)arg = true;
}

static const xo_lane_events_t lane_events = {ignore_message, ignore_writable, note_closed};

/* Answers every request, as a pool would. */
static void on_request(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    (void)arg;
    const xo_header_t *header = xo_msg_header(*msg);
    xo_return_t to = xo_return_of(from, *msg);
    if (xo_kind_is_request(header->kind))
        xo_endpoint_consumed(endpoint, from, xo_msg_bytes(*msg));
    if (xo_kind_is_request(header->kind) && header->kind != XO_TELL) {
        xo_msg_t *answer = xo_failure_msg(to.seq, XO_CODE_REFUSED, "no", NULL, "no");
        xo_endpoint_answer(endpoint, &to, &answer);
    }
    xo_msg_destroy(msg);
}

static const xo_endpoint_ops_t endpoint_ops = {.request = on_request};

static void send_body(xo_lane_t *lane, xo_kind_t kind, const xo_buf_t *body)
{
    xo_header_t header = {.kind = kind, .sender_id = 77};
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(body));
    if (msg)
        xo_lane_send(lane, &msg);
    xo_msg_destroy(&msg);
}

static void send_hello(xo_lane_t *lane)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, "{s s s s s s s s s s s s s i s i s i s i s i s i s [i i]}", "role",
                   "client", "cluster", "fuzz", "machine", "m", "label", "", "address", "",
                   "expect", "", "id", 77, "node", 0, "pool", 0, "generation", 0, "pid", 0, "index",
                   -1, "window", 10, 10000);
    send_body(lane, XO_HELLO, &body);
    xo_buf_free(&body);
}

static void send_frame(xo_lane_t *lane, const uint8_t *data, size_t size)
{
    zmq_msg_t frame;
    zmq_msg_init_size(&frame, size);
    memcpy(zmq_msg_data(&frame), data, size);
    xo_msg_t *msg = xo_msg_from_frames(&frame, 1, NULL);
    if (msg)
        xo_lane_send(lane, &msg);
    xo_msg_destroy(&msg);
}

static void feed(target_t *target, const uint8_t *data, size_t size)
{
    bool closed = false;
    xo_lane_t *lane =
        xo_dial(target->ctx, target->loop, "mem://target", &lane_events, &closed, NULL);
    if (!lane)
        abort();
    if (data[0] & 1)
        send_hello(lane);
    for (size_t at = 1; at + 2 <= size && !closed;) {
        size_t length = (size_t)data[at] << 8 | data[at + 1];
        at += 2;
        length = length > size - at ? size - at : length;
        send_frame(lane, data + at, length);
        at += length;
    }
    for (int i = 0; i < 20; i++)
        xo_loop_once(target->loop, 0);
    xo_lane_destroy(lane);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static target_t *target;
    if (!target) {
        target = calloc(1, sizeof *target);
        scratch_enter(&target->scratch);
        target->ctx = xo_ctx_create("fuzz", NULL);
        target->loop = xo_loop_create(NULL);
        scratch_leave(&target->scratch);
    }
    if (size == 0)
        return 0;
    xo_identity_t self = {.role = XO_ROLE_BROKER, .index = -1};
    xo_endpoint_t *endpoint =
        xo_endpoint_create(target->ctx, target->loop, &self, &endpoint_ops, NULL,
                           &(xo_endpoint_options_t){.relay = true}, NULL);
    if (!endpoint || xo_endpoint_listen_on(endpoint, "mem://target", NULL) < 0)
        abort();
    feed(target, data, size);
    xo_endpoint_destroy(endpoint);
    xo_loop_once(target->loop, 0);
    return 0;
}
