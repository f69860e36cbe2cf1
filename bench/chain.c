/* chain.c - the floor of what another process passes on, and of what needs three processes' word:
 * round trips of 64 bytes over unix sockets, between two processes and through a third one, where
 * the kernel puts them, and with all on one core.
 *
 * Prints one JSON object (out.h). */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/out.h"

#define MESSAGE_BYTES 64
#define ROUND_TRIPS 20000

static bool pass(int from, int to)
{
    char buffer[MESSAGE_BYTES];
    return recv(from, buffer, sizeof buffer, MSG_WAITALL) == (ssize_t)sizeof buffer &&
           send(to, buffer, sizeof buffer, MSG_NOSIGNAL) == (ssize_t)sizeof buffer;
}

/* A process with `others` more behind it; gives the socket to it. The last one echoes. */
static int start(int others)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        xob_die("socketpair", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        xob_die("fork", strerror(errno));
    if (pid > 0) {
        close(fds[1]);
        return fds[0];
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(fds[0]);
    int next = others ? start(others - 1) : fds[1];
    while (pass(fds[1], next) && (next == fds[1] || pass(next, fds[1])))
        continue;
    close(next);
    while (wait(NULL) > 0)
        continue;
    _exit(0);
}

static void measure(int others, const char *name)
{
    static xob_hist_t times;
    char buffer[MESSAGE_BYTES] = {0};
    int fd = start(others);
    xob_hist_clear(&times);
    int64_t all = xob_now_ns();
    for (int i = 0; i < ROUND_TRIPS; i++) {
        int64_t begun = xob_now_ns();
        if (send(fd, buffer, sizeof buffer, 0) < 0 ||
            recv(fd, buffer, sizeof buffer, MSG_WAITALL) <= 0)
            xob_die("chain", strerror(errno));
        xob_hist_record(&times, xob_now_ns() - begun);
    }
    all = xob_now_ns() - all;
    close(fd);
    while (wait(NULL) > 0)
        continue;
    xob_number(ROUND_TRIPS / ((double)all / 1e9), "chain_%s_per_s", name);
    xob_hist(&times, "chain_%s_us", name);
}

int main(void)
{
    xob_open();
    measure(0, "two");
    measure(1, "three");
    xob_bind(0, 0);
    measure(0, "two_one_core");
    measure(1, "three_one_core");
    xob_close();
    return 0;
}
