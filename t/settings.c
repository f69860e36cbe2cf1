/* The configuration file: what is read from it, and what mistakes are told, with their place. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/command.h"
#include "broker/settings.h"
#include "t/unit.h"

static char directory[] = "/tmp/xo-settings-XXXXXX";
static char path[sizeof(directory) + 16];

static int set_up(void **unused)
{
    (void)unused;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/node.ini", directory);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    unlink(path);
    return rmdir(directory);
}

static xo_settings_t *load(const char *text, xo_error_t *err)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return xo_settings_load(path, err);
}

static xo_settings_t *load_well(const char *text)
{
    xo_error_t err = {0};
    xo_settings_t *settings = load(text, &err);
    if (settings == NULL)
        fail_msg("%s", err.text);
    return settings;
}

/* The sentence must begin with FILE:LINE and hold `what`. */
static void assert_mistake(const char *text, int line, const char *what)
{
    xo_error_t err = {0};
    char place[sizeof(path) + 16];
    assert_null(load(text, &err));
    if (line > 0)
        snprintf(place, sizeof(place), "%s:%d: ", path, line);
    else
        snprintf(place, sizeof(place), "%s: ", path);
    if (strncmp(err.text, place, strlen(place)) != 0 || strstr(err.text, what) == NULL)
        fail_msg("'%s' is not '%s... %s'", err.text, place, what);
}

static void node_settings_are_read(void **unused)
{
    (void)unused;
    xo_settings_t *settings = load_well("# a comment\n[node]\ncluster = blue\n"
                                        "registry = redis://localhost:6379/1\n"
                                        "run_dir = /run/xo\nheartbeat_ms = 250\nlog = debug\n"
                                        "codec = msgpack\n"
                                        "port = gpu1:7000\nbind = 0.0.0.0:7000\n"
                                        "stop_timeout_ms = 0\n");
    assert_string_equal(settings->cluster, "blue");
    assert_string_equal(settings->registry, "redis://localhost:6379/1");
    assert_string_equal(settings->run_dir, "/run/xo");
    assert_string_equal(settings->port, "gpu1:7000");
    assert_string_equal(settings->bind, "0.0.0.0:7000");
    assert_int_equal(settings->heartbeat_ms, 250);
    assert_int_equal(settings->stop_ms, 0);
    assert_int_equal(settings->codec, XO_CODEC_MSGPACK);
    assert_true(settings->log_is_set);
    assert_int_equal(settings->log, XO_LOG_DEBUG);
    assert_int_equal(settings->pool_count, 0);
    xo_settings_destroy(settings);
}

static void a_registry_may_go_on_in_the_next_line(void **unused)
{
    (void)unused;
    xo_settings_t *settings = load_well("[node]\nregistry = redis+sentinel://one,\n  two,\n"
                                        "\tthree/xo?password_file=/p\nlog = debug\n");
    assert_string_equal(settings->registry, "redis+sentinel://one,two,three/xo?password_file=/p");
    xo_settings_destroy(settings);
}

static void an_empty_file_sets_nothing(void **unused)
{
    (void)unused;
    xo_settings_t *settings = load_well("");
    assert_null(settings->cluster);
    assert_int_equal(settings->heartbeat_ms, 0);
    assert_int_equal(settings->stop_ms, -1);
    assert_int_equal(settings->codec, 0);
    assert_false(settings->log_is_set);
    xo_settings_destroy(settings);
}

