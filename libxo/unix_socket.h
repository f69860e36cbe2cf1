/* unix_socket.h - unix sockets with a path, for the lanes that listen on one.
 */
#ifndef XO_UNIX_SOCKET_H
#define XO_UNIX_SOCKET_H

#include <stdint.h>

#include "libxo/error.h"

/* A stream socket that listens there, 0600 before anybody can connect; replaces what a process that
 * is gone has left. -1: EADDRINUSE, ENAMETOOLONG, and more. */
int xoi_unix_listen(const char *path, xo_error_t *err);
/* One that is connected to it; never waits. -1: ECONNREFUSED (nobody there), and more. */
int xoi_unix_connect(const char *path, xo_error_t *err);
/* The same, from an abstract address by which the other end knows who comes: "WHO ...". */
int xoi_unix_connect_as(const char *path, const char *who, xo_error_t *err);
/* Which socket lies there, so that whoever removes it can see whether it is still its own; 0: none.
 */
uint64_t xoi_unix_inode(const char *path);

#endif
