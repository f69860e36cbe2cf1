/* admission.h - whom a process admits on tcp: its own key, and the members who are not revoked.
 *
 * The ZAP handler's thread watches the list; listeners ask, and are told of a change through a
 * descriptor of theirs. All of it may be called by any thread.
 */
#ifndef XO_ADMISSION_H
#define XO_ADMISSION_H

#include <limits.h>
#include <pthread.h>

#include "libxo/members.h"

#define XOI_ADMISSION_LOOK_MS 250 /* where the kernel does not tell of changes */

#define XOI_HOST_BYTES 46  /* of an address in digits, INET6_ADDRSTRLEN */
#define XOI_REFUSED_MAX 64 /* that nobody has asked for; further ones replace the first */

/* Somebody whom ZAP refused. */
typedef struct xoi_refused {
    char host[XOI_HOST_BYTES];
    char key[XO_KEY_TEXT_BYTES]; /* "": it showed none */
    bool revoked;                /* it was a member's */
} xoi_refused_t;

typedef struct xoi_admission {
    pthread_mutex_t lock; /* guards the members and the wakers */
    xo_members_t members;
    int *wakers; /* eventfd's of listeners */
    size_t waker_count;
    char own[XO_KEY_TEXT_BYTES];
    char path[PATH_MAX]; /* of the list; "": closed */
    int watch_fd;        /* an inotify of its directory; -1 (there are few a user may have): look
                            every XOI_ADMISSION_LOOK_MS */
    xoi_refused_t refused[XOI_REFUSED_MAX]; /* a ring, guarded by the lock */
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
/* The list may have changed. -1: it cannot be read, and who was admitted stays so. */
int xoi_admission_look(xoi_admission_t *admission, xo_error_t *err);

/* From now on `fd`, an eventfd, is told of changes. -1: ENOMEM. */
int xoi_admission_tell(xoi_admission_t *admission, int fd);
void xoi_admission_forget(xoi_admission_t *admission, int fd);

#endif
