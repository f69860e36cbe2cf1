/* group.c - groups of actors that are restarted together: what a client asks its broker for.
 */
#include <errno.h>

#include "libxo/client.h"

static uint32_t pack_text(xo_buf_t *out, const char *key, const char *value)
{
    if (!value)
        return 0;
    xo_pack_format(out, "s s", key, value);
    return 1;
}

static uint32_t pack_number(xo_buf_t *out, const char *key, int64_t value)
{
    if (value == -1)
        return 0;
    xo_pack_format(out, "s I", key, value);
    return 1;
}

static void pack_options(xo_buf_t *out, const xo_group_options_t *options)
{
    xo_buf_t pairs = XO_BUF_INIT;
    uint32_t count = pack_text(&pairs, "strategy", options->strategy);
    count += pack_text(&pairs, "parent", options->parent);
    count += pack_number(&pairs, "intensity", options->intensity);
    count += pack_number(&pairs, "period_ms", options->period_ms);
    count += pack_number(&pairs, "backoff_ms", options->backoff_ms);
    count += pack_number(&pairs, "backoff_max_ms", options->backoff_max_ms);
    xo_pack_map(out, count);
    xo_buf_append(out, pairs.data, pairs.size);
    out->failed |= pairs.failed;
    xo_buf_free(&pairs);
}

static xo_future_t *ask(xo_client_t *client, xo_error_t *err, const char *method, xo_buf_t *args)
{
    xo_future_t *future = xo_buf_ok(args) == 0
                              ? xo_client_ask_broker(client, err, method, xo_buf_slice(args))
                              : xo_error_null(err, ENOMEM, "out of memory for a call");
    xo_buf_free(args);
    return future;
}

xo_future_t *xo_client_create_group(xo_client_t *client, xo_error_t *err, const char *name,
                                    const xo_group_options_t *options)
{
    static const xo_group_options_t open = XO_GROUP_OPTIONS_INIT;
    xo_buf_t args = XO_BUF_INIT;
    if (!name)
        return xo_error_null(err, EINVAL, "a group needs a name");
    xo_pack_array(&args, 2);
    xo_pack_cstr(&args, name);
    pack_options(&args, options ? options : &open);
    return ask(client, err, "group.create", &args);
}

xo_future_t *xo_client_stop_group(xo_client_t *client, xo_error_t *err, const char *name)
{
    xo_buf_t args = XO_BUF_INIT;
    if (!name)
        return xo_error_null(err, EINVAL, "a group needs a name");
    xo_pack_array(&args, 1);
    xo_pack_cstr(&args, name);
    return ask(client, err, "group.stop", &args);
}
