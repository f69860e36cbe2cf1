/* again.c - one actor that is created again: each try, which has a time limit, the next one when
 * its policy says so, and the end of all tries.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "broker/broker_impl.h"
#include "broker/placement.h"

#define COMPONENT "recovery"
/* When an actor is tried once more whose try did not reach its pool, or met another one. */
#define LOOK_AGAIN_NS (100 * XO_MS)
#define LATE "it was not there within %" PRId64 " ms (create_timeout_ms)"

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
    xo_timer_t timer;    /* when it is tried again */
    xo_call_t *call;     /* the try under way; NULL: none is */
    int64_t began_ns;    /* the last try */
    int64_t took_ns;     /* how long it took */
    int64_t timeout_ms;  /* how long it may; 0: without limit */
    int64_t limit_ns;    /* the same, with jitter */
    xo_timer_t limit;
    bool late; /* it was cancelled, since it took longer */
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

/* ---- what came of it ---- */

static void log_failure(const xo_broker_t *broker, const xo_actor_entry_t *entry,
                        xo_log_level_t level, const char *text)
{
    xo_slice_t uid = xo_actor_entry_uid(entry);
    xo_log(broker->options.log, level, COMPONENT,
           "actor \"%.*s\" of the pool at %s could not be created again: %s", (int)uid.size,
           uid.data, entry->member->address, text);
}

static void creation_free(xo_creation_t *creation)
{
    xo_timer_stop(&creation->limit);
    xo_timer_stop(&creation->timer);
    free(creation);
}

static void wait_for(xo_creation_t *creation, xo_actor_entry_t *entry, int64_t delay_ns)
{
    entry->alone = true;
    creation->recovery = NULL;
    creation->revives = false;
    DL_APPEND(creation->broker->creations, creation);
    xo_timer_start(&creation->timer, delay_ns);
}

/* A try has failed, which counts. False: it is given up. */
static bool count_failure(xo_creation_t *creation, xo_actor_entry_t *entry, const char *text,
                          xo_slice_t traceback, int64_t *delay_ns)
{
    char why[XO_ERROR_TEXT_BYTES];
    xo_broker_t *broker = creation->broker;
    if (creation->revives) {
        xo_broker_give_up(broker, entry, text, traceback);
        return false;
    }
    xo_decision_t decision = xo_broker_actor_ended(broker, entry, XO_END_FAILED, creation->took_ns);
    *delay_ns = decision.delay_ns;
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
    return true;
}

