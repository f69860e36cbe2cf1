#include "broker/specs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/ctx.h"
#include "libxo/loop.h"

#define LAYOUT 1 /* of what the registry keeps */
#define SHUTDOWN_MS 5000

/* The body and the buffers stand behind each other in `bytes`. */
struct xo_actor_spec {
    size_t body_size;
    size_t buffer_count;
    size_t *buffer_sizes; /* NULL: no buffers */
    size_t size;          /* of bytes */
    xo_policy_t policy;
    xo_policy_state_t *history; /* NULL: empty */
    xo_slice_t group;           /* in `bytes` */
    int64_t shutdown_ms;
    bool anywhere;  /* its placement is "any" */
    uint64_t order; /* in its group; 0: none */
    char bytes[];
};

static size_t total_size(xo_slice_t body, const xo_msg_t *from)
{
    size_t size = body.size;
    for (size_t i = 0; i < xo_msg_buffer_count(from); i++)
        size += xo_msg_buffer(from, i).size;
    return size;
}

static char *append(char *at, xo_slice_t bytes)
{
    if (bytes.size > 0)
        memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

static int copy_buffers(xo_actor_spec_t *spec, const xo_msg_t *from, char *at)
{
    size_t count = xo_msg_buffer_count(from);
    if (count == 0)
        return 0;
    spec->buffer_sizes = calloc(count, sizeof(*spec->buffer_sizes));
    if (spec->buffer_sizes == NULL)
        return -1;
    for (; spec->buffer_count < count; spec->buffer_count++) {
        xo_slice_t buffer = xo_msg_buffer(from, spec->buffer_count);
        spec->buffer_sizes[spec->buffer_count] = buffer.size;
        at = append(at, buffer);
    }
    return 0;
}

xo_actor_spec_t *xo_actor_spec_create(xo_slice_t body, const xo_msg_t *from)
{
    size_t size = total_size(body, from);
    xo_actor_spec_t *spec = malloc(sizeof(*spec) + size);
    if (spec == NULL)
        return NULL;
    *spec = (xo_actor_spec_t){.body_size = body.size,
                              .size = size,
                              .policy = xo_policy_default(),
                              .anywhere = xo_create_is_anywhere(body)};
    if (copy_buffers(spec, from, append(spec->bytes, body)) == 0)
        return spec;
    xo_actor_spec_destroy(spec);
    return NULL;
}

bool xo_actor_spec_is(const xo_actor_spec_t *spec, xo_slice_t body, const xo_msg_t *from)
{
    size_t count = xo_msg_buffer_count(from);
    if (spec == NULL || spec->buffer_count != count ||
        !xo_slice_eq(xo_slice(spec->bytes, spec->body_size), body))
        return false;
    const char *at = spec->bytes + spec->body_size;
    for (size_t i = 0; i < count; at += spec->buffer_sizes[i++])
        if (!xo_slice_eq(xo_slice(at, spec->buffer_sizes[i]), xo_msg_buffer(from, i)))
            return false;
    return true;
}

void xo_actor_spec_destroy(xo_actor_spec_t *spec)
{
    if (spec == NULL)
        return;
    free(spec->buffer_sizes);
    free(spec->history);
    free(spec);
}

size_t xo_actor_spec_bytes(const xo_actor_spec_t *spec)
{
    if (spec == NULL)
        return 0;
    return sizeof(*spec) + spec->size + spec->buffer_count * sizeof(*spec->buffer_sizes);
}

void xo_actor_spec_pack(const xo_actor_spec_t *spec, xo_buf_t *out)
{
    const char *at = spec->bytes + spec->body_size;
    xo_pack_array(out, 4);
    xo_pack_int(out, LAYOUT);
    xo_pack_bin(out, spec->bytes, spec->body_size);
    xo_pack_array(out, (uint32_t)spec->buffer_count);
    for (size_t i = 0; i < spec->buffer_count; at += spec->buffer_sizes[i++])
        xo_pack_bin(out, at, spec->buffer_sizes[i]);
    const xo_policy_t *policy = &spec->policy;
    xo_pack_map(out, spec->order > 0 ? 7 : 6);
    if (spec->order > 0)
        xo_pack_format(out, "s U", "order", spec->order);
    xo_pack_format(out, "s s s U", "restart", xo_restart_name(policy->restart), "intensity",
                   (uint64_t)policy->intensity);
    xo_pack_format(out, "s I s I s I s I", "period_ms", policy->period_ns / XO_MS, "backoff_ms",
                   policy->backoff_ns / XO_MS, "backoff_max_ms", policy->backoff_max_ns / XO_MS,
                   "create_timeout_ms", policy->create_timeout_ns / XO_MS);
}

/* The buffers that the reader is in front of, into a message of its own. */
static xo_msg_t *read_buffers(xo_reader_t *reader)
{
    static const xo_header_t header = {.kind = XO_TELL};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    uint32_t count;
    xo_slice_t buffer;
    int rc = xo_read_array(reader, &count);
    for (; msg != NULL && rc == 0 && count > 0; count--) {
        rc = xo_read_bin(reader, &buffer);
        if (rc == 0)
            rc = xo_msg_add_buffer_copy(msg, buffer.data, buffer.size);
    }
    if (rc < 0)
        xo_msg_destroy(&msg);
    return msg;
}

static int read_policy(xo_reader_t *reader, xo_actor_spec_t *spec)
{
    uint32_t count;
    xo_slice_t key;
    if (xo_read_map(reader, &count) < 0)
        return -1;
    for (; count > 0; count--) {
        if (xo_read_str(reader, &key) < 0 ||
            (xo_slice_eq_str(key, "order") ? xo_read_uint(reader, &spec->order)
                                           : xo_policy_set(&spec->policy, key, reader, NULL)) < 0) {
            errno = EBADMSG;
            return -1;
        }
    }
    return 0;
}

xo_actor_spec_t *xo_actor_spec_unpack(xo_slice_t bytes)
{
    xo_reader_t reader = xo_reader(bytes);
    uint32_t count;
    int64_t layout;
    xo_slice_t body;
    if (xo_read_array(&reader, &count) < 0 || count != 4 || xo_read_int(&reader, &layout) < 0 ||
        layout != LAYOUT || xo_read_bin(&reader, &body) < 0) {
        errno = EBADMSG;
        return NULL;
    }
    xo_msg_t *buffers = read_buffers(&reader);
    xo_actor_spec_t *spec = buffers ? xo_actor_spec_create(body, buffers) : NULL;
    xo_msg_destroy(&buffers);
    if (spec == NULL || read_policy(&reader, spec) == 0)
        return spec;
    xo_actor_spec_destroy(spec);
    errno = EBADMSG;
    return NULL;
}

static int add_buffers(const xo_actor_spec_t *spec, xo_msg_t *msg)
{
    const char *at = spec->bytes + spec->body_size;
    for (size_t i = 0; i < spec->buffer_count; at += spec->buffer_sizes[i++]) {
        if (xo_msg_add_buffer_copy(msg, at, spec->buffer_sizes[i]) < 0)
            return -1;
    }
    return 0;
}

void xo_again_format(uint64_t mark, char text[XO_AGAIN_BYTES])
{
    snprintf(text, XO_AGAIN_BYTES, XO_TRACE_AGAIN "%016" PRIx64, mark);
}

xo_msg_t *xo_actor_spec_msg(const xo_actor_spec_t *spec, xo_slice_t uid, const char *class_name,
                            uint64_t incarnation, uint64_t mark)
{
    char trace[XO_AGAIN_BYTES];
    xo_again_format(mark, trace);
    xo_header_t header = {.kind = XO_CREATE,
                          .target_uid = uid,
                          .incarnation = incarnation,
                          .method = xo_slice_str(class_name),
                          .trace = xo_slice_str(trace)};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(spec->bytes, spec->body_size));
    if (msg != NULL && add_buffers(spec, msg) < 0)
        xo_msg_destroy(&msg);
    return msg;
}

