/* port.h - a node's port: the one tcp port by which others reach all of it.
 *
 * Who dials it says whom it wants, by SOCKS 5 (socks.h): the name "pN.HOST" is the pool at the
 * address HOST:N. The broker, whose loop this runs in, connects it to that pool's inner socket and
 * passes bytes on, which it cannot read: CURVE is between the two ends, as are credit, order and
 * all else. Who says nothing of the kind, but ZMTP's first byte, wants who is at the port itself.
 *
 * The name "p0.HOST", whatever HOST is, is the broker itself. The name "tHEX" is said by who comes
 * for somebody who waits here under that token.
 *
 * An inner socket sees who came in the name of ours: an abstract address "HOST ...".
 */
#ifndef XO_PORT_H
#define XO_PORT_H

#include "libxo/address.h"
#include "libxo/ctx.h"
#include "libxo/endpoint.h"
#include "libxo/loop.h"

typedef struct xo_port xo_port_t;

/* As an address behind a port: the broker itself. */
#define XO_PORT_BROKER "broker:0"

typedef struct xo_port_events {
    /* Where the inner socket of the pool at an address lies; "": there is none. */
    void (*find)(xo_port_t *port, const xo_address_t *address, char path[XO_PATH_BYTES], void *arg);
    /* Is there a node that can only dial out which has the pool, and was asked to come for it
     * (fetch.h)? It will name the token. NULL: there is none. */
    bool (*away)(xo_port_t *port, const xo_address_t *address, uint64_t token, void *arg);
    /* Somebody was turned away: a host, and a sentence. */
    void (*refused)(xo_port_t *port, xo_drop_t reason, const char *host, const char *why,
                    void *arg);
} xo_port_events_t;

/* What has gone through, or is there now. */
typedef struct xo_port_stats {
    uint64_t accepted, refused;
    uint64_t passing; /* connections, of which both ends are there */
} xo_port_stats_t;

/* `advertised`: what others dial. `bind`: what is listened on, NULL: the same. EADDRINUSE and the
 * like name it. */
xo_port_t *xo_port_create(xo_loop_t *loop, const char *advertised, const char *bind,
                          const xo_port_events_t *events, void *arg, xo_error_t *err);
/* Ends what goes through. Takes NULL. */
void xo_port_destroy(xo_port_t *port);
/* Who waits under the token is told that nobody comes; `why` goes on after "it asked for ADDRESS,
 * and". */
void xo_port_give_up(xo_port_t *port, uint64_t token, const char *why);
const xo_port_stats_t *xo_port_stats(const xo_port_t *port);

#endif
