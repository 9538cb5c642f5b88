package check

import (
	"net/netip"
	"testing"
)

// N1: pods in the nodes' own network, and what else matters then. Other clusters are not told of it.
func TestProxyARP(t *testing.T) {
	const nodes = `
apiVersion: v1
kind: Node
metadata: {name: a, annotations: {flannel.alpha.coreos.com/backend-type: vxlan}}
spec: {podCIDRs: [192.168.101.0/24, "fd00:1::/64"]}
status: {addresses: [{type: InternalIP, address: 192.168.1.31}, {type: InternalIP, address: "2001:db8::31"}]}
---
apiVersion: v1
kind: Node
metadata: {name: b, annotations: {flannel.alpha.coreos.com/backend-type: vxlan}}
spec: {podCIDRs: [192.168.102.0/24]}
status: {addresses: [{type: InternalIP, address: 192.168.1.32}]}
`
	local := []string{
		"notice Node a FamilyNeedsRoutes: pods have IPv6 addresses as well",
		"notice Node a PodsInNodesNetwork: podCIDR 192.168.101.0/24 is in the network of the nodes' own addresses, such as 192.168.1.31",
		"notice Node a SeveralNodesAnswer: flannel's backend vxlan gives each node routes to all pods",
	}
	for _, tc := range []struct {
		name, corefile, nodesIn string
		want                    []string
	}{
		{"routed", ". {\n minilb minilb\n}", "192.168.1.0/24", nil},
		{"of the LAN", ". {\n minilb minilb\n}", "192.168.0.0/16", local},
		{"IPv4 only", ". {\n minilb minilb {\n  families ipv4\n }\n}", "192.168.0.0/16", local[1:]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := ofCluster(t, tc.corefile, nodes)
			c.LAN.Nodes = []netip.Prefix{netip.MustParsePrefix(tc.nodesIn)}
			if err := c.read(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.checkNodes()
			expect(t, sorted(c.problems), tc.want)
		})
	}
}
