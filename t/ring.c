/* ring.c - rings of bytes and the stream of messages in them, without lanes; two threads over one
 * ring, under ThreadSanitizer too.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "libxo/ring.h"
#include "libxo/stream.h"
#include "t/unit.h"

#define RING_BYTES 4096

typedef struct pair {
    xoi_ring_shared_t shared;
    unsigned char data[RING_BYTES];
    xoi_ring_t in, out;
} pair_t;

static void pair_init(pair_t *pair)
{
    memset(pair, 0, sizeof *pair);
    xoi_ring_init(&pair->shared);
    xoi_ring_attach(&pair->in, &pair->shared, pair->data, RING_BYTES);
    xoi_ring_attach(&pair->out, &pair->shared, pair->data, RING_BYTES);
}

static size_t readable(pair_t *pair)
{
    xo_slice_t bytes;

    assert_int_equal(xoi_ring_peek(&pair->in, &bytes), 0);
    return bytes.size;
}

static void read_all(pair_t *pair)
{
    for (size_t size; (size = readable(pair)) > 0;)
        xoi_ring_skip(&pair->in, size);
}

static void bytes_come_out_as_they_went_in(void **state)
{
    pair_t pair;
    unsigned char piece[1000];
    unsigned char next_in = 0, next_out = 0;

    (void)state;
    pair_init(&pair);
    for (int round = 0; round < 100; round++) { /* wraps at each place in turn */
        size_t size = 700 + (size_t)round * 3;
        for (size_t i = 0; i < size; i++)
            piece[i] = next_in++;
        assert_int_equal(xoi_ring_put(&pair.out, piece, size), size);
        assert_int_equal(readable(&pair), 0); /* nobody sees them before they are published */
        xoi_ring_publish(&pair.out);
        for (size_t got = 0; got < size;) {
            xo_slice_t bytes;
            assert_int_equal(xoi_ring_peek(&pair.in, &bytes), 0);
            assert_true(bytes.size > 0);
            for (size_t i = 0; i < bytes.size; i++)
                assert_int_equal((unsigned char)bytes.data[i], next_out++);
            xoi_ring_skip(&pair.in, bytes.size);
            got += bytes.size;
        }
        xoi_ring_release(&pair.in);
    }
}

static void a_full_ring_takes_no_more(void **state)
{
    pair_t pair;
    char bytes[RING_BYTES + 10] = {0};

    (void)state;
    pair_init(&pair);
    assert_int_equal(xoi_ring_put(&pair.out, bytes, sizeof bytes), RING_BYTES);
    assert_int_equal(xoi_ring_put(&pair.out, bytes, 1), 0);
    assert_true(xoi_ring_publish(&pair.out)); /* the reader sleeps at first */
    assert_false(xoi_ring_wait_for_room(&pair.out));
    xoi_ring_skip(&pair.in, readable(&pair) / 4);
    assert_false(xoi_ring_release(&pair.in)); /* not worth waking up for */
    read_all(&pair);
    assert_true(xoi_ring_release(&pair.in));
    assert_int_equal(xoi_ring_put(&pair.out, bytes, sizeof bytes), RING_BYTES);
}

static void sleepers_are_told_once(void **state)
{
    pair_t pair;

    (void)state;
    pair_init(&pair);
    xoi_ring_put(&pair.out, "a", 1);
    assert_true(xoi_ring_publish(&pair.out));
    xoi_ring_put(&pair.out, "b", 1);
    assert_false(xoi_ring_publish(&pair.out));
    assert_false(xoi_ring_sleep(&pair.in)); /* there is something */
    read_all(&pair);
    assert_true(xoi_ring_reader_is_up(&pair.out));
    assert_true(xoi_ring_sleep(&pair.in));
    assert_false(xoi_ring_reader_is_up(&pair.out));
    assert_false(xoi_ring_publish(&pair.out)); /* nothing new */
    xoi_ring_put(&pair.out, "c", 1);
    assert_true(xoi_ring_publish(&pair.out));
}

