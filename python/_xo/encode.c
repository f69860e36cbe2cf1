/* encode.c - plain values to msgpack.
 */
#include "_xo/values.h"

#include "_xo/buffer.h"
#include "_xo/ref.h"

/* The longest header of an ext type: 0xc9, four bytes of size, the type. */
#define EXT_HEADER_BYTES 6
/* A pair, and the array or map in it, are around each argument. */
#define PAIR_LEVELS 2

static xopy_written_t written(const xopy_body_t *body)
{
    if (xo_buf_ok(&body->bytes) == 0)
        return XOPY_WRITTEN;
    PyErr_NoMemory();
    return XOPY_ERROR;
}

static bool was_seen(xopy_body_t *body, PyObject *container)
{
    for (size_t i = 0; i < body->seen_count; i++) {
        if (body->seen[i] == container)
            return true;
    }
    return false;
}

/* Beyond this many shared containers the search would cost more than pickling does. */
#define SEEN_MAX 64

/* What nothing else refers to cannot be met again. */
static bool cannot_come_again(const xopy_body_t *body, PyObject *container)
{
    return body->nesting > 1 && Py_REFCNT(container) == body->known_refs;
}

static xopy_written_t add_seen(xopy_body_t *body, PyObject *container)
{
    if (body->seen_count == SEEN_MAX)
        return XOPY_NOT_PLAIN;
    if (body->seen_count == body->seen_capacity) {
        size_t capacity = body->seen_capacity ? 2 * body->seen_capacity : 8;
        PyObject **seen = PyMem_Realloc(body->seen, capacity * sizeof *seen);
        if (!seen) {
            PyErr_NoMemory();
            return XOPY_ERROR;
        }
        body->seen = seen;
        body->seen_capacity = capacity;
    }
    body->seen[body->seen_count++] = container;
    return XOPY_WRITTEN;
}

/* Identity counts for what can be changed: met twice, a container is no plain value. */
static xopy_written_t check_identity(xopy_body_t *body, PyObject *container)
{
    body->changeable++;
    if (cannot_come_again(body, container))
        return XOPY_WRITTEN;
    return was_seen(body, container) ? XOPY_NOT_PLAIN : add_seen(body, container);
}

