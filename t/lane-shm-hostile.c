/* lane-shm-hostile.c - peers of lanes in shared memory that lie: about the memory, in the memory.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libxo/lane_shm.h"
#include "libxo/unix_socket.h"
#include "t/lane-rig.h"

static const char *path_of(fixture_t *f)
{
    return strstr(f->endpoint, "://") + 3;
}

/* A socket that sends `byte`, and `fd`, which it closes. */
static int knock(fixture_t *f, char byte, int fd)
{
    int socket = xoi_unix_connect(path_of(f), NULL);

    assert_true(socket >= 0);
    assert_int_equal(xoi_fd_send(socket, byte, fd), 0);
    if (fd >= 0)
        close(fd);
    return socket;
}

static int plain_memory(size_t size, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

/* Memory as a dialler makes it, with other numbers. */
static xoi_shm_head_t *lane_memory(uint64_t magic, uint64_t ring_bytes, size_t size, int *fd)
{
    xoi_segment_t segment;

    assert_int_equal(xoi_segment_create(&segment, size, fd, NULL), 0);
    xoi_shm_head_t *head = segment.memory;
    head->magic = magic;
    head->ring_bytes = ring_bytes;
    return head;
}

#define SEALED (F_SEAL_SHRINK | F_SEAL_GROW)
#define RING XOI_SHM_RING_BYTES_MIN
#define WHOLE (XOI_SHM_DATA_AT + 2 * (size_t)RING)

static int wrong_memory(int i)
{
    int fd = -1;
    const struct {
        uint64_t magic, ring_bytes;
        size_t size;
    } heads[] = {{1, RING, WHOLE},
                 {XOI_SHM_MAGIC, RING + 1, WHOLE},
                 {XOI_SHM_MAGIC, 2 * RING, WHOLE},
                 {XOI_SHM_MAGIC, 0, XOI_SHM_DATA_AT},
                 {XOI_SHM_MAGIC, UINT64_MAX, WHOLE},
                 {XOI_SHM_MAGIC, (uint64_t)1 << 63, WHOLE}};

    switch (i) {
    case 0:
        return plain_memory(WHOLE, 0);
    case 1:
        return plain_memory(WHOLE, F_SEAL_GROW);
    case 2:
        return plain_memory(0, SEALED);
    case 3:
        return plain_memory(XOI_SHM_BYTES_MAX + 4096, SEALED);
    case 4:
        return plain_memory(100, SEALED);
    case 5:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    default:
        if (i - 6 >= (int)(sizeof heads / sizeof *heads))
            return -1;
        munmap(lane_memory(heads[i - 6].magic, heads[i - 6].ring_bytes, heads[i - 6].size, &fd),
               heads[i - 6].size);
        return fd;
    }
}

static void who_brings_no_lane_is_refused(void **state)
{
    fixture_t *f = *state;
    int refused = 0;
    int socket, fd;
    end_t good;

    rig_listen(&f->rig, f->endpoint);
    for (int i = 0; (fd = wrong_memory(i)) >= 0; i++, refused++) {
        socket = knock(f, XOI_SHM_VERSION, fd);
        RUN_UNTIL(&f->rig, f->rig.refused == refused + 1);
        close(socket);
    }
    assert_int_equal(refused, 12);
    socket = knock(f, XOI_SHM_VERSION, -1);
    RUN_UNTIL(&f->rig, f->rig.refused == 13);
    close(socket);
    munmap(lane_memory(XOI_SHM_MAGIC, RING, WHOLE, &fd), WHOLE);
    socket = knock(f, XOI_SHM_VERSION + 1, fd);
    RUN_UNTIL(&f->rig, f->rig.refused == 14);
    close(socket);
    close(xoi_unix_connect(path_of(f), NULL)); /* says nothing: no offence */
    rig_dial(&f->rig, &good, f->endpoint);
    send_seq(good.lane, 1);
    RUN_UNTIL(&f->rig, f->rig.accepted[0].received == 1);
    assert_int_equal(f->rig.refused, 14);
    end_destroy(&good);
}

typedef struct hostile {
    int socket;
    xoi_shm_head_t *head;
    xoi_ring_t out;
} hostile_t;

/* A lane of which one message, a good one, has arrived. */
static end_t *be_hostile(fixture_t *f, hostile_t *hostile)
{
    end_t *end = &f->rig.accepted[f->rig.accepted_count];
    xo_msg_t *msg = make_msg(1, 0);
    unsigned char head[XOI_STREAM_HEAD_BYTES] = {0};
    zmq_msg_t frame;
    int fd;

    hostile->head = lane_memory(XOI_SHM_MAGIC, RING, WHOLE, &fd);
    xoi_ring_attach(&hostile->out, &hostile->head->to_listener,
                    (char *)hostile->head + XOI_SHM_DATA_AT, RING);
    xo_msg_to_frames(&msg, &frame);
    head[0] = (unsigned char)(zmq_msg_size(&frame) << 1);
    xoi_ring_put(&hostile->out, head, sizeof head);
    xoi_ring_put(&hostile->out, zmq_msg_data(&frame), zmq_msg_size(&frame));
    xoi_ring_publish(&hostile->out);
    zmq_msg_close(&frame);
    hostile->socket = knock(f, XOI_SHM_VERSION, fd);
    RUN_UNTIL(&f->rig, end->received == 1);
    return end;
}

static void fall_out_with(fixture_t *f, hostile_t *hostile, end_t *end, int why)
{
    xoi_fd_send(hostile->socket, 'b', -1);
    RUN_UNTIL(&f->rig, end->closed);
    assert_int_equal(end->why, why);
    assert_int_equal(end->received, 1);
    close(hostile->socket);
    munmap(hostile->head, WHOLE);
    end_destroy(end);
}

static void impossible_numbers_close_the_lane(void **state)
{
    fixture_t *f = *state;
    const uint64_t tails[] = {RING * 3, UINT64_MAX, 1, 0}; /* the past, and too far a future */
    const uint64_t heads[] = {RING * 3, UINT64_MAX, UINT64_MAX / 2, (uint64_t)1 << 63};
    hostile_t hostile;
    end_t *end;

    rig_listen(&f->rig, f->endpoint);
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        end = be_hostile(f, &hostile);
        hostile.head->to_listener.tail = tails[i];
        fall_out_with(f, &hostile, end, EBADMSG);
        end = be_hostile(f, &hostile);
        hostile.head->to_dialler.head = heads[i];
        for (int n = 0; n < 200 && end->lane && !end->closed; n++) {
            xo_msg_t *msg = make_msg(1, 100); /* it looks at the index once the ring is full */
            xo_lane_send(end->lane, &msg);
            xo_msg_destroy(&msg);
        }
        fall_out_with(f, &hostile, end, EBADMSG);
    }
}

