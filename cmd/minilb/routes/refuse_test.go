package routes

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes/fake"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
)

// R7, R7b: no route takes away a node, the LAN's router or the API server.
func TestRefuseHosts(t *testing.T) {
	ignored := node("x", "10.9.0.0/24", "10.42.3.13")
	ignored.Labels = map[string]string{"minilb/ignore": "true"}
	for _, tc := range []struct {
		name  string
		lan   LAN
		nodes []*corev1.Node
		want  string
	}{
		{"k3s' default CIDR on such a LAN", LAN{}, []*corev1.Node{node("k3s-0", "10.42.0.0/24", "10.42.0.10"), node("k3s-1", "10.42.1.0/24", "10.42.0.11")},
			"# node k3s-0: podCIDR 10.42.0.0/24 contains 10.42.0.10, the InternalIP of node k3s-0: a route would cut it off\nip route replace 10.42.1.0/24 via 10.42.0.11\n"},
		{"its own", LAN{}, []*corev1.Node{node("a", "192.168.1.0/24", "192.168.1.32")},
			"# node a: podCIDR 192.168.1.0/24 contains 192.168.1.32, the InternalIP of node a: a route would cut it off\n"},
		{"another's second one", LAN{}, []*corev1.Node{node("a", "10.250.1.0/24", "192.168.1.31"), node("b", "", "192.168.1.32 10.250.1.77")},
			"# node a: podCIDR 10.250.1.0/24 contains 10.250.1.77, the InternalIP of node b: a route would cut it off\n# node b: no podCIDRs: nothing has set any\n"},
		{"the first of several, the last address", LAN{}, []*corev1.Node{node("a", "10.0.0.0/8", "10.255.255.255"), node("b", "", "10.0.0.9")},
			"# node a: podCIDR 10.0.0.0/8 contains 10.0.0.9, the InternalIP of node b: a route would cut it off\n# node b: no podCIDRs: nothing has set any\n"},
		{"beside it", LAN{}, []*corev1.Node{node("a", "10.42.1.0/24", "10.42.0.255"), node("b", "10.42.3.0/24", "10.42.2.0")},
			"ip route replace 10.42.1.0/24 via 10.42.0.255\nip route replace 10.42.3.0/24 via 10.42.2.0\n"},
		{"of an ignored node", LAN{}, []*corev1.Node{node("a", "10.42.3.0/24", "192.168.1.31"), ignored},
			"# node a: podCIDR 10.42.3.0/24 contains 10.42.3.13, the InternalIP of node x: a route would cut it off\n"},
		{"IPv6", LAN{}, []*corev1.Node{node("a", "2001:db8::/64 10.42.1.0/24", "2001:db8::31 192.168.1.31")},
			"ip route replace 10.42.1.0/24 via 192.168.1.31\n# node a: podCIDR 2001:db8::/64 contains 2001:db8::31, the InternalIP of node a: a route would cut it off\n"},
		{"the router", LAN{Router: netip.MustParseAddr("10.42.1.1")}, []*corev1.Node{node("a", "10.42.1.0/24", "192.168.1.31")},
			"# node a: podCIDR 10.42.1.0/24 contains 10.42.1.1, the LAN's router: a route would cut it off\n"},
		{"the API server", LAN{servers: addrs("192.168.1.10 10.42.1.9 fd00:9::1")}, []*corev1.Node{node("a", "10.42.1.0/24 fd00:9::/64", "192.168.1.31 fd00::31")},
			"# node a: podCIDR 10.42.1.0/24 contains 10.42.1.9, the address of the API server: a route would cut it off\n" +
				"# node a: podCIDR fd00:9::/64 contains fd00:9::1, the address of the API server: a route would cut it off\n"},
		{"the API server, which is a node", LAN{servers: addrs("10.42.1.9")}, []*corev1.Node{node("a", "10.42.1.0/24", "10.42.1.9")},
			"# node a: podCIDR 10.42.1.0/24 contains 10.42.1.9, the InternalIP of node a: a route would cut it off\n"},
		{"and leaves it to another", LAN{}, []*corev1.Node{node("a", "10.42.0.0/24", "10.42.0.10"), node("b", "10.42.0.0/25", "10.42.0.200")},
			"# node a: podCIDR 10.42.0.0/24 contains 10.42.0.10, the InternalIP of node a: a route would cut it off\n" +
				"# node b: podCIDR 10.42.0.0/25 contains 10.42.0.10, the InternalIP of node a: a route would cut it off\n"},
	} {
		entries := tc.lan.fromNodes(tc.nodes)
		if got := replaced(entries); got != tc.want {
			t.Errorf("%s: got\n%swant\n%s", tc.name, got, tc.want)
		}
		for _, e := range entries {
			if strings.Contains(e.Problem, " contains ") != (e.Kind == HostInPodCIDR) || (e.Problem == "") != e.Gateway.IsValid() {
				t.Errorf("%s: got %+v", tc.name, e)
			}
		}
	}
}

