/* own_registry.h - the registry of a node that was given none: a private redis-server in the node's
 * directory, or memory where that program is missing (contract 12).
 */
#ifndef XO_BROKER_OWN_REGISTRY_H
#define XO_BROKER_OWN_REGISTRY_H

#include <sys/types.h>

#include "broker/log.h"
#include "libxo/loop.h"

typedef struct xo_own_registry xo_own_registry_t;

/* Returns at once. Should the server end before it is wanted, it is started again. The server that
 * this node's last broker has left goes on. `owner`: whom it does not survive; 0: nobody. NULL:
 * `directory`'s path is too long for a socket, or ENOMEM. */
xo_own_registry_t *xo_own_registry_create(xo_loop_t *loop, const char *directory, pid_t owner,
                                          const xo_log_t *log, xo_error_t *err);
const char *xo_own_registry_url(const xo_own_registry_t *own);
void xo_own_registry_destroy(xo_own_registry_t *own); /* takes NULL */

#endif
