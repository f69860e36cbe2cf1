/* address.h - advertised addresses: "host:port", "[v6]:port" (contract 1).
 *
 * A pool that is reached through its node's port has an address in which the number behind the
 * colon is above 65535: the node's port, and four digits for its place there. "gpu1:70000003" is
 * place 3 behind port 7000 of gpu1. So that form, too, says all that is needed to dial it.
 */
#ifndef XO_ADDRESS_H
#define XO_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "libxo/error.h"

#define XO_HOST_BYTES 256
#define XO_ADDRESS_BYTES 272

#define XO_PORT_MAX 65535
#define XO_PLACES 10000    /* behind one port, place 0 included */
#define XO_PLACES_OWN 5000 /* of them are the node's own; the others are lent, in blocks of: */
#define XO_PLACES_LENT 100
#define XO_SHARED_PORT_MIN 100 /* so that no typing error in a port makes a place of it */

typedef struct xo_address {
    char host[XO_HOST_BYTES]; /* without brackets */
    int port;                 /* 0: any; above XO_PORT_MAX: a node's port and a place behind it */
} xo_address_t;

/* Parses "host", "host:port", "v6", "[v6]", "[v6]:port". Without a port it is 0. EINVAL with a
 * sentence that names the text for anything else. Hosts are names of letters, digits, '.', '-' and
 * '_', or IPv4 or IPv6 addresses; nothing is looked up. */
int xo_address_parse(const char *text, xo_address_t *address, xo_error_t *err);
/* "host:port" or "[v6]:port" into text[size]; ENOBUFS. */
int xo_address_format(const xo_address_t *address, char *text, size_t size);
bool xo_address_is_any(const xo_address_t *address); /* 0.0.0.0 or ::, in any spelling */
bool xo_address_is_v6(const xo_address_t *address);
/* Of the machine itself: 127.0.0.0/8, ::1, localhost. Other names are not looked up. */
bool xo_address_is_loopback(const xo_address_t *address);
/* Is it behind a node's port? Then that port is xo_address_door. */
bool xo_address_is_behind(const xo_address_t *address);
xo_address_t xo_address_door(const xo_address_t *address);
/* Parses a node's port; or, of a node that can only dial out, the first of its XO_PLACES_LENT
 * places behind another node's. EINVAL for one that nobody could dial, or below XO_SHARED_PORT_MIN.
 */
int xo_address_parse_door(const char *text, xo_address_t *address, xo_error_t *err);
/* What is at a place (0 to XO_PLACES - 1) behind the port of `door`. */
xo_address_t xo_address_place(const xo_address_t *door, int place);
bool xo_address_equal(const xo_address_t *a, const xo_address_t *b); /* as texts */

#endif
