# The objects besides main.c are in an archive, so that unit tests can link them: add
# broker/libxo-broker.la to the test's _LDADD.
noinst_LTLIBRARIES += broker/libxo-broker.la
broker_libxo_broker_la_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS) $(INIH_CFLAGS) $(SODIUM_CFLAGS)
broker_libxo_broker_la_LIBADD = $(ZMQ_LIBS) $(INIH_LIBS) $(SODIUM_LIBS)
# One file a line, sorted.
broker_libxo_broker_la_SOURCES = \
	broker/again.c \
	broker/ask.c \
	broker/ask.h \
	broker/astray.c \
	broker/barrier.c \
	broker/broker.c \
	broker/broker.h \
	broker/broker_impl.h \
	broker/cgroup.c \
	broker/cgroup.h \
	broker/command.c \
	broker/command.h \
	broker/depends.c \
	broker/directory.c \
	broker/directory.h \
	broker/drain.c \
	broker/ends.c \
	broker/entrance.c \
	broker/events.c \
	broker/facts.c \
	broker/gpu.c \
	broker/gpu.h \
	broker/group_fail.c \
	broker/group_methods.c \
	broker/group_reload.c \
	broker/group_run.c \
	broker/groups.c \
	broker/groups.h \
	broker/ini.c \
	broker/ini.h \
	broker/insist.c \
	broker/known.c \
	broker/known.h \
	broker/launch.c \
	broker/launch.h \
	broker/leave.c \
	broker/letters.c \
	broker/lists.c \
	broker/liveness.c \
	broker/liveness.h \
	broker/log.c \
	broker/log.h \
	broker/lookup.c \
	broker/membership.c \
	broker/methods.c \
	broker/moves.c \
	broker/names.c \
	broker/node.c \
	broker/node.h \
	broker/node_dir.c \
	broker/node_dir.h \
	broker/node_guard.c \
	broker/node_guard.h \
	broker/notify.c \
	broker/notify.h \
	broker/oom_killer.c \
	broker/oom_killer.h \
	broker/outlet.c \
	broker/own_registry.c \
	broker/own_registry.h \
	broker/doors.c \
	broker/placement.c \
	broker/placement.h \
	broker/places.c \
	broker/policy.c \
	broker/policy.h \
	broker/pools.c \
	broker/pools.h \
	broker/process.c \
	broker/process.h \
	broker/publish.c \
	broker/publish.h \
	broker/publish_impl.h \
	broker/reap.c \
	broker/record.c \
	broker/record.h \
	broker/recover.c \
	broker/refresh.c \
	broker/relay.c \
	broker/reload.c \
	broker/runs.c \
	broker/runs.h \
	broker/restart.c \
	broker/revive.c \
	broker/revocations.c \
	broker/revocations.h \
	broker/seal.c \
	broker/seal.h \
	broker/settings.c \
	broker/settings.h \
	broker/slots.c \
	broker/slots.h \
	broker/spare.c \
	broker/spec.c \
	broker/spec.h \
	broker/specs.c \
	broker/specs.h \
	broker/stall.c \
	broker/stop.c \
	broker/strategy.c \
	broker/strategy.h \
	broker/sweep.c \
	broker/sweep.h \
	broker/twins.c \
	broker/starts.c \
	broker/supervisor.c \
	broker/supervisor.h \
	broker/supervisor_impl.h \
	broker/takeover.c \
	broker/wait.c \
	broker/waiters.c

bin_PROGRAMS += xo-broker
xo_broker_LDADD = broker/libxo-broker.la registry/libxo-registry.la libxo.la
xo_broker_SOURCES = \
	broker/main.c
