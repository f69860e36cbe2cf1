/* target.c - calls of C actors to others, and waiting for room.
 *
 * Every call has a target: an actor and one of its methods, looked up, in this pool or behind a
 * link. One that is kept is looked up again only when actors of the pool came or went, or its link
 * closed. What is for an actor of this pool goes straight into its mailbox, if that can be.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/cache.h"
#include "libxo/future.h"
#include "libxo/pack_arguments.h"
#include "pool/host_impl.h"
#include "pool/own.h"

struct xo_target {
    xo_pool_t *pool;
    const char *address; /* NULL: this pool's */
    xo_slice_t uid;
    xo_slice_t method;
    xo_actor_t *actor;         /* in this pool; NULL: it has none */
    uint64_t changes;          /* the pool's when that was found out */
    const xoi_method_t *known; /* the actor's method; NULL: it has none, or is not made yet */
    xo_link_t *link;           /* NULL: this pool. A reference, of a target that is kept */
    uint64_t moves;            /* the endpoint's when that was found out */
    xo_actor_t *caller;        /* whose it is; NULL: nobody's, it is for one call */
    xo_target_t *prev, *next;
    xo_header_t header; /* if `known`: of a tell, but for who sends it and on whose behalf */
    char texts[];       /* uid, method and address, each with a NUL */
};

/* ---- looking up ---- */

static int check_names(const xo_target_t *target, xo_error_t *err)
{
    if (target->uid.size - 1 >= XO_UID_BYTES_MAX)
        return xo_error_set(err, EINVAL, "a uid has 1 to %d bytes, not %zu", XO_UID_BYTES_MAX,
                            target->uid.size);
    if (target->method.size > XO_METHOD_BYTES_MAX)
        return xo_error_set(err, EINVAL, "a method's name has at most %d bytes, not %zu",
                            XO_METHOD_BYTES_MAX, target->method.size);
    return 0;
}

static int target_init(xo_target_t *target, xo_pool_t *pool, const char *address, const char *uid,
                       const char *method, xo_error_t *err)
{
    memset(target, 0, offsetof(xo_target_t, header));
    target->pool = pool;
    target->uid = xo_slice_str(uid);
    target->method = xo_slice_str(method);
    target->changes = pool->changes - 1;
    if (address && !xo_endpoint_is_self(pool->endpoint, address))
        target->address = address;
    return check_names(target, err);
}

static void set_link(xo_target_t *target, xo_link_t *link)
{
    if (target->caller && link)
        xo_link_incref(link);
    if (target->caller)
        xo_link_decref(target->link);
    target->link = link;
}

/* 1: it has moved to this pool. */
static int find_link(xo_target_t *target, xo_error_t *err)
{
    xo_endpoint_t *endpoint = target->pool->endpoint;
    uint64_t moves = xo_endpoint_moves(endpoint);
    if (target->link && target->moves == moves && xo_link_up(target->link))
        return 0;
    const char *where = xo_endpoint_where(endpoint, target->address, target->uid);
    bool here = xo_endpoint_is_self(endpoint, where);
    xo_link_t *link = here ? NULL : xo_endpoint_link(endpoint, where, err);
    if (!link && !here)
        return -1;
    set_link(target, link);
    target->moves = moves;
    return here;
}

static bool is_known(const xo_target_t *target)
{
    return target->known && target->changes == target->pool->changes;
}

static __attribute__((noinline)) void look_up(xo_target_t *target)
{
    xo_pool_t *pool = target->pool;
    if (target->changes != pool->changes) {
        target->changes = pool->changes;
        target->actor = xo_pool_find(pool, target->uid);
        target->known = NULL;
    }
    bool lacks = target->actor && !target->known && target->actor->object_made;
    if (lacks && !xo_pool_answers(target->method))
        target->known = xoi_method_find(xoi_c_actor(target->actor)->kind, target->method);
    if (target->known)
        target->header = (xo_header_t){.kind = XO_TELL,
                                       .target_uid = xo_actor_uid(target->actor),
                                       .sender_id = pool->id,
                                       .method = target->known->name};
}

static inline void find_actor(xo_target_t *target)
{
    if (!is_known(target))
        look_up(target);
}

