/* shelf.c - large buffers in shared memory: what one side lends (libxo/store.h) and the other
 * borrows (libxo/borrow.h), without a lane between them. Run under ThreadSanitizer too.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxo/borrow.h"
#include "t/unit.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

typedef struct pair {
    xoi_store_t store;
    xoi_borrow_t borrow;
    int passed;
    bool full; /* the way between them */
} pair_t;

static int pass(void *arg, int fd)
{
    pair_t *pair = arg;

    if (pair->full)
        return -1;
    assert_int_equal(xoi_borrow_add(&pair->borrow, fd, NULL), 0);
    pair->passed++;
    return 0;
}

static int open_pair(void **state)
{
    pair_t *pair = calloc(1, sizeof *pair);

    xoi_store_init(&pair->store, pass, pair);
    *state = pair;
    return 0;
}

static int close_pair(void **state)
{
    pair_t *pair = *state;

    xoi_store_free(&pair->store);
    xoi_borrow_free(&pair->borrow);
    free(pair);
    return 0;
}

static void fill(zmq_msg_t *frame, unsigned char byte)
{
    memset(zmq_msg_data(frame), byte, zmq_msg_size(frame));
}

static void check(zmq_msg_t *frame, size_t size, unsigned char byte)
{
    const unsigned char *bytes = zmq_msg_data(frame);

    assert_int_equal(zmq_msg_size(frame), size);
    assert_int_equal(bytes[0], byte);
    assert_int_equal(memcmp(bytes, bytes + 1, size - 1), 0);
}

/* Sends a frame that was made anywhere, and closes it. */
static void carry(pair_t *pair, zmq_msg_t *frame, zmq_msg_t *got)
{
    xoi_place_t place;
    size_t size = zmq_msg_size(frame);

    assert_int_equal(xoi_store_lend(&pair->store, frame, &place), 0);
    zmq_msg_close(frame);
    assert_int_equal(xoi_borrow_frame(&pair->borrow, place, size, got, NULL), 0);
}

static void carry_bytes(pair_t *pair, size_t size, unsigned char byte, zmq_msg_t *got)
{
    zmq_msg_t frame;

    assert_int_equal(zmq_msg_init_size(&frame, size), 0);
    fill(&frame, byte);
    carry(pair, &frame, got);
    check(got, size, byte);
}

/* ---- lending ---- */

static void a_place_is_used_again_once_it_was_given_back(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t first, second, third;

    carry_bytes(pair, 4 * MIB, 1, &first);
    assert_int_equal(xoi_store_lent_bytes(&pair->store), 4 * MIB);
    carry_bytes(pair, 4 * MIB, 2, &second);
    check(&first, 4 * MIB, 1);
    assert_int_equal(pair->passed, 2);
    void *where = zmq_msg_data(&first);
    zmq_msg_close(&first);
    assert_int_equal(xoi_store_lent_bytes(&pair->store), 4 * MIB);
    carry_bytes(pair, 4 * MIB - 1, 3, &third);
    assert_ptr_equal(zmq_msg_data(&third), where);
    assert_int_equal(pair->passed, 2);
    zmq_msg_close(&second);
    zmq_msg_close(&third);
    assert_int_equal(xoi_store_lent_bytes(&pair->store), 0);
}

static void small_ones_share_a_shelf(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t got[64];

    for (unsigned i = 0; i < 64; i++)
        carry_bytes(pair, 64 * KIB, (unsigned char)i, &got[i]);
    assert_int_equal(pair->passed, 2);
    for (unsigned i = 0; i < 64; i++) {
        check(&got[i], 64 * KIB, (unsigned char)i);
        zmq_msg_close(&got[i]);
    }
}

static void a_copy_keeps_the_place(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t got, copy;

    carry_bytes(pair, MIB, 1, &got);
    zmq_msg_init(&copy);
    zmq_msg_copy(&copy, &got);
    zmq_msg_close(&got);
    assert_int_equal(xoi_store_lent_bytes(&pair->store), MIB);
    zmq_msg_close(&copy);
    assert_int_equal(xoi_store_lent_bytes(&pair->store), 0);
}

