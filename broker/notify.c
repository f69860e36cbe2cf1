#include "broker/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMPONENT "node"
#define NS_PER_US 1000
#define WATCHDOG_US_MAX (INT64_MAX / NS_PER_US)
#define SIGNS                                                                                      \
    2 /* within the time after which it is taken for dead, as sd_watchdog_enabled(3) says */

static void send_text(const xo_notify_t *notify, const char *text)
{
    const struct sockaddr *to = (const struct sockaddr *)&notify->to;
    if (notify->fd >= 0 &&
        sendto(notify->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, to, notify->size) < 0)
        xo_log(notify->log, XO_LOG_WARN, COMPONENT, "telling the service manager %s: %s", text,
               strerror(errno));
}

static void on_watchdog(xo_timer_t *timer, void *arg)
{
    xo_notify_t *notify = arg;
    send_text(notify, "WATCHDOG=1");
    xo_timer_start(timer, notify->watchdog_ns);
}

/* A path, or with an @ in front a name in the abstract namespace (unix(7)). */
static int read_socket(xo_notify_t *notify, const char *text)
{
    size_t size = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || size < 2 || size >= sizeof(notify->to.sun_path))
        return errno = EINVAL, -1;
    notify->to.sun_family = AF_UNIX;
    memcpy(notify->to.sun_path, text, size);
    if (text[0] == '@')
        notify->to.sun_path[0] = 0;
    notify->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return notify->fd < 0 ? -1 : 0;
}

static int64_t read_number(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    errno = 0;
    long long number = text ? strtoll(text, &end, 10) : 0;
    return errno == 0 && end != text && number > 0 && (end == NULL || *end == 0) ? number : 0;
}

/* Not if it is for another process. */
static int64_t read_watchdog_ns(void)
{
    int64_t us = read_number("WATCHDOG_USEC"), pid = read_number("WATCHDOG_PID");
    return us > WATCHDOG_US_MAX || (pid > 0 && pid != getpid()) ? 0 : us * NS_PER_US / SIGNS;
}

void xo_notify_init(xo_notify_t *notify, xo_loop_t *loop, const xo_log_t *log)
{
    const char *path = getenv("NOTIFY_SOCKET");
    *notify = (xo_notify_t){.fd = -1, .log = log};
    xo_timer_init(&notify->watchdog, loop, on_watchdog, notify);
    if (path != NULL && path[0] != 0 && read_socket(notify, path) < 0)
        xo_log(log, XO_LOG_WARN, COMPONENT, "NOTIFY_SOCKET '%s': %s", path, strerror(errno));
    notify->watchdog_ns = read_watchdog_ns();
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void xo_notify_end(xo_notify_t *notify)
{
    if (notify->fd < 0)
        return;
    xo_timer_stop(&notify->watchdog);
    close(notify->fd);
    notify->fd = -1;
}

void xo_notify_ready(xo_notify_t *notify)
{
    send_text(notify, "READY=1");
    if (notify->fd >= 0 && notify->watchdog_ns > 0)
        on_watchdog(&notify->watchdog, notify);
}

/* The manager gives it as long as its own limit says, and longer if this is more. */
void xo_notify_stopping(xo_notify_t *notify, int64_t within_ms)
{
    char text[64];
    snprintf(text, sizeof(text), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld",
             (long long)within_ms * (XO_MS / NS_PER_US));
    send_text(notify, text);
}
