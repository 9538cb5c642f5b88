package routes

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"

	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// Nodes lists the cluster's nodes with the fields that this package reads. Its error is a *kube.Error.
func Nodes(ctx context.Context, client kubernetes.Interface) ([]*corev1.Node, error) {
	list, err := kube.ListReduced(ctx, metav1.ListOptions{}, client.CoreV1().Nodes().List, func(full runtime.Object) runtime.Object {
		return stripped(full.(*corev1.Node))
	})
	if err != nil {
		return nil, kube.Classify("list", "nodes", err)
	}
	nodes := make([]*corev1.Node, len(list.Items))
	for i, item := range list.Items {
		nodes[i] = item.(*corev1.Node)
	}
	return nodes, nil
}

// stripped returns a copy of a Node that has only the fields read here, and shares no memory with its page.
func stripped(node *corev1.Node) *corev1.Node {
	const longest = 65 // an address is shorter, and of malformed ones 64 are printed
	head := func(text string) string { return strings.Clone(text[:min(len(text), longest)]) }
	kept := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.Name, CreationTimestamp: node.CreationTimestamp}}
	if lb.Ignored(node.Labels) {
		kept.Labels = map[string]string{lb.IgnoreLabel: "true"}
	}
	kept.Spec.PodCIDR = head(node.Spec.PodCIDR)
	for _, cidr := range node.Spec.PodCIDRs {
		kept.Spec.PodCIDRs = append(kept.Spec.PodCIDRs, head(cidr))
	}
	count := map[bool]int{} // of InternalIPs, and of others
	for _, address := range node.Status.Addresses {
		internal := address.Type == corev1.NodeInternalIP
		if count[internal]++; count[internal] <= maxIPs+1 { // one too many is reported
			kept.Status.Addresses = append(kept.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeAddressType(head(string(address.Type))), Address: head(address.Address)})
		}
	}
	return kept
}

// PodsOutside returns the nodes that have pods outside of their podCIDRs (R3), none for an account that may not list
// EndpointSlices.
func (lan LAN) PodsOutside(ctx context.Context, client kubernetes.Interface, nodes []*corev1.Node) ([]PodOutsidePodCIDR, error) {
	pods := lan.Pods(nodes)
	err := EachSlice(ctx, client, pods.Add)
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("pod IPs not compared with podCIDRs: %w", err)
	}
	return pods.Outside(), nil
}

// EachSlice calls visit for all EndpointSlices, a page of them at a time. Its error is a *kube.Error.
func EachSlice(ctx context.Context, client kubernetes.Interface, visit func(*discoveryv1.EndpointSlice)) error {
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return client.DiscoveryV1().EndpointSlices(metav1.NamespaceAll).List(ctx, options)
	})
	pages.PageSize, pages.PageBufferSize = 100, 0 // a slice can have a thousand endpoints
	err := pages.EachListItem(ctx, metav1.ListOptions{}, func(object runtime.Object) error {
		visit(object.(*discoveryv1.EndpointSlice))
		return nil
	})
	if err != nil {
		return kube.Classify("list", "endpointslices", err)
	}
	return nil
}
