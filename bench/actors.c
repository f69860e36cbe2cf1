/* actors.c - see actors.h. */
#include "bench/actors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/out.h"

/* ---- Echo ---- */

static void echo_echo(void *self, xo_request_t *request)
{
    (void)self;
    int value;
    if (xo_request_unpack(request, "i", &value) == 0)
        xo_request_reply(request, "i", value);
}

static void echo_size(void *self, xo_request_t *request)
{
    (void)self;
    xo_slice_t value, bytes;
    if (xo_request_unpack(request, "V", &value) < 0)
        return;
    if (xo_request_bytes(request, value, &bytes) < 0)
        xob_die("size", "no bytes came");
    xo_request_reply(request, "I", (int64_t)bytes.size);
}

static const xo_method_t echo_methods[] = {
    {"echo", echo_echo, 0, NULL}, {"size", echo_size, 0, NULL}, {0}};
static const xo_class_t echo_class = {.name = "Echo", .methods = echo_methods};

/* ---- Caller ---- */

typedef struct caller {
    xo_request_t *request; /* the measurement that runs; it is answered when that ends */
    char address[XO_ADDRESS_BYTES];
    xo_target_t *echo; /* the one that all calls go to; NULL: each to another */
    int targets, left, under_way, window;
    bool timed;
    uint32_t random;
    int64_t started_ns, call_ns;
    xob_hist_t times;
} caller_t;

xob_hist_t *caller_times(void *caller)
{
    return &((caller_t *)caller)->times;
}

static int caller_create(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    (void)actor;
    (void)args;
    caller_t *caller = calloc(1, sizeof *caller);
    if (!caller)
        return xo_error_set(err, ENOMEM, "out of memory");
    caller->random = 1;
    *self = caller;
    return 0;
}

/* Every measurement has the arguments (ADDRESS, TARGETS, COUNT, WINDOW), and answers with the
 * seconds that it took. */
static int begin(caller_t *caller, xo_request_t *request, bool timed)
{
    xo_slice_t address;
    if (xo_request_unpack(request, "s i i i", &address, &caller->targets, &caller->left,
                          &caller->window) < 0)
        return -1;
    snprintf(caller->address, sizeof caller->address, "%.*s", (int)address.size, address.data);
    xo_target_destroy(caller->echo);
    caller->echo = caller->targets ? NULL
                                   : xo_target_create(xo_request_actor(request), caller->address,
                                                      "echo", "echo", NULL);
    caller->request = request;
    caller->timed = timed;
    caller->started_ns = xob_now_ns();
    return 0;
}

static const char *next_target(caller_t *caller, char *text, size_t size)
{
    caller->random = caller->random * 1664525 + 1013904223; /* Numerical Recipes' generator */
    snprintf(text, size, "a%u", (unsigned)((uint64_t)caller->random * caller->targets >> 32));
    return text;
}

static void go_on(void *arg);

static void answered(xo_future_t *future, void *arg)
{
    int value;
    xo_error_t err;
    caller_t *caller = arg;
    if (caller->timed)
        xob_hist_record(&caller->times, xob_now_ns() - caller->call_ns);
    if (xo_future_get(future, &err, "i", &value) < 0)
        xob_die("a call", err.text);
    xo_future_destroy(future);
    caller->under_way--;
    go_on(caller);
}

static int call_any(caller_t *caller, xo_error_t *err)
{
    char uid[16];
    return xo_request_call(caller->request, err, caller->address,
                           next_target(caller, uid, sizeof uid), answered, caller, "echo", "i", 1);
}

static bool call_once(caller_t *caller)
{
    xo_error_t err;
    caller->call_ns = caller->timed ? xob_now_ns() : 0;
    int rc = caller->echo
                 ? xo_target_call(caller->echo, caller->request, &err, answered, caller, "i", 1)
                 : call_any(caller, &err);
    if (rc == 0)
        return true;
    bool wait = errno == EAGAIN;
    if (wait && !caller->under_way) /* else an answer goes on */
        wait = caller->echo && xo_target_on_room(caller->echo, caller->request, go_on, caller) == 0;
    if (!wait)
        xob_die("a call", err.text);
    return false;
}

/* Keeps `window` calls under way until all are made. */
static void go_on(void *arg)
{
    caller_t *caller = arg;
    for (; caller->left && caller->under_way < caller->window; caller->left--) {
        if (!call_once(caller))
            return;
        caller->under_way++;
    }
    if (!caller->under_way)
        xo_request_reply(caller->request, "f", (double)(xob_now_ns() - caller->started_ns) / 1e9);
}

static void caller_latency(void *self, xo_request_t *request)
{
    if (begin(self, request, true) == 0)
        go_on(self);
}

static void caller_pipelined(void *self, xo_request_t *request)
{
    if (begin(self, request, false) == 0)
        go_on(self);
}

static void tell_on(void *arg)
{
    xo_error_t err;
    caller_t *caller = arg;
    for (; caller->left; caller->left--)
        if (xo_target_tell(caller->echo, caller->request, &err, "i", 1) < 0) {
            if (errno != EAGAIN ||
                xo_target_on_room(caller->echo, caller->request, tell_on, caller) < 0)
                xob_die("a tell", err.text);
            return;
        }
    caller->left = caller->window = 1; /* a call at last: answered when all have been handled */
    go_on(caller);
}

static void caller_tells(void *self, xo_request_t *request)
{
    if (begin(self, request, false) == 0)
        tell_on(self);
}

static const xo_method_t caller_methods[] = {{"latency", caller_latency, 0, NULL},
                                             {"pipelined", caller_pipelined, 0, NULL},
                                             {"tells", caller_tells, 0, NULL},
                                             {0}};
static const xo_class_t caller_class = {
    .name = "Caller", .create = caller_create, .destroy = free, .methods = caller_methods};
static const xo_class_t *const classes[] = {&echo_class, &caller_class, NULL};
const xo_module_t bench_module = {XO_MODULE_ABI, "bench", classes};
