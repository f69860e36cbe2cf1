/* module_call.c - what the methods of C actors use: arguments, answers, calls to other actors. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/cache.h"
#include "libxo/future.h"
#include "libxo/msg_impl.h"
#include "libxo/own_call.h"
#include "libxo/pack_arguments.h"
#include "pool/host_impl.h"

/* ---- arguments ---- */

/* As msgpack. The low bits of EMPTY_ARRAY's are the count of one that has up to 15 values. */
#define PAIR 0x92
#define EMPTY_ARRAY 0x90
#define EMPTY_MAP 0x80

bool xoi_is_empty(xo_slice_t container)
{
    xo_reader_t reader = xo_reader(container);
    if (container.size == 1 && (*reader.at == EMPTY_MAP || *reader.at == EMPTY_ARRAY))
        return true;
    uint32_t count;
    return !container.size ||
           ((xo_read_array(&reader, &count) == 0 || xo_read_map(&reader, &count) == 0) && !count);
}

/* Of most calls: few arguments, no keywords. False: look closer. */
static bool plain_arguments(xo_slice_t pair, xo_slice_t *args, xo_slice_t *kwargs)
{
    xo_reader_t reader = xo_reader(pair);
    const uint8_t *head = reader.at;
    if (pair.size < 3 || head[0] != PAIR || (head[1] & 0xf0) != EMPTY_ARRAY)
        return false;
    reader.at += 2;
    for (unsigned left = head[1] & 0x0f; left > 0; left--)
        if (xo_read_skip(&reader) < 0)
            return false;
    if (reader.at + 1 != reader.end || *reader.at != EMPTY_MAP)
        return false;
    *args = xo_slice(pair.data + 1, pair.size - 2);
    *kwargs = xo_slice(reader.at, 1);
    return true;
}

void xoi_arguments(xo_slice_t pair, xo_slice_t *args, xo_slice_t *kwargs)
{
    uint32_t count;
    xo_reader_t reader = xo_reader(pair);
    if (plain_arguments(pair, args, kwargs))
        return;
    if (xo_read_array(&reader, &count) == 0 && count == 2 && xo_read_type(&reader) == XO_T_ARRAY &&
        xo_read_raw(&reader, args) == 0 && xo_read_type(&reader) == XO_T_MAP &&
        xo_read_raw(&reader, kwargs) == 0)
        return;
    *args = *kwargs = xo_slice(NULL, 0);
}

static void parse(xo_request_t *request)
{
    if (request->parsed)
        return;
    request->parsed = true;
    xoi_arguments(xo_msg_body(request->msg), &request->args, &request->kwargs);
}

xo_slice_t xo_request_args(xo_request_t *request)
{
    parse(request);
    return request->args;
}

xo_slice_t xo_request_kwargs(xo_request_t *request)
{
    parse(request);
    return request->kwargs;
}

static void refuse_args(xo_request_t *request, const char *why)
{
    char text[XOI_TEXT_BYTES];
    xo_slice_t method = xo_msg_header(request->msg)->method;
    xo_request_fail(request, XO_CODE_REFUSED, "the arguments of %s.%s: %s",
                    xo_actor_class(request->actor), xoi_text(method, text), why);
}

int xo_request_unpack(xo_request_t *request, const char *format, ...)
{
    xo_error_t err;
    xo_slice_t args = xo_request_args(request);
    if (!args.size) {
        refuse_args(request, "they must be plain values (numbers, text, bytes, lists, dicts), not "
                             "a Python pickle");
        return -1;
    }
    va_list values;
    va_start(values, format);
    int rc = xoi_unpack_arguments(args, &err, format, values);
    va_end(values);
    if (rc < 0)
        refuse_args(request, err.text);
    return rc;
}

int xo_request_bytes(const xo_request_t *request, xo_slice_t value, xo_slice_t *bytes)
{
    int type;
    uint64_t index;
    xo_slice_t payload;
    xo_reader_t reader = xo_reader(value);
    if (xo_read_bytes(&reader, bytes) == 0)
        return 0;
    if (xo_read_ext(&reader, &type, &payload) == 0 && type == XO_EXT_BUFFER) {
        reader = xo_reader(payload);
        if (xo_read_uint(&reader, &index) == 0 && index < xo_msg_buffer_count(request->msg)) {
            *bytes = xo_msg_buffer(request->msg, index);
            return 0;
        }
    }
    errno = EBADMSG;
    return -1;
}

