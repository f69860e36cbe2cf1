/* Messages as a stream of bytes: whole after having been written and read in pieces of any size. */
#include <stdlib.h>

#include "libxo/stream.h"
#include "t/unit.h"

#define MESSAGES 3000
#define BODY_MAX 1500 /* small ones are copied, larger ones are frames */
#define ROUNDS 6

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223; /* Numerical Recipes' generator */
    return *state >> 8;
}

/* Message `i`: its size and its bytes follow from its number. */
static size_t body_size(int i)
{
    uint32_t state = (uint32_t)i;
    size_t size = next_random(&state) % BODY_MAX;
    return next_random(&state) % 4 ? size % 100 : size;
}

static xo_msg_t *make(int i)
{
    char body[BODY_MAX];
    size_t size = body_size(i);
    xo_header_t header = {
        .kind = XO_CALL, .seq = (uint64_t)i + 1, .method = xo_slice_str("method")};
    xo_buf_t packed = XO_BUF_INIT;
    memset(body, i & 0xff, size);
    xo_pack_bin(&packed, body, size);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&packed));
    xo_buf_free(&packed);
    if (i % 7 == 0)
        assert_int_equal(xo_msg_add_buffer_copy(msg, body, size), 0);
    return msg;
}

static void check(const xo_msg_t *msg, int i)
{
    xo_msg_t *wanted = make(i);
    assert_int_equal(xo_msg_header(msg)->seq, i + 1);
    assert_true(xo_slice_eq_str(xo_msg_header(msg)->method, "method"));
    assert_true(xo_slice_eq(xo_msg_body(msg), xo_msg_body(wanted)));
    assert_int_equal(xo_msg_buffer_count(msg), xo_msg_buffer_count(wanted));
    assert_true(xo_slice_eq(xo_msg_buffer(msg, 0), xo_msg_buffer(wanted, 0)));
    xo_msg_destroy(&wanted);
}

/* ---- what carries the bytes: takes a piece, then has no room until it was read ---- */

typedef struct pipe {
    uint32_t random;
    size_t piece_max, room;
    size_t size;
    char bytes[2 * BODY_MAX];
} pipe_t;

static ssize_t put(void *to, const void *bytes, size_t size)
{
    pipe_t *pipe = to;
    size_t n = size < pipe->room ? size : pipe->room;
    assert_true(pipe->size + n <= sizeof pipe->bytes);
    memcpy(pipe->bytes + pipe->size, bytes, n);
    pipe->size += n;
    pipe->room -= n;
    return (ssize_t)n;
}

static void make_room(pipe_t *pipe)
{
    pipe->size = 0;
    pipe->room = 1 + next_random(&pipe->random) % pipe->piece_max;
}

static int read_all(xoi_stream_reader_t *reader, const pipe_t *pipe, int arrived)
{
    xo_slice_t bytes = xo_slice(pipe->bytes, pipe->size);
    while (bytes.size > 0) {
        xo_error_t err = {0};
        xo_msg_t *msg = NULL;
        int rc = xoi_stream_read(reader, &bytes, &msg, &err);
        if (rc < 0)
            fail_msg("%s", err.text);
        if (rc > 0)
            check(msg, arrived++);
        xo_msg_destroy(&msg);
    }
    return arrived;
}

static void send_all(pipe_t *pipe)
{
    xoi_writer_t writer = {0};
    xoi_stream_reader_t reader = {0};
    int arrived = 0;
    xoi_stream_reader_init(&reader);
    for (int i = 0; i < MESSAGES; i++) {
        xo_msg_t *msg = make(i);
        assert_int_equal(xoi_writer_begin(&writer, &msg), 0);
        assert_null(msg);
        while (xoi_writer_go_on(&writer, put, pipe) == 0) {
            assert_true(xoi_writer_busy(&writer));
            arrived = read_all(&reader, pipe, arrived);
            make_room(pipe);
        }
        assert_false(xoi_writer_busy(&writer));
    }
    arrived = read_all(&reader, pipe, arrived);
    assert_int_equal(arrived, MESSAGES);
    xoi_stream_reader_free(&reader);
    xoi_writer_free(&writer);
}

static void messages_go_in_pieces(void **state)
{
    static const size_t pieces[ROUNDS] = {1, 2, 9, 100, 800, BODY_MAX};
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        pipe_t pipe = {.random = 1, .piece_max = pieces[i]};
        send_all(&pipe);
    }
}

/* What was not written to its end, and what was not read to its end, leaves nothing behind. */
static void half_a_message_is_forgotten(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        pipe_t pipe = {.room = 5 + (size_t)i};
        xoi_writer_t writer = {0};
        xoi_stream_reader_t reader = {0};
        xo_msg_t *msg = make(i);
        xoi_stream_reader_init(&reader);
        assert_int_equal(xoi_writer_begin(&writer, &msg), 0);
        xoi_writer_go_on(&writer, put, &pipe);
        read_all(&reader, &pipe, i);
        xoi_writer_free(&writer);
        xoi_stream_reader_free(&reader);
        assert_false(xoi_writer_busy(&writer));
        msg = make(i + 1); /* both begin anew */
        assert_int_equal(xoi_writer_begin(&writer, &msg), 0);
        pipe = (pipe_t){.room = sizeof pipe.bytes};
        assert_int_equal(xoi_writer_go_on(&writer, put, &pipe), 1);
        assert_int_equal(read_all(&reader, &pipe, i + 1), i + 2);
    }
}

static int read_head(uint64_t head)
{
    xo_error_t err = {0};
    xo_msg_t *msg = NULL;
    xoi_stream_reader_t reader = {0};
    unsigned char bytes[XOI_STREAM_HEAD_BYTES + 40] = {0};
    for (size_t i = 0; i < XOI_STREAM_HEAD_BYTES; i++)
        bytes[i] = (unsigned char)(head >> 8 * i);
    int rc = 0;
    xoi_stream_reader_init(&reader);
    for (size_t i = 0; i < sizeof bytes && rc == 0; i++) {
        xo_slice_t slice = xo_slice((char *)bytes + i, 1);
        rc = xoi_stream_read(&reader, &slice, &msg, &err);
    }
    assert_int_equal(rc < 0 ? errno : 0, rc < 0 ? EBADMSG : 0);
    assert_null(msg);
    xoi_stream_reader_free(&reader);
    return rc;
}

static void what_is_no_message_is_refused(void **state)
{
    (void)state;
    assert_int_equal(read_head(40 << 1), -1); /* of zeros */
    assert_int_equal(read_head(41 << 1), 0);  /* a byte is missing */
    assert_int_equal(read_head(0), -1);       /* of no bytes */
    assert_int_equal(read_head(UINT64_MAX), -1);
    assert_int_equal(read_head(40 << 1 | XOI_STREAM_LENT), -1); /* the first may not be lent */
    assert_int_equal(read_head((uint64_t)XO_MESSAGE_BYTES_MAX << 1 | 2), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_in_pieces),
        cmocka_unit_test(half_a_message_is_forgotten),
        cmocka_unit_test(what_is_no_message_is_refused),
    };
    return run_tap(tests);
}
