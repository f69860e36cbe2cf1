/* lane_zmq_admit.c - whom a listener refuses, and where they come from; lets go of who floods it
 * before its handshake is done, and of the peers whose keys are revoked while they are there. Only
 * lanes over tcp have keys. */
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libxo/lane_zmq_listen.h"
#include "libxo/opening.h"

#define OPENING_LOOK_MS 20 /* a link of 10 Gbit/s brings 25 MB meanwhile */
#define REVOKED "its key was revoked"

/* Who comes through the node's port is named by the broker, in the name of its socket (port.h). */
static void name_host(const struct sockaddr *address, socklen_t size, char host[XOI_HOST_BYTES])
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)address;

    host[0] = 0;
    if (size > offsetof(struct sockaddr_un, sun_path) + 1 && un->sun_family == AF_UNIX)
        snprintf(host, XOI_HOST_BYTES, "%.*s",
                 (int)(size - offsetof(struct sockaddr_un, sun_path) - 1), un->sun_path + 1);
    else if (size > 0 && address->sa_family != AF_UNIX)
        getnameinfo(address, size, host, XOI_HOST_BYTES, NULL, 0, NI_NUMERICHOST);
    host[strcspn(host, " ")] = 0;
}

void xoi_listener_note_from(xoi_listener_t *listener, int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    size_t count = (size_t)fd + 64;
    xoi_from_t *froms;

    if (!xoi_scheme_is_far(listener->scheme) || fd < 0)
        return;
    if ((size_t)fd >= listener->from_count) {
        froms = realloc(listener->froms, count * sizeof *froms);
        if (!froms)
            return;
        memset(froms + listener->from_count, 0, (count - listener->from_count) * sizeof *froms);
        listener->froms = froms;
        listener->from_count = count;
    }
    if (getpeername(fd, (struct sockaddr *)&address, &size) < 0)
        size = 0;
    name_host((struct sockaddr *)&address, size, listener->froms[fd].host);
    listener->froms[fd].flooded = false;
    listener->froms[fd].opening = listener->scheme == XOI_TCP;
    if (listener->scheme == XOI_TCP && !xo_timer_active(&listener->openings))
        xo_timer_start(&listener->openings, OPENING_LOOK_MS * XO_MS);
}

const char *xoi_listener_from(const xoi_listener_t *listener, int fd)
{
    return fd >= 0 && (size_t)fd < listener->from_count && listener->froms[fd].host[0]
               ? listener->froms[fd].host
               : NULL;
}

const char *xoi_listener_why_refused(const xoi_listener_t *listener, int fd)
{
    return fd >= 0 && (size_t)fd < listener->from_count && listener->froms[fd].flooded
               ? "it went on sending before its handshake was done"
               : "it sent no handshake of ZeroMQ's, or left before that was done";
}

/* ---- who floods it (opening.h) ---- */

typedef enum { OPENING, OPENED, FLOODS } opening_t;

/* Of a descriptor that libzmq has, or has closed. */
static opening_t look_at(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 ||
        info.tcpi_bytes_acked > XOI_OPENING_BYTES)
        return OPENED; /* or it has ended */
    return xoi_opening_floods(info.tcpi_bytes_received, info.tcpi_bytes_acked) ? FLOODS : OPENING;
}

static uint16_t local_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;

    getsockname(fd, (struct sockaddr *)&address, &size);
    return address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                         : ((struct sockaddr_in *)&address)->sin_port;
}

/* By a descriptor of our own, which cannot become another's between a look and the end. */
static bool end_flood(const xoi_listener_t *listener, int fd)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    bool floods =
        own >= 0 && local_port(own) == local_port(listener->door) && look_at(own) == FLOODS;

    if (floods)
        shutdown(own, SHUT_RDWR);
    if (own >= 0)
        close(own);
    return floods;
}

static void on_openings(xo_timer_t *timer, void *arg)
{
    xoi_listener_t *listener = arg;
    bool again = false;

    for (size_t fd = 0; fd < listener->from_count; fd++) {
        xoi_from_t *from = &listener->froms[fd];
        opening_t opening = from->opening ? look_at((int)fd) : OPENED;

        if (opening == FLOODS && listener->door >= 0)
            from->flooded = end_flood(listener, (int)fd);
        from->opening = opening != OPENED && !from->flooded;
        again = again || from->opening;
    }
    if (again)
        xo_timer_start(timer, OPENING_LOOK_MS * XO_MS);
}

