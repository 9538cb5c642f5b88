package claim

import (
	"maps"
	"slices"
)

// maxNamespaceHosts bounds what all objects of a namespace may claim, so that the claims of one tenant do not cost the
// others' time and memory.
const maxNamespaceHosts = 1 << 17

// tenant is a namespace with all its claims.
type tenant struct {
	hosts   int
	entries map[*Entry]bool
	exceeds bool
}

func (r *Resolver) addTenant(e *Entry) {
	t := r.tenants[e.Namespace]
	if t == nil {
		t = &tenant{entries: map[*Entry]bool{}}
		r.tenants[e.Namespace] = t
	}
	t.entries[e] = true
	t.hosts += len(e.Hosts)
}

// enforceQuota admits the oldest claims of a namespace up to its quota (C5).
func (r *Resolver) enforceQuota(namespace string) {
	t := r.tenants[namespace]
	if len(t.entries) == 0 {
		delete(r.tenants, namespace)
	}
	exceeded := t.exceeds
	if t.exceeds = t.hosts > maxNamespaceHosts; !t.exceeds && !exceeded {
		return
	}
	namespaceQuota := maxNamespaceHosts
	for _, e := range slices.SortedFunc(maps.Keys(t.entries), (*Entry).compare) {
		namespaceQuota -= len(e.Hosts)
		if over := namespaceQuota < 0; over != e.overQuota {
			e.overQuota = over
			r.dirtyEntries[e] = true
		}
	}
}
