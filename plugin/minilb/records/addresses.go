package records

import (
	"net/netip"
	"slices"
	"sync/atomic"
)

// Addresses are the addresses of one name by family, sorted and without duplicates (D20). They are immutable.
type Addresses struct {
	V4, V6     []netip.Addr
	HTTPS      *SvcParams // nil if it is not known how HTTPS is served
	Shares     *Shares    // of a host of which each answer has one Service's addresses, else nil
	ByClient   *ByClient  // nil if all clients get the same
	*Endpoints            // of a Service with named ports or endpoints, else nil
}

// SvcParams is the data of a Service's HTTPS record (RFC 9460 §7).
type SvcParams struct {
	Port uint16
	ALPN []string // nil if the default protocols are not known to be all
}

func (b *SvcParams) equal(o *SvcParams) bool {
	if b == nil || o == nil {
		return b == o
	}
	return b.Port == o.Port && slices.Equal(b.ALPN, o.ALPN)
}

// NewAddresses sorts addrs into families, drops duplicates and unmaps IPv4-mapped IPv6.
func NewAddresses(addrs ...netip.Addr) *Addresses {
	n4 := 0
	for _, addr := range addrs {
		if addr.Is4() || addr.Is4In6() {
			n4++
		}
	}
	a := &Addresses{V4: slices.Grow([]netip.Addr(nil), n4), V6: slices.Grow([]netip.Addr(nil), len(addrs)-n4)}
	for _, addr := range addrs {
		if addr = addr.Unmap(); addr.Is4() {
			a.V4 = append(a.V4, addr)
		} else if addr.Is6() {
			a.V6 = append(a.V6, addr)
		}
	}
	a.V4, a.V6 = normalize(a.V4), normalize(a.V6)
	return a
}

// Equal reports whether both are the same, including the names below them.
func (a *Addresses) Equal(b *Addresses) bool {
	return a.EqualAddresses(b) && a.Endpoints.equal(b.Endpoints)
}

// EqualAddresses reports whether both are the same without the names below them, which hosts do not have.
func (a *Addresses) EqualAddresses(b *Addresses) bool {
	return slices.Equal(a.V4, b.V4) && slices.Equal(a.V6, b.V6) && a.HTTPS.equal(b.HTTPS) && a.Shares.equal(b.Shares) &&
		a.ByClient.equal(b.ByClient)
}

// Union returns the union of sets, with their HTTPS parameters if all sets with addresses agree on them (D50).
func Union(sets ...*Addresses) *Addresses {
	n4, n6 := 0, 0
	for _, a := range sets {
		n4, n6 = n4+len(a.V4), n6+len(a.V6)
	}
	u := &Addresses{V4: slices.Grow([]netip.Addr(nil), n4), V6: slices.Grow([]netip.Addr(nil), n6)}
	for _, a := range sets {
		switch {
		case len(a.V4)+len(a.V6) == 0:
		case len(u.V4)+len(u.V6) == 0:
			u.HTTPS = a.HTTPS
		case !a.HTTPS.equal(u.HTTPS):
			u.HTTPS = nil
		}
		u.V4, u.V6 = append(u.V4, a.V4...), append(u.V6, a.V6...)
	}
	u.V4, u.V6 = normalize(u.V4), normalize(u.V6)
	u.ByClient = unite(u, sets)
	return u
}

func normalize(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Clip(slices.Compact(addrs))
}

var none = &Addresses{}

// AddressSet holds the current addresses of one or several Services. They are replaced as a whole while queries read
// them; the zero AddressSet is empty.
type AddressSet struct {
	current atomic.Pointer[Addresses]
}

// NewAddressSet returns an AddressSet that holds addrs.
func NewAddressSet(addrs *Addresses) *AddressSet {
	s := &AddressSet{}
	s.current.Store(addrs)
	return s
}

// Load returns the current addresses, never nil. They must not be modified.
func (s *AddressSet) Load() *Addresses {
	if a := s.current.Load(); a != nil {
		return a
	}
	return none
}

// Store replaces the addresses, and reports whether they have changed.
func (s *AddressSet) Store(addrs *Addresses) bool {
	if s.Load().Equal(addrs) {
		return false
	}
	s.current.Store(addrs)
	return true
}
