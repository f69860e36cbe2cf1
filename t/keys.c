/* t/keys.c - the keys of members (libxo/members.h, keys.h): who is on the list, and what becomes of
 * lanes whose key is revoked. */
#include <fcntl.h>
#include <sys/stat.h>

#include <zmq.h>

#include "libxo/lane_zmq.h"
#include "libxo/members.h"
#include "t/lane-rig.h"

/* Two machines: what is exported here is imported in a directory of its own. */
static char home[256], away[256];

static void go(const char *dir)
{
    assert_int_equal(setenv("XO_CONFIG_DIR", dir, 1), 0);
}

static void open_machines(void)
{
    snprintf(home, sizeof home, "%s", getenv("XO_CONFIG_DIR"));
    snprintf(away, sizeof away, "%.*s-away", 200, home);
}

static char *export(const char *name)
{
    xo_error_t err = {0};
    char *text = xo_keys_export("default", name, &err);

    if (!text)
        fail_msg("%s", err.text);
    return text;
}

/* The context of the member `name`. */
static xo_ctx_t *member_ctx(const char *name)
{
    xo_error_t err = {0};
    xo_keys_imported_t imported;
    char *text = export(name);
    char command[600];
    xo_ctx_t *ctx;

    snprintf(command, sizeof command, "rm -rf '%s'", away);
    assert_int_equal(system(command), 0);
    go(away);
    if (xo_keys_import(text, NULL, &imported, &err) < 0)
        fail_msg("%s", err.text);
    free(text);
    assert_false(imported.kept);
    assert_string_equal(imported.cluster, "default");
    ctx = xo_ctx_create(NULL, &err);
    if (!ctx)
        fail_msg("%s", err.text);
    go(home);
    return ctx;
}

static void dial_from(fixture_t *f, xo_ctx_t *ctx, end_t *end)
{
    xo_ctx_t *own = f->rig.ctx;

    f->rig.ctx = ctx;
    rig_dial(&f->rig, end, xo_listener_endpoint(f->rig.listener));
    f->rig.ctx = own;
    send_seq(end->lane, 1);
}

static void revoke_key(const char *which)
{
    xo_error_t err = {0};
    xo_key_member_t member;

    if (xo_members_revoke("default", which, &member, &err) < 0)
        fail_msg("%s", err.text);
}

/* A listener that runs before the key is exported learns of it, and of its end: its lane closes,
 * the machine's own stays, and the key comes in no more. */
static void a_revoked_key_is_out_at_once(void **state)
{
    fixture_t *f = *state;
    rig_t *rig = &f->rig;
    end_t own, other, again;
    int64_t begin;

    rig_listen(rig, f->endpoint);
    dial_from(f, rig->ctx, &own);
    RUN_UNTIL(rig, rig->accepted_count == 1 && rig->accepted[0].received == 1);
    f->foreign = member_ctx("other");
    do { /* until the list has been looked at */
        dial_from(f, f->foreign, &other);
        RUN_UNTIL(rig, other.closed || rig->accepted_count == 2);
        if (other.closed)
            end_destroy(&other);
    } while (rig->accepted_count < 2);
    RUN_UNTIL(rig, rig->accepted[1].received == 1);
    rig->refused = 0;
    begin = xo_loop_now(rig->loop);
    revoke_key("other");
    RUN_UNTIL(rig, rig->accepted[1].closed && other.closed);
    assert_true(xo_loop_now(rig->loop) - begin < 1000 * XO_MS);
    assert_int_equal(rig->accepted[1].why, EACCES);
    assert_int_equal(rig->refused, 1);
    assert_false(own.closed);
    end_destroy(&other);
    dial_from(f, f->foreign, &again);
    RUN_UNTIL(rig, again.closed && rig->refused == 2);
    assert_int_equal(again.why, EACCES);
    assert_non_null(strstr(rig->refused_why, "was revoked"));
    assert_int_equal(rig->accepted_count, 2);
    end_destroy(&again);
    send_seq(own.lane, 2);
    RUN_UNTIL(rig, rig->accepted[0].received == 2);
    end_destroy(&own);
}

