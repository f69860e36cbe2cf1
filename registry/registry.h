/* registry.h - where things live: nodes, pools, actors, names, and the stream of events.
 *
 * An ops table with two implementations, Redis (hiredis, asynchronous and pipelined) and memory
 * (one process); t/registry.c is the conformance suite of both. doc/registry.md describes the keys.
 * It is soft state: leases lapse, and the owner publishes all of its own again (`up` tells when).
 * Nothing here blocks. Every function that takes a callback calls it exactly once, never from
 * within the function, with ECANCELED when the registry is closed before.
 */
#ifndef XO_REGISTRY_H
#define XO_REGISTRY_H

#include "libxo/error.h"
#include "libxo/loop.h"
#include "libxo/pack.h"

typedef struct xo_registry xo_registry_t;

typedef enum {
    XO_REG_NODE,
    XO_REG_POOL,
    XO_REG_ACTOR,
    XO_REG_GROUP,
    XO_REG_KEY,
    XO_REG_NAME,
    XO_REG_PORT,
    XO_REG_KINDS
} xo_reg_kind_t;

typedef struct xo_field {
    const char *name;
    xo_slice_t value; /* text that a person can read: UTF-8 */
} xo_field_t;

/* One thing: a node "ID", a pool "ID", an actor "UID@POOLID" (xo_registry_actor_id), a group
 * "NAME@NODEID", a key that was revoked, by its digits, a name that an actor has, by its uid
 * (xo_registry_name_id), the address of a pool that is reached through its node's port, too. What
 * is read also has the fields `owner` and, for a lease, `lease_ms`; these two cannot be put. An
 * actor whose pool has no record (it lapsed), and a group whose node has none, reads with `state`
 * "lost", whatever was put. */
typedef struct xo_record {
    const char *id;
    const xo_field_t *fields;
    size_t count;
} xo_record_t;

typedef struct xo_registry_events {
    /* Connected (again), or writing works again. `empty`: nothing of this cluster was in it, or
     * Redis was emptied since (which the next write notices), so everything must be published anew;
     * after a reconnect the owner publishes anyway. */
    void (*up)(xo_registry_t *registry, bool empty, void *arg);
    /* Away; the sentence names the URL without its password, and says what to do. Called at every
     * change of the reason, and for refusals while connected: wrong password (EACCES), read-only
     * (EROFS), full (ENOSPC), another schema (EPROTO). */
    void (*down)(xo_registry_t *registry, const xo_error_t *why, void *arg);
    /* How long the registry is *refilling* once this caller finds that it was emptied, was started
     * anew or has failed over, so that what it acknowledged last may be missing: as long as leases
     * last. By then who lives has published again. 0: this caller publishes nothing. */
    int64_t refill_ms;
} xo_registry_events_t;

/* 0, or an errno and a sentence. */
typedef void (*xo_reg_done_f)(int errnum, const char *text, void *arg);
/* The records (valid in the callback only), sorted by id, or an errno. For events: in order, id is
 * the stream id, the first field is "type". Values have a NUL behind them. */
typedef void (*xo_reg_records_f)(int errnum, const char *text, const xo_record_t *records,
                                 size_t count, void *arg);

/* "memory:", "unix://[user:password@]/path[?db=N]", "redis://[user:password@]host[:port][/db]",
 * "redis+sentinel://[user:password@]host[:port],.../name[/db]";
 * what is special in user and password is percent-encoded. Starts to connect and keeps at it
 * (backoff 50 ms to 2 s; on a unix socket the first tries come every 5 ms). EINVAL names the URL
 * without the password.
 *
 * Operations wait, at most 5 s (ETIMEDOUT), while it has never been up; later, while it is down,
 * they fail at once with ENOTCONN, or with the errno of the refusal if there is one. While it is
 * read-only or full, reading goes on. Above 65 536 operations or 64 MiB that wait for Redis further
 * ones fail with ENOBUFS.
 *
 * hiredis writes without MSG_NOSIGNAL, so this sets SIGPIPE to be ignored where it has its default
 * action. Only one thread may be in here, the loop's. */
