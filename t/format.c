/* format.c - unit tests of libxo/pack.h: values by format, and the dump for people. */

#include "libxo/pack_arguments.h"
#include "t/unit.h"

static void assert_dump(xo_slice_t value, const char *text)
{
    xo_buf_t out = XO_BUF_INIT;
    assert_int_equal(xo_pack_dump(value, &out, 1000), 0);
    xo_buf_append(&out, "", 1);
    assert_string_equal(out.data, text);
    xo_buf_free(&out);
}

/* ---- writing ---- */

static void writes_every_letter(void **state)
{
    xo_buf_t buf = XO_BUF_INIT;
    (void)state;
    assert_int_equal(xo_pack_format(&buf, "[i I u U f ? ? n s s S B V V]", -1, INT64_MIN, 7u,
                                    UINT64_MAX, 0.5, 2, 0, "a", NULL, xo_slice("bcd", 2),
                                    xo_slice("ef", 2), xo_slice("\x91\x01", 2), xo_slice(NULL, 0)),
                     0);
    assert_dump(xo_buf_slice(&buf), "[-1, -9223372036854775808, 7, 18446744073709551615, 0.5, "
                                    "true, false, null, \"a\", null, \"bc\", <bin 2 bytes>, [1], "
                                    "null]");
    xo_buf_free(&buf);
}

static void nests(void **state)
{
    xo_buf_t buf = XO_BUF_INIT;
    (void)state;
    assert_int_equal(
        xo_pack_format(&buf, "[[],{},[[i]],{s[i,i],s{s i}}]", 1, "a", 2, 3, "b", "c", 4), 0);
    assert_dump(xo_buf_slice(&buf), "[[], {}, [[1]], {\"a\": [2, 3], \"b\": {\"c\": 4}}]");
    xo_buf_clear(&buf);
    assert_int_equal(xo_pack_format(&buf, " i , i ", 1, 2), 0);
    assert_int_equal(buf.size, 2);
    assert_int_equal(xo_pack_format(&buf, ""), 0);
    assert_int_equal(buf.size, 2);
    xo_buf_free(&buf);
}

static void refuses_bad_formats(void **state)
{
    static const char *const bad[] = {"[",  "]",    "[}", "{]", "{s}", "{s i s}", "x",    "[i",
                                      "i]", "[i*]", "_",  "*",  "}",   "i\n",     "{[i]}"};
    xo_buf_t buf = XO_BUF_INIT;
    char deep[2 * XO_DEPTH_MAX + 3] = "";
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_errno(xo_pack_format(&buf, bad[i], "k", "v", "k", "v"), EINVAL);
    memset(deep, '[', XO_DEPTH_MAX);
    memset(deep + XO_DEPTH_MAX, ']', XO_DEPTH_MAX);
    assert_int_equal(xo_pack_format(&buf, deep), 0);
    xo_buf_clear(&buf);
    memset(deep, '[', XO_DEPTH_MAX + 1);
    memset(deep + XO_DEPTH_MAX + 1, ']', XO_DEPTH_MAX + 1);
    assert_errno(xo_pack_format(&buf, deep), EINVAL);
    assert_int_equal(buf.size, 0);
    xo_buf_free(&buf);
}

/* ---- reading ---- */

static void reads_every_letter(void **state)
{
    xo_buf_t buf = XO_BUF_INIT;
    int i = 0;
    int64_t wide = 0;
    unsigned u = 0;
    uint64_t large = 0;
    double f = 0;
    bool truth = false;
    xo_slice_t s, S, B, V;
    (void)state;
    xo_pack_format(&buf, "[i I u U f ? n s S B [i i] i]", -1, INT64_MIN, 7u, UINT64_MAX, 0.5, 1,
                   "a", xo_slice("b", 1), xo_slice("c", 1), 1, 2, 3);
    xo_error_t err;
    assert_int_equal(xo_unpack(xo_buf_slice(&buf), &err, "[i I u U f ? n s S B V _]", &i, &wide, &u,
                               &large, &f, &truth, &s, &S, &B, &V),
                     0);
    assert_true(i == -1 && wide == INT64_MIN && u == 7 && large == UINT64_MAX && f == 0.5 && truth);
    assert_true(xo_slice_eq_str(s, "a") && xo_slice_eq_str(S, "b") && xo_slice_eq_str(B, "c"));
    assert_true(xo_slice_eq_str(V, "\x92\x01\x02"));
    xo_buf_free(&buf);
}

