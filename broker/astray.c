/* astray.c - actors that the registry may say are this node's, though it does not have them, and
 * nobody has ended them for good: the answer to a claim was lost, or only the node's last broker
 * has heard it; or this node's own one ended since another node had got its name, and the registry
 * has lost that, as one may that fails over.
 *
 * For some heartbeats each of them is looked at. What the registry still says is here, it is told
 * that anybody may have; if it runs elsewhere after all, its name says so to who claims it.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/broker_impl.h"

/* As long as a claim may be on its way that was given up, and be written after all: a connection
 * that broke may deliver what was sent. */
#define LOOKS 60
/* More than a lease's time: by then a pool that may have it has named it, or lets it do nothing. */
#define RESTS 6

struct xo_astray {
    xo_broker_t *broker;
    unsigned left;  /* looks */
    unsigned rests; /* looks before it is given away */
    bool asking;
    UT_hash_handle hh;
    char id[]; /* of its record */
};

static xo_astray_t *find(const xo_broker_t *broker, const char *id)
{
    xo_astray_t *astray;
    HASH_FIND_STR(broker->astray, id, astray);
    return astray;
}

static void drop(xo_astray_t *astray)
{
    HASH_DEL(astray->broker->astray, astray);
    free(astray);
}

void xo_astray_add(xo_broker_t *broker, const char *id)
{
    xo_astray_t *astray = find(broker, id);
    size_t size = strlen(id) + 1;
    if (astray == NULL && (astray = calloc(1, sizeof(*astray) + size)) != NULL) {
        astray->broker = broker;
        memcpy(astray->id, id, size);
        HASH_ADD_KEYPTR(hh, broker->astray, astray->id, size - 1, astray);
    }
    if (astray != NULL)
        astray->left = LOOKS;
}

void xo_astray_inherit(xo_broker_t *broker, const char *id)
{
    xo_astray_add(broker, id);
    xo_astray_t *astray = find(broker, id);
    if (astray != NULL)
        astray->rests = RESTS;
}

bool xo_astray_has(const xo_broker_t *broker, const char *id)
{
    const xo_astray_t *astray = find(broker, id);
    return astray != NULL && astray->left > 0;
}

void xo_astray_forget(xo_broker_t *broker, const char *id)
{
    xo_astray_t *astray = find(broker, id);
    if (astray != NULL)
        astray->left = 0; /* the next tick drops it, or the answer that is to come */
}

static void on_record(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    xo_astray_t *astray = arg;
    xo_broker_t *broker = astray->broker;
    (void)text;
    astray->asking = false;
    if (errnum != 0 && errnum != ENOENT)
        return; /* while it is away, nothing is known */
    if (astray->left > 0)
        astray->left--;
    if (astray->rests > 0) {
        astray->rests--;
        return;
    }
    if (errnum == 0 && count == 1 && astray->left > 0 &&
        xo_slice_eq_str(xo_rec_find(&records[0], "owner"), xo_publish_owner(broker->publish)))
        xo_leave_stray(broker, &records[0]);
}

void xo_astray_tick(xo_broker_t *broker)
{
    xo_astray_t *astray, *next;
    HASH_ITER(hh, broker->astray, astray, next)
    {
        if (astray->asking)
            continue;
        if (astray->left == 0) {
            drop(astray);
            continue;
        }
        astray->asking = true;
        xo_registry_get(xo_publish_registry(broker->publish), XO_REG_ACTOR, astray->id, on_record,
                        astray);
    }
}

void xo_astray_destroy(xo_broker_t *broker)
{
    while (broker->astray != NULL)
        drop(broker->astray);
}
