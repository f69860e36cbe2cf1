/* fuzz-codec.c - libFuzzer target for the codec: whatever comes in is refused or read, and what is
 * read and written again reads as the same. Seeds: t/corpus/codec/.
 *
 * The input: one byte, whose two low bits say how many buffer frames follow the first; then frame
 * 0. The same bytes also go through the value readers, the failure map, the address parser and, as
 * they are, through the reader of bundles.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/address.h"
#include "libxo/bundle.h"
#include "libxo/failure.h"
#include "t/transcode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz-codec: violated: %s\n", what);
    abort();
}

/* ---- values ---- */

static void check_dump(xo_slice_t bytes)
{
    const size_t limit = 64;
    xo_buf_t out = XO_BUF_INIT;
    xo_pack_dump(bytes, &out, limit);
    demand(out.size <= limit + strlen("..."), "a dump keeps to its limit");
    xo_buf_free(&out);
}

/* What is read and written is in its one form: written once more it is the same. */
static void check_transcode(xo_slice_t bytes, bool whole)
{
    xo_buf_t once = XO_BUF_INIT, twice = XO_BUF_INIT;
    xo_reader_t reader = xo_reader(bytes);
    if (transcode(&reader, &once) == 0 && whole) {
        xo_reader_t again = xo_reader(xo_buf_slice(&once));
        demand(transcode(&again, &twice) == 0, "what was written reads");
        demand(xo_reader_done(&again), "what was written is one value");
        demand(xo_slice_eq(xo_buf_slice(&once), xo_buf_slice(&twice)), "it is written the same");
    }
    xo_buf_free(&once);
    xo_buf_free(&twice);
}

static bool check_skip(xo_slice_t bytes)
{
    xo_reader_t reader = xo_reader(bytes), before = reader;
    xo_slice_t raw;
    if (xo_read_raw(&reader, &raw) < 0) {
        demand(errno == EBADMSG && reader.at == before.at, "a reader that fails stays");
        return false;
    }
    demand(xo_read_type(&before) != XO_T_NONE, "what is skipped has a type");
    demand(raw.size > 0 && raw.size <= bytes.size, "a value is some of the bytes");
    demand(reader.at == before.at + raw.size, "a reader moves by what it read");
    return true;
}

static void check_unpack(xo_slice_t bytes)
{
    static const char *const formats[] = {"[s *]", "[[*] V]", "[s B U]", "[I f ? n _]", "V", "*"};
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        union {
            xo_slice_t slice;
            uint64_t number;
        } sinks[4];
        xo_error_t err = {.text = ""};
        if (xo_unpack(bytes, &err, formats[i], &sinks[0], &sinks[1], &sinks[2], &sinks[3]) < 0)
            demand(errno == EBADMSG && err.text[0], "a value that does not fit is explained");
    }
}

static void check_map(xo_slice_t bytes)
{
    xo_slice_t value;
    char text[8];
    int64_t number;
    if (xo_map_get(bytes, "code", &value) == 0)
        demand(check_skip(value), "what a map holds is a value");
    xo_map_get_str(bytes, "code", text, sizeof text);
    xo_map_get_int(bytes, "pid", &number);
}

static void check_failure(xo_slice_t bytes)
{
    xo_failure_t failure, back;
    xo_buf_t buf = XO_BUF_INIT;
    xo_error_t err;
    if (xo_failure_read(bytes, &failure) < 0)
        return;
    xo_failure_set_error(&failure, &err);
    xo_failure_pack(&failure, &buf);
    demand(xo_failure_read(xo_buf_slice(&buf), &back) == 0, "a failure that was written reads");
    demand(xo_slice_eq(failure.code, back.code) && xo_slice_eq(failure.type, back.type) &&
               xo_slice_eq(failure.exception, back.exception) && failure.pid == back.pid,
           "a failure reads as the same");
    xo_buf_free(&buf);
}

static void check_value(xo_slice_t bytes)
{
    bool whole = check_skip(bytes);
    check_transcode(bytes, whole);
    check_dump(bytes);
    check_unpack(bytes);
    check_map(bytes);
    check_failure(bytes);
}

/* ---- messages ---- */

static bool same_header(const xo_header_t *a, const xo_header_t *b)
{
    return a->kind == b->kind && a->flags == b->flags && a->seq == b->seq &&
           a->target_id == b->target_id && xo_slice_eq(a->target_uid, b->target_uid) &&
           a->incarnation == b->incarnation && a->sender_id == b->sender_id &&
           xo_slice_eq(a->sender_uid, b->sender_uid) && xo_slice_eq(a->method, b->method) &&
           a->deadline_ms == b->deadline_ms && xo_slice_eq(a->trace, b->trace);
}

