/* sim-reap.c - see sim-reap.h. */
#include "t/sim-reap.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/ctx.h"

#define SAMPLE 32    /* nodes are looked at each time, */
#define TOLD_MAX 100 /* told of, */
#define PAGE 100     /* and actors removed */
/* Of a Redis 7.0 on one core of the machines measured (doc/scale.md). */
#define LOOK_NS 1500
#define REMOVE_NS 20000

typedef struct node {
    char id[XO_RECORD_ID_BYTES];
    int64_t until_ns; /* its lease lasts */
    uint64_t dead_at; /* 0: it is not known to be dead */
    bool alive;       /* as far as is known */
    bool reaped;      /* what it had put has been removed, or some of it */
    struct node *next;
} node_t;

struct sim_reap {
    xo_registry_t *store;
    node_t *nodes;
    uint64_t last_dead_at;
    char reaper[XO_RECORD_ID_BYTES];
    int64_t reaper_until_ns;
    int64_t work_ns;
};

/* An answer on its way. */
typedef struct ask {
    sim_reap_t *reap;
    sim_command_t *command;
    xo_reg_records_f done;
    node_t *node; /* is being reaped */
    uint64_t after;
    xo_record_t records[TOLD_MAX + 1];
    xo_field_t fields[TOLD_MAX + 1][3];
    size_t count;
    char ats[TOLD_MAX + 1][24];
} ask_t;

static int64_t now_ns(const sim_reap_t *reap)
{
    return xo_loop_now(reap->store->loop);
}

/* ---- leases ---- */

static node_t *find(const sim_reap_t *reap, const char *id)
{
    node_t *node = reap->nodes;
    while (node && strcmp(node->id, id) != 0)
        node = node->next;
    return node;
}

static node_t *add(sim_reap_t *reap, const char *id)
{
    node_t *node = calloc(1, sizeof(*node));
    assert(node);
    snprintf(node->id, sizeof(node->id), "%s", id);
    node->next = reap->nodes;
    return reap->nodes = node;
}

static bool is_there(const sim_reap_t *reap, const node_t *node)
{
    return node && node->until_ns > now_ns(reap);
}

void sim_reap_note(sim_reap_t *reap, const sim_command_t *command)
{
    bool puts = command->what == SIM_PUT;
    if (command->kind != XO_REG_NODE || !(puts || command->what == SIM_RENEW))
        return;
    node_t *node = find(reap, command->id);
    if (!node && puts)
        node = add(reap, command->id);
    if (!puts && !is_there(reap, node))
        return;
    node->until_ns = now_ns(reap) + command->ttl_ms * XO_MS;
    if (puts) {
        node->alive = true;
        node->dead_at = 0;
    }
}

/* ---- who has died ---- */

static void bury(sim_reap_t *reap, node_t *node)
{
    const xo_field_t fields[] = {{"node", xo_slice_str(node->id)},
                                 {"reason", xo_slice_str("its lease has lapsed")}};
    uint64_t now = (uint64_t)(now_ns(reap) / XO_MS);
    reap->store->ops->event(reap->store, "node.down", fields, 2);
    reap->last_dead_at = now > reap->last_dead_at ? now : reap->last_dead_at + 1;
    node->dead_at = reap->last_dead_at;
    node->alive = node->reaped = false;
}

/* Some of those that live, each as likely as another (selection sampling: Knuth, The Art of
 * Computer Programming, vol. 2, 3.4.2, algorithm S). Returns how many. */
static size_t look(sim_reap_t *reap)
{
    size_t left = 0, wanted, looked;
    for (const node_t *node = reap->nodes; node; node = node->next)
        left += node->alive;
    looked = wanted = left < SAMPLE ? left : SAMPLE;
    for (node_t *node = reap->nodes; node && wanted; node = node->next) {
        if (!node->alive || (left > wanted && xo_random_id() % left >= wanted)) {
            left -= node->alive;
            continue;
        }
        left--;
        wanted--;
        if (!is_there(reap, node))
            bury(reap, node);
    }
    return looked;
}

static node_t *next_dead(const sim_reap_t *reap, uint64_t after)
{
    node_t *next = NULL;
    for (node_t *node = reap->nodes; node; node = node->next)
        if (node->dead_at > after && (!next || node->dead_at < next->dead_at))
            next = node;
    return next;
}

