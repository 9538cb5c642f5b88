package minilb

import (
	"fmt"
	"slices"

	"github.com/coredns/caddy"

	"github.com/minilb/minilb/plugin/minilb/hostname"
	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/translator"
)

// load is one load of the Corefile: what its plugin blocks share.
type load struct {
	clusters  map[clusterKey]*cluster
	covered   []string // zones of all server blocks with the plugin (D8)
	readiness readiness
}

// loadKey is the key of the load in the storage of a Caddy instance.
type loadKey struct{}

func loadOf(c *caddy.Controller) *load {
	if shared, ok := c.Get(loadKey{}).(*load); ok {
		return shared
	}
	shared := &load{clusters: map[clusterKey]*cluster{}, readiness: newReadiness()}
	c.Set(loadKey{}, shared)
	// A load that fails after its OnStartup gets no OnShutdown: the load that stays ends what it has started.
	var before []*cluster
	c.OnRestart(func() error {
		before = clusters.all()
		return nil
	})
	c.OnRestartFailed(func() error {
		for _, cl := range clusters.all() {
			if !slices.Contains(before, cl) {
				cl.stop()
			}
		}
		for _, cl := range before {
			cl.translators.Snapshot.MarkDirty() // those that are stopped may have written the snapshot
		}
		return nil
	})
	return shared
}

// covers reports whether a server block with the plugin gets the queries for name (D8).
func (l *load) covers(name string) bool {
	return slices.ContainsFunc(l.covered, func(zone string) bool { return hostname.InZone(name, zone) })
}

// clusterFor returns the one cluster of a kubeconfig and context. It reads the kubeconfig but dials nothing.
func (l *load) clusterFor(kubeconfig, context string) (*cluster, error) {
	key := clusterKey{kubeconfig, context}
	if cl := l.clusters[key]; cl != nil {
		return cl, nil
	}
	config, err := kube.Config(kubeconfig, context)
	if err != nil {
		return nil, err
	}
	translators, err := translator.New(kube.ClientConfig(config, "minilb"), log)
	if err != nil {
		return nil, err
	}
	cl := &cluster{clusterKey: key, load: l, translators: translators}
	l.clusters[key] = cl
	return cl, nil
}

// keepSnapshot keeps the cluster's state in a file: one file for each cluster, and one cluster for each file.
func (l *load) keepSnapshot(cl *cluster, path string) error {
	if cl.snapshot == path {
		return nil
	}
	if cl.snapshot != "" {
		return fmt.Errorf("snapshot: got %s, but the same kubeconfig has %s in another server block: want one file for a cluster", path, cl.snapshot)
	}
	for _, other := range l.clusters {
		if other.snapshot == path {
			return fmt.Errorf("snapshot: another kubeconfig has %s as well: want a file for each cluster", path)
		}
	}
	cl.snapshot = path
	cl.translators.KeepIn(path, cl.latest)
	return nil
}
