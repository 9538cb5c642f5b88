package records

import (
	"net/netip"
	"slices"
)

// Client is who asks, as far as answers depend on that.
type Client struct {
	Network netip.Prefix // that it is in, a single address at best; invalid if it is not known
	Rule    int          // of those that say what is near (L5); -1 for none
}

// ByClient says which of a Service's addresses a client gets, and in which order, where that is not the same for all (L4, L5). It
// is immutable.
type ByClient struct {
	all    [2]candidates   // by family
	near   [][2]candidates // by rule and family: those near its clients, of which there may be none
	varies [2]bool         // whether not all clients get the same of a family
}

// candidates are some of the addresses of a family.
type candidates struct {
	addrs  []netip.Addr
	hashes []uint64 // of the endpoints with the addresses; nil without affinity
}

// NewByClient returns what clients get of the addresses, with affinity to endpoints or without, and with the addresses that are
// near the clients of each rule. It returns nil if that is the same for all.
func NewByClient(of *Addresses, affinity bool, near [][]netip.Addr) *ByClient {
	return newByClient(of, affinity, near, func(addr netip.Addr) uint64 { return hashEndpoint(of.identity(addr)) })
}

func newByClient(of *Addresses, affinity bool, near [][]netip.Addr, hash func(netip.Addr) uint64) *ByClient {
	if len(of.V4)+len(of.V6) == 0 || !affinity && !slices.ContainsFunc(near, func(addrs []netip.Addr) bool { return len(addrs) > 0 }) {
		return nil
	}
	families := func(a *Addresses) [2]candidates {
		both := [2]candidates{{addrs: a.V4}, {addrs: a.V6}}
		for f := range both {
			for i := 0; affinity && i < len(both[f].addrs); i++ {
				both[f].hashes = append(both[f].hashes, hash(both[f].addrs[i]))
			}
		}
		return both
	}
	b := &ByClient{all: families(of), near: make([][2]candidates, len(near))}
	for rule, addrs := range near {
		b.near[rule] = families(NewAddresses(addrs...))
	}
	for f, all := range b.all {
		b.varies[f] = affinity && len(all.addrs) > 1 || slices.ContainsFunc(b.near, func(near [2]candidates) bool {
			return len(near[f].addrs) > 0 && len(near[f].addrs) < len(all.addrs)
		})
	}
	return b
}

// For returns at most limit of the addresses of a family, 0 meaning all, that a client gets, and whether others get others: those
// near it if there are any (L5), in its own order if they have affinity (L4), else a random sample. A nil client is none in
// particular.
func (a *Addresses) For(c *Client, v6 bool, limit int) (addrs []netip.Addr, varies bool) {
	b, f := a.ByClient, family(v6)
	if b == nil || c == nil {
		all := a.V4
		if v6 {
			all = a.V6
		}
		return Sample(all, limit), false
	}
	p := &b.all[f]
	if near := b.nearBy(c.Rule, f); near != nil && len(near.addrs) > 0 {
		p = near
	}
	if p.hashes == nil || !c.Network.IsValid() {
		return Sample(p.addrs, limit), b.varies[f]
	}
	return p.first(hashClient(c.Network), limit), b.varies[f]
}

// Near returns how many of the addresses of a family are near the clients of a rule.
func (a *Addresses) Near(rule int, v6 bool) int {
	if near := a.ByClient.nearBy(rule, family(v6)); near != nil {
		return len(near.addrs)
	}
	return 0
}

// Affinity reports whether clients get the addresses in an order of their own (L4).
func (a *Addresses) Affinity() bool {
	return a.ByClient != nil && (a.ByClient.all[0].hashes != nil || a.ByClient.all[1].hashes != nil)
}

func (b *ByClient) nearBy(rule, family int) *candidates {
	if b == nil || rule < 0 || rule >= len(b.near) {
		return nil
	}
	return &b.near[rule][family]
}

func family(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}

func (b *ByClient) equal(o *ByClient) bool {
	if b == nil || o == nil {
		return b == o
	}
	same := func(a, b [2]candidates) bool {
		return a[0].equal(&b[0]) && a[1].equal(&b[1])
	}
	return same(b.all, o.all) && slices.EqualFunc(b.near, o.near, same)
}

func (c *candidates) equal(o *candidates) bool {
	return slices.Equal(c.addrs, o.addrs) && slices.Equal(c.hashes, o.hashes)
}

// unite returns what clients get of the union of sets: with affinity if all sets with addresses have it, and near is what is near
// in any of them.
func unite(union *Addresses, sets []*Addresses) *ByClient {
	affinity, near := true, [][]netip.Addr(nil)
	for _, a := range sets {
		affinity = affinity && (a.Affinity() || len(a.V4)+len(a.V6) == 0)
		if a.ByClient == nil {
			continue
		}
		for rule, both := range a.ByClient.near {
			if rule == len(near) {
				near = append(near, nil)
			}
			for f, all := range [2][]netip.Addr{a.V4, a.V6} {
				if len(all) > 0 { // a set may be left out of a union by family
					near[rule] = append(near[rule], both[f].addrs...)
				}
			}
		}
	}
	return newByClient(union, affinity, near, func(addr netip.Addr) uint64 {
		of := slices.IndexFunc(sets, func(a *Addresses) bool { return a.Has(addr) })
		all := &sets[of].ByClient.all[family(addr.Is6())]
		i, _ := slices.BinarySearchFunc(all.addrs, addr, netip.Addr.Compare)
		return all.hashes[i]
	})
}
