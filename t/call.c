/* call.c - calls one method of one actor, for the system tests:
 *
 *     call ADDRESS UID METHOD [INTEGER|TEXT]...
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

static int print_result(xo_future_t *future, xo_error_t *err)
{
    xo_slice_t result;
    xo_buf_t text = XO_BUF_INIT;
    if (xo_future_wait(future, WAIT_MS, err) < 0 || xo_future_get(future, err, "V", &result) < 0)
        return -1;
    xo_pack_dump(result, &text, 4096);
    printf("%.*s\n", (int)text.size, text.data);
    xo_buf_free(&text);
    return 0;
}

static int call(char **argv, int argc, xo_error_t *err)
{
    xo_buf_t args = XO_BUF_INIT;
    xo_future_t *future = NULL;
    xo_client_t *client = xo_connect(argv[1], NULL, err);
    if (!client)
        return -1;
    xo_ref_t *ref = xo_ref_create(xo_client_endpoint(client), argv[1], argv[2], err);
    pack_args(&args, argv + 4, argc - 4);
    if (ref)
        future = xo_ref_call_packed(ref, err, argv[3], xo_buf_slice(&args), xo_slice(NULL, 0));
    int rc = future ? print_result(future, err) : -1;
    xo_future_destroy(future);
    xo_buf_free(&args);
    xo_ref_destroy(ref);
    xo_client_destroy(client);
    return rc;
}

int main(int argc, char **argv)
{
    xo_error_t err = {0};
    if (argc < 4) {
        fputs("Usage: call ADDRESS UID METHOD [ARGUMENT]...\n", stderr);
        return 2;
    }
    if (call(argv, argc, &err) == 0)
        return 0;
    fprintf(stderr, "%s\n", err.text);
    return 1;
}
