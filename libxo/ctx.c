/* ctx.c - what a process holds once. */
#include "libxo/ctx.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <zmq.h>

#include "libxo/ctx_internal.h"
#include "libxo/hash.h"
#include "libxo/lane_zmq.h"
#include "libxo/letters.h"
#include "libxo/thread.h"

/* A dialled lane takes two or four sockets (its own, its monitor's pair). ZeroMQ's limit is 65535.
 */
#define SOCKETS_MAX 65535
#define ZAP_ENDPOINT "inproc://zeromq.zap.01"

struct xoi_local {
    UT_hash_handle hh;
    char address[];
};

static int take_cluster(xo_ctx_t *ctx, const char *cluster, xo_error_t *err)
{
    if (!cluster)
        cluster = getenv("XO_CLUSTER");
    if (!cluster)
        cluster = "default";
    if (xo_cluster_check(cluster, err) < 0)
        return -1;
    strcpy(ctx->cluster, cluster);
    return 0;
}

static int take_lane(xo_ctx_t *ctx, const char *name, size_t size, xo_error_t *err)
{
    if (size == 3 && memcmp(name, "shm", size) == 0)
        ctx->lanes |= XOI_LANE_SHM;
    else if (size == 3 && memcmp(name, "ipc", size) == 0)
        ctx->lanes |= XOI_LANE_IPC;
    else if (size != 3 || memcmp(name, "tcp", size) != 0)
        return xo_error_set(err, EINVAL,
                            "XO_LANES may hold shm, ipc and tcp, separated by commas, not '%.*s'",
                            (int)size, name);
    return 0;
}

static int take_lanes(xo_ctx_t *ctx, xo_error_t *err)
{
    const char *names = getenv("XO_LANES");

    if (!names || !*names)
        names = "shm,ipc,tcp";
    for (;;) {
        size_t size = strcspn(names, ",");
        if (take_lane(ctx, names, size, err) < 0)
            return -1;
        if (names[size] == '\0')
            return 0;
        names += size + 1;
    }
}

static int take_letter_bytes(xo_ctx_t *ctx, xo_error_t *err)
{
    char *end;
    const char *text = getenv("XO_LETTER_BYTES");
    unsigned long long bytes = text ? strtoull(text, &end, 10) : 0;

    if (text && (end == text || *end || *text == '-' || bytes > XOI_LETTER_BYTES_MAX))
        return xo_error_set(err, EINVAL, "XO_LETTER_BYTES may be 0 to %d, not '%s'",
                            XOI_LETTER_BYTES_MAX, text);
    ctx->letter_bytes = (size_t)bytes;
    return 0;
}

static int take_port(xo_ctx_t *ctx, xo_error_t *err)
{
    const char *text = getenv("XO_PORT");

    if (!text || !*text)
        return 0;
    if (xo_address_parse_door(text, &ctx->port, err) < 0)
        return xo_error_prefix(err, "XO_PORT");
    return 0;
}

typedef int (*keys_f)(const char *cluster, xo_keys_t *keys, xo_error_t *err);

static xo_ctx_t *create(const char *cluster, keys_f take_keys, xo_error_t *err)
{
    xo_ctx_t *ctx = calloc(1, sizeof *ctx);

    if (!ctx)
        return xo_error_null(err, ENOMEM, "no memory for a context");
    ctx->pid = getpid();
    ctx->io_threads = 1;
    ctx->rundir.fd = -1;
    if (take_cluster(ctx, cluster, err) < 0 || take_lanes(ctx, err) < 0 ||
        take_letter_bytes(ctx, err) < 0 || take_port(ctx, err) < 0 ||
        xo_codec_from_env(&ctx->codec, err) < 0 || xoi_limits_read(&ctx->limits, err) < 0 ||
        take_keys(ctx->cluster, &ctx->keys, err) < 0 ||
        xoi_rundir_open(&ctx->rundir, ctx->cluster, err) < 0) {
        int saved = errno;
        free(ctx);
        errno = saved;
        return NULL;
    }
    pthread_mutex_init(&ctx->lock, NULL);
    return ctx;
}

xo_ctx_t *xo_ctx_create(const char *cluster, xo_error_t *err)
{
    return create(cluster, xo_keys_load, err);
}

xo_ctx_t *xo_ctx_create_client(const char *cluster, xo_error_t *err)
{
    return create(cluster, xo_keys_borrow, err);
}

static void end_zmq(xo_ctx_t *ctx)
{
    zmq_ctx_shutdown(ctx->zmq); /* ends the ZAP handler */
    if (ctx->zap_socket)
        pthread_join(ctx->zap_thread, NULL);
    while (zmq_ctx_term(ctx->zmq) < 0 && errno == EINTR)
        continue;
    xoi_partings_end(ctx);
}

