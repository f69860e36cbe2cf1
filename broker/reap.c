/* reap.c - nodes that are gone: who sees that says so, and what they have put into the registry is
 * removed, by one of those that live. The registry decides which one (xo_registry_reap). What has
 * been removed of a node that only stood still it puts once more when it hears of that.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/broker_impl.h"

#define COMPONENT "nodes"
/* Until then the next broker of the node, if only that was killed, finds what there was. */
#define KEEP_LEASES 60
#define PAUSE_NS (10 * XO_MS) /* between two scripts: each holds up Redis for some 3 ms */

static void note_dead(xo_broker_t *broker, const xo_record_t *record)
{
    xo_slice_t host = xo_rec_find(record, "host");
    xo_log(broker->options.log, XO_LOG_WARN, COMPONENT,
           "node %s%s%.*s is gone: its lease has lapsed", record->id, host.size > 0 ? " on " : "",
           (int)host.size, host.size > 0 ? host.data : "");
    xo_known_forget_all(broker->known); /* something may have been there */
    xo_broker_event_written(broker);
}

static void go_on(xo_broker_t *broker, const xo_record_t *record)
{
    xo_reap_state_t *reap = &broker->reap;
    xo_slice_t after = xo_rec_find(record, "after");
    snprintf(reap->after, sizeof(reap->after), "%.*s", (int)after.size,
             after.size > 0 ? after.data : "");
    if (xo_slice_eq_str(xo_rec_find(record, "lacks"), "1")) {
        xo_log(broker->options.log, XO_LOG_WARN, COMPONENT,
               "this node was taken for gone: what it has is written again");
        xo_publish_all(broker->publish, broker);
    }
    if (xo_slice_eq_str(xo_rec_find(record, "more"), "1"))
        xo_timer_start(&reap->timer, PAUSE_NS);
}

static void on_reaped(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    xo_broker_t *broker = arg;
    (void)text;
    if (errnum == ECANCELED)
        return;
    broker->reap.asking = false;
    for (size_t i = 0; errnum == 0 && i + 1 < count; i++)
        note_dead(broker, &records[i]);
    if (errnum == 0 && count > 0)
        go_on(broker, &records[count - 1]);
}

/* Others whose leases have only lapsed while it was away renew them first. */
static bool may_ask(const xo_broker_t *broker)
{
    return xo_publish_is_shared(broker->publish) && !broker->stopping && !broker->reloading &&
           !broker->reap.asking && xo_registry_is_up(xo_publish_registry(broker->publish)) &&
           !xo_publish_has_just_come_up(broker->publish);
}

static void ask(xo_broker_t *broker)
{
    int64_t lease_ms = xo_publish_lease_ms(broker->publish);
    xo_reap_t reap = {.owner = xo_publish_owner(broker->publish),
                      .lease_ms = lease_ms,
                      .keep_ms = KEEP_LEASES * lease_ms,
                      .after = broker->reap.after};
    broker->reap.asking = true;
    xo_registry_reap(xo_publish_registry(broker->publish), &reap, on_reaped, broker);
}

void xo_reap_tick(xo_broker_t *broker)
{
    if (may_ask(broker) && !xo_timer_active(&broker->reap.timer))
        ask(broker);
}

static void on_timer(xo_timer_t *timer, void *arg)
{
    (void)timer;
    if (may_ask(arg))
        ask(arg);
}

void xo_reap_init(xo_broker_t *broker)
{
    strcpy(broker->reap.after, "0");
    xo_timer_init(&broker->reap.timer, broker->loop, on_timer, broker);
}

void xo_reap_stop(xo_broker_t *broker)
{
    xo_timer_stop(&broker->reap.timer);
}
