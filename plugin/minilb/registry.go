package minilb

import "sync"

// registry has the clusters that are watched as keys, of every load of the Corefile: a load takes over
// what the one before knows, and metrics are collected from all of them.
type registry struct{ sync.Map }

var clusters = &registry{}

func (r *registry) add(cl *cluster) { r.Store(cl, true) }

func (r *registry) remove(cl *cluster) { r.Delete(cl) }

func (r *registry) all() (all []*cluster) {
	r.Range(func(cl, _ any) bool {
		all = append(all, cl.(*cluster))
		return true
	})
	return all
}
