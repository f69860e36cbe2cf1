/* unit.h - what every unit test of the codec includes: cmocka and what it needs before it. */
#ifndef XO_T_UNIT_H
#define XO_T_UNIT_H

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* `call` fails with `errnum`. */
#define assert_errno(call, errnum)                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        assert_int_equal((call), -1);                                                              \
        assert_int_equal(errno, (errnum));                                                         \
    } while (0)

/* Of this process, give or take the one that looks. */
static inline int count_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* What a file has, up to 4 KiB of text, until the next call. */
static inline const char *file_text(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

/* Runs the group `tests`, reporting TAP. */
#define run_tap(tests)                                                                             \
    (cmocka_set_message_output(CM_OUTPUT_TAP), cmocka_run_group_tests((tests), NULL, NULL))

#endif
