package routes

import (
	"context"
	"iter"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"

	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// Pods tells which endpoints the routes to the nodes lead to (R3).
type Pods struct{ check podCheck }

// Pods returns the Pods of these nodes.
func (lan LAN) Pods(nodes []*corev1.Node) *Pods { return &Pods{newPodCheck(lan, nodes)} }

// Endpoint is where the routes do not lead to.
type Endpoint struct {
	// Addr is the pod's address.
	Addr netip.Addr
	// Node is the node's name, and PodCIDRs are the node's, IPv4 first: none if no route leads to it.
	Node     string
	PodCIDRs []netip.Prefix
	// Problem says why there is no route to the one of them that it is in, empty if it is in none.
	Problem string
}

// Unroutable returns the slice's usable endpoints that the routes do not lead to, and how many
// there are of which that can be told.
func (p *Pods) Unroutable(slice *discoveryv1.EndpointSlice) (unroutable []Endpoint, total int) {
	for pod := range p.check.pods(slice) {
		total++
		if leads, problem := pod.route(); !leads {
			unroutable = append(unroutable, Endpoint{Addr: pod.ip, Node: pod.name, PodCIDRs: pod.node.cidrs, Problem: problem})
		}
	}
	return unroutable, total
}

// EachSlice calls visit for all EndpointSlices, a page of them at a time. Its error is a *kube.Failure.
func EachSlice(ctx context.Context, client kubernetes.Interface, visit func(*discoveryv1.EndpointSlice)) error {
	list := func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return client.DiscoveryV1().EndpointSlices(metav1.NamespaceAll).List(ctx, options)
	}
	pages := pager.New(list)
	pages.PageSize, pages.PageBufferSize = 100, 0 // a slice can have a thousand endpoints
	err := pages.EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		visit(object.(*discoveryv1.EndpointSlice))
		return nil
	})
	if err != nil {
		return kube.Explain("list", "endpointslices", err)
	}
	return nil
}

// nodePod is a usable endpoint on a node.
type nodePod struct {
	ip   netip.Addr
	name string // of the node
	node *nodePods
}

// route reports whether one leads there: it is in the node's podCIDRs, or on its network. Of a podCIDR that there is
// no route to it says why.
func (p nodePod) route() (leads bool, problem string) {
	if slices.Contains(p.node.addresses, p.ip) {
		return true, ""
	}
	for _, cidr := range p.node.cidrs {
		if cidr.Contains(p.ip) {
			if problem = p.node.refused[cidr]; problem == "" {
				return true, ""
			}
		}
	}
	return false, problem
}

// pods yields a slice's usable endpoints on the nodes.
func (c podCheck) pods(slice *discoveryv1.EndpointSlice) iter.Seq[nodePod] {
	return func(yield func(nodePod) bool) {
		if lb.Ignored(slice.Labels) {
			return // M8
		}
		if slice.AddressType != discoveryv1.AddressTypeIPv4 && slice.AddressType != discoveryv1.AddressTypeIPv6 {
			return // E6
		}
		for _, endpoint := range slice.Endpoints {
			if endpoint.NodeName == nil || len(endpoint.Addresses) == 0 || !usable(endpoint.Conditions) {
				continue
			}
			node, ok := c[*endpoint.NodeName]
			if !ok {
				continue
			}
			ip, err := netip.ParseAddr(endpoint.Addresses[0]) // E7
			if ip = ip.Unmap(); err != nil || ip == placeholder {
				continue
			}
			if !yield(nodePod{ip, *endpoint.NodeName, node}) {
				return
			}
		}
	}
}
