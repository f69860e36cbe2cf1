/* registry-redis.c - the registry on a Redis that goes and comes, and what its keys look like.
 */

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "registry/redis.h"
#include "t/registry-support.h"
#include "t/unit.h"

/* ---- the keys ---- */

static void keys_are_as_documented(void **state)
{
    probe_t *probe = *state;
    probe_open_on(probe, NULL);
    assert_int_equal(put(probe, XO_REG_NODE, "n1", "me", 60000, FIELDS("host", "here")), 0);
    assert_int_equal(put(probe, XO_REG_POOL, "p1", "me", 60000, FIELDS("label", "x")), 0);
    assert_int_equal(put(probe, XO_REG_ACTOR, "a@p1", "me", 0, FIELDS("class", "C")), 0);
    xo_registry_event(probe->registry, "pool.up", NULL, 0);
    outcome_t none = {0};
    assert_int_equal(list(probe, XO_REG_NODE, &none), 0);
    outcome_free(&none);
    redisContext *c = server_open(&probe->server);
    assert_string_equal(server_ask(c, "DBSIZE"), "14");
    assert_string_equal(server_ask(c, "HGETALL xo:{test}:node:n1"),
                        "host here owner me lease_ms 60000");
    assert_in_range(atoi(server_ask(c, "PTTL xo:{test}:pool:p1")), 1, 60000);
    assert_string_equal(server_ask(c, "HGETALL xo:{test}:actor:a@p1"), "class C owner me");
    assert_string_equal(server_ask(c, "PTTL xo:{test}:actor:a@p1"), "-1");
    assert_string_equal(server_ask(c, "SMEMBERS xo:{test}:uid:a"), "p1");
    assert_string_equal(server_ask(c, "SMEMBERS xo:{test}:nodes"), "n1");
    assert_string_equal(server_ask(c, "SMEMBERS xo:{test}:alive"), "n1");
    assert_string_equal(server_ask(c, "HGETALL xo:{test}:hosts"), "n1 here");
    assert_string_equal(server_ask(c, "SMEMBERS xo:{test}:pools"), "p1");
    assert_string_equal(server_ask(c, "SMEMBERS xo:{test}:actors"), "a@p1");
    assert_string_equal(server_ask(c, "SMEMBERS xo:{test}:actors:me"), "a@p1");
    assert_string_equal(server_ask(c, "GET xo:{test}:schema"), "1");
    assert_int_equal(strlen(server_ask(c, "GET xo:{test}:epoch")), 16);
    assert_int_equal(strlen(server_ask(c, "GET xo:{test}:lineage")), 40);
    assert_string_equal(server_ask(c, "TYPE xo:{test}:events"), "stream");
    assert_string_equal(server_ask(c, "CLIENT GETNAME"), "nil");
    assert_non_null(strstr(server_ask(c, "CLIENT LIST"), "name=xo-test"));
    redisFree(c);
}

static void a_group_without_its_node_is_lost(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    probe_open_on(probe, NULL);
    assert_int_equal(put(probe, XO_REG_NODE, "n1", "n1", 60000, FIELDS("n", "1")), 0);
    assert_int_equal(put(probe, XO_REG_GROUP, "g@n1", "n1", 0, FIELDS("state", "running")), 0);
    assert_int_equal(put(probe, XO_REG_GROUP, "g@n2", "n2", 0, FIELDS("state", "running")), 0);
    assert_int_equal(put(probe, XO_REG_GROUP, "g", "n2", 0, FIELDS("state", "running")), EINVAL);
    assert_int_equal(list(probe, XO_REG_GROUP, &found), 0);
    assert_int_equal(found.count, 2);
    assert_string_equal(outcome_field(&found, 0, "state"), "running");
    assert_string_equal(outcome_field(&found, 1, "state"), "lost");
    redisContext *c = server_open(&probe->server);
    assert_string_equal(server_ask(c, "HGETALL xo:{test}:group:g@n2"), "state running owner n2");
    redisFree(c);
    assert_int_equal(del(probe, XO_REG_GROUP, "g@n2", "n2"), 0);
    assert_int_equal(list(probe, XO_REG_GROUP, &found), 0);
    assert_int_equal(found.count, 1);
    outcome_free(&found);
}

