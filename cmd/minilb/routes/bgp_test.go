package routes

import (
	"net/netip"
	"strings"
	"testing"
)

const oldNode = "# node old: no podCIDRs: nothing has set any\n"

func TestBird(t *testing.T) {
	const want = oldNode + "protocol static minilb_ipv4 {\n\tipv4;\n\troute 10.244.0.0/24 via 192.168.1.30; # node1\n\troute 10.244.1.0/24 via 192.168.1.31; # node2\n}\n" +
		"protocol static minilb_ipv6 {\n\tipv6;\n\troute fd00:1::/64 via 2001:db8::31; # node2\n}\n"
	if got := written(t, "bird", formatNodes()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A FRRConfiguration is for one node and for the family of the session, with all routes of the node.
func TestFRRK8s(t *testing.T) {
	format, err := FormatByName("frr-k8s")
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("a.", 31) + "bc"
	entries := append(formatNodes(), Entry{Node: "node3", Destination: netip.MustParsePrefix("10.244.3.0/26"), Gateway: netip.MustParseAddr("192.168.1.33")},
		Entry{Node: "node3", Destination: netip.MustParsePrefix("10.244.4.0/26"), Gateway: netip.MustParseAddr("192.168.1.33")},
		Entry{Node: long, Destination: netip.MustParsePrefix("10.244.5.0/24"), Gateway: netip.MustParseAddr("192.168.1.34")})
	one := func(name, node, asn, prefixes, router string) string {
		return "---\napiVersion: frrk8s.metallb.io/v1beta1\nkind: FRRConfiguration\nmetadata:\n  name: \"" + name + "\"\nspec:\n  nodeSelector:\n    matchLabels:\n      kubernetes.io/hostname: \"" + node +
			"\"\n  bgp:\n    routers:\n    - asn: " + asn + "\n      prefixes: [" + prefixes + "]\n      neighbors:\n      - address: \"" + router +
			"\"\n        dynamicASN: external\n        toAdvertise:\n          allowed:\n            prefixes: [" + prefixes + "]\n"
	}
	for _, tc := range []struct {
		router string
		asn    uint32
		want   string
	}{
		{"192.168.1.1", 0, one("minilb-ipv4-node1", "node1", "64512", `"10.244.0.0/24"`, "192.168.1.1") + one("minilb-ipv4-node2", "node2", "64512", `"10.244.1.0/24"`, "192.168.1.1") +
			"# node node2: no route for fd00:1::/64 by a session with 192.168.1.1: run this again with -gateway of that family\n" + oldNode +
			one("minilb-ipv4-node3", "node3", "64512", `"10.244.3.0/26", "10.244.4.0/26"`, "192.168.1.1") +
			"# node " + long + ": its name is longer than a label can be (10.244.5.0/24)\n"},
		{"2001:db8::1", 4200000000, "# node node1: no route for 10.244.0.0/24 by a session with 2001:db8::1: run this again with -gateway of that family\n" +
			"# node node2: no route for 10.244.1.0/24 by a session with 2001:db8::1: run this again with -gateway of that family\n" +
			one("minilb-ipv6-node2", "node2", "4200000000", `"fd00:1::/64"`, "2001:db8::1") + oldNode +
			"# node node3: no route for 10.244.3.0/26 by a session with 2001:db8::1: run this again with -gateway of that family\n" +
			"# node node3: no route for 10.244.4.0/26 by a session with 2001:db8::1: run this again with -gateway of that family\n" +
			"# node " + long + ": no route for 10.244.5.0/24 by a session with 2001:db8::1: run this again with -gateway of that family\n"},
	} {
		if got, err := format.Write(entries, Options{Gateway: netip.MustParseAddr(tc.router), ASN: tc.asn}); err != nil || got != tc.want {
			t.Errorf("%s: %v, got\n%swant\n%s", tc.router, err, got, tc.want)
		}
	}
}