static void reads_the_rest_or_not(void **state)
{
    xo_buf_t buf = XO_BUF_INIT;
    int a = 0, b = 0, c = 0;
    (void)state;
    xo_pack_format(&buf, "[i [i i i] i]", 1, 2, 3, 4, 5);
    xo_slice_t all = xo_buf_slice(&buf);
    assert_int_equal(xo_unpack(all, NULL, "[i [i *] i]", &a, &b, &c), 0);
    assert_true(a == 1 && b == 2 && c == 5);
    assert_int_equal(xo_unpack(all, NULL, "[*]"), 0);
    assert_int_equal(xo_unpack(all, NULL, "*"), 0);
    assert_int_equal(xo_unpack(all, NULL, "_"), 0);
    assert_int_equal(xo_unpack(all, NULL, "[i _ i *]", &a, &b), 0);
    assert_errno(xo_unpack(all, NULL, ""), EBADMSG);
    assert_int_equal(xo_unpack(xo_slice(NULL, 0), NULL, ""), 0);
    xo_buf_free(&buf);
}

/* Two values, [1, [true, "x", 300]] and 2^40, read as `format`. */
static void assert_mismatch(const char *format, int errnum, const char *sentence)
{
    xo_buf_t buf = XO_BUF_INIT;
    xo_error_t err;
    union {
        xo_slice_t slice;
        int64_t number;
    } sink[8];
    xo_pack_format(&buf, "[i [? s i]] I", 1, true, "x", 300, (int64_t)1 << 40);
    errno = 0;
    assert_int_equal(xo_unpack(xo_buf_slice(&buf), &err, format, &sink[0], &sink[1], &sink[2],
                               &sink[3], &sink[4], &sink[5]),
                     -1);
    assert_int_equal(errno, errnum);
    assert_string_equal(err.text, sentence);
    xo_buf_free(&buf);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    assert_mismatch("s", EBADMSG, "value 1 is an array, expected a str or bin");
    assert_mismatch("[s _] _", EBADMSG, "value [0] is an integer, expected a str or bin");
    assert_mismatch("[_ [? S n]] _", EBADMSG, "value [1][2] is an integer, expected nil");
    assert_mismatch("[_ [? B *]] _", EBADMSG, "value [1][1] is a str, expected a bin");
    assert_mismatch("[_ [i *]] _", EBADMSG, "value [1][0] is a bool, expected an integer");
    assert_mismatch("[_] _", EBADMSG, "value 1 is an array of 2, expected 1");
    assert_mismatch("[_ _ _ *] _", EBADMSG, "value 1 is an array of 2, expected at least 3");
    assert_mismatch("_ i", EBADMSG, "value 2 is out of range, expected an integer");
    assert_mismatch("_ u", EBADMSG, "value 2 is out of range, expected an integer from 0 up");
    assert_mismatch("_ [_]", EBADMSG, "value 2 is an integer, expected an array");
    assert_mismatch("_ _ f", EBADMSG, "value 3 is missing, expected a number");
    assert_mismatch("_", EBADMSG, "more follows the 1 values expected");
    assert_mismatch("[", EINVAL, "bad format \"[\"");
    assert_mismatch("{_ _}", EINVAL, "bad format \"{_ _}\"");
    assert_mismatch("[* _]", EINVAL, "bad format \"[* _]\"");
}

static void refuses_what_is_malformed(void **state)
{
    xo_error_t err;
    xo_slice_t slice;
    (void)state;
    assert_errno(xo_unpack(xo_slice("\x92\x01\xc1", 3), &err, "[_ V]", &slice), EBADMSG);
    assert_string_equal(err.text, "value [1] is malformed, expected a value");
    assert_errno(xo_unpack(xo_slice("\x92\x01\xa5", 3), &err, "[_ *]"), EBADMSG);
    assert_string_equal(err.text, "value [1] is malformed, expected a value");
    assert_errno(xo_unpack(xo_slice("\xc1", 1), &err, "*"), EBADMSG);
}

