# One file a line, sorted.
dist_doc_DATA += \
	doc/coming-from-xoscar.md \
	doc/deploy.md \
	doc/design.md \
	doc/failure.md \
	doc/performance-curves.svg \
	doc/performance-goals.svg \
	doc/performance-latency.svg \
	doc/performance.md \
	doc/python.md \
	doc/registry.md \
	doc/scale.md \
	doc/scale.svg \
	doc/wire.md

# Man pages: doc/man/NAME.SECTION
dist_man_MANS += \
	doc/man/xo-broker.1 \
	doc/man/xo-pool.1 \
	doc/man/xo.1
