/* ask.h - one request to the broker, from its arrival until it is answered, now or later.
 *
 * Every ask ends exactly once, with one of the xo_ask_reply* or xo_ask_fail; it is gone afterwards.
 * That answers (unless it was a tell) and gives the credit back.
 */
#ifndef XO_BROKER_ASK_H
#define XO_BROKER_ASK_H

#include "libxo/endpoint.h"

typedef struct xo_ask xo_ask_t;

/* The asks under way at one endpoint. Zero-initialise but for `endpoint`. */
typedef struct xo_asks {
    xo_endpoint_t *endpoint;
    xo_ask_t *head;
} xo_asks_t;

/* Takes *msg over. NULL: ENOMEM, and the message has been answered. */
xo_ask_t *xo_ask_create(xo_asks_t *asks, xo_link_t *from, xo_msg_t **msg);
const xo_msg_t *xo_ask_msg(const xo_ask_t *ask);
xo_msg_t *xo_ask_msg_mut(xo_ask_t *ask);     /* to share its buffers */
xo_link_t *xo_ask_from(const xo_ask_t *ask); /* NULL: this endpoint */
/* The positional arguments, a msgpack array. -1: fails the ask with a Refused that names the
 * method, for keyword arguments and for what is not plain msgpack. */
int xo_ask_args(xo_ask_t *ask, xo_slice_t *args);

void xo_ask_reply(xo_ask_t *ask, const char *format, ...); /* pack.h's format, one value */
void xo_ask_reply_value(xo_ask_t *ask, xo_buf_t *value); /* frees it; ENOMEM in it fails the ask */
void xo_ask_reply_msg(xo_ask_t *ask, xo_msg_t **answer); /* takes it over */
/* A tell that fails is counted as a drop. */
void xo_ask_fail(xo_ask_t *ask, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Somebody who answers later says how to stop: `stop` lets go of the ask, which then is failed by
 * whoever called xo_asks_cancel or xo_asks_fail. */
typedef void (*xo_ask_stop_f)(xo_ask_t *ask, void *arg);
void xo_ask_on_stop(xo_ask_t *ask, xo_ask_stop_f stop, void *arg);
/* Takes it out of where it is kept, to answer it: `stop` is not called any more. NULL: none was. */
xo_ask_t *xo_ask_take(xo_ask_t **kept);
/* A cancel message came: the ask that it names (if it is under way, and can be stopped) fails with
 * Cancelled. */
void xo_asks_cancel(xo_asks_t *asks, const xo_link_t *from, const xo_msg_t *cancel);
/* The end: all fail with ServerClosed. */
void xo_asks_fail(xo_asks_t *asks, const char *why);

#endif
