/* msg.c - unit tests of libxo/msg.h. What is well formed on the wire and what is not is in
 * t/vectors.txt. */

#include "libxo/msg.h"

#include <stdlib.h>

#include "t/unit.h"

static const xo_slice_t no_body = {NULL, 0};

static xo_header_t sample(void)
{
    return (xo_header_t){
        .kind = XO_CALL,
        .flags = XO_F_IDEMPOTENT,
        .seq = 7,
        .target_id = 0x1122334455667788,
        .target_uid = xo_slice_str("counter"),
        .incarnation = 3,
        .sender_id = 9,
        .sender_uid = xo_slice_str("main"),
        .method = xo_slice_str("add"),
        .deadline_ms = 1500,
        .trace = xo_slice_str("trace-1"),
    };
}

static void assert_header(const xo_header_t *header, const xo_header_t *want)
{
    assert_int_equal(header->kind, want->kind);
    assert_int_equal(header->flags, want->flags);
    assert_int_equal(header->seq, want->seq);
    assert_int_equal(header->target_id, want->target_id);
    assert_true(xo_slice_eq(header->target_uid, want->target_uid));
    assert_int_equal(header->incarnation, want->incarnation);
    assert_int_equal(header->sender_id, want->sender_id);
    assert_true(xo_slice_eq(header->sender_uid, want->sender_uid));
    assert_true(xo_slice_eq(header->method, want->method));
    assert_int_equal(header->deadline_ms, want->deadline_ms);
    assert_true(xo_slice_eq(header->trace, want->trace));
}

#define FRAMES_MAX 16

/* Over the wire: to frames and back. */
static void send_over(xo_msg_t **msg)
{
    zmq_msg_t frames[FRAMES_MAX];
    xo_error_t err;
    size_t count = xo_msg_frame_count(*msg), bytes = xo_msg_bytes(*msg);
    assert_in_range(count, 1, FRAMES_MAX);
    xo_msg_to_frames(msg, frames);
    assert_null(*msg);
    *msg = xo_msg_from_frames(frames, count, &err);
    assert_non_null(*msg);
    assert_int_equal(xo_msg_bytes(*msg), bytes);
}

/* Makes a message of raw frame bytes, as a peer with another encoder would send them. */
static xo_msg_t *receive(const char *data, size_t size, xo_error_t *err)
{
    zmq_msg_t frame;
    assert_int_equal(zmq_msg_init_size(&frame, size), 0);
    memcpy(zmq_msg_data(&frame), data, size);
    return xo_msg_from_frames(&frame, 1, err);
}

static void survives_the_wire(void **state)
{
    xo_header_t header = sample();
    (void)state;
    xo_msg_t *msg = xo_msg_create(&header, xo_slice("\x92\x90\x80", 3));
    assert_non_null(msg);
    assert_header(xo_msg_header(msg), &header);
    assert_int_equal(xo_msg_frame_count(msg), 1);
    assert_null(xo_msg_payload(msg));
    send_over(&msg);
    assert_header(xo_msg_header(msg), &header);
    assert_true(xo_slice_eq_str(xo_msg_body(msg), "\x92\x90\x80"));
    xo_msg_destroy(&msg);
    assert_null(msg);
}

static void limits_survive_the_wire(void **state)
{
    char text[XO_METHOD_BYTES_MAX];
    (void)state;
    memset(text, 'm', sizeof text);
    const xo_header_t header = {
        .kind = XO_GOODBYE,
        .flags = UINT16_MAX,
        .seq = UINT64_MAX,
        .target_id = UINT64_MAX,
        .target_uid = xo_slice(text, XO_UID_BYTES_MAX),
        .incarnation = UINT64_MAX,
        .sender_id = UINT64_MAX,
        .sender_uid = xo_slice(text, XO_UID_BYTES_MAX),
        .method = xo_slice(text, XO_METHOD_BYTES_MAX),
        .deadline_ms = UINT64_MAX,
        .trace = xo_slice(text, XO_TRACE_BYTES_MAX),
    };
    xo_msg_t *msg = xo_msg_create(&header, no_body);
    send_over(&msg);
    assert_header(xo_msg_header(msg), &header);
    assert_int_equal(xo_msg_body(msg).size, 0);
    xo_msg_destroy(&msg);
}

