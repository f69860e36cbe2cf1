/* registry-support.h - for the registry's tests: servers to talk to, and answers to look at.
 */
#ifndef XO_T_REGISTRY_SUPPORT_H
#define XO_T_REGISTRY_SUPPORT_H

#include <hiredis/hiredis.h>
#include <sys/types.h>

#include "registry/records.h"
#include "registry/registry.h"

/* A directory of its own; a redis-server or any other listener in it. */
typedef struct server {
    char dir[64];
    char socket[96];
    char url[128]; /* unix:// */
    pid_t pid;     /* 0: none */
    int listener;  /* -1: none */
} server_t;

int server_create(server_t *server); /* makes the directory */
/* Starts redis-server with more options, NULL at the end. Returns at once. It dies with the test.
 */
int server_start(server_t *server, const char *const *options);
void server_kill(server_t *server); /* SIGKILL, and waits */
/* Listens itself, without any Redis. */
int server_listen(server_t *server);
void server_destroy(server_t *server);
bool server_installed(void);

/* A blocking connection for what operators do; it must be there already. */
redisContext *server_open(const server_t *server);
/* Runs a command; its answer as text in a static buffer: a string, a number, or strings joined by
 * blanks. */
const char *server_ask(redisContext *c, const char *format, ...);

/* A registry and what it has told. */
typedef struct probe {
    xo_loop_t *loop;
    xo_registry_t *registry;
    unsigned ups, empties, downs;
    xo_error_t why; /* of the last down */
    bool close_on_down;
    server_t server;
} probe_t;

int probe_open(probe_t *probe, const char *url, const char *cluster);
void probe_close(probe_t *probe);
void probe_wait_up(probe_t *probe, unsigned ups); /* until it was up so often */
void probe_wait_down(probe_t *probe, unsigned downs);

/* Fixture: a probe with a directory, but without server and registry yet. */
int probe_set_up(void **state);
int probe_tear_down(void **state);
/* Starts a server with `options` and a registry on it. */
void probe_open_on(probe_t *probe, const char *const *options);

/* An operation's end. */
typedef struct outcome {
    bool done;
    int errnum;
    char text[1500];
    xo_records_t *records;
    xo_record_t *list;
    size_t count;
} outcome_t;

void on_done(int errnum, const char *text, void *arg);
void on_records(int errnum, const char *text, const xo_record_t *records, size_t count, void *arg);
void outcome_free(outcome_t *outcome);
/* Runs the loop until it is done; returns its errnum. */
int outcome_wait(probe_t *probe, outcome_t *outcome);
/* A field of record number i, "" if it has none. */
const char *outcome_field(const outcome_t *outcome, size_t i, const char *name);

/* The blocking forms: begin, wait, return the errnum. `fields`: name, value, ..., NULL. */
int put(probe_t *probe, xo_reg_kind_t kind, const char *id, const char *owner, int64_t ttl_ms,
        const char *const *fields);
int del(probe_t *probe, xo_reg_kind_t kind, const char *id, const char *owner);
int renew(probe_t *probe, xo_reg_kind_t kind, const char *id, const char *owner, int64_t ttl_ms);
int get(probe_t *probe, xo_reg_kind_t kind, const char *id, outcome_t *outcome);
int put_spec(probe_t *probe, const char *id, xo_slice_t bytes);
int get_spec(probe_t *probe, const char *id, outcome_t *outcome);
int list(probe_t *probe, xo_reg_kind_t kind, outcome_t *outcome);
int list_of(probe_t *probe, xo_reg_kind_t kind, const char *owner, outcome_t *outcome);
int news(probe_t *probe, const char *reader, outcome_t *outcome);
int lookup(probe_t *probe, const char *uid, size_t size, outcome_t *outcome);
int events(probe_t *probe, const char *after, size_t max, outcome_t *outcome);
/* Begins a put with one field, "n". */
void begin_put(probe_t *probe, xo_reg_kind_t kind, const char *id, const char *n,
               outcome_t *outcome);

#define FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
