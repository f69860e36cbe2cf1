/* raw.c - the floor: what memcpy, a unix socket and ZeroMQ do on this machine without xo.
 *
 * Prints one JSON object (out.h). The peer is a child process; it echoes, or counts what comes one
 * way and answers the last message. ZeroMQ's tcp is measured without and with CURVE. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "bench/out.h"

#define MESSAGE_BYTES 64 /* a small call: header and arguments */
#define ROUND_TRIPS 10000
#define ONE_WAY 300000
#define BULK_BYTES ((size_t)64 << 20)
#define BULK_GIB (64.0 / 1024)
#define BULKS 8

static void need(int result, const char *what)
{
    if (result < 0)
        xob_die(what, zmq_strerror(errno));
}

static double seconds_since(int64_t start)
{
    return (double)(xob_now_ns() - start) / 1e9;
}

static char *bulk_bytes(int value)
{
    char *bytes = malloc(BULK_BYTES);
    if (!bytes)
        xob_die("memory", "there is none");
    memset(bytes, value, BULK_BYTES); /* so that no page is touched for the first time later */
    return bytes;
}

/* The peer: before this process has a thread of ZeroMQ's. */
static pid_t start_child(void)
{
    fflush(stdout);
    pid_t pid = fork();
    need(pid, "fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

/* ---- memcpy ---- */

static void bench_memcpy(void)
{
    char *from = bulk_bytes(1);
    char *to = bulk_bytes(2);
    int64_t start = xob_now_ns();
    for (int i = 0; i < BULKS; i++) {
        from[i] = (char)i;
        memcpy(to, from, BULK_BYTES);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    xob_number(BULKS * BULK_GIB / seconds_since(start), "memcpy_64mib_gib_s");
    free(from);
    free(to);
}

/* ---- a unix socket ---- */

static void echo_socket(int fd)
{
    char buffer[MESSAGE_BYTES];
    while (recv(fd, buffer, sizeof buffer, MSG_WAITALL) == (ssize_t)sizeof buffer)
        if (send(fd, buffer, sizeof buffer, 0) != (ssize_t)sizeof buffer)
            break;
}

static void bench_socket(xob_hist_t *times)
{
    char buffer[MESSAGE_BYTES] = {0};
    int fds[2];
    need(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), "socketpair");
    pid_t pid = start_child();
    if (pid == 0) {
        close(fds[0]);
        echo_socket(fds[1]);
        _exit(0);
    }
    close(fds[1]);
    for (int i = 0; i < ROUND_TRIPS; i++) {
        int64_t start = xob_now_ns();
        if (send(fds[0], buffer, sizeof buffer, 0) < 0 ||
            recv(fds[0], buffer, sizeof buffer, MSG_WAITALL) <= 0)
            xob_die("socket", strerror(errno));
        xob_hist_record(times, xob_now_ns() - start);
    }
    close(fds[0]);
    waitpid(pid, NULL, 0);
    xob_hist(times, "unix_socket_us");
}

/* ---- ZeroMQ ---- */

typedef struct raw_keys {
    char public_key[41];
    char secret_key[41];
} raw_keys_t;

static void encrypt(void *socket, const raw_keys_t *keys, int server)
{
    need(zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, keys->public_key, 41), "curve");
    need(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, 41), "curve");
    need(server ? zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &server, sizeof server)
                : zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, keys->public_key, 41),
         "curve");
}

/* `keys` NULL: without CURVE. */
static void *open_socket(void *context, const raw_keys_t *keys, int server)
{
    void *socket = zmq_socket(context, ZMQ_PAIR);
    int none = 0;
    if (!socket || zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none) < 0 ||
        zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none) < 0)
        xob_die("socket", zmq_strerror(errno));
    if (keys)
        encrypt(socket, keys, server);
    return socket;
}

static void receive_bulk(void *socket)
{
    zmq_msg_t msg;
    zmq_msg_init(&msg);
    need(zmq_msg_recv(&msg, socket, 0), "bulk");
    zmq_msg_close(&msg);
    need(zmq_send(socket, "", 1, 0), "bulk");
}

/* The child: ROUND_TRIPS echoes; ONE_WAY messages, the last of which it answers; BULKS large ones.
 */
static void zmq_child(const char *endpoint, const raw_keys_t *keys)
{
    char buffer[MESSAGE_BYTES];
    void *context = zmq_ctx_new();
    void *socket = open_socket(context, keys, 0);
    need(zmq_connect(socket, endpoint), endpoint);
    for (int i = 0; i < ROUND_TRIPS; i++) {
        need(zmq_recv(socket, buffer, sizeof buffer, 0), "echo");
        need(zmq_send(socket, buffer, sizeof buffer, 0), "echo");
    }
    for (int i = 0; i < ONE_WAY; i++)
        need(zmq_recv(socket, buffer, sizeof buffer, 0), "sink");
    need(zmq_send(socket, buffer, sizeof buffer, 0), "sink");
    for (int i = 0; i < BULKS + 1; i++)
        receive_bulk(socket);
    zmq_close(socket);
    zmq_ctx_term(context);
}

