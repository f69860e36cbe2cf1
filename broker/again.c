/* again.c - one actor that is created again: each try, the next one when its policy says so, and
 * the end of all tries.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "broker/broker_impl.h"
#include "broker/placement.h"

#define COMPONENT "recovery"
/* When an actor is tried once more whose try did not reach its pool, or met another one. */
#define LOOK_AGAIN_NS (100 * XO_MS)

/* A creation under way, or one that waits for its time (then it is in broker->creations). */
struct xo_creation {
    xo_broker_t *broker;
    xo_recovery_t *recovery; /* that it is a part of; NULL: it is tried alone */
    bool revives;            /* somebody wants it tried once */
    xo_ask_t *ask;           /* who waits for that; NULL: nobody */
    uint64_t step;           /* of its group, which decides what follows; 0: it is in none */
    uint64_t mark;           /* of this step */
    uint64_t pool;
    uint32_t generation; /* of the pool: in the next one all begins anew */
    xo_timer_t timer;
    xo_creation_t *prev, *next;
    size_t size;
    char uid[];
};

/* The actor, if it is still to be created in this generation of its pool. */
static xo_actor_entry_t *find(const xo_creation_t *creation)
{
    xo_broker_t *broker = creation->broker;
    const xo_member_t *member = xo_pools_find(&broker->pools, creation->pool);
    if (member == NULL || member->generation != creation->generation)
        return NULL;
    xo_actor_entry_t *entry =
        xo_directory_get(&broker->directory, member, xo_slice(creation->uid, creation->size));
    return entry != NULL && entry->state == XO_ACTOR_RECOVERING ? entry : NULL;
}

/* ---- what is remembered ---- */

xo_decision_t xo_broker_actor_ended(xo_broker_t *broker, xo_actor_entry_t *entry, xo_end_t end)
{
    char recent[XO_POLICY_TEXT_BYTES];
    int64_t now = xo_loop_now(broker->loop);
    xo_decision_t decision = xo_actor_spec_ended(entry->spec, end, now);
    xo_actor_spec_write_history(entry->spec, now, xo_unix_ms(), recent);
    xo_directory_set_recent(entry, recent);
    return decision;
}

void xo_broker_forgive_actor(xo_actor_entry_t *entry)
{
    xo_actor_spec_forgive(entry->spec);
    xo_directory_set_recent(entry, "");
    xo_depends_forget(entry);
}

void xo_broker_set_spec(const xo_broker_t *broker, xo_actor_entry_t *entry, xo_actor_spec_t *spec)
{
    bool is_first = entry->spec == NULL;
    xo_directory_set_spec(entry, spec);
    if (!is_first)
        xo_directory_set_recent(entry, "");
    else if (entry->recent != NULL)
        xo_actor_spec_read_history(spec, xo_loop_now(broker->loop), xo_unix_ms(), entry->recent);
}

/* ---- what came of it ---- */

static void log_failure(const xo_broker_t *broker, const xo_actor_entry_t *entry,
                        xo_log_level_t level, const char *text)
{
    xo_slice_t uid = xo_actor_entry_uid(entry);
    xo_log(broker->options.log, level, COMPONENT,
           "actor \"%.*s\" of the pool at %s could not be created again: %s", (int)uid.size,
           uid.data, entry->member->address, text);
}

void xo_broker_give_up(xo_broker_t *broker, xo_actor_entry_t *entry, const char *reason,
                       xo_slice_t traceback)
{
    xo_directory_set_failed(entry, reason);
    xo_broker_note_failure(broker, "actor.failed", entry, reason, traceback);
    xo_broker_say_failed(broker, entry);
    xo_publish_actor(broker->publish, entry);
}

static void wait_for(xo_creation_t *creation, xo_actor_entry_t *entry, int64_t delay_ns)
{
    entry->alone = true;
    creation->recovery = NULL;
    creation->revives = false;
    DL_APPEND(creation->broker->creations, creation);
    xo_timer_start(&creation->timer, delay_ns);
}

/* False: there will be no other try. */
static bool next_try(xo_creation_t *creation, xo_actor_entry_t *entry, const char *text,
                     xo_slice_t traceback)
{
    char why[XO_ERROR_TEXT_BYTES];
    xo_broker_t *broker = creation->broker;
    if (creation->revives) {
        xo_broker_give_up(broker, entry, text, traceback);
        return false;
    }
    xo_decision_t decision = xo_broker_actor_ended(broker, entry, XO_END_FAILED);
    if (decision.action != XO_DECIDE_RESTART) {
        xo_policy_explain(xo_actor_spec_policy(entry->spec), text, why, sizeof(why));
        log_failure(broker, entry, XO_LOG_ERROR, why);
        xo_broker_give_up(broker, entry, why, traceback);
        return false;
    }
    log_failure(broker, entry, XO_LOG_WARN, text);
    xo_directory_set_reason(entry, text);
    xo_broker_note_failure(broker, "actor.restart", entry, text, traceback);
    xo_publish_actor(broker->publish, entry);
    wait_for(creation, entry, decision.delay_ns);
    return true;
}

