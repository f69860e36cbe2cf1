/* lane-rig.h - what the tests of lanes share: a loop that runs until something is true, and ends of
 * lanes that remember what happened to them.
 */
#ifndef XO_T_LANE_RIG_H
#define XO_T_LANE_RIG_H

#include <stdbool.h>

#include <sys/types.h>

#include "libxo/lane.h"
#include "libxo/port.h"
#include "t/scratch.h"
#include "t/unit.h"

#define RIG_DEADLINE_MS 30000 /* a safety net: no test needs it */

/* One end of a lane. */
typedef struct end {
    struct rig *rig;
    xo_lane_t *lane;
    uint64_t received;
    uint64_t next_seq; /* messages must come with 1, 2, 3, ... */
    bool out_of_order;
    size_t last_bytes; /* body and buffers of the last message */
    unsigned last_sum;
    int closed; /* how often */
    int why;
    uint64_t received_at_close;
    int writable;
    uint64_t destroy_at; /* the lane, in the handler of this message; 0: never */
    bool destroy_when_closed;
    bool echo;
} end_t;

#define RIG_LANES 512
#define RIG_PLACE 3 /* of the listener, behind the port */

typedef struct rig {
    xo_ctx_t *ctx;
    xo_loop_t *loop;
    xo_listener_t *listener;
    xo_timer_t deadline;
    bool expired;
    end_t accepted[RIG_LANES];
    size_t accepted_count;
    xo_lane_t *lanes[RIG_LANES]; /* not destroyed yet */
    int refused;
    char refused_from[64]; /* the last one; "": nobody knows */
    char refused_why[XO_ERROR_TEXT_BYTES];
    bool reject;           /* destroy lanes when they come */
    bool destroy_listener; /* when a lane comes */
    uint64_t destroy_at;   /* for the ends that come */
    bool echo;             /* the same */
    bool bundles;          /* both ends of its lanes understand them */
    xo_port_t *port;       /* in front of a listener of scheme port; NULL: not yet */
    int port_number, port_refused;
    char outside[64]; /* what leads through it */
} rig_t;

void rig_open(rig_t *rig);
void rig_close(rig_t *rig);
void rig_listen(rig_t *rig, const char *endpoint);
/* An endpoint of this scheme to listen on; ipc: in the context's run directory. */
void rig_endpoint(rig_t *rig, const char *scheme, char *text, size_t size);
int rig_free_port(void);
/* What others dial to reach what listens on `endpoint`: of scheme port, which is opened then, not
 * the same. */
const char *rig_outside(rig_t *rig, const char *endpoint);
void rig_dial(rig_t *rig, end_t *end, const char *endpoint);
void end_destroy(end_t *end);
/* Listens there unless the rig does already, dials, and sends a message, which has arrived when
 * this returns the end that came in. */
end_t *rig_meet(rig_t *rig, end_t *dialled, const char *endpoint);

/* Runs the loop until it is true. */
#define RUN_UNTIL(rig_, condition_)                                                                \
    do {                                                                                           \
        rig_arm(rig_);                                                                             \
        while (!(condition_)) {                                                                    \
            assert_false((rig_)->expired);                                                         \
            xo_loop_once((rig_)->loop, -1);                                                        \
        }                                                                                          \
    } while (0)
void rig_arm(rig_t *rig);

/* What the tests of one scheme begin with; the test's state is the scheme's name first, behind a +
 * where lanes are to make bundles. */
typedef struct fixture {
    const char *scheme;
    rig_t rig;
    char endpoint[320]; /* to listen on */
    pid_t child;        /* killed in the end; 0: none */
    void *raw;          /* a socket that is not a lane */
    xo_ctx_t *foreign;  /* a context of another cluster */
} fixture_t;

int fixture_open(void **state);
int fixture_close(void **state);
/* fork(2), once no other thread of this process runs. AddressSanitizer's allocator is not made
 * ready for a fork, as glibc's is: what one of ZeroMQ's threads holds of it then, the child waits
 * for. */
pid_t fork_at_rest(void);
void fixture_end_child(fixture_t *f);
/* Listens, and starts the child, which runs `dial` and ends with it or with this process. Returns
 * the end that came in, when it has had a message. */
end_t *fixture_join(fixture_t *f, void (*dial)(fixture_t *f, void *arg), void *arg);
/* Starts the child, which runs `serve`; that writes the endpoint that it listens on into `fd`,
 * whole. It is f->endpoint when this returns. */
void fixture_serve(fixture_t *f, void (*serve)(int fd));
/* A plain tcp socket that listens, and no more; its endpoint is f->endpoint. The descriptor is the
 * caller's. */
int fixture_listen_plain(fixture_t *f, int backlog);
/* Makes `raw`, set up as a lane's socket of that type, with the keys of `ctx`. */
void open_raw(fixture_t *f, int type, xo_ctx_t *ctx);
void raw_msg(fixture_t *f, uint64_t seq);

xo_msg_t *make_msg(uint64_t seq, size_t body_bytes);
void send_seq(xo_lane_t *lane, uint64_t seq);

#endif
