# Checks for libraries whose failure names the Debian package to install.

# XO_MISSING(WHAT, PACKAGE)
AC_DEFUN([XO_MISSING], [AC_MSG_ERROR([$1 not found. Install it: apt-get install $2])])

# XO_NEED_PKG(PREFIX, MODULE, PACKAGE): sets PREFIX_CFLAGS and PREFIX_LIBS with pkg-config.
AC_DEFUN([XO_NEED_PKG], [PKG_CHECK_MODULES([$1], [$2], [], [XO_MISSING([$2], [$3])])])

# XO_NEED_MSGPACK: msgpack-c, whose pkg-config name changed from msgpack to msgpack-c with 6.0.
AC_DEFUN([XO_NEED_MSGPACK], [
  PKG_CHECK_MODULES([MSGPACK], [msgpack-c], [MSGPACK_PC=msgpack-c], [
    PKG_CHECK_MODULES([MSGPACK], [msgpack >= 3.0], [MSGPACK_PC=msgpack],
      [XO_MISSING([msgpack-c], [libmsgpack-dev])])
  ])
  AC_SUBST([MSGPACK_PC])
])

# XO_NEED_LIB(PREFIX, LIBRARY, FUNCTION, HEADER, PACKAGE): for a library without a .pc file.
AC_DEFUN([XO_NEED_LIB], [
  AC_CHECK_HEADER([$4], [], [XO_MISSING([$4], [$5])])
  AC_CHECK_LIB([$2], [$3], [$1_LIBS=-l$2], [XO_MISSING([lib$2], [$5])])
  AC_SUBST([$1_LIBS])
])

# XO_NEED_HEADER(HEADER, PACKAGE)
AC_DEFUN([XO_NEED_HEADER], [AC_CHECK_HEADER([$1], [], [XO_MISSING([$1], [$2])])])

# XO_SYSTEM_LIBS: what older C libraries keep outside of libc.
AC_DEFUN([XO_SYSTEM_LIBS], [
  xo_save_LIBS=$LIBS
  LIBS=
  AC_SEARCH_LIBS([pthread_create], [pthread])
  AC_SEARCH_LIBS([dlopen], [dl])
  AC_SEARCH_LIBS([shm_open], [rt])
  SYSTEM_LIBS=$LIBS
  LIBS=$xo_save_LIBS
  AC_SUBST([SYSTEM_LIBS])
])

# XO_CMOCKA: unit tests in C need it; nothing else does.
AC_DEFUN([XO_CMOCKA], [
  PKG_CHECK_MODULES([CMOCKA], [cmocka >= 1.1], [xo_have_cmocka=yes], [
    xo_have_cmocka=no
    AC_MSG_WARN([cmocka not found, so `make check` runs no unit tests in C: apt-get install libcmocka-dev])
  ])
  AM_CONDITIONAL([CMOCKA], [test "x$xo_have_cmocka" = xyes])
])

# XO_CUDA: the headers only; libcuda is opened when it is first needed, never linked.
AC_DEFUN([XO_CUDA], [
  AC_PATH_PROG([NVCC], [nvcc], [], [$PATH:/usr/local/cuda/bin])
  AS_IF([test -n "$NVCC"],
    [xo_cuda_include=$(cd "$(dirname "$NVCC")/../include" 2>/dev/null && pwd)])
  xo_save_CPPFLAGS=$CPPFLAGS
  AS_IF([test -n "$xo_cuda_include"], [CPPFLAGS="$CPPFLAGS -I$xo_cuda_include"])
  AC_CHECK_HEADERS([cuda.h], [xo_have_cuda=yes], [xo_have_cuda=no])
  CPPFLAGS=$xo_save_CPPFLAGS
  AS_IF([test "$xo_have_cuda" = yes && test -n "$xo_cuda_include"],
    [CUDA_CFLAGS=-I$xo_cuda_include])
  AC_SUBST([CUDA_CFLAGS])
  AM_CONDITIONAL([CUDA], [test "$xo_have_cuda" = yes])
])

# XO_CLANG_FORMAT: for `make format` and `make format-check`.
AC_DEFUN([XO_CLANG_FORMAT],
  [AC_PATH_PROGS([CLANG_FORMAT], [clang-format-14 clang-format], [clang-format])])
