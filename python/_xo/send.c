/* send.c - see send.h.
 */
#include "_xo/send.h"

#include "_xo/here.h"
#include "_xo/internal.h"
#include "_xo/mark.h"
#include "_xo/own.h"
#include "_xo/pool.h"
#include "_xo/room.h"
#include "_xo/run.h"
#include "_xo/runtime.h"
#include "_xo/values.h"
#include "_xo/watch.h"

/* What a pool answers itself, it reads itself: no objects, and not from a mailbox. */
static bool is_for_pool(const xo_header_t *header)
{
    return xopy_is_internal(header->method) && xo_pool_answers(header->method);
}

/* Where a request goes. */
typedef struct xopy_target {
    xo_endpoint_t *endpoint;
    xo_link_t *link;   /* NULL: a pool of this loop, which takes objects as they are */
    xo_actor_t *actor; /* there; NULL: no such actor */
} xopy_target_t;

/* What is sent; the parts that a message's kind has no use for are NULL. */
typedef struct xopy_letter {
    xo_header_t header;
    PyObject *name;        /* of a call's method, as header has it */
    PyObject *const *args; /* as vectorcall passes them */
    Py_ssize_t count;
    PyObject *kwnames;
    PyObject *pairs;  /* of a batch */
    PyObject *object; /* of a create: what is pickled */
    int64_t timeout_ns;
} xopy_letter_t;

/* ---- where ---- */

static int link_to(xopy_runtime_t *runtime, xopy_target_t *target, PyObject *address)
{
    xo_error_t err;
    const char *text = PyUnicode_AsUTF8(address);
    target->endpoint = text ? xopy_runtime_sender(runtime) : NULL;
    if (!target->endpoint)
        return -1;
    target->link = xo_endpoint_link(target->endpoint, text, &err);
    if (target->link)
        return 0;
    xopy_raise(&err);
    return -1;
}

/* The broker is asked through the pool's own link, which is there as long as the pool is joined. */
static int link_to_broker(xopy_pool_t *pool, xopy_target_t *target)
{
    target->endpoint = xo_pool_endpoint(pool->xo);
    target->link = xo_endpoint_broker(target->endpoint);
    if (target->link)
        return 0;
    Py_XDECREF(xopy_glue("no_broker", "(s)", xo_pool_address(pool->xo)));
    return -1;
}

static int find_at(xopy_runtime_t *runtime, PyObject *address, xo_slice_t uid,
                   xopy_target_t *target)
{
    xopy_pool_t *pool = xopy_runtime_local(runtime, address);
    if (!pool)
        return link_to(runtime, target, address);
    if (xo_slice_eq_str(uid, XO_BROKER_UID))
        return link_to_broker(pool, target);
    target->endpoint = xo_pool_endpoint(pool->xo);
    target->link = NULL;
    target->actor = xo_pool_find(pool->xo, uid);
    return 0;
}

/* An actor with a name may have moved since the reference was made. */
static int find_target(xopy_runtime_t *runtime, PyObject *address, xo_slice_t uid,
                       xopy_target_t *target)
{
    const xo_endpoint_t *endpoint = xo_uid_is_name(uid) ? xopy_runtime_sender(runtime) : NULL;
    const char *text = endpoint && xo_endpoint_moves(endpoint) ? PyUnicode_AsUTF8(address) : NULL;
    const char *where = text ? xo_endpoint_where(endpoint, text, uid) : NULL;
    PyErr_Clear(); /* there is no endpoint, or the address is none: said below */
    if (where == text)
        return find_at(runtime, address, uid, target);
    PyObject *moved = PyUnicode_FromString(where);
    int failed = moved ? find_at(runtime, moved, uid, target) : -1;
    Py_XDECREF(moved);
    return failed;
}

/* ---- what ---- */

static void free_object(void *object)
{
    Py_DECREF((PyObject *)object);
}

static bool has_arguments(const xo_header_t *header)
{
    return header->kind == XO_CALL || header->kind == XO_TELL;
}

