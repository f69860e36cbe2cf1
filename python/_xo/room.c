/* room.c - see room.h.
 *
 * The pool calls those that wait in the order in which they came, so order holds: whoever finds
 * others waiting waits behind them.
 */
#include "_xo/room.h"

#include <errno.h>

#include "_xo/runtime.h"

typedef struct waiting {
    xopy_local_request_t request;
    xo_msg_t *msg; /* NULL: its deadline has passed */
    xo_timer_t deadline;
} waiting_t;

static bool wants_answer(const xo_msg_t *msg)
{
    const xo_header_t *header = xo_msg_header(msg);
    return header->kind != XO_TELL && !(header->flags & XO_F_NO_ANSWER);
}

static int deliver(const xopy_local_request_t *request, xo_msg_t **msg)
{
    xopy_call_t *call = request->call;
    if (!wants_answer(*msg)) {
        xo_endpoint_tell(request->endpoint, NULL, msg, 0, NULL, NULL, NULL);
        xopy_call_set_result(call, Py_NewRef(Py_None));
        return 0;
    }
    Py_INCREF(call);
    call->under_way = xo_endpoint_call(request->endpoint, NULL, msg, 0, request->timeout_ns,
                                       xopy_call_answered, call, NULL);
    if (call->under_way)
        return 0;
    Py_DECREF(call);
    return -1;
}

static void fail(waiting_t *waiting, const char *code, const char *sentence)
{
    xo_msg_t *answer = xo_failure_msg(0, code, "no", NULL, "%s", sentence);
    Py_INCREF(waiting->request.call);
    xopy_call_answered(NULL, &answer, waiting->request.call);
    xo_msg_destroy(&answer);
    xo_msg_destroy(&waiting->msg);
}

static void deadline_passed(xo_timer_t *timer, void *arg)
{
    waiting_t *waiting = arg;
    (void)timer;
    if (waiting->request.call->state == XOPY_CALL_PENDING)
        fail(waiting, XO_CODE_DEADLINE, "the deadline passed while it waited for room");
    xo_msg_destroy(&waiting->msg);
}

static void waiting_free(waiting_t *waiting)
{
    xo_timer_stop(&waiting->deadline);
    xo_msg_destroy(&waiting->msg);
    Py_DECREF(waiting->request.call);
    free(waiting);
}

static void has_room(xo_actor_t *actor, void *arg)
{
    waiting_t *waiting = arg;
    bool pending = waiting->msg && waiting->request.call->state == XOPY_CALL_PENDING;
    if (pending && !xo_actor_has_room(actor) && xo_actor_on_room(actor, has_room, waiting) == 0)
        return;
    if (pending && deliver(&waiting->request, &waiting->msg) < 0)
        fail(waiting, XO_CODE_SEND_FAILED, "out of memory");
    waiting_free(waiting);
}

static int wait(const xopy_local_request_t *request, xo_msg_t **msg)
{
    waiting_t *waiting = calloc(1, sizeof *waiting);
    if (!waiting || xo_actor_on_room(request->actor, has_room, waiting) < 0) {
        free(waiting);
        return -1;
    }
    waiting->request = *request;
    waiting->msg = *msg;
    *msg = NULL;
    Py_INCREF(request->call);
    xo_timer_init(&waiting->deadline, xo_endpoint_loop(request->endpoint), deadline_passed,
                  waiting);
    if (request->timeout_ns > 0)
        xo_timer_start(&waiting->deadline, request->timeout_ns);
    return 0;
}

int xopy_send_local(const xopy_local_request_t *request, xo_msg_t **msg)
{
    bool now = !request->actor || xo_actor_has_room(request->actor);
    return now ? deliver(request, msg) : wait(request, msg);
}
