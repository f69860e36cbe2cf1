/* bulk.c - large buffers over tcp: how fast they go, and what a small call over the same link waits
 * for meanwhile; and the floor, raw ZeroMQ with and without CURVE, which does the same.
 *
 * Prints one JSON object (out.h). The other end is a child process. `bulk [--quick]`. */
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
#define LARGE_BYTES (256 * MIB)
#define CALL_BYTES 64
#define CHUNK_BYTES (32 * 1024)
#define ENDPOINT_BYTES 128
#define CHUNKS_AHEAD 8 /* as xo's window */
#define CHUNKS_TOLD 2  /* taken, at a time */

/* How much is done of each. */
typedef struct load {
    size_t bulks;      /* of BULK_BYTES */
    size_t larges;     /* of LARGE_BYTES */
    size_t huge_bytes; /* beside which calls are made */
    int calls, floor_chunks;
} load_t;
static const load_t full_load = {8, 2, 1024 * MIB, 5000, 256 * MIB / CHUNK_BYTES};
static const load_t quick_load = {1, 0, 64 * MIB, 500, 16 * MIB / CHUNK_BYTES};

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

/* Two connections: large buffers go over one, small calls over the other. */
typedef struct floor {
    void *context;
    void *bulk;
    void *calls;
} floor_t;

static void floor_open(floor_t *floor, const floor_keys_t *keys, int server)
{
    floor->context = zmq_ctx_new();
    floor->bulk = open_socket(floor->context, keys, server);
    floor->calls = open_socket(floor->context, keys, server);
}

static void floor_close(floor_t *floor)
{
    zmq_close(floor->bulk);
    zmq_close(floor->calls);
    zmq_ctx_term(floor->context);
}

/* Which of the two has a message: bulk, calls. */
static void floor_wait(const floor_t *floor, bool ready[2])
{
    zmq_pollitem_t items[] = {{.socket = floor->bulk, .events = ZMQ_POLLIN},
                              {.socket = floor->calls, .events = ZMQ_POLLIN}};
    need(zmq_poll(items, 2, -1), "poll");
    ready[0] = items[0].revents & ZMQ_POLLIN;
    ready[1] = items[1].revents & ZMQ_POLLIN;
}

static void take_chunk(void *socket, int *untold)
{
    zmq_msg_t msg;
    zmq_msg_init(&msg);
    need(zmq_msg_recv(&msg, socket, 0), "chunk");
    zmq_msg_close(&msg);
    if (++*untold < CHUNKS_TOLD)
        return;
    *untold = 0;
    need(zmq_send(socket, "", 1, 0), "taken");
}

/* The child: answers calls and takes chunks until it is killed. */
static void floor_serve(const floor_t *floor)
{
    char bytes[CALL_BYTES];
    bool ready[2];
    for (int untold = 0;;) {
        floor_wait(floor, ready);
        if (ready[0])
            take_chunk(floor->bulk, &untold);
        if (ready[1]) {
            need(zmq_recv(floor->calls, bytes, sizeof bytes, 0), "call");
            need(zmq_send(floor->calls, bytes, sizeof bytes, 0), "call");
        }
    }
}

/* Calls, one after the other, `count` of them, and beside them `chunks` chunks. */
static void floor_calls(const floor_t *floor, int count, int chunks, xob_hist_t *times)
{
    static char bytes[CHUNK_BYTES];
    bool ready[2] = {false, true};
    int ahead = 0;
    int64_t start = 0;
    xob_hist_clear(times);
    while (count > 0 || chunks > 0 || ahead > 0) {
        if (ready[1]) {
            if (start)
                xob_hist_record(times, xob_now_ns() - start);
            start = xob_now_ns();
            need(zmq_send(floor->calls, bytes, CALL_BYTES, 0), "call");
            count--;
        }
        for (; chunks > 0 && ahead < CHUNKS_AHEAD; chunks--, ahead++)
            need(zmq_send(floor->bulk, bytes, sizeof bytes, 0), "chunk");
        floor_wait(floor, ready);
        if (ready[0]) {
            need(zmq_recv(floor->bulk, bytes, 1, 0), "taken");
            ahead -= CHUNKS_TOLD;
        }
        if (ready[1])
            need(zmq_recv(floor->calls, bytes, CALL_BYTES, 0), "call");
    }
    if (!ready[1])
        need(zmq_recv(floor->calls, bytes, CALL_BYTES, 0), "call");
}

static void floor_child(const char *endpoints, const floor_keys_t *keys, const load_t *load)
{
    floor_t floor;
    floor_open(&floor, keys, 0);
    need(zmq_connect(floor.bulk, endpoints), endpoints);
    need(zmq_connect(floor.calls, endpoints + ENDPOINT_BYTES), endpoints + ENDPOINT_BYTES);
    void *socket = floor.bulk;
    for (size_t got = 0, i = 0; i < 2 * (load->bulks + 1); got = 0, i++) {
        while (got < BULK_BYTES) {
            zmq_msg_t msg;
            zmq_msg_init(&msg);
            need(zmq_msg_recv(&msg, socket, 0), "bulk");
            got += zmq_msg_size(&msg);
            zmq_msg_close(&msg);
        }
        need(zmq_send(socket, "", 1, 0), "bulk");
    }
    floor_serve(&floor);
}

