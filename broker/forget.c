/* forget.c - names that this node does not have any more, though the registry may still say so: it
 * was away, or did not answer, when it was told. It is told again with each heartbeat until it has
 * heard. A name that is taken again meanwhile is kept.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_impl.h"

struct xo_forget {
    xo_broker_t *broker;
    unsigned asking; /* answers that will come */
    unsigned left;   /* of these, how many must come until it is forgotten; 0: it is */
    UT_hash_handle hh;
    size_t size;
    char uid[];
};

static xo_forget_t *find(const xo_broker_t *broker, xo_slice_t uid)
{
    xo_forget_t *forget;
    HASH_FIND(hh, broker->forgets, uid.data, uid.size, forget);
    return forget;
}

static xo_forget_t *add(xo_broker_t *broker, xo_slice_t uid)
{
    xo_forget_t *forget = calloc(1, sizeof(*forget) + uid.size);
    if (forget == NULL)
        return NULL;
    forget->broker = broker;
    forget->size = uid.size;
    memcpy(forget->uid, uid.data, uid.size);
    HASH_ADD_KEYPTR(hh, broker->forgets, forget->uid, forget->size, forget);
    return forget;
}

static void drop(xo_forget_t *forget)
{
    HASH_DEL(forget->broker->forgets, forget);
    free(forget);
}

/* EPERM: another node has got it. EINVAL: no registry has such a name. */
static void on_removed(int errnum, const char *text, void *arg)
{
    xo_forget_t *forget = arg;
    (void)text;
    forget->asking--;
    if (forget->left > 0 && (errnum == 0 || errnum == EPERM || errnum == EINVAL))
        forget->left--;
    if (forget->left == 0 && forget->asking == 0)
        drop(forget);
}

static void ask(xo_forget_t *forget)
{
    forget->asking++;
    forget->left = forget->asking; /* answers to what came before a name was taken do not count */
    xo_publish_remove_name(forget->broker->publish, xo_slice(forget->uid, forget->size), on_removed,
                           forget);
}

void xo_forget_name(xo_broker_t *broker, xo_slice_t uid)
{
    xo_forget_t *forget = find(broker, uid);
    if (forget == NULL)
        forget = add(broker, uid);
    if (forget != NULL)
        ask(forget);
}

void xo_forget_keep(xo_broker_t *broker, xo_slice_t uid)
{
    xo_forget_t *forget = find(broker, uid);
    if (forget == NULL)
        return;
    forget->left = 0;
    if (forget->asking == 0)
        drop(forget);
}

void xo_forget_tick(xo_broker_t *broker)
{
    xo_forget_t *forget, *next;
    if (xo_publish_why_down(broker->publish) != NULL)
        return;
    HASH_ITER(hh, broker->forgets, forget, next)
    if (forget->asking == 0)
        ask(forget);
}

void xo_forget_destroy(xo_broker_t *broker)
{
    while (broker->forgets != NULL)
        drop(broker->forgets);
}
