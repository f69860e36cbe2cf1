/* crew.c - several pools in one process, a thread each. */
#include "pool/crew.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* How long actors have to end in order. A broker that stops kills its pools after a second, and
 * an answer is better than that. */
#define STOP_MS 800
/* And how long the other threads may then take to follow the first. */
#define JOIN_MS 400

typedef enum { MEMBER_STARTING, MEMBER_READY, MEMBER_ENDED } member_state_t;

typedef struct member {
    xo_crew_t *crew;
    int index;
    pthread_t thread;
    bool has_thread;
    /* Only its own thread touches these. */
    xo_pool_options_t options;
    char bind_address[XO_ADDRESS_BYTES];
    xo_loop_t *loop;
    xo_host_c_t *host;
    xo_pool_t *pool;
    xo_io_t orders;
    int orders_fd; /* an eventfd: the sum of what the first member asks for */
    bool stopping;
    /* Under the crew's lock. */
    member_state_t state;
    char advertised[XO_ADDRESS_BYTES];
} member_t;

struct xo_crew {
    xo_ctx_t *ctx;
    const xo_pool_cli_t *cli;
    const xo_bind_t *bind;
    int count;
    member_t *members;
    /* Only the first member's thread touches these. */
    xo_crew_ready_f ready;
    void *ready_arg;
    bool was_ready;
    bool stopping;
    xo_io_t news;
    int news_fd; /* an eventfd: some member has something to say */
    pthread_mutex_t lock;
    /* Under the lock. */
    bool wants_stop;
    xo_error_t why; /* of the first failure */
};

