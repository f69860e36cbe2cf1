/* error.c - unit tests of libxo/error.h. */

#include "libxo/error.h"
#include "t/unit.h"

static void sets_all_three(void **state)
{
    xo_error_t err;
    (void)state;
    assert_errno(xo_error_set(&err, ENOENT, "no file \"%s\"", "a"), ENOENT);
    assert_int_equal(err.errnum, ENOENT);
    assert_string_equal(err.text, "no file \"a\"");
    errno = 0;
    assert_null(xo_error_null(&err, EINVAL, "option %d", 3));
    assert_int_equal(errno, EINVAL);
    assert_string_equal(err.text, "option 3");
}

static void takes_null(void **state)
{
    (void)state;
    assert_errno(xo_error_set(NULL, EIO, "lost"), EIO);
    errno = 0;
    assert_null(xo_error_null(NULL, EPERM, "lost"));
    assert_int_equal(errno, EPERM);
    errno = EBUSY;
    assert_int_equal(xo_error_prefix(NULL, "reading"), -1);
    assert_int_equal(errno, EBUSY);
}

static void prefixes(void **state)
{
    xo_error_t err;
    (void)state;
    xo_error_set(&err, ENOENT, "no such key");
    assert_errno(xo_error_prefix(&err, "node %d", 7), ENOENT);
    assert_string_equal(err.text, "node 7: no such key");
    assert_int_equal(err.errnum, ENOENT);
}

static void own_text_as_argument(void **state)
{
    xo_error_t err;
    (void)state;
    xo_error_set(&err, EIO, "inner");
    xo_error_set(&err, EINVAL, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
}

static void percent_m_means_the_new_errno(void **state)
{
    xo_error_t err;
    (void)state;
    errno = EPERM;
    xo_error_set(&err, ENOENT, "open: %m");
    assert_string_equal(err.text, "open: No such file or directory");
}

static void cuts_what_is_too_long(void **state)
{
    char text[2 * XO_ERROR_TEXT_BYTES];
    xo_error_t err;
    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    xo_error_set(&err, EIO, "%s", text);
    assert_int_equal(strlen(err.text), XO_ERROR_TEXT_BYTES - 1);
    assert_string_equal(err.text + XO_ERROR_TEXT_BYTES - 6, "xx...");
    assert_errno(xo_error_prefix(&err, "%s", text), EIO);
    assert_int_equal(strlen(err.text), XO_ERROR_TEXT_BYTES - 1);
}

static void cuts_between_characters(void **state)
{
    char text[2 * XO_ERROR_TEXT_BYTES] = "";
    xo_error_t err;
    (void)state;
    for (int shift = 0; shift < 3; shift++) {
        memset(text, 'x', (size_t)shift);
        for (size_t i = (size_t)shift; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 4); /* the euro sign */
        xo_error_set(&err, EIO, "%s", text);
        size_t kept = strlen(err.text) - strlen("...");
        assert_string_equal(err.text + kept, "...");
        assert_int_equal((kept - (size_t)shift) % 3, 0);
    }
}

static void one_clean_line(void **state)
{
    xo_error_t err;
    (void)state;
    xo_error_set(&err, EIO, "Redis said: %s", "-ERR \x1b[31mno\r\n");
    assert_string_equal(err.text, "Redis said: -ERR ?[31mno?");
    xo_error_set(&err, EIO, "\n\n");
    assert_string_equal(err.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_all_three),
        cmocka_unit_test(takes_null),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(own_text_as_argument),
        cmocka_unit_test(percent_m_means_the_new_errno),
        cmocka_unit_test(cuts_what_is_too_long),
        cmocka_unit_test(cuts_between_characters),
        cmocka_unit_test(one_clean_line),
    };
    return run_tap(tests);
}