static void says_where_however_deep(void **state)
{
    char deep[XO_DEPTH_MAX + 1], format[2 * XO_DEPTH_MAX + 2] = "";
    xo_error_t err;
    (void)state;
    memset(deep, '\x91', sizeof deep);
    deep[XO_DEPTH_MAX] = 1;
    memset(format, '[', XO_DEPTH_MAX);
    format[XO_DEPTH_MAX] = 'n';
    memset(format + XO_DEPTH_MAX + 1, ']', XO_DEPTH_MAX);
    assert_errno(xo_unpack(xo_slice(deep, sizeof deep), &err, format), EBADMSG);
    assert_non_null(strstr(err.text, "value [0][0][0]"));
}

/* ---- the dump ---- */

static void dumps_text(void **state)
{
    (void)state;
    assert_dump(xo_slice("\xa0", 1), "\"\"");
    assert_dump(xo_slice("\xa6\"\\\n\t\x1b\x7f", 7), "\"\\\"\\\\\\n\\u0009\\u001b\\u007f\"");
    assert_dump(xo_slice("\xa5\xe2\x82\xac\xc3\xa9", 6), "\"\xe2\x82\xac\xc3\xa9\"");
    assert_dump(xo_slice("\xa2\xc2\x9b", 3), "\"\\u009b\""); /* a terminal's CSI */
    assert_dump(xo_slice("\xa4\xf0\x9f\x98\x80", 5), "\"\xf0\x9f\x98\x80\"");
    assert_dump(xo_slice("\xa3\xff"
                         "a\xe2",
                         4),
                "\"\\ufffda\\ufffd\"");
    assert_dump(xo_slice("\xa3\xed\xa0\x80", 4), "\"\\ufffd\\ufffd\\ufffd\""); /* a surrogate */
    assert_dump(xo_slice("\xa2\xc0\x80", 3), "\"\\ufffd\\ufffd\"");            /* overlong */
    assert_dump(xo_slice("\xa3\xe0\x9f\xbf", 4), "\"\\ufffd\\ufffd\\ufffd\"");
    assert_dump(xo_slice("\xa4\xf4\x90\x80\x80", 5), "\"\\ufffd\\ufffd\\ufffd\\ufffd\"");
}

static void cuts_what_is_long(void **state)
{
    xo_buf_t buf = XO_BUF_INIT, out = XO_BUF_INIT;
    (void)state;
    xo_pack_array(&buf, 1000);
    for (int i = 0; i < 1000; i++)
        xo_pack_int(&buf, i);
    assert_int_equal(xo_pack_dump(xo_buf_slice(&buf), &out, 10), 0);
    assert_memory_equal(out.data, "[0, 1, 2, ...", 13);
    assert_int_equal(out.size, 13);
    assert_int_equal(xo_pack_dump(xo_buf_slice(&buf), &out, 0), 0);
    assert_memory_equal(out.data + 13, "...", 3);
    assert_int_equal(xo_pack_dump(xo_buf_slice(&buf), &out, SIZE_MAX), 0);
    assert_memory_equal(out.data + out.size - 6, ", 999]", 6);
    xo_buf_free(&buf);
    xo_buf_free(&out);
}

static void marks_what_is_malformed(void **state)
{
    static const struct {
        const char *data;
        size_t size;
        const char *text;
    } cases[] = {
        {"", 0, "<malformed>"},
        {"\xc1", 1, "<malformed>"},
        {"\x92\x01\xc1", 3, "[1, <malformed>"},
        {"\x81\x01\xc1", 3, "{1: <malformed>"},
        {"\x01\x02", 2, "1<malformed>"},
        {"\xd4\x01\x05", 3, "<malformed>"},            /* a tuple that is no array */
        {"\xd5\x02\x90\x90", 4, "<set []<malformed>"}, /* two arrays */
        {"\xd4\x05\x00", 3, "<malformed>"},            /* half of a complex number */
        {"\xd4\x06\x00", 3, "<malformed>"},            /* a reference to nothing */
        {"\xd4\x08\xa0", 3, "<malformed>"},            /* an index that is a str */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        xo_buf_t out = XO_BUF_INIT;
        assert_errno(xo_pack_dump(xo_slice(cases[i].data, cases[i].size), &out, 100), EBADMSG);
        xo_buf_append(&out, "", 1);
        assert_string_equal(out.data, cases[i].text);
        xo_buf_free(&out);
    }
}

