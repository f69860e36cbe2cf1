/* depends.c - an actor that cannot be created again since somebody else is not there: that is no
 * fault of its own, so such tries do not count against it.
 *
 * They do not as long as the other's pool is being started again by this broker. Of others, which
 * are another node's or unknown, this broker cannot say whether they come; they have the period of
 * the actor's policy to do so. A pool that has failed does not come.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker_impl.h"

#define COMPONENT "recovery"
/* Between two tries, whatever the policy says: nobody counts them. */
#define PAUSE_MIN_NS (100 * XO_MS)

static bool is_of_another(const xo_actor_entry_t *entry, const xo_failure_t *failure)
{
    bool closed = xo_slice_eq_str(failure->code, XO_CODE_SERVER_CLOSED);
    return closed && failure->address.size > 0 &&
           !xo_slice_eq_str(failure->address, entry->member->address);
}

/* Empty: that is not why it failed. */
static xo_slice_t whom_of(const xo_actor_entry_t *entry, const xo_failure_t *failure)
{
    if (failure->missed.size > 0)
        return failure->missed;
    /* What a hook in C passes on. */
    return is_of_another(entry, failure) ? failure->address : xo_slice(NULL, 0);
}

/* The pool is gone, or its node's lease is, without which it creates nothing that may move. */
static bool is_closed(const xo_actor_entry_t *entry, const xo_failure_t *failure)
{
    return xo_slice_eq_str(failure->code, XO_CODE_SERVER_CLOSED) &&
           whom_of(entry, failure).size == 0;
}

/* It was cancelled before its turn came: others kept its pool busy. */
static bool is_unbegun(const xo_failure_t *failure)
{
    return xo_slice_eq_str(failure->code, XO_CODE_CANCELLED) &&
           xo_slice_eq_str(failure->executed, "no");
}

bool xo_depends_is_neutral(const xo_actor_entry_t *entry, const xo_failure_t *failure)
{
    return is_closed(entry, failure) || is_unbegun(failure) ||
           xo_slice_eq_str(failure->code, XO_CODE_ACTOR_EXISTS);
}

bool xo_depends_is_for(const xo_actor_entry_t *entry, const xo_member_t *member)
{
    return entry->awaited != NULL && strcmp(entry->awaited->whom, member->address) == 0;
}

void xo_depends_forget(xo_actor_entry_t *entry)
{
    free(entry->awaited);
    entry->awaited = NULL;
}

static void say(xo_broker_t *broker, xo_actor_entry_t *entry, const xo_failure_t *failure,
                const char *text)
{
    char why[XO_ERROR_TEXT_BYTES];
    xo_slice_t uid = xo_actor_entry_uid(entry);
    snprintf(why, sizeof(why), "it waits for %.120s: %.320s", entry->awaited->whom, text);
    xo_log(broker->options.log, XO_LOG_WARN, COMPONENT,
           "actor \"%.*s\" of the pool at %s cannot be created again yet: %s", (int)uid.size,
           uid.data, entry->member->address, why);
    xo_directory_set_reason(entry, why);
    xo_broker_note_failure(broker, "actor.waiting", entry, why, failure->traceback);
    xo_publish_actor(broker->publish, entry);
}

/* True: it is another one than before. */
static bool set_whom(xo_awaited_t *awaited, xo_slice_t whom)
{
    char text[XO_ADDRESS_BYTES];
    snprintf(text, sizeof(text), "%.*s", (int)whom.size, whom.data);
    if (strcmp(awaited->whom, text) == 0)
        return false;
    strcpy(awaited->whom, text);
    return true;
}

bool xo_depends_waits(xo_broker_t *broker, xo_actor_entry_t *entry, const xo_failure_t *failure,
                      const char *text, int64_t *delay_ns)
{
    int64_t now = xo_loop_now(broker->loop);
    xo_slice_t whom = whom_of(entry, failure);
    const xo_policy_t *policy = xo_actor_spec_policy(entry->spec);
    const xo_member_t *other = xo_pools_by_name(&broker->pools, whom);
    if (whom.size == 0) {
        xo_depends_forget(entry);
        return false;
    }
    if (entry->awaited == NULL && (entry->awaited = calloc(1, sizeof(*entry->awaited))) == NULL)
        return false;
    xo_awaited_t *awaited = entry->awaited;
    bool another = set_whom(awaited, whom);
    bool comes = other != NULL && other->state != XO_POOL_FAILED && xo_member_absence(other);
    if (comes || awaited->tries == 0)
        awaited->since_ns = now;
    if ((other != NULL && other->state == XO_POOL_FAILED) ||
        now - awaited->since_ns > policy->period_ns)
        return false;
    int64_t pause = xo_policy_backoff(policy, ++awaited->tries, (uint32_t)xo_random_id());
    *delay_ns = pause > PAUSE_MIN_NS ? pause : PAUSE_MIN_NS;
    if (another)
        say(broker, entry, failure, text);
    return true;
}
