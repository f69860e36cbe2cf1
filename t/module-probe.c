/* module-probe.c - a module that is linked in. */
#include "t/module-probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/pool-world.h"

int probes_destroyed;
int probes_asked;
int futures_unanswered;

static int probe_create(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    xo_slice_t text;
    xo_slice_t uid = xo_actor_uid(actor);
    if (xo_unpack(args, err, "[s]", &text) < 0)
        return -1;
    if (xo_slice_eq_str(text, "refuse"))
        return xo_error_set(err, EINVAL, "the probe refuses");
    probe_t *probe = calloc(1, sizeof *probe);
    snprintf(probe->text, sizeof probe->text, "%.*s", (int)text.size, text.data);
    snprintf(probe->uid, sizeof probe->uid, "%.*s", (int)uid.size, uid.data);
    probe->destroyed = &probes_destroyed;
    *self = probe;
    return 0;
}

static void answered(xo_future_t *future, void *arg)
{
    probes_asked += xo_future_done(future);
    xo_request_reply_future(arg, future);
    xo_future_destroy(future);
}

static void ask_itself(const probe_t *probe, xo_request_t *request)
{
    xo_error_t err;
    assert_int_equal(
        xo_request_call(request, &err, NULL, probe->uid, answered, request, "kwargs", NULL), 0);
}

static void probe_post_create(void *self, xo_request_t *request)
{
    probe_t *probe = self;
    if (!strcmp(probe->text, "fail"))
        xo_request_fail(request, XO_CODE_METHOD, "post_create fails");
    else if (!strcmp(probe->text, "asks"))
        ask_itself(probe, request);
    else
        xo_request_reply(request, "n");
}

static void probe_pre_destroy(void *self, xo_request_t *request)
{
    probe_t *probe = self;
    if (!strcmp(probe->text, "stubborn"))
        xo_request_fail(request, XO_CODE_METHOD, "pre_destroy fails");
    else if (!strcmp(probe->text, "asks"))
        ask_itself(probe, request);
    else
        xo_request_reply(request, "n");
}

static void probe_destroy(void *self)
{
    ++*((probe_t *)self)->destroyed;
    free(self);
}

static void probe_hold(void *self, xo_request_t *request)
{
    ((probe_t *)self)->held = request;
}

static void probe_kwargs(void *self, xo_request_t *request)
{
    (void)self;
    int64_t value = -1;
    xo_map_get_int(xo_request_kwargs(request), "value", &value);
    xo_request_reply(request, "I", value);
}

static void probe_size(void *self, xo_request_t *request)
{
    (void)self;
    xo_slice_t value;
    xo_slice_t bytes;
    if (xo_request_unpack(request, "V", &value) < 0)
        return;
    if (xo_request_bytes(request, value, &bytes) < 0)
        xo_request_fail(request, XO_CODE_REFUSED, "size takes bytes");
    else
        xo_request_reply(request, "U", (uint64_t)bytes.size);
}

static void pass_on(xo_future_t *future, void *arg)
{
    futures_unanswered += !xo_future_done(future);
    xo_request_reply_future(arg, future);
    xo_future_destroy(future);
}

/* ask(ADDRESS, UID, METHOD): what that actor's method answers to 1. */
static void probe_ask(void *self, xo_request_t *request)
{
    (void)self;
    char text[3][64];
    xo_slice_t arg[3];
    xo_error_t err;
    if (xo_request_unpack(request, "s s s", &arg[0], &arg[1], &arg[2]) < 0)
        return;
    for (int i = 0; i < 3; i++)
        snprintf(text[i], sizeof text[i], "%.*s", (int)arg[i].size, arg[i].data);
    if (xo_request_call(request, &err, text[0][0] ? text[0] : NULL, text[1], pass_on, request,
                        text[2], "i", 1) < 0)
        xo_request_fail(request, XO_CODE_REFUSED, "%s", err.text);
}

typedef struct flood {
    xo_request_t *request;
    char uid[64];
    int left, refused;
} flood_t;

static void flood_on(void *arg)
{
    xo_error_t err;
    flood_t *flood = arg;
    for (; flood->left; flood->left--)
        if (xo_request_tell(flood->request, &err, NULL, flood->uid, "add", "i", 1) < 0) {
            assert_int_equal(errno, EAGAIN);
            flood->refused++;
            assert_int_equal(xo_request_on_room(flood->request, NULL, flood->uid, flood_on, flood),
                             0);
            return;
        }
    xo_request_reply(flood->request, "i", flood->refused);
    free(flood);
}

/* flood(UID, N): tells that counter N times to add 1; answers how often it had to wait for room. */
static void probe_flood(void *self, xo_request_t *request)
{
    (void)self;
    xo_slice_t uid;
    flood_t *flood = calloc(1, sizeof *flood);
    flood->request = request;
    if (xo_request_unpack(request, "s i", &uid, &flood->left) < 0) {
        free(flood);
        return;
    }
    snprintf(flood->uid, sizeof flood->uid, "%.*s", (int)uid.size, uid.data);
    flood_on(flood);
}

static const xo_method_t probe_methods[] = {{"flood", probe_flood, 0, NULL},
                                            {"hold", probe_hold, 0, NULL},
                                            {"kwargs", probe_kwargs, XO_METHOD_KWARGS, NULL},
                                            {"size", probe_size, 0, NULL},
                                            {"ask", probe_ask, 0, NULL},
                                            {0}};
static const xo_class_t probe_class = {.name = "Probe",
                                       .create = probe_create,
                                       .post_create = probe_post_create,
                                       .pre_destroy = probe_pre_destroy,
                                       .destroy = probe_destroy,
                                       .methods = probe_methods};
static const xo_class_t bare_class = {.name = "Bare"};
static const xo_class_t *const probe_classes[] = {&probe_class, &bare_class, NULL};
const xo_module_t probe_module = {XO_MODULE_ABI, "probe", probe_classes};
