/* listen.c - where others reach an endpoint: tcp (or behind its node's port), ipc and inproc under
 * its advertised address. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libxo/ctx_internal.h"
#include "libxo/endpoint_impl.h"

static void on_accepted(xo_listener_t *listener, xo_lane_t *lane, void *arg)
{
    (void)listener;
    xoi_link_accept(arg, lane);
}

static void on_refused(xo_listener_t *listener, const char *from, const xo_error_t *why, void *arg)
{
    char who[XOI_REFUSAL_WHO_BYTES];
    snprintf(who, sizeof who, "%s at %s", from ? from : "somebody", xo_listener_endpoint(listener));
    xoi_refused(arg, why->errnum == EACCES ? XO_DROP_REFUSED : XO_DROP_MALFORMED, who, why->text);
}

static const xo_listener_events_t listener_events = {on_accepted, on_refused};

static xo_listener_t *open_door(xo_endpoint_t *endpoint, const char *lane_endpoint, xo_error_t *err)
{
    xoi_door_t *door = calloc(1, sizeof *door);
    if (!door)
        return xo_error_null(err, ENOMEM, "out of memory for a listener");
    door->listener =
        xo_listen(endpoint->ctx, endpoint->loop, lane_endpoint, &listener_events, endpoint, err);
    if (!door->listener) {
        int saved = errno;
        free(door);
        errno = saved;
        return NULL;
    }
    LL_PREPEND(endpoint->doors, door);
    return door->listener;
}

/* An address of this host that others can use, for who advertises "any". */
static void first_host_address(bool v6, char *host, size_t size)
{
    struct ifaddrs *all = NULL;
    snprintf(host, size, "%s", v6 ? "::1" : "127.0.0.1");
    if (getifaddrs(&all) < 0)
        return;
    for (struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (!i->ifa_addr || (i->ifa_flags & IFF_LOOPBACK) || !(i->ifa_flags & IFF_UP) ||
            i->ifa_addr->sa_family != AF_INET || v6)
            continue;
        struct sockaddr_in in;
        memcpy(&in, i->ifa_addr, sizeof in);
        inet_ntop(AF_INET, &in.sin_addr, host, (socklen_t)size);
        break;
    }
    freeifaddrs(all);
}

static int parse_both(const char *advertise, const char *bind, xo_address_t *shown,
                      xo_address_t *bound, xo_error_t *err)
{
    if (xo_address_parse(advertise, shown, err) < 0)
        return -1;
    *bound = *shown;
    if (bind && xo_address_parse(bind, bound, err) < 0)
        return -1;
    if (bind && bound->port == 0)
        bound->port = shown->port;
    if (xo_address_is_any(shown))
        first_host_address(xo_address_is_v6(shown), shown->host, sizeof shown->host);
    return 0;
}

static int port_of(const char *lane_endpoint)
{
    const char *colon = strrchr(lane_endpoint, ':');
    return colon ? atoi(colon + 1) : 0;
}

static int listen_tcp(xo_endpoint_t *endpoint, const xo_address_t *bound, int *port,
                      xo_error_t *err)
{
    char text[XO_ADDRESS_BYTES];
    char lane_endpoint[XO_ADDRESS_BYTES + 8];
    if (xo_address_format(bound, text, sizeof text) < 0)
        return xo_error_set(err, EINVAL, "address %s is too long", bound->host);
    snprintf(lane_endpoint, sizeof lane_endpoint, "tcp://%s", text);
    xo_listener_t *listener = open_door(endpoint, lane_endpoint, err);
    if (!listener)
        return -1;
    *port = port_of(xo_listener_endpoint(listener));
    return 0;
}

/* Who finds no such socket dials ipc. */
static void listen_shm(xo_endpoint_t *endpoint, const char *address)
{
    char lane_endpoint[XO_PATH_BYTES * 3];
    xo_error_t err;
    if (!(endpoint->ctx->lanes & XOI_LANE_SHM))
        return;
    xoi_way_endpoint(endpoint->ctx, XOI_BY_SHM, address, lane_endpoint, sizeof lane_endpoint);
    if (!open_door(endpoint, lane_endpoint, &err))
        xoi_ctx_warn(endpoint->ctx, "no shared memory lanes: %s", err.text);
}

int xo_endpoint_listen_on(xo_endpoint_t *endpoint, const char *lane_endpoint, xo_error_t *err)
{
    if (!open_door(endpoint, lane_endpoint, err))
        return -1;
    if (strncmp(lane_endpoint, "ipc:", 4) == 0)
        listen_shm(endpoint, lane_endpoint);
    return 0;
}

/* Where there is no room for a file, tcp will do: who finds no socket dials that. */
static int listen_ipc(xo_endpoint_t *endpoint, const char *address, xo_error_t *err)
{
    char lane_endpoint[XO_PATH_BYTES * 3];
    xo_error_t why = {0};
    xoi_way_endpoint(endpoint->ctx, XOI_BY_IPC, address, lane_endpoint, sizeof lane_endpoint);
    if (open_door(endpoint, lane_endpoint, &why)) {
        listen_shm(endpoint, address);
        return 0;
    }
    if (why.errnum != ENOSPC)
        return xo_error_set(err, why.errnum, "%s", why.text);
    xoi_ctx_warn(endpoint->ctx, "no lanes but tcp: %s", why.text);
    snprintf(endpoint->tcp_only, sizeof endpoint->tcp_only, "%s", why.text);
    return 0;
}

const char *xo_endpoint_tcp_only(const xo_endpoint_t *endpoint)
{
    return endpoint->tcp_only[0] ? endpoint->tcp_only : NULL;
}

