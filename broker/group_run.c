/* group_run.c - one step after the other, until all in a group is as it should be.
 *
 * A step is a request to an actor's pool. Its answer only says that the next one may be taken; that
 * an actor runs, has ended or is gone is told by its pool and by the end of its process, as ever.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "broker/broker_impl.h"

/* When what could not be begun is tried once more. */
#define LOOK_AGAIN_NS (100 * XO_MS)

/* What an answer belongs to. */
typedef struct xo_step {
    xo_broker_t *broker;
    uint64_t number;
} xo_step_t;

/* ---- steps ---- */

xo_seat_t *xo_group_step(const xo_broker_t *broker, uint64_t step)
{
    xo_group_t *group = broker->groups;
    while (group != NULL && group->step != step)
        group = group->next;
    return group ? group->stepping : NULL;
}

/* To all pools, or one of them: what this seat's actor calls while it ends, or what its creation
 * causes, waits for no member that is down. NULL: nobody has a turn any more. */
static void tell_turn(xo_group_t *group, const xo_seat_t *seat, const xo_member_t *to)
{
    xo_rec_t rec = {0};
    char trace[XO_AGAIN_BYTES];
    if (seat == NULL && !group->turn)
        return;
    group->turn = seat != NULL;
    xo_broker_t *broker = group->broker;
    xo_again_format(group->mark, trace);
    xo_rec_text(&rec, "group", group->name);
    if (seat != NULL && group->mark > 0) {
        xo_rec_text(&rec, "trace", trace);
    } else if (seat != NULL) {
        xo_rec_bytes(&rec, "uid", xo_actor_entry_uid(seat->entry));
        xo_rec_endpoint(&rec, "endpoint", seat->entry->member->endpoint);
    }
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m)) {
        if (m->link != NULL && (to == NULL || to == m))
            xo_broker_send_event(broker, m->link, "group.turn", &rec);
    }
}

void xo_groups_tell_turns(const xo_broker_t *broker, const xo_member_t *to)
{
    xo_group_t *group;
    DL_FOREACH(broker->groups, group)
    {
        if (group->stepping != NULL)
            tell_turn(group, group->stepping, to);
    }
}

static uint64_t begin_step(xo_seat_t *seat, uint64_t mark)
{
    seat->group->mark = mark;
    tell_turn(seat->group, seat, NULL);
    seat->group->stepping = seat;
    seat->group->step = ++seat->group->broker->steps;
    return seat->group->step;
}

void xo_group_end_step(xo_seat_t *seat)
{
    xo_group_t *group = seat->group;
    if (group->stepping != seat)
        return;
    group->stepping = NULL;
    group->step = 0;
    group->creation = NULL;
    group->awaits_link = false;
    xo_timer_stop(&group->limit);
    xo_group_wake(group);
}

void xo_group_cancel_creation(xo_group_t *group)
{
    if (group->creation != NULL)
        xo_broker_cancel_seat(group->creation, false);
}

void xo_group_cut_creation(xo_group_t *group)
{
    if (group->creation == NULL || xo_timer_active(&group->limit))
        return;
    xo_broker_cancel_seat(group->creation, true);
    xo_timer_start(&group->limit, xo_actor_spec_shutdown_ms(group->stepping->entry->spec) * XO_MS);
}

void xo_group_try_later(xo_seat_t *seat, int64_t delay_ns)
{
    xo_group_end_step(seat);
    if (!xo_timer_active(&seat->group->pause))
        xo_timer_start(&seat->group->pause, delay_ns > 0 ? delay_ns : LOOK_AGAIN_NS);
}

void xo_groups_hurry(xo_broker_t *broker, const xo_member_t *member)
{
    xo_group_t *group;
    xo_seat_t *seat;
    DL_FOREACH(broker->groups, group)
    DL_FOREACH(group->seats, seat)
    {
        if (seat->entry == NULL || !xo_depends_is_for(seat->entry, member))
            continue;
        xo_timer_stop(&group->pause);
        xo_group_wake(group);
    }
}

void xo_group_wake(xo_group_t *group)
{
    xo_defer_start(&group->wake);
}

void xo_groups_wake_pool(const xo_member_t *member)
{
    for (const xo_actor_entry_t *entry = member->entries; entry != NULL; entry = entry->next) {
        xo_seat_t *seat = entry->seat;
        if (seat != NULL && seat->group->awaits_link && member->link != NULL)
            xo_group_end_step(seat);
        if (seat != NULL)
            xo_group_wake(seat->group);
    }
}

/* ---- stopping ---- */

#define STOP_FLAGS (XO_SEND_QUEUE | XO_SEND_THERE) /* members do not move */

