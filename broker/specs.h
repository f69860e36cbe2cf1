/* specs.h - what creates an actor again: the body and the buffers of the message that created it,
 * as its pool told them ("actor.up" in doc/wire.md). The bytes are opaque to the broker.
 */
#ifndef XO_BROKER_SPECS_H
#define XO_BROKER_SPECS_H

#include "broker/policy.h"
#include "libxo/msg.h"

/* All specs of one pool together; one that would go beyond it is not kept. */
#define XO_POOL_SPECS_BYTES_MAX ((size_t)512 << 20)

typedef struct xo_actor_spec xo_actor_spec_t;

/* Copies `body`, and the buffers of `from`. NULL: ENOMEM. */
xo_actor_spec_t *xo_actor_spec_create(xo_slice_t body, const xo_msg_t *from);
/* Is it what that would create? NULL is nothing. */
bool xo_actor_spec_is(const xo_actor_spec_t *spec, xo_slice_t body, const xo_msg_t *from);
void xo_actor_spec_destroy(xo_actor_spec_t *spec);       /* takes NULL */
size_t xo_actor_spec_bytes(const xo_actor_spec_t *spec); /* what it takes; NULL: 0 */
/* As the registry keeps it: a msgpack array of 1 (this layout), the body, the buffers, and a map
 * with the policy and the order number. What it remembers of restarts is in its actor's record. */
void xo_actor_spec_pack(const xo_actor_spec_t *spec, xo_buf_t *out);
/* The reverse. NULL: EBADMSG, or ENOMEM. */
xo_actor_spec_t *xo_actor_spec_unpack(xo_slice_t bytes);
/* What marks all that the creation causes: its trace, of a random number. */
#define XO_AGAIN_BYTES (sizeof(XO_TRACE_AGAIN) + 16)
void xo_again_format(uint64_t mark, char text[XO_AGAIN_BYTES]);
/* The request that creates the actor `uid` of this class again, with an incarnation above this one.
 * NULL: ENOMEM. */
xo_msg_t *xo_actor_spec_msg(const xo_actor_spec_t *spec, xo_slice_t uid, const char *class_name,
                            uint64_t incarnation, uint64_t mark);

/* ---- when it is created again, and when no more ---- */
/* Its policy is what the options of its body say, and for what they leave out what `pools` (NULL:
 * the defaults) says of its pool, but for restart: that is permanent. -1: EINVAL, the options
 * cannot be, and do not count. */
int xo_actor_spec_inherit(xo_actor_spec_t *spec, const xo_policy_t *pools, xo_error_t *err);
const xo_policy_t *xo_actor_spec_policy(const xo_actor_spec_t *spec);
/* The process with the actor ended, or its creation failed (XO_END_FAILED), which took this long.
 */
xo_decision_t xo_actor_spec_ended(xo_actor_spec_t *spec, xo_end_t end, int64_t now_ns,
                                  int64_t took_ns);
void xo_actor_spec_forgive(xo_actor_spec_t *spec); /* forgets what it remembers of restarts */
/* xo_policy_write and xo_policy_read of that. */
void xo_actor_spec_write_history(const xo_actor_spec_t *spec, int64_t now_ns, int64_t now_ms,
                                 char text[XO_POLICY_TEXT_BYTES]);
void xo_actor_spec_read_history(xo_actor_spec_t *spec, int64_t now_ns, int64_t now_ms,
                                const char *text);

/* Is it created again on another node if its own dies (placement "any")? NULL: no. */
bool xo_actor_spec_is_anywhere(const xo_actor_spec_t *spec);

/* ---- its group (groups.h), as the options of its body say ---- */
xo_slice_t xo_actor_spec_group(const xo_actor_spec_t *spec);    /* its name; empty: none */
int64_t xo_actor_spec_shutdown_ms(const xo_actor_spec_t *spec); /* how long it may take to end */
/* Its order number there; 0: it has none yet. */
uint64_t xo_actor_spec_order(const xo_actor_spec_t *spec);
void xo_actor_spec_set_order(xo_actor_spec_t *spec, uint64_t order);

#endif
