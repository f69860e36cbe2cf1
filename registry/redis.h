/* redis.h - the registry on Redis: what its files share.
 *
 *   redis.c             life, and what the outside is told: up, down, limited
 *   redis-connection.c  connecting, with backoff, and the greeting: AUTH, SELECT, scripts, schema
 *   redis-queue.c       operations from submission to their end: bounds, pipelining, patience
 *   redis-commands.c    the registry's operations as commands
 *   redis-moves.c       those by which a node takes over another one's actors
 *   redis-reply.c       replies as records and errors
 *   redis-scripts.c     the Lua
 *   redis-sentinel.c    which Redis to connect to, and to leave, where sentinels say that
 */
#ifndef XO_REGISTRY_REDIS_H
#define XO_REGISTRY_REDIS_H

#include <hiredis/async.h>

#include "registry/base.h"
#include "registry/redis-scripts.h"
#include "registry/resolve.h"

#define REDIS_SCHEMA "1" /* of the keys, doc/registry.md */

#define REDIS_PATIENCE_MS 5000           /* an operation's time, and a connection's to answer */
#define REDIS_WAITING_MAX 65536          /* operations that wait to be sent or answered */
#define REDIS_WAITING_BYTES (64ul << 20) /* and their bytes */
#define REDIS_INFLIGHT_MAX 4096          /* sent at a time: hiredis moves what is left of its */
#define REDIS_INFLIGHT_BYTES (1ul << 20) /* buffer at each write, so that must not grow large */
#define REDIS_GATHER_MS 1                /* what is only written waits for more to go with it */
#define REDIS_STEADY_MS 2000             /* up for so long: the next retry is a first one again */
#define REDIS_QUICK_TRIES 200            /* on a unix socket: a server of ours that is starting */
#define REDIS_QUICK_MS 5
#define REDIS_RETRY_MIN_MS 50
#define REDIS_RETRY_MAX_MS 2000

typedef struct redis redis_t;
typedef struct redis_op redis_op_t;

/* Handles an answer and ends the operation, or submits it again. An error comes here only if `raw`
 * is set. */
typedef void (*redis_reply_f)(redis_t *redis, redis_op_t *op, const redisReply *reply);

struct redis_op {
    redis_op_t *prev, *next;
    int script; /* of redis-scripts.h; -1: a plain command */
    bool eval;  /* the server does not know the script: send its text */
    bool raw;
    bool write;   /* nobody waits for what it answers */
    bool event;   /* counted when dropped, as there is nobody to tell */
    bool counted; /* among those that wait */
    int step;     /* of the greeting; or the kind of record that is listed */
    unsigned argc;
    xo_buf_t args; /* in Redis' protocol, without the script */
    int64_t due_ns;
    redis_reply_f reply;
    char
        *what; /* a record's id, for sentences; or the owner of those that are listed; NULL: none */
    size_t max; /* events */
    xo_sink_t sink;
    xo_order_t order;
    xo_records_t *records;
};

typedef enum {
    REDIS_AWAY,     /* no connection; `retry` runs, or the name is being resolved */
    REDIS_GREETING, /* connecting, or waiting for the greeting's answers */
    REDIS_READY,
    REDIS_LIMITED /* connected, but writing is refused; `retry` runs until it is not */
} redis_state_t;

typedef enum { AWAITS_NOTHING, AWAITS_LOGIN, AWAITS_MASTER } redis_awaited_t;

typedef struct redis_greeting {
    bool under_way;
    bool created; /* the schema was not there: nothing of ours is */
    char epoch[20];
    int errnum; /* of the first refusal */
    char text[XO_ERROR_TEXT_BYTES];
} redis_greeting_t;

