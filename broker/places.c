#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "broker/broker_impl.h"

/* How long a pool may take to say whether it has an actor. */
#define CHECK_MS 1000

/* One "place.take". Where no slot is free, the pools are asked whether the actors in the slots are
 * still there: what a pool tells of an end may be on its way, and who took a slot may have died. */
typedef struct xo_take {
    xo_broker_t *broker;
    xo_ask_t *ask;    /* NULL: ended before */
    size_t checks;    /* under way */
    bool waiting;     /* for a barrier */
    xo_place_t place; /* its slices point into the ask's message */
} xo_take_t;

/* Is the actor of one slot there? */
typedef struct xo_check {
    xo_broker_t *broker;
    xo_take_t *take; /* NULL: nobody waits for it */
    uint64_t pool;
    size_t size;
    char uid[XO_UID_BYTES_MAX];
} xo_check_t;

static void free_if_idle(xo_take_t *take)
{
    if (take->ask == NULL && take->checks == 0 && !take->waiting)
        free(take);
}

static void let_go(xo_ask_t *ask, void *arg)
{
    xo_take_t *take = arg;
    (void)ask;
    take->ask = NULL;
    free_if_idle(take);
}

/* ---- the answer ---- */

/* False: there is no slot, which is not answered. */
static bool try(xo_take_t *take)
{
    xo_broker_t *broker = take->broker;
    const xo_slot_t *slot =
        xo_slots_take(&broker->slots, &broker->pools, &take->place, xo_loop_now(broker->loop));
    if (slot == NULL && errno == ENOENT)
        return false;
    if (slot == NULL)
        xo_broker_refuse(xo_ask_take(&take->ask), "out of memory");
    else
        xo_ask_reply(xo_ask_take(&take->ask), "s", slot->member->address);
    return true;
}

static void finish(xo_take_t *take)
{
    if (take->ask != NULL && !try(take))
        xo_ask_reply(xo_ask_take(&take->ask), "n");
    free_if_idle(take);
}

/* ---- asking the pools ---- */

static bool says_no(const xo_msg_t *answer)
{
    bool has;
    return answer != NULL && xo_msg_header(answer)->kind == XO_RESULT &&
           xo_unpack(xo_msg_body(answer), NULL, "?", &has) == 0 && !has;
}

static void free_slot(xo_broker_t *broker, const xo_check_t *check)
{
    const xo_member_t *member = xo_pools_find(&broker->pools, check->pool);
    if (member != NULL)
        xo_slots_absent(&broker->slots, member, xo_slice(check->uid, check->size),
                        xo_loop_now(broker->loop));
}

static void on_checked(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    xo_check_t *check = arg;
    xo_take_t *take = check->take;
    (void)call;
    if (says_no(*answer))
        free_slot(check->broker, check);
    free(check);
    if (take != NULL && --take->checks == 0)
        finish(take);
}

/* True: an answer will come. */
static bool ask_pool(xo_broker_t *broker, xo_take_t *take, const xo_slot_t *slot)
{
    xo_header_t header = {.kind = XO_HAS, .target_uid = xo_slice(slot->uid, slot->uid_size)};
    xo_check_t *check = calloc(1, sizeof(*check));
    xo_msg_t *msg = check ? xo_msg_create(&header, (xo_slice_t){NULL, 0}) : NULL;
    if (msg != NULL) {
        *check = (xo_check_t){
            .broker = broker, .take = take, .pool = slot->member->id, .size = slot->uid_size};
        memcpy(check->uid, slot->uid, slot->uid_size);
    }
    bool sent =
        msg != NULL && xo_endpoint_call(broker->endpoint, slot->member->link, &msg, XO_SEND_QUEUE,
                                        CHECK_MS * XO_MS, on_checked, check, NULL) != NULL;
    if (!sent)
        free(check);
    xo_msg_destroy(&msg);
    return sent;
}

static void ask_pools(xo_take_t *take)
{
    const xo_slot_t *slot;
    DL_FOREACH(take->broker->slots.head, slot)
    if (xo_slot_is_in_the_way(slot, &take->place) && slot->member->link != NULL)
        take->checks += ask_pool(take->broker, take, slot);
}

/* Who took a place may have died before it created the actor, and nobody may want it again. */
void xo_broker_places_tick(xo_broker_t *broker)
{
    const xo_slot_t *slot;
    while ((slot = xo_slots_overdue(&broker->slots, xo_loop_now(broker->loop))) != NULL) {
        if (slot->member->link != NULL)
            ask_pool(broker, NULL, slot);
    }
}

/* ---- the methods ---- */

static int read_rule(xo_slice_t rule, xo_place_t *place, xo_error_t *err)
{
    place->least = xo_slice_eq_str(rule, "least");
    if (place->least || xo_slice_eq_str(rule, "idle"))
        return 0;
    return xo_error_set(err, EINVAL, "the rule is \"idle\" or \"least\", not \"%.*s\"",
                        (int)rule.size, rule.data);
}

/* `address` follows, where it is not NULL. */
static int read_place(xo_slice_t args, xo_place_t *place, xo_slice_t *address, xo_error_t *err)
{
    xo_slice_t rule;
    if (xo_unpack(args, err, "[s S S S *]", &place->uid, &rule, &place->label, &place->mark) < 0 ||
        (address != NULL && xo_unpack(args, err, "[_ _ _ _ S]", address) < 0) ||
        read_rule(rule, place, err) < 0)
        return -1;
    if (place->uid.size == 0 || place->uid.size > XO_UID_BYTES_MAX)
        return xo_error_set(err, EINVAL, "a uid has 1 to %d bytes", XO_UID_BYTES_MAX);
    if (place->label.size >= XO_LABEL_BYTES || place->mark.size >= XO_MARK_BYTES)
        return xo_error_set(err, EINVAL, "a label has at most %d bytes, a mark at most %d",
                            XO_LABEL_BYTES - 1, XO_MARK_BYTES - 1);
    return 0;
}

static void on_all_told(void *arg)
{
    xo_take_t *take = arg;
    take->waiting = false;
    finish(take);
}

/* Where numbers count, all that pools have told must have arrived. */
static void begin(xo_take_t *take)
{
    xo_ask_on_stop(take->ask, let_go, take);
    take->waiting = take->place.least && xo_broker_barrier(take->broker, xo_slice(NULL, 0),
                                                           XO_BARRIER_HIT_MS, on_all_told, take);
    if (take->waiting)
        return;
    if (!try(take))
        ask_pools(take);
    if (take->checks == 0)
        finish(take);
}

void xo_broker_place_take(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_error_t err;
    xo_place_t place;
    if (xo_drain_refuses(broker, ask))
        return;
    if (read_place(args, &place, NULL, &err) < 0) {
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    xo_take_t *take = calloc(1, sizeof(*take));
    if (take == NULL) {
        xo_broker_refuse(ask, "out of memory");
        return;
    }
    *take = (xo_take_t){.broker = broker, .ask = ask, .place = place};
    begin(take);
}

void xo_broker_place_free(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_error_t err;
    xo_place_t place;
    xo_slice_t address;
    if (read_place(args, &place, &address, &err) < 0) {
        xo_broker_refuse(ask, "%s", err.text);
        return;
    }
    const xo_member_t *member = xo_pools_by_name(&broker->pools, address);
    if (member != NULL)
        xo_slots_return(&broker->slots, member, &place);
    xo_ask_reply(ask, "n");
}
