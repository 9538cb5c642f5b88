package routes

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/minilb/minilb/plugin/minilb/kube"
	"github.com/minilb/minilb/plugin/minilb/lb"
)

// Nodes lists the cluster's nodes, with what this package reads of them and nothing else. Its error is a *kube.Failure.
func Nodes(ctx context.Context, client kubernetes.Interface) ([]*corev1.Node, error) {
	list, err := kube.ListReduced(ctx, metav1.ListOptions{}, client.CoreV1().Nodes().List, func(full runtime.Object) any {
		return stripped(full.(*corev1.Node))
	})
	if err != nil {
		return nil, kube.Explain("list", "nodes", err)
	}
	nodes := make([]*corev1.Node, len(list.Items))
	for i, item := range list.Items {
		nodes[i] = item.(*kube.Reduced).Object.(*corev1.Node)
	}
	return nodes, nil
}

// stripped returns a Node that has no more than what is read of one, and shares no memory with its page.
func stripped(node *corev1.Node) *corev1.Node {
	const longest = 65 // an address is shorter, and no more is printed of what is none
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
		if count[internal]++; count[internal] <= maxIPs+1 { // one too many is told of
			kept.Status.Addresses = append(kept.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeAddressType(head(string(address.Type))), Address: head(address.Address)})
		}
	}
	return kept
}

// Strays returns which of the nodes have pods that their routes do not reach (R3). Who may not
// list EndpointSlices learns of none.
func (lan LAN) Strays(ctx context.Context, client kubernetes.Interface, nodes []*corev1.Node) ([]Stray, error) {
	check := newPodCheck(lan, nodes)
	err := EachSlice(ctx, client, check.add)
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("pod IPs not compared with podCIDRs: %w", err)
	}
	return check.strays(), nil
}
