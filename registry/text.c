#include "registry/text.h"

#include <errno.h>
#include <string.h>

#include "libxo/utf8.h"

/* How many bytes at `at` can be taken as they are. */
static size_t plain_length(const char *at, size_t left, bool key)
{
    size_t length = xo_utf8_length(at, left);
    if (length != 1)
        return length;
    unsigned char byte = (unsigned char)at[0];
    if (byte == '\t' || byte == '\n' || byte == ' ')
        return key ? 0 : 1;
    return byte > ' ' && byte != 0x7f ? 1 : 0;
}

static bool is_plain_key(const char *at, size_t left)
{
    while (left) {
        size_t length = plain_length(at, left, true);
        if (length == 0)
            return false;
        at += length;
        left -= length;
    }
    return true;
}

bool xoi_is_key(const char *id)
{
    return id && *id && is_plain_key(id, strlen(id));
}

static void encode_byte(xo_buf_t *out, unsigned char byte)
{
    static const char digits[] = "0123456789ABCDEF";
    char text[3] = {'%', digits[byte >> 4], digits[byte & 15]};
    xo_buf_append(out, text, sizeof(text));
}

void xoi_encode(xo_buf_t *out, xo_slice_t bytes, bool key)
{
    const char *at = bytes.data, *end = bytes.data + bytes.size;
    while (at < end) {
        size_t length = plain_length(at, (size_t)(end - at), key);
        if (length == 0 || (key && (*at == '%' || *at == '@'))) {
            encode_byte(out, (unsigned char)*at++);
        } else {
            xo_buf_append(out, at, length);
            at += length;
        }
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int xoi_decode(xo_slice_t text, char *out, size_t size, size_t *out_size)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        char byte = text.data[i];
        if (byte == '%') {
            int high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;
            if (low < 0)
                return errno = EINVAL, -1;
            byte = (char)(high << 4 | low);
            i += 2;
        }
        if (n == size)
            return errno = ENOBUFS, -1;
        out[n++] = byte;
    }
    *out_size = n;
    return 0;
}
