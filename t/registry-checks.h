/* registry-checks.h - runs tests twice: against the registry in memory and against a redis-server
 * that each of them starts.
 */
#ifndef T_REGISTRY_CHECKS_H
#define T_REGISTRY_CHECKS_H

#include "t/registry-support.h"
#include "t/unit.h"

typedef struct check {
    const char *name;
    CMUnitTestFunction function;
} check_t;

/* clang-format off */
#define CHECK(function) {#function, function}
/* clang-format on */

/* As main does. */
int registry_run_checks(const check_t *checks, size_t count);

#endif
