/* registry-text.c - the registry's pure parts: URLs, what may stand in keys, records, errors,
 * backoff.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "registry/records.h"
#include "registry/redis.h"
#include "registry/text.h"
#include "registry/url.h"
#include "t/unit.h"

/* ---- URLs ---- */

static void good_urls(void **state)
{
    (void)state;
    xo_url_t url;
    assert_int_equal(xo_url_parse("memory:", &url, NULL), 0);
    assert_string_equal(url.display, "memory:");

    assert_int_equal(xo_url_parse("redis://h", &url, NULL), 0);
    assert_string_equal(url.host, "h");
    assert_int_equal(url.port, 6379);
    assert_string_equal(url.display, "redis://h:6379/0");

    assert_int_equal(xo_url_parse("redis://ann:p%40%3aw@h.example:1/15", &url, NULL), 0);
    assert_string_equal(url.login.user, "ann");
    assert_string_equal(url.login.password, "p@:w");
    assert_int_equal(url.port, 1);
    assert_int_equal(url.db, 15);
    assert_string_equal(url.display, "redis://ann@h.example:1/15");

    assert_int_equal(xo_url_parse("redis://:a@b@[::1]:7/", &url, NULL), 0);
    assert_string_equal(url.login.user, "");
    assert_string_equal(url.login.password, "a@b");
    assert_string_equal(url.host, "::1");
    assert_int_equal(url.port, 7);
    assert_string_equal(url.display, "redis://[::1]:7/0");

    assert_int_equal(xo_url_parse("unix:///a%3Fb/c?db=2", &url, NULL), 0);
    assert_string_equal(url.path, "/a?b/c");
    assert_int_equal(url.db, 2);
    assert_int_equal(xo_url_parse("unix://u:pw@/s", &url, NULL), 0);
    assert_string_equal(url.login.password, "pw");
    assert_string_equal(url.display, "unix://u@/s");
}

static void sentinels(void **state)
{
    (void)state;
    xo_url_t url;
    char host[256];
    int port;
    assert_int_equal(xo_url_parse("redis+sentinel://u:pw@a,[::1]:7,c:8/mine/2", &url, NULL), 0);
    assert_true(!strcmp(url.login.user, "u") && !strcmp(url.login.password, "pw") && url.db == 2);
    assert_string_equal(url.master, "mine");
    assert_string_equal(url.display, "redis+sentinel://u@a,[::1]:7,c:8/mine/2");
    xo_url_sentinel(&url, 0, host, &port);
    assert_true(!strcmp(host, "a") && port == 26379);
    xo_url_sentinel(&url, 4, host, &port);
    assert_true(!strcmp(host, "::1") && port == 7);
    xo_url_sentinel(&url, 2, host, &port);
    assert_true(!strcmp(host, "c") && port == 8);
    assert_int_equal(xo_url_parse("redis+sentinel://a/mine", &url, NULL), 0);
    assert_true(url.db == 0 && !url.login.user[0]);
}

