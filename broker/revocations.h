/* revocations.h - tells the other machines of a cluster, through the registry, which keys are
 * revoked, and takes over what they tell.
 *
 * What is told is taken for true only with its seal (broker/seal.h), and only that a key is
 * revoked: nobody is admitted by the registry. The list itself is the file of libxo/members.h,
 * which each process of the machine looks at, so to take a revocation over is to write it there.
 */
#ifndef XO_BROKER_REVOCATIONS_H
#define XO_BROKER_REVOCATIONS_H

#include "broker/broker.h"

typedef struct xo_revocations xo_revocations_t;

/* NULL: ENOMEM, and what xo_members_load says. */
xo_revocations_t *xo_revocations_create(xo_broker_t *broker, xo_ctx_t *ctx, xo_error_t *err);
void xo_revocations_destroy(xo_revocations_t *revocations); /* takes NULL */

/* The registry is there (again): tells it all that are known, and looks what it knows. */
void xo_revocations_publish(xo_revocations_t *revocations);
/* Is this machine's own key revoked? */
bool xo_revocations_has_own(const xo_revocations_t *revocations);

#endif
