#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/broker_impl.h"

/* ---- pool.start ---- */

typedef int (*xo_set_f)(xo_pool_spec_t *spec, xo_reader_t *value, xo_error_t *err);

static int wrong(xo_error_t *err, const char *what)
{
    return xo_error_set(err, EINVAL, "must be %s", what);
}

static int set_argv(xo_pool_spec_t *spec, xo_reader_t *value, xo_error_t *err)
{
    uint32_t count;
    xo_slice_t arg;
    if (xo_read_array(value, &count) < 0 || count == 0)
        return wrong(err, "an array of one or more strings");
    while (count-- > 0) {
        if (xo_read_str(value, &arg) < 0 || memchr(arg.data, 0, arg.size) != NULL)
            return wrong(err, "an array of strings");
        if (xo_pool_spec_add_arg(spec, arg) < 0)
            return xo_error_set(err, ENOMEM, "out of memory");
    }
    return 0;
}

static int set_env(xo_pool_spec_t *spec, xo_reader_t *value, xo_error_t *err)
{
    uint32_t pairs;
    xo_slice_t name, text;
    if (xo_read_map(value, &pairs) < 0)
        return wrong(err, "a map of strings");
    while (pairs-- > 0) {
        if (xo_read_str(value, &name) < 0 || xo_read_str(value, &text) < 0)
            return wrong(err, "a map of strings");
        if (xo_pool_spec_set_env(spec, name, text, err) < 0)
            return -1;
    }
    return 0;
}

static int read_text(xo_reader_t *value, char *text, size_t size, xo_error_t *err)
{
    xo_slice_t slice;
    if (xo_read_str(value, &slice) < 0 || slice.size >= size)
        return wrong(err, "a string of reasonable length");
    snprintf(text, size, "%.*s", (int)slice.size, slice.size ? slice.data : "");
    return 0;
}

static int set_label(xo_pool_spec_t *spec, xo_reader_t *value, xo_error_t *err)
{
    xo_slice_t label;
    if (xo_read_str(value, &label) < 0)
        return wrong(err, "a string");
    return xo_pool_spec_set_label(spec, label, err);
}

static int set_address(xo_pool_spec_t *spec, xo_reader_t *value, xo_error_t *err)
{
    char text[XO_ADDRESS_BYTES];
    if (read_text(value, text, sizeof(text), err) < 0)
        return -1;
    return xo_pool_spec_set_address(spec, text, err);
}

static int set_bind(xo_pool_spec_t *spec, xo_reader_t *value, xo_error_t *err)
{
    char text[XO_ADDRESS_BYTES];
    if (read_text(value, text, sizeof(text), err) < 0)
        return -1;
    return xo_pool_spec_set_bind(spec, text, err);
}

static int set_recover(xo_pool_spec_t *spec, xo_reader_t *value, xo_error_t *err)
{
    char text[32];
    if (read_text(value, text, sizeof(text), err) < 0)
        return -1;
    return xo_pool_spec_set_recover(spec, text, err);
}

static int set_index(xo_pool_spec_t *spec, xo_reader_t *value, xo_error_t *err)
{
    int64_t index;
    if (xo_read_int(value, &index) < 0 || index < -1 || index > INT32_MAX)
        return wrong(err, "-1 or an index");
    spec->index = (int)index;
    return 0;
}

static int set_ready(xo_pool_spec_t *spec, xo_reader_t *value, xo_error_t *err)
{
    if (xo_read_int(value, &spec->ready_ms) < 0 || spec->ready_ms < 1 || spec->ready_ms > INT32_MAX)
        return wrong(err, "a number of milliseconds from 1");
    return 0;
}

static int set_hang(xo_pool_spec_t *spec, xo_reader_t *value, xo_error_t *err)
{
    if (xo_read_int(value, &spec->hang_ms) < 0 || spec->hang_ms < 0 || spec->hang_ms > INT32_MAX)
        return wrong(err, "a number of milliseconds, 0 for none");
    return 0;
}

static int set_spare(xo_pool_spec_t *spec, xo_reader_t *value, xo_error_t *err)
{
    return xo_read_bool(value, &spec->spare) < 0 ? wrong(err, "true or false") : 0;
}

static const struct xo_start_key {
    const char *name;
    xo_set_f set;
} start_keys[] = {
    {"argv", set_argv},       {"env", set_env},         {"label", set_label},
    {"address", set_address}, {"bind", set_bind},       {"index", set_index},
    {"ready_ms", set_ready},  {"recover", set_recover}, {"hang_timeout_ms", set_hang},
    {"spare", set_spare},
};

