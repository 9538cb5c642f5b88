package routes

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// StrayHint says what to do about Strays.
const StrayHint = "the CNI does not use the nodes' podCIDRs: set Cilium to ipam=kubernetes or " +
	"Calico to host-local IPAM with usePodCidr, or route the CNI's own blocks instead"

// Stray is a node whose pods live outside its podCIDRs, so that its routes do not reach them (R3).
type Stray struct {
	// Node is the node's name.
	Node string
	// Outside and Total count the pod IPs seen on the node; Outside is at least 1.
	Outside, Total int
	// Example is the lowest of those outside.
	Example netip.Addr
	// PodCIDRs are the node's, IPv4 first.
	PodCIDRs []netip.Prefix
}

// String returns the warning, without a line break.
func (s Stray) String() string {
	var cidrs []string
	for _, cidr := range s.PodCIDRs {
		cidrs = append(cidrs, cidr.String())
	}
	return fmt.Sprintf("pod IP outside podCIDRs; routes printed will not work: node %s: %d of %d pod IPs are outside %s, for example %s",
		s.Node, s.Outside, s.Total, strings.Join(cidrs, " and "), s.Example)
}

// placeholder is the endpoint that Cilium writes for Services which Envoy serves (E17).
var placeholder = netip.AddrFrom4([4]byte{192, 192, 192, 192})

// StraysAmong returns which of the nodes have endpoints in the slices that their routes do not
// reach (R3), by name.
func (lan LAN) StraysAmong(nodes []*corev1.Node, all []*discoveryv1.EndpointSlice) []Stray {
	check := newPodCheck(lan, nodes)
	for _, slice := range all {
		check.add(slice)
	}
	return check.strays()
}

// podCheck compares where pods are with where the routes lead (R3). It needs nothing of a CNI.
type podCheck map[string]*nodePods

type nodePods struct {
	cidrs     []netip.Prefix
	refused   map[netip.Prefix]string // those of them that have no route, and why
	addresses []netip.Addr            // of the node itself: pods on the host's network have them
	pods      map[netip.Addr]bool     // the pod IPs seen, and whether they are where they should be
}

// AllocateHint says what to do about nodes without podCIDRs.
const AllocateHint = "run kube-controller-manager with --allocate-node-cidrs=true and --cluster-cidr, or have the CNI set spec.podCIDRs"

// newPodCheck checks the pods of the nodes. There are no routes to some, of which Of says why.
func newPodCheck(lan LAN, nodes []*corev1.Node) podCheck {
	check, machines := podCheck{}, readAll(nodes)
	for _, node := range nodes {
		m, is := machines[node.Name]
		if !is || m.ignored {
			continue
		}
		pods := &nodePods{cidrs: m.cidrs, refused: map[netip.Prefix]string{}, pods: map[netip.Addr]bool{}}
		for _, address := range node.Status.Addresses {
			if ip, err := netip.ParseAddr(address.Address); err == nil {
				pods.addresses = append(pods.addresses, ip.Unmap())
			}
		}
		check[node.Name] = pods
	}
	for _, entry := range lan.entries(machines) {
		if pods := check[entry.Node]; pods != nil && entry.Problem != "" && entry.Destination.IsValid() {
			pods.refused[entry.Destination] = entry.Problem
		}
	}
	return check
}

// add takes a slice's usable endpoints into account.
func (c podCheck) add(slice *discoveryv1.EndpointSlice) {
	for pod := range c.pods(slice) {
		leads, problem := pod.route()
		pod.node.pods[pod.ip] = leads || problem != "" // which the routes themselves tell of
	}
}

// strays returns the nodes that have podCIDRs and pods outside, by name.
func (c podCheck) strays() []Stray {
	var strays []Stray
	for name, node := range c {
		if len(node.cidrs) == 0 {
			continue
		}
		stray := Stray{Node: name, Total: len(node.pods), PodCIDRs: node.cidrs}
		for _, ip := range slices.SortedFunc(maps.Keys(node.pods), netip.Addr.Compare) {
			if node.pods[ip] {
				continue
			}
			if stray.Outside == 0 {
				stray.Example = ip
			}
			stray.Outside++
		}
		if stray.Outside > 0 {
			strays = append(strays, stray)
		}
	}
	slices.SortFunc(strays, func(a, b Stray) int { return cmp.Compare(a.Node, b.Node) })
	return strays
}

// usable reports whether traffic may go to an endpoint: it is ready, or it still serves while
// it terminates (E2, E3). Whether its Service has better ones does not matter here.
func usable(conditions discoveryv1.EndpointConditions) bool {
	ready := conditions.Ready == nil || *conditions.Ready
	serving := conditions.Serving == nil || *conditions.Serving
	terminating := conditions.Terminating != nil && *conditions.Terminating
	return ready || serving && terminating
}
