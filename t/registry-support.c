#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "t/registry-support.h"
#include "t/unit.h"

#define LIMIT_S 60 /* for anything; only a defect takes so long */

/* ---- servers ---- */

int server_create(server_t *server)
{
    memset(server, 0, sizeof(*server));
    server->listener = -1;
    snprintf(server->dir, sizeof(server->dir), "/tmp/xo-t-registry-XXXXXX");
    if (!mkdtemp(server->dir))
        return -1;
    snprintf(server->socket, sizeof(server->socket), "%s/redis.sock", server->dir);
    snprintf(server->url, sizeof(server->url), "unix://%s", server->socket);
    return 0;
}

static void run_server(const server_t *server, const char *const *options)
{
    const char *argv[64] = {
        "redis-server", "--port", "0",     "--unixsocket", server->socket, "--save",   "",
        "--appendonly", "no",     "--dir", server->dir,    "--logfile",    "redis.log"};
    size_t n = 13;
    while (options && *options && n < 63)
        argv[n++] = *options++;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!freopen("/dev/null", "w", stdout))
        _exit(126);
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

int server_start(server_t *server, const char *const *options)
{
    fflush(NULL);
    server->pid = fork();
    if (server->pid == 0)
        run_server(server, options);
    return server->pid > 0 ? 0 : -1;
}

void server_kill(server_t *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
    }
    server->pid = 0;
    unlink(server->socket);
}

