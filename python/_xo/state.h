/* state.h - what the module _xo holds: its types, the names it uses all the time, the xo context.
 *
 * Everything here runs with the GIL held. The GIL is also what makes it safe that objects of a
 * loop are freed by whichever thread drops the last reference.
 */
#ifndef XOPY_STATE_H
#define XOPY_STATE_H

#include "_xo/compat.h"

#include "libxo/codec.h"
#include "libxo/xo.h"
#include "pool/pool.h"

struct xopy_run;
struct xopy_runtime;

typedef struct xopy_state {
    PyTypeObject *actor_type;
    PyTypeObject *buffer_type;
    PyTypeObject *call_type;      /* Call: the future */
    PyTypeObject *coroutine_type; /* its subclass, which is a coroutine as well */
    PyTypeObject *delay_type;
    PyTypeObject *local_ref_type;
    PyTypeObject *method_type;
    PyTypeObject *pool_type;
    PyTypeObject *ref_type;
    PyTypeObject *run_type;
    PyTypeObject *runtime_type;

    PyObject *glue;             /* xoscar._glue, the slow paths; imported when first needed */
    PyObject *get_running_loop; /* asyncio._get_running_loop; with asyncio itself, when needed */
    PyObject *cancelled_error;  /* asyncio's exceptions, with get_running_loop */
    PyObject *invalid_state_error;
    PyObject *task_type;

    PyObject *no_post_create; /* Actor.__post_create__, found when first needed */

    PyObject *str_throw, *str_call_soon, *str_cancel, *str_post_create;
    PyObject *context_kwnames; /* ("context",) */
    PyObject *task_kwnames;    /* ("loop",) or ("loop", "eager_start") */

    PyObject *mark;     /* the context variable of mark.h, or NULL */
    PyObject *own_run;  /* the one of own.h, or NULL */
    PyObject *home;     /* the one of home.h, or NULL */
    PyObject *identity; /* (uid, address) of the actor that is about to be made, or NULL */

    xo_codec_t codec; /* 0: not asked for yet */
    xo_ctx_t *ctx;    /* made with the first runtime, as is pins */
    struct xopy_pins *pins;
    struct xopy_runtime *runtimes; /* all that are open */
    struct xopy_run *current_run;  /* whose method's step it is; NULL: none's */
    struct xopy_runtime *last;     /* the one found last: most processes have one */

    PyObject *watcher;     /* xoscar._watch.Watcher while debugging is on, or NULL (debug.h) */
    bool plain_refs;       /* no LocalActorRef: calls to them would not be seen */
    double handling_since; /* when the method that runs was begun, in seconds; with a watcher */
} xopy_state_t;

extern struct PyModuleDef xopy_module;

static inline xopy_state_t *xopy_state(void)
{
    return PyModule_GetState(PyState_FindModule(&xopy_module));
}

/* The attribute `name` of xoscar._glue, called with arguments as Py_BuildValue makes them. */
PyObject *xopy_glue(const char *name, const char *format, ...);
/* Imports asyncio, once. */
int xopy_need_asyncio(xopy_state_t *state);
/* The context, made when first needed. */
xo_ctx_t *xopy_ctx(xopy_state_t *state);

/* Does $XO_CODEC, as it was when first asked for, keep pickles out? -1 with an exception. */
int xopy_refuses_pickle(void);

/* Raises what `err` says as the built-in exception nearest to its errno. Returns NULL. */
PyObject *xopy_raise(const xo_error_t *err);

/* The exception that is set, as one object, with its traceback; clears it. */
PyObject *xopy_take_exception(void);
/* Raises `exception`, an instance. */
void xopy_set_exception(PyObject *exception);
/* Is it one that must end the program, and not only a method? */
bool xopy_is_fatal(PyObject *exception);

/* What each file adds to the module. 0 or -1 with an exception. */
int xopy_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base, PyTypeObject **type);
int xopy_actor_setup(PyObject *module, xopy_state_t *state);
int xopy_buffer_setup(PyObject *module, xopy_state_t *state);
int xopy_call_setup(PyObject *module, xopy_state_t *state);
int xopy_method_setup(PyObject *module, xopy_state_t *state);
int xopy_pool_setup(PyObject *module, xopy_state_t *state);
int xopy_ref_setup(PyObject *module, xopy_state_t *state);
int xopy_run_setup(PyObject *module, xopy_state_t *state);
int xopy_runtime_setup(PyObject *module, xopy_state_t *state);

#endif
