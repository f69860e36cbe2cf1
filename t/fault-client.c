/* fault-client.c - see fault-steps.h: what else a client has with a pool and the broker. */
#include <stdio.h>

#include "t/fault-points.h"
#include "t/fault-steps.h"
#include "t/unit.h"

static int create(world_t *world, xo_error_t *err)
{
    return fault_create(world, xo_pool_address(world->pool), "Actor", "actor", err);
}

static int find_node(world_t *world, xo_error_t *err)
{
    char found[XO_PATH_BYTES * 2], door[XO_PATH_BYTES * 2];
    fault_door(world, door, sizeof door);
    if (xo_find_node(world->ctx, found, sizeof found, err) < 0)
        return -1;
    assert_string_equal(found, door);
    return 0;
}

static int connect_another(world_t *world, xo_error_t *err)
{
    xo_client_t *client =
        xo_connect_within(xo_pool_address(world->pool), world->loop, FAULT_WAIT_MS, err);
    xo_client_destroy(client);
    return client ? 0 : -1;
}

static int ask_broker(world_t *world, xo_error_t *err)
{
    return finish_call(
        xo_client_ask_broker(world->client, err, "lookup", xo_slice("\x91\xc4\x01u", 4)), err, NULL,
        NULL);
}

static int call_packed(world_t *world, xo_error_t *err)
{
    int value = 0, rc = -1;
    xo_ref_t *ref = xo_ref_create_bytes(world->endpoint, xo_pool_address(world->pool),
                                        xo_slice_str("actor"), err);
    if (ref)
        rc = finish_call(
            xo_ref_call_packed(ref, err, "echo", xo_slice("\x91\x07", 2), xo_slice("\x80", 1)), err,
            "i", &value);
    int saved = errno;
    xo_ref_destroy(ref);
    errno = saved;
    assert_true(rc < 0 || value == 7);
    return rc;
}

typedef struct said {
    int count, errnum;
} said_t;

static void on_accepted(const xo_failure_t *why, void *arg)
{
    said_t *said = arg;
    said->count++;
    said->errnum = why ? EPIPE : 0;
}

static void on_room(xo_link_t *link, void *arg)
{
    (void)link;
    ((said_t *)arg)->count++;
}

static int await(world_t *world, const said_t *said, xo_error_t *err)
{
    for (int i = 0; i < FAULT_WAIT_MS / 10 && !said->count; i++)
        xo_loop_once(world->loop, 10);
    fault_check(said->count == 1, "it is called back %d times", said->count);
    return said->errnum ? xo_error_set(err, said->errnum, "called back: %m") : 0;
}

static int tell(world_t *world, xo_error_t *err)
{
    static said_t said; /* it may be called back after this has been given up */
    xo_header_t header = {
        .kind = XO_TELL, .target_uid = xo_slice_str("actor"), .method = xo_slice_str("echo")};
    xo_link_t *link = xo_endpoint_link(world->endpoint, xo_pool_address(world->pool), err);
    xo_msg_t *msg = link ? xo_msg_create(&header, xo_slice("\x92\x91\x07\x80", 4)) : NULL;
    if (!msg)
        return link ? xo_error_set(err, errno, "no message: %m") : -1;
    said = (said_t){0};
    int rc = xo_endpoint_tell(world->endpoint, link, &msg, 0, on_accepted, &said, err);
    xo_msg_destroy(&msg);
    return rc < 0 ? -1 : await(world, &said, err);
}

static int await_room(world_t *world, xo_error_t *err)
{
    static said_t said;
    xo_link_t *link = xo_endpoint_link(world->endpoint, xo_pool_address(world->pool), err);
    if (!link)
        return -1;
    said = (said_t){0};
    if (xo_link_on_room(link, on_room, &said) < 0)
        return xo_error_set(err, errno, "no waiting for room: %m");
    return await(world, &said, err);
}

static int await_room_for(world_t *world, xo_error_t *err)
{
    static said_t said;
    xo_link_t *link = xo_endpoint_link(world->endpoint, xo_pool_address(world->pool), err);
    if (!link)
        return -1;
    said = (said_t){0};
    if (xo_link_on_room_for(link, xo_slice_str("actor"), on_room, &said) < 0)
        return xo_error_set(err, errno, "no waiting for an actor's room: %m");
    return await(world, &said, err);
}

static void drop(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    (void)endpoint;
    (void)from;
    (void)arg;
    xo_msg_destroy(msg);
}

static int listen_too(world_t *world, xo_error_t *err)
{
    static const xo_endpoint_ops_t ops = {.request = drop};
    xo_identity_t self = {.role = XO_ROLE_CLIENT, .index = -1};
    xo_endpoint_t *endpoint =
        xo_endpoint_create(world->ctx, world->loop, &self, &ops, NULL, NULL, err);
    int rc = endpoint ? xo_endpoint_listen(endpoint, "127.0.0.1:0", NULL, err) : -1;
    int saved = errno;
    xo_endpoint_destroy(endpoint);
    errno = saved;
    return rc;
}

const step_t steps_of_client[] = {{"create", create},
                                  {"find the node", find_node},
                                  {"connect another one", connect_another},
                                  {"ask the broker", ask_broker},
                                  {"call with packed arguments", call_packed},
                                  {"tell", tell},
                                  {"wait for room", await_room},
                                  {"wait for an actor's room", await_room_for},
                                  {"listen, too", listen_too},
                                  {NULL, NULL}};
