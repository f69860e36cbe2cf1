/* recover-world.c - see recover-world.h. */
#include "t/recover-world.h"

#define BODY xo_slice("\x92\x90\x80", 3)

int recover_setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    fixture_setup((void **)&w->f);
    fixture_t *f = w->f;
    w->broker = rig_broker(f, 1000, NULL, NULL);
    f->b = node_pool(f, RIG_DOOR, 11, 1);
    node_beat(f->b);
    w->member = xo_pools_find(&w->broker->pools, 11);
    w->member->recovers = true;
    UNTIL(w->member->state == XO_POOL_READY);
    *state = w;
    return 0;
}

int recover_teardown(void **state)
{
    world_t *w = *state;
    xo_broker_destroy(w->broker);
    fixture_teardown((void **)&w->f);
    free(w);
    return 0;
}

/* ---- what the pool says ---- */

/* `told`: what creates it, as it is on the wire. */
static void tell_up(world_t *w, const char *uid, uint64_t incarnation, xo_slice_t told,
                    bool with_buffer)
{
    fixture_t *f = w->f;
    xo_buf_t args = XO_BUF_INIT;
    xo_header_t header = {.kind = XO_TELL,
                          .target_uid = xo_slice_str(XO_BROKER_UID),
                          .method = xo_slice_str("actor.up")};
    xo_pack_array(&args, 2);
    xo_pack_array(&args, 5);
    xo_pack_format(&args, "B U s ?", xo_slice_str(uid), incarnation, "Class", 0);
    xo_pack_raw(&args, told);
    xo_pack_map(&args, 0);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&args));
    if (with_buffer)
        xo_msg_add_buffer_copy(msg, uid, strlen(uid));
    xo_buf_free(&args);
    xo_endpoint_tell(f->b->endpoint, xo_endpoint_broker(f->b->endpoint), &msg, 0, NULL, NULL, NULL);
}

void up(world_t *w, const char *uid, uint64_t incarnation, const char *spec)
{
    xo_buf_t told = XO_BUF_INIT;
    if (spec == NULL)
        xo_pack_nil(&told);
    else if (spec[0] == 0)
        xo_pack_format(&told, "[B]", BODY);
    else
        xo_pack_cstr(&told, spec);
    tell_up(w, uid, incarnation, xo_buf_slice(&told), spec != NULL && spec[0] == 0);
    xo_buf_free(&told);
}

void up_in_group(world_t *w, const char *uid, const char *group)
{
    fixture_t *f = w->f;
    xo_buf_t body = XO_BUF_INIT, told = XO_BUF_INIT;
    xo_pack_format(&body, "[[] {} {s s}]", "group", group);
    xo_pack_format(&told, "[B]", xo_buf_slice(&body));
    tell_up(w, uid, 1, xo_buf_slice(&told), false);
    xo_buf_free(&told);
    xo_buf_free(&body);
    UNTIL(entry_of(w, uid) != NULL && entry_of(w, uid)->seat != NULL);
}

xo_actor_entry_t *entry_of(world_t *w, const char *uid)
{
    return xo_directory_get(&w->broker->directory, w->member, xo_slice_str(uid));
}

void answer_with(world_t *w, xo_msg_t *msg)
{
    node_t *pool = w->f->b;
    xo_return_t to = xo_return_of(pool->inbox[pool->first].from, pool->inbox[pool->first].msg);
    xo_endpoint_answer(pool->endpoint, &to, &msg);
    node_swallow(pool);
}

void answer(world_t *w, const char *error)
{
    xo_header_t header = {.kind = XO_RESULT};
    answer_with(w, error ? xo_failure_msg(0, XO_CODE_METHOD, "ran", NULL, "%s", error)
                         : xo_msg_create(&header, xo_slice("\xc3", 1)));
}

void expect_create(world_t *w, const char *uid)
{
    const xo_msg_t *msg = w->f->b->inbox[w->f->b->first].msg;
    assert_int_equal(xo_msg_header(msg)->kind, XO_CREATE);
    assert_true(xo_slice_eq_str(xo_msg_header(msg)->target_uid, uid));
    assert_true(xo_slice_eq_str(xo_msg_header(msg)->method, "Class"));
    assert_true(xo_slice_eq(xo_msg_body(msg), BODY));
    assert_true(xo_slice_eq_str(xo_msg_buffer(msg, 0), uid));
}

void expect_barrier(world_t *w)
{
    fixture_t *f = w->f;
    UNTIL(f->b->first < f->b->count);
    const xo_header_t *header = xo_msg_header(f->b->inbox[f->b->first].msg);
    assert_int_equal(header->kind, XO_HAS);
    assert_int_equal(header->target_uid.size, 0);
}

void die_and_come_back(world_t *w)
{
    xo_broker_actors_away(w->broker, w->member, "it died");
    w->member->away = true;
    xo_member_set_state(w->member, XO_POOL_RECOVERING);
    xo_broker_recover(w->broker, w->member);
}

void come_back_with(world_t *w, const char *uid)
{
    fixture_t *f = w->f;
    up(w, uid, 1, "");
    UNTIL(entry_of(w, uid));
    die_and_come_back(w);
    UNTIL(f->b->first < f->b->count);
}