static void renewing_extends(void **state)
{
    probe_t *probe = *state;
    probe_open_on(probe, NULL);
    assert_int_equal(put(probe, XO_REG_POOL, "p1", "me", 5000, FIELDS("n", "1")), 0);
    assert_int_equal(renew(probe, XO_REG_POOL, "p1", "me", 60000), 0);
    redisContext *c = server_open(&probe->server);
    assert_in_range(atoi(server_ask(c, "PTTL xo:{test}:pool:p1")), 5001, 60000);
    redisFree(c);
}

static void sets_forget_what_lapsed(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    probe_open_on(probe, NULL);
    assert_int_equal(put(probe, XO_REG_ACTOR, "a@p", "me", 1, FIELDS("n", "1")), 0);
    do
        assert_int_equal(lookup(probe, "a", 1, &found), 0);
    while (found.count);
    redisContext *c = server_open(&probe->server);
    assert_string_equal(server_ask(c, "EXISTS xo:{test}:uid:a xo:{test}:actors"), "0");
    outcome_free(&found);
    redisFree(c);
}

static void clusters_are_apart(void **state)
{
    probe_t *probe = *state, other = {0};
    outcome_t found = {0};
    probe_open_on(probe, NULL);
    other.loop = probe->loop;
    assert_int_equal(probe_open(&other, probe->server.url, "other"), 0);
    assert_int_equal(put(probe, XO_REG_NODE, "n1", NULL, 0, FIELDS("n", "1")), 0);
    assert_int_equal(list(&other, XO_REG_NODE, &found), 0);
    assert_int_equal(found.count, 0);
    assert_int_equal(other.empties, 1);
    outcome_free(&found);
    xo_registry_close(other.registry);
}

/* ---- Redis goes and comes ---- */

static void restarted_empty(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    probe_open_on(probe, NULL);
    assert_int_equal(put(probe, XO_REG_NODE, "n1", NULL, 0, FIELDS("n", "1")), 0);
    begin_put(probe, XO_REG_NODE, "n2", "2", &found);
    server_kill(&probe->server);
    probe_wait_down(probe, 1);
    assert_int_equal(outcome_wait(probe, &found), ENOTCONN);
    assert_non_null(strstr(probe->why.text, probe->server.url));
    assert_int_equal(get(probe, XO_REG_NODE, "n1", &found), ENOTCONN);
    assert_non_null(strstr(found.text, probe->server.url));
    assert_int_equal(server_start(&probe->server, NULL), 0);
    probe_wait_up(probe, 2);
    assert_int_equal(probe->empties, 2);
    assert_int_equal(get(probe, XO_REG_NODE, "n1", &found), ENOENT);
    outcome_free(&found);
}

static void emptied_while_connected(void **state)
{
    probe_t *probe = *state;
    probe_open_on(probe, NULL);
    assert_int_equal(put(probe, XO_REG_NODE, "n1", "me", 60000, FIELDS("n", "1")), 0);
    redisContext *c = server_open(&probe->server);
    server_ask(c, "FLUSHALL");
    assert_int_equal(renew(probe, XO_REG_NODE, "n1", "me", 60000), ENOENT);
    probe_wait_up(probe, 2);
    assert_int_equal(probe->empties, 2);
    server_ask(c, "FLUSHALL"); /* whatever writes next finds out */
    assert_int_equal(put(probe, XO_REG_NODE, "n1", "me", 60000, FIELDS("n", "1")), 0);
    probe_wait_up(probe, 3);
    server_ask(c, "FLUSHALL");
    assert_int_equal(del(probe, XO_REG_NODE, "n1", "me"), 0);
    probe_wait_up(probe, 4);
    assert_int_equal(probe->empties, 4);
    assert_int_equal(probe->downs, 0);
    redisFree(c);
}

