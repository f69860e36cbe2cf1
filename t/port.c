/* port.c - tests of a node's port: what it makes of those who do not say what they should, and that
 * it passes on all that they say otherwise. */
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libxo/fetch.h"
#include "libxo/knock.h"
#include "libxo/opening.h"
#include "t/lane-rig.h"

#define GUESTS_MAX 512 /* port.c */
#define BULK_BYTES ((size_t)24 << 20)

/* The same for what the test does itself, of which the loop knows nothing. */
#define SPIN_UNTIL(rig_, condition_)                                                               \
    do {                                                                                           \
        rig_arm(rig_);                                                                             \
        while (!(condition_)) {                                                                    \
            assert_false((rig_)->expired);                                                         \
            xo_loop_once((rig_)->loop, 1);                                                         \
        }                                                                                          \
    } while (0)

typedef struct world {
    rig_t rig;
    xo_port_t *port;
    int number;
    int inner; /* listens where the port leads to; -1: not */
    char path[XO_PATH_BYTES];
    xo_address_t asked;
    bool is_away; /* the pool: somebody comes for who wants it */
    uint64_t token;
    int refused;
    xo_drop_t reason;
    char why[XO_ERROR_TEXT_BYTES];
    int led_fd, led; /* what a knock came to */
    xo_error_t led_why;
} world_t;

static void on_find(xo_port_t *port, const xo_address_t *address, char path[XO_PATH_BYTES],
                    void *arg)
{
    world_t *w = arg;

    (void)port;
    w->asked = *address;
    snprintf(path, XO_PATH_BYTES, "%s", w->path);
}

static bool on_away(xo_port_t *port, const xo_address_t *address, uint64_t token, void *arg)
{
    world_t *w = arg;

    (void)port;
    (void)address;
    w->token = token;
    return w->is_away;
}

static void on_refused(xo_port_t *port, xo_drop_t reason, const char *host, const char *why,
                       void *arg)
{
    world_t *w = arg;

    (void)port;
    assert_string_equal(host, "127.0.0.1");
    w->refused++;
    w->reason = reason;
    snprintf(w->why, sizeof w->why, "%s", why);
}

static int world_open(void **state)
{
    static const xo_port_events_t events = {on_find, on_away, on_refused};
    world_t *w = calloc(1, sizeof *w);
    char text[64];
    xo_error_t err;

    rig_open(&w->rig);
    w->inner = -1;
    while (!w->port) { /* another process may be faster */
        w->number = rig_free_port();
        snprintf(text, sizeof text, "127.0.0.1:%d", w->number);
        w->port = xo_port_create(w->rig.loop, text, NULL, &events, w, &err);
    }
    *state = w;
    return 0;
}

static int world_close(void **state)
{
    world_t *w = *state;

    xo_port_destroy(w->port);
    if (w->inner >= 0) {
        close(w->inner);
        unlink(w->path);
    }
    rig_close(&w->rig);
    free(w);
    return 0;
}

static void listen_inside(world_t *w)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(w->path, sizeof w->path, "%s/inner", xo_ctx_run_dir(w->rig.ctx));
    snprintf(address.sun_path, sizeof address.sun_path, "%s", w->path);
    w->inner = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(w->inner, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(w->inner, 8), 0);
}

static int dial(const world_t *w)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)w->number),
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void refuses(world_t *w, const void *bytes, size_t size, const char *why)
{
    int before = w->refused;
    int fd = dial(w);

    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
    RUN_UNTIL(&w->rig, w->refused > before);
    assert_non_null(strstr(w->why, why));
    close(fd);
}

#define REFUSES(w_, bytes_, why_) refuses(w_, bytes_, sizeof(bytes_) - 1, why_)
#define GREETING "\5\1\0"

