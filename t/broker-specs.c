/* What a broker does while it asks the registry what creates its actors again, since that was away
 * when the broker was started. The registry in memory answers in the loop's next pass: what a test
 * does before that comes first. */
#include "broker/publish_impl.h"
#include "broker/supervisor_impl.h"
#include "t/recover-world.h"

#define OWNER "0000000000000001"
#define POOL "000000000000000b"
#define STAYS xo_slice("\x92\x90\x80", 3)

static const char moves[] = "\x93\x90\x80\x82\xa7restart\xa9permanent\xa9placement\xa3"
                            "any";

static xo_registry_t *registry_of(world_t *w)
{
    return xo_publish_registry(w->broker->publish);
}

static void id_of(const char *uid, char id[XO_RECORD_ID_BYTES])
{
    assert_int_equal(xo_registry_actor_id(xo_slice_str(uid), POOL, id, XO_RECORD_ID_BYTES), 0);
}

/* As the last broker wrote it; `body`: of what creates it, empty: nothing does. */
static void remember(world_t *w, const char *uid, xo_slice_t body, const char *placement)
{
    char id[XO_RECORD_ID_BYTES];
    const xo_field_t fields[] = {{"uid", xo_slice_str(uid)},
                                 {"node", xo_slice_str(OWNER)},
                                 {"pool", xo_slice_str(POOL)},
                                 {"state", xo_slice_str("running")},
                                 {"class", xo_slice_str("Class")},
                                 {"incarnation", xo_slice_str("1")},
                                 {"placement", xo_slice_str(placement)}};
    const xo_record_t record = {id, fields, placement[0] ? 7 : 6};
    xo_buf_t bytes = XO_BUF_INIT;
    id_of(uid, id);
    xo_registry_put(registry_of(w), XO_REG_ACTOR, &record, OWNER, 0, NULL, NULL);
    if (body.size == 0)
        return;
    xo_msg_t *msg = xo_msg_create(&(xo_header_t){.kind = XO_TELL}, xo_slice(NULL, 0));
    xo_msg_add_buffer_copy(msg, uid, strlen(uid));
    xo_actor_spec_t *spec = xo_actor_spec_create(body, msg);
    xo_actor_spec_pack(spec, &bytes);
    xo_registry_put_spec(registry_of(w), id, xo_buf_slice(&bytes), NULL, NULL);
    xo_buf_free(&bytes);
    xo_actor_spec_destroy(spec);
    xo_msg_destroy(&msg);
}

typedef struct seen {
    bool answered;
    char owner[40]; /* "": there is no such record */
} seen_t;

static void on_record(int errnum, const char *text, const xo_record_t *records, size_t count,
                      void *arg)
{
    seen_t *seen = arg;
    (void)text;
    seen->answered = true;
    if (errnum != 0 || count != 1)
        return;
    xo_slice_t owner = xo_rec_find(&records[0], "owner");
    snprintf(seen->owner, sizeof(seen->owner), "%.*s", (int)owner.size, owner.data);
}

static void expect_owner(world_t *w, const char *uid, const char *owner)
{
    fixture_t *f = w->f;
    seen_t seen = {0};
    char id[XO_RECORD_ID_BYTES];
    id_of(uid, id);
    xo_registry_get(registry_of(w), XO_REG_ACTOR, id, on_record, &seen);
    UNTIL(seen.answered);
    assert_string_equal(seen.owner, owner);
}

/* The registry is back, its pool has named the actor, and nothing else is known of it. */
static void begin_with(world_t *w, const char *uid, xo_slice_t body, const char *placement)
{
    fixture_t *f = w->f;
    xo_loop_freeze(f->loop, xo_loop_now(f->loop)); /* no tick asks of itself */
    w->broker->lacks_specs = w->broker->inherits = true;
    remember(w, uid, body, placement);
    up(w, uid, 1, NULL);
    UNTIL(entry_of(w, uid));
}

