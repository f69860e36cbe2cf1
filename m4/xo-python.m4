# XO_PYTHON: the interpreter that PYTHON names (or the first python3 found), used to run tests, and
# its headers, without which the Python package is left out.
AC_DEFUN([XO_PYTHON], [
  AC_ARG_WITH([python],
    [AS_HELP_STRING([--with-python], [build and install the Python package @<:@if Python.h is found@:>@])],
    [], [with_python=auto])
  # The real interpreter, not a shim or a link whose meaning may change.
  AS_IF([test -z "$PYTHON"], [AC_CHECK_PROGS([PYTHON], [python3 python])])
  AS_IF([test -n "$PYTHON"],
    [PYTHON=$("$PYTHON" -c 'import sys; print(sys.executable)' || echo "$PYTHON")])
  AM_PATH_PYTHON([3.9], [], [PYTHON=:])
  xo_have_python=no
  AS_IF([test "x$with_python" != xno && test "x$PYTHON" != x:], [
    xo_python_include=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    AC_MSG_CHECKING([for Python.h of $PYTHON])
    xo_save_CPPFLAGS=$CPPFLAGS
    CPPFLAGS="$CPPFLAGS -I$xo_python_include"
    AC_PREPROC_IFELSE([AC_LANG_PROGRAM([[#include <Python.h>]])], [xo_have_python=yes])
    CPPFLAGS=$xo_save_CPPFLAGS
    AC_MSG_RESULT([$xo_have_python])
  ])
  AS_IF([test "x$with_python" = xyes && test $xo_have_python = no],
    [AC_MSG_ERROR([--with-python needs a Python of 3.9 or later with its headers: apt-get install python3-dev, or set PYTHON])])
  AS_IF([test $xo_have_python = yes], [
    PYTHON_CFLAGS=-I$xo_python_include
    xo_python_summary="$PYTHON ($PYTHON_VERSION)"
  ], [xo_python_summary="no (the package xoscar is left out)"])
  AC_SUBST([PYTHON_CFLAGS])
  AM_CONDITIONAL([PYTHON], [test $xo_have_python = yes])
])