static void nonsense_is_refused(void **state)
{
    world_t *w = *state;

    REFUSES(w, "GET / HTTP/1.1\r\n\r\n", "neither ZMTP nor SOCKS 5");
    REFUSES(w, "\5\1\2", "neither ZMTP nor SOCKS 5");                   /* only with a password */
    REFUSES(w, "\5\0", "neither ZMTP nor SOCKS 5");                     /* no method at all */
    REFUSES(w, GREETING "\4\1\0\3\1x\0\1", "neither ZMTP nor SOCKS 5"); /* another version */
    REFUSES(w, GREETING "\5\1\0\2\1x\0\1", "neither ZMTP nor SOCKS 5"); /* no type of address */
    REFUSES(w, GREETING "\5\2\0\3\1x\0\1", "something else");           /* BIND */
    REFUSES(w, GREETING "\5\1\0\1\177\0\0\1\0\1", "something else");    /* an address in digits */
    REFUSES(w, GREETING "\5\1\0\3\3p\0.\0\1", "something else");
    assert_int_equal(w->reason, XO_DROP_MALFORMED);
    REFUSES(w, GREETING "\5\1\0\3\1x\0\1", "no address");
    REFUSES(w, GREETING "\5\1\0\3\0\0\1", "no address");
    REFUSES(w, GREETING "\5\1\0\3\2p7\0\1", "no address");
    REFUSES(w, GREETING "\5\1\0\3\5p7.a/\0\1", "no address");
    REFUSES(w, GREETING "\5\1\0\3\6p-1.ab\0\1", "no address");
    assert_int_equal(w->asked.port, 0);
    REFUSES(w, GREETING "\5\1\0\3\4p7.a\0\1", "no pool of this node");
    assert_int_equal(w->asked.port, 7);
    assert_string_equal(w->asked.host, "a");
    assert_int_equal(w->reason, XO_DROP_NO_ROUTE);
    REFUSES(w, "\377", "nobody is at the port itself");
    assert_int_equal(w->asked.port, w->number);
    assert_int_equal(xo_port_stats(w->port)->refused, w->refused);
    assert_int_equal(xo_port_stats(w->port)->passing, 0);
}

static void who_leaves_is_refused(void **state)
{
    world_t *w = *state;
    int fd = dial(w);

    close(fd);
    RUN_UNTIL(&w->rig, w->refused == 1);
    fd = dial(w);
    assert_int_equal(send(fd, GREETING "\5\1", 5, 0), 5);
    close(fd);
    RUN_UNTIL(&w->rig, w->refused == 2);
    assert_non_null(strstr(w->why, "left before"));
}

static void the_oldest_makes_room(void **state)
{
    world_t *w = *state;
    int fds[GUESTS_MAX + 1];
    char byte;

    for (int i = 0; i <= GUESTS_MAX; i++)
        fds[i] = dial(w);
    RUN_UNTIL(&w->rig, w->refused == 1);
    assert_non_null(strstr(w->why, "too many"));
    assert_int_equal(recv(fds[0], &byte, 1, 0), 0);
    assert_int_equal(xo_port_stats(w->port)->accepted, GUESTS_MAX + 1);
    for (int i = 0; i <= GUESTS_MAX; i++)
        close(fds[i]);
    RUN_UNTIL(&w->rig, w->refused == GUESTS_MAX + 1);
}

static void on_led(xoi_knock_t *knock, int fd, const xo_error_t *why, void *arg)
{
    world_t *w = arg;

    (void)knock;
    w->led++;
    w->led_fd = fd;
    if (why)
        w->led_why = *why;
}

static int knock(world_t *w, const char *name)
{
    xoi_knock_t knock;
    xo_address_t door = {.host = "127.0.0.1", .port = w->number};
    int before = w->led;

    xoi_knock_init(&knock, w->rig.loop, on_led, w);
    assert_int_equal(xoi_knock_start(&knock, &door, name, RIG_DEADLINE_MS, NULL), 0);
    RUN_UNTIL(&w->rig, w->led > before);
    return w->led_fd;
}

static void knocks_say_what_is_the_matter(void **state)
{
    world_t *w = *state;
    xoi_knock_t silent;
    xo_address_t door = {.host = "127.0.0.1", .port = w->number};

    assert_int_equal(knock(w, "p7.a"), -1);
    assert_int_equal(w->led_why.errnum, ECONNREFUSED);
    assert_non_null(strstr(w->led_why.text, "no pool of that node"));
    assert_int_equal(knock(w, "nonsense"), -1);
    assert_int_equal(w->led_why.errnum, EPROTO);
    listen_inside(w); /* is no port, and says nothing */
    xoi_knock_init(&silent, w->rig.loop, on_led, w);
    door.port = rig_free_port();
    assert_int_equal(xoi_knock_start(&silent, &door, "p7.a", RIG_DEADLINE_MS, NULL), 0);
    RUN_UNTIL(&w->rig, w->led == 3);
    assert_non_null(strstr(w->led_why.text, "nobody listens"));
}

static void name_of_peer(int fd, char *text, size_t size)
{
    struct sockaddr_un peer;
    socklen_t length = sizeof peer;

    assert_int_equal(getpeername(fd, (struct sockaddr *)&peer, &length), 0);
    assert_int_equal(peer.sun_path[0], 0);
    snprintf(text, size, "%.*s", (int)(length - sizeof(sa_family_t) - 1), peer.sun_path + 1);
}

