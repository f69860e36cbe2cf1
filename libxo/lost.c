/* lost.c - tells that nobody hears of again: calls are answered.
 *
 * What has left on a link and whose credit has not come back: if the link ends, nobody knows what
 * became of it. And the other side: what has got its credit back waits in a mailbox, and is lost
 * only if the process dies; how many there are is shown to who will see that. Who ends in order
 * says of how many it has kept a dead letter that nobody will be able to read.
 *
 * Credit says how many messages the peer has taken, not which: it takes nearly all in the order in
 * which they left, so the oldest are taken to be meant.
 */
#include <stdlib.h>

#include "libxo/bulk.h"
#include "libxo/endpoint_impl.h"
#include "libxo/progress.h"

#define FIRST_SIZE 64 /* a power of two, as all sizes are */

bool xoi_is_tell(const xo_msg_t *msg)
{
    const xo_header_t *header = xo_msg_header(msg);
    return header->kind == XO_TELL ||
           (header->kind == XO_BATCH && (header->flags & XO_F_NO_ANSWER));
}

static int grow(xoi_left_t *left)
{
    size_t size = left->size ? 2 * left->size : FIRST_SIZE;
    bool *tells = malloc(size * sizeof *tells);
    if (!tells)
        return -1;
    for (size_t i = 0; i < left->count; i++)
        tells[i] = left->is_tell[(left->first + i) & (left->size - 1)];
    free(left->is_tell);
    *left = (xoi_left_t){tells, size, 0, left->count, left->tells};
    return 0;
}

/* Without memory it is not remembered, and would not be counted. */
void xoi_left_add(xoi_left_t *left, bool is_tell)
{
    if (left->count == left->size && grow(left) < 0)
        return;
    left->is_tell[(left->first + left->count++) & (left->size - 1)] = is_tell;
    left->tells += is_tell;
}

void xoi_left_taken(xoi_left_t *left, int64_t messages)
{
    for (; messages > 0 && left->count > 0; messages--) {
        left->tells -= left->is_tell[left->first];
        left->first = (left->first + 1) & (left->size - 1);
        left->count--;
    }
}

void xoi_left_lost(xo_link_t *link)
{
    xo_endpoint_t *endpoint = link->endpoint;
    size_t unsent = xoi_bulk_unsent_tells(link); /* these are counted as closed */
    size_t lost = link->left.tells > unsent ? link->left.tells - unsent : 0;
    free(link->left.is_tell);
    link->left = (xoi_left_t){0};
    if (endpoint->closing)
        return;
    if (unsent > 0) /* of these only the announcement was kept */
        xoi_letters_keep_lost(endpoint, XO_DROP_CLOSED, link->address, unsent);
    if (lost > 0)
        xo_endpoint_drop_boxed(endpoint, link->address, lost);
}

/* ---- the other side ---- */

void xo_endpoint_show_boxed(xo_endpoint_t *endpoint, _Atomic uint64_t *boxed)
{
    endpoint->boxed = boxed;
}

/* Those that came last are owed, and what waits is what came last. */
static void show(xo_link_t *link)
{
    xoi_boxed_t *boxed = &link->boxed;
    int64_t more = (boxed->inside > boxed->owed ? boxed->inside - boxed->owed : 0) - boxed->shown;
    boxed->shown += more;
    if (more && link->endpoint->boxed)
        xoi_progress_box(link->endpoint->boxed, more);
}

void xo_link_box(xo_link_t *link)
{
    link->boxed.inside++;
    link->boxed.owed++;
    show(link);
}

void xo_link_unbox(xo_link_t *link)
{
    link->boxed.inside--;
    show(link);
}

void xoi_boxed_paid(xo_link_t *link)
{
    link->boxed.owed = 0;
    show(link);
}

void xo_endpoint_drop_boxed(xo_endpoint_t *endpoint, const char *address, uint64_t count)
{
    endpoint->drops[XO_DROP_LOST] += count;
    xoi_letters_keep_lost(endpoint, XO_DROP_LOST, address, count);
}

/* ---- who ends in order ---- */

void xo_link_undelivered(xo_link_t *link)
{
    if (link)
        link->boxed.undelivered++;
}

void xoi_goodbye_pack(const xo_link_t *link, xo_buf_t *out)
{
    if (link->boxed.undelivered)
        xo_pack_format(out, "[s U]", "", link->boxed.undelivered);
}

void xoi_goodbye_read(xo_link_t *link, xo_slice_t body, xo_slice_t *why)
{
    uint64_t count;
    if (body.size == 0)
        return;
    if (xo_unpack(body, NULL, "[S U]", why, &count) < 0)
        xo_unpack(body, NULL, "S", why);
    else if (count > 0 && count <= xo_link_stats(link)->messages_out)
        xo_endpoint_drop_boxed(link->endpoint, link->address, count);
}