/* A bell that cannot be rung meanwhile changes nothing about why. */
static void a_broken_ring_is_named_though_nobody_listens(void **state)
{
    fixture_t *f = *state;
    hostile_t hostile;

    rig_listen(&f->rig, f->endpoint);
    end_t *end = be_hostile(f, &hostile);
    hostile.head->to_dialler.head = RING * 3;
    shutdown(hostile.socket, SHUT_RDWR);
    for (int n = 0, rc = 0; n < 10 && rc == 0; n++) {
        xo_msg_t *msg = make_msg(1, 1000);
        hostile.head->to_dialler.reader_sleeps = 1;
        rc = xo_lane_send(end->lane, &msg);
        xo_msg_destroy(&msg);
    }
    fall_out_with(f, &hostile, end, EBADMSG);
}

static void garbage_closes_the_lane(void **state)
{
    fixture_t *f = *state;
    const unsigned char garbage[][9] = {{2, 0, 0, 0, 0, 0, 0, 0, 0xc1},
                                        {255, 255, 255, 255, 255, 255, 255, 255, 255}};
    hostile_t hostile;

    rig_listen(&f->rig, f->endpoint);
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        end_t *end = be_hostile(f, &hostile);
        xoi_ring_put(&hostile.out, garbage[i], sizeof garbage[i]);
        xoi_ring_publish(&hostile.out);
        fall_out_with(f, &hostile, end, EBADMSG);
    }
}

static void half_a_message_is_none(void **state)
{
    fixture_t *f = *state;
    const unsigned char half[12] = {200, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4};
    hostile_t hostile;

    rig_listen(&f->rig, f->endpoint);
    for (size_t size = 1; size <= sizeof half; size++) {
        end_t *end = be_hostile(f, &hostile);
        xoi_ring_put(&hostile.out, half, size);
        xoi_ring_publish(&hostile.out);
        shutdown(hostile.socket, SHUT_RDWR);
        fall_out_with(f, &hostile, end, ECONNRESET);
    }
}

/* The rest comes once, and what is no file in memory reads as none. */
static void strange_rests_are_none(void **state)
{
    fixture_t *f = *state;
    hostile_t hostile;
    int fds[2];

    rig_listen(&f->rig, f->endpoint);
    for (int i = 0; i < 2; i++) {
        end_t *end = be_hostile(f, &hostile);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        int endless = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        xoi_fd_send(hostile.socket, XOI_SHM_REST, i ? endless : fds[0]);
        xoi_fd_send(hostile.socket, XOI_SHM_REST, fds[1]);
        close(fds[0]);
        close(fds[1]);
        close(endless);
        shutdown(hostile.socket, SHUT_RDWR);
        fall_out_with(f, &hostile, end, ECONNRESET);
    }
}

