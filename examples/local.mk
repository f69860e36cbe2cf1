# Examples in C are built with everything else (noinst_PROGRAMS, and modules as noinst_LTLIBRARIES
# with -module -rpath /nowhere, which are then examples/.libs/NAME.so). Those in Python: EXTRA_DIST.
