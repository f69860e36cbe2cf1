/* t/lane-zmq.c - what only the ZeroMQ lanes can meet: processes that die, peers that are not ours,
 * sockets in the file system.
 */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <zmq.h>

#include "libxo/lane_zmq.h"
#include "t/lane-rig.h"

/* ---- a process that dies ---- */

/* Starts this program again as `role` (main); what it prints first can be read from *out. */
static void spawn(fixture_t *f, const char *role, const char *endpoint, int *out)
{
    int fds[2];
    pid_t parent = getpid();
    char self[PATH_MAX] = ""; /* valgrind knows it by this name only */

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    f->child = fork_at_rest();
    if (f->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        dup2(fds[1], STDOUT_FILENO);
        execl(self, self, role, endpoint, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    *out = fds[0];
}

static void read_line(int fd, char *line, size_t size)
{
    size_t used = 0;

    while (used + 1 < size && read(fd, line + used, 1) == 1 && line[used] != '\n')
        used++;
    line[used] = '\0';
    close(fd);
}

/* The child: listens, says where, and echoes until it is killed. */
static void __attribute__((noreturn)) serve(const char *endpoint)
{
    rig_t rig;

    rig_open(&rig);
    rig.echo = true;
    rig_listen(&rig, endpoint);
    printf("%s\n", xo_listener_endpoint(rig.listener));
    fflush(stdout);
    for (;;)
        xo_loop_once(rig.loop, -1);
}

/* The child: dials, sends some, and then lives on in silence until it is killed. */
static void __attribute__((noreturn)) call(const char *endpoint)
{
    rig_t rig;
    end_t dialled;

    rig_open(&rig);
    rig_dial(&rig, &dialled, endpoint);
    for (uint64_t seq = 1; seq <= 100; seq++)
        send_seq(dialled.lane, seq);
    for (;;)
        xo_loop_once(rig.loop, -1);
}

static void a_killed_listener_closes_the_lane(void **state)
{
    fixture_t *f = *state;
    char endpoint[320];
    end_t dialled;
    int out;

    spawn(f, "serve", f->endpoint, &out);
    read_line(out, endpoint, sizeof endpoint);
    rig_dial(&f->rig, &dialled, endpoint);
    send_seq(dialled.lane, 1);
    RUN_UNTIL(&f->rig, dialled.received == 1);
    kill(f->child, SIGKILL);
    RUN_UNTIL(&f->rig, dialled.closed);
    assert_int_equal(dialled.why, ECONNRESET);
    end_destroy(&dialled);
    fixture_end_child(f); /* now its sockets are closed */
    rig_dial(&f->rig, &dialled, endpoint);
    RUN_UNTIL(&f->rig, dialled.closed);
    assert_int_equal(dialled.why, ECONNREFUSED);
}

static void a_killed_dialler_closes_its_lane(void **state)
{
    fixture_t *f = *state;
    end_t *accepted = &f->rig.accepted[0];
    end_t dialled;
    int out;

    rig_listen(&f->rig, f->endpoint);
    spawn(f, "call", xo_listener_endpoint(f->rig.listener), &out);
    close(out);
    rig_dial(&f->rig, &dialled, xo_listener_endpoint(f->rig.listener));
    RUN_UNTIL(&f->rig, accepted->received == 100);
    assert_int_equal(accepted->closed, 0);
    fixture_end_child(f);
    RUN_UNTIL(&f->rig, accepted->closed);
    assert_int_equal(accepted->why, ECONNRESET);
    assert_int_equal(accepted->received_at_close, 100);
    send_seq(dialled.lane, 1); /* the others go on */
    RUN_UNTIL(&f->rig, f->rig.accepted[1].received == 1);
}

/* The child: dials and sends, waits until all of it is written, and ends without a goodbye. */
static void __attribute__((noreturn)) call_and_die(const char *endpoint)
{
    xo_ctx_t *ctx = xo_ctx_create(NULL, NULL);
    void *socket = xoi_lane_socket(ctx, ZMQ_DEALER, xoi_scheme_of(endpoint), endpoint, NULL);
    int rc = zmq_connect(socket, endpoint);

    for (uint64_t seq = 1; seq <= 100; seq++) {
        xo_msg_t *msg = make_msg(seq, 10);
        rc |= xoi_send_msg(NULL, socket, xo_slice(NULL, 0), &msg);
    }
    xoi_lane_socket_close(&socket, RIG_DEADLINE_MS);
    xo_ctx_destroy(ctx);
    exit(rc);
}

/* It was all over before the listener's loop looked for the first time. */
static void who_died_unheard_is_noticed(void **state)
{
    fixture_t *f = *state;
    int out;

    rig_listen(&f->rig, f->endpoint);
    for (size_t i = 0; i < 3; i++) {
        char eof;
        spawn(f, "call and die", xo_listener_endpoint(f->rig.listener), &out);
        assert_int_equal(read(out, &eof, 1), 0);
        close(out);
        waitpid(f->child, NULL, 0);
        f->child = 0;
    }
    for (size_t i = 0; i < 3; i++) {
        RUN_UNTIL(&f->rig, f->rig.accepted[i].closed);
        assert_int_equal(f->rig.accepted[i].received_at_close, 100);
    }
}

/* A send may tell of an end before the monitor does, whose event is no stranger's then. */
static void who_died_is_known_when_its_end_is_told(void **state)
{
    fixture_t *f = *state;
    int out;

    rig_listen(&f->rig, f->endpoint);
    for (size_t i = 0; i < 10; i++) {
        end_t *accepted = &f->rig.accepted[i];
        spawn(f, "call", xo_listener_endpoint(f->rig.listener), &out);
        close(out);
        RUN_UNTIL(&f->rig, accepted->received == 100);
        fixture_end_child(f);
        for (bool sent = true; sent; sched_yield()) { /* the loop does not run meanwhile */
            xo_msg_t *msg = make_msg(1, 10);
            sent = xo_lane_send(accepted->lane, &msg) == 0;
            xo_msg_destroy(&msg);
        }
        RUN_UNTIL(&f->rig, accepted->closed);
        end_destroy(accepted);
    }
    open_raw(f, ZMQ_DEALER, f->rig.ctx); /* what comes of it is told after all that */
    assert_int_equal(zmq_connect(f->raw, xo_listener_endpoint(f->rig.listener)), 0);
    zmq_send(f->raw, "garbage", 7, 0);
    RUN_UNTIL(&f->rig, f->rig.refused > 0);
    assert_int_equal(f->rig.refused, 1);
}

/* ---- peers that are not ours ---- */

static const struct {
    const char *bytes;
    size_t size;
} garbage[] = {{"garbage", 7}, {"\x99", 1}, {"\x99\x02", 2}, {"\xc1\xc1", 2}};

static void garbage_closes_its_lane_only(void **state)
{
    fixture_t *f = *state;
    end_t good;
    end_t *accepted = &f->rig.accepted[1];

    rig_listen(&f->rig, f->endpoint);
    rig_dial(&f->rig, &good, xo_listener_endpoint(f->rig.listener));
    send_seq(good.lane, 1);
    RUN_UNTIL(&f->rig, f->rig.accepted[0].received == 1);
    open_raw(f, ZMQ_DEALER, f->rig.ctx);
    assert_int_equal(zmq_connect(f->raw, xo_listener_endpoint(f->rig.listener)), 0);
    raw_msg(f, 1);
    zmq_send(f->raw, garbage[0].bytes, garbage[0].size, 0);
    raw_msg(f, 2); /* is dropped */
    RUN_UNTIL(&f->rig, accepted->closed);
    assert_int_equal(accepted->why, EBADMSG);
    assert_int_equal(accepted->received, 1);
    send_seq(good.lane, 2);
    RUN_UNTIL(&f->rig, f->rig.accepted[0].received == 2);
    assert_int_equal(good.closed, 0);
    assert_int_equal(f->rig.refused, 0);
    end_destroy(accepted);
}

static void garbage_from_nobody_is_refused(void **state)
{
    fixture_t *f = *state;

    rig_listen(&f->rig, f->endpoint);
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        open_raw(f, ZMQ_DEALER, f->rig.ctx);
        assert_int_equal(zmq_connect(f->raw, xo_listener_endpoint(f->rig.listener)), 0);
        zmq_send(f->raw, garbage[i].bytes, garbage[i].size, 0);
        RUN_UNTIL(&f->rig, f->rig.refused == (int)i + 1);
        zmq_close(f->raw);
        f->raw = NULL;
    }
    assert_int_equal(f->rig.accepted_count, 0);
}

static void too_many_frames_are_garbage(void **state)
{
    fixture_t *f = *state;

    rig_listen(&f->rig, f->endpoint);
    open_raw(f, ZMQ_DEALER, f->rig.ctx);
    assert_int_equal(zmq_connect(f->raw, xo_listener_endpoint(f->rig.listener)), 0);
    raw_msg(f, 1);
    for (int i = 0; i <= XO_BUFFERS_MAX; i++)
        zmq_send(f->raw, "", 0, ZMQ_SNDMORE);
    zmq_send(f->raw, "", 0, 0);
    RUN_UNTIL(&f->rig, f->rig.accepted[0].closed);
    assert_int_equal(f->rig.accepted[0].why, EBADMSG);
}

static void garbage_closes_a_dialled_lane(void **state)
{
    fixture_t *f = *state;
    char endpoint[320];
    size_t size = sizeof endpoint;
    end_t dialled;
    zmq_msg_t id;

    open_raw(f, ZMQ_ROUTER, f->rig.ctx);
    if (strcmp(f->scheme, "tcp") == 0)
        assert_int_equal(xo_ctx_start_zap(f->rig.ctx, NULL), 0);
    assert_int_equal(zmq_bind(f->raw, f->endpoint), 0);
    assert_int_equal(zmq_getsockopt(f->raw, ZMQ_LAST_ENDPOINT, endpoint, &size), 0);
    if (strcmp(f->scheme, "inproc") == 0) /* libxo must know of it */
        assert_int_equal(xo_ctx_add_local(f->rig.ctx, endpoint, NULL), 0);
    rig_dial(&f->rig, &dialled, endpoint);
    zmq_msg_init(&id);
    assert_true(zmq_msg_recv(&id, f->raw, 0) > 0); /* of the frame that says nothing */
    zmq_msg_send(&id, f->raw, ZMQ_SNDMORE);
    zmq_send(f->raw, "garbage", 7, 0);
    RUN_UNTIL(&f->rig, dialled.closed);
    assert_int_equal(dialled.why, EBADMSG);
}

/* ---- sockets in the file system ---- */

static void a_stale_socket_is_replaced(void **state)
{
    fixture_t *f = *state;
    char endpoint[320];
    struct stat st;
    end_t dialled;
    int out;

    spawn(f, "serve", f->endpoint, &out);
    read_line(out, endpoint, sizeof endpoint);
    assert_string_equal(endpoint, f->endpoint);
    assert_int_equal(lstat(strchr(f->endpoint, '/') + 2, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_null(
        xo_listen(f->rig.ctx, f->rig.loop, f->endpoint, &(xo_listener_events_t){0}, NULL, NULL));
    assert_int_equal(errno, EADDRINUSE);
    fixture_end_child(f);
    assert_int_equal(lstat(strchr(f->endpoint, '/') + 2, &st), 0); /* left behind */
    rig_listen(&f->rig, f->endpoint);
    rig_dial(&f->rig, &dialled, f->endpoint);
    send_seq(dialled.lane, 1);
    RUN_UNTIL(&f->rig, f->rig.accepted[0].received == 1);
    xo_listener_destroy(f->rig.listener);
    f->rig.listener = NULL;
    assert_int_equal(lstat(strchr(f->endpoint, '/') + 2, &st), -1);
}

static void an_address_is_free_again_at_once(void **state)
{
    fixture_t *f = *state;
    char endpoint[320];

    rig_listen(&f->rig, f->endpoint);
    snprintf(endpoint, sizeof endpoint, "%s", xo_listener_endpoint(f->rig.listener));
    for (int i = 0; i < 100; i++) {
        xo_listener_destroy(f->rig.listener);
        rig_listen(&f->rig, endpoint);
    }
}

static void a_path_may_be_too_long(void **state)
{
    fixture_t *f = *state;
    xo_error_t err = {0};

    memset(f->endpoint, 'x', 200);
    memcpy(f->endpoint, "ipc:///", 7);
    f->endpoint[200] = '\0';
    assert_null(
        xo_listen(f->rig.ctx, f->rig.loop, f->endpoint, &(xo_listener_events_t){0}, NULL, &err));
    assert_int_equal(err.errnum, ENAMETOOLONG);
    assert_null(xo_dial(f->rig.ctx, f->rig.loop, f->endpoint, &(xo_lane_events_t){0}, NULL, &err));
    assert_int_equal(err.errnum, ENAMETOOLONG);
    assert_null(
        xo_dial(f->rig.ctx, f->rig.loop, "tcp://nonsense", &(xo_lane_events_t){0}, NULL, &err));
    assert_int_equal(err.errnum, EINVAL);
    assert_non_null(strstr(err.text, "nonsense"));
}

#define ZMQ_TEST(test, scheme)                                                                     \
    {                                                                                              \
#test " (" scheme ")", test, fixture_open, fixture_close, scheme                           \
    }

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        ZMQ_TEST(a_killed_listener_closes_the_lane, "ipc"),
        ZMQ_TEST(a_killed_listener_closes_the_lane, "tcp"),
        ZMQ_TEST(a_killed_dialler_closes_its_lane, "ipc"),
        ZMQ_TEST(a_killed_dialler_closes_its_lane, "tcp"),
        ZMQ_TEST(who_died_unheard_is_noticed, "ipc"),
        ZMQ_TEST(who_died_unheard_is_noticed, "tcp"),
        ZMQ_TEST(who_died_is_known_when_its_end_is_told, "ipc"),
        ZMQ_TEST(who_died_is_known_when_its_end_is_told, "tcp"),
        ZMQ_TEST(garbage_closes_its_lane_only, "inproc"),
        ZMQ_TEST(garbage_closes_its_lane_only, "ipc"),
        ZMQ_TEST(garbage_closes_its_lane_only, "tcp"),
        ZMQ_TEST(garbage_from_nobody_is_refused, "inproc"),
        ZMQ_TEST(garbage_from_nobody_is_refused, "ipc"),
        ZMQ_TEST(garbage_from_nobody_is_refused, "tcp"),
        ZMQ_TEST(garbage_closes_a_dialled_lane, "inproc"),
        ZMQ_TEST(garbage_closes_a_dialled_lane, "ipc"),
        ZMQ_TEST(garbage_closes_a_dialled_lane, "tcp"),
        ZMQ_TEST(too_many_frames_are_garbage, "inproc"),
        ZMQ_TEST(a_stale_socket_is_replaced, "ipc"),
        ZMQ_TEST(an_address_is_free_again_at_once, "ipc"),
        ZMQ_TEST(an_address_is_free_again_at_once, "tcp"),
        ZMQ_TEST(a_path_may_be_too_long, "ipc"),
    };

    return run_tap(tests);
}

int main(int argc, char **argv)
{
    scratch_t scratch;
    int rc;

    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        serve(argv[2]);
    if (argc == 3 && strcmp(argv[1], "call") == 0)
        call(argv[2]);
    if (argc == 3 && strcmp(argv[1], "call and die") == 0)
        call_and_die(argv[2]);
    scratch_enter(&scratch);
    rc = run_all();
    scratch_leave(&scratch);
    return rc;
}
