/* spec.h - what starts a pool, and starts it again: a command, an environment, an address, a
 * policy.
 */
#ifndef XO_BROKER_SPEC_H
#define XO_BROKER_SPEC_H

#include "broker/policy.h"
#include "libxo/address.h"
#include "libxo/endpoint.h"

#define XO_READY_MS 30000 /* a Python interpreter on a slow disk may need many seconds */
#define XO_STOP_MS 1000   /* contract 15 gives the whole node 2 s */

/* Plain data but for the three texts: runs.c writes the rest down as it is. */
typedef struct xo_pool_spec {
    char **argv;  /* ends with NULL */
    char **env;   /* "NAME=VALUE", ends with NULL; NULL: none */
    char *output; /* file for its standard output and error; NULL: the broker's */
    char label[XO_LABEL_BYTES];
    char address[XO_ADDRESS_BYTES]; /* "host:port" to advertise, port 0: any */
    char bind[XO_ADDRESS_BYTES];    /* "": as advertised */
    int index;                      /* on the node; -1: the next free one */
    int64_t ready_ms;               /* within which it must say that it is ready */
    int64_t
        hang_ms; /* a loop that stands still for so long is killed; 0: none, -1: as the node says */
    bool recover; /* its actors are created again with it */
    bool spare;   /* the command knows how to wait as a spare (spare.h) */
    xo_policy_t policy;
} xo_pool_spec_t;

/* With the defaults: address 127.0.0.1:0, index -1, permanent. NULL: ENOMEM. */
xo_pool_spec_t *xo_pool_spec_create(void);
xo_pool_spec_t *xo_pool_spec_copy(const xo_pool_spec_t *spec);
void xo_pool_spec_destroy(xo_pool_spec_t *spec); /* takes NULL */

int xo_pool_spec_add_arg(xo_pool_spec_t *spec, xo_slice_t arg);
/* EINVAL: a name that is empty or has a '='; it is named. */
int xo_pool_spec_set_env(xo_pool_spec_t *spec, xo_slice_t name, xo_slice_t value, xo_error_t *err);
/* These check the text: EINVAL with a sentence. */
int xo_pool_spec_set_label(xo_pool_spec_t *spec, xo_slice_t label, xo_error_t *err);
int xo_pool_spec_set_address(xo_pool_spec_t *spec, const char *address, xo_error_t *err);
int xo_pool_spec_set_bind(xo_pool_spec_t *spec, const char *bind, xo_error_t *err);
/* "actors" or "none". */
int xo_pool_spec_set_recover(xo_pool_spec_t *spec, const char *text, xo_error_t *err);
/* Adds `by` to the ports of address and bind that are not 0. ERANGE above 65535. */
int xo_pool_spec_shift_ports(xo_pool_spec_t *spec, int by, xo_error_t *err);

#endif
