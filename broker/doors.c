/* doors.c - pools with a tcp port of their own on a node that has one for everything: whoever finds
 * theirs shut, as behind a firewall, reaches them through the node's, which the registry knows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_impl.h"

/* Who wants to know which port: one of the two. */
typedef struct xo_door_search {
    xo_ask_t *ask;
    xo_link_t *link;
} xo_door_search_t;

/* ---- of our own pools ---- */

static bool has_two(const xo_broker_t *broker, const xo_member_t *member)
{
    xo_address_t address;
    return broker->port != NULL && xo_publish_is_shared(broker->publish) &&
           xo_address_parse(member->address, &address, NULL) == 0 && address.port > 0 &&
           !xo_address_is_behind(&address);
}

void xo_doors_publish(xo_broker_t *broker, const xo_member_t *member)
{
    xo_rec_t rec = {0};
    xo_field_t fields[XO_RECORD_FIELDS];
    xo_record_t record = {.id = member->address, .fields = fields};
    if (!has_two(broker, member))
        return;
    xo_rec_id(&rec, "node", broker->options.node_id);
    xo_rec_text(&rec, "address", broker->options.port);
    record.count = xo_rec_fields(&rec, fields);
    xo_registry_put(xo_publish_registry(broker->publish), XO_REG_PORT, &record,
                    xo_publish_owner(broker->publish), 0, NULL, NULL);
}

void xo_doors_remove(xo_broker_t *broker, const xo_member_t *member)
{
    if (has_two(broker, member))
        xo_registry_del(xo_publish_registry(broker->publish), XO_REG_PORT, member->address,
                        xo_publish_owner(broker->publish), NULL, NULL);
}

/* ---- of others' ---- */

static void let_go(xo_ask_t *ask, void *arg)
{
    xo_door_search_t *search = arg;
    (void)ask;
    search->ask = NULL;
}

static void on_record(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    xo_door_search_t *search = arg;
    char door[XO_ADDRESS_BYTES] = "";
    (void)text;
    if (errnum == 0 && count == 1) {
        xo_slice_t value = xo_rec_find(&records[0], "address");
        snprintf(door, sizeof(door), "%.*s", (int)value.size, value.size > 0 ? value.data : "");
    }
    xo_ask_t *ask = xo_ask_take(&search->ask);
    if (ask != NULL && door[0] != 0)
        xo_ask_reply(ask, "[s s]", XO_IS_BEHIND, door);
    else if (ask != NULL)
        xo_ask_reply(ask, "n");
    if (search->link != NULL)
        xo_link_go_by(search->link, door);
    xo_link_decref(search->link);
    free(search);
}

static bool is_known(xo_broker_t *broker)
{
    return broker->publish != NULL && xo_publish_is_shared(broker->publish) &&
           xo_registry_is_up(xo_publish_registry(broker->publish));
}

static bool search(xo_broker_t *broker, const char *address, xo_ask_t *ask, xo_link_t *link)
{
    xo_door_search_t *made = is_known(broker) ? calloc(1, sizeof(*made)) : NULL;
    if (made == NULL)
        return false;
    *made = (xo_door_search_t){.ask = ask, .link = link != NULL ? xo_link_incref(link) : NULL};
    if (ask != NULL)
        xo_ask_on_stop(ask, let_go, made);
    xo_registry_get(xo_publish_registry(broker->publish), XO_REG_PORT, address, on_record, made);
    return true;
}

void xo_doors_tell(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t address)
{
    char text[XO_ADDRESS_BYTES];
    snprintf(text, sizeof(text), "%.*s", (int)address.size, address.size > 0 ? address.data : "");
    if (!search(broker, text, ask, NULL))
        xo_ask_reply(ask, "n");
}

bool xo_doors_absent(xo_endpoint_t *endpoint, xo_link_t *link, const char *address, void *arg)
{
    (void)endpoint;
    return search(arg, address, NULL, link);
}
