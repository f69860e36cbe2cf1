/* module-probe.h - a module that is linked in, with the class Probe, which does what tests need,
 * and Bare, which has nothing.
 *
 * Probe(TEXT): "refuse" fails to create, "fail" in post_create, "stubborn" in pre_destroy; "asks"
 * waits in both for a call of itself. */
#ifndef XO_T_MODULE_PROBE_H
#define XO_T_MODULE_PROBE_H

#include "pool/module.h"

typedef struct probe {
    char text[64];
    char uid[64];
    xo_request_t *held;
    int *destroyed;
} probe_t;

extern const xo_module_t probe_module;
extern int probes_destroyed;   /* since the test set it to 0 */
extern int probes_asked;       /* hooks that waited for a call, which was answered */
extern int futures_unanswered; /* calls whose `done` got a future that was not */

#endif