void xo_ctx_destroy(xo_ctx_t *ctx)
{
    struct xoi_local *local, *next;
    int saved = errno;

    if (!ctx)
        return;
    /* After fork(2) the child has none of ZeroMQ's threads, and the rest is its parent's. */
    if (ctx->pid == getpid()) {
        if (ctx->zmq)
            end_zmq(ctx);
        xoi_rundir_close(&ctx->rundir);
    } else if (ctx->rundir.fd >= 0) {
        close(ctx->rundir.fd);
    }
    HASH_ITER(hh, ctx->locals, local, next)
    {
        HASH_DEL(ctx->locals, local);
        free(local);
    }
    xoi_admission_close(&ctx->admission);
    pthread_mutex_destroy(&ctx->lock);
    free(ctx->cpus);
    explicit_bzero(&ctx->keys, sizeof ctx->keys);
    free(ctx);
    errno = saved;
}

const xoi_limits_t *xoi_ctx_limits(const xo_ctx_t *ctx)
{
    return &ctx->limits;
}

const char *xo_ctx_cluster(const xo_ctx_t *ctx)
{
    return ctx->cluster;
}

const xo_keys_t *xo_ctx_keys(const xo_ctx_t *ctx)
{
    return &ctx->keys;
}

const char *xo_ctx_run_dir(const xo_ctx_t *ctx)
{
    return ctx->rundir.path;
}

void xoi_ctx_warn(xo_ctx_t *ctx, const char *format, ...)
{
    char text[512];
    va_list args;

    if (atomic_exchange_explicit(&ctx->warned, true, memory_order_relaxed))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "xo: %s\n", text);
}

/* ---- ZeroMQ ---- */

/* With the lock held. */
/* Each socket has a descriptor at least, and each that there could be costs memory from the start.
 */
static int max_sockets(void)
{
    struct rlimit limit;
    bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0;

    return known && limit.rlim_max < SOCKETS_MAX ? (int)limit.rlim_max : SOCKETS_MAX;
}

static void *get_zmq(xo_ctx_t *ctx, xo_error_t *err)
{
    if (ctx->pid != getpid())
        return xo_error_null(err, ENOTSUP,
                             "process %d made this context and process %d is its fork: make a "
                             "new context after fork",
                             (int)ctx->pid, (int)getpid());
    if (ctx->zmq)
        return ctx->zmq;
    ctx->zmq = zmq_ctx_new();
    if (!ctx->zmq)
        return xo_error_null(err, errno, "cannot make a ZeroMQ context: %s", zmq_strerror(errno));
    zmq_ctx_set(ctx->zmq, ZMQ_MAX_SOCKETS, max_sockets());
    zmq_ctx_set(ctx->zmq, ZMQ_IO_THREADS, ctx->io_threads);
    for (size_t i = 0; i < ctx->cpu_count; i++)
        zmq_ctx_set(ctx->zmq, ZMQ_THREAD_AFFINITY_CPU_ADD, ctx->cpus[i]);
    return ctx->zmq;
}

void *xo_ctx_zmq(xo_ctx_t *ctx, xo_error_t *err)
{
    void *zmq;

    pthread_mutex_lock(&ctx->lock);
    zmq = get_zmq(ctx, err);
    pthread_mutex_unlock(&ctx->lock);
    return zmq;
}

/* With the lock held. */
static int check_fresh(const xo_ctx_t *ctx, xo_error_t *err)
{
    if (!ctx->zmq)
        return 0;
    return xo_error_set(err, EBUSY,
                        "ZeroMQ's I/O threads run already: set them up before the "
                        "first socket");
}

