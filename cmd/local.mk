# xo, the operator's tool. All but main.c is an archive, so that unit tests can link it.
noinst_LTLIBRARIES += cmd/libxo-tool.la
cmd_libxo_tool_la_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS) $(JSON_C_CFLAGS) $(HIREDIS_CFLAGS) \
	-DXO_LIBEXECDIR='"$(libexecdir)"'
cmd_libxo_tool_la_LIBADD = $(JSON_C_LIBS) $(HIREDIS_LIBS) -lm
# One file a line, sorted.
cmd_libxo_tool_la_SOURCES = \
	cmd/actors.c \
	cmd/call.c \
	cmd/command.h \
	cmd/dead-letters.c \
	cmd/doctor-machine.c \
	cmd/doctor-net.c \
	cmd/doctor-node.c \
	cmd/doctor-peer.c \
	cmd/doctor-registry.c \
	cmd/doctor.c \
	cmd/doctor.h \
	cmd/drain.c \
	cmd/events.c \
	cmd/groups.c \
	cmd/help.c \
	cmd/json-read.c \
	cmd/json.c \
	cmd/json.h \
	cmd/keys.c \
	cmd/list.c \
	cmd/node.c \
	cmd/node.h \
	cmd/nodes.c \
	cmd/options.c \
	cmd/options.h \
	cmd/pools.c \
	cmd/revive.c \
	cmd/start.c \
	cmd/status.c \
	cmd/stop.c \
	cmd/table.c \
	cmd/table.h \
	cmd/text.c \
	cmd/text.h \
	cmd/version.c

bin_PROGRAMS += xo
xo_LDADD = cmd/libxo-tool.la registry/libxo-registry.la libxo.la
xo_SOURCES = \
	cmd/main.c
