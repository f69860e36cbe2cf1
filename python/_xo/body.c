/* body.c - a message's body under construction: the bytes, its buffers, the pickle of what is not
 * plain.
 */
#include "_xo/values.h"

#include "_xo/buffer.h"

void xopy_body_init(xopy_body_t *body, struct xopy_pins *pins, xopy_share_t share, xo_link_t *link)
{
    memset(body, 0, sizeof *body);
    body->pins = pins;
    body->share = share;
    body->link = link;
}

static void close_frames(xopy_body_t *body)
{
    for (size_t i = 0; i < body->frame_count; i++)
        zmq_msg_close(&body->frames[i]);
    body->frame_count = 0;
}

void xopy_body_free(xopy_body_t *body)
{
    close_frames(body);
    PyMem_Free(body->frames);
    PyMem_Free(body->seen);
    xo_buf_free(&body->bytes);
}

/* Empties it, for another way to write the same. */
static void start_again(xopy_body_t *body)
{
    close_frames(body);
    xo_buf_clear(&body->bytes);
    body->seen_count = 0;
    body->depth = 0;
    body->nesting = 0;
}

static zmq_msg_t *new_frame(xopy_body_t *body)
{
    if (body->frame_count == body->frame_capacity) {
        size_t capacity = body->frame_capacity ? 2 * body->frame_capacity : 4;
        zmq_msg_t *frames = PyMem_Realloc(body->frames, capacity * sizeof *frames);
        if (!frames)
            return (zmq_msg_t *)PyErr_NoMemory();
        body->frames = frames;
        body->frame_capacity = capacity;
    }
    return &body->frames[body->frame_count];
}

static int copy_frame(xo_link_t *link, Py_buffer *view, zmq_msg_t *frame)
{
    int failed = xo_link_buffer(link, (size_t)view->len, frame);
    if (failed)
        PyErr_NoMemory();
    else
        memcpy(zmq_msg_data(frame), view->buf, (size_t)view->len);
    PyBuffer_Release(view);
    return failed ? -1 : 0;
}

int xopy_body_add_buffer(xopy_body_t *body, PyObject *exporter)
{
    Py_buffer view;
    if (body->frame_count == XO_BUFFERS_MAX) {
        PyErr_SetString(PyExc_ValueError, "a message holds at most 65536 buffers");
        return -1;
    }
    zmq_msg_t *frame = new_frame(body);
    if (!frame || PyObject_GetBuffer(exporter, &view, PyBUF_ANY_CONTIGUOUS) < 0)
        return -1;
    bool shared = body->share == XOPY_SHARE_ALL ||
                  (body->share == XOPY_SHARE_IMMUTABLE && PyBytes_CheckExact(exporter));
    int failed = shared && body->pins ? xopy_pins_frame(body->pins, &view, frame)
                                      : copy_frame(body->link, &view, frame);
    body->frame_count += failed == 0;
    return failed;
}

xo_msg_t *xopy_body_message(xopy_body_t *body, const xo_header_t *header)
{
    xo_msg_t *msg = xo_msg_create(header, xo_buf_slice(&body->bytes));
    for (size_t i = 0; msg && i < body->frame_count; i++) {
        if (xo_msg_add_buffer(msg, &body->frames[i]) < 0)
            xo_msg_destroy(&msg);
    }
    if (!msg)
        return (xo_msg_t *)PyErr_NoMemory();
    close_frames(body);
    return msg;
}

static int ended(const xopy_body_t *body)
{
    if (xo_buf_ok(&body->bytes) == 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

/* ---- pickles ---- */

static int add_buffers(xopy_body_t *body, PyObject *buffers)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(buffers); i++) {
        if (xopy_body_add_buffer(body, PyList_GET_ITEM(buffers, i)) < 0)
            return -1;
    }
    return 0;
}

