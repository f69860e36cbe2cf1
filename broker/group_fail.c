/* group_fail.c - what follows when a member of a group fails, and what somebody wants of a group:
 * which seats are to be stopped, and which to be started.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "broker/broker_impl.h"

#define COMPONENT "groups"

/* ---- telling ---- */

void xo_group_note(const xo_group_t *group, xo_log_level_t level, const char *type,
                   const char *reason)
{
    xo_rec_t rec = {0};
    xo_broker_t *broker = group->broker;
    xo_log(broker->options.log, level, COMPONENT, "%s '%s'%s%s", type, group->name,
           reason ? ": " : "", reason ? reason : "");
    xo_group_record(group, &rec);
    if (reason != NULL)
        xo_rec_set_text(&rec, "reason", reason);
    xo_publish_event(broker->publish, type, &rec);
    xo_broker_event_written(broker);
}

void xo_group_set_state(xo_group_t *group, xo_group_state_t state, const char *reason)
{
    bool fails = state == XO_GROUP_FAILED;
    group->state = state;
    group->failed_since = fails ? time(NULL) : 0;
    snprintf(group->reason, sizeof(group->reason), "%s", reason);
    xo_publish_group(group->broker->publish, group);
}

/* To who waits for it. `why` NULL: it is up, or gone, as wanted. */
void xo_group_answer(xo_group_t *group, const char *why)
{
    xo_ask_t *ask = xo_ask_take(&group->ask);
    if (ask == NULL)
        return;
    if (why == NULL)
        xo_ask_reply(ask, "n");
    else
        xo_broker_refuse(ask, "group '%s': %s", group->name, why);
}

/* ---- what has failed, and what follows ---- */

/* Somebody above wants it down. */
bool xo_group_is_held(const xo_group_t *group)
{
    while (group != NULL && !group->held)
        group = group->seat ? group->seat->group : NULL;
    return group != NULL;
}

/* It is to be stopped, and what is begun in it does not go on. */
void xo_seat_mark(xo_seat_t *seat)
{
    xo_group_t *child = seat->child;
    bool begun = child ? !child->held : seat->group->stepping == seat;
    if (child == NULL && begun && seat->phase == XO_SEAT_DOWN)
        xo_group_cancel_creation(seat->group);
    if (seat->phase == XO_SEAT_UP || begun)
        seat->phase = XO_SEAT_STOP;
    if (child == NULL)
        return;
    child->held = true;
    xo_timer_stop(&child->pause);
    if (child->state == XO_GROUP_RUNNING)
        xo_group_set_state(child, XO_GROUP_RESTARTING, "its parent is restarted");
}

static void begin_restart(xo_group_t *group, int64_t delay_ns, const char *reason)
{
    xo_seat_t *seat, *first = group->seats;
    while (first != NULL && !first->failed)
        first = first->next;
    DL_FOREACH(group->seats, seat)
    {
        if (first != NULL && !seat->failed &&
            xo_strategy_takes(group->strategy, first->order, seat->order))
            xo_seat_mark(seat);
    }
    DL_FOREACH(group->seats, seat)
    {
        seat->failed = false;
    }
    group->restarts++;
    xo_group_set_state(group, XO_GROUP_RESTARTING, reason);
    xo_group_note(group, XO_LOG_WARN, "group.restart", reason);
    if (delay_ns > 0)
        xo_timer_start(&group->pause, delay_ns);
    xo_group_wake(group);
}

static void decide(xo_group_t *group, xo_end_t end, const char *reason);

static void escalate(xo_group_t *group, const char *reason)
{
    xo_seat_t *seat;
    char why[XO_ERROR_TEXT_BYTES], text[XO_ERROR_TEXT_BYTES];
    xo_policy_explain(&group->policy, reason, why, sizeof(why));
    DL_FOREACH(group->seats, seat)
    {
        seat->failed = false;
    }
    if (group->seat == NULL) {
        xo_group_fail(group, why);
        return;
    }
    xo_group_note(group, XO_LOG_WARN, "group.escalated", why);
    snprintf(text, sizeof(text), "group '%s' has failed: %.384s", group->name, why);
    xo_seat_mark(group->seat);
    group->seat->failed = !xo_group_is_held(group->seat->group);
    if (group->seat->failed)
        decide(group->seat->group, XO_END_FAILED, text);
}

