package routes

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// AllocateHint is the fix for nodes without pod networks.
func AllocateHint(of podnetworks.Choice) string {
	switch of.Provider {
	case podnetworks.Cilium, podnetworks.Calico, podnetworks.OVN:
		return fmt.Sprintf("see that %s runs on it, or name what assigns pod networks by -pods", of.Provider)
	}
	return "run kube-controller-manager with --allocate-node-cidrs=true and --cluster-cidr, or have the CNI set spec.podCIDRs"
}

// OutsideHint is the fix for pods outside of their node's pod networks.
func OutsideHint(of podnetworks.Choice) string {
	switch {
	case len(of.Unread) > 0:
		return fmt.Sprintf("this account may not list %s, which may say where these pods get their addresses: "+
			"let it, as deploy/kustomize/components and the chart's controller.pods do", strings.Join(of.Unread, " and "))
	case of.Provider == podnetworks.PodCIDRs:
		return "the CNI does not use the nodes' podCIDRs: see \"minilb routes -h\" for what -pods knows, " +
			"or have the CNI give pods addresses out of the podCIDRs"
	}
	return fmt.Sprintf("these pods do not get their addresses from %s: name what assigns them by -pods, or wait for it to replace them", of.Provider)
}

// Prefixes are the pod networks of a node, IPv4 first.
type Prefixes []netip.Prefix

// String returns them as "10.244.1.0/24 and fd00:1::/64".
func (p Prefixes) String() string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint([]netip.Prefix(p)), "[]"), " ", " and ")
}

// cidrs returns the node's pod networks.
func (n *Node) cidrs() (all Prefixes) {
	for _, network := range n.networks {
		all = append(all, network.Prefix)
	}
	return all
}

// PodOutsidePodCIDR is a node with pods outside of its pod networks, which its routes do not reach (R3).
type PodOutsidePodCIDR struct {
	Node           string
	Outside, Total int        // number of pod IPs seen on the node; Outside is at least 1
	Example        netip.Addr // the lowest of those outside
	PodCIDRs       Prefixes   // of the node
	Noun           string     // of what they are
}

// String returns the warning, without a line break.
func (p PodOutsidePodCIDR) String() string {
	return fmt.Sprintf("pod IP outside %ss; routes printed will not work: node %s: %d of %d pod IPs are outside %s, for example %s",
		p.Noun, p.Node, p.Outside, p.Total, p.PodCIDRs, p.Example)
}

// UnroutableEndpoint is an endpoint that no route leads to.
type UnroutableEndpoint struct {
	Addr     netip.Addr // of the pod
	Node     string
	PodCIDRs Prefixes // of the node, none if it has no route at all
	Problem  string   // why there is no route to the podCIDR that contains Addr, empty if none does
}

// PodCollector collects where pods are: the usable endpoints on some nodes. It is not safe for concurrent use.
type PodCollector struct {
	nodes map[string]*Node
	pods  map[podnetworks.Pod]bool
}

// NewPodCollector returns a PodCollector for these nodes, ignored ones included.
func NewPodCollector(nodes []*Node) *PodCollector {
	s := &PodCollector{map[string]*Node{}, map[podnetworks.Pod]bool{}}
	for _, n := range nodes {
		s.nodes[n.name] = n
	}
	return s
}

// Add takes a slice into account.
func (s *PodCollector) Add(slice *discoveryv1.EndpointSlice) {
	for ip, node := range onNodes(slice, s.nodes) {
		s.pods[podnetworks.Pod{Addr: ip, Node: node.name}] = true
	}
}

// Pods returns them, each once.
func (s *PodCollector) Pods() []podnetworks.Pod { return slices.Collect(maps.Keys(s.pods)) }

// Pods compares the addresses of pods with the routes to their nodes, whatever the CNI (R3).
type Pods map[string]*nodePods

type nodePods struct {
	*Node
	refused map[netip.Prefix]string // pod networks without a route, and why
}

