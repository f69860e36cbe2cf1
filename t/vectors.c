/* vectors.c - holds the C codec to t/vectors.txt, whose head describes the format. */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "libxo/bundle.h"
#include "libxo/msg.h"
#include "t/transcode.h"
#include "t/unit.h"

#define FIELDS 5
#define FRAMES_MAX 8

typedef struct vector {
    char *sort, *name, *hex, *text, *python;
    xo_buf_t frames[FRAMES_MAX];
    size_t frame_count;
} vector_t;

/* ---- reading the file ---- */

static char *trim(char *text)
{
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text + strspn(text, " \t");
}

/* "sort | name | hex | text | python" */
static void split(char *line, vector_t *vector)
{
    char **fields[FIELDS] = {&vector->sort, &vector->name, &vector->hex, &vector->text,
                             &vector->python};
    for (int i = 0; i < FIELDS; i++) {
        char *bar = strstr(line, " | ");
        if ((bar == NULL) != (i == FIELDS - 1))
            fail_msg("not five fields: %s", line);
        if (bar)
            *bar = '\0';
        *fields[i] = trim(line);
        line = bar ? bar + 3 : line;
    }
}

static void append_word(xo_buf_t *frame, const char *word)
{
    xo_buf_t bytes = XO_BUF_INIT;
    unsigned byte;
    int used = 0;
    for (; sscanf(word, "%2x%n", &byte, &used) == 1 && used == 2; word += 2) {
        char c = (char)byte;
        xo_buf_append(&bytes, &c, 1);
    }
    long times = *word == '*' ? strtol(word + 1, NULL, 10) : 1;
    if (bytes.size == 0 || (*word && *word != '*') || times < 1)
        fail_msg("bad hex at: %s", word);
    while (times-- > 0)
        xo_buf_append(frame, bytes.data, bytes.size);
    xo_buf_free(&bytes);
}