/* ---- large buffers ---- */

#define PLACE 65536

static xoi_shelf_t *lend_shelf(hostile_t *hostile)
{
    int fd;
    xoi_shelf_t *shelf = xoi_shelf_create(PLACE, 2, &fd, NULL);

    assert_non_null(shelf);
    assert_int_equal(xoi_fd_send(hostile->socket, XOI_SHM_SHELF, fd), 0);
    close(fd);
    return shelf;
}

static void put_number(hostile_t *hostile, uint64_t number)
{
    unsigned char bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(number >> (8 * i));
    xoi_ring_put(&hostile->out, bytes, sizeof bytes);
}

/* A message of one frame, or the first of two. */
static void put_frame(hostile_t *hostile, uint64_t seq, bool more)
{
    xo_msg_t *msg = make_msg(seq, 0);
    zmq_msg_t frame;

    xo_msg_to_frames(&msg, &frame);
    put_number(hostile, (uint64_t)zmq_msg_size(&frame) << 1 | more);
    xoi_ring_put(&hostile->out, zmq_msg_data(&frame), zmq_msg_size(&frame));
    zmq_msg_close(&frame);
}

static void put_lent(hostile_t *hostile, uint64_t size, uint64_t where)
{
    put_number(hostile, XOI_STREAM_LENT | size << 1);
    put_number(hostile, where);
}

static void what_was_not_lent_closes_the_lane(void **state)
{
    fixture_t *f = *state;
    const struct {
        uint64_t size, where;
    } lies[] = {{PLACE + 1, 0},
                {PLACE, 2},                 /* no such shelf */
                {PLACE, (uint64_t)2 << 32}, /* no such place */
                {PLACE, UINT64_MAX},
                {(uint64_t)16 << 30, 0}};
    hostile_t hostile;

    rig_listen(&f->rig, f->endpoint);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        end_t *end = be_hostile(f, &hostile);
        xoi_shelf_t *shelf = lend_shelf(&hostile);
        put_frame(&hostile, 2, true);
        put_lent(&hostile, lies[i].size, lies[i].where);
        xoi_ring_publish(&hostile.out);
        fall_out_with(f, &hostile, end, EBADMSG);
        xoi_shelf_decref(shelf);
    }
}

/* It could be changed after it was checked. */
static void the_first_frame_may_not_be_lent(void **state)
{
    fixture_t *f = *state;
    hostile_t hostile;

    rig_listen(&f->rig, f->endpoint);
    end_t *end = be_hostile(f, &hostile);
    xoi_shelf_t *shelf = lend_shelf(&hostile);
    put_lent(&hostile, 100, 0);
    xoi_ring_publish(&hostile.out);
    fall_out_with(f, &hostile, end, EBADMSG);
    xoi_shelf_decref(shelf);
}

static void one_place_is_lent_once_at_a_time(void **state)
{
    fixture_t *f = *state;
    hostile_t hostile;

    rig_listen(&f->rig, f->endpoint);
    end_t *end = be_hostile(f, &hostile);
    xoi_shelf_t *shelf = lend_shelf(&hostile);
    put_frame(&hostile, 2, true);
    put_number(&hostile, XOI_STREAM_LENT | (uint64_t)PLACE << 1 | 1);
    put_number(&hostile, (uint64_t)1 << 32);
    put_lent(&hostile, PLACE, (uint64_t)1 << 32);
    xoi_ring_publish(&hostile.out);
    fall_out_with(f, &hostile, end, EBADMSG);
    xoi_shelf_decref(shelf);
}

static void a_shelf_that_is_none_closes_the_lane(void **state)
{
    fixture_t *f = *state;
    hostile_t hostile;

    rig_listen(&f->rig, f->endpoint);
    for (int i = 0; i < 3; i++) {
        end_t *end = be_hostile(f, &hostile);
        int fd = i == 0 ? -1 : i == 1 ? plain_memory(WHOLE, 0) : plain_memory(WHOLE, SEALED);
        xoi_fd_send(hostile.socket, XOI_SHM_SHELF, fd);
        if (fd >= 0)
            close(fd);
        RUN_UNTIL(&f->rig, end->closed);
        fall_out_with(f, &hostile, end, i == 0 ? EMFILE : EBADMSG);
    }
}

