/* lane-shm-bulk.c - large buffers over lanes in shared memory: they arrive without a copy, go back
 * when they are closed, and nobody who dies takes anything along. Memory alone is in shelf.c.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxo/lane_shm.h"
#include "t/lane-rig.h"

#define MIB ((size_t)1 << 20)
#define KEPT_MAX 16
#define BODY_BYTES 5

/* The end that came in, which keeps the buffers of what it gets. */
typedef struct keeper {
    xoi_shm_lane_t *lane;
    zmq_msg_t kept[KEPT_MAX];
    size_t count;
    uint64_t received;
    bool out_of_order;
    int closed; /* errno */
} keeper_t;

static void keep(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    keeper_t *keeper = arg;

    (void)lane;
    for (size_t i = 0; i < xo_msg_buffer_count(*msg) && keeper->count < KEPT_MAX; i++)
        assert_int_equal(xo_msg_copy_buffer(*msg, i, &keeper->kept[keeper->count++]), 0);
    if (xo_msg_header(*msg)->seq != ++keeper->received)
        keeper->out_of_order = true;
    xo_msg_destroy(msg);
}

static void note_closed(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    (void)lane;
    ((keeper_t *)arg)->closed = why->errnum;
}

static const xo_lane_events_t keep_events = {.message = keep, .closed = note_closed};

static void give_back(keeper_t *keeper)
{
    while (keeper->count > 0)
        zmq_msg_close(&keeper->kept[--keeper->count]);
}

/* The other end is `end`'s; both have met. */
static void meet(fixture_t *f, end_t *end, keeper_t *keeper)
{
    end_t *accepted = rig_meet(&f->rig, end, f->endpoint);

    *keeper = (keeper_t){.lane = (xoi_shm_lane_t *)accepted->lane, .received = 1};
    xo_lane_set_events(accepted->lane, &keep_events, keeper);
}

static xo_msg_t *bulk_msg(xo_lane_t *lane, uint64_t seq, size_t size)
{
    xo_msg_t *msg = make_msg(seq, BODY_BYTES - 2);
    zmq_msg_t buffer;

    assert_int_equal(xo_lane_buffer(lane, size, &buffer), 0);
    memset(zmq_msg_data(&buffer), (int)seq, size);
    assert_int_equal(xo_msg_add_buffer(msg, &buffer), 0);
    return msg;
}

static void send_bulk(xo_lane_t *lane, uint64_t seq, size_t size)
{
    xo_msg_t *msg = bulk_msg(lane, seq, size);

    assert_int_equal(xo_lane_send(lane, &msg), 0);
}

static void check(zmq_msg_t *frame, size_t size, uint64_t seq)
{
    const unsigned char *bytes = zmq_msg_data(frame);

    assert_int_equal(zmq_msg_size(frame), size);
    assert_int_equal(bytes[0], (unsigned char)seq);
    assert_int_equal(memcmp(bytes, bytes + 1, size - 1), 0);
}

static xoi_store_t *store_of(end_t *end)
{
    return &((xoi_shm_lane_t *)end->lane)->store;
}

/* ---- two ends that live ---- */

static void a_buffer_is_lent_until_it_is_closed(void **state)
{
    fixture_t *f = *state;
    keeper_t keeper;
    end_t end;

    meet(f, &end, &keeper);
    for (uint64_t seq = 2; seq < 10; seq++) {
        send_bulk(end.lane, seq, 3 * MIB);
        RUN_UNTIL(&f->rig, keeper.count == 1);
        check(&keeper.kept[0], 3 * MIB, seq);
        assert_int_equal(xoi_store_lent_bytes(store_of(&end)), 3 * MIB);
        give_back(&keeper);
        assert_int_equal(xoi_store_lent_bytes(store_of(&end)), 0);
    }
    assert_int_equal(store_of(&end)->passed, 1); /* one place for all of them */
    end_destroy(&end);
}

/* What comes back as it came is in the other side's memory, and is copied once. */
static void what_was_borrowed_is_sent_on(void **state)
{
    fixture_t *f = *state;
    end_t end;

    f->rig.echo = true;
    rig_listen(&f->rig, f->endpoint);
    rig_dial(&f->rig, &end, f->endpoint);
    for (uint64_t seq = 1; seq < 20; seq++) {
        send_bulk(end.lane, seq, 65536 + 1000 * seq);
        RUN_UNTIL(&f->rig, end.received == seq);
        assert_int_equal(end.last_bytes, 65536 + 1000 * seq + BODY_BYTES);
    }
    assert_int_equal(xoi_store_lent_bytes(store_of(&end)), 0);
    end_destroy(&end);
}

