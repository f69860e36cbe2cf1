/* group_methods.c - group.create, group.stop; and revive, of a group. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/broker_impl.h"

/* What group.create is told. */
typedef struct xo_wanted_group {
    xo_strategy_t strategy;
    xo_slice_t parent; /* empty: none */
    xo_policy_t policy;
} xo_wanted_group_t;

static int read_strategy(xo_reader_t *value, xo_strategy_t *strategy, xo_error_t *err)
{
    xo_slice_t text;
    char copy[32];
    if (xo_read_str(value, &text) < 0 || text.size >= sizeof(copy))
        return xo_error_set(err, EINVAL,
                            "strategy must be one_for_one, one_for_all or rest_for_one");
    snprintf(copy, sizeof(copy), "%.*s", (int)text.size, text.size ? text.data : "");
    return xo_strategy_parse(copy, strategy, err);
}

static int read_option(xo_slice_t key, xo_reader_t *value, xo_wanted_group_t *options,
                       xo_error_t *err)
{
    if (xo_slice_eq_str(key, "strategy"))
        return read_strategy(value, &options->strategy, err);
    if (xo_slice_eq_str(key, "parent"))
        return xo_read_str(value, &options->parent) < 0
                   ? xo_error_set(err, EINVAL, "parent must be the name of a group")
                   : 0;
    if (xo_slice_eq_str(key, "restart"))
        return xo_error_set(err, EINVAL, "restart is a member's, not a group's");
    if (xo_slice_eq_str(key, "create_timeout_ms"))
        return xo_error_set(err, EINVAL, "create_timeout_ms is a member's, not a group's");
    return xo_policy_set(&options->policy, key, value, err);
}

static int read_args(xo_slice_t args, xo_slice_t *name, xo_wanted_group_t *options, xo_error_t *err)
{
    xo_slice_t map, key;
    uint32_t pairs;
    *options = (xo_wanted_group_t){.policy = xo_policy_default()};
    if (xo_unpack(args, err, "[s V]", name, &map) < 0)
        return -1;
    xo_reader_t reader = xo_reader(map);
    if (xo_read_map(&reader, &pairs) < 0)
        return xo_error_set(err, EINVAL, "it takes a name and a map");
    while (pairs-- > 0) {
        if (xo_read_str(&reader, &key) < 0)
            return xo_error_set(err, EINVAL, "it takes a map with str keys");
        if (read_option(key, &reader, options, err) < 0)
            return -1;
    }
    return 0;
}

static void reply_record(xo_ask_t *ask, const xo_group_t *group)
{
    xo_rec_t rec = {0};
    xo_buf_t out = XO_BUF_INIT;
    xo_group_record(group, &rec);
    xo_rec_pack(&rec, 0, &out);
    xo_ask_reply_value(ask, &out);
}

static bool is_same(const xo_group_t *group, const xo_wanted_group_t *options,
                    const xo_group_t *parent)
{
    const xo_policy_t *a = &group->policy, *b = &options->policy;
    return group->strategy == options->strategy && a->intensity == b->intensity &&
           a->period_ns == b->period_ns && a->backoff_ns == b->backoff_ns &&
           a->backoff_max_ns == b->backoff_max_ns &&
           (group->seat ? group->seat->group : NULL) == parent;
}

static void create(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t name,
                   const xo_wanted_group_t *options, xo_group_t *parent)
{
    xo_error_t err;
    xo_group_t *group = xo_group_find(broker, name);
    if (group != NULL && group->state != XO_GROUP_STOPPING && is_same(group, options, parent)) {
        reply_record(ask, group);
        return;
    }
    if (group != NULL) {
        xo_broker_refuse(ask, "there is a group '%s' already, %s", group->name,
                         group->state == XO_GROUP_STOPPING ? "which is being stopped"
                                                           : "with other settings");
        return;
    }
    group = xo_group_create(broker, name, &err);
    if (group != NULL && parent != NULL && xo_group_attach(group, parent, 0) < 0) {
        xo_group_destroy(group);
        group = xo_error_null(&err, ENOMEM, "out of memory");
    }
    if (group == NULL) {
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    group->strategy = options->strategy;
    group->policy = options->policy;
    xo_group_created(group);
    reply_record(ask, group);
}

void xo_broker_group_create(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_error_t err;
    xo_slice_t name;
    xo_wanted_group_t options;
    if (xo_drain_refuses(broker, ask))
        return;
    if (read_args(args, &name, &options, &err) < 0) {
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    xo_slice_t above = options.parent;
    xo_group_t *parent = above.size > 0 ? xo_group_find(broker, above) : NULL;
    if (broker->stopping)
        xo_broker_refuse(ask, "the node is stopping");
    else if (above.size > 0 && parent == NULL)
        xo_broker_refuse(ask, "this node has no group '%.*s'", (int)above.size, above.data);
    else if (parent != NULL &&
             (parent->state == XO_GROUP_FAILED || parent->state == XO_GROUP_STOPPING))
        xo_broker_refuse(ask, "group '%s' is %s", parent->name, xo_group_state_name(parent->state));
    else
        create(broker, ask, name, &options, parent);
}

/* ---- who waits for it to be up again, or gone ---- */

static void let_go(xo_ask_t *ask, void *arg)
{
    xo_group_t *group = arg;
    (void)ask;
    group->ask = NULL;
}

/* False: somebody waits already, and the ask has been refused. */
static bool await(xo_ask_t *ask, xo_group_t *group)
{
    if (group->ask != NULL) {
        xo_broker_refuse(ask, "somebody does that to group '%s' already", group->name);
        return false;
    }
    group->ask = ask;
    xo_ask_on_stop(ask, let_go, group);
    return true;
}

void xo_broker_group_stop(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_error_t err;
    xo_slice_t name;
    if (xo_unpack(args, &err, "[s]", &name) < 0) {
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    xo_group_t *group = xo_group_find(broker, name);
    if (group == NULL)
        xo_broker_refuse(ask, "this node has no group '%.*s'", (int)name.size, name.data);
    else if (await(ask, group))
        xo_group_stop(group);
}

void xo_broker_revive_group(xo_ask_t *ask, xo_group_t *group)
{
    const xo_member_t *member = xo_group_failed_pool(group);
    if (group->seat != NULL)
        xo_broker_refuse(ask, "group '%s' is in group '%s', which has failed: revive that",
                         group->name, xo_group_root(group)->name);
    else if (member != NULL)
        xo_broker_refuse(ask, "a pool of group '%s', %s, has failed: revive that", group->name,
                         member->address);
    else if (await(ask, group))
        xo_group_revive(group);
}
