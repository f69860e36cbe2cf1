/* base.h - what the registry's implementations share: callbacks that are due later, and life times.
 */
#ifndef XO_REGISTRY_BASE_H
#define XO_REGISTRY_BASE_H

#include "registry/records.h"
#include "registry/registry.h"
#include "registry/url.h"

/* Whom an operation's end is told; one of the two functions, or none. */
typedef struct xo_sink {
    xo_reg_done_f done;
    xo_reg_records_f records;
    void *arg;
} xo_sink_t;

static inline xo_sink_t xoi_sink_done(xo_reg_done_f done, void *arg)
{
    return (xo_sink_t){done, NULL, arg};
}

static inline xo_sink_t xoi_sink_records(xo_reg_records_f records, void *arg)
{
    return (xo_sink_t){NULL, records, arg};
}

/* Fills in the common part. */
void xoi_registry_init(xo_registry_t *registry, const xo_registry_ops_t *ops, xo_loop_t *loop,
                       const xo_url_t *url, const char *cluster, const xo_registry_events_t *events,
                       void *arg);

/* A registry may be closed in any callback; it is freed when the last one that is held has
 * returned. */
void xoi_registry_hold(xo_registry_t *registry);
void xoi_registry_unhold(xo_registry_t *registry);

/* Ends an operation now. `records` is destroyed. `found_only`: xoi_records_prefer_found. */
typedef enum { XO_SORTED, XO_AS_THEY_COME, XO_FOUND_FIRST } xo_order_t;
void xoi_registry_end(xo_registry_t *registry, const xo_sink_t *sink, int errnum, const char *text,
                      xo_records_t *records, xo_order_t order);
/* The same in the loop's next pass, for what ends within the function that begins it. */
void xoi_registry_end_later(xo_registry_t *registry, const xo_sink_t *sink, int errnum,
                            const char *text, xo_records_t *records, xo_order_t order);
/* Ends with ECANCELED what xoi_registry_end_later holds back, and does so from now on. */
void xoi_registry_cancel(xo_registry_t *registry);

/* Where an actor's id has its last '@'; NULL: none. */
const char *xoi_actor_pool(const char *id);
/* Is `after` a stream id, "$-N" or "0"? *last: N, else -1. EINVAL. */
int xoi_parse_after(const char *after, long *last);

#define XO_SPEC_FIELD "spec" /* of the record that a spec is handed out in */

#define XO_EVENTS_MAX 10000 /* of the stream; enough for a look back, a few MB */

extern const xo_registry_ops_t xoi_memory_ops;
extern const xo_registry_ops_t xoi_redis_ops;

#endif