static PyObject *local_pair(const xopy_letter_t *letter)
{
    PyObject *tuple, *dict;
    if (xopy_args_to_objects(letter->args, letter->count, letter->kwnames, &tuple, &dict) < 0)
        return NULL;
    return xopy_pair(tuple, dict);
}

/* Objects that stay in the process are passed as they are. A mailbox counts this much for a
 * message, and what its arguments hold in buffers; what else they hold is anybody's guess. */
#define LOCAL_BYTES 256

static size_t bytes_of(PyObject *object)
{
    Py_buffer view;
    size_t size = 0;
    if (PyUnicode_CheckExact(object))
        return (size_t)PyUnicode_GET_LENGTH(object);
    if (!PyObject_CheckBuffer(object))
        return 0;
    if (PyObject_GetBuffer(object, &view, PyBUF_STRIDED_RO) == 0) {
        size = (size_t)view.len;
        PyBuffer_Release(&view);
    }
    PyErr_Clear();
    return size;
}

static size_t local_bytes(const xopy_letter_t *letter)
{
    size_t size = LOCAL_BYTES;
    Py_ssize_t named = letter->kwnames ? PyTuple_GET_SIZE(letter->kwnames) : 0;
    if (has_arguments(&letter->header))
        for (Py_ssize_t i = 0; i < letter->count + named; i++)
            size += bytes_of(letter->args[i]);
    return size;
}

static xo_msg_t *local_message(const xopy_letter_t *letter)
{
    PyObject *payload;
    if (letter->header.kind == XO_BATCH)
        payload = Py_NewRef(letter->pairs);
    else if (letter->header.kind == XO_CREATE)
        payload = Py_NewRef(letter->object);
    else if (has_arguments(&letter->header))
        payload = local_pair(letter);
    else
        payload = Py_NewRef(Py_None);
    if (!payload)
        return NULL;
    xo_msg_t *msg = xo_msg_create_local(&letter->header, payload, free_object, local_bytes(letter));
    if (msg)
        return msg;
    Py_DECREF(payload);
    return (xo_msg_t *)PyErr_NoMemory();
}

static int put_body(xopy_body_t *body, const xopy_letter_t *letter)
{
    if (letter->header.kind == XO_BATCH)
        return xopy_put_pairs(body, letter->pairs);
    if (letter->header.kind == XO_CREATE)
        return xopy_put_create(body, letter->object);
    if (has_arguments(&letter->header))
        return xopy_put_args(body, letter->args, letter->count, letter->kwnames);
    return 0;
}

static xopy_share_t share_of(const xopy_target_t *target, const xopy_letter_t *letter)
{
    if (!target->link || strcmp(xo_link_scheme(target->link), "inproc") == 0)
        return XOPY_SHARE_NONE;
    bool waits = letter->header.kind != XO_TELL && !(letter->header.flags & XO_F_NO_ANSWER);
    return waits ? XOPY_SHARE_ALL : XOPY_SHARE_IMMUTABLE;
}

static xo_msg_t *remote_message(const xopy_target_t *target, const xopy_letter_t *letter)
{
    xopy_body_t body;
    xo_msg_t *msg = NULL;
    xopy_body_init(&body, xopy_state()->pins, share_of(target, letter), target->link);
    if (put_body(&body, letter) == 0)
        msg = xopy_body_message(&body, &letter->header);
    xopy_body_free(&body);
    return msg;
}

/* ---- off it goes ---- */

static int send_tell(xopy_call_t *call, const xopy_target_t *target, xo_msg_t **msg,
                     xo_error_t *err)
{
    /* With credit at hand the lane takes it now; only without does anybody have to wait. */
    if (xo_endpoint_tell(target->endpoint, target->link, msg, 0, NULL, NULL, err) == 0) {
        xopy_call_set_result(call, Py_NewRef(Py_None));
        return 0;
    }
    if (errno != EAGAIN)
        return -1;
    Py_INCREF(call);
    if (xo_endpoint_tell(target->endpoint, target->link, msg, XO_SEND_QUEUE, xopy_call_accepted,
                         call, err) == 0)
        return 0;
    Py_DECREF(call);
    return -1;
}

