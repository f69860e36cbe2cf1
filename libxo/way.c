/* way.c - which lane leads to an address: inproc within the process, else the nearest of shared
 * memory and ipc whose socket is there, else tcp, or the port of the node that it is behind; that
 * also if its own is shut, and somebody knows the node's (xo_link_go_by). What is reached at an ipc
 * socket (a broker) may be reached through shared memory beside it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libxo/ctx_internal.h"
#include "libxo/endpoint_impl.h"

#define IPC "ipc://"

/* The last way: by tcp to the address itself, or through the port that it is behind. */
static void far_endpoint(const char *address, char *text, size_t size)
{
    char door_text[XO_ADDRESS_BYTES];
    xo_address_t parsed;
    xo_address_t door;
    snprintf(text, size, "tcp://%s", address);
    if (xo_address_parse(address, &parsed, NULL) < 0 || !xo_address_is_behind(&parsed))
        return;
    door = xo_address_door(&parsed);
    if (xo_address_format(&door, door_text, sizeof door_text) == 0)
        snprintf(text, size, "port://%s/%s", door_text, address);
}

static bool is_ipc(const char *address)
{
    return strncmp(address, IPC, strlen(IPC)) == 0;
}

void xoi_way_endpoint(const xo_ctx_t *ctx, xoi_way_t way, const char *address, char *text,
                      size_t size)
{
    if (is_ipc(address))
        snprintf(text, size, way == XOI_BY_SHM ? "shm://%s.shm" : IPC "%s", address + strlen(IPC));
    else if (way == XOI_BY_SHM)
        snprintf(text, size, "shm://%s/%s.shm", xo_ctx_run_dir(ctx), address);
    else if (way == XOI_BY_IPC)
        snprintf(text, size, "ipc://%s/%s", xo_ctx_run_dir(ctx), address);
    else
        far_endpoint(address, text, size);
}

/* It is taken without looking. */
static bool is_last(xoi_way_t way, const char *address)
{
    return way == (is_ipc(address) ? XOI_BY_IPC : XOI_BY_TCP);
}

static bool is_open(const xo_ctx_t *ctx, xoi_way_t way, const char *endpoint)
{
    unsigned lane = way == XOI_BY_SHM ? XOI_LANE_SHM : XOI_LANE_IPC;
    return (ctx->lanes & lane) && access(strstr(endpoint, "://") + 3, F_OK) == 0;
}

int xoi_way_choose(xo_link_t *link, xo_error_t *err)
{
    xo_ctx_t *ctx = link->endpoint->ctx;
    char *out = link->lane_endpoint;
    size_t size = sizeof link->lane_endpoint;
    if (link->door[0]) {
        snprintf(out, size, "port://%s/%.*s", link->door, XO_ADDRESS_BYTES, link->address);
        return 0;
    }
    bool exact = strstr(link->address, "://") && !is_ipc(link->address);
    if (exact || xo_ctx_has_local(ctx, link->address)) {
        snprintf(out, size, exact ? "%s" : "inproc://%s", link->address);
        link->way = XOI_BY_TCP;
        return 0;
    }
    xoi_way_endpoint(ctx, link->way, link->address, out, size);
    while (!is_last(link->way, link->address) && !is_open(ctx, link->way, out))
        xoi_way_endpoint(ctx, ++link->way, link->address, out, size);
    const char *port = strrchr(link->address, ':');
    if (link->way == XOI_BY_TCP && strcmp(port, ":0") == 0)
        return xo_error_set(err, EINVAL, "'%.*s' has no port to connect to: it takes HOST:PORT",
                            (int)(port - link->address), link->address);
    return 0;
}

/* A socket that a dead process left behind refuses; the address may still be elsewhere. Shared
 * memory may also be missing on either side, and who has none hangs up. */
bool xoi_way_next(xo_link_t *link, int errnum)
{
    xoi_way_t way = link->way;
    if (is_last(way, link->address) || errnum == EBADMSG ||
        (way == XOI_BY_IPC && errnum != ECONNREFUSED))
        return false;
    if (way == XOI_BY_SHM && errnum != ECONNREFUSED && errnum != ECONNRESET)
        xoi_ctx_warn(link->endpoint->ctx, "no shared memory lane to %s (%s): ipc is used instead",
                     link->address, strerror(errnum));
    link->way = way + 1;
    return true;
}
