/* fault-ties.c - see fault-steps.h: what actors have with others of their pool and of another one:
 * monitors, links, targets.
 */
#include <stdio.h>
#include <stdlib.h>

#include "t/fault-points.h"
#include "t/fault-steps.h"
#include "t/unit.h"

#define VOLLEY 12 /* of it one mailbox takes FAULT_MAILBOX */

/* ---- the actor ---- */

typedef struct tied {
    int monitors;    /* that have told nothing yet: each try of a step may leave one */
    int told, exits; /* by monitors, and of those it was linked to */
    xo_target_t *target;
    xo_request_t *volley;
    int left;
} tied_t;

static int tied_create(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    (void)actor;
    (void)args;
    *self = calloc(1, sizeof(tied_t));
    return *self ? 0 : xo_error_set(err, ENOMEM, "out of memory for the actor");
}

/* Whom it is about, of the arguments (ADDRESS, UID). */
typedef struct whom {
    char address[XO_ADDRESS_BYTES];
    char uid[16];
} whom_t;

static int read_whom(xo_request_t *request, whom_t *whom)
{
    xo_slice_t address, uid;
    if (xo_request_unpack(request, "s s", &address, &uid) < 0)
        return -1;
    snprintf(whom->address, sizeof whom->address, "%.*s", (int)address.size, address.data);
    snprintf(whom->uid, sizeof whom->uid, "%.*s", (int)uid.size, uid.data);
    return 0;
}

static void refuse(xo_request_t *request, const xo_error_t *err)
{
    fault_check(errno && err->errnum == errno && err->text[0], "a refusal has errno %d, %d, '%s'",
                errno, err->errnum, err->text);
    xo_request_fail(request, XO_CODE_METHOD, "%s", err->text);
}

static void pass_on(xo_future_t *future, void *arg)
{
    xo_request_reply_future(arg, future);
    xo_future_destroy(future);
}

static void note_told(const char *reason, void *arg)
{
    tied_t *tied = arg;
    fault_check(reason && reason[0], "a monitor is told no reason");
    tied->monitors--;
    tied->told++;
}

static void tied_watch(void *self, xo_request_t *request)
{
    whom_t whom;
    xo_error_t err = {0};
    tied_t *tied = self;
    if (read_whom(request, &whom) < 0)
        return;
    if (!xo_actor_monitor(xo_request_actor(request), whom.address, xo_slice_str(whom.uid),
                          note_told, tied, &err)) {
        refuse(request, &err);
        return;
    }
    tied->monitors++;
    xo_request_reply(request, "n");
}

static void tied_tie(void *self, xo_request_t *request)
{
    whom_t whom;
    xo_error_t err = {0};
    (void)self;
    if (read_whom(request, &whom) == 0 &&
        xo_request_link_to(request, &err, whom.address, whom.uid, pass_on, request) < 0)
        refuse(request, &err);
}

static void tied_untie(void *self, xo_request_t *request)
{
    whom_t whom;
    xo_error_t err = {0};
    (void)self;
    if (read_whom(request, &whom) < 0)
        return;
    if (xo_request_unlink_from(request, &err, whom.address, whom.uid) == 0)
        xo_request_reply(request, "n");
    else
        refuse(request, &err);
}

static void volley_on(void *arg)
{
    xo_error_t err = {0};
    tied_t *tied = arg;
    for (; tied->left; tied->left--) {
        if (xo_target_tell(tied->target, tied->volley, &err, "i", 1) == 0)
            continue;
        if (errno == EAGAIN && xo_target_on_room(tied->target, tied->volley, volley_on, tied) == 0)
            return;
        xo_request_fail(tied->volley, XO_CODE_METHOD, "no volley: %s", err.text);
        return;
    }
    if (xo_target_call(tied->target, tied->volley, &err, pass_on, tied->volley, "i", 1) == 0)
        return;
    if (errno != EAGAIN || xo_target_on_room(tied->target, tied->volley, volley_on, tied) < 0)
        xo_request_fail(tied->volley, XO_CODE_METHOD, "no call: %s", err.text);
}

/* Tells it more than its mailbox takes, and calls it. */
static void tied_volley(void *self, xo_request_t *request)
{
    whom_t whom;
    tied_t *tied = self;
    xo_error_t err = {0};
    if (read_whom(request, &whom) < 0)
        return;
    xo_target_destroy(tied->target);
    tied->volley = request;
    tied->left = VOLLEY;
    tied->target =
        xo_target_create(xo_request_actor(request), whom.address, whom.uid, "echo", &err);
    if (tied->target)
        volley_on(tied);
    else
        refuse(request, &err);
}

static void tied_exit(void *self, xo_request_t *request)
{
    ((tied_t *)self)->exits++;
    xo_request_reply(request, "n");
}

static void tied_counts(void *self, xo_request_t *request)
{
    const tied_t *tied = self;
    xo_request_reply(request, "i", tied->told + 1000 * tied->exits);
}

static void tied_monitors(void *self, xo_request_t *request)
{
    xo_request_reply(request, "i", ((tied_t *)self)->monitors);
}

static const xo_method_t methods[] = {{XO_METHOD_EXIT, tied_exit, 0, NULL},
                                      {"counts", tied_counts, 0, NULL},
                                      {"monitors", tied_monitors, 0, NULL},
                                      {"watch", tied_watch, 0, NULL},
                                      {"tie", tied_tie, XO_METHOD_NO_LOCK, NULL},
                                      {"untie", tied_untie, XO_METHOD_NO_LOCK, NULL},
                                      {"volley", tied_volley, XO_METHOD_NO_LOCK, NULL},
                                      {0}};
