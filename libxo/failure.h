/* failure.h - why a request got no result: the body of an XO_ERROR message (contract 4).
 *
 * On the wire it is a msgpack map with str keys; what is empty is left out:
 *   code       one of XO_CODE_*
 *   message    a sentence for people
 *   executed   "no" (not sent, or refused before the method ran), "maybe", "ran"
 *   reason     who died and why: "exit status 1", "signal 9 (Killed)", "lost heartbeats", ...
 *   address    where it happened
 *   pid        process in which it happened
 *   type       the exception's type, "module.Class"
 *   traceback  the remote traceback, text
 *   missed     of a creation: the address of the pool that it did not reach, or who else that was
 *   exception  ext XO_EXT_PICKLE, the exception itself, where it can be pickled
 */
#ifndef XO_FAILURE_H
#define XO_FAILURE_H

#include <stdint.h>

#include "libxo/msg.h"
#include "libxo/pack.h"

/* Why an actor went, in actor.down, when its pool ends in order. */
#define XO_WHY_POOL_STOPPED "its pool was stopped"
/* The reason of what a pool refuses while it ends in order. */
#define XO_WHY_POOL_STOPPING "the pool is stopping"

#define XO_CODE_METHOD "MethodError" /* the method raised or failed */
#define XO_CODE_ACTOR_NOT_EXIST "ActorNotExist"
#define XO_CODE_ACTOR_EXISTS "ActorAlreadyExist"
#define XO_CODE_NO_METHOD "NoSuchMethod"
#define XO_CODE_NO_CLASS "NoSuchClass"
#define XO_CODE_SERVER_CLOSED                                                                      \
    "ServerClosed" /* the process, node or link died, or cannot be reached */
#define XO_CODE_DEADLINE "DeadlineExceeded"
#define XO_CODE_CANCELLED "Cancelled"
#define XO_CODE_SEND_FAILED                                                                        \
    "SendMessageFailed"                /* what could not be sent, such as an unpicklable result */
#define XO_CODE_REFUSED "Refused"      /* bad arguments, not admitted, not supported */
#define XO_CODE_PICKLE "PickleRefused" /* it holds a pickle, and codec = msgpack is set */
#define XO_CODE_UNAVAILABLE "Unavailable" /* needs what is away: the registry, for example */
#define XO_CODE_AMBIGUOUS "AmbiguousUid"  /* the message lists the candidates */

typedef struct xo_failure {
    xo_slice_t code, message, executed, reason, address, type, traceback, missed;
    int64_t pid;
    xo_slice_t exception; /* the pickle's bytes */
} xo_failure_t;

/* Appends the map. */
void xo_failure_pack(const xo_failure_t *failure, xo_buf_t *out);
/* Reads an XO_ERROR's body; slices point into it. A body that does not read, or has no code, gives
 * EBADMSG. Keys that are not known are passed over. */
int xo_failure_read(xo_slice_t body, xo_failure_t *failure);
/* The nearest errno. By code: MethodError EREMOTEIO, ActorNotExist and NoSuchClass ENOENT,
 * ActorAlreadyExist EEXIST, NoSuchMethod ENOSYS, ServerClosed ENOTCONN, DeadlineExceeded ETIMEDOUT,
 * Cancelled ECANCELED, SendMessageFailed ECOMM, Refused and PickleRefused EINVAL, Unavailable
 * EHOSTDOWN, AmbiguousUid ENOTUNIQ; EREMOTEIO for others. */
int xo_failure_errno(const xo_failure_t *failure);
/* Fills `err` with this errno and a sentence: "ServerClosed: pool 1 died (signal 9 (Killed))
 * [127.0.0.1:7000]; the method may have run". Returns -1. */
int xo_failure_set_error(const xo_failure_t *failure, xo_error_t *err);
/* Why an actor ended, from the answer (NULL: out of memory for one) to a watch of it: the result,
 * or a failure's reason, else its message; cut to fit. Returns `text`. */
const char *xo_answer_reason(const xo_msg_t *answer, char text[XO_ERROR_TEXT_BYTES]);
/* The XO_ERROR message that answers `seq`. NULL: ENOMEM. */
xo_msg_t *xo_failure_answer(uint64_t seq, const xo_failure_t *failure);
/* The same for what most failures have; code, executed, reason: text, NULL for none;
 * message: printf-like. NULL: ENOMEM. */
xo_msg_t *xo_failure_msg(uint64_t seq, const char *code, const char *executed, const char *reason,
                         const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