static void pool_settings_are_read(void **unused)
{
    (void)unused;
    xo_settings_t *settings =
        load_well("[pool work]\ncommand = /usr/bin/env 'two words' plain\ncount = 4\naddress = "
                  "10.0.0.1:7000\n"
                  "bind = 0.0.0.0:7000\nlabel = w\nenv.OMP_NUM_THREADS = 1\nenv.EMPTY =\n"
                  "restart = transient\nintensity = 2\nperiod_ms = 30000\nbackoff_ms = 5\n"
                  "backoff_max_ms = 50\ncreate_timeout_ms = 700\nready_ms = 1234\n"
                  "output = /tmp/work.log\n"
                  "[pool other]\ncommand = /bin/true\n");
    assert_int_equal(settings->pool_count, 2);
    const xo_pool_settings_t *pool = &settings->pools[0];
    const xo_pool_spec_t *spec = pool->spec;
    assert_string_equal(pool->name, "work");
    assert_int_equal(pool->count, 4);
    assert_string_equal(spec->argv[0], "/usr/bin/env");
    assert_string_equal(spec->argv[1], "two words");
    assert_string_equal(spec->argv[2], "plain");
    assert_null(spec->argv[3]);
    assert_string_equal(spec->address, "10.0.0.1:7000");
    assert_string_equal(spec->bind, "0.0.0.0:7000");
    assert_string_equal(spec->label, "w");
    assert_string_equal(spec->env[0], "OMP_NUM_THREADS=1");
    assert_string_equal(spec->env[1], "EMPTY=");
    assert_int_equal(spec->policy.restart, XO_RESTART_TRANSIENT);
    assert_int_equal(spec->policy.intensity, 2);
    assert_int_equal(spec->policy.period_ns, 30000 * XO_MS);
    assert_int_equal(spec->policy.backoff_ns, 5 * XO_MS);
    assert_int_equal(spec->policy.backoff_max_ns, 50 * XO_MS);
    assert_int_equal(spec->policy.create_timeout_ns, 700 * XO_MS);
    assert_int_equal(spec->ready_ms, 1234);
    assert_string_equal(spec->output, "/tmp/work.log");
    assert_string_equal(settings->pools[1].spec->label, "other");
    assert_int_equal(settings->pools[1].count, 1);
    xo_settings_destroy(settings);
}

static void python_and_xo_pool_get_their_modules(void **unused)
{
    (void)unused;
    setenv("PYTHON", "/opt/python", 1);
    xo_settings_t *settings =
        load_well("[pool p]\ncommand = python\nmodules = jobs.words jobs.sums\n"
                  "[pool c]\ncommand = xo-pool --bind core\n"
                  "modules = a.so\n  b.so\n");
    char **python = settings->pools[0].spec->argv;
    assert_string_equal(python[0], "/opt/python");
    assert_string_equal(python[1], "-m");
    assert_string_equal(python[2], "xoscar.pool");
    assert_string_equal(python[3], "--module");
    assert_string_equal(python[4], "jobs.words");
    assert_string_equal(python[6], "jobs.sums");
    char **c = settings->pools[1].spec->argv;
    assert_string_equal(c[0] + strlen(c[0]) - strlen("xo-pool"), "xo-pool");
    assert_string_equal(c[2], "core");
    assert_string_equal(c[4], "a.so");
    assert_string_equal(c[6], "b.so");
    assert_null(c[7]);
    xo_settings_destroy(settings);
}

static void ports_of_several_pools_are_counted(void **unused)
{
    xo_error_t err;
    (void)unused;
    xo_settings_t *settings =
        load_well("[pool p]\ncommand = x\naddress = [::1]:65534\nbind = 0.0.0.0:0\n");
    xo_pool_spec_t *spec = settings->pools[0].spec;
    assert_int_equal(xo_pool_spec_shift_ports(spec, 1, &err), 0);
    assert_string_equal(spec->address, "[::1]:65535");
    assert_string_equal(spec->bind, "0.0.0.0:0");
    assert_int_equal(xo_pool_spec_shift_ports(spec, 1, &err), -1);
    assert_int_equal(err.errnum, ERANGE);
    xo_settings_destroy(settings);
}

static void pools_of_one_process_are_counted(void **unused)
{
    static const struct {
        const char *command;
        int pools;
    } cases[] = {
        {"xo-pool", 1},           {"xo-pool --pools 3", 3},   {"xo-pool --pools=3 -m x", 3},
        {"xo-pool -n 3", 3},      {"xo-pool --poo=4 -n3", 3}, {"/usr/bin/xo-pool -n2", 2},
        {"xo-pool --pools x", 1}, {"xo-pool -n", 1},          {"other -n 3", 1}};
    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        xo_error_t err;
        xo_pool_spec_t *spec = xo_pool_spec_create();
        assert_int_equal(xo_command_set(spec, cases[i].command, NULL, &err), 0);
        assert_int_equal(xo_command_pools(spec), cases[i].pools);
        xo_pool_spec_destroy(spec);
    }
}

