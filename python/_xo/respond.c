/* respond.c - what a method returned or raised, as the answer to its request.
 */
#include "_xo/failure.h"
#include "_xo/run.h"
#include "_xo/values.h"

static void free_object(void *object)
{
    Py_DECREF((PyObject *)object);
}

/* How much an object holds that stays in the process is anybody's guess. */
#define LOCAL_BYTES 256

/* Steals `payload`. */
static xo_msg_t *local_answer(const xo_request_t *request, xo_kind_t kind, PyObject *payload)
{
    xo_header_t header = {.kind = kind, .flags = xo_request_flags(request)};
    xo_msg_t *msg = xo_msg_create_local(&header, payload, free_object, LOCAL_BYTES);
    if (!msg)
        Py_DECREF(payload);
    return msg;
}

static const char *address_of(const xopy_pool_t *pool)
{
    return pool->xo ? xo_pool_address(pool->xo) : "";
}

static void end(xo_request_t *request, xo_msg_t *answer)
{
    if (answer)
        xo_request_respond_msg(request, &answer);
    else
        xo_request_fail(request, XO_CODE_METHOD, "out of memory");
}

/* Ctrl-C and sys.exit are the program's, also when they come up inside a method. A sub pool is no
 * program of the method's: its other actors go on. */
void xopy_keep_fatal(xopy_pool_t *pool, PyObject *exception)
{
    if (!pool->is_sub && xopy_is_fatal(exception) && !pool->runtime->fatal)
        pool->runtime->fatal = Py_NewRef(exception);
}

PyObject *xopy_local_exception(const xopy_pool_t *pool, PyObject *exception)
{
    PyObject *dressed = NULL;
    if (!xopy_is_fatal(exception) &&
        !PyErr_GivenExceptionMatches(exception, xopy_state()->cancelled_error))
        dressed = xopy_glue("dress_local", "(Os)", exception, address_of(pool));
    PyErr_Clear();
    if (!dressed)
        return exception;
    Py_DECREF(exception);
    return dressed;
}

static bool is_creation(const xo_request_t *request)
{
    return xo_msg_header(xo_request_msg(request))->kind == XO_CREATE;
}

static void fail_with(xopy_pool_t *pool, xo_request_t *request, const char *code,
                      PyObject *exception)
{
    if (xo_request_is_local(request) && strcmp(code, XO_CODE_METHOD) == 0) {
        PyObject *payload = xopy_local_exception(pool, Py_NewRef(exception));
        end(request, local_answer(request, XO_ERROR, payload));
        return;
    }
    bool creates = is_creation(request);
    xo_msg_t *answer = xopy_failure_message(code, exception, address_of(pool), creates);
    if (!answer)
        PyErr_WriteUnraisable(exception);
    end(request, answer);
}

/* Of a creation that was cancelled its broker tells what it was waiting for. */
static void respond_exception(xopy_pool_t *pool, xo_request_t *request)
{
    PyObject *exception = xopy_take_exception();
    xopy_keep_fatal(pool, exception);
    bool cancelled = PyErr_GivenExceptionMatches(exception, xopy_state()->cancelled_error);
    if (cancelled && is_creation(request) && !xo_request_is_local(request))
        fail_with(pool, request, XO_CODE_CANCELLED, exception);
    else if (cancelled)
        xo_request_fail(request, XO_CODE_CANCELLED, "the method was cancelled");
    else
        fail_with(pool, request, XO_CODE_METHOD, exception);
    Py_DECREF(exception);
}

static xo_msg_t *encode(const xo_request_t *request, PyObject *value)
{
    xo_header_t header = {.kind = XO_RESULT, .flags = xo_request_flags(request)};
    xopy_body_t body;
    xo_msg_t *msg = NULL;
    xopy_body_init(&body, xopy_state()->pins, XOPY_SHARE_IMMUTABLE, xo_request_link(request));
    if (xopy_put_value(&body, value) == 0)
        msg = xopy_body_message(&body, &header);
    xopy_body_free(&body);
    return msg;
}

static void respond_value(xopy_pool_t *pool, xo_request_t *request, PyObject *value)
{
    if (xo_request_is_local(request)) {
        end(request, local_answer(request, XO_RESULT, Py_NewRef(value)));
        return;
    }
    xo_msg_t *answer = encode(request, value);
    if (answer) {
        xo_request_respond_msg(request, &answer);
        return;
    }
    PyObject *exception = xopy_take_exception();
    fail_with(pool, request, XO_CODE_SEND_FAILED, exception);
    Py_DECREF(exception);
}

void xopy_respond(xopy_pool_t *pool, xo_request_t *request, xopy_purpose_t purpose, PyObject *value)
{
    static const char nil = (char)0xc0;
    if (pool->runtime->forgotten)
        xopy_end_child();
    if (!value)
        respond_exception(pool, request);
    else if (purpose == XOPY_FOR_CALL && xo_request_wants_answer(request))
        respond_value(pool, request, value);
    else
        xo_request_respond(request, xo_slice(&nil, 1));
    Py_XDECREF(value);
}