static void bind_any(void *socket, char *endpoint)
{
    size_t size = ENDPOINT_BYTES;
    need(zmq_bind(socket, "tcp://127.0.0.1:*"), "bind");
    need(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size), "bind");
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

static void floor_bulks(void *socket, const char *name, size_t piece, size_t bulks)
{
    char *bytes = bytes_of(BULK_BYTES);
    floor_bulk(socket, bytes, piece);
    int64_t start = xob_now_ns();
    for (size_t i = 0; i < bulks; i++)
        floor_bulk(socket, bytes, piece);
    xob_number(gib_s(bulks * BULK_BYTES, start), "%s_gib_s", name);
    free(bytes);
}

/* The child is forked before this process has a thread of ZeroMQ's. */
static void bench_floor(const char *name, const floor_keys_t *keys, const load_t *load)
{
    static xob_hist_t times;
    char endpoints[2 * ENDPOINT_BYTES];
    char text[64];
    floor_t floor;
    int fds[2];
    need(pipe(fds), "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (read(fds[0], endpoints, sizeof endpoints) > 0)
            floor_child(endpoints, keys, load);
        _exit(0);
    }
    floor_open(&floor, keys, 1);
    bind_any(floor.bulk, endpoints);
    bind_any(floor.calls, endpoints + ENDPOINT_BYTES);
    need((int)write(fds[1], endpoints, sizeof endpoints), "write");
    snprintf(text, sizeof text, "%s_64mib", name);
    floor_bulks(floor.bulk, text, BULK_BYTES, load->bulks);
    snprintf(text, sizeof text, "%s_chunks", name);
    floor_bulks(floor.bulk, text, CHUNK_BYTES, load->bulks);
    floor_calls(&floor, load->calls, 0, &times);
    xob_hist(&times, "%s_idle_call_us", name);
    floor_calls(&floor, 0, load->floor_chunks, &times);
    xob_hist(&times, "%s_bulk_call_us", name);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    floor_close(&floor);
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

static void calls_idle(station_t *station, xo_link_t *link, int calls)
{
    static xob_hist_t times;
    for (int i = 0; i < calls / 10; i++)
        small_call(station, link, &times);
    xob_hist_clear(&times);
    for (int i = 0; i < calls; i++)
        small_call(station, link, &times);
    xob_hist(&times, "tcp_idle_call_us");
}

/* Calls, one after the other, as long as so many bytes are under way. */
static void calls_during_bulk(station_t *station, xo_link_t *link, size_t bytes)
{
    static xob_hist_t times;
    bulk_outcome_t outcome = {0};
    char *data = bytes_of(bytes);
    int64_t start = xob_now_ns();
    bulk_begin(station, link, "echo", data, bytes, &outcome);
    while (!outcome.done)
        small_call(station, link, &times);
    if (bytes == full_load.huge_bytes)
        xob_number(gib_s(bytes, start), "tcp_1gib_with_calls_gib_s");
    xob_hist(&times, "tcp_bulk_call_us");
    free(data);
}

static void bulks(station_t *station, xo_link_t *link, size_t bytes, size_t count)
{
    if (count == 0 || !xob_room(2 * bytes, "large messages"))
        return;
    char *data = bytes_of(bytes);
    bulk_call(station, link, "echo", data, bytes);
    int64_t start = xob_now_ns();
    for (size_t i = 0; i < count; i++)
        bulk_call(station, link, "echo", data, bytes);
    xob_number(gib_s(count * bytes, start), "tcp_%zumib_gib_s", bytes / MIB);
    free(data);
}

static void bench_xo(const child_t *child, const load_t *load)
{
    station_t station = {0};
    xo_error_t err;
    station_open(&station, "tcp", NULL);
    xo_link_t *link = xo_endpoint_link(station_endpoint(&station), child->address, &err);
    if (!link)
        xob_die("link", err.text);
    station_create_at(&station, child->address, "Echo", "small");
    calls_idle(&station, link, load->calls);
    bulks(&station, link, BULK_BYTES, load->bulks);
    bulks(&station, link, LARGE_BYTES, load->larges);
    if (xob_room(2 * load->huge_bytes, "a message of 1 GiB"))
        calls_during_bulk(&station, link, load->huge_bytes);
    station_close(&station);
}

int main(int argc, char **argv)
{
    child_t child;
    floor_keys_t keys;
    char folder[sizeof XOB_FOLDER];
    const load_t *load = argc > 1 && strcmp(argv[1], "--quick") == 0 ? &quick_load : &full_load;
    xob_scratch_enter(folder);
    child_start(&child, "tcp", NULL);
    xob_open();
    bench_floor("zmq_tcp", NULL, load);
    need(zmq_curve_keypair(keys.public_key, keys.secret_key), "keys");
    bench_floor("zmq_curve", &keys, load);
    bench_xo(&child, load);
    xob_close();
    child_stop(&child);
    xob_scratch_leave(folder);
    return 0;
}
