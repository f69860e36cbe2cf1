/* members.h - who may dial: the list of a cluster's members, by their public keys.
 *
 * It is the file CLUSTER.members beside the cluster's key (0600), of the same syntax, and holds no
 * secret. What is revoked stays on it, so that no older list brings it back. Each process that
 * listens on tcp looks at it, and lets go at once of who was revoked. The own key is not on it.
 */
#ifndef XO_MEMBERS_H
#define XO_MEMBERS_H

#include <stddef.h>

#include "libxo/keys.h"

#define XO_MEMBERS_MAX 4096

typedef struct xo_key_member {
    char name[XO_KEY_NAME_BYTES];
    char key[XO_KEY_TEXT_BYTES];
    int64_t revoked; /* Unix time; 0: it may dial */
} xo_key_member_t;

typedef struct xo_members {
    xo_key_member_t *list;
    size_t count;
} xo_members_t;

#define XO_FINGERPRINT_BYTES (2 * XO_KEY_BYTES + 1)
#define XO_FINGERPRINT_SHOWN 16 /* digits that do to tell keys apart */

/* Nobody where there is no list. EPERM, EBADMSG as for the key. The caller clears it. */
int xo_members_load(const char *cluster, xo_members_t *members, xo_error_t *err);
void xo_members_clear(xo_members_t *members);
/* NULL: not on it. */
const xo_key_member_t *xo_members_find(const xo_members_t *members, const char *key);

/* EEXIST: one that is not revoked has this name, or it is the own one's. */
int xo_members_add(const char *cluster, const xo_key_member_t *member, xo_error_t *err);
/* `which` is a name or at least the first 8 digits of a fingerprint; *member tells whom it was.
 * ENOENT: nobody; EEXIST: several; EALREADY: revoked before; EBUSY: this machine's own key. */
int xo_members_revoke(const char *cluster, const char *which, xo_key_member_t *member,
                      xo_error_t *err);
/* Adds those that are new, and revokes those that `news` says are. */
int xo_members_merge(const char *cluster, const xo_members_t *news, xo_error_t *err);

/* A descriptor that can be read when the list may have changed (inotify(7)); who reads it throws
 * away what it reads, and closes it. -1: there are no more of them. */
int xo_members_watch(const char *cluster, xo_error_t *err);

/* The public key in hex digits. -1 EINVAL: it is none. */
int xo_key_fingerprint(const char *key, char text[XO_FINGERPRINT_BYTES]);
/* The reverse, of all the digits. */
int xo_key_from_fingerprint(const char *text, char key[XO_KEY_TEXT_BYTES]);

#endif
