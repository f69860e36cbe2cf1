/* pool-broker.h - a pool whose actors are created again, and a broker that does what the test says.
 */
#ifndef XO_T_POOL_BROKER_H
#define XO_T_POOL_BROKER_H

#include "libxo/future.h"
#include "t/pool-world.h"

#define POOL_ID 0x77
#define BODY xo_slice("\x92\x91\x05\x80", 4) /* [[5], {}] */

typedef struct broker {
    world_t *world;
    xo_endpoint_t *endpoint;
    char where[128];
    xo_link_t *link; /* to the pool */
    char told[512];  /* of each actor.up: uid=body+buffer or uid=sentence */
    int joined, created, failed;
    bool withholds; /* the answer to an actor.up */
    xo_return_t withheld;
} broker_t;

int broker_setup_first(void **state);
int broker_setup_with(void **state, const xo_host_ops_t *ops, void *host);
int broker_setup_over_ipc(void **state);
int broker_setup_over_shm(void **state);
int broker_setup_early(void **state);
int broker_setup_second(void **state);
int broker_teardown(void **state);
xo_call_t *create_again(broker_t *broker, const char *uid);
void stop_by_group(broker_t *broker, const char *uid); /* which is to come again */
void say_all(broker_t *broker);
bool one_created(void *arg);
bool one_failed(void *arg);
void say_failed(broker_t *broker, const char *uid, const char *reason);
void say_recovered(broker_t *broker, const char *pool);
xo_future_t *post(world_t *world, xo_msg_t *msg);
xo_future_t *ask(broker_t *broker, xo_kind_t kind, const char *uid);
void settle(broker_t *broker);
void broker_answer(broker_t *broker, const xo_return_t *to);

#define FIRST(name) cmocka_unit_test_setup_teardown(name, broker_setup_first, broker_teardown)
#define OVER_IPC(name) cmocka_unit_test_setup_teardown(name, broker_setup_over_ipc, broker_teardown)
#define SECOND(name) cmocka_unit_test_setup_teardown(name, broker_setup_second, broker_teardown)

#endif