/* Around each length and number at which the encoding changes its width. */
static void every_width_survives_the_wire(void **state)
{
    static const uint64_t edges[] = {
        0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, UINT32_MAX, UINT32_MAX + 1ull, UINT64_MAX};
    static const size_t lengths[] = {0, 1, 31, 32, 255, 256, 1023};
    char text[XO_METHOD_BYTES_MAX] = "";
    (void)state;
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        xo_header_t header = sample();
        header.incarnation = header.deadline_ms = edges[i];
        header.flags = (uint16_t)edges[i];
        header.method = xo_slice(text, lengths[i % (sizeof lengths / sizeof lengths[0])]);
        xo_msg_t *msg = xo_msg_create(&header, xo_slice("\xc0", 1));
        send_over(&msg);
        assert_header(xo_msg_header(msg), &header);
        assert_true(xo_slice_eq_str(xo_msg_body(msg), "\xc0"));
        xo_msg_destroy(&msg);
    }
}

static void assert_refused(xo_header_t header)
{
    xo_buf_t buf = XO_BUF_INIT;
    errno = 0;
    assert_null(xo_msg_create(&header, no_body));
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_null(xo_msg_create_local(&header, NULL, NULL, 0));
    assert_int_equal(errno, EINVAL);
    assert_errno(xo_header_encode(&header, &buf), EINVAL);
    assert_int_equal(buf.size, 0);
}

static void refuses_what_cannot_be_encoded(void **state)
{
    static const char text[XO_METHOD_BYTES_MAX + 1];
    xo_header_t header;
    (void)state;
    header = sample(), header.kind = 0;
    assert_refused(header);
    header = sample(), header.kind = XO_TAKEN + 1;
    assert_refused(header);
    header = sample(), header.target_uid = xo_slice(text, XO_UID_BYTES_MAX + 1);
    assert_refused(header);
    header = sample(), header.sender_uid = xo_slice(text, XO_UID_BYTES_MAX + 1);
    assert_refused(header);
    header = sample(), header.method = xo_slice(text, XO_METHOD_BYTES_MAX + 1);
    assert_refused(header);
    header = sample(), header.trace = xo_slice(text, XO_TRACE_BYTES_MAX + 1);
    assert_refused(header);
    header = sample();
    errno = 0;
    assert_null(xo_msg_create(&header, xo_slice(text, XO_MESSAGE_BYTES_MAX)));
    assert_int_equal(errno, EMSGSIZE);
}

/* ---- setting in place ---- */

static void sets_all(xo_msg_t **msg)
{
    xo_header_t want = *xo_msg_header(*msg);
    want.seq = 0x0102030405060708;
    want.sender_id = UINT64_MAX;
    want.target_id = 0x8000000000000000;
    xo_msg_set_seq(*msg, want.seq);
    xo_msg_set_sender_id(*msg, want.sender_id);
    xo_msg_set_target_id(*msg, want.target_id);
    assert_header(xo_msg_header(*msg), &want);
    char body[64];
    xo_slice_t before = xo_msg_body(*msg);
    assert_in_range(before.size, 0, sizeof body);
    memcpy(body, before.data, before.size);
    zmq_msg_t frame;
    xo_error_t err;
    xo_msg_to_frames(msg, &frame);
    *msg = xo_msg_from_frames(&frame, 1, &err);
    assert_non_null(*msg);
    assert_int_equal(xo_msg_header(*msg)->seq, want.seq);
    assert_int_equal(xo_msg_header(*msg)->sender_id, want.sender_id);
    assert_int_equal(xo_msg_header(*msg)->target_id, want.target_id);
    assert_true(xo_slice_eq(xo_msg_body(*msg), xo_slice(body, before.size)));
}

