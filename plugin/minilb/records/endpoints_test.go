package records

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// D40: the label of an address, and back. Each address has one label alone.
func TestDashed(t *testing.T) {
	for text, want := range map[string]string{
		"10.244.1.7": "10-244-1-7", "0.0.0.0": "0-0-0-0",
		"fd00::1": "fd00--1", "fd00:1::": "fd00-1--0", "::1": "--1", "2001:db8:1:2:3:4:5:6": "2001-db8-1-2-3-4-5-6",
	} {
		addr := netip.MustParseAddr(text)
		label := Dashed(addr)
		if label != want {
			t.Errorf("%s: got %q, want %q", text, label, want)
		}
		if back, ok := undashed(label); !ok || back != addr {
			t.Errorf("%s: got back %s, %v", label, back, ok)
		}
	}
	for _, label := range []string{"", "web", "10-244-1", "010-244-1-7", "10.244.1.7", "fd00-0-0-0-0-0-0-1", "fd00--01", "FD00--1", "fd00-1--", "-"} {
		if addr, ok := undashed(label); ok {
			t.Errorf("%q: got %s", label, addr)
		}
	}
}

// shop is a tree with a Service that has three endpoints, two of them with hostnames, and ports.
func shop(t *testing.T) (*tree, *Node) {
	t.Helper()
	a := NewAddresses(addrs("10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "fd00::2")...)
	a.Endpoints = NewEndpoints(a,
		[]Host{{"db-0", netip.MustParseAddr("10.0.0.2")}, {"db-0", netip.MustParseAddr("fd00::2")}, {"db-1", netip.MustParseAddr("10.0.0.3")}, {"db-1", netip.MustParseAddr("10.0.0.3")}},
		[]Port{
			{Proto: "_tcp", Service: "_https", Number: 8443},
			{Proto: "_tcp", Service: "_https", Number: 9443, Labels: []string{"db-1"}},
			{Proto: "_udp", Service: "_dns", Number: 53, Labels: []string{"10-0-0-1", "fd00--1"}},
			{Proto: "_tcp", Service: "_idle", Number: 1, Labels: []string{}},
		})
	web := &Node{Addrs: NewAddressSet(a), NamesBelow: true, Source: "service", Namespace: "shop", Service: "web"}
	host := &Node{Addrs: NewAddressSet(NewAddresses(addrs("10.9.9.9")...))}
	return newTree("minilb.", []Entry{
		{"web.shop.minilb.", web},
		{"x.web.shop.minilb.", host}, {"10-0-0-1.web.shop.minilb.", host}, {"a.db-0.web.shop.minilb.", host}, {"*.web.shop.minilb.", host},
		{"host.minilb.", &Node{Addrs: web.Addrs}}, // a claim that leads to the same addresses
	}), web
}

// D16, D40–D42, D10, C1: what lies below a Service, whatever else is claimed there.
func TestTreeBelow(t *testing.T) {
	tree, _ := shop(t)
	for name, want := range map[string]string{
		"web.shop.minilb.":                   "10.0.0.1 10.0.0.2 10.0.0.3 fd00::1 fd00::2",
		"10-0-0-1.web.shop.minilb.":          "10.0.0.1", // not the claim's
		"fd00--1.web.shop.minilb.":           "fd00::1",
		"db-0.web.shop.minilb.":              "10.0.0.2 fd00::2",
		"db-1.web.shop.minilb.":              "10.0.0.3",
		"_tcp.web.shop.minilb.":              "empty",
		"_udp.web.shop.minilb.":              "empty",
		"_https._tcp.web.shop.minilb.":       "ports",
		"_dns._udp.web.shop.minilb.":         "ports",
		"_idle._tcp.web.shop.minilb.":        "ports",
		"_https._udp.web.shop.minilb.":       "-",
		"_dns._tcp.web.shop.minilb.":         "-",
		"x._https._tcp.web.shop.minilb.":     "-",
		"x.10-0-0-1.web.shop.minilb.":        "-",
		"y.db-0.web.shop.minilb.":            "-",
		"a.db-0.web.shop.minilb.":            "10.9.9.9",
		"x.web.shop.minilb.":                 "10.9.9.9",
		"*.web.shop.minilb.":                 "10.9.9.9",
		"10-0-0-2.web.shop.minilb.":          "10.9.9.9", // it has a hostname, so that this is any name
		"10-0-0-9.web.shop.minilb.":          "10.9.9.9",
		"_sctp.web.shop.minilb.":             "10.9.9.9",
		"_https._sctp.web.shop.minilb.":      "10.9.9.9",
		"10-0-0-1.host.minilb.":              "-", // names below a Service's own name alone
		"_https._tcp.host.minilb.":           "-",
		`10-0-0-1\.web.shop.minilb.`:         "-",
		`_https\._tcp.web.shop.minilb.`:      "10.9.9.9",
		"_tcp.shop.minilb.":                  "-",
		"shop.minilb.":                       "empty",
		"_https._tcp.nope.shop.minilb.":      "-",
		"10-0-0-1.10-0-0-1.web.shop.minilb.": "-",
		"_https._tcp._tcp.web.shop.minilb.":  "-",
		"_https._tcp.db-0.web.shop.minilb.":  "-",
		"deep.er.web.shop.minilb.":           "10.9.9.9",
		"db-0.x.web.shop.minilb.":            "-",
		"_https._tcp.x.web.shop.minilb.":     "-",
	} {
		result, node := tree.lookup(name)
		got := "-"
		switch {
		case result == NoData:
			got = "empty"
		case result == Found && node.Ports != nil:
			got = "ports"
		case result == Found:
			var all []string
			for _, addr := range slices.Concat(node.Addrs.Load().V4, node.Addrs.Load().V6) {
				all = append(all, addr.String())
			}
			got = strings.Join(all, " ")
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// D40: an endpoint whose hostname is written as another one's address is.
func TestHostnameLikeAddress(t *testing.T) {
	a := NewAddresses(addrs("10.0.0.1", "10.0.0.2", "10.0.0.3")...)
	a.Endpoints = NewEndpoints(a, []Host{{"10-0-0-1", netip.MustParseAddr("10.0.0.2")}, {"10-0-0-3", netip.MustParseAddr("10.0.0.3")}}, nil)
	for label, want := range map[string][]netip.Addr{"10-0-0-1": addrs("10.0.0.1", "10.0.0.2"), "10-0-0-2": nil, "10-0-0-3": addrs("10.0.0.3")} {
		if got := a.At(label); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", label, got, want)
		}
	}
}

// D16: where a zone lies below another's Service, a Service of the inner zone may lie below an endpoint.
func TestServiceBelowEndpoint(t *testing.T) {
	outer := NewAddresses(addrs("10.0.0.1")...)
	outer.Endpoints = NewEndpoints(outer, []Host{{"shop", netip.MustParseAddr("10.0.0.1")}}, nil)
	inner := &Node{Addrs: &AddressSet{}, NamesBelow: true}
	tree := newTree("a.b.minilb.", []Entry{{"a.b.minilb.", &Node{Addrs: NewAddressSet(outer), NamesBelow: true}}, {"web.shop.a.b.minilb.", inner}})
	if result, node := tree.lookup("shop.a.b.minilb."); result != Found || node.Addrs == nil || !node.Addrs.Load().Equal(NewAddresses(addrs("10.0.0.1")...)) {
		t.Errorf("the endpoint: got %d, %v", result, node)
	}
	if result, node := tree.lookup("web.shop.a.b.minilb."); result != Found || node != inner {
		t.Errorf("the Service below: got %d, %v", result, node)
	}
}

// withoutAddrs returns targets as the labels alone say where they are, which their addresses, where
// they have any, are to agree with.
func withoutAddrs(t *testing.T, node *Node, targets []Target) []Target {
	t.Helper()
	for i := range targets {
		target := &targets[i]
		if at := node.ServedBy.At(target.Label()); len(at) == 0 || target.Addr.IsValid() && !slices.Equal(at, []netip.Addr{target.Addr}) {
			t.Errorf("target %s has address %s, want %v", target.Name, target.Addr, at)
		}
		target.Addr = netip.Addr{}
	}
	return targets
}

// target is one below web.shop.minilb.
func target(label string, number uint16) Target {
	return Target{Name: label + ".web.shop.minilb.", Number: number}
}

// D41: the targets of a port, each once.
func TestTargets(t *testing.T) {
	tree, _ := shop(t)
	for _, tc := range []struct {
		name string
		want []Target
	}{
		{"_https._tcp.web.shop.minilb.", []Target{target("10-0-0-1", 8443), target("db-0", 8443), target("db-1", 8443), target("db-1", 9443), target("fd00--1", 8443)}},
		{"_dns._udp.web.shop.minilb.", []Target{target("10-0-0-1", 53), target("fd00--1", 53)}},
		{"_idle._tcp.web.shop.minilb.", nil},
	} {
		_, node := tree.lookup(tc.name)
		got := withoutAddrs(t, node, node.Targets("web.shop.minilb.", 0))
		slices.SortFunc(got, func(a, b Target) int {
			return strings.Compare(a.Name, b.Name)*100000 + int(a.Number) - int(b.Number)
		})
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
	// D23b: of too many always the same ones.
	_, node := tree.lookup("_https._tcp.web.shop.minilb.")
	for limit, want := range [][]Target{1: {target("10-0-0-1", 8443)}, 2: {target("10-0-0-1", 8443), target("db-0", 8443)}} {
		if got := withoutAddrs(t, node, node.Targets("web.shop.minilb.", limit)); limit > 0 && !slices.Equal(got, want) {
			t.Errorf("limit %d: got %v, want %v", limit, got, want)
		}
	}
}

// D40, D41: a pod with an address of each family is one endpoint, which is named for the first.
func TestDualStack(t *testing.T) {
	four, six := addrs("10.0.0.1", "10.0.0.2"), addrs("fd00::1", "fd00::2", "fd00::3")
	a := NewAddresses(slices.Concat(four, six)...)
	a.Endpoints = NewEndpoints(a, []Host{{"10-0-0-2", six[0]}, {"10-0-0-1", six[1]}, {"10-0-0-1", four[0]}}, []Port{{Proto: "_tcp", Service: "_https", Number: 443}})
	if a.hosts != nil || a.labels != nil {
		t.Errorf("it takes more room than it needs to: %+v", a.Endpoints)
	}
	for label, want := range map[string][]netip.Addr{
		"10-0-0-1": addrs("10.0.0.1", "fd00::2"), "10-0-0-2": addrs("10.0.0.2", "fd00::1"), "fd00--3": addrs("fd00::3"), "fd00--1": nil, "fd00--2": nil,
	} {
		if got := a.At(label); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", label, got, want)
		}
	}
	node := &Node{Addrs: NewAddressSet(a), NamesBelow: true}
	var children []string
	for r := range node.children("web.shop.minilb.") {
		children = append(children, r.Name)
	}
	slices.Sort(children)
	if want := []string{"10-0-0-1.web.shop.minilb.", "10-0-0-2.web.shop.minilb.", "_https._tcp.web.shop.minilb.", "fd00--3.web.shop.minilb."}; !slices.Equal(children, want) {
		t.Errorf("got %q, want %q", children, want)
	}
	_, ports, _ := node.below("_https._tcp")
	if got, want := withoutAddrs(t, ports, ports.Targets("web.shop.minilb.", 0)), []Target{target("10-0-0-1", 443), target("10-0-0-2", 443), target("fd00--3", 443)}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// D24: endpoints and ports are content, too.
func TestEndpointsEqual(t *testing.T) {
	x := NewAddresses(netip.MustParseAddr("10.0.0.1"))
	host, port := Host{"db-0", netip.MustParseAddr("10.0.0.1")}, Port{Proto: "_tcp", Service: "_https", Number: 8443}
	other := port
	other.Addrs = addrs("10.0.0.1")
	all := []*Endpoints{
		nil, NewEndpoints(x, []Host{host}, nil), NewEndpoints(x, nil, []Port{port}), NewEndpoints(x, []Host{host}, []Port{port}), NewEndpoints(x, nil, []Port{other}),
		NewEndpoints(x, nil, []Port{{Proto: "_tcp", Service: "_https", Number: 8444}}), NewEndpoints(x, []Host{{"db-1", host.Addr}}, nil),
	}
	for i, a := range all {
		for j, b := range all {
			x, y := NewAddresses(), NewAddresses()
			x.Endpoints, y.Endpoints = a, b
			if got := x.Equal(y); got != (i == j) {
				t.Errorf("%d and %d: equal is %v", i, j, got)
			}
		}
	}
	if NewEndpoints(x, nil, nil) != nil {
		t.Error("there is something of nothing")
	}
}

// D29: all that a zone has, each name once, as it is answered.
func TestTreeRecords(t *testing.T) {
	tree, _ := shop(t)
	seen := map[string]bool{}
	for r := range tree.records() {
		if seen[r.Name] {
			t.Errorf("%s: twice", r.Name)
		}
		seen[r.Name] = true
		result, node := tree.lookup(r.Name)
		if result != Found || len(node.Ports) != len(r.Node.Ports) || node.Ports == nil && !node.Addrs.Load().EqualAddresses(r.Node.Addrs.Load()) {
			t.Errorf("%s: got %+v, is answered %v %+v", r.Name, r.Node, result, node)
		}
	}
	want := []string{
		"*.web.shop.minilb.", "10-0-0-1.web.shop.minilb.", "_dns._udp.web.shop.minilb.", "_https._tcp.web.shop.minilb.", "_idle._tcp.web.shop.minilb.", "a.db-0.web.shop.minilb.",
		"db-0.web.shop.minilb.", "db-1.web.shop.minilb.", "fd00--1.web.shop.minilb.", "host.minilb.", "web.shop.minilb.", "x.web.shop.minilb.",
	}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// A hostname that any number of endpoints have costs a question no more than that of some.
func TestNamesakes(t *testing.T) {
	var all []netip.Addr
	var hosts []Host
	for addr := netip.MustParseAddr("10.1.0.0"); len(all) < 100_000; addr = addr.Next() {
		all = append(all, addr)
		hosts = append(hosts, Host{"same", addr})
	}
	a := NewAddresses(all...)
	a.Endpoints = NewEndpoints(a, hosts, []Port{{Proto: "_tcp", Service: "_http", Number: 80}})
	if got := len(a.At("same")); got != maxSharedHostname {
		t.Errorf("got %d addresses, want %d", got, maxSharedHostname)
	}
	n := &Node{Ports: a.portsOf("_tcp", "_http"), ServedBy: a}
	if got := n.Targets("web.shop.minilb.", 0); len(got) != 1 || got[0].Name != "same.web.shop.minilb." {
		t.Errorf("got targets %v, want one", got)
	}
	other := hosts[:0:0]
	for i := range maxSharedHostname + 1 {
		other = append(other, Host{"a", all[2*i]}, Host{"b", all[2*i+1]})
	}
	a.Endpoints = NewEndpoints(a, other, nil)
	if got := [2]int{len(a.At("a")), len(a.At("b"))}; got != [2]int{maxSharedHostname, maxSharedHostname} {
		t.Errorf("got %d addresses of two hostnames, want %d each", got, maxSharedHostname)
	}
}

// D24: what is the same by its answers is the same, so that the serial stays.
func TestEndpointsSame(t *testing.T) {
	addr, addr6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	for name, hosts := range map[string][]Host{
		"named":      {{"db-0", addr}},
		"dual-stack": {{"10-0-0-1", addr6}},
		"both":       {{"db-0", addr}, {"db-1", addr6}},
	} {
		of := NewAddresses(addr, addr6)
		endpoints := func(labels []string) *Endpoints {
			return NewEndpoints(of, slices.Clone(hosts), []Port{{Proto: "_tcp", Service: "_http", Number: 80, Labels: labels}})
		}
		of.Endpoints = endpoints(nil)
		var all []string
		for _, addr := range []netip.Addr{addr, addr6} {
			all = append(all, of.label(addr))
		}
		slices.Sort(all)
		all = slices.Compact(all)
		if got := endpoints(all); !got.equal(of.Endpoints) {
			t.Errorf("%s: a port of %q differs from one of all endpoints", name, all)
		}
		if got := endpoints(all[:len(all)-1]); got.equal(of.Endpoints) {
			t.Errorf("%s: a port of %q is the same as one of all endpoints", name, all[:len(all)-1])
		}
	}
}
