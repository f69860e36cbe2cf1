/* node.h - an endpoint for tests: keeps the requests that it gets until the test answers them. */
#ifndef T_NODE_H
#define T_NODE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "libxo/endpoint.h"
#include "t/scratch.h"

#define NODE_INBOX_MAX 20000

typedef struct node {
    xo_endpoint_t *endpoint;
    struct {
        xo_link_t *from;
        xo_msg_t *msg;
    } inbox[NODE_INBOX_MAX];
    size_t count, first;
    int linked, unlinked, events;
    char event[32]; /* the last one's name */
    bool refuse;    /* admits nobody */
    bool yield;     /* answers the oldest request when a cancel comes, at once */
    bool echo;      /* answers calls at once with their first argument */
    bool absent;    /* says of each call at once that there is no such actor */
    xo_error_t why;
    int refusals; /* how many were to be logged, and the last */
    char refusal[XO_ERROR_TEXT_BYTES];
} node_t;

typedef struct fixture {
    scratch_t scratch;
    xo_ctx_t *ctx;
    xo_loop_t *loop;
    node_t *a, *b, *c;
} fixture_t;

/* Runs the loop until the condition holds; fails the test when it never does. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        int passes_ = 0;                                                                           \
        while (!(condition) && passes_++ < 2000)                                                   \
            xo_loop_once(f->loop, 10);                                                             \
        assert_true(condition);                                                                    \
    } while (0)

node_t *node_create(fixture_t *f, xo_role_t role, const char *door,
                    const xo_endpoint_options_t *options);
void node_destroy(node_t *node); /* takes NULL */
/* A pool of the broker at `door`: linked, or refused. What it is its first heartbeat says. */
node_t *node_pool(fixture_t *f, const char *door, uint64_t pool_id, uint32_t generation);
void node_beat(node_t *pool);
/* The oldest request: answered with its first argument, or just handled. */
void node_answer(node_t *node);
void node_swallow(node_t *node);
int64_t node_argument(const xo_msg_t *msg);
xo_msg_t *node_make(xo_kind_t kind, uint64_t target, int64_t value, size_t padding);
/* Makes a, a client, and b, a pool at mem://b, and links them. */
xo_link_t *link_ab(fixture_t *f, const xo_endpoint_options_t *options_b);
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* What became of a call. */
typedef struct outcome {
    int answers;
    xo_kind_t kind;
    int64_t value;
    char code[32], executed[8], reason[80], text[200];
} outcome_t;

void outcome_answer(xo_call_t *call, xo_msg_t **answer, void *arg);
/* Calls with `value` as the argument; it has not been answered yet. NULL: it could not be sent. */
xo_call_t *node_call(node_t *node, xo_link_t *link, int64_t value, unsigned flags,
                     int64_t deadline_ns, outcome_t *outcome);

#endif
