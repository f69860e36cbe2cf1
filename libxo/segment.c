/* segment.c - memory that two processes share. */
#include "libxo/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
#define STAT_BLOCK_BYTES 512 /* of st_blocks, always */

static int map(xoi_segment_t *segment, int fd, size_t size)
{
    /* The pages are there already: to map them one by one as they are touched costs more. */
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);

    if (memory == MAP_FAILED)
        return -1;
    *segment = (xoi_segment_t){memory, size};
    return 0;
}

bool xoi_file_may_have(size_t size)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
           size <= limit.rlim_cur;
}

static int fill(xoi_segment_t *segment, int fd, size_t size)
{
    return ftruncate(fd, (off_t)size) < 0 || fallocate(fd, 0, 0, (off_t)size) < 0 ||
                   fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0
               ? -1
               : map(segment, fd, size);
}

int xoi_segment_create(xoi_segment_t *segment, size_t size, int *fd, xo_error_t *err)
{
    *segment = (xoi_segment_t){0};
    if (!xoi_file_may_have(size))
        return xo_error_set(err, EFBIG, "files may not have %zu bytes here (ulimit -f)", size);
    int made = memfd_create("xo-lane", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (made >= 0 && fill(segment, made, size) == 0) {
        *fd = made;
        return 0;
    }
    int saved = errno;
    if (made >= 0)
        close(made);
    return xo_error_set(err, saved, "no %zu bytes of shared memory: %s", size, strerror(saved));
}

int xoi_segment_attach(xoi_segment_t *segment, int fd, size_t max, xo_error_t *err)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    *segment = (xoi_segment_t){0};
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0)
        return xo_error_set(err, EBADMSG, "what came is no sealed memory");
    if (st.st_size <= 0 || (size_t)st.st_size > max)
        return xo_error_set(err, EBADMSG, "shared memory of %lld bytes", (long long)st.st_size);
    /* Its maker has filled it, unless it is hostile; to look at each page again takes long. */
    bool full = st.st_blocks >= (st.st_size + STAT_BLOCK_BYTES - 1) / STAT_BLOCK_BYTES;
    if ((!full && fallocate(fd, 0, 0, st.st_size) < 0) || map(segment, fd, (size_t)st.st_size) < 0)
        return xo_error_set(err, errno, "cannot map %lld bytes of shared memory: %s",
                            (long long)st.st_size, strerror(errno));
    return 0;
}

void xoi_segment_close(xoi_segment_t *segment)
{
    if (segment->memory)
        munmap(segment->memory, segment->size);
    segment->memory = NULL;
}

/* ---- passing descriptors ---- */

typedef union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
} control_t;

int xoi_fd_send(int socket, char byte, int fd)
{
    control_t control = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(head), &fd, sizeof fd);
    }
    return sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* There is room for one; what else was sent the kernel closes. */
static int descriptor_of(struct msghdr *msg)
{
    struct cmsghdr *head = CMSG_FIRSTHDR(msg);
    int fd = -1;

    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len >= CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
    return fd;
}

ssize_t xoi_fd_recv(int socket, char *bytes, size_t size, int *fd)
{
    control_t control;
    struct iovec iov = {bytes, size};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    ssize_t n;

    *fd = -1;
    do
        n = recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        *fd = descriptor_of(&msg);
    return n;
}
