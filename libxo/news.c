/* news.c - heartbeats and news for a peer that takes nothing, perhaps because it stands still.
 *
 * They use up credit of their own, since not every lane says when it is full. Where there is none,
 * or the lane has no room, one heartbeat is kept, the last, and so much of the news. Beyond that
 * the oldest is lost, which is counted, and told to the peer when it goes on.
 */
#include "libxo/endpoint_impl.h"
#include "libxo/msg_impl.h"

#define NEWS_WAITING_MAX 256
#define NEWS_WAITING_BYTES_MAX ((size_t)1 << 20)

bool xoi_is_news(xo_kind_t kind)
{
    return kind == XO_HEARTBEAT || kind == XO_EVENT;
}

static bool may_send(const xo_link_t *link)
{
    return link->state == XOI_LINK_UP && (!link->counts_news || link->credit.news > 0);
}

static int flush_heartbeat(xo_link_t *link)
{
    return link->heartbeat && may_send(link) ? xoi_send_or_break(link, &link->heartbeat) : 0;
}

static void lose(xo_link_t *link)
{
    xo_msg_t *oldest = xo_msgq_pop(&link->news);
    xo_endpoint_drop(link->endpoint, XO_DROP_STALLED, oldest);
    xo_msg_destroy(&oldest);
    link->news_lost++;
}

static int tell_lost(xo_link_t *link)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_EVENT,
                          .method = xo_slice_str(XO_EVENT_LOST),
                          .sender_id = link->endpoint->self.id};
    xo_pack_format(&body, "{s U}", "count", link->news_lost);
    xo_msg_t *msg = xoi_msg_of(&header, &body);
    xo_buf_free(&body);
    if (!msg || xoi_send_or_break(link, &msg) < 0) {
        xo_msg_destroy(&msg);
        return -1;
    }
    link->news_lost = 0;
    return 0;
}

/* What waits in `urgent` was sent before. */
static int flush_news(xo_link_t *link)
{
    while (link->news.head && !link->urgent.head && may_send(link)) {
        if (link->news_lost && tell_lost(link) < 0)
            return -1;
        xo_msg_t *msg = xo_msgq_pop(&link->news);
        if (xoi_send_or_break(link, &msg) < 0) {
            xo_msgq_push_front(&link->news, &msg);
            return -1;
        }
    }
    return 0;
}

int xoi_news_flush(xo_link_t *link)
{
    return flush_heartbeat(link) < 0 ? -1 : flush_news(link);
}

void xoi_news_send(xo_link_t *link, xo_msg_t **msg)
{
    if (xo_msg_header(*msg)->kind == XO_HEARTBEAT) {
        xo_msg_destroy(&link->heartbeat); /* this one says more */
        link->heartbeat = *msg;
        *msg = NULL;
    } else {
        size_t bytes = xo_msg_bytes(*msg);
        while (link->news.head && (link->news.count >= NEWS_WAITING_MAX ||
                                   link->news.bytes + bytes > NEWS_WAITING_BYTES_MAX))
            lose(link);
        xo_msgq_push(&link->news, msg);
    }
    xoi_news_flush(link);
}

void xoi_news_fail(xo_link_t *link)
{
    xo_msg_destroy(&link->heartbeat);
    while (link->news.head) {
        xo_msg_t *msg = xo_msgq_pop(&link->news);
        xo_endpoint_drop(link->endpoint, XO_DROP_CLOSED, msg);
        xo_msg_destroy(&msg);
    }
}
