/* guard.h - a thread that ends a process which outlives its owner because its loop stands still.
 *
 * A loop that a method keeps busy cannot notice anything. The broker would end the process, but it
 * may be gone as well; then nobody else is left who could.
 */
#ifndef XO_POOL_GUARD_H
#define XO_POOL_GUARD_H

#include <pthread.h>
#include <stdbool.h>

#include "libxo/error.h"

typedef struct {
    pthread_t thread;
    int owner_fd; /* borrowed */
    int stop_fd;
    bool is_started;
} xoi_guard_t;

/* Watches `owner_fd`, a pidfd that is to outlive the guard. When its process has ended, and
 * xoi_guard_stop has not been called within 1.5 s, it kills this process, and its process group
 * where it leads one. ENFILE, EMFILE, EAGAIN, ENOMEM as from eventfd(2) and pthread_create(3). */
int xoi_guard_start(xoi_guard_t *guard, int owner_fd, xo_error_t *err);
/* Takes one that is all zero or was not started. */
void xoi_guard_stop(xoi_guard_t *guard);

#endif
