/* decode.c - msgpack to Python values. The bytes come off a wire: every step checks them.
 */
#include "_xo/values.h"

#include "_xo/buffer.h"
#include "_xo/ref.h"

static PyObject *malformed(const char *what)
{
    PyErr_Format(PyExc_ValueError, "malformed value: %s", what);
    return NULL;
}

void xopy_reader_init(xopy_reader_t *reader, xo_msg_t *msg, xo_slice_t bytes)
{
    reader->at = xo_reader(bytes);
    reader->msg = msg;
    reader->state = xopy_state();
    reader->depth = 0;
}

static PyObject *read_int(xopy_reader_t *reader)
{
    int64_t value;
    return xo_read_int(&reader->at, &value) < 0 ? malformed("int") : PyLong_FromLongLong(value);
}

static PyObject *read_uint(xopy_reader_t *reader)
{
    uint64_t value;
    return xo_read_uint(&reader->at, &value) < 0 ? malformed("uint")
                                                 : PyLong_FromUnsignedLongLong(value);
}

static PyObject *read_double(xopy_reader_t *reader)
{
    double value;
    return xo_read_double(&reader->at, &value) < 0 ? malformed("float") : PyFloat_FromDouble(value);
}

static PyObject *read_bool(xopy_reader_t *reader)
{
    bool value;
    return xo_read_bool(&reader->at, &value) < 0 ? malformed("bool") : PyBool_FromLong(value);
}

static PyObject *read_nil(xopy_reader_t *reader)
{
    return xo_read_nil(&reader->at) < 0 ? malformed("nil") : Py_NewRef(Py_None);
}

static PyObject *read_str(xopy_reader_t *reader)
{
    xo_slice_t text;
    if (xo_read_str(&reader->at, &text) < 0)
        return malformed("str");
    return PyUnicode_DecodeUTF8(text.data, (Py_ssize_t)text.size, NULL);
}

static PyObject *read_bin(xopy_reader_t *reader)
{
    xo_slice_t bytes;
    if (xo_read_bin(&reader->at, &bytes) < 0)
        return malformed("bin");
    return PyBytes_FromStringAndSize(bytes.data, (Py_ssize_t)bytes.size);
}

/* The count was checked against the bytes left, so a short message cannot ask for a long list. */
static PyObject *read_list(xopy_reader_t *reader)
{
    uint32_t count;
    if (xo_read_array(&reader->at, &count) < 0)
        return malformed("array");
    PyObject *list = PyList_New(count);
    for (uint32_t i = 0; list && i < count; i++) {
        PyObject *item = xopy_read(reader);
        if (item)
            PyList_SET_ITEM(list, i, item);
        else
            Py_CLEAR(list);
    }
    return list;
}

PyObject *xopy_read_tuple(xopy_reader_t *reader)
{
    uint32_t count;
    if (xo_read_array(&reader->at, &count) < 0)
        return malformed("array");
    PyObject *tuple = PyTuple_New(count);
    for (uint32_t i = 0; tuple && i < count; i++) {
        PyObject *item = xopy_read(reader);
        if (item)
            PyTuple_SET_ITEM(tuple, i, item);
        else
            Py_CLEAR(tuple);
    }
    return tuple;
}

static int read_item(xopy_reader_t *reader, PyObject *dict)
{
    PyObject *key = xopy_read(reader);
    PyObject *value = key ? xopy_read(reader) : NULL;
    int failed = value ? PyDict_SetItem(dict, key, value) : -1;
    Py_XDECREF(key);
    Py_XDECREF(value);
    return failed;
}

static PyObject *read_dict(xopy_reader_t *reader)
{
    uint32_t count;
    if (xo_read_map(&reader->at, &count) < 0)
        return malformed("map");
    PyObject *dict = PyDict_New();
    for (uint32_t i = 0; dict && i < count; i++) {
        if (read_item(reader, dict) < 0)
            Py_CLEAR(dict);
    }
    return dict;
}

/* ---- ext types; `reader` is over the payload ---- */

static PyObject *ext_set(xopy_reader_t *reader, PyObject *(*make)(PyObject *))
{
    PyObject *items = xopy_read_tuple(reader);
    PyObject *set = items ? make(items) : NULL;
    Py_XDECREF(items);
    return set;
}

