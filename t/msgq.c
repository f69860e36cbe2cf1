/* msgq.c - unit tests of libxo/msg.h: the queue. */

#include "libxo/msg.h"
#include "t/unit.h"

static xo_msg_t *push_new(xo_msgq_t *queue, uint64_t seq)
{
    const xo_header_t header = {.kind = XO_CALL, .seq = seq};
    xo_msg_t *msg = xo_msg_create_local(&header, NULL, NULL, 10 * seq), *same = msg;
    xo_msgq_push(queue, &msg);
    assert_null(msg);
    return same;
}

static void assert_queue(const xo_msgq_t *queue, const uint64_t *seqs, size_t count)
{
    size_t bytes = 0;
    xo_msg_t *msg = xo_msgq_peek(queue);
    for (size_t i = 0; i < count; i++, msg = xo_msgq_next(msg)) {
        assert_non_null(msg);
        assert_int_equal(xo_msg_header(msg)->seq, seqs[i]);
        bytes += xo_msg_bytes(msg);
    }
    assert_null(msg);
    assert_int_equal(queue->count, count);
    assert_int_equal(queue->bytes, bytes);
}

static void queues(void **state)
{
    xo_msgq_t queue = {0};
    (void)state;
    assert_null(xo_msgq_pop(&queue));
    assert_null(xo_msgq_peek(&queue));
    for (uint64_t seq = 1; seq <= 3; seq++)
        push_new(&queue, seq);
    assert_queue(&queue, (uint64_t[]){1, 2, 3}, 3);
    xo_msg_t *msg = xo_msgq_pop(&queue);
    assert_int_equal(xo_msg_header(msg)->seq, 1);
    assert_null(xo_msgq_next(msg));
    xo_msgq_push(&queue, &msg);
    assert_queue(&queue, (uint64_t[]){2, 3, 1}, 3);
    xo_msgq_clear(&queue);
    assert_queue(&queue, NULL, 0);
    push_new(&queue, 4);
    assert_queue(&queue, (uint64_t[]){4}, 1);
    xo_msgq_clear(&queue);
}

static void removes_anywhere(void **state)
{
    xo_msgq_t queue = {0}, other = {0};
    xo_msg_t *msgs[5];
    (void)state;
    for (uint64_t seq = 0; seq < 5; seq++)
        msgs[seq] = push_new(&queue, seq);
    assert_false(xo_msgq_remove(&other, msgs[2]));
    assert_true(xo_msgq_remove(&queue, msgs[2]));
    assert_false(xo_msgq_remove(&queue, msgs[2]));
    assert_true(xo_msgq_remove(&queue, msgs[0]));
    assert_true(xo_msgq_remove(&queue, msgs[4]));
    assert_queue(&queue, (uint64_t[]){1, 3}, 2);
    push_new(&queue, 9);
    assert_queue(&queue, (uint64_t[]){1, 3, 9}, 3);
    xo_msgq_clear(&queue);
    xo_msg_destroy(&msgs[0]);
    xo_msg_destroy(&msgs[2]);
    xo_msg_destroy(&msgs[4]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues),
        cmocka_unit_test(removes_anywhere),
    };
    return run_tap(tests);
}
