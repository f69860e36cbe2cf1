/* fault-node.c - see fault-steps.h: a pool that joins its broker, groups, and the keys of a
 * cluster.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libxo/keys.h"
#include "libxo/members.h"
#include "t/fault-points.h"
#include "t/fault-steps.h"
#include "t/unit.h"

/* ---- joining ---- */

static int open_joiner(world_t *world, xo_error_t *err)
{
    char door[XO_PATH_BYTES * 2];
    fault_door(world, door, sizeof door);
    if (!world->other_ctx)
        world->other_ctx = xo_ctx_create(NULL, err);
    if (!world->other_ctx)
        return -1;
    return fault_open_pool(world, world->other_ctx, door, &world->other_host, &world->other, err);
}

typedef struct joined {
    int count;
    xo_error_t why;
} joined_t;

static void on_joined(xo_pool_t *pool, const xo_error_t *why, void *arg)
{
    (void)pool;
    joined_t *joined = arg;
    joined->count++;
    joined->why = why ? *why : (xo_error_t){0};
}

static int join(world_t *world, xo_error_t *err)
{
    static joined_t joined; /* it may be called after this has been given up */
    joined = (joined_t){0};
    if (xo_pool_join(world->other, on_joined, &joined, err) < 0)
        return -1;
    for (int i = 0; i < FAULT_WAIT_MS / 10 && !joined.count; i++)
        xo_loop_once(world->loop, 10);
    fault_check(joined.count == 1, "joined is called %d times", joined.count);
    *err = joined.why;
    errno = err->errnum;
    return errno ? -1 : 0;
}

/* Its creation waits for the broker's word. */
static int create_there(world_t *world, xo_error_t *err)
{
    return fault_create(world, xo_pool_address(world->other), "Actor", "there", err);
}

static int end_there(world_t *world, xo_error_t *err)
{
    return fault_end(world, xo_pool_address(world->other), "there", err);
}

/* ---- groups ---- */

static int make_group(world_t *world, xo_error_t *err)
{
    xo_group_options_t options = XO_GROUP_OPTIONS_INIT;
    options.strategy = "one_for_all";
    options.parent = "above";
    options.intensity = 3;
    return finish_call(xo_client_create_group(world->client, err, "group", &options), err, NULL,
                       NULL);
}

static int create_member(world_t *world, xo_error_t *err)
{
    xo_actor_options_t options = XO_ACTOR_OPTIONS_INIT;
    options.group = "group";
    options.restart = "transient";
    options.shutdown_ms = 100;
    int rc = finish_call(xo_create_actor_with(world->endpoint, err, xo_pool_address(world->other),
                                              "Actor", "member", &options, ""),
                         err, NULL, NULL);
    return rc < 0 && errno == EEXIST ? 0 : rc;
}

static int stop_group(world_t *world, xo_error_t *err)
{
    return finish_call(xo_client_stop_group(world->client, err, "group"), err, NULL, NULL);
}

const step_t steps_of_node[] = {{"open a pool that joins", open_joiner},
                                {"join", join},
                                {"create there", create_there},
                                {"end there", end_there},
                                {"make a group", make_group},
                                {"create a member", create_member},
                                {"stop the group", stop_group},
                                {NULL, NULL}};

/* ---- keys ---- */

/* Two machines, each with a folder, for each run. */
static void go(const world_t *world, const char *machine)
{
    char path[XO_PATH_BYTES];
    snprintf(path, sizeof path, "%s-%s-%d", world->config, machine, world->run);
    setenv("XO_CONFIG_DIR", path, 1);
}

static int make_keys(world_t *world, xo_error_t *err)
{
    xo_keys_t keys;
    go(world, "home");
    return xo_keys_generate("default", "home", &keys, err);
}

static int find_keys(world_t *world, xo_error_t *err)
{
    xo_keys_t keys;
    go(world, "home");
    return xo_keys_find("default", &keys, err);
}

static int share_keys(world_t *world, xo_error_t *err)
{
    xo_keys_imported_t imported;
    go(world, "home");
    /* Who is on the list already gets the list alone. */
    snprintf(world->member, sizeof world->member, "away%d", ++world->members);
    char *text = xo_keys_export("default", world->member, err);
    go(world, "away");
    int rc = text ? xo_keys_import(text, NULL, &imported, err) : -1;
    int saved = errno;
    free(text);
    errno = saved;
    return rc;
}

static int revoke_key(world_t *world, xo_error_t *err)
{
    xo_key_member_t member;
    go(world, "home");
    int rc = xo_members_revoke("default", world->member, &member, err);
    return rc < 0 && errno == EALREADY ? 0 : rc;
}

/* Where there are none, they are made. */
static int load_keys(world_t *world, xo_error_t *err)
{
    xo_keys_t keys;
    go(world, "third");
    return xo_keys_load("default", &keys, err);
}

/* Where there are none, too, but these are kept nowhere. */
static int borrow_keys(world_t *world, xo_error_t *err)
{
    xo_keys_t keys;
    go(world, "home");
    if (xo_keys_borrow("default", &keys, err) < 0)
        return -1;
    go(world, "nowhere");
    return xo_keys_borrow("default", &keys, err);
}

static int add_member(world_t *world, xo_error_t *err)
{
    xo_keys_t keys;
    xo_key_member_t member = {.name = "by-hand"};
    go(world, "nowhere");
    if (xo_keys_borrow("default", &keys, err) < 0)
        return -1;
    memcpy(member.key, keys.own_public, sizeof member.key);
    go(world, "home");
    return xo_members_add("default", &member, err);
}

static int merge_members(world_t *world, xo_error_t *err)
{
    xo_members_t members;
    go(world, "home");
    if (xo_members_load("default", &members, err) < 0)
        return -1;
    go(world, "away");
    int rc = xo_members_merge("default", &members, err);
    int saved = errno;
    xo_members_clear(&members);
    errno = saved;
    return rc;
}

static int watch_members(world_t *world, xo_error_t *err)
{
    go(world, "home");
    int fd = xo_members_watch("default", err);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

const step_t steps_of_keys[] = {{"make keys", make_keys},         {"find keys", find_keys},
                                {"share keys", share_keys},       {"revoke a key", revoke_key},
                                {"load keys", load_keys},         {"borrow keys", borrow_keys},
                                {"add a member", add_member},     {"merge members", merge_members},
                                {"watch members", watch_members}, {NULL, NULL}};
