package records

import (
	"net/netip"
	"slices"
	"testing"
)

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// D20: one list a family, without duplicates; G43: unmapped.
func TestNewAddresses(t *testing.T) {
	a := NewAddresses(addrs("10.0.0.2", "fd00::2", "10.0.0.1", "::ffff:10.0.0.2", "fd00::2")...)
	if want := addrs("10.0.0.1", "10.0.0.2"); !slices.Equal(a.V4, want) {
		t.Errorf("V4: got %v, want %v", a.V4, want)
	}
	if want := addrs("fd00::2"); !slices.Equal(a.V6, want) {
		t.Errorf("V6: got %v, want %v", a.V6, want)
	}
}

func TestUnion(t *testing.T) {
	a, b := NewAddresses(addrs("10.0.0.1", "10.0.0.2")...), NewAddresses(addrs("10.0.0.2", "fd00::1")...)
	u := Union(a, b)
	if want := NewAddresses(addrs("10.0.0.1", "10.0.0.2", "fd00::1")...); !u.Equal(want) {
		t.Errorf("got %v, want %v", u, want)
	}
	if len(a.V4) != 2 || len(b.V4) != 1 {
		t.Error("Union changed what it was given")
	}
}

func TestSetStore(t *testing.T) {
	var s AddressSet
	if got := s.Load(); got == nil || len(got.V4)+len(got.V6) != 0 {
		t.Errorf("zero Set: got %v, want no addresses", got)
	}
	for _, list := range [][]netip.Addr{addrs("10.0.0.1"), addrs("10.0.0.2"), addrs("10.0.0.2", "fd00::1"), addrs("10.0.0.2", "fd00::2")} {
		if !s.Store(NewAddresses(list...)) {
			t.Errorf("%v is no change", list)
		}
		if s.Store(NewAddresses(list...)) {
			t.Errorf("%v a second time is a change", list)
		}
		if !s.Load().Equal(NewAddresses(list...)) {
			t.Errorf("got %v, want %v", s.Load(), list)
		}
	}
}

// D23: random order, uniformly random subset, the index's slices untouched.
func TestPick(t *testing.T) {
	var all []netip.Addr
	for i := range 200 {
		all = append(all, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	for _, limit := range []int{16, maxDrawn, maxDrawn + 1, 199} { // both ways to pick
		seen := map[netip.Addr]bool{}
		for _, a := range Sample(all, limit) {
			seen[a] = true
		}
		if len(seen) != limit {
			t.Errorf("limit %d of 200: got %d addresses", limit, len(seen))
		}
	}
	all = all[:10]
	const rounds = 20000
	for _, limit := range []int{0, 1, 4, 9, 10, 16} {
		n := limit
		if limit == 0 || limit > len(all) {
			n = len(all)
		}
		places := make([]map[netip.Addr]int, n)
		for i := range places {
			places[i] = map[netip.Addr]int{}
		}
		for range rounds {
			picked := Sample(all, limit)
			if len(picked) != n {
				t.Fatalf("limit %d: got %d addresses, want %d", limit, len(picked), n)
			}
			seen := map[netip.Addr]bool{}
			for i, a := range picked {
				places[i][a]++
				seen[a] = true
			}
			if len(seen) != n {
				t.Fatalf("limit %d: an address twice in %v", limit, picked)
			}
		}
		// At each place each address is expected 2000 times; 5.5 standard deviations are 233.
		for i, counts := range places {
			for _, a := range all {
				if c := counts[a]; c < 2000-233 || c > 2000+233 {
					t.Errorf("limit %d: %v stands at place %d in %d of %d answers, want about 2000", limit, a, i, c, rounds)
				}
			}
		}
	}
	if !slices.IsSortedFunc(all, netip.Addr.Compare) {
		t.Error("Pick changed the order of what it was given")
	}
	if got := Sample(nil, 16); len(got) != 0 {
		t.Errorf("of nothing: got %v", got)
	}
}

// D50: how HTTPS is served by several Services together can be said if they agree.
func TestUnionHTTPS(t *testing.T) {
	with := func(addr string, port uint16, alpn ...string) *Addresses {
		a := NewAddresses(netip.MustParseAddr(addr))
		if port != 0 {
			a.HTTPS = &SvcParams{Port: port, ALPN: alpn}
		}
		return a
	}
	none := with("10.0.0.9", 443)
	none.V4 = nil
	for i, tc := range []struct {
		sets []*Addresses
		want *SvcParams
	}{
		{nil, nil},
		{[]*Addresses{with("10.0.0.1", 8443, "h2")}, &SvcParams{8443, []string{"h2"}}},
		{[]*Addresses{with("10.0.0.1", 8443), with("10.0.0.2", 8443), none}, &SvcParams{8443, nil}},
		{[]*Addresses{with("10.0.0.1", 8443), with("10.0.0.2", 443)}, nil},
		{[]*Addresses{with("10.0.0.1", 8443, "h2"), with("10.0.0.2", 8443)}, nil},
		{[]*Addresses{with("10.0.0.1", 8443), with("10.0.0.2", 0)}, nil},
		{[]*Addresses{with("10.0.0.1", 0), with("10.0.0.2", 0)}, nil},
		{[]*Addresses{none}, nil},
	} {
		if got := Union(tc.sets...).HTTPS; !got.equal(tc.want) {
			t.Errorf("%d: got %+v, want %+v", i, got, tc.want)
		}
	}
}
