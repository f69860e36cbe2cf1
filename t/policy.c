/* Restart policy: what is decided when a pool's process ends. No process, no clock. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/policy.h"
#include "t/unit.h"

#define MS ((int64_t)1000000)
#define SECOND (1000 * MS)

static xo_decide_t action(const xo_policy_t *policy, xo_policy_state_t *state, bool normal,
                          int64_t now)
{
    return xo_policy_ended(policy, state, normal ? XO_END_NORMAL : XO_END_FAILED, now, 0).action;
}

static void permanent_is_always_restarted(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state = {0};
    (void)unused;
    assert_int_equal(action(&policy, &state, true, SECOND), XO_DECIDE_RESTART);
    assert_int_equal(action(&policy, &state, false, SECOND), XO_DECIDE_RESTART);
}

static void transient_is_restarted_after_a_failure_only(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state = {0};
    (void)unused;
    policy.restart = XO_RESTART_TRANSIENT;
    assert_int_equal(action(&policy, &state, false, SECOND), XO_DECIDE_RESTART);
    assert_int_equal(action(&policy, &state, true, SECOND), XO_DECIDE_REMOVE);
}

static void temporary_is_never_restarted(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state = {0};
    (void)unused;
    policy.restart = XO_RESTART_TEMPORARY;
    assert_int_equal(action(&policy, &state, false, SECOND), XO_DECIDE_REMOVE);
}

static void intensity_within_the_period_gives_up(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state = {0};
    (void)unused;
    policy.intensity = 3;
    policy.period_ns = 10 * SECOND;
    for (int i = 0; i < 3; i++)
        assert_int_equal(action(&policy, &state, false, (100 + i) * SECOND), XO_DECIDE_RESTART);
    assert_int_equal(action(&policy, &state, false, 103 * SECOND), XO_DECIDE_FAIL);
}

static void restarts_before_the_period_do_not_count(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state = {0};
    (void)unused;
    policy.intensity = 2;
    policy.period_ns = 10 * SECOND;
    for (int i = 0; i < 100; i++)
        assert_int_equal(action(&policy, &state, false, i * 6 * SECOND), XO_DECIDE_RESTART);
}

static void no_intensity_is_no_restart(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state = {0};
    (void)unused;
    policy.intensity = 0;
    assert_int_equal(action(&policy, &state, false, SECOND), XO_DECIDE_FAIL);
}

static void greatest_intensity_gives_up_too(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state = {0};
    (void)unused;
    policy.intensity = XO_INTENSITY_MAX;
    for (int i = 0; i < XO_INTENSITY_MAX; i++)
        assert_int_equal(action(&policy, &state, false, SECOND + i), XO_DECIDE_RESTART);
    assert_int_equal(action(&policy, &state, false, 2 * SECOND), XO_DECIDE_FAIL);
}

/* Without jitter's random part the delay is half of the backoff. */
static void backoff_grows_up_to_its_limit(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state = {0};
    static const int64_t expected_ms[] = {0, 5, 40, 320, 500, 500};
    (void)unused;
    policy.intensity = 10;
    policy.backoff_ns = 10 * MS;
    policy.backoff_max_ns = 1000 * MS;
    for (size_t i = 0; i < sizeof(expected_ms) / sizeof(*expected_ms); i++) {
        xo_decision_t decision = xo_policy_ended(&policy, &state, XO_END_FAILED, SECOND, 0);
        assert_int_equal(decision.action, XO_DECIDE_RESTART);
        assert_int_equal(decision.delay_ns, expected_ms[i] * MS);
    }
}

/* A second restart is not felt; the last ones give a cause time to go away. */
static void default_backoff_begins_low_and_spans_half_a_second(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state = {0};
    int64_t delays_ns[5], span_ns = 0;
    (void)unused;
    assert_int_equal(policy.intensity, 5);
    for (size_t i = 0; i < 5; i++) {
        delays_ns[i] = xo_policy_ended(&policy, &state, XO_END_FAILED, SECOND, UINT32_MAX).delay_ns;
        span_ns += delays_ns[i];
    }
    assert_int_equal(delays_ns[0], 0);
    assert_in_range(delays_ns[1], 1, MS);
    assert_in_range(span_ns, SECOND / 2, SECOND);
}

