/* t/ctx.c - contexts (libxo/ctx.h) and keys (libxo/keys.h). */
#include "t/unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <czmq.h>
#include <zmq.h>

#include "libxo/ctx.h"
#include "t/scratch.h"

static int set_up(void **state)
{
    scratch_t *scratch = calloc(1, sizeof *scratch);

    scratch_enter(scratch);
    *state = scratch;
    return 0;
}

static int tear_down(void **state)
{
    scratch_leave(*state);
    free(*state);
    return 0;
}

/* A path below the scratch directory. Four at a time. */
static const char *below(void **state, const char *name)
{
    static char paths[4][256];
    static int turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", ((scratch_t *)*state)->path, name);
    return path;
}

static xo_ctx_t *must_create(const char *cluster)
{
    xo_error_t err = {0};
    xo_ctx_t *ctx = xo_ctx_create(cluster, &err);

    if (!ctx)
        fail_msg("%s", err.text);
    return ctx;
}

/* Creating fails with `errnum` and a sentence that holds `word`. */
static void must_fail(const char *cluster, int errnum, const char *word)
{
    xo_error_t err = {0};

    assert_null(xo_ctx_create(cluster, &err));
    assert_int_equal(errno, errnum);
    assert_int_equal(err.errnum, errnum);
    if (!strstr(err.text, word))
        fail_msg("'%s' lacks '%s'", err.text, word);
}

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

/* ---- contexts ---- */

static void clusters_have_names(void **state)
{
    char longest[XO_CLUSTER_BYTES], too_long[XO_CLUSTER_BYTES + 1];
    xo_ctx_t *ctx = must_create(NULL);

    (void)state;
    assert_string_equal(xo_ctx_cluster(ctx), "default");
    xo_ctx_destroy(ctx);
    setenv("XO_CLUSTER", "blue.1_2-3", 1);
    ctx = must_create(NULL);
    assert_string_equal(xo_ctx_cluster(ctx), "blue.1_2-3");
    xo_ctx_destroy(ctx);
    unsetenv("XO_CLUSTER");
    memset(too_long, 'a', sizeof too_long);
    too_long[XO_CLUSTER_BYTES] = '\0';
    must_fail(too_long, EINVAL, "63");
    memcpy(longest, too_long, sizeof longest);
    longest[sizeof longest - 1] = '\0';
    xo_ctx_destroy(must_create(longest));
    must_fail("", EINVAL, "1 to");
    must_fail("a/b", EINVAL, "a/b");
    must_fail("..", EINVAL, "..");
    must_fail("caf\xc3\xa9", EINVAL, "caf");
}

static void the_run_directory_is_private(void **state)
{
    xo_ctx_t *ctx = must_create("one");
    char base[256];

    strcpy(base, below(state, "run"));
    assert_string_equal(xo_ctx_run_dir(ctx), below(state, "run/one"));
    assert_int_equal(mode_of(base), 0700);
    assert_int_equal(mode_of(xo_ctx_run_dir(ctx)), 0700);
    assert_int_equal(chmod(xo_ctx_run_dir(ctx), 0750), 0);
    must_fail("one", EPERM, "run/one");
    assert_int_equal(chmod(xo_ctx_run_dir(ctx), 0700), 0);
    assert_int_equal(chmod(base, 0777), 0);
    must_fail("one", EPERM, base);
    assert_int_equal(chmod(base, 0755), 0); /* to look into it does no harm */
    xo_ctx_destroy(must_create("two"));
    xo_ctx_destroy(ctx);
}

static void a_link_is_no_run_directory(void **state)
{
    assert_int_equal(mkdir(below(state, "elsewhere"), 0700), 0);
    assert_int_equal(symlink(below(state, "elsewhere"), below(state, "run")), 0);
    must_fail(NULL, EPERM, "/run");
    assert_int_equal(unlink(below(state, "run")), 0);
    assert_int_equal(mkdir(below(state, "run"), 0700), 0);
    assert_int_equal(symlink(below(state, "elsewhere"), below(state, "run/default")), 0);
    must_fail(NULL, EPERM, "run/default");
    assert_int_equal(unlink(below(state, "run/default")), 0);
    assert_int_equal(close(open(below(state, "run/default"), O_CREAT | O_WRONLY, 0700)), 0);
    must_fail(NULL, EPERM, "run/default");
}