static int set_key(xo_pool_spec_t *spec, xo_slice_t key, xo_reader_t *value, xo_error_t *err)
{
    for (size_t i = 0; i < sizeof(start_keys) / sizeof(*start_keys); i++) {
        if (!xo_slice_eq_str(key, start_keys[i].name))
            continue;
        if (xo_read_type(value) == XO_T_NIL) /* as if it were not given */
            return xo_read_nil(value);
        if (start_keys[i].set(spec, value, err) < 0)
            return xo_error_prefix(err, "%s", start_keys[i].name);
        return 0;
    }
    if (xo_read_type(value) == XO_T_NIL)
        return xo_read_nil(value);
    return xo_policy_set(&spec->policy, key, value, err);
}

static int read_spec(xo_slice_t args, xo_pool_spec_t *spec, xo_error_t *err)
{
    xo_reader_t reader = xo_reader(args);
    uint32_t count, pairs;
    xo_slice_t key;
    if (xo_read_array(&reader, &count) < 0 || xo_read_map(&reader, &pairs) < 0)
        return xo_error_set(err, EINVAL, "takes a map");
    while (pairs-- > 0) {
        if (xo_read_str(&reader, &key) < 0)
            return xo_error_set(err, EINVAL, "takes a map with str keys");
        if (set_key(spec, key, &reader, err) < 0)
            return -1;
    }
    return spec->argv ? 0 : xo_error_set(err, EINVAL, "argv is missing");
}

static void on_started(xo_member_t *member, const xo_error_t *why, void *arg)
{
    xo_ask_t *ask = arg;
    char who[XO_ADDRESS_BYTES + XO_LABEL_BYTES + 32];
    xo_rec_t rec = {0};
    xo_buf_t out = XO_BUF_INIT;
    if (why != NULL) {
        xo_member_describe(member, who, sizeof(who));
        xo_ask_fail(ask, XO_CODE_SERVER_CLOSED, "pool.start: %s: %s", who, why->text);
        return;
    }
    xo_member_record(member, &rec);
    xo_rec_pack(&rec, 0, &out);
    xo_ask_reply_value(ask, &out);
}

static void forget(xo_ask_t *ask, void *arg)
{
    xo_supervisor_forget(arg, ask);
}

void xo_broker_pool_start(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_error_t err;
    if (xo_drain_refuses(broker, ask))
        return;
    xo_pool_spec_t *spec = xo_pool_spec_create();
    if (spec == NULL) {
        xo_broker_refuse(ask, "out of memory");
        return;
    }
    xo_ask_on_stop(ask, forget, broker->supervisor);
    if (read_spec(args, spec, &err) < 0 ||
        xo_supervisor_start(broker->supervisor, &spec, false, on_started, ask, &err) < 0)
        xo_broker_refuse(ask, "%s", err.text);
    xo_pool_spec_destroy(spec);
}

/* ---- pool.stop ---- */

static void on_stopped(xo_member_t *member, const xo_error_t *why, void *arg)
{
    char who[XO_ADDRESS_BYTES + XO_LABEL_BYTES + 32];
    if (why == NULL) {
        xo_ask_reply(arg, "n");
        return;
    }
    xo_member_describe(member, who, sizeof(who));
    xo_ask_fail(arg, XO_CODE_DEADLINE, "pool.stop: %s: %s", who, why->text);
}

static int read_stop_args(xo_ask_t *ask, xo_slice_t args, xo_slice_t *name, int64_t *timeout_ms)
{
    xo_reader_t reader = xo_reader(args);
    uint32_t count;
    if (xo_read_array(&reader, &count) < 0 || xo_read_str(&reader, name) < 0 ||
        (count > 1 && xo_read_int(&reader, timeout_ms) < 0) || *timeout_ms < 0 ||
        *timeout_ms > INT32_MAX) {
        xo_broker_refuse(ask, "takes an address or a pool's id (str) and a number of milliseconds");
        return -1;
    }
    return 0;
}

void xo_broker_pool_stop(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    xo_slice_t name;
    int64_t timeout_ms = XO_STOP_MS;
    if (read_stop_args(ask, args, &name, &timeout_ms) < 0)
        return;
    xo_member_t *member = xo_pools_by_name(&broker->pools, name);
    if (member == NULL) {
        xo_broker_refuse(ask, "this node has no pool '%.*s'", (int)name.size, name.data);
        return;
    }
    xo_ask_on_stop(ask, forget, broker->supervisor);
    xo_supervisor_stop_pool(broker->supervisor, member, timeout_ms, on_stopped, ask);
}