/* Who comes second finds the schema there, but another epoch. */
static void emptied_under_two(void **state)
{
    probe_t *probe = *state, other = {0};
    probe_open_on(probe, NULL);
    probe_wait_up(probe, 1);
    other.loop = probe->loop;
    assert_int_equal(probe_open(&other, probe->server.url, "test"), 0);
    probe_wait_up(&other, 1);
    assert_int_equal(other.empties, 0);
    redisContext *c = server_open(&probe->server);
    server_ask(c, "FLUSHALL");
    assert_int_equal(put(probe, XO_REG_NODE, "n1", "me", 0, FIELDS("n", "1")), 0);
    probe_wait_up(probe, 2);
    assert_int_equal(put(&other, XO_REG_NODE, "n2", "you", 0, FIELDS("n", "1")), 0);
    probe_wait_up(&other, 2);
    assert_int_equal(probe->empties, 2);
    assert_int_equal(other.empties, 1);
    server_ask(c, "FLUSHALL");
    server_ask(c, "CLIENT KILL TYPE normal SKIPME yes");
    probe_wait_up(probe, 3);
    probe_wait_up(&other, 3);
    assert_int_equal(probe->empties, 3);
    assert_int_equal(other.empties, 2);
    xo_registry_close(other.registry);
    redisFree(c);
}

static void disconnected(void **state)
{
    probe_t *probe = *state;
    probe_open_on(probe, NULL);
    assert_int_equal(put(probe, XO_REG_NODE, "n1", NULL, 0, FIELDS("n", "1")), 0);
    redisContext *c = server_open(&probe->server);
    server_ask(c, "CLIENT KILL TYPE normal SKIPME yes");
    probe_wait_up(probe, 2);
    assert_int_equal(probe->downs, 1);
    assert_int_equal(probe->empties, 1);
    redisFree(c);
}

/* All scripts are forgotten between two operations that are under way. */
static void scripts_flushed(void **state)
{
    probe_t *probe = *state;
    outcome_t out[4] = {0};
    probe_open_on(probe, NULL);
    assert_int_equal(put(probe, XO_REG_NODE, "x", NULL, 0, FIELDS("n", "0")), 0);
    redisContext *c = server_open(&probe->server);
    assert_string_equal(server_ask(c, "SCRIPT FLUSH"), "OK");
    begin_put(probe, XO_REG_NODE, "x", "1", &out[0]);
    xo_registry_get(probe->registry, XO_REG_NODE, "x", on_records, &out[1]);
    begin_put(probe, XO_REG_NODE, "x", "2", &out[2]);
    xo_registry_get(probe->registry, XO_REG_NODE, "x", on_records, &out[3]);
    assert_int_equal(outcome_wait(probe, &out[3]), 0);
    assert_string_equal(outcome_field(&out[1], 0, "n"), "1");
    assert_string_equal(outcome_field(&out[3], 0, "n"), "2");
    outcome_free(&out[1]);
    outcome_free(&out[3]);
    redisFree(c);
}

/* More than is sent at a time. */
static void closing_sends_what_waits(void **state)
{
    probe_t *probe = *state;
    probe_open_on(probe, NULL);
    assert_int_equal(put(probe, XO_REG_NODE, "gone", NULL, 0, FIELDS("n", "1")), 0);
    for (int i = 0; i < REDIS_INFLIGHT_MAX + 100; i++)
        xo_registry_del(probe->registry, XO_REG_NODE, "gone", NULL, NULL, NULL);
    begin_put(probe, XO_REG_NODE, "last", "1", NULL);
    xo_registry_close(probe->registry);
    probe->registry = NULL;
    redisContext *c = server_open(&probe->server);
    /* All is sent, for whose answers closing waits no longer than it may. */
    for (int left_ms = 10000; left_ms > 0; left_ms -= 10) {
        if (server_ask(c, "EXISTS xo:{test}:node:last")[0] != '0')
            break;
        usleep(10000);
    }
    assert_string_equal(server_ask(c, "SMEMBERS xo:{test}:nodes"), "last");
    assert_string_equal(server_ask(c, "EXISTS xo:{test}:node:gone"), "0");
    redisFree(c);
}

