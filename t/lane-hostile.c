/* t/lane-hostile.c - what comes to a port and is no member: bytes that are no handshake, handshakes
 * that are cut off or were recorded, and thousands of connections that say nothing.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <zmq.h>

#include "libxo/lane_zmq.h"
#include "t/lane-rig.h"

#define GREETING_BYTES 64 /* ZMTP 3.1, with the mechanism */
#define HELLO_BYTES 202   /* of CURVE: a frame's header of 2, and 200 */
#define HALF_OPEN 1000

static struct sockaddr_in loopback(const char *endpoint)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)atoi(strrchr(endpoint, ':') + 1)),
                                .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

/* -1: it cannot. */
static int dial_bytes(const char *endpoint)
{
    struct sockaddr_in address = loopback(endpoint);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A connection that sends this and no more. */
static void send_bytes(fixture_t *f, const void *bytes, size_t size)
{
    int fd = dial_bytes(xo_listener_endpoint(f->rig.listener));

    assert_true(fd >= 0);
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
    shutdown(fd, SHUT_WR);
    while (recv(fd, (char[256]){0}, 256, 0) > 0) { /* until it hangs up */
    }
    close(fd);
}

static void expect_refused(fixture_t *f, int count)
{
    RUN_UNTIL(&f->rig, f->rig.refused >= count);
    assert_int_equal(f->rig.refused, count);
}

/* The lane of a member, which nothing here may disturb. */
static void expect_undisturbed(fixture_t *f, end_t *good)
{
    uint64_t seq = f->rig.accepted[0].received + 1;

    assert_false(good->closed);
    send_seq(good->lane, seq);
    RUN_UNTIL(&f->rig, f->rig.accepted[0].received == seq);
}

/* ---- what is no handshake ---- */

static void garbage_is_refused(void **state)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    static const char tls[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    fixture_t *f = *state;
    char noise[4096];
    end_t good;

    rig_meet(&f->rig, &good, f->endpoint);
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)(i * 2654435761u >> 13);
    send_bytes(f, http, sizeof http - 1);
    expect_refused(f, 1);
    send_bytes(f, tls, sizeof tls - 1);
    expect_refused(f, 2);
    send_bytes(f, noise, sizeof noise);
    expect_refused(f, 3);
    send_bytes(f, "", 0);
    expect_refused(f, 4);
    expect_undisturbed(f, &good);
    assert_int_equal(f->rig.accepted_count, 1);
    end_destroy(&good);
}

static void open_plain(fixture_t *f)
{
    f->raw = zmq_socket(xo_ctx_zmq(f->rig.ctx, NULL), ZMQ_DEALER);
    xoi_set_int(f->raw, ZMQ_LINGER, 0);
    xoi_set_int(f->raw, ZMQ_RECONNECT_IVL, -1);
}

static void other_mechanisms_are_refused(void **state)
{
    fixture_t *f = *state;
    end_t good;

    rig_meet(&f->rig, &good, f->endpoint);
    open_plain(f); /* NULL */
    assert_int_equal(zmq_connect(f->raw, xo_listener_endpoint(f->rig.listener)), 0);
    raw_msg(f, 1);
    expect_refused(f, 1);
    zmq_close(f->raw);
    open_plain(f);
    zmq_setsockopt(f->raw, ZMQ_PLAIN_USERNAME, "root", 4);
    zmq_setsockopt(f->raw, ZMQ_PLAIN_PASSWORD, "root", 4);
    assert_int_equal(zmq_connect(f->raw, xo_listener_endpoint(f->rig.listener)), 0);
    raw_msg(f, 1);
    expect_refused(f, 2);
    expect_undisturbed(f, &good);
    assert_int_equal(f->rig.accepted_count, 1);
    end_destroy(&good);
}

/* ---- a handshake that was recorded ---- */

/* Somebody between a dialler and the listener, who passes on all bytes and keeps the dialler's. */
typedef struct tap {
    int door;
    xo_io_t dialler, listener;
    char bytes[8192];
    size_t size;
} tap_t;

static void pass_on(xo_io_t *from, const xo_io_t *to, char *bytes, size_t size, size_t *got)
{
    ssize_t n = recv(from->fd, bytes, size, MSG_DONTWAIT);

    *got = n > 0 ? (size_t)n : 0;
    if (n > 0)
        assert_int_equal(send(to->fd, bytes, (size_t)n, MSG_NOSIGNAL), n);
    else if (n == 0)
        xo_io_stop(from);
}

