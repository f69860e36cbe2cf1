/* events.c - the events of the stream, for who asks now, and for who waits for the next one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "broker/broker_impl.h"

#define EVENTS_DEFAULT 1000
#define EVENTS_MAX 10000
#define STREAM_ID_BYTES 64
#define WAIT_MAX_MS (60 * 1000)
/* Our own events wake who waits; those that other nodes write are looked for. */
#define LOOK_NS (250 * XO_MS)

/* One "events". */
struct xo_event_wait {
    xo_broker_t *broker;
    xo_ask_t *ask; /* NULL: ended before */
    char after[STREAM_ID_BYTES];
    unsigned max;
    int64_t end_ns; /* when it is answered without any */
    bool asking;    /* the registry */
    bool news;      /* came meanwhile */
    xo_timer_t timer;
    xo_event_wait_t *prev, *next;
};

static void look(xo_event_wait_t *wait);

static void end(xo_event_wait_t *wait)
{
    if (wait->ask != NULL)
        DL_DELETE(wait->broker->event_waits, wait);
    wait->ask = NULL;
    xo_timer_stop(&wait->timer);
    if (!wait->asking)
        free(wait);
}

static void let_go(xo_ask_t *ask, void *arg)
{
    (void)ask;
    end(arg);
}

static xo_ask_t *take_ask(xo_event_wait_t *wait)
{
    xo_ask_t *ask = wait->ask;
    xo_ask_on_stop(ask, NULL, NULL);
    end(wait);
    return ask;
}

/* ---- the answer ---- */

static void answer(xo_event_wait_t *wait, const xo_record_t *records, size_t count)
{
    xo_buf_t out = XO_BUF_INIT;
    xo_pack_array(&out, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        xo_rec_pack_registry(&records[i], true, &out);
    xo_ask_reply_value(take_ask(wait), &out);
}

static void go_on_waiting(xo_event_wait_t *wait, int64_t left_ns)
{
    bool others = xo_publish_is_shared(wait->broker->publish);
    if (wait->news)
        look(wait);
    else
        xo_timer_start(&wait->timer, others && left_ns > LOOK_NS ? LOOK_NS : left_ns);
}

static void on_events(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    xo_event_wait_t *wait = arg;
    wait->asking = false;
    if (wait->ask == NULL) {
        end(wait);
        return;
    }
    int64_t left_ns = wait->end_ns - xo_loop_now(wait->broker->loop);
    if (errnum == EINVAL)
        xo_broker_refuse(take_ask(wait), "%s", text);
    else if (errnum != 0)
        xo_ask_fail(take_ask(wait), XO_CODE_UNAVAILABLE, "events: %s", text);
    else if (count > 0 || left_ns <= 0)
        answer(wait, records, count);
    else
        go_on_waiting(wait, left_ns);
}

static void look(xo_event_wait_t *wait)
{
    wait->news = false;
    wait->asking = true;
    xo_registry_events(xo_publish_registry(wait->broker->publish), wait->after, wait->max,
                       on_events, wait);
}

static void on_timer(xo_timer_t *timer, void *arg)
{
    (void)timer;
    look(arg);
}

void xo_broker_event_written(xo_broker_t *broker)
{
    xo_event_wait_t *wait, *next;
    DL_FOREACH_SAFE(broker->event_waits, wait, next)
    {
        xo_timer_stop(&wait->timer);
        if (wait->asking)
            wait->news = true;
        else
            look(wait);
    }
}

/* ---- the method ---- */

static int read_args(xo_ask_t *ask, xo_slice_t args, xo_event_wait_t *wait, int64_t *wait_ms)
{
    xo_reader_t reader = xo_reader(args);
    xo_slice_t text = xo_slice_str("0");
    int64_t count = EVENTS_DEFAULT;
    uint32_t given;
    xo_read_array(&reader, &given);
    if ((given > 0 && xo_read_bytes(&reader, &text) < 0) || text.size >= STREAM_ID_BYTES ||
        (given > 1 && xo_read_int(&reader, &count) < 0) || count < 1 || count > EVENTS_MAX ||
        (given > 2 && xo_read_int(&reader, wait_ms) < 0) || *wait_ms < 0 ||
        *wait_ms > WAIT_MAX_MS) {
        xo_broker_refuse(ask,
                         "takes a stream id, \"0\" or \"$-N\", a number from 1 to %d, and how many "
                         "milliseconds to wait, at most %d",
                         EVENTS_MAX, WAIT_MAX_MS);
        return -1;
    }
    snprintf(wait->after, STREAM_ID_BYTES, "%.*s", (int)text.size, text.data);
    wait->max = (unsigned)count;
    return 0;
}

void xo_broker_list_events(xo_broker_t *broker, xo_ask_t *ask, xo_slice_t args)
{
    int64_t wait_ms = 0;
    xo_event_wait_t *wait = calloc(1, sizeof(*wait));
    if (wait == NULL) {
        xo_broker_refuse(ask, "out of memory");
        return;
    }
    if (read_args(ask, args, wait, &wait_ms) < 0) {
        free(wait);
        return;
    }
    wait->broker = broker;
    wait->ask = ask;
    wait->end_ns = xo_loop_now(broker->loop) + wait_ms * XO_MS;
    xo_timer_init(&wait->timer, broker->loop, on_timer, wait);
    DL_APPEND(broker->event_waits, wait);
    xo_ask_on_stop(ask, let_go, wait);
    look(wait);
}