static void down_may_close(void **state)
{
    probe_t *probe = *state;
    outcome_t out = {0};
    probe_open_on(probe, NULL);
    probe_wait_up(probe, 1);
    probe->close_on_down = true;
    begin_put(probe, XO_REG_NODE, "x", "1", &out);
    server_kill(&probe->server);
    probe_wait_down(probe, 1);
    assert_null(probe->registry);
    assert_true(out.done);
    assert_int_not_equal(out.errnum, 0);
}

/* ---- tcp ---- */

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void tcp_by_name(void **state)
{
    probe_t *probe = *state;
    char url[64], port[16];
    snprintf(port, sizeof(port), "%d", free_port());
    snprintf(url, sizeof(url), "redis://:s3cret@localhost:%s/3", port);
    assert_int_equal(server_start(&probe->server, FIELDS("--port", port, "--bind", "127.0.0.1",
                                                         "--requirepass", "s3cret")),
                     0);
    assert_int_equal(probe_open(probe, url, "test"), 0);
    assert_int_equal(put(probe, XO_REG_NODE, "x", NULL, 0, FIELDS("n", "1")), 0);
    redisContext *c = server_open(&probe->server);
    server_ask(c, "AUTH s3cret");
    assert_non_null(strstr(server_ask(c, "INFO keyspace"), "db3:"));
    redisFree(c);
    server_kill(&probe->server);
    probe_wait_down(probe, 1);
    assert_non_null(strstr(probe->why.text, "redis://localhost:"));
}

static void tcp_refused(void **state)
{
    probe_t *probe = *state;
    char url[64];
    snprintf(url, sizeof(url), "redis://127.0.0.1:%d", free_port());
    assert_int_equal(probe_open(probe, url, "test"), 0);
    probe_wait_down(probe, 1);
    assert_int_equal(probe->why.errnum, ECONNREFUSED);
    assert_non_null(strstr(probe->why.text, url));
}

/* ".invalid" never resolves (RFC 6761). */
static void no_such_host(void **state)
{
    probe_t *probe = *state;
    assert_int_equal(probe_open(probe, "redis://nowhere.invalid", "test"), 0);
    probe_wait_down(probe, 1);
    assert_int_equal(probe->why.errnum, EHOSTUNREACH);
    assert_non_null(strstr(probe->why.text, "nowhere.invalid"));
}

static void closed_while_resolving(void **state)
{
    probe_t *probe = *state;
    assert_int_equal(probe_open(probe, "redis://nowhere.invalid", "test"), 0);
    xo_loop_once(probe->loop, 0);
    xo_loop_once(probe->loop, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, probe_set_up, probe_tear_down)

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_are_as_documented),
        TEST(a_group_without_its_node_is_lost),
        TEST(renewing_extends),
        TEST(sets_forget_what_lapsed),
        TEST(clusters_are_apart),
        TEST(restarted_empty),
        TEST(emptied_while_connected),
        TEST(emptied_under_two),
        TEST(disconnected),
        TEST(scripts_flushed),
        TEST(closing_sends_what_waits),
        TEST(down_may_close),
        TEST(tcp_by_name),
        TEST(tcp_refused),
        TEST(no_such_host),
        TEST(closed_while_resolving),
    };
    return run_tap(tests);
}

int main(void)
{
    if (server_installed())
        return run_all();
    printf("1..0 # SKIP redis-server is not installed\n");
    return 0;
}
