/* lane-rig.c - what the tests of lanes share. */
#include "t/lane-rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxo/lane_zmq.h"

static void on_deadline(xo_timer_t *timer, void *arg)
{
    rig_t *rig = arg;

    (void)timer;
    rig->expired = true;
}

void rig_arm(rig_t *rig)
{
    xo_timer_start(&rig->deadline, RIG_DEADLINE_MS * XO_MS);
}

void rig_open(rig_t *rig)
{
    xo_error_t err;

    memset(rig, 0, sizeof *rig);
    rig->ctx = xo_ctx_create(NULL, &err);
    assert_non_null(rig->ctx);
    rig->loop = xo_loop_create(&err);
    assert_non_null(rig->loop);
    xo_timer_init(&rig->deadline, rig->loop, on_deadline, rig);
}

void rig_close(rig_t *rig)
{
    for (size_t i = 0; i < RIG_LANES;
         i++) /* after a failure: a lane left would block the context's end */
        xo_lane_destroy(rig->lanes[i]);
    xo_listener_destroy(rig->listener);
    xo_port_destroy(rig->port);
    xo_timer_stop(&rig->deadline);
    xo_ctx_destroy(rig->ctx);
    xo_loop_destroy(rig->loop);
}

void rig_endpoint(rig_t *rig, const char *scheme, char *text, size_t size)
{
    if (strcmp(scheme, "tcp") == 0)
        snprintf(text, size, "tcp://127.0.0.1:0");
    else if (strcmp(scheme, "ipc") == 0 || strcmp(scheme, "shm") == 0)
        snprintf(text, size, "%s://%s/sock", scheme, xo_ctx_run_dir(rig->ctx));
    else if (strcmp(scheme, "port") == 0)
        snprintf(text, size, "port://%s/sock", xo_ctx_run_dir(rig->ctx));
    else
        snprintf(text, size, "%s://sock", scheme);
}

/* ---- the ends ---- */

static void note_message(end_t *end, const xo_msg_t *msg)
{
    xo_slice_t body = xo_msg_body(msg);

    end->received++;
    if (xo_msg_header(msg)->seq != ++end->next_seq)
        end->out_of_order = true;
    end->last_bytes = body.size;
    end->last_sum = 0;
    for (size_t i = 0; i < xo_msg_buffer_count(msg); i++) {
        xo_slice_t buffer = xo_msg_buffer(msg, i);
        end->last_bytes += buffer.size;
        for (size_t k = 0; k < buffer.size; k++)
            end->last_sum = end->last_sum * 31 + (unsigned char)buffer.data[k];
    }
}

static void on_message(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    end_t *end = arg;

    assert_ptr_equal(lane, end->lane);
    assert_int_equal(end->closed, 0);
    note_message(end, *msg);
    if (end->echo)
        assert_true(xo_lane_send(lane, msg) == 0 || errno == EPIPE);
    xo_msg_destroy(msg);
    if (end->received == end->destroy_at)
        end_destroy(end);
}

static void on_writable(xo_lane_t *lane, void *arg)
{
    (void)lane;
    ((end_t *)arg)->writable++;
}

static void on_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    end_t *end = arg;
    xo_msg_t *msg = make_msg(1, 0);

    assert_int_not_equal(why->errnum, 0);
    assert_true(strlen(why->text) > 0);
    end->closed++;
    end->why = why->errnum;
    end->received_at_close = end->received;
    assert_int_equal(xo_lane_send(lane, &msg), -1);
    assert_int_equal(errno, EPIPE);
    assert_non_null(msg);
    xo_msg_destroy(&msg);
    if (end->destroy_when_closed)
        end_destroy(end);
}

static const xo_lane_events_t end_events = {on_message, on_writable, on_closed};

static void keep(rig_t *rig, xo_lane_t *old, xo_lane_t *new)
{
    size_t i = 0;

    while (rig->lanes[i] != old)
        assert_true(++i < RIG_LANES);
    rig->lanes[i] = new;
}

void end_destroy(end_t *end)
{
    if (!end->lane)
        return;
    keep(end->rig, end->lane, NULL);
    xo_lane_destroy(end->lane);
    end->lane = NULL;
}

