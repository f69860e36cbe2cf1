/* segment.h - memory that two processes share, and what passes it between them.
 *
 * A segment is a memfd_create(2): it has no name, so nothing is left behind however its processes
 * end. All its pages are there from the beginning (fallocate(2)), and it is sealed against changes
 * of its size, so touching it never ends in SIGBUS, whatever the other side does.
 */
#ifndef XO_SEGMENT_H
#define XO_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "libxo/error.h"

typedef struct xoi_segment {
    void *memory; /* NULL: none */
    size_t size;
} xoi_segment_t;

/* Makes one of `size` bytes, all zero. *fd is for the other process; the caller closes it. -1 with
 * a sentence: ENOMEM, ENOSPC, EMFILE, EFBIG. */
int xoi_segment_create(xoi_segment_t *segment, size_t size, int *fd, xo_error_t *err);
/* Maps one that another process made; `fd` stays the caller's. EBADMSG: it is no segment, or its
 * size is beyond `max`. */
int xoi_segment_attach(xoi_segment_t *segment, int fd, size_t max, xo_error_t *err);
void xoi_segment_close(xoi_segment_t *segment);

/* False: a file of this size, in memory too, would end the process with SIGXFSZ (setrlimit(2),
 * RLIMIT_FSIZE). */
bool xoi_file_may_have(size_t size);

/* Sends one byte over a unix socket, and `fd` with it (-1: none). Never waits. */
int xoi_fd_send(int socket, char byte, int fd);
/* Receives up to `size` bytes, and one descriptor at most in *fd, which the caller closes (-1:
 * none). Never waits. 0: the other side has hung up. */
ssize_t xoi_fd_recv(int socket, char *bytes, size_t size, int *fd);

#endif