static void sets_in_place(void **state)
{
    const xo_header_t least = {.kind = XO_RESULT};
    xo_header_t header = sample();
    (void)state;
    xo_msg_t *msg = xo_msg_create(&header, xo_slice("\xa1x", 2));
    sets_all(&msg);
    xo_msg_set_seq(msg, 1);
    xo_msg_set_sender_id(msg, 2);
    xo_msg_set_target_id(msg, 3);
    sets_all(&msg); /* what was received is set in place as well */
    assert_true(xo_slice_eq_str(xo_msg_header(msg)->target_uid, "counter"));
    assert_true(xo_slice_eq_str(xo_msg_header(msg)->sender_uid, "main"));
    xo_msg_destroy(&msg);
    msg = xo_msg_create(&least, no_body);
    sets_all(&msg);
    xo_msg_destroy(&msg);
}

static void sets_what_came_without(void **state)
{
    /* nil target and sender, a sequence of one byte; body "x" */
    static const char frame[] = "\x99\x01\x06\x00\x05\xc0\xc0\xc0\x00\xc0\xa1x";
    /* the same with ids of one byte, and long enough to be on the heap */
    static const char narrow[] = "\x99\x01\x06\x00\x05\x93\x01\xc4\x00\x00\x92\x02\xc4\x01"
                                 "b\xc0\x00\xc0\xbf"
                                 "0123456789 0123456789 012345678";
    xo_error_t err;
    (void)state;
    xo_msg_t *msg = receive(frame, sizeof frame - 1, &err);
    assert_non_null(msg);
    assert_int_equal(xo_msg_header(msg)->seq, 5);
    sets_all(&msg);
    assert_true(xo_slice_eq_str(xo_msg_body(msg), "\xa1x"));
    xo_msg_destroy(&msg);
    msg = receive(narrow, sizeof narrow - 1, &err);
    assert_non_null(msg);
    assert_int_equal(xo_msg_header(msg)->target_id, 1);
    assert_int_equal(xo_msg_header(msg)->sender_id, 2);
    sets_all(&msg);
    assert_true(xo_slice_eq_str(xo_msg_header(msg)->sender_uid, "b"));
    xo_msg_destroy(&msg);
}

static void counts_alike_however_encoded(void **state)
{
    static const char narrow[] = "\x99\x01\x06\x00\x05\xc0\xc0\xc0\x00\xc0\xa1x";
    static const char wide[] = "\x99\xcc\x01\xcd\x00\x06\x00\xcf\0\0\0\0\0\0\0\x05\x93\xcf"
                               "\0\0\0\0\0\0\0\0\xc5\0\0\0\x92\xcf\0\0\0\0\0\0\0\0\xc4\0\xc0"
                               "\x00\xc0\xa1x";
    const xo_header_t header = {.kind = XO_RESULT, .seq = 5};
    xo_error_t err;
    (void)state;
    xo_msg_t *own = xo_msg_create(&header, xo_slice("\xa1x", 2));
    xo_msg_t *short_one = receive(narrow, sizeof narrow - 1, &err);
    xo_msg_t *long_one = receive(wide, sizeof wide - 1, &err);
    assert_non_null(short_one);
    assert_non_null(long_one);
    assert_int_equal(xo_msg_bytes(short_one), xo_msg_bytes(own));
    assert_int_equal(xo_msg_bytes(long_one), xo_msg_bytes(own));
    xo_msg_destroy(&own);
    xo_msg_destroy(&short_one);
    xo_msg_destroy(&long_one);
}

/* ---- buffers ---- */

