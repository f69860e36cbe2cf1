/* parting.h - connections whose last words are on their way.
 *
 * A tcp connection that is closed with something in it that nobody has read is reset, and what had
 * not left by then is lost (RFC 1122, 4.2.2.13). A peer that takes sends us something all the time:
 * credit. So who leaves holds its connections by a descriptor of its own while libzmq sends the
 * rest and closes, ends only the sending of them then, and reads until the peer has ended them,
 * too. A thread of the context does that, which the first one starts, as the loop of who leaves may
 * end at once.
 */
#ifndef XO_PARTING_H
#define XO_PARTING_H

#include <pthread.h>
#include <stdbool.h>

struct xo_ctx;
struct xoi_parting;

/* However slowly a peer takes, who leaves does not wait for longer. */
#define XOI_PARTING_MS 10000

/* Of a context, guarded by its lock; zeroed at first. */
typedef struct xoi_partings {
    struct xoi_parting *fresh; /* the thread has not seen them */
    pthread_t thread;
    pthread_cond_t changed;
    bool runs;
    bool ending;
} xoi_partings_t;

/* Holds the connection that libzmq has by `fd`; NULL: that is no tcp connection, or ENOMEM. libzmq
 * may have closed it before, and the descriptor be another's by now: who finds no word of that in
 * the socket's events after this holds the right one. */
struct xoi_parting *xoi_parting_hold(int fd);
void xoi_parting_release(struct xoi_parting *parting); /* it is not parted from; takes NULL */
/* The socket closes next, with a linger of XOI_LINGER_MS. What has left libzmq by then may take
 * longer, as long as the peer goes on taking. Takes it over. */
void xoi_part(struct xo_ctx *ctx, struct xoi_parting *parting);
/* Waits until all have ended. After libzmq's threads have. */
void xoi_partings_end(struct xo_ctx *ctx);

#endif
