/* json.c - msgpack to JSON. */
#include "cmd/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "cmd/text.h"

/* Above this the conversion of an integer to decimal, which is quadratic, takes too long. */
#define BIGINT_BYTES_MAX 4096

typedef struct from {
    const xo_msg_t *msg;
    bool bytes_as_text;
    xo_error_t *err;
} from_t;

static int convert(const from_t *from, xo_reader_t *reader, json_object **value);

static int malformed(const from_t *from)
{
    return xo_error_set(from->err, EBADMSG, "the answer is not well formed");
}

static json_object *hex_object(const char *key, xo_slice_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *hex = xoi_need(malloc(bytes.size * 2 + 1));
    for (size_t i = 0; i < bytes.size; i++) {
        hex[2 * i] = digits[(unsigned char)bytes.data[i] >> 4];
        hex[2 * i + 1] = digits[(unsigned char)bytes.data[i] & 15];
    }
    json_object *object = xoi_need(json_object_new_object());
    json_object_object_add(object, key, json_object_new_string_len(hex, (int)bytes.size * 2));
    free(hex);
    return object;
}

static json_object *string_object(const char *key, const char *text)
{
    json_object *object = xoi_need(json_object_new_object());
    json_object_object_add(object, key, json_object_new_string(text));
    return object;
}

static bool is_utf8(xo_slice_t text)
{
    mbstate_t state = {0};
    for (size_t at = 0; at < text.size;) {
        wchar_t c;
        size_t n = mbrtowc(&c, text.data + at, text.size - at, &state);
        if (n == (size_t)-1 || n == (size_t)-2)
            return false;
        at += n ? n : 1;
    }
    return true;
}

/* A str that is not UTF-8, which no well-behaved peer sends, is shown escaped: JSON is UTF-8. */
static json_object *text_value(xo_slice_t text)
{
    if (is_utf8(text))
        return json_object_new_string_len(text.data, (int)text.size);
    char *escaped = xoi_text_escape(text.data, text.size, 0);
    json_object *value = json_object_new_string(escaped);
    free(escaped);
    return value;
}

static json_object *bytes_value(const from_t *from, xo_slice_t bytes)
{
    return from->bytes_as_text && is_utf8(bytes) ? text_value(bytes) : hex_object("$bytes", bytes);
}

/* The shortest decimal that reads back as the same double, and is no integer. */
static json_object *double_value(double number)
{
    if (!isfinite(number))
        return string_object("$float", isnan(number) ? "nan" : number > 0 ? "inf" : "-inf");
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text) - 2, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    if (!strpbrk(text, ".e"))
        strcat(text, ".0");
    return json_object_new_double_s(number, text);
}

/* Divides the big-endian number by ten in place; returns the remainder. */
static int divide_by_ten(unsigned char *number, size_t size)
{
    int rest = 0;
    for (size_t i = 0; i < size; i++) {
        int value = rest * 256 + number[i];
        number[i] = (unsigned char)(value / 10);
        rest = value % 10;
    }
    return rest;
}

static bool all_zero(const unsigned char *number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (number[i])
            return false;
    return true;
}

/* Copies a little-endian two's complement number to a big-endian magnitude. */
static bool magnitude(xo_slice_t bytes, unsigned char *out)
{
    bool negative = bytes.size && (bytes.data[bytes.size - 1] & 0x80);
    int carry = 1;
    for (size_t i = 0; i < bytes.size; i++) {
        int byte = (unsigned char)bytes.data[i];
        if (negative) {
            byte = (byte ^ 0xff) + carry;
            carry = byte >> 8;
        }
        out[bytes.size - 1 - i] = (unsigned char)byte;
    }
    return negative;
}

static json_object *bigint_value(xo_slice_t bytes)
{
    unsigned char number[BIGINT_BYTES_MAX];
    char text[BIGINT_BYTES_MAX * 3 + 3];
    if (bytes.size > sizeof(number))
        return hex_object("$bigint", bytes);
    bool negative = magnitude(bytes, number);
    char *at = text + sizeof(text) - 1;
    *at = '\0';
    do
        *--at = (char)('0' + divide_by_ten(number, bytes.size));
    while (!all_zero(number, bytes.size));
    if (negative)
        *--at = '-';
    return json_object_new_double_s(0, at); /* printed as it is written: JSON has no limit */
}

