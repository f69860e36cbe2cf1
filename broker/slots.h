/* slots.h - which pool a new actor goes to, where that depends on what the pools hold.
 *
 * A slot is a place in a pool that was given to an actor with a uid. It is given before the actor
 * is created, so that creations side by side get different ones, and it is *up* once the pool has
 * told of the actor. Pure: pools, slots and a time decide.
 */
#ifndef XO_BROKER_SLOTS_H
#define XO_BROKER_SLOTS_H

#include "broker/pools.h"

#define XO_MARK_BYTES 256

/* What is asked for. */
typedef struct xo_place {
    bool least;       /* the pool with the fewest actors; otherwise one without such a slot */
    xo_slice_t label; /* of the pool; empty: any */
    xo_slice_t mark;  /* below XO_MARK_BYTES; not for `least` */
    xo_slice_t uid;   /* of the actor */
} xo_place_t;

typedef struct xo_slot {
    xo_member_t *member;
    struct xo_slot *prev, *next;
    bool least; /* only counts, and only until it is up: then the pool counts the actor */
    bool up;
    uint32_t generation; /* of the pool when it was taken */
    int64_t taken_ns;
    int64_t asked_ns;           /* when its pool was last asked for the actor */
    char label[XO_LABEL_BYTES]; /* as it was asked for */
    char mark[XO_MARK_BYTES];
    size_t uid_size;
    char uid[XO_UID_BYTES_MAX];
} xo_slot_t;

/* Zero-initialise. */
typedef struct xo_slots {
    xo_slot_t *head;
} xo_slots_t;

/* Takes a slot, in the pool with the smallest index of those that are as good. NULL: ENOENT, no
 * pool is ready and idle; ENOMEM. */
xo_slot_t *xo_slots_take(xo_slots_t *slots, const xo_pools_t *pools, const xo_place_t *place,
                         int64_t now_ns);
/* Does a slot keep others from what is asked for? */
bool xo_slot_is_in_the_way(const xo_slot_t *slot, const xo_place_t *place);
/* The pool has told of the actor. */
void xo_slots_up(xo_slots_t *slots, const xo_member_t *member, xo_slice_t uid);
/* The actor is gone. */
void xo_slots_free(xo_slots_t *slots, const xo_member_t *member, xo_slice_t uid);
/* The pool knows no such actor: gone, unless its creation may still be on its way. */
void xo_slots_absent(xo_slots_t *slots, const xo_member_t *member, xo_slice_t uid, int64_t now_ns);
/* It was not created after all. */
void xo_slots_return(xo_slots_t *slots, const xo_member_t *member, const xo_place_t *place);
/* One whose actor has not come for so long that its pool should be asked whether it has it; the
 * next time after as long again. Those that only count are forgotten then. NULL: none. */
xo_slot_t *xo_slots_overdue(xo_slots_t *slots, int64_t now_ns);
/* The pool is gone; NULL: all are. */
void xo_slots_free_pool(xo_slots_t *slots, const xo_member_t *member);

#endif