int server_listen(server_t *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", server->socket);
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(server->listener, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -1;
    return listen(server->listener, 16);
}

static void remove_dir(const char *path)
{
    char name[512];
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        remove(name); /* fails for . and .. */
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

void server_destroy(server_t *server)
{
    server_kill(server);
    if (server->listener >= 0)
        close(server->listener);
    server->listener = -1;
    if (server->dir[0])
        remove_dir(server->dir);
}

bool server_installed(void)
{
    return system("command -v redis-server >/dev/null 2>&1") == 0;
}

redisContext *server_open(const server_t *server)
{
    redisContext *c = redisConnectUnix(server->socket);
    assert_non_null(c);
    assert_int_equal(c->err, 0);
    return c;
}

static void append(char *text, size_t size, const redisReply *reply)
{
    size_t length = strlen(text);
    const char *blank = length ? " " : "";
    if (reply->type == REDIS_REPLY_INTEGER)
        snprintf(text + length, size - length, "%s%lld", blank, reply->integer);
    else if (reply->type == REDIS_REPLY_NIL)
        snprintf(text + length, size - length, "%snil", blank);
    else if (reply->type != REDIS_REPLY_ARRAY)
        snprintf(text + length, size - length, "%s%s", blank, reply->str);
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
        append(text, size, reply->element[i]);
}

const char *server_ask(redisContext *c, const char *format, ...)
{
    static char text[4096];
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(c, format, args);
    va_end(args);
    assert_non_null(reply);
    text[0] = 0;
    append(text, sizeof(text), reply);
    freeReplyObject(reply);
    return text;
}

/* ---- the registry ---- */

static void on_up(xo_registry_t *registry, bool empty, void *arg)
{
    probe_t *probe = arg;
    assert_true(xo_registry_is_up(registry));
    probe->ups++;
    probe->empties += empty;
}

static void on_down(xo_registry_t *registry, const xo_error_t *why, void *arg)
{
    probe_t *probe = arg;
    assert_false(xo_registry_is_up(registry));
    probe->downs++;
    probe->why = *why;
    if (!probe->close_on_down)
        return;
    xo_registry_close(registry);
    probe->registry = NULL;
}

int probe_open(probe_t *probe, const char *url, const char *cluster)
{
    static const xo_registry_events_t events = {.up = on_up, .down = on_down, .refill_ms = 1000};
    xo_error_t err;
    if (!probe->loop)
        probe->loop = xo_loop_create(&err);
    probe->ups = probe->empties = probe->downs = 0;
    probe->registry = xo_registry_open(probe->loop, url, cluster, &events, probe, &err);
    if (!probe->registry)
        print_error("%s\n", err.text);
    return probe->registry ? 0 : -1;
}

void probe_close(probe_t *probe)
{
    xo_registry_close(probe->registry);
    probe->registry = NULL;
    xo_loop_destroy(probe->loop);
    probe->loop = NULL;
    server_destroy(&probe->server);
}

static time_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void wait_for(probe_t *probe, bool (*reached)(const void *), const void *what,
                     const char *name)
{
    time_t until = seconds() + LIMIT_S;
    while (!reached(what)) {
        if (seconds() > until)
            fail_msg("waited %d s for %s; down %u times: %s", LIMIT_S, name, probe->downs,
                     probe->why.text);
        xo_loop_once(probe->loop, 1000);
    }
}

typedef struct count {
    const unsigned *now;
    unsigned wanted;
} count_t;

static bool counted(const void *what)
{
    const count_t *count = what;
    return *count->now >= count->wanted;
}

void probe_wait_up(probe_t *probe, unsigned ups)
{
    count_t count = {&probe->ups, ups};
    wait_for(probe, counted, &count, "the registry to come up");
}

void probe_wait_down(probe_t *probe, unsigned downs)
{
    count_t count = {&probe->downs, downs};
    wait_for(probe, counted, &count, "the registry to go down");
}

int probe_set_up(void **state)
{
    probe_t *probe = calloc(1, sizeof(*probe));
    *state = probe;
    return server_create(&probe->server);
}

int probe_tear_down(void **state)
{
    probe_t *probe = *state;
    probe_close(probe);
    free(probe);
    return 0;
}

void probe_open_on(probe_t *probe, const char *const *options)
{
    assert_int_equal(server_start(&probe->server, options), 0);
    assert_int_equal(probe_open(probe, probe->server.url, "test"), 0);
}

/* ---- outcomes ---- */

void on_done(int errnum, const char *text, void *arg)
{
    outcome_t *outcome = arg;
    assert_false(outcome->done);
    outcome->done = true;
    outcome->errnum = errnum;
    snprintf(outcome->text, sizeof(outcome->text), "%s", text);
}

void on_records(int errnum, const char *text, const xo_record_t *records, size_t count, void *arg)
{
    outcome_t *outcome = arg;
    on_done(errnum, text, arg);
    outcome->records = xoi_records_create();
    for (size_t i = 0; i < count; i++) {
        xoi_records_begin(outcome->records, xo_slice_str(records[i].id));
        for (size_t f = 0; f < records[i].count; f++)
            xoi_records_field(outcome->records, xo_slice_str(records[i].fields[f].name),
                              records[i].fields[f].value);
    }
    xoi_records_finish(outcome->records, false, &outcome->list, &outcome->count);
}

void outcome_free(outcome_t *outcome)
{
    xoi_records_destroy(outcome->records);
    memset(outcome, 0, sizeof(*outcome));
}

static bool is_done(const void *outcome)
{
    return ((const outcome_t *)outcome)->done;
}

int outcome_wait(probe_t *probe, outcome_t *outcome)
{
    wait_for(probe, is_done, outcome, "an operation to end");
    return outcome->errnum;
}

const char *outcome_field(const outcome_t *outcome, size_t i, const char *name)
{
    assert_true(i < outcome->count);
    xo_slice_t value = xoi_record_field(&outcome->list[i], name);
    return value.data ? value.data : "";
}

/* ---- operations ---- */

static size_t make_fields(const char *const *words, xo_field_t *fields)
{
    size_t count = 0;
    for (; words[0]; words += 2)
        fields[count++] = (xo_field_t){words[0], xo_slice_str(words[1])};
    return count;
}

int put(probe_t *probe, xo_reg_kind_t kind, const char *id, const char *owner, int64_t ttl_ms,
        const char *const *words)
{
    xo_field_t fields[16];
    xo_record_t record = {id, fields, make_fields(words, fields)};
    outcome_t outcome = {0};
    xo_registry_put(probe->registry, kind, &record, owner, ttl_ms, on_done, &outcome);
    assert_false(outcome.done);
    return outcome_wait(probe, &outcome);
}

void begin_put(probe_t *probe, xo_reg_kind_t kind, const char *id, const char *n,
               outcome_t *outcome)
{
    xo_field_t field = {"n", xo_slice_str(n)};
    xo_record_t record = {id, &field, 1};
    xo_registry_put(probe->registry, kind, &record, NULL, 0, outcome ? on_done : NULL, outcome);
}

int del(probe_t *probe, xo_reg_kind_t kind, const char *id, const char *owner)
{
    outcome_t outcome = {0};
    xo_registry_del(probe->registry, kind, id, owner, on_done, &outcome);
    assert_false(outcome.done);
    return outcome_wait(probe, &outcome);
}

int renew(probe_t *probe, xo_reg_kind_t kind, const char *id, const char *owner, int64_t ttl_ms)
{
    outcome_t outcome = {0};
    xo_registry_renew(probe->registry, kind, id, owner, ttl_ms, on_done, &outcome);
    assert_false(outcome.done);
    return outcome_wait(probe, &outcome);
}

int put_spec(probe_t *probe, const char *id, xo_slice_t bytes)
{
    outcome_t outcome = {0};
    xo_registry_put_spec(probe->registry, id, bytes, on_done, &outcome);
    return outcome_wait(probe, &outcome);
}

int get_spec(probe_t *probe, const char *id, outcome_t *outcome)
{
    outcome_free(outcome);
    xo_registry_get_spec(probe->registry, id, on_records, outcome);
    return outcome_wait(probe, outcome);
}

int get(probe_t *probe, xo_reg_kind_t kind, const char *id, outcome_t *outcome)
{
    outcome_free(outcome);
    xo_registry_get(probe->registry, kind, id, on_records, outcome);
    assert_false(outcome->done);
    return outcome_wait(probe, outcome);
}

int list(probe_t *probe, xo_reg_kind_t kind, outcome_t *outcome)
{
    outcome_free(outcome);
    xo_registry_list(probe->registry, kind, on_records, outcome);
    assert_false(outcome->done);
    return outcome_wait(probe, outcome);
}

int list_of(probe_t *probe, xo_reg_kind_t kind, const char *owner, outcome_t *outcome)
{
    outcome_free(outcome);
    xo_registry_list_of(probe->registry, kind, owner, on_records, outcome);
    assert_false(outcome->done);
    return outcome_wait(probe, outcome);
}

int news(probe_t *probe, const char *reader, outcome_t *outcome)
{
    outcome_free(outcome);
    xo_registry_news(probe->registry, reader, on_records, outcome);
    assert_false(outcome->done);
    return outcome_wait(probe, outcome);
}

int lookup(probe_t *probe, const char *uid, size_t size, outcome_t *outcome)
{
    outcome_free(outcome);
    xo_registry_lookup(probe->registry, xo_slice(uid, size), on_records, outcome);
    assert_false(outcome->done);
    return outcome_wait(probe, outcome);
}

int events(probe_t *probe, const char *after, size_t max, outcome_t *outcome)
{
    outcome_free(outcome);
    xo_registry_events(probe->registry, after, max, on_records, outcome);
    assert_false(outcome->done);
    return outcome_wait(probe, outcome);
}
