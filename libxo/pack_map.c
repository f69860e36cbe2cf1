/* pack_map.c - looks values up in a msgpack map by their str key. */

#include <errno.h>
#include <string.h>

#include "libxo/pack.h"

/* Is the next value the str `key`? Moves past it either way. */
static int read_key(xo_reader_t *reader, const char *key, bool *found)
{
    xo_slice_t text;
    *found = false;
    if (xo_read_type(reader) != XO_T_STR)
        return xo_read_skip(reader);
    if (xo_read_str(reader, &text) < 0)
        return -1;
    *found = xo_slice_eq_str(text, key);
    return 0;
}

int xo_map_get(xo_slice_t map, const char *key, xo_slice_t *value)
{
    xo_reader_t reader = xo_reader(map);
    uint32_t pairs;
    if (xo_read_map(&reader, &pairs) < 0)
        return -1;
    for (uint32_t i = 0; i < pairs; i++) {
        xo_slice_t raw;
        bool found;
        if (read_key(&reader, key, &found) < 0 || xo_read_raw(&reader, &raw) < 0)
            return -1;
        if (found) {
            *value = raw;
            return 0;
        }
    }
    errno = ENOENT;
    return -1;
}

/* A reader on the value of `key`, which is not nil. */
static int find(xo_slice_t map, const char *key, xo_reader_t *reader)
{
    xo_slice_t value;
    if (xo_map_get(map, key, &value) < 0)
        return -1;
    *reader = xo_reader(value);
    if (xo_read_type(reader) != XO_T_NIL)
        return 0;
    errno = ENOENT;
    return -1;
}

int xo_map_get_str(xo_slice_t map, const char *key, char *text, size_t size)
{
    xo_reader_t reader;
    xo_slice_t value;
    if (find(map, key, &reader) < 0 || xo_read_str(&reader, &value) < 0)
        return -1;
    if (memchr(value.data, '\0', value.size)) {
        errno = EBADMSG;
        return -1;
    }
    if (value.size >= size) {
        errno = ENOBUFS;
        return -1;
    }
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    return 0;
}

int xo_map_get_int(xo_slice_t map, const char *key, int64_t *value)
{
    xo_reader_t reader;
    return find(map, key, &reader) < 0 ? -1 : xo_read_int(&reader, value);
}