static __attribute__((noinline)) int refuse_full(const xo_target_t *target, xo_error_t *err)
{
    if (xo_pool_answers(target->method))
        return 0;
    return xo_error_set(err, EAGAIN, "the mailbox of \"%.*s\" is full", (int)target->uid.size,
                        target->uid.data);
}

/* In this pool a full mailbox pushes back. */
static inline int find(xo_target_t *target, xo_error_t *err)
{
    int rc = target->address ? find_link(target, err) : 1;
    if (rc <= 0)
        return rc;
    find_actor(target);
    return !target->actor || xoi_has_room(target->actor) ? 0 : refuse_full(target, err);
}

/* ---- targets that are kept ---- */

static char *copy_text(char *at, const char **text)
{
    size_t bytes = strlen(*text) + 1;
    memcpy(at, *text, bytes);
    *text = at;
    return at + bytes;
}

xo_target_t *xo_target_create(xo_actor_t *caller, const char *address, const char *uid,
                              const char *method, xo_error_t *err)
{
    xo_target_t named;
    if (target_init(&named, caller->pool, address, uid, method, err) < 0)
        return NULL;
    size_t texts = named.uid.size + named.method.size + (address ? strlen(address) : 0) + 3;
    xo_target_t *target = malloc(sizeof *target + texts);
    if (!target)
        return xo_error_null(err, ENOMEM, "out of memory for a target");
    *target = named;
    char *end = copy_text(target->texts, &uid);
    method = method ? method : "";
    end = copy_text(end, &method);
    target->uid.data = uid;
    target->method.data = method;
    if (target->address)
        copy_text(end, &target->address);
    target->caller = caller;
    DL_APPEND(xoi_c_actor(caller)->targets, target);
    return target;
}

void xo_target_destroy(xo_target_t *target)
{
    if (!target)
        return;
    int saved = errno;
    DL_DELETE(xoi_c_actor(target->caller)->targets, target);
    xo_link_decref(target->link);
    free(target);
    errno = saved;
}

void xoi_targets_free(xo_actor_t *actor)
{
    while (xoi_c_actor(actor)->targets)
        xo_target_destroy(xoi_c_actor(actor)->targets);
}

/* ---- calls ---- */

static __attribute__((noinline)) int pack_body(xo_pool_t *pool, const char *format, va_list values,
                                               xo_error_t *err)
{
    xo_buf_clear(&pool->scratch);
    if (xoi_pack_arguments(&pool->scratch, format, values) < 0)
        return errno == ENOMEM
                   ? xo_error_set(err, ENOMEM, "out of memory for the arguments")
                   : xo_error_set(err, errno, "the format '%s' of the arguments is wrong",
                                  format ? format : "");
    return 0;
}

/* A target that is used once, and the arguments for it. */
static int prepare(xo_target_t *target, xo_pool_t *pool, const char *address, const char *uid,
                   const char *method, const char *format, va_list values, xo_error_t *err)
{
    if (pack_body(pool, format, values, err) < 0)
        return -1;
    return target_init(target, pool, address, uid, method, err);
}

/* May it go straight into the mailbox? Else it takes the way of all that arrives. */
static bool is_direct(const xo_target_t *target)
{
    const xo_pool_t *pool = target->pool;
    return target->known && !pool->closing && pool->scratch.size <= XOI_INLINE_BODY_BYTES;
}

static void write_header(xo_header_t *header, xo_kind_t kind, const xo_request_t *request,
                         const xo_target_t *target)
{
    *header = (xo_header_t){.kind = kind,
                            .target_uid = target->uid,
                            .sender_id = request->pool->id,
                            .sender_uid = xo_actor_uid(request->actor),
                            .method = target->method,
                            .trace = xo_msg_header(request->msg)->trace};
}

/* What the request has left is what its calls get. */
static xo_call_t *own_call(const xo_request_t *request, xo_future_t *future, xo_request_t *own)
{
    return xoi_own_call(future, xo_request_left(request), &own->call, xoi_own_cancel);
}

/* The arguments are in the pool's scratch buffer. `future` gets the answer; NULL: a tell. -1:
 * ENOMEM. */
