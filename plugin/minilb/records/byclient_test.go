package records

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func parseAll(texts ...string) (addrs []netip.Addr) {
	for _, text := range texts {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs
}

// numbered returns n addresses of a family.
func numbered(n int, v6 bool) (addrs []netip.Addr) {
	for i := range n {
		addr := netip.AddrFrom4([4]byte{10, 244, byte(i >> 8), byte(i)})
		if v6 {
			addr = netip.AddrFrom16([16]byte{0xfd, 14: byte(i >> 8), 15: byte(i)})
		}
		addrs = append(addrs, addr)
	}
	return addrs
}

func testClient(i int) *Client {
	addr := netip.AddrFrom4([4]byte{192, 168, byte(i >> 8), byte(i)})
	return &Client{Network: netip.PrefixFrom(addr, 32), Rule: -1}
}

func withAffinity(addrs ...netip.Addr) *Addresses {
	a := NewAddresses(addrs...)
	a.ByClient = NewByClient(a, true, nil)
	return a
}

func (a *Addresses) firstFor(t *testing.T, c *Client, v6 bool) netip.Addr {
	t.Helper()
	addrs, varies := a.For(c, v6, 1)
	if len(addrs) != 1 || !varies {
		t.Fatalf("got %v, varies %v", addrs, varies)
	}
	return addrs[0]
}

// L4: the loss of one of n endpoints moves its clients, a share of 1/n, and no others.
func TestAffinityLosesOne(t *testing.T) {
	const clients = 10_000
	for _, v6 := range []bool{false, true} {
		for _, n := range []int{2, 3, 10, 100} {
			all := numbered(n, v6)
			before := withAffinity(all...)
			for _, lost := range []int{0, n / 2, n - 1} {
				after := withAffinity(slices.Delete(slices.Clone(all), lost, lost+1)...)
				moved := 0
				for i := range clients {
					was := before.firstFor(t, testClient(i), v6)
					now, _ := after.For(testClient(i), v6, 1)
					if now[0] != was {
						moved++
						if was != all[lost] {
							t.Fatalf("client %d moves from %s to %s, though %s is lost", i, was, now[0], all[lost])
						}
					}
				}
				if share := float64(moved) / clients; share < 1/float64(n)-0.01 || share > 1/float64(n)+0.01 {
					t.Errorf("IPv6 %v: of %d endpoints the loss of number %d moves %.1f %% of the clients", v6, n, lost, 100*share)
				}
			}
		}
	}
}

// L4, D23: of a large set a client gets the first ones, in their order, whatever the limit.
func TestAffinityLimit(t *testing.T) {
	a := withAffinity(numbered(400, false)...)
	for i := range 20 {
		c := testClient(i)
		all, _ := a.For(c, false, 0)
		if sorted := slices.SortedFunc(slices.Values(all), netip.Addr.Compare); !slices.Equal(sorted, a.V4) {
			t.Fatalf("got %v", all)
		}
		for _, limit := range []int{1, 2, usual, usual + 1, maxInserted, maxInserted + 1, 399, 400, 1000} {
			got, _ := a.For(c, false, limit)
			if want := all[:min(limit, len(all))]; !slices.Equal(got, want) {
				t.Errorf("client %d, limit %d: got %v, want %v", i, limit, got, want)
			}
		}
	}
}

// L4: replicas of different versions agree.
func TestAffinityStays(t *testing.T) {
	a := withAffinity(parseAll("10.244.1.7", "10.244.1.8", "10.244.2.3", "fd00::7", "fd00::8")...)
	for network, want := range map[string]string{
		"192.168.1.7/32":  "10.244.1.7 10.244.1.8 10.244.2.3 fd00::8 fd00::7",
		"192.168.1.0/24":  "10.244.2.3 10.244.1.8 10.244.1.7 fd00::8 fd00::7",
		"2001:db8::7/128": "10.244.1.8 10.244.1.7 10.244.2.3 fd00::7 fd00::8",
	} {
		c := &Client{Network: netip.MustParsePrefix(network), Rule: -1}
		v4, _ := a.For(c, false, 0)
		v6, _ := a.For(c, true, 0)
		if got := strings.Trim(fmt.Sprint(slices.Concat(v4, v6)), "[]"); got != want {
			t.Errorf("%s: got %q, want %q", network, got, want)
		}
	}
}

// L4: a client gets the same endpoint in both families, whether that is named for its address or has a hostname.
func TestAffinityOfBothFamilies(t *testing.T) {
	for name, hosts := range map[string]func(v4, v6 netip.Addr) []Host{
		"pairs":     func(v4, v6 netip.Addr) []Host { return []Host{{Dashed(v4), v4}, {Dashed(v4), v6}} },
		"hostnames": func(v4, v6 netip.Addr) []Host { label := "web-" + Dashed(v4); return []Host{{label, v4}, {label, v6}} },
	} {
		v4, v6 := numbered(30, false), numbered(30, true)
		a := NewAddresses(slices.Concat(v4, v6)...)
		pod, all := map[netip.Addr]netip.Addr{}, []Host(nil)
		for i := range v4 {
			other := v6[(i*7+3)%len(v6)]
			pod[v4[i]] = other
			all = append(all, hosts(v4[i], other)...)
		}
		a.Endpoints = NewEndpoints(a, all, nil)
		a.ByClient = NewByClient(a, true, nil)
		u := Union(a, withAffinity(parseAll("10.99.0.1", "fdff::1")...))
		for i := range 100 {
			if got, want := a.firstFor(t, testClient(i), true), pod[a.firstFor(t, testClient(i), false)]; got != want {
				t.Fatalf("%s: client %d gets %s, want %s", name, i, got, want)
			}
			if v4 := u.firstFor(t, testClient(i), false); pod[v4].IsValid() && v4 == a.firstFor(t, testClient(i), false) && u.firstFor(t, testClient(i), true) != pod[v4] && u.firstFor(t, testClient(i), true) != netip.MustParseAddr("fdff::1") {
				t.Fatalf("%s: client %d gets another endpoint of a union", name, i)
			}
		}
	}
	// What several endpoints share is no endpoint.
	shared := NewAddresses(slices.Concat(numbered(3, false), numbered(3, true))...)
	var hosts []Host
	for _, addr := range slices.Concat(shared.V4, shared.V6) {
		hosts = append(hosts, Host{"shared", addr})
	}
	shared.Endpoints = NewEndpoints(shared, hosts, nil)
	for _, addr := range slices.Concat(shared.V4, shared.V6) {
		if got := shared.identity(addr); got != addr {
			t.Errorf("%s is taken for %s", addr, got)
		}
	}
}

// An endpoint that asks does not get itself more often than others.
func TestAffinityOfEndpoints(t *testing.T) {
	all := numbered(10, false)
	a, own := withAffinity(all...), 0
	for _, addr := range all {
		if a.firstFor(t, &Client{Network: netip.PrefixFrom(addr, 32), Rule: -1}, false) == addr {
			own++
		}
	}
	if own > 4 {
		t.Errorf("%d of 10 get themselves", own)
	}
}

// L4: hosts of several Services have an order if all of these have.
func TestAffinityOfUnion(t *testing.T) {
	one, other, plain, empty := withAffinity(numbered(5, false)...), withAffinity(parseAll("10.1.0.1", "10.244.0.1")...), NewAddresses(parseAll("10.2.0.1")...), NewAddresses()
	for _, tc := range []struct {
		sets []*Addresses
		want bool
	}{{[]*Addresses{one, other}, true}, {[]*Addresses{empty, one, other}, true}, {[]*Addresses{one, plain}, false}, {[]*Addresses{plain, empty}, false}, {[]*Addresses{empty}, false}} {
		if got := Union(tc.sets...).Affinity(); got != tc.want {
			t.Errorf("%v: got %v", tc.sets, got)
		}
	}
	u, same := Union(one, other), withAffinity(slices.Concat(one.V4, other.V4)...)
	for i := range 100 {
		a, _ := u.For(testClient(i), false, 0)
		b, _ := same.For(testClient(i), false, 0)
		if !slices.Equal(a, b) {
			t.Fatalf("client %d: got %v, want %v", i, a, b)
		}
	}
}

// What is the same for all clients costs nothing, and a change for some is a change.
func TestByClientEqual(t *testing.T) {
	all := numbered(3, false)
	plain := NewAddresses(all...)
	if NewByClient(plain, false, nil) != nil || NewByClient(plain, false, [][]netip.Addr{nil}) != nil || NewByClient(NewAddresses(), true, nil) != nil {
		t.Error("there is something by client")
	}
	near := func(affinity bool, near ...[]netip.Addr) *Addresses {
		a := NewAddresses(all...)
		a.ByClient = NewByClient(a, affinity, near)
		return a
	}
	different := []func() *Addresses{
		func() *Addresses { return near(false) },
		func() *Addresses { return near(true) },
		func() *Addresses { return near(false, all[:1]) },
		func() *Addresses { return near(false, all[1:]) },
		func() *Addresses { return near(false, nil, all[1:]) },
		func() *Addresses { return near(true, all[:1]) },
	}
	for i, a := range different {
		for j, b := range different {
			if got := a().EqualAddresses(b()); got != (i == j) {
				t.Errorf("%d, %d: got %v", i, j, got)
			}
		}
	}
}

// L5: a client gets what is near in a family, else all. Nobody gets nothing while there is something, whatever is united and left
// out by family.
func TestNearNeverEmpty(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	some := func(addrs []netip.Addr) (few []netip.Addr) {
		for _, addr := range addrs {
			if r.IntN(3) == 0 {
				few = append(few, addr)
			}
		}
		return few
	}
	for round := range 3000 {
		const rules = 3
		var sets []*Addresses
		want := [rules][2]map[netip.Addr]bool{} // near, by rule and family
		for rule := range want {
			want[rule] = [2]map[netip.Addr]bool{{}, {}}
		}
		for range 1 + r.IntN(3) {
			a := NewAddresses(some(numbered(9, false))...)
			if r.IntN(2) == 0 {
				a = NewAddresses(slices.Concat(a.V4, some(numbered(9, true)))...)
			}
			var near [][]netip.Addr
			for range r.IntN(rules + 1) {
				near = append(near, some(slices.Concat(a.V4, a.V6)))
			}
			a.ByClient = NewByClient(a, r.IntN(2) == 0, near)
			part := *a
			if r.IntN(4) == 0 {
				part.V4 = nil // as of a Service whose endpoints of a family are worse than another's
			}
			for rule := range near {
				for _, addr := range near[rule] {
					if part.Has(addr) {
						want[rule][family(addr.Is6())][addr] = true
					}
				}
			}
			sets = append(sets, &part)
		}
		u := sets[0]
		if len(sets) > 1 || len(u.V4) == 0 {
			u = Union(sets...)
		}
		for rule := -1; rule < rules; rule++ {
			for f, all := range [2][]netip.Addr{u.V4, u.V6} {
				c := testClient(r.IntN(1000))
				c.Rule = rule
				limit := r.IntN(5)
				got, varies := u.For(c, f == 1, limit)
				from := all
				if rule >= 0 && len(want[rule][f]) > 0 {
					from = slices.DeleteFunc(slices.Clone(all), func(addr netip.Addr) bool { return !want[rule][f][addr] })
				}
				n := len(from)
				if limit > 0 {
					n = min(n, limit)
				}
				if len(got) != n || slices.ContainsFunc(got, func(addr netip.Addr) bool { return !slices.Contains(from, addr) }) {
					t.Fatalf("round %d, rule %d: got %v, want %d of %v", round, rule, got, n, from)
				}
				if len(from) < len(all) && !varies {
					t.Fatalf("round %d, rule %d: %v of %v are for this client alone", round, rule, from, all)
				}
				if whole, _ := u.For(nil, f == 1, 0); len(whole) != len(all) {
					t.Fatalf("round %d: somebody gets %v of %v", round, whole, all)
				}
			}
		}
	}
}

func BenchmarkAffinity(b *testing.B) {
	for _, limit := range []int{16, 78, 256, 0} {
		a := withAffinity(numbered(1000, false)...)
		plain := NewAddresses(numbered(1000, false)...)
		for name, of := range map[string]*Addresses{"affinity": a, "plain": plain} {
			b.Run(fmt.Sprintf("%s/limit=%d", name, limit), func(b *testing.B) {
				b.ReportAllocs()
				c := testClient(7)
				for b.Loop() {
					of.For(c, false, limit)
				}
			})
		}
	}
}