static void serve_until_ready(world_t *w)
{
    fixture_t *f = w->f;
    while (w->member->state != XO_POOL_READY) {
        UNTIL(f->b->first < f->b->count || w->member->state == XO_POOL_READY);
        if (f->b->first < f->b->count)
            answer(w, NULL);
    }
}

/* ---- a pool that dies ---- */

static void what_dies_meanwhile_is_created_again(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    begin_with(w, "alice", STAYS, "");
    xo_broker_reload_specs(w->broker);
    die_and_come_back(w);
    assert_non_null(entry_of(w, "alice"));
    assert_int_equal(entry_of(w, "alice")->state, XO_ACTOR_RECOVERING);
    assert_int_equal(w->member->state, XO_POOL_RECOVERING);
    UNTIL(f->b->first < f->b->count);
    expect_create(w, "alice");
    up(w, "alice", 2, NULL);
    serve_until_ready(w);
    assert_int_equal(entry_of(w, "alice")->state, XO_ACTOR_RUNNING);
    assert_int_equal(entry_of(w, "alice")->incarnation, 2);
    expect_owner(w, "alice", OWNER);
}

static void also_if_its_pool_is_back_only_later(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    begin_with(w, "alice", STAYS, "");
    xo_broker_reload_specs(w->broker);
    xo_broker_actors_away(w->broker, w->member, "it died");
    w->member->away = true;
    UNTIL(!w->broker->asks_specs);
    assert_non_null(entry_of(w, "alice"));
    assert_int_equal(entry_of(w, "alice")->state, XO_ACTOR_RECOVERING);
    xo_member_set_state(w->member, XO_POOL_RECOVERING);
    xo_broker_recover(w->broker, w->member);
    UNTIL(f->b->first < f->b->count);
    expect_create(w, "alice");
}

static void and_if_its_pool_ends_in_order(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    xo_run_t run = {.member = w->member};
    xo_buf_t args = XO_BUF_INIT;
    begin_with(w, "alice", STAYS, "");
    xo_header_t header = {.kind = XO_TELL,
                          .target_uid = xo_slice_str(XO_BROKER_UID),
                          .method = xo_slice_str("actor.down")};
    xo_pack_format(&args, "[[s U s] {}]", "alice", (uint64_t)1, XO_WHY_POOL_STOPPED);
    xo_msg_t *msg = xo_msg_create(&header, xo_buf_slice(&args));
    xo_buf_free(&args);
    uint64_t handled = w->broker->handled;
    w->member->run = &run; /* a process that this node starts again */
    xo_endpoint_tell(f->b->endpoint, xo_endpoint_broker(f->b->endpoint), &msg, 0, NULL, NULL, NULL);
    UNTIL(w->broker->handled > handled);
    w->member->run = NULL;
    assert_non_null(entry_of(w, "alice"));
}

static void what_nothing_creates_is_gone(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    begin_with(w, "alice", xo_slice(NULL, 0), "");
    xo_broker_reload_specs(w->broker);
    die_and_come_back(w);
    UNTIL(!w->broker->asks_specs);
    assert_null(entry_of(w, "alice"));
    serve_until_ready(w);
    expect_owner(w, "alice", "");
}

static void what_is_new_meanwhile_stays(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    begin_with(w, "alice", STAYS, "");
    w->broker->asks_specs = true; /* which takes a while */
    die_and_come_back(w);
    up(w, "bob", 5, "");
    UNTIL(entry_of(w, "bob"));
    w->broker->asks_specs = false;
    xo_broker_reload_specs(w->broker);
    UNTIL(f->b->first < f->b->count);
    expect_create(w, "alice");
    up(w, "alice", 6, NULL);
    serve_until_ready(w);
    assert_int_equal(entry_of(w, "alice")->state, XO_ACTOR_RUNNING);
    assert_int_equal(entry_of(w, "bob")->state, XO_ACTOR_RUNNING);
    assert_int_equal(entry_of(w, "bob")->incarnation, 5);
}