static void what_is_written_in_place_is_not_copied(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t frame, got;

    assert_int_equal(xoi_store_frame(&pair->store, 3 * MIB, &frame), 0);
    fill(&frame, 7);
    assert_int_equal(xoi_store_lent_bytes(&pair->store), 0);
    carry(pair, &frame, &got);
    check(&got, 3 * MIB, 7);
    assert_int_equal(pair->store.count, 1);
    assert_int_equal(pair->store.shelves[0].shelf->count, 1); /* there was no other place */
    zmq_msg_close(&got);
}

static void what_is_lent_twice_is_copied(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t frame, again, got[2];

    assert_int_equal(xoi_store_frame(&pair->store, MIB, &frame), 0);
    fill(&frame, 7);
    zmq_msg_init(&again);
    zmq_msg_copy(&again, &frame);
    carry(pair, &frame, &got[0]);
    carry(pair, &again, &got[1]);
    assert_ptr_not_equal(zmq_msg_data(&got[0]), zmq_msg_data(&got[1]));
    fill(&got[0], 8);
    check(&got[1], MIB, 7);
    zmq_msg_close(&got[0]);
    zmq_msg_close(&got[1]);
}

static void what_is_not_sent_is_free_again(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t frame;

    for (int i = 0; i < 10; i++) {
        assert_int_equal(xoi_store_frame(&pair->store, 5 * MIB, &frame), 0);
        zmq_msg_close(&frame);
    }
    assert_int_equal(pair->passed, 1);
}

/* A frame of ours is read on until it is closed, also when the other side is done with it. */
static void a_place_waits_for_both_sides(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t frame, ours, got, other;

    assert_int_equal(xoi_store_frame(&pair->store, 2 * MIB, &frame), 0);
    fill(&frame, 1);
    zmq_msg_init(&ours);
    zmq_msg_copy(&ours, &frame);
    carry(pair, &frame, &got);
    zmq_msg_close(&got);
    carry_bytes(pair, 2 * MIB, 2, &other);
    check(&ours, 2 * MIB, 1);
    zmq_msg_close(&ours);
    zmq_msg_close(&other);
}

/* ---- bounds ---- */

static void a_full_store_lends_nothing(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t got[2], frame;
    xoi_place_t place;

    pair->store.bytes_max = 9 * MIB;
    carry_bytes(pair, 4 * MIB, 1, &got[0]);
    carry_bytes(pair, 4 * MIB, 2, &got[1]);
    assert_int_equal(xoi_store_frame(&pair->store, 4 * MIB, &frame), -1);
    zmq_msg_init_size(&frame, 8 * MIB);
    assert_int_equal(xoi_store_lend(&pair->store, &frame, &place), -1);
    zmq_msg_close(&got[0]);
    assert_int_equal(xoi_store_lend(&pair->store, &frame, &place), -1);
    zmq_msg_close(&got[1]);
    carry(pair, &frame, &got[0]); /* what is idle makes room for it */
    assert_int_equal(pair->store.count, 1);
    zmq_msg_close(&got[0]);
}

static void what_is_idle_goes(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t kept, gone;

    carry_bytes(pair, 3 * MIB, 1, &kept);
    carry_bytes(pair, 5 * MIB, 2, &gone);
    zmq_msg_close(&gone);
    for (int i = 0; i < XOI_STORE_IDLE_TICKS; i++)
        assert_false(xoi_store_tick(&pair->store));
    assert_true(xoi_store_tick(&pair->store));
    assert_int_equal(pair->store.count, 1);
    assert_int_equal(pair->borrow.count, 2);
    xoi_borrow_sweep(&pair->borrow);
    assert_int_equal(pair->borrow.count, 1);
    check(&kept, 3 * MIB, 1);
    carry_bytes(pair, 5 * MIB, 4, &gone);
    zmq_msg_close(&gone);
    zmq_msg_close(&kept);
}

static void much_that_is_idle_goes_at_once(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t got[3];

    pair->store.idle_bytes_max = 9 * MIB;
    for (int i = 0; i < 3; i++)
        carry_bytes(pair, 4 * MIB, 1, &got[i]);
    for (int i = 0; i < 3; i++)
        zmq_msg_close(&got[i]);
    assert_true(xoi_store_tick(&pair->store));
    assert_int_equal(pair->store.count, 2);
}

