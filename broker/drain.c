/* drain.c - node.drain: a node that is to leave takes no new actors, and ends those that it has.
 *
 * Groups stop in their order first; then each other actor is destroyed in its turn, when what was
 * sent to it before has been handled, and those that may move are other nodes' then. Nothing is
 * killed: who waits for it says for how long. A file in the node's directory says that it is being
 * drained, for the next broker, should this one be killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "broker/broker_impl.h"

#define COMPONENT "drain"

static const char why_ends[] = "its node is being drained";

/* Somebody who waits until no actor is left. */
struct xo_drain_wait {
    xo_broker_t *broker;
    xo_ask_t *ask;
    xo_drain_wait_t *prev, *next;
};

bool xo_drain_refuses(const xo_broker_t *broker, xo_ask_t *ask)
{
    if (broker->drain == XO_DRAIN_NOT)
        return false;
    xo_ask_fail(ask, XO_CODE_SERVER_CLOSED, "node %016llx takes no new pools or actors: %s",
                (unsigned long long)broker->options.node_id, why_ends);
    return true;
}

/* ---- the end ---- */

static void let_go(xo_ask_t *ask, void *arg)
{
    xo_drain_wait_t *wait = arg;
    (void)ask;
    DL_DELETE(wait->broker->drain_waits, wait);
    free(wait);
}

static void answer_all(xo_broker_t *broker)
{
    while (broker->drain_waits != NULL) {
        xo_drain_wait_t *wait = broker->drain_waits;
        xo_ask_t *ask = xo_ask_take(&wait->ask);
        let_go(ask, wait);
        xo_ask_reply(ask, "n");
    }
}

static void finish(xo_broker_t *broker)
{
    broker->drain = XO_DRAIN_DONE;
    xo_broker_note_node(broker, "node.drained", NULL);
    xo_broker_publish_node(broker);
    answer_all(broker);
}

/* ---- ending actors ---- */

static void on_destroyed(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    xo_broker_t *broker = arg;
    (void)call, (void)answer; /* "actor.down" has told */
    broker->drain_ending--;
    xo_drain_go_on(broker);
}

static void destroy(xo_broker_t *broker, xo_actor_entry_t *entry)
{
    xo_header_t header = {.kind = XO_DESTROY,
                          .target_uid = xo_actor_entry_uid(entry),
                          .incarnation = entry->incarnation,
                          .method = xo_slice_str(why_ends)};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    bool sent =
        msg != NULL && xo_endpoint_call(broker->endpoint, entry->member->link, &msg, XO_SEND_QUEUE,
                                        0, on_destroyed, broker, NULL) != NULL;
    xo_msg_destroy(&msg);
    entry->ending = sent; /* else the next tick tries again */
    broker->drain_ending += sent;
}

/* One that is being created again has its turn when it is there. */
static void end_actor(xo_broker_t *broker, xo_actor_entry_t *entry)
{
    bool moves = xo_leave_may(broker, entry);
    bool may_move = xo_publish_is_shared(broker->publish) && xo_broker_awaits_spec(broker, entry);
    if (may_move || (moves && !xo_leave_may_now(broker, entry)))
        return; /* when the registry is back, and has said what creates it */
    if (moves && entry->state == XO_ACTOR_FAILED)
        xo_leave_actor(broker, entry, why_ends);
    else if (entry->state == XO_ACTOR_FAILED)
        xo_broker_actor_down(broker, entry, why_ends);
    else if (entry->state == XO_ACTOR_RUNNING && !entry->ending && entry->member->link != NULL)
        destroy(broker, entry);
}

void xo_drain_go_on(xo_broker_t *broker)
{
    bool ends = broker->stopping || broker->publish == NULL;
    if (broker->drain != XO_DRAIN_UNDER_WAY || broker->groups != NULL || ends || broker->reloading)
        return;
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m)) {
        for (xo_actor_entry_t *entry = m->entries, *next; entry != NULL; entry = next) {
            next = entry->next;
            end_actor(broker, entry);
        }
    }
    /* Pools that a last broker left may still name some. */
    if (broker->directory.count == 0 && broker->drain_ending == 0 &&
        broker->insists_actors == NULL && /* they are to be had */
        !xo_timer_active(&broker->reconcile))
        finish(broker);
}

/* ---- the beginning ---- */

void xo_drain_tell_pool(xo_broker_t *broker, const xo_member_t *member)
{
    static const xo_rec_t nothing = {0};
    if (broker->drain != XO_DRAIN_NOT && member->link != NULL)
        xo_broker_send_event(broker, member->link, "drain", &nothing);
}

static bool name_mark(const xo_broker_t *broker, char path[XO_PATH_BYTES])
{
    return broker->options.dir != NULL &&
           snprintf(path, XO_PATH_BYTES, "%s/draining", broker->options.dir) < XO_PATH_BYTES;
}

static void leave_mark(const xo_broker_t *broker)
{
    char path[XO_PATH_BYTES];
    int fd = name_mark(broker, path) ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0)
        close(fd);
    else if (broker->options.dir != NULL)
        xo_log(broker->options.log, XO_LOG_WARN, COMPONENT,
               "%s/draining: %s: a broker that follows this one would not go on draining",
               broker->options.dir, strerror(errno));
}

void xo_drain_find(xo_broker_t *broker)
{
    char path[XO_PATH_BYTES];
    if (name_mark(broker, path) && access(path, F_OK) == 0)
        broker->drain = XO_DRAIN_UNDER_WAY;
}

void xo_drain_take_over(xo_broker_t *broker)
{
    if (broker->drain == XO_DRAIN_NOT)
        return;
    xo_log(broker->options.log, XO_LOG_INFO, COMPONENT, "it goes on being drained");
    xo_groups_stop(broker);
}

static void begin(xo_broker_t *broker)
{
    broker->drain = XO_DRAIN_UNDER_WAY;
    leave_mark(broker);
    xo_broker_note_node(broker, "node.draining", NULL);
    xo_broker_publish_node(broker);
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m))
        xo_drain_tell_pool(broker, m);
    xo_groups_stop(broker);
    xo_drain_go_on(broker);
}

void xo_broker_node_drain(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    (void)args;
    xo_drain_wait_t *wait = calloc(1, sizeof(*wait));
    if (wait == NULL || broker->stopping) {
        xo_broker_refuse(ask, wait ? "the node is stopping" : "out of memory");
        free(wait);
        return;
    }
    *wait = (xo_drain_wait_t){.broker = broker, .ask = ask};
    DL_APPEND(broker->drain_waits, wait);
    xo_ask_on_stop(ask, let_go, wait);
    if (broker->drain == XO_DRAIN_NOT)
        begin(broker);
    else if (broker->drain == XO_DRAIN_DONE)
        answer_all(broker);
}
