/* entrance.c - the node's port: whom it leads to, and which nodes that can only dial out are
 * reached through it (outlet.c is their side).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "broker/broker_impl.h"

#define COMPONENT "node"
#define FETCH_MS 5000
#define NODE_BYTES (XO_ID_TEXT_BYTES + sizeof " on " + XO_LABEL_BYTES)

/* Places behind the port that are another node's, for as long as it is linked. */
struct xo_loan {
    int first;
    xo_link_t *link;
    struct xo_loan *prev, *next;
};

bool xo_broker_find_inner(const xo_broker_t *broker, const char *address, char path[XO_PATH_BYTES])
{
    const char *run_dir = xo_ctx_run_dir(xo_endpoint_ctx(broker->endpoint));
    int size = snprintf(path, XO_PATH_BYTES, "%s/%s.port", run_dir, address);
    return size < XO_PATH_BYTES && access(path, F_OK) == 0;
}

static void name_own(const xo_broker_t *broker, char path[XO_PATH_BYTES])
{
    snprintf(path, XO_PATH_BYTES, "%s.port", broker->options.listen + strlen("ipc://"));
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
    if (address->port == 0) {
        name_own(broker, path);
        return;
    }
    if (xo_address_format(address, text, sizeof(text)) == 0 &&
        xo_broker_find_inner(broker, text, path))
        return;
    const xo_member_t *member = by_number(broker, address->port);
    if (member != NULL && xo_broker_find_inner(broker, member->address, path))
        return;
    path[0] = 0;
    if (xo_address_parse(broker->options.port, &own, NULL) == 0 && own.port == address->port)
        name_own(broker, path);
}

/* ---- nodes that can only dial out ---- */

static struct xo_loan *find_loan(const xo_broker_t *broker, int place)
{
    struct xo_loan *loan = NULL;
    DL_FOREACH(broker->loans, loan)
    if (place >= loan->first && place < loan->first + XO_PLACES_LENT)
        break;
    return loan;
}

typedef struct xo_asked {
    xo_broker_t *broker;
    uint64_t token;
    char node[NODE_BYTES];
} xo_asked_t;

/* A node by its id and the host that it runs on. */
static void name_node(const xo_link_t *link, char *text, size_t size)
{
    const xo_identity_t *peer = xo_link_peer(link);
    snprintf(text, size, "%016" PRIx64 " on %s", peer->node_id, peer->label);
}

static void on_fetching(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    xo_asked_t *asked = arg;
    xo_failure_t failure = {.message = xo_slice_str("no answer")};
    char why[XO_ERROR_TEXT_BYTES];
    (void)call;
    bool comes = *answer != NULL && xo_msg_header(*answer)->kind == XO_RESULT;
    if (!comes && asked->broker->port != NULL) { /* it closes before the calls end */
        if (*answer != NULL)
            xo_failure_read(xo_msg_body(*answer), &failure);
        snprintf(why, sizeof(why), "node %s, which has it, does not come: %.*s", asked->node,
                 (int)failure.message.size, failure.message.size > 0 ? failure.message.data : "");
        xo_port_give_up(asked->broker->port, asked->token, why);
    }
    free(asked);
}

static bool on_away(xo_port_t *port, const xo_address_t *address, uint64_t token, void *arg)
{
    xo_broker_t *broker = arg;
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_CALL,
                          .target_uid = xo_slice_str(XO_BROKER_UID),
                          .method = xo_slice_str("port.fetch")};
    (void)port;
    struct xo_loan *loan = find_loan(broker, address->port % XO_PLACES);
    xo_asked_t *asked = loan != NULL ? calloc(1, sizeof(*asked)) : NULL;
    if (asked == NULL)
        return false;
    *asked = (xo_asked_t){.broker = broker, .token = token};
    name_node(loan->link, asked->node, sizeof(asked->node));
    xo_pack_format(&body, "[[I U] {}]", (int64_t)address->port, token);
    xo_msg_t *msg = xo_buf_ok(&body) == 0 ? xo_msg_create(&header, xo_buf_slice(&body)) : NULL;
    xo_buf_free(&body);
    bool begun =
        msg != NULL && xo_endpoint_call(broker->endpoint, loan->link, &msg, XO_SEND_QUEUE,
                                        FETCH_MS * XO_MS, on_fetching, asked, NULL) != NULL;
    xo_msg_destroy(&msg);
    if (!begun)
        free(asked);
    return begun;
}

static void end_loan(xo_broker_t *broker, struct xo_loan *loan)
{
    DL_DELETE(broker->loans, loan);
    xo_link_decref(loan->link);
    free(loan);
}

