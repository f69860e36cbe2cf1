/* module-stuck.c - actors that stand still, crash, count, and take their time to end. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
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

/* ---- those that write into the file $DIARY that they end ---- */

static int begin(xo_actor_t *actor, xo_slice_t args, void **self, xo_error_t *err)
{
    (void)args, (void)err;
    *self = actor;
    return 0;
}

static void note(const void *self, const char *what)
{
    xo_slice_t uid = xo_actor_uid(self);
    FILE *diary = fopen(getenv("DIARY"), "a");
    if (diary == NULL)
        return;
    fprintf(diary, "%s%.*s\n", what, (int)uid.size, uid.data);
    fclose(diary);
}

/* More than the second in which a pool has to end. */
static void end_slowly(void *self, xo_request_t *request)
{
    static const struct timespec takes = {1, 500000000};
    note(self, "?");
    nanosleep(&takes, NULL);
    note(self, "-");
    xo_request_reply(request, "n");
}

static void end_never(void *self, xo_request_t *request)
{
    (void)request;
    note(self, "?");
    for (;;)
        pause();
}

static const xo_class_t slow = {.name = "Slow", .create = begin, .pre_destroy = end_slowly};
static const xo_class_t endless = {.name = "Endless", .create = begin, .pre_destroy = end_never};
static const xo_class_t *const classes[] = {&stuck, &slow, &endless, NULL};

XO_MODULE("stuck", classes);
