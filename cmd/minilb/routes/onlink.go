package routes

import (
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
)

// onLinkHint is what the nodes need beside an on-link route (N1).
const onLinkHint = "each node must answer ARP for its pods: set net.ipv4.conf.IFC.proxy_arp=1 and net.ipv4.neigh.IFC.proxy_delay=0 there, " +
	"where IFC is its interface to the LAN (deploy/recipes/no-routes.md); " + FirewallHint

// TunnelHint is the fix for nodes that all answer ARP for each pod.
const TunnelHint = "use host-gw or native routing, or set medium_id as deploy/recipes/no-routes.md says"

// tunnels are the annotations by which network plugins say that a node reaches the pods of others through an interface that is not
// the LAN's, and whose they are. A node's annotation has one of the values, if there are any.
var tunnels = []struct {
	annotation string
	values     []string
	name       string // with a verb for the value, if there are any
}{
	{"flannel.alpha.coreos.com/backend-type", []string{"vxlan", "wireguard", "udp"}, "flannel's backend %s"},
	{"projectcalico.org/IPv4VXLANTunnelAddr", nil, "Calico's VXLAN"},
	{"projectcalico.org/IPv4IPIPTunnelAddr", nil, "Calico's IP in IP"},
	{"projectcalico.org/IPv4WireguardInterfaceAddr", nil, "Calico's WireGuard"},
}

// tunnel returns whose tunnels a node has to the pods of others, "" if its annotations name none.
func tunnel(node *corev1.Node) string {
	for _, t := range tunnels {
		value, is := node.Annotations[t.annotation]
		switch {
		case is && t.values == nil:
			return t.name
		case slices.Contains(t.values, value):
			return fmt.Sprintf(t.name, value)
		}
	}
	return ""
}

// Tunnel returns whose tunnels lead from the nodes to the pods of others, "" for none that their annotations name. Each node then has
// a route to all pods that leaves the LAN, and so answers ARP for all (N1).
func Tunnel(nodes []*Node) string {
	for _, n := range nodes {
		if n.tunnel != "" && !n.ignored {
			return n.tunnel
		}
	}
	return ""
}

// OnLink returns the IPv4 networks of lan.Within as routes without a next hop, and why other podCIDRs have none (N1). It fails for
// a network that a host of ours is in, or that no podCIDR is in.
func (lan LAN) OnLink(nodes []*Node) (entries []Entry, err error) {
	var pods []netip.Prefix
	for _, e := range lan.FromNodes(nodes) {
		switch {
		case e.Problem != "":
			entries = append(entries, e)
		case e.Destination.Addr().Is4():
			pods = append(pods, e.Destination)
		default:
			entries = append(entries, Entry{Node: e.Node, Destination: e.Destination,
				Problem: fmt.Sprintf("no node answers for all of %s, as ARP is for IPv4: see -o radvd", e.Destination)})
		}
	}
	hosts := lan.hosts(nodes)
	for _, network := range lan.Within {
		if network.Addr().Is6() {
			continue
		}
		if _, problem := lan.refuse("", podnetworks.Network{Prefix: network}, hosts); problem != "" {
			return nil, fmt.Errorf("-within:%s", problem)
		}
		if !slices.ContainsFunc(pods, func(cidr netip.Prefix) bool { return inside([]netip.Prefix{network}, cidr) }) {
			return nil, fmt.Errorf("-within: no node has a podCIDR in %s that can have a route: leave it out", network)
		}
		entries = append(entries, Entry{Destination: network})
	}
	return entries, nil
}

// Local returns those of the IPv4 entries whose podCIDR is in the nodes' own network, where clients ask for pods by ARP (N1): one of
// lan.Nodes, or the smallest that all next hops are in. That is a /24 at least, as LANs are; nodes that have less than a /16 in
// common are in several networks.
func (lan LAN) Local(entries []Entry) []Entry {
	entries = slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return e.Problem != "" || !e.Destination.Addr().Is4() })
	if len(entries) == 0 {
		return nil
	}
	byHop := func(a, b Entry) int { return a.Gateway.Compare(b.Gateway) }
	first, last := slices.MinFunc(entries, byHop).Gateway, slices.MaxFunc(entries, byHop).Gateway
	networks := slices.Clone(lan.Nodes)
	for bits := 24; bits >= 16; bits-- {
		if network, _ := first.Prefix(bits); network.Contains(last) { // of fewer bits than it has
			networks = append(networks, network)
			break
		}
	}
	return slices.DeleteFunc(entries, func(e Entry) bool { return !inside(networks, e.Destination) })
}

// onLink writes lines for iproute2 on the router, or on a client.
func onLink(t *table) string {
	return t.lines(func(e Entry) string {
		return e.by(fmt.Sprintf("ip route replace %s dev %s\n", e.Destination, t.Interface), "")
	})
}