static void sentinels_with_a_password(void **state)
{
    (void)state;
    xo_url_t url;
    xo_error_t err;
    char dir[] = "/tmp/xo-text-XXXXXX", path[64], text[256];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/p", dir);
    FILE *file = fopen(path, "w");
    assert_true(file && fputs("s3cret\n", file) >= 0 && fclose(file) == 0);
    assert_int_equal(chmod(path, 0600), 0);
    snprintf(text, sizeof(text),
             "redis+sentinel://u:pw@a/mine?sentinel_user=watch&sentinel_password_file=%s", path);
    assert_int_equal(xo_url_parse(text, &url, NULL), 0);
    assert_string_equal(url.login.password, "pw");
    assert_string_equal(url.sentinel_login.user, "watch");
    assert_string_equal(url.sentinel_login.password, "s3cret");
    assert_string_equal(url.display, "redis+sentinel://u@a/mine/0");
    assert_int_equal(xo_url_parse("redis+sentinel://a/mine?sentinel_user=u", &url, &err), -1);
    assert_non_null(strstr(err.text, "without sentinel_password_file"));
    snprintf(text, sizeof(text), "redis://a?sentinel_password_file=%s", path);
    assert_int_equal(xo_url_parse(text, &url, &err), -1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void bad_urls_hide_their_password(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "redis",
        "http://x",
        "rediss://u:SECRET@h",
        "redis://",
        "redis://:SECRET@",
        "redis://SECRET@h",
        "redis://u:@h",
        "redis://u:SECRET",
        "redis://u:SECRET@h:port",
        "redis://u:SECRET@h:99999",
        "redis://u:SECRET@h/x",
        "redis://u:SECRET@h?db=1",
        "redis://h/?password=SECRET",
        "redis://u:%zzSECRET@h",
        "redis://u:%00SECRET@h",
        "redis://u:SECRET@[::1",
        "redis://u:SECRET@[::1]x",
        "redis:u:SECRET@h",
        "unix://relative",
        "unix://SECRET@/path",
        "unix:///path?db=SECRET",
        "unix:///path?password=SECRET",
        "memory:x",
        "redis+sentinel://u:SECRET@/mine",
        "redis+sentinel://u:SECRET@a",
        "redis+sentinel://u:SECRET@a,/mine",
        "redis+sentinel://u:SECRET@a,b:x/mine",
        "redis+sentinel://u:SECRET@a/mine/x",
        "redis+sentinel://u:SECRET@a/mine?db=1",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        xo_url_t url;
        xo_error_t err = {0};
        assert_int_equal(xo_url_parse(bad[i], &url, &err), -1);
        assert_int_equal(err.errnum, EINVAL);
        if (strstr(err.text, "SECRET") || strlen(err.text) < 20)
            fail_msg("'%s': %s", bad[i], err.text);
    }
}

static void bad_ports_are_shown(void **state)
{
    static const char *const urls[][2] = {
        {"redis://u:SECRET@h.example:99x/1", "'redis://***@h.example:99x/1'"},
        {"redis://h.example:99999/1", "'redis://h.example:99999/1'"},
        {"redis://u:SECRET", "'redis://u:***'"}, /* it may be a password without its host */
        {"redis://u:p@a@b:SECRET", "'redis://***@b:***'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        xo_url_t url;
        xo_error_t err = {0};
        assert_int_equal(xo_url_parse(urls[i][0], &url, &err), -1);
        if (!strstr(err.text, urls[i][1]))
            fail_msg("'%s': %s", urls[i][0], err.text);
    }
}

static void long_urls(void **state)
{
    (void)state;
    char text[2048];
    xo_url_t url;
    snprintf(text, sizeof(text), "unix:///%0105d", 0);
    assert_int_equal(xo_url_parse(text, &url, NULL), 0);
    snprintf(text, sizeof(text), "unix:///%0106d", 0);
    assert_int_equal(xo_url_parse(text, &url, NULL), -1);
    snprintf(text, sizeof(text), "redis://%0300d", 0);
    assert_int_equal(xo_url_parse(text, &url, NULL), -1);
    snprintf(text, sizeof(text), "redis://:%01000d@h", 0);
    assert_int_equal(xo_url_parse(text, &url, NULL), -1);
    snprintf(text, sizeof(text), "%0100d://h", 0);
    assert_int_equal(xo_url_parse(text, &url, NULL), -1);
}

static void what_other_machines_may_be_in(void **state)
{
    static const char *const far[] = {"redis://h", "redis://u:p@192.0.2.1:7/1",
                                      "redis://[2001:db8::1]", "redis+sentinel://a,localhost/mine"};
    static const char *const near[] = {
        "memory:",           "unix:///s",
        "redis://localhost", "redis://127.0.0.2:7",
        "redis://[::1]",     "redis+sentinel://127.0.0.1:7,127.0.0.1:8/mine",
        "nonsense"};
    (void)state;
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++)
        assert_true(xo_url_is_far(far[i]));
    for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++)
        assert_false(xo_url_is_far(near[i]));
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

static void the_password_may_be_in_a_file(void **state)
{
    xo_url_t url;
    char dir[] = "/tmp/xo-t-url-XXXXXX", path[64], text[160];
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/p w", dir);
    write_file(path, "s@cret one\nand no more", 0600);
    snprintf(text, sizeof(text), "redis://ann@h/3?password_file=%s/p%%20w", dir);
    assert_int_equal(xo_url_parse(text, &url, NULL), 0);
    assert_string_equal(url.login.user, "ann");
    assert_string_equal(url.login.password, "s@cret one");
    assert_int_equal(url.db, 3);
    assert_string_equal(url.display, "redis://ann@h:6379/3");
    write_file(path, "two\r\n", 0640);
    assert_int_equal(xo_login_read(&url.login, NULL), 0);
    assert_string_equal(url.login.password, "two");
    snprintf(text, sizeof(text), "unix:///s?password_file=%s/p%%20w&db=2", dir);
    assert_int_equal(xo_url_parse(text, &url, NULL), 0);
    assert_true(url.db == 2 && !strcmp(url.login.password, "two") &&
                !strcmp(url.display, "unix:///s?db=2"));
    unlink(path);
    assert_int_equal(xo_login_read(&url.login, NULL), -1);
    assert_string_equal(url.login.password, "two");
    rmdir(dir);
}

static void a_bad_password_file_is_named(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        int errnum;
    } bad[] = {{"SECRET\n", 0644, EACCES},
               {"SECRET\n", 0620, EACCES},
               {"\nSECRET", 0600, EINVAL},
               {"", 0600, EINVAL},
               {NULL, 0, ENOENT}};
    char dir[] = "/tmp/xo-t-url-XXXXXX", path[64], text[160];
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/password", dir);
    snprintf(text, sizeof(text), "redis://h?password_file=%s", path);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        xo_url_t url;
        xo_error_t err = {0};
        unlink(path);
        if (bad[i].text)
            write_file(path, bad[i].text, bad[i].mode);
        assert_int_equal(xo_url_parse(text, &url, &err), -1);
        assert_int_equal(err.errnum, bad[i].errnum);
        if (!strstr(err.text, path) || strstr(err.text, "SECRET"))
            fail_msg("%s", err.text);
        if (strstr(err.text, "HOST")) /* how a URL is written */
            fail_msg("%s", err.text);
    }
    snprintf(text, sizeof(text), "redis://a:SECRET@h?password_file=%s", path);
    xo_url_t url;
    xo_error_t err = {0};
    assert_int_equal(xo_url_parse(text, &url, &err), -1);
    assert_null(strstr(err.text, "SECRET"));
    rmdir(dir);
}

