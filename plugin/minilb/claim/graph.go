package claim

import (
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/plugin/minilb/hostname"
)

// target is a host that claims lead to.
type target struct {
	host    string
	entries map[*Entry]bool // that lead there
	reads   []read          // what its source of synthesis depends on (D10)
	deps    []cache.ObjectName
}

// read is a dependency on the claims of a name, or on its existence.
type read struct {
	name   string
	exists bool
}

// addTargets adds a claim to its targets.
func (r *Resolver) addTargets(e *Entry) {
	for _, name := range e.Direct.Hosts {
		t := r.targets[name]
		if t == nil {
			t = &target{host: name, entries: map[*Entry]bool{}}
			r.targets[name] = t
			r.dirtyTargets[t] = true
		}
		t.entries[e] = true
	}
}

// removeTargets undoes addTargets.
func (r *Resolver) removeTargets(e *Entry) {
	for _, name := range e.Direct.Hosts {
		t := r.targets[name]
		if t == nil {
			continue // it is twice among the claim's
		}
		if delete(t.entries, e); len(t.entries) == 0 {
			r.unread(t)
			delete(r.targets, name)
			delete(r.dirtyTargets, t)
		}
	}
}

// read finds out what a target depends on.
func (r *Resolver) read(t *target) {
	r.unread(t)
	r.synthesize(t, &t.reads)
	for _, at := range t.reads {
		r.readers.add(at, t)
	}
}

func (r *Resolver) unread(t *target) {
	r.forget(t, t.deps)
	for _, at := range t.reads {
		r.readers.remove(at, t)
	}
	t.reads, t.deps = nil, nil
}

// closure returns the dirty hosts, those that depend on them, and all that these depend on and that lead to others: no other
// host that leads to others can change the result of this set.
func (r *Resolver) closure() map[*host]bool {
	hosts, targets := map[*host]bool{}, map[*target]bool{}
	var queue []*host // all of these hosts
	add := func(h *host) {
		if !hosts[h] {
			hosts[h] = true
			queue = append(queue, h)
		}
	}
	affect := func(all map[*target]bool) {
		for t := range all {
			if targets[t] {
				continue
			}
			targets[t] = true
			for e := range t.entries {
				for _, h := range e.hosts {
					add(h)
				}
			}
		}
	}
	for h := range r.dirtyHosts {
		add(h)
	}
	affect(r.dirtyTargets)
	for name := range r.names.changed {
		affect(r.readers[read{name, true}])
	}
	for i := 0; i < len(queue); i++ {
		h := queue[i]
		affect(r.readers[read{name: h.name}])
		for name := h.name; h.leads && name != ""; name = hostname.Parent(name) {
			affect(r.readers[read{name, true}])
		}
	}
	for t := range targets {
		r.read(t)
	}
	done := map[read]bool{}
	for i := 0; i < len(queue); i++ {
		for _, e := range queue[i].entries {
			for _, name := range e.Direct.Hosts {
				for _, at := range r.targets[name].reads {
					if done[at] {
						continue
					}
					done[at] = true
					if to := r.hosts[at.name]; to != nil && to.leads {
						add(to)
					}
					if at.exists {
						for to := range r.leading[at.name] {
							add(to)
						}
					}
				}
			}
		}
	}
	r.dirtyHosts, r.dirtyTargets, r.names.changed = map[*host]bool{}, map[*target]bool{}, map[string]bool{}
	return hosts
}