void xo_group_remember(xo_group_t *group, xo_slice_t recent)
{
    snprintf(group->recent, sizeof(group->recent), "%.*s", (int)recent.size,
             recent.size > 0 ? recent.data : "");
    xo_policy_read(&group->policy, &group->history, xo_loop_now(group->broker->loop), xo_unix_ms(),
                   group->recent);
}

void xo_group_forget(xo_group_t *group)
{
    group->history = (xo_policy_state_t){0};
    group->recent[0] = 0;
}

/* It tries since then to have its members again. */
static void leave_out_restart(xo_group_t *group, int64_t now_ns)
{
    if (group->state == XO_GROUP_RESTARTING && group->decided_ns > 0)
        xo_policy_leave_out(&group->history, now_ns - group->decided_ns);
    group->decided_ns = now_ns;
}

static void decide(xo_group_t *group, xo_end_t end, const char *reason)
{
    int64_t now = xo_loop_now(group->broker->loop);
    leave_out_restart(group, now);
    xo_decision_t decision =
        xo_policy_ended(&group->policy, &group->history, end, now, (uint32_t)xo_random_id());
    xo_policy_write(&group->policy, &group->history, now, xo_unix_ms(), group->recent);
    if (decision.action == XO_DECIDE_RESTART)
        begin_restart(group, decision.delay_ns, reason);
    else
        escalate(group, reason);
}

void xo_groups_decide(xo_broker_t *broker, xo_end_t end, const char *reason)
{
    xo_group_t *group;
    DL_FOREACH(broker->groups, group)
    {
        xo_seat_t *seat = group->seats;
        while (seat != NULL && !seat->failed)
            seat = seat->next;
        if (seat != NULL && !xo_group_is_held(group))
            decide(group, end, reason);
    }
}

static void fail_one(xo_seat_t *seat, const char *reason)
{
    xo_actor_entry_t *entry = seat->entry;
    seat->failed = false;
    xo_seat_mark(seat);
    if (seat->phase == XO_SEAT_DOWN && entry != NULL && entry->state != XO_ACTOR_FAILED)
        xo_broker_give_up(seat->group->broker, entry, reason, xo_slice(NULL, 0));
}

static void fail_tree(xo_group_t *group, const char *reason)
{
    xo_seat_t *seat;
    xo_group_set_state(group, XO_GROUP_FAILED, reason);
    xo_timer_stop(&group->pause);
    DL_FOREACH(group->seats, seat)
    {
        if (seat->child != NULL)
            fail_tree(seat->child, reason);
        fail_one(seat, reason);
    }
    xo_group_note(group, XO_LOG_ERROR, "group.failed", reason);
}

void xo_group_fail(xo_group_t *group, const char *reason)
{
    xo_group_t *root = xo_group_root(group);
    if (root->state == XO_GROUP_FAILED || root->state == XO_GROUP_STOPPING)
        return;
    fail_tree(root, reason);
    xo_group_answer(root, reason);
    xo_group_wake(root);
}

/* ---- what happened to an actor ---- */

static void leave_for_good(xo_broker_t *broker, xo_actor_entry_t *entry)
{
    xo_broker_say_gone(broker, entry->member, xo_actor_entry_uid(entry), XO_GROUP_ENDS);
    xo_broker_actor_down(broker, entry, XO_GROUP_ENDS);
}

/* It does not run. The seat may be gone afterwards. */
void xo_seat_is_down(xo_seat_t *seat)
{
    xo_group_t *group = seat->group;
    xo_group_end_step(seat);
    seat->phase = XO_SEAT_DOWN;
    xo_group_wake(group);
    if (group->state == XO_GROUP_FAILED && seat->entry->state != XO_ACTOR_FAILED)
        xo_broker_give_up(group->broker, seat->entry, group->reason, xo_slice(NULL, 0));
    else if (group->state == XO_GROUP_STOPPING)
        leave_for_good(group->broker, seat->entry);
}

void xo_seat_is_up(xo_seat_t *seat)
{
    const xo_group_t *group = seat->group;
    bool wanted = !xo_group_is_held(group) && group->state != XO_GROUP_FAILED;
    if (seat->phase == XO_SEAT_DOWN)
        seat->phase = wanted ? XO_SEAT_UP : XO_SEAT_STOP;
    xo_group_wake(seat->group);
}