xo_loop_t *xo_request_loop(const xo_request_t *request)
{
    return request->pool->loop;
}

/* ---- answers ---- */

void xo_request_reply(xo_request_t *request, const char *format, ...)
{
    xo_buf_t *out = &request->pool->scratch;
    if (!request->wants_answer) {
        xo_request_respond(request, xo_slice(NULL, 0));
        return;
    }
    va_list values;
    va_start(values, format);
    xo_buf_clear(out);
    int rc = xo_pack_vformat(out, format, values);
    va_end(values);
    if (rc < 0 || xo_buf_ok(out) < 0)
        xo_request_fail(request, XO_CODE_METHOD, "the answer cannot be written: %s",
                        strerror(errno));
    else
        xo_request_respond(request, xo_buf_slice(out));
}

static xo_msg_t *copy_answer(const xo_msg_t *from)
{
    zmq_msg_t buffer;
    xo_msg_t *msg =
        xo_msg_create(&(xo_header_t){.kind = xo_msg_header(from)->kind}, xo_msg_body(from));
    for (size_t i = 0; msg && i < xo_msg_buffer_count(from); i++)
        if (xo_msg_copy_buffer((xo_msg_t *)from, i, &buffer) < 0 ||
            xo_msg_add_buffer(msg, &buffer) < 0)
            xo_msg_destroy(&msg);
    return msg;
}

void xo_request_reply_future(xo_request_t *request, xo_future_t *future)
{
    const xo_msg_t *from = xo_future_answer(future);
    if (!from) {
        xo_request_fail(request, XO_CODE_SERVER_CLOSED, "the pool ended before the answer came");
        return;
    }
    xo_msg_t *answer = copy_answer(from);
    if (answer)
        xoi_request_end(request, &answer);
    else
        xo_request_fail(request, XO_CODE_SEND_FAILED, "out of memory for the answer");
}

/* ---- calls to other actors ---- */

static int pack_body(xo_pool_t *pool, const char *format, va_list values, xo_error_t *err)
{
    xo_buf_clear(&pool->scratch);
    if (xoi_pack_arguments(&pool->scratch, format, values) < 0)
        return errno == ENOMEM
                   ? xo_error_set(err, ENOMEM, "out of memory for the arguments")
                   : xo_error_set(err, errno, "the format '%s' of the arguments is wrong",
                                  format ? format : "");
    return 0;
}

/* Where a message goes. */
typedef struct target {
    xo_slice_t uid;
    xo_slice_t method;
    xo_actor_t *actor; /* in this pool, and there */
    xo_link_t *link;   /* NULL: this pool */
} target_t;

static xo_header_t header_for(const xo_request_t *request, xo_kind_t kind, const target_t *target)
{
    return (xo_header_t){.kind = kind,
                         .target_uid = target->uid,
                         .sender_id = request->pool->id,
                         .sender_uid = xo_actor_uid(request->actor),
                         .method = target->method,
                         .trace = xo_msg_header(request->msg)->trace};
}

/* In this pool a full mailbox pushes back. */
static int find_target(xo_pool_t *pool, const char *address, const char *uid, const char *method,
                       target_t *target, xo_error_t *err)
{
    *target =
        (target_t){{uid, uid ? strlen(uid) : 0}, {method, method ? strlen(method) : 0}, NULL, NULL};
    if (target->uid.size - 1 >= XO_UID_BYTES_MAX)
        return xo_error_set(err, EINVAL, "a uid has 1 to %d bytes, not %zu", XO_UID_BYTES_MAX,
                            target->uid.size);
    if (address && !xo_endpoint_is_self(pool->endpoint, address)) {
        target->link = xo_endpoint_link(pool->endpoint, address, err);
        return target->link ? 0 : -1;
    }
    target->actor = xo_pool_find(pool, target->uid);
    if (target->actor && !xo_actor_has_room(target->actor))
        return xo_error_set(err, EAGAIN, "the mailbox of \"%s\" is full", uid);
    return 0;
}

/* May it go straight into the mailbox? Else it takes the way of all that arrives. */
static bool is_direct(const xo_pool_t *pool, const target_t *target, const xo_header_t *header)
{
    return target->actor && !pool->closing && pool->scratch.size <= XOI_INLINE_BODY_BYTES &&
           header->method.size <= XO_METHOD_BYTES_MAX && !xoi_is_watch(header);
}

