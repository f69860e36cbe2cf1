/* admission.h - whom a process admits on tcp: its own key, and the members who are not revoked.
 *
 * The list is looked at, which costs a stat(2) while it has not changed, with each handshake, and
 * by listeners while somebody else's machine is there: so a process that talks to its own machine
 * only does nothing for it, and none needs a watch (inotify(7)), of which a user has few. All of it
 * may be called by any thread.
 */
#ifndef XO_ADMISSION_H
#define XO_ADMISSION_H

#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>

#include "libxo/members.h"

#define XOI_ADMISSION_LOOK_MS 250

#define XOI_HOST_BYTES 46  /* of an address in digits, INET6_ADDRSTRLEN */
#define XOI_REFUSED_MAX 64 /* that nobody has asked for; further ones replace the first */

/* Somebody whom ZAP refused. */
typedef struct xoi_refused {
    char host[XOI_HOST_BYTES];
    char key[XO_KEY_TEXT_BYTES]; /* "": it showed none */
    bool revoked;                /* it was a member's */
} xoi_refused_t;

typedef struct xoi_admission {
    pthread_mutex_t lock; /* guards all but path and own */
    xo_members_t members;
    struct stat seen; /* the file as it was read last; st_ino 0: there was none */
    char own[XO_KEY_TEXT_BYTES];
    char path[PATH_MAX];                    /* of the list; "": closed */
    xoi_refused_t refused[XOI_REFUSED_MAX]; /* a ring */
    size_t refused_first, refused_count;
} xoi_admission_t;

/* EPERM, EBADMSG: the list cannot be used. */
int xoi_admission_open(xoi_admission_t *admission, const char *cluster, const xo_keys_t *keys,
                       xo_error_t *err);
void xoi_admission_close(xoi_admission_t *admission);
bool xoi_admission_has(xoi_admission_t *admission, const char *key);
/* For who tells: libzmq says only that ZAP refused somebody. */
void xoi_admission_note_refused(xoi_admission_t *admission, const char *host, const char *key);
bool xoi_admission_take_refused(xoi_admission_t *admission, xoi_refused_t *refused); /* the first */
bool xoi_admission_is_own(const xoi_admission_t *admission, const char *key);
/* Reads the list if it has changed. -1: it cannot be read, which is said once for each change, and
 * who was admitted stays so. */
int xoi_admission_look(xoi_admission_t *admission, xo_error_t *err);

#endif
