/* home.c - see home.h.
 */
#include "_xo/home.h"

void xopy_home_enter(xopy_pool_t *pool)
{
    xopy_state_t *state = xopy_state();
    xopy_pool_t *oldest = pool->runtime->pools;
    if (!oldest || !oldest->next)
        return;
    if (!state->home)
        state->home = PyContextVar_New("xo.home", NULL);
    PyObject *token = state->home ? PyContextVar_Set(state->home, (PyObject *)pool) : NULL;
    if (!token)
        PyErr_WriteUnraisable(NULL); /* out of memory: the oldest has to do */
    Py_XDECREF(token);
}

xopy_pool_t *xopy_home(xopy_runtime_t *runtime)
{
    PyObject *found = NULL, *home = xopy_state()->home;
    if (home && PyContextVar_Get(home, NULL, &found) < 0)
        PyErr_Clear();
    xopy_pool_t *pool = (xopy_pool_t *)found;
    Py_XDECREF(found); /* the context keeps it */
    return pool && pool->xo && pool->runtime == runtime ? pool : runtime->pools;
}
