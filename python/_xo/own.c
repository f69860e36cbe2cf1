/* own.c - see own.h.
 */
#include "_xo/own.h"

void xopy_own_enter(xopy_run_t *run)
{
    xopy_state_t *state = xopy_state();
    if (!state->own_run)
        state->own_run = PyContextVar_New("xo.run", NULL);
    PyObject *token = state->own_run ? PyContextVar_Set(state->own_run, (PyObject *)run) : NULL;
    if (!token)
        PyErr_WriteUnraisable(NULL); /* out of memory: its tasks are others', then */
    Py_XDECREF(token);
}

const xopy_run_t *xopy_own_run(void)
{
    PyObject *found = NULL;
    xopy_state_t *state = xopy_state();
    if (state->current_run || !state->own_run)
        return state->current_run;
    if (PyContextVar_Get(state->own_run, NULL, &found) < 0)
        PyErr_Clear();
    Py_XDECREF(found); /* the context keeps it */
    return (const xopy_run_t *)found;
}