static int send_request(xopy_call_t *call, const xopy_target_t *target, int64_t timeout_ns,
                        xo_msg_t **msg, xo_error_t *err)
{
    Py_INCREF(call);
    call->under_way = xo_endpoint_call(target->endpoint, target->link, msg, XO_SEND_QUEUE,
                                       timeout_ns, xopy_call_answered, call, err);
    if (call->under_way)
        return 0;
    Py_DECREF(call);
    return -1;
}

static bool wants_answer(const xo_header_t *header)
{
    return header->kind != XO_TELL && !(header->flags & XO_F_NO_ANSWER);
}

static int send_far(xopy_call_t *call, const xopy_target_t *target, const xopy_letter_t *letter,
                    xo_msg_t **msg, xo_error_t *err)
{
    return wants_answer(&letter->header) ? send_request(call, target, letter->timeout_ns, msg, err)
                                         : send_tell(call, target, msg, err);
}

static int send_near(xopy_call_t *call, const xopy_target_t *target, const xopy_letter_t *letter,
                     xo_msg_t **msg, xo_error_t *err)
{
    xopy_local_request_t request = {target->endpoint, target->actor, call, letter->timeout_ns};
    return xopy_send_local(&request, msg) < 0 ? xo_error_set(err, ENOMEM, "out of memory") : 0;
}

/* It is not here, but may have moved: then what it is sent has to follow it. */
static bool may_be_elsewhere(const xopy_target_t *target, const xo_header_t *header)
{
    return xo_kind_joins_line(header->kind) && !target->actor &&
           xo_uid_is_name(header->target_uid) && wants_answer(header);
}

static int send_to(xopy_call_t *call, const xopy_target_t *target, xopy_letter_t *letter)
{
    xo_error_t err;
    const xo_header_t *header = &letter->header;
    bool far = target->link || is_for_pool(header) || may_be_elsewhere(target, header);
    xo_msg_t *msg = far ? remote_message(target, letter) : local_message(letter);
    if (!msg)
        return -1;
    int failed = far ? send_far(call, target, letter, &msg, &err)
                     : send_near(call, target, letter, &msg, &err);
    if (failed) {
        xo_msg_destroy(&msg);
        xopy_raise(&err);
    }
    return failed;
}

/* Runs it without a message, if that can be. What is left to be awaited then is a call like others:
 * it can be cancelled, and ends with the actor. 1: done; 0: it has to be sent; -1 with an
 * exception.
 */
static int run_here(xopy_call_t *call, const xopy_target_t *target, const xopy_letter_t *letter)
{
    PyObject *rest;
    const xopy_here_t here = {target->actor, letter->name, letter->args, letter->count,
                              letter->kwnames};
    const xo_header_t *header = &letter->header;
    bool plain = header->kind == XO_CALL && !header->flags && !header->trace.size;
    if (!plain || !letter->name || letter->timeout_ns || !xopy_call_here(call, &here, &rest))
        return 0;
    if (!rest)
        return 1;
    xopy_letter_t settle = {.header = letter->header, .args = &rest, .count = 1};
    settle.header.method = xo_slice_str(XOPY_METHOD_SETTLE);
    int failed = send_to(call, target, &settle);
    Py_DECREF(rest);
    return failed ? -1 : 1;
}

static int send_letter(xopy_call_t *call, PyObject *address, xopy_letter_t *letter)
{
    xopy_target_t target;
    if (find_target(call->runtime, address, letter->header.target_uid, &target) < 0)
        return -1;
    int done = !target.link && target.actor ? run_here(call, &target, letter) : 0;
    return done == 0 ? send_to(call, &target, letter) : done < 0 ? -1 : 0;
}

/* For the receiver, which does not begin what is still queued then. */
static void tell_deadline(xopy_letter_t *letter)
{
    if (wants_answer(&letter->header))
        letter->header.deadline_ms = ((uint64_t)letter->timeout_ns + XO_MS - 1) / XO_MS;
}

