// Package routes turns Nodes into the static routes that make pods reachable from the LAN,
// and tells where pods live outside of them. Of ours it imports lb and kube alone.
package routes

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// Entry is what is to be said of one podCIDR of a node: its route or, if Problem is set, why
// there is none.
type Entry struct {
	// Node is the node's name.
	Node string
	// Destination is the podCIDR, without host bits. It is the zero Prefix if the problem is
	// not one of a single podCIDR.
	Destination netip.Prefix
	// Gateway is the node's first InternalIP of the same family; invalid if Problem is set.
	Gateway netip.Addr
	// Problem says in a few words on one line why there is no route.
	Problem string
	// Kind is that of the problem, "" if there is none.
	Kind ProblemKind
}

// ProblemKind is what kind of problem keeps a node from a route.
type ProblemKind string

const (
	// NoPodCIDR: the node has none, or one that cannot be read.
	NoPodCIDR ProblemKind = "NoPodCIDR"
	// NoInternalIP: it has no address of the podCIDR's family.
	NoInternalIP ProblemKind = "NoInternalIP"
	// MalformedIP: one of its addresses cannot be read.
	MalformedIP ProblemKind = "MalformedIP"
	// SamePodCIDR: another node has the podCIDR, too.
	SamePodCIDR ProblemKind = "SamePodCIDR"
)

// Of returns the entries of the nodes in an order that can be compared from run to run: by
// the node's name, then IPv4 before IPv6 (R1, R2). Ignored nodes have none (M8).
func Of(nodes []*corev1.Node) []Entry {
	var entries []Entry
	for _, node := range slices.SortedFunc(slices.Values(nodes), byName) {
		if !lb.Ignored(node.Labels) {
			entries = append(entries, ofNode(node)...)
		}
	}
	return unambiguous(entries)
}

// unambiguous leaves each destination to the first of the nodes that have it, as there is one route
// to it in a table. A cluster does not give a podCIDR twice, but people do.
func unambiguous(entries []Entry) []Entry {
	owners := map[netip.Prefix]string{}
	for i, entry := range entries {
		if entry.Problem != "" {
			continue
		}
		if owner, taken := owners[entry.Destination]; taken {
			entries[i].Gateway = netip.Addr{}
			entries[i].Kind = SamePodCIDR
			entries[i].Problem = fmt.Sprintf("podCIDR %s is also that of node %s", entry.Destination, owner)
			continue
		}
		owners[entry.Destination] = entry.Node
	}
	return entries
}

func ofNode(node *corev1.Node) []Entry {
	cidrs, problems := podCIDRs(node)
	gateways, more := internalIPs(node)

	var entries []Entry
	for _, cidr := range cidrs {
		entry := Entry{Node: node.Name, Destination: cidr}
		same := func(ip netip.Addr) bool { return ip.Is4() == cidr.Addr().Is4() }
		if i := slices.IndexFunc(gateways, same); i >= 0 {
			entry.Gateway = gateways[i]
		} else {
			entry.Kind = NoInternalIP
			entry.Problem = fmt.Sprintf("no %s InternalIP for %s", family(cidr.Addr()), cidr)
		}
		entries = append(entries, entry)
	}
	if len(cidrs)+len(problems)+len(more) == 0 {
		problems = []string{"no podCIDRs: nothing has set any"}
	}
	for _, problem := range problems {
		entries = append(entries, Entry{Node: node.Name, Problem: problem, Kind: NoPodCIDR})
	}
	for _, problem := range more {
		entries = append(entries, Entry{Node: node.Name, Problem: problem, Kind: MalformedIP})
	}
	return entries
}

// podCIDRs returns the node's podCIDRs, IPv4 first, and what is wrong with the others.
func podCIDRs(node *corev1.Node) (cidrs []netip.Prefix, problems []string) {
	texts := node.Spec.PodCIDRs
	if len(texts) == 0 && node.Spec.PodCIDR != "" {
		texts = []string{node.Spec.PodCIDR}
	}
	for _, text := range texts {
		cidr, err := netip.ParsePrefix(text)
		if err != nil || cidr.Addr().Is4In6() {
			problems = append(problems, fmt.Sprintf("podCIDR %q is malformed", text))
			continue
		}
		cidrs = append(cidrs, cidr.Masked())
	}
	slices.SortStableFunc(cidrs, func(a, b netip.Prefix) int {
		return cmp.Compare(a.Addr().BitLen(), b.Addr().BitLen())
	})
	return cidrs, problems
}

// internalIPs returns the node's InternalIPs in its own order, and what is wrong with the others.
func internalIPs(node *corev1.Node) (ips []netip.Addr, problems []string) {
	for _, address := range node.Status.Addresses {
		if address.Type != corev1.NodeInternalIP {
			continue
		}
		ip, err := netip.ParseAddr(address.Address)
		if err != nil || ip.Zone() != "" {
			problems = append(problems, fmt.Sprintf("InternalIP %q is malformed", address.Address))
			continue
		}
		ips = append(ips, ip.Unmap())
	}
	return ips, problems
}

func byName(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) }

// family returns the name of the address's family as users write it.
func family(ip netip.Addr) string {
	if ip.Is4() {
		return "IPv4"
	}
	return "IPv6"
}
