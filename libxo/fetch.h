/* fetch.h - the other way round: a node that can only dial out comes for who wants one of its
 * pools. It knocks at the port at which that one waits, says what it was told to say, and connects
 * both.
 */
#ifndef XO_FETCH_H
#define XO_FETCH_H

#include "libxo/address.h"
#include "libxo/loop.h"

typedef struct xo_fetches xo_fetches_t;

/* `door`: the port at which they wait. */
xo_fetches_t *xo_fetches_create(xo_loop_t *loop, const xo_address_t *door, xo_error_t *err);
/* Ends what goes on. Takes NULL. */
void xo_fetches_destroy(xo_fetches_t *fetches);
/* Leads who waits under `token` to the inner socket at `path`. -1: it cannot be; it may yet fail
 * after 0 was returned, which who waits hears. */
int xo_fetch(xo_fetches_t *fetches, uint64_t token, const char *path, xo_error_t *err);

#endif
