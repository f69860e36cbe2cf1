/* fault-points.c - see fault-points.h. */
#include "t/fault-points.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <zmq.h>

#define FRAMES_MAX 24

static struct {
    bool armed, struck;
    fault_kind_t kind;
    int nth, left; /* which call fails, and how many there are until then */
    pthread_t thread;
    const char *call;
    void *frames[FRAMES_MAX];
    int frame_count;
} fault;

static atomic_int live;

#define COMPLAINTS_MAX 8 /* of those that are said again */
#define COMPLAINT_BYTES 400

static int complaints;
static char complained[COMPLAINTS_MAX][COMPLAINT_BYTES];
static const char *place_route = "", *place_lanes = "";

/* Does this call fail? Then errno is set. */
static bool fails(fault_kind_t kind, const char *call, int errnum)
{
    if (!fault.armed || fault.struck || fault.kind != kind ||
        !pthread_equal(fault.thread, pthread_self()) || fault.left-- > 0)
        return false;
    fault.struck = true;
    fault.call = call;
    fault.frame_count = backtrace(fault.frames, FRAMES_MAX);
    errno = errnum;
    return true;
}

void fault_arm(fault_kind_t kind, int nth)
{
    fault.kind = kind;
    fault.nth = fault.left = nth;
    fault.struck = false;
    fault.thread = pthread_self();
    fault.armed = true;
}

bool fault_disarm(void)
{
    fault.armed = false;
    return fault.struck;
}

int fault_live_blocks(void)
{
    return live;
}

void fault_show(void)
{
    fprintf(stderr, "# %s failed, called by\n", fault.struck ? fault.call : "nothing");
    fflush(stderr);
    backtrace_symbols_fd(fault.frames, fault.struck ? fault.frame_count : 0, STDERR_FILENO);
}

void fault_place(const char *route, const char *lanes)
{
    place_route = route;
    place_lanes = lanes;
}

bool fault_check(bool holds, const char *format, ...)
{
    if (holds)
        return true;
    char text[256];
    char line[COMPLAINT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(line, sizeof line, "# error: %s (%s over %s, %s, fault %d)\n", text, place_route,
             place_lanes, fault.struck ? fault.call : "nothing failed", fault.nth);
    fputs(line, stderr);
    fault_show();
    if (complaints < COMPLAINTS_MAX)
        memcpy(complained[complaints], line, sizeof line);
    complaints++;
    return false;
}

void fault_repeat_complaints(void)
{
    for (int i = 0; i < complaints && i < COMPLAINTS_MAX; i++)
        fputs(complained[i], stderr);
}

int fault_complaints(void)
{
    return complaints;
}

/* LeakSanitizer asks for this. libzmq 4.3 now and then keeps the pipe of a socket that is closed in
 * the middle of its handshake with CURVE. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libzmq.so";
}

/* ---- memory ---- */

static void *count_new(void *memory)
{
    live += memory != NULL;
    return memory;
}

#define WRAP(result, name, parameters)                                                             \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters

WRAP(void *, malloc, (size_t size))
{
    return fails(FAULT_MEMORY, "malloc", ENOMEM) ? NULL : count_new(__real_malloc(size));
}

WRAP(void *, calloc, (size_t count, size_t size))
{
    return fails(FAULT_MEMORY, "calloc", ENOMEM) ? NULL : count_new(__real_calloc(count, size));
}

WRAP(void *, realloc, (void *old, size_t size))
{
    if (fails(FAULT_MEMORY, "realloc", ENOMEM))
        return NULL;
    void *memory = __real_realloc(old, size);
    live += old == NULL && memory != NULL;
    return memory;
}

WRAP(int, posix_memalign, (void **memory, size_t alignment, size_t size))
{
    if (fails(FAULT_MEMORY, "posix_memalign", ENOMEM))
        return ENOMEM;
    int rc = __real_posix_memalign(memory, alignment, size);
    live += rc == 0;
    return rc;
}

WRAP(void, free, (void *old))
{
    live -= old != NULL;
    __real_free(old);
}

WRAP(int, vasprintf, (char **text, const char *format, va_list args))
{
    if (fails(FAULT_MEMORY, "vasprintf", ENOMEM))
        return -1;
    int length = __real_vasprintf(text, format, args);
    live += length >= 0;
    return length;
}

WRAP(char *, strdup, (const char *text))
{
    return fails(FAULT_MEMORY, "strdup", ENOMEM) ? NULL : count_new(__real_strdup(text));
}

WRAP(char *, strndup, (const char *text, size_t size))
{
    return fails(FAULT_MEMORY, "strndup", ENOMEM) ? NULL : count_new(__real_strndup(text, size));
}

int __wrap_asprintf(char **text, const char *format, ...);
int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = __wrap_vasprintf(text, format, args);
    va_end(args);
    return length;
}

