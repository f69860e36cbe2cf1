/* lease.c - actors with the placement "any", which another node creates anew when this one is taken
 * for dead: so they work only while nobody can (contract 14).
 *
 * The broker says until when this pool's names are its own, by a clock that goes on while processes
 * are stopped (xo_boot_ns): no later than their leases end in the registry. Who was stopped, or cut
 * off, sees by itself that the time is over. An actor whose name another has got meanwhile is
 * fenced, whatever comes then.
 */
#include <stdio.h>
#include <string.h>

#include "pool/pool_impl.h"

static const char lapsed[] = "its node's lease has lapsed";
static const char fenced[] = "another node has got its name";

void xoi_lease_event(xo_pool_t *pool, const xo_msg_t *event)
{
    int64_t until_ns;
    if (xo_map_get_int(xo_msg_body(event), "until", &until_ns) == 0)
        pool->lease_ns = until_ns;
}

void xoi_fenced_event(xo_pool_t *pool, const xo_msg_t *event)
{
    xo_slice_t raw, uid;
    int64_t incarnation;
    xo_slice_t body = xo_msg_body(event);
    if (xo_map_get(body, "uid", &raw) < 0 || xo_unpack(raw, NULL, "s", &uid) < 0 ||
        xo_map_get_int(body, "incarnation", &incarnation) < 0)
        return;
    xo_actor_t *actor = xo_pool_find(pool, uid);
    if (actor && actor->incarnation == (uint64_t)incarnation)
        actor->fenced = true;
}

const char *xoi_lease_why(const xo_actor_t *actor)
{
    if (actor->fenced)
        return fenced;
    return xo_boot_ns() < actor->pool->lease_ns ? NULL : lapsed;
}

static void reject(xo_request_t *request, const xo_actor_t *actor, const char *why)
{
    char text[XOI_TEXT_BYTES];
    xoi_request_reject(request, XO_DROP_STALE, XO_CODE_SERVER_CLOSED, why,
                       "actor \"%s\" in the pool at %s does nothing: %s",
                       xoi_text(xo_actor_uid(actor), text), xo_pool_address(actor->pool), why);
}

bool xoi_lease_rejects(xo_request_t *request, const xo_actor_t *actor)
{
    const char *why = xoi_is_lifecycle(request) ? NULL : xoi_lease_why(actor);
    if (why)
        reject(request, actor, why);
    return why;
}

void xoi_lease_check_answer(xo_request_t *request, xo_msg_t **answer)
{
    char text[XOI_TEXT_BYTES];
    const xo_actor_t *actor = request->actor;
    const char *why = xoi_is_lifecycle(request) ? NULL : xoi_lease_why(actor);
    if (!why || !*answer || xo_msg_header(*answer)->kind != XO_RESULT)
        return;
    xo_msg_destroy(answer);
    *answer =
        xoi_failure_of(actor->pool, XO_CODE_SERVER_CLOSED, "maybe", why,
                       "the answer of actor \"%s\" in the pool at %s does not count: %s",
                       xoi_text(xo_actor_uid(actor), text), xo_pool_address(actor->pool), why);
}
