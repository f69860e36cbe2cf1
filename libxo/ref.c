/* ref.c - references: an actor's address and uid, and the requests made through them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/future.h"
#include "libxo/msg_impl.h"
#include "libxo/pack_arguments.h"

#define ARRAY_OF_3 0x93           /* in msgpack */
#define XO_ACTOR_INTENSITY_MAX 64 /* as many as a broker remembers (broker/policy.h) */

struct xo_ref {
    xo_endpoint_t *endpoint;
    char address[XO_ADDRESS_BYTES];
    char uid[XO_UID_BYTES_MAX + 1];
    size_t uid_size;
    char sender[XO_UID_BYTES_MAX + 1];
    size_t sender_size;
    int64_t deadline_ms;
    bool idempotent;
};

static int set_address(xo_ref_t *ref, const char *address, xo_error_t *err)
{
    xo_address_t parsed;
    if (xo_address_parse(address, &parsed, err) < 0)
        return -1;
    if (parsed.port == 0)
        return xo_error_set(err, EINVAL, "address '%s' has no port", address);
    return xo_address_format(&parsed, ref->address, sizeof ref->address);
}

xo_ref_t *xo_ref_create_bytes(xo_endpoint_t *endpoint, const char *address, xo_slice_t uid,
                              xo_error_t *err)
{
    if (uid.size == 0 || uid.size > XO_UID_BYTES_MAX)
        return xo_error_null(err, EINVAL, "a uid has 1 to %d bytes, not %zu", XO_UID_BYTES_MAX,
                             uid.size);
    xo_ref_t *ref = calloc(1, sizeof *ref);
    if (!ref)
        return xo_error_null(err, ENOMEM, "out of memory for a reference");
    ref->endpoint = endpoint;
    memcpy(ref->uid, uid.data, uid.size);
    ref->uid_size = uid.size;
    if (set_address(ref, address, err) < 0) {
        int saved = errno;
        free(ref);
        errno = saved;
        return NULL;
    }
    return ref;
}

xo_ref_t *xo_ref_create(xo_endpoint_t *endpoint, const char *address, const char *uid,
                        xo_error_t *err)
{
    return xo_ref_create_bytes(endpoint, address, xo_slice_str(uid), err);
}

void xo_ref_destroy(xo_ref_t *ref)
{
    free(ref);
}

const char *xo_ref_address(const xo_ref_t *ref)
{
    return ref->address;
}

xo_slice_t xo_ref_uid(const xo_ref_t *ref)
{
    return xo_slice(ref->uid, ref->uid_size);
}

void xo_ref_set_deadline(xo_ref_t *ref, int64_t deadline_ms)
{
    ref->deadline_ms = deadline_ms;
}

void xo_ref_set_idempotent(xo_ref_t *ref, bool idempotent)
{
    ref->idempotent = idempotent;
}

void xo_ref_set_sender(xo_ref_t *ref, xo_slice_t sender_uid)
{
    ref->sender_size = sender_uid.size > XO_UID_BYTES_MAX ? XO_UID_BYTES_MAX : sender_uid.size;
    if (ref->sender_size)
        memcpy(ref->sender, sender_uid.data, ref->sender_size);
}

/* ---- sending ---- */

static xo_msg_t *make(const xo_ref_t *ref, xo_kind_t kind, const char *method, const xo_buf_t *body)
{
    bool again = ref->idempotent && (kind == XO_CALL || kind == XO_BATCH);
    xo_header_t header = {.kind = kind,
                          .flags = again ? XO_F_IDEMPOTENT : 0,
                          .target_uid = xo_ref_uid(ref),
                          .sender_uid = xo_slice(ref->sender, ref->sender_size),
                          .method = xo_slice_str(method),
                          .deadline_ms = (uint64_t)ref->deadline_ms};
    return xoi_msg_of(&header, body);
}

static int link_of(const xo_ref_t *ref, xo_link_t **link, xo_error_t *err)
{
    const char *where = xo_endpoint_where(ref->endpoint, ref->address, xo_ref_uid(ref));
    *link = NULL;
    if (xo_endpoint_is_self(ref->endpoint, where))
        return 0;
    *link = xo_endpoint_link(ref->endpoint, where, err);
    return *link ? 0 : -1;
}

/* Sends *msg, which it takes over also when it fails. */
static xo_future_t *send_call(const xo_ref_t *ref, xo_msg_t **msg, xo_error_t *err)
{
    xo_link_t *link;
    xo_future_t *future = *msg ? xoi_future_create(ref->endpoint) : NULL;
    xo_call_t *call = NULL;
    if (!future)
        xo_error_set(err, ENOMEM, "out of memory for a call");
    else if (link_of(ref, &link, err) == 0)
        call = xo_endpoint_call(ref->endpoint, link, msg, 0, ref->deadline_ms * XO_MS,
                                xoi_future_answer, future, err);
    xo_msg_destroy(msg);
    if (!call) {
        xo_future_destroy(future);
        return NULL;
    }
    xoi_future_set_call(future, call);
    return future;
}

