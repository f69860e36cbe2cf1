/* create.c - actors that xo-pool creates at its start. */
#include "pool/create.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- CLASS[:UID[:JSON]] ---- */

/* A name has one ':' of its own; "xo" may be a uid with arguments, too. */
static size_t name_length(const char *text)
{
    size_t prefix = strlen(XO_NAME_PREFIX);
    bool is_name =
        strncmp(text, XO_NAME_PREFIX, prefix) == 0 && text[prefix] && text[prefix] != '[';
    return is_name ? prefix : 0;
}

/* Copies up to ':' or the end; returns what follows the ':', or NULL. */
static const char *take_field(const char *text, char *field, size_t size, bool *fits)
{
    size_t used = name_length(text);
    used += strcspn(text + used, ":");
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

/* [args, {}] */
static int parse_args(const char *json, xo_buf_t *body, const char *text, xo_error_t *err)
{
    xo_pack_array(body, 2);
    if (!json) {
        xo_pack_array(body, 0);
    } else {
        struct json_object *value = parse_array(json);
        if (!value)
            return xo_error_set(err, EINVAL, "--create %s: '%s' is no JSON array", text, json);
        pack_json(value, body);
        json_object_put(value);
    }
    xo_pack_map(body, 0);
    return xo_buf_ok(body) < 0 ? xo_error_set(err, ENOMEM, "out of memory") : 0;
}

/* ---- WORD[,KEY=VALUE]... ---- */

#define POLICY_TEXT_BYTES 256

static int take_restart(const char *word, xo_actor_options_t *options, xo_error_t *err)
{
    static const char *const words[] = {"permanent", "transient", "temporary"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(word, words[i])) {
            options->restart = words[i];
            return 0;
        }
    return xo_error_set(err, EINVAL, "'%s' is not one of permanent, transient, temporary", word);
}

/* What is too large is told of by who packs it. */
static int take_number(const char *key, const char *text, xo_actor_options_t *options,
                       xo_error_t *err)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value > INT32_MAX)
        return xo_error_set(err, EINVAL, "%s=%s: not a whole number from 0 to %d", key, text,
                            INT32_MAX);
    if (!strcmp(key, "intensity"))
        options->intensity = (int)value;
    else if (!strcmp(key, "period_ms"))
        options->period_ms = value;
    else if (!strcmp(key, "backoff_ms"))
        options->backoff_ms = value;
    else if (!strcmp(key, "backoff_max_ms"))
        options->backoff_max_ms = value;
    else if (!strcmp(key, "create_timeout_ms"))
        options->create_timeout_ms = value;
    else
        return xo_error_set(err, EINVAL,
                            "'%s' is not one of intensity, period_ms, backoff_ms, backoff_max_ms, "
                            "create_timeout_ms, placement",
                            key);
    return 0;
}

static int take_placement(const char *text, xo_actor_options_t *options, xo_error_t *err)
{
    static const char *const words[] = {"node", "any"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(text, words[i])) {
            options->placement = words[i];
            return 0;
        }
    return xo_error_set(err, EINVAL, "placement=%s: not one of node, any", text);
}

static int take_item(char *item, xo_actor_options_t *options, xo_error_t *err)
{
    char *equals = strchr(item, '=');
    if (!equals)
        return take_restart(item, options, err);
    *equals = '\0';
    if (!strcmp(item, "placement"))
        return take_placement(equals + 1, options, err);
    return take_number(item, equals + 1, options, err);
}

static int parse_policy(const char *text, xo_creation_t *creation, xo_error_t *err)
{
    char copy[POLICY_TEXT_BYTES];
    char *rest = copy;
    xo_actor_options_t options = XO_ACTOR_OPTIONS_INIT;
    if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
        return xo_error_set(err, EINVAL, "longer than %d bytes", POLICY_TEXT_BYTES - 1);
    for (char *item; (item = strsep(&rest, ","));)
        if (take_item(item, &options, err) < 0)
            return -1;
    creation->temporary = options.restart && !strcmp(options.restart, "temporary");
    return xo_create_options_add(&creation->body, &options, err);
}

