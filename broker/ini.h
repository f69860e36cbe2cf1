/* ini.h - reads a file of the form KEY = VALUE and [SECTION], with libinih; what the keys are is
 * the caller's affair.
 */
#ifndef XO_BROKER_INI_H
#define XO_BROKER_INI_H

#include <stdbool.h>

#include "libxo/error.h"

#define XO_INI_NAME_BYTES 50 /* libinih cuts names and sections there */

/* -1 with a sentence: that is a mistake, and ends the reading. */
typedef struct xo_ini_events {
    /* `continues`: the line goes on with the value of the one before. */
    int (*key)(void *arg, const char *section, const char *name, const char *value, bool continues,
               xo_error_t *err);
    /* A section ended that had no key. */
    int (*bare)(void *arg, const char *section, xo_error_t *err);
} xo_ini_events_t;

/* -1: the file cannot be read, or EINVAL; the sentence begins with "FILE: " or "FILE:LINE: ". */
int xo_ini_read(const char *path, const xo_ini_events_t *events, void *arg, xo_error_t *err);

#endif
