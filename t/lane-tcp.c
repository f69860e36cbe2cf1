/* t/lane-tcp.c - what only the lanes over tcp can meet: wrong keys, and hosts with names. */
#include <netinet/in.h>
#include <sys/socket.h>

#include <zmq.h>

#include "libxo/lane_zmq.h"
#include "libxo/members.h"
#include "t/lane-rig.h"

/* ---- keys ---- */

static void open_foreign(fixture_t *f)
{
    f->foreign = xo_ctx_create("another-cluster", NULL);
    assert_non_null(f->foreign);
}

static void another_cluster_is_refused(void **state)
{
    fixture_t *f = *state;
    end_t dialled;
    rig_t *rig = &f->rig;
    xo_ctx_t *own = rig->ctx;

    open_foreign(f);
    rig_listen(rig, f->endpoint);
    rig->ctx = f->foreign;
    rig_dial(rig, &dialled, xo_listener_endpoint(rig->listener));
    rig->ctx = own;
    send_seq(dialled.lane, 1);
    /* Who dials looks then whether somebody listens, which may count by now, too. */
    RUN_UNTIL(rig, dialled.closed && rig->refused >= 1);
    assert_int_equal(dialled.why, EACCES);
    assert_int_equal(rig->accepted_count, 0);
    end_destroy(&dialled); /* before its context */
}

/* It knows the cluster's public key, but has a key of its own: ZAP turns it away. */
static void a_key_of_its_own_is_refused(void **state)
{
    fixture_t *f = *state;
    const xo_keys_t *keys = xo_ctx_keys(f->rig.ctx);
    char digits[XO_FINGERPRINT_BYTES], why[128];

    open_foreign(f);
    rig_listen(&f->rig, f->endpoint);
    open_raw(f, ZMQ_DEALER, f->foreign);
    zmq_setsockopt(f->raw, ZMQ_CURVE_SERVERKEY, keys->public_text, XO_KEY_TEXT_BYTES);
    assert_int_equal(zmq_connect(f->raw, xo_listener_endpoint(f->rig.listener)), 0);
    raw_msg(f, 1);
    RUN_UNTIL(&f->rig, f->rig.refused == 1);
    assert_string_equal(f->rig.refused_from, "127.0.0.1");
    xo_key_fingerprint(xo_ctx_keys(f->foreign)->own_public, digits);
    snprintf(why, sizeof why, "its key %.16s is no member's", digits);
    assert_string_equal(f->rig.refused_why, why);
    assert_int_equal(f->rig.accepted_count, 0);
}

static void no_encryption_is_refused(void **state)
{
    fixture_t *f = *state;

    rig_listen(&f->rig, f->endpoint);
    f->raw = zmq_socket(xo_ctx_zmq(f->rig.ctx, NULL), ZMQ_DEALER);
    xoi_set_int(f->raw, ZMQ_LINGER, 0);
    assert_int_equal(zmq_connect(f->raw, xo_listener_endpoint(f->rig.listener)), 0);
    raw_msg(f, 1);
    RUN_UNTIL(&f->rig, f->rig.refused >= 1);
    assert_int_equal(f->rig.accepted_count, 0);
}

/* A plain server that hangs up on who comes; `dies`: by going away itself. */
static void dial_plain(fixture_t *f, bool dies, end_t *dialled)
{
    int fd = fixture_listen_plain(f, 10);

    rig_dial(&f->rig, dialled, f->endpoint);
    close(accept(fd, NULL, NULL));
    if (dies)
        close(fd);
    RUN_UNTIL(&f->rig, dialled->closed);
    if (!dies)
        close(fd);
}

static void dying_is_not_refusing(void **state)
{
    fixture_t *f = *state;
    end_t dialled;

    dial_plain(f, false, &dialled);
    assert_int_equal(dialled.why, EACCES);
    dial_plain(f, true, &dialled);
    assert_int_not_equal(dialled.why, EACCES);
}

/* ---- addresses ---- */

static void hosts_have_names_and_numbers(void **state)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "0.0.0.0"};
    fixture_t *f = *state;
    xo_error_t err = {0};
    const xo_listener_events_t none = {0};
    end_t dialled;

    for (size_t i = 0; i < 3; i++) {
        snprintf(f->endpoint, sizeof f->endpoint, "tcp://%s:0", hosts[i]);
        rig_listen(&f->rig, f->endpoint);
        assert_null(strstr(xo_listener_endpoint(f->rig.listener), "localhost"));
        assert_null(strstr(xo_listener_endpoint(f->rig.listener), ":0\0"));
        rig_dial(&f->rig, &dialled, xo_listener_endpoint(f->rig.listener));
        send_seq(dialled.lane, 1);
        RUN_UNTIL(&f->rig, f->rig.accepted[i].received == 1);
        end_destroy(&dialled);
        xo_listener_destroy(f->rig.listener);
        f->rig.listener = NULL;
    }
    assert_null(xo_listen(f->rig.ctx, f->rig.loop, "tcp://192.0.2.1:0", &none, NULL, &err));
    assert_non_null(strstr(err.text, "192.0.2.1"));
    assert_null(
        xo_listen(f->rig.ctx, f->rig.loop, "tcp://no.such.host.invalid:0", &none, NULL, &err));
    assert_non_null(strstr(err.text, "no.such.host.invalid"));
    assert_null(xo_listen(f->rig.ctx, f->rig.loop, "pgm://x", &none, NULL, &err));
    assert_int_equal(err.errnum, EINVAL);
}

static bool has_v6(void)
{
    struct sockaddr_storage address = {.ss_family = AF_INET6};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, 28);

    if (fd >= 0)
        close(fd);
    return rc == 0;
}

static void v6_works(void **state)
{
    fixture_t *f = *state;
    end_t dialled;

    if (!has_v6())
        skip();
    rig_listen(&f->rig, "tcp://[::1]:0");
    rig_dial(&f->rig, &dialled, xo_listener_endpoint(f->rig.listener));
    send_seq(dialled.lane, 1);
    RUN_UNTIL(&f->rig, f->rig.accepted[0].received == 1);
}

#define TCP_TEST(test)                                                                             \
    {                                                                                              \
#test, test, fixture_open, fixture_close, "tcp"                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_TEST(another_cluster_is_refused),   TCP_TEST(a_key_of_its_own_is_refused),
        TCP_TEST(no_encryption_is_refused),     TCP_TEST(dying_is_not_refusing),
        TCP_TEST(hosts_have_names_and_numbers), TCP_TEST(v6_works),
    };
    scratch_t scratch;
    int rc;

    scratch_enter(&scratch);
    rc = run_tap(tests);
    scratch_leave(&scratch);
    return rc;
}