/* Before what it lends it passes so many bells that somebody would be busy hearing them. */
static void bells_without_end_are_not_listened_to(void **state)
{
    static char bells[XOI_SHM_READS_MAX * 64 / 8];
    fixture_t *f = *state;
    hostile_t hostile;

    rig_listen(&f->rig, f->endpoint);
    end_t *end = be_hostile(f, &hostile);
    setsockopt(hostile.socket, SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int));
    memset(bells, XOI_SHM_BELL, sizeof bells);
    for (int i = 0; i < 9; i++)
        if (send(hostile.socket, bells, sizeof bells, MSG_NOSIGNAL) != (ssize_t)sizeof bells)
            skip(); /* the kernel allows less */
    xoi_shelf_decref(lend_shelf(&hostile));
    put_frame(&hostile, 2, true);
    put_lent(&hostile, PLACE, 0);
    xoi_ring_publish(&hostile.out);
    fall_out_with(f, &hostile, end, EBADMSG);
}

typedef struct sleeper {
    fixture_t *f;
    hostile_t *hostile;
    int received;
} sleeper_t;

static void publish(hostile_t *hostile)
{
    if (xoi_ring_publish(&hostile->out))
        assert_int_equal(xoi_fd_send(hostile->socket, XOI_SHM_BELL, -1), 0);
}

/* The loop sleeps within the handler of the first message. Then a bell is rung for the second,
 * which is heard when the third asks for what was passed over the socket. */
static void sleep_in_handler(xo_lane_t *lane, xo_msg_t **msg, void *arg)
{
    sleeper_t *sleeper = arg;

    (void)lane;
    xo_msg_destroy(msg);
    if (sleeper->received++ > 0)
        return;
    xo_loop_once(sleeper->f->rig.loop, 1);
    assert_int_equal(sleeper->hostile->head->to_listener.reader_sleeps, 1);
    put_frame(sleeper->hostile, 3, false);
    publish(sleeper->hostile);
    xoi_shelf_decref(lend_shelf(sleeper->hostile));
    put_frame(sleeper->hostile, 4, true);
    put_lent(sleeper->hostile, PLACE, 0);
    publish(sleeper->hostile);
}

static void a_bell_that_a_buffer_hears_is_not_lost(void **state)
{
    static const xo_lane_events_t events = {.message = sleep_in_handler};
    fixture_t *f = *state;
    hostile_t hostile;
    sleeper_t sleeper = {f, &hostile, 0};

    rig_listen(&f->rig, f->endpoint);
    end_t *end = be_hostile(f, &hostile);
    xo_lane_set_events(end->lane, &events, &sleeper);
    put_frame(&hostile, 2, false);
    publish(&hostile);
    RUN_UNTIL(&f->rig, sleeper.received == 3);
    put_frame(&hostile, 5, false);
    publish(&hostile);
    RUN_UNTIL(&f->rig, sleeper.received == 4);
    end_destroy(end);
    close(hostile.socket);
    munmap(hostile.head, WHOLE);
}

/* What it does to its own memory afterwards harms what was read from there, and nobody else. */
static void a_shelf_may_change_at_any_time(void **state)
{
    fixture_t *f = *state;
    hostile_t hostile;

    rig_listen(&f->rig, f->endpoint);
    end_t *end = be_hostile(f, &hostile);
    xoi_shelf_t *shelf = lend_shelf(&hostile);
    for (uint64_t seq = 2; seq < 5; seq++) {
        put_frame(&hostile, seq, true);
        put_lent(&hostile, PLACE, 0);
        xoi_ring_publish(&hostile.out);
        xoi_fd_send(hostile.socket, XOI_SHM_BELL, -1);
        RUN_UNTIL(&f->rig, end->received == seq);
        memset(shelf->head, 0xff, 4096);
    }
    assert_int_equal(end->closed, 0);
    xoi_fd_send(hostile.socket, XOI_SHM_RETIRED, -1);
    RUN_UNTIL(&f->rig, ((xoi_shm_lane_t *)end->lane)->borrow.count == 0);
    xoi_shelf_decref(shelf);
    close(hostile.socket);
    munmap(hostile.head, WHOLE);
    end_destroy(end);
}

#define SHM_TEST(test)                                                                             \
    {                                                                                              \
#test, test, fixture_open, fixture_close, "shm"                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHM_TEST(who_brings_no_lane_is_refused),
        SHM_TEST(impossible_numbers_close_the_lane),
        SHM_TEST(a_broken_ring_is_named_though_nobody_listens),
        SHM_TEST(garbage_closes_the_lane),
        SHM_TEST(half_a_message_is_none),
        SHM_TEST(strange_rests_are_none),
        SHM_TEST(what_was_not_lent_closes_the_lane),
        SHM_TEST(the_first_frame_may_not_be_lent),
        SHM_TEST(one_place_is_lent_once_at_a_time),
        SHM_TEST(a_shelf_that_is_none_closes_the_lane),
        SHM_TEST(bells_without_end_are_not_listened_to),
        SHM_TEST(a_bell_that_a_buffer_hears_is_not_lost),
        SHM_TEST(a_shelf_may_change_at_any_time),
    };
    scratch_t scratch;
    int rc;

    scratch_enter(&scratch);
    rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
