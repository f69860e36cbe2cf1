# Tests. All speak TAP on standard output.
#
#   t/NAME.c        a unit test with cmocka, linked statically: add t/NAME to unit_tests. Its source
#                   is t/NAME.c unless t_NAME_SOURCES says otherwise.
#   t/NNNN-NAME.t   a system test, an executable script (sh, bash, python): add it to system_tests.
#   t/test_NAME.py  tests in Python for pytest: add it to python_tests.
#   t/fuzz-NAME.c   a libFuzzer target: add t/fuzz-NAME to fuzz_targets, and t/replay-NAME, which runs
#                   it over t/corpus/NAME/ without libFuzzer, to unit_tests.
#
# One file a line, sorted.
unit_tests = \
	t/address \
	t/again \
	t/broker \
	t/broker-group \
	t/broker-late \
	t/broker-recover \
	t/broker-specs \
	t/bulk \
	t/bulk-hostile \
	t/bundle \
	t/cache \
	t/cgroup \
	t/codec \
	t/ctx \
	t/directory \
	t/endpoint \
	t/error \
	t/example-modules \
	t/failure \
	t/faults \
	t/format \
	t/keys \
	t/known \
	t/lane \
	t/lane-fake \
	t/lane-hostile \
	t/lane-linger \
	t/lane-shm \
	t/lane-shm-bulk \
	t/lane-shm-hostile \
	t/lane-shm-step \
	t/lane-silence \
	t/lane-tcp \
	t/lane-threads \
	t/lane-zmq \
	t/limits \
	t/line \
	t/liveness \
	t/loop \
	t/loop-end \
	t/loop-look \
	t/loop-zmq \
	t/lost \
	t/module \
	t/msg \
	t/msgq \
	t/mute \
	t/news \
	t/oom \
	t/oom-killer \
	t/pack \
	t/placement \
	t/policy \
	t/pool \
	t/pool-again \
	t/pool-heartbeat \
	t/pool-answers \
	t/pool-delivery \
	t/pool-env \
	t/pool-group \
	t/pool-join \
	t/pool-letters \
	t/pool-link \
	t/pool-monitor \
	t/pool-mute \
	t/pool-owner \
	t/pool-recover \
	t/pool-threads \
	t/pool-turns \
	t/pool-watch \
	t/port \
	t/private-redis \
	t/process \
	t/registry \
	t/registry-claims \
	t/registry-redis \
	t/registry-refusals \
	t/registry-shared \
	t/registry-text \
	t/progress \
	t/quota \
	t/relay \
	t/replay-codec \
	t/replay-handshake \
	t/replay-keys \
	t/ring \
	t/rogue \
	t/settings \
	t/shelf \
	t/sim \
	t/slots \
	t/specs \
	t/stall \
	t/steady \
	t/strategy \
	t/stream \
	t/sweep \
	t/table \
	t/target \
	t/target-again \
	t/tool \
	t/vectors \
	t/ways

# Those that start threads: a subset, run under ThreadSanitizer too.
threaded_tests = \
	t/cache \
	t/keys \
	t/lane-threads \
	t/pool-threads \
	t/progress \
	t/registry-redis \
	t/ring \
	t/shelf

# Not run under valgrind: pidfd_open(2) is unknown to it before 3.20, and what measures deadlines,
# steps through instructions or wants hundreds of handshakes is too slow there; t/steady has an
# allocator of its own. The sanitizers run them all.
valgrind_unfit = \
	t/bulk \
	t/cgroup \
	t/faults \
	t/keys \
	t/lane \
	t/lane-hostile \
	t/lane-linger \
	t/lane-shm-step \
	t/lane-silence \
	t/lane-tcp \
	t/pool-join \
	t/private-redis \
	t/process \
	t/registry-refusals \
	t/stall \
	t/steady \
	t/sweep \
	t/ways

