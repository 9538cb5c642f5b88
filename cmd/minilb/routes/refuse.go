package routes

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Limits (R7b).
const (
	maxRoutes   = 64  // podCIDRs of a node that get routes; the API server accepts one a family
	maxIPs      = 64  // InternalIPs of a node that are read; a node has one a family
	maxProblems = 100 // of all nodes that are reported; the last one counts the rest
)

// legible returns the beginning of a malformed address, with a question mark for each character that no address has (R15).
func legible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune(".:/%-", r):
			return r
		}
		return '?'
	}, text[:min(len(text), 64)])
}

// shortest4 and shortest6 are the prefix lengths of the largest networks that can be a node's (R7b).
const shortest4, shortest6 = 8, 16

// never are networks in which no pod has an address, or which every host needs (R7b).
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

// private are the networks of pods without -within: those of RFC 1918, 6598, 2544, 1112 and 4193. No podCIDR in them diverts
// traffic of the Internet (R7b).
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("fc00::/7"),
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

// refuse returns why there must be no route to a podCIDR, "" if there may be one (R7, R7b).
func (lan LAN) refuse(cidr netip.Prefix, hosts []host) (ProblemKind, string) {
	shortest := shortest4
	if cidr.Addr().Is6() {
		shortest = shortest6
	}
	if cidr.Bits() < shortest {
		return NotPodNetwork, fmt.Sprintf("podCIDR %s is not a pod network: it is larger than a /%d", cidr, shortest)
	}
	for _, n := range never {
		if n.network.Overlaps(cidr) {
			return NotPodNetwork, fmt.Sprintf("podCIDR %s is not a pod network: %s is %s", cidr, n.network, n.name)
		}
	}
	i, _ := slices.BinarySearchFunc(hosts, cidr.Addr(), func(h host, first netip.Addr) int { return h.addr.Compare(first) })
	if i < len(hosts) && cidr.Contains(hosts[i].addr) {
		return HostInPodCIDR, fmt.Sprintf("podCIDR %s contains %s, %s: a route would cut it off", cidr, hosts[i].addr, hosts[i].name)
	}
	switch {
	case len(lan.Within) > 0 && !inside(lan.Within, cidr):
		return NotPodNetwork, fmt.Sprintf("podCIDR %s is in none of the networks after -within: add it there if pods have it", cidr)
	case len(lan.Within) == 0 && !inside(private, cidr):
		return NotPodNetwork, fmt.Sprintf("podCIDR %s is not a private network: if pods have it, name all of the cluster's pod networks with -within", cidr)
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
func unambiguous(entries []Entry, created map[string]time.Time) {
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
			if owner, is := owners[around]; is && owner != entry.Node || is && bits == cidr.Bits() {
				taken = around
			}
		}
		at, _ := slices.BinarySearchFunc(stay, cidr.Addr(), byAddr)
		for j := at; j < len(stay) && !taken.IsValid() && cidr.Contains(entries[stay[j]].Destination.Addr()); j++ {
			if entries[stay[j]].Node != entry.Node {
				taken = entries[stay[j]].Destination
			}
		}
		if !taken.IsValid() {
			owners[cidr] = entry.Node
			stay = slices.Insert(stay, at, i)
			continue
		}
		problem := fmt.Sprintf("podCIDR %s overlaps %s of node %s", cidr, taken, owners[taken])
		if taken == cidr {
			problem = fmt.Sprintf("podCIDR %s is also that of node %s", cidr, owners[taken])
		}
		*entry = Entry{Node: entry.Node, Destination: cidr, Problem: problem, Kind: SamePodCIDR}
	}
}
