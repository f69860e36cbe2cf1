#include "broker/spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists of strings that end with NULL ---- */

static size_t count_strings(char *const *strings)
{
    size_t count = 0;
    while (strings != NULL && strings[count] != NULL)
        count++;
    return count;
}

/* Takes `text` over, also when it fails; NULL is ENOMEM. */
static int append(char ***strings, char *text)
{
    size_t count = count_strings(*strings);
    char **grown = text ? realloc(*strings, (count + 2) * sizeof(*grown)) : NULL;
    if (grown == NULL) {
        free(text);
        errno = ENOMEM;
        return -1;
    }
    grown[count] = text;
    grown[count + 1] = NULL;
    *strings = grown;
    return 0;
}

static void free_strings(char **strings)
{
    for (char **text = strings; text != NULL && *text != NULL; text++)
        free(*text);
    free(strings);
}

static int copy_strings(char *const *from, char ***to)
{
    for (; from != NULL && *from != NULL; from++) {
        if (append(to, strdup(*from)) < 0)
            return -1;
    }
    return 0;
}

/* ---- the spec ---- */

xo_pool_spec_t *xo_pool_spec_create(void)
{
    xo_pool_spec_t *spec = calloc(1, sizeof(*spec));
    if (spec == NULL)
        return NULL;
    spec->index = -1;
    spec->ready_ms = XO_READY_MS;
    spec->hang_ms = -1;
    spec->recover = true;
    spec->policy = xo_policy_default();
    snprintf(spec->address, sizeof(spec->address), "127.0.0.1:0");
    return spec;
}

xo_pool_spec_t *xo_pool_spec_copy(const xo_pool_spec_t *spec)
{
    xo_pool_spec_t *copy = malloc(sizeof(*copy));
    if (copy == NULL)
        return NULL;
    *copy = *spec;
    copy->argv = copy->env = NULL;
    copy->output = spec->output ? strdup(spec->output) : NULL;
    if (copy_strings(spec->argv, &copy->argv) < 0 || copy_strings(spec->env, &copy->env) < 0 ||
        (spec->output != NULL && copy->output == NULL)) {
        xo_pool_spec_destroy(copy);
        errno = ENOMEM;
        return NULL;
    }
    return copy;
}

void xo_pool_spec_destroy(xo_pool_spec_t *spec)
{
    if (spec == NULL)
        return;
    free_strings(spec->argv);
    free_strings(spec->env);
    free(spec->output);
    free(spec);
}

int xo_pool_spec_add_arg(xo_pool_spec_t *spec, xo_slice_t arg)
{
    return append(&spec->argv, strndup(arg.data, arg.size));
}

int xo_pool_spec_set_env(xo_pool_spec_t *spec, xo_slice_t name, xo_slice_t value, xo_error_t *err)
{
    if (name.size == 0 || memchr(name.data, '=', name.size) != NULL)
        return xo_error_set(err, EINVAL, "'%.*s' cannot be the name of an environment variable",
                            (int)name.size, name.data);
    char *entry = NULL;
    if (asprintf(&entry, "%.*s=%.*s", (int)name.size, name.data, (int)value.size,
                 value.size > 0 ? value.data : "") < 0)
        entry = NULL;
    return append(&spec->env, entry) < 0 ? xo_error_set(err, ENOMEM, "out of memory") : 0;
}

int xo_pool_spec_set_label(xo_pool_spec_t *spec, xo_slice_t label, xo_error_t *err)
{
    if (label.size >= sizeof(spec->label))
        return xo_error_set(err, EINVAL, "label '%.*s' is longer than %d bytes", (int)label.size,
                            label.data, XO_LABEL_BYTES - 1);
    memset(spec->label, 0, sizeof(spec->label));
    if (label.size > 0)
        memcpy(spec->label, label.data, label.size);
    return 0;
}

static int set_address(char text[XO_ADDRESS_BYTES], const char *address, xo_error_t *err)
{
    xo_address_t parsed;
    if (xo_address_parse(address, &parsed, err) < 0)
        return -1;
    if (xo_address_format(&parsed, text, XO_ADDRESS_BYTES) < 0)
        return xo_error_set(err, EINVAL, "address '%s' is too long", address);
    return 0;
}

int xo_pool_spec_set_address(xo_pool_spec_t *spec, const char *address, xo_error_t *err)
{
    return set_address(spec->address, address, err);
}

int xo_pool_spec_set_bind(xo_pool_spec_t *spec, const char *bind, xo_error_t *err)
{
    return set_address(spec->bind, bind, err);
}

int xo_pool_spec_set_recover(xo_pool_spec_t *spec, const char *text, xo_error_t *err)
{
    spec->recover = strcmp(text, "actors") == 0;
    if (spec->recover || strcmp(text, "none") == 0)
        return 0;
    return xo_error_set(err, EINVAL, "recover '%s': not one of actors, none", text);
}

static int shift_port(char text[XO_ADDRESS_BYTES], int by, xo_error_t *err)
{
    xo_address_t parsed;
    if (text[0] == 0)
        return 0;
    if (xo_address_parse(text, &parsed, err) < 0)
        return -1;
    if (parsed.port == 0)
        return 0;
    bool behind = xo_address_is_behind(&parsed);
    parsed.port += by;
    if (xo_address_is_behind(&parsed) != behind)
        return xo_error_set(err, ERANGE, "no port %d for pool %d counted from '%s'", parsed.port,
                            by, text);
    return xo_address_format(&parsed, text, XO_ADDRESS_BYTES);
}

int xo_pool_spec_shift_ports(xo_pool_spec_t *spec, int by, xo_error_t *err)
{
    if (shift_port(spec->address, by, err) < 0)
        return -1;
    return shift_port(spec->bind, by, err);
}
