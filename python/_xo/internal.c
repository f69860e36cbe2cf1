/* internal.c - see internal.h.
 */
#include "_xo/internal.h"

#include "_xo/here.h"
#include "_xo/run.h"

bool xopy_is_internal(xo_slice_t method)
{
    const size_t size = sizeof XO_METHOD_PREFIX - 1;
    return method.size > size && memcmp(method.data, XO_METHOD_PREFIX, size) == 0;
}

bool xopy_is_internal_without_lock(xo_slice_t method)
{
    return xopy_is_internal(method) && !xo_slice_eq_str(method, XO_METHOD_PREFIX "produce") &&
           !xo_slice_eq_str(method, XO_METHOD_PREFIX "take") &&
           !xo_slice_eq_str(method, XO_METHOD_EXIT);
}

/* `sender`: the endpoint that has sent it; 0: this very pool. */
static PyObject *call_glue(xo_actor_t *actor, const xo_request_t *request, PyObject *name,
                           PyObject *args)
{
    const xo_header_t *header = xo_msg_header(xo_request_msg(request));
    unsigned long long sender = xo_request_is_local(request) ? 0 : header->sender_id;
    return xopy_glue("internal", "(OOOK)", xopy_actor_object(actor), name, args, sender);
}

/* What a method has returned that ran without a message (here.h): a call of its own awaits it. */
static PyObject *settle(const xo_request_t *request, PyObject *args)
{
    if (xo_request_is_local(request) && PyTuple_GET_SIZE(args) == 1)
        return xopy_settle(PyTuple_GET_ITEM(args, 0));
    PyErr_SetString(PyExc_AttributeError, XOPY_METHOD_SETTLE " is not for others");
    return NULL;
}

void xopy_handle_internal(xopy_pool_t *pool, xo_actor_t *actor, xo_request_t *request,
                          PyObject *name)
{
    PyObject *args, *kwargs, *result = NULL;
    bool settles = PyUnicode_CompareWithASCIIString(name, XOPY_METHOD_SETTLE) == 0;
    if (xopy_read_arguments(request, &args, &kwargs) == 0) {
        result = settles ? settle(request, args) : call_glue(actor, request, name, args);
        Py_DECREF(args);
        Py_XDECREF(kwargs);
    }
    if (result && PyCoro_CheckExact(result))
        xopy_run_start(pool, actor, request, XOPY_FOR_CALL, result, true);
    else
        xopy_respond(pool, request, XOPY_FOR_CALL, result);
}

void xopy_peer_gone(void *host, uint64_t endpoint)
{
    xopy_pool_t *pool = host;
    PyObject *result = xopy_glue("peer_gone", "(K)", (unsigned long long)endpoint);
    if (!result)
        xopy_report(pool->runtime, "the streams of a peer that is gone could not be closed");
    Py_XDECREF(result);
}
