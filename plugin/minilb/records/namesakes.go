package records

import (
	"net/netip"
	"slices"
)

// namesakes reports whether several of the addresses have one label.
func (e *Endpoints) namesakes(of *Addresses) bool {
	for i, h := range e.hosts {
		if i > 0 && e.hosts[i-1].Label == h.Label {
			return true
		}
		if addr, ok := undashed(h.Label); ok && addr != h.Addr && of.Has(addr) {
			return true
		}
	}
	return false
}

// distinguish finds one address for each label at each port, so that as many targets can be drawn
// as there are, however many endpoints share a hostname (D41).
func (e *Endpoints) distinguish(of *Addresses) {
	type list struct {
		first *netip.Addr
		size  int
	}
	known := map[list][]netip.Addr{} // ports share what they have
	for i := range e.ports {
		p := &e.ports[i]
		key, of4, of6 := list{}, of.V4, of.V6
		if p.Addrs != nil {
			of4, of6 = p.Addrs, nil
		}
		if key.size = len(of4) + len(of6); key.size == 0 {
			continue
		}
		if p.Addrs != nil {
			key.first = &p.Addrs[0]
		}
		apart, ok := known[key]
		if !ok {
			apart = e.oneEach(of4, of6)
			known[key] = apart
		}
		p.apart = apart
	}
}

// oneEach returns one address of those for each label, sorted as they are.
func (e *Endpoints) oneEach(of4, of6 []netip.Addr) []netip.Addr {
	seen := map[string]bool{}
	var addrs []netip.Addr
	for _, addr := range slices.Concat(of4, of6) {
		before := len(seen)
		if seen[e.label(addr)] = true; len(seen) > before {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}
