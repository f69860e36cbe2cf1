#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_impl.h"
#include "registry/records.h"

/* While the registry is refilling, what it does not have is asked for again, for less than those
 * who ask wait for an answer (pool/lookup.c). */
#define REFILL_LOOK_NS (200 * XO_MS)
#define REFILL_LOOKS 10

/* One lookup: a hit is confirmed by a barrier with the pools that hold the actor, a miss by one
 * with all pools of the node (design.md, "A lookup waits for a barrier"); then the registry is
 * asked for other nodes. */
typedef struct xo_lookup {
    xo_broker_t *broker;
    xo_ask_t *ask; /* NULL: ended before */
    bool waiting;  /* for a barrier */
    bool asking;   /* the registry, or about to do it again */
    unsigned looks;
    xo_timer_t again;
    size_t size;
    char uid[XO_UID_BYTES_MAX];
} xo_lookup_t;

static xo_slice_t uid_of(const xo_lookup_t *lookup)
{
    return xo_slice(lookup->uid, lookup->size);
}

static void free_if_idle(xo_lookup_t *lookup)
{
    if (lookup->ask == NULL && !lookup->waiting && !lookup->asking)
        free(lookup);
}

static void let_go(xo_ask_t *ask, void *arg)
{
    xo_lookup_t *lookup = arg;
    (void)ask;
    lookup->ask = NULL;
    if (xo_timer_active(&lookup->again)) {
        xo_timer_stop(&lookup->again);
        lookup->asking = false;
    }
    free_if_idle(lookup);
}

/* ---- the answer ---- */

static bool is_own(const xo_broker_t *broker, const xo_record_t *record)
{
    char own[XO_ID_TEXT_BYTES];
    xo_id_format(broker->options.node_id, own);
    return xo_slice_eq_str(xo_rec_find(record, "node"), own) &&
           !xo_astray_has(broker, record->id); /* nobody knows better of that one */
}

static xo_actor_entry_t *find_own(const xo_lookup_t *lookup)
{
    return xo_directory_find(&lookup->broker->directory, uid_of(lookup));
}

/* Which of two that have had a name has it now. */
typedef struct xo_rank {
    uint64_t epoch, incarnation;
} xo_rank_t;

static const xo_rank_t anyone = {0};

static xo_rank_t rank_of(const xo_record_t *record)
{
    xo_rank_t rank = {0};
    xo_rec_number(record, "epoch", &rank.epoch);
    xo_rec_number(record, "incarnation", &rank.incarnation);
    return rank;
}

static bool is_below(xo_rank_t rank, xo_rank_t other)
{
    if (rank.epoch > 0 && other.epoch > 0 && rank.epoch != other.epoch)
        return rank.epoch < other.epoch;
    return rank.incarnation < other.incarnation;
}

/* Of a name there is one actor. If there are two records, its node was taken for dead, and has not
 * heard yet that it has moved: where it is, its epoch is larger, and its incarnation unless the
 * registry had forgotten one that moved. */
static xo_rank_t least_rank(const xo_lookup_t *lookup, const xo_record_t *records, size_t count)
{
    const xo_actor_entry_t *own = find_own(lookup);
    xo_rank_t largest =
        own != NULL ? (xo_rank_t){.epoch = own->epoch, .incarnation = own->incarnation} : anyone;
    for (size_t i = 0; i < count; i++) {
        if (!is_own(lookup->broker, &records[i]) && /* the directory knows better */
            is_below(largest, rank_of(&records[i])))
            largest = rank_of(&records[i]);
    }
    return xo_uid_is_name(uid_of(lookup)) ? largest : anyone;
}