static void without_memory_nothing_is_lent_until_the_next_tick(void **state)
{
    pair_t *pair = *state;
    struct rlimit before, small;
    zmq_msg_t frame, got;
    xoi_place_t place;

    zmq_msg_init_size(&frame, MIB);
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){.rlim_cur = 65536, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(xoi_store_lend(&pair->store, &frame, &place), -1);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_true(pair->store.refused);
    assert_int_equal(xoi_store_lend(&pair->store, &frame, &place), -1);
    pair->full = true;
    xoi_store_tick(&pair->store);
    assert_int_equal(xoi_store_lend(&pair->store, &frame, &place), -1);
    assert_int_equal(pair->store.count, 0);
    pair->full = false;
    xoi_store_tick(&pair->store);
    fill(&frame, 1);
    carry(pair, &frame, &got);
    zmq_msg_close(&got);
}

/* What was to make room is gone, and the other side has to hear of it, though nothing new came. */
static void what_made_room_in_vain_is_told_of(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t got;

    pair->store.bytes_max = 9 * MIB;
    carry_bytes(pair, 4 * MIB, 1, &got);
    zmq_msg_close(&got);
    pair->full = true;
    assert_int_equal(xoi_store_frame(&pair->store, 8 * MIB, &got), -1);
    assert_true(xoi_store_tick(&pair->store));
    assert_false(xoi_store_tick(&pair->store));
}

/* ---- the end ---- */

static void frames_outlive_both_sides(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t frame, got;

    carry_bytes(pair, MIB, 9, &got);
    assert_int_equal(xoi_store_frame(&pair->store, MIB, &frame), 0);
    xoi_store_free(&pair->store);
    xoi_borrow_free(&pair->borrow);
    check(&got, MIB, 9);
    fill(&frame, 1);
    zmq_msg_close(&got);
    zmq_msg_close(&frame);
}