static void round_trips(const char *name, void *socket, xob_hist_t *times)
{
    char buffer[MESSAGE_BYTES] = {0};
    xob_hist_clear(times);
    for (int i = 0; i < ROUND_TRIPS; i++) {
        int64_t start = xob_now_ns();
        need(zmq_send(socket, buffer, sizeof buffer, 0), name);
        need(zmq_recv(socket, buffer, sizeof buffer, 0), name);
        xob_hist_record(times, xob_now_ns() - start);
    }
    xob_hist(times, "%s_us", name);
}

static void one_way(const char *name, void *socket)
{
    char buffer[MESSAGE_BYTES] = {0};
    int64_t start = xob_now_ns();
    for (int i = 0; i < ONE_WAY; i++)
        need(zmq_send(socket, buffer, sizeof buffer, 0), name);
    need(zmq_recv(socket, buffer, sizeof buffer, 0), name);
    xob_number(ONE_WAY / seconds_since(start), "%s_one_way_per_s", name);
}

static void bulk(const char *name, void *socket)
{
    char byte;
    int64_t start = 0;
    char *bytes = bulk_bytes(1);
    for (int i = 0; i < BULKS + 1; i++) {
        zmq_msg_t msg;
        zmq_msg_init_data(&msg, bytes, BULK_BYTES, NULL, NULL);
        need(zmq_msg_send(&msg, socket, 0), name);
        need(zmq_recv(socket, &byte, 1, 0), name);
        if (i == 0)
            start = xob_now_ns();
    }
    xob_number(BULKS * BULK_GIB / seconds_since(start), "%s_64mib_gib_s", name);
    free(bytes);
}

static void bench_zmq(const char *name, const char *bind_to, const raw_keys_t *keys,
                      xob_hist_t *times)
{
    char endpoint[256];
    size_t size = sizeof endpoint;
    int pipe_fds[2];
    need(pipe(pipe_fds), "pipe");
    pid_t pid = start_child();
    if (pid == 0) {
        if (read(pipe_fds[0], endpoint, sizeof endpoint) <= 0)
            _exit(1);
        zmq_child(endpoint, keys);
        _exit(0);
    }
    void *context = zmq_ctx_new();
    void *socket = open_socket(context, keys, 1);
    if (zmq_bind(socket, bind_to) < 0 ||
        zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) < 0 ||
        write(pipe_fds[1], endpoint, sizeof endpoint) < 0)
        xob_die(bind_to, zmq_strerror(errno));
    round_trips(name, socket, times);
    one_way(name, socket);
    bulk(name, socket);
    waitpid(pid, NULL, 0);
    zmq_close(socket);
    zmq_ctx_term(context);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

/* Within one thread: a message to a socket of the same process, and back. */
static void bench_inproc(xob_hist_t *times)
{
    char buffer[MESSAGE_BYTES] = {0};
    void *context = zmq_ctx_new();
    void *a = open_socket(context, NULL, 0);
    void *b = open_socket(context, NULL, 0);
    need(zmq_bind(a, "inproc://a"), "inproc");
    need(zmq_connect(b, "inproc://a"), "inproc");
    xob_hist_clear(times);
    for (int i = 0; i < ROUND_TRIPS; i++) {
        int64_t start = xob_now_ns();
        need(zmq_send(a, buffer, sizeof buffer, 0), "inproc");
        need(zmq_recv(b, buffer, sizeof buffer, 0), "inproc");
        need(zmq_send(b, buffer, sizeof buffer, 0), "inproc");
        need(zmq_recv(a, buffer, sizeof buffer, 0), "inproc");
        xob_hist_record(times, xob_now_ns() - start);
    }
    xob_hist(times, "zmq_inproc_us");
    zmq_close(a);
    zmq_close(b);
    zmq_ctx_term(context);
}

int main(void)
{
    static xob_hist_t times;
    char folder[sizeof XOB_FOLDER];
    char path[sizeof XOB_FOLDER + 32];
    raw_keys_t keys;
    xob_scratch_enter(folder);
    snprintf(path, sizeof path, "ipc://%s/socket", folder);
    xob_open();
    bench_memcpy();
    bench_socket(&times);
    bench_zmq("zmq_ipc", path, NULL, &times);
    bench_zmq("zmq_tcp", "tcp://127.0.0.1:*", NULL, &times);
    need(zmq_curve_keypair(keys.public_key, keys.secret_key), "keys");
    bench_zmq("zmq_curve", "tcp://127.0.0.1:*", &keys, &times);
    bench_inproc(&times);
    xob_close();
    xob_scratch_leave(folder);
    return 0;
}
