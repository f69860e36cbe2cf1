/* address.h - advertised addresses: "host:port", "[v6]:port" (contract 1).
 */
#ifndef XO_ADDRESS_H
#define XO_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "libxo/error.h"

#define XO_HOST_BYTES 256
#define XO_ADDRESS_BYTES 272

typedef struct xo_address {
    char host[XO_HOST_BYTES]; /* without brackets */
    int port;                 /* 0: any */
} xo_address_t;

/* Parses "host", "host:port", "v6", "[v6]", "[v6]:port". Without a port it is 0. EINVAL with a
 * sentence that names the text for anything else. Hosts are names of letters, digits, '.', '-' and
 * '_', or IPv4 or IPv6 addresses; nothing is looked up. */
int xo_address_parse(const char *text, xo_address_t *address, xo_error_t *err);
/* "host:port" or "[v6]:port" into text[size]; ENOBUFS. */
int xo_address_format(const xo_address_t *address, char *text, size_t size);
bool xo_address_is_any(const xo_address_t *address); /* 0.0.0.0 or :: */
bool xo_address_is_v6(const xo_address_t *address);

#endif
