/* values.h - Python values on the wire (doc/wire.md, "Kinds" and "Ext types").
 *
 * Plain values (None, bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset,
 * references; exactly these types, no subclasses) are written as msgpack. As soon as
 * one value of a message is not plain, or one list, dict or set is met twice, if only because the
 * tuple is that holds it (their identity counts), the whole is one pickle of protocol 5 with its
 * large buffers out of band.
 */
#ifndef XOPY_VALUES_H
#define XOPY_VALUES_H

#include "_xo/state.h"

/* When may a message refer to the sender's memory instead of copying it? Immutable memory always;
 * what can be written to only while the sender waits for the answer. Never when the peer would see
 * the same memory (inproc). */
typedef enum {
    XOPY_SHARE_ALL,       /* a call: whoever sends leaves its arguments alone until the answer */
    XOPY_SHARE_IMMUTABLE, /* tells, results: the sender may write to them at once */
    XOPY_SHARE_NONE
} xopy_share_t;

/* A body under construction and the buffers that go with it. */
typedef struct xopy_body {
    xo_buf_t bytes;
    zmq_msg_t *frames;
    size_t frame_count, frame_capacity;
    xopy_share_t share;
    struct xopy_pins *pins; /* who frees what the peer has taken */
    xo_link_t *link;        /* that it goes over; what is copied is copied to where the peer is */
    PyObject **seen;        /* containers met so far that something else refers to */
    size_t seen_count, seen_capacity;
    int depth;           /* levels of msgpack open */
    int nesting;         /* containers open */
    unsigned changeable; /* lists, dicts and sets met so far */
    int known_refs;      /* to the value that is written next: those of its container and ours */
} xopy_body_t;

void xopy_body_init(xopy_body_t *body, struct xopy_pins *pins, xopy_share_t share, xo_link_t *link);
/* Closes the frames that were not moved away. */
void xopy_body_free(xopy_body_t *body);
/* Makes the message: header, bytes, and the frames as its buffers. Raises MemoryError. */
xo_msg_t *xopy_body_message(xopy_body_t *body, const xo_header_t *header);

/* What a writer of plain values says. */
typedef enum { XOPY_ERROR = -1, XOPY_WRITTEN = 0, XOPY_NOT_PLAIN = 1 } xopy_written_t;

xopy_written_t xopy_write(xopy_body_t *body, PyObject *value);
/* [args, kwargs], as vectorcall passes them. */
xopy_written_t xopy_write_args(xopy_body_t *body, PyObject *const *args, Py_ssize_t count,
                               PyObject *kwnames);
xopy_written_t xopy_write_pair(xopy_body_t *body, PyObject *args, PyObject *kwargs);

/* Each writes plainly or else as one pickle. 0, or -1: SendMessageFailed or a MemoryError is set.
 */
int xopy_put_value(xopy_body_t *body, PyObject *value);
int xopy_put_args(xopy_body_t *body, PyObject *const *args, Py_ssize_t count, PyObject *kwnames);
int xopy_put_pairs(xopy_body_t *body, PyObject *pairs); /* a list of (args, kwargs) */
int xopy_put_pickle(xopy_body_t *body, PyObject *value);
/* Of a create: (class, args, kwargs) or (class, args, kwargs, dict of options); the class's name
 * instead of it says that it is no Python class. */
int xopy_put_create(xopy_body_t *body, PyObject *what);

/* Moves the memory of `exporter` into the body as one more buffer, copied or not as body->share
 * says. */
int xopy_body_add_buffer(xopy_body_t *body, PyObject *exporter);

/* ---- reading ---- */
typedef struct xopy_reader {
    xo_reader_t at;
    xo_msg_t *msg; /* whose buffers are meant */
    xopy_state_t *state;
    int depth;
} xopy_reader_t;

void xopy_reader_init(xopy_reader_t *reader, xo_msg_t *msg, xo_slice_t bytes);
/* One value, plain or a pickle. NULL with an exception: ValueError for what is not well formed, or
 * whatever unpickling raised. */
PyObject *xopy_read(xopy_reader_t *reader);
/* The same for the whole of `bytes`. */
PyObject *xopy_read_all(xo_msg_t *msg, xo_slice_t bytes);
/* An array as a tuple, a map as a dict. */
PyObject *xopy_read_tuple(xopy_reader_t *reader);
/* [args, kwargs] or its pickle. kwargs: NULL if empty. */
int xopy_read_pair(xopy_reader_t *reader, PyObject **args, PyObject **kwargs);

/* The body of a batch as a list of (args, kwargs or None). */
PyObject *xopy_read_batch(xo_msg_t *msg, xo_slice_t bytes);

/* Takes a tuple off the garbage collector's list, as that does when it first meets it, if nothing
 * in it is or will be on it: large batches are many small tuples. */
void xopy_untrack(PyObject *tuple);
/* (args, kwargs or None). Steals both; kwargs may be NULL. */
PyObject *xopy_pair(PyObject *args, PyObject *kwargs);
/* tuple(args), dict(kwnames, args after them) or NULL. */
int xopy_args_to_objects(PyObject *const *args, Py_ssize_t count, PyObject *kwnames,
                         PyObject **tuple, PyObject **dict);

#endif