static int pack_arguments(xo_buf_t *body, xo_error_t *err, const char *format, va_list args)
{
    if (xoi_pack_arguments(body, format, args) < 0)
        return errno == ENOMEM ? xo_error_set(err, ENOMEM, "out of memory for the arguments")
                               : xo_error_set(err, errno, "the arguments' format '%s' is wrong",
                                              format ? format : "");
    return 0;
}

xo_future_t *xo_ref_call(xo_ref_t *ref, xo_error_t *err, const char *method, const char *format,
                         ...)
{
    xo_buf_t body = XO_BUF_INIT;
    va_list args;
    va_start(args, format);
    int rc = pack_arguments(&body, err, format, args);
    va_end(args);
    xo_future_t *future = NULL;
    if (rc == 0) {
        xo_msg_t *msg = make(ref, XO_CALL, method, &body);
        future = send_call(ref, &msg, err);
    }
    xo_buf_free(&body);
    return future;
}

static void pack_pair(xo_buf_t *body, xo_slice_t args, xo_slice_t kwargs)
{
    xo_pack_array(body, 2);
    xo_pack_raw(body, args);
    if (kwargs.size)
        xo_pack_raw(body, kwargs);
    else
        xo_pack_map(body, 0);
}

xo_future_t *xo_ref_call_packed(xo_ref_t *ref, xo_error_t *err, const char *method, xo_slice_t args,
                                xo_slice_t kwargs)
{
    xo_buf_t body = XO_BUF_INIT;
    pack_pair(&body, args, kwargs);
    xo_msg_t *msg = make(ref, XO_CALL, method, &body);
    xo_buf_free(&body);
    return send_call(ref, &msg, err);
}

xo_future_t *xo_ref_batch(xo_ref_t *ref, xo_error_t *err, const char *method,
                          const xo_slice_t *lists, size_t count)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_array(&body, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        pack_pair(&body, lists[i], xo_slice(NULL, 0));
    xo_msg_t *msg = make(ref, XO_BATCH, method, &body);
    xo_buf_free(&body);
    return send_call(ref, &msg, err);
}

int xo_ref_tell(xo_ref_t *ref, xo_error_t *err, const char *method, const char *format, ...)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_link_t *link;
    va_list args;
    va_start(args, format);
    int rc = pack_arguments(&body, err, format, args);
    va_end(args);
    if (rc == 0)
        rc = link_of(ref, &link, err);
    if (rc == 0) {
        xo_msg_t *msg = make(ref, XO_TELL, method, &body);
        rc = msg ? xo_endpoint_tell(ref->endpoint, link, &msg, 0, NULL, NULL, err)
                 : xo_error_set(err, ENOMEM, "out of memory for a message");
        xo_msg_destroy(&msg);
    }
    xo_buf_free(&body);
    return rc;
}

/* ---- creating ---- */

static int check_restart(const char *restart, xo_error_t *err)
{
    if (!restart || strcmp(restart, "permanent") == 0 || strcmp(restart, "transient") == 0 ||
        strcmp(restart, "temporary") == 0)
        return 0;
    return xo_error_set(err, EINVAL, "restart '%s': not one of permanent, transient, temporary",
                        restart);
}

/* What its uid has to be is checked by its pool. */
static int check_placement(const xo_actor_options_t *options, xo_error_t *err)
{
    const char *placement = options->placement;
    if (!placement || strcmp(placement, "node") == 0)
        return 0;
    if (strcmp(placement, "any") != 0)
        return xo_error_set(err, EINVAL, "placement '%s': not one of node, any", placement);
    if (options->group)
        return xo_error_set(err, EINVAL,
                            "a group is of one node: its members cannot have the placement 'any'");
    if (options->restart && strcmp(options->restart, "permanent") != 0)
        return xo_error_set(err, EINVAL, "only a permanent actor can have the placement 'any'");
    return 0;
}

static int check_range(const char *name, int64_t value, int64_t max, xo_error_t *err)
{
    if (value >= -1 && value <= max)
        return 0;
    return xo_error_set(err, EINVAL, "%s must be from 0 to %lld, or -1, not %lld", name,
                        (long long)max, (long long)value);
}

static int check_options(const xo_actor_options_t *options, xo_error_t *err)
{
    if (check_restart(options->restart, err) < 0 || check_placement(options, err) < 0 ||
        check_range("intensity", options->intensity, XO_ACTOR_INTENSITY_MAX, err) < 0 ||
        check_range("period_ms", options->period_ms, INT32_MAX, err) < 0 ||
        check_range("backoff_ms", options->backoff_ms, INT32_MAX, err) < 0)
        return -1;
    if (options->group && !options->group[0])
        return xo_error_set(err, EINVAL, "group must be a name, not empty");
    if (check_range("shutdown_ms", options->shutdown_ms, INT32_MAX, err) < 0 ||
        check_range("create_timeout_ms", options->create_timeout_ms, INT32_MAX, err) < 0)
        return -1;
    return check_range("backoff_max_ms", options->backoff_max_ms, INT32_MAX, err);
}

