/* bulk.c - large buffers over tcp: how fast they go, and what a small call over the same link waits
 * for meanwhile; and the floor, raw ZeroMQ with and without CURVE.
 *
 * Prints one JSON object (out.h). The other end is a child process. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "bench/out.h"
#include "bench/station.h"

#define MIB ((size_t)1 << 20)
#define BULK_BYTES (64 * MIB)
#define BULKS 8
#define HUGE_BYTES (1024 * MIB)
#define CALLS 5000
#define CALL_BYTES 64
#define CHUNK_BYTES (32 * 1024)

static void need(int result, const char *what)
{
    if (result < 0)
        xob_die(what, zmq_strerror(errno));
}

static char *bytes_of(size_t size)
{
    char *bytes = malloc(size);
    if (!bytes)
        xob_die("memory", "there is none");
    memset(bytes, 1, size);
    return bytes;
}

static double gib_s(size_t bytes, int64_t start)
{
    return (double)bytes / (double)(1024 * MIB) / ((double)(xob_now_ns() - start) / 1e9);
}

/* ---- the floor ---- */

typedef struct floor_keys {
    char public_key[41];
    char secret_key[41];
} floor_keys_t;

/* `keys` NULL: without CURVE. */
static void *open_socket(void *context, const floor_keys_t *keys, int server)
{
    void *socket = zmq_socket(context, ZMQ_PAIR);
    int none = 0;
    need(zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none), "socket");
    need(zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none), "socket");
    if (!keys)
        return socket;
    need(zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->public_key, 41), "curve");
    need(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, 41), "curve");
    need(server ? zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &server, sizeof server)
                : zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->public_key, 41),
         "curve");
    return socket;
}

static void floor_child(const char *endpoint, const floor_keys_t *keys)
{
    void *context = zmq_ctx_new();
    void *socket = open_socket(context, keys, 0);
    need(zmq_connect(socket, endpoint), endpoint);
    for (size_t got = 0, i = 0; i < 2 * (BULKS + 1); got = 0, i++) {
        while (got < BULK_BYTES) {
            zmq_msg_t msg;
            zmq_msg_init(&msg);
            need(zmq_msg_recv(&msg, socket, 0), "bulk");
            got += zmq_msg_size(&msg);
            zmq_msg_close(&msg);
        }
        need(zmq_send(socket, "", 1, 0), "bulk");
    }
    zmq_close(socket);
    zmq_ctx_term(context);
}

static void floor_bulk(void *socket, char *bytes, size_t piece)
{
    char byte;
    for (size_t at = 0; at < BULK_BYTES; at += piece) {
        zmq_msg_t msg;
        zmq_msg_init_data(&msg, bytes + at, piece, NULL, NULL);
        need(zmq_msg_send(&msg, socket, 0), "bulk");
    }
    need(zmq_recv(socket, &byte, 1, 0), "bulk");
}

static void floor_bulks(void *socket, const char *name, size_t piece)
{
    char *bytes = bytes_of(BULK_BYTES);
    floor_bulk(socket, bytes, piece);
    int64_t start = xob_now_ns();
    for (int i = 0; i < BULKS; i++)
        floor_bulk(socket, bytes, piece);
    xob_number(gib_s(BULKS * BULK_BYTES, start), "%s_gib_s", name);
    free(bytes);
}

/* The child is forked before this process has a thread of ZeroMQ's. */
static void bench_floor(const char *name, const floor_keys_t *keys)
{
    char endpoint[256];
    char text[64];
    size_t size = sizeof endpoint;
    int fds[2];
    need(pipe(fds), "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (read(fds[0], endpoint, sizeof endpoint) > 0)
            floor_child(endpoint, keys);
        _exit(0);
    }
    void *context = zmq_ctx_new();
    void *socket = open_socket(context, keys, 1);
    if (zmq_bind(socket, "tcp://127.0.0.1:*") < 0 ||
        zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) < 0 ||
        write(fds[1], endpoint, sizeof endpoint) < 0)
        xob_die(name, zmq_strerror(errno));
    snprintf(text, sizeof text, "%s_64mib", name);
    floor_bulks(socket, text, BULK_BYTES);
    snprintf(text, sizeof text, "%s_chunks", name);
    floor_bulks(socket, text, CHUNK_BYTES);
    waitpid(pid, NULL, 0);
    zmq_close(socket);
    zmq_ctx_term(context);
    close(fds[0]);
    close(fds[1]);
}

/* ---- xo ---- */

static void small_call(station_t *station, xo_link_t *link, xob_hist_t *times)
{
    static char data[CALL_BYTES];
    int64_t start = xob_now_ns();
    bulk_call(station, link, "small", data, sizeof data);
    xob_hist_record(times, xob_now_ns() - start);
}

static void calls_idle(station_t *station, xo_link_t *link)
{
    static xob_hist_t times;
    for (int i = 0; i < CALLS / 10; i++)
        small_call(station, link, &times);
    xob_hist_clear(&times);
    for (int i = 0; i < CALLS; i++)
        small_call(station, link, &times);
    xob_hist(&times, "tcp_idle_call_us");
}

/* Calls, one after the other, as long as a GiB is under way. */
static void calls_during_bulk(station_t *station, xo_link_t *link)
{
    static xob_hist_t times;
    bulk_outcome_t outcome = {0};
    char *data = bytes_of(HUGE_BYTES);
    int64_t start = xob_now_ns();
    bulk_begin(station, link, "echo", data, HUGE_BYTES, &outcome);
    while (!outcome.done)
        small_call(station, link, &times);
    xob_number(gib_s(HUGE_BYTES, start), "tcp_1gib_with_calls_gib_s");
    xob_hist(&times, "tcp_bulk_call_us");
    free(data);
}

static void bulks(station_t *station, xo_link_t *link)
{
    char *data = bytes_of(BULK_BYTES);
    bulk_call(station, link, "echo", data, BULK_BYTES);
    int64_t start = xob_now_ns();
    for (int i = 0; i < BULKS; i++)
        bulk_call(station, link, "echo", data, BULK_BYTES);
    xob_number(gib_s(BULKS * BULK_BYTES, start), "tcp_64mib_gib_s");
    free(data);
}

static void bench_xo(const child_t *child)
{
    station_t station = {0};
    xo_error_t err;
    station_open(&station, "tcp", NULL);
    xo_link_t *link = xo_endpoint_link(station_endpoint(&station), child->address, &err);
    if (!link)
        xob_die("link", err.text);
    station_create_at(&station, child->address, "Echo", "small");
    calls_idle(&station, link);
    bulks(&station, link);
    if (xob_room(2 * HUGE_BYTES, "a message of 1 GiB"))
        calls_during_bulk(&station, link);
    station_close(&station);
}

int main(void)
{
    child_t child;
    floor_keys_t keys;
    char folder[sizeof XOB_FOLDER];
    xob_scratch_enter(folder);
    child_start(&child, "tcp", NULL);
    xob_open();
    bench_floor("zmq_tcp", NULL);
    need(zmq_curve_keypair(keys.public_key, keys.secret_key), "keys");
    bench_floor("zmq_curve", &keys);
    bench_xo(&child);
    xob_close();
    child_stop(&child);
    xob_scratch_leave(folder);
    return 0;
}
