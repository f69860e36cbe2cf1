/* watches.h - who wants to hear of which uid's actors, and what has changed, in memory.
 */
#ifndef XO_REGISTRY_WATCHES_H
#define XO_REGISTRY_WATCHES_H

#include <stddef.h>

#include "registry/records.h"

/* Of one uid. */
typedef struct xo_watched xo_watched_t;

/* Zero-initialise. */
typedef struct xo_watches {
    xo_watched_t *table;
} xo_watches_t;

/* -1: ENOMEM. */
int xoi_watches_add(xo_watches_t *watches, const char *uid, const char *reader);
/* An actor with this uid, the first `size` bytes, was put or removed. */
void xoi_watches_note(xo_watches_t *watches, const char *uid, size_t size);
/* Adds the uids that have changed for `reader`, at most `max`, and forgets them. */
void xoi_watches_take(xo_watches_t *watches, const char *reader, size_t max, xo_records_t *records);
void xoi_watches_free(xo_watches_t *watches);

#endif
