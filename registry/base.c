#include "registry/base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

typedef struct xo_completion {
    struct xo_completion *prev, *next;
    xo_sink_t sink;
    int errnum;
    char *text;
    xo_records_t *records;
    xo_order_t order;
} xo_completion_t;

static void completion_destroy(xo_completion_t *completion)
{
    free(completion->text);
    xoi_records_destroy(completion->records);
    free(completion);
}

/* Calls back what is there now; what is begun meanwhile waits for the next pass. */
static void run_later(xo_defer_t *defer, void *arg)
{
    (void)defer;
    xo_registry_t *registry = arg;
    xo_completion_t *due = registry->completions, *each;
    registry->completions = NULL;
    xoi_registry_hold(registry);
    while ((each = due)) {
        DL_DELETE(due, each);
        int errnum = registry->closed ? ECANCELED : each->errnum;
        xoi_registry_end(registry, &each->sink, errnum, each->text, each->records, each->order);
        each->records = NULL;
        completion_destroy(each);
    }
    xoi_registry_unhold(registry);
}

void xoi_registry_init(xo_registry_t *registry, const xo_registry_ops_t *ops, xo_loop_t *loop,
                       const xo_url_t *url, const char *cluster, const xo_registry_events_t *events,
                       void *arg)
{
    registry->ops = ops;
    registry->loop = loop;
    if (events)
        registry->events = *events;
    registry->arg = arg;
    snprintf(registry->url, sizeof(registry->url), "%s", url->display);
    snprintf(registry->cluster, sizeof(registry->cluster), "%s", cluster);
    xo_defer_init(&registry->later, loop, run_later, registry);
}

void xoi_registry_hold(xo_registry_t *registry)
{
    registry->holds++;
}

void xoi_registry_unhold(xo_registry_t *registry)
{
    if (--registry->holds == 0 && registry->closed)
        registry->ops->release(registry);
}

static void end_records(xo_registry_t *registry, const xo_sink_t *sink, int errnum,
                        const char *text, xo_records_t *records, xo_order_t order)
{
    xo_record_t *list = NULL;
    size_t count = 0;
    if (errnum == 0 && xoi_records_finish(records, order != XO_AS_THEY_COME, &list, &count) < 0) {
        errnum = ENOMEM;
        text = "out of memory for the registry's records";
        registry->stats.failed++;
    }
    if (errnum == 0 && order == XO_FOUND_FIRST)
        count = xoi_records_prefer_found(list, count);
    sink->records(errnum, text, errnum ? NULL : list, errnum ? 0 : count, sink->arg);
}

void xoi_registry_end(xo_registry_t *registry, const xo_sink_t *sink, int errnum, const char *text,
                      xo_records_t *records, xo_order_t order)
{
    if (errnum)
        registry->stats.failed++;
    if (errnum == ECANCELED)
        text = "the registry was closed before";
    xoi_registry_hold(registry);
    if (sink->done)
        sink->done(errnum, errnum ? text : "", sink->arg);
    if (sink->records)
        end_records(registry, sink, errnum, errnum ? text : "", records, order);
    xoi_records_destroy(records);
    xoi_registry_unhold(registry);
}

void xoi_registry_end_later(xo_registry_t *registry, const xo_sink_t *sink, int errnum,
                            const char *text, xo_records_t *records, xo_order_t order)
{
    xo_completion_t *completion = calloc(1, sizeof(*completion));
    char *copy = strdup(text ? text : "");
    if (!completion || !copy) { /* better from within than never */
        free(completion);
        free(copy);
        xoi_registry_end(registry, sink, errnum, text, records, order);
        return;
    }
    *completion = (xo_completion_t){NULL, NULL, *sink, errnum, copy, records, order};
    DL_APPEND(registry->completions, completion);
    xo_defer_start(&registry->later);
}

void xoi_registry_cancel(xo_registry_t *registry)
{
    xo_defer_stop(&registry->later);
    while (registry->completions)
        run_later(&registry->later, registry);
    xo_defer_stop(&registry->later);
}

const char *xoi_actor_pool(const char *id)
{
    return strrchr(id, '@');
}

int xoi_parse_after(const char *after, long *last)
{
    const char *digits = strncmp(after, "$-", 2) == 0 ? after + 2 : after;
    char *end;
    *last = -1;
    if (*digits < '0' || *digits > '9')
        return errno = EINVAL, -1;
    errno = 0;
    unsigned long long number = strtoull(digits, &end, 10);
    if (digits != after)
        *last = number > XO_EVENTS_MAX ? XO_EVENTS_MAX : (long)number;
    else if (*end == '-' && end[1] >= '0' && end[1] <= '9')
        strtoull(end + 1, &end, 10);
    return errno || *end ? (errno = EINVAL, -1) : 0;
}