static int put_bytes(xopy_body_t *body, PyObject *bytes)
{
    size_t size = (size_t)PyBytes_GET_SIZE(bytes);
    if (size > UINT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "a pickle is limited to 4 GiB without its buffers");
        return -1;
    }
    xo_pack_ext(&body->bytes, XO_EXT_PICKLE, PyBytes_AS_STRING(bytes), size);
    return ended(body);
}

int xopy_put_pickle(xopy_body_t *body, PyObject *value)
{
    start_again(body);
    PyObject *parts = xopy_glue("dumps", "(O)", value); /* (bytes, list of buffers) */
    if (!parts)
        return -1;
    int failed = put_bytes(body, PyTuple_GET_ITEM(parts, 0));
    if (!failed)
        failed = add_buffers(body, PyTuple_GET_ITEM(parts, 1));
    Py_DECREF(parts);
    return failed;
}

/* ---- plain, else a pickle ---- */

int xopy_put_value(xopy_body_t *body, PyObject *value)
{
    switch (xopy_write(body, value)) {
    case XOPY_WRITTEN:
        return 0;
    case XOPY_NOT_PLAIN:
        return xopy_put_pickle(body, value);
    default:
        return -1;
    }
}

static int pickle_args(xopy_body_t *body, PyObject *const *args, Py_ssize_t count,
                       PyObject *kwnames)
{
    PyObject *tuple, *dict;
    if (xopy_args_to_objects(args, count, kwnames, &tuple, &dict) < 0)
        return -1;
    PyObject *pair = dict ? PyTuple_Pack(2, tuple, dict) : Py_BuildValue("(O{})", tuple);
    Py_DECREF(tuple);
    Py_XDECREF(dict);
    int failed = pair ? xopy_put_pickle(body, pair) : -1;
    Py_XDECREF(pair);
    return failed;
}

int xopy_put_args(xopy_body_t *body, PyObject *const *args, Py_ssize_t count, PyObject *kwnames)
{
    switch (xopy_write_args(body, args, count, kwnames)) {
    case XOPY_WRITTEN:
        return 0;
    case XOPY_NOT_PLAIN:
        return pickle_args(body, args, count, kwnames);
    default:
        return -1;
    }
}

static xopy_written_t write_pairs(xopy_body_t *body, PyObject *pairs)
{
    Py_ssize_t count = PyList_GET_SIZE(pairs);
    xopy_written_t result = XOPY_WRITTEN;
    xo_pack_array(&body->bytes, (uint32_t)count);
    body->depth = 1;
    for (Py_ssize_t i = 0; result == XOPY_WRITTEN && i < count; i++) {
        PyObject *pair = PyList_GET_ITEM(pairs, i);
        result = xopy_write_pair(body, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
    }
    body->depth = 0;
    return result;
}

/* The pickle says {} where a pair of ours says None. */
static int pickle_pairs(xopy_body_t *body, PyObject *pairs)
{
    PyObject *list = xopy_glue("full_pairs", "(O)", pairs);
    int failed = list ? xopy_put_pickle(body, list) : -1;
    Py_XDECREF(list);
    return failed;
}

int xopy_put_pairs(xopy_body_t *body, PyObject *pairs)
{
    switch (write_pairs(body, pairs)) {
    case XOPY_WRITTEN:
        return ended(body);
    case XOPY_NOT_PLAIN:
        return pickle_pairs(body, pairs);
    default:
        return -1;
    }
}

/* Written in another language, the actor's class is the message's method and the body its
 * arguments. */
static int put_foreign(xopy_body_t *body, PyObject *what)
{
    switch (xopy_write_pair(body, PyTuple_GET_ITEM(what, 1), PyTuple_GET_ITEM(what, 2))) {
    case XOPY_WRITTEN:
        return ended(body);
    case XOPY_NOT_PLAIN:
        PyErr_SetString(PyExc_TypeError,
                        "an actor that is named by its class's name gets plain arguments only");
        return -1;
    default:
        return -1;
    }
}

#define ARRAY_OF_2 0x92
#define ARRAY_OF_3 0x93

/* [args, kwargs] becomes [args, kwargs, options], a pickle [pickle, nil, options]. */
static int add_options(xopy_body_t *body, PyObject *options)
{
    xo_buf_t *bytes = &body->bytes;
    if ((unsigned char)bytes->data[0] != ARRAY_OF_2) {
        if (xo_buf_reserve(bytes, 1) < 0)
            return ended(body);
        memmove(bytes->data + 1, bytes->data, bytes->size++);
        xo_pack_nil(bytes);
    }
    bytes->data[0] = (char)ARRAY_OF_3;
    xopy_written_t written = xopy_write(body, options);
    if (written == XOPY_NOT_PLAIN)
        PyErr_SetString(PyExc_TypeError, "options are plain values");
    return written == XOPY_WRITTEN ? ended(body) : -1;
}

/* The class goes by its name, which is the message's method. */
static int put_named(xopy_body_t *body, PyObject *what)
{
    PyObject *pair = xopy_glue("plain_create", "(O)", what); /* (args, kwargs or None) */
    if (!pair)
        return -1;
    xopy_written_t written =
        xopy_write_pair(body, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1));
    int failed = written == XOPY_NOT_PLAIN ? xopy_put_pickle(body, pair) /* which says why not */
                 : written == XOPY_WRITTEN ? ended(body)
                                           : -1;
    Py_DECREF(pair);
    return failed;
}