/* ---- whom it refuses ---- */

void xoi_listener_refuse(xoi_listener_t *listener, const char *from, const xo_error_t *why)
{
    if (listener->base.events.refused)
        listener->base.events.refused(&listener->base, from, why, listener->base.arg);
}

/* The key by the digits that xo keys list shows. */
static void say_key(const char *key, bool revoked, xo_error_t *why)
{
    char digits[XO_FINGERPRINT_BYTES];

    if (!key[0]) {
        xo_error_set(why, EACCES, "its key is no member's");
        return;
    }
    xo_key_fingerprint(key, digits);
    xo_error_set(why, EACCES, revoked ? "its key %.*s was revoked" : "its key %.*s is no member's",
                 XO_FINGERPRINT_SHOWN, digits);
}

static void refuse_key(xoi_listener_t *listener, const xoi_refused_t *refused, const char *from)
{
    xo_error_t why = {0};

    say_key(refused->key, refused->revoked, &why);
    xoi_listener_refuse(listener, from, &why);
}

/* Of who comes through the node's port ZAP knows the broker ("localhost:uid:gid:pid") and no host;
 * libzmq says by which descriptor it came when that has ended. */
void xoi_listener_deny(xoi_listener_t *listener)
{
    xoi_refused_t refused = {0};
    bool is_inner = listener->scheme == XOI_PORT;
    xoi_denial_t *denial = is_inner ? malloc(sizeof *denial) : NULL;

    listener->denied++;
    xoi_admission_take_refused(&listener->ctx->admission, &refused);
    if (!denial) {
        refuse_key(listener, &refused, refused.host[0] && !is_inner ? refused.host : NULL);
        return;
    }
    denial->refused = refused;
    DL_APPEND(listener->denials, denial);
}

void xoi_listener_end_denied(xoi_listener_t *listener, int fd)
{
    xoi_denial_t *denial = listener->denials;

    listener->denied--;
    if (!denial)
        return;
    DL_DELETE(listener->denials, denial);
    refuse_key(listener, &denial->refused, xoi_listener_from(listener, fd));
    free(denial);
}

void xoi_listener_drop_denials(xoi_listener_t *listener)
{
    while (listener->denials) {
        xoi_denial_t *denial = listener->denials;

        DL_DELETE(listener->denials, denial);
        free(denial);
    }
}

static bool is_admitted(const xoi_peer_t *peer)
{
    return xoi_admission_has(&peer->listener->ctx->admission, peer->key);
}

static void revoke_peer(xoi_peer_t *peer)
{
    xoi_listener_t *listener = peer->listener;
    xo_error_t why = {0};

    say_key(peer->key, true, &why);
    xoi_peer_shut(peer, EACCES, REVOKED);
    xoi_listener_refuse(listener, peer->lane.base.from, &why);
}

static bool is_foreign(const xoi_peer_t *peer)
{
    return peer->key[0] && !peer->shut && !peer->left &&
           !xoi_admission_is_own(&peer->listener->ctx->admission, peer->key);
}

static void on_look(xo_timer_t *timer, void *arg)
{
    xoi_listener_t *listener = arg;
    xoi_peer_t *peer, *next;
    bool again = false;

    xoi_ctx_look_members(listener->ctx);
    xoi_listener_hold(listener);
    HASH_ITER(hh, listener->peers, peer, next)
    {
        if (!is_foreign(peer))
            continue;
        again = true;
        if (!is_admitted(peer))
            revoke_peer(peer);
        if (listener->dead) /* by who was told, and its peers with it */
            break;
    }
    if (again && !listener->dead)
        xo_timer_start(timer, XOI_ADMISSION_LOOK_MS * XO_MS);
    xoi_listener_leave(listener);
}

void xoi_listener_admit(xoi_listener_t *listener, xoi_peer_t *peer)
{
    if (!xoi_scheme_is_far(listener->scheme) || !is_foreign(peer))
        return;
    xoi_ctx_look_members(listener->ctx);
    if (!is_admitted(peer))
        revoke_peer(peer);
    else if (!xo_timer_active(&listener->look))
        xo_timer_start(&listener->look, XOI_ADMISSION_LOOK_MS * XO_MS);
}

void xoi_listener_watch_members(xoi_listener_t *listener)
{
    xo_timer_init(&listener->look, listener->base.loop, on_look, listener);
    xo_timer_init(&listener->openings, listener->base.loop, on_openings, listener);
}
