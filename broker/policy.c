#include "broker/policy.h"

#include <errno.h>
#include <string.h>

static const int64_t second_ns = 1000000000;
static const int64_t ms_ns = 1000000;

static const char *const restart_names[] = {"permanent", "transient", "temporary"};

xo_policy_t xo_policy_default(void)
{
    return (xo_policy_t){
        .restart = XO_RESTART_PERMANENT,
        .intensity = 5,
        .period_ns = 60 * second_ns,
        .backoff_ns = 20 * ms_ns,
        .backoff_max_ns = 5 * second_ns,
    };
}

int xo_restart_parse(const char *text, xo_restart_t *restart, xo_error_t *err)
{
    for (size_t i = 0; i < sizeof(restart_names) / sizeof(*restart_names); i++) {
        if (strcmp(text, restart_names[i]) == 0) {
            *restart = (xo_restart_t)i;
            return 0;
        }
    }
    return xo_error_set(err, EINVAL, "restart '%s': not one of permanent, transient, temporary",
                        text);
}

const char *xo_restart_name(xo_restart_t restart)
{
    return restart_names[restart];
}

static unsigned restarts_since(const xo_policy_state_t *state, int64_t since_ns)
{
    unsigned found = 0;
    for (unsigned i = 0; i < state->count; i++)
        found += state->restarts_ns[i] > since_ns;
    return found;
}

static void remember(xo_policy_state_t *state, int64_t now_ns)
{
    state->restarts_ns[state->next] = now_ns;
    state->next = (state->next + 1) % XO_INTENSITY_MAX;
    if (state->count < XO_INTENSITY_MAX)
        state->count++;
}

static int64_t backoff(const xo_policy_t *policy, unsigned streak, uint32_t random)
{
    int64_t delay = policy->backoff_ns;
    if (streak == 0)
        return 0;
    while (--streak > 0 && delay < policy->backoff_max_ns)
        delay *= 2;
    if (delay > policy->backoff_max_ns)
        delay = policy->backoff_max_ns;
    int64_t half = delay / 2;
    return half + (int64_t)((double)(delay - half) * ((double)random / (double)UINT32_MAX));
}

xo_decision_t xo_policy_ended(const xo_policy_t *policy, xo_policy_state_t *state, bool normal,
                              int64_t now_ns, uint32_t random)
{
    if (policy->restart == XO_RESTART_TEMPORARY ||
        (policy->restart == XO_RESTART_TRANSIENT && normal))
        return (xo_decision_t){XO_DECIDE_REMOVE, 0};
    unsigned recent = restarts_since(state, now_ns - policy->period_ns);
    if (recent >= policy->intensity)
        return (xo_decision_t){XO_DECIDE_FAIL, 0};
    if (recent == 0)
        state->streak = 0;
    remember(state, now_ns);
    return (xo_decision_t){XO_DECIDE_RESTART, backoff(policy, state->streak++, random)};
}
