/* broker-call ENDPOINT METHOD [JSON]...: calls a method of xo.broker and prints the answer as JSON.
 * Exit status 1: the answer was an error, printed as JSON too; 2: no answer. For the system tests.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "libxo/xo.h"

#define TIMEOUT_NS (20000 * XO_MS)

typedef struct {
    xo_loop_t *loop;
    int status;
} waiting_t;

static void pack_json(json_object *value, xo_buf_t *out);

static void pack_object(json_object *object, xo_buf_t *out)
{
    xo_pack_map(out, (uint32_t)json_object_object_length(object));
    json_object_object_foreach(object, key, value)
    {
        xo_pack_cstr(out, key);
        pack_json(value, out);
    }
}

static void pack_list(json_object *list, xo_buf_t *out)
{
    size_t count = json_object_array_length(list);
    xo_pack_array(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        pack_json(json_object_array_get_idx(list, i), out);
}

static void pack_json(json_object *value, xo_buf_t *out)
{
    switch (json_object_get_type(value)) {
    case json_type_object:
        pack_object(value, out);
        break;
    case json_type_array:
        pack_list(value, out);
        break;
    case json_type_string:
        xo_pack_cstr(out, json_object_get_string(value));
        break;
    case json_type_boolean:
        xo_pack_bool(out, json_object_get_boolean(value));
        break;
    case json_type_int:
        xo_pack_int(out, json_object_get_int64(value));
        break;
    default:
        xo_pack_nil(out);
    }
}

static int pack_arguments(char **argv, int count, xo_buf_t *body)
{
    xo_pack_array(body, 2);
    xo_pack_array(body, (uint32_t)count);
    for (int i = 0; i < count; i++) {
        json_object *value = json_tokener_parse(argv[i]);
        if (value == NULL && strcmp(argv[i], "null") != 0) {
            fprintf(stderr, "broker-call: not JSON: %s\n", argv[i]);
            return -1;
        }
        pack_json(value, body);
        json_object_put(value);
    }
    xo_pack_map(body, 0);
    return 0;
}

static void on_answer(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    waiting_t *waiting = arg;
    xo_buf_t text = XO_BUF_INIT;
    (void)call;
    xo_pack_dump(xo_msg_body(*answer), &text, 1 << 20);
    printf("%.*s\n", (int)text.size, text.data);
    xo_buf_free(&text);
    waiting->status = xo_msg_header(*answer)->kind == XO_RESULT ? 0 : 1;
    xo_loop_stop(waiting->loop);
}

static int call(xo_endpoint_t *endpoint, char **argv, int argc, waiting_t *waiting, xo_error_t *err)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_CALL, .target_uid = xo_slice_str(XO_BROKER_UID)};
    header.method = xo_slice_str(argv[2]);
    if (pack_arguments(argv + 3, argc - 3, &body) < 0)
        return -1;
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    xo_link_t *link = xo_endpoint_link(endpoint, argv[1], err);
    if (link == NULL || xo_endpoint_call(endpoint, link, &msg, XO_SEND_QUEUE, TIMEOUT_NS, on_answer,
                                         waiting, err) == NULL) {
        xo_msg_destroy(&msg);
        return -1;
    }
    xo_loop_run(waiting->loop);
    return 0;
}

int main(int argc, char **argv)
{
    xo_error_t err = {0};
    xo_identity_t self = {.role = XO_ROLE_CLIENT, .index = -1};
    xo_endpoint_ops_t ops = {0};
    waiting_t waiting = {.status = 2};
    if (argc < 3)
        return 2;
    xo_ctx_t *ctx = xo_ctx_create(NULL, &err);
    waiting.loop = ctx ? xo_loop_create(&err) : NULL;
    xo_endpoint_t *endpoint =
        waiting.loop ? xo_endpoint_create(ctx, waiting.loop, &self, &ops, NULL, NULL, &err) : NULL;
    if (endpoint == NULL || call(endpoint, argv, argc, &waiting, &err) < 0)
        fprintf(stderr, "broker-call: %s\n", err.text);
    xo_endpoint_destroy(endpoint);
    xo_loop_destroy(waiting.loop);
    xo_ctx_destroy(ctx);
    return waiting.status;
}