static void carries_buffers(void **state)
{
    xo_header_t header = sample();
    char big[100000];
    (void)state;
    memset(big, 'B', sizeof big);
    xo_msg_t *msg = xo_msg_create(&header, xo_slice("\xc0", 1));
    size_t empty = xo_msg_bytes(msg);
    for (int i = 0; i < 5; i++)
        assert_int_equal(xo_msg_add_buffer_copy(msg, big, (size_t)i * 20000), 0);
    zmq_msg_t small;
    zmq_msg_init_size(&small, 3);
    memcpy(zmq_msg_data(&small), "abc", 3);
    assert_int_equal(xo_msg_add_buffer(msg, &small), 0);
    assert_int_equal(zmq_msg_size(&small), 0);
    assert_int_equal(xo_msg_bytes(msg), empty + 200003);
    send_over(&msg);
    assert_int_equal(xo_msg_buffer_count(msg), 6);
    for (size_t i = 0; i < 5; i++)
        assert_true(xo_slice_eq(xo_msg_buffer(msg, i), xo_slice(big, i * 20000)));
    assert_true(xo_slice_eq_str(xo_msg_buffer(msg, 5), "abc"));
    assert_null(xo_msg_buffer(msg, 6).data);
    assert_int_equal(xo_msg_buffer(msg, SIZE_MAX).size, 0);
    xo_msg_destroy(&msg);
}

static void shares_a_buffer(void **state)
{
    xo_header_t header = sample();
    zmq_msg_t out;
    char big[1000];
    (void)state;
    memset(big, 'B', sizeof big);
    xo_msg_t *msg = xo_msg_create(&header, no_body);
    assert_int_equal(xo_msg_add_buffer_copy(msg, big, sizeof big), 0);
    assert_errno(xo_msg_copy_buffer(msg, 1, &out), ENOENT);
    assert_int_equal(xo_msg_copy_buffer(msg, 0, &out), 0);
    assert_ptr_equal(zmq_msg_data(&out), xo_msg_buffer(msg, 0).data);
    xo_msg_destroy(&msg);
    assert_memory_equal(zmq_msg_data(&out), big, sizeof big); /* outlives the message */
    zmq_msg_close(&out);
}

static void limits_the_buffers(void **state)
{
    xo_header_t header = sample();
    (void)state;
    xo_msg_t *msg = xo_msg_create(&header, no_body);
    for (size_t i = 0; i < XO_BUFFERS_MAX; i++)
        assert_int_equal(xo_msg_add_buffer_copy(msg, "", 0), 0);
    zmq_msg_t one;
    zmq_msg_init_size(&one, 5);
    assert_errno(xo_msg_add_buffer(msg, &one), EMSGSIZE);
    assert_int_equal(zmq_msg_size(&one), 5); /* still the caller's */
    zmq_msg_close(&one);
    assert_errno(xo_msg_add_buffer_copy(msg, "x", 1), EMSGSIZE);
    xo_msg_destroy(&msg);
}

/* ---- from frames ---- */

static void closes_frames_it_refuses(void **state)
{
    zmq_msg_t frames[3];
    xo_error_t err;
    (void)state;
    for (int i = 0; i < 3; i++) /* long enough to be on the heap: a leak would show */
        assert_int_equal(zmq_msg_init_size(&frames[i], 1000), 0);
    memset(zmq_msg_data(&frames[0]), 0xc1, 1000);
    errno = 0;
    assert_null(xo_msg_from_frames(frames, 3, &err));
    assert_int_equal(errno, EBADMSG);
    assert_string_equal(err.text, "header: not an array");
}

static void refuses_frame_counts(void **state)
{
    zmq_msg_t *frames = malloc((XO_BUFFERS_MAX + 2) * sizeof *frames);
    xo_error_t err;
    (void)state;
    assert_non_null(frames);
    for (size_t i = 0; i < XO_BUFFERS_MAX + 2; i++)
        zmq_msg_init(&frames[i]);
    assert_null(xo_msg_from_frames(frames, 0, &err));
    assert_string_equal(err.text, "a message of 0 frames");
    assert_null(xo_msg_from_frames(frames, XO_BUFFERS_MAX + 2, &err));
    assert_string_equal(err.text, "a message of 65538 frames");
    free(frames);
}