void xo_broker_loan_unlinked(xo_broker_t *broker, const xo_link_t *link, const xo_error_t *why)
{
    char node[NODE_BYTES];
    struct xo_loan *loan, *next;
    DL_FOREACH_SAFE(broker->loans, loan, next)
    if (loan->link == link) {
        name_node(link, node, sizeof(node));
        xo_log(broker->options.log, XO_LOG_INFO, COMPONENT,
               "node %s is not reached through this one's port any more: %s", node, why->text);
        end_loan(broker, loan);
    }
}

/* The same node links anew before the end of its last link is known. */
static bool may_borrow(xo_broker_t *broker, xo_link_t *link, int first)
{
    struct xo_loan *loan = find_loan(broker, first);
    if (loan == NULL)
        return true;
    if (xo_link_peer(loan->link)->node_id != xo_link_peer(link)->node_id)
        return false;
    end_loan(broker, loan);
    return true;
}

static void lend(xo_broker_t *broker, xo_ask_t *ask, int first)
{
    char node[NODE_BYTES];
    struct xo_loan *loan = calloc(1, sizeof(*loan));
    if (loan == NULL) {
        xo_broker_refuse(ask, "out of memory");
        return;
    }
    *loan = (struct xo_loan){.first = first, .link = xo_link_incref(xo_ask_from(ask))};
    DL_APPEND(broker->loans, loan);
    name_node(loan->link, node, sizeof(node));
    xo_log(broker->options.log, XO_LOG_INFO, COMPONENT,
           "node %s is reached through this one's port, at places from %d", node, first);
    xo_ask_reply(ask, "n");
}

static void refuse_taken(xo_ask_t *ask, const struct xo_loan *loan, int first)
{
    char node[NODE_BYTES];
    name_node(loan->link, node, sizeof(node));
    xo_broker_refuse(ask, "the places from %d are those of node %s: choose others", first, node);
}

void xo_broker_port_lend(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    int64_t first;
    xo_link_t *from = xo_ask_from(ask);
    if (xo_unpack(args, NULL, "[I]", &first) < 0 || first < XO_PLACES_OWN || first >= XO_PLACES ||
        first % XO_PLACES_LENT != 0)
        xo_broker_refuse(ask, "takes the first of %d places: a multiple of it from %d",
                         XO_PLACES_LENT, XO_PLACES_OWN);
    else if (broker->port == NULL)
        xo_broker_refuse(ask, "this node has no port");
    else if (from == NULL || xo_link_peer(from)->role != XO_ROLE_BROKER)
        xo_broker_refuse(ask, "only a node's broker can be lent places");
    else if (!may_borrow(broker, from, (int)first))
        refuse_taken(ask, find_loan(broker, (int)first), (int)first);
    else
        lend(broker, ask, (int)first);
}

/* ---- opening it ---- */

static void on_refused(xo_port_t *port, xo_drop_t reason, const char *host, const char *why,
                       void *arg)
{
    const xo_broker_t *broker = arg;
    char who[XO_HOST_BYTES + XO_ADDRESS_BYTES];
    (void)port;
    snprintf(who, sizeof(who), "%s at %s", host, broker->options.port);
    xo_endpoint_refused(broker->endpoint, reason, who, why);
}

void xo_broker_close_port(xo_broker_t *broker)
{
    xo_outlet_destroy(broker->outlet);
    broker->outlet = NULL;
    xo_port_destroy(broker->port);
    broker->port = NULL;
    while (broker->loans != NULL)
        end_loan(broker, broker->loans);
}

int xo_broker_open_port(xo_broker_t *broker, xo_error_t *err)
{
    xo_address_t address;
    static const xo_port_events_t events = {on_find, on_away, on_refused};
    char inner[XO_PATH_BYTES + 16];
    if (broker->options.port == NULL)
        return 0;
    if (xo_address_parse_door(broker->options.port, &address, err) < 0)
        return xo_error_prefix(err, "port");
    if (xo_address_is_behind(&address)) {
        broker->outlet = xo_outlet_create(broker, &address, err);
        return broker->outlet ? 0 : -1;
    }
    snprintf(inner, sizeof(inner), "port://%s.port", broker->options.listen + strlen("ipc://"));
    if (xo_endpoint_listen_on(broker->endpoint, inner, err) < 0)
        return -1;
    broker->port = xo_port_create(broker->loop, broker->options.port, broker->options.bind, &events,
                                  broker, err);
    return broker->port ? 0 : -1;
}