struct redis {
    xo_registry_t base;
    xo_url_t url;
    redis_state_t state;
    bool was_up;
    bool told;      /* `down` has been called for `why` */
    xo_error_t why; /* what is wrong now; errnum 0: nothing */
    unsigned tries; /* since it was last up for a while */
    int64_t up_since_ns;
    xo_timer_t retry;
    xo_timer_t patience;
    xo_timer_t gather; /* active: what is written waits for its end */
    xo_resolve_t *resolve;
    unsigned turn;               /* which of the name's addresses comes next */
    int port;                    /* of what the name that is being resolved will be dialled at */
    redisAsyncContext *sentinel; /* NULL: none */
    redis_awaited_t awaited;     /* of it, within the time of `asking` */
    xo_timer_t asking;           /* or when it will be asked again */
    char master[270];            /* "host:port" that it named; "": asked for the first time */
    unsigned sentinel_turn;      /* which comes next */
    char asked[270];             /* "host:port" of the last one */
    int asked_port;
    redisAsyncContext *ac;
    redis_greeting_t greeting;
    char epoch[20]; /* a random number that is in Redis until it is emptied; "" not known yet */
    char sha[XO_SCRIPTS][48];
    redis_op_t *unsent;
    redis_op_t *inflight; /* in the order in which answers come */
    redis_op_t *redo;     /* sent again, by their script's text, before anything else */
    size_t inflight_count, inflight_bytes;
    xo_buf_t scratch;
};

/* ---- redis.c: what the outside is told ---- */

/* Writing works. `empty`: nothing of this cluster was there. */
void xoi_redis_up(redis_t *redis, bool empty);
/* There is no connection, or not for long: gives it up, ends what needs it, tries again later. */
void xoi_redis_lost(redis_t *redis, int errnum, const char *text);
/* Connected, but writing is refused. */
void xoi_redis_limited(redis_t *redis, int errnum, const char *text);
/* A refusal that waiting does not cure: someone has to do something. */
bool xoi_redis_is_refusal(int errnum);

/* ---- redis-connection.c ---- */
void xoi_redis_connect(redis_t *redis);
void xoi_redis_connect_to(redis_t *redis, const char *host, int port);
/* Takes `ac`, fresh from hiredis, with its errno. -1: with what went wrong. */
int xoi_redis_take(redis_t *redis, redisAsyncContext *ac, redisConnectCallback *on_connected,
                   redisDisconnectCallback *on_disconnected, xo_error_t *err);
/* So that a server that talks out of turn cannot do harm: gives the answer to `on_reply`, too. */
int xoi_redis_add_spare(redisAsyncContext *ac, redisCallbackFn *on_reply);
/* Lets go of the connection. No callback of it comes any more. */
void xoi_redis_detach(redis_t *redis);
/* Asks again whether writing works and the keys are of this schema; ends in up, limited or lost. */
void xoi_redis_probe(redis_t *redis);
void xoi_redis_retry_later(redis_t *redis);
/* Sends all that waits, and waits until the server has read it, at most `limit_ms`. */
void xoi_redis_drain(redis_t *redis, int limit_ms);
/* How long to wait before try number `tries`, from 0. Pure. */
int64_t xoi_redis_backoff_ms(unsigned tries, bool local, unsigned random);

/* ---- redis-sentinel.c ---- */
void xoi_sentinel_init(redis_t *redis);
/* Ends in xoi_redis_connect_to or xoi_redis_lost. */
void xoi_sentinel_ask(redis_t *redis);
void xoi_sentinel_detach(redis_t *redis);

/* ---- redis-queue.c ---- */

/* An operation without arguments; NULL: `sink` is told ENOMEM. */
redis_op_t *xoi_redis_op_create(redis_t *redis, int script, redis_reply_f reply, xo_sink_t sink);
void xoi_redis_op_destroy(redis_op_t *op); /* takes NULL */
void xoi_redis_op_bytes(redis_op_t *op, const void *data, size_t size);
void xoi_redis_op_text(redis_op_t *op, const char *text);
void xoi_redis_op_number(redis_op_t *op, int64_t number);
/* "xo:{CLUSTER}:" and the parts. */
void xoi_redis_op_key(redis_t *redis, redis_op_t *op, const char *first, const char *second);

/* Takes it over: it waits, is sent, or ends in the loop's next pass. */
void xoi_redis_submit(redis_t *redis, redis_op_t *op);
void xoi_redis_send(redis_t *redis, redis_op_t *op); /* now, ahead of all that waits */
void xoi_redis_flush(redis_t *redis);                /* sends what may be sent */
void xoi_redis_end(redis_t *redis, redis_op_t *op, int errnum, const char *text);
/* Ends a whole list, which may be one of redis' own. */
void xoi_redis_end_all(redis_t *redis, redis_op_t **list, int errnum, const char *text);
void xoi_redis_on_reply(redisAsyncContext *ac, void *reply, void *arg);
void xoi_redis_out_of_patience(xo_timer_t *timer, void *arg);
void xoi_redis_gathered(xo_timer_t *timer, void *arg);

