/* buffer.h - memory that a message and Python share without a copy.
 *
 * Sending: a *pin* keeps a Python buffer alive until ZeroMQ has sent it. ZeroMQ tells so from a
 * thread of its own, which must not wait for the GIL: it only puts the pin onto a list, and a
 * loop releases what is on it. Receiving: a Buffer is a Python object over a message's frame.
 */
#ifndef XOPY_BUFFER_H
#define XOPY_BUFFER_H

#include "_xo/state.h"

/* One for the process; it is never freed, since ZeroMQ may give back memory until the very end. */
typedef struct xopy_pins xopy_pins_t;

xopy_pins_t *xopy_pins_create(void); /* NULL: an exception is set */
/* A descriptor that is readable while there is something to collect. */
int xopy_pins_fd(const xopy_pins_t *pins);
void xopy_pins_collect(xopy_pins_t *pins);
/* Makes `frame` refer to the memory of `view`, which it takes over. -1: MemoryError is set, the
 * view released. */
int xopy_pins_frame(xopy_pins_t *pins, Py_buffer *view, zmq_msg_t *frame);

/* A memoryview over buffer `index` of the message, which outlives the message. NULL with an
 * exception. */
PyObject *xopy_buffer_view(xo_msg_t *msg, size_t index);

#endif
