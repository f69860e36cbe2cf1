/* module.h - actors in C. A module is a shared object with one exported symbol, `xo_module`:
 *
 *     static const xo_method_t methods[] = {
 *         {"add", counter_add, 0, "add(N): returns the sum"},
 *         {0},
 *     };
 *     static const xo_class_t counter = {.name = "Counter", .create = ..., .methods = methods};
 *     static const xo_class_t *const classes[] = {&counter, NULL};
 *     XO_MODULE("counter", classes);
 *
 * xo-pool --module counter.so hosts it; examples/counter.c is one to learn from. All functions are
 * called on the pool's thread and must not block: to wait for another actor, call it with
 * xo_request_call and answer in the callback.
 */
#ifndef XO_MODULE_H
#define XO_MODULE_H

#include <errno.h>
#include <stdint.h>

#include "pool/pool.h"

#define XO_MODULE_ABI 1

enum {
    XO_METHOD_NO_LOCK = 1 << 0, /* runs while another method of the actor is under way */
    XO_METHOD_KWARGS = 1 << 1   /* takes keyword arguments; other methods' callers are refused */
};
enum { XO_CLASS_STATELESS = 1 << 0 }; /* any number of messages at the same time */

typedef struct xo_method {
    const char *name; /* NULL ends the table */
    /* Handles one request and ends it (xo_request_respond ... below), now or later. */
    void (*run)(void *self, xo_request_t *request);
    unsigned flags;
    const char *doc; /* one line, shown by xo-pool --list */
} xo_method_t;

typedef struct xo_class {
    const char *name;
    unsigned flags;
    /* Makes the object from `args`, a msgpack array. -1 with a sentence refuses. NULL: the object
     * is NULL, and there are no arguments. */
    int (*create)(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err);
    /* After creation; ends the request as a method does, now or later: until then the actor handles
     * its messages, so it may wait for calls of itself. NULL: nothing to do. */
    void (*post_create)(void *self, xo_request_t *request);
    /* Before destruction; ends the request as post_create does. NULL: nothing to do. */
    void (*pre_destroy)(void *self, xo_request_t *request);
    /* Frees the object. Requests that it has not ended yet (the pool ends) have been answered: stop
     * timers and free what belongs to them; ending them is harmless until this returns. */
    void (*destroy)(void *self);
    const xo_method_t *methods;
    const char *doc;
} xo_class_t;

typedef struct xo_module {
    unsigned abi; /* XO_MODULE_ABI */
    const char *name;
    const xo_class_t *const *classes; /* NULL at the end */
} xo_module_t;

#define XO_MODULE(name_, classes_)                                                                 \
    __attribute__((visibility("default")))                                                         \
    const xo_module_t xo_module = {XO_MODULE_ABI, name_, classes_}

/* The positional arguments, a msgpack array, valid until the request ends; xo_request_unpack reads
 * them. A list of arguments that is a Python pickle gives an empty slice. */
xo_slice_t xo_request_args(xo_request_t *request);
xo_slice_t xo_request_kwargs(xo_request_t *request); /* a msgpack map or empty */

/* Reads the arguments: `format` (pack.h) is a list of one letter per positional argument. When they
 * do not fit (a pickle never does), ends the request with a Refused error that names the method and
 * the mistake, and returns -1: the method just returns. */
int xo_request_unpack(xo_request_t *request, const char *format, ...);
/* The bytes of `value`, a str or bin: also of one so large that it travels as a buffer beside the
 * message (read it with format letter V). -1: EBADMSG. */
int xo_request_bytes(const xo_request_t *request, xo_slice_t value, xo_slice_t *bytes);
/* Ends the request with the value that `format` writes (pack.h): one value, such as "i" or "[s s]".
 */
void xo_request_reply(xo_request_t *request, const char *format, ...);
/* Ends it as the answer of another call ended: with its result, or with its error. For `done`
 * callbacks that only pass on. */
void xo_request_reply_future(xo_request_t *request, xo_future_t *future);

/* Calls another actor on behalf of this request's actor; nothing waits. `address` NULL: in this
 * pool. `format` (pack.h; may be NULL) lists the positional arguments. `done` gets the future
 * exactly once, when it is answered, and destroys it; if the request's actor goes first, at that
 * moment, with a future that is not done (xo_future_get: EINPROGRESS). When the request is
 * cancelled, so are its calls. -1: EAGAIN (no credit, or the mailbox of an actor of this pool is
 * full), EINVAL (address, uid or format), ENOMEM; the request is still the caller's to end. */
int xo_request_call(xo_request_t *request, xo_error_t *err, const char *address, const char *uid,
                    xo_future_f done, void *arg, const char *method, const char *format, ...);
/* The same without an answer. */
int xo_request_tell(xo_request_t *request, xo_error_t *err, const char *address, const char *uid,
                    const char *method, const char *format, ...);

/* After EAGAIN: calls back once, when there is room for messages to that actor again, or when there
 * will be none because its link or this request's actor goes. -1: ENOMEM; ENOENT: no such actor in
 * this pool, so nothing to wait for. */
int xo_request_on_room(xo_request_t *request, const char *address, const char *uid,
                       void (*room)(void *arg), void *arg);

/* Links this request's actor to another one, anywhere and in any language: when either ends, in
 * whatever way, the other is destroyed, in its turn, for a reason that names the first one;
 * pre_destroy runs. But if its class has a method XO_METHOD_EXIT, it is told instead, by one
 * message with (address, uid, reason), which that reads with xo_request_unpack(request, "s B s",
 * ...), and nobody else may send. `done` gets the future as with xo_request_call: once it has a
 * result, they are linked. If the other had ended already it is an error (ENOENT, ENOTCONN), or the
 * message and a result. To be linked twice is to be linked once; an actor that is created again is
 * not linked. -1: as xo_request_call; ENOENT: this actor has ended. */
int xo_request_link_to(xo_request_t *request, xo_error_t *err, const char *address, const char *uid,
                       xo_future_f done, void *arg);
/* Ends a link, whichever of the two asked for it, at once; one that is not there is no error. A
 * message XO_METHOD_EXIT that waits in the mailbox still comes. */
int xo_request_unlink_from(xo_request_t *request, xo_error_t *err, const char *address,
                           const char *uid);
/* To be told of another actor's end without ending, of any number: xo_actor_monitor. */

/* An actor and one of its methods, for who calls them again and again: what the functions above
 * look up each time is looked up once. A call goes to the actor that has the uid at that moment,
 * also when the one before has gone. `address` and `uid` are as above. A target belongs to `caller`
 * (xo_request_actor, or what xo_class_t.create is given), whose requests it is used with, and is
 * freed with it, after xo_class_t.destroy, or by xo_target_destroy. NULL: EINVAL (uid or method),
 * ENOMEM. */
typedef struct xo_target xo_target_t;
xo_target_t *xo_target_create(xo_actor_t *caller, const char *address, const char *uid,
                              const char *method, xo_error_t *err);
void xo_target_destroy(xo_target_t *target); /* takes NULL; calls under way are not touched */

/* As xo_request_call, xo_request_tell and xo_request_on_room. */
int xo_target_call(xo_target_t *target, xo_request_t *request, xo_error_t *err, xo_future_f done,
                   void *arg, const char *format, ...);
int xo_target_tell(xo_target_t *target, xo_request_t *request, xo_error_t *err, const char *format,
                   ...);
int xo_target_on_room(xo_target_t *target, xo_request_t *request, void (*room)(void *arg),
                      void *arg);

/* The pool's loop, for timers. */
xo_loop_t *xo_request_loop(const xo_request_t *request);

#endif
