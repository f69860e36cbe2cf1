/* tool.c - unit tests of what the operator's tool is made of: text, JSON, tables. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/json.h"
#include "cmd/table.h"
#include "cmd/text.h"

static void check_escape(const char *data, size_t size, unsigned flags, const char *expected)
{
    char *text = xoi_text_escape(data, size, flags);
    assert_string_equal(text, expected);
    free(text);
}

static void test_escape(void **state)
{
    (void)state;
    check_escape("plain", 5, 0, "plain");
    check_escape("größe 日本", strlen("größe 日本"), 0, "größe 日本");
    check_escape("a\0b\x1b[2J\n\t\x7f", 9, 0, "a\\x00b\\x1b[2J\\n\\t");
    check_escape("\x7f", 1, 0, "\\x7f");
    check_escape("back\\slash", 10, 0, "back\\\\slash");
    check_escape("back\\slash", 10, XOI_KEEP_BACKSLASHES, "back\\slash");
    check_escape("a\n\tb\r", 5, XOI_KEEP_NEWLINES, "a\n\tb\\x0d");
    check_escape("\xff\xc3", 2, 0, "\\xff\\xc3");          /* no UTF-8, and cut off */
    check_escape("\xc2\x9b", 2, 0, "\\u009b");             /* CSI as one character */
    check_escape("\xe2\x80\xae", 3, 0, "\\u202e");         /* right-to-left override */
    check_escape("\xf3\xa0\x80\x81", 4, 0, "\\U000e0001"); /* a language tag */
    check_escape("", 0, 0, "");
}

static void check_fit(const char *text, int width, const char *expected)
{
    char *cut = xoi_text_fit(strdup(text), width);
    assert_string_equal(cut, expected);
    assert_true(xoi_text_width(cut) <= width);
    free(cut);
}

static void test_fit(void **state)
{
    (void)state;
    check_fit("short", 5, "short");
    check_fit("longer", 5, "lo…er");
    check_fit("longer", 4, "lo…r");
    check_fit("longer", 1, "…");
    check_fit("größere", 5, "gr…re");
    check_fit("日本語日本語", 12, "日本語日本語"); /* two columns each */
    check_fit("日本語日本語", 7, "日…語");
    check_fit("", 3, "");
}

static void check_text(char *text, const char *expected)
{
    assert_string_equal(text, expected);
    free(text);
}

static void test_numbers(void **state)
{
    (void)state;
    check_text(xoi_text_age(-5), "0s");
    check_text(xoi_text_age(59), "59s");
    check_text(xoi_text_age(61), "1m01s");
    check_text(xoi_text_age(3660), "1h01m");
    check_text(xoi_text_age(90000), "1d01h");
    check_text(xoi_text_count(999999), "999999");
    check_text(xoi_text_count(1500000), "1.5M");
    check_text(xoi_text_count(UINT64_MAX), "18E");
    check_text(xoi_text_bytes(1023), "1023");
    check_text(xoi_text_bytes(1536), "1.5KiB");
    check_text(xoi_text_bytes((uint64_t)64 << 20), "64MiB");
    check_text(xoi_text_bytes(UINT64_MAX), "16EiB");
}

/* JSON to msgpack and back. */
static void check_round_trip(const char *json)
{
    xo_error_t err = {0};
    xo_buf_t packed = XO_BUF_INIT;
    json_object *value;
    assert_int_equal(xoi_json_parse(json, &value, &err), 0);
    assert_int_equal(xoi_json_to_pack(value, &packed, &err), 0);
    json_object_put(value);
    assert_int_equal(xoi_json_from_pack(NULL, xo_buf_slice(&packed), &value, &err), 0);
    check_text(xoi_json_text(value), json);
    json_object_put(value);
    xo_buf_free(&packed);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "18446744073709551615",
        "1.5",
        "0.1",
        "1e+300",
        "-0.0",
        "\"\"",
        "\"a\\\"b\\\\ ü \\u0000\"",
        "[]",
        "{}",
        "[1,[2,[3]],{\"a\":null}]",
        "{\"$bytes\":\"00ff7f\"}",
        "{\"$tuple\":[1,2]}",
        "{\"$set\":[1]}",
        "{\"$frozenset\":[]}",
        "{\"$complex\":[1.5,-2.0]}",
        "{\"$float\":\"nan\"}",
        "{\"$float\":\"inf\"}",
        "{\"$float\":\"-inf\"}",
        "{\"$tuple\":[{\"$bytes\":\"\"}]}",
        "{\"$bytes\":\"00\",\"b\":1}",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check_round_trip(texts[i]);
}