// R7b: a node has 64 routes at most, and a name that the API server does not take is printed
// nowhere.
func TestRefuseNodes(t *testing.T) {
	var cidrs []string
	for i := range 66 {
		cidrs = append(cidrs, fmt.Sprintf("10.244.%d.0/24", i))
	}
	many := LAN{}.fromNodes([]*corev1.Node{node("a", strings.Join(cidrs, " "), "192.168.1.31")})
	if last := many[len(many)-1]; len(many) != 65 || last.Kind != NotPodNetwork || last.Problem != "2 of 66 podCIDRs left out, as a node has 64 routes at most" || many[63].Gateway != netip.MustParseAddr("192.168.1.31") {
		t.Errorf("got %+v", many)
	}

	for _, name := range []string{"a\nreboot", "$(reboot)", "a;b", "Upper", "", strings.Repeat("a", 254)} {
		bad := node(name, "10.244.1.0/24", "192.168.1.31")
		pod := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, NodeName: &bad.Name}}}
		seen := NewPodCollector(ReadNodes([]*corev1.Node{bad}))
		seen.Add(pod)
		if len(LAN{}.fromNodes([]*corev1.Node{bad})) != 0 || len(seen.Pods()) != 0 {
			t.Errorf("%q: got %+v and %+v", name, LAN{}.fromNodes([]*corev1.Node{bad}), seen.Pods())
		}
		w := newWatcher(fake.NewClientset(), noResources, LAN{Provider: podnetworks.PodCIDRs}, Hooks{Warn: func(string) {}, Chosen: func(podnetworks.Choice) {}})
		if err := cmp.Or(w.nodes.Add(bad), w.nodes.Replace([]any{bad, node("a.b-1", "10.244.2.0/24", "192.168.1.31")}, ""), w.nodes.Update(bad)); err != nil {
			t.Fatal(err)
		}
		if !w.chooseByName() {
			t.Errorf("%q: no choice without pods", name)
		}
		if entries := w.entries(t.Context()); len(entries) != 1 || entries[0].Node != "a.b-1" {
			t.Errorf("%q: got %+v", name, entries)
		}
	}
}

// R7b: a destination is a pod network or it is nothing.
func TestRefuseNetworks(t *testing.T) {
	for cidr, want := range map[string]string{
		"0.0.0.0/0":          "larger than a /8",
		"0.0.0.0/1":          "larger than a /8",
		"128.0.0.0/1":        "larger than a /8",
		"126.0.0.0/7":        "larger than a /8",
		"0.0.0.0/8":          "0.0.0.0/8 is unspecified",
		"0.1.2.0/24":         "0.0.0.0/8 is unspecified",
		"127.0.0.0/8":        "127.0.0.0/8 is loopback",
		"127.0.0.1/32":       "127.0.0.0/8 is loopback",
		"169.254.169.254/32": "169.254.0.0/16 is link-local",
		"169.0.0.0/8":        "169.254.0.0/16 is link-local",
		"224.0.0.0/24":       "224.0.0.0/4 is multicast",
		"239.1.0.0/16":       "224.0.0.0/4 is multicast",
		"255.255.255.255/32": "255.255.255.255/32 is broadcast",
		"::/0":               "larger than a /16",
		"2000::/3":           "larger than a /16",
		"::/64":              "::/128 is unspecified",
		"::1/128":            "::1/128 is loopback",
		"fe80:1::/64":        "fe80::/10 is link-local",
		"ff02::/16":          "ff00::/8 is multicast",
		"10.0.0.0/8":         "",
		"100.64.0.0/16":      "",
		"240.0.0.0/24":       "",
		"fd00::/16":          "",
		"fc00:1::/64":        "",
		"172.31.0.0/16":      "",
		"198.19.0.0/24":      "",
	} {
		got := LAN{}.fromNodes([]*corev1.Node{node("a", cidr, "192.0.2.1 2001:db8::1")})
		if len(got) != 1 || (got[0].Kind == NotPodNetwork) != (want != "") || want == "" && got[0].Problem != "" ||
			want != "" && got[0].Problem != strings.Join(strings.Fields("podCIDR "+netip.MustParsePrefix(cidr).Masked().String()+" is not a pod network: "+strings.Replace(want, "larger", "it is larger", 1)), " ") {
			t.Errorf("%s: got %+v, want %q", cidr, got, want)
		}
	}
}

