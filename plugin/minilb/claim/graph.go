package claim

import (
	"maps"

	"github.com/miekg/dns"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// graph records on which names the hosts depend that claims lead to (D10).
type graph struct {
	targets map[string]*target
	readers sets[read, *target]
	dirty   map[*target]bool
}

// target is a host that claims lead to.
type target struct {
	host    string
	entries map[*Entry]bool // that lead there
	reads   map[read]bool   // what its source of synthesis depends on
	deps    []cache.ObjectName
}

// read is a dependency on the claims of a name, or on its existence.
type read struct {
	name   string
	exists bool
}

func newGraph() graph {
	return graph{targets: map[string]*target{}, readers: sets[read, *target]{}, dirty: map[*target]bool{}}
}

func (g *graph) add(e *Entry) {
	for _, name := range e.Direct.Hosts {
		t := g.targets[name]
		if t == nil {
			t = &target{host: name, entries: map[*Entry]bool{}}
			g.targets[name] = t
			g.dirty[t] = true
		}
		t.entries[e] = true
	}
}

// remove undoes add, and returns the targets that no claim leads to any longer.
func (g *graph) remove(e *Entry) (gone []*target) {
	for _, name := range e.Direct.Hosts {
		t := g.targets[name]
		if t == nil {
			continue // it is twice among the claim's
		}
		if delete(t.entries, e); len(t.entries) > 0 {
			continue
		}
		g.setReads(t, nil)
		delete(g.targets, name)
		delete(g.dirty, t)
		gone = append(gone, t)
	}
	return gone
}

func (g *graph) setReads(t *target, reads map[read]bool) {
	for at := range t.reads {
		g.readers.remove(at, t)
	}
	t.reads = reads
	for at := range reads {
		g.readers.add(at, t)
	}
}

// closure returns the dirty hosts, those that depend on them, and all that these depend on and that lead to others: no other
// host that leads to others can change the result of this set.
func (r *Resolver) closure() map[*host]bool {
	hosts := maps.Clone(r.dirtyHosts)
	targets := map[*target]bool{}
	var queue []*target
	reach := func(all map[*target]bool) {
		for t := range all {
			if !targets[t] {
				targets[t] = true
				queue = append(queue, t)
			}
		}
	}
	affect := func(h *host) {
		reach(r.graph.readers[read{name: h.name}])
		for name := h.name; h.leads && name != ""; name = hostname.Parent(name) {
			reach(r.graph.readers[read{name, true}])
		}
	}
	reach(r.graph.dirty)
	for h := range hosts {
		affect(h)
	}
	for name := range r.names.changed {
		reach(r.graph.readers[read{name, true}])
	}
	r.names.changed = map[string]bool{}
	for len(queue) > 0 {
		t := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for e := range t.entries {
			for _, h := range e.hosts {
				if !hosts[h] {
					hosts[h] = true
					affect(h)
				}
			}
		}
	}
	for t := range targets {
		if r.graph.targets[t.host] == t {
			r.graph.setReads(t, r.reads(t))
		}
	}
	r.graph.dirty = map[*target]bool{}
	r.include(hosts)
	return hosts
}

// include adds the hosts that lead to others and that the hosts depend on.
func (r *Resolver) include(hosts map[*host]bool) {
	var queue []*host
	done := map[read]bool{}
	for h := range hosts {
		queue = append(queue, h)
	}
	add := func(h *host) {
		if !hosts[h] {
			hosts[h] = true
			queue = append(queue, h)
		}
	}
	for len(queue) > 0 {
		h := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, e := range h.entries {
			for _, name := range e.Direct.Hosts {
				for at := range r.graph.targets[name].reads {
					if done[at] {
						continue
					}
					done[at] = true
					if !at.exists {
						if to := r.hosts[at.name]; to != nil && to.leads {
							add(to)
						}
						continue
					}
					for below := range r.names.leading[at.name] {
						add(below)
					}
				}
			}
		}
	}
}

// reads returns all that sourceOfSynthesis may read for a target, whether claims that lead to other hosts are live or not.
func (r *Resolver) reads(t *target) map[read]bool {
	r.forget(t, t.deps)
	t.deps = nil
	reads := map[read]bool{}
	zone := r.options.Zone(t.host)
	// claimed reports whether a name is claimed for sure.
	claimed := func(name string) bool {
		reads[read{name: name}] = true
		h := r.hosts[name]
		return h != nil && len(h.entries) > 0 && !h.leads
	}
	// exists reports whether a name in the zone exists for sure.
	exists := func(name string) bool {
		if r.existsAnyway(t, name) {
			return true
		}
		reads[read{name, true}] = true
		return r.names.firm[name] > 0
	}
	if claimed(t.host) || hostname.IsSought(t.host) || zone != "" && exists(t.host) {
		return reads
	}
	for offset, end := dns.NextLabel(t.host, 0); !end; offset, end = dns.NextLabel(t.host, offset) {
		encloser := t.host[offset:]
		wildcard := claimed("*." + encloser)
		if h := r.hosts["*."+encloser]; zone == "" && h != nil && len(h.entries) > 0 {
			for name := t.host; name != encloser; name = hostname.Parent(name) {
				reads[read{name, true}] = true
			}
		}
		if wildcard || zone == "" && claimed(encloser) || zone != "" && exists(encloser) {
			return reads
		}
	}
	return reads
}
