package minilb

import (
	"maps"
	"slices"
	"sync"
)

// registry holds the clusters that are watched, of every load of the Corefile: a load takes over
// what the one before knows, and metrics are collected from all of them.
type registry struct {
	mu       sync.Mutex
	clusters map[*cluster]bool
}

var clusters = &registry{clusters: map[*cluster]bool{}}

func (r *registry) add(cl *cluster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clusters[cl] = true
}

func (r *registry) remove(cl *cluster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.clusters, cl)
}

func (r *registry) all() []*cluster {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.clusters))
}