static void backoff_begins_anew_after_a_quiet_period(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state = {0};
    (void)unused;
    policy.period_ns = 10 * SECOND;
    int64_t first = xo_policy_ended(&policy, &state, XO_END_FAILED, SECOND, 0).delay_ns;
    assert_true(xo_policy_ended(&policy, &state, XO_END_FAILED, 2 * SECOND, 0).delay_ns > first);
    assert_int_equal(xo_policy_ended(&policy, &state, XO_END_FAILED, 20 * SECOND, 0).delay_ns,
                     first);
}

static void jitter_is_between_half_and_all(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    static const uint32_t randoms[] = {0, 1, UINT32_MAX / 3, UINT32_MAX / 2, UINT32_MAX};
    int64_t last = 0;
    (void)unused;
    policy.backoff_ns = 100 * MS;
    for (size_t i = 0; i < sizeof(randoms) / sizeof(*randoms); i++) {
        xo_policy_state_t state = {0};
        xo_policy_ended(&policy, &state, XO_END_FAILED, SECOND,
                        randoms[i]); /* the first is at once */
        int64_t delay =
            xo_policy_ended(&policy, &state, XO_END_FAILED, SECOND, randoms[i]).delay_ns;
        assert_in_range(delay, 50 * MS, 100 * MS);
        assert_true(delay >= last);
        last = delay;
    }
    assert_int_equal(last, 100 * MS);
}

static void what_was_asked_for_is_not_remembered(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state = {0};
    (void)unused;
    policy.intensity = 0; /* no failure is fine, and this is none */
    assert_int_equal(xo_policy_ended(&policy, &state, XO_END_ASKED, SECOND, 0).action,
                     XO_DECIDE_RESTART);
    policy.intensity = 1;
    for (int i = 0; i < 9; i++) {
        xo_decision_t decision = xo_policy_ended(&policy, &state, XO_END_ASKED, SECOND, UINT32_MAX);
        assert_int_equal(decision.action, XO_DECIDE_RESTART);
        assert_int_equal(decision.delay_ns, 0);
    }
    assert_int_equal(action(&policy, &state, false, SECOND), XO_DECIDE_RESTART);
    assert_int_equal(action(&policy, &state, false, SECOND), XO_DECIDE_FAIL);
}

/* Otherwise nothing would be before it within a period. */
static void tries_that_take_longer_than_a_period_are_given_up(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state = {0};
    int64_t now = 100 * SECOND, last_delay = -1;
    (void)unused;
    policy.intensity = 3;
    policy.period_ns = 10 * SECOND;
    for (int i = 0; i < 3; i++) {
        xo_decision_t decision = xo_policy_ended(&policy, &state, XO_END_FAILED, now, 0);
        assert_int_equal(decision.action, XO_DECIDE_RESTART);
        assert_true(decision.delay_ns > last_delay);
        last_delay = decision.delay_ns;
        now += decision.delay_ns + 60 * SECOND;
        xo_policy_leave_out(&state, 60 * SECOND);
    }
    assert_int_equal(action(&policy, &state, false, now), XO_DECIDE_FAIL);
    assert_int_equal(action(&policy, &state, false, now + 10 * SECOND), XO_DECIDE_RESTART);
}

static void a_creation_may_take_its_limit_and_a_little_more(void **unused)
{
    static const uint32_t randoms[] = {0, 1, UINT32_MAX / 2, UINT32_MAX};
    xo_policy_t policy = xo_policy_default();
    (void)unused;
    assert_int_equal(policy.create_timeout_ns, 300 * SECOND);
    policy.create_timeout_ns = 8 * SECOND;
    for (size_t i = 0; i < sizeof randoms / sizeof *randoms; i++)
        assert_in_range(xo_policy_create_limit(&policy, randoms[i]), 8 * SECOND, 9 * SECOND);
    assert_true(xo_policy_create_limit(&policy, UINT32_MAX) > xo_policy_create_limit(&policy, 0));
    policy.create_timeout_ns = 0; /* none */
    assert_int_equal(xo_policy_create_limit(&policy, UINT32_MAX), 0);
}

