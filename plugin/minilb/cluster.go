package minilb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minilb/minilb/plugin/minilb/source"
)

// cluster is one API server, watched once however many server blocks name it.
type cluster struct {
	clusterKey
	load        *load
	watcher     *source.Watcher
	translators []*source.Translator
	zones       []string // of all of them
	snapshot    string   // path of the file that the state is kept in, "" for none
	outdated    bool     // the file has less than what the load before knows

	hasPredecessor bool // another load of this process has served
	started        time.Time
	ctx            context.Context // of all that runs for it; nil before its start
	cancel         context.CancelFunc
	running        sync.WaitGroup
}

// clusterKey is what tells clusters apart.
type clusterKey struct{ kubeconfig, context string }

// start begins to watch, unless another server block has done so.
func (cl *cluster) start() {
	if cl.ctx != nil {
		return
	}
	for _, other := range clusters.all() {
		if other.load == cl.load {
			continue
		}
		cl.hasPredecessor = true
		for _, before := range other.translators { // D24
			for _, t := range cl.translators {
				t.Follow(before)
			}
		}
		if other.clusterKey == cl.clusterKey {
			cl.watcher.Follow(other.watcher)
		}
	}
	cl.flush()
	cl.started = time.Now()
	cl.ctx, cl.cancel = context.WithCancel(context.Background())
	clusters.add(cl)
	cl.run(cl.watcher.Run)
	cl.run(cl.remind)
}

// run starts a goroutine that stop ends.
func (cl *cluster) run(f func(context.Context)) {
	cl.running.Go(func() { f(cl.ctx) })
}

// remindInterval is how often it is said again what keeps the API server from being read: what was said of it
// first is soon far up in a log that other plugins write to each second.
const remindInterval = time.Minute

// remind says so until the context ends.
func (cl *cluster) remind(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(remindInterval):
		}
		if text := cl.trouble(); text != "" {
			log.Warning(text)
		}
	}
}

// trouble says what is not read, why, and what follows, "" if all is well.
func (cl *cluster) trouble() string {
	var missing []string
	for _, t := range cl.translators {
		missing = append(missing, t.Unsynced()...)
	}
	slices.Sort(missing)
	why := cmp.Or(cl.watcher.Trouble(), "the API server has not answered")
	switch away := cl.watcher.Away(); {
	case len(missing) > 0:
		return fmt.Sprintf("Still without the cluster's state after %v: %s: %s not read. Names in %s get SERVFAIL until they are",
			time.Since(cl.started).Round(time.Second), why, strings.Join(slices.Compact(missing), ", "), strings.Join(cl.zones, " "))
	case away > remindInterval:
		return fmt.Sprintf("Still answering from what was known %v ago: %s", away.Round(time.Second), why)
	}
	return ""
}

// synced reports whether all its stanzas can answer for their zones.
func (cl *cluster) synced() bool {
	return !slices.ContainsFunc(cl.translators, func(t *source.Translator) bool { return len(t.Unsynced()) > 0 })
}

// replaces reports whether it is to take the place of a cluster that serves, that of the load before.
func (cl *cluster) replaces() bool {
	return slices.ContainsFunc(clusters.all(), func(other *cluster) bool {
		return other.load != cl.load && other.synced() && (other.clusterKey == cl.clusterKey || cl.takesZone(other))
	})
}

// takesZone reports whether it has a zone of another load's cluster that its own load does not name.
func (cl *cluster) takesZone(other *cluster) bool {
	return cl.load.clusters[other.clusterKey] == nil && slices.ContainsFunc(cl.zones, func(zone string) bool {
		return slices.Contains(other.zones, zone)
	})
}

// stop ends what start and run have started, and waits for it.
func (cl *cluster) stop() {
	if cl.ctx == nil {
		return
	}
	cl.cancel()
	cl.running.Wait()
	clusters.remove(cl)
}
