/* registry-refusals.c - what a user is told when Redis refuses, is full, or is no Redis at all.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry/redis.h"
#include "t/registry-support.h"
#include "t/unit.h"

/* ---- refusals ---- */

static void check_refusal(probe_t *probe, int errnum, const char *advice)
{
    outcome_t out = {0};
    begin_put(probe, XO_REG_NODE, "x", "1", &out);
    probe_wait_down(probe, 1);
    assert_int_equal(probe->why.errnum, errnum);
    if (!strstr(probe->why.text, advice) ||
        !strstr(probe->why.text, xo_registry_url(probe->registry)))
        fail_msg("unhelpful: %s", probe->why.text);
    assert_int_equal(outcome_wait(probe, &out), errnum);
    assert_non_null(strstr(out.text, advice));
    assert_null(strstr(out.text, "s3cret"));
    assert_null(strstr(probe->why.text, "s3cret"));
    assert_int_equal(put(probe, XO_REG_NODE, "x", NULL, 0, FIELDS("n", "1")), errnum);
}

static void open_with_login(probe_t *probe, const char *login)
{
    char url[256];
    snprintf(url, sizeof(url), "unix://%s%s", login, probe->server.socket);
    assert_int_equal(probe_open(probe, url, "test"), 0);
    assert_null(strstr(xo_registry_url(probe->registry), "s3cret"));
}

static void wrong_password(void **state)
{
    probe_t *probe = *state;
    assert_int_equal(server_start(&probe->server, FIELDS("--requirepass", "right")), 0);
    open_with_login(probe, ":s3cret@");
    check_refusal(probe, EACCES, "check user and password");
}

static void no_password(void **state)
{
    probe_t *probe = *state;
    assert_int_equal(server_start(&probe->server, FIELDS("--requirepass", "right")), 0);
    open_with_login(probe, "");
    check_refusal(probe, EACCES, "redis://USER@HOST?password_file=PATH");
}

static void needless_password(void **state)
{
    probe_t *probe = *state;
    assert_int_equal(server_start(&probe->server, NULL), 0);
    open_with_login(probe, ":s3cret@");
    check_refusal(probe, EACCES, "it has no password");
}

static void right_password(void **state)
{
    probe_t *probe = *state;
    assert_int_equal(server_start(&probe->server, FIELDS("--requirepass", "s3cret:/@% ü")), 0);
    open_with_login(probe, ":s3cret%3A%2F%40%25%20%C3%BC@");
    assert_int_equal(put(probe, XO_REG_NODE, "x", NULL, 0, FIELDS("n", "1")), 0);
    assert_int_equal(probe->downs, 0);
}

static void user_and_password(void **state)
{
    probe_t *probe = *state;
    const char *const user[] = {"--user", "xo", "on", ">s3cret", "~xo:*", "+@all", NULL};
    assert_int_equal(server_start(&probe->server, user), 0);
    open_with_login(probe, "xo:s3cret@");
    assert_int_equal(put(probe, XO_REG_NODE, "x", NULL, 0, FIELDS("n", "1")), 0);
    assert_non_null(strstr(xo_registry_url(probe->registry), "unix://xo@/"));
}

static void read_only_replica(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    probe_open_on(probe, FIELDS("--replicaof", "127.0.0.1 1", "--replica-read-only", "yes"));
    check_refusal(probe, EROFS, "name the primary");
    assert_int_equal(list(probe, XO_REG_NODE, &found), 0); /* reading goes on */
    outcome_free(&found);
    redisContext *c = server_open(&probe->server);
    assert_string_equal(server_ask(c, "REPLICAOF NO ONE"), "OK");
    probe_wait_up(probe, 1);
    assert_int_equal(put(probe, XO_REG_NODE, "x", NULL, 0, FIELDS("n", "1")), 0);
    redisFree(c);
}

static void out_of_memory(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    probe_open_on(probe, NULL);
    assert_int_equal(put(probe, XO_REG_NODE, "x", "me", 0, FIELDS("n", "old", "m", "old")), 0);
    redisContext *c = server_open(&probe->server);
    server_ask(c, "CONFIG SET maxmemory 1");
    check_refusal(probe, ENOSPC, "maxmemory");
    assert_int_equal(probe->downs, 1);
    assert_int_equal(get(probe, XO_REG_NODE, "x", &found), 0); /* and has not been touched */
    assert_string_equal(outcome_field(&found, 0, "n"), "old");
    assert_string_equal(outcome_field(&found, 0, "m"), "old");
    outcome_free(&found);
    server_ask(c, "CONFIG SET maxmemory 0");
    probe_wait_up(probe, 2);
    assert_int_equal(probe->empties, 1);
    assert_int_equal(put(probe, XO_REG_NODE, "x", NULL, 0, FIELDS("n", "1")), 0);
    redisFree(c);
}