/* Of a million actors each remembers no more than its policy looks at; the sanitizers see it. */
static void history_needs_no_more_than_its_bytes(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    (void)unused;
    policy.intensity = 3;
    policy.period_ns = 10 * SECOND;
    xo_policy_state_t *state = calloc(1, xo_policy_state_bytes(&policy));
    assert_non_null(state);
    for (int i = 0; i < 20; i++)
        assert_int_equal(action(&policy, state, false, i * 5 * SECOND), XO_DECIDE_RESTART);
    assert_int_equal(action(&policy, state, false, 96 * SECOND), XO_DECIDE_RESTART);
    assert_int_equal(action(&policy, state, false, 97 * SECOND), XO_DECIDE_FAIL);
    free(state);
}

/* ---- from a message ---- */

static int set(xo_policy_t *policy, const char *key, const char *format, ...)
{
    xo_error_t err;
    va_list args;
    xo_buf_t value = XO_BUF_INIT;
    va_start(args, format);
    assert_int_equal(xo_pack_vformat(&value, format, args), 0);
    va_end(args);
    xo_reader_t reader = xo_reader(xo_buf_slice(&value));
    int rc = xo_policy_set(policy, xo_slice_str(key), &reader, &err);
    if (rc == 0)
        assert_true(xo_reader_done(&reader));
    else
        assert_non_null(strstr(err.text, key));
    xo_buf_free(&value);
    return rc;
}

static void keys_are_set(void **unused)
{
    xo_policy_t policy = xo_policy_default();
    (void)unused;
    assert_int_equal(set(&policy, "restart", "s", "temporary"), 0);
    assert_int_equal(set(&policy, "intensity", "i", 64), 0);
    assert_int_equal(set(&policy, "period_ms", "i", 3), 0);
    assert_int_equal(set(&policy, "backoff_ms", "i", 0), 0);
    assert_int_equal(set(&policy, "backoff_max_ms", "i", INT32_MAX), 0);
    assert_int_equal(set(&policy, "create_timeout_ms", "i", 9), 0);
    assert_int_equal(policy.restart, XO_RESTART_TEMPORARY);
    assert_int_equal(policy.intensity, 64);
    assert_int_equal(policy.period_ns, 3 * MS);
    assert_int_equal(policy.backoff_ns, 0);
    assert_int_equal(policy.backoff_max_ns, INT32_MAX * MS);
    assert_int_equal(policy.create_timeout_ns, 9 * MS);
}

static void wrong_values_are_refused(void **unused)
{
    static const char *const numbers[] = {"intensity", "period_ms", "backoff_ms", "backoff_max_ms",
                                          "create_timeout_ms"};
    xo_policy_t policy = xo_policy_default(), before = policy;
    char text[64];
    (void)unused;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_int_equal(set(&policy, numbers[i], "i", -1), -1);
        assert_int_equal(set(&policy, numbers[i], "I", (int64_t)INT32_MAX + 1), -1);
        assert_int_equal(set(&policy, numbers[i], "s", "5"), -1);
        assert_int_equal(set(&policy, numbers[i], "f", 1.5), -1);
        assert_int_equal(errno, EINVAL);
    }
    assert_int_equal(set(&policy, "intensity", "i", XO_INTENSITY_MAX + 1), -1);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_int_equal(set(&policy, "restart", "s", text), -1);
    assert_int_equal(set(&policy, "restart", "s", "always"), -1);
    assert_int_equal(set(&policy, "restart", "n"), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(set(&policy, "color", "s", "red"), -1);
    assert_int_equal(errno, ENOENT);
    assert_memory_equal(&policy, &before, sizeof policy);
}

