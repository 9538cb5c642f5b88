package records

import (
	"net/netip"
	"slices"
)

// pairs are the IPv6 addresses of endpoints that are named for their IPv4 address (D40), as most pods
// with both are: two numbers for each in place of a Host.
type pairs struct {
	v4   []uint32     // by index of the IPv4 address: index of its IPv6 one plus 1, 0 for none
	v6   []uint32     // by index of the IPv6 address: index of its IPv4 one plus 1, 0 for none
	lone []netip.Addr // IPv6 addresses without an IPv4 one
}

// pair adds a host that is named for an IPv4 address, unless that address has a host or a pair of its own, and reports
// whether it did. Hosts come in the order of their addresses.
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

// setLone sets the addresses that are left once all others are paired.
func (t *pairs) setLone(of *Addresses) {
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

func (a *Addresses) paired() bool { return a.Endpoints != nil && a.pairs != nil }

// namedFor returns the address that the endpoint with an address is named for.
func (a *Addresses) namedFor(addr netip.Addr) netip.Addr {
	if v4 := a.pairedWith(addr); v4.Is4() {
		return v4
	}
	return addr
}

// pairedWith returns the other address of a pair, the zero Addr if there is none.
func (a *Addresses) pairedWith(addr netip.Addr) netip.Addr {
	if !a.paired() {
		return netip.Addr{}
	}
	family, other, indexes := a.V4, a.V6, a.pairs.v4
	if addr.Is6() {
		family, other, indexes = a.V6, a.V4, a.pairs.v6
	}
	if i, found := slices.BinarySearchFunc(family, addr, netip.Addr.Compare); found && indexes[i] != 0 {
		return other[indexes[i]-1]
	}
	return netip.Addr{}
}