system_tests = \
	t/0001-layers.t \
	t/0200-xo-pool.t \
	t/0210-node-pools.t \
	t/0300-broker.t \
	t/0301-broker-pools.t \
	t/0302-broker-owner.t \
	t/0303-broker-registry.t \
	t/0304-broker-usage.t \
	t/0305-broker-siblings.t \
	t/0306-broker-stalls.t \
	t/0307-broker-killed.t \
	t/0308-groups.t \
	t/0309-broker-gpus.t \
	t/0310-broker-room.t \
	t/0311-broker-asks.t \
	t/0500-xo-usage.t \
	t/0510-xo-node.t \
	t/0520-dead-letters.t \
	t/0530-keys.t \
	t/0531-keys-cluster.t \
	t/0532-names.t \
	t/0533-drain.t \
	t/0534-systemd.t \
	t/0535-sentinel.t \
	t/0536-moves.t \
	t/0537-failover.t \
	t/0538-port.t \
	t/0539-dead-nodes.t \
	t/0540-doctor.t \
	t/0541-deploy.t \
	t/0542-slurm.t \
	t/0543-kubernetes.t \
	t/0544-found-again.t \
	t/0545-twins.t \
	t/0551-garbage.t \
	t/0600-wordcount.t \
	t/0610-client.t \
	t/0620-two-nodes.t \
	t/0700-chaos.t \
	t/0701-chaos-ledger.t \
	t/0702-chaos-mesh.t \
	t/0900-readme.t

python_tests = \
	python/tests/test_actor_classes.py \
	python/tests/test_backpressure.py \
	python/tests/test_batch.py \
	python/tests/test_bounds.py \
	python/tests/test_broker_dies.py \
	python/tests/test_by_value.py \
	python/tests/test_calls.py \
	python/tests/test_cancel.py \
	python/tests/test_codec.py \
	python/tests/test_copy_to.py \
	python/tests/test_create_pool.py \
	python/tests/test_create_timeout.py \
	python/tests/test_debug.py \
	python/tests/test_depends.py \
	python/tests/test_errors.py \
	python/tests/test_exceptions.py \
	python/tests/test_failed.py \
	python/tests/test_fork.py \
	python/tests/test_generator.py \
	python/tests/test_generator_deadlines.py \
	python/tests/test_generator_ends.py \
	python/tests/test_here.py \
	python/tests/test_groups.py \
	python/tests/test_groups_main.py \
	python/tests/test_groups_stop.py \
	python/tests/test_guide.py \
	python/tests/test_hooks.py \
	python/tests/test_idempotent.py \
	python/tests/test_lean.py \
	python/tests/test_loops.py \
	python/tests/test_lost_tells.py \
	python/tests/test_main_module.py \
	python/tests/test_memory.py \
	python/tests/test_metrics.py \
	python/tests/test_monitor.py \
	python/tests/test_moves.py \
	python/tests/test_names.py \
	python/tests/test_on_receive.py \
	python/tests/test_out_of_memory.py \
	python/tests/test_package.py \
	python/tests/test_pool_addresses.py \
	python/tests/test_pool_life.py \
	python/tests/test_pools.py \
	python/tests/test_readme.py \
	python/tests/test_recovery.py \
	python/tests/test_refs.py \
	python/tests/test_remake.py \
	python/tests/test_restart_policy.py \
	python/tests/test_serialization.py \
	python/tests/test_shared_memory.py \
	python/tests/test_spare.py \
	python/tests/test_stalls.py \
	python/tests/test_strategies.py \
	python/tests/test_sub_pool_modules.py \
	python/tests/test_tcp.py \
	python/tests/test_two_pools.py \
	python/tests/test_typing.py \
	python/tests/test_utils.py \
	python/tests/test_values.py \
	python/tests/test_values_calls.py \
	python/tests/test_views.py \
	python/tests/test_yield.py

fuzz_targets = \
	t/fuzz-codec \
	t/fuzz-handshake \
	t/fuzz-keys

LDADD += $(unit_test_libs)
unit_test_libs = \
	registry/libxo-registry.la \
	pool/libxo-pool.la \
	libxo/libxo-core.la \
	$(CMOCKA_LIBS)

broker_test_libs = broker/libxo-broker.la $(unit_test_libs)

