/* chaos-actors.c - the Tally of t/chaos/chaos_actors.py in C: it writes each message that it gets
 * to a file, before it answers. It counts what it relays: each call must get one answer. And one
 * that comes and goes, of which there may be many, so it keeps no descriptor.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "pool/module.h"

#define NAME_BYTES 64
#define SENDER_BYTES 128
#define LINE_BYTES 512

typedef struct tally {
    char name[NAME_BYTES];
    char path[LINE_BYTES];
    int fd;        /* -1: opened for each line, by one of many */
    int64_t token; /* another one: its state is gone */
    int64_t count;
    int64_t called, answered; /* what it relayed */
} tally_t;

typedef struct relay {
    xo_request_t *request;
    char address[XO_ADDRESS_BYTES];
    char uid[XO_UID_BYTES_MAX + 1];
    char sender[SENDER_BYTES + NAME_BYTES + 8];
    int64_t number;
    bool tells;
} relay_t;

static void copy_text(char *to, size_t size, xo_slice_t text)
{
    snprintf(to, size, "%.*s", (int)text.size, text.data);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int open_notes(const tally_t *tally)
{
    return open(tally->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static int passing_create(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    xo_slice_t name;
    xo_slice_t path;
    (void)actor;
    if (xo_unpack(args, err, "[s s]", &name, &path) < 0)
        return -1;
    tally_t *tally = calloc(1, sizeof *tally);
    if (!tally)
        return xo_error_set(err, ENOMEM, "out of memory");
    copy_text(tally->name, sizeof tally->name, name);
    copy_text(tally->path, sizeof tally->path, path);
    tally->token = now_ns();
    tally->fd = -1;
    *self = tally;
    return 0;
}

static void passing_destroy(void *self)
{
    free(self);
}

static void tally_destroy(void *self)
{
    tally_t *tally = self;
    if (tally->fd >= 0)
        close(tally->fd);
    passing_destroy(tally);
}

static int tally_create(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    if (passing_create(actor, args, self, err) < 0)
        return -1;
    tally_t *tally = *self;
    tally->fd = open_notes(tally);
    if (tally->fd >= 0)
        return 0;
    xo_error_set(err, errno, "cannot open %s", tally->path);
    tally_destroy(tally);
    return -1;
}

static bool append(const tally_t *tally, const char *line, size_t size)
{
    int fd = tally->fd >= 0 ? tally->fd : open_notes(tally);
    bool written = fd >= 0 && write(fd, line, size) == (ssize_t)size;
    if (fd >= 0 && fd != tally->fd)
        close(fd);
    return written;
}

/* Appends a line with one write, so as a whole. -1: the request has been ended. */
static int write_line(tally_t *tally, xo_request_t *request, xo_slice_t sender, int64_t number)
{
    char line[LINE_BYTES];
    int size = snprintf(line, sizeof line, "%s %s.%s@%s %" PRId64 " %" PRId64 " %.*s %" PRId64 "\n",
                        tally->name, getenv("XO_POOL_ID"), getenv("XO_POOL_GENERATION"),
                        getenv("XO_POOL_ADDRESS"), tally->token, ++tally->count, (int)sender.size,
                        sender.data, number);
    if (append(tally, line, (size_t)size))
        return 0;
    xo_request_fail(request, XO_CODE_METHOD, "cannot write a note");
    return -1;
}

static void note(void *self, xo_request_t *request)
{
    int64_t number;
    xo_slice_t sender;
    if (xo_request_unpack(request, "s I", &sender, &number) == 0 &&
        write_line(self, request, sender, number) == 0)
        xo_request_reply(request, "I", number);
}

/* ---- through another actor ---- */

static void answered(xo_future_t *future, void *arg)
{
    relay_t *relay = arg;
    int64_t number;
    tally_t *tally = xo_actor_object(xo_request_actor(relay->request));
    tally->answered++;
    if (xo_future_get(future, NULL, "I", &number) == 0)
        xo_request_reply(relay->request, "I", number);
    else
        xo_request_reply_future(relay->request, future);
    xo_future_destroy(future);
    free(relay);
}

static void send_it(void *arg);

static void try_again(relay_t *relay, const xo_error_t *why)
{
    xo_request_t *request = relay->request;
    if (errno == EAGAIN &&
        xo_request_on_room(request, relay->address, relay->uid, send_it, relay) == 0)
        return;
    free(relay);
    xo_request_fail(request, XO_CODE_METHOD, "cannot send: %s", why->text);
}

static void send_it(void *arg)
{
    relay_t *relay = arg;
    xo_error_t err = {0};
    xo_request_t *request = relay->request;
    tally_t *tally = xo_actor_object(xo_request_actor(request));
    if (relay->tells) {
        if (xo_request_tell(request, &err, relay->address, relay->uid, "note", "s I", relay->sender,
                            relay->number) < 0) {
            try_again(relay, &err);
            return;
        }
        xo_request_reply(request, "I", relay->number);
        free(relay);
        return;
    }
    tally->called++;
    if (xo_request_call(request, &err, relay->address, relay->uid, answered, relay, "note", "s I",
                        relay->sender, relay->number) < 0) {
        tally->called--;
        try_again(relay, &err);
    }
}

static void through(tally_t *tally, xo_request_t *request, bool tells)
{
    xo_slice_t address;
    xo_slice_t uid;
    xo_slice_t sender;
    relay_t *relay = calloc(1, sizeof *relay);
    if (!relay) {
        xo_request_fail(request, XO_CODE_METHOD, "out of memory");
        return;
    }
    if (xo_request_unpack(request, "s s s I", &address, &uid, &sender, &relay->number) < 0 ||
        write_line(tally, request, sender, relay->number) < 0) {
        free(relay);
        return;
    }
    relay->request = request;
    relay->tells = tells;
    copy_text(relay->address, sizeof relay->address, address);
    copy_text(relay->uid, sizeof relay->uid, uid);
    snprintf(relay->sender, sizeof relay->sender, "%.*s-by-%s", (int)sender.size, sender.data,
             tally->name);
    send_it(relay);
}

static void note_through(void *self, xo_request_t *request)
{
    through(self, request, false);
}

static void tell_through(void *self, xo_request_t *request)
{
    through(self, request, true);
}

/* How many calls it made and how many answers it got that are not there yet. */
static void open_calls(void *self, xo_request_t *request)
{
    const tally_t *tally = self;
    if (xo_request_unpack(request, "") == 0)
        xo_request_reply(request, "I", tally->called - tally->answered);
}

static void ping(void *self, xo_request_t *request)
{
    (void)self;
    if (xo_request_unpack(request, "") == 0)
        xo_request_reply(request, "s", "pong");
}

static const xo_method_t methods[] = {
    {"note", note, 0, "note(SENDER, NUMBER): writes it"},
    {"note_through", note_through, 0, "note_through(ADDRESS, UID, SENDER, NUMBER): and calls"},
    {"tell_through", tell_through, 0, "tell_through(ADDRESS, UID, SENDER, NUMBER): and tells"},
    {"open_calls", open_calls, 0, "open_calls(): that have no answer"},
    {"ping", ping, 0, "ping()"},
    {0}};

static const xo_class_t tally_class = {
    .name = "Tally", .create = tally_create, .destroy = tally_destroy, .methods = methods};
static const xo_class_t passing_class = {
    .name = "Passing", .create = passing_create, .destroy = passing_destroy, .methods = methods};
static const xo_class_t *const classes[] = {&tally_class, &passing_class, NULL};

XO_MODULE("chaos-actors", classes);