const xo_class_t fault_tied = {
    .name = "Tied", .create = tied_create, .destroy = free, .methods = methods};

/* ---- steps ---- */

static int open_other(world_t *world, xo_error_t *err)
{
    if (!world->other_ctx)
        world->other_ctx = xo_ctx_create(NULL, err);
    if (!world->other_ctx)
        return -1;
    return fault_open_pool(world, world->other_ctx, NULL, &world->other_host, &world->other, err);
}

/* In the first pool; the other one is where `address` is. */
static int ask(world_t *world, const char *method, const char *address, const char *uid,
               xo_error_t *err)
{
    xo_ref_t *tied = xo_ref_create(world->endpoint, xo_pool_address(world->pool), "tied", err);
    int rc = -1;
    if (tied)
        rc = finish_call(xo_ref_call(tied, err, method, "s s", address, uid), err, NULL, NULL);
    int saved = errno;
    xo_ref_destroy(tied);
    errno = saved;
    return rc;
}

static int count(world_t *world, const char *method, xo_error_t *err)
{
    int value = -1;
    xo_ref_t *tied = xo_ref_create(world->endpoint, xo_pool_address(world->pool), "tied", err);
    if (tied && finish_call(xo_ref_call(tied, err, method, ""), err, "i", &value) < 0)
        value = -1;
    int saved = errno;
    xo_ref_destroy(tied);
    errno = saved;
    return value;
}

/* Has the tied actor been told, by an event that counts `unit`, of more than `before`? -1: error.
 * Of monitors all must have: the word of one that an earlier try has left is another message, which
 * may come later, and then belongs to the next step. */
static int has_heard(world_t *world, int before, int unit, xo_error_t *err)
{
    int now = count(world, "counts", err);
    if (now < 0)
        return -1;
    if (unit == 1000)
        return now / 1000 > before / 1000;
    int monitors = count(world, "monitors", err);
    return monitors < 0 ? -1 : monitors == 0 && now % 1000 > before % 1000;
}

/* Ends `uid`, of which the tied actor is told, sooner or later. `before`: how many events there
 * were before it was tied, as a lost link is told of, too. */
static int end_and_hear(world_t *world, const char *address, const char *uid, int before, int unit,
                        xo_error_t *err)
{
    bool is_near = address == xo_pool_address(world->pool);
    int now = is_near ? count(world, "counts", err) : before;
    fault_check(now < 0 || now == before, "it is told of the end of %s, which lives", uid);
    if (now < 0 || fault_end(world, address, uid, err) < 0)
        return -1;
    for (int i = 0; i < FAULT_WAIT_MS / 10; i++) {
        int heard = has_heard(world, before, unit, err);
        if (heard)
            return heard < 0 ? -1 : 0;
        xo_loop_once(world->loop, 10);
    }
    fault_check(false, "nobody is told that %s has ended", uid);
    return -1;
}

static int tied(world_t *world, xo_error_t *err)
{
    return fault_create(world, xo_pool_address(world->pool), "Tied", "tied", err);
}

static int watch(world_t *world, const char *address, xo_error_t *err)
{
    int before = count(world, "counts", err);
    if (before < 0 || fault_create(world, address, "Actor", "watched", err) < 0 ||
        ask(world, "watch", address, "watched", err) < 0)
        return -1;
    return end_and_hear(world, address, "watched", before, 1, err);
}

static int watch_near(world_t *world, xo_error_t *err)
{
    return watch(world, xo_pool_address(world->pool), err);
}

static int watch_far(world_t *world, xo_error_t *err)
{
    return watch(world, xo_pool_address(world->other), err);
}

static int tie(world_t *world, const char *address, xo_error_t *err)
{
    int before = count(world, "counts", err);
    if (before < 0 || fault_create(world, address, "Actor", "linked", err) < 0 ||
        ask(world, "tie", address, "linked", err) < 0 ||
        ask(world, "untie", address, "linked", err) < 0 ||
        ask(world, "tie", address, "linked", err) < 0)
        return -1;
    return end_and_hear(world, address, "linked", before, 1000, err);
}

static int tie_near(world_t *world, xo_error_t *err)
{
    return tie(world, xo_pool_address(world->pool), err);
}

static int tie_far(world_t *world, xo_error_t *err)
{
    return tie(world, xo_pool_address(world->other), err);
}

static int volley(world_t *world, const char *address, xo_error_t *err)
{
    if (fault_create(world, address, "Actor", "target", err) < 0)
        return -1;
    return ask(world, "volley", address, "target", err);
}

static int volley_near(world_t *world, xo_error_t *err)
{
    return volley(world, xo_pool_address(world->pool), err);
}

static int volley_far(world_t *world, xo_error_t *err)
{
    return volley(world, xo_pool_address(world->other), err);
}

static int end_tied(world_t *world, xo_error_t *err)
{
    return fault_end(world, xo_pool_address(world->pool), "tied", err);
}

const step_t steps_of_ties[] = {{"open another pool", open_other},
                                {"create", tied},
                                {"watch one of the pool", watch_near},
                                {"watch another pool's", watch_far},
                                {"link to one of the pool", tie_near},
                                {"link to another pool's", tie_far},
                                {"tell one of the pool", volley_near},
                                {"tell another pool's", volley_far},
                                {"end", end_tied},
                                {NULL, NULL}};
