/* create.c - actors that xo-pool creates at its start. */
#include "pool/create.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

/* ---- CLASS[:UID[:JSON]] ---- */

/* Copies up to ':' or the end; returns what follows the ':', or NULL. */
static const char *take_field(const char *text, char *field, size_t size, bool *fits)
{
    size_t used = strcspn(text, ":");
    *fits = used < size;
    if (*fits) {
        memcpy(field, text, used);
        field[used] = '\0';
    }
    return text[used] == ':' ? text + used + 1 : NULL;
}

static void pack_json(struct json_object *value, xo_buf_t *out);

static void pack_json_array(struct json_object *value, xo_buf_t *out)
{
    size_t count = json_object_array_length(value);
    xo_pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        pack_json(json_object_array_get_idx(value, i), out);
}

static void pack_json_object(struct json_object *value, xo_buf_t *out)
{
    xo_pack_map(out, (uint32_t)json_object_object_length(value));
    json_object_object_foreach(value, key, member)
    {
        xo_pack_cstr(out, key);
        pack_json(member, out);
    }
}

static void pack_json(struct json_object *value, xo_buf_t *out)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        xo_pack_nil(out);
        break;
    case json_type_boolean:
        xo_pack_bool(out, json_object_get_boolean(value));
        break;
    case json_type_int:
        xo_pack_int(out, json_object_get_int64(value));
        break;
    case json_type_double:
        xo_pack_double(out, json_object_get_double(value));
        break;
    case json_type_string:
        xo_pack_str(out, json_object_get_string(value), (size_t)json_object_get_string_len(value));
        break;
    case json_type_array:
        pack_json_array(value, out);
        break;
    case json_type_object:
        pack_json_object(value, out);
        break;
    }
}

/* The whole text must be one JSON array. */
static struct json_object *parse_array(const char *text)
{
    size_t size = strlen(text);
    struct json_tokener *tokener = json_tokener_new();
    if (!tokener)
        return NULL;
    struct json_object *value = json_tokener_parse_ex(tokener, text, (int)size);
    bool whole = value && json_tokener_get_parse_end(tokener) == size &&
                 json_object_is_type(value, json_type_array);
    json_tokener_free(tokener);
    if (whole)
        return value;
    json_object_put(value);
    return NULL;
}

static int parse_args(const char *json, xo_buf_t *args, const char *text, xo_error_t *err)
{
    if (!json) {
        xo_pack_array(args, 0);
    } else {
        struct json_object *value = parse_array(json);
        if (!value)
            return xo_error_set(err, EINVAL, "--create %s: '%s' is no JSON array", text, json);
        pack_json(value, args);
        json_object_put(value);
    }
    return xo_buf_ok(args) < 0 ? xo_error_set(err, ENOMEM, "out of memory") : 0;
}

int xo_creation_parse(const char *text, xo_creation_t *creation, xo_error_t *err)
{
    bool fits;
    *creation = (xo_creation_t){.args = XO_BUF_INIT};
    const char *rest = take_field(text, creation->class_name, sizeof creation->class_name, &fits);
    if (!fits || !creation->class_name[0])
        return xo_error_set(err, EINVAL, "--create %s: no class name", text);
    if (rest)
        rest = take_field(rest, creation->uid, sizeof creation->uid, &fits);
    if (!fits)
        return xo_error_set(err, EINVAL, "--create %s: a uid has at most %d bytes", text,
                            XO_UID_BYTES_MAX);
    if (parse_args(rest, &creation->args, text, err) == 0)
        return 0;
    xo_buf_free(&creation->args);
    return -1;
}

/* ---- creating ---- */

typedef struct pending {
    char class_name[256];
    xo_created_f done;
    void *arg;
} pending_t;

static void read_reason(const pending_t *pending, const xo_msg_t *answer, xo_error_t *why)
{
    xo_failure_t failure;
    if (!answer)
        xo_error_set(why, ENOMEM, "out of memory");
    else if (xo_failure_read(xo_msg_body(answer), &failure) < 0)
        xo_error_set(why, EBADMSG, "an error that does not read");
    else
        xo_error_set(why, xo_failure_errno(&failure), "%.*s", (int)failure.message.size,
                     failure.message.data);
    xo_error_prefix(why, "cannot create an actor of class %s", pending->class_name);
}

static void on_answer(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    xo_error_t why = {0};
    pending_t *pending = arg;
    bool created = *answer && xo_msg_header(*answer)->kind == XO_RESULT;
    if (!created)
        read_reason(pending, *answer, &why);
    pending->done(created ? NULL : &why, pending->arg);
    free(pending);
}

static xo_msg_t *create_msg(const xo_creation_t *creation)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_CREATE,
                          .target_uid = xo_slice_str(creation->uid),
                          .method = xo_slice_str(creation->class_name)};
    xo_pack_format(&body, "[V {}]", xo_buf_slice(&creation->args));
    xo_msg_t *msg = xo_buf_ok(&body) == 0 ? xo_msg_create(&header, xo_buf_slice(&body)) : NULL;
    xo_buf_free(&body);
    return msg;
}

int xo_creation_start(const xo_creation_t *creation, xo_pool_t *pool, xo_created_f done, void *arg,
                      xo_error_t *err)
{
    xo_msg_t *msg = create_msg(creation);
    pending_t *pending = calloc(1, sizeof *pending);
    xo_call_t *call = NULL;
    if (msg && pending) {
        strcpy(pending->class_name, creation->class_name);
        pending->done = done;
        pending->arg = arg;
        call = xo_endpoint_call(xo_pool_endpoint(pool), NULL, &msg, 0, 0, on_answer, pending, err);
    } else {
        xo_error_set(err, ENOMEM, "out of memory");
    }
    xo_msg_destroy(&msg);
    if (!call)
        free(pending);
    return call ? 0 : -1;
}
