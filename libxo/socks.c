/* socks.c - see socks.h. */
#include "libxo/socks.h"

#include <string.h>

#define GREETING_HEAD 2
#define REQUEST_HEAD 5 /* with the length of the name */
#define PORT_BYTES 2

enum { CONNECT = 1 };
enum { IPV4 = 1, NAME = 3, IPV6 = 4 };

size_t xoi_socks_greeting_size(const uint8_t *bytes, size_t size)
{
    if (size > 0 && bytes[0] != XOI_SOCKS_VERSION)
        return 0;
    if (size < GREETING_HEAD)
        return GREETING_HEAD;
    size_t all = GREETING_HEAD + bytes[1];
    if (size < all)
        return all;
    return memchr(bytes + GREETING_HEAD, 0, bytes[1]) ? all : 0; /* no method */
}

static size_t address_bytes(const uint8_t *bytes)
{
    switch (bytes[3]) {
    case IPV4:
        return 4;
    case IPV6:
        return 16;
    default:
        return 1 + (size_t)bytes[4];
    }
}

size_t xoi_socks_request_size(const uint8_t *bytes, size_t size)
{
    if ((size > 0 && bytes[0] != XOI_SOCKS_VERSION) ||
        (size > 3 && bytes[3] != NAME && bytes[3] != IPV4 && bytes[3] != IPV6))
        return 0;
    return size < REQUEST_HEAD ? REQUEST_HEAD
                               : REQUEST_HEAD - 1 + address_bytes(bytes) + PORT_BYTES;
}

int xoi_socks_request_name(const uint8_t *bytes, size_t size, char name[XOI_SOCKS_BYTES])
{
    size_t length = bytes[4];
    if (bytes[1] != CONNECT)
        return XOI_SOCKS_NO_COMMAND;
    if (bytes[3] != NAME || size != REQUEST_HEAD + length + PORT_BYTES ||
        memchr(bytes + REQUEST_HEAD, 0, length))
        return XOI_SOCKS_NO_NAME;
    memcpy(name, bytes + REQUEST_HEAD, length);
    name[length] = '\0';
    return XOI_SOCKS_DONE;
}

void xoi_socks_reply(int code, uint8_t reply[XOI_SOCKS_REPLY_BYTES])
{
    memset(reply, 0, XOI_SOCKS_REPLY_BYTES);
    reply[0] = XOI_SOCKS_VERSION;
    reply[1] = (uint8_t)code;
    reply[3] = IPV4;
}
