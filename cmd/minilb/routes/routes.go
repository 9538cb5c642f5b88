// Package routes turns Nodes and their pod networks into the static routes that make pods reachable from the LAN,
// and finds pods outside of them.
package routes

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/cache"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// Entry is one pod network of a node: its route or, if Problem is set, why there is none.
type Entry struct {
	Node        string       // the node's name
	Destination netip.Prefix // the pod network, without host bits; the zero Prefix if the problem is not about a single one
	Gateway     netip.Addr   // the InternalIP of the same family that was chosen (R1, R22); invalid if Problem is set
	Others      []netip.Addr // the other InternalIPs of the family, best first
	// Problem is why there is no route, in a few words on one line. No character that comes from a Node has a
	// meaning to a shell or a router, even if the line is not taken for a comment (R15).
	Problem string
	Kind    ProblemKind // of the problem, "" for none

	borrowed bool // a single address out of another node's network
}

// ProblemKind is what kind of problem keeps a node from a route.
type ProblemKind string

const (
	NoPodCIDR     ProblemKind = "NoPodCIDR"     // the node has none, or a malformed one
	NoInternalIP  ProblemKind = "NoInternalIP"  // it has no address of the podCIDR's family that can be a next hop
	MalformedIP   ProblemKind = "MalformedIP"   // one of its addresses is malformed
	SamePodCIDR   ProblemKind = "SamePodCIDR"   // another node has the podCIDR or one that overlaps it
	NotPodNetwork ProblemKind = "NotPodNetwork" // the podCIDR is not a pod network, or is one too many (R7b)
	HostInPodCIDR ProblemKind = "HostInPodCIDR" // it contains an address of a node, of the LAN's router (R7) or of the API server (R7b)
	PodElsewhere  ProblemKind = "PodElsewhere"  // a pod in it is on another node (R20)
)

// LAN is the network that the routes are for, and the cluster, as far as the user describes them.
type LAN struct {
	Router netip.Addr     // the LAN's own router, which no destination may contain (R7)
	Nodes  []netip.Prefix // networks whose addresses are preferred of a node's several InternalIPs (R22)
	Within []netip.Prefix // the pod networks, which limit the destinations; without any these are the private networks (R7b)
	Server string         // the API server's host for a client outside of the cluster, without a port; empty inside
	// Provider is what assigns pod networks to nodes, "" for podnetworks.Auto (R20).
	Provider podnetworks.Provider

	servers   []netip.Addr                            // of the API server, found by Locate
	disproved map[podnetworks.Network]podnetworks.Pod // networks that are not their node's, by a pod on another one (R20)
}

// FromNodes returns the entries of the nodes by the node's name, then IPv4 before IPv6 (R1, R2), and none of ignored nodes
// (M8). There are at most 100 problems, of which the last one counts the rest (R7b).
func (lan LAN) FromNodes(nodes []*Node) []Entry { return bounded(lan.entries(nodes)) }

// Node is what is read of a Node.
type Node struct {
	name      string
	created   time.Time
	ignored   bool
	own       podnetworks.Node // of its pod networks
	ips       []netip.Addr     // InternalIPs, in the node's own order
	addresses []netip.Addr     // of all types, maxIPs InternalIPs and as many others at most
	tunnel    string           // whose it has to the pods of other nodes
	problems  []Entry

	provider podnetworks.Provider // of its pod networks, "" until they are assigned
	networks []podnetworks.Network
}

// Key implements the informer.Object interface.
func (n *Node) Key() cache.ObjectName { return cache.ObjectName{Name: n.name} }

// read returns what is read of a Node, nil for one whose name the API server would not accept: others may hold anything,
// and are printed nowhere, as what is printed goes to shells (R7b).
func read(node *corev1.Node) *Node {
	if len(validation.IsDNS1123Subdomain(node.Name)) > 0 {
		return nil
	}
	n := &Node{name: node.Name, created: node.CreationTimestamp.Time, ignored: lb.Ignored(node.Labels), own: podnetworks.FromNode(node), tunnel: tunnel(node)}
	n.readAddresses(node.Status.Addresses)
	return n
}

func (n *Node) problem(kind ProblemKind, format string, args ...any) {
	n.problems = append(n.problems, Entry{Node: n.name, Problem: fmt.Sprintf(format, args...), Kind: kind})
}

func (n *Node) readAddresses(addresses []corev1.NodeAddress) {
	count := map[bool]int{} // of InternalIPs, and of others
	for _, address := range addresses {
		internal := address.Type == corev1.NodeInternalIP
		if count[internal]++; count[internal] > maxIPs {
			if internal && count[internal] == maxIPs+1 {
				n.problem(MalformedIP, "more than %d InternalIPs: the others are left out", maxIPs)
			}
			continue
		}
		ip, err := netip.ParseAddr(address.Address)
		if err == nil {
			n.addresses = append(n.addresses, ip.Unmap())
		}
		switch {
		case !internal:
		case err == nil && ip.Zone() == "":
			n.ips = append(n.ips, ip.Unmap())
		default:
			n.problem(MalformedIP, "InternalIP %q is malformed", podnetworks.Legible(address.Address))
		}
	}
}

// entries returns what FromNodes does, and all problems.
func (lan LAN) entries(nodes []*Node) []Entry {
	hosts, created := lan.hosts(nodes), map[string]time.Time{}
	var entries []Entry
	noun := ""
	for _, n := range slices.SortedFunc(slices.Values(nodes), func(a, b *Node) int { return cmp.Compare(a.name, b.name) }) {
		if n.ignored {
			continue
		}
		created[n.name], noun = n.created, n.provider.Noun()
		for _, network := range n.networks {
			entry := Entry{Node: n.name, Destination: network.Prefix, borrowed: network.Borrowed}
			if entry.Kind, entry.Problem = lan.refuse(noun, network, hosts); entry.Problem == "" {
				lan.choose(&entry, n.ips)
			}
			entries = append(entries, entry)
		}
		entries = append(entries, n.unassigned()...)
		entries = append(entries, n.problems...)
	}
	unambiguous(noun, entries, created)
	return entries
}

// choose sets the entry's next hop: of the addresses of its family one in lan.Nodes, else the first (R1, R22).
func (lan LAN) choose(entry *Entry, ips []netip.Addr) {
	hops, unusable := lan.hops(ips, entry.Destination.Addr().Is4())
	if len(hops) > 0 {
		entry.Gateway, entry.Others = hops[0], hops[1:]
		return
	}
	entry.Kind = NoInternalIP
	entry.Problem = fmt.Sprintf("no %s InternalIP for %s", entry.by("IPv4", "IPv6"), entry.Destination)
	if unusable.IsValid() {
		entry.Problem += fmt.Sprintf(" but %s, which is not an address of the LAN", unusable)
	}
}

// hops returns a node's addresses of a family on the LAN, those in lan.Nodes first, and the last one that is not on a LAN (R22).
func (lan LAN) hops(ips []netip.Addr, is4 bool) (hops []netip.Addr, unusable netip.Addr) {
	var others []netip.Addr
	for _, ip := range ips {
		switch {
		case ip.Is4() != is4:
		case ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast():
			unusable = ip
		case inside(lan.Nodes, netip.PrefixFrom(ip, ip.BitLen())):
			hops = append(hops, ip)
		default:
			others = append(others, ip)
		}
	}
	return slices.Concat(hops, others), unusable
}