/* ---- policy ---- */

static int read_group(xo_reader_t *value, xo_slice_t *group, xo_error_t *err)
{
    if (xo_read_str(value, group) < 0 || group->size == 0)
        return xo_error_set(err, EINVAL, "group must be the name of one");
    return 0;
}

static int read_shutdown(xo_reader_t *value, int64_t *ms, xo_error_t *err)
{
    if (xo_read_int(value, ms) < 0 || *ms < 1 || *ms > XO_POLICY_MS_MAX)
        return xo_error_set(err, EINVAL, "shutdown_ms must be a whole number from 1 to %d",
                            XO_POLICY_MS_MAX);
    return 0;
}

static int read_placement(xo_reader_t *value, xo_error_t *err)
{
    xo_slice_t placement;
    if (xo_read_str(value, &placement) < 0 ||
        (!xo_slice_eq_str(placement, "any") && !xo_slice_eq_str(placement, "node")))
        return xo_error_set(err, EINVAL, "placement must be node or any");
    return 0;
}

static int read_option(xo_actor_spec_t *spec, xo_slice_t key, xo_reader_t *value,
                       xo_policy_t *policy, xo_error_t *err)
{
    if (xo_slice_eq_str(key, "group"))
        return read_group(value, &spec->group, err);
    if (xo_slice_eq_str(key, "shutdown_ms"))
        return read_shutdown(value, &spec->shutdown_ms, err);
    if (xo_slice_eq_str(key, "placement"))
        return read_placement(value, err);
    return xo_policy_set(policy, key, value, err);
}