static void a_full_store_keeps_the_order(void **state)
{
    fixture_t *f = *state;
    keeper_t keeper;
    end_t end;

    meet(f, &end, &keeper);
    store_of(&end)->bytes_max = 9 * MIB;
    for (uint64_t seq = 2; seq < 10; seq++)
        send_bulk(end.lane, seq, seq == 5 ? 100 : 4 * MIB);
    RUN_UNTIL(&f->rig, keeper.received == 9);
    assert_false(keeper.out_of_order);
    for (uint64_t seq = 2; seq < 10; seq++)
        check(&keeper.kept[seq - 2], seq == 5 ? 100 : 4 * MIB, seq);
    assert_int_equal(xoi_store_lent_bytes(store_of(&end)), 8 * MIB);
    give_back(&keeper);
    assert_int_equal(xoi_store_lent_bytes(store_of(&end)), 0);
    end_destroy(&end);
}

static void without_memory_buffers_go_through_the_ring(void **state)
{
    fixture_t *f = *state;
    struct rlimit before, small;
    keeper_t keeper;
    end_t end;

    meet(f, &end, &keeper);
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){.rlim_cur = 65536, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    send_bulk(end.lane, 2, 3 * MIB);
    RUN_UNTIL(&f->rig, keeper.received == 2);
    setrlimit(RLIMIT_FSIZE, &before);
    check(&keeper.kept[0], 3 * MIB, 2);
    assert_int_equal(store_of(&end)->count, 0);
    give_back(&keeper);
    end_destroy(&end);
}

/* The time is the test's. */
static void what_is_idle_goes_on_both_sides(void **state)
{
    fixture_t *f = *state;
    keeper_t keeper;
    end_t end;

    meet(f, &end, &keeper);
    send_bulk(end.lane, 2, 3 * MIB);
    RUN_UNTIL(&f->rig, keeper.received == 2);
    assert_int_equal(keeper.lane->borrow.count, 1);
    xo_loop_freeze(f->rig.loop, xo_loop_now(f->rig.loop));
    for (int i = 0; i < 2 * XOI_STORE_IDLE_TICKS; i++) {
        xo_loop_advance(f->rig.loop, 1000 * XO_MS);
        while (xo_loop_once(f->rig.loop, 0))
            continue;
    }
    assert_int_equal(store_of(&end)->count, 1); /* it is lent */
    give_back(&keeper);
    for (int i = 0; i < 2 * XOI_STORE_IDLE_TICKS; i++) {
        xo_loop_advance(f->rig.loop, 1000 * XO_MS);
        while (xo_loop_once(f->rig.loop, 0))
            continue;
    }
    assert_int_equal(store_of(&end)->count, 0);
    while (keeper.lane->borrow.count > 0)
        xo_loop_once(f->rig.loop, 0);
    assert_false(xo_timer_active(&((xoi_shm_lane_t *)end.lane)->tick));
    end_destroy(&end);
}

/* ---- the end of a lane ---- */

static void buffers_outlive_the_lane(void **state)
{
    fixture_t *f = *state;
    keeper_t keeper;
    end_t end;

    meet(f, &end, &keeper);
    send_bulk(end.lane, 2, 3 * MIB);
    xo_msg_t *unsent = bulk_msg(end.lane, 3, 3 * MIB);
    RUN_UNTIL(&f->rig, keeper.received == 2);
    end_destroy(&end);
    RUN_UNTIL(&f->rig, keeper.closed);
    check(&keeper.kept[0], 3 * MIB, 2);
    end_destroy(&f->rig.accepted[0]);
    check(&keeper.kept[0], 3 * MIB, 2);
    memset(zmq_msg_data(&keeper.kept[0]), 1, 3 * MIB);
    give_back(&keeper);
    assert_int_equal(xo_msg_buffer(unsent, 0).data[MIB], 3);
    xo_msg_destroy(&unsent);
}

/* What was lent is the peer's to take; what waits behind a full ring goes into a file. */
static void the_rest_holds_lent_and_other_buffers(void **state)
{
    fixture_t *f = *state;
    keeper_t keeper;
    end_t end;
    xo_msg_t *msg;

    meet(f, &end, &keeper);
    send_bulk(end.lane, 2, 3 * MIB);
    for (uint64_t seq = 3; seq < 8; seq++) { /* the ring is full in the midst of a message */
        msg = make_msg(seq, XOI_SHM_RING_BYTES * 2 / 5);
        assert_int_equal(xo_lane_send(end.lane, &msg), 0);
    }
    send_bulk(end.lane, 8, MIB);
    end_destroy(&end);
    RUN_UNTIL(&f->rig, keeper.closed);
    assert_int_equal(keeper.received, 8);
    assert_false(keeper.out_of_order);
    check(&keeper.kept[0], 3 * MIB, 2);
    check(&keeper.kept[1], MIB, 8);
    give_back(&keeper);
}

/* ---- processes ---- */

static void echo(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    (void)arg;
    if (xo_lane_send(lane, msg) < 0)
        _exit(2);
}

