/* address.c - unit tests of libxo/address.h. */

#include "libxo/address.h"
#include "t/unit.h"

typedef struct good {
    const char *text, *host;
    int port;
    const char *formatted;
} good_t;

static void parses(void **state)
{
    static const good_t goods[] = {
        {"host", "host", 0, "host:0"},
        {"host:1", "host", 1, "host:1"},
        {"node-1.rack_2.example:65535", "node-1.rack_2.example", 65535,
         "node-1.rack_2.example:65535"},
        {"10.0.0.1:7000", "10.0.0.1", 7000, "10.0.0.1:7000"},
        {"0.0.0.0:0", "0.0.0.0", 0, "0.0.0.0:0"},
        {"h:00007", "h", 7, "h:7"},
        {"::1", "::1", 0, "[::1]:0"},
        {"[::1]", "::1", 0, "[::1]:0"},
        {"[::1]:7000", "::1", 7000, "[::1]:7000"},
        {"fe80::1:2", "fe80::1:2", 0, "[fe80::1:2]:0"},
        {"[::ffff:10.0.0.1]:1", "::ffff:10.0.0.1", 1, "[::ffff:10.0.0.1]:1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof goods[0]; i++) {
        xo_address_t address;
        char text[XO_ADDRESS_BYTES];
        assert_int_equal(xo_address_parse(goods[i].text, &address, NULL), 0);
        assert_string_equal(address.host, goods[i].host);
        assert_int_equal(address.port, goods[i].port);
        assert_int_equal(xo_address_format(&address, text, sizeof text), 0);
        assert_string_equal(text, goods[i].formatted);
    }
}

static void refuses(void **state)
{
    static const char *const bad[] = {
        "",          ":",        ":1",        "h:",       "h:x",    "h:-1",      "h:+1",
        "h: 1",      "h:1 ",     "h:65536",   "h:999999", "h:0x10", "a b",       "a/b",
        "tcp://h:1", "[",        "[]",        "[]:1",     "[::1",   "[::1]1",    "[::1]:",
        "[::1]:x",   "[host]:1", "1:2:3",     "::g",      "1.2.3",  "1.2.3.4.5", "256.1.1.1",
        "*",         "*:1",      "[[::1]]:1", "::1]",     "h\n:1",  "h:1\n",     "h:655360000",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        xo_address_t address;
        xo_error_t err;
        assert_errno(xo_address_parse(bad[i], &address, &err), EINVAL);
        if (!strchr(bad[i], '\n'))
            assert_non_null(strstr(err.text, bad[i]));
    }
}

static void knows_places_behind_a_port(void **state)
{
    xo_address_t address, door;
    char text[64];
    (void)state;
    assert_int_equal(xo_address_parse("[::1]:70000003", &address, NULL), 0);
    assert_true(xo_address_is_behind(&address));
    door = xo_address_door(&address);
    assert_int_equal(door.port, 7000);
    assert_false(xo_address_is_behind(&door));
    address = xo_address_place(&door, 9999);
    assert_int_equal(xo_address_format(&address, text, sizeof text), 0);
    assert_string_equal(text, "[::1]:70009999");
    assert_int_equal(xo_address_parse("h:1000000", &address, NULL), 0); /* the first port, 100 */
    assert_int_equal(xo_address_parse("h:655359999", &address, NULL), 0);
    assert_int_equal(xo_address_door(&address).port, XO_PORT_MAX);
    assert_int_equal(xo_address_parse_door("h:7000", &address, NULL), 0);
    assert_int_equal(xo_address_parse_door("h:70005000", &address, NULL), 0);
    assert_int_equal(xo_address_parse_door("h:70009900", &address, NULL), 0);
    assert_errno(xo_address_parse_door("h:70004900", &address, NULL), EINVAL);
    assert_errno(xo_address_parse_door("h:70005001", &address, NULL), EINVAL);
    assert_errno(xo_address_parse_door("h:99", &address, NULL), EINVAL);
    assert_errno(xo_address_parse_door("[::]:7000", &address, NULL), EINVAL);
}

static void refuses_null(void **state)
{
    xo_address_t address;
    xo_error_t err;
    (void)state;
    assert_errno(xo_address_parse(NULL, &address, &err), EINVAL);
    assert_string_equal(err.text, "an address is missing");
}

static void limits_the_host(void **state)
{
    char text[XO_HOST_BYTES + 8], formatted[XO_ADDRESS_BYTES];
    xo_address_t address;
    (void)state;
    memset(text, 'h', sizeof text);
    memcpy(text + XO_HOST_BYTES - 1, ":65535", 7);
    assert_int_equal(xo_address_parse(text, &address, NULL), 0);
    assert_int_equal(strlen(address.host), XO_HOST_BYTES - 1);
    assert_int_equal(xo_address_format(&address, formatted, sizeof formatted), 0);
    assert_string_equal(formatted, text);
    memset(text, 'h', sizeof text);
    memcpy(text + XO_HOST_BYTES, ":6", 3);
    assert_errno(xo_address_parse(text, &address, NULL), EINVAL);
}

static void formats_into_what_fits(void **state)
{
    const xo_address_t address = {.host = "abc", .port = 12};
    char text[8];
    (void)state;
    assert_int_equal(xo_address_format(&address, text, sizeof "abc:12"), 0);
    assert_errno(xo_address_format(&address, text, sizeof "abc:12" - 1), ENOBUFS);
    assert_errno(xo_address_format(&address, text, 0), ENOBUFS);
}

static void knows_any(void **state)
{
    static const char *const any[] = {
        "0.0.0.0", "0", "0x0.0", "::", "0::0", "::0", "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0"};
    static const char *const some[] = {"127.0.0.1", "1",  "0x7f.1",           "::1",
                                       "host",      "0a", "::ffff:127.0.0.1", "0.0.0.1"};
    (void)state;
    for (size_t i = 0; i < sizeof any / sizeof any[0]; i++) {
        xo_address_t address = {.port = 1};
        strcpy(address.host, any[i]);
        assert_true(xo_address_is_any(&address));
        strcpy(address.host, some[i]);
        assert_false(xo_address_is_any(&address));
    }
}

static void knows_the_loopback(void **state)
{
    static const char *const loop[] = {"127.0.0.1", "127.9.8.7", "::1", "localhost", "LocalHost"};
    static const char *const other[] = {"128.0.0.1", "0.0.0.0", "::", "localhost.example", "host"};
    (void)state;
    for (size_t i = 0; i < sizeof loop / sizeof loop[0]; i++) {
        xo_address_t address = {.port = 1};
        strcpy(address.host, loop[i]);
        assert_true(xo_address_is_loopback(&address));
        strcpy(address.host, other[i]);
        assert_false(xo_address_is_loopback(&address));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses),
        cmocka_unit_test(refuses),
        cmocka_unit_test(knows_places_behind_a_port),
        cmocka_unit_test(refuses_null),
        cmocka_unit_test(limits_the_host),
        cmocka_unit_test(formats_into_what_fits),
        cmocka_unit_test(knows_any),
        cmocka_unit_test(knows_the_loopback),
    };
    return run_tap(tests);
}
