/* crew.h - several pools in one process: each with a loop and a thread of its own, the first on
 * the thread that calls.
 *
 * The members share the context, so they reach each other by inproc. A member is ready when it has
 * joined the broker (or listens, without one); the crew is when all are. The end of one is the end
 * of all.
 */
#ifndef XO_CREW_H
#define XO_CREW_H

#include "pool/bind.h"
#include "pool/host_c.h"
#include "pool/options.h"

typedef struct xo_crew xo_crew_t;

/* The crew's members call this on the first member's thread when all are ready. -1 ends the crew
 * with that error. */
typedef int (*xo_crew_ready_f)(xo_crew_t *crew, void *arg, xo_error_t *err);

/* `options`: of the first pool; the others get ids, ports and labels derived from it. `cli` gives
 * modules and number of pools, and must outlive the crew. */
xo_crew_t *xo_crew_create(xo_ctx_t *ctx, const xo_pool_cli_t *cli, const xo_bind_t *bind,
                          const xo_pool_options_t *options, xo_error_t *err);
void xo_crew_destroy(xo_crew_t *crew); /* takes NULL */

/* Starts all and runs until the end: 0, or -1 with the reason of the first that failed. */
int xo_crew_run(xo_crew_t *crew, xo_crew_ready_f ready, void *arg, xo_error_t *err);
/* Begins the orderly stop; the second call ends at once. On the first member's thread. */
void xo_crew_stop(xo_crew_t *crew);
/* Ends with an error, after an orderly stop. */
void xo_crew_fail(xo_crew_t *crew, const xo_error_t *why);

int xo_crew_count(const xo_crew_t *crew);
const char *xo_crew_address(const xo_crew_t *crew, int index); /* once ready */
xo_pool_t *xo_crew_first(xo_crew_t *crew);
xo_loop_t *xo_crew_loop(xo_crew_t *crew); /* the first member's */

#endif
