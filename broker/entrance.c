/* entrance.c - the node's port: whom it leads to. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker_impl.h"

static bool name_inner(const xo_broker_t *broker, const char *address, char path[XO_PATH_BYTES])
{
    const char *run_dir = xo_ctx_run_dir(xo_endpoint_ctx(broker->endpoint));
    int size = snprintf(path, XO_PATH_BYTES, "%s/%s.port", run_dir, address);
    return size < XO_PATH_BYTES && access(path, F_OK) == 0;
}

/* A host has several names: only the number says which pool was meant. */
static const xo_member_t *by_number(const xo_broker_t *broker, int number)
{
    xo_address_t address;
    for (xo_member_t *m = xo_pools_first(&broker->pools); m != NULL; m = xo_pools_next(m)) {
        if (xo_address_parse(m->address, &address, NULL) == 0 && address.port == number)
            return m;
    }
    return NULL;
}

/* A pool that has not joined yet is found by its file, so it is looked for first. */
static void on_find(xo_port_t *port, const xo_address_t *address, char path[XO_PATH_BYTES],
                    void *arg)
{
    const xo_broker_t *broker = arg;
    char text[XO_ADDRESS_BYTES];
    xo_address_t own;
    (void)port;
    if (xo_address_format(address, text, sizeof(text)) == 0 && name_inner(broker, text, path))
        return;
    const xo_member_t *member = by_number(broker, address->port);
    if (member != NULL && name_inner(broker, member->address, path))
        return;
    path[0] = 0;
    if (xo_address_parse(broker->options.port, &own, NULL) == 0 && own.port == address->port)
        snprintf(path, XO_PATH_BYTES, "%s.port", broker->options.listen + strlen("ipc://"));
}

static void on_refused(xo_port_t *port, xo_drop_t reason, const char *host, const char *why,
                       void *arg)
{
    const xo_broker_t *broker = arg;
    char who[XO_HOST_BYTES + XO_ADDRESS_BYTES];
    (void)port;
    snprintf(who, sizeof(who), "%s at %s", host, broker->options.port);
    xo_endpoint_refused(broker->endpoint, reason, who, why);
}

int xo_broker_open_port(xo_broker_t *broker, xo_error_t *err)
{
    static const xo_port_events_t events = {on_find, on_refused};
    char inner[XO_PATH_BYTES + 16];
    if (broker->options.port == NULL)
        return 0;
    snprintf(inner, sizeof(inner), "port://%s.port", broker->options.listen + strlen("ipc://"));
    if (xo_endpoint_listen_on(broker->endpoint, inner, err) < 0)
        return -1;
    broker->port = xo_port_create(broker->loop, broker->options.port, broker->options.bind, &events,
                                  broker, err);
    return broker->port ? 0 : -1;
}
