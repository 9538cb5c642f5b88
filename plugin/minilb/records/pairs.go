package records

import (
	"net/netip"
	"slices"
)

// twins are the IPv6 addresses of endpoints that are named for their IPv4 address (D40): those of
// most pods that have both, so that they take little room.
type pairs struct {
	v4   []uint32     // for each IPv4 address its IPv6 one, by its number, from 1 on; 0 for none
	v6   []uint32     // for each IPv6 address its IPv4 one
	lone []netip.Addr // the IPv6 addresses without one
}

// pair takes in a host that is the IPv6 address of the endpoint at an IPv4 address which nothing else
// is said of. It reports whether it is one. Hosts come in the order of their addresses.
func (e *Endpoints) pair(of *Addresses, h Host) bool {
	addr, ok := undashed(h.Label)
	if !ok || !addr.Is4() || h.Addr.Is4() {
		return false
	}
	i, found := slices.BinarySearchFunc(of.V4, addr, netip.Addr.Compare)
	j, has := slices.BinarySearchFunc(of.V6, h.Addr, netip.Addr.Compare)
	_, hosted := slices.BinarySearchFunc(e.hosts, addr, func(h Host, addr netip.Addr) int { return h.Addr.Compare(addr) })
	if !found || !has || hosted || e.pairs != nil && e.pairs.v4[i] != 0 {
		return false
	}
	if e.pairs == nil {
		e.pairs = &pairs{v4: make([]uint32, len(of.V4)), v6: make([]uint32, len(of.V6))}
	}
	e.pairs.v4[i], e.pairs.v6[j] = uint32(j+1), uint32(i+1)
	return true
}

// leave finds the addresses that are left over, once all others are paired.
func (t *pairs) leave(of *Addresses) {
	if t == nil {
		return
	}
	for i, addr := range of.V6 {
		if t.v6[i] == 0 {
			t.lone = append(t.lone, addr)
		}
	}
}

func (t *pairs) equal(o *pairs) bool {
	if t == nil || o == nil {
		return t == o
	}
	return slices.Equal(t.v6, o.v6)
}

// paired reports whether there are twins.
func (a *Addresses) paired() bool { return a.Endpoints != nil && a.pairs != nil }

// namedFor returns the address that an endpoint with the address is named for.
func (a *Addresses) namedFor(addr netip.Addr) netip.Addr {
	if a.paired() && addr.Is6() {
		if i, found := slices.BinarySearchFunc(a.V6, addr, netip.Addr.Compare); found && a.pairs.v6[i] != 0 {
			return a.V4[a.pairs.v6[i]-1]
		}
	}
	return addr
}

// twinOf returns the IPv6 address that is named for an IPv4 one, the zero Addr if none is.
func (a *Addresses) pairedV6(addr netip.Addr) netip.Addr {
	if a.paired() && addr.Is4() {
		if i, found := slices.BinarySearchFunc(a.V4, addr, netip.Addr.Compare); found && a.pairs.v4[i] != 0 {
			return a.V6[a.pairs.v4[i]-1]
		}
	}
	return netip.Addr{}
}
