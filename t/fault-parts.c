/* fault-parts.c - see fault-steps.h: the parts of libxo by themselves: a context, a loop, lanes,
 * messages, values.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "t/fault-points.h"
#include "t/fault-steps.h"
#include "t/unit.h"

#define LARGE_BYTES (200 << 10)

/* ---- the context ---- */

static int try_run_dir(world_t *world, xo_error_t *err)
{
    char path[XO_PATH_BYTES];
    uint64_t left_bytes;
    (void)world;
    return xo_ctx_try_run_dir("default", path, &left_bytes, err);
}

static int open_ctx(world_t *world, xo_error_t *err)
{
    world->ctx = xo_ctx_create_client(NULL, err);
    return world->ctx ? 0 : -1;
}

static int set_up_threads(world_t *world, xo_error_t *err)
{
    int cpu = sched_getcpu();
    if (xo_ctx_set_io_threads(world->ctx, 2, err) < 0)
        return -1;
    return xo_ctx_bind_io(world->ctx, &cpu, 1, err);
}

static int open_zmq(world_t *world, xo_error_t *err)
{
    return xo_ctx_zmq(world->ctx, err) ? 0 : -1;
}

static int admit(world_t *world, xo_error_t *err)
{
    return xo_ctx_start_zap(world->ctx, err);
}

static int add_local(world_t *world, xo_error_t *err)
{
    if (xo_ctx_add_local(world->ctx, "127.0.0.1:1", err) < 0)
        return -1;
    assert_int_equal(xo_ctx_has_local(world->ctx, "127.0.0.1:1"), 1);
    xo_ctx_remove_local(world->ctx, "127.0.0.1:1");
    return 0;
}

/* ---- the loop ---- */

static int open_loop(world_t *world, xo_error_t *err)
{
    if (!world->loop)
        world->loop = xo_loop_create(err);
    return world->loop && xo_loop_fd(world->loop, err) >= 0 ? 0 : -1;
}

static void on_io(xo_io_t *io, int revents, void *arg)
{
    (void)io;
    (void)revents;
    (void)arg;
}

static int watch_descriptor(world_t *world, xo_error_t *err)
{
    xo_io_t io;
    int fd = eventfd(0, EFD_CLOEXEC);
    if (fd < 0)
        return xo_error_set(err, errno, "no eventfd: %m");
    xo_io_init(&io, world->loop, fd, XO_READ, on_io, NULL);
    int rc = xo_io_start(&io) < 0 ? xo_error_set(err, errno, "cannot watch it: %m") : 0;
    xo_io_stop(&io);
    close(fd);
    return rc;
}

static void on_signal(xo_signal_t *signal, int signum, void *arg)
{
    (void)signal;
    (void)signum;
    (void)arg;
}

static int watch_signal(world_t *world, xo_error_t *err)
{
    xo_signal_t watched;
    xo_signal_init(&watched, world->loop, SIGUSR2, on_signal, NULL);
    int rc = xo_signal_start(&watched) < 0 ? xo_error_set(err, errno, "cannot watch it: %m") : 0;
    xo_signal_stop(&watched);
    return rc;
}

static void on_zmq(xo_zmq_t *zmq, int revents, void *arg)
{
    (void)zmq;
    (void)revents;
    (void)arg;
}

static int watch_socket(world_t *world, xo_error_t *err)
{
    xo_zmq_t zmq;
    void *ctx = xo_ctx_zmq(world->ctx, err);
    void *socket = ctx ? zmq_socket(ctx, ZMQ_PAIR) : NULL;
    if (!socket)
        return ctx ? xo_error_set(err, errno, "no socket: %m") : -1;
    xo_zmq_init(&zmq, world->loop, socket, XO_READ, on_zmq, NULL);
    int rc = xo_zmq_start(&zmq) < 0 ? xo_error_set(err, errno, "cannot watch it: %m") : 0;
    xo_zmq_stop(&zmq);
    zmq_close(socket);
    return rc;
}

/* ---- lanes ---- */

typedef struct talk {
    xo_lane_t *dialled, *accepted;
    int received, closed;
    xo_error_t why;
} talk_t;

static void on_message(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    (void)lane;
    ((talk_t *)arg)->received++;
    xo_msg_destroy(msg);
}

