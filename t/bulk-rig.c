/* bulk-rig.c - see bulk-rig.h. */
#include "t/bulk-rig.h"

xo_link_t *bulk_link(fixture_t *f, const char *door, const xo_endpoint_options_t *options_b)
{
    f->a = node_create(f, XO_ROLE_CLIENT, NULL, NULL);
    f->b = node_create(f, XO_ROLE_POOL, door, options_b);
    const char *real = xo_listener_endpoint(f->b->endpoint->doors->listener);
    xo_link_t *link = xo_endpoint_link(f->a->endpoint, real, NULL);
    assert_non_null(link);
    UNTIL(f->a->linked && f->b->linked);
    return link;
}

xo_link_t *bulk_far_link(fixture_t *f)
{
    return xo_endpoint_link_by_id(f->b->endpoint, xo_endpoint_self(f->a->endpoint)->id);
}

void bulk_open(fixture_t *f, xo_link_t *link)
{
    assert_non_null(xoi_bulk_of(link));
    xoi_bulk_open(link->bulk);
    UNTIL(link->bulk->state == XOI_BULK_APART);
    assert_non_null(xoi_bulk_lane(bulk_far_link(f)));
}

static char byte_of(size_t buffer, size_t at)
{
    return (char)(buffer * 7 + at * 31 + (at >> 12));
}

xo_msg_t *bulk_make(xo_kind_t kind, const char *uid, int64_t value, const size_t *sizes)
{
    xo_buf_t body = XO_BUF_INIT;
    xo_header_t header = {
        .kind = kind, .target_uid = xo_slice_str(uid), .method = xo_slice_str("method")};
    xo_pack_format(&body, "[[I]{}]", value);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&body));
    xo_buf_free(&body);
    for (size_t i = 0; sizes[i]; i++) {
        char *data = malloc(sizes[i]);
        for (size_t at = 0; at < sizes[i]; at++)
            data[at] = byte_of(i, at);
        assert_int_equal(xo_msg_add_buffer_copy(msg, data, sizes[i]), 0);
        free(data);
    }
    return msg;
}

void bulk_check(const xo_msg_t *msg, const size_t *sizes)
{
    size_t i = 0;
    for (; sizes[i]; i++) {
        xo_slice_t bytes = xo_msg_buffer(msg, i);
        size_t wrong = 0;
        assert_int_equal(bytes.size, sizes[i]);
        for (size_t at = 0; at < bytes.size; at++)
            wrong += bytes.data[at] != byte_of(i, at);
        assert_int_equal(wrong, 0);
    }
    assert_int_equal(xo_msg_buffer_count(msg), i);
}

xo_call_t *bulk_call(fixture_t *f, xo_link_t *link, const char *uid, int64_t value, size_t size,
                     int64_t deadline_ns, outcome_t *outcome)
{
    xo_msg_t *msg = bulk_make(XO_CALL, uid, value, (size_t[]){size, 0});
    xo_call_t *call = xo_endpoint_call(f->a->endpoint, link, &msg, XO_SEND_QUEUE, deadline_ns,
                                       outcome_answer, outcome, NULL);
    assert_non_null(call);
    return call;
}

void bulk_tell(fixture_t *f, xo_link_t *link, const char *uid, int64_t value, size_t size)
{
    xo_msg_t *msg = bulk_make(XO_TELL, uid, value, (size_t[]){size, 0});
    assert_int_equal(xo_endpoint_tell(f->a->endpoint, link, &msg, XO_SEND_QUEUE, NULL, NULL, NULL),
                     0);
}

int64_t bulk_argument(const fixture_t *f, size_t i)
{
    assert_true(i < f->b->count);
    return node_argument(f->b->inbox[i].msg);
}
