/* notify.h - tells the service manager, if there is one, how the node does: sd_notify(3)'s
 * protocol, a datagram to $NOTIFY_SOCKET.
 */
#ifndef XO_BROKER_NOTIFY_H
#define XO_BROKER_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

#include "broker/log.h"
#include "libxo/loop.h"

typedef struct xo_notify {
    int fd; /* -1: nobody wants to know */
    struct sockaddr_un to;
    socklen_t size;
    int64_t watchdog_ns; /* how often it wants a sign of life; 0: never */
    xo_timer_t watchdog;
    const xo_log_t *log;
} xo_notify_t;

/* Reads the environment, and takes what concerns this process alone out of it: what this one starts
 * has no such manager. */
void xo_notify_init(xo_notify_t *notify, xo_loop_t *loop, const xo_log_t *log);
void xo_notify_end(xo_notify_t *notify);   /* also of a zeroed one whose fd is -1 */
void xo_notify_ready(xo_notify_t *notify); /* and from now on alive, as long as the loop moves */
void xo_notify_stopping(xo_notify_t *notify, int64_t within_ms);

#endif