static json_object *complex_value(xo_slice_t bytes)
{
    json_object *parts = xoi_need(json_object_new_array());
    for (size_t i = 0; i < 2 && i * 8 + 8 <= bytes.size; i++) {
        uint64_t bits = 0;
        for (size_t k = 0; k < 8; k++)
            bits = bits << 8 | (unsigned char)bytes.data[i * 8 + k];
        double number;
        memcpy(&number, &bits, sizeof(number));
        json_object_array_add(parts, double_value(number));
    }
    json_object *object = xoi_need(json_object_new_object());
    json_object_object_add(object, "$complex", parts);
    return object;
}

/* An ext whose payload is one msgpack value: {key: that value}. */
static int wrapped_value(const from_t *from, const char *key, xo_slice_t payload,
                         json_object **value)
{
    xo_reader_t reader = xo_reader(payload);
    json_object *inner;
    if (convert(from, &reader, &inner) < 0)
        return -1;
    *value = xoi_need(json_object_new_object());
    json_object_object_add(*value, key, inner);
    return 0;
}

static int buffer_value(const from_t *from, xo_slice_t payload, json_object **value)
{
    xo_reader_t reader = xo_reader(payload);
    uint64_t index;
    if (xo_read_uint(&reader, &index) < 0 || !from->msg || index >= xo_msg_buffer_count(from->msg))
        return malformed(from);
    *value = hex_object("$bytes", xo_msg_buffer(from->msg, index));
    return 0;
}

static int ext_value(const from_t *from, xo_reader_t *reader, json_object **value)
{
    int type;
    xo_slice_t payload;
    if (xo_read_ext(reader, &type, &payload) < 0)
        return malformed(from);
    switch (type) {
    case XO_EXT_TUPLE:
        return wrapped_value(from, "$tuple", payload, value);
    case XO_EXT_SET:
        return wrapped_value(from, "$set", payload, value);
    case XO_EXT_FROZENSET:
        return wrapped_value(from, "$frozenset", payload, value);
    case XO_EXT_REF:
        return wrapped_value(from, "$ref", payload, value);
    case XO_EXT_BUFFER:
        return buffer_value(from, payload, value);
    case XO_EXT_BIGINT:
        *value = bigint_value(payload);
        return 0;
    case XO_EXT_COMPLEX:
        *value = complex_value(payload);
        return 0;
    default:
        *value = hex_object(type == XO_EXT_PICKLE ? "$pickle" : "$ext", payload);
        return 0;
    }
}

static int array_value(const from_t *from, xo_reader_t *reader, json_object **value)
{
    uint32_t count;
    if (xo_read_array(reader, &count) < 0)
        return malformed(from);
    *value = xoi_need(json_object_new_array());
    for (uint32_t i = 0; i < count; i++) {
        json_object *item;
        if (convert(from, reader, &item) < 0) {
            json_object_put(*value);
            return -1;
        }
        json_object_array_add(*value, item);
    }
    return 0;
}

/* JSON's keys are strings: any other key is its JSON text. */
static char *key_text(json_object *key)
{
    if (json_object_is_type(key, json_type_string))
        return xoi_need(strdup(json_object_get_string(key)));
    return xoi_json_text(key);
}

static int add_pair(const from_t *from, xo_reader_t *reader, json_object *object)
{
    json_object *key, *item;
    if (convert(from, reader, &key) < 0)
        return -1;
    char *name = key_text(key);
    json_object_put(key);
    int rc = convert(from, reader, &item);
    if (rc == 0)
        json_object_object_add(object, name, item);
    free(name);
    return rc;
}

