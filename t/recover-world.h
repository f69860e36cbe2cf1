/* recover-world.h - a broker in the test's own process, and a pool that is an endpoint of the
 * test's: so the broker's own parts are called for the death of its process. */
#ifndef T_RECOVER_WORLD_H
#define T_RECOVER_WORLD_H

#include "broker/broker_impl.h"
#include "t/broker-rig.h"

typedef struct world {
    fixture_t *f;
    xo_broker_t *broker;
    xo_member_t *member; /* of f->b */
} world_t;

int recover_setup(void **state);
int recover_teardown(void **state);

/* ---- what the pool says ---- */
/* `spec` NULL: nil; "": its body; else why there is none. */
void up(world_t *w, const char *uid, uint64_t incarnation, const char *spec);
/* The same with a spec, as a member of this group; waits until it is that. */
void up_in_group(world_t *w, const char *uid, const char *group);
/* Answers the oldest request; `error` NULL: with a result. Takes `msg` over. */
void answer(world_t *w, const char *error);
void answer_with(world_t *w, xo_msg_t *msg);

/* ---- what the broker does ---- */
xo_actor_entry_t *entry_of(world_t *w, const char *uid);
/* The oldest request is this. */
void expect_create(world_t *w, const char *uid);
void expect_barrier(world_t *w);
void die_and_come_back(world_t *w);
/* With one actor, which is asked for. */
void come_back_with(world_t *w, const char *uid);

#endif
