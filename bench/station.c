/* station.c - see station.h. */
#include "bench/station.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/actors.h"
#include "bench/out.h"

#define CREATED_AT_A_TIME 256

xo_endpoint_t *station_endpoint(station_t *station)
{
    return xo_pool_endpoint(station->pool);
}

const char *station_address(const station_t *station)
{
    return xo_pool_address(station->pool);
}

static void finish(xo_future_t *future, const char *what, xo_error_t *err)
{
    if (!future || xo_future_wait(future, WAIT_MS, err) < 0 || xo_future_get(future, err, NULL) < 0)
        xob_die(what, err->text);
    xo_future_destroy(future);
}

void station_create_at(station_t *station, const char *address, const char *class_name,
                       const char *uid)
{
    xo_error_t err;
    finish(xo_create_actor(station_endpoint(station), &err, address, class_name, uid, ""),
           class_name, &err);
}

void station_create(station_t *station, const char *class_name, const char *uid)
{
    station_create_at(station, station_address(station), class_name, uid);
}

void station_create_many(station_t *station, int first, int count)
{
    char uid[16];
    xo_error_t err;
    xo_future_t *futures[CREATED_AT_A_TIME];
    for (int i = 0; i < count;) {
        int n = count - i < CREATED_AT_A_TIME ? count - i : CREATED_AT_A_TIME;
        for (int j = 0; j < n; j++) {
            snprintf(uid, sizeof uid, "a%d", first + i + j);
            futures[j] = xo_create_actor(station_endpoint(station), &err, station_address(station),
                                         "Echo", uid, "");
        }
        for (int j = 0; j < n; j++)
            finish(futures[j], "create", &err);
        i += n;
    }
}

static void joined(xo_pool_t *pool, const xo_error_t *why, void *arg)
{
    (void)pool;
    if (why)
        xob_die("join", why->text);
    *(bool *)arg = true;
}

static void join(station_t *station)
{
    xo_error_t err;
    bool done = false;
    if (xo_pool_join(station->pool, joined, &done, &err) < 0)
        xob_die("join", err.text);
    while (!done)
        xo_loop_once(station->loop, -1);
}

void station_open(station_t *station, const char *lanes, const char *broker)
{
    xo_error_t err;
    xo_pool_options_t options = {.self.index = -1, .broker = broker};
    if (lanes)
        setenv("XO_LANES", lanes, 1);
    station->ctx = xo_ctx_create("bench", &err);
    if (!station->loop)
        station->loop = xo_loop_create(&err);
    station->host = xo_host_c_create(NULL, NULL, &err);
    if (!station->ctx || !station->loop || !station->host)
        xob_die("set-up", err.text);
    xo_host_c_add(station->host, &bench_module, "bench", &err);
    station->pool =
        xo_pool_create(station->ctx, station->loop, &options, xo_host_c_ops(), station->host, &err);
    if (!station->pool)
        xob_die("pool", err.text);
    station_create(station, "Echo", "echo");
    station_create(station, "Caller", "caller");
    if (broker)
        join(station);
}

void station_close(station_t *station)
{
    xo_pool_destroy(station->pool);
    xo_host_c_destroy(station->host);
    xo_loop_destroy(station->loop);
    xo_ctx_destroy(station->ctx);
}

/* ---- children ---- */

void child_start(child_t *child, const char *lanes, const char *broker)
{
    int fds[2];
    fflush(stdout);
    if (pipe(fds) < 0)
        xob_die("pipe", strerror(errno));
    child->pid = fork();
    if (child->pid == 0) {
        station_t station = {0};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        station_open(&station, lanes, broker);
        child->endpoint_id = xo_endpoint_self(station_endpoint(&station))->id;
        strcpy(child->address, station_address(&station));
        if (write(fds[1], child, sizeof *child) != sizeof *child)
            _exit(1);
        xo_loop_run(station.loop);
        _exit(0);
    }
    pid_t pid = child->pid;
    close(fds[1]);
    if (pid < 0 || read(fds[0], child, sizeof *child) != sizeof *child)
        xob_die("the child", "did not start");
    child->pid = pid;
    close(fds[0]);
}

void child_stop(child_t *child)
{
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
}

/* ---- measuring ---- */

xo_future_t *station_begin(station_t *station, const char *caller, const job_t *job)
{
    xo_error_t err;
    xo_ref_t *ref = xo_ref_create(station_endpoint(station), caller, "caller", &err);
    xo_future_t *future = ref ? xo_ref_call(ref, &err, job->method, "s i i i", job->address,
                                            job->targets, job->count, job->window)
                              : NULL;
    if (!future)
        xob_die(job->method, err.text);
    xo_ref_destroy(ref);
    return future;
}

double station_end(xo_future_t *future)
{
    double seconds;
    xo_error_t err;
    if (xo_future_wait(future, WAIT_MS, &err) < 0 || xo_future_get(future, &err, "f", &seconds) < 0)
        xob_die("a measurement", err.text);
    xo_future_destroy(future);
    return seconds;
}

double station_measure(station_t *station, const char *caller, const job_t *job)
{
    return station_end(station_begin(station, caller, job));
}

xob_hist_t *station_times(station_t *station)
{
    return caller_times(xo_actor_object(xo_pool_find(station->pool, xo_slice_str("caller"))));
}

/* ---- bulk data ---- */

static xo_msg_t *bulk_message(const char *uid, void *data, size_t size)
{
    zmq_msg_t buffer;
    xo_buf_t body = XO_BUF_INIT;
    bool beside = size >= XO_INLINE_BYTES_MAX;
    if (beside) { /* [[buffer 0] {}], doc/wire.md */
        xo_pack_array(&body, 2);
        xo_pack_array(&body, 1);
        xo_pack_ext(&body, XO_EXT_BUFFER, "\0", 1);
        xo_pack_map(&body, 0);
    } else {
        xo_pack_format(&body, "[[B] {}]", xo_slice(data, size));
    }
    xo_header_t header = {
        .kind = XO_CALL, .target_uid = xo_slice_str(uid), .method = xo_slice_str("size")};
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    if (msg && beside) {
        zmq_msg_init_data(&buffer, data, size, NULL, NULL);
        if (xo_msg_add_buffer(msg, &buffer) < 0)
            xob_die("bulk", strerror(errno));
    }
    return msg;
}

static void bulk_answered(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    bulk_outcome_t *outcome = arg;
    outcome->done = true;
    if (!*answer || xo_unpack(xo_msg_body(*answer), NULL, "I", &outcome->size) < 0)
        xob_die("bulk", "the call failed");
}

void bulk_begin(station_t *station, xo_link_t *link, const char *uid, void *data, size_t size,
                bulk_outcome_t *outcome)
{
    xo_error_t err;
    xo_msg_t *msg = bulk_message(uid, data, size);
    if (!msg || !xo_endpoint_call(station_endpoint(station), link, &msg, XO_SEND_QUEUE, 0,
                                  bulk_answered, outcome, &err))
        xob_die("bulk", "it cannot be sent");
}

void bulk_call(station_t *station, xo_link_t *link, const char *uid, void *data, size_t size)
{
    bulk_outcome_t outcome = {0};
    bulk_begin(station, link, uid, data, size, &outcome);
    while (!outcome.done)
        xo_loop_once(station->loop, -1);
    if (outcome.size != (int64_t)size)
        xob_die("bulk", "bytes were lost");
}
