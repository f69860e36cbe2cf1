/* internal.h - calls of methods named __xo_*, which are the package's own and no actor's: of the
 * streams of xoscar.generator, and the end of an actor that is linked, for __on_exit__.
 */
#ifndef XOPY_INTERNAL_H
#define XOPY_INTERNAL_H

#include "_xo/pool.h"

bool xopy_is_internal(xo_slice_t method);
/* All but those that run the actor's code: that produce a stream's items, and the end of a link. */
bool xopy_is_internal_without_lock(xo_slice_t method);
/* Runs it: xoscar._glue.internal. */
void xopy_handle_internal(xopy_pool_t *pool, xo_actor_t *actor, xo_request_t *request,
                          PyObject *name);
/* The host's operation. */
void xopy_peer_gone(void *host, uint64_t endpoint);

#endif
