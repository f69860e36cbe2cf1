/* oom.c - a failing allocator walks through each call of the codec that allocates: whichever
 * allocation fails, the call says ENOMEM, changes nothing it must not, and leaks nothing.
 *
 * The linker's --wrap leads the codec's allocations here; what is allocated inside of libraries
 * is let through.
 */

#include <stdio.h>
#include <stdlib.h>

#include "libxo/bundle.h"
#include "libxo/cache.h"
#include "libxo/failure.h"
#include "libxo/msg.h"
#include "t/node.h"
#include "t/unit.h"

/* ---- the allocator ---- */

static int allowed = -1; /* allocations until the one that fails; below 0: none does */
static int live;         /* what the codec allocated and has not freed */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *old);
int __real_zmq_msg_init_size(zmq_msg_t *msg, size_t size);
int __real_vasprintf(char **text, const char *format, va_list args);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *old);
int __wrap_zmq_msg_init_size(zmq_msg_t *msg, size_t size);
int __wrap_vasprintf(char **text, const char *format, va_list args);

static bool fails(void)
{
    if (allowed < 0 || allowed-- > 0)
        return false;
    errno = ENOMEM;
    return true;
}

static void *count_new(void *memory)
{
    live += memory != NULL;
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : count_new(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : count_new(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (fails())
        return NULL;
    void *memory = __real_realloc(old, size);
    live += old == NULL && memory != NULL;
    return memory;
}

void __wrap_free(void *old)
{
    live -= old != NULL;
    __real_free(old);
}

int __wrap_zmq_msg_init_size(zmq_msg_t *msg, size_t size)
{
    return fails() ? -1 : __real_zmq_msg_init_size(msg, size);
}

int __wrap_vasprintf(char **text, const char *format, va_list args)
{
    if (fails())
        return -1;
    int length = __real_vasprintf(text, format, args);
    live += length >= 0;
    return length;
}

/* ---- walking ---- */

#define ALLOCATIONS_MAX 100

/* Runs `attempt` with its first, second, ... allocation failing until it does without. */
static void walk(int (*attempt)(void), int at_least)
{
    int failures = 0;
    for (;; failures++) {
        assert_in_range(failures, 0, ALLOCATIONS_MAX);
        xoi_cache_drop();
        int before = live;
        allowed = failures;
        errno = 0;
        int rc = attempt();
        int error = errno;
        bool all_allowed = allowed >= 0;
        allowed = -1;
        xoi_cache_drop();
        assert_int_equal(live, before);
        assert_int_equal(rc, all_allowed ? 0 : -1);
        if (all_allowed)
            break;
        assert_int_equal(error, ENOMEM);
    }
    assert_in_range(failures, at_least, ALLOCATIONS_MAX);
}

static const xo_header_t header = {
    .kind = XO_CALL,
    .target_uid = {"counter", 7},
    .method = {"add", 3},
};

/* ---- attempts ---- */

static int append(void)
{
    xo_buf_t buf = XO_BUF_INIT;
    char block[100] = "";
    int rc = 0;
    for (int i = 0; i < 10 && rc == 0; i++)
        rc = xo_buf_append(&buf, block, sizeof block);
    assert_int_equal(xo_buf_ok(&buf), rc);
    xo_buf_free(&buf);
    return rc;
}

static int format(void)
{
    xo_buf_t buf = XO_BUF_INIT;
    char text[1000] = "";
    int rc = xo_pack_format(&buf, "[i {s B}]", 1, "k", xo_slice(text, sizeof text));
    xo_buf_free(&buf);
    return rc;
}

static int dump(void)
{
    static const char value[] = "\x92\xa1x\xc0";
    xo_buf_t out = XO_BUF_INIT;
    int rc = xo_pack_dump(xo_slice(value, 4), &out, 100);
    xo_buf_free(&out);
    return rc;
}

static int encode(void)
{
    xo_buf_t buf = XO_BUF_INIT;
    int rc = xo_header_encode(&header, &buf);
    xo_buf_free(&buf);
    return rc;
}

static int create(void)
{
    xo_msg_t *msg = xo_msg_create(&header, xo_slice("\xc0", 1));
    int rc = msg ? 0 : -1;
    xo_msg_destroy(&msg);
    return rc;
}

static void freed(void *payload)
{
    ++*(int *)payload;
}

static int create_local(void)
{
    int times = 0;
    xo_msg_t *msg = xo_msg_create_local(&header, &times, freed, 0);
    int rc = msg ? 0 : -1;
    xo_msg_destroy(&msg);
    assert_int_equal(times, rc + 1); /* a failure leaves the payload with the caller */
    return rc;
}

/* A message that nothing of failed. */
static xo_msg_t *make(void)
{
    int saved = allowed;
    allowed = -1;
    xo_msg_t *msg = xo_msg_create(&header, xo_slice("\xc0", 1));
    assert_non_null(msg);
    allowed = saved;
    return msg;
}

static int add_buffers(void)
{
    xo_msg_t *msg = make();
    size_t added = 0;
    int rc = 0;
    for (; added < 5 && rc == 0; added += rc == 0)
        rc = xo_msg_add_buffer_copy(msg, "0123456789", 10);
    assert_int_equal(xo_msg_buffer_count(msg), added);
    for (size_t i = 0; i < added; i++)
        assert_true(xo_slice_eq_str(xo_msg_buffer(msg, i), "0123456789"));
    xo_msg_destroy(&msg);
    return rc;
}

/* A message that is encoded only here. */
static int to_frames(void)
{
    zmq_msg_t frames[2];
    int saved = allowed;
    xo_msg_t *msg = make();
    allowed = -1;
    assert_int_equal(xo_msg_add_buffer_copy(msg, "0123456789", 10), 0);
    allowed = saved;
    int rc = xo_msg_to_frames(&msg, frames);
    assert_int_equal(rc < 0, msg != NULL);
    for (int i = 0; i < 2 && rc == 0; i++)
        zmq_msg_close(&frames[i]);
    xo_msg_destroy(&msg);
    return rc;
}

/* Frames of another encoder, so that the header is written anew, and two buffers. */
static int receive(void)
{
    static const char narrow[] = "\x99\x01\x06\x00\x05\xc0\xc0\xc0\x00\xc0\xa1x";
    zmq_msg_t frames[3];
    for (int i = 0; i < 3; i++)
        __real_zmq_msg_init_size(&frames[i], i ? 1000 : sizeof narrow - 1);
    memcpy(zmq_msg_data(&frames[0]), narrow, sizeof narrow - 1);
    memset(zmq_msg_data(&frames[1]), 0, 1000);
    xo_error_t err = {.errnum = 0};
    xo_msg_t *msg = xo_msg_from_frames(frames, 3, &err);
    int rc = msg ? 0 : -1;
    assert_int_equal(err.errnum, msg ? 0 : ENOMEM);
    xo_msg_destroy(&msg);
    return rc;
}

/* Two messages in one frame, and out of it: what fails leaves the queue as it was. */
static int bundle(void)
{
    zmq_msg_t frame;
    xo_msgq_t queue = {0};
    for (int i = 0; i < 2; i++) {
        xo_msg_t *msg = make();
        xo_msgq_push(&queue, &msg);
    }
    xo_msg_t *made = xoi_bundle_make(&queue);
    assert_int_equal(queue.count, made ? 0 : 2);
    int rc = made ? 0 : -1;
    if (made) {
        xo_msg_to_frames(&made, &frame);
        rc = xoi_bundle_read(xo_slice(zmq_msg_data(&frame), zmq_msg_size(&frame)), &queue, NULL);
        assert_int_equal(queue.count, rc < 0 ? 0 : 2);
        zmq_msg_close(&frame);
    }
    int saved = errno;
    xo_msgq_clear(&queue);
    errno = saved;
    return rc;
}

static int fail_with(void)
{
    xo_msg_t *msg = xo_failure_msg(1, XO_CODE_SERVER_CLOSED, "no", "exit status 1", "pool %d", 3);
    int rc = msg ? 0 : -1;
    xo_msg_destroy(&msg);
    return rc;
}

/* Reading allocates nothing. */
static int read_only(void)
{
    xo_header_t back;
    xo_slice_t body, text;
    xo_error_t err;
    xo_failure_t failure;
    static const char frame[] = "\x99\x01\x06\x00\x05\xc0\xc0\xc0\x00\xc0\xa1x";
    int rc = xo_header_decode(xo_slice(frame, sizeof frame - 1), &back, &body, &err);
    assert_int_equal(xo_unpack(body, &err, "S", &text), 0);
    assert_int_equal(xo_failure_read(body, &failure), -1);
    assert_int_equal(xo_map_get(body, "k", &text), -1);
    errno = 0;
    return rc;
}

/* ---- tells ---- */

typedef struct word {
    int times, errnum;
} word_t;

static void on_accepted(const xo_failure_t *why, void *arg)
{
    word_t *word = arg;
    word->times++;
    word->errnum = why ? EPIPE : 0;
}

static void handle_some(fixture_t *f)
{
    xo_loop_once(f->loop, 10);
    while (f->b->first < f->b->count)
        node_swallow(f->b);
}

typedef enum { TO_ITSELF, AT_ONCE, WITHOUT_CREDIT } way_t;

/* A new one when the last was closed, as it is where the receiver had no memory. */
static xo_link_t *get_link(fixture_t *f, way_t way)
{
    if (way == TO_ITSELF)
        return NULL;
    xo_link_t *link = xo_endpoint_link(f->a->endpoint, "mem://b", NULL);
    assert_non_null(link);
    UNTIL(xo_link_up(link));
    if (way == WITHOUT_CREDIT) { /* that is what this one takes */
        xo_msg_t *msg = node_make(XO_TELL, 0, 0, 0);
        assert_int_equal(
            xo_endpoint_tell(f->a->endpoint, link, &msg, XO_SEND_QUEUE, NULL, NULL, NULL), 0);
    }
    return link;
}

/* With each allocation failing in turn, a tell is refused, or the word that it was accepted comes.
 */
static void walk_tell(fixture_t *f, way_t way)
{
    bool all_allowed = false;
    for (int failures = 0; !all_allowed; failures++) {
        word_t word = {0, -1};
        xo_link_t *link = get_link(f, way);
        xo_msg_t *msg = node_make(XO_TELL, 0, failures, 0);
        xoi_cache_drop();
        allowed = failures;
        int rc =
            xo_endpoint_tell(f->a->endpoint, link, &msg, XO_SEND_QUEUE, on_accepted, &word, NULL);
        all_allowed = allowed >= 0;
        allowed = -1;
        assert_int_equal(rc < 0, msg != NULL);
        xo_msg_destroy(&msg);
        for (int passes = 0; rc == 0 && word.times == 0 && passes < 2000; passes++)
            handle_some(f);
        handle_some(f);
        assert_int_equal(word.times, rc == 0);
        assert_true(rc < 0 || word.errnum == 0 || word.errnum == EPIPE);
    }
}

static void tells_are_refused_or_heard_of(void **state)
{
    fixture_t *f = *state;
    link_ab(f, &(xo_endpoint_options_t){.window_messages = 1});
    walk_tell(f, TO_ITSELF);
    walk_tell(f, AT_ONCE);
    walk_tell(f, WITHOUT_CREDIT);
}

/* ---- calls that are sent again ---- */

#define CALLS_AGAIN 100 /* their timers need more memory than there is at first */

static void count_answer(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    ++*(int *)arg;
    xo_msg_destroy(answer);
}

static void call_many(fixture_t *f, xo_link_t *link, int answers[])
{
    for (int i = 0; i < CALLS_AGAIN; i++) {
        xo_header_t idempotent = header;
        idempotent.flags = XO_F_IDEMPOTENT;
        xo_msg_t *msg = xo_msg_create(&idempotent, xo_slice("\x92\x91\x01\x80", 4));
        assert_non_null(xo_endpoint_call(f->a->endpoint, link, &msg, XO_SEND_QUEUE, 0, count_answer,
                                         &answers[i], NULL));
    }
}

/* Without memory while their link ends. False: none was wanted. */
static bool lose_many(fixture_t *f)
{
    int answers[CALLS_AGAIN] = {0};
    call_many(f, link_ab(f, &(xo_endpoint_options_t){.window_messages = 1}), answers);
    UNTIL(f->b->count == 1);
    node_destroy(f->b);
    allowed = 0;
    UNTIL(f->a->unlinked > 0);
    bool failed = allowed < 0;
    allowed = -1;
    f->b = node_create(f, XO_ROLE_POOL, "mem://b", NULL);
    f->b->echo = true;
    for (int i = 0; i < CALLS_AGAIN; i++)
        UNTIL(answers[i]);
    xo_loop_once(f->loop, 0);
    for (int i = 0; i < CALLS_AGAIN; i++)
        assert_int_equal(answers[i], 1);
    return failed;
}

static void calls_that_wait_need_no_memory(void **state)
{
    fixture_setup(state);
    assert_false(lose_many(*state));
    fixture_teardown(state);
}

/* ---- tests ---- */

static void walks_packing(void **state)
{
    (void)state;
    walk(append, 4);
    walk(format, 2);
    walk(dump, 1);
    walk(encode, 1);
}

static void walks_messages(void **state)
{
    (void)state;
    walk(create, 1);
    walk(create_local, 1);
    walk(add_buffers, 8);
    walk(to_frames, 1);
    walk(receive, 3);
    walk(bundle, 3);
    walk(fail_with, 3);
}

static void reading_allocates_nothing(void **state)
{
    (void)state;
    walk(read_only, 0);
    allowed = 0;
    assert_int_equal(read_only(), 0);
    assert_int_equal(allowed, 0);
    allowed = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_packing),
        cmocka_unit_test(walks_messages),
        cmocka_unit_test(reading_allocates_nothing),
        cmocka_unit_test_setup_teardown(tells_are_refused_or_heard_of, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test(calls_that_wait_need_no_memory),
    };
    xoi_cache_free(xoi_cache_alloc(1), 1); /* there from now on */
    return run_tap(tests);
}