/* ---- redis-reply.c ---- */

/* An errno for what Redis says in an error reply, and a sentence that begins with the URL. */
int xoi_redis_error(const redis_t *redis, const char *said, char *text, size_t size);
/* [id, [name, value, ...]] -> a record; [[id, [...]], ...] -> records. -1: malformed. */
int xoi_redis_add_record(xo_records_t *records, const redisReply *pair);
int xoi_redis_add_records(xo_records_t *records, const redisReply *pairs);

/* ---- redis-commands.c ---- */

void xoi_redis_malformed(redis_t *redis, redis_op_t *op); /* ends it: nothing that xo knows */
/* Ends it with a sentence about what it is for. */
void xoi_redis_end_about(redis_t *redis, redis_op_t *op, int errnum, const char *format,
                         const char *detail);
bool xoi_redis_has_records(redis_op_t *op); /* false: ENOMEM */
void xoi_redis_on_records(redis_t *redis, redis_op_t *op, const redisReply *reply);
void xoi_redis_op_encoded(redis_op_t *op, xo_slice_t value); /* what is no text as %XX */

/* Entries of the table of operations. */
void xoi_redis_put(xo_registry_t *registry, xo_reg_kind_t kind, const xo_record_t *record,
                   const char *owner, int64_t ttl_ms, xo_reg_done_f done, void *arg);
void xoi_redis_take_name(xo_registry_t *registry, const xo_record_t *name, const char *owner,
                         int64_t ttl_ms, xo_reg_done_f done, void *arg);
void xoi_redis_refill(xo_registry_t *registry);
void xoi_redis_renew(xo_registry_t *registry, xo_reg_kind_t kind, const char *id, const char *owner,
                     int64_t ttl_ms, xo_reg_done_f done, void *arg);
void xoi_redis_del(xo_registry_t *registry, xo_reg_kind_t kind, const char *id, const char *owner,
                   xo_reg_done_f done, void *arg);
void xoi_redis_put_spec(xo_registry_t *registry, const char *id, xo_slice_t bytes,
                        xo_reg_done_f done, void *arg);
void xoi_redis_get_spec(xo_registry_t *registry, const char *id, xo_reg_records_f done, void *arg);
void xoi_redis_get(xo_registry_t *registry, xo_reg_kind_t kind, const char *id,
                   xo_reg_records_f done, void *arg);
void xoi_redis_list(xo_registry_t *registry, xo_reg_kind_t kind, const char *owner,
                    xo_reg_records_f done, void *arg);
void xoi_redis_keys_version(xo_registry_t *registry, xo_reg_records_f done, void *arg);
void xoi_redis_lookup(xo_registry_t *registry, const char *uid, xo_reg_records_f done, void *arg);
void xoi_redis_watch(xo_registry_t *registry, const char *uid, const char *reader);
void xoi_redis_news(xo_registry_t *registry, const char *reader, xo_reg_records_f done, void *arg);
void xoi_redis_event(xo_registry_t *registry, const char *type, const xo_field_t *fields,
                     size_t count);
void xoi_redis_events(xo_registry_t *registry, const char *after, size_t max, xo_reg_records_f done,
                      void *arg);

/* ---- redis-moves.c: the same ---- */
void xoi_redis_reap(xo_registry_t *registry, const xo_reap_t *reap, xo_reg_records_f done,
                    void *arg);
void xoi_redis_lapsed(xo_registry_t *registry, size_t max, uint64_t epoch, xo_reg_records_f done,
                      void *arg);
void xoi_redis_claim(xo_registry_t *registry, const xo_claim_t *claim, xo_reg_records_f done,
                     void *arg);
void xoi_redis_wait(xo_registry_t *registry, const char *id, const char *reason, xo_reg_done_f done,
                    void *arg);

#endif
