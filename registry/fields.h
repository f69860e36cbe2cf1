/* fields.h - copies of a record's fields.
 */
#ifndef XO_REGISTRY_FIELDS_H
#define XO_REGISTRY_FIELDS_H

#include "registry/registry.h"

/* Names, and values as they are stored: what is no text is encoded. NULL: ENOMEM. */
xo_field_t *xoi_fields_copy(const xo_field_t *fields, size_t count);
void xoi_fields_free(xo_field_t *fields, size_t count); /* takes NULL */

#endif
