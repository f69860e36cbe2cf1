/* revive.c - revive: a pool, a group or an actor that has failed gets another chance. */
#include <stdio.h>

#include "broker/broker_impl.h"

/* ---- pools ---- */

/* Those of its actors that have failed come back with it. */
static void expect_actors(xo_broker_t *broker, xo_member_t *member)
{
    for (xo_actor_entry_t *entry = member->entries; entry != NULL; entry = entry->next) {
        if (entry->state != XO_ACTOR_FAILED || entry->spec == NULL)
            continue;
        if (entry->seat != NULL) {
            xo_group_revive(xo_group_root(entry->seat->group));
            continue;
        }
        xo_broker_forgive_actor(entry);
        entry->state = XO_ACTOR_RECOVERING;
        xo_publish_actor(broker->publish, entry);
    }
}

static void revive_pool(xo_broker_t *broker, xo_ask_t *ask, xo_member_t *member)
{
    char who[XO_ADDRESS_BYTES + XO_LABEL_BYTES + 32];
    xo_member_describe(member, who, sizeof(who));
    if (!xo_supervisor_revive(member)) {
        xo_broker_refuse(ask, "%s has not failed, it is %s", who,
                         xo_pool_state_name(member->state));
        return;
    }
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m)) {
        if (m->run == member->run)
            expect_actors(broker, m);
    }
    xo_broker_await_pool(broker, ask, member);
}

/* ---- actors ---- */

/* The failed one with this uid, at this address if one is given. *count: how many there are. */
static xo_actor_entry_t *find_failed(xo_broker_t *broker, xo_slice_t uid, xo_slice_t at,
                                     size_t *count)
{
    xo_actor_entry_t *found = NULL;
    *count = 0;
    for (xo_actor_entry_t *entry = xo_directory_find(&broker->directory, uid); entry != NULL;
         entry = entry->next_in_name) {
        if (entry->state != XO_ACTOR_FAILED ||
            (at.size > 0 && !xo_slice_eq_str(at, entry->member->address)))
            continue;
        found = entry;
        (*count)++;
    }
    return found;
}

static void revive_actor(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t uid, xo_slice_t at)
{
    size_t count;
    xo_actor_entry_t *entry = find_failed(broker, uid, at, &count);
    if (entry == NULL)
        xo_ask_fail(ask, XO_CODE_ACTOR_NOT_EXIST,
                    "no pool, group or actor '%.*s' of this node%s%.*s has failed", (int)uid.size,
                    uid.data, at.size ? " at " : "", (int)at.size, at.size ? at.data : "");
    else if (count > 1)
        xo_ask_fail(ask, XO_CODE_AMBIGUOUS,
                    "%zu actors '%.*s' of this node have failed: say in which pool", count,
                    (int)uid.size, uid.data);
    else if (entry->seat != NULL)
        xo_broker_refuse(ask, "'%.*s' is in group '%s', which has failed: revive that",
                         (int)uid.size, uid.data, xo_group_root(entry->seat->group)->name);
    else if (entry->member->state == XO_POOL_FAILED)
        xo_broker_refuse(ask, "the pool of '%.*s', %s, has failed: revive that", (int)uid.size,
                         uid.data, entry->member->address);
    else if (entry->member->link == NULL || entry->spec == NULL)
        xo_broker_refuse(ask, "the pool of '%.*s', %s, is %s", (int)uid.size, uid.data,
                         entry->member->address, xo_pool_state_name(entry->member->state));
    else
        xo_broker_revive_actor(broker, ask, entry);
}

void xo_broker_revive(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_error_t err;
    xo_slice_t what, at = {NULL, 0};
    if (xo_unpack(args, &err, "[s *]", &what) < 0 ||
        (xo_unpack(args, NULL, "[s]", &what) < 0 &&
         xo_unpack(args, &err, "[s s]", &what, &at) < 0)) {
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    xo_member_t *member = at.size == 0 ? xo_pools_by_name(&broker->pools, what) : NULL;
    xo_group_t *group = at.size == 0 ? xo_group_find(broker, what) : NULL;
    if (member != NULL)
        revive_pool(broker, ask, member);
    else if (group != NULL && group->state == XO_GROUP_FAILED)
        xo_broker_revive_group(ask, group);
    else
        revive_actor(broker, ask, what, at);
}