/* The same of one in a group, which decides what follows. */
static void seat_failed(xo_broker_t *broker, xo_seat_t *seat, const char *text,
                        xo_slice_t traceback)
{
    char why[XO_ERROR_TEXT_BYTES];
    xo_slice_t uid = xo_actor_entry_uid(seat->entry);
    log_failure(broker, seat->entry, XO_LOG_WARN, text);
    xo_directory_set_reason(seat->entry, text);
    xo_broker_note_failure(broker, "actor.restart", seat->entry, text, traceback);
    xo_publish_actor(broker->publish, seat->entry);
    xo_broker_say_waiting(broker, seat->entry);
    snprintf(why, sizeof(why), "actor \"%.*s\" could not be created again: %.200s", (int)uid.size,
             uid.data, text);
    xo_group_start_failed(seat, why);
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

/* What its answer says, and if it came too late, that. */
static void explain(const xo_creation_t *creation, const xo_msg_t *answer, xo_failure_t *failure,
                    char text[XO_ERROR_TEXT_BYTES])
{
    char said[XO_ERROR_TEXT_BYTES];
    read_failure(answer, failure, said);
    if (creation->late)
        snprintf(text, XO_ERROR_TEXT_BYTES, LATE ", and was cancelled: %.380s",
                 creation->timeout_ms, said);
    else
        strcpy(text, said);
}

/* True: there will be another try, with this object. */
static bool after_failure(xo_creation_t *creation, const xo_msg_t *answer)
{
    int64_t delay;
    xo_failure_t failure;
    char text[XO_ERROR_TEXT_BYTES];
    xo_actor_entry_t *entry = find(creation);
    if (entry == NULL)
        return false;
    explain(creation, answer, &failure, text);
    if (xo_depends_is_neutral(entry, &failure)) {
        bool exists = xo_slice_eq_str(failure.code, XO_CODE_ACTOR_EXISTS);
        bool later = creation->recovery == NULL || !exists;
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
    if (!count_failure(creation, entry, text, failure.traceback, &delay))
        return false;
    wait_for(creation, entry, delay);
    return true;
}

/* With what the pool answered. `late_ms`: it was cancelled, since it took longer; 0: it was not. */
static void answer_ask(xo_ask_t *ask, bool made, int64_t late_ms, xo_msg_t **answer)
{
    if (made)
        xo_ask_reply(ask, "n");
    else if (late_ms > 0)
        xo_ask_fail(ask, XO_CODE_METHOD, LATE ", and was cancelled", late_ms);
    else if (*answer != NULL)
        xo_ask_reply_msg(ask, answer);
    else
        xo_broker_refuse(ask, "the broker is out of memory");
}

static void end_try(xo_creation_t *creation)
{
    xo_timer_stop(&creation->limit);
    creation->call = NULL;
    creation->took_ns = xo_loop_now(creation->broker->loop) - creation->began_ns;
}

static void seat_answered(const xo_creation_t *creation, xo_seat_t *seat, const xo_msg_t *answer)
{
    int64_t delay;
    xo_failure_t failure;
    char text[XO_ERROR_TEXT_BYTES];
    bool made = answer != NULL && xo_msg_header(answer)->kind == XO_RESULT;
    if (made || seat->phase == XO_SEAT_STOP) {
        if (!made) /* it comes when its group creates it, unless that says something else */
            xo_broker_say_waiting(creation->broker, seat->entry);
        xo_group_end_step(seat);
        return;
    }
    explain(creation, answer, &failure, text);
    if (xo_depends_is_neutral(seat->entry, &failure))
        xo_group_try_later(seat, 0);
    else if (xo_depends_waits(creation->broker, seat->entry, &failure, text, &delay))
        xo_group_try_later(seat, delay);
    else
        seat_failed(creation->broker, seat, text, failure.traceback);
}

/* Its group has gone on without it: who waits for it in its pool hears that now. */
static void say_unwanted(const xo_creation_t *creation)
{
    xo_broker_t *broker = creation->broker;
    const xo_member_t *member = xo_pools_find(&broker->pools, creation->pool);
    xo_slice_t uid = xo_slice(creation->uid, creation->size);
    if (member != NULL && member->generation == creation->generation &&
        xo_directory_get(&broker->directory, member, uid) == NULL)
        xo_broker_say_gone(broker, member, uid, XO_GROUP_ENDS);
}

/* Its group goes on, or decides what becomes of this. */
static void on_seat_created(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    xo_creation_t *creation = arg;
    xo_seat_t *seat = xo_group_step(creation->broker, creation->step);
    (void)call;
    end_try(creation);
    if (seat != NULL)
        seat_answered(creation, seat, *answer);
    else
        say_unwanted(creation);
    creation_free(creation);
}

static void on_created(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    xo_creation_t *creation = arg;
    xo_recovery_t *recovery = creation->recovery;
    xo_ask_t *ask = xo_ask_take(&creation->ask);
    (void)call;
    end_try(creation);
    int64_t late_ms = creation->late ? creation->timeout_ms : 0;
    bool made = *answer != NULL && xo_msg_header(*answer)->kind == XO_RESULT;
    bool current = recovery == NULL || xo_broker_recovery_is_current(recovery);
    if (made || !current || !after_failure(creation, *answer))
        creation_free(creation);
    if (ask != NULL)
        answer_ask(ask, made, late_ms, answer);
    if (recovery != NULL)
        xo_broker_recovery_one_less(recovery, made);
}

/* ---- one that takes too long ---- */

/* Those of a recovery are requested at once, and may have to wait for one another: as long as some
 * come, none is late. */
static int64_t time_left(const xo_creation_t *creation)
{
    int64_t since = creation->began_ns;
    int64_t moved = creation->recovery ? xo_broker_recovery_moved(creation->recovery) : 0;
    if (moved > since)
        since = moved;
    return since + creation->limit_ns - xo_loop_now(creation->broker->loop);
}

/* It goes with its process, as a member of a group does that does not stop. */
static void kill_late(xo_creation_t *creation, xo_actor_entry_t *entry)
{
    int64_t delay;
    char text[XO_ERROR_TEXT_BYTES], cause[XO_ERROR_TEXT_BYTES];
    xo_slice_t uid = xo_actor_entry_uid(entry);
    xo_member_t *member = entry->member; /* the entry may go: its group stops */
    xo_seat_t *seat = creation->step > 0 ? entry->seat : NULL;
    snprintf(text, sizeof(text), LATE ", and does not let itself be cancelled",
             creation->timeout_ms);
    snprintf(cause, sizeof(cause),
             "signal 9 (Killed): the creation of actor \"%.*s\" does not let itself be cancelled",
             (int)uid.size, uid.data);
    creation->took_ns = xo_loop_now(creation->broker->loop) - creation->began_ns;
    if (seat != NULL)
        seat_failed(creation->broker, seat, text, xo_slice(NULL, 0));
    else
        count_failure(creation, entry, text, xo_slice(NULL, 0), &delay);
    xo_supervisor_kill(member, cause);
}

/* A loop that stands still has not heard of it: that is up to hang_timeout_ms. */
static bool can_kill(const xo_creation_t *creation, const xo_member_t *member)
{
    bool wanted = creation->step == 0 || xo_group_step(creation->broker, creation->step) != NULL;
    bool runs = member->state == XO_POOL_READY || member->state == XO_POOL_RECOVERING;
    return wanted && runs && member->run != NULL;
}

static void on_limit(xo_timer_t *timer, void *arg)
{
    xo_creation_t *creation = arg;
    xo_actor_entry_t *entry = find(creation);
    int64_t left = time_left(creation);
    if (entry == NULL) /* what comes of it does not matter, and comes with the end of its pool */
        return;
    if (creation->late && can_kill(creation, entry->member)) {
        kill_late(creation, entry);
        return;
    }
    if (!creation->late && left <= 0) {
        creation->late = true;
        xo_call_cancel(creation->call);
    }
    xo_timer_start(timer, creation->late ? xo_actor_spec_shutdown_ms(entry->spec) * XO_MS : left);
}

/* ---- a try ---- */

/* The creation is taken over if the request leaves. */
static int request(xo_creation_t *creation, const xo_actor_entry_t *entry)
{
    xo_answer_f done = creation->step > 0 ? on_seat_created : on_created;
    const xo_policy_t *policy = xo_actor_spec_policy(entry->spec);
    xo_msg_t *msg =
        xo_actor_spec_msg(entry->spec, xo_actor_entry_uid(entry), entry->class_name,
                          entry->incarnation, creation->mark > 0 ? creation->mark : xo_random_id());
    creation->late = false;
    creation->took_ns = 0;
    creation->call = msg ? xo_endpoint_call(creation->broker->endpoint, entry->member->link, &msg,
                                            XO_SEND_QUEUE, 0, done, creation, NULL)
                         : NULL;
    xo_msg_destroy(&msg);
    if (creation->call == NULL)
        return -1;
    creation->began_ns = xo_loop_now(creation->broker->loop);
    creation->timeout_ms = policy->create_timeout_ns / XO_MS;
    creation->limit_ns = xo_policy_create_limit(policy, (uint32_t)xo_random_id());
    if (creation->limit_ns > 0)
        xo_timer_start(&creation->limit, creation->limit_ns);
    return 0;
}

static void on_time(xo_timer_t *timer, void *arg)
{
    xo_creation_t *creation = arg;
    xo_actor_entry_t *entry = find(creation);
    (void)timer;
    DL_DELETE(creation->broker->creations, creation);
    if (entry == NULL || !entry->alone) {
        creation_free(creation);
        return;
    }
    if (entry->member->link == NULL)
        wait_for(creation, entry, LOOK_AGAIN_NS);
    else if (request(creation, entry) < 0 && !after_failure(creation, NULL))
        creation_free(creation);
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
    xo_timer_init(&creation->limit, broker->loop, on_limit, creation);
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
        creation_free(creation);
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
        creation_free(creation);
}

xo_creation_t *xo_broker_create_seat(xo_broker_t *broker, const xo_actor_entry_t *entry,
                                     uint64_t step, uint64_t mark)
{
    xo_creation_t *creation = begin(broker, NULL, entry);
    if (creation == NULL)
        return NULL;
    creation->step = step;
    creation->mark = mark;
    if (request(creation, entry) == 0)
        return creation;
    creation_free(creation);
    return NULL;
}

void xo_broker_cancel_seat(xo_creation_t *creation, bool limits)
{
    if (limits)
        xo_timer_stop(&creation->limit);
    xo_call_cancel(creation->call);
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
        answer_ask(ask, false, 0, &none);
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
    answer_ask(xo_ask_take(&creation->ask), false, 0, &none);
    creation_free(creation);
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
        DL_DELETE(broker->creations, creation);
        creation_free(creation);
    }
}