static int parse_rest(const char *json, const char *policy, const char *text,
                      xo_creation_t *creation, xo_error_t *err)
{
    xo_error_t why;
    if (parse_args(json, &creation->body, text, err) < 0)
        return -1;
    if (!policy || parse_policy(policy, creation, &why) == 0)
        return 0;
    return xo_error_set(err, why.errnum, "--restart-policy %s: %s", policy, why.text);
}

int xo_creation_parse(const char *text, const char *policy, xo_creation_t *creation,
                      xo_error_t *err)
{
    bool fits;
    *creation = (xo_creation_t){.body = XO_BUF_INIT};
    const char *rest = take_field(text, creation->class_name, sizeof creation->class_name, &fits);
    if (!fits || !creation->class_name[0])
        return xo_error_set(err, EINVAL, "--create %s: no class name", text);
    if (rest)
        rest = take_field(rest, creation->uid, sizeof creation->uid, &fits);
    if (!fits)
        return xo_error_set(err, EINVAL, "--create %s: a uid has at most %d bytes", text,
                            XO_UID_BYTES_MAX);
    if (parse_rest(rest, policy, text, creation, err) == 0)
        return 0;
    xo_buf_free(&creation->body);
    return -1;
}

/* ---- creating ---- */

typedef struct pending {
    const xo_creation_t *creation;
    xo_pool_t *pool;
    xo_created_f done;
    void *arg;
} pending_t;

static void finish(pending_t *pending, const xo_error_t *why)
{
    pending->done(why, pending->arg);
    free(pending);
}

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
    xo_error_prefix(why, "cannot create an actor of class %s", pending->creation->class_name);
}

static void on_answer(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    xo_error_t why = {0};
    pending_t *pending = arg;
    bool created = *answer && xo_msg_header(*answer)->kind == XO_RESULT;
    if (!created)
        read_reason(pending, *answer, &why);
    finish(pending, created ? NULL : &why);
}

static int ask(pending_t *pending, xo_kind_t kind, const char *method, xo_slice_t body,
               xo_answer_f on_answered, xo_error_t *err)
{
    xo_header_t header = {.kind = kind,
                          .target_uid = xo_slice_str(pending->creation->uid),
                          .method = xo_slice_str(method)};
    xo_msg_t *msg = xo_msg_create(&header, body);
    if (!msg)
        return xo_error_set(err, ENOMEM, "out of memory");
    xo_call_t *call = xo_endpoint_call(xo_pool_endpoint(pending->pool), NULL, &msg, 0, 0,
                                       on_answered, pending, err);
    xo_msg_destroy(&msg);
    return call ? 0 : -1;
}

static int create(pending_t *pending, xo_error_t *err)
{
    const xo_creation_t *creation = pending->creation;
    return ask(pending, XO_CREATE, creation->class_name, xo_buf_slice(&creation->body), on_answer,
               err);
}

/* Its broker has created it again, or given it up, or does not know it. */
static void on_known(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    (void)answer; /* also of one in another pool of the node */
    xo_error_t err;
    pending_t *pending = arg;
    xo_slice_t uid = xo_slice_str(pending->creation->uid);
    if (xo_pool_find(pending->pool, uid) || xo_pool_why_failed(pending->pool, uid))
        finish(pending, NULL);
    else if (create(pending, &err) < 0)
        finish(pending, &err);
}

int xo_creation_start(const xo_creation_t *creation, xo_pool_t *pool, xo_created_f done, void *arg,
                      xo_error_t *err)
{
    bool again = xo_pool_comes_back(pool);
    if (again && (creation->temporary || !creation->uid[0])) {
        done(NULL, arg); /* what was drawn a uid has that still */
        return 0;
    }
    pending_t *pending = calloc(1, sizeof *pending);
    if (!pending)
        return xo_error_set(err, ENOMEM, "out of memory");
    *pending = (pending_t){creation, pool, done, arg};
    int rc =
        again ? ask(pending, XO_HAS, "", xo_slice(NULL, 0), on_known, err) : create(pending, err);
    if (rc < 0)
        free(pending);
    return rc;
}
