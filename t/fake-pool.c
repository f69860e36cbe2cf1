/* fake-pool [WORD]...: the least process that a broker takes for a pool. For the system tests.
 * Words:
 *
 *   exit=N     ends with status N before it says hello
 *   mute       never says hello
 *   stubborn   ignores SIGTERM
 *   child      leaves a child in its process group that sleeps on
 *   daemon     leaves one in a session of its own, whose parent is gone
 *   faithful   links again when its link to the broker ends, instead of ending
 *   once       tells each broker but the first one nothing of what creates the actor
 *   actor=UID  tells the broker of an actor, once it has joined; creates it when it is told to
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libxo/xo.h"

#define RELINK_MS 20
#define FIRST_PORT 12000
#define PORTS 16000

typedef struct {
    const char *actor;
    bool mute;
    bool faithful;
    bool once;
    bool told;
    xo_loop_t *loop;
    xo_endpoint_t *endpoint;
    xo_timer_t heartbeat, relink;
} fake_t;

static const char *need(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "fake-pool: %s is not set\n", name);
        exit(64);
    }
    return value;
}

static void tell_actor(fake_t *fake, xo_link_t *link)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_TELL,
                          .target_uid = xo_slice_str(XO_BROKER_UID),
                          .method = xo_slice_str("actor.up")};
    if (fake->once && fake->told)
        xo_pack_format(&body, "[[B U s ? n] {}]", xo_slice_str(fake->actor), (uint64_t)1, "Fake",
                       0);
    else
        xo_pack_format(&body, "[[B U s ? [B]] {}]", xo_slice_str(fake->actor), (uint64_t)1, "Fake",
                       0, xo_slice("\x92\x90\x80", 3));
    fake->told = true;
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    xo_endpoint_tell(fake->endpoint, link, &msg, XO_SEND_QUEUE, NULL, NULL, NULL);
}

/* `has` of the pool itself is the broker's barrier. Calls are never answered. */
static void on_request(xo_endpoint_t *endpoint, xo_link_t *from, xo_msg_t **msg, void *arg)
{
    xo_slice_t method = xo_msg_header(*msg)->method;
    if (xo_msg_header(*msg)->kind == XO_CALL || xo_msg_header(*msg)->kind == XO_TELL)
        fprintf(stderr, "fake-pool: %s %.*s\n",
                xo_msg_header(*msg)->kind == XO_CALL ? "called" : "told", (int)method.size,
                method.data);
    xo_return_t to = xo_return_of(from, *msg);
    xo_header_t header = {.kind = XO_RESULT};
    if (xo_msg_header(*msg)->kind == XO_CREATE)
        tell_actor(arg, from);
    if (xo_msg_header(*msg)->kind == XO_HAS || xo_msg_header(*msg)->kind == XO_CREATE) {
        xo_msg_t *answer = xo_msg_create(&header, xo_slice("\xc3", 1));
        xo_endpoint_answer(endpoint, &to, &answer);
    }
    if (xo_msg_header(*msg)->kind != XO_CANCEL)
        xo_endpoint_consumed(endpoint, from, xo_msg_bytes(*msg));
    xo_msg_destroy(msg);
}

static void beat(fake_t *fake)
{
    xo_header_t header = {.kind = XO_HEARTBEAT};
    xo_link_t *link = xo_endpoint_broker(fake->endpoint);
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_format(&body, "{s s s i s {s i s i}}", "language", "fake", "handled", 7, "drops",
                   "no-actor", 3, "stale", -1);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    xo_endpoint_tell(fake->endpoint, link, &msg, 0, NULL, NULL, NULL);
    xo_msg_destroy(&msg);
}

static void on_linked(xo_endpoint_t *endpoint, xo_link_t *link, void *arg)
{
    fake_t *fake = arg;
    if (link != xo_endpoint_broker(endpoint))
        return;
    beat(fake);
    if (fake->actor != NULL)
        tell_actor(fake, link);
    xo_timer_start(&fake->heartbeat, atoi(need("XO_HEARTBEAT_MS")) * XO_MS);
}

static void on_unlinked(xo_endpoint_t *endpoint, xo_link_t *link, const xo_error_t *why, void *arg)
{
    fake_t *fake = arg;
    (void)endpoint, (void)link;
    fprintf(stderr, "fake-pool: %s\n", why->text);
    xo_timer_stop(&fake->heartbeat);
    if (fake->faithful)
        xo_timer_start(&fake->relink, RELINK_MS * XO_MS);
    else
        xo_loop_stop(fake->loop);
}

static void on_relink(xo_timer_t *timer, void *arg)
{
    fake_t *fake = arg;
    (void)timer;
    xo_link_t *link = xo_endpoint_link(fake->endpoint, need("XO_BROKER"), NULL);
    if (link != NULL)
        xo_endpoint_set_broker(fake->endpoint, link);
    else
        xo_timer_start(&fake->relink, RELINK_MS * XO_MS);
}

static void on_event(xo_endpoint_t *endpoint, xo_link_t *link, const xo_msg_t *msg, void *arg)
{
    fake_t *fake = arg;
    (void)endpoint, (void)link;
    if (xo_slice_eq_str(xo_msg_header(msg)->method, "stop"))
        xo_loop_stop(fake->loop);
}

