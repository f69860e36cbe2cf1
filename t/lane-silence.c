/* t/lane-silence.c - over tcp, a machine that is gone is noticed, and a process that stands still
 * is not taken for one.
 *
 * Each test goes both ways at once: this process dials, and is dialled. A machine is gone when a
 * filter drops all that comes from it before TCP sees it, which takes no privileges (socket(7),
 * SO_ATTACH_FILTER); what goes to it then comes to nothing, too.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libxo/lane_silence.h"
#include "t/lane-rig.h"

#define MESSAGES 64
#define MESSAGE_BYTES (1 << 20) /* altogether more than the kernels' buffers take */
#define FDS 1024
#define TICK_MS 20

#define BOUND_MS 4000 /* 3 heartbeats, and a busy machine */
#define AT_ONCE_MS 2000
#define STILL_US 5000000 /* all bounds and more */
/* The kernel has asked at 0.2, 0.6, 1.4 and 3 s; if it went on so, it would be after the bound that
 * it had asked twice more. */
#define FULL_US 4000000

/* ---- the peer ---- */

static void __attribute__((noreturn)) echo_on(rig_t *rig)
{
    while (true)
        xo_loop_once(rig->loop, -1);
}

static void __attribute__((noreturn)) serve(int out)
{
    rig_t *rig = calloc(1, sizeof *rig);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    rig_open(rig);
    rig->echo = true;
    rig_listen(rig, "tcp://127.0.0.1:0");
    if (write(out, rig->listener->endpoint, sizeof rig->listener->endpoint) < 0)
        _exit(1);
    echo_on(rig);
}

static void dial(fixture_t *f, void *arg)
{
    rig_t *rig = calloc(1, sizeof *rig);
    end_t *end = calloc(1, sizeof *end);

    (void)arg;
    rig_open(rig);
    rig_dial(rig, end, xo_listener_endpoint(f->rig.listener));
    end->echo = true;
    send_seq(end->lane, 1);
    echo_on(rig);
}

/* ---- this end ---- */

typedef struct place {
    pid_t peer;
    end_t *end;
    int fd;
} place_t;

/* One peer that was dialled, and one that dials. */
typedef struct places {
    fixture_t *f;
    end_t dialled;
    place_t both[2];
    xo_timer_t tick; /* so that RUN_UNTIL looks again */
} places_t;

static void on_tick(xo_timer_t *timer, void *arg)
{
    (void)arg;
    xo_timer_start(timer, TICK_MS * XO_MS);
}

static bool is_connection(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;

    return getpeername(fd, (struct sockaddr *)&address, &size) == 0 &&
           address.sin_family == AF_INET;
}

static int find_connection(int but)
{
    int fd = 0;

    while (fd < FDS && (fd == but || !is_connection(fd)))
        fd++;
    assert_int_not_equal(fd, FDS);
    return fd;
}

/* The lane of either has had its first message when this returns. */
static void join(places_t *places)
{
    fixture_t *f = places->f;
    end_t *end = fixture_join(f, dial, NULL);

    places->both[0] = (place_t){f->child, end, find_connection(-1)};
    f->child = 0;
}

static void meet(places_t *places)
{
    fixture_t *f = places->f;

    fixture_serve(f, serve);
    rig_dial(&f->rig, &places->dialled, f->endpoint);
    send_seq(places->dialled.lane, 1);
    RUN_UNTIL(&f->rig, places->dialled.received == 1);
    places->both[1] = (place_t){f->child, &places->dialled, find_connection(places->both[0].fd)};
    f->child = 0;
}

static void begin(places_t *places, fixture_t *f)
{
    *places = (places_t){.f = f};
    xo_timer_init(&places->tick, f->rig.loop, on_tick, NULL);
    on_tick(&places->tick, NULL);
    rig_listen(&f->rig, f->endpoint);
    join(places);
    meet(places);
}

