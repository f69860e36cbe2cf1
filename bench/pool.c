/* pool.c - what a call from one C actor to another costs: in one pool, and between the pools of two
 * processes of a node ($XO_LANES says over which lanes).
 *
 * Prints one JSON object: times in microseconds, rates in messages a second. The callee of the
 * second part is a child process. */
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pool/host_c.h"

#define WARM_UP 1000
#define ROUND_TRIPS 20000
#define PIPELINED 200000
#define WINDOW 64 /* calls under way at a time */
#define ONE_WAY 200000
#define WAIT_MS 120000

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench/pool: %s: %s\n", what, why);
    exit(1);
}

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* ---- the callee ---- */

static void echo_echo(void *self, xo_request_t *request)
{
    (void)self;
    int value;
    if (xo_request_unpack(request, "i", &value) == 0)
        xo_request_reply(request, "i", value);
}

static const xo_method_t echo_methods[] = {{"echo", echo_echo, 0, NULL}, {0}};
static const xo_class_t echo_class = {.name = "Echo", .methods = echo_methods};

/* ---- the caller ---- */

typedef struct caller {
    xo_request_t *request; /* the measurement that runs; it is answered when that ends */
    char address[XO_ADDRESS_BYTES];
    int left, under_way, window;
    double started_us;
    double *times_us; /* NULL: not wanted */
    int count;
} caller_t;

static int caller_create(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    (void)actor;
    (void)args;
    *self = calloc(1, sizeof(caller_t));
    return *self ? 0 : xo_error_set(err, ENOMEM, "out of memory");
}

static void caller_destroy(void *self)
{
    caller_t *caller = self;
    free(caller->times_us);
    free(caller);
}

static int begin(caller_t *caller, xo_request_t *request, int *count)
{
    xo_slice_t address;
    if (xo_request_unpack(request, "s i i", &address, count, &caller->window) < 0)
        return -1;
    snprintf(caller->address, sizeof caller->address, "%.*s", (int)address.size, address.data);
    caller->request = request;
    caller->left = *count;
    caller->count = 0;
    caller->started_us = now_us();
    return 0;
}

static void go_on(caller_t *caller);

static void answered(xo_future_t *future, void *arg)
{
    int value;
    caller_t *caller = arg;
    double now = now_us();
    if (xo_future_get(future, NULL, "i", &value) < 0)
        die("a call", "failed");
    xo_future_destroy(future);
    if (caller->times_us)
        caller->times_us[caller->count] = now - caller->started_us;
    caller->count++;
    caller->under_way--;
    caller->started_us = caller->times_us ? now_us() : caller->started_us;
    go_on(caller);
}

/* Keeps `window` calls under way until all are made. */
static void go_on(caller_t *caller)
{
    xo_error_t err;
    for (; caller->left && caller->under_way < caller->window; caller->left--) {
        if (xo_request_call(caller->request, &err, caller->address, "echo", answered, caller,
                            "echo", "i", 1) < 0)
            die("a call", err.text);
        caller->under_way++;
    }
    if (!caller->under_way)
        xo_request_reply(caller->request, "f", now_us() - caller->started_us);
}

/* latency(ADDRESS, N, 1): one call after the other; the times stay in times_us. */
static void caller_latency(void *self, xo_request_t *request)
{
    int count;
    caller_t *caller = self;
    if (begin(caller, request, &count) < 0)
        return;
    free(caller->times_us);
    caller->times_us = calloc((size_t)count, sizeof *caller->times_us);
    go_on(caller);
}

/* pipelined(ADDRESS, N, WINDOW): answers with the microseconds that it took. */
static void caller_pipelined(void *self, xo_request_t *request)
{
    int count;
    caller_t *caller = self;
    free(caller->times_us);
    caller->times_us = NULL;
    if (begin(caller, request, &count) == 0)
        go_on(caller);
}

static void tell_on(void *arg)
{
    xo_error_t err;
    caller_t *caller = arg;
    for (; caller->left; caller->left--)
        if (xo_request_tell(caller->request, &err, caller->address, "echo", "echo", "i", 1) < 0) {
            if (errno != EAGAIN ||
                xo_request_on_room(caller->request, caller->address, "echo", tell_on, caller) < 0)
                die("a tell", err.text);
            return;
        }
    caller->left = caller->window = 1; /* a call at last: answered when all have been handled */
    go_on(caller);
}

/* tells(ADDRESS, N, 1): answers with the microseconds until the last was handled. */
static void caller_tells(void *self, xo_request_t *request)
{
    int count;
    caller_t *caller = self;
    free(caller->times_us);
    caller->times_us = NULL;
    if (begin(caller, request, &count) == 0)
        tell_on(caller);
}

static const xo_method_t caller_methods[] = {{"latency", caller_latency, 0, NULL},
                                             {"pipelined", caller_pipelined, 0, NULL},
                                             {"tells", caller_tells, 0, NULL},
                                             {0}};
