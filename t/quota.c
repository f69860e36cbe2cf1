/* Limits of processor bandwidth, as control groups of both versions say them. */
#include "libxo/quota.h"

#include <stdlib.h>

#include "t/scratch.h"
#include "t/unit.h"

typedef struct fixture {
    scratch_t scratch;
    char groups[96], mount[96];
} fixture_t;

static int set_up(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    scratch_enter(&f->scratch);
    snprintf(f->groups, sizeof f->groups, "%s/cgroup", f->scratch.path);
    snprintf(f->mount, sizeof f->mount, "%s/mount", f->scratch.path);
    assert_int_equal(mkdir(f->mount, 0700), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    scratch_leave(&f->scratch);
    free(f);
    return 0;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make_folder(const fixture_t *f, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->mount, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void set(const fixture_t *f, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->mount, name);
    write_file(path, text);
}

static bool below(const fixture_t *f, int cpus)
{
    errno = 7;
    bool is = xoi_quota_is_below(f->groups, f->mount, cpus);
    assert_int_equal(errno, 7);
    return is;
}

static void nothing_is_no_limit(void **state)
{
    fixture_t *f = *state;
    assert_false(below(f, 2)); /* no groups at all */
    write_file(f->groups, "");
    assert_false(below(f, 2));
    write_file(f->groups, "0::/a/b\nno line\n1:cpu\n:\n");
    assert_false(below(f, 2));
    set(f, "cpu.max", "");
    assert_false(below(f, 2));
}

static void a_group_of_version_2(void **state)
{
    fixture_t *f = *state;
    write_file(f->groups, "0::/a/b\n");
    make_folder(f, "a");
    make_folder(f, "a/b");
    set(f, "a/b/cpu.max", "max 100000\n");
    assert_false(below(f, 2));
    set(f, "a/b/cpu.max", "50000 100000\n");
    assert_true(below(f, 2));
    assert_true(below(f, 1));
    set(f, "a/b/cpu.max", "150000 100000\n");
    assert_true(below(f, 2));
    assert_false(below(f, 1));
    set(f, "a/b/cpu.max", "200000 100000\n");
    assert_false(below(f, 2));
    set(f, "a/cpu.max", "199999 100000\n"); /* that above it limits it, too */
    assert_true(below(f, 2));
}

static void a_container_s_own_group_is_the_topmost(void **state)
{
    fixture_t *f = *state;
    write_file(f->groups, "0::/\n");
    set(f, "cpu.max", "50000 100000\n");
    assert_true(below(f, 2));
    write_file(f->groups, "0::/docker/which/it/does/not/see\n");
    assert_true(below(f, 2));
}

static void a_group_of_version_1(void **state)
{
    static const char *const names[] = {"cpu", "cpu,cpuacct", "cpuacct,cpu"};
    static const char *const others[] = {"cpuset", "cpuacct", "memory"};
    fixture_t *f = *state;
    char text[96];
    make_folder(f, "cpu");
    make_folder(f, "cpu/a");
    set(f, "cpu/a/cpu.cfs_period_us", "100000\n");
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "5:memory:/a\n4:%s:/a\n0::/\n", names[i]);
        write_file(f->groups, text);
        set(f, "cpu/a/cpu.cfs_quota_us", "-1\n");
        assert_false(below(f, 2));
        set(f, "cpu/a/cpu.cfs_quota_us", "50000\n");
        assert_true(below(f, 2));
        snprintf(text, sizeof text, "4:%s:/a\n", others[i]);
        write_file(f->groups, text);
        assert_false(below(f, 2));
    }
}

#define QUOTA_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUOTA_TEST(nothing_is_no_limit),
        QUOTA_TEST(a_group_of_version_2),
        QUOTA_TEST(a_container_s_own_group_is_the_topmost),
        QUOTA_TEST(a_group_of_version_1),
    };
    return run_tap(tests);
}
