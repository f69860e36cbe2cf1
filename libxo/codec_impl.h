/* codec_impl.h - how an endpoint refuses pickles, for codec.c and the endpoint.
 *
 * Each refusal is counted, kept among the dead letters, and told of once a minute and source.
 */
#ifndef XO_CODEC_IMPL_H
#define XO_CODEC_IMPL_H

#include <stdbool.h>

#include "libxo/codec.h"
#include "libxo/msg.h"

struct xo_call;
struct xo_endpoint;
struct xo_link;

/* True: the request was refused, and answered if it waits for an answer. */
bool xoi_codec_refuses_request(struct xo_link *from, const xo_msg_t *msg);
/* Puts an error into the place of a result that is refused. `from` NULL: it is this endpoint's. */
void xoi_codec_check_answer(struct xo_link *from, xo_msg_t **msg);

/* endpoint.c: keeps it among the dead letters, and counts nothing. */
void xoi_codec_keep(struct xo_endpoint *endpoint, const xo_msg_t *msg);
/* route.c: is it a request of somebody else's, to whom the answer goes on? */
bool xoi_codec_passes(const struct xo_call *call);

#endif
