/* broker-rig.h - a broker in the test's own process, with its registry in memory. */
#ifndef T_BROKER_RIG_H
#define T_BROKER_RIG_H

#include "broker/broker.h"
#include "t/node.h"

#define RIG_DOOR "mem://broker"

/* Listens at RIG_DOOR. `stopped` is called with `arg` when it has stopped; NULL: nobody asks. */
xo_broker_t *rig_broker(fixture_t *f, uint32_t heartbeat_ms,
                        void (*stopped)(xo_broker_t *broker, void *arg), void *arg);

#endif