static void on_answer(xo_future_t *future, void *arg)
{
    xoi_pending_t *pending = arg;
    xo_future_f done = pending->done;
    void *done_arg = pending->arg;
    xo_actor_t *actor = pending->actor;
    xo_pool_t *pool = actor->pool;
    DL_DELETE(xoi_c_actor(actor)->pending, pending);
    xoi_cache_free(pending, sizeof *pending);
    xoi_progress_enter(&pool->progress, actor, xo_actor_uid(actor), xo_slice(NULL, 0),
                       xo_loop_now(pool->loop));
    done(future, done_arg);
    xoi_progress_leave(&pool->progress);
}

static xoi_pending_t *pending_create(const xo_request_t *request, xo_future_f done, void *arg)
{
    xo_actor_t *actor = request->actor;
    xoi_pending_t *pending = xoi_cache_calloc(sizeof *pending);
    if (!pending)
        return NULL;
    pending->future = xoi_future_create(request->pool->endpoint);
    if (!pending->future) {
        xoi_cache_free(pending, sizeof *pending);
        return NULL;
    }
    pending->actor = actor;
    pending->key = request->parent ? request->parent->key : request->key;
    pending->done = done;
    pending->arg = arg;
    DL_APPEND(xoi_c_actor(actor)->pending, pending);
    return pending;
}

static void pending_drop(xoi_pending_t *pending)
{
    DL_DELETE(xoi_c_actor(pending->actor)->pending, pending);
    xo_future_destroy(pending->future);
    xoi_cache_free(pending, sizeof *pending);
}

/* What the request has left is what its calls get. */
static int64_t deadline_left(const xo_request_t *request)
{
    const xo_request_t *whole = request->parent ? request->parent : request;
    if (!whole->due_ns)
        return 0;
    int64_t left = whole->due_ns - xo_loop_now(whole->pool->loop);
    return left > 0 ? left : 1;
}

static xo_call_t *direct_call(xo_request_t *request, const target_t *target, xo_header_t *header,
                              xo_future_t *future, xo_error_t *err)
{
    xo_pool_t *pool = request->pool;
    xo_call_t *call =
        xoi_own_call(pool->endpoint, deadline_left(request), xoi_future_answer, future, err);
    if (!call)
        return NULL;
    header->seq = xo_call_seq(call);
    if (xoi_post(target->actor, header, xo_buf_slice(&pool->scratch)) == 0)
        return call;
    xoi_own_call_forget(call);
    return xo_error_null(err, ENOMEM, "out of memory for a call");
}

static xo_call_t *send_call(xo_request_t *request, const target_t *target,
                            const xo_header_t *header, xo_future_t *future, xo_error_t *err)
{
    xo_pool_t *pool = request->pool;
    xo_msg_t *msg = xo_msg_create(header, xo_buf_slice(&pool->scratch));
    if (!msg)
        return xo_error_null(err, errno, "no call can be made of that: %s", strerror(errno));
    xo_call_t *call = xo_endpoint_call(pool->endpoint, target->link, &msg, 0,
                                       deadline_left(request), xoi_future_answer, future, err);
    int saved = errno;
    xo_msg_destroy(&msg);
    errno = saved;
    return call;
}

static int call(xo_request_t *request, const target_t *target, xo_future_f done, void *arg,
                xo_error_t *err)
{
    xo_header_t header = header_for(request, XO_CALL, target);
    xoi_pending_t *pending = pending_create(request, done, arg);
    if (!pending)
        return xo_error_set(err, ENOMEM, "out of memory for a call");
    xo_call_t *made = is_direct(request->pool, target, &header)
                          ? direct_call(request, target, &header, pending->future, err)
                          : send_call(request, target, &header, pending->future, err);
    if (!made) {
        int saved = errno;
        pending_drop(pending);
        errno = saved;
        return -1;
    }
    xoi_future_set_call(pending->future, made);
    xo_future_then(pending->future, on_answer, pending);
    return 0;
}

int xo_request_call(xo_request_t *request, xo_error_t *err, const char *address, const char *uid,
                    xo_future_f done, void *arg, const char *method, const char *format, ...)
{
    target_t target;
    va_list values;
    va_start(values, format);
    int rc = pack_body(request->pool, format, values, err);
    va_end(values);
    if (rc < 0 || find_target(request->pool, address, uid, method, &target, err) < 0)
        return -1;
    return call(request, &target, done, arg, err);
}

