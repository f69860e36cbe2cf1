/* failure.c - unit tests of libxo/failure.h. */

#include "libxo/failure.h"
#include "t/unit.h"

static void assert_slice(xo_slice_t slice, const char *text)
{
    assert_int_equal(slice.size, strlen(text));
    assert_memory_equal(slice.data, text, slice.size);
}

static xo_failure_t sample(void)
{
    return (xo_failure_t){
        .code = xo_slice_str(XO_CODE_METHOD),
        .message = xo_slice_str("division by zero"),
        .executed = xo_slice_str("ran"),
        .reason = xo_slice_str("exit status 1"),
        .address = xo_slice_str("10.0.0.1:7000"),
        .type = xo_slice_str("builtins.ZeroDivisionError"),
        .traceback = xo_slice_str("Traceback\n  line 1\n"),
        .missed = xo_slice_str("10.0.0.2:7001"),
        .pid = 4711,
        .exception = xo_slice("\x80\x05N.", 4),
    };
}

static void survives_the_wire(void **state)
{
    xo_failure_t failure = sample(), back;
    xo_buf_t buf = XO_BUF_INIT;
    (void)state;
    xo_failure_pack(&failure, &buf);
    assert_int_equal(xo_failure_read(xo_buf_slice(&buf), &back), 0);
    assert_slice(back.code, XO_CODE_METHOD);
    assert_slice(back.message, "division by zero");
    assert_slice(back.executed, "ran");
    assert_slice(back.reason, "exit status 1");
    assert_slice(back.address, "10.0.0.1:7000");
    assert_slice(back.type, "builtins.ZeroDivisionError");
    assert_slice(back.traceback, "Traceback\n  line 1\n");
    assert_slice(back.missed, "10.0.0.2:7001");
    assert_int_equal(back.pid, 4711);
    assert_slice(back.exception, "\x80\x05N.");
    xo_buf_free(&buf);
}

static void leaves_out_what_is_empty(void **state)
{
    const xo_failure_t failure = {.code = xo_slice_str(XO_CODE_CANCELLED)};
    xo_buf_t buf = XO_BUF_INIT;
    (void)state;
    xo_failure_pack(&failure, &buf);
    assert_slice(xo_buf_slice(&buf), "\x81\xa4"
                                     "code"
                                     "\xa9"
                                     "Cancelled");
    xo_buf_free(&buf);
}

static void reads(const char *format, int errnum)
{
    xo_buf_t buf = XO_BUF_INIT;
    xo_failure_t failure;
    assert_int_equal(xo_pack_format(&buf, format, "code", "Refused", "more", "x"), 0);
    if (errnum)
        assert_errno(xo_failure_read(xo_buf_slice(&buf), &failure), errnum);
    else
        assert_int_equal(xo_failure_read(xo_buf_slice(&buf), &failure), 0);
    xo_buf_free(&buf);
}

static void reads_what_is_well_formed(void **state)
{
    xo_failure_t failure;
    (void)state;
    reads("{s s s s}", 0); /* a key of a later version */
    reads("{s s}", 0);
    reads("{s s} n", EBADMSG);
    reads("[s s]", EBADMSG);
    reads("{s [s]}", EBADMSG);
    reads("{}", EBADMSG);
    reads("{n s}", EBADMSG);
    assert_errno(xo_failure_read(xo_slice(NULL, 0), &failure), EBADMSG);
    assert_errno(xo_failure_read(xo_slice("\x81\xa4"
                                          "code",
                                          6),
                                 &failure),
                 EBADMSG);
}

static void refuses_other_types(void **state)
{
    xo_buf_t buf = XO_BUF_INIT;
    xo_failure_t failure;
    (void)state;
    xo_pack_format(&buf, "{s s s s}", "code", "Refused", "pid", "1");
    assert_errno(xo_failure_read(xo_buf_slice(&buf), &failure), EBADMSG);
    xo_buf_clear(&buf);
    xo_pack_map(&buf, 2);
    xo_pack_format(&buf, "s s s", "code", "Refused", "exception");
    xo_pack_ext(&buf, XO_EXT_BIGINT, "x", 1);
    assert_errno(xo_failure_read(xo_buf_slice(&buf), &failure), EBADMSG);
    xo_buf_free(&buf);
}

static void has_an_errno(void **state)
{
    static const struct {
        const char *code;
        int errnum;
    } pairs[] = {
        {XO_CODE_METHOD, EREMOTEIO},      {XO_CODE_ACTOR_NOT_EXIST, ENOENT},
        {XO_CODE_ACTOR_EXISTS, EEXIST},   {XO_CODE_NO_METHOD, ENOSYS},
        {XO_CODE_NO_CLASS, ENOENT},       {XO_CODE_SERVER_CLOSED, ENOTCONN},
        {XO_CODE_DEADLINE, ETIMEDOUT},    {XO_CODE_CANCELLED, ECANCELED},
        {XO_CODE_SEND_FAILED, ECOMM},     {XO_CODE_REFUSED, EINVAL},
        {XO_CODE_UNAVAILABLE, EHOSTDOWN}, {XO_CODE_AMBIGUOUS, ENOTUNIQ},
        {"FromTheFuture", EREMOTEIO},
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        xo_failure_t failure = {.code = xo_slice_str(pairs[i].code)};
        assert_int_equal(xo_failure_errno(&failure), pairs[i].errnum);
    }
}