static void wait_save(redisContext *c, const char *outcome)
{
    while (!strstr(server_ask(c, "INFO persistence"), "rdb_bgsave_in_progress:0"))
        sched_yield();
    assert_non_null(strstr(server_ask(c, "INFO persistence"), outcome));
}

/* It refuses all writes until it can. */
static void no_room_to_save(void **state)
{
    probe_t *probe = *state;
    outcome_t found = {0};
    char path[256];
    snprintf(path, sizeof(path), "%s/dump.rdb", probe->server.dir);
    probe_open_on(probe, FIELDS("--save", "3600 1"));
    assert_int_equal(put(probe, XO_REG_NODE, "x", "me", 0, FIELDS("n", "old")), 0);
    redisContext *c = server_open(&probe->server);
    assert_int_equal(mkdir(path, 0700), 0); /* in its way */
    server_ask(c, "BGSAVE");
    wait_save(c, "rdb_last_bgsave_status:err");
    check_refusal(probe, EIO, "cannot save");
    assert_int_equal(probe->downs, 1);
    assert_int_equal(list(probe, XO_REG_NODE, &found), 0); /* reading goes on */
    outcome_free(&found);
    assert_int_equal(rmdir(path), 0);
    server_ask(c, "BGSAVE");
    wait_save(c, "rdb_last_bgsave_status:ok");
    probe_wait_up(probe, 2);
    assert_int_equal(put(probe, XO_REG_NODE, "x", "me", 0, FIELDS("n", "1")), 0);
    redisFree(c);
}

static void full_from_the_start(void **state)
{
    probe_t *probe = *state;
    probe_open_on(probe, FIELDS("--maxmemory", "1"));
    check_refusal(probe, ENOSPC, "maxmemory");
}

static void another_schema(void **state)
{
    probe_t *probe = *state;
    probe_open_on(probe, NULL);
    probe_wait_up(probe, 1);
    redisContext *c = server_open(&probe->server);
    server_ask(c, "SET xo:{test}:schema 99");
    xo_registry_close(probe->registry);
    assert_int_equal(probe_open(probe, probe->server.url, "test"), 0);
    check_refusal(probe, EPROTO, "schema 99");
    assert_string_equal(server_ask(c, "GET xo:{test}:schema"), "99");
    assert_string_equal(server_ask(c, "EXISTS xo:{test}:node:x"), "0");
    redisFree(c);
}

static void no_such_database(void **state)
{
    probe_t *probe = *state;
    char url[256];
    assert_int_equal(server_start(&probe->server, NULL), 0);
    snprintf(url, sizeof(url), "%s?db=1000", probe->server.url);
    assert_int_equal(probe_open(probe, url, "test"), 0);
    check_refusal(probe, EINVAL, "a database that it does not have");
}

/* ---- no Redis ---- */

