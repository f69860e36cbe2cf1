/* client.c - a plain C program that calls actors: a Greeter in Python, a Counter in C.
 * examples/greeter.py starts both and prints the four arguments. */
#include <inttypes.h>
#include <libxo/xo.h>
#include <stdio.h>
#include <stdlib.h>

static void need(bool ok, const char *what, const xo_error_t *err)
{
    if (ok)
        return;
    fprintf(stderr, "client: %s: %s\n", what, err->text);
    exit(1);
}

static void greeted(xo_future_t *future, void *arg)
{
    xo_error_t err;
    xo_slice_t text;
    need(xo_future_get(future, &err, "s", &text) == 0, "greet", &err);
    printf("callback: %.*s\n", (int)text.size, text.data);
    *(int *)arg += 1;
    xo_future_destroy(future);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return fprintf(stderr, "usage: client ADDRESS GREETER_UID ADDRESS COUNTER_UID\n"), 2;
    xo_error_t err;
    xo_client_t *client = xo_connect(argv[1], NULL, &err);
    need(client, "connect", &err);
    xo_ref_t *greeter = xo_ref_create(xo_client_endpoint(client), argv[1], argv[2], &err);
    need(greeter, "greeter", &err);
    xo_ref_t *counter = xo_ref_create(xo_client_endpoint(client), argv[3], argv[4], &err);
    need(counter, "counter", &err);

    int64_t sums[3]; /* what a call gives back, read by format: I is an int64_t */
    xo_future_t *future = xo_ref_call(counter, &err, "add", "i", 5);
    need(future && xo_future_wait(future, 5000, &err) == 0, "add", &err);
    need(xo_future_get(future, &err, "I", &sums[0]) == 0, "add", &err);
    xo_future_destroy(future);
    printf("call: %" PRId64 "\n", sums[0]);

    /* A tell gets no answer. What goes to one actor arrives in order: the batch comes after it. */
    need(xo_ref_tell(counter, &err, "add", "i", 10) == 0, "tell", &err);
    xo_slice_t lists[3] = {{"\x91\x01", 2}, {"\x91\x02", 2}, {"\x91\x03", 2}}; /* [1] [2] [3] */
    future = xo_ref_batch(counter, &err, "add", lists, 3);
    need(future && xo_future_wait(future, 5000, &err) == 0, "batch", &err);
    need(xo_future_get(future, &err, "[I I I]", &sums[0], &sums[1], &sums[2]) == 0, "batch", &err);
    xo_future_destroy(future);
    printf("batch: %" PRId64 " %" PRId64 " %" PRId64 "\n", sums[0], sums[1], sums[2]);

    int answers = 0; /* two calls under way at once, each of which calls back */
    const char *names[] = {"Ada", "Grace"};
    for (int i = 0; i < 2; i++) {
        future = xo_ref_call(greeter, &err, "greet", "s", names[i]);
        need(future, "greet", &err);
        xo_future_then(future, greeted, &answers);
    }
    while (answers < 2)
        xo_loop_once(xo_client_loop(client), -1);

    future = xo_ref_call(greeter, &err, "greet", "i", 7); /* no name: the method raises an error */
    need(future && xo_future_wait(future, 5000, &err) == 0, "greet", &err);
    if (xo_future_get(future, &err, NULL) < 0)
        printf("error: %s\n", err.text);
    xo_future_destroy(future);
    xo_ref_destroy(greeter);
    xo_ref_destroy(counter);
    xo_client_destroy(client);
    return 0;
}