static void a_pipe_for_a_password_is_not_waited_for(void **state)
{
    char dir[] = "/tmp/xo-t-url-XXXXXX", path[64], text[160];
    xo_url_t url;
    xo_error_t err = {0};
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/password", dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(text, sizeof(text), "redis://h?password_file=%s", path);
    alarm(60); /* nobody writes */
    assert_int_equal(xo_url_parse(text, &url, &err), -1);
    alarm(0);
    if (!strstr(err.text, "no regular file"))
        fail_msg("%s", err.text);
    unlink(path);
    rmdir(dir);
}

/* ---- text ---- */

static const char *encoded(const char *bytes, size_t size, bool key)
{
    static char text[1024];
    xo_buf_t out = XO_BUF_INIT;
    xoi_encode(&out, xo_slice(bytes, size), key);
    snprintf(text, sizeof(text), "%.*s", (int)out.size, out.data ? out.data : "");
    xo_buf_free(&out);
    return text;
}

static void encoding(void **state)
{
    (void)state;
    assert_string_equal(encoded("a b%\n\x7f", 6, true), "a%20b%25%0A%7F");
    assert_string_equal(encoded("a b%\n\x7f", 6, false), "a b%\n%7F");
    assert_string_equal(encoded("\0z", 2, true), "%00z");
    assert_string_equal(encoded("gr\xc3\xbc\xc3", 5, true), "gr\xc3\xbc%C3");
    assert_string_equal(encoded("\xed\xa0\x80", 3, true), "%ED%A0%80"); /* surrogate */
    assert_string_equal(encoded("\xc0\x80\xe0\x80\x80", 5, true), "%C0%80%E0%80%80"); /* overlong */
    assert_string_equal(encoded("\xf0\x9f\x90\x98\xf4\x90\x80\x80", 8, true),
                        "\xf0\x9f\x90\x98%F4%90%80%80"); /* the last one; one too far */
    assert_string_equal(encoded("", 0, true), "");
}