static inline __attribute__((always_inline)) int
post(const xo_request_t *request, const xo_target_t *target, xo_future_t *future)
{
    const xo_method_t *method = target->known->method;
    const xo_actor_t *sender = request->actor;
    const xo_buf_t *body = &target->pool->scratch;
    xo_request_t *own = xoi_request_own(
        target->actor, method, &target->header, xo_slice(sender->uid, sender->uid_size),
        request->msg->header.trace, xo_slice(body->data, body->size));
    if (!own)
        return -1;
    own->no_lock = method->flags & XO_METHOD_NO_LOCK;
    if (future) {
        own->to.seq = xo_call_seq(own_call(request, future, own));
        own->msg->header.kind = XO_CALL;
        own->msg->header.seq = own->to.seq;
    }
    xoi_post(target->actor, own, future != NULL);
    return 0;
}

static __attribute__((noinline)) int lacks_memory(xo_error_t *err)
{
    return xo_error_set(err, ENOMEM, "out of memory for a message");
}

/* Apart, as send_tell: so that what stays in the pool has little to save and restore. */
static __attribute__((noinline)) int send_call(const xo_request_t *request,
                                               const xo_target_t *target, xo_future_t *future,
                                               xo_error_t *err)
{
    xo_pool_t *pool = request->pool;
    xo_header_t header;
    write_header(&header, XO_CALL, request, target);
    header.deadline_ms = (uint64_t)(xo_request_left(request) + XO_MS - 1) / XO_MS;
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&pool->scratch));
    if (!msg)
        return xo_error_set(err, errno, "no call can be made of that: %s", strerror(errno));
    xo_call_t *call = xo_endpoint_call(pool->endpoint, target->link, &msg, 0,
                                       xo_request_left(request), xoi_future_answer, future, err);
    int saved = errno;
    xo_msg_destroy(&msg);
    errno = saved;
    xoi_future_set_call(future, call);
    return call ? 0 : -1;
}

/* The arguments are in the pool's scratch buffer. */
static inline __attribute__((always_inline)) int call(xo_request_t *request, xo_target_t *target,
                                                      xo_future_f done, void *arg, xo_error_t *err)
{
    if (find(target, err) < 0)
        return -1;
    bool direct = is_direct(target);
    xoi_pending_t *pending = xoi_pending_create(request, direct, done, arg);
    if (!pending)
        return lacks_memory(err);
    int rc = direct ? post(request, target, pending->future)
                    : send_call(request, target, pending->future, err);
    if (rc < 0) {
        int saved = errno;
        xoi_pending_drop(pending);
        errno = saved;
        return direct ? lacks_memory(err) : -1;
    }
    xoi_pending_await(pending);
    return 0;
}

int xo_target_call(xo_target_t *target, xo_request_t *request, xo_error_t *err, xo_future_f done,
                   void *arg, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    bool packed = xoi_pack_small(&target->pool->scratch, format, values);
    va_end(values);
    if (!packed) {
        va_start(values, format);
        packed = pack_body(target->pool, format, values, err) == 0;
        va_end(values);
    }
    return packed ? call(request, target, done, arg, err) : -1;
}

static __attribute__((noinline)) int call_once(xo_request_t *request, xo_target_t *target,
                                               xo_future_f done, void *arg, xo_error_t *err)
{
    return call(request, target, done, arg, err);
}

int xo_request_call(xo_request_t *request, xo_error_t *err, const char *address, const char *uid,
                    xo_future_f done, void *arg, const char *method, const char *format, ...)
{
    xo_target_t target;
    va_list values;
    va_start(values, format);
    int rc = prepare(&target, request->pool, address, uid, method, format, values, err);
    va_end(values);
    return rc < 0 ? -1 : call_once(request, &target, done, arg, err);
}

/* ---- tells ---- */

static __attribute__((noinline)) int send_tell(xo_request_t *request, const xo_target_t *target,
                                               xo_error_t *err)
{
    xo_pool_t *pool = request->pool;
    xo_header_t header;
    write_header(&header, XO_TELL, request, target);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&pool->scratch));
    if (!msg)
        return xo_error_set(err, errno, "no message can be made of that: %s", strerror(errno));
    int rc = xo_endpoint_tell(pool->endpoint, target->link, &msg, 0, NULL, NULL, err);
    int saved = errno;
    xo_msg_destroy(&msg);
    errno = saved;
    return rc;
}

/* As with `call`. */
static inline __attribute__((always_inline)) int tell(xo_request_t *request, xo_target_t *target,
                                                      xo_error_t *err)
{
    if (find(target, err) < 0)
        return -1;
    if (!is_direct(target))
        return send_tell(request, target, err);
    return post(request, target, NULL) == 0 ? 0 : lacks_memory(err);
}

