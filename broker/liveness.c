#include "broker/liveness.h"

#include <stdbool.h>

xo_liveness_t xo_liveness(int64_t heard_ns, int64_t now_ns, int64_t heartbeat_ns, unsigned checks)
{
    bool silent = now_ns - heard_ns > XO_MISSED_HEARTBEATS * heartbeat_ns;
    return silent && checks >= XO_MISSED_HEARTBEATS ? XO_SUSPECT : XO_ALIVE;
}
