/* publish_impl.h - what publish.c and refresh.c share; nobody else includes it. */
#ifndef XO_BROKER_PUBLISH_IMPL_H
#define XO_BROKER_PUBLISH_IMPL_H

#include "broker/broker_impl.h"

struct xo_publish {
    xo_loop_t *loop;
    xo_registry_t *registry;
    xo_publish_options_t options;
    xo_publish_events_t events;
    void *arg;
    char owner[XO_ID_TEXT_BYTES];
    int64_t asked_ns, until_ns; /* when its lease was last asked for, and how long it lasts */
    bool asking;
    bool is_up;
    bool was_up;    /* ever */
    bool explained; /* the cause is known, not only what it looks like from here */
    xo_error_t why_down;
    int64_t up_ns, down_ns;    /* since when it has been */
    int64_t told_ns;           /* since when refused writes are counted */
    uint64_t told;             /* those */
    uint64_t dropped;          /* events, until it was last told */
    xo_defer_t lapsed;         /* a lease has */
    xo_broker_t *broker;       /* what refresh.c compares with, and writes */
    size_t refreshing;         /* records on their way */
    xo_directory_t *specs;     /* what xo_publish_specs writes */
    size_t saving, spec_bytes; /* on their way */
};

/* The end of what was written: an error is worth a line while the registry is up. `arg` is the
 * xo_publish_t. */
void xo_publish_written(int errnum, const char *text, void *arg);
/* Its record's id, "UID@POOL". -1: it has none. */
int xo_publish_actor_id(const xo_actor_entry_t *entry, char id[XO_RECORD_ID_BYTES]);
/* Writes its record. */
void xo_publish_put_actor(xo_publish_t *publish, const xo_actor_entry_t *entry, xo_reg_done_f done,
                          void *arg);

#endif
