/* keeper.c - an actor in C that hears of the ends of others.
 *
 *     xo-pool --module keeper.so --module counter.so --create Keeper:k --create Counter:hits
 *     xo call k keep "" hits
 *
 * It links itself to others (keep), so that they end with it; since its class has a method
 * XO_METHOD_EXIT it does not end with them, but writes down who ended, and why. Or it only watches
 * them (watch).
 */
#include <stdio.h>
#include <stdlib.h>

#include "pool/module.h"

/* An actor that is watched. */
typedef struct watched {
    struct keeper *keeper;
    char uid[XO_UID_BYTES_MAX + 1];
    struct watched *next;
} watched_t;

typedef struct keeper {
    watched_t *watched; /* also those that have ended */
    xo_buf_t ended;     /* [uid, reason] for each that has, as msgpack */
    uint32_t count;
} keeper_t;

static int keeper_create(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    (void)actor;
    if (xo_unpack(args, err, "[]") < 0)
        return -1;
    *self = calloc(1, sizeof(keeper_t));
    return *self ? 0 : xo_error_set(err, ENOMEM, "out of memory");
}

/* Its monitors are freed with the actor, and call nobody any more. */
static void keeper_destroy(void *self)
{
    keeper_t *keeper = self;
    while (keeper->watched) {
        watched_t *watched = keeper->watched;
        keeper->watched = watched->next;
        free(watched);
    }
    xo_buf_free(&keeper->ended);
    free(keeper);
}

static void note(keeper_t *keeper, xo_slice_t uid, xo_slice_t reason)
{
    xo_pack_format(&keeper->ended, "[S S]", uid, reason);
    keeper->count++;
}

/* The arguments ADDRESS ("": this pool) and UID. -1: the request has been refused. */
static int read_other(xo_request_t *request, char address[XO_ADDRESS_BYTES],
                      char uid[XO_UID_BYTES_MAX + 1])
{
    xo_slice_t address_arg;
    xo_slice_t uid_arg;
    if (xo_request_unpack(request, "s s", &address_arg, &uid_arg) < 0)
        return -1;
    snprintf(address, XO_ADDRESS_BYTES, "%.*s", (int)address_arg.size, address_arg.data);
    snprintf(uid, XO_UID_BYTES_MAX + 1, "%.*s", (int)uid_arg.size, uid_arg.data);
    return 0;
}

/* ---- links ---- */

static void kept(xo_future_t *future, void *arg)
{
    xo_request_reply_future(arg, future);
    xo_future_destroy(future);
}

static void keeper_keep(void *self, xo_request_t *request)
{
    (void)self;
    char address[XO_ADDRESS_BYTES];
    char uid[XO_UID_BYTES_MAX + 1];
    xo_error_t err;
    if (read_other(request, address, uid) == 0 &&
        xo_request_link_to(request, &err, address[0] ? address : NULL, uid, kept, request) < 0)
        xo_request_fail(request, XO_CODE_METHOD, "cannot keep \"%s\": %s", uid, err.text);
}

static void keeper_leave(void *self, xo_request_t *request)
{
    (void)self;
    char address[XO_ADDRESS_BYTES];
    char uid[XO_UID_BYTES_MAX + 1];
    xo_error_t err;
    if (read_other(request, address, uid) < 0)
        return;
    if (xo_request_unlink_from(request, &err, address[0] ? address : NULL, uid) < 0)
        xo_request_fail(request, XO_CODE_METHOD, "cannot leave \"%s\": %s", uid, err.text);
    else
        xo_request_reply(request, "n");
}

/* Only pools send this. */
static void keeper_exit(void *self, xo_request_t *request)
{
    xo_slice_t address;
    xo_slice_t uid;
    xo_slice_t reason;
    if (xo_request_unpack(request, "s B s", &address, &uid, &reason) < 0)
        return;
    note(self, uid, reason);
    xo_request_reply(request, "n");
}

/* ---- monitors ---- */

static void ended(const char *reason, void *arg)
{
    watched_t *watched = arg;
    note(watched->keeper, xo_slice_str(watched->uid), xo_slice_str(reason));
}

static void keeper_watch(void *self, xo_request_t *request)
{
    keeper_t *keeper = self;
    char address[XO_ADDRESS_BYTES];
    xo_error_t err = {0};
    watched_t *watched = calloc(1, sizeof *watched);
    if (!watched || read_other(request, address, watched->uid) < 0) {
        if (!watched)
            xo_request_fail(request, XO_CODE_METHOD, "out of memory");
        free(watched);
        return;
    }
    watched->keeper = keeper;
    watched->next = keeper->watched;
    keeper->watched = watched;
    if (xo_actor_monitor(xo_request_actor(request), address[0] ? address : NULL,
                         xo_slice_str(watched->uid), ended, watched, &err))
        xo_request_reply(request, "n");
    else
        xo_request_fail(request, XO_CODE_METHOD, "cannot watch: %s", err.text);
}

static void keeper_ended(void *self, xo_request_t *request)
{
    keeper_t *keeper = self;
    xo_buf_t list = XO_BUF_INIT;
    if (xo_request_unpack(request, "") < 0)
        return;
    xo_pack_array(&list, keeper->count);
    xo_buf_append(&list, keeper->ended.data, keeper->ended.size);
    if (xo_buf_ok(&list) < 0 || xo_buf_ok(&keeper->ended) < 0)
        xo_request_fail(request, XO_CODE_METHOD, "out of memory");
    else
        xo_request_reply(request, "V", xo_buf_slice(&list));
    xo_buf_free(&list);
}

static const xo_method_t methods[] = {
    {XO_METHOD_EXIT, keeper_exit, 0, NULL},
    {"keep", keeper_keep, 0, "keep(ADDRESS, UID): that actor ends with this one"},
    {"leave", keeper_leave, 0, "leave(ADDRESS, UID): no longer"},
    {"watch", keeper_watch, 0, "watch(ADDRESS, UID): its end is written down"},
    {"ended", keeper_ended, 0, "ended(): [UID, REASON] of each that has, the oldest first"},
    {0}};

static const xo_class_t keeper_class = {.name = "Keeper",
                                        .create = keeper_create,
                                        .destroy = keeper_destroy,
                                        .methods = methods,
                                        .doc = "Keeper() writes down who ended, and why"};
static const xo_class_t *const classes[] = {&keeper_class, NULL};
XO_MODULE("keeper", classes);
