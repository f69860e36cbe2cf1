/* buffer.c - see buffer.h.
 */
#include "_xo/buffer.h"

#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- sending ---- */

typedef struct xopy_pin {
    Py_buffer view;
    xopy_pins_t *pins;
    struct xopy_pin *next;
} xopy_pin_t;

struct xopy_pins {
    _Atomic(xopy_pin_t *) done; /* what ZeroMQ has given back, newest first */
    int fd;                     /* eventfd(2) */
};

xopy_pins_t *xopy_pins_create(void)
{
    xopy_pins_t *pins = calloc(1, sizeof *pins);
    if (!pins)
        return (xopy_pins_t *)PyErr_NoMemory();
    pins->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pins->fd >= 0)
        return pins;
    free(pins);
    return (xopy_pins_t *)PyErr_SetFromErrno(PyExc_OSError);
}

int xopy_pins_fd(const xopy_pins_t *pins)
{
    return pins->fd;
}

/* Runs in ZeroMQ's thread, without the GIL. Release: the loop's thread sees the pin's fields. */
static void pin_sent(void *data, void *hint)
{
    (void)data;
    xopy_pin_t *pin = hint;
    xopy_pins_t *pins = pin->pins;
    pin->next = atomic_load_explicit(&pins->done, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&pins->done, &pin->next, pin,
                                                  memory_order_release, memory_order_relaxed))
        ;
    uint64_t one = 1;
    ssize_t unused = write(pins->fd, &one, sizeof one); /* full means readable already */
    (void)unused;
}

void xopy_pins_collect(xopy_pins_t *pins)
{
    uint64_t count;
    ssize_t unused = read(pins->fd, &count, sizeof count);
    (void)unused;
    xopy_pin_t *pin = atomic_exchange_explicit(&pins->done, NULL, memory_order_acquire);
    while (pin) {
        xopy_pin_t *next = pin->next;
        PyBuffer_Release(&pin->view);
        PyMem_RawFree(pin);
        pin = next;
    }
}

int xopy_pins_frame(xopy_pins_t *pins, Py_buffer *view, zmq_msg_t *frame)
{
    xopy_pin_t *pin = PyMem_RawCalloc(1, sizeof *pin);
    if (pin) {
        pin->pins = pins;
        pin->view = *view;
        if (zmq_msg_init_data(frame, view->buf, (size_t)view->len, pin_sent, pin) == 0)
            return 0;
        PyMem_RawFree(pin);
    }
    PyBuffer_Release(view);
    PyErr_NoMemory();
    return -1;
}

/* ---- receiving ---- */

typedef struct xopy_buffer {
    PyObject_HEAD zmq_msg_t frame;
} xopy_buffer_t;

static void buffer_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    zmq_msg_close(&((xopy_buffer_t *)self)->frame);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Writable: the process that received the memory is the only one that has it. */
static int buffer_get(PyObject *self, Py_buffer *view, int flags)
{
    zmq_msg_t *frame = &((xopy_buffer_t *)self)->frame;
    return PyBuffer_FillInfo(view, self, zmq_msg_data(frame), (Py_ssize_t)zmq_msg_size(frame), 0,
                             flags);
}

PyObject *xopy_buffer_view(xo_msg_t *msg, size_t index)
{
    xopy_state_t *state = xopy_state();
    xopy_buffer_t *self = PyObject_New(xopy_buffer_t, state->buffer_type);
    if (!self)
        return NULL;
    zmq_msg_init(&self->frame);
    PyObject *view = NULL;
    if (xo_msg_copy_buffer(msg, index, &self->frame) < 0)
        PyErr_SetString(PyExc_ValueError, "malformed value: no such buffer");
    else
        view = PyMemoryView_FromObject((PyObject *)self);
    Py_DECREF(self);
    return view;
}

static PyType_Slot buffer_slots[] = {
    {Py_tp_doc, "The memory of one buffer of a message that was received."},
    {Py_tp_dealloc, buffer_dealloc},
    {Py_bf_getbuffer, buffer_get},
    {0, NULL},
};

static PyType_Spec buffer_spec = {
    .name = "_xo.Buffer",
    .basicsize = sizeof(xopy_buffer_t),
    .flags = Py_TPFLAGS_DEFAULT | XOPY_IMMUTABLE | XOPY_NO_NEW,
    .slots = buffer_slots,
};

int xopy_buffer_setup(PyObject *module, xopy_state_t *state)
{
    return xopy_add_type(module, &buffer_spec, NULL, &state->buffer_type);
}