static void read_hex(vector_t *vector)
{
    char *rest = NULL;
    vector->frame_count = 1;
    for (char *word = strtok_r(vector->hex, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (strcmp(word, "/") == 0)
            vector->frame_count++;
        else if (strcmp(word, "-") != 0)
            append_word(&vector->frames[vector->frame_count - 1], word);
        assert_in_range(vector->frame_count, 1, FRAMES_MAX);
    }
}

/* ---- what each sort of vector demands ---- */

static void assert_text(const vector_t *vector, xo_buf_t *text)
{
    xo_buf_append(text, "", 1);
    if (strcmp(text->data, vector->text) != 0)
        fail_msg("%s: \"%s\", want \"%s\"", vector->name, text->data, vector->text);
}

static void check_value(const vector_t *vector, bool same_bytes)
{
    xo_slice_t bytes = xo_buf_slice(&vector->frames[0]);
    xo_reader_t reader = xo_reader(bytes);
    xo_buf_t text = XO_BUF_INIT, again = XO_BUF_INIT;
    if (xo_read_skip(&reader) < 0 || !xo_reader_done(&reader))
        fail_msg("%s: refused", vector->name);
    if (xo_pack_dump(bytes, &text, SIZE_MAX) < 0)
        fail_msg("%s: not dumped", vector->name);
    assert_text(vector, &text);
    reader = xo_reader(bytes);
    assert_int_equal(transcode(&reader, &again), 0);
    if (xo_slice_eq(xo_buf_slice(&again), bytes) != same_bytes)
        fail_msg("%s: %s when written again", vector->name, same_bytes ? "differs" : "the same");
    xo_buf_free(&text);
    xo_buf_free(&again);
}

static void check_bad_value(const vector_t *vector)
{
    xo_slice_t bytes = xo_buf_slice(&vector->frames[0]);
    xo_reader_t reader = xo_reader(bytes);
    if (xo_read_skip(&reader) == 0 && xo_reader_done(&reader))
        fail_msg("%s: taken", vector->name);
}

/* Well formed as msgpack, but the payload of an ext is not what its type says. */
static void check_bad_ext(const vector_t *vector)
{
    xo_slice_t bytes = xo_buf_slice(&vector->frames[0]);
    xo_reader_t reader = xo_reader(bytes);
    xo_buf_t text = XO_BUF_INIT;
    if (xo_read_skip(&reader) < 0 || !xo_reader_done(&reader))
        fail_msg("%s: refused", vector->name);
    if (xo_pack_dump(bytes, &text, SIZE_MAX) == 0)
        fail_msg("%s: taken", vector->name);
    xo_buf_free(&text);
}

static xo_msg_t *receive(const vector_t *vector, xo_error_t *err)
{
    zmq_msg_t frames[FRAMES_MAX];
    for (size_t i = 0; i < vector->frame_count; i++) {
        const xo_buf_t *bytes = &vector->frames[i];
        assert_int_equal(zmq_msg_init_size(&frames[i], bytes->size), 0);
        if (bytes->size > 0)
            memcpy(zmq_msg_data(&frames[i]), bytes->data, bytes->size);
    }
    return xo_msg_from_frames(frames, vector->frame_count, err);
}

/* Does the encoder write the frame that came? */
static bool encodes_to(const vector_t *vector, const xo_msg_t *msg)
{
    xo_buf_t again = XO_BUF_INIT;
    assert_int_equal(xo_header_encode(xo_msg_header(msg), &again), 0);
    xo_slice_t body = xo_msg_body(msg);
    xo_buf_append(&again, body.data, body.size);
    bool same = xo_slice_eq(xo_buf_slice(&again), xo_buf_slice(&vector->frames[0]));
    xo_buf_free(&again);
    return same;
}

static void check_message(const vector_t *vector, bool same_bytes)
{
    xo_error_t err;
    xo_buf_t text = XO_BUF_INIT;
    xo_msg_t *msg = receive(vector, &err);
    if (!msg)
        fail_msg("%s: %s", vector->name, err.text);
    assert_int_equal(describe(msg, &text), 0);
    assert_text(vector, &text);
    if (encodes_to(vector, msg) != same_bytes)
        fail_msg("%s: %s when encoded", vector->name, same_bytes ? "differs" : "the same");
    xo_buf_free(&text);
    xo_msg_destroy(&msg);
}

static void check_bad_message(const vector_t *vector)
{
    xo_error_t err;
    xo_msg_t *msg = receive(vector, &err);
    if (msg)
        fail_msg("%s: taken", vector->name);
    if (strcmp(err.text, vector->text) != 0)
        fail_msg("%s: \"%s\", want \"%s\"", vector->name, err.text, vector->text);
}

static xo_slice_t bundle_of(const vector_t *vector)
{
    xo_slice_t frame = xo_buf_slice(&vector->frames[0]);
    assert_int_equal(vector->frame_count, 1);
    assert_true(xoi_is_bundle(frame));
    return frame;
}

static bool bundles_to(xo_msgq_t *msgs, xo_slice_t frame)
{
    zmq_msg_t again;
    xo_msg_t *bundle = xoi_bundle_make(msgs);
    assert_non_null(bundle);
    assert_int_equal(xo_msg_to_frames(&bundle, &again), 0);
    bool same = xo_slice_eq(xo_slice(zmq_msg_data(&again), zmq_msg_size(&again)), frame);
    zmq_msg_close(&again);
    return same;
}

static void check_bundle(const vector_t *vector, bool same_bytes)
{
    xo_error_t err;
    xo_msgq_t msgs = {0};
    xo_buf_t text = XO_BUF_INIT;
    xo_slice_t frame = bundle_of(vector);
    if (xoi_bundle_read(frame, &msgs, &err) < 0)
        fail_msg("%s: %s", vector->name, err.text);
    if (msgs.count == 0)
        xo_buf_append(&text, "-", 1);
    for (xo_msg_t *msg = xo_msgq_peek(&msgs); msg; msg = xo_msgq_next(msg)) {
        if (text.size > 0)
            xo_buf_append(&text, " + ", 3);
        assert_int_equal(describe(msg, &text), 0);
    }
    assert_text(vector, &text);
    if (bundles_to(&msgs, frame) != same_bytes)
        fail_msg("%s: %s when made again", vector->name, same_bytes ? "differs" : "the same");
    xo_buf_free(&text);
}

static void check_bad_bundle(const vector_t *vector)
{
    xo_error_t err;
    xo_msgq_t msgs = {0};
    if (xoi_bundle_read(bundle_of(vector), &msgs, &err) == 0)
        fail_msg("%s: taken", vector->name);
    if (strcmp(err.text, vector->text) != 0)
        fail_msg("%s: \"%s\", want \"%s\"", vector->name, err.text, vector->text);
    assert_int_equal(msgs.count, 0);
}

static void check(const vector_t *vector)
{
    if (strcmp(vector->sort, "value") == 0)
        check_value(vector, true);
    else if (strcmp(vector->sort, "value-read") == 0)
        check_value(vector, false);
    else if (strcmp(vector->sort, "bad-value") == 0)
        check_bad_value(vector);
    else if (strcmp(vector->sort, "bad-ext") == 0)
        check_bad_ext(vector);
    else if (strcmp(vector->sort, "message") == 0)
        check_message(vector, true);
    else if (strcmp(vector->sort, "message-read") == 0)
        check_message(vector, false);
    else if (strcmp(vector->sort, "bad-message") == 0)
        check_bad_message(vector);
    else if (strcmp(vector->sort, "bundle") == 0)
        check_bundle(vector, true);
    else if (strcmp(vector->sort, "bundle-read") == 0)
        check_bundle(vector, false);
    else if (strcmp(vector->sort, "bad-bundle") == 0)
        check_bad_bundle(vector);
    else
        fail_msg("unknown sort \"%s\"", vector->sort);
}

/* ---- one cmocka test per line ---- */

static void check_line(void **state)
{
    vector_t vector = {.frame_count = 0};
    char *line = strdup(*state);
    split(line, &vector);
    read_hex(&vector);
    check(&vector);
    for (size_t i = 0; i < FRAMES_MAX; i++)
        xo_buf_free(&vector.frames[i]);
    free(line);
}

/* What is between the first two bars. */
static char *name_of(const char *line)
{
    const char *bar = strstr(line, " | "), *end = bar ? strstr(bar + 3, " | ") : NULL;
    return strdup(end ? trim(strndupa(bar + 3, (size_t)(end - bar - 3))) : line);
}

static FILE *open_vectors(void)
{
    char path[4096];
    const char *top = getenv("XO_SRCDIR");
    snprintf(path, sizeof path, "%s/t/vectors.txt", top ? top : ".");
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static struct CMUnitTest make_test(char *line)
{
    return (struct CMUnitTest){
        .name = name_of(line), .test_func = check_line, .initial_state = strdup(line)};
}

static void free_tests(struct CMUnitTest *tests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)tests[i].name);
        free(tests[i].initial_state);
    }
    free(tests);
}

int main(void)
{
    struct CMUnitTest *tests = NULL;
    size_t count = 0, capacity = 0;
    char *line = NULL;
    FILE *file = open_vectors();
    while (getline(&line, &capacity, file) >= 0) {
        if (*trim(line) == '\0' || *line == '#')
            continue;
        tests = realloc(tests, (count + 1) * sizeof *tests);
        tests[count++] = make_test(line);
    }
    free(line);
    fclose(file);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    int failed = _cmocka_run_group_tests("vectors", tests, count, NULL, NULL);
    free_tests(tests, count);
    return failed;
}
