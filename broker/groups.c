#include "broker/groups.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "broker/broker_impl.h"

static const char *const state_names[] = {"running", "restarting", "failed", "stopping"};

const char *xo_group_state_name(xo_group_state_t state)
{
    return state_names[state];
}

/* ---- groups ---- */

xo_group_t *xo_group_find(const xo_broker_t *broker, xo_slice_t name)
{
    xo_group_t *group = broker->groups;
    while (group != NULL && !xo_slice_eq_str(name, group->name))
        group = group->next;
    return group;
}

xo_group_t *xo_group_root(xo_group_t *group)
{
    while (group->seat != NULL)
        group = group->seat->group;
    return group;
}

const xo_member_t *xo_group_failed_pool(const xo_group_t *group)
{
    const xo_member_t *found = NULL;
    for (const xo_seat_t *seat = group->seats; seat != NULL && found == NULL; seat = seat->next) {
        if (seat->child != NULL)
            found = xo_group_failed_pool(seat->child);
        else if (seat->entry->member->state == XO_POOL_FAILED)
            found = seat->entry->member;
    }
    return found;
}

/* It is a part of a key in the registry, and of command lines. */
static bool is_name(xo_slice_t name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == 0 || strchr(allowed, name.data[i]) == NULL)
            return false;
    }
    return name.size > 0 && name.size <= XO_GROUP_NAME_BYTES_MAX;
}

static int by_order(const xo_seat_t *a, const xo_seat_t *b)
{
    return (a->order > b->order) - (a->order < b->order);
}

/* `order` 0: behind all others. */
static xo_seat_t *take_seat(xo_group_t *group, uint64_t order)
{
    xo_seat_t *seat = calloc(1, sizeof(*seat));
    if (seat == NULL)
        return NULL;
    seat->group = group;
    seat->order = order > 0 ? order : group->last_order + 1;
    if (seat->order > group->last_order)
        group->last_order = seat->order;
    DL_INSERT_INORDER(group->seats, seat, by_order);
    group->count++;
    return seat;
}

xo_group_t *xo_group_create(xo_broker_t *broker, xo_slice_t name, xo_error_t *err)
{
    if (!is_name(name))
        return xo_error_null(err, EINVAL, "a group's name is 1 to %d of A-Z a-z 0-9 _ . -",
                             XO_GROUP_NAME_BYTES_MAX);
    xo_group_t *group = calloc(1, sizeof(*group));
    if (group == NULL)
        return xo_error_null(err, ENOMEM, "out of memory");
    group->broker = broker;
    group->policy = xo_policy_default();
    memcpy(group->name, name.data, name.size);
    xo_group_init_run(group);
    DL_APPEND(broker->groups, group);
    return group;
}

int xo_group_attach(xo_group_t *group, xo_group_t *parent, uint64_t order)
{
    group->seat = take_seat(parent, order);
    if (group->seat == NULL)
        return -1;
    group->seat->child = group;
    return 0;
}

void xo_group_destroy(xo_group_t *group)
{
    xo_group_end_run(group);
    if (group->seat != NULL)
        xo_seat_leave(group->seat);
    DL_DELETE(group->broker->groups, group);
    free(group);
}

void xo_groups_end(xo_broker_t *broker)
{
    xo_group_t *group, *next;
    DL_FOREACH(broker->groups, group)
    {
        while (group->seats != NULL)
            xo_seat_leave(group->seats);
    }
    DL_FOREACH_SAFE(broker->groups, group, next)
    {
        xo_group_destroy(group);
    }
}

/* ---- seats ---- */

static int seat_actor(xo_group_t *group, xo_actor_entry_t *entry)
{
    entry->seat = take_seat(group, xo_actor_spec_order(entry->spec));
    if (entry->seat == NULL)
        return -1;
    entry->seat->entry = entry;
    xo_actor_spec_set_order(entry->spec, entry->seat->order);
    return 0;
}

int xo_group_join(xo_broker_t *broker, xo_actor_entry_t *entry, xo_error_t *err)
{
    xo_slice_t name = xo_actor_spec_group(entry->spec);
    xo_group_t *group = name.size > 0 ? xo_group_find(broker, name) : NULL;
    if (entry->seat != NULL && entry->seat->group != group)
        xo_seat_leave(entry->seat);
    if (name.size == 0 || entry->seat != NULL)
        return 0;
    if (group == NULL)
        return xo_error_set(err, ENOENT, "this node has no group '%.*s'", (int)name.size,
                            name.data);
    if (group->state == XO_GROUP_FAILED || group->state == XO_GROUP_STOPPING)
        return xo_error_set(err, EBUSY, "group '%s' is %s%s%s", group->name,
                            xo_group_state_name(group->state), group->reason[0] ? ": " : "",
                            group->reason);
    if (seat_actor(group, entry) < 0)
        return xo_error_set(err, ENOMEM, "the broker is out of memory");
    return 0;
}

void xo_group_rejoin(xo_broker_t *broker, xo_actor_entry_t *entry)
{
    xo_slice_t name = xo_actor_spec_group(entry->spec);
    xo_group_t *group = name.size > 0 ? xo_group_find(broker, name) : NULL;
    if (group != NULL && entry->seat == NULL)
        seat_actor(group, entry);
}

void xo_seat_leave(xo_seat_t *seat)
{
    xo_group_t *group = seat->group;
    xo_group_end_step(seat);
    if (seat->entry != NULL)
        seat->entry->seat = NULL;
    if (seat->child != NULL)
        seat->child->seat = NULL;
    DL_DELETE(group->seats, seat);
    group->count--;
    free(seat);
    xo_group_wake(group);
}

void xo_group_record(const xo_group_t *group, xo_rec_t *rec)
{
    const xo_policy_t *policy = &group->policy;
    xo_rec_text(rec, "name", group->name);
    xo_rec_id(rec, "node", group->broker->options.node_id);
    xo_rec_text(rec, "state", xo_group_state_name(group->state));
    xo_rec_text(rec, "strategy", xo_strategy_name(group->strategy));
    if (group->seat != NULL) {
        xo_rec_text(rec, "parent", group->seat->group->name);
        xo_rec_int(rec, "order", (int64_t)group->seat->order);
    }
    xo_rec_int(rec, "members", (int64_t)group->count);
    xo_rec_int(rec, "restarts", (int64_t)group->restarts);
    if (group->recent[0] != 0)
        xo_rec_text(rec, "recent", group->recent);
    xo_rec_int(rec, "intensity", policy->intensity);
    xo_rec_int(rec, "period_ms", policy->period_ns / XO_MS);
    xo_rec_int(rec, "backoff_ms", policy->backoff_ns / XO_MS);
    xo_rec_int(rec, "backoff_max_ms", policy->backoff_max_ns / XO_MS);
    if (group->failed_since > 0)
        xo_rec_int(rec, "failed_since", group->failed_since);
    if (group->state != XO_GROUP_RUNNING && group->reason[0] != 0)
        xo_rec_text(rec, "reason", group->reason);
}

void xo_groups_awaited(const xo_broker_t *broker, char *text, size_t size)
{
    const xo_group_t *group;
    char uid[XO_NAME_SHOWN_BYTES];
    size_t used = 0;
    text[0] = 0;
    DL_FOREACH(broker->groups, group)
    {
        if (group->stepping == NULL || group->stepping->phase != XO_SEAT_STOP || used >= size)
            continue;
        xo_member_show_name(xo_actor_entry_uid(group->stepping->entry), uid);
        used += (size_t)snprintf(text + used, size - used, "%sactor \"%s\" of group '%s'",
                                 used > 0 ? ", " : "", uid, group->name);
    }
}