static void keeps_errno(void **state)
{
    xo_header_t header = sample();
    xo_msg_t *none = NULL;
    (void)state;
    xo_msg_t *msg = xo_msg_create(&header, no_body);
    errno = EPERM;
    xo_msg_destroy(&msg);
    xo_msg_destroy(&none);
    xo_msg_destroy(NULL);
    assert_int_equal(errno, EPERM);
}

/* ---- local messages ---- */

static void count_free(void *payload)
{
    ++*(int *)payload;
}

static void carries_a_payload(void **state)
{
    char uid[] = "counter";
    xo_header_t header = sample(), want = sample();
    zmq_msg_t frame;
    int freed = 0;
    (void)state;
    header.target_uid = xo_slice_str(uid);
    xo_msg_t *msg = xo_msg_create_local(&header, &freed, count_free, 123);
    uid[0] = '?'; /* the header was copied */
    assert_header(xo_msg_header(msg), &want);
    assert_ptr_equal(xo_msg_payload(msg), &freed);
    assert_int_equal(xo_msg_bytes(msg), 123);
    assert_int_equal(xo_msg_body(msg).size, 0);
    assert_int_equal(xo_msg_frame_count(msg), 0);
    xo_msg_to_frames(&msg, &frame);
    assert_non_null(msg);
    xo_msg_set_seq(msg, 77);
    xo_msg_set_target_id(msg, 78);
    xo_msg_set_sender_id(msg, 79);
    assert_int_equal(xo_msg_header(msg)->seq, 77);
    xo_msg_destroy(&msg);
    assert_int_equal(freed, 1);
}

static void gives_the_payload_away(void **state)
{
    xo_header_t header = sample();
    int freed = 0;
    (void)state;
    xo_msg_t *msg = xo_msg_create_local(&header, &freed, count_free, 0);
    assert_ptr_equal(xo_msg_take_payload(msg), &freed);
    assert_null(xo_msg_take_payload(msg));
    xo_msg_destroy(&msg);
    assert_int_equal(freed, 0);
    msg = xo_msg_create_local(&header, &freed, NULL, 0);
    xo_msg_destroy(&msg);
}

/* ---- kinds ---- */

static void names_kinds(void **state)
{
    (void)state;
    assert_string_equal(xo_kind_name(XO_HELLO), "hello");
    assert_string_equal(xo_kind_name(XO_HEARTBEAT), "heartbeat");
    assert_string_equal(xo_kind_name(XO_GOODBYE), "goodbye");
    assert_string_equal(xo_kind_name(0), "?");
    assert_string_equal(xo_kind_name(XO_TAKEN + 1), "?");
    unsigned requests = 0;
    for (unsigned kind = 0; kind < 70; kind++)
        requests += xo_kind_is_request(kind);
    assert_int_equal(requests, 7);
    assert_true(xo_kind_is_request(XO_HAS) && !xo_kind_is_request(XO_CANCEL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_the_wire),
        cmocka_unit_test(limits_survive_the_wire),
        cmocka_unit_test(every_width_survives_the_wire),
        cmocka_unit_test(refuses_what_cannot_be_encoded),
        cmocka_unit_test(sets_in_place),
        cmocka_unit_test(sets_what_came_without),
        cmocka_unit_test(counts_alike_however_encoded),
        cmocka_unit_test(carries_buffers),
        cmocka_unit_test(shares_a_buffer),
        cmocka_unit_test(limits_the_buffers),
        cmocka_unit_test(closes_frames_it_refuses),
        cmocka_unit_test(refuses_frame_counts),
        cmocka_unit_test(keeps_errno),
        cmocka_unit_test(carries_a_payload),
        cmocka_unit_test(gives_the_payload_away),
        cmocka_unit_test(names_kinds),
    };
    return run_tap(tests);
}