static void survives_depth(void **state)
{
    char deep[1000];
    xo_buf_t out = XO_BUF_INIT;
    (void)state;
    memset(deep, '\x91', sizeof deep);
    deep[sizeof deep - 1] = '\xc0'; /* well formed but for its depth */
    assert_errno(xo_pack_dump(xo_slice(deep, sizeof deep), &out, 10000), EBADMSG);
    xo_buf_free(&out);
}

/* ---- arguments ---- */

static bool pack_small(xo_buf_t *buf, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    bool packed = xoi_pack_small(buf, format, list);
    va_end(list);
    return packed;
}

static void pack_any(xo_buf_t *buf, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    assert_int_equal(xoi_pack_arguments(buf, format, list), 0);
    va_end(list);
}

static bool unpack_small(xo_slice_t args, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    bool unpacked = xoi_unpack_small(args, format, list);
    va_end(list);
    return unpacked;
}

/* The short way is taken for what is small, and only for that, and writes the same. */
static void assert_short(const char *format, int value, bool is_small)
{
    xo_buf_t small = XO_BUF_INIT, any = XO_BUF_INIT;
    assert_int_equal(xo_buf_reserve(&small, 64), 0);
    bool packed = pack_small(&small, format, 0, 1, 2, 3, value, 5);
    assert_int_equal(packed, is_small);
    pack_any(&any, format, 0, 1, 2, 3, value, 5);
    if (packed) {
        assert_int_equal(small.size, any.size);
        assert_memory_equal(small.data, any.data, any.size);
    }
    xo_buf_free(&small);
    xo_buf_free(&any);
}

static void small_arguments_take_a_short_way(void **state)
{
    (void)state;
    assert_short("", 4, true);
    assert_short("i", 4, true);
    assert_short("iiiii", 0, true);
    assert_short("iiiii", 127, true);
    assert_short("iiiii", 128, false);
    assert_short("iiiii", -1, false);
    assert_short("iiiiii", 4, false);
    assert_short("i i", 4, false);
    assert_short("iu", 4, false);
    xo_buf_t none = XO_BUF_INIT;
    assert_false(pack_small(&none, "i", 1));
}

static void a_small_argument_is_read_so(void **state)
{
    int value = -1;
    (void)state;
    assert_true(unpack_small(xo_slice("\x91\x7f", 2), "i", &value));
    assert_int_equal(value, 127);
    value = -1;
    assert_false(unpack_small(xo_slice("\x91\x80", 2), "i", &value));
    assert_false(unpack_small(xo_slice("\x90\x01", 2), "i", &value));
    assert_false(unpack_small(xo_slice("\x91\x01", 2), "ii", &value, &value));
    assert_false(unpack_small(xo_slice("\x91\x01", 2), "I", &value));
    assert_false(unpack_small(xo_slice("\x91\x01\x01", 3), "i", &value));
    assert_false(unpack_small(xo_slice(NULL, 0), "i", &value));
    assert_false(unpack_small(xo_slice("\x91\x01", 2), NULL));
    assert_int_equal(value, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_every_letter),
        cmocka_unit_test(nests),
        cmocka_unit_test(refuses_bad_formats),
        cmocka_unit_test(reads_every_letter),
        cmocka_unit_test(reads_the_rest_or_not),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(refuses_what_is_malformed),
        cmocka_unit_test(says_where_however_deep),
        cmocka_unit_test(dumps_text),
        cmocka_unit_test(cuts_what_is_long),
        cmocka_unit_test(marks_what_is_malformed),
        cmocka_unit_test(survives_depth),
        cmocka_unit_test(small_arguments_take_a_short_way),
        cmocka_unit_test(a_small_argument_is_read_so),
    };
    return run_tap(tests);
}