static void tell(ask_t *ask)
{
    const node_t *node;
    while (ask->count < TOLD_MAX && (node = next_dead(ask->reap, ask->after))) {
        ask->after = node->dead_at;
        snprintf(ask->ats[ask->count], sizeof(ask->ats[0]), "%" PRIu64, ask->after);
        ask->fields[ask->count][0] = (xo_field_t){"at", xo_slice_str(ask->ats[ask->count])};
        ask->fields[ask->count][1] = (xo_field_t){"host", xo_slice_str("machine")};
        ask->records[ask->count] = (xo_record_t){node->id, ask->fields[ask->count], 2};
        ask->count++;
    }
}

/* ---- what they have left ---- */

static void answer(ask_t *ask)
{
    sim_reap_t *reap = ask->reap;
    node_t *owner = find(reap, ask->command->owner);
    bool lacks = is_there(reap, owner) && owner->reaped;
    xo_field_t *fields = ask->fields[ask->count];
    if (lacks)
        owner->reaped = false;
    snprintf(ask->ats[ask->count], sizeof(ask->ats[0]), "%" PRIu64, ask->after);
    fields[0] = (xo_field_t){"after", xo_slice_str(ask->ats[ask->count])};
    fields[1] = (xo_field_t){"more", xo_slice_str(ask->node ? "1" : "0")};
    fields[2] = (xo_field_t){"lacks", xo_slice_str(lacks ? "1" : "0")};
    ask->records[ask->count++] = (xo_record_t){"-", fields, 3};
    ask->done(0, "", ask->records, ask->count, ask->command);
    free(ask);
}

static void on_listed(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    ask_t *ask = arg;
    xo_registry_t *store = ask->reap->store;
    if (errnum != 0) { /* the store is being closed */
        ask->done(errnum, text, NULL, 0, ask->command);
        free(ask);
        return;
    }
    ask->node->reaped = true;
    if (count <= PAGE)
        ask->node->dead_at = 0;
    for (size_t i = 0; i < count && i < PAGE; i++) {
        store->ops->del(store, XO_REG_ACTOR, records[i].id, NULL, NULL, NULL);
        ask->reap->work_ns += REMOVE_NS;
    }
    answer(ask);
}

/* One that has been dead for long enough, unless another does that. */
static node_t *choose(sim_reap_t *reap, const sim_command_t *command)
{
    bool others = reap->reaper_until_ns > now_ns(reap);
    node_t *node = next_dead(reap, 0);
    if (others && strcmp(reap->reaper, command->owner) != 0)
        return NULL;
    if (!node || (int64_t)node->dead_at > now_ns(reap) / XO_MS - command->keep_ms)
        return NULL;
    snprintf(reap->reaper, sizeof(reap->reaper), "%s", command->owner);
    reap->reaper_until_ns = now_ns(reap) + command->ttl_ms * XO_MS;
    return node;
}

void sim_reap_execute(sim_reap_t *reap, sim_command_t *command, bool refilling,
                      xo_reg_records_f done)
{
    ask_t *ask = calloc(1, sizeof(*ask));
    assert(ask);
    *ask = (ask_t){.reap = reap, .command = command, .done = done};
    ask->after = strtoull(command->id, NULL, 10);
    if (ask->after == 0)
        ask->after = (uint64_t)(now_ns(reap) / XO_MS - command->ttl_ms);
    if (!refilling) {
        reap->work_ns += (int64_t)look(reap) * LOOK_NS;
        tell(ask);
        ask->node = choose(reap, command);
    }
    if (ask->node)
        reap->store->ops->list(reap->store, XO_REG_ACTOR, ask->node->id, on_listed, ask);
    else
        answer(ask);
}

int64_t sim_reap_take_work(sim_reap_t *reap)
{
    int64_t work_ns = reap->work_ns;
    reap->work_ns = 0;
    return work_ns;
}

/* ---- life ---- */

sim_reap_t *sim_reap_create(xo_registry_t *store)
{
    sim_reap_t *reap = calloc(1, sizeof(*reap));
    assert(reap);
    reap->store = store;
    return reap;
}

void sim_reap_destroy(sim_reap_t *reap)
{
    node_t *node;
    while (reap && (node = reap->nodes)) {
        reap->nodes = node->next;
        free(node);
    }
    free(reap);
}