static void on_writable(xo_lane_t *lane, void *arg)
{
    (void)lane;
    (void)arg;
}

static void on_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    talk_t *talk = arg;
    (void)lane;
    talk->closed++;
    talk->why = *why;
}

static const xo_lane_events_t lane_events = {on_message, on_writable, on_closed};

static void on_accepted(xo_listener_t *listener, xo_lane_t *lane, void *arg)
{
    (void)listener;
    ((talk_t *)arg)->accepted = lane;
    xo_lane_set_events(lane, &lane_events, arg);
}

static void on_refused(xo_listener_t *listener, const char *from, const xo_error_t *why, void *arg)
{
    (void)listener;
    (void)from;
    on_closed(NULL, why, arg);
}

static const xo_listener_events_t listener_events = {on_accepted, on_refused};

static xo_msg_t *tell_with_buffer(xo_lane_t *lane, size_t size)
{
    zmq_msg_t buffer;
    xo_msg_t *msg = xo_msg_create(&(xo_header_t){.kind = XO_TELL}, xo_slice("\xc0", 1));
    if (msg && xo_lane_buffer(lane, size, &buffer) == 0) {
        if (xo_msg_add_buffer(msg, &buffer) == 0)
            return msg;
        zmq_msg_close(&buffer);
    }
    xo_msg_destroy(&msg);
    return NULL;
}

/* A message that arrives, or whose lane closes. */
static int say(world_t *world, talk_t *talk, size_t size, xo_error_t *err)
{
    int before = talk->received;
    xo_msg_t *msg = tell_with_buffer(talk->dialled, size);
    int rc = msg ? xo_lane_send(talk->dialled, &msg) : -1;
    if (rc < 0)
        xo_error_set(err, errno, "a message cannot be sent: %m");
    xo_msg_destroy(&msg);
    for (int i = 0; rc == 0 && i < FAULT_WAIT_MS / 10; i++) {
        if (talk->received > before)
            return 0;
        if (talk->closed)
            return xo_error_set(err, talk->why.errnum, "%s", talk->why.text);
        xo_loop_once(world->loop, 10);
    }
    fault_check(rc < 0, "a message does not arrive");
    return -1;
}

/* The first message cannot know where the peer would read it. */
static int speak(world_t *world, const char *endpoint, xo_error_t *err)
{
    talk_t talk = {0};
    int rc = -1;
    xo_listener_t *listener =
        xo_listen(world->ctx, world->loop, endpoint, &listener_events, &talk, err);
    if (listener)
        talk.dialled = xo_dial(world->ctx, world->loop, xo_listener_endpoint(listener),
                               &lane_events, &talk, err);
    if (talk.dialled && say(world, &talk, 1, err) == 0)
        rc = say(world, &talk, LARGE_BYTES, err);
    int saved = errno;
    xo_lane_destroy(talk.dialled);
    xo_lane_destroy(talk.accepted);
    xo_listener_destroy(listener);
    errno = saved;
    return rc;
}

static int speak_inproc(world_t *world, xo_error_t *err)
{
    return speak(world, "inproc://here", err);
}

static int speak_tcp(world_t *world, xo_error_t *err)
{
    return speak(world, "tcp://127.0.0.1:0", err);
}

static int speak_by_file(world_t *world, const char *scheme, xo_error_t *err)
{
    char endpoint[XO_PATH_BYTES * 2];
    snprintf(endpoint, sizeof endpoint, "%s://%s/door", scheme, xo_ctx_run_dir(world->ctx));
    return speak(world, endpoint, err);
}

static int speak_ipc(world_t *world, xo_error_t *err)
{
    return speak_by_file(world, "ipc", err);
}

static int speak_shm(world_t *world, xo_error_t *err)
{
    return speak_by_file(world, "shm", err);
}

/* ---- messages ---- */

static const xo_header_t *call_header(void)
{
    static xo_header_t header = {.kind = XO_CALL, .seq = 1};
    header.target_uid = xo_slice_str("actor");
    header.method = xo_slice_str("echo");
    return &header;
}

static int give_up(xo_msg_t **msg, const char *what, xo_error_t *err)
{
    xo_msg_destroy(msg);
    return xo_error_set(err, errno, "%s: %m", what);
}

