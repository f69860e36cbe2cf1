/* pool-world.h - what the tests of the pool share: a throwaway run directory, one loop, a pool with
 * a host that does what the test says, and a client; a peer that speaks the wire by hand.
 *
 * The host's methods:
 *   echo    answers with its arguments at once     hold    waits until the test ends it
 *   fail    fails with MethodError                 free    gives up the lock, then as hold
 *   look    bypasses the lock, then as echo        peek    bypasses the lock, then as hold
 * Everything that begins is written to the log as "uid.method ".
 */
#ifndef XO_T_POOL_WORLD_H
#define XO_T_POOL_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pool/pool.h"

#define HELD_MAX 128
#define WAIT_MS 10000 /* a safety net, never waited for in a test that passes */

typedef struct fake_host {
    char log[4096];
    xo_request_t *held[HELD_MAX];
    size_t held_count;
    int created, destroyed, released, cancelled, stopped;
    bool hold_create, fail_create, stateless, hold_destroy;
    bool run_cancelled; /* ends a cancelled request with Cancelled */
} fake_host_t;

typedef struct world {
    char dir[64];
    xo_ctx_t *ctx;
    xo_loop_t *loop;
    fake_host_t host;
    xo_pool_options_t options;
    const xo_host_ops_t *ops; /* NULL: the fake host's */
    void *ops_arg;
    xo_pool_t *pool;
    xo_endpoint_t *client;
} world_t;

/* cmocka set-ups: a run directory and a loop; the same with a pool and a client. */
int world_setup_bare(void **state);
int world_setup(void **state);
int world_teardown(void **state);
void world_open(world_t *world); /* makes the pool (as world->options say) and the client */

extern const xo_host_ops_t fake_ops;
void host_release_one(world_t *world, size_t index); /* ends held[index] with 1 */
void host_fail_one(world_t *world, size_t index);    /* ends it with MethodError */
bool log_is(const world_t *world, const char *text);

/* Runs the loop until `done(arg)`; fails the test after WAIT_MS. */
void run_until(world_t *world, bool (*done)(void *arg), void *arg);
/* Until the log is `text`, or `count` requests are held. */
void run_until_log(world_t *world, const char *text);
void run_until_held(world_t *world, size_t count);
/* Until all that was sent has arrived: a call to the pool itself and back. */
void run_settled(world_t *world);

/* From the client. */
xo_future_t *start(world_t *world, const char *uid, const char *method, int arg);
void tell(world_t *world, const char *uid, const char *method, int arg);
xo_future_t *start_create(world_t *world, const char *uid);
void create(world_t *world, const char *uid);
xo_future_t *start_destroy(world_t *world, const char *uid);
/* Waits, destroys the future. A result must be an int of this value; an error must have this code,
 * and executed. */
void expect_int(xo_future_t *future, int value);
void expect_error(xo_future_t *future, const char *code, const char *executed);
void expect_ok(xo_future_t *future);
/* An answer of ref: [address, uid, incarnation]; returns the incarnation. */
uint64_t expect_reference(xo_future_t *future, const char *address, const char *uid);

/* ---- a peer that speaks the wire by hand ---- */
typedef struct peer {
    world_t *world;
    xo_lane_t *lane;
    uint64_t id;
    uint64_t node;
    const char *machine; /* NULL: another one */
    bool welcome, closed;
    xo_msg_t *answers[64];
    size_t count;
} peer_t;

void peer_open(peer_t *peer, world_t *world, const char *role, uint64_t id);
/* A client that takes answers of so many bytes, until the test sends credit for more. */
void peer_open_for(peer_t *peer, world_t *world, uint64_t id, uint64_t bytes);
/* A client that says that it can be muted, but goes on all the same. */
void peer_open_muted(peer_t *peer, world_t *world, uint64_t id);
/* A pool of that node and machine; when it is closed, it looks as if its process had died. */
void peer_open_near(peer_t *peer, world_t *world, uint64_t id, uint64_t node, const char *machine);
void peer_close(peer_t *peer);
/* Sends a message with the peer's id as sender; `body` by pack.h's format, NULL: none. */
void peer_send(peer_t *peer, xo_header_t header, const char *format, ...);
/* Waits for the answer to `seq` and takes it; the caller destroys it. */
xo_msg_t *peer_answer(peer_t *peer, uint64_t seq);
void peer_expect_error(peer_t *peer, uint64_t seq, const char *code, const char *executed,
                       const char *reason);
void peer_expect_int(peer_t *peer, uint64_t seq, int value);

#endif