/* Its process is nobody's to start again. */
static void what_goes_with_its_pool_is_left_to_others(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    char id[XO_RECORD_ID_BYTES];
    id_of("xo:job", id);
    begin_with(w, "xo:job", xo_slice(moves, sizeof(moves) - 1), "any");
    w->member->recovers = false;
    w->broker->publish->options.shared = true;
    xo_broker_reload_specs(w->broker);
    xo_supervisor_mark_down(w->broker->supervisor, w->member, "it died");
    xo_supervisor_remove(w->broker->supervisor, w->member, "it died");
    w->member = NULL;
    UNTIL(!w->broker->asks_specs && xo_astray_has(w->broker, id));
    expect_owner(w, "xo:job", OWNER); /* it is looked after for a while */
}

/* ---- what else is done while it is not known ---- */

static void no_record_is_dropped(void **state)
{
    world_t *w = *state;
    begin_with(w, "alice", STAYS, "");
    remember(w, "bob", STAYS, ""); /* whose pool, say, has yet to link */
    xo_publish_reconcile(w->broker->publish, w->broker);
    for (int i = 0; i < 10; i++)
        xo_loop_once(w->f->loop, 0);
    expect_owner(w, "bob", OWNER);
}

static void drain(world_t *w)
{
    fixture_t *f = w->f;
    xo_header_t header = {.kind = XO_TELL,
                          .target_uid = xo_slice_str(XO_BROKER_UID),
                          .method = xo_slice_str("node.drain")};
    xo_msg_t *msg = xo_msg_create(&header, xo_slice("\x92\x90\x80", 3));
    xo_endpoint_tell(f->b->endpoint, xo_endpoint_broker(f->b->endpoint), &msg, 0, NULL, NULL, NULL);
    UNTIL(w->broker->drain == XO_DRAIN_UNDER_WAY);
}

/* Of one that is ended; then its pool says so. */
static void expect_end(world_t *w, const char *uid)
{
    fixture_t *f = w->f;
    xo_buf_t args = XO_BUF_INIT;
    UNTIL(f->b->first < f->b->count);
    const xo_header_t *header = xo_msg_header(f->b->inbox[f->b->first].msg);
    assert_int_equal(header->kind, XO_DESTROY);
    assert_true(xo_slice_eq_str(header->target_uid, uid));
    xo_header_t down = {.kind = XO_TELL,
                        .target_uid = xo_slice_str(XO_BROKER_UID),
                        .method = xo_slice_str("actor.down")};
    xo_pack_format(&args, "[[s U s] {}]", uid, (uint64_t)1, "it was told to");
    xo_msg_t *msg = xo_msg_create(&down, xo_buf_slice(&args));
    xo_buf_free(&args);
    xo_endpoint_tell(f->b->endpoint, xo_endpoint_broker(f->b->endpoint), &msg, 0, NULL, NULL, NULL);
    answer(w, NULL);
    UNTIL(entry_of(w, uid) == NULL);
}

static void none_is_ended_that_may_move(void **state)
{
    world_t *w = *state;
    fixture_t *f = w->f;
    begin_with(w, "xo:job", xo_slice(moves, sizeof(moves) - 1), "any");
    w->broker->publish->options.shared = true;
    drain(w);
    assert_int_equal(w->broker->drain_ending, 0);
    xo_broker_reload_specs(w->broker);
    expect_end(w, "xo:job");
    UNTIL(w->broker->insists_actors == NULL && w->broker->drain == XO_DRAIN_DONE);
    expect_owner(w, "xo:job", XO_REG_NOBODY);
}

static void none_can_move_where_nobody_else_is(void **state)
{
    world_t *w = *state;
    begin_with(w, "alice", STAYS, "");
    drain(w);
    expect_end(w, "alice");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, recover_setup, recover_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_dies_meanwhile_is_created_again),
        TEST(also_if_its_pool_is_back_only_later),
        TEST(and_if_its_pool_ends_in_order),
        TEST(what_nothing_creates_is_gone),
        TEST(what_is_new_meanwhile_stays),
        TEST(what_goes_with_its_pool_is_left_to_others),
        TEST(no_record_is_dropped),
        TEST(none_is_ended_that_may_move),
        TEST(none_can_move_where_nobody_else_is),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
