/* call.c - calls one method of one actor, for the system tests:
 *
 *     call ADDRESS UID METHOD [INTEGER|TEXT]...
 *     call -b ADDRESS UID METHOD [INTEGER|TEXT]...   prints "begun" when METHOD has begun, by
 *                                                    calling a Counter's peek after it
 *     call -r ADDRESS UID                            asks for the actor's identity
 *     call -d ADDRESS UID                            destroys it
 *
 * prints the result as JSON and exits 0; an error goes to stderr, exit 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libxo/xo.h"

#define WAIT_MS 10000

static void pack_args(xo_buf_t *out, char **args, int count)
{
    xo_pack_array(out, (uint32_t)count);
    for (int i = 0; i < count; i++) {
        char *end;
        long number = strtol(args[i], &end, 10);
        if (*args[i] && !*end)
            xo_pack_int(out, number);
        else
            xo_pack_cstr(out, args[i]);
    }
}

static void print_value(xo_slice_t value)
{
    xo_buf_t text = XO_BUF_INIT;
    xo_pack_dump(value, &text, 4096);
    printf("%.*s\n", (int)text.size, text.data);
    xo_buf_free(&text);
}

static int print_result(xo_future_t *future, xo_error_t *err)
{
    xo_slice_t result;
    if (xo_future_wait(future, WAIT_MS, err) < 0 || xo_future_get(future, err, "V", &result) < 0)
        return -1;
    print_value(result);
    return 0;
}

static int wait_until_begun(xo_ref_t *ref, xo_error_t *err)
{
    xo_future_t *future = xo_ref_call(ref, err, "peek", "");
    int rc = future ? xo_future_wait(future, WAIT_MS, err) : -1;
    xo_future_destroy(future);
    puts("begun");
    fflush(stdout);
    return rc;
}

static int call(xo_client_t *client, char **argv, int argc, bool begins, xo_error_t *err)
{
    xo_buf_t args = XO_BUF_INIT;
    xo_future_t *future = NULL;
    xo_ref_t *ref = xo_ref_create(xo_client_endpoint(client), argv[1], argv[2], err);
    pack_args(&args, argv + 4, argc - 4);
    if (ref)
        future = xo_ref_call_packed(ref, err, argv[3], xo_buf_slice(&args), xo_slice(NULL, 0));
    int rc = future && begins ? wait_until_begun(ref, err) : 0;
    rc = future && rc == 0 ? print_result(future, err) : -1;
    xo_future_destroy(future);
    xo_buf_free(&args);
    xo_ref_destroy(ref);
    return rc;
}

/* ---- -r, for which there is no function in client.h ---- */

typedef struct identity {
    bool done;
    xo_error_t err;
} identity_t;

static void on_identity(xo_call_t *call, xo_msg_t **answer, void *arg)
{
    (void)call;
    xo_failure_t failure;
    identity_t *identity = arg;
    identity->done = true;
    if (xo_msg_header(*answer)->kind == XO_RESULT)
        print_value(xo_msg_body(*answer));
    else if (xo_failure_read(xo_msg_body(*answer), &failure) == 0)
        xo_error_set(&identity->err, xo_failure_errno(&failure), "%.*s: %.*s",
                     (int)failure.code.size, failure.code.data, (int)failure.message.size,
                     failure.message.data);
}

static int identify(xo_client_t *client, const char *address, const char *uid, xo_error_t *err)
{
    identity_t identity = {0};
    xo_header_t header = {.kind = XO_REF, .target_uid = xo_slice_str(uid)};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice(NULL, 0));
    xo_link_t *link = xo_endpoint_link(xo_client_endpoint(client), address, err);
    if (!link || !xo_endpoint_call(xo_client_endpoint(client), link, &msg, 0, WAIT_MS * XO_MS,
                                   on_identity, &identity, err)) {
        xo_msg_destroy(&msg);
        return -1;
    }
    while (!identity.done)
        xo_loop_once(xo_client_loop(client), -1);
    *err = identity.err;
    return identity.err.errnum ? -1 : 0;
}

static int destroy(xo_client_t *client, const char *address, const char *uid, xo_error_t *err)
{
    xo_ref_t *ref = xo_ref_create(xo_client_endpoint(client), address, uid, err);
    xo_future_t *future = ref ? xo_ref_destroy_actor(ref, err) : NULL;
    int rc = future ? print_result(future, err) : -1;
    xo_future_destroy(future);
    xo_ref_destroy(ref);
    return rc;
}

static int run(char **argv, int argc, xo_error_t *err)
{
    char option = argv[1][0] == '-' ? argv[1][1] : '\0';
    argv += option != '\0';
    argc -= option != '\0';
    xo_client_t *client = xo_connect(argv[1], NULL, err);
    if (!client)
        return -1;
    int rc = option == 'r'   ? identify(client, argv[1], argv[2], err)
             : option == 'd' ? destroy(client, argv[1], argv[2], err)
                             : call(client, argv, argc, option == 'b', err);
    xo_client_destroy(client);
    return rc;
}

int main(int argc, char **argv)
{
    xo_error_t err = {0};
    if (argc < 4 || (!strcmp(argv[1], "-b") && argc < 5)) {
        fputs(
            "Usage: call ADDRESS UID METHOD [ARGUMENT]... | call -b ... | call -r|-d ADDRESS UID\n",
            stderr);
        return 2;
    }
    if (run(argv, argc, &err) == 0)
        return 0;
    fprintf(stderr, "%s\n", err.text);
    return 1;
}
