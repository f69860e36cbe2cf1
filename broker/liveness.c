#include "broker/liveness.h"

#include <stdbool.h>

xo_liveness_t xo_liveness(int64_t moved_ns, int64_t now_ns, int64_t heartbeat_ns, unsigned checks,
                          int64_t hang_ns)
{
    int64_t still_ns = now_ns - moved_ns, watched_ns = checks * heartbeat_ns;
    bool suspect = still_ns > XO_MISSED_HEARTBEATS * heartbeat_ns && checks >= XO_MISSED_HEARTBEATS;
    bool hung = hang_ns > 0 && still_ns >= hang_ns && watched_ns >= hang_ns;
    if (!suspect)
        return XO_ALIVE;
    return hung ? XO_HUNG : XO_SUSPECT;
}