# Programs that system tests use.
check_PROGRAMS += \
	t/broker-call \
	t/fake-pool
t_broker_call_CPPFLAGS = $(AM_CPPFLAGS) $(JSON_C_CFLAGS)
t_broker_call_LDADD = $(unit_test_libs) $(JSON_C_LIBS)

noinst_HEADERS += \
	t/broker-rig.h \
	t/bulk-rig.h \
	t/fault-points.h \
	t/fault-steps.h \
	t/lane-rig.h \
	t/module-probe.h \
	t/module-world.h \
	t/node.h \
	t/pool-broker.h \
	t/pool-two.h \
	t/pool-world.h \
	t/recover-world.h \
	t/registry-checks.h \
	t/registry-support.h \
	t/scratch.h \
	t/sim-command.h \
	t/sim-reap.h \
	t/sim-redis.h \
	t/sim-world.h \
	t/transcode.h \
	t/unit.h
EXTRA_DIST += \
	t/corpus \
	t/vectors.txt

t_again_SOURCES = t/again.c t/node.c
t_bulk_SOURCES = t/bulk.c t/bulk-rig.c t/node.c
t_bulk_hostile_SOURCES = t/bulk-hostile.c t/bulk-rig.c t/node.c
t_bundle_SOURCES = t/bundle.c t/lane-rig.c
t_codec_SOURCES = t/codec.c t/node.c
t_endpoint_SOURCES = t/endpoint.c t/node.c
t_faults_SOURCES = \
	t/fault-client.c t/fault-node.c t/fault-parts.c t/fault-points.c t/fault-steps.c \
	t/fault-ties.c t/faults.c
t_faults_LDFLAGS = $(AM_LDFLAGS) $(fault_points_ldflags)
fault_points_ldflags = $(fault_points:%=-Wl,--wrap=%)
fault_points = \
	accept4 asprintf bind calloc chmod connect epoll_create1 epoll_ctl ev_loop_new eventfd \
	fallocate fcntl flock free fsync ftruncate getaddrinfo inotify_add_watch inotify_init1 link listen malloc memfd_create mkdir \
	mkostemp mmap open openat posix_memalign pread pthread_create read realloc recvmsg sendmsg \
	socket strdup strndup syscall timerfd_create vasprintf write zmq_bind zmq_connect zmq_ctx_new \
	zmq_getsockopt zmq_msg_init_data zmq_msg_init_size zmq_msg_recv zmq_msg_send zmq_recv \
	zmq_setsockopt zmq_socket zmq_socket_monitor
t_fuzz_codec_SOURCES = t/fuzz-codec.c t/transcode.c
t_fuzz_codec_LDADD = libxo/libxo-core.la
t_fuzz_codec_LDFLAGS = $(libfuzzer_flags)
t_fuzz_handshake_LDADD = libxo/libxo-core.la
t_fuzz_handshake_LDFLAGS = $(libfuzzer_flags)
t_fuzz_keys_LDADD = libxo/libxo-core.la
t_fuzz_keys_LDFLAGS = $(libfuzzer_flags)
t_keys_SOURCES = t/keys.c t/lane-rig.c
t_lane_SOURCES = t/lane-rig.c t/lane.c
t_lane_fake_SOURCES = t/lane-fake.c t/lane-rig.c
t_lane_hostile_SOURCES = t/lane-hostile.c t/lane-rig.c
t_lane_linger_SOURCES = t/lane-linger.c t/lane-rig.c
t_lane_shm_bulk_SOURCES = t/lane-rig.c t/lane-shm-bulk.c
t_lane_shm_hostile_SOURCES = t/lane-rig.c t/lane-shm-hostile.c
t_lane_shm_step_SOURCES = t/lane-rig.c t/lane-shm-step.c
t_lane_shm_SOURCES = t/lane-rig.c t/lane-shm.c
t_lane_silence_SOURCES = t/lane-rig.c t/lane-silence.c
t_lane_tcp_SOURCES = t/lane-rig.c t/lane-tcp.c
t_lane_threads_SOURCES = t/lane-rig.c t/lane-threads.c
t_lane_zmq_SOURCES = t/lane-rig.c t/lane-zmq.c
t_broker_LDADD = $(broker_test_libs)
t_broker_SOURCES = t/broker-rig.c t/broker.c t/node.c
t_broker_group_LDADD = $(broker_test_libs)
t_broker_group_SOURCES = t/broker-group.c t/broker-rig.c t/node.c
t_broker_late_LDADD = $(broker_test_libs)
t_broker_late_SOURCES = t/broker-late.c t/broker-rig.c t/node.c t/recover-world.c
t_broker_recover_LDADD = $(broker_test_libs)
t_broker_recover_SOURCES = t/broker-recover.c t/broker-rig.c t/node.c t/recover-world.c
t_broker_specs_LDADD = $(broker_test_libs)
t_broker_specs_SOURCES = t/broker-specs.c t/broker-rig.c t/node.c t/recover-world.c
t_cgroup_LDADD = $(broker_test_libs)
t_directory_LDADD = $(broker_test_libs)
t_process_LDADD = $(broker_test_libs)
t_known_LDADD = $(broker_test_libs)
t_liveness_LDADD = $(broker_test_libs)
t_oom_SOURCES = t/node.c t/oom.c
t_oom_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free \
	-Wl,--wrap=zmq_msg_init_size,--wrap=vasprintf
