package routes

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/minilb/minilb/plugin/minilb/informer"
)

// updates and updateBurst pace Nodes that change all the time: so many updates at once, then so many a second.
const updates, updateBurst = 1, 10

// Watch calls update with lan.FromNodes of all nodes, with the API server located: first once all are known, then whenever
// they have changed, at most one a second in the long run. While the API server is away, or denies access, the nodes stay;
// warn is called with one line about that, again each ten minutes, and with another one at its end. After the first update,
// outside is called with what PodsOutside returns. Watch returns when ctx ends, or with the first error of update.
func Watch(ctx context.Context, client kubernetes.Interface, lan LAN, warn func(string),
	outside func([]PodOutsidePodCIDR, error), update func([]Entry) error) error {
	w := newNodeWatcher(client, lan, warn)
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { informer.Run(ctx, w.nodes, client.CoreV1().Nodes(), "") })

	pace := flowcontrol.NewTokenBucketRateLimiter(updates, updateBurst)
	var last []Entry
	for first := true; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-w.changed:
		}
		if !w.nodes.Known() {
			continue
		}
		if pace.Wait(ctx) != nil {
			return nil
		}
		entries := w.entries(ctx)
		if !first && reflect.DeepEqual(entries, last) {
			continue
		}
		if err := update(entries); err != nil {
			return err
		}
		if first {
			lan, nodes := w.lan, w.nodes.List()
			running.Go(func() {
				limited, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				pods, err := lan.PodsOutside(limited, client, nodes)
				if ctx.Err() == nil {
					outside(pods, err)
				}
			})
		}
		first, last = false, entries
	}
}

// nodeWatcher has the nodes, and the addresses of the API server.
type nodeWatcher struct {
	client    kubernetes.Interface
	lan       LAN
	warn      func(string)
	nodes     *informer.Store[*corev1.Node, *Node]
	changed   chan struct{} // holds a token when entries may return something else than before
	stale     atomic.Bool   // the API server may have other addresses than before
	unlocated bool          // that they are not known was reported
}

func newNodeWatcher(client kubernetes.Interface, lan LAN, warn func(string)) *nodeWatcher {
	w := &nodeWatcher{client: client, lan: lan, warn: warn, changed: make(chan struct{}, 1)}
	server := &informer.Server{
		Log: lineLog(warn), OnChange: w.touch, OnStatus: w.touch,
		Remind: 10 * time.Minute, Consequence: "the routes stay as they are",
	}
	w.nodes = informer.NewStore(server.Watch(informer.Resource{Kind: "node", Name: "nodes"}, nil), read)
	w.stale.Store(true)
	w.nodes.OnRequest = func(_ context.Context, err error) bool {
		if err == nil { // each few minutes, as the API server ends its watches
			w.stale.Store(true)
			w.touch()
		}
		return false
	}
	return w
}

func (w *nodeWatcher) touch() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// entries returns those of the nodes as they are known now. It warns once that the API server's addresses are unknown.
func (w *nodeWatcher) entries(ctx context.Context) []Entry {
	if w.stale.Swap(false) {
		var err error
		w.lan, err = w.lan.Locate(ctx, w.client)
		if err != nil && !w.unlocated && ctx.Err() == nil {
			w.warn(err.Error())
		}
		w.unlocated = err != nil
	}
	return w.lan.FromNodes(w.nodes.List())
}

// lineLog implements the informer.Logger interface.
type lineLog func(string)

func (l lineLog) Infof(format string, args ...any)    { l(fmt.Sprintf(format, args...)) }
func (l lineLog) Warningf(format string, args ...any) { l(fmt.Sprintf(format, args...)) }
