/* wait.c - pool.wait, pool.kill: answered when a pool is up with its actors, or when its process is
 * gone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "broker/broker_impl.h"

struct xo_pool_wait {
    xo_broker_t *broker;
    xo_ask_t *ask; /* NULL: ended before */
    uint64_t pool;
    bool for_end; /* of its process */
    bool pinging;
    xo_pool_wait_t *prev, *next;
};

/* ---- life ---- */

static void end(xo_pool_wait_t *wait)
{
    if (wait->ask != NULL)
        DL_DELETE(wait->broker->waits, wait);
    wait->ask = NULL;
    if (!wait->pinging)
        free(wait);
}

static void let_go(xo_ask_t *ask, void *arg)
{
    (void)ask;
    end(arg);
}

static xo_ask_t *take_ask(xo_pool_wait_t *wait)
{
    xo_ask_t *ask = wait->ask;
    xo_ask_on_stop(ask, NULL, NULL);
    end(wait);
    return ask;
}

/* It "ran", as the broker was asked: a reason for `executed` "no" is that nobody could be. */
static void fail(xo_pool_wait_t *wait, const xo_member_t *member, const char *reason)
{
    char who[XO_ADDRESS_BYTES + XO_LABEL_BYTES + 32];
    char text[XO_ERROR_TEXT_BYTES + sizeof(who)];
    if (reason == NULL)
        reason = "it is gone";
    xo_member_describe(member, who, sizeof(who));
    snprintf(text, sizeof(text), "%s does not come back: %s", who, reason);
    xo_failure_t failure = {.code = xo_slice_str(XO_CODE_SERVER_CLOSED),
                            .message = xo_slice_str(text),
                            .executed = xo_slice_str(wait->for_end ? "no" : "ran"),
                            .reason = xo_slice_str(reason),
                            .address = xo_slice_str(member->address)};
    xo_msg_t *answer = xo_failure_answer(0, &failure);
    xo_ask_reply_msg(take_ask(wait), &answer);
}

static xo_pool_wait_t *begin(xo_broker_t *broker, xo_ask_t *ask, const xo_member_t *member,
                             bool for_end)
{
    xo_pool_wait_t *wait = calloc(1, sizeof(*wait));
    if (wait == NULL) {
        xo_broker_refuse(ask, "out of memory");
        return NULL;
    }
    *wait = (xo_pool_wait_t){.broker = broker, .ask = ask, .pool = member->id, .for_end = for_end};
    DL_APPEND(broker->waits, wait);
    xo_ask_on_stop(ask, let_go, wait);
    return wait;
}

/* ---- what happens to pools ---- */

static bool is_answer(const xo_pool_wait_t *wait, const xo_member_t *member, xo_fact_t fact)
{
    if (wait->for_end)
        return fact == XO_FACT_DOWN || fact == XO_FACT_GONE;
    return fact == XO_FACT_RECOVERED || (fact == XO_FACT_UP && !member->away);
}

void xo_broker_waits_on_fact(xo_broker_t *broker, const xo_member_t *member, xo_fact_t fact,
                             const char *reason)
{
    xo_pool_wait_t *wait, *next;
    DL_FOREACH_SAFE(broker->waits, wait, next)
    {
        if (wait->pool != member->id)
            continue;
        if (is_answer(wait, member, fact))
            xo_ask_reply(take_ask(wait), "n");
        else if (fact == XO_FACT_FAILED || fact == XO_FACT_GONE)
            fail(wait, member, reason);
    }
}

/* ---- pool.wait ---- */

/* It answers, so it has not died a moment ago. If it has, its end or its link's is a fact that
 * comes. */
static void on_pong(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    xo_pool_wait_t *wait = arg;
    (void)call;
    bool answers = *answer != NULL && xo_msg_header(*answer)->kind == XO_RESULT;
    wait->pinging = false;
    if (wait->ask == NULL)
        end(wait);
    else if (answers)
        xo_ask_reply(take_ask(wait), "n");
}

static void ping(xo_pool_wait_t *wait, xo_link_t *link)
{
    xo_header_t header = {.kind = XO_HAS};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    wait->pinging = msg != NULL && xo_endpoint_call(wait->broker->endpoint, link, &msg,
                                                    XO_SEND_QUEUE, 0, on_pong, wait, NULL) != NULL;
    xo_msg_destroy(&msg);
}

static xo_member_t *find(xo_broker_t *broker, xo_slice_t args, xo_slice_t *name, xo_error_t *err)
{
    if (xo_unpack(args, err, "[s]", name) < 0)
        return NULL;
    xo_member_t *member = xo_pools_by_name(&broker->pools, *name);
    if (member == NULL)
        xo_error_set(err, ENOENT, "this node has no pool at %.*s (any more)", (int)name->size,
                     name->data);
    return member;
}

void xo_broker_await_pool(xo_broker_t *broker, xo_ask_t *ask, xo_member_t *member)
{
    xo_pool_wait_t *wait = begin(broker, ask, member, false);
    if (wait == NULL)
        return;
    if (member->state == XO_POOL_FAILED)
        fail(wait, member, member->reason);
    else if (!member->away && !member->ending && member->link != NULL)
        ping(wait, member->link);
}

void xo_broker_pool_wait(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_slice_t name;
    xo_error_t err = {0};
    xo_member_t *member = find(broker, args, &name, &err);
    if (member == NULL && err.errnum != ENOENT) {
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    if (member == NULL) {
        xo_ask_fail(ask, XO_CODE_SERVER_CLOSED, "pool.wait: %s", err.text);
        return;
    }
    xo_broker_await_pool(broker, ask, member);
}

/* ---- pool.kill ---- */

void xo_broker_pool_kill(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_slice_t name;
    xo_error_t err = {0};
    xo_member_t *member = find(broker, args, &name, &err);
    if (member == NULL) {
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    if (member->run == NULL) {
        xo_broker_refuse(ask,
                         "the pool at %.*s was not started by its node: it is a main pool, "
                         "which its own process ends",
                         (int)name.size, name.data);
        return;
    }
    if (member->endpoint == 0 && member->pid == 0) {
        xo_ask_reply(ask, "n");
        return;
    }
    if (begin(broker, ask, member, true) != NULL)
        xo_supervisor_kill(member, "signal 9 (Killed): as it was asked for");
}
