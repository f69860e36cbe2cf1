# The extension _xo and the package xoscar. In the build tree the extension is python/_xo.so, so
# that PYTHONPATH=SRC/python:BUILD/python finds both.
if PYTHON
pyexec_LTLIBRARIES = python/_xo.la
python__xo_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/python $(PYTHON_CFLAGS) $(ZMQ_CFLAGS) \
	-DXOPY_BINDIR='"$(bindir)"'
# CPython's headers and its function pointer casts do not take all our warnings.
python__xo_la_CFLAGS = $(AM_CFLAGS) -Wno-missing-prototypes -Wno-cast-function-type
python__xo_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -export-symbols-regex '^PyInit__xo$$'
python__xo_la_LIBADD = libxo.la $(ZMQ_LIBS)
python__xo_la_SOURCES = \
	python/_xo/actor.c \
	python/_xo/actor.h \
	python/_xo/batch.c \
	python/_xo/batch.h \
	python/_xo/body.c \
	python/_xo/buffer.c \
	python/_xo/buffer.h \
	python/_xo/call.c \
	python/_xo/call.h \
	python/_xo/compat.c \
	python/_xo/compat.h \
	python/_xo/decode.c \
	python/_xo/encode.c \
	python/_xo/failure.c \
	python/_xo/failure.h \
	python/_xo/future.c \
	python/_xo/future.h \
	python/_xo/here.c \
	python/_xo/here.h \
	python/_xo/home.c \
	python/_xo/home.h \
	python/_xo/host.c \
	python/_xo/internal.c \
	python/_xo/internal.h \
	python/_xo/mark.c \
	python/_xo/mark.h \
	python/_xo/method.c \
	python/_xo/module.c \
	python/_xo/own.c \
	python/_xo/own.h \
	python/_xo/pending.c \
	python/_xo/poll.c \
	python/_xo/pool.c \
	python/_xo/pool.h \
	python/_xo/pump.c \
	python/_xo/ref.c \
	python/_xo/ref.h \
	python/_xo/respond.c \
	python/_xo/room.c \
	python/_xo/room.h \
	python/_xo/run.c \
	python/_xo/run.h \
	python/_xo/runtime.c \
	python/_xo/runtime.h \
	python/_xo/send.c \
	python/_xo/send.h \
	python/_xo/state.h \
	python/_xo/values.h \
	python/_xo/watch.c \
	python/_xo/watch.h

all-local: python/_xo.so
# Each make finds the library older than its .la; a link that is there stays, since programs use it.
python/_xo.so: python/_xo.la
	$(AM_V_GEN)test -L $@ || $(LN_S) .libs/_xo.so $@
CLEANFILES += python/_xo.so

xoscardir = $(pyexecdir)/xoscar
xoscar_PYTHON = \
	python/xoscar/__init__.py \
	python/xoscar/_buffers.py \
	python/xoscar/_cluster.py \
	python/xoscar/_copy.py \
	python/xoscar/_create_pool.py \
	python/xoscar/_cuda.py \
	python/xoscar/_failure.py \
	python/xoscar/_fork.py \
	python/xoscar/_generator.py \
	python/xoscar/_glue.py \
	python/xoscar/_group.py \
	python/xoscar/_lean.py \
	python/xoscar/_lookup.py \
	python/xoscar/_monitor.py \
	python/xoscar/_node.py \
	python/xoscar/_pickle.py \
	python/xoscar/_prometheus.py \
	python/xoscar/_records.py \
	python/xoscar/_remake.py \
	python/xoscar/_restart.py \
	python/xoscar/_settle.py \
	python/xoscar/_shown.py \
	python/xoscar/_spare.py \
	python/xoscar/_stream.py \
	python/xoscar/_streams.py \
	python/xoscar/_views.py \
	python/xoscar/_watch.py \
	python/xoscar/api.py \
	python/xoscar/batch.py \
	python/xoscar/context.py \
	python/xoscar/core.py \
	python/xoscar/debug.py \
	python/xoscar/errors.py \
	python/xoscar/metrics.py \
	python/xoscar/pool.py \
	python/xoscar/serialization.py \
	python/xoscar/utils.py
dist_xoscar_DATA = \
	python/xoscar/_types.pyi \
	python/xoscar/py.typed
xoscaraiodir = $(xoscardir)/aio
xoscaraio_PYTHON = \
	python/xoscar/aio/__init__.py \
	python/xoscar/aio/file.py
xoscarbackendsdir = $(xoscardir)/backends
xoscarbackends_PYTHON = \
	python/xoscar/backends/__init__.py \
	python/xoscar/backends/_options.py \
	python/xoscar/backends/_plan.py \
	python/xoscar/backends/_report.py \
	python/xoscar/backends/_sub_process.py \
	python/xoscar/backends/allocate_strategy.py \
	python/xoscar/backends/config.py \
	python/xoscar/backends/pool.py \
	python/xoscar/backends/recovery.py \
	python/xoscar/backends/router.py

# Where interpreters are told to write no bytecode, each process would compile the package anew.
all-local: python/bytecode.stamp
python/bytecode.stamp: $(xoscar_PYTHON) $(xoscaraio_PYTHON) $(xoscarbackends_PYTHON)
	$(AM_V_GEN)test ! -w $(srcdir)/python/xoscar || \
		$(PYTHON) -m compileall -q $(srcdir)/python/xoscar
	@touch $@
CLEANFILES += python/bytecode.stamp
endif
EXTRA_DIST += \
	python/pyproject.toml \
	python/setup.py \
	python/tests/actors.py \
	python/tests/conftest.py \
	python/tests/codec_node.py \
	python/tests/flood.py \
	python/tests/surface.py \
	python/tests/values.py
