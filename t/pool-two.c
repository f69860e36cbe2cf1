/* pool-two.c - two pools of one loop, for actors that are linked. */
#include "t/pool-two.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void handle(void *arg, xo_actor_t *actor, xo_request_t *request)
{
    link_host_t *host = arg;
    xo_slice_t address, uid, reason;
    const xo_msg_t *msg = xo_request_msg(request);
    if (!xo_slice_eq_str(xo_msg_header(msg)->method, XO_METHOD_EXIT)) {
        fake_ops.handle(host, actor, request);
        return;
    }
    assert_int_equal(xo_unpack(xo_msg_body(msg), NULL, "[[S B S] _]", &address, &uid, &reason), 0);
    size_t used = strlen(host->told);
    snprintf(host->told + used, sizeof host->told - used, "%s<%.*s: %.*s; ",
             xo_actor_uid(actor).data, (int)uid.size, uid.data, (int)reason.size, reason.data);
    host->count++;
    xo_request_respond(request, xo_slice("\xc0", 1));
}

static bool traps(void *arg, xo_actor_t *actor)
{
    (void)arg;
    return xo_actor_uid(actor).data[0] == 't';
}

static xo_host_ops_t link_ops;

int two_setup(void **state)
{
    xo_error_t err;
    two_t *two = calloc(1, sizeof *two);
    link_ops = fake_ops;
    link_ops.handle = handle;
    link_ops.traps = traps;
    if (world_setup_bare((void **)&two->world) < 0)
        return -1;
    two->world->ops = &link_ops;
    two->world->ops_arg = &two->hosts[0];
    world_open(two->world);
    two->pools[0] = two->world->pool;
    two->pools[1] = xo_pool_create(two->world->ctx, two->world->loop, &two->world->options,
                                   &link_ops, &two->hosts[1], &err);
    if (!two->pools[1])
        fail_msg("%s", err.text);
    *state = two;
    return 0;
}

int two_teardown(void **state)
{
    two_t *two = *state;
    world_t *world = two->world;
    xo_pool_destroy(two->pools[1]);
    int rc = world_teardown((void **)&world);
    free(two);
    return rc;
}

/* ---- what the client does ---- */

const char *at(const two_t *two, int pool)
{
    return xo_pool_address(two->pools[pool]);
}

xo_ref_t *ref(const two_t *two, int pool, const char *uid)
{
    xo_error_t err;
    xo_ref_t *made = xo_ref_create(two->world->client, at(two, pool), uid, &err);
    if (!made)
        fail_msg("%s", err.text);
    return made;
}

void make(two_t *two, int pool, const char *uid)
{
    xo_error_t err;
    expect_ok(xo_create_actor(two->world->client, &err, at(two, pool), "Fake", uid, ""));
}

xo_future_t *begin(const two_t *two, int pool, const char *uid, const char *method,
                   const char *address, const char *other)
{
    xo_error_t err;
    xo_ref_t *to = ref(two, pool, uid);
    xo_future_t *future = xo_ref_call(to, &err, method, "s s", address, other);
    xo_ref_destroy(to);
    if (!future)
        fail_msg("%s", err.text);
    return future;
}

xo_future_t *begin_link(const two_t *two, int pool, const char *uid, int other_pool,
                        const char *other)
{
    return begin(two, pool, uid, XO_METHOD_LINK, at(two, other_pool), other);
}

void link_actors(const two_t *two, int pool, const char *uid, int other_pool, const char *other)
{
    expect_ok(begin_link(two, pool, uid, other_pool, other));
}

void end(const two_t *two, int pool, const char *uid)
{
    xo_error_t err;
    xo_ref_t *to = ref(two, pool, uid);
    expect_ok(xo_ref_destroy_actor(to, &err));
    xo_ref_destroy(to);
}

xo_future_t *watch(const two_t *two, int pool, const char *uid)
{
    xo_error_t err;
    xo_ref_t *to = ref(two, pool, uid);
    xo_future_t *future = xo_ref_call(to, &err, XO_METHOD_WATCH, "");
    xo_ref_destroy(to);
    return future;
}

static bool is_done(void *arg)
{
    return xo_future_done(arg);
}

void expect_reason(two_t *two, xo_future_t *future, const char *part)
{
    char reason[XO_ERROR_TEXT_BYTES];
    run_until(two->world, is_done, future);
    if (!strstr(xo_answer_reason(xo_future_answer(future), reason), part))
        fail_msg("'%s' has no '%s'", reason, part);
    xo_future_destroy(future);
}

bool has_uid(const two_t *two, int pool, const char *uid)
{
    return xo_pool_find(two->pools[pool], xo_slice_str(uid)) != NULL;
}

void settle(two_t *two)
{
    for (int i = 0; i < 3; i++) {
        expect_error(begin(two, 0, "none", "echo", "", ""), XO_CODE_ACTOR_NOT_EXIST, "no");
        expect_error(begin(two, 1, "none", "echo", "", ""), XO_CODE_ACTOR_NOT_EXIST, "no");
        while (xo_loop_once(two->world->loop, 0))
            ;
    }
}

bool was_told(void *arg)
{
    return ((link_host_t *)arg)->count > 0;
}

void expect_told(two_t *two, int pool, const char *text)
{
    run_until(two->world, was_told, &two->hosts[pool]);
    settle(two);
    assert_string_equal(two->hosts[pool].told, text);
    two->hosts[pool].told[0] = '\0';
    two->hosts[pool].count = 0;
}
