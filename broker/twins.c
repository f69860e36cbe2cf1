/* twins.c - another node that advertises the address of this one, as when both were given the same
 * file: who dials it finds either.
 *
 * The others' addresses are read once for each that this node has, when the lease of one that was
 * there before, and was killed, has lapsed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/broker_impl.h"

#define COMPONENT "node"

static bool is_twin(const xo_broker_t *broker, const xo_record_t *record)
{
    return strcmp(record->id, xo_publish_owner(broker->publish)) != 0 &&
           xo_slice_eq_str(xo_rec_find(record, "address"), broker->twins.address);
}

static void note(xo_broker_t *broker, const xo_record_t *record)
{
    char reason[XO_ERROR_TEXT_BYTES + XO_HOST_BYTES + XO_ADDRESS_BYTES];
    xo_slice_t host = xo_rec_find(record, "host");
    snprintf(reason, sizeof(reason),
             "node %s on %s advertises %s, and so does node %s on %.*s: who dials it finds either; "
             "give each an address of its own",
             xo_publish_owner(broker->publish), broker->host, broker->twins.address, record->id,
             (int)host.size, host.size > 0 ? host.data : "");
    xo_log(broker->options.log, XO_LOG_WARN, COMPONENT, "%s", reason);
    xo_broker_note_node(broker, "node.twin", reason);
}

static void on_nodes(int errnum, const char *text, const xo_record_t *records, size_t count,
                     void *arg)
{
    xo_broker_t *broker = arg;
    (void)text;
    if (errnum == ECANCELED)
        return;
    if (errnum != 0)
        broker->twins.address[0] = 0; /* once more, when it is published next */
    for (size_t i = 0; errnum == 0 && i < count; i++) {
        if (is_twin(broker, &records[i]))
            note(broker, &records[i]);
    }
}

static void on_timer(xo_timer_t *timer, void *arg)
{
    xo_broker_t *broker = arg;
    (void)timer;
    xo_registry_list(xo_publish_registry(broker->publish), XO_REG_NODE, on_nodes, broker);
}

void xo_twins_published(xo_broker_t *broker, const char *address)
{
    int64_t wait_ms = xo_publish_lease_ms(broker->publish) + broker->options.heartbeat_ms;
    if (!xo_publish_is_shared(broker->publish) || address[0] == 0 ||
        strcmp(address, broker->twins.address) == 0)
        return;
    snprintf(broker->twins.address, sizeof(broker->twins.address), "%s", address);
    xo_timer_start(&broker->twins.timer, wait_ms * XO_MS);
}

void xo_twins_init(xo_broker_t *broker)
{
    xo_timer_init(&broker->twins.timer, broker->loop, on_timer, broker);
}

void xo_twins_stop(xo_broker_t *broker)
{
    xo_timer_stop(&broker->twins.timer);
}
