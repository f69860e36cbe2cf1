/* host_c.c - the pool's operations on C actors. */
#include "pool/host_c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/host_impl.h"
#include "pool/mailbox.h"

#define NAMES_BYTES 256

/* More than fit the processor's cache take half as long again each (doc/performance.md). */
#define NEAR_MESSAGES 256

xo_host_c_t *xo_host_c_create(void (*stop)(void *arg), void *arg, xo_error_t *err)
{
    xo_host_c_t *host = calloc(1, sizeof *host);
    if (!host)
        return xo_error_null(err, ENOMEM, "out of memory for a host");
    host->stop = stop;
    host->arg = arg;
    return host;
}

void xo_host_c_destroy(xo_host_c_t *host)
{
    if (!host)
        return;
    int saved = errno;
    xoi_modules_free(host);
    free(host);
    errno = saved;
}

/* ---- create ---- */

static void refuse_class(const xo_host_c_t *host, xo_request_t *request)
{
    char names[NAMES_BYTES] = "";
    char text[XOI_TEXT_BYTES];
    size_t used = 0;
    xoi_class_t *kind;
    xoi_class_t *next;
    xo_slice_t name = xo_msg_header(xo_request_msg(request))->method;
    HASH_ITER(hh, host->classes, kind, next)
    if (used < sizeof names)
        used += (size_t)snprintf(names + used, sizeof names - used, " %s", kind->class_->name);
    xo_request_fail(request, XO_CODE_NO_CLASS, "no class \"%s\" in this pool; it has:%s",
                    xoi_text(name, text), used ? names : " none");
}

static xoi_c_actor_t *c_actor_create(xo_actor_t *actor, xoi_class_t *kind)
{
    xoi_c_actor_t *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->kind = kind;
    actor->host_data = c;
    xo_actor_set_stateless(actor, kind->class_->flags & XO_CLASS_STATELESS);
    return c;
}

/* -1: the request has been refused. */
static int check_create_args(const xo_class_t *class_, xo_request_t *request)
{
    xo_slice_t args = xo_request_args(request);
    if (!args.size)
        xo_request_fail(request, XO_CODE_REFUSED,
                        "class %s is written in C: its arguments must be plain values (numbers, "
                        "text, bytes, lists, dicts), not a Python pickle",
                        class_->name);
    else if (!xoi_is_empty(xo_request_kwargs(request)))
        xo_request_fail(request, XO_CODE_REFUSED, "class %s takes no keyword arguments",
                        class_->name);
    else if (!class_->create && !xoi_is_empty(args))
        xo_request_fail(request, XO_CODE_REFUSED, "class %s takes no arguments", class_->name);
    else
        return 0;
    return -1;
}

static int make_object(xo_actor_t *actor, xoi_c_actor_t *c, xo_request_t *request)
{
    xo_error_t err = {0};
    void *self = NULL;
    const xo_class_t *class_ = c->kind->class_;
    if (class_->create && class_->create(actor, xo_request_args(request), &self, &err) < 0) {
        xo_request_fail(request, XO_CODE_REFUSED, "class %s: %s", class_->name,
                        err.text[0] ? err.text : "refused its arguments");
        return -1;
    }
    actor->object_made = true;
    xo_actor_set_object(actor, self);
    return 0;
}

static void respond_nil(xo_request_t *request)
{
    xo_request_respond(request, xo_slice("\xc0", 1));
}

/* A request that a hook has not ended lets the actor's messages pass. */
static void run_hook(xo_actor_t *actor, void (*hook)(void *self, xo_request_t *request),
                     xo_request_t *request)
{
    xoi_actor_state_t state = actor->state;
    if (!hook) {
        respond_nil(request);
        return;
    }
    hook(actor->object, request);
    if (actor->state == state)
        xo_request_unlock(request);
}

static void host_create(void *arg, xo_actor_t *actor, xo_request_t *request)
{
    xo_host_c_t *host = arg;
    xoi_class_t *kind = xoi_class_find(host, xo_msg_header(xo_request_msg(request))->method);
    if (!kind) {
        refuse_class(host, request);
        return;
    }
    xoi_c_actor_t *c = c_actor_create(actor, kind);
    if (!c) {
        xo_request_fail(request, XO_CODE_REFUSED, "out of memory for an actor");
        return;
    }
    if (check_create_args(kind->class_, request) < 0 || make_object(actor, c, request) < 0)
        return;
    run_hook(actor, kind->class_->post_create, request);
}