static void impossible_indexes_are_noticed(void **state)
{
    const uint64_t wrong[] = {RING_BYTES + 1, UINT64_MAX, UINT64_MAX - RING_BYTES,
                              (uint64_t)1 << 63};
    xo_slice_t bytes;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        pair_t pair;
        pair_init(&pair);
        pair.shared.tail = wrong[i];
        assert_errno(xoi_ring_peek(&pair.in, &bytes), EBADMSG);
        pair_init(&pair);
        char fill[RING_BYTES] = {0};
        xoi_ring_put(&pair.out, fill, sizeof fill);
        pair.shared.head = wrong[i]; /* it cannot have read more than there was */
        assert_errno(xoi_ring_put(&pair.out, "x", 1), EBADMSG);
    }
}

/* ---- the stream ---- */

static xo_msg_t *make(uint64_t seq, size_t buffers, size_t buffer_bytes)
{
    xo_msg_t *msg = xo_msg_create(&(xo_header_t){.kind = XO_TELL, .seq = seq}, xo_slice(NULL, 0));
    char *bytes = malloc(buffer_bytes + 1);

    memset(bytes, (int)seq, buffer_bytes + 1);
    for (size_t i = 0; i < buffers; i++)
        assert_int_equal(xo_msg_add_buffer_copy(msg, bytes, buffer_bytes), 0);
    free(bytes);
    return msg;
}

typedef struct text {
    char *bytes;
    size_t size;
} text_t;

static ssize_t append(void *to, const void *bytes, size_t size)
{
    text_t *text = to;

    text->bytes = realloc(text->bytes, text->size + size + 1);
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    return (ssize_t)size;
}

static void messages_may_be_read_in_any_pieces(void **state)
{
    text_t text = {0};
    xoi_writer_t writer = {0};

    (void)state;
    for (uint64_t seq = 1; seq <= 5; seq++) {
        xo_msg_t *msg = make(seq, (seq - 1) * 3, seq * 10 - 10);
        assert_int_equal(xoi_writer_begin(&writer, &msg), 0);
        assert_int_equal(xoi_writer_go_on(&writer, append, &text), 1);
    }
    for (size_t piece = 1; piece < text.size; piece += piece < 20 ? 1 : 97) {
        xoi_stream_reader_t reader;
        uint64_t seen = 0;
        xoi_stream_reader_init(&reader);
        for (size_t at = 0; at < text.size; at += piece) {
            size_t size = piece < text.size - at ? piece : text.size - at;
            xo_slice_t bytes = xo_slice(text.bytes + at, size);
            xo_msg_t *msg;
            while (xoi_stream_read(&reader, &bytes, &msg, NULL) == 1) {
                assert_int_equal(xo_msg_header(msg)->seq, ++seen);
                assert_int_equal(xo_msg_buffer_count(msg), (seen - 1) * 3);
                xo_msg_destroy(&msg);
            }
        }
        assert_int_equal(seen, 5);
        xoi_stream_reader_free(&reader);
    }
    free(text.bytes);
}

static int read_text(const void *text, size_t size)
{
    xo_slice_t bytes = xo_slice(text, size);
    xoi_stream_reader_t reader;
    xo_msg_t *msg = NULL;
    xo_error_t err = {0};

    xoi_stream_reader_init(&reader);
    int rc = xoi_stream_read(&reader, &bytes, &msg, &err);
    xo_msg_destroy(&msg);
    xoi_stream_reader_free(&reader);
    errno = err.errnum;
    return rc;
}

static void lies_are_noticed(void **state)
{
    const unsigned char too_long[8] = {0, 0, 0, 0, 0, 0, 0, 0x10};
    const unsigned char all_ones[8] = {255, 255, 255, 255, 255, 255, 255, 255};
    const unsigned char no_message[9] = {2, 0, 0, 0, 0, 0, 0, 0, 0xc1};
    const unsigned char empty[8] = {0};
    unsigned char *endless = calloc(XO_BUFFERS_MAX + 3, 8);

    (void)state;
    assert_errno(read_text(too_long, sizeof too_long), EBADMSG);
    assert_errno(read_text(all_ones, sizeof all_ones), EBADMSG);
    assert_errno(read_text(no_message, sizeof no_message), EBADMSG);
    assert_errno(read_text(empty, sizeof empty), EBADMSG);
    for (size_t i = 0; i < XO_BUFFERS_MAX + 3; i++)
        endless[i * 8] = 1; /* no bytes, and another frame */
    assert_errno(read_text(endless, (XO_BUFFERS_MAX + 3) * 8), EBADMSG);
    free(endless);
}