static void on_dialler(xo_io_t *io, int revents, void *arg)
{
    tap_t *tap = arg;
    size_t got;

    (void)revents;
    pass_on(io, &tap->listener, tap->bytes + tap->size, sizeof tap->bytes - tap->size, &got);
    tap->size += got;
}

static void on_listener(xo_io_t *io, int revents, void *arg)
{
    char bytes[4096];
    size_t got;

    (void)revents;
    pass_on(io, &((tap_t *)arg)->dialler, bytes, sizeof bytes, &got);
}

static void open_door(tap_t *tap, char *endpoint, size_t size)
{
    struct sockaddr_in address = loopback("tcp://:0");
    socklen_t address_size = sizeof address;

    tap->door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(tap->door, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(tap->door, 1), 0);
    assert_int_equal(getsockname(tap->door, (struct sockaddr *)&address, &address_size), 0);
    snprintf(endpoint, size, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
}

static void join(fixture_t *f, tap_t *tap)
{
    xo_loop_t *loop = f->rig.loop;
    int fd = accept4(tap->door, NULL, NULL, SOCK_CLOEXEC); /* the kernel has connected it */

    assert_true(fd >= 0);
    xo_io_init(&tap->dialler, loop, fd, XO_READ, on_dialler, tap);
    fd = dial_bytes(xo_listener_endpoint(f->rig.listener));
    assert_true(fd >= 0);
    xo_io_init(&tap->listener, loop, fd, XO_READ, on_listener, tap);
    assert_int_equal(xo_io_start(&tap->dialler), 0);
    assert_int_equal(xo_io_start(&tap->listener), 0);
}

static void part(tap_t *tap)
{
    xo_io_stop(&tap->dialler);
    xo_io_stop(&tap->listener);
    close(tap->dialler.fd);
    close(tap->listener.fd);
    close(tap->door);
}

/* All that a member sends until its first message has arrived. */
static void record(fixture_t *f, tap_t *tap)
{
    end_t member;
    char endpoint[64];

    tap->size = 0;
    open_door(tap, endpoint, sizeof endpoint);
    rig_dial(&f->rig, &member, endpoint);
    send_seq(member.lane, 1);
    join(f, tap);
    RUN_UNTIL(&f->rig, f->rig.accepted_count == 2 && f->rig.accepted[1].received == 1);
    end_destroy(&member);
    RUN_UNTIL(&f->rig, f->rig.accepted[1].closed);
    part(tap);
    assert_true(tap->size > GREETING_BYTES + HELLO_BYTES && tap->size < sizeof tap->bytes);
}

static void a_handshake_that_is_cut_off_is_refused(void **state)
{
    static const size_t sizes[] = {1,
                                   10,
                                   11,
                                   12,
                                   63,
                                   GREETING_BYTES,
                                   65,
                                   100,
                                   GREETING_BYTES + HELLO_BYTES - 1,
                                   GREETING_BYTES + HELLO_BYTES,
                                   GREETING_BYTES + HELLO_BYTES + 1,
                                   300};
    fixture_t *f = *state;
    tap_t *tap = calloc(1, sizeof *tap);
    int count = 0;
    end_t good;

    rig_meet(&f->rig, &good, f->endpoint);
    record(f, tap);
    assert_int_equal(f->rig.refused, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        send_bytes(f, tap->bytes, sizes[i]);
        expect_refused(f, ++count);
    }
    expect_undisturbed(f, &good);
    assert_int_equal(f->rig.accepted_count, 2);
    end_destroy(&good);
    free(tap);
}

/* What the listener sends differs each time, and so would the answer. */
static void a_handshake_that_is_replayed_is_refused(void **state)
{
    fixture_t *f = *state;
    tap_t *tap = calloc(1, sizeof *tap);
    end_t good;

    rig_meet(&f->rig, &good, f->endpoint);
    record(f, tap);
    for (int i = 0; i < 3; i++) {
        send_bytes(f, tap->bytes, tap->size);
        expect_refused(f, i + 1);
    }
    assert_string_equal(f->rig.refused_why, "the encrypted handshake failed");
    expect_undisturbed(f, &good);
    assert_int_equal(f->rig.accepted_count, 2);
    end_destroy(&good);
    free(tap);
}

/* ---- what is more than a handshake ---- */

/* A greeting, and a command of 4 GiB that libzmq would keep until the handshake's time is over. */
static void who_floods_is_let_go(void **state)
{
    static const char greeting[GREETING_BYTES] = "\xff\0\0\0\0\0\0\0\1\x7f\3\1"
                                                 "CURVE";
    static const char announced[] = {6, 0, 0, 0, 1, 0, 0, 0, 0};
    static const char zeros[64 << 10];
    fixture_t *f = *state;
    end_t good;

    rig_meet(&f->rig, &good, f->endpoint);
    int fd = dial_bytes(xo_listener_endpoint(f->rig.listener));
    assert_true(fd >= 0);
    assert_int_equal(send(fd, greeting, sizeof greeting, MSG_NOSIGNAL), sizeof greeting);
    assert_int_equal(send(fd, announced, sizeof announced, MSG_NOSIGNAL), sizeof announced);
    while (f->rig.refused == 0) {
        send(fd, zeros, sizeof zeros, MSG_NOSIGNAL | MSG_DONTWAIT);
        xo_loop_once(f->rig.loop, 0);
    }
    assert_string_equal(f->rig.refused_why, "it went on sending before its handshake was done");
    assert_string_equal(f->rig.refused_from, "127.0.0.1");
    close(fd);
    expect_undisturbed(f, &good);
    assert_int_equal(f->rig.refused, 1);
    end_destroy(&good);
}

/* ---- connections that say nothing ---- */

/* The child: holds them until it is killed. */
static void __attribute__((noreturn)) hold(const char *endpoint, int done)
{
    static const char half[12] = "\xff\0\0\0\0\0\0\0\1\x7f\3\1"; /* a greeting begins so */
    int count = 0;

    for (; count < HALF_OPEN; count++) {
        int fd = dial_bytes(endpoint);
        if (fd < 0 || (count % 2 && send(fd, half, sizeof half, MSG_NOSIGNAL) < 0))
            break;
    }
    if (write(done, &count, sizeof count) < 0)
        _exit(1);
    for (;;)
        pause();
}

static void set_limit(rlim_t descriptors)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = descriptors < limit.rlim_max ? descriptors : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Returns when all of them are connected, which does not mean accepted. */
static void hold_half_open(fixture_t *f)
{
    pid_t parent = getpid();
    int fds[2], count = 0;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    f->child = fork_at_rest();
    if (f->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        set_limit(HALF_OPEN + 64);
        hold(xo_listener_endpoint(f->rig.listener), fds[1]);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &count, sizeof count), sizeof count);
    close(fds[0]);
    assert_int_equal(count, HALF_OPEN);
}

