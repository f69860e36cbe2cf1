/* registry.h - where things live: nodes, pools, actors, names, and the stream of events.
 *
 * An ops table with two implementations, Redis (hiredis, asynchronous and pipelined) and memory (one
 * process); t/registry.c is the conformance suite of both. doc/registry.md describes the keys.
 * It is soft state: leases lapse, and the owner publishes all of its own again (`up` tells when). Nothing here blocks. Every
 * function that takes a callback calls it exactly once, never from within the function, with ECANCELED when the registry is closed before.
 */
#ifndef XO_REGISTRY_H
#define XO_REGISTRY_H

#include "libxo/error.h"
#include "libxo/loop.h"
#include "libxo/pack.h"

typedef struct xo_registry xo_registry_t;

typedef enum { XO_REG_NODE, XO_REG_POOL, XO_REG_ACTOR } xo_reg_kind_t;

typedef struct xo_field {
    const char *name;
    xo_slice_t value; /* text that a person can read */
} xo_field_t;

/* One thing: a node "ID", a pool "ID", an actor "UID@POOLID" (a uid that is no plain text is percent-encoded). */
typedef struct xo_record {
    const char *id;
    const xo_field_t *fields;
    size_t count;
} xo_record_t;

typedef struct xo_registry_events {
    /* Connected (again). `empty`: nothing of this cluster was in it, so everything must be
     * published anew; after a reconnect the owner publishes anyway. */
    void (*up)(xo_registry_t *registry, bool empty, void *arg);
    /* Away; the sentence names the URL without its password, and says what to do. Called at every
     * change of the reason, and for refusals while connected: wrong password (EACCES), read-only (EROFS), full (ENOSPC), another schema (EPROTO). */
    void (*down)(xo_registry_t *registry, const xo_error_t *why, void *arg);
} xo_registry_events_t;

typedef void (*xo_reg_done_f)(int errnum, const char *text, void *arg); /* 0, or an errno and a sentence */
/* The records (valid in the callback only) or an errno. For events: id is the stream id, the first
 * field is "type". */
typedef void (*xo_reg_records_f)(int errnum, const char *text, const xo_record_t *records,
                                 size_t count, void *arg);

/* "memory:", "unix:///path[?db=N]", "redis://[user:password@]host[:port][/db]". Starts to connect and keeps at it (backoff
 * 50 ms to 2 s). Operations wait while it has never been up; later, while it is down, they fail at once with ENOTCONN. EINVAL
 * names the URL without the password. */
xo_registry_t *xo_registry_open(xo_loop_t *loop, const char *url, const char *cluster,
                                const xo_registry_events_t *events, void *arg, xo_error_t *err);
void xo_registry_close(xo_registry_t *registry); /* takes NULL; sends what is queued, briefly */
bool xo_registry_is_up(const xo_registry_t *registry);
const char *xo_registry_url(const xo_registry_t *registry); /* without the password */

/* Writes the whole record (fields it had and has no more go). ttl_ms > 0 makes it a lease of `owner`: EPERM if
 * another owner holds it. An actor put also adds it to its uid's set. done may be NULL. */
void xo_registry_put(xo_registry_t *registry, xo_reg_kind_t kind, const xo_record_t *record,
                     const char *owner, int64_t ttl_ms, xo_reg_done_f done, void *arg);
/* Extends a lease that `owner` holds (Lua, checks the owner): ENOENT lapsed, EPERM another's. */
void xo_registry_renew(xo_registry_t *registry, xo_reg_kind_t kind, const char *id,
                       const char *owner, int64_t ttl_ms, xo_reg_done_f done, void *arg);
/* Removes it if `owner` holds it (NULL: whoever); an actor leaves its uid's set. */
void xo_registry_del(xo_registry_t *registry, xo_reg_kind_t kind, const char *id, const char *owner,
                     xo_reg_done_f done, void *arg);
void xo_registry_get(xo_registry_t *registry, xo_reg_kind_t kind, const char *id,
                     xo_reg_records_f done, void *arg); /* one record, or ENOENT */
void xo_registry_list(xo_registry_t *registry, xo_reg_kind_t kind, xo_reg_records_f done, void *arg);
/* All actors with this uid. Empty: none. */
void xo_registry_lookup(xo_registry_t *registry, xo_slice_t uid, xo_reg_records_f done, void *arg);
/* Appends an event ("pool.up", "actor.failed", ...); the stream is trimmed to about 10 000. */
void xo_registry_event(xo_registry_t *registry, const char *type, const xo_field_t *fields,
                       size_t count);
/* Events after `after` (a stream id; "0" all; "$-N" the last N), oldest first, at most `max`. */
void xo_registry_events(xo_registry_t *registry, const char *after, size_t max,
                        xo_reg_records_f done, void *arg);

/* ---- for implementations ---- */
typedef struct xo_registry_ops {
    const char *const *schemes;
    xo_registry_t *(*open)(xo_loop_t *loop, const char *url, const char *cluster,
                           const xo_registry_events_t *events, void *arg, xo_error_t *err);
    void (*close)(xo_registry_t *);
    bool (*is_up)(const xo_registry_t *);
    void (*put)(xo_registry_t *, xo_reg_kind_t, const xo_record_t *, const char *owner,
                int64_t ttl_ms, xo_reg_done_f, void *);
    void (*renew)(xo_registry_t *, xo_reg_kind_t, const char *id, const char *owner, int64_t ttl_ms,
                  xo_reg_done_f, void *);
    void (*del)(xo_registry_t *, xo_reg_kind_t, const char *id, const char *owner, xo_reg_done_f,
                void *);
    void (*get)(xo_registry_t *, xo_reg_kind_t, const char *id, xo_reg_records_f, void *);
    void (*list)(xo_registry_t *, xo_reg_kind_t, xo_reg_records_f, void *);
    void (*lookup)(xo_registry_t *, xo_slice_t uid, xo_reg_records_f, void *);
    void (*event)(xo_registry_t *, const char *type, const xo_field_t *, size_t);
    void (*events)(xo_registry_t *, const char *after, size_t max, xo_reg_records_f, void *);
} xo_registry_ops_t;

/* What every implementation's registry begins with. */
struct xo_registry {
    const xo_registry_ops_t *ops;
    xo_loop_t *loop;
    xo_registry_events_t events;
    void *arg;
    char url[512]; /* without the password */
    char cluster[64];
};

#endif