static xo_msg_t *stop_msg(const xo_seat_t *seat)
{
    bool ends = seat->group->state == XO_GROUP_STOPPING;
    bool again = xo_seat_comes_back(seat) && seat->group->state != XO_GROUP_FAILED;
    xo_header_t header = {.kind = XO_DESTROY,
                          .flags = again ? XO_F_AGAIN : 0,
                          .target_uid = xo_actor_entry_uid(seat->entry),
                          .method = xo_slice_str(ends ? XO_GROUP_ENDS : XO_GROUP_STOPS)};
    return xo_msg_create(&header, xo_slice(NULL, 0));
}

/* Nobody can end its process, and the request that was late is not under way any more: this one
 * ends the actor whenever that can be. */
static void leave_stuck(xo_seat_t *seat)
{
    const xo_member_t *member = seat->entry->member;
    xo_msg_t *msg = member->link ? stop_msg(seat) : NULL;
    if (msg != NULL)
        xo_endpoint_call(seat->group->broker->endpoint, member->link, &msg, STOP_FLAGS, 0, NULL,
                         NULL, NULL);
    xo_msg_destroy(&msg);
    xo_seat_is_stuck(seat);
}

static void on_limit(xo_timer_t *timer, void *arg)
{
    char cause[XO_ERROR_TEXT_BYTES];
    xo_group_t *group = arg;
    xo_seat_t *seat = group->stepping;
    (void)timer;
    if (seat == NULL || seat->phase != XO_SEAT_STOP)
        return;
    if (seat->entry->member->run == NULL) {
        leave_stuck(seat);
        return;
    }
    xo_slice_t uid = xo_actor_entry_uid(seat->entry);
    snprintf(cause, sizeof(cause), "signal 9 (Killed): actor \"%.*s\" did not stop in time",
             (int)uid.size, uid.data);
    xo_supervisor_kill(seat->entry->member, cause); /* its end ends the step */
}

/* That it ended has been told before. If nobody knows, time is up. */
static void on_stopped(xo_call_t *call, xo_msg_t **msg, void *arg)
{
    xo_failure_t failure = {.code = {NULL, 0}};
    xo_step_t step = *(xo_step_t *)arg;
    (void)call;
    free(arg);
    xo_seat_t *seat = xo_group_step(step.broker, step.number);
    if (seat == NULL)
        return;
    if (*msg != NULL && xo_msg_header(*msg)->kind == XO_ERROR)
        xo_failure_read(xo_msg_body(*msg), &failure);
    if (xo_slice_eq_str(failure.code, XO_CODE_SERVER_CLOSED))
        xo_group_try_later(seat, 0);
    else if (xo_slice_eq_str(failure.code, XO_CODE_ACTOR_NOT_EXIST))
        xo_broker_actor_down(step.broker, seat->entry, "it was not there any more");
    else
        xo_timer_start(&seat->group->limit, step.broker->options.heartbeat_ms * XO_MS);
}

static int request_stop(xo_seat_t *seat)
{
    xo_broker_t *broker = seat->group->broker;
    xo_actor_entry_t *entry = seat->entry;
    xo_step_t *step = malloc(sizeof(*step));
    xo_msg_t *msg = step ? stop_msg(seat) : NULL;
    if (step != NULL)
        *step = (xo_step_t){broker, begin_step(seat, 0)};
    if (msg != NULL && xo_endpoint_call(broker->endpoint, entry->member->link, &msg, STOP_FLAGS,
                                        xo_actor_spec_shutdown_ms(entry->spec) * XO_MS, on_stopped,
                                        step, NULL) != NULL)
        return 0;
    xo_msg_destroy(&msg);
    free(step);
    return -1;
}

/* A pool that is busy links again, and says what is there, when it can: it has the time that the
 * actor would have. What this node has not started has a limit of its own. */
static void wait_for_link(xo_seat_t *seat)
{
    begin_step(seat, 0);
    seat->group->awaits_link = true;
    if (seat->entry->member->run != NULL)
        xo_timer_start(&seat->group->limit, xo_actor_spec_shutdown_ms(seat->entry->spec) * XO_MS);
}

/* Its pool has yet to say which of its actors are there. */
static bool is_unknown(const xo_member_t *member)
{
    return member->recovery != NULL && !member->away;
}

/* True: it is down, and the seat may be gone. */
static bool stop_actor(xo_seat_t *seat)
{
    const xo_member_t *member = seat->entry->member;
    if (!is_unknown(member) && seat->entry->state != XO_ACTOR_RUNNING) {
        xo_seat_is_down(seat);
        return true;
    }
    if (is_unknown(member) || member->link == NULL)
        wait_for_link(seat);
    else if (request_stop(seat) < 0)
        xo_group_try_later(seat, 0);
    return false;
}

static bool stop_group(xo_seat_t *seat)
{
    xo_seat_t *below;
    xo_group_t *child = seat->child;
    bool down = child->step == 0 && child->state != XO_GROUP_STOPPING;
    DL_FOREACH(child->seats, below)
    {
        xo_seat_mark(below);
        down = down && below->phase == XO_SEAT_DOWN;
    }
    if (down)
        seat->phase = XO_SEAT_DOWN;
    else
        xo_group_wake(child);
    return down;
}