static int send_frames(world_t *world, xo_error_t *err)
{
    zmq_msg_t frames[2], copy;
    xo_msg_t *msg = xo_msg_create(call_header(), xo_slice("\x92\x91\x07\x80", 4));
    (void)world;
    if (!msg || xo_msg_add_buffer_copy(msg, "bytes", 5) < 0)
        return give_up(&msg, "no message", err);
    if (xo_msg_copy_buffer(msg, 0, &copy) < 0)
        return give_up(&msg, "no copy of a buffer", err);
    zmq_msg_close(&copy);
    if (xo_msg_to_frames(&msg, frames) < 0)
        return give_up(&msg, "no frames", err);
    msg = xo_msg_from_frames(frames, 2, err);
    assert_true(!msg || xo_slice_eq_str(xo_msg_buffer(msg, 0), "bytes"));
    int rc = msg ? 0 : -1;
    xo_msg_destroy(&msg);
    return rc;
}

static int make_local(world_t *world, xo_error_t *err)
{
    char *payload = strdup("payload");
    (void)world;
    if (!payload)
        return xo_error_set(err, errno, "no payload: %m");
    xo_msg_t *msg = xo_msg_create_local(call_header(), payload, free, 8);
    if (!msg) {
        xo_error_set(err, errno, "no local message: %m");
        free(payload);
        return -1;
    }
    xo_msg_destroy(&msg);
    return 0;
}

static int make_failures(world_t *world, xo_error_t *err)
{
    xo_failure_t failure = {.code = xo_slice_str(XO_CODE_METHOD), .message = xo_slice_str("no")};
    xo_msg_t *answer = xo_failure_answer(1, &failure);
    (void)world;
    if (!answer)
        return xo_error_set(err, errno, "no answer: %m");
    xo_msg_destroy(&answer);
    answer = xo_failure_msg(1, XO_CODE_METHOD, "ran", NULL, "it %s", "fails");
    if (!answer)
        return xo_error_set(err, errno, "no answer that says why: %m");
    xo_msg_destroy(&answer);
    return 0;
}

/* ---- values ---- */

static int pack(xo_buf_t *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = xo_pack_vformat(buf, format, args);
    va_end(args);
    return rc;
}

static int write_values(world_t *world, xo_error_t *err)
{
    xo_buf_t value = XO_BUF_INIT, text = XO_BUF_INIT;
    (void)world;
    int rc = 0;
    if (xo_buf_append(&value, "\x92", 1) < 0 || pack(&value, "s i", "a", 1) < 0 ||
        xo_pack_dump(xo_buf_slice(&value), &text, 100) < 0 || xo_buf_reserve(&value, 10000) < 0 ||
        xo_header_encode(call_header(), &value) < 0)
        rc = xo_error_set(err, errno, "values cannot be written: %m");
    assert_true(rc < 0 || xo_slice_eq_str(xo_buf_slice(&text), "[\"a\", 1]"));
    xo_buf_free(&value);
    xo_buf_free(&text);
    return rc;
}

static int write_options(world_t *world, xo_error_t *err)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_actor_options_t options = XO_ACTOR_OPTIONS_INIT;
    (void)world;
    options.restart = "transient";
    xo_pack_format(&body, "[[] {}]");
    int rc = xo_create_options_add(&body, &options, err);
    xo_buf_free(&body);
    return rc;
}

const step_t steps_of_parts[] = {{"try the run directory", try_run_dir},
                                 {"open a client's context", open_ctx},
                                 {"set up ZeroMQ's threads", set_up_threads},
                                 {"open ZeroMQ", open_zmq},
                                 {"admit members", admit},
                                 {"add an address", add_local},
                                 {"open a loop", open_loop},
                                 {"watch a descriptor", watch_descriptor},
                                 {"watch a signal", watch_signal},
                                 {"watch a socket", watch_socket},
                                 {"speak by inproc", speak_inproc},
                                 {"speak by shm", speak_shm},
                                 {"speak by ipc", speak_ipc},
                                 {"speak by tcp", speak_tcp},
                                 {"send frames", send_frames},
                                 {"make a local message", make_local},
                                 {"make failures", make_failures},
                                 {"write values", write_values},
                                 {"write options", write_options},
                                 {NULL, NULL}};