static void on_accepted(xo_listener_t *listener, xo_lane_t *lane, void *arg)
{
    rig_t *rig = arg;
    end_t *end = &rig->accepted[rig->accepted_count++];

    assert_ptr_equal(listener, rig->listener);
    assert_true(rig->accepted_count <= RIG_LANES);
    end->rig = rig;
    end->lane = lane;
    keep(rig, NULL, lane);
    end->destroy_at = rig->destroy_at;
    end->echo = rig->echo;
    xo_lane_set_events(lane, &end_events, end);
    if (rig->bundles)
        xo_lane_set_bundles(lane);
    if (rig->destroy_listener) {
        xo_listener_destroy(listener);
        rig->listener = NULL;
    }
    if (rig->reject)
        end_destroy(end);
}

static void on_refused(xo_listener_t *listener, const char *from, const xo_error_t *why, void *arg)
{
    rig_t *rig = arg;

    (void)listener;
    assert_int_not_equal(why->errnum, 0);
    rig->refused++;
    snprintf(rig->refused_from, sizeof rig->refused_from, "%s", from ? from : "");
    snprintf(rig->refused_why, sizeof rig->refused_why, "%s", why->text);
}

static const xo_listener_events_t listener_events = {on_accepted, on_refused};

/* ---- a port in front of the listener ---- */

static void find_inner(xo_port_t *port, const xo_address_t *address, char path[XO_PATH_BYTES],
                       void *arg)
{
    const rig_t *rig = arg;

    (void)port;
    assert_int_equal(address->port % XO_PLACES, RIG_PLACE);
    snprintf(path, XO_PATH_BYTES, "%s/sock", xo_ctx_run_dir(rig->ctx));
}

static void note_refused(xo_port_t *port, xo_drop_t reason, const char *host, const char *why,
                         void *arg)
{
    rig_t *rig = arg;

    (void)port;
    assert_true(reason < XO_DROP_REASONS);
    assert_true(strlen(why) > 0);
    rig->port_refused++;
    snprintf(rig->refused_from, sizeof rig->refused_from, "%s", host);
}

int rig_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* Where the listener is dialled. */
const char *rig_outside(rig_t *rig, const char *endpoint)
{
    static const xo_port_events_t events = {find_inner, NULL, note_refused};
    char text[64];
    xo_error_t err = {0};

    if (strncmp(endpoint, "port:///", 8) != 0)
        return endpoint;
    while (!rig->port) { /* another process may be faster */
        rig->port_number = rig_free_port();
        snprintf(text, sizeof text, "127.0.0.1:%d", rig->port_number);
        rig->port = xo_port_create(rig->loop, text, NULL, &events, rig, &err);
    }
    snprintf(rig->outside, sizeof rig->outside, "port://127.0.0.1:%d/127.0.0.1:%d",
             rig->port_number, rig->port_number * XO_PLACES + RIG_PLACE);
    return rig->outside;
}

void rig_listen(rig_t *rig, const char *endpoint)
{
    xo_error_t err = {0};

    rig->listener = xo_listen(rig->ctx, rig->loop, endpoint, &listener_events, rig, &err);
    if (!rig->listener)
        fail_msg("%s: %s", endpoint, err.text);
}

void rig_dial(rig_t *rig, end_t *end, const char *endpoint)
{
    xo_error_t err = {0};

    memset(end, 0, sizeof *end);
    end->rig = rig;
    endpoint = rig_outside(rig, endpoint);
    end->lane = xo_dial(rig->ctx, rig->loop, endpoint, &end_events, end, &err);
    if (!end->lane)
        fail_msg("%s: %s", endpoint, err.text);
    keep(rig, NULL, end->lane);
    if (rig->bundles)
        xo_lane_set_bundles(end->lane);
}

static end_t *expect_end(rig_t *rig, const char *endpoint)
{
    if (!rig->listener)
        rig_listen(rig, endpoint);
    return &rig->accepted[rig->accepted_count];
}