xo_registry_t *xo_registry_open(xo_loop_t *loop, const char *url, const char *cluster,
                                const xo_registry_events_t *events, void *arg, xo_error_t *err);
/* Sends what is queued (at most 500 ms, the one place that may block), then calls back what has not
 * ended, with ECANCELED. May be called in any callback. Takes NULL. */
void xo_registry_close(xo_registry_t *registry);
bool xo_registry_is_up(const xo_registry_t *registry);
const char *xo_registry_url(const xo_registry_t *registry); /* without the password */

typedef struct xo_registry_stats {
    uint64_t operations;     /* begun */
    uint64_t failed;         /* ended with an errno */
    uint64_t dropped_events; /* xo_registry_event has no callback to tell it */
    uint64_t connections;    /* that came up */
    uint64_t waiting;        /* now */
    uint64_t waiting_bytes;
} xo_registry_stats_t;
void xo_registry_get_stats(const xo_registry_t *registry, xo_registry_stats_t *stats);

/* An actor's record id, "UID@POOL". Bytes of the uid that are no plain text (controls, blank, % and
 * @, what is not UTF-8) are percent-encoded, so that a person can type the key. EINVAL: no uid or
 * no pool; ENOBUFS. */
#define XO_RECORD_ID_BYTES 1024
int xo_registry_actor_id(xo_slice_t uid, const char *pool, char *id, size_t size);
/* The same for a name: an encoded uid alone. */
int xo_registry_name_id(xo_slice_t uid, char *id, size_t size);
/* The reverse: the uid's bytes into uid[size] and their number into *uid_size. `id` may also be an
 * encoded uid alone. */
int xo_registry_actor_uid(const char *id, char *uid, size_t size, size_t *uid_size);

/* Whose an actor is that is to be had at once: no node has this id. If its name was claimed since,
 * with a larger `epoch` than it has, putting it is EPERM, and a record that is older goes if who
 * has the name lives: that it should go was lost. */
#define XO_REG_NOBODY "0000000000000000"
/* Writes the whole record (fields it had and has no more go). ttl_ms > 0 makes it a lease of
 * `owner`; 0: it stays. EPERM if another owner holds a lease on it. An actor put also adds it to
 * its uid's set. A name is not renewed: it lasts as long as the lease of the node that owns it, and
 * if another put it with a larger `epoch`, that is EPERM, too, whoever lives; what its owner puts
 * without one keeps that. What is no text in a value is percent-encoded. done may be NULL. EINVAL:
 * no fields or above 1000, a bad id. */
void xo_registry_put(xo_registry_t *registry, xo_reg_kind_t kind, const xo_record_t *record,
                     const char *owner, int64_t ttl_ms, xo_reg_done_f done, void *arg);
/* The same for a name that `owner` does not have yet. EAGAIN: the registry is refilling, so it may
 * be another's. */
void xo_registry_take(xo_registry_t *registry, const xo_record_t *name, const char *owner,
                      int64_t ttl_ms, xo_reg_done_f done, void *arg);
/* It goes on refilling, if it does so, for `refill_ms` from now on: the caller has not written all
 * of its own yet. */
void xo_registry_refill(xo_registry_t *registry);
/* Extends a lease that `owner` holds: ENOENT lapsed, EPERM another's. */
void xo_registry_renew(xo_registry_t *registry, xo_reg_kind_t kind, const char *id,
                       const char *owner, int64_t ttl_ms, xo_reg_done_f done, void *arg);
/* Removes it if `owner` put it (NULL: whoever), else EPERM; an actor leaves its uid's set, and its
 * spec goes with it. No error if there is none. */
void xo_registry_del(xo_registry_t *registry, xo_reg_kind_t kind, const char *id, const char *owner,
                     xo_reg_done_f done, void *arg);
/* What creates the actor `id` again, as bytes that only xo understands; nobody looks into them
 * here. It is apart from the record, and may be put before or after it. No bytes: removes it.
 * EINVAL: a bad id, or more than XO_SPEC_BYTES_MAX. */
#define XO_SPEC_BYTES_MAX ((size_t)32 << 20) /* half of what may wait for Redis */
void xo_registry_put_spec(xo_registry_t *registry, const char *id, xo_slice_t bytes,
                          xo_reg_done_f done, void *arg);
