package records

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestReversePrefix(t *testing.T) {
	for name, want := range map[string]string{
		"in-addr.arpa.": "0.0.0.0/0", "10.in-addr.arpa.": "10.0.0.0/8", "244.10.in-addr.arpa.": "10.244.0.0/16", "0.0.244.10.in-addr.arpa.": "10.244.0.0/32",
		"7.1.244.10.in-addr.arpa.": "10.244.1.7/32", "ip6.arpa.": "::/0", "d.f.ip6.arpa.": "fd00::/8", "0.d.f.ip6.arpa.": "fd00::/12",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.": "2001:db8::1/128",
		"256.in-addr.arpa.": "", "01.in-addr.arpa.": "", "a.in-addr.arpa.": "", "+1.in-addr.arpa.": "", "-1.in-addr.arpa.": "", ".in-addr.arpa.": "", `1\.2.in-addr.arpa.`: "",
		"1.7.1.244.10.in-addr.arpa.": "", "*.10.in-addr.arpa.": "", "xin-addr.arpa.": "", "0/25.2.0.192.in-addr.arpa.": "", "g.ip6.arpa.": "", "10.ip6.arpa.": "", "+.ip6.arpa.": "",
		"x1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.": "", "arpa.": "", "minilb.": "", ".": "",
	} {
		prefix, ok := ReversePrefix(name)
		if got := prefix.String(); ok != (want != "") || ok && got != want {
			t.Errorf("%s: got %s, %v, want %q", name, got, ok, want)
		}
		if ok && prefix.IsSingleIP() && reverseName(prefix.Addr()) != name {
			t.Errorf("%s: got back %s", name, reverseName(prefix.Addr()))
		}
	}
}

// pointed is an index with reverse zones, one of which lies in another, and Services in it.
type pointed struct {
	*Index
	nodes map[string]*Node // by name
}

func newPointed() *pointed {
	p := &pointed{NewIndex([]string{"244.10.in-addr.arpa.", "minilb.", "lan.", "1.244.10.in-addr.arpa.", "0.0.0.0.0.0.d.f.ip6.arpa."}), map[string]*Node{}}
	p.Update(nil, nil, false)
	return p
}

func (p *pointed) set(service string, after *Addresses) {
	node := p.nodes[service]
	if node == nil {
		node = &Node{Addrs: &AddressSet{}, NamesBelow: true, Source: "service", Namespace: "shop", Service: service}
		p.nodes[service] = node
	}
	before := node.Addrs.Load()
	node.Addrs.Store(after)
	p.UpdateReverse(node, before, after)
}

// at returns the names that a name points to, or what it is.
func (p *pointed) at(name string) string {
	result, node := p.Lookup(p.Zone(name), name)
	switch result {
	case Found:
		return strings.Join(node.Pointers, " ")
	case NoData:
		return "empty"
	}
	return "-"
}

// D60, D12: PTR records, and the names above them.
func TestReverse(t *testing.T) {
	p := newPointed()
	check := func(want map[string]string) {
		t.Helper()
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if got := p.at(name); got != want[name] {
				t.Errorf("%s: got %q, want %q", name, got, want[name])
			}
		}
	}
	check(map[string]string{"244.10.in-addr.arpa.": "empty", "1.244.10.in-addr.arpa.": "empty", "2.244.10.in-addr.arpa.": "-", "7.2.244.10.in-addr.arpa.": "-"})

	p.set("web", NewAddresses(addrs("10.244.1.7", "10.244.2.7", "10.9.9.9", "fd00::7")...))
	db := NewAddresses(addrs("10.244.2.7", "10.244.2.8")...)
	db.Endpoints = NewEndpoints(db, []Host{{"db-0", netip.MustParseAddr("10.244.2.8")}}, nil)
	p.set("db", db)
	const six = "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa."
	check(map[string]string{
		"7.1.244.10.in-addr.arpa.":   "10-244-1-7.web.shop.minilb.",
		"7.2.244.10.in-addr.arpa.":   "10-244-2-7.db.shop.minilb. 10-244-2-7.web.shop.minilb.",
		"8.2.244.10.in-addr.arpa.":   "db-0.db.shop.minilb.",
		"2.244.10.in-addr.arpa.":     "empty",
		"3.244.10.in-addr.arpa.":     "-",
		"9.2.244.10.in-addr.arpa.":   "-",
		"x.7.1.244.10.in-addr.arpa.": "-",
		"x.244.10.in-addr.arpa.":     "-",
		"9.9.9.10.in-addr.arpa.":     "-", // in no zone
		"7.0.0.0." + six:             "fd00--7.web.shop.minilb.",
		"0.0.0." + six:               "empty",
		"1.0.0." + six:               "-",
	})
	if got := p.Serial("244.10.in-addr.arpa."); got == 0 {
		t.Error("no serial")
	}

	p.set("web", NewAddresses(addrs("10.244.2.7")...))
	check(map[string]string{"7.1.244.10.in-addr.arpa.": "-", "1.244.10.in-addr.arpa.": "empty", "7.0.0.0." + six: "-", "0.0.0." + six: "-"})
	p.set("web", NewAddresses())
	p.set("db", NewAddresses())
	check(map[string]string{"7.2.244.10.in-addr.arpa.": "-", "2.244.10.in-addr.arpa.": "-"})

	for i := range 20 { // at most 16, the same ones always
		p.set(fmt.Sprintf("s%02d", i), NewAddresses(addrs("10.244.3.1")...))
	}
	if got := strings.Fields(p.at("1.3.244.10.in-addr.arpa.")); len(got) != 16 || !slices.IsSorted(got) {
		t.Errorf("got %d names: %v", len(got), got)
	}
}

