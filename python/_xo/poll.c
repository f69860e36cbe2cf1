/* poll.c - how asyncio's loop waits where a pool lives in it: as its selector does, and so that the
 * pool's broker sees it asleep and need not be told that it is alive.
 *
 * What wakes the loop up may find another thread with the GIL that does not give it back. So that
 * the loop has woken up is noted before it asks for that.
 */
#include "_xo/runtime.h"

#include <errno.h>
#include <math.h>
#include <sys/epoll.h>

#define EVENTS_MAX 64 /* what else is ready comes in the next round: epoll takes turns */

static bool fall_asleep(xopy_runtime_t *runtime, int timeout_ms)
{
    if (timeout_ms == 0 || !runtime->xo || runtime->inside)
        return false;
    runtime->asleep = true;
    xo_loop_tell_sleep(runtime->xo, XO_ASLEEP);
    return true;
}

/* Another thread may close the runtime, at the interpreter's end. */
static void note_waking(xopy_runtime_t *runtime)
{
    pthread_mutex_lock(&runtime->sleep);
    if (runtime->asleep)
        xo_loop_tell_sleep(runtime->xo, XO_WAKING);
    pthread_mutex_unlock(&runtime->sleep);
}

void xopy_runtime_end_sleep(xopy_runtime_t *runtime)
{
    pthread_mutex_lock(&runtime->sleep);
    runtime->asleep = false;
    pthread_mutex_unlock(&runtime->sleep);
}

static int wait_events(xopy_runtime_t *runtime, struct epoll_event *events, int timeout_ms)
{
    bool slept = fall_asleep(runtime, timeout_ms);
    int count, saved;
    Py_BEGIN_ALLOW_THREADS;
    count = epoll_wait(runtime->epoll_fd, events, EVENTS_MAX, timeout_ms);
    saved = errno;
    if (slept)
        note_waking(runtime);
    Py_END_ALLOW_THREADS;
    if (slept && runtime->asleep)
        xo_loop_tell_sleep(runtime->xo, XO_AWAKE);
    runtime->asleep = false;
    errno = saved;
    return count;
}

/* In whole milliseconds already (selectors.EpollSelector.select), but for the last bits. */
static int timeout_ms(double timeout_s)
{
    double ms = rint(timeout_s * 1000);
    if (timeout_s <= 0)
        return timeout_s < 0 ? -1 : 0;
    return ms < 1 ? 1 : ms > INT_MAX ? INT_MAX : (int)ms;
}

static PyObject *list_of(const struct epoll_event *events, int count)
{
    PyObject *list = PyList_New(count);
    for (int i = 0; list && i < count; i++) {
        PyObject *pair = Py_BuildValue("iI", events[i].data.fd, (unsigned)events[i].events);
        if (pair)
            PyList_SET_ITEM(list, i, pair);
        else
            Py_CLEAR(list);
    }
    return list;
}

PyObject *xopy_runtime_poll(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    struct epoll_event events[EVENTS_MAX];
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "poll takes a timeout and maxevents");
        return NULL;
    }
    double timeout_s = PyFloat_AsDouble(args[0]);
    if (timeout_s == -1 && PyErr_Occurred())
        return NULL;
    int count = wait_events((xopy_runtime_t *)self, events, timeout_ms(timeout_s));
    if (count < 0 && errno != EINTR)
        return PyErr_SetFromErrno(PyExc_OSError);
    if (count < 0 && PyErr_CheckSignals() < 0)
        return NULL;
    return list_of(events, count < 0 ? 0 : count);
}