/* The pool is gone, or its node's lease is, without which it creates nothing that may move. */
static bool is_closed(const xo_actor_entry_t *entry, const xo_failure_t *failure)
{
    return xo_slice_eq_str(failure->code, XO_CODE_SERVER_CLOSED) &&
           xo_depends_on(entry, failure).size == 0;
}

/* It says nothing about the actor: the link or the process is gone, which has consequences for a
 * recovery as a whole, or somebody else is creating it. */
static bool is_neutral(const xo_actor_entry_t *entry, const xo_failure_t *failure)
{
    return is_closed(entry, failure) || xo_slice_eq_str(failure->code, XO_CODE_ACTOR_EXISTS);
}

static void read_failure(const xo_msg_t *answer, xo_failure_t *failure,
                         char text[XO_ERROR_TEXT_BYTES])
{
    if (answer == NULL || xo_failure_read(xo_msg_body(answer), failure) < 0)
        *failure = (xo_failure_t){.message = xo_slice_str("the broker is out of memory")};
    snprintf(text, XO_ERROR_TEXT_BYTES, "%.*s%s%.*s", (int)failure->type.size,
             failure->type.size ? failure->type.data : "", failure->type.size ? ": " : "",
             (int)failure->message.size, failure->message.size ? failure->message.data : "");
}

/* True: there will be another try, with this object. */
static bool after_failure(xo_creation_t *creation, const xo_msg_t *answer)
{
    int64_t delay;
    xo_failure_t failure;
    char text[XO_ERROR_TEXT_BYTES];
    xo_actor_entry_t *entry = find(creation);
    read_failure(answer, &failure, text);
    if (entry == NULL)
        return false;
    if (is_neutral(entry, &failure)) {
        bool later = creation->recovery == NULL || is_closed(entry, &failure);
        if (later)
            wait_for(creation, entry, LOOK_AGAIN_NS);
        return later;
    }
    if (!creation->revives && xo_depends_waits(creation->broker, entry, &failure, text, &delay)) {
        wait_for(creation, entry, delay);
        return true;
    }
    if (entry->epoch > 0 && xo_leave_may_now(creation->broker, entry) &&
        xo_placement_is_unfit(failure.code, failure.type, failure.message)) {
        xo_moves_unfit(creation->broker, entry, text);
        return false;
    }
    return next_try(creation, entry, text, failure.traceback);
}

/* With what the pool answered. */
static void answer_ask(xo_ask_t *ask, bool made, xo_msg_t **answer)
{
    if (made)
        xo_ask_reply(ask, "n");
    else if (*answer != NULL)
        xo_ask_reply_msg(ask, answer);
    else
        xo_broker_refuse(ask, "the broker is out of memory");
}

/* Its group goes on, or decides what becomes of this. */
static void on_seat_created(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    int64_t delay;
    xo_failure_t failure;
    char text[XO_ERROR_TEXT_BYTES], why[XO_ERROR_TEXT_BYTES];
    xo_creation_t creation = *(xo_creation_t *)arg;
    xo_broker_t *broker = creation.broker;
    (void)call;
    free(arg);
    xo_seat_t *seat = xo_group_step(broker, creation.step);
    if (seat == NULL)
        return;
    if (*answer != NULL && xo_msg_header(*answer)->kind == XO_RESULT) {
        xo_group_end_step(seat);
        return;
    }
    read_failure(*answer, &failure, text);
    if (is_neutral(seat->entry, &failure)) {
        xo_group_try_later(seat, 0);
        return;
    }
    if (xo_depends_waits(broker, seat->entry, &failure, text, &delay)) {
        xo_group_try_later(seat, delay);
        return;
    }
    log_failure(broker, seat->entry, XO_LOG_WARN, text);
    xo_directory_set_reason(seat->entry, text);
    xo_broker_note_failure(broker, "actor.restart", seat->entry, text, failure.traceback);
    xo_publish_actor(broker->publish, seat->entry);
    xo_broker_say_waiting(broker, seat->entry);
    xo_slice_t uid = xo_actor_entry_uid(seat->entry);
    snprintf(why, sizeof(why), "actor \"%.*s\" could not be created again: %.200s", (int)uid.size,
             uid.data, text);
    xo_group_start_failed(seat, why);
}

static void on_created(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    xo_creation_t *creation = arg;
    xo_recovery_t *recovery = creation->recovery;
    xo_ask_t *ask = xo_ask_take(&creation->ask);
    (void)call;
    bool made = *answer != NULL && xo_msg_header(*answer)->kind == XO_RESULT;
    bool current = recovery == NULL || xo_broker_recovery_is_current(recovery);
    if (made || !current || !after_failure(creation, *answer))
        free(creation);
    if (ask != NULL)
        answer_ask(ask, made, answer);
    if (recovery != NULL)
        xo_broker_recovery_one_less(recovery, made);
}

/* ---- a try ---- */

