package records

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// L3: the shares of a family are drawn by their weights, and those with none never.
func TestDraw(t *testing.T) {
	const rounds = 100_000
	for _, weights := range [][]uint16{{1}, {1, 1}, {9, 1}, {0, 3, 0, 1, 0}, {255, 1}, {1, 2, 3, 4, 5, 6, 7}, {255, 255, 255, 0}} {
		source := rand.New(rand.NewPCG(1, 2))
		a, sum := &Addresses{Shares: &Shares{}}, 0
		for i, weight := range weights {
			a.Shares.Add(1, NewAddresses(netip.AddrFrom16([16]byte{0xfd, 15: byte(i)}), netip.AddrFrom4([4]byte{10})), weight)
			sum += int(weight)
		}
		which := func(drawn *Addresses) int {
			if len(drawn.V4) != 0 || len(drawn.V6) != 1 {
				t.Fatalf("weights %v: %v is drawn", weights, drawn)
			}
			return int(drawn.V6[0].As16()[15])
		}
		counts := make([]int, len(weights))
		for range rounds {
			counts[which(pick(a.Shares[1], source.Uint32N(uint32(sum))))]++
			if i := which(drawn(a, 1)); weights[i] == 0 {
				t.Fatalf("weights %v: share %d is drawn", weights, i)
			}
		}
		for i, n := range counts {
			want := float64(weights[i]) / float64(sum)
			if got := float64(n) / rounds; math.Abs(got-want) > 0.01 || weights[i] == 0 && n > 0 {
				t.Errorf("weights %v: share %d is drawn %d times of %d", weights, i, n, rounds)
			}
		}
		if drawn(a, 0) != a {
			t.Errorf("weights %v: the other family has shares", weights)
		}
	}
	if a := NewAddresses(); drawn(a, 0) != a || drawn(a, 1) != a {
		t.Error("there are no shares, and one is drawn")
	}
}

// drawn returns what no client in particular draws.
func drawn(a *Addresses, family int) *Addresses {
	of, _ := a.Draw(nil, family)
	return of
}

// L3, L4: a client that has affinity to all Services draws the same one each time, and all clients together by the weights.
func TestDrawByClient(t *testing.T) {
	const clients = 10_000
	with := func(affinity ...bool) *Addresses {
		a := &Addresses{Shares: &Shares{}}
		for i, is := range affinity {
			of := NewAddresses(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
			of.ByClient = NewByClient(of, is, nil)
			a.Shares.Add(0, of, []uint16{9, 1}[i])
		}
		return a
	}
	a, second := with(true, true), 0
	for i := range clients {
		c := &Client{Network: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)}), 32), Rule: -1}
		first, varies := a.Draw(c, 0)
		if !varies {
			t.Fatal("all clients draw the same")
		}
		for range 10 {
			if again, _ := a.Draw(c, 0); again != first {
				t.Fatalf("%v draws %v and %v", c.Network, first.V4, again.V4)
			}
		}
		if first.V4[0].As4()[3] == 1 {
			second++
		}
	}
	if got := float64(second) / clients; math.Abs(got-0.1) > 0.01 {
		t.Errorf("%v of the clients draw the Service of weight 1 of 10", got)
	}
	if _, varies := with(true, false).Draw(&Client{Network: netip.MustParsePrefix("192.168.1.9/32")}, 0); varies {
		t.Error("clients have affinity to a Service without")
	}
	if _, varies := a.Draw(&Client{}, 0); varies {
		t.Error("an unknown client draws as a known one")
	}
}

// L2, L3, D24: shares and TTLs are content.
func TestSharesDiffer(t *testing.T) {
	with := func(weights ...uint16) *Addresses {
		a := NewAddresses(addrs("10.0.0.1", "10.0.0.2")...)
		if weights != nil {
			a.Shares = &Shares{}
		}
		for i, weight := range weights {
			a.Shares.Add(0, NewAddresses(a.V4[i]), weight)
		}
		return a
	}
	swapped := with(1, 2)
	swapped.Shares[0][0].Addrs, swapped.Shares[0][1].Addrs = swapped.Shares[0][1].Addrs, swapped.Shares[0][0].Addrs
	all := []*Addresses{with(), with(1, 1), with(1, 2), with(2, 1), swapped}
	for i, a := range all {
		for j, b := range []*Addresses{with(), with(1, 1), with(1, 2), with(2, 1), swapped} {
			if got := a.Equal(b); got != (i == j) {
				t.Errorf("%d and %d are the same: %v", i, j, got)
			}
			if got := (&Node{Addrs: NewAddressSet(a)}).same(&Node{Addrs: NewAddressSet(b)}); got != (i == j) {
				t.Errorf("nodes of %d and %d are answered alike: %v", i, j, got)
			}
		}
	}
	set := NewAddressSet(with())
	nodes := []*Node{{Addrs: set}, {Addrs: set, TTL: new(uint16(0))}, {Addrs: set, TTL: new(uint16(5))}}
	for i, n := range nodes {
		for j, o := range []*Node{{Addrs: set}, {Addrs: set, TTL: new(uint16(0))}, {Addrs: set, TTL: new(uint16(5))}} {
			if got := n.same(o); got != (i == j) {
				t.Errorf("nodes with TTLs of %v and %v are answered alike: %v", n.TTL, o.TTL, got)
			}
		}
	}
}
