/* json-read.c - JSON to msgpack. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/json.h"

typedef int (*special_f)(json_object *value, xo_buf_t *out, xo_error_t *err);

typedef struct special {
    const char *key;
    special_f pack;
} special_t;

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int xoi_hex_read(const char *hex, size_t size, xo_buf_t *out)
{
    if (size % 2)
        return -1;
    for (size_t i = 0; i < size; i += 2) {
        int high = hex_digit(hex[i]);
        int low = hex_digit(hex[i + 1]);
        if (high < 0 || low < 0)
            return -1;
        char byte = (char)(high << 4 | low);
        xo_buf_append(out, &byte, 1);
    }
    return xo_buf_ok(out);
}

static int pack_bytes(json_object *value, xo_buf_t *out, xo_error_t *err)
{
    xo_buf_t bytes = XO_BUF_INIT;
    int rc = -1;
    if (json_object_is_type(value, json_type_string))
        rc = xoi_hex_read(json_object_get_string(value), (size_t)json_object_get_string_len(value),
                          &bytes);
    if (rc == 0)
        xo_pack_bin(out, bytes.data, bytes.size);
    else
        xo_error_set(err, EINVAL, "$bytes needs a string of hex digits, two for each byte");
    xo_buf_free(&bytes);
    return rc;
}

/* The value, which must be an array, as the payload of an ext. */
static int pack_wrapped(xo_ext_t type, json_object *value, xo_buf_t *out, xo_error_t *err)
{
    if (!json_object_is_type(value, json_type_array))
        return xo_error_set(err, EINVAL, "$tuple, $set and $frozenset need an array");
    xo_buf_t inner = XO_BUF_INIT;
    int rc = xoi_json_to_pack(value, &inner, err);
    if (rc == 0)
        xo_pack_ext(out, type, inner.data, inner.size);
    xo_buf_free(&inner);
    return rc;
}

static int pack_tuple(json_object *value, xo_buf_t *out, xo_error_t *err)
{
    return pack_wrapped(XO_EXT_TUPLE, value, out, err);
}

static int pack_set(json_object *value, xo_buf_t *out, xo_error_t *err)
{
    return pack_wrapped(XO_EXT_SET, value, out, err);
}

static int pack_frozenset(json_object *value, xo_buf_t *out, xo_error_t *err)
{
    return pack_wrapped(XO_EXT_FROZENSET, value, out, err);
}

static int pack_float(json_object *value, xo_buf_t *out, xo_error_t *err)
{
    const char *text = json_object_get_string(value);
    if (text && strcmp(text, "nan") == 0)
        xo_pack_double(out, NAN);
    else if (text && strcmp(text, "inf") == 0)
        xo_pack_double(out, INFINITY);
    else if (text && strcmp(text, "-inf") == 0)
        xo_pack_double(out, -INFINITY);
    else
        return xo_error_set(err, EINVAL, "$float needs \"nan\", \"inf\" or \"-inf\"");
    return 0;
}

static void append_double(char *out, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    for (int i = 0; i < 8; i++)
        out[i] = (char)(bits >> (56 - 8 * i));
}

static bool is_number(json_object *value)
{
    return json_object_is_type(value, json_type_int) ||
           json_object_is_type(value, json_type_double);
}

static int pack_complex(json_object *value, xo_buf_t *out, xo_error_t *err)
{
    char bytes[16];
    if (!json_object_is_type(value, json_type_array) || json_object_array_length(value) != 2 ||
        !is_number(json_object_array_get_idx(value, 0)) ||
        !is_number(json_object_array_get_idx(value, 1)))
        return xo_error_set(err, EINVAL, "$complex needs an array of two numbers");
    append_double(bytes, json_object_get_double(json_object_array_get_idx(value, 0)));
    append_double(bytes + 8, json_object_get_double(json_object_array_get_idx(value, 1)));
    xo_pack_ext(out, XO_EXT_COMPLEX, bytes, sizeof(bytes));
    return 0;
}

/* The uid of a reference is bytes: a string, or a $bytes object. */
static int pack_uid(json_object *value, xo_buf_t *out, xo_error_t *err)
{
    json_object *bytes;
    if (json_object_is_type(value, json_type_string)) {
        xo_pack_bin(out, json_object_get_string(value), (size_t)json_object_get_string_len(value));
        return 0;
    }
    if (json_object_object_get_ex(value, "$bytes", &bytes))
        return pack_bytes(bytes, out, err);
    return xo_error_set(err, EINVAL, "$ref needs [\"host:port\", uid]");
}

static int pack_ref(json_object *value, xo_buf_t *out, xo_error_t *err)
{
    bool two = json_object_is_type(value, json_type_array) && json_object_array_length(value) == 2;
    json_object *address = two ? json_object_array_get_idx(value, 0) : NULL;
    if (!json_object_is_type(address, json_type_string))
        return xo_error_set(err, EINVAL, "$ref needs [\"host:port\", uid]");
    xo_buf_t inner = XO_BUF_INIT;
    xo_pack_array(&inner, 2);
    xo_pack_cstr(&inner, json_object_get_string(address));
    int rc = pack_uid(json_object_array_get_idx(value, 1), &inner, err);
    if (rc == 0)
        xo_pack_ext(out, XO_EXT_REF, inner.data, inner.size);
    xo_buf_free(&inner);
    return rc;
}