static void kill_both(places_t *places)
{
    for (int i = 0; i < 2; i++) {
        places->f->child = places->both[i].peer;
        places->both[i].peer = 0;
        fixture_end_child(places->f);
    }
}

static void finish(places_t *places)
{
    end_destroy(places->both[0].end);
    end_destroy(places->both[1].end);
    xo_timer_stop(&places->tick);
    kill_both(places);
}

static void send_many(places_t *places)
{
    for (uint64_t seq = 2; seq < 2 + MESSAGES; seq++)
        for (int i = 0; i < 2; i++) {
            xo_msg_t *msg = make_msg(seq, MESSAGE_BYTES);
            assert_int_equal(xo_lane_send(places->both[i].end->lane, &msg), 0);
        }
}

static void lose_the_machines(places_t *places)
{
    struct sock_filter nothing = {.code = BPF_RET | BPF_K, .k = 0};
    struct sock_fprog filter = {.len = 1, .filter = &nothing};

    for (int i = 0; i < 2; i++)
        assert_int_equal(
            setsockopt(places->both[i].fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter),
            0);
}

/* For how long has the peer had no room, while something waited for it? */
static bool is_full(const place_t *place, uint64_t for_us)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    getsockopt(place->fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info.tcpi_rwnd_limited >= for_us;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* How many times longer than alone things may take on this machine now. */
static double how_busy(void)
{
    double load, cores = (double)sysconf(_SC_NPROCESSORS_ONLN);

    return getloadavg(&load, 1) == 1 && load > cores ? load / cores : 1;
}

static void close_within(places_t *places, int64_t bound_ms)
{
    const end_t *a = places->both[0].end, *b = places->both[1].end;
    int64_t start_ms = now_ms();

    RUN_UNTIL(&places->f->rig, a->closed && b->closed);
    assert_true((double)(now_ms() - start_ms) < (double)bound_ms * how_busy());
    assert_int_equal(a->why, ECONNRESET);
    assert_int_equal(b->why, ECONNRESET);
}

static void stay_open(const places_t *places)
{
    assert_int_equal(places->both[0].end->closed, 0);
    assert_int_equal(places->both[1].end->closed, 0);
}

static void stop_and_fill(places_t *places, uint64_t for_us)
{
    const place_t *both = places->both;

    kill(both[0].peer, SIGSTOP);
    kill(both[1].peer, SIGSTOP);
    send_many(places);
    RUN_UNTIL(&places->f->rig, (is_full(&both[0], for_us) && is_full(&both[1], for_us)) ||
                                   both[0].end->closed || both[1].end->closed);
    stay_open(places);
}

/* ---- the tests ---- */

static void gone_while_idle(void **state)
{
    places_t places;

    begin(&places, *state);
    lose_the_machines(&places);
    close_within(&places, BOUND_MS);
    finish(&places);
}

static void gone_while_sending(void **state)
{
    places_t places;

    begin(&places, *state);
    lose_the_machines(&places);
    send_many(&places);
    close_within(&places, BOUND_MS);
    finish(&places);
}

static bool kernel_asks_often(const places_t *places)
{
    int ms;
    socklen_t size = sizeof ms;

    return getsockopt(places->both[0].fd, IPPROTO_TCP, XOI_TCP_RTO_MAX_MS, &ms, &size) == 0;
}

static void gone_while_full(void **state)
{
    places_t places;

    begin(&places, *state);
    if (!kernel_asks_often(&places))
        skip();
    stop_and_fill(&places, FULL_US);
    lose_the_machines(&places);
    close_within(&places, BOUND_MS);
    finish(&places);
}

static void killed_while_full(void **state)
{
    places_t places;

    begin(&places, *state);
    stop_and_fill(&places, 1);
    kill_both(&places);
    close_within(&places, AT_ONCE_MS);
    finish(&places);
}

/* Of one that stood still before it was dialled the kernel takes the connection all the same. */
static int dial_one_that_stands_still(fixture_t *f, end_t *end)
{
    int fd = fixture_listen_plain(f, 1);

    rig_dial(&f->rig, end, f->endpoint);
    return fd;
}

static bool have_all(const places_t *places)
{
    const end_t *a = places->both[0].end, *b = places->both[1].end;

    assert_false(a->closed || b->closed);
    return a->received == 1 + MESSAGES && b->received == 1 + MESSAGES;
}

static void stands_still(void **state)
{
    fixture_t *f = *state;
    places_t places;
    end_t mute;
    int fd;

    begin(&places, f);
    fd = dial_one_that_stands_still(f, &mute);
    stop_and_fill(&places, STILL_US);
    kill(places.both[0].peer, SIGCONT);
    kill(places.both[1].peer, SIGCONT);
    RUN_UNTIL(&f->rig, have_all(&places));
    assert_false(places.both[0].end->out_of_order || places.both[1].end->out_of_order);
    RUN_UNTIL(&f->rig, mute.closed);
    assert_int_equal(mute.why, ETIMEDOUT);
    end_destroy(&mute);
    close(fd);
    finish(&places);
}

/* What the kernel says, and what that means. */
static void who_is_silent(void **state)
{
    static const struct {
        uint32_t ack_ms, data_ms;
        uint8_t probes, retransmits;
        bool silent;
    } cases[] = {
        {0, 0, 0, 0, false},
        {XOI_SILENCE_MS - 1, XOI_SILENCE_MS, 2, 0, false},
        {XOI_SILENCE_MS, XOI_SILENCE_MS, 2, 0, true},
        {XOI_SILENCE_MS, XOI_SILENCE_MS, 0, 2, true},
        {XOI_SILENCE_MS, XOI_SILENCE_MS, 1, 0, false}, /* asked once: it may be lost */
        {60000, 60000, 0, 0, false},                   /* nobody asked */
        {60000, 0, 2, 0, false},                       /* it sends */
        {0, 60000, 0, 2, false},                       /* it acknowledges */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tcp_info info = {.tcpi_last_ack_recv = cases[i].ack_ms,
                                .tcpi_last_data_recv = cases[i].data_ms,
                                .tcpi_probes = cases[i].probes,
                                .tcpi_retransmits = cases[i].retransmits};
        assert_int_equal(xoi_is_silent(&info), cases[i].silent);
    }
}

static void what_is_no_tcp_is_not_watched(void **state)
{
    fixture_t *f = *state;
    xoi_silence_t silence;
    int fds[2];

    xoi_silence_init(&silence, f->rig.loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    xoi_silence_watch(&silence, fds[0]);
    assert_int_equal(silence.fd, -1);
    close(fds[0]);
    close(fds[1]);
}

/* The descriptor is libzmq's: once that has closed it, it can be anything. */
static void another_ones_descriptor_is_left_alone(void **state)
{
    fixture_t *f = *state;
    xoi_silence_t silence;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int another = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    xoi_silence_init(&silence, f->rig.loop);
    xoi_silence_watch(&silence, fd);
    assert_int_equal(silence.fd, fd);
    assert_int_equal(dup3(another, fd, O_CLOEXEC), fd);
    xo_timer_start(&silence.look, 0);
    RUN_UNTIL(&f->rig, !xo_timer_active(&silence.look));
    assert_int_equal(silence.fd, -1);
    xoi_silence_stop(&silence);
    close(fd);
    close(another);
}

#define T(test)                                                                                    \
    {                                                                                              \
#test, test, fixture_open, fixture_close, "tcp"                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_silent),
        T(what_is_no_tcp_is_not_watched),
        T(another_ones_descriptor_is_left_alone),
        T(gone_while_idle),
        T(gone_while_sending),
        T(gone_while_full),
        T(killed_while_full),
        T(stands_still),
    };
    scratch_t scratch;
    int rc;

    scratch_enter(&scratch);
    rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
