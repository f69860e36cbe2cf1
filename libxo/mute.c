/* mute.c - actors of a peer that have enough for now: what is for them waits here, and nothing
 * else does. doc/wire.md, "Credit".
 */
#include <stdlib.h>
#include <string.h>

#include "libxo/client.h"
#include "libxo/endpoint_impl.h"

/* Beyond, a peer's wish is ignored: what we send then costs it no more than credit it gave. */
#define MUTED_MAX 65536

/* ---- who asks ---- */

bool xo_link_can_mute(const xo_link_t *link)
{
    return link->can_mute && link->state == XOI_LINK_UP;
}

void xo_link_mute(xo_link_t *link, xo_slice_t uid, bool muted)
{
    if (!xo_link_can_mute(link))
        return;
    xo_header_t header = {.kind = XO_CREDIT, .target_uid = uid};
    xo_msg_t *msg = xo_msg_create(&header, muted ? xo_slice("\xc3", 1) : xo_slice("\xc2", 1));
    if (msg)
        xoi_send_urgent(link, &msg);
    else
        xoi_link_break(link); /* the peer would wait for ever */
}

/* ---- who is asked ---- */

static xoi_muted_t *find(const xo_link_t *link, xo_slice_t uid)
{
    xoi_muted_t *muted = NULL;
    HASH_FIND(hh, link->muted, uid.data, uid.size, muted);
    return muted;
}

/* ref and has are answered by the pool, not by the actor, and so are most methods of xo's own, such
 * as watching it. Those that are not are few: they ask for items of a stream. */
static bool passes(const xo_header_t *header)
{
    static const char prefix[] = XO_METHOD_PREFIX;
    size_t size = sizeof prefix - 1;
    if (header->kind == XO_REF || header->kind == XO_HAS)
        return true;
    return (header->kind == XO_CALL || header->kind == XO_TELL) && header->method.size > size &&
           memcmp(header->method.data, prefix, size) == 0;
}

/* What is relayed is for an actor of somebody else's. */
xoi_muted_t *xoi_muted_for(const xo_link_t *link, const xo_msg_t *msg)
{
    const xo_header_t *header = xo_msg_header(msg);
    if (!header->target_uid.size || passes(header) ||
        (header->target_id && header->target_id != link->peer.id))
        return NULL;
    return find(link, header->target_uid);
}

/* What waits for it already waits with it from now on. */
static void take_over(xo_link_t *link, xoi_muted_t *muted)
{
    xoi_outgoing_t *outgoing, *next;
    DL_FOREACH_SAFE(link->outbox, outgoing, next)
    {
        if (xoi_muted_for(link, outgoing->msg) != muted)
            continue;
        DL_DELETE(link->outbox, outgoing);
        DL_APPEND(muted->outbox, outgoing);
        outgoing->muted = muted;
    }
}

/* Without memory it goes on as if the peer could not ask. */
static void mute(xo_link_t *link, xo_slice_t uid)
{
    if (find(link, uid) || HASH_COUNT(link->muted) >= MUTED_MAX)
        return;
    xoi_muted_t *muted = calloc(1, sizeof *muted + uid.size);
    if (!muted)
        return;
    memcpy(muted->uid, uid.data, uid.size);
    HASH_ADD_KEYPTR(hh, link->muted, muted->uid, uid.size, muted);
    if (!XOI_HASHED(hh, muted)) {
        free(muted);
        return;
    }
    take_over(link, muted);
}

/* What waited for it goes to the end of the line, in its order. */
static void unmute(xo_link_t *link, xoi_muted_t *muted)
{
    xoi_outgoing_t *outgoing;
    HASH_DEL(link->muted, muted);
    DL_FOREACH(muted->outbox, outgoing)
    outgoing->muted = NULL;
    DL_CONCAT(link->outbox, muted->outbox);
    DL_CONCAT(link->waiters, muted->waiters);
    free(muted);
}

void xoi_mute_arrived(xo_link_t *link, const xo_msg_t *msg)
{
    bool wanted;
    xo_slice_t uid = xo_msg_header(msg)->target_uid;
    xo_reader_t reader = xo_reader(xo_msg_body(msg));
    if (xo_read_bool(&reader, &wanted) < 0) {
        xoi_link_protocol_error(link, "it mutes an actor, or does not");
        return;
    }
    xoi_muted_t *muted = find(link, uid);
    if (wanted)
        mute(link, uid);
    else if (muted)
        unmute(link, muted);
    xoi_outbox_flush(link);
    if (link->outbox)
        xoi_credit_ask(link, link->outbox->bytes);
}

void xoi_mutes_end(xo_link_t *link)
{
    while (link->muted)
        unmute(link, link->muted);
}

int xo_link_on_room_for(xo_link_t *link, xo_slice_t uid, xo_room_f room, void *arg)
{
    xoi_muted_t *muted = find(link, uid);
    return xoi_wait_for_room(link, muted ? &muted->waiters : &link->waiters, room, arg);
}
