/* bridge.h - a lane's connection through a node's port. libzmq dials a unix socket of our own, and
 * once the port has led on who knocked (knock.h), the two are spliced.
 *
 * So the loop passes on what libzmq's thread would have: for as long as the bridge's loop stands
 * still, nothing goes over its lane.
 */
#ifndef XO_BRIDGE_H
#define XO_BRIDGE_H

#include "libxo/knock.h"
#include "libxo/loop.h"
#include "libxo/splice.h"

typedef struct xoi_bridge xoi_bridge_t;

/* It did not come about. What ends it later ends libzmq's connection, no more. */
typedef void (*xoi_bridge_failed_f)(xoi_bridge_t *bridge, const xo_error_t *why, void *arg);

struct xoi_bridge {
    int door;  /* where libzmq dials; -1: not (any more) */
    int inner; /* it has; -1: not yet */
    int outer; /* the port has led on; -1: not yet */
    char endpoint[64];
    xo_io_t io;
    xoi_knock_t knock;
    xoi_splice_t *splice; /* NULL: not (any more) */
    char *buffer;
    xoi_bridge_failed_f failed;
    void *arg;
};

void xoi_bridge_init(xoi_bridge_t *bridge, xo_loop_t *loop, xoi_bridge_failed_f failed, void *arg);
/* `endpoint`: port://HOST:PORT/ADDRESS. -1: EINVAL, and what there is against sockets. */
int xoi_bridge_start(xoi_bridge_t *bridge, const char *endpoint, xo_error_t *err);
const char *xoi_bridge_endpoint(const xoi_bridge_t *bridge); /* that libzmq is to dial */
/* Stops it when what libzmq still has for it, whose socket is closed by now, has left. Waits for
 * that, at most so long. */
void xoi_bridge_finish(xoi_bridge_t *bridge, int limit_ms);
void xoi_bridge_stop(xoi_bridge_t *bridge);

#endif
