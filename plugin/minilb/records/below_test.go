package records

import (
	"net/netip"
	"strings"
	"testing"
)

// D33: a name has 253 characters at most, its final dot left out.
func TestBelow(t *testing.T) {
	for length, want := range map[int]bool{200: true, 252: true, 253: true, 254: false} {
		label, name := "web", strings.Repeat("a.", length)[:length-len("web.")]+"."
		full := childName(label, name)
		if got := full != ""; got != want || want && full != label+"."+name {
			t.Errorf("%d characters: got %q, want a name: %v", length, full, want)
		}
		if got := ValidLength(label + "." + name); got != want {
			t.Errorf("%d characters: fits %v, want %v", length, got, want)
		}
	}
}

// D33: endpoints whose names would be too long are left out, the others are not, whatever the limit.
func TestTargetsTooLong(t *testing.T) {
	long, of := strings.Repeat("x", 63), NewAddresses(addrs("10.0.0.1", "10.0.0.2")...)
	named := &Node{ServedBy: of, Ports: []Port{{Labels: []string{long, "y"}}}}
	addressed := &Node{ServedBy: of, Ports: []Port{{}}}
	for length, want := range map[int][2]int{189: {2, 2}, 190: {1, 2}, 244: {1, 2}, 245: {1, 0}, 251: {1, 0}, 252: {0, 0}} { // before the final dot
		service := strings.Repeat("a", length) + "."
		if got := len(named.Targets(service, 0)); got != want[0] {
			t.Errorf("below %d characters: got %d targets by labels, want %d", length, got, want[0])
		}
		if got := len(named.Targets(service, 1)); got != min(1, want[0]) {
			t.Errorf("below %d characters: got %d targets by labels of at most one", length, got)
		}
		if got := len(addressed.Targets(service, 0)); got != want[1] {
			t.Errorf("below %d characters: got %d targets by addresses, want %d", length, got, want[1])
		}
	}
}

// D24: two nodes are the same if no answer differs, those for the names below them included.
func TestSame(t *testing.T) {
	service := func(parental bool, hosts []Host, ports []Port, list ...string) *Node {
		a := NewAddresses(addrs(list...)...)
		a.Endpoints = NewEndpoints(a, hosts, ports)
		return &Node{Addrs: NewAddressSet(a), NamesBelow: parental}
	}
	plain := func(n *Node) *Node { return &Node{Addrs: n.Addrs, NamesBelow: n.NamesBelow, NoHTTPS: true} }
	hosts := []Host{{"db-0", netip.MustParseAddr("10.0.0.1")}}
	ports := []Port{{Proto: "_tcp", Service: "_https", Number: 8443}}
	one := service(false, nil, nil, "10.0.0.1")
	for _, tc := range []struct {
		name string
		a, b *Node
		want bool
	}{
		{"one node", one, one, true},
		{"none, and one", nil, one, false},
		{"the same addresses", one, service(false, nil, nil, "10.0.0.1"), true},
		{"other addresses", one, service(false, nil, nil, "10.0.0.2"), false},
		{"other IPv6 addresses", service(false, nil, nil, "10.0.0.1", "fd00::1"), one, false},
		{"another target", &Node{Target: "a."}, &Node{Target: "b."}, false},
		{"a target, and addresses", &Node{}, one, false},
		{"HTTPS differs where there is none", one, plain(one), true},
		{"a Service's, IPv4", one, service(true, nil, nil, "10.0.0.1"), false},
		{"a Service's, IPv6", service(false, nil, nil, "fd00::1"), service(true, nil, nil, "fd00::1"), false},
		{"a Service's, both families", service(false, nil, nil, "10.0.0.1", "fd00::1"), service(true, nil, nil, "10.0.0.1", "fd00::1"), false},
		{"a Service's, of the very addresses", one, &Node{Addrs: one.Addrs, NamesBelow: true}, false},
		{"a Service's without endpoints", service(false, nil, nil), service(true, nil, nil), true},
		{"a Service's without endpoints, with a port", service(false, nil, ports), service(true, nil, ports), false},
		{"another hostname below", service(true, hosts, nil, "10.0.0.1"), service(true, nil, nil, "10.0.0.1"), false},
		{"another hostname, and nothing below", service(false, hosts, nil, "10.0.0.1"), one, true},
		{"the same below", service(true, hosts, ports, "10.0.0.1"), service(true, hosts, ports, "10.0.0.1"), true},
	} {
		if got, reverse := tc.a.same(tc.b), tc.b.same(tc.a); got != tc.want || reverse != tc.want {
			t.Errorf("%s: got %v, the other way round %v, want %v", tc.name, got, reverse, tc.want)
		}
	}
}

// Whoever looks at the names of a zone may stop at any of them.
func TestTreeRecordsStop(t *testing.T) {
	tree, _ := shop(t)
	all := 0
	for range tree.records() {
		all++
	}
	for n := 1; n <= all; n++ {
		got := 0
		for range tree.records() {
			if got++; got == n {
				break
			}
		}
		if got != n {
			t.Errorf("stopped after %d names, want %d", got, n)
		}
	}
}

// The names below a Service's are told to be that Service's.
func TestChildrenOf(t *testing.T) {
	_, web := shop(t)
	n := 0
	for r := range web.children("web.shop.minilb.") {
		if n++; r.Node.Source != web.Source || r.Node.Namespace != web.Namespace || r.Node.Service != web.Service {
			t.Errorf("%s: got %+v", r.Name, r.Node)
		}
	}
	if n != 7 { // four labels of endpoints, three ports
		t.Errorf("got %d names", n)
	}
}

// D24, D40: a hostname that is what the address stands for anyway is no content of its own.
func TestHostnameOfAddress(t *testing.T) {
	a := NewAddresses(addrs("10.0.0.1", "10.0.0.2")...)
	if e := NewEndpoints(a, []Host{{"10-0-0-1", netip.MustParseAddr("10.0.0.1")}}, nil); e != nil {
		t.Errorf("got %+v", e)
	}
}