// R7b: without -within a destination is in a private network, and with it in one of those.
func TestRefuseOutside(t *testing.T) {
	const public, outside = " is not a private network: if pods have it, name all of the cluster's pod networks with -within",
		" is in none of the networks after -within: add it there if pods have it"
	for _, tc := range []struct {
		within string
		want   map[string]string
	}{
		{"", map[string]string{
			"10.244.1.0/24": "", "fd00:1::/64": "",
			"9.9.9.9/32": public, "172.0.0.0/8": public, "172.32.0.0/16": public, "203.0.113.0/24": public, "100.0.0.0/8": public, "2620:fe::/48": public, "2001:db8:1::/64": public,
		}},
		{"10.244.0.0/16 203.0.113.0/24 2001:db8:1::/56", map[string]string{
			"10.244.1.0/24": "", "203.0.113.0/24": "", "203.0.113.64/26": "", "2001:db8:1:1::/64": "",
			"10.0.0.0/8": outside, "10.245.0.0/24": outside, "203.0.112.0/23": outside, "9.9.9.9/32": outside, "2001:db8:1:100::/64": outside, "fd00:1::/64": outside,
		}},
		{"0.0.0.0/0 ::/0", map[string]string{"9.9.9.9/32": "", "2620:fe::/48": "", "127.0.0.0/24": " is not a pod network: 127.0.0.0/8 is loopback", "0.0.0.0/1": " is not a pod network: it is larger than a /8"}},
	} {
		var lan LAN
		for text := range strings.FieldsSeq(tc.within) {
			lan.Within = append(lan.Within, netip.MustParsePrefix(text))
		}
		for cidr, want := range tc.want {
			if want != "" {
				want = "podCIDR " + cidr + want
			}
			got := lan.fromNodes([]*corev1.Node{node("a", cidr, "192.168.1.31 fd00::31")})
			if len(got) != 1 || got[0].Problem != want || (got[0].Kind == NotPodNetwork) != (want != "") {
				t.Errorf("-within %q: %s: got %+v, want %q", tc.within, cidr, got, want)
			}
		}
	}
}

// R7b: of the problems of a thousand nodes a hundred are told, and how many more there are.
func TestRefuseBounded(t *testing.T) {
	nodes := []*corev1.Node{node("z", "10.244.1.0/24", "192.168.1.31")}
	for i := range 1000 {
		nodes = append(nodes, node(fmt.Sprintf("evil%03d", i), "9.9.9.9/32 127.0.0.0/8", "192.168.1.66"))
	}
	got := LAN{}.fromNodes(nodes)
	last := got[len(got)-2]
	if len(got) != 101 || got[100].Node != "z" || got[100].Problem != "" || last.Node != "evil049" ||
		last.Problem != "podCIDR 127.0.0.0/8 is not a pod network: 127.0.0.0/8 is loopback, and 1900 more problems of nodes are not reported" || strings.Contains(got[98].Problem, "more problems") {
		t.Errorf("got %d, the last of which are %+v", len(got), got[len(got)-3:])
	}
	if got := (LAN{}).fromNodes(nodes[:51]); len(got) != 101 || strings.Contains(got[99].Problem, "more problems") {
		t.Errorf("a hundred problems: got %+v", got)
	}
	// All of them count for where pods are.
	pod := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"9.9.9.9"}, NodeName: &nodes[1000].Name}}}
	if unroutable, total := (LAN{}).Pods(withPodCIDRs(nodes)).Unroutable(pod); total != 1 || len(unroutable) != 1 || !strings.Contains(unroutable[0].Problem, "9.9.9.9/32 is not a private network") {
		t.Errorf("got %+v of %d", unroutable, total)
	}
	malformed := LAN{}.fromNodes([]*corev1.Node{node("a", strings.Repeat("x", 1000), strings.Repeat("y", 1000))})
	for _, e := range malformed {
		if len(e.Problem) > 100 {
			t.Errorf("%d bytes: %s", len(e.Problem), e.Problem)
		}
	}
}

// aged is a node that was made so many hours after another one.
func aged(hours int, name, cidrs, ips string) *corev1.Node {
	n := node(name, cidrs, ips)
	n.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 1, hours, 0, 0, 0, time.UTC))
	return n
}