static const xo_class_t caller_class = {.name = "Caller",
                                        .create = caller_create,
                                        .destroy = caller_destroy,
                                        .methods = caller_methods};
static const xo_class_t *const classes[] = {&echo_class, &caller_class, NULL};
static const xo_module_t module = {XO_MODULE_ABI, "bench", classes};

/* ---- pools ---- */

typedef struct station {
    xo_ctx_t *ctx;
    xo_loop_t *loop;
    xo_host_c_t *host;
    xo_pool_t *pool;
} station_t;

static void create(station_t *station, const char *class_name, const char *uid)
{
    xo_error_t err;
    xo_future_t *future = xo_create_actor(xo_pool_endpoint(station->pool), &err,
                                          xo_pool_address(station->pool), class_name, uid, "");
    if (!future || xo_future_wait(future, WAIT_MS, &err) < 0 ||
        xo_future_get(future, &err, NULL) < 0)
        die(class_name, err.text);
    xo_future_destroy(future);
}

static void station_open(station_t *station)
{
    xo_error_t err;
    xo_pool_options_t options = {.self.index = -1};
    station->ctx = xo_ctx_create("bench", &err);
    station->loop = xo_loop_create(&err);
    station->host = xo_host_c_create(NULL, NULL, &err);
    if (!station->ctx || !station->loop || !station->host)
        die("set-up", err.text);
    xo_host_c_add(station->host, &module, "bench", &err);
    station->pool =
        xo_pool_create(station->ctx, station->loop, &options, xo_host_c_ops(), station->host, &err);
    if (!station->pool)
        die("pool", err.text);
    create(station, "Echo", "echo");
}

static void station_close(station_t *station)
{
    xo_pool_destroy(station->pool);
    xo_host_c_destroy(station->host);
    xo_loop_destroy(station->loop);
    xo_ctx_destroy(station->ctx);
}

/* The other process: writes its address, and runs until it is killed or its parent ends. */
static pid_t start_child(char address[XO_ADDRESS_BYTES])
{
    int fds[2];
    if (pipe(fds) < 0)
        die("pipe", strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        station_t station = {0};
        char text[XO_ADDRESS_BYTES] = "";
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        station_open(&station);
        strcpy(text, xo_pool_address(station.pool));
        if (write(fds[1], text, sizeof text) != sizeof text)
            _exit(1);
        xo_loop_run(station.loop);
        _exit(0);
    }
    close(fds[1]);
    if (child < 0 || read(fds[0], address, XO_ADDRESS_BYTES) != XO_ADDRESS_BYTES)
        die("the child", "did not start");
    close(fds[0]);
    return child;
}

/* ---- measuring ---- */

static double measure(station_t *station, const char *method, const char *address, int count,
                      int window)
{
    double took_us;
    xo_error_t err;
    xo_ref_t *ref = xo_ref_create(xo_pool_endpoint(station->pool), xo_pool_address(station->pool),
                                  "caller", &err);
    xo_future_t *future = xo_ref_call(ref, &err, method, "s i i", address, count, window);
    if (!future || xo_future_wait(future, WAIT_MS, &err) < 0 ||
        xo_future_get(future, &err, "f", &took_us) < 0)
        die(method, err.text);
    xo_future_destroy(future);
    xo_ref_destroy(ref);
    return took_us;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench(station_t *station, const char *name, const char *address, const char *end)
{
    const caller_t *caller = xo_actor_object(xo_pool_find(station->pool, xo_slice_str("caller")));
    measure(station, "latency", address, WARM_UP, 1);
    measure(station, "latency", address, ROUND_TRIPS, 1);
    qsort(caller->times_us, ROUND_TRIPS, sizeof *caller->times_us, compare);
    printf(" \"%s_call_p50_us\": %.2f, \"%s_call_p99_us\": %.2f,\n", name,
           caller->times_us[ROUND_TRIPS / 2], name, caller->times_us[ROUND_TRIPS * 99 / 100]);
    double calls_us = measure(station, "pipelined", address, PIPELINED, WINDOW);
    double tells_us = measure(station, "tells", address, ONE_WAY, 1);
    printf(" \"%s_calls_per_s\": %.0f, \"%s_tells_per_s\": %.0f%s\n", name,
           PIPELINED / calls_us * 1e6, name, ONE_WAY / tells_us * 1e6, end);
    fflush(stdout);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

int main(void)
{
    char folder[] = "/tmp/xo-bench-XXXXXX";
    char address[XO_ADDRESS_BYTES];
    station_t station = {0};
    if (!mkdtemp(folder))
        die(folder, strerror(errno));
    setenv("XO_RUN_DIR", folder, 1);
    setenv("XO_CONFIG_DIR", folder, 1);
    pid_t child = start_child(address);
    station_open(&station);
    create(&station, "Caller", "caller");
    printf("{\n");
    bench(&station, "c_pool", xo_pool_address(station.pool), ",");
    bench(&station, "c_node", address, "");
    printf("}\n");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    station_close(&station);
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
