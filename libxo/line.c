/* line.c - the calls of one name that have no answer yet, in the order in which they were made, in
 * which their actor gets them wherever it is (contract 6).
 *
 * When it is not where the first was sent, that one waits, and so do all that are made meanwhile,
 * until seek.c knows where to send them. What had left after it is refused, too: it is marked as
 * being behind others (XO_F_BEHIND), and a pool that has refused one of a caller's calls refuses
 * those behind it until one comes that is not, as with a protocol that goes back to the first
 * message which was lost (go-back-N).
 */
#include <stdlib.h>
#include <string.h>

#include "libxo/endpoint_impl.h"
#include "libxo/msg_impl.h"

static xoi_line_t *find(const xo_endpoint_t *endpoint, xo_slice_t uid)
{
    xoi_line_t *line = NULL;
    if (endpoint->lines)
        HASH_FIND(hh, endpoint->lines, uid.data, uid.size, line);
    return line;
}

static xoi_line_t *create(xo_endpoint_t *endpoint, xo_slice_t uid)
{
    xoi_line_t *line = calloc(1, sizeof *line + uid.size);
    if (!line)
        return NULL;
    line->endpoint = endpoint;
    line->size = uid.size;
    memcpy(line->uid, uid.data, uid.size);
    HASH_ADD_KEYPTR(hh, endpoint->lines, line->uid, line->size, line);
    if (!XOI_HASHED(hh, line)) {
        free(line);
        return NULL;
    }
    xoi_seek_init(line);
    return line;
}

static void drop_if_empty(xoi_line_t *line)
{
    if (line->calls || line->held)
        return;
    xoi_seek_stop(line);
    HASH_DEL(line->endpoint->lines, line);
    free(line);
}

bool xo_kind_joins_line(xo_kind_t kind)
{
    return kind == XO_CALL || kind == XO_BATCH || kind == XO_REF || kind == XO_DESTROY;
}

bool xo_joins_line(const xo_header_t *header)
{
    bool own = xo_slice_starts(header->method, XO_METHOD_PREFIX);
    return xo_kind_joins_line(header->kind) && !own && !header->incarnation &&
           xo_uid_is_name(header->target_uid);
}

int xoi_line_join(xoi_again_t *again)
{
    xo_endpoint_t *endpoint = again->call->endpoint;
    xo_slice_t uid = xo_msg_header(again->msg)->target_uid;
    xoi_line_t *line = find(endpoint, uid);
    if (!line && !(line = create(endpoint, uid)))
        return -1;
    again->line = line;
    DL_APPEND(line->calls, again);
    return 0;
}

void xoi_line_leave(xoi_again_t *again)
{
    xoi_line_t *line = again->line;
    if (line->first == again)
        line->first = again->next;
    DL_DELETE(line->calls, again);
    again->line = NULL;
    line->backoff_ns = XOI_AGAIN_FIRST_NS; /* it was answered */
    drop_if_empty(line);
}

void xoi_line_hold(xoi_line_t *line)
{
    line->held = true;
}

void xoi_line_release(xoi_line_t *line)
{
    line->held = false;
    drop_if_empty(line);
}

void xoi_line_stamp(xoi_line_t *line, xo_msg_t *msg)
{
    if (line->asked)
        xoi_msg_add_flag(msg, XO_F_BEHIND);
    line->asked = true;
}

void xoi_line_stamp_tell(const xo_endpoint_t *endpoint, xo_msg_t *msg)
{
    if (endpoint->lines && find(endpoint, xo_msg_header(msg)->target_uid))
        xoi_msg_add_flag(msg, XO_F_BEHIND);
}

void xoi_line_wait(xoi_again_t *again)
{
    xoi_line_t *line = again->line;
    if (!line->first || again->call->seq < line->first->call->seq)
        line->first = again;
}

xoi_again_t *xoi_line_first_waiting(xoi_line_t *line)
{
    while (line->first && !xoi_again_seeks(line->first))
        line->first = line->first->next;
    return line->first;
}

/* Made after the first that waits, and not answered yet. What has not left need not. */
bool xoi_line_is_open(xoi_line_t *line)
{
    bool open = false;
    xoi_again_t *again = xoi_line_first_waiting(line);
    for (again = again ? again->next : NULL; again; again = again->next) {
        if (again->waits)
            continue;
        if (xoi_call_may_have_run(again->call))
            open = true;
        else
            xoi_again_seek(again);
    }
    return open;
}