WRAP(int, zmq_msg_init_size, (zmq_msg_t * msg, size_t size))
{
    return fails(FAULT_MEMORY, "zmq_msg_init_size", ENOMEM) ? -1
                                                            : __real_zmq_msg_init_size(msg, size);
}

WRAP(int, zmq_msg_init_data,
     (zmq_msg_t * msg, void *data, size_t size, zmq_free_fn *free_it, void *hint))
{
    return fails(FAULT_MEMORY, "zmq_msg_init_data", ENOMEM)
               ? -1
               : __real_zmq_msg_init_data(msg, data, size, free_it, hint);
}

/* ---- what fails with one errno ---- */

/* A function of the system that fails with `errnum` and gives `failure`. */
#define FAULTY(kind, errnum, failure, result, name, parameters, arguments)                         \
    WRAP(result, name, parameters)                                                                 \
    {                                                                                              \
        return fails(kind, #name, errnum) ? failure : __real_##name arguments;                     \
    }

struct ev_loop;
FAULTY(FAULT_DESCRIPTORS, EMFILE, NULL, struct ev_loop *, ev_loop_new, (unsigned flags), (flags))
FAULTY(FAULT_DESCRIPTORS, EMFILE, NULL, void *, zmq_ctx_new, (void), ())
FAULTY(FAULT_DESCRIPTORS, EMFILE, NULL, void *, zmq_socket, (void *ctx, int type), (ctx, type))
FAULTY(FAULT_DESCRIPTORS, EMFILE, -1, int, socket, (int domain, int type, int protocol),
       (domain, type, protocol))
FAULTY(FAULT_DESCRIPTORS, EMFILE, -1, int, mkostemp, (char *path, int flags), (path, flags))
FAULTY(FAULT_DESCRIPTORS, EMFILE, -1, int, memfd_create, (const char *name, unsigned flags),
       (name, flags))
FAULTY(FAULT_DESCRIPTORS, EMFILE, -1, int, eventfd, (unsigned count, int flags), (count, flags))
FAULTY(FAULT_DESCRIPTORS, EMFILE, -1, int, inotify_init1, (int flags), (flags))
FAULTY(FAULT_DESCRIPTORS, EMFILE, -1, int, epoll_create1, (int flags), (flags))
FAULTY(FAULT_DESCRIPTORS, EMFILE, -1, int, timerfd_create, (int clock, int flags), (clock, flags))
FAULTY(FAULT_DESCRIPTORS, EAGAIN, EAGAIN, int, pthread_create,
       (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg),
       (thread, attributes, run, arg))

FAULTY(FAULT_SYSTEM, ENOMEM, MAP_FAILED, void *, mmap,
       (void *at, size_t size, int protection, int flags, int fd, off_t offset),
       (at, size, protection, flags, fd, offset))
FAULTY(FAULT_SYSTEM, ENOSPC, -1, int, fallocate, (int fd, int mode, off_t offset, off_t size),
       (fd, mode, offset, size))
FAULTY(FAULT_SYSTEM, EFBIG, -1, int, ftruncate, (int fd, off_t size), (fd, size))
FAULTY(FAULT_SYSTEM, ENOSPC, -1, int, inotify_add_watch, (int fd, const char *to, uint32_t events),
       (fd, to, events))
FAULTY(FAULT_SYSTEM, ENOSPC, -1, int, mkdir, (const char *path, mode_t mode), (path, mode))
FAULTY(FAULT_SYSTEM, ENOSPC, -1, int, link, (const char *from, const char *to), (from, to))
FAULTY(FAULT_SYSTEM, ENOSPC, -1, int, fsync, (int fd), (fd))
FAULTY(FAULT_SYSTEM, ENOLCK, -1, int, flock, (int fd, int operation), (fd, operation))
FAULTY(FAULT_SYSTEM, EACCES, -1, int, chmod, (const char *path, mode_t mode), (path, mode))
FAULTY(FAULT_SYSTEM, ENOSPC, -1, int, bind, (int fd, const struct sockaddr *to, socklen_t size),
       (fd, to, size))
FAULTY(FAULT_SYSTEM, EADDRINUSE, -1, int, listen, (int fd, int backlog), (fd, backlog))
FAULTY(FAULT_SYSTEM, ECONNREFUSED, -1, int, connect,
       (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size))
FAULTY(FAULT_SYSTEM, ENOSPC, -1, int, epoll_ctl,
       (int fd, int operation, int target, struct epoll_event *event),
       (fd, operation, target, event))
FAULTY(FAULT_SYSTEM, EADDRINUSE, -1, int, zmq_bind, (void *socket, const char *to), (socket, to))
FAULTY(FAULT_SYSTEM, ECONNREFUSED, -1, int, zmq_connect, (void *socket, const char *to),
       (socket, to))
FAULTY(FAULT_SYSTEM, EINVAL, -1, int, zmq_setsockopt,
       (void *socket, int option, const void *value, size_t size), (socket, option, value, size))
FAULTY(FAULT_SYSTEM, ENOMEM, EAI_MEMORY, int, getaddrinfo,
       (const char *node, const char *service, const struct addrinfo *hints,
        struct addrinfo **found),
       (node, service, hints, found))
FAULTY(FAULT_SYSTEM, EIO, -1, ssize_t, pread, (int fd, void *to, size_t size, off_t at),
       (fd, to, size, at))

/* To stop it (no name) cannot fail; a monitor that has no reader and goes on holds up the I/O
 * thread with its next event. */
WRAP(int, zmq_socket_monitor, (void *socket, const char *name, int events))
{
    return name && fails(FAULT_SYSTEM, "zmq_socket_monitor", EADDRINUSE)
               ? -1
               : __real_zmq_socket_monitor(socket, name, events);
}

/* ---- with optional arguments ---- */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    return fails(FAULT_DESCRIPTORS, "open", EMFILE) ? -1 : __real_open(path, flags, 0600);
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
    return fails(FAULT_DESCRIPTORS, "openat", EMFILE) ? -1 : __real_openat(dir, path, flags, 0600);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    void *argument = va_arg(args, void *);
    va_end(args);
    return fails(FAULT_SYSTEM, "fcntl", EPERM) ? -1 : __real_fcntl(fd, command, argument);
}

