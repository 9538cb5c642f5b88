package routes

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// N1: a route to each IPv4 network of -within, whatever nodes there are in it, and none that cuts a host off or is for nobody.
func TestOnLink(t *testing.T) {
	a, b := node("a", "10.244.0.0/24 fd00:1::/64", "192.168.1.31 2001:db8::31"), node("b", "10.244.7.0/24", "192.168.1.32")
	for _, tc := range []struct {
		name, within, router string
		nodes                []*corev1.Node
		want, err            string
	}{
		{"one", "10.244.0.0/16", "", []*corev1.Node{b}, "ip route replace 10.244.0.0/16 dev lan\n", ""},
		{"more nodes", "10.244.0.0/16,fd00::/16", "", []*corev1.Node{a, b},
			"# node a: no node answers for all of fd00:1::/64, as ARP is for IPv4: see -o radvd\nip route replace 10.244.0.0/16 dev lan\n", ""},
		{"two networks", "10.244.0.0/24,10.244.4.0/22", "", []*corev1.Node{b, node("c", "10.244.0.0/24", "192.168.1.33")},
			"ip route replace 10.244.0.0/24 dev lan\nip route replace 10.244.4.0/22 dev lan\n", ""},
		{"a node outside", "10.244.0.0/22", "", []*corev1.Node{b, node("c", "10.244.1.0/24", "192.168.1.33")},
			"# node b: podCIDR 10.244.7.0/24 is in none of the networks after -within: add it there if pods have it\nip route replace 10.244.0.0/22 dev lan\n", ""},
		{"inside the LAN", "192.168.1.128/25", "192.168.1.1", []*corev1.Node{node("c", "192.168.1.128/28", "192.168.1.33")}, "ip route replace 192.168.1.128/25 dev lan\n", ""},
		{"a node's own network", "192.168.0.0/16", "", []*corev1.Node{node("c", "192.168.2.0/24", "192.168.1.33")},
			"", "-within: 192.168.0.0/16 contains 192.168.1.33, the InternalIP of node c: a route would cut it off"},
		{"the router's", "10.0.0.0/8", "10.0.0.1", []*corev1.Node{b}, "", "-within: 10.0.0.0/8 contains 10.0.0.1, the LAN's router: a route would cut it off"},
		{"everything", "0.0.0.0/0", "", []*corev1.Node{b}, "", "-within: 0.0.0.0/0 is not a pod network: it is larger than a /8"},
		{"nobody's", "10.244.0.0/16,10.42.0.0/16", "", []*corev1.Node{b}, "", "-within: no node has a podCIDR in 10.42.0.0/16 that can have a route: leave it out"},
	} {
		lan := LAN{Within: prefixes(strings.ReplaceAll(tc.within, ",", " "))}
		lan.Router, _ = netip.ParseAddr(tc.router)
		entries, err := lan.OnLink(withPodCIDRs(tc.nodes))
		text := ""
		if err == nil {
			var format Format
			if format, err = FormatByName("onlink"); err == nil {
				text, err = format.Write(entries, Options{Interface: "lan"})
			}
		}
		if text != tc.want || (err != nil) != (tc.err != "") || err != nil && !strings.HasPrefix(err.Error(), tc.err) {
			t.Errorf("%s: got %q, %v, want %q, %s", tc.name, text, err, tc.want, tc.err)
		}
	}
}

// N1: podCIDRs in the nodes' own network are recognized, and no others.
func TestLocal(t *testing.T) {
	for _, tc := range []struct{ name, nodesIn, cidrs, ips, want string }{
		{"kubeadm", "", "10.244.0.0/24 10.244.1.0/24", "192.168.1.30 192.168.1.31", ""},
		{"k3s", "", "10.42.0.0/24 10.42.1.0/24", "10.0.0.4 10.0.0.5", ""},
		{"k3s beside its default", "", "10.42.0.0/24 10.42.1.0/24", "10.42.200.4 10.42.200.5", ""},
		{"Calico's default in another LAN", "", "192.168.0.0/24 192.168.2.0/24", "192.168.1.30 192.168.1.31", ""},
		{"one node", "", "10.244.0.0/24", "192.168.1.30", ""},
		{"nodes in two networks", "", "10.42.0.0/24 10.42.1.0/24", "10.0.0.4 10.200.0.5", ""},
		{"an address in the podCIDR", "", "192.168.1.0/24", "192.168.1.30", ""}, // R7
		{"IPv6", "", "fd00:1::/64", "fd00:2::1", ""},
		{"no nodes", "", "", "", ""},

		{"a part of the LAN", "", "192.168.1.128/28 192.168.1.144/28", "192.168.1.30 192.168.1.31", "192.168.1.128/28 192.168.1.144/28"},
		{"of one node", "", "192.168.1.128/25", "192.168.1.30", "192.168.1.128/25"},
		{"a wide LAN", "", "192.168.101.0/24 192.168.102.0/24", "192.168.1.30 192.168.250.1", "192.168.101.0/24 192.168.102.0/24"},
		{"a LAN that is named", "192.168.0.0/16", "192.168.101.0/24 10.244.0.0/24", "192.168.1.30 192.168.1.31", "192.168.101.0/24"},
	} {
		var nodes []*corev1.Node
		ips := strings.Fields(tc.ips)
		for i, cidr := range strings.Fields(tc.cidrs) {
			nodes = append(nodes, node(string(rune('a'+i)), cidr, ips[i]))
		}
		lan := LAN{Nodes: prefixes(tc.nodesIn)}
		var got []string
		for _, e := range lan.Local(lan.fromNodes(nodes)) {
			got = append(got, e.Destination.String())
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// N1: annotations of which all nodes answer for each pod.
func TestTunnel(t *testing.T) {
	for _, tc := range []struct{ annotation, value, want string }{
		{"flannel.alpha.coreos.com/backend-type", "vxlan", "flannel's backend vxlan"},
		{"flannel.alpha.coreos.com/backend-type", "wireguard", "flannel's backend wireguard"},
		{"flannel.alpha.coreos.com/backend-type", "host-gw", ""},
		{"flannel.alpha.coreos.com/backend-type", "$(reboot)", ""},
		{"projectcalico.org/IPv4VXLANTunnelAddr", "10.244.0.0", "Calico's VXLAN"},
		{"projectcalico.org/IPv4IPIPTunnelAddr", "10.244.0.0", "Calico's IP in IP"},
		{"projectcalico.org/IPv4Address", "192.168.1.31/24", ""},
	} {
		n := node("a", "10.244.0.0/24", "192.168.1.31")
		n.Annotations = map[string]string{tc.annotation: tc.value}
		if got := Tunnel(ReadNodes([]*corev1.Node{node("b", "", ""), n})); got != tc.want {
			t.Errorf("%s=%s: got %q, want %q", tc.annotation, tc.value, got, tc.want)
		}
	}
}
