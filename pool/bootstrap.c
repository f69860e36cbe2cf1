/* bootstrap.c - what the broker tells a pool that it starts, through the environment. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* ---- the other pools of a process ---- */

/* A decimal number and a comma; moves *text behind that. */
static int take_number(const char **text, long min, long max, long *number)
{
    char *stop;
    if (**text < '0' || **text > '9')
        return -1;
    errno = 0;
    *number = strtol(*text, &stop, 10);
    if (errno || *stop != ',' || *number < min || *number > max)
        return -1;
    *text = stop + 1;
    return 0;
}

/* One "NUMBER,INDEX,ADDRESS"; moves *text behind the ';' that follows, if one does. */
static int take_sibling(const char **text, long *number, xo_identity_t *self, xo_error_t *why)
{
    long index;
    xo_address_t address;
    if (take_number(text, 1, XOI_POOL_SIBLINGS_MAX, number) < 0)
        return xo_error_set(why, EINVAL, "no number of a pool, from 1 to %d, at '%s'",
                            XOI_POOL_SIBLINGS_MAX, *text);
    if (take_number(text, 0, INT32_MAX, &index) < 0)
        return xo_error_set(why, EINVAL, "no index at '%s'", *text);
    size_t size = strcspn(*text, ";");
    if (size >= sizeof self->address)
        return xo_error_set(why, EINVAL, "the address at '%s' is too long", *text);
    snprintf(self->address, sizeof self->address, "%.*s", (int)size, *text);
    *text += size + ((*text)[size] == ';');
    self->index = (int32_t)index;
    if (xo_address_parse(self->address, &address, why) < 0)
        return -1;
    return address.port ? 0 : xo_error_set(why, EINVAL, "%s: no port", self->address);
}

int xo_pool_sibling_from_env(int number, xo_identity_t *self, xo_error_t *err)
{
    xo_error_t why;
    const char *name = "XO_POOL_SIBLINGS";
    const char *text = getenv(name);
    const char *next = text;
    xo_identity_t place = *self;
    int found = 0;
    while (next && *next) {
        long whose;
        xo_identity_t sibling = *self;
        if (take_sibling(&next, &whose, &sibling, &why) < 0)
            return bad(name, text, why.text, err);
        if (whose == number) {
            place = sibling;
            found = 1;
        }
    }
    *self = place;
    return found;
}

/* Where there is no room for it, standard error has it. */
void xo_pool_say_why(const char *text)
{
    const char *path = getenv("XO_POOL_WHY");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    (void)!write(fd, text, strlen(text));
    close(fd);
}

int xo_pool_options_from_env(xo_pool_options_t *options, xo_error_t *err)
{
    uint64_t owner = (uint64_t)options->owner;
    uint64_t heartbeat_ms = options->heartbeat_ms;
    if (read_identity(&options->self, err) < 0 || read_recover(&options->keep_specs, err) < 0 ||
        xo_pool_sibling_from_env(0, &options->self, err) < 0 ||
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
