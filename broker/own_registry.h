/* own_registry.h - the registry of a node that was given none: a private redis-server in the node's
 * directory, or memory where that program is missing (contract 12).
 */
#ifndef XO_BROKER_OWN_REGISTRY_H
#define XO_BROKER_OWN_REGISTRY_H

#include <sys/types.h>

#include "broker/log.h"
#include "libxo/loop.h"

typedef struct xo_own_registry xo_own_registry_t;

typedef struct xo_own_registry_events {
    /* Its server cannot be started, for this reason; it is tried again. */
    void (*away)(const char *why, void *arg);
    /* What it held is gone, since the server could not read it: the next one begins empty. */
    void (*lost)(const char *why, void *arg);
} xo_own_registry_events_t;

typedef struct xo_own_registry_options {
    const char *directory;
    pid_t owner;     /* whom it does not survive; 0: nobody */
    bool takes_over; /* what the node's last broker has left */
    const xo_log_t *log;
    xo_own_registry_events_t events; /* from the loop */
    void *arg;
} xo_own_registry_options_t;

/* Returns at once. Should the server end before it is wanted, it is started again. The server that
 * this node's last broker has left goes on; one that cannot be started in its place is tried again.
 * `options` point to what outlives it. NULL: `directory`'s path is too long for a socket, there is
 * no server though there is nothing to take over, or ENOMEM. */
xo_own_registry_t *xo_own_registry_create(xo_loop_t *loop, const xo_own_registry_options_t *options,
                                          xo_error_t *err);
const char *xo_own_registry_url(const xo_own_registry_t *own);
/* Is there a server, and with it who cleans up after the owner? */
bool xo_own_registry_has_server(const xo_own_registry_t *own);
void xo_own_registry_destroy(xo_own_registry_t *own); /* takes NULL */

#endif