/* With `count` packed records of other nodes, and those of ours of at least this rank. */
static void answer(xo_lookup_t *lookup, xo_slice_t others, uint32_t count, xo_rank_t least)
{
    const xo_broker_t *broker = lookup->broker;
    xo_buf_t own = XO_BUF_INIT, out = XO_BUF_INIT;
    for (xo_actor_entry_t *entry = find_own(lookup); entry; entry = entry->next_in_name) {
        xo_rec_t rec = {0};
        if (is_below((xo_rank_t){.epoch = entry->epoch, .incarnation = entry->incarnation}, least))
            continue;
        xo_actor_record(entry, broker->options.node_id, &rec);
        xo_rec_pack(&rec, 0, &own);
        count++;
    }
    xo_pack_array(&out, count);
    xo_buf_append(&out, own.data, own.size);
    xo_buf_append(&out, others.data, others.size);
    out.failed |= own.failed;
    xo_buf_free(&own);
    xo_ask_reply_value(xo_ask_take(&lookup->ask), &out);
}

static void answer_own(xo_lookup_t *lookup)
{
    answer(lookup, xo_slice(NULL, 0), 0, anyone);
}

/* Its pool is gone, as far as the registry knows, and nobody creates it again. */
static bool is_over(const xo_record_t *record)
{
    return xo_slice_eq_str(xo_rec_find(record, "state"), XO_STATE_LOST) &&
           xo_rec_find(record, "placement").size == 0;
}

static void answer_over(xo_lookup_t *lookup, const xo_record_t *record)
{
    xo_slice_t node = xo_rec_find(record, "node"), address = xo_rec_find(record, "address");
    xo_ask_fail(xo_ask_take(&lookup->ask), XO_CODE_ACTOR_NOT_EXIST,
                "actor '%.*s' was in the pool at %.*s, and is gone with its node, %.*s",
                (int)lookup->size, lookup->uid, (int)address.size,
                address.size > 0 ? address.data : "", (int)node.size,
                node.size > 0 ? node.data : "");
}

/* The directory knows our own better than the registry does. Only what runs is worth keeping. */
static void answer_records(xo_lookup_t *lookup, const xo_record_t *records, size_t count)
{
    const xo_broker_t *broker = lookup->broker;
    xo_buf_t others = XO_BUF_INIT;
    const xo_record_t *over = NULL;
    uint32_t found = 0, running = 0;
    xo_rank_t least = least_rank(lookup, records, count);
    for (size_t i = 0; i < count; i++) {
        if (is_own(broker, &records[i]) || is_below(rank_of(&records[i]), least))
            continue;
        if (is_over(&records[i])) {
            over = &records[i];
            continue;
        }
        xo_rec_pack_registry(&records[i], false, &others);
        found++;
        running += xo_slice_eq_str(xo_rec_find(&records[i], "state"),
                                   xo_actor_state_name(XO_ACTOR_RUNNING));
    }
    if (found > 0 && running == found && xo_buf_ok(&others) == 0)
        xo_known_put(broker->known, uid_of(lookup), xo_buf_slice(&others), found);
    if (found == 0 && over != NULL && find_own(lookup) == NULL)
        answer_over(lookup, over);
    else
        answer(lookup, xo_buf_slice(&others), found, least);
    xo_buf_free(&others);
}

/* ---- other nodes ---- */

static void fail(xo_lookup_t *lookup, const char *state, const char *why)
{
    xo_ask_fail(xo_ask_take(&lookup->ask), XO_CODE_UNAVAILABLE,
                "this node has no actor '%.*s', and the registry, which knows those of the others, "
                "%s: %s",
                (int)lookup->size, lookup->uid, state, why);
}

/* The registry does not say: what we have ourselves must do. */
static void answer_alone(xo_lookup_t *lookup, const char *state, const char *why)
{
    if (find_own(lookup) != NULL)
        answer_own(lookup);
    else
        fail(lookup, state, why);
}

static void on_again(xo_timer_t *timer, void *arg);

static bool waits(const xo_lookup_t *lookup, int errnum)
{
    return errnum == EAGAIN && find_own(lookup) == NULL && lookup->looks < REFILL_LOOKS;
}

