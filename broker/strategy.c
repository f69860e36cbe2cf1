#include "broker/strategy.h"

#include <errno.h>
#include <string.h>

static const char *const names[] = {"one_for_one", "one_for_all", "rest_for_one"};

int xo_strategy_parse(const char *text, xo_strategy_t *strategy, xo_error_t *err)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *strategy = (xo_strategy_t)i;
            return 0;
        }
    }
    return xo_error_set(err, EINVAL,
                        "strategy '%s': not one of one_for_one, one_for_all, rest_for_one", text);
}

const char *xo_strategy_name(xo_strategy_t strategy)
{
    return names[strategy];
}

bool xo_strategy_takes(xo_strategy_t strategy, uint64_t failed, uint64_t order)
{
    switch (strategy) {
    case XO_ONE_FOR_ALL:
        return true;
    case XO_REST_FOR_ONE:
        return order >= failed;
    case XO_ONE_FOR_ONE:
        break;
    }
    return order == failed;
}
