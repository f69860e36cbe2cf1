/* directory.h - which actors live in this node's pools: what the pools said, by uid and by pool.
 */
#ifndef XO_BROKER_DIRECTORY_H
#define XO_BROKER_DIRECTORY_H

#include "broker/pools.h"
#include "broker/specs.h"

typedef struct xo_group xo_group_t; /* groups.h */
typedef struct xo_seat xo_seat_t;   /* groups.h */

typedef enum { XO_ACTOR_RUNNING, XO_ACTOR_RECOVERING, XO_ACTOR_FAILED } xo_actor_state_t;

/* All actors with one uid, in whichever pools. */
typedef struct xo_actor_name {
    xo_actor_entry_t *entries;
    UT_hash_handle hh;
    size_t size;
    char uid[];
} xo_actor_name_t;

/* What an actor's creation needs of somebody else, who was not there. */
typedef struct xo_awaited {
    int64_t since_ns; /* when it first was not, or was last known to come */
    unsigned tries;   /* that were in vain */
    char whom[XO_ADDRESS_BYTES];
} xo_awaited_t;

struct xo_actor_entry {
    xo_actor_name_t *name;
    xo_member_t *member;
    uint64_t incarnation;
    uint64_t epoch; /* the fencing token with which it was moved here; 0: it was not */
    xo_actor_state_t state;
    bool stateless;
    bool alone;            /* it is recovering on its own, after its pool has */
    xo_actor_spec_t *spec; /* NULL: it is not created again */
    xo_seat_t *seat;       /* in its group; NULL: it is in none */
    char *reason;          /* why it does not run; NULL: it does, or its pool is the reason */
    xo_awaited_t *awaited; /* NULL: it waits for nobody */
    char *recent;          /* its latest restarts (policy.h), as its record has them; NULL: none */
    bool ending;           /* it has been asked to end, since the node is being drained */
    bool unsaved;          /* the registry does not know its spec yet, or that it has none */
    struct xo_actor_entry *next_in_name, *prev_in_name;
    struct xo_actor_entry *next, *prev; /* in the pool */
    bool stale;                         /* the registry may not have its record */
    struct xo_actor_entry *next_unsaved, *prev_unsaved;
    struct xo_actor_entry *next_stale, *prev_stale;
    char class_name[];
};

typedef struct xo_directory {
    xo_actor_name_t *names;
    size_t count; /* of entries */
    xo_actor_entry_t *unsaved, *stale;
} xo_directory_t;

const char *xo_actor_state_name(xo_actor_state_t state);
xo_slice_t xo_actor_entry_uid(const xo_actor_entry_t *entry);

/* Adds the actor, or replaces what was known of it; its spec stays if it was recovering, or this is
 * the same incarnation. NULL: ENOMEM. */
xo_actor_entry_t *xo_directory_put(xo_directory_t *directory, xo_member_t *member, xo_slice_t uid,
                                   uint64_t incarnation, xo_slice_t class_name, bool stateless);
xo_actor_entry_t *xo_directory_get(const xo_directory_t *directory, const xo_member_t *member,
                                   xo_slice_t uid);
/* The first with the uid; go on with next_in_name. */
xo_actor_entry_t *xo_directory_find(const xo_directory_t *directory, xo_slice_t uid);
void xo_directory_remove(xo_directory_t *directory, xo_actor_entry_t *entry);
/* Takes the spec over; NULL: none. */
void xo_directory_set_spec(xo_actor_entry_t *entry, xo_actor_spec_t *spec);
/* Its spec is to be told to the registry, or has been. */
void xo_directory_set_unsaved(xo_directory_t *directory, xo_actor_entry_t *entry, bool unsaved);
/* The same of its record. */
void xo_directory_set_stale(xo_directory_t *directory, xo_actor_entry_t *entry, bool stale);
void xo_directory_set_reason(xo_actor_entry_t *entry, const char *reason);
void xo_directory_set_failed(xo_actor_entry_t *entry, const char *reason);
void xo_directory_set_recent(xo_actor_entry_t *entry, const char *recent); /* "": none */
/* Removes all of the pool's. */
void xo_directory_remove_pool(xo_directory_t *directory, xo_member_t *member);
/* The actor's record (doc/wire.md). Valid as long as the entry. */
void xo_actor_record(const xo_actor_entry_t *entry, uint64_t node_id, xo_rec_t *rec);

#endif
