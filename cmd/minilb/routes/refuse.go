package routes

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
)

// Limits (R7b).
const (
	maxIPs      = 64  // InternalIPs of a node that are read; a node has one a family
	maxProblems = 100 // of all nodes that are reported; the last one counts the rest
)

// never are networks in which no pod has an address, or which every host needs (R7b).
var never = []struct {
	name     string
	networks []netip.Prefix
}{
	{"unspecified", prefixes("0.0.0.0/8 ::/128")},
	{"loopback", prefixes("127.0.0.0/8 ::1/128")},
	{"link-local", prefixes("169.254.0.0/16 fe80::/10")},
	{"multicast", prefixes("224.0.0.0/4 ff00::/8")},
	{"broadcast", prefixes("255.255.255.255/32")},
}

// private are the networks of pods without -within: those of RFC 1918, 6598, 2544, 1112 and 4193. No podCIDR in them diverts
// traffic of the Internet (R7b).
var private = prefixes("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 198.18.0.0/15 240.0.0.0/4 fc00::/7")

func prefixes(list string) (all []netip.Prefix) {
	for text := range strings.FieldsSeq(list) {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// host is an address that must be reachable without our routes.
type host struct {
	addr netip.Addr
	name string
}

// hosts returns, sorted, the addresses of all nodes, also ignored ones, of the router (R7) and of the API server (R7b).
func (lan LAN) hosts(nodes []*Node) []host {
	var hosts []host
	for _, n := range nodes {
		for _, ip := range n.ips {
			hosts = append(hosts, host{ip, "the InternalIP of node " + n.name})
		}
	}
	if lan.Router.IsValid() {
		hosts = append(hosts, host{lan.Router, "the LAN's router"})
	}
	for _, addr := range lan.servers {
		hosts = append(hosts, host{addr, "the address of the API server"})
	}
	slices.SortFunc(hosts, func(a, b host) int {
		return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.name, b.name))
	})
	return hosts
}

// refuse returns why there must be no route to a pod network, "" if there may be one (R7, R7b, R20).
func (lan LAN) refuse(noun string, network podnetworks.Network, hosts []host) (ProblemKind, string) {
	cidr := network.Prefix
	shortest := 8 // the prefix length of the largest network that can be a node's (R7b)
	if cidr.Addr().Is6() {
		shortest = 16
	}
	if cidr.Bits() < shortest {
		return NotPodNetwork, fmt.Sprintf("%s %s is not a pod network: it is larger than a /%d", noun, cidr, shortest)
	}
	for _, n := range never {
		if i := slices.IndexFunc(n.networks, cidr.Overlaps); i >= 0 {
			return NotPodNetwork, fmt.Sprintf("%s %s is not a pod network: %s is %s", noun, cidr, n.networks[i], n.name)
		}
	}
	i, _ := slices.BinarySearchFunc(hosts, cidr.Addr(), func(h host, first netip.Addr) int { return h.addr.Compare(first) })
	if i < len(hosts) && cidr.Contains(hosts[i].addr) {
		return HostInPodCIDR, fmt.Sprintf("%s %s contains %s, %s: a route would cut it off", noun, cidr, hosts[i].addr, hosts[i].name)
	}
	pod, elsewhere := lan.disproved[network]
	switch {
	case elsewhere:
		return PodElsewhere, fmt.Sprintf("%s %s is not this node's: the pod %s in it is on node %s", noun, cidr, pod.Addr, pod.Node)
	case len(lan.Within) > 0 && !inside(lan.Within, cidr):
		return NotPodNetwork, fmt.Sprintf("%s %s is in none of the networks after -within: add it there if pods have it", noun, cidr)
	case len(lan.Within) == 0 && !inside(private, cidr):
		return NotPodNetwork, fmt.Sprintf("%s %s is not a private network: if pods have it, name all of the cluster's pod networks with -within", noun, cidr)
	}
	return "", ""
}

// inside reports whether one of the networks contains a podCIDR.
func inside(networks []netip.Prefix, cidr netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(network netip.Prefix) bool {
		return network.Bits() <= cidr.Bits() && network.Contains(cidr.Addr())
	})
}

// bounded drops the problems beyond maxProblems; the last one that stays counts them.
func bounded(entries []Entry) (kept []Entry) {
	last, problems := 0, 0
	for _, entry := range entries {
		if entry.Problem != "" {
			if problems++; problems > maxProblems {
				continue
			}
			last = len(kept)
		}
		kept = append(kept, entry)
	}
	if problems > maxProblems {
		kept[last].Problem += fmt.Sprintf(", and %d more problems of nodes are not reported", problems-maxProblems)
	}
	return kept
}

// unambiguous leaves addresses to the oldest of the nodes whose podCIDRs contain them, so that nobody takes another's by
// a Node that he adds: a table has one route to a destination, and one to a part of it would divert that part's packets.
// Addresses that are borrowed are such parts.
func unambiguous(noun string, entries []Entry, created map[string]time.Time) {
	var routes []int
	for i := range entries {
		if entries[i].Problem == "" {
			routes = append(routes, i)
		}
	}
	slices.SortStableFunc(routes, func(i, j int) int {
		a, b := entries[i].Node, entries[j].Node
		return cmp.Or(created[a].Compare(created[b]), cmp.Compare(a, b))
	})
	owners := map[netip.Prefix]string{} // of the destinations that stay
	var stay []int                      // their entries, by address
	byAddr := func(i int, addr netip.Addr) int { return entries[i].Destination.Addr().Compare(addr) }
	for _, i := range routes {
		entry := &entries[i]
		cidr := entry.Destination
		taken := netip.Prefix{}
		for bits := cidr.Bits(); bits >= 0 && !taken.IsValid(); bits-- {
			around, _ := cidr.Addr().Prefix(bits) // of fewer bits than it has
			if owner, is := owners[around]; is && owner != entry.Node && !entry.borrowed || is && bits == cidr.Bits() {
				taken = around
			}
		}
		at, _ := slices.BinarySearchFunc(stay, cidr.Addr(), byAddr)
		for j := at; j < len(stay) && !taken.IsValid() && cidr.Contains(entries[stay[j]].Destination.Addr()); j++ {
			if inner := entries[stay[j]]; inner.Node != entry.Node && !inner.borrowed {
				taken = entries[stay[j]].Destination
			}
		}
		if !taken.IsValid() {
			owners[cidr] = entry.Node
			stay = slices.Insert(stay, at, i)
			continue
		}
		problem := fmt.Sprintf("%s %s overlaps %s of node %s", noun, cidr, taken, owners[taken])
		if taken == cidr {
			problem = fmt.Sprintf("%s %s is also that of node %s", noun, cidr, owners[taken])
		}
		*entry = Entry{Node: entry.Node, Destination: cidr, Problem: problem, Kind: SamePodCIDR}
	}
}