static int tell(xo_request_t *request, const target_t *target, xo_error_t *err)
{
    xo_pool_t *pool = request->pool;
    xo_slice_t body = xo_buf_slice(&pool->scratch);
    xo_header_t header = header_for(request, XO_TELL, target);
    if (is_direct(pool, target, &header))
        return xoi_post(target->actor, &header, body) == 0
                   ? 0
                   : xo_error_set(err, ENOMEM, "out of memory for a message");
    xo_msg_t *msg = xo_msg_create(&header, body);
    if (!msg)
        return xo_error_set(err, errno, "no message can be made of that: %s", strerror(errno));
    int rc = xo_endpoint_tell(pool->endpoint, target->link, &msg, 0, NULL, NULL, err);
    int saved = errno;
    xo_msg_destroy(&msg);
    errno = saved;
    return rc;
}

int xo_request_tell(xo_request_t *request, xo_error_t *err, const char *address, const char *uid,
                    const char *method, const char *format, ...)
{
    target_t target;
    va_list values;
    va_start(values, format);
    int rc = pack_body(request->pool, format, values, err);
    va_end(values);
    if (rc < 0 || find_target(request->pool, address, uid, method, &target, err) < 0)
        return -1;
    return tell(request, &target, err);
}

/* ---- waiting for room ---- */

static void room_done(xoi_room_t *room)
{
    void (*call)(void *arg) = room->room;
    void *arg = room->arg;
    if (room->actor)
        DL_DELETE(xoi_c_actor(room->actor)->rooms, room);
    room->actor = NULL;
    room->room = NULL;
    if (call)
        call(arg);
}

static void link_room(xo_link_t *link, void *arg)
{
    (void)link;
    room_done(arg);
    free(arg);
}

static void mailbox_room(xo_actor_t *actor, void *arg)
{
    (void)actor;
    room_done(arg);
    free(arg);
}

static int wait_for_room(xo_pool_t *pool, const char *address, const char *uid, xoi_room_t *room)
{
    xo_link_t *link = NULL;
    if (address && !xo_endpoint_is_self(pool->endpoint, address)) {
        link = xo_endpoint_link(pool->endpoint, address, NULL);
        return link ? xo_link_on_room(link, link_room, room) : -1;
    }
    xo_actor_t *actor = xo_pool_find(pool, xo_slice_str(uid));
    errno = ENOENT;
    return actor ? xo_actor_on_room(actor, mailbox_room, room) : -1;
}

int xo_request_on_room(xo_request_t *request, const char *address, const char *uid,
                       void (*call)(void *arg), void *arg)
{
    xoi_room_t *room = calloc(1, sizeof *room);
    if (!room)
        return -1;
    room->actor = request->actor;
    room->room = call;
    room->arg = arg;
    DL_APPEND(xoi_c_actor(request->actor)->rooms, room);
    if (wait_for_room(request->pool, address, uid, room) == 0)
        return 0;
    int saved = errno;
    DL_DELETE(xoi_c_actor(request->actor)->rooms, room);
    free(room);
    errno = saved;
    return -1;
}

/* ---- the ends of requests and actors ---- */

static bool is_behalf(const xoi_pending_t *pending, const xo_request_t *request)
{
    return pending->key.seq == request->key.seq && pending->key.sender_id == request->key.sender_id;
}

/* An answer may come within xo_future_cancel and change the list, so each round begins anew. */
void xoi_pending_cancel(xo_actor_t *actor, const xo_request_t *request)
{
    xoi_request_key_t key = request->key; /* the request may end within */
    xo_request_t named = {.key = key};
    xoi_pending_t *pending;
    do {
        DL_FOREACH(xoi_c_actor(actor)->pending, pending)
        if (!pending->cancelled && is_behalf(pending, &named))
            break;
        if (!pending)
            return;
        pending->cancelled = true;
        xo_future_cancel(pending->future);
    } while (xoi_c_actor(actor));
}

/* The actor goes: those who wait for answers hear that none will come. */
void xoi_pending_end(xo_actor_t *actor)
{
    while (xoi_c_actor(actor)->pending) {
        xoi_pending_t *pending = xoi_c_actor(actor)->pending;
        xo_future_t *future = pending->future;
        on_answer(future, pending);
    }
    while (xoi_c_actor(actor)->rooms)
        room_done(xoi_c_actor(actor)->rooms);
}
