/* raw.c - the floor: what memcpy, a unix socket and ZeroMQ do on this machine without xo.
 *
 * Prints one JSON object. The peer is a child process; it echoes, or counts what comes one way and
 * answers the last message. Times in microseconds, rates in messages a second. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define MESSAGE_BYTES 64 /* a small call: header and arguments */
#define ROUND_TRIPS 5000
#define ONE_WAY 300000
#define COPY_BYTES ((size_t)64 << 20)
#define COPIES 8
#define PATH_BYTES 64

static void die(const char *what)
{
    fprintf(stderr, "bench/raw: %s: %s\n", what, zmq_strerror(errno));
    exit(1);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_latency(const char *name, double *us)
{
    qsort(us, ROUND_TRIPS, sizeof(*us), compare);
    printf(" \"%s_p50_us\": %.2f, \"%s_p99_us\": %.2f,\n", name, us[ROUND_TRIPS / 2], name,
           us[ROUND_TRIPS * 99 / 100]);
}

/* ---- memcpy ---- */

static void bench_memcpy(void)
{
    char *from = malloc(COPY_BYTES);
    char *to = malloc(COPY_BYTES);
    if (!from || !to)
        die("memory");
    memset(from, 1, COPY_BYTES);
    memset(to, 2, COPY_BYTES); /* so that no page is touched for the first time below */
    double start = now_us();
    for (int i = 0; i < COPIES; i++) {
        from[i] = (char)i;
        memcpy(to, from, COPY_BYTES);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    double seconds = (now_us() - start) / 1e6;
    printf(" \"memcpy_64mib_gib_s\": %.2f,\n", COPIES * 64.0 / 1024 / seconds);
    free(from);
    free(to);
}

/* ---- a unix socket ---- */

static void echo_socket(int fd)
{
    char buffer[MESSAGE_BYTES];
    while (recv(fd, buffer, sizeof(buffer), MSG_WAITALL) == (ssize_t)sizeof(buffer))
        if (send(fd, buffer, sizeof(buffer), 0) != (ssize_t)sizeof(buffer))
            break;
}

static pid_t start_child(void)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static void bench_socket(void)
{
    static double us[ROUND_TRIPS];
    char buffer[MESSAGE_BYTES] = {0};
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        die("socketpair");
    pid_t pid = start_child();
    if (pid == 0) {
        close(fds[0]);
        echo_socket(fds[1]);
        _exit(0);
    }
    close(fds[1]);
    for (int i = 0; i < ROUND_TRIPS; i++) {
        double start = now_us();
        if (send(fds[0], buffer, sizeof(buffer), 0) < 0 ||
            recv(fds[0], buffer, sizeof(buffer), MSG_WAITALL) <= 0)
            die("socket");
        us[i] = now_us() - start;
    }
    close(fds[0]);
    waitpid(pid, NULL, 0);
    print_latency("unix_socket", us);
}

/* ---- ZeroMQ ---- */

static void *open_socket(void *context)
{
    void *socket = zmq_socket(context, ZMQ_PAIR);
    int none = 0;
    if (!socket || zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof(none)) < 0 ||
        zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof(none)) < 0)
        die("socket");
    return socket;
}

/* The child: ROUND_TRIPS echoes, then ONE_WAY messages, the last of which it answers. */
static void zmq_child(const char *endpoint)
{
    char buffer[MESSAGE_BYTES];
    void *context = zmq_ctx_new();
    void *socket = open_socket(context);
    if (zmq_connect(socket, endpoint) < 0)
        die(endpoint);
    for (int i = 0; i < ROUND_TRIPS; i++)
        if (zmq_recv(socket, buffer, sizeof(buffer), 0) < 0 ||
            zmq_send(socket, buffer, sizeof(buffer), 0) < 0)
            die("echo");
    for (int i = 0; i < ONE_WAY; i++)
        if (zmq_recv(socket, buffer, sizeof(buffer), 0) < 0)
            die("sink");
    zmq_send(socket, buffer, sizeof(buffer), 0);
    zmq_close(socket);
    zmq_ctx_term(context);
}

static void round_trips(const char *name, void *socket)
{
    static double us[ROUND_TRIPS];
    char buffer[MESSAGE_BYTES] = {0};
    for (int i = 0; i < ROUND_TRIPS; i++) {
        double start = now_us();
        if (zmq_send(socket, buffer, sizeof(buffer), 0) < 0 ||
            zmq_recv(socket, buffer, sizeof(buffer), 0) < 0)
            die("round trip");
        us[i] = now_us() - start;
    }
    print_latency(name, us);
}

static void one_way(const char *name, void *socket)
{
    char buffer[MESSAGE_BYTES] = {0};
    double start = now_us();
    for (int i = 0; i < ONE_WAY; i++)
        if (zmq_send(socket, buffer, sizeof(buffer), 0) < 0)
            die("one way");
    if (zmq_recv(socket, buffer, sizeof(buffer), 0) < 0)
        die("one way");
    printf(" \"%s_one_way_per_s\": %.0f,\n", name, ONE_WAY / (now_us() - start) * 1e6);
}

static void bench_zmq(const char *name, const char *bind_to)
{
    char endpoint[256];
    size_t size = sizeof(endpoint);
    int pipe_fds[2];
    if (pipe(pipe_fds) < 0)
        die("pipe");
    pid_t pid = start_child(); /* before this process has a thread of ZeroMQ's */
    if (pid == 0) {
        if (read(pipe_fds[0], endpoint, sizeof(endpoint)) <= 0)
            _exit(1);
        zmq_child(endpoint);
        _exit(0);
    }
    void *context = zmq_ctx_new();
    void *socket = open_socket(context);
    if (zmq_bind(socket, bind_to) < 0 ||
        zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) < 0 ||
        write(pipe_fds[1], endpoint, sizeof(endpoint)) < 0)
        die(bind_to);
    round_trips(name, socket);
    one_way(name, socket);
    waitpid(pid, NULL, 0);
    zmq_close(socket);
    zmq_ctx_term(context);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

int main(void)
{
    char dir[] = "/tmp/xo-bench.XXXXXX";
    char path[PATH_BYTES];
    if (!mkdtemp(dir))
        die(dir);
    snprintf(path, sizeof(path), "ipc://%s/socket", dir);
    printf("{");
    bench_memcpy();
    bench_socket();
    bench_zmq("zmq_ipc", path);
    bench_zmq("zmq_tcp", "tcp://127.0.0.1:*");
    printf(" \"message_bytes\": %d}\n", MESSAGE_BYTES);
    unlink(path + strlen("ipc://"));
    return rmdir(dir) == 0 ? 0 : 1;
}
