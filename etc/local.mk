# Samples that are installed: dist_xoconf_DATA to $(sysconfdir)/xo, dist_systemdunit_DATA for
# systemd, dist_completion_DATA for bash, dist_kubernetes_DATA to $(docdir)/kubernetes. One file a
# line, sorted.
dist_completion_DATA += \
	etc/completion/xo \
	etc/completion/xo-pool
dist_xoconf_DATA += \
	etc/minimal.ini \
	etc/node.ini \
	etc/xo.sbatch
kubernetesdir = $(docdir)/kubernetes
dist_kubernetes_DATA = \
	etc/kubernetes/redis.yaml \
	etc/kubernetes/xo.yaml
dist_systemdunit_DATA += \
	etc/xo-broker-relaxed.service \
	etc/xo-broker.service
