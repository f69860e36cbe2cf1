/* group_reload.c - the groups that the registry knows of this node, for a broker that takes over.
 *
 * Their members' phases are in no record: when the pools have said which actors are there, a seat
 * whose actor is not there has been lost, and its group restarts whom its strategy names, as after
 * any other loss.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "broker/broker_impl.h"

static const char *text_of(const xo_record_t *record, const char *name, char *text, size_t size)
{
    xo_slice_t value = xo_rec_find(record, name);
    snprintf(text, size, "%.*s", (int)value.size, value.size > 0 ? value.data : "");
    return text;
}

static int64_t number_of(const xo_record_t *record, const char *name)
{
    char text[24];
    return strtoll(text_of(record, name, text, sizeof(text)), NULL, 10);
}

static void take_policy(xo_policy_t *policy, const xo_record_t *record)
{
    int64_t intensity = number_of(record, "intensity");
    policy->intensity =
        intensity > XO_INTENSITY_MAX || intensity < 0 ? XO_INTENSITY_MAX : (unsigned)intensity;
    policy->period_ns = number_of(record, "period_ms") * XO_MS;
    policy->backoff_ns = number_of(record, "backoff_ms") * XO_MS;
    policy->backoff_max_ns = number_of(record, "backoff_max_ms") * XO_MS;
}

static void take(xo_broker_t *broker, const xo_record_t *record)
{
    char text[32];
    xo_group_t *group = xo_group_create(broker, xo_rec_find(record, "name"), NULL);
    if (group == NULL)
        return;
    xo_strategy_parse(text_of(record, "strategy", text, sizeof(text)), &group->strategy, NULL);
    take_policy(&group->policy, record);
    xo_group_remember(group, xo_rec_find(record, "recent"));
    group->restarts = (uint64_t)number_of(record, "restarts");
    group->failed_since = number_of(record, "failed_since");
    text_of(record, "reason", group->reason, sizeof(group->reason));
    text_of(record, "state", text, sizeof(text));
    if (group->failed_since > 0)
        group->state = XO_GROUP_FAILED;
    else if (strcmp(text, xo_group_state_name(XO_GROUP_STOPPING)) == 0)
        group->state = XO_GROUP_STOPPING;
    else if (strcmp(text, xo_group_state_name(XO_GROUP_RESTARTING)) == 0)
        group->state = XO_GROUP_RESTARTING;
}

static bool is_ours(const xo_broker_t *broker, const xo_record_t *record)
{
    char own[XO_ID_TEXT_BYTES];
    xo_id_format(broker->options.node_id, own);
    return xo_slice_eq_str(xo_rec_find(record, "node"), own);
}

void xo_groups_reload(xo_broker_t *broker, const xo_record_t *records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_ours(broker, &records[i]))
            take(broker, &records[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_ours(broker, &records[i]))
            continue;
        xo_group_t *group = xo_group_find(broker, xo_rec_find(&records[i], "name"));
        xo_group_t *parent = xo_group_find(broker, xo_rec_find(&records[i], "parent"));
        if (group != NULL && parent != NULL && group->seat == NULL)
            xo_group_attach(group, parent, (uint64_t)number_of(&records[i], "order"));
    }
}

/* It was the parent's restart, or may have been: that begins with it anew. */
static bool is_parents(const xo_group_t *group)
{
    return group->state == XO_GROUP_RESTARTING && group->seat != NULL &&
           group->seat->group->state == XO_GROUP_RESTARTING;
}

/* What it was given up with stays so; what was left of it is stopped after all. */
static void go_on_failing(xo_group_t *group)
{
    xo_seat_t *seat;
    group->held = group->seat != NULL;
    DL_FOREACH(group->seats, seat)
    {
        bool failed = seat->entry != NULL && seat->entry->state == XO_ACTOR_FAILED;
        seat->phase = failed ? XO_SEAT_DOWN : XO_SEAT_STOP;
    }
    xo_group_wake(group);
}

void xo_groups_reloaded(xo_broker_t *broker)
{
    xo_group_t *group, *next;
    DL_FOREACH_SAFE(broker->groups, group, next)
    {
        if (group->state == XO_GROUP_FAILED)
            go_on_failing(group);
        else if (group->state == XO_GROUP_STOPPING)
            xo_group_stop(group);
        else if (is_parents(group))
            xo_seat_mark(group->seat);
    }
}