static void poke(int fd)
{
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static void drain(int fd)
{
    uint64_t count;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

/* ---- what members tell the first ---- */

static void set_state(member_t *member, member_state_t state)
{
    pthread_mutex_lock(&member->crew->lock);
    member->state = state;
    if (state == MEMBER_READY)
        strcpy(member->advertised, xo_pool_address(member->pool));
    pthread_mutex_unlock(&member->crew->lock);
    poke(member->crew->news_fd);
}

static void tell_failure(xo_crew_t *crew, const xo_error_t *why)
{
    pthread_mutex_lock(&crew->lock);
    if (!crew->why.errnum)
        crew->why = *why;
    crew->wants_stop = true;
    pthread_mutex_unlock(&crew->lock);
    poke(crew->news_fd);
}

/* The broker or the owner's end asks this pool to end. */
static void on_host_stop(void *arg)
{
    xo_crew_t *crew = ((member_t *)arg)->crew;
    pthread_mutex_lock(&crew->lock);
    crew->wants_stop = true;
    pthread_mutex_unlock(&crew->lock);
    poke(crew->news_fd);
}

/* ---- a member ---- */

static void on_stopped(xo_pool_t *pool, void *arg)
{
    xo_pool_stats_t stats;
    member_t *member = arg;
    xo_pool_get_stats(pool, &stats);
    if (stats.actors)
        fprintf(stderr, "xo-pool: pool %d: %llu actors did not end within %d ms\n", member->index,
                (unsigned long long)stats.actors, STOP_MS);
    xo_loop_stop(member->loop);
}

static void on_orders(xo_io_t *io, int revents, void *arg)
{
    (void)revents;
    member_t *member = arg;
    drain(io->fd);
    if (member->stopping || !member->pool)
        xo_loop_stop(member->loop);
    else
        xo_pool_stop(member->pool, STOP_MS, on_stopped, member);
    member->stopping = true;
}

static void on_joined(xo_pool_t *pool, const xo_error_t *why, void *arg)
{
    (void)pool;
    member_t *member = arg;
    if (why)
        tell_failure(member->crew, why);
    else
        set_state(member, MEMBER_READY);
}

static int load_modules(member_t *member, xo_error_t *err)
{
    const xo_pool_cli_t *cli = member->crew->cli;
    for (int i = 0; i < cli->module_count; i++)
        if (xo_host_c_load(member->host, cli->modules[i], err) < 0)
            return -1;
    return 0;
}

static int open_pool(member_t *member, xo_error_t *err)
{
    if (load_modules(member, err) < 0)
        return -1;
    member->pool = xo_pool_create(member->crew->ctx, member->loop, &member->options,
                                  xo_host_c_ops(), member->host, err);
    if (!member->pool)
        return -1;
    if (member->options.broker)
        return xo_pool_join(member->pool, on_joined, member, err);
    set_state(member, MEMBER_READY);
    return 0;
}

static int member_open(member_t *member, xo_error_t *err)
{
    if (xo_bind_thread(member->crew->bind, (unsigned)member->index, err) < 0)
        return -1;
    if (!member->loop)
        member->loop = xo_loop_create(err);
    member->host = member->loop ? xo_host_c_create(on_host_stop, member, err) : NULL;
    if (!member->host)
        return -1;
    xo_io_init(&member->orders, member->loop, member->orders_fd, XO_READ, on_orders, member);
    if (xo_io_start(&member->orders) < 0)
        return xo_error_set(err, errno, "cannot watch an eventfd: %s", strerror(errno));
    return open_pool(member, err);
}

static void member_close(member_t *member)
{
    xo_pool_destroy(member->pool);
    xo_host_c_destroy(member->host);
    if (member->orders.active)
        xo_io_stop(&member->orders);
    if (member->index) /* the first one's is the crew's, with the watcher of the news */
        xo_loop_destroy(member->loop);
}

static void *member_main(void *arg)
{
    char name[16];
    xo_error_t err;
    member_t *member = arg;
    snprintf(name, sizeof name, "xo-pool-%d", member->index);
    pthread_setname_np(pthread_self(), name);
    if (member_open(member, &err) < 0)
        tell_failure(member->crew, &err);
    else
        xo_loop_run(member->loop);
    member_close(member);
    set_state(member, MEMBER_ENDED);
    return NULL;
}

/* ---- the first member ---- */

static bool all_ready(xo_crew_t *crew)
{
    bool all = true;
    pthread_mutex_lock(&crew->lock);
    for (int i = 0; i < crew->count; i++)
        all = all && crew->members[i].state == MEMBER_READY;
    pthread_mutex_unlock(&crew->lock);
    return all;
}

static void on_news(xo_io_t *io, int revents, void *arg)
{
    (void)revents;
    xo_error_t err;
    xo_crew_t *crew = arg;
    drain(io->fd);
    pthread_mutex_lock(&crew->lock);
    bool wants_stop = crew->wants_stop;
    pthread_mutex_unlock(&crew->lock);
    if (wants_stop && !crew->stopping)
        xo_crew_stop(crew);
    if (crew->stopping || crew->was_ready || !all_ready(crew))
        return;
    crew->was_ready = true;
    if (crew->ready(crew, crew->ready_arg, &err) < 0)
        xo_crew_fail(crew, &err);
}

void xo_crew_stop(xo_crew_t *crew)
{
    crew->stopping = true;
    for (int i = 0; i < crew->count; i++)
        poke(crew->members[i].orders_fd);
}

void xo_crew_fail(xo_crew_t *crew, const xo_error_t *why)
{
    tell_failure(crew, why);
}

static void start_members(xo_crew_t *crew)
{
    for (int i = 1; i < crew->count; i++) {
        member_t *member = &crew->members[i];
        int rc = pthread_create(&member->thread, NULL, member_main, member);
        member->has_thread = rc == 0;
        if (rc == 0)
            continue;
        xo_error_t err;
        xo_error_set(&err, rc, "cannot start the thread of pool %d: %s", i, strerror(rc));
        tell_failure(crew, &err);
        return;
    }
}

/* Signals are for the first member's loop. */
static void start_threads(xo_crew_t *crew)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    start_members(crew);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* A thread that a method of an actor blocks does not end, and nothing can be freed under it. */
static void join_threads(xo_crew_t *crew)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += JOIN_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    for (int i = 1; i < crew->count; i++) {
        if (!crew->members[i].has_thread ||
            pthread_timedjoin_np(crew->members[i].thread, NULL, &until) == 0)
            continue;
        fprintf(stderr, "xo-pool: pool %d does not end: a method of an actor blocks it\n", i);
        _exit(1);
    }
}

static int run_first(xo_crew_t *crew, xo_error_t *err)
{
    member_t *first = &crew->members[0];
    if (member_open(first, err) < 0)
        return -1;
    xo_io_init(&crew->news, first->loop, crew->news_fd, XO_READ, on_news, crew);
    if (xo_io_start(&crew->news) < 0)
        return xo_error_set(err, errno, "cannot watch an eventfd: %s", strerror(errno));
    start_threads(crew);
    xo_loop_run(first->loop);
    xo_io_stop(&crew->news);
    return 0;
}

int xo_crew_run(xo_crew_t *crew, xo_crew_ready_f ready, void *arg, xo_error_t *err)
{
    crew->ready = ready;
    crew->ready_arg = arg;
    int rc = run_first(crew, err);
    if (rc < 0)
        xo_crew_stop(crew);
    join_threads(crew);
    if (crew->members[0].pool)
        xo_pool_set_exit_status(crew->members[0].pool,
                                rc < 0 || crew->why.errnum ? EXIT_FAILURE : EXIT_SUCCESS);
    member_close(&crew->members[0]);
    crew->members[0].pool = NULL;
    crew->members[0].host = NULL;
    if (rc == 0 && crew->why.errnum) {
        if (err)
            *err = crew->why;
        errno = crew->why.errnum;
        rc = -1;
    }
    return rc;
}

/* ---- making it ---- */

/* "host:port" of pool `index`: the port counts up, unless it is any. */
static int shift_address(const char *text, int index, char *out, size_t size, xo_error_t *err)
{
    xo_address_t address;
    if (xo_address_parse(text, &address, err) < 0)
        return -1;
    bool behind = xo_address_is_behind(&address);
    if (address.port)
        address.port += index;
    if (xo_address_is_behind(&address) != behind)
        return xo_error_set(err, EINVAL, "address %s: no port left for pool %d", text, index);
    return xo_address_format(&address, out, size);
}

/* Where it was before, else its port counts up from that of the first. */
static int derive_address(member_t *member, xo_error_t *err)
{
    char first[XO_ADDRESS_BYTES];
    xo_identity_t *self = &member->options.self;
    int found = member->index ? xo_pool_sibling_from_env(member->index, self, err) : 0;
    if (found)
        return found < 0 ? -1 : 0;
    strcpy(first, self->address[0] ? self->address : "127.0.0.1:0");
    return shift_address(first, member->index, self->address, sizeof self->address, err);
}

/* A broker that started the process takes those for its pools whose ids follow the first's. */
static int derive_identity(member_t *member, xo_error_t *err)
{
    xo_identity_t *self = &member->options.self;
    if (!member->index)
        return derive_address(member, err);
    self->id = 0;
    self->pool_id += self->pool_id ? (uint64_t)member->index : 0;
    self->index = -1;
    if (derive_address(member, err) < 0)
        return -1;
    char label[XO_LABEL_BYTES + 16] = "";
    if (self->label[0])
        snprintf(label, sizeof label, "%s-%d", self->label, member->index);
    if (strlen(label) >= sizeof self->label)
        return xo_error_set(err, EINVAL, "label %s: '%s' is longer than %d bytes", self->label,
                            label, XO_LABEL_BYTES - 1);
    strcpy(self->label, label);
    member->options.owner = 0; /* the first one watches for all */
    return 0;
}

static int member_init(xo_crew_t *crew, int index, const xo_pool_options_t *options,
                       xo_error_t *err)
{
    member_t *member = &crew->members[index];
    member->crew = crew;
    member->index = index;
    member->options = *options;
    member->orders_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (member->orders_fd < 0)
        return xo_error_set(err, errno, "eventfd: %s", strerror(errno));
    if (derive_identity(member, err) < 0)
        return -1;
    if (!options->bind)
        return 0;
    member->options.bind = member->bind_address;
    return shift_address(options->bind, index, member->bind_address, sizeof member->bind_address,
                         err);
}

static int crew_init(xo_crew_t *crew, const xo_pool_options_t *options, xo_error_t *err)
{
    crew->members = calloc((size_t)crew->count, sizeof *crew->members);
    if (!crew->members)
        return xo_error_set(err, ENOMEM, "out of memory");
    for (int i = 0; i < crew->count; i++)
        crew->members[i].orders_fd = -1;
    crew->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (crew->news_fd < 0)
        return xo_error_set(err, errno, "eventfd: %s", strerror(errno));
    for (int i = 0; i < crew->count; i++)
        if (member_init(crew, i, options, err) < 0)
            return -1;
    return 0;
}

xo_crew_t *xo_crew_create(xo_ctx_t *ctx, const xo_pool_cli_t *cli, const xo_bind_t *bind,
                          const xo_pool_options_t *options, xo_error_t *err)
{
    xo_crew_t *crew = calloc(1, sizeof *crew);
    if (!crew)
        return xo_error_null(err, ENOMEM, "out of memory");
    crew->ctx = ctx;
    crew->cli = cli;
    crew->bind = bind;
    crew->count = cli->pools;
    crew->news_fd = -1;
    pthread_mutex_init(&crew->lock, NULL);
    if (crew_init(crew, options, err) < 0 || !(crew->members[0].loop = xo_loop_create(err))) {
        xo_crew_destroy(crew);
        return NULL;
    }
    return crew;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void xo_crew_destroy(xo_crew_t *crew)
{
    if (!crew)
        return;
    int saved = errno;
    for (int i = 0; crew->members && i < crew->count; i++)
        close_fd(crew->members[i].orders_fd);
    close_fd(crew->news_fd);
    if (crew->members)
        xo_loop_destroy(crew->members[0].loop);
    pthread_mutex_destroy(&crew->lock);
    free(crew->members);
    free(crew);
    errno = saved;
}

int xo_crew_count(const xo_crew_t *crew)
{
    return crew->count;
}

const char *xo_crew_address(const xo_crew_t *crew, int index)
{
    return crew->members[index].advertised;
}

xo_pool_t *xo_crew_first(xo_crew_t *crew)
{
    return crew->members[0].pool;
}

xo_loop_t *xo_crew_loop(xo_crew_t *crew)
{
    return crew->members[0].loop;
}
