#include "broker/policy.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t second_ns = 1000000000;
static const int64_t ms_ns = 1000000;
/* So the default five tries begin with 1 ms and end with half a second. */
static const int64_t backoff_growth = 8;
/* Of a create timeout that part is what jitter may add. */
static const int64_t create_jitter = 8;

static const char *const restart_names[] = {"permanent", "transient", "temporary"};

xo_policy_t xo_policy_default(void)
{
    return (xo_policy_t){
        .restart = XO_RESTART_PERMANENT,
        .intensity = 5,
        .period_ns = 60 * second_ns,
        .backoff_ns = 1 * ms_ns,
        .backoff_max_ns = 5 * second_ns,
        .create_timeout_ns = 300 * second_ns,
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

/* ---- from a message ---- */

static int set_restart(xo_policy_t *policy, xo_reader_t *value, xo_error_t *err)
{
    xo_slice_t text;
    char copy[32];
    if (xo_read_str(value, &text) < 0 || text.size >= sizeof(copy))
        return xo_error_set(err, EINVAL, "restart must be permanent, transient or temporary");
    snprintf(copy, sizeof(copy), "%.*s", (int)text.size, text.size ? text.data : "");
    return xo_restart_parse(copy, &policy->restart, err);
}

static int read_number(xo_reader_t *value, const char *key, int64_t max, int64_t *number,
                       xo_error_t *err)
{
    if (xo_read_int(value, number) < 0 || *number < 0 || *number > max)
        return xo_error_set(err, EINVAL, "%s must be a whole number from 0 to %" PRId64, key, max);
    return 0;
}

static int set_ns(xo_reader_t *value, const char *key, int64_t *duration_ns, xo_error_t *err)
{
    int64_t ms;
    if (read_number(value, key, XO_POLICY_MS_MAX, &ms, err) < 0)
        return -1;
    *duration_ns = ms * ms_ns;
    return 0;
}

int xo_policy_set(xo_policy_t *policy, xo_slice_t key, xo_reader_t *value, xo_error_t *err)
{
    int64_t intensity;
    if (xo_slice_eq_str(key, "restart"))
        return set_restart(policy, value, err);
    if (xo_slice_eq_str(key, "period_ms"))
        return set_ns(value, "period_ms", &policy->period_ns, err);
    if (xo_slice_eq_str(key, "backoff_ms"))
        return set_ns(value, "backoff_ms", &policy->backoff_ns, err);
    if (xo_slice_eq_str(key, "backoff_max_ms"))
        return set_ns(value, "backoff_max_ms", &policy->backoff_max_ns, err);
    if (xo_slice_eq_str(key, "create_timeout_ms"))
        return set_ns(value, "create_timeout_ms", &policy->create_timeout_ns, err);
    if (!xo_slice_eq_str(key, "intensity"))
        return xo_error_set(err, ENOENT, "there is no key '%.*s'", (int)key.size, key.data);
    if (read_number(value, "intensity", XO_INTENSITY_MAX, &intensity, err) < 0)
        return -1;
    policy->intensity = (unsigned)intensity;
    return 0;
}

/* ---- deciding ---- */

size_t xo_policy_state_bytes(const xo_policy_t *policy)
{
    return offsetof(xo_policy_state_t, restarts_ns) + policy->intensity * sizeof(int64_t);
}

static unsigned restarts_since(const xo_policy_state_t *state, int64_t since_ns)
{
    unsigned found = 0;
    for (unsigned i = 0; i < state->count; i++)
        found += state->restarts_ns[i] > since_ns;
    return found;
}

static void remember(const xo_policy_t *policy, xo_policy_state_t *state, int64_t now_ns)
{
    state->restarts_ns[state->next] = now_ns;
    state->next = (state->next + 1) % policy->intensity;
    if (state->count < policy->intensity)
        state->count++;
}

/* From none of it to all. */
static int64_t part(int64_t whole, uint32_t random)
{
    return (int64_t)((double)whole * ((double)random / (double)UINT32_MAX));
}

int64_t xo_policy_backoff(const xo_policy_t *policy, unsigned streak, uint32_t random)
{
    int64_t delay = policy->backoff_ns;
    if (streak == 0)
        return 0;
    while (--streak > 0 && delay < policy->backoff_max_ns)
        delay *= backoff_growth;
    if (delay > policy->backoff_max_ns)
        delay = policy->backoff_max_ns;
    int64_t half = delay / 2;
    return half + part(delay - half, random);
}

int64_t xo_policy_create_limit(const xo_policy_t *policy, uint32_t random)
{
    int64_t limit = policy->create_timeout_ns;
    return limit + part(limit / create_jitter, random);
}

static xo_decision_t decide(const xo_policy_t *policy, xo_policy_state_t *state, int64_t now_ns,
                            uint32_t random)
{
    unsigned recent = restarts_since(state, now_ns - policy->period_ns);
    if (recent >= policy->intensity)
        return (xo_decision_t){XO_DECIDE_FAIL, 0};
    if (recent == 0)
        state->streak = 0;
    remember(policy, state, now_ns);
    return (xo_decision_t){XO_DECIDE_RESTART, xo_policy_backoff(policy, state->streak++, random)};
}

xo_decision_t xo_policy_ended(const xo_policy_t *policy, xo_policy_state_t *state, xo_end_t end,
                              int64_t now_ns, uint32_t random)
{
    if (policy->restart == XO_RESTART_TEMPORARY ||
        (policy->restart == XO_RESTART_TRANSIENT && end == XO_END_NORMAL))
        return (xo_decision_t){XO_DECIDE_REMOVE, 0};
    if (end == XO_END_ASKED)
        return (xo_decision_t){XO_DECIDE_RESTART, 0};
    return decide(policy, state, now_ns, random);
}

void xo_policy_leave_out(xo_policy_state_t *state, int64_t took_ns)
{
    for (unsigned i = 0; i < state->count; i++)
        state->restarts_ns[i] += took_ns;
}

void xo_policy_write(const xo_policy_t *policy, const xo_policy_state_t *state, int64_t now_ns,
                     int64_t now_ms, char text[XO_POLICY_TEXT_BYTES])
{
    size_t used = 0;
    text[0] = 0;
    for (unsigned i = policy->intensity > 0 ? state->count : 0; i > 0; i--) {
        unsigned at = (state->next + policy->intensity - i) % policy->intensity;
        int64_t ms = now_ms - (now_ns - state->restarts_ns[at]) / ms_ns;
        used += (size_t)snprintf(text + used, XO_POLICY_TEXT_BYTES - used, "%s%" PRId64,
                                 used > 0 ? " " : "", ms);
    }
}

/* Those in the future are as of now: the clock was set. */
void xo_policy_read(const xo_policy_t *policy, xo_policy_state_t *state, int64_t now_ns,
                    int64_t now_ms, const char *text)
{
    char *end;
    *state = (xo_policy_state_t){0};
    for (int64_t ms; policy->intensity > 0; text = end) {
        ms = strtoll(text, &end, 10);
        if (end == text)
            return;
        int64_t ago_ms = ms < now_ms && ms > 0 ? now_ms - ms : 0;
        if (ago_ms >= policy->period_ns / ms_ns)
            continue;
        remember(policy, state, now_ns - ago_ms * ms_ns);
        state->streak++;
    }
}

void xo_policy_explain(const xo_policy_t *policy, const char *reason, char *text, size_t size)
{
    bool whole = policy->period_ns % second_ns == 0;
    snprintf(text, size, "%.256s; given up after %u restarts within %" PRId64 " %s", reason,
             policy->intensity, policy->period_ns / (whole ? second_ns : ms_ns),
             whole ? "s" : "ms");
}