static xo_seat_t *last_to_stop(const xo_group_t *group)
{
    xo_seat_t *seat, *last = NULL;
    DL_FOREACH(group->seats, seat)
    {
        if (seat->phase == XO_SEAT_STOP)
            last = seat;
    }
    return last;
}

/* True: none is left. */
static bool stop_some(xo_group_t *group)
{
    xo_seat_t *seat;
    while ((seat = last_to_stop(group)) != NULL) {
        if (seat->child != NULL ? !stop_group(seat) : !stop_actor(seat))
            return false;
    }
    return true;
}

/* Whom something above stops waits until those behind it have ended. */
static bool has_turn(const xo_group_t *group)
{
    const xo_seat_t *seat = group->seat;
    while (seat != NULL && (seat->phase != XO_SEAT_STOP || last_to_stop(seat->group) == seat))
        seat = seat->group->seat;
    return seat == NULL;
}

/* ---- starting ---- */

/* True: it is up. */
static bool start_actor(xo_seat_t *seat)
{
    const xo_member_t *member = seat->entry->member;
    if (seat->entry->state == XO_ACTOR_RUNNING) {
        seat->phase = XO_SEAT_UP;
        return true;
    }
    if (member->link == NULL || is_unknown(member) || member->state == XO_POOL_STARTING ||
        member->state == XO_POOL_STOPPING)
        return false;
    uint64_t mark = xo_random_id() | 1; /* not 0 */
    uint64_t step = begin_step(seat, mark);
    seat->group->creation = xo_broker_create_seat(seat->group->broker, seat->entry, step, mark);
    if (seat->group->creation == NULL)
        xo_group_try_later(seat, 0);
    return false;
}

static bool is_up(const xo_group_t *group)
{
    const xo_seat_t *seat;
    DL_FOREACH(group->seats, seat)
    {
        if (seat->phase != XO_SEAT_UP)
            return false;
    }
    return true;
}

static bool start_group(xo_seat_t *seat)
{
    xo_group_t *child = seat->child;
    bool begun = !child->held;
    if (begun && is_up(child)) {
        seat->phase = XO_SEAT_UP;
        return true;
    }
    if (!begun)
        xo_group_forget(child);
    child->held = false;
    xo_group_wake(child);
    return false;
}

/* True: all are up. */
static bool start_some(xo_group_t *group)
{
    xo_seat_t *seat;
    DL_FOREACH(group->seats, seat)
    {
        if (seat->phase == XO_SEAT_UP)
            continue;
        if (seat->child != NULL ? !start_group(seat) : !start_actor(seat))
            return false;
    }
    return true;
}

static void settle(xo_group_t *group)
{
    if (group->state == XO_GROUP_RESTARTING) {
        xo_group_set_state(group, XO_GROUP_RUNNING, "");
        tell_turn(group, NULL, NULL);
        xo_group_note(group, XO_LOG_INFO, "group.up", NULL);
        xo_group_answer(group, NULL);
    }
    if (group->seat != NULL && group->seat->phase == XO_SEAT_DOWN)
        xo_group_wake(group->seat->group);
}

/* ---- one step after the other ---- */

static void go_on(xo_defer_t *defer, void *arg)
{
    xo_group_t *group = arg;
    (void)defer;
    if (group->step != 0 || !has_turn(group) || !stop_some(group))
        return;
    if (group->state == XO_GROUP_STOPPING) {
        xo_group_note(group, XO_LOG_INFO, "group.stopped", NULL);
        xo_publish_remove_group(group->broker->publish, group);
        tell_turn(group, NULL, NULL);
        xo_group_answer(group, NULL);
        xo_broker_t *broker = group->broker;
        xo_group_destroy(group);
        if (broker->groups == NULL)
            xo_broker_groups_gone(broker);
    } else if (xo_group_is_held(group) || group->state == XO_GROUP_FAILED) {
        tell_turn(group, NULL, NULL);
        if (group->seat != NULL)
            xo_group_wake(group->seat->group);
    } else if (!xo_timer_active(&group->pause) && start_some(group)) {
        settle(group);
    }
}

static void on_pause(xo_timer_t *timer, void *arg)
{
    (void)timer;
    xo_group_wake(arg);
}

void xo_group_init_run(xo_group_t *group)
{
    xo_timer_init(&group->pause, group->broker->loop, on_pause, group);
    xo_timer_init(&group->limit, group->broker->loop, on_limit, group);
    xo_defer_init(&group->wake, group->broker->loop, go_on, group);
}

void xo_group_end_run(xo_group_t *group)
{
    xo_timer_stop(&group->pause);
    xo_timer_stop(&group->limit);
    xo_defer_stop(&group->wake);
}
