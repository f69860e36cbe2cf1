# The extension _xo and the package xoscar. In the build tree the extension is python/_xo.so, so
# that PYTHONPATH=SRC/python:BUILD/python finds both.
if PYTHON
# Uncomment when python/_xo/ is there.
#pyexec_LTLIBRARIES = python/_xo.la
#python__xo_la_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_CFLAGS)
## CPython's headers and its function pointer casts do not take all our warnings.
#python__xo_la_CFLAGS = $(AM_CFLAGS) -Wno-missing-prototypes -Wno-cast-function-type
#python__xo_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -export-symbols-regex '^PyInit__xo$$'
#python__xo_la_LIBADD = libxo.la
#python__xo_la_SOURCES = \
#	python/_xo/module.c

#all-local: python/_xo.so
#python/_xo.so: python/_xo.la
#	$(AM_V_GEN)rm -f $@ && $(LN_S) .libs/_xo.so $@
#CLEANFILES += python/_xo.so

#xoscardir = $(pyexecdir)/xoscar
#xoscar_PYTHON =
endif