/* Errors are the call's: who sends sees them where it waits for the answer, as remote ones. */
static PyObject *post(xopy_call_t *call, PyObject *address, xopy_letter_t *letter)
{
    bool watched = xopy_is_watched() && wants_answer(&letter->header) && letter->header.method.size;
    PyObject *trace = watched ? xopy_watch_sending(address, &letter->header) : NULL;
    PyObject *mark = xopy_mark_sending(&letter->header);
    tell_deadline(letter);
    if (send_letter(call, address, letter) < 0)
        xopy_call_set_exception(call, NULL);
    else if (watched)
        xopy_watch_sent(call, address, &letter->header);
    Py_XDECREF(trace);
    Py_XDECREF(mark);
    return (PyObject *)call;
}

static int address_letter(const xopy_method_t *method, xo_kind_t kind, xopy_letter_t *letter)
{
    Py_ssize_t size;
    const char *name = PyUnicode_AsUTF8AndSize(method->name, &size);
    if (!name)
        return -1;
    if (size > XO_METHOD_BYTES_MAX) {
        PyErr_Format(PyExc_AttributeError, "no method has a name of %zd bytes", size);
        return -1;
    }
    letter->name = method->name;
    letter->header = (xo_header_t){.kind = kind,
                                   .flags = (uint16_t)method->flags,
                                   .target_uid = xopy_ref_uid_slice(method->ref),
                                   .method = xo_slice(name, (size_t)size)};
    return 0;
}

/* ---- lazy ones: (method, kind, args or pairs, kwargs or None) ---- */

static PyObject *lazy_spec(xopy_method_t *method, int kind, PyObject *args, PyObject *kwargs)
{
    return Py_BuildValue("(OiOO)", method, kind, args, kwargs ? kwargs : Py_None);
}

static PyObject *send_later(xopy_method_t *method, int kind, PyObject *const *args,
                            Py_ssize_t count, PyObject *kwnames)
{
    PyObject *tuple, *dict;
    if (PyErr_Occurred() || xopy_args_to_objects(args, count, kwnames, &tuple, &dict) < 0)
        return NULL;
    PyObject *spec = lazy_spec(method, kind, tuple, dict);
    PyObject *call = spec ? (PyObject *)xopy_call_create_lazy(spec) : NULL;
    Py_XDECREF(spec);
    Py_DECREF(tuple);
    Py_XDECREF(dict);
    return call;
}

/* A batch is kept as XO_BATCH with its flags above the kind's bits. */
#define LAZY_KIND_BITS 8

static PyObject *batch_later(xopy_method_t *method, PyObject *pairs, unsigned flags)
{
    if (PyErr_Occurred())
        return NULL;
    PyObject *spec = lazy_spec(method, XO_BATCH | (int)(flags << LAZY_KIND_BITS), pairs, NULL);
    PyObject *call = spec ? (PyObject *)xopy_call_create_lazy(spec) : NULL;
    Py_XDECREF(spec);
    return call;
}

static PyObject *lazy_call(xopy_call_t *call, xopy_method_t *method, xo_kind_t kind, PyObject *args,
                           PyObject *kwargs)
{
    xopy_letter_t letter = {.timeout_ns = method->timeout_ns};
    PyObject *values = kwargs == Py_None ? NULL : xopy_glue("flatten", "(OO)", args, kwargs);
    if (kwargs != Py_None && !values)
        return NULL;
    PyObject *flat = values ? PyTuple_GET_ITEM(values, 0) : args;
    letter.kwnames = values ? PyTuple_GET_ITEM(values, 1) : NULL;
    letter.args = ((PyTupleObject *)flat)->ob_item;
    letter.count = PyTuple_GET_SIZE(args);
    PyObject *sent = NULL;
    if (address_letter(method, kind, &letter) == 0)
        sent = post(call, method->ref->address, &letter);
    Py_XDECREF(values);
    return sent;
}