t_oom_killer_LDADD = $(broker_test_libs)
t_policy_LDADD = $(broker_test_libs)
t_port_SOURCES = t/lane-rig.c t/port.c
t_private_redis_SOURCES = t/private-redis.c t/registry-support.c
t_registry_SOURCES = t/registry-checks.c t/registry-support.c t/registry.c
t_registry_shared_SOURCES = t/registry-checks.c t/registry-shared.c t/registry-support.c
t_registry_claims_SOURCES = t/registry-claims.c t/registry-support.c
t_registry_redis_SOURCES = t/registry-redis.c t/registry-support.c
t_registry_refusals_SOURCES = t/registry-refusals.c t/registry-support.c
t_relay_SOURCES = t/node.c t/relay.c
t_replay_codec_SOURCES = t/fuzz-codec.c t/replay.c t/transcode.c
t_replay_handshake_SOURCES = t/fuzz-handshake.c t/replay.c
t_replay_keys_SOURCES = t/fuzz-keys.c t/replay.c
t_rogue_SOURCES = t/node.c t/rogue.c
t_settings_LDADD = $(broker_test_libs)
# What it checks is that czmq reads our keys.
t_ctx_LDADD = $(unit_test_libs) $(CZMQ_LIBS)
EXTRA_DIST += t/sim-plot.py
t_sim_LDADD = $(broker_test_libs) -lm
t_sim_SOURCES = t/sim-command.c t/sim-reap.c t/sim-redis.c t/sim-world.c t/sim.c
t_sim_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=getpid,--wrap=gethostname,--wrap=time \
	-Wl,--wrap=xo_boot_ns,--wrap=xo_lane_send,--wrap=xo_members_watch,--wrap=xo_random_id \
	-Wl,--wrap=xo_registry_open,--wrap=xo_unix_ms
t_placement_LDADD = $(broker_test_libs)
t_slots_LDADD = $(broker_test_libs)
t_specs_LDADD = $(broker_test_libs)
t_stall_LDADD = $(broker_test_libs)
t_stall_SOURCES = t/broker-rig.c t/node.c t/stall.c
t_strategy_LDADD = $(broker_test_libs)
t_sweep_LDADD = $(broker_test_libs)
t_tool_CPPFLAGS = $(AM_CPPFLAGS) $(ZMQ_CFLAGS) $(JSON_C_CFLAGS)
t_tool_LDADD = cmd/libxo-tool.la $(unit_test_libs)
t_vectors_SOURCES = t/transcode.c t/vectors.c
t_line_SOURCES = t/line.c t/node.c
t_line_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=xoi_again_seeks
t_lost_SOURCES = t/lost.c t/node.c
t_mute_SOURCES = t/mute.c t/node.c
t_news_SOURCES = t/news.c t/node.c
t_ways_SOURCES = t/node.c t/ways.c
t_ways_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=bind

