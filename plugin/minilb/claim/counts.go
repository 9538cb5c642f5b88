package claim

import "github.com/minilb/minilb/plugin/minilb/hostname"

// everyone stands for all namespaces.
const everyone = "*"

// counts are how many hosts of a namespace are below a name.
type counts struct {
	hosts   map[inNamespace]int
	changed map[string]bool // names below which a namespace has its first host, or no longer any
}

type inNamespace struct{ namespace, name string }

func newCounts() counts { return counts{hosts: map[inNamespace]int{}, changed: map[string]bool{}} }

// move counts a host for another namespace than before, "" for none.
func (c *counts) move(host, from, to string) {
	for name := hostname.Parent(host); name != ""; name = hostname.Parent(name) {
		if at := (inNamespace{from, name}); from != "" {
			if c.hosts[at]--; c.hosts[at] == 0 {
				delete(c.hosts, at)
				c.changed[name] = true
			}
		}
		if at := (inNamespace{to, name}); to != "" {
			if c.hosts[at]++; c.hosts[at] == 1 {
				c.changed[name] = true
			}
		}
	}
}

// setLive sets which claims on a host have a target, as far as is known. Outside the zones, names at or above it exist for the
// namespace that has the host (C7b), in a zone for all.
func (r *Resolver) setLive(h *host, live []*Entry) {
	was := h.owner
	h.live, h.owner = live, ""
	switch {
	case len(live) > 0 && h.inZone:
		h.owner = everyone
	case len(live) > 0:
		h.owner = live[0].Namespace
	}
	if h.owner != was {
		r.names.changed[h.name] = true
		r.names.move(h.name, was, h.owner)
	}
}

// exists reports whether a name exists for a namespace because of live claims, with data or without.
func (r *Resolver) exists(namespace, name string) bool {
	h := r.hosts[name]
	return h != nil && h.owner == namespace || r.names.hosts[inNamespace{namespace, name}] > 0
}