static void check_refused(const char *json, const char *word)
{
    xo_error_t err = {0};
    xo_buf_t packed = XO_BUF_INIT;
    json_object *value = NULL;
    if (xoi_json_parse(json, &value, &err) == 0)
        assert_int_equal(xoi_json_to_pack(value, &packed, &err), -1);
    assert_int_equal(err.errnum, EINVAL);
    assert_non_null(strstr(err.text, word));
    json_object_put(value);
    xo_buf_free(&packed);
}

static void test_refused(void **state)
{
    (void)state;
    check_refused("", "end");
    check_refused("[1,", "end");
    check_refused("\"a", "end");
    check_refused("[1] 2", "character 5");
    check_refused("hello", "character 1");
    check_refused("[1,]", "character 4");
    check_refused("\"\xff\"", "utf-8");
    check_refused("[0, 18446744073709551616]", "out of range, at character 5");
    check_refused("-9223372036854775809", "out of range");
    check_refused("{\"18446744073709551616\": 1e999}", "out of range, at character 26");
    check_refused("{\"$bytes\": \"0\"}", "hex");
    check_refused("{\"$bytes\": 1}", "hex");
    check_refused("{\"$tuple\": 1}", "array");
    check_refused("{\"$complex\": [1]}", "two numbers");
    check_refused("{\"$float\": 1}", "nan");
    check_refused("{\"$ref\": [1, 2]}", "host:port");
    check_refused("{\"$ref\": [\"h:1\", 2]}", "host:port");
}

static void check_decoded(const char *packed, size_t size, const char *json)
{
    xo_error_t err = {0};
    json_object *value;
    assert_int_equal(xoi_json_from_pack(NULL, xo_slice(packed, size), &value, &err), 0);
    check_text(xoi_json_text(value), json);
    json_object_put(value);
}

#define CHECK_DECODED(packed, json) check_decoded(packed, sizeof(packed) - 1, json)

static void test_decoded(void **state)
{
    (void)state;
    CHECK_DECODED("", "null");
    CHECK_DECODED("\xc7\x09\x04\x00\x00\x00\x00\x00\x00\x00\x00\x01", "18446744073709551616");
    CHECK_DECODED("\xd4\x04\xff", "-1");
    CHECK_DECODED("\xd4\x04\x00", "0");
    CHECK_DECODED("\xc7\x09\x04\x00\x00\x00\x00\x00\x00\x00\x00\xff", "-18446744073709551616");
    CHECK_DECODED("\xd4\x07\x80", "{\"$pickle\":\"80\"}");
    CHECK_DECODED("\xd4\x63\x80", "{\"$ext\":\"80\"}");
    CHECK_DECODED("\x81\x01\x02", "{\"1\":2}");
    CHECK_DECODED("\x81\x92\x01\x02\x03", "{\"[1,2]\":3}");
    CHECK_DECODED("\xa3\x1b\x7f\x07", "\"\\u001b\\u007f\\u0007\"");
    CHECK_DECODED("\xa2\xc2\x9b", "\"\\u009b\"");
    CHECK_DECODED("\xa2\xff\x41", "\"\\\\xffA\""); /* a str that is not UTF-8 */
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x92\x01", "\xc1", "\xda\xff\xff", "\x81\x01",
                                      "\xd4\x08\x05"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        xo_error_t err = {0};
        json_object *value;
        assert_int_equal(xoi_json_from_pack(NULL, xo_slice(bad[i], strlen(bad[i])), &value, &err),
                         -1);
        assert_int_equal(err.errnum, EBADMSG);
    }
}

