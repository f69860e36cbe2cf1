# XO_COMPILER: the language, the warnings, and the builds that look for defects.
AC_DEFUN([XO_COMPILER], [
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [treat warnings as errors])], [], [enable_werror=no])
  AC_ARG_ENABLE([sanitizers],
    [AS_HELP_STRING([--enable-sanitizers=LIST],
      [build with -fsanitize=LIST: address,undefined or thread])], [], [enable_sanitizers=no])
  AC_ARG_ENABLE([fuzzers],
    [AS_HELP_STRING([--enable-fuzzers], [build the libFuzzer targets; needs CC=clang])],
    [], [enable_fuzzers=no])

  XO_CFLAGS="-std=gnu11 -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes"
  dnl Nobody replaces functions of libxo.so, so its own calls of them need no detour.
  XO_CFLAGS="$XO_CFLAGS -fno-semantic-interposition"
  AS_IF([test "x$enable_werror" = xyes], [XO_CFLAGS="$XO_CFLAGS -Werror"])
  AS_IF([test "x$enable_sanitizers" = xyes], [enable_sanitizers=address,undefined])
  AS_IF([test "x$enable_sanitizers" != xno], [
    XO_CFLAGS="$XO_CFLAGS -fsanitize=$enable_sanitizers -fno-sanitize-recover=undefined"
    XO_CFLAGS="$XO_CFLAGS -fno-omit-frame-pointer"
    XO_LDFLAGS="-fsanitize=$enable_sanitizers"
  ])
  AS_IF([test "x$enable_fuzzers" != xno], [
    xo_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -fsanitize=fuzzer-no-link"
    AC_MSG_CHECKING([whether $CC can build libFuzzer targets])
    AC_LINK_IFELSE([AC_LANG_PROGRAM], [AC_MSG_RESULT([yes])], [
      AC_MSG_RESULT([no])
      AC_MSG_ERROR([--enable-fuzzers needs clang and its runtime: apt-get install clang, then ./configure CC=clang --enable-fuzzers])
    ])
    CFLAGS=$xo_save_CFLAGS
    XO_CFLAGS="$XO_CFLAGS -fsanitize=fuzzer-no-link"
  ])
  AM_CONDITIONAL([FUZZERS], [test "x$enable_fuzzers" != xno])
  AM_CONDITIONAL([SANITIZERS], [test "x$enable_sanitizers" != xno])
  AC_SUBST([XO_CFLAGS])
  AC_SUBST([XO_LDFLAGS])
])
