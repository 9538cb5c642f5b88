package routes

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxRoutes is how many podCIDRs of a node get routes (R7b, in part). The API server takes one a family.
const maxRoutes = 64

// named reports whether a node's name is one that the API server takes. Others may hold anything, and are
// printed nowhere: what is printed goes to shells (R7b, in part).
func named(node *corev1.Node) bool { return len(validation.IsDNS1123Subdomain(node.Name)) == 0 }

// legible returns what of a malformed address can be printed anywhere: its beginning, with a question mark for each
// character that no address has (R15).
func legible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune(".:/%-", r):
			return r
		}
		return '?'
	}, text[:min(len(text), 64)])
}

// shortest4 and shortest6 are the widths of the greatest networks that can be a node's (R7b, in part).
const shortest4, shortest6 = 8, 16

// never are what no pod has an address of, and what a network cannot do without (R7b, in part).
var never = []struct {
	network netip.Prefix
	name    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// host is an address that packets must reach without our routes.
type host struct {
	addr netip.Addr
	name string
}

// hosts returns the addresses that no destination may contain, sorted: those of all nodes, also
// ignored ones, which are on the LAN all the same, and of the router (R7).
func (lan LAN) hosts(machines map[string]machine) []host {
	var hosts []host
	for name, m := range machines {
		for _, ip := range m.ips {
			hosts = append(hosts, host{ip, "the InternalIP of node " + name})
		}
	}
	if lan.Router.IsValid() {
		hosts = append(hosts, host{lan.Router, "the LAN's router"})
	}
	slices.SortFunc(hosts, func(a, b host) int {
		return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.name, b.name))
	})
	return hosts
}

// refuse says why there must be no route to a podCIDR, "" if there may be one.
func refuse(cidr netip.Prefix, hosts []host) (ProblemKind, string) {
	shortest := shortest4
	if cidr.Addr().Is6() {
		shortest = shortest6
	}
	if cidr.Bits() < shortest {
		return NotPodNetwork, fmt.Sprintf("podCIDR %s is no pod network: it is greater than a /%d", cidr, shortest)
	}
	for _, n := range never {
		if n.network.Overlaps(cidr) {
			return NotPodNetwork, fmt.Sprintf("podCIDR %s is no pod network: %s is %s", cidr, n.network, n.name)
		}
	}
	i, _ := slices.BinarySearchFunc(hosts, cidr.Addr(), func(h host, first netip.Addr) int { return h.addr.Compare(first) })
	if i < len(hosts) && cidr.Contains(hosts[i].addr) {
		return HostInPodCIDR, fmt.Sprintf("podCIDR %s contains %s, %s: a route would cut it off", cidr, hosts[i].addr, hosts[i].name)
	}
	return "", ""
}