static void on_records(int errnum, const char *text, const xo_record_t *records, size_t count,
                       void *arg)
{
    xo_lookup_t *lookup = arg;
    lookup->asking = lookup->ask != NULL && waits(lookup, errnum);
    if (lookup->asking)
        xo_timer_start(&lookup->again, REFILL_LOOK_NS);
    else if (lookup->ask != NULL && errnum == 0)
        answer_records(lookup, records, count);
    else if (lookup->ask != NULL)
        answer_alone(lookup, errnum == EAGAIN ? "is being refilled" : "is away", text);
    free_if_idle(lookup);
}

/* What was found lately. */
static bool answer_known(xo_lookup_t *lookup)
{
    xo_slice_t others;
    uint32_t count;
    if (!xo_known_find(lookup->broker->known, uid_of(lookup), &others, &count))
        return false;
    answer(lookup, others, count, anyone);
    free_if_idle(lookup);
    return true;
}

static void ask_registry(xo_lookup_t *lookup)
{
    xo_publish_t *publish = lookup->broker->publish;
    const xo_error_t *why = xo_publish_why_down(publish);
    if (answer_known(lookup))
        return;
    if (!xo_publish_is_shared(publish)) { /* then there are no others */
        answer_own(lookup);
        free_if_idle(lookup);
    } else if (why != NULL && !xo_registry_is_up(xo_publish_registry(publish))) {
        answer_alone(lookup, "is away", why->text);
        free_if_idle(lookup);
    } else {
        lookup->asking = true;
        xo_known_watch(lookup->broker->known, xo_publish_registry(publish), uid_of(lookup));
        xo_registry_lookup(xo_publish_registry(publish), uid_of(lookup), on_records, lookup);
    }
}

static void on_again(xo_timer_t *timer, void *arg)
{
    xo_lookup_t *lookup = arg;
    (void)timer;
    lookup->asking = false;
    lookup->looks++;
    ask_registry(lookup);
}

/* ---- the barriers ---- */

static void on_all_told(void *arg)
{
    xo_lookup_t *lookup = arg;
    lookup->waiting = false;
    if (lookup->ask != NULL)
        ask_registry(lookup);
    else
        free_if_idle(lookup);
}

static void confirm_miss(xo_lookup_t *lookup)
{
    lookup->waiting = xo_broker_barrier(lookup->broker, xo_slice(NULL, 0), XO_BARRIER_MISS_MS,
                                        on_all_told, lookup);
    if (!lookup->waiting)
        ask_registry(lookup);
}

static void on_holders_told(void *arg)
{
    xo_lookup_t *lookup = arg;
    if (lookup->ask != NULL && find_own(lookup) == NULL)
        confirm_miss(lookup);
    else
        on_all_told(lookup);
}

static void begin(xo_lookup_t *lookup, bool refused)
{
    if (refused)
        xo_known_forget(lookup->broker->known, uid_of(lookup));
    if (find_own(lookup) == NULL) {
        /* Of a name there is one, so no pool of ours has it. */
        if (!xo_uid_is_name(uid_of(lookup)) || !answer_known(lookup))
            confirm_miss(lookup);
        return;
    }
    lookup->waiting = xo_broker_barrier(lookup->broker, uid_of(lookup), XO_BARRIER_HIT_MS,
                                        on_holders_told, lookup);
    if (!lookup->waiting)
        ask_registry(lookup);
}

void xo_broker_lookup(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_slice_t uid;
    bool refused = false;
    if (xo_broker_need_uid(ask, args, &uid) < 0)
        return;
    xo_unpack(args, NULL, "[_ ?]", &refused);
    xo_lookup_t *lookup = calloc(1, sizeof(*lookup));
    if (lookup == NULL) {
        xo_broker_refuse(ask, "out of memory");
        return;
    }
    *lookup = (xo_lookup_t){.broker = broker, .ask = ask, .size = uid.size};
    memcpy(lookup->uid, uid.data, uid.size);
    xo_timer_init(&lookup->again, broker->loop, on_again, lookup);
    xo_ask_on_stop(ask, let_go, lookup);
    begin(lookup, refused);
}