# Pools.
t_limits_SOURCES = t/limits.c $(pool_world)
t_pool_SOURCES = t/pool.c $(pool_world)
t_pool_again_SOURCES = t/pool-again.c t/pool-broker.c $(pool_world)
t_pool_heartbeat_SOURCES = t/pool-heartbeat.c t/pool-broker.c $(pool_world)
t_pool_answers_SOURCES = t/pool-answers.c $(pool_world)
t_pool_delivery_SOURCES = t/pool-delivery.c $(pool_world)
t_pool_group_SOURCES = t/pool-group.c t/pool-broker.c $(pool_world)
t_pool_join_SOURCES = t/pool-join.c $(pool_world)
t_pool_letters_SOURCES = t/pool-letters.c $(pool_world)
t_pool_link_SOURCES = t/pool-link.c t/pool-two.c $(pool_world)
t_pool_monitor_SOURCES = t/pool-monitor.c t/pool-two.c $(pool_world)
t_pool_mute_SOURCES = t/pool-mute.c $(pool_world)
t_pool_owner_SOURCES = t/pool-owner.c $(pool_world)
t_pool_recover_SOURCES = t/pool-recover.c t/pool-broker.c $(pool_world)
t_pool_threads_SOURCES = t/pool-threads.c $(pool_world)
t_pool_turns_SOURCES = t/pool-turns.c $(pool_world)
t_pool_watch_SOURCES = t/pool-watch.c $(pool_world)
t_target_again_SOURCES = t/pool-broker.c t/target-again.c $(pool_world)
pool_world = t/pool-peer.c t/pool-world.c

# Modules are linked with libxo.so, so what loads them is too.
t_example_modules_SOURCES = t/example-modules.c $(module_world)
t_example_modules_LDADD = libxo.la $(CMOCKA_LIBS)
t_module_SOURCES = t/module-probe.c t/module.c $(module_world)
t_module_LDADD = libxo.la $(CMOCKA_LIBS)
t_target_SOURCES = t/module-probe.c t/target.c $(module_world)
t_target_LDADD = libxo.la $(CMOCKA_LIBS)
module_world = t/module-world.c $(pool_world)
check_LTLIBRARIES += t/chaos-actors.la t/module-abi.la t/module-empty.la t/module-stuck.la
t_chaos_actors_la_SOURCES = t/chaos-actors.c
t_chaos_actors_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere
t_chaos_actors_la_LIBADD = libxo.la
t_module_abi_la_SOURCES = t/module-abi.c
t_module_abi_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere
t_module_empty_la_SOURCES = t/module-empty.c
t_module_empty_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere
t_module_stuck_la_SOURCES = t/module-stuck.c
t_module_stuck_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -rpath /nowhere
t_module_stuck_la_LIBADD = libxo.la

# What the system tests call actors with.
check_PROGRAMS += t/call t/group
t_call_LDADD = libxo.la
t_group_LDADD = libxo.la

# --help, or mesh.py
chaos = \
	t/chaos/chaos.py \
	t/chaos/chaos_actors.py \
	t/chaos/checks.py \
	t/chaos/connections.py \
	t/chaos/faults.py \
	t/chaos/keys.py \
	t/chaos/ledger.py \
	t/chaos/loads.py \
	t/chaos/machines.py \
	t/chaos/mesh.py \
	t/chaos/mesh_faults.py \
	t/chaos/mesh_tells.py \
	t/chaos/mesh_world.py \
	t/chaos/place.py \
	t/chaos/sabotage.py \
	t/chaos/tells.py \
	t/chaos/world.py

if CMOCKA
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
TESTS += $(system_tests)
EXTRA_DIST += $(system_tests) $(python_tests) t/brokers.py $(chaos) t/leftovers.sh t/lib.sh \
	t/machines.sh t/fake/pip.py t/fake/ssh t/fake/scontrol t/fake/srun t/fake/systemctl \
	t/movers.py t/netns.py t/port-job.py t/tap/pytest-tap.py