static int map_value(const from_t *from, xo_reader_t *reader, json_object **value)
{
    uint32_t pairs;
    if (xo_read_map(reader, &pairs) < 0)
        return malformed(from);
    *value = xoi_need(json_object_new_object());
    for (uint32_t i = 0; i < pairs; i++) {
        if (add_pair(from, reader, *value) < 0) {
            json_object_put(*value);
            return -1;
        }
    }
    return 0;
}

static int number_value(const from_t *from, xo_reader_t *reader, json_object **value)
{
    int64_t i;
    uint64_t u;
    double d;
    if (xo_read_int(reader, &i) == 0)
        *value = json_object_new_int64(i);
    else if (xo_read_uint(reader, &u) == 0)
        *value = json_object_new_uint64(u);
    else if (xo_read_double(reader, &d) == 0)
        *value = double_value(d);
    else
        return malformed(from);
    return 0;
}

/* The reader has checked the depth: xo_read_skip refuses what nests deeper than XO_DEPTH_MAX. */
static int convert(const from_t *from, xo_reader_t *reader, json_object **value)
{
    bool truth;
    xo_slice_t bytes;
    *value = NULL;
    switch (xo_read_type(reader)) {
    case XO_T_NIL:
        return xo_read_nil(reader) < 0 ? malformed(from) : 0;
    case XO_T_BOOL:
        if (xo_read_bool(reader, &truth) < 0)
            return malformed(from);
        *value = json_object_new_boolean(truth);
        return 0;
    case XO_T_INT:
    case XO_T_UINT:
    case XO_T_DOUBLE:
        return number_value(from, reader, value);
    case XO_T_STR:
        if (xo_read_str(reader, &bytes) < 0)
            return malformed(from);
        *value = text_value(bytes);
        return 0;
    case XO_T_BIN:
        if (xo_read_bin(reader, &bytes) < 0)
            return malformed(from);
        *value = bytes_value(from, bytes);
        return 0;
    case XO_T_ARRAY:
        return array_value(from, reader, value);
    case XO_T_MAP:
        return map_value(from, reader, value);
    case XO_T_EXT:
        return ext_value(from, reader, value);
    case XO_T_NONE:
        break;
    }
    return malformed(from);
}

static int convert_whole(const from_t *from, xo_slice_t bytes, json_object **value)
{
    xo_reader_t reader = xo_reader(bytes);
    xo_reader_t whole = reader;
    *value = NULL;
    if (bytes.size == 0)
        return 0;
    if (xo_read_skip(&whole) < 0)
        return malformed(from);
    return convert(from, &reader, value);
}

int xoi_json_from_pack(const xo_msg_t *msg, xo_slice_t bytes, json_object **value, xo_error_t *err)
{
    from_t from = {.msg = msg, .err = err};
    return convert_whole(&from, bytes, value);
}

int xoi_json_from_record(const xo_msg_t *msg, xo_slice_t bytes, json_object **value,
                         xo_error_t *err)
{
    from_t from = {.msg = msg, .bytes_as_text = true, .err = err};
    return convert_whole(&from, bytes, value);
}

/* json-c escapes what lies below a blank; DEL and the C1 controls (U+0080 to U+009F) act on
 * terminals, too. They can only be in strings. */
char *xoi_json_text(json_object *value)
{
    size_t size;
    const char *raw = json_object_to_json_string_length(
        value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
    char *text = NULL;
    size_t length;
    FILE *out = xoi_need(open_memstream(&text, &length));
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)raw[i];
        unsigned char next = i + 1 < size ? (unsigned char)raw[i + 1] : 0;
        if (c == 0x7f) {
            fputs("\\u007f", out);
        } else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
            fprintf(out, "\\u00%02x", next);
            i++;
        } else {
            fputc(c, out);
        }
    }
    fclose(out);
    return xoi_need(text);
}

json_object *xoi_json_get(json_object *object, const char *key)
{
    json_object *value = NULL;
    json_object_object_get_ex(object, key, &value);
    return value;
}

const char *xoi_json_get_text(json_object *object, const char *key)
{
    const char *text = json_object_get_string(xoi_json_get(object, key));
    return text ? text : "";
}