static void names_are_read_and_written(void **unused)
{
    static const char *const names[] = {"permanent", "transient", "temporary"};
    xo_restart_t restart;
    xo_error_t err;
    (void)unused;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(xo_restart_parse(names[i], &restart, &err), 0);
        assert_string_equal(xo_restart_name(restart), names[i]);
    }
    assert_int_equal(xo_restart_parse("sometimes", &restart, &err), -1);
    assert_non_null(strstr(err.text, "'sometimes'"));
}

/* By a clock that begins elsewhere, as after another start of the machine. */
static void history_is_written_and_read(void **unused)
{
    const int64_t s = 1000000000, then_ns = 500 * s, now_ns = 7 * s, then_ms = 1700000000000;
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state = {0}, read;
    char text[XO_POLICY_TEXT_BYTES], again[XO_POLICY_TEXT_BYTES];
    (void)unused;
    policy.intensity = 3;
    for (int i = 0; i < 4; i++)
        xo_policy_ended(&policy, &state, XO_END_FAILED, (i < 1 ? 400 : 490 + i) * s, 0);
    xo_policy_write(&policy, &state, then_ns, then_ms, text);
    assert_string_equal(text, "1699999991000 1699999992000 1699999993000");
    xo_policy_read(&policy, &read, now_ns, then_ms + 10000, text);
    assert_int_equal(read.streak, 3);
    xo_policy_write(&policy, &read, now_ns, then_ms + 10000, again);
    assert_string_equal(again, text);
    assert_int_equal(xo_policy_ended(&policy, &read, XO_END_FAILED, now_ns + 40 * s, 0).action,
                     XO_DECIDE_FAIL);
    assert_int_equal(xo_policy_ended(&policy, &read, XO_END_FAILED, now_ns + 41 * s, 0).action,
                     XO_DECIDE_RESTART);
}

static void history_that_is_none_is_left_out(void **unused)
{
    static const struct {
        const char *text;
        unsigned count;
    } cases[] = {{"", 0},        {"x", 0},   {"999 1 x", 1},
                 {"5000 -7", 2}, {"990", 1}, {"99999999999999999999", 1}};
    xo_policy_t policy = xo_policy_default();
    xo_policy_state_t state;
    (void)unused;
    policy.period_ns = 100 * 1000000;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        xo_policy_read(&policy, &state, 5, 1000, cases[i].text);
        assert_int_equal(state.count, cases[i].count);
    }
    policy.intensity = 0;
    xo_policy_read(&policy, &state, 5, 1000, "999");
    assert_int_equal(state.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_is_written_and_read),
        cmocka_unit_test(history_that_is_none_is_left_out),
        cmocka_unit_test(permanent_is_always_restarted),
        cmocka_unit_test(transient_is_restarted_after_a_failure_only),
        cmocka_unit_test(temporary_is_never_restarted),
        cmocka_unit_test(intensity_within_the_period_gives_up),
        cmocka_unit_test(restarts_before_the_period_do_not_count),
        cmocka_unit_test(no_intensity_is_no_restart),
        cmocka_unit_test(greatest_intensity_gives_up_too),
        cmocka_unit_test(backoff_grows_up_to_its_limit),
        cmocka_unit_test(default_backoff_begins_low_and_spans_half_a_second),
        cmocka_unit_test(backoff_begins_anew_after_a_quiet_period),
        cmocka_unit_test(jitter_is_between_half_and_all),
        cmocka_unit_test(what_was_asked_for_is_not_remembered),
        cmocka_unit_test(tries_that_take_longer_than_a_period_are_given_up),
        cmocka_unit_test(a_creation_may_take_its_limit_and_a_little_more),
        cmocka_unit_test(history_needs_no_more_than_its_bytes),
        cmocka_unit_test(keys_are_set),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(names_are_read_and_written),
    };
    return run_tap(tests);
}
