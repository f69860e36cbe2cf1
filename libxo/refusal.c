/* refusal.c - frames and handshakes that were refused: each is counted, and told of once a minute
 * and source, so that who floods an endpoint does not flood its log.
 */
#include <stdio.h>
#include <string.h>

#include "libxo/endpoint_impl.h"
#include "libxo/utf8.h"

#define QUIET_NS ((int64_t)60 * 1000 * XO_MS)

static bool is_free(const xoi_refusals_t *refusals, int64_t now)
{
    return !refusals->who[0] || now - refusals->told_ns >= QUIET_NS;
}

/* The source's own place or a free one; the last is shared by those that find none. */
static xoi_refusals_t *find(xo_endpoint_t *endpoint, const char *who, int64_t now)
{
    xoi_refusals_t *found = NULL;
    for (size_t i = 0; i < XOI_REFUSAL_SOURCES; i++) {
        xoi_refusals_t *each = &endpoint->refusals[i];
        if (strcmp(each->who, who) == 0)
            return each;
        if (!found && is_free(each, now))
            found = each;
    }
    return found ? found : &endpoint->refusals[XOI_REFUSAL_SOURCES - 1];
}

/* Some of it comes off the wire, and a line of the log is one line of text. */
static void make_line(char *text)
{
    xo_utf8_repair(text, strlen(text));
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

void xoi_refused(xo_endpoint_t *endpoint, xo_drop_t reason, const char *who, const char *why)
{
    char text[XO_ERROR_TEXT_BYTES];
    char source[sizeof endpoint->refusals->who];
    int64_t now = xo_loop_now(endpoint->loop);
    xo_endpoint_count_drop(endpoint, reason);
    if (!endpoint->ops.refused || endpoint->closing)
        return;
    snprintf(source, sizeof source, "%s", who);
    xoi_refusals_t *refusals = find(endpoint, source, now);
    if (!is_free(refusals, now)) {
        refusals->untold++;
        return;
    }
    if (refusals->untold)
        snprintf(text, sizeof text, "refused %s: %s (and %llu times more since the last such line)",
                 source, why, (unsigned long long)refusals->untold);
    else
        snprintf(text, sizeof text, "refused %s: %s", source, why);
    *refusals = (xoi_refusals_t){.told_ns = now};
    memcpy(refusals->who, source, sizeof source);
    make_line(text);
    endpoint->ops.refused(endpoint, text, endpoint->arg);
}

void xo_endpoint_refused(xo_endpoint_t *endpoint, xo_drop_t reason, const char *who,
                         const char *why)
{
    xoi_refused(endpoint, reason, who, why);
}

/* By its number, and the address that it says it has. */
static void name_process(const xo_identity_t *peer, char *text, size_t size)
{
    snprintf(text, size, "process %lld%s%.90s", (long long)peer->pid,
             peer->address[0] ? " of " : "", peer->address);
}

/* The source is the host, from which any number of processes may come. */
static void refuse_far(xo_link_t *link, const xo_identity_t *peer, xo_drop_t reason,
                       const char *why)
{
    char who[XOI_REFUSAL_WHO_BYTES];
    char process[XOI_REFUSAL_WHO_BYTES];
    char text[XO_ERROR_TEXT_BYTES];
    snprintf(who, sizeof who, "%s, who came by %s", xo_lane_from(link->lane), link->scheme);
    name_process(peer, process, sizeof process);
    snprintf(text, sizeof text, "%.256s (%s)", why, process);
    xoi_refused(link->endpoint, reason, who, peer->role ? text : why);
}

void xoi_link_refused(xo_link_t *link, const xo_identity_t *peer, xo_drop_t reason, const char *why)
{
    char who[XOI_REFUSAL_WHO_BYTES + 32];
    char process[XOI_REFUSAL_WHO_BYTES];
    if (!link->dialled && link->lane && xo_lane_from(link->lane)) {
        refuse_far(link, peer, reason, why);
        return;
    }
    name_process(peer, process, sizeof process);
    if (link->dialled)
        snprintf(who, sizeof who, "%.120s", link->address);
    else if (peer->role)
        snprintf(who, sizeof who, "%s, who came by %s", process, link->scheme);
    else
        snprintf(who, sizeof who, "somebody who came by %s", link->scheme);
    xoi_refused(link->endpoint, reason, who, why);
}