static void mistakes_name_file_and_line(void **unused)
{
    (void)unused;
    assert_mistake("[node]\nclutser = x\n", 2, "[node] has no key 'clutser'");
    assert_mistake("[node]\n\nheartbeat_ms = soon\n", 3, "[node] heartbeat_ms: 'soon'");
    assert_mistake("[node]\nheartbeat_ms = 5\n", 2, "from 10 to 60000");
    assert_mistake("[node]\nlog = loud\n", 2, "'loud'");
    assert_mistake("[node]\ncodec = json\n", 2,
                   "[node] codec: 'json' is not one of pickle, msgpack");
    assert_mistake("[node]\nrun_dir = here\n", 2, "begin with /");
    assert_mistake("[node]\nport = gpu1\n", 2, "no node's port");
    assert_mistake("[node]\nbind = gpu1:x\n", 2, "the port must be a number");
    assert_mistake("[node]\ncluster = a\ncluster = b\n", 3, "given twice");
    assert_mistake("cluster = a\n", 1, "in no section");
    assert_mistake("[nodes]\ncluster = a\n", 2, "[nodes]");
    assert_mistake("[node]\nnonsense\n", 2, "KEY = VALUE");
    assert_mistake("[pool]\ncommand = x\n", 2, "needs a name");
    assert_mistake("[pool p]\ncommand = x\ncount = -1\n", 3, "[pool p] count: '-1'");
    assert_mistake("[pool p]\ncommand = x\naddress = 1.2.3.4:99999\n", 3, "[pool p] address");
    assert_mistake("[pool p]\ncommand = x\nrestart = never\n", 3, "'never'");
    assert_mistake("[pool p]\ncommand = x\ncreate_timeout_ms = -1\n", 3,
                   "[pool p] create_timeout_ms: '-1'");
    assert_mistake("[pool p]\ncommand = x\ncreate_timeout = 1\n", 3,
                   "[pool p] has no key 'create_timeout'");
    assert_mistake("[pool p]\ncommand = x\n[pool q]\ncommand = y\n[pool p]\ncount = 2\n", 6,
                   "[pool p] is given twice");
}

static void mistakes_of_a_whole_section_are_told(void **unused)
{
    (void)unused;
    assert_mistake("[pool p]\ncount = 2\n", 0, "[pool p] has no command");
    assert_mistake("[pool p]\n", 0, "[pool p] has no command");
    assert_mistake("[pool p]\n[node]\ncluster = x\n", 0, "[pool p] has no command");
    assert_mistake("[pool]\n", 0, "needs a name");
    assert_mistake("[pool p]\ncommand = /bin/x\nmodules = m\n", 0, "modules go with");
    assert_mistake("[pool p]\ncommand = 'x\n", 0, "unbalanced");
    assert_mistake("[pool p]\ncommand = $(reboot)\n", 0, "substitution");
    assert_mistake("[pool p]\ncommand = a | b\n", 0, "unquoted");
}

static void long_lines_are_refused_not_cut(void **unused)
{
    char text[10000] = "[node]\nregistry = ";
    (void)unused;
    memset(text + strlen(text), 'x', 9000);
    assert_mistake(text, 2, "longer than");
}

static void a_missing_file_is_named(void **unused)
{
    xo_error_t err;
    (void)unused;
    assert_null(xo_settings_load("/nonexistent/node.ini", &err));
    assert_int_equal(err.errnum, ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent/node.ini"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_settings_are_read),
        cmocka_unit_test(a_registry_may_go_on_in_the_next_line),
        cmocka_unit_test(an_empty_file_sets_nothing),
        cmocka_unit_test(pool_settings_are_read),
        cmocka_unit_test(python_and_xo_pool_get_their_modules),
        cmocka_unit_test(ports_of_several_pools_are_counted),
        cmocka_unit_test(pools_of_one_process_are_counted),
        cmocka_unit_test(mistakes_name_file_and_line),
        cmocka_unit_test(mistakes_of_a_whole_section_are_told),
        cmocka_unit_test(long_lines_are_refused_not_cut),
        cmocka_unit_test(a_missing_file_is_named),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
