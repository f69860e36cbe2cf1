/* What the kernel says of the processes that it ended for want of memory, from files that look like
 * its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/oom_killer.h"
#include "t/unit.h"

#define OF_CGROUP ": out of memory"
#define OF_MACHINE ", possibly out of memory: the kernel has ended a process for that"

typedef struct world {
    char place[64];
    char proc[128], cgroups[128];
} world_t;

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void make_folder(const char *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int setup(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    strcpy(w->place, "/tmp/xo-oom-XXXXXX");
    if (mkdtemp(w->place) == NULL)
        return -1;
    snprintf(w->proc, sizeof w->proc, "%s/proc", w->place);
    snprintf(w->cgroups, sizeof w->cgroups, "%s/cgroup", w->place);
    make_folder(w->place, "proc");
    make_folder(w->proc, "self");
    make_folder(w->place, "cgroup");
    make_folder(w->cgroups, "xo.service");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    world_t *w = *state;
    snprintf(command, sizeof command, "rm -r %s", w->place);
    int rc = system(command);
    free(w);
    return rc;
}

static void count_of_cgroup(world_t *w, int count)
{
    char text[128];
    snprintf(text, sizeof text, "low 0\noom 9\noom_kill %d\noom_group_kill 0\n", count);
    write_file(w->cgroups, "xo.service/memory.events", text);
}

static void count_of_machine(world_t *w, int count)
{
    char text[128];
    snprintf(text, sizeof text, "nr_free 7\noom_kill %d\nnuma_hit 3\n", count);
    write_file(w->proc, "vmstat", text);
}

static void our_cgroup_knows(void **state)
{
    world_t *w = *state;
    xo_oom_killer_t killer;
    write_file(w->proc, "self/cgroup", "4:memory:/elsewhere\n0::/xo.service\n");
    count_of_cgroup(w, 2);
    count_of_machine(w, 5);
    xo_oom_killer_init(&killer, w->proc, w->cgroups);
    assert_string_equal(xo_oom_killer_says(&killer), "");
    count_of_machine(w, 6); /* somebody else's */
    assert_string_equal(xo_oom_killer_says(&killer), "");
    count_of_cgroup(w, 3);
    assert_string_equal(xo_oom_killer_says(&killer), OF_CGROUP);
}

static void one_of_version_1_knows(void **state)
{
    world_t *w = *state;
    xo_oom_killer_t killer;
    write_file(w->proc, "self/cgroup", "5:cpuset,memory:/xo.service\n0::/xo.service\n");
    make_folder(w->cgroups, "memory");
    make_folder(w->cgroups, "memory/xo.service");
    write_file(w->cgroups, "memory/xo.service/memory.oom_control",
               "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    xo_oom_killer_init(&killer, w->proc, w->cgroups);
    assert_string_equal(xo_oom_killer_says(&killer), "");
    write_file(w->cgroups, "memory/xo.service/memory.oom_control",
               "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    assert_string_equal(xo_oom_killer_says(&killer), OF_CGROUP);
}

/* A tick between the kernel's deed and the death that we see changes nothing; a second one does. */
static void what_is_long_ago_says_nothing(void **state)
{
    world_t *w = *state;
    xo_oom_killer_t killer;
    write_file(w->proc, "self/cgroup", "0::/xo.service\n");
    count_of_cgroup(w, 0);
    xo_oom_killer_init(&killer, w->proc, w->cgroups);
    count_of_cgroup(w, 1);
    xo_oom_killer_tick(&killer);
    assert_string_equal(xo_oom_killer_says(&killer), OF_CGROUP);
    xo_oom_killer_tick(&killer);
    assert_string_equal(xo_oom_killer_says(&killer), "");
}

static void without_a_cgroup_the_machine_gives_a_hint(void **state)
{
    world_t *w = *state;
    const char *const files[] = {"4:memory:/elsewhere\n", "0::/no/memory/controller\n"};
    for (int i = 0; i < 2; i++) {
        xo_oom_killer_t killer;
        write_file(w->proc, "self/cgroup", files[i]);
        count_of_machine(w, 5);
        xo_oom_killer_init(&killer, w->proc, w->cgroups);
        assert_string_equal(xo_oom_killer_says(&killer), "");
        count_of_machine(w, 6);
        assert_string_equal(xo_oom_killer_says(&killer), OF_MACHINE);
    }
}

static void without_any_nothing_is_said(void **state)
{
    world_t *w = *state;
    xo_oom_killer_t killer;
    xo_oom_killer_init(&killer, w->proc, w->cgroups);
    count_of_machine(w, 6);
    xo_oom_killer_tick(&killer);
    assert_string_equal(xo_oom_killer_says(&killer), "");
}

/* The kernel's own files are what we take them for. */
static void it_reads_what_is_here(void **state)
{
    xo_oom_killer_t killer;
    (void)state;
    xo_oom_killer_init(&killer, "/proc", "/sys/fs/cgroup");
    assert_true(killer.path[0] != 0);
    assert_true(killer.now >= 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(our_cgroup_knows),
        TEST(one_of_version_1_knows),
        TEST(what_is_long_ago_says_nothing),
        TEST(without_a_cgroup_the_machine_gives_a_hint),
        TEST(without_any_nothing_is_said),
        cmocka_unit_test(it_reads_what_is_here),
    };
    return run_tap(tests);
}