/* One record, whose only field "spec" has the bytes as they were put; or ENOENT. */
void xo_registry_get_spec(xo_registry_t *registry, const char *id, xo_reg_records_f done,
                          void *arg);
void xo_registry_get(xo_registry_t *registry, xo_reg_kind_t kind, const char *id,
                     xo_reg_records_f done, void *arg); /* one record, or ENOENT */
void xo_registry_list(xo_registry_t *registry, xo_reg_kind_t kind, xo_reg_records_f done,
                      void *arg);
/* The same of those that `owner` put, actors or groups: for that nobody goes through those of all
 * others. */
void xo_registry_list_of(xo_registry_t *registry, xo_reg_kind_t kind, const char *owner,
                         xo_reg_records_f done, void *arg);
/* One record, whose id is another one after each put of a key: so who looks whether one was revoked
 * need not list them. ENOTSUP: a registry in memory, which nobody shares. */
void xo_registry_keys_version(xo_registry_t *registry, xo_reg_records_f done, void *arg);
/* All actors with this uid; those that are lost only if all are. Empty: none. EAGAIN: none that is
 * not lost, but the registry is refilling, so there may be one. */
void xo_registry_lookup(xo_registry_t *registry, xo_slice_t uid, xo_reg_records_f done, void *arg);
/* From now on `reader` is told by xo_registry_news when an actor with this uid is put or removed:
 * once, and for XO_WATCH_MS at most. For who keeps what a lookup says; it comes before that. */
#define XO_WATCH_MS 120000
void xo_registry_watch(xo_registry_t *registry, xo_slice_t uid, const char *reader);
/* What `reader` has not been told yet: records without fields, whose ids are the encoded uids. If
 * they are XO_NEWS_MAX, older ones may be lost. */
#define XO_NEWS_MAX 1000
void xo_registry_news(xo_registry_t *registry, const char *reader, xo_reg_records_f done,
                      void *arg);
/* Actors with a field `placement` whose node's lease has lapsed: some of them, at most `max`, so
 * that nodes that ask at once hear of different ones. From then on no epoch is given out that is
 * not above `epoch`, the highest that the caller knows of. ENOTSUP: a registry in memory, which
 * nobody shares. */
void xo_registry_lapsed(xo_registry_t *registry, size_t max, uint64_t epoch, xo_reg_records_f done,
                        void *arg);
/* One of these is another node's from now on. */
typedef struct xo_claim {
    const char *from;         /* its id */
    const xo_record_t *actor; /* its new record, with its new id; its spec goes with it */
    const xo_record_t *name;  /* its name's, which becomes a lease */
    const char *owner;
    int64_t ttl_ms;
    uint64_t epoch; /* as above */
} xo_claim_t;
/* All of that, or none: ENOENT there is no such actor any more; EPERM its node lives, or another
 * has its name; EAGAIN the registry is refilling, and xo_registry_lapsed tells of none. `done` gets
 * one record, with the new id, `spec` as it was put (empty: none), and `epoch`, its fencing token:
 * a number above all that have been given out, which both records have, too. */
void xo_registry_claim(xo_registry_t *registry, const xo_claim_t *claim, xo_reg_records_f done,
                       void *arg);
/* One of them that nobody can take is *waiting*, as its record says from now on with `reason`.
 * ENOENT: it is not lapsed, or was waiting already. */
void xo_registry_wait(xo_registry_t *registry, const char *id, const char *reason,
                      xo_reg_done_f done, void *arg);
/* Looks after nodes whose lease is over. One of all that ask writes the event `node.down`, once.
 * What stays put of those that have been gone for `keep_ms` goes, their actors and groups, some of
 * it, while no other does the same; actors with a field `placement` do not. */
typedef struct xo_reap {
    const char *owner; /* who asks */
    int64_t lease_ms;
    int64_t keep_ms;
    const char *after; /* which ones have been told: what the last answer said, "0" at first */
} xo_reap_t;
/* `done` gets a record with the field `host` for each node that is gone and has not been told, and
 * at last one with the id "-": `after`; `more` is "1": there is more to remove; `lacks` is "1":
 * this has happened to what `owner` had put. While the registry is refilling there is none of that.
 * ENOTSUP: as above. */