static int set_cpus(xo_ctx_t *ctx, const int *cpus, size_t count, xo_error_t *err)
{
    int *copy;

    if (check_fresh(ctx, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (cpus[i] < 0)
            return xo_error_set(err, EINVAL, "%d is no CPU", cpus[i]);
    copy = malloc((count + 1) * sizeof *copy);
    if (!copy)
        return xo_error_set(err, ENOMEM, "no memory for a list of CPUs");
    memcpy(copy, cpus, count * sizeof *copy);
    free(ctx->cpus);
    ctx->cpus = copy;
    ctx->cpu_count = count;
    return 0;
}

int xo_ctx_bind_io(xo_ctx_t *ctx, const int *cpus, size_t count, xo_error_t *err)
{
    int rc;

    pthread_mutex_lock(&ctx->lock);
    rc = set_cpus(ctx, cpus, count, err);
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

int xo_ctx_set_io_threads(xo_ctx_t *ctx, int count, xo_error_t *err)
{
    int rc;

    if (count < 1)
        return xo_error_set(err, EINVAL, "%d I/O threads are too few: at least 1", count);
    pthread_mutex_lock(&ctx->lock);
    rc = check_fresh(ctx, err);
    if (rc == 0)
        ctx->io_threads = count;
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

/* ---- ZAP ---- */

/* With the lock held. It is bound before this returns: a handshake without a handler is refused. */
static int start_zap(xo_ctx_t *ctx, xo_error_t *err)
{
    void *zmq;
    int linger_ms = 0;
    int saved;

    if (ctx->zap_socket)
        return 0;
    zmq = get_zmq(ctx, err);
    if (!zmq || xoi_admission_open(&ctx->admission, ctx->cluster, &ctx->keys, err) < 0)
        return -1;
    ctx->zap_socket = zmq_socket(zmq, ZMQ_REP);
    if (ctx->zap_socket &&
        zmq_setsockopt(ctx->zap_socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms) == 0 &&
        zmq_bind(ctx->zap_socket, ZAP_ENDPOINT) == 0 &&
        xoi_thread_start(&ctx->zap_thread, 0, xoi_zap_main, ctx) == 0)
        return 0;
    saved = errno;
    if (ctx->zap_socket) {
        zmq_unbind(ctx->zap_socket, ZAP_ENDPOINT); /* closing frees the name only later */
        zmq_close(ctx->zap_socket);
    }
    ctx->zap_socket = NULL;
    return xo_error_set(err, saved, "cannot start the ZAP handler: %s", zmq_strerror(saved));
}

int xo_ctx_start_zap(xo_ctx_t *ctx, xo_error_t *err)
{
    int rc;

    pthread_mutex_lock(&ctx->lock);
    rc = start_zap(ctx, err);
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

/* ---- addresses of this process ---- */

/* With the lock held. */
static struct xoi_local *find_local(const xo_ctx_t *ctx, const char *address)
{
    struct xoi_local *local;

    HASH_FIND_STR(ctx->locals, address, local);
    return local;
}

static int add_local(xo_ctx_t *ctx, const char *address, xo_error_t *err)
{
    struct xoi_local *local;
    size_t size = strlen(address) + 1;

    if (find_local(ctx, address))
        return xo_error_set(err, EADDRINUSE, "%s is in use in this process", address);
    local = calloc(1, sizeof *local + size);
    if (!local)
        return xo_error_set(err, ENOMEM, "no memory for the address %s", address);
    memcpy(local->address, address, size);
    HASH_ADD_STR(ctx->locals, address, local);
    if (XOI_HASHED(hh, local))
        return 0;
    free(local);
    return xo_error_set(err, ENOMEM, "no memory for the address %s", address);
}

static void remove_local(xo_ctx_t *ctx, const char *address)
{
    struct xoi_local *local = find_local(ctx, address);

    if (!local)
        return;
    HASH_DEL(ctx->locals, local);
    free(local);
}

int xo_ctx_add_local(xo_ctx_t *ctx, const char *address, xo_error_t *err)
{
    int rc;

    pthread_mutex_lock(&ctx->lock);
    rc = add_local(ctx, address, err);
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

void xo_ctx_remove_local(xo_ctx_t *ctx, const char *address)
{
    pthread_mutex_lock(&ctx->lock);
    remove_local(ctx, address);
    pthread_mutex_unlock(&ctx->lock);
}

int xo_ctx_has_local(xo_ctx_t *ctx, const char *address)
{
    int found;

    pthread_mutex_lock(&ctx->lock);
    found = find_local(ctx, address) != NULL;
    pthread_mutex_unlock(&ctx->lock);
    return found;
}

int xoi_ctx_bind_inproc(xo_ctx_t *ctx, void *socket, const char *endpoint, xo_error_t *err)
{
    int rc;

    pthread_mutex_lock(&ctx->lock);
    rc = add_local(ctx, endpoint, err);
    if (rc == 0 && zmq_bind(socket, endpoint) < 0) {
        rc = xo_error_set(err, errno, "cannot listen on %s: %s", endpoint, zmq_strerror(errno));
        remove_local(ctx, endpoint);
    }
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

int xoi_ctx_connect_inproc(xo_ctx_t *ctx, void *socket, const char *endpoint, xo_error_t *err)
{
    int rc = 0;

    pthread_mutex_lock(&ctx->lock);
    if (!find_local(ctx, endpoint))
        rc = xo_error_set(err, ECONNREFUSED, "nobody listens on %s in this process", endpoint);
    else if (zmq_connect(socket, endpoint) < 0 ||
             zmq_send(socket, XOI_FRAME_NOTHING, 1, ZMQ_DONTWAIT) < 0)
        rc = xo_error_set(err, errno, "cannot connect to %s: %s", endpoint, zmq_strerror(errno));
    pthread_mutex_unlock(&ctx->lock);
    return rc;
}

void xoi_ctx_unbind_inproc(xo_ctx_t *ctx, void *socket, const char *endpoint)
{
    pthread_mutex_lock(&ctx->lock);
    zmq_unbind(socket, endpoint);
    remove_local(ctx, endpoint);
    pthread_mutex_unlock(&ctx->lock);
}

uint64_t xo_random_id(void)
{
    uint64_t id = 0;

    while (id == 0)
        if (getrandom(&id, sizeof id, 0) != sizeof id)
            id = 0; /* EINTR before the kernel's pool is ready */
    return id;
}