static double get_double(const uint8_t *in)
{
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | in[i];
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static PyObject *ext_complex(xo_slice_t payload)
{
    if (payload.size != 16)
        return malformed("complex");
    const uint8_t *at = (const uint8_t *)payload.data;
    return PyComplex_FromDoubles(get_double(at), get_double(at + 8));
}

static PyObject *ext_ref(xopy_reader_t *reader)
{
    uint32_t count;
    xo_slice_t address, uid;
    if (xo_read_array(&reader->at, &count) < 0 || count != 2 ||
        xo_read_str(&reader->at, &address) < 0 || xo_read_bin(&reader->at, &uid) < 0)
        return malformed("reference");
    return xopy_ref_from_slices(reader->state, address, uid);
}

static PyObject *ext_buffer(xopy_reader_t *reader)
{
    uint64_t index;
    if (xo_read_uint(&reader->at, &index) < 0 || !reader->msg ||
        index >= xo_msg_buffer_count(reader->msg))
        return malformed("index of a buffer");
    xo_slice_t bytes = xo_msg_buffer(reader->msg, index);
    return PyBytes_FromStringAndSize(bytes.data, (Py_ssize_t)bytes.size);
}

static PyObject *buffer_views(xo_msg_t *msg)
{
    size_t count = msg ? xo_msg_buffer_count(msg) : 0;
    PyObject *views = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; views && i < count; i++) {
        PyObject *view = xopy_buffer_view(msg, i);
        if (view)
            PyList_SET_ITEM(views, (Py_ssize_t)i, view);
        else
            Py_CLEAR(views);
    }
    return views;
}

/* The frames of an exception keep the view, which must not outlive the message. */
static void release(PyObject *view)
{
    PyObject *exception = xopy_take_exception();
    PyObject *result = PyObject_CallMethod(view, "release", NULL);
    Py_XDECREF(result);
    xopy_set_exception(exception);
    Py_DECREF(exception);
}

static PyObject *ext_pickle(xo_msg_t *msg, xo_slice_t payload)
{
    PyObject *views = buffer_views(msg);
    if (!views)
        return NULL;
    PyObject *bytes =
        PyMemoryView_FromMemory((char *)payload.data, (Py_ssize_t)payload.size, PyBUF_READ);
    PyObject *value = bytes ? xopy_glue("loads", "(OO)", bytes, views) : NULL;
    if (bytes && !value)
        release(bytes);
    Py_XDECREF(bytes);
    Py_DECREF(views);
    return value;
}

static PyObject *ext_bigint(xo_slice_t payload)
{
    if (payload.size == 0)
        return malformed("int");
    return xopy_glue("int_from_bytes", "(y#)", payload.data, (Py_ssize_t)payload.size);
}

/* Those whose payload is a msgpack value. */
static PyObject *read_inner(xopy_reader_t *inner, int type)
{
    switch (type) {
    case XO_EXT_TUPLE:
        return xopy_read_tuple(inner);
    case XO_EXT_SET:
        return ext_set(inner, PySet_New);
    case XO_EXT_FROZENSET:
        return ext_set(inner, PyFrozenSet_New);
    case XO_EXT_REF:
        return ext_ref(inner);
    case XO_EXT_BUFFER:
        return ext_buffer(inner);
    default:
        return malformed("ext type");
    }
}

static PyObject *read_whole_inner(xopy_reader_t *outer, int type, xo_slice_t payload)
{
    xopy_reader_t inner = {xo_reader(payload), outer->msg, outer->state, outer->depth};
    PyObject *value = read_inner(&inner, type);
    if (value && !xo_reader_done(&inner.at)) {
        Py_DECREF(value);
        return malformed("bytes left over in an ext");
    }
    return value;
}

static PyObject *read_ext(xopy_reader_t *reader)
{
    int type;
    xo_slice_t payload;
    if (xo_read_ext(&reader->at, &type, &payload) < 0)
        return malformed("ext");
    switch (type) {
    case XO_EXT_BIGINT:
        return ext_bigint(payload);
    case XO_EXT_COMPLEX:
        return ext_complex(payload);
    case XO_EXT_PICKLE:
        return ext_pickle(reader->msg, payload);
    default:
        return read_whole_inner(reader, type, payload);
    }
}

static PyObject *read_scalar(xopy_reader_t *reader, xo_type_t type)
{
    switch (type) {
    case XO_T_NIL:
        return read_nil(reader);
    case XO_T_BOOL:
        return read_bool(reader);
    case XO_T_INT:
        return read_int(reader);
    case XO_T_UINT:
        return read_uint(reader);
    case XO_T_DOUBLE:
        return read_double(reader);
    case XO_T_STR:
        return read_str(reader);
    case XO_T_BIN:
        return read_bin(reader);
    default:
        return malformed("truncated");
    }
}

static PyObject *read_container(xopy_reader_t *reader, xo_type_t type)
{
    switch (type) {
    case XO_T_ARRAY:
        return read_list(reader);
    case XO_T_MAP:
        return read_dict(reader);
    default:
        return read_ext(reader);
    }
}