static void check_header(xo_slice_t frame)
{
    xo_header_t header, back;
    xo_slice_t body, rest;
    xo_buf_t buf = XO_BUF_INIT;
    if (xo_header_decode(frame, &header, &body, NULL) < 0)
        return;
    demand(xo_header_encode(&header, &buf) == 0, "a header that decodes can be encoded");
    demand(xo_header_decode(xo_buf_slice(&buf), &back, &rest, NULL) == 0, "and decoded");
    demand(rest.size == 0 && same_header(&header, &back), "as the same");
    xo_buf_free(&buf);
}

static xo_msg_t *receive(xo_slice_t frame, size_t buffers)
{
    zmq_msg_t frames[4];
    xo_error_t err = {.text = ""};
    for (size_t i = 0; i <= buffers; i++) {
        size_t size = i ? 20 * i : frame.size; /* one short, others on the heap */
        demand(zmq_msg_init_size(&frames[i], size) == 0, "memory");
        memset(zmq_msg_data(&frames[i]), 'b', size);
    }
    if (frame.size > 0)
        memcpy(zmq_msg_data(&frames[0]), frame.data, frame.size);
    xo_msg_t *msg = xo_msg_from_frames(frames, 1 + buffers, &err);
    demand(msg || err.text[0], "a message that is refused is explained");
    return msg;
}

static xo_msg_t *send_over(xo_msg_t *msg)
{
    zmq_msg_t frames[4];
    size_t count = xo_msg_frame_count(msg);
    xo_msg_to_frames(&msg, frames);
    return xo_msg_from_frames(frames, count, NULL);
}

static void check_message(xo_slice_t frame, size_t buffers)
{
    xo_msg_t *msg = receive(frame, buffers);
    if (!msg)
        return;
    xo_msg_t *copy = receive(frame, buffers);
    xo_msg_set_seq(msg, 0x0102030405060708);
    xo_msg_set_sender_id(msg, 0);
    xo_msg_set_target_id(msg, UINT64_MAX);
    xo_header_t want = *xo_msg_header(copy);
    want.seq = 0x0102030405060708, want.sender_id = 0, want.target_id = UINT64_MAX;
    size_t bytes = xo_msg_bytes(msg);
    msg = send_over(msg);
    demand(msg && same_header(xo_msg_header(msg), &want), "setters change that and nothing else");
    demand(xo_slice_eq(xo_msg_body(msg), xo_msg_body(copy)), "the body stays");
    demand(xo_msg_bytes(msg) == bytes, "both ends count the same");
    demand(xo_msg_buffer_count(msg) == buffers, "the buffers stay");
    check_value(xo_msg_body(msg));
    xo_msg_destroy(&copy);
    xo_msg_destroy(&msg);
}

/* ---- bundles ---- */

static void check_bundle(xo_slice_t frame)
{
    xo_msgq_t msgs = {0};
    zmq_msg_t again;
    xo_error_t err = {.text = ""};
    if (!xoi_is_bundle(frame))
        return;
    if (xoi_bundle_read(frame, &msgs, &err) < 0) {
        demand(err.text[0] && msgs.count == 0, "a bundle that is refused is explained");
        return;
    }
    size_t count = msgs.count, bytes = msgs.bytes;
    for (const xo_msg_t *msg = msgs.head; msg; msg = xo_msgq_next(msg))
        check_value(xo_msg_body(msg));
    xo_msg_t *bundle = xoi_bundle_make(&msgs);
    xo_msg_to_frames(&bundle, &again);
    xo_slice_t text = xo_slice(zmq_msg_data(&again), zmq_msg_size(&again));
    /* headers in short forms grow when they are written again */
    if (xoi_bundle_read(text, &msgs, NULL) == 0)
        demand(msgs.count == count && msgs.bytes == bytes, "a bundle reads as the same");
    else
        demand(text.size > XOI_BUNDLE_BYTES_MAX, "a bundle that was made reads");
    zmq_msg_close(&again);
    xo_msgq_clear(&msgs);
}

/* ---- addresses ---- */

static void check_address(xo_slice_t bytes)
{
    char text[64], again[XO_ADDRESS_BYTES];
    xo_address_t address, back;
    size_t size = bytes.size < sizeof text ? bytes.size : sizeof text - 1;
    if (size > 0)
        memcpy(text, bytes.data, size);
    text[size] = '\0';
    if (xo_address_parse(text, &address, NULL) < 0)
        return;
    demand(xo_address_format(&address, again, sizeof again) == 0, "an address can be formatted");
    demand(xo_address_parse(again, &back, NULL) == 0, "and parsed");
    demand(strcmp(address.host, back.host) == 0 && address.port == back.port, "as the same");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    xo_slice_t frame = xo_slice(data + 1, size - 1);
    check_header(frame);
    check_message(frame, data[0] & 3);
    check_bundle(frame);
    check_value(frame);
    check_address(frame);
    return 0;
}