static void somebody_elses_directory_is_refused(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(mkdir(below(state, "run"), 0700), 0);
    assert_int_equal(chown(below(state, "run"), 12345, (gid_t)-1), 0);
    must_fail(NULL, EPERM, "12345");
}

static void run_directories_have_places(void **state)
{
    char path[256];
    xo_ctx_t *ctx;

    unsetenv("XO_RUN_DIR");
    setenv("XDG_RUNTIME_DIR", ((scratch_t *)*state)->path, 1);
    ctx = must_create(NULL);
    assert_string_equal(xo_ctx_run_dir(ctx), below(state, "xo/default"));
    xo_ctx_destroy(ctx);
    unsetenv("XDG_RUNTIME_DIR");
    snprintf(path, sizeof path, "/tmp/xo-%u/xo-t-ctx", (unsigned)geteuid());
    ctx = must_create("xo-t-ctx");
    assert_string_equal(xo_ctx_run_dir(ctx), path);
    xo_ctx_destroy(ctx);
    assert_false(exists(path));
    setenv("XO_RUN_DIR", "relative", 1);
    must_fail(NULL, EINVAL, "relative");
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[105] = '\0';
    setenv("XO_RUN_DIR", path, 1);
    must_fail(NULL, ENAMETOOLONG, "XO_RUN_DIR");
    setenv("XO_RUN_DIR", below(state, "not/there"), 1);
    must_fail(NULL, ENOENT, "not/there");
}

static void make_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

static void the_last_one_removes_the_run_directory(void **state)
{
    xo_ctx_t *first = must_create(NULL), *second = must_create(NULL);
    xo_ctx_t *other = must_create("other");

    make_socket(below(state, "run/default/left-by-a-killed-process"));
    xo_ctx_destroy(first);
    assert_true(exists(below(state, "run/default/left-by-a-killed-process")));
    xo_ctx_destroy(second);
    assert_false(exists(below(state, "run/default")));
    assert_true(exists(below(state, "run")));
    xo_ctx_destroy(other);
    assert_false(exists(below(state, "run")));
    xo_ctx_destroy(NULL);
}

static void what_is_not_ours_stays(void **state)
{
    xo_ctx_t *ctx = must_create(NULL);

    assert_int_equal(close(open(below(state, "run/default/notes"), O_CREAT | O_WRONLY, 0600)), 0);
    xo_ctx_destroy(ctx);
    assert_true(exists(below(state, "run/default/notes")));
}

#define RACERS 4
#define RACES 25

static void *race(void *arg)
{
    for (int i = 0; i < RACES; i++) {
        xo_ctx_t *ctx = xo_ctx_create("race", NULL);
        if (!ctx)
            return arg;
        xo_ctx_destroy(ctx);
    }
    return NULL;
}

static void who_comes_while_another_goes_finds_a_directory(void **state)
{
    pthread_t threads[RACERS];

    for (int i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, *state), 0);
    for (int i = 0; i < RACERS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_false(exists(below(state, "run")));
}

static void io_threads_are_set_up_first(void **state)
{
    xo_ctx_t *ctx = must_create(NULL);
    xo_error_t err = {0};
    int cpu = 0, negative = -1;
    void *zmq;

    (void)state;
    assert_errno(xo_ctx_bind_io(ctx, &negative, 1, &err), EINVAL);
    assert_errno(xo_ctx_set_io_threads(ctx, 0, &err), EINVAL);
    assert_int_equal(xo_ctx_bind_io(ctx, &cpu, 1, &err), 0);
    assert_int_equal(xo_ctx_set_io_threads(ctx, 2, &err), 0);
    zmq = xo_ctx_zmq(ctx, &err);
    assert_non_null(zmq);
    assert_ptr_equal(xo_ctx_zmq(ctx, &err), zmq);
    assert_int_equal(zmq_ctx_get(zmq, ZMQ_IO_THREADS), 2);
    assert_errno(xo_ctx_bind_io(ctx, &cpu, 1, &err), EBUSY);
    assert_errno(xo_ctx_set_io_threads(ctx, 1, &err), EBUSY);
    assert_int_equal(xo_ctx_start_zap(ctx, &err), 0);
    assert_int_equal(xo_ctx_start_zap(ctx, &err), 0);
    xo_ctx_destroy(ctx);
}