static PyObject *lazy_batch(xopy_call_t *call, xopy_method_t *method, int kind, PyObject *pairs)
{
    xopy_letter_t letter = {.pairs = pairs, .timeout_ns = method->timeout_ns};
    if (address_letter(method, XO_BATCH, &letter) < 0)
        return NULL;
    letter.header.flags |= (uint16_t)(kind >> LAZY_KIND_BITS);
    return post(call, method->ref->address, &letter);
}

void xopy_send_lazy(xopy_call_t *call, PyObject *spec)
{
    xopy_method_t *method = (xopy_method_t *)PyTuple_GET_ITEM(spec, 0);
    int kind = (int)PyLong_AsLong(PyTuple_GET_ITEM(spec, 1));
    PyObject *args = PyTuple_GET_ITEM(spec, 2);
    PyObject *sent;
    if ((kind & ((1 << LAZY_KIND_BITS) - 1)) == XO_BATCH)
        sent = lazy_batch(call, method, kind, args);
    else
        sent = lazy_call(call, method, kind, args, PyTuple_GET_ITEM(spec, 3));
    if (!sent)
        xopy_call_set_exception(call, NULL);
}

/* ---- what others use ---- */

PyObject *xopy_send(xopy_method_t *method, xo_kind_t kind, PyObject *const *args, Py_ssize_t count,
                    PyObject *kwnames)
{
    xopy_letter_t letter = {
        .args = args, .count = count, .kwnames = kwnames, .timeout_ns = method->timeout_ns};
    xopy_runtime_t *runtime = xopy_runtime_current(xopy_state());
    if (!runtime)
        return send_later(method, kind, args, count, kwnames);
    if (address_letter(method, kind, &letter) < 0)
        return NULL;
    xopy_call_t *call = xopy_call_create(runtime);
    return call ? post(call, method->ref->address, &letter) : NULL;
}

PyObject *xopy_send_batch(xopy_method_t *method, PyObject *pairs, bool answer)
{
    xopy_letter_t letter = {.pairs = pairs, .timeout_ns = method->timeout_ns};
    unsigned flags = answer ? 0 : XO_F_NO_ANSWER;
    xopy_runtime_t *runtime = xopy_runtime_current(xopy_state());
    if (!runtime)
        return batch_later(method, pairs, flags);
    if (address_letter(method, XO_BATCH, &letter) < 0)
        return NULL;
    letter.header.flags |= (uint16_t)flags;
    xopy_call_t *call = xopy_call_create(runtime);
    return call ? post(call, method->ref->address, &letter) : NULL;
}

/* On whose behalf this is: an actor that destroys itself must not wait for its own lock, nor for a
 * task of its own that does. */
static xo_slice_t own_uid(void)
{
    const xopy_run_t *run = xopy_own_run();
    return run && run->request ? xo_actor_uid(run->actor) : xo_slice(NULL, 0);
}

static int control_header(xo_kind_t kind, PyObject *uid, PyObject *name, xo_header_t *header)
{
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(name, &size);
    if (!text)
        return -1;
    *header =
        (xo_header_t){.kind = kind,
                      .target_uid = xo_slice(PyBytes_AS_STRING(uid), (size_t)PyBytes_GET_SIZE(uid)),
                      .sender_uid = own_uid(),
                      .method = xo_slice(text, (size_t)size)};
    return 0;
}

PyObject *xopy_send_control(xo_kind_t kind, PyObject *address, PyObject *uid, PyObject *name,
                            PyObject *payload, xopy_convert_t convert)
{
    xopy_letter_t letter = {.object = payload};
    xopy_runtime_t *runtime = xopy_runtime_current(xopy_state());
    if (!runtime) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_RuntimeError, "no running event loop");
        return NULL;
    }
    if (control_header(kind, uid, name, &letter.header) < 0)
        return NULL;
    xopy_call_t *call = xopy_call_create(runtime);
    if (!call)
        return NULL;
    call->convert = convert;
    return post(call, address, &letter);
}