// R7b: nobody takes addresses that an older node has, be it by the same podCIDR, a part of it, or a wider one.
func TestRefuseYounger(t *testing.T) {
	const one, two = "ip route replace 10.244.1.0/24 via 192.168.1.31\n", "ip route replace 10.244.2.0/24 via 192.168.1.32\n"
	good := []*corev1.Node{aged(1, "node1", "10.244.1.0/24", "192.168.1.31"), aged(5, "node2", "10.244.2.0/24", "192.168.1.32")}
	for name, tc := range map[string]struct {
		more []*corev1.Node
		want string
	}{
		"the same":    {[]*corev1.Node{aged(9, "evil", "10.244.1.0/24", "192.168.1.66")}, "# node evil: podCIDR 10.244.1.0/24 is also that of node node1\n" + one + two},
		"a part":      {[]*corev1.Node{aged(9, "evil", "10.244.1.128/25", "192.168.1.66")}, "# node evil: podCIDR 10.244.1.128/25 overlaps 10.244.1.0/24 of node node1\n" + one + two},
		"an address":  {[]*corev1.Node{aged(9, "evil", "10.244.2.7/32", "192.168.1.66")}, "# node evil: podCIDR 10.244.2.7/32 overlaps 10.244.2.0/24 of node node2\n" + one + two},
		"all":         {[]*corev1.Node{aged(9, "evil", "10.244.0.0/16", "192.168.1.66")}, "# node evil: podCIDR 10.244.0.0/16 overlaps 10.244.1.0/24 of node node1\n" + one + two},
		"two of them": {[]*corev1.Node{aged(8, "evil", "10.244.2.0/23", "192.168.1.66"), aged(9, "good", "10.244.3.0/24", "192.168.1.33")}, "# node evil: podCIDR 10.244.2.0/23 overlaps 10.244.2.0/24 of node node2\nip route replace 10.244.3.0/24 via 192.168.1.33\n" + one + two},
		"older":       {[]*corev1.Node{aged(3, "evil", "10.244.2.0/25", "192.168.1.66")}, "ip route replace 10.244.2.0/25 via 192.168.1.66\n" + one + "# node node2: podCIDR 10.244.2.0/24 overlaps 10.244.2.0/25 of node evil\n"},
		"its own": {[]*corev1.Node{aged(9, "wide", "10.245.0.0/16 10.245.1.0/24 10.245.0.0/24", "192.168.1.66")},
			one + two + "ip route replace 10.245.0.0/16 via 192.168.1.66\nip route replace 10.245.1.0/24 via 192.168.1.66\nip route replace 10.245.0.0/24 via 192.168.1.66\n"},
		"beside them": {[]*corev1.Node{aged(9, "z", "10.244.0.0/24 10.244.3.0/24", "192.168.1.66")}, one + two + "ip route replace 10.244.0.0/24 via 192.168.1.66\nip route replace 10.244.3.0/24 via 192.168.1.66\n"},
	} {
		nodes := append(slices.Clone(good), tc.more...)
		for range 2 { // whatever the order in which they come
			if got := replaced(LAN{}.fromNodes(nodes)); got != tc.want {
				t.Errorf("%s: got\n%swant\n%s", name, got, tc.want)
			}
			slices.Reverse(nodes)
		}
	}
}

// R1, R22: which InternalIP is the next hop.
func TestNextHop(t *testing.T) {
	lan := LAN{Nodes: []netip.Prefix{netip.MustParsePrefix("192.168.2.0/24"), netip.MustParsePrefix("fd00:2::/64")}}
	for _, tc := range []struct {
		name  string
		lan   LAN
		cidrs string
		ips   string
		want  string
	}{
		{"the first", LAN{}, "10.250.7.0/24", "10.0.0.37 192.168.1.37 192.168.2.37", "10.0.0.37 192.168.1.37 192.168.2.37"},
		{"in the nodes' network", lan, "10.250.7.0/24", "10.0.0.37 192.168.2.38 192.168.2.37", "192.168.2.38 192.168.2.37 10.0.0.37"},
		{"in that of the family", lan, "fd00:7::/64", "2001:db8::37 192.168.2.37 fd00:2::37", "fd00:2::37 2001:db8::37"},
		{"in none", lan, "10.250.7.0/24", "10.0.0.37 192.168.1.37", "10.0.0.37 192.168.1.37"},
		{"behind a loopback", LAN{}, "10.250.7.0/24", "127.0.0.1 0.0.0.0 169.254.0.7 192.168.1.37", "192.168.1.37"},
		{"loopback", LAN{}, "10.250.7.0/24", "127.0.0.1", "no IPv4 InternalIP for 10.250.7.0/24 but 127.0.0.1, which is not an address of the LAN"},
		{"unspecified", LAN{}, "10.250.7.0/24", "0.0.0.0", "no IPv4 InternalIP for 10.250.7.0/24 but 0.0.0.0, which is not an address of the LAN"},
		{"link-local", LAN{}, "fd00:7::/64", "192.168.1.37 fe80::39", "no IPv6 InternalIP for fd00:7::/64 but fe80::39, which is not an address of the LAN"},
		{"IPv6's loopback", LAN{}, "fd00:7::/64", "::1", "no IPv6 InternalIP for fd00:7::/64 but ::1, which is not an address of the LAN"},
	} {
		e := tc.lan.fromNodes([]*corev1.Node{node("a", tc.cidrs, tc.ips)})[0]
		got := e.Problem
		if e.Problem == "" {
			got = e.Gateway.String()
			for _, other := range e.Others {
				got += " " + other.String()
			}
		} else if e.Kind != NoInternalIP {
			t.Errorf("%s: got %+v", tc.name, e)
		}
		if got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}