void xo_registry_reap(xo_registry_t *registry, const xo_reap_t *reap, xo_reg_records_f done,
                      void *arg);
/* Appends an event ("pool.up", "actor.failed", ...); the stream is trimmed to about 10 000. What is
 * no text in a value is percent-encoded. */
void xo_registry_event(xo_registry_t *registry, const char *type, const xo_field_t *fields,
                       size_t count);
/* Events after `after` (a stream id; "0" all; "$-N" the last N), oldest first, at most `max`. */
void xo_registry_events(xo_registry_t *registry, const char *after, size_t max,
                        xo_reg_records_f done, void *arg);

/* ---- for implementations ---- */
struct xo_url;
struct xo_completion;

typedef struct xo_registry_ops {
    const char *const *schemes; /* NULL at the end */
    xo_registry_t *(*open)(xo_loop_t *loop, const struct xo_url *url, const char *cluster,
                           const xo_registry_events_t *events, void *arg, xo_error_t *err);
    void (*close)(xo_registry_t *); /* xo_registry_close frees it afterwards through release */
    void (*release)(xo_registry_t *);
    bool (*is_up)(const xo_registry_t *);
    void (*put)(xo_registry_t *, xo_reg_kind_t, const xo_record_t *, const char *owner,
                int64_t ttl_ms, xo_reg_done_f, void *);
    void (*take)(xo_registry_t *, const xo_record_t *, const char *owner, int64_t ttl_ms,
                 xo_reg_done_f, void *);
    void (*refill)(xo_registry_t *); /* NULL: it cannot lose anything */
    void (*renew)(xo_registry_t *, xo_reg_kind_t, const char *id, const char *owner, int64_t ttl_ms,
                  xo_reg_done_f, void *);
    void (*del)(xo_registry_t *, xo_reg_kind_t, const char *id, const char *owner, xo_reg_done_f,
                void *);
    void (*put_spec)(xo_registry_t *, const char *id, xo_slice_t bytes, xo_reg_done_f, void *);
    void (*get_spec)(xo_registry_t *, const char *id, xo_reg_records_f, void *);
    void (*get)(xo_registry_t *, xo_reg_kind_t, const char *id, xo_reg_records_f, void *);
    /* owner NULL: whoever */
    void (*list)(xo_registry_t *, xo_reg_kind_t, const char *owner, xo_reg_records_f, void *);
    void (*keys_version)(xo_registry_t *, xo_reg_records_f, void *); /* NULL: not shared */
    void (*lookup)(xo_registry_t *, const char *uid, xo_reg_records_f, void *); /* encoded */
    void (*watch)(xo_registry_t *, const char *uid, const char *reader);        /* encoded */
    void (*news)(xo_registry_t *, const char *reader, xo_reg_records_f, void *);
    /* NULL: not shared */
    void (*lapsed)(xo_registry_t *, size_t max, uint64_t epoch, xo_reg_records_f, void *);
    void (*claim)(xo_registry_t *, const xo_claim_t *, xo_reg_records_f, void *);
    void (*reap)(xo_registry_t *, const xo_reap_t *, xo_reg_records_f, void *);
    void (*wait)(xo_registry_t *, const char *id, const char *reason, xo_reg_done_f, void *);
    void (*event)(xo_registry_t *, const char *type, const xo_field_t *, size_t);
    void (*events)(xo_registry_t *, const char *after, size_t max, xo_reg_records_f, void *);
} xo_registry_ops_t;

/* What every implementation's registry begins with; registry/base.h has what they share. */
struct xo_registry {
    const xo_registry_ops_t *ops;
    xo_loop_t *loop;
    xo_registry_events_t events;
    void *arg;
    char url[512]; /* without the password */
    char cluster[64];
    xo_registry_stats_t stats;
    struct xo_completion *completions; /* to be called back in the loop's next pass */
    xo_defer_t later;
    unsigned holds; /* callbacks under way */
    bool closed;
};

#endif
