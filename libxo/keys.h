/* keys.h - the CURVE keys of a cluster (contract 16; RFC 26/CurveZMQ).
 *
 * All members of a cluster share the cluster's key pair, by which they know what they dial. Each
 * machine (or user) has a pair of its own besides, by which it is known when it dials; ZAP admits
 * the own one and those on the list of members (libxo/members.h). Both pairs are in one file of
 * czmq's certificate format (zcert(3)) in $XO_CONFIG_DIR, else $XDG_CONFIG_HOME/xo, else
 * ~/.config/xo, as CLUSTER.key (0600, directory 0700). A file with the cluster's pair alone is one
 * whose holders dial with that.
 */
#ifndef XO_KEYS_H
#define XO_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "libxo/error.h"

#define XO_KEY_BYTES 32
#define XO_KEY_TEXT_BYTES 41 /* Z85, with its NUL (RFC 32/Z85) */
#define XO_KEY_NAME_BYTES 64 /* of a member: [A-Za-z0-9_.-]+, with its NUL */

typedef struct xo_keys {
    char public_text[XO_KEY_TEXT_BYTES]; /* the cluster's */
    char secret_text[XO_KEY_TEXT_BYTES];
    char own_public[XO_KEY_TEXT_BYTES]; /* this member's */
    char own_secret[XO_KEY_TEXT_BYTES];
    char own_name[XO_KEY_NAME_BYTES]; /* "cluster": the file has no own pair */
} xo_keys_t;

/* Is it a name of a member? */
bool xo_key_name_ok(const char *name);

/* EINVAL unless it can be a cluster's name: 1 to 63 of A-Z a-z 0-9 _ . -, and no '.' at first. */
int xo_cluster_check(const char *cluster, xo_error_t *err);

/* Loads the keys of `cluster`, or makes them; two processes that make them at the same time end up
 * with the same ones. EPERM if the file is readable by others; EBADMSG if it holds no key; the
 * sentence names the file. */
int xo_keys_load(const char *cluster, xo_keys_t *keys, xo_error_t *err);
/* The same for who only asks: where there are none it gets some that are kept nowhere, so that this
 * machine can still become a member of a cluster. They are enough for ipc and shared memory. */
int xo_keys_borrow(const char *cluster, xo_keys_t *keys, xo_error_t *err);
/* The same, but ENOENT where there are none. */
int xo_keys_find(const char *cluster, xo_keys_t *keys, xo_error_t *err);
/* Makes them, with an own pair named `name` (NULL: after the machine). EEXIST: there are some;
 * EINVAL: a bad name. */
int xo_keys_generate(const char *cluster, const char *name, xo_keys_t *keys, xo_error_t *err);

/* What another machine needs to become the member `name`: the cluster's pair, a new pair of its
 * own, and the list of members. Puts the new one on the list here, and forgets its secret half.
 * For a member that is on the list: the list alone, without a secret. The text is the caller's, who
 * wipes and frees it. EEXIST: it is this machine's own name. */
char *xo_keys_export(const char *cluster, const char *name, xo_error_t *err);

typedef struct xo_keys_imported {
    char cluster[XO_KEY_NAME_BYTES];
    bool kept; /* there was a key of this cluster: only the list has been merged */
} xo_keys_imported_t;
/* Takes what was exported, and wipes `text`. `cluster` NULL: the one it was exported from. EBADMSG:
 * it is no such text; EINVAL: it is of another cluster than `cluster`; EEXIST: another cluster has
 * a key of this name here; ENOENT: it is the list alone, and there is no key of that cluster. */
int xo_keys_import(char *text, const char *cluster, xo_keys_imported_t *imported, xo_error_t *err);

#endif
