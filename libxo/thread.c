#include "libxo/thread.h"

#include <errno.h>
#include <signal.h>

static int create(pthread_t *thread, size_t stack_bytes, void *(*main)(void *arg), void *arg)
{
    pthread_attr_t attr;
    int errnum = pthread_attr_init(&attr);
    if (errnum != 0)
        return errnum;
    if (stack_bytes > 0)
        errnum = pthread_attr_setstacksize(&attr, stack_bytes);
    if (errnum == 0)
        errnum = pthread_create(thread, &attr, main, arg);
    pthread_attr_destroy(&attr);
    return errnum;
}

int xoi_thread_start(pthread_t *thread, size_t stack_bytes, void *(*main)(void *arg), void *arg)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int errnum = create(thread, stack_bytes, main, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = errnum;
    return errnum ? -1 : 0;
}