static void stop(xo_lane_t *lane, const xo_error_t *why, void *arg)
{
    (void)lane;
    (void)why;
    xo_loop_stop(arg);
}

static const xo_lane_events_t echo_events = {.message = echo, .closed = stop};

/* In a process of its own: sends a message, and echoes what comes. */
static void dial_echo(fixture_t *f, void *arg)
{
    xo_ctx_t *ctx = xo_ctx_create(NULL, NULL);
    xo_loop_t *loop = xo_loop_create(NULL);
    xo_lane_t *lane = xo_dial(ctx, loop, f->endpoint, &echo_events, loop, NULL);

    (void)arg;
    send_seq(lane, 1);
    xo_loop_run(loop);
}

/* Each process has lent to the other when one is killed, wherever it is then. */
static void a_killed_peer_takes_nothing_along(void **state)
{
    fixture_t *f = *state;
    const char *text = getenv("XO_TEST_SEED");
    unsigned seed = text ? (unsigned)atoi(text) : (unsigned)getpid();

    print_message("# XO_TEST_SEED=%u\n", seed);
    srand(seed);
    for (int i = 0; i < 30; i++) {
        end_t *end = fixture_join(f, dial_echo, NULL);
        keeper_t keeper = {.lane = (xoi_shm_lane_t *)end->lane, .received = 1};
        uint64_t last = 2 + (uint64_t)(rand() % 10);
        xo_lane_set_events(end->lane, &keep_events, &keeper);
        for (uint64_t seq = 2; seq < 20; seq++)
            send_bulk(end->lane, seq, 65536 + (size_t)(rand() % 200000));
        RUN_UNTIL(&f->rig, keeper.received >= last);
        for (int spin = rand() % 20000; spin > 0; spin--)
            __asm__ volatile("");
        fixture_end_child(f);
        RUN_UNTIL(&f->rig, keeper.closed);
        assert_int_equal(keeper.closed, ECONNRESET);
        assert_false(keeper.out_of_order);
        end_destroy(end);
        for (size_t k = 0; k < keeper.count; k++)
            check(&keeper.kept[k], zmq_msg_size(&keeper.kept[k]), k + 2);
        give_back(&keeper);
    }
}

#define LAST 30

static void a_stopped_peer_holds_nobody_up(void **state)
{
    fixture_t *f = *state;
    end_t *end = fixture_join(f, dial_echo, NULL);
    keeper_t keeper = {.lane = (xoi_shm_lane_t *)end->lane, .received = 1};
    int small = 1;

    xo_lane_set_events(end->lane, &keep_events, &keeper);
    kill(f->child, SIGSTOP);
    assert_int_equal(waitpid(f->child, NULL, WUNTRACED), f->child);
    setsockopt(keeper.lane->socket.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    for (uint64_t seq = 2; seq < LAST; seq++) { /* more than the socket takes descriptors for */
        xo_msg_t *msg = bulk_msg(end->lane, seq, seq % 3 ? 2 * MIB : 100);
        assert_int_equal(xo_lane_send(end->lane, &msg), 0);
    }
    assert_true(keeper.lane->store.refused);
    kill(f->child, SIGCONT);
    while (keeper.received < LAST - 1) {
        RUN_UNTIL(&f->rig, keeper.count > 0 || keeper.received == LAST - 1);
        give_back(&keeper);
    }
    assert_false(keeper.out_of_order);
}

/* It is not filled first, as memory is that its maker has not filled. */
static void what_is_too_much_takes_no_memory(void **state)
{
    xoi_borrow_t borrow = {.bytes = XOI_BORROW_BYTES_MAX - 8 * MIB + 1};
    struct stat st;
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    (void)state;
    assert_int_equal(ftruncate(fd, 8 * MIB), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    assert_errno(xoi_borrow_add(&borrow, fd, NULL), EBADMSG);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_blocks, 0);
    close(fd);
    xoi_borrow_free(&borrow);
}

#define BULK_TEST(test)                                                                            \
    {                                                                                              \
#test, test, fixture_open, fixture_close, "shm"                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BULK_TEST(a_buffer_is_lent_until_it_is_closed),
        BULK_TEST(what_was_borrowed_is_sent_on),
        BULK_TEST(a_full_store_keeps_the_order),
        BULK_TEST(without_memory_buffers_go_through_the_ring),
        BULK_TEST(what_is_idle_goes_on_both_sides),
        BULK_TEST(buffers_outlive_the_lane),
        BULK_TEST(the_rest_holds_lent_and_other_buffers),
        BULK_TEST(a_killed_peer_takes_nothing_along),
        BULK_TEST(a_stopped_peer_holds_nobody_up),
        BULK_TEST(what_is_too_much_takes_no_memory),
    };
    scratch_t scratch;
    int rc;

    scratch_enter(&scratch);
    rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
