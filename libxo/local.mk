# libxo.so holds libxo/ and pool/, as two archives that respect the layers.
lib_LTLIBRARIES += libxo.la
libxo_la_SOURCES =
libxo_la_LIBADD = \
	libxo/libxo-core.la \
	pool/libxo-pool.la
# current:revision:age (libtool manual, "Updating library version information").
libxo_la_LDFLAGS = $(AM_LDFLAGS) $(XO_LTO) \
	-version-info 0:0:0 \
	-no-undefined \
	-Wl,-z,defs \
	-Wl,-Bsymbolic-functions \
	-Wl,--version-script=$(srcdir)/libxo/libxo.map
EXTRA_libxo_la_DEPENDENCIES = $(srcdir)/libxo/libxo.map
EXTRA_DIST += libxo/libxo.map
pkgconfig_DATA += libxo/libxo.pc

noinst_LTLIBRARIES += libxo/libxo-core.la
libxo_libxo_core_la_CPPFLAGS = $(AM_CPPFLAGS) \
	$(ZMQ_CFLAGS) $(MSGPACK_CFLAGS) $(HWLOC_CFLAGS) $(CUDA_CFLAGS)
libxo_libxo_core_la_CFLAGS = $(AM_CFLAGS) $(XO_LTO)
libxo_libxo_core_la_LIBADD = \
	$(ZMQ_LIBS) $(MSGPACK_LIBS) $(HWLOC_LIBS) $(EV_LIBS) $(SYSTEM_LIBS)
# Sources, and headers that are not installed. One file a line, sorted.
libxo_libxo_core_la_SOURCES = \
	libxo/address.c \
	libxo/admission.c \
	libxo/admission.h \
	libxo/again.c \
	libxo/borrow.c \
	libxo/borrow.h \
	libxo/bridge.c \
	libxo/bridge.h \
	libxo/bulk.c \
	libxo/bulk.h \
	libxo/bulk_hold.c \
	libxo/bulk_impl.h \
	libxo/bulk_send.c \
	libxo/bulk_take.c \
	libxo/bundle.c \
	libxo/bundle.h \
	libxo/bytes.h \
	libxo/cache.c \
	libxo/cache.h \
	libxo/call.c \
	libxo/client.c \
	libxo/creation.c \
	libxo/codec.c \
	libxo/codec_impl.h \
	libxo/ctx.c \
	libxo/ctx_internal.h \
	libxo/endpoint.c \
	libxo/endpoint_impl.h \
	libxo/error.c \
	libxo/failure.c \
	libxo/fetch.c \
	libxo/fetch.h \
	libxo/future.c \
	libxo/future.h \
	libxo/greet.c \
	libxo/group.c \
	libxo/handshake.c \
	libxo/hash.h \
	libxo/header.c \
	libxo/header.h \
	libxo/keys.c \
	libxo/keys_impl.h \
	libxo/keys_share.c \
	libxo/keys_text.c \
	libxo/keys_text.h \
	libxo/knock.c \
	libxo/knock.h \
	libxo/lane.c \
	libxo/lane_fake.c \
	libxo/lane_fake.h \
	libxo/lane_inbox.c \
	libxo/lane_inbox.h \
	libxo/lane_probe.c \
	libxo/lane_probe.h \
	libxo/lane_shm.c \
	libxo/lane_shm.h \
	libxo/lane_shm_connect.c \
	libxo/lane_shm_lend.c \
	libxo/lane_silence.c \
	libxo/lane_silence.h \
	libxo/lane_zmq.c \
	libxo/lane_zmq.h \
	libxo/lane_zmq_admit.c \
	libxo/lane_zmq_bind.c \
	libxo/lane_zmq_dial.c \
	libxo/lane_zmq_leave.c \
	libxo/lane_zmq_listen.c \
	libxo/lane_zmq_listen.h \
	libxo/lane_zmq_peer.c \
	libxo/letters.c \
	libxo/letters.h \
	libxo/limits.c \
	libxo/limits.h \
	libxo/line.c \
	libxo/link.c \
	libxo/listen.c \
	libxo/loop.c \
	libxo/loop_drive.c \
	libxo/loop_internal.h \
	libxo/loop_peek.c \
	libxo/loop_timer.c \
	libxo/loop_zmq.c \
	libxo/lost.c \
	libxo/lost.h \
	libxo/members.c \
	libxo/moved.c \
	libxo/msg.c \
	libxo/msg_frames.c \
	libxo/msg_impl.h \
	libxo/mute.c \
	libxo/news.c \
	libxo/opening.h \
	libxo/outbox.c \
	libxo/own_call.c \
	libxo/own_call.h \
	libxo/pack_arguments.h \
	libxo/pack_dump.c \
	libxo/pack_format.c \
	libxo/pack_format.h \
	libxo/pack_map.c \
	libxo/pack_read.c \
	libxo/pack_write.c \
	libxo/parting.c \
	libxo/parting.h \
	libxo/port.c \
	libxo/port.h \
	libxo/progress.c \
	libxo/progress.h \
	libxo/quota.c \
	libxo/quota.h \
	libxo/ref.c \
	libxo/refusal.c \
	libxo/ring.c \
	libxo/ring.h \
	libxo/route.c \
	libxo/rundir.c \
	libxo/seek.c \
	libxo/segment.c \
	libxo/segment.h \
	libxo/shelf.c \
	libxo/shelf.h \
	libxo/socks.c \
	libxo/socks.h \
	libxo/splice.c \
	libxo/splice.h \
	libxo/store.c \
	libxo/store.h \
	libxo/stream.c \
	libxo/stream.h \
	libxo/table.c \
	libxo/table.h \
	libxo/thread.c \
	libxo/thread.h \
	libxo/tsan.h \
	libxo/unix_socket.c \
	libxo/unix_socket.h \
	libxo/unpack_format.c \
	libxo/utf8.c \
	libxo/utf8.h \
	libxo/way.c \
	libxo/why.c \
	libxo/zap.c

# The public headers, installed as $(includedir)/xo/libxo/NAME.h.
libxoincludedir = $(includedir)/xo/libxo
libxoinclude_HEADERS = \
	libxo/address.h \
	libxo/client.h \
	libxo/codec.h \
	libxo/ctx.h \
	libxo/endpoint.h \
	libxo/error.h \
	libxo/failure.h \
	libxo/keys.h \
	libxo/lane.h \
	libxo/loop.h \
	libxo/members.h \
	libxo/msg.h \
	libxo/pack.h \
	libxo/xo.h
