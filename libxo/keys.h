/* keys.h - the cluster's CURVE key (contract 16; RFC 26/CurveZMQ).
 *
 * All members of a cluster share one key pair, in a file of czmq's certificate format (zcert(3)) in
 * $XO_CONFIG_DIR, else $XDG_CONFIG_HOME/xo, else ~/.config/xo, as CLUSTER.key (0600, directory
 * 0700). Who has it may talk; ZAP refuses everybody else.
 */
#ifndef XO_KEYS_H
#define XO_KEYS_H

#include <stdint.h>

#include "libxo/error.h"

#define XO_KEY_BYTES 32
#define XO_KEY_TEXT_BYTES 41 /* Z85, with its NUL (RFC 32/Z85) */

typedef struct xo_keys {
    char public_text[XO_KEY_TEXT_BYTES];
    char secret_text[XO_KEY_TEXT_BYTES];
} xo_keys_t;

/* Loads the key of `cluster`, or makes it; two processes that make it at the same time end up
 * with the same one. EPERM if the file is readable by others; EBADMSG if it is no key; the
 * sentence names the file. */
int xo_keys_load(const char *cluster, xo_keys_t *keys, xo_error_t *err);

#endif
