/* publish.h - the broker's side of the registry: leases of the node and its pools, its actors,
 * events.
 *
 * Nothing waits for it. While the registry is away, what is said gets lost, and all of it is said
 * again when it is back (`again`).
 */
#ifndef XO_BROKER_PUBLISH_H
#define XO_BROKER_PUBLISH_H

#include "broker/groups.h"
#include "broker/log.h"
#include "broker/record.h"

typedef struct xo_publish xo_publish_t;

typedef struct xo_publish_events {
    /* Everything must be published: the registry is there (again). */
    void (*again)(xo_publish_t *publish, void *arg);
    /* A lease has lapsed: the node's, or those of pools, must be published. */
    void (*lapsed)(xo_publish_t *publish, void *arg);
    /* The node's lease lasts for longer. */
    void (*leased)(xo_publish_t *publish, void *arg);
    /* It came, went, or has been emptied. `reason`: why it is down, or what became of it before it
     * was up; NULL: nothing. */
    void (*state)(xo_publish_t *publish, bool up, const char *reason, void *arg);
} xo_publish_events_t;

typedef struct xo_publish_options {
    const char *cluster;
    uint64_t node_id;
    int64_t lease_ms;
    bool shared; /* other nodes may be in it */
    const xo_log_t *log;
} xo_publish_options_t;

/* `options` and what they point to are copied or outlive it (log). NULL: EINVAL names the URL
 * without the password. */
xo_publish_t *xo_publish_create(xo_loop_t *loop, const char *url,
                                const xo_publish_options_t *options,
                                const xo_publish_events_t *events, void *arg, xo_error_t *err);
void xo_publish_destroy(xo_publish_t *publish); /* sends what is queued, briefly. Takes NULL */

xo_registry_t *xo_publish_registry(xo_publish_t *publish);
int64_t xo_publish_lease_ms(const xo_publish_t *publish);
/* Until when the node's lease lasts at least, by xo_boot_ns; 0: it has never had one. */
int64_t xo_publish_lease_until(const xo_publish_t *publish);
const char *xo_publish_owner(const xo_publish_t *publish); /* this node, as leases have it */
bool xo_publish_is_shared(const xo_publish_t *publish);
/* It is up, for less than the time of a lease: then those who live may not have renewed theirs yet.
 */
bool xo_publish_has_just_come_up(const xo_publish_t *publish);
/* Why it is away; NULL: it is up, or has not said yet. */
const xo_error_t *xo_publish_why_down(const xo_publish_t *publish);
/* Somebody knows better why, as long as it is away. */
void xo_publish_explain(xo_publish_t *publish, const char *why);

/* Writes the node's or a pool's record as a lease, or only renews the lease. */
void xo_publish_record(xo_publish_t *publish, xo_reg_kind_t kind, uint64_t id, const xo_rec_t *rec);
void xo_publish_renew(xo_publish_t *publish, xo_reg_kind_t kind, uint64_t id);
void xo_publish_remove(xo_publish_t *publish, xo_reg_kind_t kind, uint64_t id);
/* One of which it is not known what creates it again: later, since the registry's record says more.
 */
void xo_publish_actor(xo_publish_t *publish, xo_actor_entry_t *entry);
void xo_publish_remove_actor(xo_publish_t *publish, const xo_actor_entry_t *entry);
void xo_publish_group(xo_publish_t *publish, const xo_group_t *group);
void xo_publish_remove_group(xo_publish_t *publish, const xo_group_t *group);
/* Writes the specs of those that are `unsaved`, a few MiB at a time, until all are. */
void xo_publish_specs(xo_publish_t *publish, xo_directory_t *directory);
/* Writes that of this one now, if it is `unsaved`. */
void xo_publish_spec(xo_publish_t *publish, xo_directory_t *directory, xo_actor_entry_t *entry);
/* A key that was revoked, by its digits. */
void xo_publish_key(xo_publish_t *publish, const char *digits, const xo_rec_t *rec);
/* A name as a lease of this node; EPERM: another has it. `is_new`: as xo_registry_take does it.
 * `done` is called as the registry's is. */
void xo_publish_name(xo_publish_t *publish, xo_slice_t uid, xo_rec_t *rec, bool is_new,
                     xo_reg_done_f done, void *arg);
void xo_publish_find_name(xo_publish_t *publish, xo_slice_t uid, xo_reg_records_f done, void *arg);
void xo_publish_remove_name(xo_publish_t *publish, xo_slice_t uid, xo_reg_done_f done, void *arg);
void xo_publish_event(xo_publish_t *publish, const char *type, const xo_rec_t *rec);

/* ---- refresh.c ---- */
/* Everything of the node that has no lease is written (again), as are specs. */
void xo_publish_all(xo_publish_t *publish, xo_broker_t *broker);
/* Writes the records of the actors that are `stale`, a few at a time, until none is. */
void xo_publish_refresh(xo_publish_t *publish, xo_broker_t *broker);
/* After the registry was away: removes the actors and groups of this node that it still has and the
 * broker has not. */
void xo_publish_reconcile(xo_publish_t *publish, xo_broker_t *broker);

#endif
