/* node.c - connects, asks the broker, and turns failures into complaints and exit statuses. */
#include "cmd/node.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/json.h"
#include "cmd/text.h"

/* What became of a tell. */
typedef struct accepted {
    int answer; /* -1: none yet; 0: it was; 1: no, and `why` */
    char why[XO_ERROR_TEXT_BYTES];
} accepted_t;

struct xoi_node {
    xo_client_t *client;
    xo_endpoint_t *endpoint;
    xo_loop_t *loop;
    xo_link_t *link;   /* to the broker, or to the pool that --node names, which passes on */
    bool alone;        /* it is the pool that was asked for: there is no broker */
    xo_io_t interrupt; /* a signalfd; active: see xoi_node_cancel_on_interrupt */
    xo_future_t *asked;
    bool interrupted;
    accepted_t accepted;
};

static void on_interrupt(xo_io_t *io, int revents, void *arg)
{
    (void)revents;
    xoi_node_t *node = arg;
    struct signalfd_siginfo info;
    sigset_t set;
    if (read(io->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* the second one ends us */
    node->interrupted = true;
    if (node->asked)
        xo_future_cancel(node->asked);
}

void xoi_node_cancel_on_interrupt(xoi_node_t *node)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return;
    xo_io_init(&node->interrupt, node->loop, fd, XO_READ, on_interrupt, node);
    if (xo_io_start(&node->interrupt) < 0)
        close(fd);
    else
        sigprocmask(SIG_BLOCK, &set, NULL);
}

xoi_node_t *xoi_node_open(const xoi_args_t *args, int *status)
{
    return xoi_node_open_at(args, "", status);
}

/* Who listens at a local socket, as the kernel knows it, also of a process that stands still; or 0.
 */
static long long listener_of(const char *where)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    if (strncmp(where, "ipc://", 6) != 0 || strlen(where + 6) >= sizeof(to.sun_path))
        return 0;
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", where + 6);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        peer.pid = 0;
    if (fd >= 0)
        close(fd);
    return peer.pid;
}

static long long find_listener(const xoi_args_t *args)
{
    char where[XO_PATH_BYTES * 3] = "";
    if (args->node)
        return listener_of(args->node);
    xo_ctx_t *ctx = xo_ctx_create_client(NULL, NULL);
    bool found = ctx && xo_find_node(ctx, where, sizeof(where), NULL) == 0;
    xo_ctx_destroy(ctx);
    return found ? listener_of(where) : 0;
}

static int complain_unconnected(const xoi_args_t *args, const xo_error_t *err)
{
    long long pid = err->errnum == ETIMEDOUT ? find_listener(args) : 0;
    if (pid)
        return xoi_complain(XOI_TIMEOUT,
                            "the broker (process %lld) does not answer within %g s; it may stand "
                            "still (SIGSTOP, a debugger, no processor): ps -o stat,wchan %lld says "
                            "more; one that is stopped (T) goes on with kill -CONT %lld",
                            pid, (double)args->timeout_ms / 1e3, pid, pid);
    if (err->errnum == ETIMEDOUT)
        return xoi_complain(XOI_TIMEOUT, "%s", err->text);
    return xoi_complain(err->errnum == EINVAL ? XOI_USAGE : XOI_NO_NODE, "%s", err->text);
}

static xoi_node_t *try_open(const xoi_args_t *args, const char *address, xo_error_t *err)
{
    int timeout_ms = args->timeout_ms > INT_MAX ? INT_MAX : (int)args->timeout_ms;
    if (args->cluster)
        setenv("XO_CLUSTER", args->cluster, 1);
    xo_client_t *client = xo_connect_within(args->node, NULL, timeout_ms, err);
    bool alone = !client && address[0] && !args->node && !getenv("XO_NODE");
    if (alone)
        client = xo_connect_within(address, NULL, timeout_ms, err);
    if (!client)
        return NULL;
    xoi_node_t *node = xoi_need(calloc(1, sizeof(*node)));
    node->client = client;
    node->alone = alone;
    node->endpoint = xo_client_endpoint(client);
    node->loop = xo_client_loop(client);
    node->link = xo_link_incref(xo_endpoint_next_link(node->endpoint, NULL));
    return node;
}

xoi_node_t *xoi_node_try(const xoi_args_t *args)
{
    xo_error_t err;
    return try_open(args, "", &err);
}

