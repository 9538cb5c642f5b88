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

	"github.com/minilb/minilb/plugin/minilb/lb"
)

// AllocateHint is the fix for nodes without podCIDRs.
const AllocateHint = "run kube-controller-manager with --allocate-node-cidrs=true and --cluster-cidr, or have the CNI set spec.podCIDRs"

// PodCIDRHint is the fix for pods outside of their node's podCIDRs.
const PodCIDRHint = "the CNI does not use the nodes' podCIDRs: set Cilium to ipam=kubernetes or " +
	"Calico to host-local IPAM with usePodCidr, or route the CNI's own blocks instead"

// Prefixes are the podCIDRs of a node, IPv4 first.
type Prefixes []netip.Prefix

// String returns them as "10.244.1.0/24 and fd00:1::/64".
func (p Prefixes) String() string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint([]netip.Prefix(p)), "[]"), " ", " and ")
}

// PodOutsidePodCIDR is a node with pods outside of its podCIDRs, which its routes do not reach (R3).
type PodOutsidePodCIDR struct {
	Node           string
	Outside, Total int        // number of pod IPs seen on the node; Outside is at least 1
	Example        netip.Addr // the lowest of those outside
	PodCIDRs       Prefixes   // of the node
}

// String returns the warning, without a line break.
func (p PodOutsidePodCIDR) String() string {
	return fmt.Sprintf("pod IP outside podCIDRs; routes printed will not work: node %s: %d of %d pod IPs are outside %s, for example %s",
		p.Node, p.Outside, p.Total, p.PodCIDRs, p.Example)
}

// UnroutableEndpoint is an endpoint that no route leads to.
type UnroutableEndpoint struct {
	Addr     netip.Addr // of the pod
	Node     string
	PodCIDRs Prefixes // of the node, none if it has no route at all
	Problem  string   // why there is no route to the podCIDR that contains Addr, empty if none does
}

// Pods compares the addresses of pods with the routes to their nodes, whatever the CNI (R3). It is not safe for concurrent use.
type Pods map[string]*nodePods

type nodePods struct {
	*Node
	refused map[netip.Prefix]string // podCIDRs without a route, and why
	pods    map[netip.Addr]bool     // the pod IPs seen, and whether they are in a podCIDR
}

// Pods returns the Pods of these nodes.
func (lan LAN) Pods(nodes []*Node) Pods {
	all := Pods{}
	for _, n := range nodes {
		if !n.ignored {
			all[n.name] = &nodePods{n, map[netip.Prefix]string{}, map[netip.Addr]bool{}}
		}
	}
	for _, entry := range lan.entries(nodes) {
		if entry.Problem != "" {
			all[entry.Node].refused[entry.Destination] = entry.Problem
		}
	}
	return all
}

// Add takes a slice's usable endpoints into account for Outside.
func (p Pods) Add(slice *discoveryv1.EndpointSlice) {
	for ip, node := range p.of(slice) {
		routed, problem := node.route(ip)
		node.pods[ip] = routed || problem != "" // a problem is reported with the route itself
	}
}

// Outside returns the nodes that have podCIDRs and pods outside of them, by name.
func (p Pods) Outside() []PodOutsidePodCIDR {
	var all []PodOutsidePodCIDR
	for _, name := range slices.Sorted(maps.Keys(p)) {
		node := p[name]
		outside := slices.DeleteFunc(slices.Collect(maps.Keys(node.pods)), func(ip netip.Addr) bool { return node.pods[ip] })
		if len(node.cidrs) > 0 && len(outside) > 0 {
			example := slices.MinFunc(outside, netip.Addr.Compare)
			all = append(all, PodOutsidePodCIDR{name, len(outside), len(node.pods), example, node.cidrs})
		}
	}
	return all
}

// Unroutable returns the slice's usable endpoints that no route leads to, and the number of its endpoints on known nodes.
func (p Pods) Unroutable(slice *discoveryv1.EndpointSlice) (unroutable []UnroutableEndpoint, total int) {
	for ip, node := range p.of(slice) {
		total++
		if routed, problem := node.route(ip); !routed {
			unroutable = append(unroutable, UnroutableEndpoint{Addr: ip, Node: node.name, PodCIDRs: node.cidrs, Problem: problem})
		}
	}
	return unroutable, total
}

// route reports whether a route leads to a pod, or why its podCIDR has none. Pods on the node's network need none.
func (n *nodePods) route(pod netip.Addr) (routed bool, problem string) {
	if slices.Contains(n.addresses, pod) {
		return true, ""
	}
	for _, cidr := range n.cidrs {
		if cidr.Contains(pod) {
			if problem = n.refused[cidr]; problem == "" {
				return true, ""
			}
		}
	}
	return false, problem
}

// of yields a slice's usable endpoints on the nodes.
func (p Pods) of(slice *discoveryv1.EndpointSlice) iter.Seq2[netip.Addr, *nodePods] {
	return func(yield func(netip.Addr, *nodePods) bool) {
		if !Addressed(slice) {
			return
		}
		for _, endpoint := range slice.Endpoints {
			if endpoint.NodeName == nil || len(endpoint.Addresses) == 0 || !Usable(endpoint.Conditions) {
				continue
			}
			node, known := p[*endpoint.NodeName]
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
