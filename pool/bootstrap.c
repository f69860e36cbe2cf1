/* bootstrap.c - what the broker tells a pool that it starts, through the environment. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/pool_impl.h"

static int bad(const char *name, const char *text, const char *what, xo_error_t *err)
{
    return xo_error_set(err, EINVAL, "environment variable %s=%s: %s", name, text, what);
}

/* An unsigned number up to `max`. Returns 0 also when the variable is not set. */
static int read_number(const char *name, int base, uint64_t max, uint64_t *value, xo_error_t *err)
{
    char *end;
    const char *text = getenv(name);
    if (!text)
        return 0;
    errno = 0;
    unsigned long long number = strtoull(text, &end, base);
    if (errno || *end || end == text || text[0] == '-' || number > max)
        return bad(name, text, base == 16 ? "not a hexadecimal id" : "not a number in range", err);
    *value = number;
    return 0;
}

static int read_text(const char *name, char *text, size_t size, xo_error_t *err)
{
    const char *value = getenv(name);
    if (!value)
        return 0;
    if (strlen(value) >= size)
        return bad(name, value, "too long", err);
    strcpy(text, value);
    return 0;
}

static int read_address(const char *name, xo_error_t *err)
{
    xo_error_t why;
    xo_address_t address;
    const char *text = getenv(name);
    if (!text || xo_address_parse(text, &address, &why) == 0)
        return 0;
    return bad(name, text, why.text, err);
}

static int read_identity(xo_identity_t *self, xo_error_t *err)
{
    uint64_t index = (uint64_t)self->index;
    uint64_t generation = self->generation;
    bool has_index = getenv("XO_POOL_INDEX") != NULL;
    if (read_number("XO_NODE_ID", 16, UINT64_MAX, &self->node_id, err) < 0 ||
        read_number("XO_POOL_ID", 16, UINT64_MAX, &self->pool_id, err) < 0 ||
        read_number("XO_POOL_INDEX", 10, INT32_MAX, &index, err) < 0 ||
        read_number("XO_POOL_GENERATION", 10, UINT32_MAX, &generation, err) < 0 ||
        read_text("XO_POOL_LABEL", self->label, sizeof self->label, err) < 0 ||
        read_address("XO_POOL_ADDRESS", err) < 0 || read_address("XO_POOL_BIND", err) < 0 ||
        read_text("XO_POOL_ADDRESS", self->address, sizeof self->address, err) < 0)
        return -1;
    self->generation = (uint32_t)generation;
    if (has_index)
        self->index = (int32_t)index;
    return 0;
}

static int read_recover(bool *keep_specs, xo_error_t *err)
{
    const char *text = getenv("XO_POOL_RECOVER");
    if (!text)
        return 0;
    *keep_specs = !strcmp(text, "actors");
    return *keep_specs || !strcmp(text, "none")
               ? 0
               : bad("XO_POOL_RECOVER", text, "not one of actors, none", err);
}

int xo_pool_options_from_env(xo_pool_options_t *options, xo_error_t *err)
{
    uint64_t owner = (uint64_t)options->owner;
    uint64_t heartbeat_ms = options->heartbeat_ms;
    if (read_identity(&options->self, err) < 0 || read_recover(&options->keep_specs, err) < 0 ||
        read_number("XO_OWNER_PID", 10, INT32_MAX, &owner, err) < 0 ||
        read_number("XO_HEARTBEAT_MS", 10, UINT32_MAX, &heartbeat_ms, err) < 0)
        return -1;
    options->owner = (pid_t)owner;
    options->heartbeat_ms = (uint32_t)heartbeat_ms;
    if (getenv("XO_BROKER"))
        options->broker = getenv("XO_BROKER");
    if (getenv("XO_POOL_BIND"))
        options->bind = getenv("XO_POOL_BIND");
    return 0;
}