xoi_node_t *xoi_node_open_at(const xoi_args_t *args, const char *address, int *status)
{
    xo_error_t err = {0};
    xoi_node_t *node = try_open(args, address, &err);
    *status = node ? XOI_OK : complain_unconnected(args, &err);
    return node;
}

void xoi_node_close(xoi_node_t *node)
{
    if (!node)
        return;
    if (node->interrupt.active) {
        xo_io_stop(&node->interrupt);
        close(node->interrupt.fd);
    }
    xo_link_decref(node->link);
    xo_client_destroy(node->client);
    free(node);
}

bool xoi_node_is_pool(const xoi_node_t *node, const char *address)
{
    const xo_identity_t *peer = xo_link_peer(node->link);
    return node->alone || (peer->role == XO_ROLE_POOL && strcmp(peer->address, address) == 0);
}

const char *xoi_node_cluster(const xoi_node_t *node)
{
    return xo_endpoint_self(node->endpoint)->cluster;
}

int64_t xoi_node_pid(const xoi_node_t *node)
{
    const xo_identity_t *peer = xo_link_peer(node->link);
    const char *scheme = xo_link_scheme(node->link);
    bool here = strcmp(scheme, "ipc") == 0 || strcmp(scheme, "shm") == 0;
    return here && peer->role == XO_ROLE_BROKER ? peer->pid : 0;
}

bool xoi_node_wait(xoi_node_t *node, int64_t ms)
{
    xo_loop_update(node->loop);
    int64_t end = xo_loop_now(node->loop) + ms * XO_MS;
    int64_t left = ms;
    while (left > 0 && xo_link_up(node->link)) {
        xo_loop_once(node->loop, left > INT_MAX ? INT_MAX : (int)left);
        xo_loop_update(node->loop);
        left = (end - xo_loop_now(node->loop) + XO_MS - 1) / XO_MS;
    }
    return xo_link_up(node->link);
}