static int read_options(xo_actor_spec_t *spec, xo_policy_t *policy, xo_error_t *err)
{
    uint32_t pairs = 0;
    xo_slice_t key;
    xo_slice_t options = xo_create_options(xo_slice(spec->bytes, spec->body_size));
    xo_reader_t reader = xo_reader(options);
    if (options.size > 0)
        xo_read_map(&reader, &pairs);
    while (pairs-- > 0) {
        if (xo_read_str(&reader, &key) < 0)
            return xo_error_set(err, EINVAL, "it takes a map with str keys");
        if (read_option(spec, key, &reader, policy, err) < 0)
            return -1;
    }
    return 0;
}

int xo_actor_spec_inherit(xo_actor_spec_t *spec, const xo_policy_t *pools, xo_error_t *err)
{
    xo_policy_t policy = pools ? *pools : xo_policy_default();
    policy.restart = XO_RESTART_PERMANENT;
    xo_actor_spec_forgive(spec); /* it has the size of another policy */
    spec->policy = policy;
    spec->group = xo_slice(NULL, 0);
    spec->shutdown_ms = SHUTDOWN_MS;
    if (read_options(spec, &policy, err) < 0)
        return xo_error_prefix(err, "its restart policy");
    spec->policy = policy;
    if (spec->anywhere && (spec->group.size > 0 || policy.restart != XO_RESTART_PERMANENT))
        return xo_error_set(err, EINVAL,
                            "only a permanent actor in no group can have the placement 'any'");
    return 0;
}

const xo_policy_t *xo_actor_spec_policy(const xo_actor_spec_t *spec)
{
    return &spec->policy;
}

/* There may be a million, most of which never fail. Without memory it is as if it had not. */
xo_decision_t xo_actor_spec_ended(xo_actor_spec_t *spec, xo_end_t end, int64_t now_ns,
                                  int64_t took_ns)
{
    xo_policy_state_t none = {0};
    if (spec->history != NULL)
        xo_policy_leave_out(spec->history, took_ns);
    if (spec->history == NULL && end != XO_END_ASKED)
        spec->history = calloc(1, xo_policy_state_bytes(&spec->policy));
    return xo_policy_ended(&spec->policy, spec->history ? spec->history : &none, end, now_ns,
                           (uint32_t)xo_random_id());
}

void xo_actor_spec_forgive(xo_actor_spec_t *spec)
{
    free(spec->history);
    spec->history = NULL;
}

void xo_actor_spec_write_history(const xo_actor_spec_t *spec, int64_t now_ns, int64_t now_ms,
                                 char text[XO_POLICY_TEXT_BYTES])
{
    text[0] = 0;
    if (spec->history != NULL)
        xo_policy_write(&spec->policy, spec->history, now_ns, now_ms, text);
}

void xo_actor_spec_read_history(xo_actor_spec_t *spec, int64_t now_ns, int64_t now_ms,
                                const char *text)
{
    xo_policy_state_t whole;
    size_t size = xo_policy_state_bytes(&spec->policy);
    xo_policy_read(&spec->policy, &whole, now_ns, now_ms, text);
    xo_actor_spec_forgive(spec);
    spec->history = malloc(size);
    if (spec->history != NULL)
        memcpy(spec->history, &whole, size);
}

bool xo_actor_spec_is_anywhere(const xo_actor_spec_t *spec)
{
    return spec != NULL && spec->anywhere;
}

/* ---- its group ---- */

xo_slice_t xo_actor_spec_group(const xo_actor_spec_t *spec)
{
    return spec->group;
}

int64_t xo_actor_spec_shutdown_ms(const xo_actor_spec_t *spec)
{
    return spec->shutdown_ms;
}

uint64_t xo_actor_spec_order(const xo_actor_spec_t *spec)
{
    return spec->order;
}

void xo_actor_spec_set_order(xo_actor_spec_t *spec, uint64_t order)
{
    spec->order = order;
}