end_t *rig_meet(rig_t *rig, end_t *dialled, const char *endpoint)
{
    end_t *end = expect_end(rig, endpoint);

    rig_dial(rig, dialled, xo_listener_endpoint(rig->listener));
    send_seq(dialled->lane, 1);
    RUN_UNTIL(rig, end->received == 1);
    return end;
}

xo_msg_t *make_msg(uint64_t seq, size_t body_bytes)
{
    xo_header_t header = {.kind = XO_CALL, .seq = seq};
    xo_buf_t body = XO_BUF_INIT;
    char *zeros = calloc(1, body_bytes + 1);
    xo_msg_t *msg;

    xo_pack_bin(&body, zeros, body_bytes);
    msg = xo_msg_create(&header, xo_buf_slice(&body));
    assert_non_null(msg);
    xo_buf_free(&body);
    free(zeros);
    return msg;
}

void send_seq(xo_lane_t *lane, uint64_t seq)
{
    xo_msg_t *msg = make_msg(seq, 10);

    assert_int_equal(xo_lane_send(lane, &msg), 0);
    assert_null(msg);
}

/* ---- fixtures ---- */

int fixture_open(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);

    const char *scheme = *state;
    rig_open(&f->rig);
    f->rig.bundles = *scheme == '+';
    f->scheme = scheme + f->rig.bundles;
    rig_endpoint(&f->rig, f->scheme, f->endpoint, sizeof f->endpoint);
    *state = f;
    return 0;
}

static bool is_at_rest(const char *task)
{
    char path[320], state = 'R';
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", task);
    FILE *file = fopen(path, "r");
    if (!file)
        return true; /* it has ended */
    int read = fscanf(file, "%*d (%*[^)]) %c", &state);
    fclose(file);
    return read == 1 && state == 'S';
}

static bool others_are_at_rest(void)
{
    bool at_rest = true;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (const struct dirent *task; at_rest && (task = readdir(tasks));)
        at_rest =
            task->d_name[0] == '.' || atoi(task->d_name) == gettid() || is_at_rest(task->d_name);
    closedir(tasks);
    return at_rest;
}

pid_t fork_at_rest(void)
{
    while (!others_are_at_rest())
        sched_yield();
    return fork();
}

void fixture_end_child(fixture_t *f)
{
    if (f->child <= 0)
        return;
    kill(f->child, SIGKILL);
    waitpid(f->child, NULL, 0);
    f->child = 0;
}

end_t *fixture_join(fixture_t *f, void (*dial)(fixture_t *f, void *arg), void *arg)
{
    end_t *end = expect_end(&f->rig, f->endpoint);

    f->child = fork_at_rest();
    if (f->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dial(f, arg);
        _exit(0);
    }
    RUN_UNTIL(&f->rig, end->received == 1);
    return end;
}

void fixture_serve(fixture_t *f, void (*serve)(int fd))
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    f->child = fork_at_rest();
    if (f->child == 0)
        serve(fds[1]);
    close(fds[1]);
    assert_true(read(fds[0], f->endpoint, sizeof f->endpoint) > 0);
    close(fds[0]);
}

int fixture_listen_plain(fixture_t *f, int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    snprintf(f->endpoint, sizeof f->endpoint, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    return fd;
}

int fixture_close(void **state)
{
    fixture_t *f = *state;

    fixture_end_child(f);
    if (f->raw)
        zmq_close(f->raw);
    rig_close(&f->rig);
    xo_ctx_destroy(f->foreign);
    free(f);
    return 0;
}

void open_raw(fixture_t *f, int type, xo_ctx_t *ctx)
{
    xoi_scheme_t scheme = xoi_scheme_of(f->endpoint);

    f->raw = xoi_lane_socket(ctx, type, scheme, f->endpoint, NULL);
    assert_non_null(f->raw);
    xoi_set_int(f->raw, ZMQ_LINGER, 0);
}

void raw_msg(fixture_t *f, uint64_t seq)
{
    xo_msg_t *msg = make_msg(seq, 5);

    assert_int_equal(xoi_send_msg(NULL, f->raw, xo_slice(NULL, 0), &msg), 0);
}
