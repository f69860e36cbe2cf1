/* strategy.h - which members of a group are restarted when one has failed: a pure function of their
 * places in its order. The strategies are those of Erlang's supervisors (OTP Design Principles,
 * "Restart Strategy").
 */
#ifndef XO_BROKER_STRATEGY_H
#define XO_BROKER_STRATEGY_H

#include <stdbool.h>
#include <stdint.h>

#include "libxo/error.h"

typedef enum {
    XO_ONE_FOR_ONE, /* the one that failed */
    XO_ONE_FOR_ALL, /* all */
    XO_REST_FOR_ONE /* it, and those after it */
} xo_strategy_t;

/* "one_for_one", "one_for_all", "rest_for_one"; EINVAL names the text. */
int xo_strategy_parse(const char *text, xo_strategy_t *strategy, xo_error_t *err);
const char *xo_strategy_name(xo_strategy_t strategy);
/* The member with the order number `failed` has failed: is the one with `order` restarted? */
bool xo_strategy_takes(xo_strategy_t strategy, uint64_t failed, uint64_t order);

#endif