bool xo_seat_comes_back(const xo_seat_t *seat)
{
    const xo_policy_t *policy = xo_actor_spec_policy(seat->entry->spec);
    return policy->restart != XO_RESTART_TEMPORARY && seat->group->state != XO_GROUP_STOPPING;
}

bool xo_seat_was_stopped(const xo_seat_t *seat, xo_slice_t reason)
{
    return seat->phase == XO_SEAT_STOP && xo_seat_comes_back(seat) &&
           xo_slice_eq_str(reason, XO_GROUP_STOPS);
}

bool xo_seat_was_stuck(const xo_seat_t *seat, xo_slice_t reason)
{
    return seat->phase == XO_SEAT_DOWN && seat->entry->state != XO_ACTOR_RUNNING &&
           xo_slice_eq_str(reason, XO_GROUP_STOPS);
}

void xo_seat_is_stuck(xo_seat_t *seat)
{
    char why[XO_ERROR_TEXT_BYTES];
    xo_group_t *group = seat->group;
    xo_broker_t *broker = group->broker;
    xo_slice_t uid = xo_actor_entry_uid(seat->entry);
    bool comes_back = xo_seat_comes_back(seat);
    snprintf(why, sizeof(why),
             "actor \"%.*s\" did not stop in time, and its process, %d, is not the node's to end",
             (int)uid.size, uid.data, (int)seat->entry->member->pid);
    xo_log(broker->options.log, XO_LOG_ERROR, COMPONENT, "group '%s': %s", group->name, why);
    xo_group_end_step(seat);
    if (!comes_back) {
        xo_broker_actor_down(broker, seat->entry, why);
        return;
    }
    seat->phase = XO_SEAT_DOWN;
    xo_broker_give_up(broker, seat->entry, why, xo_slice(NULL, 0));
    xo_group_fail(group, why);
    xo_group_wake(group);
}

void xo_seat_is_lost(xo_seat_t *seat)
{
    bool expected = seat->phase == XO_SEAT_STOP ||
                    (seat->phase == XO_SEAT_DOWN && seat->group->stepping != seat);
    bool alive =
        seat->group->state == XO_GROUP_RUNNING || seat->group->state == XO_GROUP_RESTARTING;
    seat->failed = !expected && alive && !xo_group_is_held(seat->group);
    xo_seat_is_down(seat);
}

void xo_group_start_failed(xo_seat_t *seat, const char *reason)
{
    xo_group_t *group = seat->group;
    bool wanted = seat->phase == XO_SEAT_DOWN && !xo_group_is_held(group);
    xo_group_end_step(seat);
    if (!wanted) {
        xo_seat_is_down(seat);
        return;
    }
    seat->failed = true;
    decide(group, XO_END_FAILED, reason);
}

/* ---- what somebody wants of it ---- */

void xo_group_created(xo_group_t *group)
{
    xo_publish_group(group->broker->publish, group);
    xo_group_note(group, XO_LOG_INFO, "group.up", NULL);
}

void xo_group_revive(xo_group_t *group)
{
    xo_seat_t *seat;
    xo_group_forget(group);
    xo_group_set_state(group, XO_GROUP_RESTARTING, "revived");
    group->held = group->seat != NULL;
    DL_FOREACH(group->seats, seat)
    {
        if (seat->child != NULL)
            xo_group_revive(seat->child);
        else if (seat->entry->state == XO_ACTOR_FAILED) {
            seat->entry->state = XO_ACTOR_RECOVERING;
            xo_broker_say_waiting(group->broker, seat->entry);
            xo_publish_actor(group->broker->publish, seat->entry);
        }
        if (seat->phase != XO_SEAT_STOP)
            seat->phase = XO_SEAT_DOWN;
    }
    xo_group_wake(group);
}

void xo_group_stop(xo_group_t *group)
{
    xo_seat_t *seat;
    xo_group_set_state(group, XO_GROUP_STOPPING, "");
    xo_timer_stop(&group->pause);
    DL_FOREACH(group->seats, seat)
    {
        seat->failed = false;
        seat->phase = XO_SEAT_STOP;
        if (seat->child != NULL)
            xo_group_stop(seat->child);
    }
    xo_group_cut_creation(group);
    xo_group_wake(group);
}

void xo_groups_stop(xo_broker_t *broker)
{
    xo_group_t *group;
    DL_FOREACH(broker->groups, group)
    {
        if (group->seat == NULL && group->state != XO_GROUP_STOPPING)
            xo_group_stop(group);
    }
}
