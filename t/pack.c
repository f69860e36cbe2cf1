/* pack.c - unit tests of libxo/pack.h: writing, and the pull reader. Whole values are held to
 * t/vectors.txt by t/vectors.c. */

#include "libxo/pack.h"
#include "t/unit.h"

static xo_slice_t bytes(const char *data, size_t size)
{
    return xo_slice(data, size);
}
#define BYTES(text) bytes(text, sizeof(text) - 1)

static void assert_slice(xo_slice_t slice, xo_slice_t want)
{
    assert_int_equal(slice.size, want.size);
    if (want.size > 0)
        assert_memory_equal(slice.data, want.data, want.size);
}

/* ---- slices and the buffer ---- */

static void slices(void **state)
{
    (void)state;
    assert_int_equal(xo_slice_str(NULL).size, 0);
    assert_true(xo_slice_eq(xo_slice(NULL, 0), xo_slice("x", 0)));
    assert_true(xo_slice_eq_str(xo_slice("abc", 2), "ab"));
    assert_false(xo_slice_eq_str(xo_slice("abc", 2), "ac"));
    assert_false(xo_slice_eq_str(xo_slice("abc", 2), "abc"));
    assert_true(xo_slice_eq_str(xo_slice(NULL, 0), NULL));
}

static void buffer_grows(void **state)
{
    xo_buf_t buf = XO_BUF_INIT;
    char big[5000];
    (void)state;
    memset(big, 'b', sizeof big);
    assert_int_equal(xo_buf_slice(&buf).size, 0);
    assert_int_equal(xo_buf_append(&buf, NULL, 0), 0);
    assert_int_equal(xo_buf_append(&buf, "a", 1), 0);
    assert_int_equal(xo_buf_append(&buf, big, sizeof big), 0);
    assert_int_equal(buf.size, 5001);
    assert_memory_equal(buf.data, "abb", 3);
    xo_buf_clear(&buf);
    assert_int_equal(buf.size, 0);
    assert_true(buf.capacity >= 5001);
    errno = EPERM;
    xo_buf_free(&buf);
    assert_int_equal(errno, EPERM);
    assert_int_equal(xo_buf_append(&buf, "c", 1), 0);
    xo_buf_free(&buf);
}

static void buffer_fails_for_good(void **state)
{
    xo_buf_t buf = XO_BUF_INIT;
    (void)state;
    xo_pack_int(&buf, 1);
    assert_errno(xo_buf_reserve(&buf, SIZE_MAX), ENOMEM);
    xo_pack_int(&buf, 2);
    assert_errno(xo_buf_ok(&buf), ENOMEM);
    assert_int_equal(buf.size, 1);
    assert_errno(xo_pack_format(&buf, "i", 3), ENOMEM);
    xo_buf_clear(&buf);
    assert_int_equal(xo_buf_ok(&buf), 0);
    xo_buf_free(&buf);
}

static void refuses_what_msgpack_cannot_count(void **state)
{
    static const char byte;
    const size_t size = (size_t)UINT32_MAX + 1; /* only the length is looked at */
    xo_buf_t buf = XO_BUF_INIT;
    (void)state;
    xo_pack_str(&buf, &byte, size);
    assert_errno(xo_buf_ok(&buf), ENOMEM);
    xo_buf_clear(&buf);
    xo_pack_bin(&buf, &byte, size);
    assert_errno(xo_buf_ok(&buf), ENOMEM);
    xo_buf_clear(&buf);
    xo_pack_ext_header(&buf, XO_EXT_PICKLE, size);
    assert_errno(xo_buf_ok(&buf), ENOMEM);
    assert_int_equal(buf.size, 0);
    xo_buf_free(&buf);
}

/* ---- writing ---- */

