/* pool-two.h - two pools of one loop, for actors that are linked: what they are told, and what a
 * client does with them.
 *
 * Actors whose uid begins with 't' are told that the other has ended; all others are destroyed.
 */
#ifndef XO_T_POOL_TWO_H
#define XO_T_POOL_TWO_H

#include "t/pool-world.h"

typedef struct link_host {
    fake_host_t fake; /* first: its operations get this as theirs */
    char told[2048];  /* "uid<other: reason; " for each message XO_METHOD_EXIT */
    size_t count;     /* of them */
} link_host_t;

typedef struct two {
    world_t *world;
    link_host_t hosts[2];
    xo_pool_t *pools[2]; /* the first is the world's */
} two_t;

/* cmocka set-ups. */
int two_setup(void **state);
int two_teardown(void **state);

const char *at(const two_t *two, int pool); /* its address */
xo_ref_t *ref(const two_t *two, int pool, const char *uid);
bool has_uid(const two_t *two, int pool, const char *uid);
void make(two_t *two, int pool, const char *uid);
void end(const two_t *two, int pool, const char *uid);
xo_future_t *watch(const two_t *two, int pool, const char *uid);
/* A call of `method` with an address and a uid. */
xo_future_t *begin(const two_t *two, int pool, const char *uid, const char *method,
                   const char *address, const char *other);
xo_future_t *begin_link(const two_t *two, int pool, const char *uid, int other_pool,
                        const char *other);
void link_actors(const two_t *two, int pool, const char *uid, int other_pool, const char *other);

/* Until all that was sent has arrived, in both pools, and what followed from it. */
void settle(two_t *two);
/* The watch is answered, and its reason has `part` in it. */
void expect_reason(two_t *two, xo_future_t *future, const char *part);
bool was_told(void *arg); /* of a link_host_t */
/* What the actors of that pool have been told since the last time. */
void expect_told(two_t *two, int pool, const char *text);

#endif
