/* json.h - msgpack to JSON and back, without loss.
 *
 * What JSON has no word for is an object with one key that begins with '$':
 *   {"$bytes": "00ff"}               bytes, in hex digits
 *   {"$tuple": [...]}  {"$set": [...]}  {"$frozenset": [...]}
 *   {"$complex": [re, im]}  {"$float": "nan"}  (also "inf", "-inf")
 *   {"$ref": ["host:port", uid]}     a reference to an actor
 *   {"$pickle": "8005..."}           a Python object, in hex digits
 * All but $pickle can be given as arguments, too.
 */
#ifndef CMD_JSON_H
#define CMD_JSON_H

#include <json-c/json.h>

#include "libxo/error.h"
#include "libxo/msg.h"

/* Converts one msgpack value that came with `msg` (whose buffers it may refer to). The caller puts
 * *value (NULL stands for null). -1 EBADMSG. */
int xoi_json_from_pack(const xo_msg_t *msg, xo_slice_t bytes, json_object **value, xo_error_t *err);

/* The same for what the broker tells of nodes, pools and actors: bytes that are text become a
 * string. */
int xoi_json_from_record(const xo_msg_t *msg, xo_slice_t bytes, json_object **value,
                         xo_error_t *err);

/* Appends `value` to `out`. -1 EINVAL for a '$' object that does not read. */
int xoi_json_to_pack(json_object *value, xo_buf_t *out, xo_error_t *err);

/* Parses a whole text. -1 EINVAL with a sentence that says what is wrong and where. */
int xoi_json_parse(const char *text, json_object **value, xo_error_t *err);

/* One line of JSON in which nothing could move a terminal's cursor. The caller frees it. */
char *xoi_json_text(json_object *value);

/* Of an object; NULL: there is none. It stays the object's. */
json_object *xoi_json_get(json_object *object, const char *key);
/* The same as text; "" where there is none. */
const char *xoi_json_get_text(json_object *object, const char *key);

/* "00ff" to bytes, appended. -1 if `hex` is not pairs of hex digits. */
int xoi_hex_read(const char *hex, size_t size, xo_buf_t *out);

#endif
