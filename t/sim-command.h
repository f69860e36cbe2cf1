/* sim-command.h - a command on its way to the Redis of a simulation: its arguments, copied, and how
 * many bytes it and its answer are in Redis' protocol.
 */
#ifndef T_SIM_COMMAND_H
#define T_SIM_COMMAND_H

#include "registry/base.h"

typedef enum {
    SIM_PUT,
    SIM_REFILL,
    SIM_RENEW,
    SIM_DEL,
    SIM_PUT_SPEC,
    SIM_GET_SPEC,
    SIM_GET,
    SIM_LIST,
    SIM_LOOKUP,
    SIM_EVENT,
    SIM_KEYS_VERSION,
    SIM_EVENTS,
    SIM_WATCH,
    SIM_NEWS,
    SIM_LAPSED,
    SIM_REAP
} sim_what_t;

typedef struct sim_client sim_client_t;

/* A command: its arguments are copies. */
typedef struct sim_command {
    sim_client_t *client; /* NULL: closed meanwhile */
    sim_what_t what;
    xo_reg_kind_t kind;
    char *id, *owner;
    xo_field_t *fields;
    size_t count;
    xo_slice_t bytes;
    int64_t ttl_ms, keep_ms;
    size_t max;
    int64_t since_ns;
    xo_sink_t sink;
    struct sim_command *prev, *next;         /* in the server's queue */
    struct sim_command *prev_own, *next_own; /* of the client's */
} sim_command_t;

/* `id` and `owner` may be NULL. */
sim_command_t *sim_command_create(sim_what_t what, const char *id, const char *owner,
                                  xo_sink_t sink);
void sim_command_free(sim_command_t *command);
xo_slice_t sim_copy_slice(xo_slice_t slice);
void sim_copy_fields(sim_command_t *command, const xo_field_t *fields, size_t count);
/* Has `store` do it; all but SIM_REFILL and SIM_REAP. */
void sim_command_execute(sim_command_t *command, xo_registry_t *store, xo_reg_done_f done,
                         xo_reg_records_f records);
size_t sim_command_bytes(const sim_command_t *command);
/* What a lookup has found is no mere memory of an actor. */
bool sim_is_found(const xo_record_t *records, size_t count);
size_t sim_records_bytes(const xo_record_t *records, size_t count);

#endif
