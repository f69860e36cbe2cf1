/* counter.c - actors in C, an example to learn from.
 *
 *     xo-pool --module counter.so --create Counter:hits
 *     xo call hits add 2
 *
 * It shows a class with state, methods that answer at once, later (slow_add) and after another
 * actor has answered (sum_with), a method that does not wait for its turn (peek), and a class
 * without state (Adder). A pool runs all its actors on one thread, so there is nothing to lock
 * here; but nothing may block either, because all other actors of the pool would stand still.
 */
#include <stdio.h>
#include <stdlib.h>

#include "pool/module.h"

typedef struct counter {
    int64_t value;
    /* A method that answers later keeps its request. One is enough: the actor handles no other
     * message until this one has been answered. */
    xo_request_t *slow;
    int64_t slow_by;
    xo_timer_t timer;
} counter_t;

static void slow_done(xo_timer_t *timer, void *arg);

/* Counter() or Counter(START). What create refuses never comes to life, and nobody else is called.
 */
static int counter_create(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    int64_t start = 0;
    if (xo_unpack(args, NULL, "[]") < 0 && xo_unpack(args, err, "[I]", &start) < 0)
        return -1;
    counter_t *counter = calloc(1, sizeof *counter);
    if (!counter)
        return xo_error_set(err, ENOMEM, "out of memory");
    counter->value = start;
    xo_timer_init(&counter->timer, xo_endpoint_loop(xo_pool_endpoint(xo_actor_pool(actor))),
                  slow_done, counter);
    *self = counter;
    return 0;
}

/* Also called when the pool ends in the middle of slow_add: the timer must not run any more. Its
 * caller has been told already. */
static void counter_destroy(void *self)
{
    counter_t *counter = self;
    xo_timer_stop(&counter->timer);
    free(counter);
}

/* The usual method: read the arguments, do something, answer. xo_request_unpack has answered if
 * they do not fit, so there is nothing to do but return. */
static void counter_add(void *self, xo_request_t *request)
{
    counter_t *counter = self;
    int64_t by;
    if (xo_request_unpack(request, "I", &by) < 0)
        return;
    if (__builtin_add_overflow(counter->value, by, &counter->value)) {
        xo_request_fail(request, XO_CODE_METHOD, "the counter would overflow");
        return;
    }
    xo_request_reply(request, "I", counter->value);
}

static void counter_get(void *self, xo_request_t *request)
{
    const counter_t *counter = self;
    if (xo_request_unpack(request, "") < 0)
        return;
    xo_request_reply(request, "I", counter->value);
}

static void counter_reset(void *self, xo_request_t *request)
{
    counter_t *counter = self;
    if (xo_request_unpack(request, "") < 0)
        return;
    counter->value = 0;
    xo_request_reply(request, "n");
}

/* Answers later: the method returns, the request stays open, and the actor's next message waits. */
static void counter_slow_add(void *self, xo_request_t *request)
{
    counter_t *counter = self;
    int64_t after_ms;
    if (xo_request_unpack(request, "I I", &counter->slow_by, &after_ms) < 0)
        return;
    counter->slow = request;
    if (after_ms < 0 || after_ms > INT64_MAX / XO_MS)
        xo_request_fail(request, XO_CODE_REFUSED, "the time must not be negative or endless");
    else
        xo_timer_start(&counter->timer, after_ms * XO_MS);
}

static void slow_done(xo_timer_t *timer, void *arg)
{
    (void)timer;
    counter_t *counter = arg;
    counter->value += counter->slow_by;
    xo_request_reply(counter->slow, "I", counter->value);
}

/* Takes what another actor's `get` answers, and adds our own value. */
static void sum_ready(xo_future_t *future, void *arg)
{
    int64_t other;
    xo_request_t *request = arg;
    const counter_t *counter = xo_actor_object(xo_request_actor(request));
    if (xo_future_get(future, NULL, "I", &other) == 0)
        xo_request_reply(request, "I", counter->value + other);
    else
        xo_request_reply_future(request, future); /* its error is ours */
    xo_future_destroy(future);
}

/* sum_with(ADDRESS, UID): calls another actor, anywhere, in any language; nothing waits for it. Our
 * own lock is given up before, because two counters that sum with each other would otherwise
 * wait for each other for good. */
static void counter_sum_with(void *self, xo_request_t *request)
{
    (void)self;
    char address[XO_ADDRESS_BYTES];
    char uid[XO_UID_BYTES_MAX + 1];
    xo_slice_t address_arg;
    xo_slice_t uid_arg;
    xo_error_t err = {0};
    if (xo_request_unpack(request, "s s", &address_arg, &uid_arg) < 0)
        return;
    snprintf(address, sizeof address, "%.*s", (int)address_arg.size, address_arg.data);
    snprintf(uid, sizeof uid, "%.*s", (int)uid_arg.size, uid_arg.data);
    xo_request_unlock(request);
    if (xo_request_call(request, &err, address[0] ? address : NULL, uid, sum_ready, request, "get",
                        "") < 0)
        xo_request_fail(request, XO_CODE_METHOD, "cannot call \"%s\": %s", uid, err.text);
}

static const xo_method_t counter_methods[] = {
    {"add", counter_add, 0, "add(N): adds, returns the sum"},
    {"get", counter_get, 0, "get(): the value"},
    {"peek", counter_get, XO_METHOD_NO_LOCK, "peek(): the value, also while slow_add is under way"},
    {"reset", counter_reset, 0, "reset(): back to 0"},
    {"slow_add", counter_slow_add, 0, "slow_add(N, MS): adds after MS milliseconds"},
    {"sum_with", counter_sum_with, 0,
     "sum_with(ADDRESS, UID): the sum with another counter; ADDRESS \"\": in this pool"},
    {0}};

static const xo_class_t counter_class = {.name = "Counter",
                                         .create = counter_create,
                                         .destroy = counter_destroy,
                                         .methods = counter_methods,
                                         .doc = "Counter(START = 0) counts"};

/* ---- a class without state: no object, no lock, as many messages at a time as arrive ---- */

static void adder_add(void *self, xo_request_t *request)
{
    (void)self;
    double a;
    double b;
    if (xo_request_unpack(request, "f f", &a, &b) < 0)
        return;
    xo_request_reply(request, "f", a + b);
}

static const xo_method_t adder_methods[] = {{"add", adder_add, 0, "add(A, B): the sum"}, {0}};

static const xo_class_t adder_class = {
    .name = "Adder", .flags = XO_CLASS_STATELESS, .methods = adder_methods, .doc = "Adder() adds"};

static const xo_class_t *const classes[] = {&counter_class, &adder_class, NULL};
XO_MODULE("counter", classes);