// D24: the serial of a reverse zone moves with what is in it, and with nothing else.
func TestReverseSerial(t *testing.T) {
	const outer, inner, six = "244.10.in-addr.arpa.", "1.244.10.in-addr.arpa.", "0.0.0.0.0.0.d.f.ip6.arpa."
	named := NewAddresses(addrs("10.244.2.7", "10.244.1.7")...)
	named.Endpoints = NewEndpoints(named, []Host{{"web-0", netip.MustParseAddr("10.244.2.7")}}, []Port{{Proto: "_tcp", Service: "_https", Number: 443}})
	otherPort := NewAddresses(addrs("10.244.2.7", "10.244.1.7")...)
	otherPort.Endpoints = NewEndpoints(otherPort, []Host{{"web-0", netip.MustParseAddr("10.244.2.7")}}, []Port{{Proto: "_tcp", Service: "_https", Number: 8443}})
	paired := func(pairs ...string) *Addresses { // an IPv4 address, the IPv6 one that is named for it, and so on
		a := NewAddresses(addrs(pairs...)...)
		var hosts []Host
		for pair := range slices.Chunk(addrs(pairs...), 2) {
			hosts = append(hosts, Host{Dashed(pair[0]), pair[1]})
		}
		a.Endpoints = NewEndpoints(a, hosts, nil)
		return a
	}
	for _, tc := range []struct {
		what          string
		before, after *Addresses
		want          []string
	}{
		{"an address comes", NewAddresses(), NewAddresses(addrs("10.244.2.7")...), []string{outer}},
		{"one goes in the zone within", NewAddresses(addrs("10.244.1.7")...), NewAddresses(), []string{inner}},
		{"IPv6", NewAddresses(), NewAddresses(addrs("fd00::1", "fe00::1")...), []string{six}},
		{"one for another", NewAddresses(addrs("10.244.2.7")...), NewAddresses(addrs("10.244.1.8")...), []string{outer, inner}},
		{"another outside", NewAddresses(addrs("10.244.2.7")...), NewAddresses(addrs("10.244.2.7", "10.1.1.1")...), nil},
		{"another hostname", NewAddresses(addrs("10.244.2.7", "10.244.1.7")...), named, []string{outer}},
		{"another port", named, otherPort, nil},
		{"the same", named, named, nil},
		{"named for another address", paired("10.1.1.1", "fd00::1"), paired("10.1.1.2", "fd00::1"), []string{six}},
		{"the next is named for another's address", paired("10.1.1.1", "fc00::1", "10.1.1.2", "fd00::2"), paired("10.1.1.1", "fd00::2", "10.1.1.2", "fe00::3"), []string{six}},
		{"named for the same address still", paired("10.1.1.1", "fd00::1", "10.1.1.2", "fe00::2"), paired("10.1.1.1", "fd00::1", "10.1.1.3", "fe00::3"), nil},
	} {
		p := newPointed()
		p.set("web", tc.before)
		before := map[string]uint32{}
		for _, zone := range p.Zones {
			before[zone] = p.Serial(zone)
		}
		p.set("web", tc.after)
		var got []string
		for _, zone := range p.Zones {
			if p.Serial(zone) != before[zone] {
				got = append(got, zone)
			}
		}
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(tc.want))) {
			t.Errorf("%s: the serials of %q move, want %q", tc.what, got, tc.want)
		}
	}
}

// Random changes leave what a look at all Services says.
func TestReverseModel(t *testing.T) {
	p := newPointed()
	random := rand.New(rand.NewPCG(1, 2))
	var all []netip.Addr
	for i := range 40 {
		all = append(all, netip.AddrFrom4([4]byte{10, 244, byte(i % 3), byte(i)}), netip.AddrFrom16([16]byte{0xfd, 14: byte(i % 2), 15: byte(i)}))
	}
	for range 500 {
		var some []netip.Addr
		for _, addr := range all {
			if random.IntN(3) == 0 {
				some = append(some, addr)
			}
		}
		p.set(fmt.Sprintf("s%d", random.IntN(5)), NewAddresses(some...))

		want := map[string][]string{}
		for _, node := range p.nodes {
			a := node.Addrs.Load()
			for _, addr := range slices.Concat(a.V4, a.V6) {
				name := reverseName(addr)
				want[name] = append(want[name], Dashed(addr)+"."+node.Service+".shop.minilb.")
			}
		}
		got := map[string][]string{}
		for _, zone := range []string{"244.10.in-addr.arpa.", "1.244.10.in-addr.arpa.", "0.0.0.0.0.0.d.f.ip6.arpa."} {
			for r := range p.Entries(zone) {
				if p.Zone(r.Name) != zone || got[r.Name] != nil {
					t.Fatalf("%s in zone %s", r.Name, zone)
				}
				got[r.Name] = r.Node.Pointers
			}
		}
		for name, pointers := range want {
			slices.Sort(pointers)
			if p.at(name) != strings.Join(pointers, " ") {
				t.Fatalf("%s: got %q, want %q", name, p.at(name), pointers)
			}
		}
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("got %v, want %v", got, want)
		}
		for _, addr := range all { // each name above exists as long as there is something below
			name := reverseName(addr)
			for off, end := dns.NextLabel(name, 0); !end && p.Zone(name[off:]) != ""; off, end = dns.NextLabel(name, off) {
				above := name[off:]
				exists := slices.Contains(p.Zones, above)
				for below := range want {
					exists = exists || strings.HasSuffix(below, "."+above)
				}
				if got := p.at(above) == "empty"; got != exists {
					t.Fatalf("%s: exists %v, want %v", above, got, exists)
				}
			}
		}
	}
}