static void on_heartbeat(xo_timer_t *timer, void *arg)
{
    beat(arg);
    xo_timer_start(timer, atoi(need("XO_HEARTBEAT_MS")) * XO_MS);
}

static void on_term(xo_signal_t *watcher, int signum, void *arg)
{
    (void)watcher, (void)signum;
    xo_loop_stop(((fake_t *)arg)->loop);
}

static void leave_daemon(void)
{
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0)
            execlp("sleep", "sleep", "600", (char *)NULL);
        _exit(127);
    }
    waitpid(child, NULL, 0);
}

static void take_word(fake_t *fake, const char *word)
{
    if (strncmp(word, "exit=", 5) == 0) {
        fprintf(stderr, "fake-pool: its last words\n");
        exit(atoi(word + 5));
    } else if (strcmp(word, "mute") == 0) {
        fake->mute = true;
    } else if (strcmp(word, "faithful") == 0) {
        fake->faithful = true;
    } else if (strcmp(word, "once") == 0) {
        fake->once = true;
    } else if (strcmp(word, "stubborn") == 0) {
        signal(SIGTERM, SIG_IGN);
    } else if (strcmp(word, "child") == 0) {
        if (fork() == 0) {
            execlp("sleep", "sleep", "600", (char *)NULL);
            _exit(127);
        }
    } else if (strcmp(word, "daemon") == 0) {
        leave_daemon();
    } else if (strncmp(word, "actor=", 6) == 0) {
        fake->actor = word + 6;
    } else {
        fprintf(stderr, "fake-pool: what is '%s'?\n", word);
        exit(64);
    }
}

static xo_identity_t identity(void)
{
    xo_identity_t self = {.role = XO_ROLE_POOL};
    self.node_id = strtoull(need("XO_NODE_ID"), NULL, 16);
    self.pool_id = strtoull(need("XO_POOL_ID"), NULL, 16);
    self.generation = (uint32_t)atoi(need("XO_POOL_GENERATION"));
    self.index = atoi(need("XO_POOL_INDEX"));
    snprintf(self.label, sizeof(self.label), "%s", need("XO_POOL_LABEL"));
    return self;
}

/* Below those that the kernel gives to whoever connects to anything: such a one may have the port
 * of a pool that was killed before the next process listens there. */
static int listen_anywhere(xo_endpoint_t *endpoint, xo_error_t *err)
{
    char address[32];
    for (int i = 0; i < PORTS; i++) {
        snprintf(address, sizeof address, "127.0.0.1:%d", FIRST_PORT + (getpid() + i) % PORTS);
        if (xo_endpoint_listen(endpoint, address, NULL, err) == 0)
            return 0;
    }
    return -1;
}

static int start_listening(xo_endpoint_t *endpoint, xo_error_t *err)
{
    const char *address = need("XO_POOL_ADDRESS");
    if (strcmp(address, "127.0.0.1:0") == 0)
        return listen_anywhere(endpoint, err);
    return xo_endpoint_listen(endpoint, address, NULL, err);
}

static int join(fake_t *fake, xo_ctx_t *ctx, xo_error_t *err)
{
    xo_endpoint_ops_t ops = {
        .request = on_request, .linked = on_linked, .unlinked = on_unlinked, .event = on_event};
    xo_identity_t self = identity();
    xo_timer_init(&fake->heartbeat, fake->loop, on_heartbeat, fake);
    xo_timer_init(&fake->relink, fake->loop, on_relink, fake);
    fake->endpoint = xo_endpoint_create(ctx, fake->loop, &self, &ops, fake, NULL, err);
    if (fake->endpoint == NULL || start_listening(fake->endpoint, err) < 0)
        return -1;
    if (fake->mute)
        return 0;
    xo_link_t *link = xo_endpoint_link(fake->endpoint, need("XO_BROKER"), err);
    if (link == NULL)
        return -1;
    xo_endpoint_set_broker(fake->endpoint, link);
    return 0;
}

static int watch_term(fake_t *fake, xo_signal_t *term)
{
    struct sigaction action;
    sigaction(SIGTERM, NULL, &action);
    if (action.sa_handler == SIG_IGN)
        return 0;
    xo_signal_init(term, fake->loop, SIGTERM, on_term, fake);
    return xo_signal_start(term);
}

int main(int argc, char **argv)
{
    fake_t fake = {0};
    xo_signal_t term = {0};
    xo_error_t err = {0};
    for (int i = 1; i < argc; i++)
        take_word(&fake, argv[i]);
    xo_ctx_t *ctx = xo_ctx_create(NULL, &err);
    fake.loop = ctx ? xo_loop_create(&err) : NULL;
    if (fake.loop == NULL || watch_term(&fake, &term) < 0 || join(&fake, ctx, &err) < 0) {
        fprintf(stderr, "fake-pool: %s\n", err.text);
        return 1;
    }
    xo_loop_run(fake.loop);
    xo_timer_stop(&fake.heartbeat);
    if (term.active)
        xo_signal_stop(&term);
    xo_endpoint_destroy(fake.endpoint);
    xo_loop_destroy(fake.loop);
    xo_ctx_destroy(ctx);
    return 0;
}
