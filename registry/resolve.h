/* resolve.h - a host name's address without making the loop wait: getaddrinfo(3) in a thread.
 */
#ifndef XO_REGISTRY_RESOLVE_H
#define XO_REGISTRY_RESOLVE_H

#include "libxo/loop.h"

typedef struct xo_resolve xo_resolve_t;

/* A numeric address, or NULL and a sentence; the xo_resolve_t is gone afterwards. */
typedef void (*xo_resolve_f)(const char *address, const char *why, void *arg);

/* Calls back once, from the loop. Of several addresses gives number `turn`, modulo their number.
 * NULL with errno: no thread or memory. */
xo_resolve_t *xoi_resolve(xo_loop_t *loop, const char *host, unsigned turn, xo_resolve_f done,
                          void *arg);
void xoi_resolve_cancel(xo_resolve_t *resolve); /* no callback any more; takes NULL */

#endif
