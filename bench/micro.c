/* micro.c - what the codec costs: nanoseconds per operation, as one JSON object (out.h).
 * Each figure is the best of several rounds, since what disturbs a round only makes it longer. */

#include "bench/out.h"
#include "libxo/msg.h"

#define ROUNDS 7
#define OPERATIONS 200000

typedef struct sample {
    xo_header_t header;
    xo_buf_t head;     /* the header, encoded */
    xo_buf_t args;     /* [["word", 1, 2.5], {}] */
    xo_buf_t integers; /* an array of INTEGERS */
} sample_t;

#define INTEGERS 1000

/* Does it once. */
typedef void (*operation_f)(sample_t *sample, xo_buf_t *scratch);

static void die(const char *what)
{
    xob_die(what, "failed");
}

static void header_encode(sample_t *sample, xo_buf_t *scratch)
{
    xo_buf_clear(scratch);
    if (xo_header_encode(&sample->header, scratch) < 0)
        die("xo_header_encode");
}

static void header_decode(sample_t *sample, xo_buf_t *scratch)
{
    xo_header_t header;
    xo_slice_t body;
    (void)scratch;
    if (xo_header_decode(xo_buf_slice(&sample->head), &header, &body, NULL) < 0)
        die("xo_header_decode");
}

static void pack_args(sample_t *sample, xo_buf_t *scratch)
{
    (void)sample;
    xo_buf_clear(scratch);
    if (xo_pack_format(scratch, "[[s i f] {}]", "word", 1, 2.5) < 0)
        die("xo_pack_format");
}

static void unpack_args(sample_t *sample, xo_buf_t *scratch)
{
    xo_slice_t word;
    int number;
    double rate;
    (void)scratch;
    if (xo_unpack(xo_buf_slice(&sample->args), NULL, "[[s i f] _]", &word, &number, &rate) < 0)
        die("xo_unpack");
}

static void skip_integers(sample_t *sample, xo_buf_t *scratch)
{
    xo_reader_t reader = xo_reader(xo_buf_slice(&sample->integers));
    (void)scratch;
    if (xo_read_skip(&reader) < 0)
        die("xo_read_skip");
}

static void message_create(sample_t *sample, xo_buf_t *scratch)
{
    xo_msg_t *msg = xo_msg_create(&sample->header, xo_buf_slice(&sample->args));
    (void)scratch;
    if (!msg)
        die("xo_msg_create");
    xo_msg_destroy(&msg);
}

/* Makes a message, takes it to frames and back: what both ends of a lane do together. */
static void message_round(sample_t *sample, xo_buf_t *scratch)
{
    zmq_msg_t frame;
    xo_msg_t *msg = xo_msg_create(&sample->header, xo_buf_slice(&sample->args));
    (void)scratch;
    if (!msg)
        die("xo_msg_create");
    xo_msg_set_seq(msg, 1);
    xo_msg_to_frames(&msg, &frame);
    msg = xo_msg_from_frames(&frame, 1, NULL);
    if (!msg)
        die("xo_msg_from_frames");
    xo_msg_destroy(&msg);
}

static double measure(operation_f operation, sample_t *sample, int operations)
{
    double best = 0;
    xo_buf_t scratch = XO_BUF_INIT;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = xob_now_ns();
        for (int i = 0; i < operations; i++)
            operation(sample, &scratch);
        double each = (double)(xob_now_ns() - start) / operations;
        if (round == 0 || each < best)
            best = each;
    }
    xo_buf_free(&scratch);
    return best;
}

static void make_sample(sample_t *sample)
{
    sample->header = (xo_header_t){
        .kind = XO_CALL,
        .seq = 1,
        .target_id = 0x0123456789abcdef,
        .target_uid = xo_slice_str("counter-0"),
        .incarnation = 1,
        .sender_id = 0xfedcba9876543210,
        .sender_uid = xo_slice_str("mapper-3"),
        .method = xo_slice_str("count"),
        .deadline_ms = 1000,
    };
    xo_pack_format(&sample->args, "[[s i f] {}]", "word", 1, 2.5);
    xo_pack_array(&sample->integers, INTEGERS);
    for (int i = 0; i < INTEGERS; i++)
        xo_pack_int(&sample->integers, i * 37);
    if (xo_header_encode(&sample->header, &sample->head) < 0 || xo_buf_ok(&sample->args) < 0 ||
        xo_buf_ok(&sample->integers) < 0)
        die("the sample");
}

int main(void)
{
    static const struct figure {
        const char *name;
        operation_f operation;
        int values; /* per operation: the figure is per value */
    } figures[] = {
        {"header_encode_ns", header_encode, 1},
        {"header_decode_ns", header_decode, 1},
        {"pack_args_ns", pack_args, 1},
        {"unpack_args_ns", unpack_args, 1},
        {"skip_value_ns", skip_integers, INTEGERS},
        {"message_create_ns", message_create, 1},
        {"message_round_ns", message_round, 1},
    };
    sample_t sample = {.head = XO_BUF_INIT, .args = XO_BUF_INIT, .integers = XO_BUF_INIT};
    make_sample(&sample);
    xob_open();
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        int values = figures[i].values;
        double ns = measure(figures[i].operation, &sample, OPERATIONS / values) / values;
        xob_number(ns, "%s", figures[i].name);
    }
    xob_close();
    xo_buf_free(&sample.head);
    xo_buf_free(&sample.args);
    xo_buf_free(&sample.integers);
    return 0;
}
