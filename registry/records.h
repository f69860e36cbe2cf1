/* records.h - records under construction: copies of ids, names and values, handed out as
 * xo_record_t once they are complete.
 *
 * An allocation that fails is remembered; xoi_records_finish tells.
 */
#ifndef XO_REGISTRY_RECORDS_H
#define XO_REGISTRY_RECORDS_H

#include "registry/registry.h"

typedef struct xo_records xo_records_t;

xo_records_t *xoi_records_create(void);          /* NULL: ENOMEM */
void xoi_records_destroy(xo_records_t *records); /* takes NULL */

/* Begins a record; the fields that follow are its. */
void xoi_records_begin(xo_records_t *records, xo_slice_t id);
void xoi_records_field(xo_records_t *records, xo_slice_t name, xo_slice_t value);

/* Hands them out in `list`, owned by `records`: sorted by id, the first of those with one id only,
 * or (events) as they came. 0, or -1 with ENOMEM. */
int xoi_records_finish(xo_records_t *records, bool sorted, xo_record_t **list, size_t *count);

/* Of a sorted list, moves the records whose state is not "lost" to the front and returns how many
 * to keep: these, or all if there is none. */
size_t xoi_records_prefer_found(xo_record_t *list, size_t count);
/* The field's value, or an empty slice. */
xo_slice_t xoi_record_field(const xo_record_t *record, const char *name);

#define XO_STATE_LOST "lost" /* of an actor whose pool is gone */

#endif