static int status_of(xo_slice_t code)
{
    static const struct {
        const char *code;
        int status;
    } table[] = {
        {XO_CODE_METHOD, XOI_RAISED},
        {XO_CODE_ACTOR_NOT_EXIST, XOI_NO_ACTOR},
        {XO_CODE_AMBIGUOUS, XOI_NO_ACTOR},
        {XO_CODE_DEADLINE, XOI_TIMEOUT},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (xo_slice_eq_str(code, table[i].code))
            return table[i].status;
    return XOI_FAILED;
}

static void print_traceback(xo_slice_t traceback)
{
    char *text =
        xoi_text_escape(traceback.data, traceback.size, XOI_KEEP_NEWLINES | XOI_KEEP_BACKSLASHES);
    size_t size = strlen(text);
    fprintf(stderr, "%s%s", text, size && text[size - 1] != '\n' ? "\n" : "");
    free(text);
}

/* Complains about an XO_ERROR: what it says, whether the method may have run, the traceback. */
static int explain(const char *what, const xo_msg_t *answer)
{
    xo_failure_t failure;
    if (xo_failure_read(xo_msg_body(answer), &failure) < 0)
        return xoi_complain(XOI_FAILED, "%s: the answer is not well formed", what);
    bool raised = xo_slice_eq_str(failure.code, XO_CODE_METHOD);
    xo_slice_t kind = raised && failure.type.size ? failure.type : failure.code;
    bool maybe = xo_slice_eq_str(failure.executed, "maybe");
    bool untold = failure.reason.size && !memmem(failure.message.data, failure.message.size,
                                                 failure.reason.data, failure.reason.size);
    xoi_complain(0, "%s: %.*s: %.*s%s%.*s%s", what, (int)kind.size, kind.data,
                 (int)failure.message.size, failure.message.data, untold ? ": " : "",
                 untold ? (int)failure.reason.size : 0, failure.reason.data,
                 maybe ? " (the method may have run)" : "");
    print_traceback(failure.traceback);
    return status_of(failure.code);
}

/* `err`: why there is no future. */
static int await_answer(xoi_node_t *node, const char *what, xo_future_t *future, int64_t timeout_ms,
                        xo_error_t *err)
{
    int wait_ms = timeout_ms > INT_MAX ? -1 : (int)timeout_ms;
    if (!future)
        return xoi_complain(XOI_FAILED, "%s: %s", what, err->text);
    node->asked = future;
    int late = xo_future_wait(future, wait_ms, err);
    node->asked = NULL;
    if (node->interrupted)
        return xoi_complain(XOI_INTERRUPTED, "%s: interrupted, and cancelled", what);
    if (late < 0)
        return xoi_complain(XOI_TIMEOUT, "%s: no answer within %g s", what,
                            (double)timeout_ms / 1e3);
    const xo_msg_t *answer = xo_future_answer(future);
    if (!answer)
        return xoi_complain(XOI_FAILED, "%s: out of memory", what);
    return xo_msg_header(answer)->kind == XO_RESULT ? XOI_OK : explain(what, answer);
}

int xoi_node_ask(xoi_node_t *node, const char *what, const char *method, xo_slice_t args,
                 int64_t timeout_ms, xo_future_t **future)
{
    xo_error_t err = {0};
    *future = xo_client_ask_broker(node->client, &err, method, args);
    return await_answer(node, what, *future, timeout_ms, &err);
}

int xoi_node_call(xoi_node_t *node, const char *what, xo_slice_t uid, const char *method,
                  xo_slice_t body, int64_t timeout_ms, xo_future_t **future)
{
    xo_error_t err = {0};
    xo_slice_t args, kwargs;
    const char *address = xo_link_peer(node->link)->address;
    *future = NULL;
    xo_ref_t *ref = xo_ref_create_bytes(node->endpoint, address, uid, &err);
    if (ref && xo_unpack(body, &err, "[V V]", &args, &kwargs) == 0)
        *future = xo_ref_call_packed(ref, &err, method, args, kwargs);
    int status = await_answer(node, what, *future, timeout_ms, &err);
    xo_ref_destroy(ref);
    return status;
}

static void on_accepted(const xo_failure_t *why, void *arg)
{
    accepted_t *accepted = arg;
    accepted->answer = why != NULL;
    if (why)
        snprintf(accepted->why, sizeof accepted->why, "%.*s", (int)why->message.size,
                 why->message.data);
}

int xoi_node_tell(xoi_node_t *node, const char *what, xo_slice_t uid, const char *method,
                  xo_slice_t body, int64_t timeout_ms)
{
    accepted_t *accepted = &node->accepted;
    xo_header_t header = {.kind = XO_TELL, .target_uid = uid, .method = xo_slice_str(method)};
    xo_msg_t *msg = xo_msg_create(&header, body);
    *accepted = (accepted_t){.answer = -1, .why = "it could not be sent in time (--timeout)"};
    if (!msg || xo_endpoint_tell(node->endpoint, node->link, &msg, XO_SEND_QUEUE, on_accepted,
                                 accepted, NULL) < 0) {
        xo_msg_destroy(&msg);
        return xoi_complain(XOI_FAILED, "%s: %s", what, strerror(errno));
    }
    for (int64_t ms = 0; accepted->answer < 0 && ms < timeout_ms && xoi_node_wait(node, 1); ms++)
        ;
    return accepted->answer == 0 ? XOI_OK : xoi_complain(XOI_FAILED, "%s: %s", what, accepted->why);
}

int xoi_node_records(xoi_node_t *node, const char *method, xo_slice_t args, int64_t timeout_ms,
                     json_object **records)
{
    xo_future_t *future;
    xo_error_t err = {0};
    int status = xoi_node_ask(node, method, method, args, timeout_ms, &future);
    const xo_msg_t *answer = status == XOI_OK ? xo_future_answer(future) : NULL;
    if (answer && xoi_json_from_record(answer, xo_msg_body(answer), records, &err) < 0)
        status = xoi_complain(XOI_FAILED, "%s: %s", method, err.text);
    xo_future_destroy(future);
    return status;
}

json_object *xoi_node_look(xoi_node_t *node, const char *method, int64_t timeout_ms)
{
    json_object *record = NULL;
    xo_error_t err;
    xo_future_t *future = xo_client_ask_broker(node->client, &err, method, xo_slice(NULL, 0));
    if (future && xo_future_wait(future, (int)timeout_ms, &err) == 0) {
        const xo_msg_t *answer = xo_future_answer(future);
        if (answer && xo_msg_header(answer)->kind == XO_RESULT)
            xoi_json_from_record(answer, xo_msg_body(answer), &record, &err);
    }
    xo_future_destroy(future);
    return record;
}