static uint32_t pack_option(xo_buf_t *out, const char *name, int64_t value)
{
    if (value < 0)
        return 0;
    xo_pack_cstr(out, name);
    xo_pack_int(out, value);
    return 1;
}

static uint32_t pack_text(xo_buf_t *out, const char *name, const char *value)
{
    if (!value)
        return 0;
    xo_pack_format(out, "s s", name, value);
    return 1;
}

static void pack_options(xo_buf_t *out, const xo_actor_options_t *options)
{
    xo_buf_t pairs = XO_BUF_INIT;
    uint32_t count = pack_text(&pairs, "restart", options->restart);
    count += pack_text(&pairs, "group", options->group);
    count += pack_text(&pairs, "placement", options->placement);
    count += pack_option(&pairs, "shutdown_ms", options->shutdown_ms ? options->shutdown_ms : -1);
    count += pack_option(&pairs, "intensity", options->intensity);
    count += pack_option(&pairs, "period_ms", options->period_ms);
    count += pack_option(&pairs, "backoff_ms", options->backoff_ms);
    count += pack_option(&pairs, "backoff_max_ms", options->backoff_max_ms);
    count += pack_option(&pairs, "create_timeout_ms", options->create_timeout_ms);
    xo_pack_map(out, count);
    xo_buf_append(out, pairs.data, pairs.size);
    out->failed |= pairs.failed;
    xo_buf_free(&pairs);
}

int xo_create_options_add(xo_buf_t *body, const xo_actor_options_t *options, xo_error_t *err)
{
    if (check_options(options, err) < 0)
        return -1;
    if (xo_buf_ok(body) < 0)
        return xo_error_set(err, ENOMEM, "out of memory for a message");
    body->data[0] = (char)ARRAY_OF_3;
    pack_options(body, options);
    return xo_buf_ok(body) < 0 ? xo_error_set(err, ENOMEM, "out of memory for a message") : 0;
}

static int name_actor(xo_ref_t *at, const char *address, const char *uid, xo_error_t *err)
{
    size_t uid_size = uid ? strlen(uid) : 0;
    if (uid_size > XO_UID_BYTES_MAX)
        return xo_error_set(err, EINVAL, "a uid has at most %d bytes, not %zu", XO_UID_BYTES_MAX,
                            uid_size);
    if (set_address(at, address, err) < 0)
        return -1;
    memcpy(at->uid, uid ? uid : "", uid_size);
    at->uid_size = uid_size;
    return 0;
}

static xo_future_t *create(xo_endpoint_t *endpoint, xo_error_t *err, const char *address,
                           const char *class_name, const char *uid,
                           const xo_actor_options_t *options, const char *format, va_list args)
{
    xo_ref_t at = {.endpoint = endpoint};
    xo_buf_t body = XO_BUF_INIT;
    xo_future_t *future = NULL;
    if (name_actor(&at, address, uid, err) < 0)
        return NULL;
    if (pack_arguments(&body, err, format, args) == 0 &&
        (!options || xo_create_options_add(&body, options, err) == 0)) {
        xo_msg_t *msg = make(&at, XO_CREATE, class_name, &body);
        future = send_call(&at, &msg, err);
    }
    xo_buf_free(&body);
    return future;
}

xo_future_t *xo_create_actor(xo_endpoint_t *endpoint, xo_error_t *err, const char *address,
                             const char *class_name, const char *uid, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    xo_future_t *future = create(endpoint, err, address, class_name, uid, NULL, format, args);
    va_end(args);
    return future;
}

xo_future_t *xo_create_actor_with(xo_endpoint_t *endpoint, xo_error_t *err, const char *address,
                                  const char *class_name, const char *uid,
                                  const xo_actor_options_t *options, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    xo_future_t *future = create(endpoint, err, address, class_name, uid, options, format, args);
    va_end(args);
    return future;
}

xo_future_t *xoi_ref_ask(xo_ref_t *ref, xo_error_t *err)
{
    xo_msg_t *msg = make(ref, XO_REF, NULL, &(xo_buf_t)XO_BUF_INIT);
    return send_call(ref, &msg, err);
}

xo_future_t *xo_ref_destroy_actor(xo_ref_t *ref, xo_error_t *err)
{
    xo_msg_t *msg = make(ref, XO_DESTROY, NULL, &(xo_buf_t)XO_BUF_INIT);
    return send_call(ref, &msg, err);
}
