/* unit.h - what every unit test of the codec includes: cmocka and what it needs before it. */
#ifndef XO_T_UNIT_H
#define XO_T_UNIT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* `call` fails with `errnum`. */
#define assert_errno(call, errnum)                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        assert_int_equal((call), -1);                                                              \
        assert_int_equal(errno, (errnum));                                                         \
    } while (0)

/* Runs the group `tests`, reporting TAP. */
#define run_tap(tests)                                                                             \
    (cmocka_set_message_output(CM_OUTPUT_TAP), cmocka_run_group_tests((tests), NULL, NULL))

#endif
