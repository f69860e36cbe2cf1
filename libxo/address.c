/* address.c - "host:port" apart and together. */

#include "libxo/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PORT_DIGITS_MAX 9 /* fit into an int */

static int refuse(const char *text, xo_error_t *err, const char *why)
{
    return xo_error_set(err, EINVAL, "\"%.300s\" is no address: %s", text, why);
}

/* In any locale; strspn(3) makes a table of what it is given, at each call. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_of_name(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_';
}

/* `why` is NULL, or set to what is wrong. */
static const char *read_port(const char *text, int *port)
{
    static const char why[] = "the port must be a number from 0 to 65535";
    size_t digits = 0;
    while (is_digit(text[digits]))
        digits++;
    if (digits == 0 || digits > PORT_DIGITS_MAX || text[digits] != '\0')
        return why;
    *port = 0;
    for (size_t i = 0; i < digits; i++)
        *port = *port * 10 + (text[i] - '0');
    if (*port <= XO_PORT_MAX)
        return NULL;
    int shared = *port / XO_PLACES;
    return shared < XO_SHARED_PORT_MIN || shared > XO_PORT_MAX ? why : NULL;
}

static const char *copy_host(const char *host, size_t length, xo_address_t *address)
{
    if (length == 0)
        return "the host is missing";
    if (length >= XO_HOST_BYTES)
        return "the host is too long";
    memcpy(address->host, host, length);
    address->host[length] = '\0';
    return NULL;
}

static const char *read_v6(const char *host, size_t length, xo_address_t *address)
{
    struct in6_addr v6;
    const char *why = copy_host(host, length, address);
    if (why)
        return why;
    return inet_pton(AF_INET6, address->host, &v6) == 1 ? NULL : "this is no IPv6 address";
}

static const char *read_name(const char *host, size_t length, xo_address_t *address)
{
    struct in_addr v4;
    const char *why = copy_host(host, length, address);
    if (why)
        return why;
    bool numeric = true;
    for (size_t i = 0; i < length; i++) {
        if (!is_of_name(host[i]))
            return "the host may hold letters, digits, dots and hyphens";
        numeric = numeric && (is_digit(host[i]) || host[i] == '.');
    }
    if (numeric && inet_pton(AF_INET, address->host, &v4) != 1)
        return "this is no IPv4 address";
    return NULL;
}

/* "[v6]" or "[v6]:port" */
static const char *read_bracketed(const char *text, xo_address_t *address)
{
    const char *close = strchr(text, ']');
    if (!close)
        return "a bracket is not closed";
    const char *why = read_v6(text + 1, (size_t)(close - text - 1), address);
    if (why || close[1] == '\0')
        return why;
    return close[1] == ':' ? read_port(close + 2, &address->port)
                           : "only :PORT may follow the bracket";
}

static const char *read_any(const char *text, xo_address_t *address)
{
    const char *colon = strchr(text, ':');
    if (text[0] == '[')
        return read_bracketed(text, address);
    if (!colon)
        return read_name(text, strlen(text), address);
    if (strchr(colon + 1, ':'))
        return read_v6(text, strlen(text), address);
    const char *why = read_name(text, (size_t)(colon - text), address);
    return why ? why : read_port(colon + 1, &address->port);
}

int xo_address_parse(const char *text, xo_address_t *address, xo_error_t *err)
{
    memset(address, 0, sizeof *address);
    if (!text)
        return xo_error_set(err, EINVAL, "an address is missing");
    const char *why = read_any(text, address);
    return why ? refuse(text, err, why) : 0;
}

int xo_address_format(const xo_address_t *address, char *text, size_t size)
{
    const char *format = xo_address_is_v6(address) ? "[%s]:%d" : "%s:%d";
    int length = snprintf(text, size, format, address->host, address->port);
    if (length >= 0 && (size_t)length < size)
        return 0;
    errno = ENOBUFS;
    return -1;
}

bool xo_address_is_any(const xo_address_t *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_aton(address->host, &v4) != 0) /* as who binds reads it: "0" and "0x0", too */
        return v4.s_addr == htonl(INADDR_ANY);
    if (inet_pton(AF_INET6, address->host, &v6) != 1)
        return false;
    return IN6_IS_ADDR_UNSPECIFIED(&v6) ||
           (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr32[3] == htonl(INADDR_ANY));
}

bool xo_address_is_behind(const xo_address_t *address)
{
    return address->port > XO_PORT_MAX;
}

xo_address_t xo_address_door(const xo_address_t *address)
{
    xo_address_t door = *address;
    if (xo_address_is_behind(address))
        door.port /= XO_PLACES;
    return door;
}

int xo_address_parse_door(const char *text, xo_address_t *address, xo_error_t *err)
{
    if (xo_address_parse(text, address, err) < 0)
        return -1;
    if (address->port < XO_SHARED_PORT_MIN)
        return xo_error_set(err, EINVAL, "\"%.300s\" is no node's port: HOST:PORT, from %d to %d",
                            text, XO_SHARED_PORT_MIN, XO_PORT_MAX);
    int place = xo_address_is_behind(address) ? address->port % XO_PLACES : XO_PLACES_OWN;
    if (place < XO_PLACES_OWN || place % XO_PLACES_LENT != 0)
        return xo_error_set(err, EINVAL,
                            "\"%.300s\": places behind another node's port begin at a multiple of "
                            "%d, from %d",
                            text, XO_PLACES_LENT, XO_PLACES_OWN);
    if (xo_address_is_any(address))
        return xo_error_set(err, EINVAL,
                            "\"%.300s\" is no address that anybody can dial: it may be bound only",
                            text);
    return 0;
}

xo_address_t xo_address_place(const xo_address_t *door, int place)
{
    xo_address_t behind = *door;
    behind.port = door->port * XO_PLACES + place;
    return behind;
}

bool xo_address_equal(const xo_address_t *a, const xo_address_t *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

bool xo_address_is_v6(const xo_address_t *address)
{
    return strchr(address->host, ':') != NULL;
}

bool xo_address_is_loopback(const xo_address_t *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, address->host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
    if (inet_pton(AF_INET6, address->host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcasecmp(address->host, "localhost") == 0;
}