static void assert_sentence(const xo_failure_t *failure, int errnum, const char *text)
{
    xo_error_t err;
    assert_errno(xo_failure_set_error(failure, &err), errnum);
    assert_int_equal(err.errnum, errnum);
    assert_string_equal(err.text, text);
}

static void reads_well(void **state)
{
    xo_failure_t failure = {.code = xo_slice_str(XO_CODE_SERVER_CLOSED)};
    (void)state;
    assert_sentence(&failure, ENOTCONN,
                    "ServerClosed: the actor's pool is gone or cannot be reached");
    failure.message = xo_slice_str("pool 10.0.0.1:7000 died");
    failure.reason = xo_slice_str("signal 9 (Killed)");
    failure.address = xo_slice_str("10.0.0.1:7000");
    failure.executed = xo_slice_str("maybe");
    assert_sentence(&failure, ENOTCONN,
                    "ServerClosed: pool 10.0.0.1:7000 died (signal 9 (Killed)); "
                    "the method may have run");
    failure = sample();
    failure.reason = xo_slice(NULL, 0);
    assert_sentence(&failure, EREMOTEIO,
                    "builtins.ZeroDivisionError: division by zero [10.0.0.1:7000]");
}

static void makes_messages(void **state)
{
    xo_failure_t failure;
    (void)state;
    xo_msg_t *msg = xo_failure_msg(7, XO_CODE_SERVER_CLOSED, "no", "exit status 1", "pool %d", 3);
    assert_non_null(msg);
    assert_int_equal(xo_msg_header(msg)->kind, XO_ERROR);
    assert_int_equal(xo_msg_header(msg)->seq, 7);
    assert_int_equal(xo_failure_read(xo_msg_body(msg), &failure), 0);
    assert_slice(failure.code, XO_CODE_SERVER_CLOSED);
    assert_slice(failure.executed, "no");
    assert_slice(failure.reason, "exit status 1");
    assert_slice(failure.message, "pool 3");
    xo_msg_destroy(&msg);
    msg = xo_failure_msg(8, XO_CODE_REFUSED, NULL, NULL, "%s", "");
    assert_int_equal(xo_failure_read(xo_msg_body(msg), &failure), 0);
    assert_int_equal(failure.message.size + failure.executed.size + failure.reason.size, 0);
    xo_msg_destroy(&msg);
}

/* Destroys the answer. */
static void assert_reason(xo_msg_t *answer, const char *reason)
{
    char text[XO_ERROR_TEXT_BYTES];
    assert_string_equal(xo_answer_reason(answer, text), reason);
    xo_msg_destroy(&answer);
}

static xo_msg_t *result(const char *text, size_t size)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_pack_str(&body, text, size);
    xo_msg_t *msg = xo_msg_create(&(xo_header_t){.kind = XO_RESULT}, xo_buf_slice(&body));
    xo_buf_free(&body);
    return msg;
}

static void says_why_an_actor_ended(void **state)
{
    (void)state;
    char longer[600], cut[600];
    assert_reason(result("destroyed", 9), "destroyed");
    assert_reason(xo_failure_msg(1, XO_CODE_SERVER_CLOSED, "no", "signal 9", "the pool"),
                  "signal 9");
    assert_reason(xo_failure_msg(1, XO_CODE_ACTOR_NOT_EXIST, "no", NULL, "no \"a\""), "no \"a\"");
    assert_reason(xo_failure_msg(1, XO_CODE_ACTOR_NOT_EXIST, "no", NULL, "%s", ""),
                  "the actor does not exist");
    assert_reason(NULL, "out of memory");
    assert_reason(xo_msg_create(&(xo_header_t){.kind = XO_RESULT}, xo_slice("\x07", 1)), "ended");
    assert_reason(xo_msg_create(&(xo_header_t){.kind = XO_ERROR}, xo_slice("\x07", 1)),
                  "it failed without saying why");
    for (size_t i = 0; i < sizeof longer; i += 2) /* two bytes each, of which one would not fit */
        memcpy(longer + i, "\xc3\xb6", 2);
    memcpy(cut, longer, sizeof cut);
    cut[XO_ERROR_TEXT_BYTES - 2] = '\0';
    assert_reason(result(longer, sizeof longer), cut);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_the_wire),
        cmocka_unit_test(leaves_out_what_is_empty),
        cmocka_unit_test(reads_what_is_well_formed),
        cmocka_unit_test(refuses_other_types),
        cmocka_unit_test(has_an_errno),
        cmocka_unit_test(reads_well),
        cmocka_unit_test(makes_messages),
        cmocka_unit_test(says_why_an_actor_ended),
    };
    return run_tap(tests);
}