/* Bytes that both ends can make. */
static unsigned char byte_at(size_t at)
{
    return (unsigned char)(at * 2654435761u >> 13);
}

typedef struct pump {
    int from, to;
    size_t sent, received;
    bool wrong;
} pump_t;

static void push(pump_t *pump)
{
    unsigned char bytes[4096];
    ssize_t n;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = byte_at(pump->sent + i);
    if (pump->sent < BULK_BYTES) {
        n = send(pump->from, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        pump->sent += n > 0 ? (size_t)n : 0;
    }
}

static void pull(pump_t *pump)
{
    unsigned char bytes[1500];
    ssize_t n = recv(pump->to, bytes, sizeof bytes, MSG_DONTWAIT);

    for (ssize_t i = 0; i < n; i++)
        pump->wrong |= bytes[i] != byte_at(pump->received + (size_t)i);
    pump->received += n > 0 ? (size_t)n : 0;
}

static bool pumped(pump_t *pump)
{
    for (int i = 0; i < 8; i++)
        push(pump);
    for (int i = 0; i < 32; i++)
        pull(pump);
    return pump->received >= BULK_BYTES;
}

static int enter(world_t *w, int *outer)
{
    int inner = -1;

    *outer = knock(w, "p7.a");
    SPIN_UNTIL(&w->rig, (inner = accept(w->inner, NULL, NULL)) >= 0);
    return inner;
}

/* False: there is nothing, now. */
static bool take_some(int fd, size_t *got)
{
    char bytes[4096];
    ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);

    *got += n > 0 ? (size_t)n : 0;
    return n > 0;
}