static void addresses_are_taken_once(void **state)
{
    xo_ctx_t *ctx = must_create(NULL);
    xo_error_t err = {0};

    (void)state;
    assert_int_equal(xo_ctx_has_local(ctx, "a:1"), 0);
    assert_int_equal(xo_ctx_add_local(ctx, "a:1", &err), 0);
    assert_int_equal(xo_ctx_add_local(ctx, "a:2", &err), 0);
    assert_errno(xo_ctx_add_local(ctx, "a:1", &err), EADDRINUSE);
    assert_non_null(strstr(err.text, "a:1"));
    assert_int_equal(xo_ctx_has_local(ctx, "a:1"), 1);
    xo_ctx_remove_local(ctx, "a:1");
    xo_ctx_remove_local(ctx, "a:1");
    assert_int_equal(xo_ctx_has_local(ctx, "a:1"), 0);
    xo_ctx_destroy(ctx);
}

/* After fork the child may drop the context, but not use it. */
static void a_fork_does_not_share_it(void **state)
{
    xo_ctx_t *ctx = must_create(NULL);
    int status;
    pid_t pid;

    assert_non_null(xo_ctx_zmq(ctx, NULL));
    pid = fork();
    if (pid == 0) {
        int wrong = xo_ctx_zmq(ctx, NULL) != NULL || errno != ENOTSUP;
        xo_ctx_destroy(ctx);
        if (!wrong)
            execl("/bin/true", "true", (char *)NULL); /* ZeroMQ's memory is lost, as it must be */
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(exists(below(state, "run/default")));
    xo_ctx_destroy(ctx);
    assert_false(exists(below(state, "run")));
}

static void random_ids_differ(void **state)
{
    (void)state;
    assert_true(xo_random_id() != xo_random_id());
}

/* ---- keys ---- */

static void keys_are_made_once(void **state)
{
    xo_keys_t first, second, other;
    xo_error_t err = {0};
    zcert_t *cert;

    assert_int_equal(xo_keys_load("c", &first, &err), 0);
    assert_int_equal(xo_keys_load("c", &second, &err), 0);
    assert_memory_equal(&first, &second, sizeof first);
    assert_int_equal(xo_keys_load("d", &other, &err), 0);
    assert_string_not_equal(first.public_text, other.public_text);
    assert_int_equal(mode_of(below(state, "config/c.key")), 0600);
    cert = zcert_load(below(state, "config/c.key")); /* the format is czmq's */
    assert_non_null(cert);
    assert_string_equal(zcert_public_txt(cert), first.public_text);
    assert_string_equal(zcert_secret_txt(cert), first.secret_text);
    zcert_destroy(&cert);
    assert_errno(xo_keys_load("a/b", &first, &err), EINVAL);
}

static void keys_that_czmq_wrote_are_read(void **state)
{
    xo_keys_t keys;
    xo_error_t err = {0};
    zcert_t *cert = zcert_new();

    zcert_set_meta(cert, "name", "%s", "secret-key = \"x\"");
    assert_int_equal(zcert_save_secret(cert, below(state, "config/e.key")), 0);
    assert_int_equal(chmod(below(state, "config/e.key"), 0600), 0);
    assert_int_equal(xo_keys_load("e", &keys, &err), 0);
    assert_string_equal(keys.public_text, zcert_public_txt(cert));
    assert_string_equal(keys.secret_text, zcert_secret_txt(cert));
    zcert_destroy(&cert);
}

static void keys_must_be_private(void **state)
{
    xo_keys_t keys;
    xo_error_t err = {0};

    assert_int_equal(xo_keys_load("c", &keys, &err), 0);
    assert_int_equal(chmod(below(state, "config/c.key"), 0640), 0);
    assert_errno(xo_keys_load("c", &keys, &err), EPERM);
    assert_non_null(strstr(err.text, "config/c.key"));
    must_fail("c", EPERM, "config/c.key");
    assert_int_equal(rename(below(state, "config/c.key"), below(state, "config/real")), 0);
    assert_int_equal(symlink("real", below(state, "config/c.key")), 0);
    assert_errno(xo_keys_load("c", &keys, &err), EPERM);
    assert_int_equal(unlink(below(state, "config/c.key")), 0);
    assert_int_equal(chmod(below(state, "config"), 0755), 0);
    assert_errno(xo_keys_load("c", &keys, &err), EPERM);
    assert_int_equal(chmod(below(state, "config"), 0700), 0);
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void what_is_no_key_is_refused(void **state)
{
    const char *const texts[] = {
        "",
        "rubbish",
        "curve\n    public-key = \"short\"\n    secret-key = \"short\"\n",
        "curve\n    public-key = \"\n    secret-key = '\n",
        "curve\n    public-key\n    secret-key =\n    secret-key = \"",
        /* a public and a secret half that do not belong together */
        "curve\n    public-key = \"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\"\n"
        "    secret-key = \"JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6\"\n",
    };
    xo_keys_t keys;
    xo_error_t err = {0};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_file(below(state, "config/c.key"), texts[i]);
        assert_errno(xo_keys_load("c", &keys, &err), EBADMSG);
        assert_non_null(strstr(err.text, "config/c.key"));
    }
}

static void a_directory_that_cannot_be_made_is_named(void **state)
{
    xo_keys_t keys;
    xo_error_t err = {0};

    setenv("XO_CONFIG_DIR", below(state, "no/where"), 1);
    assert_errno(xo_keys_load("c", &keys, &err), ENOENT);
    assert_non_null(strstr(err.text, "no/where"));
    unsetenv("XO_CONFIG_DIR");
    setenv("XDG_CONFIG_HOME", ((scratch_t *)*state)->path, 1);
    assert_int_equal(xo_keys_load("c", &keys, &err), 0);
    assert_true(exists(below(state, "xo/c.key")));
    unsetenv("XDG_CONFIG_HOME");
    setenv("HOME", ((scratch_t *)*state)->path, 1);
    assert_int_equal(xo_keys_load("c", &keys, &err), 0);
    assert_true(exists(below(state, ".config/xo/c.key")));
}

static void *load(void *arg)
{
    xo_keys_load("race", arg, NULL);
    return NULL;
}

static void who_races_for_a_key_gets_the_same(void **state)
{
    pthread_t threads[RACERS];
    xo_keys_t keys[RACERS] = {0};

    for (int round = 0; round < RACES; round++) {
        for (int i = 0; i < RACERS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, load, &keys[i]), 0);
        for (int i = 0; i < RACERS; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i < RACERS; i++)
            assert_memory_equal(&keys[i], &keys[0], sizeof keys[0]);
        assert_true(keys[0].public_text[0]);
        assert_int_equal(unlink(below(state, "config/race.key")), 0);
    }
    assert_int_equal(rmdir(below(state, "config")), 0); /* no temporary file is left */
}

#define CTX_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CTX_TEST(clusters_have_names),
        CTX_TEST(the_run_directory_is_private),
        CTX_TEST(a_link_is_no_run_directory),
        CTX_TEST(somebody_elses_directory_is_refused),
        CTX_TEST(run_directories_have_places),
        CTX_TEST(the_last_one_removes_the_run_directory),
        CTX_TEST(what_is_not_ours_stays),
        CTX_TEST(who_comes_while_another_goes_finds_a_directory),
        CTX_TEST(io_threads_are_set_up_first),
        CTX_TEST(addresses_are_taken_once),
        CTX_TEST(a_fork_does_not_share_it),
        CTX_TEST(random_ids_differ),
        CTX_TEST(keys_are_made_once),
        CTX_TEST(keys_that_czmq_wrote_are_read),
        CTX_TEST(keys_must_be_private),
        CTX_TEST(what_is_no_key_is_refused),
        CTX_TEST(a_directory_that_cannot_be_made_is_named),
        CTX_TEST(who_races_for_a_key_gets_the_same),
    };

    return run_tap(tests);
}
