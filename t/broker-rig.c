#include "t/broker-rig.h"

static void on_stopped(xo_broker_t *broker, void *arg)
{
    (void)broker, (void)arg;
}

xo_broker_t *rig_broker(fixture_t *f, uint32_t heartbeat_ms,
                        void (*stopped)(xo_broker_t *broker, void *arg), void *arg)
{
    const xo_broker_options_t options = {.node_id = 1,
                                         .listen = RIG_DOOR,
                                         .registry = "memory:",
                                         .run_dir = "/nonexistent",
                                         .heartbeat_ms = heartbeat_ms,
                                         .version = "0"};
    xo_error_t err;
    xo_broker_t *broker =
        xo_broker_create(f->ctx, f->loop, &options, stopped ? stopped : on_stopped, arg, &err);
    if (broker == NULL)
        fail_msg("%s", err.text);
    return broker;
}