// Pods returns the Pods of these nodes.
func (lan LAN) Pods(nodes []*Node) Pods {
	all := Pods{}
	for _, n := range nodes {
		if !n.ignored {
			all[n.name] = &nodePods{n, map[netip.Prefix]string{}}
		}
	}
	for _, entry := range lan.entries(nodes) {
		if entry.Problem != "" {
			all[entry.Node].refused[entry.Destination] = entry.Problem
		}
	}
	return all
}

// Outside returns the nodes that have pod networks and pods outside of them, by name. A pod whose network has no route is not
// outside: that is reported with the network.
func (p Pods) Outside(pods []podnetworks.Pod) []PodOutsidePodCIDR {
	found := map[string]*PodOutsidePodCIDR{}
	for _, pod := range pods {
		node := p[pod.Node]
		if node == nil || len(node.networks) == 0 {
			continue
		}
		of := found[pod.Node]
		if of == nil {
			of = &PodOutsidePodCIDR{Node: pod.Node, PodCIDRs: node.cidrs(), Noun: node.provider.Noun()}
			found[pod.Node] = of
		}
		of.Total++
		if routed, problem := node.route(pod.Addr); routed || problem != "" {
			continue
		}
		if of.Outside++; !of.Example.IsValid() || pod.Addr.Less(of.Example) {
			of.Example = pod.Addr
		}
	}
	var all []PodOutsidePodCIDR
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if found[name].Outside > 0 {
			all = append(all, *found[name])
		}
	}
	return all
}

// Unroutable returns the slice's usable endpoints that no route leads to, and the number of its endpoints on known nodes.
func (p Pods) Unroutable(slice *discoveryv1.EndpointSlice) (unroutable []UnroutableEndpoint, total int) {
	for ip, node := range onNodes(slice, p) {
		total++
		if routed, problem := node.route(ip); !routed {
			unroutable = append(unroutable, UnroutableEndpoint{Addr: ip, Node: node.name, PodCIDRs: node.cidrs(), Problem: problem})
		}
	}
	return unroutable, total
}

// route reports whether a route leads to a pod, or why its podCIDR has none. Pods on the node's network need none.
func (n *nodePods) route(pod netip.Addr) (routed bool, problem string) {
	if slices.Contains(n.addresses, pod) {
		return true, ""
	}
	for _, network := range n.networks {
		if network.Prefix.Contains(pod) {
			if problem = n.refused[network.Prefix]; problem == "" {
				return true, ""
			}
		}
	}
	return false, problem
}

// onNodes yields a slice's usable endpoints on the nodes.
func onNodes[N any](slice *discoveryv1.EndpointSlice, nodes map[string]N) iter.Seq2[netip.Addr, N] {
	return func(yield func(netip.Addr, N) bool) {
		if !Addressed(slice) {
			return
		}
		for _, endpoint := range slice.Endpoints {
			if endpoint.NodeName == nil || len(endpoint.Addresses) == 0 || !Usable(endpoint.Conditions) {
				continue
			}
			node, known := nodes[*endpoint.NodeName]
			ip, err := netip.ParseAddr(endpoint.Addresses[0]) // E7
			if ip = ip.Unmap(); !known || err != nil || ip == lb.CiliumPlaceholder {
				continue
			}
			if !yield(ip, node) {
				return
			}
		}
	}
}

// Addressed reports whether a slice has endpoints with IP addresses (E6) and is not ignored (M8).
func Addressed(slice *discoveryv1.EndpointSlice) bool {
	return !lb.Ignored(slice.Labels) && (slice.AddressType == discoveryv1.AddressTypeIPv4 || slice.AddressType == discoveryv1.AddressTypeIPv6)
}

// Usable reports whether an endpoint is ready, or still serves while it terminates (E2, E3), whatever else its Service has.
func Usable(conditions discoveryv1.EndpointConditions) bool {
	return ptr.Deref(conditions.Ready, true) || ptr.Deref(conditions.Serving, true) && ptr.Deref(conditions.Terminating, false)
}