/* Of the calls that have no function, only pidfd_open(PID, FLAGS) and gettid() are made. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    va_list args;
    va_start(args, number);
    long first = va_arg(args, long);
    long second = va_arg(args, long);
    va_end(args);
    return fails(FAULT_DESCRIPTORS, "syscall", EMFILE) ? -1 : __real_syscall(number, first, second);
}

/* ---- what may have to be tried again ---- */

FAULTY(FAULT_AGAIN, EINTR, -1, int, accept4,
       (int fd, struct sockaddr *from, socklen_t *size, int flags), (fd, from, size, flags))
FAULTY(FAULT_SYSTEM, ENOBUFS, -1, ssize_t, sendmsg, (int fd, const struct msghdr *msg, int flags),
       (fd, msg, flags))
FAULTY(FAULT_AGAIN, EINTR, -1, ssize_t, recvmsg, (int fd, struct msghdr *msg, int flags),
       (fd, msg, flags))
FAULTY(FAULT_AGAIN, EINTR, -1, int, zmq_msg_recv, (zmq_msg_t * msg, void *socket, int flags),
       (msg, socket, flags))
FAULTY(FAULT_AGAIN, EINTR, -1, int, zmq_recv, (void *socket, void *to, size_t size, int flags),
       (socket, to, size, flags))

WRAP(int, zmq_getsockopt, (void *socket, int option, void *value, size_t *size))
{
    return option == ZMQ_EVENTS && fails(FAULT_AGAIN, "zmq_getsockopt", EINTR)
               ? -1
               : __real_zmq_getsockopt(socket, option, value, size);
}

FAULTY(FAULT_AGAIN, EINTR, -1, int, zmq_msg_send, (zmq_msg_t * msg, void *socket, int flags),
       (msg, socket, flags))

WRAP(ssize_t, write, (int fd, const void *from, size_t size))
{
    return __real_write(fd, from,
                        size > 1 && size != 8 && fails(FAULT_AGAIN, "write", 0) ? 1 : size);
}

WRAP(ssize_t, read, (int fd, void *to, size_t size))
{
    return __real_read(fd, to, size > 1 && size != 8 && fails(FAULT_AGAIN, "read", 0) ? 1 : size);
}
