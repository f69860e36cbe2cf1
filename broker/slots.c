#include "broker/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* An actor that has not come by then does not count any more where only numbers count, and is asked
 * for where it keeps others away. */
#define PENDING_NS (60 * 1000 * XO_MS)
/* Between the taking of a slot and the arrival of the creation at its pool. */
#define GRACE_NS (10 * 1000 * XO_MS)

static xo_slice_t uid_of(const xo_slot_t *slot)
{
    return xo_slice(slot->uid, slot->uid_size);
}

static void destroy(xo_slots_t *slots, xo_slot_t *slot)
{
    DL_DELETE(slots->head, slot);
    free(slot);
}

/* ---- choosing ---- */

bool xo_slot_is_in_the_way(const xo_slot_t *slot, const xo_place_t *place)
{
    return !place->least && !slot->least && xo_slice_eq_str(place->mark, slot->mark) &&
           xo_slice_eq_str(place->label, slot->label);
}

static bool is_candidate(const xo_slots_t *slots, const xo_member_t *member,
                         const xo_place_t *place)
{
    const xo_slot_t *slot;
    bool is_there = member->state == XO_POOL_READY || member->state == XO_POOL_SUSPECT;
    if (!is_there || member->ending || strcmp(member->language, "c") == 0)
        return false; /* a C pool creates from its modules only, and its callers know which */
    if (place->label.size > 0 && !xo_slice_eq_str(place->label, member->label))
        return false;
    DL_FOREACH(slots->head, slot)
    if (slot->member == member && xo_slot_is_in_the_way(slot, place))
        return false;
    return true;
}

/* Its actors, and those that are on their way. */
static size_t load_of(const xo_slots_t *slots, const xo_member_t *member, int64_t now_ns)
{
    size_t load = member->entry_count;
    const xo_slot_t *slot;
    DL_FOREACH(slots->head, slot)
    load += slot->member == member && !slot->up && now_ns - slot->taken_ns < PENDING_NS;
    return load;
}

/* A suspect pool is slow, not gone: it is taken where no other is left. */
static bool is_better(const xo_slots_t *slots, const xo_member_t *member, const xo_member_t *best,
                      bool least, int64_t now_ns)
{
    if (member->state != best->state)
        return member->state == XO_POOL_READY;
    size_t load = least ? load_of(slots, member, now_ns) : 0;
    size_t best_load = least ? load_of(slots, best, now_ns) : 0;
    return load < best_load || (load == best_load && member->index < best->index);
}

static xo_member_t *choose(const xo_slots_t *slots, const xo_pools_t *pools,
                           const xo_place_t *place, int64_t now_ns)
{
    xo_member_t *best = NULL;
    for (xo_member_t *m = xo_pools_first(pools); m != NULL; m = xo_pools_next(m)) {
        if (is_candidate(slots, m, place) &&
            (best == NULL || is_better(slots, m, best, place->least, now_ns)))
            best = m;
    }
    return best;
}

/* ---- slots ---- */

static void forget_old(xo_slots_t *slots, int64_t now_ns)
{
    xo_slot_t *slot, *next;
    DL_FOREACH_SAFE(slots->head, slot, next)
    if (slot->least && now_ns - slot->taken_ns >= PENDING_NS)
        destroy(slots, slot);
}

static xo_slot_t *create(const xo_place_t *place, xo_member_t *member, int64_t now_ns)
{
    xo_slot_t *slot = calloc(1, sizeof(*slot));
    if (slot == NULL)
        return NULL;
    slot->member = member;
    slot->generation = member->generation;
    slot->least = place->least;
    slot->taken_ns = slot->asked_ns = now_ns;
    if (place->label.size > 0)
        memcpy(slot->label, place->label.data, place->label.size);
    if (place->mark.size > 0)
        memcpy(slot->mark, place->mark.data, place->mark.size);
    memcpy(slot->uid, place->uid.data, place->uid.size);
    slot->uid_size = place->uid.size;
    return slot;
}

xo_slot_t *xo_slots_take(xo_slots_t *slots, const xo_pools_t *pools, const xo_place_t *place,
                         int64_t now_ns)
{
    forget_old(slots, now_ns);
    xo_member_t *member = choose(slots, pools, place, now_ns);
    if (member == NULL) {
        errno = ENOENT;
        return NULL;
    }
    xo_slot_t *slot = create(place, member, now_ns);
    if (slot != NULL)
        DL_APPEND(slots->head, slot);
    return slot;
}

static bool is_for(const xo_slot_t *slot, const xo_member_t *member, xo_slice_t uid)
{
    return slot->member == member && xo_slice_eq(uid_of(slot), uid);
}

void xo_slots_up(xo_slots_t *slots, const xo_member_t *member, xo_slice_t uid)
{
    xo_slot_t *slot, *next;
    DL_FOREACH_SAFE(slots->head, slot, next)
    {
        if (!is_for(slot, member, uid))
            continue;
        slot->up = true;
        if (slot->least)
            destroy(slots, slot);
    }
}

void xo_slots_free(xo_slots_t *slots, const xo_member_t *member, xo_slice_t uid)
{
    xo_slot_t *slot, *next;
    DL_FOREACH_SAFE(slots->head, slot, next)
    if (is_for(slot, member, uid))
        destroy(slots, slot);
}

/* What was on its way to a process that has ended does not come any more. */
static bool may_be_on_its_way(const xo_slot_t *slot, int64_t now_ns)
{
    return !slot->up && slot->generation == slot->member->generation &&
           now_ns - slot->taken_ns < GRACE_NS;
}

void xo_slots_absent(xo_slots_t *slots, const xo_member_t *member, xo_slice_t uid, int64_t now_ns)
{
    xo_slot_t *slot, *next;
    DL_FOREACH_SAFE(slots->head, slot, next)
    if (is_for(slot, member, uid) && !may_be_on_its_way(slot, now_ns))
        destroy(slots, slot);
}

void xo_slots_return(xo_slots_t *slots, const xo_member_t *member, const xo_place_t *place)
{
    xo_slot_t *slot, *next;
    DL_FOREACH_SAFE(slots->head, slot, next)
    if (is_for(slot, member, place->uid) && slot->least == place->least &&
        xo_slice_eq_str(place->label, slot->label) && xo_slice_eq_str(place->mark, slot->mark))
        destroy(slots, slot);
}

xo_slot_t *xo_slots_overdue(xo_slots_t *slots, int64_t now_ns)
{
    xo_slot_t *slot;
    forget_old(slots, now_ns);
    DL_FOREACH(slots->head, slot)
    {
        if (slot->up || now_ns - slot->asked_ns < PENDING_NS)
            continue;
        slot->asked_ns = now_ns;
        return slot;
    }
    return NULL;
}

void xo_slots_free_pool(xo_slots_t *slots, const xo_member_t *member)
{
    xo_slot_t *slot, *next;
    DL_FOREACH_SAFE(slots->head, slot, next)
    if (member == NULL || slot->member == member)
        destroy(slots, slot);
}
