/* call.c - xo call: calls a method of an actor. Only the broker is dialled: it finds the actor and
 * passes the call on. Of a pool that stands alone, the pool is. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/json.h"
#include "cmd/node.h"
#include "cmd/table.h"
#include "cmd/text.h"

typedef struct call {
    const xoi_args_t *args;
    xoi_node_t *node;
    char address[XO_ADDRESS_BYTES]; /* "": to be looked up */
    bool found;                     /* it was */
    xo_slice_t uid;
    const char *method;
    xo_buf_t body;
    char *what; /* "call UID METHOD", for complaints */
} call_t;

/* Copies the first `size` bytes of `text` if they are "host:port". */
static bool read_address(call_t *call, const char *text, size_t size)
{
    xo_address_t address;
    if (size == 0 || size >= sizeof(call->address))
        return false;
    memcpy(call->address, text, size);
    call->address[size] = '\0';
    if (xo_address_parse(call->address, &address, NULL) == 0 && address.port > 0)
        return true;
    call->address[0] = '\0';
    return false;
}

/* "UID", or "host:port/UID". With --at the uid may hold anything. */
static int read_target(call_t *call)
{
    const char *target = call->args->operands[0];
    const char *at = call->args->at;
    const char *slash = strchr(target, '/');
    if (at && !read_address(call, at, strlen(at)))
        return xoi_complain(XOI_USAGE, "call: --at needs host:port, not '%s'", at);
    if (!at && slash && read_address(call, target, (size_t)(slash - target)))
        target = slash + 1;
    call->uid = xo_slice_str(target);
    if (call->uid.size == 0 || call->uid.size > XO_UID_BYTES_MAX)
        return xoi_complain(XOI_USAGE, "call: a uid has 1 to %d bytes, not %zu", XO_UID_BYTES_MAX,
                            call->uid.size);
    return XOI_OK;
}

#define SHOWN_BYTES 80 /* of an argument that is wrong */

/* What most often is behind an argument that is not JSON. */
static const char *hint(const char *text)
{
    if (text[0] == '-' && text[1] == '-')
        return "; options go before the UID";
    return isalpha((unsigned char)text[0]) ? "; a text needs double quotes: '\"text\"'" : "";
}

static int pack_argument(call_t *call, int index)
{
    const char *text = call->args->operands[2 + index];
    xo_error_t err = {0};
    json_object *value;
    if (xoi_json_parse(text, &value, &err) < 0)
        return xoi_complain(XOI_USAGE, "call: argument %d, '%.*s%s', is not JSON: %s%s", index + 1,
                            SHOWN_BYTES, text, strlen(text) > SHOWN_BYTES ? "..." : "", err.text,
                            hint(text));
    int rc = xoi_json_to_pack(value, &call->body, &err);
    json_object_put(value);
    return rc < 0 ? xoi_complain(XOI_USAGE, "call: argument %d: %s", index + 1, err.text) : XOI_OK;
}

/* The body of a call: [args, kwargs]. */
static int pack_body(call_t *call)
{
    int count = call->args->operand_count - 2;
    xo_pack_array(&call->body, 2);
    xo_pack_array(&call->body, (uint32_t)count);
    for (int i = 0; i < count; i++) {
        int status = pack_argument(call, i);
        if (status != XOI_OK)
            return status;
    }
    xo_pack_map(&call->body, 0);
    return XOI_OK;
}

/* Names the candidates of a uid that several pools have. */
static int ambiguous(call_t *call, json_object *actors)
{
    xoi_complain(0, "%s: several pools have an actor with this uid; name one:", call->what);
    for (size_t i = 0; i < json_object_array_length(actors); i++) {
        char *text = xoi_cell_text(xoi_json_get(json_object_array_get_idx(actors, i), "address"));
        char *uid = xoi_text_escape(call->uid.data, call->uid.size, XOI_KEEP_BACKSLASHES);
        fprintf(stderr, "  %s/%s\n", text, uid);
        free(uid);
        free(text);
    }
    return XOI_NO_ACTOR;
}

static int choose(call_t *call, json_object *actors)
{
    size_t count =
        json_object_is_type(actors, json_type_array) ? json_object_array_length(actors) : 0;
    if (count == 0)
        return xoi_complain(XOI_NO_ACTOR, "%s: no such actor in cluster '%s'; see: xo actors",
                            call->what, xoi_node_cluster(call->node));
    if (count > 1)
        return ambiguous(call, actors);
    const char *text = xoi_json_get_text(json_object_array_get_idx(actors, 0), "address");
    if (!read_address(call, text, strlen(text)))
        return xoi_complain(XOI_FAILED, "%s: its address, '%s', does not read", call->what, text);
    return XOI_OK;
}

/* Finds out where the actor lives. */
static int look_up(call_t *call)
{
    if (call->address[0])
        return XOI_OK;
    xo_buf_t args = XO_BUF_INIT;
    json_object *actors = NULL;
    xo_pack_format(&args, "[B ?]", call->uid, true); /* nothing that the broker remembers */
    int status = xoi_node_records(call->node, "lookup", xo_buf_slice(&args), call->args->timeout_ms,
                                  &actors);
    xo_buf_free(&args);
    if (status == XOI_OK)
        status = choose(call, actors);
    call->found = status == XOI_OK;
    json_object_put(actors);
    return status;
}

