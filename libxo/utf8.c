/* utf8.c - see utf8.h. */
#include "libxo/utf8.h"

#include <stdbool.h>

/* The first byte says the length and the least code point that needs it. */
static size_t sequence_length(unsigned char lead, unsigned *least, unsigned *code)
{
    if (lead < 0x80)
        return *least = 0, *code = lead, 1;
    if (lead >= 0xc2 && lead < 0xe0)
        return *least = 0x80, *code = lead & 0x1f, 2;
    if (lead >= 0xe0 && lead < 0xf0)
        return *least = 0x800, *code = lead & 0x0f, 3;
    if (lead >= 0xf0 && lead < 0xf5)
        return *least = 0x10000, *code = lead & 0x07, 4;
    return 0;
}

size_t xo_utf8_length(const char *at, size_t left)
{
    unsigned least, code;
    size_t length = left ? sequence_length((unsigned char)at[0], &least, &code) : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++) {
        unsigned char byte = (unsigned char)at[i];
        if ((byte & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (byte & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code < 0xe000;
    return code < least || surrogate || code > 0x10ffff ? 0 : length;
}

void xo_utf8_repair(char *text, size_t size)
{
    size_t length;
    for (size_t at = 0; at < size; at += length) {
        length = xo_utf8_length(text + at, size - at);
        if (length > 0)
            continue;
        text[at] = '?';
        length = 1;
    }
}
