/* known.h - where actors of other nodes live, as the registry has said: so that finding one again
 * takes neither Redis nor the node's own pools, and works while Redis is away.
 *
 * What is known of a uid is dropped when the registry says that it has changed, which it does to
 * those only who have looked it up, when who used it says that it was wrong, and after a minute.
 * Such news may be lost: whoever is answered from here asks the actor's
 * pool before relying on it.
 */
#ifndef XO_BROKER_KNOWN_H
#define XO_BROKER_KNOWN_H

#include "libxo/loop.h"
#include "libxo/pack.h"
#include "registry/registry.h"

typedef struct xo_known xo_known_t;

/* `node_id`: who is told of what has changed. NULL: ENOMEM. */
xo_known_t *xo_known_create(xo_loop_t *loop, uint64_t node_id);
void xo_known_destroy(xo_known_t *known); /* after the registry was closed. Takes NULL */
/* Before the registry is asked for a uid: it is to tell what changes from now on. */
void xo_known_watch(xo_known_t *known, xo_registry_t *registry, xo_slice_t uid);
/* What it said: `count` records, packed one behind the other. */
void xo_known_put(xo_known_t *known, xo_slice_t uid, xo_slice_t records, uint32_t count);
/* False: not known. Valid until the next call. */
bool xo_known_find(xo_known_t *known, xo_slice_t uid, xo_slice_t *records, uint32_t *count);
void xo_known_forget(xo_known_t *known, xo_slice_t uid);
void xo_known_forget_all(xo_known_t *known);

#endif