static int listen_near(xo_endpoint_t *endpoint, const char *address, xo_error_t *err)
{
    char lane_endpoint[XO_ADDRESS_BYTES + sizeof "inproc://"];
    if (listen_ipc(endpoint, address, err) < 0)
        return -1;
    snprintf(lane_endpoint, sizeof lane_endpoint, "inproc://%s", address);
    if (!open_door(endpoint, lane_endpoint, err))
        return -1;
    if (xo_ctx_add_local(endpoint->ctx, address, err) < 0)
        return -1;
    snprintf(endpoint->local_address, sizeof endpoint->local_address, "%s", address);
    return 0;
}

/* ---- behind the node's port ---- */

/* The inner side of the port: the broker leads to it who asks there for `address`. */
static void name_inner(const xo_endpoint_t *endpoint, const char *address, char *text, size_t size)
{
    snprintf(text, size, "port://%s/%s.port", xo_ctx_run_dir(endpoint->ctx), address);
}

static int listen_inner(xo_endpoint_t *endpoint, const char *address, xo_error_t *err)
{
    char lane_endpoint[XO_PATH_BYTES * 3];
    name_inner(endpoint, address, lane_endpoint, sizeof lane_endpoint);
    return open_door(endpoint, lane_endpoint, err) ? 0 : -1;
}

/* Who says no port of its own, or the node's, or a place there, is behind it. */
static bool goes_behind(const xo_endpoint_t *endpoint, const xo_address_t *shown, const char *bind)
{
    const xo_address_t *port = &endpoint->ctx->port;
    return xo_address_is_behind(shown) ||
           (port->port && !bind && (shown->port == 0 || xo_address_equal(shown, port)));
}

/* What a process that was killed has left there may not be told from what one is about to listen
 * on, so only a place of which there is no sign is free. */
static bool is_free(const xo_endpoint_t *endpoint, const char *address)
{
    char lane_endpoint[XO_PATH_BYTES * 3];
    name_inner(endpoint, address, lane_endpoint, sizeof lane_endpoint);
    return access(strstr(lane_endpoint, "://") + 3, F_OK) < 0 && errno == ENOENT;
}

static int take_place(xo_endpoint_t *endpoint, xo_error_t *err)
{
    const xo_address_t *port = &endpoint->ctx->port;
    xo_address_t door = xo_address_door(port);
    bool lent = xo_address_is_behind(port);
    int first = lent ? port->port % XO_PLACES : 1;
    int end = lent ? first + XO_PLACES_LENT : XO_PLACES_OWN;
    for (int place = first; place < end; place++) {
        xo_address_t shown = xo_address_place(&door, place);
        char *text = endpoint->self.address;
        if (xo_address_format(&shown, text, sizeof endpoint->self.address) < 0)
            return xo_error_set(err, EINVAL, "address %s is too long", shown.host);
        if (!is_free(endpoint, text))
            continue;
        if (listen_inner(endpoint, text, err) == 0)
            return 0;
        if (err->errnum != EADDRINUSE)
            return -1;
    }
    return xo_error_set(err, EADDRINUSE, "all places behind port %d of %s are taken", door.port,
                        door.host);
}

/* Behind another node's port nobody would find it. */
static int check_door(const xo_endpoint_t *endpoint, const xo_address_t *shown, xo_error_t *err)
{
    char text[XO_ADDRESS_BYTES];
    xo_address_t door = xo_address_door(&endpoint->ctx->port);
    if (shown->port == 0 || xo_address_door(shown).port == door.port)
        return 0;
    if (!door.port || xo_address_format(&door, text, sizeof text) < 0)
        return xo_error_set(err, EINVAL,
                            "%s:%d is a place behind a node's port, and this node has none",
                            shown->host, shown->port);
    return xo_error_set(err, EINVAL, "%s:%d is no place behind this node's port, which is %s",
                        shown->host, shown->port, text);
}

static int listen_behind(xo_endpoint_t *endpoint, const xo_address_t *shown, xo_error_t *err)
{
    xo_error_t why = {0};
    if (check_door(endpoint, shown, err) < 0)
        return -1;
    char *text = endpoint->self.address;
    int rc;
    if (shown->port == 0)
        rc = take_place(endpoint, &why);
    else if (xo_address_format(shown, text, sizeof endpoint->self.address) < 0)
        rc = xo_error_set(&why, EINVAL, "address %s is too long", shown->host);
    else
        rc = listen_inner(endpoint, text, &why);
    return rc < 0 ? xo_error_set(err, why.errnum, "%s", why.text)
                  : listen_near(endpoint, text, err);
}

int xo_endpoint_listen(xo_endpoint_t *endpoint, const char *advertise, const char *bind,
                       xo_error_t *err)
{
    xo_address_t shown;
    xo_address_t bound;
    int port = 0;
    if (endpoint->local_address[0])
        return xo_error_set(err, EISCONN, "it listens at %s already", endpoint->local_address);
    if (parse_both(advertise, bind, &shown, &bound, err) < 0)
        return -1;
    if (goes_behind(endpoint, &shown, bind))
        return listen_behind(endpoint, &shown, err);
    if (listen_tcp(endpoint, &bound, &port, err) < 0)
        return -1;
    /* Behind a forwarder the advertised port may be another one than the bound. */
    if (shown.port == 0 || !bind)
        shown.port = port;
    if (xo_address_format(&shown, endpoint->self.address, sizeof endpoint->self.address) < 0)
        return xo_error_set(err, EINVAL, "address %s is too long", advertise);
    if (endpoint->ctx->port.port && listen_inner(endpoint, endpoint->self.address, err) < 0)
        return -1; /* for those to whom only the node's port is open */
    return listen_near(endpoint, endpoint->self.address, err);
}