/* A child of fork(2) may read on in what its parent has given back. */
static void what_was_lent_before_a_fork_is_not_used_again(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t got, other;
    int go[2], status;
    char byte = 0;

    assert_int_equal(pipe(go), 0);
    carry_bytes(pair, 2 * MIB, 1, &got);
    pid_t child = fork();
    if (child == 0) {
        const char *bytes = zmq_msg_data(&got);
        bool same = read(go[0], &byte, 1) == 1 && memcmp(bytes, bytes + 1, 2 * MIB - 1) == 0;
        _exit(same && bytes[0] == 1 ? 0 : 1);
    }
    zmq_msg_close(&got);
    assert_int_equal(xoi_store_lent_bytes(&pair->store), 0);
    carry_bytes(pair, 2 * MIB, 2, &other);
    assert_int_equal(write(go[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    zmq_msg_close(&other);
    carry_bytes(pair, 2 * MIB, 3, &other); /* later ones are as ever */
    zmq_msg_close(&other);
    assert_int_equal(pair->passed, 2);
    for (int i = 0; i <= XOI_STORE_IDLE_TICKS; i++)
        xoi_store_tick(&pair->store);
    assert_int_equal(pair->store.count, 0);
    close(go[0]);
    close(go[1]);
}

/* ---- threads ---- */

#define ROUNDS 2000

typedef struct consumer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    zmq_msg_t frame;
    bool full;
    int wrong;
} consumer_t;

static void *consume(void *arg)
{
    consumer_t *consumer = arg;

    for (int i = 0; i < ROUNDS; i++) {
        zmq_msg_t frame;
        pthread_mutex_lock(&consumer->lock);
        while (!consumer->full)
            pthread_cond_wait(&consumer->changed, &consumer->lock);
        zmq_msg_init(&frame);
        zmq_msg_move(&frame, &consumer->frame);
        consumer->full = false;
        pthread_cond_signal(&consumer->changed);
        pthread_mutex_unlock(&consumer->lock);
        const unsigned char *bytes = zmq_msg_data(&frame);
        consumer->wrong += bytes[0] != (unsigned char)i || bytes[64 * KIB - 1] != bytes[0];
        zmq_msg_close(&frame);
    }
    return NULL;
}

static void another_thread_may_close_frames(void **state)
{
    pair_t *pair = *state;
    consumer_t consumer = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

    zmq_msg_init(&consumer.frame);
    assert_int_equal(pthread_create(&consumer.thread, NULL, consume, &consumer), 0);
    for (int i = 0; i < ROUNDS; i++) {
        zmq_msg_t frame, got;
        assert_int_equal(xoi_store_frame(&pair->store, 64 * KIB, &frame), 0);
        unsigned char *bytes = zmq_msg_data(&frame);
        bytes[0] = bytes[64 * KIB - 1] = (unsigned char)i;
        carry(pair, &frame, &got);
        pthread_mutex_lock(&consumer.lock);
        while (consumer.full)
            pthread_cond_wait(&consumer.changed, &consumer.lock);
        zmq_msg_move(&consumer.frame, &got);
        consumer.full = true;
        pthread_cond_signal(&consumer.changed);
        pthread_mutex_unlock(&consumer.lock);
        zmq_msg_close(&got);
    }
    pthread_join(consumer.thread, NULL);
    assert_int_equal(consumer.wrong, 0);
    assert_int_equal(xoi_store_lent_bytes(&pair->store), 0);
    assert_int_equal(pair->passed, 1);
}

/* ---- what is not believed ---- */

static void what_was_not_lent_is_refused(void **state)
{
    pair_t *pair = *state;
    zmq_msg_t got, wrong;
    xo_error_t err;

    carry_bytes(pair, 4 * MIB, 1, &got);
    const struct {
        xoi_place_t place;
        size_t size;
    } wrongs[] = {{{0, 0}, 4 * MIB}, /* it is in use */
                  {{0, 1}, 1},
                  {{0, UINT32_MAX}, 1},
                  {{1, 0}, 1},
                  {{UINT32_MAX, 0}, 1}};
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++)
        assert_errno(xoi_borrow_frame(&pair->borrow, wrongs[i].place, wrongs[i].size, &wrong, &err),
                     EBADMSG);
    zmq_msg_close(&got);
    assert_errno(xoi_borrow_frame(&pair->borrow, (xoi_place_t){0, 0}, 4 * MIB + 1, &wrong, &err),
                 EBADMSG);
    assert_errno(xoi_borrow_frame(&pair->borrow, (xoi_place_t){0, 0}, SIZE_MAX, &wrong, &err),
                 EBADMSG);
}

static void memory_that_is_no_shelf_is_refused(void **state)
{
    pair_t *pair = *state;
    const struct {
        uint64_t head[3]; /* magic, bytes of a place, places; 0: as it should be */
        size_t size;
    } wrongs[] = {
        {{1, 0, 0}, 0},
        {{0, 4095, 0}, 0},
        {{0, UINT64_MAX - 4095, 0}, 0},
        {{0, (uint64_t)1 << 63, 0}, 0},
        {{0, 8192, 0}, 0},
        {{0, 0, 2}, 0},
        {{0, 0, 33}, 0},
        {{0, 0, UINT64_MAX}, 0},
        {{0, (uint64_t)1 << 60, 16}, 0}, /* their product is 0 */
        {{0, 0, 0}, 100},
        {{0, 0, 0}, 4096},
        {{0, 0, 0}, 12288},
    };

    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        xoi_segment_t segment;
        int fd;
        const uint64_t right[] = {UINT64_C(0x31464c4548534f58), 4096, 1};
        assert_int_equal(
            xoi_segment_create(&segment, wrongs[i].size ? wrongs[i].size : 8192, &fd, NULL), 0);
        for (size_t k = 0; k < 3 && segment.size > 100; k++)
            ((uint64_t *)segment.memory)[k] = wrongs[i].head[k] ? wrongs[i].head[k] : right[k];
        assert_errno(xoi_borrow_add(&pair->borrow, fd, NULL), EBADMSG);
        xoi_segment_close(&segment);
        close(fd);
    }
    assert_int_equal(pair->borrow.count, 0);
    assert_int_equal(pair->borrow.arrived, 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_pair, close_pair)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_place_is_used_again_once_it_was_given_back),
        T(small_ones_share_a_shelf),
        T(a_copy_keeps_the_place),
        T(what_is_written_in_place_is_not_copied),
        T(what_is_lent_twice_is_copied),
        T(what_is_not_sent_is_free_again),
        T(a_place_waits_for_both_sides),
        T(a_full_store_lends_nothing),
        T(what_is_idle_goes),
        T(much_that_is_idle_goes_at_once),
        T(without_memory_nothing_is_lent_until_the_next_tick),
        T(what_made_room_in_vain_is_told_of),
        T(frames_outlive_both_sides),
        T(what_was_lent_before_a_fork_is_not_used_again),
        T(another_thread_may_close_frames),
        T(what_was_not_lent_is_refused),
        T(memory_that_is_no_shelf_is_refused),
    };
    return run_tap(tests);
}