/* Takes the registry's connection and says `text` on it. */
static int converse(probe_t *probe, const char *text)
{
    int fd;
    while ((fd = accept(probe->server.listener, NULL, NULL)) < 0)
        xo_loop_once(probe->loop, 5);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

static void garbage(void **state)
{
    probe_t *probe = *state;
    assert_int_equal(server_listen(&probe->server), 0);
    assert_int_equal(probe_open(probe, probe->server.url, "test"), 0);
    int fd = converse(probe, "HTTP/1.1 400 Bad Request\r\n\r\n");
    check_refusal(probe, EBADMSG, "no Redis");
    close(fd);
}

/* Well formed, but not what was asked, and more of it: hiredis alone would abort. */
static void too_talkative(void **state)
{
    probe_t *probe = *state;
    char text[1000] = "";
    for (int i = 0; i < 100; i++)
        strcat(text, "+OK\r\n");
    assert_int_equal(server_listen(&probe->server), 0);
    assert_int_equal(probe_open(probe, probe->server.url, "test"), 0);
    int fd = converse(probe, text);
    check_refusal(probe, EBADMSG, "no Redis");
    close(fd);
}

static void talks_out_of_turn(void **state)
{
    probe_t *probe = *state;
    char text[4000] = "+OK\r\n";
    for (int i = 0; i < XO_SCRIPTS; i++)
        strcat(text, "$40\r\n0123456789012345678901234567890123456789\r\n");
    strcat(text, "+OK\r\n+OK\r\n$1\r\n1\r\n$2\r\n42\r\n+more\r\n");
    assert_int_equal(server_listen(&probe->server), 0);
    assert_int_equal(probe_open(probe, probe->server.url, "test"), 0);
    int fd = converse(probe, text);
    probe_wait_down(probe, 1);
    assert_int_equal(probe->ups, 1);
    assert_int_equal(probe->why.errnum, EBADMSG);
    assert_non_null(strstr(probe->why.text, "nobody asked for"));
    close(fd);
}

/* Time stands still but for the patience of the registry. */
static void silent(void **state)
{
    probe_t *probe = *state;
    outcome_t out = {0};
    assert_int_equal(server_listen(&probe->server), 0);
    assert_int_equal(probe_open(probe, probe->server.url, "test"), 0);
    begin_put(probe, XO_REG_NODE, "x", "1", &out);
    int fd = converse(probe, "");
    xo_loop_freeze(probe->loop, xo_loop_now(probe->loop));
    xo_loop_advance(probe->loop, 4900 * XO_MS);
    assert_false(out.done);
    xo_loop_advance(probe->loop, 200 * XO_MS);
    assert_int_equal(outcome_wait(probe, &out), ETIMEDOUT);
    assert_int_equal(probe->downs, 1);
    assert_int_equal(probe->why.errnum, ETIMEDOUT);
    close(fd);
}

static void never_there(void **state)
{
    probe_t *probe = *state;
    outcome_t out = {0};
    assert_int_equal(probe_open(probe, probe->server.url, "test"), 0);
    begin_put(probe, XO_REG_NODE, "x", "1", &out);
    probe_wait_down(probe, 1);
    assert_int_equal(probe->why.errnum, ENOENT);
    assert_false(out.done); /* it may come yet */
    xo_loop_freeze(probe->loop, xo_loop_now(probe->loop));
    xo_loop_advance(probe->loop, 5000 * XO_MS);
    assert_int_equal(outcome_wait(probe, &out), ETIMEDOUT);
    assert_non_null(strstr(out.text, probe->server.url));
}

static void waits_for_the_first_start(void **state)
{
    probe_t *probe = *state;
    outcome_t out = {0};
    assert_int_equal(probe_open(probe, probe->server.url, "test"), 0);
    begin_put(probe, XO_REG_NODE, "x", "1", &out);
    xo_loop_once(probe->loop, 20);
    assert_int_equal(server_start(&probe->server, NULL), 0);
    assert_int_equal(outcome_wait(probe, &out), 0);
}

static void too_much_waits(void **state)
{
    probe_t *probe = *state;
    outcome_t out = {0};
    xo_registry_stats_t stats;
    assert_int_equal(probe_open(probe, probe->server.url, "test"), 0);
    xo_loop_freeze(probe->loop, xo_loop_now(probe->loop)); /* nothing's time runs out */
    for (int i = 0; i < REDIS_WAITING_MAX; i++)
        begin_put(probe, XO_REG_NODE, "x", "1", NULL);
    xo_registry_get_stats(probe->registry, &stats);
    assert_int_equal(stats.waiting, REDIS_WAITING_MAX);
    begin_put(probe, XO_REG_NODE, "x", "1", &out);
    assert_false(out.done);
    assert_int_equal(outcome_wait(probe, &out), ENOBUFS);
    xo_registry_event(probe->registry, "pool.up", NULL, 0);
    xo_registry_get_stats(probe->registry, &stats);
    assert_int_equal(stats.dropped_events, 1);
}

static void too_many_bytes_wait(void **state)
{
    probe_t *probe = *state;
    outcome_t out = {0};
    char *big = calloc(1, (1 << 20) + 1);
    memset(big, 'x', 1 << 20);
    assert_int_equal(probe_open(probe, probe->server.url, "test"), 0);
    for (int i = 0; i < 64; i++)
        begin_put(probe, XO_REG_NODE, "x", big, i == 63 ? &out : NULL);
    assert_int_equal(outcome_wait(probe, &out), ENOBUFS);
    free(big);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, probe_set_up, probe_tear_down)

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_password),
        TEST(no_password),
        TEST(needless_password),
        TEST(right_password),
        TEST(user_and_password),
        TEST(read_only_replica),
        TEST(out_of_memory),
        TEST(no_room_to_save),
        TEST(full_from_the_start),
        TEST(another_schema),
        TEST(no_such_database),
        TEST(garbage),
        TEST(too_talkative),
        TEST(talks_out_of_turn),
        TEST(silent),
        TEST(never_there),
        TEST(waits_for_the_first_start),
        TEST(too_much_waits),
        TEST(too_many_bytes_wait),
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