PyObject *xopy_read(xopy_reader_t *reader)
{
    xo_type_t type = xo_read_type(&reader->at);
    if (type != XO_T_ARRAY && type != XO_T_MAP && type != XO_T_EXT)
        return read_scalar(reader, type);
    if (reader->depth == XO_DEPTH_MAX)
        return malformed("nested too deeply");
    reader->depth++;
    PyObject *value = read_container(reader, type);
    reader->depth--;
    return value;
}

PyObject *xopy_read_all(xo_msg_t *msg, xo_slice_t bytes)
{
    xopy_reader_t reader;
    xopy_reader_init(&reader, msg, bytes);
    PyObject *value = xopy_read(&reader);
    if (value && !xo_reader_done(&reader.at)) {
        Py_DECREF(value);
        return malformed("more than one value");
    }
    return value;
}

/* ---- arguments ---- */

static int split_pair(PyObject *pair, PyObject **args, PyObject **kwargs)
{
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 ||
        !PyTuple_Check(PyTuple_GET_ITEM(pair, 0)) || !PyDict_Check(PyTuple_GET_ITEM(pair, 1))) {
        malformed("arguments");
        return -1;
    }
    *args = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
    *kwargs =
        PyDict_GET_SIZE(PyTuple_GET_ITEM(pair, 1)) ? Py_NewRef(PyTuple_GET_ITEM(pair, 1)) : NULL;
    return 0;
}

static int read_pickled_pair(xopy_reader_t *reader, PyObject **args, PyObject **kwargs)
{
    PyObject *pair = xopy_read(reader);
    int failed = pair ? split_pair(pair, args, kwargs) : -1;
    Py_XDECREF(pair);
    return failed;
}

static int check_keywords(PyObject *dict)
{
    Py_ssize_t at = 0;
    PyObject *key, *value;
    while (PyDict_Next(dict, &at, &key, &value)) {
        if (!PyUnicode_Check(key)) {
            malformed("keyword that is no str");
            return -1;
        }
    }
    return 0;
}

/* Most calls have none. */
static int read_keywords(xopy_reader_t *reader, PyObject **kwargs)
{
    xo_reader_t ahead = reader->at;
    uint32_t count;
    if (xo_read_map(&ahead, &count) == 0 && count == 0) {
        reader->at = ahead;
        return 0;
    }
    *kwargs = read_dict(reader);
    return *kwargs ? check_keywords(*kwargs) : -1;
}

static int read_plain_pair(xopy_reader_t *reader, PyObject **args, PyObject **kwargs)
{
    uint32_t count;
    if (xo_read_array(&reader->at, &count) < 0 || count != 2) {
        malformed("arguments");
        return -1;
    }
    *args = xopy_read_tuple(reader);
    if (*args && read_keywords(reader, kwargs) == 0)
        return 0;
    Py_CLEAR(*args);
    Py_CLEAR(*kwargs);
    return -1;
}

int xopy_read_pair(xopy_reader_t *reader, PyObject **args, PyObject **kwargs)
{
    *args = *kwargs = NULL;
    if (xo_read_type(&reader->at) == XO_T_EXT)
        return read_pickled_pair(reader, args, kwargs);
    return read_plain_pair(reader, args, kwargs);
}

static PyObject *read_one_pair(xopy_reader_t *reader)
{
    PyObject *args, *kwargs;
    if (xopy_read_pair(reader, &args, &kwargs) < 0)
        return NULL;
    return xopy_pair(args, kwargs);
}

static PyObject *read_plain_batch(xopy_reader_t *reader)
{
    uint32_t count;
    if (xo_read_array(&reader->at, &count) < 0)
        return malformed("batch");
    PyObject *pairs = PyList_New(count);
    for (uint32_t i = 0; pairs && i < count; i++) {
        PyObject *pair = read_one_pair(reader);
        if (pair)
            PyList_SET_ITEM(pairs, i, pair);
        else
            Py_CLEAR(pairs);
    }
    return pairs;
}

static PyObject *read_pickled_batch(xopy_reader_t *reader)
{
    PyObject *pairs = xopy_read(reader);
    if (!pairs || !PyList_Check(pairs)) {
        Py_XDECREF(pairs);
        return pairs ? malformed("batch") : NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs); i++) {
        PyObject *args = NULL, *kwargs = NULL;
        int failed = split_pair(PyList_GET_ITEM(pairs, i), &args, &kwargs);
        Py_XDECREF(args);
        Py_XDECREF(kwargs);
        if (failed)
            Py_CLEAR(pairs);
        if (failed)
            break;
    }
    return pairs;
}

PyObject *xopy_read_batch(xo_msg_t *msg, xo_slice_t bytes)
{
    xopy_reader_t reader;
    xopy_reader_init(&reader, msg, bytes);
    if (xo_read_type(&reader.at) == XO_T_EXT)
        return read_pickled_batch(&reader);
    return read_plain_batch(&reader);
}