static void test_record(void **state)
{
    (void)state;
    xo_error_t err = {0};
    json_object *value;
    xo_slice_t bytes = xo_slice("\x92\xc4\x02hi\xc4\x01\xff", 8);
    assert_int_equal(xoi_json_from_record(NULL, bytes, &value, &err), 0);
    check_text(xoi_json_text(value), "[\"hi\",{\"$bytes\":\"ff\"}]");
    char *cell = xoi_cell_text(json_object_array_get_idx(value, 1));
    check_text(cell, "\\xff");
    json_object_put(value);
}

/* What a table prints, which goes to stdout. */
static char *print_table(const xoi_column_t *columns, size_t count, const char *json, int width)
{
    xo_error_t err = {0};
    json_object *rows;
    assert_int_equal(xoi_json_parse(json, &rows, &err), 0);
    fflush(stdout);
    FILE *file = tmpfile();
    int saved = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    xoi_table_print(columns, count, rows, width);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    json_object_put(rows);
    char *text = calloc(1, 4096);
    rewind(file);
    assert_true(fread(text, 1, 4095, file) > 0);
    fclose(file);
    return text;
}

static const xoi_column_t with_spare[] = {
    {.title = "UID", .key = "uid"},
    {.title = "REASON", .key = "reason", .usual = "", .spare = true}};

static void test_spare_column(void **state)
{
    (void)state;
    const char *json = "[{\"uid\":\"0123456789\",\"reason\":\"signal 9 (Killed)\"}]";
    check_text(print_table(with_spare, 2, json, 0),
               "UID         REASON\n0123456789  signal 9 (Killed)\n");
    check_text(print_table(with_spare, 2, json, 19), "UID        REASON\n0123456789 sign…ed)\n");
    check_text(print_table(with_spare, 2, json, 16), "UID\n0123456789\n");
    check_text(print_table(with_spare, 2, "[{\"uid\":\"0123\"}]", 16), "UID\n0123\n");
}

static const xoi_column_t columns[] = {
    {.title = "UID", .key = "uid"},
    {.title = "N", .key = "n", .cell = xoi_cell_count, .right = true},
    {.title = "STATE", .key = "state"}};

static void test_table(void **state)
{
    (void)state;
    check_text(print_table(columns, 3,
                           "[{\"uid\":\"a\",\"n\":12,\"state\":\"up\"},{\"uid\":\"bcd\"}]", 80),
               "UID   N  STATE\n"
               "a    12  up\n"
               "bcd   -  -\n");
}

static void test_table_rare(void **state)
{
    (void)state;
    const xoi_column_t rare[] = {{.title = "UID", .key = "uid"},
                                 {.title = "WHY", .key = "why", .usual = "because"}};
    check_text(print_table(rare, 2, "[{\"uid\":\"a\"},{\"uid\":\"b\"}]", 80), "UID\na\nb\n");
    check_text(print_table(rare, 2, "[{\"uid\":\"a\",\"why\":\"because\"}]", 80), "UID\na\n");
    check_text(print_table(rare, 2, "[{\"uid\":\"a\"},{\"uid\":\"b\",\"why\":\"c\"}]", 80),
               "UID  WHY\n"
               "a    -\n"
               "b    c\n");
}

static void test_table_cut(void **state)
{
    (void)state;
    const char *rows =
        "[{\"uid\":\"abcdefghijklmnopqrstuvwxyz\",\"n\":1234567,\"state\":\"running\"}]";
    check_text(print_table(columns, 3, rows, 24), "UID            N STATE\n"
                                                  "abcde…vwxyz 1.2M running\n");
    check_text(print_table(columns, 3, rows, 0), "UID                            N  STATE\n"
                                                 "abcdefghijklmnopqrstuvwxyz  1.2M  running\n");
}

static int set_up(void **state)
{
    (void)state;
    xoi_text_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape),       cmocka_unit_test(test_fit),
        cmocka_unit_test(test_numbers),      cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_decoded),
        cmocka_unit_test(test_malformed),    cmocka_unit_test(test_record),
        cmocka_unit_test(test_spare_column), cmocka_unit_test(test_table),
        cmocka_unit_test(test_table_rare),   cmocka_unit_test(test_table_cut),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, set_up, NULL);
}
