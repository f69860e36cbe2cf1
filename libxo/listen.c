/* listen.c - where others reach an endpoint: tcp, ipc and inproc under its advertised address. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int xo_endpoint_listen(xo_endpoint_t *endpoint, const char *advertise, const char *bind,
                       xo_error_t *err)
{
    xo_address_t shown;
    xo_address_t bound;
    int port = 0;
    if (endpoint->local_address[0])
        return xo_error_set(err, EISCONN, "it listens at %s already", endpoint->local_address);
    if (parse_both(advertise, bind, &shown, &bound, err) < 0 ||
        listen_tcp(endpoint, &bound, &port, err) < 0)
        return -1;
    /* Behind a forwarder the advertised port may be another one than the bound. */
    if (shown.port == 0 || !bind)
        shown.port = port;
    if (xo_address_format(&shown, endpoint->self.address, sizeof endpoint->self.address) < 0)
        return xo_error_set(err, EINVAL, "address %s is too long", advertise);
    return listen_near(endpoint, endpoint->self.address, err);
}