static int print_result(call_t *call, const xo_msg_t *answer)
{
    xo_error_t err = {0};
    json_object *value;
    if (xoi_json_from_pack(answer, xo_msg_body(answer), &value, &err) < 0)
        return xoi_complain(XOI_FAILED, "%s: %s", call->what, err.text);
    char *text = xoi_json_text(value);
    puts(text);
    free(text);
    json_object_put(value);
    return XOI_OK;
}

/* Has the broker do something, and prints the result. */
static int ask(call_t *call, const char *method, xo_slice_t args)
{
    xo_future_t *future;
    int status =
        xoi_node_ask(call->node, call->what, method, args, call->args->timeout_ms, &future);
    if (status == XOI_OK && !call->args->tell)
        status = print_result(call, xo_future_answer(future));
    xo_future_destroy(future);
    return status;
}

/* Who is called by its uid alone is followed; else the one at the address is meant. */
static int relay(call_t *call)
{
    xo_buf_t args = XO_BUF_INIT;
    xo_pack_format(&args, "[s i B s V ?]", call->address,
                   (int)(call->args->tell ? XO_TELL : XO_CALL), call->uid, call->method,
                   xo_buf_slice(&call->body), call->found);
    int status = ask(call, "relay", xo_buf_slice(&args));
    xo_buf_free(&args);
    return status;
}

/* The node's broker is an actor, too, and at the other end already. */
static int ask_broker(call_t *call)
{
    xo_slice_t args = {NULL, 0};
    uint32_t count;
    xo_reader_t reader = xo_reader(xo_buf_slice(&call->body));
    if (xo_read_array(&reader, &count) < 0 || xo_read_raw(&reader, &args) < 0)
        return xoi_complain(XOI_FAILED, "%s: out of memory", call->what);
    return ask(call, call->method, args);
}

static int call_pool(call_t *call)
{
    xo_future_t *future = NULL;
    xo_slice_t body = xo_buf_slice(&call->body);
    int64_t timeout_ms = call->args->timeout_ms;
    if (call->args->tell)
        return xoi_node_tell(call->node, call->what, call->uid, call->method, body, timeout_ms);
    int status =
        xoi_node_call(call->node, call->what, call->uid, call->method, body, timeout_ms, &future);
    if (status == XOI_OK)
        status = print_result(call, xo_future_answer(future));
    xo_future_destroy(future);
    return status;
}

static int call_actor(call_t *call)
{
    int status = look_up(call);
    if (status != XOI_OK)
        return status;
    return xoi_node_is_pool(call->node, call->address) ? call_pool(call) : relay(call);
}

static int perform(call_t *call)
{
    int status = read_target(call);
    if (status == XOI_OK)
        status = pack_body(call);
    if (status == XOI_OK)
        call->node = xoi_node_open_at(call->args, call->address, &status);
    if (status != XOI_OK)
        return status;
    xoi_node_cancel_on_interrupt(call->node);
    bool broker = !call->address[0] && xo_slice_eq_str(call->uid, XO_BROKER_UID);
    return broker ? ask_broker(call) : call_actor(call);
}

static int run(const xoi_args_t *args)
{
    call_t call = {.args = args, .method = args->operands[1], .body = XO_BUF_INIT};
    call.what = xoi_text_printf("call %s %s", args->operands[0], args->operands[1]);
    int status = perform(&call);
    xoi_node_close(call.node);
    xo_buf_free(&call.body);
    free(call.what);
    return status;
}

const xoi_command_t xoi_command_call = {
    .name = "call",
    .operands = "[HOST:PORT/]UID METHOD [JSON...]",
    .summary = "Calls a method of an actor and prints its result as JSON",
    .options = "aTtNc",
    .text = "Each further argument is one JSON value. What JSON has no word for is an object\n"
            "with one key:\n"
            "  {\"$bytes\": \"00ff\"}              bytes, in hex digits\n"
            "  {\"$tuple\": [1, 2]}              also $set, $frozenset\n"
            "  {\"$complex\": [0, 1]}            {\"$float\": \"nan\"}, \"inf\", \"-inf\"\n"
            "  {\"$ref\": [\"host:port\", \"uid\"]}  a reference to an actor\n"
            "  {\"$pickle\": \"8005...\"}          a result that only Python can read\n"
            "Options go before the UID. HOST:PORT is needed where several pools have an actor\n"
            "with this uid, and for a pool that stands alone (xo-pool --broker none), which\n"
            "is then dialled itself. Without it, an actor that is on its way from a node\n"
            "that has died to another is waited for.\n"
            "The uid xo.broker is the node's broker itself.\n"
            "\n"
            "exit status: 4 the method raised an error, 5 no such actor (or several), 6 no\n"
            "answer in time, 130 interrupted by Ctrl-C, which cancels the call\n"
            "\n"
            "examples:\n"
            "  xo call counter add 5\n"
            "  xo call --timeout 2 127.0.0.1:40001/counter get\n"
            "  xo call --tell log write '\"it is late\"' '{\"level\": 3}'\n",
    .operands_min = 2,
    .operands_max = -1,
    .run = run,
};