static xopy_written_t write_big_int(xopy_body_t *body, PyObject *value)
{
    PyObject *bytes = xopy_glue("int_to_bytes", "(O)", value);
    if (!bytes)
        return XOPY_ERROR;
    xo_pack_ext(&body->bytes, XO_EXT_BIGINT, PyBytes_AS_STRING(bytes),
                (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return written(body);
}

static xopy_written_t write_int(xopy_body_t *body, PyObject *value)
{
    int overflow = 0;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (!overflow) {
        xo_pack_int(&body->bytes, number);
        return XOPY_WRITTEN;
    }
    if (overflow > 0) {
        unsigned long long positive = PyLong_AsUnsignedLongLong(value);
        if (!PyErr_Occurred()) {
            xo_pack_uint(&body->bytes, positive);
            return XOPY_WRITTEN;
        }
        PyErr_Clear();
    }
    return write_big_int(body, value);
}

static xopy_written_t write_str(xopy_body_t *body, PyObject *value)
{
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(value, &size);
    if (!text) { /* lone surrogates */
        PyErr_Clear();
        return XOPY_NOT_PLAIN;
    }
    xo_pack_str(&body->bytes, text, (size_t)size);
    return XOPY_WRITTEN;
}

static xopy_written_t write_bytes(xopy_body_t *body, PyObject *value)
{
    size_t size = (size_t)PyBytes_GET_SIZE(value);
    if (size < XO_INLINE_BYTES_MAX) {
        xo_pack_bin(&body->bytes, PyBytes_AS_STRING(value), size);
        return XOPY_WRITTEN;
    }
    xo_buf_t index = XO_BUF_INIT;
    xo_pack_uint(&index, body->frame_count);
    xo_pack_ext(&body->bytes, XO_EXT_BUFFER, index.data, index.size);
    xo_buf_free(&index);
    return xopy_body_add_buffer(body, value) < 0 ? XOPY_ERROR : XOPY_WRITTEN;
}

static void put_double(uint8_t *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(bits >> (56 - 8 * i));
}

static xopy_written_t write_complex(xopy_body_t *body, PyObject *value)
{
    uint8_t payload[16];
    put_double(payload, PyComplex_RealAsDouble(value));
    put_double(payload + 8, PyComplex_ImagAsDouble(value));
    xo_pack_ext(&body->bytes, XO_EXT_COMPLEX, payload, sizeof payload);
    return XOPY_WRITTEN;
}

/* A value that is held by a container and, while it is written, by us. */
static xopy_written_t write_held(xopy_body_t *body, PyObject *value)
{
    body->known_refs = 2;
    xopy_written_t result = xopy_write(body, value);
    body->known_refs = 1;
    return result;
}

static xopy_written_t write_items(xopy_body_t *body, PyObject *const *items, Py_ssize_t count)
{
    xo_pack_array(&body->bytes, (uint32_t)count);
    body->known_refs = 1;
    for (Py_ssize_t i = 0; i < count; i++) {
        xopy_written_t result = xopy_write(body, items[i]);
        if (result != XOPY_WRITTEN)
            return result;
    }
    return XOPY_WRITTEN;
}

/* Writing can run a finalizer (through the garbage collector), and that can change the list. */
static xopy_written_t write_list(xopy_body_t *body, PyObject *list)
{
    xopy_written_t result = check_identity(body, list);
    if (result != XOPY_WRITTEN)
        return result;
    Py_ssize_t count = PyList_GET_SIZE(list);
    xo_pack_array(&body->bytes, (uint32_t)count);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (PyList_GET_SIZE(list) != count)
            return XOPY_NOT_PLAIN;
        PyObject *item = Py_NewRef(PyList_GET_ITEM(list, i));
        result = write_held(body, item);
        Py_DECREF(item);
        if (result != XOPY_WRITTEN)
            return result;
    }
    return XOPY_WRITTEN;
}

static xopy_written_t write_set_items(xopy_body_t *body, PyObject *set)
{
    xo_pack_array(&body->bytes, (uint32_t)PySet_GET_SIZE(set));
    PyObject *iter = PyObject_GetIter(set);
    if (!iter)
        return XOPY_ERROR;
    xopy_written_t result = XOPY_WRITTEN;
    PyObject *item;
    while (result == XOPY_WRITTEN && (item = PyIter_Next(iter))) {
        result = write_held(body, item);
        Py_DECREF(item);
    }
    Py_DECREF(iter);
    return PyErr_Occurred() ? XOPY_ERROR : result;
}

static xopy_written_t write_set(xopy_body_t *body, PyObject *set)
{
    xopy_written_t result = check_identity(body, set);
    return result == XOPY_WRITTEN ? write_set_items(body, set) : result;
}

static xopy_written_t write_tuple_items(xopy_body_t *body, PyObject *tuple)
{
    return write_items(body, ((PyTupleObject *)tuple)->ob_item, PyTuple_GET_SIZE(tuple));
}

/* Met twice, a tuple brings what it holds twice: that counts if it can be changed. */
static xopy_written_t write_tuple(xopy_body_t *body, PyObject *tuple)
{
    unsigned before = body->changeable;
    bool again = !cannot_come_again(body, tuple);
    if (again && was_seen(body, tuple))
        return XOPY_NOT_PLAIN;
    xopy_written_t result = write_tuple_items(body, tuple);
    bool holds_changeable = body->changeable != before;
    return result == XOPY_WRITTEN && again && holds_changeable ? add_seen(body, tuple) : result;
}

/* Writes an ext type whose payload another writer writes: the payload goes behind room for the
 * longest header, and moves to the front once its size is known. */
static xopy_written_t write_ext(xopy_body_t *body, xo_ext_t type, PyObject *value,
                                xopy_written_t (*write)(xopy_body_t *, PyObject *))
{
    static const char room[EXT_HEADER_BYTES];
    xo_buf_t *bytes = &body->bytes;
    size_t start = bytes->size;
    xo_buf_append(bytes, room, sizeof room);
    xopy_written_t result = write(body, value);
    if (result != XOPY_WRITTEN || bytes->failed)
        return result;
    size_t size = bytes->size - start - sizeof room;
    bytes->size = start;
    xo_pack_ext_header(bytes, type, size);
    memmove(bytes->data + bytes->size, bytes->data + start + sizeof room, size);
    bytes->size += size;
    return XOPY_WRITTEN;
}

static xopy_written_t write_item(xopy_body_t *body, PyObject *key, PyObject *value)
{
    Py_INCREF(key);
    Py_INCREF(value);
    xopy_written_t result = write_held(body, key);
    if (result == XOPY_WRITTEN)
        result = write_held(body, value);
    Py_DECREF(key);
    Py_DECREF(value);
    return result;
}

static xopy_written_t write_dict(xopy_body_t *body, PyObject *dict)
{
    xopy_written_t result = check_identity(body, dict);
    if (result != XOPY_WRITTEN)
        return result;
    Py_ssize_t at = 0, left = PyDict_GET_SIZE(dict);
    PyObject *key, *value;
    xo_pack_map(&body->bytes, (uint32_t)left);
    while (result == XOPY_WRITTEN && PyDict_Next(dict, &at, &key, &value)) {
        result = write_item(body, key, value);
        left--;
    }
    return result == XOPY_WRITTEN && left != 0 ? XOPY_NOT_PLAIN : result;
}

static xopy_written_t write_ref_items(xopy_body_t *body, PyObject *value)
{
    xopy_ref_t *ref = (xopy_ref_t *)value;
    Py_ssize_t size;
    const char *address = PyUnicode_AsUTF8AndSize(ref->address, &size);
    if (!address)
        return XOPY_ERROR;
    xo_pack_array(&body->bytes, 2);
    xo_pack_str(&body->bytes, address, (size_t)size);
    xo_pack_bin(&body->bytes, PyBytes_AS_STRING(ref->uid), (size_t)PyBytes_GET_SIZE(ref->uid));
    return XOPY_WRITTEN;
}

static xopy_written_t write_scalar(xopy_body_t *body, PyObject *value)
{
    if (PyUnicode_CheckExact(value))
        return write_str(body, value);
    if (PyLong_CheckExact(value))
        return write_int(body, value);
    if (value == Py_None)
        return xo_pack_nil(&body->bytes), XOPY_WRITTEN;
    if (PyFloat_CheckExact(value))
        return xo_pack_double(&body->bytes, PyFloat_AS_DOUBLE(value)), XOPY_WRITTEN;
    if (PyBool_Check(value))
        return xo_pack_bool(&body->bytes, value == Py_True), XOPY_WRITTEN;
    if (PyBytes_CheckExact(value))
        return write_bytes(body, value);
    if (PyComplex_CheckExact(value))
        return write_complex(body, value);
    return XOPY_NOT_PLAIN;
}

static xopy_written_t write_container(xopy_body_t *body, PyObject *value)
{
    if (PyList_CheckExact(value))
        return write_list(body, value);
    if (PyTuple_CheckExact(value))
        return write_ext(body, XO_EXT_TUPLE, value, write_tuple);
    if (PyDict_CheckExact(value))
        return write_dict(body, value);
    if (Py_IS_TYPE(value, &PySet_Type))
        return write_ext(body, XO_EXT_SET, value, write_set);
    if (PyFrozenSet_CheckExact(value))
        return write_ext(body, XO_EXT_FROZENSET, value, write_set_items);
    if (xopy_ref_check_exact(value))
        return write_ext(body, XO_EXT_REF, value, write_ref_items);
    return XOPY_NOT_PLAIN;
}

xopy_written_t xopy_write(xopy_body_t *body, PyObject *value)
{
    xopy_written_t result = write_scalar(body, value);
    if (result != XOPY_NOT_PLAIN)
        return result;
    /* An ext type counts as a level of its own: its payload is an array. */
    int levels = PyList_CheckExact(value) || PyDict_CheckExact(value) ? 1 : 2;
    if (body->depth + levels > XO_DEPTH_MAX)
        return XOPY_NOT_PLAIN;
    body->depth += levels;
    body->nesting++;
    result = write_container(body, value);
    body->nesting--;
    body->depth -= levels;
    return result;
}

static xopy_written_t write_kwargs(xopy_body_t *body, PyObject *const *values, PyObject *kwnames)
{
    Py_ssize_t count = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    xo_pack_map(&body->bytes, (uint32_t)count);
    for (Py_ssize_t i = 0; i < count; i++) {
        xopy_written_t result = xopy_write(body, PyTuple_GET_ITEM(kwnames, i));
        if (result == XOPY_WRITTEN)
            result = xopy_write(body, values[i]);
        if (result != XOPY_WRITTEN)
            return result;
    }
    return XOPY_WRITTEN;
}

xopy_written_t xopy_write_args(xopy_body_t *body, PyObject *const *args, Py_ssize_t count,
                               PyObject *kwnames)
{
    xo_pack_array(&body->bytes, 2);
    body->depth = PAIR_LEVELS;
    xopy_written_t result = write_items(body, args, count);
    if (result == XOPY_WRITTEN)
        result = write_kwargs(body, args + count, kwnames);
    body->depth = 0;
    return result == XOPY_WRITTEN ? written(body) : result;
}

/* kwargs: a dict or None. Its keys are str, since Python made it. */
xopy_written_t xopy_write_pair(xopy_body_t *body, PyObject *args, PyObject *kwargs)
{
    xo_pack_array(&body->bytes, 2);
    body->depth += PAIR_LEVELS;
    xopy_written_t result = write_tuple_items(body, args);
    if (result == XOPY_WRITTEN && kwargs == Py_None)
        xo_pack_map(&body->bytes, 0);
    else if (result == XOPY_WRITTEN)
        result = write_dict(body, kwargs);
    body->depth -= PAIR_LEVELS;
    return result;
}