static void expect_newcomer(fixture_t *f)
{
    end_t *accepted = &f->rig.accepted[f->rig.accepted_count];
    end_t late;

    rig_dial(&f->rig, &late, xo_listener_endpoint(f->rig.listener));
    send_seq(late.lane, 1);
    RUN_UNTIL(&f->rig, accepted->received == 1);
    end_destroy(&late);
    RUN_UNTIL(&f->rig, accepted->closed);
}

/* Each is let go after the time that a handshake may take, and counted; meanwhile members come and
 * go. */
static void who_says_nothing_is_let_go(void **state)
{
    fixture_t *f = *state;
    end_t good;

    set_limit(3 * HALF_OPEN);
    rig_meet(&f->rig, &good, f->endpoint);
    hold_half_open(f);
    expect_undisturbed(f, &good);
    expect_newcomer(f);
    expect_refused(f, HALF_OPEN);
    assert_string_equal(f->rig.refused_from, "127.0.0.1");
    expect_undisturbed(f, &good);
    end_destroy(&good);
}

/* Where they take all descriptors that there are, who is there already does not notice, and when
 * they are gone others come. */
static void more_than_there_are_descriptors(void **state)
{
    fixture_t *f = *state;
    struct rlimit before;
    end_t good;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    rig_meet(&f->rig, &good, f->endpoint);
    set_limit(100);
    hold_half_open(f);
    expect_undisturbed(f, &good);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    fixture_end_child(f);
    expect_undisturbed(f, &good);
    expect_newcomer(f);
    end_destroy(&good);
}

#define TCP_TEST(test)                                                                             \
    {                                                                                              \
#test, test, fixture_open, fixture_close, "tcp"                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_TEST(garbage_is_refused),
        TCP_TEST(other_mechanisms_are_refused),
        TCP_TEST(a_handshake_that_is_cut_off_is_refused),
        TCP_TEST(a_handshake_that_is_replayed_is_refused),
        TCP_TEST(who_floods_is_let_go),
        TCP_TEST(who_says_nothing_is_let_go),
        TCP_TEST(more_than_there_are_descriptors),
    };
    scratch_t scratch;
    int rc;

    scratch_enter(&scratch);
    rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
