#include "broker/liveness.h"

xo_liveness_t xo_liveness(int64_t heard_ns, int64_t now_ns, int64_t heartbeat_ns)
{
    return now_ns - heard_ns > XO_MISSED_HEARTBEATS * heartbeat_ns ? XO_SUSPECT : XO_ALIVE;
}
