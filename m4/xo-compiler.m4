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
  dnl x86's instruction that clears memory takes longer to begin than memset does for a message.
  xo_save_CFLAGS=$CFLAGS
  xo_clear="-mmemset-strategy=libcall:-1:noalign"
  CFLAGS="$CFLAGS -Werror $xo_clear"
  AC_MSG_CHECKING([whether $CC calls memset where it is told to])
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM], [
    AC_MSG_RESULT([yes])
    XO_CFLAGS="$XO_CFLAGS $xo_clear"
  ], [AC_MSG_RESULT([no])])
  CFLAGS=$xo_save_CFLAGS
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
  AC_ARG_ENABLE([lto],
    [AS_HELP_STRING([--disable-lto], [optimize each file of libxo.so by itself])],
    [], [enable_lto=auto])
  dnl The objects hold both kinds of code: the tests link them without it. Clang's do not.
  AS_IF([test "x$enable_lto$enable_sanitizers$enable_fuzzers" = xautonono], [
    xo_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror -flto=auto -ffat-lto-objects"
    AC_MSG_CHECKING([whether $CC optimizes when it links])
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#ifdef __clang__
#error "not with this compiler"
#endif]])], [enable_lto=yes], [enable_lto=no])
    AC_MSG_RESULT([$enable_lto])
    CFLAGS=$xo_save_CFLAGS
  ])
  XO_LTO=
  AS_IF([test "x$enable_lto" = xyes], [
    XO_LTO="-flto=auto -ffat-lto-objects"
    XO_LDFLAGS="$XO_LDFLAGS -fno-lto"
  ])
  AC_SUBST([XO_LTO])
  AM_CONDITIONAL([FUZZERS], [test "x$enable_fuzzers" != xno])
  AM_CONDITIONAL([SANITIZERS], [test "x$enable_sanitizers" != xno])
  AC_SUBST([XO_CFLAGS])
  AC_SUBST([XO_LDFLAGS])
])
