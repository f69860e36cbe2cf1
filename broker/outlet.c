/* outlet.c - of a node that can only dial out: the link to the broker of the node whose port leads
 * to it, and the pools that somebody there wants.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_impl.h"
#include "libxo/fetch.h"

#define COMPONENT "port"
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 2000

struct xo_outlet {
    xo_broker_t *broker;
    xo_address_t first; /* of our places */
    char there[XO_ADDRESS_BYTES * 2 + 16];
    xo_link_t *link; /* NULL: not linked */
    xo_call_t *call; /* that asks for the places; NULL: none */
    xo_timer_t again;
    int64_t backoff_ms;
    xo_fetches_t *fetches;
    char said[XO_ERROR_TEXT_BYTES]; /* what is the matter, as it was logged last */
};

static void try_again(xo_outlet_t *outlet)
{
    xo_timer_start(&outlet->again, outlet->backoff_ms * XO_MS);
    outlet->backoff_ms =
        outlet->backoff_ms * 2 < BACKOFF_MAX_MS ? outlet->backoff_ms * 2 : BACKOFF_MAX_MS;
}

/* The same trouble is told once. */
static void say(xo_outlet_t *outlet, const char *what)
{
    if (strcmp(outlet->said, what) == 0)
        return;
    snprintf(outlet->said, sizeof(outlet->said), "%s", what);
    xo_log(outlet->broker->options.log, XO_LOG_WARN, COMPONENT,
           "nobody reaches this node through %s: %s", outlet->broker->options.port, what);
}

static void on_lent(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    xo_outlet_t *outlet = arg;
    xo_failure_t failure;
    char text[XO_ERROR_TEXT_BYTES] = "out of memory";
    (void)call;
    outlet->call = NULL;
    if (*answer != NULL && xo_msg_header(*answer)->kind == XO_RESULT) {
        outlet->said[0] = 0;
        outlet->backoff_ms = BACKOFF_FIRST_MS;
        xo_log(outlet->broker->options.log, XO_LOG_INFO, COMPONENT,
               "this node is reached through %s", outlet->broker->options.port);
        return;
    }
    if (*answer != NULL && xo_failure_read(xo_msg_body(*answer), &failure) == 0)
        snprintf(text, sizeof(text), "%.*s", (int)failure.message.size, failure.message.data);
    say(outlet, text);
    if (!xo_timer_active(&outlet->again))
        try_again(outlet);
}

static void ask_for_places(xo_outlet_t *outlet)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_CALL,
                          .target_uid = xo_slice_str(XO_BROKER_UID),
                          .method = xo_slice_str("port.lend")};
    xo_pack_format(&body, "[[I] {}]", (int64_t)(outlet->first.port % XO_PLACES));
    xo_msg_t *msg = xo_buf_ok(&body) == 0 ? xo_msg_create(&header, xo_buf_slice(&body)) : NULL;
    xo_buf_free(&body);
    if (msg != NULL)
        outlet->call = xo_endpoint_call(outlet->broker->endpoint, outlet->link, &msg, XO_SEND_QUEUE,
                                        0, on_lent, outlet, NULL);
    xo_msg_destroy(&msg);
    if (outlet->call == NULL)
        try_again(outlet);
}

static void dial(xo_outlet_t *outlet)
{
    xo_error_t err;
    xo_link_t *link = xo_endpoint_link(outlet->broker->endpoint, outlet->there, &err);
    if (link == NULL) {
        say(outlet, err.text);
        try_again(outlet);
        return;
    }
    xo_link_decref(outlet->link);
    outlet->link = xo_link_incref(link);
    ask_for_places(outlet);
}

static void on_again(xo_timer_t *timer, void *arg)
{
    xo_outlet_t *outlet = arg;
    (void)timer;
    if (outlet->call == NULL)
        dial(outlet);
}

void xo_outlet_unlinked(xo_outlet_t *outlet, const xo_link_t *link, const xo_error_t *why)
{
    if (outlet == NULL || link != outlet->link)
        return;
    say(outlet, why->text);
    if (!xo_timer_active(&outlet->again))
        try_again(outlet);
}

void xo_broker_port_fetch(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    int64_t number;
    uint64_t token;
    xo_error_t err = {0};
    char text[XO_ADDRESS_BYTES], path[XO_PATH_BYTES];
    xo_outlet_t *outlet = broker->outlet;
    if (xo_unpack(args, NULL, "[I U]", &number, &token) < 0 || outlet == NULL || token == 0 ||
        number < outlet->first.port || number >= outlet->first.port + XO_PLACES_LENT) {
        xo_broker_refuse(ask, "takes the number of a place of this node, and a token");
        return;
    }
    xo_address_t address = outlet->first;
    address.port = (int)number;
    if (xo_address_format(&address, text, sizeof(text)) < 0 ||
        !xo_broker_find_inner(broker, text, path))
        xo_ask_fail(ask, XO_CODE_SERVER_CLOSED, "this node has no pool at %s", text);
    else if (xo_fetch(outlet->fetches, token, path, &err) < 0)
        xo_ask_fail(ask, XO_CODE_SERVER_CLOSED, "%s", err.text);
    else
        xo_ask_reply(ask, "n");
}

xo_outlet_t *xo_outlet_create(xo_broker_t *broker, const xo_address_t *first, xo_error_t *err)
{
    char text[XO_ADDRESS_BYTES];
    xo_address_t door = xo_address_door(first);
    xo_outlet_t *outlet = calloc(1, sizeof(*outlet));
    if (outlet == NULL)
        return xo_error_null(err, ENOMEM, "out of memory");
    outlet->broker = broker;
    outlet->first = *first;
    outlet->backoff_ms = BACKOFF_FIRST_MS;
    xo_timer_init(&outlet->again, broker->loop, on_again, outlet);
    xo_address_format(&door, text, sizeof(text));
    snprintf(outlet->there, sizeof(outlet->there), "port://%s/%s", text, XO_PORT_BROKER);
    outlet->fetches = xo_fetches_create(broker->loop, &door, err);
    if (outlet->fetches == NULL) {
        free(outlet);
        return NULL;
    }
    xo_timer_start(&outlet->again, 0);
    return outlet;
}

void xo_outlet_destroy(xo_outlet_t *outlet)
{
    if (outlet == NULL)
        return;
    xo_timer_stop(&outlet->again);
    if (outlet->call != NULL)
        xo_call_abandon(outlet->call);
    xo_link_decref(outlet->link);
    xo_fetches_destroy(outlet->fetches);
    free(outlet);
}