static void writes(void **state)
{
    xo_buf_t buf = XO_BUF_INIT;
    (void)state;
    xo_pack_cstr(&buf, NULL);
    xo_pack_bool(&buf, true);
    xo_pack_int(&buf, -1);
    xo_pack_uint(&buf, 200);
    xo_pack_double(&buf, 1.0);
    xo_pack_cstr(&buf, "a");
    xo_pack_bin(&buf, "\0", 1);
    xo_pack_array(&buf, 1);
    xo_pack_map(&buf, 16);
    xo_pack_ext(&buf, XO_EXT_BIGINT, "xyz", 3);
    xo_pack_raw(&buf, BYTES("\x91\x01"));
    xo_pack_raw(&buf, xo_slice(NULL, 0));
    assert_slice(xo_buf_slice(&buf), BYTES("\xc0\xc3\xff\xcc\xc8\xcb\x3f\xf0\0\0\0\0\0\0\xa1"
                                           "a\xc4\x01\0\x91\xde\0\x10\xc7\x03\x04xyz\x91\x01\xc0"));
    xo_buf_free(&buf);
}

/* ---- reading ---- */

static void reads_integers_in_every_width(void **state)
{
    static const struct {
        const char *data;
        size_t size;
        int64_t value;
    } cases[] = {
        {"\x00", 1, 0},
        {"\x7f", 1, 127},
        {"\xe0", 1, -32},
        {"\xff", 1, -1},
        {"\xcc\xff", 2, 255},
        {"\xcd\xff\xff", 3, 65535},
        {"\xce\xff\xff\xff\xff", 5, UINT32_MAX},
        {"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9, INT64_MAX},
        {"\xcf\0\0\0\0\0\0\0\x05", 9, 5},
        {"\xd0\x80", 2, -128},
        {"\xd0\x05", 2, 5},
        {"\xd1\x80\x00", 3, -32768},
        {"\xd2\x80\x00\x00\x00", 5, INT32_MIN},
        {"\xd3\x80\0\0\0\0\0\0\0", 9, INT64_MIN},
        {"\xd3\x7f\xff\xff\xff\xff\xff\xff\xff", 9, INT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        xo_reader_t reader = xo_reader(bytes(cases[i].data, cases[i].size)), again = reader;
        int64_t value;
        uint64_t unsigned_value;
        double number;
        assert_int_equal(xo_read_type(&reader), XO_T_INT);
        assert_int_equal(xo_read_int(&reader, &value), 0);
        assert_true(value == cases[i].value && xo_reader_done(&reader));
        reader = again;
        assert_int_equal(xo_read_uint(&reader, &unsigned_value), cases[i].value < 0 ? -1 : 0);
        reader = again;
        assert_int_equal(xo_read_double(&reader, &number), 0);
        assert_true(number == (double)cases[i].value);
    }
}

static void reads_integers_above_int64(void **state)
{
    xo_reader_t reader = xo_reader(BYTES("\xcf\x80\0\0\0\0\0\0\0"));
    int64_t value;
    uint64_t unsigned_value;
    double number;
    (void)state;
    assert_int_equal(xo_read_type(&reader), XO_T_UINT);
    assert_errno(xo_read_int(&reader, &value), EBADMSG);
    xo_reader_t again = reader;
    assert_int_equal(xo_read_uint(&again, &unsigned_value), 0);
    assert_true(unsigned_value == (uint64_t)INT64_MAX + 1);
    assert_int_equal(xo_read_double(&reader, &number), 0);
    assert_true(number == 9223372036854775808.0);
}

static void reads_floats(void **state)
{
    xo_reader_t reader = xo_reader(BYTES("\xca\x3f\x80\0\0\xcb\xbf\xe0\0\0\0\0\0\0"));
    double value;
    int64_t number;
    (void)state;
    assert_errno(xo_read_int(&reader, &number), EBADMSG);
    assert_int_equal(xo_read_double(&reader, &value), 0);
    assert_true(value == 1.0);
    assert_int_equal(xo_read_double(&reader, &value), 0);
    assert_true(value == -0.5);
    assert_int_equal(xo_read_type(&reader), XO_T_NONE);
}

static void reads_one_after_another(void **state)
{
    xo_reader_t reader = xo_reader(BYTES("\xc0\xc2\xa1"
                                         "a\xc4\x01"
                                         "b\xd9\x01"
                                         "c\x92\x01\x02\x81\xa1k\x01\xd4\x08\x03"));
    xo_slice_t slice;
    uint32_t count;
    bool truth = true;
    int type;
    (void)state;
    assert_int_equal(xo_read_nil(&reader), 0);
    assert_int_equal(xo_read_bool(&reader, &truth), 0);
    assert_false(truth);
    assert_errno(xo_read_bin(&reader, &slice), EBADMSG);
    assert_int_equal(xo_read_str(&reader, &slice), 0);
    assert_true(xo_slice_eq_str(slice, "a"));
    assert_errno(xo_read_str(&reader, &slice), EBADMSG);
    assert_true(xo_slice_eq_str(slice, "a"));
    assert_int_equal(xo_read_bin(&reader, &slice), 0);
    assert_int_equal(xo_read_bytes(&reader, &slice), 0);
    assert_true(xo_slice_eq_str(slice, "c"));
    assert_int_equal(xo_read_array(&reader, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(xo_read_skip(&reader), 0);
    assert_int_equal(xo_read_skip(&reader), 0);
    assert_errno(xo_read_array(&reader, &count), EBADMSG);
    assert_int_equal(xo_read_raw(&reader, &slice), 0);
    assert_slice(slice, BYTES("\x81\xa1k\x01"));
    assert_int_equal(xo_read_ext(&reader, &type, &slice), 0);
    assert_int_equal(type, XO_EXT_BUFFER);
    assert_slice(slice, BYTES("\x03"));
    assert_true(xo_reader_done(&reader));
    assert_errno(xo_read_skip(&reader), EBADMSG);
}

/* Of a value cut anywhere, nothing is read, and the reader stays. */
static void refuses_what_is_cut(void **state)
{
    static const char value[] = "\x92\xcf\0\0\0\0\0\0\0\x01\x82\xa1k\xca\0\0\0\0\xc4\x02"
                                "ab\xc7\x03\x07xyz";
    (void)state;
    for (size_t size = 0; size < sizeof value - 1; size++) {
        xo_reader_t reader = xo_reader(bytes(value, size)), before = reader;
        assert_errno(xo_read_skip(&reader), EBADMSG);
        assert_ptr_equal(reader.at, before.at);
    }
    xo_reader_t reader = xo_reader(bytes(value, sizeof value - 1));
    assert_int_equal(xo_read_skip(&reader), 0);
    assert_true(xo_reader_done(&reader));
}

static void refuses_every_lead_byte_alone(void **state)
{
    (void)state;
    for (int lead = 0xa1; lead <= 0xdf; lead++) {
        char byte = (char)lead;
        xo_reader_t reader = xo_reader(bytes(&byte, 1));
        bool whole = lead == 0xc0 || lead == 0xc2 || lead == 0xc3;
        assert_int_equal(xo_read_type(&reader) != XO_T_NONE, whole);
        assert_int_equal(xo_read_skip(&reader), whole ? 0 : -1);
    }
}

static void counts_must_fit(void **state)
{
    xo_reader_t reader = xo_reader(BYTES("\x93\x01\x02"));
    uint32_t count;
    (void)state;
    assert_errno(xo_read_array(&reader, &count), EBADMSG);
    reader = xo_reader(BYTES("\x82\x01\x02\x03"));
    assert_errno(xo_read_map(&reader, &count), EBADMSG);
    reader = xo_reader(BYTES("\xdf\xff\xff\xff\xff\x01\x02\x03"));
    assert_errno(xo_read_map(&reader, &count), EBADMSG);
    reader = xo_reader(BYTES("\xdf\x80\x00\x00\x01\x01\x01"));
    assert_errno(xo_read_map(&reader, &count), EBADMSG);
    reader = xo_reader(BYTES("\xdd\xff\xff\xff\xff\x01"));
    assert_errno(xo_read_array(&reader, &count), EBADMSG);
}

static void depth_is_bounded(void **state)
{
    char deep[XO_DEPTH_MAX + 2];
    (void)state;
    memset(deep, '\x91', sizeof deep);
    deep[XO_DEPTH_MAX] = '\xc0';
    xo_reader_t reader = xo_reader(bytes(deep, XO_DEPTH_MAX + 1));
    assert_int_equal(xo_read_skip(&reader), 0);
    deep[XO_DEPTH_MAX] = '\x90'; /* one more, though empty */
    reader = xo_reader(bytes(deep, XO_DEPTH_MAX + 1));
    assert_errno(xo_read_skip(&reader), EBADMSG);
    deep[XO_DEPTH_MAX] = '\x91';
    deep[XO_DEPTH_MAX + 1] = '\xc0';
    reader = xo_reader(bytes(deep, XO_DEPTH_MAX + 2));
    assert_errno(xo_read_skip(&reader), EBADMSG);
}

/* ---- maps ---- */

static void maps(void **state)
{
    xo_buf_t buf = XO_BUF_INIT;
    xo_slice_t value;
    char text[4];
    int64_t number = 0;
    (void)state;
    xo_pack_format(&buf, "{i s s [i] s s s n s s s i}", 7, "seven", "list", 1, "name", "abc",
                   "none", "long", "abcd", "number", -5);
    xo_slice_t map = xo_buf_slice(&buf);
    assert_int_equal(xo_map_get(map, "list", &value), 0);
    assert_slice(value, BYTES("\x91\x01"));
    assert_errno(xo_map_get(map, "seven", &value), ENOENT);
    assert_int_equal(xo_map_get_str(map, "name", text, sizeof text), 0);
    assert_string_equal(text, "abc");
    assert_errno(xo_map_get_str(map, "long", text, sizeof text), ENOBUFS);
    assert_errno(xo_map_get_str(map, "none", text, sizeof text), ENOENT);
    assert_errno(xo_map_get_str(map, "number", text, sizeof text), EBADMSG);
    assert_int_equal(xo_map_get_int(map, "number", &number), 0);
    assert_int_equal(number, -5);
    assert_errno(xo_map_get_int(map, "none", &number), ENOENT);
    assert_errno(xo_map_get_int(map, "name", &number), EBADMSG);
    xo_buf_free(&buf);
}

static void maps_that_are_none(void **state)
{
    xo_slice_t value;
    char text[8];
    (void)state;
    assert_errno(xo_map_get(xo_slice(NULL, 0), "k", &value), EBADMSG);
    assert_errno(xo_map_get(BYTES("\x91\x01"), "k", &value), EBADMSG);
    assert_errno(xo_map_get(BYTES("\x80"), "k", &value), ENOENT);
    assert_errno(xo_map_get(BYTES("\x81\xa1k\xa5"), "k", &value), EBADMSG);
    assert_errno(xo_map_get_str(BYTES("\x81\xa1k\xa2"
                                      "a\0"),
                                "k", text, sizeof text),
                 EBADMSG); /* would be another text in C */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices),
        cmocka_unit_test(buffer_grows),
        cmocka_unit_test(buffer_fails_for_good),
        cmocka_unit_test(refuses_what_msgpack_cannot_count),
        cmocka_unit_test(writes),
        cmocka_unit_test(reads_integers_in_every_width),
        cmocka_unit_test(reads_integers_above_int64),
        cmocka_unit_test(reads_floats),
        cmocka_unit_test(reads_one_after_another),
        cmocka_unit_test(refuses_what_is_cut),
        cmocka_unit_test(refuses_every_lead_byte_alone),
        cmocka_unit_test(counts_must_fit),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(maps),
        cmocka_unit_test(maps_that_are_none),
    };
    return run_tap(tests);
}