static void say(world_t *w, int from, int to)
{
    char bytes[XOI_OPENING_BYTES + 1] = {0};
    size_t got = 0;

    assert_int_equal(send(from, bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
    SPIN_UNTIL(&w->rig, take_some(to, &got) && got == sizeof bytes);
}

/* As long as a handshake. */
static void shake_hands(world_t *w, int outer, int inner)
{
    say(w, outer, inner);
    say(w, inner, outer);
}

static void what_comes_goes_on_in_order_and_both_ways(void **state)
{
    world_t *w = *state;
    char who[128];
    int outer, inner;

    listen_inside(w);
    inner = enter(w, &outer);
    name_of_peer(inner, who, sizeof who);
    assert_int_equal(strncmp(who, "127.0.0.1 ", 10), 0);
    assert_int_equal(xo_port_stats(w->port)->passing, 1);
    shake_hands(w, outer, inner);
    pump_t there = {outer, inner, 0, 0, false}, back = {inner, outer, 0, 0, false};
    SPIN_UNTIL(&w->rig, pumped(&there) & pumped(&back));
    assert_false(there.wrong || back.wrong);
    shutdown(outer, SHUT_WR);
    char byte;
    SPIN_UNTIL(&w->rig, recv(inner, &byte, 1, MSG_DONTWAIT) == 0);
    close(inner);
    RUN_UNTIL(&w->rig, xo_port_stats(w->port)->passing == 0);
    close(outer);
}

static void who_is_away_comes_for_who_waits(void **state)
{
    world_t *w = *state;
    xoi_knock_t waits;
    xo_address_t door = {.host = "127.0.0.1", .port = w->number};
    xo_fetches_t *fetches = xo_fetches_create(w->rig.loop, &door, NULL);
    int inner = -1;

    listen_inside(w);
    char path[XO_PATH_BYTES];
    strcpy(path, w->path);
    w->path[0] = 0;
    w->is_away = true;
    xoi_knock_init(&waits, w->rig.loop, on_led, w);
    assert_int_equal(xoi_knock_start(&waits, &door, "p7.a", RIG_DEADLINE_MS, NULL), 0);
    RUN_UNTIL(&w->rig, w->token != 0);
    assert_int_equal(w->led, 0);
    assert_int_equal(xo_fetch(fetches, w->token + 1, path, NULL), 0); /* another's */
    RUN_UNTIL(&w->rig, w->refused == 1);
    assert_int_equal(xo_fetch(fetches, w->token, path, NULL), 0);
    RUN_UNTIL(&w->rig, w->led == 1);
    assert_true(w->led_fd >= 0);
    SPIN_UNTIL(&w->rig, (inner = accept(w->inner, NULL, NULL)) >= 0);
    close(inner); /* that of the first */
    SPIN_UNTIL(&w->rig, (inner = accept(w->inner, NULL, NULL)) >= 0);
    shake_hands(w, w->led_fd, inner);
    pump_t there = {w->led_fd, inner, 0, 0, false}, back = {inner, w->led_fd, 0, 0, false};
    SPIN_UNTIL(&w->rig, pumped(&there) & pumped(&back));
    assert_false(there.wrong || back.wrong);
    close(inner);
    close(w->led_fd);
    RUN_UNTIL(&w->rig, xo_port_stats(w->port)->passing == 0);
    xo_fetches_destroy(fetches);
    strcpy(w->path, path);
}

static void who_waits_hears_that_nobody_comes(void **state)
{
    world_t *w = *state;
    xoi_knock_t waits;
    xo_address_t door = {.host = "127.0.0.1", .port = w->number};

    w->is_away = true;
    xoi_knock_init(&waits, w->rig.loop, on_led, w);
    assert_int_equal(xoi_knock_start(&waits, &door, "p7.a", RIG_DEADLINE_MS, NULL), 0);
    RUN_UNTIL(&w->rig, w->token != 0);
    xo_port_give_up(w->port, w->token + 1, "not for this one");
    assert_int_equal(w->refused, 0);
    xo_port_give_up(w->port, w->token, "nobody comes");
    RUN_UNTIL(&w->rig, w->led == 1);
    assert_int_equal(w->led_fd, -1);
    assert_int_equal(w->led_why.errnum, ECONNREFUSED);
    assert_string_equal(w->why, "it asked for a:7, and nobody comes");
}

/* libzmq would keep all of it until the time for the handshake is over. */
static void who_floods_before_a_handshake_is_let_go(void **state)
{
    world_t *w = *state;
    size_t got = 0;
    int outer, inner;

    listen_inside(w);
    inner = enter(w, &outer);
    pump_t there = {outer, inner, 0, 0, false};
    SPIN_UNTIL(&w->rig, (push(&there), xo_port_stats(w->port)->passing == 0));
    while (take_some(inner, &got)) { /* until it hangs up */
    }
    assert_true(got <= XOI_OPENING_BYTES_MAX);
    close(outer);
    close(inner);
}

static void who_stands_still_is_not_read_from_without_end(void **state)
{
    world_t *w = *state;
    int outer, inner;
    size_t before = 0;

    listen_inside(w);
    inner = enter(w, &outer);
    shake_hands(w, outer, inner);
    pump_t there = {outer, inner, 0, 0, false};
    for (int idle = 0; idle < 100; idle++) { /* until nothing goes any more */
        push(&there);
        xo_loop_once(w->rig.loop, 0);
        if (there.sent > before)
            idle = 0;
        before = there.sent;
        assert_true(there.sent < BULK_BYTES);
    }
    SPIN_UNTIL(&w->rig, pumped(&there)); /* and all comes when it is taken */
    assert_false(there.wrong);
    close(outer);
    close(inner);
    RUN_UNTIL(&w->rig, xo_port_stats(w->port)->passing == 0);
}

static void what_cannot_be_a_port_is_refused(void **state)
{
    static const xo_port_events_t events = {on_find, on_away, on_refused};
    static const char *const wrong[] = {"a",          "a:0",     "a:99", "0.0.0.0:7000",
                                        "a:70000001", "a b:7000"};
    world_t *w = *state;
    xo_error_t err;
    char text[64];

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_null(xo_port_create(w->rig.loop, wrong[i], NULL, &events, w, &err));
        assert_int_equal(err.errnum, EINVAL);
    }
    snprintf(text, sizeof text, "127.0.0.1:%d", w->number);
    assert_null(xo_port_create(w->rig.loop, text, NULL, &events, w, &err));
    assert_int_equal(err.errnum, EADDRINUSE);
    assert_non_null(strstr(err.text, text));
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(nonsense_is_refused),
        T(who_leaves_is_refused),
        T(the_oldest_makes_room),
        T(knocks_say_what_is_the_matter),
        T(what_comes_goes_on_in_order_and_both_ways),
        T(who_is_away_comes_for_who_waits),
        T(who_waits_hears_that_nobody_comes),
        T(who_floods_before_a_handshake_is_let_go),
        T(who_stands_still_is_not_read_from_without_end),
        T(what_cannot_be_a_port_is_refused),
    };
    scratch_t scratch;
    int rc;

    scratch_enter(&scratch);
    rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
