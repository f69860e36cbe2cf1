/* node_guard.h - the process that ends what is left of an owner's node which has no redis-server of
 * its own: that has one as its parent (registry/private_guard.h).
 */
#ifndef XO_BROKER_NODE_GUARD_H
#define XO_BROKER_NODE_GUARD_H

#include <sys/types.h>

#include "libxo/error.h"

/* Starts it, or finds the one that a last broker has started in the same directory. It does what
 * xo_node_dir_abandon does when the owner has been gone for 1.5 s. -1: *err. */
pid_t xo_node_guard_start(const char *directory, pid_t owner, xo_error_t *err);
/* Kills it, and waits for that. Takes 0 and -1: there is none. */
void xo_node_guard_stop(pid_t guard);

#endif
