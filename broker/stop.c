/* stop.c - how a node stops: its groups first, in their order; then its pools; then it leaves the
 * registry.
 *
 * Groups have as long as their members' own limits say, but options.stop_ms at most. Until they
 * have ended the node is what it was, with its leases, but starts nothing any more.
 */
#include <stdio.h>
#include <string.h>

#include "broker/broker_impl.h"

#define COMPONENT "node"
/* Of groups, and then of the pools, once nobody is left to wait for them (contract 15). */
#define SOON_MS (XO_STOP_MS / 2)

/* ---- the end ---- */

/* A registry of our own ends with us. */
static void leave_registry(xo_broker_t *broker)
{
    if (!xo_publish_is_shared(broker->publish))
        return;
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m)) {
        while (m->entries != NULL)
            xo_broker_actor_down(broker, m->entries, "its node has stopped");
        xo_publish_remove(broker->publish, XO_REG_POOL, m->id);
        xo_doors_remove(broker, m);
    }
    for (xo_group_t *group = broker->groups; group != NULL; group = group->next)
        xo_publish_remove_group(broker->publish, group);
    xo_publish_remove(broker->publish, XO_REG_NODE, broker->options.node_id);
}

void xo_stop_on_stopped(xo_supervisor_t *supervisor, void *arg)
{
    xo_broker_t *broker = arg;
    (void)supervisor;
    xo_broker_note_node(broker, "node.down", broker->stop.why);
    leave_registry(broker);
    xo_asks_fail(&broker->asks, "the node is stopping");
    xo_defer_start(&broker->stop.end);
}

/* The answers above leave in this pass of the loop. */
static void on_end(xo_defer_t *defer, void *arg)
{
    xo_broker_t *broker = arg;
    (void)defer;
    xo_log(broker->options.log, XO_LOG_INFO, COMPONENT, "stopped");
    broker->stopped(broker, broker->arg);
}

/* ---- pools ---- */

static void stop_pools(xo_broker_t *broker, int64_t limit_ms)
{
    xo_timer_stop(&broker->stop.groups);
    xo_timer_stop(&broker->tick);
    xo_supervisor_stop(broker->supervisor, limit_ms);
}

/* ---- groups ---- */

/* They have ended, or what has not ends with its pool, in no order. */
static void groups_are_over(xo_broker_t *broker)
{
    xo_timer_stop(&broker->stop.groups);
    if (broker->stop.ask != NULL)
        xo_ask_reply(xo_ask_take(&broker->stop.ask), "n");
    if (!broker->stop.keeps_pools)
        stop_pools(broker, broker->stop.soon && broker->groups != NULL ? SOON_MS : XO_STOP_MS);
}

static void on_groups_late(xo_timer_t *timer, void *arg)
{
    char awaited[XO_ERROR_TEXT_BYTES];
    xo_broker_t *broker = arg;
    (void)timer;
    xo_groups_awaited(broker, awaited, sizeof(awaited));
    xo_log(broker->options.log, XO_LOG_WARN, COMPONENT,
           "groups have not ended in time%s%s; what is left ends with its pool",
           awaited[0] != 0 ? ": " : "", awaited);
    groups_are_over(broker);
}

void xo_broker_groups_gone(xo_broker_t *broker)
{
    if (xo_timer_active(&broker->stop.groups))
        groups_are_over(broker);
    else
        xo_drain_go_on(broker);
}

/* ---- the beginning ---- */

static void tell(xo_broker_t *broker, bool has_groups)
{
    char text[XO_ERROR_TEXT_BYTES];
    if (has_groups)
        snprintf(text, sizeof(text), "%s; its groups end first, within %g s", broker->stop.why,
                 (double)broker->options.stop_ms / 1e3);
    else
        snprintf(text, sizeof(text), "%s", broker->stop.why);
    xo_log(broker->options.log, XO_LOG_INFO, COMPONENT, "stopping: %s", text);
    xo_broker_note_node(broker, "node.stopping", text);
    xo_broker_publish_node(broker);
}

static void begin(xo_broker_t *broker, const char *why, int64_t groups_ms)
{
    bool has_groups = broker->groups != NULL && !broker->reloading;
    broker->stopping = true;
    snprintf(broker->stop.why, sizeof(broker->stop.why), "%s", why);
    if (broker->reloading)
        xo_supervisor_take_over(broker->supervisor); /* to stop them */
    xo_timer_stop(&broker->reconcile);
    tell(broker, has_groups);
    if (has_groups) {
        xo_groups_stop(broker);
        xo_timer_start(&broker->stop.groups, groups_ms * XO_MS);
    }
    xo_supervisor_close(broker->supervisor);
    if (!has_groups)
        groups_are_over(broker);
}

void xo_broker_stop(xo_broker_t *broker, const char *why)
{
    if (!broker->stopping) {
        begin(broker, why, broker->options.stop_ms);
    } else if (broker->stop.keeps_pools) {
        broker->stop.keeps_pools = false;
        groups_are_over(broker);
    }
}

void xo_broker_stop_soon(xo_broker_t *broker, const char *why)
{
    bool held = broker->stop.keeps_pools;
    broker->stop.soon = true;
    broker->stop.keeps_pools = false;
    if (!broker->stopping)
        begin(broker, why, SOON_MS);
    else if (xo_timer_active(&broker->stop.groups))
        xo_timer_start(&broker->stop.groups, SOON_MS * XO_MS);
    else if (held)
        groups_are_over(broker);
}

static void let_go(xo_ask_t *ask, void *arg)
{
    xo_broker_t *broker = arg;
    (void)ask;
    broker->stop.ask = NULL;
}

void xo_broker_stop_groups(xo_broker_t *broker, xo_ask_t *ask)
{
    bool over = broker->stopping && !xo_timer_active(&broker->stop.groups);
    if (broker->stop.ask != NULL) {
        xo_broker_refuse(ask, "somebody waits for that already");
        return;
    }
    if (over) {
        xo_ask_reply(ask, "n");
        return;
    }
    broker->stop.ask = ask;
    xo_ask_on_stop(ask, let_go, broker);
    if (!broker->stopping) {
        broker->stop.keeps_pools = true;
        begin(broker, "asked to", broker->options.stop_ms);
    }
}

void xo_stop_init(xo_broker_t *broker)
{
    xo_timer_init(&broker->stop.groups, broker->loop, on_groups_late, broker);
    xo_defer_init(&broker->stop.end, broker->loop, on_end, broker);
}

void xo_stop_end(xo_broker_t *broker)
{
    xo_timer_stop(&broker->stop.groups);
    xo_defer_stop(&broker->stop.end);
}
