package minilb

import (
	"context"
	"slices"
	"time"

	"github.com/coredns/caddy"

	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/source"
)

// cluster is one API server, watched once however many server blocks name it.
type cluster struct {
	watcher     *source.Watcher
	translators []*source.Translator

	started time.Time
	cancel  context.CancelFunc
	done    chan struct{}
}

// clusterKey is what tells clusters apart.
type clusterKey struct{ kubeconfig, context string }

// clusterStore holds the clusters of one load of the Corefile.
type clusterStore map[clusterKey]*cluster

type clusterStoreKey struct{}

// clusterFor returns the cluster that the configuration names, the same for the same
// kubeconfig. It reads the kubeconfig but dials nothing.
func clusterFor(c *caddy.Controller, kubeconfig, context string) (*cluster, error) {
	store, _ := c.Get(clusterStoreKey{}).(clusterStore)
	if store == nil {
		store = clusterStore{}
		c.Set(clusterStoreKey{}, store)
		// A load that fails after its OnStartup is thrown away without OnShutdown; the
		// load that goes on in its place ends what it has started.
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
			return nil
		})
	}
	key := clusterKey{kubeconfig, context}
	if cl := store[key]; cl != nil {
		return cl, nil
	}
	config, err := kube.Config(kubeconfig, context)
	if err != nil {
		return nil, err
	}
	watcher, err := source.NewWatcher(kube.Protobuf(config, "minilb"), log)
	if err != nil {
		return nil, err
	}
	cl := &cluster{watcher: watcher}
	store[key] = cl
	return cl, nil
}

// start begins to watch, unless another server block has done so.
func (cl *cluster) start() {
	if cl.done != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cl.started, cl.cancel, cl.done = time.Now(), cancel, make(chan struct{})
	clusters.add(cl)
	go func() {
		defer close(cl.done)
		cl.watcher.Run(ctx)
	}()
}

// stop ends the watch and waits until nothing of it is left.
func (cl *cluster) stop() {
	if cl.done == nil {
		return
	}
	cl.cancel()
	<-cl.done
	clusters.remove(cl)
}
