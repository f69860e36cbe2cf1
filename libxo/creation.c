#include <string.h>

#include "libxo/msg.h"

/* Of three values with the options; without, there are two, or it is no array. */
xo_slice_t xo_create_options(xo_slice_t body)
{
    uint32_t count;
    xo_slice_t options;
    xo_reader_t reader = xo_reader(body);
    if (xo_read_type(&reader) == XO_T_ARRAY && xo_read_array(&reader, &count) == 0 && count == 3 &&
        xo_read_skip(&reader) == 0 && xo_read_skip(&reader) == 0 &&
        xo_read_type(&reader) == XO_T_MAP && xo_read_raw(&reader, &options) == 0)
        return options;
    return xo_slice(NULL, 0);
}

bool xo_create_is_anywhere(xo_slice_t body)
{
    char placement[8];
    xo_slice_t options = xo_create_options(body);
    return options.size && xo_map_get_str(options, "placement", placement, sizeof placement) == 0 &&
           !strcmp(placement, "any");
}
