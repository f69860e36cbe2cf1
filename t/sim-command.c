/* sim-command.c - see sim-command.h. */
#include "t/sim-command.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES 14    /* "xo:{sim}:node:", about what comes before an id */
#define SCRIPT_BYTES 96 /* the digest, the epoch, the number of keys, with their lengths */

/* ---- bytes ---- */

static size_t bulk(size_t size)
{
    size_t digits = 1;
    for (size_t rest = size; rest >= 10; rest /= 10)
        digits++;
    return size + digits + 5; /* $N\r\n...\r\n */
}

static size_t fields_bytes(const xo_field_t *fields, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += bulk(strlen(fields[i].name)) + bulk(fields[i].value.size);
    return bytes;
}

size_t sim_command_bytes(const sim_command_t *command)
{
    size_t id = command->id ? strlen(command->id) : 0;
    size_t owner = command->owner ? strlen(command->owner) : 0;
    size_t bytes = bulk(strlen("EVALSHA")) + bulk(KEY_BYTES + id);
    if (command->what < SIM_EVENT && command->what != SIM_PUT_SPEC && command->what != SIM_GET_SPEC)
        bytes += SCRIPT_BYTES + bulk(KEY_BYTES);
    if (command->what == SIM_PUT || command->what == SIM_DEL)
        bytes += bulk(id) + bulk(owner) + 2 * bulk(KEY_BYTES);
    if (command->what == SIM_PUT || command->what == SIM_RENEW)
        bytes += bulk(owner) + bulk(strlen("5000"));
    if (command->what == SIM_WATCH || command->what == SIM_NEWS || command->what == SIM_LAPSED ||
        command->what == SIM_REAP)
        bytes += SCRIPT_BYTES + bulk(owner);
    if (command->what == SIM_LAPSED) /* `fence`; what comes before ids; how many, and an epoch */
        bytes += 2 * bulk(KEY_BYTES) + bulk(2);
    if (command->what == SIM_REAP) /* four more keys; and the four numbers beside `after` */
        bytes += 5 * bulk(KEY_BYTES) + bulk(4) + bulk(6) + bulk(3) + bulk(5);
    return bytes + fields_bytes(command->fields, command->count) + command->bytes.size;
}

size_t sim_records_bytes(const xo_record_t *records, size_t count)
{
    size_t bytes = 4;
    for (size_t i = 0; i < count; i++)
        bytes +=
            bulk(strlen(records[i].id)) + 9 + fields_bytes(records[i].fields, records[i].count);
    return bytes;
}

bool sim_is_found(const xo_record_t *records, size_t count)
{
    for (size_t i = 0; count > 0 && i < records[0].count; i++)
        if (strcmp(records[0].fields[i].name, "state") == 0)
            return !xo_slice_eq_str(records[0].fields[i].value, XO_STATE_LOST);
    return count > 0;
}

/* ---- what is done ---- */

void sim_command_execute(sim_command_t *c, xo_registry_t *store, xo_reg_done_f done,
                         xo_reg_records_f records)
{
    const xo_registry_ops_t *ops = store->ops;
    xo_record_t record = {.id = c->id, .fields = c->fields, .count = c->count};
    switch (c->what) {
    case SIM_PUT:
        ops->put(store, c->kind, &record, c->owner, c->ttl_ms, done, c);
        break;
    case SIM_RENEW:
        ops->renew(store, c->kind, c->id, c->owner, c->ttl_ms, done, c);
        break;
    case SIM_DEL:
        ops->del(store, c->kind, c->id, c->owner, done, c);
        break;
    case SIM_PUT_SPEC:
        ops->put_spec(store, c->id, c->bytes, done, c);
        break;
    case SIM_GET_SPEC:
        ops->get_spec(store, c->id, records, c);
        break;
    case SIM_GET:
        ops->get(store, c->kind, c->id, records, c);
        break;
    case SIM_LIST:
        ops->list(store, c->kind, c->owner, records, c);
        break;
    case SIM_LOOKUP:
        ops->lookup(store, c->id, records, c);
        break;
    case SIM_EVENT:
        ops->event(store, c->id, c->fields, c->count);
        done(0, "", c);
        break;
    case SIM_EVENTS:
        ops->events(store, c->id, c->max, records, c);
        break;
    case SIM_WATCH:
        ops->watch(store, c->id, c->owner);
        done(0, "", c);
        break;
    case SIM_NEWS:
        ops->news(store, c->owner, records, c);
        break;
    case SIM_KEYS_VERSION: /* no key is revoked here */
    case SIM_LAPSED:       /* pools here have nothing that may move */
        records(0, "", NULL, 0, c);
        break;
    case SIM_REFILL:
    case SIM_REAP:
        abort();
    }
}

/* ---- commands ---- */

sim_command_t *sim_command_create(sim_what_t what, const char *id, const char *owner,
                                  xo_sink_t sink)
{
    sim_command_t *command = calloc(1, sizeof(*command));
    assert(command);
    *command = (sim_command_t){.what = what,
                               .id = id ? strdup(id) : NULL,
                               .owner = owner ? strdup(owner) : NULL,
                               .sink = sink};
    return command;
}

void sim_command_free(sim_command_t *command)
{
    for (size_t i = 0; i < command->count; i++) {
        free((char *)command->fields[i].name);
        free((char *)command->fields[i].value.data);
    }
    free(command->fields);
    free((char *)command->bytes.data);
    free(command->id);
    free(command->owner);
    free(command);
}

xo_slice_t sim_copy_slice(xo_slice_t slice)
{
    char *copy = malloc(slice.size + 1);
    assert(copy);
    if (slice.size)
        memcpy(copy, slice.data, slice.size);
    copy[slice.size] = 0;
    return xo_slice(copy, slice.size);
}

void sim_copy_fields(sim_command_t *command, const xo_field_t *fields, size_t count)
{
    command->fields = calloc(count + 1, sizeof(*fields));
    assert(command->fields);
    for (; command->count < count; command->count++) {
        const xo_field_t *field = &fields[command->count];
        command->fields[command->count] =
            (xo_field_t){strdup(field->name), sim_copy_slice(field->value)};
    }
}