/* ---- two threads ---- */

#define MESSAGES 20000

typedef struct duo {
    pair_t pair;
    int for_reader, for_writer; /* eventfds: the doorbells */
} duo_t;

static void ring_bell(int bell)
{
    uint64_t one = 1;

    assert_int_equal(write(bell, &one, sizeof one), sizeof one);
}

static void wait_for_bell(int bell)
{
    uint64_t count;

    assert_int_equal(read(bell, &count, sizeof count), sizeof count);
}

static ssize_t put(void *to, const void *bytes, size_t size)
{
    return xoi_ring_put(to, bytes, size);
}

static void *write_messages(void *arg)
{
    duo_t *duo = arg;
    xoi_ring_t *ring = &duo->pair.out;
    xoi_writer_t writer = {0};

    for (uint64_t seq = 1; seq <= MESSAGES; seq++) {
        int rc;
        xo_msg_t *msg = make(seq, seq % 3, seq % 100 == 0 ? 3 * RING_BYTES : seq % 500);
        assert_int_equal(xoi_writer_begin(&writer, &msg), 0);
        while ((rc = xoi_writer_go_on(&writer, put, ring)) == 0) {
            if (xoi_ring_publish(ring))
                ring_bell(duo->for_reader);
            if (!xoi_ring_wait_for_room(ring))
                wait_for_bell(duo->for_writer);
        }
        assert_int_equal(rc, 1);
        if (xoi_ring_publish(ring))
            ring_bell(duo->for_reader);
    }
    return NULL;
}

static void check_msg(xo_msg_t *msg, uint64_t seq)
{
    assert_int_equal(xo_msg_header(msg)->seq, seq);
    for (size_t i = 0; i < xo_msg_buffer_count(msg); i++) {
        xo_slice_t buffer = xo_msg_buffer(msg, i);
        if (buffer.size > 0)
            assert_int_equal((unsigned char)buffer.data[buffer.size - 1], (unsigned char)seq);
    }
    xo_msg_destroy(&msg);
}

static void no_bell_is_lost_between_two_threads(void **state)
{
    static duo_t duo;
    pthread_t thread;
    xoi_stream_reader_t reader;
    uint64_t seen = 0;

    (void)state;
    pair_init(&duo.pair);
    duo.for_reader = eventfd(0, 0);
    duo.for_writer = eventfd(0, 0);
    xoi_stream_reader_init(&reader);
    assert_int_equal(pthread_create(&thread, NULL, write_messages, &duo), 0);
    while (seen < MESSAGES) {
        xo_slice_t bytes;
        xo_msg_t *msg;
        assert_int_equal(xoi_ring_peek(&duo.pair.in, &bytes), 0);
        size_t size = bytes.size;
        int rc = xoi_stream_read(&reader, &bytes, &msg, NULL);
        assert_true(rc >= 0);
        xoi_ring_skip(&duo.pair.in, size - bytes.size);
        if (rc == 1)
            check_msg(msg, ++seen);
        if (xoi_ring_release(&duo.pair.in))
            ring_bell(duo.for_writer);
        if (size == 0 && xoi_ring_sleep(&duo.pair.in))
            wait_for_bell(duo.for_reader);
    }
    pthread_join(thread, NULL);
    xoi_stream_reader_free(&reader);
    close(duo.for_reader);
    close(duo.for_writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_as_they_went_in),
        cmocka_unit_test(a_full_ring_takes_no_more),
        cmocka_unit_test(sleepers_are_told_once),
        cmocka_unit_test(impossible_indexes_are_noticed),
        cmocka_unit_test(messages_may_be_read_in_any_pieces),
        cmocka_unit_test(lies_are_noticed),
        cmocka_unit_test(no_bell_is_lost_between_two_threads),
    };
    return run_tap(tests);
}