/* ---- handle ---- */

static void refuse_method(const xo_actor_t *actor, xo_request_t *request)
{
    char uid[XOI_TEXT_BYTES];
    char text[XOI_TEXT_BYTES];
    xo_slice_t name = xo_msg_header(xo_request_msg(request))->method;
    xo_request_fail(request, XO_CODE_NO_METHOD, "actor \"%s\" of class %s has no method \"%s\"",
                    xoi_text(xo_actor_uid(actor), uid), xo_actor_class(actor),
                    xoi_text(name, text));
}

static __attribute__((noinline)) void handle_other(xo_actor_t *actor, xo_request_t *request)
{
    const xo_header_t *header = xo_msg_header(request->msg);
    if (!request->method) {
        const xoi_method_t *found = xoi_method_find(xoi_c_actor(actor)->kind, header->method);
        if (!found) {
            refuse_method(actor, request);
            return;
        }
        request->method = found->method;
    }
    if (header->kind == XO_BATCH)
        xoi_batch_run(request, request->method);
    else
        xoi_method_run(request->method, request);
}

/* What comes from this pool has its method already, no keywords, and is no batch. */
static void host_handle(void *arg, xo_actor_t *actor, xo_request_t *request)
{
    (void)arg;
    if (xoi_is_own(request))
        request->method->run(actor->object, request);
    else
        handle_other(actor, request);
}

/* One call, of a batch perhaps. */
void xoi_method_run(const xo_method_t *method, xo_request_t *request)
{
    xo_slice_t kwargs = xo_request_kwargs(request);
    if (kwargs.size && !(method->flags & XO_METHOD_KWARGS) && !xoi_is_empty(kwargs))
        xo_request_fail(request, XO_CODE_REFUSED, "method %s takes no keyword arguments",
                        method->name);
    else
        method->run(request->actor->object, request);
}

static void host_destroy(void *arg, xo_actor_t *actor, xo_request_t *request)
{
    (void)arg;
    run_hook(actor, xoi_c_actor(actor)->kind->class_->pre_destroy, request);
}

static void host_release(void *arg, xo_actor_t *actor)
{
    (void)arg;
    xoi_c_actor_t *c = xoi_c_actor(actor);
    if (!c)
        return;
    xoi_pending_end(actor);
    if (actor->object_made && c->kind->class_->destroy)
        c->kind->class_->destroy(actor->object);
    xoi_batches_free(actor);
    xoi_targets_free(actor);
    actor->host_data = NULL;
    free(c);
}

static void host_cancel(void *arg, xo_actor_t *actor, xo_request_t *request)
{
    (void)arg;
    xoi_pending_cancel(actor, request);
}

static bool host_bypass(void *arg, xo_actor_t *actor, xo_slice_t name)
{
    (void)arg;
    xoi_class_t *kind = xoi_c_actor(actor)->kind;
    if (!kind->has_no_lock)
        return false;
    const xoi_method_t *found = xoi_method_find(kind, name);
    return found && (found->method->flags & XO_METHOD_NO_LOCK);
}

static bool host_traps(void *arg, xo_actor_t *actor)
{
    (void)arg;
    return xoi_method_find(xoi_c_actor(actor)->kind, xo_slice_str(XO_METHOD_EXIT)) != NULL;
}

static void host_stop(void *arg)
{
    xo_host_c_t *host = arg;
    if (host->stop)
        host->stop(host->arg);
}

static void host_log(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "xo-pool: %s\n", text);
}

const xo_host_ops_t *xo_host_c_ops(void)
{
    static const xo_host_ops_t ops = {.language = "c",
                                      .near_messages = NEAR_MESSAGES,
                                      .create = host_create,
                                      .handle = host_handle,
                                      .destroy = host_destroy,
                                      .release = host_release,
                                      .cancel = host_cancel,
                                      .bypass = host_bypass,
                                      .traps = host_traps,
                                      .stop = host_stop,
                                      .log = host_log};
    return &ops;
}