int xo_target_tell(xo_target_t *target, xo_request_t *request, xo_error_t *err, const char *format,
                   ...)
{
    va_list values;
    va_start(values, format);
    bool packed = xoi_pack_small(&target->pool->scratch, format, values);
    va_end(values);
    if (!packed) {
        va_start(values, format);
        packed = pack_body(target->pool, format, values, err) == 0;
        va_end(values);
    }
    return packed ? tell(request, target, err) : -1;
}

static __attribute__((noinline)) int tell_once(xo_request_t *request, xo_target_t *target,
                                               xo_error_t *err)
{
    return tell(request, target, err);
}

int xo_request_tell(xo_request_t *request, xo_error_t *err, const char *address, const char *uid,
                    const char *method, const char *format, ...)
{
    xo_target_t target;
    va_list values;
    va_start(values, format);
    int rc = prepare(&target, request->pool, address, uid, method, format, values, err);
    va_end(values);
    return rc < 0 ? -1 : tell_once(request, &target, err);
}

/* ---- links ---- */

/* The actor itself is asked for it, which its pool answers. */
static int prepare_own(xo_target_t *own, const xo_request_t *request, const char *method,
                       const char *address, const char *uid, xo_error_t *err)
{
    xo_pool_t *pool = request->pool;
    if (request->actor->state == XOI_ACTOR_GONE)
        return xo_error_set(err, ENOENT, "the actor itself has ended");
    xoi_pack_scratch(pool, "[[s s] {}]", address ? address : xo_pool_address(pool), uid);
    *own = (xo_target_t){.pool = pool,
                         .uid = xo_actor_uid(request->actor),
                         .method = xo_slice_str(method),
                         .changes = pool->changes - 1};
    return 0;
}

int xo_request_link_to(xo_request_t *request, xo_error_t *err, const char *address, const char *uid,
                       xo_future_f done, void *arg)
{
    xo_target_t own;
    if (prepare_own(&own, request, XO_METHOD_LINK, address, uid, err) < 0)
        return -1;
    return call_once(request, &own, done, arg, err);
}

int xo_request_unlink_from(xo_request_t *request, xo_error_t *err, const char *address,
                           const char *uid)
{
    xo_target_t own;
    if (prepare_own(&own, request, XO_METHOD_UNLINK, address, uid, err) < 0)
        return -1;
    return tell_once(request, &own, err);
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
    xoi_cache_free(arg, sizeof(xoi_room_t));
}

static void mailbox_room(xo_actor_t *actor, void *arg)
{
    (void)actor;
    room_done(arg);
    xoi_cache_free(arg, sizeof(xoi_room_t));
}

/* -1 with ENOENT: nothing to wait for. */
static int wait_at(xo_target_t *target, xoi_room_t *room)
{
    int rc = target->address ? find_link(target, NULL) : 1;
    if (rc <= 0)
        return rc < 0 ? -1 : xo_link_on_room_for(target->link, target->uid, link_room, room);
    find_actor(target);
    errno = ENOENT;
    return target->actor ? xo_actor_on_room(target->actor, mailbox_room, room) : -1;
}

int xo_target_on_room(xo_target_t *target, xo_request_t *request, void (*call)(void *arg),
                      void *arg)
{
    xoi_room_t *room = xoi_cache_calloc(sizeof *room);
    if (!room)
        return -1;
    room->actor = request->actor;
    room->room = call;
    room->arg = arg;
    DL_APPEND(xoi_c_actor(request->actor)->rooms, room);
    if (wait_at(target, room) == 0)
        return 0;
    int saved = errno;
    DL_DELETE(xoi_c_actor(request->actor)->rooms, room);
    xoi_cache_free(room, sizeof *room);
    errno = saved;
    return -1;
}

int xo_request_on_room(xo_request_t *request, const char *address, const char *uid,
                       void (*room)(void *arg), void *arg)
{
    xo_target_t target;
    if (target_init(&target, request->pool, address, uid, NULL, NULL) < 0)
        return -1;
    return xo_target_on_room(&target, request, room, arg);
}

void xoi_rooms_end(xo_actor_t *actor)
{
    while (xoi_c_actor(actor)->rooms)
        room_done(xoi_c_actor(actor)->rooms);
}