static const special_t specials[] = {
    {"$bytes", pack_bytes}, {"$tuple", pack_tuple},     {"$set", pack_set},
    {"$ref", pack_ref},     {"$complex", pack_complex}, {"$frozenset", pack_frozenset},
    {"$float", pack_float},
};

/* The row for an object whose only key is a special one; *value is what the key holds. */
static const special_t *find_special(json_object *object, json_object **value)
{
    if (json_object_object_length(object) != 1)
        return NULL;
    for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++)
        if (json_object_object_get_ex(object, specials[i].key, value))
            return &specials[i];
    return NULL;
}

static int pack_object(json_object *object, xo_buf_t *out, xo_error_t *err)
{
    json_object *inner;
    const special_t *special = find_special(object, &inner);
    if (special)
        return special->pack(inner, out, err);
    xo_pack_map(out, (uint32_t)json_object_object_length(object));
    json_object_object_foreach(object, key, value)
    {
        xo_pack_cstr(out, key);
        if (xoi_json_to_pack(value, out, err) < 0)
            return -1;
    }
    return 0;
}

static int pack_array(json_object *array, xo_buf_t *out, xo_error_t *err)
{
    size_t count = json_object_array_length(array);
    xo_pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        if (xoi_json_to_pack(json_object_array_get_idx(array, i), out, err) < 0)
            return -1;
    return 0;
}

/* Above INT64_MAX json-c keeps an unsigned number, which json_object_get_int64 would clamp. */
static void pack_integer(json_object *value, xo_buf_t *out)
{
    int64_t number = json_object_get_int64(value);
    if (number == INT64_MAX)
        xo_pack_uint(out, json_object_get_uint64(value));
    else
        xo_pack_int(out, number);
}

int xoi_json_to_pack(json_object *value, xo_buf_t *out, xo_error_t *err)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        xo_pack_nil(out);
        break;
    case json_type_boolean:
        xo_pack_bool(out, json_object_get_boolean(value));
        break;
    case json_type_int:
        pack_integer(value, out);
        break;
    case json_type_double:
        xo_pack_double(out, json_object_get_double(value));
        break;
    case json_type_string:
        xo_pack_str(out, json_object_get_string(value), (size_t)json_object_get_string_len(value));
        break;
    case json_type_array:
        return pack_array(value, out, err);
    case json_type_object:
        return pack_object(value, out, err);
    }
    return 0;
}

/* json-c puts the nearest number it has in place of one that is out of range. */
static bool in_range(const char *number, char **end)
{
    errno = 0;
    double real = strtod(number, end);
    if (isinf(real))
        return false;
    size_t size = (size_t)(*end - number);
    if (memchr(number, '.', size) || memchr(number, 'e', size) || memchr(number, 'E', size))
        return true;
    errno = 0;
    if (*number == '-')
        strtoll(number, NULL, 10);
    else
        strtoull(number, NULL, 10);
    return errno == 0;
}

/* Goes over the numbers of a text that is JSON; the first that is out of range, or NULL. */
static const char *find_out_of_range(const char *text)
{
    for (const char *at = text; *at;) {
        if (*at == '"' || *at == '\'') {
            char quote = *at++;
            for (; *at && *at != quote; at++)
                at += *at == '\\' && at[1];
            at += *at == quote;
        } else if (*at == '-' || (*at >= '0' && *at <= '9')) {
            char *end;
            if (!in_range(at, &end))
                return at;
            at = end > at ? end : at + 1;
        } else {
            at++;
        }
    }
    return NULL;
}

int xoi_json_parse(const char *text, json_object **value, xo_error_t *err)
{
    json_tokener *tokener = json_tokener_new_ex(XO_DEPTH_MAX / 2);
    if (!tokener)
        return xo_error_set(err, ENOMEM, "out of memory");
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    /* With its NUL, so that a number at the end is known to be complete. */
    *value = json_tokener_parse_ex(tokener, text, (int)strlen(text) + 1);
    enum json_tokener_error code = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);
    json_tokener_free(tokener);
    const char *bad = code == json_tokener_success ? find_out_of_range(text) : NULL;
    if (code == json_tokener_success && end == strlen(text) && !bad)
        return 0;
    json_object_put(*value);
    *value = NULL;
    if (bad)
        return xo_error_set(err, EINVAL, "a number is out of range, at character %zu",
                            (size_t)(bad - text) + 1);
    return xo_error_set(err, EINVAL, "%s, at character %zu",
                        code == json_tokener_success || code == json_tokener_continue
                            ? "unexpected end"
                            : json_tokener_error_desc(code),
                        end + 1);
}