if PYTHON
TESTS += $(python_tests)
endif

# `make fuzzers` after ./configure CC=clang --enable-fuzzers; each target also needs the line
#   t_fuzz_NAME_LDFLAGS = $(libfuzzer_flags)
EXTRA_PROGRAMS += $(fuzz_targets)
libfuzzer_flags = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzzers: $(fuzz_targets)
.PHONY: fuzzers

# Tests find the programs, modules and packages of this build as `./quickstart exec` does.
AM_TESTS_ENVIRONMENT = \
	XO_SRCDIR='$(abs_top_srcdir)'; export XO_SRCDIR; \
	XO_BUILDDIR='$(abs_top_builddir)'; export XO_BUILDDIR; \
	PYTHON='$(PYTHON)'; export PYTHON; \
	PATH="$$XO_BUILDDIR/bin:$$XO_BUILDDIR/.libs:$$XO_BUILDDIR:$$PATH"; export PATH; \
	PYTHONPATH="$$XO_SRCDIR/python:$$XO_BUILDDIR/python$${PYTHONPATH:+:$$PYTHONPATH}"; export PYTHONPATH; \
	LD_LIBRARY_PATH="$$XO_BUILDDIR/.libs$${LD_LIBRARY_PATH:+:$$LD_LIBRARY_PATH}"; export LD_LIBRARY_PATH; \
	PYTHONDONTWRITEBYTECODE=1; export PYTHONDONTWRITEBYTECODE;

TEST_EXTENSIONS = .t .py
tap_driver = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(tap_driver)
T_LOG_DRIVER = $(tap_driver)
PY_LOG_DRIVER = $(tap_driver)

# t/tap/run gives each a throwaway place and a time limit, and lets none leave a process behind.
run_test = $(SHELL) $(srcdir)/t/tap/run
LOG_COMPILER = $(run_test)
T_LOG_COMPILER = $(run_test)
PY_LOG_COMPILER = $(run_test) $(PYTHON) -X dev -W error $(srcdir)/t/tap/pytest-tap.py

# `make check-full`: what takes minutes. `./quickstart check --full` and CI run it beside check. The
# longest comes first, so that the others run beside it.
full_tests = \
	t/full-asan.t \
	t/full-pythons.t \
	t/full-valgrind.t \
	t/full-bench.t \
	t/full-bench-run.t \
	t/full-distcheck.t \
	t/full-fuzz.t \
	t/full-garbage.t \
	t/full-install.t \
	t/full-ipc.t \
	t/full-quickstart.t \
	t/full-tsan.t
EXTRA_DIST += $(full_tests) t/tap/full.sh t/tap/run t/tap/tsan.supp t/tap/valgrind.supp
CLEANFILES += check-full.log
check-full: all
	XO_TEST_LIMIT_S=7200 $(MAKE) $(AM_MAKEFLAGS) check check_PROGRAMS= TESTS='$(full_tests)' \
		TEST_SUITE_LOG=check-full.log

# What `make check` builds before it runs anything.
check-programs: all
	$(MAKE) $(AM_MAKEFLAGS) $(check_PROGRAMS) $(check_LTLIBRARIES) $(check_DATA)

# For the scripts of check-full, which run the unit tests of another tree.
unit-tests: $(unit_tests)
print-unit-tests:
	@echo $(unit_tests)
print-valgrind-tests:
	@echo $(filter-out $(valgrind_unfit), $(unit_tests))
print-system-tests:
	@echo $(filter-out t/0001-layers.t, $(system_tests))
print-threaded-tests:
	@echo $(threaded_tests)
print-fuzz-targets:
	@echo $(fuzz_targets)
.PHONY: check-full check-programs unit-tests print-unit-tests print-valgrind-tests \
	print-system-tests print-threaded-tests print-fuzz-targets

AM_DISTCHECK_CONFIGURE_FLAGS = --enable-werror PYTHON='$(PYTHON)'
