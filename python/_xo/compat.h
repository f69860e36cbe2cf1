/* compat.h - what differs between CPython 3.9 and 3.13, behind one name each.
 *
 * Includes Python.h, so it comes before every other header.
 */
#ifndef XOPY_COMPAT_H
#define XOPY_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#if PY_VERSION_HEX < 0x030A0000
typedef enum { PYGEN_RETURN = 0, PYGEN_ERROR = -1, PYGEN_NEXT = 1 } PySendResult;

static inline PyObject *xopy_new_ref(PyObject *object)
{
    Py_INCREF(object);
    return object;
}
#define Py_NewRef(object) xopy_new_ref((PyObject *)(object))

static inline PyObject *xopy_xnew_ref(PyObject *object)
{
    Py_XINCREF(object);
    return object;
}
#define Py_XNewRef(object) xopy_xnew_ref((PyObject *)(object))

/* What a StopIteration that is set carries (None if there is none); -1 if something else is set. */
int xopy_stop_value(PyObject **value);

static inline PySendResult PyIter_Send(PyObject *iter, PyObject *arg, PyObject **result)
{
    if (arg == Py_None && PyIter_Check(iter))
        *result = Py_TYPE(iter)->tp_iternext(iter);
    else
        *result = PyObject_CallMethod(iter, "send", "O", arg);
    if (*result)
        return PYGEN_NEXT;
    return xopy_stop_value(result) == 0 ? PYGEN_RETURN : PYGEN_ERROR;
}
#define XOPY_AM_SEND(function)
#define XOPY_IMMUTABLE 0
#define XOPY_NO_NEW 0
#else
int xopy_stop_value(PyObject **value);
#define XOPY_AM_SEND(function) {Py_am_send, (void *)(function)},
#define XOPY_IMMUTABLE Py_TPFLAGS_IMMUTABLETYPE
#define XOPY_NO_NEW Py_TPFLAGS_DISALLOW_INSTANTIATION
#endif

/* 3.12 took the underscore off. */
#ifdef Py_TPFLAGS_HAVE_VECTORCALL
#define XOPY_VECTORCALL Py_TPFLAGS_HAVE_VECTORCALL
#else
#define XOPY_VECTORCALL _Py_TPFLAGS_HAVE_VECTORCALL
#endif

/* Tasks that start at once, within the call that makes them (asyncio, "Eager Task Factory"). */
#if PY_VERSION_HEX >= 0x030C0000
#define XOPY_EAGER_TASKS 1
#else
#define XOPY_EAGER_TASKS 0
#endif

#endif
