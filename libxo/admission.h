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

typedef struct xoi_admission {
    pthread_mutex_t lock; /* guards the members and the wakers */
    xo_members_t members;
    int *wakers; /* eventfd's of listeners */
    size_t waker_count;
    char own[XO_KEY_TEXT_BYTES];
    char path[PATH_MAX]; /* of the list; "": closed */
    int watch_fd;        /* an inotify of its directory; -1: look every XOI_ADMISSION_LOOK_MS */
} xoi_admission_t;

/* EPERM, EBADMSG: the list cannot be used. */
int xoi_admission_open(xoi_admission_t *admission, const char *cluster, const xo_keys_t *keys,
                       xo_error_t *err);
void xoi_admission_close(xoi_admission_t *admission);
bool xoi_admission_has(xoi_admission_t *admission, const char *key);
/* The list may have changed. -1: it cannot be read, and who was admitted stays so. */
int xoi_admission_look(xoi_admission_t *admission, xo_error_t *err);

/* From now on `fd`, an eventfd, is told of changes. -1: ENOMEM. */
int xoi_admission_tell(xoi_admission_t *admission, int fd);
void xoi_admission_forget(xoi_admission_t *admission, int fd);

#endif
