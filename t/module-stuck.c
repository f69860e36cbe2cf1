/* module-stuck.c - an actor that stands still, crashes, and counts. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pool/module.h"

static int make(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    (void)actor, (void)args;
    *self = calloc(1, sizeof(int));
    return *self ? 0 : xo_error_set(err, ENOMEM, "out of memory");
}

/* spin(PATH): busy until the file is gone. */
static void spin(void *self, xo_request_t *request)
{
    xo_slice_t path;
    char name[256];
    (void)self;
    if (xo_request_unpack(request, "s", &path) < 0)
        return;
    snprintf(name, sizeof name, "%.*s", (int)path.size, path.data);
    while (access(name, F_OK) == 0)
        ;
    xo_request_reply(request, "n");
}

static void nothing(void *self, xo_request_t *request)
{
    (void)self;
    xo_request_reply(request, "n");
}

static void count(void *self, xo_request_t *request)
{
    int *calls = self;
    xo_request_reply(request, "i", ++*calls);
}

/* Crashes, as a bug in a method would. */
static void crash(void *self, xo_request_t *request)
{
    (void)self, (void)request;
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

static const xo_method_t methods[] = {{"spin", spin, 0, "spin(PATH): until the file is gone"},
                                      {"nothing", nothing, 0, "nothing()"},
                                      {"count", count, 0, "count(): how often it was called"},
                                      {"crash", crash, 0, "crash()"},
                                      {0}};

static const xo_class_t stuck = {
    .name = "Stuck", .create = make, .destroy = free, .methods = methods};
static const xo_class_t *const classes[] = {&stuck, NULL};

XO_MODULE("stuck", classes);