static void write_list(const char *text)
{
    char path[300], temp[310];
    int fd;

    snprintf(path, sizeof path, "%s/default.members", home);
    snprintf(temp, sizeof temp, "%s.new", path);
    fd = open(temp, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    assert_int_equal(rename(temp, path), 0);
}

/* Who was admitted stays so until there is a list that can be read. */
static void a_list_that_breaks_changes_nothing(void **state)
{
    fixture_t *f = *state;
    rig_t *rig = &f->rig;
    end_t other;

    f->foreign = member_ctx("other");
    rig_listen(rig, f->endpoint);
    dial_from(f, f->foreign, &other);
    RUN_UNTIL(rig, rig->accepted_count == 1 && rig->accepted[0].received == 1);
    write_list("members\n    alowed = \"x\"\n");
    for (int i = 0; i < 3; i++) { /* more handshakes than it takes to read a list */
        end_t more, *accepted = &rig->accepted[rig->accepted_count];
        dial_from(f, f->foreign, &more);
        RUN_UNTIL(rig, accepted->received == 1);
        end_destroy(&more);
    }
    assert_false(other.closed);
    write_list("members\n");
    RUN_UNTIL(rig, other.closed);
    assert_int_equal(rig->accepted[0].why, EACCES);
    end_destroy(&other);
}

/* The cluster's own pair, which each member has, opens nothing to who was revoked. */
static void the_clusters_key_is_not_a_members(void **state)
{
    fixture_t *f = *state;
    const xo_keys_t *keys = xo_ctx_keys(f->rig.ctx);

    rig_listen(&f->rig, f->endpoint);
    open_raw(f, ZMQ_DEALER, f->rig.ctx);
    zmq_setsockopt(f->raw, ZMQ_CURVE_PUBLICKEY, keys->public_text, XO_KEY_TEXT_BYTES);
    zmq_setsockopt(f->raw, ZMQ_CURVE_SECRETKEY, keys->secret_text, XO_KEY_TEXT_BYTES);
    assert_int_equal(zmq_connect(f->raw, xo_listener_endpoint(f->rig.listener)), 0);
    raw_msg(f, 1);
    RUN_UNTIL(&f->rig, f->rig.refused == 1);
    assert_int_equal(f->rig.accepted_count, 0);
}

/* A list that cannot be read changes nothing while a process runs, and stops one that starts. */
static void a_list_that_is_none_admits_nobody_new(void **state)
{
    fixture_t *f = *state;
    const xo_listener_events_t none = {0};
    xo_error_t err = {0};
    char path[300];
    int fd;

    snprintf(path, sizeof path, "%s/default.members", home);
    fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_int_equal(write(fd, "members\n    alowed = \"x\"\n", 24), 24);
    close(fd);
    assert_null(xo_listen(f->rig.ctx, f->rig.loop, f->endpoint, &none, NULL, &err));
    assert_int_equal(err.errnum, EBADMSG);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(chmod(path, 0644), 0);
    assert_null(xo_listen(f->rig.ctx, f->rig.loop, f->endpoint, &none, NULL, &err));
    assert_int_equal(err.errnum, EPERM);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(unlink(path), 0);
    rig_listen(&f->rig, f->endpoint);
}

/* Whichever list comes last, who was revoked stays out. */
static void revoked_is_for_good(void **state)
{
    xo_error_t err = {0};
    xo_keys_imported_t imported;
    xo_members_t members;
    xo_key_member_t member;
    char *before;

    (void)state;
    free(export("gone"));
    before = export("late"); /* its list allows both */
    revoke_key("gone");
    assert_int_equal(xo_keys_import(before, "default", &imported, &err), 0);
    assert_true(imported.kept);
    assert_int_equal(xo_members_load("default", &members, &err), 0);
    for (size_t i = 0; i < members.count; i++)
        assert_int_equal(members.list[i].revoked != 0, strcmp(members.list[i].name, "gone") == 0);
    xo_members_clear(&members);
    assert_int_equal(before[0], 0); /* wiped */
    free(before);
    assert_int_equal(xo_members_revoke("default", "gone", &member, &err), -1);
    assert_int_equal(err.errnum, EALREADY);
    free(export("gone")); /* the name is free again */
}

static void lists_with_errors_are_refused(void **state)
{
    const char *const bad[] = {
        "members\n    allowed = \"a b\"\n",
        "members\n    allowed = \"a rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7 5\"\n",
        "members\n    revoked = \"a rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"\n",
        "members\n    allowed = \"a/b rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\"\n",
        "members\n    something\n",
    };
    xo_error_t err = {0};
    xo_members_t members;
    char path[300];

    (void)state;
    snprintf(path, sizeof path, "%s/default.members", home);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
        assert_int_equal(write(fd, bad[i], strlen(bad[i])), strlen(bad[i]));
        close(fd);
        assert_int_equal(xo_members_load("default", &members, &err), -1);
        assert_int_equal(err.errnum, EBADMSG);
        assert_non_null(strstr(err.text, path));
    }
    unlink(path);
}

static int open_fixture(void **state)
{
    char command[600];

    snprintf(command, sizeof command, "rm -f '%s'/*", home);
    assert_int_equal(system(command), 0);
    return fixture_open(state);
}

#define MEMBER_TEST(test)                                                                          \
    {                                                                                              \
#test, test, open_fixture, fixture_close, "tcp"                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMBER_TEST(a_revoked_key_is_out_at_once),
        MEMBER_TEST(a_list_that_breaks_changes_nothing),
        MEMBER_TEST(the_clusters_key_is_not_a_members),
        MEMBER_TEST(a_list_that_is_none_admits_nobody_new),
        MEMBER_TEST(revoked_is_for_good),
        MEMBER_TEST(lists_with_errors_are_refused),
    };
    scratch_t scratch;
    int rc;

    scratch_enter(&scratch);
    open_machines();
    rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
