/* fetch.c - see fetch.h. */
#include "libxo/fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "libxo/knock.h"
#include "libxo/splice.h"
#include "libxo/unix_socket.h"

#define KNOCK_MS 5000

typedef struct fetch {
    xo_fetches_t *fetches;
    int inner; /* -1: the splice's */
    xoi_knock_t knock;
    xoi_splice_t *splice; /* NULL: not yet */
    struct fetch *prev, *next;
} fetch_t;

struct xo_fetches {
    xo_loop_t *loop;
    xo_address_t door;
    fetch_t *all;
    char buffer[XOI_SPLICE_BYTES];
};

static void forget(fetch_t *fetch)
{
    DL_DELETE(fetch->fetches->all, fetch);
    xoi_knock_stop(&fetch->knock);
    if (fetch->inner >= 0)
        close(fetch->inner);
    free(fetch);
}

static void on_ended(xoi_splice_t *splice, void *arg)
{
    (void)splice;
    forget(arg);
}

/* Who waits has been answered, or its time is over. */
static void on_led_on(xoi_knock_t *knock, int fd, const xo_error_t *why, void *arg)
{
    fetch_t *fetch = arg;
    (void)knock;
    (void)why;
    if (fd >= 0) {
        fetch->splice = xoi_splice_create(fetch->fetches->loop, fd, fetch->inner,
                                          fetch->fetches->buffer, on_ended, fetch);
        fetch->inner = -1;
    }
    if (!fetch->splice)
        forget(fetch);
}

int xo_fetch(xo_fetches_t *fetches, uint64_t token, const char *path, xo_error_t *err)
{
    char name[32];
    char who[XO_HOST_BYTES + 16];
    fetch_t *fetch = calloc(1, sizeof *fetch);
    if (!fetch)
        return xo_error_set(err, ENOMEM, "out of memory");
    fetch->fetches = fetches;
    snprintf(who, sizeof who, "by-way-of-%s", fetches->door.host);
    snprintf(name, sizeof name, "t%016" PRIx64, token);
    xoi_knock_init(&fetch->knock, fetches->loop, on_led_on, fetch);
    DL_APPEND(fetches->all, fetch);
    fetch->inner = xoi_unix_connect_as(path, who, err);
    if (fetch->inner >= 0 &&
        xoi_knock_start(&fetch->knock, &fetches->door, name, KNOCK_MS, err) == 0)
        return 0;
    int saved = errno;
    forget(fetch);
    errno = saved;
    return -1;
}

xo_fetches_t *xo_fetches_create(xo_loop_t *loop, const xo_address_t *door, xo_error_t *err)
{
    xo_fetches_t *fetches = calloc(1, sizeof *fetches);
    if (!fetches)
        return xo_error_null(err, ENOMEM, "out of memory");
    fetches->loop = loop;
    fetches->door = *door;
    return fetches;
}

void xo_fetches_destroy(xo_fetches_t *fetches)
{
    if (!fetches)
        return;
    while (fetches->all) {
        fetch_t *fetch = fetches->all;
        if (fetch->splice)
            xoi_splice_drain(fetch->splice, 0);
        xoi_splice_destroy(fetch->splice);
        forget(fetch);
    }
    free(fetches);
}
