#include "registry/fields.h"

#include <stdlib.h>
#include <string.h>

#include "registry/text.h"

void xoi_fields_free(xo_field_t *fields, size_t count)
{
    for (size_t i = 0; fields && i < count; i++) {
        free((char *)fields[i].name);
        free((char *)fields[i].value.data);
    }
    free(fields);
}

xo_field_t *xoi_fields_copy(const xo_field_t *fields, size_t count)
{
    xo_field_t *copy = calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        xo_buf_t value = XO_BUF_INIT;
        xoi_encode(&value, fields[i].value, false);
        copy[i].name = strdup(fields[i].name);
        copy[i].value = xo_buf_slice(&value);
        if (!copy[i].name || xo_buf_ok(&value) < 0) {
            xoi_fields_free(copy, i + 1);
            return NULL;
        }
    }
    return copy;
}
