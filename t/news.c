/* news.c - heartbeats and events for a process that is stopped: what waits of them is bounded, and
 * it hears how many were lost. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "libxo/endpoint_impl.h"
#include "t/node.h"

enum { NEWS = 2000, HEARTBEATS = 200, WAITING_MAX = 256 };

/* ---- the process that is stopped ---- */

typedef struct reader {
    int64_t last, came, lost, heartbeat, states;
    bool in_order;
} reader_t;

static void on_event(xo_endpoint_t *endpoint, xo_link_t *link, const xo_msg_t *msg, void *arg)
{
    (void)endpoint;
    (void)link;
    reader_t *reader = arg;
    const xo_header_t *header = xo_msg_header(msg);
    int64_t number = 0;
    bool counts = xo_slice_eq_str(header->method, XO_EVENT_LOST);
    xo_map_get_int(xo_msg_body(msg), counts ? "count" : "number", &number);
    if (header->kind == XO_HEARTBEAT) {
        reader->heartbeat = number;
    } else if (counts) {
        reader->lost += number;
        reader->last += number; /* it stands where they would */
    } else if (xo_slice_eq_str(header->method, "state")) {
        reader->states++;
    } else {
        reader->came++;
        reader->in_order = reader->in_order && number == ++reader->last;
    }
}

static bool has_all(const reader_t *reader)
{
    return reader->in_order && reader->came + reader->lost == NEWS && reader->lost > 0 &&
           reader->heartbeat == HEARTBEATS && reader->states == 1;
}

/* Reads until it has seen the last of each. */
static int read_all(const char *door, int ready)
{
    static const xo_endpoint_ops_t ops = {.event = on_event};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    reader_t reader = {.in_order = true};
    xo_identity_t self = {.role = XO_ROLE_POOL, .index = -1};
    xo_ctx_t *ctx = xo_ctx_create("test", NULL);
    xo_loop_t *loop = xo_loop_create(NULL);
    xo_endpoint_t *endpoint = xo_endpoint_create(ctx, loop, &self, &ops, &reader, NULL, NULL);
    if (xo_endpoint_listen_on(endpoint, door, NULL) < 0 || write(ready, "", 1) != 1)
        return 2;
    for (int i = 0; i < 3000 && (reader.last < NEWS || reader.heartbeat < HEARTBEATS); i++)
        xo_loop_once(loop, 10);
    int rc = has_all(&reader) ? 0 : 1;
    xo_endpoint_destroy(endpoint);
    xo_loop_destroy(loop);
    xo_ctx_destroy(ctx);
    return rc;
}

static pid_t start_reader(const char *door)
{
    char byte;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(read_all(door, ready[1]));
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

/* ---- who tells it ---- */

static void send_number(fixture_t *f, xo_link_t *link, xo_kind_t kind, const char *type,
                        unsigned flags, int number)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, "{s i}", "number", number);
    xo_header_t header = {.kind = kind, .method = xo_slice_str(type)};
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    assert_int_equal(xo_endpoint_tell(f->a->endpoint, link, &msg, flags, NULL, NULL, NULL), 0);
}

static void tell_stopped(fixture_t *f, xo_link_t *link)
{
    for (int i = 1; i <= NEWS; i++) {
        send_number(f, link, XO_EVENT, "news", XO_SEND_NEWS, i);
        if (i == NEWS / 2)
            send_number(f, link, XO_EVENT, "state", 0, i);
        if (i % (NEWS / HEARTBEATS) == 0)
            send_number(f, link, XO_HEARTBEAT, "", 0, i / (NEWS / HEARTBEATS));
        xo_loop_once(f->loop, 0);
        assert_in_range(link->news.count, 0, WAITING_MAX);
        assert_in_range(link->urgent.count, 0, 1);
    }
}

static void run(const char *scheme)
{
    char door[128];
    int status;
    xo_error_t err;
    scratch_t scratch;
    scratch_enter(&scratch);
    snprintf(door, sizeof door, "%s://%s/door", scheme, scratch.path);
    pid_t pid = start_reader(door);
    fixture_t world = {.ctx = xo_ctx_create("test", NULL), .loop = xo_loop_create(NULL)};
    fixture_t *f = &world;
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    xo_link_t *link = xo_endpoint_link(f->a->endpoint, door, &err);
    UNTIL(f->a->linked);
    kill(pid, SIGSTOP);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    tell_stopped(f, link);
    assert_int_equal(link->news.count, WAITING_MAX);
    assert_non_null(link->heartbeat);
    uint64_t lost = xo_endpoint_drops(f->a->endpoint)[XO_DROP_STALLED];
    assert_in_range(lost, 1, NEWS - WAITING_MAX);
    assert_int_equal(link->news_lost, lost);
    kill(pid, SIGCONT);
    UNTIL(f->a->unlinked);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    node_destroy(f->a);
    xo_loop_destroy(f->loop);
    xo_ctx_destroy(f->ctx);
    scratch_leave(&scratch);
}

static void test_over_shared_memory(void **state)
{
    (void)state;
    run("shm");
}

static void test_over_ipc(void **state)
{
    (void)state;
    run("ipc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_over_shared_memory),
        cmocka_unit_test(test_over_ipc),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("news", tests, NULL, NULL);
}