static void decoding(void **state)
{
    (void)state;
    char out[8];
    size_t size;
    assert_int_equal(xoi_decode(xo_slice_str("a%20%ff"), out, sizeof(out), &size), 0);
    assert_int_equal(size, 3);
    assert_memory_equal(out, "a \xff", 3);
    assert_int_equal(xoi_decode(xo_slice_str("%"), out, sizeof(out), &size), -1);
    assert_int_equal(xoi_decode(xo_slice_str("%4"), out, sizeof(out), &size), -1);
    assert_int_equal(xoi_decode(xo_slice_str("%4g"), out, sizeof(out), &size), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(xoi_decode(xo_slice_str("123456789"), out, sizeof(out), &size), -1);
    assert_int_equal(errno, ENOBUFS);
}

static void actor_ids(void **state)
{
    (void)state;
    char id[XO_RECORD_ID_BYTES], uid[255];
    size_t size;
    assert_int_equal(xo_registry_actor_id(xo_slice_str("a@b c"), "0f", id, sizeof(id)), 0);
    assert_string_equal(id, "a%40b%20c@0f");
    assert_int_equal(xo_registry_actor_uid(id, uid, sizeof(uid), &size), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(uid, "a@b c", 5);
    assert_int_equal(xo_registry_actor_id(xo_slice("", 0), "0f", id, sizeof(id)), -1);
    assert_int_equal(xo_registry_actor_id(xo_slice_str("a"), "", id, sizeof(id)), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(xo_registry_name_id(xo_slice_str("xo:b c@"), id, sizeof(id)), 0);
    assert_string_equal(id, "xo:b%20c%40");
    assert_int_equal(xo_registry_name_id(xo_slice_str("xo:b"), id, 4), -1);
    assert_int_equal(xo_registry_actor_id(xo_slice_str("a"), "0f", id, 4), -1);
    assert_int_equal(errno, ENOBUFS);
    assert_int_equal(xo_registry_actor_id(xo_slice_str("a"), "0f", id, 5), 0);
}

/* ---- records ---- */

static void records_sort_and_drop_doubles(void **state)
{
    (void)state;
    static const char *const ids[] = {"b", "a", "b", "c"};
    xo_records_t *records = xoi_records_create();
    xo_record_t *list;
    size_t count;
    for (size_t i = 0; i < 4; i++) {
        xoi_records_begin(records, xo_slice_str(ids[i]));
        for (size_t f = 0; f < i; f++)
            xoi_records_field(records, xo_slice_str("n"), xo_slice_str(ids[i]));
    }
    assert_int_equal(xoi_records_finish(records, true, &list, &count), 0);
    assert_int_equal(count, 3);
    assert_string_equal(list[0].id, "a");
    assert_string_equal(list[2].id, "c");
    assert_int_equal(list[2].count, 3);
    assert_true(xo_slice_eq_str(xoi_record_field(&list[2], "n"), "c"));
    assert_null(xoi_record_field(&list[2], "m").data);
    xoi_records_destroy(records);
    assert_int_equal(xoi_records_finish(NULL, true, &list, &count), -1);
    assert_int_equal(errno, ENOMEM);
}

/* ---- Redis' errors, backoff ---- */

static void check_error(const char *said, int errnum)
{
    static redis_t redis;
    char text[XO_ERROR_TEXT_BYTES];
    snprintf(redis.base.url, sizeof(redis.base.url), "redis://h:1/0");
    assert_int_equal(xoi_redis_error(&redis, said, text, sizeof(text)), errnum);
    assert_non_null(strstr(text, "redis://h:1/0"));
    assert_null(strstr(text, "SECRET"));
}

static void errors_of_redis(void **state)
{
    (void)state;
    check_error("NOAUTH Authentication required.", EACCES);
    check_error("WRONGPASS invalid username-password pair or user is disabled.", EACCES);
    check_error("ERR invalid password", EACCES);
    check_error("ERR Client sent AUTH, but no password is set", EACCES);
    check_error("NOPERM this user has no permissions", EACCES);
    check_error("READONLY You can't write against a read only replica.", EROFS);
    check_error("OOM command not allowed when used memory > 'maxmemory'.", ENOSPC);
    check_error("ERR Error running script (call to f_1): @user_script:3: @user_script: 3: -OOM "
                "command not allowed when used memory > 'maxmemory'.",
                ENOSPC);
    check_error("LOADING Redis is loading the dataset in memory", EBUSY);
    check_error("MISCONF Redis is configured to save RDB snapshots", EIO);
    check_error("MOVED 1234 10.0.0.1:6379", EINVAL);
    check_error("ERR unknown command 'AUTH', with args beginning with: 'SECRET' ", EIO);
    check_error("ERR something\r\nSECRET", EIO);
}

static void backoff_grows_and_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(xoi_redis_backoff_ms(0, true, 123), 5);
    assert_int_equal(xoi_redis_backoff_ms(REDIS_QUICK_TRIES - 1, true, 123), 5);
    assert_int_equal(xoi_redis_backoff_ms(REDIS_QUICK_TRIES, true, 123), 50);
    assert_int_equal(xoi_redis_backoff_ms(0, false, 4000000000u), 50);
    for (unsigned tries = 0; tries < 1000; tries++) {
        int64_t ms = xoi_redis_backoff_ms(tries, false, tries * 2654435761u);
        int64_t most = tries < 6 ? 50 << tries : 2000;
        assert_in_range(ms, 50, most);
    }
    assert_int_equal(xoi_redis_backoff_ms(1000, false, 1950), 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls),
        cmocka_unit_test(sentinels),
        cmocka_unit_test(sentinels_with_a_password),
        cmocka_unit_test(bad_urls_hide_their_password),
        cmocka_unit_test(bad_ports_are_shown),
        cmocka_unit_test(long_urls),
        cmocka_unit_test(what_other_machines_may_be_in),
        cmocka_unit_test(the_password_may_be_in_a_file),
        cmocka_unit_test(a_bad_password_file_is_named),
        cmocka_unit_test(a_pipe_for_a_password_is_not_waited_for),
        cmocka_unit_test(encoding),
        cmocka_unit_test(decoding),
        cmocka_unit_test(actor_ids),
        cmocka_unit_test(records_sort_and_drop_doubles),
        cmocka_unit_test(errors_of_redis),
        cmocka_unit_test(backoff_grows_and_is_bounded),
    };
    return run_tap(tests);
}
