package minilb

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/minilb/minilb/plugin/minilb/translator"
)

// cluster is one API server, watched once for all blocks of a load that name it.
type cluster struct {
	clusterKey
	load        *load
	translators *translator.Translators
	blocks      []*translator.Translator
	zones       []string // of all of them
	snapshot    string   // path of the file that keeps the state, "" for none
	outdated    bool     // the load before knows more than the file

	hasPredecessor bool // another load of this process has served
	started        time.Time
	ctx            context.Context // of its goroutines; nil before start
	cancel         context.CancelFunc
	running        sync.WaitGroup
}

// registry has the running clusters of all loads as keys: a load takes over what the one before knows, and metrics add up all.
type registry struct{ sync.Map }

var clusters registry

func (r *registry) all() (all []*cluster) {
	r.Range(func(cl, _ any) bool {
		all = append(all, cl.(*cluster))
		return true
	})
	return all
}

// clusterKey identifies a cluster.
type clusterKey struct{ kubeconfig, context string }

// start begins to watch, unless another block has done so.
func (cl *cluster) start() {
	if cl.ctx != nil {
		return
	}
	for _, other := range clusters.all() {
		if other.load == cl.load {
			continue
		}
		cl.hasPredecessor = true
		for _, before := range other.blocks { // D24
			for _, t := range cl.blocks {
				t.Follow(before)
			}
		}
		if other.clusterKey == cl.clusterKey {
			cl.translators.Follow(other.translators)
		}
	}
	cl.flush()
	cl.started = time.Now()
	cl.ctx, cl.cancel = context.WithCancel(context.Background())
	clusters.Store(cl, true)
	cl.run(cl.translators.Run)
	cl.run(cl.remind)
}

// run starts a goroutine that stop ends.
func (cl *cluster) run(f func(context.Context)) {
	cl.running.Go(func() { f(cl.ctx) })
}

// remindInterval is how often an outage is logged again: other plugins may log each second.
const remindInterval = time.Minute

// remind logs an outage until the context ends.
func (cl *cluster) remind(ctx context.Context) {
	_ = wait.PollUntilContextCancel(ctx, remindInterval, false, func(context.Context) (bool, error) {
		cl.warn()
		return false, nil
	})
}

// warn logs what is not read, why, and the consequence.
func (cl *cluster) warn() {
	var missing []string
	for _, t := range cl.blocks {
		missing = append(missing, t.Unsynced()...)
	}
	slices.Sort(missing)
	why := cmp.Or(cl.translators.Trouble(), "the API server has not answered")
	switch away := cl.translators.OutageDuration(); {
	case len(missing) > 0:
		log.Warningf("Still without the cluster's state after %v: %s: %s not read. Names in %s get SERVFAIL until they are",
			time.Since(cl.started).Round(time.Second), why, strings.Join(slices.Compact(missing), ", "), strings.Join(cl.zones, " "))
	case away > remindInterval:
		log.Warningf("Still answering from what was known %v ago: %s", away.Round(time.Second), why)
	}
}

// synced reports whether all its blocks can answer for their zones.
func (cl *cluster) synced() bool {
	return !slices.ContainsFunc(cl.blocks, func(t *translator.Translator) bool { return len(t.Unsynced()) > 0 })
}

// replaces reports whether it replaces a cluster of another load that can answer.
func (cl *cluster) replaces() bool {
	return slices.ContainsFunc(clusters.all(), func(other *cluster) bool {
		return other.load != cl.load && other.synced() && (other.clusterKey == cl.clusterKey || cl.takesZone(other))
	})
}

// takesZone reports whether it has a zone of another load's cluster, which its own load does not watch.
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
	clusters.Delete(cl)
}
