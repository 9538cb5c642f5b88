package check

import (
	"fmt"
	"slices"

	"github.com/minilb/minilb/cmd/minilb/routes"
	"github.com/minilb/minilb/plugin/minilb/config"
)

// checkProxyARP reports what clients without routes depend on, where pods have addresses of the nodes' own network (N1). Most of it
// is not in the API: no such problem is more than a notice.
func (c *checker) checkProxyARP(nodes []*routes.Node, entries []routes.Entry) {
	local := c.LAN.Local(entries)
	if len(local) == 0 {
		return
	}
	first := local[0]
	add := func(reason, text, fix string) {
		c.add(Problem{Notice, "Node", "", first.Node, reason, text, fix + ": see deploy/recipes/no-routes.md"})
	}
	add("PodsInNodesNetwork", fmt.Sprintf("podCIDR %s is in the network of the nodes' own addresses, such as %s: clients there ask by ARP for its pods. "+
		"The API does not show whether nodes answer, nor whether a DHCP server gives these addresses to others", first.Destination, first.Gateway),
		"set proxy_arp=1 and proxy_delay=0 for each node's interface to the LAN, and keep podCIDRs out of the DHCP server's range")
	if tunnel := routes.Tunnel(nodes); tunnel != "" {
		add("SeveralNodesAnswer", tunnel+" gives each node routes to all pods that leave the LAN: with proxy_arp all nodes answer ARP for each pod, unless medium_id is set",
			"use host-gw or native routing, or set medium_id")
	}
	wanted := func(e routes.Entry) bool {
		return e.Problem == "" && e.Destination.Addr().Is6() &&
			slices.ContainsFunc(c.options, func(o config.Options) bool { return o.WantsFamily(e.Destination.Addr()) })
	}
	if slices.ContainsFunc(entries, wanted) {
		add("FamilyNeedsRoutes", "pods have IPv6 addresses as well, for which nodes do not answer: clients reach them by routes only",
			"announce the routes by \"minilb routes -o radvd\", or answer with \"families ipv4\" only")
	}
}