static int put_python(xopy_body_t *body, PyObject *what)
{
    int refuses = xopy_refuses_pickle();
    if (refuses)
        return refuses < 0 ? -1 : put_named(body, what);
    PyObject *portable = xopy_glue("portable_create", "(O)", what);
    int failed = portable ? xopy_put_pickle(body, portable) : -1;
    Py_XDECREF(portable);
    return failed;
}

int xopy_put_create(xopy_body_t *body, PyObject *what)
{
    bool foreign = PyUnicode_Check(PyTuple_GET_ITEM(what, 0));
    int failed = foreign ? put_foreign(body, what) : put_python(body, what);
    if (failed || PyTuple_GET_SIZE(what) == 3)
        return failed;
    return add_options(body, PyTuple_GET_ITEM(what, 3));
}

void xopy_untrack(PyObject *tuple)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject *item = PyTuple_GET_ITEM(tuple, i);
        if (PyObject_IS_GC(item) && (!PyTuple_CheckExact(item) || PyObject_GC_IsTracked(item)))
            return;
    }
    PyObject_GC_UnTrack(tuple);
}

PyObject *xopy_pair(PyObject *args, PyObject *kwargs)
{
    PyObject *pair = PyTuple_New(2);
    if (!pair) {
        Py_DECREF(args);
        Py_XDECREF(kwargs);
        return NULL;
    }
    PyTuple_SET_ITEM(pair, 0, args);
    PyTuple_SET_ITEM(pair, 1, kwargs ? kwargs : Py_NewRef(Py_None));
    xopy_untrack(args);
    xopy_untrack(pair);
    return pair;
}

static PyObject *dict_of(PyObject *const *values, PyObject *kwnames)
{
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict && i < PyTuple_GET_SIZE(kwnames); i++) {
        if (PyDict_SetItem(dict, PyTuple_GET_ITEM(kwnames, i), values[i]) < 0)
            Py_CLEAR(dict);
    }
    return dict;
}

int xopy_args_to_objects(PyObject *const *args, Py_ssize_t count, PyObject *kwnames,
                         PyObject **tuple, PyObject **dict)
{
    *dict = NULL;
    *tuple = PyTuple_New(count);
    if (!*tuple)
        return -1;
    for (Py_ssize_t i = 0; i < count; i++)
        PyTuple_SET_ITEM(*tuple, i, Py_NewRef(args[i]));
    if (!kwnames || PyTuple_GET_SIZE(kwnames) == 0)
        return 0;
    *dict = dict_of(args + count, kwnames);
    if (*dict)
        return 0;
    Py_CLEAR(*tuple);
    return -1;
}
