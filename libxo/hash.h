/* hash.h - uthash, which must not end the process when memory for a table runs out: the element is
 * then not in the table, and whoever added it asks XOI_HASHED.
 */
#ifndef XO_HASH_H
#define XO_HASH_H

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Is `element`, which was added by its handle `hh`, in the table? */
#define XOI_HASHED(hh, element) ((element)->hh.tbl != NULL)

#endif