/* The creation is taken over if the request leaves. */
static int request(xo_creation_t *creation, const xo_actor_entry_t *entry)
{
    xo_answer_f done = creation->step > 0 ? on_seat_created : on_created;
    xo_msg_t *msg =
        xo_actor_spec_msg(entry->spec, xo_actor_entry_uid(entry), entry->class_name,
                          entry->incarnation, creation->mark > 0 ? creation->mark : xo_random_id());
    bool left =
        msg != NULL && xo_endpoint_call(creation->broker->endpoint, entry->member->link, &msg,
                                        XO_SEND_QUEUE, 0, done, creation, NULL) != NULL;
    xo_msg_destroy(&msg);
    return left ? 0 : -1;
}

static void on_time(xo_timer_t *timer, void *arg)
{
    xo_creation_t *creation = arg;
    xo_actor_entry_t *entry = find(creation);
    (void)timer;
    DL_DELETE(creation->broker->creations, creation);
    if (entry == NULL || !entry->alone) {
        free(creation);
        return;
    }
    if (entry->member->link == NULL)
        wait_for(creation, entry, LOOK_AGAIN_NS);
    else if (request(creation, entry) < 0 && !after_failure(creation, NULL))
        free(creation);
}

static xo_creation_t *begin(xo_broker_t *broker, xo_recovery_t *recovery,
                            const xo_actor_entry_t *entry)
{
    xo_slice_t uid = xo_actor_entry_uid(entry);
    xo_creation_t *creation = malloc(sizeof(*creation) + uid.size);
    if (creation == NULL)
        return NULL;
    *creation = (xo_creation_t){.broker = broker,
                                .recovery = recovery,
                                .pool = entry->member->id,
                                .generation = entry->member->generation,
                                .size = uid.size};
    memcpy(creation->uid, uid.data, uid.size);
    xo_timer_init(&creation->timer, broker->loop, on_time, creation);
    return creation;
}

int xo_broker_create_again(xo_broker_t *broker, xo_recovery_t *recovery, xo_actor_entry_t *entry)
{
    static const char *const why = "the broker is out of memory";
    xo_creation_t *creation = begin(broker, recovery, entry);
    entry->alone = false;
    if (creation == NULL) {
        log_failure(broker, entry, XO_LOG_ERROR, why);
        xo_broker_give_up(broker, entry, why, xo_slice(NULL, 0));
        return -1;
    }
    if (request(creation, entry) == 0)
        return 0;
    if (!after_failure(creation, NULL))
        free(creation);
    return -1;
}

void xo_broker_create_moved(xo_broker_t *broker, xo_actor_entry_t *entry)
{
    static const char *const why = "the broker is out of memory";
    entry->alone = entry->member->link != NULL;
    if (!entry->alone)
        return;
    xo_creation_t *creation = begin(broker, NULL, entry);
    if (creation == NULL)
        xo_broker_give_up(broker, entry, why, xo_slice(NULL, 0));
    else if (request(creation, entry) < 0 && !after_failure(creation, NULL))
        free(creation);
}

int xo_broker_create_seat(xo_broker_t *broker, const xo_actor_entry_t *entry, uint64_t step,
                          uint64_t mark)
{
    xo_creation_t *creation = begin(broker, NULL, entry);
    if (creation == NULL)
        return -1;
    creation->step = step;
    creation->mark = mark;
    if (request(creation, entry) == 0)
        return 0;
    free(creation);
    return -1;
}

static void let_go(xo_ask_t *ask, void *arg)
{
    xo_creation_t *creation = arg;
    (void)ask;
    creation->ask = NULL;
}

void xo_broker_revive_actor(xo_broker_t *broker, xo_ask_t *ask, xo_actor_entry_t *entry)
{
    xo_msg_t *none = NULL;
    xo_creation_t *creation = begin(broker, NULL, entry);
    if (creation == NULL) {
        answer_ask(ask, false, &none);
        return;
    }
    creation->revives = true;
    creation->ask = ask;
    xo_ask_on_stop(ask, let_go, creation);
    xo_broker_forgive_actor(entry);
    entry->state = XO_ACTOR_RECOVERING;
    entry->alone = true;
    xo_publish_actor(broker->publish, entry);
    if (request(creation, entry) == 0)
        return;
    after_failure(creation, NULL); /* which gives it up */
    answer_ask(xo_ask_take(&creation->ask), false, &none);
    free(creation);
}

bool xo_broker_creation_waits(const xo_broker_t *broker, const xo_actor_entry_t *entry)
{
    const xo_creation_t *creation;
    DL_FOREACH(broker->creations, creation)
    if (find(creation) == entry)
        return true;
    return false;
}

void xo_broker_creations_hurry(xo_broker_t *broker, const xo_member_t *member)
{
    xo_creation_t *creation;
    DL_FOREACH(broker->creations, creation)
    {
        const xo_actor_entry_t *entry = find(creation);
        if (entry != NULL && xo_depends_is_for(entry, member))
            xo_timer_start(&creation->timer, 0);
    }
    xo_groups_hurry(broker, member);
}

void xo_broker_creations_end(xo_broker_t *broker)
{
    xo_creation_t *creation, *next;
    DL_FOREACH_SAFE(broker->creations, creation, next)
    {
        xo_timer_stop(&creation->timer);
        DL_DELETE(broker->creations, creation);
        free(creation);
    }
}
