package routes

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"

	"github.com/minilb/minilb/cmd/minilb/routes/podnetworks"
	"github.com/minilb/minilb/plugin/minilb/kube"
)

// ListNodes lists the cluster's nodes. Its error is a *kube.Error.
func ListNodes(ctx context.Context, client kubernetes.Interface) (nodes []*Node, err error) {
	_, err = kube.ListReduced(ctx, metav1.ListOptions{}, client.CoreV1().Nodes().List, func(full runtime.Object) runtime.Object {
		nodes = append(nodes, ReadNodes([]*corev1.Node{full.(*corev1.Node)})...)
		return nil
	})
	if err != nil {
		return nil, kube.Classify("list", "nodes", err)
	}
	return nodes, nil
}

// ReadNodes returns what is read of nodes that were listed otherwise.
func ReadNodes(full []*corev1.Node) (nodes []*Node) {
	for _, node := range full {
		if n := read(node); n != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// ReadPods returns where the usable endpoints on these nodes are (R3), none for an account that may not list EndpointSlices.
func ReadPods(ctx context.Context, client kubernetes.Interface, nodes []*Node) ([]podnetworks.Pod, error) {
	seen := NewPodCollector(nodes)
	err := EachSlice(ctx, client, seen.Add)
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, fmt.Errorf("pod IPs not compared with podCIDRs: %w", err)
	}
	return seen.Pods(), nil
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
